/* SPDX-License-Identifier: Apache-2.0
 *
 * lmdb_events.c - the ordered stream of cut-offs.
 *
 * The number of the newest one is asked for on every request. LMDB keeps the number of the newest transaction
 * in its map, for every process to see: while that stands still nothing was appended, and no look-up is
 * needed.
 */
#include "store/lmdb_inner.h"
#include "store/pack.h"
#include <string.h>

static lk_status read_seq(const lk__lmdb_env *db, MDB_txn *txn, uint64_t *seq)
{
    lk_view value;
    lk_status status = lk__lmdb_get(db, txn, LK__LMDB_META, LK_VIEW("seq"), &value);

    *seq = 0;
    if (status == LK_MISS)
        return LK_OK;
    if (status == LK_OK && value.len != 8)
        return LK_FAULT;
    if (status == LK_OK)
        *seq = lk__get64(value.p);
    return status;
}

static lk_status append_work(lk__lmdb_env *db, MDB_txn *txn, void *argument)
{
    uint8_t room[LK_CUTOFF_BYTES_MAX], key[8], number[8], due_key[LK__LMDB_EXPIRY_LEN];
    lk_buf bytes = lk_buf_over(room, sizeof(room));
    lk_cutoff *c = argument;
    lk__lmdb_due due = {.at_s = c->until_s, .kind = LK__LMDB_OF_EVENT};
    uint64_t seq;
    lk_status status = lk__cutoff_write(c, &bytes);

    if (status == LK_OK)
        status = read_seq(db, txn, &seq);
    if (status != LK_OK)
        return status;
    c->seq = seq + 1;
    lk__put64(number, c->seq);
    lk__put64_ordered(key, c->seq);
    memcpy(due.id.bytes, key, sizeof(key));
    lk__lmdb_due_write(&due, due_key);
    status = lk__lmdb_put(db, txn, LK__LMDB_EVENTS, lk_view_make(key, sizeof(key)), lk_buf_view(&bytes));
    if (status == LK_OK)
        status = lk__lmdb_put(db, txn, LK__LMDB_EXPIRY, lk_view_make(due_key, sizeof(due_key)), (lk_view){0});
    if (status == LK_OK)
        status = lk__lmdb_put(db, txn, LK__LMDB_META, LK_VIEW("seq"), lk_view_make(number, sizeof(number)));
    return status;
}

lk_status lk__lmdb_cutoff_append(lk_store *store, lk_cutoff *c)
{
    lk_cutoff appended = *c;
    lk_status status = lk__lmdb_write(((lk__lmdb *)store)->db, append_work, &appended);

    c->seq = status == LK_OK ? appended.seq : 0;
    return status;
}

/* Both numbers only ever grow, whichever thread comes last. */
static void raise_to(_Atomic uint64_t *number, uint64_t to)
{
    uint64_t there = atomic_load(number);

    while (there < to && !atomic_compare_exchange_weak(number, &there, to))
        ;
}

/* Look the number up in a snapshot, and remember which one that was. The event number goes first: who sees
 * the number of the transaction sees the event number that belongs to it. */
static void learn_seq(lk__lmdb_env *db)
{
    lk__lmdb_slot *slot;
    uint64_t seq;

    if (lk__lmdb_read_begin(db, &slot) != LK_OK)
        return;
    if (read_seq(db, slot->txn, &seq) == LK_OK) {
        raise_to(&db->known_seq, seq);
        raise_to(&db->known_txn, mdb_txn_id(slot->txn));
    }
    lk__lmdb_read_end(slot);
}

lk_status lk__lmdb_event_seq(lk_store *store, uint64_t *seq)
{
    lk__lmdb_env *db = ((lk__lmdb *)store)->db;
    lk__lmdb_slot *slot = lk__lmdb_slot_take(db); /* the map must stay where it is while we look into it */
    MDB_envinfo info;
    bool is_known =
        mdb_env_info(db->mdb, &info) == MDB_SUCCESS && info.me_last_txnid <= atomic_load(&db->known_txn);

    lk__lmdb_slot_give(slot);
    if (!is_known)
        learn_seq(db);
    *seq = atomic_load(&db->known_seq);
    return LK_OK;
}

/* Any write may have ended a session. LMDB shows the number of a transaction a moment before new snapshots
 * have what it wrote: only one that a snapshot has had says that all later ones have it too. */
lk_status lk__lmdb_mark(lk_store *store, uint64_t *mark)
{
    lk__lmdb_env *db = ((lk__lmdb *)store)->db;
    lk__lmdb_slot *slot = lk__lmdb_slot_take(db);
    MDB_envinfo info;
    bool is_seen =
        mdb_env_info(db->mdb, &info) == MDB_SUCCESS && info.me_last_txnid == atomic_load(&db->known_txn);

    lk__lmdb_slot_give(slot);
    *mark = is_seen ? info.me_last_txnid : 0;
    return is_seen ? LK_OK : LK_MISS;
}

static lk_status read_events(const lk__lmdb_env *db, MDB_cursor *cursor, uint64_t after, lk_event *out,
                             size_t *n)
{
    uint8_t first[8];
    MDB_val key = {.mv_size = sizeof(first), .mv_data = first}, value;
    size_t cap = *n;
    lk_status status;

    (void)db;
    *n = 0;
    lk__put64_ordered(first, after + 1);
    status = lk__lmdb_status(mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE));
    while (status == LK_OK && *n < cap) {
        if (key.mv_size != 8 ||
            lk__cutoff_read(lk_view_make(value.mv_data, value.mv_size), &out[*n].cutoff) != LK_OK)
            return LK_FAULT;
        out[*n].kind = LK_EVENT_CUTOFF;
        out[*n].seq = out[*n].cutoff.seq = lk__get64_ordered(key.mv_data);
        ++*n;
        status = lk__lmdb_status(mdb_cursor_get(cursor, &key, &value, MDB_NEXT));
    }
    return status == LK_OK || status == LK_MISS ? LK_OK : LK_FAULT;
}

lk_status lk__lmdb_events_since(lk_store *store, uint64_t after, lk_event *out, size_t *n)
{
    lk__lmdb_env *db = ((lk__lmdb *)store)->db;
    lk__lmdb_slot *slot;
    MDB_cursor *cursor;
    lk_status status = after == UINT64_MAX ? LK_MISS : lk__lmdb_read_begin(db, &slot);

    if (status != LK_OK) {
        *n = 0;
        return status == LK_MISS ? LK_OK : status;
    }
    if (mdb_cursor_open(slot->txn, db->dbs[LK__LMDB_EVENTS], &cursor) == MDB_SUCCESS) {
        status = read_events(db, cursor, after, out, n);
        mdb_cursor_close(cursor);
    } else {
        *n = 0;
        status = LK_FAULT;
    }
    lk__lmdb_read_end(slot);
    return status;
}
