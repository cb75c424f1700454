/* SPDX-License-Identifier: Apache-2.0
 *
 * arena.c - room for values: pages of 64 KiB, each cut into chunks of one size class, or free for any.
 *
 * A chunk's bit in `used` is set after its stamp names the process that takes it, and cleared last; so a bit
 * whose stamp names a dead process is a leak that the sweep can prove.
 */
#include "table_inner.h"

/* Steps of 32 bytes to 1 KiB, then whole fractions of a page: 3 % lost in a chunk at 352 bytes on average. */
static const uint16_t sizes[LK__CLASSES] = {
    64,   96,   128,  160,  192,  224,  256,  288,  320,  352,  384,  416,  448,  480,   512,   544,   576,
    608,  640,  672,  704,  736,  768,  800,  832,  864,  896,  928,  960,  992,  1024,  1168,  1360,  1552,
    1808, 2048, 2336, 2720, 3264, 3632, 4096, 4672, 5456, 6544, 7280, 8192, 9360, 10912, 13104, 16384, 21840,
};
#define STEP 32u
#define STEPPED 31u /* classes of the regular part */
_Static_assert(LK_TABLE_VALUE_MAX + LK__CHUNK_HEAD <= 21840, "the largest class holds the largest value");

uint32_t lk__class_size(uint32_t cls)
{
    return sizes[cls];
}

uint32_t lk__class_of(size_t value_len)
{
    size_t need = value_len + LK__CHUNK_HEAD;
    if (need <= sizes[0]) {
        return 0;
    }
    if (need <= sizes[STEPPED - 1]) {
        return (uint32_t)((need + STEP - 1) / STEP) - 2;
    }
    uint32_t cls = STEPPED;
    while (cls < LK__CLASSES - 1 && sizes[cls] < need) {
        cls++;
    }
    return cls;
}

_Atomic uint64_t *lk__bits(const lk_table *t, lk__bits_of set, uint32_t cls)
{
    return t->bits + ((size_t)set * LK__CLASSES + cls) * t->g.bit_words;
}

_Atomic uint64_t *lk__bits_free(const lk_table *t)
{
    return t->bits + (size_t)LK__BITS_SETS * LK__CLASSES * t->g.bit_words;
}

void lk__bit_set(_Atomic uint64_t *bits, uint32_t page)
{
    uint64_t bit = 1ull << (page % 64);
    if ((atomic_load(&bits[page / 64]) & bit) == 0) {
        atomic_fetch_or(&bits[page / 64], bit);
    }
}

void lk__bit_clear(_Atomic uint64_t *bits, uint32_t page)
{
    uint64_t bit = 1ull << (page % 64);
    if ((atomic_load(&bits[page / 64]) & bit) != 0) {
        atomic_fetch_and(&bits[page / 64], ~bit);
    }
}

bool lk__bit_is(const _Atomic uint64_t *bits, uint32_t page)
{
    return atomic_load_explicit(&bits[page / 64], memory_order_relaxed) >> (page % 64) & 1;
}

uint32_t lk__bit_next(const lk_table *t, const _Atomic uint64_t *bits, uint32_t from)
{
    uint32_t w = from / 64;
    uint64_t mask = ~0ull << (from % 64);
    for (; w < t->g.bit_words; w++, mask = ~0ull) {
        uint64_t word = atomic_load_explicit(&bits[w], memory_order_relaxed) & mask;
        if (word != 0) {
            uint32_t page = w * 64 + (uint32_t)__builtin_ctzll(word);
            return page < t->g.pages ? page : t->g.pages;
        }
    }
    return t->g.pages;
}

/* The first chunk of PAGE that nobody has, or N. */
static uint32_t first_free(const lk_table *t, uint32_t page, uint32_t n)
{
    for (uint32_t w = 0; w * 64 < n; w++) {
        uint64_t word = ~atomic_load(&t->pages[page].used[w]);
        if (word != 0) {
            uint32_t i = w * 64 + (uint32_t)__builtin_ctzll(word);
            return i < n ? i : n;
        }
    }
    return n;
}

bool lk__page_is_empty(const lk_table *t, uint32_t page)
{
    for (uint32_t w = 0; w < LK__PAGE_BITS; w++) {
        if (atomic_load(&t->pages[page].used[w]) != 0) {
            return false;
        }
    }
    return true;
}

/* A chunk out of PAGE, under the lock of its class. The hint is taken back before the second look: a chunk
 * freed in between sets it again, and one freed before is seen. */
static lk__chunk *take_chunk(lk_table *t, uint32_t page, uint32_t cls, uint64_t name)
{
    uint32_t n = lk__class_chunks(cls);
    bool ours = lk__page_class(t, page) == cls && atomic_load(&t->pages[page].drainer) == 0;
    uint32_t i = ours ? first_free(t, page, n) : n;
    if (i == n) {
        lk__bit_clear(lk__bits(t, LK__BITS_OPEN, cls), page);
        i = ours ? first_free(t, page, n) : n;
    }
    if (i == n) {
        return NULL;
    }
    lk__chunk *c = lk__page_chunk(t, page, cls, i);
    atomic_store(&c->stamp, name);
    atomic_fetch_or(&t->pages[page].used[i / 64], 1ull << (i % 64));
    return c;
}

static lk__chunk *from_open_page(lk_table *t, uint32_t cls, uint64_t name)
{
    const _Atomic uint64_t *open = lk__bits(t, LK__BITS_OPEN, cls);
    lk__chunk *c = NULL;
    uint32_t page = lk__bit_next(t, open, 0);
    while (page < t->g.pages && c == NULL) {
        c = take_chunk(t, page, cls, name);
        page = lk__bit_next(t, open, page + 1);
    }
    return c;
}

/* Give CLS a page that nobody has. Under the lock of CLS. */
static bool adopt_page(lk_table *t, uint32_t cls)
{
    _Atomic uint64_t *free_pages = lk__bits_free(t);
    uint32_t page = lk__bit_next(t, free_pages, 0);
    for (; page < t->g.pages; page = lk__bit_next(t, free_pages, page + 1)) {
        uint32_t nobody = 0;
        if (atomic_compare_exchange_strong(&t->pages[page].owner, &nobody, cls + 1)) {
            break;
        }
    }
    if (page == t->g.pages) {
        return false;
    }
    lk__bit_clear(free_pages, page);
    atomic_store(&t->soonest[page], UINT32_MAX);
    atomic_store(&t->oldest[page], UINT32_MAX);
    lk__bit_clear(lk__bits(t, LK__BITS_LOW, cls), page);
    lk__bit_set(lk__bits(t, LK__BITS_MINE, cls), page);
    lk__bit_set(lk__bits(t, LK__BITS_OPEN, cls), page);
    return true;
}

lk__chunk *lk__room_find(lk_table *t, uint32_t cls)
{
    uint64_t name = lk__self(t);
    (void)lk__lock(t, &t->classes[cls].lock);
    lk__chunk *c = from_open_page(t, cls, name);
    while (c == NULL && adopt_page(t, cls)) {
        c = from_open_page(t, cls, name);
    }
    atomic_fetch_add_explicit(&t->classes[cls].given, c != NULL, memory_order_relaxed);
    lk__unlock(&t->classes[cls].lock);
    return c;
}

/* Under the lock of class FROM nobody takes a chunk, so an empty page stays empty. A page that somebody else
 * is emptying is his to give away: he still walks over its chunks. */
static bool disown(lk_table *t, uint32_t page, uint32_t from, uint64_t drainer)
{
    if (lk__page_class(t, page) != from || atomic_load(&t->pages[page].drainer) != drainer ||
        !lk__page_is_empty(t, page)) {
        return false;
    }
    lk__bit_clear(lk__bits(t, LK__BITS_OPEN, from), page);
    lk__bit_clear(lk__bits(t, LK__BITS_MINE, from), page);
    lk__bit_clear(lk__bits(t, LK__BITS_LOW, from), page);
    atomic_store(&t->pages[page].drainer, 0);
    atomic_store(&t->pages[page].owner, 0);
    lk__bit_set(lk__bits_free(t), page);
    return true;
}

bool lk__page_release(lk_table *t, uint32_t page, uint32_t from, uint64_t drainer)
{
    (void)lk__lock(t, &t->classes[from].lock);
    bool done = disown(t, page, from, drainer);
    lk__unlock(&t->classes[from].lock);
    return done;
}

void lk__room_free(lk_table *t, lk__chunk *c)
{
    uint32_t page = lk__page_of(t, lk__chunk_handle(t, c));
    uint32_t cls = lk__page_class(t, page);
    if (cls == LK__CLASSES) {
        return;
    }
    uint64_t within = ((uint64_t)lk__chunk_handle(t, c) * LK__UNIT - t->g.arena) % LK__PAGE_LEN;
    uint32_t i = (uint32_t)within / lk__class_size(cls);
    atomic_store(&c->stamp, lk__self(t));
    atomic_fetch_and(&t->pages[page].used[i / 64], ~(1ull << (i % 64)));
    lk__bit_set(lk__bits(t, LK__BITS_OPEN, cls), page);
    if (lk__page_is_empty(t, page)) {
        (void)lk__page_release(t, page, cls, 0);
    }
}

/* WHERE = min(WHERE, VALUE). */
static void lower(_Atomic uint32_t *where, uint32_t value)
{
    uint32_t now = atomic_load(where);
    while (value < now && !atomic_compare_exchange_weak(where, &now, value)) {
    }
}

void lk__page_note(lk_table *t, const lk__chunk *c, const lk__peek *p)
{
    uint32_t page = lk__page_of(t, lk__chunk_handle(t, c));
    uint32_t cls = lk__page_class(t, page);
    if (cls == LK__CLASSES) {
        return;
    }
    lower(&t->soonest[page], lk__second(p->expires_s));
    lk__rank rank = lk__rank_of(p, 0);
    if (rank == LK__RANK_LIVE) {
        lower(&t->oldest[page], p->last_s);
    }
    if (rank == LK__RANK_LOW) {
        lk__bit_set(lk__bits(t, LK__BITS_LOW, cls), page);
    }
}
