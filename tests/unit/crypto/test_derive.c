/* SPDX-License-Identifier: Apache-2.0
 *
 * test_derive.c - HKDF-SHA256 against RFC 5869, and what lk_derive refuses.
 *
 * The vectors of RFC 5869 have a salt or a root under 32 bytes, which lk_derive does not take. So they prove
 * a few lines of HKDF written here from the RFC over lk_mac, and those prove lk_derive at every length.
 */
#include "crypto/derive.h"
#include "crypto/mac.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define OKM_MAX 96

static void hmac(lk_view key, const lk_view *parts, size_t n, uint8_t out[LK_MAC_LEN])
{
    lk_mac mac;

    assert_int_equal(lk_mac_init(&mac, key), LK_OK);
    assert_int_equal(lk_mac_run(&mac, parts, n, out), LK_OK);
}

/* RFC 5869 sections 2.2 and 2.3, word for word. */
static void hkdf(lk_view salt, lk_view ikm, lk_view info, uint8_t *okm, size_t len)
{
    static const uint8_t zeros[LK_MAC_LEN];
    uint8_t prk[LK_MAC_LEN], block[LK_MAC_LEN], counter = 1;
    size_t done = 0, previous = 0;

    hmac(salt.len > 0 ? salt : lk_view_make(zeros, sizeof(zeros)), &ikm, 1, prk);
    while (done < len) {
        lk_view parts[] = {lk_view_make(block, previous), info, lk_view_make(&counter, 1)};
        size_t take = len - done < sizeof(block) ? len - done : sizeof(block);

        hmac(lk_view_make(prk, sizeof(prk)), parts, 3, block);
        memcpy(okm + done, block, take);
        done += take;
        previous = sizeof(block);
        counter++;
    }
}

static lk_view from_hex(const char *hex, uint8_t *out)
{
    size_t n = strlen(hex) / 2;

    for (size_t i = 0; i < n; i++) {
        char pair[3] = {hex[2 * i], hex[2 * i + 1], '\0'};

        out[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return lk_view_make(out, n);
}

typedef struct vector {
    const char *ikm, *salt, *info, *okm;
} vector;

/* RFC 5869 appendix A.1 to A.3. */
static const vector vectors[] = {
    {"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "000102030405060708090a0b0c", "f0f1f2f3f4f5f6f7f8f9",
     "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"},
    {"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f3031323"
     "3343536373839"
     "3a3b3c3d3e3f404142434445464748494a4b4c4d4e4f",
     "606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f808182838485868788898a8b8c8d8e8f9091929"
     "3949596979899"
     "9a9b9c9d9e9fa0a1a2a3a4a5a6a7a8a9aaabacadaeaf",
     "b0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e"
     "3e4e5e6e7e8e9"
     "eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
     "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65e590e09da32756"
     "00c2f09b83677"
     "93a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87"},
    {"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "", "",
     "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"},
};

static void the_reference_keeps_to_rfc_5869(void **state)
{
    uint8_t ikm[OKM_MAX], salt[OKM_MAX], info[OKM_MAX], wanted[OKM_MAX], okm[OKM_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        lk_view expected = from_hex(vectors[i].okm, wanted);

        hkdf(from_hex(vectors[i].salt, salt), from_hex(vectors[i].ikm, ikm), from_hex(vectors[i].info, info),
             okm, expected.len);
        assert_memory_equal(okm, wanted, expected.len);
    }
}

static void every_length_is_what_the_reference_gives(void **state)
{
    uint8_t root[100], okm[LK_SECRET_MAX];
    lk_view label = LK_VIEW("latchkey session digest");
    lk_secret out;

    (void)state;
    for (size_t i = 0; i < sizeof(root); i++)
        root[i] = (uint8_t)(i * 5 + 1);
    for (size_t len = 1; len <= LK_SECRET_MAX; len++) {
        for (size_t root_len = 32; root_len <= sizeof(root); root_len += 17) {
            hkdf(lk_view_make(NULL, 0), lk_view_make(root, root_len), label, okm, len);
            assert_int_equal(lk_derive(lk_view_make(root, root_len), label, &out, len), LK_OK);
            assert_int_equal(out.len, len);
            assert_memory_equal(out.bytes, okm, len);
        }
    }
}

static void a_label_may_be_empty_and_is_part_of_the_result(void **state)
{
    uint8_t root[32] = {1}, okm[32];
    lk_secret none, one, other;

    (void)state;
    hkdf(lk_view_make(NULL, 0), lk_view_make(root, 32), lk_view_make(NULL, 0), okm, 32);
    assert_int_equal(lk_derive(lk_view_make(root, 32), lk_view_make(NULL, 0), &none, 32), LK_OK);
    assert_memory_equal(none.bytes, okm, 32);
    assert_int_equal(lk_derive(lk_view_make(root, 32), LK_VIEW("purpose a"), &one, 32), LK_OK);
    assert_int_equal(lk_derive(lk_view_make(root, 32), LK_VIEW("purpose b"), &other, 32), LK_OK);
    assert_memory_not_equal(none.bytes, one.bytes, 32);
    assert_memory_not_equal(one.bytes, other.bytes, 32);
}

static void a_short_root_or_a_bad_length_is_refused_and_leaves_nothing(void **state)
{
    static const lk_secret nothing;
    uint8_t root[32] = {1}, label[1025] = {0};
    lk_view whole = lk_view_make(root, 32), text = LK_VIEW("x");
    lk_secret out = {.len = 7, .bytes = {9}};

    (void)state;
    assert_int_equal(lk_derive(lk_view_make(root, 31), text, &out, 32), LK_REFUSED);
    assert_memory_equal(&out, &nothing, sizeof(out));
    assert_int_equal(lk_derive(whole, text, &out, 0), LK_REFUSED);
    assert_int_equal(lk_derive(whole, text, &out, LK_SECRET_MAX + 1), LK_REFUSED);
    assert_int_equal(lk_derive(whole, text, &out, SIZE_MAX), LK_REFUSED);
    assert_int_equal(lk_derive(lk_view_make(NULL, 0), text, &out, 32), LK_REFUSED);
    assert_int_equal(lk_derive(whole, lk_view_make(label, 1025), &out, 32), LK_REFUSED);
    assert_int_equal(lk_derive(whole, lk_view_make(label, 1024), &out, 32), LK_OK);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_reference_keeps_to_rfc_5869),
        cmocka_unit_test(every_length_is_what_the_reference_gives),
        cmocka_unit_test(a_label_may_be_empty_and_is_part_of_the_result),
        cmocka_unit_test(a_short_root_or_a_bad_length_is_refused_and_leaves_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
