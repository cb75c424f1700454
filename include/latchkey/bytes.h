/* SPDX-License-Identifier: Apache-2.0
 *
 * bytes.h - borrowed bytes (lk_view) and bounded buffers (lk_buf).
 */
#ifndef LATCHKEY_BYTES_H
#define LATCHKEY_BYTES_H

#include <latchkey/status.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Bytes that belong to somebody else. A view is good for the call it is passed to, unless the function says
 * otherwise. p may be NULL only when len is 0. Not NUL-terminated. */
typedef struct lk_view {
    const uint8_t *p;
    size_t len;
} lk_view;

/* A string literal as a view, without strlen. */
#define LK_VIEW(literal) ((lk_view){(const uint8_t *)("" literal), sizeof(literal) - 1})

static inline lk_view lk_view_make(const void *p, size_t len)
{
    return (lk_view){(const uint8_t *)p, len};
}

/* A view of a NUL-terminated string; NULL gives the empty view. */
lk_view lk_view_of(const char *text);

/* Equal bytes. NOT constant time: never for secrets, see lk_secret_equal in secret.h. */
bool lk_view_equal(lk_view a, lk_view b);

/* Equal but for the case of ASCII letters. Not constant time. */
bool lk_view_equal_nocase(lk_view a, lk_view b);

/* The first byte C in V as an index, or V.len when there is none. */
size_t lk_view_find(lk_view v, uint8_t c);

/* V from OFFSET on, at most LEN bytes; clamped, never out of range. */
lk_view lk_view_part(lk_view v, size_t offset, size_t len);

/* V without leading and trailing spaces and tabs. */
lk_view lk_view_trim(lk_view v);

/* Does the space-separated list LIST hold WORD? Used for roles and scopes: order-free, case-sensitive. An
 * empty WORD is in no list. Source: RFC 6749 section 3.3. */
bool lk_words_have(lk_view list, lk_view word);

/* Does LIST hold every word of WANTED? True when WANTED has none. */
bool lk_words_have_every(lk_view list, lk_view wanted);

/* Take the next space-separated word off the front of *LIST. Gives false when there is none left. */
bool lk_words_next(lk_view *list, lk_view *word);

/* A decimal number without sign, blanks or leading zeros ("0" itself is fine).
 * Gives LK_OK; LK_REFUSED for anything else or a value above INT64_MAX. */
LK_CHECKED lk_status lk_parse_i64(lk_view text, int64_t *out);

/* A length of time: decimal number and one of s, m, h, d ("30m"); a bare number is seconds.
 * Gives LK_OK; LK_REFUSED for anything else, or above 100 years. */
LK_CHECKED lk_status lk_parse_duration_s(lk_view text, int64_t *out);

/* A size in bytes: decimal number and an optional k, m or g (powers of 1024).
 * Gives LK_OK; LK_REFUSED for anything else, or above 2^50. */
LK_CHECKED lk_status lk_parse_size(lk_view text, uint64_t *out);

/* A buffer over memory of the caller, with its ceiling set at creation. Once an add does not fit, `full`
 * stays true, nothing of that add or of a later one is written, and one check at the end is enough. */
typedef struct lk_buf {
    uint8_t *p;
    size_t len;
    size_t cap;
    bool full;
} lk_buf;

lk_buf lk_buf_over(void *memory, size_t cap);
void lk_buf_add(lk_buf *b, lk_view v);
void lk_buf_add_text(lk_buf *b, const char *text);
void lk_buf_add_byte(lk_buf *b, uint8_t byte);
void lk_buf_add_i64(lk_buf *b, int64_t value); /* decimal */
void lk_buf_add_printf(lk_buf *b, const char *format, ...) LK_PRINTF(2, 3);
lk_view lk_buf_view(const lk_buf *b);
/* LK_OK, or LK_FULL when any add did not fit. */
LK_CHECKED lk_status lk_buf_status(const lk_buf *b);
/* NUL-terminate in place (the NUL is not counted) and give the text; NULL when full or no room. */
const char *lk_buf_text(lk_buf *b);

#ifdef __cplusplus
}
#endif
#endif
