/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz_bearer.c - the credential of Authorization fields: only token68 ever comes out, and only from one
 * value.
 *
 * Input: one Authorization field a line.
 */
#include "carrier/carrier.h"
#include "fuzz.h"
#include <string.h>

enum { FIELDS_MAX = 4 };

static bool is_token68_character(uint8_t c)
{
    return c != 0 &&
           strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~+/=", c) != NULL;
}

static void expect_clean(lk_view value)
{
    MUST(value.len > 0 && value.p[0] != '=');
    for (size_t i = 0; i < value.len; i++)
        MUST(is_token68_character(value.p[i]));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    lk_view fields[2 * FIELDS_MAX], value = {0}, again = {0};
    size_t n = fuzz_lines(lk_view_make(data, size), fields, FIELDS_MAX);
    lk_scheme scheme = LK_SCHEME_BEARER, its = LK_SCHEME_BEARER;
    lk_status status = lk_authorization_find(fields, n, &scheme, &value);

    MUST(status == LK_OK || status == LK_MISS || status == LK_REFUSED);
    if (status == LK_OK) {
        expect_clean(value);
        lk_view name = scheme == LK_SCHEME_DPOP ? LK_VIEW("DPoP ") : LK_VIEW("Bearer ");
        MUST(lk_view_equal_nocase(lk_view_part(lk_view_trim(fields[0]), 0, name.len), name));
    }
    /* The same fields sent twice say nothing new; one field more that differs takes a credential away. */
    memcpy(fields + n, fields, n * sizeof(fields[0]));
    MUST(lk_authorization_find(fields, 2 * n, &its, &again) == status);
    MUST(status != LK_OK || its == scheme);
    MUST(status != LK_OK || lk_view_equal(again, value));
    fields[n] = LK_VIEW("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    if (n > 0 && status == LK_OK)
        MUST(lk_authorization_find(fields, n + 1, &its, &again) == LK_REFUSED);
    status = lk_header_find(fields, n, &value);
    if (status == LK_OK)
        expect_clean(value);
    return 0;
}
