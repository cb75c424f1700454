/* SPDX-License-Identifier: Apache-2.0
 *
 * test_env.c - the environment of the system, the one of the tests, and the note.
 */
#include "test_env.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

static void the_clock_is_the_wall_clock_in_milliseconds(void **state)
{
    int64_t before = (int64_t)time(NULL), now = lk_now_ms(lk_env_system());
    int64_t after = (int64_t)time(NULL);

    (void)state;
    /* time() may run on a coarser clock, so a second of tolerance on either side. */
    assert_true(now >= (before - 1) * 1000 && now <= (after + 2) * 1000);
    assert_true(lk_now_s(lk_env_system()) >= now / 1000);
}

static void the_monotonic_clock_does_not_step_back(void **state)
{
    const lk_env *env = lk_env_system();
    int64_t last = env->mono_ms(env);

    (void)state;
    for (int i = 0; i < 1000; i++) {
        int64_t now = env->mono_ms(env);

        assert_true(now >= last);
        last = now;
    }
}

/* 4096 bytes need more than one getrandom call to be sure of; a run of sixteen zeros in them is a bug. */
static void randomness_fills_the_whole_buffer(void **state)
{
    static const uint8_t zeros[16];
    uint8_t a[4096] = {0}, b[4096] = {0};

    (void)state;
    assert_int_equal(lk_random(lk_env_system(), a, sizeof(a)), LK_OK);
    assert_int_equal(lk_random(lk_env_system(), b, sizeof(b)), LK_OK);
    for (size_t i = 0; i + sizeof(zeros) <= sizeof(a); i += sizeof(zeros)) {
        assert_memory_not_equal(a + i, zeros, sizeof(zeros));
        assert_memory_not_equal(a + i, b + i, sizeof(zeros));
    }
    assert_int_equal(lk_random(lk_env_system(), a, 0), LK_OK);
}

static void memory_comes_zeroed_and_nothing_is_not_null(void **state)
{
    static const uint8_t zeros[1000];
    const lk_env *env = lk_env_system();
    void *p = lk_alloc(env, sizeof(zeros)), *nothing = lk_alloc(env, 0);

    (void)state;
    assert_non_null(p);
    assert_non_null(nothing);
    assert_memory_equal(p, zeros, sizeof(zeros));
    lk_free(env, p);
    lk_free(env, nothing);
    lk_free(env, NULL);
}

static void a_copied_text_ends_with_a_nul(void **state)
{
    char *copy = lk_copy_text(test_env(), LK_VIEW("abc"));

    (void)state;
    assert_string_equal(copy, "abc");
    lk_free(test_env(), copy);
    copy = lk_copy_text(test_env(), lk_view_make(NULL, 0));
    assert_string_equal(copy, "");
    lk_free(test_env(), copy);
    assert_null(lk_copy_text(test_env(), lk_view_make("", SIZE_MAX)));
    test_alloc_fail_at(1);
    assert_null(lk_copy_text(test_env(), LK_VIEW("abc")));
    assert_true(test_alloc_failed());
    test_alloc_fail_at(0);
}

static void the_clock_of_tests_stands_still_until_told(void **state)
{
    const lk_env *env = test_env();
    int64_t mono = env->mono_ms(env);

    (void)state;
    test_clock_set_ms(1000);
    assert_int_equal(lk_now_ms(env), 1000);
    assert_int_equal(lk_now_ms(env), 1000);
    test_clock_advance_ms(2500);
    assert_int_equal(lk_now_s(env), 3);
    assert_int_equal(env->mono_ms(env) - mono, 2500);
    test_clock_set_ms(0);
    assert_int_equal(env->mono_ms(env) - mono, 2500);
}

static void the_chosen_allocation_fails_and_no_other(void **state)
{
    const lk_env *env = test_env();
    int live = test_alloc_live();
    void *p[3];

    (void)state;
    test_alloc_fail_at(2);
    for (int i = 0; i < 3; i++)
        p[i] = lk_alloc(env, 8);
    assert_true(p[0] != NULL && p[1] == NULL && p[2] != NULL);
    assert_int_equal(test_alloc_live(), live + 2);
    for (int i = 0; i < 3; i++)
        lk_free(env, p[i]);
    assert_int_equal(test_alloc_live(), live);
}

static void the_chosen_randomness_fails_and_no_other(void **state)
{
    uint8_t out[4];

    (void)state;
    test_random_fail_at(2);
    assert_int_equal(lk_random(test_env(), out, sizeof(out)), LK_OK);
    assert_int_equal(lk_random(test_env(), out, sizeof(out)), LK_FAULT);
    assert_int_equal(lk_random(test_env(), out, sizeof(out)), LK_OK);
}

static void a_note_is_cut_at_its_size(void **state)
{
    lk_note note;
    char longer[2 * sizeof(note.text)];

    (void)state;
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    lk_note_set(&note, "%s", longer);
    assert_int_equal(strlen(note.text), sizeof(note.text) - 1);
    lk_note_set(&note, "line %d", 7);
    assert_string_equal(note.text, "line 7");
    lk_note_set(NULL, "%s", longer);
}

static void every_answer_has_a_name(void **state)
{
    (void)state;
    assert_string_equal(lk_status_name(LK_OK), "ok");
    assert_string_equal(lk_status_name(LK_MISS), "miss");
    assert_string_equal(lk_status_name(LK_STALE), "stale");
    assert_string_equal(lk_status_name(LK_REFUSED), "refused");
    assert_string_equal(lk_status_name(LK_FULL), "full");
    assert_string_equal(lk_status_name(LK_FAULT), "fault");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_clock_is_the_wall_clock_in_milliseconds),
        cmocka_unit_test(the_monotonic_clock_does_not_step_back),
        cmocka_unit_test(randomness_fills_the_whole_buffer),
        cmocka_unit_test(memory_comes_zeroed_and_nothing_is_not_null),
        cmocka_unit_test(a_copied_text_ends_with_a_nul),
        cmocka_unit_test(the_clock_of_tests_stands_still_until_told),
        cmocka_unit_test(the_chosen_allocation_fails_and_no_other),
        cmocka_unit_test(the_chosen_randomness_fails_and_no_other),
        cmocka_unit_test(a_note_is_cut_at_its_size),
        cmocka_unit_test(every_answer_has_a_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
