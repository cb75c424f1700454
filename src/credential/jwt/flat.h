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
    LK__FLAT_MEMBER, /* *item is filled; strings are UTF-8, lists hold strings only */
    LK__FLAT_END,    /* the object and the text end here: it was JSON, but for names that may repeat */
    LK__FLAT_UNKNOWN /* not flat, or no JSON: ask lk_json_check. Do not call next again */
} lk__flat_answer;

lk__flat lk__flat_start(lk_view text);
lk__flat_answer lk__flat_next(lk__flat *flat, lk_json_item *item);

#endif
