/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_record.c - session records of any bytes, and changes of fields of any bytes.
 *
 * Input: one byte that chooses, then for an even one a record as a store would give it back; for an odd one a
 * list of field operations, a line each: a letter for the kind, then name, value and expected between tabs.
 */
#include "fuzz.h"
#include <latchkey/json.h>
#include <latchkey/session.h>
#include <string.h>

enum { OPS_MAX = 32 };

/* Fields that lk_fields_apply made hold JSON under names that are there once; those of a record from
 * elsewhere are only framed right. */
static void expect_fields(lk_view fields, bool are_ours)
{
    lk_field field;
    size_t at = 0, n = 0;
    lk_view value;

    while (lk_fields_next(fields, &at, &field)) {
        n++;
        MUST(at <= fields.len && field.name.len <= LK_FIELD_NAME_MAX);
        MUST(!are_ours || lk_json_check(field.value, NULL, NULL) == LK_OK);
        MUST(lk_fields_get(fields, field.name, &value) == LK_OK);
        MUST(!are_ours || lk_view_equal(value, field.value));
    }
    MUST(n <= LK_FIELDS_MAX && fields.len <= LK_FIELDS_BYTES_MAX);
}

/* What is read can be written, and is then read as the same. */
static void try_record(lk_view record)
{
    static uint8_t room[LK_RECORD_MAX], again[LK_RECORD_MAX];
    size_t head = lk_record_head_len(record);
    lk_buf out = lk_buf_over(room, sizeof(room)), twice = lk_buf_over(again, sizeof(again));
    lk_reason why = LK_REASON_NONE;
    lk_session s;

    MUST(head <= LK_HEAD_MAX);
    if (lk_record_read(record, &s) != LK_OK)
        return;
    MUST(head > 0);
    (void)lk_session_ends_s(&s);
    MUST(lk_session_alive(&s, 1800000000, &why) == LK_OK || why != LK_REASON_NONE);
    if (lk_record_write(&s, &out) != LK_OK)
        return;
    MUST(lk_record_read(lk_buf_view(&out), &s) == LK_OK);
    MUST(lk_record_write(&s, &twice) == LK_OK);
    MUST(lk_view_equal(lk_buf_view(&out), lk_buf_view(&twice)));
    expect_fields(s.fields, false);
    if (lk_record_touch(room, out.len, s.seen_s + 1) == LK_OK) {
        MUST(lk_record_read(lk_buf_view(&out), &s) == LK_OK);
    }
}

static lk_view next_cell(lk_view *line)
{
    size_t end = lk_view_find(*line, '\t');
    lk_view cell = lk_view_part(*line, 0, end);

    *line = lk_view_part(*line, end < line->len ? end + 1 : end, line->len);
    return cell;
}

static lk_op op_of(lk_view line)
{
    static const lk_op_kind kinds[] = {LK_OP_SET, LK_OP_COMPARE_SET, LK_OP_ADD,
                                       LK_OP_MAX, LK_OP_APPEND,      LK_OP_DELETE};
    lk_view kind = next_cell(&line);
    lk_op op = {.kind = kinds[kind.len > 0 ? kind.p[0] % 6 : 0]};

    op.name = next_cell(&line);
    op.value = next_cell(&line);
    op.expected = line;
    if (op.value.len >= sizeof(op.number))
        memcpy(&op.number, op.value.p, sizeof(op.number));
    op.keep = kind.len > 1 ? kind.p[1] : 1;
    return op;
}

/* One change after the other; each leaves the fields whole or leaves them alone. */
static void try_changes(lk_view text)
{
    static uint8_t rooms[2][3 * LK_FIELDS_BYTES_MAX];
    lk_view lines[OPS_MAX], fields = {0};
    size_t n = fuzz_lines(text, lines, OPS_MAX);

    for (size_t i = 0; i < n; i++) {
        lk_buf out = lk_buf_over(rooms[i % 2], sizeof(rooms[0]));
        lk_op op = op_of(lines[i]);
        lk_note note = {""};
        lk_status status = lk_fields_apply(fields, &op, 1, &out, &note);

        MUST(status == LK_OK || status == LK_REFUSED || status == LK_FULL);
        if (status != LK_OK) {
            MUST(out.len == 0 && note.text[0] != '\0');
            out = lk_buf_over(rooms[i % 2], sizeof(rooms[0]));
            lk_buf_add(&out, fields);
        }
        fields = lk_buf_view(&out);
        expect_fields(fields, true);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (data[0] % 2 == 0)
        try_record(lk_view_make(data + 1, size - 1));
    else
        try_changes(lk_view_make(data + 1, size - 1));
    return 0;
}
