/* SPDX-License-Identifier: Apache-2.0
 *
 * end.c - ending a session, and those it replaced.
 */
#include "store/redis/write.h"
#include <string.h>

static const lk_session_key no_session;

/* Look at KEY and at what it replaced, as long as there are sessions. Who a session belongs to and what it
 * replaced never changes, so what is found here is true when they are ended. */
static lk_status read_chain(lk__redis *r, const lk_session_key *key, int64_t until_ms, lk__redis_chain *chain)
{
    lk_session_key next = *key;

    chain->n = 0;
    while (chain->n < LK__REDIS_CHAIN_MAX && memcmp(&next, &no_session, sizeof(next)) != 0) {
        lk__redis_gets gets;
        lk_session s;
        lk_view value;
        unsigned i = chain->n;
        lk_status status;

        gets.n = 0;
        lk__redis_gets_add(r, &gets, &next);
        status = lk__redis_run(r, gets.asks, 1, until_ms, LK__REDIS_TWICE, NULL);
        if (status != LK_OK || gets.asks[0].reply->type == REDIS_REPLY_ERROR) {
            lk__redis_gets_free(&gets);
            return LK_FAULT;
        }
        value = lk__redis_bytes(gets.asks[0].reply);
        chain->at[i].key = next;
        chain->at[i].is_there = gets.asks[0].reply->type != REDIS_REPLY_NIL && !lk__redis_is_fence(value);
        chain->at[i].has_user = false;
        next = no_session;
        if (chain->at[i].is_there && lk__record_of(value, &chain->at[i].key, &s) == LK_OK) {
            next = s.previous;
            chain->at[i].has_user = s.user.len > 0;
            chain->at[i].user_key = lk__redis_user_key(r, s.realm, s.user);
        }
        lk__redis_gets_free(&gets);
        if (i > 0 && !chain->at[i].is_there)
            break;
        chain->n++;
    }
    return LK_OK;
}

static lk_status end_at_once(lk__redis *r, const lk__redis_chain *chain, lk_reason reason, int64_t fence_s,
                             int64_t until_ms)
{
    lk__redis_text stream = lk__redis_event_key(r, ""), counter = lk__redis_event_key(r, ":seq"), stamp,
                   fence, px = lk__redis_px(r->base.env, fence_s), keys[LK__REDIS_CHAIN_MAX],
                   ids[LK__REDIS_CHAIN_MAX];
    lk_view argv[5 + 4 * LK__REDIS_CHAIN_MAX], *args = argv + 2 + 2 * chain->n;
    lk__redis_ask ask = {
        .script = &lk__redis_lua_end, .argv = argv, .argc = 5 + 4 * chain->n, .keys_n = 2 + 2 * chain->n};
    bool is_kept;
    lk_status status = lk__redis_stamp(r->base.env, &stamp);

    if (status == LK_OK)
        status = lk__redis_fence_write(reason, fence_s, &fence);
    if (status != LK_OK)
        return status;
    argv[0] = lk__redis_view(&stream);
    argv[1] = lk__redis_view(&counter);
    args[0] = lk__redis_view(&stamp);
    args[1] = lk__redis_view(&fence);
    args[2] = lk__redis_view(&px);
    for (unsigned i = 0; i < chain->n; i++) {
        keys[i] = lk__redis_session_key(r, &chain->at[i].key);
        ids[i] = lk__redis_id(&chain->at[i].key);
        argv[2 + 2 * i] = lk__redis_view(&keys[i]);
        argv[3 + 2 * i] = chain->at[i].has_user ? lk__redis_view(&chain->at[i].user_key) : (lk_view){0};
        args[3 + 2 * i] = lk__redis_view(&ids[i]);
        args[4 + 2 * i] = chain->at[i].is_there ? LK_VIEW("y") : LK_VIEW("");
    }
    status = lk__redis_run(r, &ask, 1, until_ms, LK__REDIS_KEPT | LK__REDIS_TWICE, &is_kept);
    if (status == LK_OK)
        status = lk__redis_status(ask.reply);
    if (status == LK_OK && ask.reply->integer != 0)
        status = LK_STALE;
    else if (status == LK_OK && !is_kept) /* a failover could undo it: it is not acknowledged */
        status = LK_FAULT;
    lk__redis_asks_free(&ask, 1);
    return status;
}

lk_status lk__redis_destroy(lk_store *store, const lk_session_key *key, lk_reason reason, int64_t fence_s)
{
    lk__redis *r = (lk__redis *)store;
    int64_t until_ms = lk__redis_until(r);
    lk__redis_chain chain;
    lk_status status = LK_STALE;

    while (status == LK_STALE && lk__redis_now_ms() < until_ms) {
        status = read_chain(r, key, until_ms, &chain);
        if (status == LK_OK)
            status = r->slots != NULL ? lk__redis_steps_end(r, &chain, reason, fence_s, until_ms)
                                      : end_at_once(r, &chain, reason, fence_s, until_ms);
    }
    return status == LK_STALE ? LK_FAULT : status;
}
