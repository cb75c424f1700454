/* SPDX-License-Identifier: Apache-2.0
 *
 * test_text.c - which texts are fit to be shown: every bad byte at every place of texts of every length.
 */
#include "credential/shape.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static bool is_clean(const char *text)
{
    return lk__is_clean_text(lk_view_of(text));
}

static void control_character_is_found_at_any_place(void **state)
{
    uint8_t text[40];

    (void)state;
    for (size_t len = 1; len <= sizeof(text); len++) {
        memset(text, 'a', sizeof(text));
        assert_true(lk__is_clean_text(lk_view_make(text, len)));
        for (size_t at = 0; at < len; at++) {
            for (unsigned c = 0; c < 256; c++) {
                bool clean = c >= 0x20 && c < 0x7f; /* from 0x80 on, a byte alone is no UTF-8 */

                text[at] = (uint8_t)c;
                assert_int_equal(lk__is_clean_text(lk_view_make(text, len)), clean);
            }
            text[at] = 'a';
        }
    }
}

/* A letter in front must not hide what comes behind it. */
static void control_character_is_found_behind_foreign_letters(void **state)
{
    char text[40];

    (void)state;
    for (size_t letter = 0; letter < sizeof(text) - 3; letter++) {
        for (size_t at = 0; at < sizeof(text) - 1; at++) {
            memset(text, 'a', sizeof(text) - 1);
            text[sizeof(text) - 1] = '\0';
            memcpy(text + letter, "\303\274", 2);
            assert_true(is_clean(text));
            if (at == letter || at == letter + 1)
                continue;
            text[at] = '\x7f';
            assert_false(is_clean(text));
        }
    }
}

static void utf8_is_clean_in_its_one_spelling(void **state)
{
    static const char *const good[] = {"",
                                       "~ ",
                                       "\xc2\xa0",
                                       "\xdf\xbf",
                                       "\xe0\xa0\x80",
                                       "\xed\x9f\xbf",
                                       "\xee\x80\x80",
                                       "\xef\xbf\xbf",
                                       "\xf0\x90\x80\x80",
                                       "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {"\x80",         "\xc0\x80",         "\xc1\xbf",
                                      "\xc2\x80",     "\xc2\x9f",         "\xc2",
                                      "\xc2 ",        "\xe0\x9f\xbf",     "\xed\xa0\x80",
                                      "\xef\xbf",     "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80", "\xf0\x90\x80\x41", "\xff"};

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_true(is_clean(good[i]));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_false(is_clean(bad[i]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(control_character_is_found_at_any_place),
        cmocka_unit_test(control_character_is_found_behind_foreign_letters),
        cmocka_unit_test(utf8_is_clean_in_its_one_spelling),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
