/* SPDX-License-Identifier: Apache-2.0
 *
 * store_make.c - latchkey store init and upgrade: what a server must have before a gateway can use it.
 */
#include "account/internal.h"
#include "store.h"
#include <stdio.h>
#include <string.h>

lk_status store_probe(const char *url, lk_note *note)
{
    lk_store *store = NULL;
    note->text[0] = '\0';
    lk_status status = cli_store_open(lk_env_system(), url, NULL, NULL, &store, note);
    lk_store_close(store);
    return status;
}

lk_status store_probe_accounts(const char *url, lk_note *note)
{
    lk_sql *sql = NULL;
    note->text[0] = '\0';
    lk_status status = lk_sql_open(lk_env_system(), url, NULL, &sql, note);
    status = status == LK_OK ? lk__schema_ready(sql, note) : status;
    lk_sql_close(sql);
    return status;
}

/* A format that this program may not touch is a no; the rest as everywhere. */
static int refuse(const cli *c, lk_status status, const char *url, const lk_note *note)
{
    char shown[LK_URL_MAX];
    if (status == LK_STALE || status == LK_FULL) {
        lk_store_url_show(url, shown, sizeof shown);
        return cli_no(c, LK_REASON_NONE, "%s: %s", shown, note->text);
    }
    return cli_store_failed(c, status, url, note);
}

static int become_owner(const cli *c, const char *url)
{
    char path[LK_URL_MAX];
    cli_path_of_url(url, path);
    cli_become_self();
    return cli_become_owner_of(c, path);
}

typedef lk_status (*probe_of)(const char *url, lk_note *note);
typedef lk_status (*setup_of)(const lk_env *env, const char *url, bool upgrade, lk_note *note);

/* What was done is seen by looking before and after: both kinds of set-up do nothing where all is well. */
static int make_at(const cli *c, const char *url, bool upgrade, probe_of probe, setup_of setup,
                   const char **done)
{
    lk_note note = {{0}};
    lk_status before = probe(url, &note);
    if (before == LK_REFUSED || before == LK_FAULT) {
        return refuse(c, before, url, &note);
    }
    lk_status status = setup(lk_env_system(), url, upgrade, &note);
    status = status == LK_OK ? probe(url, &note) : status;
    if (status != LK_OK) {
        return refuse(c, status, url, &note);
    }
    *done = before == LK_OK ? "ready" : before == LK_MISS ? "made" : "upgraded";
    return CLI_YES;
}

int store_make(const cli *c, const char *url, bool upgrade, const char **done)
{
    *done = "ready";
    if (strncmp(url, "memory:", 7) == 0) {
        return CLI_YES; /* the gateway makes it, in its own memory */
    }
    int code = become_owner(c, url);
    return code == CLI_YES ? make_at(c, url, upgrade, store_probe, lk_store_setup, done) : code;
}

int store_make_accounts(const cli *c, const char *url, bool upgrade, const char **done)
{
    return make_at(c, url, upgrade, store_probe_accounts, lk_accounts_setup, done);
}

/* ---- the commands ---- */

static void say(const cli *c, json_t *answer, const char *key, const char *shown, const char *done)
{
    json_t *object = json_object();
    cli_set_text(object, "url", lk_view_of(shown));
    cli_set_text(object, "done", lk_view_of(done));
    (void)json_object_set_new(answer, key, object);
    if (!c->json) {
        printf("%s %s: %s\n", key, shown, done);
    }
}

/* The accounts that are meant: --accounts, else those of the settings. Empty when they are in a file, which
 * makes itself. */
static int choose_accounts(const cli *c, const store_at *at, char url[LK_URL_MAX])
{
    const char *word = cli_get(c, "accounts");
    lk_note note = {{0}};
    url[0] = '\0';
    if (word == NULL) {
        snprintf(url, LK_URL_MAX, "%s", at->from_settings ? at->settings.accounts : "");
    }
    int code = word != NULL ? store_read_url(c, "the accounts", word, url) : CLI_YES;
    if (code == CLI_YES && url[0] != '\0' && lk_accounts_url_check(url, &note) != LK_OK) {
        return cli_wrong(c, "the accounts: %s", note.text);
    }
    if (strstr(url, "://") == NULL) {
        url[0] = '\0';
    }
    return code;
}

static int make_both(const cli *c, bool upgrade, const store_at *at, const char *accounts, json_t *answer)
{
    char shown[LK_URL_MAX];
    const char *done;
    int code = store_make(c, at->url, upgrade, &done);
    if (code == CLI_YES) {
        say(c, answer, "store", at->shown, done);
    }
    if (code == CLI_YES && accounts[0] != '\0') {
        code = store_make_accounts(c, accounts, upgrade, &done);
        if (code == CLI_YES) {
            lk_store_url_show(accounts, shown, sizeof shown);
            say(c, answer, "accounts", shown, done);
        }
    }
    return code;
}

static int make(const cli *c, bool upgrade)
{
    store_at at;
    char accounts[LK_URL_MAX];
    json_t *answer = json_object();
    int code = store_choose(c, cli_get(c, "store"), &at);
    code = code == CLI_YES ? choose_accounts(c, &at, accounts) : code;
    code = code == CLI_YES ? make_both(c, upgrade, &at, accounts, answer) : code;
    store_close(&at);
    lk_wipe(accounts, sizeof accounts);
    if (code == CLI_YES && c->json) {
        return cli_print_record(c, answer, NULL);
    }
    json_decref(answer);
    return code;
}

int store_init(cli *c)
{
    return make(c, false);
}

int store_upgrade(cli *c)
{
    return make(c, true);
}
