/* SPDX-License-Identifier: Apache-2.0
 *
 * times.c - is a proven token in its time?
 */
#include "credential/times.h"

#define LEEWAY_MAX_S 60

static int64_t leeway_of(const lk_expect *expect)
{
    if (expect->leeway_s < 0)
        return 0;
    return expect->leeway_s > LEEWAY_MAX_S ? LEEWAY_MAX_S : expect->leeway_s;
}

lk_status lk__times_check(const lk_claims *claims, bool has_expiry, const lk_expect *expect, lk_reason *why,
                          lk_note *note)
{
    /* The leeway is added to the side that is bounded, so no sum can overflow whatever the clock says. */
    int64_t leeway_s = leeway_of(expect);

    /* nbf says from when; iat only says when (RFC 7519 section 4.1.6), and may be ahead of a clock that was
     * set back after a cut-off (docs/decisions/0005). */
    if (claims->not_before_s - leeway_s > expect->now_s) {
        *why = LK_REASON_NOT_YET_VALID;
        lk_note_set(note, "the token is from the future: its nbf is after now");
        return LK_REFUSED;
    }
    /* "on or after": at exp itself the token is over (RFC 7519 section 4.1.4). */
    if (has_expiry && expect->now_s >= claims->expires_s + leeway_s) {
        *why = LK_REASON_EXPIRED;
        lk_note_set(note, "the token expired %lld seconds ago",
                    (long long)(expect->now_s < LK__TIME_MAX ? expect->now_s - claims->expires_s : 0));
        return LK_STALE;
    }
    return LK_OK;
}
