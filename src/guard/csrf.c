/* SPDX-License-Identifier: Apache-2.0
 *
 * csrf.c - form tokens: a random part, and an HMAC that binds it to one session.
 *
 *   token = base64url(random 32) base64url(HMAC-SHA256(purpose csrf, len(bound_to) as 8 bytes || bound_to ||
 * random))
 *
 * The length in front keeps a session and a random part from being read as another pair of them.
 * docs/formats/csrf.md
 */
#include "crypto/mac.h"
#include "guard/guard_internal.h"
#include <latchkey/base64url.h>
#include <string.h>

enum { RANDOM_LEN = 32, HALF_LEN = 43 };

static lk_status sign(lk_guard *g, lk_view bound_to, const uint8_t random[RANDOM_LEN],
                      uint8_t out[LK_MAC_LEN])
{
    uint64_t len = bound_to.len;
    const lk_view parts[] = {lk_view_make(&len, sizeof(len)), bound_to, lk_view_make(random, RANDOM_LEN)};
    return lk_mac_run(lk_keyring_mac(g->parts.ring, LK_PURPOSE_CSRF), parts, 3, out);
}

lk_status lk_csrf_new(lk_guard *g, lk_view bound_to, char out[LK_CSRF_LEN + 1])
{
    uint8_t random[RANDOM_LEN], mac[LK_MAC_LEN];
    lk_buf text = lk_buf_over(out, LK_CSRF_LEN + 1);
    lk_status status = lk_random(g->parts.env, random, sizeof(random));
    if (status == LK_OK)
        status = sign(g, bound_to, random, mac);
    if (status != LK_OK)
        return LK_FAULT;
    lk_base64url_encode(lk_view_make(random, sizeof(random)), &text);
    lk_base64url_encode(lk_view_make(mac, sizeof(mac)), &text);
    return lk_buf_text(&text) != NULL ? LK_OK : LK_FAULT;
}

lk_status lk_csrf_check(lk_guard *g, lk_view bound_to, lk_view token)
{
    uint8_t given[RANDOM_LEN + LK_MAC_LEN], mac[LK_MAC_LEN];
    lk_buf bytes = lk_buf_over(given, sizeof(given));
    if (token.len != LK_CSRF_LEN)
        return LK_REFUSED;
    if (lk_base64url_decode(lk_view_part(token, 0, HALF_LEN), &bytes) != LK_OK ||
        lk_base64url_decode(lk_view_part(token, HALF_LEN, HALF_LEN), &bytes) != LK_OK)
        return LK_REFUSED;
    if (sign(g, bound_to, given, mac) != LK_OK)
        return LK_REFUSED;
    return lk_secret_equal(lk_view_make(given + RANDOM_LEN, LK_MAC_LEN), lk_view_make(mac, LK_MAC_LEN))
               ? LK_OK
               : LK_REFUSED;
}
