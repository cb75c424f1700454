/* SPDX-License-Identifier: Apache-2.0
 *
 * watch.c - waiting for events (XREAD BLOCK), on a connection of its own, and the clock of the server.
 *
 * A connection may die without a word. The server is asked to answer after WAIT_MS at the latest, so one that
 * has not done so a little later is gone.
 */
#include "store/redis/redis_inner.h"
#include <stdio.h>

#define VERIFY_EVERY_MS 1000 /* sentinel: is the primary still the primary? */

unsigned lk__redis_events_node(lk__redis *r, uint64_t *era)
{
    lk__redis_text key = lk__redis_event_key(r, "");
    unsigned node;

    pthread_mutex_lock(&r->lock);
    node = r->slots == NULL ? 0 : r->slots[lk__redis_slot_of(lk__redis_view(&key))];
    *era = node < r->nodes_n ? r->nodes[node].era : 0;
    pthread_mutex_unlock(&r->lock);
    return node;
}

static void stop_watching(lk__redis *r)
{
    lk__redis_link_close(r->watch);
    r->watch = NULL;
}

/* See that r->watch leads to where the events are now. */
static lk_status watch(lk__redis *r, int64_t until_ms)
{
    uint64_t era;
    unsigned node;

    if (r->config.kind == LK__REDIS_SENTINEL && lk__redis_now_ms() - r->verified_ms > VERIFY_EVERY_MS) {
        r->verified_ms = lk__redis_now_ms();
        lk__redis_sentinel_verify(r, until_ms);
    }
    node = lk__redis_events_node(r, &era);
    if (r->watch != NULL &&
        (r->watch_node != node || r->watch->era != era || lk__redis_link_is_stale(r->watch)))
        stop_watching(r);
    if (r->watch != NULL)
        return LK_OK;
    if (node == LK__REDIS_NODES_MAX)
        return LK_FAULT;
    r->watch_node = node;
    return lk__redis_connect(r, node, until_ms, &r->watch, NULL);
}

/* XREAD COUNT 1 BLOCK ms STREAMS key after-0 */
static lk_status block(lk__redis *r, uint64_t after, uint32_t wait_ms)
{
    lk__redis_text key = lk__redis_event_key(r, ""), ms = lk__redis_number(wait_ms), from;
    lk_view argv[8] = {LK_VIEW("XREAD"),    LK_VIEW("COUNT"),   LK_VIEW("1"),        LK_VIEW("BLOCK"),
                       lk__redis_view(&ms), LK_VIEW("STREAMS"), lk__redis_view(&key)};
    int64_t until_ms = lk__redis_now_ms() + wait_ms + r->config.deadline_ms;
    redisReply *reply;
    lk_status status;

    from.len = (size_t)snprintf((char *)from.bytes, sizeof(from.bytes), "%llu-0", (unsigned long long)after);
    argv[7] = lk__redis_view(&from);
    lk__redis_link_add(r->watch, argv, 8);
    status = lk__redis_link_flush(r->watch, until_ms);
    if (status == LK_OK)
        status = lk__redis_link_read(r->watch, until_ms, &reply);
    if (status != LK_OK)
        return LK_FAULT;
    if (reply->type == REDIS_REPLY_ERROR) {
        if (lk__redis_is_error(reply, "MOVED"))
            (void)lk__redis_moved(r, r->watch_node, reply->str);
        status = LK_FAULT;
    }
    freeReplyObject(reply);
    return status;
}

lk_status lk__redis_events_wait(lk_store *store, uint64_t after, uint32_t wait_ms)
{
    lk__redis *r = (lk__redis *)store;
    int64_t begun_ms = lk__redis_now_ms(), used_ms;
    lk_status status =
        watch(r, begun_ms + (wait_ms < r->config.deadline_ms ? wait_ms : r->config.deadline_ms));

    used_ms = lk__redis_now_ms() - begun_ms;
    if (status == LK_OK && used_ms < wait_ms)
        status = block(r, after, wait_ms - (uint32_t)used_ms);
    if (status != LK_OK)
        stop_watching(r);
    return status == LK_OK ? LK_OK : LK_FAULT;
}

lk_status lk__redis_time_ms(lk_store *store, int64_t *now_ms)
{
    lk__redis *r = (lk__redis *)store;
    const lk_view argv[1] = {LK_VIEW("TIME")};
    uint64_t era;
    lk__redis_ask ask = {.argv = argv, .argc = 1, .has_node = true, .node = lk__redis_events_node(r, &era)};
    int64_t seconds, micros;
    lk_status status = lk__redis_run(r, &ask, 1, lk__redis_until(r), LK__REDIS_TWICE, NULL);

    if (status == LK_OK && (ask.reply->type != REDIS_REPLY_ARRAY || ask.reply->elements != 2 ||
                            lk_parse_i64(lk__redis_bytes(ask.reply->element[0]), &seconds) != LK_OK ||
                            lk_parse_i64(lk__redis_bytes(ask.reply->element[1]), &micros) != LK_OK))
        status = LK_FAULT;
    if (status == LK_OK)
        *now_ms = seconds * 1000 + micros / 1000;
    lk__redis_asks_free(&ask, 1);
    return status;
}
