/* SPDX-License-Identifier: Apache-2.0
 *
 * verdict.c - what a location answers, once it is known who asks.
 */
#include "guard/check_inner.h"

lk_reason lk__rule_judge(const lk_rule *rule, const lk_identity *id, int64_t now_s)
{
    if (!id->logged_in)
        return LK_REASON_NO_CREDENTIAL;
    if ((rule->bound && id->proof != LK_PROOF_GOOD) || (rule->signature && !id->is_signed))
        return LK_REASON_WRONG_CARRIER;
    if (rule->realm.len > 0 && !lk_view_equal(rule->realm, lk_view_of(id->realm)))
        return LK_REASON_WRONG_AUDIENCE;
    if (!lk_words_have_every(lk_view_of(id->roles), rule->role))
        return LK_REASON_INSUFFICIENT_ROLE;
    if (id->limited && !lk_words_have_every(lk_view_of(id->scope), rule->scope))
        return LK_REASON_INSUFFICIENT_SCOPE;
    if (rule->max_age_s > 0 && now_s - id->auth_s > rule->max_age_s)
        return LK_REASON_REAUTHENTICATION_REQUIRED;
    return LK_REASON_NONE;
}

void lk__identity_forget(lk_identity *out)
{
    out->has_session = false;
    out->logged_in = false;
    out->user[0] = out->name[0] = out->realm[0] = out->roles[0] = out->scope[0] = out->public_id[0] = '\0';
    out->device[0] = out->bound[0] = '\0';
}

static lk_verdict refuse_or_pass(const lk_rule *rule, lk_identity *out)
{
    lk__identity_forget(out);
    return rule->mode == LK_MODE_REQUIRED ? LK_VERDICT_REFUSE : LK_VERDICT_ALLOW;
}

lk_verdict lk__verdict_make(const lk_rule *rule, lk_status status, int64_t now_s, lk_identity *out)
{
    switch (status) {
    case LK_OK:
        out->reason = LK_REASON_NONE;
        if (rule->mode == LK_MODE_REQUIRED)
            out->reason = lk__rule_judge(rule, out, now_s);
        return out->reason == LK_REASON_NONE ? LK_VERDICT_ALLOW : LK_VERDICT_REFUSE;
    case LK_MISS:
        out->reason = LK_REASON_NO_CREDENTIAL;
        return refuse_or_pass(rule, out);
    case LK_STALE:
    case LK_REFUSED:
        return refuse_or_pass(rule, out);
    case LK_FULL:
    case LK_FAULT:
        break;
    }
    lk__identity_forget(out);
    if (status == LK_FAULT || out->reason != LK_REASON_THROTTLED)
        out->reason = LK_REASON_STORE_UNAVAILABLE;
    return LK_VERDICT_UNKNOWN;
}

void lk__verdict_count(lk_guard *g, const lk_identity *out)
{
    switch (out->verdict) {
    case LK_VERDICT_ALLOW:
        lk_guard_count(g, out->logged_in ? LK_COUNT_ALLOWED : LK_COUNT_ANONYMOUS);
        return;
    case LK_VERDICT_REFUSE:
        lk_guard_count(g, LK_COUNT_REFUSED);
        return;
    case LK_VERDICT_UNKNOWN:
        lk_guard_count(g, LK_COUNT_UNKNOWN);
        return;
    }
}

int lk_identity_http_status(const lk_identity *id)
{
    switch (id->verdict) {
    case LK_VERDICT_ALLOW:
        return 200;
    case LK_VERDICT_UNKNOWN:
        return 503;
    case LK_VERDICT_REFUSE:
        break;
    }
    if (id->twice)
        return 400;
    /* 403 where logging in again as the same user would change nothing. (RFC 9110 15.5.4, RFC 6750 3.1) */
    bool pointless = id->reason == LK_REASON_INSUFFICIENT_ROLE ||
                     id->reason == LK_REASON_INSUFFICIENT_SCOPE || id->reason == LK_REASON_CSRF ||
                     id->reason == LK_REASON_CORS;
    return pointless ? 403 : 401;
}
