/* SPDX-License-Identifier: Apache-2.0
 *
 * stream.c - what travels in the stream of a remote store beside cut-offs: word of sessions that ended or
 * were replaced, which copies of them elsewhere wait for. Its order, its end, and waiting for it.
 */
#include "contract.h"
#include "raw.h"
#include <pthread.h>
#include <unistd.h>

#define MANY 400

static lk_event events[MANY];

static uint64_t newest_seq(void)
{
    uint64_t seq = UINT64_MAX;

    assert_int_equal(lk_store_event_seq(store, &seq), LK_OK);
    return seq;
}

static lk_status append_to(lk_store *to, const char *key, int64_t until_s, uint64_t *seq)
{
    lk_cutoff c = {
        .level = LK_LEVEL_USER, .reason = LK_REASON_REVOKED, .before_ms = NOW_S * 1000, .until_s = until_s};
    lk_status status;

    snprintf(c.key, sizeof(c.key), "%s", key);
    status = lk_store_cutoff_append(to, &c);
    *seq = c.seq;
    return status;
}

/* Append a cut-off, after which events are read from there; gives its number. */
static uint64_t begin_here(void)
{
    uint64_t seq;

    assert_int_equal(append_to(store, "shop/here", NOW_S + 1000, &seq), LK_OK);
    return seq;
}

static size_t events_after(uint64_t after)
{
    size_t n = MANY;

    assert_int_equal(lk_store_events_since(store, after, events, &n), LK_OK);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(events[i].seq, after + 1 + i);
    return n;
}

/* Since *AFTER exactly the N sessions with NUMBERS were told of, in any order. */
static void assert_told(uint64_t *after, const unsigned *numbers, size_t n)
{
    assert_int_equal(events_after(*after), n);
    for (size_t i = 0; i < n; i++) {
        bool is_there = false;

        for (size_t k = 0; k < n; k++)
            is_there = is_there || number_of(&events[k].key) == numbers[i];
        assert_true(is_there);
        assert_int_equal(events[i].kind, LK_EVENT_SESSION);
    }
    *after += n;
}

static lk_status replace(unsigned old, unsigned next, int64_t grace_until_s)
{
    lk_session s = session_of(next);
    lk_session_key key = key_of(old);

    s.previous = key;
    return lk_store_replace(store, &key, 1, &s, grace_until_s, FENCE_S, NO_LIMIT);
}

static void each_session_that_ends_is_told_of(void **state)
{
    uint64_t after = begin_here();

    (void)state;
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(create(i), LK_OK);
    assert_told(&after, NULL, 0);
    assert_int_equal(destroy(1), LK_OK);
    assert_told(&after, (unsigned[]){1}, 1);
    assert_int_equal(replace(2, 12, 0), LK_OK);
    assert_told(&after, (unsigned[]){2}, 1);
    assert_int_equal(replace(0, 10, NOW_S + 10), LK_OK);
    assert_told(&after, (unsigned[]){0}, 1);
    assert_int_equal(newest_seq(), after);
}

static void chain_that_is_ended_is_told_of_link_by_link(void **state)
{
    uint64_t after = begin_here();

    (void)state;
    assert_int_equal(create(0), LK_OK);
    assert_int_equal(replace(0, 1, NOW_S + 10), LK_OK);
    assert_int_equal(replace(1, 2, NOW_S + 10), LK_OK);
    assert_told(&after, (unsigned[]){0, 1}, 2);
    assert_int_equal(destroy(2), LK_OK);
    assert_told(&after, (unsigned[]){0, 1, 2}, 3);
}

static void whom_a_limit_ends_is_told_of(void **state)
{
    lk_limit limit = {.max = 2, .fence_s = FENCE_S};
    uint64_t after = begin_here();

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        lk_session s = session_of(i);

        s.seen_s = NOW_S + i;
        assert_int_equal(lk_store_create(store, &s, limit, NULL), LK_OK);
    }
    assert_told(&after, (unsigned[]){0, 1}, 2);
}

static void what_ends_nothing_is_not_told(void **state)
{
    lk_touch touch = {.key = key_of(1), .seen_s = NOW_S + 60};
    lk_session s = session_of(1);
    uint64_t after = begin_here();

    (void)state;
    assert_int_equal(create(1), LK_OK);
    assert_int_equal(create(2), LK_OK);
    assert_int_equal(change(1, op_set("a", "1")), LK_OK);
    assert_int_equal(lk_store_touch_many(store, &touch, 1), LK_OK);
    assert_int_equal(lk_store_create(store, &s, NO_LIMIT, NULL), LK_REFUSED);
    assert_int_equal(replace(1, 2, NOW_S + 10), LK_REFUSED);
    assert_int_equal(replace(7, 8, NOW_S + 10), LK_MISS);
    assert_int_equal(newest_seq(), after);
}

/* ---- the order ---- */

#define WRITERS 4
#define EACH 20

static bool end_and_revoke(lk_store *own, unsigned i)
{
    for (unsigned n = 0; n < EACH; n++) {
        lk_session s = session_of(i * 1000 + n);
        char key[32];
        uint64_t seq, newest;

        snprintf(key, sizeof(key), "shop/%u-%u", i, n);
        CHECK(lk_store_create(own, &s, NO_LIMIT, NULL) == LK_OK);
        CHECK(lk_store_destroy(own, &s.key, LK_REASON_KICKED, FENCE_S) == LK_OK);
        CHECK(append_to(own, key, NOW_S + 1000, &seq) == LK_OK);
        CHECK(lk_store_event_seq(own, &newest) == LK_OK && newest >= seq);
    }
    return true;
}

/* What a follower has seen of each writer. */
typedef struct followed {
    unsigned ended[WRITERS], revoked[WRITERS];
} followed;

/* Each writer ends its session number n before it appends its cut-off number n. */
static bool take_down(followed *f, const lk_event *event)
{
    unsigned i = WRITERS, n = 0;

    if (event->kind == LK_EVENT_SESSION) {
        i = number_of(&event->key) / 1000;
        n = number_of(&event->key) % 1000;
        CHECK(i < WRITERS && f->ended[i] == n);
        f->ended[i]++;
        return true;
    }
    CHECK(sscanf(event->cutoff.key, "shop/%u-%u", &i, &n) == 2);
    CHECK(i < WRITERS && f->revoked[i] == n && f->ended[i] == n + 1);
    f->revoked[i]++;
    return true;
}

static bool follow(lk_store *own, uint64_t after)
{
    followed f = {0};
    int64_t end_ms = real_ms() + 60000;
    unsigned found = 0;

    while (found < 2 * WRITERS * EACH) {
        size_t n = 7;

        CHECK(real_ms() < end_ms);
        CHECK(lk_store_events_wait(own, after, 1000) == LK_OK);
        CHECK(lk_store_events_since(own, after, events, &n) == LK_OK);
        for (size_t i = 0; i < n; i++) {
            CHECK(events[i].seq == ++after);
            CHECK(take_down(&f, &events[i]));
        }
        found += (unsigned)n;
    }
    return true;
}

static bool write_or_follow(lk_store *own, unsigned i, void *context)
{
    return i < WRITERS ? end_and_revoke(own, i) : follow(own, *(const uint64_t *)context);
}

static void followers_see_the_writes_of_four_processes_in_the_order_of_their_commits(void **state)
{
    uint64_t after = begin_here();

    (void)state;
    in_children(WRITERS + 2, write_or_follow, &after);
    assert_int_equal(newest_seq(), after + 2 * WRITERS * EACH);
}

/* ---- the end of a stream ---- */

static void who_comes_too_late_is_told_that_the_stream_does_not_go_on(void **state)
{
    size_t n = MANY;
    uint64_t first = begin_here(), last;

    (void)state;
    assert_int_equal(create(1), LK_OK);
    assert_int_equal(destroy(1), LK_OK);
    last = begin_here();
    assert_int_equal(events_after(first), last - first);
    test_clock_set_ms((NOW_S + 5000) * 1000);
    sweep_all(NOW_S + 5000);
    assert_int_equal(lk_store_events_since(store, first, events, &n), LK_STALE);
    n = MANY;
    assert_int_equal(lk_store_events_since(store, last + 1, events, &n), LK_STALE);
    assert_int_equal(events_after(last), 0);
    assert_int_equal(begin_here(), last + 1);
    assert_int_equal(events_after(last), 1);
}

static void events_are_kept_for_ten_minutes(void **state)
{
    uint64_t first = begin_here();

    (void)state;
    assert_int_equal(create(1), LK_OK);
    assert_int_equal(destroy(1), LK_OK);
    assert_int_equal(create(2), LK_OK);
    assert_int_equal(destroy(2), LK_OK);
    test_clock_set_ms((NOW_S + 590) * 1000);
    sweep_all(NOW_S + 590);
    assert_int_equal(events_after(first), 2);
}

static void stream_that_lost_its_tail_is_another_one(void **state)
{
    lk_store *late;
    size_t n = MANY;
    uint64_t after = begin_here(), lost;

    (void)state;
    assert_true(store_raw()->keep_stream());
    lost = begin_here();
    assert_int_equal(events_after(after), 1);
    assert_true(store_raw()->put_stream_back());
    assert_int_equal(lk_store_events_since(store, lost, events, &n), LK_STALE);
    /* The number is given out again: to who knew the other one that is no going on, to others it is. */
    assert_int_equal(events_after(after), 0);
    assert_int_equal(begin_here(), lost);
    late = open_again();
    assert_non_null(late);
    n = MANY;
    assert_int_equal(lk_store_events_since(late, lost, events, &n), LK_OK);
    lk_store_close(late);
}

static void stream_whose_last_number_is_of_another_event_is_another_one(void **state)
{
    size_t n = MANY;
    uint64_t after = begin_here(), lost;

    (void)state;
    assert_true(store_raw()->keep_stream());
    lost = begin_here();
    assert_int_equal(events_after(after), 1);
    assert_true(store_raw()->put_stream_back());
    assert_int_equal(begin_here(), lost);
    assert_int_equal(lk_store_events_since(store, lost, events, &n), LK_STALE);
    n = MANY;
    assert_int_equal(lk_store_events_since(store, 0, events, &n), LK_OK);
    assert_int_equal(n, 2);
}

static void cutoffs_of_a_snapshot_are_those_that_hold(void **state)
{
    uint64_t seq, last;
    size_t n = MANY;

    (void)state;
    assert_int_equal(append_to(store, "shop/short", NOW_S + 5, &seq), LK_OK);
    assert_int_equal(append_to(store, "shop/long", NOW_S + 5000, &last), LK_OK);
    test_clock_set_ms((NOW_S + 6) * 1000);
    assert_int_equal(lk_store_events_since(store, 0, events, &n), LK_OK);
    assert_int_equal(n, 1);
    assert_string_equal(events[0].cutoff.key, "shop/long");
    assert_int_equal(events[0].seq, last);
    assert_int_equal(events_after(last), 0);
}

/* ---- waiting ---- */

#define LATER_MS 300

static bool append_later(lk_store *own)
{
    uint64_t seq;

    usleep(LATER_MS * 1000);
    return append_to(own, "shop/later", NOW_S + 1000, &seq) == LK_OK;
}

static bool wait_for_it(lk_store *own, uint64_t after)
{
    int64_t begun_ms = real_ms();
    unsigned waits = 0;
    uint64_t seq = after;

    while (seq == after && real_ms() < begun_ms + 10000) {
        CHECK(lk_store_events_wait(own, after, 10000) == LK_OK);
        CHECK(lk_store_event_seq(own, &seq) == LK_OK);
        waits++;
    }
    CHECK(seq == after + 1);
    CHECK(real_ms() - begun_ms < LATER_MS + 8000);
    CHECK(waits < 100); /* it does wait */
    return true;
}

static bool wait_or_append(lk_store *own, unsigned i, void *context)
{
    return i == 0 ? wait_for_it(own, *(const uint64_t *)context) : append_later(own);
}

static void waiting_ends_soon_after_another_process_appended(void **state)
{
    uint64_t after = begin_here();

    (void)state;
    for (unsigned i = 0; i < 3; i++, after++)
        in_children(2, wait_or_append, &after);
}

static void waiting_for_what_is_there_already_ends_at_once(void **state)
{
    uint64_t after = begin_here();
    int64_t begun_ms = real_ms();

    (void)state;
    (void)begin_here();
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(lk_store_events_wait(store, after, 5000), LK_OK);
    assert_true(real_ms() - begun_ms < 4500);
}

static void waiting_for_nothing_ends_in_time(void **state)
{
    uint64_t after = begin_here();
    int64_t begun_ms;

    (void)state;
    assert_int_equal(lk_store_events_wait(store, after, 50), LK_OK); /* connects */
    begun_ms = real_ms();
    assert_int_equal(lk_store_events_wait(store, after, 300), LK_OK);
    assert_true(real_ms() - begun_ms < 300 + 5000);
    begun_ms = real_ms();
    assert_int_equal(lk_store_events_wait(store, after, 0), LK_OK);
    assert_true(real_ms() - begun_ms < 5000);
}

static void *wait_long(void *context)
{
    uint64_t after = *(const uint64_t *)context;

    return lk_store_events_wait(store, after, 10000) == LK_OK ? NULL : context;
}

static void who_waits_holds_up_nobody(void **state)
{
    uint64_t after = begin_here();
    int64_t begun_ms = real_ms();
    pthread_t thread;
    void *failed;

    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, wait_long, &after), 0);
    usleep(50000);
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(create(i), LK_OK);
        assert_int_equal(status_of(i), LK_OK);
    }
    assert_true(real_ms() - begun_ms < 8000);
    assert_int_equal(destroy(1), LK_OK);
    assert_int_equal(pthread_join(thread, &failed), 0);
    assert_null(failed);
}

static void clock_of_the_store_is_a_clock(void **state)
{
    const lk_env *system = lk_env_system();
    int64_t ms = 0, here_ms = is_server || (is_moving && strstr(store_url(), "://") != NULL)
                                  ? system->now_ms(system)
                                  : NOW_S * 1000;

    (void)state;
    assert_int_equal(lk_store_time_ms(store, &ms), LK_OK);
    assert_in_range(ms, here_ms - 2000, here_ms + 2000);
}

int run_stream(void)
{
    const struct CMUnitTest of_all[] = {TEST(clock_of_the_store_is_a_clock)};
    const struct CMUnitTest of_remote[] = {
        TEST(each_session_that_ends_is_told_of),
        TEST(chain_that_is_ended_is_told_of_link_by_link),
        TEST(whom_a_limit_ends_is_told_of),
        TEST(what_ends_nothing_is_not_told),
        TEST(followers_see_the_writes_of_four_processes_in_the_order_of_their_commits),
        TEST(who_comes_too_late_is_told_that_the_stream_does_not_go_on),
        TEST(events_are_kept_for_ten_minutes),
        TEST(cutoffs_of_a_snapshot_are_those_that_hold),
        TEST(waiting_ends_soon_after_another_process_appended),
        TEST(waiting_for_what_is_there_already_ends_at_once),
        TEST(waiting_for_nothing_ends_in_time),
        TEST(who_waits_holds_up_nobody),
    };
    const struct CMUnitTest of_one[] = {
        TEST(stream_that_lost_its_tail_is_another_one),
        TEST(stream_whose_last_number_is_of_another_event_is_another_one),
    };

    return cmocka_run_group_tests(of_all, NULL, NULL) +
           (is_remote ? cmocka_run_group_tests(of_remote, NULL, NULL) : 0) +
           (is_remote && !is_moving ? cmocka_run_group_tests(of_one, NULL, NULL) : 0);
}
