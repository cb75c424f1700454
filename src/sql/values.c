/* SPDX-License-Identifier: Apache-2.0
 *
 * values.c - the values bound to a statement: copied one behind the other, so that a run costs no allocation
 * once the room has grown to its size.
 */
#include "sql/values.h"
#include <string.h>

#define ROOM_FIRST 512
#define VALUE_MAX ((size_t)64 << 20)

lk_status lk__sql_values_init(lk__sql_values *v, const lk_env *env, int n)
{
    *v = (lk__sql_values){.env = env, .n = n, .cap = ROOM_FIRST};
    v->room = lk_alloc(env, v->cap);
    if (n > 0)
        v->places = lk_alloc(env, (size_t)n * sizeof(*v->places));
    return v->room != NULL && (n == 0 || v->places != NULL) ? LK_OK : LK_FAULT;
}

void lk__sql_values_free(lk__sql_values *v)
{
    if (v->env == NULL)
        return;
    lk_free(v->env, v->places);
    lk_free(v->env, v->room);
}

void lk__sql_values_clear(lk__sql_values *v)
{
    v->used = 0;
    if (v->n > 0)
        memset(v->places, 0, (size_t)v->n * sizeof(*v->places));
}

static bool grow(lk__sql_values *v, size_t need)
{
    size_t cap = v->cap;
    uint8_t *more;

    while (cap - v->used < need)
        cap *= 2;
    if (cap == v->cap)
        return true;
    more = lk_alloc(v->env, cap);
    if (more == NULL)
        return false;
    memcpy(more, v->room, v->used);
    lk_free(v->env, v->room);
    v->room = more;
    v->cap = cap;
    return true;
}

bool lk__sql_values_set(lk__sql_values *v, int place, lk__sql_kind kind, const void *bytes, size_t len)
{
    size_t whole = (len + 1 + 7) / 8 * 8;
    int i = place - 1;

    if (i < 0 || i >= v->n || len > VALUE_MAX || !grow(v, whole))
        return false;
    v->places[i].kind = kind;
    v->places[i].at = v->used;
    v->places[i].len = len;
    if (len > 0)
        memcpy(v->room + v->used, bytes, len);
    v->room[v->used + len] = 0;
    v->used += whole;
    return true;
}
