/* SPDX-License-Identifier: Apache-2.0
 *
 * hash.c - SHA-256, by OpenSSL's one-shot function, which neither allocates nor looks anything up.
 */
#include "crypto/hash.h"
#include <openssl/sha.h>

lk_status lk_sha256(lk_view v, uint8_t out[LK_SHA256_LEN])
{
    return SHA256(v.p, v.len, out) != NULL ? LK_OK : LK_FAULT;
}
