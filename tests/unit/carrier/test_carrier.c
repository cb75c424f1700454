/* SPDX-License-Identifier: Apache-2.0
 *
 * What the carriers find in a request, and what they refuse to guess.
 */
#include "carrier/carrier.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NAME LK_VIEW("__Host-latchkey")

static lk_status cookie(const char *a, const char *b, lk_view *value)
{
    lk_view fields[2] = {lk_view_of(a), lk_view_of(b)};
    return lk_cookie_find(fields, b != NULL ? 2 : 1, NAME, value);
}

static void assert_cookie(const char *field, const char *expected)
{
    lk_view value;
    assert_int_equal(cookie(field, NULL, &value), LK_OK);
    assert_true(lk_view_equal(value, lk_view_of(expected)));
}

static void assert_no_cookie(const char *field, lk_status expected)
{
    lk_view value;
    assert_int_equal(cookie(field, NULL, &value), expected);
    assert_int_equal(value.len, 0);
}

static void cookie_is_found_among_others(void **state)
{
    (void)state;
    assert_cookie("__Host-latchkey=abc", "abc");
    assert_cookie("a=1; __Host-latchkey=abc; b=2", "abc");
    assert_cookie("a=1;__Host-latchkey=abc;b=2", "abc");
    assert_cookie("a=1;  \t __Host-latchkey=abc \t; b", "abc");
    assert_cookie(";;; __Host-latchkey=abc;;", "abc");
    assert_cookie("__Host-latchkey=a=b=c", "a=b=c");
    assert_cookie("__Host-latchkey=", "");
}

static void cookie_value_is_taken_as_it_is(void **state)
{
    (void)state;
    assert_cookie("__Host-latchkey=\"abc\"", "\"abc\"");
    assert_cookie("__Host-latchkey=a%20b", "a%20b");
    assert_cookie("__Host-latchkey=a,__Host-latchkey=b", "a,__Host-latchkey=b");
}

static void cookie_of_another_name_is_not_ours(void **state)
{
    (void)state;
    assert_no_cookie("__host-latchkey=abc", LK_MISS);
    assert_no_cookie("x__Host-latchkey=abc", LK_MISS);
    assert_no_cookie("__Host-latchkeyx=abc", LK_MISS);
    assert_no_cookie("__Host-latchkey =abc", LK_MISS);
    assert_no_cookie("__Host-latchkey", LK_MISS);
    assert_no_cookie("", LK_MISS);
}

static void cookie_with_empty_name_is_never_ours(void **state)
{
    (void)state;
    assert_no_cookie("=__Host-latchkey=abc", LK_MISS);
    lk_view value, field = LK_VIEW("=abc");
    assert_int_equal(lk_cookie_find(&field, 1, LK_VIEW(""), &value), LK_MISS);
}

static void cookie_with_two_values_of_one_name_is_refused_in_either_order(void **state)
{
    (void)state;
    assert_no_cookie("__Host-latchkey=a; __Host-latchkey=b", LK_REFUSED);
    assert_no_cookie("__Host-latchkey=b; x=1; __Host-latchkey=a", LK_REFUSED);
    assert_no_cookie("__Host-latchkey=; __Host-latchkey=a", LK_REFUSED);
    assert_cookie("__Host-latchkey=a; __Host-latchkey=a", "a");
}

static void several_cookie_fields_count_as_one(void **state)
{
    (void)state;
    lk_view value;
    assert_int_equal(cookie("a=1", "__Host-latchkey=abc", &value), LK_OK);
    assert_int_equal(cookie("__Host-latchkey=abc", "__Host-latchkey=abc", &value), LK_OK);
    assert_int_equal(cookie("__Host-latchkey=abc", "__Host-latchkey=abd", &value), LK_REFUSED);
}

static void cookie_field_of_delimiters_only_is_read_through(void **state)
{
    (void)state;
    static const char bad[] = {'\\', ';', '=', '"', ' ', ','};
    char *field = malloc(8193);
    for (size_t i = 0; i < sizeof(bad); i++) {
        memset(field, bad[i], 8192);
        field[8192] = '\0';
        assert_no_cookie(field, LK_MISS);
    }
    free(field);
}

static lk_status bearer(const char *a, const char *b, lk_view *value)
{
    lk_view fields[2] = {lk_view_of(a), lk_view_of(b)};
    lk_scheme scheme = LK_SCHEME_DPOP;
    lk_status status = lk_authorization_find(fields, (a != NULL) + (size_t)(b != NULL), &scheme, value);
    assert_true(status != LK_OK || scheme == LK_SCHEME_BEARER);
    return status;
}

static void bearer_credential_is_found_in_any_case_of_the_scheme(void **state)
{
    (void)state;
    static const char *const good[] = {
        "Bearer abc.DEF-_~+/==", "bearer abc.DEF-_~+/==", "BEARER   abc.DEF-_~+/== "};
    for (size_t i = 0; i < 3; i++) {
        lk_view value;
        assert_int_equal(bearer(good[i], NULL, &value), LK_OK);
        assert_true(lk_view_equal(value, LK_VIEW("abc.DEF-_~+/==")));
    }
}

static void bearer_that_is_malformed_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {"Bearer",   "Bearer ",    "Bearer a b",   "Bearer a,b",
                                      "Bearer =", "Bearer a=b", "Bearer \"a\"", "Bearer a\x80"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        lk_view value;
        assert_int_equal(bearer(bad[i], NULL, &value), LK_REFUSED);
        assert_int_equal(value.len, 0);
    }
}

static void other_schemes_are_not_ours(void **state)
{
    (void)state;
    static const char *const other[] = {"Basic YTpi", "Bearerx abc", "Digest a=b", "", "Bearer\tabc"};
    for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++) {
        lk_view value;
        assert_int_equal(bearer(other[i], NULL, &value), LK_MISS);
    }
    lk_view value;
    assert_int_equal(bearer(NULL, NULL, &value), LK_MISS);
}

static void two_authorization_fields_that_differ_are_refused(void **state)
{
    (void)state;
    lk_view value;
    assert_int_equal(bearer("Bearer a", "Bearer a", &value), LK_OK);
    assert_int_equal(bearer("Bearer a", "Bearer b", &value), LK_REFUSED);
    assert_int_equal(bearer("Basic YTpi", "Bearer a", &value), LK_REFUSED);
    assert_int_equal(bearer("Bearer a", "Basic YTpi", &value), LK_REFUSED);
    assert_int_equal(bearer("Basic YTpi", "Basic YTpj", &value), LK_MISS);
}

static void credential_of_each_scheme_is_told_apart_and_one_of_both_is_refused(void **state)
{
    (void)state;
    lk_view value, fields[2] = {LK_VIEW("DPoP abc"), LK_VIEW("Bearer abc")};
    lk_scheme scheme = LK_SCHEME_BEARER;
    assert_int_equal(lk_authorization_find(fields, 1, &scheme, &value), LK_OK);
    assert_int_equal(scheme, LK_SCHEME_DPOP);
    assert_true(lk_view_equal(value, LK_VIEW("abc")));
    assert_int_equal(lk_authorization_find(fields, 2, &scheme, &value), LK_REFUSED);
    assert_int_equal(value.len, 0);
}

static void own_header_holds_one_credential_and_nothing_else(void **state)
{
    (void)state;
    lk_view value, one[2] = {LK_VIEW(" abc "), LK_VIEW("abc")}, two[2] = {LK_VIEW("abc"), LK_VIEW("abd")},
                   empty[1] = {LK_VIEW("")};
    assert_int_equal(lk_header_find(one, 2, &value), LK_OK);
    assert_true(lk_view_equal(value, LK_VIEW("abc")));
    assert_int_equal(lk_header_find(two, 2, &value), LK_REFUSED);
    assert_int_equal(lk_header_find(empty, 1, &value), LK_REFUSED);
    assert_int_equal(lk_header_find(NULL, 0, &value), LK_MISS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cookie_is_found_among_others),
        cmocka_unit_test(cookie_value_is_taken_as_it_is),
        cmocka_unit_test(cookie_of_another_name_is_not_ours),
        cmocka_unit_test(cookie_with_empty_name_is_never_ours),
        cmocka_unit_test(cookie_with_two_values_of_one_name_is_refused_in_either_order),
        cmocka_unit_test(several_cookie_fields_count_as_one),
        cmocka_unit_test(cookie_field_of_delimiters_only_is_read_through),
        cmocka_unit_test(bearer_credential_is_found_in_any_case_of_the_scheme),
        cmocka_unit_test(bearer_that_is_malformed_is_refused),
        cmocka_unit_test(other_schemes_are_not_ours),
        cmocka_unit_test(two_authorization_fields_that_differ_are_refused),
        cmocka_unit_test(credential_of_each_scheme_is_told_apart_and_one_of_both_is_refused),
        cmocka_unit_test(own_header_holds_one_credential_and_nothing_else),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
