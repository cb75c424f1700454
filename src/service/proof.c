/* SPDX-License-Identifier: Apache-2.0
 *
 * proof.c - proofs of possession where tokens are asked for (RFC 9449 section 5).
 */
#include "service/call.h"

lk_status lk__proof_read(lk__call *c, lk_view by, lk_view *jkt)
{
    char text[LK_JKT_LEN + 1];
    lk_proof proof;
    lk_reason why;
    lk_status status = lk_guard_proof(c->s->guard, &c->presented, by, text, &proof, &why);
    *jkt = (lk_view){0};
    if (status == LK_MISS)
        return LK_MISS;
    if (status == LK_OK) {
        *jkt = lk__arena_copy(c->arena, lk_view_of(text));
        c->presented.proof_used = true;
        return jkt->len == LK_JKT_LEN ? LK_OK : LK_FAULT;
    }
    c->id->proof = proof;
    c->id->reason = why;
    return status;
}

void lk__answer_proof(lk__call *c, lk_status status)
{
    if (status == LK_REFUSED)
        lk__answer_reason(c, 401, c->id->reason, (lk_view){0});
    else if (status == LK_FULL)
        lk__answer_reason(c, 503, LK_REASON_THROTTLED, (lk_view){0});
    else
        lk__answer_unavailable(c);
}
