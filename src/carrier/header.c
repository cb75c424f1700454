/* SPDX-License-Identifier: Apache-2.0
 *
 * header.c - credentials in `Authorization: Bearer` and in a header of the operator's choice.
 */
#include "carrier/carrier.h"
#include <latchkey/base64url.h>

/* The part after `Bearer ` in FIELD. LK_MISS for another scheme. */
static lk_status read_bearer(lk_view field, lk_view *value)
{
    static const lk_view scheme = {(const uint8_t *)"Bearer", 6};
    lk_view v = lk_view_trim(field);
    if (!lk_view_equal_nocase(lk_view_part(v, 0, scheme.len), scheme))
        return LK_MISS;
    if (v.len == scheme.len)
        return LK_REFUSED;
    if (v.p[scheme.len] != ' ')
        return LK_MISS;
    *value = lk_view_trim(lk_view_part(v, scheme.len, v.len));
    return lk_is_token68(*value) ? LK_OK : LK_REFUSED;
}

lk_status lk_bearer_find(const lk_view *fields, size_t n, lk_view *value)
{
    *value = (lk_view){0};
    bool bearer = false;
    /* Authorization is a field of one value: two that differ mean that somebody along the way sees another
     * user than we do, so no Bearer among them is believed. */
    for (size_t i = 0; i < n; i++) {
        lk_view candidate = {0};
        lk_status status = read_bearer(fields[i], &candidate);
        if (status == LK_REFUSED)
            return LK_REFUSED;
        if (status == LK_OK) {
            bearer = true;
            *value = candidate;
        }
    }
    if (!bearer)
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
