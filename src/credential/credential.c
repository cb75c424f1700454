/* SPDX-License-Identifier: Apache-2.0
 *
 * credential.c - the kinds of credentials and where they ride, by name and by outward shape.
 */
#include "base/base64url_quick.h"
#include "credential/shape.h"

static const char *const kinds[LK_KIND_COUNT] = {
    [LK_KIND_SESSION_ID] = "session_id", [LK_KIND_TOKEN] = "token",     [LK_KIND_JWT] = "jwt",
    [LK_KIND_SEALED] = "sealed",         [LK_KIND_API_KEY] = "api_key",
};

static const char *const carriers[LK_CARRIER_COUNT] = {
    [LK_CARRIER_COOKIE] = "cookie",
    [LK_CARRIER_HEADER] = "header",
    [LK_CARRIER_URL] = "url",
};

const char *lk_kind_name(lk_kind kind)
{
    return (unsigned)kind < LK_KIND_COUNT ? kinds[kind] : "";
}

lk_status lk_kind_of(lk_view name, lk_kind *out)
{
    for (lk_kind k = 0; k < LK_KIND_COUNT; k++) {
        if (lk_view_equal(name, lk_view_of(kinds[k]))) {
            *out = k;
            return LK_OK;
        }
    }
    return LK_MISS;
}

const char *lk_carrier_name(lk_carrier carrier)
{
    return (unsigned)carrier < LK_CARRIER_COUNT ? carriers[carrier] : "";
}

lk_status lk_carrier_of(lk_view name, lk_carrier *out)
{
    for (lk_carrier c = 0; c < LK_CARRIER_COUNT; c++) {
        if (lk_view_equal(name, lk_view_of(carriers[c]))) {
            *out = c;
            return LK_OK;
        }
    }
    return LK_MISS;
}

size_t lk__split_dots(lk_view text, lk_view *parts, size_t max)
{
    size_t n = 0;

    while (n < max) {
        size_t end = lk_view_find(text, '.');

        parts[n++] = lk_view_make(text.p, end);
        if (end == text.len)
            return n;
        text = lk_view_make(text.p + end + 1, text.len - end - 1);
    }
    return max + 1;
}

static bool has_empty_part(const lk_view *parts, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (parts[i].len == 0)
            return true;
    }
    return false;
}

/* Two characters that are the base64url of no JSON and of no UTF-8: no JWT begins so, and no simple token. */
bool lk__is_marked_sealed(lk_view text)
{
    static const lk_view mark = {(const uint8_t *)LK__SEALED_MARK, sizeof(LK__SEALED_MARK) - 1};

    return lk_view_equal(lk_view_part(text, 0, mark.len), mark);
}

/* The dots tell the others apart: none in a session id or an API key, which is one longer, two in a JWT, four
 * or five in a simple token. */
lk_status lk_credential_kind(lk_view text, lk_kind *out)
{
    bool sealed = lk__is_marked_sealed(text), right;
    lk_view parts[LK__TOKEN_PARTS_MAX];
    size_t n;

    if (text.len == 0 || text.len > (sealed ? LK_SEALED_MAX : LK_CREDENTIAL_MAX))
        return LK_REFUSED;
    n = lk__base64url_split(text, parts, LK__TOKEN_PARTS_MAX, &right);
    if (!right || n > LK__TOKEN_PARTS_MAX || ((sealed || n > LK__JWT_PARTS) && has_empty_part(parts, n)))
        return LK_REFUSED;
    if (sealed && (n != LK__SEALED_PARTS || parts[1].len > LK_KID_MAX))
        return LK_REFUSED;
    if (sealed)
        *out = LK_KIND_SEALED;
    else if (n == 1 && text.len == LK_SESSION_ID_LEN)
        *out = LK_KIND_SESSION_ID;
    else if (n == 1 && lk__is_shaped_api_key(text))
        *out = LK_KIND_API_KEY;
    else if (n == LK__JWT_PARTS && parts[0].len > 0)
        *out = LK_KIND_JWT;
    else if ((n == LK__TOKEN_PARTS_MIN || n == LK__TOKEN_PARTS_MAX) && parts[n - 1].len == LK__TOKEN_SIGN_LEN)
        *out = LK_KIND_TOKEN;
    else
        return LK_REFUSED;
    return LK_OK;
}
