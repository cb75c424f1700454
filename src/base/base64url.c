/* SPDX-License-Identifier: Apache-2.0
 *
 * base64url.c - strict base64url without padding, without tables.
 *
 * Tokens, ids and keys pass through here. A table indexed by a secret tells its cache lines to a neighbour on
 * the same core, so the values of characters are computed by arithmetic on ranges.
 */
#include <latchkey/base64url.h>

/* 0xff when LO <= C <= HI, else 0, without a branch. */
static unsigned in_range(unsigned c, unsigned lo, unsigned hi)
{
    /* Each difference is negative, and has its top bits set, exactly when the bound is kept. */
    return (((lo - 1 - c) & (c - hi - 1)) >> 24) & 0xff;
}

/* The value of a character, or 0xff. */
static unsigned sextet(unsigned c)
{
    unsigned upper = in_range(c, 'A', 'Z'), lower = in_range(c, 'a', 'z'), digit = in_range(c, '0', '9');
    unsigned dash = in_range(c, '-', '-'), line = in_range(c, '_', '_');
    unsigned known = upper | lower | digit | dash | line;

    return (upper & (c - 'A')) | (lower & (c - 'a' + 26)) | (digit & (c - '0' + 52)) | (dash & 62) |
           (line & 63) | (~known & 0xff);
}

static uint8_t character(unsigned v)
{
    unsigned c = (in_range(v, 1, 26) & (v - 1 + 'A')) | (in_range(v, 27, 52) & (v - 27 + 'a')) |
                 (in_range(v, 53, 62) & (v - 53 + '0')) | (in_range(v, 63, 63) & '-') |
                 (in_range(v, 64, 64) & '_');

    return (uint8_t)c;
}

/* in_range cannot take a lower bound of 0, so character() counts from 1. */
static uint8_t character_of(uint32_t group, unsigned shift)
{
    return character(((group >> shift) & 0x3f) + 1);
}

void lk_base64url_encode(lk_view v, lk_buf *out)
{
    size_t i, tail = v.len % 3;
    uint8_t *o;

    if (v.len == 0)
        return;
    /* len * 4 cannot overflow once it is known that the result would fit in the buffer. */
    if (out->full || v.len > SIZE_MAX / 8 || LK_BASE64URL_LEN(v.len) > out->cap - out->len) {
        out->full = true;
        return;
    }
    o = out->p + out->len;
    out->len += LK_BASE64URL_LEN(v.len);
    for (i = 0; i + 3 <= v.len; i += 3) {
        uint32_t group = (uint32_t)v.p[i] << 16 | (uint32_t)v.p[i + 1] << 8 | v.p[i + 2];

        *o++ = character_of(group, 18);
        *o++ = character_of(group, 12);
        *o++ = character_of(group, 6);
        *o++ = character_of(group, 0);
    }
    if (tail > 0) {
        uint32_t group = (uint32_t)v.p[i] << 16 | (tail == 2 ? (uint32_t)v.p[i + 1] << 8 : 0);

        *o++ = character_of(group, 18);
        *o++ = character_of(group, 12);
        if (tail == 2)
            *o = character_of(group, 6);
    }
}

/* The last two or three characters; bits beyond the last whole byte must be zero, so that a value has one
 * spelling. Gives false when they are not, or a character is unknown. */
static bool decode_tail(const uint8_t *t, size_t n, uint8_t *o)
{
    unsigned a = sextet(t[0]), b = sextet(t[1]), c = n == 3 ? sextet(t[2]) : 0;

    if (((a | b | c) & 0xc0) != 0)
        return false;
    o[0] = (uint8_t)(a << 2 | b >> 4);
    if (n == 2)
        return (b & 0x0f) == 0;
    o[1] = (uint8_t)(b << 4 | c >> 2);
    return (c & 0x03) == 0;
}

lk_status lk_base64url_decode(lk_view text, lk_buf *out)
{
    size_t tail = text.len % 4, whole = text.len - tail;
    size_t len = text.len / 4 * 3 + (tail > 0 ? tail - 1 : 0);
    unsigned wrong = 0;
    uint8_t *o;

    if (tail == 1)
        return LK_REFUSED;
    if (out->full || len > out->cap - out->len) {
        out->full = true;
        return LK_FULL;
    }
    if (len == 0)
        return LK_OK;
    o = out->p + out->len;
    for (size_t i = 0; i < whole; i += 4) {
        unsigned a = sextet(text.p[i]), b = sextet(text.p[i + 1]);
        unsigned c = sextet(text.p[i + 2]), d = sextet(text.p[i + 3]);

        wrong |= a | b | c | d;
        *o++ = (uint8_t)(a << 2 | b >> 4);
        *o++ = (uint8_t)(b << 4 | c >> 2);
        *o++ = (uint8_t)(c << 6 | d);
    }
    if ((wrong & 0xc0) != 0 || (tail > 0 && !decode_tail(text.p + whole, tail, o)))
        return LK_REFUSED;
    out->len += len;
    return LK_OK;
}

bool lk_is_base64url(lk_view v)
{
    unsigned wrong = 0;

    for (size_t i = 0; i < v.len; i++)
        wrong |= sextet(v.p[i]);
    return (wrong & 0xc0) == 0;
}
