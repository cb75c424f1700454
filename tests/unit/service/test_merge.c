/* SPDX-License-Identifier: Apache-2.0
 *
 * Merge patches: the examples of RFC 7396 appendix A, numbers, bounds, and the operations a patch becomes.
 */
#include "service/merge.h"
#include "test_env.h"
#include <jansson.h>
#include <latchkey/json.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static lk__arena *arena;
static char text[65536];

static int setup(void **state)
{
    (void)state;
    arena = lk__arena_new(test_env());
    return arena == NULL;
}

static int teardown(void **state)
{
    (void)state;
    lk__arena_free(arena);
    return 0;
}

static const char *merged(const char *target, const char *patch)
{
    lk_buf out = lk_buf_over(text, sizeof(text));
    assert_int_equal(lk__merge_text(lk_view_of(target), lk_view_of(patch), arena, &out), LK_OK);
    assert_int_equal(lk_json_check(lk_buf_view(&out), NULL, NULL), LK_OK);
    return lk_buf_text(&out);
}

/* Equal as JSON, whatever the blanks and the order of members. */
static void assert_json(const char *have, const char *want)
{
    json_t *a = json_loads(have, JSON_DECODE_ANY, NULL), *b = json_loads(want, JSON_DECODE_ANY, NULL);
    if (a == NULL || b == NULL || !json_equal(a, b))
        fail_msg("%s is not %s", have, want);
    json_decref(a);
    json_decref(b);
}

static void examples_of_rfc_7396_come_out_as_printed(void **state)
{
    (void)state;
    static const char *const examples[][3] = {
        {"{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
        {"{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}"},
        {"{\"a\":\"b\"}", "{\"a\":null}", "{}"},
        {"{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}"},
        {"{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}"},
        {"{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}"},
        {"{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}", "{\"a\":{\"b\":\"d\"}}"},
        {"{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}"},
        {"[\"a\",\"b\"]", "[\"c\",\"d\"]", "[\"c\",\"d\"]"},
        {"{\"a\":\"b\"}", "[\"c\"]", "[\"c\"]"},
        {"{\"a\":\"foo\"}", "null", "null"},
        {"{\"a\":\"foo\"}", "\"bar\"", "\"bar\""},
        {"{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}"},
        {"[1,2]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}"},
        {"{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}"},
        /* section 3 */
        {"{\"title\":\"Goodbye!\",\"author\":{\"givenName\":\"John\",\"familyName\":\"Doe\"},\"tags\":["
         "\"example\","
         "\"sample\"],\"content\":\"This will be unchanged\"}",
         "{\"title\":\"Hello!\",\"phoneNumber\":\"+01-123-456-7890\",\"author\":{\"familyName\":null},"
         "\"tags\":["
         "\"example\"]}",
         "{\"title\":\"Hello!\",\"author\":{\"givenName\":\"John\"},\"tags\":[\"example\"],\"content\":"
         "\"This will be "
         "unchanged\",\"phoneNumber\":\"+01-123-456-7890\"}"},
    };
    for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++)
        assert_json(merged(examples[i][0], examples[i][1]), examples[i][2]);
}

static void absent_target_is_an_empty_object(void **state)
{
    (void)state;
    assert_json(merged("", "{\"a\":{\"b\":null,\"c\":[null]},\"d\":null}"), "{\"a\":{\"c\":[null]}}");
}

static void numbers_come_through_digit_by_digit(void **state)
{
    (void)state;
    assert_string_equal(merged("{\"a\":12345678901234567890123,\"b\":1.10}", "{\"c\":0.1e-400}"),
                        "{\"a\":12345678901234567890123,\"b\":1.10,\"c\":0.1e-400}");
}

static void names_are_compared_without_their_escapes(void **state)
{
    (void)state;
    assert_json(merged("{\"caf\\u00e9\":1,\"\\u0061\":{\"x\":1}}", "{\"caf\xc3\xa9\":null,\"a\":{\"y\":2}}"),
                "{\"a\":{\"x\":1,\"y\":2}}");
}

static void blanks_anywhere_do_no_harm(void **state)
{
    (void)state;
    assert_json(merged(" \n{ \"a\" : { \"b\" : 1 } } ", "\t{ \"a\" : { \"c\" : [ 1 , 2 ] } }\r\n"),
                "{\"a\":{\"b\":1,\"c\":[1,2]}}");
}

static void depth_up_to_the_bound_is_merged(void **state)
{
    (void)state;
    char target[512] = "", patch[512] = "";
    for (int i = 0; i < LK_JSON_DEPTH_MAX; i++) {
        strcat(target, i == 0 ? "{\"x\":1" : ",\"a\":{\"x\":1");
        strcat(patch, i == 0 ? "{\"y\":1" : ",\"a\":{\"y\":1");
    }
    for (int i = 0; i < LK_JSON_DEPTH_MAX; i++) {
        strcat(target, "}");
        strcat(patch, "}");
    }
    const char *out = merged(target, patch);
    int both = 0;
    for (const char *p = strstr(out, "\"x\":1,\"y\":1"); p != NULL; p = strstr(p + 1, "\"x\":1,\"y\":1"))
        both++;
    assert_true(both >= 1);
}

static void result_without_room_is_full(void **state)
{
    (void)state;
    uint8_t small[8];
    lk_buf out = lk_buf_over(small, sizeof(small));
    assert_int_equal(lk__merge_text(LK_VIEW("{\"a\":1}"), LK_VIEW("{\"b\":2}"), arena, &out), LK_FULL);
}

/* Against a merge over jansson's tree, which shares nothing with ours. */
static json_t *slow_merge(json_t *target, json_t *patch)
{
    const char *key;
    json_t *value;
    if (!json_is_object(patch))
        return json_deep_copy(patch);
    json_t *out = json_is_object(target) ? json_deep_copy(target) : json_object();
    json_object_foreach(patch, key, value)
    {
        if (json_is_null(value))
            json_object_del(out, key);
        else
            json_object_set_new(out, key, slow_merge(json_object_get(out, key), value));
    }
    return out;
}

static json_t *random_value(unsigned *seed, int depth)
{
    switch (rand_r(seed) % (depth > 0 ? 6 : 4)) {
    case 0:
        return json_null();
    case 1:
        return json_integer(rand_r(seed) % 100);
    case 2:
        return json_string("s\"\\\n");
    case 3:
        return json_pack("[i,n,{s:n}]", 1, "a");
    default:
        break;
    }
    json_t *object = json_object();
    static const char *const names[] = {"a", "b", "c\"d", "\xc3\xa9", "e e"};
    for (int n = rand_r(seed) % 4; n > 0; n--)
        json_object_set_new(object, names[rand_r(seed) % 5], random_value(seed, depth - 1));
    return object;
}

static void random_merges_agree_with_a_tree_merge(void **state)
{
    (void)state;
    unsigned seed = 7396;
    for (int i = 0; i < 3000; i++) {
        json_t *target = random_value(&seed, 4), *patch = random_value(&seed, 4);
        json_t *want = slow_merge(target, patch);
        size_t flags = JSON_ENCODE_ANY | (i % 2 == 0 ? JSON_ENSURE_ASCII : JSON_INDENT(1));
        char *t = json_dumps(target, flags), *p = json_dumps(patch, JSON_ENCODE_ANY);
        char *w = json_dumps(want, JSON_ENCODE_ANY);
        assert_json(merged(t, p), w);
        free(t);
        free(p);
        free(w);
        json_decref(target);
        json_decref(patch);
        json_decref(want);
        if (i % 100 == 99) {
            lk__arena_free(arena);
            arena = lk__arena_new(test_env());
        }
    }
}

/* ---- operations ---- */

static lk_view fields_of(const char *name, const char *value)
{
    static uint8_t memory[4096];
    lk_buf out = lk_buf_over(memory, sizeof(memory));
    lk_op op = {.kind = LK_OP_SET, .name = lk_view_of(name), .value = lk_view_of(value)};
    assert_int_equal(lk_fields_apply((lk_view){0}, &op, 1, &out, NULL), LK_OK);
    return lk_buf_view(&out);
}

static void members_become_operations_of_their_own(void **state)
{
    (void)state;
    lk_op *ops;
    size_t n;
    lk_view fields = fields_of("prefs", "{\"a\":1}");
    assert_int_equal(
        lk__merge_ops(fields, LK_VIEW("{\"cart\":[1],\"old\":null,\"prefs\":{\"b\":2},\"new\":{\"c\":3}}"),
                      arena, &ops, &n, NULL),
        LK_OK);
    assert_int_equal(n, 4);
    assert_int_equal(ops[0].kind, LK_OP_SET);
    assert_true(lk_view_equal(ops[0].value, LK_VIEW("[1]")));
    assert_int_equal(ops[1].kind, LK_OP_DELETE);
    assert_int_equal(ops[2].kind, LK_OP_COMPARE_SET);
    assert_true(lk_view_equal(ops[2].expected, LK_VIEW("{\"a\":1}")));
    assert_true(lk_view_equal(ops[2].value, LK_VIEW("{\"a\":1,\"b\":2}")));
    assert_int_equal(ops[3].kind, LK_OP_COMPARE_SET);
    assert_int_equal(ops[3].expected.len, 0);
    assert_true(lk_view_equal(ops[3].value, LK_VIEW("{\"c\":3}")));
}

static void field_that_was_no_object_is_replaced_only_if_it_still_is_what_it_was(void **state)
{
    (void)state;
    lk_op *ops;
    size_t n;
    lk_view fields = fields_of("f", "7");
    assert_int_equal(lk__merge_ops(fields, LK_VIEW("{\"f\":{\"a\":1}}"), arena, &ops, &n, NULL), LK_OK);
    assert_int_equal(ops[0].kind, LK_OP_COMPARE_SET);
    assert_true(lk_view_equal(ops[0].expected, LK_VIEW("7")));
    assert_true(lk_view_equal(ops[0].value, LK_VIEW("{\"a\":1}")));
}

static void names_no_field_can_have_are_refused_with_the_rule(void **state)
{
    (void)state;
    static const char *const patches[] = {
        "{\"\":1}", "{\"a\\u0000b\":1}", "{\"a\\nb\":1}", "{\"\\u007f\":1}",
        "{\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\":1}"};
    lk_op *ops;
    size_t n;
    for (size_t i = 0; i < sizeof(patches) / sizeof(patches[0]); i++) {
        lk_note note = {{0}};
        assert_int_equal(lk__merge_ops((lk_view){0}, lk_view_of(patches[i]), arena, &ops, &n, &note),
                         LK_REFUSED);
        assert_non_null(strstr(note.text, "64 bytes"));
    }
    assert_int_equal(
        lk__merge_ops((lk_view){0},
                      LK_VIEW("{\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\":1}"),
                      arena, &ops, &n, NULL),
        LK_OK);
}

static void more_members_than_fields_are_full(void **state)
{
    (void)state;
    char patch[2048] = "{";
    lk_op *ops;
    size_t n;
    for (int i = 0; i < LK_FIELDS_MAX; i++)
        sprintf(patch + strlen(patch), "%s\"f%d\":1", i == 0 ? "" : ",", i);
    strcat(patch, "}");
    assert_int_equal(lk__merge_ops((lk_view){0}, lk_view_of(patch), arena, &ops, &n, NULL), LK_OK);
    assert_int_equal(n, LK_FIELDS_MAX);
    patch[strlen(patch) - 1] = '\0';
    strcat(patch, ",\"one more\":1}");
    assert_int_equal(lk__merge_ops((lk_view){0}, lk_view_of(patch), arena, &ops, &n, NULL), LK_FULL);
}

static void merge_without_memory_is_a_fault_and_leaks_nothing(void **state)
{
    (void)state;
    int before = test_alloc_live();
    lk_view fields = fields_of("prefs", "{\"a\":1}");
    bool failed = true;
    for (int i = 1; failed; i++) {
        lk_op *ops;
        size_t n;
        test_alloc_fail_at(i);
        lk__arena *small = lk__arena_new(test_env());
        lk_status status =
            small == NULL ? LK_FAULT
                          : lk__merge_ops(fields, LK_VIEW("{\"prefs\":{\"b\":2}}"), small, &ops, &n, NULL);
        lk__arena_free(small);
        failed = test_alloc_failed();
        test_alloc_fail_at(0);
        assert_int_equal(status, failed ? LK_FAULT : LK_OK);
    }
    assert_int_equal(test_alloc_live(), before);
}

static lk_status add(const char *target, const char *patch, lk_buf *out)
{
    *out = lk_buf_over(text, sizeof(text));
    return lk__add_text(lk_view_of(target), lk_view_of(patch), arena, out);
}

static void adding_goes_into_objects_and_adds_numbers_and_elements(void **state)
{
    (void)state;
    static const char *const sums[][3] = {
        {"{\"a\":1}", "{\"a\":2}", "{\"a\":3}"},
        {"{\"a\":1}", "{\"a\":-1,\"b\":5}", "{\"a\":0,\"b\":5}"},
        {"", "{\"a\":{\"b\":[1]}}", "{\"a\":{\"b\":[1]}}"},
        {"{\"a\":[1, 2 ],\"c\":\"x\"}", "{\"a\":[ [3] ]}", "{\"a\":[1,2,[3]],\"c\":\"x\"}"},
        {"{\"a\":[ ]}", "{\"a\":[]}", "{\"a\":[]}"},
        {"{\"a\":[1]}", "{\"a\":[]}", "{\"a\":[1]}"},
        {"{\"a\":{\"b\":9}}", "{\"\\u0061\":{\"b\":1}}", "{\"a\":{\"b\":10}}"},
    };
    lk_buf out;
    for (size_t i = 0; i < sizeof(sums) / sizeof(sums[0]); i++) {
        assert_int_equal(add(sums[i][0], sums[i][1], &out), LK_OK);
        assert_int_equal(lk_json_check(lk_buf_view(&out), NULL, NULL), LK_OK);
        assert_json(lk_buf_text(&out), sums[i][2]);
    }
}

static void what_cannot_be_added_is_refused(void **state)
{
    (void)state;
    static const char *const bad[][2] = {{"{\"a\":\"1\"}", "{\"a\":1}"},
                                         {"{\"a\":1}", "{\"a\":\"1\"}"},
                                         {"{\"a\":1}", "{\"a\":[1]}"},
                                         {"{\"a\":[1]}", "{\"a\":1}"},
                                         {"{\"a\":1}", "{\"a\":{}}"},
                                         {"{}", "{\"a\":null}"},
                                         {"{}", "{\"a\":true}"},
                                         {"{\"a\":1}", "{\"a\":0.5}"},
                                         {"[]", "{\"a\":1}"},
                                         {"{\"a\":9223372036854775807}", "{\"a\":1}"}};
    lk_buf out;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(add(bad[i][0], bad[i][1], &out), LK_REFUSED);
}

static void numbers_are_added_by_the_store_and_the_rest_is_compared(void **state)
{
    (void)state;
    lk_op *ops;
    size_t n;
    lk_note note = {{0}};
    lk_view fields = fields_of("cart", "{\"tea\":1}");
    assert_int_equal(lk__add_ops(fields, LK_VIEW("{\"visits\":-2,\"cart\":{\"tea\":1},\"seen\":[1]}"), arena,
                                 &ops, &n, NULL),
                     LK_OK);
    assert_int_equal(n, 3);
    assert_int_equal(ops[0].kind, LK_OP_ADD);
    assert_int_equal(ops[0].number, -2);
    assert_int_equal(ops[1].kind, LK_OP_COMPARE_SET);
    assert_true(lk_view_equal(ops[1].expected, LK_VIEW("{\"tea\":1}")));
    assert_true(lk_view_equal(ops[1].value, LK_VIEW("{\"tea\":2}")));
    assert_int_equal(ops[2].kind, LK_OP_COMPARE_SET);
    assert_int_equal(ops[2].expected.len, 0);
    assert_int_equal(lk__add_ops(fields, LK_VIEW("{\"cart\":1.5}"), arena, &ops, &n, &note), LK_REFUSED);
    assert_non_null(strstr(note.text, "whole numbers"));
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        T(examples_of_rfc_7396_come_out_as_printed),
        T(absent_target_is_an_empty_object),
        T(numbers_come_through_digit_by_digit),
        T(names_are_compared_without_their_escapes),
        T(blanks_anywhere_do_no_harm),
        T(depth_up_to_the_bound_is_merged),
        T(result_without_room_is_full),
        T(random_merges_agree_with_a_tree_merge),
        T(members_become_operations_of_their_own),
        T(field_that_was_no_object_is_replaced_only_if_it_still_is_what_it_was),
        T(names_no_field_can_have_are_refused_with_the_rule),
        T(more_members_than_fields_are_full),
        T(adding_goes_into_objects_and_adds_numbers_and_elements),
        T(what_cannot_be_added_is_refused),
        T(numbers_are_added_by_the_store_and_the_rest_is_compared),
        T(merge_without_memory_is_a_fault_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
