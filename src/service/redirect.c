/* SPDX-License-Identifier: Apache-2.0
 *
 * redirect.c - where to go after login: only what a browser would certainly resolve to our own origin.
 *
 * Browsers read URLs by the WHATWG URL standard: they strip tabs and newlines, take '\' for '/', resolve
 * `https:name` and `//name` to other hosts, and decode %2e in dot segments. Whatever could be read in two
 * ways is refused; what is left is rewritten: dot segments resolved, characters a browser would escape
 * escaped, and only path, query and fragment handed on.
 */
#include "service/origin.h"
#include "service/text.h"

#include <latchkey/service.h>

#define RETURN_MAX 2048 /* bytes of a return URL; longer is refused rather than cut */

/* Is there a byte that browsers strip, turn into something else or disagree about? */
static bool has_forbidden_byte(lk_view url)
{
    for (size_t i = 0; i < url.len; i++) {
        uint8_t c = url.p[i];
        if (c <= 0x20 || c == 0x7f || c == '\\')
            return true;
    }
    return false;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* The byte that V starts with, percent-decoded; *LEN receives how many bytes spell it. */
static uint8_t decoded_byte(lk_view v, size_t *len)
{
    *len = 1;
    if (v.len >= 3 && v.p[0] == '%' && hex_digit(v.p[1]) >= 0 && hex_digit(v.p[2]) >= 0) {
        *len = 3;
        return (uint8_t)(hex_digit(v.p[1]) * 16 + hex_digit(v.p[2]));
    }
    return v.p[0];
}

/* An escaped control character in the path, or an escaped slash or backslash at its front, does no harm in a
 * browser, but turns into an attack once something behind us decodes it and redirects again. */
static bool path_hides_something(lk_view path)
{
    for (size_t i = 0, len; i < path.len; i += len) {
        uint8_t c = decoded_byte(lk_view_part(path, i, path.len), &len);
        if (c < 0x20 || c == 0x7f || (i == 1 && (c == '/' || c == '\\')))
            return true;
    }
    return false;
}

/* 1 for ".", 2 for "..", in any spelling with %2e; 0 for other segments. */
static int dots_of(lk_view segment)
{
    int dots = 0;
    for (size_t i = 0, len; i < segment.len; i += len) {
        if (decoded_byte(lk_view_part(segment, i, segment.len), &len) != '.' || ++dots > 2)
            return 0;
    }
    return dots;
}

/* Append V, escaping what a browser escapes in every part of a URL. */
static void add_escaped(lk_buf *out, lk_view v)
{
    for (size_t i = 0; i < v.len; i++) {
        uint8_t c = v.p[i];
        bool escape = c > 0x7e || c == '"' || c == '<' || c == '>' || c == '`' || c == '{' || c == '}' ||
                      c == '|' || c == '^' || c == '\'';
        if (escape)
            lk_buf_add_printf(out, "%%%02X", c);
        else
            lk_buf_add_byte(out, c);
    }
}

/* Append PATH with its dot segments resolved. START is where the path begins in OUT. */
static void add_path(lk_buf *out, lk_view path, size_t start)
{
    size_t at = 1;
    for (bool last = false; !last;) {
        lk_view rest = lk_view_part(path, at, path.len);
        size_t n = lk_view_find(rest, '/');
        lk_view segment = lk_view_part(rest, 0, n);
        last = n == rest.len;
        at += n + 1;
        int dots = dots_of(segment);
        if (dots == 2) {
            while (out->len > start && out->p[out->len - 1] != '/')
                out->len--;
            if (out->len > start)
                out->len--;
        }
        if (dots == 0 || last)
            lk_buf_add_byte(out, '/');
        if (dots == 0)
            add_escaped(out, segment);
    }
}

static lk_status refuse(lk_note *note, const char *rule)
{
    lk_note_set(note, "%s", rule);
    return LK_REFUSED;
}

/* Take the origin off the front of *URL if it is ORIGIN. A path alone is left as it is. */
static lk_status strip_origin(lk_view origin, lk_view *url, lk_note *note)
{
    if (url->p[0] == '/')
        return LK_OK;
    lk__origin own, theirs;
    size_t own_len = 0, their_len = 0;
    if (lk__origin_read(origin, &own, &own_len) != LK_OK || own_len != origin.len)
        return refuse(note, "the origin to compare with is no scheme://host[:port]");
    if (lk__origin_read(*url, &theirs, &their_len) != LK_OK || !lk__origin_equal(&own, &theirs))
        return refuse(note, "it is neither a path starting with one '/' nor a URL of this origin");
    *url = lk_view_part(*url, their_len, url->len);
    return LK_OK;
}

/* Append the rest of a URL whose origin is known to be ours. */
static lk_status add_place(lk_buf *out, lk_view rest, lk_note *note)
{
    size_t path_len = 0, start = out->len;
    while (path_len < rest.len && rest.p[path_len] != '?' && rest.p[path_len] != '#')
        path_len++;
    lk_view path = lk_view_part(rest, 0, path_len);
    if (path_hides_something(path))
        return refuse(note, "its path has an escaped control character or begins with an escaped slash");
    add_path(out, path.len == 0 ? LK_VIEW("/") : path, start);
    /* `/.//host` resolves to `//host`, which is another host once it stands alone in a Location field;
     * `/%2e/%2f` resolves to `/%2f`, which is one once somebody decodes it. */
    lk_view resolved = lk_view_make(out->p + start, out->len - start);
    if ((resolved.len >= 2 && resolved.p[1] == '/') || path_hides_something(resolved)) {
        out->len = start;
        return refuse(note, "its path begins with two slashes: browsers take what follows for a host");
    }
    add_escaped(out, lk_view_part(rest, path_len, rest.len));
    return lk_buf_status(out);
}

lk_status lk_redirect_check(lk_view origin, lk_view url, lk_buf *out, lk_note *note)
{
    if (url.len == 0 || url.len > RETURN_MAX)
        return refuse(note, url.len == 0 ? "it is empty" : "it is longer than 2048 bytes");
    if (has_forbidden_byte(url))
        return refuse(note, "it has a control character, a blank or a backslash");
    if (!lk__is_utf8(url))
        return refuse(note, "it is not UTF-8");
    lk_status status = strip_origin(origin, &url, note);
    if (status != LK_OK)
        return status;
    if (url.len > 1 && url.p[0] == '/' && url.p[1] == '/')
        return refuse(note, "its path begins with two slashes: browsers take what follows for a host");
    size_t start = out->len;
    status = add_place(out, url, note);
    if (status != LK_OK)
        out->len = start;
    return status;
}
