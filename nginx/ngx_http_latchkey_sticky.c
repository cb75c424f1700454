/* SPDX-License-Identifier: Apache-2.0
 *
 * ngx_http_latchkey_sticky.c - `latchkey_sticky` in an upstream: a visitor
 * stays with the server that a cookie of his names.
 *
 *   cookie:  8 characters  the visitor, random
 *           16 characters  the server: 12 bytes of a keyed hash of its address
 *
 * Only who has the key can name a server, and the name says nothing of its
 * address.  A cookie that names none of the servers (forged, of another key,
 * of a server that was taken out) is no cookie: round robin chooses, with its
 * weights and its backup servers.  A server that is down, has failed too often
 * or is full is replaced by rendezvous hash over the visitor, so that its
 * visitors spread over all the others, each always to the same one; and the
 * cookie is written anew.  One that is being drained, by the state file, takes
 * nobody new and loses its visitors to its heir, or the same way.
 *
 * A kept connection that the server had closed says nothing of the server: a
 * reload closes all of them.  It is no failure, and the next attempt goes to
 * the same server again, down to a connection that is made anew.
 *
 * The list of servers, their state and the rest is nginx's round robin.
 */
#include "ngx_http_latchkey_sticky.h"
#include <carrier/carrier.h>
#include <crypto/mac.h>
#include <latchkey/base64url.h>


/* Tickets a server may hold in a rendezvous, for its weight. */
#define NGX_HTTP_LATCHKEY_TICKETS   64


typedef struct {
    /* first: the functions of round robin take it for theirs */
    ngx_http_upstream_rr_peer_data_t   rrp;

    ngx_http_request_t                *request;
    ngx_http_latchkey_sticky_conf_t   *conf;
    ngx_table_elt_t                   *set_cookie;
    ngx_http_latchkey_server_t        *named;    /* by the cookie, or NULL */
    u_char                             visitor[NGX_HTTP_LATCHKEY_VISITOR];
} ngx_http_latchkey_sticky_t;


static char *ngx_http_latchkey_sticky(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static void *ngx_http_latchkey_sticky_create_conf(ngx_conf_t *cf);
static ngx_int_t ngx_http_latchkey_sticky_init(ngx_conf_t *cf,
    ngx_http_upstream_srv_conf_t *us);
static ngx_int_t ngx_http_latchkey_sticky_init_peer(ngx_http_request_t *r,
    ngx_http_upstream_srv_conf_t *us);
static ngx_int_t ngx_http_latchkey_sticky_name_servers(ngx_http_request_t *r,
    ngx_http_latchkey_sticky_conf_t *conf,
    ngx_http_upstream_rr_peers_t *peers);
static void ngx_http_latchkey_sticky_read(ngx_http_latchkey_sticky_t *s);
static void ngx_http_latchkey_sticky_visitor(u_char *visitor);
static ngx_int_t ngx_http_latchkey_sticky_get(ngx_peer_connection_t *pc,
    void *data);
static void ngx_http_latchkey_sticky_free(ngx_peer_connection_t *pc,
    void *data, ngx_uint_t state);
static ngx_uint_t ngx_http_latchkey_sticky_was_closed(
    ngx_peer_connection_t *pc, ngx_http_latchkey_sticky_t *s);
static void ngx_http_latchkey_sticky_forget(ngx_http_latchkey_sticky_t *s);
static ngx_int_t ngx_http_latchkey_sticky_choose(ngx_peer_connection_t *pc,
    ngx_http_latchkey_sticky_t *s);
static ngx_int_t ngx_http_latchkey_sticky_anybody(ngx_peer_connection_t *pc,
    ngx_http_latchkey_sticky_t *s);
static void ngx_http_latchkey_sticky_avoid(ngx_http_latchkey_sticky_t *s);
static ngx_uint_t ngx_http_latchkey_sticky_drains(
    ngx_http_latchkey_sticky_conf_t *conf, ngx_http_upstream_rr_peer_t *peer);
static ngx_http_upstream_rr_peer_t *ngx_http_latchkey_sticky_named(
    ngx_http_latchkey_sticky_t *s, ngx_uint_t *place);
static ngx_http_upstream_rr_peer_t *ngx_http_latchkey_sticky_another(
    ngx_http_latchkey_sticky_t *s, ngx_uint_t *place);
static ngx_uint_t ngx_http_latchkey_sticky_is_good(
    ngx_http_latchkey_sticky_t *s, ngx_http_upstream_rr_peer_t *peer,
    ngx_uint_t place);
static void ngx_http_latchkey_sticky_use(ngx_peer_connection_t *pc,
    ngx_http_latchkey_sticky_t *s, ngx_http_upstream_rr_peer_t *peer,
    ngx_uint_t place);
static ngx_int_t ngx_http_latchkey_sticky_tell(ngx_http_latchkey_sticky_t *s);
static ngx_uint_t ngx_http_latchkey_sticky_is_tls(ngx_http_request_t *r);


static ngx_command_t  ngx_http_latchkey_sticky_commands[] = {

    { ngx_string("latchkey_sticky"),
      NGX_HTTP_UPS_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE1234|NGX_CONF_TAKE5,
      ngx_http_latchkey_sticky,
      NGX_HTTP_SRV_CONF_OFFSET,
      0,
      NULL },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_latchkey_sticky_module_ctx = {
    NULL,                                  /* preconfiguration */
    NULL,                                  /* postconfiguration */

    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */

    ngx_http_latchkey_sticky_create_conf,  /* create server configuration */
    NULL,                                  /* merge server configuration */

    NULL,                                  /* create location configuration */
    NULL                                   /* merge location configuration */
};


ngx_module_t  ngx_http_latchkey_sticky_module = {
    NGX_MODULE_V1,
    &ngx_http_latchkey_sticky_module_ctx,  /* module context */
    ngx_http_latchkey_sticky_commands,     /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    NULL,                                  /* init module */
    ngx_http_latchkey_sticky_init_process, /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    NULL,                                  /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


/* latchkey_sticky [cookie=NAME] [path=PATH] [domain=DOMAIN] [secure=on|off]
 *                 [state=FILE] */
static char *
ngx_http_latchkey_sticky(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_latchkey_sticky_conf_t  *scf = conf;

    size_t                            len;
    ngx_str_t                        *value, *into;
    ngx_uint_t                        i;
    ngx_http_upstream_srv_conf_t     *uscf;
    ngx_http_latchkey_main_conf_t    *lmcf;

    uscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_upstream_module);
    lmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_latchkey_module);

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strcmp(value[i].data, "secure=on") == 0) {
            scf->secure = 1;
            continue;
        }

        if (ngx_strcmp(value[i].data, "secure=off") == 0) {
            scf->secure = 0;
            continue;
        }

        if (ngx_strncmp(value[i].data, "cookie=", 7) == 0) {
            into = &scf->cookie;
            len = 7;

        } else if (ngx_strncmp(value[i].data, "path=/", 6) == 0) {
            into = &scf->path;
            len = 5;

        } else if (ngx_strncmp(value[i].data, "domain=", 7) == 0) {
            into = &scf->domain;
            len = 7;

        } else if (ngx_strncmp(value[i].data, "state=", 6) == 0) {
            into = &scf->state;
            len = 6;

        } else {
            len = 0;
            into = NULL;
        }

        if (into == NULL || value[i].len == len
            || strpbrk((char *) value[i].data + len, "=;, \t\"\\") != NULL)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"%V\": latchkey_sticky takes cookie=NAME, "
                               "path=/PATH, domain=DOMAIN, secure=on|off and "
                               "state=FILE",
                               &value[i]);
            return NGX_CONF_ERROR;
        }

        into->data = value[i].data + len;
        into->len = value[i].len - len;
    }

    if (scf->state.len != 0
        && ngx_conf_full_name(cf->cycle, &scf->state, 1) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (uscf->peer.init_upstream != NULL) {
        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "load balancing method redefined");
    }

    uscf->peer.init_upstream = ngx_http_latchkey_sticky_init;

    uscf->flags = NGX_HTTP_UPSTREAM_CREATE
                  |NGX_HTTP_UPSTREAM_WEIGHT
                  |NGX_HTTP_UPSTREAM_MAX_CONNS
                  |NGX_HTTP_UPSTREAM_MAX_FAILS
                  |NGX_HTTP_UPSTREAM_FAIL_TIMEOUT
                  |NGX_HTTP_UPSTREAM_DOWN
                  |NGX_HTTP_UPSTREAM_BACKUP;

    lmcf->sticky = 1;

    return NGX_CONF_OK;
}


static void *
ngx_http_latchkey_sticky_create_conf(ngx_conf_t *cf)
{
    ngx_http_latchkey_sticky_conf_t  *scf;

    scf = ngx_pcalloc(cf->pool, sizeof(ngx_http_latchkey_sticky_conf_t));
    if (scf == NULL) {
        return NULL;
    }

    ngx_str_set(&scf->cookie, "latchkey-node");
    ngx_str_set(&scf->path, "/");
    scf->secure = NGX_CONF_UNSET;          /* as the request came */

    return scf;
}


static ngx_int_t
ngx_http_latchkey_sticky_init(ngx_conf_t *cf, ngx_http_upstream_srv_conf_t *us)
{
    ngx_http_latchkey_sticky_conf_t  *scf;

    if (ngx_http_upstream_init_round_robin(cf, us) != NGX_OK) {
        return NGX_ERROR;
    }

    us->peer.init = ngx_http_latchkey_sticky_init_peer;

    scf = ngx_http_conf_upstream_srv_conf(us, ngx_http_latchkey_sticky_module);
    scf->us = us;

    return scf->state.len == 0
           ? NGX_OK : ngx_http_latchkey_sticky_load(cf, scf, us->peer.data);
}


static ngx_int_t
ngx_http_latchkey_sticky_init_peer(ngx_http_request_t *r,
    ngx_http_upstream_srv_conf_t *us)
{
    ngx_http_latchkey_sticky_t  *s;

    s = ngx_pcalloc(r->pool, sizeof(ngx_http_latchkey_sticky_t));
    if (s == NULL) {
        return NGX_ERROR;
    }

    r->upstream->peer.data = &s->rrp;

    if (ngx_http_upstream_init_round_robin_peer(r, us) != NGX_OK) {
        return NGX_ERROR;
    }

    r->upstream->peer.get = ngx_http_latchkey_sticky_get;
    r->upstream->peer.free = ngx_http_latchkey_sticky_free;

    s->request = r;
    s->conf = ngx_http_conf_upstream_srv_conf(us,
                                              ngx_http_latchkey_sticky_module);

    /* the list does not change while the configuration lives */

    if (s->conf->servers == NULL
        && ngx_http_latchkey_sticky_name_servers(r, s->conf, s->rrp.peers)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_latchkey_sticky_read(s);

    return NGX_OK;
}


/* The names of the servers, of those for backup as well. */
static ngx_int_t
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
static void
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


static ngx_int_t
ngx_http_latchkey_sticky_get(ngx_peer_connection_t *pc, void *data)
{
    ngx_http_latchkey_sticky_t  *s = data;

    ngx_int_t                    rc;

    rc = s->named != NULL ? ngx_http_latchkey_sticky_choose(pc, s)
                          : NGX_DECLINED;

    if (rc == NGX_DECLINED) {

        rc = ngx_http_latchkey_sticky_anybody(pc, s);

        if (rc != NGX_OK && rc != NGX_DONE) {
            return rc;
        }
    }

    return ngx_http_latchkey_sticky_tell(s) == NGX_OK ? rc : NGX_ERROR;
}


static void
ngx_http_latchkey_sticky_free(ngx_peer_connection_t *pc, void *data,
    ngx_uint_t state)
{
    ngx_http_latchkey_sticky_t  *s = data;

    if ((state & NGX_PEER_FAILED)
        && ngx_http_latchkey_sticky_was_closed(pc, s))
    {
        ngx_http_latchkey_sticky_forget(s);
        state &= ~(ngx_uint_t) NGX_PEER_FAILED;
    }

    ngx_http_upstream_free_round_robin_peer(pc, &s->rrp, state);
}


/* A kept connection, and it ended before the first byte of an answer; not by
 * our own patience, which is how a server that hangs is found out. */
static ngx_uint_t
ngx_http_latchkey_sticky_was_closed(ngx_peer_connection_t *pc,
    ngx_http_latchkey_sticky_t *s)
{
    ngx_connection_t     *c;
    ngx_http_upstream_t  *u;

    c = pc->connection;
    u = s->request->upstream;

    return pc->cached && c != NULL
           && !c->read->timedout && !c->write->timedout
           && u->headers_in.status_n == 0
           && u->buffer.pos == u->buffer.last;
}


/* That it was tried.  nginx allows one attempt more for a kept connection, so
 * this comes to an end when there are none left. */
static void
ngx_http_latchkey_sticky_forget(ngx_http_latchkey_sticky_t *s)
{
    ngx_uint_t                    place;
    ngx_http_upstream_rr_peer_t  *peer;

    place = 0;

    for (peer = s->rrp.peers->peer; peer != NULL; peer = peer->next, place++) {

        if (peer == s->rrp.current) {
            s->rrp.tried[place / (8 * sizeof(uintptr_t))]
                &= ~((uintptr_t) 1 << place % (8 * sizeof(uintptr_t)));
            return;
        }
    }
}


/* Somebody new, or no server is left that can be had: then the ones for backup
 * have their turn, for which round robin forgets who is to be avoided. */
static ngx_int_t
ngx_http_latchkey_sticky_anybody(ngx_peer_connection_t *pc,
    ngx_http_latchkey_sticky_t *s)
{
    ngx_int_t                      rc;
    ngx_http_upstream_rr_peer_t   *peer;
    ngx_http_upstream_rr_peers_t  *peers;

    if (s->conf->draining == 0) {
        return ngx_http_upstream_get_round_robin_peer(pc, &s->rrp);
    }

    ngx_http_latchkey_sticky_avoid(s);

    for ( ;; ) {
        rc = ngx_http_upstream_get_round_robin_peer(pc, &s->rrp);
        peer = s->rrp.current;
        peers = s->rrp.peers;

        if (rc != NGX_OK || peers->single
            || !ngx_http_latchkey_sticky_drains(s->conf, peer))
        {
            return rc;
        }

        /* it was noted as tried, so it is not chosen again */

        ngx_http_upstream_rr_peers_rlock(peers);
        ngx_http_upstream_rr_peer_lock(peers, peer);

        peer->conns--;

        ngx_http_upstream_rr_peer_unlock(peers, peer);
        ngx_http_upstream_rr_peers_unlock(peers);
    }
}


/* For round robin, who is tried already is not to be had. */
static void
ngx_http_latchkey_sticky_avoid(ngx_http_latchkey_sticky_t *s)
{
    ngx_uint_t                     place;
    ngx_http_upstream_rr_peer_t   *peer;

    place = 0;

    for (peer = s->rrp.peers->peer; peer != NULL; peer = peer->next, place++) {

        if (ngx_http_latchkey_sticky_drains(s->conf, peer)) {
            s->rrp.tried[place / (8 * sizeof(uintptr_t))]
                |= (uintptr_t) 1 << place % (8 * sizeof(uintptr_t));
        }
    }
}


static ngx_uint_t
ngx_http_latchkey_sticky_drains(ngx_http_latchkey_sticky_conf_t *conf,
    ngx_http_upstream_rr_peer_t *peer)
{
    ngx_uint_t                   i;
    ngx_http_latchkey_server_t  *servers;

    if (conf->draining == 0) {
        return 0;
    }

    servers = conf->servers->elts;

    for (i = 0; i < conf->servers->nelts; i++) {

        if (servers[i].peer == peer) {
            return servers[i].drains;
        }
    }

    return 0;
}


/* The server that the cookie names, or another in its place.  NGX_DECLINED
 * when there is none. */
static ngx_int_t
ngx_http_latchkey_sticky_choose(ngx_peer_connection_t *pc,
    ngx_http_latchkey_sticky_t *s)
{
    ngx_uint_t                      place;
    ngx_http_upstream_rr_peer_t    *chosen;
    ngx_http_upstream_rr_peers_t   *peers;

    peers = s->rrp.peers;

    if (peers->single) {
        return NGX_DECLINED;
    }

    ngx_http_upstream_rr_peers_wlock(peers);

    place = 0;
    chosen = ngx_http_latchkey_sticky_named(s, &place);

    if (chosen == NULL) {
        chosen = ngx_http_latchkey_sticky_another(s, &place);
    }

    if (chosen != NULL) {
        ngx_http_latchkey_sticky_use(pc, s, chosen, place);
    }

    ngx_http_upstream_rr_peers_unlock(peers);

    return chosen != NULL ? NGX_OK : NGX_DECLINED;
}


/* That server, or the heir of one that drains, if it can be had. */
static ngx_http_upstream_rr_peer_t *
ngx_http_latchkey_sticky_named(ngx_http_latchkey_sticky_t *s,
    ngx_uint_t *place)
{
    ngx_uint_t                    at;
    ngx_http_latchkey_server_t   *wanted;
    ngx_http_upstream_rr_peer_t  *peer;

    wanted = s->named->drains ? s->named->heir : s->named;

    if (wanted == NULL) {
        return NULL;
    }

    at = 0;

    for (peer = s->rrp.peers->peer; peer != NULL; peer = peer->next, at++) {

        if (peer == wanted->peer) {
            *place = at;

            return ngx_http_latchkey_sticky_is_good(s, peer, at) ? peer : NULL;
        }
    }

    return NULL;
}


/* Every server draws as many tickets as its weight is, out of the visitor and
 * its own address: the highest wins.  Who was with another server before has
 * drawn the same tickets, so nobody else moves when one server goes. */
static ngx_http_upstream_rr_peer_t *
ngx_http_latchkey_sticky_another(ngx_http_latchkey_sticky_t *s,
    ngx_uint_t *place)
{
    u_char                        drawn[NGX_HTTP_LATCHKEY_VISITOR + 8];
    uint32_t                      ticket, best, salt;
    ngx_uint_t                    i, n, at;
    ngx_http_upstream_rr_peer_t  *peer, *chosen;

    chosen = NULL;
    best = 0;
    at = 0;

    ngx_memcpy(drawn, s->visitor, NGX_HTTP_LATCHKEY_VISITOR);

    for (peer = s->rrp.peers->peer; peer != NULL; peer = peer->next, at++) {

        if (!ngx_http_latchkey_sticky_is_good(s, peer, at)) {
            continue;
        }

        salt = ngx_murmur_hash2(peer->name.data, peer->name.len);
        n = ngx_min((ngx_uint_t) peer->weight, NGX_HTTP_LATCHKEY_TICKETS);

        ngx_memcpy(drawn + NGX_HTTP_LATCHKEY_VISITOR, &salt, 4);

        for (i = 0; i < n; i++) {
            salt = (uint32_t) i;
            ngx_memcpy(drawn + NGX_HTTP_LATCHKEY_VISITOR + 4, &salt, 4);

            ticket = ngx_murmur_hash2(drawn, sizeof(drawn));

            if (chosen == NULL || ticket > best) {
                chosen = peer;
                best = ticket;
                *place = at;
            }
        }
    }

    return chosen;
}


/* As nginx's own methods judge: not tried yet, not down, has not failed too
 * often of late, and not full; and not being drained. */
static ngx_uint_t
ngx_http_latchkey_sticky_is_good(ngx_http_latchkey_sticky_t *s,
    ngx_http_upstream_rr_peer_t *peer, ngx_uint_t place)
{
    time_t     now;
    uintptr_t  bit;

    now = ngx_time();
    bit = (uintptr_t) 1 << place % (8 * sizeof(uintptr_t));

    if ((s->rrp.tried[place / (8 * sizeof(uintptr_t))] & bit) != 0
        || peer->down || ngx_http_latchkey_sticky_drains(s->conf, peer))
    {
        return 0;
    }

    if (peer->max_fails != 0 && peer->fails >= peer->max_fails
        && now - peer->checked <= peer->fail_timeout)
    {
        return 0;
    }

    return peer->max_conns == 0 || peer->conns < peer->max_conns;
}


static void
ngx_http_latchkey_sticky_use(ngx_peer_connection_t *pc,
    ngx_http_latchkey_sticky_t *s, ngx_http_upstream_rr_peer_t *peer,
    ngx_uint_t place)
{
    time_t  now;

    now = ngx_time();

    s->rrp.current = peer;
    s->rrp.tried[place / (8 * sizeof(uintptr_t))]
        |= (uintptr_t) 1 << place % (8 * sizeof(uintptr_t));

    peer->conns++;

    if (now - peer->checked > peer->fail_timeout) {
        peer->checked = now;
    }

    pc->cached = 0;
    pc->connection = NULL;
    pc->sockaddr = peer->sockaddr;
    pc->socklen = peer->socklen;
    pc->name = &peer->name;
}


/* Tell the visitor whom to ask for next time, unless he knows. */
static ngx_int_t
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
