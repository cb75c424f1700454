/* SPDX-License-Identifier: Apache-2.0
 *
 * test_signatures.c - signing and checking with each algorithm: published vectors, every wrong byte, and the
 * forms of a signature that must not pass.
 */
#include "key_fixture.h"
#include <latchkey/base64url.h>
#include <openssl/err.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "test_env.h"

#define TEXT_MAX 2048

/* One published token taken apart: a ring, what was signed, the signature. */
typedef struct sample {
    lk_keyring *ring;
    const lk_verifier *verifier;
    lk_view message;
    uint8_t signature[LK_SIGNATURE_MAX];
    size_t len;
} sample;

static sample sample_of(const char *jwk, const char *token)
{
    const char *dot = strrchr(token, '.');
    sample s = {.ring = ring_of(jwk, NULL)};

    assert_non_null(s.ring);
    s.verifier = lk_keyring_verifier(s.ring, (lk_view){0});
    assert_non_null(s.verifier);
    s.message = lk_view_make(token, (size_t)(dot - token));
    s.len = bytes_of_text(dot + 1, s.signature, sizeof(s.signature));
    return s;
}

static lk_status verify(const sample *s)
{
    return lk_verify(s->verifier, s->message, lk_view_make(s->signature, s->len));
}

static const struct {
    const char *const *jwk, *const *token;
    lk_alg alg;
} published[] = {
    {&rfc_hs256, &rfc_hs256_token, LK_ALG_HS256},
    {&rfc_rs256, &rfc_rs256_token, LK_ALG_RS256},
    {&rfc_es256, &rfc_es256_token, LK_ALG_ES256},
    {&rfc_eddsa, &rfc_eddsa_token, LK_ALG_EDDSA},
};

#define PUBLISHED (sizeof(published) / sizeof(published[0]))

static void signatures_of_the_standards_are_right(void **state)
{
    (void)state;
    for (size_t i = 0; i < PUBLISHED; i++) {
        sample s = sample_of(*published[i].jwk, *published[i].token);

        assert_int_equal(lk_verifier_alg(s.verifier), published[i].alg);
        assert_int_equal(verify(&s), LK_OK);
        lk_keyring_free(s.ring);
    }
}

static void signature_with_any_bit_changed_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < PUBLISHED; i++) {
        sample s = sample_of(*published[i].jwk, *published[i].token);

        for (size_t bit = 0; bit<s.len * 8; bit += s.len> 64 ? 7 : 1) {
            s.signature[bit / 8] ^= (uint8_t)(1U << bit % 8);
            assert_int_equal(verify(&s), LK_REFUSED);
            s.signature[bit / 8] ^= (uint8_t)(1U << bit % 8);
        }
        assert_int_equal(verify(&s), LK_OK);
        lk_keyring_free(s.ring);
    }
}

static void message_with_any_byte_changed_is_refused(void **state)
{
    uint8_t copy[TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < PUBLISHED; i++) {
        sample s = sample_of(*published[i].jwk, *published[i].token);

        memcpy(copy, s.message.p, s.message.len);
        s.message.p = copy;
        for (size_t at = 0; at < s.message.len; at++) {
            copy[at] ^= 1;
            assert_int_equal(verify(&s), LK_REFUSED);
            copy[at] ^= 1;
        }
        assert_int_equal(verify(&s), LK_OK);
        lk_keyring_free(s.ring);
    }
}

static void signature_of_any_other_length_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < PUBLISHED; i++) {
        sample s = sample_of(*published[i].jwk, *published[i].token);
        size_t right = s.len;

        for (s.len = 0; s.len <= LK_SIGNATURE_MAX; s.len += s.len < 80 ? 1 : 13) {
            if (s.len != right)
                assert_int_equal(verify(&s), LK_REFUSED);
        }
        s.len = right;
        assert_int_equal(verify(&s), LK_OK);
        lk_keyring_free(s.ring);
    }
}

/* --- ECDSA -----------------------------------------------------------------------------------------------
 */

static const uint8_t p256_order[32] = {0xff, 0xff, 0xff, 0xff, 0x00, 0x00, 0x00, 0x00, 0xff, 0xff, 0xff,
                                       0xff, 0xff, 0xff, 0xff, 0xff, 0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17,
                                       0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25, 0x51};

/* r and s of nought, of n, of n-1, of all ones: each alone and both together (CVE-2022-21449). */
static void ecdsa_numbers_out_of_range_are_refused(void **state)
{
    sample s = sample_of(rfc_es256, rfc_es256_token);
    uint8_t edges[4][32], right[64];

    (void)state;
    memcpy(right, s.signature, sizeof(right));
    memset(edges[0], 0, 32);
    memcpy(edges[1], p256_order, 32);
    memcpy(edges[2], p256_order, 32);
    edges[2][31]--;
    memset(edges[3], 0xff, 32);
    for (size_t r = 0; r <= 4; r++) {
        for (size_t t = 0; t <= 4; t++) {
            memcpy(s.signature, r < 4 ? edges[r] : right, 32);
            memcpy(s.signature + 32, t < 4 ? edges[t] : right + 32, 32);
            assert_int_equal(verify(&s), r == 4 && t == 4 ? LK_OK : LK_REFUSED);
        }
    }
    lk_keyring_free(s.ring);
}

/* The form that X.509 and most libraries use. */
static void ecdsa_signature_in_der_is_refused(void **state)
{
    sample s = sample_of(rfc_es256, rfc_es256_token);
    uint8_t der[80];
    lk_buf b = lk_buf_over(der, sizeof(der));

    (void)state;
    lk_buf_add(
        &b, lk_view_make("\x30\x45\x02\x20", 4)); /* r of this signature has its top bit clear, s has not */
    lk_buf_add(&b, lk_view_make(s.signature, 32));
    lk_buf_add(&b, lk_view_make("\x02\x21\x00", 3));
    lk_buf_add(&b, lk_view_make(s.signature + 32, 32));
    assert_int_equal(lk_verify(s.verifier, s.message, lk_buf_view(&b)), LK_REFUSED);
    assert_int_equal(lk_verify(s.verifier, s.message, lk_view_make(der, 64)), LK_REFUSED);
    assert_int_equal(verify(&s), LK_OK);
    lk_keyring_free(s.ring);
}

/* --- Ed25519 ---------------------------------------------------------------------------------------------
 */

/* S + L is the same number to anyone who reduces it: a second signature without the key (RFC 8032
 * section 5.1.7). */
static void eddsa_signature_with_s_not_reduced_is_refused(void **state)
{
    static const uint8_t group_order[32] = {0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7,
                                            0xa2, 0xde, 0xf9, 0xde, 0x14, 0,    0,    0,    0,    0,    0,
                                            0,    0,    0,    0,    0,    0,    0,    0,    0,    0x10};
    sample s = sample_of(rfc_eddsa, rfc_eddsa_token);
    unsigned carry = 0;

    (void)state;
    assert_int_equal(verify(&s), LK_OK);
    for (size_t i = 0; i < 32; i++) {
        carry += (unsigned)s.signature[32 + i] + group_order[i];
        s.signature[32 + i] = (uint8_t)carry;
        carry >>= 8;
    }
    assert_int_equal(verify(&s), LK_REFUSED);
    lk_keyring_free(s.ring);
}

/* --- Signing ---------------------------------------------------------------------------------------------
 */

static void every_algorithm_verifies_what_it_signs_and_no_other_key_does(void **state)
{
    lk_keyring *a = full_ring(), *b = full_ring();

    (void)state;
    for (lk_alg alg = 0; alg < LK_ALG_COUNT; alg++) {
        const lk_signer *signer = lk_keyring_signer(a, alg);
        uint8_t memory[LK_SIGNATURE_MAX];
        lk_buf out = lk_buf_over(memory, sizeof(memory));

        assert_non_null(signer);
        assert_int_equal(lk_signer_alg(signer), alg);
        assert_int_equal(lk_sign(signer, LK_VIEW("a message"), &out), LK_OK);
        assert_int_equal(
            lk_verify(lk_keyring_verifier(a, lk_signer_kid(signer)), LK_VIEW("a message"), lk_buf_view(&out)),
            LK_OK);
        for (lk_alg other = 0; other < LK_ALG_COUNT; other++) {
            const lk_verifier *foreign = lk_keyring_verifier(b, lk_signer_kid(lk_keyring_signer(b, other)));

            assert_int_equal(lk_verify(foreign, LK_VIEW("a message"), lk_buf_view(&out)), LK_REFUSED);
        }
    }
    lk_keyring_free(a);
    lk_keyring_free(b);
}

static void signature_that_does_not_fit_is_full_and_leaves_nothing(void **state)
{
    lk_keyring *ring = full_ring();
    uint8_t memory[31];

    (void)state;
    for (lk_alg alg = 0; alg < LK_ALG_COUNT; alg++) {
        lk_buf out = lk_buf_over(memory, sizeof(memory));

        assert_int_equal(lk_sign(lk_keyring_signer(ring, alg), LK_VIEW("m"), &out), LK_FULL);
        assert_int_equal(out.len, 0);
    }
    lk_keyring_free(ring);
}

/* nginx reports what a library left in OpenSSL's queue as an error of the next TLS connection. */
static void refused_signature_leaves_no_openssl_error_behind(void **state)
{
    (void)state;
    for (size_t i = 0; i < PUBLISHED; i++) {
        sample s = sample_of(*published[i].jwk, *published[i].token);

        s.signature[s.len - 1] ^= 1;
        assert_int_equal(verify(&s), LK_REFUSED);
        assert_int_equal(ERR_peek_error(), 0);
        lk_keyring_free(s.ring);
    }
}

static void checking_by_hmac_and_eddsa_allocates_nothing(void **state)
{
    sample hs = sample_of(rfc_hs256, rfc_hs256_token), ed = sample_of(rfc_eddsa, rfc_eddsa_token);

    (void)state;
    test_alloc_fail_at(1);
    assert_int_equal(verify(&hs), LK_OK);
    assert_int_equal(verify(&ed), LK_OK);
    assert_false(test_alloc_failed());
    test_alloc_fail_at(0);
    lk_keyring_free(hs.ring);
    lk_keyring_free(ed.ring);
}

/* --- Threads ---------------------------------------------------------------------------------------------
 */

#define THREADS 12 /* more than a key keeps contexts for */
#define ROUNDS 60

typedef struct job {
    sample right, wrong;
    int mistakes;
} job;

static void *check_often(void *context)
{
    job *j = context;

    for (int i = 0; i < ROUNDS; i++)
        j->mistakes += (verify(&j->right) != LK_OK) + (verify(&j->wrong) != LK_REFUSED);
    return NULL;
}

static void one_verifier_serves_many_threads_at_once(void **state)
{
    (void)state;
    for (size_t i = 0; i < PUBLISHED; i++) {
        sample s = sample_of(*published[i].jwk, *published[i].token);
        pthread_t threads[THREADS];
        job jobs[THREADS];

        for (size_t t = 0; t < THREADS; t++) {
            jobs[t] = (job){.right = s, .wrong = s};
            jobs[t].wrong.signature[t] ^= 0x10;
            assert_int_equal(pthread_create(&threads[t], NULL, check_often, &jobs[t]), 0);
        }
        for (size_t t = 0; t < THREADS; t++) {
            assert_int_equal(pthread_join(threads[t], NULL), 0);
            assert_int_equal(jobs[t].mistakes, 0);
        }
        lk_keyring_free(s.ring);
    }
}

static void algorithm_names_are_exact_and_none_is_not_one(void **state)
{
    static const char *const wrong[] = {"none",   "None", "NONE",    "nOnE", "hs256",
                                        "HS256 ", "",     "Ed25519", "RS1",  "PS"};
    lk_alg alg;

    (void)state;
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_equal(lk_alg_of(lk_view_of(wrong[i]), &alg), LK_MISS);
    for (lk_alg a = 0; a < LK_ALG_COUNT; a++) {
        assert_int_equal(lk_alg_of(lk_view_of(lk_alg_name(a)), &alg), LK_OK);
        assert_int_equal(alg, a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signatures_of_the_standards_are_right),
        cmocka_unit_test(signature_with_any_bit_changed_is_refused),
        cmocka_unit_test(message_with_any_byte_changed_is_refused),
        cmocka_unit_test(signature_of_any_other_length_is_refused),
        cmocka_unit_test(ecdsa_numbers_out_of_range_are_refused),
        cmocka_unit_test(ecdsa_signature_in_der_is_refused),
        cmocka_unit_test(eddsa_signature_with_s_not_reduced_is_refused),
        cmocka_unit_test(every_algorithm_verifies_what_it_signs_and_no_other_key_does),
        cmocka_unit_test(signature_that_does_not_fit_is_full_and_leaves_nothing),
        cmocka_unit_test(refused_signature_leaves_no_openssl_error_behind),
        cmocka_unit_test(checking_by_hmac_and_eddsa_allocates_nothing),
        cmocka_unit_test(one_verifier_serves_many_threads_at_once),
        cmocka_unit_test(algorithm_names_are_exact_and_none_is_not_one),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
