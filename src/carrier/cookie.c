/* SPDX-License-Identifier: Apache-2.0
 *
 * cookie.c - find one cookie in the Cookie fields of a request, as the server side of RFC 6265bis reads them.
 */
#include "carrier/carrier.h"

/* Take the next `;`-separated piece off *REST, blanks around it removed. */
static lk_view next_pair(lk_view *rest)
{
    size_t end = lk_view_find(*rest, ';');
    lk_view pair = lk_view_part(*rest, 0, end);
    *rest = lk_view_part(*rest, end < rest->len ? end + 1 : end, rest->len);
    return lk_view_trim(pair);
}

/* The value of PAIR if its name is NAME, byte for byte. A pair without `=` is nameless for browsers, and
 * `=a=b` has the empty name: neither is ever ours (CVE-2023-23934 took the second for a cookie called `a`).
 */
static bool pair_has_name(lk_view pair, lk_view name, lk_view *value)
{
    if (pair.len <= name.len || pair.p[name.len] != '=')
        return false;
    if (!lk_view_equal(lk_view_part(pair, 0, name.len), name))
        return false;
    *value = lk_view_part(pair, name.len + 1, pair.len);
    return true;
}

lk_status lk_cookie_find(const lk_view *fields, size_t n, lk_view name, lk_view *value)
{
    bool found = false;
    *value = (lk_view){0};
    if (name.len == 0)
        return LK_MISS;
    for (size_t i = 0; i < n; i++) {
        lk_view rest = fields[i];
        while (rest.len > 0) {
            lk_view candidate;
            if (!pair_has_name(next_pair(&rest), name, &candidate))
                continue;
            /* A sibling sub-domain can plant a second cookie of our name; which of the two comes first is up
             * to the browser, so two that differ prove nothing. (RFC 6265bis 4.2.2) */
            if (found && !lk_view_equal(*value, candidate)) {
                *value = (lk_view){0};
                return LK_REFUSED;
            }
            *value = candidate;
            found = true;
        }
    }
    return found ? LK_OK : LK_MISS;
}

/* --- Pieces ----------------------------------------------------------------------------------------------
 */

/* What was seen under NAME, NAME.1 ... NAME.3. */
typedef struct seen {
    lk_view value[LK_COOKIE_PIECES];
    unsigned found;   /* bit 1 << i: NAME.i is there */
    unsigned differs; /* bit 1 << i: with two values */
} seen;

/* Which piece of NAME is PAIR, and its value? LK_COOKIE_PIECES when it is none. */
static unsigned piece_of(lk_view pair, lk_view name, lk_view *value)
{
    unsigned piece = 0;
    size_t at = name.len;

    if (pair.len <= at || (pair.p[at] != '=' && pair.p[at] != '.'))
        return LK_COOKIE_PIECES;
    if (pair.p[at] == '.') {
        if (pair.len < at + 3 || pair.p[at + 1] < '1' || pair.p[at + 1] >= '0' + LK_COOKIE_PIECES ||
            pair.p[at + 2] != '=')
            return LK_COOKIE_PIECES;
        piece = pair.p[at + 1] - (unsigned)'0';
        at += 2;
    }
    if (!lk_view_equal(lk_view_part(pair, 0, name.len), name))
        return LK_COOKIE_PIECES;
    *value = lk_view_part(pair, at + 1, pair.len);
    return piece;
}

static void look(lk_view field, lk_view name, seen *s)
{
    while (field.len > 0) {
        lk_view value;
        unsigned i = piece_of(next_pair(&field), name, &value);

        if (i == LK_COOKIE_PIECES)
            continue;
        if ((s->found & 1u << i) != 0 && !lk_view_equal(s->value[i], value))
            s->differs |= 1u << i;
        s->value[i] = value;
        s->found |= 1u << i;
    }
}

/* How many pieces the value has. LK_OK; LK_REFUSED when one of them cannot be told or is too long. */
static lk_status count_pieces(const seen *s, unsigned *n)
{
    for (*n = 1; *n < LK_COOKIE_PIECES && s->value[*n - 1].len == LK_COOKIE_PIECE_LEN; (*n)++) {
        if ((s->differs & 1u << *n) != 0 || s->value[*n].len > LK_COOKIE_PIECE_LEN)
            return LK_REFUSED;
        if (s->value[*n].len == 0)
            return LK_OK;
    }
    return LK_OK;
}

static lk_status join(const seen *s, unsigned n, lk_buf *out, lk_view *value)
{
    lk_buf before = *out;

    for (unsigned i = 0; i < n; i++)
        lk_buf_add(out, s->value[i]);
    if (out->full) {
        *out = before;
        return LK_FULL;
    }
    *value = lk_view_make(out->p + before.len, out->len - before.len);
    return LK_OK;
}

lk_status lk_cookie_find_pieces(const lk_view *fields, size_t n, lk_view name, lk_buf *out, lk_view *value,
                                unsigned *pieces, unsigned *stale)
{
    lk_status status = LK_OK;
    seen s = {0};
    unsigned used = 0;

    *value = (lk_view){0};
    *pieces = *stale = 0;
    if (name.len == 0)
        return LK_MISS;
    for (size_t i = 0; i < n; i++)
        look(fields[i], name, &s);
    *stale = s.found & ~1u;
    if ((s.differs & 1u) != 0)
        return LK_REFUSED;
    if ((s.found & 1u) == 0)
        return LK_MISS;
    status = count_pieces(&s, &used);
    if (status == LK_OK && used > 1)
        status = join(&s, used, out, value);
    else if (status == LK_OK)
        *value = s.value[0];
    if (status != LK_OK)
        return status;
    *pieces = used;
    *stale &= ~((1u << used) - 1);
    return LK_OK;
}
