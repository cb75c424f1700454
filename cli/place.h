/* SPDX-License-Identifier: Apache-2.0
 *
 * place.h - the place a command works on: settings, keys, accounts and store of one latchkey.conf.
 */
#ifndef LATCHKEY_CLI_PLACE_H
#define LATCHKEY_CLI_PLACE_H

#include "output.h"
#include <latchkey/account.h>
#include <latchkey/guard.h>

struct lk_table;

typedef struct cli_place {
    lk_settings settings;
    lk_keyring *ring;
    lk_accounts *accounts;
    struct lk_table *table;
    lk_cluster_clock clock; /* what the store and the guard go by, once the table is there */
    lk_store *store;
    lk_guard *guard;
} cli_place;

/* What of it is wanted. Settings always are. */
enum {
    CLI_KEYS = 1,
    CLI_KEYS_NEW = 2, /* make the keys when there are none yet */
    CLI_ACCOUNTS =
        4, /* implies keys, made when there are none: the first user may come before the first start */
    CLI_STORE = 8,  /* to look */
    CLI_REVOKE = 16 /* store and guard: to end what a running gateway would accept */
};

/* Open. CLI_YES; otherwise everything is closed again, the reason is printed and the exit code comes back:
 * CLI_WRONG for settings, CLI_FAULT for what could not be opened or seen from here. */
int cli_place_open(const cli *c, unsigned wanted, cli_place *out);
void cli_place_close(cli_place *place);

/* Open further parts of an open place; the same answers, the place stays open. */
int cli_place_add(const cli *c, unsigned wanted, cli_place *place);

/* Run by root: act as the owner of PATH from now on, and again as ourselves. CLI_YES or CLI_FAULT. */
int cli_become_owner_of(const cli *c, const char *path);
void cli_become_self(void);

/* The path in "lmdb:/path?options", or "" when the URL is that of a server. */
void cli_path_of_url(const char *url, char out[LK_URL_MAX]);

/* The gateway's table of SETTINGS, where it is a file that we may open; with OWN_WILL_DO else one of our own.
 */
int cli_table_open(const cli *c, const lk_settings *settings, bool own_will_do, struct lk_table **out);

/* Open a store as lk_store_open does, or with REPLICA (NULL: none) as lk_store_open_replicated. A server that
 * does not answer within its deadline is asked again: a person has a second to spare, unlike a request. */
lk_status cli_store_open(const lk_env *env, const char *url, const char *replica, struct lk_table *table,
                         lk_store **out, lk_note *note);

/* Say why a store was not opened. CLI_WRONG for what is written wrong (a password too), else CLI_FAULT. */
int cli_store_failed(const cli *c, lk_status status, const char *url, const lk_note *note);

/* The realm a command speaks of: --realm, else the one of the settings. */
lk_view cli_realm(const cli *c, const cli_place *place);

/* The user that NAME (a name or an id) means. CLI_YES, CLI_NO, CLI_FAULT, printed. */
int cli_user_find(const cli *c, const cli_place *place, const char *name, lk_user *out);

/* The word of --reason as a reason to end something with; FALLBACK when it was not given. */
int cli_ending_reason(const cli *c, lk_reason fallback, lk_reason *out);

/* Every cut-off in force, in memory; for answering which sessions and tokens are over. */
typedef struct cli_cutoffs {
    lk_cutoff *all;
    size_t n;
} cli_cutoffs;
int cli_cutoffs_read(const cli *c, lk_store *store, cli_cutoffs *out);
void cli_cutoffs_free(cli_cutoffs *cutoffs);

/* What a cut-off may hit: a session or a token. */
typedef struct cli_subject {
    lk_view realm, roles, client, user, device;
    lk_view kid;           /* of the key that proves it; empty: it is a session */
    const char *public_id; /* of its session, or NULL */
    int64_t issued_ms;     /* since 1970 */
} cli_subject;
/* The cut-off that ends SUBJECT, or NULL. */
const lk_cutoff *cli_cutoff_hits(const cli_cutoffs *cutoffs, const cli_subject *subject, int64_t now_s);

#endif
