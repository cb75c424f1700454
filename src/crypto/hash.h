/* SPDX-License-Identifier: Apache-2.0
 *
 * hash.h - SHA-256 of public bytes, for thumbprints.
 */
#ifndef LATCHKEY_CRYPTO_HASH_H
#define LATCHKEY_CRYPTO_HASH_H

#include <latchkey/bytes.h>

#define LK_SHA256_LEN 32

/* No allocation. LK_OK; LK_FAULT. */
LK_CHECKED lk_status lk_sha256(lk_view v, uint8_t out[LK_SHA256_LEN]);

#endif
