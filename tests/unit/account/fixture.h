/* SPDX-License-Identifier: Apache-2.0
 *
 * fixture.h - an account system of its own for each test: real keys, a real database, a clock that stands
 * still. Includes cmocka and what it wants before it.
 */
#ifndef LATCHKEY_TESTS_ACCOUNT_FIXTURE_H
#define LATCHKEY_TESTS_ACCOUNT_FIXTURE_H

#include "test_env.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
/* After the ones above. */
#include "account/internal.h"
#include <cmocka.h>

#define REALM LK_VIEW("shop")
#define HOME LK_VIEW("192.0.2.1")
#define PASSWORD LK_VIEW("feltpoop and gravel")
#define WRONG LK_VIEW("gravel and feltpoop")

extern char fixture_path[128]; /* of the SQLite file of this test */
extern lk_settings fixture_settings;
extern lk_keyring *fixture_ring;
extern lk_accounts *fixture; /* opened by fixture_setup */

/* Once per program: a directory and keys. */
int fixture_begin(void **state);
int fixture_end(void **state);
/* Once per test: default settings with the cheapest cost allowed, a new database, opened. */
int fixture_setup(void **state);
int fixture_teardown(void **state);

/* Open the present database again, as another process would. */
lk_accounts *fixture_open(void);
/* Close and open. */
void fixture_reopen(void);
bool fixture_is_sqlite(void);
lk_sql_dialect fixture_dialect(void);
/* Run SQL on the present database, as the owner of the tables. */
void fixture_sql(const char *statements);
/* The first value that QUESTION gives. */
int64_t fixture_number(const char *question);

/* A user with PASSWORD. */
lk_user fixture_user(const char *name);
lk_status fixture_login(const char *name, lk_view password, const char *address);

#endif
