/* SPDX-License-Identifier: Apache-2.0
 *
 * account.h - users, passwords, roles, and the throttling of guesses. Blocking; call from a thread that may
 * block.
 */
#ifndef LATCHKEY_ACCOUNT_H
#define LATCHKEY_ACCOUNT_H

#include <latchkey/device.h>
#include <latchkey/env.h>
#include <latchkey/session.h>
#include <latchkey/settings.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lk_accounts lk_accounts;

/* Open settings->accounts ("sqlite:/path", "postgres://...", "mariadb://..."). The tables of SQLite are made
 * or brought up to date; those of a server must be there (lk_accounts_setup). Open after fork; safe from
 * several threads. LK_OK; LK_REFUSED (bad URL, wrong password, no such database); LK_MISS (no tables on the
 * server yet); LK_STALE (tables of a newer program, or of an older one that must be upgraded); LK_FAULT. The
 * note says what to do. Keeps ENV, SETTINGS and RING. */
LK_CHECKED lk_status lk_accounts_open(const lk_env *env, const lk_settings *settings, const lk_keyring *ring,
                                      lk_accounts **out, lk_note *note);
LK_CHECKED lk_status lk_accounts_url_check(const char *url, lk_note *note);
/* Make the tables of the accounts database URL; with UPGRADE, bring older ones to the present format. Doing
 * it twice does no harm. Needs the right to make tables, which the gateway does not. LK_OK; LK_REFUSED (as
 * lk_accounts_open); LK_STALE (newer than this program, or older and UPGRADE was not asked for); LK_FAULT. */
LK_CHECKED lk_status lk_accounts_setup(const lk_env *env, const char *url, bool upgrade, lk_note *note);
void lk_accounts_close(lk_accounts *a);

typedef enum lk_user_state { LK_USER_ENABLED, LK_USER_DISABLED } lk_user_state;

typedef struct lk_user {
    char id[LK_USER_ID_MAX + 1];     /* random, never reused: 16 base64url characters */
    char name[LK_USER_NAME_MAX + 1]; /* login name as typed (NFKC) */
    char realm[LK_REALM_MAX + 1];
    char roles[LK_ROLES_MAX + 1];
    lk_user_state state;
    int64_t created_s, changed_s, login_s; /* login_s: last login, 0 = never */
} lk_user;

/* Normalise a login name or password: NFKC. LK_OK; LK_REFUSED when it is not UTF-8 or too long (names: also
 * when it is empty, has surrounding blanks, or control, invisible or unassigned characters), with the rule in
 * the note; LK_FULL when OUT has no room; LK_FAULT without memory. docs/passwords.md */
LK_CHECKED lk_status lk_name_normalize(lk_view name, lk_buf *out, lk_note *note);
LK_CHECKED lk_status lk_password_normalize(lk_view password, lk_buf *out, lk_note *note);

/* Is PASSWORD (normalised) good enough for USER NAME under the settings: length in code points, at most
 * LK_PASSWORD_MAX bytes, not in the dictionary (libcrack), not a sequence or a repeat, not the name? No
 * composition rules. LK_OK; LK_REFUSED with the broken rule; LK_FAULT when the dictionary cannot be read: no
 * password is accepted unchecked. */
LK_CHECKED lk_status lk_password_policy(const lk_accounts *a, lk_view name, lk_view password, lk_note *note);

/* Make a user. Names are unique in a realm without regard to case. LK_OK; LK_REFUSED with the rule broken
 * (name, password, roles, realm); LK_FULL when the name is taken; LK_FAULT, a full disk included (the note
 * says so). When it answers LK_OK, the user survives kill -9 and the loss of power. */
LK_CHECKED lk_status lk_accounts_add(lk_accounts *a, lk_view realm, lk_view name, lk_view password,
                                     lk_view roles, lk_user *out, lk_note *note);

/* Check name and password. One argon2id run whoever asks: unknown users and disabled ones cost the same as a
 * wrong password. Throttled before the hash starts; a success sets the account's counter back. Gives LK_OK;
 * LK_REFUSED (unknown, wrong, disabled: not told apart); LK_FULL with *retry_after_s when throttled (by
 * account or address); LK_FAULT, a full disk included: what cannot be counted is not let through. A hash of
 * lower cost is replaced on success. ADDRESS as text; IPv6 counts by /64. docs/passwords.md */
LK_CHECKED lk_status lk_accounts_login(lk_accounts *a, lk_view realm, lk_view name, lk_view password,
                                       lk_view address, lk_user *out, int64_t *retry_after_s);

/* Look up. LK_OK, LK_MISS, LK_FAULT. find takes a name or, failing that, an id. */
LK_CHECKED lk_status lk_accounts_find(lk_accounts *a, lk_view realm, lk_view name_or_id, lk_user *out);
LK_CHECKED lk_status lk_accounts_get(lk_accounts *a, lk_view id, lk_user *out);
typedef bool (*lk_user_each)(void *context, const lk_user *u);
LK_CHECKED lk_status lk_accounts_list(lk_accounts *a, lk_view realm, lk_user_each each, void *context);

/* Changes: LK_OK; LK_MISS; LK_REFUSED with the rule; LK_FAULT (a full disk included). Ending the sessions is
 * the caller's (lk_guard_end_user). */
LK_CHECKED lk_status lk_accounts_set_password(lk_accounts *a, lk_view id, lk_view password, lk_note *note);
LK_CHECKED lk_status lk_accounts_set_state(lk_accounts *a, lk_view id, lk_user_state state);
LK_CHECKED lk_status lk_accounts_set_roles(lk_accounts *a, lk_view id, lk_view roles, lk_note *note);
LK_CHECKED lk_status lk_accounts_remove(lk_accounts *a, lk_view id);

/* ---- devices: docs/devices.md
 * ------------------------------------------------------------------- */

/* May a device be called LABEL, and be of DEVICE_CLASS? LK_OK; LK_REFUSED with the rule. */
LK_CHECKED lk_status lk_accounts_device_words_check(lk_view label, lk_view device_class, lk_note *note);
/* Register D; its times are filled in by the settings, from now on. What is over of the user's goes, and of
 * the others the ones used longest ago, until there are LK_DEVICES_MAX with it. Durable. LK_OK; LK_REFUSED
 * with the rule (label, class); LK_MISS when there is no such user; LK_FAULT. */
LK_CHECKED lk_status lk_accounts_device_add(lk_accounts *a, lk_device *d, lk_note *note);
/* LK_OK; LK_MISS (also for what can be no id); LK_FAULT. */
LK_CHECKED lk_status lk_accounts_device_get(lk_accounts *a, lk_view id, lk_device *out);
/* Those of USER that are not over, last used first: at most LK_DEVICES_MAX. OUT has room for them. LK_OK;
 * LK_FAULT. */
LK_CHECKED lk_status lk_accounts_device_list(lk_accounts *a, lk_view user, lk_device *out, size_t *n);
/* LK_OK; LK_MISS; LK_REFUSED with the rule; LK_FAULT. */
LK_CHECKED lk_status lk_accounts_device_rename(lk_accounts *a, lk_view user, lk_view id, lk_view label,
                                               lk_note *note);
/* It is given no session any more, until the next login on it: durable when it answers LK_OK. OUT receives
 * what it is, with the last session it was given, however late. First of the steps of a logout; the row stays
 * until that session has ended, so that who could not end it can be asked again. LK_OK; LK_MISS; LK_FAULT. */
LK_CHECKED lk_status lk_accounts_device_stop(lk_accounts *a, lk_view user, lk_view id, lk_device *out);
/* Forget it: durable when it answers LK_OK. OUT (may be NULL) receives what it was, with the last session it
 * was given, however late. LK_OK; LK_MISS; LK_FAULT. */
LK_CHECKED lk_status lk_accounts_device_remove(lk_accounts *a, lk_view user, lk_view id, lk_device *out);
/* Its owner logged in on it again, or vouched for it: hash, key, class, issued_ms, auth_s and session are
 * those of D, its lives begin anew. LK_OK; LK_MISS; LK_FAULT. */
LK_CHECKED lk_status lk_accounts_device_renew(lk_accounts *a, lk_device *d);
/* It goes on from session D->session to NEXT, and its time without use starts again. In one step with the
 * look whether it is still so: of two who try, one succeeds. LK_OK (D is as it is now); LK_MISS when it was
 * forgotten, renewed, moved on or put out meanwhile; LK_FAULT. */
LK_CHECKED lk_status lk_accounts_device_move(lk_accounts *a, lk_device *d, lk_view next);
/* A limit of sessions ended D->session, the one it was given last: it is given no other until the next login
 * on it (lk_accounts_device_renew). LK_OK; LK_MISS when it has gone on from there, is forgotten, or this was
 * known; LK_FAULT. */
LK_CHECKED lk_status lk_accounts_device_put_out(lk_accounts *a, const lk_device *d);
/* It signed the challenge made at MADE_MS. LK_OK; LK_MISS when it has signed that or a later one before, or
 * is gone; LK_FAULT. */
LK_CHECKED lk_status lk_accounts_device_proved(lk_accounts *a, lk_view id, int64_t made_ms);

#ifdef __cplusplus
}
#endif
#endif
