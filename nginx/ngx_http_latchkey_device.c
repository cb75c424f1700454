/* SPDX-License-Identifier: Apache-2.0
 *
 * ngx_http_latchkey_device.c - a visitor whose session ended by time, and whose
 * browser shows the cookie of a device that stays logged in, is given a new
 * session: the request waits for it and goes on as him.
 */
#include "ngx_http_latchkey.h"


static ngx_int_t ngx_http_latchkey_device_start(ngx_http_request_t *r,
    ngx_http_latchkey_ctx_t *ctx, const lk_presented *presented,
    const lk_identity *id);
static ngx_int_t ngx_http_latchkey_device_unknown(
    ngx_http_latchkey_loc_conf_t *llcf, const lk_presented *presented,
    lk_identity *id);
static void ngx_http_latchkey_device_work(ngx_http_latchkey_job_t *job);
static void ngx_http_latchkey_device_done(ngx_http_request_t *r,
    ngx_http_latchkey_job_t *job, ngx_uint_t late);
static ngx_int_t ngx_http_latchkey_device_fresh(ngx_http_request_t *r,
    ngx_http_latchkey_ctx_t *ctx, const lk_issued *issued);
static ngx_int_t ngx_http_latchkey_device_drop(ngx_http_request_t *r,
    ngx_http_latchkey_ctx_t *ctx);


/* NGX_AGAIN: the request waits, and comes back through the gate with what it
 * was given.  NGX_DECLINED: ID is the verdict.  NGX_ERROR. */
ngx_int_t
ngx_http_latchkey_device(ngx_http_request_t *r,
    ngx_http_latchkey_loc_conf_t *llcf, lk_identity *id)
{
    lk_presented                    presented;
    ngx_http_latchkey_ctx_t        *ctx;
    ngx_http_latchkey_found_t       found;
    ngx_http_latchkey_main_conf_t  *lmcf;

    lmcf = ngx_http_get_module_main_conf(r, ngx_http_latchkey_module);

    if (!lmcf->settings.device_on || r != r->main || id->logged_in
        || id->verdict == LK_VERDICT_UNKNOWN)
    {
        return NGX_DECLINED;
    }

    if (llcf->rule->rule.carriers != 0
        && (llcf->rule->rule.carriers & (1u << LK_CARRIER_COOKIE)) == 0)
    {
        return NGX_DECLINED;
    }

    if (ngx_http_latchkey_find(r, &found, &presented) != NGX_OK) {
        return NGX_ERROR;
    }

    ctx = ngx_http_latchkey_ctx(r);

    if (ctx != NULL && ctx->device_tried) {

        if (ctx->device_unknown) {
            return ngx_http_latchkey_device_unknown(llcf, &presented, id);
        }

        return NGX_DECLINED;
    }

    if (!lk_device_may_renew(&lmcf->settings, &presented, id)) {
        return NGX_DECLINED;
    }

    ctx = ngx_http_latchkey_need_ctx(r);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    ctx->device_tried = 1;
    ctx->pieces = id->pieces & ((1u << LK_SEALED_PIECES) - 1);

    if (ngx_http_latchkey_device_start(r, ctx, &presented, id) == NGX_OK) {
        return NGX_AGAIN;
    }

    lk_guard_count(ngx_http_latchkey_runtime()->guard,
                   LK_COUNT_DEVICE_UNKNOWN);

    ctx->device_unknown = 1;

    return ngx_http_latchkey_device_unknown(llcf, &presented, id);
}


static ngx_int_t
ngx_http_latchkey_device_start(ngx_http_request_t *r,
    ngx_http_latchkey_ctx_t *ctx, const lk_presented *presented,
    const lk_identity *id)
{
    lk_request                    req;
    ngx_http_latchkey_job_t      *job;
    ngx_http_latchkey_runtime_t  *rt;

    rt = ngx_http_latchkey_runtime();

    if (rt->service == NULL || rt->accounts == NULL) {
        return NGX_ERROR;
    }

    job = ngx_http_latchkey_job_new(r);
    if (job == NULL) {
        return NGX_ERROR;
    }

    ngx_http_latchkey_fill_request(r, &req);

    req.presented = *presented;

    job->pool = rt->conf->pool;
    job->work = ngx_http_latchkey_device_work;
    job->done = ngx_http_latchkey_device_done;
    job->res.identity = *id;

    if (ngx_http_latchkey_job_copy(job, &req) != NGX_OK
        || ngx_http_latchkey_job_start(job) != NGX_OK)
    {
        ngx_http_latchkey_job_free(job);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* Nobody could look whether he may have a session: he may be somebody.  Where
 * latchkey_on_unknown would serve what was known before, a location that takes
 * strangers takes him for one; nothing is removed from his browser. */
static ngx_int_t
ngx_http_latchkey_device_unknown(ngx_http_latchkey_loc_conf_t *llcf,
    const lk_presented *presented, lk_identity *id)
{
    ngx_uint_t      serves;
    const lk_rule  *rule;

    rule = &llcf->rule->rule;

    serves = (rule->stale_s > 0 || rule->stale_safe)
             && (!rule->stale_safe || presented->only_reads);

    id->drop_cookie = 0;

    if (rule->mode == LK_MODE_OPTIONAL && serves) {
        return NGX_DECLINED;
    }

    id->verdict = LK_VERDICT_UNKNOWN;
    id->reason = LK_REASON_STORE_UNAVAILABLE;

    return NGX_DECLINED;
}


static void
ngx_http_latchkey_device_work(ngx_http_latchkey_job_t *job)
{
    bool  over;

    job->status = lk_service_renew(ngx_http_latchkey_runtime()->service,
                                   &job->req, &job->res.identity,
                                   &job->issued, &over);
    job->over = over;
}


static void
ngx_http_latchkey_device_done(ngx_http_request_t *r,
    ngx_http_latchkey_job_t *job, ngx_uint_t late)
{
    ngx_int_t                 rc;
    ngx_http_latchkey_ctx_t  *ctx;

    ctx = ngx_http_latchkey_ctx(r);
    rc = NGX_OK;

    if (late) {
        ctx->device_unknown = 1;

    } else {

        switch (job->status) {

        case LK_OK:
            rc = ngx_http_latchkey_device_fresh(r, ctx, &job->issued);
            break;

        case LK_REFUSED:
        case LK_MISS:
        case LK_STALE:
            if (job->over) {
                rc = ngx_http_latchkey_device_drop(r, ctx);
            }
            break;

        case LK_FULL:
        case LK_FAULT:
            ctx->device_unknown = 1;
            break;
        }
    }

    if (rc != NGX_OK) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    ngx_http_latchkey_go_on(r);
}


/* What he was given goes out with the answer, and is what this request shows
 * from now on. */
static ngx_int_t
ngx_http_latchkey_device_fresh(ngx_http_request_t *r,
    ngx_http_latchkey_ctx_t *ctx, const lk_issued *issued)
{
    if (ngx_http_latchkey_plan_cookie(r, ctx, issued) != NGX_OK) {
        return NGX_ERROR;
    }

    ctx->fresh.data = ngx_http_latchkey_secret(r->pool, issued->len);
    if (ctx->fresh.data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(ctx->fresh.data, issued->text, issued->len);
    ctx->fresh.len = issued->len;
    ctx->issued = 1;

    return NGX_OK;
}


/* What the device holds is good for nothing any more. */
static ngx_int_t
ngx_http_latchkey_device_drop(ngx_http_request_t *r,
    ngx_http_latchkey_ctx_t *ctx)
{
    lk_buf                          b;
    u_char                         *text;
    ngx_http_latchkey_main_conf_t  *lmcf;

    lmcf = ngx_http_get_module_main_conf(r, ngx_http_latchkey_module);

    text = ngx_pnalloc(r->pool, LK_SET_COOKIE_MAX);
    if (text == NULL) {
        return NGX_ERROR;
    }

    b = lk_buf_over(text, LK_SET_COOKIE_MAX);

    if (lk_device_cookie_write(&lmcf->settings, lk_view_make(NULL, 0), 0,
                               ngx_time(), &b)
        != LK_OK)
    {
        return NGX_ERROR;
    }

    ctx->device_cookie.data = b.p;
    ctx->device_cookie.len = b.len;
    ctx->no_store = 1;

    return NGX_OK;
}
