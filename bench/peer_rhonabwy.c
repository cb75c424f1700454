/* SPDX-License-Identifier: Apache-2.0
 *
 * peer_rhonabwy.c - rhonabwy, which checks the claims itself.
 */
#include "peers.h"
#include <rhonabwy.h>

static jwk_t *jwk;

static bool prepare(const uint8_t *key, size_t len)
{
    return r_global_init() == RHN_OK && r_jwk_init(&jwk) == RHN_OK &&
           r_jwk_import_from_symmetric_key(jwk, key, len) == RHN_OK;
}

static bool check(const char *token, size_t len, const char *issuer, const char *audience, int64_t now_s)
{
    jwt_t *jwt = NULL;
    bool right;

    (void)len;
    (void)now_s; /* it asks the clock */
    right = r_jwt_init(&jwt) == RHN_OK && r_jwt_parse(jwt, token, 0) == RHN_OK &&
            r_jwt_verify_signature(jwt, jwk, 0) == RHN_OK && r_jwt_get_sign_alg(jwt) == R_JWA_ALG_HS256 &&
            r_jwt_validate_claims(jwt, R_JWT_CLAIM_ISS, issuer, R_JWT_CLAIM_AUD, audience, R_JWT_CLAIM_EXP,
                                  R_JWT_CLAIM_NOW, R_JWT_CLAIM_NOP) == RHN_OK;
    r_jwt_free(jwt);
    return right;
}

const bench_peer bench_rhonabwy = {"rhonabwy", prepare, check};
