/* SPDX-License-Identifier: Apache-2.0
 *
 * ngx_http_latchkey_job_copy.c - a request in memory of its own, for a thread.
 */
#include "ngx_http_latchkey.h"


/* One text of a request after the other; NULL behind the last. */
static lk_view *
ngx_http_latchkey_job_text(lk_request *req, ngx_uint_t i)
{
    lk_view *const  texts[] = {
        &req->method, &req->path, &req->query, &req->host, &req->scheme,
        &req->address, &req->content_type, &req->accept,
        &req->accept_language, &req->user_agent, &req->origin, &req->referer,
        &req->sec_fetch_site, &req->if_match, &req->original_uri, &req->body,
        &req->request_id, &req->presented.url, &req->presented.sealed,
        &req->presented.about.method, &req->presented.about.scheme,
        &req->presented.about.host, &req->presented.about.target
    };

    return i < sizeof(texts) / sizeof(texts[0]) ? texts[i] : NULL;
}


static size_t
ngx_http_latchkey_fields_size(const lk_view *fields, size_t n)
{
    size_t  i, len;

    len = n * sizeof(lk_view);

    for (i = 0; i < n; i++) {
        len += fields[i].len;
    }

    return len;
}


static lk_view
ngx_http_latchkey_copy(u_char **to, lk_view from)
{
    lk_view  copy;

    copy = lk_view_make(*to, from.len);

    if (from.len != 0) {
        *to = ngx_cpymem(*to, from.p, from.len);
    }

    return copy;
}


static const lk_view *
ngx_http_latchkey_copy_fields(lk_view **slots, u_char **bytes,
    const lk_view *fields, size_t n)
{
    size_t          i;
    const lk_view  *first;

    first = *slots;

    for (i = 0; i < n; i++) {
        *(*slots)++ = ngx_http_latchkey_copy(bytes, fields[i]);
    }

    return first;
}


/* Deep copy: the thread must not read memory of a request that may be gone. */
ngx_int_t
ngx_http_latchkey_job_copy(ngx_http_latchkey_job_t *job, const lk_request *req)
{
    u_char        *bytes;
    size_t         len, fields_n;
    lk_view       *slots, *text;
    ngx_uint_t     i;
    lk_presented  *p;

    job->req = *req;
    p = &job->req.presented;

    fields_n = p->cookies_n + p->authorization_n + p->header_n + p->proofs_n;

    len = ngx_http_latchkey_fields_size(p->cookies, p->cookies_n)
          + ngx_http_latchkey_fields_size(p->authorization,
                                          p->authorization_n)
          + ngx_http_latchkey_fields_size(p->header, p->header_n)
          + ngx_http_latchkey_fields_size(p->proofs, p->proofs_n) + 1;

    for (i = 0; (text = ngx_http_latchkey_job_text(&job->req, i)); i++) {
        len += text->len;
    }

    job->copies = ngx_alloc(len, ngx_cycle->log);
    if (job->copies == NULL) {
        return NGX_ERROR;
    }

    job->copies_len = len;

    slots = (lk_view *) job->copies;
    bytes = job->copies + fields_n * sizeof(lk_view);

    p->cookies = ngx_http_latchkey_copy_fields(&slots, &bytes, p->cookies,
                                               p->cookies_n);
    p->authorization = ngx_http_latchkey_copy_fields(&slots, &bytes,
                                                     p->authorization,
                                                     p->authorization_n);
    p->header = ngx_http_latchkey_copy_fields(&slots, &bytes, p->header,
                                              p->header_n);
    p->proofs = ngx_http_latchkey_copy_fields(&slots, &bytes, p->proofs,
                                              p->proofs_n);

    for (i = 0; (text = ngx_http_latchkey_job_text(&job->req, i)); i++) {
        *text = ngx_http_latchkey_copy(&bytes, *text);
    }

    return NGX_OK;
}
