/* SPDX-License-Identifier: Apache-2.0
 *
 * test_mac.c - HMAC-SHA256 from a prepared key, against RFC 4231 and against OpenSSL's own HMAC.
 */
#include "crypto/mac.h"
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

typedef struct vector {
    uint8_t key_byte; /* the key is this byte KEY_LEN times, unless `key` is set */
    size_t key_len;
    const char *key;
    uint8_t data_byte; /* likewise */
    size_t data_len;
    const char *data;
    const char *mac; /* in hex; cut ones are compared as far as they go */
} vector;

/* RFC 4231 section 4, test cases 1 to 7. */
static const vector vectors[] = {
    {0x0b, 20, NULL, 0, 8, "Hi There", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
    {0, 4, "Jefe", 0, 28, "what do ya want for nothing?",
     "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
    {0xaa, 20, NULL, 0xdd, 50, NULL, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
    {0, 25,
     "\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19",
     0xcd, 50, NULL, "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b"},
    {0x0c, 20, NULL, 0, 20, "Test With Truncation", "a3b6167473100ee06e0c796c2955552b"},
    {0xaa, 131, NULL, 0, 54, "Test Using Larger Than Block-Size Key - Hash Key First",
     "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"},
    {0xaa, 131, NULL, 0, 152,
     "This is a test using a larger than block-size key and a larger than block-size data. The key needs to "
     "be hashed "
     "before being used by the HMAC algorithm.",
     "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2"},
};

static lk_view bytes_of(uint8_t *room, uint8_t byte, size_t len, const char *text)
{
    memset(room, byte, len);
    if (text != NULL)
        memcpy(room, text, len);
    return lk_view_make(room, len);
}

static size_t from_hex(const char *hex, uint8_t *out)
{
    size_t n = strlen(hex) / 2;

    for (size_t i = 0; i < n; i++) {
        char pair[3] = {hex[2 * i], hex[2 * i + 1], '\0'};

        out[i] = (uint8_t)strtoul(pair, NULL, 16);
    }
    return n;
}

static void the_vectors_of_rfc_4231_hold(void **state)
{
    uint8_t key[256], data[256], mac[LK_MAC_LEN], wanted[LK_MAC_LEN];
    lk_mac prepared;

    (void)state;
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        const vector *v = &vectors[i];
        lk_view part = bytes_of(data, v->data_byte, v->data_len, v->data);

        assert_int_equal(lk_mac_init(&prepared, bytes_of(key, v->key_byte, v->key_len, v->key)), LK_OK);
        assert_int_equal(lk_mac_run(&prepared, &part, 1, mac), LK_OK);
        assert_memory_equal(mac, wanted, from_hex(v->mac, wanted));
    }
}

static void fill(uint8_t *out, size_t len)
{
    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)(i * 7 + 3);
}

static void expect_as_openssl(lk_view key, lk_view data)
{
    uint8_t mac[LK_MAC_LEN], wanted[LK_MAC_LEN];
    unsigned len = 0;
    lk_mac prepared;

    assert_int_equal(lk_mac_init(&prepared, key), LK_OK);
    assert_int_equal(lk_mac_run(&prepared, &data, 1, mac), LK_OK);
    assert_non_null(HMAC(EVP_sha256(), key.p, (int)key.len, data.p, data.len, wanted, &len));
    assert_int_equal(len, LK_MAC_LEN);
    assert_memory_equal(mac, wanted, LK_MAC_LEN);
    lk_mac_wipe(&prepared);
}

static void every_length_of_key_gives_what_openssl_gives(void **state)
{
    uint8_t key[1024];

    (void)state;
    fill(key, sizeof(key));
    for (size_t len = 1; len <= sizeof(key); len++)
        expect_as_openssl(lk_view_make(key, len), LK_VIEW("data"));
}

static void every_length_of_data_gives_what_openssl_gives(void **state)
{
    uint8_t data[300];

    (void)state;
    fill(data, sizeof(data));
    for (size_t len = 0; len <= sizeof(data); len++)
        expect_as_openssl(LK_VIEW("0123456789abcdef0123456789abcdef"), lk_view_make(data, len));
}

static void parts_are_hashed_as_one_text_wherever_they_are_cut(void **state)
{
    uint8_t data[200], whole[LK_MAC_LEN], cut[LK_MAC_LEN];
    lk_view all = lk_view_make(data, sizeof(data));
    lk_mac prepared;

    (void)state;
    fill(data, sizeof(data));
    assert_int_equal(lk_mac_init(&prepared, LK_VIEW("key")), LK_OK);
    assert_int_equal(lk_mac_run(&prepared, &all, 1, whole), LK_OK);
    for (size_t at = 0; at <= sizeof(data); at++) {
        lk_view parts[] = {lk_view_part(all, 0, at), lk_view_make(NULL, 0), lk_view_part(all, at, SIZE_MAX)};

        assert_int_equal(lk_mac_run(&prepared, parts, 3, cut), LK_OK);
        assert_memory_equal(cut, whole, LK_MAC_LEN);
    }
}

static void no_parts_are_the_empty_text(void **state)
{
    lk_view nothing = lk_view_make(NULL, 0);
    uint8_t a[LK_MAC_LEN], b[LK_MAC_LEN];
    lk_mac prepared;

    (void)state;
    assert_int_equal(lk_mac_init(&prepared, LK_VIEW("key")), LK_OK);
    assert_int_equal(lk_mac_run(&prepared, NULL, 0, a), LK_OK);
    assert_int_equal(lk_mac_run(&prepared, &nothing, 1, b), LK_OK);
    assert_memory_equal(a, b, LK_MAC_LEN);
}

static void a_key_that_is_empty_or_too_long_is_refused(void **state)
{
    uint8_t key[1025] = {1};
    lk_mac prepared;

    (void)state;
    assert_int_equal(lk_mac_init(&prepared, lk_view_make(NULL, 0)), LK_REFUSED);
    assert_int_equal(lk_mac_init(&prepared, lk_view_make(key, 1025)), LK_REFUSED);
    assert_int_equal(lk_mac_init(&prepared, lk_view_make(key, 1024)), LK_OK);
    assert_int_equal(lk_mac_init(&prepared, lk_view_make(key, 1)), LK_OK);
}

static void one_bit_of_key_or_data_changes_the_mac(void **state)
{
    uint8_t key[32], data[64], first[LK_MAC_LEN], other[LK_MAC_LEN];
    lk_view part = lk_view_make(data, sizeof(data));
    lk_mac prepared, changed;

    (void)state;
    fill(key, sizeof(key));
    fill(data, sizeof(data));
    assert_int_equal(lk_mac_init(&prepared, lk_view_make(key, sizeof(key))), LK_OK);
    assert_int_equal(lk_mac_run(&prepared, &part, 1, first), LK_OK);
    for (size_t bit = 0; bit < 8 * sizeof(data); bit++) {
        data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(lk_mac_run(&prepared, &part, 1, other), LK_OK);
        assert_memory_not_equal(first, other, LK_MAC_LEN);
        data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    for (size_t bit = 0; bit < 8 * sizeof(key); bit++) {
        key[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(lk_mac_init(&changed, lk_view_make(key, sizeof(key))), LK_OK);
        assert_int_equal(lk_mac_run(&changed, &part, 1, other), LK_OK);
        assert_memory_not_equal(first, other, LK_MAC_LEN);
        key[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
}

static void a_copy_of_a_prepared_key_works_and_using_it_does_not_change_it(void **state)
{
    lk_view part = LK_VIEW("data");
    uint8_t a[LK_MAC_LEN], b[LK_MAC_LEN];
    lk_mac first, copy, kept;

    (void)state;
    assert_int_equal(lk_mac_init(&first, LK_VIEW("key")), LK_OK);
    copy = first;
    kept = first;
    assert_int_equal(lk_mac_run(&copy, &part, 1, a), LK_OK);
    assert_int_equal(lk_mac_run(&copy, &part, 1, b), LK_OK);
    assert_memory_equal(a, b, LK_MAC_LEN);
    assert_memory_equal(&copy, &kept, sizeof(kept));
}

static void a_wiped_mac_holds_nothing(void **state)
{
    static const lk_mac nothing;
    lk_mac prepared;

    (void)state;
    assert_int_equal(lk_mac_init(&prepared, LK_VIEW("key")), LK_OK);
    lk_mac_wipe(&prepared);
    assert_memory_equal(&prepared, &nothing, sizeof(prepared));
}

typedef struct shared_use {
    const lk_mac *mac;
    uint8_t wanted[LK_MAC_LEN];
    bool differed;
} shared_use;

static void *use_many_times(void *context)
{
    shared_use *use = context;
    uint8_t mac[LK_MAC_LEN];
    lk_view part = LK_VIEW("data that all threads hash");

    for (int i = 0; i < 2000; i++) {
        if (lk_mac_run(use->mac, &part, 1, mac) != LK_OK ||
            !lk_secret_equal(lk_view_make(mac, LK_MAC_LEN), lk_view_make(use->wanted, LK_MAC_LEN)))
            use->differed = true;
    }
    return NULL;
}

static void several_threads_may_use_one_prepared_key(void **state)
{
    lk_view part = LK_VIEW("data that all threads hash");
    pthread_t threads[4];
    shared_use uses[4];
    lk_mac prepared;

    (void)state;
    assert_int_equal(lk_mac_init(&prepared, LK_VIEW("key")), LK_OK);
    for (size_t i = 0; i < 4; i++) {
        uses[i] = (shared_use){.mac = &prepared};
        assert_int_equal(lk_mac_run(&prepared, &part, 1, uses[i].wanted), LK_OK);
        assert_int_equal(pthread_create(&threads[i], NULL, use_many_times, &uses[i]), 0);
    }
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_false(uses[i].differed);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_vectors_of_rfc_4231_hold),
        cmocka_unit_test(every_length_of_key_gives_what_openssl_gives),
        cmocka_unit_test(every_length_of_data_gives_what_openssl_gives),
        cmocka_unit_test(parts_are_hashed_as_one_text_wherever_they_are_cut),
        cmocka_unit_test(no_parts_are_the_empty_text),
        cmocka_unit_test(a_key_that_is_empty_or_too_long_is_refused),
        cmocka_unit_test(one_bit_of_key_or_data_changes_the_mac),
        cmocka_unit_test(a_copy_of_a_prepared_key_works_and_using_it_does_not_change_it),
        cmocka_unit_test(a_wiped_mac_holds_nothing),
        cmocka_unit_test(several_threads_may_use_one_prepared_key),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
