/* SPDX-License-Identifier: Apache-2.0
 *
 * ngx_http_latchkey_sticky.h - what the parts of the balancer share.
 */
#ifndef _NGX_HTTP_LATCHKEY_STICKY_H_INCLUDED_
#define _NGX_HTTP_LATCHKEY_STICKY_H_INCLUDED_


#include "ngx_http_latchkey.h"
#include <settings/nodes.h>


#define NGX_HTTP_LATCHKEY_VISITOR   8
#define NGX_HTTP_LATCHKEY_SERVER    16
#define NGX_HTTP_LATCHKEY_STICKY                                              \
    (NGX_HTTP_LATCHKEY_VISITOR + NGX_HTTP_LATCHKEY_SERVER)


typedef struct ngx_http_latchkey_server_s  ngx_http_latchkey_server_t;

struct ngx_http_latchkey_server_s {
    ngx_http_upstream_rr_peer_t     *peer;
    ngx_http_latchkey_server_t      *heir;       /* of its visitors, or NULL */
    ngx_uint_t                       drains;     /* takes nobody new */
    u_char                           name[NGX_HTTP_LATCHKEY_SERVER];
};


/* Which version of the state file it was; all zero: there was none. */
typedef struct {
    struct timespec                  changed;
    off_t                            size;
    ino_t                            inode;
} ngx_http_latchkey_stamp_t;


typedef struct {
    ngx_str_t                        cookie;
    ngx_str_t                        path;
    ngx_str_t                        domain;
    ngx_flag_t                       secure;
    ngx_array_t                     *servers;    /* once per worker */

    /* state=FILE, see ngx_http_latchkey_sticky_state.c */
    ngx_str_t                        state;
    ngx_http_upstream_srv_conf_t    *us;
    lk_nodes                        *nodes;      /* the last good ones */
    lk_nodes                        *fresh;      /* being read */
    ngx_http_latchkey_stamp_t        stamp;
    ngx_event_t                      timer;
    ngx_fd_t                         held;       /* see ..._hold() */
    ngx_uint_t                       refused;    /* what is there now is */
    ngx_uint_t                       draining;   /* servers that drain */
} ngx_http_latchkey_sticky_conf_t;


typedef struct {
    /* first: the functions of round robin take it for theirs */
    ngx_http_upstream_rr_peer_data_t   rrp;

    ngx_http_request_t                *request;
    ngx_http_latchkey_sticky_conf_t   *conf;
    ngx_table_elt_t                   *set_cookie;
    ngx_http_latchkey_server_t        *named;    /* by the cookie, or NULL */
    u_char                             visitor[NGX_HTTP_LATCHKEY_VISITOR];
} ngx_http_latchkey_sticky_t;


/* ngx_http_latchkey_sticky.c */
extern ngx_module_t  ngx_http_latchkey_sticky_module;

/* ngx_http_latchkey_sticky_cookie.c */
ngx_int_t ngx_http_latchkey_sticky_name_servers(ngx_http_request_t *r,
    ngx_http_latchkey_sticky_conf_t *conf,
    ngx_http_upstream_rr_peers_t *peers);
void ngx_http_latchkey_sticky_read(ngx_http_latchkey_sticky_t *s);
ngx_int_t ngx_http_latchkey_sticky_tell(ngx_http_latchkey_sticky_t *s);

/* ngx_http_latchkey_sticky_choose.c */
ngx_int_t ngx_http_latchkey_sticky_choose(ngx_peer_connection_t *pc,
    ngx_http_latchkey_sticky_t *s);
ngx_int_t ngx_http_latchkey_sticky_anybody(ngx_peer_connection_t *pc,
    ngx_http_latchkey_sticky_t *s);

/* ngx_http_latchkey_sticky_state.c */
ngx_int_t ngx_http_latchkey_sticky_load(ngx_conf_t *cf,
    ngx_http_latchkey_sticky_conf_t *conf, ngx_http_upstream_rr_peers_t *peers);
void ngx_http_latchkey_sticky_apply(ngx_http_latchkey_sticky_conf_t *conf);
ngx_int_t ngx_http_latchkey_sticky_init_process(ngx_cycle_t *cycle);


#endif /* _NGX_HTTP_LATCHKEY_STICKY_H_INCLUDED_ */
