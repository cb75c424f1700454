/* SPDX-License-Identifier: Apache-2.0
 *
 * header.c - credentials in `Authorization: Bearer` and in a header of the operator's choice.
 */
#include "carrier/carrier.h"

/* token68 of RFC 9110 section 11.2: the alphabet of a bearer credential, `=` only at its end. */
static bool is_token68(lk_view v)
{
    static const uint8_t alphabet[256] = {
        ['a'] = 1, ['b'] = 1, ['c'] = 1, ['d'] = 1, ['e'] = 1, ['f'] = 1, ['g'] = 1, ['h'] = 1, ['i'] = 1,
        ['j'] = 1, ['k'] = 1, ['l'] = 1, ['m'] = 1, ['n'] = 1, ['o'] = 1, ['p'] = 1, ['q'] = 1, ['r'] = 1,
        ['s'] = 1, ['t'] = 1, ['u'] = 1, ['v'] = 1, ['w'] = 1, ['x'] = 1, ['y'] = 1, ['z'] = 1, ['A'] = 1,
        ['B'] = 1, ['C'] = 1, ['D'] = 1, ['E'] = 1, ['F'] = 1, ['G'] = 1, ['H'] = 1, ['I'] = 1, ['J'] = 1,
        ['K'] = 1, ['L'] = 1, ['M'] = 1, ['N'] = 1, ['O'] = 1, ['P'] = 1, ['Q'] = 1, ['R'] = 1, ['S'] = 1,
        ['T'] = 1, ['U'] = 1, ['V'] = 1, ['W'] = 1, ['X'] = 1, ['Y'] = 1, ['Z'] = 1, ['0'] = 1, ['1'] = 1,
        ['2'] = 1, ['3'] = 1, ['4'] = 1, ['5'] = 1, ['6'] = 1, ['7'] = 1, ['8'] = 1, ['9'] = 1, ['-'] = 1,
        ['.'] = 1, ['_'] = 1, ['~'] = 1, ['+'] = 1, ['/'] = 1};
    size_t i = 0, end = v.len;
    uint8_t all = 1;
    while (end > 0 && v.p[end - 1] == '=')
        end--;
    for (i = 0; i < end; i++)
        all &= alphabet[v.p[i]];
    return end > 0 && all != 0;
}

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
    return is_token68(*value) ? LK_OK : LK_REFUSED;
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
        if (!is_token68(candidate) || (i > 0 && !lk_view_equal(candidate, *value))) {
            *value = (lk_view){0};
            return LK_REFUSED;
        }
        *value = candidate;
    }
    return n > 0 ? LK_OK : LK_MISS;
}
