/* SPDX-License-Identifier: Apache-2.0
 *
 * From registration to logout and beyond, as programs see it. Run once over each store.
 */
#include "client.h"
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char *store_name;
static site shop;
static client alice, phone, stranger;

static int open_shop(void **state)
{
    (void)state;
    site_open(&shop, store_name);
    memset(&alice, 0, sizeof(alice));
    memset(&phone, 0, sizeof(phone));
    memset(&stranger, 0, sizeof(stranger));
    return 0;
}

static int close_shop(void **state)
{
    (void)state;
    site_close(&shop);
    return 0;
}

static int get(client *c, const char *path)
{
    return ask(&shop, c, (sent){.method = "GET", .path = path});
}

static int post(client *c, const char *path, const char *json)
{
    return ask(&shop, c, (sent){.method = "POST", .path = path, .json = json});
}

static int patch(client *c, const char *json)
{
    return ask(&shop, c, (sent){.method = "PATCH", .path = "/auth/session/data", .json = json});
}

static void alice_is_in(void)
{
    enroll(&shop, &alice, "alice", GOOD_PASSWORD);
    log_in(&shop, &alice, "alice", GOOD_PASSWORD);
}

/* ---- login ---- */

static void registered_user_logs_in_and_is_known_until_logout(void **state)
{
    (void)state;
    assert_int_equal(get(&alice, "/auth/session"), 401);
    assert_string_equal(member_of(&alice, "reason"), "no_credential");
    assert_string_equal(header_of(&alice, "WWW-Authenticate"), "Bearer realm=\"latchkey\"");
    enroll(&shop, &alice, "alice", GOOD_PASSWORD);
    assert_null(cookie_of(&alice, "latchkey"));
    log_in(&shop, &alice, "alice", GOOD_PASSWORD);
    assert_int_equal(strlen(cookie_of(&alice, "latchkey")), LK_SESSION_ID_LEN);
    assert_null(strstr(alice.body, cookie_of(&alice, "latchkey")));
    assert_string_equal(member_of(&alice, "token"), "");
    assert_string_equal(member_of(&alice, "user.name"), "alice");
    assert_string_equal(member_of(&alice, "user.roles"), "[]");
    assert_int_equal(strlen(member_of(&alice, "session.public_id")), LK_PUBLIC_ID_LEN);
    assert_string_equal(member_of(&alice, "session.created"), "1800000000");
    assert_string_equal(member_of(&alice, "session.idle_expires"), "1800001800");
    assert_int_equal(get(&alice, "/auth/session"), 200);
    assert_string_equal(member_of(&alice, "user.name"), "alice");
    assert_string_equal(member_of(&alice, "carrier"), "cookie");
    char stolen[64];
    strcpy(stolen, cookie_of(&alice, "latchkey"));
    assert_int_equal(ask(&shop, &alice, (sent){.method = "POST", .path = "/auth/logout"}), 204);
    assert_null(cookie_of(&alice, "latchkey"));
    /* the value that was, replayed */
    set_cookie(&stranger, "latchkey", stolen);
    assert_int_equal(get(&stranger, "/auth/session"), 401);
    assert_string_equal(member_of(&stranger, "reason"), "revoked");
    assert_null(cookie_of(&stranger, "latchkey"));
}

static void session_id_in_a_header_is_a_bearer_token(void **state)
{
    (void)state;
    enroll(&shop, &alice, "alice", GOOD_PASSWORD);
    assert_int_equal(post(&alice, "/auth/login",
                          "{\"username\":\"alice\",\"password\":\"" GOOD_PASSWORD
                          "\",\"carrier\":\"header\"}"),
                     200);
    assert_null(strstr(alice.headers, "Set-Cookie"));
    assert_string_equal(member_of(&alice, "token_type"), "Bearer");
    assert_string_equal(member_of(&alice, "expires_in"), "43200");
    char token[128];
    strcpy(token, member_of(&alice, "token"));
    assert_int_equal(strlen(token), LK_SESSION_ID_LEN);
    assert_int_equal(ask(&shop, &phone, (sent){.method = "GET", .path = "/auth/session", .bearer = token}),
                     200);
    assert_string_equal(member_of(&phone, "carrier"), "header");
    assert_string_equal(member_of(&phone, "credential"), "session");
    token[3] = token[3] == 'A' ? 'B' : 'A';
    assert_int_equal(ask(&shop, &phone, (sent){.method = "GET", .path = "/auth/session", .bearer = token}),
                     401);
    assert_non_null(strstr(header_of(&phone, "WWW-Authenticate"), "error=\"invalid_token\""));
}

static void tokens_come_in_the_body_and_are_good_until_logout(void **state)
{
    (void)state;
    static const char *const kinds[] = {"token", "jwt"};
    enroll(&shop, &alice, "alice", GOOD_PASSWORD);
    for (size_t i = 0; i < 2; i++) {
        char body[256], token[4096];
        client program = {.jar_n = 0};
        snprintf(body, sizeof(body),
                 "{\"username\":\"alice\",\"password\":\"" GOOD_PASSWORD "\",\"credential\":\"%s\"}",
                 kinds[i]);
        assert_int_equal(post(&program, "/auth/login", body), 200);
        assert_null(strstr(program.headers, "Set-Cookie"));
        assert_string_equal(member_of(&program, "expires_in"), "900");
        strcpy(token, member_of(&program, "token"));
        assert_non_null(strchr(token, '.'));
        assert_int_equal(
            ask(&shop, &program, (sent){.method = "GET", .path = "/auth/session", .bearer = token}), 200);
        assert_string_equal(member_of(&program, "credential"), kinds[i]);
        assert_string_equal(member_of(&program, "user.name"), "alice");
        assert_int_equal(
            ask(&shop, &program, (sent){.method = "POST", .path = "/auth/logout", .bearer = token}), 204);
        test_clock_advance_ms(1000);
        assert_int_equal(
            ask(&shop, &program, (sent){.method = "GET", .path = "/auth/session", .bearer = token}), 401);
        assert_string_equal(member_of(&program, "reason"), "revoked");
    }
}

static void token_in_a_cookie_is_in_no_body(void **state)
{
    (void)state;
    enroll(&shop, &alice, "alice", GOOD_PASSWORD);
    assert_int_equal(post(&alice, "/auth/login",
                          "{\"username\":\"alice\",\"password\":\"" GOOD_PASSWORD
                          "\",\"credential\":\"jwt\",\"carrier\":\"cookie\"}"),
                     200);
    assert_string_equal(member_of(&alice, "token"), "");
    assert_non_null(cookie_of(&alice, "latchkey"));
    assert_null(strstr(alice.body, cookie_of(&alice, "latchkey")));
    assert_int_equal(get(&alice, "/auth/session"), 200);
    assert_string_equal(member_of(&alice, "credential"), "jwt");
}

static void remembered_login_has_no_idle_end_and_a_lasting_cookie(void **state)
{
    (void)state;
    enroll(&shop, &alice, "alice", GOOD_PASSWORD);
    assert_int_equal(post(&alice, "/auth/login",
                          "{\"username\":\"alice\",\"password\":\"" GOOD_PASSWORD "\",\"remember\":true}"),
                     200);
    assert_non_null(strstr(alice.headers, "; Max-Age=2592000; Expires="));
    assert_string_equal(member_of(&alice, "session.idle_expires"), "1802592000");
    test_clock_advance_ms(86400000);
    assert_int_equal(get(&alice, "/auth/session"), 200);
}

static void idle_session_is_over_and_its_cookie_is_removed(void **state)
{
    (void)state;
    alice_is_in();
    test_clock_advance_ms(1801 * 1000);
    assert_int_equal(get(&alice, "/auth/session"), 401);
    assert_string_equal(member_of(&alice, "reason"), "idle");
    assert_null(cookie_of(&alice, "latchkey"));
}

static void unknown_user_and_wrong_password_get_the_same_answer(void **state)
{
    (void)state;
    enroll(&shop, &alice, "alice", GOOD_PASSWORD);
    client a = {.jar_n = 0}, b = {.jar_n = 0};
    assert_int_equal(post(&a, "/auth/login", "{\"username\":\"alice\",\"password\":\"wrong horse 17\"}"),
                     401);
    assert_int_equal(post(&b, "/auth/login", "{\"username\":\"nobody\",\"password\":\"wrong horse 17\"}"),
                     401);
    assert_string_equal(a.body, b.body);
    assert_string_equal(a.headers, b.headers);
    assert_string_equal(member_of(&a, "reason"), "bad_credentials");
    /* the one way to tell them apart is to know the password */
    assert_int_equal(post(&b, "/auth/login", "{\"username\":\"ALICE\",\"password\":\"" GOOD_PASSWORD "\"}"),
                     200);
}

static void guessing_is_throttled_with_retry_after(void **state)
{
    (void)state;
    enroll(&shop, &alice, "alice", GOOD_PASSWORD);
    int status = 0;
    for (int i = 0; i < 200 && status != 429; i++)
        status = post(&stranger, "/auth/login", "{\"username\":\"alice\",\"password\":\"wrong horse 17\"}");
    assert_int_equal(status, 429);
    assert_true(atoi(header_of(&stranger, "Retry-After")) > 0);
    assert_string_equal(member_of(&stranger, "reason"), "throttled");
    assert_non_null(strstr(shop.audit, "\"event\":\"throttled\""));
}

static void login_beyond_the_limit_says_so_and_another_logout_makes_room(void **state)
{
    (void)state;
    static const char body[] = "{\"username\":\"alice\",\"password\":\"" GOOD_PASSWORD "\"}";
    shop.w.settings.limit_user = 1;
    shop.w.settings.limit_victim = LK_VICTIM_REFUSE;
    enroll(&shop, &alice, "alice", GOOD_PASSWORD);
    assert_int_equal(post(&alice, "/auth/login", body), 200);
    assert_int_equal(post(&stranger, "/auth/login", body), 409);
    assert_string_equal(member_of(&stranger, "reason"), "session_limit");
    assert_non_null(strstr(shop.audit, "\"reason\":\"session_limit\""));
    assert_int_equal(post(&alice, "/auth/login", body), 200); /* in the place of his own */
    assert_int_equal(post(&alice, "/auth/logout", ""), 204);
    assert_int_equal(post(&stranger, "/auth/login", body), 200);
}

static void registration_says_which_rule_is_broken(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        int status;
        const char *reason;
    } cases[] = {
        {"{\"username\":\"alice\",\"password\":\"" GOOD_PASSWORD "\"}", 409, "name_taken"},
        {"{\"username\":\"ALICE\",\"password\":\"" GOOD_PASSWORD "\"}", 409, "name_taken"},
        {"{\"username\":\"bob\",\"password\":\"short\"}", 422, "rule_broken"},
        {"{\"username\":\"bob\",\"password\":\"password\"}", 422, "rule_broken"},
        {"{\"username\":\" bob\",\"password\":\"" GOOD_PASSWORD "\"}", 422, "rule_broken"},
        {"{\"username\":\"b\\u0000b\",\"password\":\"" GOOD_PASSWORD "\"}", 422, "rule_broken"},
        {"{\"username\":\"\",\"password\":\"" GOOD_PASSWORD "\"}", 422, "rule_broken"},
        {"{\"password\":\"" GOOD_PASSWORD "\"}", 422, "rule_broken"},
        {"{\"username\":\"bob\"}", 422, "rule_broken"},
        {"{\"username\":7,\"password\":\"" GOOD_PASSWORD "\"}", 422, "rule_broken"},
        {"{\"username\":\"bob\",\"password\":null}", 422, "rule_broken"},
        {"{\"username\":[\"bob\"],\"password\":\"" GOOD_PASSWORD "\"}", 422, "rule_broken"},
    };
    enroll(&shop, &alice, "alice", GOOD_PASSWORD);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (post(&stranger, "/auth/register", cases[i].json) != cases[i].status)
            fail_msg("%s: %d %s", cases[i].json, stranger.status, stranger.body);
        assert_string_equal(member_of(&stranger, "reason"), cases[i].reason);
    }
    shop.w.settings.registration = false;
    assert_int_equal(
        post(&stranger, "/auth/register", "{\"username\":\"bob\",\"password\":\"" GOOD_PASSWORD "\"}"), 403);
}

static void login_says_which_member_is_wrong(void **state)
{
    (void)state;
    static const char *const wrong[] = {
        "\"remember\":\"yes\"",
        "\"credential\":\"refresh\"",
        "\"credential\":1",
        "\"carrier\":\"url\"",
        "\"device\":\"phone\"",
        "\"device\":{\"id\":7}",
        "\"device\":{\"id\":\"a\\n\"}",
        "\"device\":[]",
        "\"scope\":7",
        "\"scope\":[\"a b\"]",
        "\"scope\":[7]",
        "\"scope\":\"a\\\"b\"",
        "\"scope\":\"orders.read\",\"device\":{\"id\":\"d-1\",\"label\":\"x\",\"class\":\"phone\"}",
    };
    enroll(&shop, &alice, "alice", GOOD_PASSWORD);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        char body[256];
        snprintf(body, sizeof(body), "{\"username\":\"alice\",\"password\":\"" GOOD_PASSWORD "\",%s}",
                 wrong[i]);
        if (post(&stranger, "/auth/login", body) != 422)
            fail_msg("%s: %d", wrong[i], stranger.status);
        assert_null(cookie_of(&stranger, "latchkey"));
    }
    assert_int_equal(
        post(&stranger, "/auth/login",
             "{\"username\":\"alice\",\"password\":\"" GOOD_PASSWORD
             "\",\"device\":{\"id\":\"d-1\",\"label\":\"My phone\",\"class\":\"phone\"},\"remember\":null,"
             "\"more\":{}}"),
        200);
}

static void login_that_asks_for_scopes_holds_those_and_no_other(void **state)
{
    (void)state;
    static const char *const kinds[] = {"session", "token", "jwt"};
    enroll(&shop, &alice, "alice", GOOD_PASSWORD);
    for (size_t i = 0; i < 3; i++) {
        char body[256], token[4096];
        snprintf(body, sizeof(body),
                 "{\"username\":\"alice\",\"password\":\"" GOOD_PASSWORD
                 "\",\"credential\":\"%s\",\"carrier\":\"header\",\"scope\":%s}",
                 kinds[i], i == 1 ? "[\"b\",\"a\",\"b\"]" : "\"b a b\"");
        assert_int_equal(post(&stranger, "/auth/login", body), 200);
        snprintf(token, sizeof(token), "%s", member_of(&stranger, "token"));
        assert_int_equal(
            ask(&shop, &stranger, (sent){.method = "GET", .path = "/auth/session", .bearer = token}), 200);
        assert_string_equal(member_of(&stranger, "scope"), "b a");
    }
}

static void device_is_not_registered_by_a_login_that_is_limited_to_scopes(void **state)
{
    (void)state;
    enroll(&shop, &alice, "alice", GOOD_PASSWORD);
    assert_int_equal(post(&alice, "/auth/login",
                          "{\"username\":\"alice\",\"password\":\"" GOOD_PASSWORD
                          "\",\"scope\":\"orders.read\"}"),
                     200);
    assert_int_equal(post(&alice, "/auth/devices", "{\"label\":\"x\",\"class\":\"phone\"}"), 422);
    assert_non_null(strstr(alice.body, "limited to scopes"));
}

static void secure_cookie_is_never_handed_out_over_http(void **state)
{
    (void)state;
    enroll(&shop, &alice, "alice", GOOD_PASSWORD);
    shop.w.settings.cookie_secure = true;
    strcpy(shop.w.settings.cookie_name, "__Host-latchkey");
    const char *json = "{\"username\":\"alice\",\"password\":\"" GOOD_PASSWORD "\"}";
    assert_int_equal(post(&alice, "/auth/login", json), 422);
    assert_string_equal(member_of(&alice, "reason"), "insecure_transport");
    assert_int_equal(patch(&alice, "{\"a\":1}"), 422);
    assert_int_equal(alice.jar_n, 0);
    assert_int_equal(
        ask(&shop, &alice, (sent){.method = "POST", .path = "/auth/login", .json = json, .scheme = "https"}),
        200);
    assert_non_null(strstr(alice.headers, "Set-Cookie: __Host-latchkey="));
    assert_non_null(strstr(alice.headers, "; Secure;"));
    assert_non_null(header_of(&alice, "Strict-Transport-Security"));
}

static void login_replaces_the_session_it_came_with(void **state)
{
    (void)state;
    char first[64];
    alice_is_in();
    strcpy(first, cookie_of(&alice, "latchkey"));
    log_in(&shop, &alice, "alice", GOOD_PASSWORD);
    assert_string_not_equal(cookie_of(&alice, "latchkey"), first);
    test_clock_advance_ms(11000);
    set_cookie(&stranger, "latchkey", first);
    assert_int_equal(get(&stranger, "/auth/session"), 401);
    assert_int_equal(get(&alice, "/auth/session"), 200);
}

static void id_that_a_client_invents_is_never_adopted(void **state)
{
    (void)state;
    const char *planted = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    enroll(&shop, &alice, "alice", GOOD_PASSWORD);
    set_cookie(&alice, "latchkey", planted);
    log_in(&shop, &alice, "alice", GOOD_PASSWORD);
    assert_string_not_equal(cookie_of(&alice, "latchkey"), planted);
    set_cookie(&stranger, "latchkey", planted);
    assert_int_equal(patch(&stranger, "{\"a\":1}"), 200);
    assert_string_not_equal(cookie_of(&stranger, "latchkey"), planted);
}

/* ---- logout ---- */

static void logout_is_idempotent_and_works_without_a_session(void **state)
{
    (void)state;
    alice_is_in();
    for (int i = 0; i < 3; i++)
        assert_int_equal(ask(&shop, &alice, (sent){.method = "POST", .path = "/auth/logout"}), 204);
    set_cookie(&alice, "latchkey", "garbage");
    assert_int_equal(ask(&shop, &alice, (sent){.method = "POST", .path = "/auth/logout"}), 204);
    assert_null(cookie_of(&alice, "latchkey"));
    assert_int_equal(ask(&shop, &alice, (sent){.method = "GET", .path = "/auth/logout"}), 200);
}

static void logout_everywhere_ends_every_session_and_token(void **state)
{
    (void)state;
    char token[4096];
    alice_is_in();
    log_in(&shop, &phone, "alice", GOOD_PASSWORD);
    assert_int_equal(post(&stranger, "/auth/login",
                          "{\"username\":\"alice\",\"password\":\"" GOOD_PASSWORD
                          "\",\"credential\":\"jwt\"}"),
                     200);
    strcpy(token, member_of(&stranger, "token"));
    assert_int_equal(ask(&shop, &alice, (sent){.method = "POST", .path = "/auth/logout?everywhere=1"}), 204);
    assert_int_equal(get(&phone, "/auth/session"), 401);
    assert_int_equal(ask(&shop, &stranger, (sent){.method = "GET", .path = "/auth/session", .bearer = token}),
                     401);
    log_in(&shop, &alice, "alice", GOOD_PASSWORD);
    assert_int_equal(get(&alice, "/auth/session"), 200);
}

/* ---- my sessions ---- */

static void sessions_are_listed_with_the_current_one_first(void **state)
{
    (void)state;
    alice_is_in();
    test_clock_advance_ms(5000);
    log_in(&shop, &phone, "alice", GOOD_PASSWORD);
    assert_int_equal(ask(&shop, &alice, (sent){.method = "GET", .path = "/auth/sessions"}), 200);
    assert_string_equal(member_of(&alice, "sessions.0.current"), "true");
    assert_string_equal(member_of(&alice, "sessions.1.current"), "false");
    assert_string_equal(member_of(&alice, "sessions.2"), "");
    assert_string_equal(member_of(&alice, "sessions.0.address"), "192.0.2.7");
    assert_string_equal(member_of(&alice, "sessions.1.created"), "1800000005");
    assert_string_equal(member_of(&alice, "next"), "null");
    assert_null(strstr(alice.body, cookie_of(&alice, "latchkey")));
    assert_null(strstr(alice.body, cookie_of(&phone, "latchkey")));
}

static void one_session_is_ended_by_its_public_id(void **state)
{
    (void)state;
    char path[64];
    alice_is_in();
    test_clock_advance_ms(1000);
    log_in(&shop, &phone, "alice", GOOD_PASSWORD);
    assert_int_equal(get(&alice, "/auth/sessions"), 200);
    snprintf(path, sizeof(path), "/auth/sessions/%s", member_of(&alice, "sessions.1.public_id"));
    assert_int_equal(get(&alice, path), 200);
    assert_int_equal(ask(&shop, &alice, (sent){.method = "DELETE", .path = path}), 204);
    assert_int_equal(get(&phone, "/auth/session"), 401);
    assert_int_equal(get(&alice, "/auth/session"), 200);
    assert_int_equal(ask(&shop, &alice, (sent){.method = "DELETE", .path = path}), 404);
    assert_int_equal(ask(&shop, &alice, (sent){.method = "DELETE", .path = "/auth/sessions/short"}), 404);
}

static void ending_the_current_session_removes_its_cookie(void **state)
{
    (void)state;
    char path[64];
    alice_is_in();
    snprintf(path, sizeof(path), "/auth/sessions/%s", member_of(&alice, "session.public_id"));
    assert_int_equal(ask(&shop, &alice, (sent){.method = "DELETE", .path = path}), 204);
    assert_null(cookie_of(&alice, "latchkey"));
    assert_int_equal(get(&alice, "/auth/session"), 401);
}

static void sessions_of_others_cannot_be_seen_or_ended(void **state)
{
    (void)state;
    char path[64];
    alice_is_in();
    snprintf(path, sizeof(path), "/auth/sessions/%s", member_of(&alice, "session.public_id"));
    enroll(&shop, &stranger, "mallory", GOOD_PASSWORD);
    log_in(&shop, &stranger, "mallory", GOOD_PASSWORD);
    assert_int_equal(get(&stranger, path), 404);
    assert_int_equal(ask(&shop, &stranger, (sent){.method = "DELETE", .path = path}), 404);
    assert_int_equal(
        ask(&shop, &stranger, (sent){.method = "DELETE", .path = "/auth/sessions?except=current"}), 200);
    assert_int_equal(get(&alice, "/auth/session"), 200);
    client nobody = {.jar_n = 0};
    assert_int_equal(get(&nobody, path), 401);
    assert_int_equal(ask(&shop, &nobody, (sent){.method = "DELETE", .path = path}), 401);
}

static void all_other_sessions_are_ended_at_once(void **state)
{
    (void)state;
    alice_is_in();
    log_in(&shop, &phone, "alice", GOOD_PASSWORD);
    log_in(&shop, &stranger, "alice", GOOD_PASSWORD);
    assert_int_equal(ask(&shop, &alice, (sent){.method = "DELETE", .path = "/auth/sessions"}), 422);
    assert_int_equal(get(&phone, "/auth/session"), 200);
    assert_int_equal(ask(&shop, &alice, (sent){.method = "DELETE", .path = "/auth/sessions?except=current"}),
                     200);
    assert_string_equal(member_of(&alice, "ended"), "2");
    assert_int_equal(get(&phone, "/auth/session"), 401);
    assert_int_equal(get(&stranger, "/auth/session"), 401);
    assert_int_equal(get(&alice, "/auth/session"), 200);
}

/* ---- password ---- */

static void password_change_ends_the_others_and_renews_this_one(void **state)
{
    (void)state;
    char before[64];
    alice_is_in();
    log_in(&shop, &phone, "alice", GOOD_PASSWORD);
    strcpy(before, cookie_of(&alice, "latchkey"));
    assert_int_equal(
        post(&alice, "/auth/password", "{\"current\":\"wrong horse 17\",\"new\":\"" OTHER_PASSWORD "\"}"),
        401);
    assert_int_equal(post(&alice, "/auth/password", "{\"current\":\"" GOOD_PASSWORD "\",\"new\":\"short\"}"),
                     422);
    assert_int_equal(get(&phone, "/auth/session"), 200);
    assert_int_equal(
        post(&alice, "/auth/password", "{\"current\":\"" GOOD_PASSWORD "\",\"new\":\"" OTHER_PASSWORD "\"}"),
        200);
    assert_string_not_equal(cookie_of(&alice, "latchkey"), before);
    assert_int_equal(get(&alice, "/auth/session"), 200);
    assert_int_equal(get(&phone, "/auth/session"), 401);
    test_clock_advance_ms(11000);
    set_cookie(&stranger, "latchkey", before);
    assert_int_equal(get(&stranger, "/auth/session"), 401);
    assert_int_equal(
        post(&phone, "/auth/login", "{\"username\":\"alice\",\"password\":\"" GOOD_PASSWORD "\"}"), 401);
    log_in(&shop, &phone, "alice", OTHER_PASSWORD);
}

static void password_change_with_a_token_gives_a_new_token(void **state)
{
    (void)state;
    char token[4096];
    enroll(&shop, &alice, "alice", GOOD_PASSWORD);
    assert_int_equal(post(&alice, "/auth/login",
                          "{\"username\":\"alice\",\"password\":\"" GOOD_PASSWORD
                          "\",\"credential\":\"jwt\"}"),
                     200);
    strcpy(token, member_of(&alice, "token"));
    test_clock_advance_ms(1000);
    assert_int_equal(
        ask(&shop, &alice,
            (sent){.method = "POST",
                   .path = "/auth/password",
                   .bearer = token,
                   .json = "{\"current\":\"" GOOD_PASSWORD "\",\"new\":\"" OTHER_PASSWORD "\"}"}),
        200);
    char renewed[4096];
    strcpy(renewed, member_of(&alice, "token"));
    assert_int_equal(ask(&shop, &alice, (sent){.method = "GET", .path = "/auth/session", .bearer = token}),
                     401);
    assert_int_equal(ask(&shop, &alice, (sent){.method = "GET", .path = "/auth/session", .bearer = renewed}),
                     200);
}

static void user_who_was_removed_cannot_change_a_password(void **state)
{
    (void)state;
    alice_is_in();
    lk_user user;
    assert_int_equal(lk_accounts_find(shop.accounts, LK_VIEW(""), LK_VIEW("alice"), &user), LK_OK);
    assert_int_equal(lk_accounts_remove(shop.accounts, lk_view_of(user.id)), LK_OK);
    assert_int_equal(
        post(&alice, "/auth/password", "{\"current\":\"" GOOD_PASSWORD "\",\"new\":\"" OTHER_PASSWORD "\"}"),
        401);
}

/* An environment in which somebody changes the password between the check of the old one and the session that
 * is made for it: the guard asks for randomness at just that moment. */
static bool armed;

static lk_status change_password_first(const lk_env *env, uint8_t *out, size_t len)
{
    (void)env;
    if (armed) {
        lk_user user;
        armed = false;
        test_clock_advance_ms(1000);
        assert_int_equal(lk_accounts_find(shop.accounts, LK_VIEW(""), LK_VIEW("alice"), &user), LK_OK);
        assert_int_equal(
            lk_accounts_set_password(shop.accounts, lk_view_of(user.id), LK_VIEW(OTHER_PASSWORD), NULL),
            LK_OK);
        assert_int_equal(
            lk_guard_end_user(shop.w.guard, LK_VIEW(""), lk_view_of(user.id), NULL, LK_REASON_REVOKED, NULL),
            LK_OK);
    }
    return test_env()->random(test_env(), out, len);
}

static void old_password_does_not_get_in_while_it_is_being_changed(void **state)
{
    (void)state;
    lk_env env = *test_env();
    lk_guard_parts parts = *lk_guard_parts_of(shop.w.guard);
    site twin = shop;
    enroll(&shop, &alice, "alice", GOOD_PASSWORD);
    env.random = change_password_first;
    parts.env = &env;
    assert_int_equal(lk_guard_open(parts, &twin.w.guard, NULL), LK_OK);
    assert_int_equal(lk_service_open(test_env(), &shop.w.settings, twin.w.guard, shop.accounts, NULL, NULL,
                                     &twin.service, NULL),
                     LK_OK);
    sent login = {.method = "POST",
                  .path = "/auth/login",
                  .json = "{\"username\":\"alice\",\"password\":\"" GOOD_PASSWORD "\"}"};
    armed = true;
    assert_int_equal(ask(&twin, &phone, login), 401);
    assert_false(armed);
    assert_null(cookie_of(&phone, "latchkey"));
    log_in(&twin, &phone, "alice", OTHER_PASSWORD);
    assert_int_equal(get(&phone, "/auth/sessions"), 200);
    assert_string_equal(member_of(&phone, "sessions.1"), "");
    lk_service_close(twin.service);
    lk_guard_close(twin.w.guard);
}

/* ---- data ---- */

static void token_has_session_data_too(void **state)
{
    (void)state;
    char token[4096];
    enroll(&shop, &alice, "alice", GOOD_PASSWORD);
    assert_int_equal(post(&alice, "/auth/login",
                          "{\"username\":\"alice\",\"password\":\"" GOOD_PASSWORD
                          "\",\"credential\":\"jwt\"}"),
                     200);
    strcpy(token, member_of(&alice, "token"));
    sent what = {
        .method = "PATCH", .path = "/auth/session/data", .json = "{\"a\":{\"b\":1}}", .bearer = token};
    assert_int_equal(ask(&shop, &alice, what), 200);
    what.json = "{\"a\":{\"c\":2}}";
    assert_int_equal(ask(&shop, &alice, what), 200);
    assert_string_equal(member_of(&alice, "a"), "{\"b\":1,\"c\":2}");
    assert_int_equal(alice.jar_n, 0);
}

static void first_data_of_a_visitor_begins_an_anonymous_session(void **state)
{
    (void)state;
    assert_int_equal(get(&alice, "/auth/session/data"), 200);
    assert_string_equal(alice.body, "{}");
    assert_int_equal(patch(&alice, "{}"), 200);
    assert_int_equal(patch(&alice, "{\"a\":null}"), 200);
    assert_int_equal(alice.jar_n, 0);
    assert_int_equal(patch(&alice, "{\"cart\":[1,2],\"seen\":{\"help\":true}}"), 200);
    assert_non_null(cookie_of(&alice, "latchkey"));
    assert_string_equal(member_of(&alice, "cart"), "[1,2]");
    assert_int_equal(get(&alice, "/auth/session/data"), 200);
    assert_string_equal(member_of(&alice, "seen.help"), "true");
    assert_int_equal(get(&alice, "/auth/session"), 401);
    assert_string_equal(member_of(&alice, "reason"), "no_credential");
    /* and the cart goes on after login; what the operator did not name stays behind */
    enroll(&shop, &alice, "alice", GOOD_PASSWORD);
    log_in(&shop, &alice, "alice", GOOD_PASSWORD);
    assert_int_equal(get(&alice, "/auth/session/data"), 200);
    assert_string_equal(member_of(&alice, "cart"), "[1,2]");
    assert_string_equal(member_of(&alice, "seen"), "");
}

static void patches_merge_by_rfc_7396(void **state)
{
    (void)state;
    alice_is_in();
    assert_int_equal(patch(&alice, "{\"a\":{\"b\":\"c\",\"d\":[1]},\"n\":1}"), 200);
    assert_int_equal(patch(&alice, "{\"a\":{\"b\":null,\"e\":{\"f\":1}},\"n\":null,\"m\":[null]}"), 200);
    assert_string_equal(member_of(&alice, "a"), "{\"d\":[1],\"e\":{\"f\":1}}");
    assert_string_equal(member_of(&alice, "n"), "");
    assert_string_equal(member_of(&alice, "m"), "[null]");
    assert_int_equal(ask(&shop, &alice,
                         (sent){.method = "PATCH",
                                .path = "/auth/session/data",
                                .type = "application/merge-patch+json",
                                .body = " { \"big\" : 123456789012345678901234567890 } "}),
                     200);
    assert_non_null(strstr(alice.body, "\"big\":123456789012345678901234567890"));
}

static void if_match_lets_only_the_reader_of_the_newest_write(void **state)
{
    (void)state;
    char etag[32];
    sent conditional = {
        .method = "PATCH", .path = "/auth/session/data", .json = "{\"a\":2}", .if_match = etag};
    alice_is_in();
    assert_int_equal(patch(&alice, "{\"a\":1}"), 200);
    strcpy(etag, header_of(&alice, "ETag"));
    assert_int_equal(ask(&shop, &alice, conditional), 200);
    assert_int_equal(ask(&shop, &alice, conditional), 412);
    assert_string_equal(member_of(&alice, "reason"), "revision_mismatch");
    strcpy(etag, "*");
    assert_int_equal(ask(&shop, &alice, conditional), 200);
    assert_int_equal(get(&alice, "/auth/session/data"), 200);
    snprintf(etag, sizeof(etag), "\"99\" , %s", header_of(&alice, "ETag"));
    assert_int_equal(ask(&shop, &alice, conditional), 200);
    assert_int_equal(get(&alice, "/auth/session/data"), 200);
    snprintf(etag, sizeof(etag), "W/%s", header_of(&alice, "ETag"));
    assert_int_equal(ask(&shop, &alice, conditional), 412);
    strcpy(etag, "7");
    assert_int_equal(ask(&shop, &alice, conditional), 412);
    /* a visitor without a session has the empty data of revision 0 */
    strcpy(etag, "\"1\"");
    assert_int_equal(ask(&shop, &stranger, conditional), 412);
    strcpy(etag, "*"); /* anything at all: there is nothing */
    assert_int_equal(ask(&shop, &stranger, conditional), 412);
    assert_int_equal(stranger.jar_n, 0);
    strcpy(etag, "\"0\"");
    assert_int_equal(ask(&shop, &stranger, conditional), 200);
}

static void data_beyond_the_bounds_is_refused_and_nothing_is_changed(void **state)
{
    (void)state;
    static char body[LK_BODY_MAX + 64];
    alice_is_in();
    assert_int_equal(patch(&alice, "{\"kept\":1}"), 200);
    /* two halves that are too much together */
    memset(body, 'x', 9000);
    memcpy(body, "{\"half\":\"", 9);
    strcpy(body + 9000, "\"}");
    assert_int_equal(patch(&alice, body), 200);
    memcpy(body, "{\"more\":\"", 9);
    assert_int_equal(patch(&alice, body), 422);
    strcpy(body, "{");
    for (int i = 0; i < 63; i++)
        sprintf(body + strlen(body), "\"f%d\":%d%s", i, i, i == 62 ? "}" : ",");
    assert_int_equal(patch(&alice, body), 422);
    assert_int_equal(get(&alice, "/auth/session/data"), 200);
    assert_string_equal(member_of(&alice, "kept"), "1");
    assert_string_equal(member_of(&alice, "f1"), "");
    assert_int_equal(patch(&alice, "{\"\":1}"), 422);
    assert_int_equal(patch(&alice, "[]"), 422);
    assert_int_equal(patch(&alice, "7"), 422);
    assert_int_equal(patch(&alice, "{\"a\":1,\"a\":2}"), 400);
    /* refused before a session is made */
    assert_int_equal(patch(&stranger, "{\"\":1}"), 422);
    assert_int_equal(stranger.jar_n, 0);
}

static void bad_token_in_a_header_is_told_so_and_begins_no_session(void **state)
{
    (void)state;
    sent what = {.method = "PATCH", .path = "/auth/session/data", .json = "{\"a\":1}", .bearer = "nonsense"};
    assert_int_equal(ask(&shop, &stranger, what), 401);
    assert_int_equal(stranger.jar_n, 0);
    what.method = "GET";
    assert_int_equal(ask(&shop, &stranger, what), 401);
}

static void data_of_a_session_that_was_ended_is_gone(void **state)
{
    (void)state;
    alice_is_in();
    assert_int_equal(patch(&alice, "{\"a\":1}"), 200);
    memcpy(&stranger, &alice, sizeof(alice));
    assert_int_equal(ask(&shop, &alice, (sent){.method = "POST", .path = "/auth/logout"}), 204);
    assert_int_equal(get(&stranger, "/auth/session/data"), 200);
    assert_string_equal(stranger.body, "{}");
    assert_null(cookie_of(&stranger, "latchkey"));
}

/* Every writer adds members of its own to one object, and to fields of its own, at the same time. */
enum { WRITERS = 8, WRITES = 40 };

typedef struct writer {
    pthread_t thread;
    int number;
    int acknowledged;
    client *c;
} writer;

static void *write_all(void *context)
{
    writer *me = context;
    for (int i = 0; i < WRITES; i++) {
        char body[128];
        snprintf(body, sizeof(body), "{\"own%d\":%d,\"all\":{\"w%d\":{\"n%d\":%d}}}", me->number, i,
                 me->number, i, i);
        int status = ask(&shop, me->c, (sent){.method = "PATCH", .path = "/auth/session/data", .json = body});
        if (status == 200)
            me->acknowledged++;
        else
            printf("writer %d, write %d: %d %s\n", me->number, i, status, member_of(me->c, "reason"));
    }
    return NULL;
}

static void no_acknowledged_write_of_parallel_writers_is_lost(void **state)
{
    (void)state;
    writer writers[WRITERS];
    alice_is_in();
    for (int i = 0; i < WRITERS; i++) {
        writers[i] = (writer){.number = i, .c = malloc(sizeof(client))};
        memcpy(writers[i].c, &alice, sizeof(client));
        assert_int_equal(pthread_create(&writers[i].thread, NULL, write_all, &writers[i]), 0);
    }
    for (int i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_join(writers[i].thread, NULL), 0);
    assert_int_equal(get(&alice, "/auth/session/data"), 200);
    for (int i = 0; i < WRITERS; i++) {
        char path[32];
        assert_int_equal(writers[i].acknowledged, WRITES);
        snprintf(path, sizeof(path), "own%d", i);
        assert_int_equal(atoi(member_of(&alice, path)), WRITES - 1);
        for (int k = 0; k < WRITES; k++) {
            snprintf(path, sizeof(path), "all.w%d.n%d", i, k);
            assert_string_not_equal(member_of(&alice, path), "");
        }
        free(writers[i].c);
    }
}

/* ---- the audit log ---- */

static void audit_lines_tell_what_happened_and_no_secret(void **state)
{
    (void)state;
    alice_is_in();
    char id[64];
    strcpy(id, cookie_of(&alice, "latchkey"));
    assert_int_equal(
        post(&stranger, "/auth/login", "{\"username\":\"alice\",\"password\":\"wrong horse 17\"}"), 401);
    assert_int_equal(
        post(&alice, "/auth/password", "{\"current\":\"" GOOD_PASSWORD "\",\"new\":\"" OTHER_PASSWORD "\"}"),
        200);
    assert_int_equal(ask(&shop, &alice, (sent){.method = "POST", .path = "/auth/logout"}), 204);
    static const char *const events[] = {"registered", "login", "login_failed", "password_changed", "logout"};
    for (size_t i = 0; i < sizeof(events) / sizeof(events[0]); i++) {
        char mark[64];
        snprintf(mark, sizeof(mark), "\"event\":\"%s\"", events[i]);
        if (strstr(shop.audit, mark) == NULL)
            fail_msg("no %s in %s", events[i], shop.audit);
    }
    assert_null(strstr(shop.audit, id));
    assert_null(strstr(shop.audit, GOOD_PASSWORD));
    assert_null(strstr(shop.audit, OTHER_PASSWORD));
    assert_null(strstr(shop.audit, "wrong horse"));
    for (char *line = strtok(shop.audit, "\n"); line != NULL; line = strtok(NULL, "\n"))
        assert_int_equal(lk_json_check(lk_view_of(line), NULL, NULL), LK_OK);
}

int main(int argc, char **argv)
{
    store_name = argc > 1 ? argv[1] : "memory:";
#define T(f) cmocka_unit_test_setup_teardown(f, open_shop, close_shop)
    const struct CMUnitTest tests[] = {
        T(registered_user_logs_in_and_is_known_until_logout),
        T(session_id_in_a_header_is_a_bearer_token),
        T(tokens_come_in_the_body_and_are_good_until_logout),
        T(token_in_a_cookie_is_in_no_body),
        T(remembered_login_has_no_idle_end_and_a_lasting_cookie),
        T(idle_session_is_over_and_its_cookie_is_removed),
        T(unknown_user_and_wrong_password_get_the_same_answer),
        T(guessing_is_throttled_with_retry_after),
        T(login_beyond_the_limit_says_so_and_another_logout_makes_room),
        T(registration_says_which_rule_is_broken),
        T(login_says_which_member_is_wrong),
        T(login_that_asks_for_scopes_holds_those_and_no_other),
        T(device_is_not_registered_by_a_login_that_is_limited_to_scopes),
        T(secure_cookie_is_never_handed_out_over_http),
        T(login_replaces_the_session_it_came_with),
        T(id_that_a_client_invents_is_never_adopted),
        T(logout_is_idempotent_and_works_without_a_session),
        T(logout_everywhere_ends_every_session_and_token),
        T(sessions_are_listed_with_the_current_one_first),
        T(one_session_is_ended_by_its_public_id),
        T(ending_the_current_session_removes_its_cookie),
        T(sessions_of_others_cannot_be_seen_or_ended),
        T(all_other_sessions_are_ended_at_once),
        T(password_change_ends_the_others_and_renews_this_one),
        T(password_change_with_a_token_gives_a_new_token),
        T(user_who_was_removed_cannot_change_a_password),
        T(old_password_does_not_get_in_while_it_is_being_changed),
        T(token_has_session_data_too),
        T(first_data_of_a_visitor_begins_an_anonymous_session),
        T(patches_merge_by_rfc_7396),
        T(if_match_lets_only_the_reader_of_the_newest_write),
        T(data_beyond_the_bounds_is_refused_and_nothing_is_changed),
        T(bad_token_in_a_header_is_told_so_and_begins_no_session),
        T(data_of_a_session_that_was_ended_is_gone),
        T(no_acknowledged_write_of_parallel_writers_is_lost),
        T(audit_lines_tell_what_happened_and_no_secret),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
