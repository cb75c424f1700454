/* SPDX-License-Identifier: Apache-2.0
 *
 * fields.c - the fields of a session, and the operations on them that let concurrent writers both win.
 *
 * One field: length of the name (1 byte, 1..64), length of the value (2 bytes, least significant first), the
 * name, the value. Names are UTF-8 without control characters, values are JSON texts. In the order they were
 * first set.
 */
#include "store/fields.h"
#include "store/pack.h"
#include <inttypes.h>
#include <latchkey/json.h>
#include <string.h>

#define FIELD_PREFIX 3

bool lk_fields_next(lk_view fields, size_t *at, lk_field *out)
{
    size_t left, name_len, value_len;

    if (*at >= fields.len)
        return false;
    left = fields.len - *at;
    if (left < FIELD_PREFIX)
        return false;
    name_len = fields.p[*at];
    value_len = lk__get16(fields.p + *at + 1);
    if (name_len == 0 || name_len > LK_FIELD_NAME_MAX || name_len + value_len > left - FIELD_PREFIX)
        return false;
    out->name = lk_view_make(fields.p + *at + FIELD_PREFIX, name_len);
    out->value = lk_view_make(out->name.p + name_len, value_len);
    *at += FIELD_PREFIX + name_len + value_len;
    return true;
}

bool lk__fields_are_whole(lk_view fields)
{
    size_t at = 0, n = 0;
    lk_field field;

    while (lk_fields_next(fields, &at, &field))
        n++;
    return at == fields.len && n <= LK_FIELDS_MAX && fields.len <= LK_FIELDS_BYTES_MAX;
}

lk_status lk_fields_get(lk_view fields, lk_view name, lk_view *value)
{
    size_t at = 0;
    lk_field field;

    while (lk_fields_next(fields, &at, &field)) {
        if (lk_view_equal(field.name, name)) {
            *value = field.value;
            return LK_OK;
        }
    }
    return LK_MISS;
}

size_t lk__fields_list_ops(lk_view from, lk_view to, lk_op ops[LK_FIELDS_OPS_MAX])
{
    lk_field field;
    lk_view value;
    size_t n = 0;

    for (size_t at = 0; n < LK_FIELDS_OPS_MAX && lk_fields_next(to, &at, &field);) {
        if (lk_fields_get(from, field.name, &value) == LK_MISS)
            ops[n++] = (lk_op){.kind = LK_OP_DELETE, .name = field.name};
    }
    for (size_t at = 0; n < LK_FIELDS_OPS_MAX && lk_fields_next(from, &at, &field);)
        ops[n++] = (lk_op){.kind = LK_OP_SET, .name = field.name, .value = field.value};
    return n;
}

bool lk_field_is_ours(lk_view name)
{
    const lk_view ours = LK_VIEW("latchkey.");

    return lk_view_equal(lk_view_part(name, 0, ours.len), ours);
}

/* Fields being changed: the bytes of OUT from BASE on. */
typedef struct work {
    lk_buf *out;
    size_t base;
} work;

static lk_view so_far(const work *w)
{
    return lk_view_make(w->out->p + w->base, w->out->len - w->base);
}

/* Put WITH in the place of LEN bytes at P, which lie in the work. WITH must not point into it. */
static lk_status splice(work *w, const uint8_t *p, size_t len, lk_view with)
{
    lk_buf *out = w->out;
    size_t at = (size_t)(p - out->p), after = out->len - at - len;

    if (with.len > len && out->cap - out->len < with.len - len)
        return LK_FULL;
    memmove(out->p + at + with.len, out->p + at + len, after);
    if (with.len > 0)
        memcpy(out->p + at, with.p, with.len);
    out->len = at + with.len + after;
    return LK_OK;
}

/* A name that no JSON document could hold would make the session unreadable for its owner. */
static bool is_name(lk_view name)
{
    uint8_t quoted[2 + 2 * LK_FIELD_NAME_MAX];
    lk_buf text = lk_buf_over(quoted, sizeof(quoted));

    if (name.len == 0 || name.len > LK_FIELD_NAME_MAX)
        return false;
    for (size_t i = 0; i < name.len; i++) {
        if (name.p[i] < 0x20 || name.p[i] == 0x7f)
            return false;
    }
    lk_json_add_string(&text, name);
    return lk_buf_status(&text) == LK_OK && lk_json_check(lk_buf_view(&text), NULL, NULL) == LK_OK;
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* VALUE without the blanks that JSON allows around it. */
static lk_view bare(lk_view value)
{
    while (value.len > 0 && is_blank(value.p[0]))
        value = lk_view_make(value.p + 1, value.len - 1);
    while (value.len > 0 && is_blank(value.p[value.len - 1]))
        value.len--;
    return value;
}

static lk_status put_value(work *w, lk_view name, lk_view value)
{
    uint8_t prefix[FIELD_PREFIX];
    lk_view old;

    if (value.len > LK_FIELDS_BYTES_MAX)
        return LK_FULL;
    prefix[0] = (uint8_t)name.len;
    lk__put16(prefix + 1, (uint16_t)value.len);
    if (lk_fields_get(so_far(w), name, &old) == LK_OK) {
        uint8_t *start = w->out->p + (old.p - w->out->p) - name.len - FIELD_PREFIX;

        if (splice(w, old.p, old.len, value) != LK_OK)
            return LK_FULL;
        memcpy(start, prefix, FIELD_PREFIX);
        return LK_OK;
    }
    if (w->out->cap - w->out->len < FIELD_PREFIX + name.len + value.len)
        return LK_FULL;
    lk_buf_add(w->out, lk_view_make(prefix, FIELD_PREFIX));
    lk_buf_add(w->out, name);
    lk_buf_add(w->out, value);
    return LK_OK;
}

static lk_status op_set(work *w, const lk_op *op, lk_note *note)
{
    lk_status status = lk_json_check(op->value, NULL, note);

    return status == LK_OK ? put_value(w, op->name, bare(op->value)) : status;
}

static lk_status op_compare_set(work *w, const lk_op *op, lk_note *note)
{
    lk_view now = {0}, expected = bare(op->expected);
    bool is_there = lk_fields_get(so_far(w), op->name, &now) == LK_OK;

    if (is_there != (expected.len > 0) || !lk_view_equal(now, expected)) {
        lk_note_set(note, "the field is not what the writer expected");
        return LK_REFUSED;
    }
    return op_set(w, op, note);
}

static lk_status put_number(work *w, lk_view name, int64_t number)
{
    uint8_t digits[24];
    lk_buf text = lk_buf_over(digits, sizeof(digits));

    lk_buf_add_i64(&text, number);
    return put_value(w, name, lk_buf_view(&text));
}

/* LK_OP_ADD and LK_OP_MAX. */
static lk_status op_number(work *w, const lk_op *op, lk_note *note)
{
    lk_view value;
    int64_t now, result;

    if (lk_fields_get(so_far(w), op->name, &value) != LK_OK)
        return put_number(w, op->name, op->number);
    if (lk_json_i64(value, &now) != LK_OK) {
        lk_note_set(note, "the field is not a whole number");
        return LK_REFUSED;
    }
    if (op->kind == LK_OP_MAX)
        return op->number > now ? put_number(w, op->name, op->number) : LK_OK;
    if (__builtin_add_overflow(now, op->number, &result)) {
        lk_note_set(note, "the sum is beyond 64 bits");
        return LK_REFUSED;
    }
    return put_number(w, op->name, result);
}

/* The raw text of the last KEEP elements of ARRAY, from the first of them to the end of the last. */
static lk_view last_elements(lk_view array, size_t keep)
{
    size_t at = 0, n = 0, skip;
    const uint8_t *begin = NULL, *end = NULL;
    lk_json_item item;

    while (lk_json_next(array, &at, &item))
        n++;
    skip = n > keep ? n - keep : 0;
    at = 0;
    for (size_t i = 0; lk_json_next(array, &at, &item); i++) {
        if (i < skip)
            continue;
        if (begin == NULL)
            begin = item.value.p;
        end = item.value.p + item.value.len;
    }
    return begin == NULL ? (lk_view){0} : lk_view_make(begin, (size_t)(end - begin));
}

static lk_status op_append(work *w, const lk_op *op, lk_note *note)
{
    uint8_t room[LK_FIELDS_BYTES_MAX];
    lk_buf text = lk_buf_over(room, sizeof(room));
    lk_view now = LK_VIEW("[]"), kept;
    lk_status status = lk_json_check(op->value, NULL, note);

    if (status != LK_OK)
        return status;
    if (op->keep == 0) {
        lk_note_set(note, "an append says how many elements are kept, at least 1");
        return LK_REFUSED;
    }
    if (lk_fields_get(so_far(w), op->name, &now) == LK_OK && (now.len == 0 || now.p[0] != '[')) {
        lk_note_set(note, "the field is not an array");
        return LK_REFUSED;
    }
    kept = last_elements(now, op->keep - 1);
    lk_buf_add_byte(&text, '[');
    lk_buf_add(&text, kept);
    if (kept.len > 0)
        lk_buf_add_byte(&text, ',');
    lk_buf_add(&text, bare(op->value));
    lk_buf_add_byte(&text, ']');
    return text.full ? LK_FULL : put_value(w, op->name, lk_buf_view(&text));
}

static lk_status op_delete(work *w, const lk_op *op)
{
    lk_view old;
    const uint8_t *start;

    if (lk_fields_get(so_far(w), op->name, &old) != LK_OK)
        return LK_OK;
    start = old.p - op->name.len - FIELD_PREFIX;
    return splice(w, start, FIELD_PREFIX + op->name.len + old.len, (lk_view){0});
}

static lk_status run(work *w, const lk_op *op, lk_note *note)
{
    if (!is_name(op->name)) {
        lk_note_set(note, "a field name is 1 to %d bytes of UTF-8 without control characters",
                    LK_FIELD_NAME_MAX);
        return LK_REFUSED;
    }
    switch (op->kind) {
    case LK_OP_SET:
        return op_set(w, op, note);
    case LK_OP_COMPARE_SET:
        return op_compare_set(w, op, note);
    case LK_OP_ADD:
    case LK_OP_MAX:
        return op_number(w, op, note);
    case LK_OP_APPEND:
        return op_append(w, op, note);
    case LK_OP_DELETE:
        return op_delete(w, op);
    }
    lk_note_set(note, "there is no such operation");
    return LK_REFUSED;
}

/* Say which operation it was in front of what went wrong with it. */
static void explain(lk_note *note, size_t i, const lk_op *op, lk_status status, const lk_note *inner)
{
    int shown = op->name.len > LK_FIELD_NAME_MAX ? LK_FIELD_NAME_MAX : (int)op->name.len;
    const char *what = status == LK_FULL ? "there is no room for it" : inner->text;

    if (shown > 0 && is_name(op->name))
        lk_note_set(note, "operation %zu on field \"%.*s\": %s", i + 1, shown, (const char *)op->name.p,
                    what);
    else
        lk_note_set(note, "operation %zu: %s", i + 1, what);
}

static lk_status check_result(lk_view fields, lk_note *note)
{
    if (fields.len > LK_FIELDS_BYTES_MAX) {
        lk_note_set(note, "the fields of a session hold at most %d bytes", LK_FIELDS_BYTES_MAX);
        return LK_FULL;
    }
    if (!lk__fields_are_whole(fields)) {
        lk_note_set(note, "a session holds at most %d fields", LK_FIELDS_MAX);
        return LK_FULL;
    }
    return LK_OK;
}

lk_status lk_fields_apply(lk_view fields, const lk_op *ops, size_t n, lk_buf *out, lk_note *note)
{
    work w = {.out = out, .base = out->len};
    lk_note inner = {.text = ""};
    lk_status status = LK_OK;

    if (!lk__fields_are_whole(fields)) {
        lk_note_set(note, "the fields are damaged");
        return LK_REFUSED;
    }
    lk_buf_add(out, fields);
    if (out->full)
        return LK_FULL;
    for (size_t i = 0; i < n && status == LK_OK; i++) {
        status = run(&w, &ops[i], &inner);
        if (status != LK_OK)
            explain(note, i, &ops[i], status, &inner);
    }
    if (status == LK_OK)
        status = check_result(so_far(&w), note);
    if (status != LK_OK)
        out->len = w.base;
    return status;
}
