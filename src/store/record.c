/* SPDX-License-Identifier: Apache-2.0
 *
 * record.c - one session as bytes, version 1. Head first, then the fields: a copy of the head is enough to
 * judge.
 *
 *   at  bytes  what (numbers are least significant byte first)
 *    0    1    version, 1
 *    1    1    flags LK_SESSION_*; 0x80: `previous` is there; 0x40: a device class is
 *    2    2    length of the head, these bytes included
 *    4    2    length of the fields that follow the head
 *    6    5    seen_s (rewritten in place by lk_record_touch)
 *   11    5    created_s
 *   16    5    issued_s
 *   21    5    auth_s
 *   26    5    expires_s
 *   31    2    issued_ms
 *   33    4    idle_s
 *   37    4    generation
 *   41    4    revision
 *   45   12    key
 *   57   20    proof
 *   77    6    lengths of user, realm, name, device, agent, address
 *   83    4    lengths of roles, scope
 *   87   12    previous, only with flag 0x80
 *              only with flag 0x40: length of the device class (1 byte, 1 to 32) and the class
 *              the texts: user, realm, name, device, agent, address, roles, scope
 *              the fields, see fields.c
 *
 * docs/formats/session-record.md says when the version is raised. tests/unit/store/samples keeps a record of
 * each version, which must stay readable.
 */
#include "store/fields.h"
#include "store/pack.h"
#include <latchkey/session.h>
#include <string.h>

#define RECORD_VERSION 1
#define FIXED_LEN 87
#define FLAGS_KNOWN                                                                                          \
    (LK_SESSION_ANONYMOUS | LK_SESSION_REMEMBER | LK_SESSION_TOKEN | LK_SESSION_ENDING | LK_SESSION_API_KEY)
#define FLAG_PREVIOUS 0x80u
#define FLAG_CLASS 0x40u

enum {
    AT_VERSION = 0,
    AT_FLAGS = 1,
    AT_HEAD_LEN = 2,
    AT_FIELDS_LEN = 4,
    AT_SEEN = 6,
    AT_CREATED = 11,
    AT_ISSUED = 16,
    AT_AUTH = 21,
    AT_EXPIRES = 26,
    AT_ISSUED_MS = 31,
    AT_IDLE = 33,
    AT_GENERATION = 37,
    AT_REVISION = 41,
    AT_KEY = 45,
    AT_PROOF = 57,
    AT_SHORT_LENS = 77,
    AT_LONG_LENS = 83
};

#define SHORT_TEXTS 6 /* length in one byte */
#define TEXTS 8

/* The texts in their order in the record. */
static const struct text {
    size_t member; /* offset of the lk_view in lk_session */
    size_t max;
} texts[TEXTS] = {
    {offsetof(lk_session, user), LK_USER_ID_MAX},   {offsetof(lk_session, realm), LK_REALM_MAX},
    {offsetof(lk_session, name), LK_USER_NAME_MAX}, {offsetof(lk_session, device), LK_DEVICE_MAX},
    {offsetof(lk_session, agent), LK_AGENT_MAX},    {offsetof(lk_session, address), LK_ADDRESS_MAX},
    {offsetof(lk_session, roles), LK_ROLES_MAX},    {offsetof(lk_session, scope), LK_SCOPE_MAX},
};

_Static_assert(FIXED_LEN + LK_SESSION_KEY_LEN + 1 + LK_DEVICE_CLASS_MAX + LK_USER_ID_MAX + LK_REALM_MAX +
                       LK_USER_NAME_MAX + LK_DEVICE_MAX + LK_AGENT_MAX + LK_ADDRESS_MAX + LK_ROLES_MAX +
                       LK_SCOPE_MAX <=
                   LK_HEAD_MAX,
               "a head at all its bounds fits in LK_HEAD_MAX");

static const lk_view *text_of(const lk_session *s, size_t i)
{
    return (const lk_view *)(const void *)((const uint8_t *)s + texts[i].member);
}

/* Are there control characters (below 0x20, or 0x7f) in LEN bytes? Eight at a time: the head of every record
 * that is read goes through here, since its texts end up in request headers. */
static bool has_control(const uint8_t *p, size_t len)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), tops = UINT64_C(0x8080808080808080);
    uint64_t bad = 0;
    size_t i = 0;

    for (; i + 8 <= len; i += 8) {
        uint64_t x, y;

        memcpy(&x, p + i, 8);
        y = x ^ (ones * 0x7f);
        bad |= (x - ones * 0x20) & ~x & tops;
        bad |= (y - ones) & ~y & tops;
    }
    for (; i < len; i++)
        bad |= p[i] < 0x20 || p[i] == 0x7f;
    return bad != 0;
}

static bool is_zero(const lk_session_key *key)
{
    static const lk_session_key zero;

    return memcmp(key, &zero, sizeof(zero)) == 0;
}

static bool is_time(int64_t at_s)
{
    return at_s >= 0 && at_s <= LK_U40_MAX;
}

/* May S be written as it is? */
static lk_status check_bounds(const lk_session *s)
{
    for (size_t i = 0; i < TEXTS; i++) {
        const lk_view *text = text_of(s, i);

        if (text->len > texts[i].max)
            return LK_FULL;
        if (has_control(text->p, text->len))
            return LK_REFUSED;
    }
    if (s->device_class.len > LK_DEVICE_CLASS_MAX)
        return LK_FULL;
    if (has_control(s->device_class.p, s->device_class.len))
        return LK_REFUSED;
    if (!is_time(s->seen_s) || !is_time(s->created_s) || !is_time(s->issued_s) || !is_time(s->auth_s) ||
        s->issued_ms > 999)
        return LK_FULL;
    if (!is_time(s->expires_s) || s->idle_s < 0 || s->idle_s > UINT32_MAX ||
        s->fields.len > LK_FIELDS_BYTES_MAX)
        return LK_FULL;
    if ((s->flags & ~(uint32_t)FLAGS_KNOWN) != 0 || !lk__fields_are_whole(s->fields))
        return LK_REFUSED;
    return LK_OK;
}

static void write_fixed(const lk_session *s, size_t head_len, uint8_t p[FIXED_LEN])
{
    p[AT_VERSION] = RECORD_VERSION;
    p[AT_FLAGS] = (uint8_t)(s->flags | (is_zero(&s->previous) ? 0 : FLAG_PREVIOUS) |
                            (s->device_class.len > 0 ? FLAG_CLASS : 0));
    lk__put16(p + AT_HEAD_LEN, (uint16_t)head_len);
    lk__put16(p + AT_FIELDS_LEN, (uint16_t)s->fields.len);
    lk__put40(p + AT_SEEN, s->seen_s);
    lk__put40(p + AT_CREATED, s->created_s);
    lk__put40(p + AT_ISSUED, s->issued_s);
    lk__put40(p + AT_AUTH, s->auth_s);
    lk__put40(p + AT_EXPIRES, s->expires_s);
    lk__put16(p + AT_ISSUED_MS, s->issued_ms);
    lk__put32(p + AT_IDLE, (uint32_t)s->idle_s);
    lk__put32(p + AT_GENERATION, s->generation);
    lk__put32(p + AT_REVISION, s->revision);
    memcpy(p + AT_KEY, s->key.bytes, LK_SESSION_KEY_LEN);
    memcpy(p + AT_PROOF, s->proof, LK_SESSION_PROOF_LEN);
    for (size_t i = 0; i < SHORT_TEXTS; i++)
        p[AT_SHORT_LENS + i] = (uint8_t)text_of(s, i)->len;
    for (size_t i = SHORT_TEXTS; i < TEXTS; i++)
        lk__put16(p + AT_LONG_LENS + 2 * (i - SHORT_TEXTS), (uint16_t)text_of(s, i)->len);
}

lk_status lk_record_write(const lk_session *s, lk_buf *out)
{
    uint8_t fixed[FIXED_LEN];
    size_t head_len = FIXED_LEN + (is_zero(&s->previous) ? 0 : LK_SESSION_KEY_LEN);
    lk_status status = check_bounds(s);

    if (status != LK_OK)
        return status;
    head_len += s->device_class.len > 0 ? 1 + s->device_class.len : 0;
    for (size_t i = 0; i < TEXTS; i++)
        head_len += text_of(s, i)->len;
    if (out->full || out->cap - out->len < head_len + s->fields.len)
        return LK_FULL;

    write_fixed(s, head_len, fixed);
    lk_buf_add(out, lk_view_make(fixed, sizeof(fixed)));
    if (!is_zero(&s->previous))
        lk_buf_add(out, lk_view_make(s->previous.bytes, LK_SESSION_KEY_LEN));
    if (s->device_class.len > 0)
        lk_buf_add_byte(out, (uint8_t)s->device_class.len);
    lk_buf_add(out, s->device_class);
    for (size_t i = 0; i < TEXTS; i++)
        lk_buf_add(out, *text_of(s, i));
    lk_buf_add(out, s->fields);
    return lk_buf_status(out);
}

size_t lk_record_head_len(lk_view record)
{
    size_t head_len;

    if (record.len < FIXED_LEN || record.p[AT_VERSION] != RECORD_VERSION)
        return 0;
    head_len = lk__get16(record.p + AT_HEAD_LEN);
    if (head_len < FIXED_LEN || head_len > LK_HEAD_MAX || head_len > record.len)
        return 0;
    return head_len;
}

/* The views of the texts, which start at byte AT of the head and must end with it. */
static bool read_texts(lk_view head, size_t at, lk_session *out)
{
    size_t begin = at;

    for (size_t i = 0; i < TEXTS; i++) {
        lk_view *text = (lk_view *)(void *)((uint8_t *)out + texts[i].member);
        size_t len = i < SHORT_TEXTS ? head.p[AT_SHORT_LENS + i]
                                     : lk__get16(head.p + AT_LONG_LENS + 2 * (i - SHORT_TEXTS));

        if (len > texts[i].max || len > head.len - at)
            return false;
        *text = lk_view_make(head.p + at, len);
        at += len;
    }
    return at == head.len && !has_control(head.p + begin, at - begin);
}

/* The device class at byte *AT of the head, which is moved behind it. */
static bool read_class(lk_view head, size_t *at, lk_session *out)
{
    size_t len = *at < head.len ? head.p[*at] : 0;

    if (len == 0 || len > LK_DEVICE_CLASS_MAX || len > head.len - *at - 1)
        return false;
    out->device_class = lk_view_make(head.p + *at + 1, len);
    *at += 1 + len;
    return !has_control(out->device_class.p, len);
}

static void read_fixed(const uint8_t *p, lk_session *out)
{
    out->flags = p[AT_FLAGS] & FLAGS_KNOWN;
    out->seen_s = lk__get40(p + AT_SEEN);
    out->created_s = lk__get40(p + AT_CREATED);
    out->issued_s = lk__get40(p + AT_ISSUED);
    out->auth_s = lk__get40(p + AT_AUTH);
    out->expires_s = lk__get40(p + AT_EXPIRES);
    out->issued_ms = lk__get16(p + AT_ISSUED_MS);
    out->idle_s = lk__get32(p + AT_IDLE);
    out->generation = lk__get32(p + AT_GENERATION);
    out->revision = lk__get32(p + AT_REVISION);
    memcpy(out->key.bytes, p + AT_KEY, LK_SESSION_KEY_LEN);
    memcpy(out->proof, p + AT_PROOF, LK_SESSION_PROOF_LEN);
    memset(&out->previous, 0, sizeof(out->previous));
    out->device_class = (lk_view){0};
}

lk_status lk_record_read(lk_view record, lk_session *out)
{
    size_t head_len = lk_record_head_len(record), at = FIXED_LEN, fields_len;

    /* A flag this version does not know may change what the record means: never guessed. */
    if (head_len == 0 || (record.p[AT_FLAGS] & ~(FLAGS_KNOWN | FLAG_PREVIOUS | FLAG_CLASS)) != 0)
        return LK_STALE;
    fields_len = lk__get16(record.p + AT_FIELDS_LEN);
    if (record.len != head_len && record.len - head_len != fields_len)
        return LK_STALE;

    read_fixed(record.p, out);
    if (record.p[AT_FLAGS] & FLAG_PREVIOUS) {
        if (head_len - at < LK_SESSION_KEY_LEN)
            return LK_STALE;
        memcpy(out->previous.bytes, record.p + at, LK_SESSION_KEY_LEN);
        at += LK_SESSION_KEY_LEN;
    }
    if ((record.p[AT_FLAGS] & FLAG_CLASS) != 0 && !read_class(lk_view_make(record.p, head_len), &at, out))
        return LK_STALE;
    if (out->issued_ms > 999 || !read_texts(lk_view_make(record.p, head_len), at, out))
        return LK_STALE;
    out->fields = lk_view_make(record.p + head_len, record.len - head_len);
    return lk__fields_are_whole(out->fields) ? LK_OK : LK_STALE;
}

lk_status lk_record_touch(uint8_t *record, size_t len, int64_t seen_s)
{
    if (lk_record_head_len(lk_view_make(record, len)) == 0 || !is_time(seen_s))
        return LK_STALE;
    if (seen_s > lk__get40(record + AT_SEEN))
        lk__put40(record + AT_SEEN, seen_s);
    return LK_OK;
}
