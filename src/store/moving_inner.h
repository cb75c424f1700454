/* SPDX-License-Identifier: Apache-2.0
 *
 * moving_inner.h - what the files of the store of a move share. docs/decisions/0030-live-move.md
 */
#ifndef LATCHKEY_STORE_MOVING_INNER_H
#define LATCHKEY_STORE_MOVING_INNER_H

#include "store/store_ops.h"

typedef struct lk__moving {
    lk_store base;
    lk_store_ops ops;   /* base.ops: its place and durability are those of the two */
    lk_store *lead;     /* asked first */
    lk_store *lead_now; /* where what goes to `lead` is written: another one when that reads a replica */
    lk_store *other;
    lk_store *stream; /* whose events are followed */
    lk_store *all;    /* who knows all sessions, for lists */
    bool looks_back;  /* what the leading store does not have is looked up in the other */
    bool is_apart;    /* the leading store is this node's own and the other one shared by all nodes: what was
                         ended on another node is known to the other store alone */
    bool asks_both;   /* what ended is told by `other` before `lead` knows, so that both are looked at */
    struct lk__moving *now; /* the same over lead_now, or NULL where that is `lead` */
} lk__moving;

/* How long the mark of a session stands that is ended in one of the two since it ended in the other. */
#define LK_MOVING_FENCE_S 3600

static inline lk__moving *lk__moving_of(lk_store *store)
{
    return (lk__moving *)store;
}

/* ---- moving_bring.c ---- */

/* Make KEY, which FROM may have, in TO as it is there. LK_OK: made. LK_REFUSED: TO has it by now, or it has
 * ended there. LK_MISS, LK_STALE: FROM has it not (any more). LK_FULL; LK_FAULT. */
LK_CHECKED lk_status lk__moving_bring(lk__moving *m, lk_store *from, lk_store *to, const lk_session_key *key);

/* Bring the fields of KEY in TO up to those in FROM, where TO is behind. LK_OK, also when it is not; else as
 * lk_store_change. */
LK_CHECKED lk_status lk__moving_catch_up(lk__moving *m, lk_store *from, lk_store *to,
                                         const lk_session_key *key);

/* How KEY stands in STORE: LK_OK, LK_MISS, LK_STALE with *why, LK_FAULT. *head (may be NULL) reads ROOM. */
LK_CHECKED lk_status lk__moving_look(lk_store *store, const lk_session_key *key, uint8_t room[LK_HEAD_MAX],
                                     lk_session *head, lk_reason *why);

/* ---- moving_change.c ---- */
LK_CHECKED lk_status lk__moving_change(lk_store *store, const lk_session_key *key, uint32_t generation,
                                       uint32_t if_revision, const lk_op *ops, size_t n, uint32_t *revision,
                                       lk_note *note);

/* ---- moving_write.c ---- */
LK_CHECKED lk_status lk__moving_create(lk_store *store, const lk_session *s, lk_limit limit, uint32_t *ended);
LK_CHECKED lk_status lk__moving_replace(lk_store *store, const lk_session_key *old, uint32_t old_generation,
                                        const lk_session *s, int64_t grace_until_s, int64_t fence_s,
                                        lk_limit limit);
LK_CHECKED lk_status lk__moving_destroy(lk_store *store, const lk_session_key *key, lk_reason reason,
                                        int64_t fence_s);

#endif
