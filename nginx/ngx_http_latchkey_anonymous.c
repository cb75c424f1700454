/* SPDX-License-Identifier: Apache-2.0
 *
 * ngx_http_latchkey_anonymous.c - a session for a visitor nobody knows, where
 * the location says `anonymous`.
 */
#include "ngx_http_latchkey.h"


static void ngx_http_latchkey_anonymous_work(ngx_http_latchkey_job_t *job);
static void ngx_http_latchkey_anonymous_done(ngx_http_request_t *r,
    ngx_http_latchkey_job_t *job, ngx_uint_t late);


/* NGX_AGAIN: the request waits, and comes back through the gate.  NGX_OK: go
 * on; without a session when there is none to be had, as the location is
 * `optional`. */
ngx_int_t
ngx_http_latchkey_anonymous(ngx_http_request_t *r,
    ngx_http_latchkey_ctx_t *ctx)
{
    lk_request                    req;
    ngx_http_latchkey_job_t      *job;
    ngx_http_latchkey_runtime_t  *rt;

    if (ctx->issued || ctx->tried) {
        return NGX_OK;
    }

    ctx->tried = 1;

    rt = ngx_http_latchkey_runtime();

    job = ngx_http_latchkey_job_new(r);
    if (job == NULL) {
        return NGX_OK;
    }

    ngx_memzero(&req, sizeof(lk_request));

    req.user_agent = ngx_http_latchkey_header(r, "user-agent");
    req.address = ngx_http_latchkey_view(&r->connection->addr_text);

    job->pool = rt->conf->pool;
    job->work = ngx_http_latchkey_anonymous_work;
    job->done = ngx_http_latchkey_anonymous_done;

    if (ngx_http_latchkey_job_copy(job, &req) != NGX_OK
        || ngx_http_latchkey_job_start(job) != NGX_OK)
    {
        ngx_http_latchkey_job_free(job);
        return NGX_OK;
    }

    return NGX_AGAIN;
}


static void
ngx_http_latchkey_anonymous_work(ngx_http_latchkey_job_t *job)
{
    job->status = lk_guard_issue_anonymous(ngx_http_latchkey_runtime()->guard,
                                           job->req.user_agent,
                                           job->req.address, &job->issued,
                                           NULL);
}


static void
ngx_http_latchkey_anonymous_done(ngx_http_request_t *r,
    ngx_http_latchkey_job_t *job, ngx_uint_t late)
{
    u_char                   *id;
    ngx_http_latchkey_ctx_t  *ctx;

    ctx = ngx_http_latchkey_ctx(r);

    if (!late && job->status == LK_OK) {

        id = ngx_pnalloc(r->pool, LK_PUBLIC_ID_LEN + 1);

        if (id == NULL
            || ngx_http_latchkey_data_begun(r, ctx, &job->issued) != NGX_OK
            || ngx_http_latchkey_plan_cookie(r, ctx, &job->issued) != NGX_OK)
        {
            ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
            return;
        }

        lk_public_id_write(&job->issued.key, (char *) id);

        ctx->session.data = id;
        ctx->session.len = LK_PUBLIC_ID_LEN;
        ctx->issued = 1;
    }

    ngx_http_latchkey_go_on(r);
}
