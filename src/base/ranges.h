/* SPDX-License-Identifier: Apache-2.0
 *
 * ranges.h - lists of address ranges: "192.0.2.0/24 2001:db8::/32 198.51.100.7".
 */
#ifndef LATCHKEY_BASE_RANGES_H
#define LATCHKEY_BASE_RANGES_H

#include <latchkey/bytes.h>

#define LK__RANGES_MAX 8 /* in one list */

/* Append LIST (parted by blanks) to OUT in one spelling, each range once and with one blank between them. A
 * range is an IPv4 or IPv6 address, alone or with a prefix length, and no bit set behind that: whoever writes
 * 192.0.2.7/24 may mean either. LK_OK; LK_REFUSED with the rule; LK_FULL when OUT has no room. */
LK_CHECKED lk_status lk__ranges_normalize(lk_view list, lk_buf *out, lk_note *note);

/* Is ADDRESS in one of RANGES, a list that lk__ranges_normalize made? An IPv4 address written as IPv6
 * (::ffff:192.0.2.1) is one of IPv4. What is no address, as that of a unix socket, is in no range. No
 * allocation. */
bool lk__ranges_have(lk_view ranges, lk_view address);

#endif
