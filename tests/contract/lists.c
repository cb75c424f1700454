/* SPDX-License-Identifier: Apache-2.0
 *
 * lists.c - listing: everything once, a page at a time, and an index that cannot leak.
 */
#include "contract.h"

#define MANY 1000

static unsigned times[MANY + 100];
static unsigned in_page;

static bool note_one(void *context, const lk_session *s)
{
    unsigned n;

    (void)context;
    memcpy(&n, s->key.bytes + 8, sizeof(n));
    assert_true(n < MANY + 100);
    assert_int_equal(s->fields.len, 0);
    assert_true(lk_view_equal(s->name, LK_VIEW("Ada Lovelace")));
    times[n]++;
    in_page++;
    return true;
}

static void fill(void)
{
    memset(times, 0, sizeof(times));
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(create(i), LK_OK);
    for (unsigned i = MANY; i < MANY + 100; i++) {
        lk_session s = session_of(i);

        s.user = i % 2 ? LK_VIEW("u11") : LK_VIEW("u");
        assert_int_equal(lk_store_create(store, &s, NO_LIMIT, NULL), LK_OK);
    }
}

static void every_session_of_a_user_comes_exactly_once_whatever_the_page(void **state)
{
    static const uint32_t pages[] = {1, 7, 100, 999, 1000, 1001, 5000};

    (void)state;
    fill();
    for (size_t p = 0; p < sizeof(pages) / sizeof(pages[0]); p++) {
        uint64_t cursor = 0;
        unsigned calls = 0;

        memset(times, 0, sizeof(times));
        do {
            in_page = 0;
            assert_int_equal(lk_store_list_by_user(store, LK_VIEW("shop"), LK_VIEW("u1"), &cursor, pages[p],
                                                   note_one, NULL),
                             LK_OK);
            assert_true(in_page <= pages[p]);
            calls++;
        } while (cursor != 0);
        assert_true(calls <= MANY / pages[p] + 2);
        for (unsigned i = 0; i < MANY + 100; i++)
            assert_int_equal(times[i], i < MANY);
    }
}

static void list_of_all_finds_every_session(void **state)
{
    uint64_t cursor = 0;

    (void)state;
    fill();
    do
        assert_int_equal(lk_store_list(store, &cursor, 64, note_one, NULL), LK_OK);
    while (cursor != 0);
    for (unsigned i = 0; i < MANY + 100; i++)
        assert_true(times[i] >= 1);
}

static void sessions_whose_keys_begin_alike_come_once_too(void **state)
{
    unsigned n = 0;

    (void)state;
    memset(times, 0, sizeof(times));
    for (unsigned i = 0; i < 20; i++) {
        lk_session s = session_of(i);

        memset(s.key.bytes, i < 10 ? 0xff : 0x00, 8); /* the lowest and the highest there can be */
        assert_int_equal(lk_store_create(store, &s, NO_LIMIT, NULL), LK_OK);
    }
    for (uint32_t page = 1; page < 12; page++) {
        uint64_t cursor = 0;

        n++;
        do
            assert_int_equal(
                lk_store_list_by_user(store, LK_VIEW("shop"), LK_VIEW("u1"), &cursor, page, note_one, NULL),
                LK_OK);
        while (cursor != 0);
        for (unsigned i = 0; i < 20; i++)
            assert_int_equal(times[i], n);
    }
}

static void empty_lists_end_at_once(void **state)
{
    uint64_t cursor = 0;

    (void)state;
    in_page = 0;
    assert_int_equal(
        lk_store_list_by_user(store, LK_VIEW("shop"), LK_VIEW("u1"), &cursor, 10, note_one, NULL), LK_OK);
    assert_int_equal(cursor, 0);
    assert_int_equal(lk_store_list(store, &cursor, 10, note_one, NULL), LK_OK);
    assert_int_equal(cursor, 0);
    assert_int_equal(in_page, 0);
}

static bool stop_at_three(void *context, const lk_session *s)
{
    (void)s;
    return ++*(unsigned *)context < 3;
}

static void listing_stops_when_told(void **state)
{
    uint64_t cursor = 0;
    unsigned n = 0;

    (void)state;
    fill();
    assert_int_equal(
        lk_store_list_by_user(store, LK_VIEW("shop"), LK_VIEW("u1"), &cursor, 100, stop_at_three, &n), LK_OK);
    assert_int_equal(n, 3);
    n = 0;
    cursor = 0;
    assert_int_equal(lk_store_list(store, &cursor, 100, stop_at_three, &n), LK_OK);
    assert_int_equal(n, 3);
}

static bool end_it(void *context, const lk_session *s)
{
    lk_session_key key = s->key;

    (void)context;
    return lk_store_destroy(store, &key, LK_REASON_REVOKED, FENCE_S) == LK_OK;
}

static void who_lists_may_end_what_it_is_shown(void **state)
{
    uint64_t cursor = 0;

    (void)state;
    fill();
    do
        assert_int_equal(
            lk_store_list_by_user(store, LK_VIEW("shop"), LK_VIEW("u1"), &cursor, 50, end_it, NULL), LK_OK);
    while (cursor != 0);
    assert_int_equal(listed("shop", "u1", 100), 0);
    assert_int_equal(listed("shop", "u11", 100), 50);
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(reason_of(i), LK_REASON_REVOKED);
}

static void what_is_over_is_not_listed_and_what_may_be_alive_is(void **state)
{
    (void)state;
    assert_int_equal(create(1), LK_OK);
    test_clock_set_ms((NOW_S + IDLE_S + IDLE_S / 10) * 1000);
    assert_int_equal(listed("shop", "u1", 10), 1); /* its last use may not have been written yet */
    test_clock_set_ms((NOW_S + 2 * IDLE_S) * 1000);
    assert_int_equal(listed("shop", "u1", 10), 0);
}

static void thousands_of_logins_and_logouts_leave_no_trace_in_the_index(void **state)
{
    lk_store_count early, late;

    (void)state;
    for (unsigned i = 0; i < fewer(10000); i++) {
        lk_session s = session_of(i);
        lk_session_key key = key_of(i);

        assert_int_equal(lk_store_create(store, &s, NO_LIMIT, NULL), LK_OK);
        assert_int_equal(lk_store_destroy(store, &key, LK_REASON_REVOKED, NOW_S + 1), LK_OK);
        if (i % 500 == 499)
            sweep_all(NOW_S + 2); /* the fences */
        if (i == 999)
            assert_int_equal(lk_store_counts(store, &early), LK_OK);
    }
    assert_int_equal(listed("shop", "u1", 100), 0);
    assert_int_equal(lk_store_counts(store, &late), LK_OK);
    assert_int_equal(late.sessions, 0);
    assert_true(late.bytes <= early.bytes);
}

static void logins_alone_keep_the_index_of_a_user_short(void **state)
{
    lk_store_count count;

    (void)state;
    /* Sessions that end and are never swept: each login of the user trims. */
    for (unsigned i = 0; i < 3000; i++) {
        lk_session s = session_of(i);

        test_clock_set_ms((NOW_S + (int64_t)i * 60) * 1000);
        s.seen_s = NOW_S + (int64_t)i * 60;
        s.expires_s = s.seen_s + 600;
        assert_int_equal(lk_store_create(store, &s, NO_LIMIT, NULL), LK_OK);
    }
    if (is_memory || is_moving) /* the table frees what is over when it needs the room, and in its sweep */
        sweep_all(NOW_S + 2999 * 60);
    assert_int_equal(lk_store_counts(store, &count), LK_OK);
    assert_true(count.sessions < 300);
    assert_true(listed("shop", "u1", 100) >= 10);
}

int run_lists(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_session_of_a_user_comes_exactly_once_whatever_the_page),
        TEST(list_of_all_finds_every_session),
        TEST(sessions_whose_keys_begin_alike_come_once_too),
        TEST(empty_lists_end_at_once),
        TEST(listing_stops_when_told),
        TEST(who_lists_may_end_what_it_is_shown),
        TEST(what_is_over_is_not_listed_and_what_may_be_alive_is),
        TEST(thousands_of_logins_and_logouts_leave_no_trace_in_the_index),
        TEST(logins_alone_keep_the_index_of_a_user_short),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
