/* SPDX-License-Identifier: Apache-2.0
 *
 * cookie.c - find one cookie in the Cookie fields of a request, as the server side of RFC 6265bis reads them.
 */
#include "carrier/carrier.h"

/* Take the next `;`-separated piece off *REST, blanks around it removed. */
static lk_view next_pair(lk_view *rest)
{
    size_t end = lk_view_find(*rest, ';');
    lk_view pair = lk_view_part(*rest, 0, end);
    *rest = lk_view_part(*rest, end < rest->len ? end + 1 : end, rest->len);
    return lk_view_trim(pair);
}

/* The value of PAIR if its name is NAME, byte for byte. A pair without `=` is nameless for browsers, and
 * `=a=b` has the empty name: neither is ever ours (CVE-2023-23934 took the second for a cookie called `a`).
 */
static bool pair_has_name(lk_view pair, lk_view name, lk_view *value)
{
    if (pair.len <= name.len || pair.p[name.len] != '=')
        return false;
    if (!lk_view_equal(lk_view_part(pair, 0, name.len), name))
        return false;
    *value = lk_view_part(pair, name.len + 1, pair.len);
    return true;
}

lk_status lk_cookie_find(const lk_view *fields, size_t n, lk_view name, lk_view *value)
{
    bool found = false;
    *value = (lk_view){0};
    if (name.len == 0)
        return LK_MISS;
    for (size_t i = 0; i < n; i++) {
        lk_view rest = fields[i];
        while (rest.len > 0) {
            lk_view candidate;
            if (!pair_has_name(next_pair(&rest), name, &candidate))
                continue;
            /* A sibling sub-domain can plant a second cookie of our name; which of the two comes first is up
             * to the browser, so two that differ prove nothing. (RFC 6265bis 4.2.2) */
            if (found && !lk_view_equal(*value, candidate)) {
                *value = (lk_view){0};
                return LK_REFUSED;
            }
            *value = candidate;
            found = true;
        }
    }
    return found ? LK_OK : LK_MISS;
}
