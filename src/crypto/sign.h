/* SPDX-License-Identifier: Apache-2.0
 *
 * sign.h - signatures with a key pair: Ed25519 and Ed448 (RFC 8032), ECDSA (RFC 7518 section 3.4),
 * RSASSA-PKCS1-v1_5 and RSASSA-PSS (sections 3.3 and 3.5).
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

/* --- Ed448, ECDSA and RSA, by OpenSSL --------------------------------------------------------------------
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

/* Ed448, with an empty context (RFC 8032 section 5.2). It hashes the message itself, so each check makes a
 * context: 150 us of mathematics hide it. */
#define LK_ED448_LEN 57 /* of the seed and of the public key */
#define LK_ED448_SIGNATURE_LEN 114

/* LK_OK; LK_REFUSED when X is no canonical encoding of a point of the curve or one of small order, which
 * would verify one signature for every message; LK_FAULT. */
LK_CHECKED lk_status lk_ed448_public(const lk_env *env, const uint8_t x[LK_ED448_LEN], lk_public_key **out);
/* LK_OK; LK_REFUSED when SEED does not belong to X; LK_FAULT. */
LK_CHECKED lk_status lk_ed448_private(const lk_env *env, const uint8_t x[LK_ED448_LEN],
                                      const uint8_t seed[LK_ED448_LEN], lk_private_key **out);
/* The public key that belongs to SEED. LK_OK; LK_FAULT. */
LK_CHECKED lk_status lk_ed448_expand(const uint8_t seed[LK_ED448_LEN], uint8_t x[LK_ED448_LEN]);

/* ECDSA: P-256 with SHA-256, P-384 with SHA-384, P-521 with SHA-512, and no other pairs. Signatures are R||S,
 * each as long as a coordinate; DER is refused by its length or its range. */
typedef enum lk_curve { LK_CURVE_P256, LK_CURVE_P384, LK_CURVE_P521 } lk_curve;
#define LK_EC_LEN_MAX 66 /* of a coordinate, on P-521 */

/* Bytes of a coordinate and of a private number: 32, 48 or 66. */
size_t lk_ec_len(lk_curve curve);

/* LK_OK; LK_REFUSED when (x, y) is no point of the curve; LK_FAULT. */
LK_CHECKED lk_status lk_ec_public(const lk_env *env, lk_curve curve, const uint8_t *x, const uint8_t *y,
                                  lk_public_key **out);
/* LK_OK; LK_REFUSED when d is out of range or does not belong to (x, y); LK_FAULT. */
LK_CHECKED lk_status lk_ec_private(const lk_env *env, lk_curve curve, const uint8_t *x, const uint8_t *y,
                                   const uint8_t *d, lk_private_key **out);
/* A fresh pair, from OpenSSL's generator. LK_OK; LK_FAULT. */
LK_CHECKED lk_status lk_ec_generate(lk_curve curve, uint8_t *x, uint8_t *y, uint8_t *d);

/* RSA: RSASSA-PKCS1-v1_5, and RSASSA-PSS with a salt as long as the hash and MGF1 over the same hash. */
typedef enum lk_rsa_kind {
    LK_RSA_RS256,
    LK_RSA_RS384,
    LK_RSA_RS512,
    LK_RSA_PS256,
    LK_RSA_PS384,
    LK_RSA_PS512
} lk_rsa_kind;
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

/* Does the modulus carry the mark of the Infineon library whose keys can be factored (ROCA, CVE-2017-15361)?
 * A sound key of 2048 bits has it by chance once in more than 2^150. */
bool lk_rsa_is_roca(const uint8_t *n, size_t len);

/* LK_OK; LK_REFUSED with the rule in the note: size out of bounds, n even or of the weak library above, e
 * even, 1 or above 64 bits; LK_FAULT. */
LK_CHECKED lk_status lk_rsa_public(const lk_env *env, lk_rsa_kind kind, const lk_rsa_numbers *numbers,
                                   lk_public_key **out, lk_note *note);
LK_CHECKED lk_status lk_rsa_private(const lk_env *env, lk_rsa_kind kind, const lk_rsa_numbers *numbers,
                                    lk_private_key **out, lk_note *note);
/* A fresh key of BITS with e = 65537, from OpenSSL's generator. LK_OK; LK_REFUSED; LK_FAULT. */
LK_CHECKED lk_status lk_rsa_generate(unsigned bits, lk_rsa_numbers *out);

#endif
