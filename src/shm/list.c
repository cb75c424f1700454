/* SPDX-License-Identifier: Apache-2.0
 *
 * list.c - entries of one owner, or of all, a page at a time.
 *
 * The cursor is a position in an index. A word stays where it was put for as long as its entry is there,
 * however often the entry is written, so nothing is missed and nothing comes twice. No lock is held while
 * EACH runs.
 */
#include "table_inner.h"

/* Looked at in one call for all owners, so that a sparse table does not hold an event loop: a page of results
 * may be empty. */
#define BUCKETS_A_CALL 65536u
#define TRIES 32u /* readings of an entry that changes all the time */

typedef struct visit {
    lk_entry_kind kind;
    uint64_t owner; /* 0: any */
    int64_t now_s;
    lk_table_each each;
    void *context;
    uint32_t left;
    bool stop;
} visit;

/* One try: false when the chunk was taken away meanwhile (see look() in map.c). */
static bool try_slot(const lk_table *t, const _Atomic uint64_t *slot, uint64_t word, lk__peek *p,
                     uint8_t *value)
{
    const lk__chunk *c = lk__chunk_at(t, (uint32_t)word);
    return c != NULL && lk__chunk_read(t, c, p, value, LK_TABLE_VALUE_MAX) &&
           atomic_load_explicit(slot, memory_order_relaxed) == word && lk__peek_hash(t, p) == word >> 32;
}

/* Read what SLOT refers to, whole. An entry that changes all the time is read under its stripe at last. */
static bool read_slot(lk_table *t, _Atomic uint64_t *slot, lk__peek *p, uint8_t *value)
{
    uint64_t word = atomic_load_explicit(slot, memory_order_acquire);
    bool whole = false;
    for (uint32_t tries = 0; word != 0 && !whole && tries < TRIES; tries++) {
        whole = try_slot(t, slot, word, p, value);
        if (!whole) {
            word = atomic_load_explicit(slot, memory_order_acquire);
        }
    }
    if (word != 0 && !whole) {
        lk__stripe *s = lk__stripe_lock(t, lk__index_base(&t->index, (uint32_t)(word >> 32)));
        word = atomic_load_explicit(slot, memory_order_acquire);
        whole = try_slot(t, slot, word, p, value);
        lk__stripe_unlock(s);
    }
    return whole;
}

/* Hand over the entry in SLOT, if it is one the caller wants. */
static void visit_slot(lk_table *t, _Atomic uint64_t *slot, visit *v)
{
    uint8_t value[LK_TABLE_VALUE_MAX];
    lk__peek p;
    if (!read_slot(t, slot, &p, value) || p.kind != (uint32_t)v->kind ||
        (v->owner != 0 && p.owner != v->owner) || lk__is_over(&p, v->now_s)) {
        return;
    }
    lk_entry entry;
    uint8_t key[LK_TABLE_KEY_LEN];
    memcpy(key, p.key, sizeof(key));
    lk__entry_of(&p, &entry);
    v->stop = !v->each(v->context, key, &entry, lk_view_make(value, p.len));
    v->left -= v->left > 0;
}

/* Every entry a reference stands for: one, unless two keys of the owner have the same hash. */
static void visit_reference(lk_table *t, _Atomic uint64_t *slot, uint64_t reference, visit *v)
{
    lk__walk w = lk__walk_of(&t->index, (uint32_t)reference);
    _Atomic uint64_t *entry_slot;
    uint64_t word;
    bool any = false;
    while (!v->stop && (entry_slot = lk__walk_next(&w, &word)) != NULL) {
        any = true;
        visit_slot(t, entry_slot, v);
    }
    if (!any) {
        (void)lk__owner_trim(t, NULL, slot, reference);
    }
}

static void list_owner(lk_table *t, uint64_t *cursor, visit *v)
{
    const lk__index *ix = &t->owners;
    uint32_t hash = (uint32_t)(lk__owner_word(t, v->owner, 0) >> 32);
    uint32_t base = lk__index_base(ix, hash);
    uint64_t at = *cursor;
    for (; at / LK__SLOTS < lk__index_extent(ix, base) && v->left > 0 && !v->stop; at++) {
        uint32_t level = (uint32_t)(at / LK__SLOTS);
        lk__bucket *b = &ix->buckets[lk__index_bucket(ix, base, level)];
        _Atomic uint64_t *slot = &b->slot[at % LK__SLOTS];
        uint64_t reference = atomic_load_explicit(slot, memory_order_acquire);
        if (reference >> 32 == hash) {
            visit_reference(t, slot, reference, v);
        }
    }
    *cursor = at / LK__SLOTS < lk__index_extent(ix, base) ? at : 0;
}

static void list_all(lk_table *t, uint64_t *cursor, visit *v)
{
    const lk__index *ix = &t->index;
    uint64_t at = *cursor;
    uint64_t end = (uint64_t)ix->n * LK__SLOTS;
    uint64_t stop = at + (uint64_t)BUCKETS_A_CALL * LK__SLOTS;
    stop = stop < end ? stop : end;
    for (; at < stop && v->left > 0 && !v->stop; at++) {
        visit_slot(t, &ix->buckets[at / LK__SLOTS].slot[at % LK__SLOTS], v);
    }
    *cursor = at < end ? at : 0;
}

lk_status lk_table_list(lk_table *t, lk_entry_kind kind, uint64_t owner, uint64_t *cursor, uint32_t page,
                        lk_table_each each, void *context)
{
    visit v = {kind, owner, lk_now_s(t->env), each, context, page > 0 ? page : 1, false};
    if (owner != 0) {
        list_owner(t, cursor, &v);
    } else {
        list_all(t, cursor, &v);
    }
    return LK_OK;
}
