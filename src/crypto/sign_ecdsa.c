/* SPDX-License-Identifier: Apache-2.0
 *
 * sign_ecdsa.c - ECDSA on P-256 with SHA-256, by OpenSSL.
 *
 * JOSE writes a signature as R||S, two numbers of 32 bytes; OpenSSL wants the DER of SEQUENCE { r, s }. The
 * ranges of r and s are checked here, before any library sees them: a zero that got through once forged every
 * signature (CVE-2022-21449).
 */
#include "crypto/sign_prepared.h"
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <string.h>

#define LEN LK_P256_LEN
#define POINT_LEN (1 + 2 * LEN) /* 04 || x || y */
#define DER_INTEGER 0x02
#define DER_SEQUENCE 0x30

/* The order of the group (SEC 2, section 2.4.2). */
static const uint8_t order[LEN] = {0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff,
                                   0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17,
                                   0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51};

/* 1 <= number < order, for a number that is public. */
static bool is_in_range(const uint8_t number[LEN])
{
    bool zero = true;

    for (size_t i = 0; i < LEN; i++)
        zero = zero && number[i] == 0;
    if (zero)
        return false;
    for (size_t i = 0; i < LEN; i++) {
        if (number[i] != order[i])
            return number[i] < order[i];
    }
    return false;
}

/* A positive INTEGER: no leading zeros, but one where the top bit would mean "negative" (X.690 section 8.3).
 */
static void add_integer(lk_buf *der, const uint8_t number[LEN])
{
    size_t skip = 0;
    bool padded;

    while (skip < LEN - 1 && number[skip] == 0)
        skip++;
    padded = (number[skip] & 0x80) != 0;
    lk_buf_add_byte(der, DER_INTEGER);
    lk_buf_add_byte(der, (uint8_t)(LEN - skip + padded));
    if (padded)
        lk_buf_add_byte(der, 0);
    lk_buf_add(der, lk_view_make(number + skip, LEN - skip));
}

static lk_status to_der(lk_view raw, lk_buf *der)
{
    uint8_t body[2 * (LEN + 3)];
    lk_buf numbers = lk_buf_over(body, sizeof(body));

    if (raw.len != 2 * LEN || !is_in_range(raw.p) || !is_in_range(raw.p + LEN))
        return LK_REFUSED;
    add_integer(&numbers, raw.p);
    add_integer(&numbers, raw.p + LEN);
    lk_buf_add_byte(der, DER_SEQUENCE);
    lk_buf_add_byte(der, (uint8_t)numbers.len); /* at most 70: the short form of a length */
    lk_buf_add(der, lk_buf_view(&numbers));
    return numbers.full || der->full ? LK_REFUSED : LK_OK;
}

static lk_status from_der(lk_view der, lk_buf *raw)
{
    const unsigned char *at = der.p;
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &at, (long)der.len);
    lk_status status = LK_FAULT;
    uint8_t both[2 * LEN];

    if (pair != NULL && BN_bn2binpad(ECDSA_SIG_get0_r(pair), both, LEN) == LEN &&
        BN_bn2binpad(ECDSA_SIG_get0_s(pair), both + LEN, LEN) == LEN) {
        lk_buf_add(raw, lk_view_make(both, sizeof(both)));
        status = lk_buf_status(raw);
    }
    ECDSA_SIG_free(pair);
    return status;
}

static const lk__scheme p256_sha256 = {
    .signature_len = 2 * LEN,
    .to_library = to_der,
    .from_library = from_der,
};

/* The numbers as OpenSSL's parameters; D is NULL for a public key. NULL when memory is short. */
static OSSL_PARAM *make_params(const uint8_t point[POINT_LEN], const BIGNUM *d)
{
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    OSSL_PARAM *params = NULL;

    if (build == NULL)
        return NULL;
    if (OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, "P-256", 0) == 1 &&
        OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, POINT_LEN) == 1 &&
        (d == NULL || OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_PRIV_KEY, d) == 1))
        params = OSSL_PARAM_BLD_to_param(build);
    OSSL_PARAM_BLD_free(build);
    return params;
}

/* Read a pair, or a public key when D is NULL. LK_OK; LK_REFUSED; LK_FAULT. */
static lk_status read_key(const uint8_t *x, const uint8_t *y, const BIGNUM *d, EVP_PKEY **out)
{
    int wanted = d == NULL ? EVP_PKEY_PUBLIC_KEY : EVP_PKEY_KEYPAIR;
    EVP_PKEY_CTX *import = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL), *check = NULL;
    lk_status status = LK_FAULT;
    uint8_t point[POINT_LEN];
    OSSL_PARAM *params;
    EVP_PKEY *key = NULL;

    point[0] = POINT_CONVERSION_UNCOMPRESSED;
    memcpy(point + 1, x, LEN);
    memcpy(point + 1 + LEN, y, LEN);
    params = make_params(point, d);
    if (import == NULL || params == NULL || EVP_PKEY_fromdata_init(import) <= 0)
        goto out;
    /* OpenSSL looks whether the point is on the curve (RFC 7518 section 6.2.1, invalid curve attack), and
     * here whether both halves belong together. */
    status = LK_REFUSED;
    if (EVP_PKEY_fromdata(import, &key, wanted, params) <= 0)
        goto out;
    check = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    if (check == NULL || (d == NULL ? EVP_PKEY_public_check(check) : EVP_PKEY_check(check)) <= 0)
        goto out;
    *out = key;
    key = NULL;
    status = LK_OK;
out:
    EVP_PKEY_free(key);
    EVP_PKEY_CTX_free(check);
    EVP_PKEY_CTX_free(import);
    OSSL_PARAM_free(params);
    return status;
}

lk_status lk_p256_public(const lk_env *env, const uint8_t x[LEN], const uint8_t y[LEN], lk_public_key **out)
{
    EVP_PKEY *pkey = NULL;
    lk_status status;

    *out = NULL;
    ERR_set_mark();
    status = read_key(x, y, NULL, &pkey);
    if (status == LK_OK)
        status = lk__public_key_take(env, pkey, &p256_sha256, out);
    ERR_pop_to_mark();
    return status;
}

lk_status lk_p256_private(const lk_env *env, const uint8_t x[LEN], const uint8_t y[LEN], const uint8_t d[LEN],
                          lk_private_key **out)
{
    BIGNUM *number = BN_secure_new(); /* "secure" also means that the copies OpenSSL makes are wiped */
    lk_status status = LK_FAULT;
    EVP_PKEY *pkey = NULL;

    *out = NULL;
    ERR_set_mark();
    if (number != NULL && BN_bin2bn(d, LEN, number) != NULL)
        status = read_key(x, y, number, &pkey);
    if (status == LK_OK)
        status = lk__private_key_take(env, pkey, &p256_sha256, out);
    BN_clear_free(number);
    ERR_pop_to_mark();
    return status;
}

/* Number NAME of PKEY, padded to LEN bytes. */
static bool get_number(const EVP_PKEY *pkey, const char *name, uint8_t out[LEN])
{
    BIGNUM *number = NULL;
    bool done = EVP_PKEY_get_bn_param(pkey, name, &number) == 1 && BN_bn2binpad(number, out, LEN) == LEN;

    BN_clear_free(number);
    return done;
}

lk_status lk_p256_generate(uint8_t x[LEN], uint8_t y[LEN], uint8_t d[LEN])
{
    lk_status status = LK_FAULT;
    EVP_PKEY *pkey;

    ERR_set_mark();
    pkey = EVP_EC_gen("P-256");
    if (pkey != NULL && get_number(pkey, OSSL_PKEY_PARAM_EC_PUB_X, x) &&
        get_number(pkey, OSSL_PKEY_PARAM_EC_PUB_Y, y) && get_number(pkey, OSSL_PKEY_PARAM_PRIV_KEY, d))
        status = LK_OK;
    EVP_PKEY_free(pkey);
    ERR_pop_to_mark();
    return status;
}
