/* SPDX-License-Identifier: Apache-2.0
 *
 * database_count.c - how many sessions there are. Exact up to EXACT_MAX rows; beyond that the database's own
 * estimate, since to count means to read.
 */
#include "store/database.h"

#define EXACT_MAX 20000

/* Of the first EXACT_MAX rows: how many there are, how many are sessions and not fences, and their bytes. */
static lk_status count_first(lk_sql_link *link, int64_t *rows, int64_t *sessions, int64_t *bytes)
{
    static const char text[] =
        "SELECT count(*), count(f), COALESCE(sum(h + f), 0) FROM"
        " (SELECT length(head) AS h, length(fields) AS f FROM latchkey_session LIMIT ?) AS first_ones";
    lk_sql_query *q;
    lk_status status = lk_sql_ask(link, text, LK_SQL_VALUES(lk_sql_of_i64(EXACT_MAX)), &q);

    if (status == LK_OK)
        status = lk_sql_step(q);
    if (status != LK_OK)
        return LK_FAULT;
    *rows = lk_sql_i64(q, 0);
    *sessions = lk_sql_i64(q, 1);
    *bytes = lk_sql_i64(q, 2);
    lk_sql_reset(q);
    return LK_OK;
}

static lk_status estimate(const lk__db *db, lk_sql_link *link, int64_t *rows, int64_t *bytes)
{
    lk_sql_query *q;
    lk_status status = lk_sql_prepare(link, db->text->estimate, &q);

    if (status == LK_OK)
        status = lk_sql_step(q);
    if (status != LK_OK)
        return LK_FAULT;
    *rows = lk_sql_i64(q, 0);
    *bytes = lk_sql_i64(q, 1);
    lk_sql_reset(q);
    return LK_OK;
}

static lk_status count(const lk__db *db, lk_sql_link *link, lk_store_count *out)
{
    int64_t rows = 0, sessions = 0, bytes = 0, all = 0, all_bytes = 0;
    lk_status status = count_first(link, &rows, &sessions, &bytes);

    *out = (lk_store_count){.sessions = (uint64_t)sessions, .bytes = (uint64_t)bytes};
    if (status != LK_OK || rows < EXACT_MAX)
        return status;
    status = estimate(db, link, &all, &all_bytes);
    if (all < rows) /* an estimate of before it grew */
        all = rows;
    /* As many of all are fences as of those that were counted. */
    out->sessions = (uint64_t)((double)all * ((double)sessions / (double)rows));
    out->bytes = (uint64_t)all_bytes;
    return status;
}

lk_status lk__db_counts(lk_store *store, lk_store_count *out)
{
    lk__db *db = lk__db_of(store);
    lk_sql_link *link;
    lk_status status = lk_sql_borrow(db->sql, &link, NULL);

    *out = (lk_store_count){0};
    if (status != LK_OK)
        return LK_FAULT;
    status = count(db, link, out);
    lk_sql_give_back(link);
    return status;
}
