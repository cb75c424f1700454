/* SPDX-License-Identifier: Apache-2.0
 *
 * database_row.c - what stands in a row of latchkey_session, and how it is read.
 *
 * A row is a session or the fence of one. Of a session, `head` and `fields` together are its record; `seen`
 * is its last use when that is later than the record says, so that a touch does not write the record anew. A
 * fence has a head that begins with a zero byte, and no fields. An ending session has neither owner nor seen:
 * it is in no list and not touched.
 */
#include "store/database.h"
#include "store/pack.h"
#include <string.h>

#define TIME_BASE (INT64_C(1) << 31)
#define TIME_MAX ((INT64_C(1) << 32) - 1)

int64_t lk__db_time(int64_t at_s)
{
    if (at_s < 0)
        at_s = 0;
    return (at_s > TIME_MAX ? TIME_MAX : at_s) - TIME_BASE;
}

int64_t lk__db_seconds(int64_t column)
{
    return column + TIME_BASE;
}

uint32_t lk__db_place_of(const lk_session_key *id)
{
    return (uint32_t)(lk__get64_ordered(id->bytes) >> 32);
}

int64_t lk__db_owner(const lk__db *db, lk_view realm, lk_view user, uint32_t place)
{
    uint8_t room[LK_REALM_MAX + LK_USER_ID_MAX + 1], hash[LK_SHORTHASH_LEN];
    lk_buf name = lk_buf_over(room, sizeof(room));

    lk_buf_add(&name, realm);
    lk_buf_add_byte(&name, '\0'); /* no realm holds one: no two pairs spell the same name */
    lk_buf_add(&name, user);
    lk_shorthash(db->salt, lk_buf_view(&name), hash);
    return (int64_t)((uint64_t)lk__get32(hash) << 32 | place);
}

lk_status lk__db_row_read(lk_sql_query *q, bool with_fields, lk__db_row *row)
{
    lk_view id = lk_sql_bytes(q, 0);

    *row = (lk__db_row){.seen_s = lk__db_seconds(lk_sql_i64(q, 1)), .head = lk_sql_bytes(q, 2)};
    if (with_fields)
        row->fields = lk_sql_bytes(q, 3);
    if (id.len == sizeof(row->id.bytes))
        memcpy(row->id.bytes, id.p, id.len);
    if (row->head.len == 0)
        return LK_STALE;
    if (row->head.p[0] != LK__DB_FENCE)
        return LK_OK;
    row->is_fence = true;
    lk__fence_read(lk_view_part(row->head, 1, row->head.len), &row->why, &row->until_s);
    return LK_STALE;
}

static lk_status unreadable(lk__db *db)
{
    atomic_fetch_add_explicit(&db->unreadable, 1, memory_order_relaxed);
    return LK_STALE;
}

lk_status lk__db_row_session(lk__db *db, const lk__db_row *row, uint8_t *buf, size_t cap, lk_session *out)
{
    size_t len = row->head.len + row->fields.len;

    if (row->head.len == 0)
        return unreadable(db);
    if (len > cap)
        return LK_FULL;
    memcpy(buf, row->head.p, row->head.len);
    if (row->fields.len > 0)
        memcpy(buf + row->head.len, row->fields.p, row->fields.len);
    /* A record that cannot be touched cannot be read either. */
    if (lk_record_touch(buf, len, row->seen_s) != LK_OK ||
        lk__record_of(lk_view_make(buf, len), &row->id, out) != LK_OK)
        return unreadable(db);
    return LK_OK;
}

lk_status lk__db_ask_ids(lk_sql_link *link, const char *const texts[LK__DB_SIZES], const lk_session_key *ids,
                         size_t n, lk_sql_query **out)
{
    static const size_t sizes[LK__DB_SIZES] = {1, 8, 32, LK__DB_BATCH};
    unsigned size = 0;
    lk_status status;

    while (sizes[size] < n)
        size++;
    status = lk_sql_prepare(link, texts[size], out);
    for (size_t i = 0; i < sizes[size] && status == LK_OK; i++)
        lk_sql_bind_bytes(*out, (int)i + 1, lk__db_id(&ids[i < n ? i : n - 1])); /* the last one again */
    return status;
}

void lk__db_pairs_add(lk__db_pairs *pairs, const lk_session_key *id, int64_t value)
{
    pairs->ids[pairs->n] = *id;
    pairs->values[pairs->n++] = value;
}

/* Below this many, one after the other is less work than a statement for a whole batch. */
#define FEW 4

static lk_status run_one(lk__db_tx *tx, const lk__db_pairs *pairs, size_t i)
{
    lk_sql_value value = lk_sql_of_i64(pairs->values[i]), id = lk_sql_of_bytes(lk__db_id(&pairs->ids[i]));

    return lk_sql_do(tx->link, pairs->one, LK_SQL_VALUES(value, id, value), NULL);
}

static lk_status run_many(lk__db_tx *tx, const lk__db_pairs *pairs)
{
    lk_sql_query *q;
    lk_status status = lk_sql_prepare(tx->link, pairs->many, &q);

    if (status != LK_OK)
        return status;
    for (size_t i = 0; i < LK__DB_BATCH; i++) {
        size_t from = i < pairs->n ? i : pairs->n - 1;

        lk_sql_bind_bytes(q, (int)(2 * i) + 1, lk__db_id(&pairs->ids[from]));
        lk_sql_bind_i64(q, (int)(2 * i) + 2, pairs->values[from]);
    }
    return lk_sql_run(q, NULL);
}

bool lk__db_pairs_are_many(const lk__db_pairs *pairs)
{
    return pairs->n > FEW && pairs->many != NULL;
}

lk_status lk__db_pairs_run(lk__db_tx *tx, const lk__db_pairs *pairs)
{
    lk_status status = LK_OK;

    if (lk__db_pairs_are_many(pairs))
        return run_many(tx, pairs);
    for (size_t i = 0; i < pairs->n && status == LK_OK; i++)
        status = run_one(tx, pairs, i);
    return status;
}
