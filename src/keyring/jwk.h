/* SPDX-License-Identifier: Apache-2.0
 *
 * jwk.h - read one JSON Web Key (RFC 7517) without allocation; private to src/keyring.
 *
 * All functions take an object that lk_json_check has accepted. Notes name members and rules, never values.
 */
#ifndef LATCHKEY_KEYRING_JWK_H
#define LATCHKEY_KEYRING_JWK_H

#include "keyring/algorithm.h"

/* What a key says about itself, before its numbers are read. */
typedef struct lk__jwk {
    lk_view text;
    const lk__algorithm *algorithm; /* the first of `candidates` */
    lk_alg_set candidates;          /* one, but for a key without alg whose kty has several */
    char kid[LK_KID_MAX + 1];
    size_t kid_len;   /* 0: no kid */
    bool has_private; /* a member that only the owner of a key pair may have; known also on LK_MISS */
} lk__jwk;

/* Read kty, crv, alg, use, key_ops and kid. LK_OK; LK_MISS for a well-formed key that is not for us (another
 * algorithm or use: in a set it is passed over, RFC 7517 section 5); LK_REFUSED. */
LK_CHECKED lk_status lk__jwk_describe(lk_view object, lk__jwk *out, lk_note *note);

/* The string member NAME, unescaped, appended to OUT. LK_OK; LK_MISS; LK_REFUSED when it is no string or does
 * not fit. */
LK_CHECKED lk_status lk__jwk_text(lk_view object, const char *name, lk_buf *out, lk_note *note);

/* The member NAME as base64url of 1 to CAP bytes; *len receives how many. LK_OK; LK_REFUSED with a note. */
LK_CHECKED lk_status lk__jwk_bytes(lk_view object, const char *name, uint8_t *out, size_t cap, size_t *len,
                                   lk_note *note);

/* The member NAME as base64url of exactly LEN bytes. */
LK_CHECKED lk_status lk__jwk_exact(lk_view object, const char *name, uint8_t *out, size_t len, lk_note *note);

/* Is JSON, which has been checked, an object? */
bool lk__jwk_is_object(lk_view json);

/* Does OBJECT have a member by which a key of any type gives its secret away? */
bool lk__jwk_has_secret(lk_view object);

/* Append `"NAME":"base64url of V"`. */
void lk__jwk_add_bytes(lk_buf *out, const char *name, lk_view v);

/* Append `"NAME":"TEXT"`; both are ours and need no escapes. */
void lk__jwk_add_text(lk_buf *out, const char *name, const char *text);

/* Append, each with a comma before it, the members of OBJECT in NAMES (ends with NULL) as they are. */
void lk__jwk_add_members(lk_buf *out, lk_view object, const char *const *names);

#endif
