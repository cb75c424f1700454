/* SPDX-License-Identifier: Apache-2.0
 *
 * table_inner.h - what the files of the table say to each other. Private to src/shm.
 *
 * Order of locks: group, stripe, then one of owner stripe or class. A holder of a stripe may only TRY another
 * stripe. Whoever holds a class takes nothing else.
 */
#ifndef LATCHKEY_SHM_TABLE_INNER_H
#define LATCHKEY_SHM_TABLE_INNER_H

#include "table_hash.h"
#include "table_layout.h"
#include <string.h>

/* One index as this process sees it. */
typedef struct lk__index {
    lk__bucket *buckets;
    uint32_t n;
    uint32_t levels; /* a base has at most these; fewer than n */
} lk__index;
/* Levels of the primary index: met now and then where it is over 85 % full. */
#define LK__LEVELS 32u
/* Of the owner index: one user may have very many sessions. */
#define LK__OWNER_LEVELS 65536u
/* Of them, how many are searched for one certain reference; deeper ones are left to be trimmed. */
#define LK__OWNER_LOOK 256u

struct lk_table {
    const lk_env *env;
    int fd; /* keeps the presence lock; -1 for anonymous memory */
    uint8_t *map;
    lk__geometry g;
    uint64_t index_key[2];
    _Atomic uint64_t self; /* the name under which this process is in the list of users */
    lk__head *head;
    _Atomic uint64_t *words;
    _Atomic uint64_t *parties;
    lk__class *classes;
    lk__stripe *stripes;
    lk__line_lock *owner_locks, *group_locks;
    lk__page *pages;
    _Atomic uint32_t *soonest; /* per page: no entry ends before this second */
    _Atomic uint32_t *oldest;  /* per page: no session was last seen before this second */
    _Atomic uint64_t *bits;    /* hints, see lk__bits */
    lk__index index, owners;
};

/* --- name.c: who is using the table ------------------------------------------------------------------- */
/* Is the process of that name certainly gone (or a zombie)? In doubt it is alive. */
bool lk__name_is_dead(uint64_t name);
/* Inode of this process's pid namespace, 0 when unknown. */
uint64_t lk__name_space(void);
/* This process's name, entered in the table's list of users. */
uint64_t lk__self(lk_table *t);

/* --- make.c ------------------------------------------------------------------------------------------- */
/* Where the parts lie in this process. */
void lk__table_attach(lk_table *t, uint8_t *map, const lk__geometry *g);
/* Make a table out of zeroed memory. LK_OK, LK_FAULT. */
LK_CHECKED lk_status lk__table_make(lk_table *t);
/* Is what is attached a whole table of this format and size? */
bool lk__table_is_whole(lk_table *t);
/* Nobody else has the table: whatever is locked was locked by the dead. */
void lk__table_release_all(lk_table *t);

/* --- lock.c ------------------------------------------------------------------------------------------- */
/* Wait for WORD. True when it was taken from a dead holder. */
bool lk__lock(lk_table *t, _Atomic uint64_t *word);
bool lk__lock_try(lk_table *t, _Atomic uint64_t *word);
/* Try, and take over from the dead; never wait. */
bool lk__lock_claim(lk_table *t, _Atomic uint64_t *word);
void lk__unlock(_Atomic uint64_t *word);

/* --- stripe.c ----------------------------------------------------------------------------------------- */
static inline lk__stripe *lk__stripe_of(const lk_table *t, uint32_t base)
{
    return &t->stripes[base & (t->g.stripes - 1)];
}
lk__stripe *lk__stripe_lock(lk_table *t, uint32_t base);
lk__stripe *lk__stripe_try(lk_table *t, uint32_t base); /* NULL when somebody has it */
void lk__stripe_unlock(lk__stripe *s);
/* Finish what the dead holder of a stripe had begun. */
void lk__stripe_settle(lk_table *t, lk__stripe *s);
/* Put WORD into a free slot (false: it was not free any more), or take it out; and count. */
bool lk__stripe_insert(lk_table *t, lk__stripe *s, uint32_t kind, _Atomic uint64_t *slot, uint64_t word);
void lk__stripe_remove(lk_table *t, lk__stripe *s, uint32_t kind, _Atomic uint64_t *slot, uint64_t word);

/* --- index.c ------------------------------------------------------------------------------------------ */
static inline uint32_t lk__index_base(const lk__index *ix, uint32_t hash)
{
    return (uint32_t)(((uint64_t)hash * ix->n) >> 32);
}
static inline uint32_t lk__index_extent(const lk__index *ix, uint32_t base)
{
    uint32_t e = atomic_load_explicit(&ix->buckets[base].extent, memory_order_acquire);
    return e == 0 ? 1 : e < ix->levels ? e : ix->levels;
}
/* The bucket of BASE at LEVEL: itself, the other of its pair of lines, then other pairs at strides that
 * differ from base to base. The number of pairs is prime, so no bucket comes twice. */
static inline uint32_t lk__index_bucket(const lk__index *ix, uint32_t base, uint32_t level)
{
    if (level < 2) {
        return base ^ level;
    }
    uint64_t pairs = ix->n / 2;
    uint64_t pair = base / 2;
    uint64_t stride = 1 + (((base * 0x9e3779b97f4a7c15ull) >> 32) * (pairs - 1) >> 32);
    uint64_t at = (pair + (level >> 1) * stride) % pairs;
    return (uint32_t)at * 2 + ((base ^ level) & 1);
}

/* The hash in a word: never 0, so that a free slot is no match. */
static inline uint32_t lk__hash_of(uint64_t sip)
{
    uint32_t hash = (uint32_t)(sip >> 32);
    return hash != 0 ? hash : 1;
}

/* Walk the words of one hash. */
typedef struct lk__walk {
    const lk__index *ix;
    lk__bucket *bucket;
    uint32_t hash, base, level, extent;
    uint32_t matches; /* bit set: slots of the bucket that have the hash and were not visited yet */
} lk__walk;

/* Without a branch for each slot: which one it will be is not to be predicted, and a wrong guess costs as
 * much as the whole comparison. */
static inline uint32_t lk__bucket_matches(lk__bucket *b, uint32_t hash)
{
    uint32_t matches = 0;
    for (uint32_t i = 0; i < LK__SLOTS; i++) {
        uint64_t word = atomic_load_explicit(&b->slot[i], memory_order_relaxed);
        matches |= (uint32_t)(word >> 32 == hash) << i;
    }
    return matches;
}
static inline lk__walk lk__walk_of(const lk__index *ix, uint32_t hash)
{
    uint32_t base = lk__index_base(ix, hash);
    lk__bucket *b = &ix->buckets[base];
    return (lk__walk){ix, b, hash, base, 0, lk__index_extent(ix, base), lk__bucket_matches(b, hash)};
}
/* The next slot whose word has the hash, or NULL. *word receives what was read there. */
static inline _Atomic uint64_t *lk__walk_next(lk__walk *w, uint64_t *word)
{
    for (;;) {
        while (w->matches != 0) {
            _Atomic uint64_t *slot = &w->bucket->slot[__builtin_ctz(w->matches)];
            w->matches &= w->matches - 1;
            *word = atomic_load_explicit(slot, memory_order_acquire);
            if (*word >> 32 == w->hash) {
                return slot;
            }
        }
        if (++w->level >= w->extent) {
            return NULL;
        }
        w->bucket = &w->ix->buckets[lk__index_bucket(w->ix, w->base, w->level)];
        w->matches = lk__bucket_matches(w->bucket, w->hash);
    }
}

/* A free slot of BASE in the levels FROM to TO (not included), the lowest that has one and leaves KEEP others
 * free in its bucket; *level receives which. NULL: there is none. */
_Atomic uint64_t *lk__index_free(const lk__index *ix, uint32_t base, uint32_t from, uint32_t to,
                                 uint32_t keep, uint32_t *level);
/* Levels of BASE are walked up to LEVEL from now on. Under the lock of the base. */
void lk__index_reach(const lk__index *ix, uint32_t base, uint32_t level);
/* Forget levels at the end that hold nothing of BASE. Under the lock of the base. */
void lk__index_shrink(const lk__index *ix, uint32_t base);

/* --- chunk.c ------------------------------------------------------------------------------------------ */
/* The identity of an entry and where it is looked for. */
typedef struct lk__id {
    uint64_t key[2];
    uint32_t kind, hash, base;
} lk__id;

static inline lk__id lk__id_of_words(const lk_table *t, uint32_t kind, uint64_t a, uint64_t b)
{
    uint32_t hash = lk__hash_of(lk__sip17(t->index_key, a, b, (uint8_t)kind));
    return (lk__id){{a, b}, kind, hash, lk__index_base(&t->index, hash)};
}
static inline lk__id lk__id_of(const lk_table *t, uint32_t kind, const uint8_t key[LK_TABLE_KEY_LEN])
{
    uint64_t words[2];
    memcpy(words, key, sizeof(words));
    return lk__id_of_words(t, kind, words[0], words[1]);
}

/* The head of a published chunk, read whole. */
typedef struct lk__peek {
    uint64_t stamp;
    uint64_t key[2];
    uint64_t owner;
    int64_t expires_s;
    uint32_t last_s; /* last use: touched, or else written */
    uint32_t kind, len, flags;
} lk__peek;

static inline bool lk__peek_is(const lk__peek *p, const lk__id *id)
{
    return p->key[0] == id->key[0] && p->key[1] == id->key[1] && p->kind == id->kind;
}
static inline uint32_t lk__peek_hash(const lk_table *t, const lk__peek *p)
{
    return lk__id_of_words(t, p->kind, p->key[0], p->key[1]).hash;
}
/* Past its end? Not when the time is not known (0). */
static inline bool lk__is_over(const lk__peek *p, int64_t now_s)
{
    return now_s > 0 && p->expires_s <= now_s;
}
/* Seconds as the hints keep them: 32 bits, cut at both ends. */
static inline uint32_t lk__second(int64_t s)
{
    return s <= 0 ? 0 : s >= UINT32_MAX ? UINT32_MAX : (uint32_t)s;
}

/* The chunk of HANDLE, or NULL when the number points outside the arena. */
static inline lk__chunk *lk__chunk_at(const lk_table *t, uint32_t handle)
{
    uint64_t at = (uint64_t)handle * LK__UNIT;
    if (at < t->g.arena || at > t->g.arena_end - LK__LINE) {
        return NULL;
    }
    return (lk__chunk *)(void *)(t->map + at);
}
static inline uint32_t lk__chunk_handle(const lk_table *t, const lk__chunk *c)
{
    return (uint32_t)((uint64_t)((const uint8_t *)c - t->map) / LK__UNIT);
}
/* Read the head, and up to CAP bytes of the value into BUF. False when the chunk is not published, was freed
 * meanwhile, or cannot be one. */
bool lk__chunk_read(const lk_table *t, const lk__chunk *c, lk__peek *p, void *buf, size_t cap);
/* Write key and value into a chunk of one's own; publish comes later. */
void lk__chunk_fill(lk__chunk *c, const lk__id *id, lk_view value);
/* The rest of the head, then the stamp. From then on it may be referred to. */
void lk__chunk_publish(lk__chunk *c, const lk__peek *p);
uint64_t lk__chunk_about(const lk__peek *p);
void lk__entry_of(const lk__peek *p, lk_entry *out);

/* --- arena.c ------------------------------------------------------------------------------------------ */
uint32_t lk__class_size(uint32_t cls);
uint32_t lk__class_of(size_t value_len);
static inline uint32_t lk__class_chunks(uint32_t cls)
{
    return LK__PAGE_LEN / lk__class_size(cls);
}
/* Bit sets over the pages: which belong to a class, may have a free chunk, may have entries that go first;
 * and which belong to nobody. They only save searching: a page's `owner` and `used` are the truth, and the
 * sweep sets right what a killed process left behind. */
typedef enum lk__bits_of { LK__BITS_MINE, LK__BITS_OPEN, LK__BITS_LOW, LK__BITS_SETS } lk__bits_of;
_Atomic uint64_t *lk__bits(const lk_table *t, lk__bits_of set, uint32_t cls);
_Atomic uint64_t *lk__bits_free(const lk_table *t);
void lk__bit_set(_Atomic uint64_t *bits, uint32_t page);
void lk__bit_clear(_Atomic uint64_t *bits, uint32_t page);
bool lk__bit_is(const _Atomic uint64_t *bits, uint32_t page);
/* The first set bit in [from, pages), or PAGES. */
uint32_t lk__bit_next(const lk_table *t, const _Atomic uint64_t *bits, uint32_t from);

static inline uint32_t lk__page_of(const lk_table *t, uint32_t handle)
{
    return (uint32_t)(((uint64_t)handle * LK__UNIT - t->g.arena) / LK__PAGE_LEN);
}
/* Class of a page, LK__CLASSES when it has none. */
static inline uint32_t lk__page_class(const lk_table *t, uint32_t page)
{
    uint32_t owner = atomic_load_explicit(&t->pages[page].owner, memory_order_acquire);
    return owner >= 1 && owner <= LK__CLASSES ? owner - 1 : LK__CLASSES;
}
static inline lk__chunk *lk__page_chunk(const lk_table *t, uint32_t page, uint32_t cls, uint32_t i)
{
    return (lk__chunk *)(void *)(t->map + t->g.arena + (uint64_t)page * LK__PAGE_LEN +
                                 (uint64_t)i * lk__class_size(cls));
}
static inline bool lk__page_uses(const lk_table *t, uint32_t page, uint32_t i)
{
    return atomic_load_explicit(&t->pages[page].used[i / 64], memory_order_acquire) >> (i % 64) & 1;
}
bool lk__page_is_empty(const lk_table *t, uint32_t page);
/* A free chunk of CLS, without pushing anything out; its stamp is this process's name. NULL: none. */
lk__chunk *lk__room_find(lk_table *t, uint32_t cls);
/* Give a chunk back. It is not referred to any more. */
void lk__room_free(lk_table *t, lk__chunk *c);
/* Give an empty page from class FROM to nobody. False when it is not empty, or somebody other than DRAINER
 * (0: anybody) is emptying it. */
bool lk__page_release(lk_table *t, uint32_t page, uint32_t from, uint64_t drainer);
/* An entry with head P is about to be published in this chunk: lower the hints of its page. */
void lk__page_note(lk_table *t, const lk__chunk *c, const lk__peek *p);

/* --- entry.c: changes of one entry, all under its stripe --------------------------------------------------
 */
typedef struct lk__found {
    _Atomic uint64_t *slot;
    uint64_t word;
    lk__chunk *chunk;
    lk__peek peek;
} lk__found;
/* Find the entry of ID. Under its stripe what is found stays; without, it may be gone the next moment. */
bool lk__entry_find(const lk_table *t, const lk__id *id, lk__found *f);
/* Is there an entry with HASH whose owner's reference is REFERENCE? */
bool lk__entry_has_owner(const lk_table *t, uint32_t hash, uint64_t reference);
/* Take the entry out of both indexes; the chunk is then the caller's. */
void lk__entry_unlink(lk_table *t, lk__stripe *s, const lk__found *f);
/* Unlink and free. */
void lk__entry_remove(lk_table *t, lk__stripe *s, const lk__found *f);
/* Lock the stripe of the published chunk C, seen as P, and find the slot that refers to it. HELD is a stripe
 * that the caller holds already (NULL: none); with one, another is only tried. LK_OK; LK_MISS: it is as P
 * says but nothing refers to it; with both *s is locked. LK_STALE: it has changed, or the lock was not to be
 * had. */
LK_CHECKED lk_status lk__entry_hold(lk_table *t, lk__chunk *c, const lk__peek *p, const lk__stripe *held,
                                    lk__stripe **s, lk__found *f);
/* The stripe of BASE for one who holds HELD (NULL: nothing) already; and give it back. */
lk__stripe *lk__stripe_other(lk_table *t, uint32_t base, const lk__stripe *held);
void lk__entry_let(lk__stripe *s, const lk__stripe *held);

/* --- owner.c: the references by owner ------------------------------------------------------------------ */
uint64_t lk__owner_word(const lk_table *t, uint64_t owner, uint32_t hash);
/* False when there is no room for it. Under the stripe of HASH. */
bool lk__owner_add(lk_table *t, const lk__stripe *held, uint64_t owner, uint32_t hash);
void lk__owner_drop(lk_table *t, uint64_t owner, uint32_t hash);
/* Drop the reference in SLOT if no entry stands behind it. HELD as for lk__entry_hold. */
bool lk__owner_trim(lk_table *t, const lk__stripe *held, _Atomic uint64_t *slot, uint64_t word);

/* Forget levels of BASE that hold nothing of it. */
void lk__owner_shrink(lk_table *t, uint32_t base);

/* --- sweep.c ---------------------------------------------------------------------------------------------
 */
/* Something was left behind in an index: have the sweep look through both. */
void lk__index_recheck(lk_table *t);

/* --- rank.c, evict.c, evict_path.c, steal.c
 * ----------------------------------------------------------------------------------- */
typedef enum lk__rank {
    LK__RANK_OVER,  /* past its end */
    LK__RANK_LOW,   /* tokens, counters, sessions of nobody */
    LK__RANK_LIVE,  /* sessions, and last-seen times on their way to the store */
    LK__RANK_FIXED, /* fences and cut-offs */
} lk__rank;
lk__rank lk__rank_of(const lk__peek *p, int64_t now_s);

typedef struct lk__victim {
    lk__chunk *chunk;
    lk__peek peek;
    lk__rank rank;
} lk__victim;
/* Is P of RANK a better one to lose than V? */
bool lk__victim_beats(const lk__victim *v, const lk__peek *p, lk__rank rank);
void lk__evicted_count(lk_table *t, const lk__peek *p, lk__rank rank);

typedef struct lk__page_sum {
    uint32_t over, low, live, fixed, other; /* chunks by rank; other: not published */
    uint32_t soonest, oldest, newest;
    uint32_t next; /* the chunk after the last one read */
} lk__page_sum;
/* What to stop at: a victim of a lower rank, or of this one and not seen after LAST_S. */
typedef struct lk__goal {
    lk__rank rank;
    uint32_t last_s;
    uint32_t start;         /* the chunk to begin with */
    const lk__chunk *spare; /* not a victim */
} lk__goal;
/* Read the heads of a page; *v is improved. True when all were read; false when GOAL (NULL: read all) was
 * met. */
bool lk__page_scan(const lk_table *t, uint32_t page, uint32_t cls, int64_t now_s, const lk__goal *goal,
                   lk__page_sum *sum, lk__victim *v);
/* Set the hints of a page from a complete scan made under the lock of its class. */
void lk__page_refresh(lk_table *t, uint32_t page, uint32_t cls, const lk__page_sum *sum);

/* A chunk of CLS, pushing out what the policy allows, but not SPARE. NULL: no room. */
lk__chunk *lk__room_take(lk_table *t, uint32_t cls, const lk__chunk *spare);
/* Free a slot of the primary index on the path of BASE. Under stripe HELD. */
bool lk__evict_slot(lk_table *t, const lk__stripe *held, uint32_t base);
/* Free a slot of the owner index on the path of BASE there. Under stripe HELD. */
bool lk__evict_reference(lk_table *t, const lk__stripe *held, uint32_t base);
/* A chunk of CLS, of somebody who ranks below WORTH. Under stripe HELD. NULL: there is none. */
lk__chunk *lk__room_below(lk_table *t, uint32_t cls, int64_t now_s, const lk__stripe *held,
                          const lk__victim *worth);
/* Empty a page of another class for CLS. Sessions are only lost if they are older than OLDER_THAN, unless it
 * is FORCED: the class has nothing of its own to give. */
bool lk__steal_page(lk_table *t, uint32_t cls, int64_t now_s, bool forced, uint32_t older_than);
/* --- drain.c: take everything out of PAGE of CLS and give it to nobody. False when that cannot be. */
bool lk__page_drain(lk_table *t, uint32_t page, uint32_t cls, int64_t now_s);

/* --- map.c ---------------------------------------------------------------------------------------------- */
typedef struct lk__reading {
    void *buf;
    size_t cap;
    lk__peek peek;
    lk__chunk *chunk;
} lk__reading;
/* Look the entry of ID up without a lock. False: it is not there. */
bool lk__read(lk_table *t, const lk__id *id, lk__reading *r);

#endif
