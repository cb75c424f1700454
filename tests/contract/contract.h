/* SPDX-License-Identifier: Apache-2.0
 *
 * contract.h - one suite for every store: what store.h promises, each sentence a test.
 *
 *   contract URL GROUP      for example: contract memory: life     contract 'lmdb:?sync=fast' fields
 *   servers.py redis -- contract {url} all
 *
 * A store with a directory is given a fresh one by each test; one on a server, whose URL is given whole, is
 * wiped. The clock stands still (tests/lib/test_env.h).
 */
#ifndef LATCHKEY_TESTS_CONTRACT_H
#define LATCHKEY_TESTS_CONTRACT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shm/table.h"
#include "test_env.h"
#include <latchkey/store.h>
#include <stdio.h>
#include <string.h>

#define NOW_S INT64_C(1800000000) /* where the clock of the tests stands at first */
#define IDLE_S 1800
#define LIFE_S 43200
#define FENCE_S (NOW_S + 100000)
#define NO_LIMIT ((lk_limit){0})

/* The store under test. */
extern lk_store *store;
/* For the sentences that do not hold for all stores alike. */
extern bool is_memory, is_lmdb, is_sqlite, is_redis, is_cluster;
extern bool is_server; /* on a server: postgres, mariadb, the redis ones */
extern bool is_moving; /* two stores, between which a site moves */
extern bool is_remote; /* may not be asked on an event loop, and tells of ended sessions: those and sqlite */

/* The store that URL names is the one under test from now on. False: no store is called so. */
bool choose_store(const char *url);

/* Open and close it around each test, with the usual room or with little. */
int open_store(void **state);
int open_small_store(void **state);
int close_store(void **state);
/* Another handle to the same data, as a freshly started process has it. */
lk_store *open_again(void);
/* What it was opened as, and how that begins, with the ':'. */
const char *store_url(void);
const char *store_scheme(void);
/* The directory of the test, "" when it has none. */
const char *store_dir(void);
lk_table *store_table(void);
const struct raw_store *store_raw(void); /* raw.h */

/* Session number N: user "u1", realm "shop", generation 1, two fields. Texts live for ever. */
lk_session session_of(unsigned n);
lk_session_key key_of(unsigned n);

lk_status create(unsigned n);
lk_status destroy(unsigned n);
/* Load number N whole; *s reads a buffer that the next look overwrites. */
lk_status look(unsigned n, lk_session *s, lk_reason *why);
lk_status status_of(unsigned n);
lk_reason reason_of(unsigned n);
/* One operation on number N in generation 1. */
lk_status change(unsigned n, lk_op op);
lk_op op_set(const char *name, const char *value);
lk_op op_add(const char *name, int64_t number);

void assert_same(const lk_session *a, const lk_session *b);
void assert_field(const lk_session *s, const char *name, const char *value);

/* How many live sessions the listing of the user finds, walking pages of PAGE. */
unsigned listed(const char *realm, const char *user, uint32_t page);

/* Sweep until nothing is left to do; gives how many were removed. */
uint32_t sweep_all(int64_t now_s);

/* Run WORK in N other processes, each with a handle of its own, and wait; a work that answers false fails the
 * test. In a work use CHECK, not the assertions of cmocka, which would go on with the tests in the child. */
typedef bool (*child_work)(lk_store *own, unsigned i, void *context);
void in_children(unsigned n, child_work work, void *context);
#define CHECK(what)                                                                                          \
    do {                                                                                                     \
        if (!(what)) {                                                                                       \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #what);                               \
            return false;                                                                                    \
        }                                                                                                    \
    } while (0)

/* N, or for a store on a server a part of it: there every step is a journey. */
unsigned fewer(unsigned n);

/* The number that key_of was given. */
unsigned number_of(const lk_session_key *key);

/* The same bytes in every run. */
uint32_t random_next(uint32_t *seed);

/* Milliseconds by a clock that does not stand still. */
int64_t real_ms(void);

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_store, close_store)
#define TEST_SMALL(name) cmocka_unit_test_setup_teardown(name, open_small_store, close_store)

/* The groups, one per file. */
int run_life(void);
int run_replace(void);
int run_fields(void);
int run_limits(void);
int run_lists(void);
int run_sweep(void);
int run_events(void);
int run_stream(void);
int run_urls(void);
int run_server(void);
int run_room(void);
int run_damage(void);
int run_races(void);
int run_kills(void);
int run_model(void);

#endif
