/* SPDX-License-Identifier: Apache-2.0
 *
 * sql.c - a database opened and closed; transactions; what is asked of the server itself.
 */
#include "sql/inner.h"
#include <string.h>
#include <time.h>

#define SCHEMA_DEADLINE_MS 60000 /* of one step of a schema, which may have to write every row anew */

/* ---- open and close ---- */

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

static lk_status make(const lk_env *env, const char *url, const lk_sql_options *options, lk_sql **out,
                      lk_note *note)
{
    const lk_sql_driver *driver = NULL;
    lk_sql_target to;
    lk_status status = lk__sql_target_read(url, &driver, &to, note);

    if (status != LK_OK)
        return status;
    *out = lk_alloc(env, sizeof(**out));
    if (*out == NULL) {
        lk_note_set(note, "Out of memory.");
        return LK_FAULT;
    }
    (*out)->driver = driver;
    (*out)->target = to;
    (*out)->target.env = env;
    (*out)->target.place = (*out)->target.url + (to.place - to.url);
    (*out)->target.must_exist = options != NULL && options->must_exist;
    if (to.deadline_ms == 0)
        (*out)->target.deadline_ms =
            options != NULL && options->deadline_ms != 0 ? options->deadline_ms : LK_SQL_WAIT_MS;
    for (size_t i = 0; i <= LK_SQL_LISTENER; i++)
        (*out)->links[i].db = *out;
    locks_init(*out);
    return LK_OK;
}

lk_status lk_sql_open(const lk_env *env, const char *url, const lk_sql_options *options, lk_sql **out,
                      lk_note *note)
{
    lk_sql_link *link = NULL;
    lk_sql *db = NULL;
    lk_status status;

    *out = NULL;
    status = make(env, url, options, &db, note);
    if (status == LK_OK)
        status = lk_sql_borrow(db, &link, note);
    lk_sql_give_back(link);
    if (status == LK_OK)
        *out = db;
    else
        lk_sql_close(db);
    return status;
}

void lk_sql_close(lk_sql *db)
{
    if (db == NULL)
        return;
    for (size_t i = 0; i <= LK_SQL_LISTENER; i++)
        lk__sql_link_close(&db->links[i]);
    pthread_cond_destroy(&db->returned);
    pthread_mutex_destroy(&db->writer);
    pthread_mutex_destroy(&db->lock);
    lk_free(db->target.env, db);
}

lk_sql_dialect lk_sql_dialect_of(const lk_sql *db)
{
    return db->driver->dialect;
}

uint32_t lk_sql_deadline_of(const lk_sql *db)
{
    return db->target.deadline_ms;
}

/* ---- transactions ---- */

static void transaction_over(lk_sql_link *link)
{
    link->in_transaction = false;
    if (link->has_writer)
        pthread_mutex_unlock(&link->db->writer);
    link->has_writer = false;
}

/* Wait for the other writers of this process. */
static bool writer_taken(lk_sql_link *link)
{
    /* CLOCK_REALTIME is what pthread_mutex_timedlock counts in. */
    struct timespec until = lk__sql_timespec(CLOCK_REALTIME, link->until_ms);

    if (!link->db->driver->one_writer)
        return true;
    link->has_writer = pthread_mutex_timedlock(&link->db->writer, &until) == 0;
    return link->has_writer;
}

static lk_status begin(lk_sql_link *link, bool schema, lk_sql_durability durability)
{
    const lk_sql_driver *driver = link->db->driver;
    lk_status status;

    if (link->in_transaction || link->lost)
        return LK_FAULT;
    link->gave_up = !writer_taken(link);
    if (link->gave_up)
        return LK_FAULT;
    link->in_transaction = true;
    lk__sql_ask_begins(link);
    status = schema ? driver->begin_schema(link->connection) : driver->begin(link->connection, durability);
    status = lk__sql_heard(link, status);
    if (status != LK_OK)
        transaction_over(link);
    return status;
}

lk_status lk_sql_begin(lk_sql_link *link, lk_sql_durability durability)
{
    return begin(link, false, durability);
}

lk_status lk_sql_begin_schema(lk_sql_link *link)
{
    lk_sql_deadline(link, SCHEMA_DEADLINE_MS);
    return begin(link, true, LK_SQL_DURABLE);
}

lk_status lk_sql_commit(lk_sql_link *link)
{
    lk_status status = LK_FAULT;

    if (!link->in_transaction)
        return LK_FAULT;
    lk__sql_ask_begins(link);
    if (!link->lost)
        status = lk__sql_heard(link, link->db->driver->commit(link->connection));
    if (status != LK_OK && !link->lost)
        link->db->driver->rollback(link->connection);
    transaction_over(link);
    return status;
}

void lk_sql_rollback(lk_sql_link *link)
{
    if (!link->in_transaction)
        return;
    if (!link->lost)
        link->db->driver->rollback(link->connection);
    transaction_over(link);
}

bool lk_sql_may_retry(const lk_sql_link *link)
{
    return !link->lost && !link->gave_up && link->db->driver->may_retry != NULL &&
           link->db->driver->may_retry(link->connection);
}

lk_status lk_sql_script(lk_sql_link *link, const char *statements)
{
    if (link->lost)
        return LK_FAULT;
    lk__sql_ask_begins(link);
    return lk__sql_heard(link, link->db->driver->script(link->connection, statements));
}

/* ---- the server ---- */

/* The first value of the first row. LK_MISS: no row. */
static lk_status ask_number(lk_sql_link *link, const char *text, const lk_sql_value *values, size_t n,
                            int64_t *out)
{
    lk_sql_query *q = NULL;
    lk_status status = lk_sql_ask(link, text, values, n, &q);

    *out = 0;
    if (status != LK_OK)
        return status;
    status = lk_sql_step(q);
    if (status == LK_OK)
        *out = lk_sql_i64(q, 0);
    lk_sql_reset(q);
    return status;
}

lk_status lk_sql_has_table(lk_sql_link *link, lk_view name)
{
    int64_t one;
    lk_status status =
        ask_number(link, link->db->driver->has_table_text, LK_SQL_VALUES(lk_sql_of_text(name)), &one);

    return status == LK_OK || status == LK_MISS ? status : LK_FAULT;
}

lk_status lk_sql_time_ms(lk_sql_link *link, int64_t *now_ms)
{
    struct timespec t;

    if (link->db->driver->time_text != NULL)
        return ask_number(link, link->db->driver->time_text, NULL, 0, now_ms) == LK_OK ? LK_OK : LK_FAULT;
    /* Not the clock of the env, which a cluster may have set by this very answer. */
    clock_gettime(CLOCK_REALTIME, &t);
    *now_ms = (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
    return LK_OK;
}

lk_status lk_sql_version(lk_sql_link *link, char out[LK_SQL_VERSION_MAX])
{
    out[0] = '\0';
    return link->lost ? LK_FAULT : link->db->driver->version(link->connection, out);
}

void lk_sql_explain(lk_sql_link *link, lk_note *note)
{
    if (link->gave_up)
        lk_note_set(note, "Database %s: another thread held on to it for too long.", link->db->target.shown);
    else
        link->db->driver->explain(link->connection, note);
}
