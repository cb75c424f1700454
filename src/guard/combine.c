/* SPDX-License-Identifier: Apache-2.0
 *
 * combine.c - which carriers, credentials and stores go together, and why the others do not.
 */
#include "guard/guard_internal.h"
#include <latchkey/account.h>
#include <string.h>

static bool is_only(unsigned mask, unsigned bit)
{
    return mask == (1u << bit);
}

lk_status lk_rule_check(const lk_rule *rule, const lk_settings *settings, lk_note *note)
{
    bool asks = rule->role.len > 0 || rule->scope.len > 0 || rule->realm.len > 0 || rule->max_age_s > 0;
    lk_view name = rule->scope, scope = rule->scope;
    (void)settings;
    if (rule->mode == LK_MODE_OFF && (asks || rule->carriers != 0 || rule->kinds != 0))
        lk_note_set(note, "latchkey off takes nothing after it: what is not checked cannot be asked for");
    else if (rule->mode == LK_MODE_OPTIONAL && asks)
        lk_note_set(
            note,
            "latchkey optional lets everybody in, so role=, scope=, realm= and max_age= would not hold: "
            "write required");
    else if (rule->max_age_s < 0)
        lk_note_set(note, "max_age= is a time such as 10m");
    else if (rule->role.len > LK_ROLES_MAX || rule->scope.len > LK_SCOPE_MAX ||
             rule->realm.len > LK_REALM_MAX)
        lk_note_set(
            note, "role= and scope= are at most 256 characters, realm= at most 32: no user could hold more");
    else if (scope.len > 0 && is_only(rule->kinds, LK_KIND_SESSION_ID) && lk_words_next(&scope, &name))
        lk_note_set(
            note,
            "scope= with credential=session_id does nothing: a session of the site holds every scope of "
            "its user; add a token kind, or ask for role=");
    else
        return LK_OK;
    return LK_REFUSED;
}

/* nginx, its workers and the command line are started in different directories: a relative path would be
 * three. */
static lk_status check_url(const char *name, const char *url, lk_status status, const lk_note *why,
                           lk_note *note)
{
    lk_view rest = lk_view_of(url);
    rest = lk_view_part(rest, lk_view_find(rest, ':') + 1, rest.len);
    if (status == LK_OK && (rest.len == 0 || rest.p[0] == '/'))
        return LK_OK;
    lk_note_set(note, "%s: %s", name, status != LK_OK ? why->text : "give the whole path, beginning with /");
    return LK_REFUSED;
}

/* The stores, by what their URLs begin with, and what each can be. */
typedef struct share_of {
    const char *scheme;
    const char *share;   /* the way of sharing it is, or NULL: its sessions stay on one node */
    const char *replica; /* how the URL of a full copy of it begins, or NULL: there is none to read from */
} share_of;

static const share_of shares[] = {
    {"memory", NULL, NULL},
    {"lmdb", NULL, NULL},
    {"sqlite", "database", NULL},
    {"mariadb", "database", NULL},
    {"postgres", "database", "postgres"},
    {"redis", "central", "redis"},
    {"redis+sentinel", "central", "redis"},
    {"redis+cluster", "central", NULL},
};

static const share_of *share_of_url(const char *url)
{
    lk_view scheme = lk_view_part(lk_view_of(url), 0, lk_view_find(lk_view_of(url), ':'));
    for (size_t i = 0; i < sizeof(shares) / sizeof(shares[0]); i++)
        if (lk_view_equal(scheme, lk_view_of(shares[i].scheme)))
            return &shares[i];
    return NULL;
}

static lk_status check_replica(const lk_settings *s, const share_of *store, lk_note *note)
{
    lk_note why = {""};
    if (lk_store_url_check(s->replica, &why) != LK_OK) {
        lk_note_set(note, "latchkey_replica: %s", why.text);
        return LK_REFUSED;
    }
    if (store->replica == NULL) {
        lk_note_set(
            note,
            "latchkey_replica: a store at %s: has no full copy to read from; redis://, redis+sentinel:// "
            "and postgres:// have: leave latchkey_replica out, or use one of those in latchkey_store",
            store->scheme);
        return LK_REFUSED;
    }
    const share_of *replica = share_of_url(s->replica);
    if (replica == NULL || strcmp(replica->scheme, store->replica) != 0) {
        lk_note_set(note, "latchkey_replica: a copy of a store at %s:// is named by a URL of %s://",
                    store->scheme, store->replica);
        return LK_REFUSED;
    }
    if (strcmp(s->replica, s->store) == 0) {
        lk_note_set(note,
                    "latchkey_replica: that is latchkey_store itself; name the copy near this node, or leave "
                    "latchkey_replica out");
        return LK_REFUSED;
    }
    return LK_OK;
}

static lk_status refuse_share(const lk_settings *s, const share_of *store, lk_note *note)
{
    if (strcmp(s->share, "replication") == 0)
        lk_note_set(
            note,
            "latchkey_share replication: every node reads from a full copy near it: name that copy in "
            "latchkey_replica, and a store that has copies (redis://, redis+sentinel://, postgres://) in "
            "latchkey_store");
    else if (store->share == NULL)
        lk_note_set(
            note,
            "latchkey_share %s: a store at %s: is seen by one node alone; latchkey_store takes %s, or leave "
            "latchkey_share out",
            s->share, store->scheme,
            strcmp(s->share, "central") == 0 ? "redis://, redis+sentinel:// or redis+cluster:// for it"
                                             : "sqlite:, postgres:// or mariadb:// for it");
    else
        lk_note_set(
            note,
            "latchkey_share %s contradicts latchkey_store, which is at %s: write latchkey_share %s, or "
            "leave it out",
            s->share, store->scheme, store->share);
    return LK_REFUSED;
}

/* latchkey_share says in one word what the other settings are meant to make; where they make something else,
 * one of the two is a mistake. */
static lk_status check_share(const lk_settings *s, lk_note *note)
{
    static const char *const later[] = {"sealed_cookie", "affinity", "token"};
    const share_of *store = share_of_url(s->store);
    lk_view way = lk_view_of(s->share);
    if (store == NULL) {
        lk_note_set(note, "latchkey_store: no store is known by that URL");
        return LK_REFUSED;
    }
    if (s->replica[0] != '\0' && check_replica(s, store, note) != LK_OK)
        return LK_REFUSED;
    for (size_t i = 0; i < sizeof(later) / sizeof(later[0]); i++) {
        if (lk_view_equal(way, lk_view_of(later[i]))) {
            lk_note_set(
                note,
                "latchkey_share %s comes with a later version: leave it out, and write latchkey_store and "
                "the credential yourself",
                s->share);
            return LK_REFUSED;
        }
    }
    if (way.len > 0 && !lk_words_have(LK_VIEW("database central replication"), way)) {
        lk_note_set(note, "latchkey_share: expected database, central or replication");
        return LK_REFUSED;
    }
    if (way.len == 0 || (store->share != NULL && strcmp(store->share, s->share) == 0) ||
        (strcmp(s->share, "replication") == 0 && s->replica[0] != '\0'))
        return LK_OK;
    return refuse_share(s, store, note);
}

lk_status lk_guard_settings_check(const lk_settings *settings, lk_note *note)
{
    lk_note why = {""};
    lk_status status = lk_settings_check(settings, note);
    if (status != LK_OK)
        return status;
    status = lk_store_url_check(settings->store, &why);
    status = check_url("latchkey_store", settings->store, status, &why, note);
    if (status != LK_OK)
        return status;
    status = lk_accounts_url_check(settings->accounts, &why);
    status = check_url("latchkey_accounts", settings->accounts, status, &why, note);
    return status == LK_OK ? check_share(settings, note) : status;
}
