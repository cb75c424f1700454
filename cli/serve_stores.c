/* SPDX-License-Identifier: Apache-2.0
 *
 * serve_stores.c - the stores of `latchkey serve`: how they were named, and whether they can be used.
 */
#include "serve.h"
#include "store.h"
#include <errno.h>
#include <latchkey/account.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* What latchkey.conf will say: the URL, the file that the user keeps it in, or nothing for a file of ours. */
static int choose_word(const cli *c, const char *option, const char *given, serve_url *out)
{
    char real[PATH_MAX];
    if (begins(given, "file:")) {
        if (realpath(given + 5, real) == NULL || strlen(real) + 6 > sizeof out->word) {
            return cli_fault(c, "--%s: cannot read %s: %s", option, given + 5, strerror(errno));
        }
        snprintf(out->word, sizeof out->word, "file:%.*s", (int)sizeof out->word - 6, real);
    } else if (!begins(given, "env:") && strcmp(out->url, out->shown) == 0) {
        memcpy(out->word, out->url, sizeof out->word);
    }
    return serve_check_plain(c, option, out->word);
}

static int choose_url(const cli *c, const char *option, const char *fallback, serve_url *out,
                      lk_status (*check)(const char *, lk_note *))
{
    lk_note note = {{0}};
    const char *given = cli_get(c, option);
    char copy[LK_URL_MAX];
    given = given != NULL ? given : fallback;
    if (given[0] == '\0') {
        return CLI_YES;
    }
    if (strlen(given) >= sizeof copy) {
        return cli_wrong(c, "--%s is too long", option);
    }
    memcpy(copy, given, strlen(given) + 1); /* the word itself may be hidden */
    int code = store_read_url(c, option, given, out->url);
    lk_store_url_show(out->url, out->shown, sizeof out->shown);
    code = code == CLI_YES ? choose_word(c, option, copy, out) : code;
    if (code == CLI_YES && check(out->url, &note) != LK_OK) {
        code = cli_wrong(c, "--%s %s: %s", option, out->shown, note.text);
    }
    lk_wipe(copy, sizeof copy);
    return code;
}

int serve_choose_stores(const cli *c, serve *s)
{
    char store[LK_PATH_MAX], accounts[LK_PATH_MAX];
    if (!serve_path(store, "lmdb:%s/sessions", s->dir) ||
        !serve_path(accounts, "sqlite:%s/accounts.db", s->dir)) {
        return cli_wrong(c, "--dir: the path is too long");
    }
    s->share = cli_get(c, "share");
    int code = choose_url(c, "store", store, &s->store, lk_store_url_check);
    code = code == CLI_YES ? choose_url(c, "accounts", accounts, &s->accounts, lk_accounts_url_check) : code;
    code = code == CLI_YES ? choose_url(c, "replica", "", &s->replica, lk_store_url_check) : code;
    if (code == CLI_YES && s->share != NULL) {
        code = serve_check_plain(c, "--share", s->share);
    }
    return code;
}

/* ---- before the start ---- */

static int has_no_tables(const cli *c, const serve *s, const char *url, const char *whose)
{
    char shown[LK_URL_MAX];
    lk_store_url_show(url, shown, sizeof shown);
    return cli_fault(
        c,
        "%s: there are no tables for %s yet: start with --init, or make them with latchkey store init "
        "--conf %s/latchkey.conf",
        shown, whose, s->dir);
}

static int try_store(const cli *c, const serve *s, const char *url)
{
    const char *done;
    lk_note note;
    if (strstr(url, "://") == NULL) {
        return CLI_YES; /* made at its first use */
    }
    if (s->init) {
        return store_make(c, url, false, &done);
    }
    lk_status status = store_probe(url, &note);
    return status == LK_MISS ? has_no_tables(c, s, url, "sessions") : cli_store_failed(c, status, url, &note);
}

static int try_accounts(const cli *c, const serve *s, const char *url)
{
    const char *done;
    lk_note note;
    if (strstr(url, "://") == NULL) {
        return CLI_YES;
    }
    if (s->init) {
        return store_make_accounts(c, url, false, &done);
    }
    lk_status status = store_probe_accounts(url, &note);
    return status == LK_MISS ? has_no_tables(c, s, url, "users") : cli_store_failed(c, status, url, &note);
}

/* What nginx would say once a second in its log is said here, once, before it is started. With --keep the
 * settings that count are those of the file. */
int serve_try_stores(const cli *c, const serve *s)
{
    char path[LK_PATH_MAX];
    lk_note note = {{0}};
    lk_settings settings;
    if (!serve_path(path, "%s/latchkey.conf", s->dir) ||
        lk_settings_read(lk_env_system(), path, &settings, &note) != LK_OK) {
        return cli_wrong(c, "%s", note.text);
    }
    int code = try_store(c, s, settings.store);
    code = code == CLI_YES ? try_accounts(c, s, settings.accounts) : code;
    lk_wipe(&settings, sizeof settings);
    return code;
}
