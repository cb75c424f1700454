/* SPDX-License-Identifier: Apache-2.0
 *
 * ngx_http_latchkey_cors.c - pages of other origins that may read what a
 * location answers (Fetch, "CORS protocol").
 *
 * An origin is allowed when it is, byte for byte, one that was written down.
 * Nothing of the request is ever sent back but that.
 */
#include "ngx_http_latchkey.h"


#define NGX_HTTP_LATCHKEY_PREFIX  "access-control-"


static ngx_str_t  ngx_http_latchkey_cors_methods =
    ngx_string("GET, HEAD, POST, PUT, PATCH, DELETE");
static ngx_str_t  ngx_http_latchkey_cors_headers =
    ngx_string("Authorization, Content-Type");

/* What the application says of the matter is taken out.  Other header fields
 * of that family (Allow-Private-Network) it keeps. */
static ngx_str_t  ngx_http_latchkey_cors_ours[] = {
    ngx_string("allow-origin"),
    ngx_string("allow-credentials"),
    ngx_string("allow-methods"),
    ngx_string("allow-headers"),
    ngx_string("expose-headers"),
    ngx_string("max-age"),
    ngx_null_string
};


static ngx_uint_t ngx_http_latchkey_is_preflight(ngx_http_request_t *r);
static const ngx_str_t *ngx_http_latchkey_cors_match(ngx_http_request_t *r,
    const ngx_http_latchkey_cors_t *cors);
static void ngx_http_latchkey_cors_clear(ngx_http_request_t *r);
static ngx_int_t ngx_http_latchkey_cors_push(ngx_http_request_t *r,
    const char *name, const ngx_str_t *value);


/* The first thing at the gate: NGX_DECLINED, or the answer.  A preflight asks
 * for nothing but the headers that the filter below gives, and carries no
 * credential: so it meets no rule, no store and no session. */
ngx_int_t
ngx_http_latchkey_cors_gate(ngx_http_request_t *r,
    ngx_http_latchkey_loc_conf_t *llcf)
{
    ngx_http_latchkey_ctx_t  *ctx;

    if (r != r->main || !llcf->cors->given) {
        return NGX_DECLINED;
    }

    ctx = ngx_http_latchkey_need_ctx(r);
    if (ctx == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* an error page is shown in the place of what was asked for, and who may
     * read that may read why not */

    if (ctx->cors == NULL || (!r->error_page && r->err_status == 0)) {
        ctx->cors = llcf->cors;
    }

    if (!llcf->cors->on || !ngx_http_latchkey_is_preflight(r)) {
        return NGX_DECLINED;
    }

    if (ngx_http_latchkey_cors_match(r, llcf->cors) != NULL) {
        return NGX_HTTP_NO_CONTENT;
    }

    ngx_http_finalize_request(r, ngx_http_latchkey_send_problem(r,
                                     NGX_HTTP_FORBIDDEN, LK_REASON_CORS,
                                     LK_VIEW("pages of this origin may not "
                                             "use what is here: it would "
                                             "have to be in latchkey_cors")));
    return NGX_DONE;
}


/* What the location says of the page that sent this request. */
lk_cors
ngx_http_latchkey_cors_of(ngx_http_request_t *r,
    ngx_http_latchkey_loc_conf_t *llcf)
{
    if (!llcf->cors->on || ngx_http_latchkey_cors_match(r, llcf->cors) == NULL)
    {
        return LK_CORS_NONE;
    }

    return llcf->cors->credentials ? LK_CORS_CREDENTIALS : LK_CORS_ORIGIN;
}


/* The header of every answer, of errors and of 304 too. */
ngx_int_t
ngx_http_latchkey_cors_filter(ngx_http_request_t *r,
    ngx_http_latchkey_loc_conf_t *llcf)
{
    const ngx_str_t                 *origin;
    ngx_http_latchkey_ctx_t         *ctx;
    const ngx_http_latchkey_cors_t  *cors;

    static ngx_str_t                 vary = ngx_string("Origin");
    static ngx_str_t                 yes = ngx_string("true");

    ctx = ngx_http_latchkey_ctx(r);
    cors = (ctx != NULL && ctx->cors != NULL) ? ctx->cors : llcf->cors;

    if (!cors->on) {
        return NGX_OK;
    }

    ngx_http_latchkey_cors_clear(r);

    if (ngx_http_latchkey_cors_push(r, "Vary", &vary) != NGX_OK) {
        return NGX_ERROR;
    }

    origin = ngx_http_latchkey_cors_match(r, cors);
    if (origin == NULL) {
        return NGX_OK;
    }

    if (ngx_http_latchkey_cors_push(r, "Access-Control-Allow-Origin", origin)
        != NGX_OK
        || (cors->credentials
            && ngx_http_latchkey_cors_push(r,
                                           "Access-Control-Allow-Credentials",
                                           &yes)
               != NGX_OK))
    {
        return NGX_ERROR;
    }

    if (!ngx_http_latchkey_is_preflight(r)) {
        return ngx_http_latchkey_cors_push(r, "Access-Control-Expose-Headers",
                                           &cors->expose);
    }

    if (ngx_http_latchkey_cors_push(r, "Access-Control-Allow-Methods",
                                    &cors->methods)
        != NGX_OK
        || ngx_http_latchkey_cors_push(r, "Access-Control-Allow-Headers",
                                       &cors->headers)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_latchkey_cors_push(r, "Access-Control-Max-Age",
                                       &cors->max_age);
}


/* OPTIONS without that field is a request like any other. */
static ngx_uint_t
ngx_http_latchkey_is_preflight(ngx_http_request_t *r)
{
    return r->method == NGX_HTTP_OPTIONS
           && ngx_http_latchkey_header(r, "access-control-request-method").len
              != 0;
}


/* What is to be said to the page, as it was written in the configuration, or
 * NULL.  A browser sends one Origin; of two, none counts. */
static const ngx_str_t *
ngx_http_latchkey_cors_match(ngx_http_request_t *r,
    const ngx_http_latchkey_cors_t *cors)
{
    ngx_str_t        *origins, *found;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    found = NULL;

    for (part = &r->headers_in.headers.part; part != NULL; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (h[i].key.len != 6
                || ngx_strncasecmp(h[i].key.data, (u_char *) "origin", 6) != 0)
            {
                continue;
            }

            if (found != NULL) {
                return NULL;
            }

            found = &h[i].value;
        }
    }

    if (found == NULL) {
        return NULL;
    }

    origins = cors->origins.elts;

    if (cors->any) {
        return &origins[0];
    }

    for (i = 0; i < cors->origins.nelts; i++) {
        if (origins[i].len == found->len
            && ngx_memcmp(origins[i].data, found->data, found->len) == 0)
        {
            return &origins[i];
        }
    }

    return NULL;
}


/* Two fields of one name, or one that says more than ours, would be the last
 * word of whoever wrote the application. */
static void
ngx_http_latchkey_cors_clear(ngx_http_request_t *r)
{
    size_t            prefix;
    ngx_str_t        *name;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    prefix = sizeof(NGX_HTTP_LATCHKEY_PREFIX) - 1;

    for (part = &r->headers_out.headers.part; part != NULL; part = part->next)
    {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (h[i].key.len <= prefix
                || ngx_strncasecmp(h[i].key.data,
                                   (u_char *) NGX_HTTP_LATCHKEY_PREFIX, prefix)
                   != 0)
            {
                continue;
            }

            for (name = ngx_http_latchkey_cors_ours; name->len != 0; name++) {
                if (h[i].key.len == prefix + name->len
                    && ngx_strncasecmp(h[i].key.data + prefix, name->data,
                                       name->len)
                       == 0)
                {
                    h[i].hash = 0;
                }
            }
        }
    }
}


static ngx_int_t
ngx_http_latchkey_cors_push(ngx_http_request_t *r, const char *name,
    const ngx_str_t *value)
{
    if (value->len == 0) {
        return NGX_OK;
    }

    return ngx_http_latchkey_push_header(r, name, (const char *) value->data,
                                         value->len)
           != NULL ? NGX_OK : NGX_ERROR;
}


void
ngx_http_latchkey_cors_defaults(ngx_http_latchkey_cors_t *cors)
{
    static ngx_str_t  max_age = ngx_string("600");

    cors->methods = ngx_http_latchkey_cors_methods;
    cors->headers = ngx_http_latchkey_cors_headers;
    cors->max_age = max_age;
}
