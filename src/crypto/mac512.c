/* SPDX-License-Identifier: Apache-2.0
 *
 * mac512.c - HMAC-SHA384 and HMAC-SHA512 from a prepared key.
 *
 * Layout of lk_mac512.state: the state after the inner padded block, then the one after the outer padded
 * block (RFC 2104 section 4). SHA-384 is SHA-512 from other starting values and cut off, and the state knows
 * which.
 */

/* Deprecated since OpenSSL 3.0, and used for the reason given in mac.c. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "crypto/mac512.h"
#include <openssl/sha.h>
#include <string.h>

#define KEY_MAX 1024
#define INNER_PAD 0x36
#define OUTER_PAD 0x5c

typedef struct prepared {
    SHA512_CTX inner;
    SHA512_CTX outer;
} prepared;

_Static_assert(sizeof(prepared) <= LK_MAC512_STATE_LEN, "lk_mac512 holds two SHA-512 states");
_Static_assert(_Alignof(prepared) <= _Alignof(lk_mac512), "lk_mac512 is aligned for a SHA-512 state");

/* Start CTX with the padded key block. */
static bool start(SHA512_CTX *ctx, size_t len, const uint8_t key[SHA512_CBLOCK], uint8_t pad)
{
    uint8_t block[SHA512_CBLOCK];
    bool done;

    for (size_t i = 0; i < sizeof(block); i++)
        block[i] = key[i] ^ pad;
    done = (len == LK_MAC384_LEN ? SHA384_Init(ctx) : SHA512_Init(ctx)) == 1 &&
           SHA512_Update(ctx, block, sizeof(block)) == 1;
    lk_wipe(block, sizeof(block));
    return done;
}

/* A key longer than a block is hashed first (RFC 2104 section 2). */
static bool fill_block(lk_view key, size_t len, uint8_t block[SHA512_CBLOCK])
{
    if (key.len > SHA512_CBLOCK)
        return (len == LK_MAC384_LEN ? SHA384(key.p, key.len, block) : SHA512(key.p, key.len, block)) != NULL;
    memcpy(block, key.p, key.len);
    return true;
}

lk_status lk_mac512_init(lk_mac512 *mac, size_t len, lk_view key)
{
    uint8_t block[SHA512_CBLOCK] = {0};
    lk_status status = LK_FAULT;
    prepared both;

    if (key.len == 0 || key.len > KEY_MAX || (len != LK_MAC384_LEN && len != LK_MAC512_LEN))
        return LK_REFUSED;
    memset(&both, 0, sizeof(both));
    if (fill_block(key, len, block) && start(&both.inner, len, block, INNER_PAD) &&
        start(&both.outer, len, block, OUTER_PAD)) {
        memset(mac->state, 0, sizeof(mac->state));
        memcpy(mac->state, &both, sizeof(both));
        status = LK_OK;
    }
    lk_wipe(block, sizeof(block));
    lk_wipe(&both, sizeof(both));
    return status;
}

void lk_mac512_wipe(lk_mac512 *mac)
{
    lk_wipe(mac, sizeof(*mac));
}

lk_status lk_mac512_run(const lk_mac512 *mac, lk_view message, uint8_t out[LK_MAC512_LEN])
{
    struct {
        prepared both;
        uint8_t inner[SHA512_DIGEST_LENGTH];
    } s = {.both = *(const prepared *)(const void *)mac->state};
    size_t len = s.both.inner.md_len;
    lk_status status = LK_FAULT;

    if (SHA512_Update(&s.both.inner, message.p, message.len) == 1 &&
        SHA512_Final(s.inner, &s.both.inner) == 1 && SHA512_Update(&s.both.outer, s.inner, len) == 1 &&
        SHA512_Final(out, &s.both.outer) == 1)
        status = LK_OK;
    lk_wipe(&s, sizeof(s));
    if (status != LK_OK)
        lk_wipe(out, LK_MAC512_LEN);
    return status;
}
