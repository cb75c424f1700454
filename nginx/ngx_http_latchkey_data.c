/* SPDX-License-Identifier: Apache-2.0
 *
 * ngx_http_latchkey_data.c - fields of the session go to the application as
 * request headers.
 *
 * The check of a request reads heads of sessions alone; the fields are loaded
 * here, for locations that want them, after the visitor was let through.
 */
#include "ngx_http_latchkey.h"


static ngx_int_t ngx_http_latchkey_data_ask(ngx_http_request_t *r,
    ngx_http_latchkey_data_t *d);
static void ngx_http_latchkey_data_load_work(ngx_http_latchkey_job_t *job);
static void ngx_http_latchkey_data_load_done(ngx_http_request_t *r,
    ngx_http_latchkey_job_t *job, ngx_uint_t late);
static ngx_int_t ngx_http_latchkey_data_loaded(ngx_http_request_t *r,
    ngx_http_latchkey_data_t *d, lk_status status, lk_view fields);
static ngx_int_t ngx_http_latchkey_data_fill(ngx_http_request_t *r,
    ngx_http_latchkey_data_t *d, ngx_table_elt_t *h);


/* The request was let through as ID: keep what is needed to find the session
 * again, now and when the application answers. */
ngx_int_t
ngx_http_latchkey_data_know(ngx_http_request_t *r,
    ngx_http_latchkey_ctx_t *ctx, const lk_identity *id)
{
    if (ctx->data == NULL) {
        ctx->data = ngx_pcalloc(r->pool, sizeof(ngx_http_latchkey_data_t));
        if (ctx->data == NULL) {
            return NGX_ERROR;
        }

        /* an answer to an earlier location is none to this one */

        ctx->data->upstream = r->upstream;
    }

    if (ctx->data->issued == NULL) {
        ctx->data->id = *id;
        ctx->data->loaded = 0;
        ctx->data->unknown = 0;
    }

    return NGX_OK;
}


/* A part of MAIN was let through by the same rule. */
ngx_int_t
ngx_http_latchkey_data_share(ngx_http_request_t *r,
    ngx_http_latchkey_ctx_t *ctx, ngx_http_latchkey_ctx_t *main)
{
    if (main->data == NULL
        || ngx_http_latchkey_data_know(r, ctx, &main->data->id) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ctx->data->fields = main->data->fields;
    ctx->data->loaded = main->data->loaded;

    return NGX_OK;
}


/* A session was made in this request, and there is nothing in it yet; or the
 * visitor is handed his credential anew, and the session may be in that one
 * now, and not in what he sent. */
ngx_int_t
ngx_http_latchkey_data_begun(ngx_http_request_t *r,
    ngx_http_latchkey_ctx_t *ctx, const lk_issued *issued)
{
    ngx_http_latchkey_data_t  *d;

    d = ctx->data;

    if (d == NULL) {
        return NGX_OK;
    }

    d->issued = (lk_issued *) ngx_http_latchkey_secret(r->pool,
                                                       sizeof(lk_issued));
    if (d->issued == NULL) {
        return NGX_ERROR;
    }

    *d->issued = *issued;

    if (d->id.has_session) {
        d->id.kind = issued->kind;
        d->id.key = issued->key;
        d->id.generation = issued->generation;

        return NGX_OK;
    }

    lk_data_identity(issued, &d->id);

    ngx_memzero(&d->fields, sizeof(lk_view));
    d->loaded = 1;

    return NGX_OK;
}


/* NGX_OK: the fields are there, or are not wanted.  NGX_AGAIN: the request
 * waits for them, and comes back.  NGX_DECLINED: nobody knows them. */
ngx_int_t
ngx_http_latchkey_data_load(ngx_http_request_t *r,
    ngx_http_latchkey_ctx_t *ctx, ngx_http_latchkey_loc_conf_t *llcf)
{
    lk_reason                     why;
    lk_status                     status;
    lk_session                    session;
    lk_presented                  presented;
    ngx_http_latchkey_data_t     *d;
    ngx_http_latchkey_found_t     found;
    ngx_http_latchkey_runtime_t  *rt;

    /* of this worker, and of its event loop alone */

    static uint8_t                record[LK_RECORD_MAX];

    d = ctx->data;
    d->conf = llcf->data;

    if (!d->conf->on) {
        return NGX_OK;
    }

    if (d->unknown) {
        return NGX_DECLINED;
    }

    if (d->loaded) {
        return NGX_OK;
    }

    if (!d->id.has_session) {
        d->loaded = 1;
        return NGX_OK;
    }

    rt = ngx_http_latchkey_runtime();

    if (lk_store_where(rt->store) == LK_STORE_REMOTE
        && d->id.kind != LK_KIND_SEALED)
    {
        return ngx_http_latchkey_data_ask(r, d);
    }

    if (ngx_http_latchkey_find(r, &found, &presented) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (d->issued != NULL && d->issued->kind == LK_KIND_SEALED) {
        presented.sealed = lk_view_make(d->issued->text, d->issued->len);
    }

    status = lk_guard_session(rt->guard, &presented, &d->id, record, &session,
                              &why);

    return ngx_http_latchkey_data_loaded(r, d, status, session.fields);
}


static ngx_int_t
ngx_http_latchkey_data_ask(ngx_http_request_t *r, ngx_http_latchkey_data_t *d)
{
    lk_request                   req;
    ngx_http_latchkey_job_t     *job;
    ngx_http_latchkey_found_t    found;

    job = ngx_http_latchkey_job_new(r);
    if (job == NULL) {
        return NGX_DECLINED;
    }

    ngx_memzero(&req, sizeof(lk_request));

    job->pool = ngx_http_latchkey_runtime()->conf->lane_pool;
    job->work = ngx_http_latchkey_data_load_work;
    job->done = ngx_http_latchkey_data_load_done;
    job->data = ngx_alloc(sizeof(ngx_http_latchkey_data_work_t)
                          + LK_RECORD_MAX, r->connection->log);

    if (job->data == NULL
        || ngx_http_latchkey_find(r, &found, &req.presented) != NGX_OK)
    {
        ngx_http_latchkey_job_free(job);
        return NGX_DECLINED;
    }

    job->data->id = d->id;
    job->data->len = sizeof(ngx_http_latchkey_data_work_t) + LK_RECORD_MAX;

    if (ngx_http_latchkey_job_copy(job, &req) != NGX_OK
        || ngx_http_latchkey_job_start(job) != NGX_OK)
    {
        ngx_http_latchkey_job_free(job);
        return NGX_DECLINED;
    }

    return NGX_AGAIN;
}


static void
ngx_http_latchkey_data_load_work(ngx_http_latchkey_job_t *job)
{
    lk_reason                       why;
    lk_session                      session;
    ngx_http_latchkey_data_work_t  *w;

    w = job->data;

    job->status = lk_guard_session(ngx_http_latchkey_runtime()->guard,
                                   &job->req.presented, &w->id, w->bytes,
                                   &session, &why);

    if (job->status == LK_OK) {
        w->fields = session.fields;
    }
}


static void
ngx_http_latchkey_data_load_done(ngx_http_request_t *r,
    ngx_http_latchkey_job_t *job, ngx_uint_t late)
{
    (void) ngx_http_latchkey_data_loaded(r, ngx_http_latchkey_ctx(r)->data,
                                         late ? LK_FAULT : job->status,
                                         late ? lk_view_make(NULL, 0)
                                              : job->data->fields);
    ngx_http_latchkey_go_on(r);
}


/* An application must not take "could not look" for "there is nothing": then
 * the request ends here.  A session that ended since the check has nothing. */
static ngx_int_t
ngx_http_latchkey_data_loaded(ngx_http_request_t *r,
    ngx_http_latchkey_data_t *d, lk_status status, lk_view fields)
{
    u_char  *copy;

    switch (status) {

    case LK_OK:
        copy = ngx_http_latchkey_secret(r->pool, fields.len + 1);

        if (copy != NULL) {
            ngx_memcpy(copy, fields.p, fields.len);

            d->fields = lk_view_make(copy, fields.len);
            d->loaded = 1;

            return NGX_OK;
        }

        break;

    case LK_MISS:
    case LK_STALE:
        ngx_memzero(&d->fields, sizeof(lk_view));
        d->loaded = 1;

        return NGX_OK;

    case LK_REFUSED:
    case LK_FULL:
    case LK_FAULT:
        break;
    }

    d->unknown = 1;

    return NGX_DECLINED;
}


/* Take the headers of this file out of the list of R, if they are in it: their
 * part is never the first, since those of the identity come before. */
void
ngx_http_latchkey_clear_data(ngx_http_request_t *r,
    ngx_http_latchkey_ctx_t *ctx)
{
    ngx_list_t                *list;
    ngx_list_part_t           *part;
    ngx_http_latchkey_data_t  *d;

    d = ctx->data;

    if (d == NULL || d->part == NULL) {
        return;
    }

    list = &r->headers_in.headers;

    for (part = &list->part; part != NULL; part = part->next) {

        if (part->next != d->part) {
            continue;
        }

        part->next = d->part->next;

        if (list->last == d->part) {
            list->last = part;
            list->nalloc = part->nelts;
        }

        break;
    }

    d->part = NULL;
}


/* One header for each field of the location, empty when the session has none
 * of that name (a JSON text never is), and the names of those that are left
 * out for their size: empty would say that there is nothing. */
ngx_int_t
ngx_http_latchkey_set_data(ngx_http_request_t *r,
    ngx_http_latchkey_ctx_t *ctx, ngx_http_latchkey_loc_conf_t *llcf)
{
    ngx_list_t                *list;
    ngx_list_part_t           *part;
    ngx_http_latchkey_data_t  *d;

    ngx_http_latchkey_clear_data(r, ctx);

    if (!llcf->data->on) {
        return NGX_OK;
    }

    d = ctx->data;

    part = ngx_pcalloc(r->pool, sizeof(ngx_list_part_t));
    if (part == NULL) {
        return NGX_ERROR;
    }

    part->nelts = d->conf->n + 1;
    part->elts = ngx_palloc(r->pool, part->nelts * sizeof(ngx_table_elt_t));

    if (part->elts == NULL
        || ngx_http_latchkey_data_fill(r, d, part->elts) != NGX_OK)
    {
        return NGX_ERROR;
    }

    list = &r->headers_in.headers;

    list->last->next = part;
    list->last = part;
    list->nalloc = part->nelts;

    d->part = part;

    return NGX_OK;
}


static ngx_int_t
ngx_http_latchkey_data_fill(ngx_http_request_t *r,
    ngx_http_latchkey_data_t *d, ngx_table_elt_t *h)
{
    size_t                          left;
    lk_buf                          b;
    u_char                         *text, *names, *p;
    lk_view                         value, *name;
    ngx_uint_t                      i;
    ngx_http_latchkey_data_conf_t  *conf;

    conf = d->conf;
    name = conf->names.elts;
    left = conf->max;

    ngx_memcpy(h, conf->forms, (conf->n + 1) * sizeof(ngx_table_elt_t));

    text = ngx_http_latchkey_secret(r->pool, left);
    names = ngx_pnalloc(r->pool, conf->n * (LK_FIELD_NAME_MAX + 1));

    if (text == NULL || names == NULL) {
        return NGX_ERROR;
    }

    p = names;

    for (i = 0; i < conf->n; i++) {

        b = lk_buf_over(text, left);

        if (conf->all) {
            lk_data_headers_write(d->fields, &b);

        } else if (lk_fields_get(d->fields, name[i], &value) == LK_OK) {
            lk_data_header_write(value, &b);
        }

        if (lk_buf_status(&b) == LK_OK) {
            h[i].value.data = text;
            h[i].value.len = b.len;

            text += b.len;
            left -= b.len;
            continue;
        }

        if (p != names) {
            *p++ = ',';
        }

        p = conf->all ? ngx_cpymem(p, "*", 1)
                      : ngx_cpymem(p, name[i].p, name[i].len);

        ngx_http_latchkey_data_say(r, NGX_HTTP_LATCHKEY_SAY_LARGE,
                                   "a field of the session is not sent: the "
                                   "fields of this location are larger than "
                                   "latchkey_data max=");

        lk_guard_count(ngx_http_latchkey_runtime()->guard,
                       LK_COUNT_DATA_DROPPED);
    }

    h[i].value.data = names;
    h[i].value.len = (size_t) (p - names);

    return NGX_OK;
}
