/* SPDX-License-Identifier: Apache-2.0
 *
 * names.c - the keys of the store, and the bytes that lie under them. docs/stores/redis.md
 */
#include "store/pack.h"
#include "store/redis/redis_inner.h"
#include <latchkey/base64url.h>
#include <stdio.h>
#include <string.h>

#define PX_MAX INT64_C(100000000000000) /* three thousand years */

_Static_assert(LK__REDIS_KEY_MAX <= LK__REDIS_USER_KEY_MAX && LK__REDIS_FENCE_MAX <= LK__REDIS_USER_KEY_MAX &&
                   LK__REDIS_ENTRY_LEN + 1 + LK_DEVICE_CLASS_MAX <= LK__REDIS_USER_KEY_MAX,
               "a text holds any of them");

static void add(lk__redis_text *t, const void *p, size_t len)
{
    if (len > 0 && len <= sizeof(t->bytes) - t->len) {
        memcpy(t->bytes + t->len, p, len);
        t->len += len;
    }
}

static lk__redis_text begin(const lk__redis *r, const char *kind)
{
    lk__redis_text t = {.len = 0};

    add(&t, r->config.prefix, strlen(r->config.prefix));
    add(&t, kind, strlen(kind));
    return t;
}

lk__redis_named lk__redis_name(const lk__redis_address *at)
{
    lk__redis_named name;
    const char *form = at->port == 0 ? "%s" : strchr(at->host, ':') != NULL ? "[%s]:%u" : "%s:%u";

    snprintf(name.text, sizeof(name.text), form, at->host, (unsigned)at->port);
    return name;
}

lk__redis_text lk__redis_session_prefix(const lk__redis *r)
{
    return begin(r, "s:");
}

lk__redis_text lk__redis_id(const lk_session_key *key)
{
    lk__redis_text t;
    char id[LK_PUBLIC_ID_LEN + 1];

    lk_public_id_write(key, id);
    memcpy(t.bytes, id, LK_PUBLIC_ID_LEN);
    t.len = LK_PUBLIC_ID_LEN;
    return t;
}

lk__redis_text lk__redis_session_key(const lk__redis *r, const lk_session_key *key)
{
    lk__redis_text t = begin(r, "s:");
    lk_buf out = lk_buf_over(t.bytes, sizeof(t.bytes));

    out.len = t.len;
    lk_base64url_encode(lk_view_make(key->bytes, sizeof(key->bytes)), &out);
    t.len = out.len;
    return t;
}

lk__redis_text lk__redis_user_key(const lk__redis *r, lk_view realm, lk_view user)
{
    lk__redis_text t = begin(r, "u:");

    add(&t, realm.p, realm.len);
    add(&t, "", 1); /* no realm holds a zero byte: no two users have one key */
    add(&t, user.p, user.len);
    return t;
}

lk__redis_text lk__redis_event_key(const lk__redis *r, const char *which)
{
    lk__redis_text t = begin(r, "{events}");

    add(&t, which, strlen(which));
    return t;
}

lk__redis_text lk__redis_number(int64_t n)
{
    lk__redis_text t;
    lk_buf out = lk_buf_over(t.bytes, sizeof(t.bytes));

    lk_buf_add_i64(&out, n);
    t.len = out.len;
    return t;
}

lk__redis_text lk__redis_px(const lk_env *env, int64_t at_s)
{
    int64_t now_ms = lk_now_ms(env), ms;

    if (__builtin_mul_overflow(at_s, INT64_C(1000), &ms) || __builtin_sub_overflow(ms, now_ms, &ms) ||
        ms > PX_MAX)
        ms = at_s > 0 ? PX_MAX : 1;
    return lk__redis_number(ms > 0 ? ms : 1);
}

static void put_time(uint8_t *p, int64_t at_s)
{
    uint8_t ordered[8];

    if (at_s < 0)
        at_s = 0;
    lk__put64_ordered(ordered, (uint64_t)(at_s > LK_U40_MAX ? LK_U40_MAX : at_s));
    memcpy(p, ordered + 3, 5);
}

lk__redis_text lk__redis_entry(const lk_session *s)
{
    lk__redis_text t = lk__redis_id(&s->key);

    t.bytes[16] = 'l';
    put_time(t.bytes + 17, lk__session_forget_s(s));
    put_time(t.bytes + 22, s->expires_s);
    put_time(t.bytes + 27, s->seen_s);
    put_time(t.bytes + 32, s->issued_s);
    t.len = LK__REDIS_ENTRY_LEN;
    if ((s->flags & LK_SESSION_API_KEY) != 0) {
        add(&t, "k", 1);
    } else if (s->device_class.len > 0) {
        add(&t, "c", 1);
        add(&t, s->device_class.p, s->device_class.len);
    }
    return t;
}

int64_t lk__redis_latest_s(const lk_session *s)
{
    lk_session late = *s;

    late.seen_s = s->expires_s;
    return lk__session_forget_s(&late);
}

lk_status lk__redis_stamp(const lk_env *env, lk__redis_text *out)
{
    out->len = LK__REDIS_STAMP_LEN;
    put_time(out->bytes + LK__REDIS_MARK_LEN, lk_now_s(env));
    return lk_random(env, out->bytes, LK__REDIS_MARK_LEN);
}

lk_status lk__redis_fence_write(lk_reason reason, int64_t until_s, lk__redis_text *out)
{
    lk_buf bytes = lk_buf_over(out->bytes, LK__REDIS_FENCE_MAX);
    lk_status status;

    lk_buf_add_byte(&bytes, 0); /* a record begins with its version, which is never 0 */
    status = lk__fence_write(reason, until_s, &bytes);
    out->len = bytes.len;
    return status;
}

bool lk__redis_is_fence(lk_view value)
{
    return value.len > 0 && value.p[0] == 0;
}

lk_status lk__redis_value(const lk_env *env, const redisReply *reply, lk_view *value, lk_reason *why)
{
    int64_t until_s;

    *why = LK_REASON_NONE;
    *value = lk__redis_bytes(reply);
    if (reply == NULL || (reply->type != REDIS_REPLY_STRING && reply->type != REDIS_REPLY_NIL))
        return LK_FAULT;
    if (reply->type == REDIS_REPLY_NIL)
        return LK_MISS;
    if (!lk__redis_is_fence(*value))
        return LK_OK;
    lk__fence_read(lk_view_part(*value, 1, value->len), why, &until_s);
    if (until_s == 0 || until_s > lk_now_s(env))
        return LK_STALE;
    *why = LK_REASON_NONE;
    return LK_MISS;
}

lk_status lk__redis_session(const lk_env *env, lk_view record, const lk_session_key *key, lk_session *s)
{
    if (lk__record_of(record, key, s) != LK_OK)
        return LK_STALE;
    return lk__session_forget_s(s) > lk_now_s(env) ? LK_OK : LK_MISS;
}

lk_status lk__redis_found(const lk_env *env, const redisReply *reply, const lk_session_key *key,
                          lk_session *s)
{
    lk_reason why;
    lk_view value;
    lk_status status = lk__redis_value(env, reply, &value, &why);

    return status == LK_OK ? lk__redis_session(env, value, key, s) : status;
}
