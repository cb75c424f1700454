/* SPDX-License-Identifier: Apache-2.0
 *
 * steal.c - a page of one size class for another, so that no class starves because others came first.
 *
 * A page that costs no live session (it is half empty, or holds what goes first) is taken at once; otherwise
 * one of the class whose sessions were seen longest ago, if they are older than what the asking class would
 * lose itself.
 */
#include "table_inner.h"

#define WINDOW 1024u /* pages whose hints are compared */
#define TIERS 3u     /* pages with something over or low; at most half full; by age */
#define PER_TIER 2u  /* pages read of each */

typedef struct offer {
    uint32_t page, cls;
    uint32_t staying; /* entries to be moved */
    uint32_t lost;    /* sessions that would go for want of room to move to */
    uint32_t oldest;  /* last use of the one seen longest ago */
    uint32_t pages;   /* how many the class has */
} offer;

typedef struct shortlist {
    uint32_t page[TIERS][PER_TIER];
    uint64_t score[TIERS][PER_TIER]; /* the lower the better */
} shortlist;

static uint32_t chunks_used(const lk_table *t, uint32_t page, uint32_t cls)
{
    uint32_t n = 0;
    for (uint32_t w = 0; w * 64 < lk__class_chunks(cls); w++) {
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
    uint32_t oldest = atomic_load_explicit(&t->oldest[page], memory_order_relaxed);
    bool is_over = atomic_load_explicit(&t->soonest[page], memory_order_relaxed) <= now;
    if (is_over || lk__bit_is(lk__bits(t, LK__BITS_LOW, cls), page)) {
        enlist(l, 0, page, oldest == UINT32_MAX ? 0 : oldest); /* best of all: no session in it */
    }
    if (lk__bit_is(lk__bits(t, LK__BITS_OPEN, cls), page)) {
        uint32_t used = chunks_used(t, page, cls);
        enlist(l, 1, page, used * 2 <= lk__class_chunks(cls) ? used : UINT64_MAX);
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

static uint32_t pages_of(const lk_table *t, uint32_t cls)
{
    const _Atomic uint64_t *mine = lk__bits(t, LK__BITS_MINE, cls);
    uint32_t n = 0;
    for (uint32_t w = 0; w < t->g.bit_words; w++) {
        n += (uint32_t)__builtin_popcountll(atomic_load_explicit(&mine[w], memory_order_relaxed));
    }
    return n;
}

/* Free chunks of CLS outside PAGE, counted up to ENOUGH. */
static uint32_t room_elsewhere(const lk_table *t, uint32_t cls, uint32_t page, uint32_t enough)
{
    const _Atomic uint64_t *open = lk__bits(t, LK__BITS_OPEN, cls);
    uint32_t room = 0;
    for (uint32_t p = lk__bit_next(t, open, 0); p < t->g.pages && room < enough;
         p = lk__bit_next(t, open, p + 1)) {
        if (p != page && lk__page_class(t, p) == cls && atomic_load(&t->pages[p].drainer) == 0) {
            room += lk__class_chunks(cls) - chunks_used(t, p, cls);
        }
    }
    return room;
}

/* Read PAGE. False when it is not to be had. */
static bool appraise(lk_table *t, uint32_t page, int64_t now_s, offer *o)
{
    lk__page_sum sum = {.other = 1};
    lk__victim v = {0};
    uint32_t cls = lk__page_class(t, page);
    if (cls == LK__CLASSES) {
        return false;
    }
    (void)lk__lock(t, &t->classes[cls].lock);
    if (lk__page_class(t, page) == cls) {
        (void)lk__page_scan(t, page, cls, now_s, NULL, &sum, &v);
        lk__page_refresh(t, page, cls, &sum);
    }
    lk__unlock(&t->classes[cls].lock);
    uint32_t staying = sum.live + sum.fixed;
    uint32_t room = room_elsewhere(t, cls, page, staying);
    *o = (offer){page, cls, staying, staying > room ? staying - room : 0, sum.oldest, pages_of(t, cls)};
    return sum.other == 0 && sum.fixed <= room;
}

/* First what costs no session, by the work it is; then what costs the oldest ones, of the class that has
 * most. */
static bool is_better(const offer *a, const offer *b, uint32_t none)
{
    if (b->page == none || (a->lost == 0) != (b->lost == 0)) {
        return b->page == none || a->lost == 0;
    }
    if (a->lost == 0) {
        return a->staying < b->staying;
    }
    return a->oldest < b->oldest || (a->oldest == b->oldest && a->pages > b->pages);
}

/* Older by so much that it pays: two classes of one age would otherwise take pages from each other for ever.
 */
static bool is_older(uint32_t oldest_s, uint32_t than_s, int64_t now_s)
{
    uint32_t age = lk__second(now_s - (int64_t)oldest_s), than = lk__second(now_s - (int64_t)than_s);
    return age > than + than / 8;
}

bool lk__steal_page(lk_table *t, uint32_t cls, int64_t now_s, bool forced, uint32_t older_than)
{
    shortlist l;
    offer best = {.page = t->g.pages};
    look_around(t, cls, now_s, &l);
    for (uint32_t i = 0; i < TIERS * PER_TIER; i++) {
        uint32_t page = l.page[i / PER_TIER][i % PER_TIER];
        offer o;
        if (page < t->g.pages && appraise(t, page, now_s, &o) && is_better(&o, &best, t->g.pages)) {
            best = o;
        }
    }
    bool worth = forced || best.lost == 0 || is_older(best.oldest, older_than, now_s);
    return best.page < t->g.pages && worth && lk__page_drain(t, best.page, best.cls, now_s);
}
