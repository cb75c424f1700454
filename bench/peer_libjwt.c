/* SPDX-License-Identifier: Apache-2.0
 *
 * peer_libjwt.c - libjwt: it takes the key with every token, and leaves the claims to its caller.
 */
#include "peers.h"
#include <jwt.h>
#include <string.h>

static uint8_t key_bytes[64];
static int key_len;

static bool prepare(const uint8_t *key, size_t len)
{
    if (len > sizeof(key_bytes))
        return false;
    memcpy(key_bytes, key, len);
    key_len = (int)len;
    return true;
}

static bool is_text(jwt_t *jwt, const char *name, const char *wanted)
{
    const char *value = jwt_get_grant(jwt, name);

    return value != NULL && strcmp(value, wanted) == 0;
}

static bool check(const char *token, size_t len, const char *issuer, const char *audience, int64_t now_s)
{
    jwt_t *jwt = NULL;
    bool right;

    (void)len;
    if (jwt_decode(&jwt, token, key_bytes, key_len) != 0)
        return false;
    right = jwt_get_alg(jwt) == JWT_ALG_HS256 && is_text(jwt, "iss", issuer) &&
            is_text(jwt, "aud", audience) && jwt_get_grant_int(jwt, "exp") > now_s;
    jwt_free(jwt);
    return right;
}

const bench_peer bench_libjwt = {"libjwt", prepare, check};
