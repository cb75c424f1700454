/* SPDX-License-Identifier: Apache-2.0
 *
 * check_inner.h - what the files share by which a request is checked.
 */
#ifndef LATCHKEY_GUARD_CHECK_INNER_H
#define LATCHKEY_GUARD_CHECK_INNER_H

#include "guard/trust_internal.h"

/* One check on its way. */
typedef struct lk__attempt {
    lk_guard *g;
    const lk_presented *presented;
    const lk_rule *rule;
    const lk_question *answer; /* NULL the first time */
    lk_question *question;
    lk_identity *out;
    int64_t now_s, mono_ms; /* of this check: a clock is asked once */
    bool by_dpop;           /* the credential came as one that is bound to a key */
    lk__moment moment;      /* what the decision will stand on */
    bool lasts;             /* and it may be made once for all of this second */
    bool asks;              /* the question has to be answered first */
    bool view_lags;         /* and by the rule nothing may be decided on it */
    bool view_lost;         /* it was asked for, and could not be had */
    bool keeps_cookie;      /* refused, and yet not for good */
    bool by_stale;          /* decided on what was known before, by latchkey_on_unknown */
    bool no_record;         /* there is no session, but one may be made (API keys) */
} lk__attempt;

/* ---- presented.c ---- */

/* Text that may be a credential, and where it rode. */
typedef struct lk__candidate {
    lk_view text;
    lk_carrier carrier;
    bool by_dpop; /* as one that is bound to a key */
} lk__candidate;

/* The one candidate of the request; ROOM (LK_SEALED_MAX) takes a cookie that came in pieces. LK_OK; LK_MISS:
 * there is none; LK_REFUSED with *why: something that cannot be told apart or rides where this location does
 * not take it. */
LK_CHECKED lk_status lk__candidate_find(const lk_guard *g, const lk_presented *p, unsigned carriers,
                                        lk_buf *room, lk__candidate *out, unsigned *pieces, bool *twice,
                                        lk_reason *why);

/* Is BIT in MASK? An empty mask allows all. */
static inline bool lk__mask_allows(unsigned mask, unsigned bit)
{
    return mask == 0 || (mask & (1u << bit)) != 0;
}

/* ---- check_session.c, check_token.c: who TEXT is, by its kind ---- */

/* LK_OK: a->out is filled. LK_REFUSED, LK_STALE: it is no good, a->out->reason says why. LK_FAULT: nobody
 * could look. LK_MISS with a->asks: a->question has to be answered first. */
LK_CHECKED lk_status lk__check_session_id(lk__attempt *a, lk_view text);
/* As lk__check_session_id. A key that was not made here is refused on the spot. It is never taken from where
 * browsers keep things, or from a path. */
LK_CHECKED lk_status lk__check_api_key(lk__attempt *a, lk_view text);
/* A session in the client, as lk__check_session_id: all there is to know of it is in TEXT, but for what was
 * revoked since. */
LK_CHECKED lk_status lk__check_sealed(lk__attempt *a, lk_view text);
/* A simple token or a JWT, as lk__check_session_id. */
LK_CHECKED lk_status lk__check_token(lk__attempt *a, lk_kind kind, lk_view text);

/* ---- check.c: what every kind needs ---- */

/* False, and the credential is refused: one of them does not fit. An identity is never cut. */
LK_CHECKED bool lk__identity_name(lk_identity *out, lk_view user, lk_view name, lk_view realm, lk_view roles,
                                  lk_view scope, lk_view device);
/* The thumbprint of the key that a token is bound to; empty: none. */
LK_CHECKED bool lk__identity_bind(lk_identity *out, lk_view jkt);
/* How old may the knowledge be that stands in for an answer that cannot be had? 0: there is none. */
int64_t lk__attempt_stale_ms(const lk__attempt *a);
/* May a credential that carries all there is to know be decided on the view of the cut-offs there is? LK_OK;
 * LK_FAULT; LK_MISS with a->asks. */
LK_CHECKED lk_status lk__attempt_trust_view(lk__attempt *a);
/* Was it refused (STATUS) because nobody here knows the key that it names, and is that worth a question? It
 * may be a new one, whose file has not been seen yet. */
bool lk__attempt_asks_for_key(lk__attempt *a, lk_status status);

/* ---- verdict.c ---- */

/* Nobody is named in OUT any more; why stays. */
void lk__identity_forget(lk_identity *out);
/* What RULE makes of STATUS, which is how the check of OUT ended. */
lk_verdict lk__verdict_make(const lk_rule *rule, lk_status status, int64_t now_s, lk_identity *out);
void lk__verdict_count(lk_guard *g, const lk_identity *out);

#endif
