/* SPDX-License-Identifier: Apache-2.0
 *
 * test_api_key.c - API keys prove themselves by their text alone, and name one session in each epoch.
 */
#include "crypto/mac.h"
#include "token_fixture.h"
#include <latchkey/base64url.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "test_env.h"

static char key[LK_API_KEY_LEN + 1];

static int make_one(void **state)
{
    if (make_ring(state) != 0)
        return -1;
    assert_int_equal(lk_api_key_make(test_env(), ring, key), LK_OK);
    return 0;
}

static void fresh_key_has_the_shape_and_proves_itself(void **state)
{
    lk_view public;
    lk_kind kind;

    (void)state;
    assert_int_equal(strlen(key), 44);
    assert_memory_equal(key, "lk_", 3);
    assert_int_equal(key[11], '_');
    assert_int_not_equal(key[3], '-');
    assert_int_equal(lk_credential_kind(lk_view_of(key), &kind), LK_OK);
    assert_int_equal(kind, LK_KIND_API_KEY);
    assert_int_equal(lk_api_key_prove(ring, lk_view_of(key), &public), LK_OK);
    assert_ptr_equal(public.p, key + 3);
    assert_int_equal(public.len, 8);
}

static void two_keys_differ(void **state)
{
    char other[LK_API_KEY_LEN + 1];

    (void)state;
    assert_int_equal(lk_api_key_make(test_env(), ring, other), LK_OK);
    assert_memory_not_equal(key + 3, other + 3, 8);
    assert_memory_not_equal(key + 12, other + 12, 32);
}

/* docs/formats/api-key.md: another program that holds the root secret can compute it. */
static void secret_is_the_documented_hash_of_the_public_part(void **state)
{
    const lk_view parts[] = {LK_VIEW("lk_"), lk_view_make(key + 3, 8)};
    uint8_t hash[LK_MAC_LEN], memory[32];
    lk_buf text = lk_buf_over(memory, sizeof(memory));
    lk_secret secret;

    (void)state;
    assert_int_equal(lk_mac_run(lk_keyring_mac(ring, LK_PURPOSE_API_KEY), parts, 2, hash), LK_OK);
    lk_base64url_encode(lk_view_make(hash, 24), &text);
    assert_memory_equal(text.p, key + 12, 32);
    assert_int_equal(lk_api_key_secret(ring, lk_view_make(key + 3, 8), &secret), LK_OK);
    assert_int_equal(secret.len, 32);
    assert_memory_equal(secret.bytes, key + 12, 32);
}

/* Every character matters: one that is changed to any other of the alphabet makes a forged key. */
static void key_with_one_changed_character_is_refused(void **state)
{
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    char forged[LK_API_KEY_LEN + 1];
    lk_view public;

    (void)state;
    for (size_t i = 0; i < LK_API_KEY_LEN; i++) {
        for (size_t k = 0; alphabet[k] != '\0'; k++) {
            memcpy(forged, key, sizeof(forged));
            if (forged[i] == alphabet[k])
                continue;
            forged[i] = alphabet[k];
            assert_int_equal(lk_api_key_prove(ring, lk_view_of(forged), &public), LK_REFUSED);
            assert_int_equal(public.len, 0);
        }
    }
}

static void text_of_another_shape_is_no_key(void **state)
{
    static const char *const texts[] = {
        "",
        "lk_",
        "lk_AAAAAAAA_",
        "lk_AAAAAAAA_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",   /* one short */
        "lk_AAAAAAAA_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", /* one long */
        "LK_AAAAAAAA_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "lk-AAAAAAAA_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "lk_AAAAAAAA-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "lk_AAAA/AAA_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "lk_AAAAAAAA_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "lk_AAAAAAAA_AAAAAAAAAAAAAAAA.AAAAAAAAAAAAAAA",
    };
    lk_view public;
    lk_kind kind;

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_int_equal(lk_api_key_prove(ring, lk_view_of(texts[i]), &public), LK_REFUSED);
        assert_true(lk_credential_kind(lk_view_of(texts[i]), &kind) == LK_REFUSED || kind != LK_KIND_API_KEY);
    }
}

static void key_of_another_root_is_refused(void **state)
{
    lk_keyring *other = fresh_ring();
    lk_view public;

    (void)state;
    assert_int_equal(lk_api_key_prove(other, lk_view_of(key), &public), LK_REFUSED);
    lk_keyring_free(other);
}

static void session_is_the_same_within_an_epoch_and_another_in_the_next(void **state)
{
    uint8_t proof[LK_SESSION_PROOF_LEN], proof_again[LK_SESSION_PROOF_LEN];
    lk_session_key a, b;
    lk_view public = lk_view_make(key + 3, 8);

    (void)state;
    assert_int_equal(lk_api_key_session(ring, public, 7, &a, proof), LK_OK);
    assert_int_equal(lk_api_key_session(ring, public, 7, &b, proof_again), LK_OK);
    assert_memory_equal(&a, &b, sizeof(a));
    assert_memory_equal(proof, proof_again, sizeof(proof));
    assert_int_equal(lk_api_key_session(ring, public, 8, &b, proof_again), LK_OK);
    assert_memory_not_equal(&a, &b, sizeof(a));
    assert_memory_not_equal(proof, proof_again, sizeof(proof));
}

static void no_random_bytes_make_no_key(void **state)
{
    char out[LK_API_KEY_LEN + 1];

    (void)state;
    test_random_fail_at(1);
    assert_int_equal(lk_api_key_make(test_env(), ring, out), LK_FAULT);
    test_random_fail_at(0);
    assert_int_equal(out[0], '\0');
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fresh_key_has_the_shape_and_proves_itself),
        cmocka_unit_test(two_keys_differ),
        cmocka_unit_test(secret_is_the_documented_hash_of_the_public_part),
        cmocka_unit_test(key_with_one_changed_character_is_refused),
        cmocka_unit_test(text_of_another_shape_is_no_key),
        cmocka_unit_test(key_of_another_root_is_refused),
        cmocka_unit_test(session_is_the_same_within_an_epoch_and_another_in_the_next),
        cmocka_unit_test(no_random_bytes_make_no_key),
    };
    return cmocka_run_group_tests(tests, make_one, free_ring);
}
