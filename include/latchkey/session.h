/* SPDX-License-Identifier: Apache-2.0
 *
 * session.h - what is remembered of one login (or one anonymous visit), and its record as bytes.
 */
#ifndef LATCHKEY_SESSION_H
#define LATCHKEY_SESSION_H

#include <latchkey/env.h>
#include <latchkey/reason.h>
#include <latchkey/secret.h>
#include <latchkey/victim.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LK_SESSION_ID_BYTES 32
#define LK_SESSION_ID_LEN 43 /* base64url of the 32 bytes */
#define LK_SESSION_KEY_LEN 12
#define LK_SESSION_PROOF_LEN 20
#define LK_PUBLIC_ID_LEN 16 /* base64url of the 12 bytes */

#define LK_USER_ID_MAX 64    /* bytes of a user id */
#define LK_USER_NAME_MAX 128 /* bytes of a login or display name, UTF-8 */
#define LK_REALM_MAX 32
#define LK_ROLES_MAX 256 /* bytes of all roles with the spaces between them */
#define LK_SCOPE_MAX 256
#define LK_DEVICE_MAX 64 /* bytes of a device id */
#define LK_DEVICE_CLASS_MAX 32
#define LK_API_KEY_PUBLIC_LEN 8 /* characters of an API key that name it */
#define LK_AGENT_MAX 128        /* bytes kept of User-Agent, cut at a character */
#define LK_ADDRESS_MAX 45
#define LK_HEAD_MAX 1280 /* bytes of a record without its fields, at most */
#define LK_FIELD_NAME_MAX 64
#define LK_FIELDS_MAX 64 /* fields of one session */
#define LK_FIELDS_BYTES_MAX 16384
#define LK_RECORD_MAX (LK_HEAD_MAX + LK_FIELDS_BYTES_MAX)

/* The name of a session in every store, list and log: the first 12 bytes of the keyed hash of its id. Shown
 * in base64url (16 characters) it is the public id. It names a session and opens nothing: who presents an id
 * must also match the other 20 bytes (the proof), which are kept in the record. docs/formats/session-id.md */
typedef struct lk_session_key {
    uint8_t bytes[LK_SESSION_KEY_LEN];
} lk_session_key;

void lk_public_id_write(const lk_session_key *key, char out[LK_PUBLIC_ID_LEN + 1]);
/* LK_OK, or LK_REFUSED when TEXT is not 16 base64url characters. */
LK_CHECKED lk_status lk_public_id_read(lk_view text, lk_session_key *out);

enum {
    LK_SESSION_ANONYMOUS = 1, /* nobody logged in yet: user is empty */
    LK_SESSION_REMEMBER = 2,  /* "stay logged in": no idle limit, the long absolute one */
    LK_SESSION_TOKEN = 4,     /* the record behind a token: its id was never given out, so no id opens it */
    LK_SESSION_ENDING = 8,    /* replaced by a newer id: readable until expires_s, never written or touched */
    LK_SESSION_API_KEY = 16   /* the record behind an API key: no limit counts or ends it */
};

/* One session, decoded. Views point into the record it was read from (or at what the caller set, when it is
 * to be written). */
typedef struct lk_session {
    lk_session_key key;
    uint8_t proof[LK_SESSION_PROOF_LEN];
    lk_session_key
        previous;        /* the session this one replaced, all zero when none: a logout ends that one too */
    uint32_t generation; /* raised by every id change and logout */
    uint32_t revision;   /* raised by every change of the fields; the ETag */
    uint32_t flags;
    int64_t created_s;  /* first seen, kept over id changes */
    int64_t issued_s;   /* this id given out; what cut-offs are compared with */
    uint16_t issued_ms; /* the milliseconds of issued_s, 0 to 999 */
    int64_t auth_s;     /* last full login; 0 when anonymous. For max_age= */
    int64_t seen_s;     /* last use, as coarse as the flush rule makes it */
    int64_t idle_s;     /* allowed time without use; 0 = no idle limit */
    int64_t expires_s;  /* absolute end */
    lk_view user;       /* id, not name */
    lk_view name;
    lk_view realm;
    lk_view roles;        /* space-separated */
    lk_view scope;        /* space-separated */
    lk_view device;       /* id, empty when none */
    lk_view device_class; /* "mobile", "desktop": what limits go by; empty when none */
    lk_view agent;
    lk_view address;
    lk_view fields; /* encoded fields, see lk_fields_next */
} lk_session;

/* The moment S is over if it is not used again: the nearer of its idle and absolute ends. */
int64_t lk_session_ends_s(const lk_session *s);

/* LK_OK while S is alive at NOW_S; LK_STALE with *why = expired or idle (or replaced) when it is over. */
LK_CHECKED lk_status lk_session_alive(const lk_session *s, int64_t now_s, lk_reason *why);

/* Encode. LK_OK; LK_FULL when a bound above is passed (times: 0 to 2^40 - 1) or OUT has no room; LK_REFUSED
 * when a text holds a control character, a flag is unknown, or the fields are not encoded fields. Nothing is
 * added on anything but LK_OK. Format: docs/formats/session-record.md */
LK_CHECKED lk_status lk_record_write(const lk_session *s, lk_buf *out);

/* Length of the head (everything but the fields) at the front of RECORD, or 0 when it is no record. */
size_t lk_record_head_len(lk_view record);

/* Decode. RECORD may be cut after the head: then fields is empty. LK_OK; LK_STALE when it is of a newer
 * version or damaged (counted by the caller, never guessed). */
LK_CHECKED lk_status lk_record_read(lk_view record, lk_session *out);

/* Replace seen_s inside an encoded record, if it is later than what is there. LK_OK or LK_STALE. */
LK_CHECKED lk_status lk_record_touch(uint8_t *record, size_t len, int64_t seen_s);

/* The fields of a session, one after the other. Start with *AT = 0. `value` is JSON text. False at the end.
 */
typedef struct lk_field {
    lk_view name;
    lk_view value;
} lk_field;
bool lk_fields_next(lk_view fields, size_t *at, lk_field *out);
LK_CHECKED lk_status lk_fields_get(lk_view fields, lk_view name, lk_view *value); /* LK_OK, LK_MISS */

/* Is NAME one that the gateway keeps for itself: `latchkey.` and more? Applications and visitors neither see,
 * set nor remove such a field, and it moves into no other session. */
bool lk_field_is_ours(lk_view name);

/* Field operations. A change is a list of these, applied all or none to a session that is still in the
 * generation the writer saw: two writers of different fields both win, a writer that comes after a logout
 * loses. Values are JSON texts. */
typedef enum lk_op_kind {
    LK_OP_SET,         /* name = value */
    LK_OP_COMPARE_SET, /* name = value if it is `expected` now (expected.len 0: if it is absent) */
    LK_OP_ADD,         /* name = name + number; absent counts as 0 */
    LK_OP_MAX,         /* name = max(name, number); absent counts as number */
    LK_OP_APPEND, /* name is an array: push value, keep the last `keep` (1..) elements; absent counts as [] */
    LK_OP_DELETE  /* remove name; absent is fine */
} lk_op_kind;

typedef struct lk_op {
    lk_op_kind kind;
    lk_view name;
    lk_view value;
    lk_view expected;
    int64_t number;
    uint32_t keep;
} lk_op;

/* Apply OPS, in their order, to the encoded FIELDS; the result is added to OUT, whose room beyond the bounds
 * is what the steps on the way may use. Values are compared as bytes, without blanks around them. Gives
 * LK_OK; LK_REFUSED when a compare fails, a name or value is no name or JSON text, or a value is not of the
 * kind the operation needs; LK_FULL when a bound is passed. On anything but LK_OK nothing is added and the
 * note says which operation. Pure: stores share it. */
LK_CHECKED lk_status lk_fields_apply(lk_view fields, const lk_op *ops, size_t n, lk_buf *out, lk_note *note);

#ifdef __cplusplus
}
#endif
#endif
