/* SPDX-License-Identifier: Apache-2.0
 *
 * database_ready.c - the clock of the database, and whether a standby of PostgreSQL is good enough to read
 * from.
 *
 * A standby is ready when it is connected to its primary and has applied what it received, but for BEHIND_MAX
 * bytes: some hundred writes, a few milliseconds. How much the primary has written since and not sent yet, a
 * standby does not know; whoever reads from one compares the numbers of the newest events for that. A standby
 * that was just started connects only after it has applied what it has on its own disk, so that this is seen
 * here too.
 */
#include "store/database.h"

#define BEHIND_MAX (256 * 1024)

lk_status lk__db_time_ms(lk_store *store, int64_t *now_ms)
{
    lk__db *db = lk__db_of(store);
    lk_sql_link *link;
    lk_status status;

    if (lk_sql_dialect_of(db->sql) == LK_SQL_SQLITE) {
        *now_ms = lk_now_ms(store->env); /* a file has no clock but ours */
        return LK_OK;
    }
    status = lk_sql_borrow(db->sql, &link, NULL);
    if (status != LK_OK)
        return LK_FAULT;
    status = lk_sql_time_ms(link, now_ms);
    lk_sql_give_back(link);
    return status == LK_OK ? LK_OK : LK_FAULT;
}

static lk_status judge_standby(lk_sql_link *link, lk_note *note)
{
    /* To a role without pg_read_all_stats the process that receives shows its number and nothing else. */
    static const char text[] =
        "SELECT CASE WHEN pg_is_in_recovery() THEN 1 ELSE 0 END,"
        " (SELECT count(*) FROM pg_stat_wal_receiver WHERE pid IS NOT NULL),"
        " CAST(COALESCE(pg_wal_lsn_diff(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()), -1) AS bigint)";
    bool is_standby, is_connected;
    int64_t behind;
    lk_sql_query *q;
    lk_status status = lk_sql_prepare(link, text, &q);

    if (status == LK_OK)
        status = lk_sql_step(q);
    if (status != LK_OK)
        return LK_FAULT;
    is_standby = lk_sql_i64(q, 0) != 0;
    is_connected = lk_sql_i64(q, 1) != 0;
    behind = lk_sql_i64(q, 2);
    lk_sql_reset(q);
    if (!is_standby || (is_connected && behind >= 0 && behind <= BEHIND_MAX))
        return LK_OK;
    if (!is_connected)
        lk_note_set(note,
                    "this standby does not receive from its primary: look at primary_conninfo and its log");
    else
        lk_note_set(note, "this standby has %lld bytes still to apply", (long long)behind);
    return LK_MISS;
}

lk_status lk__db_ready(lk_store *store, lk_note *note)
{
    lk__db *db = lk__db_of(store);
    lk__db_place newest;
    lk_sql_link *link;
    lk_status status = lk_sql_borrow(db->sql, &link, note);

    if (status != LK_OK)
        return LK_FAULT;
    status = lk__db_newest(link, &newest);
    if (status == LK_OK && lk_sql_dialect_of(db->sql) == LK_SQL_POSTGRES)
        status = judge_standby(link, note);
    if (status == LK_FAULT)
        lk_sql_explain(link, note);
    lk_sql_give_back(link);
    return status;
}
