/* SPDX-License-Identifier: Apache-2.0
 *
 * touch.c - moving last-seen times forward, many at a time: the sessions are read, which tells whose they are
 * and until when they are kept then, and the times written where they are still later. A session and the
 * entry in the index of its user move together.
 */
#include "store/pack.h"
#include "store/redis/write.h"
#include <string.h>

typedef struct touching {
    lk__redis_ask asks[LK__REDIS_GETS_MAX];
    lk_view argv[LK__REDIS_GETS_MAX][6];
    lk__redis_text index[LK__REDIS_GETS_MAX], px[LK__REDIS_GETS_MAX], entry[LK__REDIS_GETS_MAX];
    uint8_t first[LK__REDIS_GETS_MAX], seen[LK__REDIS_GETS_MAX][5];
    bool has_user[LK__REDIS_GETS_MAX];
    size_t n;
} touching;

/* One touch.lua: session [index] first-byte seen px [entry]. */
static void add_touch(const lk__redis *r, touching *t, const lk__redis_gets *gets, size_t i,
                      const lk_session *touched)
{
    size_t n = t->n++, k = 0;
    lk_view *argv = t->argv[n];
    bool has_index = touched->user.len > 0 && r->slots == NULL;

    t->has_user[n] = touched->user.len > 0;
    t->index[n] = lk__redis_user_key(r, touched->realm, touched->user);
    t->px[n] = lk__redis_px(r->base.env, lk__session_forget_s(touched));
    t->entry[n] = lk__redis_entry(touched);
    t->first[n] = lk__redis_bytes(gets->asks[i].reply).p[0];
    lk__put40(t->seen[n], touched->seen_s);
    argv[k++] = lk__redis_view(&gets->keys[i]);
    if (has_index)
        argv[k++] = lk__redis_view(&t->index[n]);
    argv[k++] = lk_view_make(&t->first[n], 1);
    argv[k++] = lk_view_make(t->seen[n], 5);
    argv[k++] = lk__redis_view(&t->px[n]);
    if (has_index)
        argv[k++] = lk__redis_view(&t->entry[n]);
    t->asks[n] = (lk__redis_ask){
        .script = &lk__redis_lua_touch, .argv = argv, .argc = (unsigned)k, .keys_n = has_index ? 2 : 1};
}

/* On a cluster the index goes first, in a run of its own: what it says of a session may be too late, so that
 * a live session is never trimmed from it, but not too early. */
static lk_status touch_indexes(lk__redis *r, const touching *t, int64_t until_ms)
{
    lk__redis_ask asks[LK__REDIS_GETS_MAX];
    lk_view argv[LK__REDIS_GETS_MAX][2];
    size_t n = 0;
    lk_status status;

    memset(asks, 0, sizeof(asks));
    for (size_t i = 0; i < t->n; i++) {
        if (!t->has_user[i])
            continue;
        argv[n][0] = lk__redis_view(&t->index[i]);
        argv[n][1] = lk__redis_view(&t->entry[i]);
        asks[n] = (lk__redis_ask){.script = &lk__redis_lua_see, .argv = argv[n], .argc = 2, .keys_n = 1};
        n++;
    }
    status = lk__redis_run(r, asks, n, until_ms, LK__REDIS_TWICE, NULL);
    for (size_t i = 0; i < n && status == LK_OK; i++)
        status = lk__redis_status(asks[i].reply);
    lk__redis_asks_free(asks, n);
    return status;
}

static lk_status touch_found(lk__redis *r, touching *t, int64_t until_ms)
{
    lk_status status = r->slots != NULL ? touch_indexes(r, t, until_ms) : LK_OK;

    if (status == LK_OK)
        status = lk__redis_run(r, t->asks, t->n, until_ms, LK__REDIS_TWICE, NULL);
    for (size_t i = 0; i < t->n && status == LK_OK; i++)
        status = lk__redis_status(t->asks[i].reply);
    lk__redis_asks_free(t->asks, t->n);
    return status;
}

/* At most LK__REDIS_GETS_MAX of them. */
static lk_status touch_some(lk__redis *r, const lk_touch *touches, size_t n, int64_t until_ms)
{
    lk__redis_gets gets;
    touching t;
    lk_status status;

    t.n = gets.n = 0;
    for (size_t i = 0; i < n; i++)
        lk__redis_gets_add(r, &gets, &touches[i].key);
    status = lk__redis_run(r, gets.asks, gets.n, until_ms, LK__REDIS_TWICE, NULL);
    for (size_t i = 0; i < n && status == LK_OK; i++) {
        lk_session s;
        lk_status found = lk__redis_found(r->base.env, gets.asks[i].reply, &touches[i].key, &s);

        if (found == LK_FAULT)
            status = LK_FAULT;
        if (found != LK_OK || (s.flags & LK_SESSION_ENDING) != 0 || touches[i].seen_s <= s.seen_s ||
            touches[i].seen_s > LK_U40_MAX)
            continue;
        s.seen_s = touches[i].seen_s;
        add_touch(r, &t, &gets, i, &s);
    }
    if (status == LK_OK && t.n > 0)
        status = touch_found(r, &t, until_ms);
    lk__redis_gets_free(&gets);
    return status;
}

lk_status lk__redis_touch_many(lk_store *store, const lk_touch *touches, size_t n)
{
    lk__redis *r = (lk__redis *)store;
    lk_status status = LK_OK;

    for (size_t i = 0; i < n && status == LK_OK; i += LK__REDIS_GETS_MAX)
        status = touch_some(r, touches + i, n - i < LK__REDIS_GETS_MAX ? n - i : LK__REDIS_GETS_MAX,
                            lk__redis_until(r));
    return status;
}
