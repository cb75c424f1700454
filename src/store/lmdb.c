/* SPDX-License-Identifier: Apache-2.0
 *
 * lmdb.c - the lmdb store: its URL, its handle, and the look-up.
 */
#include "store/lmdb_inner.h"
#include <string.h>

#define MAP_LEN (UINT64_C(16) << 30)
#define MAP_LEN_MIN (UINT64_C(1) << 20)
#define MAP_LEN_MAX (UINT64_C(1) << 44)

static lk_status read_options(const lk_store_url *url, lk__lmdb_options *out, lk_note *note)
{
    lk_view map = lk__store_option(url, "map"), sync = lk__store_option(url, "sync");

    *out = (lk__lmdb_options){.map_len = MAP_LEN};
    if (url->rest.len == 0 || url->rest.len >= LK_STORE_PATH_MAX) {
        lk_note_set(note, "the lmdb store is written lmdb:DIRECTORY, of 1 to %d bytes",
                    LK_STORE_PATH_MAX - 1);
        return LK_REFUSED;
    }
    if (map.len > 0 && (lk_parse_size(map, &out->map_len) != LK_OK || out->map_len < MAP_LEN_MIN ||
                        out->map_len > MAP_LEN_MAX)) {
        lk_note_set(note, "map=%.*s: how large the store may grow, from 1m to 16384g",
                    map.len > 40 ? 40 : (int)map.len, (const char *)map.p);
        return LK_REFUSED;
    }
    out->is_fast = lk_view_equal(sync, LK_VIEW("fast"));
    if (sync.len > 0 && !out->is_fast && !lk_view_equal(sync, LK_VIEW("always"))) {
        lk_note_set(note, "sync=%.*s: always or fast", sync.len > 40 ? 40 : (int)sync.len,
                    (const char *)sync.p);
        return LK_REFUSED;
    }
    return LK_OK;
}

static lk_status check(const lk_store_url *url, lk_note *note)
{
    lk__lmdb_options unused;

    return read_options(url, &unused, note);
}

static lk_status open_lmdb(const lk_env *env, const lk_store_url *url, struct lk_table *table, lk_store **out,
                           lk_note *note)
{
    char path[LK_STORE_PATH_MAX];
    lk__lmdb_options options;
    lk__lmdb *store;
    lk_status status = read_options(url, &options, note);

    (void)table;
    if (status != LK_OK)
        return status;
    memcpy(path, url->rest.p, url->rest.len);
    path[url->rest.len] = '\0';
    store = lk_alloc(env, sizeof(*store));
    if (store == NULL) {
        lk_note_set(note, "out of memory");
        return LK_FAULT;
    }
    store->base = (lk_store){.ops = &lk__store_lmdb, .env = env};
    status = lk__lmdb_env_open(env, path, options, &store->db, note);
    if (status != LK_OK) {
        lk_free(env, store);
        return status;
    }
    *out = &store->base;
    return LK_OK;
}

static void close_lmdb(lk_store *store)
{
    lk__lmdb_env_close(((lk__lmdb *)store)->db);
    lk_free(store->env, store);
}

static lk_status load_one(const lk__lmdb_env *db, MDB_txn *txn, lk_load *load)
{
    lk__lmdb_row row;
    lk_status status = lk__lmdb_row_get(db, txn, &load->key, &row);

    load->why = row.is_fence ? row.why : LK_REASON_NONE;
    if (status != LK_OK)
        return status;
    if (load->head_only)
        row.record.len = lk_record_head_len(row.record);
    if (row.record.len > load->cap)
        return LK_FULL;
    if (row.record.len == 0)
        return LK_STALE;
    memcpy(load->buf, row.record.p, row.record.len);
    return lk__record_of(lk_view_make(load->buf, row.record.len), &load->key, &load->session);
}

static lk_status load_many(lk_store *store, lk_load *loads, size_t n)
{
    const lk__lmdb *s = (const lk__lmdb *)store;
    lk__lmdb_slot *slot;
    lk_status status = lk__lmdb_read_begin(s->db, &slot);

    if (status != LK_OK)
        return LK_FAULT;
    for (size_t i = 0; i < n; i++)
        loads[i].status = load_one(s->db, slot->txn, &loads[i]);
    lk__lmdb_read_end(slot);
    return LK_OK;
}

static lk_status count_in(const lk__lmdb_env *db, MDB_txn *txn, lk_store_count *out)
{
    uint64_t fences;
    lk_status status = lk__lmdb_fences(db, txn, &fences);

    for (unsigned i = 0; i < LK__LMDB_NAMES && status == LK_OK; i++) {
        MDB_stat stat;

        status = lk__lmdb_status(mdb_stat(txn, db->dbs[i], &stat));
        if (status != LK_OK)
            break;
        out->bytes +=
            (uint64_t)stat.ms_psize * (stat.ms_branch_pages + stat.ms_leaf_pages + stat.ms_overflow_pages);
        if (i == LK__LMDB_SESSIONS) /* the names of the other databases are entries too */
            out->sessions = stat.ms_entries - (LK__LMDB_NAMES - 1) - fences;
    }
    return status == LK_OK ? LK_OK : LK_FAULT;
}

static lk_status counts(lk_store *store, lk_store_count *out)
{
    const lk__lmdb *s = (const lk__lmdb *)store;
    lk__lmdb_slot *slot;
    lk_status status = lk__lmdb_read_begin(s->db, &slot);

    memset(out, 0, sizeof(*out));
    if (status != LK_OK)
        return status;
    status = count_in(s->db, slot->txn, out);
    lk__lmdb_read_end(slot);
    return status;
}

const lk_store_ops lk__store_lmdb = {
    .name = "lmdb",
    .form = "lmdb:DIRECTORY",
    .options = "map sync",
    .place = LK_STORE_INLINE,
    .is_durable = true,
    .check = check,
    .open = open_lmdb,
    .close = close_lmdb,
    .load_many = load_many,
    .create = lk__lmdb_create,
    .replace = lk__lmdb_replace,
    .change = lk__lmdb_change,
    .touch_many = lk__lmdb_touch_many,
    .destroy = lk__lmdb_destroy,
    .list_by_user = lk__lmdb_list_by_user,
    .list = lk__lmdb_list,
    .counts = counts,
    .sweep = lk__lmdb_sweep,
    .cutoff_append = lk__lmdb_cutoff_append,
    .mark = lk__lmdb_mark,
    .event_seq = lk__lmdb_event_seq,
    .events_since = lk__lmdb_events_since,
};
