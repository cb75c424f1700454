/* SPDX-License-Identifier: Apache-2.0
 *
 * test_dpop_keys.c - keys of proofs that are kept open: they spare the opening, vouch for nothing else, and
 * are never more than their places.
 */
#include "token_fixture.h"
#include <latchkey/json.h>
#include <latchkey/proof.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "test_env.h"

#define TOKEN "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU" /* RFC 9449 section 7.1 */
#define CLAIMS                                                                                               \
    "{\"htm\":\"GET\",\"htu\":\"https://shop.example/\",\"iat\":1800000000,\"jti\":\"1\","                   \
    "\"ath\":\"fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo\"}"

static lk_dpop_keys *keys;
static char jwk[512], jkt[LK_JKT_LEN + 1];

/* The members of the public JWK of the active EdDSA key, without the last bracket. */
static void read_key(void)
{
    lk_view kid = lk_signer_kid(lk_keyring_signer(ring, LK_ALG_EDDSA)), found = {0};
    lk_json_item all, key, item;
    size_t at = 0;
    char *json;
    lk_buf text = lk_buf_over(jkt, sizeof(jkt));

    assert_int_equal(lk_keyring_jwks(ring, &json), LK_OK);
    assert_int_equal(lk_json_get(lk_view_of(json), LK_VIEW("keys"), &all), LK_OK);
    while (lk_json_next(all.value, &at, &key)) {
        assert_int_equal(lk_json_get(key.value, LK_VIEW("kid"), &item), LK_OK);
        if (lk_view_equal(lk_view_part(item.value, 1, item.value.len - 2), kid))
            found = key.value;
    }
    (void)snprintf(jwk, sizeof(jwk), "%.*s", (int)found.len - 1, (const char *)found.p);
    assert_int_equal(lk_jwk_thumbprint(found, &text, NULL), LK_OK);
    assert_non_null(lk_buf_text(&text));
    free(json);
}

static int open_keys(void **state)
{
    (void)state;
    read_key();
    return lk_dpop_keys_open(test_env(), &keys) == LK_OK ? 0 : -1;
}

static int close_keys(void **state)
{
    (void)state;
    lk_dpop_keys_close(keys);
    return 0;
}

/* A proof whose jwk is the key, with MORE in it, under the algorithm ALG. */
static lk_view proof_of(const char *alg, const char *more)
{
    char header[1024];

    (void)snprintf(header, sizeof(header), "{\"typ\":\"dpop+jwt\",\"alg\":\"%s\",\"jwk\":%s%s}}", alg, jwk,
                   more);
    return craft(LK_ALG_EDDSA, header, CLAIMS);
}

/* The same key in another spelling each time: other bytes, so it is opened anew. */
static lk_view proof_number(int n)
{
    char more[64];

    (void)snprintf(more, sizeof(more), ",\"number\":%d", n);
    return proof_of("EdDSA", more);
}

static lk_dpop_expect expected(lk_view token)
{
    return (lk_dpop_expect){
        .about = {LK_VIEW("GET"), LK_VIEW("https"), LK_VIEW("shop.example"), LK_VIEW("/")},
        .token = token,
        .jkt = lk_view_of(jkt),
        .now_s = NOW,
        .back_s = 60,
        .ahead_s = 5,
        .keys = keys};
}

static lk_status check(lk_view proof, const lk_dpop_expect *e)
{
    uint8_t memory[LK_DPOP_MAX];
    lk_buf scratch = lk_buf_over(memory, sizeof(memory));
    lk_dpop out;
    lk_reason why;

    return lk_dpop_check(test_env(), proof, e, &scratch, &out, &why, NULL);
}

/* Is the key of PROOF open already? Then nothing is allocated for its check. */
static bool is_kept(lk_view proof)
{
    lk_dpop_expect e = expected(LK_VIEW(TOKEN));

    test_alloc_fail_at(1);
    lk_status status = check(proof, &e);
    bool failed = test_alloc_failed();
    test_alloc_fail_at(0);
    assert_int_equal(status, failed ? LK_FAULT : LK_OK);
    return !failed;
}

static void key_that_proved_its_token_is_not_opened_again(void **state)
{
    lk_dpop_expect e = expected(LK_VIEW(TOKEN));

    (void)state;
    assert_false(is_kept(proof_of("EdDSA", "")));
    assert_int_equal(check(proof_of("EdDSA", ""), &e), LK_OK);
    assert_true(is_kept(proof_of("EdDSA", "")));
}

static void key_of_a_login_or_of_a_bad_proof_is_not_kept(void **state)
{
    lk_dpop_expect login = expected((lk_view){0}), any = expected(LK_VIEW(TOKEN)),
                   e = expected(LK_VIEW(TOKEN));
    char text[2048];
    lk_view proof;

    (void)state;
    assert_int_equal(check(proof_of("EdDSA", ""), &login), LK_OK);
    any.jkt = (lk_view){0};
    assert_int_equal(check(proof_of("EdDSA", ""), &any), LK_OK);
    proof = proof_of("EdDSA", "");
    memcpy(text, proof.p, proof.len);
    text[proof.len - 5] = text[proof.len - 5] == 'A' ? 'B' : 'A';
    assert_int_equal(check(lk_view_make(text, proof.len), &e), LK_REFUSED);
    assert_false(is_kept(proof_of("EdDSA", "")));
}

static void kept_key_vouches_for_nothing_but_itself(void **state)
{
    lk_dpop_expect e = expected(LK_VIEW(TOKEN)), other = e;
    char text[2048];
    lk_view proof = proof_of("EdDSA", "");

    (void)state;
    assert_int_equal(check(proof, &e), LK_OK);
    memcpy(text, proof.p, proof.len);
    text[proof.len - 5] = text[proof.len - 5] == 'A' ? 'B' : 'A';
    assert_int_equal(check(lk_view_make(text, proof.len), &e), LK_REFUSED);
    assert_int_equal(check(proof_of("ES256", ""), &e), LK_REFUSED);
    assert_int_equal(check(proof_of("EdDSA", ",\"d\":\"AAAA\""), &e), LK_REFUSED);
    assert_int_equal(check(proof_of("EdDSA", ",\"key_ops\":[\"sign\"]"), &e), LK_REFUSED);
    other.jkt = LK_VIEW("AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");
    assert_int_equal(check(proof_of("EdDSA", ""), &other), LK_REFUSED);
    assert_int_equal(check(proof_of("EdDSA", ""), &e), LK_OK);
}

static void keys_beyond_the_places_push_out_those_used_longest_ago(void **state)
{
    lk_dpop_expect e = expected(LK_VIEW(TOKEN));
    int live = 0;

    (void)state;
    for (int i = 0; i < LK_DPOP_KEYS; i++)
        assert_int_equal(check(proof_number(i), &e), LK_OK);
    live = test_alloc_live();
    assert_true(is_kept(proof_number(0)));
    for (int i = LK_DPOP_KEYS; i < LK_DPOP_KEYS + 40; i++)
        assert_int_equal(check(proof_number(i), &e), LK_OK);
    assert_int_equal(test_alloc_live(), live);
    assert_true(is_kept(proof_number(0))); /* it was used meanwhile */
    assert_true(is_kept(proof_number(LK_DPOP_KEYS + 39)));
    assert_true(is_kept(proof_number(41)));
    assert_false(is_kept(proof_number(1)));
    assert_false(is_kept(proof_number(40)));
}

#define THREADS 4
#define SPELLINGS (LK_DPOP_KEYS + 30)
static char texts[SPELLINGS][1024];

static void *check_them_all(void *from)
{
    lk_dpop_expect e = expected(LK_VIEW(TOKEN));
    uintptr_t bad = 0;

    e.keys = keys;
    for (int i = 0; i < SPELLINGS; i++) {
        uint8_t memory[LK_DPOP_MAX];
        lk_buf scratch = lk_buf_over(memory, sizeof(memory));
        int at = (i * 7 + (int)(uintptr_t)from) % SPELLINGS;
        lk_dpop out;
        lk_reason why;

        bad += lk_dpop_check(lk_env_system(), lk_view_of(texts[at]), &e, &scratch, &out, &why, NULL) != LK_OK;
    }
    return (void *)bad; /* cmocka's checks are for the first thread alone */
}

static void threads_that_push_out_each_others_keys_are_all_served(void **state)
{
    pthread_t threads[THREADS];

    (void)state;
    lk_dpop_keys_close(keys);
    assert_int_equal(lk_dpop_keys_open(lk_env_system(), &keys), LK_OK);
    for (int i = 0; i < SPELLINGS; i++) {
        lk_view proof = proof_number(i);
        (void)snprintf(texts[i], sizeof(texts[i]), "%.*s", (int)proof.len, (const char *)proof.p);
    }
    for (uintptr_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, check_them_all, (void *)(i * 50)), 0);
    for (int i = 0; i < THREADS; i++) {
        void *bad = NULL;
        assert_int_equal(pthread_join(threads[i], &bad), 0);
        assert_ptr_equal(bad, NULL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(key_that_proved_its_token_is_not_opened_again, open_keys, close_keys),
        cmocka_unit_test_setup_teardown(key_of_a_login_or_of_a_bad_proof_is_not_kept, open_keys, close_keys),
        cmocka_unit_test_setup_teardown(kept_key_vouches_for_nothing_but_itself, open_keys, close_keys),
        cmocka_unit_test_setup_teardown(keys_beyond_the_places_push_out_those_used_longest_ago, open_keys,
                                        close_keys),
        cmocka_unit_test_setup_teardown(threads_that_push_out_each_others_keys_are_all_served, open_keys,
                                        close_keys),
    };

    return cmocka_run_group_tests(tests, make_ring, free_ring);
}
