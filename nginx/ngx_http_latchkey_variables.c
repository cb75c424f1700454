/* SPDX-License-Identifier: Apache-2.0
 *
 * ngx_http_latchkey_variables.c - what the gate found out, for logs, maps and
 * headers.
 */
#include "ngx_http_latchkey.h"


static ngx_int_t ngx_http_latchkey_text_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_latchkey_reason_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_latchkey_node_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_latchkey_param_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_str_t *ngx_http_latchkey_params(ngx_http_request_t *r,
    ngx_http_latchkey_ctx_t *ctx);


/* Not cacheable: empty before the gate, and other after an internal redirect
 * to a location with another rule. */
static ngx_http_variable_t  ngx_http_latchkey_vars[] = {

    { ngx_string("latchkey_user"), NULL, ngx_http_latchkey_text_variable,
      offsetof(ngx_http_latchkey_ctx_t, user), NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("latchkey_realm"), NULL, ngx_http_latchkey_text_variable,
      offsetof(ngx_http_latchkey_ctx_t, realm), NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("latchkey_session"), NULL, ngx_http_latchkey_text_variable,
      offsetof(ngx_http_latchkey_ctx_t, session), NGX_HTTP_VAR_NOCACHEABLE,
      0 },

    { ngx_string("latchkey_roles"), NULL, ngx_http_latchkey_text_variable,
      offsetof(ngx_http_latchkey_ctx_t, roles), NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("latchkey_scope"), NULL, ngx_http_latchkey_text_variable,
      offsetof(ngx_http_latchkey_ctx_t, scope), NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("latchkey_reason"), NULL, ngx_http_latchkey_reason_variable,
      0, NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("latchkey_node"), NULL, ngx_http_latchkey_node_variable,
      0, 0, 0 },

    { ngx_string("latchkey_param_"), NULL, ngx_http_latchkey_param_variable,
      0, NGX_HTTP_VAR_NOCACHEABLE|NGX_HTTP_VAR_PREFIX, 0 },

      ngx_http_null_variable
};


ngx_int_t
ngx_http_latchkey_add_variables(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var, *v;

    for (v = ngx_http_latchkey_vars; v->name.len; v++) {
        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    return NGX_OK;
}


/* A sub-request that met no gate speaks of the request it is a part of. */
static ngx_http_latchkey_ctx_t *
ngx_http_latchkey_near_ctx(ngx_http_request_t *r)
{
    ngx_http_latchkey_ctx_t  *ctx;

    ctx = ngx_http_latchkey_ctx(r);

    if (ctx == NULL && r != r->main) {
        ctx = ngx_http_latchkey_ctx(r->main);
    }

    return ctx;
}


static void
ngx_http_latchkey_set_value(ngx_http_variable_value_t *v, const void *data,
    size_t len)
{
    v->data = (u_char *) data;
    v->len = (unsigned) len & 0xfffffff;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;
}


static ngx_int_t
ngx_http_latchkey_text_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t                *text;
    ngx_http_latchkey_ctx_t  *ctx;

    ctx = ngx_http_latchkey_near_ctx(r);

    if (ctx == NULL) {
        ngx_http_latchkey_set_value(v, "", 0);
        return NGX_OK;
    }

    text = (ngx_str_t *) ((char *) ctx + data);

    ngx_http_latchkey_set_value(v, text->len ? text->data : (u_char *) "",
                                text->len);

    return NGX_OK;
}


static ngx_int_t
ngx_http_latchkey_reason_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    const char               *word;
    ngx_http_latchkey_ctx_t  *ctx;

    ctx = ngx_http_latchkey_near_ctx(r);
    word = ctx ? lk_reason_word(ctx->reason) : "";

    ngx_http_latchkey_set_value(v, word, ngx_strlen(word));

    return NGX_OK;
}


static ngx_int_t
ngx_http_latchkey_node_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t                      *node;
    ngx_http_latchkey_main_conf_t  *lmcf;

    lmcf = ngx_http_get_module_main_conf(r, ngx_http_latchkey_module);

    node = lmcf->node.len ? &lmcf->node : (ngx_str_t *) &ngx_cycle->hostname;

    ngx_http_latchkey_set_value(v, node->data, node->len);

    return NGX_OK;
}


/* $latchkey_param_NAME: a fixed parameter of the simple token that let the
 * request in.  DATA is the whole name of the variable. */
static ngx_int_t
ngx_http_latchkey_param_variable(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t *name = (ngx_str_t *) data;

    lk_buf                    out;
    u_char                   *p;
    lk_view                   wanted;
    ngx_str_t                *params;
    ngx_http_latchkey_ctx_t  *ctx;

    ngx_http_latchkey_set_value(v, "", 0);

    ctx = ngx_http_latchkey_near_ctx(r);

    if (ctx == NULL || !ctx->by_token) {
        return NGX_OK;
    }

    params = ngx_http_latchkey_params(r, ctx);
    if (params == NULL) {
        return NGX_ERROR;
    }

    if (params->len == 0) {
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, params->len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    wanted = lk_view_make(name->data + sizeof("latchkey_param_") - 1,
                          name->len - (sizeof("latchkey_param_") - 1));
    out = lk_buf_over(p, params->len);

    if (lk_token_param_text(ngx_http_latchkey_view(params), wanted, &out)
        == LK_OK)
    {
        ngx_http_latchkey_set_value(v, p, out.len);
    }

    return NGX_OK;
}


/* All of them, as the token writes them: read when the first is asked for,
 * which most requests never do.  NULL: no memory. */
static ngx_str_t *
ngx_http_latchkey_params(ngx_http_request_t *r, ngx_http_latchkey_ctx_t *ctx)
{
    lk_buf                        scratch;
    u_char                        memory[LK_CREDENTIAL_MAX];
    lk_view                       params;
    ngx_str_t                    *text;
    lk_presented                  presented;
    ngx_http_latchkey_found_t     found;
    ngx_http_latchkey_runtime_t  *rt;

    if (ctx->params != NULL) {
        return ctx->params;
    }

    text = ngx_pcalloc(ctx->request->pool, sizeof(ngx_str_t));
    if (text == NULL
        || ngx_http_latchkey_find(ctx->request, &found, &presented) != NGX_OK)
    {
        return NULL;
    }

    rt = ngx_http_latchkey_runtime();
    scratch = lk_buf_over(memory, sizeof(memory));

    if (rt != NULL && rt->guard != NULL
        && lk_guard_params(rt->guard, &presented, (lk_carrier) ctx->carrier,
                           &scratch, &params)
           == LK_OK
        && params.len != 0)
    {
        text->data = ngx_pnalloc(ctx->request->pool, params.len);
        if (text->data == NULL) {
            return NULL;
        }

        ngx_memcpy(text->data, params.p, params.len);
        text->len = params.len;
    }

    ctx->params = text;

    return text;
}
