/* SPDX-License-Identifier: Apache-2.0
 *
 * lmdb_user.c - the index by user: trimming it, and keeping a user to his number of sessions.
 */
#include "store/lmdb_inner.h"
#include <string.h>

#define TRIMMED_MAX 8 /* entries looked at by each create of the user */

typedef struct user_walk {
    MDB_cursor *cursor;
    uint8_t prefix[LK__LMDB_USER_MAX];
    size_t prefix_len;
    MDB_val key, value;
} user_walk;

/* Begin a walk over the entries of S's user, at the first whose key is not below FROM (NULL: the first of
 * all). */
static int walk_begin(const lk__lmdb_env *db, MDB_txn *txn, const lk_session *s, const lk_session_key *from,
                      user_walk *w)
{
    lk_buf prefix = lk_buf_over(w->prefix, sizeof(w->prefix));
    int error;

    lk__lmdb_user_prefix(s->realm, s->user, &prefix);
    w->prefix_len = prefix.len;
    if (from != NULL)
        lk_buf_add(&prefix, lk_view_make(from->bytes, sizeof(from->bytes)));
    w->key = (MDB_val){.mv_size = prefix.len, .mv_data = w->prefix};
    error = mdb_cursor_open(txn, db->dbs[LK__LMDB_USERS], &w->cursor);
    if (error != MDB_SUCCESS)
        return error;
    error = mdb_cursor_get(w->cursor, &w->key, &w->value, MDB_SET_RANGE);
    if (error != MDB_SUCCESS) {
        mdb_cursor_close(w->cursor);
        w->cursor = NULL;
    }
    return error;
}

/* Is the walk still at an entry of the user? Then *key is its session. */
static bool walk_at(const user_walk *w, lk_session_key *key)
{
    const uint8_t *p = w->key.mv_data;

    if (w->key.mv_size != w->prefix_len + sizeof(key->bytes) || memcmp(p, w->prefix, w->prefix_len) != 0)
        return false;
    memcpy(key->bytes, p + w->prefix_len, sizeof(key->bytes));
    return true;
}

/* Look at a few entries of S's user from S's own key on - keys are random, so every entry's turn comes - and
 * remove those that lead nowhere or to a session that is over. Listing stays O(page) even if nobody ever
 * sweeps. */
lk_status lk__lmdb_user_trim(lk__lmdb_env *db, MDB_txn *txn, const lk_session *s, int64_t now_s)
{
    lk_session_key found[TRIMMED_MAX];
    size_t n = 0;
    user_walk w;
    lk_status status = LK_OK;
    int error = walk_begin(db, txn, s, &s->key, &w);

    while (error == MDB_SUCCESS && n < TRIMMED_MAX && walk_at(&w, &found[n])) {
        if (memcmp(&found[n], &s->key, sizeof(s->key)) != 0)
            n++;
        error = mdb_cursor_get(w.cursor, &w.key, &w.value, MDB_NEXT);
    }
    if (w.cursor != NULL)
        mdb_cursor_close(w.cursor);
    if (error != MDB_SUCCESS && error != MDB_NOTFOUND)
        return LK_FAULT;
    for (size_t i = 0; i < n && status == LK_OK; i++) {
        lk__lmdb_row row;
        lk_session other;

        status = lk__lmdb_row_get(db, txn, &found[i], &row);
        if (status == LK_OK && lk_record_read(row.record, &other) == LK_OK &&
            now_s >= lk__session_forget_s(&other)) {
            status = lk__lmdb_row_drop(db, txn, &found[i]);
        } else if (status == LK_MISS || row.is_fence) {
            memcpy(w.prefix + w.prefix_len, found[i].bytes, sizeof(found[i].bytes));
            status = lk__lmdb_delete(db, txn, LK__LMDB_USERS,
                                     lk_view_make(w.prefix, w.prefix_len + sizeof(found[i].bytes)));
        } else if (status == LK_STALE) {
            status = LK_OK;
        }
    }
    return status;
}

static lk_status gather(const lk__lmdb_env *db, MDB_txn *txn, int64_t now_s, lk__candidates *out)
{
    const lk_session *s = out->newest;
    user_walk w;
    lk_session_key key;
    lk_status status = LK_OK;
    int error = walk_begin(db, txn, s, NULL, &w);

    while (error == MDB_SUCCESS && status == LK_OK && walk_at(&w, &key)) {
        lk__lmdb_row row;
        lk_session other;

        status = lk__lmdb_row_get(db, txn, &key, &row);
        if (status == LK_OK && lk__record_of(row.record, &key, &other) == LK_OK &&
            lk__session_is_listed(&other, now_s) && memcmp(&key, &s->key, sizeof(key)) != 0)
            status = lk__candidates_add(out, &other);
        if (status != LK_FAULT)
            status = LK_OK;
        error = mdb_cursor_get(w.cursor, &w.key, &w.value, MDB_NEXT);
    }
    if (w.cursor != NULL)
        mdb_cursor_close(w.cursor);
    return error == MDB_SUCCESS || error == MDB_NOTFOUND ? status : LK_FAULT;
}

lk_status lk__lmdb_user_limit(lk__lmdb_env *db, MDB_txn *txn, const lk_session *s, const lk_limit *limit,
                              int64_t now_s, uint32_t *ended, bool *refused)
{
    lk__candidates found = {.env = db->env, .newest = s};
    size_t n = 0;
    lk_status status = gather(db, txn, now_s, &found);

    if (status == LK_OK) {
        status = lk__candidates_choose(&found, limit, &n);
        *refused = status == LK_FULL;
    }
    for (size_t i = 0; i < n && status == LK_OK; i++) {
        status = lk__lmdb_row_end(db, txn, &found.at[i].key, LK_REASON_REPLACED, limit->fence_s);
        ++*ended;
    }
    lk__candidates_free(&found);
    return status;
}
