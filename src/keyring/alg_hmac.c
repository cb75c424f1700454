/* SPDX-License-Identifier: Apache-2.0
 *
 * alg_hmac.c - HMAC with SHA-256, SHA-384 and SHA-512 (RFC 7518 section 3.2).
 *
 * HS256 is also what simple tokens and sealed sessions are made with; the other two are for JWTs only.
 */
#include "crypto/derive.h"
#include "keyring/jwk.h"
#include "keyring/keyring_internal.h"

#define KEY_MAX 1024

static const char *const no_members[] = {NULL};
static const char *const secret_members[] = {"k", NULL};

/* The key that SECRET gives under LABEL, prepared. */
static lk_status derive_mac(lk_view secret, lk_view label, lk_mac *mac)
{
    lk_secret derived = {0};
    lk_status status = lk_derive(secret, label, &derived, LK_MAC_LEN);

    if (status == LK_OK)
        status = lk_mac_init(mac, lk_secret_view(&derived));
    lk_secret_wipe(&derived);
    return status;
}

/* The bytes of the secret, at least as many as the hash has (RFC 7518 section 3.2). */
static lk_status read_bytes(const lk__algorithm *algorithm, lk_view jwk, uint8_t out[KEY_MAX], size_t *len,
                            lk_note *note)
{
    if (lk__jwk_bytes(jwk, "k", out, KEY_MAX, len, note) != LK_OK)
        return LK_REFUSED;
    if (*len >= algorithm->variant)
        return LK_OK;
    lk_note_set(note, "an HMAC key of %zu bits; %s needs at least %u (RFC 7518 section 3.2)", *len * 8,
                algorithm->name, algorithm->variant * 8);
    return LK_REFUSED;
}

/* The three keys that come of one secret: that of the JWS, of the simple token and of sealed sessions. */
static lk_status prepare_256(lk_view secret, lk_mac *mac, lk_mac *token_mac, lk_mac *seal_mac)
{
    lk_status status = lk_mac_init(mac, secret);

    if (status == LK_OK)
        status = derive_mac(secret, LK_VIEW("latchkey simple token 1"), token_mac);
    if (status == LK_OK)
        status = derive_mac(secret, LK_VIEW("latchkey sealed 1"), seal_mac);
    return status;
}

static lk_status read_verifier(const lk_env *env, lk_view jwk, lk_verifier *out, lk_note *note)
{
    const lk__algorithm *algorithm = out->algorithm;
    uint8_t bytes[KEY_MAX];
    size_t len = 0;
    lk_status status = read_bytes(algorithm, jwk, bytes, &len, note);

    (void)env;
    if (status == LK_OK && algorithm->alg == LK_ALG_HS256)
        status = prepare_256(lk_view_make(bytes, len), &out->key.mac, &out->token_mac, &out->seal_mac);
    else if (status == LK_OK)
        status = lk_mac512_init(&out->key.mac512, algorithm->variant, lk_view_make(bytes, len));
    if (status == LK_FAULT)
        lk_note_set(note, "the HMAC key cannot be prepared");
    lk_wipe(bytes, sizeof(bytes));
    return status;
}

static lk_status read_signer(const lk_env *env, lk_view jwk, lk_signer *out, lk_note *note)
{
    const lk__algorithm *algorithm = out->algorithm;
    uint8_t bytes[KEY_MAX];
    size_t len = 0;
    lk_status status = read_bytes(algorithm, jwk, bytes, &len, note);

    (void)env;
    if (status == LK_OK && algorithm->alg == LK_ALG_HS256)
        status = prepare_256(lk_view_make(bytes, len), &out->key.mac, &out->token_mac, &out->seal_mac);
    else if (status == LK_OK)
        status = lk_mac512_init(&out->key.mac512, algorithm->variant, lk_view_make(bytes, len));
    if (status == LK_FAULT)
        lk_note_set(note, "the HMAC key cannot be prepared");
    lk_wipe(bytes, sizeof(bytes));
    return status;
}

static void clear_verifier(lk_verifier *verifier)
{
    lk_wipe(&verifier->key, sizeof(verifier->key));
    lk_mac_wipe(&verifier->token_mac);
    lk_mac_wipe(&verifier->seal_mac);
}

static void clear_signer(lk_signer *signer)
{
    lk_wipe(&signer->key, sizeof(signer->key));
    lk_mac_wipe(&signer->token_mac);
    lk_mac_wipe(&signer->seal_mac);
}

static lk_status verify(const lk_verifier *verifier, lk_view message, lk_view signature)
{
    uint8_t right[LK_MAC_LEN];
    lk_status status;

    if (signature.len != sizeof(right))
        return LK_REFUSED;
    status = lk_mac_run(&verifier->key.mac, &message, 1, right);
    if (status == LK_OK && !lk_secret_equal(lk_view_make(right, sizeof(right)), signature))
        status = LK_REFUSED;
    lk_wipe(right, sizeof(right)); /* it is the signature a forger is looking for */
    return status;
}

static lk_status sign(const lk_signer *signer, lk_view message, lk_buf *out)
{
    uint8_t made[LK_MAC_LEN];
    lk_status status = lk_mac_run(&signer->key.mac, &message, 1, made);

    if (status != LK_OK)
        return status;
    lk_buf_add(out, lk_view_make(made, sizeof(made)));
    return lk_buf_status(out);
}

static lk_status verify_512(const lk_verifier *verifier, lk_view message, lk_view signature)
{
    size_t len = verifier->algorithm->variant;
    uint8_t right[LK_MAC512_LEN];
    lk_status status;

    if (signature.len != len)
        return LK_REFUSED;
    status = lk_mac512_run(&verifier->key.mac512, message, right);
    if (status == LK_OK && !lk_secret_equal(lk_view_make(right, len), signature))
        status = LK_REFUSED;
    lk_wipe(right, sizeof(right));
    return status;
}

static lk_status sign_512(const lk_signer *signer, lk_view message, lk_buf *out)
{
    uint8_t made[LK_MAC512_LEN];
    lk_status status = lk_mac512_run(&signer->key.mac512, message, made);

    if (status == LK_OK) {
        lk_buf_add(out, lk_view_make(made, signer->algorithm->variant));
        status = lk_buf_status(out);
    }
    lk_wipe(made, sizeof(made)); /* HS384 signs with a part of it */
    return status;
}

static lk_status generate(const lk__algorithm *algorithm, const lk_env *env, lk_buf *out)
{
    uint8_t key[LK_MAC512_LEN];
    lk_status status = lk_random(env, key, algorithm->variant);

    if (status == LK_OK) {
        lk__jwk_add_text(out, "kty", "oct");
        lk_buf_add_byte(out, ',');
        lk__jwk_add_bytes(out, "k", lk_view_make(key, algorithm->variant));
        status = lk_buf_status(out);
    }
    lk_wipe(key, sizeof(key));
    return status;
}

/* `variant` is the length of the hash, of the signature, and of the shortest key. */
#define ROW(word, prefix, len, check, make)                                                                  \
    {                                                                                                        \
        .alg = LK_ALG_##word, .name = #word, .jose = #word, .kty = "oct", .kid_prefix = prefix,              \
        .is_shared = true, .variant = len, .public_members = no_members, .private_members = secret_members,  \
        .read_verifier = read_verifier, .read_signer = read_signer, .clear_verifier = clear_verifier,        \
        .clear_signer = clear_signer, .verify = check, .sign = make, .generate = generate,                   \
    }

const lk__algorithm lk__hs256 = ROW(HS256, "hs256-", LK_MAC_LEN, verify, sign);
const lk__algorithm lk__hs384 = ROW(HS384, "hs384-", LK_MAC384_LEN, verify_512, sign_512);
const lk__algorithm lk__hs512 = ROW(HS512, "hs512-", LK_MAC512_LEN, verify_512, sign_512);
