/* SPDX-License-Identifier: Apache-2.0
 *
 * check_session.c - credentials that stand for a session: its id, an API key, and the session itself in the
 * client.
 *
 * A session is looked up in the store where that is in this process; of a store on a network there are near
 * copies, and where they cannot decide, the check stops and asks (lk_question).
 */
#include "guard/check_inner.h"
#include <string.h>

/* Is S, last used at SEEN_S, alive, and not cut off? */
static lk_status judge_life(lk_guard *g, lk_session *s, int64_t seen_s, int64_t now_s, lk_reason *why)
{
    lk_subject subject = lk__subject_of_session(s);
    int64_t recorded_s = s->seen_s;
    s->seen_s = seen_s;
    lk_status status = lk_session_alive(s, now_s, why);
    if (status == LK_OK)
        status = lk__cutoffs_check(g, &subject, why);
    s->seen_s = recorded_s;
    return status;
}

/* Judge a session whose record was found: proof, time, cut-offs. SEEN_S is the latest known use. */
static lk_status judge_session(lk__attempt *a, lk_session *s, const uint8_t proof[LK_SESSION_PROOF_LEN],
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
static lk_status admit(const lk__attempt *a, const lk_session *s)
{
    lk_identity *out = a->out;
    bool is_key = (s->flags & LK_SESSION_API_KEY) != 0;
    lk_reason bound = is_key ? lk__api_key_bounds(a->g, a->rule, a->presented, s->agent) : LK_REASON_NONE;
    if (bound != LK_REASON_NONE || is_key != (out->kind == LK_KIND_API_KEY)) {
        out->reason = bound;
        return LK_REFUSED;
    }
    if (!lk__identity_name(out, s->user, s->name, s->realm, s->roles, s->scope, s->device))
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
static lk_status judge_found(lk__attempt *a, lk_load *load, const uint8_t proof[LK_SESSION_PROOF_LEN])
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
static lk_status judge_near(lk__attempt *a, const lk_session_key *key,
                            const uint8_t proof[LK_SESSION_PROOF_LEN], int64_t known_from_ms)
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
static lk_status judge_stale(lk__attempt *a, const lk_session_key *key,
                             const uint8_t proof[LK_SESSION_PROOF_LEN])
{
    int64_t longest_ms = lk__attempt_stale_ms(a), age_ms = a->mono_ms - lk__view_ms(a->g);
    if (longest_ms == 0 || !a->g->store_is_remote)
        return LK_FAULT;
    /* A copy is as new as the view that did not drop it. */
    int64_t from_ms = age_ms <= longest_ms ? INT64_MIN : a->mono_ms - longest_ms;
    a->by_stale = true;
    lk_status status = judge_near(a, key, proof, from_ms);
    return status == LK_MISS ? LK_FAULT : status;
}

/* LK_OK; LK_REFUSED or LK_STALE: over for good; LK_FAULT: could not look; LK_MISS with a->asks. */
static lk_status check_remote_id(lk__attempt *a, const lk_session_key *key,
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

static lk_status check_inline(lk__attempt *a, const lk_session_key *key,
                              const uint8_t proof[LK_SESSION_PROOF_LEN])
{
    uint8_t record[LK_HEAD_MAX];
    lk_load load = {.key = *key, .head_only = true, .buf = record, .cap = sizeof(record)};
    a->lasts = a->lasts && lk__moment_of_session(a->g, key, &a->moment);
    (void)!lk_store_load_many(a->g->parts.store, &load, 1); /* the load says for itself what became of it */
    return judge_found(a, &load, proof);
}

lk_status lk__check_session_id(lk__attempt *a, lk_view text)
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

/* ---- API keys ---- */

/* The first use in a while: the session is made from the accounts, by whoever may wait for them. */
static lk_status ask_for_key(lk__attempt *a, lk_view public, const lk_session_key *key)
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

lk_status lk__check_api_key(lk__attempt *a, lk_view text)
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

/* ---- sessions in the client ---- */

lk_status lk__check_sealed(lk__attempt *a, lk_view text)
{
    uint8_t record[LK_SESSION_ROOM];
    lk_session s;
    lk_status status = lk__sealed_open(a->g, text, record, NULL, &s, &a->out->reason);
    if (lk__attempt_asks_for_key(a, status))
        return LK_MISS;
    /* One answer to all that is no box of ours, wherever it was found out: nobody learns by trying. */
    if (status == LK_REFUSED)
        a->out->reason = LK_REASON_MALFORMED;
    if (status == LK_OK)
        status = lk__attempt_trust_view(a);
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
