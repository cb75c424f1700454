/* SPDX-License-Identifier: Apache-2.0
 *
 * ngx_http_latchkey_signature.c - requests that are signed with an API key:
 * `latchkey required signature`.
 *
 * A request goes through these, and each turns away what it can:
 *
 *   1. the signature: two hashes, nothing is looked up
 *   2. the key: as if it had come in the request itself (lk_guard_try)
 *   3. the body, up to latchkey_signature body=: its SHA-256 is what was signed
 *   4. the nonce: used up, in the shared table and in a store that nodes share
 *
 * Before 3 no byte of the body is read, so that a client that waits for 100
 * (Continue) is refused without sending it; before 4 the application gets
 * nothing.  What blocks, or takes long, is done in a thread.
 */
#include "ngx_http_latchkey.h"
#include <crypto/hash.h>


/* Longer bodies are hashed in a thread: about 0.1 ms of the event loop. */
#define NGX_HTTP_LATCHKEY_HASH_HERE  65536


static ngx_int_t ngx_http_latchkey_signature_refuse(lk_identity *id,
    lk_verdict verdict, lk_reason reason);
static ngx_int_t ngx_http_latchkey_signature_read(ngx_http_request_t *r,
    ngx_http_latchkey_sign_t *sign);
static void ngx_http_latchkey_signature_body(ngx_http_request_t *r);
static ngx_int_t ngx_http_latchkey_signature_judge(ngx_http_request_t *r,
    ngx_http_latchkey_sign_t *sign);
static ngx_int_t ngx_http_latchkey_signature_gather(ngx_http_request_t *r,
    size_t len, lk_view *body);
static ngx_int_t ngx_http_latchkey_signature_post(ngx_http_request_t *r,
    ngx_http_latchkey_sign_t *sign, lk_view body);
static void ngx_http_latchkey_signature_work(ngx_http_latchkey_job_t *job);
static void ngx_http_latchkey_signature_done(ngx_http_request_t *r,
    ngx_http_latchkey_job_t *job, ngx_uint_t late);
static void ngx_http_latchkey_signature_settle(ngx_http_latchkey_sign_t *sign,
    lk_status status, lk_reason why);


static ngx_int_t
ngx_http_latchkey_signature_refuse(lk_identity *id, lk_verdict verdict,
    lk_reason reason)
{
    ngx_memzero(id, sizeof(lk_identity));

    id->verdict = verdict;
    id->reason = reason;

    return NGX_DECLINED;
}


/* Is R signed?  NGX_OK: PRESENTED is its API key.  NGX_DECLINED: ID is the
 * verdict.  A part of a request (a sub-request) is as signed as the whole. */
ngx_int_t
ngx_http_latchkey_signature(ngx_http_request_t *r, lk_presented *presented,
    lk_identity *id)
{
    lk_reason                  why;
    ngx_http_latchkey_ctx_t   *ctx;
    ngx_http_latchkey_sign_t  *sign;

    ctx = ngx_http_latchkey_need_ctx(r->main);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    sign = ctx->sign;

    if (sign != NULL
        && (r == r->main || sign->state == NGX_HTTP_LATCHKEY_SIGN_GOOD))
    {
        lk_signed_present(&sign->it, presented);
        return NGX_OK;
    }

    if (r != r->main) {
        return ngx_http_latchkey_signature_refuse(id, LK_VERDICT_REFUSE,
                                                  LK_REASON_WRONG_CARRIER);
    }

    sign = (ngx_http_latchkey_sign_t *)
               ngx_http_latchkey_secret(r->pool,
                                        sizeof(ngx_http_latchkey_sign_t));
    if (sign == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(sign, sizeof(ngx_http_latchkey_sign_t));
    ngx_http_latchkey_about(r, &presented->about);

    switch (lk_guard_signature(ngx_http_latchkey_runtime()->guard, presented,
                               &sign->it, &why))
    {

    case LK_OK:
        ctx->sign = sign;
        return NGX_OK;

    case LK_MISS:
        return ngx_http_latchkey_signature_refuse(id, LK_VERDICT_REFUSE,
                               presented->authorization_n
                               ? LK_REASON_WRONG_CARRIER
                               : LK_REASON_NO_CREDENTIAL);

    case LK_STALE:
    case LK_REFUSED:
        return ngx_http_latchkey_signature_refuse(id, LK_VERDICT_REFUSE, why);

    case LK_FULL:
    case LK_FAULT:
        break;
    }

    return ngx_http_latchkey_signature_refuse(id, LK_VERDICT_UNKNOWN,
                                              LK_REASON_STORE_UNAVAILABLE);
}


/* Is there a verdict already, from before R was put aside?  NGX_OK: ID; what
 * goes on is ngx_http_latchkey_signature_finish(). */
ngx_int_t
ngx_http_latchkey_signature_known(ngx_http_request_t *r, lk_identity *id)
{
    ngx_http_latchkey_ctx_t  *ctx;

    ctx = ngx_http_latchkey_ctx(r);

    if (ctx == NULL || ctx->sign == NULL || r != r->main
        || ctx->sign->state == NGX_HTTP_LATCHKEY_SIGN_READ
        || ctx->sign->state == NGX_HTTP_LATCHKEY_SIGN_GOOD)
    {
        return NGX_DECLINED;
    }

    *id = ctx->sign->id;

    return NGX_OK;
}


/* The key may come in, by ID: now the body and the nonce.  NGX_OK: ID is the
 * verdict, or what became of it; NGX_AGAIN, NGX_DONE: R comes back; else a
 * status. */
ngx_int_t
ngx_http_latchkey_signature_finish(ngx_http_request_t *r, lk_identity *id)
{
    ngx_int_t                  rc;
    ngx_http_latchkey_sign_t  *sign;

    sign = ngx_http_latchkey_ctx(r->main)->sign;

    switch (sign->state) {

    case NGX_HTTP_LATCHKEY_SIGN_READ:
        sign->id = *id;
        return ngx_http_latchkey_signature_read(r, sign);

    case NGX_HTTP_LATCHKEY_SIGN_BODY:

        rc = ngx_http_latchkey_signature_judge(r, sign);
        if (rc != NGX_OK) {
            return rc;
        }

        break;

    default:
        break;
    }

    if (sign->state == NGX_HTTP_LATCHKEY_SIGN_BAD) {
        (void) ngx_http_latchkey_signature_refuse(id, sign->verdict,
                                                  sign->why);
        return NGX_OK;
    }

    if (sign->state == NGX_HTTP_LATCHKEY_SIGN_GOOD) {
        return NGX_OK;
    }

    /* cannot be; and if it were, it must not open the gate */

    return NGX_HTTP_INTERNAL_SERVER_ERROR;
}


static ngx_int_t
ngx_http_latchkey_signature_read(ngx_http_request_t *r,
    ngx_http_latchkey_sign_t *sign)
{
    ngx_int_t                       rc;
    ngx_http_latchkey_main_conf_t  *lmcf;

    lmcf = ngx_http_get_module_main_conf(r, ngx_http_latchkey_module);

    if (r->headers_in.content_length_n > 0
        && (uint64_t) r->headers_in.content_length_n
           > lmcf->settings.signature_body)
    {
        return NGX_HTTP_REQUEST_ENTITY_TOO_LARGE;
    }

    sign->state = NGX_HTTP_LATCHKEY_SIGN_READING;

    rc = ngx_http_read_client_request_body(r,
                                           ngx_http_latchkey_signature_body);

    if (rc >= NGX_HTTP_SPECIAL_RESPONSE) {
        return rc;
    }

    ngx_http_finalize_request(r, NGX_DONE);

    return NGX_DONE;
}


/* All of it is there: through the gate once more. */
static void
ngx_http_latchkey_signature_body(ngx_http_request_t *r)
{
    ngx_http_latchkey_ctx(r)->sign->state = NGX_HTTP_LATCHKEY_SIGN_BODY;

    r->preserve_body = 1;

    r->write_event_handler = ngx_http_core_run_phases;
    ngx_http_core_run_phases(r);
}


/* NGX_OK: it is settled.  NGX_AGAIN: a thread does it. */
static ngx_int_t
ngx_http_latchkey_signature_judge(ngx_http_request_t *r,
    ngx_http_latchkey_sign_t *sign)
{
    off_t                           len;
    lk_view                         body;
    lk_guard                       *guard;
    lk_reason                       why;
    lk_status                       status;
    ngx_int_t                       rc;
    ngx_chain_t                    *cl;
    ngx_http_latchkey_main_conf_t  *lmcf;

    lmcf = ngx_http_get_module_main_conf(r, ngx_http_latchkey_module);
    guard = ngx_http_latchkey_runtime()->guard;

    len = 0;

    for (cl = r->request_body ? r->request_body->bufs : NULL;
         cl != NULL;
         cl = cl->next)
    {
        len += ngx_buf_size(cl->buf);
    }

    if ((uint64_t) len > lmcf->settings.signature_body) {
        return NGX_HTTP_REQUEST_ENTITY_TOO_LARGE;
    }

    rc = ngx_http_latchkey_signature_gather(r, (size_t) len, &body);
    if (rc != NGX_OK) {
        return rc;
    }

    if (len > NGX_HTTP_LATCHKEY_HASH_HERE || lk_guard_signature_asks(guard)) {
        return ngx_http_latchkey_signature_post(r, sign, body);
    }

    why = LK_REASON_NONE;
    status = ngx_http_latchkey_signature_check(&sign->it, body, &why);

    if (status == LK_OK) {
        status = lk_guard_signature_use(guard, &sign->it, &why);
    }

    ngx_http_latchkey_signature_settle(sign, status, why);

    return NGX_OK;
}


/* Is BODY the one that was signed?  Also in a thread. */
lk_status
ngx_http_latchkey_signature_check(const lk_signed *it, lk_view body,
    lk_reason *why)
{
    u_char  digest[LK_SHA256_LEN];

    if (lk_sha256(body, digest) != LK_OK) {
        return LK_FAULT;
    }

    if (lk_secret_equal(lk_view_make(digest, LK_SHA256_LEN),
                        lk_view_make(it->body_digest, LK_SHA256_LEN)))
    {
        return LK_OK;
    }

    *why = LK_REASON_BAD_SIGNATURE;

    return LK_REFUSED;
}


/* The body in one piece: as it lies there, or put together.  Chunks that are
 * hardly longer than their framing do not fit into the buffer of a body of
 * that length, and nginx has written them to a file. */
static ngx_int_t
ngx_http_latchkey_signature_gather(ngx_http_request_t *r, size_t len,
    lk_view *body)
{
    size_t        size;
    u_char       *p;
    ssize_t       n;
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    *body = lk_view_make(NULL, 0);

    if (len == 0) {
        return NGX_OK;
    }

    cl = r->request_body->bufs;

    if (cl->next == NULL && ngx_buf_in_memory(cl->buf)) {
        *body = lk_view_make(cl->buf->pos, len);
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, len);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    *body = lk_view_make(p, len);

    for ( /* void */ ; cl != NULL; cl = cl->next) {

        b = cl->buf;
        size = (size_t) ngx_buf_size(b);

        if (size == 0) {

            /* the mark of the end, behind chunks */

            continue;
        }

        if (ngx_buf_in_memory(b)) {
            p = ngx_cpymem(p, b->pos, size);
            continue;
        }

        if (b->file == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        n = ngx_read_file(b->file, p, size, b->file_pos);

        if (n < 0 || (size_t) n != size) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        p += n;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_latchkey_signature_post(ngx_http_request_t *r,
    ngx_http_latchkey_sign_t *sign, lk_view body)
{
    lk_request                    req;
    ngx_http_latchkey_job_t      *job;
    ngx_http_latchkey_runtime_t  *rt;

    rt = ngx_http_latchkey_runtime();

    job = ngx_http_latchkey_job_new(r);
    if (job == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_memzero(&req, sizeof(lk_request));

    req.body = body;

    job->sign = sign->it;
    job->pool = rt->conf->pool;
    job->work = ngx_http_latchkey_signature_work;
    job->done = ngx_http_latchkey_signature_done;

    sign->state = NGX_HTTP_LATCHKEY_SIGN_ASKED;

    if (ngx_http_latchkey_job_copy(job, &req) != NGX_OK
        || ngx_http_latchkey_job_start(job) != NGX_OK)
    {
        ngx_http_latchkey_job_free(job);
        ngx_http_latchkey_signature_settle(sign, LK_FAULT, LK_REASON_NONE);

        return NGX_OK;
    }

    return NGX_AGAIN;
}


/* In a thread. */
static void
ngx_http_latchkey_signature_work(ngx_http_latchkey_job_t *job)
{
    job->why = LK_REASON_NONE;
    job->status = ngx_http_latchkey_signature_check(&job->sign, job->req.body,
                                                    &job->why);

    if (job->status == LK_OK) {
        job->status = lk_guard_signature_use(
                          ngx_http_latchkey_runtime()->guard, &job->sign,
                          &job->why);
    }
}


static void
ngx_http_latchkey_signature_done(ngx_http_request_t *r,
    ngx_http_latchkey_job_t *job, ngx_uint_t late)
{
    ngx_http_latchkey_sign_t  *sign;

    sign = ngx_http_latchkey_ctx(r)->sign;

    if (late) {
        ngx_http_latchkey_signature_settle(sign, LK_FAULT, LK_REASON_NONE);

    } else {
        ngx_http_latchkey_signature_settle(sign, job->status, job->why);
    }

    ngx_http_latchkey_go_on(r);
}


static void
ngx_http_latchkey_signature_settle(ngx_http_latchkey_sign_t *sign,
    lk_status status, lk_reason why)
{
    sign->state = NGX_HTTP_LATCHKEY_SIGN_BAD;
    sign->why = why;

    switch (status) {

    case LK_OK:
        sign->state = NGX_HTTP_LATCHKEY_SIGN_GOOD;
        return;

    case LK_MISS:
    case LK_STALE:
    case LK_REFUSED:
        sign->verdict = LK_VERDICT_REFUSE;
        return;

    case LK_FULL:
        sign->verdict = LK_VERDICT_UNKNOWN;
        return;

    case LK_FAULT:
        break;
    }

    sign->verdict = LK_VERDICT_UNKNOWN;
    sign->why = LK_REASON_STORE_UNAVAILABLE;
}


/* Bodies of this location fit into memory, and nginx itself turns longer ones
 * away. */
void
ngx_http_latchkey_signature_limits(ngx_conf_t *cf)
{
    off_t                           max;
    ngx_http_core_loc_conf_t       *clcf;
    ngx_http_latchkey_main_conf_t  *lmcf;

    lmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_latchkey_module);
    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    max = (off_t) lmcf->settings.signature_body;

    /* 0 would be "any length"; what is between is turned away by the gate */

    if (clcf->client_max_body_size == 0 || clcf->client_max_body_size > max) {
        clcf->client_max_body_size = ngx_max(max, 1);
    }

    clcf->client_body_buffer_size = ngx_max(clcf->client_body_buffer_size,
                                            (size_t) max + 4096);
    clcf->client_body_in_file_only = 0;
}
