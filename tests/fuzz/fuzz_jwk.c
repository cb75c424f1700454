/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_jwk.c - one key of a stranger, as JSON.
 *
 * Input: any bytes, taken as a JWK. What is accepted is written as we publish it, and that is accepted again
 * as the same key; a thumbprint does not depend on how a key is written; nothing secret passes for public.
 */
#include "fuzz.h"
#include <latchkey/base64url.h>
#include <latchkey/json.h>
#include <latchkey/keyring.h>
#include <string.h>

static bool has_secret(lk_view jwk)
{
    static const char *const names[] = {"d", "p", "q", "dp", "dq", "qi", "oth", "k", "priv"};
    lk_json_item item;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (lk_json_get(jwk, lk_view_of(names[i]), &item) == LK_OK)
            return true;
    }
    return false;
}

static lk_status thumbprint(lk_view jwk, char out[LK_THUMBPRINT_LEN])
{
    lk_buf text = lk_buf_over(out, LK_THUMBPRINT_LEN);
    lk_status status = lk_jwk_thumbprint(jwk, &text, NULL);

    MUST(status == LK_OK || status == LK_REFUSED);
    MUST(text.len == (status == LK_OK ? LK_THUMBPRINT_LEN : 0));
    MUST(lk_is_base64url(lk_buf_view(&text)));
    return status;
}

/* The set that RING publishes, read again, gives the same set; and the key in it has the thumbprint PRINT. */
static void publish_and_read(const lk_keyring *ring, const char print[LK_THUMBPRINT_LEN])
{
    char *json = NULL, *again = NULL, theirs[LK_THUMBPRINT_LEN];
    lk_keyring *second = NULL;
    lk_json_item keys, key;
    size_t at = 0;

    MUST(lk_keyring_jwks(ring, &json) == LK_OK);
    MUST(lk_json_check(lk_view_of(json), NULL, NULL) == LK_OK);
    MUST(lk_json_get(lk_view_of(json), LK_VIEW("keys"), &keys) == LK_OK);
    if (lk_json_next(keys.value, &at, &key)) {
        MUST(!has_secret(key.value));
        MUST(thumbprint(key.value, theirs) == LK_OK && memcmp(print, theirs, LK_THUMBPRINT_LEN) == 0);
        MUST(lk_keyring_from_jwks_public(lk_env_system(), lk_view_of(json), LK_ALGS_PUBLIC, &second, NULL) ==
             LK_OK);
        MUST(lk_keyring_jwks(second, &again) == LK_OK && strcmp(json, again) == 0);
    }
    lk_keyring_free(second);
    lk_free(lk_env_system(), json);
    lk_free(lk_env_system(), again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    lk_view jwk = lk_view_make(data, size);
    lk_keyring *ring = NULL, *public_ring = NULL;
    char print[LK_THUMBPRINT_LEN];
    lk_note note = {{0}};
    lk_status has_print = thumbprint(jwk, print);
    lk_status status = lk_keyring_from_jwk(lk_env_system(), jwk, &ring, &note);
    lk_status as_public =
        lk_keyring_from_jwks_public(lk_env_system(), jwk, LK_ALGS_PUBLIC, &public_ring, NULL);

    MUST(status == LK_OK || (status == LK_REFUSED && ring == NULL && note.text[0] != '\0'));
    MUST(as_public == LK_OK || (as_public == LK_REFUSED && public_ring == NULL));
    if (as_public == LK_OK)
        MUST(status == LK_OK && !has_secret(jwk));
    if (status == LK_OK && has_print == LK_OK)
        publish_and_read(ring, print);
    lk_keyring_free(ring);
    lk_keyring_free(public_ring);
    return 0;
}
