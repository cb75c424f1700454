/* SPDX-License-Identifier: Apache-2.0
 *
 * logout.c - POST /logout: over on this node when the answer is sent, whatever the browser does with the
 * cookie.
 */
#include "service/call.h"
#include "service/devices.h"

#include "carrier/carrier.h"

#include <latchkey/third_party.h>

static bool is_everywhere(lk__call *c)
{
    lk_view word = lk__query_text(c, LK_VIEW("everywhere"));
    bool wanted = false;
    if (word.len > 0 && !lk_view_equal(word, LK_VIEW("0")) && !lk_view_equal(word, LK_VIEW("false")))
        return true;
    return lk__body_flag(c, LK_VIEW("everywhere"), &wanted) == LK_OK && wanted;
}

static lk_status end(lk__call *c)
{
    lk_identity *id = c->id;
    uint32_t ended = 0;
    bool everywhere = id->logged_in && is_everywhere(c);
    lk_status status = lk__device_logout(c);
    if (status == LK_OK && everywhere)
        status = lk__devices_forget(c, (lk_view){0});
    if (status != LK_OK)
        return status;
    if (everywhere) {
        status = lk_guard_end_user(c->s->guard, lk_view_of(id->realm), lk_view_of(id->user), NULL,
                                   LK_REASON_REVOKED, &ended);
        /* API keys go along for good. While the accounts are away the cut-off alone holds them, until it is
         * forgotten; the next use of each removes it. */
        if (status == LK_OK)
            (void)!lk_accounts_api_key_remove(c->s->accounts, lk_view_of(id->user), (lk_view){0});
        return status;
    }
    if (!id->has_session)
        return LK_OK;
    return lk_guard_end_of(c->s->guard, id, LK_REASON_REVOKED);
}

/* Whatever cookie of our name came along is taken out of the browser. */
static lk_status drop_cookie(lk__call *c)
{
    lk_view value;
    lk_status status = lk_cookie_find(c->req->presented.cookies, c->req->presented.cookies_n,
                                      lk_view_of(c->s->settings->cookie_name), &value);
    if (status != LK_MISS)
        status = lk__answer_session_cookie(c, NULL);
    else
        status = LK_OK;
    return status == LK_OK && !lk__device_drop_cookie(c) ? LK_FAULT : status;
}

void lk__logout(lk__call *c)
{
    if (end(c) != LK_OK || drop_cookie(c) != LK_OK) {
        lk__answer_unavailable(c);
        return;
    }
    if (c->id->has_session || c->id->logged_in) {
        lk_guard_count(c->s->guard, LK_COUNT_LOGOUTS);
        lk__audit(c, is_everywhere(c) ? "logout_everywhere" : "logout", LK_REASON_NONE, 204, (lk_view){0},
                  c->id);
    }
    if (!c->page) {
        lk__answer_empty(c, 204);
        return;
    }
    lk_view return_to = lk__page_return(c);
    lk__answer_redirect(c, 303, return_to.len > 0 ? return_to : lk__path(c, "/login?notice=signed_out"));
}

/* A link leads here, a button logs out: GET never changes anything. */
void lk__logout_page(lk__call *c)
{
    lk__scope scope = {.n = 0};
    lk__scope_flag(&scope, "logout", true);
    lk__scope_flag(&scope, "everywhere", is_everywhere(c));
    lk__scope_text(&scope, "form_path", lk__path(c, "/logout"));
    lk__scope_text(&scope, "return", lk__page_return(c));
    lk__page(c, 200, "confirm", &scope);
}
