/* SPDX-License-Identifier: Apache-2.0
 *
 * database_user.c - the other sessions of a user: keeping him to his number of them, and removing what is
 * over.
 */
#include "store/database.h"
#include <stdlib.h>
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

/* The ids of all sessions of S's user, and ALSO, in their order. */
typedef struct ids {
    lk_session_key *at;
    size_t n, cap;
} ids;

static lk_status ids_add(const lk_env *env, ids *list, lk_view id)
{
    if (list->n == list->cap) {
        size_t cap = list->cap > 0 ? list->cap * 2 : 32;
        lk_session_key *more = lk_alloc(env, cap * sizeof(*more));

        if (more == NULL)
            return LK_FAULT;
        if (list->n > 0)
            memcpy(more, list->at, list->n * sizeof(*more));
        lk_free(env, list->at);
        list->at = more;
        list->cap = cap;
    }
    if (id.len == sizeof(list->at->bytes))
        memcpy(list->at[list->n++].bytes, id.p, id.len);
    return LK_OK;
}

static int by_bytes(const void *one, const void *other)
{
    return memcmp(one, other, sizeof(lk_session_key));
}

static lk_status find_all(lk__db_tx *tx, const lk_session *s, const lk_session_key *also, ids *list)
{
    static const char text[] = "SELECT id FROM latchkey_session WHERE owner >= ? AND owner <= ?";
    const lk_env *env = tx->db->base.env;
    lk_sql_query *q;
    lk_status status = lk_sql_ask(tx->link, text,
                                  LK_SQL_VALUES(owner_at(tx->db, s, 0), owner_at(tx->db, s, UINT32_MAX)), &q);

    while (status == LK_OK && (status = lk_sql_step(q)) == LK_OK)
        status = ids_add(env, list, lk_sql_bytes(q, 0));
    if (status == LK_MISS)
        status = also != NULL ? ids_add(env, list, lk__db_id(also)) : LK_OK;
    if (status == LK_OK && list->n > 0)
        qsort(list->at, list->n, sizeof(*list->at), by_bytes);
    return status;
}

/* Lock up to a batch of them, and keep those that count. */
static lk_status hold_some(lk__db_tx *tx, const lk_session_key *held, size_t n, const lk_session_key *also,
                           int64_t now_s, lk__candidates *found)
{
    const lk_session *s = found->newest;
    lk_sql_query *q;
    lk_status status = lk__db_ask_ids(tx->link, tx->db->text->locks, held, n, &q);

    while (status == LK_OK && (status = lk_sql_step(q)) == LK_OK) {
        uint8_t head[LK_HEAD_MAX];
        lk__db_row row;
        lk_session other;

        if (lk__db_row_read(q, false, &row) != LK_OK ||
            (also != NULL && memcmp(&row.id, also, sizeof(row.id)) == 0) ||
            lk__db_row_session(tx->db, &row, head, sizeof(head), &other) != LK_OK)
            continue;
        if (lk_view_equal(other.user, s->user) && lk_view_equal(other.realm, s->realm) &&
            lk__session_is_listed(&other, now_s))
            status = lk__candidates_add(found, &other);
    }
    return status == LK_MISS ? LK_OK : status;
}

/* Hold all sessions of S's user, and OLD. They are found by the index on `owner` without a lock, and locked
 * by the index on `id` as by everybody: two ways to one row would be two orders of locks. None can be added
 * meanwhile by one who has to keep to a limit: that would be his turn. */
static lk_status hold_all(lk__db_tx *tx, const lk_session_key *old, int64_t now_s, lk__candidates *found)
{
    ids list = {.n = 0};
    lk_status status = find_all(tx, found->newest, old, &list);

    for (size_t at = 0; at < list.n && status == LK_OK; at += LK__DB_BATCH) {
        size_t n = list.n - at < LK__DB_BATCH ? list.n - at : LK__DB_BATCH;

        status = hold_some(tx, list.at + at, n, old, now_s, found);
    }
    lk_free(tx->db->base.env, list.at);
    return status;
}

lk_status lk__db_user_hold(lk__db_tx *tx, const lk_session_key *old, const lk_limit *limit, int64_t now_s,
                           lk__candidates *beyond, bool *refused)
{
    size_t n = 0;
    lk_status status;

    *refused = false;
    if (!lk__limit_holds(limit, beyond->newest))
        return LK_OK;
    status = take_turn(tx, beyond->newest);
    if (status == LK_OK)
        status = hold_all(tx, old, now_s, beyond);
    if (status != LK_OK)
        return status;
    *refused = lk__candidates_choose(beyond, limit, &n) == LK_FULL;
    beyond->n = n;
    return LK_OK;
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

        if (lk_sql_i64(q, 1) <= lk__db_time(now_s) && !lk_view_equal(id, lk__db_id(&s->key)) &&
            id.len == sizeof(out->bytes) && *n < TRIMMED_MAX)
            memcpy(out[(*n)++].bytes, id.p, id.len);
    }
    return status == LK_MISS ? LK_OK : status;
}

lk_status lk__db_user_trim(lk__db_tx *tx, const lk_session *s, int64_t now_s)
{
    lk_session_key due[TRIMMED_MAX];
    lk__db_judged judged;
    size_t n = 0;
    lk_status status = s->user.len > 0 ? find_due(tx, s, now_s, due, &n) : LK_OK;

    if (status != LK_OK || n == 0)
        return status;
    status = lk__db_judge_all(tx, due, n, now_s, &judged);
    return status == LK_OK ? lk__db_clear(tx, &judged) : status;
}
