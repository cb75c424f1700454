/* SPDX-License-Identifier: Apache-2.0
 *
 * ngx_http_latchkey_wait.c - a request that is put aside until something is
 * there, and how it ends waiting: it is given what it waits for, it has waited
 * too long, or it dies first (the client went away).
 *
 * What is waited for owns the wait, and its request is NULL as soon as nobody
 * waits any more.  The way from the request to the wait is its context, which
 * a cleanup of its pool finds, so an internal redirect cannot lose it.
 */
#include "ngx_http_latchkey.h"


static void ngx_http_latchkey_wait_late(ngx_event_t *ev);


void
ngx_http_latchkey_wait_init(ngx_http_latchkey_wait_t *wait,
    ngx_http_latchkey_wait_pt late, ngx_http_latchkey_wait_pt left)
{
    wait->request = NULL;
    wait->late = late;
    wait->left = left;

    ngx_memzero(&wait->timer, sizeof(ngx_event_t));

    wait->timer.handler = ngx_http_latchkey_wait_late;
    wait->timer.data = wait;
    wait->timer.log = ngx_cycle->log;
}


/* Nobody reads from the client or writes to it while R waits. */
static ngx_int_t
ngx_http_latchkey_wait_aside(ngx_http_request_t *r)
{
    if (r == r->main) {

        /* a client that goes away meanwhile is to be noticed, also by event
         * methods that forget what they reported (select, poll) */

        if (ngx_handle_read_event(r->connection->read, 0) != NGX_OK) {
            return NGX_ERROR;
        }

        r->read_event_handler = ngx_http_test_reading;
    }

    r->write_event_handler = ngx_http_request_empty_handler;

    return NGX_OK;
}


/* Put R aside.  A request waits for one thing at a time.  Where its answer is
 * what waits, the request is in the works of a content handler: who reads and
 * writes stays as it is. */
ngx_int_t
ngx_http_latchkey_wait_begin(ngx_http_latchkey_wait_t *wait,
    ngx_http_request_t *r, ngx_msec_t at_most)
{
    ngx_http_latchkey_ctx_t  *ctx;

    ctx = ngx_http_latchkey_need_ctx(r);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    if (!wait->filter && ngx_http_latchkey_wait_aside(r) != NGX_OK) {
        return NGX_ERROR;
    }

    ctx->wait = wait;
    wait->request = r;

    /* the timer is not cancelable: it is also what keeps a worker that shuts
     * down from closing connections whose requests wait */

    ngx_add_timer(&wait->timer, at_most);

    return NGX_OK;
}


/* The request waits no more.  Log messages are its own again; what is done
 * with it now has to end with ngx_http_run_posted_requests(). */
ngx_http_request_t *
ngx_http_latchkey_wait_end(ngx_http_latchkey_wait_t *wait)
{
    ngx_http_request_t       *r;
    ngx_http_latchkey_ctx_t  *ctx;

    r = wait->request;
    wait->request = NULL;

    if (wait->timer.timer_set) {
        ngx_del_timer(&wait->timer);
    }

    ctx = ngx_http_latchkey_ctx(r);
    if (ctx != NULL) {
        ctx->wait = NULL;
    }

    ngx_http_set_log_request(r->connection->log, r);

    return r;
}


/* Waiting could not begin after all: the request is where it was. */
void
ngx_http_latchkey_wait_cancel(ngx_http_latchkey_wait_t *wait)
{
    ngx_http_request_t  *r;

    r = ngx_http_latchkey_wait_end(wait);

    if (wait->filter) {
        return;
    }

    if (r == r->main) {
        r->read_event_handler = ngx_http_block_reading;
    }

    r->write_event_handler = ngx_http_core_run_phases;
}


/* The request is being freed. */
void
ngx_http_latchkey_wait_leave(ngx_http_latchkey_wait_t *wait)
{
    wait->request = NULL;

    if (wait->timer.timer_set) {
        ngx_del_timer(&wait->timer);
    }

    wait->left(wait);
}


static void
ngx_http_latchkey_wait_late(ngx_event_t *ev)
{
    ngx_http_latchkey_wait_t  *wait = ev->data;

    wait->late(wait);
}


/* Enter the phase again that was left with NGX_AGAIN.  R may be gone after. */
void
ngx_http_latchkey_go_on(ngx_http_request_t *r)
{
    if (r == r->main) {

        if (ngx_handle_read_event(r->connection->read, 0) != NGX_OK) {
            ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
            return;
        }

        r->read_event_handler = ngx_http_block_reading;
    }

    r->write_event_handler = ngx_http_core_run_phases;

    ngx_http_core_run_phases(r);
}
