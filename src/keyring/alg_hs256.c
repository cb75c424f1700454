/* SPDX-License-Identifier: Apache-2.0
 *
 * alg_hs256.c - HMAC-SHA256 (RFC 7518 section 3.2).
 */
#include "crypto/derive.h"
#include "keyring/jwk.h"
#include "keyring/keyring_internal.h"

#define KEY_MIN 32 /* as long as the hash */
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

/* The three keys that come of one secret: that of the JWS, of the simple token and of sealed sessions. */
static lk_status read_secret(lk_view jwk, lk_mac *mac, lk_mac *token_mac, lk_mac *seal_mac, lk_note *note)
{
    lk_status status = LK_REFUSED;
    uint8_t bytes[KEY_MAX];
    size_t len = 0;

    if (lk__jwk_bytes(jwk, "k", bytes, sizeof(bytes), &len, note) != LK_OK)
        goto out;
    if (len < KEY_MIN) {
        lk_note_set(note, "an HMAC key of %zu bits; HS256 needs at least 256 (RFC 7518 section 3.2)",
                    len * 8);
        goto out;
    }
    status = lk_mac_init(mac, lk_view_make(bytes, len));
    if (status == LK_OK)
        status = derive_mac(lk_view_make(bytes, len), LK_VIEW("latchkey simple token 1"), token_mac);
    if (status == LK_OK)
        status = derive_mac(lk_view_make(bytes, len), LK_VIEW("latchkey sealed 1"), seal_mac);
    if (status != LK_OK)
        lk_note_set(note, "the HMAC key cannot be prepared");
out:
    lk_wipe(bytes, sizeof(bytes));
    return status;
}

static lk_status read_verifier(const lk_env *env, lk_view jwk, lk_verifier *out, lk_note *note)
{
    (void)env;
    return read_secret(jwk, &out->key.mac, &out->token_mac, &out->seal_mac, note);
}

static lk_status read_signer(const lk_env *env, lk_view jwk, lk_signer *out, lk_note *note)
{
    (void)env;
    return read_secret(jwk, &out->key.mac, &out->token_mac, &out->seal_mac, note);
}

static void clear_verifier(lk_verifier *verifier)
{
    lk_mac_wipe(&verifier->key.mac);
    lk_mac_wipe(&verifier->token_mac);
    lk_mac_wipe(&verifier->seal_mac);
}

static void clear_signer(lk_signer *signer)
{
    lk_mac_wipe(&signer->key.mac);
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

static lk_status generate(const lk_env *env, lk_buf *out)
{
    uint8_t key[KEY_MIN];
    lk_status status = lk_random(env, key, sizeof(key));

    if (status == LK_OK) {
        lk__jwk_add_text(out, "kty", "oct");
        lk_buf_add_byte(out, ',');
        lk__jwk_add_bytes(out, "k", lk_view_make(key, sizeof(key)));
        status = lk_buf_status(out);
    }
    lk_wipe(key, sizeof(key));
    return status;
}

const lk__algorithm lk__hs256 = {
    .alg = LK_ALG_HS256,
    .name = "HS256",
    .kty = "oct",
    .kid_prefix = "hs256-",
    .is_shared = true,
    .public_members = no_members,
    .private_members = secret_members,
    .read_verifier = read_verifier,
    .read_signer = read_signer,
    .clear_verifier = clear_verifier,
    .clear_signer = clear_signer,
    .verify = verify,
    .sign = sign,
    .generate = generate,
};
