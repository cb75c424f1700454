/* SPDX-License-Identifier: Apache-2.0
 *
 * key_life.h - the times in a key file, and what they make of the key. docs/formats/keys.md
 */
#ifndef LATCHKEY_KEYRING_KEY_LIFE_H
#define LATCHKEY_KEYRING_KEY_LIFE_H

#include <latchkey/keys.h>

#define LK__KEY_FORMAT 2 /* lk_version of the files we write; files without it are of format 1 */

/* created <= signs <= retires <= gone, as far as they are set. */
typedef struct lk__key_life {
    int64_t created_s, signs_s, retires_s, gone_s;
    bool burned;
} lk__key_life;

/* Read the times of the signing key in TEXT (checked JSON, an object). LK_OK; LK_REFUSED with a note, also
 * for a format that is newer than ours. */
LK_CHECKED lk_status lk__key_life_read(lk_view text, lk__key_life *out, lk_note *note);

/* Is TEXT of a format that we know? LK_OK; LK_REFUSED. */
LK_CHECKED lk_status lk__key_format_check(lk_view text, lk_note *note);

/* Append `,"lk_version":2,"lk_created":...` without what is not set. */
void lk__key_life_add(lk_buf *out, const lk__key_life *life);

/* Is NAME a member that lk__key_life_add writes, or that format 1 had in its place? */
bool lk__key_life_has(lk_view name);

/* The state at NOW_S, by the times of this key alone: an active one may have been followed by another. */
lk_key_state lk__key_life_state(const lk__key_life *life, int64_t now_s);

#endif
