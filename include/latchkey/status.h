/* SPDX-License-Identifier: Apache-2.0
 *
 * status.h - the one answer type of latchkey, and the note that explains it to a person.
 */
#ifndef LATCHKEY_STATUS_H
#define LATCHKEY_STATUS_H

#ifdef __cplusplus
extern "C" {
#endif

#define LK_CHECKED __attribute__((warn_unused_result))
#define LK_PRINTF(fmt, first) __attribute__((format(printf, fmt, first)))

/* Every answer a latchkey function can give. Callers switch over all six and write no `default`, so that a
 * new member is a compile error and not a surprise. LK_FAULT never becomes LK_MISS on its way up: "could not
 * look" is not "is not there" - folding the two is how a store outage becomes a mass logout. */
typedef enum lk_status {
    LK_OK = 0,  /* it is so */
    LK_MISS,    /* looked, and it is not there */
    LK_STALE,   /* genuine, but over or revoked */
    LK_REFUSED, /* not genuine, not allowed, or not well formed */
    LK_FULL,    /* a bound was met */
    LK_FAULT    /* could not look: store, file, network or memory failed */
} lk_status;

/* One sentence for a person: what went wrong and what to do. Never holds a secret. Every function that takes
 * a note accepts NULL. A note is only meaningful after an answer other than LK_OK. */
typedef struct lk_note {
    char text[320];
} lk_note;

/* Write a note, cut at the size of the buffer. NOTE may be NULL: then nothing happens. */
void lk_note_set(lk_note *note, const char *format, ...) LK_PRINTF(2, 3);

/* "ok", "miss", "stale", "refused", "full", "fault": for logs. Never NULL. */
const char *lk_status_name(lk_status status);

#ifdef __cplusplus
}
#endif
#endif
