/* SPDX-License-Identifier: Apache-2.0
 *
 * store_make.c - latchkey store init and upgrade: what a server must have before a gateway can use it.
 */
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

/* A format that this program may not touch is a no; the rest as everywhere. */
static int refuse(const cli *c, lk_status status, const char *url, const lk_note *note)
{
    char shown[LK_URL_MAX];
    if (status == LK_STALE || status == LK_FULL) {
        lk_store_url_show(url, shown, sizeof shown);
        return cli_no(c, LK_REASON_NONE, "store %s: %s", shown, note->text);
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

int store_make(const cli *c, const char *url, bool upgrade, const char **done)
{
    lk_note note = {{0}};
    *done = "ready";
    if (strncmp(url, "memory:", 7) == 0) {
        return CLI_YES; /* the gateway makes it, in its own memory */
    }
    int code = become_owner(c, url);
    if (code != CLI_YES) {
        return code;
    }
    lk_status before = store_probe(url, &note);
    if (before == LK_REFUSED || before == LK_FAULT) {
        return refuse(c, before, url, &note);
    }
    lk_status status = lk_store_setup(lk_env_system(), url, upgrade, &note);
    status = status == LK_OK ? store_probe(url, &note) : status;
    if (status != LK_OK) {
        return refuse(c, status, url, &note);
    }
    *done = before == LK_OK ? "ready" : before == LK_MISS ? "made" : "upgraded";
    return CLI_YES;
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

static int make(const cli *c, bool upgrade)
{
    store_at at;
    const char *done;
    json_t *answer = json_object();
    int code = store_choose(c, cli_get(c, "store"), &at);
    code = code == CLI_YES ? store_make(c, at.url, upgrade, &done) : code;
    if (code == CLI_YES) {
        say(c, answer, "store", at.shown, done);
    }
    store_close(&at);
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
