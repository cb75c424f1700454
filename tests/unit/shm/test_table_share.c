/* SPDX-License-Identifier: Apache-2.0
 *
 * Several threads and processes at one table. Values prove themselves: whoever reads one that is torn, or
 * another key's, fails. The threads alone also run under the thread sanitizer (argument `threads`, see
 * meson.build).
 */
#include "table_check.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define SIZE (3u << 20) /* small, so that room is fought for */
#define KEYS 3000u
#define OWNERS 40u
#define THREADS 4u
#define PROCESSES 4u
#define STEPS 15000u
#define ADDERS 8u
#define ADDITIONS 10000u

typedef struct party {
    lk_table *t;
    uint64_t random;
    bool failed;
} party;

static int64_t end_s(void)
{
    return lk_now_s(lk_env_system()) + 3600;
}

static bool read_one(party *p, uint64_t n)
{
    uint8_t key[LK_TABLE_KEY_LEN], buf[CHECK_VALUE_MAX];
    lk_entry e;
    check_key(n, key);
    lk_status status = lk_table_get(p->t, LK_ENTRY_SESSION, key, 0, buf, sizeof(buf), &e);
    return status == LK_MISS || (status == LK_OK && check_value_is_whole(n, lk_view_make(buf, e.len), NULL));
}

static bool is_whole(void *context, const uint8_t key[LK_TABLE_KEY_LEN], const lk_entry *e, lk_view value)
{
    party *p = context;
    uint64_t n;
    (void)e;
    memcpy(&n, key, sizeof(n));
    if (!check_value_is_whole(n, value, NULL)) {
        p->failed = true;
    }
    return true;
}

static size_t some_len(party *p)
{
    return 32 +
           (check_below(&p->random, 20) == 0 ? check_below(&p->random, 5000) : check_below(&p->random, 400));
}

static bool write_one(party *p, uint64_t n, uint32_t what)
{
    uint8_t key[LK_TABLE_KEY_LEN], buf[CHECK_VALUE_MAX];
    lk_entry e;
    lk_status status = LK_OK;
    lk_view v = check_value(n, p->random, some_len(p), buf);
    check_key(n, key);
    if (what < 10) {
        status = lk_table_put(p->t, LK_ENTRY_SESSION, key, check_below(&p->random, OWNERS + 1), end_s(), v);
    } else if (what < 14) {
        status = lk_table_add(p->t, LK_ENTRY_SESSION, key, check_below(&p->random, OWNERS + 1), end_s(), v);
    } else if (what < 18) {
        status = lk_table_get(p->t, LK_ENTRY_SESSION, key, 0, NULL, 0, &e);
        if (status == LK_FULL) {
            status = lk_table_put_if(p->t, LK_ENTRY_SESSION, key, e.version, end_s(), v);
        }
    } else if (what < 21) {
        status = lk_table_drop(p->t, LK_ENTRY_SESSION, key);
    } else {
        status = lk_table_touch(p->t, LK_ENTRY_SESSION, key, check_below(&p->random, 1000), 0, NULL);
    }
    return status != LK_FAULT;
}

static bool list_one(party *p)
{
    uint64_t cursor = 0;
    lk_status status =
        lk_table_list(p->t, LK_ENTRY_SESSION, check_below(&p->random, OWNERS + 1), &cursor, 50, is_whole, p);
    return status == LK_OK;
}

static void *work(void *context)
{
    party *p = context;
    for (uint32_t i = 0; i < STEPS && !p->failed; i++) {
        uint64_t n = check_below(&p->random, KEYS);
        uint32_t what = check_below(&p->random, 60);
        bool good = what < 24 ? write_one(p, n, what) : what == 24 ? list_one(p) : read_one(p, n);
        uint32_t removed;
        if (i % 1000 == 0) {
            lk_status status = lk_table_sweep(p->t, lk_now_s(lk_env_system()), 1000, 20, &removed);
            good = good && (status == LK_OK || status == LK_FULL);
        }
        p->failed = p->failed || !good;
    }
    return p;
}

static void run_threads(lk_table *t)
{
    pthread_t threads[THREADS];
    party parties[THREADS];
    for (uint32_t i = 0; i < THREADS; i++) {
        parties[i] = (party){t, 1000 + i, false};
        assert_int_equal(pthread_create(&threads[i], NULL, work, &parties[i]), 0);
    }
    for (uint32_t i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_false(parties[i].failed);
    }
}

/* Fork N children that each do WHAT and end with 0 when it answered true. */
static void start(pid_t *pids, uint32_t n, lk_table *t, bool (*what)(lk_table *t, uint32_t i))
{
    for (uint32_t i = 0; i < n; i++) {
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] == 0) {
            _exit(what(t, i) ? 0 : 1);
        }
    }
}

static void finish(const pid_t *pids, uint32_t n)
{
    for (uint32_t i = 0; i < n; i++) {
        int status;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
}

static bool mixed(lk_table *t, uint32_t i)
{
    party p = {t, 77 + i, false};
    (void)work(&p);
    return !p.failed;
}

static void threads_never_read_a_torn_or_foreign_value(void **state)
{
    (void)state;
    lk_table *t = check_open(lk_env_system(), SIZE);
    run_threads(t);
    assert_true(check_table(t, OWNERS) > 0);
    check_empties(t);
    lk_table_close(t);
}

static void threads_and_processes_never_read_a_torn_or_foreign_value(void **state)
{
    (void)state;
    pid_t pids[PROCESSES];
    lk_table_stats stats;
    lk_table *t = check_open(lk_env_system(), SIZE);
    start(pids, PROCESSES, t, mixed);
    run_threads(t);
    finish(pids, PROCESSES);
    assert_true(check_table(t, OWNERS) > 0);
    lk_table_stats_read(t, &stats);
    assert_int_equal(stats.taken_over, 0); /* nobody died */
    check_empties(t);
    lk_table_close(t);
}

static bool increment(lk_table *t)
{
    uint8_t key[LK_TABLE_KEY_LEN];
    uint64_t value;
    lk_entry e;
    lk_status status = LK_STALE;
    check_key(1, key);
    while (status == LK_STALE) {
        if (lk_table_get(t, LK_ENTRY_SESSION, key, 0, &value, sizeof(value), &e) != LK_OK) {
            return false;
        }
        value++;
        status = lk_table_put_if(t, LK_ENTRY_SESSION, key, e.version, end_s(),
                                 lk_view_make(&value, sizeof(value)));
    }
    return status == LK_OK;
}

static bool increment_all(lk_table *t, uint32_t i)
{
    bool good = true;
    (void)i;
    for (uint32_t n = 0; n < ADDITIONS && good; n++) {
        good = increment(t);
    }
    return good;
}

static void put_if_loses_no_increment_of_eight_processes(void **state)
{
    (void)state;
    pid_t pids[ADDERS];
    uint8_t key[LK_TABLE_KEY_LEN];
    uint64_t value = 0;
    lk_entry e;
    lk_table *t = check_open(lk_env_system(), SIZE);
    check_key(1, key);
    assert_int_equal(lk_table_put(t, LK_ENTRY_SESSION, key, 9, end_s(), lk_view_make(&value, sizeof(value))),
                     LK_OK);
    start(pids, ADDERS, t, increment_all);
    finish(pids, ADDERS);
    assert_int_equal(lk_table_get(t, LK_ENTRY_SESSION, key, 0, &value, sizeof(value), &e), LK_OK);
    assert_int_equal(value, ADDERS * ADDITIONS);
    assert_int_equal(e.owner, 9);
    lk_table_close(t);
}

static bool count_all(lk_table *t, uint32_t i)
{
    uint8_t key[LK_TABLE_KEY_LEN];
    int64_t value;
    bool good = true;
    for (uint32_t n = 0; n < ADDITIONS && good; n++) {
        check_key(100 + n % 7, key);
        good = lk_table_count(t, key, 1 + i % 2, 1, end_s(), &value) == LK_OK && value > 0;
    }
    return good;
}

static void counters_of_eight_processes_are_exact(void **state)
{
    (void)state;
    pid_t pids[ADDERS];
    int64_t sum = 0;
    lk_table *t = check_open(lk_env_system(), SIZE);
    start(pids, ADDERS, t, count_all);
    finish(pids, ADDERS);
    for (uint32_t i = 0; i < 7; i++) {
        uint8_t key[LK_TABLE_KEY_LEN];
        int64_t value;
        check_key(100 + i, key);
        assert_int_equal(lk_table_get(t, LK_ENTRY_COUNTER, key, 1, &value, sizeof(value), NULL), LK_OK);
        sum += value;
    }
    assert_int_equal(sum, ADDERS * ADDITIONS * 3 / 2);
    assert_int_equal(lk_table_held(t, LK_ENTRY_COUNTER), 7);
    lk_table_close(t);
}

/* Two words that only the holder of the group changes, one after the other. */
static bool guarded(lk_table *t, uint32_t i)
{
    bool good = true;
    (void)i;
    for (uint32_t n = 0; n < ADDITIONS && good; n++) {
        lk_table_lock(t, 42);
        uint64_t a = atomic_load(lk_table_word(t, 0)), b = atomic_load(lk_table_word(t, 1));
        atomic_store(lk_table_word(t, 0), a + 1);
        atomic_store(lk_table_word(t, 1), b + 1);
        good = a == b;
        lk_table_unlock(t, 42);
    }
    return good;
}

static void group_lock_lets_one_in_at_a_time(void **state)
{
    (void)state;
    pid_t pids[ADDERS];
    lk_table *t = check_open(lk_env_system(), SIZE);
    start(pids, ADDERS, t, guarded);
    finish(pids, ADDERS);
    assert_int_equal(atomic_load(lk_table_word(t, 1)), ADDERS * ADDITIONS);
    lk_table_close(t);
}

/* While others come and go, what stays is visited by every walk; by one owner exactly once. */
static bool churn(lk_table *t, uint32_t i)
{
    party p = {t, 5 + i, false};
    for (uint32_t n = 0; n < STEPS && !p.failed; n++) {
        uint64_t key = 1000 + check_below(&p.random, 2000);
        p.failed = !write_one(&p, key, check_below(&p.random, 24));
    }
    return !p.failed;
}

typedef struct tally {
    uint32_t visits[100];
} tally;

static bool tally_up(void *context, const uint8_t key[LK_TABLE_KEY_LEN], const lk_entry *e, lk_view value)
{
    tally *y = context;
    uint64_t n;
    (void)e;
    memcpy(&n, key, sizeof(n));
    if (n < 100) {
        assert_true(check_value_is_whole(n, value, NULL));
        y->visits[n]++;
    }
    return true;
}

static void check_walk(lk_table *t, uint64_t owner)
{
    tally y = {{0}};
    uint64_t cursor = 0;
    do {
        assert_int_equal(lk_table_list(t, LK_ENTRY_SESSION, owner, &cursor, 9, tally_up, &y), LK_OK);
    } while (cursor != 0);
    for (uint64_t n = 0; n < 100; n++) {
        bool wanted = owner == 0 || n % 4 == owner - 1;
        assert_true(wanted ? y.visits[n] >= 1 : y.visits[n] == 0);
        assert_true(owner == 0 || y.visits[n] <= 1);
    }
}

static void walks_visit_what_stays_while_others_come_and_go(void **state)
{
    (void)state;
    pid_t pids[2];
    uint8_t key[LK_TABLE_KEY_LEN], buf[CHECK_VALUE_MAX];
    lk_table *t = check_open(lk_env_system(), 8u << 20);
    for (uint64_t n = 0; n < 100; n++) {
        check_key(n, key);
        assert_int_equal(
            lk_table_put(t, LK_ENTRY_SESSION, key, 1 + n % 4, end_s(), check_value(n, 0, 300, buf)), LK_OK);
    }
    start(pids, 2, t, churn);
    for (uint64_t round = 0; round < 300; round++) {
        uint64_t n = round % 100; /* written all the time, which must not move it out of the walk */
        check_key(n, key);
        assert_int_equal(lk_table_put(t, LK_ENTRY_SESSION, key, 1 + n % 4, end_s(),
                                      check_value(n, round, 32 + round, buf)),
                         LK_OK);
        check_walk(t, round % 5);
    }
    finish(pids, 2);
    assert_int_equal(lk_table_held(t, LK_ENTRY_FENCE), 0);
    lk_table_close(t);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest threads[] = {
        cmocka_unit_test(threads_never_read_a_torn_or_foreign_value),
    };
    const struct CMUnitTest all[] = {
        cmocka_unit_test(threads_never_read_a_torn_or_foreign_value),
        cmocka_unit_test(threads_and_processes_never_read_a_torn_or_foreign_value),
        cmocka_unit_test(put_if_loses_no_increment_of_eight_processes),
        cmocka_unit_test(counters_of_eight_processes_are_exact),
        cmocka_unit_test(group_lock_lets_one_in_at_a_time),
        cmocka_unit_test(walks_visit_what_stays_while_others_come_and_go),
    };
    if (argc > 1 && strcmp(argv[1], "threads") == 0) {
        return cmocka_run_group_tests(threads, NULL, NULL);
    }
    return cmocka_run_group_tests(all, NULL, NULL);
}
