/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_cookie.c - one cookie among the Cookie fields: however they are cut or ordered, the answer is the
 * same.
 *
 * Input: the name of the cookie on the first line, then one Cookie field a line.
 */
#include "carrier/carrier.h"
#include "fuzz.h"

enum { FIELDS_MAX = 9 };

static bool is_inside(lk_view part, const lk_view *fields, size_t n)
{
    if (part.len == 0)
        return true;
    for (size_t i = 0; i < n; i++) {
        if (part.p >= fields[i].p && part.p + part.len <= fields[i].p + fields[i].len)
            return true;
    }
    return false;
}

/* HTTP/2 may send the field in crumbs; they mean what they mean joined by "; ". RFC 9113 section 8.2.3 */
static void expect_same_when_joined(const lk_view *fields, size_t n, lk_view name, lk_status status,
                                    lk_view value)
{
    size_t room = 2;
    uint8_t *joined;
    lk_view one, found;
    lk_buf b;

    for (size_t i = 0; i < n; i++)
        room += fields[i].len + 2;
    joined = malloc(room);
    MUST(joined != NULL);
    b = lk_buf_over(joined, room);
    for (size_t i = 0; i < n; i++) {
        lk_buf_add_text(&b, i > 0 ? "; " : "");
        lk_buf_add(&b, fields[i]);
    }
    one = lk_buf_view(&b);
    MUST(lk_cookie_find(&one, 1, name, &found) == status);
    MUST(status != LK_OK || lk_view_equal(found, value));
    free(joined);
}

static void expect_same_when_turned_round(const lk_view *fields, size_t n, lk_view name, lk_status status,
                                          lk_view value)
{
    lk_view turned[FIELDS_MAX], found;

    for (size_t i = 0; i < n; i++)
        turned[i] = fields[n - 1 - i];
    MUST(lk_cookie_find(turned, n, name, &found) == status);
    MUST(status != LK_OK || lk_view_equal(found, value));
}

/* Reading pieces is reading one cookie, unless one is full: then what is joined is as long as it must be. */
static void expect_same_in_pieces(const lk_view *fields, size_t n, lk_view name, lk_status status,
                                  lk_view value)
{
    static uint8_t room[LK_COOKIE_PIECES_MAX];
    lk_buf out = lk_buf_over(room, sizeof(room));
    unsigned pieces, stale;
    lk_view found;
    lk_status in_pieces = lk_cookie_find_pieces(fields, n, name, &out, &found, &pieces, &stale);

    MUST((in_pieces == LK_OK) == (pieces > 0) && pieces <= LK_COOKIE_PIECES);
    MUST((stale & ((1u << pieces) - 1)) == 0 && stale < 1u << LK_COOKIE_PIECES);
    if (status != LK_OK || value.len != LK_COOKIE_PIECE_LEN) {
        MUST(in_pieces == status && lk_view_equal(found, value) && pieces <= 1 && out.len == 0);
        return;
    }
    MUST(in_pieces == LK_OK || in_pieces == LK_REFUSED);
    if (in_pieces == LK_OK)
        MUST(lk_view_equal(lk_view_part(found, 0, value.len), value) &&
             found.len <= pieces * (size_t)LK_COOKIE_PIECE_LEN &&
             found.len > (pieces - 1) * (size_t)LK_COOKIE_PIECE_LEN);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    lk_view lines[FIELDS_MAX + 1], *fields = lines + 1, value = {0};
    size_t n = fuzz_lines(lk_view_make(data, size), lines, FIELDS_MAX + 1);
    lk_status status;

    if (n < 2)
        return 0;
    n--;
    status = lk_cookie_find(fields, n, lines[0], &value);
    MUST(status == LK_OK || status == LK_MISS || status == LK_REFUSED);
    if (status == LK_OK) {
        MUST(is_inside(value, fields, n));
        MUST(lk_view_find(value, ';') == value.len);
    }
    expect_same_in_pieces(fields, n, lines[0], status, value);
    /* A name with one of these inside is none by the grammar, and then the way fields are joined matters. */
    if (lk_view_find(lines[0], ';') == lines[0].len && lk_view_equal(lk_view_trim(lines[0]), lines[0])) {
        expect_same_when_joined(fields, n, lines[0], status, value);
        expect_same_when_turned_round(fields, n, lines[0], status, value);
    }
    return 0;
}
