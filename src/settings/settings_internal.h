/* SPDX-License-Identifier: Apache-2.0
 *
 * settings_internal.h - one row per setting, shared by the table and the code that applies it.
 */
#ifndef LATCHKEY_SETTINGS_INTERNAL_H
#define LATCHKEY_SETTINGS_INTERNAL_H

#include <latchkey/settings.h>

/* How the words after a setting's name are read. */
typedef enum lk_value_type {
    LK_VALUE_NONE = 0, /* an unused place of a row */
    LK_VALUE_TEXT,     /* NUL-terminated text of at most `max` bytes with it */
    LK_VALUE_DURATION, /* int64 seconds, min..max */
    LK_VALUE_COUNT,    /* uint32, min..max */
    LK_VALUE_SIZE,     /* uint64 bytes, min..max */
    LK_VALUE_SWITCH,   /* bool: on, off */
    LK_VALUE_SAMESITE,
    LK_VALUE_VICTIM,
    LK_VALUE_ALG,
    LK_VALUE_RATE,  /* "10/15m": a uint32 at the offset and an int64 of seconds at offset2 */
    LK_VALUE_WORDS, /* any number of words, kept with blanks between them in a text */
    LK_VALUE_ORIGINS,
    LK_VALUE_SECRET, /* as LK_VALUE_TEXT, and only by file: or env: */
    LK_VALUE_SOURCE, /* a text as LK_VALUE_TEXT; file:PATH stays what it is */
    LK_VALUE_ALGS    /* names of algorithms with commas between them: a uint32 of bits */
} lk_value_type;

/* One value: a positional word (name NULL) or an option `name=value`. */
typedef struct lk_value_row {
    const char *name;
    lk_value_type type;
    size_t offset, offset2;
    int64_t min, max;
} lk_value_row;

#define LK_VALUES_MAX 16

/* A setting that may be given MAX times: the offsets of its values are those in one element of an array. The
 * default of the row is where every element begins. */
typedef struct lk_repeat {
    const char *name;
    size_t array, size; /* where the array is, and how long an element */
    size_t count;       /* where the number of elements is, a uint32 */
    uint32_t max;
    lk_status (*finish)(void *element, lk_note *note); /* all words of one are there */
} lk_repeat;

typedef struct lk_setting_row {
    lk_setting shown;
    lk_value_row values[LK_VALUES_MAX];
} lk_setting_row;

extern const lk_setting_row lk__setting_rows[];
extern const size_t lk__setting_rows_n;

/* How often ROW may be given; NULL: once. */
const lk_repeat *lk__repeat_of(const lk_setting_row *row);

/* Read TEXT as ROW says into BASE, the settings or the element that the offsets are of. LK_OK,
 * or LK_REFUSED with what was expected. */
LK_CHECKED lk_status lk__value_set(void *base, const lk_value_row *row, lk_view text, lk_note *note);

/* limit.c: the rules of latchkey_limit. */
LK_CHECKED lk_status lk__limit_check(const lk_settings *s, lk_note *note);

/* Replace `file:PATH` and `env:NAME` by what they stand for (in BUF); other words are given back as they are.
 * LK_OK; LK_REFUSED when the file is readable by everybody, the value is too long or holds a control
 * character, or the variable is not set; LK_FAULT when the file cannot be read. The note never shows the
 * value. */
LK_CHECKED lk_status lk__value_resolve(lk_view word, lk_buf *buf, lk_view *out, lk_note *note);

/* trust.c: the realm of an issuer that was given none, and what it lacks. */
LK_CHECKED lk_status lk__trust_finish(void *element, lk_note *note);
/* Rules over all of latchkey_trust. */
LK_CHECKED lk_status lk__trust_check(const lk_settings *s, lk_note *note);

#endif
