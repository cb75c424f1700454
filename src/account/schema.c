/* SPDX-License-Identifier: Apache-2.0
 *
 * schema.c - the version of the accounts database, and the steps from each version to the next.
 *
 * A step is a file in schema/, one for each dialect. A step that was ever released is never edited: what
 * changes is a new one. Versions are the same everywhere; PostgreSQL and MariaDB begin with version 3.
 *
 * SQLite brings its file up whenever it is opened. On a server tables are made by whoever may make them
 * (`latchkey store init`), and the gateway needs no such right.
 */
#include "account/internal.h"

/* clang-format off */
static const char sqlite_users[] =
#include "sqlite-1-users.sql.inc"
;
static const char sqlite_throttle[] =
#include "sqlite-2-throttle.sql.inc"
;
static const char sqlite_names[] =
#include "sqlite-3-names.sql.inc"
;
static const char sqlite_devices[] =
#include "sqlite-4-devices.sql.inc"
;
static const char postgres_accounts[] =
#include "postgres-3-accounts.sql.inc"
;
static const char postgres_devices[] =
#include "postgres-4-devices.sql.inc"
;
static const char mariadb_accounts[] =
#include "mariadb-3-accounts.sql.inc"
;
static const char mariadb_devices[] =
#include "mariadb-4-devices.sql.inc"
;
static const char sqlite_third_parties[] =
#include "sqlite-5-third-parties.sql.inc"
;
static const char postgres_third_parties[] =
#include "postgres-5-third-parties.sql.inc"
;
static const char mariadb_third_parties[] =
#include "mariadb-5-third-parties.sql.inc"
;
static const char sqlite_put_out[] =
#include "sqlite-6-put-out.sql.inc"
;
static const char postgres_put_out[] =
#include "postgres-6-put-out.sql.inc"
;
static const char mariadb_put_out[] =
#include "mariadb-6-put-out.sql.inc"
;
/* clang-format on */

static const char *const sqlite_steps[LK_SCHEMA_VERSION] = {
    sqlite_users, sqlite_throttle, sqlite_names, sqlite_devices, sqlite_third_parties, sqlite_put_out};
static const char *const postgres_steps[LK_SCHEMA_VERSION] = {
    NULL, NULL, postgres_accounts, postgres_devices, postgres_third_parties, postgres_put_out};
static const char *const mariadb_steps[LK_SCHEMA_VERSION] = {
    NULL, NULL, mariadb_accounts, mariadb_devices, mariadb_third_parties, mariadb_put_out};

static const char *const *steps_of(lk_sql_dialect dialect)
{
    switch (dialect) {
    case LK_SQL_SQLITE:
        return sqlite_steps;
    case LK_SQL_POSTGRES:
        return postgres_steps;
    case LK_SQL_MARIADB:
        return mariadb_steps;
    }
    return NULL;
}

/* ---- the version ---- */

/* 0 when there is nothing. LK_OK, LK_FAULT. */
static lk_status version_read(lk_sql_link *link, int64_t *version)
{
    lk_sql_query *q = NULL;
    lk_status status = lk_sql_has_table(link, LK_VIEW("latchkey_schema"));

    *version = 0;
    if (status == LK_MISS)
        return LK_OK;
    if (status == LK_OK)
        status = lk_sql_prepare(link, "SELECT COALESCE(max(version), 0) FROM latchkey_schema", &q);
    if (status == LK_OK)
        status = lk_sql_step(q);
    if (status != LK_OK)
        return LK_FAULT; /* LK_MISS too: max() always gives a row */
    *version = lk_sql_i64(q, 0);
    lk_sql_reset(q);
    return LK_OK;
}

static lk_status newer(int64_t version, lk_note *note)
{
    lk_note_set(note,
                "The accounts database has schema version %lld, and this latchkey knows up to %d: it was "
                "written by a newer latchkey; use that one.",
                (long long)version, LK_SCHEMA_VERSION);
    return LK_STALE;
}

static lk_status older(int64_t version, lk_note *note)
{
    lk_note_set(
        note,
        "The accounts database has schema version %lld, and this latchkey needs %d: run: latchkey store "
        "upgrade",
        (long long)version, LK_SCHEMA_VERSION);
    return LK_STALE;
}

static bool is_known(int64_t version)
{
    return version >= 0 && version <= LK_SCHEMA_VERSION;
}

/* ---- making ---- */

static lk_status take_step(lk_sql_link *link, const char *statements, int64_t version)
{
    static const char made[] = "CREATE TABLE IF NOT EXISTS latchkey_schema (version INTEGER NOT NULL)";
    lk_status status = lk_sql_script(link, made);

    if (status == LK_OK)
        status = lk_sql_script(link, statements);
    if (status == LK_OK)
        status = lk_sql_do(link, "INSERT INTO latchkey_schema (version) VALUES (?)",
                           LK_SQL_VALUES(lk_sql_of_i64(version)), NULL);
    return status;
}

/* Always inside one transaction that may write: two programs that start at once do not both migrate, and a
 * crash in the middle leaves the old version (on MariaDB, what was made is made again). Where there is
 * nothing to do, nothing is written. */
static lk_status walk(lk_sql *sql, lk_sql_link *link, bool upgrade, lk_note *note)
{
    const char *const *steps = steps_of(lk_sql_dialect_of(sql));
    int64_t version = 0;
    lk_status status = version_read(link, &version);

    if (status == LK_OK && !is_known(version))
        return newer(version, note);
    if (status == LK_OK && !upgrade && version > 0 && version < LK_SCHEMA_VERSION)
        return older(version, note);
    for (; status == LK_OK && version < LK_SCHEMA_VERSION; version++)
        if (steps[version] != NULL)
            status = take_step(link, steps[version], version + 1);
    if (status != LK_OK)
        lk_sql_explain(link, note);
    return status;
}

lk_status lk__schema_make(lk_sql *sql, bool upgrade, lk_note *note)
{
    lk_sql_link *link = NULL;
    lk_status status = lk_sql_borrow(sql, &link, note);

    if (status != LK_OK)
        return status;
    status = lk_sql_begin_schema(link);
    if (status != LK_OK) {
        lk_sql_explain(link, note);
        goto out;
    }
    status = walk(sql, link, upgrade, note);
    if (status != LK_OK)
        goto out;
    status = lk_sql_commit(link);
    if (status != LK_OK)
        lk_sql_explain(link, note);
out:
    lk_sql_give_back(link);
    return status == LK_REFUSED ? LK_FAULT : status;
}

/* ---- looking ---- */

static lk_status look(lk_sql_link *link, lk_note *note)
{
    int64_t version = 0;
    lk_status status = version_read(link, &version);

    if (status != LK_OK) {
        lk_sql_explain(link, note);
        return LK_FAULT;
    }
    if (version == 0) {
        lk_note_set(note, "The accounts database has no tables yet: run: latchkey store init");
        return LK_MISS;
    }
    if (!is_known(version))
        return newer(version, note);
    return version < LK_SCHEMA_VERSION ? older(version, note) : LK_OK;
}

lk_status lk__schema_ready(lk_sql *sql, lk_note *note)
{
    lk_sql_link *link = NULL;
    lk_status status;

    if (lk_sql_dialect_of(sql) == LK_SQL_SQLITE)
        return lk__schema_make(sql, true, note);
    status = lk_sql_borrow(sql, &link, note);
    if (status != LK_OK)
        return status;
    status = look(link, note);
    lk_sql_give_back(link);
    return status;
}
