/* SPDX-License-Identifier: Apache-2.0
 *
 * memory.h - the shared memory in which all processes of a gateway meet: what a store and a guard are opened
 * on.
 */
#ifndef LATCHKEY_MEMORY_H
#define LATCHKEY_MEMORY_H

#include <latchkey/env.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LK_TABLE_SIZE_MIN (1u << 20)

/* One bounded table; what is in it is the library's own business. */
typedef struct lk_table lk_table;

/* Map PATH (made with mode 0600 and SIZE bytes if it is not there; NULL: anonymous memory, shared with later
 * forks). An existing table of the same format is joined, whatever SIZE says (*joined true; the note then
 * says when SIZE differs). A table of another format or a damaged header is replaced by a new file. At most
 * one process makes it: the others wait for it. All memory is taken here; later calls allocate nothing. May
 * be used by several threads, and by children forked later. Keeps ENV: where a call has no time of its own,
 * its wall clock says what is over. Gives LK_OK; LK_REFUSED when SIZE is below LK_TABLE_SIZE_MIN or above 64
 * GiB; LK_FAULT, also for a file that is not the effective user's alone, and for one that is in use in
 * another pid namespace. */
LK_CHECKED lk_status lk_table_open(const lk_env *env, const char *path, size_t size, lk_table **out,
                                   bool *joined, lk_note *note);
void lk_table_close(lk_table *t); /* unmap; the file stays */

#ifdef __cplusplus
}
#endif
#endif
