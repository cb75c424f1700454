/* SPDX-License-Identifier: Apache-2.0
 *
 * device.c - d1.<device id>.<secret>: what a device holds that stays logged in; and the challenge for one
 * that has a key of its own instead. docs/formats/device.md
 *
 *   device id  16 characters  base64url of 12 random bytes: names the device in lists, logs and cut-offs
 *   secret     43 characters  base64url of 32 random bytes
 *
 * Of the text HMAC-SHA256(device key, "secret" id text) is kept: a dump of the accounts opens nothing.
 */
#include "crypto/mac.h"
#include <latchkey/base64url.h>
#include <latchkey/credential.h>
#include <latchkey/json.h>
#include <string.h>

enum {
    ID_BYTES = 12,
    SECRET_BYTES = 32,
    NONCE_BYTES = 12,
    ID_AT = 3,
    SECRET_AT = ID_AT + LK_DEVICE_ID_LEN + 1
};

_Static_assert(LK_BASE64URL_LEN(ID_BYTES) == LK_DEVICE_ID_LEN, "an id has no odd bits");
_Static_assert(LK_BASE64URL_LEN(SECRET_BYTES) == LK_DEVICE_SECRET_LEN, "a secret is 32 bytes");
_Static_assert(LK_DEVICE_HASH_LEN == LK_MAC_LEN, "the hash is a whole one");

/* Each use has its own first part, and every part but the last a fixed length or an end of its own. */
static lk_status hash(const lk_keyring *ring, const char *use, lk_view a, lk_view b, uint8_t out[LK_MAC_LEN])
{
    const lk_mac *mac = lk_keyring_mac(ring, LK_PURPOSE_DEVICE);
    const lk_view parts[] = {lk_view_of(use), LK_VIEW("\n"), a, LK_VIEW("\n"), b};
    return mac == NULL ? LK_FAULT : lk_mac_run(mac, parts, 5, out);
}

lk_status lk_device_make_again(const lk_env *env, const lk_keyring *ring, lk_view id,
                               char text[LK_DEVICE_TEXT_LEN + 1], uint8_t out[LK_DEVICE_HASH_LEN])
{
    uint8_t random[SECRET_BYTES];
    lk_buf buf = lk_buf_over(text, LK_DEVICE_TEXT_LEN + 1);
    lk_status status = lk_random(env, random, sizeof(random));
    if (status == LK_OK) {
        lk_buf_add_text(&buf, "d1.");
        lk_buf_add(&buf, id);
        lk_buf_add_byte(&buf, '.');
        lk_base64url_encode(lk_view_make(random, sizeof(random)), &buf);
        if (lk_buf_text(&buf) == NULL)
            status = LK_FAULT;
    }
    if (status == LK_OK)
        status = hash(ring, "secret", id, lk_buf_view(&buf), out);
    if (status != LK_OK)
        lk_wipe(text, LK_DEVICE_TEXT_LEN + 1);
    lk_wipe(random, sizeof(random));
    return status == LK_OK ? LK_OK : LK_FAULT;
}

/* Never with a '-' in front, which a command line would take for an option. */
static lk_status make_id(const lk_env *env, char id[LK_DEVICE_ID_LEN + 1])
{
    uint8_t random[ID_BYTES];
    do {
        lk_buf buf = lk_buf_over(id, LK_DEVICE_ID_LEN + 1);
        if (lk_random(env, random, sizeof(random)) != LK_OK)
            return LK_FAULT;
        lk_base64url_encode(lk_view_make(random, sizeof(random)), &buf);
        if (lk_buf_text(&buf) == NULL)
            return LK_FAULT;
    } while (id[0] == '-');
    return LK_OK;
}

lk_status lk_device_make(const lk_env *env, const lk_keyring *ring, char id[LK_DEVICE_ID_LEN + 1],
                         char text[LK_DEVICE_TEXT_LEN + 1], uint8_t out[LK_DEVICE_HASH_LEN])
{
    lk_status status = make_id(env, id);
    if (status != LK_OK || text == NULL)
        return status;
    return lk_device_make_again(env, ring, lk_view_make(id, LK_DEVICE_ID_LEN), text, out);
}

static bool is_id(lk_view id)
{
    return id.len == LK_DEVICE_ID_LEN && lk_is_base64url(id);
}

lk_status lk_device_read(const lk_keyring *ring, lk_view text, lk_view *id, uint8_t out[LK_DEVICE_HASH_LEN])
{
    *id = (lk_view){0};
    if (text.len != LK_DEVICE_TEXT_LEN || !lk_view_equal(lk_view_part(text, 0, ID_AT), LK_VIEW("d1.")) ||
        text.p[SECRET_AT - 1] != '.' || !is_id(lk_view_part(text, ID_AT, LK_DEVICE_ID_LEN)) ||
        !lk_is_base64url(lk_view_part(text, SECRET_AT, text.len)))
        return LK_REFUSED;
    *id = lk_view_part(text, ID_AT, LK_DEVICE_ID_LEN);
    return hash(ring, "secret", *id, text, out);
}

/* ---- keys of its own ---- */

static lk_status ring_of(const lk_env *env, lk_view jwk, lk_keyring **out, lk_note *note)
{
    return lk_keyring_from_jwks_public(env, jwk, LK_ALG_BIT(LK_ALG_ES256) | LK_ALG_BIT(LK_ALG_EDDSA), out,
                                       note);
}

static lk_status add_member(lk_view jwk, const char *name, bool is_first, lk_buf *out)
{
    lk_json_item item;
    if (lk_json_get(jwk, lk_view_of(name), &item) != LK_OK || item.type != LK_JSON_STRING)
        return LK_REFUSED;
    lk_buf_add_text(out, is_first ? "{\"" : ",\"");
    lk_buf_add_text(out, name);
    lk_buf_add_text(out, "\":\"");
    lk_status status = lk_json_string(item.value, out);
    lk_buf_add_byte(out, '"');
    return status;
}

/* Only what makes the key, in the order of RFC 7638: two spellings of one key are one text. */
static lk_status write_key(lk_view jwk, bool ec, lk_buf *out)
{
    static const char *const names[2][5] = {{"crv", "kty", "x", NULL}, {"crv", "kty", "x", "y", NULL}};
    for (size_t i = 0; names[ec][i] != NULL; i++) {
        lk_status status = add_member(jwk, names[ec][i], i == 0, out);
        if (status != LK_OK)
            return status;
    }
    lk_buf_add_byte(out, '}');
    return lk_buf_status(out);
}

lk_status lk_device_key_read(const lk_env *env, lk_view jwk, lk_buf *out, lk_note *note)
{
    lk_keyring *ring = NULL;
    lk_key_info info;
    lk_json_item keys;
    lk_buf before = *out;
    if (lk_json_get(jwk, LK_VIEW("keys"), &keys) == LK_OK) {
        lk_note_set(note, "public_key is one JWK, no set of them");
        return LK_REFUSED;
    }
    lk_status status = ring_of(env, jwk, &ring, note);
    if (status == LK_OK)
        status = lk_keyring_info(ring, 0, &info);
    if (status == LK_OK)
        status = write_key(jwk, info.alg == LK_ALG_ES256, out);
    lk_keyring_free(ring);
    if (status != LK_OK)
        *out = before;
    return status == LK_MISS ? LK_REFUSED : status;
}

/* ---- challenges ---- */

/* *mac covers all in front of it and the device. */
static lk_status add_mac(const lk_keyring *ring, lk_view device, lk_buf *text)
{
    uint8_t mac[LK_MAC_LEN];
    lk_status status = hash(ring, "challenge", device, lk_buf_view(text), mac);
    if (status != LK_OK)
        return LK_FAULT;
    lk_buf_add_byte(text, '.');
    lk_base64url_encode(lk_view_make(mac, sizeof(mac)), text);
    return lk_buf_status(text);
}

/* The device need not exist: whether it does is not told. */
lk_status lk_challenge_make(const lk_env *env, const lk_keyring *ring, lk_view device, lk_buf *out)
{
    uint8_t random[NONCE_BYTES];
    char memory[LK_CHALLENGE_MAX];
    lk_buf text = lk_buf_over(memory, sizeof(memory));
    if (!is_id(device))
        return LK_REFUSED;
    if (lk_random(env, random, sizeof(random)) != LK_OK)
        return LK_FAULT;
    lk_buf_add_text(&text, "c1.");
    lk_buf_add_i64(&text, lk_now_ms(env));
    lk_buf_add_byte(&text, '.');
    lk_base64url_encode(lk_view_make(random, sizeof(random)), &text);
    lk_status status = add_mac(ring, device, &text);
    if (status == LK_OK)
        lk_buf_add(out, lk_buf_view(&text));
    return status == LK_OK ? lk_buf_status(out) : status;
}

lk_status lk_challenge_check(const lk_env *env, const lk_keyring *ring, lk_view device, lk_view challenge,
                             int64_t *made_ms)
{
    char memory[LK_CHALLENGE_MAX];
    lk_buf expected = lk_buf_over(memory, sizeof(memory));
    size_t end = challenge.len;
    *made_ms = 0;
    while (end > 0 && challenge.p[end - 1] != '.')
        end--;
    if (!is_id(device) || end < 5 || challenge.len >= LK_CHALLENGE_MAX)
        return LK_REFUSED;
    lk_buf_add(&expected, lk_view_part(challenge, 0, end - 1));
    lk_status status = add_mac(ring, device, &expected);
    if (status != LK_OK)
        return LK_FAULT;
    if (!lk_secret_equal(lk_buf_view(&expected), challenge))
        return LK_REFUSED;
    lk_view rest = lk_view_part(challenge, 3, challenge.len);
    if (lk_parse_i64(lk_view_part(rest, 0, lk_view_find(rest, '.')), made_ms) != LK_OK)
        return LK_REFUSED;
    int64_t age_ms = lk_now_ms(env) - *made_ms;
    /* Clocks of two nodes may differ a little: it may come from what is the future here. */
    return age_ms <= LK_CHALLENGE_LIFE_S * 1000 && age_ms >= -LK_CHALLENGE_LIFE_S * 1000 ? LK_OK : LK_STALE;
}

lk_status lk_challenge_signed(const lk_env *env, lk_view jwk, lk_view challenge, lk_view signature)
{
    uint8_t signed_memory[LK_SIGNATURE_MAX];
    char message_memory[LK_CHALLENGE_MAX + 32];
    lk_buf raw = lk_buf_over(signed_memory, sizeof(signed_memory));
    lk_buf message = lk_buf_over(message_memory, sizeof(message_memory));
    lk_keyring *ring = NULL;
    if (signature.len > LK_SIGNATURE_MAX || lk_base64url_decode(signature, &raw) != LK_OK)
        return LK_REFUSED;
    lk_buf_add_text(&message, "latchkey device session\n");
    lk_buf_add(&message, challenge);
    if (lk_buf_status(&message) != LK_OK)
        return LK_REFUSED;
    lk_status status = ring_of(env, jwk, &ring, NULL);
    const lk_verifier *verifier = status == LK_OK ? lk_keyring_verifier(ring, (lk_view){0}) : NULL;
    if (status == LK_OK)
        status = verifier == NULL ? LK_FAULT : lk_verify(verifier, lk_buf_view(&message), lk_buf_view(&raw));
    else
        status = LK_FAULT; /* what was kept is no key any more */
    lk_keyring_free(ring);
    return status;
}

/* ---- the sessions of a device ---- */

lk_status lk_device_session_id(const lk_keyring *ring, const lk_device *d, lk_view text, lk_view from,
                               char id[LK_SESSION_ID_LEN + 1], lk_session_key *key)
{
    uint8_t mac[LK_MAC_LEN], proof[LK_SESSION_PROOF_LEN];
    char memory[64];
    lk_buf a = lk_buf_over(memory, sizeof(memory)), out = lk_buf_over(id, LK_SESSION_ID_LEN + 1);
    char rest_memory[LK_PUBLIC_ID_LEN + 1 + LK_DEVICE_TEXT_LEN];
    lk_buf rest = lk_buf_over(rest_memory, sizeof(rest_memory));
    /* The time it was vouched for makes the sessions of one stretch others than those of the next. */
    lk_buf_add(&a, lk_view_of(d->id));
    lk_buf_add_byte(&a, '.');
    lk_buf_add_i64(&a, d->issued_ms);
    lk_buf_add(&rest, from);
    lk_buf_add_byte(&rest, '.');
    lk_buf_add(&rest, text);
    lk_status status = lk_buf_status(&a) == LK_OK && lk_buf_status(&rest) == LK_OK
                           ? hash(ring, "session", lk_buf_view(&a), lk_buf_view(&rest), mac)
                           : LK_FAULT;
    if (status == LK_OK) {
        lk_base64url_encode(lk_view_make(mac, sizeof(mac)), &out);
        status =
            lk_buf_text(&out) != NULL ? lk_session_id_read(ring, lk_buf_view(&out), key, proof) : LK_FAULT;
    }
    if (status != LK_OK)
        lk_wipe(id, LK_SESSION_ID_LEN + 1);
    lk_wipe(mac, sizeof(mac));
    lk_wipe(rest_memory, sizeof(rest_memory));
    return status == LK_OK ? LK_OK : LK_FAULT;
}
