/* SPDX-License-Identifier: Apache-2.0
 *
 * device.c - latchkey device: the devices of a user that stay logged in.
 */
#include "place.h"

static const cli_column columns[] = {
    {"id", "ID", CLI_TEXT},
    {"label", "LABEL", CLI_TEXT},
    {"class", "CLASS", CLI_TEXT},
    {"holds", "HOLDS", CLI_TEXT},
    {"created", "CREATED", CLI_TIME},
    {"last_used", "LAST USED", CLI_TIME},
    {"idle_expires", "ENDS", CLI_TIME},
    {0},
};

static json_t *device_object(const lk_device *d)
{
    json_t *object = json_object();
    cli_set_text(object, "id", lk_view_of(d->id));
    cli_set_text(object, "user", lk_view_of(d->user));
    cli_set_text(object, "label", lk_view_of(d->label));
    cli_set_text(object, "class", lk_view_of(d->device_class));
    cli_set_text(object, "holds", d->has_secret ? LK_VIEW("secret") : LK_VIEW("public_key"));
    cli_set_text(object, "session", lk_view_of(d->session));
    cli_set_number(object, "created", d->created_s);
    cli_set_number(object, "authenticated", d->auth_s);
    cli_set_number(object, "last_used", d->seen_s);
    cli_set_number(object, "idle_expires", d->ends_s);
    cli_set_number(object, "expires", d->expires_s);
    (void)json_object_set_new(object, "put_out", json_boolean(d->put_out_s > 0));
    return object;
}

static int list_of(const cli *c, const cli_place *place)
{
    static lk_device all[LK_DEVICES_MAX];
    lk_user user;
    size_t n = 0;
    int code = cli_user_find(c, place, c->arguments[0], &user);
    if (code != CLI_YES) {
        return code;
    }
    lk_status status = lk_accounts_device_list(place->accounts, lk_view_of(user.id), all, &n);
    if (status != LK_OK) {
        return cli_answer(c, status, "the devices cannot be read", NULL);
    }
    json_t *object = json_object(), *rows = json_array();
    (void)json_object_set_new(object, "devices", rows);
    for (size_t i = 0; i < n; i++) {
        (void)json_array_append_new(rows, device_object(&all[i]));
    }
    return cli_print_table(c, object, "devices", columns, "That user has no device that stays logged in.");
}

static int list(cli *c)
{
    cli_place place;
    int code = cli_place_open(c, CLI_ACCOUNTS, &place);
    if (code != CLI_YES) {
        return code;
    }
    code = list_of(c, &place);
    cli_place_close(&place);
    return code;
}

static int find(const cli *c, const cli_place *place, lk_device *d)
{
    lk_status status = lk_accounts_device_get(place->accounts, lk_view_of(c->arguments[0]), d);
    if (status == LK_MISS) {
        return cli_no(c, LK_REASON_NONE, "there is no such device");
    }
    return status == LK_OK ? CLI_YES : cli_answer(c, status, "the device cannot be read", NULL);
}

static int rename_it(cli *c)
{
    cli_place place;
    lk_device d;
    lk_note note = {{0}};
    int code = cli_place_open(c, CLI_ACCOUNTS, &place);
    if (code != CLI_YES) {
        return code;
    }
    code = find(c, &place, &d);
    if (code == CLI_YES) {
        lk_status status = lk_accounts_device_rename(place.accounts, lk_view_of(d.user), lk_view_of(d.id),
                                                     lk_view_of(c->arguments[1]), &note);
        code = cli_answer(c, status, "the device was not renamed", &note);
    }
    if (code == CLI_YES && lk_accounts_device_get(place.accounts, lk_view_of(c->arguments[0]), &d) == LK_OK) {
        code = cli_done(c, device_object(&d), "device %s is called '%s'", d.id, d.label);
    }
    cli_place_close(&place);
    return code;
}

/* Stopped first: nothing new begins. Then what it was given ends, as tokens too. Forgotten last, so that what
 * failed can be tried again. */
static int revoke_one(const cli *c, cli_place *place, lk_reason reason)
{
    lk_device d;
    lk_session_key key;
    int code = find(c, place, &d);
    if (code != CLI_YES) {
        return code;
    }
    lk_status status = lk_accounts_device_stop(place->accounts, lk_view_of(d.user), lk_view_of(d.id), &d);
    if (status == LK_OK) {
        status = lk_guard_cutoff(place->guard, LK_LEVEL_DEVICE, lk_view_of(d.realm), lk_view_of(d.id), reason,
                                 NULL, NULL);
    }
    if (status == LK_OK && lk_public_id_read(lk_view_of(d.session), &key) == LK_OK) {
        status = lk_guard_end(place->guard, lk_view_of(d.realm), &key, reason);
    }
    if (status == LK_OK) {
        status = lk_accounts_device_remove(place->accounts, lk_view_of(d.user), lk_view_of(d.id), &d);
    }
    if (status != LK_OK && status != LK_MISS) {
        return cli_answer(c, status, "the device may still be logged in", NULL);
    }
    return cli_done(c, device_object(&d), "device %s is logged out and forgotten", d.id);
}

static int revoke(cli *c)
{
    cli_place place;
    lk_reason reason;
    int code = cli_ending_reason(c, LK_REASON_KICKED, &reason);
    if (code == CLI_YES) {
        code = cli_place_open(c, CLI_ACCOUNTS | CLI_REVOKE, &place);
    }
    if (code != CLI_YES) {
        return code;
    }
    code = revoke_one(c, &place, reason);
    cli_place_close(&place);
    return code;
}

static const cli_option list_options[] = {
    {"realm", "REALM", "the user's account system; the one of the settings when not given"},
    {0},
};
static const cli_option revoke_options[] = {
    {"reason", "WORD", "what the client is told: kicked (default), revoked, banned, replaced"},
    {0},
};

const cli_command cli_device_commands[] = {
    {"device", "list", "USER", 1, 1, list_options, "List the devices of a user that stay logged in", NULL,
     "latchkey device list alice", list},
    {"device", "rename", "ID LABEL", 2, 2, NULL, "Give a device another name", NULL,
     "latchkey device rename R2d1nUJkqE0yYl5c 'Old phone'", rename_it},
    {"device", "revoke", "ID", 1, 1, revoke_options, "Log a device out and forget it",
     "A running gateway on the same settings refuses what it was given at its next request.",
     "latchkey device revoke R2d1nUJkqE0yYl5c", revoke},
    {0},
};
