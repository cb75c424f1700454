/* SPDX-License-Identifier: Apache-2.0
 *
 * base64url_quick.c - base64url by SSSE3, which every x86-64 processor since 2006 has and no
 * compiler may assume. A third of the time of the portable way; a token check spends most of its time outside
 * of SHA-256 here.
 *
 * The two tables are registers, looked up by the halves of a character: like the portable way, this tells a
 * neighbour on the same core nothing about the characters.
 */
#include "base/base64url_quick.h"
#include <latchkey/secret.h>
#include <string.h>

/* LK_BASE64URL_PORTABLE: how the tests reach the other way on this processor. */
#if defined(__x86_64__) && !defined(LK_BASE64URL_PORTABLE)
#include <immintrin.h>

#define BLOCK_CHARS 16
#define BLOCK_BYTES 12
#define NEEDED_CHARS 24 /* 18 bytes: a block is written as 16 bytes, of which 12 count */

/* Which characters are in the alphabet depends on both halves: a class of upper halves, and per lower half
 * the classes in which it is wrong. */
enum { DASH = 1, DIGIT = 2, FROM_ONE = 4, UPPER_END = 8, LOWER_END = 16, NEVER = 32 };

__attribute__((target("ssse3"))) static __m128i wrong_in(__m128i low, __m128i high)
{
    const __m128i classes = _mm_setr_epi8(NEVER, NEVER, DASH, DIGIT, FROM_ONE, UPPER_END, FROM_ONE, LOWER_END,
                                          NEVER, NEVER, NEVER, NEVER, NEVER, NEVER, NEVER, NEVER);
    enum { ALL = DASH | NEVER, AFTER_9 = ALL | DIGIT, AFTER_A = AFTER_9 | LOWER_END | UPPER_END };
    const __m128i refuses =
        _mm_setr_epi8(ALL | FROM_ONE, ALL, ALL, ALL, ALL, ALL, ALL, ALL, ALL, ALL, AFTER_9, AFTER_A, AFTER_A,
                      AFTER_A - DASH, AFTER_A, AFTER_A - UPPER_END);

    return _mm_and_si128(_mm_shuffle_epi8(classes, high), _mm_shuffle_epi8(refuses, low));
}

/* The six bits each character stands for: a step that depends on the upper half, and '_' has one of its own.
 */
__attribute__((target("ssse3"))) static __m128i sextets_of(__m128i c, __m128i high)
{
    const __m128i steps =
        _mm_setr_epi8(0, 0, 62 - '-', 52 - '0', -'A', -'A', 26 - 'a', 26 - 'a', 0, 0, 0, 0, 0, 0, 0, 0);
    __m128i line = _mm_and_si128(_mm_cmpeq_epi8(c, _mm_set1_epi8('_')), _mm_set1_epi8(63 - '_' + 'A'));

    return _mm_add_epi8(_mm_add_epi8(c, _mm_shuffle_epi8(steps, high)), line);
}

/* Decode the block at IN into the first 12 of the 16 bytes at OUT. Gives what was wrong with it, lane by
 * lane, zero where nothing was. */
__attribute__((target("ssse3"))) static inline __m128i decode_block(const uint8_t *in, uint8_t *out)
{
    const __m128i half = _mm_set1_epi8(0x0f);
    const __m128i order = _mm_setr_epi8(2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1);
    __m128i c = _mm_loadu_si128((const __m128i *)(const void *)in);
    __m128i high = _mm_and_si128(_mm_srli_epi32(c, 4), half);
    __m128i v = sextets_of(c, high);

    v = _mm_maddubs_epi16(v, _mm_set1_epi32(0x01400140)); /* two times six bits to twelve */
    v = _mm_madd_epi16(v, _mm_set1_epi32(0x00011000));    /* two times twelve to twenty-four */
    _mm_storeu_si128((__m128i *)(void *)out, _mm_shuffle_epi8(v, order));
    return wrong_in(_mm_and_si128(c, half), high);
}

/* The last fewer than NEEDED_CHARS characters, filled up with the character of six zero bits. The bits of a
 * short group beyond its last whole byte come out in the next byte, and must be zero. */
__attribute__((target("ssse3"))) static __m128i decode_rest(lk_view text, uint8_t *out, bool *exact)
{
    uint8_t room[2 * BLOCK_CHARS + 2 * BLOCK_CHARS], *bytes = room + 2 * BLOCK_CHARS;
    size_t len = text.len / 4 * 3 + (text.len % 4 > 0 ? text.len % 4 - 1 : 0);
    __m128i seen;

    memset(room, 'A', 2 * BLOCK_CHARS);
    memcpy(room, text.p, text.len);
    seen = decode_block(room, bytes);
    seen = _mm_or_si128(seen, decode_block(room + BLOCK_CHARS, bytes + BLOCK_BYTES));
    memcpy(out, bytes, len);
    *exact = text.len % 4 == 0 || bytes[len] == 0;
    lk_wipe(room, sizeof(room));
    return seen;
}

__attribute__((target("ssse3"))) static bool decode(lk_view text, uint8_t *out)
{
    __m128i seen = _mm_setzero_si128();
    bool is_exact = true;
    size_t at = 0;

    for (; text.len - at >= NEEDED_CHARS; at += BLOCK_CHARS, out += BLOCK_BYTES)
        seen = _mm_or_si128(seen, decode_block(text.p + at, out));
    if (at < text.len)
        seen = _mm_or_si128(seen, decode_rest(lk_view_make(text.p + at, text.len - at), out, &is_exact));
    return _mm_movemask_epi8(_mm_cmpeq_epi8(seen, _mm_setzero_si128())) == 0xffff && is_exact;
}

bool lk__base64url_decode_quick(lk_view text, uint8_t *out, bool *right)
{
    if (!__builtin_cpu_supports("ssse3"))
        return false;
    *right = decode(text, out);
    return true;
}

/* Where the characters of the block at P are outside of the alphabet: a bit each. *DOTS: where they are dots.
 */
__attribute__((target("ssse3"))) static inline unsigned wrong_at(const uint8_t *p, unsigned *dots)
{
    const __m128i half = _mm_set1_epi8(0x0f);
    __m128i c = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i wrong = wrong_in(_mm_and_si128(c, half), _mm_and_si128(_mm_srli_epi32(c, 4), half));

    *dots = (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(c, _mm_set1_epi8('.')));
    return (unsigned)_mm_movemask_epi8(_mm_cmpeq_epi8(wrong, _mm_setzero_si128())) ^ 0xffff;
}

/* The alphabet of token68 in the same way: `+-./` among the upper halves of 2, `_` and `~` at the ends. */
__attribute__((target("ssse3"))) static inline __m128i not_token68(__m128i c)
{
    enum { MARK = DASH, NO_MARK = NEVER | MARK, PAST_9 = NEVER | DIGIT, LETTER_END = UPPER_END | LOWER_END };
    const __m128i half = _mm_set1_epi8(0x0f);
    const __m128i classes = _mm_setr_epi8(NEVER, NEVER, MARK, DIGIT, FROM_ONE, UPPER_END, FROM_ONE, LOWER_END,
                                          NEVER, NEVER, NEVER, NEVER, NEVER, NEVER, NEVER, NEVER);
    const __m128i refuses =
        _mm_setr_epi8(NO_MARK | FROM_ONE, NO_MARK, NO_MARK, NO_MARK, NO_MARK, NO_MARK, NO_MARK, NO_MARK,
                      NO_MARK, NO_MARK, NO_MARK | PAST_9, PAST_9 | LETTER_END, NO_MARK | PAST_9 | LETTER_END,
                      PAST_9 | LETTER_END, PAST_9 | UPPER_END, PAST_9 | LOWER_END);

    return _mm_and_si128(_mm_shuffle_epi8(classes, _mm_and_si128(_mm_srli_epi32(c, 4), half)),
                         _mm_shuffle_epi8(refuses, _mm_and_si128(c, half)));
}

__attribute__((target("ssse3"))) static bool is_token68(lk_view v)
{
    uint8_t rest[BLOCK_CHARS];
    __m128i wrong;
    size_t at = 0;

    memset(rest, 'A', sizeof(rest));
    if (v.len % BLOCK_CHARS > 0)
        memcpy(rest, v.p + v.len / BLOCK_CHARS * BLOCK_CHARS, v.len % BLOCK_CHARS);
    wrong = not_token68(_mm_loadu_si128((const __m128i *)(const void *)rest));
    for (; v.len - at >= BLOCK_CHARS; at += BLOCK_CHARS)
        wrong = _mm_or_si128(wrong, not_token68(_mm_loadu_si128((const __m128i *)(const void *)(v.p + at))));
    return _mm_movemask_epi8(_mm_cmpeq_epi8(wrong, _mm_setzero_si128())) == 0xffff;
}

bool lk__is_token68_quick(lk_view v, bool *right)
{
    if (!__builtin_cpu_supports("ssse3"))
        return false;
    *right = is_token68(v);
    return true;
}

__attribute__((target("ssse3"))) static size_t split(lk_view text, lk_view *parts, size_t max, bool *right)
{
    uint8_t rest[BLOCK_CHARS];
    size_t n = 0, from = 0;
    unsigned wrong = 0;

    memset(rest, 'A', sizeof(rest));
    if (text.len % BLOCK_CHARS > 0)
        memcpy(rest, text.p + text.len / BLOCK_CHARS * BLOCK_CHARS, text.len % BLOCK_CHARS);
    for (size_t at = 0; at < text.len; at += BLOCK_CHARS) {
        unsigned dots;

        wrong |= wrong_at(text.len - at >= BLOCK_CHARS ? text.p + at : rest, &dots) & ~dots;
        for (; dots != 0 && n < max; dots &= dots - 1) {
            size_t dot = at + (size_t)__builtin_ctz(dots);

            parts[n++] = lk_view_make(text.p + from, dot - from);
            from = dot + 1;
        }
        if (dots != 0)
            return max + 1;
    }
    *right = wrong == 0;
    if (n == max)
        return max + 1;
    parts[n++] = lk_view_make(text.p + from, text.len - from);
    return n;
}

bool lk__base64url_split_quick(lk_view text, lk_view *parts, size_t max, size_t *n, bool *right)
{
    if (!__builtin_cpu_supports("ssse3"))
        return false;
    *right = false;
    *n = split(text, parts, max, right);
    return true;
}

#else

bool lk__base64url_decode_quick(lk_view text, uint8_t *out, bool *right)
{
    (void)text;
    (void)out;
    *right = false;
    return false;
}

bool lk__base64url_split_quick(lk_view text, lk_view *parts, size_t max, size_t *n, bool *right)
{
    (void)text;
    (void)parts;
    (void)max;
    *n = 0;
    *right = false;
    return false;
}

bool lk__is_token68_quick(lk_view v, bool *right)
{
    (void)v;
    *right = false;
    return false;
}

#endif
