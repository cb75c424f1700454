/* SPDX-License-Identifier: Apache-2.0
 *
 * htu.c - is a URL that of a request? (RFC 9449 section 4.3, RFC 3986 sections 5.2.4 and 6.2)
 *
 * Both sides are written out in one form and compared as bytes. What cannot be brought into that form is
 * equal to nothing.
 */
#include "credential/htu.h"

static uint8_t lower(uint8_t c)
{
    return c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
}

static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = lower(c);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_unreserved(uint8_t c)
{
    uint8_t letter = lower(c);
    return (letter >= 'a' && letter <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' ||
           c == '~';
}

/* The escape at V.p[I], as it is written in the normal form. False when it is none. */
static bool add_escape(lk_view v, size_t i, lk_buf *out)
{
    static const char digits[] = "0123456789ABCDEF";
    int high = i + 2 < v.len ? hex_value(v.p[i + 1]) : -1, low = i + 2 < v.len ? hex_value(v.p[i + 2]) : -1;

    if (high < 0 || low < 0)
        return false;
    if (is_unreserved((uint8_t)(high * 16 + low))) {
        lk_buf_add_byte(out, (uint8_t)(high * 16 + low));
        return true;
    }
    lk_buf_add_byte(out, '%');
    lk_buf_add_byte(out, (uint8_t)digits[high]);
    lk_buf_add_byte(out, (uint8_t)digits[low]);
    return true;
}

/* One segment behind its slash. "." is nothing, ".." takes the one before it away. */
static bool add_segment(lk_view segment, bool last, size_t start, lk_buf *out)
{
    size_t before = out->len;

    lk_buf_add_byte(out, '/');
    for (size_t i = 0; i < segment.len; i++) {
        uint8_t c = segment.p[i];

        if (c <= 0x20 || c == 0x7f)
            return false;
        if (c != '%') {
            lk_buf_add_byte(out, c);
            continue;
        }
        if (!add_escape(segment, i, out))
            return false;
        i += 2;
    }
    if (out->full)
        return false;
    lk_view made = lk_view_make(out->p + before, out->len - before);
    bool up = lk_view_equal(made, LK_VIEW("/.."));
    if (!up && !lk_view_equal(made, LK_VIEW("/.")))
        return true;
    out->len = before;
    while (up && out->len > start && out->p[--out->len] != '/')
        continue;
    if (last)
        lk_buf_add_byte(out, '/');
    return true;
}

/* PATH without query and fragment; an empty one is "/". */
static bool add_path(lk_view path, lk_buf *out)
{
    size_t start = out->len, end = lk_view_find(path, '?'), mark = lk_view_find(path, '#');

    path = lk_view_part(path, 0, mark < end ? mark : end);
    if (path.len == 0)
        path = LK_VIEW("/");
    if (path.p[0] != '/')
        return false;
    while (path.len > 0) {
        lk_view rest = lk_view_part(path, 1, path.len);
        size_t slash = lk_view_find(rest, '/');

        if (!add_segment(lk_view_part(rest, 0, slash), slash == rest.len, start, out))
            return false;
        path = lk_view_part(rest, slash, rest.len);
    }
    return !out->full;
}

/* host[:port], in lower case, without the port that SCHEME has anyway. */
static bool add_authority(lk_view authority, bool https, lk_buf *out)
{
    size_t colon = authority.len;

    for (size_t i = 0; i < authority.len; i++) {
        uint8_t c = authority.p[i];

        if (c <= 0x20 || c >= 0x7f || c == '@' || c == '\\')
            return false;
        if (c == ':')
            colon = i;
        if (c == ']')
            colon = authority.len; /* the colons before it belong to an IPv6 address */
    }
    lk_view host = lk_view_part(authority, 0, colon);
    lk_view port = lk_view_part(authority, colon + 1, authority.len);
    for (size_t i = 0; i < host.len; i++)
        lk_buf_add_byte(out, lower(host.p[i]));
    if (port.len > 0 && !lk_view_equal(port, https ? LK_VIEW("443") : LK_VIEW("80"))) {
        lk_buf_add_byte(out, ':');
        lk_buf_add(out, port);
    }
    return host.len > 0 && !out->full;
}

static bool add_scheme(lk_view scheme, bool *https, lk_buf *out)
{
    *https = lk_view_equal_nocase(scheme, LK_VIEW("https"));
    if (!*https && !lk_view_equal_nocase(scheme, LK_VIEW("http")))
        return false;
    lk_buf_add_text(out, *https ? "https://" : "http://");
    return true;
}

static bool add_url(lk_view url, lk_buf *out)
{
    size_t colon = lk_view_find(url, ':'), end = 0;
    lk_view rest = lk_view_part(url, colon, url.len);
    bool https;

    if (!lk_view_equal(lk_view_part(rest, 0, 3), LK_VIEW("://")))
        return false;
    rest = lk_view_part(rest, 3, rest.len);
    while (end < rest.len && rest.p[end] != '/' && rest.p[end] != '?' && rest.p[end] != '#')
        end++;
    return add_scheme(lk_view_part(url, 0, colon), &https, out) &&
           add_authority(lk_view_part(rest, 0, end), https, out) &&
           add_path(lk_view_part(rest, end, rest.len), out);
}

bool lk__htu_is(lk_view url, const lk_about *about)
{
    uint8_t one[LK_DPOP_URL_MAX], other[LK_DPOP_URL_MAX];
    lk_buf said = lk_buf_over(one, sizeof(one)), known = lk_buf_over(other, sizeof(other));
    bool https;

    return url.len <= LK_DPOP_URL_MAX && add_url(url, &said) && add_scheme(about->scheme, &https, &known) &&
           add_authority(about->host, https, &known) && add_path(about->target, &known) &&
           lk_view_equal(lk_buf_view(&said), lk_buf_view(&known));
}
