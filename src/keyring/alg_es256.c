/* SPDX-License-Identifier: Apache-2.0
 *
 * alg_es256.c - ECDSA on P-256 with SHA-256 (RFC 7518 section 3.4).
 */
#include "keyring/alg_pair.h"
#include "keyring/jwk.h"

static const char *const public_members[] = {"crv", "x", "y", NULL};
static const char *const private_members[] = {"d", NULL};

static lk_status read_verifier(const lk_env *env, lk_view jwk, lk_verifier *out, lk_note *note)
{
    uint8_t x[LK_P256_LEN], y[LK_P256_LEN];
    lk_status status;

    if (lk__jwk_exact(jwk, "x", x, sizeof(x), note) != LK_OK ||
        lk__jwk_exact(jwk, "y", y, sizeof(y), note) != LK_OK)
        return LK_REFUSED;
    status = lk_p256_public(env, x, y, &out->key.pair);
    if (status != LK_OK)
        lk_note_set(note, "the members \"x\" and \"y\" of the key are no point of P-256");
    return status;
}

static lk_status read_signer(const lk_env *env, lk_view jwk, lk_signer *out, lk_note *note)
{
    uint8_t x[LK_P256_LEN], y[LK_P256_LEN], d[LK_P256_LEN];
    lk_status status = LK_REFUSED;

    if (lk__jwk_exact(jwk, "x", x, sizeof(x), note) == LK_OK &&
        lk__jwk_exact(jwk, "y", y, sizeof(y), note) == LK_OK &&
        lk__jwk_exact(jwk, "d", d, sizeof(d), note) == LK_OK) {
        status = lk_p256_private(env, x, y, d, &out->key.pair);
        if (status != LK_OK)
            lk_note_set(note, "the members \"x\", \"y\" and \"d\" of the key are no key pair on P-256");
    }
    lk_wipe(d, sizeof(d));
    return status;
}

static lk_status generate(const lk_env *env, lk_buf *out)
{
    uint8_t x[LK_P256_LEN], y[LK_P256_LEN], d[LK_P256_LEN];
    lk_status status = lk_p256_generate(x, y, d);

    (void)env; /* OpenSSL draws from its own generator */
    if (status == LK_OK) {
        lk__jwk_add_text(out, "kty", "EC");
        lk_buf_add_byte(out, ',');
        lk__jwk_add_text(out, "crv", "P-256");
        lk_buf_add_byte(out, ',');
        lk__jwk_add_bytes(out, "x", lk_view_make(x, sizeof(x)));
        lk_buf_add_byte(out, ',');
        lk__jwk_add_bytes(out, "y", lk_view_make(y, sizeof(y)));
        lk_buf_add_byte(out, ',');
        lk__jwk_add_bytes(out, "d", lk_view_make(d, sizeof(d)));
        status = lk_buf_status(out);
    }
    lk_wipe(d, sizeof(d));
    return status;
}

const lk__algorithm lk__es256 = {
    .alg = LK_ALG_ES256,
    .name = "ES256",
    .kty = "EC",
    .crv = "P-256",
    .kid_prefix = "es256-",
    .public_members = public_members,
    .private_members = private_members,
    .read_verifier = read_verifier,
    .read_signer = read_signer,
    .clear_verifier = lk__pair_clear_verifier,
    .clear_signer = lk__pair_clear_signer,
    .verify = lk__pair_verify,
    .sign = lk__pair_sign,
    .generate = generate,
};
