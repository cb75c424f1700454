/* SPDX-License-Identifier: Apache-2.0
 *
 * entry.c - one entry under its stripe: found, taken out.
 *
 * Order, so that a kill between any two steps leaves nothing wrong: in - reference by owner, chunk, slot; out
 * - slot, reference, chunk. An entry that can be found is therefore whole; what is left over is a reference
 * that leads nowhere or a chunk nobody refers to, and both can be told and are removed.
 */
#include "table_inner.h"

bool lk__entry_find(const lk_table *t, const lk__id *id, lk__found *f)
{
    lk__walk w = lk__walk_of(&t->index, id->hash);
    while ((f->slot = lk__walk_next(&w, &f->word)) != NULL) {
        f->chunk = lk__chunk_at(t, (uint32_t)f->word);
        if (f->chunk != NULL && lk__chunk_read(t, f->chunk, &f->peek, NULL, 0) && lk__peek_is(&f->peek, id)) {
            return true;
        }
    }
    return false;
}

bool lk__entry_has_owner(const lk_table *t, uint32_t hash, uint64_t reference)
{
    lk__walk w = lk__walk_of(&t->index, hash);
    uint64_t word;
    while (lk__walk_next(&w, &word) != NULL) {
        lk__peek p;
        const lk__chunk *c = lk__chunk_at(t, (uint32_t)word);
        if (c != NULL && lk__chunk_read(t, c, &p, NULL, 0) && p.owner != 0 &&
            lk__owner_word(t, p.owner, hash) == reference) {
            return true;
        }
    }
    return false;
}

void lk__entry_unlink(lk_table *t, lk__stripe *s, const lk__found *f)
{
    uint32_t hash = (uint32_t)(f->word >> 32);
    lk__stripe_remove(t, s, f->peek.kind, f->slot, f->word);
    if (f->peek.owner != 0) {
        lk__owner_drop(t, f->peek.owner, hash);
    }
    lk__index_shrink(&t->index, lk__index_base(&t->index, hash));
}

void lk__entry_remove(lk_table *t, lk__stripe *s, const lk__found *f)
{
    lk__entry_unlink(t, s, f);
    lk__room_free(t, f->chunk);
}

static _Atomic uint64_t *slot_of(const lk_table *t, uint32_t hash, uint64_t word)
{
    lk__walk w = lk__walk_of(&t->index, hash);
    uint64_t at;
    _Atomic uint64_t *slot;
    while ((slot = lk__walk_next(&w, &at)) != NULL && at != word) {
    }
    return slot;
}

lk_status lk__entry_hold(lk_table *t, lk__chunk *c, const lk__peek *p, const lk__stripe *held, lk__stripe **s,
                         lk__found *f)
{
    lk__id id = lk__id_of_words(t, p->kind, p->key[0], p->key[1]);
    *s = lk__stripe_other(t, id.base, held);
    if (*s == NULL) {
        return LK_STALE;
    }
    if (!lk__chunk_read(t, c, &f->peek, NULL, 0) || f->peek.stamp != p->stamp) {
        lk__entry_let(*s, held);
        *s = NULL;
        return LK_STALE;
    }
    f->chunk = c;
    f->word = (uint64_t)id.hash << 32 | lk__chunk_handle(t, c);
    f->slot = slot_of(t, id.hash, f->word);
    return f->slot != NULL ? LK_OK : LK_MISS;
}

lk__stripe *lk__stripe_other(lk_table *t, uint32_t base, const lk__stripe *held)
{
    if (held == NULL) {
        return lk__stripe_lock(t, base);
    }
    return held == lk__stripe_of(t, base) ? lk__stripe_of(t, base) : lk__stripe_try(t, base);
}

void lk__entry_let(lk__stripe *s, const lk__stripe *held)
{
    if (s != NULL && s != held) {
        lk__stripe_unlock(s);
    }
}
