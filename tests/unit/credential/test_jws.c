/* SPDX-License-Identifier: Apache-2.0
 *
 * test_jws.c - the signature rules of a JWS: its header, its key, its three parts. Every refusal has its
 * positive control in the same test.
 */
#include "token_fixture.h"
#include <latchkey/base64url.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "test_env.h"

#define BODY "{\"sub\":\"u\",\"exp\":1800000900}"

static uint8_t payload_memory[2 * LK_CREDENTIAL_MAX];

static lk_status check_with(const lk_keyring *keys, lk_view token, lk_buf *payload, lk_reason *why)
{
    lk_note note = {0};
    lk_status status;

    *payload = lk_buf_over(payload_memory, sizeof(payload_memory));
    status = lk_jws_check(keys, token, payload, why, &note);
    assert_true((status == LK_OK) == (*why == LK_REASON_NONE));
    assert_true((status == LK_OK) == (note.text[0] == '\0'));
    assert_true(status == LK_OK || payload->len == 0);
    return status;
}

static void expect_with(const lk_keyring *keys, lk_view token, lk_status status, lk_reason reason)
{
    lk_buf payload;
    lk_reason why;
    lk_status got = check_with(keys, token, &payload, &why);

    if (got != status || why != reason)
        fail_msg("%.*s\n   gives %s %s instead of %s %s", (int)token.len, (const char *)token.p,
                 lk_status_name(got), lk_reason_word(why), lk_status_name(status), lk_reason_word(reason));
}

static void expect(lk_view token, lk_status status, lk_reason reason)
{
    expect_with(ring, token, status, reason);
}

/* A token under the HS256 key with this header and a good signature. */
static lk_view hs(const char *header)
{
    return craft(LK_ALG_HS256, header, BODY);
}

static void published_tokens_are_right_and_their_payload_is_given(void **state)
{
    static const struct {
        const char *const *jwk, *const *token;
        const char *payload;
    } cases[] = {
        {&rfc_hs256, &rfc_hs256_token,
         "{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}"},
        {&rfc_rs256, &rfc_rs256_token,
         "{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}"},
        {&rfc_es256, &rfc_es256_token,
         "{\"iss\":\"joe\",\r\n \"exp\":1300819380,\r\n \"http://example.com/is_root\":true}"},
        {&rfc_eddsa, &rfc_eddsa_token, "Example of Ed25519 signing"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        lk_keyring *keys = ring_of(*cases[i].jwk, NULL);
        lk_buf payload;
        lk_reason why;

        assert_int_equal(check_with(keys, lk_view_of(*cases[i].token), &payload, &why), LK_OK);
        assert_view(lk_buf_view(&payload), cases[i].payload);
        lk_keyring_free(keys);
    }
}

static void payload_may_be_empty_or_anything(void **state)
{
    (void)state;
    expect(craft(LK_ALG_HS256, "{\"alg\":\"HS256\",\"kid\":\"KID\"}", ""), LK_OK, LK_REASON_NONE);
    expect(craft(LK_ALG_HS256, "{\"alg\":\"HS256\",\"kid\":\"KID\"}", "\x01\xff not JSON"), LK_OK,
           LK_REASON_NONE);
}

/* All other tests tamper with one algorithm; here each is tampered with at each character. */
static void token_with_any_character_changed_is_refused(void **state)
{
    static const char others[] = "AQgw-_9.=~ ";
    uint8_t copy[2048];

    (void)state;
    for (lk_alg alg = 0; alg < LK_ALG_COUNT; alg++) {
        char header[64];
        lk_view token;
        lk_reason why;
        lk_buf payload;

        (void)snprintf(header, sizeof(header), "{\"alg\":\"%s\",\"kid\":\"KID\"}", lk_alg_jose(alg));
        token = craft(alg, header, BODY);
        memcpy(copy, token.p, token.len);
        for (size_t i = 0; i < token.len; i++) {
            uint8_t right = copy[i];

            for (size_t o = 0; o < sizeof(others) - 1; o += alg == LK_ALG_HS256 ? 1 : 3) {
                copy[i] = (uint8_t)others[o];
                if (copy[i] != right)
                    assert_int_equal(check_with(ring, lk_view_make(copy, token.len), &payload, &why),
                                     LK_REFUSED);
            }
            copy[i] = right;
        }
        expect(lk_view_make(copy, token.len), LK_OK, LK_REASON_NONE);
    }
}

static void token_cut_anywhere_or_with_more_behind_is_refused(void **state)
{
    lk_view token = hs("{\"alg\":\"HS256\",\"kid\":\"KID\"}");
    uint8_t longer[512];
    lk_reason why;
    lk_buf payload;

    (void)state;
    for (size_t len = 0; len < token.len; len++) {
        assert_int_equal(check_with(ring, lk_view_make(token.p, len), &payload, &why), LK_REFUSED);
        assert_int_equal(check_with(ring, lk_view_make(token.p + token.len - len, len), &payload, &why),
                         LK_REFUSED);
    }
    memcpy(longer, token.p, token.len);
    for (unsigned c = 0; c < 256; c++) {
        longer[token.len] = (uint8_t)c;
        assert_int_equal(check_with(ring, lk_view_make(longer, token.len + 1), &payload, &why), LK_REFUSED);
    }
    expect(token, LK_OK, LK_REASON_NONE);
}

static void token_has_exactly_three_parts(void **state)
{
    static const char *const wrong[] = {
        "",
        ".",
        "..",
        "...",
        "e30",
        "e30.e30",
        "e30.e30.",
        ".e30.AA",
        "e30.e30.AA.",
        ".e30.e30.AA",
        "e30.e30.AA.AA.AA",
        "{\"payload\":\"e30\",\"protected\":\"e30\",\"signature\":\"AA\"}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        lk_buf payload;
        lk_reason why;

        assert_int_equal(check_with(ring, lk_view_of(wrong[i]), &payload, &why), LK_REFUSED);
    }
}

static void token_over_the_bound_is_refused_before_it_is_split(void **state)
{
    static uint8_t dots[LK_CREDENTIAL_MAX + 1];

    (void)state;
    memset(dots, '.', sizeof(dots));
    expect(lk_view_make(dots, sizeof(dots)), LK_REFUSED, LK_REASON_MALFORMED);
    expect(lk_view_make(dots, sizeof(dots) - 1), LK_REFUSED, LK_REASON_MALFORMED);
}

/* --- alg -------------------------------------------------------------------------------------------------
 */

static void token_without_signature_is_refused_however_it_is_called(void **state)
{
    static const char *const names[] = {"none", "None", "NONE", "nOnE", "", "null", "HS256"};
    lk_view kid = lk_signer_kid(lk_keyring_signer(ring, LK_ALG_HS256));
    lk_keyring *single = ring_of(rfc_es256, NULL);

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        char header[160];

        (void)snprintf(header, sizeof(header), "{\"alg\":\"%s\",\"kid\":\"%.*s\"}", names[i], (int)kid.len,
                       (const char *)kid.p);
        expect(assemble(header, BODY, (lk_view){0}), LK_REFUSED, LK_REASON_BAD_SIGNATURE);
        (void)snprintf(header, sizeof(header), "{\"alg\":\"%s\"}", names[i]);
        expect(assemble(header, BODY, (lk_view){0}), LK_REFUSED, LK_REASON_UNKNOWN_KEY);
        expect_with(single, assemble(header, BODY, (lk_view){0}), LK_REFUSED, LK_REASON_BAD_SIGNATURE);
    }
    expect(hs("{\"alg\":\"HS256\",\"kid\":\"KID\"}"), LK_OK, LK_REASON_NONE);
    lk_keyring_free(single);
}

static void alg_must_be_that_of_the_key_letter_by_letter(void **state)
{
    static const char *const wrong[] = {"hs256", "HS256 ", " HS256", "HS384",        "HS512",
                                        "ES256", "RS256",  "EdDSA",  "HS256\\u0000", "HS25"};

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        char header[96];

        (void)snprintf(header, sizeof(header), "{\"alg\":\"%s\",\"kid\":\"KID\"}", wrong[i]);
        expect(hs(header), LK_REFUSED, LK_REASON_BAD_SIGNATURE);
    }
    expect(hs("{\"alg\":[\"HS256\"],\"kid\":\"KID\"}"), LK_REFUSED, LK_REASON_MALFORMED);
    expect(hs("{\"alg\":null,\"kid\":\"KID\"}"), LK_REFUSED, LK_REASON_MALFORMED);
    expect(hs("{\"kid\":\"KID\"}"), LK_REFUSED, LK_REASON_MALFORMED);
    expect(hs("{\"alg\":\"\\u0048S256\",\"kid\":\"KID\"}"), LK_OK, LK_REASON_NONE); /* an H is an H */
}

/* The old attack: take the public key for an HMAC secret. Every text an attacker may have of it is tried. */
static void public_key_is_no_hmac_secret(void **state)
{
    static const char header[] = "{\"alg\":\"HS256\"}";
    const char *const jwks[] = {rfc_rs256, rfc_es256, rfc_eddsa};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        const char *value = strstr(strstr(jwks[i], i == 0 ? "\"n\"" : "\"x\"") + 3, "\"") + 1;
        size_t len = strcspn(value, "\"");
        char text[1024];
        uint8_t raw[600], made[EVP_MAX_MD_SIZE];
        lk_keyring *keys = ring_of(jwks[i], NULL);
        size_t raw_len;

        (void)snprintf(text, sizeof(text), "%.*s", (int)len, value);
        raw_len = bytes_of_text(text, raw, sizeof(raw));
        for (int form = 0; form < 3; form++) {
            const void *key = form == 0   ? (const void *)raw
                              : form == 1 ? (const void *)text
                                          : (const void *)jwks[i];
            size_t key_len = form == 0 ? raw_len : form == 1 ? len : strlen(jwks[i]);
            lk_view token = assemble(header, BODY, (lk_view){0});
            unsigned made_len;

            assert_non_null(HMAC(EVP_sha256(), key, (int)key_len, token.p, token.len - 1, made, &made_len));
            expect_with(keys, assemble(header, BODY, lk_view_make(made, made_len)), LK_REFUSED,
                        LK_REASON_BAD_SIGNATURE);
        }
        lk_keyring_free(keys);
    }
    {
        /* The control: with an HMAC key of the same bytes, a token made like that is right. */
        lk_keyring *keys = ring_of(rfc_hs256, NULL);
        uint8_t raw[64], made[EVP_MAX_MD_SIZE];
        size_t raw_len = bytes_of_text(
            "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow", raw,
            sizeof(raw));
        lk_view token = assemble(header, BODY, (lk_view){0});
        unsigned made_len;

        assert_non_null(HMAC(EVP_sha256(), raw, (int)raw_len, token.p, token.len - 1, made, &made_len));
        expect_with(keys, assemble(header, BODY, lk_view_make(made, made_len)), LK_OK, LK_REASON_NONE);
        lk_keyring_free(keys);
    }
}

/* The signature of one algorithm under the kid of another. */
static void signature_of_another_key_of_the_ring_is_refused(void **state)
{
    (void)state;
    for (lk_alg signs = 0; signs < LK_ALG_COUNT; signs++) {
        for (lk_alg named = 0; named < LK_ALG_COUNT; named++) {
            lk_view kid = lk_signer_kid(lk_keyring_signer(ring, named));
            char header[128];

            (void)snprintf(header, sizeof(header), "{\"alg\":\"%s\",\"kid\":\"%.*s\"}", lk_alg_jose(named),
                           (int)kid.len, (const char *)kid.p);
            expect(craft(signs, header, BODY), signs == named ? LK_OK : LK_REFUSED,
                   signs == named ? LK_REASON_NONE : LK_REASON_BAD_SIGNATURE);
        }
    }
}

/* --- kid -------------------------------------------------------------------------------------------------
 */

static void kid_is_looked_up_exactly_and_is_nothing_but_a_name(void **state)
{
    static const char *const wrong[] = {
        "hs256-00000000",
        "",
        "../../../dev/null",
        "/etc/passwd",
        "hs256-%n%n",
        "' OR 1=1 --",
        "hs256-*",
        "kid\\u0000",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        char header[256];

        (void)snprintf(header, sizeof(header), "{\"alg\":\"HS256\",\"kid\":\"%s\"}", wrong[i]);
        expect(hs(header), LK_REFUSED, LK_REASON_UNKNOWN_KEY);
    }
    expect(hs("{\"alg\":\"HS256\"}"), LK_REFUSED, LK_REASON_UNKNOWN_KEY);
    expect(hs("{\"alg\":\"HS256\",\"kid\":\"KID \"}"), LK_REFUSED, LK_REASON_UNKNOWN_KEY);
    expect(hs("{\"alg\":\"HS256\",\"kid\":\"KIDx\"}"), LK_REFUSED, LK_REASON_UNKNOWN_KEY);
    expect(hs("{\"alg\":\"HS256\",\"kid\":[\"KID\"]}"), LK_REFUSED, LK_REASON_MALFORMED);
    expect(hs("{\"alg\":\"HS256\",\"kid\":null}"), LK_REFUSED, LK_REASON_MALFORMED);
    expect(hs("{\"alg\":\"HS256\",\"kid\":\"KID\"}"), LK_OK, LK_REASON_NONE);
}

/* --- Other members of the header -------------------------------------------------------------------------
 */

static void extension_that_must_be_understood_is_refused(void **state)
{
    static const char *const headers[] = {
        "{\"alg\":\"HS256\",\"kid\":\"KID\",\"crit\":[\"exp\"],\"exp\":1}",
        "{\"alg\":\"HS256\",\"kid\":\"KID\",\"crit\":[]}",
        "{\"alg\":\"HS256\",\"kid\":\"KID\",\"crit\":[\"alg\"]}",
        "{\"alg\":\"HS256\",\"kid\":\"KID\",\"crit\":[\"x\",\"x\"],\"x\":1}",
        "{\"alg\":\"HS256\",\"kid\":\"KID\",\"crit\":\"x\",\"x\":1}",
        "{\"alg\":\"HS256\",\"kid\":\"KID\",\"crit\":null}",
        "{\"alg\":\"HS256\",\"kid\":\"KID\",\"cr\\u0069t\":[\"x\"],\"x\":1}",
        "{\"alg\":\"HS256\",\"kid\":\"KID\",\"b64\":false,\"crit\":[\"b64\"]}",
        "{\"alg\":\"HS256\",\"kid\":\"KID\",\"b64\":false}",
        "{\"alg\":\"HS256\",\"kid\":\"KID\",\"b64\":true}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
        expect(hs(headers[i]), LK_REFUSED, LK_REASON_MALFORMED);
    expect(hs("{\"alg\":\"HS256\",\"kid\":\"KID\",\"x\":{\"crit\":[\"y\"],\"b64\":false}}"), LK_OK,
           LK_REASON_NONE);
}

/* CVE-2018-0114: a token that brings its key along, or says where to fetch it. It is refused before any key
 * is looked at, whoever signed it; x5t only names a key, and changes nothing. */
static void token_that_brings_its_key_is_refused_whoever_signed_it(void **state)
{
    static const char *const members[] = {
        "\"jwk\":{\"kty\":\"oct\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-"
        "1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow\"}",
        "\"jku\":\"http://127.0.0.1:1/keys\"",
        "\"x5u\":\"http://127.0.0.1:1/cert\"",
        "\"x5c\":[\"AAAA\"]",
        "\"x5t\":\"AAAA\"",
    };
    uint8_t raw[64], made[EVP_MAX_MD_SIZE];
    size_t raw_len = bytes_of_text(
        "AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr_T-1qS0gZH75aKtMN3Yj0iPS4hcgUuTwjAzZr1Z9CAow", raw,
        sizeof(raw));

    (void)state;
    for (size_t i = 0; i < sizeof(members) / sizeof(members[0]); i++) {
        lk_view kid = lk_signer_kid(lk_keyring_signer(ring, LK_ALG_HS256)), token;
        char header[512];
        unsigned made_len;

        (void)snprintf(header, sizeof(header), "{\"alg\":\"HS256\",\"kid\":\"%.*s\",%s}", (int)kid.len,
                       (const char *)kid.p, members[i]);
        if (i == 4)
            expect(hs(header), LK_OK, LK_REASON_NONE);
        else
            expect(hs(header), LK_REFUSED, LK_REASON_MALFORMED);
        token = assemble(header, BODY, (lk_view){0});
        assert_non_null(HMAC(EVP_sha256(), raw, (int)raw_len, token.p, token.len - 1, made, &made_len));
        expect(assemble(header, BODY, lk_view_make(made, made_len)), LK_REFUSED,
               i == 4 ? LK_REASON_BAD_SIGNATURE : LK_REASON_MALFORMED);
    }
}

static void header_must_be_one_json_object_without_repeated_names(void **state)
{
    static const char *const headers[] = {
        "",
        "{",
        "[]",
        "\"HS256\"",
        "null",
        "{\"alg\":\"HS256\",\"kid\":\"KID\"} x",
        "{\"alg\":\"HS256\",\"kid\":\"KID\"}{}",
        "{\"alg\":\"HS256\",\"alg\":\"HS256\",\"kid\":\"KID\"}",
        "{\"alg\":\"none\",\"kid\":\"KID\",\"alg\":\"HS256\"}",
        "{\"alg\":\"HS256\",\"kid\":\"KID\",\"\\u006bid\":\"KID\"}",
        "{\"alg\":\"HS256\",\"kid\":\"KID\",\"x\":{\"a\":1,\"a\":2}}",
        "{\"alg\":\"HS256\",\"kid\":\"KID\",}",
        "{'alg':'HS256','kid':'KID'}",
        "{\"alg\":\"HS256\",\"kid\":\"KID\",\"x\":\"\xff\"}",
        "\xef\xbb\xbf{\"alg\":\"HS256\",\"kid\":\"KID\"}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
        expect(hs(headers[i]), LK_REFUSED, LK_REASON_MALFORMED);
    expect(hs(" {\n\"kid\" : \"KID\" , \"alg\" : \"HS256\" }\t"), LK_OK, LK_REASON_NONE);
}

static void typ_must_be_a_string_but_is_not_compared_here(void **state)
{
    (void)state;
    expect(hs("{\"alg\":\"HS256\",\"kid\":\"KID\",\"typ\":\"anything\"}"), LK_OK, LK_REASON_NONE);
    expect(hs("{\"alg\":\"HS256\",\"kid\":\"KID\",\"typ\":1}"), LK_REFUSED, LK_REASON_MALFORMED);
}

/* --- base64url -------------------------------------------------------------------------------------------
 */

/* Each part in a spelling that a lenient decoder would take for the same bytes, rightly signed over that
 * spelling. */
static void parts_in_any_other_base64_are_refused_even_when_signed(void **state)
{
    const lk_signer *signer = lk_keyring_signer(ring, LK_ALG_HS256);
    lk_view kid = lk_signer_kid(signer);
    static const char *const tails[] = {"", "=", "==", " ", "\n", "\t", "*", "%3D"};
    char header[96];

    (void)state;
    (void)snprintf(header, sizeof(header), "{\"alg\":\"HS256\",\"kid\":\"%.*s\"}", (int)kid.len,
                   (const char *)kid.p);
    for (size_t part = 0; part < 3; part++) {
        for (size_t t = 0; t < sizeof(tails) / sizeof(tails[0]); t++) {
            uint8_t memory[1024], signature[LK_SIGNATURE_MAX];
            lk_buf text = lk_buf_over(memory, sizeof(memory)),
                   made = lk_buf_over(signature, sizeof(signature));
            lk_reason why;
            lk_buf payload;

            lk_base64url_encode(lk_view_of(header), &text);
            lk_buf_add_text(&text, part == 0 ? tails[t] : "");
            lk_buf_add_byte(&text, '.');
            lk_base64url_encode(LK_VIEW("1234567"), &text);
            lk_buf_add_text(&text, part == 1 ? tails[t] : "");
            assert_int_equal(lk_sign(signer, lk_buf_view(&text), &made), LK_OK);
            lk_buf_add_byte(&text, '.');
            lk_base64url_encode(lk_buf_view(&made), &text);
            lk_buf_add_text(&text, part == 2 ? tails[t] : "");
            assert_int_equal(check_with(ring, lk_buf_view(&text), &payload, &why),
                             t == 0 ? LK_OK : LK_REFUSED);
        }
    }
}

static void bits_behind_the_last_byte_must_be_nought_even_when_signed(void **state)
{
    const lk_signer *signer = lk_keyring_signer(ring, LK_ALG_HS256);
    lk_view token = hs("{\"alg\":\"HS256\",\"kid\":\"KID\"}");
    uint8_t memory[512], signature[LK_SIGNATURE_MAX];
    lk_buf text = lk_buf_over(memory, sizeof(memory)), made = lk_buf_over(signature, sizeof(signature));

    (void)state;
    lk_buf_add(&text, lk_view_part(token, 0, lk_view_find(token, '.')));
    lk_buf_add_text(&text, ".AB"); /* one byte of nought and a bit */
    assert_int_equal(lk_sign(signer, lk_buf_view(&text), &made), LK_OK);
    lk_buf_add_byte(&text, '.');
    lk_base64url_encode(lk_buf_view(&made), &text);
    expect(lk_buf_view(&text), LK_REFUSED, LK_REASON_MALFORMED);
    expect(token, LK_OK, LK_REASON_NONE);
}

/* --- Our own header --------------------------------------------------------------------------------------
 */

/* It is recognised by comparison after the first time. Then and later it means the same as its other
 * spellings. */
static void own_header_means_the_same_recognised_or_read(void **state)
{
    static const char *const headers[] = {
        "{\"alg\":\"HS256\",\"typ\":\"at+jwt\",\"kid\":\"KID\"}",
        "{\"typ\":\"at+jwt\",\"alg\":\"HS256\",\"kid\":\"KID\"}",
        "{ \"alg\":\"HS256\",\"typ\":\"at+jwt\",\"kid\":\"KID\"}",
    };
    lk_keyring *kept = ring;

    (void)state;
    ring = fresh_ring(); /* none of its headers has been seen */
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < 3; i++) {
            expect_jwt(craft(LK_ALG_HS256, headers[i], BODY),
                       &(lk_expect){.type = LK_VIEW("at+jwt"), .now_s = NOW}, LK_OK, LK_REASON_NONE);
            expect_jwt(craft(LK_ALG_HS256, headers[i], BODY),
                       &(lk_expect){.type = LK_VIEW("logout+jwt"), .now_s = NOW}, LK_REFUSED,
                       LK_REASON_MALFORMED);
            expect_jwt(craft(LK_ALG_ES256, headers[i], BODY), &lenient, LK_REFUSED, LK_REASON_BAD_SIGNATURE);
        }
    }
    lk_keyring_free(ring);
    ring = kept;
}

static void payload_that_does_not_fit_is_full(void **state)
{
    lk_view token = hs("{\"alg\":\"HS256\",\"kid\":\"KID\"}");
    uint8_t memory[20];
    lk_buf payload = lk_buf_over(memory, sizeof(memory));
    lk_reason why;

    (void)state;
    assert_int_equal(lk_jws_check(ring, token, &payload, &why, NULL), LK_FULL);
    assert_int_equal(payload.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_tokens_are_right_and_their_payload_is_given),
        cmocka_unit_test(payload_may_be_empty_or_anything),
        cmocka_unit_test(token_with_any_character_changed_is_refused),
        cmocka_unit_test(token_cut_anywhere_or_with_more_behind_is_refused),
        cmocka_unit_test(token_has_exactly_three_parts),
        cmocka_unit_test(token_over_the_bound_is_refused_before_it_is_split),
        cmocka_unit_test(token_without_signature_is_refused_however_it_is_called),
        cmocka_unit_test(alg_must_be_that_of_the_key_letter_by_letter),
        cmocka_unit_test(public_key_is_no_hmac_secret),
        cmocka_unit_test(signature_of_another_key_of_the_ring_is_refused),
        cmocka_unit_test(kid_is_looked_up_exactly_and_is_nothing_but_a_name),
        cmocka_unit_test(extension_that_must_be_understood_is_refused),
        cmocka_unit_test(token_that_brings_its_key_is_refused_whoever_signed_it),
        cmocka_unit_test(header_must_be_one_json_object_without_repeated_names),
        cmocka_unit_test(typ_must_be_a_string_but_is_not_compared_here),
        cmocka_unit_test(parts_in_any_other_base64_are_refused_even_when_signed),
        cmocka_unit_test(bits_behind_the_last_byte_must_be_nought_even_when_signed),
        cmocka_unit_test(own_header_means_the_same_recognised_or_read),
        cmocka_unit_test(payload_that_does_not_fit_is_full),
    };

    return cmocka_run_group_tests(tests, make_ring, free_ring);
}
