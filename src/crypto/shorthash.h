/* SPDX-License-Identifier: Apache-2.0
 *
 * shorthash.h - a short keyed hash for tables: SipHash-2-4 with 128 bits.
 *
 * It keeps strangers from choosing keys that collide. It is not a MAC for anything that is trusted later: use
 * mac.h for that.
 */
#ifndef LATCHKEY_CRYPTO_SHORTHASH_H
#define LATCHKEY_CRYPTO_SHORTHASH_H

#include <latchkey/bytes.h>

#define LK_SHORTHASH_KEY_LEN 16
#define LK_SHORTHASH_LEN 16

/* Hash V under KEY. Cannot fail; no allocation; safe from any thread. */
void lk_shorthash(const uint8_t key[LK_SHORTHASH_KEY_LEN], lk_view v, uint8_t out[LK_SHORTHASH_LEN]);

#endif
