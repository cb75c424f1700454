/* SPDX-License-Identifier: Apache-2.0
 *
 * change.c - changing the fields of a session: read, changed by the rules of all stores, and written if
 * nobody wrote in between.
 */
#include "store/redis/write.h"
#include <time.h>

#define QUIET_ROUNDS 3 /* that others got in the way of, before giving way to them */

/* Two nodes that change one session over and over would trip each other up: who lost waits a moment. */
static void give_way(const lk_env *env, unsigned round)
{
    uint32_t dice = 0;
    struct timespec t = {0};

    if (round < QUIET_ROUNDS || lk_random(env, &dice, sizeof(dice)) != LK_OK)
        return;
    t.tv_nsec = (long)(dice % (round < 20 ? round * 100000 : 2000000));
    (void)nanosleep(&t, NULL);
}

/* Put AFTER where BEFORE is. LK_OK; LK_STALE: it was written in between; LK_FULL; LK_FAULT. */
static lk_status swap(lk__redis *r, const lk_session *s, lk_view before, lk_view after, int64_t until_ms)
{
    lk__redis_text key = lk__redis_session_key(r, &s->key), px;
    lk_view argv[4];
    lk__redis_ask ask = {.script = &lk__redis_lua_swap, .argv = argv, .argc = 4, .keys_n = 1};
    lk_status status;

    px = lk__redis_px(r->base.env, lk__session_forget_s(s));
    argv[0] = lk__redis_view(&key);
    argv[1] = lk_view_part(before, 0, LK__REDIS_COMPARED);
    argv[2] = after;
    argv[3] = lk__redis_view(&px);
    /* Not twice: whether the first one was done could not be told from what is there. */
    status = lk__redis_run(r, &ask, 1, until_ms, 0, NULL);
    if (status == LK_OK)
        status = lk__redis_status(ask.reply);
    if (status == LK_OK && ask.reply->integer != 1)
        status = LK_STALE;
    lk__redis_asks_free(&ask, 1);
    return status;
}

static lk_status change_once(lk__redis *r, const lk__change *change, uint32_t *revision, int64_t until_ms,
                             bool *again, lk_note *note)
{
    uint8_t room[LK_RECORD_MAX];
    lk_buf after = lk_buf_over(room, sizeof(room));
    lk__redis_gets gets;
    lk_session s;
    lk_status status;

    *again = false;
    gets.n = 0;
    lk__redis_gets_add(r, &gets, change->key);
    status = lk__redis_run(r, gets.asks, gets.n, until_ms, LK__REDIS_TWICE, NULL);
    if (status == LK_OK)
        status = lk__redis_found(r->base.env, gets.asks[0].reply, change->key, &s);
    if (status == LK_OK)
        status = lk__record_change(lk__redis_bytes(gets.asks[0].reply), change, &after, &s, note);
    if (status == LK_OK) {
        status = swap(r, &s, lk__redis_bytes(gets.asks[0].reply), lk_buf_view(&after), until_ms);
        *again = status == LK_STALE;
        if (status == LK_OK)
            *revision = s.revision;
    }
    lk__redis_gets_free(&gets);
    return status;
}

lk_status lk__redis_change(lk_store *store, const lk_session_key *key, uint32_t generation,
                           uint32_t if_revision, const lk_op *ops, size_t n, uint32_t *revision,
                           lk_note *note)
{
    lk__redis *r = (lk__redis *)store;
    lk__change change = {.key = key,
                         .generation = generation,
                         .if_revision = if_revision,
                         .ops = ops,
                         .n = n,
                         .now_s = lk_now_s(store->env)};
    int64_t until_ms = lk__redis_until(r);
    bool again = true;
    lk_status status = LK_FAULT;

    for (unsigned round = 0; again && lk__redis_now_ms() < until_ms; round++) {
        give_way(store->env, round);
        status = change_once(r, &change, revision, until_ms, &again, note);
    }
    if (again) {
        lk_note_set(note, "the session was written by others again and again");
        return LK_FAULT;
    }
    return status;
}
