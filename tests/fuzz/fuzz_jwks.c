/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_jwks.c - the key set of a foreign issuer.
 *
 * Input: two bytes, little-endian, which algorithms are allowed; the rest is the text of the set. What is
 * accepted holds no secret and no kid twice, and checks by nothing that is not allowed; jansson is the second
 * reader.
 */
#include "fuzz.h"
#include <jansson.h>
#include <latchkey/keyring.h>
#include <string.h>

static const char *const secrets[] = {"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"};

static void expect_no_secret(const json_t *key)
{
    for (size_t i = 0; i < sizeof(secrets) / sizeof(secrets[0]); i++)
        MUST(json_object_get(key, secrets[i]) == NULL);
}

/* No kid of the set is there twice, in whatever spelling. */
static void expect_own_kid(const json_t *keys, size_t index)
{
    const json_t *kid = json_object_get(json_array_get(keys, index), "kid");

    MUST(kid == NULL || json_is_string(kid));
    for (size_t i = 0; kid != NULL && i < index; i++) {
        const json_t *other = json_object_get(json_array_get(keys, i), "kid");

        MUST(other == NULL || json_string_length(kid) == 0 || !json_equal(kid, other));
    }
}

/* jansson may refuse what is right only because it cannot hold it: then there is nothing to compare with. */
static void expect_by_second_reader(lk_view text)
{
    json_t *set = json_loadb((const char *)text.p, text.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, NULL);
    const json_t *keys = json_object_get(set, "keys");

    if (set != NULL && keys == NULL)
        expect_no_secret(set);
    for (size_t i = 0; i < json_array_size(keys); i++) {
        expect_no_secret(json_array_get(keys, i));
        expect_own_kid(keys, i);
    }
    json_decref(set);
}

static void expect_allowed(const lk_keyring *ring, lk_alg_set allowed)
{
    lk_key_info info;

    for (size_t i = 0; lk_keyring_info(ring, i, &info) == LK_OK; i++) {
        const lk_verifier *v = lk_keyring_verifier(ring, lk_view_of(info.kid));

        MUST((allowed & LK_ALGS_PUBLIC & LK_ALG_BIT(info.alg)) != 0);
        MUST(info.kid[0] == '\0' || (v != NULL && lk_verifier_alg(v) == info.alg));
        MUST(lk_keyring_signer(ring, info.alg) == NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    lk_keyring *ring = NULL;
    lk_note note = {{0}};
    lk_alg_set allowed;
    lk_status status;
    lk_view text;

    if (size < 2)
        return 0;
    allowed = (lk_alg_set)(data[0] | data[1] << 8);
    text = lk_view_make(data + 2, size - 2);
    status = lk_keyring_from_jwks_public(lk_env_system(), text, allowed, &ring, &note);
    MUST(status == LK_OK || (status == LK_REFUSED && ring == NULL && note.text[0] != '\0'));
    if (status == LK_OK) {
        expect_by_second_reader(text);
        expect_allowed(ring, allowed);
    }
    lk_keyring_free(ring);
    return 0;
}
