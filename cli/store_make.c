/* SPDX-License-Identifier: Apache-2.0
 *
 * store_make.c - latchkey store init and upgrade: what a server must have before a gateway can use it.
 */
#include "store.h"
#include <stdio.h>
#include <string.h>

/* What was done to one of the databases. */
typedef enum made { MADE_NOTHING, MADE_NEW, MADE_UPGRADED } made;
static const char *const made_words[] = {"ready", "made", "upgraded"};

static void say(const cli *c, json_t *answer, const char *key, const char *shown, made what)
{
    json_t *object = json_object();
    cli_set_text(object, "url", lk_view_of(shown));
    cli_set_text(object, "done", lk_view_of(made_words[what]));
    (void)json_object_set_new(answer, key, object);
    if (!c->json) {
        printf("%s %s: %s\n", key, shown, made_words[what]);
    }
}

/* A format that this program may not touch is a no; the rest as everywhere. */
static int refuse(const cli *c, lk_status status, const char *url, const char *shown, const lk_note *note)
{
    if (status == LK_STALE || status == LK_FULL) {
        return cli_no(c, LK_REASON_NONE, "store %s: %s", shown, note->text);
    }
    return cli_store_failed(c, status, url, note);
}

static int make_store(const cli *c, store_at *at, bool upgrade, json_t *answer)
{
    lk_note note = {{0}};
    if (strncmp(at->url, "memory:", 7) == 0) {
        say(c, answer, "store", at->shown, MADE_NOTHING); /* the gateway makes it, in its own memory */
        return CLI_YES;
    }
    lk_status before = store_try(c, at, &note);
    lk_store_close(at->store);
    at->store = NULL;
    if (before == LK_REFUSED || before == LK_FAULT) {
        return refuse(c, before, at->url, at->shown, &note);
    }
    lk_status status = lk_store_setup(lk_env_system(), at->url, upgrade, &note);
    status = status == LK_OK ? store_try(c, at, &note) : status;
    if (status != LK_OK) {
        return refuse(c, status, at->url, at->shown, &note);
    }
    made what = before == LK_OK ? MADE_NOTHING : before == LK_MISS ? MADE_NEW : MADE_UPGRADED;
    say(c, answer, "store", at->shown, what);
    return CLI_YES;
}

static int make(const cli *c, bool upgrade)
{
    store_at at;
    json_t *answer = json_object();
    int code = store_choose(c, cli_get(c, "store"), &at);
    code = code == CLI_YES ? make_store(c, &at, upgrade, answer) : code;
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
