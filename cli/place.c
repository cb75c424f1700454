/* SPDX-License-Identifier: Apache-2.0
 *
 * place.c - opening the settings, keys, accounts and store a running gateway uses, beside it.
 */
#include "place.h"
#include "guard/open_store.h"
#include "shm/table.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define OWN_TABLE_SIZE (8u << 20)
#define OPEN_TRIES 4

/* Act as the owner of PATH, or of the nearest directory above it that exists. Run by root, the command would
 * else leave files behind that the gateway, which is not root, cannot open. Root's own files stay root's. */
int cli_become_owner_of(const cli *c, const char *path)
{
    char at[LK_URL_MAX];
    struct stat st;
    if (geteuid() != 0 || path[0] != '/') {
        return CLI_YES;
    }
    snprintf(at, sizeof at, "%s", path);
    while (stat(at, &st) != 0) {
        char *slash = strrchr(at, '/');
        if (slash == at || slash == NULL) {
            return CLI_YES;
        }
        *slash = '\0';
    }
    if (st.st_uid == 0) {
        return CLI_YES;
    }
    if (setgroups(0, NULL) != 0 || setegid(st.st_gid) != 0 || seteuid(st.st_uid) != 0) {
        return cli_fault(c, "cannot act as the owner of %s: %s", at, strerror(errno));
    }
    return CLI_YES;
}

/* Back to the user that started the command. */
void cli_become_self(void)
{
    (void)!seteuid(getuid());
    (void)!setegid(getgid());
}

void cli_path_of_url(const char *url, char out[LK_URL_MAX])
{
    const char *colon = strchr(url, ':');
    bool of_server = strstr(url, "://") != NULL;
    snprintf(out, LK_URL_MAX, "%s", colon != NULL && !of_server ? colon + 1 : "");
    out[strcspn(out, "?")] = '\0';
}

static bool is_memory_store(const lk_settings *settings)
{
    return strncmp(settings->store, "memory:", 7) == 0 || strncmp(settings->move_store, "memory:", 7) == 0;
}

static int open_keys(const cli *c, unsigned wanted, cli_place *place)
{
    lk_note note = {{0}};
    bool create = (wanted & (CLI_KEYS_NEW | CLI_ACCOUNTS)) != 0;
    int code = cli_become_owner_of(c, place->settings.keys);
    if (code != CLI_YES) {
        return code;
    }
    lk_key_place at = lk_settings_key_place(&place->settings);
    lk_status status = lk_keyring_open_at(lk_env_system(), &at, create, &place->ring, &note);
    cli_become_self();
    switch (status) {
    case LK_OK:
        return CLI_YES;
    case LK_MISS:
        return cli_no(c, LK_REASON_NONE,
                      "there are no keys in %s yet: the first start of the gateway makes them, or "
                      "latchkey key new",
                      place->settings.keys);
    case LK_REFUSED:
    case LK_STALE:
    case LK_FULL:
        return cli_wrong(c, "keys: %s", note.text);
    case LK_FAULT:
        break;
    }
    return cli_fault(c, "keys: %s", note.text);
}

static int open_accounts(const cli *c, cli_place *place)
{
    lk_note note = {{0}};
    lk_status status =
        lk_accounts_open(lk_env_system(), &place->settings, place->ring, &place->accounts, &note);
    switch (status) {
    case LK_OK:
        return CLI_YES;
    case LK_REFUSED:
        return cli_wrong(c, "accounts: %s", note.text);
    case LK_MISS:
        if (strstr(note.text, "store init") == NULL) {
            return cli_fault(c, "accounts: %s; latchkey store init makes what they need", note.text);
        }
        break;
    case LK_STALE:
    case LK_FULL:
    case LK_FAULT:
        break;
    }
    return cli_fault(c, "accounts: %s", note.text);
}

/* A session store that exists only inside the processes of the gateway cannot be reached from here, and
 * pretending so by working on an empty one of our own would be the worst answer: "done", and nothing done. */
static int sees_gateways_table(const cli *c, const lk_settings *settings)
{
    const char *path = settings->memory_path;
    if (strcmp(path, "anonymous") == 0) {
        return cli_fault(
            c,
            "the sessions are in memory that only the gateway's own processes see. Name a file in %s "
            "(latchkey_memory /dev/shm/latchkey;) or use the pages under %s/admin and %s/account",
            c->conf, settings->prefix, settings->prefix);
    }
    if (access(path, F_OK) != 0) {
        return cli_fault(c, "%s is not there: no gateway has run on these settings since the machine started",
                         path);
    }
    return CLI_YES;
}

/* Join the gateway's table where it has one in a file that we may open: then what is ended here is refused
 * there at once. Else a table of our own will do, for a store on disk or a server: the gateway follows that
 * one. The file is never made here, and it is opened as its owner, who need not be that of the store. */
int cli_table_open(const cli *c, const lk_settings *settings, bool own_will_do, struct lk_table **out)
{
    lk_note note = {{0}};
    bool joined = false;
    const char *path = settings->memory_path;
    int code = own_will_do ? CLI_YES : sees_gateways_table(c, settings);
    if (code != CLI_YES) {
        return code;
    }
    cli_become_self();
    bool in_file = strcmp(path, "anonymous") != 0 && faccessat(AT_FDCWD, path, R_OK | W_OK, AT_EACCESS) == 0;
    code = in_file ? cli_become_owner_of(c, path) : CLI_YES;
    if (code != CLI_YES) {
        return code;
    }
    if (!in_file && !own_will_do) {
        return cli_fault(c, "%s cannot be opened: run this as the user of the gateway, or as root", path);
    }
    size_t size = in_file ? (size_t)settings->memory_size : OWN_TABLE_SIZE;
    lk_status status = lk_table_open(lk_env_system(), in_file ? path : NULL, size, out, &joined, &note);
    return status == LK_OK ? CLI_YES : cli_fault(c, "shared memory: %s", note.text);
}

int cli_store_failed(const cli *c, lk_status status, const char *url, const lk_note *note)
{
    char shown[LK_URL_MAX];
    lk_store_url_show(url, shown, sizeof shown);
    const char *why = note->text[0] != '\0' ? note->text : lk_status_name(status);
    switch (status) {
    case LK_OK:
        return CLI_YES;
    case LK_REFUSED:
        return cli_wrong(c, "%s: %s", shown, why);
    case LK_MISS:
        if (strstr(why, "store init") == NULL) {
            return cli_fault(c, "%s: %s; latchkey store init makes what it needs", shown, why);
        }
        break;
    case LK_STALE:
    case LK_FULL:
    case LK_FAULT:
        break;
    }
    return cli_fault(c, "%s: %s", shown, why);
}

lk_status cli_store_open(const lk_env *env, const char *url, const char *replica, struct lk_table *table,
                         lk_store **out, lk_note *note)
{
    const struct timespec a_moment = {.tv_nsec = 300000000};
    for (unsigned tries = 1;; tries++) {
        lk_status status = replica != NULL ? lk_store_open_replicated(env, url, replica, table, out, note)
                                           : lk_store_open(env, url, table, out, note);
        if (status != LK_FAULT || strstr(url, "://") == NULL || tries == OPEN_TRIES) {
            return status;
        }
        (void)nanosleep(&a_moment, NULL);
    }
}

/* A server that does not answer within its deadline is asked again, as in cli_store_open. */
static lk_status open_one(cli_place *place, bool replica, lk_note *note)
{
    const struct timespec a_moment = {.tv_nsec = 300000000};
    bool of_server =
        strstr(place->settings.store, "://") != NULL || strstr(place->settings.move_store, "://") != NULL;
    lk_cluster_clock_init(&place->clock, lk_env_system(), place->table);
    for (unsigned tries = 1;; tries++) {
        lk_status status =
            lk__open_store(&place->clock.env, &place->settings, replica, place->table, &place->store, note);
        if (status != LK_FAULT || !of_server || tries == OPEN_TRIES) {
            return status;
        }
        (void)nanosleep(&a_moment, NULL);
    }
}

/* To end something, read from the replica that the gateway reads from: its table says how far into that one's
 * stream it has come. When the replica cannot be read, a table of our own is put to the store itself, and the
 * gateways hear of it by the stream. */
static int open_store_to_revoke(const cli *c, cli_place *place)
{
    lk_note note = {{0}};
    if (open_one(place, true, &note) == LK_OK) {
        return CLI_YES;
    }
    lk_table_close(place->table);
    place->table = NULL;
    bool joined = false;
    if (lk_table_open(lk_env_system(), NULL, OWN_TABLE_SIZE, &place->table, &joined, &note) != LK_OK) {
        return cli_fault(c, "shared memory: %s", note.text);
    }
    lk_status status = open_one(place, false, &note);
    if (status == LK_OK) {
        cli_remark("the replica near this node does not answer; the store itself is used");
    }
    return cli_store_failed(c, status, place->settings.store, &note);
}

static int open_store(const cli *c, unsigned wanted, cli_place *place)
{
    char path[LK_URL_MAX];
    lk_note note = {{0}};
    int code = cli_table_open(c, &place->settings, !is_memory_store(&place->settings), &place->table);
    cli_path_of_url(place->settings.store, path);
    if (path[0] == '\0') {
        cli_path_of_url(place->settings.move_store, path);
    }
    if (code == CLI_YES) {
        cli_become_self();
        code = cli_become_owner_of(c, path);
    }
    if (code != CLI_YES) {
        return code;
    }
    if ((wanted & CLI_REVOKE) != 0 && place->settings.replica[0] != '\0') {
        return open_store_to_revoke(c, place);
    }
    return cli_store_failed(c, open_one(place, false, &note), place->settings.store, &note);
}

static int open_guard(const cli *c, cli_place *place)
{
    lk_note note = {{0}};
    lk_guard_parts parts = {&place->clock.env, &place->settings, place->ring,
                            place->table,      place->store,     NULL};
    lk_status status = lk_guard_open(parts, &place->guard, &note);
    if (status == LK_REFUSED) {
        return cli_wrong(c, "%s", note.text);
    }
    return status == LK_OK ? CLI_YES : cli_fault(c, "the cut-offs cannot be read: %s", note.text);
}

int cli_place_add(const cli *c, unsigned wanted, cli_place *place)
{
    char path[LK_URL_MAX];
    int code = CLI_YES;
    if ((wanted & (CLI_KEYS | CLI_KEYS_NEW | CLI_ACCOUNTS | CLI_REVOKE)) != 0 && place->ring == NULL) {
        code = open_keys(c, wanted, place);
    }
    if (code == CLI_YES && (wanted & CLI_ACCOUNTS) != 0 && place->accounts == NULL) {
        cli_path_of_url(place->settings.accounts, path);
        code = cli_become_owner_of(c, path);
        code = code == CLI_YES ? open_accounts(c, place) : code;
    }
    if (code == CLI_YES && (wanted & (CLI_STORE | CLI_REVOKE)) != 0 && place->store == NULL) {
        code = open_store(c, wanted, place);
    }
    if (code == CLI_YES && (wanted & CLI_REVOKE) != 0 && place->guard == NULL) {
        code = open_guard(c, place);
    }
    return code;
}

int cli_place_open(const cli *c, unsigned wanted, cli_place *out)
{
    lk_note note = {{0}};
    memset(out, 0, sizeof *out);
    lk_settings_init(&out->settings);
    lk_status status = lk_settings_read(lk_env_system(), c->conf, &out->settings, &note);
    if (status == LK_FAULT) {
        return cli_fault(c, "%s", note.text);
    }
    if (status != LK_OK) {
        return cli_wrong(c, "%s", note.text);
    }
    if (lk_guard_settings_check(&out->settings, &note) != LK_OK) {
        return cli_wrong(c, "%s: %s", c->conf, note.text);
    }
    int code = cli_place_add(c, wanted, out);
    if (code != CLI_YES) {
        cli_place_close(out);
    }
    return code;
}

void cli_place_close(cli_place *place)
{
    lk_guard_close(place->guard);
    lk_accounts_close(place->accounts);
    lk_store_close(place->store);
    if (place->table != NULL) {
        lk_table_close(place->table);
    }
    lk_keyring_free(place->ring);
    place->guard = NULL;
    place->accounts = NULL;
    place->store = NULL;
    place->table = NULL;
    place->ring = NULL;
}

lk_view cli_realm(const cli *c, const cli_place *place)
{
    const char *realm = cli_get(c, "realm");
    return lk_view_of(realm != NULL ? realm : place->settings.realm);
}

int cli_user_find(const cli *c, const cli_place *place, const char *name, lk_user *out)
{
    lk_status status = lk_accounts_find(place->accounts, cli_realm(c, place), lk_view_of(name), out);
    switch (status) {
    case LK_OK:
        return CLI_YES;
    case LK_MISS:
    case LK_REFUSED:
        return cli_no(c, LK_REASON_NONE, "there is no user '%s'", name);
    case LK_STALE:
    case LK_FULL:
    case LK_FAULT:
        break;
    }
    return cli_fault(c, "the accounts cannot be read");
}

int cli_ending_reason(const cli *c, lk_reason fallback, lk_reason *out)
{
    static const lk_reason endings[] = {LK_REASON_REVOKED, LK_REASON_KICKED, LK_REASON_BANNED,
                                        LK_REASON_REPLACED};
    const char *word = cli_get(c, "reason");
    *out = word != NULL ? lk_reason_of(lk_view_of(word)) : fallback;
    for (size_t i = 0; i < sizeof endings / sizeof endings[0]; i++) {
        if (*out == endings[i]) {
            return CLI_YES;
        }
    }
    return cli_wrong(c, "--reason %s: choose revoked, kicked, banned or replaced", word);
}
