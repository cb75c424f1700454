/* SPDX-License-Identifier: Apache-2.0
 *
 * pem.h - the numbers of a key in PEM (RFC 7468), by OpenSSL.
 */
#ifndef LATCHKEY_CRYPTO_PEM_H
#define LATCHKEY_CRYPTO_PEM_H

#include "crypto/sign.h"

#define LK_PEM_MAX 16384 /* bytes of text; an RSA key of 4096 bits has about 3,300 */

typedef enum lk_pem_type {
    LK_PEM_RSA,
    LK_PEM_P256,
    LK_PEM_P384,
    LK_PEM_P521,
    LK_PEM_ED25519,
    LK_PEM_ED448
} lk_pem_type;

/* Wipe it when done. */
typedef struct lk_pem_key {
    lk_pem_type type;
    bool is_private;
    size_t len;         /* of x, y and d; 0 for RSA */
    lk_rsa_numbers rsa; /* of a public key the first LK_RSA_PUBLIC_COUNT */
    uint8_t x[LK_EC_LEN_MAX], y[LK_EC_LEN_MAX], d[LK_EC_LEN_MAX]; /* Ed*: no y, and d is the seed */
} lk_pem_key;

/* Read the one key in TEXT: "PUBLIC KEY", "PRIVATE KEY", "EC PRIVATE KEY", "RSA PUBLIC KEY" or "RSA PRIVATE
 * KEY"; other text around it is passed over, as is a block "EC PARAMETERS". Whether the key is weak is not
 * looked at. LK_OK; LK_REFUSED with the rule in the note: no key or several, encrypted, a certificate, bytes
 * behind the key, another type; LK_FAULT. */
LK_CHECKED lk_status lk_pem_read(lk_view text, lk_pem_key *out, lk_note *note);

#endif
