/* SPDX-License-Identifier: Apache-2.0
 *
 * ngx_http_latchkey_pool.c - thread pools of our own.
 *
 * Threads that wait for a store that hangs must hold up nothing but what asks
 * that store: not the files that `aio threads` reads in nginx's own pool, and
 * not each other's kind.  So look-ups and calls to the API have a pool each,
 * and nobody has to write a thread_pool line for it.
 */
#include "ngx_http_latchkey.h"


static ngx_thread_pool_t *ngx_http_latchkey_pool(ngx_conf_t *cf,
    ngx_str_t *name, ngx_str_t *threads);
static ngx_int_t ngx_http_latchkey_pool_make(ngx_conf_t *cf, ngx_str_t *name,
    ngx_str_t *threads);


/* Calls to the API: each may hold its thread for some deadlines of the store,
 * and a connection to it. */
ngx_thread_pool_t *
ngx_http_latchkey_api_pool(ngx_conf_t *cf)
{
    static ngx_str_t  name = ngx_string("latchkey_api");
    static ngx_str_t  threads = ngx_string("threads=16");

    return ngx_http_latchkey_pool(cf, &name, &threads);
}


/* One batch of look-ups is under way at a time, beside it the upkeep and, when
 * the accounts could not be opened, the next try of that. */
ngx_thread_pool_t *
ngx_http_latchkey_lane_pool(ngx_conf_t *cf)
{
    static ngx_str_t  name = ngx_string("latchkey");
    static ngx_str_t  threads = ngx_string("threads=3");

    return ngx_http_latchkey_pool(cf, &name, &threads);
}


/* One thread for each issuer: one that does not answer keeps none of the others
 * waiting. */
ngx_thread_pool_t *
ngx_http_latchkey_trust_pool(ngx_conf_t *cf)
{
    static ngx_str_t  name = ngx_string("latchkey_trust");
    static ngx_str_t  threads = ngx_string("threads=8");

    return ngx_http_latchkey_pool(cf, &name, &threads);
}


/* The pool NAME: the operator's if there is one (a thread_pool line before
 * http {}, or a use of it), else one with THREADS ("threads=4"). */
static ngx_thread_pool_t *
ngx_http_latchkey_pool(ngx_conf_t *cf, ngx_str_t *name, ngx_str_t *threads)
{
    if (ngx_thread_pool_get(cf->cycle, name) == NULL
        && ngx_http_latchkey_pool_make(cf, name, threads) != NGX_OK)
    {
        return NULL;
    }

    return ngx_thread_pool_add(cf, name);
}


/* nginx keeps the insides of a pool to itself; what makes one is the handler
 * of its directive. */
static ngx_int_t
ngx_http_latchkey_pool_make(ngx_conf_t *cf, ngx_str_t *name,
    ngx_str_t *threads)
{
    char           *rv;
    ngx_str_t      *value;
    ngx_uint_t      i;
    ngx_array_t    *saved, args;
    ngx_module_t   *module;
    ngx_command_t  *cmd;

    module = NULL;

    for (i = 0; cf->cycle->modules[i]; i++) {
        if (ngx_strcmp(cf->cycle->modules[i]->name, "ngx_thread_pool_module")
            == 0)
        {
            module = cf->cycle->modules[i];
            break;
        }
    }

    cmd = module ? module->commands : NULL;

    while (cmd != NULL && cmd->name.len != 0
           && ngx_strcmp(cmd->name.data, "thread_pool") != 0)
    {
        cmd++;
    }

    if (cmd == NULL || cmd->name.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "this nginx has no \"thread_pool\" directive: "
                           "latchkey needs thread pools");
        return NGX_ERROR;
    }

    if (ngx_array_init(&args, cf->pool, 3, sizeof(ngx_str_t)) != NGX_OK) {
        return NGX_ERROR;
    }

    value = ngx_array_push_n(&args, 3);

    value[0] = cmd->name;
    value[1] = *name;
    value[2] = *threads;

    saved = cf->args;
    cf->args = &args;

    rv = cmd->set(cf, cmd, ngx_get_conf(cf->cycle->conf_ctx, (*module)));

    cf->args = saved;

    return rv == NGX_CONF_OK ? NGX_OK : NGX_ERROR;
}
