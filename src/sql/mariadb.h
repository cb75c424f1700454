/* SPDX-License-Identifier: Apache-2.0
 *
 * mariadb.h - what the files of the MariaDB dialect share. Private to them.
 */
#ifndef LATCHKEY_SQL_MARIADB_H
#define LATCHKEY_SQL_MARIADB_H

#include "sql/inner.h"
#include <mysql.h>

typedef struct lk__my {
    const lk_sql_target *to;
    MYSQL *db;
    int64_t until_ms;
    uint32_t wait_ms; /* how long whoever has it may take in all */
    uint32_t set_ms;  /* what the server was told of that */
    bool lost;        /* the connection cannot be used any more: nothing is sent or read */
    bool late;        /* because the deadline passed */
    bool has_lock;    /* GET_LOCK of begin_schema */
    bool in_transaction;
    unsigned code;  /* error number of the last failure */
    char said[160]; /* its message, without values */
} lk__my;

/* ---- mariadb_url.c ---- */

typedef enum lk__my_tls { LK__MY_PLAIN, LK__MY_TLS, LK__MY_TLS_VERIFIED } lk__my_tls;

typedef struct lk__my_url {
    char room[LK_SQL_URL_MAX];                            /* what the others lie in, decoded */
    const char *user, *password, *database, *socket, *ca; /* "" when not given */
    const char *hosts[8];
    unsigned ports[8], hosts_n;
    lk__my_tls tls;
} lk__my_url;

/* LK_OK; LK_REFUSED with what is expected. Has a password in it: to be wiped. */
LK_CHECKED lk_status lk__my_url_read(const lk_sql_target *to, lk__my_url *out, lk_note *note);

/* ---- mariadb_connect.c ---- */

lk_status lk__my_check(const lk_sql_target *to, lk_note *note);
lk_status lk__my_connect(lk_sql_target *to, int64_t until_ms, void **connection, lk_note *note);
void lk__my_hang_up(void *connection);
void lk__my_disconnect(const lk_sql_target *to, void *connection);

/* ---- mariadb.c ---- */

/* Wait for what a call of libmariadb waits for; gives what came, for its _cont. 0 when the deadline passed:
 * then the connection is lost and the call is not continued. */
int lk__my_wait(lk__my *c, int events);
/* Write down the failure CODE and what it means. */
LK_CHECKED lk_status lk__my_fail(lk__my *c, unsigned code, const char *said);
/* Run one statement without values, and forget its rows. */
LK_CHECKED lk_status lk__my_run(lk__my *c, const char *statement);
/* All settings of a new connection. LK_OK, LK_FAULT. */
LK_CHECKED lk_status lk__my_settle(lk__my *c);
/* Tell the server how long statements may take, where that has changed. LK_OK, LK_FAULT. */
LK_CHECKED lk_status lk__my_ready(lk__my *c);
void lk__my_explain(void *connection, lk_note *note);

/* ---- mariadb_query.c ---- */

lk_status lk__my_prepare(void *connection, const char *text, void **statement);
void lk__my_finalize(void *statement);
bool lk__my_bind_i64(void *statement, int place, int64_t value);
bool lk__my_bind_text(void *statement, int place, lk_view value);
bool lk__my_bind_bytes(void *statement, int place, lk_view value);
lk_status lk__my_step(void *connection, void *statement);
void lk__my_reset(void *statement);
uint64_t lk__my_changed(void *connection, void *statement);
int64_t lk__my_i64(void *statement, int column);
lk_view lk__my_bytes(void *statement, int column);

#endif
