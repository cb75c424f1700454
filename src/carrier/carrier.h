/* SPDX-License-Identifier: Apache-2.0
 *
 * carrier.h - where a credential rides: each carrier finds at most one candidate in a request.
 */
#ifndef LATCHKEY_CARRIER_CARRIER_H
#define LATCHKEY_CARRIER_CARRIER_H

#include <latchkey/bytes.h>

/* Find the cookie NAME in the Cookie header fields. Linear in their length; no decoding, no quote stripping,
 * names case-sensitive; several fields count as one joined field. LK_OK with *value (a view into a field);
 * LK_MISS; LK_REFUSED when the name is there with two different values. Source: RFC 6265bis 4.2, 5.4;
 * SECURITY-RULES 18-22. */
LK_CHECKED lk_status lk_cookie_find(const lk_view *fields, size_t n, lk_view name, lk_view *value);

/* The credential of `Authorization: Bearer X` (scheme in any case; one space or more; token68 characters
 * only). LK_OK; LK_MISS when there is no field or it is of another scheme; LK_REFUSED for two fields that
 * differ or a malformed Bearer. Source: RFC 6750 2.1, RFC 9110 11.4. */
LK_CHECKED lk_status lk_bearer_find(const lk_view *fields, size_t n, lk_view *value);

/* The value of a header that holds nothing but a credential. Same answers. */
LK_CHECKED lk_status lk_header_find(const lk_view *fields, size_t n, lk_view *value);

#endif
