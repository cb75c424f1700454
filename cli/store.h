/* SPDX-License-Identifier: Apache-2.0
 *
 * store.h - what the commands of `latchkey store` share: the store they are to work on.
 */
#ifndef LATCHKEY_CLI_STORE_H
#define LATCHKEY_CLI_STORE_H

#include "place.h"

/* A store named on the command line or by the settings. Wiped by store_close: the URL may hold a password. */
typedef struct store_at {
    char url[LK_URL_MAX];
    char shown[LK_URL_MAX]; /* without its password */
    bool from_settings;     /* the settings were read */
    lk_settings settings;
    struct lk_table *table; /* for memory: */
    lk_store *store;        /* NULL until store_open */
} store_at;

/* The store that WORD means: a URL, file:PATH or env:NAME. NULL: latchkey_store of the settings. Nothing is
 * opened. A password in WORD is made unreadable in the list of processes. CLI_YES, else printed. */
int store_choose(const cli *c, const char *word, store_at *out);
/* The same for another URL: --accounts, latchkey_replica. NAME is the setting it would be. */
int store_read_url(const cli *c, const char *name, const char *word, char url[LK_URL_MAX]);

/* Open it: LK_OK, or why not in the note; nothing is printed. */
lk_status store_try(const cli *c, store_at *at, lk_note *note);
/* Open it. CLI_YES, else printed. */
int store_open(const cli *c, store_at *at);
void store_close(store_at *at);

/* Open and close the store at URL: LK_OK, or why not in the note. Not for memory: */
lk_status store_probe(const char *url, lk_note *note);
/* Make what the store at URL needs, or bring it up to date. *DONE: "ready", "made", "upgraded". CLI_YES, else
 * printed: CLI_NO for a format that this program does not touch. */
int store_make(const cli *c, const char *url, bool upgrade, const char **done);
/* The same two for the accounts on a server. */
lk_status store_probe_accounts(const char *url, lk_note *note);
int store_make_accounts(const cli *c, const char *url, bool upgrade, const char **done);

/* Each a command; see its help. */
int store_init(cli *c);
int store_upgrade(cli *c);
int store_check(cli *c);
int store_stats(cli *c);
int store_sweep(cli *c);
int store_copy(cli *c);

#endif
