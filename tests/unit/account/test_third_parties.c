/* SPDX-License-Identifier: Apache-2.0
 *
 * test_third_parties.c - API keys and OAuth clients as they are kept: rules, bounds, and who is put out.
 */
#include "base/ranges.h"
#include "fixture.h"
#include <latchkey/third_party.h>
#include <pthread.h>

#define NOW_S (test_env()->now_ms(test_env()) / 1000)

static lk_api_key_wish plain_wish(void)
{
    return (lk_api_key_wish){
        .label = LK_VIEW("robot"), .scope = LK_VIEW("orders.read"), .expires_s = NOW_S + 3600};
}

static lk_api_key key_of(const lk_user *user, const char *public)
{
    lk_api_key_wish wish = plain_wish();
    lk_api_key key;

    assert_int_equal(lk_api_key_describe(&wish, NOW_S, &key, NULL), LK_OK);
    snprintf(key.public_id, sizeof(key.public_id), "%s", public);
    memcpy(key.user, user->id, sizeof(key.user));
    key.created_ms = test_env()->now_ms(test_env());
    return key;
}

static lk_status use(const char *public)
{
    lk_api_key key;
    lk_user user;

    return lk_accounts_api_key_use(fixture, lk_view_of(public), &key, &user);
}

static void a_key_is_found_with_all_that_was_said_of_it(void **state)
{
    lk_user alice = fixture_user("alice"), user;
    lk_api_key_wish wish = plain_wish();
    lk_api_key key, found;

    (void)state;
    wish.audience = LK_VIEW("https://api.example  https://api.example");
    wish.addresses = LK_VIEW("192.0.2.0/24 2001:DB8:0::/32");
    wish.scope = LK_VIEW("b  a b");
    wish.roles = LK_VIEW("clerk");
    assert_int_equal(lk_api_key_describe(&wish, NOW_S, &key, NULL), LK_OK);
    assert_string_equal(key.scope, "b a");
    assert_string_equal(key.audience, "https://api.example");
    assert_string_equal(key.addresses, "192.0.2.0/24 2001:db8::/32");
    memcpy(key.public_id, "AAAAAAAA", 9);
    memcpy(key.user, alice.id, sizeof(key.user));
    key.created_ms = 5;
    assert_int_equal(lk_accounts_api_key_add(fixture, &key, 3, NULL), LK_OK);
    assert_int_equal(lk_accounts_api_key_use(fixture, LK_VIEW("AAAAAAAA"), &found, &user), LK_OK);
    assert_memory_equal(&found, &key, sizeof(key));
    assert_string_equal(user.name, "alice");
    assert_int_equal(lk_accounts_api_key_get(fixture, LK_VIEW("AAAAAAAA"), &found), LK_OK);
    assert_int_equal(found.used_s, NOW_S);
    /* byte by byte, also where a server folds case otherwise */
    assert_int_equal(use("AAAAAAAa"), LK_MISS);
    assert_int_equal(use("AAAA'AAA"), LK_MISS);
    assert_int_equal(use(""), LK_MISS);
}

static void wishes_that_break_a_rule_are_refused(void **state)
{
    static const char *const labels[] = {
        "",          "a\nb",  "a\x7f",
        "a\xc2\x85", "a\xff", "12345678901234567890123456789012345678901234567890123456789012345"};
    static const char *const ranges[] = {
        "192.0.2.1/24",    "192.0.2.0/33",
        "::/129",          "192.0.2",
        "192.0.2.0/",      "192.0.2.0/-1",
        "192.0.2.0/+8",    "x",
        "10.0.0.0/08",     "::ffff:192.0.2.0/120",
        "1.1.1.1,2.2.2.2", "1.0.0.1 1.0.0.2 1.0.0.3 1.0.0.4 1.0.0.5 1.0.0.6 1.0.0.7 1.0.0.8 1.0.0.9"};
    static const char *const scopes[] = {"a\"b", "a\\b", "a\x01", "\xc3\xa4"};
    lk_api_key_wish wish;
    lk_api_key key;

    (void)state;
    for (size_t i = 0; i < sizeof(labels) / sizeof(labels[0]); i++) {
        wish = plain_wish();
        wish.label = lk_view_of(labels[i]);
        assert_int_equal(lk_api_key_describe(&wish, NOW_S, &key, NULL), LK_REFUSED);
    }
    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++) {
        wish = plain_wish();
        wish.addresses = lk_view_of(ranges[i]);
        assert_int_equal(lk_api_key_describe(&wish, NOW_S, &key, NULL), LK_REFUSED);
    }
    for (size_t i = 0; i < sizeof(scopes) / sizeof(scopes[0]); i++) {
        wish = plain_wish();
        wish.scope = lk_view_of(scopes[i]);
        assert_int_equal(lk_api_key_describe(&wish, NOW_S, &key, NULL), LK_REFUSED);
        wish = plain_wish();
        wish.audience = lk_view_of(scopes[i]);
        assert_int_equal(lk_api_key_describe(&wish, NOW_S, &key, NULL), LK_REFUSED);
    }
    wish = plain_wish();
    wish.expires_s = NOW_S;
    assert_int_equal(lk_api_key_describe(&wish, NOW_S, &key, NULL), LK_REFUSED);
    wish.expires_s = INT64_MAX;
    assert_int_equal(lk_api_key_describe(&wish, NOW_S, &key, NULL), LK_REFUSED);
}

static void ranges_hold_their_addresses_and_no_other(void **state)
{
    static const struct {
        const char *ranges, *address;
        bool inside;
    } cases[] = {
        {"192.0.2.0/24", "192.0.2.255", true},
        {"192.0.2.0/24", "192.0.3.0", false},
        {"192.0.2.128/25", "192.0.2.127", false},
        {"192.0.2.128/25", "192.0.2.128", true},
        {"0.0.0.0/0", "8.8.8.8", true},
        {"0.0.0.0/0", "::1", false},
        {"::/0", "8.8.8.8", false},
        {"::/0", "2001:db8::1", true},
        {"2001:db8::/33", "2001:db8:8000::", false},
        {"2001:db8::/33", "2001:db8:7fff::", true},
        {"192.0.2.7", "::ffff:192.0.2.7", true},
        {"192.0.2.7", "192.0.2.8", false},
        {"10.0.0.0/8 192.0.2.7", "192.0.2.7", true},
        {"192.0.2.7", "unix:", false},
        {"192.0.2.7", "", false},
        {"", "192.0.2.7", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (lk__ranges_have(lk_view_of(cases[i].ranges), lk_view_of(cases[i].address)) != cases[i].inside)
            fail_msg("%s in %s", cases[i].address, cases[i].ranges);
}

static void keys_are_bounded_for_each_user_and_old_ones_make_room(void **state)
{
    lk_user alice = fixture_user("alice"), bob = fixture_user("bob");
    lk_api_key key;
    lk_note note = {""};

    (void)state;
    key = key_of(&alice, "AAAAAAA0");
    assert_int_equal(lk_accounts_api_key_add(fixture, &key, 2, NULL), LK_OK);
    assert_int_equal(lk_accounts_api_key_add(fixture, &key, 2, NULL),
                     LK_REFUSED); /* that public id is taken */
    key = key_of(&alice, "AAAAAAA1");
    assert_int_equal(lk_accounts_api_key_add(fixture, &key, 2, NULL), LK_OK);
    key = key_of(&alice, "AAAAAAA2");
    assert_int_equal(lk_accounts_api_key_add(fixture, &key, 2, &note), LK_FULL);
    assert_non_null(strstr(note.text, "2 API keys"));
    key = key_of(&bob, "AAAAAAA3");
    assert_int_equal(lk_accounts_api_key_add(fixture, &key, 2, NULL), LK_OK);
    test_clock_advance_ms(3600 * 1000);
    assert_int_equal(use("AAAAAAA0"), LK_MISS); /* over */
    key = key_of(&alice, "AAAAAAA4");
    assert_int_equal(lk_accounts_api_key_add(fixture, &key, 2, NULL), LK_OK);
}

typedef struct maker {
    const lk_user *user;
    int number;
    lk_status status;
} maker;

static void *make_one(void *argument)
{
    maker *m = argument;
    char public[9];

    snprintf(public, sizeof(public), "AAAAAA%02d", m->number);
    lk_api_key key = key_of(m->user, public);
    m->status = lk_accounts_api_key_add(fixture, &key, 3, NULL);
    return NULL;
}

static void keys_made_at_once_do_not_pass_the_bound(void **state)
{
    lk_user alice = fixture_user("alice");
    pthread_t threads[8];
    maker makers[8];
    int made = 0;

    (void)state;
    for (int i = 0; i < 8; i++) {
        makers[i] = (maker){&alice, i, LK_FAULT};
        assert_int_equal(pthread_create(&threads[i], NULL, make_one, &makers[i]), 0);
    }
    for (int i = 0; i < 8; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        made += makers[i].status == LK_OK;
        assert_true(makers[i].status == LK_OK || makers[i].status == LK_FULL);
    }
    assert_int_equal(made, 3);
}

static void keys_go_with_their_user(void **state)
{
    lk_user alice = fixture_user("alice"), bob = fixture_user("bob");
    lk_api_key key = key_of(&alice, "AAAAAAA0"), keys[4];
    size_t n;

    (void)state;
    assert_int_equal(lk_accounts_api_key_add(fixture, &key, 9, NULL), LK_OK);
    key = key_of(&bob, "BBBBBBB0");
    assert_int_equal(lk_accounts_api_key_add(fixture, &key, 9, NULL), LK_OK);
    assert_int_equal(lk_accounts_set_state(fixture, lk_view_of(alice.id), LK_USER_DISABLED), LK_OK);
    assert_int_equal(lk_accounts_set_state(fixture, lk_view_of(alice.id), LK_USER_ENABLED), LK_OK);
    assert_int_equal(use("AAAAAAA0"), LK_MISS); /* for good */
    assert_int_equal(use("BBBBBBB0"), LK_OK);
    assert_int_equal(lk_accounts_api_keys(fixture, lk_view_of(bob.id), keys, 4, &n), LK_OK);
    assert_int_equal(n, 1);
    assert_int_equal(lk_accounts_remove(fixture, lk_view_of(bob.id)), LK_OK);
    assert_int_equal(use("BBBBBBB0"), LK_MISS);
    assert_int_equal(fixture_number("SELECT count(*) FROM latchkey_api_key"), 0);
}

static void a_user_who_is_disabled_or_not_there_gets_no_key(void **state)
{
    lk_user alice = fixture_user("alice");
    lk_api_key key = key_of(&alice, "AAAAAAA0");

    (void)state;
    assert_int_equal(lk_accounts_set_state(fixture, lk_view_of(alice.id), LK_USER_DISABLED), LK_OK);
    assert_int_equal(lk_accounts_api_key_add(fixture, &key, 9, NULL), LK_MISS);
    memcpy(key.user, "nobodynobodynobo", 17);
    assert_int_equal(lk_accounts_api_key_add(fixture, &key, 9, NULL), LK_MISS);
}

static void nobody_takes_back_the_key_of_another(void **state)
{
    lk_user alice = fixture_user("alice"), bob = fixture_user("bob");
    lk_api_key key = key_of(&alice, "AAAAAAA0");

    (void)state;
    assert_int_equal(lk_accounts_api_key_add(fixture, &key, 9, NULL), LK_OK);
    assert_int_equal(lk_accounts_api_key_remove(fixture, lk_view_of(bob.id), LK_VIEW("AAAAAAA0")), LK_MISS);
    assert_int_equal(use("AAAAAAA0"), LK_OK);
    assert_int_equal(lk_accounts_api_key_remove(fixture, lk_view_of(alice.id), LK_VIEW("AAAAAAA0")), LK_OK);
    assert_int_equal(use("AAAAAAA0"), LK_MISS);
}

/* ---- clients ---- */

static lk_client shop_client(char secret[LK_CLIENT_SECRET_LEN + 1])
{
    lk_client_wish wish = {
        .realm = REALM, .name = LK_VIEW("billing"), .grants = LK_VIEW("introspect exchange")};
    lk_client client;
    lk_note note = {""};

    if (lk_client_describe(&wish, &client, &note) != LK_OK ||
        lk_accounts_client_add(fixture, &client, secret, &note) != LK_OK)
        fail_msg("%s", note.text);
    return client;
}

static lk_status client_login(const char *name, const char *secret, const char *address)
{
    int64_t retry_after_s;
    lk_client client;
    lk_status status = lk_accounts_client_login(fixture, REALM, lk_view_of(name), lk_view_of(secret),
                                                lk_view_of(address), &client, &retry_after_s);

    assert_true((status == LK_FULL) == (retry_after_s > 0));
    assert_true(status == LK_OK || client.name[0] == '\0');
    return status;
}

static void a_client_logs_in_with_its_secret_and_no_other(void **state)
{
    char secret[LK_CLIENT_SECRET_LEN + 1], next[LK_CLIENT_SECRET_LEN + 1];

    (void)state;
    shop_client(secret);
    assert_int_equal(strlen(secret), 43);
    assert_int_equal(fixture_number("SELECT length(secret) FROM latchkey_client"), 32); /* a hash */
    assert_int_equal(client_login("billing", secret, "192.0.2.1"), LK_OK);
    assert_int_equal(client_login("Billing", secret, "192.0.2.1"), LK_REFUSED);
    assert_int_equal(client_login("", secret, "192.0.2.1"), LK_REFUSED);
    assert_int_equal(client_login("billing", "", "192.0.2.1"), LK_REFUSED);
    assert_int_equal(lk_accounts_client_rotate(fixture, REALM, LK_VIEW("billing"), next), LK_OK);
    assert_int_equal(client_login("billing", secret, "192.0.2.1"), LK_REFUSED);
    assert_int_equal(client_login("billing", next, "192.0.2.1"), LK_OK);
    assert_int_equal(lk_accounts_client_remove(fixture, REALM, LK_VIEW("billing")), LK_OK);
    assert_int_equal(client_login("billing", next, "192.0.2.1"), LK_REFUSED);
    assert_int_equal(lk_accounts_client_remove(fixture, REALM, LK_VIEW("billing")), LK_MISS);
}

static void wrong_secrets_are_throttled_by_address_and_do_not_lock_the_client_out(void **state)
{
    char secret[LK_CLIENT_SECRET_LEN + 1];

    (void)state;
    shop_client(secret);
    for (uint32_t i = 0; i < fixture_settings.throttle_account; i++)
        assert_int_equal(client_login("billing", "wrong", "198.51.100.1"), LK_REFUSED);
    assert_int_equal(client_login("billing", "wrong", "198.51.100.1"), LK_FULL);
    assert_int_equal(client_login("billing", secret, "198.51.100.1"), LK_FULL);
    assert_int_equal(client_login("billing", secret, "192.0.2.1"), LK_OK);
    test_clock_advance_ms(fixture_settings.throttle_account_s * 1000 + 1000);
    assert_int_equal(client_login("billing", secret, "198.51.100.1"), LK_OK);
}

static void a_client_name_is_taken_once_and_keeps_to_its_letters(void **state)
{
    static const char *const names[] = {
        "",   "a b", "a:b",      "-a",
        ".a", "a/b", "\xc3\xa4", "12345678901234567890123456789012345678901234567890123456789012345"};
    char secret[LK_CLIENT_SECRET_LEN + 1];
    lk_client client = shop_client(secret);
    lk_client_wish wish = {.realm = REALM, .grants = LK_VIEW("exchange")};

    (void)state;
    assert_int_equal(lk_accounts_client_add(fixture, &client, secret, NULL), LK_FULL);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        wish.name = lk_view_of(names[i]);
        assert_int_equal(lk_client_describe(&wish, &client, NULL), LK_REFUSED);
    }
    wish.name = LK_VIEW("good");
    wish.grants = LK_VIEW("password");
    assert_int_equal(lk_client_describe(&wish, &client, NULL), LK_REFUSED);
    wish.grants = LK_VIEW("");
    assert_int_equal(lk_client_describe(&wish, &client, NULL), LK_REFUSED);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_key_is_found_with_all_that_was_said_of_it),
        TEST(wishes_that_break_a_rule_are_refused),
        TEST(ranges_hold_their_addresses_and_no_other),
        TEST(keys_are_bounded_for_each_user_and_old_ones_make_room),
        TEST(keys_made_at_once_do_not_pass_the_bound),
        TEST(keys_go_with_their_user),
        TEST(a_user_who_is_disabled_or_not_there_gets_no_key),
        TEST(nobody_takes_back_the_key_of_another),
        TEST(a_client_logs_in_with_its_secret_and_no_other),
        TEST(wrong_secrets_are_throttled_by_address_and_do_not_lock_the_client_out),
        TEST(a_client_name_is_taken_once_and_keeps_to_its_letters),
    };

    return cmocka_run_group_tests(tests, fixture_begin, fixture_end);
}
