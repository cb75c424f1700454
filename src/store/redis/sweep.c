/* SPDX-License-Identifier: Apache-2.0
 *
 * sweep.c - removing what is over.
 *
 * Redis removes sessions and fences itself, by the time to live that each write sets. Cut-offs and old events
 * are trimmed here. There is one more case: a time to live runs by the server's clock from the moment it was
 * set, and sessions go by the clock of the caller. If that is set forward - a node's clock was wrong, or it
 * is a test that steers it - what is over by it lies there still. It is looked for by SCAN, within the
 * budget, and only then.
 */
#include "store/redis/redis_inner.h"
#include <string.h>

#define STEP 100      /* keys that SCAN is asked for */
#define JUMP_MS 500   /* less than that is how long an answer takes */
#define OLD_S 600     /* events are kept so long */
#define TRIM_MAX 1000 /* cut-offs at a time: a script holds up everybody else */

typedef struct sweeping {
    lk__redis *r;
    int64_t now_s;
    int64_t stop_ms; /* on the monotonic clock of the caller */
    uint32_t max_rows;
    uint32_t removed;
} sweeping;

/* ---- cut-offs and events ---- */

/* *is_more: a bound was met. */
static lk_status trim_once(sweeping *w, bool *is_more)
{
    lk__redis *r = w->r;
    uint32_t left = w->max_rows - w->removed;
    lk__redis_text stream = lk__redis_event_key(r, ""), cutoffs = lk__redis_event_key(r, ":cutoffs"),
                   ends = lk__redis_event_key(r, ":until"), now = lk__redis_number(w->now_s),
                   max = lk__redis_number(left < TRIM_MAX ? left : TRIM_MAX),
                   old = lk__redis_number(w->now_s - OLD_S);
    const lk_view argv[6] = {lk__redis_view(&stream), lk__redis_view(&cutoffs), lk__redis_view(&ends),
                             lk__redis_view(&now),    lk__redis_view(&max),     lk__redis_view(&old)};
    lk__redis_ask ask = {.script = &lk__redis_lua_trim, .argv = argv, .argc = 6, .keys_n = 3};
    lk_status status = lk__redis_run(r, &ask, 1, lk__redis_until(r), LK__REDIS_TWICE, NULL);

    if (status == LK_OK && (ask.reply->type != REDIS_REPLY_ARRAY || ask.reply->elements != 2))
        status = LK_FAULT;
    if (status == LK_OK) {
        w->removed += (uint32_t)ask.reply->element[0]->integer;
        *is_more = ask.reply->element[1]->integer != 0;
    }
    lk__redis_asks_free(&ask, 1);
    return status;
}

static bool is_out_of_budget(const sweeping *w)
{
    const lk_env *env = w->r->base.env;

    return w->removed >= w->max_rows || env->mono_ms(env) >= w->stop_ms;
}

/* LK_OK; LK_FULL when more is waiting; LK_FAULT. */
static lk_status trim(sweeping *w)
{
    bool is_more;
    lk_status status;

    do
        status = trim_once(w, &is_more);
    while (status == LK_OK && is_more && !is_out_of_budget(w));
    return status == LK_OK && is_more ? LK_FULL : status;
}

/* ---- what is over by the caller's clock alone ---- */

static bool is_over(lk_view value, const lk_session_key *key, int64_t now_s)
{
    lk_session s;
    lk_reason why;
    int64_t until_s;

    if (lk__redis_is_fence(value)) {
        lk__fence_read(lk_view_part(value, 1, value.len), &why, &until_s);
        return until_s <= now_s;
    }
    /* What this program cannot read may be of a newer one, and has its time to live. */
    return lk__record_of(value, key, &s) == LK_OK && lk__session_forget_s(&s) <= now_s;
}

/* Remove those of GETS that are over, unless they were written since. */
static lk_status remove_over(sweeping *w, const lk__redis_gets *gets, const lk_session_key *keys)
{
    lk__redis_ask asks[LK__REDIS_GETS_MAX];
    lk_view argv[LK__REDIS_GETS_MAX][4];
    size_t n = 0;
    lk_status status;

    for (size_t i = 0; i < gets->n && n < w->max_rows - w->removed; i++) {
        lk_view value = lk__redis_bytes(gets->asks[i].reply);

        if (!is_over(value, &keys[i], w->now_s))
            continue;
        argv[n][0] = lk__redis_view(&gets->keys[i]);
        argv[n][1] = lk_view_part(value, 0, LK__REDIS_COMPARED);
        argv[n][2] = argv[n][3] = (lk_view){0};
        asks[n] = (lk__redis_ask){.script = &lk__redis_lua_swap, .argv = argv[n], .argc = 4, .keys_n = 1};
        n++;
    }
    status = lk__redis_run(w->r, asks, n, lk__redis_until(w->r), LK__REDIS_TWICE, NULL);
    for (size_t i = 0; i < n && status == LK_OK; i++) {
        status = lk__redis_status(asks[i].reply);
        w->removed += status == LK_OK && asks[i].reply->integer == 1;
    }
    lk__redis_asks_free(asks, n);
    return status;
}

static lk_status sweep_keys(sweeping *w, const lk_session_key *keys, size_t n)
{
    lk_status status = LK_OK;

    for (size_t at = 0; at < n && status == LK_OK && w->removed < w->max_rows; at += LK__REDIS_GETS_MAX) {
        lk__redis_gets gets;

        gets.n = 0;
        for (size_t i = at; i < n && gets.n < LK__REDIS_GETS_MAX; i++)
            lk__redis_gets_add(w->r, &gets, &keys[i]);
        status = lk__redis_run(w->r, gets.asks, gets.n, lk__redis_until(w->r), LK__REDIS_TWICE, NULL);
        if (status == LK_OK)
            status = remove_over(w, &gets, keys + at);
        lk__redis_gets_free(&gets);
    }
    return status;
}

/* From where the last walk stopped, to the end. LK_OK; LK_FULL; LK_FAULT. */
static lk_status walk(sweeping *w, lk__redis_scanned *found)
{
    lk__redis *r = w->r;

    while (r->walk_node < r->nodes_cap) {
        uint64_t next = r->walk_scan;
        lk_status status;

        if (!lk__redis_node_is_used(r, r->walk_node)) {
            r->walk_node++;
            r->walk_scan = 0;
            continue;
        }
        status = lk__redis_scan_sessions(r, r->walk_node, &next, STEP, found, lk__redis_until(r));
        if (status == LK_OK)
            status = sweep_keys(w, found->keys, found->n);
        if (status != LK_OK)
            return LK_FAULT;
        if (w->removed >= w->max_rows) /* there may be more where this came from */
            return LK_FULL;
        r->walk_scan = next;
        r->walk_node += next == 0;
        if (is_out_of_budget(w))
            return LK_FULL;
    }
    r->walk_node = 0;
    r->walk_scan = 0;
    return LK_OK;
}

/* How far the caller's clock is ahead of the server's, or a little less. */
static lk_status read_ahead(lk__redis *r, int64_t *ahead_ms)
{
    int64_t now_ms = lk_now_ms(r->base.env), there_ms;
    lk_status status = lk__redis_time_ms(&r->base, &there_ms);

    if (status == LK_OK)
        *ahead_ms = now_ms - there_ms;
    return status;
}

void lk__redis_learn_clock(lk__redis *r)
{
    r->has_ahead = read_ahead(r, &r->ahead_ms) == LK_OK;
}

static lk_status sweep_jumped(sweeping *w)
{
    lk__redis *r = w->r;
    bool is_future = w->now_s > lk_now_s(r->base.env); /* what will be over by then */
    lk__redis_scanned *found;
    int64_t ahead_ms;
    lk_status status = read_ahead(r, &ahead_ms);

    if (status != LK_OK)
        return status;
    if (!r->has_ahead || ahead_ms < r->ahead_ms - JUMP_MS) {
        r->has_ahead = true;
        r->ahead_ms = ahead_ms;
    }
    if (!is_future && ahead_ms < r->ahead_ms + JUMP_MS)
        return LK_OK;
    found = lk_alloc(r->base.env, sizeof(*found));
    status = found != NULL ? walk(w, found) : LK_FAULT;
    lk_free(r->base.env, found);
    if (status == LK_OK && ahead_ms > r->ahead_ms)
        r->ahead_ms = ahead_ms;
    return status;
}

lk_status lk__redis_sweep(lk_store *store, int64_t now_s, uint32_t max_rows, uint32_t max_ms,
                          uint32_t *removed)
{
    lk__redis *r = (lk__redis *)store;
    sweeping w = {
        .r = r, .now_s = now_s, .stop_ms = store->env->mono_ms(store->env) + max_ms, .max_rows = max_rows};
    lk_status status;

    *removed = 0;
    /* One thread at a time: whoever comes meanwhile has nothing left to do. */
    if (pthread_mutex_trylock(&r->sweep_lock) != 0)
        return LK_OK;
    status = trim(&w);
    if (status == LK_OK)
        status = sweep_jumped(&w);
    pthread_mutex_unlock(&r->sweep_lock);
    *removed = w.removed;
    return status;
}
