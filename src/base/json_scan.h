/* SPDX-License-Identifier: Apache-2.0
 *
 * json_scan.h - the pieces of JSON that json_check.c and json_read.c share: strings, escapes, numbers.
 */
#ifndef LATCHKEY_BASE_JSON_SCAN_H
#define LATCHKEY_BASE_JSON_SCAN_H

#include <latchkey/json.h>

/* A position in a text. When a function below gives false, `p` stands where the text is wrong and `wrong`
 * says what is wrong there, for a person. */
typedef struct lk__json_scan {
    const uint8_t *p;
    const uint8_t *end;
    const char *wrong;
    bool escaped; /* the last string held a backslash */
} lk__json_scan;

/* The start of TEXT. An empty view may hold NULL, which no arithmetic may touch, so it gets a place to be. */
static inline lk__json_scan lk__json_scan_of(lk_view text)
{
    const uint8_t *p = text.len > 0 ? text.p : (const uint8_t *)"";

    return (lk__json_scan){.p = p, .end = p + text.len};
}

/* Blanks by RFC 8259 section 2: space, tab, LF, CR and no others. */
static inline bool lk__json_is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static inline void lk__json_skip_blank(lk__json_scan *s)
{
    while (s->p < s->end && lk__json_is_blank(*s->p))
        s->p++;
}

/* Go past the string whose opening quote is at s->p: UTF-8 (RFC 3629), no control characters, known escapes,
 * surrogates in pairs. */
bool lk__json_scan_string(lk__json_scan *s);

/* Go past the number at s->p (RFC 8259 section 6). */
bool lk__json_scan_number(lk__json_scan *s);

/* One unit of the inside of a string at P (before END): an escape, or one raw byte. Writes what it stands for
 * as UTF-8 to OUT and its length to *LEN. Gives the bytes taken from the text, 0 for a bad escape. */
size_t lk__json_unit(const uint8_t *p, const uint8_t *end, uint8_t out[4], size_t *len);

/* The inside of a string, byte by byte, as it is after unescaping. Start with p and end set, the rest zero.
 */
typedef struct lk__json_bytes {
    const uint8_t *p, *end;
    uint8_t unit[4]; /* what the last escape stood for */
    size_t at, len;  /* bytes of it handed out, and all of them */
} lk__json_bytes;

/* The next byte, or -1 at the end or at a bad escape. */
int lk__json_next_byte(lk__json_bytes *b);

/* Do two names as written (without quotes) stand for the same bytes? */
bool lk__json_name_equal(lk_view a, lk_view b);

#endif
