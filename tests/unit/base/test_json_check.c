/* SPDX-License-Identifier: Apache-2.0
 *
 * test_json_check.c - what is JSON and what is not (RFC 8259), and where it goes wrong.
 */
#include <latchkey/json.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* A text with its length, as texts may hold NUL. */
#define TEXT(literal)                                                                                        \
    {                                                                                                        \
        (const uint8_t *)(literal), sizeof(literal) - 1                                                      \
    }

/* Each text is checked in a heap block of its exact length, so that a read past its end is seen. */
static lk_status check(lk_view text, lk_json_place *place, lk_note *note)
{
    uint8_t *copy = malloc(text.len > 0 ? text.len : 1);
    lk_status status;

    assert_non_null(copy);
    if (text.len > 0)
        memcpy(copy, text.p, text.len);
    status = lk_json_check(lk_view_make(copy, text.len), place, note);
    free(copy);
    return status;
}

static void expect(lk_view text, lk_status wanted)
{
    lk_status got = check(text, NULL, NULL);

    if (got != wanted)
        fail_msg("%s, not %s: %.*s", lk_status_name(got), lk_status_name(wanted), (int)text.len, text.p);
}

static const lk_view accepted[] = {
    /* scalars at the top, blanks around */
    TEXT("0"), TEXT("-0"), TEXT("null"), TEXT("true"), TEXT("false"), TEXT("\"\""), TEXT("\"a\""),
    TEXT(" \t\r\n1 \t\r\n"), TEXT("[]"), TEXT("{}"), TEXT("[ ]"), TEXT("{ \n}"),
    /* numbers */
    TEXT("123"), TEXT("-123"), TEXT("1.5"), TEXT("0.0"), TEXT("-0.0"), TEXT("1e5"), TEXT("1E5"), TEXT("1e+5"),
    TEXT("1e-5"), TEXT("0e1"), TEXT("0e+1"), TEXT("1.25e-10"), TEXT("1e99999999999999999999999999"),
    TEXT("-1e-99999999999999999999999999"),
    TEXT("0.00000000000000000000000000000000000000000000000000000000000000000001"),
    TEXT("[123456789012345678901234567890]"),
    /* strings */
    TEXT("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""), TEXT("\"\\u0000\""), TEXT("\"\\u001f\\u007F\\uFFFF\\ufdd0\""),
    TEXT("\"\\uD834\\uDd1e\""), TEXT("\"\\uDBFF\\uDFFF\""), TEXT("\"\x7f\""), TEXT("\"/\""),
    TEXT("\"\xc2\x80\""), TEXT("\"\xdf\xbf\""), TEXT("\"\xe0\xa0\x80\""), TEXT("\"\xed\x9f\xbf\""),
    TEXT("\"\xee\x80\x80\""), TEXT("\"\xef\xbf\xbf\""), TEXT("\"\xf0\x90\x80\x80\""),
    TEXT("\"\xf4\x8f\xbf\xbf\""), TEXT("\"\xe2\x80\xa8\xe2\x80\xa9\""), TEXT("\"1234567\""),
    TEXT("\"12345678\""), TEXT("\"1234567890123456\\n1234567890\xc3\xa9\""),
    /* containers */
    TEXT("[1,2,3]"), TEXT("[ 1 , 2 ]"), TEXT("[[],[[]],{}]"), TEXT("[null,true,false]"), TEXT("{\"a\":1}"),
    TEXT("{ \"a\" : 1 , \"b\" : 2 }"), TEXT("{\"\":0}"), TEXT("{\"a\":{\"a\":{\"a\":[]}}}"),
    TEXT("[{\"a\":1},{\"a\":1}]"), TEXT("{\"a\":{\"b\":1},\"b\":{\"a\":1}}"),
    TEXT("{\"a\\u0000b\":1,\"a\\u0000c\":2}"), TEXT("{\"abcdefgh1\":1,\"abcdefgh2\":2}"),
    TEXT("{\"A\":1,\"a\":2}"),
    TEXT("{\"\xc3\xa9\":1,\"e\xcc\x81\":2}"), /* alike on the screen, different in bytes */
};

static const lk_view refused[] = {
    TEXT(""),
    TEXT(" "),
    /* words and values that are none */
    TEXT("nul"),
    TEXT("nulll"),
    TEXT("True"),
    TEXT("fals"),
    TEXT("NaN"),
    TEXT("Infinity"),
    TEXT("-Infinity"),
    TEXT("undefined"),
    TEXT("a"),
    TEXT("'a'"),
    TEXT("\xef\xbb\xbf{}"),
    TEXT("\xef\xbb\xbf"),
    TEXT("/**/1"),
    TEXT("1//x"),
    TEXT("\x0c"
         "1"),
    TEXT("\xc2\xa0"
         "1"),
    TEXT("1\0"),
    TEXT("\0"),
    TEXT("*"),
    TEXT("<.>"),
    /* numbers */
    TEXT("-"),
    TEXT("+1"),
    TEXT("01"),
    TEXT("-01"),
    TEXT("00"),
    TEXT("1."),
    TEXT(".5"),
    TEXT("-.5"),
    TEXT("1.e5"),
    TEXT("1e"),
    TEXT("1e+"),
    TEXT("1e-"),
    TEXT("1e5.2"),
    TEXT("1.2.3"),
    TEXT("0x1f"),
    TEXT("1_000"),
    TEXT("1 000"),
    TEXT("--1"),
    TEXT("-a"),
    TEXT("1a"),
    TEXT("\xef\xbc\x91"), /* a full-width digit one */
    /* strings */
    TEXT("\""),
    TEXT("\"a"),
    TEXT("\"\\"),
    TEXT("\"\\\""),
    TEXT("\"\\a\""),
    TEXT("\"\\x41\""),
    TEXT("\"\\'\""),
    TEXT("\"\\0\""),
    TEXT("\"\\U0041\""),
    TEXT("\"\\u\""),
    TEXT("\"\\u00\""),
    TEXT("\"\\u004\""),
    TEXT("\"\\u00g0\""),
    TEXT("\"\\u 041\""),
    TEXT("\"\\u+041\""),
    TEXT("\"\n\""),
    TEXT("\"\t\""),
    TEXT("\"\0\""),
    TEXT("\"\x1f\""),
    TEXT("\"12345678901\x01\""),
    TEXT("\"a\"b"),
    TEXT("\"a\" \"b\""),
    /* surrogates: alone, in the wrong order, half written */
    TEXT("\"\\ud800\""),
    TEXT("\"\\udbff\""),
    TEXT("\"\\udc00\""),
    TEXT("\"\\udfff\""),
    TEXT("\"\\ud800a\""),
    TEXT("\"\\ud800\\n\""),
    TEXT("\"\\ud800\\u0041\""),
    TEXT("\"\\ud800\\ud800\""),
    TEXT("\"\\udc00\\ud800\""),
    TEXT("\"\\ud800\\udc0\""),
    TEXT("\"\\ud800\\"),
    TEXT("\"\xed\xa0\x80\""),
    TEXT("\"\xed\xbf\xbf\""),
    TEXT("\"\xed\xa0\xb4\xed\xb4\x9e\""),
    /* UTF-8: alone, cut, overlong, beyond U+10FFFF */
    TEXT("\"\x80\""),
    TEXT("\"\xbf\""),
    TEXT("\"\xc2\""),
    TEXT("\"\xc2"),
    TEXT("\"\xc2\x41\""),
    TEXT("\"\xc0\x80\""),
    TEXT("\"\xc0\xaf\""),
    TEXT("\"\xc1\xbf\""),
    TEXT("\"\xe0\x80\xaf\""),
    TEXT("\"\xe0\x9f\xbf\""),
    TEXT("\"\xe2\x82\""),
    TEXT("\"\xe2\x82"),
    TEXT("\"\xe2\x41\x82\""),
    TEXT("\"\xe2\x82\x41\""),
    TEXT("\"\xf0\x80\x80\xaf\""),
    TEXT("\"\xf0\x8f\xbf\xbf\""),
    TEXT("\"\xf0\x9f\x98\""),
    TEXT("\"\xf0\x9f\x98"),
    TEXT("\"\xf4\x90\x80\x80\""),
    TEXT("\"\xf5\x80\x80\x80\""),
    TEXT("\"\xf8\x88\x80\x80\x80\""),
    TEXT("\"\xfe\""),
    TEXT("\"\xff\""),
    /* containers */
    TEXT("["),
    TEXT("]"),
    TEXT("{"),
    TEXT("}"),
    TEXT("[1"),
    TEXT("[1,"),
    TEXT("[1,]"),
    TEXT("[,1]"),
    TEXT("[,]"),
    TEXT("[1,,2]"),
    TEXT("[1 2]"),
    TEXT("[1;2]"),
    TEXT("[1:2]"),
    TEXT("[1}"),
    TEXT("{]"),
    TEXT("[}"),
    TEXT("[]]"),
    TEXT("{}}"),
    TEXT("[][]"),
    TEXT("{},{}"),
    TEXT("1,2"),
    TEXT("[\"a\":1]"),
    TEXT("{\"a\"}"),
    TEXT("{\"a\":}"),
    TEXT("{\"a\" 1}"),
    TEXT("{\"a\"=1}"),
    TEXT("{\"a\"::1}"),
    TEXT("{:1}"),
    TEXT("{a:1}"),
    TEXT("{'a':1}"),
    TEXT("{1:1}"),
    TEXT("{null:1}"),
    TEXT("{\"a\":1,}"),
    TEXT("{,\"a\":1}"),
    TEXT("{\"a\":1,,\"b\":2}"),
    TEXT("{\"a\":1 \"b\":2}"),
    TEXT("{\"a\":1"),
    TEXT("{\"a\":"),
    TEXT("{\"a\""),
    TEXT("{\"a"),
    TEXT("{\"a\":1,\"b\"}"),
    TEXT("{\"a\":[1}"),
    TEXT("{\"a\":{}"),
    TEXT("{[]:1}"),
    TEXT("{{}}"),
    TEXT("{[]}"),
    /* one name twice, also behind escapes and other spellings */
    TEXT("{\"a\":1,\"a\":1}"),
    TEXT("{\"a\":1,\"b\":2,\"a\":3}"),
    TEXT("{\"\":1,\"\":2}"),
    TEXT("{\"a\":1,\"\\u0061\":2}"),
    TEXT("{\"\\u0061\":1,\"a\":2}"),
    TEXT("{\"\\u0061\":1,\"\\u0061\":2}"),
    TEXT("{\"\\u00e9\":1,\"\xc3\xa9\":2}"),
    TEXT("{\"\\u00E9\":1,\"\\u00e9\":2}"),
    TEXT("{\"\\ud83d\\ude00\":1,\"\xf0\x9f\x98\x80\":2}"),
    TEXT("{\"\\/\":1,\"/\":2}"),
    TEXT("{\"\\n\":1,\"\\u000a\":2}"),
    TEXT("{\"\\u0000\":1,\"\\u0000\":2}"),
    TEXT("{\"abcdefgh\":1,\"abcdefgh\":2}"),
    TEXT("{\"abcdefghijkl\":1,\"abcdefghijk\\u006c\":2}"),
    TEXT("{\"x\":{\"a\":1,\"a\":1}}"),
    TEXT("[{\"a\":1},{\"a\":1,\"a\":1}]"),
    TEXT("{\"a\":{\"b\":1},\"a\":1}"),
    TEXT("{\"x\":1,\"y\":{\"x\":1},\"x\":2}"),
};

static void every_json_text_is_accepted(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(accepted) / sizeof(accepted[0]); i++)
        expect(accepted[i], LK_OK);
}

static void every_text_that_is_not_json_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
        expect(refused[i], LK_REFUSED);
}

static void every_truncation_of_an_object_is_refused(void **state)
{
    static const lk_view whole =
        LK_VIEW("{\"iss\":\"https://a.example\",\"exp\":1800000900,\"r\":[true,null,-1.5e3],"
                "\"n\":{\"\\u00e9\":\"\xf0\x9f\x98\x80\\ud83d\\ude00\"}}");

    (void)state;
    expect(whole, LK_OK);
    for (size_t len = 0; len < whole.len; len++)
        expect(lk_view_part(whole, 0, len), LK_REFUSED);
}

/* N times OPEN, then BODY, then N times CLOSE. */
static lk_view nested(char *out, size_t cap, size_t n, const char *open, const char *body, const char *close)
{
    lk_buf b = lk_buf_over(out, cap);

    for (size_t i = 0; i < n; i++)
        lk_buf_add_text(&b, open);
    lk_buf_add_text(&b, body);
    for (size_t i = 0; i < n; i++)
        lk_buf_add_text(&b, close);
    assert_int_equal(lk_buf_status(&b), LK_OK);
    return lk_buf_view(&b);
}

static void depth_32_is_accepted_and_33_is_refused(void **state)
{
    char text[1024];

    (void)state;
    expect(nested(text, sizeof(text), 32, "[", "", "]"), LK_OK);
    expect(nested(text, sizeof(text), 33, "[", "", "]"), LK_REFUSED);
    expect(nested(text, sizeof(text), 32, "{\"a\":", "1", "}"), LK_OK);
    expect(nested(text, sizeof(text), 33, "{\"a\":", "1", "}"), LK_REFUSED);
    expect(nested(text, sizeof(text), 16, "[{\"a\":", "1", "}]"), LK_OK);
    expect(nested(text, sizeof(text), 16, "[{\"a\":", "[]", "}]"), LK_REFUSED);
}

static void a_hundred_thousand_open_brackets_are_refused(void **state)
{
    size_t len = 100000;
    uint8_t *text = malloc(len);

    (void)state;
    assert_non_null(text);
    memset(text, '[', len);
    assert_int_equal(lk_json_check(lk_view_make(text, len), NULL, NULL), LK_REFUSED);
    free(text);
}

/* Add an object with N members named n0, n1, ... */
static void add_members(lk_buf *b, unsigned n, const char *last_value)
{
    lk_buf_add_byte(b, '{');
    for (unsigned i = 0; i < n; i++)
        lk_buf_add_printf(b, "%s\"n%u\":%s", i == 0 ? "" : ",", i, i + 1 == n ? last_value : "0");
}

static void an_object_of_256_members_is_accepted_and_of_257_is_full(void **state)
{
    static char text[8192];
    lk_json_place place = {0};
    lk_buf b = lk_buf_over(text, sizeof(text));

    (void)state;
    add_members(&b, 256, "0");
    lk_buf_add_byte(&b, '}');
    expect(lk_buf_view(&b), LK_OK);
    b.len--;
    lk_buf_add_text(&b, ",\"more\":1}");
    assert_int_equal(check(lk_buf_view(&b), &place, NULL), LK_FULL);
    assert_int_equal(place.offset, b.len - strlen("\"more\":1}"));
}

static void open_objects_may_hold_1024_members_together_and_no_more(void **state)
{
    static char text[32768];
    lk_buf b;

    (void)state;
    for (unsigned more = 0; more < 2; more++) {
        b = lk_buf_over(text, sizeof(text));
        for (unsigned i = 0; i < 4; i++)
            add_members(&b, 256, i == 3 ? more ? "{\"n\":0}" : "0" : "");
        lk_buf_add_text(&b, "}}}}");
        assert_int_equal(lk_buf_status(&b), LK_OK);
        expect(lk_buf_view(&b), more ? LK_FULL : LK_OK);
    }
}

static void members_of_closed_objects_do_not_count(void **state)
{
    static char text[65536];
    lk_buf b = lk_buf_over(text, sizeof(text));

    (void)state;
    lk_buf_add_byte(&b, '[');
    for (unsigned i = 0; i < 16; i++) {
        add_members(&b, 256, "0");
        lk_buf_add_text(&b, i == 15 ? "}]" : "},");
    }
    assert_int_equal(lk_buf_status(&b), LK_OK);
    expect(lk_buf_view(&b), LK_OK);
}

static void a_duplicate_is_found_at_any_distance(void **state)
{
    static char text[8192];

    (void)state;
    for (unsigned i = 0; i < 255; i++) {
        lk_buf b = lk_buf_over(text, sizeof(text));

        add_members(&b, 255, "0");
        lk_buf_add_printf(&b, ",\"n%u\":1}", i);
        expect(lk_buf_view(&b), LK_REFUSED);
    }
}

/* Names that agree in everything the quick comparison looks at: the first seven bytes and the length. */
static void long_names_that_differ_late_are_no_duplicates(void **state)
{
    char text[2048], name[301];
    lk_buf b;

    (void)state;
    memset(name, 'a', sizeof(name) - 1);
    name[300] = '\0';
    for (unsigned twice = 0; twice < 2; twice++) {
        b = lk_buf_over(text, sizeof(text));
        lk_buf_add_printf(&b, "{\"%sx\":1,\"%sy\":2,\"%sxx\":3,\"%s%c\":4}", name, name, name, name,
                          twice ? 'y' : 'z');
        expect(lk_buf_view(&b), twice ? LK_REFUSED : LK_OK);
    }
}

typedef struct place_case {
    lk_view text;
    size_t offset;
    unsigned line, column;
} place_case;

static void the_place_of_the_error_is_told(void **state)
{
    static const place_case cases[] = {
        {TEXT(""), 0, 1, 1},
        {TEXT("x"), 0, 1, 1},
        {TEXT("1 x"), 2, 1, 3},
        {TEXT("[1,]"), 3, 1, 4},
        {TEXT("{\n  \"a\": 1,\n  \"a\": 2\n}"), 14, 3, 3},
        {TEXT("{\"a\":1,\n\"b\" 2}"), 12, 2, 5},
        {TEXT("[\"\xc3\xa9\xc3\xa9\", x]"), 9, 1, 8},
        {TEXT("\"ab"), 3, 1, 4},
        {TEXT("\"ab\\x\""), 3, 1, 4},
        {TEXT("[\"a\xff\"]"), 3, 1, 4},
        {TEXT("[\r\n\r\n1e]"), 7, 3, 3},
        {TEXT("[[\n]"), 4, 2, 2},
        {TEXT("{\"abc\":1,\"ab\\u0063\":2}"), 9, 1, 10},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        lk_json_place place = {0};
        lk_note note = {""};
        char start[64];

        assert_int_equal(check(cases[i].text, &place, &note), LK_REFUSED);
        if (place.offset != cases[i].offset || place.line != cases[i].line || place.column != cases[i].column)
            fail_msg("%.*s: offset %zu line %u column %u", (int)cases[i].text.len, cases[i].text.p,
                     place.offset, place.line, place.column);
        snprintf(start, sizeof(start), "line %u, column %u: ", place.line, place.column);
        assert_memory_equal(note.text, start, strlen(start));
    }
}

static void a_right_text_leaves_place_and_note_alone(void **state)
{
    lk_json_place place = {7, 8, 9};
    lk_note note = {"kept"};

    (void)state;
    assert_int_equal(lk_json_check(LK_VIEW("[1]"), &place, &note), LK_OK);
    assert_int_equal(place.offset, 7);
    assert_string_equal(note.text, "kept");
}

static void the_empty_view_of_null_is_refused(void **state)
{
    (void)state;
    assert_int_equal(lk_json_check(lk_view_make(NULL, 0), NULL, NULL), LK_REFUSED);
}

/* Each byte value at each place of a short text: the answer may be anything, the reads stay inside. */
static void any_byte_anywhere_is_answered(void **state)
{
    static const lk_view model = LK_VIEW("{\"a\\u0061\":[1.5e+1,\"\xe2\x82\xac\"],\"b\":true}");
    uint8_t text[64];

    (void)state;
    for (size_t at = 0; at < model.len; at++) {
        for (unsigned byte = 0; byte < 256; byte++) {
            memcpy(text, model.p, model.len);
            text[at] = (uint8_t)byte;
            assert_int_not_equal(check(lk_view_make(text, model.len), NULL, NULL), LK_FAULT);
        }
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_json_text_is_accepted),
        cmocka_unit_test(every_text_that_is_not_json_is_refused),
        cmocka_unit_test(every_truncation_of_an_object_is_refused),
        cmocka_unit_test(depth_32_is_accepted_and_33_is_refused),
        cmocka_unit_test(a_hundred_thousand_open_brackets_are_refused),
        cmocka_unit_test(an_object_of_256_members_is_accepted_and_of_257_is_full),
        cmocka_unit_test(open_objects_may_hold_1024_members_together_and_no_more),
        cmocka_unit_test(members_of_closed_objects_do_not_count),
        cmocka_unit_test(a_duplicate_is_found_at_any_distance),
        cmocka_unit_test(long_names_that_differ_late_are_no_duplicates),
        cmocka_unit_test(the_place_of_the_error_is_told),
        cmocka_unit_test(a_right_text_leaves_place_and_note_alone),
        cmocka_unit_test(the_empty_view_of_null_is_refused),
        cmocka_unit_test(any_byte_anywhere_is_answered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
