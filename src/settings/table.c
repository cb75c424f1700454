/* SPDX-License-Identifier: Apache-2.0
 *
 * table.c - every setting once: name, syntax, default, what it does, where its values go.
 */
#include "settings/settings_internal.h"
#include <string.h>

#define AT(field) offsetof(lk_settings, field)
#define TEXT(option, field)                                                                                  \
    {                                                                                                        \
        option, LK_VALUE_TEXT, AT(field), 0, 1, sizeof(((lk_settings *)0)->field)                            \
    }
#define TIME(option, field, min, max)                                                                        \
    {                                                                                                        \
        option, LK_VALUE_DURATION, AT(field), 0, min, max                                                    \
    }
#define COUNT(option, field, min, max)                                                                       \
    {                                                                                                        \
        option, LK_VALUE_COUNT, AT(field), 0, min, max                                                       \
    }
#define SWITCH(option, field)                                                                                \
    {                                                                                                        \
        option, LK_VALUE_SWITCH, AT(field), 0, 0, 0                                                          \
    }
#define RATE(option, field, seconds)                                                                         \
    {                                                                                                        \
        option, LK_VALUE_RATE, AT(field), AT(seconds), 1, 1000000                                            \
    }

#define TRUST_TEXT(option, field)                                                                            \
    {                                                                                                        \
        option, LK_VALUE_TEXT, offsetof(lk_trust, field), 0, 1, sizeof(((lk_trust *)0)->field)               \
    }
#define TRUST_TIME(option, field, min, max)                                                                  \
    {                                                                                                        \
        option, LK_VALUE_DURATION, offsetof(lk_trust, field), 0, min, max                                    \
    }

enum { MINUTE = 60, HOUR = 3600, DAY = 86400, YEAR = 365 * DAY };

const lk_setting_row lk__setting_rows[] = {
    {{"latchkey_keys", "DIR [rotate=90d] [publish=1h] [secret=env:NAME|file:PATH]",
      "/etc/latchkey/keys publish=1h",
      "Directory of the key files; made on the first start, mode 0700, files 0600. How old a signing key "
      "grows "
      "before a new one takes its place by itself (not given: never; on one node only when each has a "
      "directory "
      "of its own); how long a new key is shown before it signs; the master secret under which the files are "
      "sealed.",
      1, 4},
     {TEXT(NULL, keys),
      TIME("rotate", keys_rotate_s, 2, 10 * YEAR),
      TIME("publish", keys_publish_s, 1, 30 * DAY),
      {"secret", LK_VALUE_SECRET, AT(keys_secret), 0, 1, sizeof(((lk_settings *)0)->keys_secret)}}},
    {{"latchkey_accounts", "sqlite:PATH | postgres://URL | mariadb://URL",
      "sqlite:/var/lib/latchkey/accounts.db", "The database of users, passwords and roles.", 1, 1},
     {TEXT(NULL, accounts)}},
    {{"latchkey_store",
      "memory: | lmdb:PATH[?sync=always|fast][&map=1g] | sqlite:PATH | postgres://URL | mariadb://URL | "
      "redis://URL | "
      "redis+sentinel://URL | redis+cluster://URL",
      "lmdb:/var/lib/latchkey/sessions", "Who remembers sessions and revocations.", 1, 1},
     {TEXT(NULL, store)}},
    {{"latchkey_replica", "URL", "",
      "A full copy of the store near this node (a Redis replica, a PostgreSQL streaming replica): reads go "
      "to it, "
      "writes to latchkey_store.",
      1, 1},
     {TEXT(NULL, replica)}},
    {{"latchkey_share", "sealed_cookie|affinity|database|replication|central|token", "",
      "How the nodes share a login; it decides what a browser is given, and is checked against the store: "
      "the "
      "whole session sealed in cookies, a store of each node's own behind a balancer that keeps visitors "
      "with "
      "their node, one database, a full copy near every node (latchkey_replica), one central Redis, or a "
      "token that the gateway renews. Left out, it is whatever the store makes of it.",
      1, 1},
     {TEXT(NULL, share)}},
    {{"latchkey_move", "to=WAY|from=WAY [store=URL] [replica=URL]", "",
      "The other side of a move that is under way: where to (the way of latchkey_share leads, all is written "
      "to both stores) or where from (what the store does not have is looked up in the other). "
      "`latchkey move` writes it.",
      1, 3},
     {TEXT("to", move_to), TEXT("from", move_from), TEXT("store", move_store),
      TEXT("replica", move_replica)}},
    {{"latchkey_near", "[life=1m]", "life=1m",
      "Copies of sessions of a remote store, kept in the table of latchkey_memory and dropped by the store's "
      "own "
      "stream of events: the longest time one is used without asking the store again (0s: no copies).",
      1, 1},
     {TIME("life", near_life_s, 0, HOUR)}},
    {{"latchkey_memory", "PATH|anonymous [size=64m]", "/dev/shm/latchkey size=64m",
      "The table in shared memory: last-seen times, cut-offs, verified tokens and the sessions of the memory "
      "store.",
      1, 2},
     {TEXT(NULL, memory_path), {"size", LK_VALUE_SIZE, AT(memory_size), 0, 1 << 20, 1LL << 40}}},
    {{"latchkey_session",
      "[idle=30m] [absolute=12h] [remember=30d] [anonymous=1d] [grace=10s] [fence=1h] [per_user=0]",
      "idle=30m absolute=12h remember=30d anonymous=1d grace=10s fence=1h per_user=0",
      "Times of a session: without use, in all, in all with \"stay logged in\", of an anonymous visit; how "
      "long a "
      "replaced id stays readable; how long the mark of an ended session is kept; sessions allowed per user "
      "(0: any).",
      1, 7},
     {TIME("idle", idle_s, 10, YEAR), TIME("absolute", absolute_s, 10, 10 * YEAR),
      TIME("remember", remember_s, 10, 400 * DAY), TIME("anonymous", anonymous_s, 10, 400 * DAY),
      TIME("grace", grace_s, 0, 5 * MINUTE), TIME("fence", fence_s, MINUTE, 30 * DAY),
      COUNT("per_user", per_user, 0, 10000)}},
    {{"latchkey_limit", "[user=0] [class=NAME:N,...] [victim=longest_idle|oldest|soonest_expiry|refuse]",
      "user=0 victim=longest_idle",
      "Sessions a user may have, in all (0: any number) and of each device class (* is every class not "
      "named, "
      "and "
      "none); and whom a login beyond that ends: the one seen longest ago, the one issued first, the one "
      "that "
      "would end first, or nobody, so that the login is refused.",
      1, 3},
     {COUNT("user", limit_user, 0, 10000),
      TEXT("class", limit_classes),
      {"victim", LK_VALUE_VICTIM, AT(limit_victim), 0, 0, 0}}},
    {{"latchkey_carry", "NAME...|*", "cart",
      "Fields of an anonymous visit that move into the login (* is all of them); the rest stays behind.", 1,
      16},
     {{NULL, LK_VALUE_WORDS, AT(carry), 0, 1, sizeof(((lk_settings *)0)->carry)}}},
    {{"latchkey_cookie", "NAME [samesite=lax|strict|none] [path=/] [domain=DOMAIN] [secure=on|off]",
      "__Host-latchkey samesite=lax path=/ secure=on", "The session cookie.", 1, 5},
     {TEXT(NULL, cookie_name),
      {"samesite", LK_VALUE_SAMESITE, AT(cookie_samesite), 0, 0, 0},
      TEXT("path", cookie_path),
      TEXT("domain", cookie_domain),
      SWITCH("secure", cookie_secure)}},
    {{"latchkey_device", "[on|off] [idle=90d] [absolute=400d] [cookie=NAME]", "on idle=90d absolute=400d",
      "Devices that stay logged in: may a login register one; how long one is given new sessions without "
      "use, "
      "and in all; the name of its cookie (left out: that of latchkey_cookie and -device).",
      1, 4},
     {SWITCH(NULL, device_on), TIME("idle", device_idle_s, 10, 400 * DAY),
      TIME("absolute", device_absolute_s, 10, 400 * DAY), TEXT("cookie", device_cookie)}},
    {{"latchkey_header", "NAME", "", "A second header, beside Authorization, that may carry a credential.", 1,
      1},
     {TEXT(NULL, header_name)}},
    {{"latchkey_token", "[ttl=15m]", "ttl=15m", "Life of simple tokens (uid.time.sign).", 1, 1},
     {TIME("ttl", token_ttl_s, 10, YEAR)}},
    {{"latchkey_jwt", "[alg=ALG] [ttl=15m] [iss=ISSUER] [aud=AUDIENCE] [leeway=0s]",
      "alg=EdDSA ttl=15m iss=latchkey aud=latchkey leeway=0s", "The JWTs this gateway issues and accepts.", 1,
      5},
     {{"alg", LK_VALUE_ALG, AT(jwt_alg), 0, 0, 0},
      TIME("ttl", jwt_ttl_s, 10, YEAR),
      TEXT("iss", jwt_issuer),
      TEXT("aud", jwt_audience),
      TIME("leeway", jwt_leeway_s, 0, 60)}},
    {{"latchkey_dpop", "[window=60s] [ahead=5s] [nonce=0s]", "window=60s ahead=5s nonce=0s",
      "Proofs of possession (DPoP): how long after it was made one is good, how far ahead the clock of a "
      "client may be, "
      "and how long a nonce of this gateway is good that proofs must then hold (0s: none is asked for).",
      1, 3},
     {TIME("window", dpop_window_s, 1, 10 * MINUTE), TIME("ahead", dpop_ahead_s, 0, MINUTE),
      TIME("nonce", dpop_nonce_s, 0, DAY)}},
    {{"latchkey_signature", "[window=60s] [body=1m]", "window=60s body=1m",
      "Signed requests: how far the time in one may be from now, either way, and how long its body may be.",
      1, 2},
     {TIME("window", signature_window_s, 1, 10 * MINUTE),
      {"body", LK_VALUE_SIZE, AT(signature_body), 0, 0, 64 << 20}}},
    {{"latchkey_trust",
      "ISSUER jwks=URL|file:PATH aud=AUDIENCE [alg=ALG,ALG...] [realm=REALM] [roles=CLAIM] [name=CLAIM] "
      "[user=CLAIM] [ca=FILE] [max_age=1h] [keep=24h] [every=30s] [leeway=0s]",
      "user=sub name=name max_age=1h keep=24h every=30s leeway=0s",
      "Another issuer whose JWTs are good here (up to 8 times): where its key set is, for whom its tokens "
      "must "
      "be meant, by which algorithms they may be signed (all with a public key), which realm its users are "
      "in "
      "(the host of ISSUER), which claims hold their roles (none), name and id; whose signature the server "
      "of "
      "the set needs; how old the set may grow, how long it is kept when it cannot be fetched, how often it "
      "is "
      "fetched at most.",
      3, 13},
     {TRUST_TEXT(NULL, issuer),
      {"jwks", LK_VALUE_SOURCE, offsetof(lk_trust, jwks), 0, 1, LK_URL_MAX},
      TRUST_TEXT("aud", audience),
      {"alg", LK_VALUE_ALGS, offsetof(lk_trust, algs), 0, 0, 0},
      TRUST_TEXT("realm", realm),
      TRUST_TEXT("roles", roles),
      TRUST_TEXT("name", name),
      TRUST_TEXT("user", user),
      TRUST_TEXT("ca", ca),
      TRUST_TIME("max_age", max_age_s, 1, DAY),
      TRUST_TIME("keep", keep_s, 0, 30 * DAY),
      TRUST_TIME("every", every_s, 1, HOUR),
      TRUST_TIME("leeway", leeway_s, 0, 60)}},
    {{"latchkey_refresh", "on|off [ttl=30d] [idle=7d] [grace=30s]", "on ttl=30d idle=7d grace=30s",
      "Refresh tokens beside tokens in headers: how long one login can be refreshed in all, and without use; "
      "how long a token that was used gives the same successor again.",
      1, 4},
     {SWITCH(NULL, refresh), TIME("ttl", refresh_ttl_s, 10, 400 * DAY),
      TIME("idle", refresh_idle_s, 10, 400 * DAY), TIME("grace", refresh_grace_s, 0, 5 * MINUTE)}},
    {{"latchkey_prefix", "PATH", "/auth", "Where the API and the pages live.", 1, 1}, {TEXT(NULL, prefix)}},
    {{"latchkey_registration", "on|off", "on", "May visitors make accounts for themselves?", 1, 1},
     {SWITCH(NULL, registration)}},
    {{"latchkey_realm", "NAME", "", "The account system of this gateway.", 1, 1}, {TEXT(NULL, realm)}},
    {{"latchkey_password", "[min=8] [memory=19456] [passes=2] [queue=32]",
      "min=8 memory=19456 passes=2 queue=32",
      "Passwords: least length in characters; cost of argon2id in KiB and passes; logins that may wait for a "
      "free "
      "place before the answer is 503.",
      1, 4},
     {COUNT("min", password_min, 8, 64), COUNT("memory", password_memory_kib, 1, 4194304),
      COUNT("passes", password_passes, 1, 64), COUNT("queue", password_queue, 1, 4096)}},
    {{"latchkey_throttle", "[account=10/15m] [address=100/15m]", "account=10/15m address=100/15m",
      "Failed logins allowed for one account and from one address in a time.", 1, 2},
     {RATE("account", throttle_account, throttle_account_s),
      RATE("address", throttle_address, throttle_address_s)}},
    {{"latchkey_api_key", "[reread=10m] [per_user=50]", "reread=10m per_user=50",
      "API keys: how soon a change of the account reaches them; how many a user may have.", 1, 2},
     {TIME("reread", api_key_reread_s, 1, 3600), COUNT("per_user", api_key_per_user, 1, 200)}},
    {{"latchkey_audit", "FILE|stderr|off", "off", "Where the audit log goes, a line of JSON per event.", 1,
      1},
     {TEXT(NULL, audit)}},
    {{"latchkey_tls_proxy", "on|off", "off",
      "A proxy in front of this server ends TLS: every request counts as https, so that Secure cookies can "
      "be given out.",
      1, 1},
     {SWITCH(NULL, tls_proxy)}},
    {{"latchkey_origin", "ORIGIN...", "",
      "Further origins (https://host[:port]) whose pages may send requests that change something.", 1, 8},
     {{NULL, LK_VALUE_ORIGINS, 0, 0, 0, 0}}},
};
const size_t lk__setting_rows_n = sizeof(lk__setting_rows) / sizeof(lk__setting_rows[0]);

static const lk_repeat repeats[] = {
    {"latchkey_trust", AT(trusts), sizeof(lk_trust), AT(trusts_n), LK_TRUSTS_MAX, lk__trust_finish},
};

const lk_repeat *lk__repeat_of(const lk_setting_row *row)
{
    for (size_t i = 0; i < sizeof(repeats) / sizeof(repeats[0]); i++)
        if (strcmp(row->shown.name, repeats[i].name) == 0)
            return &repeats[i];
    return NULL;
}

const lk_setting *lk_setting_at(size_t index)
{
    return index < lk__setting_rows_n ? &lk__setting_rows[index].shown : NULL;
}
