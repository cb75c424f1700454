/* SPDX-License-Identifier: Apache-2.0
 *
 * call.h - one call of the API while it is being answered: what the handlers share.
 */
#ifndef LATCHKEY_SERVICE_CALL_H
#define LATCHKEY_SERVICE_CALL_H

#include "service/accept.h"
#include "service/arena.h"
#include "service/form.h"
#include "service/problem.h"
#include "service/template.h"

#include <latchkey/service.h>

struct lk_service {
    const lk_env *env;
    const lk_settings *settings;
    lk_guard *guard;
    lk_accounts *accounts;
    lk_audit_write audit;
    void *audit_context;
};

typedef struct lk__call lk__call;

enum {
    LK_ROUTE_SLOW = 1,       /* hashes a password */
    LK_ROUTE_CSRF = 2,       /* changes something: must come from our own pages or from no browser */
    LK_ROUTE_LOGIN = 4,      /* for somebody who is logged in */
    LK_ROUTE_BODY = 8,       /* needs a body: a JSON object or a form */
    LK_ROUTE_BARE = 16,      /* nobody is looked up; works while the store is away */
    LK_ROUTE_PAGE = 32,      /* a page whatever Accept says */
    LK_ROUTE_DATA = 64,      /* never a page */
    LK_ROUTE_ABSOLUTE = 128, /* the path does not begin with latchkey_prefix */
    LK_ROUTE_FORM = 256,     /* of the body formats, a form alone */
    LK_ROUTE_OWNER = 512,    /* not for a program that acts for the user: API keys, tokens of OAuth clients */
    LK_ROUTE_RENEW = 4096    /* for who is logged in: a device whose session ended by time is given one */
};

typedef struct lk__route {
    const char *method;
    const char *path; /* behind the prefix; a last segment of `{}` stands for any one segment */
    void (*handle)(lk__call *c);
    /* The page with the form of this route, to be shown again with the problem WORD; NULL: the problem gets a
     * page of its own. */
    void (*again)(lk__call *c, int status, const char *word, lk_view detail);
    unsigned flags;
} lk__route;

typedef enum lk__body_kind { LK_BODY_NONE, LK_BODY_JSON, LK_BODY_FORM } lk__body_kind;

struct lk__call {
    lk_service *s;
    const lk_request *req;
    lk_response *res;
    lk__arena *arena;
    const lk__route *route; /* NULL while there is none */
    lk_presented presented; /* of req, and what was handed out since */
    lk_identity *id;        /* who asks; in the response */
    lk_view param;          /* what stood for {} in the path */
    lk__form query;
    lk__body_kind body_kind;
    lk__form form;                      /* of a form body */
    const struct lk__device_plan *plan; /* the device that is answered about; NULL: none */
    bool page;                          /* a browser asks: answer with pages and redirects */
    bool unavailable; /* answered with 503 already: a page that fails to say so gives way to a document */
    lk__language language;
    int64_t now_ms;
};

/* ---- routes.c ---- */

/* The route for METHOD and PATH. LK_OK; LK_MISS for a path that is none of ours; LK_REFUSED for another
 * method, with the methods that are there appended to ALLOW. PARAM receives what {} stood for. HEAD finds
 * the route of GET. */
LK_CHECKED lk_status lk__route_find(const lk_settings *settings, lk_view method, lk_view path,
                                    const lk__route **out, lk_view *param, lk_buf *allow);
/* Route number INDEX, or NULL past the end. */
const lk__route *lk__route_at(size_t index);

/* ---- body.c: what came in ---- */

/* Read the body as the route wants it. False when it is not so: then the call is answered. */
bool lk__body_read(lk__call *c);
/* The text NAME of the body. LK_OK; LK_MISS (absent or null); LK_REFUSED (no string, or given twice). */
LK_CHECKED lk_status lk__body_text(lk__call *c, lk_view name, lk_view *out);
/* The same, but answers 422 itself and gives false on anything but LK_OK. */
bool lk__body_need(lk__call *c, lk_view name, lk_view *out);
/* The words NAME of the body, with a blank between them: one text, or (JSON) an array of words. Empty when
 * absent. False when it is neither: then the call is answered with 422. */
bool lk__body_words(lk__call *c, const char *name, lk_view *out);
/* LK_OK; LK_MISS; LK_REFUSED when it is neither true nor false. A ticked box of a form is true. */
LK_CHECKED lk_status lk__body_flag(lk__call *c, lk_view name, bool *out);
/* The raw JSON object NAME of the body. LK_OK; LK_MISS; LK_REFUSED. */
LK_CHECKED lk_status lk__body_object(lk__call *c, lk_view name, lk_view *out);
/* Check the request body as JSON; answers 400 with the place itself and gives false when it is none. */
bool lk__body_is_json(lk__call *c);
/* The text NAME of the query, empty when absent or given twice. */
lk_view lk__query_text(const lk__call *c, lk_view name);

/* ---- answer.c: what goes out ---- */

/* Add a header. VALUE must live as long as the response: a literal or in the arena. */
void lk__answer_header(lk__call *c, const char *name, lk_view value);
/* Set a cookie; one of the same name that was set before in this call is replaced. False (and the call is
 * answered with 503) when it cannot be written. */
struct lk__cookie;
bool lk__answer_cookie(lk__call *c, const struct lk__cookie *cookie);
/* The cookie that carries ISSUED, or its removal. LK_OK; LK_REFUSED; LK_FULL. */
LK_CHECKED lk_status lk__answer_session_cookie(lk__call *c, const lk_issued *issued);
/* The visitor's credential changed (ISSUED->len > 0, see lk_guard_change): the rest of this call goes by the
 * new one. Its cookie is set. */
LK_CHECKED lk_status lk__answer_again(lk__call *c, const lk_issued *issued);
/* Status and body; a buffer that ran full becomes a 503. BODY lives in the arena. */
void lk__answer(lk__call *c, int status, const char *content_type, const lk_buf *body);
void lk__answer_empty(lk__call *c, int status);
void lk__answer_redirect(lk__call *c, int status, lk_view location);
void lk__answer_problem(lk__call *c, lk__problem problem, lk_view detail);
void lk__answer_malformed(lk__call *c, const lk_json_place *place, lk_view detail);
/* A refusal with a reason: 401 (with its challenge), 403, 429 or 503. Empty DETAIL: the reason's sentence. */
void lk__answer_reason(lk__call *c, int status, lk_reason reason, lk_view detail);
/* Nobody is logged in, for the reason the check gave. */
void lk__answer_unauthorized(lk__call *c);
/* Could not look: 503 store_unavailable with Retry-After. */
void lk__answer_unavailable(lk__call *c);
/* What every answer has: no-store, nosniff, HSTS, Vary, and the removal of a cookie that is over. */
void lk__answer_finish(lk__call *c);
void lk__answer_retry_after(lk__call *c, int64_t seconds);
/* The prefix and PATH, in the arena. */
lk_view lk__path(lk__call *c, const char *path);

/* ---- csrf.c ---- */

/* The token for a form on a page: bound to the session, or to a mark that is set in a cookie of its own.
 * False when it could not be made; then the call is answered. */
bool lk__form_token(lk__call *c, lk_view *out);
/* Is the change asked for by our own pages, or by no browser at all? False: the call is answered. */
bool lk__csrf_accept(lk__call *c);

/* ---- page.c ---- */

/* Render the template NAME over SCOPE, which must have room for what every page shows. */
void lk__page(lk__call *c, int status, const char *name, lk__scope *scope);
/* A page that says what went wrong. */
void lk__page_problem(lk__call *c, int status, const char *word, lk_view detail);
/* The text for "problem.WORD" in the language of the call, or DETAIL. */
lk_view lk__page_problem_text(const lk__call *c, const char *word, lk_view detail);
/* Show SENTENCE, that says which rule is broken, as the detail of the error: in the language of the call if
 * its catalogue has it. */
void lk__page_rule(lk__call *c, lk_view sentence, lk__scope *scope);
lk__language lk__page_language(const lk__call *c);
/* Remember a language chosen by ?lang= in a cookie. */
void lk__page_keep_language(lk__call *c);
/* The return URL that came along, checked; empty when there is none or it is no place of ours. */
lk_view lk__page_return(lk__call *c);
/* PATH behind the prefix, with ?return=RETURN when that is not empty. */
lk_view lk__page_link(lk__call *c, const char *path, lk_view return_to);

/* ---- issue.c ---- */

typedef struct lk__issue {
    const lk_user *user;
    lk_kind kind;
    lk_carrier carrier;
    bool remember;
    lk_view device;
    lk_view device_class;
    lk_view scope;
    lk_view bound;                /* the thumbprint of the key a JWT is bound to; empty: it is not */
    struct lk__device_plan *plan; /* what is done about the device; NULL: nothing (devices.h) */
    bool recheck;                 /* refuse if the account was changed while the credential was being made */
} lk__issue;

/* May a credential be handed out on this connection? False: the call is answered (422). */
bool lk__issue_is_safe(lk__call *c);
/* Make a session for WANT and answer: cookie or token, then JSON or the redirect to RETURN_TO. False when
 * nothing was issued: then the call is answered with the problem. */
bool lk__issue_and_answer(lk__call *c, const lk__issue *want, lk_view return_to);
/* Answer with USER and what he was ISSUED; its token is in the body, with its refresh token, IN_BODY alone.
 */
void lk__answer_issued(lk__call *c, const lk_user *user, const lk_issued *issued, bool in_body);
/* A new session for the one who asks, in place of his, with its fields, in a cookie. LK_OK; LK_FULL;
 * LK_FAULT. */
LK_CHECKED lk_status lk__issue_again(lk__call *c);
/* User-Agent as it is kept: visible ASCII, bounded. */
lk_view lk__agent_kept(lk__call *c);
void lk__json_user(lk_buf *out, lk_view id, lk_view name, lk_view roles);

/* ---- proof.c ---- */

/* The DPoP proof of a call that asks for a token (RFC 9449 section 5): checked, and used up in the name of BY
 * (a user id, a client id). *JKT, in the arena, is what the token is to be bound to. LK_OK; LK_MISS when none
 * came; LK_REFUSED with c->id->reason, c->id->proof; LK_FULL; LK_FAULT. Answers nothing. */
LK_CHECKED lk_status lk__proof_read(lk__call *c, lk_view by, lk_view *jkt);
/* A nonce for whoever needs one (RFC 9449 section 8). Without one the client cannot go on, and is told so. */
void lk__answer_nonce(lk__call *c);
/* The answer to STATUS, not LK_OK and not LK_MISS, of that: a problem document. */
void lk__answer_proof(lk__call *c, lk_status status);

/* ---- audit.c ---- */
void lk__audit(lk__call *c, const char *event, lk_reason reason, int status, lk_view user,
               const lk_identity *identity);
/* A keyed hash of a login name: names of failed logins are often passwords typed into the wrong field. */
lk_view lk__audit_name(lk__call *c, lk_view name);

/* ---- the handlers, one file per group ---- */
void lk__login(lk__call *c);
void lk__login_page(lk__call *c);
void lk__login_again(lk__call *c, int status, const char *word, lk_view detail);
void lk__register(lk__call *c);
void lk__register_page(lk__call *c);
void lk__register_again(lk__call *c, int status, const char *word, lk_view detail);
void lk__logout(lk__call *c);
void lk__logout_page(lk__call *c);
void lk__refresh(lk__call *c);
void lk__session_get(lk__call *c);
void lk__data_get(lk__call *c);
void lk__data_patch(lk__call *c);
void lk__sessions_get(lk__call *c);
void lk__sessions_end_others(lk__call *c);
void lk__sessions_post(lk__call *c);
void lk__sessions_others_page(lk__call *c);
void lk__session_page(lk__call *c);
void lk__session_end(lk__call *c);
void lk__password(lk__call *c);
void lk__password_page(lk__call *c);
void lk__password_again(lk__call *c, int status, const char *word, lk_view detail);
void lk__account_page(lk__call *c);
void lk__home(lk__call *c);
void lk__change_password(lk__call *c);
void lk__jwks(lk__call *c);
void lk__admin_explain(lk__call *c);
void lk__auth_request(lk__call *c);
void lk__forward_auth(lk__call *c);
void lk__health_live(lk__call *c);
void lk__health_ready(lk__call *c);
void lk__metrics(lk__call *c);
void lk__asset(lk__call *c);
void lk__api_keys_get(lk__call *c);
void lk__api_keys_make(lk__call *c);
void lk__api_key_page(lk__call *c);
void lk__api_key_end(lk__call *c);
void lk__oauth_token_make(lk__call *c);
void lk__oauth_introspect(lk__call *c);
void lk__oauth_revoke(lk__call *c);
void lk__oauth_metadata(lk__call *c);

#endif
