/* SPDX-License-Identifier: Apache-2.0
 *
 * explain_api_key.c - the checks of an API key: it proves itself, is a session of this epoch, made from its
 * row in the accounts when there is none yet, and is good from some addresses, for some audiences.
 */
#include "guard/explain_inner.h"
#include <latchkey/third_party.h>

static bool unknown(lk__explainer *x, const char *name, const char *what)
{
    return lk__step(x->e, name, LK_STEP_UNKNOWN, LK_REASON_STORE_UNAVAILABLE, "%s", what);
}

static void explain_row(lk__explainer *x, const lk_api_key *row)
{
    lk__step_seen(x->e, "label", "%s, of user id %s", lk__words_shown(lk_view_of(row->label)).text,
                  lk__words_shown(lk_view_of(row->user)).text);
    lk__step_seen(x->e, "made", "%s; ends %s", lk__words_time(row->created_ms / 1000, x->now_s).text,
                  lk__words_time(row->expires_s, x->now_s).text);
    lk__step_seen(x->e, "row_read", "%s; at most once in %s", lk__words_time(row->used_s, x->now_s).text,
                  lk__words_length(x->g->parts.settings->api_key_reread_s).text);
}

/* The row. It decides where there is no session that was made of it, which NEEDED says. */
static bool look_at_row(lk__explainer *x, lk_view public, bool needed)
{
    lk_api_key row;
    lk_status status =
        x->g->accounts == NULL ? LK_FAULT : lk_accounts_api_key_get(x->g->accounts, public, &row);
    if (status == LK_OK && row.expires_s > x->now_s) {
        lk__step_yes(x->e, "row", "in the accounts");
        explain_row(x, &row);
        return true;
    }
    if (status == LK_OK) {
        explain_row(x, &row);
        return lk__step(x->e, "row", needed ? LK_STEP_NO : LK_STEP_SEEN,
                        needed ? LK_REASON_REVOKED : LK_REASON_NONE, "the time of the key is over");
    }
    if (status == LK_MISS)
        return lk__step(x->e, "row", needed ? LK_STEP_NO : LK_STEP_SEEN,
                        needed ? LK_REASON_REVOKED : LK_REASON_NONE,
                        "not in the accounts: never made, or taken back");
    return needed ? unknown(x, "row", "the accounts could not be asked")
                  : lk__step_seen(x->e, "row", "the accounts could not be asked; not needed now");
}

/* No session of this epoch: the gate makes one from the row, at the next use. */
static bool explain_unmade(lk__explainer *x, lk_view public)
{
    lk__step_seen(x->e, "store", "%s: no session of this epoch yet; the next use makes it from the row",
                  lk_store_name(x->g->parts.store));
    if (!look_at_row(x, public, true))
        return false;
    if (x->id.verdict == LK_VERDICT_UNKNOWN)
        return unknown(x, "credential", "no session could be made from the row");
    if (!x->id.logged_in && x->id.reason != LK_REASON_NONE)
        return lk__step_no(x->e, "credential", x->id.reason, "%s", lk_reason_sentence(x->id.reason));
    return true;
}

/* As lk__api_key_bounds. */
static bool explain_bounds(lk__explainer *x, lk_view bounds)
{
    uint8_t from[LK_AGENT_MAX], whom[LK_AGENT_MAX];
    lk_buf addresses = lk_buf_over(from, sizeof(from)), audience = lk_buf_over(whom, sizeof(whom));
    lk_presented p = {.address = x->address};
    lk_view here =
        x->rule->audience.len > 0 ? x->rule->audience : lk_view_of(x->g->parts.settings->jwt_audience);
    lk_reason why = lk__api_key_bounds(x->g, x->rule, &p, bounds);
    lk__api_key_bounds_read(bounds, &addresses, &audience);
    if (audience.len > 0 &&
        !lk__step(x->e, "audience", why == LK_REASON_WRONG_AUDIENCE ? LK_STEP_NO : LK_STEP_YES,
                  why == LK_REASON_WRONG_AUDIENCE ? why : LK_REASON_NONE, "good for %s; here is %s",
                  lk__words_shown(lk_buf_view(&audience)).text,
                  here.len > 0 ? lk__words_shown(here).text : "no name"))
        return false;
    return addresses.len == 0 ||
           lk__step(x->e, "address", why == LK_REASON_NONE ? LK_STEP_YES : LK_STEP_NO, why,
                    "good from %s; asked for %s", lk__words_shown(lk_buf_view(&addresses)).text,
                    x->address.len > 0 ? lk__words_shown(x->address).text : "no address");
}

bool lk__explain_api_key(lk__explainer *x, lk_view text)
{
    uint8_t proof[LK_SESSION_PROOF_LEN], record[LK_HEAD_MAX];
    lk_load load = {.head_only = true, .buf = record, .cap = sizeof(record)};
    lk_view public;
    lk_status status = lk_api_key_prove(x->g->parts.ring, text, &public);
    if (status == LK_REFUSED)
        return lk__step_no(x->e, "signature", LK_REASON_BAD_SIGNATURE,
                           "not made with the keys of this gateway");
    if (status == LK_OK)
        status = lk__api_key_name(x->g, public, x->now_s, &load.key, proof);
    if (status != LK_OK)
        return unknown(x, "signature", "could not be computed");
    lk__step_yes(x->e, "signature", "made with the keys of this gateway; public part %s",
                 lk__words_shown(public).text);
    lk__step_seen(x->e, "session", "%s (public id), of this epoch", lk__words_id(&load.key).text);
    if (!lk__explain_near(x, &load.key))
        return false;
    lk__explain_load(x->g->parts.store, &load);
    if (load.status == LK_MISS)
        return explain_unmade(x, public);
    if (!lk__explain_found(x, &load) || !look_at_row(x, public, false))
        return false;
    if (load.session.scope.len > 0)
        lk__step_seen(x->e, "scopes", "%s", lk__words_shown(load.session.scope).text);
    return lk__explain_record(x, &load.session, lk__seen_s(x->g, &load.session)) &&
           explain_bounds(x, load.session.agent);
}
