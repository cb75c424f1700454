/* SPDX-License-Identifier: Apache-2.0
 *
 * Refresh tokens by themselves: proven without a look-up, each with one successor.
 */
#include "key_fixture.h"
#include "test_env.h"
#include <latchkey/credential.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char dir[64], other_dir[64];
static lk_keyring *ring, *other;
static const lk_session_key family = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}};

static lk_keyring *open_ring(char *where)
{
    char path[96];
    lk_keyring *out = NULL;
    strcpy(where, "/tmp/lk-refresh-XXXXXX");
    assert_non_null(mkdtemp(where));
    snprintf(path, sizeof(path), "%s/keys", where);
    assert_int_equal(lk_keyring_open(test_env(), path, true, &out, NULL), LK_OK);
    return out;
}

static int open_rings(void **state)
{
    (void)state;
    ring = open_ring(dir);
    other = open_ring(other_dir);
    return 0;
}

static int close_rings(void **state)
{
    char command[160];
    (void)state;
    lk_keyring_free(ring);
    lk_keyring_free(other);
    snprintf(command, sizeof(command), "rm -rf %s %s", dir, other_dir);
    return system(command);
}

static lk_refresh_token first(void)
{
    lk_refresh_token token;
    assert_int_equal(lk_refresh_first(test_env(), ring, &family, 1700000000, &token), LK_OK);
    return token;
}

static void assert_refused(const lk_keyring *by, lk_view text, const char *reason)
{
    lk_refresh_token out;
    const lk_refresh_token nothing = {.len = 0};
    lk_reason why = LK_REASON_NONE;
    assert_int_equal(lk_refresh_read(by, text, &out, &why), LK_REFUSED);
    if (reason != NULL)
        assert_string_equal(lk_reason_word(why), reason);
    assert_int_equal(out.len, nothing.len);
    assert_int_equal(out.number, 0);
    assert_string_equal(out.text, "");
}

static void token_is_read_as_it_was_made(void **state)
{
    (void)state;
    lk_refresh_token token = first(), read;
    lk_reason why;
    assert_true(token.len <= LK_REFRESH_MAX && token.len == strlen(token.text));
    assert_memory_equal(token.text, "r1.AQIDBAUGBwgJCgsM.1700000000.1.", 33);
    assert_int_equal(lk_refresh_read(ring, lk_refresh_view(&token), &read, &why), LK_OK);
    assert_memory_equal(&read.family, &family, sizeof(family));
    assert_int_equal(read.began_s, 1700000000);
    assert_int_equal(read.number, 1);
    assert_string_equal(read.text, token.text);
}

static void two_first_ones_of_a_family_differ(void **state)
{
    (void)state;
    lk_refresh_token a = first(), b = first();
    assert_string_not_equal(a.text, b.text);
}

static void every_token_has_one_successor_and_each_is_another(void **state)
{
    (void)state;
    lk_refresh_token now = first(), next, again, read;
    lk_digest hash, before = {{0}};
    lk_reason why;
    for (int i = 2; i <= 300; i++) {
        assert_int_equal(lk_refresh_next(ring, &now, &next), LK_OK);
        assert_int_equal(lk_refresh_next(ring, &now, &again), LK_OK);
        assert_string_equal(next.text, again.text);
        assert_int_equal(next.number, i);
        assert_int_equal(next.began_s, 1700000000);
        assert_int_equal(lk_refresh_read(ring, lk_refresh_view(&next), &read, &why), LK_OK);
        assert_string_not_equal(next.text, now.text);
        assert_int_equal(lk_refresh_hash(ring, &next, &hash), LK_OK);
        assert_memory_not_equal(&hash, &before, sizeof(hash));
        before = hash;
        now = next;
    }
}

static void random_part_follows_from_the_whole_token_before(void **state)
{
    (void)state;
    lk_refresh_token a = first(), b = first(), next_a, next_b;
    assert_int_equal(lk_refresh_next(ring, &a, &next_a), LK_OK);
    assert_int_equal(lk_refresh_next(ring, &b, &next_b), LK_OK);
    assert_string_not_equal(next_a.text, next_b.text);
}

static void token_cut_at_any_length_is_refused(void **state)
{
    (void)state;
    lk_refresh_token token = first();
    for (size_t len = 0; len < token.len; len++)
        assert_refused(ring, lk_view_make(token.text, len), "malformed");
}

static void every_changed_character_is_refused(void **state)
{
    (void)state;
    const char letters[] = "A1._-z 9=";
    for (size_t i = 0; i < first().len; i++)
        for (size_t k = 0; letters[k] != '\0'; k++) {
            lk_refresh_token token = first();
            if (token.text[i] == letters[k])
                continue;
            token.text[i] = letters[k];
            assert_refused(ring, lk_refresh_view(&token), NULL);
        }
}

static void longer_or_doubled_text_is_refused(void **state)
{
    (void)state;
    lk_refresh_token token = first();
    char text[2 * LK_REFRESH_MAX + 8];
    const char *more[] = {"%sA", "%s.", "%s=", " %s", "%s ", "%s.AAAA", "r1.%s", "%s%s"};
    for (size_t i = 0; i < sizeof(more) / sizeof(more[0]); i++) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
#pragma GCC diagnostic ignored "-Wformat-extra-args"
        snprintf(text, sizeof(text), more[i], token.text, token.text);
#pragma GCC diagnostic pop
        assert_refused(ring, lk_view_of(text), "malformed");
    }
}

static void number_and_time_have_one_spelling(void **state)
{
    (void)state;
    const char *bad[] = {
        "r1.AQIDBAUGBwgJCgsM.1700000000.01.",    "r1.AQIDBAUGBwgJCgsM.01700000000.1.",
        "r1.AQIDBAUGBwgJCgsM.1700000000.0.",     "r1.AQIDBAUGBwgJCgsM.1700000000.-1.",
        "r1.AQIDBAUGBwgJCgsM.1700000000.1e3.",   "r1.AQIDBAUGBwgJCgsM.1700000000.9223372036854775808.",
        "r1.AQIDBAUGBwgJCgsM.99999999999999.1.", "r1.AQIDBAUGBwgJCgs=.1700000000.1.",
        "R1.AQIDBAUGBwgJCgsM.1700000000.1.",     "r2.AQIDBAUGBwgJCgsM.1700000000.1.",
        "r1.AQIDBAUGBwgJCgsM.1700000000.+1.",    "r1..1700000000.1.",
    };
    lk_refresh_token token = first();
    char text[256];
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        snprintf(text, sizeof(text), "%s%s", bad[i], token.text + 33);
        assert_refused(ring, lk_view_of(text), "malformed");
    }
    snprintf(text, sizeof(text), "r1.AQIDBAUGBwgJCgsM.1700000000.2.%s", token.text + 33);
    assert_refused(ring, lk_view_of(text), "bad_signature");
}

static void token_of_another_root_is_refused(void **state)
{
    (void)state;
    lk_refresh_token token = first();
    assert_refused(other, lk_refresh_view(&token), "bad_signature");
}

static void ring_without_a_root_makes_and_believes_none(void **state)
{
    (void)state;
    lk_keyring *checks = NULL;
    lk_refresh_token token = first(), out;
    lk_reason why;
    lk_view jwk =
        LK_VIEW("{\"kty\":\"oct\",\"alg\":\"HS256\",\"k\":\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\"}");
    assert_int_equal(lk_keyring_from_jwk(test_env(), jwk, &checks, NULL), LK_OK);
    assert_int_equal(lk_refresh_read(checks, lk_refresh_view(&token), &out, &why), LK_FAULT);
    assert_int_equal(lk_refresh_first(test_env(), checks, &family, 1, &out), LK_FAULT);
    assert_int_equal(out.len, 0);
    lk_keyring_free(checks);
}

static void without_randomness_there_is_no_token(void **state)
{
    (void)state;
    lk_refresh_token out;
    test_random_fail_at(1);
    assert_int_equal(lk_refresh_first(test_env(), ring, &family, 1, &out), LK_FAULT);
    test_random_fail_at(0);
    assert_int_equal(out.len, 0);
}

static void token_is_no_other_kind_of_credential(void **state)
{
    (void)state;
    lk_refresh_token token = first();
    lk_kind kind;
    assert_int_equal(lk_credential_kind(lk_refresh_view(&token), &kind), LK_REFUSED);
}

static void shape_tells_what_it_says_and_proves_nothing(void **state)
{
    (void)state;
    lk_refresh_token token = first(), said;
    token.text[token.len - 1] = token.text[token.len - 1] == 'A' ? 'E' : 'A';
    assert_true(lk_refresh_is_shaped(lk_refresh_view(&token), &said));
    assert_int_equal(said.number, 1);
    assert_false(lk_refresh_is_shaped(LK_VIEW("r1.x"), &said));
    assert_int_equal(said.len, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(token_is_read_as_it_was_made),
        cmocka_unit_test(two_first_ones_of_a_family_differ),
        cmocka_unit_test(every_token_has_one_successor_and_each_is_another),
        cmocka_unit_test(random_part_follows_from_the_whole_token_before),
        cmocka_unit_test(token_cut_at_any_length_is_refused),
        cmocka_unit_test(every_changed_character_is_refused),
        cmocka_unit_test(longer_or_doubled_text_is_refused),
        cmocka_unit_test(number_and_time_have_one_spelling),
        cmocka_unit_test(token_of_another_root_is_refused),
        cmocka_unit_test(ring_without_a_root_makes_and_believes_none),
        cmocka_unit_test(without_randomness_there_is_no_token),
        cmocka_unit_test(token_is_no_other_kind_of_credential),
        cmocka_unit_test(shape_tells_what_it_says_and_proves_nothing),
    };
    return cmocka_run_group_tests(tests, open_rings, close_rings);
}
