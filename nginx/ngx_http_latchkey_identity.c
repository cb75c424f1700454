/* SPDX-License-Identifier: Apache-2.0
 *
 * ngx_http_latchkey_identity.c - identity header fields for the application.
 */
#include "ngx_http_latchkey_room.h"


/* The four we send, in the order of ctx->headers. */
static ngx_str_t  ngx_http_latchkey_sent[NGX_HTTP_LATCHKEY_IDENTITY] = {
    ngx_string("Remote-User"),
    ngx_string("Remote-Groups"),
    ngx_string("Remote-Name"),
    ngx_string("Latchkey-Session")
};

static ngx_str_t  ngx_http_latchkey_lowcase[NGX_HTTP_LATCHKEY_IDENTITY] = {
    ngx_string("remote-user"),
    ngx_string("remote-groups"),
    ngx_string("remote-name"),
    ngx_string("latchkey-session")
};

/* With everything but the values. */
static ngx_table_elt_t  ngx_http_latchkey_form[NGX_HTTP_LATCHKEY_IDENTITY];


static ngx_uint_t ngx_http_latchkey_has_identity(ngx_list_t *list);
static ngx_int_t ngx_http_latchkey_own_list(ngx_http_request_t *r,
    ngx_uint_t room);
static ngx_table_elt_t *ngx_http_latchkey_append(ngx_http_request_t *r,
    ngx_http_latchkey_room_t *room);
static ngx_int_t ngx_http_latchkey_encode(ngx_http_request_t *r,
    ngx_http_latchkey_ctx_t *ctx, ngx_str_t *out, ngx_str_t *in,
    ngx_uint_t words);


void
ngx_http_latchkey_init_identity(void)
{
    ngx_uint_t        i;
    ngx_table_elt_t  *h;

    for (i = 0; i < NGX_HTTP_LATCHKEY_IDENTITY; i++) {
        h = &ngx_http_latchkey_form[i];

        h->hash = ngx_hash_key(ngx_http_latchkey_lowcase[i].data,
                               ngx_http_latchkey_lowcase[i].len);
        h->key = ngx_http_latchkey_sent[i];
        h->lowcase_key = ngx_http_latchkey_lowcase[i].data;
    }
}


/* Our four headers, always all of them: an application that finds one missing
 * might take a default for it, and a proxy a placeholder. */
ngx_int_t
ngx_http_latchkey_set_identity(ngx_http_request_t *r,
    ngx_http_latchkey_ctx_t *ctx)
{
    ngx_table_elt_t  *h;

    if (ctx->headers == NULL) {

        if (r != r->main
            && ngx_http_latchkey_own_list(r, NGX_HTTP_LATCHKEY_IDENTITY)
               != NGX_OK)
        {
            return NGX_ERROR;
        }

        ctx->headers = ngx_http_latchkey_append(r,
                                                ngx_http_latchkey_room(ctx));
        if (ctx->headers == NULL) {
            return NGX_ERROR;
        }
    }

    h = ctx->headers;

    if (ngx_http_latchkey_encode(r, ctx, &h[0].value, &ctx->user, 0)
        != NGX_OK
        || ngx_http_latchkey_encode(r, ctx, &h[1].value, &ctx->roles, 1)
           != NGX_OK
        || ngx_http_latchkey_encode(r, ctx, &h[2].value, &ctx->name, 0)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    h[3].value = ctx->session;

    return NGX_OK;
}


static ngx_uint_t
ngx_http_latchkey_has_identity(ngx_list_t *list)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    for (part = &list->part; part != NULL; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (ngx_http_latchkey_is_identity(&h[i].key)) {
                return 1;
            }
        }
    }

    return 0;
}


/* A location with `latchkey off` tells its application nothing, even when the
 * request, or the one it is a part of, came through a gate before. */
ngx_int_t
ngx_http_latchkey_clear_identity(ngx_http_request_t *r)
{
    ngx_uint_t                i;
    ngx_http_latchkey_ctx_t  *ctx;

    ctx = ngx_http_latchkey_ctx(r);

    if (ctx != NULL && ctx->headers != NULL) {
        for (i = 0; i < NGX_HTTP_LATCHKEY_IDENTITY; i++) {
            ngx_str_null(&ctx->headers[i].value);
        }

        ngx_http_latchkey_clear_data(r, ctx);

        return NGX_OK;
    }

    if (r != r->main
        && ngx_http_latchkey_has_identity(&r->headers_in.headers))
    {
        return ngx_http_latchkey_own_list(r, 0);
    }

    return NGX_OK;
}


/* A sub-request's list shares its elements with its parent's: give it one of
 * its own, without identity headers, before writing to it. */
static ngx_int_t
ngx_http_latchkey_own_list(ngx_http_request_t *r, ngx_uint_t room)
{
    ngx_list_t       *list;
    ngx_uint_t        i, n;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h, *own;

    list = &r->headers_in.headers;
    n = room;

    for (part = &list->part; part != NULL; part = part->next) {
        n += part->nelts;
    }

    own = ngx_palloc(r->pool, (n + 1) * sizeof(ngx_table_elt_t));
    if (own == NULL) {
        return NGX_ERROR;
    }

    n = 0;

    for (part = &list->part; part != NULL; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (!ngx_http_latchkey_is_identity(&h[i].key)) {
                own[n++] = h[i];
            }
        }
    }

    list->part.elts = own;
    list->part.nelts = n;
    list->part.next = NULL;
    list->last = &list->part;
    list->nalloc = n ? n : 1;
    list->size = sizeof(ngx_table_elt_t);
    list->pool = r->pool;

    return NGX_OK;
}


/* One part for all four: no room of another part is used, so it does not
 * matter what was taken out of them.  HTTP/0.9 has no list at all. */
static ngx_table_elt_t *
ngx_http_latchkey_append(ngx_http_request_t *r, ngx_http_latchkey_room_t *room)
{
    ngx_list_t       *list;
    ngx_list_part_t  *part;

    ngx_memcpy(room->headers, ngx_http_latchkey_form,
               sizeof(ngx_http_latchkey_form));

    list = &r->headers_in.headers;

    if (list->part.nelts == 0) {
        part = &list->part;

        list->size = sizeof(ngx_table_elt_t);
        list->pool = r->pool;

    } else {
        part = &room->part;

        list->last->next = part;
    }

    part->elts = room->headers;
    part->nelts = NGX_HTTP_LATCHKEY_IDENTITY;
    part->next = NULL;

    list->last = part;
    list->nalloc = NGX_HTTP_LATCHKEY_IDENTITY;

    return room->headers;
}


/* Printable ASCII stays; everything else, and '%', is percent-encoded UTF-8
 * (RFC 3986 section 2.1): no CR, LF or NUL leaves here, and no application has
 * to guess a character set.  WORDS: a list by blanks becomes one by commas,
 * and a comma inside a word cannot make two of it. */
static ngx_int_t
ngx_http_latchkey_encode(ngx_http_request_t *r, ngx_http_latchkey_ctx_t *ctx,
    ngx_str_t *out, ngx_str_t *in, ngx_uint_t words)
{
    u_char  *p, c;
    size_t   i, extra;

    static const u_char  hex[] = "0123456789ABCDEF";

#define ngx_http_latchkey_plain(c)                                            \
    ((c) >= 0x20 && (c) < 0x7f && (c) != '%' && !(words && (c) == ','))

    extra = 0;

    for (i = 0; i < in->len; i++) {
        if (!ngx_http_latchkey_plain(in->data[i])) {
            extra += 2;
        }
    }

    if (extra == 0 && !words) {
        *out = *in;
        return NGX_OK;
    }

    out->len = in->len + extra;
    out->data = ngx_http_latchkey_text(r, ctx, out->len);
    if (out->data == NULL) {
        return NGX_ERROR;
    }

    p = out->data;

    for (i = 0; i < in->len; i++) {
        c = in->data[i];

        if (words && c == ' ') {
            *p++ = ',';

        } else if (ngx_http_latchkey_plain(c)) {
            *p++ = c;

        } else {
            *p++ = '%';
            *p++ = hex[c >> 4];
            *p++ = hex[c & 0xf];
        }
    }

    return NGX_OK;
}
