/* SPDX-License-Identifier: Apache-2.0
 *
 * explain.h - why somebody is let in or not: the checks of a credential, one by one, in the order of the
 * gate.
 *
 * For people who look after a gateway: `latchkey explain` and POST /auth/admin/explain. No step holds the
 * credential, a signature or anything else that opens something. docs/explain.md
 */
#ifndef LATCHKEY_EXPLAIN_H
#define LATCHKEY_EXPLAIN_H

#include <latchkey/guard.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum lk_step_answer {
    LK_STEP_SEEN,   /* nothing is decided by it */
    LK_STEP_YES,    /* the check is passed */
    LK_STEP_NO,     /* and here it is not: `why` */
    LK_STEP_UNKNOWN /* could not look */
} lk_step_answer;
const char *lk_step_answer_word(lk_step_answer answer); /* "seen", "yes", "no", "unknown" */

#define LK_STEP_VALUE_MAX 320
typedef struct lk_step {
    const char *name; /* "signature": a word that does not change */
    char value[LK_STEP_VALUE_MAX];
    lk_step_answer answer;
    lk_reason why;
} lk_step;

#define LK_STEPS_MAX 48
typedef struct lk_explanation {
    lk_step steps[LK_STEPS_MAX];
    size_t n;
    lk_verdict verdict; /* of the gate, at this moment */
    lk_reason reason;
    int status; /* HTTP; 0 when there is no request to be answered */
} lk_explanation;

/* What is to be explained. */
typedef struct lk_explain_ask {
    lk_view credential;  /* of any kind, or a refresh token, or what a device holds */
    lk_carrier carrier;  /* url: a session id */
    const lk_rule *rule; /* of the location */
    lk_view address;     /* where it comes from, for API keys that are bound to some; empty: not known */
} lk_explain_ask;
/* What the gate would answer, and every check that leads there. No use is noted by it, no proof used up, no
 * copy and no login ended; the session that stands for an API key in its epoch is made, as by a use. The
 * verdict is that of lk_guard_check; of what the gate takes nowhere (refresh tokens, devices) that of the
 * call that takes it. Blocking. */
void lk_guard_explain(lk_guard *g, const lk_explain_ask *ask, lk_explanation *out);
/* Is TEXT of a shape that is explained by that? */
bool lk_explains(lk_view text);
/* Does it stand on a row of the accounts, so that those are wanted (lk_guard_use_accounts)? */
bool lk_explain_wants_accounts(lk_view text);
/* The same of the session that a store keeps under KEY, whose id nobody here has. */
void lk_guard_explain_session(lk_guard *g, const lk_session_key *key, lk_explanation *out);
/* What the audit log FILE says of the request REQUEST_ID: at most LK_EXPLAIN_AUDIT_MAX bytes from its end are
 * read. LK_OK; LK_MISS when it is not there; LK_FAULT when the file cannot be read. */
#define LK_EXPLAIN_AUDIT_MAX (64 << 20)
LK_CHECKED lk_status lk_explain_request(const lk_env *env, const char *file, lk_view request_id,
                                        lk_explanation *out, lk_note *note);

/* A rule in the words of the directive `latchkey`: "required role=admin scope=orders.read max_age=10m". Views
 * of OUT point into TEXT. LK_OK; LK_REFUSED with the word that is none. */
LK_CHECKED lk_status lk_rule_read(lk_view text, lk_rule *out, lk_note *note);

#ifdef __cplusplus
}
#endif
#endif
