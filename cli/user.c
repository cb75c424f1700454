/* SPDX-License-Identifier: Apache-2.0
 *
 * user.c - latchkey user: accounts, and the end of their sessions when they change.
 */
#include "input.h"
#include "place.h"
#include <stdio.h>

static const cli_column columns[] = {
    {"name", "NAME", CLI_TEXT},       {"id", "ID", CLI_TEXT},
    {"roles", "ROLES", CLI_TEXT},     {"state", "STATE", CLI_TEXT},
    {"created", "CREATED", CLI_TIME}, {"login", "LAST LOGIN", CLI_TIME},
    {"realm", "REALM", CLI_TEXT},     {0},
};

static json_t *user_object(const lk_user *u)
{
    json_t *object = json_object();
    cli_set_text(object, "id", lk_view_of(u->id));
    cli_set_text(object, "name", lk_view_of(u->name));
    cli_set_text(object, "realm", lk_view_of(u->realm));
    cli_set_words(object, "roles", lk_view_of(u->roles));
    cli_set_text(object, "state", u->state == LK_USER_ENABLED ? LK_VIEW("enabled") : LK_VIEW("disabled"));
    cli_set_number(object, "created", u->created_s);
    cli_set_number(object, "changed", u->changed_s);
    cli_set_number(object, "login", u->login_s);
    return object;
}

/* ---- add ---- */

static int add_with(const cli *c, const cli_place *place, lk_view password)
{
    lk_user made;
    lk_note note = {{0}};
    const char *roles = cli_get(c, "roles");
    lk_status status = lk_accounts_add(place->accounts, cli_realm(c, place), lk_view_of(c->arguments[0]),
                                       password, lk_view_of(roles), &made, &note);
    if (status == LK_FULL) {
        return cli_no(c, LK_REASON_NONE, "the name '%s' is taken", c->arguments[0]);
    }
    if (status != LK_OK) {
        return cli_answer(c, status, "no user was added", &note);
    }
    return cli_done(c, user_object(&made), "added user %s (id %s)", made.name, made.id);
}

static int add(cli *c)
{
    cli_place place;
    cli_input password;
    int code = cli_place_open(c, CLI_ACCOUNTS, &place);
    if (code != CLI_YES) {
        return code;
    }
    code = cli_read_password(c, "Password", true, &password);
    if (code == CLI_YES) {
        code = add_with(c, &place, cli_input_view(&password));
        cli_input_free(&password);
    }
    cli_place_close(&place);
    return code;
}

/* ---- list, show ---- */

static bool list_one(void *context, const lk_user *u)
{
    return json_array_append_new(context, user_object(u)) == 0;
}

static int list(cli *c)
{
    cli_place place;
    int code = cli_place_open(c, CLI_ACCOUNTS, &place);
    if (code != CLI_YES) {
        return code;
    }
    json_t *object = json_object(), *rows = json_array();
    (void)json_object_set_new(object, "users", rows);
    lk_status status = lk_accounts_list(place.accounts, cli_realm(c, &place), list_one, rows);
    cli_place_close(&place);
    if (status != LK_OK) {
        json_decref(object);
        return cli_answer(c, status, "the accounts cannot be read", NULL);
    }
    return cli_print_table(c, object, "users", columns,
                           "There are no users yet: latchkey user add NAME makes one.");
}

static int show(cli *c)
{
    cli_place place;
    lk_user u;
    int code = cli_place_open(c, CLI_ACCOUNTS, &place);
    if (code != CLI_YES) {
        return code;
    }
    code = cli_user_find(c, &place, c->arguments[0], &u);
    if (code == CLI_YES) {
        code = cli_print_record(c, user_object(&u), columns);
    }
    cli_place_close(&place);
    return code;
}

/* ---- changes ---- */

/* A change to one account, after which its sessions end. CLI_YES, or the printed refusal. */
typedef int (*change_of)(const cli *c, const cli_place *place, const lk_user *u);

static int ended_sessions(const cli *c, cli_place *place, const lk_user *u, lk_reason reason, uint32_t *ended)
{
    int code = cli_place_add(c, CLI_REVOKE, place);
    if (code != CLI_YES) {
        return code;
    }
    lk_status status =
        lk_guard_end_user(place->guard, lk_view_of(u->realm), lk_view_of(u->id), NULL, reason, ended);
    return status == LK_OK
               ? CLI_YES
               : cli_fault(c, "the store failed while the sessions of %s were being ended", u->name);
}

/* Change first, end sessions second: nobody can log in on the old terms in between. When the sessions cannot
 * be reached the change stands, and the answer says what is still open. */
static int change_user(cli *c, change_of change, lk_reason reason, const char *done)
{
    cli_place place;
    lk_user u;
    uint32_t ended = 0;
    int code = cli_place_open(c, CLI_ACCOUNTS, &place);
    if (code != CLI_YES) {
        return code;
    }
    code = cli_user_find(c, &place, c->arguments[0], &u);
    if (code == CLI_YES) {
        code = change(c, &place, &u);
    }
    if (code == CLI_YES && !cli_has(c, "keep-sessions")) {
        code = ended_sessions(c, &place, &u, reason, &ended);
        if (code != CLI_YES) {
            cli_remark("user %s was %s, but its sessions were not ended", u.name, done);
            code = CLI_FAULT;
        }
    }
    if (code == CLI_YES) {
        json_t *object = json_object();
        cli_set_text(object, "id", lk_view_of(u.id));
        cli_set_text(object, "name", lk_view_of(u.name));
        cli_set_text(object, "done", lk_view_of(done));
        cli_set_number(object, "sessions_ended", ended);
        code =
            cli_done(c, object, "user %s %s, %u session%s ended", u.name, done, ended, ended == 1 ? "" : "s");
    }
    cli_place_close(&place);
    return code;
}

static int change_password(const cli *c, const cli_place *place, const lk_user *u)
{
    cli_input password;
    lk_note note = {{0}};
    int code = cli_read_password(c, "New password", true, &password);
    if (code != CLI_YES) {
        return code;
    }
    lk_status status =
        lk_accounts_set_password(place->accounts, lk_view_of(u->id), cli_input_view(&password), &note);
    cli_input_free(&password);
    return cli_answer(c, status, "the password was not changed", &note);
}

static int change_disable(const cli *c, const cli_place *place, const lk_user *u)
{
    return cli_answer(c, lk_accounts_set_state(place->accounts, lk_view_of(u->id), LK_USER_DISABLED), u->name,
                      NULL);
}

static int change_delete(const cli *c, const cli_place *place, const lk_user *u)
{
    return cli_answer(c, lk_accounts_remove(place->accounts, lk_view_of(u->id)), u->name, NULL);
}

static int change_roles(const cli *c, const cli_place *place, const lk_user *u)
{
    lk_note note = {{0}};
    lk_status status =
        lk_accounts_set_roles(place->accounts, lk_view_of(u->id), lk_view_of(c->arguments[1]), &note);
    return cli_answer(c, status, "the roles were not changed", &note);
}

static int passwd(cli *c)
{
    return change_user(c, change_password, LK_REASON_REVOKED, "given a new password");
}

static int disable(cli *c)
{
    return change_user(c, change_disable, LK_REASON_BANNED, "disabled");
}

static int delete (cli *c)
{
    return change_user(c, change_delete, LK_REASON_REVOKED, "deleted");
}

static int roles(cli *c)
{
    return change_user(c, change_roles, LK_REASON_REVOKED, "given new roles");
}

static int enable(cli *c)
{
    cli_place place;
    lk_user u;
    int code = cli_place_open(c, CLI_ACCOUNTS, &place);
    if (code != CLI_YES) {
        return code;
    }
    code = cli_user_find(c, &place, c->arguments[0], &u);
    if (code == CLI_YES) {
        lk_status status = lk_accounts_set_state(place.accounts, lk_view_of(u.id), LK_USER_ENABLED);
        code = cli_answer(c, status, u.name, NULL);
    }
    if (code == CLI_YES) {
        u.state = LK_USER_ENABLED;
        code = cli_done(c, user_object(&u), "user %s enabled", u.name);
    }
    cli_place_close(&place);
    return code;
}

#define REALM_OPTION                                                                                         \
    {                                                                                                        \
        "realm", "REALM", "the account system; the one of the settings when not given"                       \
    }

static const cli_option realm_options[] = {REALM_OPTION, {0}};
static const cli_option add_options[] = {
    {"roles", "ROLES", "roles, with spaces between them; latchkey-admin may use the admin calls"},
    REALM_OPTION,
    {0}};
static const cli_option change_options[] = {
    {"keep-sessions", NULL, "leave the user's sessions as they are"}, REALM_OPTION, {0}};

const cli_command cli_user_commands[] = {
    {"user", "add", "NAME", 1, 1, add_options, "Add a user",
     "The password is asked for twice on a terminal, else read from standard input (one line).",
     "latchkey user add alice --roles 'editor latchkey-admin' < password.txt", add},
    {"user", "list", "", 0, 0, realm_options, "List the users", NULL, "latchkey user list --json", list},
    {"user", "show", "NAME", 1, 1, realm_options, "Show one user, by name or id", NULL,
     "latchkey user show alice", show},
    {"user", "passwd", "NAME", 1, 1, change_options, "Set a user's password and end the user's sessions",
     "The password is asked for twice on a terminal, else read from standard input (one line).",
     "latchkey user passwd alice", passwd},
    {"user", "roles", "NAME ROLES", 2, 2, change_options, "Set a user's roles and end the user's sessions",
     "Sessions carry the roles they were made with, so they end unless --keep-sessions is given.",
     "latchkey user roles alice 'editor'", roles},
    {"user", "disable", "NAME", 1, 1, realm_options,
     "Refuse a user's logins and end the user's sessions and tokens",
     "A running gateway refuses what it holds at its next request, with the reason banned.",
     "latchkey user disable mallory", disable},
    {"user", "enable", "NAME", 1, 1, realm_options, "Accept a disabled user's logins again", NULL,
     "latchkey user enable mallory", enable},
    {"user", "delete", "NAME", 1, 1, realm_options, "Remove a user and end the user's sessions and tokens",
     "Ids are never used again: a new user of the same name is somebody else.",
     "latchkey user delete mallory", delete},
    {0},
};
