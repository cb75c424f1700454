/* SPDX-License-Identifier: Apache-2.0
 *
 * origin.c - reading and comparing origins.
 */
#include "service/origin.h"

#include <string.h>

static bool is_host_byte(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_';
}

static bool is_ipv6_byte(uint8_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || c == ':' || c == '.';
}

/* How many bytes of AUTHORITY are host: all up to the port or the end; 0 when it is no host. */
static size_t host_len(lk_view authority)
{
    size_t i = 0;
    if (authority.len > 0 && authority.p[0] == '[') {
        for (i = 1; i < authority.len && is_ipv6_byte(authority.p[i]); i++)
            ;
        return i > 1 && i < authority.len && authority.p[i] == ']' ? i + 1 : 0;
    }
    while (i < authority.len && is_host_byte(authority.p[i]))
        i++;
    return i;
}

/* The port in REST, which is empty or begins with ':'. No digits at all mean the default, as in a browser. */
static lk_status read_port(lk_view rest, lk__origin *out)
{
    out->port = out->https ? 443 : 80;
    if (rest.len == 0)
        return LK_OK;
    if (rest.p[0] != ':' || rest.len > 6)
        return LK_REFUSED;
    uint32_t port = 0;
    for (size_t i = 1; i < rest.len; i++) {
        if (rest.p[i] < '0' || rest.p[i] > '9')
            return LK_REFUSED;
        port = port * 10 + (uint32_t)(rest.p[i] - '0');
    }
    if (port > 65535)
        return LK_REFUSED;
    if (rest.len > 1)
        out->port = port;
    return LK_OK;
}

lk_status lk__origin_of_host(bool https, lk_view host, lk__origin *out)
{
    memset(out, 0, sizeof(*out));
    out->https = https;
    size_t n = host_len(host);
    if (n == 0 || n > LK_HOST_MAX)
        return LK_REFUSED;
    for (size_t i = 0; i < n; i++) {
        uint8_t c = host.p[i];
        out->host[i] = (char)(c >= 'A' && c <= 'Z' ? c + 32 : c);
    }
    return read_port(lk_view_part(host, n, host.len), out);
}

lk_status lk__origin_read(lk_view text, lk__origin *out, size_t *len)
{
    size_t skip = 0;
    if (lk_view_equal_nocase(lk_view_part(text, 0, 8), LK_VIEW("https://")))
        skip = 8;
    else if (lk_view_equal_nocase(lk_view_part(text, 0, 7), LK_VIEW("http://")))
        skip = 7;
    else
        return LK_REFUSED;
    size_t end = skip;
    while (end < text.len && text.p[end] != '/' && text.p[end] != '?' && text.p[end] != '#')
        end++;
    *len = end;
    return lk__origin_of_host(skip == 8, lk_view_part(text, skip, end - skip), out);
}

bool lk__origin_equal(const lk__origin *a, const lk__origin *b)
{
    return a->https == b->https && a->port == b->port &&
           lk_view_equal(lk_view_of(a->host), lk_view_of(b->host));
}
