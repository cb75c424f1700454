/* SPDX-License-Identifier: Apache-2.0
 *
 * credential.c - the kinds of credentials and where they ride, by name and by outward shape.
 */
#include "base/base64url_quick.h"
#include "credential/shape.h"

static const char *const kinds[LK_KIND_COUNT] = {
    [LK_KIND_SESSION_ID] = "session_id",
    [LK_KIND_TOKEN] = "token",
    [LK_KIND_JWT] = "jwt",
};

static const char *const carriers[LK_CARRIER_COUNT] = {
    [LK_CARRIER_COOKIE] = "cookie",
    [LK_CARRIER_HEADER] = "header",
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

/* The dots alone tell the kinds apart: none in a session id, two in a JWT, four or five in a simple token. */
lk_status lk_credential_kind(lk_view text, lk_kind *out)
{
    lk_view parts[LK__TOKEN_PARTS_MAX];
    bool right;
    size_t n;

    if (text.len == 0 || text.len > LK_CREDENTIAL_MAX)
        return LK_REFUSED;
    n = lk__base64url_split(text, parts, LK__TOKEN_PARTS_MAX, &right);
    if (!right || n > LK__TOKEN_PARTS_MAX)
        return LK_REFUSED;
    for (size_t i = 0; i < n && n > LK__JWT_PARTS; i++) {
        if (parts[i].len == 0)
            return LK_REFUSED;
    }
    if (n == 1 && text.len == LK_SESSION_ID_LEN)
        *out = LK_KIND_SESSION_ID;
    else if (n == LK__JWT_PARTS && parts[0].len > 0)
        *out = LK_KIND_JWT;
    else if ((n == LK__TOKEN_PARTS_MIN || n == LK__TOKEN_PARTS_MAX) && parts[n - 1].len == LK__TOKEN_SIGN_LEN)
        *out = LK_KIND_TOKEN;
    else
        return LK_REFUSED;
    return LK_OK;
}
