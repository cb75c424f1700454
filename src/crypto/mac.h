/* SPDX-License-Identifier: Apache-2.0
 *
 * mac.h - HMAC-SHA256 from a prepared key: the two padded blocks are hashed once, each use copies the state.
 */
#ifndef LATCHKEY_CRYPTO_MAC_H
#define LATCHKEY_CRYPTO_MAC_H

#include <latchkey/secret.h>

#define LK_MAC_LEN 32
#define LK_MAC_STATE_LEN 256

/* A prepared key. Plain bytes: may be copied, lives where the caller puts it, wiped with lk_mac_wipe. */
typedef struct lk_mac {
    _Alignas(16) uint8_t state[LK_MAC_STATE_LEN];
} lk_mac;

/* Prepare KEY (1 to 1024 bytes). LK_OK; LK_REFUSED for an empty or longer key; LK_FAULT. */
LK_CHECKED lk_status lk_mac_init(lk_mac *mac, lk_view key);
void lk_mac_wipe(lk_mac *mac);

/* HMAC over the concatenation of PARTS. No allocation; any number of threads may use one MAC. Source: RFC
 * 2104, RFC 6234. */
LK_CHECKED lk_status lk_mac_run(const lk_mac *mac, const lk_view *parts, size_t n, uint8_t out[LK_MAC_LEN]);

#endif
