/* SPDX-License-Identifier: Apache-2.0
 *
 * bulk_postgres.c - COPY by libpq, in binary.
 */
#include "bulk.h"
#include <endian.h>
#include <libpq-fe.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define COPY_PIECE 65536

struct bulk {
    PGconn *link;
    const lk_store *store;
};

static void done(bulk *b, PGresult *result, ExecStatusType wanted)
{
    if (PQresultStatus(result) != wanted)
        (void)fprintf(stderr, "bench: postgres: %s", PQerrorMessage(b->link));
    must(PQresultStatus(result) == wanted, "postgres");
    PQclear(result);
}

static bulk *open_postgres(const char *url, const lk_store *store)
{
    bulk_url at = bulk_url_of(url);
    char port[8];
    const char *const names[] = {"host", "port", "user", "password", "dbname", NULL};
    const char *const values[] = {at.host, port, at.user, at.password, at.path, NULL};
    bulk *b = calloc(1, sizeof(*b));

    must(b != NULL, "memory");
    (void)snprintf(port, sizeof(port), "%d", at.port);
    b->store = store;
    b->link = PQconnectdbParams(names, values, 0);
    must(PQstatus(b->link) == CONNECTION_OK, "PQconnectdbParams");
    return b;
}

static uint8_t *put32(uint8_t *p, uint32_t value)
{
    value = htobe32(value);
    memcpy(p, &value, 4);
    return p + 4;
}

static uint8_t *put_bytes(uint8_t *p, lk_view v)
{
    p = put32(p, (uint32_t)v.len);
    memcpy(p, v.p, v.len);
    return p + v.len;
}

static lk_view id_of(const lk_session_key *key)
{
    return lk_view_make(key->bytes, sizeof(key->bytes));
}

static uint8_t *put_row(uint8_t *p, const bulk_row *row)
{
    uint64_t owner = (uint64_t)row->owner;
    uint16_t columns = htobe16(6);

    memcpy(p, &columns, 2);
    p = put32(put32(p + 2, 4), (uint32_t)row->due);
    p = put32(put32(p, 4), (uint32_t)row->seen);
    p = put32(put32(put32(p, 8), (uint32_t)(owner >> 32)), (uint32_t)owner);
    p = put_bytes(put_bytes(p, row->head), row->fields);
    return put_bytes(p, id_of(&row->id));
}

static void copy_all(bulk *b, bulk_make make, unsigned from, unsigned to)
{
    static const char head[] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0"; /* and the NUL of the literal */
    static uint8_t piece[COPY_PIECE + 1024];
    int64_t now_s = lk_now_s(lk_env_system());
    uint8_t *p = piece;

    done(b,
         PQexec(b->link,
                "COPY latchkey_session (due, seen, owner, head, fields, id) FROM STDIN (FORMAT binary)"),
         PGRES_COPY_IN);
    memcpy(p, head, sizeof(head));
    p += sizeof(head);
    for (unsigned n = from; n < to; n++) {
        made_session made;
        bulk_row row;

        make(&made, n, now_s);
        bulk_row_of(b->store, &made.s, &row);
        p = put_row(p, &row);
        if (p - piece < COPY_PIECE)
            continue;
        must(PQputCopyData(b->link, (const char *)piece, (int)(p - piece)) == 1, "COPY");
        p = piece;
    }
    memcpy(p, "\377\377", 2);
    must(PQputCopyData(b->link, (const char *)piece, (int)(p + 2 - piece)) == 1, "COPY");
    must(PQputCopyEnd(b->link, NULL) == 1, "COPY");
    done(b, PQgetResult(b->link), PGRES_COMMAND_OK);
    must(PQgetResult(b->link) == NULL, "COPY");
}

static void close_postgres(bulk *b)
{
    done(b, PQexec(b->link, "ANALYZE latchkey_session"),
         PGRES_COMMAND_OK); /* as it does by itself a minute later */
    PQfinish(b->link);
    free(b);
}

const bulk_writer bulk_postgres = {"postgres", open_postgres, copy_all, close_postgres};
