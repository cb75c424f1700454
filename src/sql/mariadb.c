/* SPDX-License-Identifier: Apache-2.0
 *
 * mariadb.c - the MariaDB dialect: waiting, what its answers mean, transactions.
 *
 * libmariadb is used without blocking, as its own timeouts are whole seconds: each call is begun by its
 * _start and goes on by its _cont when the socket is ready. Once the deadline has passed, or the connection
 * broke, the socket is shut down, so that nothing that libmariadb still does with it can wait.
 */
#include "sql/mariadb.h"
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define SCHEMA_LOCK "'latchkey.schema'"

/* ---- waiting ---- */

static void cut(lk__my *c)
{
    c->lost = true;
    c->set_ms = 0;
    if (c->db != NULL)
        (void)shutdown((int)mysql_get_socket(c->db), SHUT_RDWR);
}

int lk__my_wait(lk__my *c, int events)
{
    struct pollfd one = {.fd = (int)mysql_get_socket(c->db)};
    int came = 0;

    one.events = (short)((events & MYSQL_WAIT_READ ? POLLIN : 0) | (events & MYSQL_WAIT_WRITE ? POLLOUT : 0) |
                         (events & MYSQL_WAIT_EXCEPT ? POLLPRI : 0));
    for (;;) {
        int64_t left_ms = c->until_ms - lk__sql_clock_ms();

        if (left_ms <= 0) {
            c->late = true;
            c->code = 0;
            cut(c);
            return 0;
        }
        if (poll(&one, 1, (int)left_ms) > 0)
            break;
    }
    if ((one.revents & (POLLIN | POLLHUP | POLLERR | POLLNVAL)) != 0)
        came |= MYSQL_WAIT_READ;
    if ((one.revents & (POLLOUT | POLLHUP | POLLERR | POLLNVAL)) != 0)
        came |= MYSQL_WAIT_WRITE;
    if ((one.revents & POLLPRI) != 0)
        came |= MYSQL_WAIT_EXCEPT;
    return (came & events) != 0 ? came & events : events;
}

/* ---- what MariaDB's answers mean ---- */

static bool is_one_of(unsigned code, const unsigned *codes, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (codes[i] == code)
            return true;
    return false;
}
#define IS_ONE_OF(code, ...)                                                                                 \
    is_one_of(code, (const unsigned[]){__VA_ARGS__},                                                         \
              sizeof((const unsigned[]){__VA_ARGS__}) / sizeof(unsigned))

/* A constraint, or a value that the column cannot hold. Their messages have values in them. */
static bool is_constraint(unsigned code)
{
    return IS_ONE_OF(code, 1022, 1048, 1062, 1216, 1217, 1264, 1300, 1364, 1366, 1406, 1451, 1452, 1586,
                     4025);
}

static bool is_full(unsigned code, const char *said)
{
    return code == 1021 || code == 1114 ||
           (IS_ONE_OF(code, 3, 1026, 1030) && (strstr(said, "28") != NULL || strstr(said, "122") != NULL));
}

/* After these the connection is over, or another one may find a server that can: 1053 shutdown, 1243 our
 * prepared statement is gone, 1290 and 1792 and 1836 read only, 1927 killed, 4031 idle for too long. */
static bool ends_connection(unsigned code)
{
    return (code >= 2000 && code < 2030) || code == 2055 ||
           IS_ONE_OF(code, 1053, 1152, 1158, 1159, 1160, 1161, 1243, 1290, 1792, 1836, 1927, 4031);
}

lk_status lk__my_fail(lk__my *c, unsigned code, const char *said)
{
    if (c->late)
        return LK_FAULT;
    c->code = code;
    snprintf(c->said, sizeof(c->said), "%s", is_constraint(code) ? "" : said);
    if (ends_connection(code))
        cut(c);
    if (is_constraint(code))
        return LK_REFUSED;
    return is_full(code, said) ? LK_FULL : LK_FAULT;
}

static const char *cure_of(const lk__my *c)
{
    if (is_constraint(c->code))
        return "the tables do not allow this value";
    if (is_full(c->code, c->said))
        return "there is no room left on the disk";
    if (IS_ONE_OF(c->code, 1290, 1792, 1836))
        return "it takes no writes: it is a replica, or set to be read only";
    if (c->code == 1969)
        return "the statement took longer than its deadline";
    if (c->code == 1205)
        return "another program held on to a row for too long";
    return c->said[0] != '\0' ? c->said : "the connection broke";
}

void lk__my_explain(void *connection, lk_note *note)
{
    const lk__my *c = connection;

    if (c->late)
        lk_note_set(note, "Database %s did not answer within %u ms.", c->to->shown, (unsigned)c->wait_ms);
    else
        lk_note_set(note, "Database %s: %s.", c->to->shown, cure_of(c));
}

/* ---- statements without values ---- */

static bool query(lk__my *c, const char *text)
{
    int failed = 1;
    int events = mysql_real_query_start(&failed, c->db, text, strlen(text));

    while (events != 0 && (events = lk__my_wait(c, events)) != 0)
        events = mysql_real_query_cont(&failed, c->db, events);
    return !c->late && failed == 0;
}

static bool store(lk__my *c, MYSQL_RES **out)
{
    int events = mysql_store_result_start(out, c->db);

    while (events != 0 && (events = lk__my_wait(c, events)) != 0)
        events = mysql_store_result_cont(out, c->db, events);
    return !c->late && mysql_errno(c->db) == 0;
}

/* 0: there is one more; -1: there is none; else it failed. */
static int next_result(lk__my *c)
{
    int more = 1;
    int events = mysql_next_result_start(&more, c->db);

    while (events != 0 && (events = lk__my_wait(c, events)) != 0)
        events = mysql_next_result_cont(&more, c->db, events);
    return c->late ? 1 : more;
}

static lk_status failed(lk__my *c)
{
    return lk__my_fail(c, mysql_errno(c->db), mysql_error(c->db));
}

/* Run TEXT; *value is the first value of its last result, 0 when it has none. */
static lk_status run(lk__my *c, const char *text, int64_t *value)
{
    int more;

    *value = 0;
    if (c->lost)
        return LK_FAULT;
    if (!query(c, text))
        return failed(c);
    do {
        MYSQL_RES *rows = NULL;
        MYSQL_ROW row;

        if (!store(c, &rows))
            return failed(c);
        row = rows != NULL ? mysql_fetch_row(rows) : NULL;
        if (row != NULL && row[0] != NULL)
            *value = strtoll(row[0], NULL, 10);
        mysql_free_result(rows);
        more = next_result(c);
    } while (more == 0);
    return more < 0 ? LK_OK : failed(c);
}

lk_status lk__my_run(lk__my *c, const char *statement)
{
    int64_t value;

    return run(c, statement, &value);
}

/* ---- settings ---- */

/* A statement is ended a little before the deadline, so that the connection is kept. Waiting for a lock
 * counts, as the setting for that alone has whole seconds. Whoever stops in the middle of a transaction must
 * not hold its locks for ever. */
static lk_status set_timeouts(lk__my *c, const char *and_also)
{
    unsigned wait_ms = c->wait_ms - c->wait_ms / 10, seconds = (c->wait_ms + 999) / 1000;
    char text[512];
    lk_status status;

    snprintf(
        text, sizeof(text),
        "SET SESSION max_statement_time = %u.%03u, innodb_lock_wait_timeout = %u, lock_wait_timeout = %u, "
        "idle_transaction_timeout = %u%s",
        wait_ms / 1000, wait_ms % 1000, seconds, seconds, seconds + 1, and_also);
    status = lk__my_run(c, text);
    c->set_ms = status == LK_OK ? c->wait_ms : 0;
    return status == LK_OK ? LK_OK : LK_FAULT;
}

/* Without pushing conditions into the index: whatever is read here is come by through the whole key, so there
 * is nothing left to ask, and MariaDB would copy a row of the largest size it may have for each one that it
 * reads (17 KB, of sessions). */
lk_status lk__my_settle(lk__my *c)
{
    return set_timeouts(c,
                        ", autocommit = 1, tx_isolation = 'READ-COMMITTED', time_zone = '+00:00', "
                        "optimizer_switch = 'index_condition_pushdown=off', "
                        "collation_connection = utf8mb4_nopad_bin, sql_mode = 'STRICT_ALL_TABLES,ANSI_QUOTES,"
                        "NO_BACKSLASH_ESCAPES,NO_ENGINE_SUBSTITUTION,ERROR_FOR_DIVISION_BY_ZERO'");
}

lk_status lk__my_ready(lk__my *c)
{
    if (c->set_ms == c->wait_ms)
        return c->lost ? LK_FAULT : LK_OK;
    return set_timeouts(c, "");
}

static void deadline(void *p, int64_t until_ms, uint32_t wait_ms)
{
    lk__my *c = p;

    c->until_ms = until_ms;
    c->wait_ms = wait_ms;
}

static bool is_lost(const void *p)
{
    const lk__my *c = p;

    return c->lost;
}

/* An idle server has nothing to say but that it is over. */
static bool is_stale(void *p)
{
    lk__my *c = p;
    struct pollfd one = {.fd = (int)mysql_get_socket(c->db), .events = POLLIN};

    return poll(&one, 1, 0) != 0;
}

/* ---- scripts and transactions ---- */

static bool several(lk__my *c, enum enum_mysql_set_option option)
{
    int failed_ = 1;
    int events = mysql_set_server_option_start(&failed_, c->db, option);

    while (events != 0 && (events = lk__my_wait(c, events)) != 0)
        events = mysql_set_server_option_cont(&failed_, c->db, events);
    return !c->late && failed_ == 0;
}

/* Several statements in one text are only allowed for the time of a script. */
static lk_status script(void *p, const char *statements)
{
    lk__my *c = p;
    lk_status status = lk__my_ready(c);

    if (status != LK_OK)
        return status;
    if (!several(c, MYSQL_OPTION_MULTI_STATEMENTS_ON))
        return failed(c);
    status = lk__my_run(c, statements);
    if (!c->lost && !several(c, MYSQL_OPTION_MULTI_STATEMENTS_OFF)) {
        cut(c);
        return status == LK_OK ? LK_FAULT : status;
    }
    return status;
}

/* MariaDB has no transactions whose commits are less durable than others. */
static lk_status begin(void *p, lk_sql_durability durability)
{
    lk__my *c = p;
    lk_status status = lk__my_ready(c);

    (void)durability;
    if (status == LK_OK)
        c->code = 0; /* what undid an earlier transaction says nothing of this one */
    if (status == LK_OK)
        status = lk__my_run(c, "START TRANSACTION");
    c->in_transaction = status == LK_OK;
    return status;
}

static void unlock(lk__my *c)
{
    if (c->has_lock && !c->lost && lk__my_run(c, "DO RELEASE_LOCK(" SCHEMA_LOCK ")") != LK_OK)
        cut(c); /* which gives it up as well */
    c->has_lock = false;
}

static lk_status begin_schema(void *p)
{
    lk__my *c = p;
    int64_t got = 0;
    char text[80];
    lk_status status = lk__my_ready(c);

    snprintf(text, sizeof(text), "SELECT GET_LOCK(" SCHEMA_LOCK ", %u)", c->wait_ms / 2000 + 1);
    if (status == LK_OK)
        status = run(c, text, &got);
    if (status == LK_OK && got != 1)
        return lk__my_fail(c, 1205, "another program changes the tables");
    c->has_lock = status == LK_OK;
    if (status == LK_OK)
        status = begin(c, LK_SQL_DURABLE);
    if (status != LK_OK)
        unlock(c);
    return status;
}

static lk_status commit(void *p)
{
    lk__my *c = p;
    lk_status status = lk__my_run(c, "COMMIT");

    c->in_transaction = c->in_transaction && status != LK_OK;
    if (status == LK_OK)
        unlock(c);
    return status;
}

static void rollback(void *p)
{
    lk__my *c = p;
    lk__my failed_ = *c; /* whoever is told of it wants to know what came before */

    if (c->in_transaction && !c->lost && lk__my_run(c, "ROLLBACK") != LK_OK)
        cut(c);
    unlock(c);
    c->in_transaction = false;
    c->code = failed_.code;
    memcpy(c->said, failed_.said, sizeof(c->said));
}

/* 1213 deadlock, 1205 a lock was waited for too long, 1020 the row changed meanwhile. */
static bool may_retry(const void *p)
{
    const lk__my *c = p;

    return IS_ONE_OF(c->code, 1213, 1205, 1020);
}

/* ---- listening: there is nothing to listen to ---- */

static lk_status listen_to(void *p, const char *channel)
{
    (void)p;
    (void)channel;
    return LK_OK;
}

static lk_status wait_a_little(void *p, uint32_t wait_ms)
{
    (void)p;
    (void)poll(NULL, 0, (int)(wait_ms < LK_SQL_LOOK_MS ? wait_ms : LK_SQL_LOOK_MS));
    return LK_OK;
}

/* "5.5.5-10.11.6-MariaDB-0+deb12u1": what comes first is for clients that would not believe a 10. */
static lk_status version(void *p, char out[LK_SQL_VERSION_MAX])
{
    const lk__my *c = p;
    const char *text = mysql_get_server_info(c->db);

    if (text == NULL)
        return LK_FAULT;
    if (strncmp(text, "5.5.5-", 6) == 0)
        text += 6;
    snprintf(out, LK_SQL_VERSION_MAX, "%s %.*s", strstr(text, "MariaDB") != NULL ? "MariaDB" : "MySQL",
             (int)strcspn(text, "-"), text);
    return LK_OK;
}

const lk_sql_driver lk__sql_mariadb = {
    .dialect = LK_SQL_MARIADB,
    .schemes = {"mariadb"},
    .check = lk__my_check,
    .connect = lk__my_connect,
    .hang_up = lk__my_hang_up,
    .disconnect = lk__my_disconnect,
    .deadline = deadline,
    .is_lost = is_lost,
    .is_stale = is_stale,
    .begin = begin,
    .begin_schema = begin_schema,
    .commit = commit,
    .rollback = rollback,
    .may_retry = may_retry,
    .script = script,
    .explain = lk__my_explain,
    .prepare = lk__my_prepare,
    .finalize = lk__my_finalize,
    .bind_i64 = lk__my_bind_i64,
    .bind_text = lk__my_bind_text,
    .bind_bytes = lk__my_bind_bytes,
    .step = lk__my_step,
    .reset = lk__my_reset,
    .changed = lk__my_changed,
    .i64 = lk__my_i64,
    .text = lk__my_bytes,
    .bytes = lk__my_bytes,
    .listen = listen_to,
    .wait = wait_a_little,
    .has_table_text =
        "SELECT 1 FROM information_schema.tables WHERE table_schema = DATABASE() AND table_name = ?",
    .time_text = "SELECT CAST(UNIX_TIMESTAMP(SYSDATE(3)) * 1000 AS INTEGER)",
    .version = version,
};
