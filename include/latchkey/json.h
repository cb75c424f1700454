/* SPDX-License-Identifier: Apache-2.0
 *
 * json.h - a strict reader of JSON text in place: no allocation, no recursion, bounded depth, duplicates
 * refused.
 *
 * It is here because the check of each request may not allocate (docs/decisions/0002-json.md); documents that
 * are built or changed go through jansson, after lk_json_check has accepted the text, so that there is one
 * set of rules.
 */
#ifndef LATCHKEY_JSON_H
#define LATCHKEY_JSON_H

#include <latchkey/bytes.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LK_JSON_DEPTH_MAX 32    /* objects and arrays inside each other */
#define LK_JSON_MEMBERS_MAX 256 /* members of one object */
#define LK_JSON_OPEN_MAX 1024   /* members, up to one place, of all objects around that place together */

typedef enum lk_json_type {
    LK_JSON_NULL,
    LK_JSON_FALSE,
    LK_JSON_TRUE,
    LK_JSON_NUMBER,
    LK_JSON_STRING,
    LK_JSON_ARRAY,
    LK_JSON_OBJECT
} lk_json_type;

/* Where a text is wrong: byte offset, and line and column counted from 1. */
typedef struct lk_json_place {
    size_t offset;
    unsigned line;
    unsigned column;
} lk_json_place;

/* Is TEXT one JSON value by RFC 8259, valid UTF-8, at most LK_JSON_DEPTH_MAX deep, with no member name twice
 * in any object (compared after unescaping), no lone surrogate, and nothing after it? Gives LK_OK; LK_REFUSED
 * with *place and *note set (both may be NULL); LK_FULL, also with *place and *note, when there are more
 * members than LK_JSON_MEMBERS_MAX or LK_JSON_OPEN_MAX. Columns count characters, not bytes. Time is O(len)
 * but for duplicate detection, which is bounded by the member limit. Uses about 25 KiB of stack. */
LK_CHECKED lk_status lk_json_check(lk_view text, lk_json_place *place, lk_note *note);

/* One member of an object or element of an array. `value` is the raw text of the value (with the quotes of a
 * string); `name` is the raw text between the quotes, escapes still in it (empty for array elements). */
typedef struct lk_json_item {
    lk_view name;
    lk_view value;
    lk_json_type type;
} lk_json_item;

/* Walk the top level of an object or array that lk_json_check has accepted. Start with *AT = 0; each call
 * moves *AT and fills *ITEM. Gives false at the end. Undefined (but in bounds) on text that was not checked.
 */
bool lk_json_next(lk_view container, size_t *at, lk_json_item *item);

/* Unescape the string VALUE (with its quotes) into OUT. Gives LK_OK; LK_REFUSED when it is no string;
 * LK_FULL. On anything but LK_OK nothing is appended. */
LK_CHECKED lk_status lk_json_string(lk_view value, lk_buf *out);

/* The raw value of member NAME of a checked object. LK_OK or LK_MISS. */
LK_CHECKED lk_status lk_json_get(lk_view object, lk_view name, lk_json_item *item);

/* A number that is a whole int64 ("12", "-3", "1e3" and "2.0" included). LK_OK; LK_REFUSED for anything else,
 * fractions and values beyond int64 included. */
LK_CHECKED lk_status lk_json_i64(lk_view value, int64_t *out);

/* Append V as a JSON string with its quotes: control characters, quote and backslash escaped, everything else
 * as it is. V must be UTF-8. */
void lk_json_add_string(lk_buf *out, lk_view v);

#ifdef __cplusplus
}
#endif
#endif
