/* SPDX-License-Identifier: Apache-2.0
 *
 * The cookies we send, by the server's rules of RFC 6265bis section 4.1. The numbers in comments are those of
 * the list of security rules.
 */
#include "service/cookie.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define NOW 1800000000 /* Fri, 15 Jan 2027 08:00:00 GMT */

static lk_settings settings;
static lk_issued issued;
static char text[8192];

static int setup(void **state)
{
    (void)state;
    memset(&settings, 0, sizeof(settings));
    strcpy(settings.cookie_name, "__Host-latchkey");
    strcpy(settings.cookie_path, "/");
    settings.cookie_secure = true;
    memset(&issued, 0, sizeof(issued));
    strcpy(issued.text, "AbCdEfGhIjKlMnOpQrStUvWxYz0123456789-_AbCdE");
    issued.len = strlen(issued.text);
    issued.expires_s = NOW + 3600;
    return 0;
}

static lk_status write_cookie(lk_issued *what, bool remember)
{
    lk_buf out = lk_buf_over(text, sizeof(text));
    if (what != NULL)
        what->flags = remember ? LK_SESSION_REMEMBER : 0;
    lk_status status = lk_cookie_write(&settings, what, 0, NOW, &out);
    if (status == LK_OK)
        assert_non_null(lk_buf_text(&out));
    else
        text[0] = '\0';
    return status;
}

static int times(const char *haystack, const char *needle)
{
    int n = 0;
    for (const char *p = strstr(haystack, needle); p != NULL; p = strstr(p + 1, needle))
        n++;
    return n;
}

/* 1, 7, 10, 11 */
static void login_cookie_has_every_protection_and_ends_with_the_browser(void **state)
{
    (void)state;
    assert_int_equal(write_cookie(&issued, false), LK_OK);
    assert_string_equal(text, "__Host-latchkey=AbCdEfGhIjKlMnOpQrStUvWxYz0123456789-_AbCdE; Path=/; Secure; "
                              "HttpOnly; SameSite=Lax");
}

/* 6 */
static void remembered_cookie_has_max_age_and_an_imf_fixdate(void **state)
{
    (void)state;
    assert_int_equal(write_cookie(&issued, true), LK_OK);
    assert_non_null(strstr(text, "; Max-Age=3600; Expires=Fri, 15 Jan 2027 09:00:00 GMT; Secure"));
}

/* 3 */
static void no_attribute_is_written_twice(void **state)
{
    (void)state;
    static const char *const attributes[] = {
        "Path=", "Domain=", "Max-Age=", "Expires=", "Secure;", "HttpOnly", "SameSite="};
    strcpy(settings.cookie_name, "__Secure-latchkey");
    strcpy(settings.cookie_domain, "shop.example");
    assert_int_equal(write_cookie(&issued, true), LK_OK);
    for (size_t i = 0; i < sizeof(attributes) / sizeof(attributes[0]); i++)
        assert_int_equal(times(text, attributes[i]), 1);
}

/* 1, 2 */
static void name_that_is_no_token_is_refused(void **state)
{
    (void)state;
    static const char *const names[] = {"",    "a b",   "a=b",         "a;b",   "a\"b",
                                        "a,b", "a\x7f", "caf\xc3\xa9", "a\r\nb"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        strcpy(settings.cookie_name, names[i]);
        assert_int_equal(write_cookie(&issued, false), LK_REFUSED);
    }
    strcpy(settings.cookie_name, "a!#$%&'*+-.^_`|~9");
    assert_int_equal(write_cookie(&issued, false), LK_OK);
}

/* 1 */
static void value_outside_the_cookie_octets_is_refused(void **state)
{
    (void)state;
    for (int c = 1; c < 256; c++) {
        bool octet = c == 0x21 || (c >= 0x23 && c <= 0x2b) || (c >= 0x2d && c <= 0x3a) ||
                     (c >= 0x3c && c <= 0x5b) || (c >= 0x5d && c <= 0x7e);
        issued.text[5] = (char)c;
        assert_int_equal(write_cookie(&issued, false), octet ? LK_OK : LK_REFUSED);
    }
}

static void path_or_domain_that_would_add_an_attribute_is_refused(void **state)
{
    (void)state;
    strcpy(settings.cookie_path, "/; Domain=evil.example");
    assert_int_equal(write_cookie(&issued, false), LK_REFUSED);
    strcpy(settings.cookie_path, "/");
    strcpy(settings.cookie_domain, "a.example\r\nSet-Cookie: x=y");
    assert_int_equal(write_cookie(&issued, false), LK_REFUSED);
}

/* 11 */
static void samesite_is_always_said(void **state)
{
    (void)state;
    static const char *const words[] = {"; SameSite=Lax", "; SameSite=Strict", "; SameSite=None"};
    for (int i = 0; i < 3; i++) {
        settings.cookie_samesite = (lk_samesite)i;
        assert_int_equal(write_cookie(&issued, false), LK_OK);
        assert_non_null(strstr(text, words[i]));
    }
}

static void plain_http_cookie_has_no_secure(void **state)
{
    (void)state;
    strcpy(settings.cookie_name, "latchkey");
    settings.cookie_secure = false;
    assert_int_equal(write_cookie(&issued, false), LK_OK);
    assert_null(strstr(text, "Secure"));
    assert_non_null(strstr(text, "HttpOnly"));
}

/* 12 */
static void name_and_value_over_4096_bytes_are_refused_before_they_are_sent(void **state)
{
    (void)state;
    size_t name_len = strlen(settings.cookie_name);
    memset(issued.text, 'a', LK_ISSUED_MAX - 1);
    issued.len = 4096 - name_len;
    assert_int_equal(write_cookie(&issued, false), LK_OK);
    issued.len += 1;
    assert_int_equal(write_cookie(&issued, false), LK_FULL);
}

/* 12 */
static void attribute_value_over_1024_bytes_is_refused(void **state)
{
    (void)state;
    char path[1100];
    lk__cookie c = {.name = LK_VIEW("a"), .value = LK_VIEW("b")};
    lk_buf out = lk_buf_over(text, sizeof(text));
    memset(path, 'p', sizeof(path));
    c.path = lk_view_make(path, 1024);
    assert_int_equal(lk__cookie_add(&c, NOW, &out), LK_OK);
    c.path.len = 1025;
    assert_int_equal(lk__cookie_add(&c, NOW, &out), LK_REFUSED);
}

/* 13 */
static void max_age_is_never_above_400_days(void **state)
{
    (void)state;
    issued.expires_s = (int64_t)NOW + 900 * 86400;
    assert_int_equal(write_cookie(&issued, true), LK_OK);
    assert_non_null(strstr(text, "; Max-Age=34560000; Expires=Sat, 19 Feb 2028 08:00:00 GMT"));
}

/* 16 */
static void removal_has_the_same_attributes_and_max_age_nought(void **state)
{
    (void)state;
    char login[1024];
    strcpy(settings.cookie_name, "__Secure-latchkey");
    strcpy(settings.cookie_domain, "shop.example");
    settings.cookie_samesite = LK_SAMESITE_STRICT;
    assert_int_equal(write_cookie(&issued, false), LK_OK);
    strcpy(login, strstr(text, "; Path="));
    assert_string_equal(login, "; Path=/; Domain=shop.example; Secure; HttpOnly; SameSite=Strict");
    assert_int_equal(write_cookie(NULL, false), LK_OK);
    assert_string_equal(text,
                        "__Secure-latchkey=; Path=/; Domain=shop.example; Max-Age=0; Expires=Thu, 01 Jan "
                        "1970 00:00:00 GMT; Secure; HttpOnly; SameSite=Strict");
}

static void remembered_session_that_is_over_removes_its_cookie(void **state)
{
    (void)state;
    issued.expires_s = NOW - 5;
    assert_int_equal(write_cookie(&issued, true), LK_OK);
    assert_non_null(strstr(text, "; Max-Age=0;"));
}

static void room_too_small_is_said_and_never_half_a_cookie(void **state)
{
    (void)state;
    uint8_t small[40];
    lk_buf out = lk_buf_over(small, sizeof(small));
    assert_int_equal(lk_cookie_write(&settings, &issued, 0, NOW, &out), LK_FULL);
}

/* 6: the dates of the days on which calendars go wrong. */
static void dates_are_right_on_odd_days(void **state)
{
    (void)state;
    static const struct {
        int64_t at;
        const char *date;
    } days[] = {
        {0, "Thu, 01 Jan 1970 00:00:00 GMT"},          {784111777, "Sun, 06 Nov 1994 08:49:37 GMT"},
        {951782399, "Mon, 28 Feb 2000 23:59:59 GMT"},  {951782400, "Tue, 29 Feb 2000 00:00:00 GMT"},
        {4102444799, "Thu, 31 Dec 2099 23:59:59 GMT"}, {253402300799, "Fri, 31 Dec 9999 23:59:59 GMT"},
        {INT64_MAX, "Fri, 31 Dec 9999 23:59:59 GMT"},  {-1, "Thu, 01 Jan 1970 00:00:00 GMT"}};
    for (size_t i = 0; i < sizeof(days) / sizeof(days[0]); i++) {
        lk_buf out = lk_buf_over(text, sizeof(text));
        lk__http_date_add(&out, days[i].at);
        assert_string_equal(lk_buf_text(&out), days[i].date);
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup(f, setup)
    const struct CMUnitTest tests[] = {
        T(login_cookie_has_every_protection_and_ends_with_the_browser),
        T(remembered_cookie_has_max_age_and_an_imf_fixdate),
        T(no_attribute_is_written_twice),
        T(name_that_is_no_token_is_refused),
        T(value_outside_the_cookie_octets_is_refused),
        T(path_or_domain_that_would_add_an_attribute_is_refused),
        T(samesite_is_always_said),
        T(plain_http_cookie_has_no_secure),
        T(name_and_value_over_4096_bytes_are_refused_before_they_are_sent),
        T(attribute_value_over_1024_bytes_is_refused),
        T(max_age_is_never_above_400_days),
        T(removal_has_the_same_attributes_and_max_age_nought),
        T(remembered_session_that_is_over_removes_its_cookie),
        T(room_too_small_is_said_and_never_half_a_cookie),
        T(dates_are_right_on_odd_days),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
