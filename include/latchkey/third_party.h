/* SPDX-License-Identifier: Apache-2.0
 *
 * third_party.h - programs that act for users, or for themselves: API keys and OAuth clients, as they are
 * kept with the accounts. Blocking, as account.h.
 */
#ifndef LATCHKEY_THIRD_PARTY_H
#define LATCHKEY_THIRD_PARTY_H

#include <latchkey/account.h>
#include <latchkey/session.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A scope as it is kept, appended to OUT: its WORDS, each once, with a blank between them (RFC 6749 section
 * 3.3). LK_OK; LK_REFUSED with the rule, also when there is no room in OUT. */
LK_CHECKED lk_status lk_scope_normalize(lk_view words, lk_buf *out, lk_note *note);

/* ---- API keys ---- docs/formats/api-key.md */

#define LK_API_KEY_LABEL_MAX 64   /* bytes, UTF-8 */
#define LK_API_KEY_BOUNDS_MAX 120 /* bytes of audience and address ranges together */
#define LK_API_KEYS_MAX 200       /* of one user, whatever latchkey_api_key says */
#define LK_API_KEY_LIFE_MAX_S (10LL * 366 * 86400)

typedef struct lk_api_key {
    char public_id[LK_API_KEY_PUBLIC_LEN + 1];
    char user[LK_USER_ID_MAX + 1];
    char label[LK_API_KEY_LABEL_MAX + 1];
    char scope[LK_SCOPE_MAX + 1];              /* holds these and no other */
    char roles[LK_ROLES_MAX + 1];              /* those of the user's that it may act with */
    char audience[LK_API_KEY_BOUNDS_MAX + 1];  /* words; empty: any place */
    char addresses[LK_API_KEY_BOUNDS_MAX + 1]; /* ranges; empty: from anywhere */
    int64_t created_ms, expires_s, used_s;     /* used_s: last reading of this row for a use; 0 = never */
} lk_api_key;

/* What somebody asks for becomes what is kept: texts are checked and put into one spelling, into OUT. LK_OK;
 * LK_REFUSED with the rule. */
typedef struct lk_api_key_wish {
    lk_view label, scope, roles, audience, addresses;
    int64_t expires_s;
} lk_api_key_wish;
LK_CHECKED lk_status lk_api_key_describe(const lk_api_key_wish *wish, int64_t now_s, lk_api_key *out,
                                         lk_note *note);

/* Keep KEY (public_id, user and created_ms set). Of keys that are not over a user has at most MAX, decided in
 * the same transaction; those that are over are removed by the way. LK_OK; LK_MISS when there is no such
 * user, or he is disabled; LK_FULL at the bound; LK_REFUSED when that public id is taken; LK_FAULT. */
LK_CHECKED lk_status lk_accounts_api_key_add(lk_accounts *a, const lk_api_key *key, uint32_t max,
                                             lk_note *note);

/* The key PUBLIC_PART and its user, for a use: if it is there, not over, and its user is enabled; its time of
 * use is noted. LK_OK; LK_MISS; LK_FAULT. */
LK_CHECKED lk_status lk_accounts_api_key_use(lk_accounts *a, lk_view public_part, lk_api_key *out,
                                             lk_user *user);

/* The keys of USER, oldest first; *n receives how many. LK_OK; LK_FAULT. */
LK_CHECKED lk_status lk_accounts_api_keys(lk_accounts *a, lk_view user, lk_api_key *out, size_t cap,
                                          size_t *n);
/* Who has the key PUBLIC_PART? LK_OK; LK_MISS; LK_FAULT. */
LK_CHECKED lk_status lk_accounts_api_key_get(lk_accounts *a, lk_view public_part, lk_api_key *out);

/* Take back the key PUBLIC_PART of USER, or (empty PUBLIC_PART) all of them; their sessions are the caller's
 * to end (lk_guard_api_key_end). LK_OK; LK_MISS when there was none; LK_FAULT. */
LK_CHECKED lk_status lk_accounts_api_key_remove(lk_accounts *a, lk_view user, lk_view public_part);

/* ---- OAuth clients ---- docs/third-parties.md */

#define LK_CLIENT_NAME_MAX 64
#define LK_CLIENT_SECRET_LEN 43 /* base64url of 32 random bytes */
#define LK_CLIENT_AUDIENCE_MAX 256

typedef enum lk_client_grant {
    LK_CLIENT_CREDENTIALS = 1, /* tokens of its own */
    LK_CLIENT_EXCHANGE = 2,    /* tokens with less rights, for tokens of users */
    LK_CLIENT_INTROSPECT = 4,  /* may ask what a token is worth */
    LK_CLIENT_REVOKE = 8       /* may revoke tokens of others than itself */
} lk_client_grant;
#define LK_CLIENT_GRANTS_ALL 15u

typedef struct lk_client {
    char name[LK_CLIENT_NAME_MAX + 1]; /* the client_id */
    char realm[LK_REALM_MAX + 1];
    char scope[LK_SCOPE_MAX + 1];              /* may ask for these and no other */
    char roles[LK_ROLES_MAX + 1];              /* may pass on these of a user's, by exchange */
    char audience[LK_CLIENT_AUDIENCE_MAX + 1]; /* may ask for tokens for these; words */
    unsigned grants;                           /* lk_client_grant */
    int64_t created_s, changed_s;
} lk_client;

typedef struct lk_client_wish {
    lk_view realm, name, scope, roles, audience, grants; /* grants: words, as "exchange introspect" */
} lk_client_wish;
/* As lk_api_key_describe. */
LK_CHECKED lk_status lk_client_describe(const lk_client_wish *wish, lk_client *out, lk_note *note);
/* The word of ONE grant; "" for anything else. */
const char *lk_client_grant_name(unsigned one);

/* Make CLIENT known; SECRET (NUL-terminated; wipe it) is told this once, and kept as a keyed hash. LK_OK;
 * LK_FULL when the name is taken; LK_FAULT. */
LK_CHECKED lk_status lk_accounts_client_add(lk_accounts *a, lk_client *client,
                                            char secret[LK_CLIENT_SECRET_LEN + 1], lk_note *note);
/* A new secret in place of the old one. LK_OK; LK_MISS; LK_FAULT. */
LK_CHECKED lk_status lk_accounts_client_rotate(lk_accounts *a, lk_view realm, lk_view name,
                                               char secret[LK_CLIENT_SECRET_LEN + 1]);
/* LK_OK; LK_MISS; LK_FAULT. Its tokens are the caller's to end (a cut-off at level client). */
LK_CHECKED lk_status lk_accounts_client_remove(lk_accounts *a, lk_view realm, lk_view name);
typedef bool (*lk_client_each)(void *context, const lk_client *client);
LK_CHECKED lk_status lk_accounts_client_list(lk_accounts *a, lk_view realm, lk_client_each each,
                                             void *context);
LK_CHECKED lk_status lk_accounts_client_get(lk_accounts *a, lk_view realm, lk_view name, lk_client *out);

/* Is SECRET that of the client NAME? Unknown names cost the same. Wrong ones are counted, for the pair of
 * name and address and for the address, in the counters and bounds of logins. LK_OK; LK_REFUSED; LK_FULL with
 * *retry_after_s when a bound is met; LK_FAULT. */
LK_CHECKED lk_status lk_accounts_client_login(lk_accounts *a, lk_view realm, lk_view name, lk_view secret,
                                              lk_view address, lk_client *out, int64_t *retry_after_s);

#ifdef __cplusplus
}
#endif
#endif
