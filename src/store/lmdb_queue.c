/* SPDX-License-Identifier: Apache-2.0
 *
 * lmdb_queue.c - writes of one process wait in a queue; whoever finds nobody at work takes all that wait and
 * does them in one transaction. The disk is then waited for once and not once each. Writers of other
 * processes are kept apart by LMDB's own lock.
 */
#include "store/lmdb_inner.h"

typedef struct lk__lmdb_job {
    lk__lmdb_work work;
    void *argument;
    lk_status status;
    bool is_done;
    struct lk__lmdb_job *next;
} job;

static int begin_write(lk__lmdb_env *db, MDB_txn **txn)
{
    int error = mdb_txn_begin(db->mdb, NULL, 0, txn);

    if (error == MDB_MAP_RESIZED && lk__lmdb_map_anew(db) == MDB_SUCCESS)
        error = mdb_txn_begin(db->mdb, NULL, 0, txn);
    return error;
}

/* Run JOBS up to END in one transaction. False, with nothing done, when one of them failed or it could not be
 * committed; *failed then says how. */
static bool run_in_one(lk__lmdb_env *db, job *jobs, const job *end, lk_status *failed)
{
    MDB_txn *txn;
    int error = begin_write(db, &txn);

    *failed = LK_OK;
    if (error != MDB_SUCCESS) {
        *failed = lk__lmdb_status(error);
        return false;
    }
    for (job *j = jobs; j != end && *failed == LK_OK; j = j->next) {
        j->status = j->work(db, txn, j->argument);
        if (j->status == LK_FULL || j->status == LK_FAULT)
            *failed = j->status;
    }
    if (*failed != LK_OK) {
        mdb_txn_abort(txn);
        return false;
    }
    *failed = lk__lmdb_status(mdb_txn_commit(txn));
    return *failed == LK_OK;
}

/* Run the jobs of a batch: together when there are several, and each alone when that did not work. */
static void run_batch(lk__lmdb_env *db, job *jobs)
{
    lk_status failed;

    pthread_mutex_lock(&db->write_lock);
    if (jobs->next == NULL || !run_in_one(db, jobs, NULL, &failed)) {
        for (job *j = jobs; j != NULL; j = j->next) {
            if (!run_in_one(db, j, j->next, &failed))
                j->status = failed;
        }
    }
    pthread_mutex_unlock(&db->write_lock);
}

/* Take everything that waits and do it. The caller holds queue_lock, which is let go while the work runs:
 * what comes in meanwhile is the next batch, and shares one wait for the disk. */
static void lead(lk__lmdb_env *db)
{
    job *jobs = db->first, *next;

    db->is_led = true;
    db->first = db->last = NULL;
    pthread_mutex_unlock(&db->queue_lock);
    run_batch(db, jobs);
    pthread_mutex_lock(&db->queue_lock);
    for (job *j = jobs; j != NULL; j = next) {
        next = j->next; /* once it is done, its owner may be gone */
        j->is_done = true;
    }
    db->is_led = false;
    pthread_cond_broadcast(&db->queue_moved);
}

lk_status lk__lmdb_write(lk__lmdb_env *db, lk__lmdb_work work, void *argument)
{
    job mine = {.work = work, .argument = argument, .status = LK_FAULT};

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
