/* SPDX-License-Identifier: Apache-2.0
 *
 * text.h - text of strangers on its way into HTML, JSON, URLs and headers.
 */
#ifndef LATCHKEY_SERVICE_TEXT_H
#define LATCHKEY_SERVICE_TEXT_H

#include <latchkey/bytes.h>

bool lk__is_utf8(lk_view v);

/* Append V for use as HTML text or inside a double-quoted attribute: & < > " ' as references; control
 * characters but tab and newline, and bytes that are no UTF-8, as U+FFFD. */
void lk__html_add(lk_buf *out, lk_view v);

/* Append V as a JSON string; bytes that are no UTF-8 become U+FFFD, so that the document stays one. */
void lk__json_add(lk_buf *out, lk_view v);

/* Append V percent-encoded for a value in a query: all but the unreserved characters of RFC 3986 section 2.3
 * and '/'. */
void lk__query_add(lk_buf *out, lk_view v);

/* Append at most MAX bytes of V as visible ASCII: anything else, control characters and bytes above 0x7E,
 * becomes '?'. For header values and what is kept of User-Agent. */
void lk__ascii_add(lk_buf *out, lk_view v, size_t max);

#endif
