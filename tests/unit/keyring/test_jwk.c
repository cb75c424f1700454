/* SPDX-License-Identifier: Apache-2.0
 *
 * test_jwk.c - which JSON Web Keys and sets are taken for checking, and which are refused with what sentence.
 */
#include "key_fixture.h"
#include <latchkey/json.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "test_env.h"

#define K32 "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
#define ED "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\""
#define EC                                                                                                   \
    "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\",\"y\":"          \
    "\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\""

static void accept(const char *jwk)
{
    lk_note note = {0};
    lk_keyring *ring = ring_of(jwk, &note);

    if (ring == NULL)
        fail_msg("%s: %s", jwk, note.text);
    lk_keyring_free(ring);
}

/* Refused, by a sentence that has WORDS in it. */
static void refuse(const char *jwk, const char *words)
{
    lk_note note = {0};
    lk_keyring *ring = ring_of(jwk, &note);

    if (ring != NULL)
        fail_msg("accepted: %s", jwk);
    if (strstr(note.text, words) == NULL)
        fail_msg("%s\n   is refused with: %s\n   which lacks: %s", jwk, note.text, words);
}

static void key_without_alg_gets_the_one_of_its_kind(void **state)
{
    static const struct {
        const char *jwk;
        lk_alg alg;
    } cases[] = {
        {"{\"kty\":\"oct\",\"k\":\"" K32 "\"}", LK_ALG_HS256},
        {"{" ED "}", LK_ALG_EDDSA},
        {"{" EC "}", LK_ALG_ES256},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        lk_keyring *ring = ring_of(cases[i].jwk, NULL);

        assert_non_null(ring);
        assert_int_equal(lk_verifier_alg(lk_keyring_verifier(ring, (lk_view){0})), cases[i].alg);
        lk_keyring_free(ring);
    }
}

static void members_that_are_not_understood_are_passed_over(void **state)
{
    (void)state;
    accept("{" ED ",\"ext\":true,\"x5c\":[\"AAAA\"],\"x5u\":\"https://a.example/\",\"q5\":{\"a\":[1,2]}}");
    accept(" \n\t{ \"kty\" : \"oct\" , \"k\" : \"" K32 "\" }\r\n");
}

static void alg_of_the_key_must_fit_its_kind(void **state)
{
    (void)state;
    accept("{" ED ",\"alg\":\"EdDSA\"}");
    refuse("{" ED ",\"alg\":\"ES256\"}", "not supported");
    refuse("{" ED ",\"alg\":\"none\"}", "not supported");
    refuse("{" EC ",\"alg\":\"HS256\"}", "not supported");
    refuse("{\"kty\":\"oct\",\"alg\":\"RS256\",\"k\":\"" K32 "\"}", "not supported");
    refuse("{" ED ",\"alg\":256}", "alg");
}

static void algorithms_there_are_none_of_are_refused_with_those_there_are(void **state)
{
    static const char *const jwks[] = {
        "{\"kty\":\"oct\",\"alg\":\"HS1\",\"k\":\"" K32 "\"}",
        "{\"kty\":\"RSA\",\"alg\":\"RSA-OAEP\",\"n\":\"AQ\",\"e\":\"AQAB\"}",
        "{\"kty\":\"RSA\",\"alg\":\"RS1\",\"n\":\"AQ\",\"e\":\"AQAB\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-384\",\"alg\":\"ES256\",\"x\":\"AQ\",\"y\":\"AQ\"}",
        "{\"kty\":\"EC\",\"crv\":\"secp256k1\",\"x\":\"AQ\",\"y\":\"AQ\"}",
        "{\"kty\":\"OKP\",\"crv\":\"X448\",\"x\":\"AQ\"}",
        "{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}",
        "{\"kty\":\"AKP\",\"alg\":\"ML-DSA-44\",\"pub\":\"AQ\"}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(jwks) / sizeof(jwks[0]); i++) {
        refuse(jwks[i], "HS256 (oct), ES256 (EC P-256), RS256 (RSA), EdDSA (OKP Ed25519), ");
        assert_null(ring_of(jwks[i], NULL));
    }
}

static void use_must_be_sig_or_absent_and_key_ops_must_hold_verify_or_be_absent(void **state)
{
    (void)state;
    accept("{" ED ",\"use\":\"sig\"}");
    accept("{" ED ",\"key_ops\":[\"verify\"]}");
    accept("{" ED ",\"key_ops\":[\"sign\",\"verify\"]}");
    refuse("{" ED ",\"use\":\"enc\"}", "use");
    refuse("{" ED ",\"use\":\"\"}", "use");
    refuse("{" ED ",\"use\":\"SIG\"}", "use");
    refuse("{" ED ",\"use\":[\"sig\"]}", "use");
    refuse("{" ED ",\"key_ops\":[]}", "key_ops");
    refuse("{" ED ",\"key_ops\":[\"sign\"]}", "key_ops");
    refuse("{" ED ",\"key_ops\":\"verify\"}", "key_ops");
    refuse("{" ED ",\"use\":\"sig\",\"key_ops\":[\"encrypt\"]}", "key_ops");
}

/* RFC 7517 section 9.3: and what is refused is not shown. */
static void private_member_in_a_public_key_is_refused_and_not_echoed(void **state)
{
    static const char *const names[] = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"};
    char jwk[1024];

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        lk_note note = {0};

        (void)snprintf(jwk, sizeof(jwk), "{" ED ",\"%s\":\"c2VjcmV0LXNlY3JldA\"}", names[i]);
        refuse(jwk, "private");
        assert_null(ring_of(jwk, &note));
        assert_null(strstr(note.text, "c2VjcmV0"));
    }
    refuse("{" EC ",\"d\":\"jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI\"}", "private");
}

static void hmac_key_under_256_bits_is_refused(void **state)
{
    (void)state;
    accept("{\"kty\":\"oct\",\"k\":\"" K32 "\"}");
    refuse("{\"kty\":\"oct\",\"k\":\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg\"}", "256");
    refuse("{\"kty\":\"oct\",\"k\":\"\"}", "k");
    refuse("{\"kty\":\"oct\"}", "k");
    refuse("{\"kty\":\"oct\",\"k\":\"" K32 "=\"}", "base64url");
    refuse("{\"kty\":\"oct\",\"k\":5}", "string");
}

/* A modulus of LEN bytes that begins with FIRST and ends with LAST, and the exponent E. */
static void rsa_of(char out[1400], size_t len, uint8_t first, uint8_t last, const char *e)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint8_t n[600];
    size_t at;

    memset(n, 0x5a, sizeof(n));
    n[0] = first;
    n[len - 1] = last;
    at = (size_t)snprintf(out, 1400, "{\"kty\":\"RSA\",\"e\":\"%s\",\"n\":\"", e);
    for (size_t bit = 0; bit < len * 8; bit += 6) {
        unsigned v = (unsigned)n[bit / 8] << 8 | (bit / 8 + 1 < len ? n[bit / 8 + 1] : 0);

        out[at++] = digits[v >> (10 - bit % 8) & 0x3f];
    }
    (void)snprintf(out + at, 1400 - at, "\"}");
}

static void rsa_key_that_is_too_short_or_odd_in_the_wrong_place_is_refused(void **state)
{
    char jwk[1400];

    (void)state;
    accept(rfc_rs256);
    rsa_of(jwk, 256, 0xc3, 0x5b, "AQAB"); /* a positive control: the helper makes what is taken */
    accept(jwk);
    rsa_of(jwk, 512, 0xc3, 0x5b, "Aw");
    accept(jwk);
    rsa_of(jwk, 128, 0xc3, 0x5b, "AQAB");
    refuse(jwk, "1024 bits");
    rsa_of(jwk, 256, 0x7f, 0x5b, "AQAB");
    refuse(jwk, "2047 bits");
    rsa_of(jwk, 513, 0x01, 0x5b, "AQAB");
    refuse(jwk, "longer");
    rsa_of(jwk, 257, 0x00, 0x5b, "AQAB");
    refuse(jwk, "zero");
    rsa_of(jwk, 256, 0xc3, 0x5a, "AQAB");
    refuse(jwk, "even");
    rsa_of(jwk, 256, 0xc3, 0x5b, "AQ");
    refuse(jwk, "exponent");
    rsa_of(jwk, 256, 0xc3, 0x5b, "AQAA");
    refuse(jwk, "exponent");
    rsa_of(jwk, 256, 0xc3, 0x5b, "AA");
    refuse(jwk, "zero");
    rsa_of(jwk, 256, 0xc3, 0x5b, "");
    refuse(jwk, "e");
    rsa_of(jwk, 256, 0xc3, 0x5b, "AQAAAAAAAAAB");
    refuse(jwk, "exponent");
}

static void ec_point_off_the_curve_or_with_short_coordinates_is_refused(void **state)
{
    (void)state;
    accept("{" EC "}");
    refuse("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\",\"y\":"
           "\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a8\"}",
           "no point");
    refuse("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\",\"y\":"
           "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}",
           "no point");
    refuse("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVA\",\"y\":"
           "\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}",
           "32");
    refuse("{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\"}", "y");
    refuse("{\"kty\":\"EC\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\"}", "not supported");
}

/* Points with which one signature is right for every message. */
static void ed25519_key_of_small_order_or_in_another_spelling_is_refused(void **state)
{
    static const char *const points[] = {
        "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",     /* order 1 */
        "7P___________________________________________38", /* too long, a positive control of the length rule
                                                            */
        "7P_______________________________________38",     /* order 2 */
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",     /* order 4 */
        "xxdqcD1N2E-6PAt2DRBnDyogU_osOczGTsf9d5KsA3o",     /* order 8 */
        "7v_______________________________________38",     /* 1 + p: order 1, written as a larger number */
    };

    (void)state;
    accept("{" ED "}");
    for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
        char jwk[256];

        (void)snprintf(jwk, sizeof(jwk), "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"%s\"}", points[i]);
        refuse(jwk, i == 1 ? "longer" : "small order");
    }
}

static void kid_must_be_a_short_printable_string(void **state)
{
    char jwk[512], kid[LK_KID_MAX + 2];

    (void)state;
    memset(kid, 'k', sizeof(kid));
    kid[LK_KID_MAX] = '\0';
    (void)snprintf(jwk, sizeof(jwk), "{" ED ",\"kid\":\"%s\"}", kid);
    accept(jwk);
    kid[LK_KID_MAX] = 'k';
    (void)snprintf(jwk, sizeof(jwk), "{" ED ",\"kid\":\"%.65s\"}", kid);
    refuse(jwk, "kid");
    accept("{" ED ",\"kid\":\"../../etc/passwd ~\"}"); /* a foreign name is a name and nothing else */
    refuse("{" ED ",\"kid\":\"a\\u0000b\"}", "kid");
    refuse("{" ED ",\"kid\":\"a\\nb\"}", "kid");
    refuse("{" ED ",\"kid\":\"\303\274\"}", "kid");
    refuse("{" ED ",\"kid\":7}", "kid");
}

static void set_answers_by_exact_kid_and_has_no_default_key(void **state)
{
    lk_keyring *ring = ring_of("{\"keys\":[{" ED ",\"kid\":\"a\"},{" EC ",\"kid\":\"b\"}]}", NULL);

    (void)state;
    assert_non_null(ring);
    assert_int_equal(lk_verifier_alg(lk_keyring_verifier(ring, LK_VIEW("a"))), LK_ALG_EDDSA);
    assert_int_equal(lk_verifier_alg(lk_keyring_verifier(ring, LK_VIEW("b"))), LK_ALG_ES256);
    assert_null(lk_keyring_verifier(ring, LK_VIEW("A")));
    assert_null(lk_keyring_verifier(ring, LK_VIEW("ab")));
    assert_null(lk_keyring_verifier(ring, LK_VIEW("")));
    lk_keyring_free(ring);
}

static void single_key_answers_for_an_absent_kid_and_for_its_own(void **state)
{
    lk_keyring *ring = ring_of("{" ED ",\"kid\":\"a\"}", NULL);

    (void)state;
    assert_non_null(lk_keyring_verifier(ring, LK_VIEW("a")));
    assert_non_null(lk_keyring_verifier(ring, LK_VIEW("")));
    assert_null(lk_keyring_verifier(ring, LK_VIEW("b")));
    lk_keyring_free(ring);
}

static void set_with_one_kid_twice_is_refused_even_when_one_key_is_not_for_us(void **state)
{
    (void)state;
    refuse("{\"keys\":[{" ED ",\"kid\":\"a\"},{" EC ",\"kid\":\"a\"}]}", "two keys");
    refuse("{\"keys\":[{" ED ",\"kid\":\"a\"},{" EC ",\"use\":\"enc\",\"kid\":\"a\"}]}", "two keys");
    refuse("{\"keys\":[{" ED ",\"kid\":\"a\"},{" EC ",\"kid\":\"\\u0061\"}]}", "two keys");
}

static void set_that_mixes_secret_and_public_keys_is_refused(void **state)
{
    (void)state;
    refuse("{\"keys\":[{" ED ",\"kid\":\"a\"},{\"kty\":\"oct\",\"k\":\"" K32 "\",\"kid\":\"b\"}]}", "mixes");
    refuse("{\"keys\":[{\"kty\":\"oct\",\"k\":\"" K32 "\",\"kid\":\"b\"},{" EC
           ",\"use\":\"enc\",\"kid\":\"a\"}]}",
           "mixes");
    accept("{\"keys\":[{\"kty\":\"oct\",\"k\":\"" K32 "\",\"kid\":\"b\"},{\"kty\":\"oct\",\"k\":\"" K32
           "\",\"kid\":\"c\"}]}");
}

/* RFC 7517 section 5: keys for other purposes belong in such a set. Broken ones do not. */
static void set_passes_over_keys_that_are_not_for_us_but_not_over_broken_ones(void **state)
{
    lk_keyring *ring = ring_of(
        "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"secp256k1\",\"x\":\"AQ\",\"y\":\"AQ\",\"kid\":\"x\"},{" ED
        ",\"kid\":\"a\"},{" EC ",\"use\":\"enc\",\"kid\":\"e\"}]}",
        NULL);

    (void)state;
    assert_non_null(ring);
    assert_non_null(lk_keyring_verifier(ring, LK_VIEW("a")));
    assert_null(lk_keyring_verifier(ring, LK_VIEW("x")));
    assert_null(lk_keyring_verifier(ring, LK_VIEW("e")));
    lk_keyring_free(ring);
    refuse("{\"keys\":[{" ED ",\"kid\":\"a\"},{\"kty\":\"RSA\",\"n\":\"AQ\",\"e\":\"AQAB\",\"kid\":\"r\"}]}",
           "1 bits");
    refuse("{\"keys\":[{" ED ",\"kid\":\"a\"},{" EC ",\"d\":\"AA\",\"kid\":\"r\"}]}", "private");
    refuse("{\"keys\":[{" ED ",\"kid\":\"a\"},5]}", "no object");
    refuse("{\"keys\":[{" EC ",\"use\":\"enc\"}]}", "use");
    refuse("{\"keys\":[]}", "no key");
    refuse("{\"keys\":{" ED "}}", "no array");
}

static void set_of_more_keys_than_the_bound_is_refused(void **state)
{
    const size_t size = 70 * 160;
    char *jwk = test_env()->alloc(test_env(), size);
    size_t at;

    (void)state;
    assert_non_null(jwk);
    at = (size_t)snprintf(jwk, size, "{\"keys\":[");
    for (int i = 0; i < 64; i++)
        at += (size_t)snprintf(jwk + at, size - at, "%s{" ED ",\"kid\":\"k%d\"}", i == 0 ? "" : ",", i);
    (void)snprintf(jwk + at, size - at, "]}");
    accept(jwk);
    at += (size_t)snprintf(jwk + at, size - at, ",{" ED ",\"kid\":\"last\"}");
    (void)snprintf(jwk + at, size - at, "]}");
    refuse(jwk, "more than 64");
    lk_free(test_env(), jwk);
}

static void text_that_is_no_json_object_is_refused_with_the_place(void **state)
{
    (void)state;
    refuse("", "line 1");
    refuse("[]", "no JSON object");
    refuse("\"kty\"", "no JSON object");
    refuse("{}", "kty");
    refuse("{" ED ",\"x\":\"AA\"}", "twice");
    refuse("{" ED "} trailing", "line 1");
    refuse("{" ED "", "line 1");
}

/* What a key directory keeps its secrets in is no key for checking. */
static void root_secret_is_no_key_for_checking(void **state)
{
    (void)state;
    refuse("{\"kty\":\"oct\",\"k\":\"" K32 "\",\"kid\":\"root-a\",\"lk_use\":\"root\",\"lk_created\":1}",
           "root");
}

static void checking_ring_makes_nothing_and_publishes_public_keys_only(void **state)
{
    lk_keyring *ring = ring_of("{\"keys\":[{" ED ",\"kid\":\"b\",\"junk\":1},{" EC ",\"kid\":\"a\"}]}", NULL);
    lk_keyring *secret = ring_of("{\"kty\":\"oct\",\"k\":\"" K32 "\"}", NULL);
    char *json = NULL;

    (void)state;
    for (lk_alg a = 0; a < LK_ALG_COUNT; a++)
        assert_null(lk_keyring_signer(ring, a));
    for (lk_purpose p = 0; p < LK_PURPOSE_COUNT; p++)
        assert_null(lk_keyring_mac(ring, p));
    assert_int_equal(lk_keyring_jwks(ring, &json), LK_OK);
    assert_string_equal(
        json, "{\"keys\":[{\"kty\":\"EC\",\"use\":\"sig\",\"alg\":\"ES256\",\"kid\":\"a\",\"crv\":\"P-256\","
              "\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\",\"y\":\"x_FEzRu9m36HLN_"
              "tue659LNpXW6pCyStikYjKIWI5a0\"},{\"kty\":\"OKP\",\"use\":\"sig\",\"alg\":\"EdDSA\",\"kid\":"
              "\"b\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}");
    lk_free(test_env(), json);
    assert_int_equal(lk_keyring_jwks(secret, &json), LK_OK);
    assert_string_equal(json, "{\"keys\":[]}");
    lk_free(test_env(), json);
    lk_keyring_free(ring);
    lk_keyring_free(secret);
}

static void failed_allocation_is_a_fault_and_leaks_nothing(void **state)
{
    static const char set[] = "{\"keys\":[{" ED ",\"kid\":\"a\"},{" EC ",\"kid\":\"b\"}]}";
    int before = test_alloc_live();
    bool failed = true;

    (void)state;
    for (int n = 1; failed; n++) {
        lk_keyring *ring = NULL;
        lk_status status;

        test_alloc_fail_at(n);
        status = lk_keyring_from_jwk(test_env(), lk_view_of(set), &ring, NULL);
        failed = test_alloc_failed();
        test_alloc_fail_at(0);
        assert_int_equal(status, failed ? LK_FAULT : LK_OK);
        assert_true((ring == NULL) == failed);
        lk_keyring_free(ring);
        assert_int_equal(test_alloc_live(), before);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(key_without_alg_gets_the_one_of_its_kind),
        cmocka_unit_test(members_that_are_not_understood_are_passed_over),
        cmocka_unit_test(alg_of_the_key_must_fit_its_kind),
        cmocka_unit_test(algorithms_there_are_none_of_are_refused_with_those_there_are),
        cmocka_unit_test(use_must_be_sig_or_absent_and_key_ops_must_hold_verify_or_be_absent),
        cmocka_unit_test(private_member_in_a_public_key_is_refused_and_not_echoed),
        cmocka_unit_test(hmac_key_under_256_bits_is_refused),
        cmocka_unit_test(rsa_key_that_is_too_short_or_odd_in_the_wrong_place_is_refused),
        cmocka_unit_test(ec_point_off_the_curve_or_with_short_coordinates_is_refused),
        cmocka_unit_test(ed25519_key_of_small_order_or_in_another_spelling_is_refused),
        cmocka_unit_test(kid_must_be_a_short_printable_string),
        cmocka_unit_test(set_answers_by_exact_kid_and_has_no_default_key),
        cmocka_unit_test(single_key_answers_for_an_absent_kid_and_for_its_own),
        cmocka_unit_test(set_with_one_kid_twice_is_refused_even_when_one_key_is_not_for_us),
        cmocka_unit_test(set_that_mixes_secret_and_public_keys_is_refused),
        cmocka_unit_test(set_passes_over_keys_that_are_not_for_us_but_not_over_broken_ones),
        cmocka_unit_test(set_of_more_keys_than_the_bound_is_refused),
        cmocka_unit_test(text_that_is_no_json_object_is_refused_with_the_place),
        cmocka_unit_test(root_secret_is_no_key_for_checking),
        cmocka_unit_test(checking_ring_makes_nothing_and_publishes_public_keys_only),
        cmocka_unit_test(failed_allocation_is_a_fault_and_leaks_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
