/* SPDX-License-Identifier: Apache-2.0
 *
 * bulk_sqlite.c - a prepared INSERT, many in a transaction.
 */
#include "bulk.h"
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>

struct bulk {
    sqlite3 *link;
    sqlite3_stmt *put;
    const lk_store *store;
};

static void run(bulk *b, const char *text)
{
    must(sqlite3_exec(b->link, text, NULL, NULL, NULL) == SQLITE_OK, text);
}

static bulk *open_sqlite(const char *url, const lk_store *store)
{
    static const char put[] =
        "INSERT INTO latchkey_session (due, seen, owner, head, fields, id) VALUES (?, ?, ?, ?, ?, ?)";
    lk_view rest = lk_view_of(url + strlen("sqlite:"));
    char path[4096];
    bulk *b = calloc(1, sizeof(*b));
    size_t len = lk_view_find(rest, '?');

    must(b != NULL && len < sizeof(path), "memory");
    memcpy(path, rest.p, len);
    path[len] = '\0';
    b->store = store;
    must(sqlite3_open(path, &b->link) == SQLITE_OK, "sqlite3_open");
    run(b, "PRAGMA synchronous = OFF");
    must(sqlite3_prepare_v2(b->link, put, -1, &b->put, NULL) == SQLITE_OK, "prepare");
    return b;
}

static void insert_all(bulk *b, bulk_make make, unsigned from, unsigned to)
{
    int64_t now_s = lk_now_s(lk_env_system());

    run(b, "BEGIN IMMEDIATE");
    for (unsigned n = from; n < to; n++) {
        made_session made;
        bulk_row row;

        make(&made, n, now_s);
        bulk_row_of(b->store, &made.s, &row);
        (void)sqlite3_bind_int(b->put, 1, row.due);
        (void)sqlite3_bind_int(b->put, 2, row.seen);
        (void)sqlite3_bind_int64(b->put, 3, row.owner);
        (void)sqlite3_bind_blob(b->put, 4, row.head.p, (int)row.head.len, SQLITE_STATIC);
        (void)sqlite3_bind_blob(b->put, 5, row.fields.p, (int)row.fields.len, SQLITE_STATIC);
        (void)sqlite3_bind_blob(b->put, 6, row.id.bytes, LK_SESSION_KEY_LEN, SQLITE_STATIC);
        must(sqlite3_step(b->put) == SQLITE_DONE, "INSERT");
        (void)sqlite3_reset(b->put);
    }
    run(b, "COMMIT");
    run(b, "PRAGMA wal_checkpoint(PASSIVE)");
}

static void close_sqlite(bulk *b)
{
    (void)sqlite3_finalize(b->put);
    (void)sqlite3_close(b->link);
    free(b);
}

const bulk_writer bulk_sqlite = {"sqlite", open_sqlite, insert_all, close_sqlite};
