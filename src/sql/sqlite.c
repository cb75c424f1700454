/* SPDX-License-Identifier: Apache-2.0
 *
 * sqlite.c - the SQLite dialect: one file, write-ahead log, every commit on disk unless told otherwise.
 */
#include "sql/inner.h"
#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SCRIPT_MAX (64 * 1024)
#define BUSY_STEP_MS 2  /* longest sleep between two tries to get a lock */
#define LOOK_STEP_MS 10 /* between two looks whether somebody committed */

typedef struct connection {
    sqlite3 *db;
    const lk_sql_target *to;
    int64_t until_ms;
    int failed; /* extended result code of the last failure */
    int failed_errno;
    bool relaxed;          /* what PRAGMA synchronous stands at */
    sqlite3_stmt *version; /* PRAGMA data_version, once listening */
    int64_t seen;          /* what it said last */
} connection;

/* ---- what SQLite's answers mean ---- */

static lk_status status_of(int code, int os_error)
{
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
        return LK_OK;
    case SQLITE_DONE:
        return LK_MISS;
    case SQLITE_CONSTRAINT:
        return LK_REFUSED;
    case SQLITE_FULL:
        return LK_FULL;
    case SQLITE_IOERR: /* SQLite tells a full disk as SQLITE_FULL only where it writes the main file */
    case SQLITE_CANTOPEN:
        return os_error == ENOSPC || os_error == EDQUOT ? LK_FULL : LK_FAULT;
    default: /* busy, damaged, read-only, out of memory, and whatever later versions add */
        return LK_FAULT;
    }
}

static lk_status answer(connection *c, int code)
{
    int os_error = sqlite3_system_errno(c->db);
    lk_status status = status_of(code, os_error);

    if (status != LK_OK && status != LK_MISS) {
        c->failed = code;
        c->failed_errno = os_error;
    }
    return status;
}

static const char *cure_of(const connection *c)
{
    switch (c->failed & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return "the file is damaged, or is no database: put a backup in its place";
    case SQLITE_FULL:
        return "there is no room left on the disk";
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return "another process held on to it for too long";
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
        return "it may not be written by this user: check the owner of the file and of its directory";
    case SQLITE_CANTOPEN:
        return "it cannot be opened: check that its directory is there and may be written";
    default:
        return sqlite3_errstr(c->failed);
    }
}

static void explain(void *p, lk_note *note)
{
    const connection *c = p;

    if (status_of(c->failed, c->failed_errno) == LK_FULL)
        lk_note_set(note, "Database %s: there is no room left on the disk.", c->to->place);
    else if ((c->failed & 0xff) == SQLITE_IOERR)
        lk_note_set(note, "Database %s: %s (%s).", c->to->place, cure_of(c), strerror(c->failed_errno));
    else
        lk_note_set(note, "Database %s: %s.", c->to->place, cure_of(c));
}

/* ---- connections ---- */

static lk_status check(const lk_sql_target *to, lk_note *note)
{
    lk_view v = lk_view_of(to->place);

    for (size_t i = 0; i < v.len; i++)
        if (v.p[i] < 0x20 || v.p[i] == 0x7f || v.p[i] == '?') {
            lk_note_set(note,
                        "A SQLite URL is sqlite:PATH, without control characters and '?'; its one option is "
                        "deadline=.");
            return LK_REFUSED;
        }
    /* A database in memory would be another one for each connection. */
    if (v.len > 0 && v.p[0] != ':' && v.p[v.len - 1] != '/')
        return LK_OK;
    lk_note_set(note, "A SQLite URL is sqlite:PATH with the path of a file: sqlite:/var/lib/latchkey/a.db.");
    return LK_REFUSED;
}

/* Make the file before SQLite would, for its mode: the log and the index beside it take the same one. It must
 * not be opened here: closing a descriptor of a file gives up all POSIX locks this process has on it, those
 * of other connections included. */
static lk_status file_ready(const char *path, bool must_exist, lk_note *note)
{
    struct stat st;

    if (must_exist && stat(path, &st) != 0 && errno == ENOENT) {
        lk_note_set(note, "There is no database %s.", path);
        return LK_MISS;
    }
    if (!must_exist && mknod(path, S_IFREG | 0600, 0) != 0 && errno != EEXIST) {
        int os_error = errno;

        lk_note_set(note, "Database %s cannot be made: %s.", path, strerror(os_error));
        return os_error == ENOSPC || os_error == EDQUOT ? LK_FULL : LK_FAULT;
    }
    if (stat(path, &st) != 0 || !S_ISREG(st.st_mode)) {
        lk_note_set(note, "Database %s is no regular file.", path);
        return LK_FAULT;
    }
    if ((st.st_mode & S_IRWXO) != 0) {
        lk_note_set(note, "Database %s may be read or written by everybody: chmod o-rwx it.", path);
        return LK_REFUSED;
    }
    return LK_OK;
}

/* Another process has the lock: try again after a short sleep, until the deadline. Locks are held for a
 * commit, mostly less than a millisecond of work and one sync of the disk. There is no queue: who sleeps for
 * longer than that is passed by those who write one thing after another. */
static int wait_busy(void *p, int tries)
{
    const connection *c = p;

    if (lk__sql_clock_ms() >= c->until_ms)
        return 0;
    sqlite3_sleep(tries < BUSY_STEP_MS ? tries + 1 : BUSY_STEP_MS);
    return 1;
}

static void guard(connection *c)
{
    sqlite3_extended_result_codes(c->db, 1);
    sqlite3_busy_handler(c->db, wait_busy, c);
    sqlite3_db_config(c->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(c->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_db_config(c->db, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
    sqlite3_db_config(c->db, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
    sqlite3_limit(c->db, SQLITE_LIMIT_LENGTH, 1 << 20);
    sqlite3_limit(c->db, SQLITE_LIMIT_SQL_LENGTH, SCRIPT_MAX);
    sqlite3_limit(c->db, SQLITE_LIMIT_ATTACHED, 0);
}

/* Two processes that open a new file at once both want to turn the log on, and SQLite answers busy to one of
 * them without asking the busy handler, as waiting could be a deadlock. */
static lk_status log_on(connection *c)
{
    sqlite3_stmt *s = NULL;
    int code = SQLITE_BUSY;

    for (int tries = 0; (code & 0xff) == SQLITE_BUSY; tries++) {
        if (tries > 0 && wait_busy(c, tries) == 0)
            break;
        code = sqlite3_prepare_v2(c->db, "PRAGMA journal_mode=WAL", -1, &s, NULL);
        if (code == SQLITE_OK)
            code = sqlite3_step(s);
        if (code == SQLITE_ROW && sqlite3_stricmp((const char *)sqlite3_column_text(s, 0), "wal") != 0)
            code = SQLITE_CANTOPEN; /* a file system without shared memory, such as NFS */
        sqlite3_finalize(s);
    }
    return answer(c, code);
}

static lk_status set_up(connection *c)
{
    static const char pragmas[] = "PRAGMA synchronous=FULL;"
                                  "PRAGMA foreign_keys=ON;"
                                  "PRAGMA trusted_schema=OFF;"
                                  "PRAGMA secure_delete=ON;"
                                  "PRAGMA cell_size_check=ON;"
                                  "PRAGMA temp_store=MEMORY;";
    lk_status status;

    guard(c);
    status = log_on(c);
    return status == LK_OK ? answer(c, sqlite3_exec(c->db, pragmas, NULL, NULL, NULL)) : status;
}

static void sqlite_disconnect(const lk_sql_target *to, void *p)
{
    connection *c = p;

    sqlite3_finalize(c->version);
    sqlite3_close(c->db);
    lk_free(to->env, c);
}

static void set_deadline(void *p, int64_t until_ms, uint32_t wait_ms)
{
    connection *c = p;

    (void)wait_ms;
    c->until_ms = until_ms;
}

static lk_status sqlite_connect(lk_sql_target *to, int64_t until_ms, void **out, lk_note *note)
{
    const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE;
    connection *c = NULL;
    lk_status status = file_ready(to->place, to->must_exist, note);

    *out = NULL;
    if (status != LK_OK)
        return status;
    c = lk_alloc(to->env, sizeof(*c));
    if (c == NULL) {
        lk_note_set(note, "Out of memory.");
        return LK_FAULT;
    }
    c->to = to;
    c->until_ms = until_ms;
    status = answer(c, sqlite3_open_v2(to->place, &c->db, flags, NULL));
    if (status == LK_OK)
        status = set_up(c);
    if (status == LK_OK) {
        *out = c;
        return LK_OK;
    }
    explain(c, note);
    sqlite_disconnect(to, c);
    return status;
}

/* ---- transactions ---- */

static lk_status script(void *p, const char *statements)
{
    connection *c = p;

    return answer(c, sqlite3_exec(c->db, statements, NULL, NULL, NULL));
}

/* NORMAL leaves the log unsynced until the next full commit or checkpoint: the file stays whole, and what
 * may go with the power is the tail of such commits. */
static lk_status set_relaxed(connection *c, bool relaxed)
{
    lk_status status = LK_OK;

    if (c->relaxed != relaxed)
        status = script(c, relaxed ? "PRAGMA synchronous=NORMAL" : "PRAGMA synchronous=FULL");
    if (status == LK_OK)
        c->relaxed = relaxed;
    return status;
}

static lk_status sqlite_begin(void *p, lk_sql_durability durability)
{
    lk_status status = set_relaxed(p, durability == LK_SQL_RELAXED);

    return status == LK_OK ? script(p, "BEGIN IMMEDIATE") : status;
}

static lk_status sqlite_begin_schema(void *p)
{
    return sqlite_begin(p, LK_SQL_DURABLE);
}

static lk_status sqlite_commit(void *p)
{
    return script(p, "COMMIT");
}

static void sqlite_rollback(void *p)
{
    connection *c = p;

    /* A full disk makes SQLite roll back by itself. That a ROLLBACK fails only means it was done already. */
    if (sqlite3_get_autocommit(c->db) == 0)
        (void)sqlite3_exec(c->db, "ROLLBACK", NULL, NULL, NULL);
}

/* ---- statements ---- */

static lk_status prepare(void *p, const char *text, void **out)
{
    connection *c = p;
    sqlite3_stmt *s = NULL;
    lk_status status = answer(c, sqlite3_prepare_v3(c->db, text, -1, SQLITE_PREPARE_PERSISTENT, &s, NULL));

    *out = s;
    return status == LK_OK ? LK_OK : LK_FAULT;
}

static void finalize(void *s)
{
    sqlite3_finalize(s);
}

static bool bind_i64(void *s, int place, int64_t value)
{
    return sqlite3_bind_int64(s, place, value) == SQLITE_OK;
}

static bool bind_text(void *s, int place, lk_view value)
{
    const char *bytes = value.len > 0 ? (const char *)value.p : ""; /* NULL would bind the SQL NULL */

    return sqlite3_bind_text64(s, place, bytes, value.len, SQLITE_TRANSIENT, SQLITE_UTF8) == SQLITE_OK;
}

static bool bind_bytes(void *s, int place, lk_view value)
{
    return sqlite3_bind_blob64(s, place, value.len > 0 ? (const void *)value.p : "", value.len,
                               SQLITE_TRANSIENT) == SQLITE_OK;
}

static lk_status step(void *p, void *s)
{
    return answer(p, sqlite3_step(s));
}

static void reset(void *s)
{
    (void)sqlite3_reset(s); /* repeats the failure of the step, which was answered already */
    (void)sqlite3_clear_bindings(s);
}

static uint64_t changed(void *p, void *s)
{
    connection *c = p;

    (void)s;
    return (uint64_t)sqlite3_changes64(c->db);
}

static int64_t column_i64(void *s, int column)
{
    return sqlite3_column_int64(s, column);
}

static lk_view column_text(void *s, int column)
{
    const unsigned char *bytes = sqlite3_column_text(s, column);

    return bytes == NULL ? lk_view_make(NULL, 0)
                         : lk_view_make(bytes, (size_t)sqlite3_column_bytes(s, column));
}

static lk_view column_bytes(void *s, int column)
{
    const void *bytes = sqlite3_column_blob(s, column);

    return bytes == NULL ? lk_view_make(NULL, 0)
                         : lk_view_make(bytes, (size_t)sqlite3_column_bytes(s, column));
}

/* ---- waiting for the commits of others ---- */

static lk_status look(connection *c, bool *changed_since)
{
    lk_status status = answer(c, sqlite3_step(c->version));
    int64_t now = status == LK_OK ? sqlite3_column_int64(c->version, 0) : c->seen;

    (void)sqlite3_reset(c->version);
    *changed_since = now != c->seen;
    c->seen = now;
    return status == LK_OK ? LK_OK : LK_FAULT;
}

static lk_status sqlite_listen(void *p, const char *channel)
{
    connection *c = p;
    bool ignored;

    (void)channel;
    if (c->version == NULL) {
        int code = sqlite3_prepare_v3(c->db, "PRAGMA data_version", -1, SQLITE_PREPARE_PERSISTENT,
                                      &c->version, NULL);

        if (code != SQLITE_OK)
            return answer(c, code);
    }
    return look(c, &ignored);
}

/* The number changes when anybody else has committed: in another process or on another connection of this. */
static lk_status sqlite_wait(void *p, uint32_t wait_ms)
{
    int64_t until_ms = lk__sql_clock_ms() + wait_ms;

    for (;;) {
        bool changed_since = false;
        lk_status status = look(p, &changed_since);
        int64_t left_ms = until_ms - lk__sql_clock_ms();

        if (status != LK_OK || changed_since)
            return status;
        if (left_ms <= 0)
            return LK_MISS;
        sqlite3_sleep((int)(left_ms < LOOK_STEP_MS ? left_ms : LOOK_STEP_MS));
    }
}

static lk_status version(void *p, char out[LK_SQL_VERSION_MAX])
{
    (void)p;
    snprintf(out, LK_SQL_VERSION_MAX, "SQLite %s", sqlite3_libversion());
    return LK_OK;
}

const lk_sql_driver lk__sql_sqlite = {
    .dialect = LK_SQL_SQLITE,
    .schemes = {"sqlite"},
    .one_writer = true,
    .check = check,
    .connect = sqlite_connect,
    .disconnect = sqlite_disconnect,
    .deadline = set_deadline,
    .begin = sqlite_begin,
    .begin_schema = sqlite_begin_schema,
    .commit = sqlite_commit,
    .rollback = sqlite_rollback,
    .script = script,
    .explain = explain,
    .prepare = prepare,
    .finalize = finalize,
    .bind_i64 = bind_i64,
    .bind_text = bind_text,
    .bind_bytes = bind_bytes,
    .step = step,
    .reset = reset,
    .changed = changed,
    .i64 = column_i64,
    .text = column_text,
    .bytes = column_bytes,
    .listen = sqlite_listen,
    .wait = sqlite_wait,
    .has_table_text = "SELECT 1 FROM sqlite_master WHERE type IN ('table', 'view') AND name = ?",
    .version = version,
};
