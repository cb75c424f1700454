/* SPDX-License-Identifier: Apache-2.0
 *
 * renew.c - upkeep: last-seen times to the store, what is over out of it.
 */
#include "guard/guard_internal.h"
#include <stdatomic.h>
#include <string.h>

enum { SWEEP_EVERY_MS = 1000, SWEEP_ROWS = 2000, SWEEP_MS = 20, FLUSH_BATCH = 512 };

static lk_status flush_touches(lk_guard *g)
{
    lk_touch batch[FLUSH_BATCH];
    for (;;) {
        size_t n = 0;
        if (pthread_mutex_lock(&g->touch_lock) != 0)
            return LK_FAULT;
        n = g->touches_n < FLUSH_BATCH ? g->touches_n : FLUSH_BATCH;
        memcpy(batch, g->touches + (g->touches_n - n), n * sizeof(batch[0]));
        g->touches_n -= n;
        (void)pthread_mutex_unlock(&g->touch_lock);
        if (n == 0)
            return LK_OK;
        lk_status status = lk_store_touch_many(g->parts.store, batch, n);
        if (status != LK_OK)
            return status; /* the times are in the table; the next tenth queues them again */
        for (size_t i = 0; i < n; i++)
            lk_guard_count(g, LK_COUNT_TOUCHES);
    }
}

/* One process at a time sweeps: the one that moves the word. */
static bool take_sweep(lk_guard *g)
{
    _Atomic uint64_t *word = lk_table_word(g->parts.table, LK_WORD_SWEPT_AT_MS);
    uint64_t last = atomic_load(word);
    uint64_t now = (uint64_t)lk_now_ms(g->parts.env);
    bool due =
        now >= last + SWEEP_EVERY_MS || now < last; /* a clock that stepped back does not stop the sweep */
    return due && atomic_compare_exchange_strong(word, &last, now);
}

static lk_status sweep(lk_guard *g)
{
    uint32_t removed = 0;
    int64_t now_s = lk_now_s(g->parts.env);
    lk_status status = lk_store_sweep(g->parts.store, now_s, SWEEP_ROWS, SWEEP_MS, &removed);
    for (uint32_t i = 0; i < removed; i++)
        lk_guard_count(g, LK_COUNT_SWEPT);
    if (status == LK_FAULT)
        return LK_FAULT;
    status = lk_table_sweep(g->parts.table, now_s, SWEEP_ROWS, SWEEP_MS, &removed);
    return status == LK_FAULT ? LK_FAULT : LK_OK;
}

lk_status lk_guard_upkeep(lk_guard *g)
{
    lk_status told = lk__copies_tell(g);
    lk_status flushed = flush_touches(g);
    lk_status swept = take_sweep(g) ? sweep(g) : LK_OK;
    /* With a remote store a thread of its own follows. */
    lk_status followed = g->store_is_remote ? LK_OK : lk_guard_follow(g);
    return told == LK_OK && flushed == LK_OK && swept == LK_OK && followed == LK_OK ? LK_OK : LK_FAULT;
}
