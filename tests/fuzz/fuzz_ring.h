/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_ring.h - a keyring of one HS256 key that the targets know too, so that they can sign what they make
 * up.
 */
#ifndef LATCHKEY_TESTS_FUZZ_RING_H
#define LATCHKEY_TESTS_FUZZ_RING_H

#include "fuzz.h"
#include <latchkey/credential.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#define FUZZ_NOW_S 1800000000
#define FUZZ_KID "k1"

/* The bytes of the key: 0x00, 0x01, ... 0x1f. */
static inline lk_view fuzz_key(void)
{
    static const uint8_t key[32] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11, 12, 13, 14, 15,
                                    16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26, 27, 28, 29, 30, 31};

    return lk_view_make(key, sizeof(key));
}

/* Made at the first call, kept for the life of the program. */
static inline const lk_keyring *fuzz_ring(void)
{
    static lk_keyring *ring;

    if (ring == NULL)
        MUST(lk_keyring_from_jwk(lk_env_system(),
                                 LK_VIEW("{\"kty\":\"oct\",\"alg\":\"HS256\",\"kid\":\"" FUZZ_KID "\",\"k\":"
                                         "\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\"}"),
                                 &ring, NULL) == LK_OK);
    return ring;
}

/* HMAC-SHA256 by OpenSSL's own one-shot function: not the code that is tried here. */
static inline void fuzz_hmac(lk_view key, lk_view text, uint8_t out[32])
{
    unsigned len = 0;

    MUST(HMAC(EVP_sha256(), key.p, (int)key.len, text.p, text.len, out, &len) != NULL && len == 32);
}

/* Is C as it was made zero? What is not genuine leaves nothing behind. */
static inline bool fuzz_claims_are_empty(const lk_claims *c)
{
    return c->user.len == 0 && c->issuer.len == 0 && c->audience.len == 0 && c->roles.len == 0 &&
           c->scope.len == 0 && c->id.len == 0 && c->expires_s == 0 && c->issued_s == 0 && !c->has_session;
}

#endif
