/* SPDX-License-Identifier: Apache-2.0
 *
 * database_schema.c - the version of the tables, and the steps from each version to the next.
 *
 * A step is a file in database/, one for each dialect. A step that was ever released is never edited: what
 * changes is a new one. SQLite and PostgreSQL take all steps in one transaction. MariaDB commits after each
 * statement, so there a step may be run again after it was interrupted, and the version is written last.
 */
#include "store/database.h"
#include <string.h>

#define SCHEMA_MS 60000 /* for making or changing the tables */

/* clang-format off */
static const char sqlite_sessions[] =
#include "store-sqlite-1-sessions.sql.inc"
;
static const char postgres_sessions[] =
#include "store-postgres-1-sessions.sql.inc"
;
static const char mariadb_sessions[] =
#include "store-mariadb-1-sessions.sql.inc"
;
/* clang-format on */

static const char *const sqlite_steps[LK__DB_FORMAT] = {sqlite_sessions};
static const char *const postgres_steps[LK__DB_FORMAT] = {postgres_sessions};
static const char *const mariadb_steps[LK__DB_FORMAT] = {mariadb_sessions};

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

/* *format: 0 when the tables are not complete. */
static lk_status read_meta(lk_sql_link *link, int64_t *format, uint8_t salt[LK_SHORTHASH_KEY_LEN])
{
    static const char text[] = "SELECT name, number, bytes FROM latchkey_meta";
    lk_sql_query *q;
    lk_status status = lk_sql_prepare(link, text, &q);
    bool is_salted = false;

    *format = 0;
    while (status == LK_OK && (status = lk_sql_step(q)) == LK_OK) {
        lk_view name = lk_sql_text(q, 0), bytes = lk_sql_bytes(q, 2);

        if (lk_view_equal(name, LK_VIEW("format")))
            *format = lk_sql_i64(q, 1);
        if (lk_view_equal(name, LK_VIEW("salt")) && bytes.len == LK_SHORTHASH_KEY_LEN) {
            memcpy(salt, bytes.p, bytes.len);
            is_salted = true;
        }
    }
    if (!is_salted)
        *format = 0;
    return status == LK_MISS ? LK_OK : LK_FAULT;
}

static lk_status judge_format(int64_t format, lk_note *note)
{
    if (format > LK__DB_FORMAT || format < 0) {
        lk_note_set(
            note,
            "the tables of sessions have format %lld, and this latchkey knows up to %d: they were made by a "
            "newer latchkey; use that one",
            (long long)format, LK__DB_FORMAT);
        return LK_STALE;
    }
    if (format < LK__DB_FORMAT && format > 0) {
        lk_note_set(
            note,
            "the tables of sessions have format %lld, and this latchkey needs %d: run latchkey store upgrade",
            (long long)format, LK__DB_FORMAT);
        return LK_STALE;
    }
    return format == 0 ? LK_MISS : LK_OK;
}

lk_status lk__db_schema_read(lk__db *db, lk_note *note)
{
    int64_t format = 0;
    lk_sql_link *link;
    lk_status status = lk_sql_borrow(db->sql, &link, note);

    if (status != LK_OK)
        return status == LK_REFUSED ? LK_REFUSED : LK_FAULT;
    status = lk_sql_has_table(link, LK_VIEW("latchkey_meta"));
    if (status == LK_OK)
        status = read_meta(link, &format, db->salt);
    if (status == LK_FAULT)
        lk_sql_explain(link, note);
    lk_sql_give_back(link);
    return status == LK_OK ? judge_format(format, note) : status;
}

/* ---- making ---- */

static lk_status put_meta(lk_sql_link *link, const char *name, int64_t number, lk_view bytes)
{
    static const char insert[] = "INSERT INTO latchkey_meta (name, number, bytes) VALUES (?, ?, ?)";
    static const char update[] = "UPDATE latchkey_meta SET number = ?, bytes = ? WHERE name = ?";
    static const char count[] = "SELECT count(*) FROM latchkey_meta WHERE name = ?";
    lk_sql_value n = lk_sql_of_text(lk_view_of(name)), i = lk_sql_of_i64(number), b = lk_sql_of_bytes(bytes);
    bool is_there = false;
    lk_sql_query *q;
    lk_status status = lk_sql_ask(link, count, LK_SQL_VALUES(n), &q);

    if (status == LK_OK)
        status = lk_sql_step(q);
    if (status == LK_OK) {
        is_there = lk_sql_i64(q, 0) > 0;
        lk_sql_reset(q);
    }
    if (status != LK_OK)
        return LK_FAULT;
    if (is_there)
        return lk_sql_do(link, update, LK_SQL_VALUES(i, b, n), NULL);
    return lk_sql_do(link, insert, LK_SQL_VALUES(n, i, b), NULL);
}

/* Every step from FORMAT on, then the new version. */
static lk_status walk(const lk_env *env, lk_sql *sql, lk_sql_link *link, int64_t format)
{
    const char *const *steps = steps_of(lk_sql_dialect_of(sql));
    uint8_t salt[LK_SHORTHASH_KEY_LEN];
    lk_status status = format == 0 ? lk_random(env, salt, sizeof(salt)) : LK_OK;

    for (int64_t i = format; i < LK__DB_FORMAT && status == LK_OK; i++)
        status = lk_sql_script(link, steps[i]);
    if (status == LK_OK && format == 0)
        status = put_meta(link, "salt", 0, lk_view_make(salt, sizeof(salt)));
    if (status == LK_OK)
        status = put_meta(link, "format", LK__DB_FORMAT, (lk_view){0});
    return status;
}

static lk_status make_in(const lk_env *env, lk_sql *sql, lk_sql_link *link, bool upgrade, lk_note *note)
{
    uint8_t salt[LK_SHORTHASH_KEY_LEN];
    int64_t format = 0;
    lk_status status = lk_sql_has_table(link, LK_VIEW("latchkey_meta"));

    if (status == LK_OK)
        status = read_meta(link, &format, salt);
    if (status == LK_OK || status == LK_MISS)
        status = judge_format(format, note);
    if (status == LK_OK || (status == LK_STALE && (format > LK__DB_FORMAT || !upgrade)))
        return status;
    return status == LK_FAULT ? LK_FAULT : walk(env, sql, link, format);
}

lk_status lk__db_schema_make(const lk_env *env, lk_sql *sql, bool upgrade, lk_note *note)
{
    lk_sql_link *link;
    lk_status status = lk_sql_borrow(sql, &link, note);

    if (status != LK_OK)
        return status;
    lk_sql_deadline(link, SCHEMA_MS);
    status = lk_sql_begin_schema(link);
    if (status == LK_OK) {
        status = make_in(env, sql, link, upgrade, note);
        if (status == LK_OK)
            status = lk_sql_commit(link);
    }
    if (status != LK_OK && status != LK_STALE)
        lk_sql_explain(link, note);
    lk_sql_give_back(link);
    return status == LK_OK || status == LK_STALE ? status : LK_FAULT;
}
