/* SPDX-License-Identifier: Apache-2.0
 *
 * session.c - public ids, and when a session is over.
 */
#include <latchkey/base64url.h>
#include <latchkey/session.h>
#include <string.h>

void lk_public_id_write(const lk_session_key *key, char out[LK_PUBLIC_ID_LEN + 1])
{
    lk_buf text = lk_buf_over(out, LK_PUBLIC_ID_LEN);

    lk_base64url_encode(lk_view_make(key->bytes, LK_SESSION_KEY_LEN), &text);
    out[LK_PUBLIC_ID_LEN] = '\0';
}

lk_status lk_public_id_read(lk_view text, lk_session_key *out)
{
    lk_session_key key;
    lk_buf bytes = lk_buf_over(key.bytes, sizeof(key.bytes));

    if (text.len != LK_PUBLIC_ID_LEN)
        return LK_REFUSED;
    if (lk_base64url_decode(text, &bytes) != LK_OK || bytes.len != LK_SESSION_KEY_LEN)
        return LK_REFUSED;
    *out = key;
    return LK_OK;
}

/* A time plus a length of time, kept at the far end instead of wrapping round. */
static int64_t later(int64_t at_s, int64_t by_s)
{
    int64_t sum;

    return __builtin_add_overflow(at_s, by_s, &sum) ? INT64_MAX : sum;
}

int64_t lk_session_ends_s(const lk_session *s)
{
    int64_t idle_end_s;

    if (s->idle_s <= 0)
        return s->expires_s;
    idle_end_s = later(s->seen_s, s->idle_s);
    return idle_end_s < s->expires_s ? idle_end_s : s->expires_s;
}

lk_status lk_session_alive(const lk_session *s, int64_t now_s, lk_reason *why)
{
    if (now_s < lk_session_ends_s(s)) {
        *why = LK_REASON_NONE;
        return LK_OK;
    }
    if (s->flags & LK_SESSION_ENDING)
        *why = LK_REASON_REPLACED;
    else
        *why = now_s >= s->expires_s ? LK_REASON_EXPIRED : LK_REASON_IDLE;
    return LK_STALE;
}
