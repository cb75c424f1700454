/* SPDX-License-Identifier: Apache-2.0
 *
 * ngx_http_latchkey_refuse.c - what a visitor is told who was not let in.
 */
#include "ngx_http_latchkey.h"


/* Longer ones are left out of ?return=: the login page then leads home. */
#define NGX_HTTP_LATCHKEY_RETURN_MAX  1024


static ngx_uint_t ngx_http_latchkey_has_error_page(ngx_http_request_t *r,
    ngx_uint_t status);
static ngx_int_t ngx_http_latchkey_login(ngx_http_request_t *r);
static ngx_int_t ngx_http_latchkey_challenge(ngx_http_request_t *r,
    const lk_identity *id, const lk_rule *rule);


/* The answer of the gate: a status for nginx to finalize the request with, or
 * NGX_DONE when the answer is sent.  Where the location has an error_page for
 * the status, that is what the operator wants to be shown.  A sub-request has
 * no answer of its own: its parent (auth_request, SSI) reads the status. */
ngx_int_t
ngx_http_latchkey_refuse(ngx_http_request_t *r, const lk_identity *id,
    const lk_rule *rule)
{
    ngx_uint_t  status, plain, login;

    status = (ngx_uint_t) lk_identity_http_status(id);

    if (status < NGX_HTTP_BAD_REQUEST) {

        /* cannot be; and if it were, it must not open the gate */

        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (r == r->main) {
        ngx_http_latchkey_audit_refusal(r, id, (int) status);
    }

    plain = (r != r->main || ngx_http_latchkey_has_error_page(r, status));
    login = (!plain && status == NGX_HTTP_UNAUTHORIZED
             && ngx_http_latchkey_is_browser(r));

    if (status == NGX_HTTP_SERVICE_UNAVAILABLE) {

        if (ngx_http_latchkey_push_header(r, "Retry-After", "1", 1) == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

    } else if (!login && ngx_http_latchkey_challenge(r, id, rule) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_http_latchkey_push_header(r, "Cache-Control", "no-store", 8)
        == NULL)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (plain) {
        return (ngx_int_t) status;
    }

    if (login) {
        return ngx_http_latchkey_login(r);
    }

    ngx_http_finalize_request(r, ngx_http_latchkey_send_problem(r, status,
                                                id->reason,
                                                lk_view_make(NULL, 0)));
    return NGX_DONE;
}


static ngx_uint_t
ngx_http_latchkey_has_error_page(ngx_http_request_t *r, ngx_uint_t status)
{
    ngx_uint_t                 i;
    ngx_http_err_page_t       *page;
    ngx_http_core_loc_conf_t  *clcf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (r->error_page || clcf->error_pages == NULL) {
        return 0;
    }

    page = clcf->error_pages->elts;

    for (i = 0; i < clcf->error_pages->nelts; i++) {
        if (page[i].status == (ngx_int_t) status) {
            return 1;
        }
    }

    return 0;
}


/* Somebody looking at a page, and not a script of it. */
ngx_uint_t
ngx_http_latchkey_is_browser(ngx_http_request_t *r)
{
    lk_view  accept;

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return 0;
    }

    if (ngx_http_latchkey_header(r, "x-requested-with").len != 0) {
        return 0;
    }

    accept = ngx_http_latchkey_header(r, "accept");

    return accept.len != 0
           && ngx_strlcasestrn((u_char *) accept.p,
                               (u_char *) accept.p + accept.len,
                               (u_char *) "text/html", 9 - 1)
              != NULL;
}


/* 303 to the login page.  The path stays relative: nginx would build an
 * absolute one from the Host header, and call it http behind a proxy that
 * ends TLS.  So r->headers_out.location is left alone. */
static ngx_int_t
ngx_http_latchkey_login(ngx_http_request_t *r)
{
    u_char                         *p;
    size_t                          len, prefix;
    uintptr_t                       escape;
    ngx_str_t                       to, *uri;
    ngx_http_latchkey_main_conf_t  *lmcf;

    static ngx_str_t  login = ngx_string("/login");
    static ngx_str_t  param = ngx_string("?return=");

    lmcf = ngx_http_get_module_main_conf(r, ngx_http_latchkey_module);

    uri = &r->main->unparsed_uri;
    prefix = ngx_strlen(lmcf->settings.prefix);
    len = prefix + login.len;

    escape = 0;

    if (uri->len != 0 && uri->len <= NGX_HTTP_LATCHKEY_RETURN_MAX) {
        escape = 2 * ngx_escape_uri(NULL, uri->data, uri->len,
                                    NGX_ESCAPE_URI_COMPONENT);
        len += param.len + uri->len + escape;
    }

    to.data = ngx_pnalloc(r->pool, len);
    if (to.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = ngx_cpymem(to.data, lmcf->settings.prefix, prefix);
    p = ngx_cpymem(p, login.data, login.len);

    if (uri->len != 0 && uri->len <= NGX_HTTP_LATCHKEY_RETURN_MAX) {
        p = ngx_cpymem(p, param.data, param.len);
        p = (u_char *) ngx_escape_uri(p, uri->data, uri->len,
                                      NGX_ESCAPE_URI_COMPONENT);
    }

    to.len = (size_t) (p - to.data);

    if (ngx_http_latchkey_push_header(r, "Location", (char *) to.data, to.len)
        == NULL)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return NGX_HTTP_SEE_OTHER;
}


/* RFC 6750 section 3, RFC 9449 section 7.1: no error when no credential was sent; RFC 9470 section 3
 * for a login that is too long ago.  REASON and RULE hold our words and the
 * operator's, so there is nothing to quote. */
static ngx_int_t
ngx_http_latchkey_challenge(ngx_http_request_t *r, const lk_identity *id,
    const lk_rule *rule)
{
    size_t                          len;
    lk_buf                          b;
    u_char                         *text;
    const char                     *scheme, *error;
    ngx_table_elt_t                *h;
    ngx_http_latchkey_main_conf_t  *lmcf;

    if (id->reason == LK_REASON_CSRF
        || id->reason == LK_REASON_INSUFFICIENT_ROLE)
    {
        return NGX_OK;
    }

    lmcf = ngx_http_get_module_main_conf(r, ngx_http_latchkey_module);

    scheme = ngx_http_latchkey_scheme_wanted(id, rule);
    error = ngx_http_latchkey_proof_error(id);

    len = LK_REALM_MAX + LK_SCOPE_MAX + 512 + rule->scope.len;

    text = ngx_pnalloc(r->pool, len);
    if (text == NULL) {
        return NGX_ERROR;
    }

    b = lk_buf_over(text, len);

    lk_buf_add_printf(&b, "%s realm=\"%s\"", scheme,
                      lmcf->settings.realm[0] ? lmcf->settings.realm
                                              : "latchkey");

    if (id->reason == LK_REASON_INSUFFICIENT_SCOPE) {
        lk_buf_add_text(&b, ", error=\"insufficient_scope\", scope=\"");
        lk_buf_add(&b, rule->scope);
        lk_buf_add_text(&b, "\"");

    } else if (id->reason == LK_REASON_REAUTHENTICATION_REQUIRED) {
        lk_buf_add_text(&b, ", error=\"insufficient_user_authentication\", "
                            "max_age=\"");
        lk_buf_add_i64(&b, rule->max_age_s);
        lk_buf_add_text(&b, "\"");

    } else if (id->twice) {
        lk_buf_add_text(&b, ", error=\"invalid_request\", error_description="
                            "\"two credentials that differ\"");

    } else if (id->reason != LK_REASON_NO_CREDENTIAL) {
        lk_buf_add_printf(&b, ", error=\"%s\", error_description=\"%s\"",
                          error ? error : "invalid_token",
                          lk_reason_word(id->reason));
    }

    if (scheme[0] == 'D'
        && ngx_http_latchkey_dpop_challenge(r, id, &b) != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (lk_buf_status(&b) != LK_OK) {
        return NGX_ERROR;
    }

    h = ngx_http_latchkey_push_header(r, "WWW-Authenticate", (char *) b.p,
                                      b.len);
    if (h == NULL) {
        return NGX_ERROR;
    }

    r->headers_out.www_authenticate = h;

    return NGX_OK;
}


/* NAME is a literal; VALUE must live as long as the request. */
ngx_table_elt_t *
ngx_http_latchkey_push_header(ngx_http_request_t *r, const char *name,
    const char *value, size_t len)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NULL;
    }

    ngx_memzero(h, sizeof(ngx_table_elt_t));

    h->hash = 1;
    h->key.data = (u_char *) name;
    h->key.len = ngx_strlen(name);
    h->value.data = (u_char *) value;
    h->value.len = len;

    return h;
}


/* Send a problem document (RFC 9457), with DETAIL, or the sentence of REASON
 * when it is empty.  The answer is for ngx_http_finalize_request(). */
ngx_int_t
ngx_http_latchkey_send_problem(ngx_http_request_t *r, ngx_uint_t status,
    lk_reason reason, lk_view detail)
{
    lk_buf      b;
    ngx_buf_t  *out;

    static ngx_str_t  type = ngx_string("application/problem+json");

    out = ngx_create_temp_buf(r->pool, NGX_HTTP_LATCHKEY_PROBLEM);
    if (out == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    b = lk_buf_over(out->pos, NGX_HTTP_LATCHKEY_PROBLEM);

    lk_problem_write((int) status, reason,
                     detail.len ? detail
                                : lk_view_of(lk_reason_sentence(reason)),
                     &b);

    if (lk_buf_status(&b) != LK_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    out->last = out->pos + b.len;

    return ngx_http_latchkey_send(r, status, &type, out);
}


/* Send OUT as the whole body.  The answer is for ngx_http_finalize_request(). */
ngx_int_t
ngx_http_latchkey_send(ngx_http_request_t *r, ngx_uint_t status,
    ngx_str_t *type, ngx_buf_t *out)
{
    ngx_int_t    rc;
    ngx_chain_t  chain;

    out->last_buf = (r == r->main) ? 1 : 0;
    out->last_in_chain = 1;

    chain.buf = out;
    chain.next = NULL;

    /* a client that waits for 100 (Continue) gets the answer instead */

    r->expect_tested = 1;

    rc = ngx_http_discard_request_body(r);
    if (rc != NGX_OK) {
        return rc;
    }

    r->headers_out.content_type = *type;
    r->headers_out.content_type_len = type->len;
    r->headers_out.content_type_lowcase = NULL;
    r->headers_out.status = status;
    r->headers_out.content_length_n = (off_t) (out->last - out->pos);

    /* "error_page 401 =200" that leads to another refusal: not a 200 */

    r->err_status = 0;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    return ngx_http_output_filter(r, &chain);
}


static void
ngx_http_latchkey_wipe(void *data)
{
    ngx_str_t  *secret = data;

    lk_wipe(secret->data, secret->len);
}


/* LEN bytes that are overwritten when the request is freed: the pages of its
 * pool are the next request's. */
u_char *
ngx_http_latchkey_secret(ngx_pool_t *pool, size_t len)
{
    ngx_str_t           *secret;
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(pool, sizeof(ngx_str_t));
    if (cln == NULL) {
        return NULL;
    }

    secret = cln->data;

    secret->len = 0;
    secret->data = ngx_pnalloc(pool, len);
    if (secret->data == NULL) {
        return NULL;
    }

    secret->len = len;
    cln->handler = ngx_http_latchkey_wipe;

    return secret->data;
}
