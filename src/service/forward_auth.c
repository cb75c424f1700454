/* SPDX-License-Identifier: Apache-2.0
 *
 * forward_auth.c - the check for other proxies: GET /authz/auth-request and GET /authz/forward-auth.
 *
 * Both answer 200 or a refusal and always send every identity header, empty when there is nothing to say: a
 * proxy that copies headers from us must overwrite what the client sent. auth-request (nginx) gets 401 with a
 * Location, because its sub-request cannot redirect; forward-auth (Traefik, Caddy) passes our answer on to
 * the visitor, so browsers are redirected to the login page.
 *
 * What the visitor is given on the way - the session of a device that stays logged in, a cookie with a new
 * end - is in Set-Cookie of our answer, for the proxy to hand on (docs/http-api.md).
 *
 * The query may ask for more than a login: role, scope (space-separated) and max_age (as "10m").
 */
#include "service/call.h"
#include "service/devices.h"
#include "service/text.h"

/* TEXT as a header value, the way the gateway writes it for its own applications: visible ASCII as it is,
 * everything else, '%' included, as %XX. In a list of words each blank becomes a comma. */
static lk_view header_value(lk__call *c, const char *text, bool words)
{
    lk_view v = lk_view_of(text);
    lk_buf out = lk__arena_buf(c->arena, v.len * 3 + 1);
    for (size_t i = 0; i < v.len; i++) {
        uint8_t b = v.p[i];
        if (words && b == ' ')
            lk_buf_add_byte(&out, ',');
        else if (b >= 0x20 && b < 0x7f && b != '%' && !(words && b == ','))
            lk_buf_add_byte(&out, b);
        else
            lk_buf_add_printf(&out, "%%%02X", b);
    }
    return lk_buf_view(&out);
}

static void add_identity(lk__call *c, bool allowed)
{
    const lk_identity *id = c->id;
    lk__answer_header(c, "Remote-User", header_value(c, allowed ? lk_identity_user_name(id) : "", false));
    lk__answer_header(c, "Remote-Groups", header_value(c, allowed ? id->roles : "", true));
    lk__answer_header(c, "Remote-Name", header_value(c, allowed ? id->name : "", false));
    lk__answer_header(c, "Latchkey-Session", header_value(c, allowed ? id->public_id : "", false));
}

/* The login page, with the way back if the place the visitor wanted is one of ours. */
static lk_view login_link(lk__call *c)
{
    lk_buf origin = lk__arena_buf(c->arena, c->req->host.len + 16);
    lk_buf place = lk__arena_buf(c->arena, c->req->original_uri.len * 3 + 16);
    lk_buf_add(&origin, c->req->scheme);
    lk_buf_add_text(&origin, "://");
    lk_buf_add(&origin, c->req->host);
    if (lk_redirect_check(lk_buf_view(&origin), c->req->original_uri, &place, NULL) != LK_OK)
        place.len = 0;
    return lk__page_link(c, "/login", lk_buf_view(&place));
}

static bool read_rule(lk__call *c, lk_rule *rule)
{
    lk_view max_age = lk__query_text(c, LK_VIEW("max_age"));
    *rule = (lk_rule){.mode = LK_MODE_REQUIRED,
                      .role = lk__query_text(c, LK_VIEW("role")),
                      .scope = lk__query_text(c, LK_VIEW("scope")),
                      .lag_ms = c->req->lag_ms,
                      .lag = c->req->lag,
                      .stale_s = c->req->stale_s,
                      .stale_safe = c->req->stale_safe};
    if (max_age.len == 0 || lk_parse_duration_s(max_age, &rule->max_age_s) == LK_OK)
        return true;
    lk__answer_problem(c, LK_PROBLEM_RULE_BROKEN, LK_VIEW("max_age is a length of time such as 10m"));
    return false;
}

static void answer_refused(lk__call *c, bool redirect)
{
    int status = lk_identity_http_status(c->id);
    if (status == 503) {
        lk__answer_unavailable(c);
        return;
    }
    if (status == 401 && redirect) {
        lk__answer_redirect(c, 303, login_link(c));
        return;
    }
    if (status == 401)
        lk__answer_header(c, "Location", login_link(c));
    lk__answer_reason(c, status, c->id->reason, (lk_view){0});
}

static void check(lk__call *c, bool redirect)
{
    lk_rule rule;
    if (!read_rule(c, &rule))
        return;
    lk_guard_check(c->s->guard, &c->presented, &rule, c->id);
    bool could_look = lk__device_renew(c, &rule);
    bool allowed = could_look && c->id->verdict == LK_VERDICT_ALLOW;
    if (!could_look) {
        /* answered: 503 */
    } else if (allowed) {
        lk_buf none = lk__arena_buf(c->arena, 1);
        lk__answer(c, 200, "text/plain; charset=utf-8", &none);
    } else {
        answer_refused(c, redirect);
    }
    add_identity(c, allowed && c->res->status == 200);
}

void lk__auth_request(lk__call *c)
{
    check(c, false);
}

void lk__forward_auth(lk__call *c)
{
    check(c, lk__accept_is_html(c->req->accept));
}
