/* SPDX-License-Identifier: Apache-2.0
 *
 * driver.h - what a dialect gives to sql.c. Private to src/sql.
 *
 * A driver knows one connection and its statements; lending, transactions that wait for each other and the
 * table of prepared statements are sql.c's. The answers are those of sql.h.
 */
#ifndef LATCHKEY_SQL_DRIVER_H
#define LATCHKEY_SQL_DRIVER_H

#include "sql/sql.h"

typedef struct lk_sql_driver {
    lk_sql_dialect dialect;
    const char *scheme; /* what stands before the ':' of a URL */
    bool one_writer;    /* writers wait in line in this process rather than on the database */

    lk_status (*check)(const char *place, lk_note *note);
    lk_status (*connect)(const lk_env *env, const char *place, void **connection, lk_note *note);
    void (*disconnect)(const lk_env *env, void *connection);

    lk_status (*begin)(void *connection, lk_sql_durability durability);
    lk_status (*commit)(void *connection);
    void (*rollback)(void *connection);
    lk_status (*script)(void *connection, const char *statements);
    void (*explain)(void *connection, lk_note *note);

    lk_status (*prepare)(void *connection, const char *text, void **statement);
    void (*finalize)(void *statement);
    bool (*bind_i64)(void *statement, int place, int64_t value);
    bool (*bind_text)(void *statement, int place, lk_view value);
    bool (*bind_bytes)(void *statement, int place, lk_view value);
    lk_status (*step)(void *connection, void *statement); /* LK_OK a row, LK_MISS none */
    void (*reset)(void *statement);
    uint64_t (*changed)(void *connection);
    int64_t (*i64)(void *statement, int column);
    lk_view (*text)(void *statement, int column);
} lk_sql_driver;

extern const lk_sql_driver lk__sql_sqlite;

#endif
