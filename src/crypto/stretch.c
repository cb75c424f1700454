/* SPDX-License-Identifier: Apache-2.0
 *
 * stretch.c - argon2id by libsodium, with one lane.
 */
#include "crypto/stretch.h"
#include <sodium.h>

#define KEY_LEN 32
#define MEMORY_MIN 8 /* KiB; what argon2 takes at least */

_Static_assert(LK_STRETCH_SALT_LEN == crypto_pwhash_SALTBYTES,
               "libsodium's argon2id takes salts of 16 bytes");

lk_status lk_stretch(lk_view secret, const uint8_t salt[LK_STRETCH_SALT_LEN], uint32_t memory_kib,
                     uint32_t passes, lk_secret *out)
{
    lk_secret_wipe(out);
    if (memory_kib < MEMORY_MIN || memory_kib > LK_STRETCH_MEMORY_MAX || passes == 0 ||
        passes > LK_STRETCH_PASSES_MAX)
        return LK_REFUSED;
    if (sodium_init() < 0 ||
        crypto_pwhash(out->bytes, KEY_LEN, (const char *)secret.p, secret.len, salt, passes,
                      (size_t)memory_kib * 1024, crypto_pwhash_ALG_ARGON2ID13) != 0)
        return LK_FAULT;
    out->len = KEY_LEN;
    return LK_OK;
}
