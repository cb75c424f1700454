/* SPDX-License-Identifier: Apache-2.0
 *
 * test_shorthash.c - SipHash-2-4-128 gives what its authors' reference gives.
 */
#include "crypto/shorthash.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* The first two of the reference vectors: key 00..0f, input 00, 01, ... */
static void the_reference_vectors_hold(void **state)
{
    static const uint8_t of_nothing[] = {0xa3, 0x81, 0x7f, 0x04, 0xba, 0x25, 0xa8, 0xe6,
                                         0x6d, 0xf6, 0x72, 0x14, 0xc7, 0x55, 0x02, 0x93};
    static const uint8_t of_zero[] = {0xda, 0x87, 0xc1, 0xd8, 0x6b, 0x99, 0xaf, 0x44,
                                      0x34, 0x76, 0x59, 0x11, 0x9b, 0x22, 0xfc, 0x45};
    uint8_t key[LK_SHORTHASH_KEY_LEN], out[LK_SHORTHASH_LEN];

    (void)state;
    for (size_t i = 0; i < sizeof(key); i++)
        key[i] = (uint8_t)i;
    lk_shorthash(key, lk_view_make(NULL, 0), out);
    assert_memory_equal(out, of_nothing, sizeof(out));
    lk_shorthash(key, LK_VIEW("\0"), out);
    assert_memory_equal(out, of_zero, sizeof(out));
}

static void another_key_gives_another_hash(void **state)
{
    uint8_t key[LK_SHORTHASH_KEY_LEN] = {0}, first[LK_SHORTHASH_LEN], other[LK_SHORTHASH_LEN];

    (void)state;
    lk_shorthash(key, LK_VIEW("name"), first);
    for (size_t bit = 0; bit < 8 * sizeof(key); bit++) {
        key[bit / 8] ^= (uint8_t)(1u << bit % 8);
        lk_shorthash(key, LK_VIEW("name"), other);
        assert_memory_not_equal(first, other, sizeof(first));
        key[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_reference_vectors_hold),
        cmocka_unit_test(another_key_gives_another_hash),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
