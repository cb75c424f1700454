/* SPDX-License-Identifier: Apache-2.0
 *
 * peers.h - the C libraries for JWT that Debian packages, each used as its own documentation shows: signature
 * of an HS256 token, and then issuer, audience and expiry.
 */
#ifndef LATCHKEY_BENCH_PEERS_H
#define LATCHKEY_BENCH_PEERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One library. It may prepare the key once, as ours does. */
typedef struct bench_peer {
    const char *name;
    bool (*prepare)(const uint8_t *key, size_t len);
    /* Is TOKEN right, of ISSUER and for AUDIENCE, and not over at NOW_S? */
    bool (*check)(const char *token, size_t len, const char *issuer, const char *audience, int64_t now_s);
} bench_peer;

extern const bench_peer bench_libjwt, bench_rhonabwy, bench_cjose, bench_jose;

#endif
