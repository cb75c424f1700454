/* SPDX-License-Identifier: Apache-2.0
 *
 * steal.c - a page of one size class for another, so that no class starves because others came first.
 *
 * Entries in the page are moved to free chunks of their class where there are any. What cannot be moved is
 * lost only in the order of evict.c: without need, no session is lost that was seen later than the one the
 * asking class would have lost itself.
 */
#include "table_inner.h"
#include <sched.h>

#define WINDOW 1024u   /* pages whose hints are compared */
#define TIERS 3u       /* pages with something over or low; at most half full; by age */
#define PER_TIER 2u    /* pages read of each */
#define PATIENCE 1000u /* turns given to a writer that has a chunk and has not published it */

typedef struct offer {
    uint32_t page, cls;
    uint32_t lost;   /* sessions that would go */
    uint32_t newest; /* last use among the page's sessions */
} offer;

typedef struct shortlist {
    uint32_t page[TIERS][PER_TIER];
    uint64_t score[TIERS][PER_TIER]; /* the lower the better */
} shortlist;

static uint32_t chunks_used(const lk_table *t, uint32_t page)
{
    uint32_t n = 0;
    for (uint32_t w = 0; w < LK__PAGE_BITS; w++) {
        n += (uint32_t)__builtin_popcountll(
            atomic_load_explicit(&t->pages[page].used[w], memory_order_relaxed));
    }
    return n;
}

static void enlist(shortlist *l, uint32_t tier, uint32_t page, uint64_t score)
{
    for (uint32_t i = 0; i < PER_TIER; i++) {
        if (score < l->score[tier][i]) {
            uint32_t page_out = l->page[tier][i];
            uint64_t score_out = l->score[tier][i];
            l->page[tier][i] = page;
            l->score[tier][i] = score;
            page = page_out;
            score = score_out;
        }
    }
}

static void weigh(const lk_table *t, uint32_t page, uint32_t cls, uint32_t now, shortlist *l)
{
    uint32_t used = chunks_used(t, page);
    uint32_t oldest = atomic_load_explicit(&t->oldest[page], memory_order_relaxed);
    bool is_over = atomic_load_explicit(&t->soonest[page], memory_order_relaxed) <= now;
    if (is_over || lk__bit_is(lk__bits(t, LK__BITS_LOW, cls), page)) {
        enlist(l, 0, page, oldest == UINT32_MAX ? 0 : oldest); /* best of all: no session in it */
    }
    if (used * 2 <= lk__class_chunks(cls)) {
        enlist(l, 1, page, used);
    }
    if (oldest != UINT32_MAX) {
        enlist(l, 2, page, oldest);
    }
}

static void look_around(lk_table *t, uint32_t cls, int64_t now_s, shortlist *l)
{
    memset(l, 0xff, sizeof(*l));
    uint32_t window = t->g.pages < WINDOW ? t->g.pages : WINDOW;
    uint32_t page = atomic_load_explicit(&t->head->steal_hand, memory_order_relaxed) % t->g.pages;
    for (uint32_t n = 0; n < window; n++) {
        uint32_t of = lk__page_class(t, page);
        if (of != cls && of != LK__CLASSES && atomic_load(&t->pages[page].drainer) == 0) {
            weigh(t, page, of, lk__second(now_s), l);
        }
        page = page + 1 < t->g.pages ? page + 1 : 0;
    }
    atomic_store_explicit(&t->head->steal_hand, page, memory_order_relaxed);
}

/* Free chunks of CLS outside PAGE, counted up to ENOUGH. */
static uint32_t room_elsewhere(const lk_table *t, uint32_t cls, uint32_t page, uint32_t enough)
{
    const _Atomic uint64_t *open = lk__bits(t, LK__BITS_OPEN, cls);
    uint32_t room = 0;
    for (uint32_t p = lk__bit_next(t, open, 0); p < t->g.pages && room < enough;
         p = lk__bit_next(t, open, p + 1)) {
        if (p != page && lk__page_class(t, p) == cls && atomic_load(&t->pages[p].drainer) == 0) {
            room += lk__class_chunks(cls) - chunks_used(t, p);
        }
    }
    return room;
}

/* Read PAGE; take it for the best offer if it is better. */
static void appraise(lk_table *t, uint32_t page, int64_t now_s, offer *best)
{
    lk__page_sum sum;
    lk__victim v = {0};
    uint32_t cls = lk__page_class(t, page);
    if (cls == LK__CLASSES) {
        return;
    }
    (void)lk__lock(t, &t->classes[cls].lock);
    bool still = lk__page_class(t, page) == cls;
    if (still) {
        (void)lk__page_scan(t, page, cls, now_s, NULL, &sum, &v);
        lk__page_refresh(t, page, cls, &sum);
    }
    lk__unlock(&t->classes[cls].lock);
    if (!still) {
        return;
    }
    uint32_t staying = sum.live + sum.fixed;
    uint32_t room = room_elsewhere(t, cls, page, staying);
    uint32_t lost = staying > room ? staying - room : 0;
    if (sum.fixed <= room && (lost < best->lost || (lost == best->lost && sum.newest < best->newest))) {
        *best = (offer){page, cls, lost, sum.newest};
    }
}

/* From now on nobody takes a chunk of the page. A dead drainer's place may be taken. */
static bool begin_drain(lk_table *t, const offer *o)
{
    lk__page *page = &t->pages[o->page];
    (void)lk__lock(t, &t->classes[o->cls].lock);
    uint64_t drainer = atomic_load(&page->drainer);
    bool ours = lk__page_class(t, o->page) == o->cls && (drainer == 0 || lk__name_is_dead(drainer));
    if (ours) {
        atomic_store(&page->drainer, lk__self(t));
        lk__bit_clear(lk__bits(t, LK__BITS_OPEN, o->cls), o->page);
    }
    lk__unlock(&t->classes[o->cls].lock);
    return ours;
}

static bool end_drain(lk_table *t, const offer *o)
{
    if (lk__page_release(t, o->page, o->cls, lk__self(t))) {
        return true;
    }
    atomic_store(&t->pages[o->page].drainer, 0);
    lk__bit_set(lk__bits(t, LK__BITS_OPEN, o->cls), o->page);
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

/* Move the entry or let it go. False when it may not go and has nowhere to go to. */
static bool clear_entry(lk_table *t, lk__stripe *s, lk__found *f, uint32_t cls, int64_t now_s)
{
    lk__rank rank = lk__rank_of(&f->peek, now_s);
    lk__chunk *to = rank >= LK__RANK_LIVE ? lk__room_find(t, cls) : NULL;
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

/* One chunk of the page. *again: it is being written or has just changed. */
static bool clear_chunk(lk_table *t, lk__chunk *c, uint32_t cls, int64_t now_s, bool *again)
{
    lk__peek p;
    lk__stripe *s;
    lk__found f;
    *again = !lk__chunk_read(t, c, &p, NULL, 0);
    if (*again) {
        return true;
    }
    bool done = true;
    lk_status status = lk__entry_hold(t, c, &p, NULL, &s, &f);
    *again = status == LK_STALE;
    if (status == LK_OK) {
        done = clear_entry(t, s, &f, cls, now_s);
    } else if (status == LK_MISS) {
        lk__room_free(t, c);
    }
    lk__entry_let(s, NULL);
    return done;
}

static bool clear_page(lk_table *t, const offer *o, int64_t now_s)
{
    uint32_t patience = PATIENCE;
    for (uint32_t i = 0; i < lk__class_chunks(o->cls); i++) {
        bool again = true;
        while (again && lk__page_uses(t, o->page, i)) {
            if (!clear_chunk(t, lk__page_chunk(t, o->page, o->cls, i), o->cls, now_s, &again) ||
                patience == 0) {
                return false;
            }
            if (again) {
                patience--;
                (void)sched_yield();
            }
        }
    }
    return true;
}

bool lk__steal_page(lk_table *t, uint32_t cls, int64_t now_s, bool forced, uint32_t older_than)
{
    shortlist l;
    offer best = {t->g.pages, 0, UINT32_MAX, UINT32_MAX};
    look_around(t, cls, now_s, &l);
    for (uint32_t i = 0; i < TIERS * PER_TIER; i++) {
        uint32_t page = l.page[i / PER_TIER][i % PER_TIER];
        if (page < t->g.pages) {
            appraise(t, page, now_s, &best);
        }
    }
    bool worth = best.lost == 0 || best.newest < older_than || forced;
    if (best.page == t->g.pages || !worth || !begin_drain(t, &best)) {
        return false;
    }
    bool cleared = clear_page(t, &best, now_s);
    return end_drain(t, &best) && cleared;
}
