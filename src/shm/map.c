/* SPDX-License-Identifier: Apache-2.0
 *
 * map.c - one entry by its key: read without a lock, written under the stripe of the key.
 */
#include "table_inner.h"

#define GET_TRIES 32u /* then the writers are made to wait for the reader */

typedef enum lookup { LOOKUP_FOUND, LOOKUP_NONE, LOOKUP_AGAIN } lookup;

/* A chunk that is not published, or holds a key that could not be in this slot, was taken away under the
 * reader. That the slot still says the same proves nothing then: the chunk may have been freed, used for
 * something else and come back to this very entry in between. And what looks like the entry is believed only
 * while the slot refers to it: where a page was cut up anew, a value could hold bytes that look like a chunk.
 */
static lookup look(const lk_table *t, const lk__id *id, lk__reading *r)
{
    lk__walk w = lk__walk_of(&t->index, id->hash);
    const _Atomic uint64_t *slot;
    uint64_t word;
    while ((slot = lk__walk_next(&w, &word)) != NULL) {
        r->chunk = lk__chunk_at(t, (uint32_t)word);
        if (r->chunk == NULL) {
            continue;
        }
        if (!lk__chunk_read(t, r->chunk, &r->peek, r->buf, r->cap) ||
            atomic_load_explicit(slot, memory_order_relaxed) != word) {
            return LOOKUP_AGAIN;
        }
        if (lk__peek_is(&r->peek, id)) {
            return LOOKUP_FOUND;
        }
        if (lk__peek_hash(t, &r->peek) != id->hash) {
            return LOOKUP_AGAIN;
        }
    }
    return LOOKUP_NONE;
}

/* Under the stripe nothing of this entry changes. */
static bool read_locked(lk_table *t, const lk__id *id, lk__reading *r)
{
    lk__found f;
    lk__stripe *s = lk__stripe_lock(t, id->base);
    bool found = lk__entry_find(t, id, &f) && lk__chunk_read(t, f.chunk, &r->peek, r->buf, r->cap);
    r->chunk = found ? f.chunk : NULL;
    lk__stripe_unlock(s);
    return found;
}

bool lk__read(lk_table *t, const lk__id *id, lk__reading *r)
{
    lookup found = look(t, id, r);
    for (uint32_t i = 0; found == LOOKUP_AGAIN && i < GET_TRIES; i++) {
        found = look(t, id, r);
    }
    return found == LOOKUP_AGAIN ? read_locked(t, id, r) : found == LOOKUP_FOUND;
}

lk_status lk_table_get(lk_table *t, lk_entry_kind kind, const uint8_t key[LK_TABLE_KEY_LEN], int64_t now_s,
                       void *buf, size_t cap, lk_entry *entry)
{
    lk__id id = lk__id_of(t, kind, key);
    lk__reading r = {.buf = buf, .cap = cap};
    if (!lk__read(t, &id, &r) || lk__is_over(&r.peek, now_s)) {
        return LK_MISS;
    }
    if (entry != NULL) {
        lk__entry_of(&r.peek, entry);
    }
    return r.peek.len > cap ? LK_FULL : LK_OK;
}

static lk_status drop(lk_table *t, const lk__id *id, const uint64_t *version)
{
    lk_status status = LK_MISS;
    lk__found f;
    lk__stripe *s = lk__stripe_lock(t, id->base);
    if (lk__entry_find(t, id, &f)) {
        bool over = lk__is_over(&f.peek, lk_now_s(t->env));
        bool stale = version != NULL && f.peek.stamp != *version;
        status = over ? LK_MISS : stale ? LK_STALE : LK_OK;
        if (over || !stale) {
            lk__entry_remove(t, s, &f);
        }
    }
    lk__stripe_unlock(s);
    return status;
}

lk_status lk_table_drop(lk_table *t, lk_entry_kind kind, const uint8_t key[LK_TABLE_KEY_LEN])
{
    lk__id id = lk__id_of(t, kind, key);
    return drop(t, &id, NULL);
}

lk_status lk_table_drop_if(lk_table *t, lk_entry_kind kind, const uint8_t key[LK_TABLE_KEY_LEN],
                           uint64_t version)
{
    lk__id id = lk__id_of(t, kind, key);
    return drop(t, &id, &version);
}

/* What P becomes. A time that was never touched is that of the writing, which a touch replaces whatever it
 * is. */
static lk__peek touched(const lk__peek *p, uint32_t seen_s, int64_t expires_s)
{
    lk__peek to = *p;
    bool was_touched = (p->flags & LK__TOUCHED) != 0;
    if (seen_s > 0 && (!was_touched || seen_s > p->last_s)) {
        to.last_s = seen_s;
        to.flags |= LK__TOUCHED;
    }
    to.expires_s = expires_s > p->expires_s ? expires_s : p->expires_s;
    return to;
}

/* The common case, that the times are there already, is a read; the rest is done under the stripe, as a chunk
 * that is being replaced must not be written to. */
lk_status lk_table_touch(lk_table *t, lk_entry_kind kind, const uint8_t key[LK_TABLE_KEY_LEN],
                         uint32_t seen_s, int64_t expires_s, uint32_t *moved_s)
{
    lk__id id = lk__id_of(t, kind, key);
    lk__reading r = {0};
    int64_t now_s = lk_now_s(t->env);
    uint32_t moved = 0;
    bool there = lk__read(t, &id, &r) && !lk__is_over(&r.peek, now_s);
    lk__peek to = there ? touched(&r.peek, seen_s, expires_s) : r.peek;
    if (there && (lk__chunk_about(&to) != lk__chunk_about(&r.peek) || to.expires_s != r.peek.expires_s)) {
        lk__found f;
        lk__stripe *s = lk__stripe_lock(t, id.base);
        there = lk__entry_find(t, &id, &f) && !lk__is_over(&f.peek, now_s);
        if (there) {
            to = touched(&f.peek, seen_s, expires_s);
            bool was_touched = (f.peek.flags & LK__TOUCHED) != 0;
            moved = (to.flags & LK__TOUCHED) == 0 ? 0 : to.last_s - (was_touched ? f.peek.last_s : 0);
            atomic_store_explicit(&f.chunk->about, lk__chunk_about(&to), memory_order_release);
            atomic_store_explicit(&f.chunk->expires, (uint64_t)to.expires_s, memory_order_release);
        }
        lk__stripe_unlock(s);
    }
    if (moved_s != NULL) {
        *moved_s = moved;
    }
    return there ? LK_OK : LK_MISS;
}
