/* SPDX-License-Identifier: Apache-2.0
 *
 * explain_inner.h - what the explain_*.c share. Each function adds steps, and gives whether the gate would go
 * on.
 */
#ifndef LATCHKEY_GUARD_EXPLAIN_INNER_H
#define LATCHKEY_GUARD_EXPLAIN_INNER_H

#include "guard/explain_words.h"
#include "guard/guard_internal.h"
#include <latchkey/trust.h>

typedef struct lk__explainer {
    lk_guard *g;
    lk_explanation *e;
    const lk_rule *rule;
    lk_view address; /* where it is said to come from; empty: from nowhere that is known */
    lk_identity id;  /* what the gate made of it */
    int64_t now_s;
} lk__explainer;

/* ---- explain_session.c: what all kinds have in common ---- */
bool lk__explain_cutoffs(lk__explainer *x, const lk_subject *subject);
void lk__explain_user(lk__explainer *x, lk_view user, lk_view name, lk_view realm);
/* Whose session S is, and what kind of session. */
void lk__explain_holder(lk__explainer *x, const lk_session *s);
bool lk__explain_life(lk__explainer *x, const lk_session *s, int64_t seen_s);
/* Holder, life and cut-offs. */
bool lk__explain_record(lk__explainer *x, const lk_session *s, int64_t seen_s);
/* How near his limits the user of S is. */
void lk__explain_limits(lk__explainer *x, const lk_session *s);
/* The copy that answers for a store on a network, while it is young. */
bool lk__explain_near(lk__explainer *x, const lk_session_key *key);
/* Look up what LOAD asks for; its status says what came of it. */
void lk__explain_load(lk_store *store, lk_load *load);
bool lk__explain_found(lk__explainer *x, const lk_load *load);

/* ---- one for each kind ---- */
bool lk__explain_session_id(lk__explainer *x, lk_view text);
bool lk__explain_sealed(lk__explainer *x, lk_view text);
bool lk__explain_token(lk__explainer *x, lk_view text);
bool lk__explain_jwt(lk__explainer *x, lk_view text);
bool lk__explain_api_key(lk__explainer *x, lk_view text);

/* A JWT whose header says KID and TYP, of the issuer T. */
bool lk__explain_foreign(lk__explainer *x, const lk_trust *t, lk_view text, lk_view kid, lk_view typ);
/* Whose CLAIMS are, what they say beside it, and the times, which were found to be so by STATUS and WHY. */
void lk__explain_claims(lk__explainer *x, const lk_claims *claims);
bool lk__explain_times(lk__explainer *x, const lk_claims *claims, lk_status status, lk_reason why,
                       int64_t leeway_s);
/* The end of a JWT's way: a key that it is bound to. */
bool lk__explain_bond(lk__explainer *x, const lk_claims *claims);

/* What is no credential at the gate, and good for the next one: r1. and d1. texts. */
void lk__explain_refresh(lk__explainer *x, lk_view text);
void lk__explain_device(lk__explainer *x, lk_view text);

/* ---- explain_rule.c: what the location asks for beyond a credential ---- */
bool lk__explain_rule(lk__explainer *x);

#endif
