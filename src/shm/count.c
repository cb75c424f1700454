/* SPDX-License-Identifier: Apache-2.0
 *
 * count.c - counters, and figures about the table.
 */
#include "table_inner.h"

#define COUNTER_LEN sizeof(int64_t)
#define TRIES 64u /* others made the counter, and it went again, between our looking and our making it */

static int64_t add_within(int64_t a, int64_t b)
{
    int64_t sum;
    if (__builtin_add_overflow(a, b, &sum)) {
        return b > 0 ? INT64_MAX : INT64_MIN;
    }
    return sum;
}

/* Add in place. The number goes first: whoever dies between the two stores leaves a counter that is still
 * over. */
static bool add_to(lk_table *t, const lk__id *id, int64_t add, int64_t now_s, int64_t expires_s,
                   int64_t *value)
{
    lk__found f;
    lk__stripe *s = lk__stripe_lock(t, id->base);
    bool there = lk__entry_find(t, id, &f) && f.peek.len == COUNTER_LEN;
    if (there) {
        bool over = lk__is_over(&f.peek, now_s);
        int64_t was = (int64_t)atomic_load_explicit(&f.chunk->value[0], memory_order_relaxed);
        *value = over ? add : add_within(was, add);
        atomic_store_explicit(&f.chunk->value[0], (uint64_t)*value, memory_order_release);
        if (over) {
            atomic_store_explicit(&f.chunk->expires, (uint64_t)expires_s, memory_order_release);
        }
    }
    lk__stripe_unlock(s);
    return there;
}

lk_status lk_table_count(lk_table *t, const uint8_t key[LK_TABLE_KEY_LEN], int64_t add, int64_t now_s,
                         int64_t expires_s, int64_t *value)
{
    lk__id id = lk__id_of(t, LK_ENTRY_COUNTER, key);
    for (uint32_t tries = 0; tries < TRIES; tries++) {
        if (add_to(t, &id, add, now_s, expires_s, value)) {
            return LK_OK;
        }
        lk_status status =
            lk_table_add(t, LK_ENTRY_COUNTER, key, 0, expires_s, lk_view_make(&add, COUNTER_LEN));
        if (status == LK_OK) {
            *value = add;
        }
        if (status != LK_REFUSED) {
            return status;
        }
    }
    return LK_FULL;
}

uint64_t lk_table_held(const lk_table *t, lk_entry_kind kind)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < t->g.stripes && kind < LK_ENTRY_KINDS; i++) {
        sum += atomic_load_explicit(&t->stripes[i].held[kind], memory_order_relaxed);
    }
    return sum;
}

static uint64_t bytes_in_chunks(const lk_table *t)
{
    uint64_t sum = 0;
    for (uint32_t page = 0; page < t->g.pages; page++) {
        uint32_t cls = lk__page_class(t, page);
        for (uint32_t w = 0; cls < LK__CLASSES && w * 64 < lk__class_chunks(cls); w++) {
            uint64_t used = atomic_load_explicit(&t->pages[page].used[w], memory_order_relaxed);
            sum += (uint64_t)__builtin_popcountll(used) * lk__class_size(cls);
        }
    }
    return sum;
}

void lk_table_stats_read(const lk_table *t, lk_table_stats *out)
{
    uint64_t entries = 0;
    for (uint32_t kind = LK_ENTRY_SESSION; kind < LK_ENTRY_KINDS; kind++) {
        entries += lk_table_held(t, (lk_entry_kind)kind);
    }
    *out = (lk_table_stats){.size = t->g.size,
                            .used = bytes_in_chunks(t) + entries * 2 * sizeof(uint64_t),
                            .evicted_live = atomic_load(&t->head->evicted_live),
                            .evicted_sessions = atomic_load(&t->head->evicted_sessions),
                            .refused_full = atomic_load(&t->head->refused_full),
                            .taken_over = atomic_load(&t->head->taken_over)};
}

int64_t lk_table_made_s(const lk_table *t)
{
    return t->head->made_s;
}

_Atomic uint64_t *lk_table_word(lk_table *t, unsigned index)
{
    return &t->words[index % LK_TABLE_WORDS];
}
