/* SPDX-License-Identifier: Apache-2.0
 *
 * rules.h - what every store does alike, so that no two of them can differ in it: pure functions on records.
 */
#ifndef LATCHKEY_STORE_RULES_H
#define LATCHKEY_STORE_RULES_H

#include <latchkey/cutoff.h>
#include <latchkey/store.h>

/* Until when a store keeps S. Last-seen times reach a store late, by up to a tenth of the idle time: a
 * session that is idle by its record may be alive. It is kept for an eighth of its idle time and a minute
 * past its end; that also lets its owner be told why it ended. */
int64_t lk__session_forget_s(const lk_session *s);

/* Is S one of its user's live sessions, as far as a store can know? Not ending, and within
 * lk__session_forget_s and its absolute end. */
bool lk__session_is_listed(const lk_session *s, int64_t now_s);

/* May S be written to by somebody who saw it in GENERATION? LK_OK, LK_STALE. */
LK_CHECKED lk_status lk__session_writable(const lk_session *s, uint32_t generation, int64_t now_s);

/* Read RECORD as the session KEY. LK_OK; LK_STALE for a damaged or newer record, or that of another session.
 */
LK_CHECKED lk_status lk__record_of(lk_view record, const lk_session_key *key, lk_session *out);

/* A change of the fields, without the store around it (see lk_store_change). */
typedef struct lk__change {
    const lk_session_key *key;
    uint32_t generation;
    uint32_t if_revision;
    const lk_op *ops;
    size_t n;
    int64_t now_s;
    int64_t seen_s; /* a later last-seen time than that of the record, or 0 */
} lk__change;

/* RECORD with CHANGE applied, to OUT. *result reads OUT. LK_OK, LK_STALE, LK_REFUSED, LK_FULL. */
LK_CHECKED lk_status lk__record_change(lk_view record, const lk__change *change, lk_buf *out,
                                       lk_session *result, lk_note *note);

/* S as the ending session it is until GRACE_UNTIL_S, to OUT; *s is changed to it. */
LK_CHECKED lk_status lk__record_ending(lk_session *s, int64_t grace_until_s, lk_buf *out);

/* How a session ended, as bytes: until when the fence stands (8 bytes), then the reason as its word. Words,
 * since the numbers of reasons belong to one build and a fence may be read by another. */
#define LK_FENCE_MAX 48
LK_CHECKED lk_status lk__fence_write(lk_reason reason, int64_t until_s, lk_buf *out);
/* A fence that cannot be read is a fence all the same: reason revoked, until_s 0. */
void lk__fence_read(lk_view fence, lk_reason *reason, int64_t *until_s);

/* A cut-off as bytes, docs/formats/cutoff.md. Reading gives LK_OK; LK_STALE for one that this build cannot
 * understand: to overlook a revocation would let somebody back in. */
#define LK_CUTOFF_BYTES_MAX 256
LK_CHECKED lk_status lk__cutoff_write(const lk_cutoff *c, lk_buf *out);
LK_CHECKED lk_status lk__cutoff_read(lk_view bytes, lk_cutoff *out);

/* Has S to keep to LIMIT? Not when it is nobody's, or behind an API key. */
bool lk__limit_holds(const lk_limit *limit, const lk_session *s);

/* The sessions of one user, gathered to find those that a limit ends. */
typedef struct lk__candidate {
    int64_t seen_s, issued_s, expires_s;
    lk_session_key key;
    bool is_same_class;
    bool is_chosen;
} lk__candidate;

typedef struct lk__candidates {
    const lk_env *env;
    const lk_session *newest; /* the one that is made: never ended by its own limit */
    lk__candidate *at;
    size_t n, cap;
} lk__candidates;

/* One that does not count is passed over. LK_OK, or LK_FAULT when memory is short. */
LK_CHECKED lk_status lk__candidates_add(lk__candidates *c, const lk_session *s);
/* Choose those that LIMIT ends: *n of them, in front and in their order. LK_OK; LK_FULL when there are any
 * and the limit refuses instead. */
LK_CHECKED lk_status lk__candidates_choose(lk__candidates *c, const lk_limit *limit, size_t *n);
void lk__candidates_free(lk__candidates *c);

#endif
