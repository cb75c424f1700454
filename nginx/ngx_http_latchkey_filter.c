/* SPDX-License-Identifier: Apache-2.0
 *
 * ngx_http_latchkey_filter.c - header fields of the answer: our cookie, and
 * what must stand beside it.
 */
#include "ngx_http_latchkey.h"


static void ngx_http_latchkey_guard_cookie(ngx_http_request_t *r);
static ngx_uint_t ngx_http_latchkey_is_cookie(ngx_str_t *value,
    const char *name);


static ngx_http_output_header_filter_pt  ngx_http_next_header_filter;


void
ngx_http_latchkey_init_filter(void)
{
    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_latchkey_header_filter;

    ngx_http_latchkey_init_data();
}


/* Keep the Set-Cookie values that carry ISSUED, or remove our cookie (and what
 * came along of it that is not needed any more), until the header of the answer
 * is sent: error pages and internal redirects start the header anew. */
ngx_int_t
ngx_http_latchkey_plan_cookie(ngx_http_request_t *r,
    ngx_http_latchkey_ctx_t *ctx, const lk_issued *issued)
{
    lk_buf                          b;
    size_t                          pieces;
    u_char                         *text;
    ngx_str_t                      *values;
    ngx_uint_t                      i, n;
    ngx_http_latchkey_main_conf_t  *lmcf;

    lmcf = ngx_http_get_module_main_conf(r, ngx_http_latchkey_module);

    values = ngx_palloc(r->pool, LK_SEALED_PIECES * sizeof(ngx_str_t));
    if (values == NULL) {
        return NGX_ERROR;
    }

    pieces = lk_cookie_pieces(issued);
    n = 0;

    for (i = 0; i < LK_SEALED_PIECES; i++) {

        if (i > 0 && i >= pieces && (ctx->pieces & (1u << i)) == 0) {
            continue;
        }

        text = ngx_http_latchkey_secret(r->pool, LK_SET_COOKIE_MAX);
        if (text == NULL) {
            return NGX_ERROR;
        }

        b = lk_buf_over(text, LK_SET_COOKIE_MAX);

        if (lk_cookie_write(&lmcf->settings, issued, i, ngx_time(), &b)
            != LK_OK)
        {
            return NGX_ERROR;
        }

        values[n].data = b.p;
        values[n++].len = b.len;
    }

    ctx->set_cookies = values;
    ctx->set_cookies_n = n;
    ctx->no_store = 1;

    return NGX_OK;
}


/* An answer with a credential in it is nobody's to keep (RFC 9111 5.2.2.5);
 * `hash` is what the last filter goes by. */
static ngx_int_t
ngx_http_latchkey_add_cookies(ngx_http_request_t *r,
    ngx_http_latchkey_ctx_t *ctx)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

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

    if (ctx->device_cookie.len != 0
        && ngx_http_latchkey_push_header(r, "Set-Cookie",
                                         (char *) ctx->device_cookie.data,
                                         ctx->device_cookie.len)
           == NULL)
    {
        return NGX_ERROR;
    }

    for (i = 0; i < ctx->set_cookies_n; i++) {

        if (ngx_http_latchkey_push_header(r, "Set-Cookie",
                                          (char *) ctx->set_cookies[i].data,
                                          ctx->set_cookies[i].len)
            == NULL)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* Also what an answer that was held back goes on with. */
ngx_int_t
ngx_http_latchkey_header_filter(ngx_http_request_t *r)
{
    ngx_int_t                      rc;
    ngx_http_latchkey_ctx_t       *ctx;
    ngx_http_latchkey_loc_conf_t  *llcf;

    rc = ngx_http_latchkey_data_answer(r);
    if (rc != NGX_DECLINED) {
        return rc;
    }

    if (r != r->main) {
        return ngx_http_next_header_filter(r);
    }

    llcf = ngx_http_get_module_loc_conf(r, ngx_http_latchkey_module);

    if (ngx_http_latchkey_cors_filter(r, llcf) != NGX_OK) {
        return NGX_ERROR;
    }

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

    if (ngx_http_latchkey_add_cookies(r, ctx) != NGX_OK) {
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
    char                            device[LK_DEVICE_COOKIE_MAX + 1];
    ngx_http_latchkey_main_conf_t  *lmcf;

    lmcf = ngx_http_get_module_main_conf(r, ngx_http_latchkey_module);

    lk_device_cookie_name(&lmcf->settings, device);

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
                || ngx_http_latchkey_is_cookie(&h[i].value, device)
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
