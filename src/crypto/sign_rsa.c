/* SPDX-License-Identifier: Apache-2.0
 *
 * sign_rsa.c - RSASSA-PKCS1-v1_5 and RSASSA-PSS, by OpenSSL.
 */
#include "crypto/sign_prepared.h"
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <openssl/rsa.h>

#define EXPONENT_LEN_MAX 8 /* the time of a check grows with the exponent; everybody uses 65537 */

static const lk__scheme schemes[] = {
    [LK_RSA_RS256] = {.md = "SHA256", .rsa_padding = RSA_PKCS1_PADDING},
    [LK_RSA_RS384] = {.md = "SHA384", .rsa_padding = RSA_PKCS1_PADDING},
    [LK_RSA_RS512] = {.md = "SHA512", .rsa_padding = RSA_PKCS1_PADDING},
    [LK_RSA_PS256] = {.md = "SHA256", .rsa_padding = RSA_PKCS1_PSS_PADDING},
    [LK_RSA_PS384] = {.md = "SHA384", .rsa_padding = RSA_PKCS1_PSS_PADDING},
    [LK_RSA_PS512] = {.md = "SHA512", .rsa_padding = RSA_PKCS1_PSS_PADDING},
};

static const char *const names[LK_RSA_COUNT] = {
    [LK_RSA_N] = OSSL_PKEY_PARAM_RSA_N,          [LK_RSA_E] = OSSL_PKEY_PARAM_RSA_E,
    [LK_RSA_D] = OSSL_PKEY_PARAM_RSA_D,          [LK_RSA_P] = OSSL_PKEY_PARAM_RSA_FACTOR1,
    [LK_RSA_Q] = OSSL_PKEY_PARAM_RSA_FACTOR2,    [LK_RSA_DP] = OSSL_PKEY_PARAM_RSA_EXPONENT1,
    [LK_RSA_DQ] = OSSL_PKEY_PARAM_RSA_EXPONENT2, [LK_RSA_QI] = OSSL_PKEY_PARAM_RSA_COEFFICIENT1,
};

static size_t bits_of(const uint8_t *bytes, size_t len)
{
    size_t bits = len * 8;

    for (uint8_t top = len > 0 ? bytes[0] : 0; len > 0 && (top & 0x80) == 0 && bits > (len - 1) * 8; bits--)
        top = (uint8_t)(top << 1);
    return bits;
}

static bool is_odd(const uint8_t *bytes, size_t len)
{
    return len > 0 && (bytes[len - 1] & 1) == 1;
}

/* The rules for n and e; the note says which one is broken. */
static lk_status check_public(const lk_rsa_numbers *numbers, lk_note *note)
{
    const uint8_t *n = numbers->of[LK_RSA_N].bytes, *e = numbers->of[LK_RSA_E].bytes;
    size_t n_len = numbers->of[LK_RSA_N].len, e_len = numbers->of[LK_RSA_E].len, bits = bits_of(n, n_len);

    if (bits < LK_RSA_BITS_MIN || bits > LK_RSA_BITS_MAX) {
        lk_note_set(note, "an RSA key of %zu bits; it must have %d to %d", bits, LK_RSA_BITS_MIN,
                    LK_RSA_BITS_MAX);
        return LK_REFUSED;
    }
    if (!is_odd(n, n_len)) {
        lk_note_set(note, "the RSA modulus is even, so it is no product of two primes");
        return LK_REFUSED;
    }
    if (lk_rsa_is_roca(n, n_len)) {
        lk_note_set(note, "the RSA key was made by a library whose keys can be factored (ROCA, "
                          "CVE-2017-15361); make another");
        return LK_REFUSED;
    }
    /* e = 1 makes every padded message its own signature. */
    if (!is_odd(e, e_len) || e_len > EXPONENT_LEN_MAX || (e_len == 1 && e[0] == 1)) {
        lk_note_set(note, "the RSA exponent must be odd, above 1 and of at most 64 bits");
        return LK_REFUSED;
    }
    return LK_OK;
}

/* The first COUNT numbers as OpenSSL's parameters. NULL when memory is short. */
static OSSL_PARAM *make_params(const lk_rsa_numbers *numbers, size_t count)
{
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    BIGNUM *big[LK_RSA_COUNT] = {NULL};
    OSSL_PARAM *params = NULL;
    bool done = build != NULL;

    for (size_t i = 0; i < count && done; i++) {
        big[i] = i < LK_RSA_PUBLIC_COUNT ? BN_new() : BN_secure_new(); /* "secure" copies are wiped */
        done = big[i] != NULL && BN_bin2bn(numbers->of[i].bytes, (int)numbers->of[i].len, big[i]) != NULL &&
               OSSL_PARAM_BLD_push_BN(build, names[i], big[i]) == 1;
    }
    if (done)
        params = OSSL_PARAM_BLD_to_param(build);
    for (size_t i = 0; i < count; i++)
        BN_clear_free(big[i]);
    OSSL_PARAM_BLD_free(build);
    return params;
}

static lk_status read_key(const lk_rsa_numbers *numbers, size_t count, EVP_PKEY **out)
{
    int wanted = count == LK_RSA_COUNT ? EVP_PKEY_KEYPAIR : EVP_PKEY_PUBLIC_KEY;
    EVP_PKEY_CTX *import = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    OSSL_PARAM *params = make_params(numbers, count);
    lk_status status = LK_FAULT;

    if (import != NULL && params != NULL && EVP_PKEY_fromdata_init(import) > 0)
        status = EVP_PKEY_fromdata(import, out, wanted, params) > 0 ? LK_OK : LK_REFUSED;
    EVP_PKEY_CTX_free(import);
    OSSL_PARAM_free(params);
    return status;
}

lk_status lk_rsa_public(const lk_env *env, lk_rsa_kind kind, const lk_rsa_numbers *numbers,
                        lk_public_key **out, lk_note *note)
{
    EVP_PKEY *pkey = NULL;
    lk_status status;

    *out = NULL;
    status = check_public(numbers, note);
    if (status != LK_OK)
        return status;
    ERR_set_mark();
    status = read_key(numbers, LK_RSA_PUBLIC_COUNT, &pkey);
    if (status == LK_OK)
        status = lk__public_key_take(env, pkey, &schemes[kind], out);
    else
        lk_note_set(note, "OpenSSL does not take these RSA numbers");
    ERR_pop_to_mark();
    return status;
}

lk_status lk_rsa_private(const lk_env *env, lk_rsa_kind kind, const lk_rsa_numbers *numbers,
                         lk_private_key **out, lk_note *note)
{
    EVP_PKEY *pkey = NULL;
    lk_status status;

    *out = NULL;
    status = check_public(numbers, note);
    if (status != LK_OK)
        return status;
    ERR_set_mark();
    status = read_key(numbers, LK_RSA_COUNT, &pkey);
    if (status == LK_OK)
        status = lk__private_key_take(env, pkey, &schemes[kind], out);
    else
        lk_note_set(note, "OpenSSL does not take these RSA numbers");
    ERR_pop_to_mark();
    return status;
}

static bool get_number(const EVP_PKEY *pkey, const char *name, uint8_t *out, size_t *len)
{
    BIGNUM *number = NULL;
    bool done = EVP_PKEY_get_bn_param(pkey, name, &number) == 1 && BN_num_bytes(number) <= LK_RSA_LEN_MAX;

    if (done)
        *len = (size_t)BN_bn2bin(number, out);
    BN_clear_free(number);
    return done;
}

lk_status lk_rsa_generate(unsigned bits, lk_rsa_numbers *out)
{
    lk_status status = LK_OK;
    EVP_PKEY *pkey;

    if (bits < LK_RSA_BITS_MIN || bits > LK_RSA_BITS_MAX)
        return LK_REFUSED;
    ERR_set_mark();
    pkey = EVP_RSA_gen(bits);
    if (pkey == NULL)
        status = LK_FAULT;
    for (size_t i = 0; i < LK_RSA_COUNT && status == LK_OK; i++) {
        if (!get_number(pkey, names[i], out->of[i].bytes, &out->of[i].len))
            status = LK_FAULT;
    }
    EVP_PKEY_free(pkey);
    ERR_pop_to_mark();
    return status;
}
