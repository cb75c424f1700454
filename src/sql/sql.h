/* SPDX-License-Identifier: Apache-2.0
 *
 * sql.h - a database: connections for several threads, transactions, prepared statements. Knows nothing of
 * what is kept in it.
 *
 * Statements are written in the SQL that the dialects share, with ? for each value; where they cannot agree
 * (a schema) the caller asks lk_sql_dialect_of. Values are only ever bound, never put into the text.
 */
#ifndef LATCHKEY_SQL_SQL_H
#define LATCHKEY_SQL_SQL_H

#include <latchkey/env.h>

/* The members: one file and one line of the registry in sql.c each. */
typedef enum lk_sql_dialect { LK_SQL_SQLITE } lk_sql_dialect;

#define LK_SQL_LINKS_MAX 8    /* connections of one lk_sql */
#define LK_SQL_QUERIES_MAX 48 /* different statements prepared on one connection */
#define LK_SQL_WAIT_MS 5000   /* longest wait for a connection or for another writer */

typedef struct lk_sql lk_sql;             /* a database and its connections */
typedef struct lk_sql_link lk_sql_link;   /* one connection, lent to one thread */
typedef struct lk_sql_query lk_sql_query; /* one prepared statement of a connection */

/* How much of a commit must survive the loss of power. Either survives the end of every process. */
typedef enum lk_sql_durability {
    LK_SQL_DURABLE, /* on disk when commit answers */
    LK_SQL_RELAXED  /* soon on disk: for what may be lost with the power, like counters */
} lk_sql_durability;

/* Is URL ("sqlite:/path") well formed? Touches nothing. LK_OK; LK_REFUSED with what is expected in the note.
 */
LK_CHECKED lk_status lk_sql_url_check(const char *url, lk_note *note);

/* Open the database URL, making it when it is not there, and connect once, so that what is wrong shows now.
 * Open after fork: a handle belongs to the process that opened it. Safe from several threads.
 * Gives LK_OK; LK_REFUSED for a bad URL or a file that others may read (the note has the cure); LK_FULL when
 * the disk is; LK_FAULT. Keeps ENV. */
LK_CHECKED lk_status lk_sql_open(const lk_env *env, const char *url, lk_sql **out, lk_note *note);
void lk_sql_close(lk_sql *db); /* every link must be back; NULL is fine */
lk_sql_dialect lk_sql_dialect_of(const lk_sql *db);

/* Lend a connection to this thread; waits up to LK_SQL_WAIT_MS for one. LK_OK, LK_REFUSED, LK_FULL or
 * LK_FAULT as lk_sql_open. Whoever holds a transaction must not borrow a second link: writers wait for each
 * other. */
LK_CHECKED lk_status lk_sql_borrow(lk_sql *db, lk_sql_link **out, lk_note *note);
/* Give it back: an open transaction is rolled back, queries are reset. NULL is fine. */
void lk_sql_give_back(lk_sql_link *link);

/* A transaction that may write from its start: what it reads cannot change before it commits. Begin and end
 * on the same thread. LK_OK; LK_FULL (no room on disk); LK_FAULT (another writer held on for longer than
 * LK_SQL_WAIT_MS included). When commit gives anything but LK_OK, nothing was written. */
LK_CHECKED lk_status lk_sql_begin(lk_sql_link *link, lk_sql_durability durability);
LK_CHECKED lk_status lk_sql_commit(lk_sql_link *link);
void lk_sql_rollback(lk_sql_link *link); /* fine without a transaction */

/* Run a text of several statements without values, for schemas. LK_OK, LK_REFUSED, LK_FULL, LK_FAULT. */
LK_CHECKED lk_status lk_sql_script(lk_sql_link *link, const char *statements);

/* The prepared statement of TEXT, which must be a literal: it is remembered by its address and prepared once
 * per connection. Values are numbered from 1; a value that cannot be bound is told by the next step or run.
 * LK_OK, LK_FAULT. */
LK_CHECKED lk_status lk_sql_prepare(lk_sql_link *link, const char *text, lk_sql_query **out);
void lk_sql_bind_i64(lk_sql_query *q, int place, int64_t value);
void lk_sql_bind_text(lk_sql_query *q, int place, lk_view value);  /* copied */
void lk_sql_bind_bytes(lk_sql_query *q, int place, lk_view value); /* copied */

/* The next row: LK_OK there is one; LK_MISS there is none (left); LK_REFUSED a constraint forbids it; LK_FULL
 * no room on disk; LK_FAULT. On anything but LK_OK the query is reset and its values are forgotten. */
LK_CHECKED lk_status lk_sql_step(lk_sql_query *q);
/* Run a statement that gives no rows. LK_OK, LK_REFUSED, LK_FULL, LK_FAULT; reset in any case. *changed (may
 * be NULL) counts the rows it touched. */
LK_CHECKED lk_status lk_sql_run(lk_sql_query *q, uint64_t *changed);
/* A value to bind. */
typedef struct lk_sql_value {
    enum { LK_SQL_I64, LK_SQL_TEXT, LK_SQL_BYTES } kind;
    int64_t number;
    lk_view bytes;
} lk_sql_value;
static inline lk_sql_value lk_sql_of_i64(int64_t number)
{
    return (lk_sql_value){LK_SQL_I64, number, {NULL, 0}};
}
static inline lk_sql_value lk_sql_of_text(lk_view text)
{
    return (lk_sql_value){LK_SQL_TEXT, 0, text};
}
static inline lk_sql_value lk_sql_of_bytes(lk_view bytes)
{
    return (lk_sql_value){LK_SQL_BYTES, 0, bytes};
}
/* The values of a statement in order, as the two arguments they take below. */
#define LK_SQL_VALUES(...)                                                                                   \
    (const lk_sql_value[]){__VA_ARGS__}, sizeof((const lk_sql_value[]){__VA_ARGS__}) / sizeof(lk_sql_value)

/* Prepare and bind: step through the rows of *out. LK_OK, LK_FAULT. */
LK_CHECKED lk_status lk_sql_ask(lk_sql_link *link, const char *text, const lk_sql_value *values, size_t n,
                                lk_sql_query **out);
/* Prepare, bind and run. */
LK_CHECKED lk_status lk_sql_do(lk_sql_link *link, const char *text, const lk_sql_value *values, size_t n,
                               uint64_t *changed);

/* Stop before the last row. Fine at any time. */
void lk_sql_reset(lk_sql_query *q);

/* Column COLUMN (from 0) of the present row. The view is good until the next step or reset. */
int64_t lk_sql_i64(lk_sql_query *q, int column);
lk_view lk_sql_text(lk_sql_query *q, int column);

/* Say what the last failure on LINK was: a sentence that names the database and the cure, without values. */
void lk_sql_explain(lk_sql_link *link, lk_note *note);

#endif
