/* SPDX-License-Identifier: Apache-2.0
 *
 * lookups_raw.c - see lookups_raw.h.
 */
#include "lookups_raw.h"
#include "lab.h"
#include <hiredis/hiredis.h>
#include <libpq-fe.h>
#include <mysql.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What comes is copied, as whoever wants to use it after the next answer has to. */
static uint8_t heads[BATCH][LK_HEAD_MAX];

static void keep(unsigned i, const void *bytes, size_t len)
{
    must(len > 0 && len <= LK_HEAD_MAX, "a raw row");
    memcpy(heads[i], bytes, len);
}

enum { URL, HOST, PORT, USER, PASSWORD, DATABASE };

/* ---- Redis ---- */

static redisContext *redis;

static void redis_open(char *const arguments[6])
{
    redisReply *reply;

    redis = redisConnect(arguments[HOST], atoi(arguments[PORT]));
    must(redis != NULL && redis->err == 0, "hiredis");
    reply = redisCommand(redis, "AUTH %s %s", arguments[USER], arguments[PASSWORD]);
    must(reply != NULL && reply->type == REDIS_REPLY_STATUS, "AUTH");
    freeReplyObject(reply);
}

static void redis_batch(const lk_session_key keys[BATCH])
{
    for (unsigned i = 0; i < BATCH; i++) {
        char name[5 + LK_PUBLIC_ID_LEN + 1] = "lk:s:";

        lk_public_id_write(&keys[i], name + 5);
        must(redisAppendCommand(redis, "GET %s", name) == REDIS_OK, "GET");
    }
    for (unsigned i = 0; i < BATCH; i++) {
        void *answer;
        const redisReply *reply;

        must(redisGetReply(redis, &answer) == REDIS_OK, "an answer");
        reply = answer;
        must(reply->type == REDIS_REPLY_STRING, "a value");
        keep(i, reply->str, reply->len);
        freeReplyObject(answer);
    }
}

static void redis_close(void)
{
    redisFree(redis);
}

/* ---- PostgreSQL ---- */

static PGconn *postgres;

static void postgres_open(char *const arguments[6])
{
    const char *const names[] = {"host", "port", "user", "password", "dbname", NULL};
    const char *const values[] = {arguments[HOST],     arguments[PORT],     arguments[USER],
                                  arguments[PASSWORD], arguments[DATABASE], NULL};
    PGresult *done;

    postgres = PQconnectdbParams(names, values, 0);
    must(PQstatus(postgres) == CONNECTION_OK, "libpq");
    done = PQprepare(postgres, "heads", "SELECT id, head FROM latchkey_session WHERE id = ANY($1::bytea[])",
                     1, NULL);
    must(PQresultStatus(done) == PGRES_COMMAND_OK, "prepare");
    PQclear(done);
}

static void postgres_batch(const lk_session_key keys[BATCH])
{
    static const char digits[] = "0123456789abcdef";
    char text[2 + BATCH * (6 + 2 * LK_SESSION_KEY_LEN)], *at = text; /* {"\\x00..","\\x..",...} */
    const char *value = text;
    PGresult *rows;

    for (unsigned i = 0; i < BATCH; i++) {
        *at++ = i == 0 ? '{' : ',';
        memcpy(at, "\"\\\\x", 4);
        at += 4;
        for (unsigned j = 0; j < LK_SESSION_KEY_LEN; j++) {
            *at++ = digits[keys[i].bytes[j] >> 4];
            *at++ = digits[keys[i].bytes[j] & 15];
        }
        *at++ = '"';
    }
    memcpy(at, "}", 2);
    rows = PQexecPrepared(postgres, "heads", 1, &value, NULL, NULL, 1);
    must(PQresultStatus(rows) == PGRES_TUPLES_OK && PQntuples(rows) > 0 && PQntuples(rows) <= BATCH, "rows");
    for (int i = 0; i < PQntuples(rows); i++)
        keep((unsigned)i, PQgetvalue(rows, i, 1), (size_t)PQgetlength(rows, i, 1));
    PQclear(rows);
}

static void postgres_close(void)
{
    PQfinish(postgres);
}

/* ---- MariaDB ---- */

static MYSQL *mariadb;
static MYSQL_STMT *statement;

static void mariadb_open(char *const arguments[6])
{
    static const char head[] = "SELECT id, head FROM latchkey_session WHERE id IN (?";
    char text[sizeof(head) + 2 * BATCH + 2];
    size_t len = sizeof(head) - 1;

    mariadb = mysql_init(NULL);
    must(mysql_real_connect(mariadb, arguments[HOST], arguments[USER], arguments[PASSWORD],
                            arguments[DATABASE], (unsigned)atoi(arguments[PORT]), NULL, 0) != NULL,
         "libmariadb");
    memcpy(text, head, len);
    for (unsigned i = 1; i < BATCH; i++, len += 2)
        memcpy(text + len, ",?", 2);
    memcpy(text + len, ")", 2);
    statement = mysql_stmt_init(mariadb);
    must(mysql_stmt_prepare(statement, text, len + 1) == 0, "prepare");
}

static void mariadb_batch(const lk_session_key keys[BATCH])
{
    MYSQL_BIND places[BATCH], columns[2];
    unsigned long in = LK_SESSION_KEY_LEN, id_len, head_len;
    uint8_t id[LK_SESSION_KEY_LEN], head[LK_HEAD_MAX];
    unsigned found = 0;

    memset(places, 0, sizeof(places));
    memset(columns, 0, sizeof(columns));
    for (unsigned i = 0; i < BATCH; i++) {
        places[i].buffer_type = MYSQL_TYPE_BLOB;
        places[i].buffer = (void *)(uintptr_t)keys[i].bytes;
        places[i].buffer_length = in;
        places[i].length = &in;
    }
    columns[0] = (MYSQL_BIND){
        .buffer_type = MYSQL_TYPE_BLOB, .buffer = id, .buffer_length = sizeof(id), .length = &id_len};
    columns[1] = (MYSQL_BIND){
        .buffer_type = MYSQL_TYPE_BLOB, .buffer = head, .buffer_length = sizeof(head), .length = &head_len};
    must(mysql_stmt_bind_param(statement, places) == 0 && mysql_stmt_execute(statement) == 0, "execute");
    must(mysql_stmt_bind_result(statement, columns) == 0 && mysql_stmt_store_result(statement) == 0, "rows");
    while (mysql_stmt_fetch(statement) == 0 && found < BATCH)
        keep(found++, head, head_len);
    must(found > 0, "rows");
    (void)mysql_stmt_free_result(statement);
}

static void mariadb_close(void)
{
    (void)mysql_stmt_close(statement);
    mysql_close(mariadb);
}

/* ---- SQLite ---- */

static sqlite3 *sqlite;
static sqlite3_stmt *look, *begin, *commit;

static sqlite3_stmt *prepared(const char *text)
{
    sqlite3_stmt *made = NULL;

    must(sqlite3_prepare_v3(sqlite, text, -1, SQLITE_PREPARE_PERSISTENT, &made, NULL) == SQLITE_OK, text);
    return made;
}

static void sqlite_open(char *const arguments[6])
{
    const char *from = arguments[URL] + strlen("sqlite:");
    char path[LK_PATH_MAX];

    (void)snprintf(path, sizeof(path), "%.*s", (int)strcspn(from, "?"), from);
    must(sqlite3_open_v2(path, &sqlite, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK, "SQLite");
    look = prepared("SELECT head FROM latchkey_session WHERE id = ?");
    begin = prepared("BEGIN");
    commit = prepared("COMMIT");
}

static void run(sqlite3_stmt *plain)
{
    must(sqlite3_step(plain) == SQLITE_DONE, "a statement");
    (void)sqlite3_reset(plain);
}

static void sqlite_batch(const lk_session_key keys[BATCH])
{
    run(begin);
    for (unsigned i = 0; i < BATCH; i++) {
        (void)sqlite3_bind_blob(look, 1, keys[i].bytes, LK_SESSION_KEY_LEN, SQLITE_STATIC);
        must(sqlite3_step(look) == SQLITE_ROW, "a row");
        keep(i, sqlite3_column_blob(look, 0), (size_t)sqlite3_column_bytes(look, 0));
        (void)sqlite3_reset(look);
    }
    run(commit);
}

static void sqlite_close(void)
{
    (void)sqlite3_finalize(look);
    (void)sqlite3_finalize(begin);
    (void)sqlite3_finalize(commit);
    (void)sqlite3_close(sqlite);
}

static const raw_client clients[] = {
    {"redis", "hiredis, pipeline of GETs", redis_open, redis_batch, redis_close},
    {"postgres", "libpq, prepared = ANY", postgres_open, postgres_batch, postgres_close},
    {"mariadb", "libmariadb, prepared IN", mariadb_open, mariadb_batch, mariadb_close},
    {"sqlite", "SQLite, prepared, one transaction", sqlite_open, sqlite_batch, sqlite_close}};

const raw_client *raw_open(const char *name, char *const arguments[6])
{
    for (size_t i = 0; i < sizeof(clients) / sizeof(clients[0]); i++) {
        if (strcmp(clients[i].store, name) != 0)
            continue;
        clients[i].open(arguments);
        return &clients[i];
    }
    must(false, "the name of the store");
    return NULL;
}
