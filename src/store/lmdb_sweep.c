/* SPDX-License-Identifier: Apache-2.0
 *
 * lmdb_sweep.c - removing what is over, by the expiry index, in small transactions with a budget.
 */
#include "store/lmdb_inner.h"
#include "store/pack.h"
#include <string.h>

#define CHUNK 256 /* rows of one transaction: other writers get their turn in between */

typedef struct sweeping {
    const lk_env *env;
    int64_t now_s;
    int64_t stop_ms; /* on the monotonic clock */
    uint32_t rows_max;
    uint32_t rows; /* looked at */
    uint32_t removed;
} sweeping;

/* The entry that is due first. LK_OK; LK_MISS when none is due at NOW_S; LK_FAULT. */
static lk_status first_due(const lk__lmdb_env *db, MDB_txn *txn, int64_t now_s, lk_view *out)
{
    MDB_val key, value;
    MDB_cursor *cursor;
    lk_status status;

    if (mdb_cursor_open(txn, db->dbs[LK__LMDB_EXPIRY], &cursor) != MDB_SUCCESS)
        return LK_FAULT;
    status = lk__lmdb_status(mdb_cursor_get(cursor, &key, &value, MDB_FIRST));
    mdb_cursor_close(cursor);
    if (status != LK_OK)
        return status == LK_MISS ? LK_MISS : LK_FAULT;
    *out = lk_view_make(key.mv_data, key.mv_size);
    if (out->len < 8)
        return LK_OK; /* no entry of ours: to be removed */
    return now_s >= 0 && lk__get64_ordered(out->p) <= (uint64_t)now_s ? LK_OK : LK_MISS;
}

/* Until when the row is needed. What cannot be read is not. */
static int64_t needed_until_s(const lk__lmdb_row *row, const lk_session_key *key)
{
    lk_session s;

    if (row->is_fence)
        return row->until_s;
    return lk__record_of(row->record, key, &s) == LK_OK ? lk__session_forget_s(&s) : 0;
}

/* A row whose entry is due: removed when it is over, else the entry moves to where its end is now. */
static lk_status sweep_row(lk__lmdb_env *db, MDB_txn *txn, const lk_session_key *key, sweeping *w)
{
    lk__lmdb_row row;
    lk_status status = lk__lmdb_row_get(db, txn, key, &row);
    int64_t until_s;

    if (status == LK_MISS)
        return LK_OK;
    if (status == LK_FAULT)
        return LK_FAULT;
    until_s = needed_until_s(&row, key);
    if (until_s > w->now_s)
        return lk__lmdb_row_defer(db, txn, key, &row, until_s);
    status = lk__lmdb_row_drop(db, txn, key);
    w->removed += status == LK_OK;
    return status;
}

static lk_status sweep_one(lk__lmdb_env *db, MDB_txn *txn, lk_view key, sweeping *w)
{
    uint8_t copy[LK__LMDB_EXPIRY_LEN];
    lk__lmdb_due due;
    lk_status status = LK_OK;

    if (lk__lmdb_due_read(key, &due) != LK_OK)
        return lk__lmdb_delete(db, txn, LK__LMDB_EXPIRY, key);
    memcpy(copy, key.p, sizeof(copy)); /* KEY is in the map and moves with the first write */
    switch (due.kind) {
    case LK__LMDB_OF_ROW:
        status = sweep_row(db, txn, &due.id, w);
        break;
    case LK__LMDB_OF_EVENT:
        status = lk__lmdb_delete(db, txn, LK__LMDB_EVENTS, lk_view_make(due.id.bytes, 8));
        w->removed++;
        break;
    }
    /* Mostly gone by now; an entry that led nowhere goes here, so that each turn of the loop removes one. */
    return status == LK_OK ? lk__lmdb_delete(db, txn, LK__LMDB_EXPIRY, lk_view_make(copy, sizeof(copy)))
                           : status;
}

static lk_status sweep_work(lk__lmdb_env *db, MDB_txn *txn, void *argument)
{
    sweeping *w = argument;
    lk_status status = LK_OK;

    w->rows = w->removed = 0;
    while (status == LK_OK && w->rows < w->rows_max) {
        lk_view key;

        if (w->rows > 0 && w->rows % 32 == 0 && w->env->mono_ms(w->env) >= w->stop_ms)
            break;
        status = first_due(db, txn, w->now_s, &key);
        if (status == LK_MISS)
            return LK_OK;
        if (status == LK_OK)
            status = sweep_one(db, txn, key, w);
        w->rows++;
    }
    return status;
}

/* Is anything due? Asked as a reader: most of the time the answer is no, and no writer was held up for it. */
static lk_status is_due(lk__lmdb_env *db, int64_t now_s)
{
    lk__lmdb_slot *slot;
    lk_view key;
    lk_status status = lk__lmdb_read_begin(db, &slot);

    if (status != LK_OK)
        return status;
    status = first_due(db, slot->txn, now_s, &key);
    lk__lmdb_read_end(slot);
    return status;
}

/* What is to be done now and then: places of killed readers are freed, and in the fast mode the last commit
 * is brought to disk. */
static void keep_house(lk__lmdb_env *db)
{
    MDB_envinfo info;
    int dead;

    (void)mdb_reader_check(db->mdb, &dead);
    if (!db->is_fast)
        return;
    pthread_mutex_lock(&db->write_lock);
    if (mdb_env_info(db->mdb, &info) == MDB_SUCCESS && info.me_last_txnid != db->synced_txn &&
        mdb_env_sync(db->mdb, 1) == MDB_SUCCESS)
        db->synced_txn = info.me_last_txnid;
    pthread_mutex_unlock(&db->write_lock);
}

lk_status lk__lmdb_sweep(lk_store *store, int64_t now_s, uint32_t max_rows, uint32_t max_ms,
                         uint32_t *removed)
{
    lk__lmdb_env *db = ((lk__lmdb *)store)->db;
    const lk_env *env = store->env;
    sweeping w = {.env = env, .now_s = now_s, .stop_ms = env->mono_ms(env) + max_ms};
    uint32_t rows = 0;

    *removed = 0;
    keep_house(db);
    for (;;) {
        lk_status status = is_due(db, now_s);

        if (status != LK_OK)
            return status == LK_MISS ? LK_OK : status;
        if (rows >= max_rows || (rows > 0 && env->mono_ms(env) >= w.stop_ms))
            return LK_FULL;
        w.rows_max = max_rows - rows < CHUNK ? max_rows - rows : CHUNK;
        status = lk__lmdb_write(db, sweep_work, &w);
        if (status != LK_OK)
            return LK_FAULT;
        rows += w.rows;
        *removed += w.removed;
    }
}
