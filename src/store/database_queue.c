/* SPDX-License-Identifier: Apache-2.0
 *
 * database_queue.c - where there is one writer at a time (SQLite), writes of one process wait in a queue.
 * Whoever finds nobody at work takes those that wait and does them in one transaction, in the order in which
 * they came: the disk is waited for once and not once each, and none waits for ever while others go before
 * it. Writers of other processes are kept apart by the database's own lock.
 */
#include "store/database.h"

#define TOGETHER_MAX 32 /* so that the last of them has its answer soon, too */

typedef struct lk__db_job {
    lk__db_tx *tx;
    lk_sql_durability durability;
    lk__db_work work;
    void *argument;
    lk_status status;
    bool is_done;
    struct lk__db_job *next;
} job;

static bool is_broken(lk_status status)
{
    return status == LK_FULL || status == LK_FAULT;
}

/* Run J in the transaction that LINK has; what it wrote is undone when it does not answer LK_OK. */
static lk_status run_one(lk_sql_link *link, job *j, bool is_shared)
{
    static const char mark[] = "SAVEPOINT latchkey", undo[] = "ROLLBACK TO latchkey",
                      drop[] = "RELEASE latchkey";
    lk_status undone, status = is_shared ? lk_sql_do(link, mark, NULL, 0, NULL) : LK_OK;

    if (status != LK_OK)
        return LK_FAULT;
    j->tx->link = link;
    status = lk__db_tx_run(j->tx, j->work, j->argument);
    if (!is_shared || is_broken(status))
        return status;
    undone = status != LK_OK ? lk_sql_do(link, undo, NULL, 0, NULL) : LK_OK;
    if (undone == LK_OK)
        undone = lk_sql_do(link, drop, NULL, 0, NULL);
    return undone == LK_OK ? status : LK_FAULT;
}

/* Run JOBS up to END in one transaction. LK_OK: each has its answer; LK_FULL, LK_FAULT: nothing was written.
 */
static lk_status run_in_one(lk_sql_link *link, job *jobs, const job *end)
{
    lk_sql_durability durability = LK_SQL_RELAXED;
    bool is_shared = jobs->next != end, any = false;
    lk_status status;

    for (job *j = jobs; j != end; j = j->next)
        if (j->durability == LK_SQL_DURABLE)
            durability = LK_SQL_DURABLE;
    status = lk_sql_begin(link, durability);
    for (job *j = jobs; j != end && status == LK_OK; j = j->next) {
        j->status = run_one(link, j, is_shared);
        any = any || j->status == LK_OK;
        if (is_broken(j->status))
            status = j->status;
    }
    if (status == LK_OK && any)
        return lk_sql_commit(link);
    lk_sql_rollback(link);
    return status;
}

/* Run the jobs of a batch: together when there are several, and each alone when that did not work. */
static void run_batch(lk_sql_link *link, job *jobs)
{
    if (jobs->next != NULL && run_in_one(link, jobs, NULL) == LK_OK)
        return;
    for (job *j = jobs; j != NULL; j = j->next) {
        lk_status status = run_in_one(link, j, j->next);

        if (status != LK_OK)
            j->status = status;
    }
}

/* Take the first jobs off the queue. */
static job *take(lk__db *db)
{
    job *jobs = db->first, *last = jobs;

    for (unsigned n = 1; n < TOGETHER_MAX && last->next != NULL; n++)
        last = last->next;
    db->first = last->next;
    if (db->first == NULL)
        db->last = NULL;
    last->next = NULL;
    return jobs;
}

/* Do what waits. The caller holds queue_lock, which is let go meanwhile. */
static void lead(lk__db *db)
{
    job *jobs = take(db), *next;
    lk_sql_link *link;
    lk_status status;

    db->is_led = true;
    pthread_mutex_unlock(&db->queue_lock);
    status = lk_sql_borrow(db->sql, &link, NULL);
    if (status == LK_OK)
        run_batch(link, jobs);
    lk_sql_give_back(link);
    pthread_mutex_lock(&db->queue_lock);
    for (job *j = jobs; j != NULL; j = next) {
        next = j->next; /* once it is done, its owner may be gone */
        if (status != LK_OK)
            j->status = status == LK_FULL ? LK_FULL : LK_FAULT;
        j->is_done = true;
    }
    db->is_led = false;
    pthread_cond_broadcast(&db->queue_moved);
}

lk_status lk__db_queue(lk__db_tx *tx, lk_sql_durability durability, lk__db_work work, void *argument)
{
    job mine = {.tx = tx, .durability = durability, .work = work, .argument = argument, .status = LK_FAULT};
    lk__db *db = tx->db;

    pthread_mutex_lock(&db->queue_lock);
    if (db->last != NULL)
        db->last->next = &mine;
    else
        db->first = &mine;
    db->last = &mine;
    while (!mine.is_done) {
        if (db->is_led)
            pthread_cond_wait(&db->queue_moved, &db->queue_lock);
        else
            lead(db);
    }
    pthread_mutex_unlock(&db->queue_lock);
    return mine.status;
}
