/* SPDX-License-Identifier: Apache-2.0
 *
 * seal.c - AES-256-GCM by OpenSSL, each box under a key of its own.
 *
 *   key of the box   HMAC-SHA256(key, "latchkey box 1" | salt | 0x01)    HKDF-Expand of 32 bytes
 *   nonce            12 bytes of 0x00
 *
 * A nonce must not come twice under one key. Here no key comes twice: it is made of 24 random bytes, so that
 * 2^64 boxes have a chance of 2^-65 to share one, where random nonces under one key allow 2^32 boxes. The
 * nonce then has nothing to add. docs/formats/sealed.md
 */
#include "crypto/seal.h"
#include <openssl/err.h>
#include <openssl/evp.h>
#include <stdatomic.h>

#define KEY_LEN 32
#define NONCE_LEN 12
#define IDLE_CONTEXTS 8 /* so many threads seal and open without making a context each time */

_Static_assert(KEY_LEN == LK_MAC_LEN, "one step of HKDF-Expand is the whole key");

/* Contexts that are set up for the cipher and not in use. OpenSSL looks an algorithm up by its name each time
 * a context is set up, which costs more than a session takes to open; here it is done once for each. */
static _Atomic(EVP_CIPHER_CTX *) idle[IDLE_CONTEXTS];

static EVP_CIPHER_CTX *make_context(void)
{
    EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
    EVP_CIPHER_CTX *ctx = cipher == NULL ? NULL : EVP_CIPHER_CTX_new();

    if (ctx != NULL && EVP_CipherInit_ex2(ctx, cipher, NULL, NULL, 1, NULL) != 1) {
        EVP_CIPHER_CTX_free(ctx);
        ctx = NULL;
    }
    EVP_CIPHER_free(cipher); /* the context holds on to it */
    return ctx;
}

static EVP_CIPHER_CTX *take_context(void)
{
    for (size_t i = 0; i < IDLE_CONTEXTS; i++) {
        EVP_CIPHER_CTX *ctx = atomic_exchange_explicit(&idle[i], NULL, memory_order_acquire);

        if (ctx != NULL)
            return ctx;
    }
    return make_context();
}

static void give_context(EVP_CIPHER_CTX *ctx)
{
    for (size_t i = 0; i < IDLE_CONTEXTS; i++) {
        EVP_CIPHER_CTX *empty = NULL;

        if (atomic_compare_exchange_strong_explicit(&idle[i], &empty, ctx, memory_order_release,
                                                    memory_order_relaxed))
            return;
    }
    EVP_CIPHER_CTX_free(ctx);
}

/* Set CTX up for the box with SALT and let it see BOUND. */
static bool begin(EVP_CIPHER_CTX *ctx, const lk_mac *mac, const uint8_t salt[LK_SEAL_SALT_LEN], lk_view bound,
                  bool seals)
{
    static const uint8_t nonce[NONCE_LEN], counter = 1;
    uint8_t info[64], key[KEY_LEN];
    lk_buf b = lk_buf_over(info, sizeof(info));
    bool done = false;
    lk_view message;
    int n;

    lk_buf_add(&b, LK_VIEW("latchkey box 1"));
    lk_buf_add(&b, lk_view_make(salt, LK_SEAL_SALT_LEN));
    lk_buf_add_byte(&b, counter);
    message = lk_buf_view(&b);
    if (lk_mac_run(mac, &message, 1, key) == LK_OK)
        done = EVP_CipherInit_ex2(ctx, NULL, key, nonce, seals, NULL) == 1;
    lk_wipe(key, sizeof(key));
    return done && (bound.len == 0 || EVP_CipherUpdate(ctx, NULL, &n, bound.p, (int)bound.len) == 1);
}

static bool run(EVP_CIPHER_CTX *ctx, uint8_t *text, size_t len)
{
    int n = 0;

    return len == 0 || (EVP_CipherUpdate(ctx, text, &n, text, (int)len) == 1 && (size_t)n == len);
}

static lk_status seal_with(EVP_CIPHER_CTX *ctx, uint8_t *text, size_t len, uint8_t tag[LK_SEAL_TAG_LEN])
{
    uint8_t none[16];
    int n;

    if (!run(ctx, text, len) || EVP_CipherFinal_ex(ctx, none, &n) != 1)
        return LK_FAULT;
    return EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, LK_SEAL_TAG_LEN, tag) == 1 ? LK_OK : LK_FAULT;
}

static lk_status unseal_with(EVP_CIPHER_CTX *ctx, uint8_t *text, size_t len,
                             const uint8_t tag[LK_SEAL_TAG_LEN])
{
    uint8_t none[16];
    int n;

    /* The control has no const; it copies. */
    if (EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, LK_SEAL_TAG_LEN, (void *)(uintptr_t)tag) != 1 ||
        !run(ctx, text, len))
        return LK_FAULT;
    /* All that can fail here is the tag, compared in constant time. */
    return EVP_CipherFinal_ex(ctx, none, &n) == 1 ? LK_OK : LK_REFUSED;
}

lk_status lk_seal(const lk_mac *key, const uint8_t salt[LK_SEAL_SALT_LEN], lk_view bound, uint8_t *text,
                  size_t len, uint8_t tag[LK_SEAL_TAG_LEN])
{
    lk_status status = LK_FAULT;
    EVP_CIPHER_CTX *ctx;

    if (len > LK_SEAL_MAX || bound.len > LK_SEAL_MAX)
        return LK_FULL;
    /* What OpenSSL leaves in the error queue of the thread would be blamed on the next TLS connection. */
    ERR_set_mark();
    ctx = take_context();
    if (ctx != NULL && begin(ctx, key, salt, bound, true))
        status = seal_with(ctx, text, len, tag);
    if (ctx != NULL)
        give_context(ctx);
    ERR_pop_to_mark();
    if (status != LK_OK)
        lk_wipe(text, len);
    return status;
}

lk_status lk_unseal(const lk_mac *key, const uint8_t salt[LK_SEAL_SALT_LEN], lk_view bound, uint8_t *text,
                    size_t len, const uint8_t tag[LK_SEAL_TAG_LEN])
{
    lk_status status = LK_FAULT;
    EVP_CIPHER_CTX *ctx;

    if (len > LK_SEAL_MAX || bound.len > LK_SEAL_MAX)
        return LK_FULL;
    ERR_set_mark();
    ctx = take_context();
    if (ctx != NULL && begin(ctx, key, salt, bound, false))
        status = unseal_with(ctx, text, len, tag);
    if (ctx != NULL)
        give_context(ctx);
    ERR_pop_to_mark();
    if (status != LK_OK)
        lk_wipe(text, len);
    return status;
}
