/* SPDX-License-Identifier: Apache-2.0
 *
 * ngx_http_latchkey_trust.c - the key sets of other issuers (latchkey_trust),
 * fetched by threads of a pool of their own.
 *
 * Every issuer has one task in a worker: the timer posts it when its set is
 * due, a request when its token names a key that is not there.  Requests wait
 * for the task that is under way, or for the next one: each of them is answered
 * by a look that began after it had come, and whether that look fetches
 * anything the core decides, for all workers of the node.  So a flood of keys
 * that nobody has makes one fetch in every interval, and whoever shows a key
 * that is known waits for nothing.
 */
#include "ngx_http_latchkey.h"


#define NGX_HTTP_LATCHKEY_TRUST_TICK  1000

/* requests of a worker that wait for one issuer, and how long: a fetch that
 * another process has begun, and one more */
#define NGX_HTTP_LATCHKEY_TRUST_MAX   256
#define NGX_HTTP_LATCHKEY_TRUST_WAIT  13000


typedef struct {
    ngx_thread_task_t    task;
    uint32_t             index;

    ngx_queue_t          waiting;
    ngx_queue_t          asked;      /* answered by the task under way */
    ngx_uint_t           n;          /* in both */

    lk_status            keys;       /* the thread's answers */
    lk_status            view;
    lk_note              note;
    char                 said[sizeof(lk_note)];

    unsigned             wants_view:1;
    unsigned             busy:1;
} ngx_http_latchkey_trust_t;


static void ngx_http_latchkey_close_trust(void *data);
static void ngx_http_latchkey_trust_late(ngx_http_latchkey_wait_t *wait);
static void ngx_http_latchkey_trust_left(ngx_http_latchkey_wait_t *wait);
static void ngx_http_latchkey_trust_start(ngx_http_latchkey_trust_t *trust);
static void ngx_http_latchkey_trust_thread(void *data, ngx_log_t *log);
static void ngx_http_latchkey_trust_event(ngx_event_t *ev);
static void ngx_http_latchkey_trust_answer(ngx_http_latchkey_trust_t *trust);
static void ngx_http_latchkey_trust_say(ngx_http_latchkey_trust_t *trust,
    ngx_log_t *log);
static void ngx_http_latchkey_trust_tick(ngx_event_t *ev);


static ngx_http_latchkey_trust_t  ngx_http_latchkey_trusts[LK_TRUSTS_MAX];
static ngx_event_t                ngx_http_latchkey_trust_timer;


/* Before the workers are: the memory that they share, with the sets that the
 * configuration before this one knew. */
ngx_int_t
ngx_http_latchkey_open_trust(ngx_conf_t *cf,
    ngx_http_latchkey_main_conf_t *lmcf)
{
    ngx_pool_cleanup_t             *cln;
    ngx_http_latchkey_main_conf_t  *prev;

    if (lmcf->settings.trusts_n == 0) {
        return NGX_OK;
    }

    lmcf->trust_pool = ngx_http_latchkey_trust_pool(cf);
    if (lmcf->trust_pool == NULL) {
        return NGX_ERROR;
    }

    if (ngx_test_config || ngx_process == NGX_PROCESS_SIGNALLER) {
        return NGX_OK;
    }

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    prev = ngx_http_latchkey_previous(cf);

    if (lk_trust_room_make(&lmcf->settings, prev ? prev->trust : NULL,
                           &lmcf->trust)
        != LK_OK)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "latchkey_trust: no memory for the key sets");
        return NGX_ERROR;
    }

    cln->handler = ngx_http_latchkey_close_trust;
    cln->data = lmcf->trust;

    return NGX_OK;
}


static void
ngx_http_latchkey_close_trust(void *data)
{
    lk_trust_room_free(data);
}


void
ngx_http_latchkey_trust_init(ngx_http_latchkey_runtime_t *rt)
{
    uint32_t                    i;
    ngx_http_latchkey_trust_t  *trust;

    for (i = 0; i < rt->conf->settings.trusts_n; i++) {
        trust = &ngx_http_latchkey_trusts[i];

        trust->index = i;
        ngx_queue_init(&trust->waiting);
        ngx_queue_init(&trust->asked);

        trust->task.ctx = trust;
        trust->task.handler = ngx_http_latchkey_trust_thread;
        trust->task.event.handler = ngx_http_latchkey_trust_event;
        trust->task.event.data = trust;
        trust->task.event.log = ngx_cycle->log;
    }

    if (i == 0) {
        return;
    }

    ngx_http_latchkey_trust_timer.handler = ngx_http_latchkey_trust_tick;
    ngx_http_latchkey_trust_timer.data = rt;
    ngx_http_latchkey_trust_timer.log = ngx_cycle->log;
    ngx_http_latchkey_trust_timer.cancelable = 1;

    ngx_add_timer(&ngx_http_latchkey_trust_timer, 1);
}


/* Put R aside until QUESTION is answered; it comes back through the gate.
 * NGX_OK; NGX_BUSY when too many wait; NGX_ERROR. */
ngx_int_t
ngx_http_latchkey_trust_ask(ngx_http_request_t *r,
    const lk_question *question)
{
    ngx_http_latchkey_ask_t    *ask;
    ngx_http_latchkey_trust_t  *trust;

    trust = &ngx_http_latchkey_trusts[question->wants_keys - 1];

    if (trust->n >= NGX_HTTP_LATCHKEY_TRUST_MAX) {
        return NGX_BUSY;
    }

    ask = ngx_http_latchkey_lane_get();
    if (ask == NULL) {
        return NGX_ERROR;
    }

    ngx_http_latchkey_wait_init(&ask->wait, ngx_http_latchkey_trust_late,
                                ngx_http_latchkey_trust_left);

    if (ngx_http_latchkey_wait_begin(&ask->wait, r,
                                     NGX_HTTP_LATCHKEY_TRUST_WAIT)
        != NGX_OK)
    {
        ngx_http_latchkey_lane_free(ask);
        return NGX_ERROR;
    }

    ask->has_question = 1;
    ask->question.wants_session = 0;
    ask->question.wants_own_keys = 0;
    ask->question.wants_api_key = 0;
    ask->question.wants_view = question->wants_view;
    ask->question.wants_keys = question->wants_keys;
    ask->question.status = LK_FAULT;
    ask->question.record_len = 0;

    ngx_queue_insert_tail(&trust->waiting, &ask->queue);
    trust->n++;

    if (!trust->busy) {
        ngx_http_latchkey_trust_start(trust);
    }

    return NGX_OK;
}


static ngx_http_latchkey_ask_t *
ngx_http_latchkey_trust_ask_of(ngx_http_latchkey_wait_t *wait)
{
    return (ngx_http_latchkey_ask_t *)
               ((u_char *) wait - offsetof(ngx_http_latchkey_ask_t, wait));
}


/* Longer than every deadline: it goes on without an answer. */
static void
ngx_http_latchkey_trust_late(ngx_http_latchkey_wait_t *wait)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = ngx_http_latchkey_wait_end(wait);
    c = r->connection;

    ngx_log_error(NGX_LOG_ERR, c->log, 0,
                  "latchkey: a key set was not looked at within %d ms",
                  NGX_HTTP_LATCHKEY_TRUST_WAIT);

    ngx_http_latchkey_trust_left(wait);

    ngx_http_latchkey_ctx(r)->unanswered = 1;

    ngx_http_latchkey_go_on(r);
    ngx_http_run_posted_requests(c);
}


static void
ngx_http_latchkey_trust_left(ngx_http_latchkey_wait_t *wait)
{
    ngx_http_latchkey_ask_t  *ask;

    ask = ngx_http_latchkey_trust_ask_of(wait);

    if (!ask->asked) {
        ngx_queue_remove(&ask->queue);
        ngx_http_latchkey_trusts[ask->question.wants_keys - 1].n--;
        ngx_http_latchkey_lane_free(ask);
    }
}


static void
ngx_http_latchkey_trust_start(ngx_http_latchkey_trust_t *trust)
{
    ngx_queue_t                  *q;
    ngx_http_latchkey_ask_t      *ask;
    ngx_http_latchkey_runtime_t  *rt;

    rt = ngx_http_latchkey_runtime();

    trust->wants_view = 0;

    while (!ngx_queue_empty(&trust->waiting)) {
        q = ngx_queue_head(&trust->waiting);
        ngx_queue_remove(q);
        ngx_queue_insert_tail(&trust->asked, q);

        ask = ngx_queue_data(q, ngx_http_latchkey_ask_t, queue);
        ask->asked = 1;

        if (ask->question.wants_view) {
            trust->wants_view = 1;
        }
    }

    trust->busy = 1;

    if (ngx_thread_task_post(rt->conf->trust_pool, &trust->task) == NGX_OK) {
        return;
    }

    /* the queue of the pool is full: nobody will answer */

    trust->busy = 0;
    trust->keys = LK_FAULT;
    trust->view = LK_FAULT;

    ngx_http_latchkey_trust_answer(trust);
}


/* In a thread. */
static void
ngx_http_latchkey_trust_thread(void *data, ngx_log_t *log)
{
    ngx_http_latchkey_trust_t  *trust = data;

    lk_guard  *guard;

    guard = ngx_http_latchkey_runtime()->guard;

    trust->note.text[0] = '\0';
    trust->keys = lk_guard_trust_look(guard, trust->index, &trust->note);
    trust->view = trust->wants_view ? lk_guard_follow(guard) : LK_OK;
}


static void
ngx_http_latchkey_trust_event(ngx_event_t *ev)
{
    ngx_http_latchkey_trust_t  *trust = ev->data;

    trust->busy = 0;

    ngx_http_latchkey_trust_say(trust, ev->log);
    ngx_http_latchkey_trust_answer(trust);

    if (!trust->busy && !ngx_queue_empty(&trust->waiting)) {
        ngx_http_latchkey_trust_start(trust);
    }
}


/* Requests that go on here may end others of the batch: those are asked still,
 * so they stay until their turn.  A new one starts no task meanwhile. */
static void
ngx_http_latchkey_trust_answer(ngx_http_latchkey_trust_t *trust)
{
    lk_status                 keys, view;
    ngx_queue_t              *q;
    ngx_http_latchkey_ask_t  *ask;

    keys = trust->keys;
    view = trust->view;

    trust->busy = 1;

    while (!ngx_queue_empty(&trust->asked)) {
        q = ngx_queue_head(&trust->asked);
        ngx_queue_remove(q);
        trust->n--;

        ask = ngx_queue_data(q, ngx_http_latchkey_ask_t, queue);
        ask->question.keys = keys;
        ask->question.view = view;

        ngx_http_latchkey_lane_answer(ask);
    }

    trust->busy = 0;
}


/* Say once why a set cannot be had, and once that it can again. */
static void
ngx_http_latchkey_trust_say(ngx_http_latchkey_trust_t *trust, ngx_log_t *log)
{
    if (trust->keys == LK_FAULT) {

        if (ngx_strcmp(trust->said, trust->note.text) != 0) {
            ngx_memcpy(trust->said, trust->note.text, sizeof(lk_note));
            ngx_log_error(NGX_LOG_ERR, log, 0, "latchkey: %s",
                          trust->note.text);
        }

        return;
    }

    if (trust->keys == LK_OK && trust->said[0] != '\0') {
        trust->said[0] = '\0';
        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "latchkey: the key set of issuer \"%s\" was fetched "
                      "again",
                      ngx_http_latchkey_runtime()->conf
                          ->settings.trusts[trust->index].issuer);
    }
}


static void
ngx_http_latchkey_trust_tick(ngx_event_t *ev)
{
    ngx_http_latchkey_runtime_t  *rt = ev->data;

    uint32_t                    i;
    ngx_http_latchkey_trust_t  *trust;

    if (ngx_exiting || ngx_terminate || ngx_quit) {
        return;
    }

    for (i = 0; rt->guard != NULL && i < rt->conf->settings.trusts_n; i++) {
        trust = &ngx_http_latchkey_trusts[i];

        if (!trust->busy && lk_guard_trust_is_due(rt->guard, i)) {
            ngx_http_latchkey_trust_start(trust);
        }
    }

    ngx_add_timer(ev, rt->guard != NULL ? NGX_HTTP_LATCHKEY_TRUST_TICK : 50);
}
