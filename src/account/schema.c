/* SPDX-License-Identifier: Apache-2.0
 *
 * schema.c - the version of the accounts database, and the steps from each version to the next.
 *
 * A step is a file in schema/, one for each dialect. A step that was ever released is never edited: what
 * changes is a new one.
 */
#include "account/internal.h"

/* clang-format off */
static const char sqlite_users[] =
#include "sqlite-1-users.sql.inc"
;
static const char sqlite_throttle[] =
#include "sqlite-2-throttle.sql.inc"
;
/* clang-format on */

static const char *const sqlite_steps[LK_SCHEMA_VERSION] = {sqlite_users, sqlite_throttle};

static const char *const *steps_of(lk_sql_dialect dialect)
{
    switch (dialect) {
    case LK_SQL_SQLITE:
        return sqlite_steps;
    case LK_SQL_POSTGRES:
    case LK_SQL_MARIADB:
        break;
    }
    return NULL;
}

static lk_status version_read(lk_sql_link *link, int64_t *version)
{
    lk_sql_query *q = NULL;
    lk_status status =
        lk_sql_script(link, "CREATE TABLE IF NOT EXISTS latchkey_schema (version INTEGER NOT NULL)");

    *version = 0;
    if (status == LK_OK)
        status = lk_sql_prepare(link, "SELECT max(version) FROM latchkey_schema", &q);
    if (status == LK_OK)
        status = lk_sql_step(q);
    if (status != LK_OK)
        return status == LK_MISS ? LK_FAULT : status; /* max() always gives a row */
    *version = lk_sql_i64(q, 0);
    lk_sql_reset(q);
    return LK_OK;
}

static lk_status version_write(lk_sql_link *link, int64_t version)
{
    lk_sql_query *q = NULL;
    lk_status status = lk_sql_prepare(link, "INSERT INTO latchkey_schema (version) VALUES (?)", &q);

    if (status != LK_OK)
        return status;
    lk_sql_bind_i64(q, 1, version);
    return lk_sql_run(q, NULL);
}

static lk_status walk(lk_sql *sql, lk_sql_link *link, lk_note *note)
{
    const char *const *steps = steps_of(lk_sql_dialect_of(sql));
    int64_t version = 0;
    lk_status status = version_read(link, &version);

    if (status == LK_OK && (version > LK_SCHEMA_VERSION || version < 0)) {
        lk_note_set(note,
                    "The accounts database has schema version %lld, and this latchkey knows up to %d: it was "
                    "written by a newer latchkey; use that one.",
                    (long long)version, LK_SCHEMA_VERSION);
        return LK_STALE;
    }
    for (; status == LK_OK && version < LK_SCHEMA_VERSION; version++) {
        status = lk_sql_script(link, steps[version]);
        if (status == LK_OK)
            status = version_write(link, version + 1);
    }
    if (status != LK_OK)
        lk_sql_explain(link, note);
    return status;
}

/* Always inside one transaction that may write: two programs that start at once do not both migrate, and a
 * crash in the middle leaves the old version. Where there is nothing to do, nothing is written. */
lk_status lk__schema_migrate(lk_sql *sql, lk_note *note)
{
    lk_sql_link *link = NULL;
    lk_status status = lk_sql_borrow(sql, &link, note);

    if (status != LK_OK)
        return status;
    status = lk_sql_begin(link, LK_SQL_DURABLE);
    if (status != LK_OK) {
        lk_sql_explain(link, note);
        goto out;
    }
    status = walk(sql, link, note);
    if (status != LK_OK)
        goto out;
    status = lk_sql_commit(link);
    if (status != LK_OK)
        lk_sql_explain(link, note);
out:
    lk_sql_give_back(link);
    return status == LK_REFUSED ? LK_FAULT : status;
}
