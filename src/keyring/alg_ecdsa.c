/* SPDX-License-Identifier: Apache-2.0
 *
 * alg_ecdsa.c - ECDSA: P-256 with SHA-256, P-384 with SHA-384, P-521 with SHA-512 (RFC 7518 section 3.4).
 */
#include "keyring/alg_pair.h"
#include "keyring/jwk.h"

static const char *const public_members[] = {"crv", "x", "y", NULL};
static const char *const private_members[] = {"d", NULL};

static lk_curve curve_of(const lk__algorithm *algorithm)
{
    return (lk_curve)algorithm->variant;
}

static lk_status read_verifier(const lk_env *env, lk_view jwk, lk_verifier *out, lk_note *note)
{
    lk_curve curve = curve_of(out->algorithm);
    uint8_t x[LK_EC_LEN_MAX], y[LK_EC_LEN_MAX];
    size_t len = lk_ec_len(curve);
    lk_status status;

    if (lk__jwk_exact(jwk, "x", x, len, note) != LK_OK || lk__jwk_exact(jwk, "y", y, len, note) != LK_OK)
        return LK_REFUSED;
    status = lk_ec_public(env, curve, x, y, &out->key.pair);
    if (status != LK_OK)
        lk_note_set(note, "the members \"x\" and \"y\" of the key are no point of %s", out->algorithm->crv);
    return status;
}

static lk_status read_signer(const lk_env *env, lk_view jwk, lk_signer *out, lk_note *note)
{
    uint8_t x[LK_EC_LEN_MAX], y[LK_EC_LEN_MAX], d[LK_EC_LEN_MAX];
    lk_curve curve = curve_of(out->algorithm);
    size_t len = lk_ec_len(curve);
    lk_status status = LK_REFUSED;

    if (lk__jwk_exact(jwk, "x", x, len, note) == LK_OK && lk__jwk_exact(jwk, "y", y, len, note) == LK_OK &&
        lk__jwk_exact(jwk, "d", d, len, note) == LK_OK) {
        status = lk_ec_private(env, curve, x, y, d, &out->key.pair);
        if (status != LK_OK)
            lk_note_set(note, "the members \"x\", \"y\" and \"d\" of the key are no key pair on %s",
                        out->algorithm->crv);
    }
    lk_wipe(d, sizeof(d));
    return status;
}

static lk_status generate(const lk__algorithm *algorithm, const lk_env *env, lk_buf *out)
{
    uint8_t x[LK_EC_LEN_MAX], y[LK_EC_LEN_MAX], d[LK_EC_LEN_MAX];
    size_t len = lk_ec_len(curve_of(algorithm));
    lk_status status = lk_ec_generate(curve_of(algorithm), x, y, d);

    (void)env; /* OpenSSL draws from its own generator */
    if (status == LK_OK) {
        lk__jwk_add_text(out, "kty", "EC");
        lk_buf_add_byte(out, ',');
        lk__jwk_add_text(out, "crv", algorithm->crv);
        lk_buf_add_byte(out, ',');
        lk__jwk_add_bytes(out, "x", lk_view_make(x, len));
        lk_buf_add_byte(out, ',');
        lk__jwk_add_bytes(out, "y", lk_view_make(y, len));
        lk_buf_add_byte(out, ',');
        lk__jwk_add_bytes(out, "d", lk_view_make(d, len));
        status = lk_buf_status(out);
    }
    lk_wipe(d, sizeof(d));
    return status;
}

#define ROW(word, curve, prefix, which)                                                                      \
    {                                                                                                        \
        .alg = LK_ALG_##word, .name = #word, .jose = #word, .kty = "EC", .crv = curve, .kid_prefix = prefix, \
        .variant = which, .public_members = public_members, .private_members = private_members,              \
        .read_verifier = read_verifier, .read_signer = read_signer,                                          \
        .clear_verifier = lk__pair_clear_verifier, .clear_signer = lk__pair_clear_signer,                    \
        .verify = lk__pair_verify, .sign = lk__pair_sign, .generate = generate,                              \
    }

const lk__algorithm lk__es256 = ROW(ES256, "P-256", "es256-", LK_CURVE_P256);
const lk__algorithm lk__es384 = ROW(ES384, "P-384", "es384-", LK_CURVE_P384);
const lk__algorithm lk__es512 = ROW(ES512, "P-521", "es512-", LK_CURVE_P521);
