/* SPDX-License-Identifier: Apache-2.0
 *
 * test_json_read.c - walking, looking up, unescaping and writing JSON.
 */
#include <latchkey/json.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void assert_view(lk_view got, const char *wanted)
{
    if (!lk_view_equal(got, lk_view_of(wanted)))
        fail_msg("\"%.*s\" is not \"%s\"", (int)got.len, got.p, wanted);
}

typedef struct expected_item {
    const char *name, *value;
    lk_json_type type;
} expected_item;

static void expect_items(lk_view container, const expected_item *items, size_t n)
{
    lk_json_item item;
    size_t at = 0;

    assert_int_equal(lk_json_check(container, NULL, NULL), LK_OK);
    for (size_t i = 0; i < n; i++) {
        assert_true(lk_json_next(container, &at, &item));
        assert_view(item.name, items[i].name);
        assert_view(item.value, items[i].value);
        assert_int_equal(item.type, items[i].type);
    }
    assert_false(lk_json_next(container, &at, &item));
    assert_false(lk_json_next(container, &at, &item));
}

static void an_object_is_walked_in_order(void **state)
{
    static const expected_item items[] = {
        {"a", "1", LK_JSON_NUMBER},          {"b", "\"x,}\"", LK_JSON_STRING},
        {"c", "true", LK_JSON_TRUE},         {"d", "false", LK_JSON_FALSE},
        {"e", "null", LK_JSON_NULL},         {"f", "[1,[2,\"]\"]]", LK_JSON_ARRAY},
        {"g", "{\"a\":{}}", LK_JSON_OBJECT}, {"h\\n", "-1.5e3", LK_JSON_NUMBER},
        {"", "[]", LK_JSON_ARRAY},
    };

    (void)state;
    expect_items(LK_VIEW("{\"a\":1,\"b\":\"x,}\",\"c\":true,\"d\":false,\"e\":null,\"f\":[1,[2,\"]\"]],"
                         "\"g\":{\"a\":{}},\"h\\n\":-1.5e3,\"\":[]}"),
                 items, sizeof(items) / sizeof(items[0]));
    expect_items(
        LK_VIEW(
            " {\n \"a\" : 1 ,\t\"b\":\"x,}\" ,\"c\" :true, \"d\": false , \"e\":null,\"f\" : [1,[2,\"]\"]] ,"
            "\"g\":{\"a\":{}},\"h\\n\":-1.5e3 , \"\": [] } "),
        items, sizeof(items) / sizeof(items[0]));
}

static void an_array_is_walked_in_order(void **state)
{
    static const expected_item items[] = {{"", "1", LK_JSON_NUMBER},
                                          {"", "\"[\"", LK_JSON_STRING},
                                          {"", "{\"a\":[]}", LK_JSON_OBJECT},
                                          {"", "[]", LK_JSON_ARRAY}};

    (void)state;
    expect_items(LK_VIEW("[1,\"[\",{\"a\":[]},[]]"), items, 4);
    expect_items(LK_VIEW(" [ 1 ,\n\"[\" , {\"a\":[]} ,[] ] "), items, 4);
}

static void empty_containers_have_no_items(void **state)
{
    (void)state;
    expect_items(LK_VIEW("{}"), NULL, 0);
    expect_items(LK_VIEW("[]"), NULL, 0);
    expect_items(LK_VIEW(" [ \n ] "), NULL, 0);
    expect_items(LK_VIEW(" { } "), NULL, 0);
}

static void a_scalar_has_no_items(void **state)
{
    (void)state;
    expect_items(LK_VIEW("1"), NULL, 0);
    expect_items(LK_VIEW("\"[1]\""), NULL, 0);
    expect_items(LK_VIEW("null"), NULL, 0);
}

/* Walk a heap copy of its exact length, so that a read outside is seen; at most as many items as bytes. */
static void walk_unchecked(const uint8_t *text, size_t len)
{
    uint8_t *copy = malloc(len > 0 ? len : 1), out[64];
    lk_json_item item;
    size_t at = 0, items = 0;
    int64_t number;

    assert_non_null(copy);
    memcpy(copy, text, len);
    while (lk_json_next(lk_view_make(copy, len), &at, &item)) {
        lk_buf b = lk_buf_over(out, sizeof(out));

        assert_true(++items <= len);
        assert_true(at <= len);
        (void)!lk_json_string(item.value, &b);
        (void)!lk_json_i64(item.value, &number);
    }
    (void)!lk_json_get(lk_view_make(copy, len), LK_VIEW("b"), &item);
    free(copy);
}

static void walking_an_unchecked_text_stays_in_bounds(void **state)
{
    static const lk_view model = LK_VIEW("{\"a\\u0061\":[1.5e+1,\"\\ud83d\\ude00\"],\"b\":true}");
    uint8_t text[64];

    (void)state;
    for (size_t at = 0; at < model.len; at++) {
        walk_unchecked(model.p, at);
        walk_unchecked(model.p + at, model.len - at);
        for (unsigned byte = 0; byte < 256; byte++) {
            memcpy(text, model.p, model.len);
            text[at] = (uint8_t)byte;
            walk_unchecked(text, model.len);
        }
    }
}

static void a_position_past_the_end_ends_the_walk(void **state)
{
    lk_json_item item;
    size_t at = 4;

    (void)state;
    assert_false(lk_json_next(LK_VIEW("[1]"), &at, &item));
    at = SIZE_MAX;
    assert_false(lk_json_next(LK_VIEW("[1]"), &at, &item));
    at = 0;
    assert_false(lk_json_next(lk_view_make(NULL, 0), &at, &item));
}

static void a_member_is_found_by_its_name(void **state)
{
    static const lk_view object =
        LK_VIEW("{\"ab\":1,\"a\":2,\"\":3,\"x\\u0079z\":4,\"\\u00e9\":5,\"n\":{\"deep\":6}}");
    lk_json_item item;

    (void)state;
    assert_int_equal(lk_json_get(object, LK_VIEW("a"), &item), LK_OK);
    assert_view(item.value, "2");
    assert_int_equal(lk_json_get(object, LK_VIEW(""), &item), LK_OK);
    assert_view(item.value, "3");
    assert_int_equal(lk_json_get(object, LK_VIEW("xyz"), &item), LK_OK);
    assert_view(item.value, "4");
    assert_int_equal(lk_json_get(object, LK_VIEW("\xc3\xa9"), &item), LK_OK);
    assert_view(item.value, "5");
    assert_int_equal(lk_json_get(object, LK_VIEW("n"), &item), LK_OK);
    assert_int_equal(item.type, LK_JSON_OBJECT);
}

static void a_member_that_is_not_there_is_a_miss(void **state)
{
    static const lk_view object = LK_VIEW("{\"ab\":1,\"n\":{\"deep\":6},\"x\\u0079z\":4}");
    static const char *const absent[] = {"a", "abc", "deep", "",          "AB",
                                         "x", "xy",  "xyza", "x\\u0079z", "\"ab\""};
    lk_json_item item;

    (void)state;
    for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++)
        assert_int_equal(lk_json_get(object, lk_view_of(absent[i]), &item), LK_MISS);
    assert_int_equal(lk_json_get(LK_VIEW("{}"), LK_VIEW("a"), &item), LK_MISS);
    assert_int_equal(lk_json_get(LK_VIEW("[\"\"]"), LK_VIEW(""), &item), LK_MISS);
    assert_int_equal(lk_json_get(LK_VIEW("1"), LK_VIEW("a"), &item), LK_MISS);
    assert_int_equal(lk_json_get(lk_view_make(NULL, 0), LK_VIEW("a"), &item), LK_MISS);
}

typedef struct string_case {
    const char *text;
    lk_view bytes;
} string_case;

static void a_string_is_unescaped(void **state)
{
    static const string_case cases[] = {
        {"\"\"", {(const uint8_t *)"", 0}},
        {"\"plain /text\"", {(const uint8_t *)"plain /text", 11}},
        {"\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", {(const uint8_t *)"\"\\/\b\f\n\r\t", 8}},
        {"\"a\\u0000b\"", {(const uint8_t *)"a\0b", 3}},
        {"\"\\u007f\\u0080\\u07ff\\u0800\"", {(const uint8_t *)"\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80", 8}},
        {"\"\\uffff\\ud800\\udc00\\udbff\\udfff\"",
         {(const uint8_t *)"\xef\xbf\xbf\xf0\x90\x80\x80\xf4\x8f\xbf\xbf", 11}},
        {"\"\xc3\xa9\\u00E9\xe2\x82\xac\"", {(const uint8_t *)"\xc3\xa9\xc3\xa9\xe2\x82\xac", 7}},
    };
    uint8_t out[32];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        lk_view text = lk_view_of(cases[i].text);
        lk_buf b = lk_buf_over(out, sizeof(out));

        assert_int_equal(lk_json_check(text, NULL, NULL), LK_OK);
        lk_buf_add_byte(&b, '>');
        assert_int_equal(lk_json_string(text, &b), LK_OK);
        assert_int_equal(b.len, cases[i].bytes.len + 1);
        assert_memory_equal(out + 1, cases[i].bytes.p, cases[i].bytes.len);
    }
}

static void what_is_no_string_is_not_unescaped(void **state)
{
    static const char *const texts[] = {"",        "1",      "null",        "[\"a\"]", "\"",
                                        "a\"",     "\"a",    "\"a\"b",      " \"a\"",  "\"\\\"",
                                        "\"\\q\"", "\"\n\"", "\"\\ud800\"", "\"\xff\""};
    uint8_t out[8];

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        lk_buf b = lk_buf_over(out, sizeof(out));

        assert_int_equal(lk_json_string(lk_view_of(texts[i]), &b), LK_REFUSED);
        assert_int_equal(b.len, 0);
        assert_int_equal(lk_buf_status(&b), LK_OK);
    }
}

static void a_string_that_does_not_fit_leaves_nothing_behind(void **state)
{
    static const char *const texts[] = {"\"abcd\"", "\"abc\\n\"", "\"\\u00e9\\u00e9\""};
    uint8_t out[5];

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        for (size_t cap = 1; cap <= 5; cap++) {
            lk_buf b = lk_buf_over(out, cap);

            lk_buf_add_byte(&b, '>');
            assert_int_equal(lk_json_string(lk_view_of(texts[i]), &b), cap < 5 ? LK_FULL : LK_OK);
            assert_int_equal(b.len, cap < 5 ? 1 : 5);
        }
    }
}

typedef struct number_case {
    const char *text;
    int64_t value;
} number_case;

static void a_whole_number_is_read_in_any_spelling(void **state)
{
    static const number_case cases[] = {
        {"0", 0},
        {"-0", 0},
        {"12", 12},
        {"-3", -3},
        {"1e3", 1000},
        {"1E+3", 1000},
        {"2.0", 2},
        {"-2.000", -2},
        {"1.5e1", 15},
        {"1.25e2", 125},
        {"10e-1", 1},
        {"1200e-2", 12},
        {"0e99999999999999999999", 0},
        {"0.000e-99999999999999999999", 0},
        {"0.001e3", 1},
        {"1000000000000000000000e-3", 1000000000000000000},
        {"1e18", 1000000000000000000},
        {"0.0000000000000000001e19", 1},
        {"9223372036854775807", INT64_MAX},
        {"-9223372036854775808", INT64_MIN},
        {"9223372036854775807.0", INT64_MAX},
        {"922337203685477580.7e1", INT64_MAX},
        {"1800000000", 1800000000},
    };
    int64_t value;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        value = -99;
        if (lk_json_i64(lk_view_of(cases[i].text), &value) != LK_OK || value != cases[i].value)
            fail_msg("%s was read as %lld", cases[i].text, (long long)value);
    }
}

static void what_is_no_whole_int64_is_refused(void **state)
{
    static const char *const texts[] = {"",
                                        "-",
                                        "+1",
                                        "01",
                                        "1.",
                                        ".5",
                                        "1.5",
                                        "-0.5",
                                        "1e-1",
                                        "12e-2",
                                        "1.25e1",
                                        "9223372036854775808",
                                        "-9223372036854775809",
                                        "18446744073709551615",
                                        "18446744073709551616",
                                        "99999999999999999999",
                                        "1e19",
                                        "-1e19",
                                        "1e20",
                                        "1e99999999999999999999",
                                        "1e-99999999999999999999",
                                        "1234567890123456789012345678901234567890",
                                        "0x10",
                                        "1 ",
                                        " 1",
                                        "1a",
                                        "true",
                                        "null",
                                        "\"1\"",
                                        "[1]",
                                        "NaN",
                                        "Infinity",
                                        "1e",
                                        "1,2"};
    int64_t value = -99;

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (lk_json_i64(lk_view_of(texts[i]), &value) != LK_REFUSED)
            fail_msg("%s was not refused", texts[i]);
        assert_int_equal(value, -99);
    }
    assert_int_equal(lk_json_i64(lk_view_make(NULL, 0), &value), LK_REFUSED);
}

static void a_written_string_is_escaped(void **state)
{
    static const uint8_t given[] = "a\"b\\c/\n\t\x01\x1f\x7f\xc3\xa9\0z";
    char out[128];
    lk_buf b = lk_buf_over(out, sizeof(out));

    (void)state;
    lk_json_add_string(&b, lk_view_make(given, sizeof(given) - 1));
    assert_view(lk_buf_view(&b), "\"a\\\"b\\\\c/\\u000a\\u0009\\u0001\\u001f\x7f\xc3\xa9\\u0000z\"");
    b = lk_buf_over(out, sizeof(out));
    lk_json_add_string(&b, lk_view_make(NULL, 0));
    assert_view(lk_buf_view(&b), "\"\"");
}

static void every_byte_survives_writing_and_reading(void **state)
{
    uint8_t given[128], text[1024], back[128];
    lk_buf b = lk_buf_over(text, sizeof(text)), r = lk_buf_over(back, sizeof(back));

    (void)state;
    for (unsigned i = 0; i < sizeof(given); i++)
        given[i] = (uint8_t)i;
    lk_json_add_string(&b, lk_view_make(given, sizeof(given)));
    assert_int_equal(lk_json_check(lk_buf_view(&b), NULL, NULL), LK_OK);
    assert_int_equal(lk_json_string(lk_buf_view(&b), &r), LK_OK);
    assert_int_equal(r.len, sizeof(given));
    assert_memory_equal(back, given, sizeof(given));
}

static void a_written_string_that_does_not_fit_leaves_nothing_behind(void **state)
{
    char out[16];
    lk_buf b;

    (void)state;
    for (size_t cap = 0; cap <= 9; cap++) {
        b = lk_buf_over(out, cap);
        lk_json_add_string(&b, LK_VIEW("a\nb")); /* "a\u000ab" is ten characters */
        assert_int_equal(lk_buf_status(&b), LK_FULL);
        assert_int_equal(b.len, 0);
    }
    b = lk_buf_over(out, 10);
    lk_json_add_string(&b, LK_VIEW("a\nb"));
    assert_int_equal(lk_buf_status(&b), LK_OK);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_object_is_walked_in_order),
        cmocka_unit_test(an_array_is_walked_in_order),
        cmocka_unit_test(empty_containers_have_no_items),
        cmocka_unit_test(a_scalar_has_no_items),
        cmocka_unit_test(walking_an_unchecked_text_stays_in_bounds),
        cmocka_unit_test(a_position_past_the_end_ends_the_walk),
        cmocka_unit_test(a_member_is_found_by_its_name),
        cmocka_unit_test(a_member_that_is_not_there_is_a_miss),
        cmocka_unit_test(a_string_is_unescaped),
        cmocka_unit_test(what_is_no_string_is_not_unescaped),
        cmocka_unit_test(a_string_that_does_not_fit_leaves_nothing_behind),
        cmocka_unit_test(a_whole_number_is_read_in_any_spelling),
        cmocka_unit_test(what_is_no_whole_int64_is_refused),
        cmocka_unit_test(a_written_string_is_escaped),
        cmocka_unit_test(every_byte_survives_writing_and_reading),
        cmocka_unit_test(a_written_string_that_does_not_fit_leaves_nothing_behind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
