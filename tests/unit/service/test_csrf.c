/* SPDX-License-Identifier: Apache-2.0
 *
 * Which changes are taken for our own: the decision table of docs/formats/csrf.md, row by row.
 */
#include "client.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static world w;
static lk_identity by_cookie, by_header, nobody;

static int open_world(void **state)
{
    (void)state;
    world_open(&w, "memory:");
    strcpy(w.settings.origins[0], "https://pay.example");
    strcpy(w.settings.origins[1], "http://localhost:3000");
    w.settings.origins_n = 2;
    by_cookie = (lk_identity){.has_session = true, .logged_in = true, .carrier = LK_CARRIER_COOKIE};
    strcpy(by_cookie.public_id, "AAAAAAAAAAAAAAAA");
    by_header = by_cookie;
    by_header.carrier = LK_CARRIER_HEADER;
    nobody = (lk_identity){.carrier = LK_CARRIER_HEADER};
    return 0;
}

static int close_world(void **state)
{
    (void)state;
    world_close(&w);
    return 0;
}

typedef struct row {
    const char *method, *type, *site, *origin, *referer;
    bool accepted;
    const char *body, *scheme, *host;
} row;

static lk_status decide(const row *r, const lk_identity *id, lk_view token)
{
    lk_request req = {.method = lk_view_of(r->method),
                      .content_type = lk_view_of(r->type),
                      .sec_fetch_site = lk_view_of(r->site),
                      .origin = lk_view_of(r->origin),
                      .referer = lk_view_of(r->referer),
                      .body = lk_view_of(r->body),
                      .scheme = lk_view_of(r->scheme == NULL ? "https" : r->scheme),
                      .host = lk_view_of(r->host == NULL ? "shop.example" : r->host)};
    return lk_csrf_request(w.guard, &req, id, token);
}

static void check_rows(const row *rows, size_t n, const lk_identity *id)
{
    for (size_t i = 0; i < n; i++) {
        lk_status want = rows[i].accepted ? LK_OK : LK_REFUSED;
        if (decide(&rows[i], id, (lk_view){0}) != want)
            fail_msg("row %zu: %s type=%s site=%s origin=%s referer=%s", i, rows[i].method,
                     rows[i].type ? rows[i].type : "-", rows[i].site ? rows[i].site : "-",
                     rows[i].origin ? rows[i].origin : "-", rows[i].referer ? rows[i].referer : "-");
    }
}
#define CHECK(rows, id) check_rows(rows, sizeof(rows) / sizeof(rows[0]), id)
#define JSON "application/json"
#define FORM "application/x-www-form-urlencoded"

static void fetch_metadata_decides_first(void **state)
{
    (void)state;
    const row rows[] = {
        {"POST", JSON, "same-origin", NULL, NULL, true, NULL, NULL, NULL},
        {"POST", FORM, "same-origin", NULL, NULL, true, NULL, NULL, NULL},
        {"POST", JSON, "none", NULL, NULL, true, NULL, NULL, NULL},
        {"POST", JSON, "same-site", NULL, NULL, false, NULL, NULL, NULL},
        {"POST", JSON, "cross-site", NULL, NULL, false, NULL, NULL, NULL},
        {"DELETE", NULL, "cross-site", NULL, NULL, false, NULL, NULL, NULL},
        {"PATCH", JSON, "same-site", NULL, NULL, false, NULL, NULL, NULL},
        /* our own Origin does not make up for it: a page of ours is same-origin */
        {"POST", JSON, "cross-site", "https://shop.example", NULL, false, NULL, NULL, NULL},
        /* one of latchkey_origin does */
        {"POST", JSON, "cross-site", "https://pay.example", NULL, true, NULL, NULL, NULL},
        {"POST", JSON, "same-site", "http://localhost:3000", NULL, true, NULL, NULL, NULL},
        {"POST", JSON, "cross-site", "https://evil.example", NULL, false, NULL, NULL, NULL},
        {"POST", JSON, "cross-site", "null", NULL, false, NULL, NULL, NULL},
        /* words we do not know are not trusted */
        {"POST", JSON, "SAME-ORIGIN", NULL, NULL, false, NULL, NULL, NULL},
        {"POST", JSON, "same-origin, cross-site", NULL, NULL, false, NULL, NULL, NULL},
        {"POST", JSON, "?", NULL, NULL, false, NULL, NULL, NULL},
    };
    CHECK(rows, &by_cookie);
    CHECK(rows, &nobody);
}

static void origin_decides_when_there_is_no_fetch_metadata(void **state)
{
    (void)state;
    const row rows[] = {
        {"POST", JSON, NULL, "https://shop.example", NULL, true, NULL, NULL, NULL},
        {"POST", FORM, NULL, "https://SHOP.example", NULL, true, NULL, NULL, NULL},
        {"POST", FORM, NULL, "https://shop.example:443", NULL, true, NULL, NULL, NULL},
        {"POST", JSON, NULL, "https://pay.example", NULL, true, NULL, NULL, NULL},
        {"POST", JSON, NULL, "http://localhost:3000", NULL, true, NULL, NULL, NULL},
        {"POST", JSON, NULL, "http://localhost:3001", NULL, false, NULL, NULL, NULL},
        {"POST", JSON, NULL, "null", NULL, false, NULL, NULL, NULL},
        {"POST", JSON, NULL, "NULL", NULL, false, NULL, NULL, NULL},
        {"POST", JSON, NULL, "https://evil.example", NULL, false, NULL, NULL, NULL},
        {"POST", JSON, NULL, "https://shop.example.evil.example", NULL, false, NULL, NULL, NULL},
        {"POST", JSON, NULL, "https://evilshop.example", NULL, false, NULL, NULL, NULL},
        {"POST", JSON, NULL, "https://shop.example:8443", NULL, false, NULL, NULL, NULL},
        {"POST", JSON, NULL, "https://shop.example.", NULL, false, NULL, NULL, NULL},
        {"POST", JSON, NULL, "https://shop.example/", NULL, false, NULL, NULL, NULL},
        {"POST", JSON, NULL, "https://shop.example https://evil.example", NULL, false, NULL, NULL, NULL},
        {"POST", JSON, NULL, "https://evil.example@shop.example", NULL, false, NULL, NULL, NULL},
        {"POST", JSON, NULL, "shop.example", NULL, false, NULL, NULL, NULL},
        {"POST", JSON, NULL, "file://", NULL, false, NULL, NULL, NULL},
        {"DELETE", NULL, NULL, "https://evil.example", NULL, false, NULL, NULL, NULL},
        /* what comes over plain http may have been written by anybody on the way */
        {"POST", JSON, NULL, "http://shop.example", NULL, false, NULL, NULL, NULL},
        /* a good Referer does not make up for a bad Origin */
        {"POST", JSON, NULL, "https://evil.example", "https://shop.example/auth/login", false, NULL, NULL,
         NULL},
    };
    CHECK(rows, &by_cookie);
    CHECK(rows, &nobody);
}

static void own_origin_is_compared_with_host_and_port(void **state)
{
    (void)state;
    const row rows[] = {
        {"POST", JSON, NULL, "http://127.0.0.1:8080", NULL, true, NULL, "http", "127.0.0.1:8080"},
        {"POST", JSON, NULL, "http://127.0.0.1:8081", NULL, false, NULL, "http", "127.0.0.1:8080"},
        {"POST", JSON, NULL, "http://127.0.0.1", NULL, false, NULL, "http", "127.0.0.1:8080"},
        {"POST", JSON, NULL, "http://[::1]:8080", NULL, true, NULL, "http", "[::1]:8080"},
        {"POST", JSON, NULL, "http://shop.example", NULL, true, NULL, "http", "Shop.Example:80"},
        /* behind a proxy that ends TLS we see http */
        {"POST", JSON, NULL, "https://shop.example", NULL, true, NULL, "http", "shop.example"},
        {"POST", JSON, NULL, "https://shop.example:8443", NULL, true, NULL, "http", "shop.example:8443"},
        {"POST", JSON, NULL, "https://evil.example", NULL, false, NULL, "http", "shop.example"},
        /* a Host that is none equals nothing */
        {"POST", JSON, NULL, "http://shop.example", NULL, false, NULL, "http", ""},
        {"POST", JSON, NULL, "http://shop.example", NULL, false, NULL, "http", "shop.example, evil.example"},
        {"POST", JSON, NULL, "http://a@b", NULL, false, NULL, "http", "a@b"},
    };
    CHECK(rows, &by_cookie);
}

static void referer_decides_when_there_is_neither(void **state)
{
    (void)state;
    const row rows[] = {
        {"POST", FORM, NULL, NULL, "https://shop.example/auth/login?return=/", true, NULL, NULL, NULL},
        {"POST", FORM, NULL, NULL, "https://shop.example", true, NULL, NULL, NULL},
        {"POST", FORM, NULL, NULL, "https://pay.example/x", true, NULL, NULL, NULL},
        {"POST", JSON, NULL, NULL, "https://evil.example/", false, NULL, NULL, NULL},
        {"POST", JSON, NULL, NULL, "https://evil.example/https://shop.example/", false, NULL, NULL, NULL},
        {"POST", JSON, NULL, NULL, "https://shop.example.evil.example/", false, NULL, NULL, NULL},
        {"POST", JSON, NULL, NULL, "https://shop.example@evil.example/", false, NULL, NULL, NULL},
        {"POST", JSON, NULL, NULL, "https://shop.example\\@evil.example/", false, NULL, NULL, NULL},
        {"POST", JSON, NULL, NULL, "about:blank", false, NULL, NULL, NULL},
        {"DELETE", NULL, NULL, NULL, "https://evil.example/", false, NULL, NULL, NULL},
    };
    CHECK(rows, &by_cookie);
}

static void without_any_of_them_only_what_no_old_form_can_send_is_accepted(void **state)
{
    (void)state;
    const row rows[] = {
        {"POST", JSON, NULL, NULL, NULL, true, "{}", NULL, NULL},
        {"POST", "application/json; charset=utf-8", NULL, NULL, NULL, true, "{}", NULL, NULL},
        {"PATCH", FORM, NULL, NULL, NULL, true, NULL, NULL, NULL},
        {"PUT", "text/plain", NULL, NULL, NULL, true, NULL, NULL, NULL},
        {"DELETE", NULL, NULL, NULL, NULL, true, NULL, NULL, NULL},
        {"POST", NULL, NULL, NULL, NULL, true, NULL, NULL, NULL},
        {"POST", NULL, NULL, NULL, NULL, false, "a=b", NULL, NULL},
        {"POST", FORM, NULL, NULL, NULL, false, NULL, NULL, NULL},
        {"POST", "Application/X-WWW-Form-Urlencoded ; charset=utf-8", NULL, NULL, NULL, false, NULL, NULL,
         NULL},
        {"POST", "multipart/form-data; boundary=x", NULL, NULL, NULL, false, NULL, NULL, NULL},
        {"POST", "text/plain", NULL, NULL, NULL, false, "{}", NULL, NULL},
        {"POST", "text/plain; application/json", NULL, NULL, NULL, false, "{}", NULL, NULL},
        {"POST", "application/json, text/plain", NULL, NULL, NULL, false, "{}", NULL, NULL},
        {"POST", "json", NULL, NULL, NULL, false, "{}", NULL, NULL},
    };
    CHECK(rows, &by_cookie);
    CHECK(rows, &nobody);
}

static void credential_in_a_header_needs_no_proof(void **state)
{
    (void)state;
    const row rows[] = {
        {"POST", FORM, "cross-site", "https://evil.example", NULL, true, NULL, NULL, NULL},
        {"POST", "text/plain", NULL, "null", NULL, true, NULL, NULL, NULL},
        {"DELETE", NULL, "cross-site", NULL, NULL, true, NULL, NULL, NULL},
    };
    CHECK(rows, &by_header);
}

/* Nobody else knows the id; but somebody else may have made it. */
static void id_in_the_path_needs_no_proof_unless_the_browser_says_who_asks(void **state)
{
    (void)state;
    lk_identity by_url = by_cookie;
    by_url.carrier = LK_CARRIER_URL;
    const row rows[] = {
        {"POST", FORM, NULL, NULL, NULL, true, NULL, NULL, NULL},
        {"POST", FORM, NULL, "null", NULL, true, NULL, NULL, NULL},
        {"POST", FORM, "same-origin", "null", NULL, true, NULL, NULL, NULL},
        {"POST", FORM, "none", NULL, NULL, true, NULL, NULL, NULL},
        {"POST", FORM, NULL, "https://shop.example", NULL, true, NULL, NULL, NULL},
        {"POST", FORM, "cross-site", "null", NULL, false, NULL, NULL, NULL},
        {"POST", FORM, "same-site", NULL, NULL, false, NULL, NULL, NULL},
        {"POST", FORM, NULL, "https://evil.example", NULL, false, NULL, NULL, NULL},
        {"POST", FORM, NULL, NULL, "https://evil.example/", false, NULL, NULL, NULL},
        {"POST", FORM, NULL, "null", "https://evil.example/", false, NULL, NULL, NULL},
    };
    CHECK(rows, &by_url);
    by_url.has_session = false;
    by_url.logged_in = false;
    const row unknown[] = {{"POST", FORM, NULL, "null", NULL, false, NULL, NULL, NULL}};
    CHECK(unknown, &by_url);
}

static void form_token_stands_in_for_an_old_browser_and_for_nothing_else(void **state)
{
    (void)state;
    char token[LK_CSRF_LEN + 1], other[LK_CSRF_LEN + 1];
    assert_int_equal(lk_csrf_new(w.guard, LK_VIEW("AAAAAAAAAAAAAAAA"), token), LK_OK);
    assert_int_equal(lk_csrf_new(w.guard, LK_VIEW("BBBBBBBBBBBBBBBB"), other), LK_OK);
    const row old_form = {"POST", FORM, NULL, NULL, NULL, true, NULL, NULL, NULL};
    const row foreign = {"POST", FORM, "cross-site", NULL, NULL, false, NULL, NULL, NULL};
    assert_int_equal(decide(&old_form, &by_cookie, lk_view_of(token)), LK_OK);
    assert_int_equal(decide(&old_form, &by_cookie, lk_view_of(other)), LK_REFUSED);
    assert_int_equal(decide(&old_form, &nobody, lk_view_of(token)), LK_REFUSED);
    assert_int_equal(decide(&foreign, &by_cookie, lk_view_of(token)), LK_REFUSED);
    for (size_t i = 0; i < LK_CSRF_LEN; i++) {
        token[i] ^= 1;
        assert_int_equal(decide(&old_form, &by_cookie, lk_view_of(token)), LK_REFUSED);
        token[i] ^= 1;
    }
    assert_int_equal(decide(&old_form, &by_cookie, lk_view_of(token)), LK_OK);
}

static void refusals_are_counted(void **state)
{
    (void)state;
    const row bad = {"POST", JSON, "cross-site", NULL, NULL, false, NULL, NULL, NULL};
    const row good = {"POST", JSON, "same-origin", NULL, NULL, true, NULL, NULL, NULL};
    uint64_t before = lk_guard_counted(w.guard, LK_COUNT_CSRF);
    assert_int_equal(decide(&bad, &by_cookie, (lk_view){0}), LK_REFUSED);
    assert_int_equal(decide(&good, &by_cookie, (lk_view){0}), LK_OK);
    assert_int_equal(lk_guard_counted(w.guard, LK_COUNT_CSRF), before + 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fetch_metadata_decides_first),
        cmocka_unit_test(origin_decides_when_there_is_no_fetch_metadata),
        cmocka_unit_test(own_origin_is_compared_with_host_and_port),
        cmocka_unit_test(referer_decides_when_there_is_neither),
        cmocka_unit_test(without_any_of_them_only_what_no_old_form_can_send_is_accepted),
        cmocka_unit_test(credential_in_a_header_needs_no_proof),
        cmocka_unit_test(id_in_the_path_needs_no_proof_unless_the_browser_says_who_asks),
        cmocka_unit_test(form_token_stands_in_for_an_old_browser_and_for_nothing_else),
        cmocka_unit_test(refusals_are_counted),
    };
    return cmocka_run_group_tests(tests, open_world, close_world);
}
