/* SPDX-License-Identifier: Apache-2.0
 *
 * ngx_http_latchkey_api.c - the content handler of `latchkey_api`: reads the
 * body, has the service answer in a thread, sends what it said.
 */
#include "ngx_http_latchkey.h"


static void ngx_http_latchkey_api_body(ngx_http_request_t *r);
static ngx_int_t ngx_http_latchkey_api_take(ngx_http_request_t *r,
    ngx_http_latchkey_ctx_t *ctx);
static void ngx_http_latchkey_api_call(ngx_http_request_t *r);
static ngx_http_latchkey_job_t *ngx_http_latchkey_api_job(
    ngx_http_request_t *r, ngx_http_latchkey_ctx_t *ctx);
static void ngx_http_latchkey_api_work(ngx_http_latchkey_job_t *job);
static void ngx_http_latchkey_api_done(ngx_http_request_t *r,
    ngx_http_latchkey_job_t *job, ngx_uint_t late);
static ngx_int_t ngx_http_latchkey_api_busy(ngx_http_request_t *r,
    lk_reason reason, lk_view detail);
static ngx_int_t ngx_http_latchkey_api_closed(ngx_http_request_t *r);
static ngx_uint_t ngx_http_latchkey_api_is(ngx_http_request_t *r,
    const char *path);
static ngx_int_t ngx_http_latchkey_api_headers(ngx_http_request_t *r,
    ngx_http_latchkey_ctx_t *ctx, const lk_response *res);
static ngx_int_t ngx_http_latchkey_api_send(ngx_http_request_t *r,
    const lk_response *res);


/* No gate stands before the API, whatever mode the location inherits: it is
 * where one logs in. */
ngx_int_t
ngx_http_latchkey_api_handler(ngx_http_request_t *r)
{
    ngx_int_t                     rc;
    ngx_http_latchkey_ctx_t      *ctx;
    ngx_http_latchkey_runtime_t  *rt;

    ctx = ngx_http_latchkey_need_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rt = ngx_http_latchkey_runtime();

    if (rt == NULL || rt->service == NULL) {
        return ngx_http_latchkey_api_closed(r);
    }

    if (r == r->main && r->headers_in.content_length_n > LK_BODY_MAX) {

        /* a client that waits for 100 (Continue) gets the answer instead */

        r->expect_tested = 1;
        ctx->too_large = 1;

        rc = ngx_http_discard_request_body(r);
        if (rc != NGX_OK) {
            return rc;
        }

        r->main->count++;
        ngx_http_latchkey_api_call(r);

        return NGX_DONE;
    }

    /* Buffered reading would write a long chunked body to a temporary file,
     * and it may hold a password. */

    r->request_body_no_buffering = 1;

    rc = ngx_http_read_client_request_body(r, ngx_http_latchkey_api_body);

    return rc >= NGX_HTTP_SPECIAL_RESPONSE ? rc : NGX_DONE;
}


/* Called with the first part of the body, and as read handler for the rest. */
static void
ngx_http_latchkey_api_body(ngx_http_request_t *r)
{
    ngx_int_t                 rc;
    ngx_http_latchkey_ctx_t  *ctx;

    ctx = ngx_http_latchkey_ctx(r);

    for ( ;; ) {

        if (ngx_http_latchkey_api_take(r, ctx) != NGX_OK) {
            ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
            return;
        }

        if (ctx->too_large || !r->reading_body) {
            break;
        }

        rc = ngx_http_read_unbuffered_request_body(r);

        if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
            ngx_http_finalize_request(r, rc);
            return;
        }

        if (rc == NGX_AGAIN && r->request_body->bufs == NULL) {
            r->read_event_handler = ngx_http_latchkey_api_body;
            return;
        }
    }

    if (r == r->main && r->connection->read->timer_set) {
        ngx_del_timer(r->connection->read);
    }

    ngx_http_latchkey_api_call(r);
}


/* Move what was read into our own buffer, and leave nothing of it in nginx's.
 * A sub-request has no body: the one it shows is its parent's. */
static ngx_int_t
ngx_http_latchkey_api_take(ngx_http_request_t *r, ngx_http_latchkey_ctx_t *ctx)
{
    size_t        n;
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    if (r != r->main || r->request_body == NULL) {
        return NGX_OK;
    }

    for (cl = r->request_body->bufs; cl != NULL; cl = cl->next) {

        b = cl->buf;
        n = (size_t) (b->last - b->pos);

        if (n == 0) {
            continue;
        }

        if (ctx->body.data == NULL) {
            ctx->body.data = ngx_http_latchkey_secret(r->pool, LK_BODY_MAX);
            if (ctx->body.data == NULL) {
                return NGX_ERROR;
            }
        }

        if (n > LK_BODY_MAX - ctx->body.len) {
            ctx->too_large = 1;

        } else {
            ngx_memcpy(ctx->body.data + ctx->body.len, b->pos, n);
            ctx->body.len += n;
        }

        lk_wipe(b->pos, n);
        b->pos = b->last;
    }

    r->request_body->bufs = NULL;

    return NGX_OK;
}


static void
ngx_http_latchkey_api_call(ngx_http_request_t *r)
{
    ngx_int_t                 rc;
    ngx_http_latchkey_ctx_t  *ctx;
    ngx_http_latchkey_job_t  *job;

    ctx = ngx_http_latchkey_ctx(r);
    job = ngx_http_latchkey_api_job(r, ctx);

    if (job == NULL) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    rc = ngx_http_latchkey_job_start(job);

    if (rc == NGX_OK) {
        return;
    }

    ngx_http_latchkey_job_free(job);

    ngx_http_finalize_request(r, ngx_http_latchkey_api_busy(r,
                                                LK_REASON_THROTTLED,
                                                lk_view_make(NULL, 0)));
}


static ngx_http_latchkey_job_t *
ngx_http_latchkey_api_job(ngx_http_request_t *r, ngx_http_latchkey_ctx_t *ctx)
{
    lk_request                     req;
    ngx_http_latchkey_job_t       *job;
    ngx_http_latchkey_found_t      found;
    ngx_http_latchkey_loc_conf_t  *llcf;

    llcf = ngx_http_get_module_loc_conf(r, ngx_http_latchkey_module);

    ngx_http_latchkey_fill_request(r, &req);

    if (ngx_http_latchkey_find(r, &found, &req.presented) != NGX_OK) {
        return NULL;
    }

    req.body_too_large = ctx->too_large;

    if (!ctx->too_large) {
        req.body = ngx_http_latchkey_view(&ctx->body);
    }

    job = ngx_http_latchkey_job_new(r);
    if (job == NULL) {
        return NULL;
    }

    if (ngx_http_latchkey_job_copy(job, &req) != NGX_OK) {
        ngx_http_latchkey_job_free(job);
        return NULL;
    }

    job->pool = llcf->pool;
    job->work = ngx_http_latchkey_api_work;
    job->done = ngx_http_latchkey_api_done;
    job->slow = lk_service_is_slow(ngx_http_latchkey_runtime()->service,
                                   req.method, req.path);
    job->begins = ngx_http_latchkey_url_wants_session(r) ? 1 : 0;

    return job;
}


/* In a thread.  A visitor who sends no cookies is given a session before the
 * page is made, so that its forms can be bound to one. */
static void
ngx_http_latchkey_api_begin(ngx_http_latchkey_job_t *job)
{
    lk_guard      *guard;
    lk_identity    id;
    lk_presented  *presented;

    static const lk_rule  anybody = { .mode = LK_MODE_OPTIONAL };

    guard = ngx_http_latchkey_runtime()->guard;
    presented = &job->req.presented;

    lk_guard_check(guard, presented, &anybody, &id);

    if (id.verdict != LK_VERDICT_ALLOW || id.has_session || id.logged_in) {
        return;
    }

    if (lk_guard_issue_anonymous(guard, job->req.user_agent, job->req.address,
                                 &job->issued, NULL)
        == LK_OK)
    {
        presented->url = lk_view_make(job->issued.text, job->issued.len);
    }
}


/* In a thread. */
static void
ngx_http_latchkey_api_work(ngx_http_latchkey_job_t *job)
{
    if (job->begins) {
        ngx_http_latchkey_api_begin(job);
    }

    lk_service_handle(ngx_http_latchkey_runtime()->service, &job->req,
                      &job->res);

    job->answered = 1;
}


static void
ngx_http_latchkey_api_done(ngx_http_request_t *r, ngx_http_latchkey_job_t *job,
    ngx_uint_t late)
{
    ngx_int_t                 rc;
    ngx_http_latchkey_ctx_t  *ctx;

    ctx = ngx_http_latchkey_ctx(r);

    if (late) {
        rc = ngx_http_latchkey_api_busy(r, LK_REASON_STORE_UNAVAILABLE,
                                        lk_view_make(NULL, 0));

    } else if (ngx_http_latchkey_remember(r, ctx, &job->res.identity)
               != NGX_OK
               || ngx_http_latchkey_note_proof(r, &job->res.identity) != NGX_OK
               || (job->issued.len != 0
                   && ngx_http_latchkey_plan_cookie(r, ctx, &job->issued)
                      != NGX_OK)
               || ngx_http_latchkey_api_headers(r, ctx, &job->res) != NGX_OK)
    {
        rc = NGX_HTTP_INTERNAL_SERVER_ERROR;

    } else {
        rc = ngx_http_latchkey_api_send(r, &job->res);
    }

    ngx_http_finalize_request(r, rc);
}


/* 503 at once: the lane is full, or there is no store. */
static ngx_int_t
ngx_http_latchkey_api_busy(ngx_http_request_t *r, lk_reason reason,
    lk_view detail)
{
    if (ngx_http_latchkey_push_header(r, "Retry-After", "1", 1) == NULL
        || ngx_http_latchkey_push_header(r, "Cache-Control", "no-store", 8)
           == NULL)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_latchkey_send_problem(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                          reason, detail);
}


/* Nothing is open yet.  That is no reason to restart the gateway, so it is
 * alive all the same; whether it is ready, and why not, is asked elsewhere. */
static ngx_int_t
ngx_http_latchkey_api_closed(ngx_http_request_t *r)
{
    lk_view     detail;
    ngx_buf_t  *b;

    static ngx_str_t  type = ngx_string("application/json");
    static ngx_str_t  alive = ngx_string("{\"status\":\"ok\"}");

    if (ngx_http_latchkey_api_is(r, "/health/live")) {

        b = ngx_calloc_buf(r->pool);
        if (b == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        b->pos = alive.data;
        b->last = alive.data + alive.len;
        b->memory = 1;

        return ngx_http_latchkey_send(r, NGX_HTTP_OK, &type, b);
    }

    detail = lk_view_make(NULL, 0);

    if (ngx_http_latchkey_api_is(r, "/health/ready")) {
        detail = lk_view_of(ngx_http_latchkey_not_open());
    }

    return ngx_http_latchkey_api_busy(r, LK_REASON_STORE_UNAVAILABLE, detail);
}


static ngx_uint_t
ngx_http_latchkey_api_is(ngx_http_request_t *r, const char *path)
{
    size_t                          prefix, len;
    ngx_http_latchkey_main_conf_t  *lmcf;

    lmcf = ngx_http_get_module_main_conf(r, ngx_http_latchkey_module);

    prefix = ngx_strlen(lmcf->settings.prefix);
    len = ngx_strlen(path);

    return r->uri.len == prefix + len
           && ngx_memcmp(r->uri.data, lmcf->settings.prefix, prefix) == 0
           && ngx_memcmp(r->uri.data + prefix, path, len) == 0;
}


static ngx_int_t
ngx_http_latchkey_api_headers(ngx_http_request_t *r,
    ngx_http_latchkey_ctx_t *ctx, const lk_response *res)
{
    size_t                     i;
    u_char                    *value;
    const lk_response_header  *h;

    for (i = 0; i < res->headers_n; i++) {
        h = &res->headers[i];

        value = ngx_http_latchkey_secret(r->pool, h->value.len + 1);
        if (value == NULL) {
            return NGX_ERROR;
        }

        *ngx_cpymem(value, h->value.p, h->value.len) = '\0';

        if (ngx_strcasecmp((u_char *) h->name, (u_char *) "content-type")
            == 0)
        {
            r->headers_out.content_type.data = value;
            r->headers_out.content_type.len = h->value.len;
            r->headers_out.content_type_len = h->value.len;
            r->headers_out.content_type_lowcase = NULL;
            continue;
        }

        if (ngx_strcasecmp((u_char *) h->name, (u_char *) "set-cookie") == 0) {
            ctx->no_store = 1;
        }

        if (ngx_http_latchkey_push_header(r, h->name, (char *) value,
                                          h->value.len)
            == NULL)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_latchkey_api_send(ngx_http_request_t *r, const lk_response *res)
{
    ngx_int_t     rc;
    ngx_buf_t    *b;
    ngx_chain_t   out;

    r->headers_out.status = (ngx_uint_t) res->status;
    r->headers_out.content_length_n = (off_t) res->body.len;

    /* If-Match is the service's to judge */

    r->disable_not_modified = 1;

#if (NGX_HTTP_GZIP)

    /* tokens beside text the client chose: not compressed (BREACH) */

    r->gzip_tested = 1;
    r->gzip_ok = 0;

#endif

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    if (res->body.len == 0) {
        return ngx_http_send_special(r, NGX_HTTP_LAST);
    }

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->start = ngx_http_latchkey_secret(r->pool, res->body.len);
    if (b->start == NULL) {
        return NGX_ERROR;
    }

    b->pos = b->start;
    b->last = ngx_cpymem(b->start, res->body.p, res->body.len);
    b->end = b->last;
    b->temporary = 1;
    b->last_buf = (r == r->main) ? 1 : 0;
    b->last_in_chain = 1;

    out.buf = b;
    out.next = NULL;

    return ngx_http_output_filter(r, &out);
}
