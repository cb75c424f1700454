/* SPDX-License-Identifier: Apache-2.0
 *
 * steps.c - writing on a cluster: a session, the index of its user and the events lie on different nodes, so
 * what is one script elsewhere is a row of steps here. Each may be done twice without harm, and the order is
 * such that stopping after any of them leaves nothing wrong - what was not acknowledged may be half done,
 * what was acknowledged is done.
 *
 *   create    the session               stopped here: nobody was given its id; it goes by itself
 *             the index, which decides  stopped here: who is over the limit is marked in the index, and the
 * next whom the limit ends       login of that user ends them their fences, events      stopped here: the
 * marks are still there, the next login clears them the marks replace   the new session           as above
 *             the old one, compared     stopped here: the old id is readable for its grace; nobody has the
 * new one event, indexes, limit     as above end       fences of what it replaced, then its own stopped
 * between: it is still there, and ending it again finds the rest events, indexes           stopped here:
 * copies on other nodes live on for their hard life. It was not acknowledged; ending it again writes the
 * event
 */
#include "store/redis/write.h"
#include <string.h>

#define IDS_MAX 32 /* sessions at a time */
#define VICTIM_LEN (LK_PUBLIC_ID_LEN + 1 + 5)

static lk_status run_one(lk__redis *r, lk__redis_ask *ask, int64_t until_ms, unsigned flags)
{
    lk_status status = lk__redis_run(r, ask, 1, until_ms, flags, NULL);

    return status == LK_OK ? lk__redis_status(ask->reply) : status;
}

/* SET key record PX px NX. LK_OK; LK_REFUSED when there is something. */
static lk_status add_session(lk__redis *r, const lk__redis_creation *c, int64_t until_ms)
{
    lk__redis_text key = lk__redis_session_key(r, &c->s->key),
                   px = lk__redis_px(r->base.env, lk__session_forget_s(c->s));
    const lk_view argv[6] = {LK_VIEW("SET"), lk__redis_view(&key), c->record,
                             LK_VIEW("PX"),  lk__redis_view(&px),  LK_VIEW("NX")};
    lk__redis_ask ask = {.argv = argv, .argc = 6};
    lk_status status = run_one(r, &ask, until_ms, LK__REDIS_KEPT);

    if (status == LK_OK && ask.reply->type == REDIS_REPLY_NIL)
        status = LK_REFUSED;
    lk__redis_asks_free(&ask, 1);
    return status;
}

/* swap.lua. LK_OK; LK_STALE when it does not begin with BEFORE any more. */
static lk_status swap(lk__redis *r, const lk_session_key *session, lk_view before, lk_view after,
                      int64_t at_s, int64_t until_ms)
{
    lk__redis_text key = lk__redis_session_key(r, session), px = lk__redis_px(r->base.env, at_s);
    const lk_view argv[4] = {lk__redis_view(&key), before, after, lk__redis_view(&px)};
    lk__redis_ask ask = {.script = &lk__redis_lua_swap, .argv = argv, .argc = 4, .keys_n = 1};
    lk_status status = run_one(r, &ask, until_ms, 0);

    if (status == LK_OK && ask.reply->integer == 0)
        status = LK_STALE;
    lk__redis_asks_free(&ask, 1);
    return status;
}

static void take_back(lk__redis *r, const lk__redis_creation *c, int64_t until_ms)
{
    lk_view front = lk_view_part(c->record, 0, LK__REDIS_COMPARED);

    (void)!swap(r, &c->s->key, front, (lk_view){0}, 0, until_ms);
}

/* ---- events and indexes ---- */

/* One event for each of the IDS. */
static lk_status add_events(lk__redis *r, const lk_view *ids, unsigned n, unsigned flags, int64_t until_ms,
                            bool *is_kept)
{
    lk__redis_text stream = lk__redis_event_key(r, ""), counter = lk__redis_event_key(r, ":seq"),
                   cutoffs = lk__redis_event_key(r, ":cutoffs"), ends = lk__redis_event_key(r, ":until"),
                   stamp;
    lk_view argv[6 + IDS_MAX] = {lk__redis_view(&stream), lk__redis_view(&counter), lk__redis_view(&cutoffs),
                                 lk__redis_view(&ends)};
    lk__redis_ask ask = {.script = &lk__redis_lua_event, .argv = argv, .argc = 6 + n, .keys_n = 4};
    lk_status status = lk__redis_stamp(r->base.env, &stamp);

    if (status != LK_OK)
        return status;
    argv[4] = lk__redis_view(&stamp);
    argv[5] = LK_VIEW("s");
    memcpy(argv + 6, ids, n * sizeof(ids[0]));
    status = lk__redis_run(r, &ask, 1, until_ms, LK__REDIS_TWICE | flags, is_kept);
    if (status == LK_OK)
        status = lk__redis_status(ask.reply);
    lk__redis_asks_free(&ask, 1);
    return status;
}

/* Sessions on their way out of an index: ZREMRANGEBYLEX index [id (id\xff */
typedef struct leaving {
    lk__redis_ask asks[IDS_MAX];
    lk_view argv[IDS_MAX][4];
    uint8_t lower[IDS_MAX][LK_PUBLIC_ID_LEN + 1], upper[IDS_MAX][LK_PUBLIC_ID_LEN + 2];
    unsigned n;
} leaving;

static void add_leaving(leaving *l, lk_view index, lk_view id)
{
    unsigned n = l->n++;
    uint8_t *lower = l->lower[n], *upper = l->upper[n];

    lower[0] = '[';
    upper[0] = '(';
    memcpy(lower + 1, id.p, LK_PUBLIC_ID_LEN);
    memcpy(upper + 1, id.p, LK_PUBLIC_ID_LEN);
    upper[LK_PUBLIC_ID_LEN + 1] = 0xff;
    l->argv[n][0] = LK_VIEW("ZREMRANGEBYLEX");
    l->argv[n][1] = index;
    l->argv[n][2] = lk_view_make(lower, sizeof(l->lower[n]));
    l->argv[n][3] = lk_view_make(upper, sizeof(l->upper[n]));
    l->asks[n] = (lk__redis_ask){.argv = l->argv[n], .argc = 4};
}

static lk_status leave(lk__redis *r, leaving *l, int64_t until_ms)
{
    lk_status status = lk__redis_run(r, l->asks, l->n, until_ms, LK__REDIS_TWICE, NULL);

    for (unsigned i = 0; i < l->n && status == LK_OK; i++)
        status = lk__redis_status(l->asks[i].reply);
    lk__redis_asks_free(l->asks, l->n);
    return status;
}

/* ---- the limit ---- */

typedef struct victims {
    lk__redis_ask asks[IDS_MAX];
    lk_view argv[IDS_MAX][4], ids[IDS_MAX];
    lk__redis_text keys[IDS_MAX], fences[IDS_MAX], pxs[IDS_MAX];
    unsigned n;
} victims;

/* fence.lua for what ENTRY, marked in the index, leads to. LK_REFUSED when it is no such entry. */
static lk_status add_victim(const lk__redis *r, victims *v, lk_view entry)
{
    unsigned n = v->n;
    int64_t fence_s = 0;
    lk_session_key key;
    lk_status status;

    if (entry.len != VICTIM_LEN)
        return LK_REFUSED;
    v->ids[n] = lk_view_part(entry, 0, LK_PUBLIC_ID_LEN);
    status = lk_public_id_read(v->ids[n], &key);
    for (size_t k = LK_PUBLIC_ID_LEN + 1; k < VICTIM_LEN; k++)
        fence_s = fence_s * 256 + entry.p[k];
    if (status == LK_OK)
        status = lk__redis_fence_write(LK_REASON_REPLACED, fence_s, &v->fences[n]);
    if (status != LK_OK)
        return status;
    v->keys[n] = lk__redis_session_key(r, &key);
    v->pxs[n] = lk__redis_px(r->base.env, fence_s);
    v->argv[n][0] = lk__redis_view(&v->keys[n]);
    v->argv[n][1] = lk__redis_view(&v->fences[n]);
    v->argv[n][2] = lk__redis_view(&v->pxs[n]);
    v->argv[n][3] = (lk_view){0};
    v->asks[n] = (lk__redis_ask){.script = &lk__redis_lua_fence, .argv = v->argv[n], .argc = 4, .keys_n = 1};
    v->n++;
    return LK_OK;
}

static lk_status put_fences(lk__redis *r, victims *v, uint32_t *ended, int64_t until_ms)
{
    lk_status status = lk__redis_run(r, v->asks, v->n, until_ms, LK__REDIS_TWICE, NULL);

    for (unsigned i = 0; i < v->n && status == LK_OK; i++) {
        status = lk__redis_status(v->asks[i].reply);
        if (status == LK_OK && v->asks[i].reply->integer == 1)
            ++*ended;
    }
    lk__redis_asks_free(v->asks, v->n);
    return status;
}

/* End the sessions of ENTRIES[*AT] and on, as many as go at a time: fences, events, and the marks last. */
static lk_status end_some(lk__redis *r, lk_view index, const redisReply *entries, size_t *at, uint32_t *ended,
                          int64_t until_ms)
{
    victims v;
    leaving l;
    lk_status status;

    v.n = l.n = 0;
    while (*at < entries->elements && v.n < IDS_MAX) {
        if (add_victim(r, &v, lk__redis_bytes(entries->element[(*at)++])) == LK_OK)
            add_leaving(&l, index, v.ids[v.n - 1]);
    }
    if (v.n == 0)
        return LK_OK;
    status = put_fences(r, &v, ended, until_ms);
    if (status == LK_OK)
        status = add_events(r, v.ids, v.n, 0, until_ms, NULL);
    return status == LK_OK ? leave(r, &l, until_ms) : status;
}

/* Sessions that the index says are over go, in case their server does not know it yet. */
static lk_status drop_over(lk__redis *r, const redisReply *entries, size_t *at, int64_t until_ms)
{
    lk__redis_ask asks[IDS_MAX];
    lk__redis_text keys[IDS_MAX];
    lk_view argv[IDS_MAX][2];
    unsigned n = 0;
    lk_status status;

    for (; *at < entries->elements && n < IDS_MAX; ++*at) {
        lk_view entry = lk__redis_bytes(entries->element[*at]);
        lk_session_key key;

        if (lk_public_id_read(lk_view_part(entry, 0, LK_PUBLIC_ID_LEN), &key) != LK_OK)
            continue;
        keys[n] = lk__redis_session_key(r, &key);
        argv[n][0] = lk__redis_view(&keys[n]);
        argv[n][1] = entry;
        asks[n] = (lk__redis_ask){.script = &lk__redis_lua_drop, .argv = argv[n], .argc = 2, .keys_n = 1};
        n++;
    }
    status = lk__redis_run(r, asks, n, until_ms, LK__REDIS_TWICE, NULL);
    lk__redis_asks_free(asks, n);
    return status;
}

static bool is_pair_of_lists(const redisReply *reply)
{
    return reply->type == REDIS_REPLY_ARRAY && reply->elements == 2 &&
           reply->element[0]->type == REDIS_REPLY_ARRAY && reply->element[1]->type == REDIS_REPLY_ARRAY;
}

/* Put the session into the index of its user, from which LEAVES (may be empty) goes, and keep the limit; or,
 * without IS_WRITING, only ask the limit. LK_FULL with c->refused: it refuses, and the index is as it was. */
static lk_status enter(lk__redis *r, lk__redis_creation *c, lk_view leaves, bool is_writing, int64_t until_ms)
{
    lk__redis_entering e;
    lk__redis_text session_entry = lk__redis_entry(c->s);
    lk_session fence_at = {.issued_s = c->limit.fence_s};
    lk__redis_text fence_entry = lk__redis_entry(&fence_at);
    lk_view argv[10];
    lk__redis_ask ask = {.script = &lk__redis_lua_enter, .argv = argv, .argc = 10, .keys_n = 1};
    size_t at = 0, dropped = 0;
    lk_status status = lk__redis_entering_of(r, c, &e);

    if (status != LK_OK)
        return status;
    argv[0] = lk__redis_view(&e.index);
    argv[1] = lk__redis_view(&session_entry);
    argv[2] = lk__redis_view(&e.now);
    argv[3] = lk__redis_view(&e.ttl);
    argv[4] = lk__redis_view(&e.max);
    argv[5] = lk__redis_view(&e.class_max);
    argv[6] = lk__redis_view(&e.victim);
    argv[7] = lk_view_part(lk__redis_view(&fence_entry), LK__REDIS_ENTRY_LEN - 5, 5);
    argv[8] = leaves;
    argv[9] = is_writing ? LK_VIEW("y") : LK_VIEW("n");
    status = run_one(r, &ask, until_ms, LK__REDIS_TWICE);
    c->refused = status == LK_OK && ask.reply->type == REDIS_REPLY_INTEGER && ask.reply->integer == -3;
    if (c->refused)
        status = LK_FULL;
    else if (status == LK_OK && !is_pair_of_lists(ask.reply))
        status = LK_FAULT;
    while (status == LK_OK && dropped < ask.reply->element[1]->elements)
        status = drop_over(r, ask.reply->element[1], &dropped, until_ms);
    while (status == LK_OK && at < ask.reply->element[0]->elements)
        status = end_some(r, argv[0], ask.reply->element[0], &at, &c->ended, until_ms);
    lk__redis_asks_free(&ask, 1);
    return status;
}

/* ---- the three ---- */

lk_status lk__redis_steps_create(lk__redis *r, lk__redis_creation *c, int64_t until_ms)
{
    lk_status status = add_session(r, c, until_ms);

    if (status != LK_OK || c->s->user.len == 0)
        return status;
    status = enter(r, c, (lk_view){0}, true, until_ms);
    if (status == LK_FULL)
        take_back(r, c, until_ms);
    return status;
}

/* A limit that refuses is asked before OLD is touched. Of two that come at once and both get past here, the
 * second is refused when it enters: then OLD is ending all the same, and its visitor logs in anew. */
static lk_status may_enter(lk__redis *r, lk__redis_creation *c, lk_view leaves, int64_t until_ms)
{
    if (c->limit.victim != LK_VICTIM_REFUSE || !lk__limit_holds(&c->limit, c->s))
        return LK_OK;
    return enter(r, c, leaves, false, until_ms);
}

/* The place of OLD in the index of its user. */
static lk_status leave_old(lk__redis *r, const lk__redis_creation *c, int64_t until_ms)
{
    lk__redis_text id = lk__redis_id(&c->old->key),
                   index = lk__redis_user_key(r, c->old->realm, c->old->user);
    leaving l;

    l.n = 0;
    add_leaving(&l, lk__redis_view(&index), lk__redis_view(&id));
    return leave(r, &l, until_ms);
}

/* The event of OLD, and its place in the index, unless that is the one of the new one's user: then `enter`
 * takes it out, in the same step that counts. */
static lk_status tell_of_old(lk__redis *r, const lk__redis_creation *c, bool is_same_user, int64_t until_ms)
{
    lk__redis_text id = lk__redis_id(&c->old->key);
    lk_view view = lk__redis_view(&id);
    lk_status status = add_events(r, &view, 1, 0, until_ms, NULL);

    if (status != LK_OK || c->old->user.len == 0 || is_same_user)
        return status;
    return leave_old(r, c, until_ms);
}

/* The limit refuses after all. OLD is ending: it must not count for its user until it would have been over.
 */
static void refuse_late(lk__redis *r, const lk__redis_creation *c, bool is_same_user, int64_t until_ms)
{
    take_back(r, c, until_ms);
    if (is_same_user)
        (void)!leave_old(r, c, until_ms);
}

lk_status lk__redis_steps_replace(lk__redis *r, lk__redis_creation *c, int64_t until_ms)
{
    bool is_same_user = lk_view_equal(c->s->user, c->old->user) && lk_view_equal(c->s->realm, c->old->realm);
    lk__redis_text old_id = lk__redis_id(&c->old->key);
    lk_view leaves = is_same_user ? lk__redis_view(&old_id) : (lk_view){0};
    lk_status status = add_session(r, c, until_ms);

    if (status != LK_OK)
        return status;
    status = may_enter(r, c, leaves, until_ms);
    if (status != LK_OK) {
        take_back(r, c, until_ms);
        return status;
    }
    status = swap(r, &c->old->key, c->compared, c->old_value, c->old_until_s, until_ms);
    if (status == LK_STALE || status == LK_FULL)
        take_back(r, c, until_ms);
    if (status == LK_OK)
        status = tell_of_old(r, c, is_same_user, until_ms);
    if (status == LK_OK && c->s->user.len > 0)
        status = enter(r, c, leaves, true, until_ms);
    if (status == LK_FULL && c->refused)
        refuse_late(r, c, is_same_user, until_ms);
    return status;
}

/* Fences for FROM to TO of the chain, at the same time. LK_STALE: one is there that was not. */
static lk_status fence_chain(lk__redis *r, const lk__redis_chain *chain, unsigned from, unsigned to,
                             lk_view fence, lk_view px, int64_t until_ms)
{
    lk__redis_ask asks[LK__REDIS_CHAIN_MAX];
    lk__redis_text keys[LK__REDIS_CHAIN_MAX];
    lk_view argv[LK__REDIS_CHAIN_MAX][4];
    bool is_kept;
    unsigned n = 0;
    lk_status status;

    for (unsigned i = from; i < to; i++, n++) {
        keys[n] = lk__redis_session_key(r, &chain->at[i].key);
        argv[n][0] = lk__redis_view(&keys[n]);
        argv[n][1] = fence;
        argv[n][2] = px;
        argv[n][3] = chain->at[i].is_there ? LK_VIEW("y") : LK_VIEW("n");
        asks[n] = (lk__redis_ask){.script = &lk__redis_lua_fence, .argv = argv[n], .argc = 4, .keys_n = 1};
    }
    status = lk__redis_run(r, asks, n, until_ms, LK__REDIS_TWICE | LK__REDIS_KEPT, &is_kept);
    for (unsigned i = 0; i < n && status == LK_OK; i++) {
        status = lk__redis_status(asks[i].reply);
        if (status == LK_OK && asks[i].reply->integer == -2)
            status = LK_STALE;
    }
    lk__redis_asks_free(asks, n);
    return status == LK_OK && !is_kept ? LK_FAULT : status;
}

static lk_status tell_of_chain(lk__redis *r, const lk__redis_chain *chain, int64_t until_ms)
{
    lk__redis_text ids[LK__REDIS_CHAIN_MAX];
    lk_view views[LK__REDIS_CHAIN_MAX];
    leaving l;
    bool is_kept;
    lk_status status;

    l.n = 0;
    for (unsigned i = 0; i < chain->n; i++) {
        ids[i] = lk__redis_id(&chain->at[i].key);
        views[i] = lk__redis_view(&ids[i]);
        if (chain->at[i].has_user)
            add_leaving(&l, lk__redis_view(&chain->at[i].user_key), views[i]);
    }
    status = add_events(r, views, chain->n, LK__REDIS_KEPT, until_ms, &is_kept);
    if (status == LK_OK && l.n > 0)
        status = leave(r, &l, until_ms);
    return status == LK_OK && !is_kept ? LK_FAULT : status;
}

lk_status lk__redis_steps_end(lk__redis *r, const lk__redis_chain *chain, lk_reason reason, int64_t fence_s,
                              int64_t until_ms)
{
    lk__redis_text fence, px = lk__redis_px(r->base.env, fence_s);
    lk_status status = lk__redis_fence_write(reason, fence_s, &fence);

    if (status == LK_OK && chain->n > 1)
        status = fence_chain(r, chain, 1, chain->n, lk__redis_view(&fence), lk__redis_view(&px), until_ms);
    if (status == LK_OK)
        status = fence_chain(r, chain, 0, 1, lk__redis_view(&fence), lk__redis_view(&px), until_ms);
    return status == LK_OK ? tell_of_chain(r, chain, until_ms) : status;
}
