/* SPDX-License-Identifier: Apache-2.0
 *
 * explain_inner.h - what explain.c and explain_token.c share. Each function adds steps, and gives whether the
 * gate would go on.
 */
#ifndef LATCHKEY_GUARD_EXPLAIN_INNER_H
#define LATCHKEY_GUARD_EXPLAIN_INNER_H

#include "guard/explain_words.h"
#include "guard/guard_internal.h"

typedef struct lk__explainer {
    lk_guard *g;
    lk_explanation *e;
    const lk_rule *rule;
    lk_identity id; /* what the gate made of it */
    int64_t now_s;
} lk__explainer;

bool lk__explain_cutoffs(lk__explainer *x, const lk_subject *subject);
void lk__explain_user(lk__explainer *x, lk_view user, lk_view name, lk_view realm);
bool lk__explain_token(lk__explainer *x, lk_view text);
bool lk__explain_jwt(lk__explainer *x, lk_view text);

#endif
