/* SPDX-License-Identifier: Apache-2.0
 *
 * test_secret.c - secrets are compared by length first, and wiped.
 */
#include <latchkey/secret.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void secrets_of_the_same_bytes_are_equal(void **state)
{
    (void)state;
    assert_true(lk_secret_equal(LK_VIEW("a\0b"), LK_VIEW("a\0b")));
    assert_true(lk_secret_equal(LK_VIEW(""), lk_view_make(NULL, 0)));
}

static void one_bit_anywhere_makes_secrets_differ(void **state)
{
    uint8_t a[33], b[33];

    (void)state;
    memset(a, 0xa5, sizeof(a));
    for (size_t at = 0; at < sizeof(a); at++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            memcpy(b, a, sizeof(a));
            b[at] = (uint8_t)(b[at] ^ (1u << bit));
            assert_false(lk_secret_equal(lk_view_make(a, sizeof(a)), lk_view_make(b, sizeof(b))));
        }
    }
}

static void a_prefix_is_not_equal(void **state)
{
    (void)state;
    assert_false(lk_secret_equal(LK_VIEW("secret"), LK_VIEW("secre")));
    assert_false(lk_secret_equal(LK_VIEW(""), LK_VIEW("s")));
    assert_false(lk_secret_equal(LK_VIEW("secret\0"), LK_VIEW("secret")));
}

static void a_wiped_secret_is_all_zero(void **state)
{
    static const lk_secret nothing;
    lk_secret secret = {.len = 32};

    (void)state;
    memset(secret.bytes, 0x77, sizeof(secret.bytes));
    assert_int_equal(lk_secret_view(&secret).len, 32);
    lk_secret_wipe(&secret);
    assert_memory_equal(&secret, &nothing, sizeof(secret));
    lk_wipe(NULL, 0);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(secrets_of_the_same_bytes_are_equal),
        cmocka_unit_test(one_bit_anywhere_makes_secrets_differ),
        cmocka_unit_test(a_prefix_is_not_equal),
        cmocka_unit_test(a_wiped_secret_is_all_zero),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
