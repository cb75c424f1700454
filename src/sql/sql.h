/* SPDX-License-Identifier: Apache-2.0
 *
 * sql.h - a database: connections for several threads, transactions, prepared statements. Knows nothing of
 * what is kept in it.
 *
 * Statements are written in the SQL that the dialects share, with ? for each value (PostgreSQL is given $1,
 * $2,
 * ...; on MariaDB "..." quotes names); where they cannot agree the caller asks lk_sql_dialect_of. Values are
 * only ever bound, never put into the text. Text is UTF-8 without NUL bytes on PostgreSQL and MariaDB.
 *
 * Time: whoever borrows a connection has the deadline of its lk_sql for all of it, connecting included, until
 * lk_sql_give_back or lk_sql_deadline. A server that does not answer by then gives LK_FAULT, and its
 * connection is dropped: what the server made of the last statement is unknown. A connection that broke while
 * it was idle is replaced when it is borrowed. While a server cannot be reached, one connection tries it
 * again after 50 ms, 100 ms, ... 2 s (each a little at random), and everybody else has LK_FAULT at once.
 *
 * After any answer but LK_OK and LK_MISS a transaction is good for lk_sql_rollback only: PostgreSQL takes
 * nothing else then.
 */
#ifndef LATCHKEY_SQL_SQL_H
#define LATCHKEY_SQL_SQL_H

#include <latchkey/env.h>

/* The members: one file and one line of the registry in sql.c each. */
typedef enum lk_sql_dialect { LK_SQL_SQLITE, LK_SQL_POSTGRES, LK_SQL_MARIADB } lk_sql_dialect;

#define LK_SQL_LINKS_MAX 8     /* connections of one lk_sql, and one more for lk_sql_borrow_listener */
#define LK_SQL_QUERIES_MAX 128 /* different statements prepared on one connection */
#define LK_SQL_WAIT_MS 5000    /* the deadline, unless another is asked for */
#define LK_SQL_DEADLINE_MIN 10 /* of a deadline, in ms */
#define LK_SQL_DEADLINE_MAX 10000
#define LK_SQL_VERSION_MAX 64

typedef struct lk_sql lk_sql;             /* a database and its connections */
typedef struct lk_sql_link lk_sql_link;   /* one connection, lent to one thread */
typedef struct lk_sql_query lk_sql_query; /* one prepared statement of a connection */

/* How much of a commit must survive. Either survives the end of the process that made it. */
typedef enum lk_sql_durability {
    LK_SQL_DURABLE, /* on disk when commit answers (on a server: as it is set up) */
    LK_SQL_RELAXED  /* soon on disk, for what may be lost with the power (SQLite) or with the server
                     * (PostgreSQL,  its last second), like counters; MariaDB knows no such commits */
} lk_sql_durability;

/* Is URL well formed? Touches nothing. LK_OK; LK_REFUSED with what is expected in the note. URLs are
 *   sqlite:PATH
 *   postgres://USER:PASSWORD@HOST:PORT/DATABASE (also postgresql://; the options are libpq's, as sslmode=)
 *   mariadb://USER:PASSWORD@HOST:PORT/DATABASE (also mysql://; options socket=, sslmode=, sslrootcert=)
 * each with ?deadline=250ms (10ms to 10s) if wanted. %XX is decoded. */
LK_CHECKED lk_status lk_sql_url_check(const char *url, lk_note *note);

typedef struct lk_sql_options {
    uint32_t deadline_ms; /* 0: LK_SQL_WAIT_MS. What the URL says goes before. */
    bool must_exist;      /* SQLite: make no file */
} lk_sql_options;

/* Open the database URL and connect once, so that what is wrong shows now. An SQLite file is made when it is
 * not there, unless options->must_exist; OPTIONS may be NULL. Open after fork: a handle belongs to the
 * process that opened it. Safe from several threads. Keeps ENV. Gives LK_OK; LK_MISS when the file must exist
 * and does not; LK_REFUSED for a bad URL, a file that others may read, a wrong password, no such database, or
 * no right to it (the note has the cure); LK_FULL when the disk is; LK_FAULT. No note ever has a password in
 * it. */
LK_CHECKED lk_status lk_sql_open(const lk_env *env, const char *url, const lk_sql_options *options,
                                 lk_sql **out, lk_note *note);
void lk_sql_close(lk_sql *db); /* every link must be back; NULL is fine */
lk_sql_dialect lk_sql_dialect_of(const lk_sql *db);
uint32_t lk_sql_deadline_of(const lk_sql *db); /* in ms */

/* Lend a connection to this thread; waits for one up to the deadline. LK_OK, LK_REFUSED, LK_FULL or LK_FAULT
 * as lk_sql_open. Whoever holds a transaction must not borrow a second link: writers wait for each other. */
LK_CHECKED lk_status lk_sql_borrow(lk_sql *db, lk_sql_link **out, lk_note *note);
/* Give it back: an open transaction is rolled back, queries are reset. NULL is fine. */
void lk_sql_give_back(lk_sql_link *link);
/* The deadline begins anew: from now on WAIT_MS, which may be over LK_SQL_DEADLINE_MAX (a change of a
 * schema). */
void lk_sql_deadline(lk_sql_link *link, uint32_t wait_ms);

/* A transaction that may write from its start. On SQLite nobody else writes until it ends, so what it reads
 * cannot change. PostgreSQL and MariaDB run it as READ COMMITTED: there only rows read by SELECT ... FOR
 * UPDATE, or written, cannot change. Begin and end on the same thread. LK_OK; LK_FULL (no room on disk);
 * LK_FAULT (another writer held on until the deadline included).
 *
 * When commit gives LK_REFUSED or LK_FULL, nothing was written. When it gives LK_FAULT, then on SQLite
 * nothing was written either; PostgreSQL and MariaDB may have committed all the same, if the answer was lost
 * on its way: the caller does not know, and must say so or do what can be done twice. */
LK_CHECKED lk_status lk_sql_begin(lk_sql_link *link, lk_sql_durability durability);
LK_CHECKED lk_status lk_sql_commit(lk_sql_link *link);
void lk_sql_rollback(lk_sql_link *link); /* fine without a transaction */

/* Did the last call on LINK that failed do so because the database undid the transaction for the sake of
 * another one (a deadlock, a serialization failure)? Nothing was written then, and it may be run again from
 * its begin, after a rollback. False when the outcome of a commit is unknown. */
bool lk_sql_may_retry(const lk_sql_link *link);

/* As lk_sql_begin, for changing tables and indexes: one such transaction at a time in all programs that use
 * this database. On MariaDB each statement that changes a table commits what was done so far. */
LK_CHECKED lk_status lk_sql_begin_schema(lk_sql_link *link);
/* Is there a table (or view) of that name, where an unqualified name is looked for? LK_OK, LK_MISS, LK_FAULT.
 */
LK_CHECKED lk_status lk_sql_has_table(lk_sql_link *link, lk_view name);

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
int64_t lk_sql_i64(lk_sql_query *q, int column);  /* 0 for NULL */
lk_view lk_sql_text(lk_sql_query *q, int column); /* empty for NULL */
lk_view lk_sql_bytes(lk_sql_query *q, int column);

/* ---- waiting until something is said ---- */

/* Lend the one connection of DB that listens on CHANNEL (a plain name, a literal; the same each time). What
 * is notified from now on is told by lk_sql_wait, so the caller listens, then looks, then waits. Threads that
 * want it at the same time wait for it up to the deadline. It can do all that another link can. Answers as
 * lk_sql_borrow.
 */
LK_CHECKED lk_status lk_sql_borrow_listener(lk_sql *db, const char *channel, lk_sql_link **out,
                                            lk_note *note);
/* Wait, outside a transaction, up to WAIT_MS for somebody to notify the channel of this listener (PostgreSQL:
 * NOTIFY channel) or to commit anything (SQLite). LK_OK: look; LK_MISS: nothing was said; LK_FAULT. On
 * MariaDB, where nothing can be waited for, LK_OK after at most LK_SQL_LOOK_MS. The deadline begins anew
 * afterwards. */
#define LK_SQL_LOOK_MS 20
LK_CHECKED lk_status lk_sql_wait(lk_sql_link *link, uint32_t wait_ms);

/* ---- the server ---- */

/* The clock of the server (of this machine on SQLite), in ms since 1970. LK_OK, LK_FAULT. */
LK_CHECKED lk_status lk_sql_time_ms(lk_sql_link *link, int64_t *now_ms);
/* Its name and version, as "PostgreSQL 15.4". LK_OK, LK_FAULT. */
LK_CHECKED lk_status lk_sql_version(lk_sql_link *link, char out[LK_SQL_VERSION_MAX]);

/* Say what the last failure on LINK was: a sentence that names the database and the cure, without values. */
void lk_sql_explain(lk_sql_link *link, lk_note *note);

#endif
