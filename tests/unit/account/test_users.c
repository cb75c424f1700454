/* SPDX-License-Identifier: Apache-2.0
 *
 * test_users.c - users made, found, listed, changed, removed; two makers of one name.
 */
#include "fixture.h"
#include <latchkey/base64url.h>
#include <pthread.h>

static lk_status add(const char *realm, const char *name, const char *password, lk_user *out, lk_note *note)
{
    return lk_accounts_add(fixture, lk_view_of(realm), lk_view_of(name), lk_view_of(password), LK_VIEW(""),
                           out, note);
}

static void a_new_user_is_found_by_name_and_by_id(void **state)
{
    lk_user user, found;

    (void)state;
    assert_int_equal(
        lk_accounts_add(fixture, REALM, LK_VIEW("Alice"), PASSWORD, LK_VIEW("buyer buyer vip"), &user, NULL),
        LK_OK);
    assert_string_equal(user.name, "Alice");
    assert_string_equal(user.realm, "shop");
    assert_string_equal(user.roles, "buyer vip");
    assert_int_equal(user.state, LK_USER_ENABLED);
    assert_int_equal(user.created_s, lk_now_s(test_env()));
    assert_int_equal(user.login_s, 0);
    assert_int_equal(strlen(user.id), 16);
    assert_true(lk_is_base64url(lk_view_of(user.id)));
    assert_int_equal(lk_accounts_find(fixture, REALM, LK_VIEW("ALICE"), &found), LK_OK);
    assert_memory_equal(&found, &user, sizeof(user));
    assert_int_equal(lk_accounts_find(fixture, REALM, lk_view_of(user.id), &found), LK_OK);
    assert_memory_equal(&found, &user, sizeof(user));
    assert_int_equal(lk_accounts_get(fixture, lk_view_of(user.id), &found), LK_OK);
    assert_memory_equal(&found, &user, sizeof(user));
}

static void there_are_no_users_nobody_made(void **state)
{
    lk_user found;

    (void)state;
    assert_int_equal(lk_accounts_find(fixture, REALM, LK_VIEW("admin"), &found), LK_MISS);
    assert_int_equal(lk_accounts_find(fixture, REALM, LK_VIEW("root"), &found), LK_MISS);
    assert_int_equal(lk_accounts_find(fixture, REALM, LK_VIEW(""), &found), LK_MISS);
    assert_int_equal(lk_accounts_find(fixture, REALM, LK_VIEW("a\xff"), &found), LK_MISS);
    assert_int_equal(lk_accounts_get(fixture, LK_VIEW(""), &found), LK_MISS);
    assert_int_equal(lk_accounts_get(fixture, LK_VIEW("' OR '1'='1"), &found), LK_MISS);
    assert_string_equal(found.id, "");
}

static void a_name_is_taken_in_every_spelling_of_it(void **state)
{
    lk_note note = {""};
    lk_user user;

    (void)state;
    fixture_user("Jos\xc3\xa9");
    assert_int_equal(add("shop", "jose\xcc\x81", "gravel and thimbles", &user, &note), LK_FULL);
    assert_non_null(strstr(note.text, "taken"));
    assert_string_equal(user.id, "");
    assert_int_equal(add("shop", "JOS\xc3\x89", "gravel and thimbles", &user, &note), LK_FULL);
    assert_int_equal(add("other", "JOS\xc3\x89", "gravel and thimbles", &user, &note), LK_OK);
    assert_int_equal(add("shop", "jose", "gravel and thimbles", &user, &note), LK_OK);
}

static void names_in_chinese_work_like_any_other(void **state)
{
    lk_user user;

    (void)state;
    user = fixture_user("\xe5\xbc\xa0\xe4\xbc\x9f");
    assert_string_equal(user.name, "\xe5\xbc\xa0\xe4\xbc\x9f");
    assert_int_equal(fixture_login("\xe5\xbc\xa0\xe4\xbc\x9f", PASSWORD, "192.0.2.1"), LK_OK);
    assert_int_equal(fixture_login("\xe5\xbc\xa0\xe7\xbb\xb4", PASSWORD, "192.0.2.1"), LK_REFUSED);
}

static void a_user_of_one_realm_is_nobody_in_another(void **state)
{
    lk_user user = fixture_user("alice"), found;
    int64_t retry_after_s;

    (void)state;
    assert_int_equal(lk_accounts_find(fixture, LK_VIEW("other"), LK_VIEW("alice"), &found), LK_MISS);
    assert_int_equal(lk_accounts_find(fixture, LK_VIEW("other"), lk_view_of(user.id), &found), LK_MISS);
    assert_string_equal(found.name, "");
    assert_int_equal(lk_accounts_login(fixture, LK_VIEW("other"), LK_VIEW("alice"), PASSWORD, HOME, &found,
                                       &retry_after_s),
                     LK_REFUSED);
}

static void nobody_can_take_the_id_of_another_for_a_name(void **state)
{
    lk_user user = fixture_user("alice"), thief;
    char shouted[LK_USER_ID_MAX + 1];

    (void)state;
    snprintf(shouted, sizeof(shouted), "%s", user.id);
    assert_int_equal(add("shop", shouted, "gravel and thimbles", &thief, NULL), LK_FULL);
}

/* As the columns compare, and as the folding before them does: each pair is one user or two on every dialect.
 */
static void names_compare_alike_on_every_dialect(void **state)
{
    static const struct {
        const char *first, *second;
        bool one;
    } pairs[] = {
        {"alice", "ALICE", true},
        {"Stra\xc3\x9f"
         "e",
         "STRASSE", true},
        {"\xef\xbc\xa1lice2", "alice2", true}, /* full width */
        {"\xce\xa3\xce\xaf\xcf\x83\xcf\x85\xcf\x86\xce\xbf\xcf\x82",
         "\xcf\x83\xce\xaf\xcf\x83\xcf\x85\xcf\x86\xce\xbf\xcf\x83", true}, /* final sigma */
        {"jos\xc3\xa9", "jose\xcc\x81", true},                              /* composed or not */
        {"jose", "jos\xc3\xa9", false}, /* an accent is a letter of its own */
        {"a\xc3\xa4", "a\xc3\xa1", false},
        {"o\xcc\xb8x", "ox", false},
        {"\xe5\xbc\xa0\xe4\xbc\x9f", "\xe5\xbc\xa0\xe5\xa8\x81", false}, /* two of one sound */
        {"\xf0\x9f\x98\x80", "\xf0\x9f\x98\x81", false},                 /* beyond the first plane */
        {"i\xc4\xb1", "ii", false},                                      /* dotless i */
        {"user 1", "user1", false},
        {"a_b", "a%b", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
        lk_user first = fixture_user(pairs[i].first), found;
        lk_status status = lk_accounts_find(fixture, REALM, lk_view_of(pairs[i].second), &found);

        if (status != (pairs[i].one ? LK_OK : LK_MISS))
            fail_msg("%s and %s: %s", pairs[i].first, pairs[i].second, lk_status_name(status));
        if (pairs[i].one)
            assert_string_equal(found.id, first.id);
        assert_int_equal(lk_accounts_remove(fixture, lk_view_of(first.id)), LK_OK);
    }
}

static void what_no_database_can_hold_is_a_miss_and_no_fault(void **state)
{
    static const char *const odd[] = {
        "\xff\xfe", "a\xc3", "alice ", " alice", "'; DROP TABLE latchkey_user; --", "%", "_____"};
    lk_user found;

    (void)state;
    fixture_user("alice");
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
        assert_int_equal(lk_accounts_find(fixture, REALM, lk_view_of(odd[i]), &found), LK_MISS);
        assert_int_equal(lk_accounts_get(fixture, lk_view_of(odd[i]), &found), LK_MISS);
        assert_int_equal(lk_accounts_find(fixture, lk_view_of(odd[i]), LK_VIEW("alice"), &found), LK_MISS);
        assert_int_equal(lk_accounts_remove(fixture, lk_view_of(odd[i])), LK_MISS);
        assert_int_equal(lk_accounts_set_state(fixture, lk_view_of(odd[i]), LK_USER_DISABLED), LK_MISS);
        assert_int_equal(fixture_login(odd[i], WRONG, "192.0.2.1"), LK_REFUSED);
    }
    assert_int_equal(lk_accounts_find(fixture, REALM, lk_view_make("a\0b", 3), &found), LK_MISS);
    assert_int_equal(lk_accounts_get(fixture, lk_view_make("aaaaaaaaaaaaaaa\0", 16), &found), LK_MISS);
    assert_int_equal(fixture_login("alice", PASSWORD, "192.0.2.1"), LK_OK);
}

static void what_is_refused_says_its_rule_and_leaves_no_user(void **state)
{
    lk_note note = {""};
    lk_user user;

    (void)state;
    assert_int_equal(add("shop", "al\tice", "gravel and thimbles", &user, &note), LK_REFUSED);
    assert_non_null(strstr(note.text, "name"));
    assert_int_equal(add("shop", "alice", "short", &user, &note), LK_REFUSED);
    assert_non_null(strstr(note.text, "at least 8"));
    assert_int_equal(add("shop", "alice", "encyclopedia", &user, &note), LK_REFUSED);
    assert_non_null(strstr(note.text, "dictionary"));
    assert_int_equal(add("sh op", "alice", "gravel and thimbles", &user, &note), LK_REFUSED);
    assert_non_null(strstr(note.text, "realm"));
    assert_int_equal(
        lk_accounts_add(fixture, REALM, LK_VIEW("alice"), PASSWORD, LK_VIEW("a,b"), &user, &note),
        LK_REFUSED);
    assert_non_null(strstr(note.text, "role"));
    assert_int_equal(lk_accounts_find(fixture, REALM, LK_VIEW("alice"), &user), LK_MISS);
}

/* ---- two at once ---- */

static void *add_shared_name(void *p)
{
    lk_user user;
    char password[64];

    snprintf(password, sizeof(password), "gravel and thimbles %d", *(int *)p);
    return (void *)(intptr_t)lk_accounts_add(fixture, REALM, LK_VIEW("alice"), lk_view_of(password),
                                             LK_VIEW(""), &user, NULL);
}

static void of_ten_who_add_one_name_at_once_one_wins(void **state)
{
    pthread_t threads[10];
    int numbers[10], winner = -1;
    char password[64];

    (void)state;
    for (int i = 0; i < 10; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, add_shared_name, &numbers[i]), 0);
    }
    for (int i = 0; i < 10; i++) {
        void *result = NULL;

        pthread_join(threads[i], &result);
        if ((lk_status)(intptr_t)result == LK_OK) {
            assert_int_equal(winner, -1);
            winner = i;
        } else {
            assert_int_equal((intptr_t)result, LK_FULL);
        }
    }
    assert_int_not_equal(winner, -1);
    snprintf(password, sizeof(password), "gravel and thimbles %d", winner);
    assert_int_equal(fixture_login("alice", lk_view_of(password), "192.0.2.1"), LK_OK);
}

/* ---- changes ---- */

static void a_changed_password_lets_the_new_one_in_and_the_old_one_no_more(void **state)
{
    lk_user user = fixture_user("alice");
    lk_note note = {""};

    (void)state;
    test_clock_advance_ms(5000);
    assert_int_equal(
        lk_accounts_set_password(fixture, lk_view_of(user.id), LK_VIEW("thimbles and gravel"), &note), LK_OK);
    assert_int_equal(fixture_login("alice", PASSWORD, "192.0.2.1"), LK_REFUSED);
    assert_int_equal(fixture_login("alice", LK_VIEW("thimbles and gravel"), "192.0.2.1"), LK_OK);
    assert_int_equal(lk_accounts_get(fixture, lk_view_of(user.id), &user), LK_OK);
    assert_int_equal(user.changed_s, user.created_s + 5);
    assert_int_equal(lk_accounts_set_password(fixture, lk_view_of(user.id), LK_VIEW("password1"), &note),
                     LK_REFUSED);
    assert_int_equal(lk_accounts_set_password(fixture, LK_VIEW("nobody"), PASSWORD, &note), LK_MISS);
    assert_int_equal(fixture_login("alice", LK_VIEW("thimbles and gravel"), "192.0.2.1"), LK_OK);
}

static void a_password_is_set_and_checked_in_any_unicode_form(void **state)
{
    lk_user user;

    (void)state;
    assert_int_equal(add("shop", "alice", "caf\xc3\xa9 gravel thimble", &user, NULL), LK_OK);
    assert_int_equal(fixture_login("alice", LK_VIEW("cafe\xcc\x81 gravel thimble"), "192.0.2.1"), LK_OK);
    assert_int_equal(fixture_login("alice", LK_VIEW("cafe gravel thimble"), "192.0.2.1"), LK_REFUSED);
}

static void a_nul_inside_a_password_is_data_at_login_too(void **state)
{
    lk_user user;

    (void)state;
    assert_int_equal(lk_accounts_add(fixture, REALM, LK_VIEW("alice"), LK_VIEW("gravel\0thimbles"),
                                     LK_VIEW(""), &user, NULL),
                     LK_OK);
    assert_int_equal(fixture_login("alice", LK_VIEW("gravel\0thimbles"), "192.0.2.1"), LK_OK);
    assert_int_equal(fixture_login("alice", LK_VIEW("gravel\0thimblez"), "192.0.2.1"), LK_REFUSED);
    assert_int_equal(fixture_login("alice", LK_VIEW("gravel"), "192.0.2.1"), LK_REFUSED);
}

static void roles_and_state_change_and_say_when_there_is_nobody(void **state)
{
    lk_user user = fixture_user("alice");
    lk_view id = lk_view_of(user.id);
    lk_note note = {""};
    lk_user found;

    (void)state;
    assert_int_equal(lk_accounts_set_roles(fixture, id, LK_VIEW(" b a b"), NULL), LK_OK);
    assert_int_equal(lk_accounts_set_state(fixture, id, LK_USER_DISABLED), LK_OK);
    assert_int_equal(lk_accounts_get(fixture, id, &found), LK_OK);
    assert_string_equal(found.roles, "b a");
    assert_int_equal(found.state, LK_USER_DISABLED);
    assert_int_equal(lk_accounts_set_roles(fixture, id, LK_VIEW("a,b"), &note), LK_REFUSED);
    assert_int_equal(lk_accounts_set_roles(fixture, LK_VIEW("x"), LK_VIEW("a"), NULL), LK_MISS);
    assert_int_equal(lk_accounts_set_state(fixture, LK_VIEW("x"), LK_USER_ENABLED), LK_MISS);
    assert_int_equal(lk_accounts_remove(fixture, LK_VIEW("x")), LK_MISS);
}

static void a_removed_user_is_gone_and_a_new_one_of_that_name_is_another(void **state)
{
    lk_user user = fixture_user("alice"), again;

    (void)state;
    assert_int_equal(lk_accounts_remove(fixture, lk_view_of(user.id)), LK_OK);
    assert_int_equal(lk_accounts_remove(fixture, lk_view_of(user.id)), LK_MISS);
    assert_int_equal(fixture_login("alice", PASSWORD, "192.0.2.1"), LK_REFUSED);
    again = fixture_user("alice");
    assert_string_not_equal(user.id, again.id);
    assert_int_equal(lk_accounts_get(fixture, lk_view_of(user.id), &user), LK_MISS);
}

/* ---- listing ---- */

typedef struct seen {
    int n, stop_at;
    char last[LK_USER_NAME_MAX + 1];
} seen;

static bool see(void *context, const lk_user *user)
{
    seen *s = context;
    lk_user found;

    assert_true(strcmp(user->name, s->last) > 0);
    assert_int_equal(lk_accounts_get(fixture, lk_view_of(user->id), &found),
                     LK_OK); /* calling back is fine */
    snprintf(s->last, sizeof(s->last), "%s", user->name);
    return ++s->n != s->stop_at;
}

/* N of them, u100 and on. */
static void insert_users(const char *realm, int n, int first_id)
{
    static char text[32768];
    size_t len = 0;

    for (int i = 100; i < 100 + n; i++)
        len += (size_t)snprintf(
            text + len, sizeof(text) - len,
            "INSERT INTO latchkey_user (id, realm, folded, name, phc, roles, state, created_s, "
            "changed_s, login_s) VALUES ('%016d', '%s', 'u%d', 'u%d', '$argon2', '', 0, 1, 1, 0);",
            i + first_id, realm, i, i);
    assert_true(len < sizeof(text));
    fixture_sql(text);
}

static void the_list_has_every_user_of_the_realm_once_in_order(void **state)
{
    seen s = {0};

    (void)state;
    insert_users("shop", 100, 0);
    insert_users("other", 100, 1000);
    assert_int_equal(lk_accounts_list(fixture, REALM, see, &s), LK_OK);
    assert_int_equal(s.n, 100);
    s = (seen){.stop_at = 40};
    assert_int_equal(lk_accounts_list(fixture, REALM, see, &s), LK_OK);
    assert_int_equal(s.n, 40);
    s = (seen){0};
    assert_int_equal(lk_accounts_list(fixture, LK_VIEW("empty"), see, &s), LK_OK);
    assert_int_equal(s.n, 0);
}

static void a_row_that_does_not_fit_is_a_fault_and_never_a_miss(void **state)
{
    lk_user user = fixture_user("alice"), found;
    char roles[300], text[400];
    seen s = {0};

    (void)state;
    memset(roles, 'r', sizeof(roles));
    snprintf(text, sizeof(text), "UPDATE latchkey_user SET roles = '%.300s'", roles);
    fixture_sql(text);
    assert_int_equal(lk_accounts_get(fixture, lk_view_of(user.id), &found), LK_FAULT);
    assert_int_equal(lk_accounts_find(fixture, REALM, LK_VIEW("alice"), &found), LK_FAULT);
    assert_int_equal(lk_accounts_list(fixture, REALM, see, &s), LK_FAULT);
    assert_int_equal(fixture_login("alice", PASSWORD, "192.0.2.1"), LK_FAULT);
}

static void every_failed_allocation_is_a_fault_and_leaks_nothing(void **state)
{
    lk_user user;
    int live;

    (void)state;
    lk_accounts_close(fixture);
    live = test_alloc_live();
    for (int n = 1;; n++) {
        lk_status status;

        test_alloc_fail_at(n);
        status = lk_accounts_open(test_env(), &fixture_settings, fixture_ring, &fixture, NULL);
        if (!test_alloc_failed())
            break;
        assert_int_equal(status, LK_FAULT);
        assert_null(fixture);
        assert_int_equal(test_alloc_live(), live);
    }
    test_alloc_fail_at(0);
    for (int n = 1;; n++) {
        lk_status status;

        test_random_fail_at(n); /* salt, id */
        status = add("shop", "alice", "gravel and thimbles", &user, NULL);
        if (status == LK_OK)
            break;
        assert_int_equal(status, LK_FAULT);
        assert_int_equal(lk_accounts_find(fixture, REALM, LK_VIEW("alice"), &user), LK_MISS);
    }
    test_random_fail_at(0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_new_user_is_found_by_name_and_by_id),
        TEST(there_are_no_users_nobody_made),
        TEST(a_name_is_taken_in_every_spelling_of_it),
        TEST(names_in_chinese_work_like_any_other),
        TEST(a_user_of_one_realm_is_nobody_in_another),
        TEST(nobody_can_take_the_id_of_another_for_a_name),
        TEST(names_compare_alike_on_every_dialect),
        TEST(what_no_database_can_hold_is_a_miss_and_no_fault),
        TEST(what_is_refused_says_its_rule_and_leaves_no_user),
        TEST(of_ten_who_add_one_name_at_once_one_wins),
        TEST(a_changed_password_lets_the_new_one_in_and_the_old_one_no_more),
        TEST(a_password_is_set_and_checked_in_any_unicode_form),
        TEST(a_nul_inside_a_password_is_data_at_login_too),
        TEST(roles_and_state_change_and_say_when_there_is_nobody),
        TEST(a_removed_user_is_gone_and_a_new_one_of_that_name_is_another),
        TEST(the_list_has_every_user_of_the_realm_once_in_order),
        TEST(a_row_that_does_not_fit_is_a_fault_and_never_a_miss),
        TEST(every_failed_allocation_is_a_fault_and_leaks_nothing),
    };

    return cmocka_run_group_tests(tests, fixture_begin, fixture_end);
}
