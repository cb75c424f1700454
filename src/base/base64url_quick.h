/* SPDX-License-Identifier: Apache-2.0
 *
 * base64url_quick.h - base64url decoding on processors that can shuffle bytes in a register; private to
 * base64url.c.
 */
#ifndef LATCHKEY_BASE_BASE64URL_QUICK_H
#define LATCHKEY_BASE_BASE64URL_QUICK_H

#include <latchkey/bytes.h>

/* Decode as many blocks of sixteen characters of TEXT as may be written in one piece each, to OUT, which has
 * room for all of TEXT. Gives the characters taken, 0 on a processor that cannot; *wrong is set when one was
 * outside the alphabet. */
size_t lk__base64url_decode_quick(lk_view text, uint8_t *out, bool *wrong);

#endif
