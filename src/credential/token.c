/* SPDX-License-Identifier: Apache-2.0
 *
 * token.c - the simple token: uid.time.expires[.params].kid.sign
 *
 *   uid      base64url of the user id                                    never empty
 *   time     decimal seconds since 1970, when it was issued              no sign, no leading zero
 *   expires  decimal seconds since 1970, the first one it is no longer good
 *   params   base64url of name=value,name=value                          left out with its dot when there are
 * none; names ascending, none twice, none empty kid      the key, as it is sign     64 lower-case hex digits:
 * HMAC-SHA256 over everything before its dot
 *
 * One token has one spelling: nothing can be changed without making the signature wrong. The fields are apart
 * because no field can hold a dot. docs/formats/token.md
 */
#include "credential/params.h"
#include "credential/shape.h"
#include "credential/times.h"
#include "keyring/keyring_internal.h"
#include <latchkey/base64url.h>

static void add_hex(lk_buf *out, const uint8_t bytes[LK_MAC_LEN])
{
    static const char digits[] = "0123456789abcdef";
    uint8_t text[LK__TOKEN_SIGN_LEN];

    for (size_t i = 0; i < LK_MAC_LEN; i++) {
        /* The sign of a token under check is a secret until it has been compared, and a table of 16 bytes
         * lies in one cache line: which entry is read does not show. */
        text[2 * i] = (uint8_t)digits[bytes[i] >> 4];
        text[2 * i + 1] = (uint8_t)digits[bytes[i] & 0x0f];
    }
    lk_buf_add(out, lk_view_make(text, sizeof(text)));
    lk_wipe(text, sizeof(text));
}

/* The sign of MESSAGE, appended to OUT. */
static lk_status add_sign(const lk_mac *mac, lk_view message, lk_buf *out)
{
    uint8_t made[LK_MAC_LEN];
    lk_status status = lk_mac_run(mac, &message, 1, made);

    if (status == LK_OK)
        add_hex(out, made);
    lk_wipe(made, sizeof(made));
    return status;
}

/* --- Making ----------------------------------------------------------------------------------------------
 */

static bool can_be_said(const lk_claims *c)
{
    return c->user.len > 0 && lk__is_clean_text(c->user) && c->issued_s >= 0 && c->issued_s <= c->expires_s &&
           c->expires_s > 0 && c->expires_s <= LK__TIME_MAX;
}

static void add_fields(const lk_claims *c, lk_view params, lk_view kid, lk_buf *out)
{
    lk_base64url_encode(c->user, out);
    lk_buf_add_byte(out, '.');
    lk_buf_add_i64(out, c->issued_s);
    lk_buf_add_byte(out, '.');
    lk_buf_add_i64(out, c->expires_s);
    lk_buf_add_byte(out, '.');
    if (params.len > 0) {
        lk_base64url_encode(params, out);
        lk_buf_add_byte(out, '.');
    }
    lk_buf_add(out, kid);
}

lk_status lk_token_mint(const lk_keyring *ring, const lk_claims *claims, lk_buf *out)
{
    const lk_signer *signer = lk_keyring_signer(ring, LK_ALG_HS256);
    uint8_t memory[LK__PARAMS_MAX];
    lk_buf params = lk_buf_over(memory, sizeof(memory)), before = *out;
    lk_status status;

    if (signer == NULL)
        return LK_FAULT;
    if (!can_be_said(claims))
        return LK_REFUSED;
    status = lk__params_write(claims, &params);
    if (status != LK_OK)
        return status;
    add_fields(claims, lk_buf_view(&params), lk_signer_kid(signer), out);
    status = lk_buf_status(out);
    if (status == LK_OK) {
        lk_view message = lk_view_make(out->p + before.len, out->len - before.len);

        lk_buf_add_byte(out, '.');
        status = add_sign(lk__signer_token_mac(signer), message, out);
    }
    if (status == LK_OK && (out->full || out->len - before.len > LK_CREDENTIAL_MAX))
        status = LK_FULL;
    if (status != LK_OK)
        *out = before;
    else
        lk__signer_count(signer);
    return status;
}

/* --- Checking --------------------------------------------------------------------------------------------
 */

static lk_status refuse(lk_reason *why, lk_reason reason)
{
    *why = reason;
    return LK_REFUSED;
}

/* LK_OK; LK_REFUSED with *why; LK_FAULT. */
static lk_status check_sign(const lk_keyring *ring, lk_view text, lk_view kid, lk_view sign, lk_claims *out,
                            lk_reason *why)
{
    const lk_verifier *verifier = lk_keyring_verifier(ring, kid);
    const lk_mac *mac = verifier == NULL ? NULL : lk__verifier_token_mac(verifier);
    uint8_t memory[LK__TOKEN_SIGN_LEN];
    lk_buf right = lk_buf_over(memory, sizeof(memory));
    lk_status status;

    /* A kid of another algorithm is as unknown here as one that nobody has. */
    if (mac == NULL || kid.len == 0)
        return refuse(why, LK_REASON_UNKNOWN_KEY);
    status = add_sign(mac, lk_view_make(text.p, text.len - sign.len - 1), &right);
    if (status == LK_OK && !lk_secret_equal(lk_buf_view(&right), sign))
        status = refuse(why, LK_REASON_BAD_SIGNATURE);
    if (status == LK_OK)
        lk__verifier_count(verifier);
    lk_wipe(memory, sizeof(memory));
    out->kid = lk_verifier_kid(verifier);
    return status;
}

/* The decoded text of FIELD, in scratch. LK_OK; LK_REFUSED; LK_FULL. */
static lk_status decode_text(lk_view field, lk_buf *scratch, lk_view *out)
{
    size_t start = scratch->len;
    lk_status status = lk_base64url_decode(field, scratch);

    *out = lk_view_make(scratch->p + start, scratch->len - start);
    if (status == LK_OK && (out->len == 0 || !lk__is_clean_text(*out)))
        return LK_REFUSED;
    return status;
}

static lk_status read_time(lk_view field, int64_t *out)
{
    lk_status status = lk_parse_i64(field, out);

    return status == LK_OK && *out > LK__TIME_MAX ? LK_REFUSED : status;
}

/* Everything but the sign, which was right. */
static lk_status read_fields(const lk_view *parts, size_t n, lk_buf *scratch, lk_claims *out)
{
    lk_status status = decode_text(parts[0], scratch, &out->user);

    if (status == LK_OK)
        status = read_time(parts[1], &out->issued_s);
    if (status == LK_OK)
        status = read_time(parts[2], &out->expires_s);
    if (status == LK_OK && n == LK__TOKEN_PARTS_MAX)
        status = decode_text(parts[3], scratch, &out->params);
    if (status == LK_OK)
        status = lk__params_read(out->params, scratch, out);
    return status;
}

static lk_status check(const lk_keyring *ring, lk_view text, const lk_expect *expect, lk_buf *scratch,
                       lk_claims *out, lk_reason *why)
{
    lk_view parts[LK__TOKEN_PARTS_MAX];
    lk_status status;
    size_t n;

    if (text.len > LK_CREDENTIAL_MAX)
        return refuse(why, LK_REASON_MALFORMED);
    n = lk__split_dots(text, parts, LK__TOKEN_PARTS_MAX);
    if (n < LK__TOKEN_PARTS_MIN || n > LK__TOKEN_PARTS_MAX || parts[n - 1].len != LK__TOKEN_SIGN_LEN)
        return refuse(why, LK_REASON_MALFORMED);
    status = check_sign(ring, text, parts[n - 2], parts[n - 1], out, why);
    if (status != LK_OK)
        return status;
    status = read_fields(parts, n, scratch, out);
    if (status == LK_REFUSED)
        return refuse(why, LK_REASON_MALFORMED);
    out->kind = LK_KIND_TOKEN;
    return status == LK_OK ? lk__times_check(out, true, expect, why, NULL) : status;
}

lk_status lk_token_check(const lk_keyring *ring, lk_view text, const lk_expect *expect, lk_buf *scratch,
                         lk_claims *out, lk_reason *why)
{
    lk_buf before = *scratch;
    lk_status status;

    *why = LK_REASON_NONE;
    *out = (lk_claims){0};
    status = check(ring, text, expect, scratch, out, why);
    if (status == LK_FULL)
        *why = LK_REASON_MALFORMED; /* nobody's token is that long */
    /* Nothing of a token that is not genuine leaves this file. */
    if (status != LK_OK && status != LK_STALE) {
        *scratch = before;
        *out = (lk_claims){0};
    }
    return status;
}
