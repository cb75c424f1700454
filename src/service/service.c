/* SPDX-License-Identifier: Apache-2.0
 *
 * service.c - one request from front to back: route, visitor, body, origin, login, handler.
 */
#include "service/call.h"
#include "service/devices.h"

#include <string.h>

lk_status lk_service_open(const lk_env *env, const lk_settings *settings, lk_guard *guard,
                          lk_accounts *accounts, lk_audit_write audit, void *audit_context, lk_service **out,
                          lk_note *note)
{
    lk_service *s = lk_alloc(env, sizeof(*s));
    *out = s;
    if (s == NULL) {
        lk_note_set(note, "out of memory");
        return LK_FAULT;
    }
    *s = (lk_service){.env = env,
                      .settings = settings,
                      .guard = guard,
                      .accounts = accounts,
                      .audit = audit,
                      .audit_context = audit_context};
    return LK_OK;
}

void lk_service_close(lk_service *s)
{
    if (s == NULL)
        return;
    lk_free(s->env, s);
}

bool lk_service_is_slow(const lk_service *s, lk_view method, lk_view path)
{
    const lk__route *route;
    lk_view param;
    uint8_t memory[64];
    lk_buf allow = lk_buf_over(memory, sizeof(memory));
    return lk__route_find(s->settings, method, path, &route, &param, &allow) == LK_OK &&
           (route->flags & LK_ROUTE_SLOW) != 0;
}

static bool find_route(lk__call *c)
{
    lk_buf allow = lk__arena_buf(c->arena, 64);
    lk_status status =
        lk__route_find(c->s->settings, c->req->method, c->req->path, &c->route, &c->param, &allow);
    bool data = c->route != NULL && (c->route->flags & LK_ROUTE_DATA) != 0;
    bool page = c->route != NULL && (c->route->flags & LK_ROUTE_PAGE) != 0;
    c->page = page || (!data && lk__accept_is_html(c->req->accept));
    if (status == LK_OK)
        return true;
    if (status == LK_MISS) {
        lk__answer_problem(c, LK_PROBLEM_NOT_FOUND, LK_VIEW("no part of the API has this path"));
        return false;
    }
    lk__answer_header(c, "Allow", lk_buf_view(&allow));
    lk__answer_problem(c, LK_PROBLEM_METHOD_NOT_ALLOWED, LK_VIEW("see Allow for the methods this path has"));
    return false;
}

/* False when it could not be looked up: then the call is answered, and no cookie is touched. */
static bool find_visitor(lk__call *c)
{
    const lk_rule anybody = {.mode = LK_MODE_OPTIONAL,
                             .lag_ms = c->req->lag_ms,
                             .lag = c->req->lag,
                             .stale_s = c->req->stale_s,
                             .stale_safe = c->req->stale_safe};
    if ((c->route->flags & LK_ROUTE_BARE) != 0)
        return true;
    lk_guard_check(c->s->guard, &c->presented, &anybody, c->id);
    if (c->id->verdict == LK_VERDICT_ALLOW)
        return (c->route->flags & LK_ROUTE_RENEW) == 0 || lk__device_renew(c, &anybody);
    lk__answer_unavailable(c);
    return false;
}

static bool read_body(lk__call *c)
{
    if ((c->route->flags & (LK_ROUTE_CSRF | LK_ROUTE_BODY)) == 0)
        return true;
    if (c->req->body_too_large || c->req->body.len > LK_BODY_MAX) {
        lk__answer_problem(c, LK_PROBLEM_TOO_LARGE, LK_VIEW("a body has at most 16384 bytes"));
        return false;
    }
    /* A patch reads its own: its media type is another, and what it is merged into decides what is wrong. */
    if (lk_view_equal(c->req->method, LK_VIEW("PATCH")))
        return true;
    return lk__body_read(c);
}

/* A browser on its way to a page is sent to log in first, and comes back. */
static void ask_to_log_in(lk__call *c)
{
    lk_buf to = lk__arena_buf(c->arena, 1024 + c->req->path.len * 3);
    bool over = c->id->reason != LK_REASON_NONE && c->id->reason != LK_REASON_NO_CREDENTIAL;
    if (!c->page || !lk_view_equal(lk_view_of(c->route->method), LK_VIEW("GET"))) {
        c->route = NULL; /* the form of a page that needs a login is not shown to somebody who has none */
        lk__answer_unauthorized(c);
        return;
    }
    lk_buf_add(&to, lk__page_link(c, "/login", c->req->path));
    if (over)
        lk_buf_add_text(&to, "&notice=session_over");
    lk__answer_redirect(c, 303, lk_buf_view(&to));
}

/* The account and its sessions are the user's. A program he gave a key, or that was given a token of his,
 * acts at the places it has scopes for: it does not log him out, nor make itself another key. */
static bool is_for_owner_alone(lk__call *c)
{
    if ((c->route->flags & (LK_ROUTE_LOGIN | LK_ROUTE_OWNER)) == 0 ||
        (c->id->kind != LK_KIND_API_KEY && !c->id->by_client) || !c->id->logged_in)
        return true;
    c->page = false;
    lk__answer_reason(c, 403, LK_REASON_INSUFFICIENT_SCOPE,
                      LK_VIEW("an API key or a token of an OAuth client does not reach the account"));
    return false;
}

static void run(lk__call *c)
{
    lk_status status = lk__form_read(c->req->query, c->arena, &c->query);
    c->language = lk__page_language(c);
    if (!find_route(c))
        return;
    if (status != LK_OK) {
        lk__answer_malformed(c, NULL, LK_VIEW("the query has too many parameters"));
        return;
    }
    if (!find_visitor(c) || !read_body(c))
        return;
    if ((c->route->flags & LK_ROUTE_LOGIN) != 0 && !c->id->logged_in) {
        ask_to_log_in(c);
        return;
    }
    if (!is_for_owner_alone(c) || ((c->route->flags & LK_ROUTE_CSRF) != 0 && !lk__csrf_accept(c)))
        return;
    if (c->page)
        lk__page_keep_language(c);
    c->route->handle(c);
}

void lk_service_handle(lk_service *s, const lk_request *req, lk_response *res)
{
    memset(res, 0, sizeof(*res));
    lk__call c = {.s = s, .req = req, .res = res, .id = &res->identity, .now_ms = lk_now_ms(s->env)};
    c.presented = req->presented;
    c.presented.address = req->address;
    c.arena = lk__arena_new(s->env);
    res->memory = c.arena;
    if (c.arena == NULL)
        lk__answer_unavailable(&c);
    else
        run(&c);
    lk__answer_finish(&c);
}

void lk_response_free(lk_service *s, lk_response *res)
{
    (void)s;
    lk__arena_free(res->memory);
    lk_wipe(res, sizeof(*res));
}
