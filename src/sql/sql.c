/* SPDX-License-Identifier: Apache-2.0
 *
 * sql.c - the registry of dialects, connections lent to threads, the table of prepared statements.
 */
#include "sql/driver.h"
#include <errno.h>
#include <pthread.h>
#include <time.h>

#define PLACE_MAX 512

static const lk_sql_driver *const drivers[] = {&lk__sql_sqlite};

struct lk_sql_query {
    lk_sql_link *link;
    const char *text;
    void *statement;
    bool unbound; /* a value could not be bound: the next step says so */
};

struct lk_sql_link {
    lk_sql *db;
    void *connection; /* NULL until first lent */
    bool lent, in_transaction;
    bool gave_up; /* the last begin waited in vain for another writer of this process */
    size_t queries_n;
    lk_sql_query queries[LK_SQL_QUERIES_MAX];
};

struct lk_sql {
    const lk_env *env;
    const lk_sql_driver *driver;
    char place[PLACE_MAX];
    pthread_mutex_t lock; /* guards `lent` of every link */
    pthread_cond_t returned;
    pthread_mutex_t writer; /* held from begin to commit when the driver has one writer at a time */
    lk_sql_link links[LK_SQL_LINKS_MAX];
};

/* ---- open and close ---- */

static lk_status driver_of(const char *url, const lk_sql_driver **driver, const char **place, lk_note *note)
{
    lk_view whole = lk_view_of(url);
    size_t colon = lk_view_find(whole, ':');

    for (size_t i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++) {
        if (colon == whole.len ||
            !lk_view_equal(lk_view_part(whole, 0, colon), lk_view_of(drivers[i]->scheme)))
            continue;
        if (whole.len - colon > PLACE_MAX) {
            lk_note_set(note, "The database URL is longer than %d bytes.", PLACE_MAX);
            return LK_REFUSED;
        }
        *driver = drivers[i];
        *place = url + colon + 1;
        return (*driver)->check(*place, note);
    }
    lk_note_set(note, "A database URL begins with \"sqlite:\", as in sqlite:/var/lib/latchkey/accounts.db.");
    return LK_REFUSED;
}

lk_status lk_sql_url_check(const char *url, lk_note *note)
{
    const lk_sql_driver *driver;
    const char *place;

    return driver_of(url, &driver, &place, note);
}

static void locks_init(lk_sql *db)
{
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&db->lock, NULL);
    pthread_mutex_init(&db->writer, NULL);
    pthread_cond_init(&db->returned, &attr);
    pthread_condattr_destroy(&attr);
}

lk_status lk_sql_open(const lk_env *env, const char *url, lk_sql **out, lk_note *note)
{
    const lk_sql_driver *driver = NULL;
    const char *place = NULL;
    lk_sql_link *link = NULL;
    lk_sql *db = NULL;
    lk_buf b;
    lk_status status = driver_of(url, &driver, &place, note);

    *out = NULL;
    if (status != LK_OK)
        return status;
    db = lk_alloc(env, sizeof(*db));
    if (db == NULL) {
        lk_note_set(note, "Out of memory.");
        return LK_FAULT;
    }
    db->env = env;
    db->driver = driver;
    b = lk_buf_over(db->place, sizeof(db->place) - 1);
    lk_buf_add_text(&b, place);
    locks_init(db);
    status = lk_sql_borrow(db, &link, note);
    lk_sql_give_back(link);
    if (status == LK_OK)
        *out = db;
    else
        lk_sql_close(db);
    return status;
}

static void link_close(lk_sql *db, lk_sql_link *link)
{
    for (size_t i = 0; i < link->queries_n; i++)
        db->driver->finalize(link->queries[i].statement);
    if (link->connection != NULL)
        db->driver->disconnect(db->env, link->connection);
}

void lk_sql_close(lk_sql *db)
{
    if (db == NULL)
        return;
    for (size_t i = 0; i < LK_SQL_LINKS_MAX; i++)
        link_close(db, &db->links[i]);
    pthread_cond_destroy(&db->returned);
    pthread_mutex_destroy(&db->writer);
    pthread_mutex_destroy(&db->lock);
    lk_free(db->env, db);
}

lk_sql_dialect lk_sql_dialect_of(const lk_sql *db)
{
    return db->driver->dialect;
}

/* ---- lending ---- */

static struct timespec deadline_on(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    t.tv_sec += LK_SQL_WAIT_MS / 1000;
    return t;
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

static void put_back(lk_sql *db, lk_sql_link *link)
{
    pthread_mutex_lock(&db->lock);
    link->lent = false;
    pthread_cond_signal(&db->returned);
    pthread_mutex_unlock(&db->lock);
}

lk_status lk_sql_borrow(lk_sql *db, lk_sql_link **out, lk_note *note)
{
    struct timespec until = deadline_on(CLOCK_MONOTONIC);
    lk_status status = LK_OK;
    lk_sql_link *link;
    int waited = 0;

    *out = NULL;
    pthread_mutex_lock(&db->lock);
    while ((link = idle_link(db)) == NULL && waited == 0)
        waited = pthread_cond_timedwait(&db->returned, &db->lock, &until);
    if (link != NULL)
        link->lent = true;
    pthread_mutex_unlock(&db->lock);
    if (link == NULL) {
        lk_note_set(note, "All %d connections to the database are in use.", LK_SQL_LINKS_MAX);
        return LK_FAULT;
    }
    link->db = db;
    if (link->connection == NULL)
        status = db->driver->connect(db->env, db->place, &link->connection, note);
    if (status == LK_OK)
        *out = link;
    else
        put_back(db, link);
    return status;
}

void lk_sql_give_back(lk_sql_link *link)
{
    if (link == NULL)
        return;
    for (size_t i = 0; i < link->queries_n; i++)
        lk_sql_reset(&link->queries[i]);
    lk_sql_rollback(link);
    put_back(link->db, link);
}

/* ---- transactions ---- */

static void transaction_over(lk_sql_link *link)
{
    link->in_transaction = false;
    if (link->db->driver->one_writer)
        pthread_mutex_unlock(&link->db->writer);
}

lk_status lk_sql_begin(lk_sql_link *link, lk_sql_durability durability)
{
    const lk_sql_driver *driver = link->db->driver;
    struct timespec until = deadline_on(CLOCK_REALTIME); /* what pthread_mutex_timedlock counts in */
    lk_status status;

    if (link->in_transaction)
        return LK_FAULT;
    link->gave_up = driver->one_writer && pthread_mutex_timedlock(&link->db->writer, &until) != 0;
    if (link->gave_up)
        return LK_FAULT;
    link->in_transaction = true;
    status = driver->begin(link->connection, durability);
    if (status != LK_OK)
        transaction_over(link);
    return status;
}

lk_status lk_sql_commit(lk_sql_link *link)
{
    lk_status status;

    if (!link->in_transaction)
        return LK_FAULT;
    status = link->db->driver->commit(link->connection);
    if (status != LK_OK)
        link->db->driver->rollback(link->connection);
    transaction_over(link);
    return status;
}

void lk_sql_rollback(lk_sql_link *link)
{
    if (!link->in_transaction)
        return;
    link->db->driver->rollback(link->connection);
    transaction_over(link);
}

/* ---- statements ---- */

lk_status lk_sql_script(lk_sql_link *link, const char *statements)
{
    return link->db->driver->script(link->connection, statements);
}

lk_status lk_sql_prepare(lk_sql_link *link, const char *text, lk_sql_query **out)
{
    lk_sql_query *q;
    lk_status status;

    *out = NULL;
    for (size_t i = 0; i < link->queries_n; i++)
        if (link->queries[i].text == text) {
            *out = &link->queries[i];
            return LK_OK;
        }
    if (link->queries_n == LK_SQL_QUERIES_MAX)
        return LK_FAULT;
    q = &link->queries[link->queries_n];
    *q = (lk_sql_query){.link = link, .text = text};
    status = link->db->driver->prepare(link->connection, text, &q->statement);
    if (status != LK_OK)
        return status;
    link->queries_n++;
    *out = q;
    return LK_OK;
}

void lk_sql_bind_i64(lk_sql_query *q, int place, int64_t value)
{
    q->unbound |= !q->link->db->driver->bind_i64(q->statement, place, value);
}

void lk_sql_bind_text(lk_sql_query *q, int place, lk_view value)
{
    q->unbound |= !q->link->db->driver->bind_text(q->statement, place, value);
}

void lk_sql_bind_bytes(lk_sql_query *q, int place, lk_view value)
{
    q->unbound |= !q->link->db->driver->bind_bytes(q->statement, place, value);
}

lk_status lk_sql_step(lk_sql_query *q)
{
    lk_status status = LK_FAULT;

    if (!q->unbound)
        status = q->link->db->driver->step(q->link->connection, q->statement);
    if (status != LK_OK)
        lk_sql_reset(q);
    return status;
}

lk_status lk_sql_run(lk_sql_query *q, uint64_t *changed)
{
    lk_status status = lk_sql_step(q);

    if (changed != NULL)
        *changed = status == LK_MISS ? q->link->db->driver->changed(q->link->connection) : 0;
    if (status == LK_OK) /* it gave a row: not a statement for run */
        lk_sql_reset(q);
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

    return status == LK_OK ? lk_sql_run(q, changed) : status;
}

void lk_sql_reset(lk_sql_query *q)
{
    q->unbound = false;
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

void lk_sql_explain(lk_sql_link *link, lk_note *note)
{
    if (link->gave_up)
        lk_note_set(note, "Database %s: another thread held on to it for too long.", link->db->place);
    else
        link->db->driver->explain(link->connection, note);
}
