/* SPDX-License-Identifier: Apache-2.0
 *
 * client.c - see client.h.
 */
#include "client.h"
#include <jansson.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void hear(void *context, lk_view line)
{
    site *s = context;
    if (s->audit_len + line.len + 2 > sizeof(s->audit))
        s->audit_len = 0;
    memcpy(s->audit + s->audit_len, line.p, line.len);
    s->audit_len += line.len;
    s->audit[s->audit_len++] = '\n';
    s->audit[s->audit_len] = '\0';
}

void site_open(site *s, const char *store)
{
    lk_note note = {""};
    memset(s, 0, sizeof(*s));
    test_clock_set_ms(1800000000000);
    world_open(&s->w, store);
    s->w.settings.password_memory_kib = 7168; /* the cheapest of the allowed costs */
    s->w.settings.password_passes = 5;
    if (lk_accounts_open(test_env(), &s->w.settings, s->w.ring, &s->accounts, &note) != LK_OK)
        fail_msg("accounts: %s", note.text);
    if (lk_service_open(test_env(), &s->w.settings, s->w.guard, s->accounts, hear, s, &s->service, &note) !=
        LK_OK)
        fail_msg("service: %s", note.text);
}

void site_close(site *s)
{
    lk_service_close(s->service);
    lk_accounts_close(s->accounts);
    world_close(&s->w);
}

static cookie *find_cookie(client *c, const char *name)
{
    for (size_t i = 0; i < c->jar_n; i++) {
        if (strcmp(c->jar[i].name, name) == 0)
            return &c->jar[i];
    }
    return NULL;
}

void set_cookie(client *c, const char *name, const char *value)
{
    cookie *there = find_cookie(c, name);
    if (there == NULL) {
        assert_true(c->jar_n < COOKIES_MAX);
        there = &c->jar[c->jar_n++];
    }
    snprintf(there->name, sizeof(there->name), "%s", name);
    snprintf(there->value, sizeof(there->value), "%s", value);
}

const char *cookie_of(const client *c, const char *name)
{
    cookie *there = find_cookie((client *)c, name);
    return there == NULL ? NULL : there->value;
}

static void take_cookie(client *c, const char *value)
{
    char name[64], text[4200];
    const char *equals = strchr(value, '='), *end = strchr(value, ';');
    assert_non_null(equals);
    assert_non_null(end);
    snprintf(name, sizeof(name), "%.*s", (int)(equals - value), value);
    snprintf(text, sizeof(text), "%.*s", (int)(end - equals - 1), equals + 1);
    assert_non_null(strstr(value, "; HttpOnly"));
    assert_non_null(strstr(value, "; SameSite="));
    if (strstr(value, "Max-Age=0") == NULL) {
        set_cookie(c, name, text);
        return;
    }
    cookie *there = find_cookie(c, name);
    if (there != NULL)
        *there = c->jar[--c->jar_n];
}

const char *header_of(const client *c, const char *name)
{
    static __thread char value[8192];
    size_t n = strlen(name);
    for (const char *line = c->headers; *line != '\0'; line = strchr(line, '\n') + 1) {
        if (strncmp(line, name, n) == 0 && line[n] == ':') {
            snprintf(value, sizeof(value), "%.*s", (int)(strchr(line, '\n') - line - (int)n - 2),
                     line + n + 2);
            return value;
        }
    }
    return NULL;
}

const char *member_of(const client *c, const char *path)
{
    static __thread char value[8192];
    char name[64];
    json_t *root = json_loads(c->body, 0, NULL), *at = root;
    value[0] = '\0';
    while (at != NULL && *path != '\0') {
        size_t n = strcspn(path, ".");
        snprintf(name, sizeof(name), "%.*s", (int)n, path);
        at = json_is_array(at) ? json_array_get(at, (size_t)atoi(name)) : json_object_get(at, name);
        path += n + (path[n] == '.');
    }
    if (json_is_string(at))
        snprintf(value, sizeof(value), "%s", json_string_value(at));
    else if (at != NULL) {
        char *text = json_dumps(at, JSON_ENCODE_ANY | JSON_COMPACT);
        snprintf(value, sizeof(value), "%s", text);
        free(text);
    }
    json_decref(root);
    return value;
}

const char *field_of(const client *c, const char *name)
{
    static __thread char value[4096];
    char mark[128];
    snprintf(mark, sizeof(mark), "name=\"%s\" value=\"", name);
    const char *at = strstr(c->body, mark);
    if (at == NULL)
        return NULL;
    at += strlen(mark);
    snprintf(value, sizeof(value), "%.*s", (int)(strchr(at, '"') - at), at);
    return value;
}

/* ---- what every answer must be ---- */

static void check_cookies(const lk_response *res)
{
    for (size_t i = 0; i < res->headers_n; i++) {
        for (size_t k = i + 1; k < res->headers_n; k++) {
            const lk_response_header *a = &res->headers[i], *b = &res->headers[k];
            bool is_cookie = strcmp(a->name, "Set-Cookie") == 0;
            if (strcmp(a->name, b->name) != 0)
                continue;
            assert_true(is_cookie);
            assert_false(lk_view_equal(lk_view_part(a->value, 0, lk_view_find(a->value, '=')),
                                       lk_view_part(b->value, 0, lk_view_find(b->value, '='))));
        }
    }
}

static void check_page(const client *c)
{
    assert_non_null(strstr(header_of(c, "Content-Security-Policy"), "default-src 'none'"));
    assert_non_null(strstr(header_of(c, "Content-Security-Policy"), "frame-ancestors 'none'"));
    assert_string_equal(header_of(c, "Referrer-Policy"), "same-origin");
    assert_null(strstr(c->body, "<script"));
    assert_null(strstr(c->body, " style="));
    assert_null(strstr(c->body, "{{"));
    assert_non_null(strstr(c->body, "<html lang=\""));
}

static void check_answer(const client *c, const lk_response *res)
{
    const char *type = header_of(c, "Content-Type");
    assert_true(res->status >= 200 && res->status != 500 && res->status < 504);
    assert_true(res->headers_n < LK_RESPONSE_HEADERS_MAX);
    assert_non_null(header_of(c, "Cache-Control"));
    assert_string_equal(header_of(c, "X-Content-Type-Options"), "nosniff");
    if (strstr(c->headers, "Set-Cookie") != NULL)
        assert_string_equal(header_of(c, "Cache-Control"), "no-store");
    if (res->status == 401)
        assert_non_null(header_of(c, "WWW-Authenticate"));
    if (res->status == 503 || res->status == 429)
        assert_non_null(header_of(c, "Retry-After"));
    if (res->body.len > 0)
        assert_non_null(header_of(c, "Content-Type"));
    type = header_of(c, "Content-Type");
    if (type != NULL && strstr(type, "json") != NULL)
        assert_int_equal(lk_json_check(res->body, NULL, NULL), LK_OK);
    if (type != NULL && strncmp(type, "text/html", 9) == 0)
        check_page(c);
    if (type != NULL && strcmp(type, "application/problem+json") == 0) {
        assert_int_equal(atoi(member_of(c, "status")), res->status);
        assert_true(member_of(c, "title")[0] != '\0');
        assert_true(member_of(c, "detail")[0] != '\0');
        assert_true(member_of(c, "reason")[0] != '\0');
        assert_non_null(strstr(member_of(c, "type"), "/auth/problems/"));
    }
    check_cookies(res);
}

static void take_answer(client *c, const lk_response *res)
{
    size_t at = 0;
    c->status = res->status;
    c->identity = res->identity;
    c->headers[0] = '\0';
    for (size_t i = 0; i < res->headers_n; i++) {
        lk_view v = res->headers[i].value;
        for (size_t k = 0; k < v.len; k++)
            assert_true(v.p[k] >= 0x20 && v.p[k] != 0x7f);
        at += (size_t)snprintf(c->headers + at, sizeof(c->headers) - at, "%s: %.*s\n", res->headers[i].name,
                               (int)v.len, (const char *)v.p);
        assert_true(at < sizeof(c->headers));
    }
    assert_true(res->body.len < sizeof(c->body));
    if (res->body.len > 0)
        memcpy(c->body, res->body.p, res->body.len);
    c->body[res->body.len] = '\0';
    check_answer(c, res);
    for (size_t i = 0; i < res->headers_n; i++) {
        if (strcmp(res->headers[i].name, "Set-Cookie") != 0)
            continue;
        char value[8192];
        snprintf(value, sizeof(value), "%.*s", (int)res->headers[i].value.len,
                 (const char *)res->headers[i].value.p);
        take_cookie(c, value);
    }
}

int ask(site *s, client *c, sent what)
{
    static __thread char cookies[COOKIES_MAX * 4300], bearer[LK_CREDENTIAL_MAX + 16];
    lk_request req = {.method = lk_view_of(what.method),
                      .host = lk_view_of(what.host == NULL ? "shop.example" : what.host),
                      .scheme = lk_view_of(what.scheme == NULL ? "http" : what.scheme),
                      .address = LK_VIEW("192.0.2.7"),
                      .accept = lk_view_of(what.accept),
                      .accept_language = lk_view_of(what.language),
                      .user_agent = lk_view_of(what.agent),
                      .origin = lk_view_of(what.origin),
                      .referer = lk_view_of(what.referer),
                      .sec_fetch_site = lk_view_of(what.site),
                      .if_match = lk_view_of(what.if_match),
                      .original_uri = lk_view_of(what.original_uri),
                      .body_too_large = what.too_large,
                      .request_id = LK_VIEW("r1")};
    const char *query = strchr(what.path, '?');
    req.path = lk_view_make(what.path, query == NULL ? strlen(what.path) : (size_t)(query - what.path));
    req.query = lk_view_of(query == NULL ? "" : query + 1);
    req.content_type = lk_view_of(what.json != NULL   ? "application/json"
                                  : what.form != NULL ? "application/x-www-form-urlencoded"
                                                      : what.type);
    req.body = lk_view_of(what.json != NULL ? what.json : what.form != NULL ? what.form : what.body);
    cookies[0] = '\0';
    for (size_t i = 0; i < c->jar_n; i++)
        sprintf(cookies + strlen(cookies), "%s%s=%s", i == 0 ? "" : "; ", c->jar[i].name, c->jar[i].value);
    lk_view cookie_field = lk_view_of(cookies), bearer_field;
    if (c->jar_n > 0) {
        req.presented.cookies = &cookie_field;
        req.presented.cookies_n = 1;
    }
    if (what.bearer != NULL) {
        snprintf(bearer, sizeof(bearer), "Bearer %s", what.bearer);
        bearer_field = lk_view_of(bearer);
        req.presented.authorization = &bearer_field;
        req.presented.authorization_n = 1;
    }
    lk_response res;
    lk_service_handle(s->service, &req, &res);
    take_answer(c, &res);
    lk_response_free(s->service, &res);
    return c->status;
}

void enroll(site *s, client *c, const char *name, const char *password)
{
    char body[512];
    snprintf(body, sizeof(body), "{\"username\":\"%s\",\"password\":\"%s\"}", name, password);
    if (ask(s, c, (sent){.method = "POST", .path = "/auth/register", .json = body}) != 201)
        fail_msg("register %s: %d %s", name, c->status, c->body);
}

void log_in(site *s, client *c, const char *name, const char *password)
{
    char body[512];
    snprintf(body, sizeof(body), "{\"username\":\"%s\",\"password\":\"%s\"}", name, password);
    if (ask(s, c, (sent){.method = "POST", .path = "/auth/login", .json = body}) != 200)
        fail_msg("login %s: %d %s", name, c->status, c->body);
}
