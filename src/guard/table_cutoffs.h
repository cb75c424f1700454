/* SPDX-License-Identifier: Apache-2.0
 *
 * table_cutoffs.h - the cut-offs of a node whose store keeps no stream of them: they stand in its table
 * alone.
 */
#ifndef LATCHKEY_GUARD_TABLE_CUTOFFS_H
#define LATCHKEY_GUARD_TABLE_CUTOFFS_H

#include <latchkey/cutoff.h>

struct lk_table;

/* Hand every cut-off in TABLE that says whom it is about to EACH, which answers false to stop. Those that a
 * guard over another store put there do not say it: they are in the stream of that store. LK_OK; LK_FAULT. */
typedef bool (*lk__cutoff_each)(void *context, const lk_cutoff *c);
LK_CHECKED lk_status lk__table_cutoffs(struct lk_table *table, lk__cutoff_each each, void *context);

#endif
