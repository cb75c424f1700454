/* SPDX-License-Identifier: Apache-2.0
 *
 * test_kind.c - names of kinds and carriers, reasons, and telling the kinds apart by their shape.
 */
#include "token_fixture.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define ID "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8" /* 43 characters */
#define HEX "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void names_are_found_again_and_others_are_not(void **state)
{
    lk_carrier carrier;
    lk_kind kind;

    (void)state;
    for (lk_kind k = 0; k < LK_KIND_COUNT; k++) {
        assert_int_equal(lk_kind_of(lk_view_of(lk_kind_name(k)), &kind), LK_OK);
        assert_int_equal(kind, k);
    }
    for (lk_carrier c = 0; c < LK_CARRIER_COUNT; c++) {
        assert_int_equal(lk_carrier_of(lk_view_of(lk_carrier_name(c)), &carrier), LK_OK);
        assert_int_equal(carrier, c);
    }
    assert_int_equal(lk_kind_of(LK_VIEW("JWT"), &kind), LK_MISS);
    assert_int_equal(lk_kind_of(LK_VIEW(""), &kind), LK_MISS);
    assert_int_equal(lk_carrier_of(LK_VIEW("Cookie"), &carrier), LK_MISS);
}

static void every_reason_has_a_word_of_its_own_and_a_sentence(void **state)
{
    (void)state;
    assert_string_equal(lk_reason_word(LK_REASON_NONE), "");
    for (lk_reason r = LK_REASON_NONE + 1; r < LK_REASON_COUNT; r++) {
        const char *sentence = lk_reason_sentence(r);

        assert_true(lk_reason_word(r)[0] != '\0');
        assert_int_equal(lk_reason_of(lk_view_of(lk_reason_word(r))), r);
        assert_true(strlen(sentence) > 10 && sentence[strlen(sentence) - 1] == '.');
    }
    assert_int_equal(lk_reason_of(LK_VIEW("Expired")), LK_REASON_NONE);
    assert_string_equal(lk_reason_word(LK_REASON_COUNT), "");
    assert_string_equal(lk_reason_sentence((lk_reason)1000), "");
}

static void expect_kind(const char *text, lk_kind kind)
{
    lk_kind got;

    if (lk_credential_kind(lk_view_of(text), &got) != LK_OK)
        fail_msg("no kind: %s", text);
    assert_int_equal(got, kind);
}

static void expect_none(const char *text)
{
    lk_kind got;

    if (lk_credential_kind(lk_view_of(text), &got) != LK_REFUSED)
        fail_msg("kind %s: %s", lk_kind_name(got), text);
}

static void each_kind_is_known_by_its_shape(void **state)
{
    (void)state;
    expect_kind(ID, LK_KIND_SESSION_ID);
    expect_kind("e30.e30.AAAA", LK_KIND_JWT);
    expect_kind("e30..", LK_KIND_JWT);
    expect_kind(rfc_rs256_token, LK_KIND_JWT);
    expect_kind("dQ.1800000000.1800000900.hs256-AAAAAAAA." HEX, LK_KIND_TOKEN);
    expect_kind("dQ.1800000000.1800000900.YT1i.hs256-AAAAAAAA." HEX, LK_KIND_TOKEN);
    expect_kind("v1.hs256-AAAAAAAA.AAAA", LK_KIND_SEALED);
}

/* The mark is no JSON and no UTF-8 in base64url: what begins with it is sealed or nothing. */
static void what_is_marked_sealed_is_of_no_other_kind(void **state)
{
    (void)state;
    expect_none("v1");
    expect_none("v1.");
    expect_none("v1..");
    expect_none("v1.k");
    expect_none("v1.k.");
    expect_none("v1..AAAA");
    expect_none("v1.k.AA.AA");
    expect_none("v1.k.AA=");
    expect_none("v1.1800000000.1800000900.hs256-AAAAAAAA." HEX);
    expect_none("v1.1800000000.1800000900.YT1i.hs256-AAAAAAAA." HEX);
    expect_none("v1." HEX "A.AAAA"); /* a kid of 65 */
    expect_kind("v1." HEX ".AAAA", LK_KIND_SEALED);
    expect_kind("v2.k.AAAA", LK_KIND_JWT); /* by its shape; its header is none */
    expect_kind("V1.k.AAAA", LK_KIND_JWT);
}

static void text_of_no_shape_is_of_no_kind(void **state)
{
    (void)state;
    expect_none("");
    expect_none(".");
    expect_none("..");
    expect_none("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh");   /* 42 */
    expect_none("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8A"); /* 44 */
    expect_none("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdH=8");
    expect_none(" " ID);
    expect_none("a.b");
    expect_none("a.b.c.d");
    expect_none("e30.e30.AA=");
    expect_none("{\"a\":1}.e30.AA");
    expect_none("dQ.1.2.kid.0123");
    expect_none("dQ..2.kid." HEX);
    expect_none("dQ.1.2.YT1i.kid.x." HEX);
    expect_none("{\"payload\":\"\",\"signature\":\"\"}");
}

static void text_over_the_bound_is_of_no_kind_and_many_dots_cost_nothing(void **state)
{
    static char text[LK_CREDENTIAL_MAX + 2];

    (void)state;
    memset(text, 'A', sizeof(text) - 1);
    text[1] = text[3] = '.';
    expect_none(text);
    text[LK_CREDENTIAL_MAX] = '\0';
    expect_kind(text, LK_KIND_JWT);
    memset(text, '.', LK_CREDENTIAL_MAX);
    expect_none(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_found_again_and_others_are_not),
        cmocka_unit_test(every_reason_has_a_word_of_its_own_and_a_sentence),
        cmocka_unit_test(each_kind_is_known_by_its_shape),
        cmocka_unit_test(what_is_marked_sealed_is_of_no_other_kind),
        cmocka_unit_test(text_of_no_shape_is_of_no_kind),
        cmocka_unit_test(text_over_the_bound_is_of_no_kind_and_many_dots_cost_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
