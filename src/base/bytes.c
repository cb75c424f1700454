/* SPDX-License-Identifier: Apache-2.0
 *
 * bytes.c - views, bounded buffers, and the few numbers that are read from text.
 */
#include <latchkey/bytes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define DURATION_MAX_S (36525LL * 86400) /* 100 years */
#define SIZE_MAX_BYTES (1ULL << 50)

lk_view lk_view_of(const char *text)
{
    if (text == NULL)
        return lk_view_make(NULL, 0);
    return lk_view_make(text, strlen(text));
}

bool lk_view_equal(lk_view a, lk_view b)
{
    /* memcmp wants valid pointers even for no bytes, and an empty view may hold NULL. */
    return a.len == b.len && (a.len == 0 || memcmp(a.p, b.p, a.len) == 0);
}

/* tolower() would follow the locale. */
static uint8_t lower(uint8_t c)
{
    return (uint8_t)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
}

bool lk_view_equal_nocase(lk_view a, lk_view b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++) {
        if (lower(a.p[i]) != lower(b.p[i]))
            return false;
    }
    return true;
}

size_t lk_view_find(lk_view v, uint8_t c)
{
    const uint8_t *hit = v.len == 0 ? NULL : memchr(v.p, c, v.len);

    return hit == NULL ? v.len : (size_t)(hit - v.p);
}

lk_view lk_view_part(lk_view v, size_t offset, size_t len)
{
    if (offset >= v.len)
        return lk_view_make(NULL, 0);
    if (len > v.len - offset)
        len = v.len - offset;
    return lk_view_make(v.p + offset, len);
}

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t';
}

lk_view lk_view_trim(lk_view v)
{
    while (v.len > 0 && is_blank(v.p[0]))
        v = lk_view_make(v.p + 1, v.len - 1);
    while (v.len > 0 && is_blank(v.p[v.len - 1]))
        v.len--;
    return v;
}

bool lk_words_next(lk_view *list, lk_view *word)
{
    size_t end;

    while (list->len > 0 && list->p[0] == ' ')
        *list = lk_view_make(list->p + 1, list->len - 1);
    if (list->len == 0)
        return false;
    end = lk_view_find(*list, ' ');
    *word = lk_view_make(list->p, end);
    *list = lk_view_make(list->p + end, list->len - end);
    return true;
}

bool lk_words_have(lk_view list, lk_view word)
{
    lk_view one;

    while (lk_words_next(&list, &one)) {
        if (lk_view_equal(one, word))
            return true;
    }
    return false;
}

bool lk_words_have_every(lk_view list, lk_view wanted)
{
    lk_view word;

    while (lk_words_next(&wanted, &word)) {
        if (!lk_words_have(list, word))
            return false;
    }
    return true;
}

lk_status lk_parse_i64(lk_view text, int64_t *out)
{
    int64_t value = 0;

    if (text.len == 0 || (text.len > 1 && text.p[0] == '0'))
        return LK_REFUSED;
    for (size_t i = 0; i < text.len; i++) {
        int digit = text.p[i] - '0';

        if (digit < 0 || digit > 9 || value > (INT64_MAX - digit) / 10)
            return LK_REFUSED;
        value = value * 10 + digit;
    }
    *out = value;
    return LK_OK;
}

/* The number in front of a unit of one letter; *unit is 0 when TEXT ends in a digit. */
static lk_status number_and_unit(lk_view text, int64_t *number, uint8_t *unit)
{
    *unit = 0;
    if (text.len > 0 && (text.p[text.len - 1] < '0' || text.p[text.len - 1] > '9')) {
        *unit = text.p[text.len - 1];
        text.len--;
    }
    return lk_parse_i64(text, number);
}

lk_status lk_parse_duration_s(lk_view text, int64_t *out)
{
    int64_t number, scale;
    uint8_t unit;

    if (number_and_unit(text, &number, &unit) != LK_OK)
        return LK_REFUSED;
    if (unit == 0 || unit == 's')
        scale = 1;
    else if (unit == 'm')
        scale = 60;
    else if (unit == 'h')
        scale = 3600;
    else if (unit == 'd')
        scale = 86400;
    else
        return LK_REFUSED;
    if (number > DURATION_MAX_S / scale)
        return LK_REFUSED;
    *out = number * scale;
    return LK_OK;
}

lk_status lk_parse_size(lk_view text, uint64_t *out)
{
    int64_t number;
    unsigned shift;
    uint8_t unit;

    if (number_and_unit(text, &number, &unit) != LK_OK)
        return LK_REFUSED;
    if (unit == 0)
        shift = 0;
    else if (unit == 'k')
        shift = 10;
    else if (unit == 'm')
        shift = 20;
    else if (unit == 'g')
        shift = 30;
    else
        return LK_REFUSED;
    if ((uint64_t)number > SIZE_MAX_BYTES >> shift)
        return LK_REFUSED;
    *out = (uint64_t)number << shift;
    return LK_OK;
}

lk_buf lk_buf_over(void *memory, size_t cap)
{
    return (lk_buf){.p = memory, .len = 0, .cap = cap, .full = false};
}

void lk_buf_add(lk_buf *b, lk_view v)
{
    if (b->full || v.len > b->cap - b->len) {
        b->full = true;
        return;
    }
    if (v.len > 0)
        memcpy(b->p + b->len, v.p, v.len);
    b->len += v.len;
}

void lk_buf_add_text(lk_buf *b, const char *text)
{
    lk_buf_add(b, lk_view_of(text));
}

void lk_buf_add_byte(lk_buf *b, uint8_t byte)
{
    lk_buf_add(b, lk_view_make(&byte, 1));
}

void lk_buf_add_i64(lk_buf *b, int64_t value)
{
    uint8_t text[20];
    size_t at = sizeof(text);
    uint64_t left = value < 0 ? 0 - (uint64_t)value : (uint64_t)value; /* INT64_MIN has no positive twin */

    do {
        text[--at] = (uint8_t)('0' + left % 10);
        left /= 10;
    } while (left > 0);
    if (value < 0)
        text[--at] = '-';
    lk_buf_add(b, lk_view_make(text + at, sizeof(text) - at));
}

void lk_buf_add_printf(lk_buf *b, const char *format, ...)
{
    size_t room = b->cap - b->len;
    va_list args;
    int wanted;

    if (b->full || room == 0) {
        b->full = true;
        return;
    }
    va_start(args, format);
    /* vsnprintf ends its text with a NUL, so a text that fits to the last byte needs one byte more: such a
     * text counts as too long rather than being written past the ceiling. */
    wanted = vsnprintf((char *)b->p + b->len, room, format, args);
    va_end(args);
    if (wanted < 0 || (size_t)wanted >= room)
        b->full = true;
    else
        b->len += (size_t)wanted;
}

lk_view lk_buf_view(const lk_buf *b)
{
    return lk_view_make(b->p, b->len);
}

lk_status lk_buf_status(const lk_buf *b)
{
    return b->full ? LK_FULL : LK_OK;
}

const char *lk_buf_text(lk_buf *b)
{
    if (b->full || b->len >= b->cap)
        return NULL;
    b->p[b->len] = '\0';
    return (const char *)b->p;
}
