/* SPDX-License-Identifier: Apache-2.0
 *
 * json_read.c - walking a JSON text that json_check.c has accepted, and writing strings.
 *
 * Everything here stays in bounds on any text, so that a forgotten check is wrong answers and not memory.
 */
#include "base/json_scan.h"
#include <string.h>

/* Past the container that opens at s->p: brackets are counted, strings are stepped over as a whole. */
static bool skip_container(lk__json_scan *s)
{
    size_t depth = 0;

    while (s->p < s->end) {
        uint8_t c = *s->p;

        if (c == '"') {
            if (!lk__json_scan_string(s))
                return false;
            continue;
        }
        s->p++;
        if (c == '{' || c == '[')
            depth++;
        else if ((c == '}' || c == ']') && --depth == 0)
            return true;
    }
    return false;
}

/* Past a number or a word: up to what may follow a value. */
static bool skip_scalar(lk__json_scan *s)
{
    const uint8_t *start = s->p;

    while (s->p < s->end && *s->p != ',' && *s->p != ']' && *s->p != '}' && !lk__json_is_blank(*s->p))
        s->p++;
    return s->p > start;
}

static lk_json_type type_of(uint8_t first)
{
    if (first == '"')
        return LK_JSON_STRING;
    if (first == '{')
        return LK_JSON_OBJECT;
    if (first == '[')
        return LK_JSON_ARRAY;
    if (first == 't')
        return LK_JSON_TRUE;
    if (first == 'f')
        return LK_JSON_FALSE;
    return first == 'n' ? LK_JSON_NULL : LK_JSON_NUMBER;
}

static bool read_value(lk__json_scan *s, lk_json_item *item)
{
    const uint8_t *start = s->p;
    bool done;

    if (s->p >= s->end)
        return false;
    item->type = type_of(*start);
    if (item->type == LK_JSON_STRING)
        done = lk__json_scan_string(s);
    else if (item->type == LK_JSON_OBJECT || item->type == LK_JSON_ARRAY)
        done = skip_container(s);
    else
        done = skip_scalar(s);
    item->value = lk_view_make(start, (size_t)(s->p - start));
    return done;
}

static bool read_name(lk__json_scan *s, lk_json_item *item)
{
    const uint8_t *start = s->p;

    if (s->p >= s->end || *s->p != '"' || !lk__json_scan_string(s))
        return false;
    item->name = lk_view_make(start + 1, (size_t)(s->p - start) - 2);
    lk__json_skip_blank(s);
    if (s->p >= s->end || *s->p != ':')
        return false;
    s->p++;
    lk__json_skip_blank(s);
    return true;
}

bool lk_json_next(lk_view container, size_t *at, lk_json_item *item)
{
    lk__json_scan s = lk__json_scan_of(container);
    bool is_object;

    lk__json_skip_blank(&s);
    if (s.p >= s.end || (*s.p != '{' && *s.p != '['))
        return false;
    is_object = *s.p == '{';
    if (*at > container.len)
        return false;
    s.p = *at == 0 ? s.p + 1 : container.p + *at;
    lk__json_skip_blank(&s);
    if (*at > 0 && s.p < s.end && *s.p == ',') {
        s.p++;
        lk__json_skip_blank(&s);
    }
    *item = (lk_json_item){.type = LK_JSON_NULL};
    if ((is_object && !read_name(&s, item)) || !read_value(&s, item))
        return false;
    *at = (size_t)(s.p - container.p);
    return true;
}

lk_status lk_json_get(lk_view object, lk_view name, lk_json_item *item)
{
    lk__json_scan s = lk__json_scan_of(object);
    size_t at = 0;

    lk__json_skip_blank(&s);
    if (s.p >= s.end || *s.p != '{')
        return LK_MISS;
    while (lk_json_next(object, &at, item)) {
        lk__json_bytes written = {.p = item->name.p, .end = item->name.p + item->name.len};
        size_t i = 0;

        if (item->name.len < name.len) /* escapes only make a name longer */
            continue;
        while (i < name.len && lk__json_next_byte(&written) == name.p[i])
            i++;
        if (i == name.len && lk__json_next_byte(&written) < 0)
            return LK_OK;
    }
    return LK_MISS;
}

lk_status lk_json_string(lk_view value, lk_buf *out)
{
    lk__json_scan s = lk__json_scan_of(value);
    lk__json_bytes bytes;
    size_t before = out->len;
    int byte;

    if (value.len < 2 || value.p[0] != '"' || !lk__json_scan_string(&s) || s.p != s.end)
        return LK_REFUSED;
    if (!s.escaped) {
        lk_buf_add(out, lk_view_make(value.p + 1, value.len - 2));
        return lk_buf_status(out);
    }
    bytes = (lk__json_bytes){.p = value.p + 1, .end = s.end - 1};
    while ((byte = lk__json_next_byte(&bytes)) >= 0)
        lk_buf_add_byte(out, (uint8_t)byte);
    if (out->full)
        out->len = before; /* half a string is worth nothing and may be taken for a whole one */
    return lk_buf_status(out);
}

/* A decimal number as digits times a power of ten. */
typedef struct decimal {
    bool negative;
    lk_view whole;    /* digits before the point */
    lk_view fraction; /* digits after it */
    int64_t exponent;
} decimal;

#define EXPONENT_BOUND 1000000000000000 /* far beyond any length of text, far below overflow */

static int64_t exponent_of(const uint8_t *p, const uint8_t *end)
{
    bool negative = p < end && *p == '-';
    int64_t value = 0;

    if (p < end && (*p == '-' || *p == '+'))
        p++;
    for (; p < end && value < EXPONENT_BOUND; p++)
        value = value * 10 + (*p - '0');
    return negative ? -value : value;
}

/* Split VALUE, which is a number by the grammar. */
static decimal split(lk_view value)
{
    const uint8_t *p = value.p, *end = value.p + value.len;
    decimal d = {.negative = *p == '-'};
    const uint8_t *start = d.negative ? p + 1 : p;

    for (p = start; p < end && *p >= '0' && *p <= '9';)
        p++;
    d.whole = lk_view_make(start, (size_t)(p - start));
    if (p < end && *p == '.') {
        start = ++p;
        while (p < end && *p >= '0' && *p <= '9')
            p++;
        d.fraction = lk_view_make(start, (size_t)(p - start));
    }
    if (p < end)
        d.exponent = exponent_of(p + 1, end);
    return d;
}

static uint8_t digit_of(const decimal *d, size_t i)
{
    return (uint8_t)((i < d->whole.len ? d->whole.p[i] : d->fraction.p[i - d->whole.len]) - '0');
}

/* The magnitude of D if it is whole and fits: digits without the zeros around them, then the zeros that the
 * exponent asks for. */
static lk_status magnitude(const decimal *d, uint64_t *out)
{
    size_t first = 0, last = d->whole.len + d->fraction.len;
    int64_t zeros;
    uint64_t value = 0;

    while (last > 0 && digit_of(d, last - 1) == 0)
        last--;
    while (first < last && digit_of(d, first) == 0)
        first++;
    *out = 0;
    if (first == last)
        return LK_OK; /* nought, whatever its exponent */
    zeros = d->exponent + (int64_t)d->whole.len - (int64_t)last;
    if (zeros < 0 || zeros > 19 || last - first > 19)
        return LK_REFUSED;
    for (; first < last || zeros > 0; first++) {
        uint64_t digit = first < last ? digit_of(d, first) : 0;

        if (first >= last)
            zeros--;
        if (value > (UINT64_MAX - digit) / 10)
            return LK_REFUSED;
        value = value * 10 + digit;
    }
    *out = value;
    return LK_OK;
}

lk_status lk_json_i64(lk_view value, int64_t *out)
{
    lk__json_scan s = lk__json_scan_of(value);
    uint64_t size;
    decimal d;

    if (value.len == 0 || !lk__json_scan_number(&s) || s.p != s.end)
        return LK_REFUSED;
    d = split(value);
    if (magnitude(&d, &size) != LK_OK || size > (uint64_t)INT64_MAX + d.negative)
        return LK_REFUSED;
    if (d.negative)
        *out = size > INT64_MAX ? INT64_MIN : -(int64_t)size;
    else
        *out = (int64_t)size;
    return LK_OK;
}

static void add_escaped(lk_buf *out, uint8_t c)
{
    static const char hex[] = "0123456789abcdef";
    const uint8_t code[6] = {'\\', 'u', '0', '0', (uint8_t)hex[c >> 4], (uint8_t)hex[c & 15]};

    if (c == '"' || c == '\\') {
        lk_buf_add_byte(out, '\\');
        lk_buf_add_byte(out, c);
        return;
    }
    lk_buf_add(out, lk_view_make(code, sizeof(code)));
}

void lk_json_add_string(lk_buf *out, lk_view v)
{
    size_t before = out->len, plain = 0;

    lk_buf_add_byte(out, '"');
    for (size_t i = 0; i < v.len; i++) {
        if (v.p[i] >= 0x20 && v.p[i] != '"' && v.p[i] != '\\')
            continue;
        lk_buf_add(out, lk_view_part(v, plain, i - plain));
        add_escaped(out, v.p[i]);
        plain = i + 1;
    }
    lk_buf_add(out, lk_view_part(v, plain, v.len - plain));
    lk_buf_add_byte(out, '"');
    if (out->full)
        out->len = before;
}
