/* SPDX-License-Identifier: Apache-2.0
 *
 * write.c - an entry inserted or replaced: into fresh room, published by one store.
 */
#include "table_inner.h"

#define SLOT_TRIES 16u /* victims on a full path that others had locked */

typedef enum write_mode { PUT, ADD, PUT_IF } write_mode;

/* One write, however it is asked for. */
typedef struct writing {
    lk__id id;
    write_mode mode;
    uint64_t version; /* PUT_IF */
    uint64_t owner;   /* not for PUT_IF */
    int64_t expires_s, now_s;
    lk_view value;
    bool spare; /* into free room only */
} writing;

/* What the entry that is there, or not, means for this write. */
static lk_status judge(const writing *w, const lk__peek *there)
{
    bool live = there != NULL && !lk__is_over(there, w->now_s);
    switch (w->mode) {
    case PUT:
        break;
    case ADD:
        return live ? LK_REFUSED : LK_OK;
    case PUT_IF:
        if (!live) {
            return LK_MISS;
        }
        return there->stamp == w->version ? LK_OK : LK_STALE;
    }
    return LK_OK;
}

static uint64_t next_stamp(lk_table *t)
{
    return LK__PUBLISHED | atomic_fetch_add_explicit(&t->head->stamp, 1, memory_order_relaxed);
}

/* The head of the new chunk. A live entry keeps when it was seen, and, where the caller cannot say, its
 * owner. */
static lk__peek new_head(lk_table *t, const writing *w, const lk__found *old)
{
    lk__peek p = {.stamp = next_stamp(t),
                  .key = {w->id.key[0], w->id.key[1]},
                  .owner = w->owner,
                  .expires_s = w->expires_s,
                  .last_s = lk__second(w->now_s),
                  .kind = w->id.kind,
                  .len = (uint32_t)w->value.len};
    if (old != NULL && w->mode == PUT_IF) {
        p.owner = old->peek.owner;
    }
    if (old != NULL && !lk__is_over(&old->peek, w->now_s) && (old->peek.flags & LK__TOUCHED) != 0) {
        p.last_s = old->peek.last_s;
        p.flags = LK__TOUCHED;
    }
    return p;
}

static void replace(lk_table *t, const writing *w, const lk__found *old, uint32_t handle, const lk__peek *p)
{
    atomic_store(old->slot, (uint64_t)w->id.hash << 32 | handle);
    if (old->peek.owner != 0 && old->peek.owner != p->owner) {
        lk__owner_drop(t, old->peek.owner, w->id.hash);
    }
    lk__room_free(t, old->chunk);
}

static bool insert(lk_table *t, lk__stripe *s, const writing *w, uint32_t handle)
{
    uint64_t word = (uint64_t)w->id.hash << 32 | handle;
    for (uint32_t tries = 0; tries < SLOT_TRIES;) {
        uint32_t level;
        _Atomic uint64_t *slot = lk__index_free(&t->index, w->id.base, 0, t->index.levels, 0, &level);
        if (slot == NULL && w->spare) {
            return false;
        }
        if (slot == NULL) {
            (void)lk__evict_slot(t, s, w->id.base);
            tries++;
            continue;
        }
        lk__index_reach(&t->index, w->id.base, level);
        if (lk__stripe_insert(t, s, w->id.kind, slot, word)) {
            return true;
        }
    }
    return false;
}

/* Under the stripe: publish the chunk C in the place of what is there. */
static lk_status settle(lk_table *t, lk__stripe *s, const writing *w, lk__chunk *c)
{
    lk__found old;
    bool there = lk__entry_find(t, &w->id, &old);
    lk_status status = judge(w, there ? &old.peek : NULL);
    if (status != LK_OK) {
        return status;
    }
    lk__peek p = new_head(t, w, there ? &old : NULL);
    bool new_owner = p.owner != 0 && !(there && old.peek.owner == p.owner);
    if (new_owner) {
        if (!lk__owner_add(t, s, p.owner, w->id.hash)) {
            return LK_FULL;
        }
        there = lk__entry_find(t, &w->id, &old); /* making room may have pushed it out */
    }
    lk__page_note(t, c, &p);
    lk__chunk_publish(c, &p);
    if (there) {
        replace(t, w, &old, lk__chunk_handle(t, c), &p);
    } else if (!insert(t, s, w, lk__chunk_handle(t, c))) {
        lk__owner_drop(t, p.owner, w->id.hash);
        return LK_FULL;
    }
    return LK_OK;
}

/* Take room, fill it, publish it. What cannot be is found out first where a read can tell, so that nobody is
 * pushed out for a write that is refused. */
static lk_status write_entry(lk_table *t, writing *w)
{
    lk__reading r = {0};
    w->now_s = lk_now_s(t->env);
    bool there = lk__read(t, &w->id, &r);
    lk_status status = judge(w, there ? &r.peek : NULL);
    if (status != LK_OK) {
        return status;
    }
    lk__chunk *c = NULL;
    if (w->value.len <= LK_TABLE_VALUE_MAX) {
        uint32_t cls = lk__class_of(w->value.len);
        c = w->spare ? lk__room_find(t, cls) : lk__room_take(t, cls, there ? r.chunk : NULL);
    }
    if (c == NULL) {
        return LK_FULL;
    }
    lk__chunk_fill(c, &w->id, w->value);
    lk__stripe *s = lk__stripe_lock(t, w->id.base);
    status = settle(t, s, w, c);
    if (status != LK_OK) {
        lk__room_free(t, c);
    }
    lk__stripe_unlock(s);
    return status;
}

static lk_status counted(lk_table *t, writing *w)
{
    if (w->id.kind < LK_ENTRY_SESSION || w->id.kind >= LK_ENTRY_KINDS) {
        return LK_FAULT;
    }
    lk_status status = write_entry(t, w);
    if (status == LK_FULL) {
        atomic_fetch_add_explicit(&t->head->refused_full, 1, memory_order_relaxed);
    }
    return status;
}

lk_status lk_table_put(lk_table *t, lk_entry_kind kind, const uint8_t key[LK_TABLE_KEY_LEN], uint64_t owner,
                       int64_t expires_s, lk_view value)
{
    writing w = {lk__id_of(t, kind, key), PUT, 0, owner, expires_s, 0, value, false};
    return counted(t, &w);
}

lk_status lk_table_add(lk_table *t, lk_entry_kind kind, const uint8_t key[LK_TABLE_KEY_LEN], uint64_t owner,
                       int64_t expires_s, lk_view value)
{
    writing w = {lk__id_of(t, kind, key), ADD, 0, owner, expires_s, 0, value, false};
    return counted(t, &w);
}

lk_status lk_table_add_spare(lk_table *t, lk_entry_kind kind, const uint8_t key[LK_TABLE_KEY_LEN],
                             int64_t expires_s, lk_view value)
{
    writing w = {lk__id_of(t, kind, key), ADD, 0, 0, expires_s, 0, value, true};
    return kind < LK_ENTRY_SESSION || kind >= LK_ENTRY_KINDS ? LK_FAULT : write_entry(t, &w);
}

lk_status lk_table_put_if(lk_table *t, lk_entry_kind kind, const uint8_t key[LK_TABLE_KEY_LEN],
                          uint64_t version, int64_t expires_s, lk_view value)
{
    writing w = {lk__id_of(t, kind, key), PUT_IF, version, 0, expires_s, 0, value, false};
    return counted(t, &w);
}
