/* SPDX-License-Identifier: Apache-2.0
 *
 * base64url.c - strict base64url without padding, sixteen characters at a time, without tables.
 *
 * Tokens, ids and keys pass through here. A table indexed by a secret tells its cache lines to a neighbour on
 * the same core, so the values of characters are computed: compares and masks on vectors, which every target
 * of gcc and clang has or gets in plain registers. One block is 16 characters for 12 bytes; what is shorter
 * is filled up with 'A', the character of six zero bits.
 */
#include "base/base64url_quick.h"
#include <endian.h>
#include <latchkey/base64url.h>
#include <latchkey/secret.h>
#include <string.h>

#define BLOCK_CHARS 16
#define BLOCK_BYTES 12

typedef uint8_t chars __attribute__((vector_size(BLOCK_CHARS)));
typedef int8_t signed_chars
    __attribute__((vector_size(BLOCK_CHARS))); /* compares of these are one instruction */
typedef uint32_t groups __attribute__((vector_size(BLOCK_CHARS)));

/* 0xff in each lane with LO <= c <= HI. Bytes from 0x80 on are negative here, so in no range. */
static inline chars in_range(chars c, int8_t lo, int8_t hi)
{
    return (chars)(((signed_chars)c >= lo) & ((signed_chars)c <= hi));
}

static inline chars is_alphanumeric(chars c)
{
    return in_range(c | 0x20, 'a', 'z') | in_range(c, '0', '9');
}

/* 0xff for each character of the alphabet. */
static inline chars in_alphabet(chars c)
{
    return is_alphanumeric(c) | (chars)(c == '-') | (chars)(c == '_');
}

/* 0xff for each character that may stand in a token68 before the `=` at its end. */
static inline chars in_token68(chars c)
{
    chars marks = in_range(c, '+', '/') & ~(chars)(c == ',');

    return is_alphanumeric(c) | marks | (chars)(c == '_') | (chars)(c == '~');
}

/* The six bits each character stands for, 0xff for one outside the alphabet. */
static inline chars sextets_of(chars c)
{
    chars upper = in_range(c, 'A', 'Z'), lower = in_range(c, 'a', 'z'), digit = in_range(c, '0', '9');
    chars dash = (chars)(c == '-'), line = (chars)(c == '_');

    return (upper & (c - 'A')) | (lower & (c - ('a' - 26))) | (digit & (c + (52 - '0'))) | (dash & 62) |
           (line & 63) | ~(upper | lower | digit | dash | line);
}

/* The characters of sixteen times six bits: steps of the alphabet, added where a value is beyond them. */
static inline chars characters_of(chars v)
{
    signed_chars s = (signed_chars)v;
    chars c = v + 'A';

    c += (chars)(s > 25) & (uint8_t)('a' - 26 - 'A');
    c += (chars)(s > 51) & (uint8_t)('0' - 52 - ('a' - 26));
    c += (chars)(s > 61) & (uint8_t)('-' - 62 - ('0' - 52));
    c += (chars)(s > 62) & (uint8_t)('_' - 63 - ('-' - 62));
    return c;
}

/* Lanes are counted from the lowest byte below; on a machine with the other order they are turned round. */
static inline groups little_endian(groups g)
{
    for (int i = 0; i < 4; i++)
        g[i] = le32toh(g[i]);
    return g;
}

/* Decode the 16 characters at IN into the 12 bytes at OUT. Gives a vector with a top bit set where a
 * character is outside the alphabet. */
static inline chars decode_block(const uint8_t *in, uint8_t *out)
{
    uint64_t first, second;
    chars v;
    groups g;

    memcpy(&v, in, sizeof(v));
    v = sextets_of(v);
    g = little_endian((groups)v);
    /* Four groups of 24 bits, two to a number: taken out of the vector in registers, not through memory. */
    g = (g & 0x3f) << 18 | (g & 0x3f00) << 4 | (g & 0x3f0000) >> 10 | g >> 24;
    first = htobe64((uint64_t)g[0] << 40 | (uint64_t)g[1] << 16);
    second = htobe64((uint64_t)g[2] << 40 | (uint64_t)g[3] << 16);
    memcpy(out, &first, sizeof(first)); /* six bytes of it count; the next six lie over the others */
    memcpy(out + 6, &second, 6);
    return v;
}

/* The three bytes at IN + 3 * I as a number. Four are read at once: one more at the end or, for the last
 * group of a block, one more in front. */
static inline uint32_t group_at(const uint8_t *in, int i)
{
    uint32_t big;

    memcpy(&big, i < 3 ? in + 3 * i : in + 3 * i - 1, sizeof(big));
    return i < 3 ? be32toh(big) >> 8 : be32toh(big) & 0xffffff;
}

/* Encode the 12 bytes at IN into the 16 characters at OUT. */
static inline void encode_block(const uint8_t *in, uint8_t *out)
{
    groups g = {group_at(in, 0), group_at(in, 1), group_at(in, 2), group_at(in, 3)};
    chars c;

    g = g >> 18 | (g >> 4 & 0x3f00) | (g << 10 & 0x3f0000) | (g << 24 & 0x3f000000);
    c = characters_of((chars)little_endian(g));
    memcpy(out, &c, sizeof(c));
}

void lk_base64url_encode(lk_view v, lk_buf *out)
{
    uint8_t in[BLOCK_BYTES] = {0}, block[BLOCK_CHARS];
    size_t at = 0;

    if (v.len == 0)
        return;
    /* len * 4 cannot overflow once it is known that LEN is far below the top. */
    if (out->full || v.len > SIZE_MAX / 8 || LK_BASE64URL_LEN(v.len) > out->cap - out->len) {
        out->full = true;
        return;
    }
    for (; v.len - at >= BLOCK_BYTES; at += BLOCK_BYTES, out->len += BLOCK_CHARS)
        encode_block(v.p + at, out->p + out->len);
    if (at == v.len)
        return;
    memcpy(in, v.p + at, v.len - at);
    encode_block(in, block);
    memcpy(out->p + out->len, block, LK_BASE64URL_LEN(v.len - at));
    out->len += LK_BASE64URL_LEN(v.len - at);
    lk_wipe(in, sizeof(in));
    lk_wipe(block, sizeof(block));
}

/* Is no top bit set in V? */
static bool is_clean(chars v)
{
    uint64_t halves[2];

    memcpy(halves, &v, sizeof(halves));
    return ((halves[0] | halves[1]) & 0x8080808080808080ULL) == 0;
}

/* Bytes for N characters, of which the last group may be short. */
static size_t bytes_of(size_t n)
{
    return n / 4 * 3 + (n % 4 > 0 ? n % 4 - 1 : 0);
}

/* The last N characters, fewer than a block. */
static chars decode_rest(const uint8_t *text, size_t n, uint8_t *out, bool *is_exact)
{
    uint8_t in[BLOCK_CHARS], bytes[BLOCK_BYTES];
    size_t len = bytes_of(n);
    chars v;

    memset(in, 'A', sizeof(in));
    memcpy(in, text, n);
    v = decode_block(in, bytes);
    memcpy(out, bytes, len);
    /* The bits of a short group beyond its last whole byte come out in the next byte. They must be zero, or
     * a value would have several spellings, and a list of refused spellings would miss some. */
    *is_exact = n % 4 == 0 || bytes[len] == 0;
    lk_wipe(in, sizeof(in));
    lk_wipe(bytes, sizeof(bytes));
    return v;
}

/* All of TEXT, block by block. */
static bool decode_all(lk_view text, uint8_t *out)
{
    chars seen = {0};
    bool is_exact = true;
    size_t at = 0;

    for (; text.len - at >= BLOCK_CHARS; at += BLOCK_CHARS, out += BLOCK_BYTES)
        seen |= decode_block(text.p + at, out);
    if (at < text.len)
        seen |= decode_rest(text.p + at, text.len - at, out, &is_exact);
    return is_clean(seen) && is_exact;
}

lk_status lk_base64url_decode(lk_view text, lk_buf *out)
{
    size_t len = bytes_of(text.len);
    uint8_t *o;
    bool right;

    if (text.len % 4 == 1)
        return LK_REFUSED;
    if (out->full || len > out->cap - out->len) {
        out->full = true;
        return LK_FULL;
    }
    if (len == 0)
        return LK_OK;
    o = out->p + out->len;
    if (!lk__base64url_decode_quick(text, o, &right))
        right = decode_all(text, o);
    if (!right)
        return LK_REFUSED;
    out->len += len;
    return LK_OK;
}

/* The last characters of V, which are fewer than a block, filled up with good ones. */
static chars last_chars(lk_view v, size_t at)
{
    uint8_t in[BLOCK_CHARS];
    chars c;

    memset(in, 'A', sizeof(in));
    if (at < v.len)
        memcpy(in, v.p + at, v.len - at);
    memcpy(&c, in, sizeof(c));
    return c;
}

static bool is_alphabet(lk_view v)
{
    chars wrong = {0}, c;
    size_t at = 0;

    for (; v.len - at >= BLOCK_CHARS; at += BLOCK_CHARS) {
        memcpy(&c, v.p + at, sizeof(c));
        wrong |= ~in_alphabet(c);
    }
    return is_clean(wrong | ~in_alphabet(last_chars(v, at)));
}

static bool are_token68(lk_view v)
{
    chars wrong = {0}, c;
    size_t at = 0;

    for (; v.len - at >= BLOCK_CHARS; at += BLOCK_CHARS) {
        memcpy(&c, v.p + at, sizeof(c));
        wrong |= ~in_token68(c);
    }
    return is_clean(wrong | ~in_token68(last_chars(v, at)));
}

bool lk_is_token68(lk_view v)
{
    bool right;

    while (v.len > 0 && v.p[v.len - 1] == '=')
        v.len--;
    if (!lk__is_token68_quick(v, &right))
        right = are_token68(v);
    return v.len > 0 && right;
}

bool lk_is_base64url(lk_view v)
{
    lk_view whole;
    size_t n;
    bool right;

    if (lk__base64url_split_quick(v, &whole, 1, &n, &right))
        return right && n == 1;
    return is_alphabet(v);
}

size_t lk__base64url_split(lk_view text, lk_view *parts, size_t max, bool *right)
{
    size_t n = 0;
    bool more = true;

    if (lk__base64url_split_quick(text, parts, max, &n, right))
        return n;
    *right = true;
    while (more && n < max) {
        size_t end = lk_view_find(text, '.');

        parts[n] = lk_view_make(text.p, end);
        *right = *right && is_alphabet(parts[n]);
        n++;
        more = end < text.len;
        if (more)
            text = lk_view_make(text.p + end + 1, text.len - end - 1);
    }
    return more ? max + 1 : n;
}
