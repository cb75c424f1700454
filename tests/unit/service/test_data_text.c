/* SPDX-License-Identifier: Apache-2.0
 *
 * Fields of a session as header values: the same value to every JSON reader, and nothing that ends a header.
 */
#include <jansson.h>
#include <latchkey/data.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char room[4096];

static const char *written(const char *value)
{
    lk_buf out = lk_buf_over(room, sizeof(room));
    lk_data_header_write(lk_view_of(value), &out);
    assert_int_equal(lk_buf_status(&out), LK_OK);
    for (size_t i = 0; i < out.len; i++)
        assert_true(out.p[i] >= 0x20 && out.p[i] < 0x7f);
    return lk_buf_text(&out);
}

static void values_are_visible_ascii_and_mean_the_same(void **state)
{
    (void)state;
    static const char *const values[] = {"1",
                                         "\"blue\"",
                                         "\"gr\u00f6\u00dfe\"",
                                         "\"\u20ac\"",
                                         "\"\U0001f600 \U0010ffff\"",
                                         "[1,\r\n\t2 ]",
                                         "{\"\u00e9\":\"\x7f\\r\\n\"}",
                                         "\"\xc2\x80\u07ff\u0800\uffff\U00010000\""};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        json_t *a = json_loads(values[i], JSON_DECODE_ANY, NULL);
        json_t *b = json_loads(written(values[i]), JSON_DECODE_ANY, NULL);
        assert_non_null(a);
        assert_true(json_equal(a, b));
        json_decref(a);
        json_decref(b);
    }
}

static void escapes_are_those_of_rfc_8259(void **state)
{
    (void)state;
    assert_string_equal(written("\"\u00e9\U0001f600\""), "\"\\u00e9\\ud83d\\ude00\"");
    assert_string_equal(written("{\n\"a\":1}"), "{ \"a\":1}");
}

static void value_without_room_is_said_to_have_none(void **state)
{
    (void)state;
    for (size_t cap = 0; cap < 8; cap++) {
        lk_buf out = lk_buf_over(room, cap);
        lk_data_header_write(LK_VIEW("\"\u00e9\""), &out);
        assert_int_equal(lk_buf_status(&out), LK_FULL);
    }
}

static void all_fields_are_one_object(void **state)
{
    (void)state;
    uint8_t bytes[256];
    lk_buf fields = lk_buf_over(bytes, sizeof(bytes)), out = lk_buf_over(room, sizeof(room));
    lk_op ops[] = {{.kind = LK_OP_SET, .name = LK_VIEW("a\"b"), .value = LK_VIEW("[1]")},
                   {.kind = LK_OP_SET, .name = LK_VIEW("\u00e9"), .value = LK_VIEW("\"\u00e9\"")}};
    assert_int_equal(lk_fields_apply((lk_view){0}, ops, 2, &fields, NULL), LK_OK);
    lk_data_headers_write(lk_buf_view(&fields), &out);
    assert_string_equal(lk_buf_text(&out), "{\"a\\\"b\":[1],\"\\u00e9\":\"\\u00e9\"}");
    out.len = 0;
    lk_data_headers_write((lk_view){0}, &out);
    assert_string_equal(lk_buf_text(&out), "{}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_visible_ascii_and_mean_the_same),
        cmocka_unit_test(escapes_are_those_of_rfc_8259),
        cmocka_unit_test(value_without_room_is_said_to_have_none),
        cmocka_unit_test(all_fields_are_one_object),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
