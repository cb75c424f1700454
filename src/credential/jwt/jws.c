/* SPDX-License-Identifier: Apache-2.0
 *
 * jws.c - the signature rules of a JWS in compact form (RFC 7515).
 *
 * The order is: size, shape, header, key, signature. The payload is not looked at before the signature is
 * right.
 */
#include "credential/jwt/jws.h"
#include "keyring/keyring_internal.h"
#include <latchkey/base64url.h>

/* Our own header, known by one comparison - once the full reader has accepted that very text for that very
 * key (lk__verifier_header_prove). Every other header is read in full each time. */
static lk_status read_header(const lk_keyring *ring, lk_view header, lk_view type, lk_buf *scratch,
                             lk__jws *out, lk__refusal r)
{
    const lk_verifier *own = lk__keyring_by_header(ring, header);
    lk__jws read = {0};

    if (own != NULL && !lk__verifier_header_is_proven(own) &&
        lk__header_read(ring, header, LK_VIEW(LK__JOSE_TYPE), scratch, &read, r) == LK_OK &&
        read.verifier == own && read.has_type)
        lk__verifier_header_prove(own);
    if (own == NULL || !lk__verifier_header_is_proven(own))
        return lk__header_read(ring, header, type, scratch, out, r);
    out->verifier = own;
    out->has_type = type.len == 0 || lk__type_equal(type, LK_VIEW(LK__JOSE_TYPE));
    return LK_OK;
}

static lk_status check_signature(const lk_verifier *verifier, lk_view message, lk_view text, lk__refusal r)
{
    uint8_t memory[LK_SIGNATURE_MAX];
    lk_buf signature = lk_buf_over(memory, sizeof(memory));
    lk_status status = lk_base64url_decode(text, &signature);

    if (status == LK_REFUSED)
        return lk__refuse(r, LK_REASON_MALFORMED, "the signature is not base64url without padding");
    if (status == LK_FULL)
        return lk__refuse(r, LK_REASON_BAD_SIGNATURE,
                          "the signature is longer than any algorithm here makes");
    status = lk_verify(verifier, message, lk_buf_view(&signature));
    if (status == LK_REFUSED)
        return lk__refuse(r, LK_REASON_BAD_SIGNATURE, "the signature is not right");
    if (status != LK_OK)
        lk_note_set(r.note, "the signature could not be checked: the crypto library failed");
    return status;
}

lk_status lk__jws_prove(const lk_keyring *ring, lk_view text, lk_view type, lk_buf *scratch, lk__jws *out,
                        lk__refusal r)
{
    lk_view parts[LK__JWT_PARTS];
    lk_status status;

    *out = (lk__jws){0};
    if (text.len > LK_CREDENTIAL_MAX)
        return lk__refuse(r, LK_REASON_MALFORMED, "the token is too long");
    if (lk__split_dots(text, parts, LK__JWT_PARTS) != LK__JWT_PARTS)
        return lk__refuse(r, LK_REASON_MALFORMED,
                          "a token in compact form has three parts with dots between them");
    status = read_header(ring, parts[0], type, scratch, out, r);
    if (status != LK_OK)
        return status;
    out->payload = parts[1];
    status =
        check_signature(out->verifier, lk_view_make(text.p, parts[0].len + 1 + parts[1].len), parts[2], r);
    if (status == LK_OK)
        lk__verifier_count(out->verifier);
    return status;
}

lk_status lk_jws_check(const lk_keyring *ring, lk_view text, lk_buf *payload, lk_reason *why, lk_note *note)
{
    lk__refusal r = {why, note};
    lk__jws jws;
    lk_status status;

    *why = LK_REASON_NONE;
    status = lk__jws_prove(ring, text, (lk_view){0}, payload, &jws, r);
    if (status == LK_OK)
        status = lk_base64url_decode(jws.payload, payload);
    if (status == LK_REFUSED && *why == LK_REASON_NONE)
        return lk__refuse(r, LK_REASON_MALFORMED, "the payload is not base64url without padding");
    if (status == LK_FULL)
        lk_note_set(note, "the token does not fit the buffer for its payload");
    return status;
}
