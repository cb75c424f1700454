/* SPDX-License-Identifier: Apache-2.0
 *
 * ngx_http_latchkey_data_filter.c - an answer that changes the session is held
 * back until the store has acknowledged the change, so that the next request
 * of the visitor finds it, on whichever node.
 *
 * A header filter cannot wait: it returns without calling the next one, and
 * the body filter keeps what comes meanwhile without consuming it, which is
 * how nginx itself is held back by a slow client: its buffers are busy, and no
 * more are read than the settings of the location allow.
 */
#include "ngx_http_latchkey.h"


static ngx_int_t ngx_http_latchkey_body_filter(ngx_http_request_t *r,
    ngx_chain_t *in);
static ngx_int_t ngx_http_latchkey_data_replace(ngx_http_request_t *r,
    ngx_http_latchkey_data_t *d);
static ngx_uint_t ngx_http_latchkey_data_swallow(ngx_chain_t *in);


static ngx_http_output_body_filter_pt  ngx_http_next_body_filter;


void
ngx_http_latchkey_init_data(void)
{
    ngx_http_next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = ngx_http_latchkey_body_filter;
}


/* Header and body go on, or a problem in their place. */
ngx_int_t
ngx_http_latchkey_data_release(ngx_http_request_t *r,
    ngx_http_latchkey_data_t *d)
{
    ngx_int_t     rc;
    ngx_chain_t  *held;

    r->connection->buffered &= 0xff & ~NGX_HTTP_LATCHKEY_BUFFERED;

    if (d->failed) {
        return ngx_http_latchkey_data_replace(r, d);
    }

    d->state = NGX_HTTP_LATCHKEY_DATA_PASSING;

    rc = ngx_http_latchkey_header_filter(r);

    if (rc == NGX_ERROR || rc > NGX_OK) {
        return NGX_ERROR;
    }

    held = d->held;
    d->held = NULL;

    if (r->header_only || held == NULL) {
        return NGX_OK;
    }

    return ngx_http_next_body_filter(r, held) == NGX_ERROR ? NGX_ERROR
                                                           : NGX_OK;
}


/* The answer of the application is dropped, header and body.  If the end of it
 * is not here yet, whoever brings it is told to stop, by NGX_ERROR from the
 * body filter, which ends the connection too. */
static ngx_int_t
ngx_http_latchkey_data_replace(ngx_http_request_t *r,
    ngx_http_latchkey_data_t *d)
{
    lk_buf        b;
    ngx_buf_t    *out;
    ngx_int_t     rc;
    ngx_chain_t   chain;

    static ngx_str_t  type = ngx_string("application/problem+json");

    d->state = NGX_HTTP_LATCHKEY_DATA_DROPPING;

    if (ngx_http_latchkey_data_swallow(d->held) || r->header_only) {
        d->ended = 1;
    }

    d->held = NULL;

    if (!d->ended) {
        r->keepalive = 0;
    }

    out = ngx_create_temp_buf(r->pool, NGX_HTTP_LATCHKEY_PROBLEM);
    if (out == NULL) {
        return NGX_ERROR;
    }

    b = lk_buf_over(out->pos, NGX_HTTP_LATCHKEY_PROBLEM);
    lk_problem_write(NGX_HTTP_SERVICE_UNAVAILABLE,
                     LK_REASON_STORE_UNAVAILABLE,
                     LK_VIEW("what this request changed could not be kept; "
                             "please try again"), &b);
    if (lk_buf_status(&b) != LK_OK) {
        return NGX_ERROR;
    }

    out->last = out->pos + b.len;
    out->last_buf = 1;
    out->last_in_chain = 1;

    ngx_http_clean_header(r);

    r->err_status = 0;
    r->headers_out.status = NGX_HTTP_SERVICE_UNAVAILABLE;
    r->headers_out.content_type = type;
    r->headers_out.content_type_len = type.len;
    r->headers_out.content_length_n = (off_t) b.len;

    if (ngx_http_latchkey_push_header(r, "Retry-After", "1", 1) == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_http_latchkey_header_filter(r);

    if (rc == NGX_ERROR || rc > NGX_OK) {
        return NGX_ERROR;
    }

    if (r->header_only) {
        return NGX_OK;
    }

    chain.buf = out;
    chain.next = NULL;

    return ngx_http_next_body_filter(r, &chain) == NGX_ERROR ? NGX_ERROR
                                                             : NGX_OK;
}


/* Give the buffers back to who made them.  True when the last is among them. */
static ngx_uint_t
ngx_http_latchkey_data_swallow(ngx_chain_t *in)
{
    ngx_uint_t  last;

    last = 0;

    for ( /* void */ ; in != NULL; in = in->next) {
        in->buf->pos = in->buf->last;
        in->buf->file_pos = in->buf->file_last;
        last |= in->buf->last_buf;
    }

    return last;
}


static ngx_int_t
ngx_http_latchkey_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_http_latchkey_ctx_t   *ctx;
    ngx_http_latchkey_data_t  *d;

    ctx = (r == r->main) ? ngx_http_latchkey_ctx(r) : NULL;
    d = ctx ? ctx->data : NULL;

    if (d == NULL || d->state == NGX_HTTP_LATCHKEY_DATA_OPEN) {
        return ngx_http_next_body_filter(r, in);
    }

    if (d->state == NGX_HTTP_LATCHKEY_DATA_HOLDING) {
        return ngx_chain_add_copy(r->pool, &d->held, in) == NGX_OK
               ? NGX_AGAIN : NGX_ERROR;
    }

    if (d->state == NGX_HTTP_LATCHKEY_DATA_DROPPING) {

        if (ngx_http_latchkey_data_swallow(in)) {
            d->ended = 1;
        }

        if (!d->ended) {
            return NGX_ERROR;
        }

        in = NULL;
    }

    /* All is sent, and somebody only asks whether it is: the filters after us
     * never see that, and call it an error. */

    if (in == NULL && r->out == NULL && r->postponed == NULL && !r->buffered
        && !r->connection->buffered)
    {
        return NGX_OK;
    }

    return ngx_http_next_body_filter(r, in);
}
