/* SPDX-License-Identifier: Apache-2.0
 *
 * keyring_internal.h - what is inside a signer and a verifier, and the few parts of it the credentials need.
 */
#ifndef LATCHKEY_KEYRING_INTERNAL_H
#define LATCHKEY_KEYRING_INTERNAL_H

#include "crypto/mac.h"
#include "crypto/mac512.h"
#include "crypto/sign.h"
#include "keyring/algorithm.h"
#include <stdatomic.h>

#define LK__JOSE_HEADER_MAX 192 /* characters of our own protected header in base64url */
#define LK__JOSE_TYPE "at+jwt"  /* the type of the tokens we make for ourselves (RFC 9068 section 2.1) */

struct lk_verifier {
    const lk__algorithm *algorithm;
    char kid[LK_KID_MAX + 1];
    size_t kid_len;
    union {
        lk_mac mac;       /* HS256 */
        lk_mac512 mac512; /* HS384, HS512 */
        uint8_t ed25519[LK_ED25519_PUBLIC_LEN];
        lk_public_key *pair;
    } key;
    lk_mac token_mac; /* HS256 only: see lk__verifier_token_mac */
    lk_mac seal_mac;  /* likewise: see lk__verifier_seal_mac */
    char header[LK__JOSE_HEADER_MAX];
    size_t header_len;
    atomic_bool header_proven;
    lk_verifier *other; /* the same key under another algorithm it may be used with, or NULL; owned */
    atomic_uint_least64_t used_n; /* since lk_keyring_uses asked last */
};

struct lk_signer {
    const lk__algorithm *algorithm;
    char kid[LK_KID_MAX + 1];
    size_t kid_len;
    union {
        lk_mac mac;       /* HS256 */
        lk_mac512 mac512; /* HS384, HS512 */
        uint8_t ed25519[LK_ED25519_SECRET_LEN];
        lk_private_key *pair;
    } key;
    lk_mac token_mac;
    lk_mac seal_mac;
    char header[LK__JOSE_HEADER_MAX];
    size_t header_len;
    atomic_uint_least64_t used_n;
};

/* VERIFIER has proved something, SIGNER has signed something: for the counters of each key. */
void lk__verifier_count(const lk_verifier *verifier);
void lk__signer_count(const lk_signer *signer);

/* The key of the simple token under this kid, or NULL when the algorithm is not HS256. It is derived from the
 * HS256 key with a label of its own: else the text of a simple token and that of a JWS could be chosen so
 * that one signature is good for both. */
const lk_mac *lk__signer_token_mac(const lk_signer *signer);
const lk_mac *lk__verifier_token_mac(const lk_verifier *verifier);

/* The key from which the keys of sealed sessions are made under this kid, or NULL when the algorithm is not
 * HS256. Derived from the HS256 key with a label of its own, too. */
const lk_mac *lk__signer_seal_mac(const lk_signer *signer);
const lk_mac *lk__verifier_seal_mac(const lk_verifier *verifier);

/* The key with that KID, or the only one for an empty KID, as in lk_keyring_verifier, for the algorithm whose
 * JOSE name is ALG. *KNOWN says whether there is a key with that kid for any algorithm. The header of a token
 * names both; it can choose among the algorithms of a key, and bring none along. */
const lk_verifier *lk__keyring_verifier_for(const lk_keyring *ring, lk_view kid, lk_view alg, bool *known);

/* Append the protected header of a token made under KID: {"alg":...,"typ":TYPE,"kid":KID}. An empty TYPE is
 * left out. */
void lk__jose_header_write(lk_alg alg, lk_view type, lk_view kid, lk_buf *out);

/* That header for LK__JOSE_TYPE, in base64url; empty when the kid is too long for it. */
lk_view lk__signer_header(const lk_signer *signer);

/* The verifier whose own header has exactly this text, or NULL. The text names alg, typ and kid of that key
 * and nothing else, so to find it is to have read it - once lk__verifier_header_prove has been called for it
 * by the code that reads headers in full. */
const lk_verifier *lk__keyring_by_header(const lk_keyring *ring, lk_view header);
bool lk__verifier_header_is_proven(const lk_verifier *verifier);
void lk__verifier_header_prove(const lk_verifier *verifier);

#endif
