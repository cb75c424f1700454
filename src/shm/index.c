/* SPDX-License-Identifier: Apache-2.0
 *
 * index.c - room in an index: where a new word may go, and how far a reader has to look.
 *
 * A word never moves once it is in, so a walk that goes on later neither misses nor repeats it. A reader
 * looks at `extent` levels of its base; a writer raises the extent before it uses a level.
 */
#include "table_inner.h"

_Atomic uint64_t *lk__index_free(const lk__index *ix, uint32_t base, uint32_t from, uint32_t to,
                                 uint32_t keep, uint32_t *level)
{
    for (uint32_t l = from; l < to; l++) {
        lk__bucket *b = &ix->buckets[lk__index_bucket(ix, base, l)];
        uint32_t free_slots = 0;
        for (uint32_t i = 0; i < LK__SLOTS; i++) {
            free_slots += atomic_load_explicit(&b->slot[i], memory_order_relaxed) == 0;
            if (free_slots > keep) {
                *level = l;
                return &b->slot[i];
            }
        }
    }
    return NULL;
}

void lk__index_reach(const lk__index *ix, uint32_t base, uint32_t level)
{
    if (level >= lk__index_extent(ix, base)) {
        atomic_store_explicit(&ix->buckets[base].extent, level + 1, memory_order_release);
    }
}

static bool holds_any_of(const lk__index *ix, uint32_t base, uint32_t level)
{
    const lk__bucket *b = &ix->buckets[lk__index_bucket(ix, base, level)];
    for (uint32_t i = 0; i < LK__SLOTS; i++) {
        uint64_t word = atomic_load_explicit(&b->slot[i], memory_order_relaxed);
        if (word != 0 && lk__index_base(ix, (uint32_t)(word >> 32)) == base) {
            return true;
        }
    }
    return false;
}

void lk__index_shrink(const lk__index *ix, uint32_t base)
{
    uint32_t extent = lk__index_extent(ix, base);
    uint32_t now = extent;
    while (now > 1 && !holds_any_of(ix, base, now - 1)) {
        now--;
    }
    if (now != extent) {
        atomic_store_explicit(&ix->buckets[base].extent, now, memory_order_release);
    }
}
