/* SPDX-License-Identifier: Apache-2.0
 *
 * postgres.h - what the files of the PostgreSQL dialect share. Private to them.
 */
#ifndef LATCHKEY_SQL_POSTGRES_H
#define LATCHKEY_SQL_POSTGRES_H

#include "sql/inner.h"
#include <libpq-fe.h>

typedef struct lk__pg {
    const lk_sql_target *to;
    PGconn *conn;
    int64_t until_ms;
    uint32_t wait_ms; /* how long whoever has it may take in all */
    uint32_t set_ms;  /* what the server was told of that */
    bool lost;        /* the connection cannot be used any more */
    bool late;        /* because the deadline passed */
    bool warned;      /* the server sent a warning during the last statement */
    char code[6];     /* SQLSTATE of the last failure; "" when it was not the server that failed */
    char said[160];   /* the first line of its message, without values */
    unsigned names;   /* of prepared statements, so far */
} lk__pg;

/* ---- postgres_connect.c ---- */

lk_status lk__pg_check(const lk_sql_target *to, lk_note *note);
lk_status lk__pg_connect(lk_sql_target *to, int64_t until_ms, void **connection, lk_note *note);
void lk__pg_disconnect(const lk_sql_target *to, void *connection);

/* ---- postgres.c ---- */

/* After a PQsend...: wait for the answer to all of it. LK_OK: the last result is in *out (never NULL) and is
 * the caller's, who clears it. Otherwise what the first failure means; *out is NULL. */
LK_CHECKED lk_status lk__pg_receive(lk__pg *c, bool sent, PGresult **out);
/* All settings of a new connection. LK_OK, LK_FAULT. */
LK_CHECKED lk_status lk__pg_settle(lk__pg *c);
/* Tell the server how long statements may take, where that has changed. LK_OK, LK_FAULT. */
LK_CHECKED lk_status lk__pg_ready(lk__pg *c);
LK_CHECKED lk_status lk__pg_run(lk__pg *c, const char *statements);
/* The first line of TEXT to OUT. */
void lk__pg_first_line(const char *text, char *out, size_t cap);
void lk__pg_explain(void *connection, lk_note *note);

/* ---- postgres_query.c ---- */

lk_status lk__pg_prepare(void *connection, const char *text, void **statement);
void lk__pg_finalize(void *statement);
bool lk__pg_bind_i64(void *statement, int place, int64_t value);
bool lk__pg_bind_bytes(void *statement, int place, lk_view value);
lk_status lk__pg_step(void *connection, void *statement);
void lk__pg_reset(void *statement);
uint64_t lk__pg_changed(void *connection, void *statement);
int64_t lk__pg_i64(void *statement, int column);
lk_view lk__pg_bytes(void *statement, int column);

#endif
