/* SPDX-License-Identifier: Apache-2.0
 *
 * test_base64url.c - the strict base64url of RFC 7515: one spelling for each value.
 */
#include "base/base64url_quick.h"
#include <latchkey/base64url.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void assert_view(lk_view got, lk_view wanted)
{
    if (!lk_view_equal(got, wanted))
        fail_msg("\"%.*s\" is not \"%.*s\"", (int)got.len, got.p, (int)wanted.len, wanted.p);
}

typedef struct vector {
    lk_view bytes, text;
} vector;

#define VECTOR(bytes, text)                                                                                  \
    {                                                                                                        \
        {(const uint8_t *)(bytes), sizeof(bytes) - 1},                                                       \
        {                                                                                                    \
            (const uint8_t *)(text), sizeof(text) - 1                                                        \
        }                                                                                                    \
    }

/* RFC 4648 section 10 without the padding; section 9's examples; RFC 7515 appendix C. */
static const vector vectors[] = {
    VECTOR("", ""),
    VECTOR("f", "Zg"),
    VECTOR("fo", "Zm8"),
    VECTOR("foo", "Zm9v"),
    VECTOR("foob", "Zm9vYg"),
    VECTOR("fooba", "Zm9vYmE"),
    VECTOR("foobar", "Zm9vYmFy"),
    VECTOR("\x14\xfb\x9c\x03\xd9\x7e", "FPucA9l-"),
    VECTOR("\x14\xfb\x9c\x03\xd9", "FPucA9k"),
    VECTOR("\x14\xfb\x9c\x03", "FPucAw"),
    VECTOR("\x03\xec\xff\xe0\xc1", "A-z_4ME"),
};

static void the_vectors_of_rfc_4648_and_rfc_7515_hold_both_ways(void **state)
{
    char out[32];

    (void)state;
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        lk_buf b = lk_buf_over(out, sizeof(out));

        lk_base64url_encode(vectors[i].bytes, &b);
        assert_view(lk_buf_view(&b), vectors[i].text);
        b = lk_buf_over(out, sizeof(out));
        assert_int_equal(lk_base64url_decode(vectors[i].text, &b), LK_OK);
        assert_view(lk_buf_view(&b), vectors[i].bytes);
    }
}

static void every_byte_value_at_every_place_survives(void **state)
{
    uint8_t given[9], text[16], back[9];

    (void)state;
    for (size_t len = 1; len <= sizeof(given); len++) {
        for (unsigned v = 0; v < 256; v++) {
            lk_buf t = lk_buf_over(text, sizeof(text)), b = lk_buf_over(back, len);

            memset(given, 0x5a, sizeof(given));
            given[len - 1] = (uint8_t)v;
            lk_base64url_encode(lk_view_make(given, len), &t);
            assert_int_equal(t.len, LK_BASE64URL_LEN(len));
            assert_true(lk_is_base64url(lk_buf_view(&t)));
            assert_int_equal(lk_base64url_decode(lk_buf_view(&t), &b), LK_OK);
            assert_view(lk_buf_view(&b), lk_view_make(given, len));
        }
    }
}

static void a_character_outside_the_alphabet_is_refused_at_any_place(void **state)
{
    uint8_t text[72], out[54];

    (void)state;
    for (size_t len = 2; len <= sizeof(text); len += len % 4 == 0 ? 2 : 1) {
        for (size_t at = 0; at < len; at++) {
            for (unsigned c = 0; c < 256; c++) {
                size_t bytes = len / 4 * 3 + (len % 4 > 0 ? len % 4 - 1 : 0);
                lk_buf b = lk_buf_over(out + sizeof(out) - bytes, bytes); /* one byte more would be outside */
                bool known = c != 0 && strchr(alphabet, (int)c) != NULL;
                lk_status status;

                memset(text, 'A', sizeof(text));
                text[at] = (uint8_t)c;
                assert_int_equal(lk_is_base64url(lk_view_make(text, len)), known);
                status = lk_base64url_decode(lk_view_make(text, len), &b);
                /* A known character may still be refused at the end, for its trailing bits. */
                if (!known || at + 1 < len || len % 4 == 0)
                    assert_int_equal(status, known ? LK_OK : LK_REFUSED);
                if (status != LK_OK)
                    assert_int_equal(b.len, 0);
            }
        }
    }
}

static void padding_and_blanks_are_refused(void **state)
{
    static const char *const wrong[] = {"Zg==",     "Zg=",  "Zm8=", "Zg ",  " Zg", "Zm9v\n",
                                        "Zm9vYg==", "====", "=",    "Zm+v", "Zm/v"};
    uint8_t out[16];

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        lk_buf b = lk_buf_over(out, sizeof(out));

        assert_int_equal(lk_base64url_decode(lk_view_of(wrong[i]), &b), LK_REFUSED);
        assert_int_equal(lk_buf_status(&b), LK_OK);
    }
}

static void a_length_of_one_more_than_a_group_is_refused(void **state)
{
    uint8_t text[64], out[64];

    (void)state;
    memset(text, 'A', sizeof(text));
    for (size_t len = 0; len < sizeof(text); len++) {
        lk_buf b = lk_buf_over(out, sizeof(out));

        assert_int_equal(lk_base64url_decode(lk_view_make(text, len), &b), len % 4 == 1 ? LK_REFUSED : LK_OK);
    }
}

/* Otherwise a token could be spelled in several ways, and a list of revoked spellings would not catch them.
 */
static void trailing_bits_that_are_not_zero_are_refused(void **state)
{
    uint8_t out[4];
    char text[4];

    (void)state;
    for (unsigned v = 0; v < 64; v++) {
        lk_buf b = lk_buf_over(out, sizeof(out));

        text[0] = 'A';
        text[1] = alphabet[v];
        assert_int_equal(lk_base64url_decode(lk_view_make(text, 2), &b), v % 16 == 0 ? LK_OK : LK_REFUSED);
        b = lk_buf_over(out, sizeof(out));
        text[1] = 'A';
        text[2] = alphabet[v];
        assert_int_equal(lk_base64url_decode(lk_view_make(text, 3), &b), v % 4 == 0 ? LK_OK : LK_REFUSED);
    }
}

static void decoding_without_room_is_full_and_appends_nothing(void **state)
{
    uint8_t out[8];

    (void)state;
    for (size_t cap = 0; cap <= 6; cap++) {
        lk_buf b = lk_buf_over(out, cap);

        assert_int_equal(lk_base64url_decode(LK_VIEW("Zm9vYmE"), &b), cap < 5 ? LK_FULL : LK_OK);
        assert_int_equal(b.len, cap < 5 ? 0 : 5);
    }
}

static void encoding_without_room_is_full_and_appends_nothing(void **state)
{
    char out[8];

    (void)state;
    for (size_t cap = 0; cap <= 8; cap++) {
        lk_buf b = lk_buf_over(out, cap);

        lk_base64url_encode(LK_VIEW("fooba"), &b);
        assert_int_equal(lk_buf_status(&b), cap < 7 ? LK_FULL : LK_OK);
        assert_int_equal(b.len, cap < 7 ? 0 : 7);
    }
}

static void text_is_appended_behind_what_is_there(void **state)
{
    char out[16];
    lk_buf b = lk_buf_over(out, sizeof(out));

    (void)state;
    lk_buf_add_text(&b, "v1.");
    lk_base64url_encode(LK_VIEW("foob"), &b);
    assert_view(lk_buf_view(&b), LK_VIEW("v1.Zm9vYg"));
    assert_int_equal(lk_base64url_decode(LK_VIEW("Zm8"), &b), LK_OK);
    assert_view(lk_buf_view(&b), LK_VIEW("v1.Zm9vYgfo"));
}

static void nothing_reads_past_the_end_of_a_text(void **state)
{
    uint8_t out[64];

    (void)state;
    for (size_t len = 0; len < 48; len++) {
        uint8_t *text = malloc(len > 0 ? len : 1);
        lk_buf b = lk_buf_over(out, sizeof(out));

        assert_non_null(text);
        memset(text, 'A', len);
        (void)!lk_base64url_decode(lk_view_make(text, len), &b);
        b = lk_buf_over(out, sizeof(out));
        lk_base64url_encode(lk_view_make(text, len), &b);
        assert_true(lk_is_base64url(lk_view_make(text, len)));
        free(text);
    }
}

static void the_empty_view_of_null_is_the_empty_text(void **state)
{
    lk_buf b = lk_buf_over(NULL, 0);

    (void)state;
    assert_true(lk_is_base64url(lk_view_make(NULL, 0)));
    assert_int_equal(lk_base64url_decode(lk_view_make(NULL, 0), &b), LK_OK);
    lk_base64url_encode(lk_view_make(NULL, 0), &b);
    assert_int_equal(lk_buf_status(&b), LK_OK);
}

static void a_token68_has_its_alphabet_at_every_place_and_equals_signs_at_the_end(void **state)
{
    static const char marks[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/";
    uint8_t text[40];

    (void)state;
    for (size_t len = 1; len <= sizeof(text); len++) {
        for (size_t at = 0; at < len; at++) {
            for (unsigned c = 0; c < 256; c++) {
                bool known = c != 0 && strchr(marks, (int)c) != NULL;
                bool ends = c == '=' && at == len - 1 && len > 1;

                memset(text, 'x', len);
                text[at] = (uint8_t)c;
                assert_int_equal(lk_is_token68(lk_view_make(text, len)), known || ends);
            }
        }
    }
    assert_true(lk_is_token68(LK_VIEW("a===")));
    assert_false(lk_is_token68(LK_VIEW("a=b")));
    assert_false(lk_is_token68(LK_VIEW("==")));
    assert_false(lk_is_token68(lk_view_make(NULL, 0)));
}

static void assert_split(const char *text, size_t max, size_t want, bool is_right)
{
    lk_view parts[8];
    size_t at = 0, n;
    bool right;

    n = lk__base64url_split(lk_view_of(text), parts, max, &right);
    assert_int_equal(n, want);
    if (n > max)
        return;
    assert_int_equal(right, is_right);
    for (size_t i = 0; i < n; i++) {
        assert_ptr_equal(parts[i].p, text + at);
        at += parts[i].len + 1;
        assert_true(i + 1 == n ? text[at - 1] == '\0' : text[at - 1] == '.');
    }
}

static void a_text_is_split_at_its_dots(void **state)
{
    (void)state;
    assert_split("", 1, 1, true);
    assert_split("abc", 1, 1, true);
    assert_split("abc.d", 1, 2, true);
    assert_split(".", 2, 2, true);
    assert_split("..", 2, 3, true);
    assert_split("0123456789abcde.g.0123456789abcdef.0123456789abcdefg", 4, 4, true);
    assert_split("0123456789abcdef.0123456789abcde.", 3, 3, true);
    assert_split("0123456789abcdef.0123456789abcde..", 3, 4, true);
    assert_split("0123456789abcdef.0123456789abc+e", 3, 2, false);
    assert_split("0123456789abcdef.=", 3, 2, false);
}

/* The dots of one block come out of one number of sixteen bits. */
static void dots_are_found_at_any_place(void **state)
{
    char text[41];

    (void)state;
    for (size_t len = 1; len < sizeof(text); len++) {
        for (size_t at = 0; at < len; at++) {
            memset(text, 'a', len);
            text[len] = '\0';
            text[at] = '.';
            assert_split(text, 2, 2, true);
            for (size_t other = 0; other < len; other++) {
                memset(text, 'a', len);
                text[at] = '.';
                text[other] = '.';
                assert_split(text, 3, at == other ? 2 : 3, true);
                text[other] = '\x80';
                assert_split(text, 3, at == other ? 1 : 2, false);
            }
        }
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vectors_of_rfc_4648_and_rfc_7515_hold_both_ways),
        cmocka_unit_test(every_byte_value_at_every_place_survives),
        cmocka_unit_test(a_character_outside_the_alphabet_is_refused_at_any_place),
        cmocka_unit_test(padding_and_blanks_are_refused),
        cmocka_unit_test(a_length_of_one_more_than_a_group_is_refused),
        cmocka_unit_test(trailing_bits_that_are_not_zero_are_refused),
        cmocka_unit_test(decoding_without_room_is_full_and_appends_nothing),
        cmocka_unit_test(encoding_without_room_is_full_and_appends_nothing),
        cmocka_unit_test(text_is_appended_behind_what_is_there),
        cmocka_unit_test(nothing_reads_past_the_end_of_a_text),
        cmocka_unit_test(the_empty_view_of_null_is_the_empty_text),
        cmocka_unit_test(a_token68_has_its_alphabet_at_every_place_and_equals_signs_at_the_end),
        cmocka_unit_test(a_text_is_split_at_its_dots),
        cmocka_unit_test(dots_are_found_at_any_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
