/* SPDX-License-Identifier: Apache-2.0
 *
 * check_token.c - simple tokens and JWTs, our own and those of other issuers.
 *
 * What a token proves is in itself: the store is asked for nothing but the session that a client's token was
 * made from.
 */
#include "guard/check_inner.h"
#include <latchkey/base64url.h>
#include <string.h>

/* ---- who made it? ---- */

/* A hint only, both answers are safe: is the signature of TEXT dear enough to be remembered? HMAC costs what
 * the look-up costs. The header of a JWT is its first segment. */
static bool is_costly(lk_view text)
{
    uint8_t memory[256];
    lk_buf header = lk_buf_over(memory, sizeof(memory));
    if (lk_base64url_decode(lk_view_part(text, 0, lk_view_find(text, '.')), &header) != LK_OK)
        return false;
    return memmem(memory, header.len, "\"HS", 3) == NULL;
}

/* Our own JWTs, whose signature is computed. */
static lk_status prove_own(lk_guard *g, lk_view text, const lk_expect *expect, bool costly, lk_buf *scratch,
                           lk_claims *claims, lk_reason *why)
{
    lk_status status = lk_jwt_check(g->parts.ring, text, expect, scratch, claims, why, NULL);
    if (status == LK_OK) {
        lk_guard_count(g, LK_COUNT_TOKEN_VERIFIED);
        if (costly)
            lk__verified_put(g, text, 0, expect->now_s, claims);
    }
    return status;
}

lk_status lk__token_prove(lk_guard *g, lk_view text, lk_buf *scratch, lk_claims *out)
{
    lk_reason why;
    lk_expect expect = lk__expect(g->parts.settings, lk_now_s(g->parts.env));
    lk_status status = prove_own(g, text, &expect, is_costly(text), scratch, out, &why);
    return status == LK_OK ? lk__cutoffs_check_key(g, out->kid, &why) : status;
}

/* A token of another issuer, by the keys of that issuer alone. LK_MISS with a->asks: a newer set may have the
 * key. LK_FAULT: there is no set, so nothing can be told of the token. */
static lk_status prove_foreign(lk__attempt *a, const lk_trust *t, lk_view text, lk_buf *scratch,
                               lk_claims *claims)
{
    lk_guard *g = a->g;
    uint32_t index = (uint32_t)(t - g->parts.settings->trusts);
    lk__trust_set *set = lk__trust_hold(g, index);
    lk_status status = LK_FAULT;
    if (set != NULL) {
        status = lk_trust_check(t, set->ring, text, a->now_s, scratch, claims, &a->out->reason, NULL);
        if (status == LK_OK) {
            lk_guard_count(g, LK_COUNT_TOKEN_VERIFIED);
            lk__verified_put(g, text, set->id, a->now_s, claims);
        }
        lk__trust_release(g, set);
    }
    bool unknown = status == LK_REFUSED && a->out->reason == LK_REASON_UNKNOWN_KEY;
    if ((set == NULL || unknown) && a->answer == NULL && lk__trust_may_look(g, index)) {
        a->question->wants_keys = index + 1;
        a->asks = true;
        return LK_MISS;
    }
    /* The next look may find the key: no reason to take the token from whoever has it. */
    a->keeps_cookie = unknown;
    return status == LK_FULL ? LK_REFUSED : status;
}

/* Found among the verified: all that can have changed is the time. */
static lk_status judge_remembered(lk__attempt *a, const lk_trust *t, const lk_claims *claims)
{
    int64_t leeway_s = t != NULL ? t->leeway_s : a->g->parts.settings->jwt_leeway_s;
    bool over = claims->expires_s <= a->now_s - leeway_s, early = claims->not_before_s > a->now_s + leeway_s;
    lk_guard_count(a->g, LK_COUNT_TOKEN_REMEMBERED);
    a->out->reason = over ? LK_REASON_EXPIRED : LK_REASON_NOT_YET_VALID;
    return over || early ? LK_STALE : LK_OK;
}

static const lk_trust *trust_named(const lk_settings *s, lk_view issuer)
{
    for (uint32_t i = 0; i < s->trusts_n; i++)
        if (lk_view_equal(issuer, lk_view_of(s->trusts[i].issuer)))
            return &s->trusts[i];
    return NULL;
}

/* Whose it is, and is it good? *BY is NULL for a token of ours. */
static lk_status prove_jwt(lk__attempt *a, lk_view text, lk_buf *scratch, lk_claims *claims,
                           const lk_trust **by)
{
    const lk_settings *s = a->g->parts.settings;
    lk_expect expect = lk__expect(s, a->now_s);
    if (a->rule->audience.len > 0)
        expect.audience = (lk_view){0}; /* judged by lk__audience_is_right, whichever way it was proven */
    bool costly = is_costly(text);
    if (costly && lk__verified_get(a->g, text, a->now_s, scratch, claims) == LK_OK) {
        *by = trust_named(s, claims->issuer);
        return judge_remembered(a, *by, claims);
    }
    *by = lk_trust_of(s->trusts, s->trusts_n, text);
    if (*by != NULL)
        return prove_foreign(a, *by, text, scratch, claims);
    return prove_own(a->g, text, &expect, costly, scratch, claims, &a->out->reason);
}

lk_status lk_guard_params(lk_guard *g, const lk_presented *presented, lk_carrier carrier, lk_buf *scratch,
                          lk_view *params)
{
    uint8_t memory[LK_SEALED_MAX];
    lk_buf room = lk_buf_over(memory, sizeof(memory));
    lk_expect expect = lk__expect(g->parts.settings, lk_now_s(g->parts.env));
    unsigned pieces;
    lk__candidate c;
    lk_kind kind;
    lk_reason why;
    lk_claims claims;
    *params = (lk_view){0};
    bool twice;
    if (lk__candidate_find(g, presented, 1u << carrier, &room, &c, &pieces, &twice, &why) != LK_OK ||
        lk_credential_kind(c.text, &kind) != LK_OK || kind != LK_KIND_TOKEN)
        return LK_MISS;
    lk_status status = lk_token_check(g->parts.ring, c.text, &expect, scratch, &claims, &why);
    /* It was good when it let the request in, which may take longer than it lives. */
    if (status != LK_OK && !(status == LK_STALE && why == LK_REASON_EXPIRED))
        return LK_MISS;
    *params = claims.params;
    return LK_OK;
}

/* ---- for whom, and how long? ---- */

/* A token in a cookie that stands for a session is renewed when a tenth of the idle time has passed, while
 * the login lasts. One that was remembered ends with the login, and there is nothing to renew. */
static void judge_renewal(lk__attempt *a, const lk_claims *claims)
{
    int64_t idle_s = a->g->parts.settings->idle_s;
    if (a->out->carrier == LK_CARRIER_COOKIE && claims->has_session &&
        claims->session_ends_s > claims->expires_s && claims->expires_s - a->now_s <= idle_s - idle_s / 10)
        a->out->reissue = LK_REISSUE_HERE;
}

/* A token that is bound to a key is good beside a proof by that key and in no other way; one that is not came
 * as what it is not. Last of all that is looked at: a proof is used up, and its signature costs what that of
 * a new token does. (SECURITY-RULES 98) */
static lk_status judge_bond(lk__attempt *a, lk_view text, const lk_claims *claims)
{
    if (a->presented->any_sender)
        return LK_OK;
    if (a->by_dpop && claims->bound.len > 0)
        return lk__bound_check(a->g, a->presented, text, claims, a->now_s, a->out);
    if (!a->by_dpop && claims->bound.len == 0)
        return LK_OK;
    a->out->reason = LK_REASON_WRONG_CARRIER;
    if (claims->bound.len > 0)
        a->out->proof = LK_PROOF_MISSING;
    return LK_REFUSED;
}

static bool has_any(lk_view held, lk_view wanted)
{
    lk_view word;
    while (lk_words_next(&wanted, &word))
        if (lk_words_have(held, word))
            return true;
    return false;
}

/* Where a location says who it is, a token has to be for that; a simple token names nobody. A token that an
 * OAuth client was given for somebody is not for whom nobody named. (RFC 7519 section 4.1.3) */
bool lk__audience_is_right(const lk_guard *g, const lk_rule *rule, const lk_claims *claims, bool foreign)
{
    lk_view own = lk_view_of(g->parts.settings->jwt_audience);
    if (claims->kind != LK_KIND_JWT)
        return true;
    if (rule->audience.len > 0)
        return has_any(claims->audience, rule->audience);
    if (foreign)
        return true; /* another's: checked by what its issuer is trusted for */
    return own.len > 0 ? lk_words_have(claims->audience, own)
                       : claims->client.len == 0 || claims->audience.len == 0;
}

/* What the store said of the session a token was made from. Where sessions may be in the client, one that is
 * not in the store says nothing: those end by cut-offs, which were looked at. */
static lk_status judge_parent(const lk__attempt *a, lk_status status, lk_reason why)
{
    if (status == LK_OK || (status == LK_MISS && a->g->knows_by_client))
        return LK_OK;
    if (status == LK_FAULT || status == LK_FULL)
        return LK_FAULT;
    a->out->reason = status == LK_STALE && why != LK_REASON_NONE ? why : LK_REASON_REVOKED;
    return LK_STALE;
}

/* A token that a client was given for a user's ends with the session of that, in whatever way it ends: so the
 * session has to be there. Its times need no look, as the token was made to end before it does. As
 * check_remote_id. */
static lk_status check_parent(lk__attempt *a, const lk_session_key *key)
{
    lk_guard *g = a->g;
    const lk_question *answer = a->answer;
    uint8_t record[LK_HEAD_MAX];
    lk__near near;
    if (!g->store_is_remote) {
        lk_load load = {.key = *key, .head_only = true, .buf = record, .cap = sizeof(record)};
        if (lk_store_load_many(g->parts.store, &load, 1) != LK_OK)
            return LK_FAULT;
        return judge_parent(a, load.status, load.why);
    }
    if (answer != NULL && answer->wants_session && memcmp(&answer->key, key, sizeof(*key)) == 0)
        return judge_parent(a, answer->status, answer->why);
    if (lk__near_get(g, key, a->now_s, &near) == LK_OK) {
        if (near.kind == LK_NEAR_ENDED)
            return judge_parent(a, LK_STALE, near.why);
        if (a->mono_ms - near.known_ms < g->parts.settings->near_life_s * 1000)
            return LK_OK;
    }
    if (answer != NULL)
        return LK_FAULT;
    a->question->wants_session = true;
    a->question->key = *key;
    a->asks = true;
    return LK_MISS;
}

static lk_status admit(lk__attempt *a, lk_view text, const lk_claims *claims, bool foreign)
{
    lk_identity *out = a->out;
    out->reason = LK_REASON_MALFORMED;
    if (claims->user.len == 0 ||
        !lk__identity_name(out, claims->user, claims->name, claims->realm, claims->roles, claims->scope,
                           claims->device) ||
        !lk__identity_bind(out, claims->bound))
        return LK_REFUSED;
    /* A token holds what it names and nothing else, unless it stands for a session of the site. */
    out->limited = claims->scope.len > 0 || claims->session_ends_s == 0;
    judge_renewal(a, claims);
    out->has_session = claims->has_session;
    out->logged_in = true;
    out->foreign = foreign;
    out->by_client = !foreign && claims->client.len > 0;
    out->generation = claims->generation;
    out->flags = LK_SESSION_TOKEN;
    out->auth_s = claims->auth_s != 0 ? claims->auth_s : claims->issued_s;
    out->issued_s = claims->issued_s;
    out->seen_s = a->now_s;
    out->ends_s = claims->expires_s;
    out->expires_s = claims->expires_s;
    if (claims->has_session) {
        out->key = claims->session;
        lk_public_id_write(&claims->session, out->public_id);
    }
    return judge_bond(a, text, claims);
}

lk_status lk__check_token(lk__attempt *a, lk_kind kind, lk_view text)
{
    lk_guard *g = a->g;
    lk_identity *out = a->out;
    uint8_t memory[LK_CREDENTIAL_MAX];
    lk_buf scratch = lk_buf_over(memory, sizeof(memory));
    const lk_trust *by = NULL;
    lk_claims claims;
    lk_expect expect = lk__expect(g->parts.settings, a->now_s);
    lk_status status = kind == LK_KIND_JWT
                           ? prove_jwt(a, text, &scratch, &claims, &by)
                           : lk_token_check(g->parts.ring, text, &expect, &scratch, &claims, &out->reason);
    /* A key of ours that was burned proves nothing, not even what was proved and remembered before. */
    if (status == LK_OK && by == NULL)
        status = lk__cutoffs_check_key(g, claims.kid, &out->reason);
    if (by == NULL && lk__attempt_asks_for_key(a, status))
        return LK_MISS;
    if (status == LK_OK && !lk__audience_is_right(g, a->rule, &claims, by != NULL)) {
        out->reason = LK_REASON_WRONG_AUDIENCE;
        return LK_REFUSED;
    }
    if (status == LK_OK)
        status = lk__attempt_trust_view(a);
    if (status != LK_OK)
        return status;
    lk_subject subject = lk__subject_of_claims(&claims);
    status = lk__cutoffs_check(g, &subject, &out->reason);
    if (status == LK_OK && by == NULL && claims.client.len > 0 && claims.has_session)
        status = check_parent(a, &claims.session);
    return status == LK_OK ? admit(a, text, &claims, by != NULL) : status;
}
