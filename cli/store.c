/* SPDX-License-Identifier: Apache-2.0
 *
 * store.c - latchkey store: the table of its commands, and which store they are about.
 */
#include "store.h"
#include "shm/table.h"
#include <latchkey/secret.h>
#include <stdlib.h>
#include <string.h>

/* The URL in argv, which every user of the machine can read, becomes the one that may be shown. */
static void hide_password(const char *word)
{
    char shown[LK_URL_MAX];
    size_t len = strlen(word);
    lk_store_url_show(word, shown, sizeof shown);
    if (strcmp(word, shown) == 0) {
        return;
    }
    char *there = (char *)(uintptr_t)word;
    lk_wipe(there, len);
    memcpy(there, shown, strlen(shown) < len ? strlen(shown) : len);
    cli_remark(
        "a password on the command line stays in the shell's history, and others on this machine could "
        "see it until now: file:PATH or env:NAME keeps it out of sight");
}

int store_read_url(const cli *c, const char *name, const char *word, char url[LK_URL_MAX])
{
    lk_settings *scratch = calloc(1, sizeof *scratch);
    lk_note note = {{0}};
    lk_view value = lk_view_of(word);
    if (scratch == NULL) {
        return cli_fault(c, "out of memory");
    }
    lk_settings_init(scratch);
    scratch->store[0] = '\0';
    lk_status status = lk_settings_apply(scratch, LK_VIEW("latchkey_store"), &value, 1, &note);
    memcpy(url, scratch->store, LK_URL_MAX);
    lk_wipe(scratch, sizeof *scratch);
    free(scratch);
    if (status == LK_OK) {
        hide_password(word);
        return CLI_YES;
    }
    const char *why = strchr(note.text, ':') != NULL ? strchr(note.text, ':') + 2 : note.text;
    return status == LK_FAULT ? cli_fault(c, "%s: %s", name, why) : cli_wrong(c, "%s: %s", name, why);
}

static int read_settings(const cli *c, lk_settings *settings)
{
    lk_note note = {{0}};
    lk_status status = lk_settings_read(lk_env_system(), c->conf, settings, &note);
    if (status == LK_OK) {
        return CLI_YES;
    }
    return status == LK_FAULT ? cli_fault(c, "%s", note.text) : cli_wrong(c, "%s", note.text);
}

static bool is_memory(const char *url)
{
    return strncmp(url, "memory:", 7) == 0;
}

int store_choose(const cli *c, const char *word, store_at *out)
{
    memset(out, 0, sizeof *out);
    lk_note note = {{0}};
    int code = word != NULL ? store_read_url(c, "the store", word, out->url) : CLI_YES;
    /* The memory store lives in the gateway's table, which only the settings can name. */
    if (code == CLI_YES && (word == NULL || is_memory(out->url))) {
        code = read_settings(c, &out->settings);
        out->from_settings = code == CLI_YES;
    }
    if (code == CLI_YES && word == NULL) {
        memcpy(out->url, out->settings.store, sizeof out->url);
    }
    lk_store_url_show(out->url, out->shown, sizeof out->shown);
    if (code == CLI_YES && lk_store_url_check(out->url, &note) != LK_OK) {
        code = cli_wrong(c, "%s: %s", out->shown, note.text);
    }
    return code;
}

lk_status store_try(const cli *c, store_at *at, lk_note *note)
{
    char path[LK_URL_MAX];
    note->text[0] = '\0';
    if (is_memory(at->url) && at->table == NULL &&
        cli_table_open(c, &at->settings, false, &at->table) != CLI_YES) {
        lk_note_set(note, "the gateway's table cannot be opened");
        return LK_FAULT;
    }
    cli_path_of_url(at->url, path);
    cli_become_self();
    if (cli_become_owner_of(c, path) != CLI_YES) {
        lk_note_set(note, "its owner is another user");
        return LK_FAULT;
    }
    return cli_store_open(lk_env_system(), at->url, NULL, at->table, &at->store, note);
}

int store_open(const cli *c, store_at *at)
{
    lk_note note;
    lk_status status = store_try(c, at, &note);
    return cli_store_failed(c, status, at->url, &note);
}

void store_close(store_at *at)
{
    lk_store_close(at->store);
    if (at->table != NULL) {
        lk_table_close(at->table);
    }
    lk_wipe(at, sizeof *at);
}

#define STORE_OPTION                                                                                         \
    {                                                                                                        \
        "store", "URL", "another store than latchkey_store of the settings; also file:PATH, env:NAME"        \
    }

static const cli_option make_options[] = {
    STORE_OPTION,
    {"accounts", "URL", "the database of users, when it is on a server; also file:PATH, env:NAME"},
    {0},
};
static const cli_option look_options[] = {STORE_OPTION, {0}};
static const cli_option sweep_options[] = {
    STORE_OPTION,
    {"max-rows", "N", "remove at most that many in a step (default 10000)"},
    {"max-ms", "N", "stop a step after that time (default 1000)"},
    {"all", NULL, "go on, step by step, until nothing is left that is over"},
    {0},
};
static const cli_option copy_options[] = {
    {"rate", "N/s", "copy at most that many sessions a second, to leave the stores room for their work"},
    {"end-unknown", NULL, "end sessions of TO that FROM may have ended and forgotten"},
    {"lanes", "N", "write that many sessions at once (default 8)"},
    {0},
};

const cli_command cli_store_commands[] = {
    {"store", "init", "", 0, 0, make_options, "Make what the stores of sessions and accounts need",
     "Tables on a database server; embedded stores and Redis need nothing. What is there already is left as "
     "it\n"
     "is: doing it twice does no harm.",
     "latchkey store init --store file:/etc/latchkey/store.url", store_init},
    {"store", "upgrade", "", 0, 0, make_options, "Bring the stores to the format of this version",
     "To be run once, before the first gateway of the new version is started. A store that is newer than "
     "this\n"
     "program is left as it is.",
     "latchkey store upgrade --conf /etc/latchkey/latchkey.conf", store_upgrade},
    {"store", "check", "", 0, 0, look_options,
     "Look for what could bite: versions, settings, clocks, replicas",
     "The answer is no (1) when there is a warning or a problem; each comes with its cure. With "
     "latchkey_replica\n"
     "in the settings the copy near this node is checked too.",
     "latchkey store check --store redis://10.0.0.5:6379/0", store_check},
    {"store", "stats", "", 0, 0, look_options, "Count what a store holds",
     "Sessions that are over count until they are swept. Near copies are those of the gateway on this "
     "machine.",
     "latchkey store stats --json", store_stats},
    {"store", "sweep", "", 0, 0, sweep_options, "Remove what is over",
     "Gateways do this by themselves, a little every second; this is for stores that no gateway runs on.",
     "latchkey store sweep --all", store_sweep},
    {"store", "copy", "FROM TO", 2, 2, copy_options, "Copy every session and revocation to another store",
     "FROM and TO are URLs, file:PATH or env:NAME; memory: is the table of --conf. FROM may be in use. "
     "Interrupted,\n"
     "it is run again with the same words: what is in TO already is only looked at, and brought up to date. "
     "So it is\n"
     "for moving: copy, switch the gateways to TO, copy once more. Not copied: accounts, keys, counted "
     "login\n"
     "failures, and the marks of sessions that have ended.",
     "latchkey store copy lmdb:/var/lib/latchkey/sessions file:/etc/latchkey/redis.url", store_copy},
    {0},
};
