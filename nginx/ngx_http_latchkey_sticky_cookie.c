/* SPDX-License-Identifier: Apache-2.0
 *
 * ngx_http_latchkey_sticky_cookie.c - the names of servers, and the cookie that
 * says which of them a visitor is with.
 */
#include "ngx_http_latchkey_sticky.h"
#include <carrier/carrier.h>
#include <crypto/mac.h>
#include <latchkey/base64url.h>


static void ngx_http_latchkey_sticky_visitor(u_char *visitor);
static ngx_uint_t ngx_http_latchkey_sticky_is_tls(ngx_http_request_t *r);


/* The names of the servers, of those for backup as well. */
ngx_int_t
ngx_http_latchkey_sticky_name_servers(ngx_http_request_t *r,
    ngx_http_latchkey_sticky_conf_t *conf, ngx_http_upstream_rr_peers_t *peers)
{
    lk_buf                          name;
    lk_view                         parts[2];
    uint8_t                         hash[LK_MAC_LEN];
    ngx_array_t                    *servers;
    const struct lk_mac            *mac;
    ngx_http_latchkey_server_t     *server;
    ngx_http_upstream_rr_peer_t    *peer;
    ngx_http_latchkey_main_conf_t  *lmcf;

    lmcf = ngx_http_get_module_main_conf(r, ngx_http_latchkey_module);

    mac = lmcf->ring != NULL ? lk_keyring_mac(lmcf->ring, LK_PURPOSE_NODE)
                             : NULL;

    servers = ngx_array_create(ngx_cycle->pool, 8,
                               sizeof(ngx_http_latchkey_server_t));

    if (mac == NULL || servers == NULL) {
        return NGX_ERROR;
    }

    for ( /* void */ ; peers != NULL; peers = peers->next) {

        for (peer = peers->peer; peer != NULL; peer = peer->next) {

            server = ngx_array_push(servers);
            if (server == NULL) {
                return NGX_ERROR;
            }

            parts[0] = lk_view_make("", 1);
            parts[1] = ngx_http_latchkey_view(&peer->name);

            if (lk_mac_run(mac, parts, 2, hash) != LK_OK) {
                return NGX_ERROR;
            }

            server->peer = peer;
            server->heir = NULL;
            server->drains = 0;
            name = lk_buf_over(server->name, NGX_HTTP_LATCHKEY_SERVER);

            lk_base64url_encode(lk_view_make(hash, 12), &name);
        }
    }

    conf->servers = servers;

    ngx_http_latchkey_sticky_apply(conf);

    return NGX_OK;
}


/* Who is asking, and whom the cookie names. */
void
ngx_http_latchkey_sticky_read(ngx_http_latchkey_sticky_t *s)
{
    lk_view                      value;
    ngx_uint_t                   i;
    lk_presented                 presented;
    ngx_http_latchkey_found_t    found;
    ngx_http_latchkey_server_t  *servers;

    if (ngx_http_latchkey_find(s->request, &found, &presented) != NGX_OK
        || lk_cookie_find(presented.cookies, presented.cookies_n,
                          ngx_http_latchkey_view(&s->conf->cookie), &value)
           != LK_OK
        || value.len != NGX_HTTP_LATCHKEY_STICKY
        || !lk_is_base64url(value))
    {
        ngx_http_latchkey_sticky_visitor(s->visitor);
        return;
    }

    ngx_memcpy(s->visitor, value.p, NGX_HTTP_LATCHKEY_VISITOR);

    servers = s->conf->servers->elts;

    /* Names are no secrets to whom they were given: an ordinary comparison. */

    for (i = 0; i < s->conf->servers->nelts; i++) {

        if (ngx_memcmp(servers[i].name, value.p + NGX_HTTP_LATCHKEY_VISITOR,
                       NGX_HTTP_LATCHKEY_SERVER)
            == 0)
        {
            s->named = &servers[i];
            return;
        }
    }
}


static void
ngx_http_latchkey_sticky_visitor(u_char *visitor)
{
    lk_buf    text;
    uint32_t  drawn[2];

    drawn[0] = (uint32_t) ngx_random();
    drawn[1] = (uint32_t) ngx_random();

    text = lk_buf_over(visitor, NGX_HTTP_LATCHKEY_VISITOR);

    lk_base64url_encode(lk_view_make((u_char *) drawn, 6), &text);
}


/* Tell the visitor whom to ask for next time, unless he knows. */
ngx_int_t
ngx_http_latchkey_sticky_tell(ngx_http_latchkey_sticky_t *s)
{
    lk_buf                            b;
    u_char                           *text;
    size_t                            cap;
    ngx_uint_t                        i;
    ngx_http_request_t               *r;
    ngx_http_latchkey_server_t       *servers;
    ngx_http_latchkey_sticky_conf_t  *conf;

    r = s->request;
    conf = s->conf;
    servers = conf->servers->elts;

    if (r != r->main || s->rrp.current == NULL
        || (s->named != NULL && s->named->peer == s->rrp.current
            && s->set_cookie == NULL))
    {
        return NGX_OK;
    }

    for (i = 0; servers[i].peer != s->rrp.current; i++) {
        if (i + 1 == conf->servers->nelts) {
            return NGX_OK;
        }
    }

    cap = conf->cookie.len + conf->path.len + conf->domain.len + 128;

    text = ngx_pnalloc(r->pool, cap);
    if (text == NULL) {
        return NGX_ERROR;
    }

    b = lk_buf_over(text, cap);

    lk_buf_add(&b, ngx_http_latchkey_view(&conf->cookie));
    lk_buf_add_byte(&b, '=');
    lk_buf_add(&b, lk_view_make(s->visitor, NGX_HTTP_LATCHKEY_VISITOR));
    lk_buf_add(&b, lk_view_make(servers[i].name, NGX_HTTP_LATCHKEY_SERVER));
    lk_buf_add_text(&b, "; Path=");
    lk_buf_add(&b, ngx_http_latchkey_view(&conf->path));

    if (conf->domain.len != 0) {
        lk_buf_add_text(&b, "; Domain=");
        lk_buf_add(&b, ngx_http_latchkey_view(&conf->domain));
    }

    if (conf->secure == 1
        || (conf->secure == NGX_CONF_UNSET && ngx_http_latchkey_sticky_is_tls(r)))
    {
        lk_buf_add_text(&b, "; Secure");
    }

    lk_buf_add_text(&b, "; HttpOnly; SameSite=Lax");

    /* another server is tried: the same field says so */

    if (s->set_cookie != NULL) {
        s->set_cookie->value.data = b.p;
        s->set_cookie->value.len = b.len;
        return NGX_OK;
    }

    s->set_cookie = ngx_http_latchkey_push_header(r, "Set-Cookie",
                                                  (char *) b.p, b.len);

    return s->set_cookie != NULL ? NGX_OK : NGX_ERROR;
}


static ngx_uint_t
ngx_http_latchkey_sticky_is_tls(ngx_http_request_t *r)
{
    ngx_http_latchkey_main_conf_t  *lmcf;

    lmcf = ngx_http_get_module_main_conf(r, ngx_http_latchkey_module);

    if (lmcf->settings.tls_proxy) {
        return 1;
    }

#if (NGX_HTTP_SSL)
    return r->connection->ssl != NULL;
#else
    return 0;
#endif
}
