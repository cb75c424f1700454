/* SPDX-License-Identifier: Apache-2.0
 *
 * ngx_http_latchkey_policy.c - latchkey_on_unknown and latchkey_revocation_lag:
 * what a location does when the store cannot be asked, and when what this node
 * knows of revocations is old.
 *
 * Either is inherited by itself, apart from the rule of `latchkey`; what the
 * gate goes by is one rule, so where a location's own words differ from those
 * of the rule it inherits, it gets a copy of its own.
 */
#include "ngx_http_latchkey.h"


/* Longer, and what is served is no picture of anything: a copy does not know
 * of a logout that could not be heard of. */
#define NGX_HTTP_LATCHKEY_STALE_MAX  86400

/* The stream of the store is looked at several times a second, and no more:
 * with less than this, every request would find the view too old. */
#define NGX_HTTP_LATCHKEY_LAG_MIN    500


static ngx_int_t ngx_http_latchkey_stale(ngx_conf_t *cf, ngx_str_t *arg,
    ngx_int_t *stale_s);


/* latchkey_on_unknown 503 | stale=TIME [safe] | safe */
char *
ngx_http_latchkey_on_unknown(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_latchkey_loc_conf_t  *llcf = conf;

    ngx_int_t    stale_s;
    ngx_str_t   *value;
    ngx_uint_t   i, safe;

    if (llcf->stale_s != NGX_CONF_UNSET) {
        return (char *) "is duplicate";
    }

    value = cf->args->elts;
    stale_s = 0;
    safe = 0;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strcmp(value[i].data, "safe") == 0 && !safe) {
            safe = 1;
            continue;
        }

        if (ngx_strncmp(value[i].data, "stale=", 6) == 0 && i == 1) {

            if (ngx_http_latchkey_stale(cf, &value[i], &stale_s) != NGX_OK) {
                return NGX_CONF_ERROR;
            }

            continue;
        }

        if (ngx_strcmp(value[i].data, "503") == 0 && cf->args->nelts == 2) {
            continue;
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" of "
                           "\"latchkey_on_unknown\": write 503, or stale=30s "
                           "to serve what was known that long ago, or safe "
                           "(or stale=30s safe) to do so for GET and HEAD "
                           "only", &value[i]);
        return NGX_CONF_ERROR;
    }

    llcf->stale_s = stale_s;
    llcf->stale_safe = safe;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_latchkey_stale(ngx_conf_t *cf, ngx_str_t *arg, ngx_int_t *stale_s)
{
    int64_t  time_s;
    lk_view  value;

    value = lk_view_make(arg->data + 6, arg->len - 6);

    if (lk_parse_duration_s(value, &time_s) != LK_OK || time_s < 1
        || time_s > NGX_HTTP_LATCHKEY_STALE_MAX)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid time \"%V\" of \"latchkey_on_unknown\": "
                           "write for example stale=30s; at least 1s, at "
                           "most 1d", arg);
        return NGX_ERROR;
    }

    *stale_s = (ngx_int_t) time_s;

    return NGX_OK;
}


/* latchkey_revocation_lag TIME [ask | deny | serve] */
char *
ngx_http_latchkey_revocation_lag(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_latchkey_loc_conf_t  *llcf = conf;

    lk_lag      lag;
    ngx_int_t   lag_ms;
    ngx_str_t  *value;

    if (llcf->lag_ms != NGX_CONF_UNSET) {
        return (char *) "is duplicate";
    }

    value = cf->args->elts;

    lag_ms = ngx_parse_time(&value[1], 0);

    if (lag_ms == NGX_ERROR || lag_ms < NGX_HTTP_LATCHKEY_LAG_MIN) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid time \"%V\" of "
                           "\"latchkey_revocation_lag\": write for example "
                           "2s; at least %dms, as the store's stream is "
                           "looked at a few times a second",
                           &value[1], NGX_HTTP_LATCHKEY_LAG_MIN);
        return NGX_CONF_ERROR;
    }

    if (cf->args->nelts == 2 || ngx_strcmp(value[2].data, "ask") == 0) {
        lag = LK_LAG_ASK;

    } else if (ngx_strcmp(value[2].data, "deny") == 0) {
        lag = LK_LAG_DENY;

    } else if (ngx_strcmp(value[2].data, "serve") == 0) {
        lag = LK_LAG_SERVE;

    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" of "
                           "\"latchkey_revocation_lag\": it is ask (look "
                           "into the store), deny or serve", &value[2]);
        return NGX_CONF_ERROR;
    }

    llcf->lag_ms = lag_ms;
    llcf->lag = lag;

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_latchkey_push_rule(ngx_conf_t *cf, ngx_http_latchkey_rule_t *rule)
{
    ngx_http_latchkey_rule_t       **slot;
    ngx_http_latchkey_main_conf_t   *lmcf;

    lmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_latchkey_module);

    slot = ngx_array_push(&lmcf->rules);
    if (slot == NULL) {
        return NGX_ERROR;
    }

    *slot = rule;

    return NGX_OK;
}


/* The rule of CONF is known by now, its own or an inherited one. */
char *
ngx_http_latchkey_merge_policy(ngx_conf_t *cf,
    ngx_http_latchkey_loc_conf_t *prev, ngx_http_latchkey_loc_conf_t *conf)
{
    lk_rule                   *own;
    ngx_http_latchkey_rule_t  *rule;

    if (conf->stale_s == NGX_CONF_UNSET) {
        conf->stale_s = prev->stale_s;
        conf->stale_safe = prev->stale_safe;
    }

    if (conf->lag_ms == NGX_CONF_UNSET) {
        conf->lag_ms = prev->lag_ms;
        conf->lag = prev->lag;
    }

    if (conf->stale_s == NGX_CONF_UNSET) {
        conf->stale_s = 0;
        conf->stale_safe = 0;
    }

    if (conf->lag_ms == NGX_CONF_UNSET) {
        conf->lag_ms = LK_LAG_MS_DEFAULT;
        conf->lag = LK_LAG_ASK;
    }

    own = &conf->rule->rule;

    if (own->mode == LK_MODE_OFF
        || (own->stale_s == conf->stale_s
            && own->stale_safe == (conf->stale_safe != 0)
            && own->lag_ms == conf->lag_ms && own->lag == conf->lag))
    {
        return NGX_CONF_OK;
    }

    rule = ngx_palloc(cf->pool, sizeof(ngx_http_latchkey_rule_t));

    if (rule == NULL || ngx_http_latchkey_push_rule(cf, rule) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    *rule = *conf->rule;

    rule->rule.stale_s = conf->stale_s;
    rule->rule.stale_safe = (conf->stale_safe != 0);
    rule->rule.lag_ms = conf->lag_ms;
    rule->rule.lag = conf->lag;

    conf->rule = rule;

    return NGX_CONF_OK;
}
