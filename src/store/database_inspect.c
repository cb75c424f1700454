/* SPDX-License-Identifier: Apache-2.0
 *
 * database_inspect.c - what an operator would want to know of the database: its version, the settings that
 * decide what an answer is worth, how far its clock is from ours, how much there is and whether it is swept.
 */
#include "store/database.h"
#include <string.h>

#define VALUE_MAX 256
#define CLOCK_MS 1000 /* a difference that is worth a word */
#define LAG_S 600     /* so is this much that was not swept */

typedef struct telling {
    lk__db *db;
    lk_sql_link *link;
    lk_finding_each each;
    void *context;
} telling;

/* TEXT gives the value, and 1 when it bites. */
typedef struct question {
    const char *name;
    const char *text;
    lk_finding_level level; /* when it bites */
    const char *advice;
} question;

#define BITES_UNLESS(value, good) "SELECT " value ", CASE WHEN " value " = '" good "' THEN 0 ELSE 1 END"
#define FACT(value) "SELECT " value ", 0"

/* ---- SQLite ---- */

static const question of_sqlite[] = {
    {"journal_mode",
     "SELECT journal_mode, CASE WHEN journal_mode = 'wal' THEN 0 ELSE 1 END FROM pragma_journal_mode",
     LK_FINDING_PROBLEM,
     "Readers and writers hold each other up: put the file on a local disk, where WAL works."},
    {"page_size", "SELECT page_size, 0 FROM pragma_page_size", LK_FINDING_FACT, ""},
    {"size", "SELECT p.page_count * s.page_size, 0 FROM pragma_page_count AS p, pragma_page_size AS s",
     LK_FINDING_FACT, ""},
    {"free",
     "SELECT f.freelist_count * s.page_size, f.freelist_count > 25000 AND 2 * f.freelist_count > p.page_count"
     " FROM pragma_freelist_count AS f, pragma_page_size AS s, pragma_page_count AS p",
     LK_FINDING_WARNING,
     "More than half of the file is free. It is used again; to give it back to the disk, run VACUUM once."},
};

/* ---- PostgreSQL ---- */

#define SETTING(name) "current_setting('" name "')"

static const question of_postgres[] = {
    /* A standby is no fault: it may be the copy of latchkey_replica. */
    {"role",
     "SELECT CASE WHEN pg_is_in_recovery() THEN 'standby' WHEN "
     "current_setting('default_transaction_read_only') = 'on'"
     " THEN 'read-only' ELSE 'primary' END, NOT pg_is_in_recovery() AND"
     " current_setting('default_transaction_read_only') = 'on'",
     LK_FINDING_WARNING,
     "Nobody can log in or out here: set default_transaction_read_only = off for this role."},
    {"isolation", FACT(SETTING("default_transaction_isolation")), LK_FINDING_FACT, ""},
    {"fsync", BITES_UNLESS(SETTING("fsync"), "on"), LK_FINDING_PROBLEM,
     "A power loss may destroy the database: set fsync = on."},
    {"full_page_writes", BITES_UNLESS(SETTING("full_page_writes"), "on"), LK_FINDING_PROBLEM,
     "A power loss may leave torn pages: set full_page_writes = on, unless the file system rules them out."},
    {"synchronous_commit",
     "SELECT current_setting('synchronous_commit'),"
     " CASE WHEN current_setting('synchronous_commit') = 'off' THEN 1 ELSE 0 END",
     LK_FINDING_WARNING,
     "A power loss undoes the logins and logouts of the last moments: set synchronous_commit = on for this "
     "role."},
    {"synchronous_standby_names",
     "SELECT CASE WHEN current_setting('synchronous_standby_names') = '' THEN 'none'"
     " ELSE current_setting('synchronous_standby_names') END, 0",
     LK_FINDING_FACT, ""},
    {"data_checksums", FACT(SETTING("data_checksums")), LK_FINDING_FACT, ""},
    {"max_connections", FACT(SETTING("max_connections")), LK_FINDING_FACT, ""},
    {"autovacuum", BITES_UNLESS(SETTING("autovacuum"), "on"), LK_FINDING_PROBLEM,
     "The tables grow without end: set autovacuum = on."},
    {"size", "SELECT CAST(pg_total_relation_size(to_regclass('latchkey_session')) AS text), 0",
     LK_FINDING_FACT, ""},
    {"dead_rows",
     "SELECT CAST(n_dead_tup AS text), CASE WHEN n_dead_tup > 100000 AND n_dead_tup > n_live_tup THEN 1 ELSE "
     "0 END"
     " FROM pg_stat_user_tables WHERE relid = to_regclass('latchkey_session')",
     LK_FINDING_WARNING,
     "Vacuum does not keep up: for latchkey_session, lower autovacuum_vacuum_scale_factor and look for old "
     "transactions."},
};

/* ---- MariaDB, whose numbers have to be made texts ---- */

#define VARIABLE(name) "CAST(@@global." name " AS CHAR)"

static const question of_mariadb[] = {
    {"role", "SELECT CASE WHEN @@global.read_only THEN 'read-only' ELSE 'primary' END, @@global.read_only",
     LK_FINDING_WARNING, "Nobody can log in or out here: a store needs the primary."},
    {"isolation", FACT("@@session.tx_isolation"), LK_FINDING_FACT, ""},
    {"innodb_flush_log_at_trx_commit", BITES_UNLESS(VARIABLE("innodb_flush_log_at_trx_commit"), "1"),
     LK_FINDING_WARNING,
     "A power loss undoes the logins and logouts of the last second: set innodb_flush_log_at_trx_commit = "
     "1."},
    {"sync_binlog", "SELECT " VARIABLE("sync_binlog") ", @@global.log_bin AND @@global.sync_binlog <> 1",
     LK_FINDING_WARNING, "After a power loss a replica may miss logouts: set sync_binlog = 1."},
    {"innodb_doublewrite", BITES_UNLESS(VARIABLE("innodb_doublewrite"), "ON"), LK_FINDING_PROBLEM,
     "A power loss may leave torn pages: set innodb_doublewrite = ON, unless the file system rules them "
     "out."},
    {"innodb_deadlock_detect", BITES_UNLESS(VARIABLE("innodb_deadlock_detect"), "ON"), LK_FINDING_WARNING,
     "Writers that meet wait until their deadline: set innodb_deadlock_detect = ON."},
    {"sql_mode",
     "SELECT @@session.sql_mode, CASE WHEN @@session.sql_mode LIKE '%STRICT_TRANS_TABLES%' OR"
     " @@session.sql_mode LIKE '%STRICT_ALL_TABLES%' THEN 0 ELSE 1 END",
     LK_FINDING_PROBLEM, "Values may be cut to fit: have STRICT_TRANS_TABLES in sql_mode."},
    {"engine",
     "SELECT COALESCE(MAX(engine), 'none'), COALESCE(MAX(engine <> 'InnoDB'), 1) FROM "
     "information_schema.tables"
     " WHERE table_schema = DATABASE() AND table_name LIKE 'latchkey!_%' ESCAPE '!'",
     LK_FINDING_PROBLEM, "A table without transactions loses logouts: ALTER TABLE ... ENGINE = InnoDB."},
    {"max_connections", FACT(VARIABLE("max_connections")), LK_FINDING_FACT, ""},
    {"size",
     "SELECT CAST(COALESCE(SUM(data_length + index_length), 0) AS CHAR), 0 FROM information_schema.tables"
     " WHERE table_schema = DATABASE() AND table_name LIKE 'latchkey!_%' ESCAPE '!'",
     LK_FINDING_FACT, ""},
};

static const question *questions_of(lk_sql_dialect dialect, size_t *n)
{
    switch (dialect) {
    case LK_SQL_SQLITE:
        *n = sizeof(of_sqlite) / sizeof(of_sqlite[0]);
        return of_sqlite;
    case LK_SQL_POSTGRES:
        *n = sizeof(of_postgres) / sizeof(of_postgres[0]);
        return of_postgres;
    case LK_SQL_MARIADB:
        *n = sizeof(of_mariadb) / sizeof(of_mariadb[0]);
        return of_mariadb;
    }
    *n = 0;
    return NULL;
}

/* ---- telling ---- */

static void tell(const telling *t, lk_finding_level level, const char *name, const char *value,
                 const char *advice)
{
    const lk_finding f = {
        .level = level, .name = name, .value = value, .advice = level == LK_FINDING_FACT ? "" : advice};

    t->each(t->context, &f);
}

static void tell_number(const telling *t, lk_finding_level level, const char *name, int64_t number,
                        const char *advice)
{
    char room[32];
    lk_buf text = lk_buf_over(room, sizeof(room));

    lk_buf_add_i64(&text, number);
    tell(t, level, name, lk_buf_text(&text), advice);
}

static lk_status ask(const telling *t, const question *asked)
{
    char value[VALUE_MAX];
    lk_buf text = lk_buf_over(value, sizeof(value));
    bool bites;
    lk_sql_query *q;
    lk_status status = lk_sql_prepare(t->link, asked->text, &q);

    if (status == LK_OK)
        status = lk_sql_step(q);
    if (status == LK_MISS)
        return LK_OK;
    if (status != LK_OK)
        return LK_FAULT;
    lk_buf_add(&text, lk_view_part(lk_sql_text(q, 0), 0, sizeof(value) - 1));
    bites = lk_sql_i64(q, 1) != 0;
    lk_sql_reset(q);
    tell(t, bites ? asked->level : LK_FINDING_FACT, asked->name, lk_buf_text(&text), asked->advice);
    return LK_OK;
}

static lk_status tell_version(const telling *t)
{
    char version[LK_SQL_VERSION_MAX];
    lk_status status = lk_sql_version(t->link, version);

    if (status == LK_OK)
        tell(t, LK_FINDING_FACT, "version", version, "");
    return status;
}

static lk_status tell_clock(const telling *t)
{
    int64_t there_ms, here_ms = lk_now_ms(t->db->base.env), apart_ms;
    lk_status status;

    if (lk_sql_dialect_of(t->db->sql) == LK_SQL_SQLITE)
        return LK_OK;
    status = lk_sql_time_ms(t->link, &there_ms);
    if (status != LK_OK)
        return status;
    apart_ms = there_ms - here_ms;
    tell_number(t, apart_ms > CLOCK_MS || apart_ms < -CLOCK_MS ? LK_FINDING_WARNING : LK_FINDING_FACT,
                "clock_difference_ms", apart_ms,
                "Sessions end early or late by as much as clocks differ: have both follow NTP.");
    return LK_OK;
}

/* How long ago the oldest row became due that is still there. */
static lk_status tell_lag(const telling *t)
{
    static const char text[] = "SELECT due FROM latchkey_session ORDER BY due LIMIT 1";
    int64_t lag_s = 0;
    lk_sql_query *q;
    lk_status status = lk_sql_prepare(t->link, text, &q);

    if (status == LK_OK)
        status = lk_sql_step(q);
    if (status == LK_OK) {
        lag_s = lk_now_s(t->db->base.env) - lk__db_seconds(lk_sql_i64(q, 0));
        lk_sql_reset(q);
    }
    if (status != LK_OK && status != LK_MISS)
        return LK_FAULT;
    tell_number(t, lag_s > LAG_S ? LK_FINDING_WARNING : LK_FINDING_FACT, "sweep_lag_s", lag_s > 0 ? lag_s : 0,
                "Nobody removes what is over: gateways do while they run; or run latchkey store sweep.");
    return LK_OK;
}

static lk_status tell_counts(const telling *t)
{
    static const char swept[] = "SELECT swept_s, removed FROM latchkey_lease WHERE name = 'sweep'";
    static const char events[] = "SELECT count(*) FROM latchkey_event";
    int64_t n = 0;
    lk_sql_query *q;
    lk_status status = lk_sql_prepare(t->link, events, &q);

    if (status == LK_OK)
        status = lk_sql_step(q);
    if (status != LK_OK)
        return LK_FAULT;
    n = lk_sql_i64(q, 0);
    lk_sql_reset(q);
    tell_number(t, LK_FINDING_FACT, "events", n, "");
    status = lk_sql_prepare(t->link, swept, &q);
    if (status == LK_OK)
        status = lk_sql_step(q);
    if (status != LK_OK)
        return status == LK_MISS ? LK_OK : LK_FAULT;
    tell_number(t, LK_FINDING_FACT, "swept_s", lk_sql_i64(q, 0), "");
    tell_number(t, LK_FINDING_FACT, "swept_rows", lk_sql_i64(q, 1), "");
    lk_sql_reset(q);
    return LK_OK;
}

static lk_status tell_all(const telling *t)
{
    uint64_t unreadable = atomic_load(&t->db->unreadable);
    size_t n;
    const question *questions = questions_of(lk_sql_dialect_of(t->db->sql), &n);
    lk_status status = tell_version(t);

    for (size_t i = 0; i < n && status == LK_OK; i++)
        status = ask(t, &questions[i]);
    if (status == LK_OK)
        status = tell_clock(t);
    if (status == LK_OK)
        status = tell_lag(t);
    if (status == LK_OK)
        status = tell_counts(t);
    if (status == LK_OK)
        tell_number(t, unreadable > 0 ? LK_FINDING_WARNING : LK_FINDING_FACT, "unreadable_rows",
                    (int64_t)unreadable,
                    "Rows damaged, or written by a newer latchkey: their sessions count as ended.");
    return status;
}

lk_status lk__db_inspect(lk_store *store, lk_finding_each each, void *context)
{
    telling t = {.db = lk__db_of(store), .each = each, .context = context};
    lk_store_count counts;
    lk_status status = lk__db_counts(store, &counts);

    if (status != LK_OK)
        return LK_FAULT;
    status = lk_sql_borrow(t.db->sql, &t.link, NULL);
    if (status != LK_OK)
        return LK_FAULT;
    lk_sql_deadline(t.link, LK_SQL_WAIT_MS);
    status = tell_all(&t);
    lk_sql_give_back(t.link);
    if (status == LK_OK)
        tell_number(&t, LK_FINDING_FACT, "sessions", (int64_t)counts.sessions, "");
    return status == LK_OK ? LK_OK : LK_FAULT;
}
