/* SPDX-License-Identifier: Apache-2.0
 *
 * lmdb_row.c - a session or the fence of one, with its index entries, as one; the keys of the databases.
 *
 * A row is 8 bytes of due time, then a session record, or a zero byte and a fence: no record begins with
 * zero. A fence lies where its session lay, so that ending a session takes no room that it does not have
 * already.
 *
 * The expiry index is lazy: a touch moves the end of a session but not its entry, which would cost four
 * writes for one. The entry says "look here then, not before"; the sweep looks and, finding it alive, moves
 * the entry. So each row tells under which time it stands in the index.
 */
#include "store/lmdb_inner.h"
#include "store/pack.h"
#include <string.h>

#define DUE_LEN 8
#define FENCE_MARK 0x00

static MDB_val as_val(lk_view v)
{
    return (MDB_val){.mv_size = v.len, .mv_data = (void *)(uintptr_t)v.p};
}

static lk_view key_view(const lk_session_key *key)
{
    return lk_view_make(key->bytes, sizeof(key->bytes));
}

lk_status lk__lmdb_get(const lk__lmdb_env *db, MDB_txn *txn, lk__lmdb_name name, lk_view key, lk_view *value)
{
    MDB_val k = as_val(key), v;
    lk_status status = lk__lmdb_status(mdb_get(txn, db->dbs[name], &k, &v));

    if (status == LK_OK)
        *value = lk_view_make(v.mv_data, v.mv_size);
    return status == LK_FULL ? LK_FAULT : status;
}

lk_status lk__lmdb_put(const lk__lmdb_env *db, MDB_txn *txn, lk__lmdb_name name, lk_view key, lk_view value)
{
    MDB_val k = as_val(key), v = as_val(value);
    lk_status status = lk__lmdb_status(mdb_put(txn, db->dbs[name], &k, &v, 0));

    return status == LK_MISS ? LK_FAULT : status;
}

lk_status lk__lmdb_delete(const lk__lmdb_env *db, MDB_txn *txn, lk__lmdb_name name, lk_view key)
{
    MDB_val k = as_val(key);
    lk_status status = lk__lmdb_status(mdb_del(txn, db->dbs[name], &k, NULL));

    return status == LK_MISS ? LK_OK : status;
}

void lk__lmdb_user_prefix(lk_view realm, lk_view user, lk_buf *out)
{
    lk_buf_add(out, realm);
    lk_buf_add_byte(out, '\0'); /* no realm and no user id holds one: no user's entries lie among another's */
    lk_buf_add(out, user);
    lk_buf_add_byte(out, '\0');
}

void lk__lmdb_due_write(const lk__lmdb_due *due, uint8_t out[LK__LMDB_EXPIRY_LEN])
{
    lk__put64_ordered(out, due->at_s > 0 ? (uint64_t)due->at_s : 0);
    out[8] = (uint8_t)due->kind;
    memcpy(out + 9, due->id.bytes, sizeof(due->id.bytes));
}

lk_status lk__lmdb_due_read(lk_view key, lk__lmdb_due *out)
{
    if (key.len != LK__LMDB_EXPIRY_LEN || key.p[8] < LK__LMDB_OF_ROW || key.p[8] > LK__LMDB_OF_EVENT)
        return LK_STALE;
    out->at_s = (int64_t)lk__get64_ordered(key.p);
    out->kind = (lk__lmdb_kind)key.p[8];
    memcpy(out->id.bytes, key.p + 9, sizeof(out->id.bytes));
    return LK_OK;
}

/* Move the entry of KEY in the expiry index from one time to another; LK__LMDB_NEW: there is none at that
 * end. */
static lk_status move_due(const lk__lmdb_env *db, MDB_txn *txn, const lk_session_key *key, int64_t from_s,
                          int64_t to_s)
{
    lk__lmdb_due due = {.at_s = from_s, .kind = LK__LMDB_OF_ROW, .id = *key};
    uint8_t entry[LK__LMDB_EXPIRY_LEN];
    lk_status status = LK_OK;

    if (from_s == to_s)
        return LK_OK;
    if (from_s != LK__LMDB_NEW) {
        lk__lmdb_due_write(&due, entry);
        status = lk__lmdb_delete(db, txn, LK__LMDB_EXPIRY, lk_view_make(entry, sizeof(entry)));
    }
    if (status == LK_OK && to_s != LK__LMDB_NEW) {
        due.at_s = to_s;
        lk__lmdb_due_write(&due, entry);
        status = lk__lmdb_put(db, txn, LK__LMDB_EXPIRY, lk_view_make(entry, sizeof(entry)), (lk_view){0});
    }
    return status;
}

lk_status lk__lmdb_row_get(const lk__lmdb_env *db, MDB_txn *txn, const lk_session_key *key, lk__lmdb_row *row)
{
    lk_view value;
    lk_status status = lk__lmdb_get(db, txn, LK__LMDB_SESSIONS, key_view(key), &value);

    *row = (lk__lmdb_row){.due_s = LK__LMDB_NEW};
    if (status != LK_OK)
        return status;
    if (value.len <= DUE_LEN)
        return LK_STALE;
    row->due_s = (int64_t)lk__get64(value.p);
    row->record = lk_view_part(value, DUE_LEN, value.len);
    if (row->record.p[0] != FENCE_MARK)
        return LK_OK;
    row->is_fence = true;
    lk__fence_read(lk_view_part(row->record, 1, row->record.len), &row->why, &row->until_s);
    return LK_STALE;
}

/* The key of S's entry among those of its user. LK_MISS when it is nobody's. */
static lk_status user_key(const lk_session *s, lk_buf *out)
{
    if (s->user.len == 0)
        return LK_MISS;
    lk__lmdb_user_prefix(s->realm, s->user, out);
    lk_buf_add(out, key_view(&s->key));
    return out->full ? LK_FAULT : LK_OK;
}

static lk_status put_user(const lk__lmdb_env *db, MDB_txn *txn, const lk_session *s)
{
    uint8_t room[LK__LMDB_USER_MAX];
    lk_buf key = lk_buf_over(room, sizeof(room));
    lk_status status = user_key(s, &key);

    if (status == LK_OK)
        status = lk__lmdb_put(db, txn, LK__LMDB_USERS, lk_buf_view(&key), (lk_view){0});
    return status == LK_MISS ? LK_OK : status;
}

/* Write a row, and move its entry in the expiry index if that is due at another time than before. */
static lk_status put_row(const lk__lmdb_env *db, MDB_txn *txn, const lk_session_key *key, lk_view content,
                         int64_t due_before_s, int64_t due_s)
{
    uint8_t value[DUE_LEN + LK_RECORD_MAX];
    lk_status status;

    if (content.len > LK_RECORD_MAX)
        return LK_FULL;
    lk__put64(value, (uint64_t)due_s);
    memcpy(value + DUE_LEN, content.p, content.len);
    status =
        lk__lmdb_put(db, txn, LK__LMDB_SESSIONS, key_view(key), lk_view_make(value, DUE_LEN + content.len));
    return status == LK_OK ? move_due(db, txn, key, due_before_s, due_s) : status;
}

lk_status lk__lmdb_row_put(const lk__lmdb_env *db, MDB_txn *txn, const lk_session *s, lk_view record,
                           int64_t due_before_s, int64_t due_s)
{
    lk_status status = put_row(db, txn, &s->key, record, due_before_s, due_s);

    if (status == LK_OK && due_before_s == LK__LMDB_NEW)
        status = put_user(db, txn, s);
    return status;
}

static lk_status drop_user(const lk__lmdb_env *db, MDB_txn *txn, const lk_session *s)
{
    uint8_t room[LK__LMDB_USER_MAX];
    lk_buf key = lk_buf_over(room, sizeof(room));
    lk_status status = user_key(s, &key);

    if (status == LK_OK)
        status = lk__lmdb_delete(db, txn, LK__LMDB_USERS, lk_buf_view(&key));
    return status == LK_MISS ? LK_OK : status;
}

lk_status lk__lmdb_fences(const lk__lmdb_env *db, MDB_txn *txn, uint64_t *n)
{
    lk_view value;
    lk_status status = lk__lmdb_get(db, txn, LK__LMDB_META, LK_VIEW("fences"), &value);

    *n = status == LK_OK && value.len == 8 ? lk__get64(value.p) : 0;
    return status == LK_MISS ? LK_OK : status;
}

static lk_status count_fence(const lk__lmdb_env *db, MDB_txn *txn, bool is_more)
{
    uint8_t number[8];
    uint64_t n;
    lk_status status = lk__lmdb_fences(db, txn, &n);

    if (is_more)
        n++;
    else if (n > 0)
        n--;
    lk__put64(number, n);
    return status == LK_OK
               ? lk__lmdb_put(db, txn, LK__LMDB_META, LK_VIEW("fences"), lk_view_make(number, sizeof(number)))
               : status;
}

/* Remove the entry of ROW among those of its user. Of a record that cannot be read the owner is unknown; its
 * entry leads nowhere from now on, and the next write to that user trims it. */
static lk_status drop_owner(const lk__lmdb_env *db, MDB_txn *txn, const lk__lmdb_row *row)
{
    lk_session s;

    if (row->is_fence || lk_record_read(row->record, &s) != LK_OK)
        return LK_OK;
    return drop_user(db, txn, &s);
}

lk_status lk__lmdb_row_drop(const lk__lmdb_env *db, MDB_txn *txn, const lk_session_key *key)
{
    lk__lmdb_row row;
    lk_status status = lk__lmdb_row_get(db, txn, key, &row);

    if (status != LK_OK && status != LK_STALE)
        return status;
    status = drop_owner(db, txn, &row);
    if (status == LK_OK && row.is_fence)
        status = count_fence(db, txn, false);
    if (status == LK_OK)
        status = move_due(db, txn, key, row.due_s, LK__LMDB_NEW);
    if (status == LK_OK)
        status = lk__lmdb_delete(db, txn, LK__LMDB_SESSIONS, key_view(key));
    return status;
}

lk_status lk__lmdb_row_end(const lk__lmdb_env *db, MDB_txn *txn, const lk_session_key *key, lk_reason reason,
                           int64_t until_s)
{
    uint8_t room[1 + LK_FENCE_MAX] = {FENCE_MARK};
    lk_buf fence = lk_buf_over(room + 1, LK_FENCE_MAX);
    lk__lmdb_row row;
    lk_status status = lk__lmdb_row_get(db, txn, key, &row);

    if (status == LK_FAULT || (row.is_fence && row.until_s >= until_s))
        return status == LK_FAULT ? LK_FAULT : LK_OK;
    status = lk__fence_write(row.is_fence ? row.why : reason, until_s, &fence);
    if (status == LK_OK)
        status = drop_owner(db, txn, &row);
    if (status == LK_OK && !row.is_fence)
        status = count_fence(db, txn, true);
    /* The entry of the session serves the fence, unless it would keep it for much too long. */
    if (status == LK_OK)
        status = put_row(db, txn, key, lk_view_make(room, 1 + fence.len), row.due_s,
                         row.due_s != LK__LMDB_NEW && row.due_s <= until_s ? row.due_s : until_s);
    return status;
}

lk_status lk__lmdb_row_defer(const lk__lmdb_env *db, MDB_txn *txn, const lk_session_key *key,
                             const lk__lmdb_row *row, int64_t due_s)
{
    uint8_t room[LK_RECORD_MAX];

    if (row->record.len > sizeof(room))
        return LK_FAULT;
    memcpy(room, row->record.p, row->record.len);
    return put_row(db, txn, key, lk_view_make(room, row->record.len), row->due_s, due_s);
}
