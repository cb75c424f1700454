/* SPDX-License-Identifier: Apache-2.0
 *
 * driver.h - what a dialect gives to the rest of src/sql. Private.
 *
 * A driver knows one connection and its statements; lending, who tries a dead server again, transactions that
 * wait for each other and the table of prepared statements are above it. The answers are those of sql.h. No
 * call takes longer than until the time that `deadline` set last, in ms of lk__sql_clock_ms.
 */
#ifndef LATCHKEY_SQL_DRIVER_H
#define LATCHKEY_SQL_DRIVER_H

#include "sql/sql.h"
#include <stdatomic.h>

#define LK_SQL_URL_MAX 512

/* Where to connect to. Outlives the connections. */
typedef struct lk_sql_target {
    const lk_env *env;
    char url[LK_SQL_URL_MAX];   /* without deadline= */
    char shown[LK_SQL_URL_MAX]; /* without password and options */
    const char *place;          /* in url, behind the ':' of the scheme */
    uint32_t deadline_ms;
    bool must_exist;
    _Atomic unsigned host; /* of several, the one that worked last */
} lk_sql_target;

typedef struct lk_sql_driver {
    lk_sql_dialect dialect;
    const char *schemes[2]; /* what stands before the ':' of a URL; the first is the one that is shown */
    bool one_writer;        /* writers wait in line in this process rather than on the database */

    lk_status (*check)(const lk_sql_target *to, lk_note *note);
    lk_status (*connect)(lk_sql_target *to, int64_t until_ms, void **connection, lk_note *note);
    /* Asked before its statements are finalized: end the connection itself. NULL: nothing to do. */
    void (*hang_up)(void *connection);
    void (*disconnect)(const lk_sql_target *to, void *connection);
    void (*deadline)(void *connection, int64_t until_ms, uint32_t wait_ms);
    /* Is nothing to be expected of the connection any more? NULL: it cannot be lost. */
    bool (*is_lost)(const void *connection);
    /* Asked of one that was idle: is it lost, as far as that can be seen without asking the server? */
    bool (*is_stale)(void *connection);

    lk_status (*begin)(void *connection, lk_sql_durability durability);
    lk_status (*begin_schema)(void *connection);
    lk_status (*commit)(void *connection);
    void (*rollback)(void *connection);
    bool (*may_retry)(const void *connection);
    lk_status (*script)(void *connection, const char *statements);
    void (*explain)(void *connection, lk_note *note);

    lk_status (*prepare)(void *connection, const char *text, void **statement);
    void (*finalize)(void *statement);
    bool (*bind_i64)(void *statement, int place, int64_t value);
    bool (*bind_text)(void *statement, int place, lk_view value);
    bool (*bind_bytes)(void *statement, int place, lk_view value);
    lk_status (*step)(void *connection, void *statement); /* LK_OK a row, LK_MISS none */
    void (*reset)(void *statement);                       /* never waits for a server */
    uint64_t (*changed)(void *connection, void *statement);
    int64_t (*i64)(void *statement, int column);
    lk_view (*text)(void *statement, int column);
    lk_view (*bytes)(void *statement, int column);

    lk_status (*listen)(void *connection, const char *channel);
    lk_status (*wait)(void *connection, uint32_t wait_ms);
    const char *has_table_text; /* one row when there is a table of the name ? */
    const char *time_text;      /* one row: the server's ms since 1970; NULL: this machine's clock */
    lk_status (*version)(void *connection, char out[LK_SQL_VERSION_MAX]);
} lk_sql_driver;

extern const lk_sql_driver lk__sql_sqlite;
extern const lk_sql_driver lk__sql_postgres;
extern const lk_sql_driver lk__sql_mariadb;

#endif
