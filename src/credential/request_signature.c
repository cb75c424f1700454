/* SPDX-License-Identifier: Apache-2.0
 *
 * request_signature.c - a request signed with the secret of an API key.
 *
 *   Authorization: Latchkey-Signature key=lk_PUBLIC, time=SECONDS, nonce=NONCE, body=DIGEST, sign=HEX
 *
 *   PUBLIC   8 characters of base64url      the public part of the key
 *   SECONDS  decimal                        since 1970, by the clock of the client
 *   NONCE    16 to 64 of base64url          no two requests of one key have the same
 *   DIGEST   43 characters of base64url     SHA-256 of the body, of no bytes when there is none
 *   HEX      64 lower-case hex digits       HMAC-SHA256(SECRET, text), SECRET being the 32 characters of the
 * key
 *
 * text is seven lines, each with a line feed behind it: latchkey-signature-v1, method, host, target, SECONDS,
 * NONCE, DIGEST. None of them can hold a line feed, so a text can be read in one way only. The field has one
 * spelling: this order, a comma and one blank between. docs/formats/signed-request.md
 */
#include "credential/shape.h"
#include "credential/times.h"
#include "crypto/mac.h"
#include <latchkey/base64url.h>
#include <latchkey/proof.h>
#include <string.h>

#define HEX_LEN (2 * LK_MAC_LEN)

_Static_assert(LK_BASE64URL_LEN(LK_BODY_DIGEST_LEN) == LK_BODY_DIGEST_TEXT, "a digest has no odd length");

/* Take NAME and the value behind it, up to ", " or to the end, off the front of *REST. */
static bool take(lk_view *rest, const char *name, bool last, lk_view *value)
{
    lk_view wanted = lk_view_of(name);

    if (!lk_view_equal(lk_view_part(*rest, 0, wanted.len), wanted))
        return false;
    *rest = lk_view_part(*rest, wanted.len, rest->len);
    size_t comma = lk_view_find(*rest, ',');
    *value = lk_view_part(*rest, 0, comma);
    *rest = lk_view_part(*rest, comma, rest->len);
    if (last)
        return rest->len == 0;
    if (!lk_view_equal(lk_view_part(*rest, 0, 2), LK_VIEW(", ")))
        return false;
    *rest = lk_view_part(*rest, 2, rest->len);
    return true;
}

static bool is_hex(lk_view v)
{
    for (size_t i = 0; i < v.len; i++) {
        if (!((v.p[i] >= '0' && v.p[i] <= '9') || (v.p[i] >= 'a' && v.p[i] <= 'f')))
            return false;
    }
    return true;
}

static bool is_in_form(lk_request_signature *s)
{
    lk_buf digest = lk_buf_over(s->body_digest, sizeof(s->body_digest));

    return lk_api_key_is_public(s->key) && s->nonce.len >= LK_SIGNATURE_NONCE_MIN &&
           s->nonce.len <= LK_SIGNATURE_NONCE_MAX && lk_is_base64url(s->nonce) &&
           lk_parse_i64(s->time, &s->time_s) == LK_OK && s->time_s <= LK__TIME_MAX &&
           s->body.len == LK_BODY_DIGEST_TEXT && lk_base64url_decode(s->body, &digest) == LK_OK &&
           s->sign.len == HEX_LEN && is_hex(s->sign);
}

lk_status lk_request_signature_read(lk_view field, lk_request_signature *out)
{
    lk_view scheme = LK_VIEW(LK_SIGNATURE_SCHEME), rest = lk_view_trim(field);

    *out = (lk_request_signature){.time_s = 0};
    if (!lk_view_equal_nocase(lk_view_part(rest, 0, scheme.len), scheme) ||
        (rest.len > scheme.len && rest.p[scheme.len] != ' '))
        return LK_MISS;
    if (rest.len > LK_SIGNATURE_FIELD_MAX)
        return LK_REFUSED;
    rest = lk_view_part(rest, scheme.len + 1, rest.len);
    if (take(&rest, "key=lk_", false, &out->key) && take(&rest, "time=", false, &out->time) &&
        take(&rest, "nonce=", false, &out->nonce) && take(&rest, "body=", false, &out->body) &&
        take(&rest, "sign=", true, &out->sign) && is_in_form(out))
        return LK_OK;
    *out = (lk_request_signature){.time_s = 0};
    return LK_REFUSED;
}

/* The lines of the text, each with its end. */
#define LINES 7
static void lines_of(const lk_request_signature *s, const lk_about *about, lk_view parts[2 * LINES])
{
    const lk_view lines[LINES] = {LK_VIEW("latchkey-signature-v1"),
                                  about->method,
                                  about->host,
                                  about->target,
                                  s->time,
                                  s->nonce,
                                  s->body};

    for (size_t i = 0; i < LINES; i++) {
        parts[2 * i] = lines[i];
        parts[2 * i + 1] = LK_VIEW("\n");
    }
}

lk_status lk_request_signature_text(const lk_request_signature *s, const lk_about *about, lk_buf *out)
{
    lk_view parts[2 * LINES];

    lines_of(s, about, parts);
    for (size_t i = 0; i < 2 * LINES; i++)
        lk_buf_add(out, parts[i]);
    return lk_buf_status(out);
}

lk_status lk_request_signature_make(lk_view secret, const lk_request_signature *s, const lk_about *about,
                                    lk_buf *out)
{
    static const char digits[] = "0123456789abcdef";
    lk_view parts[2 * LINES];
    uint8_t made[LK_MAC_LEN];
    lk_mac mac;
    lk_status status = lk_mac_init(&mac, secret);

    lines_of(s, about, parts);
    if (status == LK_OK)
        status = lk_mac_run(&mac, parts, 2 * LINES, made);
    for (size_t i = 0; i < LK_MAC_LEN && status == LK_OK; i++) {
        lk_buf_add_byte(out, (uint8_t)digits[made[i] >> 4]);
        lk_buf_add_byte(out, (uint8_t)digits[made[i] & 0x0f]);
    }
    lk_mac_wipe(&mac);
    lk_wipe(made, sizeof(made));
    return status == LK_OK ? lk_buf_status(out) : LK_FAULT;
}

static lk_status check_time(int64_t time_s, int64_t now_s, int64_t window_s, lk_reason *why)
{
    *why = LK_REASON_NOT_YET_VALID;
    if (time_s > now_s + window_s)
        return LK_REFUSED;
    *why = LK_REASON_EXPIRED;
    if (time_s < now_s - window_s)
        return LK_STALE;
    *why = LK_REASON_NONE;
    return LK_OK;
}

lk_status lk_request_signature_check(const lk_keyring *ring, const lk_request_signature *s,
                                     const lk_about *about, int64_t now_s, int64_t window_s,
                                     char key[LK_API_KEY_LEN + 1], lk_reason *why)
{
    uint8_t memory[HEX_LEN];
    lk_buf right = lk_buf_over(memory, sizeof(memory)), whole = lk_buf_over(key, LK_API_KEY_LEN + 1);
    lk_secret secret = {0};
    lk_status status = lk_api_key_secret(ring, s->key, &secret);

    key[0] = '\0';
    *why = LK_REASON_NONE;
    if (status == LK_OK)
        status = lk_request_signature_make(lk_secret_view(&secret), s, about, &right);
    if (status == LK_OK && !lk_secret_equal(lk_buf_view(&right), s->sign))
        status = LK_REFUSED;
    if (status == LK_REFUSED)
        *why = LK_REASON_BAD_SIGNATURE;
    if (status == LK_OK)
        status = check_time(s->time_s, now_s, window_s, why);
    if (status == LK_OK) {
        lk_buf_add_text(&whole, "lk_");
        lk_buf_add(&whole, s->key);
        lk_buf_add_byte(&whole, '_');
        lk_buf_add(&whole, lk_secret_view(&secret));
        status = lk_buf_text(&whole) != NULL ? LK_OK : LK_FAULT;
    }
    lk_secret_wipe(&secret);
    lk_wipe(memory, sizeof(memory));
    return status == LK_FULL ? LK_FAULT : status;
}
