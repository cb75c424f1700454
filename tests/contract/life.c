/* SPDX-License-Identifier: Apache-2.0
 *
 * life.c - create, load, touch, destroy.
 */
#include "contract.h"

static void created_session_is_loaded_as_it_was_written(void **state)
{
    lk_session s = session_of(1), found;

    (void)state;
    assert_int_equal(lk_store_create(store, &s, NO_LIMIT, NULL), LK_OK);
    assert_int_equal(look(1, &found, NULL), LK_OK);
    assert_same(&s, &found);
}

static void session_is_seen_by_a_process_that_starts_later(void **state)
{
    lk_store *mine = store;
    lk_session s = session_of(1), found;

    (void)state;
    assert_int_equal(create(1), LK_OK);
    store = open_again();
    assert_int_equal(look(1, &found, NULL), LK_OK);
    assert_same(&s, &found);
    lk_store_close(store);
    store = mine;
    assert_int_equal(status_of(1), LK_OK);
}

static void head_only_leaves_the_fields_out_and_needs_no_more_room_than_a_head(void **state)
{
    static uint8_t big[LK_FIELDS_BYTES_MAX], buf[LK_HEAD_MAX];
    lk_op op = op_set("big", "");
    lk_load load = {.key = key_of(1), .head_only = true, .buf = buf, .cap = sizeof(buf)};
    lk_session s = session_of(1);

    (void)state;
    memset(big, '1', sizeof(big));
    op.value = lk_view_make(big, 15000);
    big[0] = '"';
    big[14999] = '"';
    assert_int_equal(create(1), LK_OK);
    assert_int_equal(change(1, op), LK_OK);
    assert_int_equal(lk_store_load_many(store, &load, 1), LK_OK);
    assert_int_equal(load.status, LK_OK);
    s.revision = 2;
    s.fields = (lk_view){0};
    assert_same(&s, &load.session);
}

static void buffer_too_small_is_full_and_not_overrun(void **state)
{
    uint8_t buf[LK_HEAD_MAX];
    lk_load load = {.key = key_of(1), .buf = buf};

    (void)state;
    assert_int_equal(create(1), LK_OK);
    for (load.cap = 0; load.cap < 180; load.cap++) {
        load.head_only = load.cap % 2;
        memset(buf, 0xee, sizeof(buf));
        assert_int_equal(lk_store_load_many(store, &load, 1), LK_OK);
        assert_int_equal(load.status, LK_FULL);
        for (size_t i = load.cap; i < sizeof(buf); i++)
            assert_int_equal(buf[i], 0xee);
    }
}

static void unknown_session_is_a_miss(void **state)
{
    (void)state;
    assert_int_equal(status_of(1), LK_MISS);
    assert_int_equal(create(1), LK_OK);
    assert_int_equal(status_of(2), LK_MISS);
}

static void batch_gives_each_question_its_own_answer(void **state)
{
    static uint8_t bufs[100][LK_HEAD_MAX];
    lk_load loads[100];

    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        if (i % 4 != 3)
            assert_int_equal(create(i), LK_OK);
        if (i % 4 == 2)
            assert_int_equal(destroy(i), LK_OK);
        loads[i] =
            (lk_load){.key = key_of(i), .head_only = i % 3 == 0, .buf = bufs[i], .cap = sizeof(bufs[i])};
    }
    loads[40].cap = 3;
    assert_int_equal(lk_store_load_many(store, loads, 100), LK_OK);
    for (unsigned i = 0; i < 100; i++) {
        lk_status expected = i % 4 == 3 ? LK_MISS : i % 4 == 2 ? LK_STALE : i == 40 ? LK_FULL : LK_OK;

        assert_int_equal(loads[i].status, expected);
        if (expected == LK_OK) {
            assert_memory_equal(&loads[i].session.key, &loads[i].key, sizeof(loads[i].key));
            assert_int_equal(loads[i].session.proof[0], i);
            assert_int_equal(loads[i].session.fields.len == 0, i % 3 == 0);
        }
        if (expected == LK_STALE)
            assert_int_equal(loads[i].why, LK_REASON_KICKED);
    }
}

static void key_that_exists_is_refused_and_its_session_unharmed(void **state)
{
    lk_session s = session_of(1), other = session_of(1), found;

    (void)state;
    other.user = LK_VIEW("mallory");
    assert_int_equal(create(1), LK_OK);
    assert_int_equal(lk_store_create(store, &other, NO_LIMIT, NULL), LK_REFUSED);
    assert_int_equal(look(1, &found, NULL), LK_OK);
    assert_same(&s, &found);
    assert_int_equal(listed("shop", "mallory", 10), 0);
}

static void session_over_a_bound_is_not_created(void **state)
{
    lk_session s = session_of(1);
    char user[LK_USER_ID_MAX + 1];

    (void)state;
    memset(user, 'x', sizeof(user));
    s.user = lk_view_make(user, sizeof(user));
    assert_int_equal(lk_store_create(store, &s, NO_LIMIT, NULL), LK_FULL);
    s.user = LK_VIEW("a\nb");
    assert_int_equal(lk_store_create(store, &s, NO_LIMIT, NULL), LK_REFUSED);
    assert_int_equal(status_of(1), LK_MISS);
}

static void destroyed_session_is_stale_with_its_reason(void **state)
{
    (void)state;
    assert_int_equal(create(1), LK_OK);
    assert_int_equal(create(2), LK_OK);
    assert_int_equal(destroy(1), LK_OK);
    assert_int_equal(reason_of(1), LK_REASON_KICKED);
    assert_int_equal(status_of(2), LK_OK);
    assert_int_equal(listed("shop", "u1", 10), 1);
}

static void fence_refuses_to_create_what_was_ended(void **state)
{
    (void)state;
    assert_int_equal(create(1), LK_OK);
    assert_int_equal(destroy(1), LK_OK);
    assert_int_equal(create(1), LK_REFUSED);
    assert_int_equal(reason_of(1), LK_REASON_KICKED);
    assert_int_equal(listed("shop", "u1", 10), 0);
}

static void ending_what_is_not_there_leaves_the_fence_all_the_same(void **state)
{
    (void)state;
    assert_int_equal(destroy(1), LK_OK);
    assert_int_equal(reason_of(1), LK_REASON_KICKED);
    assert_int_equal(create(1), LK_REFUSED);
}

static void ending_twice_keeps_the_first_reason_and_the_later_fence(void **state)
{
    lk_session_key key = key_of(1);

    (void)state;
    assert_int_equal(create(1), LK_OK);
    assert_int_equal(lk_store_destroy(store, &key, LK_REASON_BANNED, NOW_S + 100), LK_OK);
    assert_int_equal(lk_store_destroy(store, &key, LK_REASON_REVOKED, NOW_S + 300), LK_OK);
    assert_int_equal(lk_store_destroy(store, &key, LK_REASON_REVOKED, NOW_S + 200), LK_OK);
    assert_int_equal(reason_of(1), LK_REASON_BANNED);
    sweep_all(NOW_S + 250);
    assert_int_equal(reason_of(1), LK_REASON_BANNED);
    sweep_all(NOW_S + 301);
    assert_int_equal(status_of(1), LK_MISS);
}

static void nothing_writes_a_destroyed_session_back(void **state)
{
    lk_session next = session_of(2);
    lk_session_key key = key_of(1);
    lk_touch touch = {.key = key, .seen_s = NOW_S + 60};

    (void)state;
    assert_int_equal(create(1), LK_OK);
    assert_int_equal(destroy(1), LK_OK);
    assert_int_equal(change(1, op_set("a", "1")), LK_STALE);
    assert_int_equal(lk_store_touch_many(store, &touch, 1), LK_OK);
    assert_int_equal(lk_store_replace(store, &key, 1, &next, NOW_S + 10, FENCE_S, NO_LIMIT), LK_STALE);
    assert_int_equal(create(1), LK_REFUSED);
    assert_int_equal(reason_of(1), LK_REASON_KICKED);
    assert_int_equal(status_of(2), LK_MISS);
}

static void touch_moves_last_seen_forward_and_never_back(void **state)
{
    lk_touch touches[3] = {{.key = key_of(1), .seen_s = NOW_S + 60},
                           {.key = key_of(9), .seen_s = NOW_S + 60}, /* is not there */
                           {.key = key_of(2), .seen_s = NOW_S + 90}};
    lk_session s;

    (void)state;
    assert_int_equal(create(1), LK_OK);
    assert_int_equal(create(2), LK_OK);
    assert_int_equal(lk_store_touch_many(store, touches, 3), LK_OK);
    assert_int_equal(look(1, &s, NULL), LK_OK);
    assert_int_equal(s.seen_s, NOW_S + 60);
    assert_int_equal(s.revision, 1);
    assert_int_equal(look(2, &s, NULL), LK_OK);
    assert_int_equal(s.seen_s, NOW_S + 90);
    touches[0].seen_s = NOW_S + 30;
    assert_int_equal(lk_store_touch_many(store, touches, 1), LK_OK);
    assert_int_equal(look(1, &s, NULL), LK_OK);
    assert_int_equal(s.seen_s, NOW_S + 60);
    assert_int_equal(status_of(9), LK_MISS);
    assert_int_equal(lk_store_touch_many(store, NULL, 0), LK_OK);
}

static void touch_survives_a_change_and_a_change_survives_a_touch(void **state)
{
    lk_touch touch = {.key = key_of(1), .seen_s = NOW_S + 60};
    lk_session s;

    (void)state;
    assert_int_equal(create(1), LK_OK);
    assert_int_equal(lk_store_touch_many(store, &touch, 1), LK_OK);
    assert_int_equal(change(1, op_set("a", "1")), LK_OK);
    assert_int_equal(look(1, &s, NULL), LK_OK);
    assert_int_equal(s.seen_s, NOW_S + 60);
    touch.seen_s = NOW_S + 120;
    assert_int_equal(lk_store_touch_many(store, &touch, 1), LK_OK);
    assert_int_equal(look(1, &s, NULL), LK_OK);
    assert_int_equal(s.seen_s, NOW_S + 120);
    assert_field(&s, "a", "1");
}

static void logout_ends_the_session_that_was_replaced_too_however_often(void **state)
{
    (void)state;
    assert_int_equal(create(0), LK_OK);
    for (unsigned i = 1; i <= 3; i++) {
        lk_session next = session_of(i);
        lk_session_key old = key_of(i - 1);

        next.previous = old;
        assert_int_equal(lk_store_replace(store, &old, 1, &next, NOW_S + 10, FENCE_S, NO_LIMIT), LK_OK);
        assert_int_equal(status_of(i - 1), LK_OK);
    }
    assert_int_equal(destroy(3), LK_OK);
    for (unsigned i = 0; i <= 3; i++)
        assert_int_equal(reason_of(i), LK_REASON_KICKED);
}

static void store_says_what_it_is(void **state)
{
    (void)state;
    assert_true(strncmp(store_url(), lk_store_name(store), strlen(lk_store_name(store))) == 0);
    assert_int_equal(lk_store_is_durable(store), !is_memory);
    assert_int_equal(lk_store_where(store), is_remote ? LK_STORE_REMOTE : LK_STORE_INLINE);
    assert_ptr_equal(lk_store_writes_to(store), store);
}

static void counts_follow_what_is_held(void **state)
{
    lk_store_count empty, full, after;

    (void)state;
    assert_int_equal(lk_store_counts(store, &empty), LK_OK);
    assert_int_equal(empty.sessions, 0);
    for (unsigned i = 0; i < 500; i++)
        assert_int_equal(create(i), LK_OK);
    assert_int_equal(lk_store_counts(store, &full), LK_OK);
    assert_int_equal(full.sessions, 500);
    assert_true(full.bytes > empty.bytes + 500 * 100);
    assert_int_equal(full.evicted, 0);
    for (unsigned i = 0; i < 400; i++)
        assert_int_equal(destroy(i), LK_OK);
    assert_int_equal(lk_store_counts(store, &after), LK_OK);
    assert_int_equal(after.sessions, 100);
}

int run_life(void)
{
    const struct CMUnitTest tests[] = {
        TEST(created_session_is_loaded_as_it_was_written),
        TEST(session_is_seen_by_a_process_that_starts_later),
        TEST(head_only_leaves_the_fields_out_and_needs_no_more_room_than_a_head),
        TEST(buffer_too_small_is_full_and_not_overrun),
        TEST(unknown_session_is_a_miss),
        TEST(batch_gives_each_question_its_own_answer),
        TEST(key_that_exists_is_refused_and_its_session_unharmed),
        TEST(session_over_a_bound_is_not_created),
        TEST(destroyed_session_is_stale_with_its_reason),
        TEST(fence_refuses_to_create_what_was_ended),
        TEST(ending_what_is_not_there_leaves_the_fence_all_the_same),
        TEST(ending_twice_keeps_the_first_reason_and_the_later_fence),
        TEST(nothing_writes_a_destroyed_session_back),
        TEST(touch_moves_last_seen_forward_and_never_back),
        TEST(touch_survives_a_change_and_a_change_survives_a_touch),
        TEST(logout_ends_the_session_that_was_replaced_too_however_often),
        TEST(store_says_what_it_is),
        TEST(counts_follow_what_is_held),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
