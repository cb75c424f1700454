/* SPDX-License-Identifier: Apache-2.0
 *
 * ngx_http_latchkey_data_conf.c - the directive `latchkey_data`: which fields
 * of the session a location has to do with.
 */
#include "ngx_http_latchkey.h"


#define NGX_HTTP_LATCHKEY_DATA_MAX  4096


static char *ngx_http_latchkey_data_option(ngx_conf_t *cf,
    ngx_http_latchkey_data_conf_t *conf, ngx_str_t *arg);
static char *ngx_http_latchkey_data_name(ngx_conf_t *cf,
    ngx_http_latchkey_data_conf_t *conf, ngx_str_t *arg);
static char *ngx_http_latchkey_data_forms(ngx_conf_t *cf,
    ngx_http_latchkey_data_conf_t *conf);


/* latchkey_data off | FIELD... | * [max=SIZE] [accept] */
char *
ngx_http_latchkey_data(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_latchkey_loc_conf_t  *llcf = conf;

    char                           *rv;
    ngx_str_t                      *value;
    ngx_uint_t                      i;
    ngx_http_latchkey_data_conf_t  *data;

    if (llcf->data != NULL) {
        return (char *) "is duplicate";
    }

    data = ngx_pcalloc(cf->pool, sizeof(ngx_http_latchkey_data_conf_t));
    if (data == NULL) {
        return NGX_CONF_ERROR;
    }

    data->max = NGX_HTTP_LATCHKEY_DATA_MAX;
    llcf->data = data;

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        return NGX_CONF_OK;
    }

    if (ngx_array_init(&data->names, cf->pool, 4, sizeof(lk_view)) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    for (i = 1; i < cf->args->nelts; i++) {

        rv = ngx_http_latchkey_data_option(cf, data, &value[i]);
        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    if (data->all == (data->names.nelts != 0)) {
        return (char *) "wants the names of fields, or * for all of them";
    }

    data->on = 1;

    return ngx_http_latchkey_data_forms(cf, data);
}


static char *
ngx_http_latchkey_data_option(ngx_conf_t *cf,
    ngx_http_latchkey_data_conf_t *conf, ngx_str_t *arg)
{
    ssize_t    max;
    ngx_str_t  size;

    if (ngx_strcmp(arg->data, "accept") == 0) {
        conf->accept = 1;
        return NGX_CONF_OK;
    }

    if (ngx_strcmp(arg->data, "*") == 0) {
        conf->all = 1;
        return NGX_CONF_OK;
    }

    if (ngx_strncmp(arg->data, "max=", 4) != 0) {
        return ngx_http_latchkey_data_name(cf, conf, arg);
    }

    size.data = arg->data + 4;
    size.len = arg->len - 4;

    max = ngx_parse_size(&size);

    if (max < 64 || max > 65536) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid size \"%V\" of \"latchkey_data\": from "
                           "64 to 64k bytes", arg);
        return NGX_CONF_ERROR;
    }

    conf->max = (size_t) max;

    return NGX_CONF_OK;
}


static char *
ngx_http_latchkey_data_name(ngx_conf_t *cf,
    ngx_http_latchkey_data_conf_t *conf, ngx_str_t *arg)
{
    u_char    c;
    size_t    i;
    lk_view  *name;

    for (i = 0; i < arg->len; i++) {
        c = arg->data[i];

        if (((c | 0x20) < 'a' || (c | 0x20) > 'z') && (c < '0' || c > '9')
            && c != '-' && c != '_' && c != '.')
        {
            break;
        }
    }

    if (i < arg->len || arg->len == 0 || arg->len > LK_FIELD_NAME_MAX
        || ngx_strcmp(arg->data, "off") == 0)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" can be no header, so \"latchkey_data\" "
                           "does not take it as the name of a field: letters, "
                           "digits, \"-\", \"_\" and \".\", or * for all "
                           "fields in one header", arg);
        return NGX_CONF_ERROR;
    }

    if (lk_field_is_ours(ngx_http_latchkey_view(arg))) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" is a field that the gateway keeps for itself",
                           arg);
        return NGX_CONF_ERROR;
    }

    name = ngx_array_push(&conf->names);
    if (name == NULL) {
        return NGX_CONF_ERROR;
    }

    *name = ngx_http_latchkey_view(arg);

    return NGX_CONF_OK;
}


/* A header with everything but its value: PREFIX and NAME, with `-` for what
 * is no letter or digit, since that is how CGI and its like read them all. */
static ngx_int_t
ngx_http_latchkey_data_form(ngx_conf_t *cf, ngx_table_elt_t *h,
    const char *prefix, lk_view name)
{
    u_char  *p, c;
    size_t   i, len;

    len = ngx_strlen(prefix);

    h->key.len = len + name.len;
    h->key.data = ngx_pnalloc(cf->pool, 2 * h->key.len);
    if (h->key.data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_cpymem(h->key.data, prefix, len);

    for (i = 0; i < name.len; i++) {
        c = name.p[i];
        *p++ = (c == '_' || c == '.') ? '-' : c;
    }

    h->lowcase_key = p;
    h->hash = ngx_hash_strlow(h->lowcase_key, h->key.data, h->key.len);

    return NGX_OK;
}


static char *
ngx_http_latchkey_data_forms(ngx_conf_t *cf,
    ngx_http_latchkey_data_conf_t *conf)
{
    lk_view     *names;
    ngx_int_t    rc;
    ngx_uint_t   i, j;

    names = conf->names.elts;
    conf->n = conf->all ? 1 : conf->names.nelts;

    conf->forms = ngx_pcalloc(cf->pool,
                              (conf->n + 1) * sizeof(ngx_table_elt_t));
    if (conf->forms == NULL) {
        return NGX_CONF_ERROR;
    }

    for (i = 0; i < conf->n; i++) {

        rc = conf->all
             ? ngx_http_latchkey_data_form(cf, &conf->forms[i],
                                           "Latchkey-Data", LK_VIEW(""))
             : ngx_http_latchkey_data_form(cf, &conf->forms[i],
                                           "Latchkey-Data-", names[i]);
        if (rc != NGX_OK) {
            return NGX_CONF_ERROR;
        }

        for (j = 0; j < i; j++) {
            if (conf->forms[i].key.len == conf->forms[j].key.len
                && ngx_memcmp(conf->forms[i].lowcase_key,
                              conf->forms[j].lowcase_key,
                              conf->forms[i].key.len)
                   == 0)
            {
                return (char *) "names two fields that would be one header";
            }
        }
    }

    return ngx_http_latchkey_data_form(cf, &conf->forms[i],
                                       "Latchkey-Dropped", LK_VIEW(""))
           == NGX_OK ? NGX_CONF_OK : NGX_CONF_ERROR;
}
