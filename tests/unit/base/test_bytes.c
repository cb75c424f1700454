/* SPDX-License-Identifier: Apache-2.0
 *
 * test_bytes.c - views, bounded buffers, numbers read from text.
 */
#include <latchkey/bytes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void assert_view(lk_view got, const char *wanted)
{
    if (!lk_view_equal(got, lk_view_of(wanted)))
        fail_msg("\"%.*s\" is not \"%s\"", (int)got.len, got.p, wanted);
}

static void a_view_of_null_is_empty(void **state)
{
    (void)state;
    assert_int_equal(lk_view_of(NULL).len, 0);
    assert_int_equal(lk_view_of("").len, 0);
    assert_int_equal(lk_view_of("abc").len, 3);
    assert_int_equal(LK_VIEW("a\0b").len, 3);
}

static void views_are_equal_when_their_bytes_are(void **state)
{
    (void)state;
    assert_true(lk_view_equal(LK_VIEW("a\0b"), LK_VIEW("a\0b")));
    assert_true(lk_view_equal(LK_VIEW(""), lk_view_make(NULL, 0)));
    assert_false(lk_view_equal(LK_VIEW("a\0b"), LK_VIEW("a\0c")));
    assert_false(lk_view_equal(LK_VIEW("ab"), LK_VIEW("abc")));
    assert_false(lk_view_equal(LK_VIEW("a"), LK_VIEW("A")));
}

static void only_ascii_letters_lose_their_case(void **state)
{
    (void)state;
    assert_true(lk_view_equal_nocase(LK_VIEW("Bearer"), LK_VIEW("bEARER")));
    assert_true(lk_view_equal_nocase(LK_VIEW("az"), LK_VIEW("AZ")));
    assert_false(lk_view_equal_nocase(LK_VIEW("@[`{"), LK_VIEW("`{@[")));
    assert_false(lk_view_equal_nocase(LK_VIEW("\xc3\xa9"), LK_VIEW("\xc3\x89")));
    assert_false(lk_view_equal_nocase(LK_VIEW("a"), LK_VIEW("ab")));
}

static void the_first_of_a_byte_is_found(void **state)
{
    (void)state;
    assert_int_equal(lk_view_find(LK_VIEW("a.b.c"), '.'), 1);
    assert_int_equal(lk_view_find(LK_VIEW("abc"), '.'), 3);
    assert_int_equal(lk_view_find(lk_view_make(NULL, 0), '.'), 0);
    assert_int_equal(lk_view_find(LK_VIEW("a\0b"), 'b'), 2);
}

static void a_part_is_clamped_to_its_view(void **state)
{
    lk_view v = LK_VIEW("abcdef");

    (void)state;
    assert_view(lk_view_part(v, 0, 3), "abc");
    assert_view(lk_view_part(v, 4, 2), "ef");
    assert_view(lk_view_part(v, 4, SIZE_MAX), "ef");
    assert_view(lk_view_part(v, 6, 1), "");
    assert_view(lk_view_part(v, SIZE_MAX, SIZE_MAX), "");
    assert_view(lk_view_part(lk_view_make(NULL, 0), 0, 1), "");
}

static void trimming_takes_spaces_and_tabs_and_nothing_else(void **state)
{
    (void)state;
    assert_view(lk_view_trim(LK_VIEW(" \t a b\t ")), "a b");
    assert_view(lk_view_trim(LK_VIEW(" \t ")), "");
    assert_view(lk_view_trim(LK_VIEW("\r\na\v")), "\r\na\v");
    assert_view(lk_view_trim(lk_view_make(NULL, 0)), "");
}

static void a_word_is_in_a_list_as_a_whole_or_not_at_all(void **state)
{
    lk_view list = LK_VIEW("orders.read  admin ");

    (void)state;
    assert_true(lk_words_have(list, LK_VIEW("orders.read")));
    assert_true(lk_words_have(list, LK_VIEW("admin")));
    assert_true(lk_words_have_every(list, LK_VIEW("admin  orders.read")));
    assert_true(lk_words_have_every(list, LK_VIEW("")));
    assert_false(lk_words_have_every(list, LK_VIEW("admin orders")));
    assert_false(lk_words_have(list, LK_VIEW("orders")));
    assert_false(lk_words_have(list, LK_VIEW("read")));
    assert_false(lk_words_have(list, LK_VIEW("Admin")));
    assert_false(lk_words_have(list, LK_VIEW("admin ")));
    assert_false(lk_words_have(list, LK_VIEW("orders.read  admin")));
    assert_false(lk_words_have(list, LK_VIEW("")));
    assert_false(lk_words_have(LK_VIEW(""), LK_VIEW("")));
    assert_false(lk_words_have(LK_VIEW("a\tb"), LK_VIEW("a")));
}

static void words_come_in_order(void **state)
{
    lk_view list = LK_VIEW("  a bc   d "), word;

    (void)state;
    assert_true(lk_words_next(&list, &word));
    assert_view(word, "a");
    assert_true(lk_words_next(&list, &word));
    assert_view(word, "bc");
    assert_true(lk_words_next(&list, &word));
    assert_view(word, "d");
    assert_false(lk_words_next(&list, &word));
    assert_false(lk_words_next(&list, &word));
}

static void a_decimal_has_one_spelling(void **state)
{
    static const char *const wrong[] = {"",
                                        "00",
                                        "01",
                                        "+1",
                                        "-1",
                                        " 1",
                                        "1 ",
                                        "1a",
                                        "a",
                                        "0x1",
                                        "1.0",
                                        "1e3",
                                        "9223372036854775808",
                                        "9223372036854775810",
                                        "99999999999999999999",
                                        "-0",
                                        "\xd9\xa1"};
    int64_t value;

    (void)state;
    assert_int_equal(lk_parse_i64(LK_VIEW("0"), &value), LK_OK);
    assert_int_equal(value, 0);
    assert_int_equal(lk_parse_i64(LK_VIEW("1800000000"), &value), LK_OK);
    assert_int_equal(value, 1800000000);
    assert_int_equal(lk_parse_i64(LK_VIEW("9223372036854775807"), &value), LK_OK);
    assert_true(value == INT64_MAX);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(lk_parse_i64(lk_view_of(wrong[i]), &value), LK_REFUSED);
    assert_int_equal(lk_parse_i64(LK_VIEW("1\0"), &value), LK_REFUSED);
    assert_true(value == INT64_MAX);
}

typedef struct text_number {
    const char *text;
    int64_t value;
} text_number;

static void a_duration_is_a_number_and_a_unit(void **state)
{
    static const text_number right[] = {{"0", 0},
                                        {"90", 90},
                                        {"90s", 90},
                                        {"30m", 1800},
                                        {"12h", 43200},
                                        {"30d", 2592000},
                                        {"36525d", 3155760000},
                                        {"3155760000", 3155760000}};
    static const char *const wrong[] = {
        "",     "s",   "m",   "-1s", "1 s", "1S", "1w",     "1ms",        "1h30m",
        "1.5h", "01m", " 1m", "1m ", "+1m", "1y", "36526d", "3155760001", "9223372036854775807d"};
    int64_t value;

    (void)state;
    for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
        assert_int_equal(lk_parse_duration_s(lk_view_of(right[i].text), &value), LK_OK);
        assert_true(value == right[i].value);
    }
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        if (lk_parse_duration_s(lk_view_of(wrong[i]), &value) != LK_REFUSED)
            fail_msg("%s is no duration", wrong[i]);
    }
}

static void a_size_is_a_number_and_a_power_of_1024(void **state)
{
    static const text_number right[] = {{"0", 0},
                                        {"1", 1},
                                        {"16k", 16384},
                                        {"64m", 67108864},
                                        {"2g", 2147483648},
                                        {"1048576g", 1125899906842624},
                                        {"1125899906842624", 1125899906842624}};
    static const char *const wrong[] = {"",
                                        "k",
                                        "-1k",
                                        "1K",
                                        "1kb",
                                        "1t",
                                        "1.5m",
                                        "01k",
                                        "1 k",
                                        "1048577g",
                                        "1125899906842625",
                                        "9223372036854775807g"};
    uint64_t value;

    (void)state;
    for (size_t i = 0; i < sizeof(right) / sizeof(right[0]); i++) {
        assert_int_equal(lk_parse_size(lk_view_of(right[i].text), &value), LK_OK);
        assert_true(value == (uint64_t)right[i].value);
    }
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        if (lk_parse_size(lk_view_of(wrong[i]), &value) != LK_REFUSED)
            fail_msg("%s is no size", wrong[i]);
    }
}

static void a_buffer_takes_what_fits_to_the_last_byte(void **state)
{
    uint8_t memory[5] = "....";
    lk_buf b = lk_buf_over(memory, 4);

    (void)state;
    lk_buf_add_text(&b, "ab");
    lk_buf_add(&b, LK_VIEW("c"));
    lk_buf_add_byte(&b, 'd');
    assert_view(lk_buf_view(&b), "abcd");
    assert_int_equal(lk_buf_status(&b), LK_OK);
    lk_buf_add(&b, lk_view_make(NULL, 0));
    assert_int_equal(lk_buf_status(&b), LK_OK);
    lk_buf_add_byte(&b, 'e');
    assert_int_equal(lk_buf_status(&b), LK_FULL);
    assert_int_equal(memory[4], '\0');
}

static void a_full_buffer_stays_full_and_takes_nothing_more(void **state)
{
    uint8_t memory[4];
    lk_buf b = lk_buf_over(memory, sizeof(memory));

    (void)state;
    lk_buf_add_text(&b, "ab");
    lk_buf_add_text(&b, "cde");
    lk_buf_add_text(&b, "c");
    lk_buf_add_i64(&b, 1);
    lk_buf_add_printf(&b, "x");
    assert_view(lk_buf_view(&b), "ab");
    assert_int_equal(lk_buf_status(&b), LK_FULL);
    assert_null(lk_buf_text(&b));
}

static void a_length_near_the_top_does_not_wrap_round(void **state)
{
    uint8_t memory[4];
    lk_buf b = lk_buf_over(memory, sizeof(memory));

    (void)state;
    lk_buf_add_text(&b, "ab");
    lk_buf_add(&b, lk_view_make(memory, SIZE_MAX));
    assert_int_equal(lk_buf_status(&b), LK_FULL);
    assert_int_equal(b.len, 2);
}

static void numbers_are_written_in_decimal(void **state)
{
    static const text_number cases[] = {{"0", 0},
                                        {"7", 7},
                                        {"-1", -1},
                                        {"1800000000", 1800000000},
                                        {"9223372036854775807", INT64_MAX},
                                        {"-9223372036854775808", INT64_MIN}};
    char memory[24];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        lk_buf b = lk_buf_over(memory, sizeof(memory));

        lk_buf_add_i64(&b, cases[i].value);
        assert_view(lk_buf_view(&b), cases[i].text);
    }
}

static void printf_writes_all_or_nothing(void **state)
{
    char memory[8];
    lk_buf b = lk_buf_over(memory, sizeof(memory));

    (void)state;
    lk_buf_add_printf(&b, "%d-%s", 12, "abcd");
    assert_view(lk_buf_view(&b), "12-abcd");
    lk_buf_add_printf(&b, "%s", "xy");
    assert_int_equal(lk_buf_status(&b), LK_FULL);
    assert_view(lk_buf_view(&b), "12-abcd");
    b = lk_buf_over(NULL, 0);
    lk_buf_add_printf(&b, "%s", "x");
    assert_int_equal(lk_buf_status(&b), LK_FULL);
}

static void text_is_ended_only_where_there_is_room_for_the_nul(void **state)
{
    char memory[4];
    lk_buf b = lk_buf_over(memory, sizeof(memory));

    (void)state;
    lk_buf_add_text(&b, "abc");
    assert_string_equal(lk_buf_text(&b), "abc");
    assert_int_equal(b.len, 3);
    lk_buf_add_text(&b, "d");
    assert_null(lk_buf_text(&b));
    assert_int_equal(lk_buf_status(&b), LK_OK);
    b = lk_buf_over(NULL, 0);
    assert_null(lk_buf_text(&b));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_view_of_null_is_empty),
        cmocka_unit_test(views_are_equal_when_their_bytes_are),
        cmocka_unit_test(only_ascii_letters_lose_their_case),
        cmocka_unit_test(the_first_of_a_byte_is_found),
        cmocka_unit_test(a_part_is_clamped_to_its_view),
        cmocka_unit_test(trimming_takes_spaces_and_tabs_and_nothing_else),
        cmocka_unit_test(a_word_is_in_a_list_as_a_whole_or_not_at_all),
        cmocka_unit_test(words_come_in_order),
        cmocka_unit_test(a_decimal_has_one_spelling),
        cmocka_unit_test(a_duration_is_a_number_and_a_unit),
        cmocka_unit_test(a_size_is_a_number_and_a_power_of_1024),
        cmocka_unit_test(a_buffer_takes_what_fits_to_the_last_byte),
        cmocka_unit_test(a_full_buffer_stays_full_and_takes_nothing_more),
        cmocka_unit_test(a_length_near_the_top_does_not_wrap_round),
        cmocka_unit_test(numbers_are_written_in_decimal),
        cmocka_unit_test(printf_writes_all_or_nothing),
        cmocka_unit_test(text_is_ended_only_where_there_is_room_for_the_nul),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
