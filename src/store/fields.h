/* SPDX-License-Identifier: Apache-2.0
 *
 * fields.h - what the record and the stores need of the encoded fields beyond session.h.
 */
#ifndef LATCHKEY_STORE_FIELDS_H
#define LATCHKEY_STORE_FIELDS_H

#include <latchkey/session.h>

/* Room for lk_fields_apply: the fields as they are and, while operations run, as much again. */
#define LK_FIELDS_WORK_MAX (2 * LK_FIELDS_BYTES_MAX + 1024)

/* Are these encoded fields from the first byte to the last, within LK_FIELDS_MAX and LK_FIELDS_BYTES_MAX? */
bool lk__fields_are_whole(lk_view fields);

#endif
