/* SPDX-License-Identifier: Apache-2.0
 *
 * table_layout.h - the bytes of the table, as docs/formats/shared-table.md draws them. Private to src/shm.
 *
 * Everything that two processes may look at together is an aligned atomic; nothing in the mapping is a
 * pointer.
 */
#ifndef LATCHKEY_SHM_TABLE_LAYOUT_H
#define LATCHKEY_SHM_TABLE_LAYOUT_H

#include "table.h"
#include <stdatomic.h>

/* A lock inside the table would be one of the C library, and die with its process. */
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2 && ATOMIC_INT_LOCK_FREE == 2, "the table needs lock-free atomics");
_Static_assert(sizeof(_Atomic uint64_t) == 8 && sizeof(_Atomic uint32_t) == 4, "atomics without padding");

#define LK__TABLE_MAGIC 0x31656c6261746b6cull /* "lktable1" in little-endian memory */
#define LK__TABLE_FORMAT 2u                   /* 2: the kind LK_ENTRY_PROOF in the counts of a stripe */
#define LK__HEAD_LEN 4096u
#define LK__LINE 64u
#define LK__PAGE_LEN 65536u /* one page of the arena, given to one size class */
#define LK__PAGE_BITS 16    /* 64-bit words in a page's bitmap: 1024 chunks of 64 bytes */
#define LK__UNIT 16u        /* a handle counts these from the start of the mapping */
#define LK__SIZE_MAX ((uint64_t)LK__UNIT << 32)
#define LK__CLASSES 51u
#define LK__PARTIES 256u /* processes whose death is noticed at once */

/* Bytes of arena for one slot of an index. A session of 300 bytes takes 352, so the indexes are then 73 % and
 * 77 % full; entries much smaller than this fill the index before the arena. */
#define LK__ARENA_PER_SLOT 256u
#define LK__ARENA_PER_OWNER_SLOT 272u

/* One cache line of an index. A word is (hash << 32 | payload), 0 when free; its place follows from the hash:
 * the base bucket, or one of the further buckets of that base below its `extent`. */
#define LK__SLOTS 7u
typedef struct lk__bucket {
    _Atomic uint32_t extent; /* of this bucket as a base: how many levels may hold words of it; 0 means 1 */
    uint32_t spare;
    _Atomic uint64_t slot[LK__SLOTS];
} lk__bucket;
_Static_assert(sizeof(lk__bucket) == LK__LINE, "a bucket is a cache line");

/* A lock with the counts it guards. Each key belongs to one stripe (by its base bucket); every change of an
 * entry happens under its stripe. The intent makes the counts exact although the holder may be killed between
 * the change of a slot and that of the count: see stripe.c. */
typedef struct lk__stripe {
    _Atomic uint64_t lock;
    _Atomic uint32_t held[LK_ENTRY_KINDS]; /* by kind; 0 unused */
    _Atomic uint32_t intent;               /* what is being done: kind, and insert or remove; 0 = nothing */
    _Atomic uint32_t intent_held;          /* held[kind] before it */
    _Atomic uint32_t intent_slot;          /* number of the slot in the primary index */
    uint32_t spare;
    _Atomic uint64_t intent_word; /* the word that goes in or out */
} lk__stripe;
_Static_assert(LK_ENTRY_KINDS == 8 && sizeof(lk__stripe) == LK__LINE, "a stripe is a cache line");

typedef struct lk__line_lock {
    _Atomic uint64_t lock;
    uint64_t spare[7];
} lk__line_lock;

/* A size class. */
typedef struct lk__class {
    _Atomic uint64_t lock;         /* over: giving out chunks, giving and taking pages */
    _Atomic uint32_t hand;         /* word of the bitmap of its pages where the search for a victim goes on */
    _Atomic uint32_t chunk_hand;   /* and the chunk within a page */
    _Atomic uint32_t skip;         /* evictions to go before pages of other classes are looked at again */
    _Atomic uint32_t wait;         /* what `skip` was last set to */
    _Atomic uint32_t given;        /* chunks given out, for ever */
    _Atomic uint32_t given_before; /* and up to the last look at pages of other classes */
    uint32_t spare[8];
} lk__class;
_Static_assert(sizeof(lk__class) == LK__LINE, "a class is a cache line");

/* What is known of one page of the arena, kept apart from it. */
typedef struct lk__page {
    _Atomic uint32_t owner;   /* 0 free, else class + 1 */
    _Atomic uint32_t checked; /* the `deaths` up to which leaks were looked for */
    _Atomic uint64_t drainer; /* name of the process that is emptying it, 0 = nobody */
    _Atomic uint64_t used[LK__PAGE_BITS];
    uint64_t spare[6];
} lk__page;
_Static_assert(sizeof(lk__page) == 3 * LK__LINE, "three cache lines");

/* A chunk of the arena: head and value. The stamp is 2^63 + a number never used before while the value is
 * published; otherwise the name (below 2^63) of the process that is filling or freeing it. A published value
 * does not change, except `expires` and `about` (aligned atomics) and the number in a counter. */
typedef struct lk__chunk {
    _Atomic uint64_t stamp;
    _Atomic uint64_t key[2];
    _Atomic uint64_t owner;
    _Atomic uint64_t expires; /* int64_t */
    _Atomic uint64_t about;   /* flags << 56 | kind << 48 | length << 32 | seconds of last use */
    _Atomic uint64_t value[];
} lk__chunk;
#define LK__CHUNK_HEAD 48u
_Static_assert(sizeof(lk__chunk) == LK__CHUNK_HEAD, "chunk head");
_Static_assert(LK__CHUNK_HEAD % 8 == 0 && LK_TABLE_VALUE_MAX < 65536, "the length has 16 bits");
#define LK__PUBLISHED (1ull << 63)
#define LK__TOUCHED 1u /* flag: the seconds were set by lk_table_touch, not by the writing */

/* The first 4096 bytes. What stands before `check` never changes and is covered by it. */
typedef struct lk__head {
    _Atomic uint64_t magic; /* written last when a table is made */
    uint32_t format;
    uint32_t page_len;
    uint64_t size;
    uint64_t pages, buckets, owner_buckets, stripes;
    int64_t made_s;
    uint8_t index_key[16]; /* places keys and owners: nobody outside can choose keys that collide */
    uint8_t name_key[16];  /* lk_table_key */
    uint64_t check;

    _Alignas(64) _Atomic uint64_t stamp; /* the next one; starts at a random number */
    _Alignas(64) _Atomic uint64_t evicted_live;
    _Atomic uint64_t evicted_sessions, refused_full, taken_over;
    _Alignas(64) _Atomic uint64_t sweep_lock;
    _Atomic uint64_t pid_space;    /* inode of the pid namespace its users live in, 0 = unknown */
    _Atomic uint64_t lost_checked; /* when leaks were last looked for because of `parties_lost` */
    _Atomic uint32_t parties_lost; /* somebody found the list of processes full */
    _Atomic uint32_t deaths; /* raised when a user of the table is found dead: pages are checked again */
    _Atomic uint32_t index_wanted;  /* raised when references may have been left behind */
    _Atomic uint32_t index_checked; /* the `index_wanted` up to which they were looked for */
    _Atomic uint64_t index_hand;    /* where that goes on */
    _Atomic uint32_t page_hand;     /* where the sweep of pages goes on */
    _Atomic uint32_t steal_hand;    /* where the search for a page of another class goes on */
} lk__head;
_Static_assert(sizeof(lk__head) <= LK__HEAD_LEN, "head");

/* Counts and offsets, a pure function of the size. */
typedef struct lk__geometry {
    uint64_t size;
    uint32_t pages, buckets, owner_buckets, stripes, bit_words;
    uint64_t words, parties, classes, locks, owner_locks, group_locks, page_table, soonest, oldest, bits;
    uint64_t index, owners, arena, arena_end;
} lk__geometry;

/* LK_REFUSED when SIZE is out of range. */
LK_CHECKED lk_status lk__geometry_of(uint64_t size, lk__geometry *g);

#endif
