/* SPDX-License-Identifier: Apache-2.0
 *
 * client.c - latchkey client: programs that log in at /oauth2/ for themselves.
 */
#include "place.h"
#include <latchkey/third_party.h>

static const cli_column columns[] = {
    {"client_id", "CLIENT", CLI_TEXT}, {"grants", "GRANTS", CLI_TEXT},
    {"scope", "SCOPE", CLI_TEXT},      {"audience", "AUDIENCE", CLI_TEXT},
    {"created", "CREATED", CLI_TIME},  {"changed", "SECRET OF", CLI_TIME},
    {"realm", "REALM", CLI_TEXT},      {0},
};

static json_t *client_object(const lk_client *client)
{
    char memory[128];
    lk_buf grants = lk_buf_over(memory, sizeof memory);
    json_t *object = json_object();
    for (unsigned one = 1; one <= LK_CLIENT_GRANTS_ALL; one <<= 1) {
        if ((client->grants & one) != 0) {
            lk_buf_add_text(&grants, grants.len > 0 ? " " : "");
            lk_buf_add_text(&grants, lk_client_grant_name(one));
        }
    }
    cli_set_text(object, "client_id", lk_view_of(client->name));
    cli_set_text(object, "realm", lk_view_of(client->realm));
    cli_set_words(object, "grants", lk_buf_view(&grants));
    cli_set_text(object, "scope", lk_view_of(client->scope));
    cli_set_words(object, "roles", lk_view_of(client->roles));
    cli_set_words(object, "audience", lk_view_of(client->audience));
    cli_set_number(object, "created", client->created_s);
    cli_set_number(object, "changed", client->changed_s);
    return object;
}

/* Options are written with commas or with blanks. */
static lk_view words_of(const cli *c, const char *name, char out[CLI_TEXT_MAX])
{
    lk_buf words = lk_buf_over(out, CLI_TEXT_MAX);
    const char *text = cli_get(c, name);
    for (; text != NULL && *text != '\0'; text++) {
        lk_buf_add_byte(&words, *text == ',' ? ' ' : (uint8_t)*text);
    }
    return lk_buf_view(&words);
}

static int shown_once(const cli *c, json_t *object, char secret[LK_CLIENT_SECRET_LEN + 1])
{
    cli_set_text(object, "client_secret", lk_view_of(secret));
    int code = cli_done(c, object, "%s\nThis secret is shown once.", secret);
    lk_wipe(secret, LK_CLIENT_SECRET_LEN + 1);
    return code;
}

static int add_to(const cli *c, const cli_place *place)
{
    char scope[CLI_TEXT_MAX], audience[CLI_TEXT_MAX], grants[CLI_TEXT_MAX], roles[CLI_TEXT_MAX];
    char secret[LK_CLIENT_SECRET_LEN + 1];
    lk_note note = {{0}};
    lk_client client;
    lk_client_wish wish = {.realm = cli_realm(c, place),
                           .name = lk_view_of(c->arguments[0]),
                           .scope = words_of(c, "scope", scope),
                           .roles = words_of(c, "roles", roles),
                           .audience = words_of(c, "aud", audience),
                           .grants = words_of(c, "grants", grants)};
    if (!cli_has(c, "grants")) {
        wish.grants = LK_VIEW("client_credentials");
    }
    lk_status status = lk_client_describe(&wish, &client, &note);
    if (status == LK_OK) {
        status = lk_accounts_client_add(place->accounts, &client, secret, &note);
    }
    if (status == LK_FULL) {
        return cli_no(c, LK_REASON_NONE, "there is a client '%s'", c->arguments[0]);
    }
    if (status != LK_OK) {
        return cli_answer(c, status, "no client was added", &note);
    }
    return shown_once(c, client_object(&client), secret);
}

static int rotate_of(const cli *c, const cli_place *place)
{
    char secret[LK_CLIENT_SECRET_LEN + 1];
    lk_view realm = cli_realm(c, place), name = lk_view_of(c->arguments[0]);
    lk_client client;
    lk_status status = lk_accounts_client_rotate(place->accounts, realm, name, secret);
    if (status == LK_OK) {
        status = lk_accounts_client_get(place->accounts, realm, name, &client);
    }
    if (status == LK_MISS) {
        return cli_no(c, LK_REASON_NONE, "there is no client '%s'", c->arguments[0]);
    }
    if (status != LK_OK) {
        return cli_answer(c, status, "the secret was not changed", NULL);
    }
    return shown_once(c, client_object(&client), secret);
}

/* The row first: no new token; then one cut-off for those that are out. */
static int remove_of(const cli *c, const cli_place *place)
{
    lk_view realm = cli_realm(c, place), name = lk_view_of(c->arguments[0]);
    lk_note note = {{0}};
    lk_status status = lk_accounts_client_remove(place->accounts, realm, name);
    if (status == LK_MISS) {
        return cli_no(c, LK_REASON_NONE, "there is no client '%s'", c->arguments[0]);
    }
    if (status == LK_OK) {
        status = lk_guard_cutoff(place->guard, LK_LEVEL_CLIENT, realm, name, LK_REASON_REVOKED, NULL, &note);
    }
    if (status != LK_OK) {
        return cli_answer(c, status, "the client is gone, but its tokens may still be accepted", &note);
    }
    json_t *object = json_object();
    cli_set_text(object, "client_id", name);
    return cli_done(c, object, "client %s removed, and its tokens are refused", c->arguments[0]);
}

static int with_accounts(cli *c, unsigned more, int (*run)(const cli *c, const cli_place *place))
{
    cli_place place;
    int code = cli_place_open(c, CLI_ACCOUNTS | more, &place);
    if (code != CLI_YES) {
        return code;
    }
    code = run(c, &place);
    cli_place_close(&place);
    return code;
}

static int add(cli *c)
{
    return with_accounts(c, 0, add_to);
}

static int rotate(cli *c)
{
    return with_accounts(c, 0, rotate_of);
}

static int remove_client(cli *c)
{
    return with_accounts(c, CLI_REVOKE, remove_of);
}

static bool list_one(void *context, const lk_client *client)
{
    return json_array_append_new(context, client_object(client)) == 0;
}

static int list_all(const cli *c, const cli_place *place)
{
    json_t *object = json_object(), *rows = json_array();
    (void)json_object_set_new(object, "clients", rows);
    lk_status status = lk_accounts_client_list(place->accounts, cli_realm(c, place), list_one, rows);
    if (status != LK_OK) {
        json_decref(object);
        return cli_answer(c, status, "the accounts cannot be read", NULL);
    }
    return cli_print_table(c, object, "clients", columns,
                           "There are no clients yet: latchkey client add NAME makes one.");
}

static int list(cli *c)
{
    return with_accounts(c, 0, list_all);
}

#define REALM_OPTION                                                                                         \
    {                                                                                                        \
        "realm", "REALM", "the account system; the one of the settings when not given"                       \
    }

static const cli_option realm_options[] = {REALM_OPTION, {0}};
static const cli_option add_options[] = {
    {"grants", "LIST", "what it may do: client_credentials (default), exchange, introspect, revoke"},
    {"scope", "LIST", "the scopes it may ask for; it is given no other"},
    {"aud", "LIST", "whom it may ask for tokens for, and whose tokens it may ask about"},
    {"roles", "LIST", "roles of a user that it may pass on by exchange; none when not given"},
    REALM_OPTION,
    {0}};

const cli_command cli_client_commands[] = {
    {"client", "add", "NAME", 1, 1, add_options, "Make an OAuth client known",
     "NAME is its client_id. The secret is shown once, and kept as a keyed hash.",
     "latchkey client add billing --scope orders.read --grants client_credentials,exchange", add},
    {"client", "list", "", 0, 0, realm_options, "List the OAuth clients", NULL, "latchkey client list --json",
     list},
    {"client", "rotate-secret", "NAME", 1, 1, realm_options, "Give a client a new secret",
     "The old one is refused at once; tokens that are out stay good until they expire.",
     "latchkey client rotate-secret billing", rotate},
    {"client", "remove", "NAME", 1, 1, realm_options, "Remove a client, and refuse its tokens", NULL,
     "latchkey client remove billing", remove_client},
    {0},
};
