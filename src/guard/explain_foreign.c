/* SPDX-License-Identifier: Apache-2.0
 *
 * explain_foreign.c - the checks of a JWT of another issuer (latchkey_trust), one by one. docs/trust.md
 *
 * The steps are those of lk_trust_check, which decides: what it refuses for is the first step that says no,
 * and those before it were passed.
 */
#include "guard/explain_inner.h"
#include "guard/trust_internal.h"
#include <stdio.h>

/* What can be told of a token that was checked. */
typedef struct foreign {
    const lk_trust *t;
    lk_status status;
    lk_reason why;
    lk_claims claims; /* of LK_OK alone */
    lk_note note;
} foreign;

static void explain_keys(lk__explainer *x, uint32_t index, const lk__trust_set *set)
{
    lk_trust_state state = {.issuer = NULL};
    char algs[128] = "";
    lk_alg_set allowed = lk_trust_algs(x->g->parts.settings->trusts + index);
    size_t used = 0;
    for (lk_alg a = 0; a < LK_ALG_COUNT; a++)
        if ((allowed & LK_ALG_BIT(a)) != 0 && used < sizeof(algs))
            used += (size_t)snprintf(algs + used, sizeof(algs) - used, "%s%s", used > 0 ? " " : "",
                                     lk_alg_name(a));
    lk__step_seen(x->e, "algorithms", "%s", algs);
    if (set == NULL || !lk_guard_trust_state(x->g, index, &state))
        return;
    lk__step_seen(x->e, "keys", "a set that was right %s ago; %llu times fetched, %llu times not to be had",
                  lk__words_length(state.age_ms / 1000).text, (unsigned long long)state.fetches,
                  (unsigned long long)state.failures);
}

/* The key and the signature, which come before all that the token says. */
static bool explain_signature(lk__explainer *x, const foreign *f, lk_view kid)
{
    if (f->status == LK_FAULT || f->status == LK_FULL)
        return lk__step(x->e, "signature", LK_STEP_UNKNOWN, LK_REASON_STORE_UNAVAILABLE,
                        "could not be computed");
    if (f->status == LK_REFUSED && f->why == LK_REASON_UNKNOWN_KEY)
        return lk__step_no(x->e, "key", f->why, "%s: the set has none of that name for these algorithms",
                           kid.len > 0 ? lk__words_shown(kid).text : "names none");
    if (f->status == LK_REFUSED && f->why == LK_REASON_MALFORMED)
        return lk__step_no(x->e, "fields", f->why, "%s",
                           f->note.text[0] != '\0' ? f->note.text : lk_reason_sentence(f->why));
    lk__step_yes(x->e, "key", "%s: in the set", kid.len > 0 ? lk__words_shown(kid).text : "the one there is");
    if (f->status == LK_REFUSED && f->why == LK_REASON_BAD_SIGNATURE)
        return lk__step_no(x->e, "signature", f->why, "not that of this key over these bytes");
    return lk__step_yes(x->e, "signature", "right");
}

/* What a token that is over says is looked at again at a time when it was not, to be shown. */
static void read_over(const lk__explainer *x, foreign *f, const lk_keyring *ring, lk_view text,
                      lk_buf *scratch)
{
    lk_reason why;
    int64_t step_s = f->why == LK_REASON_EXPIRED ? -1 : 1;
    for (int64_t by_s = 60; f->status == LK_STALE && by_s < 100LL * 366 * 86400; by_s *= 2)
        if (lk_trust_check(f->t, ring, text, x->now_s + step_s * by_s, scratch, &f->claims, &why, NULL) ==
            LK_OK)
            return;
}

static bool explain_said(lk__explainer *x, const foreign *f)
{
    bool audience = f->why != LK_REASON_WRONG_AUDIENCE;
    lk__step_yes(x->e, "issuer", "%s", lk__words_shown(lk_view_of(f->t->issuer)).text);
    if (!lk__step(x->e, "audience", audience ? LK_STEP_YES : LK_STEP_NO, audience ? LK_REASON_NONE : f->why,
                  "%s; wanted: %s", audience ? "is among its own" : f->note.text,
                  lk__words_shown(lk_view_of(f->t->audience)).text))
        return false;
    if (f->claims.user.len > 0)
        lk__explain_claims(x, &f->claims);
    if (f->claims.expires_s > 0)
        return lk__explain_times(x, &f->claims, f->status, f->why, f->t->leeway_s);
    return f->status == LK_OK || lk__step_no(x->e, "times", f->why, "%s", f->note.text);
}

static bool explain_checked(lk__explainer *x, const foreign *f, lk_view kid, lk_view typ)
{
    if (!explain_signature(x, f, kid))
        return false;
    lk__step_yes(x->e, "type", "%s; wanted: at+jwt, JWT or none",
                 typ.len > 0 ? lk__words_shown(typ).text : "none");
    if (!explain_said(x, f))
        return false;
    lk_subject subject = lk__subject_of_claims(&f->claims);
    bool for_here = lk__audience_is_right(x->g, x->rule, &f->claims, true);
    if (x->rule->audience.len > 0 &&
        !lk__step(x->e, "place", for_here ? LK_STEP_YES : LK_STEP_NO,
                  for_here ? LK_REASON_NONE : LK_REASON_WRONG_AUDIENCE, "this location is %s",
                  lk__words_shown(x->rule->audience).text))
        return false;
    return lk__explain_cutoffs(x, &subject) && lk__explain_bond(x, &f->claims);
}

bool lk__explain_foreign(lk__explainer *x, const lk_trust *t, lk_view text, lk_view kid, lk_view typ)
{
    uint8_t memory[LK_SCRATCH_MAX];
    lk_buf scratch = lk_buf_over(memory, sizeof(memory));
    uint32_t index = (uint32_t)(t - x->g->parts.settings->trusts);
    foreign f = {.t = t};
    lk__step_seen(x->e, "trust", "latchkey_trust %s; keys from %s",
                  lk__words_shown(lk_view_of(t->issuer)).text, lk__words_shown(lk_view_of(t->jwks)).text);
    lk__trust_set *set = lk__trust_hold(x->g, index);
    explain_keys(x, index, set);
    if (set == NULL)
        return lk__step(x->e, "keys", LK_STEP_UNKNOWN, LK_REASON_STORE_UNAVAILABLE,
                        "this process has no set of keys of that issuer, or one that is too old");
    f.status = lk_trust_check(t, set->ring, text, x->now_s, &scratch, &f.claims, &f.why, &f.note);
    read_over(x, &f, set->ring, text, &scratch);
    bool on = explain_checked(x, &f, kid, typ);
    lk__trust_release(x->g, set);
    return on;
}
