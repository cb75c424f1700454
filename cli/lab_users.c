/* SPDX-License-Identifier: Apache-2.0
 *
 * lab_users.c - visitors with accounts, made once: all ways are about the same people.
 *
 * Where they come from matters to a balancer that goes by address. A third of them share one address (an
 * office, a mobile carrier), the others have networks of their own.
 */
#include "lab.h"
#include <string.h>

#define OFFICE_EVERY 3

static void place_of(size_t i, char address[16])
{
    if (i % OFFICE_EVERY == 0) {
        snprintf(address, 16, "198.51.100.7");
        return;
    }
    /* Any public-looking networks: they are only ever told to our own balancer. */
    snprintf(address, 16, "%u.%u.%u.%u", (unsigned)(20 + i * 37 % 150), (unsigned)(i * 101 % 256),
             (unsigned)(i * 53 % 256), (unsigned)(1 + i % 250));
}

static int make_all(lab *l, lk_accounts *accounts)
{
    lk_user user;
    lk_note note = {{0}};
    for (size_t i = 0; i < (size_t)l->users_n; i++) {
        lab_visitor *v = &l->users[i];
        snprintf(v->name, sizeof v->name, "visitor-%zu", i + 1);
        place_of(i, v->address);
        if (!lab_goes_on(l, 0)) {
            return CLI_FAULT;
        }
        if (lk_accounts_add(accounts, (lk_view){0}, lk_view_of(v->name), lk_view_of(l->secret), (lk_view){0},
                            &user, &note) != LK_OK) {
            return cli_fault(l->c, "no account for %s: %s", v->name, note.text);
        }
        memcpy(v->id, user.id, sizeof v->id);
        lab_say(l, "accounts, %zu of %lld", i + 1, (long long)l->users_n);
    }
    return CLI_YES;
}

int lab_users_make(lab *l)
{
    lk_settings settings;
    lk_keyring *ring = NULL;
    lk_accounts *accounts = NULL;
    lk_note note = {{0}};
    lk_settings_init(&settings);
    if (!serve_path(settings.keys, "%s/keys", l->dir) ||
        (size_t)snprintf(settings.accounts, sizeof settings.accounts, "sqlite:%s/accounts.db", l->dir) >=
            sizeof settings.accounts) {
        return cli_fault(l->c, "%s is too long a path", l->dir);
    }
    int code = CLI_FAULT;
    if (lk_keyring_open(lk_env_system(), settings.keys, true, &ring, &note) != LK_OK ||
        lk_accounts_open(lk_env_system(), &settings, ring, &accounts, &note) != LK_OK) {
        (void)cli_fault(l->c, "the accounts cannot be made: %s", note.text);
    } else {
        code = make_all(l, accounts);
    }
    lk_accounts_close(accounts);
    lk_keyring_free(ring);
    return code;
}

void lab_users_forget(lab *l)
{
    for (size_t i = 0; i < (size_t)l->users_n; i++) {
        lab_visitor_forget(&l->users[i]);
    }
}
