/* SPDX-License-Identifier: Apache-2.0
 *
 * ngx_http_latchkey_runtime.c - what each worker opens after the fork, and the
 * upkeep it does.
 *
 * Handles of stores must not cross a fork, and opening one may wait for a
 * network: so it is a thread that opens, and what comes to the worker before
 * it is through waits for it (ngx_http_latchkey_open_first).  What cannot be
 * opened leaves its place empty, and is tried again every second: a worker that
 * ended itself instead would be started again at once, and again.
 */
#include "ngx_http_latchkey.h"
#include <guard/open_store.h>


#define NGX_HTTP_LATCHKEY_UPKEEP  1000
#define NGX_HTTP_LATCHKEY_REOPEN  1000


typedef struct {
    ngx_thread_task_t              task;
    ngx_event_t                    timer;
    ngx_http_latchkey_opened_t     opened;   /* the thread's copy */
    lk_note                        note;
    char                           said[sizeof(lk_note)];
    lk_status                      status;
    ngx_uint_t                     busy;     /* 1 while a thread has it */
} ngx_http_latchkey_chore_t;


static void ngx_http_latchkey_open_all(ngx_http_latchkey_runtime_t *rt,
    ngx_http_latchkey_opened_t *opened, lk_note *note);
static lk_status ngx_http_latchkey_open_store(ngx_http_latchkey_runtime_t *rt,
    ngx_http_latchkey_opened_t *opened, lk_note *note);
static lk_status ngx_http_latchkey_open_guard(ngx_http_latchkey_runtime_t *rt,
    ngx_http_latchkey_opened_t *opened, lk_note *note);
static lk_status ngx_http_latchkey_open_service(
    ngx_http_latchkey_runtime_t *rt, ngx_http_latchkey_opened_t *opened,
    lk_note *note);
static void ngx_http_latchkey_adopt(ngx_http_latchkey_runtime_t *rt,
    const ngx_http_latchkey_opened_t *opened);
static ngx_uint_t ngx_http_latchkey_say(ngx_http_latchkey_chore_t *chore);
static void ngx_http_latchkey_init_chore(ngx_http_latchkey_chore_t *chore,
    void (*work)(void *data, ngx_log_t *log), ngx_event_handler_pt done);
static void ngx_http_latchkey_tick(ngx_event_t *ev);
static ngx_int_t ngx_http_latchkey_post_chore(
    ngx_http_latchkey_chore_t *chore);
static void ngx_http_latchkey_reopen_work(void *data, ngx_log_t *log);
static void ngx_http_latchkey_reopen_done(ngx_event_t *ev);
static void ngx_http_latchkey_upkeep_work(void *data, ngx_log_t *log);
static void ngx_http_latchkey_upkeep_done(ngx_event_t *ev);


static ngx_http_latchkey_runtime_t  *ngx_http_latchkey_running;

static ngx_http_latchkey_chore_t     ngx_http_latchkey_upkeep;
static ngx_http_latchkey_chore_t     ngx_http_latchkey_reopen;


/* NULL in the master, and where no location uses latchkey. */
ngx_http_latchkey_runtime_t *
ngx_http_latchkey_runtime(void)
{
    return ngx_http_latchkey_running;
}


/* Why this worker cannot serve, as long as it cannot. */
const char *
ngx_http_latchkey_not_open(void)
{
    return ngx_http_latchkey_reopen.said;
}


ngx_int_t
ngx_http_latchkey_init_process(ngx_cycle_t *cycle)
{
    ngx_http_latchkey_runtime_t    *rt;
    ngx_http_latchkey_main_conf_t  *lmcf;

    if (ngx_process != NGX_PROCESS_WORKER
        && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    lmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_latchkey_module);

    if (lmcf == NULL || !lmcf->enabled) {
        return NGX_OK;
    }

    rt = ngx_calloc(sizeof(ngx_http_latchkey_runtime_t), cycle->log);
    if (rt == NULL) {
        return NGX_ERROR;
    }

    rt->conf = lmcf;
    ngx_queue_init(&rt->waiting);

    lk_cluster_clock_init(&rt->clock, lk_env_system(), lmcf->shared->table);

    ngx_http_latchkey_running = rt;
    ngx_http_latchkey_lane_init();

    ngx_http_latchkey_trust_init(rt);

    ngx_http_latchkey_init_chore(&ngx_http_latchkey_reopen,
                                 ngx_http_latchkey_reopen_work,
                                 ngx_http_latchkey_reopen_done);

    ngx_http_latchkey_init_chore(&ngx_http_latchkey_upkeep,
                                 ngx_http_latchkey_upkeep_work,
                                 ngx_http_latchkey_upkeep_done);

    rt->opening = 1;

    if (ngx_http_latchkey_post_chore(&ngx_http_latchkey_reopen) != NGX_OK) {
        return NGX_ERROR;
    }

    /* workers that started together do not keep house together */

    ngx_add_timer(&ngx_http_latchkey_upkeep.timer,
                  NGX_HTTP_LATCHKEY_UPKEEP
                  + (ngx_msec_t) (ngx_worker * 37 % 1000));

    return NGX_OK;
}


/* Thread pools, a core module, have ended their threads before: what a thread
 * had opened last may not have been taken over. */
void
ngx_http_latchkey_exit_process(ngx_cycle_t *cycle)
{
    ngx_http_latchkey_runtime_t  *rt;

    rt = ngx_http_latchkey_running;

    if (rt == NULL) {
        return;
    }

    if (ngx_http_latchkey_reopen.busy) {
        ngx_http_latchkey_adopt(rt, &ngx_http_latchkey_reopen.opened);
    }

    ngx_http_latchkey_running = NULL;

    if (rt->service != NULL) {
        lk_service_close(rt->service);
    }

    if (rt->accounts != NULL) {
        lk_accounts_close(rt->accounts);
    }

    if (rt->guard != NULL) {
        lk_guard_close(rt->guard);
    }

    if (rt->store != NULL) {
        lk_store_close(rt->store);
    }

    ngx_free(rt);
}


static void
ngx_http_latchkey_adopt(ngx_http_latchkey_runtime_t *rt,
    const ngx_http_latchkey_opened_t *opened)
{
    rt->store = opened->store;
    rt->guard = opened->guard;
    rt->accounts = opened->accounts;
    rt->service = opened->service;
}


/* Open what is not open yet, as far as it goes. */
static void
ngx_http_latchkey_open_all(ngx_http_latchkey_runtime_t *rt,
    ngx_http_latchkey_opened_t *opened, lk_note *note)
{
    note->text[0] = '\0';

    if (ngx_http_latchkey_open_store(rt, opened, note) == LK_OK
        && ngx_http_latchkey_open_guard(rt, opened, note) == LK_OK
        && ngx_http_latchkey_open_service(rt, opened, note) == LK_OK)
    {
        note->text[0] = '\0';
    }
}


/* The nodes that share a store go by the clock of that store.  One that lies
 * on this machine has this machine's. */
static const lk_env *
ngx_http_latchkey_env(ngx_http_latchkey_runtime_t *rt)
{
    return ngx_http_latchkey_is_network(rt->conf->settings.store)
           || ngx_http_latchkey_is_network(rt->conf->settings.move_store)
           ? &rt->clock.env : lk_env_system();
}


static lk_status
ngx_http_latchkey_open_store(ngx_http_latchkey_runtime_t *rt,
    ngx_http_latchkey_opened_t *opened, lk_note *note)
{
    lk_status  status;

    if (opened->store != NULL) {
        return LK_OK;
    }

    status = lk__open_store(ngx_http_latchkey_env(rt), &rt->conf->settings, 1,
                            rt->conf->shared->table, &opened->store, note);

    if (status != LK_OK) {
        opened->store = NULL;
    }

    return status;
}


static lk_status
ngx_http_latchkey_open_guard(ngx_http_latchkey_runtime_t *rt,
    ngx_http_latchkey_opened_t *opened, lk_note *note)
{
    lk_status       status;
    lk_guard_parts  parts;

    if (opened->guard != NULL) {
        return LK_OK;
    }

    parts.env = ngx_http_latchkey_env(rt);
    parts.settings = &rt->conf->settings;
    parts.ring = rt->conf->ring;
    parts.table = rt->conf->shared->table;
    parts.store = opened->store;
    parts.trust = rt->conf->trust;

    status = lk_guard_open(parts, &opened->guard, note);

    if (status != LK_OK) {
        opened->guard = NULL;
        return status;
    }

    status = lk_guard_start_follower(opened->guard);

    if (status != LK_OK) {
        lk_note_set(note, "no thread can be made that follows what is revoked");
        lk_guard_close(opened->guard);
        opened->guard = NULL;
    }

    return status;
}


static lk_status
ngx_http_latchkey_open_service(ngx_http_latchkey_runtime_t *rt,
    ngx_http_latchkey_opened_t *opened, lk_note *note)
{
    lk_status     status;
    const lk_env  *env;

    if (opened->service != NULL) {
        return LK_OK;
    }

    env = ngx_http_latchkey_env(rt);

    if (opened->accounts == NULL) {
        status = lk_accounts_open(env, &rt->conf->settings, rt->conf->ring,
                                  &opened->accounts, note);
        if (status != LK_OK) {
            opened->accounts = NULL;
            return status;
        }

        lk_guard_use_accounts(opened->guard, opened->accounts);
    }

    status = lk_service_open(env, &rt->conf->settings, opened->guard,
                             opened->accounts, ngx_http_latchkey_hear_audit,
                             NULL, &opened->service, note);
    if (status != LK_OK) {
        opened->service = NULL;
    }

    return status;
}


/* Is the note of CHORE a new one?  The same sentence once, and not every
 * second. */
static ngx_uint_t
ngx_http_latchkey_say(ngx_http_latchkey_chore_t *chore)
{
    if (ngx_strcmp(chore->said, chore->note.text) == 0) {
        return 0;
    }

    ngx_memcpy(chore->said, chore->note.text, sizeof(lk_note));

    return 1;
}


/* A chore: a timer that posts a task, which sets the timer again when it is
 * through.  So there is one of each at a time.  The timer is cancelable: it
 * keeps no worker from shutting down. */
static void
ngx_http_latchkey_init_chore(ngx_http_latchkey_chore_t *chore,
    void (*work)(void *data, ngx_log_t *log), ngx_event_handler_pt done)
{
    chore->timer.handler = ngx_http_latchkey_tick;
    chore->timer.data = chore;
    chore->timer.log = ngx_cycle->log;
    chore->timer.cancelable = 1;

    chore->task.ctx = chore;
    chore->task.handler = work;
    chore->task.event.handler = done;
    chore->task.event.data = chore;
    chore->task.event.log = ngx_cycle->log;
}


static ngx_int_t
ngx_http_latchkey_post_chore(ngx_http_latchkey_chore_t *chore)
{
    ngx_http_latchkey_runtime_t  *rt;

    rt = ngx_http_latchkey_running;

    /* the thread works on a copy: the event loop goes on with the real one */

    chore->opened.store = rt->store;
    chore->opened.guard = rt->guard;
    chore->opened.accounts = rt->accounts;
    chore->opened.service = rt->service;

    if (ngx_thread_task_post(rt->conf->lane_pool, &chore->task) != NGX_OK) {
        return NGX_ERROR;
    }

    chore->busy = 1;

    return NGX_OK;
}


static void
ngx_http_latchkey_tick(ngx_event_t *ev)
{
    ngx_http_latchkey_chore_t  *chore = ev->data;

    if (ngx_exiting || ngx_terminate || ngx_quit) {
        return;
    }

    if (ngx_http_latchkey_post_chore(chore) != NGX_OK) {
        ngx_add_timer(&chore->timer, NGX_HTTP_LATCHKEY_UPKEEP);
    }
}


/* In a thread, as all that ends in _work. */
static void
ngx_http_latchkey_reopen_work(void *data, ngx_log_t *log)
{
    ngx_http_latchkey_chore_t  *chore = data;

    ngx_http_latchkey_open_all(ngx_http_latchkey_running, &chore->opened,
                               &chore->note);
}


static void
ngx_http_latchkey_reopen_done(ngx_event_t *ev)
{
    ngx_uint_t                    first;
    ngx_http_latchkey_chore_t    *chore = ev->data;
    ngx_http_latchkey_runtime_t  *rt;

    rt = ngx_http_latchkey_running;

    chore->busy = 0;
    ngx_http_latchkey_adopt(rt, &chore->opened);

    first = rt->opening;
    rt->opening = 0;

    if (rt->service == NULL) {

        if (ngx_http_latchkey_say(chore)) {
            ngx_log_error(NGX_LOG_ALERT, ev->log, 0,
                          "latchkey: %s; answering 503 and trying again "
                          "every second", chore->note.text);
        }

        ngx_add_timer(&chore->timer, NGX_HTTP_LATCHKEY_REOPEN);

    } else if (!first) {
        ngx_log_error(NGX_LOG_NOTICE, ev->log, 0, "latchkey: opened at last");
    }

    if (first) {
        ngx_http_latchkey_lane_opened();
    }
}


static void
ngx_http_latchkey_upkeep_work(void *data, ngx_log_t *log)
{
    ngx_http_latchkey_chore_t  *chore = data;

    ngx_http_latchkey_keys_work(chore->opened.guard);

    chore->note.text[0] = '\0';

    if (chore->opened.guard == NULL
        || lk_guard_upkeep(chore->opened.guard) != LK_FAULT
        || lk_guard_ready(chore->opened.guard, &chore->note) == LK_OK)
    {
        chore->note.text[0] = '\0';
        return;
    }

    if (chore->note.text[0] == '\0') {
        lk_note_set(&chore->note, "the store does not answer");
    }
}


static void
ngx_http_latchkey_upkeep_done(ngx_event_t *ev)
{
    ngx_http_latchkey_chore_t  *chore = ev->data;

    chore->busy = 0;
    ngx_http_latchkey_keys_done(ev->log);

    if (ngx_http_latchkey_say(chore)) {

        if (chore->note.text[0] != '\0') {
            ngx_log_error(NGX_LOG_ERR, ev->log, 0, "latchkey: %s",
                          chore->note.text);

        } else {
            ngx_log_error(NGX_LOG_NOTICE, ev->log, 0,
                          "latchkey: the upkeep of the store goes on");
        }
    }

    ngx_add_timer(&chore->timer, NGX_HTTP_LATCHKEY_UPKEEP);
}
