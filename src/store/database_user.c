/* SPDX-License-Identifier: Apache-2.0
 *
 * database_user.c - the other sessions of a user: keeping him to his number of them, and removing what is
 * over.
 */
#include "store/database.h"
#include <string.h>

#define TURNS 256     /* rows of latchkey_turn */
#define TRIMMED_MAX 8 /* sessions looked at by each login of their user */

static lk_sql_value owner_at(const lk__db *db, const lk_session *s, uint32_t place)
{
    return lk_sql_of_i64(lk__db_owner(db, s->realm, s->user, place));
}

/* Logins of one user that has a limit go one after the other, all of the cluster: those of some others wait
 * too. */
static lk_status take_turn(lk__db_tx *tx, const lk_session *s)
{
    int64_t owner = lk__db_owner(tx->db, s->realm, s->user, 0);
    lk_sql_query *q;
    lk_status status;

    if (tx->db->text->lock_turn == NULL)
        return LK_OK;
    status = lk_sql_ask(tx->link, tx->db->text->lock_turn,
                        LK_SQL_VALUES(lk_sql_of_i64((int64_t)((uint64_t)owner >> 32) % TURNS)), &q);
    if (status == LK_OK)
        status = lk_sql_step(q);
    if (status == LK_OK)
        lk_sql_reset(q);
    return status == LK_MISS ? LK_FAULT : status; /* the rows were made with the table */
}

static lk_status hold_all(lk__db_tx *tx, const lk_session *s, const lk_session_key *old, int64_t now_s,
                          lk__candidates *found)
{
    const lk_session_key *also = old != NULL ? old : &s->key;
    lk_sql_query *q;
    lk_status status = lk_sql_ask(tx->link, tx->db->text->lock_user,
                                  LK_SQL_VALUES(owner_at(tx->db, s, 0), owner_at(tx->db, s, UINT32_MAX),
                                                lk_sql_of_bytes(lk__db_id(also))),
                                  &q);

    while (status == LK_OK && (status = lk_sql_step(q)) == LK_OK) {
        uint8_t head[LK_HEAD_MAX];
        lk__db_row row;
        lk_session other;

        if (lk__db_row_read(q, false, &row) != LK_OK || memcmp(&row.id, also, sizeof(row.id)) == 0 ||
            lk__db_row_session(tx->db, &row, head, sizeof(head), &other) != LK_OK)
            continue;
        if (lk_view_equal(other.user, s->user) && lk_view_equal(other.realm, s->realm) &&
            lk__session_is_listed(&other, now_s))
            status = lk__candidates_add(found, &other);
    }
    return status == LK_MISS ? LK_OK : status;
}

lk_status lk__db_user_hold(lk__db_tx *tx, const lk_session *s, const lk_session_key *old, lk_limit limit,
                           int64_t now_s, lk__candidates *beyond)
{
    lk_status status;

    if (s->user.len == 0 || limit.max == 0)
        return LK_OK;
    status = take_turn(tx, s);
    if (status == LK_OK)
        status = hold_all(tx, s, old, now_s, beyond);
    if (status == LK_OK)
        beyond->n = lk__candidates_beyond(beyond, limit.max - 1);
    return status;
}

/* Which of a few sessions of S's user, from S's own on - ids are random, so that every one's turn comes - are
 * due? */
static lk_status find_due(lk__db_tx *tx, const lk_session *s, int64_t now_s, lk_session_key *out, size_t *n)
{
    static const char text[] = "SELECT id, due FROM latchkey_session WHERE owner >= ? AND owner <= ?"
                               " ORDER BY owner LIMIT ?";
    lk_sql_query *q;
    lk_status status =
        lk_sql_ask(tx->link, text,
                   LK_SQL_VALUES(owner_at(tx->db, s, lk__db_place_of(&s->key)),
                                 owner_at(tx->db, s, UINT32_MAX), lk_sql_of_i64(TRIMMED_MAX + 1)),
                   &q);

    *n = 0;
    while (status == LK_OK && (status = lk_sql_step(q)) == LK_OK) {
        lk_view id = lk_sql_bytes(q, 0);

        if (lk_sql_i64(q, 1) <= lk__db_time(now_s) && id.len == sizeof(out->bytes) && *n < TRIMMED_MAX)
            memcpy(out[(*n)++].bytes, id.p, id.len);
    }
    return status == LK_MISS ? LK_OK : status;
}

lk_status lk__db_user_trim(lk__db_tx *tx, const lk_session *s, int64_t now_s)
{
    lk_session_key due[TRIMMED_MAX];
    lk__db_judged judged;
    lk_sql_query *q;
    size_t n = 0;
    lk_status status = s->user.len > 0 ? find_due(tx, s, now_s, due, &n) : LK_OK;

    if (status != LK_OK || n == 0)
        return status;
    status = lk_sql_prepare(tx->link, tx->db->text->lock_free_many, &q);
    if (status != LK_OK)
        return status;
    lk__db_bind_ids(q, 1, due, n, LK__DB_BATCH);
    status = lk__db_judge_all(tx->db, q, now_s, &judged);
    return status == LK_OK ? lk__db_clear(tx, &judged) : status;
}
