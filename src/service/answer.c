/* SPDX-License-Identifier: Apache-2.0
 *
 * answer.c - building the response: headers, cookies, bodies, problems.
 */
#include "service/call.h"
#include "service/cookie.h"
#include "service/text.h"

#define RETRY_AFTER_S 2 /* a store that is away is usually back within a failover */

void lk__answer_header(lk__call *c, const char *name, lk_view value)
{
    lk_response *res = c->res;
    if (res->headers_n == LK_RESPONSE_HEADERS_MAX)
        return; /* the bound is above what any route sends: tests/unit/service counts them */
    res->headers[res->headers_n++] = (lk_response_header){name, value};
}

static bool has_header(const lk__call *c, const char *name)
{
    for (size_t i = 0; i < c->res->headers_n; i++) {
        if (lk_view_equal_nocase(lk_view_of(c->res->headers[i].name), lk_view_of(name)))
            return true;
    }
    return false;
}

/* The Set-Cookie of this call whose cookie is called NAME, or NULL. */
static lk_response_header *cookie_header(lk__call *c, lk_view name)
{
    for (size_t i = 0; i < c->res->headers_n; i++) {
        lk_response_header *h = &c->res->headers[i];
        if (lk_view_equal(lk_view_of(h->name), LK_VIEW("Set-Cookie")) &&
            lk_view_equal(lk_view_part(h->value, 0, lk_view_find(h->value, '=')), name))
            return h;
    }
    return NULL;
}

/* RFC 6265bis 4.1.1: no two Set-Cookie fields of one name in a response; browsers differ in which one wins.
 */
static void put_cookie(lk__call *c, lk_view name, lk_view value)
{
    lk_response_header *there = cookie_header(c, name);
    if (there != NULL)
        there->value = value;
    else
        lk__answer_header(c, "Set-Cookie", value);
}

bool lk__answer_cookie(lk__call *c, const lk__cookie *cookie)
{
    lk_buf value = lk__arena_buf(c->arena, 1024 + cookie->value.len);
    if (lk__cookie_add(cookie, c->now_ms / 1000, &value) != LK_OK) {
        lk__answer_unavailable(c);
        return false;
    }
    put_cookie(c, cookie->name, lk_buf_view(&value));
    return true;
}

lk_status lk__answer_session_cookie(lk__call *c, const lk_issued *issued)
{
    lk_status status = LK_OK;
    size_t pieces = lk_cookie_pieces(issued);
    for (size_t i = 0; i < LK_SEALED_PIECES && status == LK_OK; i++) {
        /* A piece that nobody needs any more is removed, if it is there. */
        if (i > 0 && i >= pieces && (c->id->pieces & 1u << i) == 0)
            continue;
        lk_buf value = lk__arena_buf(c->arena, LK_SET_COOKIE_MAX);
        status = lk_cookie_write(c->s->settings, issued, i, c->now_ms / 1000, &value);
        if (status == LK_OK)
            put_cookie(c, lk_view_part(lk_buf_view(&value), 0, lk_view_find(lk_buf_view(&value), '=')),
                       lk_buf_view(&value));
    }
    return status;
}

lk_status lk__answer_again(lk__call *c, const lk_issued *issued)
{
    if (issued->kind == LK_KIND_SEALED) {
        c->presented.sealed = lk__arena_copy(c->arena, lk_view_make(issued->text, issued->len));
        if (c->presented.sealed.len != issued->len)
            return LK_FAULT;
    }
    return lk__answer_session_cookie(c, issued);
}

void lk__answer(lk__call *c, int status, const char *content_type, const lk_buf *body)
{
    if (lk_buf_status(body) != LK_OK || lk__arena_failed(c->arena)) {
        lk__answer_unavailable(c);
        return;
    }
    c->res->status = status;
    c->res->body = lk_buf_view(body);
    lk__answer_header(c, "Content-Type", lk_view_of(content_type));
}

void lk__answer_empty(lk__call *c, int status)
{
    c->res->status = status;
    c->res->body = (lk_view){0};
}

void lk__answer_redirect(lk__call *c, int status, lk_view location)
{
    if (lk__arena_failed(c->arena)) {
        lk__answer_unavailable(c);
        return;
    }
    lk__answer_empty(c, status);
    lk__answer_header(c, "Location", location);
}

/* A problem: on a page the form again or a page of its own, else a document. */
static void answer_error(lk__call *c, int status, const char *word, const char *title, lk_view detail,
                         const lk_json_place *place)
{
    if (c->page && c->route != NULL && c->route->again != NULL) {
        c->route->again(c, status, word, detail);
        return;
    }
    if (c->page) {
        lk__page_problem(c, status, word, detail);
        return;
    }
    lk_buf body = lk__arena_buf(c->arena, 1024 + detail.len * 6);
    lk__problem_add(&body, status, word, title, detail, place);
    lk__answer(c, status, "application/problem+json", &body);
}

void lk__answer_problem(lk__call *c, lk__problem problem, lk_view detail)
{
    const lk__problem_info *about = lk__problem_about(problem);
    answer_error(c, about->status, about->word, about->title, detail, NULL);
}

void lk__answer_malformed(lk__call *c, const lk_json_place *place, lk_view detail)
{
    const lk__problem_info *about = lk__problem_about(LK_PROBLEM_MALFORMED);
    answer_error(c, about->status, about->word, about->title, detail, place);
}

/* RFC 6750 section 3, RFC 9449 section 7.1: the challenge of a 401 or 403. An error code only when a
 * credential was there: who has sent none has made no error. */
static const char *challenge_error(const lk__call *c, int status, lk_reason reason)
{
    if (status == 400)
        return "invalid_request";
    if (status == 403)
        return "insufficient_scope";
    if (c->id->proof == LK_PROOF_NONCE)
        return "use_dpop_nonce";
    if (c->id->proof == LK_PROOF_BAD)
        return "invalid_dpop_proof";
    return reason == LK_REASON_NO_CREDENTIAL || reason == LK_REASON_BAD_CREDENTIALS ? NULL : "invalid_token";
}

void lk__answer_nonce(lk__call *c)
{
    char nonce[LK_DPOP_NONCE_LEN + 1];
    const lk_guard_parts *parts = lk_guard_parts_of(c->s->guard);
    if (lk_dpop_nonce_make(parts->ring, c->now_ms / 1000, nonce) == LK_OK)
        lk__answer_header(c, "DPoP-Nonce", lk__arena_copy(c->arena, lk_view_of(nonce)));
}

static void add_challenge(lk__call *c, int status, lk_reason reason)
{
    lk_buf value = lk__arena_buf(c->arena, 384);
    const char *error = challenge_error(c, status, reason);
    lk_buf_add_text(&value, c->id->proof == LK_PROOF_UNASKED ? "Bearer realm=\"" : "DPoP realm=\"");
    lk_buf_add_text(&value, c->s->settings->realm[0] == '\0' ? "latchkey" : c->s->settings->realm);
    lk_buf_add_byte(&value, '"');
    if (error != NULL)
        lk_buf_add_printf(&value, ", error=\"%s\"", error);
    if (c->id->proof != LK_PROOF_UNASKED) {
        lk_buf_add_text(&value, ", algs=\"");
        lk_dpop_algs(&value);
        lk_buf_add_byte(&value, '"');
    }
    if (c->id->proof == LK_PROOF_NONCE)
        lk__answer_nonce(c);
    lk__answer_header(c, "WWW-Authenticate", lk_buf_view(&value));
}

void lk__answer_retry_after(lk__call *c, int64_t seconds)
{
    lk_buf value = lk__arena_buf(c->arena, 24);
    lk_buf_add_i64(&value, seconds < 1 ? 1 : seconds);
    lk__answer_header(c, "Retry-After", lk_buf_view(&value));
}

void lk__answer_reason(lk__call *c, int status, lk_reason reason, lk_view detail)
{
    if (status == 400 || status == 401 || (status == 403 && reason == LK_REASON_INSUFFICIENT_SCOPE))
        add_challenge(c, status, reason);
    if (status == 503 && !has_header(c, "Retry-After"))
        lk__answer_retry_after(c, RETRY_AFTER_S);
    if (detail.len == 0)
        detail = lk_view_of(lk_reason_sentence(reason));
    answer_error(c, status, lk_reason_word(reason), lk__reason_title(reason), detail, NULL);
}

void lk__answer_unauthorized(lk__call *c)
{
    lk_reason reason = c->id->reason == LK_REASON_NONE ? LK_REASON_NO_CREDENTIAL : c->id->reason;
    /* Two credentials that differ: RFC 6750 section 3.1, invalid_request. */
    lk__answer_reason(c, c->id->twice ? 400 : 401, reason, (lk_view){0});
}

/* The one answer that must work without memory and while everything else is away: all of it is constant. */
static void answer_constant(lk__call *c)
{
    static const char body[] =
        "{\"type\":\"/auth/problems/store_unavailable\",\"title\":\"The login cannot be looked up now\","
        "\"status\":503,\"detail\":\"A store, a file or memory is not available. Nobody was logged out; try "
        "again in a moment.\",\"reason\":\"store_unavailable\"}";
    c->res->headers_n = 0;
    c->res->status = 503;
    c->res->body = lk_view_make(body, sizeof(body) - 1);
    lk__answer_header(c, "Content-Type", LK_VIEW("application/problem+json"));
    lk__answer_header(c, "Retry-After", LK_VIEW("2"));
}

void lk__answer_unavailable(lk__call *c)
{
    bool again = c->unavailable || c->arena == NULL || lk__arena_failed(c->arena);
    c->unavailable = true;
    /* No cookie that was prepared goes out, for what it names may not be there; and none is removed. */
    c->res->headers_n = 0;
    c->id->drop_cookie = false;
    if (again || !c->page) {
        answer_constant(c);
        return;
    }
    lk__answer_header(c, "Retry-After", LK_VIEW("2"));
    lk__page_problem(c, 503, lk_reason_word(LK_REASON_STORE_UNAVAILABLE), (lk_view){0});
}

static void add_vary(lk__call *c)
{
    bool changes = c->route != NULL && (c->route->flags & LK_ROUTE_CSRF) != 0;
    bool data = c->route != NULL && (c->route->flags & LK_ROUTE_DATA) != 0;
    lk_view vary =
        data ? LK_VIEW("Cookie, Authorization") : LK_VIEW("Accept, Accept-Language, Cookie, Authorization");
    if (changes)
        vary = data ? LK_VIEW("Cookie, Authorization, Origin, Sec-Fetch-Site")
                    : LK_VIEW("Accept, Accept-Language, Cookie, Authorization, Origin, Sec-Fetch-Site");
    lk__answer_header(c, "Vary", vary);
}

/* The visitor goes on with what he has if there is nothing else to be had. */
static void hand_out_again(lk__call *c)
{
    lk_issued issued;
    if (lk_guard_reissue(c->s->guard, &c->presented, c->id, &issued) == LK_OK)
        (void)!lk__answer_session_cookie(c, &issued);
    lk_issued_wipe(&issued);
}

void lk__answer_finish(lk__call *c)
{
    lk_view name = lk_view_of(c->s->settings->cookie_name);
    if (c->id->reissue != LK_REISSUE_NO && !c->unavailable && !c->id->drop_cookie && c->arena != NULL &&
        cookie_header(c, name) == NULL)
        hand_out_again(c);
    if (c->id->drop_cookie && cookie_header(c, name) == NULL && lk__answer_session_cookie(c, NULL) != LK_OK)
        lk__answer_unavailable(c);
    if (!has_header(c, "Cache-Control")) {
        lk__answer_header(c, "Cache-Control", LK_VIEW("no-store"));
        add_vary(c);
    }
    lk__answer_header(c, "X-Content-Type-Options", LK_VIEW("nosniff"));
    if (lk_view_equal(c->req->scheme, LK_VIEW("https")))
        lk__answer_header(c, "Strict-Transport-Security", LK_VIEW("max-age=31536000"));
}

lk_view lk__path(lk__call *c, const char *path)
{
    lk_buf out = lk__arena_buf(c->arena, 256);
    lk_buf_add_text(&out, c->s->settings->prefix);
    lk_buf_add_text(&out, path);
    return lk_buf_view(&out);
}
