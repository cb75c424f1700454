/* SPDX-License-Identifier: Apache-2.0
 *
 * postgres_query.c - prepared statements of PostgreSQL: values bound, rows read.
 *
 * Text and bytes go and come in the binary format, which is the bytes themselves: nothing is quoted and
 * nothing is decoded. Integers go as decimal text, so that the server takes them for whatever width the
 * column has, and come as binary.
 */
#include "sql/postgres.h"
#include "sql/values.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The types of columns that are numbers, as pg_type has them. */
enum { BOOL = 16, INT8 = 20, INT2 = 21, INT4 = 23, OID = 26, FLOAT4 = 700, FLOAT8 = 701, NUMERIC = 1700 };

typedef struct statement {
    const lk_env *env;
    char name[24];
    lk__sql_values values;
    const char **at; /* the same as libpq wants them */
    int *lengths, *formats;
    PGresult *result; /* of the present run */
    int row;
} statement;

/* ---- preparing ---- */

/* How far the text goes on after P as one string, name or comment; 0 when none begins there. */
static size_t quoted_len(const char *p)
{
    const char *end = NULL;

    if (p[0] == '\'' || p[0] == '"')
        end = strchr(p + 1, p[0]); /* a doubled quote reads as two strings: to the same end */
    else if (p[0] == '-' && p[1] == '-')
        end = strchr(p, '\n');
    else
        return 0;
    return end != NULL ? (size_t)(end - p) + 1 : strlen(p);
}

/* TEXT with $1, $2, ... in place of each ?. To be freed; NULL without memory. */
static char *numbered(const lk_env *env, const char *text, int *places)
{
    size_t cap = strlen(text) + 1, marks = 0;
    char *out;
    lk_buf b;

    for (const char *p = text; *p != '\0'; p++)
        marks += *p == '?';
    cap += marks * 6;
    out = lk_alloc(env, cap);
    if (out == NULL)
        return NULL;
    b = lk_buf_over(out, cap);
    *places = 0;
    while (*text != '\0') {
        size_t quoted = quoted_len(text);

        if (quoted > 0)
            lk_buf_add(&b, lk_view_make(text, quoted));
        else if (*text == '?')
            lk_buf_add_printf(&b, "$%d", ++*places);
        else
            lk_buf_add_byte(&b, (uint8_t)*text);
        text += quoted > 0 ? quoted : 1;
    }
    if (lk_buf_text(&b) != NULL)
        return out;
    lk_free(env, out);
    return NULL;
}

void lk__pg_finalize(void *p)
{
    statement *s = p;

    if (s == NULL)
        return;
    PQclear(s->result);
    lk__sql_values_free(&s->values);
    lk_free(s->env, s->at);
    lk_free(s->env, s->lengths);
    lk_free(s->env, s->formats);
    lk_free(s->env, s);
}

static statement *make(const lk_env *env, int places)
{
    statement *s = lk_alloc(env, sizeof(*s));
    size_t n = (size_t)places + 1; /* nobody asks for nothing */

    if (s == NULL)
        return NULL;
    s->env = env;
    s->at = lk_alloc(env, n * sizeof(*s->at));
    s->lengths = lk_alloc(env, n * sizeof(*s->lengths));
    s->formats = lk_alloc(env, n * sizeof(*s->formats));
    if (lk__sql_values_init(&s->values, env, places) == LK_OK && s->at != NULL && s->lengths != NULL &&
        s->formats != NULL)
        return s;
    lk__pg_finalize(s);
    return NULL;
}

lk_status lk__pg_prepare(void *connection, const char *text, void **out)
{
    lk__pg *c = connection;
    PGresult *result = NULL;
    int places = 0;
    char *own = numbered(c->to->env, text, &places);
    statement *s = own != NULL ? make(c->to->env, places) : NULL;
    lk_status status = s != NULL ? lk__pg_ready(c) : LK_FAULT;

    *out = NULL;
    if (status == LK_OK) {
        snprintf(s->name, sizeof(s->name), "lk%u", c->names++);
        status = lk__pg_receive(c, PQsendPrepare(c->conn, s->name, own, 0, NULL) == 1, &result);
    }
    PQclear(result);
    lk_free(c->to->env, own);
    if (status == LK_OK)
        *out = s;
    else
        lk__pg_finalize(s);
    return status == LK_OK ? LK_OK : LK_FAULT;
}

/* ---- values ---- */

bool lk__pg_bind_i64(void *p, int place, int64_t value)
{
    statement *s = p;
    char text[24];
    int len = snprintf(text, sizeof(text), "%lld", (long long)value);

    return lk__sql_values_set(&s->values, place, LK__SQL_NUMBER, text, (size_t)len);
}

bool lk__pg_bind_bytes(void *p, int place, lk_view value)
{
    statement *s = p;

    return lk__sql_values_set(&s->values, place, LK__SQL_BYTES, value.p, value.len);
}

void lk__pg_reset(void *p)
{
    statement *s = p;

    PQclear(s->result);
    s->result = NULL;
    lk__sql_values_clear(&s->values);
}

/* ---- running ---- */

static bool send(lk__pg *c, statement *s)
{
    const lk__sql_values *v = &s->values;

    for (int i = 0; i < v->n; i++) {
        s->at[i] = v->places[i].kind == LK__SQL_UNBOUND ? NULL : lk__sql_values_at(v, i);
        s->lengths[i] = (int)v->places[i].len;
        s->formats[i] = v->places[i].kind == LK__SQL_BYTES;
    }
    return PQsendQueryPrepared(c->conn, s->name, v->n, s->at, s->lengths, s->formats, 1) == 1;
}

static lk_status execute(lk__pg *c, statement *s)
{
    lk_status status = lk__pg_ready(c);

    if (status != LK_OK)
        return status;
    c->warned = false;
    status = lk__pg_receive(c, send(c, s), &s->result);
    s->row = -1;
    /* Outside a transaction the statement was a commit too: see `commit`. */
    if (status == LK_OK && c->warned && PQtransactionStatus(c->conn) == PQTRANS_IDLE)
        return LK_FAULT;
    return status;
}

lk_status lk__pg_step(void *connection, void *p)
{
    statement *s = p;

    if (s->result == NULL) {
        lk_status status = execute(connection, s);

        if (status != LK_OK)
            return status;
    }
    s->row++;
    return s->row < PQntuples(s->result) ? LK_OK : LK_MISS;
}

uint64_t lk__pg_changed(void *connection, void *p)
{
    const statement *s = p;

    (void)connection;
    return strtoull(PQcmdTuples(s->result), NULL, 10);
}

/* ---- columns ---- */

static uint64_t big_endian(const uint8_t *p, int len)
{
    uint64_t n = 0;

    for (int i = 0; i < len; i++)
        n = n << 8 | p[i];
    return n;
}

/* The whole part of a NUMERIC: how many digits of base 10,000, the weight of the first, sign, scale, digits.
 */
static int64_t of_numeric(const uint8_t *p, int len)
{
    int digits = len >= 8 ? (int)big_endian(p, 2) : 0;
    int weight = len >= 8 ? (int16_t)big_endian(p + 2, 2) : -1;
    uint64_t n = 0;

    for (int i = 0; i <= weight && i < 5; i++)
        n = n * 10000 + (i < digits && 10 + 2 * i <= len ? big_endian(p + 8 + 2 * i, 2) : 0);
    return len >= 8 && big_endian(p + 4, 2) == 0x4000 ? -(int64_t)n : (int64_t)n;
}

static int64_t of_float(const uint8_t *p, int len)
{
    uint64_t bits = big_endian(p, len);
    uint32_t narrow_bits = (uint32_t)bits;
    double wide = 0;
    float narrow = 0;

    if (len == 4) {
        memcpy(&narrow, &narrow_bits, sizeof(narrow));
        wide = (double)narrow;
    } else {
        memcpy(&wide, &bits, sizeof(wide));
    }
    return wide > -9e18 && wide < 9e18 ? (int64_t)wide : 0;
}

int64_t lk__pg_i64(void *p, int column)
{
    const statement *s = p;
    lk_view v = lk__pg_bytes(p, column);
    int len = (int)v.len;

    if (len == 0)
        return 0;
    switch (PQftype(s->result, column)) {
    case INT2:
        return (int16_t)big_endian(v.p, len);
    case INT4:
        return (int32_t)big_endian(v.p, len);
    case BOOL:
    case OID:
    case INT8:
        return (int64_t)big_endian(v.p, len);
    case FLOAT4:
    case FLOAT8:
        return of_float(v.p, len);
    case NUMERIC:
        return of_numeric(v.p, len);
    default: /* text, which ends in a NUL here */
        return strtoll((const char *)v.p, NULL, 10);
    }
}

lk_view lk__pg_bytes(void *p, int column)
{
    const statement *s = p;

    if (s->result == NULL || column < 0 || column >= PQnfields(s->result) ||
        PQgetisnull(s->result, s->row, column) != 0)
        return lk_view_make(NULL, 0);
    return lk_view_make(PQgetvalue(s->result, s->row, column),
                        (size_t)PQgetlength(s->result, s->row, column));
}
