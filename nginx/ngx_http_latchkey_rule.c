/* SPDX-License-Identifier: Apache-2.0
 *
 * ngx_http_latchkey_rule.c - the directive `latchkey`: what a location asks
 * for.
 */
#include "ngx_http_latchkey.h"


typedef char *(*ngx_http_latchkey_param_pt)(ngx_conf_t *cf,
    ngx_http_latchkey_rule_t *rule, ngx_str_t *value);

typedef struct {
    ngx_str_t                   name;        /* with its '=' */
    ngx_http_latchkey_param_pt  set;
} ngx_http_latchkey_param_t;


static char *ngx_http_latchkey_param(ngx_conf_t *cf,
    ngx_http_latchkey_rule_t *rule, ngx_str_t *arg);
static char *ngx_http_latchkey_role(ngx_conf_t *cf,
    ngx_http_latchkey_rule_t *rule, ngx_str_t *value);
static char *ngx_http_latchkey_scope(ngx_conf_t *cf,
    ngx_http_latchkey_rule_t *rule, ngx_str_t *value);
static char *ngx_http_latchkey_realm(ngx_conf_t *cf,
    ngx_http_latchkey_rule_t *rule, ngx_str_t *value);
static char *ngx_http_latchkey_audience(ngx_conf_t *cf,
    ngx_http_latchkey_rule_t *rule, ngx_str_t *value);
static char *ngx_http_latchkey_max_age(ngx_conf_t *cf,
    ngx_http_latchkey_rule_t *rule, ngx_str_t *value);
static char *ngx_http_latchkey_carrier(ngx_conf_t *cf,
    ngx_http_latchkey_rule_t *rule, ngx_str_t *value);
static char *ngx_http_latchkey_credential(ngx_conf_t *cf,
    ngx_http_latchkey_rule_t *rule, ngx_str_t *value);


static const ngx_http_latchkey_param_t  ngx_http_latchkey_params[] = {
    { ngx_string("role="), ngx_http_latchkey_role },
    { ngx_string("scope="), ngx_http_latchkey_scope },
    { ngx_string("realm="), ngx_http_latchkey_realm },
    { ngx_string("audience="), ngx_http_latchkey_audience },
    { ngx_string("max_age="), ngx_http_latchkey_max_age },
    { ngx_string("carrier="), ngx_http_latchkey_carrier },
    { ngx_string("credential="), ngx_http_latchkey_credential },
    { ngx_null_string, NULL }
};


char *
ngx_http_latchkey_rule(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_latchkey_loc_conf_t  *llcf = conf;

    char                            *rv;
    ngx_str_t                       *value;
    ngx_uint_t                       i;
    ngx_http_latchkey_rule_t        *rule, **slot;
    ngx_http_latchkey_main_conf_t   *lmcf;

    if (llcf->rule != NULL) {
        return (char *) "is duplicate";
    }

    lmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_latchkey_module);

    rule = ngx_pcalloc(cf->pool, sizeof(ngx_http_latchkey_rule_t));
    if (rule == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    if (ngx_strcmp(value[1].data, "off") == 0) {
        rule->rule.mode = LK_MODE_OFF;

    } else if (ngx_strcmp(value[1].data, "optional") == 0) {
        rule->rule.mode = LK_MODE_OPTIONAL;

    } else if (ngx_strcmp(value[1].data, "required") == 0) {
        rule->rule.mode = LK_MODE_REQUIRED;

    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid mode \"%V\" of \"latchkey\": "
                           "it is off, optional or required", &value[1]);
        return NGX_CONF_ERROR;
    }

    if (rule->rule.mode == LK_MODE_OFF && cf->args->nelts > 2) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"latchkey off\" checks nothing, so \"%V\" has "
                           "no meaning: remove it, or write optional or "
                           "required", &value[2]);
        return NGX_CONF_ERROR;
    }

    for (i = 2; i < cf->args->nelts; i++) {
        rv = ngx_http_latchkey_param(cf, rule, &value[i]);
        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    if (rule->anonymous && rule->rule.mode != LK_MODE_OPTIONAL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"anonymous\" gives a session to visitors nobody "
                           "knows, and \"latchkey required\" lets none of "
                           "them in: write optional");
        return NGX_CONF_ERROR;
    }

    rule->rule.lag_ms = LK_LAG_MS_DEFAULT;

    rule->server = ngx_http_conf_get_module_srv_conf(cf, ngx_http_core_module);
    rule->file = cf->conf_file->file.name;
    rule->line = cf->conf_file->line;

    /* checked when all settings are known, see check_settings */

    slot = ngx_array_push(&lmcf->rules);
    if (slot == NULL) {
        return NGX_CONF_ERROR;
    }

    *slot = rule;
    llcf->rule = rule;

    if (rule->rule.mode != LK_MODE_OFF) {
        lmcf->used = 1;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_latchkey_param(ngx_conf_t *cf, ngx_http_latchkey_rule_t *rule,
    ngx_str_t *arg)
{
    ngx_str_t                         value;
    const ngx_http_latchkey_param_t  *p;

    if (ngx_strcmp(arg->data, "anonymous") == 0) {
        rule->anonymous = 1;
        return NGX_CONF_OK;
    }

    if (ngx_strcmp(arg->data, "bound") == 0) {
        rule->rule.bound = true;
        return NGX_CONF_OK;
    }

    if (ngx_strcmp(arg->data, "signature") == 0) {
        rule->rule.signature = true;
        return NGX_CONF_OK;
    }

    for (p = ngx_http_latchkey_params; p->set != NULL; p++) {

        if (ngx_strncmp(arg->data, p->name.data, p->name.len) != 0) {
            continue;
        }

        value.data = arg->data + p->name.len;
        value.len = arg->len - p->name.len;

        if (value.len != 0) {
            return p->set(cf, rule, &value);
        }

        break;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid parameter \"%V\" of \"latchkey\"", arg);
    return NGX_CONF_ERROR;
}


/* Words, by comma or blank, as the core wants them: by blank. */
static lk_view
ngx_http_latchkey_words(ngx_str_t *value)
{
    size_t  i;

    for (i = 0; i < value->len; i++) {
        if (value->data[i] == ',') {
            value->data[i] = ' ';
        }
    }

    return ngx_http_latchkey_view(value);
}


static char *
ngx_http_latchkey_role(ngx_conf_t *cf, ngx_http_latchkey_rule_t *rule,
    ngx_str_t *value)
{
    rule->rule.role = ngx_http_latchkey_words(value);
    return NGX_CONF_OK;
}


static char *
ngx_http_latchkey_scope(ngx_conf_t *cf, ngx_http_latchkey_rule_t *rule,
    ngx_str_t *value)
{
    rule->rule.scope = ngx_http_latchkey_words(value);
    return NGX_CONF_OK;
}


static char *
ngx_http_latchkey_realm(ngx_conf_t *cf, ngx_http_latchkey_rule_t *rule,
    ngx_str_t *value)
{
    rule->rule.realm = ngx_http_latchkey_view(value);
    return NGX_CONF_OK;
}


static char *
ngx_http_latchkey_audience(ngx_conf_t *cf, ngx_http_latchkey_rule_t *rule,
    ngx_str_t *value)
{
    rule->rule.audience = ngx_http_latchkey_words(value);
    return NGX_CONF_OK;
}


static char *
ngx_http_latchkey_max_age(ngx_conf_t *cf, ngx_http_latchkey_rule_t *rule,
    ngx_str_t *value)
{
    if (lk_parse_duration_s(ngx_http_latchkey_view(value),
                            &rule->rule.max_age_s)
        != LK_OK || rule->rule.max_age_s == 0)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid time \"max_age=%V\": write for example "
                           "max_age=15m", value);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_latchkey_carrier(ngx_conf_t *cf, ngx_http_latchkey_rule_t *rule,
    ngx_str_t *value)
{
    lk_view     list, word;
    lk_carrier  carrier;

    list = ngx_http_latchkey_words(value);

    while (lk_words_next(&list, &word)) {

        if (lk_carrier_of(word, &carrier) != LK_OK) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "unknown carrier \"%*s\": it is cookie, header "
                               "or url", word.len, word.p);
            return NGX_CONF_ERROR;
        }

        rule->rule.carriers |= 1u << carrier;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_latchkey_credential(ngx_conf_t *cf, ngx_http_latchkey_rule_t *rule,
    ngx_str_t *value)
{
    lk_kind  kind;
    lk_view  list, word;

    list = ngx_http_latchkey_words(value);

    while (lk_words_next(&list, &word)) {

        if (lk_kind_of(word, &kind) != LK_OK) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "unknown credential \"%*s\": it is "
                               "session_id, sealed, token, jwt or api_key",
                               word.len, word.p);
            return NGX_CONF_ERROR;
        }

        rule->rule.kinds |= 1u << kind;
    }

    return NGX_CONF_OK;
}
