/* SPDX-License-Identifier: Apache-2.0
 *
 * fields.h - what the record and the stores need of the encoded fields beyond session.h.
 */
#ifndef LATCHKEY_STORE_FIELDS_H
#define LATCHKEY_STORE_FIELDS_H

#include <latchkey/session.h>

/* Room for lk_fields_apply: the fields as they are and, while operations run, as much again. */
#define LK_FIELDS_WORK_MAX (2 * LK_FIELDS_BYTES_MAX + 1024)

/* The most operations that lk__fields_list_ops gives. */
#define LK_FIELDS_OPS_MAX (2 * LK_FIELDS_MAX)

/* What turns the fields TO into the fields FROM: every field that only TO has goes, every one of FROM is set.
 * How many operations there are; they point into both. */
size_t lk__fields_list_ops(lk_view from, lk_view to, lk_op ops[LK_FIELDS_OPS_MAX]);

/* Are these encoded fields from the first byte to the last, within LK_FIELDS_MAX and LK_FIELDS_BYTES_MAX? */
bool lk__fields_are_whole(lk_view fields);

#endif
