/* SPDX-License-Identifier: Apache-2.0
 *
 * The API as a protocol: routes, methods, bodies that are wrong and where, the check for other proxies, keys,
 * health, metrics, and what happens when memory or randomness is short.
 */
#include "client.h"
#include "service/call.h"
#include "service/cookie.h"
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static site shop;
static client alice, stranger;

static int open_shop(void **state)
{
    (void)state;
    site_open(&shop, "memory:");
    memset(&alice, 0, sizeof(alice));
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

/* ---- routes ---- */

static void unknown_paths_are_not_found(void **state)
{
    (void)state;
    static const char *const paths[] = {"/",
                                        "/auth/nothing",
                                        "/auth/login/",
                                        "/auth/Login",
                                        "/login",
                                        "/authlogin",
                                        "/auth//login",
                                        "/auth/sessions/a/b",
                                        "/auth/sessions/",
                                        "/auth/assets/../x",
                                        "/auth/assets/",
                                        "/.well-known/nothing",
                                        "/auth/.well-known/jwks.json"};
    for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
        if (get(&stranger, paths[i]) != 404)
            fail_msg("%s: %d", paths[i], stranger.status);
        assert_string_equal(member_of(&stranger, "reason"), "not_found");
    }
}

static void wrong_methods_are_told_the_right_ones(void **state)
{
    (void)state;
    static const char *const cases[][3] = {
        {"DELETE", "/auth/login", "GET, HEAD, POST"},
        {"PUT", "/auth/session", "GET, HEAD"},
        {"POST", "/auth/session/data", "GET, HEAD, PATCH"},
        {"PATCH", "/auth/sessions", "GET, HEAD, DELETE, POST"},
        {"PUT", "/auth/sessions/AAAAAAAAAAAAAAAA", "GET, HEAD, DELETE, POST"},
        {"DELETE", "/auth/sessions/others", "GET, HEAD"},
        {"POST", "/.well-known/jwks.json", "GET, HEAD"},
        {"OPTIONS", "/auth/logout", "GET, HEAD, POST"},
        {"get", "/auth/session", "GET, HEAD"},
        {"", "/auth/session", "GET, HEAD"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(ask(&shop, &stranger, (sent){.method = cases[i][0], .path = cases[i][1]}), 405);
        assert_string_equal(header_of(&stranger, "Allow"), cases[i][2]);
        assert_string_equal(member_of(&stranger, "reason"), "method_not_allowed");
    }
}

static void head_is_answered_like_get(void **state)
{
    (void)state;
    for (size_t i = 0; lk__route_at(i) != NULL; i++) {
        const lk__route *r = lk__route_at(i);
        char path[128];
        if (strcmp(r->method, "GET") != 0 || strchr(r->path, '{') != NULL)
            continue;
        snprintf(path, sizeof(path), "%s%s", (r->flags & LK_ROUTE_ABSOLUTE) != 0 ? "" : "/auth", r->path);
        int status = get(&stranger, path);
        assert_int_equal(ask(&shop, &stranger, (sent){.method = "HEAD", .path = path}), status);
    }
}

static void prefix_moves_the_api_and_not_the_well_known_paths(void **state)
{
    (void)state;
    strcpy(shop.w.settings.prefix, "/account-center");
    assert_int_equal(get(&stranger, "/account-center/health/live"), 200);
    assert_int_equal(get(&stranger, "/auth/health/live"), 404);
    assert_int_equal(get(&stranger, "/.well-known/jwks.json"), 200);
    assert_int_equal(get(&stranger, "/.well-known/change-password"), 302);
    assert_string_equal(header_of(&stranger, "Location"), "/account-center/password");
}

static void calls_that_hash_a_password_are_slow_and_no_others(void **state)
{
    (void)state;
    for (size_t i = 0; lk__route_at(i) != NULL; i++) {
        const lk__route *r = lk__route_at(i);
        char path[128];
        if ((r->flags & LK_ROUTE_ABSOLUTE) != 0)
            continue;
        snprintf(path, sizeof(path), "/auth%s", r->path);
        bool slow = strcmp(r->method, "POST") == 0 &&
                    (strcmp(r->path, "/login") == 0 || strcmp(r->path, "/register") == 0 ||
                     strcmp(r->path, "/password") == 0);
        assert_int_equal(lk_service_is_slow(shop.service, lk_view_of(r->method), lk_view_of(path)), slow);
    }
    assert_false(lk_service_is_slow(shop.service, LK_VIEW("POST"), LK_VIEW("/auth/nothing")));
}

static void every_change_is_behind_the_csrf_check_and_no_get_changes_anything(void **state)
{
    (void)state;
    for (size_t i = 0; lk__route_at(i) != NULL; i++) {
        const lk__route *r = lk__route_at(i);
        bool changes = strcmp(r->method, "GET") != 0;
        /* What looks at no cookie cannot be done by a browser on behalf of another site. */
        assert_int_equal(changes, (r->flags & (LK_ROUTE_CSRF | (changes ? LK_ROUTE_BARE : 0))) != 0);
        if ((r->flags & LK_ROUTE_CSRF) != 0)
            assert_false((r->flags & LK_ROUTE_BARE) != 0);
    }
}

/* ---- the documents ---- */

/* The file DOCS/NAME as text. */
static char *read_document(const char *name)
{
    static char text[65536];
    char path[512];
    snprintf(path, sizeof(path), "%s/%s", DOCS, name);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    size_t n = fread(text, 1, sizeof(text) - 1, f);
    fclose(f);
    text[n] = '\0';
    return text;
}

static bool is_route(const char *method, const char *path)
{
    for (size_t i = 0; lk__route_at(i) != NULL; i++) {
        const lk__route *r = lk__route_at(i);
        char full[128];
        snprintf(full, sizeof(full), "%s%s", (r->flags & LK_ROUTE_ABSOLUTE) != 0 ? "" : "/auth", r->path);
        char *brace = strchr(path, '{'), *own = strchr(full, '{');
        bool same = brace == NULL || own == NULL
                        ? strcmp(path, full) == 0
                        : brace - path == own - full && strncmp(path, full, (size_t)(own - full)) == 0;
        if (same && strcasecmp(r->method, method) == 0)
            return true;
    }
    return false;
}

/* Every call that is described is there, and as many are described as there are. */
static void openapi_file_describes_the_routes_and_no_others(void **state)
{
    (void)state;
    char path[128] = "", method[16], *save = NULL;
    size_t described = 0, routes = 0;
    char *text = strstr(read_document("openapi.yaml"), "\npaths:\n");
    for (char *line = strtok_r(text, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save)) {
        if (strcmp(line, "components:") == 0)
            break;
        if (strncmp(line, "  /", 3) == 0) {
            snprintf(path, sizeof(path), "%.*s", (int)strlen(line) - 3, line + 2);
            continue;
        }
        if (strncmp(line, "    ", 4) != 0 || line[4] == ' ' || strcmp(line, "    parameters:") == 0)
            continue;
        snprintf(method, sizeof(method), "%.*s", (int)strlen(line) - 5, line + 4);
        if (!is_route(method, path))
            fail_msg("%s %s is described but not there", method, path);
        described++;
    }
    while (lk__route_at(routes) != NULL)
        routes++;
    assert_int_equal(described, routes);
}

static void every_word_is_in_the_document_of_reasons(void **state)
{
    (void)state;
    const char *text = read_document("formats/reasons.md");
    char mark[64];
    for (int i = LK_REASON_NONE + 1; i < LK_REASON_COUNT; i++) {
        snprintf(mark, sizeof(mark), "| `%s` |", lk_reason_word((lk_reason)i));
        if (strstr(text, mark) == NULL)
            fail_msg("%s is missing", mark);
    }
    for (int i = 0; i < LK_PROBLEM_COUNT; i++) {
        const lk__problem_info *p = lk__problem_about((lk__problem)i);
        snprintf(mark, sizeof(mark), "| `%s` | %d |", p->word, p->status);
        if (strstr(text, mark) == NULL)
            fail_msg("%s is missing", mark);
    }
}

/* ---- bodies ---- */

static void malformed_json_is_answered_with_its_place(void **state)
{
    (void)state;
    static const struct {
        const char *json;
        int line, column;
    } cases[] = {
        {"", 1, 1},
        {"{", 1, 2},
        {"{\n  \"username\": \"a\"\n  \"password\": \"b\"\n}", 3, 3},
        {"{\"a\":1,}", 1, 8},
        {"{\"username\":\"a\",\n\"username\":\"b\"}", 2, 1},
        {"{\"a\":01}", 1, 7},
        {"{\"a\":\"\\ud800\"}", 1, 7},
        {"{} x", 1, 4},
        {"nul", 1, 1},
        {"{'a':1}", 1, 2},
        {"[1,2]", 1, 1},
        {"\"text\"", 1, 1},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (ask(&shop, &stranger, (sent){.method = "POST", .path = "/auth/login", .json = cases[i].json}) !=
            400)
            fail_msg("%s: %d %s", cases[i].json, stranger.status, stranger.body);
        assert_string_equal(member_of(&stranger, "reason"), "malformed");
        if (atoi(member_of(&stranger, "line")) != cases[i].line ||
            atoi(member_of(&stranger, "column")) != cases[i].column)
            fail_msg("%s: %s", cases[i].json, stranger.body);
    }
}

static void json_deeper_than_32_is_refused_and_32_is_read(void **state)
{
    (void)state;
    char body[256] = "{\"username\":\"a\",\"password\":\"b\",\"x\":";
    size_t n = strlen(body);
    for (int i = 0; i < 31; i++)
        strcat(body, "[");
    for (int i = 0; i < 31; i++)
        strcat(body, "]");
    strcat(body, "}");
    assert_int_equal(ask(&shop, &stranger, (sent){.method = "POST", .path = "/auth/login", .json = body}),
                     401);
    body[n] = '\0';
    for (int i = 0; i < 32; i++)
        strcat(body, "[");
    for (int i = 0; i < 32; i++)
        strcat(body, "]");
    strcat(body, "}");
    assert_int_equal(ask(&shop, &stranger, (sent){.method = "POST", .path = "/auth/login", .json = body}),
                     400);
}

static void bodies_over_16_kib_are_too_large(void **state)
{
    (void)state;
    static char body[LK_BODY_MAX + 2];
    memset(body, ' ', sizeof(body) - 1);
    memcpy(body, "{}", 2);
    assert_int_equal(ask(&shop, &stranger, (sent){.method = "POST", .path = "/auth/login", .json = body}),
                     413);
    assert_string_equal(member_of(&stranger, "reason"), "too_large");
    body[LK_BODY_MAX] = '\0';
    assert_int_equal(ask(&shop, &stranger, (sent){.method = "POST", .path = "/auth/login", .json = body}),
                     422);
    assert_int_equal(
        ask(&shop, &stranger, (sent){.method = "PATCH", .path = "/auth/session/data", .too_large = true}),
        413);
}

static void other_media_types_are_refused(void **state)
{
    (void)state;
    static const char *const types[] = {NULL,
                                        "text/json",
                                        "application/xml",
                                        "application/jsonx",
                                        "json",
                                        "application/json, text/plain",
                                        "application/vnd.api+json"};
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        sent what = {
            .method = "POST", .path = "/auth/login", .body = "{}", .type = types[i], .site = "same-origin"};
        assert_int_equal(ask(&shop, &stranger, what), 415);
        what.method = "PATCH";
        what.path = "/auth/session/data";
        assert_int_equal(ask(&shop, &stranger, what), 415);
    }
    assert_int_equal(ask(&shop, &stranger,
                         (sent){.method = "POST",
                                .path = "/auth/login",
                                .body = "{}",
                                .type = "Application/JSON ; charset=utf-8"}),
                     422);
}

/* ---- csrf, through the API ---- */

static void cross_site_change_is_refused_and_nothing_happens(void **state)
{
    (void)state;
    enroll(&shop, &alice, "alice", GOOD_PASSWORD);
    log_in(&shop, &alice, "alice", GOOD_PASSWORD);
    sent attack = {.method = "POST", .path = "/auth/logout?everywhere=1", .origin = "https://evil.example"};
    assert_int_equal(ask(&shop, &alice, attack), 403);
    assert_string_equal(member_of(&alice, "reason"), "csrf");
    assert_non_null(strstr(shop.audit, "\"reason\":\"csrf\""));
    attack =
        (sent){.method = "PATCH", .path = "/auth/session/data", .json = "{\"a\":1}", .site = "cross-site"};
    assert_int_equal(ask(&shop, &alice, attack), 403);
    attack = (sent){.method = "DELETE", .path = "/auth/sessions?except=current", .site = "same-site"};
    assert_int_equal(ask(&shop, &alice, attack), 403);
    assert_int_equal(get(&alice, "/auth/session"), 200);
    assert_int_equal(get(&alice, "/auth/session/data"), 200);
    assert_string_equal(alice.body, "{}");
    /* the same from our own page */
    assert_int_equal(ask(&shop, &alice,
                         (sent){.method = "PATCH",
                                .path = "/auth/session/data",
                                .json = "{\"a\":1}",
                                .origin = "http://shop.example",
                                .site = "same-origin"}),
                     200);
}

static void form_without_a_token_is_refused_even_from_our_own_page(void **state)
{
    (void)state;
    enroll(&shop, &alice, "alice", GOOD_PASSWORD);
    sent form = {.method = "POST",
                 .path = "/auth/login",
                 .form = "username=alice&password=wandering+heron+42",
                 .site = "same-origin",
                 .origin = "http://shop.example"};
    assert_int_equal(ask(&shop, &alice, form), 403);
    assert_string_equal(member_of(&alice, "reason"), "csrf");
    assert_null(cookie_of(&alice, "latchkey"));
}

/* ---- other proxies ---- */

static const char *const identity_headers[] = {"Remote-User", "Remote-Groups", "Remote-Name",
                                               "Latchkey-Session"};

static void auth_request_says_who_it_is(void **state)
{
    (void)state;
    enroll(&shop, &alice, "alice", GOOD_PASSWORD);
    lk_user user;
    assert_int_equal(lk_accounts_find(shop.accounts, LK_VIEW(""), LK_VIEW("alice"), &user), LK_OK);
    assert_int_equal(lk_accounts_set_roles(shop.accounts, lk_view_of(user.id), LK_VIEW("staff admin"), NULL),
                     LK_OK);
    log_in(&shop, &alice, "alice", GOOD_PASSWORD);
    assert_int_equal(get(&alice, "/auth/authz/auth-request"), 200);
    assert_string_equal(header_of(&alice, "Remote-User"), "alice");
    assert_non_null(strstr(header_of(&alice, "Remote-Groups"), "staff"));
    assert_null(strchr(header_of(&alice, "Remote-Groups"), ' '));
    assert_string_equal(header_of(&alice, "Remote-Name"), "alice");
    assert_int_equal(strlen(header_of(&alice, "Latchkey-Session")), LK_PUBLIC_ID_LEN);
    assert_int_equal(get(&alice, "/auth/authz/auth-request?role=admin"), 200);
    assert_int_equal(get(&alice, "/auth/authz/auth-request?role=admin+staff&max_age=1h"), 200);
    assert_int_equal(get(&alice, "/auth/authz/auth-request?role=root"), 403);
    assert_string_equal(member_of(&alice, "reason"), "insufficient_role");
    test_clock_advance_ms(61000);
    assert_int_equal(get(&alice, "/auth/authz/auth-request?max_age=1m"), 401);
    assert_string_equal(member_of(&alice, "reason"), "reauthentication_required");
    assert_int_equal(get(&alice, "/auth/authz/auth-request?max_age=soon"), 422);
}

static void refusals_carry_every_identity_header_empty(void **state)
{
    (void)state;
    static const char *const paths[] = {"/auth/authz/auth-request", "/auth/authz/forward-auth",
                                        "/auth/authz/auth-request?role=root"};
    enroll(&shop, &alice, "alice", GOOD_PASSWORD);
    log_in(&shop, &alice, "alice", GOOD_PASSWORD);
    for (size_t i = 0; i < 3; i++) {
        for (int k = 0; k < 4; k++) {
            (void)get(i == 2 ? &alice : &stranger, paths[i]);
            assert_int_equal((i == 2 ? &alice : &stranger)->status, i == 2 ? 403 : 401);
            assert_string_equal(header_of(i == 2 ? &alice : &stranger, identity_headers[k]), "");
        }
    }
}

static void names_outside_ascii_are_escaped_in_headers(void **state)
{
    (void)state;
    enroll(&shop, &alice, "\xe7\x8e\x8b 50%", GOOD_PASSWORD);
    log_in(&shop, &alice, "\xe7\x8e\x8b 50%", GOOD_PASSWORD);
    assert_int_equal(get(&alice, "/auth/authz/auth-request"), 200);
    assert_string_equal(header_of(&alice, "Remote-Name"), "%E7%8E%8B 50%25");
}

static void refused_visitors_are_shown_the_way_to_the_login_page(void **state)
{
    (void)state;
    sent what = {.method = "GET",
                 .path = "/auth/authz/auth-request",
                 .original_uri = "/orders?x=1",
                 .accept = BROWSER};
    assert_int_equal(ask(&shop, &stranger, what), 401);
    assert_string_equal(header_of(&stranger, "Location"), "/auth/login?return=/orders%3Fx%3D1");
    what.path = "/auth/authz/forward-auth";
    assert_int_equal(ask(&shop, &stranger, what), 303);
    assert_string_equal(header_of(&stranger, "Location"), "/auth/login?return=/orders%3Fx%3D1");
    what.original_uri = "//evil.example/";
    assert_int_equal(ask(&shop, &stranger, what), 303);
    assert_string_equal(header_of(&stranger, "Location"), "/auth/login");
    what.accept = "application/json";
    assert_int_equal(ask(&shop, &stranger, what), 401);
    assert_string_equal(member_of(&stranger, "reason"), "no_credential");
}

/* ---- keys, health, metrics ---- */

static void jwks_is_public_and_may_be_kept(void **state)
{
    (void)state;
    assert_int_equal(get(&stranger, "/.well-known/jwks.json"), 200);
    assert_string_equal(header_of(&stranger, "Content-Type"), "application/jwk-set+json");
    assert_string_equal(header_of(&stranger, "Cache-Control"), "public, max-age=300");
    assert_null(strstr(stranger.body, "\"d\""));
    assert_null(strstr(stranger.body, "\"oct\""));
    assert_string_not_equal(member_of(&stranger, "keys.0.kid"), "");
}

static void health_is_live_and_ready(void **state)
{
    (void)state;
    assert_int_equal(get(&stranger, "/auth/health/live"), 200);
    assert_int_equal(get(&stranger, "/auth/health/ready"), 200);
    assert_string_equal(member_of(&stranger, "status"), "ok");
}

/* The accounts file is overwritten: "could not look" is never "wrong password", and sessions go on. */
static void accounts_that_cannot_be_read_are_503_and_sessions_go_on(void **state)
{
    (void)state;
    static const char *const files[] = {"accounts.db", "accounts.db-wal", "accounts.db-shm"};
    enroll(&shop, &alice, "alice", GOOD_PASSWORD);
    log_in(&shop, &alice, "alice", GOOD_PASSWORD);
    for (size_t i = 0; i < 3; i++) {
        char path[128], noise[4096];
        snprintf(path, sizeof(path), "%s/%s", shop.w.dir, files[i]);
        memset(noise, 'x', sizeof(noise));
        FILE *f = fopen(path, "r+");
        if (f == NULL)
            continue;
        for (int k = 0; k < 8; k++)
            assert_int_equal(fwrite(noise, 1, sizeof(noise), f), sizeof(noise));
        fclose(f);
    }
    assert_int_equal(get(&stranger, "/auth/health/ready"), 503);
    assert_int_equal(get(&stranger, "/auth/health/live"), 200);
    sent login = {.method = "POST",
                  .path = "/auth/login",
                  .json = "{\"username\":\"alice\",\"password\":\"" GOOD_PASSWORD "\"}"};
    assert_int_equal(ask(&shop, &stranger, login), 503);
    assert_string_equal(member_of(&stranger, "reason"), "store_unavailable");
    login.path = "/auth/register";
    assert_int_equal(ask(&shop, &stranger, login), 503);
    assert_int_equal(get(&alice, "/auth/session"), 200);
}

/* RFC 6265bis 4.1.1: browsers differ in which of two wins. */
static void second_cookie_of_a_name_replaces_the_first(void **state)
{
    (void)state;
    lk_response res = {0};
    lk_request req = {.method = LK_VIEW("GET")};
    lk__call c = {.s = shop.service, .req = &req, .res = &res, .id = &res.identity, .now_ms = 1800000000000};
    lk__cookie crumb = {.name = LK_VIEW("a"), .value = LK_VIEW("1"), .path = LK_VIEW("/")};
    c.arena = lk__arena_new(test_env());
    assert_true(lk__answer_cookie(&c, &crumb));
    crumb.name = LK_VIEW("ab");
    assert_true(lk__answer_cookie(&c, &crumb));
    crumb.name = LK_VIEW("a");
    crumb.value = LK_VIEW("2");
    assert_true(lk__answer_cookie(&c, &crumb));
    assert_int_equal(res.headers_n, 2);
    assert_true(lk_view_equal(lk_view_part(res.headers[0].value, 0, 4), LK_VIEW("a=2;")));
    lk__arena_free(c.arena);
}

/* What `promtool check metrics` asks for: every family has HELP and TYPE before its samples and in one block,
 * counters and only they end in _total, names have no type in them, a series is there once. */
static void metrics_keep_the_rules_of_prometheus(void **state)
{
    (void)state;
    char family[128] = "", type[16] = "", names[4096] = "";
    enroll(&shop, &alice, "alice", GOOD_PASSWORD);
    log_in(&shop, &alice, "alice", GOOD_PASSWORD);
    assert_int_equal(get(&alice, "/auth/metrics"), 200);
    assert_string_equal(header_of(&alice, "Content-Type"), "text/plain; version=0.0.4; charset=utf-8");
    assert_non_null(strstr(alice.body, "\nlatchkey_logins_total{result=\"ok\"} 1\n"));
    assert_non_null(strstr(alice.body, "\nlatchkey_sessions{store=\"memory\"} 1\n"));
    assert_null(strstr(alice.body, "alice"));
    assert_null(strstr(alice.body, alice.identity.user[0] ? alice.identity.user : "no such text"));
    char *save = NULL;
    for (char *line = strtok_r(alice.body, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save)) {
        char name[128];
        if (sscanf(line, "# HELP %127s", name) == 1) {
            char mark[132];
            snprintf(mark, sizeof(mark), "|%s|", name);
            assert_null(strstr(names, mark));
            strcat(names, mark);
            strcpy(family, name);
            assert_true(strlen(line) > strlen("# HELP ") + strlen(name) + 8);
            type[0] = '\0';
            continue;
        }
        if (sscanf(line, "# TYPE %127s %15s", name, type) == 2) {
            assert_string_equal(name, family);
            bool total = strlen(name) > 6 && strcmp(name + strlen(name) - 6, "_total") == 0;
            assert_int_equal(total, strcmp(type, "counter") == 0);
            assert_true(total || strcmp(type, "gauge") == 0);
            continue;
        }
        size_t n = strcspn(line, "{ ");
        assert_int_equal(n, strlen(family));
        assert_memory_equal(line, family, n);
        assert_true(type[0] != '\0');
        assert_non_null(strrchr(line, ' '));
        assert_true(strspn(strrchr(line, ' ') + 1, "-.0123456789") == strlen(strrchr(line, ' ') + 1));
    }
}

/* ---- when something is short ---- */

static const sent short_calls[] = {
    {.method = "GET", .path = "/auth/session"},
    {.method = "GET", .path = "/auth/sessions"},
    {.method = "GET", .path = "/auth/account", .accept = BROWSER},
    {.method = "GET", .path = "/auth/login?return=/a", .accept = BROWSER},
    {.method = "GET", .path = "/auth/authz/auth-request"},
    {.method = "GET", .path = "/auth/metrics"},
    {.method = "GET", .path = "/auth/nothing", .accept = BROWSER},
    {.method = "GET", .path = "/.well-known/jwks.json"},
    {.method = "PATCH", .path = "/auth/session/data", .json = "{\"a\":{\"b\":1},\"c\":2}"},
    {.method = "POST",
     .path = "/auth/login",
     .json = "{\"username\":\"alice\",\"password\":\"" GOOD_PASSWORD "\"}"},
    {.method = "POST", .path = "/auth/login", .json = "{\"username\":\"a"},
    {.method = "DELETE", .path = "/auth/sessions?except=current"},
};

/* Whatever allocation fails, the answer is the right one or 503, nothing leaks, and nobody is logged out. */
static void without_memory_the_answer_is_503_and_nobody_is_logged_out(void **state)
{
    (void)state;
    enroll(&shop, &alice, "alice", GOOD_PASSWORD);
    log_in(&shop, &alice, "alice", GOOD_PASSWORD);
    for (size_t i = 0; i < sizeof(short_calls) / sizeof(short_calls[0]); i++) {
        client *c = &stranger;
        memcpy(c, &alice, sizeof(alice));
        int usual = ask(&shop, c, short_calls[i]);
        memcpy(&alice.jar, &c->jar, sizeof(c->jar));
        alice.jar_n = c->jar_n;
        bool failed = true;
        for (int n = 1; failed && n < 200; n++) {
            memcpy(c, &alice, sizeof(alice));
            int live = test_alloc_live();
            test_alloc_fail_at(n);
            int status = ask(&shop, c, short_calls[i]);
            failed = test_alloc_failed();
            test_alloc_fail_at(0);
            if (status != usual && status != 503)
                fail_msg("%s %s: %d instead of %d at allocation %d", short_calls[i].method,
                         short_calls[i].path, status, usual, n);
            if (status == 503)
                assert_null(strstr(c->headers, "Set-Cookie"));
            assert_int_equal(test_alloc_live(), live);
            if (status == 200 && cookie_of(c, "latchkey") != NULL)
                set_cookie(&alice, "latchkey", cookie_of(c, "latchkey"));
        }
        assert_int_equal(get(&alice, "/auth/session"), 200);
    }
}

/* Not even a cookie that is over is removed by an answer that says "could not look". */
static void answer_503_touches_no_cookie(void **state)
{
    (void)state;
    enroll(&shop, &alice, "alice", GOOD_PASSWORD);
    log_in(&shop, &alice, "alice", GOOD_PASSWORD);
    test_clock_advance_ms(86400 * 1000);
    bool failed = true;
    int unavailable = 0;
    for (int n = 1; failed && n < 200; n++) {
        memcpy(&stranger, &alice, sizeof(alice));
        test_alloc_fail_at(n);
        int status = get(&stranger, "/auth/session");
        failed = test_alloc_failed();
        test_alloc_fail_at(0);
        assert_true(status == 401 || status == 503);
        assert_int_equal(cookie_of(&stranger, "latchkey") == NULL, status == 401);
        unavailable += status == 503;
    }
    assert_true(unavailable > 0);
}

static void without_randomness_nothing_is_issued(void **state)
{
    (void)state;
    static const sent calls[] = {
        {.method = "GET", .path = "/auth/login", .accept = BROWSER},
        {.method = "PATCH", .path = "/auth/session/data", .json = "{\"a\":1}"},
        {.method = "POST",
         .path = "/auth/login",
         .json = "{\"username\":\"alice\",\"password\":\"" GOOD_PASSWORD "\"}"},
    };
    enroll(&shop, &alice, "alice", GOOD_PASSWORD);
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        for (int n = 1; n < 4; n++) {
            client c = {.jar_n = 0};
            test_random_fail_at(n);
            int status = ask(&shop, &c, calls[i]);
            test_random_fail_at(0);
            assert_true(status == 200 || status == 503);
            if (n == 1)
                assert_int_equal(status, 503);
            if (status == 503)
                assert_int_equal(c.jar_n, 0);
        }
    }
}

/* Requests put together at random out of pieces that mean something: never a 500, never a broken answer (see
 * check_answer in client.c). */
static void random_requests_get_clean_answers(void **state)
{
    (void)state;
    static const char *const methods[] = {"GET", "POST", "PATCH", "DELETE", "HEAD", "PUT"};
    static const char *const paths[] = {"/auth/login",
                                        "/auth/register?return=%2f%2fevil",
                                        "/auth/logout?everywhere=1",
                                        "/auth/password",
                                        "/auth/session",
                                        "/auth/session/data",
                                        "/auth/sessions?except=current&cursor=-1",
                                        "/auth/sessions/AAAAAAAAAAAAAAAA",
                                        "/auth/account?lang=zh&lang=en",
                                        "/auth/authz/forward-auth?max_age=%00",
                                        "/auth?%%%&&&==",
                                        "/auth/assets/x",
                                        "/.well-known/change-password"};
    static const char *const bodies[] = {NULL,
                                         "",
                                         "{}",
                                         "{\"a\":{\"b\":null}}",
                                         "{\"username\":\"\\u0000\",\"password\":\"\\ud83d\\udd11\"}",
                                         "{\"current\":1}",
                                         "username=%ff%fe&password=%00&csrf=x&return=//x",
                                         "except=current&csrf=",
                                         "[[[[",
                                         "\xff\xfe\x00",
                                         "null"};
    static const char *const types[] = {NULL,
                                        "application/json",
                                        "application/x-www-form-urlencoded",
                                        "application/merge-patch+json",
                                        "text/plain",
                                        ";;;"};
    static const char *const accepts[] = {NULL, BROWSER, "application/json", ";q=", "text/html;q=1.5"};
    static const char *const sites[] = {NULL, "same-origin", "cross-site", "none", ""};
    static const char *const bearers[] = {
        NULL, NULL, "x", "a.b.c", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "%%"};
    static const char *const hosts[] = {NULL, "", "a b", "[::1", "shop.example:99999"};
#define PICK(list) list[(unsigned)rand_r(&seed) % (sizeof(list) / sizeof(list[0]))]
    unsigned seed = 20270115;
    enroll(&shop, &alice, "alice", GOOD_PASSWORD);
    log_in(&shop, &alice, "alice", GOOD_PASSWORD);
    for (int i = 0; i < 4000; i++) {
        if (rand_r(&seed) % 3 == 0)
            memset(&stranger, 0, sizeof(cookie) * 2);
        if (rand_r(&seed) % 4 == 0)
            memcpy(&stranger, &alice, sizeof(alice));
        (void)ask(&shop, &stranger,
                  (sent){.method = PICK(methods),
                         .path = PICK(paths),
                         .body = PICK(bodies),
                         .type = PICK(types),
                         .accept = PICK(accepts),
                         .site = PICK(sites),
                         .bearer = PICK(bearers),
                         .host = PICK(hosts),
                         .if_match = rand_r(&seed) % 5 == 0 ? "\"1\"" : NULL,
                         .language = rand_r(&seed) % 3 == 0 ? "zh" : NULL});
        if (stranger.jar_n > 6)
            stranger.jar_n = 0;
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, open_shop, close_shop)
    const struct CMUnitTest tests[] = {
        T(unknown_paths_are_not_found),
        T(wrong_methods_are_told_the_right_ones),
        T(head_is_answered_like_get),
        T(prefix_moves_the_api_and_not_the_well_known_paths),
        T(calls_that_hash_a_password_are_slow_and_no_others),
        T(every_change_is_behind_the_csrf_check_and_no_get_changes_anything),
        T(openapi_file_describes_the_routes_and_no_others),
        T(every_word_is_in_the_document_of_reasons),
        T(malformed_json_is_answered_with_its_place),
        T(json_deeper_than_32_is_refused_and_32_is_read),
        T(bodies_over_16_kib_are_too_large),
        T(other_media_types_are_refused),
        T(cross_site_change_is_refused_and_nothing_happens),
        T(form_without_a_token_is_refused_even_from_our_own_page),
        T(auth_request_says_who_it_is),
        T(refusals_carry_every_identity_header_empty),
        T(names_outside_ascii_are_escaped_in_headers),
        T(refused_visitors_are_shown_the_way_to_the_login_page),
        T(jwks_is_public_and_may_be_kept),
        T(health_is_live_and_ready),
        T(accounts_that_cannot_be_read_are_503_and_sessions_go_on),
        T(second_cookie_of_a_name_replaces_the_first),
        T(metrics_keep_the_rules_of_prometheus),
        T(without_memory_the_answer_is_503_and_nobody_is_logged_out),
        T(answer_503_touches_no_cookie),
        T(without_randomness_nothing_is_issued),
        T(random_requests_get_clean_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
