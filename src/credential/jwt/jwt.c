/* SPDX-License-Identifier: Apache-2.0
 *
 * jwt.c - check a JSON Web Token (RFC 7519, RFC 8725). docs/formats/jwt.md
 */
#include "credential/jwt/jws.h"
#include "credential/times.h"
#include <latchkey/base64url.h>

/* RFC 8725 sections 3.8, 3.9: whole strings, and only after the signature. */
static lk_status check_expected(const lk_claims *claims, const lk__present *present, const lk_expect *expect,
                                lk__refusal r)
{
    if (expect->issuer.len > 0 && !lk_view_equal(claims->issuer, expect->issuer))
        return lk__refuse(r, LK_REASON_UNKNOWN_KEY, "the issuer (iss) is another one");
    if (expect->audience.len > 0 && !present->audience_matches)
        return lk__refuse(r, LK_REASON_WRONG_AUDIENCE, "the audience (aud) is another one");
    if (expect->need_expiry && !present->expires)
        return lk__refuse(r, LK_REASON_MALFORMED, "the token has no expiry (exp)");
    return lk__times_check(claims, present->expires, expect, r.why, r.note);
}

/* LK_OK with *json; LK_REFUSED; LK_FULL. */
static lk_status decode_payload(lk_view text, lk_buf *scratch, lk_view *json, lk__refusal r)
{
    size_t start = scratch->len;
    lk_status status = lk_base64url_decode(text, scratch);

    *json = lk_view_make(scratch->p + start, scratch->len - start);
    if (status == LK_REFUSED)
        return lk__refuse(r, LK_REASON_MALFORMED, "the payload is not base64url without padding");
    return status;
}

static lk_status check(const lk_keyring *ring, lk_view text, const lk_expect *expect, lk_buf *scratch,
                       lk_claims *out, lk__refusal r)
{
    lk__present present;
    lk_status status;
    lk_view json;
    lk__jws jws;

    status = lk__jws_prove(ring, text, expect->type, scratch, &jws, r);
    if (status != LK_OK)
        return status;
    /* A token of one kind must not pass for another that the same key signs (RFC 8725 section 3.11). */
    if (!jws.has_type)
        return lk__refuse(r, LK_REASON_MALFORMED, "the type (typ) of the token is another one");
    status = decode_payload(jws.payload, scratch, &json, r);
    if (status == LK_OK)
        status = lk__claims_read(json, expect, scratch, out, &present, r);
    if (status != LK_OK)
        return status;
    out->kind = LK_KIND_JWT;
    out->kid = lk_verifier_kid(jws.verifier);
    return check_expected(out, &present, expect, r);
}

lk_status lk_jwt_check(const lk_keyring *ring, lk_view text, const lk_expect *expect, lk_buf *scratch,
                       lk_claims *out, lk_reason *why, lk_note *note)
{
    lk_buf before = *scratch;
    lk_status status;

    *why = LK_REASON_NONE;
    *out = (lk_claims){0};
    status = check(ring, text, expect, scratch, out, (lk__refusal){why, note});
    if (status == LK_FULL) {
        *why = LK_REASON_MALFORMED; /* nobody's token is that long */
        lk_note_set(note, "the token does not fit the buffer for its claims");
    }
    /* Nothing of a token that is not genuine leaves this file. */
    if (status != LK_OK && status != LK_STALE) {
        *scratch = before;
        *out = (lk_claims){0};
    }
    return status;
}
