/* SPDX-License-Identifier: Apache-2.0
 *
 * ngx_http_latchkey_lane.c - the lane of a worker to its store: what the checks
 * of its requests have to ask goes there in batches.
 *
 * A request whose check has to ask is put aside, with a copy of its question.
 * At the end of the turn of the event loop all that wait go as one task to a
 * thread, which answers them as one batch; what comes meanwhile is the next
 * batch, which goes before the answers of the last one are handed out.  So the event loop never waits for the store, a store that is slow is
 * asked in larger batches, and one that hangs holds one thread.
 *
 * An ask is
 *
 *   waiting   in the queue; freed if its request leaves
 *   asked     in the batch: the thread reads and writes its question.  If its
 *             request leaves, it is freed when the batch is through
 *   answered  its request's: ctx->answer, until the gate has read it
 *
 * and spare otherwise.  The batch holds asks and not requests, and an ask knows
 * one request at most: an answer can go to the request that asked, or to
 * nobody.
 */
#include "ngx_http_latchkey.h"


struct ngx_http_latchkey_lane_s {
    ngx_thread_task_t            task;
    ngx_event_t                  turn;       /* the end of this turn */

    ngx_queue_t                  waiting;
    ngx_uint_t                   waiting_n;

    ngx_http_latchkey_ask_t     *asked[LK_ASK_MAX];
    lk_question                 *questions[LK_ASK_MAX];
    ngx_uint_t                   asked_n;    /* 0: no batch is under way */

    unsigned                     faults:1;   /* of the last batch */
};


static void ngx_http_latchkey_lane_make(ngx_http_latchkey_lane_t *lane);
static void ngx_http_latchkey_lane_late(ngx_http_latchkey_wait_t *wait);
static void ngx_http_latchkey_lane_left(ngx_http_latchkey_wait_t *wait);
static void ngx_http_latchkey_lane_next(ngx_http_latchkey_lane_t *lane);
static void ngx_http_latchkey_lane_turn(ngx_event_t *ev);
static void ngx_http_latchkey_lane_thread(void *data, ngx_log_t *log);
static void ngx_http_latchkey_lane_event(ngx_event_t *ev);
static void ngx_http_latchkey_lane_note_faults(ngx_http_latchkey_lane_t *lane,
    ngx_log_t *log);


/* One to the store, and one to the accounts, for API keys at their first use:
 * those may be slow, or far, or away, and whoever asks the store does not wait
 * for them. */
static ngx_http_latchkey_lane_t  ngx_http_latchkey_lanes[2];

#define NGX_HTTP_LATCHKEY_LANE_STORE     (&ngx_http_latchkey_lanes[0])
#define NGX_HTTP_LATCHKEY_LANE_ACCOUNTS  (&ngx_http_latchkey_lanes[1])


/* Free asks, of both. */
static ngx_queue_t               ngx_http_latchkey_spare;


void
ngx_http_latchkey_lane_init(void)
{
    ngx_queue_init(&ngx_http_latchkey_spare);

    ngx_http_latchkey_lane_make(NGX_HTTP_LATCHKEY_LANE_STORE);
    ngx_http_latchkey_lane_make(NGX_HTTP_LATCHKEY_LANE_ACCOUNTS);
}


static void
ngx_http_latchkey_lane_make(ngx_http_latchkey_lane_t *lane)
{
    ngx_queue_init(&lane->waiting);

    lane->task.ctx = lane;
    lane->task.handler = ngx_http_latchkey_lane_thread;
    lane->task.event.handler = ngx_http_latchkey_lane_event;
    lane->task.event.data = lane;
    lane->task.event.log = ngx_cycle->log;

    lane->turn.handler = ngx_http_latchkey_lane_turn;
    lane->turn.data = lane;
    lane->turn.log = ngx_cycle->log;
}


/* Put R aside until QUESTION is answered, or (NULL) until it is known whether
 * the store can be opened; it comes back through the gate.  NGX_OK; NGX_BUSY
 * when too many wait; NGX_ERROR. */
ngx_int_t
ngx_http_latchkey_lane_ask(ngx_http_request_t *r, const lk_question *question)
{
    ngx_http_latchkey_ask_t        *ask;
    ngx_http_latchkey_lane_t       *lane;
    ngx_http_latchkey_main_conf_t  *conf;

    lane = (question != NULL && question->wants_api_key)
           ? NGX_HTTP_LATCHKEY_LANE_ACCOUNTS : NGX_HTTP_LATCHKEY_LANE_STORE;
    conf = ngx_http_latchkey_runtime()->conf;

    if (lane->waiting_n >= conf->lane_queue) {
        return NGX_BUSY;
    }

    ask = ngx_http_latchkey_lane_get();
    if (ask == NULL) {
        return NGX_ERROR;
    }

    ask->lane = lane;

    if (ngx_http_latchkey_wait_begin(&ask->wait, r,
                          lane == NGX_HTTP_LATCHKEY_LANE_STORE
                          ? conf->lane_wait : conf->wait)
        != NGX_OK)
    {
        ngx_http_latchkey_lane_free(ask);
        return NGX_ERROR;
    }

    ask->has_question = (question != NULL);

    if (question != NULL) {

        /* what was asked; the rest of it is room for the answer */

        ask->question.wants_session = question->wants_session;
        ask->question.wants_view = question->wants_view;
        ask->question.wants_keys = 0;
        ask->question.wants_own_keys = question->wants_own_keys;
        ask->question.wants_api_key = question->wants_api_key;
        ask->question.key = question->key;
        ngx_memcpy(ask->question.api_key, question->api_key,
                   sizeof(question->api_key));
    }

    ngx_queue_insert_tail(&lane->waiting, &ask->queue);
    lane->waiting_n++;

    ngx_http_latchkey_lane_next(lane);

    return NGX_OK;
}


/* There are never more than may wait and what one batch holds. */
ngx_http_latchkey_ask_t *
ngx_http_latchkey_lane_get(void)
{
    ngx_queue_t               *q;
    ngx_http_latchkey_ask_t   *ask;

    if (!ngx_queue_empty(&ngx_http_latchkey_spare)) {
        q = ngx_queue_head(&ngx_http_latchkey_spare);
        ngx_queue_remove(q);

        ask = ngx_queue_data(q, ngx_http_latchkey_ask_t, queue);

    } else {
        ask = ngx_alloc(sizeof(ngx_http_latchkey_ask_t), ngx_cycle->log);
        if (ask == NULL) {
            return NULL;
        }
    }

    ngx_http_latchkey_wait_init(&ask->wait, ngx_http_latchkey_lane_late,
                                ngx_http_latchkey_lane_left);
    ask->asked = 0;

    return ask;
}


void
ngx_http_latchkey_lane_free(ngx_http_latchkey_ask_t *ask)
{
    ngx_queue_insert_head(&ngx_http_latchkey_spare, &ask->queue);
}


static ngx_http_latchkey_ask_t *
ngx_http_latchkey_lane_of(ngx_http_latchkey_wait_t *wait)
{
    return (ngx_http_latchkey_ask_t *)
               ((u_char *) wait - offsetof(ngx_http_latchkey_ask_t, wait));
}


/* The thread, or the store, takes longer than every deadline: the request goes
 * on without an answer, and its question stays where it is. */
static void
ngx_http_latchkey_lane_late(ngx_http_latchkey_wait_t *wait)
{
    ngx_connection_t         *c;
    ngx_http_request_t       *r;
    ngx_http_latchkey_ask_t  *ask;

    ask = ngx_http_latchkey_lane_of(wait);
    r = ngx_http_latchkey_wait_end(wait);
    c = r->connection;

    if (ask->lane == NGX_HTTP_LATCHKEY_LANE_STORE) {
        ngx_log_error(NGX_LOG_ERR, c->log, 0,
                      "latchkey: the store was not asked within %M ms",
                      ngx_http_latchkey_runtime()->conf->lane_wait);

    } else {
        ngx_log_error(NGX_LOG_ERR, c->log, 0,
                      "latchkey: the accounts were not asked within %M ms",
                      ngx_http_latchkey_runtime()->conf->wait);
    }

    ngx_http_latchkey_lane_left(&ask->wait);

    ngx_http_latchkey_ctx(r)->unanswered = 1;

    ngx_http_latchkey_go_on(r);
    ngx_http_run_posted_requests(c);
}


static void
ngx_http_latchkey_lane_left(ngx_http_latchkey_wait_t *wait)
{
    ngx_http_latchkey_ask_t  *ask;

    ask = ngx_http_latchkey_lane_of(wait);

    if (!ask->asked) {
        ngx_queue_remove(&ask->queue);
        ask->lane->waiting_n--;
        ngx_http_latchkey_lane_free(ask);
    }
}


/* Whoever else asks in this turn of the event loop is in the same batch. */
static void
ngx_http_latchkey_lane_next(ngx_http_latchkey_lane_t *lane)
{
    if (lane->asked_n == 0 && lane->waiting_n != 0
        && !ngx_http_latchkey_runtime()->opening)
    {
        ngx_post_event(&lane->turn, &ngx_posted_events);
    }
}


static void
ngx_http_latchkey_lane_turn(ngx_event_t *ev)
{
    ngx_queue_t                  *q;
    ngx_http_latchkey_ask_t      *ask;
    ngx_http_latchkey_lane_t     *lane;
    ngx_http_latchkey_runtime_t  *rt;

    lane = ev->data;
    rt = ngx_http_latchkey_runtime();

    if (lane->asked_n != 0 || rt == NULL) {
        return;
    }

    while (lane->asked_n < LK_ASK_MAX && !ngx_queue_empty(&lane->waiting)) {
        q = ngx_queue_head(&lane->waiting);
        ask = ngx_queue_data(q, ngx_http_latchkey_ask_t, queue);

        ngx_queue_remove(q);
        lane->waiting_n--;

        ask->asked = 1;

        lane->questions[lane->asked_n] = &ask->question;
        lane->asked[lane->asked_n] = ask;
        lane->asked_n++;
    }

    if (lane->asked_n == 0
        || ngx_thread_task_post(lane == NGX_HTTP_LATCHKEY_LANE_STORE
                                ? rt->conf->lane_pool : rt->conf->pool,
                                &lane->task)
           == NGX_OK)
    {
        return;
    }

    /* the queue of the pool is full: nobody will answer */

    while (lane->asked_n != 0) {
        ask = lane->asked[--lane->asked_n];

        ask->question.view = LK_FAULT;
        ask->question.status = LK_FAULT;

        ngx_http_latchkey_lane_answer(ask);
    }

    ngx_http_latchkey_lane_next(lane);
}


/* In a thread. */
static void
ngx_http_latchkey_lane_thread(void *data, ngx_log_t *log)
{
    ngx_http_latchkey_lane_t  *lane = data;

    lk_guard_ask(ngx_http_latchkey_runtime()->guard, lane->questions,
                 lane->asked_n);
}


/* In the event loop again.  What came meanwhile goes to the thread first, so
 * that the store works while these requests are answered.  Those that go on
 * here may ask anew, and may end others of their batch: these are asked still,
 * so they stay. */
static void
ngx_http_latchkey_lane_event(ngx_event_t *ev)
{
    ngx_uint_t                 i, n;
    ngx_http_latchkey_ask_t   *answered[LK_ASK_MAX];
    ngx_http_latchkey_lane_t  *lane = ev->data;

    ngx_http_latchkey_lane_note_faults(lane, ev->log);

    n = lane->asked_n;
    ngx_memcpy(answered, lane->asked, n * sizeof(answered[0]));
    lane->asked_n = 0;

    if (!ngx_http_latchkey_runtime()->opening) {
        ngx_http_latchkey_lane_turn(&lane->turn);
    }

    for (i = 0; i < n; i++) {
        ngx_http_latchkey_lane_answer(answered[i]);
    }

    ngx_http_latchkey_lane_next(lane);
}


/* Say once that the store is away, and once that it is back. */
static void
ngx_http_latchkey_lane_note_faults(ngx_http_latchkey_lane_t *lane,
    ngx_log_t *log)
{
    ngx_uint_t    i, faults;
    lk_question  *question;

    faults = 0;

    for (i = 0; i < lane->asked_n; i++) {
        question = lane->questions[i];

        if ((question->wants_view && question->view == LK_FAULT)
            || (question->wants_session && question->status == LK_FAULT))
        {
            faults = 1;
            break;
        }
    }

    if (faults == lane->faults) {
        return;
    }

    lane->faults = faults ? 1 : 0;

    if (lane == NGX_HTTP_LATCHKEY_LANE_ACCOUNTS) {

        if (faults) {
            ngx_log_error(NGX_LOG_ERR, log, 0,
                          "latchkey: the accounts could not be asked: API "
                          "keys that are not known yet get 503");

        } else {
            ngx_log_error(NGX_LOG_NOTICE, log, 0,
                          "latchkey: the accounts answer again");
        }

        return;
    }

    if (faults) {
        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "latchkey: the store could not be asked; until it can "
                      "be, latchkey_on_unknown decides");
        return;
    }

    ngx_log_error(NGX_LOG_NOTICE, log, 0, "latchkey: the store answers again");
}


void
ngx_http_latchkey_lane_answer(ngx_http_latchkey_ask_t *ask)
{
    ngx_connection_t         *c;
    ngx_http_request_t       *r;
    ngx_http_latchkey_ctx_t  *ctx;

    if (ask->wait.request == NULL) {
        ngx_http_latchkey_lane_free(ask);
        return;
    }

    r = ngx_http_latchkey_wait_end(&ask->wait);
    c = r->connection;

    ctx = ngx_http_latchkey_ctx(r);

    if (ask->has_question) {
        ctx->answer = ask;

    } else {
        ngx_http_latchkey_lane_free(ask);
    }

    ngx_http_latchkey_go_on(r);
    ngx_http_run_posted_requests(c);
}


/* The store was opened, or could not be: who waited for that goes on. */
void
ngx_http_latchkey_lane_opened(void)
{
    ngx_queue_t                waiting, *q;
    ngx_http_latchkey_ask_t   *ask;
    ngx_http_latchkey_lane_t  *lane;

    /* nobody asks for a key before the store was asked */

    lane = NGX_HTTP_LATCHKEY_LANE_STORE;

    ngx_queue_init(&waiting);

    if (!ngx_queue_empty(&lane->waiting)) {
        ngx_queue_add(&waiting, &lane->waiting);
        ngx_queue_init(&lane->waiting);
    }

    while (!ngx_queue_empty(&waiting)) {
        q = ngx_queue_head(&waiting);
        ask = ngx_queue_data(q, ngx_http_latchkey_ask_t, queue);

        ngx_queue_remove(q);
        lane->waiting_n--;

        ask->asked = 1;

        ngx_http_latchkey_lane_answer(ask);
    }
}
