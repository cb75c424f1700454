/* SPDX-License-Identifier: Apache-2.0
 *
 * peer_jose.c - jose, which takes a JWS as JSON: the three parts are packed first; the claims by jansson.
 */
#include "peer_claims.h"
#include "peers.h"
#include <jose/jose.h>
#include <jose/jws.h>

static json_t *jwk;

static bool prepare(const uint8_t *key, size_t len)
{
    jwk = json_pack("{s:s,s:s,s:o}", "kty", "oct", "alg", "HS256", "k", jose_b64_enc(key, len));
    return jwk != NULL;
}

static json_t *pack(const char *token, size_t len)
{
    const char *first = memchr(token, '.', len), *second = strrchr(token, '.');

    if (first == NULL || second == first)
        return NULL;
    return json_pack("{s:s%,s:s%,s:s%}", "protected", token, (size_t)(first - token), "payload", first + 1,
                     (size_t)(second - first - 1), "signature", second + 1,
                     (size_t)(token + len - second - 1));
}

static bool check(const char *token, size_t len, const char *issuer, const char *audience, int64_t now_s)
{
    char payload[2048];
    json_t *jws = pack(token, len);
    bool right = jws != NULL && jose_jws_ver(NULL, jws, NULL, jwk, false);

    if (right) {
        size_t n = jose_b64_dec(json_object_get(jws, "payload"), payload, sizeof(payload));
        right = n != SIZE_MAX && peer_claims_hold(payload, n, issuer, audience, now_s);
    }
    json_decref(jws);
    return right;
}

const bench_peer bench_jose = {"jose", prepare, check};
