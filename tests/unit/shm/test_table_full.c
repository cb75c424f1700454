/* SPDX-License-Identifier: Apache-2.0
 *
 * The table when there is no room: who goes, who stays, who is refused.
 */
#include "table_check.h"
#include "test_env.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SIZE (4u << 20)

static int64_t in_s(int64_t seconds)
{
    return lk_now_s(test_env()) + seconds;
}

static lk_status put(lk_table *t, lk_entry_kind kind, uint64_t n, uint64_t owner, int64_t expires_s,
                     size_t len)
{
    uint8_t key[LK_TABLE_KEY_LEN], buf[LK_TABLE_VALUE_MAX];
    check_key(n, key);
    memset(buf, (int)n, len);
    return lk_table_put(t, kind, key, owner, expires_s, lk_view_make(buf, len));
}

static bool has(lk_table *t, lk_entry_kind kind, uint64_t n)
{
    uint8_t key[LK_TABLE_KEY_LEN];
    check_key(n, key);
    lk_status status = lk_table_get(t, kind, key, lk_now_s(test_env()), NULL, 0, NULL);
    assert_true(status == LK_MISS || status == LK_FULL);
    return status == LK_FULL;
}

static uint32_t count(lk_table *t, lk_entry_kind kind, uint64_t from, uint64_t to)
{
    uint32_t n = 0;
    for (uint64_t i = from; i < to; i++) {
        n += has(t, kind, i);
    }
    return n;
}

static lk_table_stats stats_of(lk_table *t)
{
    lk_table_stats stats;
    lk_table_stats_read(t, &stats);
    return stats;
}

/* How many sessions of LEN bytes a table holds before one is pushed out. */
static uint64_t capacity(size_t len)
{
    lk_table *t = check_open(test_env(), SIZE);
    uint64_t n = 0;
    while (stats_of(t).evicted_live == 0) {
        n++;
        assert_int_equal(put(t, LK_ENTRY_SESSION, n, n, in_s(3600), len), LK_OK);
    }
    assert_int_equal(lk_table_held(t, LK_ENTRY_SESSION), n - 1);
    lk_table_close(t);
    return n - 1;
}

/* A table that is just full of sessions 1 to N. */
static lk_table *open_full(uint64_t n)
{
    lk_table *t = check_open(test_env(), SIZE);
    for (uint64_t i = 1; i <= n; i++) {
        assert_int_equal(put(t, LK_ENTRY_SESSION, i, i, in_s(3600), 300), LK_OK);
    }
    assert_int_equal(stats_of(t).evicted_live, 0);
    return t;
}

static void nearly_all_memory_is_used_before_anybody_goes(void **state)
{
    (void)state;
    uint64_t n = capacity(300);
    lk_table *t = open_full(n);
    assert_true(SIZE / n < 400); /* a small table has a larger share of locks */
    assert_true(stats_of(t).used > SIZE * 93 / 100);
    assert_int_equal(stats_of(t).size, SIZE);
    lk_table_close(t);
}

static void entries_past_their_end_go_first(void **state)
{
    (void)state;
    uint64_t n = capacity(300);
    lk_table *t = check_open(test_env(), SIZE);
    for (uint64_t i = 1; i <= n; i++) { /* every third is soon over; fences and cut-offs among them */
        lk_entry_kind kind = i % 9 == 0 ? LK_ENTRY_FENCE : i % 9 == 3 ? LK_ENTRY_CUTOFF : LK_ENTRY_SESSION;
        assert_int_equal(put(t, kind, i, i, in_s(i % 3 == 0 ? 60 : 7200), 300), LK_OK);
    }
    test_clock_advance_ms(61000);
    for (uint64_t i = 0; i < n / 3; i++) {
        assert_int_equal(put(t, LK_ENTRY_SESSION, 100000 + i, 1 + i, in_s(7200), 300), LK_OK);
    }
    assert_int_equal(stats_of(t).evicted_live, 0);
    for (uint64_t i = 1; i <= n; i++) {
        assert_true(i % 3 == 0 || has(t, LK_ENTRY_SESSION, i));
    }
    lk_table_close(t);
}

/* LOW entries of LEN bytes, then sessions until the first session goes: by then no low one may be left. */
static void check_low_first(lk_entry_kind kind, size_t len)
{
    lk_table *t = check_open(test_env(), SIZE);
    for (uint64_t i = 0; i < 2000; i++) {
        assert_int_equal(put(t, kind, 500000 + i, 0, in_s(7200), len), LK_OK);
    }
    for (uint64_t i = 1; stats_of(t).evicted_sessions == 0; i++) {
        assert_int_equal(put(t, LK_ENTRY_SESSION, i, i, in_s(7200), 300), LK_OK);
    }
    assert_int_equal(count(t, kind, 500000, 502000), 0);
    assert_int_equal(stats_of(t).evicted_live, 2000 + stats_of(t).evicted_sessions);
    lk_table_close(t);
}

static void tokens_counters_and_sessions_of_nobody_go_before_sessions(void **state)
{
    (void)state;
    check_low_first(LK_ENTRY_TOKEN, 300); /* of the same size class */
    check_low_first(LK_ENTRY_TOKEN, 150); /* and of others */
    check_low_first(LK_ENTRY_COUNTER, 8);
    check_low_first(LK_ENTRY_SESSION, 300);
    check_low_first(LK_ENTRY_SESSION, 700);
}

static void sessions_seen_longest_ago_go_before_others(void **state)
{
    (void)state;
    uint64_t n = capacity(300);
    lk_table *t = open_full(n);
    for (uint64_t i = 1; i <= n; i++) {
        uint8_t key[LK_TABLE_KEY_LEN];
        check_key(i, key);
        uint32_t seen_s = (uint32_t)in_s(i % 2 == 0 ? 500 : 100 + (int64_t)(i % 97));
        assert_int_equal(lk_table_touch(t, LK_ENTRY_SESSION, key, seen_s, 0, NULL), LK_OK);
    }
    test_clock_advance_ms(600000);
    for (uint64_t i = 0; i < n / 4; i++) {
        assert_int_equal(put(t, LK_ENTRY_SESSION, 100000 + i, 1 + i, in_s(7200), 300), LK_OK);
    }
    uint32_t even = 0, late = 0, early = 0;
    for (uint64_t i = 1; i <= n; i++) {
        bool there = has(t, LK_ENTRY_SESSION, i);
        even += i % 2 == 0 && !there;
        late += i % 2 == 1 && i % 97 >= 60 && !there;
        early += i % 2 == 1 && i % 97 < 30 && there;
    }
    /* Half of those with an odd number are gone, which are those seen up to second 148 or so. */
    assert_int_equal(even, 0);
    assert_int_equal(late, 0);
    assert_int_equal(early, 0);
    assert_int_equal(count(t, LK_ENTRY_SESSION, 100000, 100000 + n / 4), n / 4);
    assert_int_equal(stats_of(t).evicted_sessions, n / 4);
    lk_table_close(t);
}

static void fences_and_cutoffs_survive_a_flood(void **state)
{
    (void)state;
    lk_table *t = check_open(test_env(), SIZE);
    uint64_t random = 99;
    for (uint64_t i = 0; i < 1000; i++) {
        assert_int_equal(put(t, LK_ENTRY_FENCE, i, 1 + i % 7, in_s(3600), 1 + i % 600), LK_OK);
        assert_int_equal(put(t, LK_ENTRY_CUTOFF, i, 0, in_s(3600), 1 + i % 300), LK_OK);
    }
    for (uint64_t i = 0; i < 60000; i++) {
        lk_entry_kind kind = i % 3 == 0 ? LK_ENTRY_TOKEN : LK_ENTRY_SESSION;
        size_t len = i % 50 == 0 ? check_below(&random, 9000) : check_below(&random, 700);
        assert_int_equal(put(t, kind, 5000 + i, check_below(&random, 2000), in_s(7200), len), LK_OK);
    }
    assert_int_equal(count(t, LK_ENTRY_FENCE, 0, 1000), 1000);
    assert_int_equal(count(t, LK_ENTRY_CUTOFF, 0, 1000), 1000);
    assert_int_equal(lk_table_held(t, LK_ENTRY_FENCE), 1000);
    test_clock_advance_ms(3600 * 1000);
    for (uint64_t i = 0; i < 60000; i++) { /* past their end they go */
        assert_int_equal(put(t, LK_ENTRY_SESSION, 5000 + i, 0, in_s(7200), check_below(&random, 700)), LK_OK);
    }
    assert_int_equal(count(t, LK_ENTRY_FENCE, 0, 1000), 0);
    lk_table_close(t);
}

static void table_full_of_fences_refuses_and_counts_it(void **state)
{
    (void)state;
    lk_table *t = check_open(test_env(), LK_TABLE_SIZE_MIN);
    uint64_t n = 0, held = 0, refused = 0;
    lk_entry e;
    uint8_t key[LK_TABLE_KEY_LEN], byte = 0;
    /* Where a key may lie depends on the key: one may find the last room that another did not. */
    while (refused < 64) {
        bool is_put = put(t, LK_ENTRY_FENCE, n++, 1, in_s(3600), 300) == LK_OK;
        held += is_put;
        refused += !is_put;
    }
    assert_true(held > 1000);
    assert_int_equal(stats_of(t).refused_full, refused);
    assert_int_equal(stats_of(t).evicted_live, 0);
    assert_int_equal(count(t, LK_ENTRY_FENCE, 0, n), held);
    /* What is there can be read and dropped, and then there is room again. */
    check_key(3, key);
    assert_int_equal(lk_table_get(t, LK_ENTRY_FENCE, key, 0, &byte, 1, &e), LK_FULL);
    assert_int_equal(byte, 3);
    assert_int_equal(lk_table_drop(t, LK_ENTRY_FENCE, key), LK_OK);
    assert_int_equal(put(t, LK_ENTRY_FENCE, 3, 1, in_s(3600), 300), LK_OK);
    lk_table_close(t);
}

static void value_above_the_limit_is_refused_and_at_the_limit_fits(void **state)
{
    (void)state;
    static uint8_t buf[LK_TABLE_VALUE_MAX + 1], back[LK_TABLE_VALUE_MAX];
    uint8_t key[LK_TABLE_KEY_LEN];
    lk_entry e;
    lk_table *t = check_open(test_env(), LK_TABLE_SIZE_MIN);
    check_key(1, key);
    memset(buf, 0xab, sizeof(buf));
    assert_int_equal(lk_table_put(t, LK_ENTRY_SESSION, key, 1, in_s(60), lk_view_make(buf, sizeof(buf))),
                     LK_FULL);
    assert_int_equal(
        lk_table_put(t, LK_ENTRY_SESSION, key, 1, in_s(60), lk_view_make(buf, LK_TABLE_VALUE_MAX)), LK_OK);
    assert_int_equal(lk_table_get(t, LK_ENTRY_SESSION, key, 0, back, sizeof(back), &e), LK_OK);
    assert_int_equal(e.len, LK_TABLE_VALUE_MAX);
    assert_memory_equal(back, buf, LK_TABLE_VALUE_MAX);
    lk_table_close(t);
}

/* SIZES come after each other, each wanting much more than there is: each gets most of the table in the end.
 */
static void no_size_starves_because_others_came_first(void **state)
{
    (void)state;
    const size_t sizes[] = {300, 4000, 220, 20000, 900, 300};
    lk_table *t = check_open(test_env(), SIZE);
    uint64_t n = 1;
    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        uint64_t fit = SIZE / (sizes[s] + 120), from = n;
        for (; n < from + 2 * fit; n++) {
            test_clock_advance_ms(20);
            assert_int_equal(put(t, LK_ENTRY_SESSION, n, n, in_s(1000000), sizes[s]), LK_OK);
        }
        assert_true(count(t, LK_ENTRY_SESSION, n - fit * 2 / 3, n) ==
                    fit * 2 / 3); /* the latest are all there */
    }
    lk_table_close(t);
}

/* Two sizes at once, one of them rare: it keeps its share, whichever filled the table. */
static void rare_size_lives_as_long_as_the_common_one(void **state)
{
    (void)state;
    lk_table *t = check_open(test_env(), SIZE);
    for (uint64_t n = 1; n <= 60000; n++) {
        test_clock_advance_ms(100);
        assert_int_equal(put(t, LK_ENTRY_SESSION, n, n, in_s(1000000), n % 50 == 0 ? 3000 : 300), LK_OK);
    }
    uint32_t common = 0, rare = 0;
    for (uint64_t n = 1; n <= 60000; n++) {
        uint32_t there = has(t, LK_ENTRY_SESSION, n);
        rare += n % 50 == 0 ? there : 0;
        common += n % 50 == 0 ? 0 : there;
    }
    /* One in fifty came, about as many stay. */
    assert_true(rare * 49 > common / 2);
    assert_true(rare * 49 < common * 2);
    lk_table_close(t);
}

static void entries_too_small_for_the_index_go_by_the_same_policy(void **state)
{
    (void)state;
    lk_table *t = check_open(test_env(), SIZE);
    for (uint64_t i = 0; i < 1000; i++) {
        assert_int_equal(put(t, LK_ENTRY_FENCE, i, 1 + i, in_s(3600), 8), LK_OK);
    }
    for (uint64_t i = 0; i < 50000; i++) {
        test_clock_advance_ms(10);
        assert_int_equal(put(t, LK_ENTRY_SESSION, i, 1 + i, in_s(3600), 8), LK_OK);
    }
    assert_int_equal(stats_of(t).refused_full, 0);
    assert_int_equal(count(t, LK_ENTRY_FENCE, 0, 1000), 1000);
    assert_true(lk_table_held(t, LK_ENTRY_SESSION) > 8000);
    assert_true(count(t, LK_ENTRY_SESSION, 47000, 50000) > 2700);
    assert_int_equal(lk_table_held(t, LK_ENTRY_SESSION) + stats_of(t).evicted_live, 50000);
    lk_table_close(t);
}

static void write_at_a_full_table_does_not_push_out_what_it_replaces(void **state)
{
    (void)state;
    uint8_t key[LK_TABLE_KEY_LEN], value[300] = {0};
    uint64_t n = capacity(300);
    lk_table *t = open_full(n);
    for (uint64_t i = n; i >= 1; i--) { /* the oldest are pushed out by the writes of the newest */
        lk_entry e;
        check_key(i, key);
        if (lk_table_get(t, LK_ENTRY_SESSION, key, 0, NULL, 0, &e) == LK_FULL) {
            assert_int_equal(
                lk_table_put_if(t, LK_ENTRY_SESSION, key, e.version, in_s(3600), lk_view_make(value, 300)),
                LK_OK);
        }
    }
    assert_int_equal(lk_table_held(t, LK_ENTRY_SESSION), n - stats_of(t).evicted_live);
    assert_true(stats_of(t).evicted_live <= 1); /* room for one is all that is needed */
    lk_table_close(t);
}

static bool count_one(void *context, const uint8_t key[LK_TABLE_KEY_LEN], const lk_entry *e, lk_view value)
{
    uint8_t *visited = context;
    uint64_t n;
    (void)e;
    (void)value;
    memcpy(&n, key, sizeof(n));
    assert_int_equal(visited[n], 0);
    visited[n] = 1;
    return true;
}

static uint32_t walk(lk_table *t, uint64_t owner, uint8_t *visited, size_t n)
{
    uint64_t cursor = 0;
    uint32_t found = 0;
    memset(visited, 0, n);
    do {
        assert_int_equal(lk_table_list(t, LK_ENTRY_SESSION, owner, &cursor, 100, count_one, visited), LK_OK);
    } while (cursor != 0);
    for (size_t i = 0; i < n; i++) {
        found += visited[i];
    }
    return found;
}

static void one_user_with_thousands_of_sessions_is_listed_and_ended(void **state)
{
    (void)state;
    enum { MANY = 6000 };
    static uint8_t visited[MANY + 1000];
    uint8_t key[LK_TABLE_KEY_LEN];
    uint32_t removed;
    lk_table *t = check_open(test_env(), SIZE);
    for (uint64_t i = 0; i < MANY; i++) {
        assert_int_equal(put(t, LK_ENTRY_SESSION, i, 77, in_s(3600), 200), LK_OK);
    }
    for (uint64_t i = 0; i < 1000; i++) {
        assert_int_equal(put(t, LK_ENTRY_SESSION, MANY + i, 1000 + i, in_s(3600), 200), LK_OK);
    }
    assert_int_equal(walk(t, 77, visited, sizeof(visited)), MANY);
    for (uint64_t i = 0; i < MANY; i += 2) {
        check_key(i, key);
        assert_int_equal(lk_table_drop(t, LK_ENTRY_SESSION, key), LK_OK);
    }
    assert_int_equal(walk(t, 77, visited, sizeof(visited)), MANY / 2);
    for (uint64_t i = 1; i < MANY; i += 2) {
        check_key(i, key);
        assert_int_equal(lk_table_drop(t, LK_ENTRY_SESSION, key), LK_OK);
    }
    assert_int_equal(walk(t, 77, visited, sizeof(visited)), 0);
    assert_int_equal(lk_table_sweep(t, 1, UINT32_MAX, 1000, &removed), LK_OK);
    for (uint64_t i = 0; i < 1000; i++) {
        assert_int_equal(walk(t, 1000 + i, visited, sizeof(visited)), 1);
    }
    lk_table_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nearly_all_memory_is_used_before_anybody_goes),
        cmocka_unit_test(entries_past_their_end_go_first),
        cmocka_unit_test(tokens_counters_and_sessions_of_nobody_go_before_sessions),
        cmocka_unit_test(sessions_seen_longest_ago_go_before_others),
        cmocka_unit_test(fences_and_cutoffs_survive_a_flood),
        cmocka_unit_test(table_full_of_fences_refuses_and_counts_it),
        cmocka_unit_test(value_above_the_limit_is_refused_and_at_the_limit_fits),
        cmocka_unit_test(no_size_starves_because_others_came_first),
        cmocka_unit_test(rare_size_lives_as_long_as_the_common_one),
        cmocka_unit_test(entries_too_small_for_the_index_go_by_the_same_policy),
        cmocka_unit_test(write_at_a_full_table_does_not_push_out_what_it_replaces),
        cmocka_unit_test(one_user_with_thousands_of_sessions_is_listed_and_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
