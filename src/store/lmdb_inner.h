/* SPDX-License-Identifier: Apache-2.0
 *
 * lmdb_inner.h - what the files of the lmdb store share.
 */
#ifndef LATCHKEY_STORE_LMDB_INNER_H
#define LATCHKEY_STORE_LMDB_INNER_H

#include "store/rules.h"
#include "store/store_ops.h"
#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/types.h>

/* The databases of the environment; their content is in docs/stores/lmdb.md. */
typedef enum lk__lmdb_name {
    LK__LMDB_SESSIONS, /* session key -> due time, record or fence; beside them the names of the other
                          databases */
    LK__LMDB_USERS,    /* realm, 0, user, 0, session key -> nothing */
    LK__LMDB_EXPIRY,   /* due time (ordered), kind, id -> nothing */
    LK__LMDB_EVENTS,   /* sequence number (ordered) -> cut-off */
    LK__LMDB_META,     /* "format", "seq", "fences" */
    LK__LMDB_NAMES
} lk__lmdb_name;

/* A place for one reader: a transaction that is kept and renewed, so that a look-up allocates nothing. */
typedef struct lk__lmdb_slot {
    atomic_bool is_taken;
    MDB_txn *txn;
    uint8_t apart[48]; /* no two slots on one line of the processor's cache */
} lk__lmdb_slot;

#define LK__LMDB_SLOTS 16

struct lk__lmdb_job;

/* One environment, opened once in a process however many handles lead to it: LMDB forbids opening it twice.
 */
typedef struct lk__lmdb_env {
    const lk_env *env;
    MDB_env *mdb;
    MDB_dbi dbs[LK__LMDB_NAMES];
    size_t page_len;
    bool is_fast; /* ?sync=fast */

    dev_t device; /* of its directory */
    ino_t inode;
    pid_t pid;
    unsigned handles;
    struct lk__lmdb_env *next;

    lk__lmdb_slot slots[LK__LMDB_SLOTS];

    pthread_mutex_t queue_lock; /* writes that wait for their turn, and who leads */
    pthread_cond_t queue_moved;
    struct lk__lmdb_job *first, *last;
    bool is_led;

    pthread_mutex_t write_lock; /* held over each write transaction, and to map the file anew */
    uint64_t disk_until;        /* bytes of the file that the disk has promised; under write_lock */
    size_t synced_txn;          /* under write_lock */

    _Atomic uint64_t known_txn; /* the newest transaction whose... */
    _Atomic uint64_t known_seq; /* ...event number is this or less */
} lk__lmdb_env;

typedef struct lk__lmdb {
    lk_store base;
    lk__lmdb_env *db;
} lk__lmdb;

typedef struct lk__lmdb_options {
    uint64_t map_len;
    bool is_fast;
} lk__lmdb_options;

/* lmdb_env.c: the environment and its readers. */

lk_status lk__lmdb_env_open(const lk_env *env, const char *path, lk__lmdb_options options, lk__lmdb_env **out,
                            lk_note *note);
void lk__lmdb_env_close(lk__lmdb_env *db);

/* What an error of LMDB means: LK_MISS for MDB_NOTFOUND, LK_FULL for no room in the map or on the disk. */
LK_CHECKED lk_status lk__lmdb_status(int error);

/* Begin reading: a snapshot in (*slot)->txn, until lk__lmdb_read_end. Never write or call back while holding
 * one. */
LK_CHECKED lk_status lk__lmdb_read_begin(lk__lmdb_env *db, lk__lmdb_slot **slot);
void lk__lmdb_read_end(lk__lmdb_slot *slot);

/* Lend a place without beginning to read, so that the map stays where it is. */
lk__lmdb_slot *lk__lmdb_slot_take(lk__lmdb_env *db);
void lk__lmdb_slot_give(lk__lmdb_slot *slot);

/* Map the file anew at the size another process has given it. The caller holds write_lock; every reader's
 * place is taken too meanwhile, so that no transaction of this process is under way. Gives an error of LMDB.
 */
int lk__lmdb_map_anew(lk__lmdb_env *db);

/* lmdb_queue.c */

/* A write: all of it inside TXN. It may be run more than once, since writes that wait together share a
 * transaction, and one that fails undoes the others, which are then run alone. So it sets its results anew
 * each time, and it writes nothing before it is sure to answer LK_OK. */
typedef lk_status (*lk__lmdb_work)(lk__lmdb_env *db, MDB_txn *txn, void *argument);

/* Run WORK; LK_OK means it is committed (and on disk, unless the mode is fast). Blocks. */
LK_CHECKED lk_status lk__lmdb_write(lk__lmdb_env *db, lk__lmdb_work work, void *argument);

/* lmdb_room.c: is there room for what makes the store grow? Ending sessions never asks: a part of the room is
 * kept for it, so that people can log out of a full store. Called inside a work. LK_OK, LK_FULL, LK_FAULT. */
LK_CHECKED lk_status lk__lmdb_has_room(lk__lmdb_env *db);

/* lmdb_row.c: a session and its index entries, as one. */

typedef struct lk__lmdb_row {
    int64_t due_s; /* under which time it stands in the expiry index */
    lk_view record;
    bool is_fence;
    lk_reason why;   /* of a fence */
    int64_t until_s; /* of a fence */
} lk__lmdb_row;

#define LK__LMDB_NEW INT64_MIN /* as a due time: there is no row */

LK_CHECKED lk_status lk__lmdb_get(const lk__lmdb_env *db, MDB_txn *txn, lk__lmdb_name name, lk_view key,
                                  lk_view *value);
LK_CHECKED lk_status lk__lmdb_put(const lk__lmdb_env *db, MDB_txn *txn, lk__lmdb_name name, lk_view key,
                                  lk_view value);
/* LK_OK also when it is not there. */
LK_CHECKED lk_status lk__lmdb_delete(const lk__lmdb_env *db, MDB_txn *txn, lk__lmdb_name name, lk_view key);

/* LK_OK: a session; LK_STALE: a fence, or too short to be anything; LK_MISS; LK_FAULT. The record is in
 * LMDB's memory, good until the next write of the transaction. */
LK_CHECKED lk_status lk__lmdb_row_get(const lk__lmdb_env *db, MDB_txn *txn, const lk_session_key *key,
                                      lk__lmdb_row *row);
/* Write the RECORD of S, which stood under DUE_BEFORE_S (or LK__LMDB_NEW), now due at DUE_S. */
LK_CHECKED lk_status lk__lmdb_row_put(const lk__lmdb_env *db, MDB_txn *txn, const lk_session *s,
                                      lk_view record, int64_t due_before_s, int64_t due_s);
/* Let ROW of KEY be looked at again at DUE_S. */
LK_CHECKED lk_status lk__lmdb_row_defer(const lk__lmdb_env *db, MDB_txn *txn, const lk_session_key *key,
                                        const lk__lmdb_row *row, int64_t due_s);
/* Remove the row of KEY with its index entries. LK_OK; LK_MISS; LK_FULL; LK_FAULT. */
LK_CHECKED lk_status lk__lmdb_row_drop(const lk__lmdb_env *db, MDB_txn *txn, const lk_session_key *key);
/* End a session: in its place, or in an empty one, lies a fence. Of a fence that is there the end moves, the
 * first reason stays. LK_OK, LK_FULL, LK_FAULT. */
LK_CHECKED lk_status lk__lmdb_row_end(const lk__lmdb_env *db, MDB_txn *txn, const lk_session_key *key,
                                      lk_reason reason, int64_t until_s);
/* How many of the rows are fences. */
LK_CHECKED lk_status lk__lmdb_fences(const lk__lmdb_env *db, MDB_txn *txn, uint64_t *n);

/* Keys. The prefix of a user's entries in USERS; the key of an entry in EXPIRY. */
#define LK__LMDB_USER_MAX (LK_REALM_MAX + LK_USER_ID_MAX + 2 + LK_SESSION_KEY_LEN)
void lk__lmdb_user_prefix(lk_view realm, lk_view user, lk_buf *out);

typedef enum lk__lmdb_kind { LK__LMDB_OF_ROW = 1, LK__LMDB_OF_EVENT = 2 } lk__lmdb_kind;
#define LK__LMDB_EXPIRY_LEN (8 + 1 + LK_SESSION_KEY_LEN)
typedef struct lk__lmdb_due {
    int64_t at_s;
    lk__lmdb_kind kind;
    lk_session_key id; /* of an event: its number in the first 8 bytes */
} lk__lmdb_due;
void lk__lmdb_due_write(const lk__lmdb_due *due, uint8_t out[LK__LMDB_EXPIRY_LEN]);
LK_CHECKED lk_status lk__lmdb_due_read(lk_view key, lk__lmdb_due *out); /* LK_OK, LK_STALE */

/* lmdb_user.c: the entries of S's user, beside S. */

/* Remove a few entries that lead nowhere or to a session that is over: done by each create, so that listing
 * stays O(page) even if nobody ever sweeps. */
LK_CHECKED lk_status lk__lmdb_user_trim(lk__lmdb_env *db, MDB_txn *txn, const lk_session *s, int64_t now_s);
/* End those that the limit chooses; *ended is raised by each. LK_FULL with *refused: it refuses S. */
LK_CHECKED lk_status lk__lmdb_user_limit(lk__lmdb_env *db, MDB_txn *txn, const lk_session *s,
                                         const lk_limit *limit, int64_t now_s, uint32_t *ended,
                                         bool *refused);

/* The members of the table of functions that are not in lmdb.c. */
lk_status lk__lmdb_create(lk_store *store, const lk_session *s, lk_limit limit, uint32_t *ended);
lk_status lk__lmdb_replace(lk_store *store, const lk_session_key *old, uint32_t old_generation,
                           const lk_session *s, int64_t grace_until_s, int64_t fence_s, lk_limit limit);
lk_status lk__lmdb_change(lk_store *store, const lk_session_key *key, uint32_t generation,
                          uint32_t if_revision, const lk_op *ops, size_t n, uint32_t *revision,
                          lk_note *note);
lk_status lk__lmdb_touch_many(lk_store *store, const lk_touch *touches, size_t n);
lk_status lk__lmdb_destroy(lk_store *store, const lk_session_key *key, lk_reason reason, int64_t fence_s);
lk_status lk__lmdb_list_by_user(lk_store *store, lk_view realm, lk_view user, uint64_t *cursor, uint32_t page,
                                lk_session_each each, void *context);
lk_status lk__lmdb_list(lk_store *store, uint64_t *cursor, uint32_t page, lk_session_each each,
                        void *context);
lk_status lk__lmdb_sweep(lk_store *store, int64_t now_s, uint32_t max_rows, uint32_t max_ms,
                         uint32_t *removed);
lk_status lk__lmdb_cutoff_append(lk_store *store, lk_cutoff *c);
lk_status lk__lmdb_mark(lk_store *store, uint64_t *mark);
lk_status lk__lmdb_event_seq(lk_store *store, uint64_t *seq);
lk_status lk__lmdb_events_since(lk_store *store, uint64_t after, lk_event *out, size_t *n);

#endif
