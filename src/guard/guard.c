/* SPDX-License-Identifier: Apache-2.0
 *
 * guard.c - the guard as a whole: open, close, counters, readiness.
 */
#include "guard/guard_internal.h"
#include "guard/open_store.h"
#include "guard/trust_internal.h"
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

_Static_assert((int)LK_WORD_COUNTERS + (int)LK_COUNT_COUNT <= (int)LK_WORD_EPOCHS &&
                   (int)LK_WORD_EPOCHS + (int)LK_EPOCHS <= LK_TABLE_WORDS,
               "no counter is an epoch");
_Static_assert((int)LK_LEVEL_COUNT <= (int)LK_WORD_FOLLOWED, "every level has a word of the table");

/* What a store that forgets at restart held is gone, and so must be the tokens that named its sessions:
 * everything from before the table was first used is cut off. A logout stays a logout. */
static lk_status cut_off_before_table(lk_guard *g)
{
    _Atomic uint64_t *begun = lk_table_word(g->parts.table, LK_WORD_BEGUN_MS);
    uint64_t begun_ms = 0, now_ms = (uint64_t)lk_now_ms(g->parts.env);
    if (atomic_compare_exchange_strong(begun, &begun_ms, now_ms))
        begun_ms = now_ms;
    lk_cutoff c = {.level = LK_LEVEL_ALL, .reason = LK_REASON_EXPIRED, .before_ms = (int64_t)begun_ms};
    c.until_s = lk__cutoff_until_s(g->parts.settings, c.level, c.before_ms / 1000);
    return lk__cutoff_apply(g, &c);
}

/* Of the two stores of a move one stream is followed. What was revoked before the move began may stand in the
 * other alone, until it was copied. */
static lk_status take_over_beside(lk_guard *g)
{
    enum { BATCH = 64 };
    lk_store *store = lk_store_moves_beside(g->parts.store);
    lk_event batch[BATCH];
    uint64_t at = 0;
    size_t n = BATCH;
    while (store != NULL && n == BATCH) {
        lk_status status = lk_store_events_since(store, at, batch, &n);
        for (size_t i = 0; i < n && status == LK_OK; i++) {
            if (batch[i].kind == LK_EVENT_CUTOFF)
                status = lk__cutoff_apply(g, &batch[i].cutoff);
            at = batch[i].seq;
        }
        if (status != LK_OK)
            return LK_FAULT;
    }
    return LK_OK;
}

/* Sessions that move into the table are older than it, and nothing was forgotten: the other store has them
 * all. When they move out of it, the table is what it was. */
static lk_status begin_table(lk_guard *g)
{
    const lk_settings *s = g->parts.settings;
    bool moves_out =
        lk__is_between_stores(s) && s->move_to[0] != '\0' && strncmp(s->store, "memory:", 7) == 0;
    if (lk__is_between_stores(s) && !moves_out)
        atomic_store(lk_table_word(g->parts.table, LK_WORD_BEGUN_MS), 1);
    return g->store_is_table || moves_out ? cut_off_before_table(g) : LK_OK;
}

/* Know what was revoked, before anybody is let in. */
static lk_status open_view(lk_guard *g)
{
    if (begin_table(g) != LK_OK || take_over_beside(g) != LK_OK)
        return LK_FAULT;
    if (g->store_is_remote)
        return lk__view_open(g);
    lk_status status = LK_OK;
    (void)lk__followed_claim(g);
    /* The table may be older than this store, or have followed another one: read the whole stream again. */
    atomic_store(lk_table_word(g->parts.table, LK_WORD_FOLLOWED), 0);
    return status == LK_OK ? lk_guard_follow(g) : status;
}

lk_status lk_guard_open(lk_guard_parts parts, lk_guard **out, lk_note *note)
{
    *out = NULL;
    lk_guard *g = lk_alloc(parts.env, sizeof(*g));
    if (g == NULL) {
        lk_note_set(note, "out of memory");
        return LK_FAULT;
    }
    g->parts = parts;
    lk__share_read(g);
    g->store_is_remote = lk_store_where(parts.store) == LK_STORE_REMOTE;
    g->store_is_table = !g->store_is_remote && !lk_store_is_durable(parts.store);
    if (g->store_is_remote && lk__clock_base(parts.env) == parts.env) {
        lk_cluster_clock_init(&g->clock, parts.env, parts.table);
        g->parts.env = &g->clock.env;
    }
    lk_status status = lk__recent_open(g);
    if (status == LK_OK)
        status = lk_dpop_keys_open(parts.env, &g->dpop_keys);
    if (status != LK_OK) {
        lk_note_set(note, "out of memory");
        goto out;
    }
    status = LK_FAULT;
    if (pthread_mutex_init(&g->touch_lock, NULL) != 0)
        goto out;
    if (lk__verified_open(g) != LK_OK || lk__trusts_open(g, note) != LK_OK) {
        (void)pthread_mutex_destroy(&g->touch_lock);
        goto out;
    }
    status = open_view(g);
    if (status != LK_OK) {
        lk_note_set(note, "cannot read what was revoked from the %s store; not starting without it",
                    lk_store_name(parts.store));
        lk__trusts_close(g);
        (void)pthread_mutex_destroy(&g->touch_lock);
        status = LK_FAULT;
        goto out;
    }
    *out = g;
    g = NULL;
out:
    if (g != NULL) {
        lk_dpop_keys_close(g->dpop_keys);
        lk__recent_close(g);
    }
    lk_free(parts.env, g);
    return status;
}

void lk_guard_close(lk_guard *g)
{
    if (g == NULL)
        return;
    /* If the store does not take what is queued, it is still in the table; a table that goes with this
     * process makes a session end earlier by a tenth of its idle time at most. */
    if (g->store_is_remote)
        lk__view_stop(g);
    (void)!lk_guard_upkeep(g);
    if (g->store_is_remote)
        lk__view_close(g);
    lk__trusts_close(g);
    (void)pthread_mutex_destroy(&g->touch_lock);
    lk_dpop_keys_close(g->dpop_keys);
    lk__recent_close(g);
    lk_free(g->parts.env, g);
}

const lk_guard_parts *lk_guard_parts_of(const lk_guard *g)
{
    return &g->parts;
}

void lk_guard_count(lk_guard *g, lk_counter counter)
{
    (void)atomic_fetch_add_explicit(lk_table_word(g->parts.table, LK_WORD_COUNTERS + (unsigned)counter), 1,
                                    memory_order_relaxed);
}

uint64_t lk_guard_counted(const lk_guard *g, lk_counter counter)
{
    return atomic_load_explicit(lk_table_word(g->parts.table, LK_WORD_COUNTERS + (unsigned)counter),
                                memory_order_relaxed);
}

lk_status lk_guard_ready(lk_guard *g, lk_note *note)
{
    lk_status status = lk_store_ready(g->parts.store, note);
    if (status != LK_OK)
        return LK_FAULT;
    if (lk_guard_follow(g) != LK_OK) {
        lk_note_set(
            note,
            "what was revoked is not known in full: the stream of the %s store cannot be read, or the "
            "table of latchkey_memory is too small",
            lk_store_name(g->parts.store));
        return LK_FAULT;
    }
    return LK_OK;
}

lk_expect lk__expect(const lk_settings *s, int64_t now_s)
{
    return (lk_expect){.issuer = lk_view_of(s->jwt_issuer),
                       .audience = lk_view_of(s->jwt_audience),
                       .type = LK_JWT_TYPE,
                       .leeway_s = s->jwt_leeway_s,
                       .need_expiry = true,
                       .now_s = now_s};
}
