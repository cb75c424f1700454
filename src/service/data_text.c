/* SPDX-License-Identifier: Apache-2.0
 *
 * data_text.c - fields of a session as texts that fit a header.
 */
#include <latchkey/data.h>
#include <latchkey/json.h>

/* The character that begins at P (checked UTF-8), and how many bytes it has. */
static uint32_t character(const uint8_t *p, size_t *len)
{
    static const uint8_t first[5] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    *len = p[0] < 0x80 ? 1 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : 4;
    uint32_t c = p[0] & first[*len];
    for (size_t i = 1; i < *len; i++)
        c = c << 6 | (p[i] & 0x3f);
    return c;
}

void lk_data_header_write(lk_view value, lk_buf *out)
{
    size_t len;
    for (size_t i = 0; i < value.len; i += len) {
        uint32_t c = character(value.p + i, &len);
        if (len > value.len - i) {
            out->full = true;
            return;
        }
        if (c >= 0x10000)
            lk_buf_add_printf(out, "\\u%04x\\u%04x", 0xd7c0 + (c >> 10), 0xdc00 + (c & 0x3ff));
        else if (c >= 0x7f)
            lk_buf_add_printf(out, "\\u%04x", c);
        else
            lk_buf_add_byte(out, c < 0x20 ? ' ' : (uint8_t)c);
    }
}

void lk_data_headers_write(lk_view fields, lk_buf *out)
{
    uint8_t room[2 + 2 * LK_FIELD_NAME_MAX];
    lk_field field;
    size_t at = 0;
    bool any = false;
    lk_buf_add_byte(out, '{');
    while (lk_fields_next(fields, &at, &field)) {
        lk_buf name = lk_buf_over(room, sizeof(room));
        if (lk_field_is_ours(field.name))
            continue;
        lk_json_add_string(&name, field.name);
        if (any)
            lk_buf_add_byte(out, ',');
        lk_data_header_write(lk_buf_view(&name), out);
        lk_buf_add_byte(out, ':');
        lk_data_header_write(field.value, out);
        any = true;
    }
    lk_buf_add_byte(out, '}');
}
