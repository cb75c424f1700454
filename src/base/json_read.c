/* SPDX-License-Identifier: Apache-2.0
 *
 * json_read.c - walking a JSON text that json_check.c has accepted, and writing strings.
 *
 * Everything here stays in bounds on any text, so that a forgotten check is wrong answers and not memory.
 */
#include "base/json_scan.h"
#include <string.h>

/* Past the container that opens at P: brackets are counted, strings are stepped over as a whole. */
static const uint8_t *container_end(lk__json_scan *s, const uint8_t *p)
{
    size_t depth = 0;

    while (p != NULL && p < s->end) {
        uint8_t c = *p;

        p = c == '"' ? lk__json_string_end(s, p) : p + 1;
        if (c == '{' || c == '[')
            depth++;
        else if ((c == '}' || c == ']') && --depth == 0)
            return p;
    }
    return NULL;
}

/* Past a number or a word: up to what may follow a value. */
static const uint8_t *scalar_end(const lk__json_scan *s, const uint8_t *p)
{
    const uint8_t *start = p;

    while (p < s->end && *p != ',' && *p != ']' && *p != '}' && !lk__json_is_blank(*p))
        p++;
    return p > start ? p : NULL;
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

static const uint8_t *read_value(lk__json_scan *s, const uint8_t *p, lk_json_item *item)
{
    const uint8_t *start = p;

    if (p >= s->end)
        return NULL;
    item->type = type_of(*p);
    if (item->type == LK_JSON_STRING)
        p = lk__json_string_end(s, p);
    else if (item->type == LK_JSON_OBJECT || item->type == LK_JSON_ARRAY)
        p = container_end(s, p);
    else
        p = scalar_end(s, p);
    if (p != NULL)
        item->value = lk_view_make(start, (size_t)(p - start));
    return p;
}

static const uint8_t *read_name(lk__json_scan *s, const uint8_t *p, lk_json_item *item)
{
    const uint8_t *start = p;

    if (!lk__json_has(s, p, '"'))
        return NULL;
    p = lk__json_string_end(s, p);
    if (p == NULL)
        return NULL;
    item->name = lk_view_make(start + 1, (size_t)(p - start) - 2);
    p = lk__json_skip_blank(s, p);
    return lk__json_has(s, p, ':') ? lk__json_skip_blank(s, p + 1) : NULL;
}

bool lk_json_next(lk_view container, size_t *at, lk_json_item *item)
{
    lk__json_scan s;
    const uint8_t *start = lk__json_start(&s, container);
    const uint8_t *p = lk__json_skip_blank(&s, start);
    bool is_object = lk__json_has(&s, p, '{');

    *item = (lk_json_item){.type = LK_JSON_NULL};
    if ((!is_object && !lk__json_has(&s, p, '[')) || *at > container.len)
        return false;
    p = lk__json_skip_blank(&s, *at == 0 ? p + 1 : start + *at);
    if (*at > 0 && lk__json_has(&s, p, ','))
        p = lk__json_skip_blank(&s, p + 1);
    if (is_object)
        p = read_name(&s, p, item);
    if (p != NULL)
        p = read_value(&s, p, item);
    if (p == NULL)
        return false;
    *at = (size_t)(p - start);
    return true;
}

/* Does the name WRITTEN, escapes in it, stand for the plain bytes NAME? */
static bool is_name(lk_view written, lk_view name)
{
    lk__json_bytes bytes = {.p = written.p, .end = written.p + written.len};
    size_t i = 0;

    if (written.len < name.len) /* escapes only make a name longer */
        return false;
    while (i < name.len && lk__json_next_byte(&bytes) == name.p[i])
        i++;
    return i == name.len && lk__json_next_byte(&bytes) < 0;
}

lk_status lk_json_get(lk_view object, lk_view name, lk_json_item *item)
{
    lk__json_scan s;
    const uint8_t *p = lk__json_start(&s, object);
    size_t at = 0;

    if (!lk__json_has(&s, lk__json_skip_blank(&s, p), '{'))
        return LK_MISS;
    while (lk_json_next(object, &at, item)) {
        if (is_name(item->name, name))
            return LK_OK;
    }
    return LK_MISS;
}

lk_status lk_json_string(lk_view value, lk_buf *out)
{
    lk__json_scan s;
    const uint8_t *p = lk__json_start(&s, value);
    size_t before = out->len;
    lk__json_bytes bytes;
    int byte;

    if (!lk__json_has(&s, p, '"') || lk__json_string_end(&s, p) != s.end)
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
    lk__json_scan s;
    const uint8_t *p = lk__json_start(&s, value);
    uint64_t size;
    decimal d;

    if (lk__json_number_end(&s, p) != s.end)
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
