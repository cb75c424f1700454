/* SPDX-License-Identifier: Apache-2.0
 *
 * seal.h - authenticated encryption with a key of its own for each box: AES-256-GCM under HKDF-SHA256.
 */
#ifndef LATCHKEY_CRYPTO_SEAL_H
#define LATCHKEY_CRYPTO_SEAL_H

#include "crypto/mac.h"

#define LK_SEAL_SALT_LEN 24
#define LK_SEAL_TAG_LEN 16
#define LK_SEAL_EXTRA (LK_SEAL_SALT_LEN + LK_SEAL_TAG_LEN) /* a box is so much longer than what is in it */
#define LK_SEAL_MAX (1 << 20)                              /* bytes in a box, and bytes it is bound to */

/* Encrypt the LEN bytes at TEXT where they are, under the key that KEY and SALT give, and bind them to BOUND,
 * which is not in the box. SALT is 24 fresh random bytes: one that is used twice gives both texts away. TAG
 * proves all of it.
 * Gives:  LK_OK; LK_FULL above LK_SEAL_MAX; LK_FAULT when the crypto library fails; then TEXT is wiped.
 * Leaks:  the lengths.
 * Thread: any number may use one KEY.
 * Source: NIST SP 800-38D, RFC 5869 section 2.3, docs/formats/sealed.md */
LK_CHECKED lk_status lk_seal(const lk_mac *key, const uint8_t salt[LK_SEAL_SALT_LEN], lk_view bound,
                             uint8_t *text, size_t len, uint8_t tag[LK_SEAL_TAG_LEN]);

/* The other way. LK_OK; LK_REFUSED when a bit of key, salt, bound, text or tag is not that of the box,
 * without a word which; LK_FULL; LK_FAULT. On anything but LK_OK, TEXT is wiped: what is not proved is not
 * seen. */
LK_CHECKED lk_status lk_unseal(const lk_mac *key, const uint8_t salt[LK_SEAL_SALT_LEN], lk_view bound,
                               uint8_t *text, size_t len, const uint8_t tag[LK_SEAL_TAG_LEN]);

#endif
