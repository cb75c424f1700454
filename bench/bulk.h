/* SPDX-License-Identifier: Apache-2.0
 *
 * bulk.h - sessions written past the store, straight to where it keeps them: a million in seconds. What is
 * written is what the store would have written; docs/stores.
 */
#ifndef LATCHKEY_BENCH_BULK_H
#define LATCHKEY_BENCH_BULK_H

#include "lab.h"

/* Make session N. */
typedef void (*bulk_make)(made_session *made, unsigned n, int64_t now_s);

typedef struct bulk bulk;
typedef struct bulk_writer {
    const char *store;
    bulk *(*open)(const char *url, const lk_store *store);
    void (*write)(bulk *b, bulk_make make, unsigned from, unsigned to);
    void (*close)(bulk *b);
} bulk_writer;
extern const bulk_writer bulk_redis, bulk_postgres, bulk_mariadb, bulk_sqlite;

/* Write the sessions FROM to TO into STORE, which is that of URL. */
void bulk_write(const char *url, const lk_store *store, bulk_make make, unsigned from, unsigned to);

/* The parts of SCHEME://USER:PASSWORD@HOST:PORT/PATH, decoded. */
typedef struct bulk_url {
    char user[64], password[128], host[64], path[64];
    int port;
} bulk_url;
bulk_url bulk_url_of(const char *url);

/* A session as a row of latchkey_session. */
typedef struct bulk_row {
    int32_t due, seen;
    int64_t owner;
    lk_session_key id;
    lk_view head, fields; /* in `record` */
    uint8_t record[LK_RECORD_MAX];
} bulk_row;
void bulk_row_of(const lk_store *store, const lk_session *s, bulk_row *out);

#endif
