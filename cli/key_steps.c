/* SPDX-License-Identifier: Apache-2.0
 *
 * key_steps.c - latchkey key activate, retire, burn, prune, encrypt, decrypt.
 */
#include "key.h"

typedef lk_status (*step)(const lk_env *env, const lk_key_place *place, lk_view kid, lk_note *note);

static int take_step(const cli *c, step take, const char *what)
{
    cli_place place;
    lk_key_place at;
    lk_note note = {{0}};
    const char *kid = c->arguments[0];
    int code = cli_key_open(c, CLI_KEYS, &place, &at);
    if (code != CLI_YES) {
        return code;
    }
    lk_status status = take(lk_env_system(), &at, lk_view_of(kid), &note);
    code = cli_key_answer(c, &place, status, kid, what, &note);
    cli_key_close(&place);
    return code;
}

int cli_key_activate(cli *c)
{
    return take_step(c, lk_key_activate, "the key was not activated");
}

int cli_key_retire(cli *c)
{
    return take_step(c, lk_key_retire, "the key was not retired");
}

/* ---- burn ---- */

/* The key is out of the files. Now every node, also one whose files are late, is told. */
static int cut_off(const cli *c, cli_place *place, const char *kid, const char *replacement, lk_reason reason)
{
    lk_note note = {{0}};
    lk_cutoff made;
    int code = cli_place_add(c, CLI_REVOKE, place);
    lk_status status = LK_FAULT;
    if (code == CLI_YES) {
        status =
            lk_guard_cutoff(place->guard, LK_LEVEL_KEY, (lk_view){0}, lk_view_of(kid), reason, &made, &note);
    }
    if (status != LK_OK) {
        cli_remark(
            "the key is taken out of %s; but what it signed is refused everywhere only when the store was "
            "told: give this command again",
            place->settings.keys);
        return code != CLI_YES ? code : cli_answer(c, status, "no cut-off was added", &note);
    }
    json_t *object = json_object();
    cli_set_text(object, "kid", lk_view_of(kid));
    cli_set_text(object, "state", lk_view_of(lk_key_state_word(LK_KEY_BURNED)));
    cli_set_text(object, "replacement", lk_view_of(replacement));
    cli_set_number(object, "until", made.until_s);
    if (replacement[0] == '\0') {
        return cli_done(c, object, "%s is burned: all it signed is refused. It was not the one that signs",
                        kid);
    }
    return cli_done(c, object, "%s is burned: all it signed is refused. %s signs now", kid, replacement);
}

int cli_key_burn(cli *c)
{
    cli_place place;
    lk_key_place at;
    lk_note note = {{0}};
    lk_reason reason;
    char replacement[LK_KID_MAX + 1] = "";
    const char *kid = c->arguments[0];
    int code = cli_ending_reason(c, LK_REASON_REVOKED, &reason);
    if (code == CLI_YES && !cli_has(c, "yes")) {
        code = cli_wrong(c, "this ends every token and sealed session that %s signed; add --yes", kid);
    }
    if (code == CLI_YES) {
        code = cli_key_open(c, CLI_KEYS, &place, &at);
    }
    if (code != CLI_YES) {
        return code;
    }
    lk_status status = lk_key_burn(lk_env_system(), &at, lk_view_of(kid), replacement, &note);
    cli_become_self();
    code = status == LK_OK ? cut_off(c, &place, kid, replacement, reason)
                           : cli_answer(c, status, "the key was not burned", &note);
    cli_key_close(&place);
    return code;
}

/* ---- prune ---- */

static void add_kid(void *context, const char *kid)
{
    (void)json_array_append_new(context, json_string(kid));
}

int cli_key_prune(cli *c)
{
    cli_place place;
    lk_key_place at;
    lk_note note = {{0}};
    int code = cli_key_open(c, CLI_KEYS, &place, &at);
    if (code != CLI_YES) {
        return code;
    }
    json_t *object = json_object(), *gone = json_array();
    (void)json_object_set_new(object, "removed", gone);
    lk_status status = lk_key_prune(lk_env_system(), &at, add_kid, gone, &note);
    cli_key_close(&place);
    if (status != LK_OK) {
        json_decref(object);
        return cli_answer(c, status, "not every file was removed", &note);
    }
    return cli_done(c, object, "files removed of keys that were gone: %zu", json_array_size(gone));
}

/* ---- encrypt, decrypt ---- */

static int convert(const cli *c, bool seal)
{
    cli_place place;
    lk_key_place at;
    lk_note note = {{0}};
    size_t changed = 0;
    int code = cli_key_open(c, CLI_KEYS, &place, &at);
    if (code != CLI_YES) {
        return code;
    }
    if (at.secret.len == 0) {
        code = cli_wrong(c,
                         "%s names no master secret: write latchkey_keys %s secret=file:PATH, and reload the "
                         "gateways first, so that they can read what is sealed",
                         c->conf, at.dir);
        cli_key_close(&place);
        return code;
    }
    lk_status status = lk_key_convert(lk_env_system(), &at, seal, &changed, &note);
    cli_key_close(&place);
    if (status != LK_OK) {
        return cli_answer(c, status, "not every file was changed", &note);
    }
    json_t *object = json_object();
    cli_set_number(object, "changed", (int64_t)changed);
    return cli_done(c, object, seal ? "key files sealed: %zu" : "key files put in clear: %zu", changed);
}

int cli_key_encrypt(cli *c)
{
    return convert(c, true);
}

int cli_key_decrypt(cli *c)
{
    return convert(c, false);
}
