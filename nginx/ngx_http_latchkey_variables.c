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
