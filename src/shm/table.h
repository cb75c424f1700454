/* SPDX-License-Identifier: Apache-2.0
 *
 * table.h - one bounded table in shared memory, used by many processes at once: the memory store, near
 * copies, cut-offs, counters and verified tokens all live in it.
 *
 * A process may be killed between any two instructions and the table stays whole: a value is written into
 * fresh room and published by one atomic store; locks name their owner and are taken over from the dead; room
 * that a dead writer had taken is found again by the sweep. Offsets only, no pointers: every process may map
 * it somewhere else. Layout: docs/formats/shared-table.md
 */
#ifndef LATCHKEY_SHM_TABLE_H
#define LATCHKEY_SHM_TABLE_H

#include <latchkey/memory.h>

#define LK_TABLE_KEY_LEN 16
#define LK_TABLE_VALUE_MAX 20480

/* What an entry is. The kind is part of its identity: the same key bytes under two kinds are two entries. */
typedef enum lk_entry_kind {
    LK_ENTRY_SESSION = 1, /* memory store: a session record */
    LK_ENTRY_FENCE,       /* memory store: the mark of an ended session; not evicted before its end */
    LK_ENTRY_CUTOFF,      /* view of the cut-offs; never evicted before its end */
    LK_ENTRY_COUNTER,     /* throttling */
    LK_ENTRY_TOKEN,       /* a verified token */
    LK_ENTRY_NEAR,        /* last-seen times waiting to be flushed */
    LK_ENTRY_PROOF,       /* the mark of a request that must not come again; never evicted before its end */
    LK_ENTRY_KINDS
} lk_entry_kind;

/* A name for something long: SipHash-2-4 (128 bit) under a secret of this table. For cut-offs and counters.
 */
void lk_table_key(const lk_table *t, lk_entry_kind kind, lk_view name, uint8_t key[LK_TABLE_KEY_LEN]);

typedef struct lk_entry {
    int64_t expires_s; /* when the entry may be forgotten */
    uint64_t owner;    /* group for lk_table_list (a hash of realm and user), 0 = none */
    uint64_t version;  /* changes with each write of this entry; for lk_table_put_if */
    size_t len;        /* length of the value; may exceed what was copied */
    uint32_t seen_s;   /* set by lk_table_touch, aligned atomic; 0 when never */
} lk_entry;

/* Copy the value (at most CAP bytes) and its entry. Lock-free, no allocation. LK_OK; LK_MISS (also past its
 * expires_s, when NOW_S > 0); LK_FULL when CAP was too small for the value (the first CAP bytes are there,
 * entry->len says how many it has: asking for a head only is fine). BUF may be NULL with CAP 0. */
LK_CHECKED lk_status lk_table_get(lk_table *t, lk_entry_kind kind, const uint8_t key[LK_TABLE_KEY_LEN],
                                  int64_t now_s, void *buf, size_t cap, lk_entry *entry);

/* Insert or replace. A live entry keeps its seen_s. LK_OK; LK_FULL when there is no room that the policy
 * allows to take, or the value is longer than LK_TABLE_VALUE_MAX; LK_FAULT for a KIND that is none. Evicting
 * order within what is needed: expired, then tokens, counters and anonymous sessions (owner 0), then sessions
 * and SEEN entries last seen (or, if never, written) longest ago; cut-offs, fences and proofs never before
 * their end.
 */
LK_CHECKED lk_status lk_table_put(lk_table *t, lk_entry_kind kind, const uint8_t key[LK_TABLE_KEY_LEN],
                                  uint64_t owner, int64_t expires_s, lk_view value);

/* Insert only: LK_REFUSED when a live entry is there. */
LK_CHECKED lk_status lk_table_add(lk_table *t, lk_entry_kind kind, const uint8_t key[LK_TABLE_KEY_LEN],
                                  uint64_t owner, int64_t expires_s, lk_view value);

/* Insert only, and only into room that is free: nothing is pushed out for it. LK_REFUSED as above; LK_FULL.
 */
LK_CHECKED lk_status lk_table_add_spare(lk_table *t, lk_entry_kind kind, const uint8_t key[LK_TABLE_KEY_LEN],
                                        int64_t expires_s, lk_view value);

/* Replace only if the entry still has VERSION: LK_OK; LK_MISS (also past its end); LK_STALE when somebody
 * else wrote in between; LK_FULL. The owner stays. A version is never used again, not even by another key. */
LK_CHECKED lk_status lk_table_put_if(lk_table *t, lk_entry_kind kind, const uint8_t key[LK_TABLE_KEY_LEN],
                                     uint64_t version, int64_t expires_s, lk_view value);

/* Remove. LK_OK or LK_MISS (also past its end). lk_table_drop_if: only in VERSION (LK_STALE otherwise). */
LK_CHECKED lk_status lk_table_drop(lk_table *t, lk_entry_kind kind, const uint8_t key[LK_TABLE_KEY_LEN]);
LK_CHECKED lk_status lk_table_drop_if(lk_table *t, lk_entry_kind kind, const uint8_t key[LK_TABLE_KEY_LEN],
                                      uint64_t version);

/* Move the entry's seen_s and expires_s forward in place (never back); its version stays. LK_OK; LK_MISS
 * (also past its end: what is over is not revived). *moved_s (may be NULL) gets how far seen_s moved, counted
 * from 0 when it was never set. */
LK_CHECKED lk_status lk_table_touch(lk_table *t, lk_entry_kind kind, const uint8_t key[LK_TABLE_KEY_LEN],
                                    uint32_t seen_s, int64_t expires_s, uint32_t *moved_s);

/* Add to a counter entry (a value of one int64), made with EXPIRES_S when missing or over. *value gets the
 * new count. It stays at the ends of int64 rather than pass them. The version stays. LK_OK, LK_FULL. */
LK_CHECKED lk_status lk_table_count(lk_table *t, const uint8_t key[LK_TABLE_KEY_LEN], int64_t add,
                                    int64_t now_s, int64_t expires_s, int64_t *value);

/* Visit entries of KIND in the group OWNER (0: of every group), a page at a time; see lk_store_list_by_user
 * for the cursor. The value handed to EACH is a private copy. An entry that is there during the whole walk is
 * visited at least once; with OWNER != 0, exactly once. Those past their end are left out. A page may be
 * empty although the cursor is not 0 yet. EACH answers false to stop; it holds no lock and may write to the
 * table. */
typedef bool (*lk_table_each)(void *context, const uint8_t key[LK_TABLE_KEY_LEN], const lk_entry *entry,
                              lk_view value);
LK_CHECKED lk_status lk_table_list(lk_table *t, lk_entry_kind kind, uint64_t owner, uint64_t *cursor,
                                   uint32_t page, lk_table_each each, void *context);

/* A lock over one group OWNER (striped), for decisions that span entries (device limits). Taken over from a
 * dead holder. Hold it for microseconds, never across I/O. */
void lk_table_lock(lk_table *t, uint64_t owner);
void lk_table_unlock(lk_table *t, uint64_t owner);

/* Free what expired and what dead writers left; bounded as lk_store_sweep. */
LK_CHECKED lk_status lk_table_sweep(lk_table *t, int64_t now_s, uint32_t max_entries, uint32_t max_ms,
                                    uint32_t *removed);

/* How many entries of KIND there are now (approximate under concurrent writes, exact at rest). */
uint64_t lk_table_held(const lk_table *t, lk_entry_kind kind);

typedef struct lk_table_stats {
    uint64_t size, used;       /* bytes: of the mapping; of it in use by entries and their index */
    uint64_t evicted_live;     /* entries pushed out before their end */
    uint64_t evicted_sessions; /* of those, sessions of a logged-in user */
    uint64_t refused_full;     /* writes answered LK_FULL */
    uint64_t taken_over;       /* locks taken from dead processes */
} lk_table_stats;
void lk_table_stats_read(const lk_table *t, lk_table_stats *out);

/* When this table was made, from the wall clock, seconds. */
int64_t lk_table_made_s(const lk_table *t);

/* 256 numbered 64-bit words for the owner of the table (metrics, view positions); zero at first. For use with
 * <stdatomic.h>. */
#define LK_TABLE_WORDS 256
_Atomic uint64_t *lk_table_word(lk_table *t, unsigned index);

#endif
