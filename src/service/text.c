/* SPDX-License-Identifier: Apache-2.0
 *
 * text.c - escaping, once for each place text can end up in.
 */
#include "service/text.h"

#include <latchkey/json.h>
#include <unistr.h>

#define REPLACEMENT "\xEF\xBF\xBD" /* U+FFFD */

/* The length of the well-formed UTF-8 character at the front of V (RFC 3629: no overlong form, no surrogate,
 * nothing above U+10FFFF), or 0. */
static size_t utf8_len(lk_view v)
{
    if (v.len == 0)
        return 0;
    if (v.p[0] < 0x80)
        return 1;
    ucs4_t c;
    int n = u8_mbtoucr(&c, v.p, v.len);
    return n > 0 ? (size_t)n : 0;
}

bool lk__is_utf8(lk_view v)
{
    return v.len == 0 || u8_check(v.p, v.len) == NULL;
}

/* The reference that stands for C in HTML, or NULL when it stands for itself. */
static const char *html_reference(uint8_t c)
{
    switch (c) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    case '\t':
    case '\n':
        return NULL;
    default:
        return c < 0x20 || c == 0x7f ? REPLACEMENT : NULL;
    }
}

void lk__html_add(lk_buf *out, lk_view v)
{
    while (v.len > 0) {
        size_t n = utf8_len(v);
        const char *reference = n == 0 ? REPLACEMENT : n == 1 ? html_reference(v.p[0]) : NULL;
        if (reference != NULL)
            lk_buf_add_text(out, reference);
        else
            lk_buf_add(out, lk_view_part(v, 0, n));
        v = lk_view_part(v, n == 0 ? 1 : n, v.len);
    }
}

void lk__json_add(lk_buf *out, lk_view v)
{
    if (lk__is_utf8(v)) {
        lk_json_add_string(out, v);
        return;
    }
    /* Rare: something a client sent came back in a note. Escaped character by character. */
    lk_buf_add_byte(out, '"');
    while (v.len > 0) {
        size_t n = utf8_len(v);
        uint8_t room[16];
        lk_buf one = lk_buf_over(room, sizeof(room));
        if (n == 0)
            lk_buf_add_text(&one, "\"" REPLACEMENT "\"");
        else
            lk_json_add_string(&one, lk_view_part(v, 0, n));
        lk_buf_add(out, lk_view_part(lk_buf_view(&one), 1, one.len - 2));
        v = lk_view_part(v, n == 0 ? 1 : n, v.len);
    }
    lk_buf_add_byte(out, '"');
}

void lk__query_add(lk_buf *out, lk_view v)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < v.len; i++) {
        uint8_t c = v.p[i];
        bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
                     c == '.' || c == '_' || c == '~' || c == '/';
        if (plain) {
            lk_buf_add_byte(out, c);
            continue;
        }
        uint8_t escaped[3] = {'%', (uint8_t)hex[c >> 4], (uint8_t)hex[c & 15]};
        lk_buf_add(out, lk_view_make(escaped, sizeof(escaped)));
    }
}

void lk__ascii_add(lk_buf *out, lk_view v, size_t max)
{
    size_t n = v.len < max ? v.len : max;
    for (size_t i = 0; i < n; i++) {
        uint8_t c = v.p[i];
        lk_buf_add_byte(out, c >= 0x20 && c < 0x7f ? c : '?');
    }
}
