/* SPDX-License-Identifier: Apache-2.0
 *
 * stripe.c - the locks over the entries, and how many entries there are.
 *
 * A holder may be killed between changing a slot and changing the count. So it first writes down what it is
 * about to do and what the count was before; whoever takes the lock from the dead sees by the slot whether it
 * was done, and sets the count to the one value that fits. Counts therefore never drift.
 */
#include "table_inner.h"

#define INTENT_INSERT 0x100u
#define INTENT_REMOVE 0x200u

static void store32(_Atomic uint32_t *where, uint32_t value)
{
    atomic_store_explicit(where, value, memory_order_release);
}

static uint32_t load32(_Atomic uint32_t *where)
{
    return atomic_load_explicit(where, memory_order_acquire);
}

/* Number of a slot over the whole index, and back. */
static uint32_t slot_number(const lk_table *t, const _Atomic uint64_t *slot)
{
    size_t at = (size_t)((const uint8_t *)slot - (const uint8_t *)t->index.buckets);
    return (uint32_t)(at / sizeof(uint64_t));
}

static _Atomic uint64_t *slot_at(const lk_table *t, uint32_t number)
{
    return number / 8 < t->index.n && number % 8 > 0 ? &t->index.buckets[number / 8].slot[number % 8 - 1]
                                                     : NULL;
}

/* Finish what a dead holder had begun. Another stripe may have put its own word into a slot that was emptied,
 * but never this word: its hash belongs to this stripe. */
void lk__stripe_settle(lk_table *t, lk__stripe *s)
{
    uint32_t intent = load32(&s->intent);
    uint32_t kind = intent & 0xff;
    _Atomic uint64_t *slot = slot_at(t, load32(&s->intent_slot));
    if (intent != 0 && slot != NULL && kind < LK_ENTRY_KINDS) {
        uint64_t word = atomic_load_explicit(&s->intent_word, memory_order_acquire);
        bool there = atomic_load_explicit(slot, memory_order_acquire) == word;
        uint32_t held = load32(&s->intent_held);
        if ((intent & INTENT_INSERT) != 0 && there) {
            held++;
        }
        if ((intent & INTENT_REMOVE) != 0 && !there && held > 0) {
            held--;
        }
        store32(&s->held[kind], held);
    }
    store32(&s->intent, 0);
}

lk__stripe *lk__stripe_lock(lk_table *t, uint32_t base)
{
    lk__stripe *s = lk__stripe_of(t, base);
    if (lk__lock(t, &s->lock)) {
        lk__stripe_settle(t, s);
    }
    return s;
}

lk__stripe *lk__stripe_try(lk_table *t, uint32_t base)
{
    lk__stripe *s = lk__stripe_of(t, base);
    return lk__lock_try(t, &s->lock) ? s : NULL;
}

void lk__stripe_unlock(lk__stripe *s)
{
    lk__unlock(&s->lock);
}

/* The order of these stores is the point: `intent` last, when all it speaks of is there. */
static void intend(lk_table *t, lk__stripe *s, uint32_t what, uint32_t kind, const _Atomic uint64_t *slot,
                   uint64_t word)
{
    store32(&s->intent_held, load32(&s->held[kind]));
    store32(&s->intent_slot, slot_number(t, slot));
    atomic_store_explicit(&s->intent_word, word, memory_order_release);
    store32(&s->intent, what | kind);
}

bool lk__stripe_insert(lk_table *t, lk__stripe *s, uint32_t kind, _Atomic uint64_t *slot, uint64_t word)
{
    uint64_t none = 0;
    intend(t, s, INTENT_INSERT, kind, slot, word);
    bool done = atomic_compare_exchange_strong(slot, &none, word);
    if (done) {
        store32(&s->held[kind], load32(&s->intent_held) + 1);
    }
    store32(&s->intent, 0);
    return done;
}

void lk__stripe_remove(lk_table *t, lk__stripe *s, uint32_t kind, _Atomic uint64_t *slot, uint64_t word)
{
    intend(t, s, INTENT_REMOVE, kind, slot, word);
    atomic_store(slot, 0);
    uint32_t held = load32(&s->intent_held);
    store32(&s->held[kind], held > 0 ? held - 1 : 0);
    store32(&s->intent, 0);
}
