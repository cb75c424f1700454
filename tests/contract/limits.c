/* SPDX-License-Identifier: Apache-2.0
 *
 * limits.c - at most N live sessions per user, however many log in at once.
 */
#include "contract.h"

static lk_status create_as(unsigned n, const char *realm, const char *user, uint32_t max, uint32_t *ended)
{
    lk_session s = session_of(n);

    s.realm = lk_view_of(realm);
    s.user = lk_view_of(user);
    s.seen_s = NOW_S + n;
    return lk_store_create(store, &s, (lk_limit){.max = max, .fence_s = FENCE_S}, ended);
}

static void sessions_seen_longest_ago_are_ended(void **state)
{
    lk_touch touch = {.key = key_of(0), .seen_s = NOW_S + 100};
    uint32_t ended = 9;

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(create_as(i, "shop", "u1", 3, &ended), LK_OK);
        assert_int_equal(ended, 0);
    }
    assert_int_equal(lk_store_touch_many(store, &touch, 1), LK_OK);
    assert_int_equal(create_as(3, "shop", "u1", 3, &ended), LK_OK);
    assert_int_equal(ended, 1);
    assert_int_equal(reason_of(1), LK_REASON_REPLACED);
    assert_int_equal(status_of(0), LK_OK);
    assert_int_equal(create_as(1, "shop", "u1", 3, &ended), LK_REFUSED);
    assert_int_equal(create_as(4, "shop", "u1", 1, &ended), LK_OK);
    assert_int_equal(ended, 3);
    assert_int_equal(listed("shop", "u1", 10), 1);
    assert_int_equal(status_of(4), LK_OK);
}

static void limit_of_one_user_reaches_no_other(void **state)
{
    uint32_t ended;

    (void)state;
    assert_int_equal(create_as(0, "shop", "u1", 0, &ended), LK_OK);
    assert_int_equal(create_as(1, "shop", "u12", 1, &ended), LK_OK);
    assert_int_equal(create_as(2, "shop2", "u1", 1, &ended), LK_OK);
    assert_int_equal(create_as(3, "", "u1", 1, &ended), LK_OK);
    assert_int_equal(create_as(4, "shop", "", 1, &ended), LK_OK);
    assert_int_equal(create_as(5, "shop", "", 1, &ended), LK_OK);
    for (unsigned i = 0; i < 6; i++)
        assert_int_equal(status_of(i), LK_OK);
}

static void session_that_is_replaced_does_not_count(void **state)
{
    lk_session s = session_of(9);
    lk_session_key old = key_of(0);
    uint32_t ended;

    (void)state;
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(create_as(i, "shop", "u1", 3, &ended), LK_OK);
    assert_int_equal(lk_store_replace(store, &old, 1, &s, NOW_S + 10, FENCE_S, (lk_limit){3, FENCE_S}),
                     LK_OK);
    assert_int_equal(listed("shop", "u1", 10), 3);
    assert_int_equal(status_of(0), LK_OK); /* ending */
    s = session_of(10);
    old = key_of(9);
    assert_int_equal(lk_store_replace(store, &old, 1, &s, NOW_S + 10, FENCE_S, (lk_limit){2, FENCE_S}),
                     LK_OK);
    assert_int_equal(listed("shop", "u1", 10), 2);
    assert_int_equal(reason_of(1), LK_REASON_REPLACED);
}

static bool log_in_five_times(lk_store *own, unsigned i, void *context)
{
    const unsigned *first = context;

    for (unsigned n = 0; n < 5; n++) {
        lk_session s = session_of(*first + i * 5 + n);

        CHECK(lk_store_create(own, &s, (lk_limit){.max = 3, .fence_s = FENCE_S}, NULL) == LK_OK);
    }
    return true;
}

static void fifty_parallel_logins_leave_exactly_the_limit(void **state)
{
    (void)state;
    for (unsigned first = 0; first < 200; first += 50) {
        unsigned alive = 0, ended = 0;

        in_children(10, log_in_five_times, &first);
        assert_int_equal(listed("shop", "u1", 10), 3);
        for (unsigned n = 0; n < first + 50; n++) {
            lk_reason why;
            lk_status status = look(n, NULL, &why);

            alive += status == LK_OK;
            ended += status == LK_STALE && why == LK_REASON_REPLACED;
        }
        assert_int_equal(alive, 3);
        assert_int_equal(ended, first + 47);
    }
}

int run_limits(void)
{
    const struct CMUnitTest tests[] = {
        TEST(sessions_seen_longest_ago_are_ended),
        TEST(limit_of_one_user_reaches_no_other),
        TEST(session_that_is_replaced_does_not_count),
        TEST(fifty_parallel_logins_leave_exactly_the_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
