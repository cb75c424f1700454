/* SPDX-License-Identifier: Apache-2.0
 *
 * origin.h - scheme, host and port as browsers serialise them (WHATWG URL, HTML "origin").
 */
#ifndef LATCHKEY_SERVICE_ORIGIN_H
#define LATCHKEY_SERVICE_ORIGIN_H

#include <latchkey/bytes.h>

#define LK_HOST_MAX 255

typedef struct lk__origin {
    bool https;
    char host[LK_HOST_MAX + 1]; /* lower case, brackets of an IPv6 address included */
    uint32_t port;              /* the default of the scheme filled in */
} lk__origin;

/* The origin of an absolute http or https URL; *LEN receives how many bytes of TEXT it took (the rest is
 * path, query and fragment). LK_REFUSED for any other scheme, user information, a host with anything but
 * letters, digits, '-', '.', '_' or an IPv6 address in brackets, or a port that is no number up to 65535.
 * A browser may read such a host in some other way than we do, so it is never equal to anything. */
LK_CHECKED lk_status lk__origin_read(lk_view text, lk__origin *out, size_t *len);

/* The origin of a request with this Host under that scheme. */
LK_CHECKED lk_status lk__origin_of_host(bool https, lk_view host, lk__origin *out);

bool lk__origin_equal(const lk__origin *a, const lk__origin *b);

#endif
