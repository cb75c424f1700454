/* SPDX-License-Identifier: Apache-2.0
 *
 * shorthash.c - SipHash-2-4-128 by libsodium.
 */
#include "crypto/shorthash.h"
#include <sodium.h>

_Static_assert(LK_SHORTHASH_KEY_LEN == crypto_shorthash_siphashx24_KEYBYTES, "key of SipHash");
_Static_assert(LK_SHORTHASH_LEN == crypto_shorthash_siphashx24_BYTES, "128 bits of SipHash");

void lk_shorthash(const uint8_t key[LK_SHORTHASH_KEY_LEN], lk_view v, uint8_t out[LK_SHORTHASH_LEN])
{
    /* It has no failure and needs no sodium_init: plain computation on its arguments. */
    (void)crypto_shorthash_siphashx24(out, v.p, v.len, key);
}
