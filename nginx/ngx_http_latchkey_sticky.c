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


static char *ngx_http_latchkey_sticky(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static void *ngx_http_latchkey_sticky_create_conf(ngx_conf_t *cf);
static ngx_int_t ngx_http_latchkey_sticky_init(ngx_conf_t *cf,
    ngx_http_upstream_srv_conf_t *us);
static ngx_int_t ngx_http_latchkey_sticky_init_peer(ngx_http_request_t *r,
    ngx_http_upstream_srv_conf_t *us);
static ngx_int_t ngx_http_latchkey_sticky_get(ngx_peer_connection_t *pc,
    void *data);
static void ngx_http_latchkey_sticky_free(ngx_peer_connection_t *pc,
    void *data, ngx_uint_t state);
static ngx_uint_t ngx_http_latchkey_sticky_was_closed(
    ngx_peer_connection_t *pc, ngx_http_latchkey_sticky_t *s);
static void ngx_http_latchkey_sticky_forget(ngx_http_latchkey_sticky_t *s);


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
