/* SPDX-License-Identifier: Apache-2.0
 *
 * test_session.c - public ids, the ends of a session, and the levels of cut-offs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sample.h"
#include <latchkey/cutoff.h>

static void public_id_reads_back_to_its_key(void **state)
{
    lk_session_key key, back;
    char text[LK_PUBLIC_ID_LEN + 1];

    (void)state;
    for (unsigned n = 0; n < 300; n++) {
        for (size_t i = 0; i < sizeof(key.bytes); i++)
            key.bytes[i] = (uint8_t)(n * 31 + i * 7);
        lk_public_id_write(&key, text);
        assert_int_equal(strlen(text), LK_PUBLIC_ID_LEN);
        assert_int_equal(lk_public_id_read(lk_view_of(text), &back), LK_OK);
        assert_memory_equal(&back, &key, sizeof(key));
    }
}

static void public_id_of_another_length_or_alphabet_is_refused(void **state)
{
    static const char *const wrong[] = {"",
                                        "AAAAAAAAAAAAAAA",
                                        "AAAAAAAAAAAAAAAAA",
                                        "AAAAAAAAAAAAAAA=",
                                        "AAAAAAA+AAAAAAAA",
                                        "AAAAAAA/AAAAAAAA",
                                        "AAAAAAA AAAAAAAA",
                                        "AAAAAAAAAAAAAAA\xc3"};
    lk_session_key key;

    (void)state;
    assert_int_equal(lk_public_id_read(LK_VIEW("AAAAAAAAAAAAAAAA"), &key), LK_OK);
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(lk_public_id_read(lk_view_of(wrong[i]), &key), LK_REFUSED);
    assert_int_equal(lk_public_id_read(lk_view_make("AAAAAAA\0AAAAAAAA", 16), &key), LK_REFUSED);
}

static void session_ends_at_the_nearer_of_idle_and_absolute_end(void **state)
{
    lk_session s = {.seen_s = 1000, .idle_s = 60, .expires_s = 5000};

    (void)state;
    assert_int_equal(lk_session_ends_s(&s), 1060);
    s.seen_s = 4990;
    assert_int_equal(lk_session_ends_s(&s), 5000);
    s.idle_s = 0;
    s.seen_s = 0;
    assert_int_equal(lk_session_ends_s(&s), 5000);
    s.idle_s = INT64_MAX;
    s.seen_s = INT64_MAX - 1;
    assert_int_equal(lk_session_ends_s(&s), 5000);
}

static void session_is_over_on_the_second_of_its_end_and_says_why(void **state)
{
    lk_session s = {.seen_s = 1000, .idle_s = 60, .expires_s = 5000};
    lk_reason why = LK_REASON_CSRF;

    (void)state;
    assert_int_equal(lk_session_alive(&s, 1059, &why), LK_OK);
    assert_int_equal(why, LK_REASON_NONE);
    assert_int_equal(lk_session_alive(&s, 1060, &why), LK_STALE);
    assert_int_equal(why, LK_REASON_IDLE);
    assert_int_equal(lk_session_alive(&s, 5000, &why), LK_STALE);
    assert_int_equal(why, LK_REASON_EXPIRED);
    s.flags = LK_SESSION_ENDING;
    assert_int_equal(lk_session_alive(&s, 1059, &why), LK_OK);
    assert_int_equal(lk_session_alive(&s, 5000, &why), LK_STALE);
    assert_int_equal(why, LK_REASON_REPLACED);
}

static void level_names_read_back_and_unknown_ones_are_missed(void **state)
{
    lk_level level;

    (void)state;
    for (unsigned i = 0; i < LK_LEVEL_COUNT; i++) {
        assert_int_equal(lk_level_of(lk_view_of(lk_level_name((lk_level)i)), &level), LK_OK);
        assert_int_equal(level, i);
    }
    assert_int_equal(lk_level_of(LK_VIEW("users"), &level), LK_MISS);
    assert_int_equal(lk_level_of(LK_VIEW(""), &level), LK_MISS);
    assert_string_equal(lk_level_name(LK_LEVEL_COUNT), "");
}

static void cutoff_key_holds_realm_and_key_as_the_level_asks(void **state)
{
    char key[LK_CUTOFF_KEY_MAX + 1];

    (void)state;
    assert_int_equal(lk_cutoff_key(LK_LEVEL_ALL, LK_VIEW("shop"), LK_VIEW("ada"), key), LK_OK);
    assert_string_equal(key, "");
    assert_int_equal(lk_cutoff_key(LK_LEVEL_REALM, LK_VIEW("shop"), LK_VIEW("ada"), key), LK_OK);
    assert_string_equal(key, "shop");
    assert_int_equal(lk_cutoff_key(LK_LEVEL_USER, LK_VIEW("shop"), LK_VIEW("ada"), key), LK_OK);
    assert_string_equal(key, "shop/ada");
    assert_int_equal(lk_cutoff_key(LK_LEVEL_USER, LK_VIEW(""), LK_VIEW("a/b"), key), LK_OK);
    assert_string_equal(key, "/a/b");
}

static void cutoff_key_cannot_spell_the_key_of_another_realm(void **state)
{
    char key[LK_CUTOFF_KEY_MAX + 1];
    uint8_t longest[LK_CUTOFF_KEY_MAX];

    (void)state;
    assert_int_equal(lk_cutoff_key(LK_LEVEL_USER, LK_VIEW("a/b"), LK_VIEW("c"), key), LK_REFUSED);
    assert_int_equal(lk_cutoff_key(LK_LEVEL_USER, LK_VIEW("a"), LK_VIEW("b\n"), key), LK_REFUSED);
    memset(longest, 'x', sizeof(longest));
    assert_int_equal(
        lk_cutoff_key(LK_LEVEL_USER, LK_VIEW(""), lk_view_make(longest, LK_CUTOFF_KEY_MAX - 1), key), LK_OK);
    assert_int_equal(strlen(key), LK_CUTOFF_KEY_MAX);
    assert_int_equal(lk_cutoff_key(LK_LEVEL_USER, LK_VIEW(""), lk_view_make(longest, LK_CUTOFF_KEY_MAX), key),
                     LK_FULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(public_id_reads_back_to_its_key),
        cmocka_unit_test(public_id_of_another_length_or_alphabet_is_refused),
        cmocka_unit_test(session_ends_at_the_nearer_of_idle_and_absolute_end),
        cmocka_unit_test(session_is_over_on_the_second_of_its_end_and_says_why),
        cmocka_unit_test(level_names_read_back_and_unknown_ones_are_missed),
        cmocka_unit_test(cutoff_key_holds_realm_and_key_as_the_level_asks),
        cmocka_unit_test(cutoff_key_cannot_spell_the_key_of_another_realm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
