/* SPDX-License-Identifier: Apache-2.0
 *
 * values.h - the values bound to a statement, for the dialects that send them all at once. Private to
 * src/sql.
 */
#ifndef LATCHKEY_SQL_VALUES_H
#define LATCHKEY_SQL_VALUES_H

#include <latchkey/env.h>

typedef enum lk__sql_kind {
    LK__SQL_UNBOUND, /* goes as NULL */
    LK__SQL_NUMBER,  /* an int64_t */
    LK__SQL_TEXT,
    LK__SQL_BYTES
} lk__sql_kind;

typedef struct lk__sql_values {
    const lk_env *env;
    int n; /* places */
    struct {
        lk__sql_kind kind;
        size_t at, len; /* in room */
    } * places;
    uint8_t *room; /* grows and moves until all are bound; each value at a multiple of 8, a NUL behind it */
    size_t used, cap;
} lk__sql_values;

/* Room for N values. LK_OK; LK_FAULT without memory (free it all the same). */
LK_CHECKED lk_status lk__sql_values_init(lk__sql_values *v, const lk_env *env, int n);
void lk__sql_values_free(lk__sql_values *v);
void lk__sql_values_clear(lk__sql_values *v);
/* Copy LEN bytes to place PLACE, from 1. False when there is no such place, or no memory. */
bool lk__sql_values_set(lk__sql_values *v, int place, lk__sql_kind kind, const void *bytes, size_t len);
static inline void *lk__sql_values_at(const lk__sql_values *v, int i)
{
    return v->room + v->places[i].at;
}

#endif
