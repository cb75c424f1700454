/* SPDX-License-Identifier: Apache-2.0
 *
 * ngx_http_latchkey_sticky_state.c - the state file of a balancer: which of
 * its servers are being drained, and where their visitors go.
 *
 * Each worker looks once a second whether the file has changed, off the way of
 * requests, so that `latchkey node drain` needs no reload.  What cannot be read
 * or makes no sense is said once and changes nothing: the last good state
 * stays.  At the start it refuses the start, except that no file at all means
 * that no server is drained.
 *
 * Whose state is in force is told by a lock: a worker holds a shared one on the
 * file that it has read, so that `latchkey node drain` knows that its word was
 * heard before it takes the sessions away.
 */
#include "ngx_http_latchkey_sticky.h"
#include <sys/file.h>


#define NGX_HTTP_LATCHKEY_STATE_LOOK  1000


static lk_status ngx_http_latchkey_sticky_read_state(
    ngx_http_latchkey_sticky_conf_t *conf, ngx_http_upstream_rr_peers_t *peers,
    lk_note *note);
static ngx_uint_t ngx_http_latchkey_sticky_is_at(
    ngx_http_upstream_rr_peer_t *peer, const lk_node *node);
static ngx_uint_t ngx_http_latchkey_sticky_has(
    ngx_http_upstream_rr_peers_t *peers, const lk_node *node);
static const lk_node *ngx_http_latchkey_sticky_node(lk_nodes *nodes,
    ngx_http_upstream_rr_peer_t *peer);
static ngx_uint_t ngx_http_latchkey_sticky_leaves_none(lk_nodes *nodes,
    ngx_http_upstream_rr_peers_t *peers);
static void ngx_http_latchkey_sticky_stamp(
    ngx_http_latchkey_sticky_conf_t *conf, ngx_http_latchkey_stamp_t *stamp);
static void ngx_http_latchkey_sticky_hold(
    ngx_http_latchkey_sticky_conf_t *conf);
static void ngx_http_latchkey_sticky_look(ngx_event_t *ev);


/* At the start.  NGX_ERROR with the reason said. */
ngx_int_t
ngx_http_latchkey_sticky_load(ngx_conf_t *cf,
    ngx_http_latchkey_sticky_conf_t *conf, ngx_http_upstream_rr_peers_t *peers)
{
    lk_note  note;

    conf->nodes = ngx_pcalloc(cf->pool, sizeof(lk_nodes));
    conf->fresh = ngx_pcalloc(cf->pool, sizeof(lk_nodes));

    if (conf->nodes == NULL || conf->fresh == NULL) {
        return NGX_ERROR;
    }

    ngx_http_latchkey_sticky_stamp(conf, &conf->stamp);

    switch (ngx_http_latchkey_sticky_read_state(conf, peers, &note)) {

    case LK_OK:
    case LK_MISS:
        return NGX_OK;

    case LK_STALE:
    case LK_REFUSED:
    case LK_FULL:
    case LK_FAULT:
        break;
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "latchkey_sticky of upstream \"%V\": %s",
                       &conf->us->host, note.text);
    return NGX_ERROR;
}


/* What the file says becomes conf->nodes, if it is good. */
static lk_status
ngx_http_latchkey_sticky_read_state(ngx_http_latchkey_sticky_conf_t *conf,
    ngx_http_upstream_rr_peers_t *peers, lk_note *note)
{
    size_t      i;
    lk_nodes   *fresh;
    lk_status   status;

    fresh = conf->fresh;

    status = lk_nodes_read(lk_env_system(), (char *) conf->state.data, fresh,
                           note);
    if (status != LK_OK) {
        return status;
    }

    for (i = 0; i < fresh->n; i++) {

        if (!ngx_http_latchkey_sticky_has(peers, &fresh->all[i])) {
            lk_note_set(note, "%s: node %s is at %s, and no server of the "
                        "upstream is", conf->state.data, fresh->all[i].name,
                        fresh->all[i].address);
            return LK_REFUSED;
        }
    }

    if (ngx_http_latchkey_sticky_leaves_none(fresh, peers)) {
        lk_note_set(note, "%s: every server of the upstream is to be drained, "
                    "which leaves none for the visitors", conf->state.data);
        return LK_REFUSED;
    }

    conf->fresh = conf->nodes;
    conf->nodes = fresh;

    return LK_OK;
}


/* By its address, or as it is written in the configuration. */
static ngx_uint_t
ngx_http_latchkey_sticky_is_at(ngx_http_upstream_rr_peer_t *peer,
    const lk_node *node)
{
    lk_view  address;

    address = lk_view_of(node->address);

    return lk_view_equal(ngx_http_latchkey_view(&peer->name), address)
           || lk_view_equal(ngx_http_latchkey_view(&peer->server), address);
}


static ngx_uint_t
ngx_http_latchkey_sticky_has(ngx_http_upstream_rr_peers_t *peers,
    const lk_node *node)
{
    ngx_http_upstream_rr_peer_t  *peer;

    for ( /* void */ ; peers != NULL; peers = peers->next) {

        for (peer = peers->peer; peer != NULL; peer = peer->next) {

            if (ngx_http_latchkey_sticky_is_at(peer, node)) {
                return 1;
            }
        }
    }

    return 0;
}


static const lk_node *
ngx_http_latchkey_sticky_node(lk_nodes *nodes,
    ngx_http_upstream_rr_peer_t *peer)
{
    size_t  i;

    for (i = 0; i < nodes->n; i++) {

        if (ngx_http_latchkey_sticky_is_at(peer, &nodes->all[i])) {
            return &nodes->all[i];
        }
    }

    return NULL;
}


/* Servers that the file does not name are up. */
static ngx_uint_t
ngx_http_latchkey_sticky_leaves_none(lk_nodes *nodes,
    ngx_http_upstream_rr_peers_t *peers)
{
    const lk_node                *node;
    ngx_http_upstream_rr_peer_t  *peer;

    for ( /* void */ ; peers != NULL; peers = peers->next) {

        for (peer = peers->peer; peer != NULL; peer = peer->next) {

            node = ngx_http_latchkey_sticky_node(nodes, peer);

            if (node == NULL || !node->drains) {
                return 0;
            }
        }
    }

    return 1;
}


/* conf->nodes into the list of servers, once that is there. */
void
ngx_http_latchkey_sticky_apply(ngx_http_latchkey_sticky_conf_t *conf)
{
    ngx_uint_t                   i, k;
    const lk_node               *node, *other;
    ngx_http_latchkey_server_t  *servers;

    if (conf->nodes == NULL || conf->servers == NULL) {
        return;
    }

    servers = conf->servers->elts;
    conf->draining = 0;

    for (i = 0; i < conf->servers->nelts; i++) {
        node = ngx_http_latchkey_sticky_node(conf->nodes, servers[i].peer);

        servers[i].heir = NULL;
        servers[i].drains = node != NULL && node->drains;

        if (!servers[i].drains) {
            continue;
        }

        conf->draining++;

        for (k = 0; k < conf->servers->nelts && node->to[0] != '\0'; k++) {
            other = ngx_http_latchkey_sticky_node(conf->nodes,
                                                  servers[k].peer);

            if (other != NULL && ngx_strcmp(other->name, node->to) == 0) {
                servers[i].heir = &servers[k];
                break;
            }
        }
    }
}


static void
ngx_http_latchkey_sticky_stamp(ngx_http_latchkey_sticky_conf_t *conf,
    ngx_http_latchkey_stamp_t *stamp)
{
    ngx_file_info_t  info;

    ngx_memzero(stamp, sizeof(ngx_http_latchkey_stamp_t));

    if (ngx_file_info(conf->state.data, &info) == NGX_FILE_ERROR) {
        return;
    }

    stamp->changed = info.st_mtim;
    stamp->size = info.st_size;
    stamp->inode = info.st_ino;
}


/* The file is the one that was read, or the next look finds another. */
static void
ngx_http_latchkey_sticky_hold(ngx_http_latchkey_sticky_conf_t *conf)
{
    ngx_fd_t         fd;
    ngx_file_info_t  info;

    fd = ngx_open_file(conf->state.data, NGX_FILE_RDONLY|O_CLOEXEC,
                       NGX_FILE_OPEN, 0);

    if (fd != NGX_INVALID_FILE
        && (ngx_fd_info(fd, &info) == NGX_FILE_ERROR
            || info.st_ino != conf->stamp.inode
            || flock(fd, LOCK_SH|LOCK_NB) == -1))
    {
        ngx_close_file(fd);
        fd = NGX_INVALID_FILE;
    }

    if (conf->held != NGX_INVALID_FILE) {
        ngx_close_file(conf->held);
    }

    conf->held = fd;
}


/* The stamp is taken before the file is read: what changes in between has
 * another one the next time. */
static void
ngx_http_latchkey_sticky_look(ngx_event_t *ev)
{
    ngx_http_latchkey_sticky_conf_t  *conf = ev->data;

    lk_note                           note;
    ngx_http_latchkey_stamp_t         stamp;
    ngx_http_upstream_rr_peers_t     *peers;

    ngx_add_timer(ev, NGX_HTTP_LATCHKEY_STATE_LOOK);

    ngx_http_latchkey_sticky_stamp(conf, &stamp);

    if (ngx_memcmp(&stamp, &conf->stamp, sizeof(stamp)) == 0) {

        if (conf->held == NGX_INVALID_FILE && !conf->refused) {
            ngx_http_latchkey_sticky_hold(conf);
        }

        return;
    }

    conf->stamp = stamp;
    peers = conf->us->peer.data;

    conf->refused = ngx_http_latchkey_sticky_read_state(conf, peers, &note)
                    != LK_OK;

    if (conf->refused) {
        ngx_log_error(NGX_LOG_ERR, ev->log, 0,
                      "latchkey_sticky of upstream \"%V\": %s; what it said "
                      "before stays in force", &conf->us->host, note.text);
        return;
    }

    ngx_http_latchkey_sticky_apply(conf);
    ngx_http_latchkey_sticky_hold(conf);

    ngx_log_error(NGX_LOG_NOTICE, ev->log, 0,
                  "latchkey_sticky of upstream \"%V\": %V was read anew",
                  &conf->us->host, &conf->state);
}


ngx_int_t
ngx_http_latchkey_sticky_init_process(ngx_cycle_t *cycle)
{
    ngx_uint_t                         i;
    ngx_http_upstream_srv_conf_t     **uscfp;
    ngx_http_upstream_main_conf_t     *umcf;
    ngx_http_latchkey_sticky_conf_t   *conf;

    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    umcf = ngx_http_cycle_get_module_main_conf(cycle, ngx_http_upstream_module);
    if (umcf == NULL) {
        return NGX_OK;
    }

    uscfp = umcf->upstreams.elts;

    for (i = 0; i < umcf->upstreams.nelts; i++) {

        if (uscfp[i]->srv_conf == NULL) {
            continue;
        }

        conf = ngx_http_conf_upstream_srv_conf(uscfp[i],
                                              ngx_http_latchkey_sticky_module);

        if (conf->nodes == NULL) {
            continue;
        }

        conf->held = NGX_INVALID_FILE;
        ngx_http_latchkey_sticky_hold(conf);

        conf->timer.handler = ngx_http_latchkey_sticky_look;
        conf->timer.data = conf;
        conf->timer.log = cycle->log;
        conf->timer.cancelable = 1;

        ngx_add_timer(&conf->timer, NGX_HTTP_LATCHKEY_STATE_LOOK);
    }

    return NGX_OK;
}
