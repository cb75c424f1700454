/* SPDX-License-Identifier: Apache-2.0
 *
 * test_seal.c - boxes of AES-256-GCM under a key of their own: beside OpenSSL used plainly, with every bit
 * changed, and with no memory.
 */
#include "crypto/seal.h"
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TEXT "the whole of a session, of any length"
#define BOUND LK_VIEW("what it is bound to")

/* --- OpenSSL's memory, which can be made to run out ---------------------------------------------------- */

static int fail_at; /* the n-th allocation from now on fails; 0: none; -1: all */
static bool has_failed;

static bool fails_now(void)
{
    bool now = fail_at == -1 || (fail_at > 0 && --fail_at == 0);

    has_failed = has_failed || now;
    return now;
}

static void *memory_get(size_t len, const char *file, int line)
{
    (void)file;
    (void)line;
    return fails_now() ? NULL : malloc(len);
}

static void *memory_resize(void *p, size_t len, const char *file, int line)
{
    (void)file;
    (void)line;
    return fails_now() ? NULL : realloc(p, len);
}

static void memory_free(void *p, const char *file, int line)
{
    (void)file;
    (void)line;
    free(p);
}

/* --- boxes -----------------------------------------------------------------------------------------------
 */

typedef struct box {
    uint8_t salt[LK_SEAL_SALT_LEN], text[sizeof(TEXT)], tag[LK_SEAL_TAG_LEN];
} box;

static const uint8_t key_bytes[32] = {1, 2, 3};

static lk_mac prepared(void)
{
    lk_mac mac;

    assert_int_equal(lk_mac_init(&mac, lk_view_make(key_bytes, sizeof(key_bytes))), LK_OK);
    return mac;
}

static box sealed(void)
{
    box b = {.salt = {9, 8, 7}, .text = TEXT};
    lk_mac mac = prepared();

    assert_int_equal(lk_seal(&mac, b.salt, BOUND, b.text, sizeof(b.text), b.tag), LK_OK);
    return b;
}

static lk_status opened(box *b)
{
    lk_mac mac = prepared();

    return lk_unseal(&mac, b->salt, BOUND, b->text, sizeof(b->text), b->tag);
}

static void assert_wiped(const box *b)
{
    static const uint8_t nothing[sizeof(TEXT)];

    assert_memory_equal(b->text, nothing, sizeof(nothing));
}

static void what_is_sealed_is_opened_again(void **state)
{
    box b = sealed();

    (void)state;
    assert_memory_not_equal(b.text, TEXT, sizeof(TEXT));
    assert_int_equal(opened(&b), LK_OK);
    assert_memory_equal(b.text, TEXT, sizeof(TEXT));
}

/* The key of a box by OpenSSL's own HKDF. */
static void expand(const uint8_t salt[LK_SEAL_SALT_LEN], uint8_t out[32])
{
    uint8_t info[14 + LK_SEAL_SALT_LEN] = "latchkey box 1";
    EVP_KDF *kdf = EVP_KDF_fetch(NULL, OSSL_KDF_NAME_HKDF, NULL);
    EVP_KDF_CTX *ctx = EVP_KDF_CTX_new(kdf);
    int mode = EVP_KDF_HKDF_MODE_EXPAND_ONLY;
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST, (char *)(uintptr_t) "SHA256", 0),
        OSSL_PARAM_construct_int(OSSL_KDF_PARAM_MODE, &mode),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_KEY, (void *)(uintptr_t)key_bytes, 32),
        OSSL_PARAM_construct_octet_string(OSSL_KDF_PARAM_INFO, info, sizeof(info)),
        OSSL_PARAM_construct_end(),
    };

    memcpy(info + 14, salt, LK_SEAL_SALT_LEN);
    assert_int_equal(EVP_KDF_derive(ctx, out, 32, params), 1);
    EVP_KDF_CTX_free(ctx);
    EVP_KDF_free(kdf);
}

static void box_is_what_openssl_makes_of_the_same_key_and_a_nonce_of_zeros(void **state)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    uint8_t key[32], text[sizeof(TEXT)], tag[LK_SEAL_TAG_LEN];
    static const uint8_t nonce[12];
    box b = sealed();
    int n;

    (void)state;
    expand(b.salt, key);
    assert_int_equal(EVP_EncryptInit_ex(ctx, EVP_aes_256_gcm(), NULL, key, nonce), 1);
    assert_int_equal(EVP_EncryptUpdate(ctx, NULL, &n, BOUND.p, (int)BOUND.len), 1);
    assert_int_equal(EVP_EncryptUpdate(ctx, text, &n, (const uint8_t *)TEXT, sizeof(TEXT)), 1);
    assert_int_equal(EVP_EncryptFinal_ex(ctx, text + n, &n), 1);
    assert_int_equal(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, sizeof(tag), tag), 1);
    assert_memory_equal(b.text, text, sizeof(text));
    assert_memory_equal(b.tag, tag, sizeof(tag));
    EVP_CIPHER_CTX_free(ctx);
}

static void box_with_any_bit_changed_is_refused_and_nothing_of_it_is_seen(void **state)
{
    (void)state;
    for (size_t bit = 0; bit < 8 * sizeof(box); bit++) {
        box b = sealed();

        ((uint8_t *)&b)[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(opened(&b), LK_REFUSED);
        assert_wiped(&b);
    }
}

static void box_opens_under_its_own_key_and_bound_alone(void **state)
{
    static const lk_view others[] = {{(const uint8_t *)"what it is bound tp", 19},
                                     {(const uint8_t *)"what it is bound t", 18},
                                     {(const uint8_t *)"what it is bound to", 20},
                                     {NULL, 0}};
    lk_mac mac = prepared(), other;
    box b;

    (void)state;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        b = sealed();
        assert_int_equal(lk_unseal(&mac, b.salt, others[i], b.text, sizeof(b.text), b.tag), LK_REFUSED);
        assert_wiped(&b);
    }
    assert_int_equal(lk_mac_init(&other, LK_VIEW("another key, of the very same len")), LK_OK);
    b = sealed();
    assert_int_equal(lk_unseal(&other, b.salt, BOUND, b.text, sizeof(b.text), b.tag), LK_REFUSED);
    assert_wiped(&b);
}

static void another_salt_gives_another_box(void **state)
{
    box a = sealed(), b = {.salt = {9, 8, 7, 1}, .text = TEXT};
    lk_mac mac = prepared();

    (void)state;
    assert_int_equal(lk_seal(&mac, b.salt, BOUND, b.text, sizeof(b.text), b.tag), LK_OK);
    assert_memory_not_equal(a.text, b.text, sizeof(a.text));
    assert_memory_not_equal(a.tag, b.tag, sizeof(a.tag));
}

static void every_length_is_sealed_and_opened(void **state)
{
    static uint8_t text[LK_SEAL_MAX + 1];
    uint8_t salt[LK_SEAL_SALT_LEN] = {1}, tag[LK_SEAL_TAG_LEN];
    lk_mac mac = prepared();
    lk_view none = {0};

    (void)state;
    for (size_t len = 0; len <= LK_SEAL_MAX; len = len < 300 ? len + 1 : len + 99000) {
        memset(text, 'x', len);
        assert_int_equal(lk_seal(&mac, salt, none, text, len, tag), LK_OK);
        assert_int_equal(lk_unseal(&mac, salt, none, text, len, tag), LK_OK);
        for (size_t i = 0; i < len; i++)
            assert_int_equal(text[i], 'x');
    }
    assert_int_equal(lk_seal(&mac, salt, none, text, LK_SEAL_MAX + 1, tag), LK_FULL);
    assert_int_equal(lk_unseal(&mac, salt, none, text, LK_SEAL_MAX + 1, tag), LK_FULL);
}

/* Nothing has been sealed before this test: no context waits to be used. */
static void library_without_memory_is_a_fault_and_never_a_refusal(void **state)
{
    box b = {.salt = {9, 8, 7}, .text = TEXT};
    lk_mac mac = prepared();

    (void)state;
    EVP_CIPHER_free(EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL)); /* the library itself is up */
    fail_at = -1;
    assert_int_equal(lk_seal(&mac, b.salt, BOUND, b.text, sizeof(b.text), b.tag), LK_FAULT);
    assert_wiped(&b);
    assert_int_equal(opened(&b), LK_FAULT);
    assert_wiped(&b);
    fail_at = 0;
    assert_true(has_failed);
    b = sealed();
    assert_int_equal(opened(&b), LK_OK);
}

static void sealing_and_opening_need_no_memory_once_a_context_is_there(void **state)
{
    box b = sealed();

    (void)state;
    has_failed = false;
    fail_at = -1;
    b = sealed();
    assert_int_equal(opened(&b), LK_OK);
    b.tag[0] ^= 1;
    assert_int_equal(opened(&b), LK_REFUSED);
    fail_at = 0;
    assert_false(has_failed);
}

static void *use_many_times(void *differed)
{
    for (int i = 0; i < 500; i++) {
        box b = sealed();

        if (opened(&b) != LK_OK || memcmp(b.text, TEXT, sizeof(TEXT)) != 0)
            *(bool *)differed = true;
    }
    return NULL;
}

static void more_threads_than_contexts_seal_and_open_at_once(void **state)
{
    bool differed[12] = {false};
    pthread_t threads[12];

    (void)state;
    for (size_t i = 0; i < 12; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, use_many_times, &differed[i]), 0);
    for (size_t i = 0; i < 12; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_false(differed[i]);
    }
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(library_without_memory_is_a_fault_and_never_a_refusal), /* the first to seal */
        cmocka_unit_test(what_is_sealed_is_opened_again),
        cmocka_unit_test(box_is_what_openssl_makes_of_the_same_key_and_a_nonce_of_zeros),
        cmocka_unit_test(box_with_any_bit_changed_is_refused_and_nothing_of_it_is_seen),
        cmocka_unit_test(box_opens_under_its_own_key_and_bound_alone),
        cmocka_unit_test(another_salt_gives_another_box),
        cmocka_unit_test(every_length_is_sealed_and_opened),
        cmocka_unit_test(sealing_and_opening_need_no_memory_once_a_context_is_there),
        cmocka_unit_test(more_threads_than_contexts_seal_and_open_at_once),
    };

    if (CRYPTO_set_mem_functions(memory_get, memory_resize, memory_free) != 1)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
