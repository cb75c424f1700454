/* SPDX-License-Identifier: Apache-2.0
 *
 * sessions.h - the live sessions of the user who asks, for the JSON list and the account page.
 */
#ifndef LATCHKEY_SERVICE_SESSIONS_H
#define LATCHKEY_SERVICE_SESSIONS_H

#include "service/call.h"

#define LK_SESSIONS_PAGE 64 /* sessions of one answer */

typedef struct lk__session_row {
    char public_id[LK_PUBLIC_ID_LEN + 1];
    bool is_current;
    uint32_t flags;
    int64_t created_s, issued_s, seen_s, ends_s, expires_s;
    char agent[LK_AGENT_MAX + 1];
    char address[LK_ADDRESS_MAX + 1];
    char device[LK_USER_ID_MAX + 1];
} lk__session_row;

typedef struct lk__session_list {
    lk__session_row *rows; /* the current one first, then the ones seen last */
    size_t n;
    uint64_t next; /* cursor of the next page, 0 when there is none */
} lk__session_list;

/* One page from CURSOR on (0: the first). LK_OK, LK_FAULT. */
LK_CHECKED lk_status lk__sessions_load(lk__call *c, uint64_t cursor, lk__session_list *out);

/* "2027-01-15 08:00 UTC", for people. */
lk_view lk__time_text(lk__call *c, int64_t at_s);

#endif
