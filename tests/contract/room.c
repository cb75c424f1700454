/* SPDX-License-Identifier: Apache-2.0
 *
 * room.c - running out of room: logins stop or push out the oldest, reading and logging out go on. What
 * becomes of a database whose disk is full: tests/faults.
 */
#include "contract.h"
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>

#define MANY 20000

/* Create until the store is full; gives how many there are. In a cluster one of the servers is full then. */
static unsigned fill(void)
{
    unsigned n = 0;
    lk_status status = LK_OK;

    while (n < MANY && status == LK_OK)
        status = create(n++);
    assert_int_equal(status, LK_FULL);
    return n - 1;
}

/* Fill every server. */
static void fill_everywhere(void)
{
    unsigned n = fill(), refused = 0;

    while (is_cluster && refused < 50)
        refused = create(++n) == LK_FULL ? refused + 1 : 0;
}

static void full_store_refuses_logins_and_keeps_reading(void **state)
{
    unsigned n;
    lk_store_count count;

    (void)state;
    n = fill();
    assert_true(n > 300);
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(status_of(i), LK_OK);
    assert_int_equal(status_of(n), LK_MISS);
    assert_int_equal(listed("shop", "u1", 100), n);
    assert_int_equal(lk_store_counts(store, &count), LK_OK);
    assert_int_equal(count.sessions, n);
    assert_int_equal(count.evicted, 0);
}

static void people_can_log_out_of_a_full_store(void **state)
{
    lk_cutoff c = {
        .level = LK_LEVEL_ALL, .reason = LK_REASON_REVOKED, .before_ms = NOW_S * 1000, .until_s = NOW_S + 10};
    lk_touch touch = {.key = key_of(5), .seen_s = NOW_S + 50};
    lk_session s;
    unsigned n;

    (void)state;
    n = fill();
    assert_int_equal(lk_store_cutoff_append(store, &c), LK_OK);
    assert_int_equal(lk_store_touch_many(store, &touch, 1), LK_OK);
    assert_int_equal(look(5, &s, NULL), LK_OK);
    assert_int_equal(s.seen_s, NOW_S + 50);
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(destroy(i), LK_OK);
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(reason_of(i), LK_REASON_KICKED);
}

static void room_that_is_freed_is_used_again(void **state)
{
    unsigned n, again = 0;

    (void)state;
    n = fill();
    for (unsigned round = 0; round < (is_server ? 2 : 5); round++) {
        sweep_all(NOW_S + IDLE_S + 60 + IDLE_S / 8 + 1);
        again = fill();
        assert_true(again > n * 3 / 4);
    }
}

static void change_that_grows_a_session_in_a_full_store_is_full_and_the_session_unharmed(void **state)
{
    static char text[9000];
    lk_session s, before = session_of(1);
    lk_op op = op_set("big", "");

    (void)state;
    memset(text, 'x', sizeof(text));
    text[0] = text[sizeof(text) - 1] = '"';
    op.value = lk_view_make(text, sizeof(text));
    fill_everywhere();
    assert_int_equal(change(1, op), LK_FULL);
    assert_int_equal(look(1, &s, NULL), LK_OK);
    assert_same(&before, &s);
    assert_int_equal(change(1, op_set("cart", "[]")), LK_OK);
}

static void full_table_pushes_out_sessions_and_counts_them(void **state)
{
    lk_store_count count;

    (void)state;
    for (unsigned i = 0; i < MANY; i++) {
        lk_session s = session_of(i);

        s.seen_s = NOW_S + i / 100;
        test_clock_set_ms(s.seen_s * 1000);
        assert_int_equal(lk_store_create(store, &s, NO_LIMIT, NULL), LK_OK);
    }
    assert_int_equal(lk_store_counts(store, &count), LK_OK);
    assert_true(count.evicted > 0);
    assert_true(count.sessions + count.evicted >= MANY);
    assert_int_equal(status_of(MANY - 1), LK_OK);
    assert_int_equal(status_of(0), LK_MISS);
}

static void fences_are_not_pushed_out(void **state)
{
    lk_status status = LK_OK;
    unsigned n = 0;

    (void)state;
    while (status == LK_OK && n < 10 * MANY)
        status = destroy(n++);
    assert_int_equal(status, LK_FULL);
    for (unsigned i = 0; i < n - 1; i++)
        assert_int_equal(reason_of(i), LK_REASON_KICKED);
}

/* The file may not grow beyond some size: as a disk that is full, for this process. */
static bool fill_within(lk_store *own, unsigned i, void *context)
{
    const struct rlimit bound = {.rlim_cur = 8000000, .rlim_max = 8000000};
    lk_status status = LK_OK;
    unsigned n = 0;
    uint32_t swept;

    (void)i;
    (void)context;
    signal(SIGXFSZ, SIG_IGN);
    CHECK(setrlimit(RLIMIT_FSIZE, &bound) == 0);
    store = own;
    while (n < MANY && status == LK_OK)
        status = create(n++);
    CHECK(status == LK_FULL && n > 100);
    for (unsigned k = 0; k < n - 1; k++)
        CHECK(status_of(k) == LK_OK);
    CHECK(status_of(n - 1) == LK_MISS);
    CHECK(create(n) == LK_FULL);
    for (unsigned k = 0; k < n - 1; k++)
        CHECK(destroy(k) == LK_OK);
    CHECK(lk_store_sweep(own, FENCE_S + 1, 1000000, 1000000, &swept) == LK_OK);
    for (unsigned k = 0; k < n / 2; k++)
        CHECK(create(k) == LK_OK);
    return true;
}

static void disk_that_is_full_refuses_logins_and_lets_people_read_and_log_out(void **state)
{
    (void)state;
    if (strncmp(store_dir(), "/dev/shm", 8) != 0) /* elsewhere the bound breaks a write in two: EIO */
        skip();
    in_children(1, fill_within, NULL);
    assert_int_equal(create(MANY + 1), LK_OK);
    assert_int_equal(status_of(0), LK_OK);
}

static bool grow_beyond(lk_store *own, unsigned i, void *context)
{
    (void)own;
    (void)i;
    (void)context;
    for (unsigned n = 0; n < 3000; n++) {
        lk_session s = session_of(n);

        CHECK(lk_store_create(own, &s, NO_LIMIT, NULL) == LK_OK);
    }
    return true;
}

static bool open_larger_and_grow(lk_store *own, unsigned i, void *context)
{
    char url[300];
    lk_store *larger;

    lk_store_close(own);
    snprintf(url, sizeof(url), "lmdb:%s?map=64m", store_dir());
    CHECK(lk_store_open(test_env(), url, NULL, &larger, NULL) == LK_OK);
    CHECK(grow_beyond(larger, i, context));
    lk_store_close(larger);
    _exit(0);
}

static void store_that_another_process_lets_grow_larger_grows_here_too(void **state)
{
    (void)state;
    assert_int_equal(create(5000), LK_OK); /* this process has mapped 1 MiB */
    in_children(1, open_larger_and_grow, NULL);
    for (unsigned n = 0; n < 3000; n++)
        assert_int_equal(status_of(n), LK_OK);
    assert_int_equal(create(5001), LK_OK);
    assert_int_equal(listed("shop", "u1", 100), 3002);
}

int run_room(void)
{
    const struct CMUnitTest of_memory[] = {
        TEST_SMALL(full_table_pushes_out_sessions_and_counts_them),
        TEST_SMALL(fences_are_not_pushed_out),
    };
    const struct CMUnitTest of_bounded[] = {
        TEST_SMALL(full_store_refuses_logins_and_keeps_reading),
        TEST_SMALL(people_can_log_out_of_a_full_store),
        TEST_SMALL(room_that_is_freed_is_used_again),
        TEST_SMALL(change_that_grows_a_session_in_a_full_store_is_full_and_the_session_unharmed),
    };
    const struct CMUnitTest of_lmdb[] = {
        TEST(disk_that_is_full_refuses_logins_and_lets_people_read_and_log_out),
        TEST_SMALL(store_that_another_process_lets_grow_larger_grows_here_too),
    };

    if (is_memory)
        return cmocka_run_group_tests(of_memory, NULL, NULL);
    if (is_lmdb)
        return cmocka_run_group_tests(of_bounded, NULL, NULL) + cmocka_run_group_tests(of_lmdb, NULL, NULL);
    return is_redis ? cmocka_run_group_tests(of_bounded, NULL, NULL) : 0;
}
