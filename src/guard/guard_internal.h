/* SPDX-License-Identifier: Apache-2.0
 *
 * guard_internal.h - what the files of the guard share.
 */
#ifndef LATCHKEY_GUARD_INTERNAL_H
#define LATCHKEY_GUARD_INTERNAL_H

#include "shm/table.h"
#include <latchkey/guard.h>
#include <pthread.h>

/* Last-seen times on their way to the store. A request that finds it full leaves its time in the table and
 * does not wait: the next tenth of the idle time queues it again. */
#define LK_TOUCH_QUEUE_MAX 4096

struct lk_guard {
    lk_guard_parts parts;
    bool store_is_table; /* the sessions live in the table itself: last-seen needs no second entry */
    pthread_mutex_t touch_lock;
    lk_touch touches[LK_TOUCH_QUEUE_MAX];
    size_t touches_n;
};

/* The numbered words of the shared table. */
enum {
    LK_WORD_LEVELS = 0,       /* one per level: cut-offs ever put there; 0 lets the check skip the level */
    LK_WORD_FOLLOWED = 16,    /* the newest event of the store that is in the table */
    LK_WORD_INCOMPLETE = 17,  /* 1 while a cut-off did not fit: nobody is let in on a view with holes */
    LK_WORD_SWEPT_AT_MS = 18, /* when a process last took the sweep upon itself */
    LK_WORD_NEWEST_MS = 19,   /* time of the newest cut-off: the next one is later, whatever the clock says */
    LK_WORD_BEGUN_MS = 20,    /* when a guard first opened this table */
    LK_WORD_CLOCK_OFFSET_MS = 21, /* the store's clock minus this machine's, two's complement */
    LK_WORD_COUNTERS = 64
};

/* What a proven credential is compared with at every level. Lists are space-separated. */
typedef struct lk_subject {
    lk_view realm, roles, client, user, device, family;
    const lk_session_key *session; /* NULL: names none */
    int64_t issued_ms;
} lk_subject;

/* LK_OK when no cut-off reaches SUBJECT; LK_STALE with *why; LK_FAULT when the view has holes. */
LK_CHECKED lk_status lk__cutoffs_check(lk_guard *g, const lk_subject *subject, lk_reason *why);

/* The issue time of a credential made now for SUBJECT: now, or just after the newest cut-off that would reach
 * it. One that is issued in the very millisecond of a cut-off, or by a clock that was set back since, but
 * after it, must not fall under it. */
int64_t lk__issue_time_ms(lk_guard *g, const lk_subject *subject);

/* The time of a cut-off made now: later than any before it, and so than any issue time that was moved past
 * one of them; it reaches everything issued until now even when the clock was set back. (A hybrid logical
 * clock.) */
int64_t lk__cutoff_time_ms(lk_guard *g);

/* Put a cut-off into the table. LK_OK, LK_FULL (and the view is marked as having holes). */
LK_CHECKED lk_status lk__cutoff_apply(lk_guard *g, const lk_cutoff *c);

/* Until when a cut-off must be kept that is to reach everything issued up to NOW_S. */
int64_t lk__cutoff_until_s(const lk_settings *s, int64_t now_s);

/* Note the use of a session whose record says RECORD_SEEN_S and whose latest known use is SEEN_S. */
void lk__seen_note(lk_guard *g, const lk_session *s, int64_t seen_s, int64_t now_s);
/* The latest known use of S: its record, or the table if that is later. */
int64_t lk__seen_s(lk_guard *g, const lk_session *s);

/* Verified tokens. get: LK_OK with claims viewing into SCRATCH, or LK_MISS. */
LK_CHECKED lk_status lk__verified_get(lk_guard *g, lk_view text, lk_buf *scratch, lk_claims *out);
void lk__verified_put(lk_guard *g, lk_view text, const lk_claims *claims);

/* The key of a session as a key of the table. */
void lk__table_key_of(const lk_session_key *key, uint8_t out[LK_TABLE_KEY_LEN]);

/* What our own tokens are checked against. */
lk_expect lk__expect(const lk_settings *s, int64_t now_s);
#define LK_JWT_TYPE LK_VIEW("at+jwt")

#endif
