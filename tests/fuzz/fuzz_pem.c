/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_pem.c - a key file in PEM.
 *
 * Input: a byte that chooses the algorithm asked for (beyond the last: none), then the text. What is turned
 * into a JWK is one by our own reader, and the same key each time; a private key never checks.
 */
#include "fuzz.h"
#include <latchkey/json.h>
#include <latchkey/keyring.h>
#include <string.h>

static bool has_member(const char *json, const char *name)
{
    lk_json_item item;

    return lk_json_get(lk_view_of(json), lk_view_of(name), &item) == LK_OK;
}

static void expect_key(const char *json, lk_view pem, lk_alg alg)
{
    char memory[LK_THUMBPRINT_LEN];
    lk_buf print = lk_buf_over(memory, sizeof(memory));
    lk_keyring *from_text = NULL, *from_jwk = NULL;
    lk_status status;

    MUST(lk_json_check(lk_view_of(json), NULL, NULL) == LK_OK);
    MUST(lk_jwk_thumbprint(lk_view_of(json), &print, NULL) == LK_OK);
    status = lk_keyring_from_text(lk_env_system(), pem, alg, &from_text, NULL);
    if (has_member(json, "d") || !has_member(json, "alg"))
        MUST(status == LK_REFUSED);
    else
        MUST(status == lk_keyring_from_jwk(lk_env_system(), lk_view_of(json), &from_jwk, NULL));
    lk_keyring_free(from_text);
    lk_keyring_free(from_jwk);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    lk_note note = {{0}};
    char *json = NULL;
    lk_status status;
    lk_view pem;
    lk_alg alg;

    if (size < 1)
        return 0;
    alg = data[0] < LK_ALG_COUNT ? (lk_alg)data[0] : LK_ALG_COUNT;
    pem = lk_view_make(data + 1, size - 1);
    status = lk_jwk_from_pem(lk_env_system(), pem, alg, &json, &note);
    MUST((status == LK_OK) == (json != NULL));
    MUST(status == LK_OK || (status == LK_REFUSED && note.text[0] != '\0'));
    if (status == LK_OK && lk_is_pem(pem))
        expect_key(json, pem, alg);
    lk_free(lk_env_system(), json);
    return 0;
}
