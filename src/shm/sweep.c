/* SPDX-License-Identifier: Apache-2.0
 *
 * sweep.c - what nobody needs any more is freed: entries past their end, and what killed processes left
 * behind.
 *
 * Pages in which nothing can be over (by the hint `soonest`) are passed over. Leaks are looked for only after
 * a process that used the table was found dead: `deaths` is raised then, and every page and both indexes are
 * checked once. One process sweeps at a time.
 */
#include "table_inner.h"

#define SLICE 64u          /* chunks or buckets between two looks at the clock */
#define LOST_PARTIES_S 600 /* how often to check when the list of processes did not hold them all */

typedef struct sweep {
    lk_table *t;
    int64_t now_s;
    int64_t until_ms;
    uint32_t left, removed, steps;
    bool out_of_time;
} sweep;

static int64_t mono_ms(const lk_table *t)
{
    return t->env->mono_ms(t->env);
}

static bool is_spent(sweep *w)
{
    if (++w->steps % SLICE == 0 && mono_ms(w->t) >= w->until_ms) {
        w->out_of_time = true;
    }
    return w->out_of_time || w->left == 0;
}

void lk__index_recheck(lk_table *t)
{
    atomic_store(&t->head->index_hand, 0);
    atomic_fetch_add(&t->head->index_wanted, 1);
}

/* Cross off processes that are gone. */
static void count_deaths(lk_table *t)
{
    bool any = false;
    for (uint32_t i = 0; i < LK__PARTIES; i++) {
        uint64_t name = atomic_load(&t->parties[i]);
        if (name != 0 && lk__name_is_dead(name)) {
            any = atomic_compare_exchange_strong(&t->parties[i], &name, 0) || any;
        }
    }
    uint64_t period = (uint64_t)(mono_ms(t) / 1000 / LOST_PARTIES_S);
    if (atomic_load(&t->head->parties_lost) != 0 &&
        atomic_exchange(&t->head->lost_checked, period) != period) {
        any = true;
    }
    if (any) {
        atomic_fetch_add(&t->head->deaths, 1);
        lk__index_recheck(t);
    }
}

/* One chunk of a page as the sweep sees it. Meanwhile the page may be emptied and cut up for another class,
 * so that what is read here is the middle of something. */
typedef struct place {
    uint32_t page, cls, i;
    lk__chunk *chunk;
} place;

/* Is it still a chunk of that class and in use? Under the lock of the class the page stays what it is. */
static bool is_in_use(const lk_table *t, const place *at)
{
    return lk__page_class(t, at->page) == at->cls && lk__page_uses(t, at->page, at->i);
}

static bool is_still(lk_table *t, const place *at, uint64_t stamp)
{
    (void)lk__lock(t, &t->classes[at->cls].lock);
    bool still = is_in_use(t, at) && atomic_load(&at->chunk->stamp) == stamp;
    lk__unlock(&t->classes[at->cls].lock);
    return still;
}

/* Published: over, or referred to by nothing? While its stripe is held nobody else frees it. */
static void sweep_published(sweep *w, const place *at, const lk__peek *p, bool leaks)
{
    lk__stripe *s;
    lk__found f;
    if (!lk__is_over(p, w->now_s) && !leaks) {
        return;
    }
    lk_status status = lk__entry_hold(w->t, at->chunk, p, NULL, &s, &f);
    if (status == LK_OK && lk__is_over(&f.peek, w->now_s)) {
        lk__entry_remove(w->t, s, &f);
        w->removed++;
        w->left--;
    } else if (status == LK_MISS && is_still(w->t, at, p->stamp)) {
        lk__room_free(w->t, at->chunk);
    }
    lk__entry_let(s, NULL);
}

/* Not published: it is somebody's who is filling or freeing it, or a dead writer's, who will not move on. Of
 * several who find it, the one who puts his own name there frees it. */
static void sweep_unpublished(lk_table *t, const place *at)
{
    uint64_t name = atomic_load(&at->chunk->stamp);
    if ((name & LK__PUBLISHED) != 0 || name == lk__self(t) || !lk__name_is_dead(name)) {
        return;
    }
    (void)lk__lock(t, &t->classes[at->cls].lock);
    bool ours = is_in_use(t, at) && atomic_compare_exchange_strong(&at->chunk->stamp, &name, lk__self(t));
    lk__unlock(&t->classes[at->cls].lock);
    if (ours) {
        lk__room_free(t, at->chunk);
    }
}

static void sweep_chunks(sweep *w, uint32_t page, uint32_t cls, bool leaks)
{
    for (uint32_t i = 0; i < lk__class_chunks(cls) && !is_spent(w); i++) {
        place at = {page, cls, i, lk__page_chunk(w->t, page, cls, i)};
        lk__peek p;
        if (!lk__page_uses(w->t, page, i)) {
            continue;
        }
        if (lk__chunk_read(w->t, at.chunk, &p, NULL, 0)) {
            sweep_published(w, &at, &p, leaks);
        } else if (leaks) {
            sweep_unpublished(w->t, &at);
        }
    }
}

/* Set the hints of a page of CLS right. */
static void refresh(lk_table *t, uint32_t page, uint32_t cls, int64_t now_s)
{
    lk__page_sum sum;
    lk__victim v = {0};
    (void)lk__lock(t, &t->classes[cls].lock);
    if (lk__page_class(t, page) == cls) {
        uint64_t drainer = atomic_load(&t->pages[page].drainer);
        (void)lk__page_scan(t, page, cls, now_s, NULL, &sum, &v);
        lk__page_refresh(t, page, cls, &sum);
        lk__bit_clear(lk__bits_free(t), page);
        lk__bit_set(lk__bits(t, LK__BITS_MINE, cls), page);
        if (drainer != 0 && lk__name_is_dead(drainer)) {
            atomic_store(&t->pages[page].drainer, 0);
            drainer = 0;
        }
        if (drainer == 0) {
            lk__bit_set(lk__bits(t, LK__BITS_OPEN, cls), page);
        }
    }
    lk__unlock(&t->classes[cls].lock);
}

static void sweep_page(sweep *w, uint32_t page)
{
    lk_table *t = w->t;
    uint32_t deaths = atomic_load(&t->head->deaths);
    uint32_t cls = lk__page_class(t, page);
    bool leaks = atomic_load(&t->pages[page].checked) != deaths;
    if (cls == LK__CLASSES) {
        if (leaks) {
            lk__bit_set(lk__bits_free(t), page); /* a hint: giving the page out looks at its owner */
        }
    } else if (leaks || atomic_load(&t->soonest[page]) <= lk__second(w->now_s)) {
        sweep_chunks(w, page, cls, leaks);
        refresh(t, page, cls, w->now_s);
        if (lk__page_is_empty(t, page)) {
            (void)lk__page_release(t, page, cls, 0);
        }
    }
    if (!w->out_of_time && w->left > 0) {
        atomic_store(&t->pages[page].checked, deaths);
    }
}

static void sweep_pages(sweep *w)
{
    uint32_t page = atomic_load(&w->t->head->page_hand) % w->t->g.pages;
    for (uint32_t n = 0; n < w->t->g.pages && !is_spent(w); n++) {
        sweep_page(w, page);
        if (!w->out_of_time && w->left > 0) { /* else the same page goes on being swept next time */
            page = page + 1 < w->t->g.pages ? page + 1 : 0;
        }
    }
    atomic_store(&w->t->head->page_hand, page);
}

/* References that lead nowhere, in one bucket; and levels that hold nothing of it. */
static void check_owners(lk_table *t, uint32_t bucket)
{
    for (uint32_t i = 0; i < LK__SLOTS; i++) {
        _Atomic uint64_t *slot = &t->owners.buckets[bucket].slot[i];
        uint64_t word = atomic_load(slot);
        if (word != 0 && !lk__entry_has_owner(t, (uint32_t)word, word)) {
            (void)lk__owner_trim(t, NULL, slot, word);
        }
    }
    lk__owner_shrink(t, bucket);
}

static void check_index(sweep *w)
{
    lk__head *head = w->t->head;
    uint32_t wanted = atomic_load(&head->index_wanted);
    if (atomic_load(&head->index_checked) == wanted) {
        return;
    }
    uint64_t at = atomic_load(&head->index_hand);
    for (; at < w->t->owners.n && !is_spent(w); at++) {
        check_owners(w->t, (uint32_t)at);
    }
    atomic_store(&head->index_hand, at < w->t->owners.n ? at : 0);
    if (at >= w->t->owners.n) {
        atomic_store(&head->index_checked, wanted);
    }
}

lk_status lk_table_sweep(lk_table *t, int64_t now_s, uint32_t max_entries, uint32_t max_ms, uint32_t *removed)
{
    sweep w = {.t = t, .now_s = now_s, .left = max_entries, .until_ms = mono_ms(t) + max_ms};
    *removed = 0;
    if (!lk__lock_claim(t, &t->head->sweep_lock)) {
        return LK_OK;
    }
    count_deaths(t);
    sweep_pages(&w);
    check_index(&w);
    lk__unlock(&t->head->sweep_lock);
    *removed = w.removed;
    return w.out_of_time || w.left == 0 ? LK_FULL : LK_OK;
}
