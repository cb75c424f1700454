/* SPDX-License-Identifier: Apache-2.0
 *
 * raw_lmdb.c - the inside of the stores of this machine: the table, and LMDB's files. LMDB must not be opened
 * twice by one process, so that is done in another one.
 */
#include "contract.h"
#include "raw.h"
#include <lmdb.h>
#include <unistd.h>

typedef struct raw {
    const char *name; /* of the database; NULL: the unnamed one, with the sessions */
    const void *key;
    size_t key_len;
    const void *value;
    size_t value_len;
} raw;

static bool put_raw(lk_store *own, unsigned i, void *context)
{
    const raw *r = context;
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi db;
    MDB_val key = {r->key_len, (void *)(uintptr_t)r->key},
            value = {r->value_len, (void *)(uintptr_t)r->value};

    (void)i;
    lk_store_close(own);
    CHECK(mdb_env_create(&env) == 0 && mdb_env_set_maxdbs(env, 8) == 0);
    CHECK(mdb_env_open(env, store_dir(), 0, 0600) == 0);
    CHECK(mdb_txn_begin(env, NULL, 0, &txn) == 0);
    CHECK(mdb_dbi_open(txn, r->name, 0, &db) == 0);
    CHECK(mdb_put(txn, db, &key, &value, 0) == 0);
    CHECK(mdb_txn_commit(txn) == 0);
    mdb_env_close(env);
    _exit(0);
}

static bool put_record(const lk_session_key *key, const uint8_t *bytes, size_t len)
{
    uint8_t row[8 + LK_RECORD_MAX] = {1, 1, 1, 1, 1, 1, 0, 0};
    raw r = {.key = key->bytes, .key_len = sizeof(key->bytes), .value = row, .value_len = len + 8};

    memcpy(row + 8, bytes, len);
    in_children(1, put_raw, &r);
    return true;
}

static bool make_newer(void)
{
    raw r = {.name = "~meta", .key = "format", .key_len = 6, .value = "\x02\x00\x00\x00", .value_len = 4};

    in_children(1, put_raw, &r);
    return true;
}

static bool put_unreadable_cutoff(void)
{
    static const uint8_t seq[8] = {0, 0, 0, 0, 0, 0, 0, 1};
    raw r = {.name = "~events", .key = seq, .key_len = sizeof(seq), .value = "\x09 newer", .value_len = 7};

    in_children(1, put_raw, &r);
    return true;
}

static bool put_table_record(const lk_session_key *key, const uint8_t *bytes, size_t len)
{
    uint8_t table_key[LK_TABLE_KEY_LEN] = {0};

    memcpy(table_key, key->bytes, sizeof(key->bytes));
    return lk_table_put(store_table(), LK_ENTRY_SESSION, table_key, 0, NOW_S + LIFE_S,
                        lk_view_make(bytes, len)) == LK_OK;
}

const raw_store raw_lmdb = {
    .put_record = put_record, .make_newer = make_newer, .put_unreadable_cutoff = put_unreadable_cutoff};
const raw_store raw_memory = {.put_record = put_table_record};
