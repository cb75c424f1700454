/* SPDX-License-Identifier: Apache-2.0
 *
 * test_fields.c - field operations: what each does, what each refuses, and the bounds of the whole.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sample.h"
#include "store/fields.h"
#include <latchkey/session.h>
#include <stdio.h>

/* The fields as the tests go along. */
static uint8_t now_bytes[LK_FIELDS_WORK_MAX];
static lk_view now;

static int start_empty(void **state)
{
    (void)state;
    now = (lk_view){0};
    return 0;
}

static lk_status apply_all(const lk_op *ops, size_t n, lk_note *note)
{
    static uint8_t room[LK_FIELDS_WORK_MAX];
    lk_buf out = lk_buf_over(room, sizeof(room));
    lk_status status = lk_fields_apply(now, ops, n, &out, note);

    if (status != LK_OK) {
        assert_int_equal(out.len, 0);
        return status;
    }
    memcpy(now_bytes, room, out.len);
    now = lk_view_make(now_bytes, out.len);
    assert_true(lk__fields_are_whole(now));
    return status;
}

static lk_status apply(lk_op op)
{
    return apply_all(&op, 1, NULL);
}

#define SET(n, v) ((lk_op){.kind = LK_OP_SET, .name = LK_VIEW(n), .value = LK_VIEW(v)})

static void assert_field(const char *name, const char *value)
{
    lk_view found;

    if (value == NULL) {
        assert_int_equal(lk_fields_get(now, lk_view_of(name), &found), LK_MISS);
        return;
    }
    assert_int_equal(lk_fields_get(now, lk_view_of(name), &found), LK_OK);
    assert_int_equal(found.len, strlen(value));
    assert_memory_equal(found.p, value, found.len);
}

static void set_adds_and_replaces_and_keeps_the_other_fields(void **state)
{
    (void)state;
    assert_int_equal(apply(SET("a", "1")), LK_OK);
    assert_int_equal(apply(SET("b", "{\"x\":[true,null]}")), LK_OK);
    assert_int_equal(apply(SET("c", "\"see\"")), LK_OK);
    assert_int_equal(apply(SET("b", "2")), LK_OK);
    assert_field("a", "1");
    assert_field("b", "2");
    assert_field("c", "\"see\"");
    assert_int_equal(apply(SET("b", "\"a longer value than before\"")), LK_OK);
    assert_field("b", "\"a longer value than before\"");
    assert_field("c", "\"see\"");
}

static void set_keeps_the_value_without_blanks_around_it(void **state)
{
    (void)state;
    assert_int_equal(apply(SET("a", " \t\r\n [1, 2] \n")), LK_OK);
    assert_field("a", "[1, 2]");
}

static void value_that_is_no_json_text_is_refused(void **state)
{
    static const char *const wrong[] = {"", "tru", "{\"a\":1,\"a\":2}", "1 2", "'x'", "\"\x01\"", "[1,]"};

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        lk_op op = {.kind = LK_OP_SET, .name = LK_VIEW("a"), .value = lk_view_of(wrong[i])};

        assert_int_equal(apply(op), LK_REFUSED);
        op.kind = LK_OP_APPEND;
        op.keep = 3;
        assert_int_equal(apply(op), LK_REFUSED);
    }
    assert_field("a", NULL);
}

static void name_that_is_empty_too_long_or_not_text_is_refused(void **state)
{
    char longest[LK_FIELD_NAME_MAX + 1];
    lk_op op = SET("", "1");

    (void)state;
    memset(longest, 'n', sizeof(longest));
    assert_int_equal(apply(op), LK_REFUSED);
    op.name = lk_view_make(longest, LK_FIELD_NAME_MAX);
    assert_int_equal(apply(op), LK_OK);
    op.name = lk_view_make(longest, LK_FIELD_NAME_MAX + 1);
    assert_int_equal(apply(op), LK_REFUSED);
    op.name = LK_VIEW("a\nb");
    assert_int_equal(apply(op), LK_REFUSED);
    op.name = LK_VIEW("\xff\xfe");
    assert_int_equal(apply(op), LK_REFUSED);
    op.name = LK_VIEW("\xe8\xb4\xad\xe7\x89\xa9\xe8\xbd\xa6 \"\\");
    assert_int_equal(apply(op), LK_OK);
}

static void compare_set_holds_only_when_the_field_is_as_expected(void **state)
{
    lk_op op = {.kind = LK_OP_COMPARE_SET, .name = LK_VIEW("a"), .value = LK_VIEW("1")};

    (void)state;
    assert_int_equal(apply(op), LK_OK); /* expected absent */
    assert_int_equal(apply(op), LK_REFUSED);
    op.expected = LK_VIEW(" 1 ");
    op.value = LK_VIEW("2");
    assert_int_equal(apply(op), LK_OK);
    assert_field("a", "2");
    assert_int_equal(apply(op), LK_REFUSED);
    op.name = LK_VIEW("never");
    assert_int_equal(apply(op), LK_REFUSED);
    assert_field("a", "2");
}

static void add_counts_from_absent_and_refuses_what_is_no_whole_number(void **state)
{
    lk_op op = {.kind = LK_OP_ADD, .name = LK_VIEW("n"), .number = 5};

    (void)state;
    assert_int_equal(apply(op), LK_OK);
    op.number = -7;
    assert_int_equal(apply(op), LK_OK);
    assert_field("n", "-2");
    assert_int_equal(apply(SET("n", "9223372036854775806")), LK_OK);
    op.number = 1;
    assert_int_equal(apply(op), LK_OK);
    assert_int_equal(apply(op), LK_REFUSED);
    assert_field("n", "9223372036854775807");
    assert_int_equal(apply(SET("n", "1.5")), LK_OK);
    assert_int_equal(apply(op), LK_REFUSED);
    assert_int_equal(apply(SET("n", "\"1\"")), LK_OK);
    assert_int_equal(apply(op), LK_REFUSED);
}

static void max_keeps_the_greater_and_takes_the_number_when_absent(void **state)
{
    lk_op op = {.kind = LK_OP_MAX, .name = LK_VIEW("n"), .number = -3};

    (void)state;
    assert_int_equal(apply(op), LK_OK);
    assert_field("n", "-3");
    op.number = 8;
    assert_int_equal(apply(op), LK_OK);
    op.number = 7;
    assert_int_equal(apply(op), LK_OK);
    assert_field("n", "8");
}

static void append_keeps_the_last_elements_in_order(void **state)
{
    lk_op op = {.kind = LK_OP_APPEND, .name = LK_VIEW("l"), .keep = 3};
    static const char *const values[] = {"1", "\"two, [too]\"", "{\"n\":[3]}", "[4]", "5"};

    (void)state;
    for (size_t i = 0; i < 5; i++) {
        op.value = lk_view_of(values[i]);
        assert_int_equal(apply(op), LK_OK);
    }
    assert_field("l", "[{\"n\":[3]},[4],5]");
    op.keep = 1;
    op.value = LK_VIEW("6");
    assert_int_equal(apply(op), LK_OK);
    assert_field("l", "[6]");
    assert_int_equal(apply(SET("l", "[ 1 , 2 ]")), LK_OK);
    op.keep = 9;
    assert_int_equal(apply(op), LK_OK);
    assert_field("l", "[1 , 2,6]");
}

static void append_to_what_is_no_array_or_without_a_bound_is_refused(void **state)
{
    lk_op op = {.kind = LK_OP_APPEND, .name = LK_VIEW("l"), .value = LK_VIEW("1"), .keep = 3};

    (void)state;
    assert_int_equal(apply(SET("l", "{\"a\":1}")), LK_OK);
    assert_int_equal(apply(op), LK_REFUSED);
    op.name = LK_VIEW("m");
    op.keep = 0;
    assert_int_equal(apply(op), LK_REFUSED);
    assert_field("m", NULL);
}

static void delete_removes_the_field_and_absent_is_fine(void **state)
{
    lk_op op = {.kind = LK_OP_DELETE, .name = LK_VIEW("b")};

    (void)state;
    assert_int_equal(apply(op), LK_OK);
    assert_int_equal(apply(SET("a", "1")), LK_OK);
    assert_int_equal(apply(SET("b", "2")), LK_OK);
    assert_int_equal(apply(SET("c", "3")), LK_OK);
    assert_int_equal(apply(op), LK_OK);
    assert_field("a", "1");
    assert_field("b", NULL);
    assert_field("c", "3");
}

static void list_of_operations_is_all_or_nothing_and_says_which_failed(void **state)
{
    lk_op ops[3] = {
        SET("a", "1"),
        SET("b", "2"),
        {.kind = LK_OP_COMPARE_SET, .name = LK_VIEW("c"), .value = LK_VIEW("3"), .expected = LK_VIEW("4")}};
    lk_note note = {.text = ""};

    (void)state;
    assert_int_equal(apply(SET("a", "0")), LK_OK);
    assert_int_equal(apply_all(ops, 3, &note), LK_REFUSED);
    assert_field("a", "0");
    assert_field("b", NULL);
    assert_non_null(strstr(note.text, "operation 3"));
    assert_non_null(strstr(note.text, "\"c\""));
    assert_int_equal(apply_all(ops, 2, &note), LK_OK);
    assert_field("b", "2");
}

static void later_operations_see_the_earlier_ones(void **state)
{
    lk_op ops[3] = {
        SET("a", "1"),
        {.kind = LK_OP_ADD, .name = LK_VIEW("a"), .number = 1},
        {.kind = LK_OP_COMPARE_SET, .name = LK_VIEW("a"), .value = LK_VIEW("3"), .expected = LK_VIEW("2")}};

    (void)state;
    assert_int_equal(apply_all(ops, 3, NULL), LK_OK);
    assert_field("a", "3");
}

static void session_holds_sixty_four_fields_and_no_more(void **state)
{
    char name[8];

    (void)state;
    for (int i = 0; i < LK_FIELDS_MAX; i++) {
        lk_op op = SET("", "1");

        op.name = lk_view_make(name, (size_t)snprintf(name, sizeof(name), "f%d", i));
        assert_int_equal(apply(op), LK_OK);
    }
    assert_int_equal(apply(SET("one more", "1")), LK_FULL);
    assert_int_equal(apply(SET("f5", "2")), LK_OK);
}

static void session_holds_sixteen_kibibytes_of_fields_and_no_more(void **state)
{
    static char text[LK_FIELDS_BYTES_MAX];
    lk_op ops[2] = {SET("a", ""), {.kind = LK_OP_DELETE, .name = LK_VIEW("old")}};

    (void)state;
    memset(text, 'x', sizeof(text));
    text[0] = '"';
    text[LK_FIELDS_BYTES_MAX - 5] = '"';
    ops[0].value =
        lk_view_make(text, LK_FIELDS_BYTES_MAX - 4); /* with its prefix and name: the bound exactly */
    assert_int_equal(apply_all(ops, 1, NULL), LK_OK);
    assert_int_equal(now.len, LK_FIELDS_BYTES_MAX);
    assert_int_equal(apply(SET("b", "1")), LK_FULL);
    start_empty(NULL);
    assert_int_equal(apply(SET("old", "1")), LK_OK);
    assert_int_equal(apply_all(ops, 1, NULL), LK_FULL);
    assert_int_equal(apply_all(ops, 2, NULL), LK_OK); /* only the result is measured */
    text[LK_FIELDS_BYTES_MAX - 5] = 'x';
    text[LK_FIELDS_BYTES_MAX - 4] = '"';
    start_empty(NULL);
    ops[0].value.len++;
    assert_int_equal(apply_all(ops, 1, NULL), LK_FULL);
}

static void small_room_for_the_result_is_full_and_not_overrun(void **state)
{
    uint8_t room[64];
    const lk_view before = LK_VIEW(SAMPLE_FIELDS);
    lk_op ops[4] = {SET("theme", "\"light and dark and everything in between\""),
                    SET("new", "\"0123456789012345678901234567890123456789\""),
                    {.kind = LK_OP_APPEND, .name = LK_VIEW("cart"), .value = LK_VIEW("123456789"), .keep = 5},
                    {.kind = LK_OP_ADD, .name = LK_VIEW("n"), .number = INT64_MAX}};

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        lk_buf out = lk_buf_over(room, before.len + 5);

        assert_int_equal(lk_fields_apply(before, &ops[i], 1, &out, NULL), LK_FULL);
        assert_int_equal(out.len, 0);
    }
}

static void listed_operations_turn_one_set_of_fields_into_another(void **state)
{
    static uint8_t from_bytes[LK_FIELDS_WORK_MAX];
    lk_op ops[LK_FIELDS_OPS_MAX];
    lk_view from;
    size_t n;

    (void)state;
    assert_int_equal(apply(SET("kept", "1")), LK_OK);
    assert_int_equal(apply(SET("new", "2")), LK_OK);
    memcpy(from_bytes, now.p, now.len);
    from = lk_view_make(from_bytes, now.len);
    now = (lk_view){0};
    assert_int_equal(apply(SET("gone", "true")), LK_OK);
    assert_int_equal(apply(SET("kept", "\"before\"")), LK_OK);
    n = lk__fields_list_ops(from, now, ops);
    assert_int_equal(apply_all(ops, n, NULL), LK_OK);
    assert_true(lk_view_equal(now, from));
    assert_int_equal(lk__fields_list_ops((lk_view){0}, now, ops), 2);
    assert_int_equal(apply_all(ops, 2, NULL), LK_OK);
    assert_int_equal(now.len, 0);
}

static void damaged_fields_are_refused_and_walked_within_bounds(void **state)
{
    const lk_view whole = LK_VIEW(SAMPLE_FIELDS);
    lk_op op = SET("a", "1");

    (void)state;
    for (size_t len = 1; len < whole.len; len++) {
        uint8_t room[128];
        lk_buf out = lk_buf_over(room, sizeof(room));
        lk_view cut = lk_view_make(whole.p, len);
        lk_field field;
        size_t at = 0;

        while (lk_fields_next(cut, &at, &field))
            assert_true(field.value.p + field.value.len <= cut.p + cut.len);
        assert_int_equal(lk_fields_apply(cut, &op, 1, &out, NULL), len == 12 ? LK_OK : LK_REFUSED);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(set_adds_and_replaces_and_keeps_the_other_fields, start_empty),
        cmocka_unit_test_setup(set_keeps_the_value_without_blanks_around_it, start_empty),
        cmocka_unit_test_setup(value_that_is_no_json_text_is_refused, start_empty),
        cmocka_unit_test_setup(name_that_is_empty_too_long_or_not_text_is_refused, start_empty),
        cmocka_unit_test_setup(compare_set_holds_only_when_the_field_is_as_expected, start_empty),
        cmocka_unit_test_setup(add_counts_from_absent_and_refuses_what_is_no_whole_number, start_empty),
        cmocka_unit_test_setup(max_keeps_the_greater_and_takes_the_number_when_absent, start_empty),
        cmocka_unit_test_setup(append_keeps_the_last_elements_in_order, start_empty),
        cmocka_unit_test_setup(append_to_what_is_no_array_or_without_a_bound_is_refused, start_empty),
        cmocka_unit_test_setup(delete_removes_the_field_and_absent_is_fine, start_empty),
        cmocka_unit_test_setup(list_of_operations_is_all_or_nothing_and_says_which_failed, start_empty),
        cmocka_unit_test_setup(later_operations_see_the_earlier_ones, start_empty),
        cmocka_unit_test_setup(session_holds_sixty_four_fields_and_no_more, start_empty),
        cmocka_unit_test_setup(session_holds_sixteen_kibibytes_of_fields_and_no_more, start_empty),
        cmocka_unit_test_setup(small_room_for_the_result_is_full_and_not_overrun, start_empty),
        cmocka_unit_test_setup(listed_operations_turn_one_set_of_fields_into_another, start_empty),
        cmocka_unit_test_setup(damaged_fields_are_refused_and_walked_within_bounds, start_empty),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
