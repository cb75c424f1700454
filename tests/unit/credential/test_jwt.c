/* SPDX-License-Identifier: Apache-2.0
 *
 * test_jwt.c - the claims of a JWT: what they say, when they hold, and in which forms they are refused. All
 * tokens here have a right signature.
 */
#include "credential/jwt/jws.h"
#include "token_fixture.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "test_env.h"

#define GOOD "\"iss\":\"me\",\"aud\":\"shop\",\"sub\":\"u\",\"exp\":1800000900"

static uint8_t minted[2 * LK_CREDENTIAL_MAX];

static lk_view mint(lk_alg alg, const lk_claims *c, lk_view type)
{
    lk_buf out = lk_buf_over(minted, sizeof(minted));

    assert_int_equal(lk_jwt_mint(ring, alg, c, type, &out), LK_OK);
    return lk_buf_view(&out);
}

/* The claims GOOD with MORE behind them, checked strictly. */
static void expect(const char *more, lk_status status, lk_reason reason)
{
    char payload[LK_CREDENTIAL_MAX];

    (void)snprintf(payload, sizeof(payload), "{" GOOD "%s%s}", more[0] == '\0' ? "" : ",", more);
    expect_jwt(craft_claims(payload), &strict, status, reason);
}

static void expect_payload(const char *payload, const lk_expect *e, lk_status status, lk_reason reason)
{
    expect_jwt(craft_claims(payload), e, status, reason);
}

static const lk_claims full = {
    .user = {(const uint8_t *)"u_42", 4},
    .name = {(const uint8_t *)"J\303\274rgen \"M\" \\", 13},
    .realm = {(const uint8_t *)"staff", 5},
    .roles = {(const uint8_t *)"admin editor", 12},
    .scope = {(const uint8_t *)"a.read b.write", 14},
    .client = {(const uint8_t *)"web", 3},
    .device = {(const uint8_t *)"d1", 2},
    .issuer = {(const uint8_t *)"me", 2},
    .audience = {(const uint8_t *)"shop api", 8},
    .id = {(const uint8_t *)"j-1", 3},
    .has_session = true,
    .session = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}},
    .issued_s = NOW - 5,
    .not_before_s = NOW - 4,
    .expires_s = NOW + 900,
    .auth_s = NOW - 50,
    .generation = 4294967295,
};

static void actor_is_carried_as_it_stands_and_is_an_object(void **state)
{
    static const char *const bad[] = {"\"x\"", "[]", "{", "{\"sub\":\"x\"}}", "1", "{} {}"};
    uint8_t memory[LK_CREDENTIAL_MAX];
    lk_claims c, with = full;
    lk_reason why;

    (void)state;
    with.act = LK_VIEW("{\"sub\":\"client:b\",\"act\":{\"sub\":\"client:a\"}}");
    assert_int_equal(check_jwt(mint(LK_ALG_HS256, &with, LK_VIEW("at+jwt")), &strict, &c, &why), LK_OK);
    assert_view(c.act, "{\"sub\":\"client:b\",\"act\":{\"sub\":\"client:a\"}}");
    assert_view(c.user, "u_42");
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        lk_buf out = lk_buf_over(memory, sizeof(memory));

        with.act = lk_view_of(bad[i]);
        assert_int_equal(lk_jwt_mint(ring, LK_ALG_HS256, &with, LK_VIEW("at+jwt"), &out), LK_REFUSED);
        assert_int_equal(out.len, 0);
    }
    expect_jwt(craft_claims("{\"iss\":\"me\",\"aud\":\"shop\",\"exp\":1800000100,\"act\":\"x\"}"), &strict,
               LK_REFUSED, LK_REASON_MALFORMED);
}

static void minted_token_says_what_was_put_in_under_every_algorithm(void **state)
{
    (void)state;
    for (lk_alg alg = 0; alg < LK_ALG_COUNT; alg++) {
        lk_reason why;
        lk_claims c;

        assert_int_equal(check_jwt(mint(alg, &full, LK_VIEW("at+jwt")), &strict, &c, &why), LK_OK);
        assert_int_equal(c.kind, LK_KIND_JWT);
        assert_view(c.user, "u_42");
        assert_view(c.name, "J\303\274rgen \"M\" \\");
        assert_view(c.realm, "staff");
        assert_view(c.roles, "admin editor");
        assert_view(c.scope, "a.read b.write");
        assert_view(c.client, "web");
        assert_view(c.device, "d1");
        assert_view(c.issuer, "me");
        assert_view(c.audience, "shop api");
        assert_view(c.id, "j-1");
        assert_true(lk_view_equal(c.kid, lk_signer_kid(lk_keyring_signer(ring, alg))));
        assert_true(c.has_session);
        assert_memory_equal(&c.session, &full.session, sizeof(c.session));
        assert_int_equal(c.issued_s, NOW - 5);
        assert_int_equal(c.not_before_s, NOW - 4);
        assert_int_equal(c.expires_s, NOW + 900);
        assert_int_equal(c.auth_s, NOW - 50);
        assert_int_equal(c.generation, 4294967295);
    }
}

static void claims_that_are_not_there_are_empty(void **state)
{
    lk_claims least = {.expires_s = NOW + 1}, c;
    lk_reason why;

    (void)state;
    assert_int_equal(check_jwt(mint(LK_ALG_EDDSA, &least, (lk_view){0}), &lenient, &c, &why), LK_OK);
    least.kind = LK_KIND_JWT;
    least.kid = c.kid;
    assert_memory_equal(&c, &least, sizeof(c));
}

static void token_that_makes_no_sense_is_not_signed(void **state)
{
    static const char *const dirty[] = {"a\nb",     "a\rb",         "\x7f",    "\xff",
                                        "\xc0\x80", "\xed\xa0\x80", "\xc2\x80"};
    lk_keyring *checks = ring_of(rfc_eddsa, NULL);
    lk_buf out = lk_buf_over(minted, sizeof(minted));
    lk_claims c = full;

    (void)state;
    c.expires_s = 0;
    assert_int_equal(lk_jwt_mint(ring, LK_ALG_HS256, &c, LK_VIEW("at+jwt"), &out), LK_REFUSED);
    for (size_t i = 0; i < sizeof(dirty) / sizeof(dirty[0]); i++) {
        c = full;
        c.user = lk_view_of(dirty[i]);
        assert_int_equal(lk_jwt_mint(ring, LK_ALG_HS256, &c, LK_VIEW("at+jwt"), &out), LK_REFUSED);
        c = full;
        c.roles = lk_view_of(dirty[i]);
        assert_int_equal(lk_jwt_mint(ring, LK_ALG_HS256, &c, LK_VIEW("at+jwt"), &out), LK_REFUSED);
        assert_int_equal(lk_jwt_mint(ring, LK_ALG_HS256, &full, lk_view_of(dirty[i]), &out), LK_REFUSED);
    }
    assert_int_equal(lk_jwt_mint(checks, LK_ALG_EDDSA, &full, LK_VIEW("at+jwt"), &out), LK_FAULT);
    assert_int_equal(out.len, 0);
    lk_keyring_free(checks);
}

static void token_that_would_be_too_long_is_full_and_leaves_nothing(void **state)
{
    static uint8_t name[LK_CREDENTIAL_MAX];
    lk_buf out = lk_buf_over(minted, sizeof(minted));
    lk_claims c = full;
    size_t whole;

    (void)state;
    memset(name, 'n', sizeof(name));
    c.name = lk_view_make(name, 5000);
    assert_int_equal(lk_jwt_mint(ring, LK_ALG_HS256, &c, LK_VIEW("at+jwt"), &out), LK_OK);
    out.len = 0;
    c.name = lk_view_make(name, 5800);
    assert_int_equal(lk_jwt_mint(ring, LK_ALG_HS256, &c, LK_VIEW("at+jwt"), &out), LK_FULL);
    c.name = lk_view_make(name, sizeof(name));
    assert_int_equal(lk_jwt_mint(ring, LK_ALG_HS256, &c, LK_VIEW("at+jwt"), &out), LK_FULL);
    assert_int_equal(out.len, 0);
    whole = mint(LK_ALG_ES256, &full, LK_VIEW("at+jwt")).len;
    for (size_t cap = 0; cap < whole; cap += 7) {
        out = lk_buf_over(minted, cap);
        assert_int_equal(lk_jwt_mint(ring, LK_ALG_ES256, &full, LK_VIEW("at+jwt"), &out), LK_FULL);
        assert_int_equal(out.len, 0);
    }
}

/* --- Who and for whom ------------------------------------------------------------------------------------
 */

static void issuer_must_be_the_whole_text(void **state)
{
    static const char *const wrong[] = {"\"iss\":\"m\"", "\"iss\":\"mee\"", "\"iss\":\"Me\"",
                                        "\"iss\":\"\"",  "\"iss\":\"me \"", "\"x\":\"me\""};

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        char payload[128];

        (void)snprintf(payload, sizeof(payload), "{%s,\"aud\":\"shop\",\"exp\":1800000900}", wrong[i]);
        expect_payload(payload, &strict, LK_REFUSED, LK_REASON_UNKNOWN_KEY);
    }
    expect_payload("{\"iss\":[\"me\"],\"aud\":\"shop\",\"exp\":1800000900}", &strict, LK_REFUSED,
                   LK_REASON_MALFORMED);
    expect_payload("{\"iss\":\"m\\u0065\",\"aud\":\"shop\",\"exp\":1800000900}", &strict, LK_OK,
                   LK_REASON_NONE);
    expect("", LK_OK, LK_REASON_NONE);
}

static void audience_must_hold_the_whole_text(void **state)
{
    static const struct {
        const char *aud;
        lk_status status;
        lk_reason why;
    } cases[] = {
        {"\"shop\"", LK_OK, LK_REASON_NONE},
        {"[\"shop\"]", LK_OK, LK_REASON_NONE},
        {"[\"api\",\"shop\"]", LK_OK, LK_REASON_NONE},
        {"[\"api\", \"sho\\u0070\" ]", LK_OK, LK_REASON_NONE},
        {"\"Shop\"", LK_REFUSED, LK_REASON_WRONG_AUDIENCE},
        {"\"shop \"", LK_REFUSED, LK_REASON_WRONG_AUDIENCE},
        {"\"shop api\"", LK_REFUSED, LK_REASON_WRONG_AUDIENCE}, /* one name with a space, not two names */
        {"[\"a shop\"]", LK_REFUSED, LK_REASON_WRONG_AUDIENCE},
        {"\"sho\"", LK_REFUSED, LK_REASON_WRONG_AUDIENCE},
        {"\"\"", LK_REFUSED, LK_REASON_WRONG_AUDIENCE},
        {"[]", LK_REFUSED, LK_REASON_WRONG_AUDIENCE},
        {"[[\"shop\"]]", LK_REFUSED, LK_REASON_MALFORMED},
        {"[\"shop\",1]", LK_REFUSED, LK_REASON_MALFORMED},
        {"[\"shop\",null]", LK_REFUSED, LK_REASON_MALFORMED},
        {"{\"shop\":1}", LK_REFUSED, LK_REASON_MALFORMED},
        {"null", LK_REFUSED, LK_REASON_MALFORMED},
        {"true", LK_REFUSED, LK_REASON_MALFORMED},
        {"[\"shop\",\"a\\u0000b\"]", LK_REFUSED, LK_REASON_MALFORMED},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char payload[160];

        (void)snprintf(payload, sizeof(payload), "{\"iss\":\"me\",\"aud\":%s,\"exp\":1800000900}",
                       cases[i].aud);
        expect_payload(payload, &strict, cases[i].status, cases[i].why);
    }
    expect_payload("{\"iss\":\"me\",\"exp\":1800000900}", &strict, LK_REFUSED, LK_REASON_WRONG_AUDIENCE);
}

/* What others look up in the list with lk_words_have must not find a name that is part of another. */
static void audience_with_a_space_is_not_in_the_list(void **state)
{
    lk_reason why;
    lk_claims c;

    (void)state;
    assert_int_equal(check_jwt(craft_claims("{\"aud\":[\"a\",\"b c\",\"\",\"d\"]}"), &lenient, &c, &why),
                     LK_OK);
    assert_view(c.audience, "a d");
    assert_int_equal(check_jwt(craft_claims("{\"aud\":\"b c\"}"), &lenient, &c, &why), LK_OK);
    assert_view(c.audience, "");
    assert_int_equal(check_jwt(craft_claims("{\"aud\":\"b c\"}"),
                               &(lk_expect){.audience = LK_VIEW("b c"), .now_s = NOW}, &c, &why),
                     LK_OK);
}

static void type_must_be_the_one_asked_for(void **state)
{
    static const struct {
        const char *typ, *asked;
        bool same;
    } cases[] = {
        {"\"at+jwt\"", "at+jwt", true},
        {"\"AT+JWT\"", "at+jwt", true},
        {"\"application/at+jwt\"", "at+jwt", true},
        {"\"Application/At+Jwt\"", "at+jwt", true},
        {"\"at+jwt\"", "application/at+jwt", true},
        {"\"at\\u002bjwt\"", "at+jwt", true},
        {"\"JWT\"", "at+jwt", false},
        {"\"at+jwt \"", "at+jwt", false},
        {"\"text/at+jwt\"", "at+jwt", false},
        {"\"application/application/at+jwt\"", "at+jwt", false},
        {"\"\"", "at+jwt", false},
        {"\"logout+jwt\"", "at+jwt", false},
        {"\"at+jwt\"", "dpop+jwt", false},
    };
    char header[128];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        lk_expect e = {.type = lk_view_of(cases[i].asked), .now_s = NOW};

        (void)snprintf(header, sizeof(header), "{\"alg\":\"HS256\",\"typ\":%s,\"kid\":\"KID\"}",
                       cases[i].typ);
        expect_jwt(craft(LK_ALG_HS256, header, "{" GOOD "}"), &e, cases[i].same ? LK_OK : LK_REFUSED,
                   cases[i].same ? LK_REASON_NONE : LK_REASON_MALFORMED);
    }
    expect_jwt(craft(LK_ALG_HS256, "{\"alg\":\"HS256\",\"kid\":\"KID\"}", "{" GOOD "}"), &strict, LK_REFUSED,
               LK_REASON_MALFORMED);
    expect_jwt(craft(LK_ALG_HS256, "{\"alg\":\"HS256\",\"kid\":\"KID\"}", "{" GOOD "}"), &lenient, LK_OK,
               LK_REASON_NONE);
}

/* --- When ------------------------------------------------------------------------------------------------
 */

static void expiry_is_read_in_every_form_a_number_has_and_in_no_other(void **state)
{
    static const struct {
        const char *exp;
        lk_status status;
        lk_reason why;
    } cases[] = {
        {"1800000001", LK_OK, LK_REASON_NONE},
        {"1800000000", LK_STALE, LK_REASON_EXPIRED}, /* "on or after" */
        {"1799999999", LK_STALE, LK_REASON_EXPIRED},
        {"1800000000.999", LK_STALE, LK_REASON_EXPIRED}, /* cut off */
        {"1800000001.0", LK_OK, LK_REASON_NONE},
        {"1.800000001e9", LK_OK, LK_REASON_NONE},
        {"1.8E+9", LK_STALE, LK_REASON_EXPIRED},
        {"18000000010e-1", LK_OK, LK_REASON_NONE},
        {"0", LK_STALE, LK_REASON_EXPIRED},
        {"-0", LK_STALE, LK_REASON_EXPIRED},
        {"-1", LK_STALE, LK_REASON_EXPIRED},
        {"1e-300", LK_STALE, LK_REASON_EXPIRED},
        {"9007199254740992", LK_OK, LK_REASON_NONE},
        {"9007199254740993", LK_REFUSED, LK_REASON_MALFORMED},
        {"9223372036854775808", LK_REFUSED, LK_REASON_MALFORMED},
        {"18446744073709551617", LK_REFUSED, LK_REASON_MALFORMED},
        {"1e300", LK_REFUSED, LK_REASON_MALFORMED},
        {"1e999999999999", LK_REFUSED, LK_REASON_MALFORMED},
        {"-1e300", LK_REFUSED, LK_REASON_MALFORMED},
        {"\"1800000001\"", LK_REFUSED, LK_REASON_MALFORMED},
        {"true", LK_REFUSED, LK_REASON_MALFORMED},
        {"null", LK_REFUSED, LK_REASON_MALFORMED},
        {"[1800000001]", LK_REFUSED, LK_REASON_MALFORMED},
        {"{}", LK_REFUSED, LK_REASON_MALFORMED},
        {"NaN", LK_REFUSED, LK_REASON_MALFORMED},
        {"Infinity", LK_REFUSED, LK_REASON_MALFORMED},
        {"0x7fffffff", LK_REFUSED, LK_REASON_MALFORMED},
        {"01800000001", LK_REFUSED, LK_REASON_MALFORMED},
        {"+1800000001", LK_REFUSED, LK_REASON_MALFORMED},
        {"1800000001.", LK_REFUSED, LK_REASON_MALFORMED},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char payload[128];

        (void)snprintf(payload, sizeof(payload), "{\"iss\":\"me\",\"aud\":\"shop\",\"exp\":%s}",
                       cases[i].exp);
        expect_payload(payload, &strict, cases[i].status, cases[i].why);
    }
}

static void token_without_expiry_is_refused_where_one_is_needed(void **state)
{
    (void)state;
    expect_payload("{\"iss\":\"me\",\"aud\":\"shop\"}", &strict, LK_REFUSED, LK_REASON_MALFORMED);
    expect_payload("{\"iss\":\"me\",\"aud\":\"shop\"}", &lenient, LK_OK, LK_REASON_NONE);
}

static void token_from_the_future_is_not_yet_valid(void **state)
{
    lk_expect e = strict;

    (void)state;
    expect("\"nbf\":1800000000", LK_OK, LK_REASON_NONE);
    expect("\"nbf\":1800000001", LK_REFUSED, LK_REASON_NOT_YET_VALID);
    expect("\"iat\":1800000000", LK_OK, LK_REASON_NONE);
    expect("\"nbf\":\"1\"", LK_REFUSED, LK_REASON_MALFORMED);
    expect("\"iat\":false", LK_REFUSED, LK_REASON_MALFORMED);
    e.leeway_s = 30;
    expect_payload("{" GOOD ",\"nbf\":1800000030,\"iat\":1800000030}", &e, LK_OK, LK_REASON_NONE);
    expect_payload("{" GOOD ",\"nbf\":1800000031}", &e, LK_REFUSED, LK_REASON_NOT_YET_VALID);
    e.leeway_s = 1000;
    expect_payload("{" GOOD ",\"nbf\":1800000060}", &e, LK_OK, LK_REASON_NONE);
    expect_payload("{" GOOD ",\"nbf\":1800000061}", &e, LK_REFUSED, LK_REASON_NOT_YET_VALID);
}

/* RFC 7519 section 4.1.6: it says when, not from when. A clock that was set back may be behind it. */
static void issue_time_ahead_of_the_clock_is_no_reason_to_refuse(void **state)
{
    (void)state;
    expect("\"iat\":1800000500", LK_OK, LK_REASON_NONE);
    expect("\"iat\":1800000500,\"iat_ms\":999", LK_OK, LK_REASON_NONE);
    expect("\"iat_ms\":1000", LK_REFUSED, LK_REASON_MALFORMED);
    expect("\"iat_ms\":\"1\"", LK_REFUSED, LK_REASON_MALFORMED);
}

static void leeway_moves_the_end_by_at_most_a_minute(void **state)
{
    lk_expect e = lenient;

    (void)state;
    e.leeway_s = 10;
    expect_payload("{\"exp\":1799999991}", &e, LK_OK, LK_REASON_NONE);
    expect_payload("{\"exp\":1799999990}", &e, LK_STALE, LK_REASON_EXPIRED);
    e.leeway_s = 1000;
    expect_payload("{\"exp\":1799999941}", &e, LK_OK, LK_REASON_NONE);
    expect_payload("{\"exp\":1799999940}", &e, LK_STALE, LK_REASON_EXPIRED);
    e.leeway_s = -1000;
    expect_payload("{\"exp\":1800000001}", &e, LK_OK, LK_REASON_NONE);
}

/* No clock makes a sum run over. */
static void times_at_the_edges_of_the_clock_do_not_overflow(void **state)
{
    static const int64_t clocks[] = {INT64_MIN, -1, 0, INT64_MAX - 1, INT64_MAX};

    (void)state;
    for (size_t i = 0; i < sizeof(clocks) / sizeof(clocks[0]); i++) {
        lk_expect e = {.leeway_s = 60, .now_s = clocks[i]};
        lk_reason why;

        assert_int_not_equal(
            check_jwt(craft_claims("{\"exp\":9007199254740992,\"nbf\":9007199254740992}"), &e, NULL, &why),
            LK_FAULT);
        assert_int_not_equal(
            check_jwt(craft_claims("{\"exp\":-9007199254740992,\"iat\":-9007199254740992}"), &e, NULL, &why),
            LK_FAULT);
    }
}

static void expired_token_still_says_whose_it_was(void **state)
{
    lk_reason why;
    lk_claims c;

    (void)state;
    assert_int_equal(check_jwt(craft_claims("{\"sub\":\"u_42\",\"exp\":1}"), &lenient, &c, &why), LK_STALE);
    assert_view(c.user, "u_42");
}

/* --- Forms -----------------------------------------------------------------------------------------------
 */

static void payload_must_be_one_json_object_without_repeated_names(void **state)
{
    static const char *const wrong[] = {
        "",
        "{",
        "{}x",
        "[]",
        "null",
        "\"sub\"",
        "{" GOOD ",}",
        "{" GOOD "}}",
        "{" GOOD "",
        "{," GOOD "}",
        "{" GOOD ",\"exp\":1800000900}",
        "{" GOOD ",\"e\\u0078p\":1800000900}",
        "{" GOOD ",\"x\":1,\"x\":2}",
        "{" GOOD ",\"x\":{\"a\":1,\"a\":1}}",
        "{" GOOD ",\"name\":\"\xff\"}",
        "{" GOOD ",\"name\":\"\\ud800\"}",
        "{" GOOD ",\"name\":\"a\nb\"}",
        "{" GOOD ",\"name\":\"a}",
        "{" GOOD ",\"roles\":[\"a\"}",
        "{" GOOD ",\"roles\":[\"a\",]}",
        "{" GOOD ",\"roles\":[,\"a\"]}",
        "{" GOOD " \"x\":1}",
        "{" GOOD ",\"x\" 1}",
        "{" GOOD ",x:1}",
        "{" GOOD ",\"x\":tru}",
        "\xef\xbb\xbf{" GOOD "}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        expect_payload(wrong[i], &lenient, LK_REFUSED, LK_REASON_MALFORMED);
    expect_payload(" {" GOOD "}\n", &strict, LK_OK, LK_REASON_NONE);
    expect_payload("{}", &lenient, LK_OK, LK_REASON_NONE);
}

static void claims_of_the_wrong_kind_are_refused(void **state)
{
    static const char *const texts[] = {"jti", "realm", "scope", "name", "client_id", "device"};
    static const char *const values[] = {"1",  "true",          "null",      "[]",          "[\"a\"]",
                                         "{}", "\"a\\u0000b\"", "\"a\\nb\"", "\"\\u007f\"", "\"\\u0085\""};
    char more[128];

    (void)state;
    for (size_t t = 0; t < sizeof(texts) / sizeof(texts[0]); t++) {
        (void)snprintf(more, sizeof(more), "\"%s\":\"ok\"", texts[t]);
        expect(more, LK_OK, LK_REASON_NONE);
        for (size_t v = 0; v < sizeof(values) / sizeof(values[0]); v++) {
            (void)snprintf(more, sizeof(more), "\"%s\":%s", texts[t], values[v]);
            expect(more, LK_REFUSED, LK_REASON_MALFORMED);
        }
    }
    expect("\"auth_time\":\"1\"", LK_REFUSED, LK_REASON_MALFORMED);
    expect("\"auth_time\":1e300", LK_REFUSED, LK_REASON_MALFORMED);
    expect("\"sid\":1", LK_REFUSED, LK_REASON_MALFORMED);
    expect("\"gen\":-1", LK_REFUSED, LK_REASON_MALFORMED);
    expect("\"gen\":1.5", LK_REFUSED, LK_REASON_MALFORMED);
    expect("\"gen\":4294967296", LK_REFUSED, LK_REASON_MALFORMED);
    expect("\"gen\":\"1\"", LK_REFUSED, LK_REASON_MALFORMED);
    expect("\"gen\":4294967295", LK_OK, LK_REASON_NONE);
}

/* "admin editor" as one role must not become two. */
static void roles_are_an_array_of_single_words(void **state)
{
    lk_reason why;
    lk_claims c;

    (void)state;
    expect("\"roles\":[]", LK_OK, LK_REASON_NONE);
    expect("\"roles\":[\"a\",\"b\"]", LK_OK, LK_REASON_NONE);
    expect("\"roles\":\"admin\"", LK_REFUSED, LK_REASON_MALFORMED);
    expect("\"roles\":[\"a admin\"]", LK_REFUSED, LK_REASON_MALFORMED);
    expect("\"roles\":[\"a\\u0020admin\"]", LK_REFUSED, LK_REASON_MALFORMED);
    expect("\"roles\":[\"\"]", LK_REFUSED, LK_REASON_MALFORMED);
    expect("\"roles\":[1]", LK_REFUSED, LK_REASON_MALFORMED);
    expect("\"roles\":[[\"a\"]]", LK_REFUSED, LK_REASON_MALFORMED);
    expect("\"roles\":null", LK_REFUSED, LK_REASON_MALFORMED);
    assert_int_equal(check_jwt(craft_claims("{\"roles\":[\"\\u0061dmin\", \"b\"]}"), &lenient, &c, &why),
                     LK_OK);
    assert_view(c.roles, "admin b");
    assert_int_equal(check_jwt(craft_claims("{\"roles\":[\"\\u0061dmin\",\"b\"]}"), &lenient, &c, &why),
                     LK_OK);
    assert_view(c.roles, "admin b");
    assert_int_equal(check_jwt(craft_claims("{\"roles\":[\"a\\u0020admin\",\"b\"]}"), &lenient, &c, &why),
                     LK_REFUSED);
}

/* Somebody else's sid is a text of theirs; ours has 16 characters. */
static void sid_of_our_form_names_a_session_and_another_does_not(void **state)
{
    lk_reason why;
    lk_claims c;

    (void)state;
    assert_int_equal(check_jwt(craft_claims("{\"sid\":\"AQIDBAUGBwgJCgsM\"}"), &lenient, &c, &why), LK_OK);
    assert_true(c.has_session);
    assert_int_equal(
        check_jwt(craft_claims("{\"sid\":\"08a5019c-17e1-4977-8f42-65a12843ea02\"}"), &lenient, &c, &why),
        LK_OK);
    assert_false(c.has_session);
    assert_int_equal(check_jwt(craft_claims("{\"sid\":\"AQIDBAUGBwgJCgs+\"}"), &lenient, &c, &why), LK_OK);
    assert_false(c.has_session);
}

static void claims_we_do_not_know_are_passed_over(void **state)
{
    lk_reason why;
    lk_claims c;

    (void)state;
    assert_int_equal(
        check_jwt(craft_claims("{\"http://example.com/is_root\":true,\"may_act\":{\"sub\":\"evil\"},"
                               "\"Sub\":\"evil\",\"sub\":\"u\",\"n\":[[[1]]],\"subx\":\"evil\"}"),
                  &lenient, &c, &why),
        LK_OK);
    assert_view(c.user, "u");
}

static void depth_over_the_bound_is_refused(void **state)
{
    char payload[512] = "{\"x\":";

    (void)state;
    for (int i = 0; i < 31; i++)
        strcat(payload, "[");
    for (int i = 0; i < 31; i++)
        strcat(payload, "]");
    strcat(payload, "}");
    expect_payload(payload, &lenient, LK_OK, LK_REASON_NONE);
    (void)snprintf(payload, sizeof(payload), "{\"x\":");
    for (int i = 0; i < 32; i++)
        strcat(payload, "[");
    for (int i = 0; i < 32; i++)
        strcat(payload, "]");
    strcat(payload, "}");
    expect_payload(payload, &lenient, LK_REFUSED, LK_REASON_MALFORMED);
}

/* Signature first: a wrong one is the reason, whatever the payload says. */
static void payload_is_not_looked_at_before_the_signature(void **state)
{
    static const char *const payloads[] = {"{\"exp\":1}", "{\"exp\":\"x\"}", "no JSON",
                                           "{\"aud\":\"other\"}"};
    lk_view kid = lk_signer_kid(lk_keyring_signer(ring, LK_ALG_HS256));
    char header[128];

    (void)state;
    (void)snprintf(header, sizeof(header), "{\"alg\":\"HS256\",\"typ\":\"x\",\"kid\":\"%.*s\"}", (int)kid.len,
                   (const char *)kid.p);
    for (size_t i = 0; i < sizeof(payloads) / sizeof(payloads[0]); i++)
        expect_jwt(assemble(header, payloads[i], LK_VIEW("0123456789abcdef0123456789abcdef")), &strict,
                   LK_REFUSED, LK_REASON_BAD_SIGNATURE);
}

/* --- The two readers -------------------------------------------------------------------------------------
 */

typedef struct answer {
    lk_status status;
    lk_reason why;
    lk_claims claims;
    lk__present present;
    uint8_t memory[2048];
} answer;

static answer read_text(const char *text, size_t len)
{
    static uint8_t copies[2][2048];
    static int turn;
    answer a = {0};
    lk_buf scratch;

    turn = 1 - turn;
    memcpy(copies[turn], text, len);
    scratch = lk_buf_over(a.memory, sizeof(a.memory));
    a.status = lk__claims_read(lk_view_make(copies[turn], len), &strict, &scratch, &a.claims, &a.present,
                               (lk__refusal){&a.why, NULL});
    return a;
}

static void assert_same_view(lk_view a, lk_view b)
{
    assert_true(lk_view_equal(a, b));
}

/* A blank behind the brace makes the general reader do what the quick one does without it. Whatever is done
 * to a text, both give one answer. */
static void quick_reader_and_general_reader_agree_on_any_text(void **state)
{
    static const char start[] = "{\"iss\":\"me\",\"sub\":\"u_42\",\"aud\":[\"shop\",\"api\"],\"exp\":"
                                "1800000900,\"iat\":1800000000,\"jti\":\"a\\u0062c\","
                                "\"sid\":\"AQIDBAUGBwgJCgsM\",\"roles\":[\"admin\"],\"gen\":3,\"name\":"
                                "\"J\303\274rgen\",\"nbf\":-1.5e0}";
    static const char pieces[] = "\"\\,:{}[]0e.-u1 a\x7f\xc3\x80\n";
    unsigned seed = 1;
    int accepted = 0;

    (void)state;
    for (int round = 0; round < 60000; round++) {
        char quick[512], general[516];
        size_t len = sizeof(start) - 1;

        memcpy(quick, start, sizeof(start));
        for (int change = round % 4; change > 0; change--) {
            size_t at = (seed = seed * 1103515245 + 12345) / 65536 % len;

            quick[at] = pieces[(seed = seed * 1103515245 + 12345) / 65536 % (sizeof(pieces) - 1)];
        }
        if (round % 5 == 4) /* take a piece out, so that members meet */
            memmove(quick + 20, quick + 20 + round % 37, (len -= (size_t)(round % 37)) - 20);
        general[0] = quick[0];
        general[1] = ' ';
        memcpy(general + 2, quick + 1, len - 1);
        {
            answer a = read_text(quick, len), b = read_text(general, len + 1);

            if (a.status != b.status)
                fail_msg("%.*s\n%d %d", (int)len, quick, a.status, b.status);
            assert_int_equal(a.why, b.why);
            if (a.status != LK_OK)
                continue;
            accepted++;
            assert_same_view(a.claims.issuer, b.claims.issuer);
            assert_same_view(a.claims.user, b.claims.user);
            assert_same_view(a.claims.audience, b.claims.audience);
            assert_same_view(a.claims.roles, b.claims.roles);
            assert_same_view(a.claims.id, b.claims.id);
            assert_same_view(a.claims.name, b.claims.name);
            assert_int_equal(a.claims.expires_s, b.claims.expires_s);
            assert_int_equal(a.claims.issued_s, b.claims.issued_s);
            assert_int_equal(a.claims.not_before_s, b.claims.not_before_s);
            assert_int_equal(a.claims.generation, b.claims.generation);
            assert_int_equal(a.claims.has_session, b.claims.has_session);
            assert_memory_equal(&a.claims.session, &b.claims.session, sizeof(a.claims.session));
            assert_memory_equal(&a.present, &b.present, sizeof(a.present));
        }
    }
    assert_true(accepted > 10000);
}

/* --- Bounds ----------------------------------------------------------------------------------------------
 */

static void check_allocates_nothing_for_hmac_and_eddsa(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        lk_view token = mint(i == 0 ? LK_ALG_HS256 : LK_ALG_EDDSA, &full, LK_VIEW("at+jwt"));

        test_alloc_fail_at(1);
        expect_jwt(token, &strict, LK_OK, LK_REASON_NONE);
        assert_false(test_alloc_failed());
        test_alloc_fail_at(0);
    }
}

static void scratch_of_twice_the_longest_token_is_always_enough(void **state)
{
    static char payload[LK_CREDENTIAL_MAX];
    static uint8_t memory[2 * LK_CREDENTIAL_MAX];
    lk_buf scratch = lk_buf_over(memory, sizeof(memory));
    size_t at = (size_t)snprintf(payload, sizeof(payload), "{\"roles\":[");
    lk_reason why;
    lk_claims c;

    (void)state;
    while (at < 6000)
        at += (size_t)snprintf(payload + at, sizeof(payload) - at, "%s\"r\"", at > 10 ? "," : "");
    (void)snprintf(payload + at, sizeof(payload) - at, "]}");
    assert_int_equal(lk_jwt_check(ring, craft_claims(payload), &lenient, &scratch, &c, &why, NULL), LK_OK);
    assert_int_equal(c.roles.len, (6000 - 10) / 4 * 2 + 1);
    for (size_t cap = 0; cap < 7000; cap += 211) {
        scratch = lk_buf_over(memory, cap);
        assert_int_equal(lk_jwt_check(ring, craft_claims(payload), &lenient, &scratch, &c, &why, NULL),
                         LK_FULL);
        assert_int_equal(scratch.len, 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(minted_token_says_what_was_put_in_under_every_algorithm),
        cmocka_unit_test(actor_is_carried_as_it_stands_and_is_an_object),
        cmocka_unit_test(claims_that_are_not_there_are_empty),
        cmocka_unit_test(token_that_makes_no_sense_is_not_signed),
        cmocka_unit_test(token_that_would_be_too_long_is_full_and_leaves_nothing),
        cmocka_unit_test(issuer_must_be_the_whole_text),
        cmocka_unit_test(audience_must_hold_the_whole_text),
        cmocka_unit_test(audience_with_a_space_is_not_in_the_list),
        cmocka_unit_test(type_must_be_the_one_asked_for),
        cmocka_unit_test(expiry_is_read_in_every_form_a_number_has_and_in_no_other),
        cmocka_unit_test(token_without_expiry_is_refused_where_one_is_needed),
        cmocka_unit_test(token_from_the_future_is_not_yet_valid),
        cmocka_unit_test(issue_time_ahead_of_the_clock_is_no_reason_to_refuse),
        cmocka_unit_test(leeway_moves_the_end_by_at_most_a_minute),
        cmocka_unit_test(times_at_the_edges_of_the_clock_do_not_overflow),
        cmocka_unit_test(expired_token_still_says_whose_it_was),
        cmocka_unit_test(payload_must_be_one_json_object_without_repeated_names),
        cmocka_unit_test(claims_of_the_wrong_kind_are_refused),
        cmocka_unit_test(roles_are_an_array_of_single_words),
        cmocka_unit_test(sid_of_our_form_names_a_session_and_another_does_not),
        cmocka_unit_test(claims_we_do_not_know_are_passed_over),
        cmocka_unit_test(depth_over_the_bound_is_refused),
        cmocka_unit_test(payload_is_not_looked_at_before_the_signature),
        cmocka_unit_test(quick_reader_and_general_reader_agree_on_any_text),
        cmocka_unit_test(check_allocates_nothing_for_hmac_and_eddsa),
        cmocka_unit_test(scratch_of_twice_the_longest_token_is_always_enough),
    };

    return cmocka_run_group_tests(tests, make_ring, free_ring);
}
