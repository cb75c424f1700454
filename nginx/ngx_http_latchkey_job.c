/* SPDX-License-Identifier: Apache-2.0
 *
 * ngx_http_latchkey_job.c - blocking work for one request, done in a thread of
 * the pool while the request waits.
 *
 * States of a job: new; waiting (in the lane of password hashes); posted (its
 * thread may run); done.  The request may leave in any of them.  A waiting job
 * is freed when its request leaves, a posted one when its thread is through:
 * that is the only place, so it is freed once.
 */
#include "ngx_http_latchkey.h"
#include <sched.h>


/* Password hashes in threads at a time, per worker: each takes tens of MiB and
 * a whole core for milliseconds.  What comes meanwhile waits in the lane, up
 * to latchkey_password queue=. */
#define NGX_HTTP_LATCHKEY_HASHES    1

/* What one call may say to the audit log. */
#define NGX_HTTP_LATCHKEY_LINES     (4 * (LK_AUDIT_MAX + 1))


static ngx_int_t ngx_http_latchkey_job_post(ngx_http_latchkey_job_t *job);
static void ngx_http_latchkey_job_thread(void *data, ngx_log_t *log);
static void ngx_http_latchkey_job_event(ngx_event_t *ev);
static void ngx_http_latchkey_job_late(ngx_http_latchkey_wait_t *wait);
static void ngx_http_latchkey_job_left(ngx_http_latchkey_wait_t *wait);
static void ngx_http_latchkey_job_next(void);
static void ngx_http_latchkey_job_resume(ngx_http_latchkey_job_t *job,
    ngx_uint_t late);


/* The cores the master may use, before worker_cpu_affinity. */
static cpu_set_t  ngx_http_latchkey_cores;

/* The job this thread works for, so that the audit lines find it. */
static __thread ngx_http_latchkey_job_t  *ngx_http_latchkey_current;


ngx_http_latchkey_job_t *
ngx_http_latchkey_job_new(ngx_http_request_t *r)
{
    ngx_http_latchkey_job_t  *job;

    job = ngx_calloc(sizeof(ngx_http_latchkey_job_t), ngx_cycle->log);
    if (job == NULL) {
        return NULL;
    }

    job->request = r;

    job->task.ctx = job;
    job->task.handler = ngx_http_latchkey_job_thread;
    job->task.event.handler = ngx_http_latchkey_job_event;
    job->task.event.data = job;
    job->task.event.log = ngx_cycle->log;

    ngx_http_latchkey_wait_init(&job->wait, ngx_http_latchkey_job_late,
                                ngx_http_latchkey_job_left);

    return job;
}


void
ngx_http_latchkey_job_free(ngx_http_latchkey_job_t *job)
{
    ngx_http_latchkey_runtime_t  *rt;

    rt = ngx_http_latchkey_runtime();

    if (job->answered) {
        lk_response_free(rt->service, &job->res);
    }

    if (job->data != NULL) {
        lk_wipe(job->data, job->data->len);
        ngx_free(job->data);
    }

    if (job->copies != NULL) {
        lk_wipe(job->copies, job->copies_len);
        ngx_free(job->copies);
    }

    if (job->audit != NULL) {
        ngx_free(job->audit);
    }

    lk_wipe(&job->issued, sizeof(lk_issued));
    lk_signed_wipe(&job->sign);
    ngx_free(job);
}


/* Put the request aside and the job to work.  NGX_OK; NGX_BUSY when the lane
 * is full; NGX_ERROR.  Only after NGX_OK does the job belong to the bridge. */
ngx_int_t
ngx_http_latchkey_job_start(ngx_http_latchkey_job_t *job)
{
    ngx_http_latchkey_runtime_t  *rt;

    rt = ngx_http_latchkey_runtime();

    if (job->slow && rt->hashing >= NGX_HTTP_LATCHKEY_HASHES) {

        if (rt->waiting_n >= rt->conf->settings.password_queue) {
            return NGX_BUSY;
        }

        job->waits = 1;
    }

    if (ngx_http_latchkey_wait_begin(&job->wait, job->request, rt->conf->wait)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (job->waits) {
        ngx_queue_insert_tail(&rt->waiting, &job->queue);
        rt->waiting_n++;

        return NGX_OK;
    }

    if (ngx_http_latchkey_job_post(job) != NGX_OK) {
        ngx_http_latchkey_wait_cancel(&job->wait);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_latchkey_job_post(ngx_http_latchkey_job_t *job)
{
    ngx_http_latchkey_runtime_t  *rt;

    rt = ngx_http_latchkey_runtime();

    if (ngx_thread_task_post(job->pool, &job->task) != NGX_OK) {
        return NGX_ERROR;
    }

    if (job->slow) {
        rt->hashing++;
    }

    return NGX_OK;
}


void
ngx_http_latchkey_note_affinity(void)
{
    CPU_ZERO(&ngx_http_latchkey_cores);

    if (sched_getaffinity(0, sizeof(cpu_set_t), &ngx_http_latchkey_cores)
        == -1)
    {
        CPU_ZERO(&ngx_http_latchkey_cores);
    }
}


/* In a thread.  Threads inherit worker_cpu_affinity, and a hash on the core
 * of the event loop would halve what both get done. */
static void
ngx_http_latchkey_job_thread(void *data, ngx_log_t *log)
{
    ngx_http_latchkey_job_t  *job = data;

    if (job->slow && CPU_COUNT(&ngx_http_latchkey_cores) > 0) {
        (void) sched_setaffinity(0, sizeof(cpu_set_t),
                                 &ngx_http_latchkey_cores);
    }

    ngx_http_latchkey_current = job;

    job->work(job);

    ngx_http_latchkey_current = NULL;
}


/* Called by the service, in the thread of the call.  The lines are written by
 * the event loop: it is what reopens the log file, and a thread that wrote by
 * itself could meet a descriptor that is somebody's connection by now. */
void
ngx_http_latchkey_hear_audit(void *context, lk_view line)
{
    ngx_http_latchkey_job_t  *job;

    job = ngx_http_latchkey_current;

    if (job == NULL) {
        return;
    }

    if (job->audit == NULL) {
        job->audit = ngx_alloc(NGX_HTTP_LATCHKEY_LINES, ngx_cycle->log);
        if (job->audit == NULL) {
            return;
        }
    }

    if (line.len >= NGX_HTTP_LATCHKEY_LINES - job->audit_len) {
        return;
    }

    ngx_memcpy(job->audit + job->audit_len, line.p, line.len);
    job->audit_len += line.len;
    job->audit[job->audit_len++] = '\n';
}


/* In the event loop again. */
static void
ngx_http_latchkey_job_event(ngx_event_t *ev)
{
    ngx_http_latchkey_job_t      *job = ev->data;
    ngx_http_latchkey_runtime_t  *rt;

    rt = ngx_http_latchkey_runtime();

    if (job->slow) {
        rt->hashing--;
        ngx_http_latchkey_job_next();
    }

    if (job->audit_len != 0) {
        ngx_http_latchkey_write_audit(job->audit, job->audit_len);
    }

    if (job->wait.request != NULL) {
        ngx_http_latchkey_job_resume(job, 0);
    }

    ngx_http_latchkey_job_free(job);
}


static void
ngx_http_latchkey_job_next(void)
{
    ngx_queue_t                  *q;
    ngx_http_latchkey_job_t      *job;
    ngx_http_latchkey_runtime_t  *rt;

    rt = ngx_http_latchkey_runtime();

    while (rt->hashing < NGX_HTTP_LATCHKEY_HASHES
           && !ngx_queue_empty(&rt->waiting))
    {
        q = ngx_queue_head(&rt->waiting);
        job = ngx_queue_data(q, ngx_http_latchkey_job_t, queue);

        ngx_queue_remove(q);
        rt->waiting_n--;
        job->waits = 0;

        if (ngx_http_latchkey_job_post(job) != NGX_OK) {
            ngx_http_latchkey_job_resume(job, 1);
            ngx_http_latchkey_job_free(job);
        }
    }
}


static ngx_http_latchkey_job_t *
ngx_http_latchkey_job_of(ngx_http_latchkey_wait_t *wait)
{
    return (ngx_http_latchkey_job_t *)
               ((u_char *) wait - offsetof(ngx_http_latchkey_job_t, wait));
}


static void
ngx_http_latchkey_job_late(ngx_http_latchkey_wait_t *wait)
{
    ngx_uint_t                waits;
    ngx_http_latchkey_job_t  *job;

    job = ngx_http_latchkey_job_of(wait);

    ngx_log_error(NGX_LOG_ERR, wait->timer.log, 0,
                  "latchkey: no thread answered in %M ms",
                  ngx_http_latchkey_runtime()->conf->wait);

    waits = job->waits;

    if (waits) {
        ngx_queue_remove(&job->queue);
        ngx_http_latchkey_runtime()->waiting_n--;
        job->waits = 0;
    }

    ngx_http_latchkey_job_resume(job, 1);

    if (waits) {
        ngx_http_latchkey_job_free(job);
    }
}


/* Give the request its result, or (LATE) tell it that there is none. */
static void
ngx_http_latchkey_job_resume(ngx_http_latchkey_job_t *job, ngx_uint_t late)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = ngx_http_latchkey_wait_end(&job->wait);
    c = r->connection;

    job->done(r, job, late);

    ngx_http_run_posted_requests(c);
}


static void
ngx_http_latchkey_job_left(ngx_http_latchkey_wait_t *wait)
{
    ngx_http_latchkey_job_t  *job;

    job = ngx_http_latchkey_job_of(wait);

    if (job->waits) {
        ngx_queue_remove(&job->queue);
        ngx_http_latchkey_runtime()->waiting_n--;
        ngx_http_latchkey_job_free(job);
    }
}
