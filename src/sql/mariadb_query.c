/* SPDX-License-Identifier: Apache-2.0
 *
 * mariadb_query.c - prepared statements of MariaDB: values bound, rows read.
 *
 * A run reads all rows at once (store_result), so that fetching and resetting never wait for the server, and
 * several statements may be read side by side.
 */
#include "sql/mariadb.h"
#include "sql/values.h"
#include <errmsg.h>
#include <stdlib.h>
#include <string.h>

#define COLUMN_FIRST 256 /* room for one value, at first */

typedef struct column {
    bool is_number;
    int64_t number;
    uint8_t *room;
    size_t cap;
    unsigned long len;
    my_bool is_null;
} column;

typedef struct statement {
    const lk_env *env;
    lk__my *connection;
    MYSQL_STMT *stmt;
    lk__sql_values values;
    MYSQL_BIND *binds;      /* of the values */
    unsigned long *lengths; /* of the same */
    column *columns;
    MYSQL_BIND *out; /* of the columns */
    unsigned columns_n;
    bool has_rows; /* of the present run */
    uint64_t changed;
} statement;

static lk_status failed(const statement *s)
{
    return lk__my_fail(s->connection, mysql_stmt_errno(s->stmt), mysql_stmt_error(s->stmt));
}

/* ---- preparing ---- */

/* The connection is closed by then (hang_up), or the statement is closed on it. */
void lk__my_finalize(void *p)
{
    statement *s = p;

    if (s == NULL)
        return;
    if (s->stmt != NULL)
        (void)mysql_stmt_close(s->stmt);
    for (unsigned i = 0; s->columns != NULL && i < s->columns_n; i++)
        lk_free(s->env, s->columns[i].room);
    lk__sql_values_free(&s->values);
    lk_free(s->env, s->binds);
    lk_free(s->env, s->lengths);
    lk_free(s->env, s->columns);
    lk_free(s->env, s->out);
    lk_free(s->env, s);
}

static bool is_number(enum enum_field_types type)
{
    switch ((int)type) {
    case MYSQL_TYPE_TINY:
    case MYSQL_TYPE_SHORT:
    case MYSQL_TYPE_LONG:
    case MYSQL_TYPE_INT24:
    case MYSQL_TYPE_LONGLONG:
    case MYSQL_TYPE_YEAR:
    case MYSQL_TYPE_DECIMAL:
    case MYSQL_TYPE_NEWDECIMAL:
    case MYSQL_TYPE_FLOAT:
    case MYSQL_TYPE_DOUBLE:
        return true;
    default: /* the server's, not an enumeration of ours */
        return false;
    }
}

static void bind_column(statement *s, unsigned i)
{
    column *c = &s->columns[i];
    MYSQL_BIND *b = &s->out[i];

    memset(b, 0, sizeof(*b));
    b->buffer_type = c->is_number ? MYSQL_TYPE_LONGLONG : MYSQL_TYPE_BLOB;
    b->buffer = c->is_number ? (void *)&c->number : c->room;
    b->buffer_length = c->is_number ? sizeof(c->number) : c->cap;
    b->length = &c->len;
    b->is_null = &c->is_null;
}

static lk_status make_columns(statement *s)
{
    unsigned n = mysql_stmt_field_count(s->stmt);
    MYSQL_RES *about = n > 0 ? mysql_stmt_result_metadata(s->stmt) : NULL;
    lk_status status = LK_OK;

    if (n == 0)
        return LK_OK;
    s->columns = lk_alloc(s->env, n * sizeof(*s->columns));
    s->out = lk_alloc(s->env, n * sizeof(*s->out));
    if (about == NULL || s->columns == NULL || s->out == NULL)
        status = LK_FAULT;
    for (unsigned i = 0; i < n && status == LK_OK; i++) {
        column *c = &s->columns[i];

        s->columns_n = i + 1;
        c->is_number = is_number(mysql_fetch_field_direct(about, i)->type);
        c->cap = c->is_number ? 0 : COLUMN_FIRST;
        c->room = c->is_number ? NULL : lk_alloc(s->env, c->cap);
        if (!c->is_number && c->room == NULL)
            status = LK_FAULT;
        bind_column(s, i);
    }
    mysql_free_result(about);
    return status;
}

static lk_status make_values(statement *s)
{
    int n = (int)mysql_stmt_param_count(s->stmt);

    if (n > 0) {
        s->binds = lk_alloc(s->env, (size_t)n * sizeof(*s->binds));
        s->lengths = lk_alloc(s->env, (size_t)n * sizeof(*s->lengths));
    }
    if (lk__sql_values_init(&s->values, s->env, n) != LK_OK ||
        (n > 0 && (s->binds == NULL || s->lengths == NULL)))
        return LK_FAULT;
    return LK_OK;
}

static lk_status prepare_call(statement *s, const char *text)
{
    int failed_ = 1;
    int events = mysql_stmt_prepare_start(&failed_, s->stmt, text, strlen(text));

    while (events != 0 && (events = lk__my_wait(s->connection, events)) != 0)
        events = mysql_stmt_prepare_cont(&failed_, s->stmt, events);
    return !s->connection->late && failed_ == 0 ? LK_OK : failed(s);
}

lk_status lk__my_prepare(void *connection, const char *text, void **out)
{
    lk__my *c = connection;
    statement *s = lk_alloc(c->to->env, sizeof(*s));
    lk_status status = s != NULL ? lk__my_ready(c) : LK_FAULT;

    *out = NULL;
    if (status == LK_OK) {
        s->env = c->to->env;
        s->connection = c;
        s->stmt = mysql_stmt_init(c->db);
        status = s->stmt != NULL ? prepare_call(s, text) : LK_FAULT;
    }
    if (status == LK_OK)
        status = make_values(s);
    if (status == LK_OK)
        status = make_columns(s);
    if (status == LK_OK)
        *out = s;
    else
        lk__my_finalize(s);
    return status == LK_OK ? LK_OK : LK_FAULT;
}

/* ---- values ---- */

bool lk__my_bind_i64(void *p, int place, int64_t value)
{
    statement *s = p;

    return lk__sql_values_set(&s->values, place, LK__SQL_NUMBER, &value, sizeof(value));
}

bool lk__my_bind_text(void *p, int place, lk_view value)
{
    statement *s = p;

    return lk__sql_values_set(&s->values, place, LK__SQL_TEXT, value.p, value.len);
}

bool lk__my_bind_bytes(void *p, int place, lk_view value)
{
    statement *s = p;

    return lk__sql_values_set(&s->values, place, LK__SQL_BYTES, value.p, value.len);
}

static enum enum_field_types type_of(lk__sql_kind kind)
{
    switch (kind) {
    case LK__SQL_UNBOUND:
        break;
    case LK__SQL_NUMBER:
        return MYSQL_TYPE_LONGLONG;
    case LK__SQL_TEXT:
        return MYSQL_TYPE_STRING;
    case LK__SQL_BYTES:
        return MYSQL_TYPE_BLOB;
    }
    return MYSQL_TYPE_NULL;
}

static bool bind_values(statement *s)
{
    const lk__sql_values *v = &s->values;

    for (int i = 0; i < v->n; i++) {
        MYSQL_BIND *b = &s->binds[i];

        memset(b, 0, sizeof(*b));
        s->lengths[i] = v->places[i].len;
        b->buffer_type = type_of(v->places[i].kind);
        b->buffer = lk__sql_values_at(v, i);
        b->buffer_length = s->lengths[i];
        b->length = &s->lengths[i];
    }
    return v->n == 0 || mysql_stmt_bind_param(s->stmt, s->binds) == 0;
}

void lk__my_reset(void *p)
{
    statement *s = p;

    if (s->has_rows && !s->connection->lost)
        (void)mysql_stmt_free_result(s->stmt); /* they are all here: no word to the server */
    s->has_rows = false;
    lk__sql_values_clear(&s->values);
}

/* ---- running ---- */

static bool execute_call(statement *s)
{
    int failed_ = 1;
    int events = mysql_stmt_execute_start(&failed_, s->stmt);

    while (events != 0 && (events = lk__my_wait(s->connection, events)) != 0)
        events = mysql_stmt_execute_cont(&failed_, s->stmt, events);
    return !s->connection->late && failed_ == 0;
}

static bool store_call(statement *s)
{
    int failed_ = 1;
    int events = mysql_stmt_store_result_start(&failed_, s->stmt);

    while (events != 0 && (events = lk__my_wait(s->connection, events)) != 0)
        events = mysql_stmt_store_result_cont(&failed_, s->stmt, events);
    return !s->connection->late && failed_ == 0;
}

/* MariaDB counts the rows of an UPDATE that are other than before; the other dialects, those that it found.
 */
static uint64_t rows_touched(const statement *s)
{
    static const char found[] = "Rows matched: ";
    const char *info = mysql_info(s->connection->db);

    if (info != NULL && strncmp(info, found, sizeof(found) - 1) == 0)
        return strtoull(info + sizeof(found) - 1, NULL, 10);
    return mysql_stmt_affected_rows(s->stmt);
}

static lk_status execute(lk__my *c, statement *s)
{
    lk_status status = lk__my_ready(c);

    if (status != LK_OK)
        return status;
    if (!bind_values(s) || !execute_call(s))
        return failed(s);
    /* What INSERT ... RETURNING gives is told by its first run only. */
    if (s->columns_n == 0 && mysql_stmt_field_count(s->stmt) > 0 && make_columns(s) != LK_OK)
        return lk__my_fail(c, CR_OUT_OF_MEMORY,
                           "out of memory"); /* with rows unread: the connection is lost */
    s->changed = s->columns_n > 0 ? 0 : rows_touched(s);
    if (s->columns_n > 0 && (mysql_stmt_bind_result(s->stmt, s->out) != 0 || !store_call(s)))
        return failed(s);
    s->has_rows = true;
    return LK_OK;
}

/* A value that was longer than its room: make the room, and get it whole. */
static lk_status widen(statement *s, unsigned i)
{
    column *c = &s->columns[i];
    size_t cap = c->cap;
    uint8_t *room;

    while (cap < c->len)
        cap *= 2;
    room = lk_alloc(s->env, cap);
    if (room == NULL)
        return LK_FAULT;
    lk_free(s->env, c->room);
    c->room = room;
    c->cap = cap;
    bind_column(s, i);
    return mysql_stmt_fetch_column(s->stmt, &s->out[i], i, 0) == 0 ? LK_OK : failed(s);
}

static lk_status fetch(statement *s)
{
    bool widened = false;
    int got = mysql_stmt_fetch(s->stmt);
    lk_status status = LK_OK;

    if (got == MYSQL_NO_DATA)
        return LK_MISS;
    if (got != 0 && got != MYSQL_DATA_TRUNCATED)
        return failed(s);
    for (unsigned i = 0; i < s->columns_n && status == LK_OK; i++) {
        column *c = &s->columns[i];

        if (c->is_number || c->is_null || c->len <= c->cap)
            continue;
        status = widen(s, i);
        widened = true;
    }
    if (status == LK_OK && widened && mysql_stmt_bind_result(s->stmt, s->out) != 0)
        status = failed(s);
    return status;
}

lk_status lk__my_step(void *connection, void *p)
{
    statement *s = p;

    if (!s->has_rows) {
        lk_status status = execute(connection, s);

        if (status != LK_OK)
            return status;
    }
    return s->columns_n > 0 ? fetch(s) : LK_MISS;
}

uint64_t lk__my_changed(void *connection, void *p)
{
    const statement *s = p;

    (void)connection;
    return s->changed;
}

/* ---- columns ---- */

static const column *column_of(const statement *s, int i)
{
    return i >= 0 && (unsigned)i < s->columns_n && !s->columns[i].is_null ? &s->columns[i] : NULL;
}

int64_t lk__my_i64(void *p, int i)
{
    const column *c = column_of(p, i);
    char text[24];
    lk_buf b = lk_buf_over(text, sizeof(text));

    if (c == NULL || c->is_number)
        return c != NULL ? c->number : 0;
    lk_buf_add(&b, lk_view_make(c->room, c->len < 20 ? c->len : 20));
    return strtoll(lk_buf_text(&b), NULL, 10);
}

lk_view lk__my_bytes(void *p, int i)
{
    const column *c = column_of(p, i);

    return c == NULL || c->is_number ? lk_view_make(NULL, 0) : lk_view_make(c->room, c->len);
}
