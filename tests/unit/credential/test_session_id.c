/* SPDX-License-Identifier: Apache-2.0
 *
 * test_session_id.c - session ids are random, have one spelling, and are kept as a keyed hash.
 */
#include "crypto/mac.h"
#include "token_fixture.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "test_env.h"

#ifdef __SANITIZE_ADDRESS__
#define IDS 100000
#else
#define IDS 1000000
#endif

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void new_id_reads_back_to_the_same_key_and_proof(void **state)
{
    uint8_t proof[LK_SESSION_PROOF_LEN], proof_again[LK_SESSION_PROOF_LEN];
    lk_session_key key, key_again;
    char id[LK_SESSION_ID_LEN + 1];

    (void)state;
    assert_int_equal(lk_session_id_new(test_env(), ring, id, &key, proof), LK_OK);
    assert_int_equal(strlen(id), LK_SESSION_ID_LEN);
    assert_int_equal(lk_session_id_read(ring, lk_view_of(id), &key_again, proof_again), LK_OK);
    assert_memory_equal(&key, &key_again, sizeof(key));
    assert_memory_equal(proof, proof_again, sizeof(proof));
}

/* docs/formats/session-id.md says what a store holds; a dump of it must not open sessions. */
static void key_and_proof_are_the_keyed_hash_of_the_text(void **state)
{
    const lk_view id = LK_VIEW("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8");
    uint8_t proof[LK_SESSION_PROOF_LEN], hash[LK_MAC_LEN];
    lk_session_key key;

    (void)state;
    assert_int_equal(lk_session_id_read(ring, id, &key, proof), LK_OK);
    assert_int_equal(lk_mac_run(lk_keyring_mac(ring, LK_PURPOSE_SESSION_ID), &id, 1, hash), LK_OK);
    assert_memory_equal(hash, key.bytes, LK_SESSION_KEY_LEN);
    assert_memory_equal(hash + LK_SESSION_KEY_LEN, proof, LK_SESSION_PROOF_LEN);
}

/* The vector of docs/formats/session-id.md, computed by other means: the text is hashed, not its bytes. */
static void documented_hash_is_right(void **state)
{
    static const uint8_t head[] = {0xce, 0x81, 0x15, 0xe9, 0x0d, 0x21, 0x6d, 0xb4, 0x9f, 0x2c, 0x78, 0xd9};
    const lk_view id = LK_VIEW("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8");
    uint8_t bytes[32], hash[LK_MAC_LEN];
    lk_mac mac;

    (void)state;
    assert_int_equal(bytes_of_text("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8", bytes, sizeof(bytes)), 32);
    assert_int_equal(lk_mac_init(&mac, lk_view_make(bytes, sizeof(bytes))), LK_OK);
    assert_int_equal(lk_mac_run(&mac, &id, 1, hash), LK_OK);
    assert_memory_equal(hash, head, sizeof(head));
}

static void id_under_another_root_has_another_key(void **state)
{
    const lk_view id = LK_VIEW("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8");
    uint8_t proof[LK_SESSION_PROOF_LEN];
    lk_keyring *other = fresh_ring();
    lk_session_key a, b;

    (void)state;
    assert_int_equal(lk_session_id_read(ring, id, &a, proof), LK_OK);
    assert_int_equal(lk_session_id_read(other, id, &b, proof), LK_OK);
    assert_memory_not_equal(&a, &b, sizeof(a));
    lk_keyring_free(other);
}

static void text_that_is_no_id_is_refused(void **state)
{
    static const char *const wrong[] = {
        "",
        "A",
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh",
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8A",
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh9", /* another spelling of the same 32 bytes */
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh=",
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdH+8",
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdH/8",
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdH 8",
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdH\n8",
    };
    uint8_t proof[LK_SESSION_PROOF_LEN];
    lk_session_key key;

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(lk_session_id_read(ring, lk_view_of(wrong[i]), &key, proof), LK_REFUSED);
    assert_int_equal(
        lk_session_id_read(ring, lk_view_of("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"), &key, proof),
        LK_OK);
}

static void no_id_is_made_without_randomness(void **state)
{
    uint8_t proof[LK_SESSION_PROOF_LEN];
    char id[LK_SESSION_ID_LEN + 1] = "left over";
    lk_session_key key;

    (void)state;
    test_random_fail_at(1);
    assert_int_equal(lk_session_id_new(test_env(), ring, id, &key, proof), LK_FAULT);
    test_random_fail_at(0);
    for (size_t i = 0; i < sizeof(id); i++)
        assert_int_equal(id[i], 0);
}

static void ring_for_checking_tokens_reads_no_ids(void **state)
{
    uint8_t proof[LK_SESSION_PROOF_LEN];
    lk_keyring *checks = ring_of(rfc_eddsa, NULL);
    lk_session_key key;

    (void)state;
    assert_int_equal(
        lk_session_id_read(checks, LK_VIEW("AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"), &key, proof),
        LK_FAULT);
    lk_keyring_free(checks);
}

/* Two ids are compared by 64 bits of their keys; among a million, chance makes two alike once in forty
 * million runs. */
static int compare_numbers(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return x < y ? -1 : x > y;
}

/* Symbols of one place are as frequent as chance has it: the sum of squared differences of 64 symbols is 63
 * on average, and over 160 once in ten thousand million tries. */
static void expect_even(const unsigned counts[64], unsigned kinds)
{
    double wanted = (double)IDS / kinds, sum = 0;

    for (unsigned i = 0; i < 64; i++) {
        double difference = (double)counts[i] - (i % (64 / kinds) == 0 ? wanted : 0);

        sum += i % (64 / kinds) == 0 ? difference * difference / wanted : difference;
    }
    assert_true(sum < 160);
}

static void many_ids_never_repeat_and_their_symbols_are_even(void **state)
{
    static unsigned counts[LK_SESSION_ID_LEN][64];
    uint64_t *heads = calloc(IDS, sizeof(*heads));
    unsigned char place[256] = {0};
    char id[LK_SESSION_ID_LEN + 1];

    (void)state;
    assert_non_null(heads);
    for (unsigned i = 0; i < 64; i++)
        place[(unsigned char)alphabet[i]] = (unsigned char)i;
    for (size_t n = 0; n < IDS; n++) {
        uint8_t proof[LK_SESSION_PROOF_LEN];
        lk_session_key key;

        assert_int_equal(lk_session_id_new(test_env(), ring, id, &key, proof), LK_OK);
        memcpy(&heads[n], key.bytes, sizeof(heads[n]));
        for (size_t i = 0; i < LK_SESSION_ID_LEN; i++)
            counts[i][place[(unsigned char)id[i]]]++;
    }
    qsort(heads, IDS, sizeof(*heads), compare_numbers);
    for (size_t n = 1; n < IDS; n++)
        assert_true(heads[n] != heads[n - 1]);
    for (size_t i = 0; i + 1 < LK_SESSION_ID_LEN; i++)
        expect_even(counts[i], 64);
    expect_even(counts[LK_SESSION_ID_LEN - 1], 16); /* four bits of chance, two of nought */
    free(heads);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_id_reads_back_to_the_same_key_and_proof),
        cmocka_unit_test(key_and_proof_are_the_keyed_hash_of_the_text),
        cmocka_unit_test(documented_hash_is_right),
        cmocka_unit_test(id_under_another_root_has_another_key),
        cmocka_unit_test(text_that_is_no_id_is_refused),
        cmocka_unit_test(no_id_is_made_without_randomness),
        cmocka_unit_test(ring_for_checking_tokens_reads_no_ids),
        cmocka_unit_test(many_ids_never_repeat_and_their_symbols_are_even),
    };

    return cmocka_run_group_tests(tests, make_ring, free_ring);
}
