/* SPDX-License-Identifier: Apache-2.0
 *
 * ngx_http_latchkey_url_filter.c - answers to visitors without cookies: links
 * carry the id, and nobody keeps or passes on what has it in its address.
 */
#include "ngx_http_latchkey_url.h"


static ngx_int_t ngx_http_latchkey_url_header_filter(ngx_http_request_t *r);
static ngx_int_t ngx_http_latchkey_url_find_links(ngx_http_request_t *r);
static lk_view ngx_http_latchkey_url_new_id(ngx_http_request_t *r);
static lk_links *ngx_http_latchkey_url_make_links(ngx_http_request_t *r,
    lk_view id);
static ngx_int_t ngx_http_latchkey_url_keep_secret(ngx_http_request_t *r,
    const char *policy);
static ngx_int_t ngx_http_latchkey_url_lead_back(ngx_http_request_t *r,
    ngx_http_latchkey_url_ctx_t *ctx);
static ngx_uint_t ngx_http_latchkey_url_is_page(ngx_http_request_t *r);
static ngx_int_t ngx_http_latchkey_url_begin(ngx_http_request_t *r,
    const lk_links *links);
static ngx_int_t ngx_http_latchkey_url_body_filter(ngx_http_request_t *r,
    ngx_chain_t *in);
static ngx_int_t ngx_http_latchkey_url_pass(ngx_http_request_t *r,
    ngx_http_latchkey_url_ctx_t *ctx, ngx_buf_t *b, ngx_chain_t ***last);
static ngx_buf_t *ngx_http_latchkey_url_buf(ngx_http_request_t *r,
    ngx_http_latchkey_url_ctx_t *ctx, ngx_chain_t ***last);
static void ngx_http_latchkey_url_sent(ngx_http_latchkey_url_ctx_t *ctx,
    ngx_chain_t *out);


static ngx_http_output_header_filter_pt  ngx_http_next_header_filter;
static ngx_http_output_body_filter_pt    ngx_http_next_body_filter;


void
ngx_http_latchkey_url_init_filter(void)
{
    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_latchkey_url_header_filter;

    ngx_http_next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = ngx_http_latchkey_url_body_filter;
}


static ngx_int_t
ngx_http_latchkey_url_header_filter(ngx_http_request_t *r)
{
    ngx_http_latchkey_url_ctx_t  *ctx;

    if (!ngx_http_latchkey_url_is_on(r)) {
        return ngx_http_next_header_filter(r);
    }

    if (r == r->main && ngx_http_latchkey_url_find_links(r) != NGX_OK) {
        return NGX_ERROR;
    }

    ctx = ngx_http_latchkey_url_ctx(r->main);

    if (ctx == NULL || ctx->links == NULL) {
        return ngx_http_next_header_filter(r);
    }

    if (r == r->main && ngx_http_latchkey_url_lead_back(r, ctx) != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_http_latchkey_url_is_page(r)
        && ngx_http_latchkey_url_begin(r, ctx->links) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_next_header_filter(r);
}


/* Which id do links carry?  One that was just made, until a cookie has come
 * back; else the one this visitor came with.  Where no gate has looked at it
 * (`return` answers before there is one) a redirect hands it on.  A page with an id in its address
 * is kept by nobody, and its address is told to nobody. */
static ngx_int_t
ngx_http_latchkey_url_find_links(ngx_http_request_t *r)
{
    lk_view                       id;
    ngx_uint_t                    by_url, handed_on;
    ngx_http_latchkey_ctx_t      *lctx;
    ngx_http_latchkey_url_ctx_t  *ctx;

    lctx = ngx_http_latchkey_ctx(r);
    ctx = ngx_http_latchkey_url_ctx(r);

    by_url = (lctx != NULL && lctx->by_url);
    id = ngx_http_latchkey_url_new_id(r);

    handed_on = (lctx == NULL && r->headers_out.status >= 300
                 && r->headers_out.status < 400
                 && !ngx_http_latchkey_url_has_cookie(r));

    if (id.len == 0 && (by_url || handed_on) && ctx != NULL) {
        id = ngx_http_latchkey_view(&ctx->id);
    }

    if (ctx != NULL && ctx->id.len != 0) {

        /* with a cookie the visitor's forms are known by their origin, and
         * no-referrer would make it "null" */

        if (ngx_http_latchkey_url_keep_secret(r, ngx_http_latchkey_url_has_cookie(r)
                                                 ? "same-origin"
                                                 : "no-referrer")
            != NGX_OK)
        {
            return NGX_ERROR;
        }

    } else if (id.len != 0
               && ngx_http_latchkey_url_keep_secret(r, NULL) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (id.len == 0) {
        return NGX_OK;
    }

    ctx = ngx_http_latchkey_url_need_ctx(r);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    ctx->links = ngx_http_latchkey_url_make_links(r, id);

    return ctx->links ? NGX_OK : NGX_ERROR;
}


/* The session cookie of this answer, to a visitor who has sent none: its value
 * is an id that may be in links.  One with Max-Age is of a login that is to be
 * remembered, and anything of another length is no id. */
static lk_view
ngx_http_latchkey_url_new_id(ngx_http_request_t *r)
{
    size_t                          len;
    u_char                         *p, *end;
    ngx_uint_t                      i;
    ngx_list_part_t                *part;
    ngx_table_elt_t                *h;
    ngx_http_latchkey_main_conf_t  *lmcf;

    if (ngx_http_latchkey_url_has_cookie(r)) {
        return lk_view_make(NULL, 0);
    }

    lmcf = ngx_http_get_module_main_conf(r, ngx_http_latchkey_module);
    len = ngx_strlen(lmcf->settings.cookie_name);

    for (part = &r->headers_out.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            p = h[i].value.data;
            end = p + h[i].value.len;

            if (h[i].hash == 0 || h[i].key.len != 10
                || ngx_strncasecmp(h[i].key.data, (u_char *) "set-cookie", 10)
                   != 0
                || h[i].value.len < len + 1 + LK_URL_ID_LEN + 1
                || ngx_strncmp(p, lmcf->settings.cookie_name, len) != 0
                || p[len] != '=' || p[len + 1 + LK_URL_ID_LEN] != ';'
                || ngx_strlcasestrn(p, end, (u_char *) "; max-age=", 10 - 1)
                   != NULL)
            {
                continue;
            }

            return lk_view_make(p + len + 1, LK_URL_ID_LEN);
        }
    }

    return lk_view_make(NULL, 0);
}


static lk_links *
ngx_http_latchkey_url_make_links(ngx_http_request_t *r, lk_view id)
{
    lk_buf       origin;
    u_char       text[LK_LINK_ORIGIN_MAX];
    lk_links    *links;
    lk_request   req;

    links = ngx_palloc(r->pool, sizeof(lk_links));
    if (links == NULL) {
        return NULL;
    }

    ngx_http_latchkey_fill_request(r, &req);

    origin = lk_buf_over(text, sizeof(text));

    lk_buf_add(&origin, req.scheme);
    lk_buf_add_text(&origin, "://");
    lk_buf_add(&origin, req.host);

    if (req.host.len == 0 || lk_buf_status(&origin) != LK_OK) {
        origin.len = 0;
    }

    return lk_links_init(links, lk_view_make(text, origin.len),
                         ngx_http_latchkey_view(&r->unparsed_uri), id)
           == LK_OK ? links : NULL;
}


static void
ngx_http_latchkey_url_drop(ngx_http_request_t *r, const char *name)
{
    size_t            len;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    len = ngx_strlen(name);

    for (part = &r->headers_out.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (h[i].key.len == len
                && ngx_strncasecmp(h[i].key.data, (u_char *) name, len) == 0)
            {
                h[i].hash = 0;
            }
        }
    }
}


static ngx_int_t
ngx_http_latchkey_url_keep_secret(ngx_http_request_t *r, const char *policy)
{
    ngx_http_latchkey_url_drop(r, "cache-control");

    if (ngx_http_latchkey_push_header(r, "Cache-Control", "no-store", 8)
        == NULL)
    {
        return NGX_ERROR;
    }

    if (policy == NULL) {
        return NGX_OK;
    }

    ngx_http_latchkey_url_drop(r, "referrer-policy");

    return ngx_http_latchkey_push_header(r, "Referrer-Policy", policy,
                                         ngx_strlen(policy))
           ? NGX_OK : NGX_ERROR;
}


/* Redirects within the site. */
static ngx_int_t
ngx_http_latchkey_url_lead_back(ngx_http_request_t *r,
    ngx_http_latchkey_url_ctx_t *ctx)
{
    lk_buf            out;
    u_char           *p;
    ngx_uint_t        i, location;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    for (part = &r->headers_out.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            location = (h[i].key.len == 8
                        && ngx_strncasecmp(h[i].key.data,
                                           (u_char *) "location", 8)
                           == 0);

            if (h[i].hash == 0
                || (!location
                    && (h[i].key.len != 7
                        || ngx_strncasecmp(h[i].key.data,
                                           (u_char *) "refresh", 7)
                           != 0)))
            {
                continue;
            }

            p = ngx_http_latchkey_secret(r->pool, h[i].value.len + 64);
            if (p == NULL) {
                return NGX_ERROR;
            }

            out = lk_buf_over(p, h[i].value.len + 64);

            if (location
                ? lk_links_add(ctx->links,
                               ngx_http_latchkey_view(&h[i].value), &out)
                : lk_links_add_refresh(ctx->links,
                                       ngx_http_latchkey_view(&h[i].value),
                                       &out))
            {
                h[i].value.data = out.p;
                h[i].value.len = out.len;
            }
        }
    }

    return NGX_OK;
}


/* A part of a page (206) begins where nobody knows. */
static ngx_uint_t
ngx_http_latchkey_url_is_page(ngx_http_request_t *r)
{
    lk_view     type;
    ngx_uint_t  status;

    status = r->headers_out.status;
    type = ngx_http_latchkey_view(&r->headers_out.content_type);
    type = lk_view_trim(lk_view_part(type, 0, lk_view_find(type, ';')));

    return status >= NGX_HTTP_OK && status != NGX_HTTP_NO_CONTENT
           && status != NGX_HTTP_PARTIAL_CONTENT
           && status != NGX_HTTP_NOT_MODIFIED
           && !r->subrequest_in_memory
           && lk_view_equal_nocase(type, LK_VIEW("text/html"))
           && (r->headers_out.content_encoding == NULL
               || r->headers_out.content_encoding->value.len == 0);
}


static ngx_int_t
ngx_http_latchkey_url_begin(ngx_http_request_t *r, const lk_links *links)
{
    ngx_http_latchkey_url_ctx_t  *ctx;

    ctx = ngx_http_latchkey_url_need_ctx(r);
    if (ctx == NULL) {
        return NGX_ERROR;
    }

    lk_html_begin(&ctx->html, links);
    ctx->rewrites = 1;

    r->filter_need_in_memory = 1;

    if (r != r->main) {
        return NGX_OK;
    }

    /* other bytes than the ones it was made of */

    ngx_http_clear_content_length(r);
    ngx_http_clear_accept_ranges(r);
    ngx_http_clear_last_modified(r);
    ngx_http_clear_etag(r);

#if (NGX_HTTP_GZIP)

    /* ids beside text that others chose: not compressed (BREACH) */

    r->gzip_tested = 1;
    r->gzip_ok = 0;

#endif

    return NGX_OK;
}


/* Nothing is copied: what goes out are slices of what came in, with the id
 * between them.  A buffer that came in is free when its last slice was sent,
 * so a page is never read faster than the visitor takes it. */
static ngx_int_t
ngx_http_latchkey_url_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_int_t                     rc;
    ngx_chain_t                  *out, **last;
    ngx_http_latchkey_url_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_latchkey_url_module);

    if (ctx == NULL || !ctx->rewrites || (in == NULL && ctx->busy == NULL)) {
        return ngx_http_next_body_filter(r, in);
    }

    out = NULL;
    last = &out;

    for ( /* void */ ; in != NULL; in = in->next) {
        if (ngx_http_latchkey_url_pass(r, ctx, in->buf, &last) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    rc = ngx_http_next_body_filter(r, out);

    ngx_http_latchkey_url_sent(ctx, out);

    return rc;
}


static ngx_int_t
ngx_http_latchkey_url_pass(ngx_http_request_t *r,
    ngx_http_latchkey_url_ctx_t *ctx, ngx_buf_t *b, ngx_chain_t ***last)
{
    size_t      n;
    u_char     *p;
    lk_view     add;
    ngx_buf_t  *slice;

    slice = NULL;

    for (p = b->pos; ngx_buf_in_memory(b) && p < b->last; p += n) {

        n = lk_html_step(&ctx->html,
                         lk_view_make(p, (size_t) (b->last - p)), &add);

        if (n != 0) {
            slice = ngx_http_latchkey_url_buf(r, ctx, last);
            if (slice == NULL) {
                return NGX_ERROR;
            }

            slice->memory = 1;
            slice->pos = p;
            slice->last = p + n;
        }

        if (add.len != 0) {
            slice = ngx_http_latchkey_url_buf(r, ctx, last);
            if (slice == NULL) {
                return NGX_ERROR;
            }

            slice->memory = 1;
            slice->pos = (u_char *) add.p;
            slice->last = slice->pos + add.len;
        }
    }

    if (slice == NULL) {

        /* nothing but a sign: of the end, or to send what there is */

        slice = ngx_http_latchkey_url_buf(r, ctx, last);
        if (slice == NULL) {
            return NGX_ERROR;
        }

        *slice = *b;
    }

    slice->tag = (ngx_buf_tag_t) &ngx_http_latchkey_url_module;
    slice->shadow = b;
    slice->recycled = b->recycled;
    slice->flush = b->flush;
    slice->sync = b->sync;
    slice->last_buf = b->last_buf;
    slice->last_in_chain = b->last_in_chain;

    return NGX_OK;
}


static ngx_buf_t *
ngx_http_latchkey_url_buf(ngx_http_request_t *r,
    ngx_http_latchkey_url_ctx_t *ctx, ngx_chain_t ***last)
{
    ngx_chain_t  *cl;

    cl = ctx->free;

    if (cl != NULL) {
        ctx->free = cl->next;
        ngx_memzero(cl->buf, sizeof(ngx_buf_t));

    } else {
        cl = ngx_alloc_chain_link(r->pool);
        if (cl == NULL) {
            return NULL;
        }

        cl->buf = ngx_calloc_buf(r->pool);
        if (cl->buf == NULL) {
            return NULL;
        }
    }

    cl->next = NULL;
    **last = cl;
    *last = &cl->next;

    return cl->buf;
}


/* Take back what was sent.  Signs are not used again: they have no bytes by
 * which one could see whether they are still on their way. */
static void
ngx_http_latchkey_url_sent(ngx_http_latchkey_url_ctx_t *ctx, ngx_chain_t *out)
{
    ngx_buf_t     *b;
    ngx_chain_t   *cl, **end;

    for (end = &ctx->busy; *end != NULL; end = &(*end)->next) { /* void */ }

    *end = out;

    while (ctx->busy != NULL) {

        cl = ctx->busy;
        b = cl->buf;

        if (ngx_buf_size(b) != 0) {
            break;
        }

        if (b->shadow != NULL) {
            b->shadow->pos = b->shadow->last;

            if (b->shadow->in_file) {
                b->shadow->file_pos = b->shadow->file_last;
            }
        }

        ctx->busy = cl->next;

        if (ngx_buf_in_memory(b) || b->in_file) {
            cl->next = ctx->free;
            ctx->free = cl;
        }
    }
}
