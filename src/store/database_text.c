/* SPDX-License-Identifier: Apache-2.0
 *
 * database_text.c - the statements that the dialects do not share, or that take several sessions at once.
 *
 * Rows are locked in the order of their ids wherever more than one is: two writers never wait for each other.
 * PostgreSQL would find that out only after a second, which is longer than anybody waits for an answer here.
 */
#include "store/database.h"

/* N places for values. */
#define P1 "?"
#define P8 "?,?,?,?,?,?,?,?"
#define P32 P8 "," P8 "," P8 "," P8
#define P128 P32 "," P32 "," P32 "," P32
_Static_assert(LK__DB_BATCH == 128, "the largest statement takes a batch");

/* 127 times MORE. */
#define U15(more) more more more more more more more more more more more more more more more
#define U127(more)                                                                                           \
    U15(more)                                                                                                \
    U15(more) U15(more) U15(more) U15(more) U15(more) U15(more) U15(more) more more more more more more more

/* ---- all dialects ---- */

#define SESSION " FROM latchkey_session"
/* What may be NULL reads as a time long ago: whatever is seen, is later. */
#define SEEN "COALESCE(seen, -2147483648)"

#define HEADS(places) "SELECT id, " SEEN ", head" SESSION " WHERE id IN (" places ")"
#define WHOLES(places) "SELECT id, " SEEN ", head, fields" SESSION " WHERE id IN (" places ")"
#define ORDERED(places) HEADS(places) " ORDER BY id"
#define DELETES(places) "DELETE" SESSION " WHERE id IN (" places ")"
#define SIZED(form)                                                                                          \
    {                                                                                                        \
        form(P1), form(P8), form(P32), form(P128)                                                            \
    }

#define HOLD " FOR UPDATE"
#define HOLD_FREE " FOR UPDATE SKIP LOCKED"
#define HELD(places) ORDERED(places) HOLD
#define HELD_FREE(places) ORDERED(places) HOLD_FREE

#define INSERT "INSERT INTO latchkey_session (due, seen, owner, head, fields, id) VALUES "
#define WITH_OWNER "(?, ?, ?, ?, ?, ?)"
#define WITHOUT_OWNER "(?, ?, NULL, ?, ?, ?)"
#define AS_FENCE "(?, NULL, NULL, ?, NULL, ?)"

#define ONE "SELECT id, " SEEN ", head, fields" SESSION " WHERE id = ?"
#define LEASE "SELECT swept_s FROM latchkey_lease WHERE name = 'sweep'"
#define TOUCH_ONE "UPDATE latchkey_session SET seen = ? WHERE id = ? AND seen < ?"
#define DEFER_ONE "UPDATE latchkey_session SET due = ? WHERE id = ? AND due <> ?"

/* ---- SQLite: one writer at a time, so there is nothing to lock ---- */

#define KEEP_THERE " ON CONFLICT (id) DO NOTHING"

static const lk__db_text sqlite = {
    .is_one_writer = true,
    .heads = SIZED(HEADS),
    .wholes = SIZED(WHOLES),
    .lock_one = ONE,
    .locks = SIZED(ORDERED),
    .free_locks = SIZED(ORDERED),
    .deletes = SIZED(DELETES),
    .touch_one = TOUCH_ONE,
    .defer_one = DEFER_ONE,
    .insert = INSERT WITH_OWNER KEEP_THERE,
    .insert_nobodys = INSERT WITHOUT_OWNER KEEP_THERE,
    .insert_fence = INSERT AS_FENCE KEEP_THERE,
    .lease = LEASE,
    .estimate = "SELECT (SELECT count(*) FROM latchkey_session),"
                " (SELECT (p.page_count - f.freelist_count) * s.page_size FROM pragma_page_count AS p,"
                " pragma_freelist_count AS f, pragma_page_size AS s)",
};

/* ---- PostgreSQL ---- */

#define PAIR "(CAST(? AS bytea), CAST(? AS integer))"
#define PAIRS "(VALUES " PAIR U127("," PAIR) ") AS v (id, at)"

static const lk__db_text postgres = {
    .heads = SIZED(HEADS),
    .wholes = SIZED(WHOLES),
    .lock_one = ONE HOLD,
    .locks = SIZED(HELD),
    .free_locks = SIZED(HELD_FREE),
    .deletes = SIZED(DELETES),
    .lock_turn = "SELECT n FROM latchkey_turn WHERE n = ?" HOLD,
    .touch_many =
        "UPDATE latchkey_session AS s SET seen = v.at FROM " PAIRS " WHERE s.id = v.id AND s.seen < v.at",
    .touch_one = TOUCH_ONE,
    .defer_many = "UPDATE latchkey_session AS s SET due = v.at FROM " PAIRS " WHERE s.id = v.id",
    .defer_one = DEFER_ONE,
    .insert = INSERT WITH_OWNER KEEP_THERE,
    .insert_nobodys = INSERT WITHOUT_OWNER KEEP_THERE,
    .insert_fence = INSERT AS_FENCE KEEP_THERE,
    .lease = LEASE HOLD_FREE,
    /* Not worth a wait for the disk: who misses it looks by himself a little later. */
    .notify = "SELECT set_config('synchronous_commit', 'off', true), pg_notify('latchkey', '')",
    .estimate = "SELECT COALESCE(NULLIF(s.n_live_tup, 0), CAST(greatest(c.reltuples, 0) AS bigint)),"
                " pg_total_relation_size(c.oid) FROM pg_class AS c LEFT JOIN pg_stat_user_tables AS s"
                " ON s.relid = c.oid WHERE c.oid = to_regclass('latchkey_session')",
};

/* ---- MariaDB ---- */

/* That an id is there is no error: such an error would leave a lock that two writers can wait for each other
 * with. */
#define OR_SAME " ON DUPLICATE KEY UPDATE due = latchkey_session.due"
#define ROW "SELECT CAST(? AS BINARY(12)), CAST(? AS SIGNED)"
#define ROWS "(SELECT CAST(? AS BINARY(12)) AS id, CAST(? AS SIGNED) AS at" U127(" UNION ALL " ROW) ") AS v"

/* Rows are always come by through their ids: in a small table MariaDB would rather read all of it, and lock
 * what others have. */
#define BY_ID " FORCE INDEX (PRIMARY)"
#define MY_ORDERED(places) "SELECT id, " SEEN ", head" SESSION BY_ID " WHERE id IN (" places ") ORDER BY id"
#define MY_HELD(places) MY_ORDERED(places) HOLD
#define MY_HELD_FREE(places) MY_ORDERED(places) HOLD_FREE
#define MY_DELETES(places) "DELETE latchkey_session" SESSION BY_ID " WHERE id IN (" places ")"

static const lk__db_text mariadb = {
    .heads = SIZED(HEADS),
    .wholes = SIZED(WHOLES),
    .lock_one = ONE HOLD,
    .locks = SIZED(MY_HELD),
    .free_locks = SIZED(MY_HELD_FREE),
    .deletes = SIZED(MY_DELETES),
    .lock_turn = "SELECT n FROM latchkey_turn WHERE n = ?" HOLD,
    .touch_many =
        "UPDATE " ROWS " STRAIGHT_JOIN latchkey_session AS s" BY_ID " ON s.id = v.id SET s.seen = v.at"
        " WHERE s.seen < v.at",
    .touch_one = TOUCH_ONE,
    .defer_many =
        "UPDATE " ROWS " STRAIGHT_JOIN latchkey_session AS s" BY_ID " ON s.id = v.id SET s.due = v.at",
    .defer_one = DEFER_ONE,
    .insert = INSERT WITH_OWNER OR_SAME,
    .insert_nobodys = INSERT WITHOUT_OWNER OR_SAME,
    .insert_fence = INSERT AS_FENCE OR_SAME,
    .lease = LEASE HOLD_FREE,
    .estimate = "SELECT table_rows, data_length + index_length FROM information_schema.tables"
                " WHERE table_schema = DATABASE() AND table_name = 'latchkey_session'",
};

const lk__db_text *lk__db_text_of(lk_sql_dialect dialect)
{
    switch (dialect) {
    case LK_SQL_SQLITE:
        return &sqlite;
    case LK_SQL_POSTGRES:
        return &postgres;
    case LK_SQL_MARIADB:
        return &mariadb;
    }
    return NULL;
}
