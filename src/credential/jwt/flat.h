/* SPDX-License-Identifier: Apache-2.0
 *
 * flat.h - walk a flat JSON object and prove it well formed in the same pass; private to src/credential/jwt.
 */
#ifndef LATCHKEY_CREDENTIAL_JWT_FLAT_H
#define LATCHKEY_CREDENTIAL_JWT_FLAT_H

#include "base/json_scan.h"

typedef struct lk__flat {
    lk__json_scan scan;
    const uint8_t *at;
    uint8_t open; /* what stands before the next member: the brace, later a comma */
} lk__flat;

typedef enum lk__flat_answer {
    LK__FLAT_MEMBER, /* a member begins at flat->at */
    LK__FLAT_END,    /* the object and the text end here: it was JSON, if all its names were */
    LK__FLAT_UNKNOWN /* not flat, or no JSON: ask lk_json_check */
} lk__flat_answer;

lk__flat lk__flat_start(lk_view text);
lk__flat_answer lk__flat_next(lk__flat *flat);

/* Read the value behind the NAME_LEN bytes of `"name":` at flat->at, which the caller has recognised. Sets
 * value and type of ITEM: a number, a UTF-8 string, or a list of such strings. False when it is anything
 * else. */
bool lk__flat_value(lk__flat *flat, size_t name_len, lk_json_item *item);

/* The next string, without its quotes, of a list that lk__flat_value has read and in which nothing is
 * escaped. Start with *AT = 0. False at the end. */
bool lk__flat_list_next(lk_view list, size_t *at, lk_view *out);

#endif
