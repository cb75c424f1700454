/* SPDX-License-Identifier: Apache-2.0
 *
 * ngx_http_latchkey_url.h - what the two files of the URL carrier share.
 */
#ifndef _NGX_HTTP_LATCHKEY_URL_H_INCLUDED_
#define _NGX_HTTP_LATCHKEY_URL_H_INCLUDED_


#include "ngx_http_latchkey.h"
#include <carrier/carrier.h>
#include <carrier/html.h>


typedef struct {
    ngx_flag_t                   enable;
} ngx_http_latchkey_url_loc_conf_t;


/* What the URL carrier knows of one request.  In the pool, and found again
 * through its cleanup: internal redirects wipe r->ctx. */
typedef struct {
    ngx_http_request_t          *request;
    ngx_str_t                    id;         /* that came in the path */
    lk_links                    *links;      /* NULL: links stay as they are */

    /* of a page that is rewritten */
    lk_html                      html;
    ngx_chain_t                 *busy;
    ngx_chain_t                 *free;

    unsigned                     rewrites:1;
} ngx_http_latchkey_url_ctx_t;


/* ngx_http_latchkey_url.c */
ngx_http_latchkey_url_ctx_t *ngx_http_latchkey_url_ctx(ngx_http_request_t *r);
ngx_http_latchkey_url_ctx_t *ngx_http_latchkey_url_need_ctx(
    ngx_http_request_t *r);
ngx_uint_t ngx_http_latchkey_url_is_on(ngx_http_request_t *r);
ngx_uint_t ngx_http_latchkey_url_has_cookie(ngx_http_request_t *r);

/* ngx_http_latchkey_url_filter.c */
void ngx_http_latchkey_url_init_filter(void);


#endif /* _NGX_HTTP_LATCHKEY_URL_H_INCLUDED_ */
