/* SPDX-License-Identifier: Apache-2.0
 *
 * base64url_quick.c - base64url decoding by SSSE3, which every x86-64 processor since 2006 has and no
 * compiler may assume. A third of the time of the portable way; a token check spends most of its time outside
 * of SHA-256 here.
 *
 * The two tables are registers, looked up by the halves of a character: like the portable way, this tells a
 * neighbour on the same core nothing about the characters.
 */
#include "base/base64url_quick.h"

#ifdef __x86_64__
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

__attribute__((target("ssse3"))) static size_t decode(lk_view text, uint8_t *out, bool *wrong)
{
    const __m128i half = _mm_set1_epi8(0x0f);
    const __m128i order = _mm_setr_epi8(2, 1, 0, 6, 5, 4, 10, 9, 8, 14, 13, 12, -1, -1, -1, -1);
    __m128i seen = _mm_setzero_si128();
    size_t at = 0;

    for (; text.len - at >= NEEDED_CHARS; at += BLOCK_CHARS, out += BLOCK_BYTES) {
        __m128i c = _mm_loadu_si128((const __m128i *)(const void *)(text.p + at));
        __m128i high = _mm_and_si128(_mm_srli_epi32(c, 4), half), v;

        seen = _mm_or_si128(seen, wrong_in(_mm_and_si128(c, half), high));
        v = sextets_of(c, high);
        v = _mm_maddubs_epi16(v, _mm_set1_epi32(0x01400140)); /* two times six bits to twelve */
        v = _mm_madd_epi16(v, _mm_set1_epi32(0x00011000));    /* two times twelve to twenty-four */
        _mm_storeu_si128((__m128i *)(void *)out, _mm_shuffle_epi8(v, order));
    }
    *wrong = _mm_movemask_epi8(_mm_cmpeq_epi8(seen, _mm_setzero_si128())) != 0xffff;
    return at;
}

size_t lk__base64url_decode_quick(lk_view text, uint8_t *out, bool *wrong)
{
    *wrong = false;
    return __builtin_cpu_supports("ssse3") ? decode(text, out, wrong) : 0;
}

#else

size_t lk__base64url_decode_quick(lk_view text, uint8_t *out, bool *wrong)
{
    (void)text;
    (void)out;
    *wrong = false;
    return 0;
}

#endif
