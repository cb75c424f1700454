/* SPDX-License-Identifier: Apache-2.0
 *
 * table_hash.h - where a key or an owner goes: SipHash-1-3 under the secret of the table, inline, as every
 * look-up pays for it. The 128-bit names that callers see come from crypto/shorthash.h.
 */
#ifndef LATCHKEY_SHM_TABLE_HASH_H
#define LATCHKEY_SHM_TABLE_HASH_H

#include <stdint.h>

static inline uint64_t lk__turn(uint64_t x, unsigned bits)
{
    return x << bits | x >> (64 - bits);
}

static inline void lk__sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = lk__turn(v[1], 13) ^ v[0];
    v[0] = lk__turn(v[0], 32);
    v[2] += v[3];
    v[3] = lk__turn(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = lk__turn(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = lk__turn(v[1], 17) ^ v[2];
    v[2] = lk__turn(v[2], 32);
}

/* SipHash-1-3 of A, B and the byte C (17 bytes). Source: Aumasson and Bernstein, "SipHash: a fast short-input
 * PRF", 2012, with one compression and three finalisation rounds. */
static inline uint64_t lk__sip17(const uint64_t key[2], uint64_t a, uint64_t b, uint8_t c)
{
    uint64_t v[4] = {key[0] ^ 0x736f6d6570736575ull, key[1] ^ 0x646f72616e646f6dull,
                     key[0] ^ 0x6c7967656e657261ull, key[1] ^ 0x7465646279746573ull};
    const uint64_t m[3] = {a, b, 17ull << 56 | c};
    for (unsigned i = 0; i < 3; i++) {
        v[3] ^= m[i];
        lk__sip_round(v);
        v[0] ^= m[i];
    }
    v[2] ^= 0xff;
    lk__sip_round(v);
    lk__sip_round(v);
    lk__sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

#endif
