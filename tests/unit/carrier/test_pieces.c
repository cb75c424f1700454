/* SPDX-License-Identifier: Apache-2.0
 *
 * A value that is spread over several cookies: which pieces are called for, and what is planted beside them.
 */
#include "carrier/carrier.h"
#include <latchkey/credential.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define NAME LK_VIEW("__Host-latchkey")
#define FULL LK_COOKIE_PIECE_LEN

/* The two axes do not know each other, but speak of the same pieces. */
_Static_assert(LK_COOKIE_PIECES == LK_SEALED_PIECES && FULL == LK_SEALED_PIECE_LEN,
               "pieces of a sealed session");

typedef struct answer {
    lk_status status;
    lk_view value;
    unsigned pieces, stale;
    size_t used; /* bytes of the buffer */
} answer;

static uint8_t joined[LK_COOKIE_PIECES_MAX];
static char field[16 * LK_COOKIE_PIECES_MAX];
static size_t field_len;

/* Add the cookie NAME or NAME.I with LEN times C. */
static void add(unsigned i, char c, size_t len)
{
    int n = snprintf(field + field_len, sizeof(field) - field_len,
                     i == 0 ? "; __Host-latchkey=" : "; __Host-latchkey.%u=", i);

    assert_true(n > 0 && field_len + (size_t)n + len < sizeof(field));
    field_len += (size_t)n;
    memset(field + field_len, c, len);
    field_len += len;
}

static void add_text(const char *text)
{
    memcpy(field + field_len, text, strlen(text));
    field_len += strlen(text);
}

static answer ask(const lk_view *fields, size_t n)
{
    lk_buf out = lk_buf_over(joined, sizeof(joined));
    answer a;

    a.status = lk_cookie_find_pieces(fields, n, NAME, &out, &a.value, &a.pieces, &a.stale);
    a.used = out.len;
    assert_true((a.status == LK_OK) == (a.pieces > 0));
    if (a.status != LK_OK)
        assert_true(a.value.len == 0 && out.len == 0);
    return a;
}

/* Ask for what was added, and begin a new field. */
static answer found(void)
{
    lk_view all = lk_view_make(field, field_len);
    answer a = ask(&all, 1);

    field_len = 0;
    return a;
}

static void assert_found(answer a, unsigned pieces, size_t len, unsigned stale)
{
    assert_int_equal(a.status, LK_OK);
    assert_int_equal(a.pieces, pieces);
    assert_int_equal(a.value.len, len);
    assert_int_equal(a.stale, stale);
    assert_int_equal(a.used, pieces > 1 ? len : 0);
}

static void one_short_cookie_is_found_as_ever_and_nothing_copied(void **state)
{
    static const char *const fields[] = {
        "__Host-latchkey=abc",
        "a=1; __Host-latchkey=abc; b=2",
        ";;\t__Host-latchkey=abc ;",
        "__Host-latchkey=abc; __Host-latchkey=abc",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        lk_view v = lk_view_of(fields[i]);
        answer a = ask(&v, 1);

        assert_found(a, 1, 3, 0);
        assert_true(a.value.p >= v.p && a.value.p < v.p + v.len);
    }
}

static void answers_are_those_of_one_cookie_where_there_are_no_pieces(void **state)
{
    static const char *const fields[] = {
        "",
        "a=1",
        "__Host-latchkey",
        "__Host-latchkey=",
        "=__Host-latchkey=abc",
        "__host-latchkey=abc",
        "__Host-latchkey=a; __Host-latchkey=b",
        "__Host-latchkeyx=1; __Host-latchkey.=1",
        "__Host-latchkey=a=b",
        "__Host-latchkey.x=1; __Host-latchkey=\"q\"",
        "x__Host-latchkey=1",
        "__Host-latchkey=; __Host-latchkey=a",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        lk_view v = lk_view_of(fields[i]), value;
        answer a = ask(&v, 1);

        assert_int_equal(a.status, lk_cookie_find(&v, 1, NAME, &value));
        assert_true(lk_view_equal(a.value, value));
        assert_int_equal(a.stale, 0);
    }
}

static void full_pieces_are_joined_in_their_order_wherever_they_stand(void **state)
{
    (void)state;
    add(3, 'd', 5);
    add(1, 'b', FULL);
    add(0, 'a', FULL);
    add(2, 'c', FULL);
    answer a = found();
    assert_found(a, 4, 3 * FULL + 5, 0);
    for (size_t i = 0; i < a.value.len; i++)
        assert_int_equal(a.value.p[i], 'a' + i / FULL);
}

static void each_number_of_pieces_is_joined_at_every_length_of_the_last(void **state)
{
    (void)state;
    for (unsigned pieces = 2; pieces <= LK_COOKIE_PIECES; pieces++) {
        for (size_t len = 1; len <= FULL; len = len == 1 ? FULL - 1 : len + 1) {
            if (len == FULL && pieces < LK_COOKIE_PIECES)
                continue; /* that one would call for the next */
            for (unsigned i = 0; i < pieces; i++)
                add(i, 'x', i + 1 < pieces ? FULL : len);
            assert_found(found(), pieces, (pieces - 1) * FULL + len, 0);
        }
    }
}

static void crumbs_in_several_fields_are_joined_alike(void **state)
{
    static char first[FULL + 64];
    lk_view fields[2];

    (void)state;
    add(0, 'a', FULL);
    memcpy(first, field + 2, field_len - 2); /* without the "; " */
    fields[1] = lk_view_make(first, field_len - 2);
    fields[0] = LK_VIEW("__Host-latchkey.1=zz");
    field_len = 0;
    assert_found(ask(fields, 2), 2, FULL + 2, 0);
}

static void piece_that_is_not_called_for_is_ignored_and_reported(void **state)
{
    (void)state;
    add(0, 'a', 100);
    add(1, 'b', FULL);
    add(3, 'd', 7);
    assert_found(found(), 1, 100, 1u << 1 | 1u << 3);

    add(0, 'a', FULL);
    add(1, 'b', FULL - 1);
    add(2, 'c', 7);
    assert_found(found(), 2, 2 * FULL - 1, 1u << 2);

    /* Not of the length of a piece at all: one cookie, as tokens may be that long. */
    add(0, 'a', FULL + 1);
    add(1, 'b', 7);
    assert_found(found(), 1, FULL + 1, 1u << 1);
}

static void stale_piece_with_two_values_harms_nobody(void **state)
{
    (void)state;
    add(0, 'a', 100);
    add(1, 'b', 3);
    add(1, 'c', 3);
    assert_found(found(), 1, 100, 1u << 1);
}

static void piece_that_counts_with_two_values_is_refused(void **state)
{
    (void)state;
    for (unsigned twice = 0; twice < LK_COOKIE_PIECES; twice++) {
        for (unsigned i = 0; i < LK_COOKIE_PIECES; i++)
            add(i, 'x', FULL);
        add(twice, 'y', FULL);
        assert_int_equal(found().status, LK_REFUSED);
    }
    add(0, 'a', FULL);
    add(1, 'b', 3);
    add(1, 'b', 3);
    assert_found(found(), 2, FULL + 3, 0);
}

static void piece_that_is_called_for_and_missing_ends_the_value(void **state)
{
    (void)state;
    add(0, 'a', FULL);
    assert_found(found(), 1, FULL, 0);
    add(0, 'a', FULL);
    add(2, 'c', 3);
    assert_found(found(), 1, FULL, 1u << 2);
    add(0, 'a', FULL);
    add(1, 'b', 0);
    assert_found(found(), 1, FULL, 1u << 1);
}

static void piece_longer_than_a_piece_can_be_is_refused(void **state)
{
    (void)state;
    add(0, 'a', FULL);
    add(1, 'b', FULL + 1);
    assert_int_equal(found().status, LK_REFUSED);
}

static void pieces_without_the_first_are_nothing_but_stale(void **state)
{
    (void)state;
    add(1, 'b', FULL);
    add(2, 'c', 3);
    answer a = found();
    assert_int_equal(a.status, LK_MISS);
    assert_int_equal(a.stale, 1u << 1 | 1u << 2);
}

static void names_that_only_look_like_pieces_are_none(void **state)
{
    (void)state;
    add(0, 'a', FULL);
    add_text("; __Host-latchkey.0=x; __Host-latchkey.4=x; __Host-latchkey.=x; __Host-latchkey.1; "
             "__Host-latchkey.01=x"
             "; __Host-latchkey.1x=x; __Host-latchkey.-1=x; __host-latchkey.1=x; x__Host-latchkey.1=x"
             "; __Host-latchkey.1 =x; =__Host-latchkey.1=x; __Host-latchkey,1=x; __Host-latchkex.1=x");
    assert_found(found(), 1, FULL, 0);
}

static void buffer_too_small_is_said_and_left_as_it_was(void **state)
{
    lk_buf out = lk_buf_over(joined, FULL + 1);
    unsigned pieces, stale;
    lk_view all, value;

    (void)state;
    add(0, 'a', FULL);
    add(1, 'b', 2);
    all = lk_view_make(field, field_len);
    field_len = 0;
    assert_int_equal(lk_cookie_find_pieces(&all, 1, NAME, &out, &value, &pieces, &stale), LK_FULL);
    assert_true(out.len == 0 && !out.full && value.len == 0 && pieces == 0);
}

static void cookie_without_a_name_is_never_ours(void **state)
{
    lk_buf out = lk_buf_over(joined, sizeof(joined));
    lk_view all = LK_VIEW("=a; .1=b"), value;
    unsigned pieces, stale;

    (void)state;
    assert_int_equal(lk_cookie_find_pieces(&all, 1, LK_VIEW(""), &out, &value, &pieces, &stale), LK_MISS);
    assert_int_equal(stale, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_short_cookie_is_found_as_ever_and_nothing_copied),
        cmocka_unit_test(answers_are_those_of_one_cookie_where_there_are_no_pieces),
        cmocka_unit_test(full_pieces_are_joined_in_their_order_wherever_they_stand),
        cmocka_unit_test(each_number_of_pieces_is_joined_at_every_length_of_the_last),
        cmocka_unit_test(crumbs_in_several_fields_are_joined_alike),
        cmocka_unit_test(piece_that_is_not_called_for_is_ignored_and_reported),
        cmocka_unit_test(stale_piece_with_two_values_harms_nobody),
        cmocka_unit_test(piece_that_counts_with_two_values_is_refused),
        cmocka_unit_test(piece_that_is_called_for_and_missing_ends_the_value),
        cmocka_unit_test(piece_longer_than_a_piece_can_be_is_refused),
        cmocka_unit_test(pieces_without_the_first_are_nothing_but_stale),
        cmocka_unit_test(names_that_only_look_like_pieces_are_none),
        cmocka_unit_test(buffer_too_small_is_said_and_left_as_it_was),
        cmocka_unit_test(cookie_without_a_name_is_never_ours),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
