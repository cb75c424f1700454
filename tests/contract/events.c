/* SPDX-License-Identifier: Apache-2.0
 *
 * events.c - the ordered stream of cut-offs. The memory store keeps none: its node has them in the table.
 * What else travels in the stream of a remote store: stream.c.
 */
#include "contract.h"

static lk_cutoff cutoff_of(unsigned n)
{
    lk_cutoff c = {.level = (lk_level)(n % LK_LEVEL_COUNT),
                   .reason = n % 2 ? LK_REASON_BANNED : LK_REASON_REVOKED,
                   .before_ms = NOW_S * 1000 - (int64_t)n,
                   .until_s = NOW_S + 1000 + (int64_t)n};

    if (c.level != LK_LEVEL_ALL)
        snprintf(c.key, sizeof(c.key), "shop/u%u", n);
    return c;
}

static void assert_cutoff(const lk_cutoff *a, const lk_cutoff *b)
{
    assert_int_equal(a->level, b->level);
    assert_int_equal(a->reason, b->reason);
    assert_int_equal(a->before_ms, b->before_ms);
    assert_int_equal(a->until_s, b->until_s);
    assert_string_equal(a->key, b->key);
}

static uint64_t newest_seq(lk_store *of)
{
    uint64_t seq = UINT64_MAX;

    return lk_store_event_seq(of, &seq) == LK_OK ? seq : UINT64_MAX;
}

static void append_numbered(unsigned from, unsigned n)
{
    for (unsigned i = from; i < from + n; i++) {
        lk_cutoff c = cutoff_of(i);

        assert_int_equal(lk_store_cutoff_append(store, &c), LK_OK);
        assert_int_equal(c.seq, is_memory ? 0 : i + 1);
    }
}

static void memory_keeps_no_stream(void **state)
{
    lk_event out[4];
    size_t n = 4;

    (void)state;
    append_numbered(0, 3);
    assert_int_equal(newest_seq(store), 0);
    assert_int_equal(lk_store_events_since(store, 0, out, &n), LK_OK);
    assert_int_equal(n, 0);
}

static void events_come_in_order_a_page_at_a_time(void **state)
{
    lk_event out[7];
    uint64_t after = 0;
    unsigned found = 0;
    size_t n;

    (void)state;
    append_numbered(0, 50);
    assert_int_equal(newest_seq(store), 50);
    do {
        n = 7;
        assert_int_equal(lk_store_events_since(store, after, out, &n), LK_OK);
        for (size_t i = 0; i < n; i++) {
            lk_cutoff expected = cutoff_of(found++);

            assert_int_equal(out[i].seq, found);
            assert_cutoff(&out[i].cutoff, &expected);
            after = out[i].seq;
        }
    } while (n > 0);
    assert_int_equal(found, 50);
    n = 7;
    assert_int_equal(lk_store_events_since(store, UINT64_MAX, out, &n), is_remote ? LK_STALE : LK_OK);
    assert_int_equal(n, 0);
}

static void number_follows_what_other_writes_do_not_move(void **state)
{
    (void)state;
    assert_int_equal(newest_seq(store), 0);
    assert_int_equal(create(1), LK_OK);
    assert_int_equal(newest_seq(store), 0);
    append_numbered(0, 1);
    assert_int_equal(newest_seq(store), 1);
    assert_int_equal(destroy(1), LK_OK);
    assert_int_equal(newest_seq(store), is_remote ? 2 : 1);
}

static bool append_fifty(lk_store *own, unsigned i, void *context)
{
    uint64_t last = 0;

    (void)context;
    for (unsigned n = 0; n < 50; n++) {
        lk_cutoff c = cutoff_of(i * 50 + n);

        CHECK(lk_store_cutoff_append(own, &c) == LK_OK);
        CHECK(c.seq > last);
        CHECK(newest_seq(own) >= c.seq);
        last = c.seq;
    }
    return true;
}

static void appends_of_four_processes_are_seen_by_all_without_a_gap(void **state)
{
    static lk_event out[300];
    size_t n = 300;

    (void)state;
    assert_int_equal(newest_seq(store), 0);
    in_children(4, append_fifty, NULL);
    assert_int_equal(newest_seq(store), 200);
    assert_int_equal(lk_store_events_since(store, 0, out, &n), LK_OK);
    assert_int_equal(n, 200);
    for (unsigned i = 0; i < 200; i++)
        assert_int_equal(out[i].seq, i + 1);
}

static void events_past_their_end_are_swept_and_numbers_go_on(void **state)
{
    static lk_event out[100];
    size_t n = 100;
    lk_cutoff c = cutoff_of(20);

    (void)state;
    append_numbered(0, 20);
    assert_int_equal(sweep_all(NOW_S + 1000 + 9), 10);
    assert_int_equal(lk_store_events_since(store, 0, out, &n), LK_OK);
    assert_int_equal(n, 10);
    assert_int_equal(out[0].seq, 11);
    /* A remote store keeps the newest event, so that who follows the stream can tell that it goes on. */
    assert_in_range(sweep_all(NOW_S + 5000), is_remote ? 9 : 10, 10);
    assert_int_equal(newest_seq(store), 20);
    lk_store_close(store);
    store = open_again();
    assert_int_equal(newest_seq(store), 20);
    assert_int_equal(lk_store_cutoff_append(store, &c), LK_OK);
    assert_int_equal(c.seq, 21);
    n = 100;
    assert_int_equal(lk_store_events_since(store, 20, out, &n), LK_OK);
    assert_int_equal(n, 1);
}

int run_events(void)
{
    const struct CMUnitTest of_memory[] = {TEST(memory_keeps_no_stream)};
    const struct CMUnitTest of_kept[] = {
        TEST(events_come_in_order_a_page_at_a_time),
        TEST(number_follows_what_other_writes_do_not_move),
        TEST(appends_of_four_processes_are_seen_by_all_without_a_gap),
        TEST(events_past_their_end_are_swept_and_numbers_go_on),
    };

    return is_memory ? cmocka_run_group_tests(of_memory, NULL, NULL)
                     : cmocka_run_group_tests(of_kept, NULL, NULL);
}
