/* SPDX-License-Identifier: Apache-2.0
 *
 * cutoff.c - latchkey cutoff: refuse everything issued until now, at a level.
 */
#include "place.h"

static const cli_column columns[] = {
    {"seq", "SEQ", CLI_TEXT},
    {"level", "LEVEL", CLI_TEXT},
    {"key", "KEY", CLI_TEXT},
    {"reason", "REASON", CLI_TEXT},
    {"before", "ISSUED UNTIL", CLI_TIME},
    {"until", "KEPT UNTIL", CLI_TIME},
    {0},
};

static json_t *cutoff_object(const lk_cutoff *cut)
{
    json_t *object = json_object();
    cli_set_number(object, "seq", (int64_t)cut->seq);
    cli_set_text(object, "level", lk_view_of(lk_level_name(cut->level)));
    cli_set_text(object, "key", lk_view_of(cut->key));
    cli_set_text(object, "reason", lk_view_of(lk_reason_word(cut->reason)));
    cli_set_number(object, "before", cut->before_ms / 1000);
    cli_set_number(object, "before_ms", cut->before_ms);
    cli_set_number(object, "until", cut->until_s);
    return object;
}

static int list(cli *c)
{
    cli_place place;
    cli_cutoffs cutoffs;
    int code = cli_place_open(c, CLI_STORE, &place);
    if (code != CLI_YES) {
        return code;
    }
    code = cli_cutoffs_read(c, place.store, &cutoffs);
    cli_place_close(&place);
    if (code != CLI_YES) {
        return code;
    }
    json_t *object = json_object(), *rows = json_array();
    for (size_t i = 0; i < cutoffs.n; i++) {
        (void)json_array_append_new(rows, cutoff_object(&cutoffs.all[i]));
    }
    (void)json_object_set_new(object, "cutoffs", rows);
    cli_cutoffs_free(&cutoffs);
    return cli_print_table(c, object, "cutoffs", columns, "There are no cut-offs.");
}

/* ---- add ---- */

static int wanted_level(const cli *c, lk_level *level)
{
    const char *name = cli_get(c, "level");
    if (name == NULL || lk_level_of(lk_view_of(name), level) != LK_OK) {
        return cli_wrong(c, "%s --level: all, realm, role, client, user, device, family, session or key",
                         name == NULL ? "missing" : "unknown");
    }
    bool needs_key = *level != LK_LEVEL_ALL && *level != LK_LEVEL_REALM;
    if (needs_key != (cli_get(c, "key") != NULL)) {
        return cli_wrong(c, needs_key ? "level %s needs --key" : "level %s takes no --key", name);
    }
    return CLI_YES;
}

/* Cut-offs name users by id, people by name: a name that has an account is turned into its id. */
static int user_key(const cli *c, cli_place *place, lk_user *user, lk_view *key)
{
    int code = cli_place_add(c, CLI_ACCOUNTS, place);
    if (code != CLI_YES) {
        return code;
    }
    lk_status status = lk_accounts_find(place->accounts, cli_realm(c, place), *key, user);
    if (status == LK_OK) {
        *key = lk_view_of(user->id);
    } else if (status == LK_FAULT) {
        return cli_fault(c, "the accounts cannot be read");
    } else {
        cli_remark("no account has that name; it is taken as a user id");
    }
    return CLI_YES;
}

static int add_open(const cli *c, cli_place *place, lk_level level, lk_reason reason)
{
    lk_cutoff made;
    lk_user user;
    lk_note note = {{0}};
    lk_view key = lk_view_of(cli_get(c, "key"));
    lk_view realm = level == LK_LEVEL_ALL ? (lk_view){0} : cli_realm(c, place);
    int code = level == LK_LEVEL_USER ? user_key(c, place, &user, &key) : CLI_YES;
    if (code != CLI_YES) {
        return code;
    }
    lk_status status = lk_guard_cutoff(place->guard, level, realm, key, reason, &made, &note);
    if (status != LK_OK) {
        return cli_answer(c, status, "no cut-off was added", &note);
    }
    return cli_done(c, cutoff_object(&made), "what was issued until now at level %s is refused: %s",
                    lk_level_name(made.level), lk_reason_word(made.reason));
}

static int add(cli *c)
{
    cli_place place;
    lk_level level;
    lk_reason reason;
    int code = wanted_level(c, &level);
    if (code == CLI_YES) {
        code = cli_ending_reason(c, LK_REASON_REVOKED, &reason);
    }
    if (code == CLI_YES) {
        code = cli_place_open(c, CLI_REVOKE, &place);
    }
    if (code != CLI_YES) {
        return code;
    }
    code = add_open(c, &place, level, reason);
    cli_place_close(&place);
    return code;
}

static const cli_option add_options[] = {
    {"level", "LEVEL",
     "all, realm, role, client, user, device, family, session or key (a signing key; see latchkey key burn)"},
    {"key", "KEY", "which one: the role, client, user, device, family, the session's public id, or the kid"},
    {"reason", "WORD", "what the client is told: revoked (default), kicked, banned, replaced"},
    {"realm", "REALM", "the account system; the one of the settings when not given"},
    {0},
};

const cli_command cli_cutoff_commands[] = {
    {"cutoff", "add", "", 0, 0, add_options, "Refuse everything issued until now at a level",
     "One write, however many sessions and tokens it reaches. Who logs in again afterwards is let in.",
     "latchkey cutoff add --level role --key editor", add},
    {"cutoff", "list", "", 0, 0, NULL, "List the cut-offs in force", NULL, "latchkey cutoff list --json",
     list},
    {0},
};
