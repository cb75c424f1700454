/* SPDX-License-Identifier: Apache-2.0
 *
 * database_end.c - ending sessions.
 *
 * A fence lies where its session lay: one row tells that an id was ended, and two that want the same id meet
 * at it. A logout also ends the sessions that were replaced within the grace time. Which those are is read
 * first, without a lock, since locks are taken in the order of the ids; with the locks held it is looked
 * again whether it is so.
 */
#include "store/database.h"
#include <stdlib.h>
#include <string.h>

#define CHAIN_MAX 16
#define TRIES_MAX 8 /* the chain changed between the look and the locks */

typedef struct ending {
    lk_reason reason;
    int64_t fence_s;
    lk_session_key chain[CHAIN_MAX + 1]; /* and the one that the last of them had replaced, gone by now */
    size_t n;
    bool is_moved; /* it is another chain by now: look again */
} ending;

static lk_status write_fence(lk_reason reason, int64_t until_s, uint8_t room[1 + LK_FENCE_MAX], lk_buf *out)
{
    *out = lk_buf_over(room, 1 + LK_FENCE_MAX);
    lk_buf_add_byte(out, LK__DB_FENCE);
    return lk__fence_write(reason, until_s, out);
}

static lk_status set_fence(lk__db_tx *tx, const lk_session_key *id, lk_reason reason, int64_t until_s)
{
    static const char text[] =
        "UPDATE latchkey_session SET head = ?, due = ?, fields = NULL, seen = NULL, owner = NULL"
        " WHERE id = ?";
    uint8_t room[1 + LK_FENCE_MAX];
    lk_buf head;
    lk_status status = write_fence(reason, until_s, room, &head);

    if (status != LK_OK)
        return status;
    return lk_sql_do(tx->link, text,
                     LK_SQL_VALUES(lk_sql_of_bytes(lk_buf_view(&head)), lk_sql_of_i64(lk__db_time(until_s)),
                                   lk_sql_of_bytes(lk__db_id(id))),
                     NULL);
}

lk_status lk__db_end(lk__db_tx *tx, const lk_session_key *id, lk_reason reason, int64_t until_s)
{
    lk_status status = set_fence(tx, id, reason, until_s);

    return status == LK_OK ? lk__db_tell(tx, (lk__db_event){.kind = LK__DB_ENDED, .id = *id}) : status;
}

/* A fence where there is nothing. *inserted: false when there is something by now. */
static lk_status add_fence(lk__db_tx *tx, const lk_session_key *id, const ending *e, bool *inserted)
{
    uint8_t room[1 + LK_FENCE_MAX];
    uint64_t n = 0;
    lk_buf head;
    lk_status status = write_fence(e->reason, e->fence_s, room, &head);

    if (status == LK_OK)
        status = lk_sql_do(tx->link, tx->db->text->insert_fence,
                           LK_SQL_VALUES(lk_sql_of_i64(lk__db_time(e->fence_s)),
                                         lk_sql_of_bytes(lk_buf_view(&head)), lk_sql_of_bytes(lk__db_id(id))),
                           &n);
    *inserted = n > 0;
    if (status == LK_OK && *inserted)
        status = lk__db_tell(tx, (lk__db_event){.kind = LK__DB_ENDED, .id = *id});
    return status;
}

/* ---- the chain ---- */

/* What stands in the place of one session of the chain, as far as ending it needs to know. */
typedef struct place {
    bool is_there, is_fence;
    lk_reason why;
    int64_t until_s;
    lk_session_key previous; /* zero: none */
} place;

static void read_place(lk__db *db, lk_sql_query *q, lk_session_key *id, place *out)
{
    uint8_t head[LK_HEAD_MAX];
    lk__db_row row;
    lk_session s;
    lk_status status = lk__db_row_read(q, false, &row);

    *id = row.id;
    *out = (place){.is_there = true, .is_fence = row.is_fence, .why = row.why, .until_s = row.until_s};
    if (status == LK_OK && lk__db_row_session(db, &row, head, sizeof(head), &s) == LK_OK)
        out->previous = s.previous;
}

/* Does the chain end before P, which is number I of it? */
static bool ends_before(const place *p, size_t i)
{
    return i > 0 && (!p->is_there || p->is_fence);
}

static bool has_previous(const place *p)
{
    static const lk_session_key none;

    return memcmp(&p->previous, &none, sizeof(none)) != 0;
}

static lk_status look(lk__db_tx *tx, const lk_session_key *id, place *out)
{
    lk_session_key found;
    lk_sql_query *q;
    lk_status status =
        lk_sql_ask(tx->link, tx->db->text->heads[0], LK_SQL_VALUES(lk_sql_of_bytes(lk__db_id(id))), &q);

    *out = (place){0};
    if (status == LK_OK)
        status = lk_sql_step(q);
    if (status != LK_OK)
        return status == LK_MISS ? LK_OK : status;
    read_place(tx->db, q, &found, out);
    lk_sql_reset(q);
    return LK_OK;
}

/* Find the chain that begins with e->chain[0], without a lock. */
static lk_status follow(lk__db_tx *tx, ending *e)
{
    for (e->n = 0; e->n < CHAIN_MAX; e->n++) {
        place p;
        lk_status status = look(tx, &e->chain[e->n], &p);

        if (status != LK_OK)
            return status;
        if (ends_before(&p, e->n))
            return LK_OK;
        e->chain[e->n + 1] = p.previous;
        if (!has_previous(&p)) {
            e->n++;
            return LK_OK;
        }
    }
    return LK_OK;
}

/* Lock the chain and read it again, to PLACES. */
static lk_status lock_chain(lk__db_tx *tx, const ending *e, place places[CHAIN_MAX])
{
    lk_sql_query *q;
    lk_status status = lk__db_ask_ids(tx->link, tx->db->text->locks, e->chain, e->n, &q);

    memset(places, 0, CHAIN_MAX * sizeof(places[0]));
    if (status != LK_OK)
        return status;
    while ((status = lk_sql_step(q)) == LK_OK) {
        lk_session_key id;
        place found;

        read_place(tx->db, q, &id, &found);
        for (size_t i = 0; i < e->n; i++)
            if (memcmp(&e->chain[i], &id, sizeof(id)) == 0)
                places[i] = found;
    }
    return status == LK_MISS ? LK_OK : status;
}

/* End what is in P, the place of ID. */
static lk_status end_place(lk__db_tx *tx, const lk_session_key *id, const place *p, ending *e)
{
    bool inserted;
    lk_status status;

    if (p->is_there && !p->is_fence)
        return lk__db_end(tx, id, e->reason, e->fence_s);
    if (p->is_fence)
        return p->until_s < e->fence_s ? set_fence(tx, id, p->why, e->fence_s) : LK_OK;
    status = add_fence(tx, id, e, &inserted);
    e->is_moved = status == LK_OK && !inserted;
    return status;
}

static lk_status end_chain(lk__db_tx *tx, ending *e, const place *places)
{
    for (size_t i = 0; i < e->n; i++) {
        const place *p = &places[i];
        lk_status status;

        if (ends_before(p, i))
            return LK_OK;
        status = end_place(tx, &e->chain[i], p, e);
        if (status != LK_OK || e->is_moved)
            return status;
        e->is_moved = memcmp(&e->chain[i + 1], &p->previous, sizeof(p->previous)) != 0;
        if (e->is_moved || !has_previous(p))
            return LK_OK;
    }
    return LK_OK;
}

static lk_status destroy_work(lk__db_tx *tx, void *argument)
{
    place places[CHAIN_MAX];
    ending *e = argument;
    lk_status status = follow(tx, e);

    e->is_moved = false;
    if (status == LK_OK)
        status = lock_chain(tx, e, places);
    if (status == LK_OK)
        status = end_chain(tx, e, places);
    return e->is_moved ? LK_STALE : status;
}

lk_status lk__db_destroy(lk_store *store, const lk_session_key *key, lk_reason reason, int64_t fence_s)
{
    lk__db *db = lk__db_of(store);
    ending e = {.reason = reason, .fence_s = fence_s, .chain = {*key}};
    lk_status status = LK_STALE;

    for (unsigned i = 0; i < TRIES_MAX && status == LK_STALE; i++)
        status = lk__db_write(db, LK_SQL_DURABLE, destroy_work, &e,
                              NULL); /* with sync=fast too: a logout stands */
    return status == LK_STALE ? LK_FAULT : status;
}
