/* SPDX-License-Identifier: Apache-2.0
 *
 * peer_claims.h - issuer, audience and expiry of a payload by jansson, for the libraries that stop at JWS.
 */
#ifndef LATCHKEY_BENCH_PEER_CLAIMS_H
#define LATCHKEY_BENCH_PEER_CLAIMS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static inline bool peer_is_text(const json_t *claims, const char *name, const char *wanted)
{
    const char *value = json_string_value(json_object_get(claims, name));

    return value != NULL && strcmp(value, wanted) == 0;
}

static inline bool peer_claims_hold(const char *payload, size_t len, const char *issuer, const char *audience,
                                    int64_t now_s)
{
    json_t *claims = json_loadb(payload, len, JSON_REJECT_DUPLICATES, NULL);
    bool right = peer_is_text(claims, "iss", issuer) && peer_is_text(claims, "aud", audience) &&
                 json_integer_value(json_object_get(claims, "exp")) > now_s;

    json_decref(claims);
    return right;
}

#endif
