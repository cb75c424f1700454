/* SPDX-License-Identifier: Apache-2.0
 *
 * explain_token.c - the checks of simple tokens and JWTs, one by one.
 */
#include "guard/explain_inner.h"
#include <latchkey/base64url.h>
#include <latchkey/json.h>
#include <latchkey/trust.h>
#include <stdio.h>

/* The key that KID names, and in which state it is. What the caller decides is told by ANSWER. */
static bool explain_key(lk__explainer *x, lk_view kid, bool is_known)
{
    lk_key_info info;
    for (size_t i = 0; lk_keyring_info(x->g->parts.ring, i, &info) == LK_OK; i++) {
        if (info.is_root || !lk_view_equal(kid, lk_view_of(info.kid)))
            continue;
        return lk__step(x->e, "key", is_known ? LK_STEP_YES : LK_STEP_NO,
                        is_known ? LK_REASON_NONE : LK_REASON_UNKNOWN_KEY, "%s, %s, %s, made %s", info.kid,
                        lk_alg_name(info.alg), lk_key_state_word(info.state),
                        lk__words_time(info.created_s, x->now_s).text);
    }
    return lk__step(x->e, "key", is_known ? LK_STEP_YES : LK_STEP_NO,
                    is_known ? LK_REASON_NONE : LK_REASON_UNKNOWN_KEY, "%s: %s",
                    kid.len > 0 ? lk__words_shown(kid).text : "names none",
                    is_known ? "known" : "no key of this gateway, or one that is gone");
}

bool lk__explain_times(lk__explainer *x, const lk_claims *c, lk_status status, lk_reason why,
                       int64_t leeway_s)
{
    char leeway[2 * LK__WORDS_MAX] = "";
    if (leeway_s > 0)
        (void)snprintf(leeway, sizeof(leeway), "; leeway %s", lk__words_length(leeway_s).text);
    lk__step_seen(x->e, "issued", "%s", lk__words_time(c->issued_s, x->now_s).text);
    if (c->not_before_s > 0)
        lk__step_seen(x->e, "not_before", "%s", lk__words_time(c->not_before_s, x->now_s).text);
    return lk__step(x->e, "times", status == LK_STALE ? LK_STEP_NO : LK_STEP_YES,
                    status == LK_STALE ? why : LK_REASON_NONE, "now %lld; expires %s%s", (long long)x->now_s,
                    lk__words_time(c->expires_s, x->now_s).text, leeway);
}

void lk__explain_claims(lk__explainer *x, const lk_claims *c)
{
    lk__explain_user(x, c->user, c->name, c->realm);
    if (c->client.len > 0)
        lk__step_seen(x->e, "client", "%s", lk__words_shown(c->client).text);
    if (c->act.len > 0)
        lk__step_seen(x->e, "actor", "%s", lk__words_shown(c->act).text);
    if (c->roles.len > 0)
        lk__step_seen(x->e, "roles", "%s", lk__words_shown(c->roles).text);
    if (c->scope.len > 0)
        lk__step_seen(x->e, "scopes", "%s", lk__words_shown(c->scope).text);
    if (c->device.len > 0)
        lk__step_seen(x->e, "device", "id %s", lk__words_shown(c->device).text);
    if (c->has_session)
        lk__step_seen(x->e, "session", "%s (public id), generation %u%s", lk__words_id(&c->session).text,
                      c->generation, c->client.len > 0 ? "" : "; a token asks no store");
    if (c->bound.len > 0)
        lk__step_seen(x->e, "bound", "to the key %s: good beside a proof of it (DPoP) only",
                      lk__words_shown(c->bound).text);
}

static bool explain_claims_cutoffs(lk__explainer *x, const lk_claims *c)
{
    lk_subject subject = lk__subject_of_claims(c);
    return lk__explain_cutoffs(x, &subject);
}

/* Part number N of TEXT between dots, from the end when N < 0. */
static lk_view part_of(lk_view text, int n)
{
    lk_view parts[8], rest = text;
    size_t count = 0;
    while (count < 8) {
        size_t dot = lk_view_find(rest, '.');
        parts[count++] = lk_view_part(rest, 0, dot);
        if (dot == rest.len)
            break;
        rest = lk_view_part(rest, dot + 1, rest.len);
    }
    size_t at = n >= 0 ? (size_t)n : count - (size_t)-n;
    return at < count ? parts[at] : (lk_view){0};
}

/* Is the signature of a token, checked with the answer STATUS and WHY, right? NAME is the step of what is
 * wrong beyond it. */
static bool explain_signature(lk__explainer *x, lk_view kid, lk_status status, lk_reason why,
                              const char *note)
{
    if (status == LK_FAULT || status == LK_FULL)
        return lk__step(x->e, "signature", LK_STEP_UNKNOWN, LK_REASON_STORE_UNAVAILABLE,
                        "could not be computed");
    if (status == LK_REFUSED && why == LK_REASON_UNKNOWN_KEY)
        return explain_key(x, kid, false);
    if (status == LK_REFUSED && why == LK_REASON_BAD_SIGNATURE) {
        explain_key(x, kid, true);
        return lk__step_no(x->e, "signature", why, "not that of this key over these bytes");
    }
    if (status == LK_REFUSED)
        return lk__step_no(x->e, "fields", why, "%s", note[0] != '\0' ? note : lk_reason_sentence(why));
    explain_key(x, kid, true);
    return lk__step_yes(x->e, "signature", "right");
}

/* A key that was burned proves nothing, whatever it signed when. */
static bool explain_burned(lk__explainer *x, lk_view kid)
{
    lk_reason why = LK_REASON_NONE;
    switch (lk__cutoffs_check_key(x->g, kid, &why)) {
    case LK_OK:
        return true;
    case LK_STALE:
        return lk__step_no(x->e, "burned", why, "the key was burned: nothing that it signed is good");
    case LK_MISS:
    case LK_REFUSED:
    case LK_FULL:
    case LK_FAULT:
        break;
    }
    return lk__step(x->e, "burned", LK_STEP_UNKNOWN, LK_REASON_STORE_UNAVAILABLE,
                    "this node does not know all of what was revoked");
}

bool lk__explain_token(lk__explainer *x, lk_view text)
{
    uint8_t memory[LK_SCRATCH_MAX];
    lk_buf scratch = lk_buf_over(memory, sizeof(memory));
    lk_expect expect = lk__expect(x->g->parts.settings, x->now_s);
    lk_claims claims;
    lk_reason why;
    lk_status status = lk_token_check(x->g->parts.ring, text, &expect, &scratch, &claims, &why);
    if (!explain_signature(x, part_of(text, -2), status, why, ""))
        return false;
    lk__explain_claims(x, &claims);
    if (claims.params.len > 0)
        lk__step_seen(x->e, "parameters", "%s", lk__words_shown(claims.params).text);
    return lk__explain_times(x, &claims, status, why, expect.leeway_s) && explain_burned(x, claims.kid) &&
           explain_claims_cutoffs(x, &claims);
}

/* A member of the header, which nobody has signed for yet. */
static lk_view header_text(lk_view header, lk_view name, uint8_t *memory, size_t cap)
{
    lk_json_item item;
    lk_buf out = lk_buf_over(memory, cap);
    if (lk_json_check(header, NULL, NULL) != LK_OK || lk_json_get(header, name, &item) != LK_OK ||
        item.type != LK_JSON_STRING || lk_json_string(item.value, &out) != LK_OK)
        return (lk_view){0};
    return lk_buf_view(&out);
}

/* The token once more, each time against one thing more: what it fails at is what was added. */
static bool explain_expected(lk__explainer *x, lk_view text, const lk_expect *whole, lk_view typ,
                             const lk_claims *claims)
{
    const struct {
        const char *name;
        lk_view wanted, said;
    } steps[] = {{"type", whole->type, typ}, {"issuer", whole->issuer, claims->issuer}};
    lk_expect expect = *whole;
    expect.type = expect.issuer = expect.audience = (lk_view){0};
    for (size_t i = 0; i < 2; i++) {
        uint8_t memory[LK_SCRATCH_MAX];
        lk_buf scratch = lk_buf_over(memory, sizeof(memory));
        lk_claims again;
        lk_reason why;
        *(i == 0 ? &expect.type : &expect.issuer) = steps[i].wanted;
        bool bad = lk_jwt_check(x->g->parts.ring, text, &expect, &scratch, &again, &why, NULL) == LK_REFUSED;
        if (!lk__step(x->e, steps[i].name, bad ? LK_STEP_NO : LK_STEP_YES, bad ? why : LK_REASON_NONE,
                      "%s; wanted: %s", steps[i].said.len > 0 ? lk__words_shown(steps[i].said).text : "none",
                      lk__words_shown(steps[i].wanted).text))
            return false;
    }
    lk_view here = x->rule->audience.len > 0 ? x->rule->audience : whole->audience;
    bool right = lk__audience_is_right(x->g, x->rule, claims, false);
    return lk__step(x->e, "audience", right ? LK_STEP_YES : LK_STEP_NO,
                    right ? LK_REASON_NONE : LK_REASON_WRONG_AUDIENCE, "%s; wanted: %s",
                    claims->audience.len > 0 ? lk__words_shown(claims->audience).text : "none",
                    here.len > 0 ? lk__words_shown(here).text : "any");
}

/* A token that a client was given for a user's ends with the session of that: as check_parent. */
static bool explain_parent(lk__explainer *x, const lk_claims *c)
{
    uint8_t record[LK_HEAD_MAX];
    lk_load load = {.key = c->session, .head_only = true, .buf = record, .cap = sizeof(record)};
    lk__words id = lk__words_id(&c->session);
    lk__near near;
    if (c->client.len == 0 || !c->has_session)
        return true;
    if (x->g->store_is_remote && lk__near_get(x->g, &c->session, x->now_s, &near) == LK_OK) {
        int64_t age_ms = lk__mono_ms(x->g) - near.known_ms;
        if (near.kind == LK_NEAR_ENDED)
            return lk__step_no(x->e, "parent", near.why, "session %s: ended on this node", id.text);
        if (age_ms < x->g->parts.settings->near_life_s * 1000)
            return lk__step_yes(x->e, "parent", "session %s: a copy on this node, %lld ms old", id.text,
                                (long long)age_ms);
    }
    lk__explain_load(x->g->parts.store, &load);
    if (load.status == LK_OK)
        return lk__step_yes(x->e, "parent", "session %s: in the store", id.text);
    if (load.status == LK_MISS && x->g->knows_by_client)
        return lk__step_yes(x->e, "parent", "session %s: not in the store; it may be in the client", id.text);
    if (load.status == LK_FAULT || load.status == LK_FULL)
        return lk__step(x->e, "parent", LK_STEP_UNKNOWN, LK_REASON_STORE_UNAVAILABLE,
                        "session %s: could not look", id.text);
    return lk__step_no(x->e, "parent",
                       load.status == LK_STALE && load.why != LK_REASON_NONE ? load.why : LK_REASON_REVOKED,
                       "session %s: it is over, and this token with it", id.text);
}

bool lk__explain_bond(lk__explainer *x, const lk_claims *c)
{
    if (c->bound.len == 0)
        return true;
    return lk__step_no(x->e, "proof", LK_REASON_WRONG_CARRIER, "came without a proof of its key");
}

bool lk__explain_jwt(lk__explainer *x, lk_view text)
{
    uint8_t memory[LK_SCRATCH_MAX], head[1024], alg[64], kid[LK_KID_MAX + 1], typ[64];
    const lk_settings *settings = x->g->parts.settings;
    lk_buf scratch = lk_buf_over(memory, sizeof(memory)), header = lk_buf_over(head, sizeof(head));
    lk_expect whole = lk__expect(settings, x->now_s), bare = whole;
    lk_claims claims;
    lk_note note = {""};
    lk_reason why;
    if (lk_base64url_decode(part_of(text, 0), &header) != LK_OK)
        return lk__step_no(x->e, "fields", LK_REASON_MALFORMED, "the header is not base64url, or too long");
    lk_view h = lk_buf_view(&header), k = header_text(h, LK_VIEW("kid"), kid, sizeof(kid)),
            t = header_text(h, LK_VIEW("typ"), typ, sizeof(typ));
    lk__step_seen(x->e, "header", "alg %s, kid %s: said by the token, believed by nobody",
                  lk__words_shown(header_text(h, LK_VIEW("alg"), alg, sizeof(alg))).text,
                  lk__words_shown(k).text);
    const lk_trust *trust = lk_trust_of(settings->trusts, settings->trusts_n, text);
    if (trust != NULL)
        return lk__explain_foreign(x, trust, text, k, t);
    bare.issuer = bare.audience = bare.type = (lk_view){0};
    lk_status status = lk_jwt_check(x->g->parts.ring, text, &bare, &scratch, &claims, &why, &note);
    if (!explain_signature(x, k, status, why, note.text) || !explain_expected(x, text, &whole, t, &claims))
        return false;
    lk__explain_claims(x, &claims);
    return lk__explain_times(x, &claims, status, why, whole.leeway_s) && explain_burned(x, claims.kid) &&
           explain_claims_cutoffs(x, &claims) && explain_parent(x, &claims) && lk__explain_bond(x, &claims);
}
