/* SPDX-License-Identifier: Apache-2.0
 *
 * ngx_http_latchkey_reissue.c - the visitor is handed his credential anew: a
 * sealed session with the time of this use, a token with a new life, or what
 * this way hands out in place of what another did.
 */
#include "ngx_http_latchkey.h"


static ngx_int_t ngx_http_latchkey_reissue_here(ngx_http_request_t *r,
    ngx_http_latchkey_ctx_t *ctx, const lk_identity *id);
static void ngx_http_latchkey_reissue_work(ngx_http_latchkey_job_t *job);
static void ngx_http_latchkey_reissue_done(ngx_http_request_t *r,
    ngx_http_latchkey_job_t *job, ngx_uint_t late);


/* NGX_AGAIN: the request waits, and comes back through the gate.  NGX_OK: go
 * on; with what the visitor has when there is nothing else to be had, as that
 * is good, and the next request tries again. */
ngx_int_t
ngx_http_latchkey_reissue(ngx_http_request_t *r, ngx_http_latchkey_ctx_t *ctx,
    const lk_identity *id)
{
    lk_request                    req;
    ngx_http_latchkey_job_t      *job;
    ngx_http_latchkey_found_t     found;
    ngx_http_latchkey_runtime_t  *rt;

    if (ctx->issued || ctx->tried) {
        return NGX_OK;
    }

    ctx->tried = 1;

    if (id->reissue == LK_REISSUE_HERE) {
        return ngx_http_latchkey_reissue_here(r, ctx, id);
    }

    ngx_memzero(&req, sizeof(lk_request));

    rt = ngx_http_latchkey_runtime();

    job = ngx_http_latchkey_job_new(r);
    if (job == NULL) {
        return NGX_OK;
    }

    job->pool = rt->conf->pool;
    job->work = ngx_http_latchkey_reissue_work;
    job->done = ngx_http_latchkey_reissue_done;
    job->res.identity = *id;

    if (ngx_http_latchkey_find(r, &found, &req.presented) != NGX_OK
        || ngx_http_latchkey_job_copy(job, &req) != NGX_OK
        || ngx_http_latchkey_job_start(job) != NGX_OK)
    {
        ngx_http_latchkey_job_free(job);
        return NGX_OK;
    }

    return NGX_AGAIN;
}


static ngx_int_t
ngx_http_latchkey_reissue_here(ngx_http_request_t *r,
    ngx_http_latchkey_ctx_t *ctx, const lk_identity *id)
{
    ngx_int_t                     rc;
    lk_issued                     issued;
    lk_presented                  presented;
    ngx_http_latchkey_found_t     found;
    ngx_http_latchkey_runtime_t  *rt;

    rt = ngx_http_latchkey_runtime();

    if (ngx_http_latchkey_find(r, &found, &presented) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = NGX_OK;

    if (lk_guard_reissue(rt->guard, &presented, id, &issued) == LK_OK) {
        rc = ngx_http_latchkey_plan_cookie(r, ctx, &issued);

        if (rc == NGX_OK) {
            rc = ngx_http_latchkey_data_begun(r, ctx, &issued);
        }

        ctx->issued = 1;
    }

    lk_issued_wipe(&issued);

    return rc;
}


static void
ngx_http_latchkey_reissue_work(ngx_http_latchkey_job_t *job)
{
    job->status = lk_guard_reissue(ngx_http_latchkey_runtime()->guard,
                                   &job->req.presented, &job->res.identity,
                                   &job->issued);
}


static void
ngx_http_latchkey_reissue_done(ngx_http_request_t *r,
    ngx_http_latchkey_job_t *job, ngx_uint_t late)
{
    ngx_http_latchkey_ctx_t  *ctx;

    ctx = ngx_http_latchkey_ctx(r);

    if (!late && job->status == LK_OK) {

        if (ngx_http_latchkey_plan_cookie(r, ctx, &job->issued) != NGX_OK
            || ngx_http_latchkey_data_begun(r, ctx, &job->issued) != NGX_OK)
        {
            ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
            return;
        }

        ctx->issued = 1;
    }

    ngx_http_latchkey_go_on(r);
}
