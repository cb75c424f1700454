/* SPDX-License-Identifier: Apache-2.0
 *
 * lock.c - locks that carry the name of their holder, held for less than a microsecond, and taken over from
 * the dead. Also the locks over a group of entries.
 *
 * No futex: a dead holder wakes nobody, and the robust kind ties a lock to an address in one process.
 */
#include "table_inner.h"
#include <sched.h>
#include <time.h>

#define SPINS 100u /* about as long as a lock is held */
#define YIELDS 50u /* then the holder may wait for this CPU */
#define NAP_NS 50000

static void pause_cpu(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static void wait_a_little(uint32_t turn)
{
    if (turn < SPINS) {
        pause_cpu();
        return;
    }
    if (turn < SPINS + YIELDS) {
        (void)sched_yield();
        return;
    }
    struct timespec nap = {0, NAP_NS};
    (void)nanosleep(&nap, NULL);
}

static bool take(_Atomic uint64_t *word, uint64_t from, uint64_t name)
{
    return atomic_compare_exchange_strong_explicit(word, &from, name, memory_order_acquire,
                                                   memory_order_relaxed);
}

bool lk__lock_try(lk_table *t, _Atomic uint64_t *word)
{
    return take(word, 0, lk__self(t));
}

/* Take WORD from a holder that is gone. The exchange fails when another waiter was first. */
static bool take_over(lk_table *t, _Atomic uint64_t *word, uint64_t name)
{
    uint64_t holder = atomic_load_explicit(word, memory_order_relaxed);
    if (holder == 0 || holder == name || !lk__name_is_dead(holder) || !take(word, holder, name)) {
        return false;
    }
    atomic_fetch_add_explicit(&t->head->taken_over, 1, memory_order_relaxed);
    return true;
}

bool lk__lock_claim(lk_table *t, _Atomic uint64_t *word)
{
    return lk__lock_try(t, word) || take_over(t, word, lk__self(t));
}

bool lk__lock(lk_table *t, _Atomic uint64_t *word)
{
    uint64_t name = lk__self(t);
    for (uint32_t turn = 0;; turn++) {
        if (atomic_load_explicit(word, memory_order_relaxed) == 0 && take(word, 0, name)) {
            return false;
        }
        wait_a_little(turn);
        if (turn < SPINS + YIELDS) {
            continue;
        }
        if (take_over(t, word, name)) {
            return true;
        }
        turn = SPINS + YIELDS; /* keep napping; never wrap */
    }
}

void lk__unlock(_Atomic uint64_t *word)
{
    atomic_store_explicit(word, 0, memory_order_release);
}

static _Atomic uint64_t *group_lock(lk_table *t, uint64_t owner)
{
    uint64_t h = lk__sip17(t->index_key, owner, 0, 0);
    return &t->group_locks[h & (t->g.stripes - 1)].lock;
}

void lk_table_lock(lk_table *t, uint64_t owner)
{
    (void)lk__lock(
        t, group_lock(t, owner)); /* what the dead holder decided half is whole entries all the same */
}

void lk_table_unlock(lk_table *t, uint64_t owner)
{
    lk__unlock(group_lock(t, owner));
}
