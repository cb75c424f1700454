/* SPDX-License-Identifier: Apache-2.0
 *
 * ngx_http_latchkey_gate.c - the decision about one request.
 */
#include "ngx_http_latchkey.h"


static ngx_int_t ngx_http_latchkey_open_first(ngx_http_request_t *r);
static ngx_int_t ngx_http_latchkey_reuse(ngx_http_request_t *r,
    ngx_http_latchkey_loc_conf_t *llcf);
static ngx_int_t ngx_http_latchkey_check(ngx_http_request_t *r,
    ngx_http_latchkey_loc_conf_t *llcf, lk_identity *id);
static ngx_int_t ngx_http_latchkey_decide(ngx_http_request_t *r,
    const lk_presented *presented, const lk_rule *rule, lk_identity *id);
static void ngx_http_latchkey_unanswered(const lk_presented *presented,
    const lk_rule *rule, lk_question *question, lk_identity *id);
static void ngx_http_latchkey_check_csrf(ngx_http_request_t *r,
    const lk_presented *presented, lk_identity *id);
static ngx_int_t ngx_http_latchkey_allow(ngx_http_request_t *r,
    ngx_http_latchkey_loc_conf_t *llcf, const lk_identity *id);
static ngx_int_t ngx_http_latchkey_pass(ngx_http_request_t *r,
    ngx_http_latchkey_ctx_t *ctx, ngx_http_latchkey_loc_conf_t *llcf);
static ngx_int_t ngx_http_latchkey_stop(ngx_http_request_t *r,
    ngx_http_latchkey_loc_conf_t *llcf, const lk_identity *id);


/* Last handler of the PREACCESS phase; see ngx_http_latchkey_add_phases() for
 * why not of the access phase.  NGX_DECLINED means "go on": it is the answer
 * for a location without latchkey, and for a request that was let through.  A
 * request that was refused has got its answer here, or leaves with a status,
 * and comes back through this gate whatever error_page makes of it. */
ngx_int_t
ngx_http_latchkey_gate(ngx_http_request_t *r)
{
    ngx_int_t                      rc;
    lk_identity                    id;
    ngx_http_latchkey_ctx_t       *ctx;
    ngx_http_latchkey_loc_conf_t  *llcf;

    rc = ngx_http_latchkey_strip(r);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    llcf = ngx_http_get_module_loc_conf(r, ngx_http_latchkey_module);

    rc = ngx_http_latchkey_cors_gate(r, llcf);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    ctx = ngx_http_latchkey_ctx(r);

    if (ctx != NULL && ctx->data != NULL) {
        ngx_http_latchkey_data_keep(r, ctx);
    }

    if (llcf->api || llcf->rule->rule.mode == LK_MODE_OFF) {

        if (llcf->api == NGX_HTTP_LATCHKEY_API_HERE
            && ngx_http_latchkey_open_first(r) == NGX_AGAIN)
        {
            return NGX_AGAIN;
        }

        return ngx_http_latchkey_clear_identity(r) == NGX_OK
               ? NGX_DECLINED : NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_latchkey_reuse(r, llcf);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_http_latchkey_check(r, llcf, &id);
    if (rc != NGX_OK) {
        return rc;
    }

    rc = ngx_http_latchkey_device(r, llcf, &id);
    if (rc != NGX_DECLINED) {
        return rc == NGX_AGAIN ? NGX_AGAIN : NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    switch (id.verdict) {

    case LK_VERDICT_ALLOW:
        return ngx_http_latchkey_allow(r, llcf, &id);

    case LK_VERDICT_REFUSE:
    case LK_VERDICT_UNKNOWN:
        break;
    }

    return ngx_http_latchkey_stop(r, llcf, &id);
}


/* A worker that has just started opens its store: what comes to it meanwhile
 * waits for that, so that a reload turns nobody away.  NGX_OK: it is open, or
 * it could not be opened. */
static ngx_int_t
ngx_http_latchkey_open_first(ngx_http_request_t *r)
{
    ngx_http_latchkey_ctx_t      *ctx;
    ngx_http_latchkey_runtime_t  *rt;

    rt = ngx_http_latchkey_runtime();

    if (rt == NULL || !rt->opening) {
        return NGX_OK;
    }

    ctx = ngx_http_latchkey_ctx(r);

    if (ctx != NULL && ctx->wait != NULL) {
        return NGX_AGAIN;
    }

    if (ctx != NULL && ctx->unanswered) {
        return NGX_OK;
    }

    return ngx_http_latchkey_lane_ask(r, NULL) == NGX_OK ? NGX_AGAIN : NGX_OK;
}


/* Was this request let through under this very rule before: by this handler,
 * before it waited for a thread, or as the main request this one is a part
 * of?  NGX_OK when it was not; else the answer of the gate. */
static ngx_int_t
ngx_http_latchkey_reuse(ngx_http_request_t *r,
    ngx_http_latchkey_loc_conf_t *llcf)
{
    ngx_http_latchkey_ctx_t  *ctx, *main;

    ctx = ngx_http_latchkey_ctx(r);

    if (ctx != NULL && ctx->wait != NULL) {
        return NGX_AGAIN;
    }

    if (ctx == NULL || ctx->rule != llcf->rule) {

        if (r == r->main) {
            return NGX_OK;
        }

        main = ngx_http_latchkey_ctx(r->main);

        if (main == NULL || main->rule != llcf->rule) {
            return NGX_OK;
        }

        ctx = ngx_http_latchkey_need_ctx(r);
        if (ctx == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        ctx->rule = main->rule;
        ctx->user = main->user;
        ctx->name = main->name;
        ctx->realm = main->realm;
        ctx->roles = main->roles;
        ctx->scope = main->scope;
        ctx->session = main->session;
        ctx->reason = main->reason;

        if (main->data != NULL
            && ngx_http_latchkey_data_share(r, ctx, main) != NGX_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    if (llcf->data->on && ctx->data == NULL) {

        /* let through for another location, where it was of no matter which
         * session that is */

        return NGX_OK;
    }

    return ngx_http_latchkey_pass(r, ctx, llcf);
}


/* NGX_OK: ID is the verdict.  NGX_AGAIN: the store has to be asked, and the
 * request comes back. */
static ngx_int_t
ngx_http_latchkey_check(ngx_http_request_t *r,
    ngx_http_latchkey_loc_conf_t *llcf, lk_identity *id)
{
    ngx_int_t                     rc;
    lk_presented                  presented;
    ngx_http_latchkey_found_t     found;
    ngx_http_latchkey_runtime_t  *rt;

    if (ngx_http_latchkey_open_first(r) == NGX_AGAIN) {
        return NGX_AGAIN;
    }

    rt = ngx_http_latchkey_runtime();

    if (rt == NULL || rt->guard == NULL) {

        /* the store could not be opened, and is tried again: nobody knows */

        ngx_memzero(id, sizeof(lk_identity));
        id->verdict = LK_VERDICT_UNKNOWN;
        id->reason = LK_REASON_STORE_UNAVAILABLE;

        return NGX_OK;
    }

    if (ngx_http_latchkey_find(r, &found, &presented) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (llcf->rule->rule.signature) {

        if (ngx_http_latchkey_signature_known(r, id) == NGX_OK) {
            return ngx_http_latchkey_signature_finish(r, id);
        }

        rc = ngx_http_latchkey_signature(r, &presented, id);

        if (rc != NGX_OK) {
            return rc == NGX_DECLINED ? NGX_OK
                                      : NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    rc = ngx_http_latchkey_decide(r, &presented, &llcf->rule->rule, id);
    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_latchkey_note_proof(r, id) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (llcf->rule->rule.signature && id->verdict == LK_VERDICT_ALLOW) {
        return ngx_http_latchkey_signature_finish(r, id);
    }

    if (id->verdict == LK_VERDICT_ALLOW && llcf->csrf && id->has_session
        && id->carrier == LK_CARRIER_COOKIE
        && ngx_http_latchkey_changes_state(r))
    {
        ngx_http_latchkey_check_csrf(r, &presented, id);
    }

    return NGX_OK;
}


/* With the answer the request waited for, if it did.  An answer is read once,
 * and decides nothing but the credential it was asked for: the guard compares
 * the keys. */
static ngx_int_t
ngx_http_latchkey_decide(ngx_http_request_t *r, const lk_presented *presented,
    const lk_rule *rule, lk_identity *id)
{
    ngx_uint_t                    known, waits;
    lk_question                   question;
    ngx_http_latchkey_ask_t      *ask;
    ngx_http_latchkey_ctx_t      *ctx;
    ngx_http_latchkey_runtime_t  *rt;

    rt = ngx_http_latchkey_runtime();
    ctx = ngx_http_latchkey_ctx(r);
    ask = ctx ? ctx->answer : NULL;

    known = lk_guard_try(rt->guard, presented, rule,
                         ask ? &ask->question : NULL, id, &question);

    if (ask != NULL) {
        ctx->answer = NULL;
        ngx_http_latchkey_lane_free(ask);
    }

    if (known) {
        return NGX_OK;
    }

    waits = (ctx == NULL || !ctx->unanswered);

    if (waits && question.wants_keys != 0
        && ngx_http_latchkey_trust_ask(r, &question) == NGX_OK)
    {
        return NGX_AGAIN;
    }

    if (waits && question.wants_keys == 0
        && ngx_http_latchkey_lane_ask(r, &question) == NGX_OK)
    {
        return NGX_AGAIN;
    }

    ngx_http_latchkey_unanswered(presented, rule, &question, id);

    return NGX_OK;
}


/* There is no asking: the lane is full, or it took too long.  What that means
 * the rule says. */
static void
ngx_http_latchkey_unanswered(const lk_presented *presented,
    const lk_rule *rule, lk_question *question, lk_identity *id)
{
    lk_question  none;

    question->view = LK_FAULT;
    question->status = LK_FAULT;
    question->why = LK_REASON_NONE;
    question->record_len = 0;

    if (!lk_guard_try(ngx_http_latchkey_runtime()->guard, presented, rule,
                      question, id, &none))
    {
        id->verdict = LK_VERDICT_UNKNOWN;
        id->reason = LK_REASON_STORE_UNAVAILABLE;
    }
}


/* A WebSocket handshake is a GET that browsers send across sites with cookies
 * and without asking (RFC 6455 section 10.2): its Origin matters as that of a
 * POST does. */
ngx_uint_t
ngx_http_latchkey_changes_state(ngx_http_request_t *r)
{
    if (r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD|NGX_HTTP_OPTIONS
                     |NGX_HTTP_TRACE))
    {
        return r->headers_in.upgrade != NULL;
    }

    return 1;
}


static void
ngx_http_latchkey_check_csrf(ngx_http_request_t *r,
    const lk_presented *presented, lk_identity *id)
{
    lk_status                     status;
    lk_request                    req;
    ngx_http_latchkey_runtime_t  *rt;

    rt = ngx_http_latchkey_runtime();

    ngx_http_latchkey_fill_request(r, &req);

    req.presented = *presented;

    /* The body is not read, and a form token in it belongs to the application.
     * All that matters here is whether there is one. */

    if (r->headers_in.content_length_n > 0 || r->headers_in.chunked) {
        req.body = LK_VIEW("?");
    }

    if (r->headers_in.upgrade != NULL) {
        req.method = LK_VIEW("POST");
    }

    status = lk_csrf_request(rt->guard, &req, id, lk_view_make(NULL, 0));

    switch (status) {

    case LK_OK:
        return;

    case LK_MISS:
    case LK_STALE:
    case LK_REFUSED:
    case LK_FULL:
        id->verdict = LK_VERDICT_REFUSE;
        id->reason = LK_REASON_CSRF;
        return;

    case LK_FAULT:
        id->verdict = LK_VERDICT_UNKNOWN;
        id->reason = LK_REASON_STORE_UNAVAILABLE;
        return;
    }
}


static ngx_int_t
ngx_http_latchkey_allow(ngx_http_request_t *r,
    ngx_http_latchkey_loc_conf_t *llcf, const lk_identity *id)
{
    ngx_int_t                 rc;
    ngx_http_latchkey_ctx_t  *ctx;

    ctx = ngx_http_latchkey_need_ctx(r);

    if (ctx == NULL || ngx_http_latchkey_remember(r, ctx, id) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->rule = llcf->rule;

    if ((llcf->data->on || ctx->data != NULL)
        && ngx_http_latchkey_data_know(r, ctx, id) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (r == r->main) {

        /* Programs that come without a cookie come so every time: a session
         * for each of their requests would only fill the store. */

        if (llcf->rule->anonymous && !id->has_session && !id->logged_in
            && ngx_http_latchkey_is_browser(r))
        {

            rc = ngx_http_latchkey_anonymous(r, ctx);
            if (rc != NGX_OK) {
                return rc;
            }
        }

        if (id->reissue != LK_REISSUE_NO) {

            rc = ngx_http_latchkey_reissue(r, ctx, id);
            if (rc != NGX_OK) {
                return rc == NGX_AGAIN ? NGX_AGAIN
                                       : NGX_HTTP_INTERNAL_SERVER_ERROR;
            }
        }

        if (id->drop_cookie && !ctx->issued
            && ngx_http_latchkey_plan_cookie(r, ctx, NULL) != NGX_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    return ngx_http_latchkey_pass(r, ctx, llcf);
}


/* The request goes on, and the application is told who asks. */
static ngx_int_t
ngx_http_latchkey_pass(ngx_http_request_t *r, ngx_http_latchkey_ctx_t *ctx,
    ngx_http_latchkey_loc_conf_t *llcf)
{
    ngx_int_t    rc;
    lk_identity  nobody;

    if (ctx->data != NULL) {

        rc = ngx_http_latchkey_data_load(r, ctx, llcf);

        if (rc == NGX_AGAIN) {
            return NGX_AGAIN;
        }

        if (rc != NGX_OK) {
            ngx_memzero(&nobody, sizeof(lk_identity));
            nobody.verdict = LK_VERDICT_UNKNOWN;
            nobody.reason = LK_REASON_STORE_UNAVAILABLE;

            return ngx_http_latchkey_stop(r, llcf, &nobody);
        }
    }

    if (ngx_http_latchkey_set_identity(r, ctx) != NGX_OK
        || (ctx->data != NULL
            && ngx_http_latchkey_set_data(r, ctx, llcf) != NGX_OK))
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return NGX_DECLINED;
}


static ngx_int_t
ngx_http_latchkey_stop(ngx_http_request_t *r,
    ngx_http_latchkey_loc_conf_t *llcf, const lk_identity *id)
{
    ngx_http_latchkey_ctx_t  *ctx;

    ctx = ngx_http_latchkey_need_ctx(r);

    if (ctx == NULL || ngx_http_latchkey_remember(r, ctx, id) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ctx->rule = NULL;

    /* Unknown is not logged out: only a proven end removes the cookie. */

    if (r == r->main && id->verdict == LK_VERDICT_REFUSE && id->drop_cookie
        && ngx_http_latchkey_plan_cookie(r, ctx, NULL) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_latchkey_refuse(r, id, &llcf->rule->rule);
}
