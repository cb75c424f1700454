/* SPDX-License-Identifier: Apache-2.0
 *
 * test_dpop.c - the checks of RFC 9449 section 4.3, one by one: each with the proof that passes but for it.
 */
#include "token_fixture.h"
#include <latchkey/base64url.h>
#include <latchkey/json.h>
#include <latchkey/proof.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "test_env.h"

#define TOKEN "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU" /* RFC 9449 section 7.1 */
#define TOKEN_HASH "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"
#define GOOD_CLAIMS                                                                                          \
    "{\"htm\":\"POST\",\"htu\":\"https://shop.example/api/orders\",\"iat\":1800000000,"                      \
    "\"jti\":\"e1j3V_bKic8-LAEB\",\"ath\":\"" TOKEN_HASH "\"}"

/* The public JWK of the active key of ALG, as the ring publishes it. */
static const char *jwk_of(lk_alg alg)
{
    static char out[2048];
    lk_view kid = lk_signer_kid(lk_keyring_signer(ring, alg)), name;
    lk_json_item keys, key, item;
    size_t at = 0;
    char *json, room[LK_KID_MAX];

    assert_int_equal(lk_keyring_jwks(ring, &json), LK_OK);
    assert_int_equal(lk_json_get(lk_view_of(json), LK_VIEW("keys"), &keys), LK_OK);
    out[0] = '\0';
    while (lk_json_next(keys.value, &at, &key)) {
        lk_buf text = lk_buf_over(room, sizeof(room));

        assert_int_equal(lk_json_get(key.value, LK_VIEW("kid"), &item), LK_OK);
        assert_int_equal(lk_json_string(item.value, &text), LK_OK);
        name = lk_buf_view(&text);
        if (lk_view_equal(name, kid))
            (void)snprintf(out, sizeof(out), "%.*s", (int)key.value.len, (const char *)key.value.p);
    }
    free(json);
    assert_int_not_equal(out[0], '\0');
    return out;
}

static const char *header_with(lk_alg alg, const char *type, const char *name, const char *jwk)
{
    static char out[4096];

    (void)alg;
    (void)snprintf(out, sizeof(out), "{\"typ\":\"%s\",\"alg\":\"%s\",\"jwk\":%s}", type, name, jwk);
    return out;
}

static lk_view proof_with(lk_alg alg, const char *claims)
{
    return craft(alg, header_with(alg, "dpop+jwt", lk_alg_jose(alg), jwk_of(alg)), claims);
}

static lk_dpop_expect expected(void)
{
    return (lk_dpop_expect){.about = {.method = LK_VIEW("POST"),
                                      .scheme = LK_VIEW("https"),
                                      .host = LK_VIEW("shop.example"),
                                      .target = LK_VIEW("/api/orders?page=2")},
                            .token = LK_VIEW(TOKEN),
                            .now_s = NOW,
                            .back_s = 60,
                            .ahead_s = 5};
}

static uint8_t scratch_memory[LK_DPOP_MAX];

static lk_status check(lk_view proof, const lk_dpop_expect *expect, lk_dpop *out, lk_reason *why)
{
    static const lk_dpop nothing;
    lk_buf scratch = lk_buf_over(scratch_memory, sizeof(scratch_memory));
    lk_note note = {""};
    lk_status status = lk_dpop_check(test_env(), proof, expect, &scratch, out, why, &note);

    assert_true((status == LK_OK) == (*why == LK_REASON_NONE));
    if (status != LK_OK) {
        assert_memory_equal(out, &nothing, sizeof(nothing));
        assert_int_equal(scratch.len, 0);
    }
    return status;
}

static void expect_why(lk_view proof, const lk_dpop_expect *expect, lk_status status, lk_reason reason)
{
    lk_dpop out;
    lk_reason why;
    lk_status got = check(proof, expect, &out, &why);

    if (got != status || why != reason)
        fail_msg("%.*s\n   gives %s %s instead of %s %s", (int)proof.len, (const char *)proof.p,
                 lk_status_name(got), lk_reason_word(why), lk_status_name(status), lk_reason_word(reason));
}

/* Claims as they are, all else good. */
static void expect_claims(const char *claims, lk_status status, lk_reason reason)
{
    lk_dpop_expect e = expected();

    expect_why(proof_with(LK_ALG_EDDSA, claims), &e, status, reason);
}

static void expect_header(const char *header, lk_reason reason)
{
    lk_dpop_expect e = expected();

    expect_why(craft(LK_ALG_EDDSA, header, GOOD_CLAIMS), &e, reason == LK_REASON_NONE ? LK_OK : LK_REFUSED,
               reason);
}

/* ---- what passes ---- */

static void proof_and_thumbprint_of_the_rfc_are_right(void **state)
{
    static const char rfc[] = "eyJ0eXAiOiJkcG9wK2p3dCIsImFsZyI6IkVTMjU2IiwiandrIjp7Imt0eSI6Ik"
                              "VDIiwieCI6Imw4dEZyaHgtMzR0VjNoUklDUkRZOXpDa0RscEJoRjQyVVFVZldWQVdCR"
                              "nMiLCJ5IjoiOVZFNGpmX09rX282NHpiVFRsY3VOSmFqSG10NnY5VERWclUwQ2R2R1JE"
                              "QSIsImNydiI6IlAtMjU2In19.eyJqdGkiOiJlMWozVl9iS2ljOC1MQUVCIiwiaHRtIj"
                              "oiR0VUIiwiaHR1IjoiaHR0cHM6Ly9yZXNvdXJjZS5leGFtcGxlLm9yZy9wcm90ZWN0Z"
                              "WRyZXNvdXJjZSIsImlhdCI6MTU2MjI2MjYxOCwiYXRoIjoiZlVIeU8ycjJaM0RaNTNF"
                              "c05yV0JiMHhXWG9hTnk1OUlpS0NBcWtzbVFFbyJ9.2oW9RP35yRqzhrtNP86L-Ey71E"
                              "OptxRimPPToA1plemAgR6pxHF8y6-yqyVnmcw6Fy1dqd-jfxSYoMxhAJpLjA";
    lk_dpop_expect e = {.about = {.method = LK_VIEW("GET"),
                                  .scheme = LK_VIEW("https"),
                                  .host = LK_VIEW("resource.example.org"),
                                  .target = LK_VIEW("/protectedresource")},
                        .token = LK_VIEW(TOKEN),
                        .jkt = LK_VIEW("0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"),
                        .now_s = 1562262618,
                        .back_s = 60};
    lk_dpop out;
    lk_reason why;

    (void)state;
    assert_int_equal(check(lk_view_of(rfc), &e, &out, &why), LK_OK);
    assert_string_equal(out.jkt, "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I");
    assert_view(out.id, "e1j3V_bKic8-LAEB");
    assert_int_equal(out.issued_s, 1562262618);
    e.now_s += 61;
    expect_why(lk_view_of(rfc), &e, LK_STALE, LK_REASON_EXPIRED);
}

static void proof_by_every_asymmetric_algorithm_passes(void **state)
{
    lk_dpop_expect e = expected();
    lk_dpop out;
    lk_reason why;

    (void)state;
    for (lk_alg a = 0; a < LK_ALG_COUNT; a++) {
        if (lk_keyring_signer(ring, a) == NULL || lk_alg_name(a)[0] == 'H')
            continue;
        assert_int_equal(check(proof_with(a, GOOD_CLAIMS), &e, &out, &why), LK_OK);
        assert_int_equal(strlen(out.jkt), LK_JKT_LEN);
        assert_view(out.nonce, "");
    }
}

static void algorithms_that_are_told_are_those_that_pass(void **state)
{
    char memory[256];
    lk_buf list = lk_buf_over(memory, sizeof(memory));

    (void)state;
    lk_dpop_algs(&list);
    assert_true(lk_words_have(lk_buf_view(&list), LK_VIEW("ES256")));
    assert_true(lk_words_have(lk_buf_view(&list), LK_VIEW("EdDSA")));
    assert_false(lk_words_have(lk_buf_view(&list), LK_VIEW("HS256")));
}

static void token_may_be_asked_for_without_a_hash(void **state)
{
    lk_dpop_expect e = expected();

    (void)state;
    e.token = (lk_view){0};
    expect_why(proof_with(LK_ALG_ES256, "{\"htm\":\"POST\",\"htu\":\"https://shop.example/api/orders\","
                                        "\"iat\":1800000000,\"jti\":\"x\"}"),
               &e, LK_OK, LK_REASON_NONE);
}

/* ---- 2, 3: a well-formed JWT with all that must be in it ---- */

static void text_that_is_no_jwt_is_refused(void **state)
{
    static const char *const texts[] = {"", ".", "..", "a.b", "a.b.c.d", "e30.e30.e30", "e30.e30.", "=.=.="};
    static char longest[LK_DPOP_MAX + 2];
    lk_dpop_expect e = expected();

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        expect_why(lk_view_of(texts[i]), &e, LK_REFUSED, LK_REASON_MALFORMED);
    memset(longest, 'A', LK_DPOP_MAX + 1);
    expect_why(lk_view_of(longest), &e, LK_REFUSED, LK_REASON_MALFORMED);
}

static void claims_that_must_be_there_are_asked_for(void **state)
{
    static const char *const without[] = {
        "{\"htu\":\"https://shop.example/api/orders\",\"iat\":1800000000,\"jti\":\"x\",\"ath\":\"" TOKEN_HASH
        "\"}",
        "{\"htm\":\"POST\",\"iat\":1800000000,\"jti\":\"x\",\"ath\":\"" TOKEN_HASH "\"}",
        "{\"htm\":\"POST\",\"htu\":\"https://shop.example/api/orders\",\"jti\":\"x\",\"ath\":\"" TOKEN_HASH
        "\"}",
        "{\"htm\":\"POST\",\"htu\":\"https://shop.example/api/"
        "orders\",\"iat\":1800000000,\"ath\":\"" TOKEN_HASH "\"}",
        "{\"htm\":\"POST\",\"htu\":\"https://shop.example/api/"
        "orders\",\"iat\":1800000000,\"jti\":\"\",\"ath\":"
        "\"" TOKEN_HASH "\"}",
        "{\"htm\":[\"POST\"],\"htu\":\"https://shop.example/api/orders\",\"iat\":1800000000,\"jti\":\"x\"}",
        "{\"htm\":\"POST\",\"htu\":\"https://shop.example/api/orders\",\"iat\":\"1800000000\",\"jti\":\"x\"}",
        "{\"htm\":\"POST\",\"htu\":\"https://shop.example/api/orders\",\"iat\":1e300,\"jti\":\"x\"}",
        "{\"htm\":\"POST\",\"htu\":\"https://shop.example/api/"
        "orders\",\"iat\":1800000000,\"jti\":\"a\\u0000b\"}",
        "{\"htm\":\"POST\",\"htm\":\"POST\",\"htu\":\"https://shop.example/api/orders\",\"iat\":1800000000,"
        "\"jti\":\"x\"}",
        "[]"};

    (void)state;
    for (size_t i = 0; i < sizeof(without) / sizeof(without[0]); i++)
        expect_claims(without[i], LK_REFUSED, LK_REASON_MALFORMED);
    expect_claims(GOOD_CLAIMS, LK_OK, LK_REASON_NONE);
}

static void jti_longer_than_the_bound_is_refused(void **state)
{
    char claims[1024], id[LK_DPOP_ID_MAX + 2];

    (void)state;
    memset(id, 'i', sizeof(id));
    for (size_t len = LK_DPOP_ID_MAX; len <= LK_DPOP_ID_MAX + 1; len++) {
        (void)snprintf(claims, sizeof(claims),
                       "{\"htm\":\"POST\",\"htu\":\"https://shop.example/api/orders\",\"iat\":1800000000,"
                       "\"ath\":\"" TOKEN_HASH "\",\"jti\":\"%.*s\"}",
                       (int)len, id);
        expect_claims(claims, len == LK_DPOP_ID_MAX ? LK_OK : LK_REFUSED,
                      len == LK_DPOP_ID_MAX ? LK_REASON_NONE : LK_REASON_MALFORMED);
    }
}

/* ---- 4, 5: type and algorithm ---- */

static void type_is_dpop_jwt_and_nothing_else(void **state)
{
    static const char *const types[] = {"jwt", "at+jwt", "DPOP+JWT", "dpop", "", "application/dpop+jwt"};
    const char *jwk = jwk_of(LK_ALG_EDDSA);
    char header[2500];

    (void)state;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
        expect_header(header_with(LK_ALG_EDDSA, types[i], "EdDSA", jwk), LK_REASON_MALFORMED);
    (void)snprintf(header, sizeof(header), "{\"alg\":\"EdDSA\",\"jwk\":%s}", jwk);
    expect_header(header, LK_REASON_MALFORMED);
    (void)snprintf(header, sizeof(header),
                   "{\"typ\":\"dpop+jwt\",\"alg\":\"EdDSA\",\"crit\":[\"x\"],\"jwk\":%s}", jwk);
    expect_header(header, LK_REASON_MALFORMED);
}

static void algorithm_is_asymmetric_and_that_of_the_key(void **state)
{
    static const char *const algs[] = {"none", "None", "HS256", "HS512", "ES256", "RS256", "eddsa", "A128KW"};
    const char *jwk = jwk_of(LK_ALG_EDDSA);

    (void)state;
    for (size_t i = 0; i < sizeof(algs) / sizeof(algs[0]); i++)
        expect_header(header_with(LK_ALG_EDDSA, "dpop+jwt", algs[i], jwk), LK_REASON_BAD_SIGNATURE);
    expect_header(header_with(LK_ALG_EDDSA, "dpop+jwt", "EdDSA", jwk), LK_REASON_NONE);
}

/* Who sends a secret along could have made any signature with it. */
static void shared_secret_in_the_header_is_refused(void **state)
{
    lk_dpop_expect e = expected();

    (void)state;
    expect_why(
        craft(
            LK_ALG_HS256,
            "{\"typ\":\"dpop+jwt\",\"alg\":\"HS256\",\"jwk\":{\"kty\":\"oct\",\"k\":\"AAAAAAAAAAAAAAAAAAAAAA"
            "AAAAAAAAAAAAAAAAAAAAA\"}}",
            GOOD_CLAIMS),
        &e, LK_REFUSED, LK_REASON_BAD_SIGNATURE);
    expect_header("{\"typ\":\"dpop+jwt\",\"alg\":\"EdDSA\",\"jwk\":{\"kty\":\"oct\",\"k\":\"AAAA\"}}",
                  LK_REASON_MALFORMED);
}

/* ---- 6, 7: the key ---- */

static void signature_by_another_key_is_refused(void **state)
{
    lk_dpop_expect e = expected();
    const lk_view good = proof_with(LK_ALG_EDDSA, GOOD_CLAIMS);
    uint8_t changed[LK_DPOP_MAX];

    (void)state;
    memcpy(changed, good.p, good.len);
    size_t last = good.len - 10;
    changed[last] = changed[last] == 'A' ? 'B' : 'A';
    expect_why(lk_view_make(changed, good.len), &e, LK_REFUSED, LK_REASON_BAD_SIGNATURE);
    /* the key of RFC 8037, the signature of ours */
    expect_header(header_with(LK_ALG_EDDSA, "dpop+jwt", "EdDSA", rfc_eddsa), LK_REASON_BAD_SIGNATURE);
}

static void private_half_in_the_header_is_refused(void **state)
{
    static const char *const members[] = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"};
    const char *jwk = jwk_of(LK_ALG_EDDSA);
    char with[2500];

    (void)state;
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        (void)snprintf(with, sizeof(with), "{\"%s\":\"AAAA\",%s", members[i], jwk + 1);
        expect_header(header_with(LK_ALG_EDDSA, "dpop+jwt", "EdDSA", with), LK_REASON_MALFORMED);
    }
}

static void key_that_is_none_is_refused(void **state)
{
    static const char *const keys[] = {"null", "\"x\"", "{}", "{\"kty\":\"OKP\"}",
                                       "{\"kty\":\"OKP\",\"crv\":\"Ed25519\"}",
                                       "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":3}",
                                       /* one key must not have two thumbprints */
                                       "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"\\u0031\"}",
                                       "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AA\"}"};

    (void)state;
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
        expect_header(header_with(LK_ALG_EDDSA, "dpop+jwt", "EdDSA", keys[i]), LK_REASON_MALFORMED);
    expect_header("{\"typ\":\"dpop+jwt\",\"alg\":\"EdDSA\"}", LK_REASON_MALFORMED);
    /* points of small order, coordinates off the curve, short RSA */
    expect_header(
        header_with(
            LK_ALG_EDDSA, "dpop+jwt", "EdDSA",
            "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}"),
        LK_REASON_BAD_SIGNATURE);
    expect_header(
        header_with(LK_ALG_EDDSA, "dpop+jwt", "ES256",
                    "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE\","
                    "\"y\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAE\"}"),
        LK_REASON_BAD_SIGNATURE);
    expect_header(
        header_with(LK_ALG_EDDSA, "dpop+jwt", "RS256", "{\"kty\":\"RSA\",\"n\":\"wQ\",\"e\":\"AQAB\"}"),
        LK_REASON_BAD_SIGNATURE);
}

/* What else is said of the key changes neither what verifies nor its name. */
static void thumbprint_is_of_the_required_members_alone(void **state)
{
    lk_dpop_expect e = expected();
    lk_dpop plain, more;
    lk_reason why;
    char with[2500];

    (void)state;
    assert_int_equal(check(proof_with(LK_ALG_ES256, GOOD_CLAIMS), &e, &plain, &why), LK_OK);
    (void)snprintf(with, sizeof(with), "{\"x5c\":[\"MII\"],\"ext\":true,%s", jwk_of(LK_ALG_ES256) + 1);
    assert_int_equal(
        check(craft(LK_ALG_ES256, header_with(LK_ALG_ES256, "dpop+jwt", "ES256", with), GOOD_CLAIMS), &e,
              &more, &why),
        LK_OK);
    assert_string_equal(plain.jkt, more.jkt);
}

/* ---- 8, 9: the request ---- */

static void proof_for_another_method_is_refused(void **state)
{
    lk_dpop_expect e = expected();

    (void)state;
    e.about.method = LK_VIEW("GET");
    expect_why(proof_with(LK_ALG_EDDSA, GOOD_CLAIMS), &e, LK_REFUSED, LK_REASON_BAD_SIGNATURE);
    e.about.method = LK_VIEW("post"); /* methods are case-sensitive, RFC 9110 section 9.1 */
    expect_why(proof_with(LK_ALG_EDDSA, GOOD_CLAIMS), &e, LK_REFUSED, LK_REASON_BAD_SIGNATURE);
}

typedef struct url_case {
    const char *htu, *scheme, *host, *target;
    bool same;
} url_case;

static void url_is_compared_after_normalisation(void **state)
{
    static const url_case cases[] = {
        {"https://shop.example/api", "https", "shop.example", "/api", true},
        {"HTTPS://Shop.Example/api", "https", "shop.example", "/api", true},
        {"https://shop.example/api", "https", "SHOP.example:443", "/api?x=1", true},
        {"https://shop.example:443/api?x=2#f", "https", "shop.example", "/api?x=1", true},
        {"http://shop.example:80", "http", "shop.example", "/", true},
        {"https://shop.example", "https", "shop.example", "/?a", true},
        {"https://shop.example:8443/", "https", "shop.example:8443", "/", true},
        {"https://[::1]:8443/", "https", "[::1]:8443", "/", true},
        {"https://[::1]/", "https", "[::1]:443", "/", true},
        {"https://shop.example/a%7Eb/%e4", "https", "shop.example", "/a~b/%E4", true},
        {"https://shop.example/x/../a/./b", "https", "shop.example", "/a/b", true},
        {"https://shop.example/a/.", "https", "shop.example", "/a/", true},
        {"https://shop.example/api", "http", "shop.example", "/api", false},
        {"https://shop.example/api", "https", "shop.example", "/API", false},
        {"https://shop.example/api/", "https", "shop.example", "/api", false},
        {"https://shop.example//api", "https", "shop.example", "/api", false},
        {"https://shop.example/a%2Fb", "https", "shop.example", "/a/b", false},
        {"https://shop.example/api", "https", "shop.example:8443", "/api", false},
        {"https://shop.example:80/api", "https", "shop.example", "/api", false},
        {"https://evil.example/api", "https", "shop.example", "/api", false},
        {"https://shop.example.evil/api", "https", "shop.example", "/api", false},
        {"https://user@shop.example/api", "https", "shop.example", "/api", false},
        {"https:/shop.example/api", "https", "shop.example", "/api", false},
        {"/api", "https", "shop.example", "/api", false},
        {"", "https", "shop.example", "/api", false},
        {"ftp://shop.example/api", "ftp", "shop.example", "/api", false},
        {"https://shop.example/a b", "https", "shop.example", "/a b", false},
        {"https://shop.example/%zz", "https", "shop.example", "/%zz", false},
        {"https:///api", "https", "", "/api", false},
    };
    char claims[512];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        lk_dpop_expect e = expected();

        e.about.scheme = lk_view_of(cases[i].scheme);
        e.about.host = lk_view_of(cases[i].host);
        e.about.target = lk_view_of(cases[i].target);
        (void)snprintf(
            claims, sizeof(claims),
            "{\"htm\":\"POST\",\"htu\":\"%s\",\"iat\":1800000000,\"jti\":\"x\",\"ath\":\"" TOKEN_HASH "\"}",
            cases[i].htu);
        expect_why(proof_with(LK_ALG_EDDSA, claims), &e, cases[i].same ? LK_OK : LK_REFUSED,
                   cases[i].same ? LK_REASON_NONE : LK_REASON_BAD_SIGNATURE);
    }
}

/* ---- 10: nonces ---- */

static void nonce_of_the_proof_is_handed_on(void **state)
{
    lk_dpop_expect e = expected();
    lk_dpop out;
    lk_reason why;

    (void)state;
    assert_int_equal(
        check(proof_with(LK_ALG_EDDSA,
                         "{\"htm\":\"POST\",\"htu\":\"https://shop.example/api/orders\",\"iat\":"
                         "1800000000,\"jti\":\"x\",\"nonce\":\"n-1\",\"ath\":\"" TOKEN_HASH "\"}"),
              &e, &out, &why),
        LK_OK);
    assert_view(out.nonce, "n-1");
}

static void nonce_is_ours_for_its_time_and_nobody_elses(void **state)
{
    char nonce[LK_DPOP_NONCE_LEN + 1];
    lk_keyring *other = fresh_ring();

    (void)state;
    assert_int_equal(lk_dpop_nonce_make(ring, NOW, nonce), LK_OK);
    assert_int_equal(lk_dpop_nonce_check(ring, lk_view_of(nonce), NOW, 60), LK_OK);
    assert_int_equal(lk_dpop_nonce_check(ring, lk_view_of(nonce), NOW + 60, 60), LK_OK);
    assert_int_equal(lk_dpop_nonce_check(ring, lk_view_of(nonce), NOW + 61, 60), LK_STALE);
    assert_int_equal(lk_dpop_nonce_check(other, lk_view_of(nonce), NOW, 60), LK_REFUSED);
    for (size_t i = 0; i < LK_DPOP_NONCE_LEN; i++) {
        char kept = nonce[i];

        nonce[i] = kept == 'A' ? 'B' : 'A';
        assert_int_equal(lk_dpop_nonce_check(ring, lk_view_of(nonce), NOW, 60), LK_REFUSED);
        nonce[i] = kept;
    }
    assert_int_equal(lk_dpop_nonce_check(ring, LK_VIEW(""), NOW, 60), LK_REFUSED);
    lk_keyring_free(other);
}

/* ---- 11: the time ---- */

static void proof_is_good_within_its_window_and_not_beyond(void **state)
{
    static const struct {
        int64_t after_s;
        lk_status status;
        lk_reason reason;
    } cases[] = {{-6, LK_REFUSED, LK_REASON_NOT_YET_VALID},
                 {-5, LK_OK, LK_REASON_NONE},
                 {0, LK_OK, LK_REASON_NONE},
                 {60, LK_OK, LK_REASON_NONE},
                 {61, LK_STALE, LK_REASON_EXPIRED}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        lk_dpop_expect e = expected();

        e.now_s = NOW + cases[i].after_s;
        expect_why(proof_with(LK_ALG_EDDSA, GOOD_CLAIMS), &e, cases[i].status, cases[i].reason);
    }
}

/* ---- 12: the token ---- */

static void proof_for_another_token_is_refused(void **state)
{
    lk_dpop_expect e = expected();

    (void)state;
    e.token = LK_VIEW(TOKEN "x");
    expect_why(proof_with(LK_ALG_EDDSA, GOOD_CLAIMS), &e, LK_REFUSED, LK_REASON_BAD_SIGNATURE);
    e = expected();
    expect_why(proof_with(LK_ALG_EDDSA, "{\"htm\":\"POST\",\"htu\":\"https://shop.example/api/orders\","
                                        "\"iat\":1800000000,\"jti\":\"x\"}"),
               &e, LK_REFUSED, LK_REASON_BAD_SIGNATURE);
}

static void token_bound_to_another_key_is_refused(void **state)
{
    lk_dpop_expect e = expected();
    lk_dpop out;
    lk_reason why;
    char jkt[LK_JKT_LEN + 1];

    (void)state;
    assert_int_equal(check(proof_with(LK_ALG_EDDSA, GOOD_CLAIMS), &e, &out, &why), LK_OK);
    memcpy(jkt, out.jkt, sizeof(jkt));
    e.jkt = lk_view_of(jkt);
    expect_why(proof_with(LK_ALG_EDDSA, GOOD_CLAIMS), &e, LK_OK, LK_REASON_NONE);
    expect_why(proof_with(LK_ALG_ES256, GOOD_CLAIMS), &e, LK_REFUSED, LK_REASON_WRONG_DEVICE);
}

/* ---- memory ---- */

static void proof_without_memory_is_a_fault_and_never_a_pass(void **state)
{
    lk_dpop_expect e = expected();
    uint8_t text[LK_DPOP_MAX];
    lk_view proof = proof_with(LK_ALG_EDDSA, GOOD_CLAIMS);
    lk_buf scratch = lk_buf_over(scratch_memory, sizeof(scratch_memory)),
           small = lk_buf_over(scratch_memory, 64);
    lk_dpop out;
    lk_reason why;

    (void)state;
    memcpy(text, proof.p, proof.len);
    proof.p = text;
    test_alloc_fail_at(1);
    assert_int_equal(lk_dpop_check(test_env(), proof, &e, &scratch, &out, &why, NULL), LK_FAULT);
    test_alloc_fail_at(0);
    assert_int_equal(lk_dpop_check(test_env(), proof, &e, &small, &out, &why, NULL), LK_FULL);
    assert_int_equal(lk_dpop_check(test_env(), proof, &e, &scratch, &out, &why, NULL), LK_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(proof_and_thumbprint_of_the_rfc_are_right),
        cmocka_unit_test(proof_by_every_asymmetric_algorithm_passes),
        cmocka_unit_test(algorithms_that_are_told_are_those_that_pass),
        cmocka_unit_test(token_may_be_asked_for_without_a_hash),
        cmocka_unit_test(text_that_is_no_jwt_is_refused),
        cmocka_unit_test(claims_that_must_be_there_are_asked_for),
        cmocka_unit_test(jti_longer_than_the_bound_is_refused),
        cmocka_unit_test(type_is_dpop_jwt_and_nothing_else),
        cmocka_unit_test(algorithm_is_asymmetric_and_that_of_the_key),
        cmocka_unit_test(shared_secret_in_the_header_is_refused),
        cmocka_unit_test(signature_by_another_key_is_refused),
        cmocka_unit_test(private_half_in_the_header_is_refused),
        cmocka_unit_test(key_that_is_none_is_refused),
        cmocka_unit_test(thumbprint_is_of_the_required_members_alone),
        cmocka_unit_test(proof_for_another_method_is_refused),
        cmocka_unit_test(url_is_compared_after_normalisation),
        cmocka_unit_test(nonce_of_the_proof_is_handed_on),
        cmocka_unit_test(nonce_is_ours_for_its_time_and_nobody_elses),
        cmocka_unit_test(proof_is_good_within_its_window_and_not_beyond),
        cmocka_unit_test(proof_for_another_token_is_refused),
        cmocka_unit_test(token_bound_to_another_key_is_refused),
        cmocka_unit_test(proof_without_memory_is_a_fault_and_never_a_pass),
    };

    return cmocka_run_group_tests(tests, make_ring, free_ring);
}
