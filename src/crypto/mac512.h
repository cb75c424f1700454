/* SPDX-License-Identifier: Apache-2.0
 *
 * mac512.h - HMAC-SHA384 and HMAC-SHA512 from a prepared key, for HS384 and HS512. Like mac.h, which stays
 * apart because it is in the way of every request and has a state of half the size.
 */
#ifndef LATCHKEY_CRYPTO_MAC512_H
#define LATCHKEY_CRYPTO_MAC512_H

#include <latchkey/secret.h>

#define LK_MAC384_LEN 48
#define LK_MAC512_LEN 64
#define LK_MAC512_STATE_LEN 448

/* A prepared key. Plain bytes: may be copied, lives where the caller puts it, wiped with lk_mac512_wipe. */
typedef struct lk_mac512 {
    _Alignas(16) uint8_t state[LK_MAC512_STATE_LEN];
} lk_mac512;

/* Prepare KEY (1 to 1024 bytes) for tags of LEN bytes: LK_MAC384_LEN or LK_MAC512_LEN, which says which hash.
 * LK_OK; LK_REFUSED for an empty or longer key or another LEN; LK_FAULT. */
LK_CHECKED lk_status lk_mac512_init(lk_mac512 *mac, size_t len, lk_view key);
void lk_mac512_wipe(lk_mac512 *mac);

/* HMAC over MESSAGE; as many bytes of OUT are filled as the key was prepared for. No allocation; any number
 * of threads may use one MAC. Source: RFC 2104, RFC 6234. */
LK_CHECKED lk_status lk_mac512_run(const lk_mac512 *mac, lk_view message, uint8_t out[LK_MAC512_LEN]);

#endif
