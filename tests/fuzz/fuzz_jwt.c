/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_jwt.c - JSON Web Tokens of any shape: what is accepted was signed, and says what it must say.
 *
 * Input: one letter, then for `r` a token as it is; for any other a header on the first line and a payload
 * after it, which are put in base64url and signed rightly, so that what stands behind the signature is tried
 * too.
 */
#include "fuzz_ring.h"
#include <jansson.h>
#include <latchkey/base64url.h>
#include <latchkey/json.h>
#include <string.h>

enum { ROOM = 65536 };

/* The parts of TEXT: what is signed, header, payload and signature as text. False unless there are three. */
static bool split(lk_view text, lk_view *message, lk_view parts[3])
{
    size_t first = lk_view_find(text, '.'), second;
    lk_view rest = lk_view_part(text, first + 1, SIZE_MAX);

    second = lk_view_find(rest, '.');
    if (first == text.len || second == rest.len)
        return false;
    parts[0] = lk_view_part(text, 0, first);
    parts[1] = lk_view_part(rest, 0, second);
    parts[2] = lk_view_part(rest, second + 1, SIZE_MAX);
    *message = lk_view_part(text, 0, first + 1 + second);
    return lk_view_find(parts[2], '.') == parts[2].len;
}

static lk_view build(lk_view header, lk_view payload, uint8_t *room)
{
    lk_buf b = lk_buf_over(room, ROOM);
    uint8_t sign[32];

    lk_base64url_encode(header, &b);
    lk_buf_add_byte(&b, '.');
    lk_base64url_encode(payload, &b);
    fuzz_hmac(fuzz_key(), lk_buf_view(&b), sign);
    lk_buf_add_byte(&b, '.');
    lk_base64url_encode(lk_view_make(sign, sizeof(sign)), &b);
    MUST(lk_buf_status(&b) == LK_OK);
    return lk_buf_view(&b);
}

static json_t *parse(lk_view part)
{
    static uint8_t room[ROOM];
    lk_buf b = lk_buf_over(room, sizeof(room));
    json_t *json;

    MUST(lk_base64url_decode(part, &b) == LK_OK);
    MUST(lk_json_check(lk_buf_view(&b), NULL, NULL) == LK_OK);
    json = json_loadb((const char *)room, b.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    MUST(json == NULL || json_is_object(json)); /* NULL: a number beyond what jansson can hold */
    return json;
}

/* RFC 7515 section 5.2, RFC 8725 sections 2.1, 3.1, 3.10. */
static void expect_header(lk_view part)
{
    json_t *header = parse(part);
    const char *alg, *kid;

    if (header == NULL)
        return;
    alg = json_string_value(json_object_get(header, "alg"));
    kid = json_string_value(json_object_get(header, "kid"));
    MUST(alg != NULL && strcmp(alg, "HS256") == 0);
    MUST(json_object_get(header, "kid") == NULL || (kid != NULL && strcmp(kid, FUZZ_KID) == 0));
    MUST(json_object_get(header, "crit") == NULL);
    json_decref(header);
}

static bool is_listed(const json_t *audience, const char *word)
{
    size_t i;
    const json_t *one;

    if (json_is_string(audience))
        return strcmp(json_string_value(audience), word) == 0;
    json_array_foreach(audience, i, one)
    {
        if (json_is_string(one) && strcmp(json_string_value(one), word) == 0)
            return true;
    }
    return false;
}

static void expect_claims(lk_view part, lk_status status, const lk_claims *claims)
{
    json_t *all = parse(part), *exp, *nbf, *sub;
    const char *iss;

    if (all == NULL)
        return;
    exp = json_object_get(all, "exp");
    nbf = json_object_get(all, "nbf");
    sub = json_object_get(all, "sub");
    iss = json_string_value(json_object_get(all, "iss"));
    MUST(iss != NULL && strcmp(iss, "https://login.example.org") == 0);
    MUST(is_listed(json_object_get(all, "aud"), "api"));
    MUST(json_is_number(exp));
    /* A fraction is cut off, so a token may end up to a second early, never late. */
    MUST(status == LK_STALE ? json_number_value(exp) < FUZZ_NOW_S + 1 : json_number_value(exp) > FUZZ_NOW_S);
    if (status == LK_OK && nbf != NULL)
        MUST(json_is_number(nbf) && json_number_value(nbf) < FUZZ_NOW_S + 1);
    if (sub != NULL)
        MUST(json_is_string(sub) &&
             lk_view_equal(claims->user, lk_view_make(json_string_value(sub), json_string_length(sub))));
    json_decref(all);
}

static void try_token(lk_view text)
{
    static const lk_expect expect = {.issuer = {(const uint8_t *)"https://login.example.org", 25},
                                     .audience = {(const uint8_t *)"api", 3},
                                     .type = {(const uint8_t *)"at+jwt", 6},
                                     .need_expiry = true,
                                     .now_s = FUZZ_NOW_S};
    static uint8_t room[ROOM], more[ROOM];
    lk_buf payload = lk_buf_over(room, sizeof(room)), scratch = lk_buf_over(more, sizeof(more));
    lk_reason why_jws = LK_REASON_NONE, why = LK_REASON_NONE;
    lk_status jws = lk_jws_check(fuzz_ring(), text, &payload, &why_jws, NULL), jwt;
    lk_view message, parts[3];
    uint8_t sign[32], given[64];
    lk_buf g = lk_buf_over(given, sizeof(given));
    lk_claims claims;

    jwt = lk_jwt_check(fuzz_ring(), text, &expect, &scratch, &claims, &why, NULL);
    MUST(jws == LK_OK || (jws == LK_REFUSED && why_jws != LK_REASON_NONE && payload.len == 0));
    MUST(jwt == LK_OK || (jwt == LK_STALE && why == LK_REASON_EXPIRED) ||
         (jwt == LK_REFUSED && why != LK_REASON_NONE && scratch.len == 0 && fuzz_claims_are_empty(&claims)));
    MUST(jws == LK_OK || jwt == LK_REFUSED);
    if (jws != LK_OK)
        return;
    MUST(text.len <= LK_CREDENTIAL_MAX && split(text, &message, parts));
    fuzz_hmac(fuzz_key(), message, sign);
    MUST(lk_base64url_decode(parts[2], &g) == LK_OK && g.len == 32 && memcmp(given, sign, 32) == 0);
    expect_header(parts[0]);
    if (jwt != LK_REFUSED)
        expect_claims(parts[1], jwt, &claims);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t room[ROOM];
    lk_view rest = lk_view_make(data, size), header;

    if (size == 0 || size > 20000)
        return 0;
    rest = lk_view_part(rest, 1, SIZE_MAX);
    if (data[0] == 'r') {
        try_token(rest);
        return 0;
    }
    header = fuzz_line(&rest);
    try_token(build(header, rest, room));
    return 0;
}
