/* SPDX-License-Identifier: Apache-2.0
 *
 * form.c - the urlencoded parser of the WHATWG URL standard, section 5.1, over bounded memory.
 */
#include "service/form.h"

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* TEXT decoded into the arena. Decoding never makes it longer. */
static lk_view decoded(lk_view text, lk__arena *arena)
{
    lk_buf out = lk__arena_buf(arena, text.len);
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.p[i];
        if (c == '+') {
            c = ' ';
        } else if (c == '%' && text.len - i > 2 && hex_value(text.p[i + 1]) >= 0 &&
                   hex_value(text.p[i + 2]) >= 0) {
            c = (uint8_t)(hex_value(text.p[i + 1]) * 16 + hex_value(text.p[i + 2]));
            i += 2;
        }
        lk_buf_add_byte(&out, c);
    }
    return lk_buf_view(&out);
}

lk_status lk__form_read(lk_view text, lk__arena *arena, lk__form *out)
{
    out->n = 0;
    while (text.len > 0) {
        size_t end = lk_view_find(text, '&');
        lk_view pair = lk_view_part(text, 0, end);
        text = lk_view_part(text, end + 1, text.len);
        if (pair.len == 0)
            continue;
        if (out->n == LK_FORM_FIELDS_MAX)
            return LK_FULL;
        size_t name_len = lk_view_find(pair, '=');
        lk__form_field *field = &out->fields[out->n++];
        field->name = decoded(lk_view_part(pair, 0, name_len), arena);
        field->value = decoded(lk_view_part(pair, name_len + 1, pair.len), arena);
    }
    return lk__arena_failed(arena) ? LK_FAULT : LK_OK;
}

lk_status lk__form_get(const lk__form *form, lk_view name, lk_view *value)
{
    lk_status status = LK_MISS;
    for (size_t i = 0; i < form->n; i++) {
        if (!lk_view_equal(form->fields[i].name, name))
            continue;
        if (status == LK_OK)
            return LK_REFUSED;
        status = LK_OK;
        *value = form->fields[i].value;
    }
    return status;
}
