/* SPDX-License-Identifier: Apache-2.0
 *
 * base64url.h - strict base64url without padding (RFC 7515 section 2, RFC 4648 section 5).
 */
#ifndef LATCHKEY_BASE64URL_H
#define LATCHKEY_BASE64URL_H

#include <latchkey/bytes.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LK_BASE64URL_LEN(n) (((n)*4 + 2) / 3) /* characters for n bytes */

/* Append the text of V to OUT. */
void lk_base64url_encode(lk_view v, lk_buf *out);

/* Append the bytes that TEXT stands for to OUT.
 * Gives LK_OK; LK_REFUSED for padding, any character outside the alphabet, a length of 1 mod 4 or trailing
 * bits that are not zero (so that each value has one spelling); LK_FULL when OUT has no room. On anything but
 * LK_OK nothing is appended.
 * Leaks: TEXT.len and whether it is well formed. */
LK_CHECKED lk_status lk_base64url_decode(lk_view text, lk_buf *out);

/* Is every byte of V in the base64url alphabet? */
bool lk_is_base64url(lk_view v);

/* Is V a token68 of RFC 9110 section 11.2, the form of a bearer credential: letters, digits, `-._~+/`, at
 * least one, and `=` only at the end? */
bool lk_is_token68(lk_view v);

#ifdef __cplusplus
}
#endif
#endif
