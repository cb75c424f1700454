/* SPDX-License-Identifier: Apache-2.0
 *
 * marks.c - fences and cut-offs as bytes. Levels and reasons stand in them as words, not as numbers: the
 * numbers belong to one build, and a mark that revokes must mean the same to the next one.
 */
#include "store/pack.h"
#include "store/rules.h"
#include <string.h>

#define CUTOFF_VERSION 1
#define CUTOFF_FIXED 20
#define FENCE_FIXED 8

/* A reason that this build does not know, or none at all: what it ended is known all the same. */
static lk_reason reason_of(lk_view word)
{
    lk_reason reason = lk_reason_of(word);

    return reason != LK_REASON_NONE ? reason : LK_REASON_REVOKED;
}

lk_status lk__fence_write(lk_reason reason, int64_t until_s, lk_buf *out)
{
    uint8_t fixed[FENCE_FIXED];

    lk__put64(fixed, (uint64_t)until_s);
    lk_buf_add(out, lk_view_make(fixed, sizeof(fixed)));
    lk_buf_add_text(out, lk_reason_word(reason));
    return lk_buf_status(out);
}

void lk__fence_read(lk_view fence, lk_reason *reason, int64_t *until_s)
{
    *reason = LK_REASON_REVOKED;
    *until_s = 0;
    if (fence.len < FENCE_FIXED)
        return;
    *until_s = (int64_t)lk__get64(fence.p);
    *reason = reason_of(lk_view_part(fence, FENCE_FIXED, fence.len));
}

lk_status lk__cutoff_write(const lk_cutoff *c, lk_buf *out)
{
    uint8_t fixed[CUTOFF_FIXED];
    lk_view level = lk_view_of(lk_level_name(c->level)), reason = lk_view_of(lk_reason_word(c->reason));
    lk_view key = lk_view_make(c->key, strnlen(c->key, LK_CUTOFF_KEY_MAX + 1));

    if (level.len == 0 || key.len > LK_CUTOFF_KEY_MAX)
        return LK_REFUSED;
    fixed[0] = CUTOFF_VERSION;
    fixed[1] = (uint8_t)level.len;
    fixed[2] = (uint8_t)reason.len;
    fixed[3] = (uint8_t)key.len;
    lk__put64(fixed + 4, (uint64_t)c->before_ms);
    lk__put64(fixed + 12, (uint64_t)c->until_s);
    lk_buf_add(out, lk_view_make(fixed, sizeof(fixed)));
    lk_buf_add(out, level);
    lk_buf_add(out, reason);
    lk_buf_add(out, key);
    return lk_buf_status(out);
}

lk_status lk__cutoff_read(lk_view bytes, lk_cutoff *out)
{
    size_t level_len, reason_len, key_len, at = CUTOFF_FIXED;

    memset(out, 0, sizeof(*out));
    if (bytes.len < CUTOFF_FIXED || bytes.p[0] != CUTOFF_VERSION)
        return LK_STALE;
    level_len = bytes.p[1];
    reason_len = bytes.p[2];
    key_len = bytes.p[3];
    if (key_len > LK_CUTOFF_KEY_MAX || bytes.len != CUTOFF_FIXED + level_len + reason_len + key_len)
        return LK_STALE;
    if (lk_level_of(lk_view_part(bytes, at, level_len), &out->level) != LK_OK)
        return LK_STALE;
    at += level_len;
    out->reason = reason_of(lk_view_part(bytes, at, reason_len));
    at += reason_len;
    if (key_len > 0)
        memcpy(out->key, bytes.p + at, key_len);
    out->before_ms = (int64_t)lk__get64(bytes.p + 4);
    out->until_s = (int64_t)lk__get64(bytes.p + 12);
    return LK_OK;
}
