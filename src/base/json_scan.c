/* SPDX-License-Identifier: Apache-2.0
 *
 * json_scan.c - strings, escapes and numbers of JSON (RFC 8259 sections 6 and 7).
 */
#include "base/json_scan.h"
#include <endian.h>
#include <string.h>

#define EACH_BYTE(b) (0x0101010101010101ULL * (b))
#define TOP_BITS EACH_BYTE(0x80)

static bool is_plain(uint8_t c)
{
    return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

/* Past the bytes that need no thought, eight at a time. A byte is marked when the subtraction borrows from
 * it: below a space, or nought after the exclusive or with a quote or a backslash. A borrow may mark a byte
 * above a marked one wrongly, never one below, so the lowest mark is right. */
static inline __attribute__((always_inline)) const uint8_t *skip_plain(const uint8_t *p, const uint8_t *end)
{
    for (; end - p >= 8; p += 8) {
        uint64_t w, quote, slash, marks;

        memcpy(&w, p, 8);
        w = le64toh(w);
        quote = w ^ EACH_BYTE('"');
        slash = w ^ EACH_BYTE('\\');
        marks = ((w - EACH_BYTE(0x20)) & ~w) | ((quote - EACH_BYTE(1)) & ~quote) |
                ((slash - EACH_BYTE(1)) & ~slash) | w;
        if ((marks & TOP_BITS) != 0)
            return p + __builtin_ctzll(marks & TOP_BITS) / 8;
    }
    while (p < end && is_plain(*p))
        p++;
    return p;
}

static bool is_continuation(uint8_t c)
{
    return (c & 0xc0) == 0x80;
}

/* The length of the UTF-8 sequence at P, 0 when it is none: overlong forms, surrogates and code points past
 * U+10FFFF are refused (RFC 3629 section 4), as each is a second spelling that a filter may not know. */
static size_t utf8_len(const uint8_t *p, const uint8_t *end)
{
    size_t left = (size_t)(end - p);
    uint8_t c = p[0];

    if (c >= 0xc2 && c <= 0xdf)
        return left >= 2 && is_continuation(p[1]) ? 2 : 0;
    if ((c & 0xf0) == 0xe0) {
        if (left < 3 || !is_continuation(p[1]) || !is_continuation(p[2]))
            return 0;
        return (c == 0xe0 && p[1] < 0xa0) || (c == 0xed && p[1] >= 0xa0) ? 0 : 3;
    }
    if (c < 0xf0 || c > 0xf4 || left < 4)
        return 0;
    if (!is_continuation(p[1]) || !is_continuation(p[2]) || !is_continuation(p[3]))
        return 0;
    return (c == 0xf0 && p[1] < 0x90) || (c == 0xf4 && p[1] >= 0x90) ? 0 : 4;
}

/* The value of `\uXXXX` at P, or -1. */
static int32_t hex4(const uint8_t *p, const uint8_t *end)
{
    int32_t value = 0;

    if (end - p < 6 || p[0] != '\\' || p[1] != 'u')
        return -1;
    for (int i = 2; i < 6; i++) {
        uint8_t c = p[i], low = c | 0x20;

        if (c >= '0' && c <= '9')
            value = value << 4 | (c - '0');
        else if (low >= 'a' && low <= 'f')
            value = value << 4 | (low - 'a' + 10);
        else
            return -1;
    }
    return value;
}

static size_t put_utf8(uint32_t code, uint8_t out[4])
{
    if (code < 0x80) {
        out[0] = (uint8_t)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (uint8_t)(0xc0 | code >> 6);
        out[1] = (uint8_t)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (uint8_t)(0xe0 | code >> 12);
        out[1] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
        out[2] = (uint8_t)(0x80 | (code & 0x3f));
        return 3;
    }
    out[0] = (uint8_t)(0xf0 | code >> 18);
    out[1] = (uint8_t)(0x80 | (code >> 12 & 0x3f));
    out[2] = (uint8_t)(0x80 | (code >> 6 & 0x3f));
    out[3] = (uint8_t)(0x80 | (code & 0x3f));
    return 4;
}

/* `\uXXXX`, or two of them where the first is a high surrogate. A surrogate alone stands for nothing in UTF-8
 * and is refused, though RFC 8259 section 8.2 leaves that open: readers that differ on it can be played
 * against each other. */
static size_t unicode_escape(const uint8_t *p, const uint8_t *end, uint8_t out[4], size_t *len)
{
    int32_t code = hex4(p, end), low;

    if (code < 0 || (code >= 0xdc00 && code <= 0xdfff))
        return 0;
    if (code < 0xd800 || code > 0xdbff) {
        *len = put_utf8((uint32_t)code, out);
        return 6;
    }
    low = hex4(p + 6, end);
    if (low < 0xdc00 || low > 0xdfff)
        return 0;
    *len = put_utf8(0x10000 + ((uint32_t)(code - 0xd800) << 10 | (uint32_t)(low - 0xdc00)), out);
    return 12;
}

/* One unit of the inside of a string at P (before END): an escape, or one raw byte. Writes what it stands for
 * as UTF-8 to OUT and its length to *LEN. Gives the bytes taken from the text, 0 for a bad escape. */
static size_t read_unit(const uint8_t *p, const uint8_t *end, uint8_t out[4], size_t *len)
{
    static const char letters[] = "\"\\/bfnrt", bytes[] = "\"\\/\b\f\n\r\t";
    const char *known;

    *len = 1;
    out[0] = p[0];
    if (p[0] != '\\')
        return 1;
    if (end - p < 2)
        return 0;
    if (p[1] == 'u')
        return unicode_escape(p, end, out, len);
    known = memchr(letters, p[1], sizeof(letters) - 1);
    if (known == NULL)
        return 0;
    out[0] = (uint8_t)bytes[known - letters];
    return 2;
}

/* Past one byte or sequence that is not plain and does not end the string; 0 when it is not allowed. */
static size_t special_len(lk__json_scan *s, const uint8_t *p)
{
    uint8_t meaning[4];
    size_t taken, len;

    if (*p < 0x20) {
        lk__json_wrong(s, p, "a control character in a string must be written as an escape");
        return 0;
    }
    if (*p != '\\') {
        taken = utf8_len(p, s->end);
        if (taken == 0)
            lk__json_wrong(s, p, "this is not UTF-8");
        return taken;
    }
    s->escaped = true;
    taken = read_unit(p, s->end, meaning, &len);
    if (taken == 0)
        lk__json_wrong(s, p, "this escape is not known, not complete, or half of a surrogate pair");
    return taken;
}

/* The rest of a string from P on, where something special stands. Kept out of line: most strings have nothing
 * special, and the quick way then needs no stack frame. */
static __attribute__((noinline)) const uint8_t *special_end(lk__json_scan *s, const uint8_t *p)
{
    size_t taken;

    while (p < s->end && *p != '"') {
        taken = special_len(s, p);
        if (taken == 0)
            return NULL;
        p = skip_plain(p + taken, s->end);
    }
    return p < s->end ? p + 1 : lk__json_wrong(s, p, "the text ends inside a string");
}

const uint8_t *lk__json_string_end(lk__json_scan *s, const uint8_t *p)
{
    s->escaped = false;
    p = skip_plain(p + 1, s->end);
    return lk__json_has(s, p, '"') ? p + 1 : special_end(s, p);
}

static bool is_digit_at(const uint8_t *p, const uint8_t *end)
{
    return p < end && *p >= '0' && *p <= '9';
}

/* Past one or more digits; NULL when there is none. */
static const uint8_t *digits_end(lk__json_scan *s, const uint8_t *p)
{
    if (!is_digit_at(p, s->end))
        return lk__json_wrong(s, p, "a digit is missing in this number");
    while (is_digit_at(p, s->end))
        p++;
    return p;
}

const uint8_t *lk__json_number_end(lk__json_scan *s, const uint8_t *p)
{
    if (lk__json_has(s, p, '-'))
        p++;
    /* A leading zero stands alone: what follows it is then found to be no comma and no end. */
    p = lk__json_has(s, p, '0') ? p + 1 : digits_end(s, p);
    if (p != NULL && lk__json_has(s, p, '.'))
        p = digits_end(s, p + 1);
    if (p != NULL && (lk__json_has(s, p, 'e') || lk__json_has(s, p, 'E'))) {
        p++;
        p = digits_end(s, lk__json_has(s, p, '+') || lk__json_has(s, p, '-') ? p + 1 : p);
    }
    return p;
}

int lk__json_next_byte(lk__json_bytes *b)
{
    size_t taken;

    if (b->at < b->len)
        return b->unit[b->at++];
    if (b->p >= b->end)
        return -1;
    if (*b->p != '\\')
        return *b->p++;
    taken = read_unit(b->p, b->end, b->unit, &b->len);
    b->p = taken == 0 ? b->end : b->p + taken;
    b->at = 1;
    if (taken == 0)
        b->len = 0;
    return taken == 0 ? -1 : b->unit[0];
}

bool lk__json_name_equal(lk_view a, lk_view b)
{
    lk__json_bytes sa = {.p = a.p, .end = a.p + a.len}, sb = {.p = b.p, .end = b.p + b.len};
    int ca, cb;

    if (lk_view_find(a, '\\') == a.len && lk_view_find(b, '\\') == b.len)
        return lk_view_equal(a, b);
    do {
        ca = lk__json_next_byte(&sa);
        cb = lk__json_next_byte(&sb);
    } while (ca == cb && ca >= 0);
    return ca == cb;
}
