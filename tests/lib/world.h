/* SPDX-License-Identifier: Apache-2.0
 *
 * world.h - a whole small latchkey for a test: keys and stores in a directory of its own, a table in
 * anonymous memory, a guard, and a clock that stands still. Nothing in it is a mock.
 */
#ifndef LATCHKEY_TESTS_LIB_WORLD_H
#define LATCHKEY_TESTS_LIB_WORLD_H

#include "shm/table.h"
#include "test_env.h"
#include <latchkey/guard.h>

typedef struct world {
    char dir[64];
    lk_settings settings;
    lk_keyring *ring;
    lk_table *table;
    lk_store *store;
    lk_guard *guard;
} world;

/* STORE is "memory:", "lmdb" or "sqlite". Fails the test when anything does not open. */
void world_open(world *w, const char *store);
/* Another node: the keys, settings and store of FIRST, which must outlive it, and a table of its own. */
void world_open_beside(world *w, const world *first);
/* Close everything and open it again on the same directory, as a restart does. With FRESH_TABLE the shared
 * memory is new as well, as after a reboot. */
void world_restart(world *w, bool fresh_table);
void world_close(world *w);

/* Log U in. Fails the test when it is not issued. PRIOR may be NULL. */
void world_login(world *w, lk_kind kind, const char *user, const char *roles, const lk_identity *prior,
                 lk_issued *out);

/* Present TEXT in the cookie or header and check it against RULE (NULL: required). */
lk_identity world_check(world *w, lk_carrier carrier, const char *text, const lk_rule *rule);

#endif
