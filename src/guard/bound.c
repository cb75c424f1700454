/* SPDX-License-Identifier: Apache-2.0
 *
 * bound.c - tokens that are bound to a key of the client (RFC 9449).
 */
#include "guard/guard_internal.h"
#include <string.h>

/* The one proof of a request, checked; nothing is used up yet. As lk_dpop_check. */
static lk_status check_proof(lk_guard *g, const lk_presented *p, lk_view token, lk_view jkt, int64_t now_s,
                             lk_buf *scratch, lk_dpop *out, lk_proof *proof, lk_reason *why)
{
    const lk_settings *s = g->parts.settings;
    lk_dpop_expect expect = {.about = p->about,
                             .token = token,
                             .jkt = jkt,
                             .now_s = now_s,
                             .back_s = s->dpop_window_s,
                             .ahead_s = s->dpop_ahead_s,
                             .keys = g->dpop_keys};
    *proof = LK_PROOF_BAD;
    *why = LK_REASON_MALFORMED;
    if (p->proofs_n != 1)
        return LK_REFUSED;
    lk_status status = lk_dpop_check(g->parts.env, p->proofs[0], &expect, scratch, out, why, NULL);
    if (status == LK_OK && s->dpop_nonce_s > 0) {
        status = lk_dpop_nonce_check(g->parts.ring, out->nonce, now_s, s->dpop_nonce_s);
        if (status == LK_REFUSED || status == LK_STALE) {
            *proof = LK_PROOF_NONCE;
            *why = LK_REASON_EXPIRED;
        }
    }
    return status == LK_FAULT || status == LK_OK ? status : LK_REFUSED;
}

/* LK_OK; LK_REFUSED; LK_FULL. */
static lk_status use_proof(lk_guard *g, const lk_presented *p, const lk_dpop *dpop, lk_view by,
                           lk_proof *proof, lk_reason *why)
{
    lk__use use = {.kind = "dpop",
                   .key = lk_view_of(dpop->jkt),
                   .id = dpop->id,
                   .by = by,
                   .made_s = dpop->issued_s,
                   .until_s = dpop->issued_s + g->parts.settings->dpop_window_s};
    lk_status status = p->proof_used ? LK_OK : lk__use_up(g, &use);
    if (status == LK_OK) {
        *proof = LK_PROOF_GOOD;
        *why = LK_REASON_NONE;
        lk_guard_count(g, LK_COUNT_PROOFS);
    }
    if (status == LK_REFUSED)
        *why = LK_REASON_REPLAYED;
    if (status == LK_STALE)
        *why = LK_REASON_EXPIRED;
    if (status == LK_FULL)
        *why = LK_REASON_THROTTLED;
    return status == LK_STALE ? LK_REFUSED : status;
}

lk_status lk__bound_check(lk_guard *g, const lk_presented *p, lk_view token, const lk_claims *claims,
                          int64_t now_s, lk_identity *out)
{
    uint8_t memory[LK_DPOP_MAX], who[LK_REALM_MAX + LK_USER_ID_MAX + 1];
    lk_buf scratch = lk_buf_over(memory, sizeof(memory)), by = lk_buf_over(who, sizeof(who));
    lk_dpop dpop;
    if (p->proofs_n == 0) {
        out->proof = LK_PROOF_MISSING;
        out->reason = LK_REASON_WRONG_CARRIER;
        return LK_REFUSED;
    }
    lk_buf_add(&by, claims->realm);
    lk_buf_add_byte(&by, '/');
    lk_buf_add(&by, claims->user);
    lk_status status =
        check_proof(g, p, token, claims->bound, now_s, &scratch, &dpop, &out->proof, &out->reason);
    return status == LK_OK ? use_proof(g, p, &dpop, lk_buf_view(&by), &out->proof, &out->reason) : status;
}

lk_status lk__bound_login(lk_guard *g, const lk_presented *p, lk_view jkt, lk_view by, lk_proof *proof,
                          lk_reason *why)
{
    uint8_t memory[LK_DPOP_MAX];
    lk_buf scratch = lk_buf_over(memory, sizeof(memory));
    bool has_proof = p != NULL && p->proofs_n > 0;
    lk_dpop dpop;
    *proof = LK_PROOF_UNASKED;
    if (jkt.len == 0 && !has_proof)
        return LK_OK;
    *why = LK_REASON_WRONG_CARRIER;
    *proof = has_proof ? LK_PROOF_BAD : LK_PROOF_MISSING;
    if (jkt.len == 0 || !has_proof)
        return LK_REFUSED;
    lk_status status =
        check_proof(g, p, (lk_view){0}, jkt, lk_now_s(g->parts.env), &scratch, &dpop, proof, why);
    return status == LK_OK ? use_proof(g, p, &dpop, by, proof, why) : status;
}

lk_status lk_guard_proof(lk_guard *g, const lk_presented *p, lk_view by, char jkt[LK_JKT_LEN + 1],
                         lk_proof *proof, lk_reason *why)
{
    uint8_t memory[LK_DPOP_MAX];
    lk_buf scratch = lk_buf_over(memory, sizeof(memory));
    lk_dpop dpop;
    jkt[0] = '\0';
    *proof = LK_PROOF_UNASKED;
    *why = LK_REASON_NONE;
    if (p->proofs_n == 0)
        return LK_MISS;
    lk_status status =
        check_proof(g, p, (lk_view){0}, (lk_view){0}, lk_now_s(g->parts.env), &scratch, &dpop, proof, why);
    if (status == LK_OK)
        status = use_proof(g, p, &dpop, by, proof, why);
    if (status == LK_OK)
        memcpy(jkt, dpop.jkt, sizeof(dpop.jkt));
    return status;
}
