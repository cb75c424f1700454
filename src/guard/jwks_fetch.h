/* SPDX-License-Identifier: Apache-2.0
 *
 * jwks_fetch.h - one text by https or from a file, within bounds of time and size.
 */
#ifndef LATCHKEY_GUARD_JWKS_FETCH_H
#define LATCHKEY_GUARD_JWKS_FETCH_H

#include <latchkey/settings.h>

#define LK__FETCH_CONNECT_MS 2000
#define LK__FETCH_MS 5000

/* Get what is at T->jwks into OUT, which has room for LK_JWKS_MAX bytes. *fresh_s gets how long the server
 * says it stays as it is (Cache-Control, RFC 9111 section 5.2), -1 when it does not say. Blocking. LK_OK;
 * LK_FAULT with a note: the note names no more of the answer than its status. */
LK_CHECKED lk_status lk__jwks_fetch(const lk_trust *t, lk_buf *out, int64_t *fresh_s, lk_note *note);

/* The path when the set of T is in a file, else NULL. */
const char *lk__jwks_path(const lk_trust *t);

#endif
