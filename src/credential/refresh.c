/* SPDX-License-Identifier: Apache-2.0
 *
 * refresh.c - refresh tokens: proven before anything is looked up, each giving its successor away.
 *
 *   r1 . family . began . number . random . mac
 *
 *   family  16   the public id of the session record behind the login
 *   began   ..   when that login was, decimal seconds
 *   number  ..   1 for the first, decimal
 *   random  22   base64url of 16 bytes: of the first by chance, of each other
 *                HMAC-SHA256(key, "next." || the whole text of the one before)[0..15]
 *   mac     43   base64url of HMAC-SHA256(key, "mac." || all before its dot)
 *   hash         HMAC-SHA256(key, "hash." || the whole text): what the record keeps
 *
 * The key is LK_PURPOSE_REFRESH of the root secret. docs/formats/refresh.md
 */
#include "credential/shape.h"
#include "crypto/mac.h"
#include <latchkey/base64url.h>
#include <string.h>

#define PARTS 6
#define RANDOM_BYTES 16
#define RANDOM_LEN 22
#define MAC_TEXT_LEN 43
#define BEGAN_MAX 0xffffffffffLL /* what a record can hold */

_Static_assert(LK_BASE64URL_LEN(RANDOM_BYTES) == RANDOM_LEN, "random part");
_Static_assert(LK_BASE64URL_LEN(LK_MAC_LEN) == MAC_TEXT_LEN, "mac part");
_Static_assert(2 + 1 + LK_PUBLIC_ID_LEN + 1 + 13 + 1 + 19 + 1 + RANDOM_LEN + 1 + MAC_TEXT_LEN ==
                   LK_REFRESH_MAX,
               "the longest one");

/* What the same key is used for is told apart by the word in front, which no text begins with. */
static lk_status run(const lk_keyring *ring, lk_view word, lk_view text, uint8_t out[LK_MAC_LEN])
{
    const lk_mac *mac = lk_keyring_mac(ring, LK_PURPOSE_REFRESH);
    const lk_view parts[] = {word, text};

    if (mac == NULL)
        return LK_FAULT; /* a ring for checking signatures only */
    return lk_mac_run(mac, parts, 2, out) == LK_OK ? LK_OK : LK_FAULT;
}

/* Everything before the mac is in OUT; put that behind it. */
static lk_status add_mac(const lk_keyring *ring, lk_buf *out)
{
    uint8_t mac[LK_MAC_LEN];
    lk_status status = run(ring, LK_VIEW("mac."), lk_buf_view(out), mac);

    if (status == LK_OK) {
        lk_buf_add_byte(out, '.');
        lk_base64url_encode(lk_view_make(mac, sizeof(mac)), out);
    }
    return status == LK_OK && out->full ? LK_FAULT : status;
}

/* The token of what OUT says, with RANDOM in it. */
static lk_status write_text(const lk_keyring *ring, const uint8_t random[RANDOM_BYTES], lk_refresh_token *out)
{
    char family[LK_PUBLIC_ID_LEN + 1];
    lk_buf text = lk_buf_over(out->text, sizeof(out->text) - 1);

    lk_public_id_write(&out->family, family);
    lk_buf_add_printf(&text, "r1.%s.", family);
    lk_buf_add_i64(&text, out->began_s);
    lk_buf_add_byte(&text, '.');
    lk_buf_add_i64(&text, out->number);
    lk_buf_add_byte(&text, '.');
    lk_base64url_encode(lk_view_make(random, RANDOM_BYTES), &text);
    if (add_mac(ring, &text) != LK_OK) {
        lk_wipe(out, sizeof(*out));
        return LK_FAULT;
    }
    out->len = text.len;
    out->text[text.len] = '\0';
    return LK_OK;
}

lk_status lk_refresh_first(const lk_env *env, const lk_keyring *ring, const lk_session_key *family,
                           int64_t began_s, lk_refresh_token *out)
{
    uint8_t random[RANDOM_BYTES];
    lk_status status = LK_FAULT;

    *out = (lk_refresh_token){.family = *family, .began_s = began_s, .number = 1};
    if (began_s >= 0 && began_s <= BEGAN_MAX && lk_random(env, random, sizeof(random)) == LK_OK)
        status = write_text(ring, random, out);
    if (status != LK_OK)
        lk_wipe(out, sizeof(*out));
    lk_wipe(random, sizeof(random));
    return status;
}

lk_status lk_refresh_next(const lk_keyring *ring, const lk_refresh_token *now, lk_refresh_token *out)
{
    uint8_t next[LK_MAC_LEN];
    lk_status status = LK_FAULT;

    *out = (lk_refresh_token){.family = now->family, .began_s = now->began_s};
    if (now->number < INT64_MAX)
        status = run(ring, LK_VIEW("next."), lk_refresh_view(now), next);
    out->number = status == LK_OK ? now->number + 1 : 0;
    if (status == LK_OK)
        status = write_text(ring, next, out);
    if (status != LK_OK)
        lk_wipe(out, sizeof(*out));
    lk_wipe(next, sizeof(next));
    return status;
}

/* The parts of TEXT as they must be; OUT gets what they say. */
static bool read_parts(lk_view text, lk_refresh_token *out)
{
    lk_view p[PARTS];

    if (text.len > LK_REFRESH_MAX || lk__split_dots(text, p, PARTS) != PARTS)
        return false;
    return lk_view_equal(p[0], LK_VIEW("r1")) && lk_public_id_read(p[1], &out->family) == LK_OK &&
           lk_parse_i64(p[2], &out->began_s) == LK_OK && out->began_s <= BEGAN_MAX &&
           lk_parse_i64(p[3], &out->number) == LK_OK && out->number > 0 && p[4].len == RANDOM_LEN &&
           lk_is_base64url(p[4]) && p[5].len == MAC_TEXT_LEN && lk_is_base64url(p[5]);
}

bool lk_refresh_is_shaped(lk_view text, lk_refresh_token *out)
{
    *out = (lk_refresh_token){.len = 0};
    if (!read_parts(text, out)) {
        *out = (lk_refresh_token){.len = 0};
        return false;
    }
    memcpy(out->text, text.p, text.len);
    out->len = text.len;
    return true;
}

lk_status lk_refresh_read(const lk_keyring *ring, lk_view text, lk_refresh_token *out, lk_reason *why)
{
    char memory[LK_REFRESH_MAX];
    lk_buf right = lk_buf_over(memory, sizeof(memory));

    *why = LK_REASON_MALFORMED;
    if (!lk_refresh_is_shaped(text, out))
        return LK_REFUSED;
    /* Compared as text, so that each token has one spelling. */
    lk_buf_add(&right, lk_view_part(text, 0, text.len - 1 - MAC_TEXT_LEN));
    lk_status status = add_mac(ring, &right);
    *why = LK_REASON_BAD_SIGNATURE;
    if (status == LK_OK && !lk_secret_equal(lk_buf_view(&right), text))
        status = LK_REFUSED;
    if (status != LK_OK)
        lk_wipe(out, sizeof(*out));
    lk_wipe(memory, sizeof(memory));
    return status;
}

lk_status lk_refresh_hash(const lk_keyring *ring, const lk_refresh_token *token, lk_digest *out)
{
    _Static_assert(LK_DIGEST_LEN == LK_MAC_LEN, "the whole hash");
    return run(ring, LK_VIEW("hash."), lk_refresh_view(token), out->bytes);
}
