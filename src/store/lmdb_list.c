/* SPDX-License-Identifier: Apache-2.0
 *
 * lmdb_list.c - listing, a page at a time.
 *
 * Entries come in the order of their keys. The cursor is the first 8 bytes of the key that comes next, as a
 * number, and a page only ends where those change, so that none is left out and none comes twice even if two
 * keys begin alike. One entry is read at a time and the reader's place given back before it is handed on: who
 * receives it may use the store.
 */
#include "store/lmdb_inner.h"
#include "store/pack.h"
#include <string.h>

typedef struct walk {
    lk__lmdb_env *db;
    lk__lmdb_name name;            /* LK__LMDB_USERS or LK__LMDB_SESSIONS */
    uint8_t at[LK__LMDB_USER_MAX]; /* prefix and the lowest key that may come next */
    size_t prefix_len;
    bool is_over;
    /* the entry found */
    bool is_found, is_readable;
    uint64_t begins; /* the first 8 bytes of its key */
    uint8_t head[LK_HEAD_MAX];
    lk_session s;
} walk;

static void walk_from(walk *w, uint64_t cursor)
{
    uint8_t *key = w->at + w->prefix_len;

    memset(key, 0, LK_SESSION_KEY_LEN);
    lk__put64_ordered(key, cursor);
}

/* The key that comes next lies above KEY. */
static void step_over(walk *w, const uint8_t *key)
{
    uint8_t *next = w->at + w->prefix_len;
    size_t i = LK_SESSION_KEY_LEN;

    memcpy(next, key, LK_SESSION_KEY_LEN);
    while (i > 0 && ++next[i - 1] == 0)
        i--;
    w->is_over = i == 0;
}

/* Copy the head of the session that the entry KEY, VALUE leads to. */
static lk_status read_entry(walk *w, MDB_txn *txn, const uint8_t *key)
{
    lk_session_key session_key;
    lk__lmdb_row row;
    size_t head_len;
    lk_status status;

    memcpy(session_key.bytes, key, sizeof(session_key.bytes));
    status = lk__lmdb_row_get(w->db, txn, &session_key, &row);
    w->is_readable = false;
    if (status != LK_OK)
        return status == LK_FAULT ? LK_FAULT : LK_OK;
    head_len = lk_record_head_len(row.record);
    if (head_len == 0 || head_len > sizeof(w->head))
        return LK_OK;
    memcpy(w->head, row.record.p, head_len);
    w->is_readable = lk__record_of(lk_view_make(w->head, head_len), &session_key, &w->s) == LK_OK;
    return LK_OK;
}

/* The first entry from w->at on. Among the sessions lie the names of the other databases: keys of another
 * length. */
static int seek(const walk *w, MDB_cursor *cursor, MDB_val *key, MDB_val *value)
{
    int error;

    *key = (MDB_val){.mv_size = w->prefix_len + LK_SESSION_KEY_LEN, .mv_data = (void *)(uintptr_t)w->at};
    error = mdb_cursor_get(cursor, key, value, MDB_SET_RANGE);
    while (error == MDB_SUCCESS && w->name == LK__LMDB_SESSIONS && key->mv_size != LK_SESSION_KEY_LEN)
        error = mdb_cursor_get(cursor, key, value, MDB_NEXT);
    return error;
}

static lk_status find_in(walk *w, MDB_txn *txn)
{
    MDB_val key, value;
    MDB_cursor *cursor;
    const uint8_t *session_key;
    lk_status status = lk__lmdb_status(mdb_cursor_open(txn, w->db->dbs[w->name], &cursor));

    if (status != LK_OK)
        return LK_FAULT;
    status = lk__lmdb_status(seek(w, cursor, &key, &value));
    mdb_cursor_close(cursor);
    if (status == LK_MISS)
        return LK_OK;
    if (status != LK_OK)
        return LK_FAULT;
    if (key.mv_size != w->prefix_len + LK_SESSION_KEY_LEN || memcmp(key.mv_data, w->at, w->prefix_len) != 0)
        return LK_OK;
    w->is_found = true;
    session_key = (const uint8_t *)key.mv_data + w->prefix_len;
    w->begins = lk__get64_ordered(session_key);
    status = read_entry(w, txn, session_key);
    step_over(w, session_key);
    return status;
}

/* Find the next entry. LK_OK with is_found false at the end; LK_FAULT. */
static lk_status find_next(walk *w)
{
    lk__lmdb_slot *slot;
    lk_status status;

    w->is_found = false;
    if (w->is_over)
        return LK_OK;
    status = lk__lmdb_read_begin(w->db, &slot);
    if (status != LK_OK)
        return status;
    status = find_in(w, slot->txn);
    lk__lmdb_read_end(slot);
    return status;
}

static lk_status list_page(walk *w, uint64_t *cursor, uint32_t page, int64_t now_s, lk_session_each each,
                           void *context)
{
    uint64_t last = 0;

    walk_from(w, *cursor);
    for (uint32_t visited = 0;; visited++) {
        lk_status status = find_next(w);

        if (status != LK_OK)
            return status;
        if (!w->is_found) {
            *cursor = 0;
            return LK_OK;
        }
        if (visited >= page && w->begins != last) {
            *cursor = w->begins; /* not 0: it is above the one before */
            return LK_OK;
        }
        last = w->begins;
        if (w->is_readable && lk__session_is_listed(&w->s, now_s) && !each(context, &w->s)) {
            *cursor = last + 1; /* past the last possible key it is 0: the end */
            return LK_OK;
        }
    }
}

lk_status lk__lmdb_list_by_user(lk_store *store, lk_view realm, lk_view user, uint64_t *cursor, uint32_t page,
                                lk_session_each each, void *context)
{
    walk w = {.db = ((lk__lmdb *)store)->db, .name = LK__LMDB_USERS};
    lk_buf prefix = lk_buf_over(w.at, sizeof(w.at) - LK_SESSION_KEY_LEN);

    lk__lmdb_user_prefix(realm, user, &prefix);
    w.prefix_len = prefix.len;
    return list_page(&w, cursor, page, lk_now_s(store->env), each, context);
}

lk_status lk__lmdb_list(lk_store *store, uint64_t *cursor, uint32_t page, lk_session_each each, void *context)
{
    walk w = {.db = ((lk__lmdb *)store)->db, .name = LK__LMDB_SESSIONS};

    return list_page(&w, cursor, page, lk_now_s(store->env), each, context);
}
