/* SPDX-License-Identifier: Apache-2.0
 *
 * check.c - who is asking? From the bytes of a request to a verdict, without allocation and without waiting.
 *
 * presented.c finds the credential, check_session.c and check_token.c prove it by its kind, verdict.c says
 * what the location answers.
 */
#include "guard/check_inner.h"
#include <string.h>

/* ---- what every kind of credential needs ---- */

/* An identity is never cut: a text that does not fit refuses the credential. */
static bool copy_text(char *out, size_t cap, lk_view v)
{
    if (v.len >= cap)
        return false;
    if (v.len > 0)
        memcpy(out, v.p, v.len);
    out[v.len] = '\0';
    return true;
}

bool lk__identity_name(lk_identity *out, lk_view user, lk_view name, lk_view realm, lk_view roles,
                       lk_view scope, lk_view device)
{
    return copy_text(out->user, sizeof(out->user), user) && copy_text(out->name, sizeof(out->name), name) &&
           copy_text(out->realm, sizeof(out->realm), realm) &&
           copy_text(out->roles, sizeof(out->roles), roles) &&
           copy_text(out->scope, sizeof(out->scope), scope) &&
           copy_text(out->device, sizeof(out->device), device);
}

bool lk__identity_bind(lk_identity *out, lk_view jkt)
{
    return copy_text(out->bound, sizeof(out->bound), jkt);
}

/* Is what this node knows new enough for the rule? How to go on when not is the rule's as well. */
static void judge_view(lk__attempt *a)
{
    int64_t limit_ms = a->rule->lag_ms > 0 ? a->rule->lag_ms : LK_LAG_MS_DEFAULT;
    if (a->answer != NULL && a->answer->wants_view) {
        a->view_lost = a->answer->view != LK_OK;
        return;
    }
    if (!a->g->store_is_remote || a->rule->lag == LK_LAG_SERVE || a->mono_ms - lk__view_ms(a->g) <= limit_ms)
        return;
    a->view_lags = a->rule->lag == LK_LAG_ASK && a->answer == NULL;
    a->view_lost = !a->view_lags;
}

int64_t lk__attempt_stale_ms(const lk__attempt *a)
{
    if (a->rule->stale_safe && !a->presented->only_reads)
        return 0;
    int64_t stale_s = a->rule->stale_s > 0 ? a->rule->stale_s : a->rule->stale_safe ? LK_STALE_SAFE_S : 0;
    return stale_s * 1000;
}

lk_status lk__attempt_trust_view(lk__attempt *a)
{
    if (a->view_lags) {
        a->asks = true;
        return LK_MISS;
    }
    if (!a->view_lost)
        return LK_OK;
    if (a->mono_ms - lk__view_ms(a->g) > lk__attempt_stale_ms(a))
        return LK_FAULT;
    a->by_stale = true;
    lk_guard_count(a->g, LK_COUNT_STALE_SERVED);
    return LK_OK;
}

bool lk__attempt_asks_for_key(lk__attempt *a, lk_status status)
{
    if (status != LK_REFUSED || a->out->reason != LK_REASON_UNKNOWN_KEY || a->answer != NULL ||
        !lk__keys_may_ask(a->g))
        return false;
    a->question->wants_own_keys = true;
    a->asks = true;
    return true;
}

/* ---- one credential ---- */

static lk_status check_kind(lk__attempt *a, lk_kind kind, lk_view text)
{
    switch (kind) {
    case LK_KIND_SESSION_ID:
        return lk__check_session_id(a, text);
    case LK_KIND_TOKEN:
    case LK_KIND_JWT:
        return lk__check_token(a, kind, text);
    case LK_KIND_SEALED:
        return lk__check_sealed(a, text);
    case LK_KIND_API_KEY:
        return lk__check_api_key(a, text);
    case LK_KIND_COUNT:
        break;
    }
    return LK_REFUSED;
}

/* Applications know users by name. Somebody who could register as "idp.example/42" would be the user 42 of
 * that issuer to them: such a name is not passed on, and they get the id instead. */
static void keep_apart(const lk_guard *g, lk_identity *out)
{
    const lk_settings *s = g->parts.settings;
    for (uint32_t i = 0; i < s->trusts_n; i++) {
        lk_view realm = lk_view_of(s->trusts[i].realm), name = lk_view_of(out->name);
        if (name.len > realm.len && name.p[realm.len] == '/' &&
            lk_view_equal_nocase(lk_view_part(name, 0, realm.len), realm))
            out->name[0] = '\0';
    }
}

/* Is the credential all there is to judge? A proof of a key, a signature and the address of an API key are of
 * one request, and judged with each; whom a token has to be for is the location's to say. */
static bool rests_on_itself(const lk__attempt *a, const lk__candidate *c)
{
    return !a->presented->looks_only && !a->presented->any_sender && !c->by_dpop &&
           a->presented->proofs_n == 0 && !a->presented->is_signed && a->out->kind != LK_KIND_API_KEY &&
           a->rule->audience.len == 0;
}

/* Who TEXT is, by a check in full. */
static lk_status check_candidate(lk__attempt *a, const lk__candidate *c)
{
    lk_identity *out = a->out;
    lk_status status = check_kind(a, out->kind, c->text);
    if (status != LK_OK)
        return status;
    if (!out->foreign)
        keep_apart(a->g, out);
    /* A login for a month does not ride where ids are written down. */
    if (c->carrier == LK_CARRIER_URL && (out->flags & LK_SESSION_REMEMBER) != 0) {
        out->reason = LK_REASON_WRONG_CARRIER;
        return LK_REFUSED;
    }
    if (c->carrier != LK_CARRIER_URL && (out->flags & LK_SESSION_ENDING) == 0 &&
        out->proof == LK_PROOF_UNASKED && lk__converts(a->g, out))
        out->reissue = LK_REISSUE_STORE;
    return LK_OK;
}

/* The same, once in a second. */
static lk_status check_candidate_once(lk__attempt *a, const lk__candidate *c)
{
    lk_identity *out = a->out;
    a->lasts = a->lasts && rests_on_itself(a, c);
    if (a->lasts && lk__recent_find(a->g, c->text, &a->moment, out))
        return LK_OK;
    lk_status status = check_candidate(a, c);
    /* The token of a client stands on the session of its parent as well. */
    if (status == LK_OK && a->lasts && !a->by_stale && !out->by_client && out->reissue == LK_REISSUE_NO &&
        out->proof == LK_PROOF_UNASKED && (out->flags & LK_SESSION_ENDING) == 0)
        lk__recent_keep(a->g, c->text, &a->moment, out);
    return status;
}

/* From the candidate to who it is. *WHY is in out->reason. */
static lk_status identify(lk__attempt *a)
{
    lk_identity *out = a->out;
    lk__candidate c;
    uint8_t joined[LK_SEALED_MAX];
    lk_buf room = lk_buf_over(joined, sizeof(joined));
    lk_status status = lk__candidate_find(a->g, a->presented, a->rule->carriers, &room, &c, &out->pieces,
                                          &out->twice, &out->reason);
    if (status != LK_OK)
        return status;
    out->carrier = c.carrier;
    out->reason = LK_REASON_MALFORMED;
    status = lk_credential_kind(c.text, &out->kind);
    bool by_url = c.carrier == LK_CARRIER_URL;
    a->by_dpop = c.by_dpop;
    if (status == LK_OK &&
        (!lk__mask_allows(a->rule->kinds, out->kind) || (by_url && out->kind != LK_KIND_SESSION_ID) ||
         (c.by_dpop && out->kind != LK_KIND_JWT))) {
        out->reason = LK_REASON_WRONG_CARRIER;
        return LK_REFUSED;
    }
    if (status == LK_OK)
        status = check_candidate_once(a, &c);
    /* A cookie that can never be good again is taken out of the browser. One we could not look up stays. */
    out->drop_cookie =
        c.carrier == LK_CARRIER_COOKIE && !a->keeps_cookie && (status == LK_REFUSED || status == LK_STALE);
    return status;
}

/* ---- one request ---- */

static bool presents_nothing(const lk_presented *p)
{
    return p->cookies_n + p->authorization_n + p->header_n + p->url.len == 0;
}

bool lk_guard_try(lk_guard *g, const lk_presented *presented, const lk_rule *rule, const lk_question *answer,
                  lk_identity *out, lk_question *question)
{
    lk__attempt a = {.g = g,
                     .presented = presented,
                     .rule = rule,
                     .answer = answer,
                     .question = question,
                     .out = out,
                     .now_s = lk_now_s(g->parts.env),
                     .mono_ms = g->store_is_remote ? lk__mono_ms(g) : 0};
    lk_status status = LK_OK;
    memset(out, 0, offsetof(lk_identity, public_id));
    out->key = (lk_session_key){{0}};
    out->is_signed = presented->is_signed;
    lk__identity_forget(out);
    if (!g->store_is_remote)
        status = lk_guard_follow(g);
    if (status == LK_OK) {
        judge_view(&a);
        question->wants_session = question->wants_own_keys = false;
        question->wants_keys = 0;
        question->wants_api_key = false;
        question->wants_view = a.view_lags;
        /* Not when the store was asked: what it said is older than what is drawn here. */
        a.lasts = answer == NULL && !a.view_lags && !a.view_lost;
        a.moment = lk__moment_now(g, a.now_s);
        status = identify(&a);
    } else if (presents_nothing(presented)) {
        status = LK_MISS; /* nobody presented anything, so there is nothing that could not be looked up */
    }
    if (a.asks)
        return false;
    out->verdict = lk__verdict_make(rule, status, a.now_s, out);
    if (!presented->looks_only)
        lk__verdict_count(g, out);
    return true;
}

void lk_guard_check(lk_guard *g, const lk_presented *presented, const lk_rule *rule, lk_identity *out)
{
    lk_question asked[2], none, *one = &asked[0], *two = &asked[1];
    if (lk_guard_try(g, presented, rule, NULL, out, one))
        return;
    lk_guard_ask(g, &one, 1);
    if (lk_guard_try(g, presented, rule, one, out, two))
        return;
    lk_guard_ask(g, &two, 1);
    (void)!lk_guard_try(g, presented, rule, two, out, &none);
}
