/* SPDX-License-Identifier: Apache-2.0
 *
 * mac.c - HMAC-SHA256 from a prepared key.
 *
 * Layout of lk_mac.state: the SHA-256 state after the inner padded block, then the one after the outer padded
 * block (RFC 2104 section 4). Using a key is then two copies and two finals, without memory and without a
 * lock.
 */

/* SHA256_* are deprecated since OpenSSL 3.0 for EVP, which allocates or needs a context per thread to do what
 * a copy of 112 bytes does here; measured in docs/decisions/0001-prepared-hmac.md. */
#define OPENSSL_SUPPRESS_DEPRECATED

#include "crypto/mac.h"
#include <endian.h>
#include <openssl/sha.h>
#include <string.h>

#define KEY_MAX 1024
#define INNER_PAD 0x36
#define OUTER_PAD 0x5c
#define SHORT_MAX (SHA256_CBLOCK - 1 - sizeof(uint64_t)) /* what one block holds beside its padding */

typedef struct prepared {
    SHA256_CTX inner;
    SHA256_CTX outer;
} prepared;

_Static_assert(sizeof(prepared) <= LK_MAC_STATE_LEN, "lk_mac holds two SHA-256 states");
_Static_assert(_Alignof(prepared) <= _Alignof(lk_mac), "lk_mac is aligned for a SHA-256 state");

/* Start CTX with the padded key block. */
static bool start(SHA256_CTX *ctx, const uint8_t key[SHA256_CBLOCK], uint8_t pad)
{
    uint8_t block[SHA256_CBLOCK];
    bool done;

    for (size_t i = 0; i < sizeof(block); i++)
        block[i] = key[i] ^ pad;
    done = SHA256_Init(ctx) == 1 && SHA256_Update(ctx, block, sizeof(block)) == 1;
    lk_wipe(block, sizeof(block));
    return done;
}

lk_status lk_mac_init(lk_mac *mac, lk_view key)
{
    uint8_t block[SHA256_CBLOCK] = {0};
    lk_status status = LK_FAULT;
    prepared both;

    if (key.len == 0 || key.len > KEY_MAX)
        return LK_REFUSED;
    memset(&both, 0, sizeof(both));
    if (key.len <= sizeof(block))
        memcpy(block, key.p, key.len);
    else if (SHA256(key.p, key.len, block) == NULL)
        goto out;
    if (!start(&both.inner, block, INNER_PAD) || !start(&both.outer, block, OUTER_PAD))
        goto out;
    memset(mac->state, 0, sizeof(mac->state));
    memcpy(mac->state, &both, sizeof(both));
    status = LK_OK;
out:
    lk_wipe(block, sizeof(block));
    lk_wipe(&both, sizeof(both));
    return status;
}

void lk_mac_wipe(lk_mac *mac)
{
    lk_wipe(mac, sizeof(*mac));
}

/* The states can replace the key for this message's length, and the inner digest helps a forger: one piece,
 * wiped at once. */
typedef struct short_room {
    SHA256_CTX ctx;
    uint8_t block[SHA256_CBLOCK];
} short_room;

/* Close the block with LEN bytes of a message of which one block went before, and run it from FROM. */
static void run_block(short_room *s, const SHA256_CTX *from, size_t len)
{
    uint64_t bits = htobe64((SHA256_CBLOCK + len) * 8);

    memset(s->block + len, 0, sizeof(s->block) - len);
    s->block[len] = 0x80;
    memcpy(s->block + sizeof(s->block) - sizeof(bits), &bits, sizeof(bits));
    memcpy(s->ctx.h, from->h, sizeof(s->ctx.h));
    SHA256_Transform(&s->ctx, s->block);
}

static void digest_of(const short_room *s, uint8_t out[SHA256_DIGEST_LENGTH])
{
    for (size_t i = 0; i < SHA256_DIGEST_LENGTH / 4; i++) {
        uint32_t word = htobe32((uint32_t)s->ctx.h[i]);

        memcpy(out + 4 * i, &word, sizeof(word));
    }
}

/* A session id and its like, looked at in every request: two blocks and nothing around them, a quarter less
 * time than by SHA256_Update and SHA256_Final. */
static void run_short(const prepared *both, lk_view message, uint8_t out[LK_MAC_LEN])
{
    short_room s;

    if (message.len > 0)
        memcpy(s.block, message.p, message.len);
    run_block(&s, &both->inner, message.len);
    digest_of(&s, s.block);
    run_block(&s, &both->outer, SHA256_DIGEST_LENGTH);
    digest_of(&s, out);
    lk_wipe(&s, sizeof(s));
}

static lk_status run_long(const prepared *from, const lk_view *parts, size_t n, uint8_t out[LK_MAC_LEN])
{
    struct {
        prepared both;
        uint8_t inner[SHA256_DIGEST_LENGTH];
    } s = {.both = *from};
    lk_status status = LK_FAULT;

    for (size_t i = 0; i < n; i++) {
        if (SHA256_Update(&s.both.inner, parts[i].p, parts[i].len) != 1)
            goto out;
    }
    if (SHA256_Final(s.inner, &s.both.inner) != 1 ||
        SHA256_Update(&s.both.outer, s.inner, sizeof(s.inner)) != 1 || SHA256_Final(out, &s.both.outer) != 1)
        goto out;
    status = LK_OK;
out:
    lk_wipe(&s, sizeof(s));
    if (status != LK_OK)
        lk_wipe(out, LK_MAC_LEN);
    return status;
}

lk_status lk_mac_run(const lk_mac *mac, const lk_view *parts, size_t n, uint8_t out[LK_MAC_LEN])
{
    const prepared *both = (const prepared *)(const void *)mac->state;

    if (n == 1 && parts[0].len <= SHORT_MAX) {
        run_short(both, parts[0], out);
        return LK_OK;
    }
    return run_long(both, parts, n, out);
}
