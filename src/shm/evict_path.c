/* SPDX-License-Identifier: Apache-2.0
 *
 * evict_path.c - room in an index, where entries are so small that they fill it before the arena: of the
 * entries on the path of the new one, the one that ranks lowest goes.
 */
#include "table_inner.h"

#define PATH_LEVELS 8u /* levels searched for a victim */

static bool remove_victim(lk_table *t, const lk__stripe *held, const lk__victim *v)
{
    lk__stripe *s;
    lk__found f;
    lk_status status = lk__entry_hold(t, v->chunk, &v->peek, held, &s, &f);
    if (status == LK_OK) {
        lk__entry_remove(t, s, &f);
        lk__evicted_count(t, &f.peek, v->rank);
    }
    lk__entry_let(s, held);
    return status == LK_OK;
}

static void consider(const lk_table *t, uint32_t handle, int64_t now_s, lk__victim *v)
{
    lk__peek p;
    lk__chunk *c = lk__chunk_at(t, handle);
    if (c == NULL || !lk__chunk_read(t, c, &p, NULL, 0)) {
        return;
    }
    lk__rank rank = lk__rank_of(&p, now_s);
    if (lk__victim_beats(v, &p, rank)) {
        *v = (lk__victim){c, p, rank};
    }
}

bool lk__evict_slot(lk_table *t, const lk__stripe *held, uint32_t base)
{
    int64_t now_s = lk_now_s(t->env);
    lk__victim v = {0};
    for (uint32_t level = 0; level < PATH_LEVELS; level++) {
        const lk__bucket *b = &t->index.buckets[lk__index_bucket(&t->index, base, level)];
        for (uint32_t i = 0; i < LK__SLOTS; i++) {
            consider(t, (uint32_t)atomic_load(&b->slot[i]), now_s, &v);
        }
    }
    return v.chunk != NULL && remove_victim(t, held, &v);
}

/* The entries behind one reference. One that leads nowhere is trimmed, which makes room as well. */
static bool follow(lk_table *t, const lk__stripe *held, _Atomic uint64_t *slot, int64_t now_s, lk__victim *v)
{
    uint64_t reference = atomic_load(slot);
    lk__walk w = lk__walk_of(&t->index, (uint32_t)reference);
    uint64_t word;
    bool any = false;
    while (lk__walk_next(&w, &word) != NULL) {
        any = true;
        consider(t, (uint32_t)word, now_s, v);
    }
    return !any && lk__owner_trim(t, held, slot, reference);
}

bool lk__evict_reference(lk_table *t, const lk__stripe *held, uint32_t base)
{
    int64_t now_s = lk_now_s(t->env);
    lk__victim v = {0};
    for (uint32_t level = 0; level < PATH_LEVELS; level++) {
        lk__bucket *b = &t->owners.buckets[lk__index_bucket(&t->owners, base, level)];
        for (uint32_t i = 0; i < LK__SLOTS; i++) {
            if (follow(t, held, &b->slot[i], now_s, &v)) {
                return true;
            }
        }
    }
    return v.chunk != NULL && remove_victim(t, held, &v);
}
