/* SPDX-License-Identifier: Apache-2.0
 *
 * ngx_http_latchkey_cors_conf.c - the directive `latchkey_cors`.  What browsers
 * would not understand, or would understand in another way than it was meant,
 * is refused here and not met at night.
 */
#include "ngx_http_latchkey.h"


#define NGX_HTTP_LATCHKEY_ORIGINS_MAX  64
#define NGX_HTTP_LATCHKEY_MAX_AGE      86400


typedef struct {
    ngx_str_t   name;                        /* with its '=' */
    size_t      offset;                      /* of the ngx_str_t */
    ngx_uint_t  methods;
} ngx_http_latchkey_cors_list_t;


static char *ngx_http_latchkey_cors_param(ngx_conf_t *cf,
    ngx_http_latchkey_cors_t *cors, ngx_str_t *arg);
static char *ngx_http_latchkey_cors_list(ngx_conf_t *cf, ngx_str_t *out,
    ngx_str_t *arg, const ngx_http_latchkey_cors_list_t *list);
static char *ngx_http_latchkey_cors_age(ngx_conf_t *cf,
    ngx_http_latchkey_cors_t *cors, ngx_str_t *arg);
static char *ngx_http_latchkey_cors_origin(ngx_conf_t *cf,
    ngx_http_latchkey_cors_t *cors, ngx_str_t *arg);
static const char *ngx_http_latchkey_not_origin(const ngx_str_t *text);
static char *ngx_http_latchkey_cors_check(ngx_conf_t *cf,
    ngx_http_latchkey_cors_t *cors);


static const ngx_http_latchkey_cors_list_t  ngx_http_latchkey_cors_lists[] = {
    { ngx_string("methods="), offsetof(ngx_http_latchkey_cors_t, methods), 1 },
    { ngx_string("headers="), offsetof(ngx_http_latchkey_cors_t, headers), 0 },
    { ngx_string("expose="), offsetof(ngx_http_latchkey_cors_t, expose), 0 },
    { ngx_null_string, 0, 0 }
};


/* latchkey_cors off | ORIGIN... [credentials] [methods=A,B] [headers=a,b]
 *                           [expose=a,b] [max_age=600] */
char *
ngx_http_latchkey_cors(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_latchkey_loc_conf_t  *llcf = conf;

    char                           *rv;
    ngx_str_t                      *value;
    ngx_uint_t                      i;
    ngx_http_latchkey_cors_t       *cors;
    ngx_http_latchkey_main_conf_t  *lmcf;

    if (llcf->cors != NULL) {
        return (char *) "is duplicate";
    }

    cors = ngx_pcalloc(cf->pool, sizeof(ngx_http_latchkey_cors_t));

    if (cors == NULL
        || ngx_array_init(&cors->origins, cf->pool, 2, sizeof(ngx_str_t))
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    cors->given = 1;
    llcf->cors = cors;

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        return NGX_CONF_OK;
    }

    cors->on = 1;
    ngx_http_latchkey_cors_defaults(cors);

    for (i = 1; i < cf->args->nelts; i++) {
        rv = ngx_http_latchkey_cors_param(cf, cors, &value[i]);
        if (rv != NGX_CONF_OK) {
            return rv;
        }
    }

    lmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_latchkey_module);
    lmcf->used = 1;

    return ngx_http_latchkey_cors_check(cf, cors);
}


static char *
ngx_http_latchkey_cors_param(ngx_conf_t *cf, ngx_http_latchkey_cors_t *cors,
    ngx_str_t *arg)
{
    ngx_str_t                            value;
    const ngx_http_latchkey_cors_list_t  *list;

    if (ngx_strcmp(arg->data, "credentials") == 0) {
        cors->credentials = 1;
        return NGX_CONF_OK;
    }

    if (ngx_strncmp(arg->data, "max_age=", 8) == 0) {
        return ngx_http_latchkey_cors_age(cf, cors, arg);
    }

    for (list = ngx_http_latchkey_cors_lists; list->name.len != 0; list++) {

        if (ngx_strncmp(arg->data, list->name.data, list->name.len) == 0) {
            value.data = arg->data + list->name.len;
            value.len = arg->len - list->name.len;

            return ngx_http_latchkey_cors_list(cf,
                       (ngx_str_t *) ((u_char *) cors + list->offset), &value,
                       list);
        }
    }

    return ngx_http_latchkey_cors_origin(cf, cors, arg);
}


/* RFC 9110 section 5.6.2: what names of methods and header fields are made of.
 */
static ngx_uint_t
ngx_http_latchkey_is_token_byte(u_char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
           || (c >= '0' && c <= '9')
           || (c != '\0' && ngx_strchr("!#$%&'*+-.^_`|~", c) != NULL);
}


/* "A,B" as "A, B" */
static char *
ngx_http_latchkey_cors_list(ngx_conf_t *cf, ngx_str_t *out, ngx_str_t *arg,
    const ngx_http_latchkey_cors_list_t *list)
{
    u_char      *p, c;
    size_t       i;
    ngx_uint_t   word;

    out->data = ngx_pnalloc(cf->pool, 2 * arg->len + 1);
    if (out->data == NULL) {
        return NGX_CONF_ERROR;
    }

    p = out->data;
    word = 0;

    for (i = 0; i < arg->len; i++) {
        c = arg->data[i];

        if (c == ',' && word) {
            *p++ = ',';
            *p++ = ' ';
            word = 0;
            continue;
        }

        if (!ngx_http_latchkey_is_token_byte(c)) {
            word = 0;
            break;
        }

        if (list->methods && c >= 'a' && c <= 'z') {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "methods are told apart by case, and \"%V\" "
                               "has small letters: browsers would never find "
                               "it: write GET,POST", arg);
            return NGX_CONF_ERROR;
        }

        *p++ = c;
        word = 1;
    }

    if (!word) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid list \"%V%V\" of \"latchkey_cors\": it is "
                           "names with commas between them, without blanks",
                           &list->name, arg);
        return NGX_CONF_ERROR;
    }

    *p = '\0';
    out->len = (size_t) (p - out->data);

    return NGX_CONF_OK;
}


static char *
ngx_http_latchkey_cors_age(ngx_conf_t *cf, ngx_http_latchkey_cors_t *cors,
    ngx_str_t *arg)
{
    u_char   *last;
    int64_t   age_s;

    if (lk_parse_duration_s(lk_view_make(arg->data + 8, arg->len - 8), &age_s)
        != LK_OK || age_s > NGX_HTTP_LATCHKEY_MAX_AGE)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid time \"%V\" of \"latchkey_cors\": from 0 "
                           "to 1d, for example max_age=10m; browsers keep a "
                           "preflight no longer, and an origin that was taken "
                           "out goes on for as long", arg);
        return NGX_CONF_ERROR;
    }

    cors->max_age.data = ngx_pnalloc(cf->pool, NGX_INT64_LEN);
    if (cors->max_age.data == NULL) {
        return NGX_CONF_ERROR;
    }

    last = ngx_sprintf(cors->max_age.data, "%L", age_s);
    cors->max_age.len = (size_t) (last - cors->max_age.data);

    return NGX_CONF_OK;
}


static char *
ngx_http_latchkey_cors_origin(ngx_conf_t *cf, ngx_http_latchkey_cors_t *cors,
    ngx_str_t *arg)
{
    ngx_str_t   *origin;
    const char  *why;

    if (ngx_strcmp(arg->data, "*") == 0) {
        cors->any = 1;

    } else {
        why = ngx_http_latchkey_not_origin(arg);

        if (why != NULL) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"%V\" is no origin: %s", arg, why);
            return NGX_CONF_ERROR;
        }
    }

    origin = ngx_array_push(&cors->origins);
    if (origin == NULL) {
        return NGX_CONF_ERROR;
    }

    *origin = *arg;

    return NGX_CONF_OK;
}


/* Why browsers would never send TEXT, or NULL.  The scheme may be any: pages
 * inside of applications have their own (HTML, "serialization of an origin").
 */
static const char *
ngx_http_latchkey_not_origin(const ngx_str_t *text)
{
    u_char  *p, *end, *host, *port;

    p = text->data;
    end = p + text->len;

    if (text->len == 4 && ngx_strncasecmp(p, (u_char *) "null", 4) == 0) {
        return "any page can be without one (a frame in a sandbox, a file), "
               "so all of them would be let in";
    }

    for (host = p; host < end; host++) {
        if (*host >= 'A' && *host <= 'Z') {
            return "browsers send it in small letters, and it is compared "
                   "byte for byte";
        }

        if (*host <= ' ' || *host >= 0x7f || *host == '*' || *host == ',') {
            return "each one is written out, without patterns";
        }
    }

    host = ngx_strlcasestrn(p, end, (u_char *) "://", 3 - 1);

    if (host == NULL || host == p || host + 3 == end) {
        return "write scheme, host and port where it is not the usual one: "
               "https://shop.example";
    }

    host += 3;

    if (ngx_strlchr(host, end, '/') != NULL
        || ngx_strlchr(host, end, '?') != NULL
        || ngx_strlchr(host, end, '#') != NULL
        || ngx_strlchr(host, end, '@') != NULL)
    {
        return "it ends with the host or its port, without a slash";
    }

    port = (*host == '[') ? ngx_strlchr(host, end, ']') : host;
    port = (port == NULL) ? NULL : ngx_strlchr(port, end, ':');

    if (port == NULL) {
        return NULL;
    }

    port++;

    if (ngx_atoi(port, (size_t) (end - port)) < 1
        || ngx_atoi(port, (size_t) (end - port)) > 65535 || *port == '0')
    {
        return "its port is no number from 1 to 65535";
    }

    if ((ngx_strncmp(p, "https://", 8) == 0 && end - port == 3
         && ngx_strncmp(port, "443", 3) == 0)
        || (ngx_strncmp(p, "http://", 7) == 0 && end - port == 2
            && ngx_strncmp(port, "80", 2) == 0))
    {
        return "browsers leave the usual port out, and it is compared byte "
               "for byte";
    }

    return NULL;
}


/* `*` beside credentials is one header field that browsers refuse, and three
 * in which it is a name like any other (Fetch 3.3.5). */
static char *
ngx_http_latchkey_cors_check(ngx_conf_t *cf, ngx_http_latchkey_cors_t *cors)
{
    ngx_str_t                            *names;
    ngx_uint_t                            any;
    const ngx_http_latchkey_cors_list_t  *list;

    any = cors->any;

    if (cors->origins.nelts == 0) {
        return (char *) "wants the origins that may read the answers, such as "
                        "https://shop.example";
    }

    if (cors->origins.nelts > NGX_HTTP_LATCHKEY_ORIGINS_MAX) {
        return (char *) "takes 64 origins at most";
    }

    if (cors->any && cors->origins.nelts > 1) {
        return (char *) "lets every origin in with *: remove it, or the others";
    }

    for (list = ngx_http_latchkey_cors_lists; list->name.len != 0; list++) {
        names = (ngx_str_t *) ((u_char *) cors + list->offset);
        any |= (names->len != 0 && ngx_strchr(names->data, '*') != NULL);
    }

    if (cors->credentials && any) {
        return (char *) "does not give credentials to whoever comes: write "
                        "the origins out instead of *";
    }

    return NGX_CONF_OK;
}
