/* SPDX-License-Identifier: Apache-2.0
 *
 * api_key.c - lk_<8 public>_<32 secret>: a key for a program, that proves itself.
 *
 *   public  8 characters   base64url of 6 random bytes: names the key in lists, logs and the accounts
 * database secret  32 characters  base64url of the first 24 bytes of HMAC-SHA256(API key key, "lk_" public)
 *
 * The secret follows from the public part and the root secret, so a forged key is refused by one hash,
 * without any look-up, and nothing that opens anything is kept. That a key was not given back is another
 * question: its session in the store answers it, which is named by a keyed hash of the whole key and of a
 * number (an epoch), so that one key has a session after another. docs/formats/api-key.md
 */
#include "credential/shape.h"
#include "crypto/mac.h"
#include <latchkey/base64url.h>
#include <string.h>

#define SECRET_BYTES 24
#define PUBLIC_BYTES 6
#define PUBLIC_AT 3
#define SECRET_AT (PUBLIC_AT + LK_API_KEY_PUBLIC_LEN + 1)

_Static_assert(LK_BASE64URL_LEN(PUBLIC_BYTES) == LK_API_KEY_PUBLIC_LEN, "the public part has no odd bits");
_Static_assert(LK_BASE64URL_LEN(SECRET_BYTES) == LK_API_KEY_SECRET_LEN, "nor has the secret");
_Static_assert(SECRET_AT + LK_API_KEY_SECRET_LEN == LK_API_KEY_LEN, "and they are all there is");

bool lk__is_shaped_api_key(lk_view text)
{
    return text.len == LK_API_KEY_LEN && lk_view_equal(lk_view_part(text, 0, PUBLIC_AT), LK_VIEW("lk_")) &&
           text.p[SECRET_AT - 1] == '_' && lk_is_base64url(text);
}

bool lk_api_key_is_public(lk_view text)
{
    return text.len == LK_API_KEY_PUBLIC_LEN && lk_is_base64url(text);
}

lk_status lk_api_key_secret(const lk_keyring *ring, lk_view public, lk_secret *out)
{
    const lk_mac *mac = lk_keyring_mac(ring, LK_PURPOSE_API_KEY);
    const lk_view parts[] = {LK_VIEW("lk_"), public};
    lk_buf text = lk_buf_over(out->bytes, sizeof(out->bytes));
    uint8_t hash[LK_MAC_LEN];
    lk_status status = LK_FAULT;

    out->len = 0;
    if (!lk_api_key_is_public(public))
        return LK_REFUSED;
    if (mac != NULL)
        status = lk_mac_run(mac, parts, 2, hash);
    if (status == LK_OK) {
        lk_base64url_encode(lk_view_make(hash, SECRET_BYTES), &text);
        out->len = (uint8_t)text.len;
    }
    lk_wipe(hash, sizeof(hash));
    return status == LK_OK ? LK_OK : LK_FAULT;
}

/* Never with a '-' in front, which a command line would take for an option. */
static lk_status make_public(const lk_env *env, lk_buf *out)
{
    uint8_t random[PUBLIC_BYTES];
    lk_buf before = *out;

    do {
        *out = before;
        if (lk_random(env, random, sizeof(random)) != LK_OK)
            return LK_FAULT;
        lk_base64url_encode(lk_view_make(random, sizeof(random)), out);
    } while (out->p[before.len] == '-');
    return LK_OK;
}

lk_status lk_api_key_make(const lk_env *env, const lk_keyring *ring, char out[LK_API_KEY_LEN + 1])
{
    lk_buf text = lk_buf_over(out, LK_API_KEY_LEN + 1);
    lk_secret secret = {0};
    lk_status status;

    lk_buf_add_text(&text, "lk_");
    status = make_public(env, &text);
    if (status == LK_OK)
        status = lk_api_key_secret(ring, lk_view_part(lk_buf_view(&text), PUBLIC_AT, LK_API_KEY_PUBLIC_LEN),
                                   &secret);
    lk_buf_add_byte(&text, '_');
    lk_buf_add(&text, lk_secret_view(&secret));
    if (status != LK_OK || lk_buf_text(&text) == NULL) {
        lk_wipe(out, LK_API_KEY_LEN + 1);
        status = LK_FAULT;
    }
    lk_secret_wipe(&secret);
    return status;
}

lk_status lk_api_key_prove(const lk_keyring *ring, lk_view text, lk_view *public)
{
    lk_secret secret = {0};
    lk_status status;

    *public = (lk_view){0};
    if (!lk__is_shaped_api_key(text))
        return LK_REFUSED;
    status = lk_api_key_secret(ring, lk_view_part(text, PUBLIC_AT, LK_API_KEY_PUBLIC_LEN), &secret);
    if (status == LK_OK &&
        !lk_secret_equal(lk_secret_view(&secret), lk_view_part(text, SECRET_AT, LK_API_KEY_SECRET_LEN)))
        status = LK_REFUSED;
    if (status == LK_OK)
        *public = lk_view_part(text, PUBLIC_AT, LK_API_KEY_PUBLIC_LEN);
    lk_secret_wipe(&secret);
    return status;
}

lk_status lk_api_key_session(const lk_keyring *ring, lk_view public, int64_t epoch, lk_session_key *key,
                             uint8_t proof[LK_SESSION_PROOF_LEN])
{
    const lk_mac *mac = lk_keyring_mac(ring, LK_PURPOSE_SESSION_ID);
    uint8_t hash[LK_MAC_LEN], number[8];
    lk_secret secret = {0};
    lk_status status = lk_api_key_secret(ring, public, &secret);

    for (unsigned i = 0; i < sizeof(number); i++)
        number[i] = (uint8_t)((uint64_t)epoch >> (8 * i));
    /* 44 + 8 bytes: never those of a session id, which are 43. */
    const lk_view parts[] = {LK_VIEW("lk_"), public, LK_VIEW("_"), lk_secret_view(&secret),
                             lk_view_make(number, sizeof(number))};
    if (status == LK_OK)
        status = mac == NULL ? LK_FAULT : lk_mac_run(mac, parts, 5, hash);
    if (status == LK_OK) {
        memcpy(key->bytes, hash, LK_SESSION_KEY_LEN);
        memcpy(proof, hash + LK_SESSION_KEY_LEN, LK_SESSION_PROOF_LEN);
    }
    lk_wipe(hash, sizeof(hash));
    lk_secret_wipe(&secret);
    return status;
}
