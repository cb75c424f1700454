/* SPDX-License-Identifier: Apache-2.0
 *
 * test_password.c - argon2id hashes: made, verified, aged; and every string that must be refused before any
 * work is done.
 */
#include "test_env.h"
#include <argon2.h>
#include <crypto/password.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
/* cmocka.h wants the four above first. */
#include <cmocka.h>

static const lk_password_cost cheap = {7168, 5};
static const lk_password_cost none = {8, 1};

#define PASSWORD LK_VIEW("password")

static void a_password_verifies_against_its_own_hash_and_no_other_does(void **state)
{
    char phc[LK_PHC_MAX];

    (void)state;
    assert_int_equal(lk_password_hash(test_env(), LK_VIEW("correct horse"), cheap, phc), LK_OK);
    assert_int_equal(strncmp(phc, "$argon2id$v=19$m=7168,t=5,p=1$", 30), 0);
    assert_int_equal(strlen(phc), 30 + 22 + 1 + 43);
    assert_int_equal(lk_password_verify(LK_VIEW("correct horse"), lk_view_of(phc), cheap), LK_OK);
    assert_int_equal(lk_password_verify(LK_VIEW("correct hors"), lk_view_of(phc), cheap), LK_REFUSED);
    assert_int_equal(lk_password_verify(LK_VIEW("Correct horse"), lk_view_of(phc), cheap), LK_REFUSED);
    assert_int_equal(lk_password_verify(LK_VIEW(""), lk_view_of(phc), cheap), LK_REFUSED);
}

static void libargon2_agrees_with_the_hash_we_make(void **state)
{
    char phc[LK_PHC_MAX];

    (void)state;
    assert_int_equal(lk_password_hash(test_env(), PASSWORD, cheap, phc), LK_OK);
    assert_int_equal(argon2id_verify(phc, "password", 8), ARGON2_OK);
    assert_int_equal(argon2id_verify(phc, "passwore", 8), ARGON2_VERIFY_MISMATCH);
}

static void two_hashes_of_one_password_differ_in_their_salt(void **state)
{
    char a[LK_PHC_MAX], b[LK_PHC_MAX];

    (void)state;
    assert_int_equal(lk_password_hash(test_env(), PASSWORD, none, a), LK_OK);
    assert_int_equal(lk_password_hash(test_env(), PASSWORD, none, b), LK_OK);
    assert_string_not_equal(a, b);
}

static void a_nul_inside_a_password_is_data(void **state)
{
    char phc[LK_PHC_MAX];

    (void)state;
    assert_int_equal(lk_password_hash(test_env(), LK_VIEW("abc\0defgh"), none, phc), LK_OK);
    assert_int_equal(lk_password_verify(LK_VIEW("abc\0defgh"), lk_view_of(phc), none), LK_OK);
    assert_int_equal(lk_password_verify(LK_VIEW("abc\0defgX"), lk_view_of(phc), none), LK_REFUSED);
    assert_int_equal(lk_password_verify(LK_VIEW("abc"), lk_view_of(phc), none), LK_REFUSED);
}

static void a_password_over_the_bound_is_refused_and_never_cut(void **state)
{
    static uint8_t bytes[LK_PASSWORD_MAX + 1];
    char phc[LK_PHC_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = (uint8_t)('a' + i % 26);
    assert_int_equal(lk_password_hash(test_env(), lk_view_make(bytes, sizeof(bytes)), none, phc), LK_REFUSED);
    assert_string_equal(phc, "");
    assert_int_equal(lk_password_hash(test_env(), lk_view_make(bytes, LK_PASSWORD_MAX), none, phc), LK_OK);
    assert_int_equal(lk_password_verify(lk_view_make(bytes, LK_PASSWORD_MAX), lk_view_of(phc), none), LK_OK);
    assert_int_equal(lk_password_verify(lk_view_make(bytes, sizeof(bytes)), lk_view_of(phc), none),
                     LK_REFUSED);
    bytes[LK_PASSWORD_MAX - 1] ^= 1; /* bcrypt would not look at this byte */
    assert_int_equal(lk_password_verify(lk_view_make(bytes, LK_PASSWORD_MAX), lk_view_of(phc), none),
                     LK_REFUSED);
}

static void a_hash_of_lower_cost_verifies_and_is_stale(void **state)
{
    char phc[LK_PHC_MAX];

    (void)state;
    assert_int_equal(lk_password_hash(test_env(), PASSWORD, (lk_password_cost){64, 2}, phc), LK_OK);
    assert_int_equal(lk_password_verify(PASSWORD, lk_view_of(phc), (lk_password_cost){64, 2}), LK_OK);
    assert_int_equal(lk_password_verify(PASSWORD, lk_view_of(phc), (lk_password_cost){32, 1}), LK_OK);
    assert_int_equal(lk_password_verify(PASSWORD, lk_view_of(phc), (lk_password_cost){65, 2}), LK_STALE);
    assert_int_equal(lk_password_verify(PASSWORD, lk_view_of(phc), (lk_password_cost){64, 3}), LK_STALE);
    assert_int_equal(lk_password_verify(LK_VIEW("wrong"), lk_view_of(phc), (lk_password_cost){64, 3}),
                     LK_REFUSED);
}

/* Vectors of the argon2 reference implementation (its src/test.c), password "password", salt "somesalt". */
static void foreign_hashes_verify_and_are_stale(void **state)
{
    static const char *const hashes[] = {
        "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
        "$argon2id$v=19$m=256,t=2,p=2$c29tZXNhbHQ$bQk8UB/VmZZF4Oo79iDXuL5/0ttZwg2f/5U52iv1cDc",
        "$argon2i$v=19$m=256,t=2,p=2$c29tZXNhbHQ$T/XOJ2mh1/TIpJHfCdQan76Q5esCFVoT5MAeIM1Oq2E",
        "$argon2i$m=256,t=2,p=2$c29tZXNhbHQ$tsEVYKap1h6scGt5ovl9aLRGOqOth+AMB+KwHpDFZPs",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(hashes) / sizeof(hashes[0]); i++) {
        assert_int_equal(lk_password_verify(PASSWORD, lk_view_of(hashes[i]), none), LK_STALE);
        assert_int_equal(lk_password_verify(LK_VIEW("Password"), lk_view_of(hashes[i]), none), LK_REFUSED);
    }
}

static void a_hash_made_by_libargon2_with_four_lanes_verifies(void **state)
{
    char phc[LK_PHC_MAX];

    (void)state;
    assert_int_equal(
        argon2id_hash_encoded(3, 256, 4, "password", 8, "0123456789abcdef", 16, 32, phc, sizeof(phc)),
        ARGON2_OK);
    assert_int_equal(lk_password_verify(PASSWORD, lk_view_of(phc), none), LK_STALE);
}

#define SALT "AAAAAAAAAAAAAAAAAAAAAA"
#define HASH "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"

static void a_string_that_is_no_phc_string_is_a_fault_and_not_a_wrong_password(void **state)
{
    static const char *const bad[] = {
        "",
        "$",
        "password",
        "$argon2d$v=19$m=8,t=1,p=1$" SALT "$" HASH, /* side channels: not accepted */
        "$2b$12$" SALT HASH,
        "$argon2id$v=18$m=8,t=1,p=1$" SALT "$" HASH,
        "$argon2id$v=019$m=8,t=1,p=1$" SALT "$" HASH,
        "$argon2id$v=$m=8,t=1,p=1$" SALT "$" HASH,
        "$argon2id$v=19$t=1,m=8,p=1$" SALT "$" HASH,
        "$argon2id$v=19$m=8,t=1$" SALT "$" HASH,
        "$argon2id$v=19$m=8,t=1,p=1,keyid=AA$" SALT "$" HASH,
        "$argon2id$v=19$m=-8,t=1,p=1$" SALT "$" HASH,
        "$argon2id$v=19$m=+8,t=1,p=1$" SALT "$" HASH,
        "$argon2id$v=19$m=08,t=1,p=1$" SALT "$" HASH,
        "$argon2id$v=19$m= 8,t=1,p=1$" SALT "$" HASH,
        "$argon2id$v=19$m=,t=1,p=1$" SALT "$" HASH,
        "$argon2id$v=19$m=7,t=1,p=1$" SALT "$" HASH,
        "$argon2id$v=19$m=8,t=0,p=1$" SALT "$" HASH,
        "$argon2id$v=19$m=8,t=1,p=0$" SALT "$" HASH,
        "$argon2id$v=19$m=15,t=1,p=2$" SALT "$" HASH, /* under 8 KiB a lane */
        "$argon2id$v=19$m=8,t=1,p=1$" SALT,
        "$argon2id$v=19$m=8,t=1,p=1$" SALT "$",
        "$argon2id$v=19$m=8,t=1,p=1$$" HASH,
        "$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAA$" HASH,              /* salt of 7 bytes */
        "$argon2id$v=19$m=8,t=1,p=1$" SALT "$AAAAAAAAAAAAAAAAAAAA", /* hash of 15 bytes */
        "$argon2id$v=19$m=8,t=1,p=1$" SALT "$" HASH HASH HASH,
        "$argon2id$v=19$m=8,t=1,p=1$" SALT "==$" HASH,
        "$argon2id$v=19$m=8,t=1,p=1$AAAAAAAAAAAAAAAAAAAAAB$" HASH, /* trailing bits */
        "$argon2id$v=19$m=8,t=1,p=1$AAAAAAAA-AAAAAAAAAAAAA$" HASH, /* URL alphabet */
        "$argon2id$v=19$m=8,t=1,p=1$" SALT "$" HASH "$",
        "$argon2id$v=19$m=8,t=1,p=1$" SALT "$" HASH "\n",
        " $argon2id$v=19$m=8,t=1,p=1$" SALT "$" HASH,
    };
    static const char good[] = "$argon2id$v=19$m=8,t=1,p=1$" SALT "$" HASH;

    (void)state;
    assert_int_equal(lk_password_verify(PASSWORD, lk_view_of(good), none), LK_REFUSED);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (lk_password_verify(PASSWORD, lk_view_of(bad[i]), none) != LK_FAULT)
            fail_msg("accepted: %s", bad[i]);
    assert_int_equal(lk_password_verify(PASSWORD, LK_VIEW("$argon2id$v=19$m=8,t=1,p=1$\0"), none), LK_FAULT);
    for (size_t len = 0; len < sizeof(good) - 2; len++) /* cut anywhere; the last cut leaves a shorter hash */
        if (lk_password_verify(PASSWORD, lk_view_make(good, len), none) == LK_OK)
            fail_msg("a hash cut to %zu bytes was accepted", len);
}

static void a_hash_that_asks_for_too_much_work_is_a_fault_before_any_work(void **state)
{
    static const char *const greedy[] = {
        "$argon2id$v=19$m=1048577,t=1,p=1$" SALT "$" HASH,
        "$argon2id$v=19$m=4294967295,t=1,p=1$" SALT "$" HASH,
        "$argon2id$v=19$m=4294967304,t=1,p=1$" SALT "$" HASH, /* 8, were it cut to 32 bits */
        "$argon2id$v=19$m=99999999999999999999,t=1,p=1$" SALT "$" HASH,
        "$argon2id$v=19$m=8,t=65,p=1$" SALT "$" HASH,
        "$argon2id$v=19$m=8,t=4294967297,p=1$" SALT "$" HASH,
        "$argon2id$v=19$m=1048576,t=1,p=65$" SALT "$" HASH,
        "$argon2id$v=19$m=1048576,t=1,p=16777215$" SALT "$" HASH,
    };

    (void)state;
    for (size_t i = 0; i < sizeof(greedy) / sizeof(greedy[0]); i++)
        assert_int_equal(lk_password_verify(PASSWORD, lk_view_of(greedy[i]), none), LK_FAULT);
}

static void a_cost_below_every_line_of_the_floor_is_refused(void **state)
{
    static const lk_password_cost good[] = {{19456, 2}, {47104, 1}, {12288, 3}, {9216, 4},
                                            {7168, 5},  {65536, 1}, {20000, 9}, {1048576, 64}};
    static const lk_password_cost bad[] = {{19455, 2}, {47103, 1}, {12287, 3},   {9215, 4},
                                           {7167, 64}, {0, 0},     {19456, 1},   {47104, 0},
                                           {8, 64},    {7168, 4},  {1048577, 2}, {19456, 65}};
    lk_note note;

    (void)state;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_int_equal(lk_password_cost_check(good[i], NULL), LK_OK);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        note.text[0] = 0;
        assert_int_equal(lk_password_cost_check(bad[i], &note), LK_REFUSED);
        assert_non_null(strstr(note.text, "memory="));
    }
}

static void without_randomness_there_is_no_hash(void **state)
{
    char phc[LK_PHC_MAX];

    (void)state;
    test_random_fail_at(1);
    assert_int_equal(lk_password_hash(test_env(), PASSWORD, none, phc), LK_FAULT);
    assert_string_equal(phc, "");
    test_random_fail_at(0);
}

static void a_cost_out_of_bounds_makes_no_hash(void **state)
{
    char phc[LK_PHC_MAX];

    (void)state;
    assert_int_equal(lk_password_hash(test_env(), PASSWORD, (lk_password_cost){1048577, 1}, phc), LK_FAULT);
    assert_int_equal(lk_password_hash(test_env(), PASSWORD, (lk_password_cost){8, 65}, phc), LK_FAULT);
    assert_int_equal(lk_password_hash(test_env(), PASSWORD, (lk_password_cost){7, 1}, phc), LK_FAULT);
    assert_int_equal(lk_password_hash(test_env(), PASSWORD, (lk_password_cost){8, 0}, phc), LK_FAULT);
    assert_string_equal(phc, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_password_verifies_against_its_own_hash_and_no_other_does),
        cmocka_unit_test(libargon2_agrees_with_the_hash_we_make),
        cmocka_unit_test(two_hashes_of_one_password_differ_in_their_salt),
        cmocka_unit_test(a_nul_inside_a_password_is_data),
        cmocka_unit_test(a_password_over_the_bound_is_refused_and_never_cut),
        cmocka_unit_test(a_hash_of_lower_cost_verifies_and_is_stale),
        cmocka_unit_test(foreign_hashes_verify_and_are_stale),
        cmocka_unit_test(a_hash_made_by_libargon2_with_four_lanes_verifies),
        cmocka_unit_test(a_string_that_is_no_phc_string_is_a_fault_and_not_a_wrong_password),
        cmocka_unit_test(a_hash_that_asks_for_too_much_work_is_a_fault_before_any_work),
        cmocka_unit_test(a_cost_below_every_line_of_the_floor_is_refused),
        cmocka_unit_test(without_randomness_there_is_no_hash),
        cmocka_unit_test(a_cost_out_of_bounds_makes_no_hash),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
