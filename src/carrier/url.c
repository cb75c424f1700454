/* SPDX-License-Identifier: Apache-2.0
 *
 * url.c - a session id in the path of a URL: found, and taken out.
 *
 * `;lk=` and 43 characters of base64url, at the end of a segment. It has this one spelling: nobody who is
 * given a link of ours writes `%3Blk`, so what is spelt otherwise is not the id.
 */
#include "carrier/carrier.h"
#include <latchkey/base64url.h>
#include <string.h>

#define MARK ";lk="
enum { MARK_LEN = sizeof(MARK) - 1, PARAM_LEN = MARK_LEN + LK_URL_ID_LEN };

static bool is_id_char(uint8_t c)
{
    return lk_is_base64url(lk_view_make(&c, 1));
}

/* Where the first parameter with an id begins in TEXT from FROM on; TEXT.len when there is none. */
static size_t find_param(lk_view text, size_t from)
{
    while (from < text.len) {
        lk_view rest = lk_view_part(text, from, text.len);
        const uint8_t *at = memmem(rest.p, rest.len, MARK, MARK_LEN);
        if (at == NULL)
            return text.len;
        size_t i = (size_t)(at - text.p);
        lk_view id = lk_view_part(text, i + MARK_LEN, LK_URL_ID_LEN);
        bool longer = i + PARAM_LEN < text.len && is_id_char(text.p[i + PARAM_LEN]);
        if (id.len == LK_URL_ID_LEN && lk_is_base64url(id) && !longer)
            return i;
        from = i + MARK_LEN;
    }
    return text.len;
}

/* The length of `.`, however it is spelt, at the front of V; 0 when there is none. */
static size_t dot_len(lk_view v)
{
    if (v.len > 0 && v.p[0] == '.')
        return 1;
    return lk_view_equal_nocase(lk_view_part(v, 0, 3), LK_VIEW("%2e")) ? 3 : 0;
}

/* `.` and `..` mean another path once they stand alone: nginx has resolved dot segments by then, and the
 * application has not yet. */
static bool is_dots(lk_view segment)
{
    size_t first = dot_len(segment);
    lk_view rest = lk_view_part(segment, first, segment.len);
    return first > 0 && (rest.len == 0 || dot_len(rest) == rest.len);
}

/* May the parameter at AT be taken out of PATH? */
static bool leaves_a_path(lk_view path, size_t at)
{
    size_t begin = at;
    while (begin > 0 && path.p[begin - 1] != '/')
        begin--;
    size_t end = at + PARAM_LEN;
    if (begin == 0 || (end < path.len && path.p[end] != '/'))
        return false;
    /* An empty segment in the middle: `/;lk=ID/host` would become `//host`. */
    if (begin == at && end < path.len)
        return false;
    return !is_dots(lk_view_part(path, begin, at - begin));
}

lk_status lk_url_take(lk_view url, lk_buf *out, lk_view *id)
{
    size_t path_len = lk_view_find(url, '?');
    lk_view path = lk_view_part(url, 0, path_len);
    size_t at = find_param(path, 0), begin = out->len;
    *id = (lk_view){0};
    if (at == path.len)
        return LK_MISS;
    if (find_param(path, at + PARAM_LEN) != path.len || !leaves_a_path(path, at))
        return LK_REFUSED;
    lk_buf_add(out, lk_view_part(url, 0, at));
    lk_buf_add(out, lk_view_part(url, at + PARAM_LEN, url.len));
    if (lk_buf_status(out) != LK_OK) {
        out->len = begin;
        return LK_REFUSED;
    }
    *id = lk_view_part(url, at + MARK_LEN, LK_URL_ID_LEN);
    return LK_OK;
}

bool lk_url_scrub(lk_view text, lk_buf *out)
{
    bool found = false;
    for (size_t from = 0; from < text.len;) {
        size_t at = find_param(text, from);
        lk_buf_add(out, lk_view_part(text, from, at - from));
        found |= at < text.len;
        from = at < text.len ? at + PARAM_LEN : at;
    }
    return found;
}
