/* SPDX-License-Identifier: Apache-2.0
 *
 * ngx_http_latchkey_url.c - `latchkey_url`: the session id of a visitor
 * without cookies comes in the path, and is taken out of the request before
 * anything else sees it.
 *
 * A module of its own, so that its filters stand where they must: behind what
 * puts pages together (SSI), in front of what compresses them and counts their
 * bytes.
 */
#include "ngx_http_latchkey_url.h"


typedef struct {
    ngx_uint_t                   takes;      /* in one of its locations */
} ngx_http_latchkey_url_srv_conf_t;


static char *ngx_http_latchkey_url_directive(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static ngx_int_t ngx_http_latchkey_url_init(ngx_conf_t *cf);
static ngx_int_t ngx_http_latchkey_url_add_phases(ngx_conf_t *cf);
static void *ngx_http_latchkey_url_create_main_conf(ngx_conf_t *cf);
static void *ngx_http_latchkey_url_create_srv_conf(ngx_conf_t *cf);
static char *ngx_http_latchkey_url_merge_srv_conf(ngx_conf_t *cf, void *parent,
    void *child);
static void *ngx_http_latchkey_url_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_latchkey_url_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);

static ngx_int_t ngx_http_latchkey_url_take(ngx_http_request_t *r);
static ngx_int_t ngx_http_latchkey_url_split(ngx_http_request_t *r);
static ngx_int_t ngx_http_latchkey_url_refuse(ngx_http_request_t *r);
static ngx_int_t ngx_http_latchkey_url_scrub(ngx_http_request_t *r,
    ngx_str_t *text);
static ngx_int_t ngx_http_latchkey_url_scrub_all(ngx_http_request_t *r);
static ngx_int_t ngx_http_latchkey_url_prepare(ngx_http_request_t *r);
static ngx_int_t ngx_http_latchkey_url_log(ngx_http_request_t *r);
static ngx_table_elt_t *ngx_http_latchkey_url_header(ngx_http_request_t *r,
    const char *name, size_t len);
static void ngx_http_latchkey_url_forget(void *data);


static ngx_command_t  ngx_http_latchkey_url_commands[] = {

    { ngx_string("latchkey_url"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_http_latchkey_url_directive,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_latchkey_url_loc_conf_t, enable),
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_latchkey_url_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_http_latchkey_url_init,            /* postconfiguration */

    ngx_http_latchkey_url_create_main_conf, /* create main configuration */
    NULL,                                  /* init main configuration */

    ngx_http_latchkey_url_create_srv_conf, /* create server configuration */
    ngx_http_latchkey_url_merge_srv_conf,  /* merge server configuration */

    ngx_http_latchkey_url_create_loc_conf, /* create location configuration */
    ngx_http_latchkey_url_merge_loc_conf   /* merge location configuration */
};


ngx_module_t  ngx_http_latchkey_url_module = {
    NGX_MODULE_V1,
    &ngx_http_latchkey_url_module_ctx,     /* module context */
    ngx_http_latchkey_url_commands,        /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    NULL,                                  /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


/* The main configuration is one flag: is it on anywhere? */
static char *
ngx_http_latchkey_url_directive(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char                              *rv;
    ngx_uint_t                        *used;
    ngx_http_latchkey_url_loc_conf_t  *ulcf = conf;
    ngx_http_latchkey_url_srv_conf_t  *uscf;

    rv = ngx_conf_set_flag_slot(cf, cmd, conf);

    if (rv != NGX_CONF_OK || !ulcf->enable) {
        return rv;
    }

    /* the id has to go before it is known which location it is for */

    uscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_latchkey_url_module);
    uscf->takes = 1;

    used = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_latchkey_url_module);
    *used = 1;

    return NGX_CONF_OK;
}


static void *
ngx_http_latchkey_url_create_main_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool, sizeof(ngx_uint_t));
}


static void *
ngx_http_latchkey_url_create_srv_conf(ngx_conf_t *cf)
{
    return ngx_pcalloc(cf->pool, sizeof(ngx_http_latchkey_url_srv_conf_t));
}


static char *
ngx_http_latchkey_url_merge_srv_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_latchkey_url_srv_conf_t  *prev = parent;
    ngx_http_latchkey_url_srv_conf_t  *conf = child;

    conf->takes |= prev->takes;

    return NGX_CONF_OK;
}


static void *
ngx_http_latchkey_url_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_latchkey_url_loc_conf_t  *ulcf;

    ulcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_latchkey_url_loc_conf_t));

    if (ulcf != NULL) {
        ulcf->enable = NGX_CONF_UNSET;
    }

    return ulcf;
}


static char *
ngx_http_latchkey_url_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_latchkey_url_loc_conf_t  *prev = parent;
    ngx_http_latchkey_url_loc_conf_t  *conf = child;

    ngx_conf_merge_value(conf->enable, prev->enable, 0);

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_latchkey_url_init(ngx_conf_t *cf)
{
    lk_way                          way;
    ngx_uint_t                     *used;
    ngx_http_latchkey_main_conf_t  *lmcf;

    used = ngx_http_conf_get_module_main_conf(cf,
                                              ngx_http_latchkey_url_module);
    if (!*used) {
        return NGX_OK;
    }

    lmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_latchkey_module);
    way = lk_way_of_settings(&lmcf->settings);

    if (lk_way_credential(way) != LK_KIND_SESSION_ID) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"latchkey_url on\" puts session ids into links, "
                           "and under \"latchkey_share %s\" there are none: "
                           "write latchkey_url off, or choose another way",
                           lk_way_name(way));
        return NGX_ERROR;
    }

    if (ngx_http_latchkey_url_add_phases(cf) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_latchkey_url_init_filter();

    return NGX_OK;
}


/* POST_READ is the first phase there is; requests whose header was bad never
 * reach it and come to their error page by SERVER_REWRITE.  Handlers of the
 * log phase run from the first to the last: ours has to be before the one that
 * writes the log. */
static ngx_int_t
ngx_http_latchkey_url_add_phases(ngx_conf_t *cf)
{
    ngx_uint_t                  i;
    ngx_array_t                *handlers;
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf;

    static const struct {
        ngx_uint_t              phase;
        ngx_http_handler_pt     handler;
    } phases[] = {
        { NGX_HTTP_POST_READ_PHASE, ngx_http_latchkey_url_take },
        { NGX_HTTP_SERVER_REWRITE_PHASE, ngx_http_latchkey_url_take },
        { NGX_HTTP_PRECONTENT_PHASE, ngx_http_latchkey_url_prepare }
    };

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    for (i = 0; i < sizeof(phases) / sizeof(phases[0]); i++) {
        h = ngx_array_push(&cmcf->phases[phases[i].phase].handlers);
        if (h == NULL) {
            return NGX_ERROR;
        }

        *h = phases[i].handler;
    }

    handlers = &cmcf->phases[NGX_HTTP_LOG_PHASE].handlers;

    if (ngx_array_push(handlers) == NULL) {
        return NGX_ERROR;
    }

    h = handlers->elts;
    ngx_memmove(&h[1], &h[0], (handlers->nelts - 1) * sizeof(*h));
    h[0] = ngx_http_latchkey_url_log;

    return NGX_OK;
}


ngx_http_latchkey_url_ctx_t *
ngx_http_latchkey_url_ctx(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t           *cln;
    ngx_http_latchkey_url_ctx_t  *ctx;

    ctx = ngx_http_get_module_ctx(r, ngx_http_latchkey_url_module);
    if (ctx != NULL) {
        return ctx;
    }

    for (cln = r->pool->cleanup; cln != NULL; cln = cln->next) {

        if (cln->handler != ngx_http_latchkey_url_forget) {
            continue;
        }

        ctx = cln->data;

        if (ctx->request == r) {
            ngx_http_set_ctx(r, ctx, ngx_http_latchkey_url_module);
            return ctx;
        }
    }

    return NULL;
}


ngx_http_latchkey_url_ctx_t *
ngx_http_latchkey_url_need_ctx(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t           *cln;
    ngx_http_latchkey_url_ctx_t  *ctx;

    ctx = ngx_http_latchkey_url_ctx(r);
    if (ctx != NULL) {
        return ctx;
    }

    cln = ngx_pool_cleanup_add(r->pool, sizeof(ngx_http_latchkey_url_ctx_t));
    if (cln == NULL) {
        return NULL;
    }

    ctx = cln->data;
    ngx_memzero(ctx, sizeof(ngx_http_latchkey_url_ctx_t));

    ctx->request = r;
    cln->handler = ngx_http_latchkey_url_forget;

    ngx_http_set_ctx(r, ctx, ngx_http_latchkey_url_module);

    return ctx;
}


static void
ngx_http_latchkey_url_forget(void *data)
{
    ngx_http_latchkey_url_ctx_t  *ctx = data;

    if (ctx->links != NULL) {
        lk_wipe(ctx->links, sizeof(lk_links));
    }
}


/* Of the location this request is in now. */
ngx_uint_t
ngx_http_latchkey_url_is_on(ngx_http_request_t *r)
{
    ngx_http_latchkey_url_loc_conf_t  *ulcf;

    ulcf = ngx_http_get_module_loc_conf(r, ngx_http_latchkey_url_module);

    return ulcf->enable == 1;
}


/* The id that came with the request, where the location takes it. */
lk_view
ngx_http_latchkey_url_presented(ngx_http_request_t *r)
{
    ngx_http_latchkey_url_ctx_t  *ctx;

    if (!ngx_http_latchkey_url_is_on(r)) {
        return lk_view_make(NULL, 0);
    }

    ctx = ngx_http_latchkey_url_ctx(r->main);

    return ctx ? ngx_http_latchkey_view(&ctx->id) : lk_view_make(NULL, 0);
}


/* A page of the API for somebody who sent no cookie at all: the form on it
 * needs a session, as a mark in a cookie might not come back. */
ngx_uint_t
ngx_http_latchkey_url_wants_session(ngx_http_request_t *r)
{
    return r == r->main && ngx_http_latchkey_url_is_on(r)
           && ngx_http_latchkey_is_browser(r)
           && !ngx_http_latchkey_url_has_cookie(r);
}


static ngx_table_elt_t *
ngx_http_latchkey_url_header(ngx_http_request_t *r, const char *name,
    size_t len)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    for (part = &r->headers_in.headers.part; part != NULL; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (h[i].key.len == len
                && ngx_strncasecmp(h[i].key.data, (u_char *) name, len) == 0)
            {
                return &h[i];
            }
        }
    }

    return NULL;
}


/* Does this browser send cookies?  One is enough, whosever it is. */
ngx_uint_t
ngx_http_latchkey_url_has_cookie(ngx_http_request_t *r)
{
    return ngx_http_latchkey_url_header(r->main, "cookie", 6) != NULL;
}


static ngx_int_t
ngx_http_latchkey_url_take(ngx_http_request_t *r)
{
    ngx_int_t                          rc;
    ngx_http_latchkey_url_srv_conf_t  *uscf;

    if (r != r->main) {
        return NGX_DECLINED;
    }

    uscf = ngx_http_get_module_srv_conf(r, ngx_http_latchkey_url_module);

    if (!uscf->takes) {
        return NGX_DECLINED;
    }

    rc = ngx_http_latchkey_url_split(r);

    if (rc == NGX_ERROR || ngx_http_latchkey_url_scrub_all(r) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return rc;
}


/* The application may be given either: the address as the client wrote it, or
 * the path that nginx made of it, in which escapes are decoded and dot
 * segments resolved.  What is taken out of one has to be the same in the
 * other, and neither may turn into another path by it. */
static ngx_int_t
ngx_http_latchkey_url_split(ngx_http_request_t *r)
{
    size_t                        len;
    lk_buf                        raw, path;
    lk_view                       id, in_path;
    u_char                       *p;
    lk_status                     status, of_path;
    ngx_http_latchkey_url_ctx_t  *ctx;

    if (ngx_strnstr(r->uri.data, (char *) ";lk=", r->uri.len) == NULL
        && ngx_strnstr(r->unparsed_uri.data, (char *) ";lk=",
                       r->unparsed_uri.len)
           == NULL)
    {
        return NGX_DECLINED;
    }

    len = r->unparsed_uri.len + r->uri.len + LK_URL_ID_LEN + 2;

    p = ngx_http_latchkey_secret(r->pool, len);
    ctx = ngx_http_latchkey_url_need_ctx(r);

    if (p == NULL || ctx == NULL) {
        return NGX_ERROR;
    }

    raw = lk_buf_over(p, r->unparsed_uri.len + 1);
    path = lk_buf_over(p + r->unparsed_uri.len + 1, r->uri.len + 1);

    status = lk_url_take(ngx_http_latchkey_view(&r->unparsed_uri), &raw, &id);
    of_path = lk_url_take(ngx_http_latchkey_view(&r->uri), &path, &in_path);

    if (status == LK_MISS && of_path == LK_MISS) {

        /* `;lk=` of somebody else; with an id behind `%3f` it would be ours */

        return lk_url_scrub(ngx_http_latchkey_view(&r->uri), &path)
               ? ngx_http_latchkey_url_refuse(r) : NGX_DECLINED;
    }

    if (status != LK_OK || of_path != LK_OK || !lk_view_equal(id, in_path)) {
        return ngx_http_latchkey_url_refuse(r);
    }

    ctx->id.data = p + r->unparsed_uri.len + r->uri.len + 2;
    ctx->id.len = id.len;
    ngx_memcpy(ctx->id.data, id.p, id.len);

    r->unparsed_uri.data = raw.p;
    r->unparsed_uri.len = raw.len;
    r->uri.data = path.p;
    r->uri.len = path.len;

    ngx_http_set_exten(r);

    return NGX_DECLINED;
}


/* 400, and nothing of the address is left for anybody to see. */
static ngx_int_t
ngx_http_latchkey_url_refuse(ngx_http_request_t *r)
{
    u_char  *p;

    p = ngx_pnalloc(r->pool, r->method_name.len + r->http_protocol.len + 3);
    if (p == NULL) {
        return NGX_ERROR;
    }

    r->request_line.data = p;
    r->request_line.len = (size_t) (ngx_sprintf(p, "%V / %V", &r->method_name,
                                                &r->http_protocol) - p);
    ngx_str_set(&r->unparsed_uri, "/");
    ngx_str_set(&r->uri, "/");
    ngx_str_null(&r->exten);
    ngx_str_null(&r->args);

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "client sent session ids in its path in a way that could "
                  "be read as another path");

    return NGX_HTTP_BAD_REQUEST;
}


static ngx_int_t
ngx_http_latchkey_url_scrub(ngx_http_request_t *r, ngx_str_t *text)
{
    lk_buf   out;
    u_char  *p;

    if (text->len <= LK_URL_ID_LEN
        || ngx_strnstr(text->data, (char *) ";lk=", text->len) == NULL)
    {
        return NGX_OK;
    }

    p = ngx_http_latchkey_secret(r->pool, text->len + 1);
    if (p == NULL) {
        return NGX_ERROR;
    }

    out = lk_buf_over(p, text->len);

    if (lk_url_scrub(ngx_http_latchkey_view(text), &out)) {
        p[out.len] = '\0';
        text->data = p;
        text->len = out.len;
    }

    return NGX_OK;
}


/* The request line and the page the visitor comes from, which the access log
 * and messages of nginx quote, and the application is told. */
static ngx_int_t
ngx_http_latchkey_url_scrub_all(ngx_http_request_t *r)
{
    ngx_table_elt_t  *referer;

    referer = ngx_http_latchkey_url_header(r, "referer", 7);

    if (referer != NULL
        && ngx_http_latchkey_url_scrub(r, &referer->value) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_latchkey_url_scrub(r, &r->request_line);
}


/* What failed before there was a phase has its line in the log all the same.
 * Without memory it has none. */
static ngx_int_t
ngx_http_latchkey_url_log(ngx_http_request_t *r)
{
    ngx_http_latchkey_url_srv_conf_t  *uscf;

    uscf = ngx_http_get_module_srv_conf(r, ngx_http_latchkey_url_module);

    if (uscf->takes
        && (ngx_http_latchkey_url_scrub_all(r) != NGX_OK
            || ngx_http_latchkey_url_scrub(r, &r->unparsed_uri) != NGX_OK
            || ngx_http_latchkey_url_scrub(r, &r->uri) != NGX_OK))
    {
        ngx_str_null(&r->request_line);
        ngx_str_null(&r->uri);
        ngx_str_null(&r->unparsed_uri);
    }

    return NGX_OK;
}


/* Behind the gate, and before the content: a page that is going to be
 * rewritten is asked for uncompressed and whole. */
static ngx_int_t
ngx_http_latchkey_url_prepare(ngx_http_request_t *r)
{
    ngx_table_elt_t          *h;
    ngx_http_latchkey_ctx_t  *ctx;

    if (!ngx_http_latchkey_url_is_on(r)) {
        return NGX_DECLINED;
    }

    ctx = ngx_http_latchkey_ctx(r->main);

    if (ctx == NULL
        || !(ctx->by_url
             || (ctx->issued && !ngx_http_latchkey_url_has_cookie(r))))
    {
        return NGX_DECLINED;
    }

    r->disable_not_modified = 1;

    h = ngx_http_latchkey_url_header(r, "accept-encoding", 15);

    if (h != NULL) {
        ngx_str_set(&h->value, "identity");
    }

    return NGX_DECLINED;
}
