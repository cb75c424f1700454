/* SPDX-License-Identifier: Apache-2.0
 *
 * data_change.h - a change of the fields of one session, from the first read to the acknowledged write: for
 * PATCH /session/data and for what applications ask for in their answers.
 */
#ifndef LATCHKEY_SERVICE_DATA_CHANGE_H
#define LATCHKEY_SERVICE_DATA_CHANGE_H

#include <latchkey/data.h>

typedef struct lk__change {
    lk_guard *guard;
    const lk_presented *presented;
    const lk_identity *id; /* has a session */
    const lk_data_step *steps;
    size_t n;
    lk_view if_match; /* empty: none */
    uint8_t *record;  /* LK_RECORD_MAX bytes */
    lk_session now;   /* in RECORD: as it is after the change */
    lk_issued *again; /* len > 0: hand this to the visitor */
    lk_note *note;    /* of LK_CHANGE_BROKEN */
} lk__change;

typedef enum lk__change_end {
    LK_CHANGE_DONE,
    LK_CHANGE_BROKEN,   /* a rule: never possible */
    LK_CHANGE_MISMATCH, /* If-Match names another revision */
    LK_CHANGE_OVER,     /* the session ended meanwhile */
    LK_CHANGE_CONFLICT, /* others kept being faster */
    LK_CHANGE_UNKNOWN   /* the store could not be asked */
} lk__change_end;

/* Steps are checked JSON objects. */
lk__change_end lk__change_run(lk__change *c);

/* What the steps would make of FIELDS, and by which operations (in ARENA; ops may be NULL). LK_OK with the
 * result in OUT, which needs LK_FIELDS_BYTES_MAX + 1024 bytes; LK_REFUSED and LK_FULL with the rule;
 * LK_FAULT.
 */
struct lk__arena;
LK_CHECKED lk_status lk__change_plan(lk_view fields, const lk_data_step *steps, size_t n,
                                     struct lk__arena *arena, lk_op **ops, size_t *ops_n, lk_buf *out,
                                     lk_note *note);

/* Does If-Match name REVISION? RFC 9110 section 13.1.1: a list of entity tags or '*'; weak ones never match.
 */
bool lk__if_match_has(lk_view if_match, uint32_t revision);

#endif
