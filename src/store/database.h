/* SPDX-License-Identifier: Apache-2.0
 *
 * database.h - what the files of the stores over SQL share. One implementation serves SQLite, PostgreSQL and
 * MariaDB; where their SQL differs, database_text.c has a text for each.
 *
 * What the tables hold is in docs/stores/sqlite.md, postgres.md and mariadb.md; why they look like that, in
 * docs/decisions/0012-sessions-in-sql.md.
 */
#ifndef LATCHKEY_STORE_DATABASE_H
#define LATCHKEY_STORE_DATABASE_H

#include "crypto/shorthash.h"
#include "sql/sql.h"
#include "store/rules.h"
#include "store/store_ops.h"
#include <pthread.h>
#include <stdatomic.h>

#define LK__DB_FORMAT 1    /* of the tables: one more than the last step of database_schema.c */
#define LK__DB_BATCH 128   /* sessions asked for or written by one statement */
#define LK__DB_SIZES 4     /* statements for 1, 8, 32 and LK__DB_BATCH sessions */
#define LK__DB_FENCE 0x00  /* the first byte of a head that is a fence: no record begins with it */
#define LK__DB_EVENT_S 600 /* how long events are kept at least, so that a node may be that far behind */
#define LK__DB_EVENTS_MAX 100000 /* events of sessions beyond that go before their time */

typedef enum lk__db_event_kind { LK__DB_CUTOFF = 1, LK__DB_ENDED = 2 } lk__db_event_kind;

/* The statements. Those of several sizes take that many session ids; a smaller batch repeats its last one. */
typedef struct lk__db_text {
    bool is_one_writer;               /* the database lets one write at a time, so there is nothing to lock */
    const char *heads[LK__DB_SIZES];  /* id, seen, head */
    const char *wholes[LK__DB_SIZES]; /* id, seen, head, fields */
    const char *lock_one;             /* id, seen, head, fields; held */
    const char *locks[LK__DB_SIZES];  /* in the order of their ids: id, seen, head; held */
    const char *free_locks[LK__DB_SIZES]; /* the same, passing over those that somebody else holds */
    const char *lock_turn;                /* n; NULL where there is one writer at a time anyway */
    const char *deletes[LK__DB_SIZES];
    const char *touch_many; /* LK__DB_BATCH pairs of id and time; NULL: one after the other */
    const char *touch_one;
    const char *defer_many; /* the same for due */
    const char *defer_one;
    const char *insert;         /* due, seen, owner, head, fields, id; nothing when the id is there */
    const char *insert_nobodys; /* due, seen, head, fields, id */
    const char *insert_fence;   /* due, head, id */
    const char *lease;          /* one row, when nobody else has it */
    const char *notify;         /* tell who listens; NULL where nobody can, or needs not be told */
    const char *estimate;       /* rows of latchkey_session, and the bytes it takes */
} lk__db_text;

const lk__db_text *lk__db_text_of(lk_sql_dialect dialect);

#define LK__DB_PLACES 8

/* Where in the stream this handle has been: a number and the mark that its event carries. */
typedef struct lk__db_place {
    uint64_t seq;
    int64_t mark;
} lk__db_place;

typedef struct lk__db {
    lk_store base;
    lk_sql *sql;
    const lk__db_text *text;
    lk_sql_durability durability;       /* of what must not be lost */
    uint8_t salt[LK_SHORTHASH_KEY_LEN]; /* of `owner` */
    _Atomic uint64_t unreadable;        /* rows that could not be read, since the store was opened */
    pthread_mutex_t places_lock;
    lk__db_place places[LK__DB_PLACES];
    unsigned next_place;
    pthread_mutex_t
        queue_lock; /* database_queue.c: writes that wait for their turn, and whether somebody leads */
    pthread_cond_t queue_moved;
    struct lk__db_job *first, *last;
    bool is_led;
} lk__db;

static inline lk__db *lk__db_of(lk_store *store)
{
    return (lk__db *)store;
}

static inline lk_view lk__db_id(const lk_session_key *id)
{
    return lk_view_make(id->bytes, sizeof(id->bytes));
}

/* ---- database_row.c: what stands in a row ---- */

/* A time in four bytes, as the columns `due` and `seen` have it: seconds from 19 January 2038 on, before it
 * negative. What is beyond 1970 to 2106 stands at the end of that. */
int64_t lk__db_time(int64_t at_s);
int64_t lk__db_seconds(int64_t column);

/* The column `owner`: in its upper half a hash of realm and user, in its lower half the beginning of the
 * session's id. So the sessions of one user lie together in the index, in the order of their ids. That two
 * users have one hash is rare and does no harm: whoever reads compares the names. */
int64_t lk__db_owner(const lk__db *db, lk_view realm, lk_view user, uint32_t place);
uint32_t lk__db_place_of(const lk_session_key *id);

typedef struct lk__db_row {
    lk_session_key id;
    int64_t seen_s; /* 0: not to be touched, or not asked for */
    lk_view head;   /* good until the statement goes on */
    lk_view fields;
    bool is_fence;
    lk_reason why;   /* of a fence */
    int64_t until_s; /* of a fence */
} lk__db_row;

/* The row that Q is at; with_fields: also the fourth column. LK_OK: a session; LK_STALE: a fence, or too
 * short to be anything. */
LK_CHECKED lk_status lk__db_row_read(lk_sql_query *q, bool with_fields, lk__db_row *row);

/* Copy the record of ROW to BUF, its last-seen time brought up to date, and read it as the session it ought
 * to be. LK_OK; LK_STALE; LK_FULL when CAP is too small. */
LK_CHECKED lk_status lk__db_row_session(lk__db *db, const lk__db_row *row, uint8_t *buf, size_t cap,
                                        lk_session *out);

/* Ask one of TEXTS, statements of 1, 8, 32 and LK__DB_BATCH ids, for IDS, of which there are 1 to
 * LK__DB_BATCH. LK_OK, LK_FAULT. */
LK_CHECKED lk_status lk__db_ask_ids(lk_sql_link *link, const char *const texts[LK__DB_SIZES],
                                    const lk_session_key *ids, size_t n, lk_sql_query **out);

/* ---- database_tx.c: transactions ---- */

typedef struct lk__db_event {
    lk__db_event_kind kind;
    lk_session_key id;       /* LK__DB_ENDED */
    const lk_cutoff *cutoff; /* LK__DB_CUTOFF */
} lk__db_event;

#define LK__DB_EVENTS_FEW 20 /* more than a logout makes */

typedef struct lk__db_tx {
    lk__db *db;
    lk_sql_link *link;
    lk__db_event *events; /* written to the stream as the last step */
    size_t events_n, events_cap;
    bool wants_seq;    /* set by a work that wants to know... */
    uint64_t last_seq; /* ...the number of the last of them */
    lk__db_event few[LK__DB_EVENTS_FEW];
} lk__db_tx;

/* A write: all of it inside TX. It may be run more than once (the database may have to undo it for the sake
 * of another), so it sets its results anew each time. */
typedef lk_status (*lk__db_work)(lk__db_tx *tx, void *argument);

/* Run WORK and commit. What WORK answers, or how the commit went. *last_seq may be NULL. */
LK_CHECKED lk_status lk__db_write(lk__db *db, lk_sql_durability durability, lk__db_work work, void *argument,
                                  uint64_t *last_seq);
/* database_tx.c: WORK in the transaction that tx->link has, then its events. */
LK_CHECKED lk_status lk__db_tx_run(lk__db_tx *tx, lk__db_work work, void *argument);
/* database_queue.c: as lk__db_write, together with others that wait. Blocks. */
LK_CHECKED lk_status lk__db_queue(lk__db_tx *tx, lk_sql_durability durability, lk__db_work work,
                                  void *argument);

/* Have an event written when TX commits. LK_OK, LK_FAULT. */
LK_CHECKED lk_status lk__db_tell(lk__db_tx *tx, lk__db_event event);

/* database_events.c: write what was told. */
LK_CHECKED lk_status lk__db_events_write(lk__db_tx *tx);
/* The newest event: its number (0: there never was one) and its mark. */
LK_CHECKED lk_status lk__db_newest(lk_sql_link *link, lk__db_place *out);

/* Sessions with a number for each, to be written by one statement: their last uses, or when to look at them.
 */
typedef struct lk__db_pairs {
    const char *many, *one; /* texts; many: NULL where one after the other is as good */
    lk_session_key ids[LK__DB_BATCH];
    int64_t values[LK__DB_BATCH];
    size_t n;
} lk__db_pairs;

void lk__db_pairs_add(lk__db_pairs *pairs, const lk_session_key *id, int64_t value);
bool lk__db_pairs_are_many(const lk__db_pairs *pairs);
LK_CHECKED lk_status lk__db_pairs_run(lk__db_tx *tx, const lk__db_pairs *pairs);

/* ---- database_end.c ---- */

/* Put a fence in the place of the session ID, which is there and locked, and tell of it. */
LK_CHECKED lk_status lk__db_end(lk__db_tx *tx, const lk_session_key *id, lk_reason reason, int64_t until_s);

/* ---- database_user.c: the other sessions of a user ---- */

/* Before beyond->newest is created: wait for the turn of its user, hold all his sessions (and OLD, when that
 * is not NULL), and find those that the limit ends; *refused: it refuses the new one. */
LK_CHECKED lk_status lk__db_user_hold(lk__db_tx *tx, const lk_session_key *old, const lk_limit *limit,
                                      int64_t now_s, lk__candidates *beyond, bool *refused);
/* After S was created: remove a few sessions of its user that are over. */
LK_CHECKED lk_status lk__db_user_trim(lk__db_tx *tx, const lk_session *s, int64_t now_s);

/* ---- database_sweep.c ---- */

/* Rows to be removed or to be looked at later, gathered while a statement is read. */
typedef struct lk__db_judged {
    lk_session_key over[LK__DB_BATCH];
    size_t over_n;
    lk_session_key later[LK__DB_BATCH];
    int64_t later_s[LK__DB_BATCH];
    size_t later_n;
} lk__db_judged;

/* Lock IDS, a batch at most, but for those that somebody else holds, and judge them. */
LK_CHECKED lk_status lk__db_judge_all(lk__db_tx *tx, const lk_session_key *ids, size_t n, int64_t now_s,
                                      lk__db_judged *out);
LK_CHECKED lk_status lk__db_clear(lk__db_tx *tx, const lk__db_judged *judged);

/* ---- database_schema.c ---- */

/* Find the tables and read what a handle needs to know of them. LK_OK; LK_MISS; LK_STALE; LK_FAULT. */
LK_CHECKED lk_status lk__db_schema_read(lk__db *db, lk_note *note);
/* Make the tables, or bring them up to date. */
LK_CHECKED lk_status lk__db_schema_make(const lk_env *env, lk_sql *sql, bool upgrade, lk_note *note);

/* ---- the members of the table of functions that are not in database.c ---- */

lk_status lk__db_create(lk_store *store, const lk_session *s, lk_limit limit, uint32_t *ended);
lk_status lk__db_replace(lk_store *store, const lk_session_key *old, uint32_t old_generation,
                         const lk_session *s, int64_t grace_until_s, int64_t fence_s, lk_limit limit);
lk_status lk__db_change(lk_store *store, const lk_session_key *key, uint32_t generation, uint32_t if_revision,
                        const lk_op *ops, size_t n, uint32_t *revision, lk_note *note);
lk_status lk__db_touch_many(lk_store *store, const lk_touch *touches, size_t n);
lk_status lk__db_destroy(lk_store *store, const lk_session_key *key, lk_reason reason, int64_t fence_s);
lk_status lk__db_list_by_user(lk_store *store, lk_view realm, lk_view user, uint64_t *cursor, uint32_t page,
                              lk_session_each each, void *context);
lk_status lk__db_list(lk_store *store, uint64_t *cursor, uint32_t page, lk_session_each each, void *context);
lk_status lk__db_counts(lk_store *store, lk_store_count *out);
lk_status lk__db_sweep(lk_store *store, int64_t now_s, uint32_t max_rows, uint32_t max_ms, uint32_t *removed);
lk_status lk__db_cutoff_append(lk_store *store, lk_cutoff *c);
lk_status lk__db_event_seq(lk_store *store, uint64_t *seq);
lk_status lk__db_events_since(lk_store *store, uint64_t after, lk_event *out, size_t *n);
lk_status lk__db_events_wait(lk_store *store, uint64_t after, uint32_t wait_ms);
lk_status lk__db_time_ms(lk_store *store, int64_t *now_ms);
lk_status lk__db_ready(lk_store *store, lk_note *note);
lk_status lk__db_inspect(lk_store *store, lk_finding_each each, void *context);

#endif
