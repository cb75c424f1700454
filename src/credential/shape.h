/* SPDX-License-Identifier: Apache-2.0
 *
 * shape.h - the outward shape of credentials; private to src/credential.
 */
#ifndef LATCHKEY_CREDENTIAL_SHAPE_H
#define LATCHKEY_CREDENTIAL_SHAPE_H

#include <latchkey/credential.h>

#define LK__JWT_PARTS 3
#define LK__TOKEN_PARTS_MIN 5
#define LK__TOKEN_PARTS_MAX 6
#define LK__TOKEN_SIGN_LEN 64
#define LK__SEALED_PARTS 3
#define LK__SEALED_MARK "v1." /* what a sealed session begins with, and nothing else does */

/* Split TEXT at its dots into at most MAX parts, and give how many there are; MAX + 1 when there are more,
 * however many: a text of nothing but dots costs no more than any other (CVE-2025-30204). */
size_t lk__split_dots(lk_view text, lk_view *parts, size_t max);

/* Is TEXT lk_<8 public>_<32 secret>? */
bool lk__is_shaped_api_key(lk_view text);

/* Does TEXT begin as a sealed session does? */
bool lk__is_marked_sealed(lk_view text);

/* Is the first thing in checked JSON a `{`? */
bool lk__is_json_object(lk_view json);

/* Is V UTF-8 without control characters? What a token says ends up in headers, logs and lists, where a line
 * end or a NUL would begin something new. */
bool lk__is_clean_text(lk_view v);

#endif
