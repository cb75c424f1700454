/* SPDX-License-Identifier: Apache-2.0
 *
 * merge.h - JSON merge patch (RFC 7396) on a value, and on the fields of a session.
 */
#ifndef LATCHKEY_SERVICE_MERGE_H
#define LATCHKEY_SERVICE_MERGE_H

#include "service/arena.h"

#include <latchkey/json.h>
#include <latchkey/session.h>

/* Append MergePatch(TARGET, PATCH). TARGET may be empty: nothing there. Both were accepted by lk_json_check.
 * Works on the texts themselves, so that numbers come through digit by digit, whatever their size. LK_OK;
 * LK_FULL; LK_FAULT without memory. */
LK_CHECKED lk_status lk__merge_text(lk_view target, lk_view patch, lk__arena *arena, lk_buf *out);

/* Turn PATCH (an object) into operations on FIELDS. Members that are objects are merged into what is there
 * and become compare-and-set on the value they were merged into, so that a writer of another member in
 * between is noticed instead of overwritten; every other member is set or deleted whatever is there.
 * LK_OK with *ops and *n in the arena; LK_REFUSED with the rule; LK_FULL when there are too many members;
 * LK_FAULT. */
LK_CHECKED lk_status lk__merge_ops(lk_view fields, lk_view patch, lk__arena *arena, lk_op **ops, size_t *n,
                                   lk_note *note);

/* Append what TARGET (empty, or an object; else LK_REFUSED) becomes when PATCH (an object) is added to it,
 * member by member at any depth: numbers are added up, the elements of arrays come behind those that are
 * there. LK_REFUSED for any other type, for what is not of the same one, for fractions and sums beyond 64
 * bits. As lk__merge_text besides. */
LK_CHECKED lk_status lk__add_text(lk_view target, lk_view patch, lk__arena *arena, lk_buf *out);

/* Turn PATCH, whose members are added to the fields of their names, into operations. As lk__merge_ops. */
LK_CHECKED lk_status lk__add_ops(lk_view fields, lk_view patch, lk__arena *arena, lk_op **ops, size_t *n,
                                 lk_note *note);

#endif
