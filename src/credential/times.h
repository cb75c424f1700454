/* SPDX-License-Identifier: Apache-2.0
 *
 * times.h - is a proven token in its time? Private to src/credential.
 */
#ifndef LATCHKEY_CREDENTIAL_TIMES_H
#define LATCHKEY_CREDENTIAL_TIMES_H

#include <latchkey/credential.h>

#define LK__TIME_MAX (INT64_C(1) << 53)

/* LK_OK; LK_REFUSED, not_yet_valid; LK_STALE, expired. The times in CLAIMS are within LK__TIME_MAX of 0. */
LK_CHECKED lk_status lk__times_check(const lk_claims *claims, bool has_expiry, const lk_expect *expect,
                                     lk_reason *why, lk_note *note);

#endif
