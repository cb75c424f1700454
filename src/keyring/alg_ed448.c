/* SPDX-License-Identifier: Apache-2.0
 *
 * alg_ed448.c - EdDSA with Ed448 (RFC 8037 section 3.1).
 */
#include "keyring/alg_pair.h"
#include "keyring/jwk.h"

static const char *const public_members[] = {"crv", "x", NULL};
static const char *const private_members[] = {"d", NULL};

static lk_status read_verifier(const lk_env *env, lk_view jwk, lk_verifier *out, lk_note *note)
{
    uint8_t x[LK_ED448_LEN];
    lk_status status;

    if (lk__jwk_exact(jwk, "x", x, sizeof(x), note) != LK_OK)
        return LK_REFUSED;
    status = lk_ed448_public(env, x, &out->key.pair);
    if (status != LK_OK)
        lk_note_set(note, "the member \"x\" of the key is no point of Ed448, or one of small order");
    return status;
}

static lk_status read_signer(const lk_env *env, lk_view jwk, lk_signer *out, lk_note *note)
{
    uint8_t seed[LK_ED448_LEN], x[LK_ED448_LEN];
    lk_status status = LK_REFUSED;

    if (lk__jwk_exact(jwk, "d", seed, sizeof(seed), note) == LK_OK &&
        lk__jwk_exact(jwk, "x", x, sizeof(x), note) == LK_OK) {
        status = lk_ed448_private(env, x, seed, &out->key.pair);
        if (status != LK_OK)
            lk_note_set(note, "the members \"d\" and \"x\" of the key do not belong together");
    }
    lk_wipe(seed, sizeof(seed));
    return status;
}

static lk_status generate(const lk__algorithm *algorithm, const lk_env *env, lk_buf *out)
{
    uint8_t seed[LK_ED448_LEN], x[LK_ED448_LEN];
    lk_status status = lk_random(env, seed, sizeof(seed));

    if (status == LK_OK)
        status = lk_ed448_expand(seed, x);
    if (status == LK_OK) {
        lk__jwk_add_text(out, "kty", "OKP");
        lk_buf_add_byte(out, ',');
        lk__jwk_add_text(out, "crv", algorithm->crv);
        lk_buf_add_byte(out, ',');
        lk__jwk_add_bytes(out, "x", lk_view_make(x, sizeof(x)));
        lk_buf_add_byte(out, ',');
        lk__jwk_add_bytes(out, "d", lk_view_make(seed, sizeof(seed)));
        status = lk_buf_status(out);
    }
    lk_wipe(seed, sizeof(seed));
    return status;
}

const lk__algorithm lk__ed448 = {
    .alg = LK_ALG_ED448,
    .name = "Ed448",
    .jose = "EdDSA",
    .kty = "OKP",
    .crv = "Ed448",
    .kid_prefix = "ed448-",
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
