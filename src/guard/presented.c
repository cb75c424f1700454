/* SPDX-License-Identifier: Apache-2.0
 *
 * presented.c - the one credential of a request, in whatever carriers it came.
 */
#include "carrier/carrier.h"
#include "guard/check_inner.h"

/* Authorization and the header of the operator's choice count as one carrier; if both are there they must
 * agree. */
static lk_status find_in_headers(const lk_presented *p, lk_view *value, bool *by_dpop, bool *twice)
{
    lk_view bearer = {0}, own = {0};
    lk_scheme scheme = LK_SCHEME_BEARER;
    lk_status b = lk_authorization_find(p->authorization, p->authorization_n, &scheme, &bearer);
    *by_dpop = b == LK_OK && scheme == LK_SCHEME_DPOP;
    lk_status o = lk_header_find(p->header, p->header_n, &own);
    if (b == LK_REFUSED || o == LK_REFUSED)
        return LK_REFUSED;
    if (b == LK_OK && o == LK_OK && !lk_view_equal(bearer, own)) {
        *twice = true;
        return LK_REFUSED;
    }
    *value = b == LK_OK ? bearer : own;
    return b == LK_OK ? b : o;
}

/* The cookie, which may be in pieces: ROOM is where they are put together. */
static lk_status find_in_cookies(const lk_guard *g, const lk_presented *p, lk_buf *room, lk_view *value,
                                 unsigned *pieces)
{
    unsigned used = 0, stale = 0;
    lk_status status = lk_cookie_find_pieces(
        p->cookies, p->cookies_n, lk_view_of(g->parts.settings->cookie_name), room, value, &used, &stale);
    *pieces = stale | (used > 1 ? (1u << used) - 2 : 0);
    if (p->sealed.len > 0) {
        *value = p->sealed;
        return LK_OK;
    }
    return status == LK_FULL ? LK_REFUSED : status;
}

lk_status lk__candidate_find(const lk_guard *g, const lk_presented *p, unsigned carriers, lk_buf *room,
                             lk__candidate *out, unsigned *pieces, bool *twice, lk_reason *why)
{
    lk_view cookie = {0}, header = {0};
    bool by_dpop;
    lk_status c = find_in_cookies(g, p, room, &cookie, pieces);
    lk_status h = find_in_headers(p, &header, &by_dpop, twice);
    /* The path is where ids are seen by others, so it is looked at last: never beside another credential. */
    if (p->url.len > 0 && h == LK_MISS && (c == LK_MISS || (c == LK_OK && cookie.len == 0))) {
        *out = (lk__candidate){p->url, LK_CARRIER_URL, false};
        *why = LK_REASON_WRONG_CARRIER;
        return lk__mask_allows(carriers, LK_CARRIER_URL) ? LK_OK : LK_REFUSED;
    }
    bool elsewhere = (c == LK_OK && cookie.len > 0 && !lk__mask_allows(carriers, LK_CARRIER_COOKIE)) ||
                     (h == LK_OK && !lk__mask_allows(carriers, LK_CARRIER_HEADER));
    if (!lk__mask_allows(carriers, LK_CARRIER_COOKIE) || (c == LK_OK && cookie.len == 0))
        c = LK_MISS;
    if (!lk__mask_allows(carriers, LK_CARRIER_HEADER))
        h = LK_MISS;
    *why = LK_REASON_MALFORMED;
    *out = (lk__candidate){h == LK_OK ? header : cookie, h == LK_OK ? LK_CARRIER_HEADER : LK_CARRIER_COOKIE,
                           h == LK_OK && by_dpop};
    if (c == LK_REFUSED || h == LK_REFUSED)
        return LK_REFUSED;
    if (c == LK_OK && h == LK_OK && !lk_view_equal(cookie, header)) {
        *twice = true;
        return LK_REFUSED;
    }
    if (c == LK_OK || h == LK_OK)
        return LK_OK;
    *why = elsewhere ? LK_REASON_WRONG_CARRIER : LK_REASON_NO_CREDENTIAL;
    return elsewhere ? LK_REFUSED : LK_MISS;
}

lk_status lk__presented_find(const lk_guard *g, const lk_presented *presented, lk_buf *room, lk_view *text)
{
    lk__candidate c;
    unsigned pieces;
    bool twice;
    lk_reason why;
    lk_status status = lk__candidate_find(g, presented, 0, room, &c, &pieces, &twice, &why);
    *text = c.text;
    return status;
}
