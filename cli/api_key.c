/* SPDX-License-Identifier: Apache-2.0
 *
 * api_key.c - latchkey api-key: keys by which programs act for users.
 */
#include "place.h"
#include <latchkey/third_party.h>
#include <string.h>

enum { LIFE_S = 90 * 86400, TRIES = 4 };

static const cli_column columns[] = {
    {"public_id", "PUBLIC", CLI_TEXT},    {"label", "LABEL", CLI_TEXT},
    {"scope", "SCOPE", CLI_TEXT},         {"created", "CREATED", CLI_TIME},
    {"last_used", "LAST USED", CLI_TIME}, {"expires", "EXPIRES", CLI_TIME},
    {"user", "USER", CLI_TEXT},           {0},
};

static json_t *key_object(const lk_api_key *key)
{
    json_t *object = json_object();
    cli_set_text(object, "public_id", lk_view_of(key->public_id));
    cli_set_text(object, "user", lk_view_of(key->user));
    cli_set_text(object, "label", lk_view_of(key->label));
    cli_set_text(object, "scope", lk_view_of(key->scope));
    cli_set_words(object, "roles", lk_view_of(key->roles));
    cli_set_words(object, "audience", lk_view_of(key->audience));
    cli_set_words(object, "addresses", lk_view_of(key->addresses));
    cli_set_number(object, "created", key->created_ms / 1000);
    cli_set_number(object, "last_used", key->used_s);
    cli_set_number(object, "expires", key->expires_s);
    return object;
}

/* ---- new ---- */

static int describe(const cli *c, const lk_user *user, lk_api_key *key)
{
    lk_note note = {{0}};
    int64_t life_s = LIFE_S, now_s = lk_now_s(lk_env_system());
    int code = cli_get_duration(c, "expires", &life_s);
    if (code != CLI_YES) {
        return code;
    }
    lk_api_key_wish wish = {.label =
                                lk_view_of(cli_get(c, "label") != NULL ? cli_get(c, "label") : "made here"),
                            .scope = lk_view_of(cli_get(c, "scope")),
                            .roles = lk_view_of(cli_get(c, "roles")),
                            .audience = lk_view_of(cli_get(c, "aud")),
                            .addresses = lk_view_of(cli_get(c, "addresses")),
                            .expires_s = now_s + life_s};
    lk_status status = lk_api_key_describe(&wish, now_s, key, &note);
    memcpy(key->user, user->id, sizeof key->user);
    return cli_answer(c, status, "no key was made", &note);
}

static int make(const cli *c, const cli_place *place, const lk_user *user)
{
    lk_api_key key;
    lk_note note = {{0}};
    char text[LK_API_KEY_LEN + 1] = "";
    int code = describe(c, user, &key);
    if (code != CLI_YES) {
        return code;
    }
    lk_status status = LK_REFUSED;
    key.created_ms = lk_guard_issue_time_ms(place->guard, lk_view_of(user->realm), lk_view_of(key.roles),
                                            lk_view_of(user->id), (lk_view){0});
    for (int i = 0; i < TRIES && status == LK_REFUSED; i++) {
        status = lk_api_key_make(lk_env_system(), place->ring, text);
        memcpy(key.public_id, text + 3, LK_API_KEY_PUBLIC_LEN);
        if (status == LK_OK) {
            status = lk_accounts_api_key_add(place->accounts, &key, place->settings.api_key_per_user, &note);
        }
    }
    if (status == LK_MISS) {
        code = cli_no(c, LK_REASON_NONE, "user %s is disabled", user->name);
    } else if (status == LK_FULL) {
        code = cli_no(c, LK_REASON_NONE, "%s", note.text);
    } else if (status != LK_OK) {
        code = cli_answer(c, LK_FAULT, "no key was made", &note);
    } else {
        json_t *object = key_object(&key);
        cli_set_text(object, "key", lk_view_of(text));
        code =
            cli_done(c, object, "%s\nThis key is shown once. It is sent as Authorization: Bearer KEY", text);
    }
    lk_wipe(text, sizeof text);
    return code;
}

/* Open what is wanted and find the user of the first argument. */
static int with_user(cli *c, unsigned wanted,
                     int (*run)(const cli *c, const cli_place *place, const lk_user *u))
{
    cli_place place;
    lk_user user;
    int code = cli_place_open(c, CLI_ACCOUNTS, &place);
    if (code != CLI_YES) {
        return code;
    }
    code = cli_user_find(c, &place, c->arguments[0], &user);
    if (code == CLI_YES && wanted != 0) {
        code = cli_place_add(c, wanted, &place);
    }
    if (code == CLI_YES) {
        code = run(c, &place, &user);
    }
    cli_place_close(&place);
    return code;
}

static int new (cli *c)
{
    return with_user(c, CLI_REVOKE, make);
}

/* ---- list ---- */

static int list_of(const cli *c, const cli_place *place, const lk_user *user)
{
    static lk_api_key keys[LK_API_KEYS_MAX];
    size_t n = 0;
    json_t *object = json_object(), *rows = json_array();
    (void)json_object_set_new(object, "api_keys", rows);
    lk_status status = lk_accounts_api_keys(place->accounts, lk_view_of(user->id), keys, LK_API_KEYS_MAX, &n);
    if (status != LK_OK) {
        json_decref(object);
        return cli_answer(c, status, "the accounts cannot be read", NULL);
    }
    for (size_t i = 0; i < n; i++) {
        (void)json_array_append_new(rows, key_object(&keys[i]));
    }
    return cli_print_table(c, object, "api_keys", columns,
                           "This user has no API keys: latchkey api-key new NAME makes one.");
}

static int list(cli *c)
{
    return with_user(c, 0, list_of);
}

/* ---- revoke ---- */

static int revoke_open(const cli *c, const cli_place *place, lk_view public)
{
    lk_api_key key;
    lk_status status = lk_accounts_api_key_get(place->accounts, public, &key);
    if (status == LK_MISS) {
        return cli_no(c, LK_REASON_NONE, "there is no API key %.*s", (int)public.len, (const char *)public.p);
    }
    if (status == LK_OK) {
        status = lk_guard_api_key_end(place->guard, public, LK_REASON_REVOKED);
    }
    if (status == LK_OK) {
        status = lk_accounts_api_key_remove(place->accounts, lk_view_of(key.user), public);
    }
    if (status == LK_OK || status == LK_MISS) {
        status = lk_guard_api_key_end(place->guard, public, LK_REASON_REVOKED);
    }
    if (status != LK_OK) {
        return cli_fault(c, "the key may still be accepted: the store or the accounts failed");
    }
    return cli_done(c, key_object(&key), "API key %s of user %s revoked", key.public_id, key.user);
}

/* The whole key is taken as well: who has found one somewhere has that in his hand. */
static int revoke(cli *c)
{
    cli_place place;
    lk_view public = lk_view_of(c->arguments[0]);
    if (public.len > 3 + LK_API_KEY_PUBLIC_LEN && memcmp(public.p, "lk_", 3) == 0) {
        public = lk_view_part(public, 3, LK_API_KEY_PUBLIC_LEN);
    }
    if (!lk_api_key_is_public(public)) {
        return cli_wrong(c, "the public part of a key is the 8 characters behind lk_");
    }
    int code = cli_place_open(c, CLI_ACCOUNTS | CLI_REVOKE, &place);
    if (code != CLI_YES) {
        return code;
    }
    code = revoke_open(c, &place, public);
    cli_place_close(&place);
    return code;
}

#define REALM_OPTION                                                                                         \
    {                                                                                                        \
        "realm", "REALM", "the account system; the one of the settings when not given"                       \
    }

static const cli_option realm_options[] = {REALM_OPTION, {0}};
static const cli_option new_options[] = {
    {"label", "TEXT", "what the user calls it"},
    {"scope", "WORDS", "the scopes it holds; it holds no other"},
    {"roles", "WORDS", "those of the user's roles that it may act with; none when not given"},
    {"aud", "WORDS", "where it is good: latchkey required audience=, or latchkey_jwt aud="},
    {"addresses", "RANGES", "from where it is good, as '192.0.2.0/24 2001:db8::/32'"},
    {"expires", "TIME", "how long it lasts, as 30d; 90d when not given"},
    REALM_OPTION,
    {0}};

const cli_command cli_api_key_commands[] = {
    {"api-key", "new", "USER", 1, 1, new_options, "Make an API key for a user",
     "The key is shown once. What it may do cannot be changed later: make another, and revoke this one.",
     "latchkey api-key new alice --label backup --scope 'orders.read'", new},
    {"api-key", "list", "USER", 1, 1, realm_options, "List the API keys of a user", NULL,
     "latchkey api-key list alice --json", list},
    {"api-key", "revoke", "PUBLIC", 1, 1, realm_options, "Take an API key back",
     "PUBLIC is its public part, or the whole key. Running gateways refuse it at its next use.",
     "latchkey api-key revoke q83vEjRW", revoke},
    {0},
};
