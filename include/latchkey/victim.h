/* SPDX-License-Identifier: Apache-2.0
 *
 * victim.h - whom a limit on the number of sessions ends: settings say it, stores go by it.
 */
#ifndef LATCHKEY_VICTIM_H
#define LATCHKEY_VICTIM_H

#include <latchkey/bytes.h>

#ifdef __cplusplus
extern "C" {
#endif

/* In which order sessions go. Under one second they go by the others of these times, then by their keys. */
typedef enum lk_victim {
    LK_VICTIM_LONGEST_IDLE,   /* seen longest ago */
    LK_VICTIM_OLDEST,         /* issued longest ago: the first login goes first */
    LK_VICTIM_SOONEST_EXPIRY, /* whose absolute end comes first */
    LK_VICTIM_REFUSE,         /* nobody: the new one is not made */
    LK_VICTIM_COUNT
} lk_victim;
const char *lk_victim_name(lk_victim victim); /* "longest_idle", "oldest", "soonest_expiry", "refuse" */
LK_CHECKED lk_status lk_victim_of(lk_view name, lk_victim *out); /* LK_OK, LK_MISS */

#ifdef __cplusplus
}
#endif
#endif
