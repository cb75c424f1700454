/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_dpop.c - proofs of possession, and the field of signed requests, of any shape: what is accepted proves
 * the request it came with.
 *
 * Input: one letter. `r`: a proof as it is. `s`: an Authorization field as it is. Any other: the members of a
 * header on the first line (a jwk is put before them) and a payload after it, signed with the key of that
 * jwk.
 */
#include "crypto/sign.h"
#include "fuzz_ring.h"
#include <jansson.h>
#include <latchkey/base64url.h>
#include <latchkey/proof.h>
#include <stdio.h>
#include <string.h>

enum { ROOM = 65536 };

#define TOKEN "token"
#define TOKEN_HASH "PEaenWxYddN6Q_NT1PiOYfz4EsZu7jRXRlpAsNpBU-A" /* base64url of its SHA-256 */

typedef struct key {
    uint8_t secret[LK_ED25519_SECRET_LEN];
    char jwk[128], jkt[LK_THUMBPRINT_LEN + 1];
} key;

static const key *the_key(void)
{
    static key k;
    uint8_t seed[LK_ED25519_SEED_LEN] = {1}, public[LK_ED25519_PUBLIC_LEN];
    lk_buf text = lk_buf_over(k.jwk, sizeof(k.jwk)), jkt = lk_buf_over(k.jkt, sizeof(k.jkt));

    if (k.jwk[0] != '\0')
        return &k;
    MUST(lk_ed25519_expand(seed, k.secret, public) == LK_OK);
    lk_buf_add_text(&text, "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"");
    lk_base64url_encode(lk_view_make(public, sizeof(public)), &text);
    lk_buf_add_text(&text, "\"}");
    MUST(lk_jwk_thumbprint(lk_buf_view(&text), &jkt, NULL) == LK_OK);
    MUST(lk_buf_text(&text) != NULL && lk_buf_text(&jkt) != NULL);
    return &k;
}

static lk_view build(lk_view members, lk_view payload, uint8_t *room)
{
    static uint8_t head[ROOM];
    lk_buf b = lk_buf_over(room, ROOM), header = lk_buf_over(head, sizeof(head));
    uint8_t sign[LK_ED25519_SIGNATURE_LEN];

    lk_buf_add_text(&header, "{\"jwk\":");
    lk_buf_add_text(&header, the_key()->jwk);
    lk_buf_add_byte(&header, ',');
    lk_buf_add(&header, members);
    lk_buf_add_byte(&header, '}');
    lk_base64url_encode(lk_buf_view(&header), &b);
    lk_buf_add_byte(&b, '.');
    lk_base64url_encode(payload, &b);
    MUST(lk_ed25519_sign(the_key()->secret, lk_buf_view(&b), sign) == LK_OK);
    lk_buf_add_byte(&b, '.');
    lk_base64url_encode(lk_view_make(sign, sizeof(sign)), &b);
    MUST(lk_buf_status(&b) == LK_OK);
    return lk_buf_view(&b);
}

static json_t *parse(lk_view text, unsigned part)
{
    static uint8_t room[ROOM];
    lk_buf b = lk_buf_over(room, sizeof(room));
    size_t dot;

    for (unsigned i = 0; i < part; i++)
        text = lk_view_part(text, lk_view_find(text, '.') + 1, SIZE_MAX);
    dot = lk_view_find(text, '.');
    MUST(lk_base64url_decode(lk_view_part(text, 0, dot), &b) == LK_OK);
    return json_loadb((const char *)room, b.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
}

static bool says(const json_t *object, const char *name, const char *value)
{
    const char *text = json_string_value(json_object_get(object, name));

    return text != NULL && strcmp(text, value) == 0;
}

/* RFC 9449 section 4.3, by a second reader. */
static void expect_proof(lk_view text, const lk_dpop *out)
{
    json_t *header = parse(text, 0), *claims = parse(text, 1), *jwk = json_object_get(header, "jwk");
    static const char *const secret[] = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"};

    MUST(strcmp(out->jkt, the_key()->jkt) == 0); /* nobody else's signature can be right here */
    if (header != NULL) {
        MUST(says(header, "typ", "dpop+jwt") && says(header, "alg", "EdDSA"));
        MUST(json_object_get(header, "crit") == NULL);
        for (size_t i = 0; i < sizeof(secret) / sizeof(secret[0]); i++)
            MUST(json_object_get(jwk, secret[i]) == NULL);
    }
    if (claims != NULL) {
        json_t *iat = json_object_get(claims, "iat"), *id = json_object_get(claims, "jti");

        MUST(says(claims, "htm", "GET") && says(claims, "ath", TOKEN_HASH));
        MUST(json_is_number(iat) && json_number_value(iat) >= FUZZ_NOW_S - 60 &&
             json_number_value(iat) < FUZZ_NOW_S + 6);
        MUST(lk_view_equal(out->id, lk_view_make(json_string_value(id), json_string_length(id))));
        MUST(out->id.len > 0 && out->id.len <= LK_DPOP_ID_MAX);
        /* "https://a.b/c", however it is written: nothing else ends in that path on that host */
        MUST(strstr(json_string_value(json_object_get(claims, "htu")), "://") != NULL);
    }
    json_decref(header);
    json_decref(claims);
}

static void try_proof(lk_view text)
{
    static const lk_dpop nothing;
    static uint8_t room[LK_DPOP_MAX];
    const lk_dpop_expect expect = {
        .about = {LK_VIEW("GET"), LK_VIEW("https"), LK_VIEW("a.b"), LK_VIEW("/c?d")},
        .token = LK_VIEW(TOKEN),
        .jkt = lk_view_of(the_key()->jkt),
        .now_s = FUZZ_NOW_S,
        .back_s = 60,
        .ahead_s = 5};
    lk_buf scratch = lk_buf_over(room, sizeof(room));
    lk_reason why;
    lk_dpop out;
    lk_status status = lk_dpop_check(lk_env_system(), text, &expect, &scratch, &out, &why, NULL);

    MUST(status == LK_OK || status == LK_REFUSED || status == LK_STALE);
    MUST((status == LK_OK) == (why == LK_REASON_NONE));
    if (status == LK_OK)
        expect_proof(text, &out);
    else
        MUST(scratch.len == 0 && memcmp(&out, &nothing, sizeof(out)) == 0);
}

/* The field has one spelling: what is read, written again, is what was read. */
static void try_signature(lk_view field)
{
    char again[LK_SIGNATURE_FIELD_MAX + 1];
    lk_request_signature s;
    lk_status status = lk_request_signature_read(field, &s);
    lk_view v = lk_view_trim(field);
    size_t scheme = strlen(LK_SIGNATURE_SCHEME);

    MUST(status == LK_OK || status == LK_MISS || status == LK_REFUSED);
    if (status != LK_OK)
        return;
    int len = snprintf(again, sizeof(again), " key=lk_%.*s, time=%lld, nonce=%.*s, body=%.*s, sign=%.*s",
                       (int)s.key.len, (const char *)s.key.p, (long long)s.time_s, (int)s.nonce.len,
                       (const char *)s.nonce.p, (int)s.body.len, (const char *)s.body.p, (int)s.sign.len,
                       (const char *)s.sign.p);
    MUST(lk_view_equal(lk_view_part(v, scheme, v.len), lk_view_make(again, (size_t)len)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static uint8_t room[ROOM];
    lk_view rest = lk_view_make(data, size), members;

    if (size == 0 || size > 20000)
        return 0;
    rest = lk_view_part(rest, 1, SIZE_MAX);
    if (data[0] == 'r') {
        try_proof(rest);
    } else if (data[0] == 's') {
        try_signature(rest);
    } else {
        members = fuzz_line(&rest);
        try_proof(build(members, rest, room));
    }
    return 0;
}
