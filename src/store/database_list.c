/* SPDX-License-Identifier: Apache-2.0
 *
 * database_list.c - listing, a page at a time, in the order of the ids.
 *
 * The cursor is the beginning of the id that comes next, as a number: 4 bytes of it in the list of a user,
 * which is what the column `owner` has, 8 in the list of all. A page only ends where those change, so that no
 * session is left out or comes twice even if two ids begin alike. Rows are copied and the connection given
 * back before one is handed on: who receives it may use the store.
 */
#include "store/database.h"
#include "store/pack.h"
#include <string.h>

#define CHUNK_MAX 64 /* rows read at a time */

typedef struct entry {
    lk_session_key id;
    bool is_readable;
    lk_session session; /* reads head */
    uint8_t head[LK_HEAD_MAX];
} entry;

typedef struct walk {
    lk__db *db;
    bool is_user; /* the list of REALM, USER; else of all */
    lk_view realm, user;
    lk_session_key from; /* the lowest id that may come next, or... */
    bool is_past;        /* ...the one that came last */
    size_t chunk;        /* rows read at a time */
    size_t n, at;
    bool is_over; /* nothing comes after these */
    entry *entries;
} walk;

/* The beginning of an id, as the cursor has it. */
static uint64_t begins(const walk *w, const lk_session_key *id)
{
    uint64_t first = lk__get64_ordered(id->bytes);

    return w->is_user ? first >> 32 : first;
}

static void walk_from(walk *w, uint64_t cursor)
{
    memset(&w->from, 0, sizeof(w->from));
    lk__put64_ordered(w->from.bytes, w->is_user ? cursor << 32 : cursor);
}

static lk_status ask(const walk *w, lk_sql_link *link, lk_sql_query **q)
{
    static const char all[] = "SELECT id, COALESCE(seen, -2147483648), head FROM latchkey_session"
                              " WHERE id >= ? ORDER BY id LIMIT ?";
    static const char of_user[] = "SELECT id, COALESCE(seen, -2147483648), head FROM latchkey_session"
                                  " WHERE owner >= ? AND owner <= ? AND (owner > ? OR id >= ?)"
                                  " ORDER BY owner, id LIMIT ?";
    lk_sql_value id = lk_sql_of_bytes(lk__db_id(&w->from)), limit = lk_sql_of_i64((int64_t)w->chunk);
    lk_sql_value first, last;

    if (!w->is_user)
        return lk_sql_ask(link, all, LK_SQL_VALUES(id, limit), q);
    first = lk_sql_of_i64(lk__db_owner(w->db, w->realm, w->user, lk__db_place_of(&w->from)));
    last = lk_sql_of_i64(lk__db_owner(w->db, w->realm, w->user, UINT32_MAX));
    return lk_sql_ask(link, of_user, LK_SQL_VALUES(first, last, first, id, limit), q);
}

static void keep(walk *w, lk_sql_query *q)
{
    entry *e = &w->entries[w->n];
    lk__db_row row;
    lk_status status = lk__db_row_read(q, false, &row);

    if (w->is_past && memcmp(&row.id, &w->from, sizeof(row.id)) == 0)
        return;
    e->id = row.id;
    e->is_readable =
        status == LK_OK && lk__db_row_session(w->db, &row, e->head, sizeof(e->head), &e->session) == LK_OK;
    w->n++;
}

/* Read the next entries. */
static lk_status read_chunk(walk *w)
{
    lk_sql_link *link;
    lk_sql_query *q;
    size_t rows = 0;
    lk_status status = lk_sql_borrow(w->db->sql, &link, NULL);

    w->n = w->at = 0;
    if (status != LK_OK)
        return LK_FAULT;
    status = ask(w, link, &q);
    for (; status == LK_OK && rows < w->chunk && (status = lk_sql_step(q)) == LK_OK; rows++)
        keep(w, q);
    lk_sql_give_back(link);
    if (status != LK_OK && status != LK_MISS)
        return LK_FAULT;
    w->is_over = rows < w->chunk;
    if (w->n > 0)
        w->from = w->entries[w->n - 1].id;
    w->is_past = w->is_past || w->n > 0;
    return LK_OK;
}

/* The next entry, or NULL at the end. */
static lk_status next(walk *w, entry **out)
{
    lk_status status = LK_OK;

    *out = NULL;
    if (w->at == w->n && !w->is_over)
        status = read_chunk(w);
    if (status == LK_OK && w->at < w->n)
        *out = &w->entries[w->at++];
    return status;
}

static bool is_shown(const walk *w, const entry *e, int64_t now_s)
{
    return e->is_readable && lk__session_is_listed(&e->session, now_s) &&
           (!w->is_user ||
            (lk_view_equal(e->session.user, w->user) && lk_view_equal(e->session.realm, w->realm)));
}

static lk_status list_page(walk *w, uint64_t *cursor, uint32_t page, lk_session_each each, void *context)
{
    int64_t now_s = lk_now_s(w->db->base.env);
    uint64_t last = 0;

    walk_from(w, *cursor);
    for (uint32_t visited = 0;; visited++) {
        entry *e;
        lk_status status = next(w, &e);

        if (status != LK_OK)
            return status;
        if (e == NULL) {
            *cursor = 0;
            return LK_OK;
        }
        if (visited >= page && begins(w, &e->id) != last) {
            *cursor = begins(w, &e->id); /* not 0: it is above the one before */
            return LK_OK;
        }
        last = begins(w, &e->id);
        if (is_shown(w, e, now_s) && !each(context, &e->session)) {
            *cursor = last == (w->is_user ? UINT32_MAX : UINT64_MAX) ? 0 : last + 1;
            return LK_OK;
        }
    }
}

static lk_status list(walk *w, uint64_t *cursor, uint32_t page, lk_session_each each, void *context)
{
    const lk_env *env = w->db->base.env;
    lk_status status;

    /* The row that came last comes again, and the one after the page is looked at. */
    w->chunk = page < CHUNK_MAX - 2 ? page + 2 : CHUNK_MAX;
    w->entries = lk_alloc(env, w->chunk * sizeof(*w->entries));
    if (w->entries == NULL)
        return LK_FAULT;
    status = list_page(w, cursor, page, each, context);
    lk_free(env, w->entries);
    return status;
}

lk_status lk__db_list_by_user(lk_store *store, lk_view realm, lk_view user, uint64_t *cursor, uint32_t page,
                              lk_session_each each, void *context)
{
    walk w = {.db = lk__db_of(store), .is_user = true, .realm = realm, .user = user};

    return list(&w, cursor, page, each, context);
}

lk_status lk__db_list(lk_store *store, uint64_t *cursor, uint32_t page, lk_session_each each, void *context)
{
    walk w = {.db = lk__db_of(store)};

    return list(&w, cursor, page, each, context);
}
