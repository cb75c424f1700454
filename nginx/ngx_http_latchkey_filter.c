/* SPDX-License-Identifier: Apache-2.0
 *
 * ngx_http_latchkey_filter.c - header fields of the answer: our cookie, and
 * what must stand beside it.
 */
#include "ngx_http_latchkey.h"


static ngx_int_t ngx_http_latchkey_header_filter(ngx_http_request_t *r);
static void ngx_http_latchkey_guard_cookie(ngx_http_request_t *r);
static ngx_uint_t ngx_http_latchkey_is_cookie(ngx_str_t *value,
    const char *name);


static ngx_http_output_header_filter_pt  ngx_http_next_header_filter;


void
ngx_http_latchkey_init_filter(void)
{
    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_latchkey_header_filter;
}


/* Keep the Set-Cookie value that carries ISSUED, or removes our cookie, until
 * the header of the answer is sent: error pages and internal redirects start
 * the header anew. */
ngx_int_t
ngx_http_latchkey_plan_cookie(ngx_http_request_t *r,
    ngx_http_latchkey_ctx_t *ctx, const lk_issued *issued)
{
    lk_buf                          b;
    u_char                         *text;
    lk_status                       status;
    ngx_http_latchkey_main_conf_t  *lmcf;

    lmcf = ngx_http_get_module_main_conf(r, ngx_http_latchkey_module);

    text = ngx_http_latchkey_secret(r->pool, NGX_HTTP_LATCHKEY_COOKIE);
    if (text == NULL) {
        return NGX_ERROR;
    }

    b = lk_buf_over(text, NGX_HTTP_LATCHKEY_COOKIE);

    status = lk_cookie_write(&lmcf->settings, issued, false, ngx_time(), &b);
    if (status != LK_OK || lk_buf_status(&b) != LK_OK) {
        return NGX_ERROR;
    }

    ctx->set_cookie.data = b.p;
    ctx->set_cookie.len = b.len;
    ctx->no_store = 1;

    return NGX_OK;
}


static ngx_int_t
ngx_http_latchkey_header_filter(ngx_http_request_t *r)
{
    ngx_uint_t                     i;
    ngx_list_part_t               *part;
    ngx_table_elt_t               *h;
    ngx_http_latchkey_ctx_t       *ctx;
    ngx_http_latchkey_loc_conf_t  *llcf;

    if (r != r->main) {
        return ngx_http_next_header_filter(r);
    }

    llcf = ngx_http_get_module_loc_conf(r, ngx_http_latchkey_module);

    if (!llcf->api) {
        ngx_http_latchkey_guard_cookie(r);

        /* the same request may get another answer from another page */

        if (llcf->csrf && llcf->rule->rule.mode != LK_MODE_OFF
            && ngx_http_latchkey_changes_state(r)
            && ngx_http_latchkey_push_header(r, "Vary",
                                             "Origin, Sec-Fetch-Site", 22)
               == NULL)
        {
            return NGX_ERROR;
        }
    }

    ctx = ngx_http_latchkey_ctx(r);

    if (ctx == NULL || !ctx->no_store) {
        return ngx_http_next_header_filter(r);
    }

    /* an answer with a credential in it is nobody's to keep (RFC 9111 5.2.2.5);
     * `hash` is what the last filter goes by */

    for (part = &r->headers_out.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (h[i].key.len == 13
                && ngx_strncasecmp(h[i].key.data, (u_char *) "cache-control",
                                   13)
                   == 0)
            {
                h[i].hash = 0;
            }
        }
    }

    if (ngx_http_latchkey_push_header(r, "Cache-Control", "no-store", 8)
        == NULL)
    {
        return NGX_ERROR;
    }

    if (ctx->set_cookie.len != 0
        && ngx_http_latchkey_push_header(r, "Set-Cookie",
                                         (char *) ctx->set_cookie.data,
                                         ctx->set_cookie.len)
           == NULL)
    {
        return NGX_ERROR;
    }

    return ngx_http_next_header_filter(r);
}


/* An application behind the gateway must not set the cookie of the session: a
 * compromised one could fix a session with it, or end one.  The same for the
 * cookie that binds the forms of visitors without a session (docs/formats/
 * csrf.md). */
static void
ngx_http_latchkey_guard_cookie(ngx_http_request_t *r)
{
    ngx_uint_t                      i;
    ngx_list_part_t                *part;
    ngx_table_elt_t                *h;
    ngx_http_latchkey_main_conf_t  *lmcf;

    lmcf = ngx_http_get_module_main_conf(r, ngx_http_latchkey_module);

    for (part = &r->headers_out.headers.part; part; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (h[i].hash == 0 || h[i].key.len != 10
                || ngx_strncasecmp(h[i].key.data, (u_char *) "set-cookie", 10)
                   != 0)
            {
                continue;
            }

            if (ngx_http_latchkey_is_cookie(&h[i].value,
                                            lmcf->settings.cookie_name)
                || ngx_http_latchkey_is_cookie(&h[i].value, "latchkey_form")
                || ngx_http_latchkey_is_cookie(&h[i].value,
                                               "__Host-latchkey_form"))
            {
                ngx_log_error(NGX_LOG_WARN, r->connection->log, 0,
                              "the application tried to set a cookie of "
                              "latchkey: removed");

                h[i].hash = 0;
            }
        }
    }
}


/* A cookie without a name, "=NAME=value", comes back from browsers as
 * "NAME=value" (RFC 6265bis section 5.8.3), so blanks and equals signs in front
 * of the name do not make it another one. */
static ngx_uint_t
ngx_http_latchkey_is_cookie(ngx_str_t *value, const char *name)
{
    u_char  *p, *end;
    size_t   len;

    p = value->data;
    end = p + value->len;
    len = ngx_strlen(name);

    while (p < end && (*p == ' ' || *p == '\t' || *p == '=')) {
        p++;
    }

    if ((size_t) (end - p) < len || ngx_strncmp(p, name, len) != 0) {
        return 0;
    }

    p += len;

    while (p < end && (*p == ' ' || *p == '\t')) {
        p++;
    }

    return p == end || *p == '=' || *p == ';';
}
