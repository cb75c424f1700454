/* SPDX-License-Identifier: Apache-2.0
 *
 * sweep.c - removing what is over, within a budget.
 */
#include "contract.h"

#define KEPT_S (60 + IDLE_S / 8) /* how long past its end a record is kept */

static uint64_t held(void)
{
    lk_store_count count;

    assert_int_equal(lk_store_counts(store, &count), LK_OK);
    return count.sessions;
}

static void what_is_over_goes_and_what_is_alive_stays(void **state)
{
    lk_touch touch = {.key = key_of(1), .seen_s = NOW_S + 900};
    lk_session remembered = session_of(3);

    (void)state;
    remembered.idle_s = 0;
    assert_int_equal(create(1), LK_OK);
    assert_int_equal(create(2), LK_OK);
    assert_int_equal(lk_store_create(store, &remembered, NO_LIMIT, NULL), LK_OK);
    assert_int_equal(lk_store_touch_many(store, &touch, 1), LK_OK);
    assert_int_equal(sweep_all(NOW_S + IDLE_S + KEPT_S - 1), 0);
    assert_int_equal(sweep_all(NOW_S + IDLE_S + KEPT_S + 1), 1);
    assert_int_equal(status_of(1), LK_OK);
    assert_int_equal(status_of(2), LK_MISS);
    assert_int_equal(status_of(3), LK_OK);
    assert_int_equal(sweep_all(NOW_S + 900 + IDLE_S + KEPT_S + 1), 1);
    assert_int_equal(status_of(1), LK_MISS);
    assert_int_equal(status_of(3), LK_OK);
    assert_int_equal(sweep_all(NOW_S + LIFE_S + 61), 1);
    assert_int_equal(held(), 0);
}

static void session_touched_again_and_again_outlives_every_sweep(void **state)
{
    lk_touch touch = {.key = key_of(1)};

    (void)state;
    assert_int_equal(create(1), LK_OK);
    for (unsigned i = 1; i < 40; i++) {
        touch.seen_s = NOW_S + i * 1000;
        test_clock_set_ms(touch.seen_s * 1000);
        assert_int_equal(lk_store_touch_many(store, &touch, 1), LK_OK);
        assert_int_equal(sweep_all(touch.seen_s), 0);
        assert_int_equal(status_of(1), LK_OK);
    }
    assert_int_equal(listed("shop", "u1", 10), 1);
}

static void sweep_keeps_to_its_budget_of_rows_and_says_that_more_is_waiting(void **state)
{
    int64_t then_s = NOW_S + IDLE_S + KEPT_S + 1;
    uint32_t removed = 0, all = 0, rounds = 0;
    lk_status status;

    (void)state;
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(create(i), LK_OK);
    do {
        status = lk_store_sweep(store, then_s, 30, 1000, &removed);
        assert_true(removed <= 30);
        all += removed;
        rounds++;
    } while (status == LK_FULL && rounds < 1000);
    assert_int_equal(status, LK_OK);
    assert_int_equal(all, 100);
    assert_true(rounds > 2);
    assert_int_equal(held(), 0);
}

static int64_t hurried_ms(const lk_env *env)
{
    static int64_t now_ms;

    (void)env;
    return now_ms += 1000;
}

static void sweep_that_is_out_of_time_at_once_still_gets_somewhere(void **state)
{
    int64_t then_s = NOW_S + IDLE_S + KEPT_S + 1;
    uint32_t removed = 0, rounds = 0;
    lk_env hurried = *test_env();
    lk_store *other;
    lk_status status;

    (void)state;
    hurried.mono_ms = hurried_ms;
    assert_int_equal(lk_store_open(&hurried, store_url(), store_table(), &other, NULL), LK_OK);
    for (unsigned i = 0; i < 300; i++)
        assert_int_equal(create(i), LK_OK);
    do {
        status = lk_store_sweep(other, then_s, 1000, 0, &removed);
        rounds++;
    } while (status == LK_FULL && rounds < 1000);
    lk_store_close(other);
    assert_int_equal(status, LK_OK);
    assert_true(rounds > 1 || is_memory || is_redis); /* these go by a clock of their own */
    assert_int_equal(held(), 0);
}

static void nothing_to_sweep_is_fine(void **state)
{
    uint32_t removed = 7;

    (void)state;
    assert_int_equal(lk_store_sweep(store, NOW_S, 10, 10, &removed), LK_OK);
    assert_int_equal(removed, 0);
    assert_int_equal(create(1), LK_OK);
    assert_int_equal(lk_store_sweep(store, NOW_S, 10, 10, &removed), LK_OK);
    assert_int_equal(removed, 0);
}

static void fence_falls_after_its_time_and_not_before(void **state)
{
    (void)state;
    assert_int_equal(create(1), LK_OK);
    assert_int_equal(destroy(1), LK_OK);
    test_clock_set_ms((FENCE_S - 1) * 1000);
    sweep_all(FENCE_S - 1);
    assert_int_equal(reason_of(1), LK_REASON_KICKED);
    test_clock_set_ms((FENCE_S + 1) * 1000);
    sweep_all(FENCE_S + 1);
    assert_int_equal(status_of(1), LK_MISS);
    assert_int_equal(create(1), LK_OK);
}

static bool sweep_too(lk_store *own, unsigned i, void *context)
{
    uint32_t removed;
    lk_status status;

    (void)i;
    (void)context;
    do {
        status = lk_store_sweep(own, NOW_S + IDLE_S + KEPT_S + 1, 50, 100, &removed);
        CHECK(status == LK_OK || status == LK_FULL);
    } while (status == LK_FULL);
    return true;
}

static void several_processes_may_sweep_at_once(void **state)
{
    lk_session late = session_of(5000);

    (void)state;
    late.idle_s = 2 * IDLE_S;
    assert_int_equal(lk_store_create(store, &late, NO_LIMIT, NULL), LK_OK);
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(create(i), LK_OK);
    in_children(4, sweep_too, NULL);
    sweep_all(NOW_S + IDLE_S + KEPT_S + 1);
    assert_int_equal(held(), 1);
    assert_int_equal(status_of(5000), LK_OK);
}

int run_sweep(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_over_goes_and_what_is_alive_stays),
        TEST(session_touched_again_and_again_outlives_every_sweep),
        TEST(sweep_keeps_to_its_budget_of_rows_and_says_that_more_is_waiting),
        TEST(nothing_to_sweep_is_fine),
        TEST(fence_falls_after_its_time_and_not_before),
        TEST(several_processes_may_sweep_at_once),
    };
    const struct CMUnitTest of_one[] = {
        TEST(sweep_that_is_out_of_time_at_once_still_gets_somewhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL) +
           (is_moving ? 0 : cmocka_run_group_tests(of_one, NULL, NULL));
}
