/* SPDX-License-Identifier: Apache-2.0
 *
 * base64url_quick.h - base64url on processors that can shuffle bytes in a register.
 */
#ifndef LATCHKEY_BASE_BASE64URL_QUICK_H
#define LATCHKEY_BASE_BASE64URL_QUICK_H

#include <latchkey/bytes.h>

/* Decode all of TEXT to OUT, which has room for it. False, and nothing is done, on a processor that cannot.
 * *right is cleared when a character is outside of the alphabet, or a bit is set beyond the last byte. */
bool lk__base64url_decode_quick(lk_view text, uint8_t *out, bool *right);

/* Split TEXT at its dots into at most MAX parts. *n is how many there are, MAX + 1 when there are more;
 * *right is cleared when another character is outside of the alphabet. False as above. */
bool lk__base64url_split_quick(lk_view text, lk_view *parts, size_t max, size_t *n, bool *right);

/* *right: is all of V in the alphabet of token68, without its `=`? False as above. */
bool lk__is_token68_quick(lk_view v, bool *right);

/* lk__base64url_split_quick on any processor, in base64url.c: gives how many parts there are. */
size_t lk__base64url_split(lk_view text, lk_view *parts, size_t max, bool *right);

#endif
