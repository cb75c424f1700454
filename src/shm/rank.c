/* SPDX-License-Identifier: Apache-2.0
 *
 * rank.c - who is worth what: what is over, then what can be had again (tokens, counters, sessions of
 * nobody), then sessions seen longest ago. Fences, cut-offs and marks of what was used never go before their
 * end, as that would bring a logged-out session back.
 */
#include "table_inner.h"

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
    case LK_ENTRY_NEAR:
        return LK__RANK_LIVE;
    case LK_ENTRY_FENCE:
    case LK_ENTRY_CUTOFF:
    case LK_ENTRY_PROOF:
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

static bool is_enough(const lk__victim *v, const lk__goal *goal)
{
    return goal != NULL && v->chunk != NULL &&
           (v->rank < goal->rank || (v->rank == goal->rank && v->peek.last_s <= goal->last_s));
}

static void consider(lk__victim *v, lk__chunk *c, const lk__peek *p, lk__rank rank, const lk__chunk *spare)
{
    if (c != spare && lk__victim_beats(v, p, rank)) {
        *v = (lk__victim){c, *p, rank};
    }
}

bool lk__page_scan(const lk_table *t, uint32_t page, uint32_t cls, int64_t now_s, const lk__goal *goal,
                   lk__page_sum *sum, lk__victim *v)
{
    uint32_t n = lk__class_chunks(cls);
    uint32_t i = goal != NULL ? goal->start % n : 0;
    *sum = (lk__page_sum){.soonest = UINT32_MAX, .oldest = UINT32_MAX};
    for (uint32_t k = 0; k < n && !is_enough(v, goal); k++, i = i + 1 < n ? i + 1 : 0) {
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
        consider(v, c, &p, rank, goal != NULL ? goal->spare : NULL);
    }
    sum->next = i;
    return !is_enough(v, goal);
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
