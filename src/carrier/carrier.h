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

/* A value too long for one cookie is spread over NAME, NAME.1 ... NAME.3, each but the last of exactly so
 * many characters. */
#define LK_COOKIE_PIECES 4
#define LK_COOKIE_PIECE_LEN 3800
#define LK_COOKIE_PIECES_MAX (LK_COOKIE_PIECES * LK_COOKIE_PIECE_LEN)

/* The value that is spread over the cookies NAME, NAME.1 .. NAME.3: each piece of exactly LK_COOKIE_PIECE_LEN
 * characters calls for the next, any other is the last. What was not called for is not looked at, whatever it
 * holds; what was called for and is not there ends the value. *PIECES says how many were used (0 unless
 * LK_OK), *STALE has a bit 1 << i for each NAME.i that was sent and is no part of the value. OUT
 * (LK_COOKIE_PIECES_MAX is always enough) is used only when there is more than one piece: *value views into a
 * field or into OUT. Answers as lk_cookie_find; also LK_REFUSED when a piece behind a full one is longer than
 * a piece can be, and LK_FULL when OUT is too small. docs/formats/sealed.md */
LK_CHECKED lk_status lk_cookie_find_pieces(const lk_view *fields, size_t n, lk_view name, lk_buf *out,
                                           lk_view *value, unsigned *pieces, unsigned *stale);

/* How a credential is said to be used in Authorization. */
typedef enum lk_scheme {
    LK_SCHEME_BEARER, /* RFC 6750 */
    LK_SCHEME_DPOP    /* RFC 9449 section 7.1: with a proof beside it */
} lk_scheme;

/* The credential of `Authorization: Bearer X` or `Authorization: DPoP X` (scheme in any case; one space or
 * more; token68 characters only). LK_OK, and *SCHEME is set; LK_MISS when there is no field or it is of
 * another scheme; LK_REFUSED for two fields that differ, be it in the scheme, or a malformed one. Source:
 * RFC 6750 2.1, RFC 9449 7.1, RFC 9110 11.4. */
LK_CHECKED lk_status lk_authorization_find(const lk_view *fields, size_t n, lk_scheme *scheme,
                                           lk_view *value);

/* The value of a header that holds nothing but a credential. Same answers. */
LK_CHECKED lk_status lk_header_find(const lk_view *fields, size_t n, lk_view *value);

/* ---- a session id in the path: `/shop/cart;lk=ID?x=1` ---- docs/url-carrier.md */

#define LK_URL_ID_LEN 43 /* characters of a session id */

/* Take the id out of URL, a path with its query as it stands in a request line. LK_OK: *id is a view into
 * URL, and the rest was appended to OUT. LK_MISS: there is none, nothing was appended; `;lk=` in front of
 * anything but an id is somebody else's. LK_REFUSED: two of them, or what is left would be another path than
 * the one that was asked for (`/..;lk=ID`, `/;lk=ID/x`), or OUT is too small; nothing was appended. */
LK_CHECKED lk_status lk_url_take(lk_view url, lk_buf *out, lk_view *id);

/* Append TEXT (a Referer, a line of a log) to OUT without anything in it that has the form of `;lk=ID`. True
 * when there was something to leave out. */
bool lk_url_scrub(lk_view text, lk_buf *out);

#endif
