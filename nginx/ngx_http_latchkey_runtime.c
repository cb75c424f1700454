/* SPDX-License-Identifier: Apache-2.0
 *
 * ngx_http_latchkey_runtime.c - what each worker opens after the fork, and the
 * upkeep it does.
 *
 * LMDB and SQLite handles must not cross a fork.  What cannot be opened leaves
 * its place empty, and is tried again every second: a worker that ended itself
 * instead would be started again at once, and again.
 */
#include "ngx_http_latchkey.h"


#define NGX_HTTP_LATCHKEY_UPKEEP  1000
#define NGX_HTTP_LATCHKEY_REOPEN  1000


typedef struct {
    ngx_thread_task_t              task;
    ngx_event_t                    timer;
    ngx_http_latchkey_runtime_t    opened;   /* the thread's copy */
    lk_note                        note;
    char                           said[sizeof(lk_note)];
    lk_status                      status;
} ngx_http_latchkey_chore_t;


static void ngx_http_latchkey_open_all(ngx_http_latchkey_runtime_t *rt,
    lk_note *note);
static lk_status ngx_http_latchkey_open_guard(ngx_http_latchkey_runtime_t *rt,
    lk_note *note);
static lk_status ngx_http_latchkey_open_service(
    ngx_http_latchkey_runtime_t *rt, lk_note *note);
static void ngx_http_latchkey_say(ngx_http_latchkey_chore_t *chore,
    ngx_log_t *log);
static void ngx_http_latchkey_start_chore(ngx_http_latchkey_chore_t *chore,
    ngx_event_handler_pt tick, void (*work)(void *data, ngx_log_t *log),
    ngx_event_handler_pt done, ngx_msec_t after);
static void ngx_http_latchkey_tick(ngx_event_t *ev);
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


ngx_int_t
ngx_http_latchkey_init_process(ngx_cycle_t *cycle)
{
    ngx_http_latchkey_runtime_t    *rt;
    ngx_http_latchkey_chore_t      *chore;
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

    ngx_http_latchkey_running = rt;

    chore = &ngx_http_latchkey_reopen;

    ngx_http_latchkey_open_all(rt, &chore->note);

    if (rt->service == NULL) {
        ngx_http_latchkey_say(chore, cycle->log);
        ngx_http_latchkey_start_chore(chore, ngx_http_latchkey_tick,
                                      ngx_http_latchkey_reopen_work,
                                      ngx_http_latchkey_reopen_done,
                                      NGX_HTTP_LATCHKEY_REOPEN);
    }

    /* workers that started together do not keep house together */

    ngx_http_latchkey_start_chore(&ngx_http_latchkey_upkeep,
                                  ngx_http_latchkey_tick,
                                  ngx_http_latchkey_upkeep_work,
                                  ngx_http_latchkey_upkeep_done,
                                  NGX_HTTP_LATCHKEY_UPKEEP
                                  + (ngx_msec_t) (ngx_worker * 37 % 1000));

    return NGX_OK;
}


/* Thread pools, a core module, have ended their threads before. */
void
ngx_http_latchkey_exit_process(ngx_cycle_t *cycle)
{
    ngx_http_latchkey_runtime_t  *rt;

    rt = ngx_http_latchkey_running;

    if (rt == NULL) {
        return;
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


/* Open what is not open yet, as far as it goes. */
static void
ngx_http_latchkey_open_all(ngx_http_latchkey_runtime_t *rt, lk_note *note)
{
    note->text[0] = '\0';

    if (ngx_http_latchkey_open_guard(rt, note) == LK_OK
        && ngx_http_latchkey_open_service(rt, note) == LK_OK)
    {
        note->text[0] = '\0';
    }
}


static lk_status
ngx_http_latchkey_open_guard(ngx_http_latchkey_runtime_t *rt, lk_note *note)
{
    lk_status                       status;
    lk_guard_parts                  parts;
    ngx_http_latchkey_main_conf_t  *conf;

    conf = rt->conf;

    if (rt->guard != NULL) {
        return LK_OK;
    }

    if (rt->store == NULL) {
        status = lk_store_open(lk_env_system(), conf->settings.store,
                               conf->shared->table, &rt->store, note);
        if (status != LK_OK) {
            rt->store = NULL;
            return status;
        }

        if (lk_store_where(rt->store) != LK_STORE_INLINE) {
            lk_note_set(note, "the store \"%s\" waits for a network, and "
                        "this gateway asks stores inline",
                        lk_store_name(rt->store));
            lk_store_close(rt->store);
            rt->store = NULL;
            return LK_REFUSED;
        }
    }

    parts.env = lk_env_system();
    parts.settings = &conf->settings;
    parts.ring = conf->ring;
    parts.table = conf->shared->table;
    parts.store = rt->store;

    status = lk_guard_open(parts, &rt->guard, note);
    if (status != LK_OK) {
        rt->guard = NULL;
    }

    return status;
}


static lk_status
ngx_http_latchkey_open_service(ngx_http_latchkey_runtime_t *rt, lk_note *note)
{
    lk_status                       status;
    ngx_http_latchkey_main_conf_t  *conf;

    conf = rt->conf;

    if (rt->service != NULL) {
        return LK_OK;
    }

    if (rt->accounts == NULL) {
        status = lk_accounts_open(lk_env_system(), &conf->settings,
                                  conf->ring, &rt->accounts, note);
        if (status != LK_OK) {
            rt->accounts = NULL;
            return status;
        }
    }

    status = lk_service_open(lk_env_system(), &conf->settings, rt->guard,
                             rt->accounts, ngx_http_latchkey_hear_audit, NULL,
                             &rt->service, note);
    if (status != LK_OK) {
        rt->service = NULL;
    }

    return status;
}


/* The same sentence once, and not every second. */
static void
ngx_http_latchkey_say(ngx_http_latchkey_chore_t *chore, ngx_log_t *log)
{
    if (ngx_strcmp(chore->said, chore->note.text) == 0) {
        return;
    }

    ngx_memcpy(chore->said, chore->note.text, sizeof(lk_note));

    ngx_log_error(NGX_LOG_ALERT, log, 0,
                  "latchkey: %s; answering 503 and trying again every second",
                  chore->note.text);
}


/* A chore: a timer that posts a task, which sets the timer again when it is
 * through.  So there is one of each at a time.  The timer is cancelable: it
 * keeps no worker from shutting down. */
static void
ngx_http_latchkey_start_chore(ngx_http_latchkey_chore_t *chore,
    ngx_event_handler_pt tick, void (*work)(void *data, ngx_log_t *log),
    ngx_event_handler_pt done, ngx_msec_t after)
{
    chore->timer.handler = tick;
    chore->timer.data = chore;
    chore->timer.log = ngx_cycle->log;
    chore->timer.cancelable = 1;

    chore->task.ctx = chore;
    chore->task.handler = work;
    chore->task.event.handler = done;
    chore->task.event.data = chore;
    chore->task.event.log = ngx_cycle->log;

    ngx_add_timer(&chore->timer, after);
}


static void
ngx_http_latchkey_tick(ngx_event_t *ev)
{
    ngx_http_latchkey_chore_t      *chore = ev->data;
    ngx_http_latchkey_main_conf_t  *conf;

    if (ngx_exiting || ngx_terminate || ngx_quit) {
        return;
    }

    conf = ngx_http_latchkey_running->conf;

    /* the thread works on a copy: the event loop goes on with the real one */

    chore->opened = *ngx_http_latchkey_running;

    if (ngx_thread_task_post(conf->pool, &chore->task) != NGX_OK) {
        ngx_add_timer(&chore->timer, NGX_HTTP_LATCHKEY_UPKEEP);
    }
}


/* In a thread, as all that ends in _work. */
static void
ngx_http_latchkey_reopen_work(void *data, ngx_log_t *log)
{
    ngx_http_latchkey_chore_t  *chore = data;

    ngx_http_latchkey_open_all(&chore->opened, &chore->note);
}


static void
ngx_http_latchkey_reopen_done(ngx_event_t *ev)
{
    ngx_http_latchkey_chore_t    *chore = ev->data;
    ngx_http_latchkey_runtime_t  *rt;

    rt = ngx_http_latchkey_running;

    rt->store = chore->opened.store;
    rt->guard = chore->opened.guard;
    rt->accounts = chore->opened.accounts;
    rt->service = chore->opened.service;

    if (rt->service != NULL) {
        ngx_log_error(NGX_LOG_NOTICE, ev->log, 0, "latchkey: opened at last");
        return;
    }

    ngx_http_latchkey_say(chore, ev->log);
    ngx_add_timer(&chore->timer, NGX_HTTP_LATCHKEY_REOPEN);
}


static void
ngx_http_latchkey_upkeep_work(void *data, ngx_log_t *log)
{
    ngx_http_latchkey_chore_t  *chore = data;

    chore->status = LK_OK;

    if (chore->opened.guard != NULL) {
        chore->status = lk_guard_upkeep(chore->opened.guard);
    }
}


static void
ngx_http_latchkey_upkeep_done(ngx_event_t *ev)
{
    ngx_http_latchkey_chore_t  *chore = ev->data;

    if (chore->status == LK_FAULT) {
        ngx_log_error(NGX_LOG_ERR, ev->log, 0,
                      "latchkey: the upkeep of the store failed");
    }

    ngx_add_timer(&chore->timer, NGX_HTTP_LATCHKEY_UPKEEP);
}
