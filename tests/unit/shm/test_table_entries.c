/* SPDX-License-Identifier: Apache-2.0
 *
 * What each call answers, one at a time. The random run against an array is in test_table_model.c.
 */
#include "table_check.h"
#include "test_env.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define SIZE (2u << 20)
#define S LK_ENTRY_SESSION

static const uint8_t key_a[LK_TABLE_KEY_LEN] = "key a", key_b[LK_TABLE_KEY_LEN] = "key b";

static int64_t in_s(int64_t seconds)
{
    return lk_now_s(test_env()) + seconds;
}

static lk_status get(lk_table *t, lk_entry_kind kind, const uint8_t *key, lk_entry *e)
{
    uint8_t buf[512];
    return lk_table_get(t, kind, key, lk_now_s(test_env()), buf, sizeof(buf), e);
}

static void expect_text(lk_table *t, lk_entry_kind kind, const uint8_t *key, const char *text)
{
    char buf[64];
    lk_entry e;
    assert_int_equal(lk_table_get(t, kind, key, lk_now_s(test_env()), buf, sizeof(buf), &e), LK_OK);
    assert_int_equal(e.len, strlen(text));
    assert_memory_equal(buf, text, e.len);
}

static void what_was_put_is_got_and_what_was_dropped_is_missed(void **state)
{
    (void)state;
    lk_entry e;
    lk_table *t = check_open(test_env(), SIZE);
    assert_int_equal(get(t, S, key_a, &e), LK_MISS);
    assert_int_equal(lk_table_put(t, S, key_a, 5, in_s(10), LK_VIEW("one")), LK_OK);
    expect_text(t, S, key_a, "one");
    assert_int_equal(get(t, S, key_a, &e), LK_OK);
    assert_true(e.owner == 5 && e.expires_s == in_s(10) && e.seen_s == 0 && e.version != 0);
    assert_int_equal(get(t, S, key_b, &e), LK_MISS);
    assert_int_equal(lk_table_drop(t, S, key_a), LK_OK);
    assert_int_equal(get(t, S, key_a, &e), LK_MISS);
    assert_int_equal(lk_table_drop(t, S, key_a), LK_MISS);
    lk_table_close(t);
}

static void kinds_are_part_of_the_identity(void **state)
{
    (void)state;
    lk_table *t = check_open(test_env(), SIZE);
    assert_int_equal(lk_table_put(t, S, key_a, 0, in_s(10), LK_VIEW("session")), LK_OK);
    assert_int_equal(lk_table_put(t, LK_ENTRY_FENCE, key_a, 0, in_s(10), LK_VIEW("fence")), LK_OK);
    expect_text(t, S, key_a, "session");
    expect_text(t, LK_ENTRY_FENCE, key_a, "fence");
    assert_int_equal(lk_table_drop(t, S, key_a), LK_OK);
    expect_text(t, LK_ENTRY_FENCE, key_a, "fence");
    assert_int_equal(lk_table_put(t, LK_ENTRY_KINDS, key_a, 0, in_s(10), LK_VIEW("x")), LK_FAULT);
    lk_table_close(t);
}

static void head_of_a_value_is_got_with_a_small_buffer(void **state)
{
    (void)state;
    char buf[8] = "........";
    lk_entry e;
    lk_table *t = check_open(test_env(), SIZE);
    assert_int_equal(lk_table_put(t, S, key_a, 0, in_s(10), LK_VIEW("0123456789abcdef")), LK_OK);
    assert_int_equal(lk_table_get(t, S, key_a, 0, buf, 5, &e), LK_FULL);
    assert_int_equal(e.len, 16);
    assert_memory_equal(buf, "01234...", 8); /* nothing behind the end of the buffer */
    assert_int_equal(lk_table_get(t, S, key_a, 0, NULL, 0, &e), LK_FULL);
    assert_int_equal(e.len, 16);
    assert_int_equal(lk_table_put(t, S, key_a, 0, in_s(10), lk_view_make(NULL, 0)), LK_OK);
    assert_int_equal(lk_table_get(t, S, key_a, 0, NULL, 0, &e), LK_OK); /* an empty value needs no room */
    assert_int_equal(e.len, 0);
    lk_table_close(t);
}

static void values_of_every_length_come_back(void **state)
{
    (void)state;
    static uint8_t value[3000], back[3000];
    lk_table *t = check_open(test_env(), SIZE);
    for (size_t i = 0; i < sizeof(value); i++) {
        value[i] = (uint8_t)(i * 31 + 7);
    }
    for (size_t len = 0; len < sizeof(value); len++) {
        lk_entry e;
        assert_int_equal(lk_table_put(t, S, key_a, 1, in_s(10), lk_view_make(value, len)), LK_OK);
        assert_int_equal(lk_table_get(t, S, key_a, 0, back, sizeof(back), &e), LK_OK);
        assert_int_equal(e.len, len);
        assert_memory_equal(back, value, len);
    }
    lk_table_close(t);
}

static void entry_is_missed_from_its_end_on(void **state)
{
    (void)state;
    lk_entry e;
    uint32_t removed;
    lk_table *t = check_open(test_env(), SIZE);
    assert_int_equal(lk_table_put(t, S, key_a, 3, in_s(10), LK_VIEW("one")), LK_OK);
    assert_int_equal(lk_table_get(t, S, key_a, in_s(9), NULL, 0, &e), LK_FULL);
    assert_int_equal(lk_table_get(t, S, key_a, in_s(10), NULL, 0, &e), LK_MISS);
    assert_int_equal(lk_table_get(t, S, key_a, 0, NULL, 0, &e), LK_FULL); /* without a time nothing is over */
    test_clock_advance_ms(10000);
    assert_int_equal(lk_table_touch(t, S, key_a, 1, in_s(100), NULL), LK_MISS); /* touching does not revive */
    assert_int_equal(lk_table_put_if(t, S, key_a, e.version, in_s(100), LK_VIEW("two")), LK_MISS);
    assert_int_equal(lk_table_drop_if(t, S, key_a, e.version + 1), LK_MISS);
    assert_int_equal(lk_table_add(t, S, key_a, 4, in_s(10), LK_VIEW("three")), LK_OK);
    expect_text(t, S, key_a, "three");
    assert_int_equal(lk_table_sweep(t, in_s(9), 100, 1000, &removed), LK_OK);
    assert_int_equal(removed, 0);
    assert_int_equal(lk_table_sweep(t, in_s(10), 100, 1000, &removed), LK_OK);
    assert_int_equal(removed, 1);
    assert_int_equal(lk_table_held(t, S), 0);
    lk_table_close(t);
}

static void add_is_refused_while_the_entry_lives(void **state)
{
    (void)state;
    lk_table *t = check_open(test_env(), SIZE);
    assert_int_equal(lk_table_add(t, S, key_a, 0, in_s(10), LK_VIEW("one")), LK_OK);
    assert_int_equal(lk_table_add(t, S, key_a, 0, in_s(10), LK_VIEW("two")), LK_REFUSED);
    expect_text(t, S, key_a, "one");
    assert_int_equal(lk_table_drop(t, S, key_a), LK_OK);
    assert_int_equal(lk_table_add(t, S, key_a, 0, in_s(10), LK_VIEW("two")), LK_OK);
    expect_text(t, S, key_a, "two");
    lk_table_close(t);
}

static void versions_decide_who_may_replace_and_drop(void **state)
{
    (void)state;
    lk_entry first, e;
    lk_table *t = check_open(test_env(), SIZE);
    assert_int_equal(lk_table_put_if(t, S, key_a, 1, in_s(10), LK_VIEW("one")), LK_MISS);
    assert_int_equal(lk_table_put(t, S, key_a, 9, in_s(10), LK_VIEW("one")), LK_OK);
    assert_int_equal(get(t, S, key_a, &first), LK_OK);
    assert_int_equal(lk_table_put_if(t, S, key_a, first.version, in_s(20), LK_VIEW("two")), LK_OK);
    assert_int_equal(lk_table_put_if(t, S, key_a, first.version, in_s(30), LK_VIEW("three")), LK_STALE);
    expect_text(t, S, key_a, "two");
    assert_int_equal(get(t, S, key_a, &e), LK_OK);
    assert_true(e.version != first.version && e.owner == 9 && e.expires_s == in_s(20));
    assert_int_equal(lk_table_drop_if(t, S, key_a, first.version), LK_STALE);
    expect_text(t, S, key_a, "two");
    assert_int_equal(lk_table_touch(t, S, key_a, 5, 0, NULL), LK_OK); /* a touch is no new version */
    assert_int_equal(lk_table_drop_if(t, S, key_a, e.version), LK_OK);
    assert_int_equal(lk_table_drop_if(t, S, key_a, e.version), LK_MISS);
    /* Put again, even with the same bytes, it is another version: no ABA. */
    assert_int_equal(lk_table_put(t, S, key_a, 9, in_s(20), LK_VIEW("two")), LK_OK);
    assert_int_equal(lk_table_put_if(t, S, key_a, e.version, in_s(20), LK_VIEW("x")), LK_STALE);
    lk_table_close(t);
}

static void touch_moves_forward_and_never_back(void **state)
{
    (void)state;
    lk_entry e;
    uint32_t moved;
    lk_table *t = check_open(test_env(), SIZE);
    assert_int_equal(lk_table_touch(t, S, key_a, 50, in_s(10), &moved), LK_MISS);
    assert_int_equal(lk_table_put(t, S, key_a, 0, in_s(10), LK_VIEW("one")), LK_OK);
    assert_int_equal(lk_table_touch(t, S, key_a, 50, in_s(20), &moved), LK_OK);
    assert_int_equal(moved, 50);
    assert_int_equal(lk_table_touch(t, S, key_a, 40, in_s(15), &moved), LK_OK);
    assert_int_equal(moved, 0);
    assert_int_equal(lk_table_touch(t, S, key_a, 57, 0, &moved), LK_OK);
    assert_int_equal(moved, 7);
    assert_int_equal(get(t, S, key_a, &e), LK_OK);
    assert_int_equal(e.seen_s, 57);
    assert_true(e.expires_s == in_s(20));
    assert_int_equal(lk_table_put(t, S, key_a, 0, in_s(5), LK_VIEW("two")), LK_OK);
    assert_int_equal(get(t, S, key_a, &e), LK_OK);
    assert_int_equal(e.seen_s, 57); /* a write keeps when it was seen */
    assert_true(e.expires_s == in_s(5));
    lk_table_close(t);
}

static void counter_adds_up_and_begins_anew_when_it_is_over(void **state)
{
    (void)state;
    int64_t value;
    lk_entry e;
    lk_table *t = check_open(test_env(), SIZE);
    int64_t now_s = in_s(0);
    assert_int_equal(lk_table_count(t, key_a, 3, now_s, now_s + 60, &value), LK_OK);
    assert_int_equal(value, 3);
    assert_int_equal(lk_table_count(t, key_a, 4, now_s + 59, now_s + 120, &value), LK_OK);
    assert_int_equal(value, 7);
    assert_int_equal(lk_table_count(t, key_a, -2, now_s + 59, now_s + 120, &value), LK_OK);
    assert_int_equal(value, 5);
    assert_int_equal(lk_table_get(t, LK_ENTRY_COUNTER, key_a, now_s, &value, sizeof(value), &e), LK_OK);
    assert_true(value == 5 && e.expires_s == now_s + 60); /* counting does not prolong it */
    assert_int_equal(lk_table_count(t, key_a, 1, now_s + 60, now_s + 120, &value), LK_OK);
    assert_int_equal(value, 1);
    assert_int_equal(lk_table_count(t, key_a, INT64_MAX, now_s + 60, now_s + 120, &value), LK_OK);
    assert_true(value == INT64_MAX); /* and stays there */
    assert_int_equal(lk_table_count(t, key_b, 1, now_s, now_s + 1, &value), LK_OK);
    assert_int_equal(value, 1);
    assert_int_equal(lk_table_held(t, LK_ENTRY_COUNTER), 2);
    lk_table_close(t);
}

typedef struct walk {
    uint32_t visits, stop_after;
    uint64_t version;
} walk;

static bool visit(void *context, const uint8_t key[LK_TABLE_KEY_LEN], const lk_entry *e, lk_view value)
{
    walk *w = context;
    (void)key;
    (void)value;
    w->visits++;
    w->version = e->version;
    return w->visits != w->stop_after;
}

static void list_goes_by_owner_and_kind_in_pages(void **state)
{
    (void)state;
    walk w = {0};
    uint64_t cursor = 0;
    lk_table *t = check_open(test_env(), SIZE);
    for (uint64_t n = 0; n < 50; n++) {
        uint8_t key[LK_TABLE_KEY_LEN];
        check_key(n, key);
        assert_int_equal(lk_table_put(t, S, key, n % 2 == 0 ? 7 : 8, in_s(10), LK_VIEW("v")), LK_OK);
        assert_int_equal(lk_table_put(t, LK_ENTRY_FENCE, key, 7, in_s(10), LK_VIEW("v")), LK_OK);
    }
    assert_int_equal(lk_table_list(t, S, 7, &cursor, 10, visit, &w), LK_OK);
    assert_int_equal(w.visits, 10);
    assert_true(cursor != 0);
    assert_int_equal(lk_table_list(t, S, 7, &cursor, 100, visit, &w), LK_OK);
    assert_int_equal(w.visits, 25);
    assert_int_equal(cursor, 0);
    w = (walk){.stop_after = 3};
    assert_int_equal(lk_table_list(t, S, 8, &cursor, 100, visit, &w), LK_OK);
    assert_int_equal(w.visits, 3);
    assert_true(cursor != 0); /* it can go on where it was told to stop */
    w.stop_after = 0;
    assert_int_equal(lk_table_list(t, S, 8, &cursor, 100, visit, &w), LK_OK);
    assert_int_equal(w.visits, 25);
    w = (walk){0};
    assert_int_equal(lk_table_list(t, S, 99, &cursor, 100, visit, &w), LK_OK);
    assert_int_equal(w.visits, 0);
    lk_table_close(t);
}

/* EACH may itself read, write and drop: no lock is held. */
static bool drop_it(void *context, const uint8_t key[LK_TABLE_KEY_LEN], const lk_entry *e, lk_view value)
{
    (void)value;
    assert_int_equal(lk_table_drop_if(context, S, key, e->version), LK_OK);
    return true;
}

static void entries_may_be_dropped_while_they_are_listed(void **state)
{
    (void)state;
    uint64_t cursor = 0;
    lk_table *t = check_open(test_env(), SIZE);
    for (uint64_t n = 0; n < 100; n++) {
        uint8_t key[LK_TABLE_KEY_LEN];
        check_key(n, key);
        assert_int_equal(lk_table_put(t, S, key, 1, in_s(10), LK_VIEW("v")), LK_OK);
    }
    lk_table_lock(t, 1);
    do {
        assert_int_equal(lk_table_list(t, S, 1, &cursor, 7, drop_it, t), LK_OK);
    } while (cursor != 0);
    lk_table_unlock(t, 1);
    assert_int_equal(lk_table_held(t, S), 0);
    lk_table_close(t);
}

static void sweep_stops_at_its_bounds_and_goes_on(void **state)
{
    (void)state;
    uint32_t removed, sum = 0, calls = 0;
    lk_status status;
    lk_table *t = check_open(test_env(), SIZE);
    for (uint64_t n = 0; n < 1000; n++) {
        uint8_t key[LK_TABLE_KEY_LEN];
        check_key(n, key);
        assert_int_equal(lk_table_put(t, S, key, 1 + n, in_s(10), LK_VIEW("v")), LK_OK);
    }
    do {
        status = lk_table_sweep(t, in_s(10), 90, 1000, &removed);
        assert_true(removed <= 90);
        sum += removed;
        calls++;
    } while (status == LK_FULL);
    assert_int_equal(status, LK_OK);
    assert_int_equal(sum, 1000);
    assert_true(calls >= 12);
    lk_table_close(t);
}

static void words_and_names_belong_to_the_table(void **state)
{
    (void)state;
    uint8_t a[LK_TABLE_KEY_LEN], b[LK_TABLE_KEY_LEN];
    lk_table *t = check_open(test_env(), SIZE);
    for (unsigned i = 0; i < LK_TABLE_WORDS; i++) {
        assert_int_equal(atomic_load(lk_table_word(t, i)), 0);
        atomic_store(lk_table_word(t, i), i + 1);
    }
    for (unsigned i = 0; i < LK_TABLE_WORDS; i++) {
        assert_int_equal(atomic_load(lk_table_word(t, i)), i + 1);
    }
    lk_table_key(t, LK_ENTRY_CUTOFF, LK_VIEW("user:alice"), a);
    lk_table_key(t, LK_ENTRY_CUTOFF, LK_VIEW("user:alice"), b);
    assert_memory_equal(a, b, sizeof(a));
    lk_table_key(t, LK_ENTRY_CUTOFF, LK_VIEW("user:alicf"), b);
    assert_memory_not_equal(a, b, sizeof(a));
    assert_int_equal(lk_table_made_s(t), in_s(0));
    lk_table_close(t);
}

/* The table stays usable after a holder of a group has died with it. */
static void group_of_a_dead_holder_is_taken_over(void **state)
{
    (void)state;
    lk_table_stats stats;
    int status;
    lk_table *t = check_open(test_env(), SIZE);
    pid_t pid = fork();
    if (pid == 0) {
        lk_table_lock(t, 42);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    lk_table_lock(t, 42);
    lk_table_unlock(t, 42);
    lk_table_stats_read(t, &stats);
    assert_int_equal(stats.taken_over, 1);
    lk_table_close(t);
}

/* Not reaped yet: the pid is still there, but nobody runs under it. */
static void zombie_counts_as_dead(void **state)
{
    (void)state;
    siginfo_t info;
    int status;
    lk_table *t = check_open(test_env(), SIZE);
    pid_t pid = fork();
    if (pid == 0) {
        lk_table_lock(t, 42);
        _exit(0);
    }
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    lk_table_lock(t, 42);
    lk_table_unlock(t, 42);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    lk_table_close(t);
}

static void living_holder_is_waited_for(void **state)
{
    (void)state;
    int ends[2], status;
    char byte;
    lk_table_stats stats;
    lk_table *t = check_open(test_env(), SIZE);
    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    if (pid == 0) {
        lk_table_lock(t, 42);
        if (write(ends[1], "x", 1) != 1) {
            _exit(1);
        }
        (void)usleep(200000);
        atomic_store(lk_table_word(t, 0), 1);
        lk_table_unlock(t, 42);
        _exit(0);
    }
    assert_int_equal(read(ends[0], &byte, 1), 1);
    lk_table_lock(t, 42);
    assert_int_equal(atomic_load(lk_table_word(t, 0)), 1);
    lk_table_unlock(t, 42);
    lk_table_stats_read(t, &stats);
    assert_int_equal(stats.taken_over, 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    lk_table_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_put_is_got_and_what_was_dropped_is_missed),
        cmocka_unit_test(kinds_are_part_of_the_identity),
        cmocka_unit_test(head_of_a_value_is_got_with_a_small_buffer),
        cmocka_unit_test(values_of_every_length_come_back),
        cmocka_unit_test(entry_is_missed_from_its_end_on),
        cmocka_unit_test(add_is_refused_while_the_entry_lives),
        cmocka_unit_test(versions_decide_who_may_replace_and_drop),
        cmocka_unit_test(touch_moves_forward_and_never_back),
        cmocka_unit_test(counter_adds_up_and_begins_anew_when_it_is_over),
        cmocka_unit_test(list_goes_by_owner_and_kind_in_pages),
        cmocka_unit_test(entries_may_be_dropped_while_they_are_listed),
        cmocka_unit_test(sweep_stops_at_its_bounds_and_goes_on),
        cmocka_unit_test(words_and_names_belong_to_the_table),
        cmocka_unit_test(group_of_a_dead_holder_is_taken_over),
        cmocka_unit_test(zombie_counts_as_dead),
        cmocka_unit_test(living_holder_is_waited_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
