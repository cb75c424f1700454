/* SPDX-License-Identifier: Apache-2.0
 *
 * drain.c - a page is emptied, so that another size class can have it. Its entries move to other chunks of
 * their class: free ones, or those of entries that rank lower than they do. So what is lost are the sessions
 * of the class that were seen longest ago, and not those that happen to lie in this page.
 */
#include "table_inner.h"
#include <sched.h>

#define PATIENCE 256u /* turns given to writers that have a chunk and have not published it */
#define ASK_AGAIN 64u /* turns between two looks at whether such a writer is alive */

/* From now on nobody takes a chunk of the page, nor looks for a victim in it. A dead drainer's place may be
 * taken. */
static bool begin(lk_table *t, uint32_t page, uint32_t cls)
{
    (void)lk__lock(t, &t->classes[cls].lock);
    uint64_t drainer = atomic_load(&t->pages[page].drainer);
    bool ours = lk__page_class(t, page) == cls && (drainer == 0 || lk__name_is_dead(drainer));
    if (ours) {
        atomic_store(&t->pages[page].drainer, lk__self(t));
        lk__bit_clear(lk__bits(t, LK__BITS_OPEN, cls), page);
        lk__bit_clear(lk__bits(t, LK__BITS_MINE, cls), page);
    }
    lk__unlock(&t->classes[cls].lock);
    return ours;
}

static bool end(lk_table *t, uint32_t page, uint32_t cls)
{
    if (lk__page_release(t, page, cls, lk__self(t))) {
        return true;
    }
    (void)lk__lock(t, &t->classes[cls].lock);
    atomic_store(&t->pages[page].drainer, 0);
    lk__bit_set(lk__bits(t, LK__BITS_MINE, cls), page);
    lk__bit_set(lk__bits(t, LK__BITS_OPEN, cls), page);
    lk__unlock(&t->classes[cls].lock);
    return false;
}

/* The same bytes in another chunk, under the same stamp: it is still the same version of the entry. */
static void move(lk_table *t, lk__found *f, lk__chunk *to)
{
    for (uint32_t i = 0; i < (f->peek.len + 7) / 8; i++) {
        uint64_t w = atomic_load_explicit(&f->chunk->value[i], memory_order_relaxed);
        atomic_store_explicit(&to->value[i], w, memory_order_release);
    }
    atomic_store_explicit(&to->key[0], f->peek.key[0], memory_order_release);
    atomic_store_explicit(&to->key[1], f->peek.key[1], memory_order_release);
    lk__page_note(t, to, &f->peek);
    lk__chunk_publish(to, &f->peek);
    atomic_store(f->slot, (f->word & ~0xffffffffull) | lk__chunk_handle(t, to));
    lk__room_free(t, f->chunk);
}

/* Move the entry, or let it go. False when it may not go and has nowhere to go to. */
static bool clear_entry(lk_table *t, lk__stripe *s, lk__found *f, uint32_t cls, int64_t now_s)
{
    lk__rank rank = lk__rank_of(&f->peek, now_s);
    lk__chunk *to = NULL;
    if (rank >= LK__RANK_LIVE) {
        lk__victim worth = {f->chunk, f->peek, rank};
        to = lk__room_find(t, cls);
        to = to != NULL ? to : lk__room_below(t, cls, now_s, s, &worth);
    }
    if (to != NULL) {
        move(t, f, to);
        return true;
    }
    if (rank == LK__RANK_FIXED) {
        return false;
    }
    lk__entry_remove(t, s, f);
    lk__evicted_count(t, &f->peek, rank);
    return true;
}

/* A chunk that is not published: wait for its writer, unless he is dead. Of several who find that, the one
 * who puts his own name there frees it. */
static void wait_for_writer(lk_table *t, lk__chunk *c, uint32_t *patience)
{
    uint64_t name = atomic_load(&c->stamp);
    if (*patience % ASK_AGAIN == 0 && (name & LK__PUBLISHED) == 0 && lk__name_is_dead(name) &&
        atomic_compare_exchange_strong(&c->stamp, &name, lk__self(t))) {
        lk__room_free(t, c);
    }
    (*patience)--;
    (void)sched_yield();
}

/* One chunk of the page. False when it cannot be cleared. */
static bool clear_chunk(lk_table *t, lk__chunk *c, uint32_t cls, int64_t now_s, uint32_t *patience)
{
    lk__peek p;
    lk__stripe *s;
    lk__found f;
    if (!lk__chunk_read(t, c, &p, NULL, 0)) {
        wait_for_writer(t, c, patience);
        return *patience > 0;
    }
    bool done = true;
    lk_status status = lk__entry_hold(t, c, &p, NULL, &s, &f);
    if (status == LK_OK) {
        done = clear_entry(t, s, &f, cls, now_s);
    } else if (status == LK_MISS) {
        lk__room_free(t, c);
    }
    lk__entry_let(s, NULL);
    return done;
}

static bool clear(lk_table *t, uint32_t page, uint32_t cls, int64_t now_s)
{
    uint32_t patience = PATIENCE;
    bool done = true;
    for (uint32_t i = 0; i < lk__class_chunks(cls) && done; i++) {
        while (done && lk__page_uses(t, page, i)) {
            done = clear_chunk(t, lk__page_chunk(t, page, cls, i), cls, now_s, &patience);
        }
    }
    return done;
}

bool lk__page_drain(lk_table *t, uint32_t page, uint32_t cls, int64_t now_s)
{
    if (!begin(t, page, cls)) {
        return false;
    }
    bool cleared = clear(t, page, cls, now_s);
    return end(t, page, cls) && cleared;
}
