/* SPDX-License-Identifier: Apache-2.0
 *
 * ngx_http_latchkey_data_answer.c - changes of the session that an application
 * asks for in the header of its answer.
 */
#include "ngx_http_latchkey.h"


/* Between two lines about the same thing, per worker. */
#define NGX_HTTP_LATCHKEY_QUIET     60


static ngx_uint_t ngx_http_latchkey_data_collect(ngx_http_request_t *r,
    ngx_http_latchkey_data_t *d, ngx_list_t *list, ngx_uint_t strip);
static void ngx_http_latchkey_data_add(ngx_http_latchkey_data_t *d,
    lk_data_verb verb, ngx_str_t *text);
static ngx_uint_t ngx_http_latchkey_data_is_taken(ngx_http_request_t *r,
    ngx_http_latchkey_data_t *d);
static ngx_int_t ngx_http_latchkey_data_hold(ngx_http_request_t *r,
    ngx_http_latchkey_data_t *d);
static ngx_int_t ngx_http_latchkey_data_start(ngx_http_request_t *r,
    ngx_http_latchkey_data_t *d);
static void ngx_http_latchkey_data_work(ngx_http_latchkey_job_t *job);
static void ngx_http_latchkey_data_done(ngx_http_request_t *r,
    ngx_http_latchkey_job_t *job, ngx_uint_t late);
static void ngx_http_latchkey_data_judge(ngx_http_request_t *r,
    ngx_http_latchkey_data_t *d, lk_data_end end, const char *note);


static ngx_str_t  ngx_http_latchkey_data_set =
                                           ngx_string("latchkey-set-data");
static ngx_str_t  ngx_http_latchkey_data_sum =
                                           ngx_string("latchkey-add-data");


/* One line a minute about each kind of trouble: a visitor can fill his own
 * session, and each of his requests would be a line. */
void
ngx_http_latchkey_data_say(ngx_http_request_t *r, ngx_uint_t kind,
    const char *text)
{
    static time_t      next[NGX_HTTP_LATCHKEY_SAY_N];
    static ngx_uint_t  more[NGX_HTTP_LATCHKEY_SAY_N];

    if (ngx_time() < next[kind]) {
        more[kind]++;
        return;
    }

    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "latchkey_data: %s (and %ui times since this was last said)",
                  text, more[kind]);

    next[kind] = ngx_time() + NGX_HTTP_LATCHKEY_QUIET;
    more[kind] = 0;
}


static lk_data_verb
ngx_http_latchkey_data_verb(ngx_table_elt_t *h, ngx_uint_t *found)
{
    *found = 0;

    if (h->key.len != ngx_http_latchkey_data_set.len
        || (h->key.data[0] | 0x20) != 'l')
    {
        return LK_DATA_SET;
    }

    if (ngx_strncasecmp(h->key.data, ngx_http_latchkey_data_set.data,
                        h->key.len)
        == 0)
    {
        *found = 1;
        return LK_DATA_SET;
    }

    if (ngx_strncasecmp(h->key.data, ngx_http_latchkey_data_sum.data,
                        h->key.len)
        == 0)
    {
        *found = 1;
    }

    return LK_DATA_ADD;
}


/* The steps in LIST, behind those that are known already; STRIP: nobody shall
 * see them after us.  D is NULL where they are not taken.  True if there are
 * any. */
static ngx_uint_t
ngx_http_latchkey_data_collect(ngx_http_request_t *r,
    ngx_http_latchkey_data_t *d, ngx_list_t *list, ngx_uint_t strip)
{
    ngx_uint_t        i, found, any;
    lk_data_verb      verb;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    any = 0;

    for (part = &list->part; part != NULL; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            verb = ngx_http_latchkey_data_verb(&h[i], &found);

            if (!found || h[i].hash == 0) {
                continue;
            }

            any = 1;

            if (d != NULL) {
                ngx_http_latchkey_data_add(d, verb, &h[i].value);
            }

            if (strip) {
                h[i].hash = 0;
            }
        }
    }

    return any;
}


static void
ngx_http_latchkey_data_add(ngx_http_latchkey_data_t *d, lk_data_verb verb,
    ngx_str_t *text)
{
    d->by = d->conf;

    if (d->steps_n == LK_DATA_STEPS_MAX
        || text->len > LK_DATA_TEXT_MAX - d->steps_len)
    {
        d->large = 1;
        return;
    }

    d->steps[d->steps_n].verb = verb;
    d->steps[d->steps_n].text = ngx_http_latchkey_view(text);
    d->steps_n++;
    d->steps_len += text->len;
}


/* An answer of the application that nginx does not send, but makes another
 * request of (X-Accel-Redirect, error_page): what it said of the session holds
 * all the same.  Before the next location is another one. */
void
ngx_http_latchkey_data_keep(ngx_http_request_t *r,
    ngx_http_latchkey_ctx_t *ctx)
{
    ngx_http_latchkey_data_t  *d;

    d = ctx->data;

    if (d == NULL || d->conf == NULL || r != r->main || r->upstream == NULL
        || r->upstream == d->upstream || r->upstream->headers_in.status_n == 0
#if (NGX_HTTP_CACHE)
        || r->cached
#endif
       )
    {
        return;
    }

    d->upstream = r->upstream;

    if (d->conf->accept) {
        (void) ngx_http_latchkey_data_collect(r, d,
                                         &r->upstream->headers_in.headers, 0);
    }
}


/* NGX_DECLINED: the header goes on.  NGX_OK: it is kept, and so is the body.
 * The headers are taken out of every answer, wherever it comes from. */
ngx_int_t
ngx_http_latchkey_data_answer(ngx_http_request_t *r)
{
    ngx_uint_t                 any, takes;
    ngx_http_latchkey_ctx_t   *ctx;
    ngx_http_latchkey_data_t  *d;

    ctx = (r == r->main) ? ngx_http_latchkey_ctx(r) : NULL;
    d = ctx ? ctx->data : NULL;

    if (d != NULL && d->state != NGX_HTTP_LATCHKEY_DATA_OPEN) {
        return NGX_DECLINED;
    }

    takes = ngx_http_latchkey_data_is_taken(r, d);

    any = ngx_http_latchkey_data_collect(r, takes ? d : NULL,
                                         &r->headers_out.headers, 1);

    if (any && !takes) {
        ngx_http_latchkey_data_say(r, NGX_HTTP_LATCHKEY_SAY_UNWANTED,
                                   "an answer would change the session where "
                                   "it may not: not taken");
    }

    if (d == NULL || (d->steps_n == 0 && !d->large)) {
        return NGX_DECLINED;
    }

    if (r->headers_out.status == NGX_HTTP_SWITCHING_PROTOCOLS) {
        ngx_http_latchkey_data_say(r, NGX_HTTP_LATCHKEY_SAY_UNWANTED,
                                   "an answer 101 would change the session: "
                                   "not taken");
        return NGX_DECLINED;
    }

#if (NGX_HTTP_CACHE)

    if (r->upstream != NULL) {

        /* an answer that changes a session is one visitor's, as one with
         * Set-Cookie is */

        r->upstream->cacheable = 0;
    }

#endif

    if (d->large) {
        d->state = NGX_HTTP_LATCHKEY_DATA_PASSING;
        ngx_http_latchkey_data_judge(r, d, LK_DATA_BROKEN,
                                     "more than 16 headers or 16 KiB");
        return NGX_DECLINED;
    }

    return ngx_http_latchkey_data_hold(r, d);
}


static ngx_uint_t
ngx_http_latchkey_data_is_taken(ngx_http_request_t *r,
    ngx_http_latchkey_data_t *d)
{
    ngx_http_latchkey_loc_conf_t  *llcf;

#if (NGX_HTTP_CACHE)

    /* what an answer said to one visitor is not said to the next */

    if (r->cached) {
        return 0;
    }

#endif

    llcf = ngx_http_get_module_loc_conf(r, ngx_http_latchkey_module);

    return d != NULL && llcf->data == d->conf && d->conf->accept
           && llcf->rule->rule.mode != LK_MODE_OFF;
}


static ngx_int_t
ngx_http_latchkey_data_hold(ngx_http_request_t *r,
    ngx_http_latchkey_data_t *d)
{
    /* What the header filters after us would have set, the filters of the body
     * before us and the content handler go by at once. */

    if (r->method == NGX_HTTP_HEAD
        || r->headers_out.status == NGX_HTTP_NO_CONTENT
        || r->headers_out.status == NGX_HTTP_NOT_MODIFIED)
    {
        r->header_only = 1;
    }

    ngx_http_clear_accept_ranges(r);

    r->main_filter_need_in_memory = 1;
    r->filter_need_temporary = 1;

    d->state = NGX_HTTP_LATCHKEY_DATA_HOLDING;
    r->connection->buffered |= NGX_HTTP_LATCHKEY_BUFFERED;

    if (ngx_http_latchkey_data_start(r, d) == NGX_OK) {
        return NGX_OK;
    }

    ngx_http_latchkey_data_judge(r, d, LK_DATA_UNKNOWN, "no thread is free");

    return ngx_http_latchkey_data_release(r, d);
}


static ngx_int_t
ngx_http_latchkey_data_start(ngx_http_request_t *r,
    ngx_http_latchkey_data_t *d)
{
    u_char                         *p;
    size_t                          len;
    lk_request                      req;
    ngx_uint_t                      i;
    ngx_http_latchkey_job_t        *job;
    ngx_http_latchkey_found_t       found;
    ngx_http_latchkey_data_work_t  *w;

    job = ngx_http_latchkey_job_new(r);
    if (job == NULL) {
        return NGX_ERROR;
    }

    len = sizeof(ngx_http_latchkey_data_work_t) + d->steps_len;

    w = ngx_calloc(len, r->connection->log);
    if (w == NULL) {
        goto failed;
    }

    job->pool = ngx_http_latchkey_runtime()->conf->lane_pool;
    job->work = ngx_http_latchkey_data_work;
    job->done = ngx_http_latchkey_data_done;
    job->wait.filter = 1;
    job->data = w;

    w->len = len;
    w->id = d->id;
    w->conf = d->by;
    w->steps_n = d->steps_n;

    if (d->issued != NULL) {
        w->issued = *d->issued;
    }

    p = w->bytes;

    for (i = 0; i < d->steps_n; i++) {
        w->steps[i].verb = d->steps[i].verb;
        w->steps[i].text = lk_view_make(p, d->steps[i].text.len);
        p = ngx_cpymem(p, d->steps[i].text.p, d->steps[i].text.len);
    }

    ngx_http_latchkey_fill_request(r, &req);

    if (ngx_http_latchkey_find(r, &found, &req.presented) != NGX_OK
        || ngx_http_latchkey_job_copy(job, &req) != NGX_OK
        || ngx_http_latchkey_job_start(job) != NGX_OK)
    {
        goto failed;
    }

    return NGX_OK;

failed:

    ngx_http_latchkey_job_free(job);

    return NGX_ERROR;
}


/* In a thread. */
static void
ngx_http_latchkey_data_work(ngx_http_latchkey_job_t *job)
{
    lk_data_change                  change;
    ngx_http_latchkey_data_work_t  *w;

    w = job->data;

    ngx_memzero(&change, sizeof(lk_data_change));

    change.settings = &ngx_http_latchkey_runtime()->conf->settings;
    change.presented = &job->req.presented;
    change.id = &w->id;
    change.issued = &w->issued;
    change.agent = job->req.user_agent;
    change.address = job->req.address;
    change.secure_transport = lk_view_equal(job->req.scheme, LK_VIEW("https"));
    change.steps = w->steps;
    change.n = w->steps_n;

    if (!w->conf->all) {
        change.allowed = w->conf->names.elts;
        change.allowed_n = w->conf->names.nelts;
    }

    w->end = lk_data_apply(ngx_http_latchkey_runtime()->guard, &change,
                           &job->issued, &w->note);
}


static void
ngx_http_latchkey_data_done(ngx_http_request_t *r,
    ngx_http_latchkey_job_t *job, ngx_uint_t late)
{
    ngx_connection_t          *c;
    ngx_http_latchkey_ctx_t   *ctx;
    ngx_http_latchkey_data_t  *d;

    c = r->connection;
    ctx = ngx_http_latchkey_ctx(r);
    d = ctx->data;

    if (late) {
        ngx_http_latchkey_data_judge(r, d, LK_DATA_UNKNOWN,
                                     "no thread answered in time");

    } else if (job->issued.len != 0
               && ngx_http_latchkey_plan_cookie(r, ctx, &job->issued)
                  != NGX_OK)
    {
        ngx_http_latchkey_data_judge(r, d, LK_DATA_BROKEN,
                                     "the session does not fit its cookies");

    } else {
        ngx_http_latchkey_data_judge(r, d, job->data->end,
                                     job->data->note.text);
    }

    if (ngx_http_latchkey_data_release(r, d) == NGX_ERROR) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }

    /* whoever was held back goes on: the upstream, or what waits for the last
     * byte to be sent */

    ngx_post_event(c->write, &ngx_posted_events);
}


/* What was asked for wrongly is dropped, counted and logged, and the answer
 * goes out.  What was asked for rightly and could not be kept is told to the
 * visitor: the answer of the application would not be true. */
static void
ngx_http_latchkey_data_judge(ngx_http_request_t *r,
    ngx_http_latchkey_data_t *d, lk_data_end end, const char *note)
{
    lk_guard    *guard;
    u_char       text[sizeof(lk_note) + 128];

    guard = ngx_http_latchkey_runtime()->guard;

    switch (end) {

    case LK_DATA_CHANGED:
        lk_guard_count(guard, LK_COUNT_DATA_CHANGED);
        return;

    case LK_DATA_BROKEN:
        lk_guard_count(guard, LK_COUNT_DATA_REFUSED);
        ngx_snprintf(text, sizeof(text), "the application asked for a change "
                     "of the session that cannot be made: %s%Z", note);
        ngx_http_latchkey_data_say(r, NGX_HTTP_LATCHKEY_SAY_BROKEN,
                                   (char *) text);
        return;

    case LK_DATA_OVER:
        lk_guard_count(guard, LK_COUNT_DATA_OVER);
        ngx_snprintf(text, sizeof(text), "a change of the session found no "
                     "session: %s%Z", *note ? note : "it ended meanwhile");
        ngx_http_latchkey_data_say(r, NGX_HTTP_LATCHKEY_SAY_OVER,
                                   (char *) text);
        return;

    case LK_DATA_CONFLICT:
    case LK_DATA_UNKNOWN:
        lk_guard_count(guard, LK_COUNT_DATA_FAILED);
        ngx_snprintf(text, sizeof(text), "a change of the session could not "
                     "be kept, the visitor is told so (503): %s%Z",
                     *note ? note : end == LK_DATA_CONFLICT
                                    ? "others change it without a pause"
                                    : "the store does not answer");
        ngx_http_latchkey_data_say(r, NGX_HTTP_LATCHKEY_SAY_FAILED,
                                   (char *) text);
        d->failed = 1;
        return;
    }
}
