/* SPDX-License-Identifier: Apache-2.0
 *
 * cluster.c - which node of a cluster has which slots: CLUSTER SLOTS of any node that answers, and what MOVED
 * and ASK say on the way.
 */
#include "store/redis/redis_inner.h"
#include <stdlib.h>
#include <string.h>

#define FETCH_EVERY_MS 100 /* a map that was fetched a moment ago is not fetched again */
#define ASK_MIN_MS 20

/* A node as a server names it. An empty host means: the one that you are talking to. */
static lk_status read_node(const redisReply *host, long long port, const lk__redis_address *from,
                           lk__redis_address *out)
{
    lk_view name = lk__redis_bytes(host);

    if (name.len >= sizeof(out->host) || port < 1 || port > 65535)
        return LK_FAULT;
    *out = *from;
    out->port = (uint16_t)port;
    if (name.len > 0) {
        memcpy(out->host, name.p, name.len);
        out->host[name.len] = '\0';
    }
    return LK_OK;
}

/* One range: first, last, [host, port, ...] of the primary, then its replicas. The caller holds the lock. */
static lk_status take_range(lk__redis *r, const redisReply *range, const lk__redis_address *from)
{
    const redisReply *primary;
    lk__redis_address at;
    unsigned node;

    if (range->type != REDIS_REPLY_ARRAY || range->elements < 3)
        return LK_FAULT;
    primary = range->element[2];
    if (range->element[0]->type != REDIS_REPLY_INTEGER || range->element[1]->type != REDIS_REPLY_INTEGER ||
        primary->type != REDIS_REPLY_ARRAY || primary->elements < 2 ||
        read_node(primary->element[0], primary->element[1]->integer, from, &at) != LK_OK)
        return LK_FAULT;
    node = lk__redis_node_at(r, &at);
    if (node == LK__REDIS_NODES_MAX || range->element[0]->integer < 0 ||
        range->element[1]->integer >= LK__REDIS_SLOTS)
        return LK_FAULT;
    for (long long slot = range->element[0]->integer; slot <= range->element[1]->integer; slot++)
        r->slots[slot] = (uint8_t)node;
    return LK_OK;
}

static lk_status take_map(lk__redis *r, const redisReply *reply, const lk__redis_address *from, lk_note *note)
{
    lk_status status = LK_OK;

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements == 0) {
        lk_note_set(note, "%s serves no slots: the cluster is not set up", lk__redis_name(from).text);
        return LK_FAULT;
    }
    pthread_mutex_lock(&r->lock);
    for (size_t i = 0; i < reply->elements && status == LK_OK; i++)
        status = take_range(r, reply->element[i], from);
    atomic_store(&r->wants_map, false);
    r->asked_ms = lk__redis_now_ms();
    pthread_mutex_unlock(&r->lock);
    return status;
}

/* Fetch the map from the server at FROM. LK_OK; LK_REFUSED: no cluster, or no way in; LK_FULL: memory is
 * short; LK_FAULT. */
static lk_status fetch_from(lk__redis *r, const lk__redis_address *from, int64_t until_ms, lk_note *note)
{
    lk__redis_link *link;
    redisReply *reply = NULL;
    bool is_short;
    lk_status status = lk__redis_link_open(r->base.env, &r->config, from, 0, until_ms, &link, note);

    if (status != LK_OK)
        return status;
    lk__redis_link_add_words(link, "CLUSTER SLOTS");
    status = lk__redis_link_flush(link, until_ms);
    if (status == LK_OK)
        status = lk__redis_link_read(link, until_ms, &reply);
    is_short = link->end == LK__REDIS_SHORT;
    lk__redis_link_close(link);
    if (is_short)
        return LK_FULL;
    if (status != LK_OK) {
        lk_note_set(note, "%s does not answer in time", lk__redis_name(from).text);
        return LK_FAULT;
    }
    if (reply->type == REDIS_REPLY_ERROR) {
        status = lk__redis_judge(reply, lk__redis_name(from).text, note);
        if (strstr(reply->str, "cluster support disabled") != NULL)
            status = LK_REFUSED;
    } else {
        status = take_map(r, reply, from, note);
    }
    freeReplyObject(reply);
    return status;
}

/* The servers to ask: the nodes that are known, newest knowledge first, then those of the URL. False past the
 * end. */
static bool nth_source(lk__redis *r, unsigned n, lk__redis_address *out, bool *is_down)
{
    bool is_one = true;

    *is_down = false;
    pthread_mutex_lock(&r->lock);
    if (n < r->nodes_n) {
        *out = r->nodes[n].at;
        *is_down = r->nodes[n].failures > 0;
    } else if (n - r->nodes_n < r->config.seeds_n) {
        *out = r->config.seeds[n - r->nodes_n];
    } else {
        is_one = false;
    }
    pthread_mutex_unlock(&r->lock);
    return is_one;
}

lk_status lk__redis_map_fetch(lk__redis *r, int64_t until_ms, lk_note *note)
{
    lk_status status = LK_FAULT;
    lk__redis_address from;
    bool is_down;

    for (unsigned n = 0; nth_source(r, n, &from, &is_down); n++) {
        int64_t now_ms = lk__redis_now_ms(), share_ms = (until_ms - now_ms) / 3;

        if (is_down)
            continue;
        if (now_ms >= until_ms)
            break;
        status = fetch_from(r, &from, now_ms + (share_ms > ASK_MIN_MS ? share_ms : ASK_MIN_MS), note);
        if (status != LK_FAULT)
            return status;
    }
    return status;
}

void lk__redis_map_refresh(lk__redis *r, int64_t until_ms)
{
    bool is_due;

    pthread_mutex_lock(&r->lock);
    is_due = lk__redis_now_ms() - r->asked_ms >= FETCH_EVERY_MS;
    if (is_due)
        r->asked_ms = lk__redis_now_ms(); /* others use the map as it is meanwhile */
    pthread_mutex_unlock(&r->lock);
    if (is_due)
        (void)!lk__redis_map_fetch(r, until_ms, NULL);
}

/* "MOVED 3999 127.0.0.1:6381", "ASK 3999 :6381" */
static lk_status read_redirection(const char *error, const lk__redis_address *from, unsigned *slot,
                                  lk__redis_address *out)
{
    lk_view rest = lk_view_of(error), word;
    int64_t n, port;
    size_t colon;

    if (!lk_words_next(&rest, &word) || !lk_words_next(&rest, &word) || lk_parse_i64(word, &n) != LK_OK ||
        n >= LK__REDIS_SLOTS || !lk_words_next(&rest, &word))
        return LK_FAULT;
    *slot = (unsigned)n;
    colon = word.len;
    while (colon > 0 && word.p[colon - 1] != ':')
        colon--;
    if (colon == 0 || colon > sizeof(out->host) ||
        lk_parse_i64(lk_view_part(word, colon, word.len), &port) != LK_OK || port < 1 || port > 65535)
        return LK_FAULT;
    *out = *from;
    out->port = (uint16_t)port;
    if (colon > 1) {
        memcpy(out->host, word.p, colon - 1);
        out->host[colon - 1] = '\0';
    }
    return LK_OK;
}

unsigned lk__redis_moved(lk__redis *r, unsigned from, const char *error)
{
    lk__redis_address at;
    unsigned slot, node = LK__REDIS_NODES_MAX;

    pthread_mutex_lock(&r->lock);
    if (r->slots != NULL && read_redirection(error, &r->nodes[from].at, &slot, &at) == LK_OK) {
        node = lk__redis_node_at(r, &at);
        if (node != LK__REDIS_NODES_MAX && error[0] == 'M') {
            r->slots[slot] = (uint8_t)node;
            atomic_store(&r->wants_map, true);
        }
    }
    pthread_mutex_unlock(&r->lock);
    return node;
}

bool lk__redis_node_is_used(lk__redis *r, unsigned node)
{
    bool is_used;

    pthread_mutex_lock(&r->lock);
    is_used = node < r->nodes_n && (r->slots == NULL || memchr(r->slots, (int)node, LK__REDIS_SLOTS) != NULL);
    pthread_mutex_unlock(&r->lock);
    return is_used;
}
