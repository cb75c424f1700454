/* SPDX-License-Identifier: Apache-2.0
 *
 * csrf.c - does a change come from our own pages? docs/formats/csrf.md
 *
 * Asked in this order, and the first one that is there decides: Sec-Fetch-Site, Origin, Referer. A browser
 * sends at least one of them with every POST of the last ten years and no page can forge them. Who sends
 * none is a program, or a browser so old that it can only send forms; those need a form token.
 */
#include "service/call.h"
#include "service/cookie.h"
#include "service/origin.h"

#include "carrier/carrier.h"

#include <latchkey/base64url.h>

#define MARK_BYTES 16
#define MARK_LEN 22      /* base64url of MARK_BYTES */
#define MARK_LIFE_S 3600 /* a form may stay open that long before it has to be loaded again */

/* The cookie that binds the forms of visitors without a session. With the __Host- prefix no sibling
 * sub-domain can plant it, so nobody can make a visitor send a login form of somebody else. */
static lk_view mark_cookie_name(const lk_settings *settings)
{
    return settings->cookie_secure ? LK_VIEW("__Host-latchkey_form") : LK_VIEW("latchkey_form");
}

static lk_status find_mark(const lk_settings *settings, const lk_request *req, lk_view *mark)
{
    lk_status status =
        lk_cookie_find(req->presented.cookies, req->presented.cookies_n, mark_cookie_name(settings), mark);
    if (status != LK_OK)
        return status;
    return mark->len == MARK_LEN && lk_is_base64url(*mark) ? LK_OK : LK_REFUSED;
}

/* What form tokens of this visitor are bound to. */
static lk_status find_binding(const lk_settings *settings, const lk_request *req, const lk_identity *id,
                              lk_view *bound_to)
{
    if (id->has_session) {
        *bound_to = lk_view_of(id->public_id);
        return LK_OK;
    }
    return find_mark(settings, req, bound_to);
}

static lk_status check_form_token(lk_guard *g, const lk_request *req, const lk_identity *id, lk_view token)
{
    lk_view bound_to;
    if (token.len == 0 || find_binding(lk_guard_parts_of(g)->settings, req, id, &bound_to) != LK_OK)
        return LK_REFUSED;
    return lk_csrf_check(g, bound_to, token);
}

/* Is ORIGIN one of latchkey_origin? Settings are written by hand, so a final slash is forgiven there. */
static bool is_listed(const lk_settings *settings, const lk__origin *origin)
{
    for (uint32_t i = 0; i < settings->origins_n; i++) {
        lk__origin listed;
        size_t len;
        if (lk__origin_read(lk_view_of(settings->origins[i]), &listed, &len) == LK_OK &&
            lk__origin_equal(&listed, origin))
            return true;
    }
    return false;
}

/* Is ORIGIN the one this request was sent to? Behind a proxy that ends TLS we see http where the browser saw
 * https: https with the same Host is accepted. The other way round is not: what comes over plain http may be
 * written by anybody on the way. */
static bool is_own(const lk_request *req, const lk__origin *origin)
{
    lk__origin own;
    bool https = origin->https || lk_view_equal(req->scheme, LK_VIEW("https"));
    return lk__origin_of_host(https, req->host, &own) == LK_OK && lk__origin_equal(&own, origin);
}

/* A cross-site form of an old browser is a POST of one of three types. RFC 9110 lets only the type of the
 * body say what it is; a body without a type could be a form as well. */
static bool could_be_form(const lk_request *req)
{
    if (!lk_view_equal(req->method, LK_VIEW("POST")))
        return false;
    lk_view type = lk__media_essence(req->content_type);
    if (type.len == 0)
        return req->body.len > 0;
    bool one_type = lk_view_find(type, ',') == type.len && lk_view_find(type, '/') < type.len;
    return !one_type || lk_view_equal_nocase(type, LK_VIEW("application/x-www-form-urlencoded")) ||
           lk_view_equal_nocase(type, LK_VIEW("multipart/form-data")) ||
           lk_view_equal_nocase(type, LK_VIEW("text/plain"));
}

static bool names_listed_origin(const lk_settings *settings, lk_view text)
{
    lk__origin origin;
    size_t len = 0;
    return lk__origin_read(text, &origin, &len) == LK_OK && len == text.len && is_listed(settings, &origin);
}

/* Origin has to be an origin and nothing else ("null" is none); of Referer the front is looked at. */
static bool comes_from_us(const lk_settings *settings, const lk_request *req, lk_view text, bool whole)
{
    lk__origin origin;
    size_t len = 0;
    if (lk__origin_read(text, &origin, &len) != LK_OK || (whole && len != text.len))
        return false;
    return is_own(req, &origin) || is_listed(settings, &origin);
}

static bool is_same_site_request(lk_guard *g, const lk_request *req, const lk_identity *id, lk_view token)
{
    const lk_settings *settings = lk_guard_parts_of(g)->settings;
    if (req->sec_fetch_site.len > 0)
        return lk_view_equal(req->sec_fetch_site, LK_VIEW("same-origin")) ||
               lk_view_equal(req->sec_fetch_site, LK_VIEW("none")) ||
               names_listed_origin(settings, req->origin);
    if (req->origin.len > 0)
        return comes_from_us(settings, req, req->origin, true);
    if (req->referer.len > 0)
        return comes_from_us(settings, req, req->referer, false);
    return !could_be_form(req) || check_form_token(g, req, id, token) == LK_OK;
}

/* An id in the path is known to our own pages alone, so no other site can act for its visitor. But one can
 * make a visitor act, and log in, under an id of the site's own choice: what a browser says to be cross-site
 * is refused. Pages with an id in their address have the policy no-referrer, and send `Origin: null`. */
static bool is_said_to_be_foreign(const lk_settings *settings, const lk_request *req)
{
    if (req->sec_fetch_site.len > 0)
        return !lk_view_equal(req->sec_fetch_site, LK_VIEW("same-origin")) &&
               !lk_view_equal(req->sec_fetch_site, LK_VIEW("none")) &&
               !names_listed_origin(settings, req->origin);
    if (req->origin.len > 0 && !lk_view_equal(req->origin, LK_VIEW("null")))
        return !comes_from_us(settings, req, req->origin, true);
    return req->referer.len > 0 && !comes_from_us(settings, req, req->referer, false);
}

/* Pages of another origin that the operator let in. One that may come with cookies is as good as our own. One
 * that may not has a browser that sends none along and keeps none: what comes with a cookie, or could be a
 * form, was not sent by its script. */
static bool is_invited(const lk_request *req)
{
    switch (req->cors) {
    case LK_CORS_CREDENTIALS:
        return true;
    case LK_CORS_ORIGIN:
        return req->presented.cookies_n == 0 && !could_be_form(req);
    case LK_CORS_NONE:
        break;
    }
    return false;
}

lk_status lk_csrf_request(lk_guard *g, const lk_request *req, const lk_identity *id, lk_view form_token)
{
    /* A header is put there by the program itself, never by a browser on behalf of another site. */
    if ((id->has_session || id->logged_in) && id->carrier == LK_CARRIER_HEADER)
        return LK_OK;
    if (is_invited(req))
        return LK_OK;
    bool by_url = id->has_session && id->carrier == LK_CARRIER_URL;
    if (by_url ? !is_said_to_be_foreign(lk_guard_parts_of(g)->settings, req)
               : is_same_site_request(g, req, id, form_token))
        return LK_OK;
    lk_guard_count(g, LK_COUNT_CSRF);
    return LK_REFUSED;
}

bool lk__csrf_accept(lk__call *c)
{
    lk_view token = {0};
    if (c->body_kind == LK_BODY_FORM && lk__form_get(&c->form, LK_VIEW("csrf"), &token) != LK_OK)
        token = (lk_view){0};
    lk_status status = lk_csrf_request(c->s->guard, c->req, c->id, token);
    bool by_header = (c->id->has_session || c->id->logged_in) && c->id->carrier == LK_CARRIER_HEADER;
    /* Forms are what every browser can send cross-site, so for them nothing replaces the token. */
    if (status == LK_OK && c->body_kind == LK_BODY_FORM && !by_header) {
        status = check_form_token(c->s->guard, c->req, c->id, token);
        if (status != LK_OK)
            lk_guard_count(c->s->guard, LK_COUNT_CSRF);
    }
    if (status == LK_OK)
        return true;
    lk__audit(c, "refused", LK_REASON_CSRF, 403, (lk_view){0}, c->id);
    lk__answer_reason(c, 403, LK_REASON_CSRF, (lk_view){0});
    return false;
}

/* The mark of a visitor without a session, made and set if it is not there. */
static bool visitor_mark(lk__call *c, lk_view *mark)
{
    uint8_t random[MARK_BYTES];
    if (find_mark(c->s->settings, c->req, mark) != LK_OK) {
        if (lk_random(c->s->env, random, sizeof(random)) != LK_OK) {
            lk__answer_unavailable(c);
            return false;
        }
        lk_buf text = lk__arena_buf(c->arena, MARK_LEN);
        lk_base64url_encode(lk_view_make(random, sizeof(random)), &text);
        *mark = lk_buf_view(&text);
    }
    lk__cookie cookie = {.name = mark_cookie_name(c->s->settings),
                         .value = *mark,
                         .path = LK_VIEW("/"),
                         .ends = true,
                         .age_s = MARK_LIFE_S,
                         .secure = c->s->settings->cookie_secure,
                         .samesite = LK_SAMESITE_LAX};
    return lk__answer_cookie(c, &cookie);
}

bool lk__form_token(lk__call *c, lk_view *out)
{
    lk_view bound_to = lk_view_of(c->id->public_id);
    char *token = lk__arena_take(c->arena, LK_CSRF_LEN + 1);
    if (!c->id->has_session && !visitor_mark(c, &bound_to))
        return false;
    if (token == NULL || lk_csrf_new(c->s->guard, bound_to, token) != LK_OK) {
        lk__answer_unavailable(c);
        return false;
    }
    *out = lk_view_make(token, LK_CSRF_LEN);
    return true;
}
