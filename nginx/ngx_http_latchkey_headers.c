/* SPDX-License-Identifier: Apache-2.0
 *
 * ngx_http_latchkey_headers.c - identity header fields that a client sent are
 * taken away.
 */
#include "ngx_http_latchkey.h"


/* What no client may send.  An application reads one header under many names:
 * CGI makes `-` a `_`, other gateways make every byte that is no letter or
 * digit a `_`.  So two names are the same name when they are equal after that
 * folding.  A name that ends in `-` is a prefix. */
static ngx_str_t  ngx_http_latchkey_taken[] = {
    ngx_string("remote-user"),
    ngx_string("remote-groups"),
    ngx_string("remote-name"),
    ngx_string("remote-email"),
    ngx_string("latchkey-"),
    ngx_null_string
};

/* Stands in r->ctx for "stripped, and nothing more is known". */
static ngx_http_latchkey_ctx_t  ngx_http_latchkey_stripped;


static ngx_uint_t ngx_http_latchkey_look_for(ngx_list_t *list);
static ngx_int_t ngx_http_latchkey_take_out(ngx_list_t *list);
static void ngx_http_latchkey_clean_connection(ngx_table_elt_t *h);


static ngx_inline u_char
ngx_http_latchkey_fold(u_char c)
{
    u_char  lower;

    lower = (u_char) (c | 0x20);

    if (lower >= 'a' && lower <= 'z') {
        return lower;
    }

    return (c >= '0' && c <= '9') ? c : '-';
}


ngx_uint_t
ngx_http_latchkey_is_identity(ngx_str_t *name)
{
    size_t      i, n;
    u_char      first;
    ngx_str_t  *taken;

    if (name->len == 0) {
        return 0;
    }

    first = (u_char) (name->data[0] | 0x20);

    for (taken = ngx_http_latchkey_taken; taken->len != 0; taken++) {

        n = taken->len;

        if (first != taken->data[0] || name->len < n
            || (name->len != n && taken->data[n - 1] != '-'))
        {
            continue;
        }

        for (i = 1; i < n; i++) {
            if (ngx_http_latchkey_fold(name->data[i]) != taken->data[i]) {
                break;
            }
        }

        if (i == n) {
            return 1;
        }
    }

    return 0;
}


/* Runs in POST_READ, and again in the rewrite phases for requests that had no
 * POST_READ.  Sub-requests share the list of their parents. */
ngx_int_t
ngx_http_latchkey_strip(ngx_http_request_t *r)
{
    ngx_list_t  *list;

    if (r != r->main
        || ngx_http_get_module_ctx(r, ngx_http_latchkey_module) != NULL)
    {
        return NGX_DECLINED;
    }

    if (ngx_http_latchkey_ctx(r) != NULL) {

        /* after an internal redirect: what is in the list now is ours */

        return NGX_DECLINED;
    }

    list = &r->headers_in.headers;

    if (ngx_http_latchkey_look_for(list)) {
        ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                      "client sent identity headers: removed");

        if (ngx_http_latchkey_take_out(list) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    ngx_http_set_ctx(r, &ngx_http_latchkey_stripped, ngx_http_latchkey_module);

    return NGX_DECLINED;
}


/* Is an identity header there?  On the way `Connection` loses the names of
 * such headers: the next proxy would take ours away, as RFC 9110 section 7.6.1
 * tells it to (CVE-2025-48865). */
static ngx_uint_t
ngx_http_latchkey_look_for(ngx_list_t *list)
{
    u_char            first;
    ngx_uint_t        i, found;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    found = 0;

    for (part = &list->part; part != NULL; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {

            if (h[i].key.len == 0) {
                continue;
            }

            first = (u_char) (h[i].key.data[0] | 0x20);

            if (first == 'r' || first == 'l') {
                found |= ngx_http_latchkey_is_identity(&h[i].key);

            } else if (first == 'c' && h[i].key.len == 10
                       && ngx_strncasecmp(h[i].key.data,
                                          (u_char *) "connection", 10)
                          == 0)
            {
                ngx_http_latchkey_clean_connection(&h[i]);
            }
        }
    }

    return found;
}


static ngx_list_part_t *
ngx_http_latchkey_add_part(ngx_list_t *list, ngx_list_part_t *last,
    ngx_table_elt_t *elts, ngx_uint_t n)
{
    ngx_list_part_t  *part;

    part = ngx_palloc(list->pool, sizeof(ngx_list_part_t));
    if (part == NULL) {
        return NULL;
    }

    part->elts = elts;
    part->nelts = n;
    part->next = NULL;
    last->next = part;

    return part;
}


/* Elements are never moved: r->headers_in.host and its like point at them.
 * Each run of elements that stay becomes a part of its own; there is no empty
 * part, which loops over lists in nginx would read beyond.  `nalloc` is what
 * ngx_list_push() takes for the capacity of the last part: set to the length
 * of the last run, it makes the next push begin a new part and not write over
 * what follows the run. */
static ngx_int_t
ngx_http_latchkey_take_out(ngx_list_t *list)
{
    ngx_uint_t        i, from;
    ngx_list_part_t  *part, *last, head;
    ngx_table_elt_t  *h;

    head.next = NULL;
    last = &head;

    for (part = &list->part; part != NULL; part = part->next) {
        h = part->elts;

        for (i = 0, from = 0; i < part->nelts; i++) {

            if (!ngx_http_latchkey_is_identity(&h[i].key)) {
                continue;
            }

            if (i > from) {
                last = ngx_http_latchkey_add_part(list, last, &h[from],
                                                  i - from);
                if (last == NULL) {
                    return NGX_ERROR;
                }
            }

            from = i + 1;
        }

        if (i > from) {
            last = ngx_http_latchkey_add_part(list, last, &h[from], i - from);
            if (last == NULL) {
                return NGX_ERROR;
            }
        }
    }

    if (head.next == NULL) {

        /* none is left: the first part has its whole capacity again */

        list->part.nelts = 0;
        list->part.next = NULL;
        list->last = &list->part;

        return NGX_OK;
    }

    list->part = *head.next;
    list->last = (last == head.next) ? &list->part : last;
    list->nalloc = list->last->nelts;

    return NGX_OK;
}


/* The next element of a comma-separated list, without blanks around it. */
static ngx_uint_t
ngx_http_latchkey_next_name(u_char **pos, u_char *end, ngx_str_t *name)
{
    u_char  *p, *comma;

    p = *pos;

    if (p >= end) {
        return 0;
    }

    comma = ngx_strlchr(p, end, ',');
    if (comma == NULL) {
        comma = end;
    }

    *pos = (comma < end) ? comma + 1 : end;

    while (p < comma && (*p == ' ' || *p == '\t')) {
        p++;
    }

    while (p < comma && (comma[-1] == ' ' || comma[-1] == '\t')) {
        comma--;
    }

    name->data = p;
    name->len = (size_t) (comma - p);

    return 1;
}


static void
ngx_http_latchkey_clean_connection(ngx_table_elt_t *h)
{
    u_char     *p, *to, *end;
    ngx_str_t   name;

    p = h->value.data;
    end = p + h->value.len;

    do {
        if (!ngx_http_latchkey_next_name(&p, end, &name)) {
            return;
        }
    } while (!ngx_http_latchkey_is_identity(&name));

    /* rewrite in place, never longer than what was read: a comma for a comma */

    p = h->value.data;
    to = p;

    while (ngx_http_latchkey_next_name(&p, end, &name)) {

        if (name.len == 0 || ngx_http_latchkey_is_identity(&name)) {
            continue;
        }

        if (to != h->value.data) {
            *to++ = ',';
        }

        ngx_memmove(to, name.data, name.len);
        to += name.len;
    }

    h->value.len = (size_t) (to - h->value.data);
}
