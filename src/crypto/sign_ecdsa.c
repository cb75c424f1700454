/* SPDX-License-Identifier: Apache-2.0
 *
 * sign_ecdsa.c - ECDSA on P-256, P-384 and P-521, by OpenSSL.
 *
 * JOSE writes a signature as R||S, two numbers as long as a coordinate; OpenSSL wants the DER of SEQUENCE {
 * r, s }. The ranges of r and s are checked here, before any library sees them: a zero that got through once
 * forged every signature (CVE-2022-21449).
 */
#include "crypto/sign_prepared.h"
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <string.h>

#define MAX LK_EC_LEN_MAX
#define POINT_MAX (1 + 2 * MAX) /* 04 || x || y */
#define DER_INTEGER 0x02
#define DER_SEQUENCE 0x30
#define DER_LONG_ONE 0x81 /* one byte of length follows */

typedef struct curve {
    const char *name;
    size_t len;
    uint8_t order[MAX]; /* of the group (SEC 2, sections 2.4.2, 2.5.1 and 2.6.1) */
    lk__scheme scheme;
} curve;

static lk_status p256_to_der(lk_view raw, lk_buf *der);
static lk_status p256_from_der(lk_view der, lk_buf *raw);
static lk_status p384_to_der(lk_view raw, lk_buf *der);
static lk_status p384_from_der(lk_view der, lk_buf *raw);
static lk_status p521_to_der(lk_view raw, lk_buf *der);
static lk_status p521_from_der(lk_view der, lk_buf *raw);

static const curve curves[] = {
    [LK_CURVE_P256] = {"P-256",
                       32,
                       {0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff,
                        0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17,
                        0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51},
                       {"SHA256", 0, 64, p256_to_der, p256_from_der}},
    [LK_CURVE_P384] = {"P-384",
                       48,
                       {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                        0xc7, 0x63, 0x4d, 0x81, 0xf4, 0x37, 0x2d, 0xdf, 0x58, 0x1a, 0x0d, 0xb2,
                        0x48, 0xb0, 0xa7, 0x7a, 0xec, 0xec, 0x19, 0x6a, 0xcc, 0xc5, 0x29, 0x73},
                       {"SHA384", 0, 96, p384_to_der, p384_from_der}},
    [LK_CURVE_P521] = {"P-521",
                       66,
                       {0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                        0xff, 0xff, 0xff, 0xff, 0xff, 0xfa, 0x51, 0x86, 0x87, 0x83, 0xbf, 0x2f, 0x96, 0x6b,
                        0x7f, 0xcc, 0x01, 0x48, 0xf7, 0x09, 0xa5, 0xd0, 0x3b, 0xb5, 0xc9, 0xb8, 0x89, 0x9c,
                        0x47, 0xae, 0xbb, 0x6f, 0xb7, 0x1e, 0x91, 0x38, 0x64, 0x09},
                       {"SHA512", 0, 132, p521_to_der, p521_from_der}},
};

size_t lk_ec_len(lk_curve which)
{
    return curves[which].len;
}

/* 1 <= number < order, for a number that is public. */
static bool is_in_range(const curve *c, const uint8_t *number)
{
    bool zero = true;

    for (size_t i = 0; i < c->len; i++)
        zero = zero && number[i] == 0;
    if (zero)
        return false;
    for (size_t i = 0; i < c->len; i++) {
        if (number[i] != c->order[i])
            return number[i] < c->order[i];
    }
    return false;
}

/* A positive INTEGER: no leading zeros, but one where the top bit would mean "negative" (X.690 section 8.3).
 */
static void add_integer(lk_buf *der, const uint8_t *number, size_t len)
{
    size_t skip = 0;
    bool padded;

    while (skip < len - 1 && number[skip] == 0)
        skip++;
    padded = (number[skip] & 0x80) != 0;
    lk_buf_add_byte(der, DER_INTEGER);
    lk_buf_add_byte(der, (uint8_t)(len - skip + padded));
    if (padded)
        lk_buf_add_byte(der, 0);
    lk_buf_add(der, lk_view_make(number + skip, len - skip));
}

static lk_status to_der(const curve *c, lk_view raw, lk_buf *der)
{
    uint8_t body[2 * (MAX + 3)];
    lk_buf numbers = lk_buf_over(body, sizeof(body));

    if (raw.len != 2 * c->len || !is_in_range(c, raw.p) || !is_in_range(c, raw.p + c->len))
        return LK_REFUSED;
    add_integer(&numbers, raw.p, c->len);
    add_integer(&numbers, raw.p + c->len, c->len);
    lk_buf_add_byte(der, DER_SEQUENCE);
    if (numbers.len > 127) /* on P-521 only: 138 at most */
        lk_buf_add_byte(der, DER_LONG_ONE);
    lk_buf_add_byte(der, (uint8_t)numbers.len);
    lk_buf_add(der, lk_buf_view(&numbers));
    return numbers.full || der->full ? LK_REFUSED : LK_OK;
}

static lk_status from_der(const curve *c, lk_view der, lk_buf *raw)
{
    const unsigned char *at = der.p;
    ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &at, (long)der.len);
    int len = (int)c->len;
    lk_status status = LK_FAULT;
    uint8_t both[2 * MAX];

    if (pair != NULL && BN_bn2binpad(ECDSA_SIG_get0_r(pair), both, len) == len &&
        BN_bn2binpad(ECDSA_SIG_get0_s(pair), both + len, len) == len) {
        lk_buf_add(raw, lk_view_make(both, 2 * c->len));
        status = lk_buf_status(raw);
    }
    ECDSA_SIG_free(pair);
    return status;
}

static lk_status p256_to_der(lk_view raw, lk_buf *der)
{
    return to_der(&curves[LK_CURVE_P256], raw, der);
}

static lk_status p256_from_der(lk_view der, lk_buf *raw)
{
    return from_der(&curves[LK_CURVE_P256], der, raw);
}

static lk_status p384_to_der(lk_view raw, lk_buf *der)
{
    return to_der(&curves[LK_CURVE_P384], raw, der);
}

static lk_status p384_from_der(lk_view der, lk_buf *raw)
{
    return from_der(&curves[LK_CURVE_P384], der, raw);
}

static lk_status p521_to_der(lk_view raw, lk_buf *der)
{
    return to_der(&curves[LK_CURVE_P521], raw, der);
}

static lk_status p521_from_der(lk_view der, lk_buf *raw)
{
    return from_der(&curves[LK_CURVE_P521], der, raw);
}

/* The numbers as OpenSSL's parameters; D is NULL for a public key. NULL when memory is short. */
static OSSL_PARAM *make_params(const curve *c, const uint8_t *point, const BIGNUM *d)
{
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    OSSL_PARAM *params = NULL;

    if (build == NULL)
        return NULL;
    if (OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, c->name, 0) == 1 &&
        OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * c->len) == 1 &&
        (d == NULL || OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_PRIV_KEY, d) == 1))
        params = OSSL_PARAM_BLD_to_param(build);
    OSSL_PARAM_BLD_free(build);
    return params;
}

/* Read a pair, or a public key when D is NULL. LK_OK; LK_REFUSED; LK_FAULT. */
static lk_status read_key(const curve *c, const uint8_t *x, const uint8_t *y, const BIGNUM *d, EVP_PKEY **out)
{
    int wanted = d == NULL ? EVP_PKEY_PUBLIC_KEY : EVP_PKEY_KEYPAIR;
    EVP_PKEY_CTX *import = EVP_PKEY_CTX_new_from_name(NULL, "EC", NULL), *check = NULL;
    lk_status status = LK_FAULT;
    uint8_t point[POINT_MAX];
    OSSL_PARAM *params;
    EVP_PKEY *key = NULL;

    point[0] = POINT_CONVERSION_UNCOMPRESSED;
    memcpy(point + 1, x, c->len);
    memcpy(point + 1 + c->len, y, c->len);
    params = make_params(c, point, d);
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

lk_status lk_ec_public(const lk_env *env, lk_curve which, const uint8_t *x, const uint8_t *y,
                       lk_public_key **out)
{
    const curve *c = &curves[which];
    EVP_PKEY *pkey = NULL;
    lk_status status;

    *out = NULL;
    ERR_set_mark();
    status = read_key(c, x, y, NULL, &pkey);
    if (status == LK_OK)
        status = lk__public_key_take(env, pkey, &c->scheme, out);
    ERR_pop_to_mark();
    return status;
}

lk_status lk_ec_private(const lk_env *env, lk_curve which, const uint8_t *x, const uint8_t *y,
                        const uint8_t *d, lk_private_key **out)
{
    BIGNUM *number = BN_secure_new(); /* "secure" also means that the copies OpenSSL makes are wiped */
    const curve *c = &curves[which];
    lk_status status = LK_FAULT;
    EVP_PKEY *pkey = NULL;

    *out = NULL;
    ERR_set_mark();
    if (number != NULL && BN_bin2bn(d, (int)c->len, number) != NULL)
        status = read_key(c, x, y, number, &pkey);
    if (status == LK_OK)
        status = lk__private_key_take(env, pkey, &c->scheme, out);
    BN_clear_free(number);
    ERR_pop_to_mark();
    return status;
}

/* Number NAME of PKEY, padded to LEN bytes. */
static bool get_number(const EVP_PKEY *pkey, const char *name, uint8_t *out, size_t len)
{
    BIGNUM *number = NULL;
    bool done =
        EVP_PKEY_get_bn_param(pkey, name, &number) == 1 && BN_bn2binpad(number, out, (int)len) == (int)len;

    BN_clear_free(number);
    return done;
}

lk_status lk_ec_generate(lk_curve which, uint8_t *x, uint8_t *y, uint8_t *d)
{
    const curve *c = &curves[which];
    lk_status status = LK_FAULT;
    EVP_PKEY *pkey;

    ERR_set_mark();
    pkey = EVP_EC_gen(c->name);
    if (pkey != NULL && get_number(pkey, OSSL_PKEY_PARAM_EC_PUB_X, x, c->len) &&
        get_number(pkey, OSSL_PKEY_PARAM_EC_PUB_Y, y, c->len) &&
        get_number(pkey, OSSL_PKEY_PARAM_PRIV_KEY, d, c->len))
        status = LK_OK;
    EVP_PKEY_free(pkey);
    ERR_pop_to_mark();
    return status;
}
