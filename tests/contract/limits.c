/* SPDX-License-Identifier: Apache-2.0
 *
 * limits.c - how many live sessions a user may have, in all and of one device class, and who goes: however
 * many log in at once.
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
    assert_int_equal(
        lk_store_replace(store, &old, 1, &s, NOW_S + 10, FENCE_S, (lk_limit){.max = 3, .fence_s = FENCE_S}),
        LK_OK);
    assert_int_equal(listed("shop", "u1", 10), 3);
    assert_int_equal(status_of(0), LK_OK); /* ending */
    s = session_of(10);
    old = key_of(9);
    assert_int_equal(
        lk_store_replace(store, &old, 1, &s, NOW_S + 10, FENCE_S, (lk_limit){.max = 2, .fence_s = FENCE_S}),
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

/* Session number N of the class, under LIMIT. */
static lk_status enter(unsigned n, const char *class, lk_limit limit, uint32_t *ended)
{
    lk_session s = session_of(n);

    s.device_class = lk_view_of(class);
    s.seen_s = NOW_S + n;
    s.issued_s = NOW_S - n;
    s.expires_s = NOW_S + LIFE_S + (n % 3) * 100;
    limit.fence_s = FENCE_S;
    return lk_store_create(store, &s, limit, ended);
}

static void class_excludes_its_own_and_no_other(void **state)
{
    lk_limit one = {.class_max = 1}, any = {0};
    uint32_t ended;
    lk_session s;

    (void)state;
    assert_int_equal(enter(0, "mobile", any, &ended), LK_OK);
    assert_int_equal(enter(1, "mobil", any, &ended), LK_OK);
    assert_int_equal(enter(2, "", any, &ended), LK_OK);
    assert_int_equal(enter(3, "desktop", one, &ended), LK_OK);
    assert_int_equal(ended, 0);
    assert_int_equal(enter(4, "mobile", one, &ended), LK_OK);
    assert_int_equal(ended, 1);
    assert_int_equal(reason_of(0), LK_REASON_REPLACED);
    assert_int_equal(look(4, &s, NULL), LK_OK);
    assert_true(lk_view_equal(s.device_class, LK_VIEW("mobile")));
    assert_int_equal(enter(5, "", one, &ended), LK_OK); /* no class is one, too */
    assert_int_equal(ended, 1);
    assert_int_equal(reason_of(2), LK_REASON_REPLACED);
    assert_int_equal(listed("shop", "u1", 10), 4);
}

static void limit_of_a_class_is_kept_before_that_of_all(void **state)
{
    lk_limit both = {.max = 3, .class_max = 2};
    uint32_t ended;

    (void)state;
    assert_int_equal(enter(0, "desktop", both, &ended), LK_OK);
    assert_int_equal(enter(1, "mobile", both, &ended), LK_OK);
    assert_int_equal(enter(2, "mobile", both, &ended), LK_OK);
    /* The second mobile goes for the third, so that nobody else has to. */
    assert_int_equal(enter(3, "mobile", both, &ended), LK_OK);
    assert_int_equal(ended, 1);
    assert_int_equal(reason_of(1), LK_REASON_REPLACED);
    assert_int_equal(status_of(0), LK_OK);
    assert_int_equal(enter(4, "tablet", both, &ended), LK_OK);
    assert_int_equal(ended, 1);
    assert_int_equal(reason_of(0), LK_REASON_REPLACED);
    assert_int_equal(listed("shop", "u1", 10), 3);
}

static void each_policy_ends_whom_it_says(void **state)
{
    static const struct {
        lk_victim victim;
        unsigned ended;
    } cases[] = {{LK_VICTIM_LONGEST_IDLE, 1}, {LK_VICTIM_OLDEST, 5}, {LK_VICTIM_SOONEST_EXPIRY, 3}};
    lk_limit any = {0};

    (void)state;
    for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        unsigned first = 12 * i;
        lk_session_key key;
        uint32_t ended;

        for (unsigned n = first + 1; n < first + 6; n++)
            assert_int_equal(enter(n, "mobile", any, &ended), LK_OK);
        assert_int_equal(enter(first + 8, "mobile", (lk_limit){.max = 5, .victim = cases[i].victim}, &ended),
                         LK_OK);
        assert_int_equal(ended, 1);
        assert_int_equal(reason_of(first + cases[i].ended), LK_REASON_REPLACED);
        for (unsigned n = first + 1; n < first + 9; n++) {
            key = key_of(n);
            assert_int_equal(lk_store_destroy(store, &key, LK_REASON_KICKED, FENCE_S), LK_OK);
        }
    }
}

static void limit_that_refuses_ends_nobody_and_makes_nothing(void **state)
{
    bool refused = false;
    lk_limit two = {.max = 2, .class_max = 1, .victim = LK_VICTIM_REFUSE, .refused = &refused};
    lk_session_key key = key_of(0);
    uint32_t ended;

    (void)state;
    assert_int_equal(enter(0, "mobile", two, &ended), LK_OK);
    assert_int_equal(enter(1, "mobile", two, &ended), LK_FULL);
    assert_true(refused);
    assert_int_equal(status_of(1), LK_MISS);
    assert_int_equal(enter(0, "mobile", two, &ended), LK_REFUSED); /* the key is taken: that comes first */
    assert_false(refused);
    assert_int_equal(enter(2, "desktop", two, &ended), LK_OK);
    assert_int_equal(enter(3, "tablet", two, &ended), LK_FULL);
    assert_true(refused);
    assert_int_equal(status_of(0), LK_OK);
    assert_int_equal(status_of(2), LK_OK);
    assert_int_equal(listed("shop", "u1", 10), 2);
    assert_int_equal(lk_store_destroy(store, &key, LK_REASON_KICKED, FENCE_S), LK_OK);
    assert_int_equal(enter(1, "mobile", two, &ended), LK_OK);
    assert_false(refused);
    assert_int_equal(ended, 0);
}

static void refused_change_of_id_leaves_the_old_session_as_it_was(void **state)
{
    bool refused = false;
    lk_limit one = {.class_max = 1, .fence_s = FENCE_S, .victim = LK_VICTIM_REFUSE, .refused = &refused};
    lk_session s = session_of(9), old;
    lk_session_key key = key_of(0);
    uint32_t ended;

    (void)state;
    assert_int_equal(enter(0, "mobile", (lk_limit){0}, &ended), LK_OK);
    assert_int_equal(enter(1, "desktop", (lk_limit){0}, &ended), LK_OK);
    s.device_class = LK_VIEW("desktop");
    assert_int_equal(lk_store_replace(store, &key, 1, &s, NOW_S + 10, FENCE_S, one), LK_FULL);
    assert_true(refused);
    assert_int_equal(status_of(9), LK_MISS);
    assert_int_equal(look(0, &old, NULL), LK_OK);
    assert_int_equal(old.flags, 0);
    assert_int_equal(listed("shop", "u1", 10), 2);
    /* In the place of one of its own class it does not count beside it. */
    s.device_class = LK_VIEW("mobile");
    assert_int_equal(lk_store_replace(store, &key, 1, &s, NOW_S + 10, FENCE_S, one), LK_OK);
    assert_false(refused);
    assert_int_equal(listed("shop", "u1", 10), 2);
}

static void sessions_behind_api_keys_count_nowhere_and_are_never_ended(void **state)
{
    bool refused = false;
    lk_limit one = {.max = 1, .fence_s = FENCE_S};
    lk_session key = session_of(0);
    uint32_t ended;

    (void)state;
    key.flags = LK_SESSION_API_KEY;
    assert_int_equal(create_as(1, "shop", "u1", 0, &ended), LK_OK);
    assert_int_equal(lk_store_create(store, &key, one, &ended), LK_OK);
    assert_int_equal(ended, 0);
    assert_int_equal(create_as(2, "shop", "u1", 1, &ended), LK_OK);
    assert_int_equal(ended, 1);
    assert_int_equal(reason_of(1), LK_REASON_REPLACED);
    assert_int_equal(status_of(0), LK_OK);
    one.victim = LK_VICTIM_REFUSE;
    one.refused = &refused;
    key = session_of(3);
    key.flags = LK_SESSION_API_KEY;
    assert_int_equal(lk_store_create(store, &key, one, &ended), LK_OK);
    assert_int_equal(listed("shop", "u1", 10), 3); /* logging the user out finds them */
}

static void session_behind_a_token_counts_as_one(void **state)
{
    lk_session token = session_of(0);
    uint32_t ended;

    (void)state;
    token.flags = LK_SESSION_TOKEN;
    assert_int_equal(lk_store_create(store, &token, NO_LIMIT, &ended), LK_OK);
    assert_int_equal(create_as(1, "shop", "u1", 1, &ended), LK_OK);
    assert_int_equal(ended, 1);
    assert_int_equal(reason_of(0), LK_REASON_REPLACED);
}

typedef struct crowd {
    unsigned first;
    lk_victim victim;
} crowd;

/* Log in once, of one class, wherever there is room. */
static bool log_in_once(lk_store *own, unsigned i, void *context)
{
    const crowd *c = context;
    lk_session s = session_of(c->first + i), other = session_of(c->first + 100 + i);
    bool refused = false;
    lk_limit limit = {.class_max = 3, .fence_s = FENCE_S, .victim = c->victim, .refused = &refused};
    lk_status status;

    s.device_class = LK_VIEW("mobile");
    other.device_class = LK_VIEW("desktop");
    status = lk_store_create(own, &s, limit, NULL);
    CHECK(c->victim == LK_VICTIM_REFUSE ? status == LK_OK || (status == LK_FULL && refused)
                                        : status == LK_OK);
    if (i % 5 == 0)
        CHECK(lk_store_create(own, &other, (lk_limit){0}, NULL) == LK_OK);
    return true;
}

static void count_class(unsigned first, unsigned *mobiles, unsigned *desktops)
{
    *mobiles = *desktops = 0;
    for (unsigned n = 0; n < 20; n++) {
        *mobiles += status_of(first + n) == LK_OK;
        *desktops += status_of(first + 100 + n) == LK_OK;
    }
}

static void twenty_logins_of_one_class_at_once_never_leave_more_than_its_limit(void **state)
{
    static const lk_victim victims[] = {LK_VICTIM_LONGEST_IDLE, LK_VICTIM_OLDEST, LK_VICTIM_SOONEST_EXPIRY,
                                        LK_VICTIM_REFUSE};
    unsigned mobiles, desktops;

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        crowd c = {1000 * i, victims[i]};

        in_children(20, log_in_once, &c);
        count_class(c.first, &mobiles, &desktops);
        assert_int_equal(mobiles, 3);
        assert_int_equal(desktops, 4);
        for (unsigned n = 0; n < 20; n++)
            assert_int_equal(destroy(c.first + n), LK_OK);
    }
}

int run_limits(void)
{
    const struct CMUnitTest tests[] = {
        TEST(sessions_seen_longest_ago_are_ended),
        TEST(limit_of_one_user_reaches_no_other),
        TEST(session_that_is_replaced_does_not_count),
        TEST(fifty_parallel_logins_leave_exactly_the_limit),
        TEST(class_excludes_its_own_and_no_other),
        TEST(limit_of_a_class_is_kept_before_that_of_all),
        TEST(each_policy_ends_whom_it_says),
        TEST(limit_that_refuses_ends_nobody_and_makes_nothing),
        TEST(refused_change_of_id_leaves_the_old_session_as_it_was),
        TEST(sessions_behind_api_keys_count_nowhere_and_are_never_ended),
        TEST(session_behind_a_token_counts_as_one),
        TEST(twenty_logins_of_one_class_at_once_never_leave_more_than_its_limit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
