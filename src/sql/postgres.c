/* SPDX-License-Identifier: Apache-2.0
 *
 * postgres.c - the PostgreSQL dialect: asking and waiting, what its answers mean, transactions, listening.
 *
 * libpq is used without blocking, as its own timeouts are whole seconds. The server is told shorter times
 * than the deadline, so that a lock or a slow statement ends in an answer and the connection is kept; only a
 * server that says nothing at all costs the connection.
 */
#include "sql/postgres.h"
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SCHEMA_LOCK                                                                                          \
    "7738144923110912363" /* of all programs that change tables of latchkey: "latchkey" as bytes */

/* ---- what PostgreSQL's answers mean ---- */

void lk__pg_first_line(const char *text, char *out, size_t cap)
{
    int len = (int)strcspn(text, "\r\n");

    while (len > 0 && text[len - 1] == '.')
        len--;
    snprintf(out, cap, "%.*s", len, text);
}

static bool is(const lk__pg *c, const char *code)
{
    return strncmp(c->code, code, strlen(code)) == 0;
}

static lk_status status_of(const lk__pg *c)
{
    if (is(c, "23") || is(c, "22")) /* a constraint; a value that the column cannot hold */
        return LK_REFUSED;
    return is(c, "53100") ? LK_FULL : LK_FAULT;
}

/* After these the connection is over, or another one may find a server that can. */
static bool ends_connection(const lk__pg *c)
{
    return is(c, "08") || is(c, "57P") || is(c, "25006") /* a standby now */ ||
           is(c, "26000") /* our prepared statements are gone */ ||
           is(c, "0A000") /* a table was changed */ || is(c, "25P03") || PQstatus(c->conn) != CONNECTION_OK;
}

/* Write down what failed. A message of class 22 or 23 may have a value in it. */
static lk_status fail(lk__pg *c, const PGresult *result)
{
    const char *code = result != NULL ? PQresultErrorField(result, PG_DIAG_SQLSTATE) : NULL;
    const char *said = result != NULL ? PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY) : NULL;

    snprintf(c->code, sizeof(c->code), "%s", code != NULL ? code : "");
    lk__pg_first_line(said != NULL ? said : PQerrorMessage(c->conn), c->said, sizeof(c->said));
    if (is(c, "22") || is(c, "23"))
        c->said[0] = '\0';
    c->lost |= ends_connection(c);
    return status_of(c);
}

static const char *cure_of(const lk__pg *c)
{
    if (is(c, "53100"))
        return "there is no room left on the disk";
    if (is(c, "23") || is(c, "22"))
        return "the tables do not allow this value";
    if (is(c, "25006"))
        return "it takes no writes: it is a standby, or set to be read only";
    if (is(c, "57014"))
        return "the statement took longer than its deadline";
    if (is(c, "55P03"))
        return "another program held on to a row for too long";
    return c->said[0] != '\0' ? c->said : "the connection broke";
}

void lk__pg_explain(void *connection, lk_note *note)
{
    const lk__pg *c = connection;

    if (c->late)
        lk_note_set(note, "Database %s did not answer within %u ms.", c->to->shown, (unsigned)c->wait_ms);
    else
        lk_note_set(note, "Database %s: %s.", c->to->shown, cure_of(c));
}

/* ---- asking and waiting ---- */

/* False when the deadline passed: then the connection is of no use, as the answer may come any time. */
static bool wait_for(lk__pg *c, short events)
{
    int64_t left_ms = c->until_ms - lk__sql_clock_ms();
    struct pollfd one = {.fd = PQsocket(c->conn), .events = events};

    if (left_ms > 0 && poll(&one, 1, (int)left_ms) > 0)
        return true;
    if (c->until_ms - lk__sql_clock_ms() > 0) /* a signal */
        return true;
    c->late = c->lost = true;
    c->code[0] = '\0';
    return false;
}

static bool flush(lk__pg *c)
{
    int more;

    while ((more = PQflush(c->conn)) == 1) {
        /* It may have to be read before it takes more. */
        if (!wait_for(c, POLLIN | POLLOUT) || PQconsumeInput(c->conn) == 0)
            return false;
    }
    return more == 0;
}

/* The next result; NULL in *out after the last one. */
static bool next_result(lk__pg *c, PGresult **out)
{
    *out = NULL;
    while (PQisBusy(c->conn) != 0)
        if (!wait_for(c, POLLIN) || PQconsumeInput(c->conn) == 0)
            return false;
    *out = PQgetResult(c->conn);
    return true;
}

static bool is_good(const PGresult *result)
{
    ExecStatusType status = PQresultStatus(result);

    return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
}

lk_status lk__pg_receive(lk__pg *c, bool sent, PGresult **out)
{
    PGresult *last = NULL, *one = NULL;
    lk_status status = LK_OK;

    *out = NULL;
    if (!sent || !flush(c))
        goto broken;
    do {
        if (!next_result(c, &one))
            goto broken;
        if (one == NULL)
            break;
        PQclear(last);
        last = one;
        if (status == LK_OK && !is_good(one))
            status = fail(c, one);
    } while (!c->lost);
    if (status == LK_OK && last != NULL) {
        *out = last;
        return LK_OK;
    }
    PQclear(last);
    return status == LK_OK ? LK_FAULT : status;
broken:
    PQclear(last);
    if (!c->late)
        (void)fail(c, NULL);
    c->lost = true;
    return LK_FAULT;
}

static lk_status run(lk__pg *c, const char *statements, const char *tag)
{
    PGresult *result = NULL;
    lk_status status;

    if (c->lost)
        return LK_FAULT;
    c->warned = false;
    status = lk__pg_receive(c, PQsendQuery(c->conn, statements) == 1, &result);
    if (status == LK_OK && tag != NULL && strcmp(PQcmdStatus(result), tag) != 0)
        status = LK_FAULT;
    PQclear(result);
    return status;
}

lk_status lk__pg_run(lk__pg *c, const char *statements)
{
    return run(c, statements, NULL);
}

/* A lock is waited for a little less long than a statement, and both less than the deadline, so that the
 * answer says which it was. A program that stops in the middle of a transaction must not hold its locks for
 * ever. */
static lk_status set_timeouts(lk__pg *c, const char *and_then)
{
    char text[320];
    lk_status status;

    snprintf(text, sizeof(text),
             "SET lock_timeout TO %u; SET statement_timeout TO %u;"
             "SET idle_in_transaction_session_timeout TO %u; %s",
             (unsigned)(c->wait_ms - c->wait_ms / 5), (unsigned)(c->wait_ms - c->wait_ms / 10),
             (unsigned)(c->wait_ms + 1000), and_then);
    status = lk__pg_run(c, text);
    c->set_ms = status == LK_OK ? c->wait_ms : 0;
    return status == LK_OK ? LK_OK : LK_FAULT;
}

lk_status lk__pg_settle(lk__pg *c)
{
    return set_timeouts(c, "SET default_transaction_isolation TO 'read committed';"
                           "SET standard_conforming_strings TO on; SET client_min_messages TO warning");
}

lk_status lk__pg_ready(lk__pg *c)
{
    if (c->set_ms == c->wait_ms)
        return c->lost ? LK_FAULT : LK_OK;
    return set_timeouts(c, "");
}

static lk_status script(void *p, const char *statements)
{
    lk__pg *c = p;
    lk_status status = lk__pg_ready(c);

    return status == LK_OK ? lk__pg_run(c, statements) : status;
}

static void deadline(void *p, int64_t until_ms, uint32_t wait_ms)
{
    lk__pg *c = p;

    c->until_ms = until_ms;
    c->wait_ms = wait_ms;
}

static bool is_lost(const void *p)
{
    const lk__pg *c = p;

    return c->lost;
}

/* An idle connection has something to say when it is over, or when it was notified or told of a setting. */
static bool is_stale(void *p)
{
    lk__pg *c = p;

    for (int i = 0; i < 4; i++) {
        struct pollfd one = {.fd = PQsocket(c->conn), .events = POLLIN};

        if (poll(&one, 1, 0) == 0)
            return PQstatus(c->conn) != CONNECTION_OK;
        if (PQconsumeInput(c->conn) == 0)
            return true;
        (void)PQisBusy(c->conn); /* reads what was consumed */
    }
    return true;
}

/* ---- transactions ---- */

static lk_status begin(void *p, lk_sql_durability durability)
{
    lk__pg *c = p;

    c->code[0] = '\0'; /* what undid an earlier transaction says nothing of this one */
    return script(p, durability == LK_SQL_RELAXED ? "BEGIN; SET LOCAL synchronous_commit TO off" : "BEGIN");
}

static lk_status begin_schema(void *p)
{
    return script(p, "BEGIN; SELECT pg_advisory_xact_lock(" SCHEMA_LOCK ")");
}

/* A transaction that failed before is rolled back by COMMIT, which then says so and counts as a success. */
static lk_status commit(void *p)
{
    lk__pg *c = p;
    lk_status status = run(c, "COMMIT", "COMMIT");

    if (status == LK_OK && c->warned) {
        snprintf(c->said, sizeof(c->said), "%s", "the standby did not confirm the commit in time");
        c->code[0] = '\0';
        return LK_FAULT;
    }
    return status;
}

static void rollback(void *p)
{
    lk__pg *c = p;
    lk__pg failed = *c; /* whoever is told of it wants to know what came before */

    if (c->lost || PQtransactionStatus(c->conn) == PQTRANS_IDLE)
        return;
    if (run(c, "ROLLBACK", NULL) != LK_OK)
        c->lost = true;
    memcpy(c->code, failed.code, sizeof(c->code));
    memcpy(c->said, failed.said, sizeof(c->said));
}

static bool may_retry(const void *p)
{
    const lk__pg *c = p;

    return is(c, "40001") || is(c, "40P01");
}

/* ---- listening ---- */

static lk_status listen(void *p, const char *channel)
{
    char text[96];

    if (snprintf(text, sizeof(text), "LISTEN %s", channel) >= (int)sizeof(text))
        return LK_FAULT;
    return script(p, text);
}

static bool was_notified(lk__pg *c)
{
    bool any = false;

    for (PGnotify *one; (one = PQnotifies(c->conn)) != NULL; any = true)
        PQfreemem(one);
    return any;
}

static lk_status wait_notified(void *p, uint32_t wait_ms)
{
    lk__pg *c = p;
    int64_t until_ms = lk__sql_clock_ms() + wait_ms;

    for (;;) {
        struct pollfd one = {.fd = PQsocket(c->conn), .events = POLLIN};
        int64_t left_ms = until_ms - lk__sql_clock_ms();

        if (was_notified(c))
            return LK_OK;
        if (left_ms <= 0 || poll(&one, 1, (int)left_ms) == 0)
            return LK_MISS;
        if (PQconsumeInput(c->conn) == 0) {
            c->lost = true;
            return fail(c, NULL);
        }
    }
}

static lk_status version(void *p, char out[LK_SQL_VERSION_MAX])
{
    const lk__pg *c = p;
    const char *text = PQparameterStatus(c->conn, "server_version");

    snprintf(out, LK_SQL_VERSION_MAX, "PostgreSQL %.*s", text != NULL ? (int)strcspn(text, " ") : 0,
             text != NULL ? text : "");
    return text != NULL ? LK_OK : LK_FAULT;
}

const lk_sql_driver lk__sql_postgres = {
    .dialect = LK_SQL_POSTGRES,
    .schemes = {"postgres", "postgresql"},
    .check = lk__pg_check,
    .connect = lk__pg_connect,
    .disconnect = lk__pg_disconnect,
    .deadline = deadline,
    .is_lost = is_lost,
    .is_stale = is_stale,
    .begin = begin,
    .begin_schema = begin_schema,
    .commit = commit,
    .rollback = rollback,
    .may_retry = may_retry,
    .script = script,
    .explain = lk__pg_explain,
    .prepare = lk__pg_prepare,
    .finalize = lk__pg_finalize,
    .bind_i64 = lk__pg_bind_i64,
    .bind_text = lk__pg_bind_bytes,
    .bind_bytes = lk__pg_bind_bytes,
    .step = lk__pg_step,
    .reset = lk__pg_reset,
    .changed = lk__pg_changed,
    .i64 = lk__pg_i64,
    .text = lk__pg_bytes,
    .bytes = lk__pg_bytes,
    .listen = listen,
    .wait = wait_notified,
    .has_table_text =
        "SELECT 1 FROM pg_catalog.pg_class WHERE oid = pg_catalog.to_regclass(pg_catalog.quote_ident(?))",
    .time_text = "SELECT CAST(floor(extract(epoch FROM clock_timestamp()) * 1000) AS bigint)",
    .version = version,
};
