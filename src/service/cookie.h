/* SPDX-License-Identifier: Apache-2.0
 *
 * cookie.h - one Set-Cookie value, whatever cookie of ours it is.
 */
#ifndef LATCHKEY_SERVICE_COOKIE_H
#define LATCHKEY_SERVICE_COOKIE_H

#include <latchkey/service.h>

typedef struct lk__cookie {
    lk_view name, value, path, domain;
    bool ends;     /* with Max-Age and Expires; else it ends with the browser */
    int64_t age_s; /* 0 or less removes the cookie */
    bool secure;
    lk_samesite samesite;
} lk__cookie;

/* Append the Set-Cookie value of C. LK_OK; LK_REFUSED for a name, value or attribute outside the grammar;
 * LK_FULL when name and value pass 4096 bytes or OUT has no room. */
LK_CHECKED lk_status lk__cookie_add(const lk__cookie *c, int64_t now_s, lk_buf *out);

/* "Sun, 06 Nov 1994 08:49:37 GMT": the IMF-fixdate of RFC 9110 section 5.6.7. */
void lk__http_date_add(lk_buf *out, int64_t at_s);

#endif
