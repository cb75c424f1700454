/* SPDX-License-Identifier: Apache-2.0
 *
 * device_renew.c - a browser whose session ended by time, and which shows the cookie of its device, is given
 * a new session on the spot; and that cookie.
 */
#include "service/devices.h"
#include "service/text.h"

#include "carrier/carrier.h"
#include "service/cookie.h"

#include <string.h>

void lk_device_cookie_name(const lk_settings *settings, char out[LK_DEVICE_COOKIE_MAX + 1])
{
    lk_buf name = lk_buf_over(out, LK_DEVICE_COOKIE_MAX + 1);
    bool own = settings->device_cookie[0] != '\0';
    lk_buf_add_text(&name, own ? settings->device_cookie : settings->cookie_name);
    if (!own)
        lk_buf_add_text(&name, "-device");
    (void)lk_buf_text(&name);
}

lk_status lk_device_cookie_write(const lk_settings *settings, lk_view text, int64_t age_s, int64_t now_s,
                                 lk_buf *out)
{
    char name[LK_DEVICE_COOKIE_MAX + 1];
    lk_device_cookie_name(settings, name);
    lk__cookie c = {
        .name = lk_view_of(name),
        .value = text,
        .path = settings->cookie_path[0] != '\0' ? lk_view_of(settings->cookie_path) : LK_VIEW("/"),
        .domain = lk_view_of(settings->cookie_domain),
        .secure = settings->cookie_secure,
        .samesite = settings->cookie_samesite,
        .ends = true,
        .age_s = text.len > 0 ? age_s : 0,
    };
    return lk__cookie_add(&c, now_s, out);
}

/* Over by time, or nothing there. Not what somebody ended, nor what came in a header: a program that shows a
 * token means that one. */
static bool ended_by_time(const lk_identity *id)
{
    if (id->logged_in || id->verdict == LK_VERDICT_UNKNOWN)
        return false;
    bool by_cookie = id->carrier == LK_CARRIER_COOKIE;
    return id->reason == LK_REASON_NO_CREDENTIAL || (id->reason == LK_REASON_NONE && by_cookie) ||
           ((id->reason == LK_REASON_EXPIRED || id->reason == LK_REASON_IDLE) && by_cookie);
}

bool lk_device_may_renew(const lk_settings *settings, const lk_presented *presented, const lk_identity *id)
{
    char name[LK_DEVICE_COOKIE_MAX + 1];
    lk_view text;
    if (!settings->device_on || presented->cookies_n == 0 || !ended_by_time(id))
        return false;
    lk_device_cookie_name(settings, name);
    return lk_cookie_find(presented->cookies, presented->cookies_n, lk_view_of(name), &text) != LK_MISS;
}

static void tell(lk_service *s, const lk_request *req, const lk_device_session *got)
{
    lk__call c = {.s = s, .req = req, .now_ms = lk_now_ms(s->env)};
    lk__audit(&c, "device_login", LK_REASON_NONE, 200, lk_view_of(got->user.id), NULL);
}

lk_status lk_service_renew(lk_service *s, const lk_request *req, const lk_identity *id, lk_issued *out,
                           bool *over)
{
    char name[LK_DEVICE_COOKIE_MAX + 1];
    uint8_t agent[LK_AGENT_MAX];
    lk_buf agent_buf = lk_buf_over(agent, sizeof(agent));
    lk_device_proof proof = {0};
    lk_device_session got;
    memset(out, 0, sizeof(*out));
    *over = true;
    lk_device_cookie_name(s->settings, name);
    lk_status status =
        lk_cookie_find(req->presented.cookies, req->presented.cookies_n, lk_view_of(name), &proof.text);
    if (status != LK_OK || proof.text.len == 0)
        return LK_REFUSED;
    lk_way way = lk_way_of_settings(s->settings);
    lk__ascii_add(&agent_buf, req->user_agent, LK_AGENT_MAX);
    lk_device_ask ask = {.proof = &proof,
                         .kind = lk_way_credential(way),
                         .renews = way == LK_WAY_TOKEN,
                         .agent = lk_buf_view(&agent_buf),
                         .address = req->address,
                         .presented = &req->presented,
                         .prior = id->has_session ? id : NULL};
    status = lk_guard_device_session(s->guard, s->accounts, &ask, &got);
    *over = status == LK_REFUSED && got.over;
    if (status == LK_OK) {
        *out = got.issued;
        tell(s, req, &got);
    }
    /* All places are taken: he is no more logged in than before. A store that is full is no word about him.
     */
    if (status == LK_FULL)
        status = got.issued.why == LK_REASON_SESSION_LIMIT ? LK_REFUSED : LK_FAULT;
    lk_wipe(&got, sizeof(got));
    return status;
}

/* ---- in the API ---- */

/* His credential, in place of the one in his cookies. */
static lk_status go_on_as(lk__call *c, const lk_issued *issued, const lk_rule *rule)
{
    c->presented.sealed = lk__arena_copy(c->arena, lk_view_make(issued->text, issued->len));
    if (c->presented.sealed.len != issued->len || lk__answer_session_cookie(c, issued) != LK_OK)
        return LK_FAULT;
    lk_guard_check(c->s->guard, &c->presented, rule, c->id);
    return c->id->verdict == LK_VERDICT_UNKNOWN ? LK_FAULT : LK_OK;
}

bool lk__device_renew(lk__call *c, const lk_rule *rule)
{
    lk_issued issued;
    bool over = false;
    if (c->s->accounts == NULL || !lk_device_may_renew(c->s->settings, &c->presented, c->id))
        return true;
    lk_request req = *c->req;
    req.presented = c->presented;
    lk_status status = lk_service_renew(c->s, &req, c->id, &issued, &over);
    if (status == LK_OK)
        status = go_on_as(c, &issued, rule);
    lk_issued_wipe(&issued);
    if (status == LK_FAULT || status == LK_FULL) {
        lk__answer_unavailable(c);
        return false;
    }
    return !over || lk__device_drop_cookie(c);
}
