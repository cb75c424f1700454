/* SPDX-License-Identifier: Apache-2.0
 *
 * derive.h - one secret in, many purposes out: HKDF-SHA256 (RFC 5869).
 */
#ifndef LATCHKEY_CRYPTO_DERIVE_H
#define LATCHKEY_CRYPTO_DERIVE_H

#include <latchkey/secret.h>

/* Stretch ROOT for LABEL into LEN bytes (1..64), no salt. LK_OK; LK_REFUSED for a root under 32 bytes or a
 * bad LEN; LK_FAULT. */
LK_CHECKED lk_status lk_derive(lk_view root, lk_view label, lk_secret *out, size_t len);

#endif
