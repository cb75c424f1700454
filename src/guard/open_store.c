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

bool lk__is_own_store(const char *way, const char *url)
{
    return strcmp(way, "affinity") == 0 || strncmp(url, "lmdb:", 5) == 0 || strncmp(url, "memory:", 7) == 0;
}

lk_status lk__open_store(const lk_env *env, const lk_settings *s, bool replica, struct lk_table *table,
                         lk_store **out, lk_note *note)
{
    const char *other_way = s->move_to[0] != '\0' ? s->move_to : s->move_from;
    bool has_replica = replica && s->replica[0] != '\0';
    const lk_store_move move = {.lead = s->store,
                                .lead_replica = has_replica ? s->replica : NULL,
                                .other = s->move_store,
                                .is_apart = lk__is_own_store(s->share, s->store) &&
                                            !lk__is_own_store(other_way, s->move_store),
                                .looks_back = s->move_from[0] != '\0'};

    if (lk__is_between_stores(s))
        return lk_store_open_moving(env, &move, table, out, note);
    if (has_replica)
        return lk_store_open_replicated(env, s->store, s->replica, table, out, note);
    return lk_store_open(env, s->store, table, out, note);
}
