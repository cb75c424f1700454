/* SPDX-License-Identifier: Apache-2.0
 *
 * owner.c - the references by owner: (hash of the owner, hash of the key), so that the entries of one user
 * are found without looking at anybody else's.
 *
 * A reference names the key and not the place, so no update of an entry touches it. It is written before its
 * entry and removed after it; one that leads nowhere is harmless and is trimmed by whoever meets it.
 */
#include "table_inner.h"

#define NEAR_LEVELS 8u /* tried first, so that ordinary owners stay within a line or two */
#define GUESSES 8u     /* then some levels the owner has already, as others may have left room there */
#define NEW_LEVELS 32u
#define LEFT_FREE 2u

uint64_t lk__owner_word(const lk_table *t, uint64_t owner, uint32_t hash)
{
    return (uint64_t)lk__hash_of(lk__sip17(t->index_key, owner, 0, 1)) << 32 | hash;
}

static uint32_t base_of(const lk_table *t, uint64_t word)
{
    return lk__index_base(&t->owners, (uint32_t)(word >> 32));
}

static _Atomic uint64_t *lock_of(lk_table *t, uint32_t base)
{
    return &t->owner_locks[base & (t->g.stripes - 1)].lock;
}

static _Atomic uint64_t *find(const lk_table *t, uint64_t word)
{
    lk__walk w = lk__walk_of(&t->owners, (uint32_t)(word >> 32));
    uint64_t at;
    _Atomic uint64_t *slot;
    w.extent = w.extent < LK__OWNER_LOOK ? w.extent : LK__OWNER_LOOK;
    while ((slot = lk__walk_next(&w, &at)) != NULL && at != word) {
    }
    return slot;
}

/* Behind the near levels an owner with very many entries leaves room in each bucket, so that the others still
 * find some near theirs; unless there is no other way. */
static _Atomic uint64_t *find_far(const lk__index *ix, uint32_t base, uint32_t hash, uint32_t keep,
                                  uint32_t *level)
{
    uint32_t extent = lk__index_extent(ix, base);
    uint32_t from = extent > NEAR_LEVELS ? extent - 1 : NEAR_LEVELS;
    uint32_t to = from + NEW_LEVELS < ix->levels ? from + NEW_LEVELS : ix->levels;
    for (uint32_t i = 1; i <= GUESSES && extent > NEAR_LEVELS; i++) {
        uint32_t guess = (uint32_t)(((uint64_t)(hash * (i * 0x9e3779b9u)) * extent) >> 32);
        _Atomic uint64_t *slot = lk__index_free(ix, base, guess, guess + 1, keep, level);
        if (slot != NULL) {
            return slot;
        }
    }
    return lk__index_free(ix, base, from, to, keep, level);
}

static _Atomic uint64_t *find_free(const lk__index *ix, uint32_t base, uint32_t hash, uint32_t *level)
{
    _Atomic uint64_t *slot = lk__index_free(ix, base, 0, NEAR_LEVELS, 0, level);
    if (slot == NULL) {
        slot = find_far(ix, base, hash, LEFT_FREE, level);
    }
    return slot != NULL ? slot : find_far(ix, base, hash, 0, level);
}

/* Under the lock of BASE. Words of other bases share the buckets, so a free slot has to be won. */
static bool put_in(lk_table *t, uint32_t base, uint64_t word)
{
    uint32_t level;
    _Atomic uint64_t *slot;
    while ((slot = find_free(&t->owners, base, (uint32_t)word, &level)) != NULL) {
        uint64_t none = 0;
        lk__index_reach(&t->owners, base, level);
        if (atomic_compare_exchange_strong(slot, &none, word)) {
            return true;
        }
    }
    return false;
}

bool lk__owner_add(lk_table *t, const lk__stripe *held, uint64_t owner, uint32_t hash)
{
    uint64_t word = lk__owner_word(t, owner, hash);
    uint32_t base = base_of(t, word);
    bool done = false;
    for (uint32_t tries = 0; !done && tries < 4; tries++) {
        (void)lk__lock(t, lock_of(t, base));
        done = find(t, word) != NULL || put_in(t, base, word);
        lk__unlock(lock_of(t, base));
        if (!done && !lk__evict_reference(t, held, base)) {
            break;
        }
    }
    return done;
}

/* Under the stripe of HASH no entry with that hash comes or goes. */
void lk__owner_drop(lk_table *t, uint64_t owner, uint32_t hash)
{
    uint64_t word = lk__owner_word(t, owner, hash);
    uint32_t base = base_of(t, word);
    if (lk__entry_has_owner(t, hash, word)) {
        return; /* two keys of one owner with one hash share the reference */
    }
    (void)lk__lock(t, lock_of(t, base));
    _Atomic uint64_t *slot = find(t, word);
    if (slot != NULL) {
        atomic_store(slot, 0);
        lk__index_shrink(&t->owners, base);
    }
    bool too_deep = slot == NULL && lk__index_extent(&t->owners, base) > LK__OWNER_LOOK;
    lk__unlock(lock_of(t, base));
    if (too_deep) {
        lk__index_recheck(t);
    }
}

bool lk__owner_trim(lk_table *t, const lk__stripe *held, _Atomic uint64_t *slot, uint64_t word)
{
    uint32_t hash = (uint32_t)word;
    uint32_t base = base_of(t, word);
    bool done = false;
    lk__stripe *s = lk__stripe_other(t, lk__index_base(&t->index, hash), held);
    if (s != NULL && word != 0 && !lk__entry_has_owner(t, hash, word)) {
        (void)lk__lock(t, lock_of(t, base));
        done = atomic_compare_exchange_strong(slot, &word, 0);
        lk__index_shrink(&t->owners, base);
        lk__unlock(lock_of(t, base));
    }
    lk__entry_let(s, held);
    return done;
}

void lk__owner_shrink(lk_table *t, uint32_t base)
{
    if (lk__index_extent(&t->owners, base) > 1) {
        (void)lk__lock(t, lock_of(t, base));
        lk__index_shrink(&t->owners, base);
        lk__unlock(lock_of(t, base));
    }
}
