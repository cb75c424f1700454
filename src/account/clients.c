/* SPDX-License-Identifier: Apache-2.0
 *
 * clients.c - OAuth clients: programs that log in for themselves, with a secret of their own.
 *
 * A secret is 32 random bytes, so it is kept as a keyed hash: there is nothing to guess that a slow hash
 * would protect. Wrong ones are counted all the same, as wrong passwords are.
 */
#include "account/third_party.h"
#include <latchkey/base64url.h>
#include <latchkey/secret.h>
#include <string.h>

#define COLUMNS "realm, name, scope, roles, audience, grants, created_s, changed_s"
#define SECRET_COLUMN 8 /* behind them */

static const struct {
    unsigned grant;
    const char *name;
} grants[] = {{LK_CLIENT_CREDENTIALS, "client_credentials"},
              {LK_CLIENT_EXCHANGE, "exchange"},
              {LK_CLIENT_INTROSPECT, "introspect"},
              {LK_CLIENT_REVOKE, "revoke"}};
#define GRANTS_N (sizeof(grants) / sizeof(grants[0]))

const char *lk_client_grant_name(unsigned one)
{
    for (size_t i = 0; i < GRANTS_N; i++)
        if (grants[i].grant == one)
            return grants[i].name;
    return "";
}

static lk_status refuse(lk_note *note, const char *rule)
{
    lk_note_set(note, "%s", rule);
    return LK_REFUSED;
}

static lk_status read_grants(lk_view words, unsigned *out, lk_note *note)
{
    lk_view word;

    *out = 0;
    while (lk_words_next(&words, &word)) {
        unsigned one = 0;

        for (size_t i = 0; i < GRANTS_N; i++)
            if (lk_view_equal(word, lk_view_of(grants[i].name)))
                one = grants[i].grant;
        if (one == 0)
            return refuse(note, "A grant is one of client_credentials, exchange, introspect and revoke.");
        *out |= one;
    }
    return *out == 0
               ? refuse(note, "A client needs a grant: client_credentials, exchange, introspect or revoke.")
               : LK_OK;
}

/* It is the user part of HTTP Basic, a `sub` and a key of cut-offs: letters that mean nothing in any. */
static bool is_name(lk_view name)
{
    for (size_t i = 0; i < name.len; i++) {
        uint8_t c = name.p[i], small = c | 0x20;

        if (!(small >= 'a' && small <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '_' && c != '.')
            return false;
    }
    return name.len > 0 && name.len <= LK_CLIENT_NAME_MAX && name.p[0] != '-' && name.p[0] != '.';
}

lk_status lk_client_describe(const lk_client_wish *wish, lk_client *out, lk_note *note)
{
    memset(out, 0, sizeof(*out));
    lk_buf realm = lk_buf_over(out->realm, LK_REALM_MAX), name = lk_buf_over(out->name, LK_CLIENT_NAME_MAX);
    lk_buf scope = lk_buf_over(out->scope, LK_SCOPE_MAX), roles = lk_buf_over(out->roles, LK_ROLES_MAX);
    lk_buf audience = lk_buf_over(out->audience, LK_CLIENT_AUDIENCE_MAX);
    lk_status status = lk__realm_check(wish->realm, note);

    if (status == LK_OK && !is_name(wish->name))
        status = refuse(note,
                        "The name of a client has 1 to 64 letters, digits, '-', '_' and '.', and begins with "
                        "a letter, a digit or '_'.");
    lk_buf_add(&realm, wish->realm);
    lk_buf_add(&name, wish->name);
    if (status == LK_OK)
        status = lk_scope_normalize(wish->scope, &scope, note);
    if (status == LK_OK)
        status = lk__roles_normalize(wish->roles, &roles, note);
    if (status == LK_OK)
        status = lk__words_normalize(
            wish->audience,
            "An audience is made of words of printable ASCII without quote and backslash, "
            "of at most 256 bytes together.",
            &audience, note);
    return status == LK_OK ? read_grants(wish->grants, &out->grants, note) : status;
}

/* ---- secrets ---- */

static lk_status hash(const lk_accounts *a, lk_view realm, lk_view name, lk_view secret,
                      uint8_t out[LK_MAC_LEN])
{
    /* Neither a realm nor a name has a NUL. */
    const lk_view parts[] = {realm, lk_view_make("", 1), name, lk_view_make("", 1), secret};

    return lk_mac_run(a->client_mac, parts, 5, out);
}

static lk_status make_secret(lk_accounts *a, lk_view realm, lk_view name, char out[LK_CLIENT_SECRET_LEN + 1],
                             uint8_t kept[LK_MAC_LEN])
{
    uint8_t random[32];
    lk_buf text = lk_buf_over(out, LK_CLIENT_SECRET_LEN + 1);
    lk_status status = lk_random(a->env, random, sizeof(random));

    out[0] = '\0';
    if (status == LK_OK) {
        lk_base64url_encode(lk_view_make(random, sizeof(random)), &text);
        status = lk_buf_text(&text) == NULL ? LK_FAULT : hash(a, realm, name, lk_buf_view(&text), kept);
    }
    lk_wipe(random, sizeof(random));
    return status == LK_OK ? LK_OK : LK_FAULT;
}

/* ---- rows ---- */

static lk_status read_row(lk_sql_query *q, lk_client *out)
{
    memset(out, 0, sizeof(*out));
    if (lk__column_text(q, 0, out->realm, sizeof(out->realm)) != LK_OK ||
        lk__column_text(q, 1, out->name, sizeof(out->name)) != LK_OK ||
        lk__column_text(q, 2, out->scope, sizeof(out->scope)) != LK_OK ||
        lk__column_text(q, 3, out->roles, sizeof(out->roles)) != LK_OK ||
        lk__column_text(q, 4, out->audience, sizeof(out->audience)) != LK_OK)
        return LK_FAULT;
    out->grants = (unsigned)lk_sql_i64(q, 5) & LK_CLIENT_GRANTS_ALL;
    out->created_s = lk_sql_i64(q, 6);
    out->changed_s = lk_sql_i64(q, 7);
    return LK_OK;
}

/* SECRET (may be NULL) receives the hash. */
static lk_status find(lk_sql_link *link, lk_view realm, lk_view name, lk_client *out, uint8_t *secret)
{
    lk_sql_query *q = NULL;
    lk_status status;

    memset(out, 0, sizeof(*out));
    if (!is_name(name) || lk__realm_check(realm, NULL) != LK_OK)
        return LK_MISS;
    status = lk_sql_ask(link, "SELECT " COLUMNS ", secret FROM latchkey_client WHERE realm = ? AND name = ?",
                        LK_SQL_VALUES(lk_sql_of_text(realm), lk_sql_of_text(name)), &q);
    if (status != LK_OK)
        return LK_FAULT;
    status = lk_sql_step(q);
    if (status == LK_OK)
        status = read_row(q, out);
    if (status == LK_OK && secret != NULL) {
        lk_view kept = lk_sql_bytes(q, SECRET_COLUMN);

        status = kept.len == LK_MAC_LEN ? LK_OK : LK_FAULT;
        if (status == LK_OK)
            memcpy(secret, kept.p, LK_MAC_LEN);
    }
    lk_sql_reset(q);
    return status == LK_OK || status == LK_MISS ? status : LK_FAULT;
}

lk_status lk_accounts_client_get(lk_accounts *a, lk_view realm, lk_view name, lk_client *out)
{
    lk_sql_link *link = NULL;
    lk_status status = lk_sql_borrow(a->sql, &link, NULL);

    memset(out, 0, sizeof(*out));
    status = status == LK_OK ? find(link, realm, name, out, NULL) : LK_FAULT;
    lk_sql_give_back(link);
    return status;
}

typedef struct page {
    lk_client clients[16];
    size_t n;
    char after[LK_CLIENT_NAME_MAX + 1];
} page;
#define PAGE (sizeof(((page *)NULL)->clients) / sizeof(lk_client))

static lk_status page_read(lk_sql_link *link, lk_view realm, page *p)
{
    lk_sql_query *q = NULL;
    lk_status status = lk_sql_ask(
        link, "SELECT " COLUMNS " FROM latchkey_client WHERE realm = ? AND name > ? ORDER BY name LIMIT ?",
        LK_SQL_VALUES(lk_sql_of_text(realm), lk_sql_of_text(lk_view_of(p->after)),
                      lk_sql_of_i64((int64_t)PAGE)),
        &q);

    p->n = 0;
    while (status == LK_OK && p->n < PAGE && (status = lk_sql_step(q)) == LK_OK)
        status = read_row(q, &p->clients[p->n++]);
    if (q != NULL)
        lk_sql_reset(q);
    if (p->n > 0)
        memcpy(p->after, p->clients[p->n - 1].name, sizeof(p->after));
    return status == LK_OK || status == LK_MISS ? LK_OK : LK_FAULT;
}

lk_status lk_accounts_client_list(lk_accounts *a, lk_view realm, lk_client_each each, void *context)
{
    page *p = lk_alloc(a->env, sizeof(*p));
    bool more = lk__realm_check(realm, NULL) == LK_OK;
    lk_status status = p == NULL ? LK_FAULT : LK_OK;

    while (status == LK_OK && more) {
        lk_sql_link *link = NULL;

        status = lk_sql_borrow(a->sql, &link, NULL) == LK_OK ? page_read(link, realm, p) : LK_FAULT;
        lk_sql_give_back(link);
        more = status == LK_OK && p->n == PAGE;
        for (size_t i = 0; status == LK_OK && i < p->n; i++)
            if (!each(context, &p->clients[i])) {
                more = false;
                break;
            }
    }
    lk_free(a->env, p);
    return status;
}

/* ---- changes ---- */

typedef struct change {
    const lk_client *client;
    lk_view realm, name;
    lk_view secret; /* hash */
    int64_t now_s;
    enum { ADD, ROTATE, REMOVE } what;
} change;

static lk_status insert(lk_sql_link *link, const change *c)
{
    const lk_client *k = c->client;
    lk_status status = lk_sql_do(
        link, "INSERT INTO latchkey_client (" COLUMNS ", secret) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        LK_SQL_VALUES(lk_sql_of_text(c->realm), lk_sql_of_text(c->name), lk_sql_of_text(lk_view_of(k->scope)),
                      lk_sql_of_text(lk_view_of(k->roles)), lk_sql_of_text(lk_view_of(k->audience)),
                      lk_sql_of_i64(k->grants), lk_sql_of_i64(c->now_s), lk_sql_of_i64(c->now_s),
                      lk_sql_of_bytes(c->secret)),
        NULL);

    if (status == LK_REFUSED)
        return LK_FULL;
    return status == LK_OK ? LK_OK : LK_FAULT;
}

static lk_status change_work(lk_sql_link *link, void *argument)
{
    const change *c = argument;
    lk_sql_value realm = lk_sql_of_text(c->realm), name = lk_sql_of_text(c->name);
    uint64_t changed = 0;
    lk_status status = LK_FAULT;

    switch (c->what) {
    case ADD:
        return insert(link, c);
    case ROTATE:
        status = lk_sql_do(
            link, "UPDATE latchkey_client SET secret = ?, changed_s = ? WHERE realm = ? AND name = ?",
            LK_SQL_VALUES(lk_sql_of_bytes(c->secret), lk_sql_of_i64(c->now_s), realm, name), &changed);
        break;
    case REMOVE:
        status = lk_sql_do(link, "DELETE FROM latchkey_client WHERE realm = ? AND name = ?",
                           LK_SQL_VALUES(realm, name), &changed);
        break;
    }
    if (status != LK_OK)
        return LK_FAULT;
    return changed > 0 ? LK_OK : LK_MISS;
}

static lk_status make_change(lk_accounts *a, change *c, char *secret, lk_note *note)
{
    uint8_t kept[LK_MAC_LEN];
    lk_status status = LK_OK;

    c->secret = lk_view_make(kept, sizeof(kept));
    c->now_s = lk_now_s(a->env);
    if (!is_name(c->name) || lk__realm_check(c->realm, NULL) != LK_OK)
        return LK_MISS;
    if (secret != NULL)
        status = make_secret(a, c->realm, c->name, secret, kept);
    if (status == LK_OK)
        status = lk__account_write(a, LK_SQL_DURABLE, change_work, c, note);
    if (status != LK_OK && secret != NULL)
        lk_wipe(secret, LK_CLIENT_SECRET_LEN + 1);
    return status;
}

lk_status lk_accounts_client_add(lk_accounts *a, lk_client *client, char secret[LK_CLIENT_SECRET_LEN + 1],
                                 lk_note *note)
{
    change c = {
        .what = ADD, .client = client, .realm = lk_view_of(client->realm), .name = lk_view_of(client->name)};
    lk_status status = make_change(a, &c, secret, note);

    if (status == LK_OK)
        client->created_s = client->changed_s = c.now_s;
    if (status == LK_FULL)
        lk_note_set(note, "There is a client of that name.");
    return status == LK_MISS ? LK_FAULT : status;
}

lk_status lk_accounts_client_rotate(lk_accounts *a, lk_view realm, lk_view name,
                                    char secret[LK_CLIENT_SECRET_LEN + 1])
{
    change c = {.what = ROTATE, .realm = realm, .name = name};

    secret[0] = '\0';
    return make_change(a, &c, secret, NULL);
}

lk_status lk_accounts_client_remove(lk_accounts *a, lk_view realm, lk_view name)
{
    change c = {.what = REMOVE, .realm = realm, .name = name};

    return make_change(a, &c, NULL, NULL);
}

/* ---- logging in ---- */

typedef struct guess {
    const lk_accounts *accounts;
    lk__attempt *attempt;
} guess;

static lk_status count_work(lk_sql_link *link, void *argument)
{
    const guess *g = argument;

    return lk__throttle_count(g->accounts, link, g->attempt);
}

/* The bounds are only looked at first: a client that is right writes nothing. Its secret is not to be
 * guessed, so nothing is lost when guesses that come at once are counted after each other. */
lk_status lk_accounts_client_login(lk_accounts *a, lk_view realm, lk_view name, lk_view secret,
                                   lk_view address, lk_client *out, int64_t *retry_after_s)
{
    uint8_t given[LK_MAC_LEN], kept[LK_MAC_LEN] = {0};
    lk__attempt attempt = {0};
    guess g = {a, &attempt};
    lk_sql_link *link = NULL;
    lk_status found = LK_FAULT;
    lk_status status = lk__throttle_client(a, realm, name, address, &attempt);

    *retry_after_s = 0;
    memset(out, 0, sizeof(*out));
    if (status == LK_OK)
        status = hash(a, realm, name, secret, given);
    if (status == LK_OK)
        status = lk_sql_borrow(a->sql, &link, NULL);
    if (status == LK_OK)
        status = lk__throttle_look(a, link, &attempt, retry_after_s);
    if (status == LK_OK)
        found = find(link, realm, name, out, kept);
    lk_sql_give_back(link);
    if (status == LK_OK && found == LK_OK &&
        lk_secret_equal(lk_view_make(given, sizeof(given)), lk_view_make(kept, sizeof(kept))))
        return LK_OK;
    memset(out, 0, sizeof(*out));
    if (status == LK_FULL)
        return LK_FULL;
    if (status != LK_OK || (found != LK_OK && found != LK_MISS))
        return LK_FAULT;
    return lk__account_write(a, LK_SQL_RELAXED, count_work, &g, NULL) == LK_OK ? LK_REFUSED : LK_FAULT;
}
