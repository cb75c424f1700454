/* SPDX-License-Identifier: Apache-2.0
 *
 * guess.c - what a guesser tries without a dictionary: repeats, runs, and the names that stand in a password.
 *
 * NIST SP 800-63B section 5.1.1.2 puts "repetitive or sequential characters" and context words on the list
 * of passwords to refuse beside dictionary words. These are measured over the whole password and never as
 * "one digit, one capital": there are no composition rules. docs/passwords.md
 */
#include "account/internal.h"
#include <stdlib.h>
#include <unicase.h>
#include <unistr.h>

#define RUN_MIN 3 /* shorter ones happen in any text */

void lk__letters_of(lk_view text, lk__letters *out)
{
    out->n = 0;
    for (size_t i = 0; i < text.len && out->n < LK_PASSWORD_MAX;) {
        ucs4_t c;
        int len = u8_mbtouc(&c, text.p + i, text.len - i);

        out->at[out->n++] = uc_tolower(c);
        i += (size_t)len;
    }
}

size_t lk__letters_unit(const lk__letters *t)
{
    for (size_t unit = 1; unit <= t->n / 2; unit++) {
        size_t i = unit;

        while (i < t->n && t->at[i] == t->at[i - unit])
            i++;
        if (i == t->n)
            return unit;
    }
    return t->n;
}

/* The keys of the common Latin layout. Each row stands half a key to the right of the one above it. */
static bool on_keyboard(uint32_t c, int *row, int *column)
{
    static const char *const rows[] = {"1234567890-=", "qwertyuiop[]", "asdfghjkl;'", "zxcvbnm,./"};

    for (int r = 0; r < 4; r++)
        for (int k = 0; rows[r][k] != 0; k++)
            if (c == (uint32_t)rows[r][k]) {
                *row = r;
                *column = k;
                return true;
            }
    return false;
}

static bool are_neighbours(uint32_t a, uint32_t b)
{
    int row_a, row_b, column_a, column_b;

    if (!on_keyboard(a, &row_a, &column_a) || !on_keyboard(b, &row_b, &column_b))
        return false;
    if (row_a == row_b)
        return abs(column_a - column_b) == 1;
    if (row_b == row_a + 1)
        return column_b == column_a || column_b == column_a - 1;
    return row_b == row_a - 1 && (column_b == column_a || column_b == column_a + 1);
}

/* The kinds of run that may go on from A to B, as bits. */
static unsigned kinds_of(uint32_t a, uint32_t b)
{
    enum { SAME = 1, UP = 2, DOWN = 4, KEYS = 8 };
    unsigned kinds = 0;

    if (b == a)
        kinds |= SAME;
    if (b == a + 1)
        kinds |= UP;
    if (a == b + 1)
        kinds |= DOWN;
    if (are_neighbours(a, b))
        kinds |= KEYS;
    return kinds;
}

/* Where the longest run of one kind that begins at FROM is over. One letter is always a run. */
static size_t run_end(const lk__letters *t, size_t from)
{
    unsigned kinds = ~0U;
    size_t end = from + 1;

    while (end < t->n && (kinds &= kinds_of(t->at[end - 1], t->at[end])) != 0)
        end++;
    return end;
}

size_t lk__letters_fresh(const lk__letters *t)
{
    size_t fresh = 0, at = 0;

    while (at < t->n) {
        size_t end = run_end(t, at);

        at = end - at >= RUN_MIN ? end : at + 1;
        fresh++;
    }
    return fresh;
}

void lk__letters_cover(const lk__letters *t, const uint32_t *word, size_t n, bool *covered)
{
    if (n < 3)
        return;
    for (size_t i = 0; i + n <= t->n; i++) {
        size_t same = 0;

        while (same < n && t->at[i + same] == word[same])
            same++;
        for (size_t k = 0; same == n && k < n; k++)
            covered[i + k] = true;
    }
}
