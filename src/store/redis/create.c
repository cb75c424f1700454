/* SPDX-License-Identifier: Apache-2.0
 *
 * write.c - what writes to a redis store. Records are judged and made here, by the rules of all stores; what
 * has to be one step is one script on the server, which compares before it writes. On a cluster, where no
 * script reaches two keys, steps.c takes its place.
 */
#include "store/redis/write.h"
#include <string.h>

lk_status lk__redis_entering_of(const lk__redis *r, const lk__redis_creation *c, lk__redis_entering *out)
{
    const lk_env *env = r->base.env;

    out->has_user = c->s->user.len > 0;
    out->index = lk__redis_user_key(r, c->s->realm, c->s->user);
    out->now = lk__redis_number(lk_now_s(env));
    out->entry = lk__redis_entry(c->s);
    out->ttl = lk__redis_px(env, lk__redis_latest_s(c->s));
    out->max = lk__redis_number(c->limit.max);
    out->class_max = lk__redis_number(c->limit.class_max);
    out->victim = lk__redis_number((int64_t)c->limit.victim);
    out->fence_px = lk__redis_px(env, c->limit.fence_s);
    return lk__redis_fence_write(LK_REASON_REPLACED, c->limit.fence_s, &out->fence);
}

/* What create.lua and replace.lua answer: the numbers below 0 are theirs. */
static lk_status read_answer(const redisReply *reply, lk__redis_creation *c)
{
    lk_status status = lk__redis_status(reply);

    if (status != LK_OK)
        return status;
    if (reply->type != REDIS_REPLY_INTEGER)
        return LK_FAULT;
    c->refused = reply->integer == -3;
    if (c->refused)
        return LK_FULL;
    if (reply->integer < 0)
        return reply->integer == -1 ? LK_REFUSED : LK_STALE;
    c->ended = (uint32_t)reply->integer;
    return LK_OK;
}

/* The keys and arguments that create.lua and replace.lua have in common. */
typedef struct common {
    lk__redis_text session, stream, counter, px, stamp, names;
    lk__redis_entering e;
} common;

static lk_status prepare(const lk__redis *r, const lk__redis_creation *c, common *out)
{
    const lk_env *env = r->base.env;
    lk_status status = lk__redis_entering_of(r, c, &out->e);

    out->session = lk__redis_session_key(r, &c->s->key);
    out->stream = lk__redis_event_key(r, "");
    out->counter = lk__redis_event_key(r, ":seq");
    out->px = lk__redis_px(env, lk__session_forget_s(c->s));
    out->names = lk__redis_session_prefix(r);
    return status == LK_OK ? lk__redis_stamp(env, &out->stamp) : status;
}

#define COMMON_ARGS 12
static void put_args(const common *k, const lk__redis_creation *c, lk_view argv[COMMON_ARGS])
{
    const lk_view args[COMMON_ARGS] = {
        c->record,
        lk__redis_view(&k->px),
        lk__redis_view(&k->stamp),
        lk__redis_view(&k->names),
        lk__redis_view(&k->e.now),
        lk__redis_view(&k->e.entry),
        lk__redis_view(&k->e.ttl),
        lk__redis_view(&k->e.max),
        lk__redis_view(&k->e.class_max),
        lk__redis_view(&k->e.victim),
        lk__redis_view(&k->e.fence),
        lk__redis_view(&k->e.fence_px),
    };

    memcpy(argv, args, sizeof(args));
}

static lk_status create_at_once(lk__redis *r, lk__redis_creation *c, int64_t until_ms)
{
    common k;
    lk_view argv[4 + COMMON_ARGS];
    lk__redis_ask ask = {.script = &lk__redis_lua_create, .argv = argv};
    lk_status status = prepare(r, c, &k);

    if (status != LK_OK)
        return status;
    argv[0] = lk__redis_view(&k.session);
    argv[1] = lk__redis_view(&k.stream);
    argv[2] = lk__redis_view(&k.counter);
    argv[3] = lk__redis_view(&k.e.index);
    ask.keys_n = k.e.has_user ? 4 : 3;
    put_args(&k, c, argv + ask.keys_n);
    ask.argc = ask.keys_n + COMMON_ARGS;
    /* A login that no replica took in time is a login all the same: losing it costs another one. */
    if (lk__redis_run(r, &ask, 1, until_ms, LK__REDIS_KEPT, NULL) == LK_OK)
        status = read_answer(ask.reply, c);
    else
        status = LK_FAULT;
    lk__redis_asks_free(&ask, 1);
    return status;
}

lk_status lk__redis_create(lk_store *store, const lk_session *s, lk_limit limit, uint32_t *ended)
{
    lk__redis *r = (lk__redis *)store;
    uint8_t room[LK_RECORD_MAX];
    lk_buf record = lk_buf_over(room, sizeof(room));
    lk__redis_creation c = {.s = s, .limit = limit};
    lk_status status = lk_record_write(s, &record);

    *ended = 0;
    if (status != LK_OK)
        return status;
    c.record = lk_buf_view(&record);
    status = r->slots != NULL ? lk__redis_steps_create(r, &c, lk__redis_until(r))
                              : create_at_once(r, &c, lk__redis_until(r));
    if (status == LK_OK)
        *ended = c.ended;
    if (limit.refused != NULL)
        *limit.refused = c.refused;
    return status;
}

static lk_status replace_at_once(lk__redis *r, lk__redis_creation *c, int64_t until_ms)
{
    common k;
    lk__redis_text old_key = lk__redis_session_key(r, &c->old->key), old_id = lk__redis_id(&c->old->key);
    lk__redis_text old_index = lk__redis_user_key(r, c->old->realm, c->old->user);
    lk__redis_text old_px = lk__redis_px(r->base.env, c->old_until_s);
    lk_view argv[6 + COMMON_ARGS + 4];
    lk__redis_ask ask = {
        .script = &lk__redis_lua_replace, .argv = argv, .keys_n = 6, .argc = 6 + COMMON_ARGS + 4};
    lk_status status = prepare(r, c, &k);

    if (status != LK_OK)
        return status;
    argv[0] = lk__redis_view(&k.session);
    argv[1] = lk__redis_view(&k.stream);
    argv[2] = lk__redis_view(&k.counter);
    argv[3] = lk__redis_view(&old_key);
    argv[4] = k.e.has_user ? lk__redis_view(&k.e.index) : (lk_view){0};
    argv[5] = c->old->user.len > 0 ? lk__redis_view(&old_index) : (lk_view){0};
    put_args(&k, c, argv + 6);
    argv[6 + COMMON_ARGS] = c->compared;
    argv[7 + COMMON_ARGS] = c->old_value;
    argv[8 + COMMON_ARGS] = lk__redis_view(&old_px);
    argv[9 + COMMON_ARGS] = lk__redis_view(&old_id);
    if (lk__redis_run(r, &ask, 1, until_ms, LK__REDIS_KEPT, NULL) == LK_OK)
        status = read_answer(ask.reply, c);
    else
        status = LK_FAULT;
    lk__redis_asks_free(&ask, 1);
    return status;
}

/* What OLD becomes: an ending session, or a fence. */
static lk_status retire(lk_session *old, int64_t grace_until_s, int64_t fence_s, lk_buf *room,
                        lk__redis_text *fence, lk__redis_creation *c)
{
    lk_status status;

    if (grace_until_s == 0) {
        status = lk__redis_fence_write(LK_REASON_REPLACED, fence_s, fence);
        c->old_value = lk__redis_view(fence);
        c->old_until_s = fence_s;
        return status;
    }
    status = lk__record_ending(old, grace_until_s, room);
    c->old_value = lk_buf_view(room);
    c->old_until_s = lk__session_forget_s(old);
    return status;
}

/* One round: look at OLD, judge it, and replace it if it is still so. LK_STALE with *again: it was not. */
static lk_status replace_once(lk__redis *r, const lk__redis_replacing *asked, lk__redis_creation *c,
                              int64_t until_ms, bool *again)
{
    uint8_t room[LK_RECORD_MAX];
    lk_buf ending = lk_buf_over(room, sizeof(room));
    lk__redis_gets gets;
    lk__redis_text fence;
    lk_session old;
    lk_status status;

    *again = false;
    gets.n = 0;
    lk__redis_gets_add(r, &gets, asked->old);
    status = lk__redis_run(r, gets.asks, gets.n, until_ms, LK__REDIS_TWICE, NULL);
    if (status == LK_OK)
        status = lk__redis_found(r->base.env, gets.asks[0].reply, asked->old, &old);
    if (status == LK_OK)
        status = lk__session_writable(&old, asked->generation, lk_now_s(r->base.env));
    if (status == LK_OK) {
        c->old = &old;
        c->compared = lk_view_part(lk__redis_bytes(gets.asks[0].reply), 0, LK__REDIS_COMPARED);
        status = retire(&old, asked->grace_until_s, asked->fence_s, &ending, &fence, c);
        if (status == LK_OK)
            status =
                r->slots != NULL ? lk__redis_steps_replace(r, c, until_ms) : replace_at_once(r, c, until_ms);
        *again = status == LK_STALE;
    }
    lk__redis_gets_free(&gets);
    return status;
}

lk_status lk__redis_replace(lk_store *store, const lk_session_key *old, uint32_t old_generation,
                            const lk_session *s, int64_t grace_until_s, int64_t fence_s, lk_limit limit)
{
    lk__redis *r = (lk__redis *)store;
    lk__redis_replacing asked = {
        .old = old, .generation = old_generation, .grace_until_s = grace_until_s, .fence_s = fence_s};
    int64_t until_ms = lk__redis_until(r);
    uint8_t room[LK_RECORD_MAX];
    lk_buf record = lk_buf_over(room, sizeof(room));
    lk__redis_creation c = {.s = s, .limit = limit};
    lk_status status = lk_record_write(s, &record);
    bool again = status == LK_OK;

    c.record = lk_buf_view(&record);
    while (again && lk__redis_now_ms() < until_ms)
        status = replace_once(r, &asked, &c, until_ms, &again);
    if (limit.refused != NULL)
        *limit.refused = c.refused;
    return again ? LK_FAULT : status;
}
