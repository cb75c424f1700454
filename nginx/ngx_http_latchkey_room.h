/* SPDX-License-Identifier: Apache-2.0
 *
 * ngx_http_latchkey_room.h - the memory of one request that went through a
 * gate: what is known about it, its identity headers and their texts, in one
 * piece.
 */
#ifndef _NGX_HTTP_LATCHKEY_ROOM_H_INCLUDED_
#define _NGX_HTTP_LATCHKEY_ROOM_H_INCLUDED_


#include "ngx_http_latchkey.h"


/* Texts of a user with names of usual length; longer ones go into the pool. */
#define NGX_HTTP_LATCHKEY_TEXTS  512


/* Not in the pool of the request: with what nginx itself keeps there, the
 * first block of 4 KiB is nearly full, and each request would take another one
 * from the system and give it back.  These are used again, the last one first,
 * while it is still in the cache of the processor. */
typedef struct ngx_http_latchkey_room_s  ngx_http_latchkey_room_t;

struct ngx_http_latchkey_room_s {
    ngx_http_latchkey_ctx_t      ctx;        /* first: it leads to the room */
    ngx_http_latchkey_room_t    *next;       /* while it is free */
    ngx_list_part_t              part;       /* in r->headers_in.headers */
    ngx_table_elt_t              headers[NGX_HTTP_LATCHKEY_IDENTITY];
    size_t                       used;       /* of texts */
    u_char                       texts[NGX_HTTP_LATCHKEY_TEXTS];
};


static ngx_inline ngx_http_latchkey_room_t *
ngx_http_latchkey_room(ngx_http_latchkey_ctx_t *ctx)
{
    return (ngx_http_latchkey_room_t *) ctx;
}


/* LEN bytes that live as long as the request. */
static ngx_inline u_char *
ngx_http_latchkey_text(ngx_http_request_t *r, ngx_http_latchkey_ctx_t *ctx,
    size_t len)
{
    u_char                    *p;
    ngx_http_latchkey_room_t  *room;

    room = ngx_http_latchkey_room(ctx);

    if (len > NGX_HTTP_LATCHKEY_TEXTS - room->used) {
        return ngx_pnalloc(r->pool, len);
    }

    p = room->texts + room->used;
    room->used += len;

    return p;
}


#endif /* _NGX_HTTP_LATCHKEY_ROOM_H_INCLUDED_ */
