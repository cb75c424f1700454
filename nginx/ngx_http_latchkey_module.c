/* SPDX-License-Identifier: Apache-2.0
 *
 * ngx_http_latchkey_module.c - the module as nginx sees it: directives,
 * configurations and their inheritance, phases.
 */
#include "ngx_http_latchkey.h"


#define NGX_HTTP_LATCHKEY_COMMANDS_MAX  64

#define NGX_HTTP_LATCHKEY_EVERYWHERE                                          \
    (NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF                   \
     |NGX_HTTP_LMT_CONF)


static ngx_int_t ngx_http_latchkey_preconfiguration(ngx_conf_t *cf);
static ngx_int_t ngx_http_latchkey_postconfiguration(ngx_conf_t *cf);
static void *ngx_http_latchkey_create_main_conf(ngx_conf_t *cf);
static char *ngx_http_latchkey_init_main_conf(ngx_conf_t *cf, void *conf);
static void *ngx_http_latchkey_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_latchkey_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static ngx_int_t ngx_http_latchkey_init_module(ngx_cycle_t *cycle);


/* The location directives; the settings of latchkey.conf are added behind
 * them when the module is loaded, from the core's own table of settings. */
static ngx_command_t  ngx_http_latchkey_commands
                                          [NGX_HTTP_LATCHKEY_COMMANDS_MAX] = {

    { ngx_string("latchkey"),
      NGX_HTTP_LATCHKEY_EVERYWHERE|NGX_CONF_1MORE,
      ngx_http_latchkey_rule,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("latchkey_api"),
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE1,
      ngx_http_latchkey_api,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("latchkey_cors"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_latchkey_cors,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("latchkey_csrf"),
      NGX_HTTP_LATCHKEY_EVERYWHERE|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_latchkey_loc_conf_t, csrf),
      NULL },

    { ngx_string("latchkey_data"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_latchkey_data,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("latchkey_on_unknown"),
      NGX_HTTP_LATCHKEY_EVERYWHERE|NGX_CONF_TAKE12,
      ngx_http_latchkey_on_unknown,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("latchkey_revocation_lag"),
      NGX_HTTP_LATCHKEY_EVERYWHERE|NGX_CONF_TAKE12,
      ngx_http_latchkey_revocation_lag,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("latchkey_lane"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE123,
      ngx_http_latchkey_lane_conf,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("latchkey_wait"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_latchkey_main_conf_t, wait),
      NULL },

    { ngx_string("latchkey_node"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_str_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_latchkey_main_conf_t, node),
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_latchkey_module_ctx = {
    ngx_http_latchkey_preconfiguration,    /* preconfiguration */
    ngx_http_latchkey_postconfiguration,   /* postconfiguration */

    ngx_http_latchkey_create_main_conf,    /* create main configuration */
    ngx_http_latchkey_init_main_conf,      /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_latchkey_create_loc_conf,     /* create location configuration */
    ngx_http_latchkey_merge_loc_conf       /* merge location configuration */
};


ngx_module_t  ngx_http_latchkey_module = {
    NGX_MODULE_V1,
    &ngx_http_latchkey_module_ctx,         /* module context */
    ngx_http_latchkey_commands,            /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    ngx_http_latchkey_init_module,         /* init module */
    ngx_http_latchkey_init_process,        /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_latchkey_exit_process,        /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


/* What nginx looks up in a dynamic module. */
extern ngx_module_t  *ngx_modules[];
extern char          *ngx_module_names[];
extern char          *ngx_module_order[];

ngx_module_t  *ngx_modules[] = {
    &ngx_http_latchkey_module,
    &ngx_http_latchkey_sticky_module,
    &ngx_http_latchkey_url_module,
    NULL
};

char  *ngx_module_names[] = {
    (char *) "ngx_http_latchkey_module",
    (char *) "ngx_http_latchkey_sticky_module",
    (char *) "ngx_http_latchkey_url_module",
    NULL
};

/* Filters run from the last module to the first.  Standing before the headers
 * filter, ours sees what `expires` and `add_header` did, and no-store beside a
 * session cookie is the last word.  Links are rewritten after SSI has found its
 * commands, and before anything is compressed. */
char  *ngx_module_order[] = {
    (char *) "ngx_http_latchkey_url_module",
    (char *) "ngx_http_ssi_filter_module",
    (char *) "ngx_http_charset_filter_module",
    (char *) "ngx_http_latchkey_module",
    (char *) "ngx_http_headers_filter_module",
    NULL
};


/* There is one table of settings, and it is the core's.  A setting that does
 * not fit is left out, which nginx reports as an unknown directive. */
static void __attribute__((constructor))
ngx_http_latchkey_add_settings(void)
{
    size_t             i;
    ngx_uint_t         n;
    ngx_command_t     *cmd;
    const lk_setting  *setting;

    for (n = 0; ngx_http_latchkey_commands[n].name.len != 0; n++) { /* void */ }

    for (i = 0; n < NGX_HTTP_LATCHKEY_COMMANDS_MAX - 1; i++, n++) {
        setting = lk_setting_at(i);
        if (setting == NULL) {
            break;
        }

        cmd = &ngx_http_latchkey_commands[n];

        ngx_memzero(cmd, sizeof(ngx_command_t));

        cmd->name.data = (u_char *) setting->name;
        cmd->name.len = ngx_strlen(setting->name);
        cmd->type = NGX_HTTP_MAIN_CONF|NGX_CONF_ANY;
        cmd->set = ngx_http_latchkey_setting;
        cmd->conf = NGX_HTTP_MAIN_CONF_OFFSET;
    }

    ngx_memzero(&ngx_http_latchkey_commands[n], sizeof(ngx_command_t));
}


static ngx_int_t
ngx_http_latchkey_preconfiguration(ngx_conf_t *cf)
{
    if (ngx_http_latchkey_runtime() != NULL) {

        /* A worker never reads settings.  A single process does on reload,
         * but nginx starts neither processes nor thread pools for it, and
         * the old ones would outlive their configuration. */

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "latchkey cannot be reloaded with "
                           "\"master_process off\": restart instead");
        return NGX_ERROR;
    }

    return ngx_http_latchkey_add_variables(cf);
}


/* Put HANDLER where it runs last of its phase: handlers run from the last
 * registered to the first. */
static ngx_int_t
ngx_http_latchkey_last_in_phase(ngx_http_core_main_conf_t *cmcf,
    ngx_uint_t phase, ngx_http_handler_pt handler)
{
    ngx_array_t          *handlers;
    ngx_http_handler_pt  *h;

    handlers = &cmcf->phases[phase].handlers;

    if (ngx_array_push(handlers) == NULL) {
        return NGX_ERROR;
    }

    h = handlers->elts;
    ngx_memmove(&h[1], &h[0], (handlers->nelts - 1) * sizeof(*h));
    h[0] = handler;

    return NGX_OK;
}


/* Identity headers are removed as early as there is a phase for it.  Requests
 * that fail while their header is read (400, 414, 494) never reach POST_READ,
 * and an error page may be a proxied location: they come in by an internal
 * redirect, at SERVER_REWRITE, or by a named location, at REWRITE.
 *
 * The decision is made in PREACCESS, and not in ACCESS, for two reasons.
 * `satisfy any` would let another access module turn our refusal into a grant
 * (CVE-2026-24513 is of that kind), and sub-requests skip the access phase:
 * an SSI include of a protected location would be served.  It is the last of
 * its phase, so that limit_req, limit_conn and realip have spoken before. */
static ngx_int_t
ngx_http_latchkey_add_phases(ngx_conf_t *cf)
{
    ngx_uint_t                  i;
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf;

    static const ngx_uint_t     strip[] = {
        NGX_HTTP_POST_READ_PHASE,
        NGX_HTTP_SERVER_REWRITE_PHASE,
        NGX_HTTP_REWRITE_PHASE
    };

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    for (i = 0; i < sizeof(strip) / sizeof(strip[0]); i++) {
        h = ngx_array_push(&cmcf->phases[strip[i]].handlers);
        if (h == NULL) {
            return NGX_ERROR;
        }

        *h = ngx_http_latchkey_strip;
    }

    return ngx_http_latchkey_last_in_phase(cmcf, NGX_HTTP_PREACCESS_PHASE,
                                           ngx_http_latchkey_gate);
}


static ngx_int_t
ngx_http_latchkey_postconfiguration(ngx_conf_t *cf)
{
    ngx_http_latchkey_main_conf_t  *lmcf;

    static ngx_str_t                request_id = ngx_string("request_id");

    lmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_latchkey_module);

    if (!lmcf->used && (!lmcf->keys_given || lmcf->sticky)) {

        /* a balancer alone needs keys, and no store */

        return lmcf->sticky ? ngx_http_latchkey_open_keys(cf, lmcf) : NGX_OK;
    }

    if (ngx_http_latchkey_check_settings(cf, lmcf) != NGX_OK
        || ngx_http_latchkey_open_audit(cf, lmcf) != NGX_OK
        || ngx_http_latchkey_open_shared(cf, lmcf) != NGX_OK
        || ngx_http_latchkey_open_trust(cf, lmcf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    lmcf->request_id = ngx_http_get_variable_index(cf, &request_id);
    lmcf->pool = ngx_http_latchkey_api_pool(cf);

    if (lmcf->lane_pool == NULL) {
        lmcf->lane_pool = ngx_http_latchkey_lane_pool(cf);
    }

    if (lmcf->request_id == NGX_ERROR || lmcf->pool == NULL
        || lmcf->lane_pool == NULL)
    {
        return NGX_ERROR;
    }

    if (ngx_http_latchkey_add_phases(cf) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_latchkey_init_identity();
    ngx_http_latchkey_init_filter();

    lmcf->enabled = 1;

    return NGX_OK;
}


static void *
ngx_http_latchkey_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_latchkey_main_conf_t  *lmcf;

    lmcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_latchkey_main_conf_t));
    if (lmcf == NULL) {
        return NULL;
    }

    lmcf->wait = NGX_CONF_UNSET_MSEC;
    lmcf->lane_wait = NGX_CONF_UNSET_MSEC;
    lmcf->lane_queue = NGX_CONF_UNSET_UINT;

    lk_settings_init(&lmcf->settings);

    if (ngx_array_init(&lmcf->rules, cf->pool, 8,
                       sizeof(ngx_http_latchkey_rule_t *))
        != NGX_OK)
    {
        return NULL;
    }

    return lmcf;
}


static char *
ngx_http_latchkey_init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_http_latchkey_main_conf_t  *lmcf = conf;

    ngx_conf_init_msec_value(lmcf->wait, 60000);
    ngx_conf_init_uint_value(lmcf->lane_queue, 1024);

    /* lane_wait: when the deadline of the store is known */

    return NGX_CONF_OK;
}


static void *
ngx_http_latchkey_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_latchkey_loc_conf_t  *llcf;

    llcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_latchkey_loc_conf_t));
    if (llcf == NULL) {
        return NULL;
    }

    /* rule, data, pool, api: NULL and 0 */

    llcf->csrf = NGX_CONF_UNSET;
    llcf->stale_s = NGX_CONF_UNSET;
    llcf->lag_ms = NGX_CONF_UNSET;

    return llcf;
}


/* The rule is inherited whole or not at all: half of an outer rule beside
 * half of an inner one would be a rule that nobody wrote. */
static char *
ngx_http_latchkey_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_latchkey_loc_conf_t  *prev = parent;
    ngx_http_latchkey_loc_conf_t  *conf = child;

    ngx_http_core_loc_conf_t      *clcf;

    static ngx_http_latchkey_rule_t       off;    /* LK_MODE_OFF is 0 */
    static ngx_http_latchkey_data_conf_t  no_data;
    static ngx_http_latchkey_cors_t       no_cors;

    if (conf->rule == NULL) {
        conf->rule = prev->rule ? prev->rule : &off;
    }

    if (conf->data == NULL) {
        conf->data = prev->data ? prev->data : &no_data;
    }

    if (conf->cors == NULL) {
        conf->cors = prev->cors ? prev->cors : &no_cors;
    }

    ngx_conf_merge_value(conf->csrf, prev->csrf, 0);

    if (ngx_http_latchkey_merge_policy(cf, prev, conf) != NGX_CONF_OK) {
        return NGX_CONF_ERROR;
    }

    if (conf->rule->rule.signature && !conf->api) {
        ngx_http_latchkey_signature_limits(cf);
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->noname && prev->api && !conf->api) {

        /* `if` and `limit_except` inside the location of the API */

        conf->api = prev->api;
        conf->pool = prev->pool;

        if (prev->api == NGX_HTTP_LATCHKEY_API_HERE && clcf->handler == NULL) {
            clcf->handler = ngx_http_latchkey_api_handler;
        }
    }

    if (conf->api == NGX_HTTP_LATCHKEY_API_HERE) {

        /* The handler counts to LK_BODY_MAX itself and answers 413 in its own
         * words; a buffer that holds it all keeps passwords off the disk. */

        clcf->client_max_body_size = 0;
        clcf->client_body_buffer_size = ngx_max(clcf->client_body_buffer_size,
                                                LK_BODY_MAX);
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_latchkey_init_module(ngx_cycle_t *cycle)
{
    ngx_http_latchkey_main_conf_t  *lmcf;

    lmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_latchkey_module);

    if (lmcf == NULL || !lmcf->enabled || ngx_test_config
        || ngx_process == NGX_PROCESS_SIGNALLER)
    {
        return NGX_OK;
    }

    ngx_http_latchkey_note_affinity();
    ngx_http_latchkey_make_dirs(cycle, lmcf);

    /* never NGX_ERROR: that would end a master that is only reloading */

    return NGX_OK;
}
