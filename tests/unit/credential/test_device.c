/* SPDX-License-Identifier: Apache-2.0
 *
 * test_device.c - what a device holds, keys of its own, challenges, and the ids of its sessions.
 */
#include "token_fixture.h"
#include <latchkey/base64url.h>
#include <latchkey/json.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "test_env.h"

#define P256                                                                                                 \
    "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","               \
    "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}"
/* RFC 8037 appendix A.2 */
#define ED25519                                                                                              \
    "{\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\",\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"use\":"    \
    "\"sig\"}"

static char id[LK_DEVICE_ID_LEN + 1], text[LK_DEVICE_TEXT_LEN + 1];
static uint8_t hash[LK_DEVICE_HASH_LEN];

static int make_one(void **state)
{
    if (make_ring(state) != 0)
        return -1;
    assert_int_equal(lk_device_make(test_env(), ring, id, text, hash), LK_OK);
    return 0;
}

static void a_fresh_text_names_its_device_and_hashes_to_what_is_kept(void **state)
{
    uint8_t again[LK_DEVICE_HASH_LEN];
    lk_view named;

    (void)state;
    assert_int_equal(strlen(text), LK_DEVICE_TEXT_LEN);
    assert_int_not_equal(id[0], '-');
    assert_int_equal(lk_device_read(ring, lk_view_of(text), &named, again), LK_OK);
    assert_view(named, id);
    assert_memory_equal(again, hash, sizeof(hash));
}

static void a_text_cut_anywhere_or_longer_is_none(void **state)
{
    uint8_t again[LK_DEVICE_HASH_LEN];
    char longer[LK_DEVICE_TEXT_LEN + 2];
    lk_view named;

    (void)state;
    for (size_t len = 0; len < LK_DEVICE_TEXT_LEN; len++)
        assert_int_equal(lk_device_read(ring, lk_view_make(text, len), &named, again), LK_REFUSED);
    snprintf(longer, sizeof(longer), "%sA", text);
    assert_int_equal(lk_device_read(ring, lk_view_of(longer), &named, again), LK_REFUSED);
}

static void every_character_changed_is_another_secret_or_none(void **state)
{
    (void)state;
    for (size_t i = 0; i < LK_DEVICE_TEXT_LEN; i++) {
        char other[LK_DEVICE_TEXT_LEN + 1];
        uint8_t again[LK_DEVICE_HASH_LEN] = {0};
        lk_view named;
        memcpy(other, text, sizeof(other));
        other[i] = other[i] == 'A' ? 'B' : 'A';
        if (lk_device_read(ring, lk_view_of(other), &named, again) == LK_OK)
            assert_memory_not_equal(again, hash, sizeof(hash));
    }
}

static void a_device_that_is_made_again_keeps_its_id_and_changes_its_secret(void **state)
{
    char other[LK_DEVICE_TEXT_LEN + 1];
    uint8_t again[LK_DEVICE_HASH_LEN];

    (void)state;
    assert_int_equal(lk_device_make_again(test_env(), ring, lk_view_of(id), other, again), LK_OK);
    assert_memory_equal(other, text, 3 + LK_DEVICE_ID_LEN + 1);
    assert_string_not_equal(other, text);
    assert_memory_not_equal(again, hash, sizeof(hash));
}

static void without_randomness_there_is_no_device(void **state)
{
    char other_id[LK_DEVICE_ID_LEN + 1], other[LK_DEVICE_TEXT_LEN + 1];
    uint8_t again[LK_DEVICE_HASH_LEN];

    (void)state;
    for (int n = 1; n <= 2; n++) {
        test_random_fail_at(n);
        assert_int_equal(lk_device_make(test_env(), ring, other_id, other, again), LK_FAULT);
    }
    test_random_fail_at(0);
}

static lk_status read_key(const char *jwk, char *out, size_t cap)
{
    lk_buf buf = lk_buf_over(out, cap);
    lk_note note = {""};
    assert_int_equal(lk_json_check(lk_view_of(jwk), NULL, NULL), LK_OK);
    lk_status status = lk_device_key_read(test_env(), lk_view_of(jwk), &buf, &note);
    assert_true(status == LK_OK ? lk_buf_text(&buf) != NULL : buf.len == 0);
    return status;
}

static void a_public_key_is_kept_in_one_spelling(void **state)
{
    char kept[LK_DEVICE_JWK_MAX + 1];

    (void)state;
    assert_int_equal(read_key(ED25519, kept, sizeof(kept)), LK_OK);
    assert_string_equal(kept, "{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":"
                              "\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}");
    assert_int_equal(read_key(P256, kept, sizeof(kept)), LK_OK);
    assert_int_equal(lk_json_check(lk_view_of(kept), NULL, NULL), LK_OK);
}

static void what_is_no_public_key_of_ours_is_refused(void **state)
{
    static const char *const bad[] = {
        "{}",
        "{\"keys\":[" ED25519 "]}",
        "{\"kty\":\"oct\",\"k\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}",
        /* with its private half: RFC 8037 appendix A.1 */
        "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"d\":\"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A\","
        "\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}",
        /* off its curve */
        "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
        "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a1\"}",
        "{\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"AA\",\"y\":\"AA\"}",
        "{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}",
    };
    char kept[LK_DEVICE_JWK_MAX + 1];

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(read_key(bad[i], kept, sizeof(kept)), LK_REFUSED);
}

static void a_challenge_is_good_for_its_device_and_for_its_time(void **state)
{
    char memory[LK_CHALLENGE_MAX];
    lk_buf challenge = lk_buf_over(memory, sizeof(memory));
    int64_t made_ms;

    (void)state;
    assert_int_equal(lk_challenge_make(test_env(), ring, lk_view_of(id), &challenge), LK_OK);
    lk_view c = lk_buf_view(&challenge);
    assert_int_equal(lk_challenge_check(test_env(), ring, lk_view_of(id), c, &made_ms), LK_OK);
    assert_int_equal(made_ms, lk_now_ms(test_env()));
    assert_int_equal(lk_challenge_check(test_env(), ring, LK_VIEW("device-number-02"), c, &made_ms),
                     LK_REFUSED);
    for (size_t len = 0; len < c.len; len++)
        assert_int_equal(
            lk_challenge_check(test_env(), ring, lk_view_of(id), lk_view_make(memory, len), &made_ms),
            LK_REFUSED);
    for (size_t i = 0; i < c.len; i++) {
        memory[i] ^= 1;
        assert_int_equal(lk_challenge_check(test_env(), ring, lk_view_of(id), c, &made_ms), LK_REFUSED);
        memory[i] ^= 1;
    }
    test_clock_advance_ms(LK_CHALLENGE_LIFE_S * 1000);
    assert_int_equal(lk_challenge_check(test_env(), ring, lk_view_of(id), c, &made_ms), LK_OK);
    test_clock_advance_ms(1);
    assert_int_equal(lk_challenge_check(test_env(), ring, lk_view_of(id), c, &made_ms), LK_STALE);
}

static void a_challenge_for_what_can_be_no_device_is_refused(void **state)
{
    char memory[LK_CHALLENGE_MAX];
    lk_buf challenge = lk_buf_over(memory, sizeof(memory));

    (void)state;
    assert_int_equal(lk_challenge_make(test_env(), ring, LK_VIEW(""), &challenge), LK_REFUSED);
    assert_int_equal(lk_challenge_make(test_env(), ring, LK_VIEW("device number 01"), &challenge),
                     LK_REFUSED);
}

/* What the fixture's ring signs stands for what a device signs: its public key as the device's. */
static void a_signature_is_checked_over_the_challenge_and_nothing_else(void **state)
{
    static const lk_alg algs[] = {LK_ALG_ES256, LK_ALG_EDDSA};
    char *jwks = NULL;

    (void)state;
    assert_int_equal(lk_keyring_jwks(ring, &jwks), LK_OK);
    for (size_t i = 0; i < 2; i++) {
        const lk_signer *signer = lk_keyring_signer(ring, algs[i]);
        uint8_t raw_memory[LK_SIGNATURE_MAX];
        char b64[LK_SIGNATURE_MAX], kept[LK_DEVICE_JWK_MAX + 1];
        lk_buf raw = lk_buf_over(raw_memory, sizeof(raw_memory)), sig = lk_buf_over(b64, sizeof(b64));
        lk_buf kept_buf = lk_buf_over(kept, sizeof(kept));
        lk_json_item keys, one, kid;
        bool found = false;
        assert_int_equal(lk_json_get(lk_view_of(jwks), LK_VIEW("keys"), &keys), LK_OK);
        for (size_t at = 0; !found && lk_json_next(keys.value, &at, &one);)
            found = lk_json_get(one.value, LK_VIEW("kid"), &kid) == LK_OK &&
                    lk_view_equal(lk_view_part(kid.value, 1, kid.value.len - 2), lk_signer_kid(signer));
        assert_true(found);
        assert_int_equal(lk_device_key_read(test_env(), one.value, &kept_buf, NULL), LK_OK);
        assert_int_equal(lk_sign(signer, LK_VIEW("latchkey device session\nc1.abc"), &raw), LK_OK);
        lk_base64url_encode(lk_buf_view(&raw), &sig);
        lk_view key = lk_buf_view(&kept_buf), s = lk_buf_view(&sig);
        assert_int_equal(lk_challenge_signed(test_env(), key, LK_VIEW("c1.abc"), s), LK_OK);
        assert_int_equal(lk_challenge_signed(test_env(), key, LK_VIEW("c1.abd"), s), LK_REFUSED);
        assert_int_equal(
            lk_challenge_signed(test_env(), key, LK_VIEW("c1.abc"), lk_view_part(s, 0, s.len - 2)),
            LK_REFUSED);
        assert_int_equal(lk_challenge_signed(test_env(), key, LK_VIEW("c1.abc"), LK_VIEW("")), LK_REFUSED);
        assert_int_equal(lk_challenge_signed(test_env(), key, LK_VIEW("c1.abc"), LK_VIEW("!!")), LK_REFUSED);
    }
    lk_free(test_env(), jwks);
}

static void session_ids_follow_from_the_device_what_it_holds_and_what_was_before(void **state)
{
    lk_device d = {.issued_ms = 5}, later = {.issued_ms = 6};
    char ids[6][LK_SESSION_ID_LEN + 1];
    lk_session_key key, again;
    uint8_t proof[LK_SESSION_PROOF_LEN];

    (void)state;
    snprintf(d.id, sizeof(d.id), "%s", id);
    snprintf(later.id, sizeof(later.id), "%s", id);
    lk_view t = lk_view_of(text);
    assert_int_equal(lk_device_session_id(ring, &d, t, LK_VIEW(""), ids[0], &key), LK_OK);
    assert_int_equal(lk_device_session_id(ring, &d, t, LK_VIEW("AAAAAAAAAAAAAAAA"), ids[1], &key), LK_OK);
    assert_int_equal(lk_device_session_id(ring, &d, LK_VIEW(""), LK_VIEW(""), ids[2], &key), LK_OK);
    assert_int_equal(lk_device_session_id(ring, &later, t, LK_VIEW(""), ids[3], &key), LK_OK);
    d.id[0] = d.id[0] == 'A' ? 'B' : 'A';
    assert_int_equal(lk_device_session_id(ring, &d, t, LK_VIEW(""), ids[4], &key), LK_OK);
    for (int i = 0; i < 5; i++)
        for (int k = 0; k < i; k++)
            assert_string_not_equal(ids[i], ids[k]);
    assert_int_equal(lk_device_session_id(ring, &d, t, LK_VIEW(""), ids[5], &again), LK_OK);
    assert_string_equal(ids[5], ids[4]);
    assert_int_equal(lk_session_id_read(ring, lk_view_of(ids[5]), &again, proof), LK_OK);
    assert_memory_equal(&again, &key, sizeof(key));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fresh_text_names_its_device_and_hashes_to_what_is_kept),
        cmocka_unit_test(a_text_cut_anywhere_or_longer_is_none),
        cmocka_unit_test(every_character_changed_is_another_secret_or_none),
        cmocka_unit_test(a_device_that_is_made_again_keeps_its_id_and_changes_its_secret),
        cmocka_unit_test(without_randomness_there_is_no_device),
        cmocka_unit_test(a_public_key_is_kept_in_one_spelling),
        cmocka_unit_test(what_is_no_public_key_of_ours_is_refused),
        cmocka_unit_test(a_challenge_is_good_for_its_device_and_for_its_time),
        cmocka_unit_test(a_challenge_for_what_can_be_no_device_is_refused),
        cmocka_unit_test(a_signature_is_checked_over_the_challenge_and_nothing_else),
        cmocka_unit_test(session_ids_follow_from_the_device_what_it_holds_and_what_was_before),
    };
    return cmocka_run_group_tests(tests, make_one, free_ring);
}
