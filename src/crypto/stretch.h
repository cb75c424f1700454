/* SPDX-License-Identifier: Apache-2.0
 *
 * stretch.h - a secret that a person may have chosen becomes a key: argon2id.
 */
#ifndef LATCHKEY_CRYPTO_STRETCH_H
#define LATCHKEY_CRYPTO_STRETCH_H

#include <latchkey/secret.h>

#define LK_STRETCH_SALT_LEN 16
#define LK_STRETCH_MEMORY_MAX (256 * 1024) /* KiB: what a file may ask of who opens it */
#define LK_STRETCH_PASSES_MAX 16

/* Stretch SECRET into 32 bytes. LK_OK; LK_REFUSED when the cost is above the bounds or below what argon2id
 * takes; LK_FAULT when memory is short. Leaks: the length of SECRET. Source: RFC 9106. */
LK_CHECKED lk_status lk_stretch(lk_view secret, const uint8_t salt[LK_STRETCH_SALT_LEN], uint32_t memory_kib,
                                uint32_t passes, lk_secret *out);

#endif
