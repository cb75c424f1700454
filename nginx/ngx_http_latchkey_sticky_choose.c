/* SPDX-License-Identifier: Apache-2.0
 *
 * ngx_http_latchkey_sticky_choose.c - which server is asked: the one that the
 * cookie names, its heir, another by rendezvous hash, or anybody.
 */
#include "ngx_http_latchkey_sticky.h"


/* Tickets a server may hold in a rendezvous, for its weight. */
#define NGX_HTTP_LATCHKEY_TICKETS   64


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


/* Somebody new, or no server is left that can be had: then the ones for backup
 * have their turn, for which round robin forgets who is to be avoided. */
ngx_int_t
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
ngx_int_t
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
