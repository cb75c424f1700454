/* SPDX-License-Identifier: Apache-2.0
 *
 * problem.h - the problems the service answers with: one table of stable words.
 */
#ifndef LATCHKEY_SERVICE_PROBLEM_H
#define LATCHKEY_SERVICE_PROBLEM_H

#include <latchkey/json.h>
#include <latchkey/reason.h>

/* Words for requests that could not be served as they were, beside those of lk_reason. Part of the contract
 * with clients (docs/formats/reasons.md): a word is never renamed. */
typedef enum lk__problem {
    LK_PROBLEM_MALFORMED,
    LK_PROBLEM_FORBIDDEN,
    LK_PROBLEM_NOT_FOUND,
    LK_PROBLEM_METHOD_NOT_ALLOWED,
    LK_PROBLEM_NAME_TAKEN,
    LK_PROBLEM_CONFLICT,
    LK_PROBLEM_REVISION_MISMATCH,
    LK_PROBLEM_TOO_LARGE,
    LK_PROBLEM_UNSUPPORTED_MEDIA_TYPE,
    LK_PROBLEM_RULE_BROKEN,
    LK_PROBLEM_INSECURE_TRANSPORT,
    LK_PROBLEM_COUNT
} lk__problem;

typedef struct lk__problem_info {
    const char *word;  /* "too_large": `reason`, and the end of `type` */
    const char *title; /* the same for every occurrence (RFC 9457 section 3.1.3) */
    int status;
} lk__problem_info;

const lk__problem_info *lk__problem_about(lk__problem problem);
/* The title that goes with a reason word. Never NULL. */
const char *lk__reason_title(lk_reason reason);

/* Append one problem document. WORD may be "": then `type` is about:blank. PLACE (may be NULL) adds `line`
 * and `column`. */
void lk__problem_add(lk_buf *out, int status, const char *word, const char *title, lk_view detail,
                     const lk_json_place *place);

#endif
