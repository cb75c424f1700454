/* SPDX-License-Identifier: Apache-2.0
 *
 * database.c - the stores sqlite, postgres and mariadb: their URLs, their handle, and the look-up.
 */
#include "store/database.h"
#include <latchkey/secret.h>
#include <string.h>

#define DEADLINE_MS 250 /* of an operation, unless the URL says another */

/* ---- look-up ---- */

/* Loads of one kind, asked for by one statement. Rows come in any order, so each is brought to the loads that
 * asked for its id: `last` leads to the last load whose id begins with that byte, `before` from one to
 * another. */
typedef struct asking {
    bool whole;
    size_t n;
    lk_load *loads[LK__DB_BATCH];
    int16_t last[256], before[LK__DB_BATCH];
} asking;

/* Take the next batch of one kind, from loads[*from] on. */
static void gather(asking *a, lk_load *loads, size_t n, size_t *from)
{
    a->n = 0;
    memset(a->last, -1, sizeof(a->last));
    for (; *from < n && a->n < LK__DB_BATCH; ++*from) {
        lk_load *load = &loads[*from];
        int16_t *last = &a->last[load->key.bytes[0]];

        if (load->head_only == a->whole)
            continue;
        a->before[a->n] = *last;
        *last = (int16_t)a->n;
        a->loads[a->n++] = load;
    }
}

static void answer(lk__db *db, lk_load *load, const lk__db_row *row, lk_status found)
{
    load->status = found;
    load->why = row->why;
    if (!row->is_fence)
        load->status = lk__db_row_session(db, row, load->buf, load->cap, &load->session);
}

static lk_status read_rows(lk__db *db, const asking *a, lk_sql_query *q)
{
    lk_status status;

    while ((status = lk_sql_step(q)) == LK_OK) {
        lk__db_row row;
        lk_status found = lk__db_row_read(q, a->whole, &row);

        for (int i = a->last[row.id.bytes[0]]; i >= 0; i = a->before[i])
            if (memcmp(&a->loads[i]->key, &row.id, sizeof(row.id)) == 0)
                answer(db, a->loads[i], &row, found);
    }
    return status == LK_MISS ? LK_OK : LK_FAULT;
}

static lk_status ask(lk__db *db, lk_sql_link *link, const asking *a)
{
    lk_session_key ids[LK__DB_BATCH];
    lk_sql_query *q;
    lk_status status;

    for (size_t i = 0; i < a->n; i++)
        ids[i] = a->loads[i]->key;
    status = lk__db_ask_ids(link, a->whole ? db->text->wholes : db->text->heads, ids, a->n, &q);
    return status == LK_OK ? read_rows(db, a, q) : LK_FAULT;
}

/* Everything of one kind. *any: something could be looked at. */
static lk_status load_kind(lk__db *db, lk_sql_link *link, lk_load *loads, size_t n, bool whole, bool *any)
{
    asking a = {.whole = whole};
    lk_status status = LK_OK;

    for (size_t from = 0; from < n;) {
        gather(&a, loads, n, &from);
        if (a.n == 0)
            break;
        for (size_t i = 0; i < a.n; i++)
            a.loads[i]->status = LK_MISS;
        if (status == LK_OK)
            status = ask(db, link, &a);
        for (size_t i = 0; i < a.n && status != LK_OK; i++)
            a.loads[i]->status = LK_FAULT;
        *any = *any || status == LK_OK;
    }
    return status;
}

static lk_status load_many(lk_store *store, lk_load *loads, size_t n)
{
    lk__db *db = lk__db_of(store);
    lk_sql_link *link;
    bool any = false;
    lk_status status = lk_sql_borrow(db->sql, &link, NULL);

    if (status != LK_OK)
        return LK_FAULT;
    status = load_kind(db, link, loads, n, false, &any);
    if (status == LK_OK)
        status = load_kind(db, link, loads, n, true, &any);
    lk_sql_give_back(link);
    return status == LK_OK || any ? LK_OK : LK_FAULT;
}

/* ---- open and close ---- */

static bool is_sqlite(const lk_store_url *url)
{
    return lk_view_equal(url->scheme, LK_VIEW("sqlite"));
}

/* The URL without the option that is this store's own, for lk_sql. */
static lk_status sql_url(const lk_store_url *url, char room[LK_STORE_PATH_MAX], lk_note *note)
{
    lk_buf text = lk_buf_over(room, LK_STORE_PATH_MAX);
    char before = '?';

    lk_buf_add(&text, url->scheme);
    lk_buf_add_byte(&text, ':');
    lk_buf_add(&text, url->rest);
    for (size_t i = 0; i < url->options_n; i++) {
        if (lk_view_equal(url->options[i].name, LK_VIEW("sync")))
            continue;
        lk_buf_add_byte(&text, (uint8_t)before);
        lk_buf_add(&text, url->options[i].name);
        lk_buf_add_byte(&text, '=');
        lk_buf_add(&text, url->options[i].value);
        before = '&';
    }
    if (lk_buf_text(&text) != NULL)
        return LK_OK;
    lk_note_set(note, "the URL of a store is at most %d bytes long", LK_STORE_PATH_MAX - 1);
    return LK_REFUSED;
}

static lk_status check(const lk_store_url *url, lk_note *note)
{
    char room[LK_STORE_PATH_MAX];
    lk_view sync = lk__store_option(url, "sync");
    lk_status status = sql_url(url, room, note);

    if (status == LK_OK)
        status = lk_sql_url_check(room, note);
    if (status != LK_OK || sync.len == 0 || lk_view_equal(sync, LK_VIEW("always")) ||
        lk_view_equal(sync, LK_VIEW("fast")))
        return status;
    lk_note_set(note, "sync=%.*s: always or fast", sync.len > 40 ? 40 : (int)sync.len, (const char *)sync.p);
    return LK_REFUSED;
}

static lk_status open_sql(const lk_env *env, const lk_store_url *url, lk_sql **out, lk_note *note)
{
    const lk_sql_options options = {.deadline_ms = DEADLINE_MS};
    char room[LK_STORE_PATH_MAX];
    lk_status status = sql_url(url, room, note);

    *out = NULL;
    if (status == LK_OK)
        status = lk_sql_open(env, room, &options, out, note);
    lk_wipe(room, sizeof(room)); /* a password may be in it */
    return status == LK_FULL ? LK_FAULT : status;
}

/* Find the tables; SQLite makes them itself, since there is no server whose owner would have to allow it. */
static lk_status find_tables(lk__db *db, const lk_store_url *url, lk_note *note)
{
    char shown[LK_STORE_PATH_MAX];
    lk_status status = lk__db_schema_read(db, note);

    if (status != LK_MISS)
        return status;
    if (is_sqlite(url)) {
        status = lk__db_schema_make(db->base.env, db->sql, false, note);
        return status == LK_OK ? lk__db_schema_read(db, note) : status;
    }
    lk_store_url_show(url->whole, shown, sizeof(shown));
    lk_note_set(note, "there are no tables of sessions yet; run: latchkey store init --store %s", shown);
    return LK_MISS;
}

static void close_database(lk_store *store)
{
    lk__db *db = lk__db_of(store);

    lk_sql_close(db->sql);
    pthread_mutex_destroy(&db->places_lock);
    pthread_mutex_destroy(&db->queue_lock);
    pthread_cond_destroy(&db->queue_moved);
    lk_free(store->env, db);
}

static lk_status open_as(const lk_store_ops *ops, const lk_env *env, const lk_store_url *url, lk_store **out,
                         lk_note *note)
{
    lk__db *db = lk_alloc(env, sizeof(*db));
    lk_status status;

    if (db == NULL) {
        lk_note_set(note, "out of memory");
        return LK_FAULT;
    }
    db->base = (lk_store){.ops = ops, .env = env};
    db->durability =
        lk_view_equal(lk__store_option(url, "sync"), LK_VIEW("fast")) ? LK_SQL_RELAXED : LK_SQL_DURABLE;
    pthread_mutex_init(&db->places_lock, NULL);
    pthread_mutex_init(&db->queue_lock, NULL);
    pthread_cond_init(&db->queue_moved, NULL);
    status = open_sql(env, url, &db->sql, note);
    if (status == LK_OK) {
        db->text = lk__db_text_of(lk_sql_dialect_of(db->sql));
        status = find_tables(db, url, note);
    }
    if (status == LK_OK)
        *out = &db->base;
    else
        close_database(&db->base);
    return status;
}

static lk_status setup(const lk_env *env, const lk_store_url *url, bool upgrade, lk_note *note)
{
    lk_sql *sql;
    lk_status status = open_sql(env, url, &sql, note);

    if (status == LK_OK)
        status = lk__db_schema_make(env, sql, upgrade, note);
    lk_sql_close(sql);
    return status;
}

/* ---- the members ---- */

#define MEMBER(scheme, url_form, option_names)                                                               \
    .name = scheme, .form = url_form, .options = option_names, .place = LK_STORE_REMOTE, .is_durable = true, \
    .check = check, .close = close_database, .load_many = load_many, .create = lk__db_create,                \
    .replace = lk__db_replace, .change = lk__db_change, .touch_many = lk__db_touch_many,                     \
    .destroy = lk__db_destroy, .list_by_user = lk__db_list_by_user, .list = lk__db_list,                     \
    .counts = lk__db_counts, .sweep = lk__db_sweep, .cutoff_append = lk__db_cutoff_append,                   \
    .event_seq = lk__db_event_seq, .events_since = lk__db_events_since, .setup = setup,                      \
    .events_wait = lk__db_events_wait, .time_ms = lk__db_time_ms, .ready = lk__db_ready,                     \
    .inspect = lk__db_inspect

static lk_status open_sqlite(const lk_env *env, const lk_store_url *url, struct lk_table *table,
                             lk_store **out, lk_note *note)
{
    (void)table;
    return open_as(&lk__store_sqlite, env, url, out, note);
}

static lk_status open_postgres(const lk_env *env, const lk_store_url *url, struct lk_table *table,
                               lk_store **out, lk_note *note)
{
    (void)table;
    return open_as(&lk__store_postgres, env, url, out, note);
}

static lk_status open_mariadb(const lk_env *env, const lk_store_url *url, struct lk_table *table,
                              lk_store **out, lk_note *note)
{
    (void)table;
    return open_as(&lk__store_mariadb, env, url, out, note);
}

const lk_store_ops lk__store_sqlite = {MEMBER("sqlite", "sqlite:FILE", "deadline sync"), .open = open_sqlite};

const lk_store_ops lk__store_postgres = {
    MEMBER("postgres", "postgres://USER:PASSWORD@HOST:PORT/DATABASE",
           "deadline sslmode sslrootcert sslcert sslkey target_session_attrs application_name"),
    .open = open_postgres};

const lk_store_ops lk__store_mariadb = {
    MEMBER("mariadb", "mariadb://USER:PASSWORD@HOST:PORT/DATABASE", "deadline socket sslmode sslrootcert"),
    .open = open_mariadb};
