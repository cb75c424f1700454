/* SPDX-License-Identifier: Apache-2.0
 *
 * text.c - is a text fit to be shown?
 */
#include "credential/shape.h"
#include <string.h>

/* Length of the UTF-8 sequence that begins with LEAD, or 0 (RFC 3629 section 4). *LOW and *HIGH bound the
 * second byte: there the overlong forms, the surrogates and what lies above U+10FFFF are kept out. */
static size_t sequence_len(uint8_t lead, uint8_t *low, uint8_t *high)
{
    *low = 0x80;
    *high = 0xbf;
    if (lead >= 0xc2 && lead <= 0xdf)
        return 2;
    if (lead >= 0xe0 && lead <= 0xef) {
        if (lead == 0xe0)
            *low = 0xa0;
        if (lead == 0xed)
            *high = 0x9f;
        return 3;
    }
    if (lead < 0xf0 || lead > 0xf4)
        return 0;
    if (lead == 0xf0)
        *low = 0x90;
    if (lead == 0xf4)
        *high = 0x8f;
    return 4;
}

/* The length of the sequence at the front of V, or 0 when it is none. A C1 control (U+0080 to U+009F) is
 * none. */
static size_t take_sequence(lk_view v)
{
    uint8_t low, high;
    size_t len = sequence_len(v.p[0], &low, &high);

    if (len == 0 || len > v.len || v.p[1] < low || v.p[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++) {
        if ((v.p[i] & 0xc0) != 0x80)
            return 0;
    }
    return v.p[0] == 0xc2 && v.p[1] < 0xa0 ? 0 : len;
}

#define EACH_BYTE(b) (0x0101010101010101ULL * (b))

/* Are the eight bytes at P all from 0x20 to 0x7e? Adding 1 lifts 0x7f over the top, subtracting 0x20 takes
 * what is below a space under it; the carry or borrow of a bad byte may only accuse its neighbour. */
static bool are_plain(const uint8_t *p)
{
    uint64_t w;

    memcpy(&w, p, sizeof(w));
    return ((w | (w + EACH_BYTE(1)) | (w - EACH_BYTE(0x20))) & EACH_BYTE(0x80)) == 0;
}

bool lk__is_clean_text(lk_view v)
{
    size_t i = 0;

    while (v.len - i >= 8 && are_plain(v.p + i))
        i += 8;
    if (i > 0 && v.len - i < 8 && are_plain(v.p + v.len - 8)) /* the rest, and a few bytes once more */
        return true;
    while (i < v.len) {
        size_t len = 1;

        if (v.p[i] < 0x20 || v.p[i] == 0x7f)
            return false;
        if (v.p[i] >= 0x80)
            len = take_sequence(lk_view_part(v, i, v.len));
        if (len == 0)
            return false;
        i += len;
    }
    return true;
}

bool lk__is_json_object(lk_view json)
{
    size_t i = 0;

    while (i < json.len && (json.p[i] == ' ' || json.p[i] == '\t' || json.p[i] == '\n' || json.p[i] == '\r'))
        i++;
    return i < json.len && json.p[i] == '{';
}
