/* SPDX-License-Identifier: Apache-2.0
 *
 * peer_cjose.c - cjose, which does JWS; the claims are read by jansson, as mod_auth_openidc does.
 */
#include "peer_claims.h"
#include "peers.h"
#include <cjose/cjose.h>

static cjose_jwk_t *jwk;

static bool prepare(const uint8_t *key, size_t len)
{
    jwk = cjose_jwk_create_oct_spec(key, len, NULL);
    return jwk != NULL;
}

static bool check(const char *token, size_t len, const char *issuer, const char *audience, int64_t now_s)
{
    cjose_jws_t *jws = cjose_jws_import(token, len, NULL);
    const char *alg =
        jws == NULL ? NULL : cjose_header_get(cjose_jws_get_protected(jws), CJOSE_HDR_ALG, NULL);
    uint8_t *payload = NULL;
    size_t payload_len = 0;
    bool right = alg != NULL && strcmp(alg, "HS256") == 0 && cjose_jws_verify(jws, jwk, NULL) &&
                 cjose_jws_get_plaintext(jws, &payload, &payload_len, NULL) &&
                 peer_claims_hold((const char *)payload, payload_len, issuer, audience, now_s);

    cjose_jws_release(jws);
    return right;
}

const bench_peer bench_cjose = {"cjose", prepare, check};
