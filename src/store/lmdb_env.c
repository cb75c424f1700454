/* SPDX-License-Identifier: Apache-2.0
 *
 * lmdb_env.c - opening and closing the environment, and the readers' places. The writers' queue is in
 * lmdb_queue.c.
 *
 * LMDB's rules that shape this file: an environment is opened once per process and after fork; a look-up
 * needs a transaction, which is kept and renewed (MDB_NOTLS, so that it belongs to a place and not to a
 * thread); the file may be mapped anew only while no transaction of this process is under way; a process
 * killed while reading leaves a reader that keeps old pages from being used again until somebody checks for
 * it.
 */
#include "store/lmdb_inner.h"
#include "store/pack.h"
#include <errno.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define FORMAT 1
#define READERS_MAX 1022 /* of all processes; the lock file has room for that many */
#define TRIES_MAX 50     /* of opening, 10 ms apart */

/* Sessions are in the unnamed database. A named one has to be found by its name in that one first, in each
 * transaction anew, which would double the time of a look-up. The names have another length than a session
 * key, so neither can be taken for the other, and begin alike, so that they lie together. */
static const char *const names[LK__LMDB_NAMES] = {NULL, "~users", "~expiry", "~events", "~meta"};

static pthread_mutex_t opened_lock = PTHREAD_MUTEX_INITIALIZER;
static lk__lmdb_env *opened; /* the environments of this process */

lk_status lk__lmdb_status(int error)
{
    switch (error) {
    case MDB_SUCCESS:
        return LK_OK;
    case MDB_NOTFOUND:
        return LK_MISS;
    case MDB_MAP_FULL:
    case MDB_TXN_FULL:
    case ENOSPC:
    case EDQUOT:
    case EFBIG:
        return LK_FULL;
    default: /* a number of another library, not an enumeration of ours */
        return LK_FAULT;
    }
}

/* ---- readers ---- */

static bool try_take(lk__lmdb_slot *slot)
{
    return !atomic_load_explicit(&slot->is_taken, memory_order_relaxed) &&
           !atomic_exchange_explicit(&slot->is_taken, true, memory_order_acquire);
}

lk__lmdb_slot *lk__lmdb_slot_take(lk__lmdb_env *db)
{
    static _Atomic unsigned threads;
    static _Thread_local unsigned home; /* each thread begins at its own place: no two wait for each other */

    if (home == 0)
        home = atomic_fetch_add(&threads, 1) % LK__LMDB_SLOTS + 1;
    for (;;) {
        for (unsigned i = 0; i < LK__LMDB_SLOTS; i++) {
            lk__lmdb_slot *slot = &db->slots[(home - 1 + i) % LK__LMDB_SLOTS];

            if (try_take(slot))
                return slot;
        }
        sched_yield();
    }
}

void lk__lmdb_slot_give(lk__lmdb_slot *slot)
{
    atomic_store_explicit(&slot->is_taken, false, memory_order_release);
}

/* Map the file anew at the size another process has given it. The caller holds write_lock; with every place
 * taken too, no transaction of this process is under way. */
int lk__lmdb_map_anew(lk__lmdb_env *db)
{
    int error;

    for (unsigned i = 0; i < LK__LMDB_SLOTS; i++) {
        while (!try_take(&db->slots[i]))
            sched_yield();
    }
    error = mdb_env_set_mapsize(db->mdb, 0);
    for (unsigned i = 0; i < LK__LMDB_SLOTS; i++)
        lk__lmdb_slot_give(&db->slots[i]);
    return error;
}

static int begin_in(lk__lmdb_env *db, lk__lmdb_slot *slot)
{
    int error;

    if (slot->txn == NULL)
        return mdb_txn_begin(db->mdb, NULL, MDB_RDONLY, &slot->txn);
    error = mdb_txn_renew(slot->txn);
    if (error == MDB_BAD_RSLOT) {
        mdb_txn_abort(slot->txn);
        slot->txn = NULL;
        error = mdb_txn_begin(db->mdb, NULL, MDB_RDONLY, &slot->txn);
    }
    return error;
}

lk_status lk__lmdb_read_begin(lk__lmdb_env *db, lk__lmdb_slot **out)
{
    int error = MDB_SUCCESS, dead;

    for (unsigned i = 0; i < 3; i++) {
        lk__lmdb_slot *slot = lk__lmdb_slot_take(db);

        error = begin_in(db, slot);
        if (error == MDB_SUCCESS) {
            *out = slot;
            return LK_OK;
        }
        lk__lmdb_slot_give(slot);
        if (error == MDB_READERS_FULL) {
            (void)mdb_reader_check(db->mdb, &dead);
        } else if (error == MDB_MAP_RESIZED) {
            pthread_mutex_lock(&db->write_lock);
            (void)lk__lmdb_map_anew(db);
            pthread_mutex_unlock(&db->write_lock);
        } else {
            break;
        }
    }
    return LK_FAULT;
}

void lk__lmdb_read_end(lk__lmdb_slot *slot)
{
    mdb_txn_reset(slot->txn);
    lk__lmdb_slot_give(slot);
}

/* ---- opening ---- */

static int open_names(lk__lmdb_env *db, unsigned flags)
{
    MDB_txn *txn;
    int error = mdb_txn_begin(db->mdb, NULL, flags == MDB_CREATE ? 0 : MDB_RDONLY, &txn);

    for (unsigned i = 0; i < LK__LMDB_NAMES && error == MDB_SUCCESS; i++)
        error = mdb_dbi_open(txn, names[i], flags, &db->dbs[i]);
    if (error != MDB_SUCCESS) {
        if (txn != NULL)
            mdb_txn_abort(txn);
        return error;
    }
    return mdb_txn_commit(txn);
}

static int open_mdb(lk__lmdb_env *db, const char *path, lk__lmdb_options options)
{
    unsigned flags = MDB_NOTLS | (options.is_fast ? MDB_NOMETASYNC : 0);
    MDB_txn *txn;
    int error = mdb_env_create(&db->mdb), dead;

    if (error != MDB_SUCCESS)
        return error;
    error = mdb_env_set_maxdbs(db->mdb, LK__LMDB_NAMES);
    if (error == MDB_SUCCESS)
        error = mdb_env_set_maxreaders(db->mdb, READERS_MAX);
    if (error == MDB_SUCCESS)
        error = mdb_env_set_mapsize(db->mdb, (size_t)options.map_len);
    if (error == MDB_SUCCESS)
        error = mdb_env_open(db->mdb, path, flags, 0600);
    if (error == MDB_SUCCESS)
        error = mdb_reader_check(db->mdb, &dead);
    if (error == MDB_SUCCESS)
        error = mdb_txn_begin(db->mdb, NULL, 0, &txn); /* can the locks be taken? */
    if (error == MDB_SUCCESS) {
        mdb_txn_abort(txn);
        error = open_names(db, 0);
    }
    if (error == MDB_NOTFOUND)
        error = open_names(db, MDB_CREATE);
    if (error != MDB_SUCCESS) {
        mdb_env_close(db->mdb);
        db->mdb = NULL;
    }
    return error;
}

/* Opening can fail when another process opens or closes the environment at exactly the same time (lmdb.h):
 * the last one to leave takes the locks down. Then it is tried again. */
static int open_patiently(lk__lmdb_env *db, const char *path, lk__lmdb_options options)
{
    const struct timespec pause = {.tv_nsec = 10000000};
    int error = MDB_SUCCESS;

    for (unsigned i = 0; i < TRIES_MAX; i++) {
        error = open_mdb(db, path, options);
        if (error != EINVAL && error != EAGAIN && error != EBUSY && error != MDB_PANIC &&
            error != MDB_INVALID)
            break;
        nanosleep(&pause, NULL);
    }
    return error;
}

static lk_status format_work(lk__lmdb_env *db, MDB_txn *txn, void *argument)
{
    uint8_t format[4];
    lk_view found;
    lk_status status = lk__lmdb_get(db, txn, LK__LMDB_META, LK_VIEW("format"), &found);

    (void)argument;
    if (status == LK_OK)
        return found.len == sizeof(format) && lk__get32(found.p) == FORMAT ? LK_OK : LK_STALE;
    if (status != LK_MISS)
        return status;
    lk__put32(format, FORMAT);
    return lk__lmdb_put(db, txn, LK__LMDB_META, LK_VIEW("format"), lk_view_make(format, sizeof(format)));
}

/* The environment is open: look at what is in it. */
static lk_status begin_use(lk__lmdb_env *db, const char *path, lk_note *note)
{
    lk__lmdb_slot *slot;
    MDB_stat stat;
    lk_status status = lk__lmdb_write(db, format_work, NULL);

    if (status == LK_STALE)
        lk_note_set(note, "%s was written by a newer latchkey: format %d is what this one reads", path,
                    FORMAT);
    if (status == LK_FULL)
        lk_note_set(note, "%s: no room to begin a store", path);
    if (status == LK_OK)
        status = lk__lmdb_read_begin(db, &slot); /* so that the first look-up finds a transaction made */
    if (status == LK_FAULT)
        lk_note_set(note, "%s cannot be read", path);
    if (status != LK_OK)
        return status == LK_FULL ? LK_FAULT : status;
    lk__lmdb_read_end(slot);
    (void)mdb_env_stat(db->mdb, &stat);
    db->page_len = stat.ms_psize;
    return LK_OK;
}

static void discard(lk__lmdb_env *db)
{
    if (db->mdb != NULL && db->pid == getpid()) {
        for (unsigned i = 0; i < LK__LMDB_SLOTS; i++)
            mdb_txn_abort(db->slots[i].txn);
        mdb_env_close(db->mdb);
    }
    pthread_mutex_destroy(&db->queue_lock);
    pthread_mutex_destroy(&db->write_lock);
    pthread_cond_destroy(&db->queue_moved);
    lk_free(db->env, db);
}

static lk_status open_fresh(const lk_env *env, const char *path, lk__lmdb_options options,
                            const struct stat *where, lk__lmdb_env **out, lk_note *note)
{
    lk__lmdb_env *db = lk_alloc(env, sizeof(*db));
    lk_status status;
    int error;

    if (db == NULL) {
        lk_note_set(note, "out of memory");
        return LK_FAULT;
    }
    db->env = env;
    db->device = where->st_dev;
    db->inode = where->st_ino;
    db->pid = getpid();
    db->is_fast = options.is_fast;
    pthread_mutex_init(&db->queue_lock, NULL);
    pthread_mutex_init(&db->write_lock, NULL);
    pthread_cond_init(&db->queue_moved, NULL);
    error = open_patiently(db, path, options);
    if (error != MDB_SUCCESS)
        lk_note_set(note, "%s cannot be opened: %s", path, mdb_strerror(error));
    if (error == MDB_VERSION_MISMATCH)
        status = LK_STALE;
    else
        status = error == MDB_SUCCESS ? begin_use(db, path, note) : LK_FAULT;
    if (status != LK_OK) {
        discard(db);
        return status;
    }
    *out = db;
    return LK_OK;
}

/* The environment of that directory if this process has it open already. After a fork the parent's are still
 * in the list; they are its own and not to be used here. */
static lk__lmdb_env *find_opened(const struct stat *where)
{
    for (lk__lmdb_env *db = opened; db != NULL; db = db->next) {
        if (db->device == where->st_dev && db->inode == where->st_ino && db->pid == getpid())
            return db;
    }
    return NULL;
}

static bool find_directory(const char *path, struct stat *where, lk_note *note)
{
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        lk_note_set(note, "%s cannot be made: %s", path, strerror(errno));
        return false;
    }
    if (stat(path, where) != 0 || !S_ISDIR(where->st_mode)) {
        lk_note_set(note, "%s is no directory", path);
        return false;
    }
    return true;
}

lk_status lk__lmdb_env_open(const lk_env *env, const char *path, lk__lmdb_options options, lk__lmdb_env **out,
                            lk_note *note)
{
    struct stat where;
    lk__lmdb_env *db;
    lk_status status = LK_OK;

    if (!find_directory(path, &where, note))
        return LK_FAULT;
    pthread_mutex_lock(&opened_lock);
    db = find_opened(&where);
    if (db == NULL) {
        status = open_fresh(env, path, options, &where, &db, note);
        if (status == LK_OK) {
            db->next = opened;
            opened = db;
        }
    }
    if (status == LK_OK) {
        db->handles++;
        *out = db;
    }
    pthread_mutex_unlock(&opened_lock);
    return status;
}

void lk__lmdb_env_close(lk__lmdb_env *db)
{
    pthread_mutex_lock(&opened_lock);
    db->handles--;
    if (db->handles == 0) {
        lk__lmdb_env **link = &opened;

        while (*link != db)
            link = &(*link)->next;
        *link = db->next;
        discard(db);
    }
    pthread_mutex_unlock(&opened_lock);
}
