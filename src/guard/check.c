/* SPDX-License-Identifier: Apache-2.0
 *
 * check.c - who is asking? From the bytes of a request to a verdict, without allocation and without waiting.
 */
#include "carrier/carrier.h"
#include "guard/trust_internal.h"
#include <latchkey/base64url.h>
#include <string.h>

/* A candidate: text that may be a credential, and where it rode. */
typedef struct candidate {
    lk_view text;
    lk_carrier carrier;
    bool by_dpop; /* as one that is bound to a key */
} candidate;

static bool is_allowed(unsigned mask, unsigned bit)
{
    return mask == 0 || (mask & (1u << bit)) != 0;
}

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

/* The one candidate of the request. LK_MISS: none; LK_REFUSED with *why: something that cannot be told apart
 * or rides where this location does not take it. */
static lk_status find_candidate(const lk_guard *g, const lk_presented *p, unsigned carriers, lk_buf *room,
                                candidate *out, unsigned *pieces, bool *twice, lk_reason *why)
{
    lk_view cookie = {0}, header = {0};
    bool by_dpop;
    lk_status c = find_in_cookies(g, p, room, &cookie, pieces);
    lk_status h = find_in_headers(p, &header, &by_dpop, twice);
    /* The path is where ids are seen by others, so it is looked at last: never beside another credential. */
    if (p->url.len > 0 && h == LK_MISS && (c == LK_MISS || (c == LK_OK && cookie.len == 0))) {
        *out = (candidate){p->url, LK_CARRIER_URL, false};
        *why = LK_REASON_WRONG_CARRIER;
        return is_allowed(carriers, LK_CARRIER_URL) ? LK_OK : LK_REFUSED;
    }
    bool elsewhere = (c == LK_OK && cookie.len > 0 && !is_allowed(carriers, LK_CARRIER_COOKIE)) ||
                     (h == LK_OK && !is_allowed(carriers, LK_CARRIER_HEADER));
    if (!is_allowed(carriers, LK_CARRIER_COOKIE) || (c == LK_OK && cookie.len == 0))
        c = LK_MISS;
    if (!is_allowed(carriers, LK_CARRIER_HEADER))
        h = LK_MISS;
    *why = LK_REASON_MALFORMED;
    *out = (candidate){h == LK_OK ? header : cookie, h == LK_OK ? LK_CARRIER_HEADER : LK_CARRIER_COOKIE,
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
    candidate c;
    unsigned pieces;
    bool twice;
    lk_reason why;
    lk_status status = find_candidate(g, presented, 0, room, &c, &pieces, &twice, &why);
    *text = c.text;
    return status;
}

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

static bool copy_names(lk_identity *out, lk_view user, lk_view name, lk_view realm, lk_view roles,
                       lk_view scope)
{
    return copy_text(out->user, sizeof(out->user), user) && copy_text(out->name, sizeof(out->name), name) &&
           copy_text(out->realm, sizeof(out->realm), realm) &&
           copy_text(out->roles, sizeof(out->roles), roles) &&
           copy_text(out->scope, sizeof(out->scope), scope);
}

/* One check on its way. */
typedef struct attempt {
    lk_guard *g;
    const lk_presented *presented;
    const lk_rule *rule;
    const lk_question *answer; /* NULL the first time */
    lk_question *question;
    lk_identity *out;
    int64_t now_s, mono_ms; /* of this check: a clock is asked once */
    bool by_dpop;           /* the credential came as one that is bound to a key */
    lk__moment moment;      /* what the decision will stand on */
    bool lasts;             /* and it may be made once for all of this second */
    bool asks;              /* the question has to be answered first */
    bool view_lags;         /* and by the rule nothing may be decided on it */
    bool view_lost;         /* it was asked for, and could not be had */
    bool keeps_cookie;      /* refused, and yet not for good */
    bool by_stale;          /* decided on what was known before, by latchkey_on_unknown */
    bool no_record;         /* there is no session, but one may be made (API keys) */
} attempt;

/* Is what this node knows new enough for the rule? How to go on when not is the rule's as well. */
static void judge_view(attempt *a)
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

/* How old may the knowledge be that stands in for an answer that cannot be had? 0: there is none. */
static int64_t stale_ms(const attempt *a)
{
    if (a->rule->stale_safe && !a->presented->only_reads)
        return 0;
    int64_t stale_s = a->rule->stale_s > 0 ? a->rule->stale_s : a->rule->stale_safe ? LK_STALE_SAFE_S : 0;
    return stale_s * 1000;
}

/* Is S, last used at SEEN_S, alive, and not cut off? */
static lk_status judge_life(lk_guard *g, lk_session *s, int64_t seen_s, int64_t now_s, lk_reason *why)
{
    lk_subject subject = {.realm = s->realm,
                          .roles = s->roles,
                          .user = s->user,
                          .device = s->device,
                          .session = &s->key,
                          .issued_ms = s->issued_s * 1000 + s->issued_ms};
    int64_t recorded_s = s->seen_s;
    s->seen_s = seen_s;
    lk_status status = lk_session_alive(s, now_s, why);
    if (status == LK_OK)
        status = lk__cutoffs_check(g, &subject, why);
    s->seen_s = recorded_s;
    return status;
}

/* Judge a session whose record was found: proof, time, cut-offs. SEEN_S is the latest known use. */
static lk_status judge_session(attempt *a, lk_session *s, const uint8_t proof[LK_SESSION_PROOF_LEN],
                               int64_t seen_s)
{
    lk_guard *g = a->g;
    int64_t now_s = a->now_s;
    lk_reason *why = &a->out->reason;
    *why = LK_REASON_EXPIRED;
    if ((s->flags & LK_SESSION_TOKEN) != 0 || !lk_secret_equal(lk_view_make(s->proof, LK_SESSION_PROOF_LEN),
                                                               lk_view_make(proof, LK_SESSION_PROOF_LEN)))
        return LK_REFUSED;
    lk_status status = judge_life(g, s, seen_s, now_s, why);
    if (status != LK_OK)
        return status;
    if (!a->presented->looks_only)
        lk__seen_note(g, s, seen_s, now_s);
    s->seen_s = now_s;
    return LK_OK;
}

static void count_lookup(lk_guard *g, lk_status status)
{
    switch (status) {
    case LK_OK:
        lk_guard_count(g, LK_COUNT_LOOKUP_HIT);
        return;
    case LK_MISS:
    case LK_REFUSED:
        lk_guard_count(g, LK_COUNT_LOOKUP_MISS);
        return;
    case LK_STALE:
        lk_guard_count(g, LK_COUNT_LOOKUP_STALE);
        return;
    case LK_FULL:
    case LK_FAULT:
        lk_guard_count(g, LK_COUNT_LOOKUP_FAULT);
        return;
    }
}

/* Fill OUT from a session that was found good. */
static lk_status admit(const attempt *a, const lk_session *s)
{
    lk_identity *out = a->out;
    bool is_key = (s->flags & LK_SESSION_API_KEY) != 0;
    lk_reason bound = is_key ? lk__api_key_bounds(a->g, a->rule, a->presented, s->agent) : LK_REASON_NONE;
    if (bound != LK_REASON_NONE || is_key != (out->kind == LK_KIND_API_KEY)) {
        out->reason = bound;
        return LK_REFUSED;
    }
    if (!copy_names(out, s->user, s->name, s->realm, s->roles, s->scope) ||
        !copy_text(out->device, sizeof(out->device), s->device))
        return LK_FAULT;
    out->has_session = true;
    out->logged_in = (s->flags & LK_SESSION_ANONYMOUS) == 0 && s->user.len > 0;
    out->key = s->key;
    out->limited = is_key || s->scope.len > 0;
    out->previous = s->previous;
    out->generation = s->generation;
    out->flags = s->flags;
    out->auth_s = s->auth_s;
    out->issued_s = s->issued_s;
    out->seen_s = s->seen_s;
    out->ends_s = lk_session_ends_s(s);
    out->expires_s = s->expires_s;
    lk_public_id_write(&s->key, out->public_id);
    return LK_OK;
}

/* Judge what a look-up in the store gave. */
static lk_status judge_found(attempt *a, lk_load *load, const uint8_t proof[LK_SESSION_PROOF_LEN])
{
    lk_guard *g = a->g;
    lk_identity *out = a->out;
    count_lookup(g, load->status);
    if (load->status == LK_FAULT || load->status == LK_FULL)
        return LK_FAULT;
    a->no_record = load->status == LK_MISS;
    /* An id we do not know is one that was forgotten or one that never was: the two are not told apart. */
    out->reason = load->status == LK_STALE && load->why != LK_REASON_NONE ? load->why : LK_REASON_EXPIRED;
    if (load->status != LK_OK)
        return LK_STALE;
    lk_session *s = &load->session;
    lk_status status = judge_session(a, s, proof, lk__seen_s(g, s));
    return status == LK_OK ? admit(a, s) : status;
}

/* Judge a near copy that is at most OLD_MS old. LK_MISS when there is none, or it cannot decide: a session
 * that is idle here may have been used elsewhere. */
static lk_status judge_near(attempt *a, const lk_session_key *key, const uint8_t proof[LK_SESSION_PROOF_LEN],
                            int64_t known_from_ms)
{
    lk_guard *g = a->g;
    lk__near near;
    if (lk__near_get(g, key, a->now_s, &near) != LK_OK)
        return LK_MISS;
    if (near.kind == LK_NEAR_ENDED) {
        a->out->reason = near.why;
        return LK_STALE;
    }
    if (near.known_ms < known_from_ms)
        return LK_MISS;
    lk_session *s = &near.session;
    int64_t seen_s = near.seen_s > s->seen_s ? near.seen_s : s->seen_s;
    lk_status status = judge_session(a, s, proof, seen_s);
    if (status == LK_STALE && a->out->reason == LK_REASON_IDLE)
        return LK_MISS;
    lk_guard_count(g, a->by_stale ? LK_COUNT_STALE_SERVED : LK_COUNT_NEAR_HIT);
    return status == LK_OK ? admit(a, s) : status;
}

/* The store could not be asked. What it said last, and nothing has contradicted until the view was lost, may
 * stand in for a while where the operator said so. */
static lk_status judge_stale(attempt *a, const lk_session_key *key, const uint8_t proof[LK_SESSION_PROOF_LEN])
{
    int64_t longest_ms = stale_ms(a), age_ms = a->mono_ms - lk__view_ms(a->g);
    if (longest_ms == 0 || !a->g->store_is_remote)
        return LK_FAULT;
    /* A copy is as new as the view that did not drop it. */
    int64_t from_ms = age_ms <= longest_ms ? INT64_MIN : a->mono_ms - longest_ms;
    a->by_stale = true;
    lk_status status = judge_near(a, key, proof, from_ms);
    return status == LK_MISS ? LK_FAULT : status;
}

/* LK_OK; LK_REFUSED or LK_STALE: over for good; LK_FAULT: could not look; LK_MISS with a->asks. */
static lk_status check_remote_id(attempt *a, const lk_session_key *key,
                                 const uint8_t proof[LK_SESSION_PROOF_LEN])
{
    const lk_question *answer = a->answer;
    bool answered = answer != NULL && answer->wants_session && memcmp(&answer->key, key, sizeof(*key)) == 0;
    lk_status status = LK_MISS;
    if (a->view_lost)
        return judge_stale(a, key, proof);
    a->lasts = a->lasts && lk__moment_of_session(a->g, key, &a->moment);
    if (!answered && !a->view_lags)
        status = judge_near(a, key, proof, a->mono_ms - a->g->parts.settings->near_life_s * 1000);
    if (status != LK_MISS)
        return status;
    if (answer == NULL) {
        a->question->wants_session = true;
        a->question->key = *key;
        a->asks = true;
        return LK_MISS;
    }
    /* Another credential than the one that was asked for: there is no third try. */
    lk_load load = {.status = LK_FAULT};
    if (answered) {
        load.status = answer->status;
        load.why = answer->why;
        if (load.status == LK_OK &&
            lk_record_read(lk_view_make(answer->record, answer->record_len), &load.session) != LK_OK)
            load.status = LK_FAULT;
    }
    status = judge_found(a, &load, proof);
    return status == LK_FAULT ? judge_stale(a, key, proof) : status;
}

static lk_status check_inline(attempt *a, const lk_session_key *key,
                              const uint8_t proof[LK_SESSION_PROOF_LEN])
{
    uint8_t record[LK_HEAD_MAX];
    lk_load load = {.key = *key, .head_only = true, .buf = record, .cap = sizeof(record)};
    a->lasts = a->lasts && lk__moment_of_session(a->g, key, &a->moment);
    if (lk_store_load_many(a->g->parts.store, &load, 1) != LK_OK)
        load.status = LK_FAULT;
    return judge_found(a, &load, proof);
}

static lk_status check_session_id(attempt *a, lk_view text)
{
    lk_guard *g = a->g;
    uint8_t proof[LK_SESSION_PROOF_LEN];
    lk_session_key key;
    lk_status status = lk_session_id_read(g->parts.ring, text, &key, proof);
    a->out->reason = LK_REASON_MALFORMED;
    if (status != LK_OK)
        return status;
    return g->store_is_remote ? check_remote_id(a, &key, proof) : check_inline(a, &key, proof);
}

/* The first use in a while: the session is made from the accounts, by whoever may wait for them. */
static lk_status ask_for_key(attempt *a, lk_view public, const lk_session_key *key)
{
    a->question->wants_session = true;
    a->question->wants_api_key = true;
    a->question->key = *key;
    memcpy(a->question->api_key, public.p, LK_API_KEY_PUBLIC_LEN);
    a->question->api_key[LK_API_KEY_PUBLIC_LEN] = '\0';
    a->asks = true;
    return LK_MISS;
}

static void take_made(const lk_question *answer, lk_session_key *key, uint8_t proof[LK_SESSION_PROOF_LEN])
{
    lk_session s;
    *key = answer->key;
    if (answer->status == LK_OK &&
        lk_record_read(lk_view_make(answer->record, answer->record_len), &s) == LK_OK)
        memcpy(proof, s.proof, LK_SESSION_PROOF_LEN);
}

/* A key that was not made here is refused on the spot. It is never taken from where browsers keep things, or
 * from a path. */
static lk_status check_api_key(attempt *a, lk_view text)
{
    lk_guard *g = a->g;
    const lk_question *answer = a->answer;
    uint8_t proof[LK_SESSION_PROOF_LEN];
    lk_session_key key;
    lk_view public;
    a->out->reason = LK_REASON_WRONG_CARRIER;
    if (a->out->carrier != LK_CARRIER_HEADER)
        return LK_REFUSED;
    lk_status status = lk_api_key_prove(g->parts.ring, text, &public);
    a->out->reason = LK_REASON_BAD_SIGNATURE;
    if (status == LK_OK)
        status = lk__api_key_name(g, public, a->now_s, &key, proof);
    if (status != LK_OK)
        return status;
    bool made = answer != NULL && answer->wants_api_key &&
                lk_view_equal(public, lk_view_make(answer->api_key, LK_API_KEY_PUBLIC_LEN));
    /* The epoch may have ended while the accounts were asked: what was made for this key is good, too. */
    if (made)
        take_made(answer, &key, proof);
    status = g->store_is_remote || made ? check_remote_id(a, &key, proof) : check_inline(a, &key, proof);
    return !a->asks && a->no_record && !made ? ask_for_key(a, public, &key) : status;
}

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
static lk_status prove_foreign(attempt *a, const lk_trust *t, lk_view text, lk_buf *scratch,
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
static lk_status judge_remembered(attempt *a, const lk_trust *t, const lk_claims *claims)
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
static lk_status prove_jwt(attempt *a, lk_view text, lk_buf *scratch, lk_claims *claims, const lk_trust **by)
{
    const lk_settings *s = a->g->parts.settings;
    lk_expect expect = lk__expect(s, a->now_s);
    if (a->rule->audience.len > 0)
        expect.audience = (lk_view){0}; /* judged by audience_is_right, whichever way it was proven */
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
    candidate c;
    lk_kind kind;
    lk_reason why;
    lk_claims claims;
    *params = (lk_view){0};
    bool twice;
    if (find_candidate(g, presented, 1u << carrier, &room, &c, &pieces, &twice, &why) != LK_OK ||
        lk_credential_kind(c.text, &kind) != LK_OK || kind != LK_KIND_TOKEN)
        return LK_MISS;
    lk_status status = lk_token_check(g->parts.ring, c.text, &expect, scratch, &claims, &why);
    /* It was good when it let the request in, which may take longer than it lives. */
    if (status != LK_OK && !(status == LK_STALE && why == LK_REASON_EXPIRED))
        return LK_MISS;
    *params = claims.params;
    return LK_OK;
}

/* May a token be decided on the view of the cut-offs there is? LK_OK; LK_FAULT; LK_MISS with a->asks. */
static lk_status trust_view(attempt *a)
{
    if (a->view_lags) {
        a->asks = true;
        return LK_MISS;
    }
    if (!a->view_lost)
        return LK_OK;
    if (a->mono_ms - lk__view_ms(a->g) > stale_ms(a))
        return LK_FAULT;
    a->by_stale = true;
    lk_guard_count(a->g, LK_COUNT_STALE_SERVED);
    return LK_OK;
}

/* Nobody here knows the key that a credential names: it may be a new one, whose file has not been seen yet.
 */
static bool asks_for_key(attempt *a, lk_status status)
{
    if (status != LK_REFUSED || a->out->reason != LK_REASON_UNKNOWN_KEY || a->answer != NULL ||
        !lk__keys_may_ask(a->g))
        return false;
    a->question->wants_own_keys = true;
    a->asks = true;
    return true;
}

/* A session in the client: all there is to know of it is in TEXT, but for what was revoked since. */
static lk_status check_sealed(attempt *a, lk_view text)
{
    uint8_t record[LK_SESSION_ROOM];
    lk_session s;
    lk_status status = lk__sealed_open(a->g, text, record, NULL, &s, &a->out->reason);
    if (asks_for_key(a, status))
        return LK_MISS;
    /* One answer to all that is no box of ours, wherever it was found out: nobody learns by trying. */
    if (status == LK_REFUSED)
        a->out->reason = LK_REASON_MALFORMED;
    if (status == LK_OK)
        status = trust_view(a);
    if (status == LK_OK)
        status = judge_life(a->g, &s, s.seen_s, a->now_s, &a->out->reason);
    if (status == LK_OK &&
        (a->presented->looks_only ? lk__sealed_looks_behind(a->g, &s) : lk__sealed_is_behind(a->g, &s))) {
        a->out->reason = LK_REASON_REVOKED;
        return LK_STALE;
    }
    if (status != LK_OK)
        return status;
    if (a->out->carrier == LK_CARRIER_COOKIE && lk__sealed_is_due(&s, s.seen_s, a->now_s))
        a->out->reissue = LK_REISSUE_HERE;
    s.seen_s = a->now_s;
    return admit(a, &s);
}

/* A token in a cookie that stands for a session is renewed when a tenth of the idle time has passed, while
 * the login lasts. One that was remembered ends with the login, and there is nothing to renew. */
static void judge_renewal(attempt *a, const lk_claims *claims)
{
    int64_t idle_s = a->g->parts.settings->idle_s;
    if (a->out->carrier == LK_CARRIER_COOKIE && claims->has_session &&
        claims->session_ends_s > claims->expires_s && claims->expires_s - a->now_s <= idle_s - idle_s / 10)
        a->out->reissue = LK_REISSUE_HERE;
}

/* A token that is bound to a key is good beside a proof by that key and in no other way; one that is not came
 * as what it is not. Last of all that is looked at: a proof is used up, and its signature costs what that of
 * a new token does. (SECURITY-RULES 98) */
static lk_status judge_bond(attempt *a, lk_view text, const lk_claims *claims)
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
static bool audience_is_right(const attempt *a, const lk_claims *claims, bool foreign)
{
    const lk_settings *settings = a->g->parts.settings;
    lk_view own = lk_view_of(settings->jwt_audience);
    if (claims->kind != LK_KIND_JWT)
        return true;
    if (a->rule->audience.len > 0)
        return has_any(claims->audience, a->rule->audience);
    if (foreign)
        return true; /* another's: checked by what its issuer is trusted for */
    return own.len > 0 ? lk_words_have(claims->audience, own)
                       : claims->client.len == 0 || claims->audience.len == 0;
}

/* What the store said of the session a token was made from. Where sessions may be in the client, one that is
 * not in the store says nothing: those end by cut-offs, which were looked at. */
static lk_status judge_parent(const attempt *a, lk_status status, lk_reason why)
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
static lk_status check_parent(attempt *a, const lk_session_key *key)
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

static lk_status check_token(attempt *a, lk_kind kind, lk_view text)
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
    if (by == NULL && asks_for_key(a, status))
        return LK_MISS;
    if (status == LK_OK && !audience_is_right(a, &claims, by != NULL)) {
        out->reason = LK_REASON_WRONG_AUDIENCE;
        return LK_REFUSED;
    }
    if (status == LK_OK)
        status = trust_view(a);
    if (status != LK_OK)
        return status;
    lk_subject subject = {.realm = claims.realm,
                          .roles = claims.roles,
                          .client = claims.client,
                          .user = claims.user,
                          .device = claims.device,
                          .family = claims.client.len > 0 ? claims.id : (lk_view){0},
                          .session = claims.has_session ? &claims.session : NULL,
                          .issued_ms = claims.issued_s * 1000 + claims.issued_ms};
    status = lk__cutoffs_check(g, &subject, &out->reason);
    if (status == LK_OK && by == NULL && claims.client.len > 0 && claims.has_session)
        status = check_parent(a, &claims.session);
    if (status != LK_OK)
        return status;
    out->reason = LK_REASON_MALFORMED;
    if (claims.user.len == 0 ||
        !copy_names(out, claims.user, claims.name, claims.realm, claims.roles, claims.scope) ||
        !copy_text(out->device, sizeof(out->device), claims.device) ||
        !copy_text(out->bound, sizeof(out->bound), claims.bound))
        return LK_REFUSED;
    /* A token holds what it names and nothing else, unless it stands for a session of the site. */
    out->limited = claims.scope.len > 0 || claims.session_ends_s == 0;
    judge_renewal(a, &claims);
    out->has_session = claims.has_session;
    out->logged_in = true;
    out->foreign = by != NULL;
    out->by_client = by == NULL && claims.client.len > 0;
    out->generation = claims.generation;
    out->flags = LK_SESSION_TOKEN;
    out->auth_s = claims.auth_s != 0 ? claims.auth_s : claims.issued_s;
    out->issued_s = claims.issued_s;
    out->seen_s = expect.now_s;
    out->ends_s = claims.expires_s;
    out->expires_s = claims.expires_s;
    if (claims.has_session) {
        out->key = claims.session;
        lk_public_id_write(&claims.session, out->public_id);
    }
    return judge_bond(a, text, &claims);
}

static bool has_every(lk_view held, lk_view wanted)
{
    lk_view word;
    while (lk_words_next(&wanted, &word))
        if (!lk_words_have(held, word))
            return false;
    return true;
}

/* What the location asks for beyond "somebody is logged in". */
lk_reason lk__rule_judge(const lk_rule *rule, const lk_identity *id, int64_t now_s)
{
    if (!id->logged_in)
        return LK_REASON_NO_CREDENTIAL;
    if ((rule->bound && id->proof != LK_PROOF_GOOD) || (rule->signature && !id->is_signed))
        return LK_REASON_WRONG_CARRIER;
    if (rule->realm.len > 0 && !lk_view_equal(rule->realm, lk_view_of(id->realm)))
        return LK_REASON_WRONG_AUDIENCE;
    if (!has_every(lk_view_of(id->roles), rule->role))
        return LK_REASON_INSUFFICIENT_ROLE;
    if (id->limited && !has_every(lk_view_of(id->scope), rule->scope))
        return LK_REASON_INSUFFICIENT_SCOPE;
    if (rule->max_age_s > 0 && now_s - id->auth_s > rule->max_age_s)
        return LK_REASON_REAUTHENTICATION_REQUIRED;
    return LK_REASON_NONE;
}

static void forget(lk_identity *out)
{
    out->has_session = false;
    out->logged_in = false;
    out->user[0] = out->name[0] = out->realm[0] = out->roles[0] = out->scope[0] = out->public_id[0] = '\0';
    out->device[0] = out->bound[0] = '\0';
}

static lk_status check_kind(attempt *a, lk_kind kind, lk_view text)
{
    switch (kind) {
    case LK_KIND_SESSION_ID:
        return check_session_id(a, text);
    case LK_KIND_TOKEN:
    case LK_KIND_JWT:
        return check_token(a, kind, text);
    case LK_KIND_SEALED:
        return check_sealed(a, text);
    case LK_KIND_API_KEY:
        return check_api_key(a, text);
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
static bool rests_on_itself(const attempt *a, const candidate *c)
{
    return !a->presented->looks_only && !a->presented->any_sender && !c->by_dpop && a->presented->proofs_n == 0 &&
           !a->presented->is_signed && a->out->kind != LK_KIND_API_KEY && a->rule->audience.len == 0;
}

/* Who TEXT is, by a check in full. */
static lk_status check_candidate(attempt *a, const candidate *c)
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
static lk_status check_candidate_once(attempt *a, const candidate *c)
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
static lk_status identify(attempt *a)
{
    lk_identity *out = a->out;
    candidate c;
    uint8_t joined[LK_SEALED_MAX];
    lk_buf room = lk_buf_over(joined, sizeof(joined));
    lk_status status = find_candidate(a->g, a->presented, a->rule->carriers, &room, &c, &out->pieces,
                                      &out->twice, &out->reason);
    if (status != LK_OK)
        return status;
    out->carrier = c.carrier;
    out->reason = LK_REASON_MALFORMED;
    status = lk_credential_kind(c.text, &out->kind);
    bool by_url = c.carrier == LK_CARRIER_URL;
    a->by_dpop = c.by_dpop;
    if (status == LK_OK &&
        (!is_allowed(a->rule->kinds, out->kind) || (by_url && out->kind != LK_KIND_SESSION_ID) ||
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

static lk_verdict refuse_or_pass(const lk_rule *rule, lk_identity *out)
{
    forget(out);
    return rule->mode == LK_MODE_REQUIRED ? LK_VERDICT_REFUSE : LK_VERDICT_ALLOW;
}

static lk_verdict decide(const lk_rule *rule, lk_status status, int64_t now_s, lk_identity *out)
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
    forget(out);
    if (status == LK_FAULT || out->reason != LK_REASON_THROTTLED)
        out->reason = LK_REASON_STORE_UNAVAILABLE;
    return LK_VERDICT_UNKNOWN;
}

static void count_verdict(lk_guard *g, const lk_identity *out)
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

static bool presents_nothing(const lk_presented *p)
{
    return p->cookies_n + p->authorization_n + p->header_n + p->url.len == 0;
}

bool lk_guard_try(lk_guard *g, const lk_presented *presented, const lk_rule *rule, const lk_question *answer,
                  lk_identity *out, lk_question *question)
{
    attempt a = {.g = g,
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
    forget(out);
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
    out->verdict = decide(rule, status, a.now_s, out);
    if (!presented->looks_only)
        count_verdict(g, out);
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
