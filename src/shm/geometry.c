/* SPDX-License-Identifier: Apache-2.0
 *
 * geometry.c - how SIZE bytes are shared out. A pure function of the size, so that nothing read from the
 * mapping decides where anything lies.
 */
#include "table_inner.h"

#define STRIPES_MIN 64u
#define STRIPES_MAX 1024u
#define PAGE_SHARE 4600u /* bytes of indexes, page table and hints for one page, rounded down */

static uint64_t round_up(uint64_t n, uint64_t to)
{
    return (n + to - 1) / to * to;
}

/* One lock for every four pages or so: two writers seldom meet, and a small table is not made of locks. */
static uint32_t stripes_for(uint64_t size)
{
    uint32_t n = STRIPES_MIN;
    while (n < STRIPES_MAX && (uint64_t)n * 4 * LK__PAGE_LEN < size) {
        n *= 2;
    }
    return n;
}

static bool is_prime(uint64_t n)
{
    for (uint64_t d = 2; d * d <= n; d++) {
        if (n % d == 0) {
            return false;
        }
    }
    return n >= 2;
}

/* Buckets for SLOTS slots: twice a prime, see lk__index_bucket. */
static uint32_t buckets_for(uint64_t slots)
{
    uint64_t pairs = slots / LK__SLOTS / 2;
    while (!is_prime(pairs)) {
        pairs--;
    }
    return (uint32_t)pairs * 2;
}

/* Reserve LEN bytes behind *AT, on a boundary of pairs of cache lines, which processors like to fetch
 * together. */
static uint64_t take(uint64_t *at, uint64_t len)
{
    uint64_t from = round_up(*at, 2 * LK__LINE);
    *at = from + len;
    return from;
}

/* Lay everything out for PAGES pages; the end of the arena says how much that takes. */
static void lay_out(lk__geometry *g, uint64_t pages)
{
    uint64_t at = LK__HEAD_LEN;
    uint64_t arena_len = pages * LK__PAGE_LEN;
    g->pages = (uint32_t)pages;
    g->bit_words = (uint32_t)((pages + 63) / 64);
    g->buckets = buckets_for(arena_len / LK__ARENA_PER_SLOT);
    g->owner_buckets = buckets_for(arena_len / LK__ARENA_PER_OWNER_SLOT);
    g->words = take(&at, LK_TABLE_WORDS * sizeof(uint64_t));
    g->parties = take(&at, LK__PARTIES * sizeof(uint64_t));
    g->classes = take(&at, LK__CLASSES * sizeof(lk__class));
    g->locks = take(&at, g->stripes * sizeof(lk__stripe));
    g->owner_locks = take(&at, g->stripes * sizeof(lk__line_lock));
    g->group_locks = take(&at, g->stripes * sizeof(lk__line_lock));
    g->page_table = take(&at, pages * sizeof(lk__page));
    g->soonest = take(&at, pages * sizeof(uint32_t));
    g->oldest = take(&at, pages * sizeof(uint32_t));
    g->bits = take(&at, (LK__BITS_SETS * LK__CLASSES + 1) * g->bit_words * sizeof(uint64_t));
    g->index = take(&at, g->buckets * sizeof(lk__bucket));
    g->owners = take(&at, g->owner_buckets * sizeof(lk__bucket));
    g->arena = take(&at, arena_len);
    g->arena_end = at;
}

lk_status lk__geometry_of(uint64_t size, lk__geometry *g)
{
    if (size < LK_TABLE_SIZE_MIN || size > LK__SIZE_MAX) {
        return LK_REFUSED;
    }
    *g = (lk__geometry){.size = size, .stripes = stripes_for(size)};
    uint64_t pages = size / (LK__PAGE_LEN + PAGE_SHARE); /* a few more than fit */
    do {
        lay_out(g, pages--);
    } while (g->arena_end > size && pages > 0);
    return g->arena_end <= size ? LK_OK : LK_REFUSED;
}
