/* SPDX-License-Identifier: Apache-2.0
 *
 * open_store.h - the store that settings speak of: one, one with a replica, or the two of a move.
 */
#ifndef LATCHKEY_GUARD_OPEN_STORE_H
#define LATCHKEY_GUARD_OPEN_STORE_H

#include <latchkey/settings.h>
#include <latchkey/store.h>

/* Open it. With REPLICA false the replica of latchkey_replica is left aside. Answers as lk_store_open. */
LK_CHECKED lk_status lk__open_store(const lk_env *env, const lk_settings *s, bool replica,
                                    struct lk_table *table, lk_store **out, lk_note *note);

/* Is the store at URL, under WAY, one node's own, so that the others do not see what is in it? */
bool lk__is_own_store(const char *way, const char *url);

/* Is S in the middle of a move between two stores? */
bool lk__is_between_stores(const lk_settings *s);

#endif
