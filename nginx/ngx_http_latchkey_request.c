/* SPDX-License-Identifier: Apache-2.0
 *
 * ngx_http_latchkey_request.c - one request as the core wants to see it, and
 * what the module remembers of it.
 */
#include "ngx_http_latchkey_room.h"


/* Free rooms that are kept; as many as requests are usually in the works. */
#define NGX_HTTP_LATCHKEY_ROOMS  64


static ngx_http_latchkey_room_t *ngx_http_latchkey_room_get(ngx_log_t *log);
static void ngx_http_latchkey_room_free(ngx_http_latchkey_room_t *room);
static void ngx_http_latchkey_forget(void *data);
static ngx_int_t ngx_http_latchkey_add_field(ngx_pool_t *pool,
    ngx_http_latchkey_fields_t *f, ngx_str_t *value);


/* Of this worker, and of its event loop alone. */
static ngx_http_latchkey_room_t  *ngx_http_latchkey_rooms;
static ngx_uint_t                 ngx_http_latchkey_rooms_n;


/* The context of R, or NULL.  After an internal redirect r->ctx is empty, and
 * the pool still knows it. */
ngx_http_latchkey_ctx_t *
ngx_http_latchkey_ctx(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t       *cln;
    ngx_http_latchkey_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_latchkey_module);

    if (ctx != NULL) {
        return ctx->request ? ctx : NULL;
    }

    for (cln = r->pool->cleanup; cln != NULL; cln = cln->next) {

        if (cln->handler != ngx_http_latchkey_forget) {
            continue;
        }

        ctx = cln->data;

        if (ctx->request == r) {
            ngx_http_set_ctx(r, ctx, ngx_http_latchkey_module);
            return ctx;
        }
    }

    return NULL;
}


ngx_http_latchkey_ctx_t *
ngx_http_latchkey_need_ctx(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t        *cln;
    ngx_http_latchkey_ctx_t   *ctx;
    ngx_http_latchkey_room_t  *room;

    ctx = ngx_http_latchkey_ctx(r);
    if (ctx != NULL) {
        return ctx;
    }

    cln = ngx_pool_cleanup_add(r->pool, 0);
    if (cln == NULL) {
        return NULL;
    }

    room = ngx_http_latchkey_room_get(r->connection->log);
    if (room == NULL) {
        return NULL;
    }

    ctx = &room->ctx;
    ngx_memzero(ctx, sizeof(ngx_http_latchkey_ctx_t));

    ctx->request = r;
    room->used = 0;

    cln->data = ctx;
    cln->handler = ngx_http_latchkey_forget;

    ngx_http_set_ctx(r, ctx, ngx_http_latchkey_module);

    return ctx;
}


static ngx_http_latchkey_room_t *
ngx_http_latchkey_room_get(ngx_log_t *log)
{
    ngx_http_latchkey_room_t  *room;

    room = ngx_http_latchkey_rooms;

    if (room == NULL) {
        return ngx_alloc(sizeof(ngx_http_latchkey_room_t), log);
    }

    ngx_http_latchkey_rooms = room->next;
    ngx_http_latchkey_rooms_n--;

    return room;
}


static void
ngx_http_latchkey_room_free(ngx_http_latchkey_room_t *room)
{
#if defined(__SANITIZE_ADDRESS__)

    /* what is used after the end of its request shall be seen */

    ngx_free(room);

#else

    if (ngx_http_latchkey_rooms_n >= NGX_HTTP_LATCHKEY_ROOMS) {
        ngx_free(room);
        return;
    }

    room->next = ngx_http_latchkey_rooms;
    ngx_http_latchkey_rooms = room;
    ngx_http_latchkey_rooms_n++;

#endif
}


/* The request is over, perhaps while a thread still works for it: then that
 * goes on alone. */
static void
ngx_http_latchkey_forget(void *data)
{
    ngx_http_latchkey_ctx_t  *ctx = data;

    if (ctx->wait != NULL) {
        ngx_http_latchkey_wait_leave(ctx->wait);
    }

    if (ctx->answer != NULL) {
        ngx_http_latchkey_lane_free(ctx->answer);
    }

    ngx_http_latchkey_room_free(ngx_http_latchkey_room(ctx));
}


/* Keep what variables and headers need of ID: the struct itself is large, and
 * most of it empty. */
ngx_int_t
ngx_http_latchkey_remember(ngx_http_request_t *r, ngx_http_latchkey_ctx_t *ctx,
    const lk_identity *id)
{
    u_char      *p;
    size_t       len;
    ngx_uint_t   i, n;

    struct {
        ngx_str_t   *to;
        const char  *from;
    } text[] = {
        { &ctx->user, lk_identity_user_name(id) },
        { &ctx->name, id->logged_in ? id->name : "" },
        { &ctx->realm, id->realm },
        { &ctx->roles, id->logged_in ? id->roles : "" },
        { &ctx->scope, id->logged_in ? id->scope : "" },
        { &ctx->session, id->has_session ? id->public_id : "" }
    };

    n = sizeof(text) / sizeof(text[0]);
    len = 0;

    for (i = 0; i < n; i++) {
        text[i].to->len = ngx_strlen(text[i].from);
        len += text[i].to->len;
    }

    ctx->reason = id->reason;
    ctx->by_url = id->has_session && id->carrier == LK_CARRIER_URL;
    ctx->by_token = id->verdict == LK_VERDICT_ALLOW && id->logged_in
                    && id->kind == LK_KIND_TOKEN;
    ctx->carrier = (unsigned) id->carrier & 3;
    ctx->params = NULL;
    ctx->pieces = id->pieces & ((1u << LK_SEALED_PIECES) - 1);

    p = ngx_http_latchkey_text(r, ctx, len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {
        text[i].to->data = p;
        p = ngx_cpymem(p, text[i].from, text[i].to->len);
    }

    return NGX_OK;
}


static ngx_uint_t
ngx_http_latchkey_is_named(ngx_str_t *name, u_char *wanted, size_t len)
{
    return name->len == len && ngx_strncasecmp(name->data, wanted, len) == 0;
}


/* Where values of the header field NAME are kept, or NULL: it carries no
 * credential. */
static ngx_http_latchkey_fields_t *
ngx_http_latchkey_fields_of(ngx_http_latchkey_main_conf_t *lmcf,
    ngx_http_latchkey_found_t *found, ngx_str_t *name)
{
    if (ngx_http_latchkey_is_named(name, (u_char *) "cookie", 6)) {
        return &found->cookies;
    }

    if (ngx_http_latchkey_is_named(name, (u_char *) "authorization", 13)) {
        return &found->authorization;
    }

    if (ngx_http_latchkey_is_named(name, (u_char *) "dpop", 4)) {
        return &found->proofs;
    }

    if (lmcf->header.len != 0
        && ngx_http_latchkey_is_named(name, lmcf->header.data,
                                      lmcf->header.len))
    {
        return &found->header;
    }

    return NULL;
}


/* The list itself is read, and not the pointers of r->headers_in: arrays in
 * nginx 1.22 and linked lists since 1.23, the list is the same in both. */
static ngx_int_t
ngx_http_latchkey_collect(ngx_http_request_t *r,
    ngx_http_latchkey_found_t *found)
{
    ngx_uint_t                      i;
    ngx_list_part_t                *part;
    ngx_table_elt_t                *h;
    ngx_http_latchkey_fields_t     *f;
    ngx_http_latchkey_main_conf_t  *lmcf;

    lmcf = ngx_http_get_module_main_conf(r, ngx_http_latchkey_module);

    ngx_memzero(found, sizeof(ngx_http_latchkey_found_t));

    for (part = &r->headers_in.headers.part; part != NULL; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            f = ngx_http_latchkey_fields_of(lmcf, found, &h[i].key);

            if (f != NULL
                && ngx_http_latchkey_add_field(r->pool, f, &h[i].value)
                   != NGX_OK)
            {
                return NGX_ERROR;
            }
        }
    }

    return NGX_OK;
}


/* Where a credential may ride. */
ngx_int_t
ngx_http_latchkey_find(ngx_http_request_t *r, ngx_http_latchkey_found_t *found,
    lk_presented *presented)
{
    ngx_http_latchkey_ctx_t  *ctx;

    if (ngx_http_latchkey_collect(r, found) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_memzero(presented, sizeof(lk_presented));

    presented->address = ngx_http_latchkey_view(&r->connection->addr_text);
    presented->url = ngx_http_latchkey_url_presented(r);

    ctx = ngx_http_latchkey_ctx(r->main);

    if (ctx != NULL && ctx->fresh.len != 0) {
        presented->sealed = ngx_http_latchkey_view(&ctx->fresh);
    }

    presented->cookies = found->cookies.fields;
    presented->cookies_n = found->cookies.n;
    presented->authorization = found->authorization.fields;
    presented->authorization_n = found->authorization.n;
    presented->header = found->header.fields;
    presented->header_n = found->header.n;

    presented->proofs = found->proofs.fields;
    presented->proofs_n = found->proofs.n;

    if (found->proofs.n != 0) {
        ngx_http_latchkey_about(r, &presented->about);

        presented->proof_used = (ctx != NULL && ctx->proof_used);
    }

    /* a part of a request that changes something (auth_request is a GET) does
     * not only read; nor does what a WebSocket handshake opens */

    presented->only_reads = !ngx_http_latchkey_changes_state(r)
                            && !ngx_http_latchkey_changes_state(r->main)
                            && (r->main->method
                                & (NGX_HTTP_GET|NGX_HTTP_HEAD));

    return NGX_OK;
}


static ngx_int_t
ngx_http_latchkey_add_field(ngx_pool_t *pool, ngx_http_latchkey_fields_t *f,
    ngx_str_t *value)
{
    size_t    cap;
    lk_view  *fields;

    if (f->n == 0) {
        f->fields = f->few;
        f->cap = sizeof(f->few) / sizeof(f->few[0]);
    }

    if (f->n == f->cap) {
        cap = f->cap * 2;

        fields = ngx_palloc(pool, cap * sizeof(lk_view));
        if (fields == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(fields, f->fields, f->n * sizeof(lk_view));

        f->fields = fields;
        f->cap = cap;
    }

    f->fields[f->n++] = ngx_http_latchkey_view(value);

    return NGX_OK;
}


/* The first header field with that NAME, or nothing. */
lk_view
ngx_http_latchkey_header(ngx_http_request_t *r, const char *name)
{
    size_t            len;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    len = ngx_strlen(name);

    for (part = &r->headers_in.headers.part; part != NULL; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (h[i].key.len == len
                && ngx_strncasecmp(h[i].key.data, (u_char *) name, len) == 0)
            {
                return ngx_http_latchkey_view(&h[i].value);
            }
        }
    }

    return lk_view_make(NULL, 0);
}


/* The operator may say that a proxy in front ends TLS (latchkey_tls_proxy).
 * What comes in through a unix socket comes from a proxy on this machine that
 * the operator put there (`latchkey serve --split`): it says what the visitor
 * used.  From anybody else X-Forwarded-Proto is a claim. */
lk_view
ngx_http_latchkey_scheme(ngx_http_request_t *r)
{
    ngx_http_latchkey_main_conf_t  *lmcf;

    lmcf = ngx_http_get_module_main_conf(r, ngx_http_latchkey_module);

    if (lmcf->settings.tls_proxy) {
        return LK_VIEW("https");
    }

#if (NGX_HTTP_SSL)
    if (r->connection->ssl) {
        return LK_VIEW("https");
    }
#endif

    if (r->connection->local_sockaddr != NULL
        && r->connection->local_sockaddr->sa_family == AF_UNIX
        && lk_view_equal(ngx_http_latchkey_header(r, "x-forwarded-proto"),
                         LK_VIEW("https")))
    {
        return LK_VIEW("https");
    }

    return LK_VIEW("http");
}


/* Everything but body and credential.  The path is nginx's own normalised URI
 * of this request; what a client says in X-Original-URI is passed on as what
 * it is, a claim (CVE-2026-40575).  A sub-request, as auth_request makes, is
 * about the URI of the request it belongs to. */
void
ngx_http_latchkey_fill_request(ngx_http_request_t *r, lk_request *req)
{
    ngx_http_variable_value_t      *vv;
    ngx_http_latchkey_loc_conf_t   *llcf;
    ngx_http_latchkey_main_conf_t  *lmcf;

    lmcf = ngx_http_get_module_main_conf(r, ngx_http_latchkey_module);

    ngx_memzero(req, sizeof(lk_request));

    req->method = ngx_http_latchkey_view(&r->method_name);
    req->path = ngx_http_latchkey_view(&r->uri);
    req->query = ngx_http_latchkey_view(&r->args);
    req->host = ngx_http_latchkey_header(r, "host");

    req->scheme = ngx_http_latchkey_scheme(r);
    req->address = ngx_http_latchkey_view(&r->connection->addr_text);
    req->content_type = ngx_http_latchkey_header(r, "content-type");
    req->accept = ngx_http_latchkey_header(r, "accept");
    req->accept_language = ngx_http_latchkey_header(r, "accept-language");
    req->user_agent = ngx_http_latchkey_header(r, "user-agent");
    req->origin = ngx_http_latchkey_header(r, "origin");
    req->referer = ngx_http_latchkey_header(r, "referer");
    req->sec_fetch_site = ngx_http_latchkey_header(r, "sec-fetch-site");
    req->if_match = ngx_http_latchkey_header(r, "if-match");

    llcf = ngx_http_get_module_loc_conf(r, ngx_http_latchkey_module);

    req->lag_ms = llcf->lag_ms;
    req->lag = llcf->lag;
    req->stale_s = llcf->stale_s;
    req->stale_safe = llcf->stale_safe != 0;
    req->cors = ngx_http_latchkey_cors_of(r, llcf);

    if (r != r->main) {
        req->original_uri = ngx_http_latchkey_view(&r->main->unparsed_uri);

    } else {
        req->original_uri = ngx_http_latchkey_header(r, "x-original-uri");

        if (req->original_uri.len == 0) {
            req->original_uri = ngx_http_latchkey_header(r,
                                                         "x-forwarded-uri");
        }
    }

    vv = ngx_http_get_indexed_variable(r, (ngx_uint_t) lmcf->request_id);

    if (vv != NULL && !vv->not_found) {
        req->request_id = lk_view_make(vv->data, vv->len);
    }
}
