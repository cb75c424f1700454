/* SPDX-License-Identifier: Apache-2.0
 *
 * query.c - the prepared statements of a connection.
 *
 * They belong to the connection: when that is replaced, each is prepared again when it is next asked for.
 */
#include "sql/inner.h"

lk_status lk_sql_prepare(lk_sql_link *link, const char *text, lk_sql_query **out)
{
    lk_sql_query *q;
    lk_status status;

    *out = NULL;
    if (link->lost)
        return LK_FAULT;
    for (size_t i = 0; i < link->queries_n; i++)
        if (link->queries[i].text == text) {
            *out = &link->queries[i];
            return LK_OK;
        }
    if (link->queries_n == LK_SQL_QUERIES_MAX)
        return LK_FAULT;
    q = &link->queries[link->queries_n];
    *q = (lk_sql_query){.link = link, .text = text};
    lk__sql_ask_begins(link);
    status = lk__sql_heard(link, link->db->driver->prepare(link->connection, text, &q->statement));
    if (status != LK_OK)
        return status;
    link->queries_n++;
    *out = q;
    return LK_OK;
}

void lk_sql_bind_i64(lk_sql_query *q, int place, int64_t value)
{
    q->used = true;
    q->unbound |= !q->link->db->driver->bind_i64(q->statement, place, value);
}

void lk_sql_bind_text(lk_sql_query *q, int place, lk_view value)
{
    q->used = true;
    q->unbound |= !q->link->db->driver->bind_text(q->statement, place, value);
}

void lk_sql_bind_bytes(lk_sql_query *q, int place, lk_view value)
{
    q->used = true;
    q->unbound |= !q->link->db->driver->bind_bytes(q->statement, place, value);
}

lk_status lk_sql_step(lk_sql_query *q)
{
    lk_status status = LK_FAULT;

    q->used = true;
    q->link->gave_up = false;
    if (!q->unbound && !q->link->lost) {
        lk__sql_ask_begins(q->link);
        status = lk__sql_heard(q->link, q->link->db->driver->step(q->link->connection, q->statement));
    }
    if (status != LK_OK)
        lk_sql_reset(q);
    return status;
}

lk_status lk_sql_run(lk_sql_query *q, uint64_t *changed)
{
    lk_status status = LK_FAULT;

    if (changed != NULL)
        *changed = 0;
    q->used = true;
    q->link->gave_up = false;
    if (!q->unbound && !q->link->lost) {
        lk__sql_ask_begins(q->link);
        status = lk__sql_heard(q->link, q->link->db->driver->step(q->link->connection, q->statement));
    }
    if (changed != NULL && status == LK_MISS)
        *changed = q->link->db->driver->changed(q->link->connection, q->statement);
    lk_sql_reset(q);
    /* LK_OK: it gave a row, so it is not a statement for run. */
    return status == LK_OK ? LK_FAULT : status == LK_MISS ? LK_OK : status;
}

lk_status lk_sql_ask(lk_sql_link *link, const char *text, const lk_sql_value *values, size_t n,
                     lk_sql_query **out)
{
    lk_status status = lk_sql_prepare(link, text, out);

    for (size_t i = 0; status == LK_OK && i < n; i++)
        switch (values[i].kind) {
        case LK_SQL_I64:
            lk_sql_bind_i64(*out, (int)i + 1, values[i].number);
            break;
        case LK_SQL_TEXT:
            lk_sql_bind_text(*out, (int)i + 1, values[i].bytes);
            break;
        case LK_SQL_BYTES:
            lk_sql_bind_bytes(*out, (int)i + 1, values[i].bytes);
            break;
        }
    return status;
}

lk_status lk_sql_do(lk_sql_link *link, const char *text, const lk_sql_value *values, size_t n,
                    uint64_t *changed)
{
    lk_sql_query *q = NULL;
    lk_status status = lk_sql_ask(link, text, values, n, &q);

    if (changed != NULL)
        *changed = 0;
    return status == LK_OK ? lk_sql_run(q, changed) : status;
}

void lk_sql_reset(lk_sql_query *q)
{
    if (!q->used)
        return;
    q->used = q->unbound = false;
    q->link->db->driver->reset(q->statement);
}

int64_t lk_sql_i64(lk_sql_query *q, int column)
{
    return q->link->db->driver->i64(q->statement, column);
}

lk_view lk_sql_text(lk_sql_query *q, int column)
{
    return q->link->db->driver->text(q->statement, column);
}

lk_view lk_sql_bytes(lk_sql_query *q, int column)
{
    return q->link->db->driver->bytes(q->statement, column);
}
