/* SPDX-License-Identifier: Apache-2.0
 *
 * header.c - credentials in `Authorization: Bearer`, `Authorization: DPoP` and in a header of the operator's
 * choice.
 */
#include "carrier/carrier.h"
#include <latchkey/base64url.h>

/* The part behind NAME and a blank in FIELD. LK_MISS for another scheme. */
static lk_status read_scheme(lk_view v, lk_view name, lk_view *value)
{
    if (!lk_view_equal_nocase(lk_view_part(v, 0, name.len), name))
        return LK_MISS;
    if (v.len == name.len)
        return LK_REFUSED;
    if (v.p[name.len] != ' ')
        return LK_MISS;
    *value = lk_view_trim(lk_view_part(v, name.len, v.len));
    return lk_is_token68(*value) ? LK_OK : LK_REFUSED;
}

static lk_status read_field(lk_view field, lk_scheme *scheme, lk_view *value)
{
    lk_view v = lk_view_trim(field);
    lk_status status = read_scheme(v, LK_VIEW("Bearer"), value);
    *scheme = LK_SCHEME_BEARER;
    if (status != LK_MISS)
        return status;
    *scheme = LK_SCHEME_DPOP;
    return read_scheme(v, LK_VIEW("DPoP"), value);
}

lk_status lk_authorization_find(const lk_view *fields, size_t n, lk_scheme *scheme, lk_view *value)
{
    *value = (lk_view){0};
    bool found = false;
    /* Authorization is a field of one value: two that differ mean that somebody along the way sees another
     * user than we do, so none among them is believed. */
    for (size_t i = 0; i < n; i++) {
        lk_view candidate = {0};
        lk_scheme its;
        lk_status status = read_field(fields[i], &its, &candidate);
        if (status == LK_REFUSED)
            return LK_REFUSED;
        if (status == LK_OK) {
            found = true;
            *scheme = its;
            *value = candidate;
        }
    }
    if (!found)
        return LK_MISS;
    for (size_t i = 1; i < n; i++) {
        if (!lk_view_equal(lk_view_trim(fields[i]), lk_view_trim(fields[0]))) {
            *value = (lk_view){0};
            return LK_REFUSED;
        }
    }
    return LK_OK;
}

lk_status lk_header_find(const lk_view *fields, size_t n, lk_view *value)
{
    *value = (lk_view){0};
    for (size_t i = 0; i < n; i++) {
        lk_view candidate = lk_view_trim(fields[i]);
        if (!lk_is_token68(candidate) || (i > 0 && !lk_view_equal(candidate, *value))) {
            *value = (lk_view){0};
            return LK_REFUSED;
        }
        *value = candidate;
    }
    return n > 0 ? LK_OK : LK_MISS;
}
