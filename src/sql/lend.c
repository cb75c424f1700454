/* SPDX-License-Identifier: Apache-2.0
 *
 * lend.c - connections lent to threads, and what becomes of them when the server is gone.
 *
 * A server that does not answer must not hold every thread for a deadline, again and again. So when one
 * connection met its deadline and nothing was heard on any other meanwhile, all are given up, and from then
 * on one thread at a time tries to connect, less and less often; the others have their answer at once. Where
 * something was heard, it is only that connection, or the server is slow.
 */
#include "sql/inner.h"
#include <errno.h>
#include <time.h>

#define BACKOFF_MIN_MS 50
#define BACKOFF_MAX_MS 2000
#define IDLE_MAX_MS 60000 /* a connection that was not needed for longer is closed */

int64_t lk__sql_clock_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

struct timespec lk__sql_timespec(clockid_t clock, int64_t until_ms)
{
    int64_t left_ms = until_ms - lk__sql_clock_ms();
    struct timespec t;

    clock_gettime(clock, &t);
    if (left_ms > 0) {
        t.tv_sec += (time_t)(left_ms / 1000);
        t.tv_nsec += (long)(left_ms % 1000) * 1000000;
    }
    if (t.tv_nsec >= 1000000000) {
        t.tv_sec++;
        t.tv_nsec -= 1000000000;
    }
    return t;
}

/* ---- a server that is gone ---- */

/* With the lock: try again later, a quarter of the time sooner or later than others. */
static void back_off(lk_sql *db)
{
    uint32_t random = 0;
    int64_t wait_ms;

    db->backoff_ms = db->backoff_ms == 0 ? BACKOFF_MIN_MS : db->backoff_ms * 2;
    if (db->backoff_ms > BACKOFF_MAX_MS)
        db->backoff_ms = BACKOFF_MAX_MS;
    if (lk_random(db->target.env, &random, sizeof(random)) != LK_OK)
        random = 0;
    wait_ms = db->backoff_ms - db->backoff_ms / 4 + random % (db->backoff_ms / 2 + 1);
    db->again_ms = lk__sql_clock_ms() + wait_ms;
}

/* May this thread connect? *first: it is the one that tries a server that was gone. */
static bool may_connect(lk_sql *db, bool *first, lk_note *note)
{
    bool may;

    pthread_mutex_lock(&db->lock);
    *first = db->backoff_ms > 0;
    may = !*first || (!db->trying && lk__sql_clock_ms() >= db->again_ms);
    if (may && *first)
        db->trying = true;
    pthread_mutex_unlock(&db->lock);
    if (!may)
        lk_note_set(note, "Database %s cannot be reached; it is tried again in a moment.", db->target.shown);
    return may;
}

static void connected(lk_sql *db, bool first, bool ok)
{
    pthread_mutex_lock(&db->lock);
    if (first)
        db->trying = false;
    if (ok)
        db->backoff_ms = 0;
    /* Of several that failed at once, one counts. */
    else if (first || db->backoff_ms == 0)
        back_off(db);
    pthread_mutex_unlock(&db->lock);
}

static void connection_lost(lk_sql_link *link)
{
    lk_sql *db = link->db;
    bool late = lk__sql_clock_ms() >= link->until_ms;

    link->lost = true;
    if (!late || atomic_load_explicit(&db->heard_ms, memory_order_relaxed) > link->asked_ms)
        return;
    pthread_mutex_lock(&db->lock);
    if (link->era == db->era) {
        db->era++;
        if (db->backoff_ms == 0)
            back_off(db);
    }
    pthread_mutex_unlock(&db->lock);
}

void lk__sql_ask_begins(lk_sql_link *link)
{
    if (link->db->driver->is_lost != NULL)
        link->asked_ms = lk__sql_clock_ms();
}

lk_status lk__sql_heard(lk_sql_link *link, lk_status status)
{
    if (link->db->driver->is_lost == NULL)
        return status;
    if (link->db->driver->is_lost(link->connection))
        connection_lost(link);
    else
        atomic_store_explicit(&link->db->heard_ms, lk__sql_clock_ms(), memory_order_relaxed);
    return status;
}

/* ---- lending ---- */

void lk__sql_link_close(lk_sql_link *link)
{
    if (link->connection != NULL && link->db->driver->hang_up != NULL)
        link->db->driver->hang_up(link->connection);
    for (size_t i = 0; i < link->queries_n; i++)
        link->db->driver->finalize(link->queries[i].statement);
    link->queries_n = 0;
    if (link->connection != NULL)
        link->db->driver->disconnect(&link->db->target, link->connection);
    link->connection = NULL;
    link->lost = link->listens = false;
}

/* A link nobody has, connected ones first. NULL when all are lent. */
static lk_sql_link *idle_link(lk_sql *db)
{
    lk_sql_link *unconnected = NULL;

    for (size_t i = 0; i < LK_SQL_LINKS_MAX; i++) {
        lk_sql_link *link = &db->links[i];

        if (!link->lent && link->connection != NULL)
            return link;
        if (!link->lent && unconnected == NULL)
            unconnected = link;
    }
    return unconnected;
}

static lk_sql_link *listener_link(lk_sql *db)
{
    lk_sql_link *link = &db->links[LK_SQL_LISTENER];

    return link->lent ? NULL : link;
}

static lk_sql_link *take(lk_sql *db, bool listener, int64_t until_ms)
{
    struct timespec until = lk__sql_timespec(CLOCK_MONOTONIC, until_ms);
    lk_sql_link *link;
    int waited = 0;

    pthread_mutex_lock(&db->lock);
    while ((link = listener ? listener_link(db) : idle_link(db)) == NULL && waited == 0)
        waited = pthread_cond_timedwait(&db->returned, &db->lock, &until);
    if (link != NULL)
        link->lent = true;
    pthread_mutex_unlock(&db->lock);
    return link;
}

static void put_back(lk_sql *db, lk_sql_link *link)
{
    pthread_mutex_lock(&db->lock);
    link->lent = false;
    link->idle_since_ms = lk__sql_clock_ms();
    /* All of them, as those that wait for the listener cannot take what the others wait for. */
    pthread_cond_broadcast(&db->returned);
    pthread_mutex_unlock(&db->lock);
}

/* A burst of work must not hold connections of a server for ever: there are processes on every node. The last
 * link that was not needed for long, taken from those that are lent; NULL when there is none. As links are
 * lent from the first on, the last ones are those of the burst. */
static lk_sql_link *take_idle(lk_sql *db)
{
    int64_t now_ms = lk__sql_clock_ms();
    lk_sql_link *found = NULL;

    pthread_mutex_lock(&db->lock);
    for (size_t i = LK_SQL_LINKS_MAX; i-- > 0 && found == NULL;) {
        lk_sql_link *link = &db->links[i];

        if (!link->lent && link->connection != NULL && now_ms - link->idle_since_ms > IDLE_MAX_MS)
            found = link;
    }
    if (found != NULL)
        found->lent = true;
    pthread_mutex_unlock(&db->lock);
    return found;
}

static void close_idle(lk_sql *db)
{
    lk_sql_link *link = db->driver->is_lost != NULL ? take_idle(db) : NULL;

    if (link == NULL)
        return;
    lk__sql_link_close(link);
    put_back(db, link);
}

static bool is_stale(lk_sql *db, const lk_sql_link *link)
{
    bool old;

    if (db->driver->is_stale == NULL || link->connection == NULL)
        return false;
    pthread_mutex_lock(&db->lock);
    old = link->era != db->era;
    pthread_mutex_unlock(&db->lock);
    return old || db->driver->is_stale(link->connection);
}

static lk_status connect_link(lk_sql *db, lk_sql_link *link, lk_note *note)
{
    bool first = false;
    lk_status status;

    if (is_stale(db, link))
        lk__sql_link_close(link);
    if (link->connection != NULL)
        return LK_OK;
    if (!may_connect(db, &first, note))
        return LK_FAULT;
    pthread_mutex_lock(&db->lock);
    link->era = db->era;
    pthread_mutex_unlock(&db->lock);
    status = db->driver->connect(&db->target, link->until_ms, &link->connection, note);
    if (db->driver->is_lost != NULL)
        connected(db, first, status == LK_OK);
    return status;
}

static lk_status borrow(lk_sql *db, bool listener, lk_sql_link **out, lk_note *note)
{
    int64_t until_ms = lk__sql_clock_ms() + db->target.deadline_ms;
    lk_sql_link *link = take(db, listener, until_ms);
    lk_status status;

    *out = NULL;
    if (link == NULL) {
        lk_note_set(note, "All connections to the database %s are in use.", db->target.shown);
        return LK_FAULT;
    }
    link->until_ms = until_ms;
    link->gave_up = false;
    status = connect_link(db, link, note);
    if (status != LK_OK) {
        put_back(db, link);
        return status;
    }
    db->driver->deadline(link->connection, until_ms, db->target.deadline_ms);
    *out = link;
    return LK_OK;
}

lk_status lk_sql_borrow(lk_sql *db, lk_sql_link **out, lk_note *note)
{
    return borrow(db, false, out, note);
}

void lk_sql_deadline(lk_sql_link *link, uint32_t wait_ms)
{
    link->until_ms = lk__sql_clock_ms() + wait_ms;
    link->db->driver->deadline(link->connection, link->until_ms, wait_ms);
}

void lk_sql_give_back(lk_sql_link *link)
{
    if (link == NULL)
        return;
    for (size_t i = 0; i < link->queries_n; i++)
        lk_sql_reset(&link->queries[i]);
    lk_sql_rollback(link);
    if (link->lost || (link->db->driver->is_lost != NULL && link->db->driver->is_lost(link->connection)))
        lk__sql_link_close(link);
    put_back(link->db, link);
    close_idle(link->db);
}

/* ---- listening ---- */

lk_status lk_sql_borrow_listener(lk_sql *db, const char *channel, lk_sql_link **out, lk_note *note)
{
    lk_status status = borrow(db, true, out, note);

    if (status != LK_OK || (*out)->listens)
        return status;
    lk__sql_ask_begins(*out);
    status = lk__sql_heard(*out, db->driver->listen((*out)->connection, channel));
    (*out)->listens = status == LK_OK;
    if (status == LK_OK)
        return LK_OK;
    lk_sql_explain(*out, note);
    lk_sql_give_back(*out);
    *out = NULL;
    return status;
}

lk_status lk_sql_wait(lk_sql_link *link, uint32_t wait_ms)
{
    lk_status status;

    if (link->lost || !link->listens || link->in_transaction)
        return LK_FAULT;
    lk_sql_deadline(link, wait_ms);
    status = link->db->driver->wait(link->connection, wait_ms);
    lk_sql_deadline(link, link->db->target.deadline_ms);
    return lk__sql_heard(link, status);
}
