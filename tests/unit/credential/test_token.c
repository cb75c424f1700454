/* SPDX-License-Identifier: Apache-2.0
 *
 * test_token.c - the simple token: one spelling, tamper-proof, its parameters, its times.
 */
#include "crypto/mac.h"
#include "keyring/keyring_internal.h"
#include "token_fixture.h"
#include <latchkey/base64url.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "test_env.h"

static uint8_t minted[LK_CREDENTIAL_MAX + 64];

static lk_view mint_claims(const lk_claims *c)
{
    lk_buf out = lk_buf_over(minted, sizeof(minted));

    assert_int_equal(lk_token_mint(ring, c, &out), LK_OK);
    return lk_buf_view(&out);
}

static lk_view mint(const char *user, const char *params)
{
    return mint_claims(&(lk_claims){.user = lk_view_of(user),
                                    .params = lk_view_of(params),
                                    .issued_s = NOW - 10,
                                    .expires_s = NOW + 900});
}

/* FIELDS with the kid and the right sign behind them: a token that our own mint would never make. */
static lk_view sign_fields(const char *fields)
{
    const lk_signer *signer = lk_keyring_signer(ring, LK_ALG_HS256);
    lk_buf out = lk_buf_over(minted, sizeof(minted));
    uint8_t sign[LK_MAC_LEN];
    lk_view message;

    lk_buf_add_text(&out, fields);
    lk_buf_add_byte(&out, '.');
    lk_buf_add(&out, lk_signer_kid(signer));
    message = lk_buf_view(&out);
    assert_int_equal(lk_mac_run(lk__signer_token_mac(signer), &message, 1, sign), LK_OK);
    lk_buf_add_byte(&out, '.');
    for (size_t i = 0; i < sizeof(sign); i++)
        lk_buf_add_printf(&out, "%02x", sign[i]);
    return lk_buf_view(&out);
}

static void expect(lk_view token, lk_status status, lk_reason reason)
{
    lk_reason why;
    lk_status got = check_token(token, &lenient, NULL, &why);

    if (got != status || why != reason)
        fail_msg("%.*s\n   gives %s %s", (int)token.len, (const char *)token.p, lk_status_name(got),
                 lk_reason_word(why));
}

static void minted_token_says_what_was_put_in(void **state)
{
    lk_claims c;
    lk_reason why;

    (void)state;
    assert_int_equal(check_token(mint("u_42", "tenant=7,role=reader"), &lenient, &c, &why), LK_OK);
    assert_int_equal(c.kind, LK_KIND_TOKEN);
    assert_view(c.user, "u_42");
    assert_view(c.params, "role=reader,tenant=7");
    assert_int_equal(c.issued_s, NOW - 10);
    assert_int_equal(c.expires_s, NOW + 900);
    assert_true(lk_view_equal(c.kid, lk_signer_kid(lk_keyring_signer(ring, LK_ALG_HS256))));
    assert_int_equal(check_token(mint("u_42", ""), &lenient, &c, &why), LK_OK);
    assert_view(c.params, "");
}

static void token_has_the_documented_form(void **state)
{
    lk_view kid = lk_signer_kid(lk_keyring_signer(ring, LK_ALG_HS256));
    char start[128];
    lk_view token;

    (void)state;
    (void)snprintf(start, sizeof(start), "dV80Mg.1799999990.1800000900.YT0xLGI9Mg.%.*s.", (int)kid.len,
                   (const char *)kid.p);
    token = mint("u_42", "b=2,a=1");
    assert_view(lk_view_part(token, 0, strlen(start)), start);
    assert_int_equal(token.len, strlen(start) + 64);
}

/* The vector of docs/formats/token.md, computed by other means. */
static void documented_token_is_right(void **state)
{
    lk_keyring *documented = ring_of("{\"kty\":\"oct\",\"kid\":\"hs256-LYQVMtmf\",\"k\":"
                                     "\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\"}",
                                     NULL);
    lk_view token = LK_VIEW("dV80Mg.1799999990.1800000900.cm9sZXM9cmVhZGVyLHRlbmFudD03.hs256-LYQVMtmf."
                            "15e8fd08a0a946ed8cf325d7c8f1cc5751129a2339d9d73789eb25d065cf7b88");
    uint8_t memory[256];
    lk_buf scratch = lk_buf_over(memory, sizeof(memory));
    lk_reason why;
    lk_claims c;

    (void)state;
    assert_non_null(documented);
    assert_int_equal(lk_token_check(documented, token, &lenient, &scratch, &c, &why), LK_OK);
    assert_view(c.user, "u_42");
    assert_view(c.roles, "reader");
    assert_view(c.params, "roles=reader,tenant=7");
    lk_keyring_free(documented);
}

static void user_with_dots_and_foreign_letters_comes_back_as_it_is(void **state)
{
    static const char *const users[] = {
        "a.b.c", "1800000000.1800000900", "\303\244\346\227\245\360\237\224\221", " a ", "a,b=c", "."};
    lk_reason why;
    lk_claims c;

    (void)state;
    for (size_t i = 0; i < sizeof(users) / sizeof(users[0]); i++) {
        assert_int_equal(check_token(mint(users[i], "x=1"), &lenient, &c, &why), LK_OK);
        assert_view(c.user, users[i]);
    }
}

static void token_with_any_byte_changed_is_refused(void **state)
{
    lk_view token = mint("u_42", "role=reader,tenant=7");
    uint8_t copy[512];

    (void)state;
    memcpy(copy, token.p, token.len);
    for (size_t i = 0; i < token.len; i++) {
        for (unsigned change = 1; change < 256; change <<= 1) {
            copy[i] ^= (uint8_t)change;
            {
                lk_reason why;

                assert_int_equal(check_token(lk_view_make(copy, token.len), &lenient, NULL, &why),
                                 LK_REFUSED);
            }
            copy[i] ^= (uint8_t)change;
        }
    }
    expect(lk_view_make(copy, token.len), LK_OK, LK_REASON_NONE);
}

static void token_cut_at_any_length_or_with_more_behind_is_refused(void **state)
{
    lk_view token = mint("u_42", "role=reader");
    lk_reason why;

    (void)state;
    for (size_t len = 0; len < token.len; len++) {
        assert_int_equal(check_token(lk_view_make(token.p, len), &lenient, NULL, &why), LK_REFUSED);
        assert_int_equal(check_token(lk_view_make(token.p + token.len - len, len), &lenient, NULL, &why),
                         LK_REFUSED);
    }
    for (unsigned c = 0; c < 256; c++) {
        minted[token.len] = (uint8_t)c;
        assert_int_equal(check_token(lk_view_make(token.p, token.len + 1), &lenient, NULL, &why), LK_REFUSED);
    }
    expect(token, LK_OK, LK_REASON_NONE);
}

static void sign_in_capitals_is_refused(void **state)
{
    lk_view token = mint("u_42", "");
    bool changed = false;

    (void)state;
    for (size_t i = token.len - 64; i < token.len; i++) {
        if (minted[i] >= 'a') {
            minted[i] = (uint8_t)(minted[i] - 'a' + 'A');
            changed = true;
        }
    }
    assert_true(changed);
    expect(token, LK_REFUSED, LK_REASON_BAD_SIGNATURE);
}

/* Right signs under other spellings: whoever could make one would have a second token for the same thing. */
static void second_spelling_is_refused_even_when_signed(void **state)
{
    static const char *const fields[] = {
        "dQ.01800000000.1800000900",           /* a leading zero */
        "dQ.+1.1800000900",                    /* a sign */
        "dQ.-1.1800000900",                    /* */
        "dQ. 1.1800000900",                    /* a blank */
        "dQ.1e3.1800000900",                   /* an exponent */
        "dQ.0x1.1800000900",                   /* */
        "dQ..1800000900",                      /* no time */
        "dQ.1.",                               /* */
        "dQ.1.9223372036854775808",            /* over int64 */
        "dQ.1.9007199254740993",               /* over 2^53 */
        "dR.1.1800000900",                     /* trailing bits */
        "dQ==.1.1800000900",                   /* padding */
        ".1.1800000900",                       /* nobody */
        "dQ.1.1800000900.",                    /* empty parameters */
        "dQ.1.1800000900.Yj0yLGE9MQ",          /* b=2,a=1: out of order */
        "dQ.1.1800000900.YT0xLGE9MQ",          /* a=1,a=1: twice */
        "dQ.1.1800000900.PTE",                 /* =1: no name */
        "dQ.1.1800000900.YQ",                  /* a: no value */
        "dQ.1.1800000900.YT0xLA",              /* a=1, : a comma at the end */
        "dQ.1.1800000900.LGE9MQ",              /* ,a=1 */
        "dQ.1.1800000900.YT0BCg",              /* a control character */
        "dQ.1.1800000900.YT3_",                /* no UTF-8 */
        "AA.1.1800000900",                     /* a user of one NUL */
        "dQo.1.1800000900",                    /* a user with a line end */
        "_w.1.1800000900",                     /* a user that is no UTF-8 */
        "dQ.1.1800000900.Z2VuPTAx",            /* gen=01 */
        "dQ.1.1800000900.Z2VuPTQyOTQ5NjcyOTY", /* gen=4294967296 */
        "dQ.1.1800000900.c2lkPXNob3J0",        /* sid=short */
        "dQ.1.1800000900.bXM9MTAwMA",          /* ms=1000 */
        "dQ.1.1800000900.YT0l",                /* a=% */
        "dQ.1.1800000900.YT0lMmM",             /* a=%2c */
        "dQ.1.1800000900.YT0lNDE",             /* a=%41 */
        "dQ.1.1800000900.YT0lMg",              /* a=%2 */
    };

    (void)state;
    expect(sign_fields("dQ.1.1800000900"), LK_OK, LK_REASON_NONE);
    expect(sign_fields("dQ.1.1800000900.YT0xLGI9Mg"), LK_OK, LK_REASON_NONE);
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
        expect(sign_fields(fields[i]), LK_REFUSED, LK_REASON_MALFORMED);
}

static void token_is_over_from_its_expiry_on(void **state)
{
    static const struct {
        int64_t issued, expires, leeway;
        lk_status status;
        lk_reason why;
    } cases[] = {
        {NOW, NOW + 1, 0, LK_OK, LK_REASON_NONE},
        {NOW - 1, NOW, 0, LK_STALE, LK_REASON_EXPIRED},
        {NOW - 1, NOW, 1, LK_OK, LK_REASON_NONE},
        {NOW - 100, NOW - 60, 60, LK_STALE, LK_REASON_EXPIRED},
        {NOW - 100, NOW - 61, 3600, LK_STALE, LK_REASON_EXPIRED}, /* 60 s is the most that is given */
        {NOW - 100, NOW, -50, LK_STALE, LK_REASON_EXPIRED},
        {NOW + 1, NOW + 9, 1, LK_OK, LK_REASON_NONE},
        {0, 1, 0, LK_STALE, LK_REASON_EXPIRED},
        {0, INT64_C(1) << 53, 0, LK_OK, LK_REASON_NONE},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        lk_expect e = {.now_s = NOW, .leeway_s = cases[i].leeway};
        lk_claims c = {.user = LK_VIEW("u"), .issued_s = cases[i].issued, .expires_s = cases[i].expires};
        lk_reason why;

        assert_int_equal(check_token(mint_claims(&c), &e, NULL, &why), cases[i].status);
        assert_int_equal(why, cases[i].why);
    }
}

/* Who asks why a token is no longer good wants to know whose it was. */
static void expired_token_still_says_whose_it_was(void **state)
{
    lk_expect late = {.now_s = NOW + 901};
    lk_reason why;
    lk_claims c;

    (void)state;
    assert_int_equal(check_token(mint("u_42", "role=x"), &late, &c, &why), LK_STALE);
    assert_view(c.user, "u_42");
}

static const lk_claims everything = {
    .user = {(const uint8_t *)"u_42", 4},
    .name = {(const uint8_t *)"J\303\274rgen M=1", 11},
    .realm = {(const uint8_t *)"staff", 5},
    .roles = {(const uint8_t *)"admin editor", 12},
    .scope = {(const uint8_t *)"a.read b", 8},
    .params = {(const uint8_t *)"tenant=7,plan=gold", 18},
    .has_session = true,
    .session = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}},
    .generation = 7,
    .issued_s = NOW - 10,
    .issued_ms = 45,
    .expires_s = NOW + 900,
};

static void claims_become_parameters_and_come_back(void **state)
{
    lk_reason why;
    lk_claims c;

    (void)state;
    assert_int_equal(check_token(mint_claims(&everything), &lenient, &c, &why), LK_OK);
    assert_view(c.params,
                "gen=7,ms=45,name=J\303\274rgen M=1,plan=gold,realm=staff,roles=admin editor,scope=a.read "
                "b,sid=AQIDBAUGBwgJCgsM,tenant=7");
    assert_true(c.has_session);
    assert_memory_equal(&c.session, &everything.session, sizeof(c.session));
    assert_int_equal(c.generation, 7);
    assert_int_equal(c.issued_ms, 45);
    assert_view(c.realm, "staff");
    assert_view(c.roles, "admin editor");
    assert_view(c.scope, "a.read b");
    assert_view(c.name, "J\303\274rgen M=1");
}

/* A person may choose a name, and shall not choose roles with it. */
static void name_cannot_bring_roles_along(void **state)
{
    static const char *const names[] = {"Bob,roles=latchkey-admin",
                                        ",roles=x",
                                        "a,",
                                        ",",
                                        "%",
                                        "100%",
                                        "%2C",
                                        "%2c",
                                        "%252C",
                                        "%,%",
                                        "Smith, John",
                                        "x,name=y",
                                        "a=b,c=d,"};
    lk_claims in = {.user = LK_VIEW("u"), .issued_s = NOW, .expires_s = NOW + 9}, c;
    lk_reason why;

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        in.name = in.realm = lk_view_of(names[i]);
        assert_int_equal(check_token(mint_claims(&in), &lenient, &c, &why), LK_OK);
        assert_view(c.name, names[i]);
        assert_view(c.realm, names[i]);
        assert_view(c.roles, "");
    }
}

static void kept_name_is_refused_among_the_other_parameters(void **state)
{
    static const char *const names[] = {"gen", "ms", "name", "realm", "roles", "scope", "sid"};
    uint8_t memory[LK_CREDENTIAL_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        lk_claims c = {.user = LK_VIEW("u"), .issued_s = NOW, .expires_s = NOW + 9};
        lk_buf out = lk_buf_over(memory, sizeof(memory));
        char text[64];

        (void)snprintf(text, sizeof(text), "a=1,%s=2", names[i]);
        c.params = lk_view_of(text);
        assert_int_equal(lk_token_mint(ring, &c, &out), LK_REFUSED);
        assert_int_equal(lk_token_param_add(lk_view_of(names[i]), LK_VIEW("2"), &out), LK_REFUSED);
    }
}

static void parameters_put_together_are_escaped(void **state)
{
    lk_claims in = {.user = LK_VIEW("u"), .issued_s = NOW, .expires_s = NOW + 9}, c;
    uint8_t memory[64];
    lk_buf params = lk_buf_over(memory, sizeof(memory));
    lk_reason why;
    lk_view value;

    (void)state;
    assert_int_equal(lk_token_param_add(LK_VIEW("b"), LK_VIEW("1,roles=x"), &params), LK_OK);
    assert_int_equal(lk_token_param_add(LK_VIEW("a"), LK_VIEW("50%"), &params), LK_OK);
    assert_int_equal(lk_token_param_add(LK_VIEW("a b"), LK_VIEW("1"), &params), LK_REFUSED);
    assert_int_equal(lk_token_param_add(LK_VIEW(""), LK_VIEW("1"), &params), LK_REFUSED);
    assert_int_equal(lk_token_param_add(LK_VIEW("c"), LK_VIEW("1\n"), &params), LK_REFUSED);
    assert_view(lk_buf_view(&params), "b=1%2Croles=x,a=50%25");
    in.params = lk_buf_view(&params);
    assert_int_equal(check_token(mint_claims(&in), &lenient, &c, &why), LK_OK);
    assert_view(c.params, "a=50%25,b=1%2Croles=x");
    assert_view(c.roles, "");
    assert_int_equal(lk_token_param(c.params, LK_VIEW("b"), &value), LK_OK);
    assert_view(value, "1%2Croles=x");
    params = lk_buf_over(memory, 3);
    assert_int_equal(lk_token_param_add(LK_VIEW("a"), LK_VIEW("12"), &params), LK_FULL);
}

static void parameter_is_found_by_its_whole_name(void **state)
{
    const lk_view params = LK_VIEW("a=1,ab=2,b=,c=x=y");
    lk_view value;

    (void)state;
    assert_int_equal(lk_token_param(params, LK_VIEW("a"), &value), LK_OK);
    assert_view(value, "1");
    assert_int_equal(lk_token_param(params, LK_VIEW("ab"), &value), LK_OK);
    assert_view(value, "2");
    assert_int_equal(lk_token_param(params, LK_VIEW("b"), &value), LK_OK);
    assert_view(value, "");
    assert_int_equal(lk_token_param(params, LK_VIEW("c"), &value), LK_OK);
    assert_view(value, "x=y");
    assert_int_equal(lk_token_param(params, LK_VIEW("A"), &value), LK_MISS);
    assert_int_equal(lk_token_param(params, LK_VIEW("c=x"), &value), LK_MISS);
    assert_int_equal(lk_token_param(params, LK_VIEW(""), &value), LK_MISS);
    assert_int_equal(lk_token_param((lk_view){0}, LK_VIEW("a"), &value), LK_MISS);
}

static void assert_param(const char *params, const char *name, const char *value)
{
    uint8_t memory[64];
    lk_buf out = lk_buf_over(memory, sizeof(memory));
    lk_status status = lk_token_param_text(lk_view_of(params), lk_view_of(name), &out);

    assert_int_equal(status, value != NULL ? LK_OK : LK_MISS);
    assert_view(lk_buf_view(&out), value != NULL ? value : "");
}

static void parameter_under_the_name_of_a_variable_is_one_or_none(void **state)
{
    lk_buf small = lk_buf_over(minted, 2);

    (void)state;
    assert_param("a=50%25,b=1%2Croles=x", "a", "50%");
    assert_param("a=50%25,b=1%2Croles=x", "b", "1,roles=x");
    assert_param("Shop-Id=1", "shop_id", "1");
    assert_param("shop.id=1", "SHOP_ID", "1");
    assert_param("shop_id=", "shop_id", "");
    assert_param("shop-id=1,shop_id=2", "shop_id", NULL);
    assert_param("A=1,a=1", "a", NULL);
    assert_param("a_b=1", "a-b", NULL);
    assert_param("ab=1", "a", NULL);
    assert_param("a=1", "ab", NULL);
    assert_param("a=1", "", NULL);
    assert_param("", "a", NULL);
    assert_param("a=%2", "a", NULL); /* no token says this */
    assert_int_equal(lk_token_param_text(LK_VIEW("a=123"), LK_VIEW("a"), &small), LK_FULL);
}

/* Users and parameters that would run into each other if anything in them were not written apart. */
static void two_different_sets_of_claims_never_have_one_text(void **state)
{
    static const char *const users[] = {"a",  "a.1",  "a.b",      "a,b", "a%2Cb",
                                        "a%", "a%25", "\303\244", "a=b", "YQ"};
    static const char *const values[] = {"",  "1",   "1,y=2", "1%2Cy=2", "1%252Cy=2",
                                         "%", "%25", ".",     "=",       "1.2"};
    static uint8_t texts[100][512];
    size_t lens[100], n = 0;

    (void)state;
    for (size_t u = 0; u < 10; u++) {
        for (size_t v = 0; v < 10; v++, n++) {
            uint8_t memory[64], value[64];
            lk_buf params = lk_buf_over(memory, sizeof(memory)), back = lk_buf_over(value, sizeof(value));
            lk_claims in = {.user = lk_view_of(users[u]), .issued_s = NOW, .expires_s = NOW + 9}, c;
            lk_reason why;
            lk_view token;

            assert_int_equal(lk_token_param_add(LK_VIEW("x"), lk_view_of(values[v]), &params), LK_OK);
            in.params = lk_buf_view(&params);
            token = mint_claims(&in);
            memcpy(texts[n], token.p, token.len);
            lens[n] = token.len;
            for (size_t i = 0; i < n; i++)
                assert_true(lens[i] != token.len || memcmp(texts[i], token.p, token.len) != 0);
            assert_int_equal(check_token(token, &lenient, &c, &why), LK_OK);
            assert_view(c.user, users[u]);
            assert_int_equal(lk_token_param_text(c.params, LK_VIEW("x"), &back), LK_OK);
            assert_view(lk_buf_view(&back), values[v]);
        }
    }
    assert_int_equal(lk_token_mint(ring, &(lk_claims){.issued_s = NOW, .expires_s = NOW + 9},
                                   &(lk_buf){.p = minted, .cap = sizeof(minted)}),
                     LK_REFUSED); /* nobody is no user */
}

static void parameters_that_cannot_be_said_are_not_signed(void **state)
{
    static const char *const wrong[] = {
        "a",       "=1",    "a=1,",  ",a=1",       "a=1,,b=2",
        "a=1,a=2", "a b=1", "a=\n",  "a=\x7f",     "a=\xff",
        "a=%",     "a=%2c", "a=%zz", "\303\274=1", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa=1"};
    char many[512] = "";
    uint8_t memory[LK_CREDENTIAL_MAX];
    lk_claims c = {.user = LK_VIEW("u"), .issued_s = NOW, .expires_s = NOW + 1};

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        lk_buf out = lk_buf_over(memory, sizeof(memory));

        c.params = lk_view_of(wrong[i]);
        if (lk_token_mint(ring, &c, &out) != LK_REFUSED)
            fail_msg("signed: %s", wrong[i]);
        assert_int_equal(out.len, 0);
    }
    for (int i = 0; i < 41; i++)
        (void)snprintf(many + strlen(many), sizeof(many) - strlen(many), "%sp%d=%d", i == 0 ? "" : ",", i, i);
    {
        lk_buf out = lk_buf_over(memory, sizeof(memory));

        c.params = lk_view_of(many);
        assert_int_equal(lk_token_mint(ring, &c, &out), LK_REFUSED);
        *strrchr(many, ',') = '\0';
        c.params = lk_view_of(many);
        assert_int_equal(lk_token_mint(ring, &c, &out), LK_OK);
    }
}

static void token_that_makes_no_sense_is_not_signed(void **state)
{
    uint8_t memory[LK_CREDENTIAL_MAX];
    lk_buf out = lk_buf_over(memory, sizeof(memory));
    lk_keyring *checks = ring_of(rfc_hs256, NULL);
    const lk_claims good = {.user = LK_VIEW("u"), .issued_s = NOW, .expires_s = NOW + 1};
    lk_claims c;

    (void)state;
    c = good;
    c.user = (lk_view){0};
    assert_int_equal(lk_token_mint(ring, &c, &out), LK_REFUSED);
    c = good;
    c.user = LK_VIEW("a\nb");
    assert_int_equal(lk_token_mint(ring, &c, &out), LK_REFUSED);
    c = good;
    c.expires_s = 0;
    assert_int_equal(lk_token_mint(ring, &c, &out), LK_REFUSED);
    c = good;
    c.expires_s = NOW - 1;
    assert_int_equal(lk_token_mint(ring, &c, &out), LK_REFUSED);
    c = good;
    c.issued_s = -1;
    assert_int_equal(lk_token_mint(ring, &c, &out), LK_REFUSED);
    assert_int_equal(lk_token_mint(checks, &good, &out), LK_FAULT); /* a ring that signs nothing */
    out.cap = 60;
    assert_int_equal(lk_token_mint(ring, &good, &out), LK_FULL);
    assert_int_equal(out.len, 0);
    lk_keyring_free(checks);
}

/* The kid of a key of another algorithm, of another ring, of nobody, and one that would be a path. */
static void token_under_a_kid_that_is_not_an_hmac_key_is_refused(void **state)
{
    static const char hex[] = ".0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    lk_view rsa = lk_signer_kid(lk_keyring_signer(ring, LK_ALG_RS256));
    char text[256];

    (void)state;
    (void)snprintf(text, sizeof(text), "dQ.1.1800000900.%.*s%s", (int)rsa.len, (const char *)rsa.p, hex);
    expect(lk_view_of(text), LK_REFUSED, LK_REASON_UNKNOWN_KEY);
    (void)snprintf(text, sizeof(text), "dQ.1.1800000900.hs256-00000000%s", hex);
    expect(lk_view_of(text), LK_REFUSED, LK_REASON_UNKNOWN_KEY);
    (void)snprintf(text, sizeof(text), "dQ.1.1800000900.%s", hex);
    expect(lk_view_of(text), LK_REFUSED, LK_REASON_UNKNOWN_KEY);
    (void)snprintf(text, sizeof(text), "dQ.1.1800000900.../../etc/passwd%s", hex);
    expect(lk_view_of(text), LK_REFUSED, LK_REASON_MALFORMED);
}

/* One secret, two keys: the signature of a JWS says nothing about a simple token, nor the other way. */
static void signature_of_a_jws_is_no_sign_of_a_token(void **state)
{
    const lk_signer *signer = lk_keyring_signer(ring, LK_ALG_HS256);
    uint8_t memory[256], signature[LK_SIGNATURE_MAX];
    lk_buf text = lk_buf_over(memory, sizeof(memory)), made = lk_buf_over(signature, sizeof(signature));
    lk_view token = mint("u", ""), message = lk_view_make(token.p, token.len - 65);

    (void)state;
    assert_int_equal(lk_sign(signer, message, &made), LK_OK);
    lk_buf_add(&text, message);
    lk_buf_add_byte(&text, '.');
    for (size_t i = 0; i < made.len; i++)
        lk_buf_add_printf(&text, "%02x", signature[i]);
    expect(lk_buf_view(&text), LK_REFUSED, LK_REASON_BAD_SIGNATURE);
    expect(token, LK_OK, LK_REASON_NONE);
}

static void check_needs_no_memory_and_a_small_scratch_is_full(void **state)
{
    lk_view token = mint("u_42", "role=reader,tenant=7");
    uint8_t memory[16];
    lk_buf scratch = lk_buf_over(memory, sizeof(memory));
    lk_reason why;
    lk_claims c;

    (void)state;
    assert_int_equal(lk_token_check(ring, token, &lenient, &scratch, &c, &why), LK_FULL);
    test_alloc_fail_at(1);
    expect(token, LK_OK, LK_REASON_NONE);
    assert_false(test_alloc_failed());
    test_alloc_fail_at(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(minted_token_says_what_was_put_in),
        cmocka_unit_test(token_has_the_documented_form),
        cmocka_unit_test(documented_token_is_right),
        cmocka_unit_test(user_with_dots_and_foreign_letters_comes_back_as_it_is),
        cmocka_unit_test(token_with_any_byte_changed_is_refused),
        cmocka_unit_test(token_cut_at_any_length_or_with_more_behind_is_refused),
        cmocka_unit_test(sign_in_capitals_is_refused),
        cmocka_unit_test(second_spelling_is_refused_even_when_signed),
        cmocka_unit_test(token_is_over_from_its_expiry_on),
        cmocka_unit_test(expired_token_still_says_whose_it_was),
        cmocka_unit_test(claims_become_parameters_and_come_back),
        cmocka_unit_test(name_cannot_bring_roles_along),
        cmocka_unit_test(kept_name_is_refused_among_the_other_parameters),
        cmocka_unit_test(parameters_put_together_are_escaped),
        cmocka_unit_test(parameter_is_found_by_its_whole_name),
        cmocka_unit_test(parameter_under_the_name_of_a_variable_is_one_or_none),
        cmocka_unit_test(two_different_sets_of_claims_never_have_one_text),
        cmocka_unit_test(parameters_that_cannot_be_said_are_not_signed),
        cmocka_unit_test(token_that_makes_no_sense_is_not_signed),
        cmocka_unit_test(token_under_a_kid_that_is_not_an_hmac_key_is_refused),
        cmocka_unit_test(signature_of_a_jws_is_no_sign_of_a_token),
        cmocka_unit_test(check_needs_no_memory_and_a_small_scratch_is_full),
    };

    return cmocka_run_group_tests(tests, make_ring, free_ring);
}
