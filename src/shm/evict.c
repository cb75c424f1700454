/* SPDX-License-Identifier: Apache-2.0
 *
 * evict.c - who goes when there is no room: what is over, then what can be had again (tokens, counters,
 * sessions of nobody), then sessions seen longest ago. Fences, cut-offs and marks of what was used never go
 * before their end, as that would bring a logged-out session back.
 *
 * The victim is looked for in the pages of the size class that needs room: per page it is known whether
 * anything in it may be over, low, or old, so one page is read and not all. The work is bounded: WINDOW
 * hints, a few pages.
 */
#include "table_inner.h"

#define WINDOW 16u   /* words of 64 pages whose hints are compared: all of the class in a table of 64 MiB */
#define LOOKS 8u     /* pages read for one victim: a hint may be out of date, and is then set right */
#define TRIES 32u    /* victims that others took first */
#define WAIT_MAX 64u /* evictions between two looks at the pages of other classes, where they do not pay */

/* What the hints say about the pages of a class. */
typedef struct outlook {
    uint32_t page;    /* the one that promises most; the number of pages when none promises anything */
    lk__rank promise; /* the rank somebody in it is said to have */
    uint32_t oldest;  /* where that is LIVE: the age promised */
} outlook;

/* Take the pages MINE of one word of the bitmap into account. True when nothing better can come. */
static bool weigh(lk_table *t, uint32_t first, uint64_t mine, uint64_t low, uint32_t now, outlook *o)
{
    if (o->promise == LK__RANK_LIVE && (mine & low) != 0) {
        *o = (outlook){first + (uint32_t)__builtin_ctzll(mine & low), LK__RANK_LOW, 0};
    }
    for (; mine != 0; mine &= mine - 1) {
        uint32_t page = first + (uint32_t)__builtin_ctzll(mine);
        uint32_t old = atomic_load_explicit(&t->oldest[page], memory_order_relaxed);
        if (atomic_load_explicit(&t->soonest[page], memory_order_relaxed) <= now) {
            *o = (outlook){page, LK__RANK_OVER, 0};
            return true;
        }
        if (o->promise == LK__RANK_LIVE && old < o->oldest) {
            *o = (outlook){page, LK__RANK_LIVE, old};
        }
    }
    return false;
}

/* Look at the hints of the pages of CLS: WINDOW words of its bitmap that have any, going round. */
static outlook look_out(lk_table *t, uint32_t cls, int64_t now_s)
{
    const _Atomic uint64_t *mine = lk__bits(t, LK__BITS_MINE, cls);
    const _Atomic uint64_t *low = lk__bits(t, LK__BITS_LOW, cls);
    outlook o = {t->g.pages, LK__RANK_LIVE, UINT32_MAX};
    uint32_t w = atomic_load_explicit(&t->classes[cls].hand, memory_order_relaxed) % t->g.bit_words;
    uint32_t seen = 0;
    for (uint32_t n = 0; n < t->g.bit_words && seen < WINDOW; n++, w = w + 1 < t->g.bit_words ? w + 1 : 0) {
        uint64_t word = atomic_load_explicit(&mine[w], memory_order_relaxed);
        seen += word != 0;
        if (weigh(t, w * 64, word, atomic_load_explicit(&low[w], memory_order_relaxed), lk__second(now_s),
                  &o)) {
            return o;
        }
    }
    if (seen == WINDOW) {
        atomic_store_explicit(&t->classes[cls].hand, w, memory_order_relaxed);
    }
    return o;
}

/* Under the lock of CLS. A look ends as soon as it has found what was promised: nothing better can be in the
 * page, as hints are never too high. If it ends without, it has set the hints right, and the next one sees
 * further. */
static void choose(lk_table *t, uint32_t cls, int64_t now_s, const lk__chunk *spare, lk__victim *v)
{
    lk__class *c = &t->classes[cls];
    bool found = false;
    for (uint32_t look = 0; look < LOOKS && !found; look++) {
        lk__page_sum sum;
        outlook o = look_out(t, cls, now_s);
        if (o.page == t->g.pages) {
            return;
        }
        lk__goal goal = {o.promise, o.promise == LK__RANK_LIVE ? o.oldest : UINT32_MAX,
                         atomic_load_explicit(&c->chunk_hand, memory_order_relaxed), spare};
        found = !lk__page_scan(t, o.page, cls, now_s, &goal, &sum, v);
        if (!found) {
            lk__page_refresh(t, o.page, cls, &sum);
        }
        atomic_store_explicit(&c->chunk_hand, sum.next, memory_order_relaxed);
    }
}

/* Make the victim's chunk one's own. NULL: it was used, changed or taken meanwhile, or its stripe was not to
 * be had beside HELD. */
static lk__chunk *reclaim(lk_table *t, const lk__stripe *held, const lk__victim *v)
{
    lk__stripe *s;
    lk__found f;
    lk_status status = lk__entry_hold(t, v->chunk, &v->peek, held, &s, &f);
    bool same = status == LK_OK && f.peek.last_s == v->peek.last_s && f.peek.expires_s == v->peek.expires_s;
    if (same) {
        lk__entry_unlink(t, s, &f);
        lk__evicted_count(t, &f.peek, v->rank);
    }
    bool ours = same || status == LK_MISS; /* a chunk that nothing refers to is a dead writer's */
    if (ours) {
        atomic_store(&v->chunk->stamp, lk__self(t));
    }
    lk__entry_let(s, held);
    return ours ? v->chunk : NULL;
}

lk__chunk *lk__room_below(lk_table *t, uint32_t cls, int64_t now_s, const lk__stripe *held,
                          const lk__victim *worth)
{
    lk__victim v = {0};
    (void)lk__lock(t, &t->classes[cls].lock);
    choose(t, cls, now_s, worth->chunk, &v);
    lk__unlock(&t->classes[cls].lock);
    if (v.chunk == NULL || !lk__victim_beats(worth, &v.peek, v.rank)) {
        return NULL;
    }
    return reclaim(t, held, &v);
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

/* Look again at once only where it pays: where classes take one page from each other for an entry or two each
 * time, all of them are better off with what they have. */
static void stole(lk__class *c, uint32_t cls, bool done)
{
    uint32_t given = atomic_load_explicit(&c->given, memory_order_relaxed);
    uint32_t since = given - atomic_load_explicit(&c->given_before, memory_order_relaxed);
    uint32_t wait = atomic_load_explicit(&c->wait, memory_order_relaxed);
    bool pays = done && since >= lk__class_chunks(cls) / 4;
    wait = pays ? 0 : wait == 0 ? 1 : wait * 2;
    wait = wait < WAIT_MAX ? wait : WAIT_MAX;
    atomic_store_explicit(&c->given_before, given, memory_order_relaxed);
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
        stole(&t->classes[cls], cls, done);
        if (done) {
            return NULL;
        }
    }
    return reclaim(t, NULL, &v);
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
