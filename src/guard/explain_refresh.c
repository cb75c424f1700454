/* SPDX-License-Identifier: Apache-2.0
 *
 * explain_refresh.c - what POST /auth/refresh would make of a refresh token. Nothing is used up by it, and
 * one that was used before ends nothing. docs/formats/refresh.md
 */
#include "guard/explain_inner.h"
#include <latchkey/third_party.h>

static bool explain_text(lk__explainer *x, lk_view text, lk_refresh_token *token)
{
    lk_reason why = LK_REASON_NONE;
    lk__step_yes(x->e, "shape", "refresh token, %zu bytes", text.len);
    lk__step_seen(x->e, "carrier", "in the body of POST %s/refresh; the gate takes it nowhere",
                  x->g->parts.settings->prefix);
    switch (lk_refresh_read(x->g->parts.ring, text, token, &why)) {
    case LK_OK:
        break;
    case LK_REFUSED:
        return lk__step_no(x->e, why == LK_REASON_BAD_SIGNATURE ? "signature" : "fields", why, "%s",
                           why == LK_REASON_BAD_SIGNATURE ? "not made with the keys of this gateway"
                                                          : "it has not the parts that it should have");
    case LK_MISS:
    case LK_STALE:
    case LK_FULL:
    case LK_FAULT:
        return lk__step(x->e, "signature", LK_STEP_UNKNOWN, LK_REASON_STORE_UNAVAILABLE,
                        "could not be computed");
    }
    lk__step_yes(x->e, "signature", "made with the keys of this gateway");
    return lk__step_seen(x->e, "family", "%s (public id), logged in %s; number %lld",
                         lk__words_id(&token->family).text, lk__words_time(token->began_s, x->now_s).text,
                         (long long)token->number);
}

/* The record was forgotten, and perhaps the cut-off that ended it was not. */
static void explain_missing(lk__explainer *x, const lk_refresh_token *token)
{
    lk_subject subject = {.realm = lk_view_of(x->g->parts.settings->realm),
                          .session = &token->family,
                          .issued_ms = token->began_s * 1000};
    lk__step_seen(x->e, "store", "%s: not there - ended long ago", lk_store_name(x->g->parts.store));
    if (lk__explain_cutoffs(x, &subject))
        lk__step_no(x->e, "family", LK_REASON_EXPIRED, "its record is over and forgotten");
}

static bool explain_use(lk__explainer *x, const lk_refresh_ask *ask, const lk__refresh_facts *facts)
{
    lk__words used = lk__words_time(facts->rotated_ms / 1000, x->now_s),
              grace = lk__words_length(x->g->parts.settings->refresh_grace_s);
    long long good = (long long)facts->number;
    switch (ask->how) {
    case LK_REFRESHED_NEW:
        return lk__step_yes(x->e, "use", "not used yet; number %lld is good", good);
    case LK_REFRESHED_AGAIN:
        return lk__step_yes(x->e, "use",
                            "used %s, within the %s of grace: whoever comes again gets number %lld once more",
                            used.text, grace.text, good);
    case LK_REFRESHED_REUSED:
        return lk__step_no(
            x->e, "use", LK_REASON_REVOKED,
            "used before: number %lld is good since %s, grace %s. Presenting it ends the login", good,
            used.text, grace.text);
    case LK_REFRESHED_NOT:
        break;
    }
    return lk__step_no(x->e, "use", ask->why, "%s", lk_reason_sentence(ask->why));
}

/* The account today: it goes into the next token. */
static void explain_account(lk__explainer *x, const lk_session *s)
{
    lk_user user;
    lk_status status = x->g->accounts == NULL ? LK_FAULT : lk_accounts_get(x->g->accounts, s->user, &user);
    if (status == LK_OK && user.state == LK_USER_ENABLED)
        lk__step_yes(x->e, "account", "enabled; roles %s",
                     user.roles[0] != '\0' ? lk__words_shown(lk_view_of(user.roles)).text : "none");
    else if (status == LK_OK || status == LK_MISS)
        lk__step_no(x->e, "account", LK_REASON_BANNED, "%s", status == LK_OK ? "disabled" : "not there");
    else
        lk__step(x->e, "account", LK_STEP_UNKNOWN, LK_REASON_STORE_UNAVAILABLE,
                 "the accounts could not be asked");
}

static void explain_family(lk__explainer *x, lk_view text, const lk_session *s)
{
    lk_refresh_ask ask = {.text = text};
    lk__refresh_facts facts;
    if ((s->flags & (LK_SESSION_TOKEN | LK_SESSION_ENDING)) != LK_SESSION_TOKEN ||
        !lk__refresh_facts_of(s, &facts)) {
        lk__step_no(x->e, "family", LK_REASON_EXPIRED, "the record has no refresh tokens");
        return;
    }
    int64_t rotated_s = facts.rotated_ms / 1000;
    if (!lk__explain_record(x, s, rotated_s > s->seen_s ? rotated_s : s->seen_s))
        return;
    lk_status status = lk_guard_refresh_look(x->g, &ask);
    if (status == LK_FAULT || status == LK_FULL) {
        lk__step(x->e, "use", LK_STEP_UNKNOWN, LK_REASON_STORE_UNAVAILABLE, "could not look");
        return;
    }
    if (facts.bound.len > 0)
        lk__step_seen(x->e, "bound", "to the key %s: good beside a proof of it (DPoP) only",
                      lk__words_shown(facts.bound).text);
    if (explain_use(x, &ask, &facts))
        explain_account(x, s);
}

void lk__explain_refresh(lk__explainer *x, lk_view text)
{
    lk_refresh_token token;
    uint8_t *record = lk_alloc(x->g->parts.env, LK_RECORD_MAX);
    lk_load load = {.buf = record, .cap = LK_RECORD_MAX, .status = LK_FAULT};
    if (explain_text(x, text, &token)) {
        load.key = token.family;
        if (record != NULL)
            lk__explain_load(lk_store_writes_to(x->g->parts.store), &load);
        if (load.status == LK_MISS)
            explain_missing(x, &token);
        else if (lk__explain_found(x, &load))
            explain_family(x, text, &load.session);
    }
    lk_wipe(&token, sizeof(token));
    lk_free(x->g->parts.env, record);
}
