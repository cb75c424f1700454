/* SPDX-License-Identifier: Apache-2.0
 *
 * nodes.c - the servers, and the connections to them that threads lend.
 *
 * A connection belongs to one thread from lending to giving back, so answers cannot get mixed up. One that
 * broke, or has answers left unread, is closed. A server that fails is left alone for a while, longer each
 * time: meanwhile everybody is told so at once, and when the time is over one thread tries, not all of them.
 */
#include "store/redis/redis_inner.h"
#include <errno.h>
#include <string.h>
#include <time.h>

#define BACKOFF_MIN_MS 50
#define BACKOFF_MAX_MS 2000
#define IDLE_MAX_MS                                                                                          \
    30000 /* what lay longer may have been forgotten by a firewall on the way, without a word */

int64_t lk__redis_backoff_ms(const lk_env *env, unsigned failures)
{
    int64_t ms = failures < 7 ? (int64_t)BACKOFF_MIN_MS << (failures > 0 ? failures - 1 : 0) : BACKOFF_MAX_MS;
    uint16_t dice = 0;

    if (ms > BACKOFF_MAX_MS)
        ms = BACKOFF_MAX_MS;
    /* Nodes that lost the same server at the same moment shall not come back at the same moment. */
    if (lk_random(env, &dice, sizeof(dice)) != LK_OK)
        dice = (uint16_t)(uintptr_t)&dice;
    return ms / 2 + ms / 2 * dice / 65536;
}

static void note_failure(lk__redis *r, lk__redis_node *node)
{
    node->failures++;
    node->retry_ms = lk__redis_now_ms() + lk__redis_backoff_ms(r->base.env, node->failures);
}

static void close_all(lk__redis_link *first)
{
    while (first != NULL) {
        lk__redis_link *next = first->next;

        lk__redis_link_close(first);
        first = next;
    }
}

unsigned lk__redis_node_at(lk__redis *r, const lk__redis_address *at)
{
    unsigned spare = LK__REDIS_NODES_MAX;

    for (unsigned i = 0; i < r->nodes_n; i++) {
        lk__redis_node *node = &r->nodes[i];

        if (node->at.port == at->port && strcmp(node->at.host, at->host) == 0)
            return i;
        if (node->lent == 0 && r->slots != NULL && memchr(r->slots, (int)i, LK__REDIS_SLOTS) == NULL)
            spare = i;
    }
    if (r->nodes_n < r->nodes_cap)
        spare = r->nodes_n++;
    if (spare == LK__REDIS_NODES_MAX)
        return spare;
    close_all(r->nodes[spare].idle);
    r->nodes[spare] = (lk__redis_node){.at = *at, .era = r->nodes[spare].era + 1};
    return spare;
}

/* A link that is idle and still open, or NULL. The caller holds the lock. */
static lk__redis_link *take_idle(lk__redis_node *node)
{
    lk__redis_link *link;

    while ((link = node->idle) != NULL) {
        node->idle = link->next;
        link->next = NULL;
        if (link->era == node->era && lk__redis_now_ms() - link->used_ms < IDLE_MAX_MS &&
            !lk__redis_link_is_stale(link))
            return link;
        lk__redis_link_close(link);
    }
    return NULL;
}

static struct timespec moment_of(int64_t at_ms)
{
    return (struct timespec){.tv_sec = at_ms / 1000, .tv_nsec = at_ms % 1000 * 1000000};
}

/* Get the right to use a link of NODE: *link, or, when that is NULL, to open one. The caller holds the lock.
 */
static lk_status take_turn(lk__redis *r, lk__redis_node *node, int64_t until_ms, lk__redis_link **link)
{
    struct timespec until = moment_of(until_ms);

    for (;;) {
        int64_t now_ms = lk__redis_now_ms();

        if (node->failures > 0 && now_ms < node->retry_ms)
            return LK_FAULT;
        *link = take_idle(node);
        if (*link != NULL || node->lent < LK__REDIS_LINKS_MAX)
            break;
        if (now_ms >= until_ms || pthread_cond_timedwait(&r->given_back, &r->lock, &until) == ETIMEDOUT)
            return LK_FAULT;
    }
    if (node->failures > 0) /* this thread tries; the others wait for what comes of it */
        node->retry_ms = until_ms;
    node->lent++;
    return LK_OK;
}

lk_status lk__redis_connect(lk__redis *r, unsigned number, int64_t until_ms, lk__redis_link **out,
                            lk_note *note)
{
    lk__redis_address at;
    uint64_t era;
    lk_status status;

    if (r->config.kind == LK__REDIS_SENTINEL)
        return lk__redis_sentinel_connect(r, until_ms, out, note);
    pthread_mutex_lock(&r->lock);
    at = r->nodes[number].at;
    era = r->nodes[number].era;
    pthread_mutex_unlock(&r->lock);
    status = lk__redis_link_open(r->base.env, &r->config, &at, 0, until_ms, out, note);
    if (status == LK_OK)
        (*out)->era = era;
    return status;
}

lk_status lk__redis_lend(lk__redis *r, unsigned number, int64_t until_ms, lk__redis_link **out, lk_note *note)
{
    lk__redis_node *node = &r->nodes[number];
    lk_status status;

    *out = NULL;
    pthread_mutex_lock(&r->lock);
    status = take_turn(r, node, until_ms, out);
    if (status != LK_OK)
        lk_note_set(note, "%s did not answer a moment ago", lk__redis_name(&node->at).text);
    pthread_mutex_unlock(&r->lock);
    if (status != LK_OK)
        return status;
    if (*out != NULL)
        return LK_OK;
    status = lk__redis_connect(r, number, until_ms, out, note);
    if (status == LK_OK)
        return LK_OK;
    pthread_mutex_lock(&r->lock);
    node->lent--;
    if (status != LK_FULL) /* which says nothing of the server */
        note_failure(r, node);
    pthread_cond_signal(&r->given_back);
    pthread_mutex_unlock(&r->lock);
    return status == LK_REFUSED || status == LK_FULL ? status : LK_FAULT;
}

void lk__redis_give_back(lk__redis *r, unsigned number, lk__redis_link *link)
{
    lk__redis_node *node = &r->nodes[number];
    lk__redis_link *over = NULL;

    pthread_mutex_lock(&r->lock);
    node->lent--;
    if (link->end == LK__REDIS_LATE) { /* who hangs here hangs on its other connections too */
        note_failure(r, node);
        over = node->idle;
        node->idle = NULL;
    } else if (link->end == LK__REDIS_OPEN) {
        node->failures = 0;
    }
    if (link->end == LK__REDIS_OPEN && link->awaited == 0 && link->era == node->era) {
        link->used_ms = lk__redis_now_ms();
        link->next = node->idle;
        node->idle = link;
        link = NULL;
    }
    pthread_cond_signal(&r->given_back);
    pthread_mutex_unlock(&r->lock);
    lk__redis_link_close(link);
    close_all(over);
}

void lk__redis_nodes_close(lk__redis *r)
{
    for (unsigned i = 0; i < r->nodes_n; i++)
        close_all(r->nodes[i].idle);
    r->nodes_n = 0;
}
