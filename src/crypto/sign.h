/* SPDX-License-Identifier: Apache-2.0
 *
 * sign.h - signatures with a key pair: Ed25519 (RFC 8032), ECDSA on P-256 and RSASSA-PKCS1-v1_5, both with
 * SHA-256.
 *
 * A key that checks and a key that makes are different types; there is no way from the first to the second.
 * Everything that can be looked up or computed once per key is done when the key is read, so that a check
 * costs what the mathematics costs.
 */
#ifndef LATCHKEY_CRYPTO_SIGN_H
#define LATCHKEY_CRYPTO_SIGN_H

#include <latchkey/env.h>
#include <latchkey/secret.h>

/* --- Ed25519, by libsodium -------------------------------------------------------------------------------
 */
#define LK_ED25519_SEED_LEN 32
#define LK_ED25519_SECRET_LEN 64 /* the seed and the public key, as libsodium wants them */
#define LK_ED25519_PUBLIC_LEN 32
#define LK_ED25519_SIGNATURE_LEN 64

/* Compute both halves from SEED. LK_OK; LK_FAULT. Wipe SECRET when done. */
LK_CHECKED lk_status lk_ed25519_expand(const uint8_t seed[LK_ED25519_SEED_LEN],
                                       uint8_t secret[LK_ED25519_SECRET_LEN],
                                       uint8_t public_key[LK_ED25519_PUBLIC_LEN]);

/* Is it the canonical encoding of a point of the main subgroup? A point of small order would verify one
 * signature for every message. */
bool lk_ed25519_is_public(const uint8_t public_key[LK_ED25519_PUBLIC_LEN]);

LK_CHECKED lk_status lk_ed25519_sign(const uint8_t secret[LK_ED25519_SECRET_LEN], lk_view message,
                                     uint8_t signature[LK_ED25519_SIGNATURE_LEN]);

/* LK_OK; LK_REFUSED for a wrong signature, a wrong length, an S that is not below the group order. No
 * allocation; any number of threads. */
LK_CHECKED lk_status lk_ed25519_verify(const uint8_t public_key[LK_ED25519_PUBLIC_LEN], lk_view message,
                                       lk_view signature);

/* --- ECDSA and RSA, by OpenSSL ---------------------------------------------------------------------------
 */
typedef struct lk_public_key lk_public_key;   /* checks */
typedef struct lk_private_key lk_private_key; /* makes */

void lk_public_key_free(lk_public_key *key);   /* NULL is fine */
void lk_private_key_free(lk_private_key *key); /* NULL is fine; wipes */

/* Sign MESSAGE; the raw signature is appended to OUT. LK_OK; LK_FULL; LK_FAULT. Any number of threads. */
LK_CHECKED lk_status lk_private_key_sign(const lk_private_key *key, lk_view message, lk_buf *out);

/* LK_OK; LK_REFUSED for a wrong signature, a wrong length, r or s out of range; LK_FAULT when OpenSSL fails.
 * Any number of threads may use one KEY: each check takes a prepared context out of the key and puts it back.
 */
LK_CHECKED lk_status lk_public_key_verify(const lk_public_key *key, lk_view message, lk_view signature);

/* ECDSA on P-256 with SHA-256. Signatures are R||S, 64 bytes (RFC 7518 section 3.4); DER is refused by its
 * length or its range. */
#define LK_P256_LEN 32

/* LK_OK; LK_REFUSED when (x, y) is no point of the curve; LK_FAULT. */
LK_CHECKED lk_status lk_p256_public(const lk_env *env, const uint8_t x[LK_P256_LEN],
                                    const uint8_t y[LK_P256_LEN], lk_public_key **out);
/* LK_OK; LK_REFUSED when d is out of range or does not belong to (x, y); LK_FAULT. */
LK_CHECKED lk_status lk_p256_private(const lk_env *env, const uint8_t x[LK_P256_LEN],
                                     const uint8_t y[LK_P256_LEN], const uint8_t d[LK_P256_LEN],
                                     lk_private_key **out);
/* A fresh pair, from OpenSSL's generator. LK_OK; LK_FAULT. */
LK_CHECKED lk_status lk_p256_generate(uint8_t x[LK_P256_LEN], uint8_t y[LK_P256_LEN], uint8_t d[LK_P256_LEN]);

/* RSASSA-PKCS1-v1_5 with SHA-256. */
#define LK_RSA_BITS_MIN 2048 /* RFC 7518 section 3.3 */
#define LK_RSA_BITS_MAX 4096 /* a check's time grows with the square of it */
#define LK_RSA_LEN_MAX (LK_RSA_BITS_MAX / 8)

/* The numbers of a key in the order of RFC 7518 section 6.3; a public key has the first two. */
typedef enum lk_rsa_index {
    LK_RSA_N,
    LK_RSA_E,
    LK_RSA_PUBLIC_COUNT,
    LK_RSA_D = LK_RSA_PUBLIC_COUNT,
    LK_RSA_P,
    LK_RSA_Q,
    LK_RSA_DP,
    LK_RSA_DQ,
    LK_RSA_QI,
    LK_RSA_COUNT
} lk_rsa_index;

/* Big-endian, without leading zeros. Wipe it when it holds a private key. */
typedef struct lk_rsa_numbers {
    struct {
        uint8_t bytes[LK_RSA_LEN_MAX];
        size_t len;
    } of[LK_RSA_COUNT];
} lk_rsa_numbers;

/* LK_OK; LK_REFUSED with the rule in the note: size out of bounds, n even, e even, 1 or above 64 bits;
 * LK_FAULT. */
LK_CHECKED lk_status lk_rsa_public(const lk_env *env, const lk_rsa_numbers *numbers, lk_public_key **out,
                                   lk_note *note);
LK_CHECKED lk_status lk_rsa_private(const lk_env *env, const lk_rsa_numbers *numbers, lk_private_key **out,
                                    lk_note *note);
/* A fresh key of BITS with e = 65537, from OpenSSL's generator. LK_OK; LK_REFUSED; LK_FAULT. */
LK_CHECKED lk_status lk_rsa_generate(unsigned bits, lk_rsa_numbers *out);

#endif
