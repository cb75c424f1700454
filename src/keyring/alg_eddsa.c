/* SPDX-License-Identifier: Apache-2.0
 *
 * alg_eddsa.c - EdDSA with Ed25519 (RFC 8037 section 3.1).
 */
#include "keyring/jwk.h"
#include "keyring/keyring_internal.h"

static const char *const public_members[] = {"crv", "x", NULL};
static const char *const private_members[] = {"d", NULL};

static lk_status read_verifier(const lk_env *env, lk_view jwk, lk_verifier *out, lk_note *note)
{
    (void)env;
    if (lk__jwk_exact(jwk, "x", out->key.ed25519, LK_ED25519_PUBLIC_LEN, note) != LK_OK)
        return LK_REFUSED;
    if (lk_ed25519_is_public(out->key.ed25519))
        return LK_OK;
    lk_note_set(note, "the member \"x\" of the key is no point of Ed25519, or one of small order");
    return LK_REFUSED;
}

static lk_status read_signer(const lk_env *env, lk_view jwk, lk_signer *out, lk_note *note)
{
    uint8_t seed[LK_ED25519_SEED_LEN], x[LK_ED25519_PUBLIC_LEN], computed[LK_ED25519_PUBLIC_LEN];
    lk_status status = LK_REFUSED;

    (void)env;
    if (lk__jwk_exact(jwk, "d", seed, sizeof(seed), note) != LK_OK ||
        lk__jwk_exact(jwk, "x", x, sizeof(x), note) != LK_OK)
        goto out;
    status = lk_ed25519_expand(seed, out->key.ed25519, computed);
    /* To sign with a public key that is not one's own gives the private one away. */
    if (status == LK_OK &&
        !lk_view_equal(lk_view_make(x, sizeof(x)), lk_view_make(computed, sizeof(computed)))) {
        lk_note_set(note, "the members \"d\" and \"x\" of the key do not belong together");
        lk_wipe(out->key.ed25519, sizeof(out->key.ed25519));
        status = LK_REFUSED;
    }
out:
    lk_wipe(seed, sizeof(seed));
    return status;
}

static void clear_verifier(lk_verifier *verifier)
{
    (void)verifier; /* public bytes */
}

static void clear_signer(lk_signer *signer)
{
    lk_wipe(signer->key.ed25519, sizeof(signer->key.ed25519));
}

static lk_status verify(const lk_verifier *verifier, lk_view message, lk_view signature)
{
    return lk_ed25519_verify(verifier->key.ed25519, message, signature);
}

static lk_status sign(const lk_signer *signer, lk_view message, lk_buf *out)
{
    uint8_t made[LK_ED25519_SIGNATURE_LEN];
    lk_status status = lk_ed25519_sign(signer->key.ed25519, message, made);

    if (status != LK_OK)
        return status;
    lk_buf_add(out, lk_view_make(made, sizeof(made)));
    return lk_buf_status(out);
}

static lk_status generate(const lk__algorithm *algorithm, const lk_env *env, lk_buf *out)
{
    uint8_t seed[LK_ED25519_SEED_LEN], secret[LK_ED25519_SECRET_LEN], x[LK_ED25519_PUBLIC_LEN];
    lk_status status = lk_random(env, seed, sizeof(seed));

    (void)algorithm;
    if (status == LK_OK)
        status = lk_ed25519_expand(seed, secret, x);
    if (status == LK_OK) {
        lk__jwk_add_text(out, "kty", "OKP");
        lk_buf_add_byte(out, ',');
        lk__jwk_add_text(out, "crv", "Ed25519");
        lk_buf_add_byte(out, ',');
        lk__jwk_add_bytes(out, "x", lk_view_make(x, sizeof(x)));
        lk_buf_add_byte(out, ',');
        lk__jwk_add_bytes(out, "d", lk_view_make(seed, sizeof(seed)));
        status = lk_buf_status(out);
    }
    lk_wipe(seed, sizeof(seed));
    lk_wipe(secret, sizeof(secret));
    return status;
}

const lk__algorithm lk__eddsa = {
    .alg = LK_ALG_EDDSA,
    .name = "EdDSA",
    .jose = "EdDSA",
    .kty = "OKP",
    .crv = "Ed25519",
    .kid_prefix = "eddsa-",
    .public_members = public_members,
    .private_members = private_members,
    .read_verifier = read_verifier,
    .read_signer = read_signer,
    .clear_verifier = clear_verifier,
    .clear_signer = clear_signer,
    .verify = verify,
    .sign = sign,
    .generate = generate,
};
