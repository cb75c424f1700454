/* SPDX-License-Identifier: Apache-2.0
 *
 * test_devices.c - devices of a user: registered, listed, renamed, moved from session to session, forgotten.
 */
#include "fixture.h"
#include <pthread.h>

#define MINUTE_MS 60000

static lk_device device_of(const lk_user *user, const char *id)
{
    lk_device d = {.has_secret = true, .issued_ms = lk_now_ms(test_env())};

    snprintf(d.id, sizeof(d.id), "%s", id);
    snprintf(d.user, sizeof(d.user), "%s", user->id);
    snprintf(d.realm, sizeof(d.realm), "%s", user->realm);
    snprintf(d.label, sizeof(d.label), "Phone");
    snprintf(d.device_class, sizeof(d.device_class), "mobile");
    snprintf(d.session, sizeof(d.session), "AAAAAAAAAAAAAAAA");
    memset(d.hash, 7, sizeof(d.hash));
    return d;
}

static void a_device_is_kept_as_it_was_registered(void **state)
{
    lk_user alice = fixture_user("alice");
    lk_device d = device_of(&alice, "device-number-01"), there;

    (void)state;
    assert_int_equal(lk_accounts_device_add(fixture, &d, NULL), LK_OK);
    assert_int_equal(d.ends_s, lk_now_s(test_env()) + 90 * 86400);
    assert_int_equal(d.expires_s, lk_now_s(test_env()) + 400 * 86400);
    assert_int_equal(lk_accounts_device_get(fixture, lk_view_of(d.id), &there), LK_OK);
    assert_memory_equal(&there, &d, sizeof(d));
}

static void a_device_nobody_registered_is_not_there(void **state)
{
    static const char *const ids[] = {"", "device-number-99", "' OR '1'='1", "\xff\xff", "device-number-01x"};
    lk_user alice = fixture_user("alice");
    lk_device d = device_of(&alice, "device-number-01");

    (void)state;
    assert_int_equal(lk_accounts_device_add(fixture, &d, NULL), LK_OK);
    for (size_t i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
        assert_int_equal(lk_accounts_device_get(fixture, lk_view_of(ids[i]), &d), LK_MISS);
    assert_string_equal(d.id, "");
}

static void a_label_or_class_that_breaks_the_rules_is_refused(void **state)
{
    lk_user alice = fixture_user("alice");
    lk_device d = device_of(&alice, "device-number-01");
    lk_note note = {""};

    (void)state;
    snprintf(d.label, sizeof(d.label), "a\nb");
    assert_int_equal(lk_accounts_device_add(fixture, &d, &note), LK_REFUSED);
    assert_non_null(strstr(note.text, "label"));
    snprintf(d.label, sizeof(d.label), "a\xff");
    assert_int_equal(lk_accounts_device_add(fixture, &d, &note), LK_REFUSED);
    snprintf(d.label, sizeof(d.label), "\xe6\x89\x8b\xe6\x9c\xba");
    snprintf(d.device_class, sizeof(d.device_class), "a b");
    assert_int_equal(lk_accounts_device_add(fixture, &d, &note), LK_REFUSED);
    assert_non_null(strstr(note.text, "class"));
    snprintf(d.device_class, sizeof(d.device_class), "tv");
    assert_int_equal(lk_accounts_device_add(fixture, &d, &note), LK_OK);
}

static void a_device_of_nobody_is_not_registered(void **state)
{
    lk_user nobody = {.id = "nobodynobodynobo"};
    lk_device d = device_of(&nobody, "device-number-01");

    (void)state;
    assert_int_equal(lk_accounts_device_add(fixture, &d, NULL), LK_MISS);
    assert_int_equal(fixture_number("SELECT count(*) FROM latchkey_device"), 0);
}

static void of_a_user_there_are_never_more_than_the_bound(void **state)
{
    lk_user alice = fixture_user("alice");
    lk_device all[LK_DEVICES_MAX], first;
    size_t n = 0;

    (void)state;
    for (int i = 0; i < LK_DEVICES_MAX + 3; i++) {
        char id[24];
        snprintf(id, sizeof(id), "device-number%03d", i);
        lk_device d = device_of(&alice, id);
        test_clock_advance_ms(MINUTE_MS);
        assert_int_equal(lk_accounts_device_add(fixture, &d, NULL), LK_OK);
    }
    assert_int_equal(lk_accounts_device_list(fixture, lk_view_of(alice.id), all, &n), LK_OK);
    assert_int_equal(n, LK_DEVICES_MAX);
    assert_string_equal(all[0].id, "device-number052");
    assert_int_equal(fixture_number("SELECT count(*) FROM latchkey_device"), LK_DEVICES_MAX);
    assert_int_equal(lk_accounts_device_get(fixture, LK_VIEW("device-number002"), &first), LK_MISS);
}

static void a_device_is_renamed_and_forgotten_by_its_owner_alone(void **state)
{
    lk_user alice = fixture_user("alice"), bob = fixture_user("bob");
    lk_device d = device_of(&alice, "device-number-01"), was;
    lk_view id = lk_view_of(d.id);

    (void)state;
    assert_int_equal(lk_accounts_device_add(fixture, &d, NULL), LK_OK);
    assert_int_equal(lk_accounts_device_rename(fixture, lk_view_of(bob.id), id, LK_VIEW("mine"), NULL),
                     LK_MISS);
    assert_int_equal(lk_accounts_device_remove(fixture, lk_view_of(bob.id), id, NULL), LK_MISS);
    assert_int_equal(lk_accounts_device_rename(fixture, lk_view_of(alice.id), id, LK_VIEW("Mine"), NULL),
                     LK_OK);
    assert_int_equal(lk_accounts_device_rename(fixture, lk_view_of(alice.id), id, LK_VIEW("Mine"), NULL),
                     LK_OK);
    assert_int_equal(lk_accounts_device_rename(fixture, lk_view_of(alice.id), id, LK_VIEW("a\tb"), NULL),
                     LK_REFUSED);
    assert_int_equal(lk_accounts_device_remove(fixture, lk_view_of(alice.id), id, &was), LK_OK);
    assert_string_equal(was.label, "Mine");
    assert_string_equal(was.session, d.session);
    assert_int_equal(lk_accounts_device_remove(fixture, lk_view_of(alice.id), id, &was), LK_MISS);
}

static void a_device_goes_on_from_the_session_it_was_at_once(void **state)
{
    lk_user alice = fixture_user("alice");
    lk_device d = device_of(&alice, "device-number-01"), late, there;

    (void)state;
    assert_int_equal(lk_accounts_device_add(fixture, &d, NULL), LK_OK);
    late = d;
    test_clock_advance_ms(MINUTE_MS);
    assert_int_equal(lk_accounts_device_move(fixture, &d, LK_VIEW("BBBBBBBBBBBBBBBB")), LK_OK);
    assert_int_equal(lk_accounts_device_move(fixture, &late, LK_VIEW("CCCCCCCCCCCCCCCC")), LK_MISS);
    assert_int_equal(lk_accounts_device_get(fixture, lk_view_of(d.id), &there), LK_OK);
    assert_memory_equal(&there, &d, sizeof(d));
    assert_string_equal(there.session, "BBBBBBBBBBBBBBBB");
    assert_string_equal(there.session_from, "AAAAAAAAAAAAAAAA");
    assert_int_equal(there.ends_s, lk_now_s(test_env()) + 90 * 86400);
    assert_int_equal(lk_accounts_device_remove(fixture, lk_view_of(alice.id), lk_view_of(d.id), NULL), LK_OK);
    assert_int_equal(lk_accounts_device_move(fixture, &d, LK_VIEW("DDDDDDDDDDDDDDDD")), LK_MISS);
}

static void a_device_that_was_put_out_goes_on_after_the_next_login_on_it(void **state)
{
    lk_user alice = fixture_user("alice");
    lk_device d = device_of(&alice, "device-number-01"), other = d, there;

    (void)state;
    assert_int_equal(lk_accounts_device_add(fixture, &d, NULL), LK_OK);
    snprintf(other.session, sizeof(other.session), "BBBBBBBBBBBBBBBB");
    assert_int_equal(lk_accounts_device_put_out(fixture, &other), LK_MISS); /* it has gone on from that one */
    assert_int_equal(lk_accounts_device_put_out(fixture, &d), LK_OK);
    assert_int_equal(lk_accounts_device_put_out(fixture, &d), LK_MISS); /* it is known */
    assert_int_equal(lk_accounts_device_get(fixture, lk_view_of(d.id), &there), LK_OK);
    assert_int_equal(there.put_out_s, lk_now_s(test_env()));
    assert_int_equal(lk_accounts_device_move(fixture, &d, LK_VIEW("CCCCCCCCCCCCCCCC")), LK_MISS);
    assert_int_equal(lk_accounts_device_renew(fixture, &there), LK_OK);
    assert_int_equal(lk_accounts_device_get(fixture, lk_view_of(d.id), &d), LK_OK);
    assert_int_equal(d.put_out_s, 0);
    assert_int_equal(lk_accounts_device_move(fixture, &d, LK_VIEW("CCCCCCCCCCCCCCCC")), LK_OK);
}

static void a_logout_finds_the_session_to_end_as_often_as_it_is_tried(void **state)
{
    lk_user alice = fixture_user("alice"), bob = fixture_user("bob");
    lk_device d = device_of(&alice, "device-number-01"), was;
    lk_view id = lk_view_of(d.id), user = lk_view_of(alice.id);

    (void)state;
    assert_int_equal(lk_accounts_device_add(fixture, &d, NULL), LK_OK);
    assert_int_equal(lk_accounts_device_stop(fixture, lk_view_of(bob.id), id, &was), LK_MISS);
    assert_int_equal(lk_accounts_device_move(fixture, &d, LK_VIEW("BBBBBBBBBBBBBBBB")), LK_OK);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(lk_accounts_device_stop(fixture, user, id, &was), LK_OK);
        assert_string_equal(was.session, "BBBBBBBBBBBBBBBB");
        assert_int_equal(lk_accounts_device_move(fixture, &d, LK_VIEW("CCCCCCCCCCCCCCCC")), LK_MISS);
    }
    assert_int_equal(lk_accounts_device_remove(fixture, user, id, NULL), LK_OK);
    assert_int_equal(lk_accounts_device_stop(fixture, user, id, &was), LK_MISS);
}

static lk_device start;

static void *move_one(void *context)
{
    lk_device d = start;
    char next[LK_PUBLIC_ID_LEN + 1];

    snprintf(next, sizeof(next), "next-session%04d", *(const int *)context);
    return (void *)(intptr_t)lk_accounts_device_move(fixture, &d, lk_view_of(next));
}

static void of_many_who_move_a_device_at_once_one_does(void **state)
{
    lk_user alice = fixture_user("alice");
    pthread_t threads[6];
    int numbers[6], moved = 0;

    (void)state;
    start = device_of(&alice, "device-number-01");
    assert_int_equal(lk_accounts_device_add(fixture, &start, NULL), LK_OK);
    for (int i = 0; i < 6; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, move_one, &numbers[i]), 0);
    }
    for (int i = 0; i < 6; i++) {
        void *status;
        assert_int_equal(pthread_join(threads[i], &status), 0);
        assert_true((intptr_t)status == LK_OK || (intptr_t)status == LK_MISS);
        moved += (intptr_t)status == LK_OK;
    }
    assert_int_equal(moved, 1);
}

static void a_challenge_counts_once_and_none_before_it(void **state)
{
    lk_user alice = fixture_user("alice");
    lk_device d = device_of(&alice, "device-number-01");
    lk_view id = lk_view_of(d.id);

    (void)state;
    assert_int_equal(lk_accounts_device_add(fixture, &d, NULL), LK_OK);
    assert_int_equal(lk_accounts_device_proved(fixture, id, 1000), LK_OK);
    assert_int_equal(lk_accounts_device_proved(fixture, id, 1000), LK_MISS);
    assert_int_equal(lk_accounts_device_proved(fixture, id, 999), LK_MISS);
    assert_int_equal(lk_accounts_device_proved(fixture, id, 1001), LK_OK);
    assert_int_equal(lk_accounts_device_proved(fixture, LK_VIEW("device-number-02"), 1001), LK_MISS);
}

static void a_new_login_on_a_device_begins_its_lives_anew(void **state)
{
    lk_user alice = fixture_user("alice"), bob = fixture_user("bob");
    lk_device d = device_of(&alice, "device-number-01"), there;

    (void)state;
    assert_int_equal(lk_accounts_device_add(fixture, &d, NULL), LK_OK);
    test_clock_advance_ms(10 * MINUTE_MS);
    memset(d.hash, 9, sizeof(d.hash));
    d.issued_ms = lk_now_ms(test_env());
    assert_int_equal(lk_accounts_device_renew(fixture, &d), LK_OK);
    assert_int_equal(lk_accounts_device_get(fixture, lk_view_of(d.id), &there), LK_OK);
    assert_memory_equal(&there, &d, sizeof(d));
    assert_int_equal(there.expires_s, lk_now_s(test_env()) + 400 * 86400);
    snprintf(d.user, sizeof(d.user), "%s", bob.id);
    assert_int_equal(lk_accounts_device_renew(fixture, &d), LK_MISS);
}

static void what_is_over_is_listed_no_more_and_goes_with_the_next_registration(void **state)
{
    lk_user alice = fixture_user("alice"), bob = fixture_user("bob");
    lk_device d = device_of(&alice, "device-number-01"), all[LK_DEVICES_MAX];
    size_t n = 9;

    (void)state;
    assert_int_equal(lk_accounts_device_add(fixture, &d, NULL), LK_OK);
    test_clock_advance_ms(90LL * 86400 * 1000);
    assert_int_equal(lk_accounts_device_list(fixture, lk_view_of(alice.id), all, &n), LK_OK);
    assert_int_equal(n, 0);
    d = device_of(&bob, "device-number-02");
    assert_int_equal(lk_accounts_device_add(fixture, &d, NULL), LK_OK);
    assert_int_equal(fixture_number("SELECT count(*) FROM latchkey_device"), 1);
}

static void a_setting_that_was_lowered_ends_devices_sooner(void **state)
{
    lk_user alice = fixture_user("alice");
    lk_device d = device_of(&alice, "device-number-01");

    (void)state;
    assert_int_equal(lk_accounts_device_add(fixture, &d, NULL), LK_OK);
    fixture_settings.device_idle_s = 3600;
    assert_int_equal(lk_accounts_device_get(fixture, lk_view_of(d.id), &d), LK_OK);
    assert_int_equal(d.ends_s, lk_now_s(test_env()) + 3600);
}

static void devices_go_with_their_user(void **state)
{
    lk_user alice = fixture_user("alice");
    lk_device d = device_of(&alice, "device-number-01");

    (void)state;
    assert_int_equal(lk_accounts_device_add(fixture, &d, NULL), LK_OK);
    assert_int_equal(lk_accounts_remove(fixture, lk_view_of(alice.id)), LK_OK);
    assert_int_equal(fixture_number("SELECT count(*) FROM latchkey_device"), 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_device_is_kept_as_it_was_registered),
        TEST(a_device_nobody_registered_is_not_there),
        TEST(a_label_or_class_that_breaks_the_rules_is_refused),
        TEST(a_device_of_nobody_is_not_registered),
        TEST(of_a_user_there_are_never_more_than_the_bound),
        TEST(a_device_is_renamed_and_forgotten_by_its_owner_alone),
        TEST(a_device_goes_on_from_the_session_it_was_at_once),
        TEST(a_device_that_was_put_out_goes_on_after_the_next_login_on_it),
        TEST(a_logout_finds_the_session_to_end_as_often_as_it_is_tried),
        TEST(of_many_who_move_a_device_at_once_one_does),
        TEST(a_challenge_counts_once_and_none_before_it),
        TEST(a_new_login_on_a_device_begins_its_lives_anew),
        TEST(what_is_over_is_listed_no_more_and_goes_with_the_next_registration),
        TEST(a_setting_that_was_lowered_ends_devices_sooner),
        TEST(devices_go_with_their_user),
    };
    return cmocka_run_group_tests(tests, fixture_begin, fixture_end);
}
