/* SPDX-License-Identifier: Apache-2.0
 *
 * sign_prepared.c - OpenSSL keys with their operation set up once, and used by many threads.
 *
 * OpenSSL 3 looks algorithms up by name each time an operation is set up. That is done here once per key;
 * each use takes a context that is set up already. docs/decisions/0007-prepared-signatures.md has the
 * figures.
 */
#include "crypto/sign_prepared.h"
#include <openssl/err.h>
#include <openssl/rsa.h>

#define LIBRARY_SIGNATURE_MAX (LK_RSA_LEN_MAX + 16)

static void prepared_free(const lk_env *env, lk__prepared *p)
{
    if (p == NULL)
        return;
    for (size_t i = 0; i < LK__IDLE_CONTEXTS; i++)
        EVP_PKEY_CTX_free(atomic_load(&p->idle[i]));
    EVP_PKEY_CTX_free(p->ready);
    EVP_MD_free(p->md);
    EVP_PKEY_free(p->pkey);
    lk_free(env, p);
}

/* A salt as long as the hash is demanded of what we check, too: any other would be a second spelling (RFC
 * 7518 section 3.5). */
static bool set_rsa(const lk__prepared *p, int padding)
{
    if (padding == 0)
        return true;
    if (EVP_PKEY_CTX_set_rsa_padding(p->ready, padding) <= 0)
        return false;
    return padding != RSA_PKCS1_PSS_PADDING ||
           (EVP_PKEY_CTX_set_rsa_mgf1_md(p->ready, p->md) > 0 &&
            EVP_PKEY_CTX_set_rsa_pss_saltlen(p->ready, RSA_PSS_SALTLEN_DIGEST) > 0);
}

static bool set_up(lk__prepared *p, const lk__scheme *scheme, bool makes)
{
    if (scheme->md == NULL)
        return true;
    p->md = EVP_MD_fetch(NULL, scheme->md, NULL);
    p->ready = EVP_PKEY_CTX_new_from_pkey(NULL, p->pkey, NULL);
    if (p->md == NULL || p->ready == NULL)
        return false;
    if ((makes ? EVP_PKEY_sign_init(p->ready) : EVP_PKEY_verify_init(p->ready)) <= 0)
        return false;
    /* The hash before the padding: that of MGF1 and the length of the salt follow it. */
    return EVP_PKEY_CTX_set_signature_md(p->ready, p->md) > 0 && set_rsa(p, scheme->rsa_padding);
}

/* Takes PKEY over. NULL when memory is short or OpenSSL fails. */
static lk__prepared *prepare(const lk_env *env, EVP_PKEY *pkey, const lk__scheme *scheme, bool makes)
{
    lk__prepared *p = lk_alloc(env, sizeof(*p));

    if (p == NULL) {
        EVP_PKEY_free(pkey);
        return NULL;
    }
    for (size_t i = 0; i < LK__IDLE_CONTEXTS; i++)
        atomic_init(&p->idle[i], NULL);
    p->pkey = pkey;
    if (!set_up(p, scheme, makes)) {
        prepared_free(env, p);
        return NULL;
    }
    return p;
}

static size_t length_of_signature(const lk__scheme *scheme, const EVP_PKEY *pkey)
{
    return scheme->signature_len != 0 ? scheme->signature_len : (size_t)EVP_PKEY_get_size(pkey);
}

lk_status lk__public_key_take(const lk_env *env, EVP_PKEY *pkey, const lk__scheme *scheme,
                              lk_public_key **out)
{
    size_t signature_len = length_of_signature(scheme, pkey);
    lk__prepared *prepared = prepare(env, pkey, scheme, false);
    lk_public_key *key = lk_alloc(env, sizeof(*key));

    if (prepared == NULL || key == NULL) {
        prepared_free(env, prepared);
        lk_free(env, key);
        return LK_FAULT;
    }
    *key = (lk_public_key){env, scheme, signature_len, prepared};
    *out = key;
    return LK_OK;
}

lk_status lk__private_key_take(const lk_env *env, EVP_PKEY *pkey, const lk__scheme *scheme,
                               lk_private_key **out)
{
    size_t signature_len = length_of_signature(scheme, pkey);
    lk__prepared *prepared = prepare(env, pkey, scheme, true);
    lk_private_key *key = lk_alloc(env, sizeof(*key));

    if (prepared == NULL || key == NULL) {
        prepared_free(env, prepared);
        lk_free(env, key);
        return LK_FAULT;
    }
    *key = (lk_private_key){env, scheme, signature_len, prepared};
    *out = key;
    return LK_OK;
}

void lk_public_key_free(lk_public_key *key)
{
    if (key == NULL)
        return;
    prepared_free(key->env, key->prepared);
    lk_free(key->env, key);
}

void lk_private_key_free(lk_private_key *key)
{
    if (key == NULL)
        return;
    prepared_free(key->env, key->prepared); /* OpenSSL clears the private numbers of a key it frees */
    lk_free(key->env, key);
}

/* A context nobody else uses until it is given back. NULL when OpenSSL fails. */
static EVP_PKEY_CTX *take_context(lk__prepared *p)
{
    for (size_t i = 0; i < LK__IDLE_CONTEXTS; i++) {
        EVP_PKEY_CTX *ctx = atomic_exchange(&p->idle[i], NULL);

        if (ctx != NULL)
            return ctx;
    }
    return EVP_PKEY_CTX_dup(p->ready);
}

static void give_context(lk__prepared *p, EVP_PKEY_CTX *ctx)
{
    for (size_t i = 0; i < LK__IDLE_CONTEXTS; i++) {
        EVP_PKEY_CTX *empty = NULL;

        if (atomic_compare_exchange_strong(&p->idle[i], &empty, ctx))
            return;
    }
    EVP_PKEY_CTX_free(ctx);
}

/* The hash of MESSAGE in OUT; its length, or 0 when OpenSSL fails. */
static size_t hash(const lk__prepared *p, lk_view message, uint8_t out[EVP_MAX_MD_SIZE])
{
    unsigned len = 0;

    return EVP_Digest(message.p, message.len, out, &len, p->md, NULL) == 1 ? len : 0;
}

static lk_status hand_over(const lk__scheme *scheme, lk_view made, lk_buf *out)
{
    if (scheme->from_library != NULL)
        return scheme->from_library(made, out);
    lk_buf_add(out, made);
    return lk_buf_status(out);
}

static lk_status sign_hashed(const lk_private_key *key, lk_view message, lk_buf *out)
{
    uint8_t made[LIBRARY_SIGNATURE_MAX], digest[EVP_MAX_MD_SIZE];
    size_t len = sizeof(made), digest_len = hash(key->prepared, message, digest);
    EVP_PKEY_CTX *ctx = take_context(key->prepared);
    lk_status status = LK_FAULT;

    if (ctx != NULL && digest_len > 0 && EVP_PKEY_sign(ctx, made, &len, digest, digest_len) > 0)
        status = hand_over(key->scheme, lk_view_make(made, len), out);
    if (ctx != NULL)
        give_context(key->prepared, ctx);
    return status;
}

static lk_status sign_whole(const lk_private_key *key, lk_view message, lk_buf *out)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    uint8_t made[LIBRARY_SIGNATURE_MAX];
    size_t len = sizeof(made);
    lk_status status = LK_FAULT;

    if (ctx != NULL && EVP_DigestSignInit(ctx, NULL, NULL, NULL, key->prepared->pkey) == 1 &&
        EVP_DigestSign(ctx, made, &len, message.p, message.len) == 1)
        status = hand_over(key->scheme, lk_view_make(made, len), out);
    EVP_MD_CTX_free(ctx);
    return status;
}

lk_status lk_private_key_sign(const lk_private_key *key, lk_view message, lk_buf *out)
{
    lk_status status;

    /* What OpenSSL leaves in the error queue of the thread would be blamed on the next TLS connection. */
    ERR_set_mark();
    status = key->scheme->md == NULL ? sign_whole(key, message, out) : sign_hashed(key, message, out);
    ERR_pop_to_mark();
    return status;
}

static lk_status answer_of(int answer)
{
    if (answer == 1)
        return LK_OK;
    return answer == 0 ? LK_REFUSED : LK_FAULT;
}

static lk_status verify_hashed(const lk_public_key *key, lk_view message, lk_view signature)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    size_t len = hash(key->prepared, message, digest);
    EVP_PKEY_CTX *ctx = take_context(key->prepared);
    lk_status status = LK_FAULT;

    if (ctx != NULL && len > 0)
        status = answer_of(EVP_PKEY_verify(ctx, signature.p, signature.len, digest, len));
    if (ctx != NULL)
        give_context(key->prepared, ctx);
    return status;
}

static lk_status verify_whole(const lk_public_key *key, lk_view message, lk_view signature)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    lk_status status = LK_FAULT;

    if (ctx != NULL && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, key->prepared->pkey) == 1)
        status = answer_of(EVP_DigestVerify(ctx, signature.p, signature.len, message.p, message.len));
    EVP_MD_CTX_free(ctx);
    return status;
}

lk_status lk_public_key_verify(const lk_public_key *key, lk_view message, lk_view signature)
{
    uint8_t der[LIBRARY_SIGNATURE_MAX];
    lk_buf converted = lk_buf_over(der, sizeof(der));
    lk_status status;

    if (signature.len != key->signature_len)
        return LK_REFUSED;
    if (key->scheme->to_library != NULL) {
        if (key->scheme->to_library(signature, &converted) != LK_OK)
            return LK_REFUSED;
        signature = lk_buf_view(&converted);
    }
    ERR_set_mark();
    status = key->scheme->md == NULL ? verify_whole(key, message, signature)
                                     : verify_hashed(key, message, signature);
    ERR_pop_to_mark();
    return status;
}
