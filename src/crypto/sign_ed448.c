/* SPDX-License-Identifier: Apache-2.0
 *
 * sign_ed448.c - Ed448 by OpenSSL (RFC 8032 section 5.2).
 *
 * OpenSSL takes any 57 bytes for a public key and only fails at the first signature, and it takes points of
 * small order, under which one signature is right for every message. Both are found here, when the key is
 * read.
 */
#include "crypto/sign_prepared.h"
#include <openssl/bn.h>
#include <openssl/err.h>

#define Y_LEN 56
#define SIGN_BIT 0x80
#define D_NEGATED 39081 /* d of x^2 + y^2 = 1 + d x^2 y^2, with its sign turned */

static const lk__scheme ed448 = {.signature_len = LK_ED448_SIGNATURE_LEN};

/* p = 2^448 - 2^224 - 1 */
static bool set_prime(BIGNUM *p, BIGNUM *scratch)
{
    return BN_one(p) == 1 && BN_lshift(p, p, 448) == 1 && BN_one(scratch) == 1 &&
           BN_lshift(scratch, scratch, 224) == 1 && BN_sub(p, p, scratch) == 1 && BN_sub_word(p, 1) == 1;
}

/* The numerator and the denominator of x^2 = (y^2 - 1) / (d y^2 - 1), the latter with its sign turned:
 * U = 1 - y^2, V = 1 + 39081 y^2 modulo P. */
static bool set_fraction(BIGNUM *u, BIGNUM *v, const BIGNUM *y, const BIGNUM *p, BN_CTX *ctx)
{
    return BN_mod_sqr(v, y, p, ctx) == 1 && BN_mod_sub(u, BN_value_one(), v, p, ctx) == 1 &&
           BN_mul_word(v, D_NEGATED) == 1 && BN_add_word(v, 1) == 1 && BN_nnmod(v, v, p, ctx) == 1;
}

/* y of the encoding, which must be below P and not that of a point of small order: 1, -1 and 0, of the orders
 * 1, 2 and 4. With any other y, x is no 0, and each sign is a point of its own. LK_OK; LK_REFUSED; LK_FAULT.
 */
static lk_status check_y(const BIGNUM *y, const BIGNUM *p, BIGNUM *scratch)
{
    if (BN_cmp(y, p) >= 0 || BN_is_zero(y) || BN_is_one(y))
        return LK_REFUSED;
    if (BN_copy(scratch, p) == NULL || BN_sub_word(scratch, 1) != 1)
        return LK_FAULT;
    return BN_cmp(y, scratch) == 0 ? LK_REFUSED : LK_OK;
}

static lk_status check_point(const uint8_t x[LK_ED448_LEN], BN_CTX *ctx)
{
    BIGNUM *p = BN_CTX_get(ctx), *y = BN_CTX_get(ctx), *u = BN_CTX_get(ctx), *v = BN_CTX_get(ctx);
    lk_status status;
    int square;

    if (v == NULL || !set_prime(p, u) || BN_lebin2bn(x, Y_LEN, y) == NULL)
        return LK_FAULT;
    status = check_y(y, p, u);
    if (status != LK_OK)
        return status;
    /* u/v is a square when u*v is; v is no 0, for d is none. */
    if (!set_fraction(u, v, y, p, ctx) || BN_mod_mul(u, u, v, p, ctx) != 1)
        return LK_FAULT;
    square = BN_kronecker(u, p, ctx);
    if (square == -2)
        return LK_FAULT;
    return square == 1 ? LK_OK : LK_REFUSED;
}

static lk_status check_public(const uint8_t x[LK_ED448_LEN])
{
    lk_status status = LK_FAULT;
    BN_CTX *ctx;

    if ((x[Y_LEN] & ~SIGN_BIT) != 0)
        return LK_REFUSED;
    ctx = BN_CTX_new();
    if (ctx != NULL) {
        BN_CTX_start(ctx);
        status = check_point(x, ctx);
        BN_CTX_end(ctx);
    }
    BN_CTX_free(ctx);
    return status;
}

lk_status lk_ed448_public(const lk_env *env, const uint8_t x[LK_ED448_LEN], lk_public_key **out)
{
    lk_status status;
    EVP_PKEY *pkey;

    *out = NULL;
    ERR_set_mark();
    status = check_public(x);
    if (status == LK_OK) {
        pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED448, NULL, x, LK_ED448_LEN);
        status = pkey == NULL ? LK_FAULT : lk__public_key_take(env, pkey, &ed448, out);
    }
    ERR_pop_to_mark();
    return status;
}

static bool get_public(const EVP_PKEY *pkey, uint8_t x[LK_ED448_LEN])
{
    size_t len = LK_ED448_LEN;

    return pkey != NULL && EVP_PKEY_get_raw_public_key(pkey, x, &len) == 1 && len == LK_ED448_LEN;
}

lk_status lk_ed448_private(const lk_env *env, const uint8_t x[LK_ED448_LEN], const uint8_t seed[LK_ED448_LEN],
                           lk_private_key **out)
{
    uint8_t computed[LK_ED448_LEN];
    lk_status status = LK_FAULT;
    EVP_PKEY *pkey;

    *out = NULL;
    ERR_set_mark();
    pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED448, NULL, seed, LK_ED448_LEN);
    /* To sign with a public key that is not one's own gives the private one away. */
    if (get_public(pkey, computed))
        status = lk_view_equal(lk_view_make(x, LK_ED448_LEN), lk_view_make(computed, sizeof(computed)))
                     ? LK_OK
                     : LK_REFUSED;
    if (status == LK_OK)
        status = lk__private_key_take(env, pkey, &ed448, out);
    else
        EVP_PKEY_free(pkey);
    ERR_pop_to_mark();
    return status;
}

lk_status lk_ed448_expand(const uint8_t seed[LK_ED448_LEN], uint8_t x[LK_ED448_LEN])
{
    lk_status status;
    EVP_PKEY *pkey;

    ERR_set_mark();
    pkey = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED448, NULL, seed, LK_ED448_LEN);
    status = get_public(pkey, x) ? LK_OK : LK_FAULT;
    EVP_PKEY_free(pkey);
    ERR_pop_to_mark();
    return status;
}
