/* SPDX-License-Identifier: Apache-2.0
 *
 * test_key_text.c - keys of others: public sets, PEM and thumbprints.
 */
#include "key_fixture.h"
#include "keyring/keyring_internal.h"
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "test_env.h"

#define ED "\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\""
#define EC                                                                                                   \
    "\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\",\"y\":\"x_"      \
    "FEzRu9"                                                                                                 \
    "m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\""
#define SECRET "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"
/* RFC 7638 section 3.1 */
#define RSA                                                                                                  \
    "\"kty\":\"RSA\",\"n\":"                                                                                 \
    "\"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1"                     \
    "L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMstn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_"        \
    "FDW2QvzqY"                                                                                              \
    "368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt-"                               \
    "bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3"                                                                       \
    "XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw\",\"e\":\"AQAB\""

/* --- Sets of public keys ---------------------------------------------------------------------------------
 */

static lk_keyring *public_set(const char *json, lk_alg_set allowed, lk_note *note)
{
    lk_keyring *ring = NULL;
    lk_status status = lk_keyring_from_jwks_public(test_env(), lk_view_of(json), allowed, &ring, note);

    assert_int_equal(status, ring != NULL ? LK_OK : LK_REFUSED);
    return ring;
}

/* Refused, with WORDS in the note and without anything secret. */
static void refuse_public(const char *json, lk_alg_set allowed, const char *words)
{
    lk_note note = {0};
    lk_keyring *ring = public_set(json, allowed, &note);

    if (ring != NULL || strstr(note.text, words) == NULL || strstr(note.text, "nWGxne") != NULL)
        fail_msg("%s: %s", json, note.text);
}

/* Is the key of KID there for exactly the algorithms in ALGS? */
static void expect_uses(const lk_keyring *ring, const char *kid, lk_alg_set algs)
{
    for (lk_alg a = 0; a < LK_ALG_COUNT; a++) {
        bool known;
        const lk_verifier *v =
            lk__keyring_verifier_for(ring, lk_view_of(kid), lk_view_of(lk_alg_jose(a)), &known);

        if (a == LK_ALG_ED448)
            continue; /* the same word as Ed25519 */
        assert_int_equal(v != NULL, (algs & LK_ALG_BIT(a)) != 0);
        if (v != NULL)
            assert_int_equal(lk_verifier_alg(v), a);
    }
}

static void rsa_key_without_alg_checks_by_what_is_allowed_and_nothing_else(void **state)
{
    const lk_alg_set two = LK_ALG_BIT(LK_ALG_PS256) | LK_ALG_BIT(LK_ALG_RS256) | LK_ALG_BIT(LK_ALG_HS256);
    lk_keyring *ring = public_set("{\"keys\":[{" RSA ",\"kid\":\"r\"},{" ED ",\"kid\":\"e\"}]}", two, NULL);

    (void)state;
    assert_non_null(ring);
    expect_uses(ring, "r", LK_ALG_BIT(LK_ALG_PS256) | LK_ALG_BIT(LK_ALG_RS256));
    expect_uses(ring, "e", 0); /* passed over: not allowed */
    lk_keyring_free(ring);
    ring = public_set("{\"keys\":[{" RSA ",\"kid\":\"r\",\"alg\":\"RS256\"},{" EC ",\"kid\":\"e\"}]}",
                      LK_ALGS_PUBLIC, NULL);
    expect_uses(ring, "r", LK_ALG_BIT(LK_ALG_RS256)); /* what the key says holds */
    expect_uses(ring, "e", LK_ALG_BIT(LK_ALG_ES256));
    lk_keyring_free(ring);
    refuse_public("{\"keys\":[{" RSA ",\"kid\":\"r\",\"alg\":\"RS256\"}]}", LK_ALG_BIT(LK_ALG_PS256),
                  "not allowed");
    refuse_public("{" RSA "}", 0, "not allowed");
}

static void secret_in_a_public_set_refuses_it_and_is_not_echoed(void **state)
{
    static const char *const sets[] = {
        "{\"keys\":[{" ED ",\"kid\":\"a\"},{" EC ",\"kid\":\"b\",\"d\":\"" SECRET "\"}]}",
        "{\"keys\":[{" ED ",\"kid\":\"a\",\"d\":\"" SECRET "\"}]}",
        "{" ED ",\"d\":\"" SECRET "\"}",
        "{\"kty\":\"oct\",\"k\":\"" SECRET "\"}",
        "{\"keys\":[{\"kty\":\"oct\",\"k\":\"" SECRET "\",\"kid\":\"nWGxneX\"}]}",
        "{\"keys\":[{\"kty\":\"oct\",\"use\":\"enc\",\"k\":\"" SECRET "\"}]}",
        "{\"keys\":[{" ED ",\"kid\":\"a\"},{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"AQ\",\"d\":\"" SECRET
        "\"}]}",
        "{\"keys\":[{" ED
        ",\"kid\":\"a\"},{\"kty\":\"AKP\",\"alg\":\"ML-DSA-44\",\"pub\":\"AQ\",\"priv\":\"" SECRET "\"}]}",
        "{\"keys\":[{" ED ",\"kid\":\"a\"},{" RSA ",\"use\":\"enc\",\"qi\":\"" SECRET "\"}]}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++)
        refuse_public(sets[i], LK_ALGS_PUBLIC, "");
    lk_keyring_free(public_set("{\"keys\":[{" ED ",\"kid\":\"a\"}]}", LK_ALGS_PUBLIC, NULL));
}

static void public_set_passes_over_what_is_not_for_us_and_refuses_what_is_broken(void **state)
{
    lk_keyring *ring =
        public_set("{\"keys\":[{\"kty\":\"AKP\",\"alg\":\"ML-DSA-44\",\"pub\":\"AQ\"},{" RSA
                   ",\"use\":\"enc\",\"kid\":\"x\"},{" ED ",\"kid\":\"a\",\"use\":\"sig\"},"
                   "{\"kty\":\"RSA\",\"alg\":\"RS512\",\"n\":\"AQ\",\"e\":\"AQAB\",\"kid\":\"w\"}]}",
                   LK_ALG_BIT(LK_ALG_EDDSA) | LK_ALG_BIT(LK_ALG_RS256), NULL);

    (void)state;
    assert_non_null(ring); /* the weak RSA key is for an algorithm that is not allowed: not looked at */
    expect_uses(ring, "a", LK_ALG_BIT(LK_ALG_EDDSA));
    assert_null(lk_keyring_verifier(ring, LK_VIEW("x")));
    assert_null(lk_keyring_verifier(ring, LK_VIEW("w")));
    lk_keyring_free(ring);
    refuse_public("{\"keys\":[{" ED
                  ",\"kid\":\"a\"},{\"kty\":\"RSA\",\"n\":\"AQ\",\"e\":\"AQAB\",\"kid\":\"w\"}]}",
                  LK_ALGS_PUBLIC, "1 bits");
    refuse_public("{\"keys\":[{" ED ",\"kid\":\"a\"},{" EC ",\"kid\":\"a\"}]}", LK_ALGS_PUBLIC, "two keys");
    refuse_public("{\"keys\":[{" ED ",\"kid\":\"a\"},{" EC ",\"kid\":\"a\"}]}", LK_ALG_BIT(LK_ALG_EDDSA),
                  "two keys");
    refuse_public("{\"keys\":[]}", LK_ALGS_PUBLIC, "no key");
    refuse_public("[]", LK_ALGS_PUBLIC, "no JSON object");
    refuse_public("<html>", LK_ALGS_PUBLIC, "line 1");
}

static void any_missing_memory_while_a_set_is_read_is_a_fault_and_leaks_nothing(void **state)
{
    const char *json = "{\"keys\":[{" RSA ",\"kid\":\"r\"},{" EC ",\"kid\":\"e\"}]}";
    lk_keyring *ring = NULL;
    lk_status status;
    int n = 0;

    (void)state;
    do {
        test_alloc_fail_at((size_t)++n);
        status = lk_keyring_from_jwks_public(test_env(), lk_view_of(json), LK_ALGS_PUBLIC, &ring, NULL);
        if (status != LK_OK)
            assert_int_equal(status, LK_FAULT);
    } while (status != LK_OK);
    test_alloc_fail_at(0);
    assert_true(n > 8); /* the ring, seven verifiers and what is in them */
    lk_keyring_free(ring);
}

/* --- Thumbprints -----------------------------------------------------------------------------------------
 */

static void expect_thumbprint(const char *jwk, const char *right)
{
    char memory[LK_THUMBPRINT_LEN + 1];
    lk_buf out = lk_buf_over(memory, sizeof(memory));

    assert_int_equal(lk_jwk_thumbprint(lk_view_of(jwk), &out, NULL), LK_OK);
    assert_string_equal(lk_buf_text(&out), right);
}

static void thumbprints_of_the_standards_are_right(void **state)
{
    (void)state;
    expect_thumbprint("{" RSA ",\"alg\":\"RS256\",\"kid\":\"2011-04-29\"}",
                      "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
    expect_thumbprint("{" ED "}", "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"); /* RFC 8037 A.3 */
    expect_thumbprint("{ \"use\":\"sig\", \"x\" :\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\","
                      "\"d\":\"" SECRET "\",\"crv\":\"Ed25519\",\"kty\":\"OKP\"}",
                      "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
}

static void thumbprint_of_a_key_that_could_be_written_in_two_ways_is_refused(void **state)
{
    static const char *const jwks[] = {
        "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURp\"}",
        "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"\\u00311qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}",
        "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo=\"}",
        "{\"kty\":\"O\\u004bP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}",
        "{\"kty\":\"OKP\",\"crv\":\"Ed25519\"}",
        "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"\"}",
        "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":5}",
        "{\"kty\":\"XYZ\",\"x\":\"AA\"}",
        "{\"x\":\"AA\"}",
        "{\"keys\":[]}",
        "[]",
        "{",
        "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AA\",\"x\":\"AA\"}",
    };
    char memory[64];

    (void)state;
    for (size_t i = 0; i < sizeof(jwks) / sizeof(jwks[0]); i++) {
        lk_buf out = lk_buf_over(memory, sizeof(memory));
        lk_note note = {0};

        assert_int_equal(lk_jwk_thumbprint(lk_view_of(jwks[i]), &out, &note), LK_REFUSED);
        assert_int_equal(out.len, 0);
        assert_true(note.text[0] != '\0');
    }
}

/* --- PEM -------------------------------------------------------------------------------------------------
 */

enum form { SPKI, PKCS8, TRADITIONAL, ENCRYPTED, OLD_ENCRYPTED, FORMS };

static void write_pem(EVP_PKEY *pkey, enum form form, char *out, size_t cap)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char pass[] = "passphrase";
    int n = 0;

    switch (form) {
    case SPKI:
        n = PEM_write_bio_PUBKEY(bio, pkey);
        break;
    case PKCS8:
        n = PEM_write_bio_PKCS8PrivateKey(bio, pkey, NULL, NULL, 0, NULL, NULL);
        break;
    case TRADITIONAL:
        n = PEM_write_bio_PrivateKey_traditional(bio, pkey, NULL, NULL, 0, NULL, NULL);
        break;
    case ENCRYPTED:
        n = PEM_write_bio_PKCS8PrivateKey(bio, pkey, EVP_aes_128_cbc(), NULL, 0, NULL, pass);
        break;
    case OLD_ENCRYPTED:
        n = PEM_write_bio_PrivateKey_traditional(bio, pkey, EVP_aes_128_cbc(), NULL, 0, NULL, pass);
        break;
    case FORMS:
        break;
    }
    assert_int_equal(n, 1);
    n = BIO_read(bio, out, (int)cap - 1);
    assert_true(n > 0 && (size_t)n < cap - 1);
    out[n] = '\0';
    BIO_free(bio);
}

static EVP_PKEY *make_pkey(const char *type)
{
    if (strcmp(type, "RSA") == 0)
        return EVP_RSA_gen(2048);
    return type[0] == 'P' ? EVP_EC_gen(type) : EVP_PKEY_Q_keygen(NULL, NULL, type);
}

static char *jwk_of(const char *pem, lk_alg alg)
{
    lk_note note = {0};
    char *json = NULL;

    if (lk_jwk_from_pem(test_env(), lk_view_of(pem), alg, &json, &note) != LK_OK)
        fail_msg("%s: %s", pem, note.text);
    return json;
}

static const struct {
    const char *type;
    lk_alg alg;
    bool has_traditional;
} types[] = {{"RSA", LK_ALG_PS384, true},   {"P-256", LK_ALG_ES256, true},    {"P-384", LK_ALG_ES384, true},
             {"P-521", LK_ALG_ES512, true}, {"ED25519", LK_ALG_EDDSA, false}, {"ED448", LK_ALG_ED448, false}};
#define TYPES (sizeof(types) / sizeof(types[0]))

/* Every form of one key is the same key, and checks what OpenSSL's key is the other half of. */
static void every_form_of_pem_is_read_as_the_same_key(void **state)
{
    (void)state;
    for (size_t i = 0; i < TYPES; i++) {
        EVP_PKEY *pkey = make_pkey(types[i].type);
        char pem[6000], first[64] = "";

        for (enum form f = SPKI; f <= TRADITIONAL; f++) {
            char memory[64];
            lk_buf print = lk_buf_over(memory, sizeof(memory));
            lk_keyring *ring = NULL;
            char *json;

            if (f == TRADITIONAL && !types[i].has_traditional)
                continue;
            write_pem(pkey, f, pem, sizeof(pem));
            json = jwk_of(pem, types[i].alg);
            assert_int_equal(strstr(json, "\"d\":") != NULL, f != SPKI);
            assert_int_equal(lk_jwk_thumbprint(lk_view_of(json), &print, NULL), LK_OK);
            if (f == SPKI)
                (void)snprintf(first, sizeof(first), "%s", lk_buf_text(&print));
            assert_string_equal(lk_buf_text(&print), first);
            lk_free(test_env(), json);
            assert_int_equal(lk_keyring_from_text(test_env(), lk_view_of(pem), types[i].alg, &ring, NULL),
                             f == SPKI ? LK_OK : LK_REFUSED);
            if (ring != NULL)
                assert_int_equal(lk_verifier_alg(lk_keyring_verifier(ring, (lk_view){0})), types[i].alg);
            lk_keyring_free(ring);
        }
        EVP_PKEY_free(pkey);
    }
}

static void refuse_pem(const char *pem, lk_alg alg, const char *words)
{
    lk_keyring *ring = NULL;
    lk_note note = {0};

    assert_int_equal(lk_keyring_from_text(test_env(), lk_view_of(pem), alg, &ring, &note), LK_REFUSED);
    assert_null(ring);
    if (strstr(note.text, words) == NULL)
        fail_msg("%s: %s", pem, note.text);
}

static void pem_that_is_no_public_key_is_refused_with_what_helps(void **state)
{
    EVP_PKEY *rsa = make_pkey("RSA"), *ed = make_pkey("ED25519"), *x = make_pkey("X25519");
    char pem[6000], two[12000];

    (void)state;
    write_pem(rsa, PKCS8, pem, sizeof(pem));
    refuse_pem(pem, LK_ALG_RS256, "private key");
    write_pem(rsa, TRADITIONAL, pem, sizeof(pem));
    refuse_pem(pem, LK_ALG_COUNT, "private key");
    write_pem(rsa, ENCRYPTED, pem, sizeof(pem));
    refuse_pem(pem, LK_ALG_RS256, "encrypted");
    write_pem(rsa, OLD_ENCRYPTED, pem, sizeof(pem));
    refuse_pem(pem, LK_ALG_RS256, "encrypted");
    write_pem(rsa, SPKI, pem, sizeof(pem));
    refuse_pem(pem, LK_ALG_COUNT, "--alg");
    refuse_pem(pem, LK_ALG_ES256, "another type");
    refuse_pem(pem, LK_ALG_HS256, "another type");
    (void)snprintf(two, sizeof(two), "%s%s", pem, pem);
    refuse_pem(two, LK_ALG_RS256, "more than one");
    pem[strlen(pem) - 30] = '\0';
    refuse_pem(pem, LK_ALG_RS256, "no whole PEM block");
    write_pem(x, SPKI, pem, sizeof(pem));
    refuse_pem(pem, LK_ALG_COUNT, "type");
    write_pem(ed, SPKI, pem, sizeof(pem));
    refuse_pem(pem, LK_ALG_ED448, "another type");
    refuse_pem("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", LK_ALG_COUNT, "certificate");
    refuse_pem("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", LK_ALG_COUNT, "no key");
    /* an Ed25519 key with a byte behind it in the DER: 2b 06 ... + 00 */
    refuse_pem("-----BEGIN PUBLIC "
               "KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURoA\n-----END PUBLIC "
               "KEY-----\n",
               LK_ALG_COUNT, "no key");
    /* the same without it, which is the key of RFC 8037 */
    {
        lk_keyring *ring = NULL;

        assert_int_equal(lk_keyring_from_text(
                             test_env(),
                             LK_VIEW("text before\n-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA11qYAYKxCrfVS/"
                                     "7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n-----END PUBLIC KEY-----\n"),
                             LK_ALG_COUNT, &ring, NULL),
                         LK_OK);
        lk_keyring_free(ring);
    }
    EVP_PKEY_free(rsa);
    EVP_PKEY_free(ed);
    EVP_PKEY_free(x);
}

/* A curve written out in numbers can be another one with the look of P-256 (CVE-2020-0601). */
static void ec_key_with_its_curve_in_numbers_is_refused(void **state)
{
    EVP_PKEY *pkey = make_pkey("P-256");
    char pem[6000];

    (void)state;
    assert_int_equal(EVP_PKEY_set_utf8_string_param(pkey, "encoding", "explicit"), 1);
    write_pem(pkey, SPKI, pem, sizeof(pem));
    refuse_pem(pem, LK_ALG_ES256, "by name");
    EVP_PKEY_free(pkey);
}

static void text_with_a_key_is_json_or_pem_and_alg_chooses_among_what_the_key_allows(void **state)
{
    lk_keyring *ring = NULL;

    (void)state;
    assert_int_equal(lk_keyring_from_text(test_env(), LK_VIEW("{" RSA "}"), LK_ALG_PS512, &ring, NULL),
                     LK_OK);
    assert_int_equal(lk_verifier_alg(lk_keyring_verifier(ring, (lk_view){0})), LK_ALG_PS512);
    lk_keyring_free(ring);
    assert_int_equal(lk_keyring_from_text(test_env(), LK_VIEW("{" RSA "}"), LK_ALG_COUNT, &ring, NULL),
                     LK_OK);
    assert_int_equal(lk_verifier_alg(lk_keyring_verifier(ring, (lk_view){0})), LK_ALG_RS256);
    lk_keyring_free(ring);
    refuse_pem("{" RSA ",\"alg\":\"RS256\"}", LK_ALG_PS256, "not allowed");
    refuse_pem("{" ED "}", LK_ALG_ES256, "not allowed");
    assert_false(lk_is_pem(LK_VIEW("{\"x\":\"-----BEGIN PUBLIC KEY-----\"}")));
    assert_false(lk_is_pem(LK_VIEW("-----BEGIN")));
    assert_false(lk_is_pem(LK_VIEW("")));
    assert_true(lk_is_pem(LK_VIEW("-----BEGIN X")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rsa_key_without_alg_checks_by_what_is_allowed_and_nothing_else),
        cmocka_unit_test(secret_in_a_public_set_refuses_it_and_is_not_echoed),
        cmocka_unit_test(public_set_passes_over_what_is_not_for_us_and_refuses_what_is_broken),
        cmocka_unit_test(any_missing_memory_while_a_set_is_read_is_a_fault_and_leaks_nothing),
        cmocka_unit_test(thumbprints_of_the_standards_are_right),
        cmocka_unit_test(thumbprint_of_a_key_that_could_be_written_in_two_ways_is_refused),
        cmocka_unit_test(every_form_of_pem_is_read_as_the_same_key),
        cmocka_unit_test(pem_that_is_no_public_key_is_refused_with_what_helps),
        cmocka_unit_test(ec_key_with_its_curve_in_numbers_is_refused),
        cmocka_unit_test(text_with_a_key_is_json_or_pem_and_alg_chooses_among_what_the_key_allows),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
