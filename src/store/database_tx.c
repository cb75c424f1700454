/* SPDX-License-Identifier: Apache-2.0
 *
 * database_tx.c - one write: a transaction, its events as its last step, and once more when the database
 * undid it for the sake of another. Where there is one writer at a time, the writes that wait for each other
 * share a transaction: database_queue.c.
 */
#include "store/database.h"
#include <string.h>

#define TRIES_MAX 5 /* of a transaction that the database undoes for the sake of another */

lk_status lk__db_tell(lk__db_tx *tx, lk__db_event event)
{
    const lk_env *env = tx->db->base.env;

    if (tx->events_n == tx->events_cap) {
        size_t cap = tx->events_cap * 2;
        lk__db_event *more = lk_alloc(env, cap * sizeof(*more));

        if (more == NULL)
            return LK_FAULT;
        memcpy(more, tx->events, tx->events_n * sizeof(*more));
        if (tx->events != tx->few)
            lk_free(env, tx->events);
        tx->events = more;
        tx->events_cap = cap;
    }
    tx->events[tx->events_n++] = event;
    return LK_OK;
}

lk_status lk__db_tx_run(lk__db_tx *tx, lk__db_work work, void *argument)
{
    lk_status status;

    tx->events_n = 0;
    status = work(tx, argument);
    return status == LK_OK ? lk__db_events_write(tx) : status;
}

static lk_status run_alone(lk__db_tx *tx, lk_sql_durability durability, lk__db_work work, void *argument)
{
    lk_status status = lk_sql_begin(tx->link, durability);

    if (status != LK_OK)
        return status;
    status = lk__db_tx_run(tx, work, argument);
    if (status == LK_OK)
        return lk_sql_commit(tx->link);
    lk_sql_rollback(tx->link);
    return status;
}

/* Wake who listens. In a transaction of its own: inside the write it would let one commit at a time. If it
 * fails, they look by themselves a little later. */
static void notify(const lk__db_tx *tx)
{
    lk_sql_query *q;

    if (tx->db->text->notify == NULL || lk_sql_prepare(tx->link, tx->db->text->notify, &q) != LK_OK)
        return;
    if (lk_sql_step(q) == LK_OK)
        lk_sql_reset(q);
}

static lk_status write_now(lk__db_tx *tx, lk_sql_durability durability, lk__db_work work, void *argument)
{
    lk_status status = lk_sql_borrow(tx->db->sql, &tx->link, NULL);

    if (status != LK_OK)
        return status == LK_FULL ? LK_FULL : LK_FAULT;
    for (unsigned i = 0; i < TRIES_MAX; i++) {
        status = run_alone(tx, durability, work, argument);
        if (status == LK_OK || !lk_sql_may_retry(tx->link))
            break;
    }
    if (status == LK_OK && tx->events_n > 0)
        notify(tx);
    lk_sql_give_back(tx->link);
    return status;
}

lk_status lk__db_write(lk__db *db, lk_sql_durability durability, lk__db_work work, void *argument,
                       uint64_t *last_seq)
{
    lk__db_tx tx = {.db = db, .events_cap = LK__DB_EVENTS_FEW};
    lk_status status;

    tx.events = tx.few;
    if (db->text->is_one_writer)
        status = lk__db_queue(&tx, durability, work, argument);
    else
        status = write_now(&tx, durability, work, argument);
    if (tx.events != tx.few)
        lk_free(db->base.env, tx.events);
    if (last_seq != NULL)
        *last_seq = tx.last_seq;
    return status;
}
