/* SPDX-License-Identifier: Apache-2.0
 *
 * replace.c - a new id takes the place of an old one.
 */
#include "contract.h"

static lk_status replace(unsigned old, unsigned next, int64_t grace_until_s)
{
    lk_session s = session_of(next);
    lk_session_key key = key_of(old);

    s.previous = key;
    s.generation = 2;
    return lk_store_replace(store, &key, 1, &s, grace_until_s, FENCE_S, NO_LIMIT);
}

static void old_session_stays_readable_until_the_grace_ends(void **state)
{
    lk_session old, next, expected = session_of(2);
    lk_reason why;

    (void)state;
    assert_int_equal(create(1), LK_OK);
    assert_int_equal(replace(1, 2, NOW_S + 10), LK_OK);
    assert_int_equal(look(1, &old, NULL), LK_OK);
    assert_int_equal(old.flags, LK_SESSION_ENDING);
    assert_int_equal(old.expires_s, NOW_S + 10);
    assert_field(&old, "cart", "[1,2]");
    assert_int_equal(lk_session_alive(&old, NOW_S + 9, &why), LK_OK);
    assert_int_equal(lk_session_alive(&old, NOW_S + 10, &why), LK_STALE);
    assert_int_equal(why, LK_REASON_REPLACED);
    assert_int_equal(look(2, &next, NULL), LK_OK);
    expected.previous = key_of(1);
    expected.generation = 2;
    assert_same(&expected, &next);
}

static void old_session_is_neither_changed_touched_nor_replaced_again(void **state)
{
    lk_touch touch = {.key = key_of(1), .seen_s = NOW_S + 5};
    lk_session s;

    (void)state;
    assert_int_equal(create(1), LK_OK);
    assert_int_equal(replace(1, 2, NOW_S + 10), LK_OK);
    assert_int_equal(change(1, op_set("a", "1")), LK_STALE);
    assert_int_equal(lk_store_touch_many(store, &touch, 1), LK_OK);
    assert_int_equal(replace(1, 3, NOW_S + 10), LK_STALE);
    assert_int_equal(status_of(3), LK_MISS);
    assert_int_equal(look(1, &s, NULL), LK_OK);
    assert_int_equal(s.seen_s, NOW_S);
    assert_field(&s, "a", NULL);
}

static void old_session_is_not_listed(void **state)
{
    (void)state;
    assert_int_equal(create(1), LK_OK);
    assert_int_equal(replace(1, 2, NOW_S + 10), LK_OK);
    assert_int_equal(listed("shop", "u1", 10), 1);
}

static void old_session_is_swept_after_the_grace(void **state)
{
    lk_store_count count;

    (void)state;
    assert_int_equal(create(1), LK_OK);
    assert_int_equal(replace(1, 2, NOW_S + 10), LK_OK);
    assert_int_equal(sweep_all(NOW_S + 11 + 60 + IDLE_S / 8), 1);
    assert_int_equal(lk_store_counts(store, &count), LK_OK);
    assert_int_equal(count.sessions, 1);
    assert_int_equal(status_of(2), LK_OK);
}

static void grace_does_not_lengthen_a_life(void **state)
{
    lk_session s = session_of(1);

    (void)state;
    s.expires_s = NOW_S + 5;
    assert_int_equal(lk_store_create(store, &s, NO_LIMIT, NULL), LK_OK);
    assert_int_equal(replace(1, 2, NOW_S + 10), LK_OK);
    assert_int_equal(look(1, &s, NULL), LK_OK);
    assert_int_equal(s.expires_s, NOW_S + 5);
}

static void without_grace_the_old_session_is_ended_with_a_fence(void **state)
{
    (void)state;
    assert_int_equal(create(1), LK_OK);
    assert_int_equal(replace(1, 2, 0), LK_OK);
    assert_int_equal(reason_of(1), LK_REASON_REPLACED);
    assert_int_equal(create(1), LK_REFUSED);
    assert_int_equal(status_of(2), LK_OK);
    assert_int_equal(listed("shop", "u1", 10), 1);
}

static void nothing_is_created_when_the_old_session_is_gone_or_in_another_generation(void **state)
{
    lk_session_key key = key_of(1);
    lk_session next = session_of(2), old = session_of(5);

    (void)state;
    assert_int_equal(replace(1, 2, NOW_S + 10), LK_MISS);
    assert_int_equal(create(1), LK_OK);
    assert_int_equal(lk_store_replace(store, &key, 7, &next, NOW_S + 10, FENCE_S, NO_LIMIT), LK_STALE);
    assert_int_equal(lk_store_replace(store, &key, 7, &next, 0, FENCE_S, NO_LIMIT), LK_STALE);
    assert_int_equal(status_of(1), LK_OK);
    assert_int_equal(destroy(1), LK_OK);
    assert_int_equal(replace(1, 2, NOW_S + 10), LK_STALE);
    old.expires_s = NOW_S;
    assert_int_equal(lk_store_create(store, &old, NO_LIMIT, NULL), LK_OK);
    assert_int_equal(replace(5, 2, NOW_S + 10), LK_STALE);
    assert_int_equal(status_of(2), LK_MISS);
    assert_int_equal(listed("shop", "u1", 10), 0);
}

static void new_key_that_exists_or_is_fenced_is_refused_and_the_old_session_unharmed(void **state)
{
    lk_session s = session_of(1), found;

    (void)state;
    assert_int_equal(create(1), LK_OK);
    assert_int_equal(create(2), LK_OK);
    assert_int_equal(destroy(3), LK_OK);
    assert_int_equal(replace(1, 2, NOW_S + 10), LK_REFUSED);
    assert_int_equal(replace(1, 3, NOW_S + 10), LK_REFUSED);
    assert_int_equal(replace(1, 2, 0), LK_REFUSED);
    assert_int_equal(look(1, &found, NULL), LK_OK);
    assert_same(&s, &found);
}

static void last_seen_of_the_old_session_is_kept(void **state)
{
    lk_touch touch = {.key = key_of(1), .seen_s = NOW_S + 60};
    lk_session s;

    (void)state;
    assert_int_equal(create(1), LK_OK);
    assert_int_equal(lk_store_touch_many(store, &touch, 1), LK_OK);
    assert_int_equal(replace(1, 2, NOW_S + 70), LK_OK);
    assert_int_equal(look(1, &s, NULL), LK_OK);
    assert_int_equal(s.seen_s, NOW_S + 60);
}

static void login_moves_a_session_from_nobody_to_a_user(void **state)
{
    lk_session visitor = session_of(1);
    uint64_t cursor = 0;
    lk_view none = {0};

    (void)state;
    visitor.flags = LK_SESSION_ANONYMOUS;
    visitor.user = visitor.name = visitor.roles = visitor.scope = none;
    visitor.auth_s = 0;
    assert_int_equal(lk_store_create(store, &visitor, NO_LIMIT, NULL), LK_OK);
    assert_int_equal(listed("shop", "u1", 10), 0);
    assert_int_equal(lk_store_list_by_user(store, LK_VIEW("shop"), none, &cursor, 10, NULL, NULL), LK_OK);
    assert_int_equal(replace(1, 2, NOW_S + 10), LK_OK);
    assert_int_equal(listed("shop", "u1", 10), 1);
}

int run_replace(void)
{
    const struct CMUnitTest tests[] = {
        TEST(old_session_stays_readable_until_the_grace_ends),
        TEST(old_session_is_neither_changed_touched_nor_replaced_again),
        TEST(old_session_is_not_listed),
        TEST(old_session_is_swept_after_the_grace),
        TEST(grace_does_not_lengthen_a_life),
        TEST(without_grace_the_old_session_is_ended_with_a_fence),
        TEST(nothing_is_created_when_the_old_session_is_gone_or_in_another_generation),
        TEST(new_key_that_exists_or_is_fenced_is_refused_and_the_old_session_unharmed),
        TEST(last_seen_of_the_old_session_is_kept),
        TEST(login_moves_a_session_from_nobody_to_a_user),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
