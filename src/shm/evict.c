/* SPDX-License-Identifier: Apache-2.0
 *
 * evict.c - who goes when there is no room: what is over, then what can be had again (tokens, counters,
 * sessions of nobody), then sessions seen longest ago. Fences and cut-offs never go before their end, as that
 * would bring a logged-out session back.
 *
 * The victim is looked for in the pages of the size class that needs room: per page it is known whether
 * anything in it may be over, low, or old, so one page is read and not all. The work is bounded: WINDOW
 * hints, a few pages.
 */
#include "table_inner.h"

#define WINDOW 1024u   /* pages whose hints are compared: the whole class up to 64 MiB of it */
#define LOOKS 8u       /* pages read for one victim: a hint may be out of date, and is then set right */
#define TRIES 32u      /* victims that others took first */
#define WAIT_MAX 64u   /* evictions between two vain looks at the pages of other classes */
#define PATH_LEVELS 8u /* levels searched for a victim when a path of an index is full */

lk__rank lk__rank_of(const lk__peek *p, int64_t now_s)
{
    if (lk__is_over(p, now_s)) {
        return LK__RANK_OVER;
    }
    switch ((lk_entry_kind)p->kind) {
    case LK_ENTRY_TOKEN:
    case LK_ENTRY_COUNTER:
        return LK__RANK_LOW;
    case LK_ENTRY_SESSION:
        return p->owner == 0 ? LK__RANK_LOW : LK__RANK_LIVE;
    case LK_ENTRY_SEEN:
        return LK__RANK_LIVE;
    case LK_ENTRY_FENCE:
    case LK_ENTRY_CUTOFF:
    case LK_ENTRY_KINDS:
        break;
    }
    return LK__RANK_FIXED;
}

bool lk__victim_beats(const lk__victim *v, const lk__peek *p, lk__rank rank)
{
    if (rank == LK__RANK_FIXED) {
        return false;
    }
    return v->chunk == NULL || rank < v->rank || (rank == v->rank && p->last_s < v->peek.last_s);
}

void lk__evicted_count(lk_table *t, const lk__peek *p, lk__rank rank)
{
    if (rank == LK__RANK_OVER) {
        return;
    }
    atomic_fetch_add_explicit(&t->head->evicted_live, 1, memory_order_relaxed);
    if (rank == LK__RANK_LIVE && p->kind == LK_ENTRY_SESSION) {
        atomic_fetch_add_explicit(&t->head->evicted_sessions, 1, memory_order_relaxed);
    }
}

static void sum_up(lk__page_sum *sum, const lk__peek *p, lk__rank rank)
{
    uint32_t ends = lk__second(p->expires_s);
    sum->soonest = ends < sum->soonest ? ends : sum->soonest;
    sum->over += rank == LK__RANK_OVER;
    sum->low += rank == LK__RANK_LOW;
    sum->fixed += rank == LK__RANK_FIXED;
    if (rank == LK__RANK_LIVE) {
        sum->live++;
        sum->oldest = p->last_s < sum->oldest ? p->last_s : sum->oldest;
        sum->newest = p->last_s > sum->newest ? p->last_s : sum->newest;
    }
}

void lk__page_scan(const lk_table *t, uint32_t page, uint32_t cls, int64_t now_s, const lk__chunk *spare,
                   lk__page_sum *sum, lk__victim *v)
{
    uint32_t n = lk__class_chunks(cls);
    *sum = (lk__page_sum){.soonest = UINT32_MAX, .oldest = UINT32_MAX};
    for (uint32_t i = 0; i < n; i++) {
        lk__peek p;
        lk__chunk *c = lk__page_chunk(t, page, cls, i);
        if (!lk__page_uses(t, page, i)) {
            continue;
        }
        if (!lk__chunk_read(t, c, &p, NULL, 0)) {
            sum->other++;
            continue;
        }
        lk__rank rank = lk__rank_of(&p, now_s);
        sum_up(sum, &p, rank);
        if (c != spare && lk__victim_beats(v, &p, rank)) {
            *v = (lk__victim){c, p, rank};
        }
    }
}

/* Nobody takes a chunk of the page meanwhile. One that is taken and not yet published lowers the hints just
 * before it is; it was met as `other`, and then the hints are left as low as they are. */
void lk__page_refresh(lk_table *t, uint32_t page, uint32_t cls, const lk__page_sum *sum)
{
    if (sum->other > 0) {
        return;
    }
    atomic_store(&t->soonest[page], sum->soonest);
    atomic_store(&t->oldest[page], sum->oldest);
    if (sum->low == 0) {
        lk__bit_clear(lk__bits(t, LK__BITS_LOW, cls), page);
    }
}

/* What the hints say about the pages of a class. */
typedef struct outlook {
    uint32_t page;    /* the one that promises most; the number of pages when none promises anything */
    lk__rank promise; /* the rank somebody in it is said to have */
    uint32_t oldest;  /* where that is LIVE: the age promised */
} outlook;

/* Take PAGE into account. True when nothing better can come. */
static bool weigh(lk_table *t, uint32_t cls, uint32_t page, uint32_t now, outlook *o)
{
    uint32_t old = atomic_load_explicit(&t->oldest[page], memory_order_relaxed);
    if (atomic_load_explicit(&t->soonest[page], memory_order_relaxed) <= now) {
        *o = (outlook){page, LK__RANK_OVER, 0};
        return true;
    }
    if (o->promise == LK__RANK_LIVE && lk__bit_is(lk__bits(t, LK__BITS_LOW, cls), page)) {
        *o = (outlook){page, LK__RANK_LOW, 0};
    } else if (o->promise == LK__RANK_LIVE && old < o->oldest) {
        *o = (outlook){page, LK__RANK_LIVE, old};
    }
    return false;
}

/* Look at the hints of the pages of CLS, WINDOW of them at most, going round. */
static outlook look_out(lk_table *t, uint32_t cls, int64_t now_s)
{
    const _Atomic uint64_t *mine = lk__bits(t, LK__BITS_MINE, cls);
    outlook o = {t->g.pages, LK__RANK_LIVE, UINT32_MAX};
    uint32_t start = atomic_load_explicit(&t->classes[cls].hand, memory_order_relaxed) % t->g.pages;
    uint32_t page = lk__bit_next(t, mine, start);
    uint32_t end = t->g.pages;
    for (uint32_t n = 0; n < WINDOW; n++) {
        if (page >= end && end == t->g.pages) {
            end = start; /* once round */
            page = lk__bit_next(t, mine, 0);
        }
        if (page >= end || weigh(t, cls, page, lk__second(now_s), &o)) {
            return o;
        }
        page = lk__bit_next(t, mine, page + 1);
    }
    atomic_store_explicit(&t->classes[cls].hand, page % t->g.pages, memory_order_relaxed);
    return o;
}

/* Under the lock of CLS. Each look sets the hints of a page right, so the next one sees further. */
static void choose(lk_table *t, uint32_t cls, int64_t now_s, const lk__chunk *spare, lk__victim *v)
{
    for (uint32_t look = 0; look < LOOKS; look++) {
        lk__page_sum sum;
        outlook o = look_out(t, cls, now_s);
        if (o.page == t->g.pages) {
            return;
        }
        lk__page_scan(t, o.page, cls, now_s, spare, &sum, v);
        lk__page_refresh(t, o.page, cls, &sum);
        if (v->chunk != NULL && v->rank <= o.promise && (v->rank < LK__RANK_LIVE || sum.oldest == o.oldest)) {
            return;
        }
    }
}

/* Make the victim's chunk one's own. NULL: it was used, changed or taken meanwhile. */
static lk__chunk *reclaim(lk_table *t, const lk__victim *v)
{
    lk__stripe *s;
    lk__found f;
    lk_status status = lk__entry_hold(t, v->chunk, &v->peek, NULL, &s, &f);
    bool same = status == LK_OK && f.peek.last_s == v->peek.last_s && f.peek.expires_s == v->peek.expires_s;
    if (same) {
        lk__entry_unlink(t, s, &f);
        lk__evicted_count(t, &f.peek, v->rank);
    }
    bool ours = same || status == LK_MISS; /* a chunk that nothing refers to is a dead writer's */
    if (ours) {
        atomic_store(&v->chunk->stamp, lk__self(t));
    }
    lk__entry_let(s, NULL);
    return ours ? v->chunk : NULL;
}

/* Is it time to look at the pages of other classes before a live session of this one is lost? */
static bool may_steal(lk__class *c)
{
    uint32_t skip = atomic_load_explicit(&c->skip, memory_order_relaxed);
    if (skip > 0) {
        atomic_store_explicit(&c->skip, skip - 1, memory_order_relaxed);
    }
    return skip == 0;
}

static void stole(lk__class *c, bool done)
{
    uint32_t wait = atomic_load_explicit(&c->wait, memory_order_relaxed);
    wait = done ? 0 : wait == 0 ? 1 : wait * 2;
    wait = wait < WAIT_MAX ? wait : WAIT_MAX;
    atomic_store_explicit(&c->wait, wait, memory_order_relaxed);
    atomic_store_explicit(&c->skip, wait, memory_order_relaxed);
}

/* One attempt to get a chunk or a page. *over: there is nothing that may be taken. */
static lk__chunk *push_out(lk_table *t, uint32_t cls, const lk__chunk *spare, bool *over)
{
    int64_t now_s = lk_now_s(t->env);
    lk__victim v = {0};
    (void)lk__lock(t, &t->classes[cls].lock);
    choose(t, cls, now_s, spare, &v);
    lk__unlock(&t->classes[cls].lock);
    if (v.chunk == NULL) {
        *over = !lk__steal_page(t, cls, now_s, true, UINT32_MAX);
        return NULL;
    }
    if (v.rank == LK__RANK_LIVE && may_steal(&t->classes[cls])) {
        bool done = lk__steal_page(t, cls, now_s, false, v.peek.last_s);
        stole(&t->classes[cls], done);
        if (done) {
            return NULL;
        }
    }
    return reclaim(t, &v);
}

lk__chunk *lk__room_take(lk_table *t, uint32_t cls, const lk__chunk *spare)
{
    lk__chunk *c = lk__room_find(t, cls);
    bool over = false;
    for (uint32_t tries = 0; c == NULL && !over && tries < TRIES; tries++) {
        c = push_out(t, cls, spare, &over);
        if (c == NULL) {
            c = lk__room_find(t, cls);
        }
    }
    return c;
}

static bool remove_victim(lk_table *t, const lk__stripe *held, const lk__victim *v)
{
    lk__stripe *s;
    lk__found f;
    lk_status status = lk__entry_hold(t, v->chunk, &v->peek, held, &s, &f);
    if (status == LK_OK) {
        lk__entry_remove(t, s, &f);
        lk__evicted_count(t, &f.peek, v->rank);
    }
    lk__entry_let(s, held);
    return status == LK_OK;
}

static void consider(const lk_table *t, uint32_t handle, int64_t now_s, lk__victim *v)
{
    lk__peek p;
    lk__chunk *c = lk__chunk_at(t, handle);
    if (c == NULL || !lk__chunk_read(t, c, &p, NULL, 0)) {
        return;
    }
    lk__rank rank = lk__rank_of(&p, now_s);
    if (lk__victim_beats(v, &p, rank)) {
        *v = (lk__victim){c, p, rank};
    }
}

bool lk__evict_slot(lk_table *t, const lk__stripe *held, uint32_t base)
{
    int64_t now_s = lk_now_s(t->env);
    lk__victim v = {0};
    for (uint32_t level = 0; level < PATH_LEVELS; level++) {
        const lk__bucket *b = &t->index.buckets[lk__index_bucket(&t->index, base, level)];
        for (uint32_t i = 0; i < LK__SLOTS; i++) {
            consider(t, (uint32_t)atomic_load(&b->slot[i]), now_s, &v);
        }
    }
    return v.chunk != NULL && remove_victim(t, held, &v);
}

/* The entries behind one reference. One that leads nowhere is trimmed, which makes room as well. */
static bool follow(lk_table *t, const lk__stripe *held, _Atomic uint64_t *slot, int64_t now_s, lk__victim *v)
{
    uint64_t reference = atomic_load(slot);
    lk__walk w = lk__walk_of(&t->index, (uint32_t)reference);
    uint64_t word;
    bool any = false;
    while (lk__walk_next(&w, &word) != NULL) {
        any = true;
        consider(t, (uint32_t)word, now_s, v);
    }
    return !any && lk__owner_trim(t, held, slot, reference);
}

bool lk__evict_reference(lk_table *t, const lk__stripe *held, uint32_t base)
{
    int64_t now_s = lk_now_s(t->env);
    lk__victim v = {0};
    for (uint32_t level = 0; level < PATH_LEVELS; level++) {
        lk__bucket *b = &t->owners.buckets[lk__index_bucket(&t->owners, base, level)];
        for (uint32_t i = 0; i < LK__SLOTS; i++) {
            if (follow(t, held, &b->slot[i], now_s, &v)) {
                return true;
            }
        }
    }
    return v.chunk != NULL && remove_victim(t, held, &v);
}
