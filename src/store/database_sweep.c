/* SPDX-License-Identifier: Apache-2.0
 *
 * database_sweep.c - removing what is over, by the index on `due`, in small transactions with a budget.
 *
 * `due` says when to look, not when to remove: a touch moves the end of a session and leaves its entry in the
 * index where it is, which would cost more than the touch. The sweep looks and, finding the session alive,
 * moves the entry.
 *
 * One node of the cluster sweeps at a time: whoever holds the row of latchkey_lease, for one transaction. The
 * lock goes with its connection, so that a node that dies leaves nothing behind.
 */
#include "store/database.h"
#include <string.h>

static void judge(lk__db *db, const lk__db_row *row, int64_t now_s, lk__db_judged *out)
{
    uint8_t head[LK_HEAD_MAX];
    int64_t until_s = 0; /* what cannot be read is not needed */
    lk_session s;

    if (row->is_fence)
        until_s = row->until_s;
    else if (lk__db_row_session(db, row, head, sizeof(head), &s) == LK_OK)
        until_s = lk__session_forget_s(&s);
    if (until_s <= now_s) {
        out->over[out->over_n++] = row->id;
    } else {
        out->later_s[out->later_n] = until_s;
        out->later[out->later_n++] = row->id;
    }
}

lk_status lk__db_judge_all(lk__db_tx *tx, const lk_session_key *ids, size_t n, int64_t now_s,
                           lk__db_judged *out)
{
    lk_sql_query *q;
    lk_status status;

    out->over_n = out->later_n = 0;
    if (n == 0)
        return LK_OK;
    status = lk__db_ask_ids(tx->link, tx->db->text->free_locks, ids, n, &q);
    while (status == LK_OK && (status = lk_sql_step(q)) == LK_OK) {
        lk__db_row row;

        (void)!lk__db_row_read(q, false, &row);
        judge(tx->db, &row, now_s, out);
    }
    return status == LK_MISS ? LK_OK : status;
}

static lk_status remove_over(lk__db_tx *tx, const lk__db_judged *judged)
{
    lk_sql_query *q;
    lk_status status;

    if (judged->over_n == 0)
        return LK_OK;
    status = lk__db_ask_ids(tx->link, tx->db->text->deletes, judged->over, judged->over_n, &q);
    return status == LK_OK ? lk_sql_run(q, NULL) : status;
}

lk_status lk__db_clear(lk__db_tx *tx, const lk__db_judged *judged)
{
    lk__db_pairs later = {.many = tx->db->text->defer_many, .one = tx->db->text->defer_one};
    lk_status status = remove_over(tx, judged);

    for (size_t i = 0; i < judged->later_n; i++)
        lk__db_pairs_add(&later, &judged->later[i], lk__db_time(judged->later_s[i]));
    return status == LK_OK ? lk__db_pairs_run(tx, &later) : status;
}

typedef struct sweeping {
    int64_t now_s;
    uint32_t rows_max;
    uint32_t rows, removed; /* of this transaction */
    bool is_elsewhere;      /* another node sweeps */
} sweeping;

/* Hold the lease until the transaction ends. */
static lk_status take_lease(lk__db_tx *tx, sweeping *w)
{
    lk_sql_query *q;
    lk_status status = lk_sql_prepare(tx->link, tx->db->text->lease, &q);

    if (status == LK_OK)
        status = lk_sql_step(q);
    if (status == LK_OK)
        lk_sql_reset(q);
    w->is_elsewhere = status == LK_MISS;
    return status;
}

/* Found by the index on `due` without a lock, and locked by the index on `id` as by everybody: two ways to
 * one row would be two orders of locks. */
static lk_status find_due(lk__db_tx *tx, const sweeping *w, lk_session_key *ids, size_t *n)
{
    static const char text[] = "SELECT id FROM latchkey_session WHERE due <= ? ORDER BY due LIMIT ?";
    uint32_t most = w->rows_max < LK__DB_BATCH ? w->rows_max : LK__DB_BATCH;
    lk_sql_query *q;
    lk_status status = lk_sql_ask(
        tx->link, text, LK_SQL_VALUES(lk_sql_of_i64(lk__db_time(w->now_s)), lk_sql_of_i64(most)), &q);

    *n = 0;
    while (status == LK_OK && (status = lk_sql_step(q)) == LK_OK) {
        lk_view id = lk_sql_bytes(q, 0);

        if (id.len == sizeof(ids->bytes) && *n < LK__DB_BATCH)
            memcpy(ids[(*n)++].bytes, id.p, id.len);
    }
    return status == LK_MISS ? LK_OK : status;
}

static lk_status sweep_sessions(lk__db_tx *tx, sweeping *w)
{
    lk_session_key ids[LK__DB_BATCH];
    lk__db_judged judged;
    size_t n;
    lk_status status = find_due(tx, w, ids, &n);

    if (status == LK_OK)
        status = lk__db_judge_all(tx, ids, n, w->now_s, &judged);
    if (status == LK_OK)
        status = lk__db_clear(tx, &judged);
    if (status != LK_OK)
        return status;
    w->rows += (uint32_t)(judged.over_n + judged.later_n);
    w->removed += (uint32_t)judged.over_n;
    return LK_OK;
}

/* Events whose time is over, but for the newest: it says where the stream ends. */
static lk_status sweep_events(lk__db_tx *tx, sweeping *w)
{
    static const char aged[] =
        "DELETE FROM latchkey_event WHERE seq IN (SELECT seq FROM (SELECT seq FROM latchkey_event"
        " WHERE due <= ? AND seq < ? ORDER BY due LIMIT ?) AS old)";
    static const char beyond[] =
        "DELETE FROM latchkey_event WHERE seq IN (SELECT seq FROM (SELECT seq FROM latchkey_event"
        " WHERE kind = ? AND seq < ? ORDER BY seq LIMIT ?) AS old)";
    lk_sql_value most = lk_sql_of_i64(w->rows_max - w->rows);
    uint64_t n = 0, more = 0;
    lk__db_place newest;
    lk_status status;

    if (w->rows == w->rows_max)
        return LK_OK;
    status = lk__db_newest(tx->link, &newest);
    if (status == LK_OK)
        status = lk_sql_do(
            tx->link, aged,
            LK_SQL_VALUES(lk_sql_of_i64(lk__db_time(w->now_s)), lk_sql_of_i64((int64_t)newest.seq), most),
            &n);
    if (status == LK_OK && newest.seq > LK__DB_EVENTS_MAX && n == 0)
        status = lk_sql_do(tx->link, beyond,
                           LK_SQL_VALUES(lk_sql_of_i64(LK__DB_ENDED),
                                         lk_sql_of_i64((int64_t)(newest.seq - LK__DB_EVENTS_MAX)), most),
                           &more);
    w->rows += (uint32_t)(n + more);
    w->removed += (uint32_t)(n + more);
    return status;
}

static lk_status note_sweep(lk__db_tx *tx, const sweeping *w)
{
    static const char text[] =
        "UPDATE latchkey_lease SET swept_s = ?, removed = removed + ? WHERE name = 'sweep'";

    return lk_sql_do(tx->link, text, LK_SQL_VALUES(lk_sql_of_i64(w->now_s), lk_sql_of_i64(w->removed)), NULL);
}

static lk_status sweep_work(lk__db_tx *tx, void *argument)
{
    sweeping *w = argument;
    lk_status status = take_lease(tx, w);

    w->rows = w->removed = 0;
    if (status == LK_OK)
        status = sweep_sessions(tx, w);
    if (status == LK_OK)
        status = sweep_events(tx, w);
    return status == LK_OK && w->removed > 0 ? note_sweep(tx, w) : status;
}

/* One write that is waited for takes all before it along to the disk. */
static lk_status bring_to_disk(lk__db_tx *tx, void *argument)
{
    return note_sweep(tx, argument);
}

/* ---- is there anything to do? Asked without a lock: most of the time there is not. ---- */

static lk_status is_session_due(lk_sql_link *link, int64_t now_s)
{
    static const char text[] = "SELECT due FROM latchkey_session ORDER BY due LIMIT 1";
    lk_sql_query *q;
    lk_status status = lk_sql_prepare(link, text, &q);

    if (status == LK_OK)
        status = lk_sql_step(q);
    if (status != LK_OK)
        return status;
    status = lk_sql_i64(q, 0) <= lk__db_time(now_s) ? LK_OK : LK_MISS;
    lk_sql_reset(q);
    return status;
}

/* Of the two events that are due first, one is not the newest, which stays. */
static lk_status is_event_due(lk_sql_link *link, int64_t now_s, uint64_t newest)
{
    static const char text[] = "SELECT seq, due FROM latchkey_event ORDER BY due LIMIT 2";
    lk_sql_query *q;
    lk_status status = lk_sql_prepare(link, text, &q);
    bool is_due = false;

    while (status == LK_OK && (status = lk_sql_step(q)) == LK_OK)
        is_due = is_due || ((uint64_t)lk_sql_i64(q, 0) < newest && lk_sql_i64(q, 1) <= lk__db_time(now_s));
    return status == LK_MISS && is_due ? LK_OK : status;
}

static lk_status is_event_beyond(lk_sql_link *link, uint64_t newest)
{
    static const char text[] =
        "SELECT seq FROM latchkey_event WHERE kind = ? AND seq < ? ORDER BY seq LIMIT 1";
    lk_sql_query *q;
    lk_status status;

    if (newest <= LK__DB_EVENTS_MAX)
        return LK_MISS;
    status = lk_sql_ask(
        link, text,
        LK_SQL_VALUES(lk_sql_of_i64(LK__DB_ENDED), lk_sql_of_i64((int64_t)(newest - LK__DB_EVENTS_MAX))), &q);
    if (status == LK_OK)
        status = lk_sql_step(q);
    if (status == LK_OK)
        lk_sql_reset(q);
    return status;
}

static lk_status is_due(lk__db *db, int64_t now_s)
{
    lk_sql_link *link;
    lk__db_place newest;
    lk_status status = lk_sql_borrow(db->sql, &link, NULL);

    if (status != LK_OK)
        return LK_FAULT;
    status = is_session_due(link, now_s);
    if (status == LK_MISS) {
        status = lk__db_newest(link, &newest);
        if (status == LK_OK)
            status = is_event_due(link, now_s, newest.seq);
        if (status == LK_MISS)
            status = is_event_beyond(link, newest.seq);
    }
    lk_sql_give_back(link);
    return status == LK_OK || status == LK_MISS ? status : LK_FAULT;
}

lk_status lk__db_sweep(lk_store *store, int64_t now_s, uint32_t max_rows, uint32_t max_ms, uint32_t *removed)
{
    lk__db *db = lk__db_of(store);
    const lk_env *env = store->env;
    int64_t stop_ms = env->mono_ms(env) + max_ms;
    sweeping w = {.now_s = now_s};
    uint32_t rows = 0;

    *removed = 0;
    if (db->durability == LK_SQL_RELAXED &&
        lk__db_write(db, LK_SQL_DURABLE, bring_to_disk, &w, NULL) != LK_OK)
        return LK_FAULT;
    for (;;) {
        lk_status status = is_due(db, now_s);

        if (status != LK_OK)
            return status == LK_MISS ? LK_OK : status;
        if (rows >= max_rows || (rows > 0 && env->mono_ms(env) >= stop_ms))
            return LK_FULL;
        w.rows_max = max_rows - rows;
        status = lk__db_write(db, LK_SQL_RELAXED, sweep_work, &w, NULL);
        if (w.is_elsewhere)
            return LK_OK;
        if (status != LK_OK)
            return LK_FAULT;
        if (w.rows == 0) /* what is due is held by somebody: next time */
            return LK_OK;
        rows += w.rows;
        *removed += w.removed;
    }
}
