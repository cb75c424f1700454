/* SPDX-License-Identifier: Apache-2.0
 *
 * test_request_signature.c - a request signed with an API key is that request and no other.
 */
#include "token_fixture.h"
#include <latchkey/base64url.h>
#include <latchkey/proof.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "test_env.h"

#define EMPTY_BODY "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU" /* SHA-256 of nothing */
#define NONCE "0123456789abcdefghijkl"

static char key[LK_API_KEY_LEN + 1];

static int make_one(void **state)
{
    if (make_ring(state) != 0)
        return -1;
    assert_int_equal(lk_api_key_make(test_env(), ring, key), LK_OK);
    return 0;
}

static const lk_about about = {.method = {(const uint8_t *)"POST", 4},
                               .scheme = {(const uint8_t *)"https", 5},
                               .host = {(const uint8_t *)"api.example", 11},
                               .target = {(const uint8_t *)"/v1/orders?b=2&a=1", 18}};

/* The field that a client with KEY sends for ABOUT. */
static const char *field_for(const char *time, const char *nonce, const char *body, const lk_about *for_what)
{
    static char field[LK_SIGNATURE_FIELD_MAX + 200];
    char hex[65];
    lk_buf sign = lk_buf_over(hex, sizeof(hex));
    lk_request_signature s = {.key = lk_view_make(key + 3, 8),
                              .time = lk_view_of(time),
                              .nonce = lk_view_of(nonce),
                              .body = lk_view_of(body)};

    assert_int_equal(lk_request_signature_make(lk_view_make(key + 12, 32), &s, for_what, &sign), LK_OK);
    (void)snprintf(field, sizeof(field), "Latchkey-Signature key=%.11s, time=%s, nonce=%s, body=%s, sign=%s",
                   key, time, nonce, body, lk_buf_text(&sign));
    return field;
}

static lk_status check(const char *field, const lk_about *what, int64_t now_s, char out[LK_API_KEY_LEN + 1],
                       lk_reason *why)
{
    lk_request_signature s;

    assert_int_equal(lk_request_signature_read(lk_view_of(field), &s), LK_OK);
    lk_status status = lk_request_signature_check(ring, &s, what, now_s, 60, out, why);
    assert_true((status == LK_OK) == (*why == LK_REASON_NONE));
    assert_true((status == LK_OK) == (out[0] != '\0'));
    return status;
}

static void expect(const char *field, const lk_about *what, int64_t now_s, lk_status status, lk_reason reason)
{
    char whole[LK_API_KEY_LEN + 1];
    lk_reason why;

    assert_int_equal(check(field, what, now_s, whole, &why), status);
    assert_int_equal(why, reason);
}

static void signed_request_gives_the_whole_key(void **state)
{
    char whole[LK_API_KEY_LEN + 1];
    lk_reason why;

    (void)state;
    assert_int_equal(check(field_for("1800000000", NONCE, EMPTY_BODY, &about), &about, NOW, whole, &why),
                     LK_OK);
    assert_string_equal(whole, key);
}

/* docs/formats/signed-request.md, byte for byte; the signature was made with openssl. */
static void text_that_is_signed_is_the_documented_one(void **state)
{
    static const char text[] =
        "latchkey-signature-v1\nPOST\napi.example\n/v1/orders?b=2&a=1\n1800000000\n" NONCE "\n" EMPTY_BODY
        "\n";
    char memory[512], hex[65];
    lk_buf out = lk_buf_over(memory, sizeof(memory)), sign = lk_buf_over(hex, sizeof(hex));
    lk_request_signature s = {
        .time = LK_VIEW("1800000000"), .nonce = LK_VIEW(NONCE), .body = LK_VIEW(EMPTY_BODY)};

    (void)state;
    assert_int_equal(lk_request_signature_text(&s, &about, &out), LK_OK);
    assert_view(lk_buf_view(&out), text);
    assert_int_equal(
        lk_request_signature_make(LK_VIEW("abcdefghijklmnopqrstuvwxyzABCDEF"), &s, &about, &sign), LK_OK);
    assert_view(lk_buf_view(&sign), "bc0c655c1361955479ef4cadcd7c5525c1040a742ecd83803a749cbf15e26cb5");
}

static void digest_is_read_with_the_rest(void **state)
{
    lk_request_signature s;

    (void)state;
    assert_int_equal(
        lk_request_signature_read(lk_view_of(field_for("1800000000", NONCE, EMPTY_BODY, &about)), &s), LK_OK);
    assert_int_equal(s.body_digest[0], 0xe3);
    assert_int_equal(s.body_digest[31], 0x55);
    assert_int_equal(s.time_s, NOW);
    assert_view(s.nonce, NONCE);
}

static void other_request_is_not_the_signed_one(void **state)
{
    lk_about others[8];
    const char *field = field_for("1800000000", NONCE, EMPTY_BODY, &about);

    (void)state;
    for (size_t i = 0; i < 8; i++)
        others[i] = about;
    others[0].method = LK_VIEW("PUT");
    others[1].host = LK_VIEW("api.example:443");
    others[2].host = LK_VIEW("API.example");
    others[3].target = LK_VIEW("/v1/orders?a=1&b=2");
    others[4].target = LK_VIEW("/v1/orders");
    others[5].target = LK_VIEW("/v1/orders?b=2&a=1&");
    others[6].target = LK_VIEW("/v1/%6frders?b=2&a=1");
    /* a line moved from one field to the next */
    others[7].host = LK_VIEW("api.exampl");
    for (size_t i = 0; i < 8; i++)
        expect(field, &others[i], NOW, LK_REFUSED, LK_REASON_BAD_SIGNATURE);
    expect(field, &about, NOW, LK_OK, LK_REASON_NONE);
}

static void every_changed_character_is_refused(void **state)
{
    char field[LK_SIGNATURE_FIELD_MAX];
    size_t len;

    (void)state;
    (void)snprintf(field, sizeof(field), "%s", field_for("1800000000", NONCE, EMPTY_BODY, &about));
    len = strlen(field);
    for (size_t i = strlen("Latchkey-Signature "); i < len; i++) {
        char kept = field[i], whole[LK_API_KEY_LEN + 1];
        lk_request_signature s;
        lk_reason why;

        field[i] = kept == '1' ? '2' : '1';
        if (lk_request_signature_read(lk_view_of(field), &s) == LK_OK)
            assert_int_equal(lk_request_signature_check(ring, &s, &about, NOW, 60, whole, &why), LK_REFUSED);
        field[i] = kept;
    }
    expect(field, &about, NOW, LK_OK, LK_REASON_NONE);
}

static void request_is_good_within_its_window_and_not_beyond(void **state)
{
    const char *field = field_for("1800000000", NONCE, EMPTY_BODY, &about);

    (void)state;
    expect(field, &about, NOW - 61, LK_REFUSED, LK_REASON_NOT_YET_VALID);
    expect(field, &about, NOW - 60, LK_OK, LK_REASON_NONE);
    expect(field, &about, NOW + 60, LK_OK, LK_REASON_NONE);
    expect(field, &about, NOW + 61, LK_STALE, LK_REASON_EXPIRED);
}

static void key_of_another_gateway_is_refused(void **state)
{
    lk_keyring *other = fresh_ring();
    lk_request_signature s;
    char whole[LK_API_KEY_LEN + 1];
    lk_reason why;

    (void)state;
    assert_int_equal(
        lk_request_signature_read(lk_view_of(field_for("1800000000", NONCE, EMPTY_BODY, &about)), &s), LK_OK);
    assert_int_equal(lk_request_signature_check(other, &s, &about, NOW, 60, whole, &why), LK_REFUSED);
    assert_int_equal(why, LK_REASON_BAD_SIGNATURE);
    lk_keyring_free(other);
}

#define SIGN64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define FIELD(k, t, n, b, s) "Latchkey-Signature key=" k ", time=" t ", nonce=" n ", body=" b ", sign=" s

static void field_has_one_spelling(void **state)
{
    static const char *const wrong[] = {
        "Latchkey-Signature",
        "Latchkey-Signature ",
        FIELD("lk_abcdefg", "1", NONCE, EMPTY_BODY, SIGN64),   /* key too short */
        FIELD("lk_abcdefghi", "1", NONCE, EMPTY_BODY, SIGN64), /* too long */
        FIELD("lk_abcdefg+", "1", NONCE, EMPTY_BODY, SIGN64),  /* alphabet */
        FIELD("abcdefgh", "1", NONCE, EMPTY_BODY, SIGN64),     /* no lk_ */
        FIELD("lk_abcdefgh", "", NONCE, EMPTY_BODY, SIGN64),   /* no time */
        FIELD("lk_abcdefgh", "-1", NONCE, EMPTY_BODY, SIGN64),
        FIELD("lk_abcdefgh", "01", NONCE, EMPTY_BODY, SIGN64),
        FIELD("lk_abcdefgh", "1.5", NONCE, EMPTY_BODY, SIGN64),
        FIELD("lk_abcdefgh", "1e9", NONCE, EMPTY_BODY, SIGN64),
        FIELD("lk_abcdefgh", "9223372036854775807", NONCE, EMPTY_BODY, SIGN64),
        FIELD("lk_abcdefgh", "99999999999999999999", NONCE, EMPTY_BODY, SIGN64),
        FIELD("lk_abcdefgh", "1", "0123456789abcde", EMPTY_BODY, SIGN64), /* nonce of 15 */
        FIELD("lk_abcdefgh", "1", SIGN64 "0", EMPTY_BODY, SIGN64),        /* of 65 */
        FIELD("lk_abcdefgh", "1", "0123456789abcde=", EMPTY_BODY, SIGN64),
        FIELD("lk_abcdefgh", "1", NONCE, "", SIGN64),
        FIELD("lk_abcdefgh", "1", NONCE, EMPTY_BODY "=", SIGN64),
        FIELD("lk_abcdefgh", "1", NONCE, "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFV",
              SIGN64), /* odd bits */
        FIELD("lk_abcdefgh", "1", NONCE, EMPTY_BODY, "0123"),
        FIELD("lk_abcdefgh", "1", NONCE, EMPTY_BODY,
              "0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef"),
        FIELD("lk_abcdefgh", "1", NONCE, EMPTY_BODY,
              SIGN64 " "
                     "x"),
        FIELD("lk_abcdefgh", "1", NONCE, EMPTY_BODY, SIGN64) ", more=1",
        FIELD("lk_abcdefgh", "1", NONCE, EMPTY_BODY, SIGN64) ", sign=" SIGN64, /* twice */
        "Latchkey-Signature key=lk_abcdefgh, key=lk_abcdefgh, time=1, nonce=" NONCE ", body=" EMPTY_BODY
        ", sign=" SIGN64,
        "Latchkey-Signature time=1, key=lk_abcdefgh, nonce=" NONCE ", body=" EMPTY_BODY
        ", sign=" SIGN64, /* order */
        "Latchkey-Signature key=lk_abcdefgh,time=1,nonce=" NONCE ",body=" EMPTY_BODY ",sign=" SIGN64,
        "Latchkey-Signature key=lk_abcdefgh, nonce=" NONCE ", body=" EMPTY_BODY ", sign=" SIGN64,
        "Latchkey-Signature key=lk_abcdefgh, time=1, body=" EMPTY_BODY ", sign=" SIGN64,
        "Latchkey-Signature key=lk_abcdefgh, time=1, nonce=" NONCE ", sign=" SIGN64,
        "Latchkey-Signature key=lk_abcdefgh, time=1, nonce=" NONCE ", body=" EMPTY_BODY,
        "Latchkey-Signature key=\"lk_abcdefgh\", time=1, nonce=" NONCE ", body=" EMPTY_BODY ", sign=" SIGN64,
        "Latchkey-Signature  key=lk_abcdefgh, time=1, nonce=" NONCE ", body=" EMPTY_BODY ", sign=" SIGN64,
    };
    static const char *const others[] = {"", "Bearer x", "Latchkey", "Latchkey-Signatures key=lk_abcdefgh",
                                         "DPoP x"};
    char longest[LK_SIGNATURE_FIELD_MAX + 20];
    lk_request_signature s;

    (void)state;
    assert_int_equal(
        lk_request_signature_read(LK_VIEW(FIELD("lk_abcdefgh", "1", NONCE, EMPTY_BODY, SIGN64)), &s), LK_OK);
    assert_int_equal(
        lk_request_signature_read(LK_VIEW("latchkey-signature key=lk_abcdefgh, time=1, nonce=" NONCE
                                          ", body=" EMPTY_BODY ", sign=" SIGN64),
                                  &s),
        LK_OK);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        if (lk_request_signature_read(lk_view_of(wrong[i]), &s) != LK_REFUSED)
            fail_msg("%s", wrong[i]);
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        assert_int_equal(lk_request_signature_read(lk_view_of(others[i]), &s), LK_MISS);
    (void)snprintf(longest, sizeof(longest), "Latchkey-Signature %0*d", (int)sizeof(longest) - 20, 0);
    assert_int_equal(lk_request_signature_read(lk_view_of(longest), &s), LK_REFUSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signed_request_gives_the_whole_key),
        cmocka_unit_test(text_that_is_signed_is_the_documented_one),
        cmocka_unit_test(digest_is_read_with_the_rest),
        cmocka_unit_test(other_request_is_not_the_signed_one),
        cmocka_unit_test(every_changed_character_is_refused),
        cmocka_unit_test(request_is_good_within_its_window_and_not_beyond),
        cmocka_unit_test(key_of_another_gateway_is_refused),
        cmocka_unit_test(field_has_one_spelling),
    };

    return cmocka_run_group_tests(tests, make_one, free_ring);
}
