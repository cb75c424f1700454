/* SPDX-License-Identifier: Apache-2.0
 *
 * json_scan.h - the pieces of JSON that json_check.c and json_read.c share: strings, escapes, numbers.
 */
#ifndef LATCHKEY_BASE_JSON_SCAN_H
#define LATCHKEY_BASE_JSON_SCAN_H

#include <latchkey/json.h>

/* A text that is being read. The position goes from function to function as a value, in a register, and not
 * through here: half the time of a check was waiting for its own stores. A function that finds the text wrong
 * gives NULL, and leaves the place and the reason here. */
typedef struct lk__json_scan {
    const uint8_t *end;
    const uint8_t *at; /* where it is wrong */
    const char *wrong; /* what is wrong there, for a person */
    bool escaped;      /* the last string held a backslash */
} lk__json_scan;

/* The first byte of TEXT. An empty view may hold NULL, which no arithmetic may touch, so it gets a place to
 * be. */
static inline const uint8_t *lk__json_start(lk__json_scan *s, lk_view text)
{
    const uint8_t *p = text.len > 0 ? text.p : (const uint8_t *)"";

    *s = (lk__json_scan){.end = p + text.len};
    return p;
}

/* Always NULL, so that it can be returned. */
static inline const uint8_t *lk__json_wrong(lk__json_scan *s, const uint8_t *p, const char *what)
{
    s->at = p;
    s->wrong = what;
    return NULL;
}

/* Is C the next byte? */
static inline bool lk__json_has(const lk__json_scan *s, const uint8_t *p, uint8_t c)
{
    return p < s->end && *p == c;
}

/* Blanks by RFC 8259 section 2: space, tab, LF, CR and no others. */
static inline bool lk__json_is_blank(uint8_t c)
{
    return c <= ' ' && (c == ' ' || c == '\t' || c == '\n' || c == '\r');
}

static inline const uint8_t *lk__json_skip_blank(const lk__json_scan *s, const uint8_t *p)
{
    while (p < s->end && lk__json_is_blank(*p))
        p++;
    return p;
}

/* Past the string whose opening quote is at P, or NULL: UTF-8 (RFC 3629), no control characters, known
 * escapes, surrogates in pairs. */
const uint8_t *lk__json_string_end(lk__json_scan *s, const uint8_t *p);

/* Past the number at P, or NULL (RFC 8259 section 6). */
const uint8_t *lk__json_number_end(lk__json_scan *s, const uint8_t *p);

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
