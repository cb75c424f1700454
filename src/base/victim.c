/* SPDX-License-Identifier: Apache-2.0
 *
 * victim.c - the words for whom a limit ends: settings say them, stores go by them.
 */
#include <latchkey/victim.h>

static const char *const words[LK_VICTIM_COUNT] = {"longest_idle", "oldest", "soonest_expiry", "refuse"};

const char *lk_victim_name(lk_victim victim)
{
    return victim < LK_VICTIM_COUNT ? words[victim] : "";
}

lk_status lk_victim_of(lk_view name, lk_victim *out)
{
    for (unsigned i = 0; i < LK_VICTIM_COUNT; i++) {
        if (lk_view_equal(name, lk_view_of(words[i]))) {
            *out = (lk_victim)i;
            return LK_OK;
        }
    }
    return LK_MISS;
}
