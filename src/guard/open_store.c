/* SPDX-License-Identifier: Apache-2.0
 *
 * open_store.c - the store that settings speak of.
 *
 * A move that keeps its store (the credential changes, or where it is read) needs no second one.
 */
#include "guard/open_store.h"
#include <string.h>

bool lk__is_between_stores(const lk_settings *s)
{
    return s->move_store[0] != '\0' && strcmp(s->move_store, s->store) != 0;
}

lk_status lk__open_store(const lk_env *env, const lk_settings *s, bool replica, struct lk_table *table,
                         lk_store **out, lk_note *note)
{
    bool has_replica = replica && s->replica[0] != '\0';
    const lk_store_move move = {.lead = s->store,
                                .lead_replica = has_replica ? s->replica : NULL,
                                .other = s->move_store,
                                .looks_back = s->move_from[0] != '\0'};

    if (lk__is_between_stores(s))
        return lk_store_open_moving(env, &move, table, out, note);
    if (has_replica)
        return lk_store_open_replicated(env, s->store, s->replica, table, out, note);
    return lk_store_open(env, s->store, table, out, note);
}
