/* SPDX-License-Identifier: Apache-2.0
 *
 * memory_inner.h - what the files of the memory store share.
 */
#ifndef LATCHKEY_STORE_MEMORY_INNER_H
#define LATCHKEY_STORE_MEMORY_INNER_H

#include "shm/table.h"
#include "store/rules.h"
#include "store/store_ops.h"

/* The word of the table that is raised once a session has ended or was replaced (lk_store_mark). */
#define LK__MEMORY_WORD 63u

typedef struct lk__memory {
    lk_store base;
    lk_table *table;
} lk__memory;

typedef struct lk__memory_key {
    uint8_t bytes[LK_TABLE_KEY_LEN];
} lk__memory_key;

/* The key of a session in the table: its 12 bytes and 4 zero bytes. */
lk__memory_key lk__memory_key_of(const lk_session_key *key);
/* The group of a user in the table; 0 for an empty user. Two users may share one: who lists a group compares.
 */
uint64_t lk__memory_owner(const lk__memory *m, lk_view realm, lk_view user);
/* LK_STALE with the reason when KEY is fenced, LK_MISS when it is not. */
LK_CHECKED lk_status lk__memory_fenced(lk__memory *m, const lk__memory_key *key, lk_reason *why);

/* memory_write.c, see store.h */
lk_status lk__memory_create(lk_store *store, const lk_session *s, lk_limit limit, uint32_t *ended);
lk_status lk__memory_replace(lk_store *store, const lk_session_key *old, uint32_t old_generation,
                             const lk_session *s, int64_t grace_until_s, int64_t fence_s, lk_limit limit);
lk_status lk__memory_change(lk_store *store, const lk_session_key *key, uint32_t generation,
                            uint32_t if_revision, const lk_op *ops, size_t n, uint32_t *revision,
                            lk_note *note);
lk_status lk__memory_touch_many(lk_store *store, const lk_touch *touches, size_t n);
lk_status lk__memory_destroy(lk_store *store, const lk_session_key *key, lk_reason reason, int64_t fence_s);

#endif
