/* SPDX-License-Identifier: Apache-2.0
 *
 * data.h - session data for applications: fields as texts that fit a header, and changes an application asks
 * for in the headers of its answer. docs/session-data.md
 */
#ifndef LATCHKEY_DATA_H
#define LATCHKEY_DATA_H

#include <latchkey/service.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LK_DATA_STEPS_MAX 16         /* of one change */
#define LK_DATA_TEXT_MAX LK_BODY_MAX /* bytes of all its texts together */

/* Append the JSON text VALUE as visible ASCII and blanks: what is beyond ASCII as \uXXXX, line ends between
 * tokens as blanks. The same value to every JSON reader, and safe in a header whatever wrote it. VALUE was
 * accepted by lk_json_check. */
void lk_data_header_write(lk_view value, lk_buf *out);
/* All fields as one JSON object, the same way. FIELDS as in lk_session. */
void lk_data_headers_write(lk_view fields, lk_buf *out);

typedef enum lk_data_verb {
    LK_DATA_SET, /* JSON merge patch (RFC 7396): null removes */
    LK_DATA_ADD  /* whole numbers are added, elements of arrays appended, inside objects too */
} lk_data_verb;

/* One step: TEXT is a JSON object whose members are names of fields. */
typedef struct lk_data_step {
    lk_data_verb verb;
    lk_view text;
} lk_data_step;

typedef enum lk_data_end {
    LK_DATA_CHANGED,  /* and acknowledged by the store; or there was nothing to change */
    LK_DATA_BROKEN,   /* never possible: the note says which rule; nothing was changed */
    LK_DATA_OVER,     /* the session ended meanwhile, or there is none and none may be begun */
    LK_DATA_CONFLICT, /* others kept being faster: nothing was changed, try again */
    LK_DATA_UNKNOWN   /* the store could not be asked: nothing was changed as far as anybody knows */
} lk_data_end;

/* What is changed, for whom, and what may be. Everything borrowed. */
typedef struct lk_data_change {
    const lk_settings *settings;
    const lk_presented *presented;
    lk_identity *id;         /* whose; filled anew when a session is begun */
    const lk_issued *issued; /* what this request was given already; NULL or empty: nothing */
    lk_view agent, address;  /* of the visitor, for a session that is begun */
    bool secure_transport;   /* he came by https */
    const lk_data_step *steps;
    size_t n;
    const lk_view *allowed; /* names of fields; NULL: any */
    size_t allowed_n;
} lk_data_change;

/* Who a session that was just ISSUED to a visitor nobody knows makes of him. */
void lk_data_identity(const lk_issued *issued, lk_identity *id);

/* Make the change: all its steps, in their order, or none. Writers of other fields are not disturbed, nor
 * writers of other members of the same one; additions all count. A visitor without a session gets one that
 * nobody logged in, unless he showed a bad credential in a header: a program would get one for every request.
 * Blocking. AGAIN->len > 0 afterwards: a credential to hand to the visitor, even when nothing was changed;
 * wipe it with lk_issued_wipe in any case. NOTE never holds values. Thread: safe. */
lk_data_end lk_data_apply(lk_guard *g, const lk_data_change *change, lk_issued *again, lk_note *note);

#ifdef __cplusplus
}
#endif
#endif
