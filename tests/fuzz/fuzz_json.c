/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_json.c - the reader of JSON beside jansson: both accept the same texts and read the same values.
 *
 * Input: any bytes, taken as a JSON text.
 */
#include "fuzz.h"
#include <jansson.h>
#include <latchkey/json.h>
#include <string.h>

/* jansson may refuse what is right only because it cannot hold it: numbers beyond its types, NUL in a name.
 */
static bool is_out_of_its_range(const json_error_t *error)
{
    enum json_error_code code = json_error_code(error);

    return code == json_error_numeric_overflow || code == json_error_null_byte_in_key;
}

/* How deep brackets go in a text that jansson accepted. */
static unsigned depth_of(lk_view text)
{
    unsigned depth = 0, most = 0;
    bool in_string = false;

    for (size_t i = 0; i < text.len; i++) {
        if (in_string && text.p[i] == '\\')
            i++;
        else if (text.p[i] == '"')
            in_string = !in_string;
        else if (!in_string && (text.p[i] == '[' || text.p[i] == '{') && ++depth > most)
            most = depth;
        else if (!in_string && (text.p[i] == ']' || text.p[i] == '}'))
            depth--;
    }
    return most;
}

/* A string read, compared, written and read again. */
static void expect_string(lk_view value, const char *wanted, size_t len)
{
    uint8_t *room = malloc(value.len * 7 + 3);
    lk_buf plain, again, twice;

    MUST(room != NULL);
    plain = lk_buf_over(room, value.len);
    again = lk_buf_over(room + value.len, value.len * 5 + 3);
    twice = lk_buf_over(room + value.len * 6 + 3, value.len);
    MUST(lk_json_string(value, &plain) == LK_OK);
    MUST(plain.len == len && memcmp(room, wanted, len) == 0);
    lk_json_add_string(&again, lk_buf_view(&plain));
    if (lk_buf_status(&again) == LK_OK) {
        MUST(lk_json_check(lk_buf_view(&again), NULL, NULL) == LK_OK);
        MUST(lk_json_string(lk_buf_view(&again), &twice) == LK_OK);
        MUST(lk_view_equal(lk_buf_view(&twice), lk_buf_view(&plain)));
    }
    free(room);
}

static void expect_scalar(const lk_json_item *item, const json_t *wanted)
{
    int64_t number;

    switch (json_typeof(wanted)) {
    case JSON_STRING:
        MUST(item->type == LK_JSON_STRING);
        expect_string(item->value, json_string_value(wanted), json_string_length(wanted));
        break;
    case JSON_INTEGER:
        MUST(item->type == LK_JSON_NUMBER);
        MUST(lk_json_i64(item->value, &number) == LK_OK && number == json_integer_value(wanted));
        break;
    case JSON_REAL:
        MUST(item->type == LK_JSON_NUMBER);
        if (lk_json_i64(item->value, &number) == LK_OK)
            MUST((double)number == json_real_value(wanted));
        break;
    case JSON_TRUE:
        MUST(item->type == LK_JSON_TRUE);
        break;
    case JSON_FALSE:
        MUST(item->type == LK_JSON_FALSE);
        break;
    case JSON_NULL:
        MUST(item->type == LK_JSON_NULL);
        break;
    case JSON_ARRAY:
    case JSON_OBJECT:
        MUST(item->type == (json_is_array(wanted) ? LK_JSON_ARRAY : LK_JSON_OBJECT));
    }
}

/* The member of OBJECT that ITEM names, which lk_json_get must find too. */
static const json_t *member_of(const json_t *object, lk_view container, const lk_json_item *item)
{
    uint8_t quoted[512], name[512];
    lk_buf q = lk_buf_over(quoted, sizeof(quoted)), n = lk_buf_over(name, sizeof(name));
    lk_json_item found;

    lk_buf_add_byte(&q, '"');
    lk_buf_add(&q, item->name);
    lk_buf_add_byte(&q, '"');
    if (lk_buf_status(&q) != LK_OK)
        return NULL; /* a name this long is only stepped over */
    MUST(lk_json_string(lk_buf_view(&q), &n) == LK_OK);
    MUST(lk_json_get(container, lk_buf_view(&n), &found) == LK_OK && found.value.p == item->value.p);
    return json_object_getn(object, (const char *)name, n.len);
}

/* The items of CONTAINER are those of WANTED, in number and value; containers among them one level down. */
static void expect_items(lk_view container, const json_t *wanted, unsigned levels)
{
    lk_json_item item;
    size_t at = 0, n = 0;

    while (lk_json_next(container, &at, &item)) {
        const json_t *value =
            json_is_array(wanted) ? json_array_get(wanted, n) : member_of(wanted, container, &item);

        n++;
        if (value == NULL)
            continue;
        expect_scalar(&item, value);
        if (levels > 0 && (json_is_array(value) || json_is_object(value)))
            expect_items(item.value, value, levels - 1);
    }
    MUST(n == (json_is_array(wanted) ? json_array_size(wanted) : json_object_size(wanted)));
}

/* Text that was never checked: any answer, but within the text. */
static void walk_unchecked(lk_view text)
{
    lk_json_item item;
    size_t at = 0;
    int64_t number;
    lk_buf none = lk_buf_over(NULL, 0);

    while (lk_json_next(text, &at, &item)) {
        MUST(at <= text.len);
        MUST(item.value.p >= text.p && item.value.p + item.value.len <= text.p + text.len);
        (void)!lk_json_i64(item.value, &number);
        (void)!lk_json_string(item.value, &none);
    }
    (void)!lk_json_get(text, LK_VIEW("a"), &item);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    lk_view text = lk_view_make(data, size);
    lk_json_place place = {0};
    lk_note note = {""};
    lk_status status = lk_json_check(text, &place, &note);
    json_error_t error;
    json_t *other = json_loadb((const char *)data, size,
                               JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);

    MUST(status == LK_OK || status == LK_REFUSED || status == LK_FULL);
    if (status == LK_OK) {
        MUST(other != NULL || is_out_of_its_range(&error));
        MUST(memchr(data, '\0', size) == NULL);
        if (other != NULL && (json_is_array(other) || json_is_object(other)))
            expect_items(text, other, LK_JSON_DEPTH_MAX);
    } else {
        MUST(place.offset <= size && place.line >= 1 && place.column >= 1 && note.text[0] != '\0');
        /* jansson 2.14 steps over a NUL behind a number, which no grammar of JSON allows. */
        MUST(other == NULL || status == LK_FULL || depth_of(text) > LK_JSON_DEPTH_MAX ||
             memchr(data, '\0', size) != NULL);
        walk_unchecked(text);
    }
    json_decref(other);
    return 0;
}
