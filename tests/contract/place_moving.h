/* SPDX-License-Identifier: Apache-2.0
 *
 * place_moving.h - the store of a site that moves, as a store under test.
 */
#ifndef LATCHKEY_TESTS_CONTRACT_PLACE_MOVING_H
#define LATCHKEY_TESTS_CONTRACT_PLACE_MOVING_H

#include "shm/table.h"
#include <latchkey/store.h>

/* PATTERN (moving:PHASE,LEAD,OTHER) in DIR. False: it is none. */
bool moving_choose(const char *pattern, const char *dir);
/* The URL of the leading store (0) and of the other (1). */
const char *moving_url(unsigned i);
lk_status moving_open(lk_table *table, lk_store **out, lk_note *note);

#endif
