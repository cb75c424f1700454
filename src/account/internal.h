/* SPDX-License-Identifier: Apache-2.0
 *
 * internal.h - what the files of src/account share. Private.
 */
#ifndef LATCHKEY_ACCOUNT_INTERNAL_H
#define LATCHKEY_ACCOUNT_INTERNAL_H

#include "crypto/mac.h"
#include "crypto/password.h"
#include "sql/sql.h"
#include <latchkey/account.h>
#include <pthread.h>

#define LK_NAME_FOLDED_MAX (4 * LK_USER_NAME_MAX) /* folding makes three letters of one at the most */
#define LK_DICTIONARY "/var/cache/cracklib/cracklib_dict"
#define LK_ACCOUNT_ID_LEN 16 /* base64url characters of an id that is made here */
#define LK_STRIPES 64

struct lk_accounts {
    const lk_env *env;
    const lk_settings *settings;
    const struct lk_mac *mac;        /* LK_PURPOSE_THROTTLE */
    const struct lk_mac *client_mac; /* LK_PURPOSE_CLIENT */
    lk_sql *sql;
    const struct lk__account_text *text; /* of its dialect */
    lk_password_cost cost;
    const char *dictionary;  /* LK_DICTIONARY; a test may point it elsewhere before other threads start */
    char nobody[LK_PHC_MAX]; /* the hash that is checked where there is no user: nobody has its password */
    /* One login of an account from an address at a time in this process, so that logins which will succeed
     * do not meet the bound together while none of them has been given back yet. */
    pthread_mutex_t stripes[LK_STRIPES];
};

/* ---- schema.c ---- */

/* The newest schema this program knows. */
#define LK_SCHEMA_VERSION 6
/* Make the tables; with UPGRADE, or on SQLite, bring older ones to LK_SCHEMA_VERSION. LK_OK; LK_STALE when
 * they are newer, or older without UPGRADE; LK_FULL; LK_FAULT. */
LK_CHECKED lk_status lk__schema_make(lk_sql *sql, bool upgrade, lk_note *note);
/* Are the tables as this program needs them? SQLite's are made so. LK_OK; LK_MISS there are none; LK_STALE;
 * LK_FULL; LK_FAULT. */
LK_CHECKED lk_status lk__schema_ready(lk_sql *sql, lk_note *note);

/* ---- text.c ---- */

typedef struct lk__account_text {
    const char
        *counter;     /* key: the counter of that key, made if it was not there, locked: failures, ends_s */
    const char *know; /* account, address, until */
    const char *old_counters;  /* now, limit: keys of counters whose time is over, locked */
    const char *old_addresses; /* now, limit: account, address, locked */
    const char *old_devices;   /* now, limit: ids of devices whose time is over, locked */
    const char *hold_user;     /* id: the row of that user, locked */
} lk__account_text;

const lk__account_text *lk__account_text_of(lk_sql_dialect dialect);

/* ---- write.c ---- */

/* A change: all of it inside LINK's transaction, which is committed when it answers LK_OK and rolled back
 * otherwise. It may be run more than once, so it sets its results anew each time. LK_FAULT is for what the
 * database did. */
typedef lk_status (*lk__account_work)(lk_sql_link *link, void *argument);

/* What WORK answers; LK_FAULT when the database failed, with the reason in the note. */
LK_CHECKED lk_status lk__account_write(lk_accounts *a, lk_sql_durability durability, lk__account_work work,
                                       void *argument, lk_note *note);

/* ---- name.c ---- */

/* What makes two names one: NFKC and case folding. NAME must be normalised. LK_OK; LK_REFUSED. */
LK_CHECKED lk_status lk__name_fold(lk_view name, lk_buf *out);
/* Can TEXT be kept by every dialect: UTF-8 without NUL? What cannot is in no row. */
bool lk__is_text(lk_view text);
/* Does ID look like the id of a user? */
bool lk__is_id(lk_view id);
/* LK_OK; LK_REFUSED with the rule. */
LK_CHECKED lk_status lk__realm_check(lk_view realm, lk_note *note);
/* Words with one space between them, each once. LK_OK; LK_REFUSED with the rule. */
LK_CHECKED lk_status lk__roles_normalize(lk_view roles, lk_buf *out, lk_note *note);

/* ---- policy.c, guess.c, dictionary.c ---- */

/* lk_password_policy for any realm. */
LK_CHECKED lk_status lk__policy_check(const lk_accounts *a, lk_view realm, lk_view name, lk_view password,
                                      lk_note *note);

/* Text as lower-case code points, for comparing guesses. */
typedef struct lk__letters {
    uint32_t at[LK_PASSWORD_MAX];
    size_t n;
} lk__letters;
/* TEXT must be UTF-8; what is over LK_PASSWORD_MAX is left out. */
void lk__letters_of(lk_view text, lk__letters *out);
/* Length of the shortest text that T is made of by repeating it; t->n when it is none. */
size_t lk__letters_unit(const lk__letters *t);
/* How many letters of T are left when each run (same letter, next letters, neighbours on the keyboard) of
 * three or more counts as one. */
size_t lk__letters_fresh(const lk__letters *t);
/* Mark in COVERED[t->n] where WORD stands in T. Words under three letters stand nowhere. */
void lk__letters_cover(const lk__letters *t, const uint32_t *word, size_t n, bool *covered);

/* Is PASSWORD in the dictionary, or made of one of its words, or of NAME? LK_OK it is not; LK_REFUSED it is,
 * with the rule; LK_FAULT when the dictionary cannot be read, with the package that brings it. Threads wait
 * for each other. */
LK_CHECKED lk_status lk__dictionary_check(const char *dictionary, lk_view password, lk_view name,
                                          lk_note *note);

/* ---- users.c ---- */

#define LK_USER_COLUMNS "id, name, realm, roles, state, created_s, changed_s, login_s"
#define LK_USER_COLUMNS_N 8
/* The text of COLUMN with a NUL behind it. LK_OK; LK_FAULT when it does not fit. */
LK_CHECKED lk_status lk__column_text(lk_sql_query *q, int column, char *out, size_t cap);
/* The present row, which begins with LK_USER_COLUMNS. LK_OK; LK_FAULT when a value does not fit. */
LK_CHECKED lk_status lk__user_read(lk_sql_query *q, lk_user *out);

/* ---- throttle.c ---- */

/* The three counters that a login moves. */
enum { LK_THROTTLE_PAIR, LK_THROTTLE_ADDRESS, LK_THROTTLE_ACCOUNT, LK_THROTTLE_COUNT };

typedef struct lk__attempt {
    uint8_t keys[LK_THROTTLE_COUNT][LK_MAC_LEN];
    int64_t ends_s[LK_THROTTLE_COUNT]; /* of the windows it was counted in */
} lk__attempt;

/* Name the counters of a login. FOLDED is the folded name (or what was sent, when that is no name). LK_OK,
 * LK_FAULT. */
LK_CHECKED lk_status lk__throttle_name(const lk_accounts *a, lk_view realm, lk_view folded, lk_view address,
                                       lk__attempt *out);
/* In LINK's transaction: count the attempt as a failure, in advance. LK_OK; LK_FULL when a bound is met, with
 * the seconds until it is not (nothing is counted then); LK_FAULT. */
LK_CHECKED lk_status lk__throttle_enter(const lk_accounts *a, lk_sql_link *link, lk__attempt *attempt,
                                        int64_t *retry_after_s);
/* Name the counters of an OAuth client. It has no account-wide one: nobody who sends wrong secrets from
 * elsewhere keeps a client out. LK_OK, LK_FAULT. */
LK_CHECKED lk_status lk__throttle_client(const lk_accounts *a, lk_view realm, lk_view name, lk_view address,
                                         lk__attempt *out);
/* Would a client's attempt meet a bound? Writes nothing. LK_OK; LK_FULL with the seconds; LK_FAULT. */
LK_CHECKED lk_status lk__throttle_look(const lk_accounts *a, lk_sql_link *link, const lk__attempt *attempt,
                                       int64_t *retry_after_s);
/* In LINK's transaction: a client's attempt was a failure. LK_OK, LK_FAULT. */
LK_CHECKED lk_status lk__throttle_count(const lk_accounts *a, lk_sql_link *link, lk__attempt *attempt);
/* In LINK's transaction: it was no failure. */
LK_CHECKED lk_status lk__throttle_give_back(lk_sql_link *link, const lk__attempt *attempt);
/* In LINK's transaction: it was a success. The pair starts from nothing and the address becomes known. */
LK_CHECKED lk_status lk__throttle_succeed(const lk_accounts *a, lk_sql_link *link,
                                          const lk__attempt *attempt);

#endif
