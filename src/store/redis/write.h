/* SPDX-License-Identifier: Apache-2.0
 *
 * write.h - what create.c and end.c (one server) and steps.c (a cluster) share.
 */
#ifndef LATCHKEY_STORE_REDIS_WRITE_H
#define LATCHKEY_STORE_REDIS_WRITE_H

#include "store/redis/redis_inner.h"

/* A session on its way into the store. */
typedef struct lk__redis_creation {
    const lk_session *s;
    lk_view record; /* S, encoded */
    lk_limit limit;
    uint32_t ended; /* by the limit */
    bool refused;   /* by the limit */
    /* replace only */
    const lk_session *old;
    lk_view compared;  /* what must still stand at the front of OLD */
    lk_view old_value; /* OLD as an ending session, or its fence */
    int64_t old_until_s;
} lk__redis_creation;

typedef struct lk__redis_replacing {
    const lk_session_key *old;
    uint32_t generation;
    int64_t grace_until_s, fence_s;
} lk__redis_replacing;

/* What the index of the user wants to know. */
typedef struct lk__redis_entering {
    bool has_user;
    lk__redis_text index, now, entry, ttl, max, class_max, victim, fence, fence_px;
} lk__redis_entering;
LK_CHECKED lk_status lk__redis_entering_of(const lk__redis *r, const lk__redis_creation *c,
                                           lk__redis_entering *out);

/* The sessions that a logout ends, newest first. */
#define LK__REDIS_CHAIN_MAX 16
typedef struct lk__redis_chain {
    struct lk__redis_ended {
        lk_session_key key;
        bool is_there; /* as a session, readable or not */
        bool has_user;
        lk__redis_text user_key;
    } at[LK__REDIS_CHAIN_MAX];
    unsigned n;
} lk__redis_chain;

/* The steps of a cluster. LK_STALE: what was looked at has changed since, and nothing was done. */
LK_CHECKED lk_status lk__redis_steps_create(lk__redis *r, lk__redis_creation *c, int64_t until_ms);
LK_CHECKED lk_status lk__redis_steps_replace(lk__redis *r, lk__redis_creation *c, int64_t until_ms);
LK_CHECKED lk_status lk__redis_steps_end(lk__redis *r, const lk__redis_chain *chain, lk_reason reason,
                                         int64_t fence_s, int64_t until_ms);

#endif
