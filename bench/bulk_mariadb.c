/* SPDX-License-Identifier: Apache-2.0
 *
 * bulk_mariadb.c - INSERTs of many rows by libmariadb.
 */
#include "bulk.h"
#include <mysql.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FILL_ROWS 500
#define TEXT_MAX (FILL_ROWS * (2 * 400 + 160) + 256)

struct bulk {
    MYSQL *link;
    const lk_store *store;
};

static bulk *open_mariadb(const char *url, const lk_store *store)
{
    bulk_url at = bulk_url_of(url);
    bulk *b = calloc(1, sizeof(*b));

    must(b != NULL, "memory");
    b->store = store;
    b->link = mysql_init(NULL);
    must(b->link != NULL && mysql_real_connect(b->link, at.host, at.user, at.password, at.path,
                                               (unsigned)at.port, NULL, 0) != NULL,
         "mysql_real_connect");
    return b;
}

static char *put_hex(char *p, lk_view v)
{
    static const char digits[] = "0123456789abcdef";

    *p++ = 'x';
    *p++ = '\'';
    for (size_t i = 0; i < v.len; i++) {
        *p++ = digits[v.p[i] >> 4];
        *p++ = digits[v.p[i] & 15];
    }
    *p++ = '\'';
    return p;
}

static char *put_row(char *p, const bulk_row *row)
{
    p += sprintf(p, "(%d,%d,%lld,", row->due, row->seen, (long long)row->owner);
    p = put_hex(p, row->head);
    *p++ = ',';
    p = put_hex(p, row->fields);
    *p++ = ',';
    p = put_hex(p, lk_view_make(row->id.bytes, sizeof(row->id.bytes)));
    *p++ = ')';
    return p;
}

static void run(bulk *b, const char *text, size_t len)
{
    if (mysql_real_query(b->link, text, len) != 0) {
        (void)fprintf(stderr, "bench: mariadb: %s\n", mysql_error(b->link));
        exit(1);
    }
}

static void insert_all(bulk *b, bulk_make make, unsigned from, unsigned to)
{
    static const char begin[] = "INSERT INTO latchkey_session (due, seen, owner, head, fields, id) VALUES ";
    char *text = malloc(TEXT_MAX), *p;
    int64_t now_s = lk_now_s(lk_env_system());

    must(text != NULL, "memory");
    run(b, "BEGIN", 5);
    for (unsigned n = from; n < to;) {
        memcpy(text, begin, sizeof(begin) - 1);
        p = text + sizeof(begin) - 1;
        for (unsigned end = n + FILL_ROWS < to ? n + FILL_ROWS : to; n < end; n++) {
            made_session made;
            bulk_row row;

            make(&made, n, now_s);
            bulk_row_of(b->store, &made.s, &row);
            p = put_row(p, &row);
            *p++ = ',';
        }
        run(b, text, (size_t)(p - 1 - text));
    }
    run(b, "COMMIT", 6);
    free(text);
}

static void close_mariadb(bulk *b)
{
    mysql_close(b->link);
    free(b);
}

const bulk_writer bulk_mariadb = {"mariadb", open_mariadb, insert_all, close_mariadb};
