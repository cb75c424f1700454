/* SPDX-License-Identifier: Apache-2.0
 *
 * alg_rsa.c - RSASSA-PKCS1-v1_5 and RSASSA-PSS with SHA-256, SHA-384 and SHA-512 (RFC 7518
 * sections 3.3, 3.5).
 */
#include "keyring/alg_pair.h"
#include "keyring/jwk.h"

#define BITS 2048 /* of the keys we make; they rotate, and 3072 would make signing three times as slow */

/* JWK names in the order of lk_rsa_index. */
static const char *const names[LK_RSA_COUNT + 1] = {"n", "e", "d", "p", "q", "dp", "dq", "qi", NULL};
static const char *const public_members[] = {"n", "e", NULL};

static lk_status read_numbers(lk_view jwk, size_t count, lk_rsa_numbers *out, lk_note *note)
{
    for (size_t i = 0; i < count; i++) {
        if (lk__jwk_bytes(jwk, names[i], out->of[i].bytes, sizeof(out->of[i].bytes), &out->of[i].len, note) !=
            LK_OK)
            return LK_REFUSED;
        /* Base64urlUInt has the fewest octets that can hold the number (RFC 7518 section 2). */
        if (out->of[i].bytes[0] == 0) {
            lk_note_set(note,
                        "the member \"%s\" of the key begins with a zero byte (RFC 7518 section 6.3.1.1)",
                        names[i]);
            return LK_REFUSED;
        }
    }
    return LK_OK;
}

static lk_status read_verifier(const lk_env *env, lk_view jwk, lk_verifier *out, lk_note *note)
{
    lk_rsa_numbers numbers;

    if (read_numbers(jwk, LK_RSA_PUBLIC_COUNT, &numbers, note) != LK_OK)
        return LK_REFUSED;
    return lk_rsa_public(env, (lk_rsa_kind)out->algorithm->variant, &numbers, &out->key.pair, note);
}

static lk_status read_signer(const lk_env *env, lk_view jwk, lk_signer *out, lk_note *note)
{
    lk_rsa_numbers numbers;
    lk_status status = read_numbers(jwk, LK_RSA_COUNT, &numbers, note);

    if (status == LK_OK)
        status = lk_rsa_private(env, (lk_rsa_kind)out->algorithm->variant, &numbers, &out->key.pair, note);
    lk_wipe(&numbers, sizeof(numbers));
    return status;
}

static lk_status generate(const lk__algorithm *algorithm, const lk_env *env, lk_buf *out)
{
    lk_rsa_numbers numbers;
    lk_status status = lk_rsa_generate(BITS, &numbers);

    (void)algorithm;
    (void)env; /* OpenSSL draws from its own generator */
    if (status == LK_OK) {
        lk__jwk_add_text(out, "kty", "RSA");
        for (size_t i = 0; i < LK_RSA_COUNT; i++) {
            lk_buf_add_byte(out, ',');
            lk__jwk_add_bytes(out, names[i], lk_view_make(numbers.of[i].bytes, numbers.of[i].len));
        }
        status = lk_buf_status(out);
    }
    lk_wipe(&numbers, sizeof(numbers));
    return status;
}

#define ROW(word, prefix, which)                                                                             \
    {                                                                                                        \
        .alg = LK_ALG_##word, .name = #word, .jose = #word, .kty = "RSA", .kid_prefix = prefix,              \
        .variant = which, .public_members = public_members, .private_members = names + LK_RSA_PUBLIC_COUNT,  \
        .read_verifier = read_verifier, .read_signer = read_signer,                                          \
        .clear_verifier = lk__pair_clear_verifier, .clear_signer = lk__pair_clear_signer,                    \
        .verify = lk__pair_verify, .sign = lk__pair_sign, .generate = generate,                              \
    }

const lk__algorithm lk__rs256 = ROW(RS256, "rs256-", LK_RSA_RS256);
const lk__algorithm lk__rs384 = ROW(RS384, "rs384-", LK_RSA_RS384);
const lk__algorithm lk__rs512 = ROW(RS512, "rs512-", LK_RSA_RS512);
const lk__algorithm lk__ps256 = ROW(PS256, "ps256-", LK_RSA_PS256);
const lk__algorithm lk__ps384 = ROW(PS384, "ps384-", LK_RSA_PS384);
const lk__algorithm lk__ps512 = ROW(PS512, "ps512-", LK_RSA_PS512);
