/* SPDX-License-Identifier: Apache-2.0
 *
 * replay.c - proofs and signed requests are good once: marks of those that were used, in the shared table.
 *
 * A mark is never pushed out before its end, or what it stands for would be new again; so their number is
 * bounded, and whoever has a key must not be able to take all of it. Of the marks that there may be
 * (1 for each KiB of the table, a quarter of its index) nobody has more than a quarter of those that are
 * still free: N who send as much as they can leave (3/4)^N of the room to others, and that never becomes
 * nothing. (Choudhury and Hahne, "Dynamic queue length thresholds", 1998.) What does not fit is refused, not
 * forgotten.
 */
#include "guard/guard_internal.h"
#include <string.h>

enum {
    BYTES_PER_MARK = 1024,
    FREE_FOR_ALL = 64,   /* marks that anybody may have, whatever is free */
    SHARE = 4,           /* of the free ones, beyond that */
    COUNTED_FOR_MS = 50, /* how long the number of marks is taken for what it was */
    SLACK_S = 2          /* a mark outlives what it stands for by so much: clocks are read twice */
};

static uint64_t marks_max(lk_guard *g)
{
    uint64_t max = atomic_load_explicit(&g->proofs_max, memory_order_relaxed);
    if (max == 0) {
        lk_table_stats stats;
        lk_table_stats_read(g->parts.table, &stats);
        max = stats.size / BYTES_PER_MARK + 1;
        atomic_store_explicit(&g->proofs_max, max, memory_order_relaxed);
    }
    return max;
}

/* Counting looks at every lock of the table: not for each request. */
static uint64_t marks_held(lk_guard *g)
{
    int64_t now_ms = lk__mono_ms(g), counted_ms = atomic_load(&g->proofs_counted_ms);
    if (counted_ms == 0 || now_ms - counted_ms >= COUNTED_FOR_MS) {
        atomic_store(&g->proofs_held, lk_table_held(g->parts.table, LK_ENTRY_PROOF));
        atomic_store(&g->proofs_counted_ms, now_ms);
    }
    return atomic_load(&g->proofs_held);
}

/* May BY have one more? His count is that of a time as long as a proof is good. */
static bool has_share(lk_guard *g, const lk__use *use)
{
    uint8_t name[16 + LK_REALM_MAX + LK_USER_ID_MAX + LK_CUTOFF_KEY_MAX], key[LK_TABLE_KEY_LEN];
    lk_buf text = lk_buf_over(name, sizeof(name));
    int64_t now_s = lk_now_s(g->parts.env), used = 0;
    uint64_t max = marks_max(g), held = marks_held(g), free_marks = held < max ? max - held : 0;
    lk_buf_add_text(&text, "used by ");
    lk_buf_add(&text, use->by);
    lk_table_key(g->parts.table, LK_ENTRY_COUNTER, lk_buf_view(&text), key);
    /* A table without room for the count has none for the mark either: that says so. */
    if (lk_table_count(g->parts.table, key, 1, lk__table_s(g, now_s), lk__table_s(g, use->until_s + SLACK_S),
                       &used) != LK_OK)
        return free_marks > 0;
    return free_marks > 0 && (used <= FREE_FOR_ALL || (uint64_t)used <= free_marks / SHARE);
}

lk_status lk__use_up(lk_guard *g, const lk__use *use)
{
    uint8_t name[16 + LK_JKT_LEN + LK_DPOP_ID_MAX], key[LK_TABLE_KEY_LEN];
    lk_buf text = lk_buf_over(name, sizeof(name));
    /* What was made before this table may have been used before it, too. */
    if (lk__table_s(g, use->made_s) < lk_table_made_s(g->parts.table))
        return LK_STALE;
    if (!has_share(g, use))
        return LK_FULL;
    lk_buf_add_text(&text, use->kind);
    lk_buf_add_byte(&text, ' ');
    lk_buf_add(&text, use->key);
    lk_buf_add_byte(&text, ' ');
    lk_buf_add(&text, use->id);
    if (text.full)
        return LK_FULL; /* cannot be: all of them have bounds */
    lk_table_key(g->parts.table, LK_ENTRY_PROOF, lk_buf_view(&text), key);
    lk_status status = lk_table_add(g->parts.table, LK_ENTRY_PROOF, key, 0,
                                    lk__table_s(g, use->until_s + SLACK_S), LK_VIEW("-"));
    if (status == LK_REFUSED)
        lk_guard_count(g, LK_COUNT_REPLAYED);
    return status == LK_OK || status == LK_REFUSED ? status : LK_FULL;
}
