/* SPDX-License-Identifier: Apache-2.0
 *
 * ngx_http_latchkey_settings.c - the settings of latchkey.conf, through the
 * core's table, the lesser directives of locations, and what spans them all.
 */
#include "ngx_http_latchkey.h"


#define NGX_HTTP_LATCHKEY_ARGS_MAX   16

/* about 1.5 KiB each, in every worker */
#define NGX_HTTP_LATCHKEY_QUEUE_MAX  65536


/* One handler for every setting: the core parses it, and says what is wrong
 * with it; nginx adds file and line. */
char *
ngx_http_latchkey_setting(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_latchkey_main_conf_t  *lmcf = conf;

    lk_note     note;
    lk_view     args[NGX_HTTP_LATCHKEY_ARGS_MAX];
    ngx_str_t  *value;
    ngx_uint_t  i, n;

    value = cf->args->elts;
    n = cf->args->nelts - 1;

    if (n > NGX_HTTP_LATCHKEY_ARGS_MAX) {
        return (char *) "has too many arguments";
    }

    for (i = 0; i < n; i++) {
        args[i] = ngx_http_latchkey_view(&value[i + 1]);
    }

    note.text[0] = '\0';

    if (lk_settings_apply(&lmcf->settings, ngx_http_latchkey_view(&value[0]),
                          args, n, &note)
        != LK_OK)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%s", note.text);
        return NGX_CONF_ERROR;
    }

    if (ngx_strcmp(cmd->name.data, "latchkey_keys") == 0) {
        lmcf->keys_given = 1;
    }

    return NGX_CONF_OK;
}


/* latchkey_api [pool=NAME]: the API is here.  latchkey_api remote: what the
 * location proxies to is the API in another nginx of ours, so there is no
 * gate before it, and it may set our cookie. */
char *
ngx_http_latchkey_api(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_latchkey_loc_conf_t  *llcf = conf;

    ngx_str_t                      *value, name, *pool;
    ngx_http_core_loc_conf_t       *clcf;
    ngx_http_latchkey_main_conf_t  *lmcf;

    if (llcf->api) {
        return (char *) "is duplicate";
    }

    lmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_latchkey_module);
    lmcf->used = 1;

    pool = NULL;

    if (cf->args->nelts == 2) {

        value = cf->args->elts;

        if (ngx_strcmp(value[1].data, "remote") == 0) {
            llcf->api = NGX_HTTP_LATCHKEY_API_REMOTE;
            return NGX_CONF_OK;
        }

        if (ngx_strncmp(value[1].data, "pool=", 5) != 0
            || value[1].len == 5)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\" of "
                               "\"latchkey_api\": it takes pool=NAME, a "
                               "\"thread_pool\", or remote", &value[1]);
            return NGX_CONF_ERROR;
        }

        name.data = value[1].data + 5;
        name.len = value[1].len - 5;
        pool = &name;
    }

    llcf->pool = pool ? ngx_thread_pool_add(cf, pool)
                      : ngx_http_latchkey_api_pool(cf);

    if (llcf->pool == NULL) {
        return NGX_CONF_ERROR;
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->handler = ngx_http_latchkey_api_handler;

    llcf->api = NGX_HTTP_LATCHKEY_API_HERE;

    return NGX_CONF_OK;
}


/* latchkey_lane [queue=N] [wait=TIME] [pool=NAME] */
char *
ngx_http_latchkey_lane_conf(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_latchkey_main_conf_t  *lmcf = conf;

    ngx_int_t    n;
    ngx_str_t   *value, text;
    ngx_uint_t   i;

    if (lmcf->lane_given) {
        return (char *) "is duplicate";
    }

    lmcf->lane_given = 1;

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "queue=", 6) == 0
            && lmcf->lane_queue == NGX_CONF_UNSET_UINT)
        {
            n = ngx_atoi(value[i].data + 6, value[i].len - 6);

            if (n < 1 || n > NGX_HTTP_LATCHKEY_QUEUE_MAX) {
                goto invalid;
            }

            lmcf->lane_queue = (ngx_uint_t) n;
            continue;
        }

        if (ngx_strncmp(value[i].data, "wait=", 5) == 0
            && lmcf->lane_wait == NGX_CONF_UNSET_MSEC)
        {
            text.data = value[i].data + 5;
            text.len = value[i].len - 5;

            n = ngx_parse_time(&text, 0);

            if (n < 1) {
                goto invalid;
            }

            lmcf->lane_wait = (ngx_msec_t) n;
            continue;
        }

        if (ngx_strncmp(value[i].data, "pool=", 5) == 0 && value[i].len > 5
            && lmcf->lane_pool == NULL)
        {
            text.data = value[i].data + 5;
            text.len = value[i].len - 5;

            lmcf->lane_pool = ngx_thread_pool_add(cf, &text);

            if (lmcf->lane_pool == NULL) {
                return NGX_CONF_ERROR;
            }

            continue;
        }

        goto invalid;
    }

    return NGX_CONF_OK;

invalid:

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\" of \"latchkey_lane\": it "
                       "takes queue=1024 (1 to %d requests that wait for the "
                       "store), wait=5s and pool=NAME, a \"thread_pool\"",
                       &value[i], NGX_HTTP_LATCHKEY_QUEUE_MAX);
    return NGX_CONF_ERROR;
}


/* A request that waits must not give up before the store's own deadline has
 * told it more: its batch may wait for the one before it, and either may need
 * a second connection. */
static ngx_int_t
ngx_http_latchkey_check_lane(ngx_conf_t *cf,
    ngx_http_latchkey_main_conf_t *lmcf)
{
    u_char     *p;
    ngx_int_t   deadline;
    ngx_str_t   text;

    deadline = 250;

    p = (u_char *) ngx_strchr(lmcf->settings.store, '?');

    if (p != NULL) {
        p = (u_char *) ngx_strstr(p, "deadline=");
    }

    if (p != NULL) {
        text.data = p + sizeof("deadline=") - 1;
        text.len = strcspn((char *) text.data, "&");

        deadline = ngx_parse_time(&text, 0);
    }

    if (deadline < 0) {
        deadline = 0;    /* whatever it means, the store has accepted it */
    }

    if (lmcf->lane_wait == NGX_CONF_UNSET_MSEC) {
        lmcf->lane_wait = ngx_max(5000, 4 * (ngx_msec_t) deadline + 1000);
        return NGX_OK;
    }

    if (lmcf->lane_wait > (ngx_msec_t) deadline) {
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "latchkey_lane: wait=%Mms is not longer than the deadline "
                  "of latchkey_store, %ims, so requests would give up before "
                  "it does: make it four times that, or leave it out",
                  lmcf->lane_wait, deadline);

    return NGX_ERROR;
}


/* With merge_slashes off, "//admin/x" is not in `location /admin/`, and yet a
 * file system and most applications find the same thing there: the request
 * would go around the rule, through whatever location matches "/".  So that
 * one has to be closed as well. */
static ngx_int_t
ngx_http_latchkey_check_slashes(ngx_conf_t *cf, ngx_http_latchkey_rule_t *rule)
{
    void                         **loc_conf;
    ngx_http_latchkey_loc_conf_t  *llcf;

    if (rule->rule.mode != LK_MODE_REQUIRED || rule->server->merge_slashes
        || rule->server->ctx == NULL)
    {
        return NGX_OK;
    }

    loc_conf = rule->server->ctx->loc_conf;
    llcf = loc_conf[ngx_http_latchkey_module.ctx_index];

    if (llcf->rule->rule.mode == LK_MODE_REQUIRED) {
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "\"merge_slashes off\" makes \"//x\" another path than "
                  "\"/x\", so this rule could be walked around: remove it, "
                  "or write \"latchkey required\" for the whole server, "
                  "in %V:%ui", &rule->file, rule->line);

    return NGX_ERROR;
}


static ngx_int_t
ngx_http_latchkey_check_rules(ngx_conf_t *cf,
    ngx_http_latchkey_main_conf_t *lmcf)
{
    lk_note                     note;
    ngx_uint_t                  i;
    ngx_http_latchkey_rule_t  **rule;

    rule = lmcf->rules.elts;

    for (i = 0; i < lmcf->rules.nelts; i++) {
        note.text[0] = '\0';

        if (lk_rule_check(&rule[i]->rule, &lmcf->settings, &note) != LK_OK) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0, "%s in %V:%ui",
                          note.text, &rule[i]->file, rule[i]->line);
            return NGX_ERROR;
        }

        if (ngx_http_latchkey_check_slashes(cf, rule[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* All cookies of a sealed session come in one header field, and nginx answers
 * 400 to a field that does not fit into one of its buffers. */
static void
ngx_http_latchkey_check_buffers(ngx_conf_t *cf,
    ngx_http_latchkey_main_conf_t *lmcf)
{
    ngx_uint_t                  i;
    ngx_http_latchkey_rule_t  **rule;

    if (lk_way_credential(lk_way_of_settings(&lmcf->settings))
        != LK_KIND_SEALED)
    {
        return;
    }

    rule = lmcf->rules.elts;

    for (i = 0; i < lmcf->rules.nelts; i++) {

        if (rule[i]->server->large_client_header_buffers.size
            >= NGX_HTTP_LATCHKEY_HEADER)
        {
            continue;
        }

        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "latchkey_share sealed_cookie: a session may fill "
                           "four cookies, and a visitor whose session is "
                           "larger than the header buffers of nginx gets 400 "
                           "from then on: write \"large_client_header_buffers "
                           "4 20k;\"");
        return;
    }
}


/* The header that carries a credential must not be one that we take away. */
static ngx_int_t
ngx_http_latchkey_check_header(ngx_conf_t *cf,
    ngx_http_latchkey_main_conf_t *lmcf)
{
    lmcf->header.data = (u_char *) lmcf->settings.header_name;
    lmcf->header.len = ngx_strlen(lmcf->settings.header_name);

    if (lmcf->header.len != 0
        && ngx_http_latchkey_is_identity(&lmcf->header))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "latchkey_header: \"%V\" is an identity header, "
                           "which is removed from every request: choose "
                           "another name", &lmcf->header);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* All of http {} is read: check what spans settings and locations. */
ngx_int_t
ngx_http_latchkey_check_settings(ngx_conf_t *cf,
    ngx_http_latchkey_main_conf_t *lmcf)
{
    lk_note  note;

    if (!lmcf->keys_given) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "a location uses latchkey, and there is no "
                      "\"latchkey_keys\" in http {}: include latchkey.conf "
                      "there, with at least latchkey_keys, "
                      "latchkey_accounts and latchkey_store");
        return NGX_ERROR;
    }

    note.text[0] = '\0';

    if (lk_guard_settings_check(&lmcf->settings, &note) != LK_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%s", note.text);
        return NGX_ERROR;
    }

    if (ngx_http_latchkey_check_header(cf, lmcf) != NGX_OK
        || ngx_http_latchkey_check_lane(cf, lmcf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_latchkey_check_buffers(cf, lmcf);

    return ngx_http_latchkey_check_rules(cf, lmcf);
}
