/* SPDX-License-Identifier: Apache-2.0
 *
 * key_uses.h - how often each key was used, as counters of the shared table.
 */
#ifndef LATCHKEY_GUARD_KEY_USES_H
#define LATCHKEY_GUARD_KEY_USES_H

#include "shm/table.h"

/* How often KID signed and proved something; 0 when nobody has counted yet. */
void lk__key_uses_read(lk_table *table, lk_view kid, uint64_t *signed_n, uint64_t *verified_n);

#endif
