/* SPDX-License-Identifier: Apache-2.0
 *
 * world.c - see world.h.
 */
#include "world.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void must(lk_status status, const char *what, const lk_note *note)
{
    if (status != LK_OK)
        fail_msg("%s: %s (%s)", what, lk_status_name(status), note->text);
}

static void open_parts(world *w)
{
    lk_note note = {""};
    must(lk_keyring_open(test_env(), w->settings.keys, true, &w->ring, &note), "keys", &note);
    must(lk_store_open(test_env(), w->settings.store, w->table, &w->store, &note), "store", &note);
    lk_guard_parts parts = {test_env(), &w->settings, w->ring, w->table, w->store, NULL};
    must(lk_guard_open(parts, &w->guard, &note), "guard", &note);
}

static void open_table(world *w)
{
    lk_note note = {""};
    bool joined;
    must(lk_table_open(test_env(), NULL, 8u << 20, &w->table, &joined, &note), "table", &note);
}

static void close_parts(world *w)
{
    lk_guard_close(w->guard);
    lk_store_close(w->store);
    lk_keyring_free(w->ring);
}

void world_open(world *w, const char *store)
{
    lk_note note = {""};
    memset(w, 0, sizeof(*w));
    (void)snprintf(w->dir, sizeof(w->dir), "/tmp/latchkey-world-XXXXXX");
    assert_non_null(mkdtemp(w->dir));
    lk_settings_init(&w->settings);
    (void)snprintf(w->settings.keys, sizeof(w->settings.keys), "%s/keys", w->dir);
    if (strcmp(store, "lmdb") == 0)
        (void)snprintf(w->settings.store, sizeof(w->settings.store), "lmdb:%s/sessions", w->dir);
    else if (strcmp(store, "sqlite") == 0)
        (void)snprintf(w->settings.store, sizeof(w->settings.store), "sqlite:%s/sessions.db", w->dir);
    else
        (void)snprintf(w->settings.store, sizeof(w->settings.store), "%s", store);
    (void)snprintf(w->settings.accounts, sizeof(w->settings.accounts), "sqlite:%s/accounts.db", w->dir);
    (void)snprintf(w->settings.cookie_name, sizeof(w->settings.cookie_name), "latchkey");
    w->settings.cookie_secure = false;
    must(lk_guard_settings_check(&w->settings, &note), "settings", &note);
    open_table(w);
    open_parts(w);
}

void world_open_beside(world *w, const world *first)
{
    memset(w, 0, sizeof(*w));
    w->settings = first->settings;
    open_table(w);
    open_parts(w);
}

void world_restart(world *w, bool fresh_table)
{
    close_parts(w);
    if (fresh_table) {
        lk_table_close(w->table);
        open_table(w);
    }
    open_parts(w);
}

void world_close(world *w)
{
    char command[128];
    close_parts(w);
    lk_table_close(w->table);
    if (w->dir[0] == '\0')
        return;
    (void)snprintf(command, sizeof(command), "rm -rf '%s'", w->dir);
    assert_int_equal(system(command), 0);
}

void world_login(world *w, lk_kind kind, const char *user, const char *roles, const lk_identity *prior,
                 lk_issued *out)
{
    lk_note note = {""};
    lk_login login = {.user = lk_view_of(user), .name = lk_view_of(user), .roles = lk_view_of(roles)};
    must(lk_guard_issue(w->guard, kind, &login, NULL, prior, out, &note), "login", &note);
}

lk_identity world_check(world *w, lk_carrier carrier, const char *text, const lk_rule *rule)
{
    static const lk_rule required = {.mode = LK_MODE_REQUIRED};
    static char value[LK_CREDENTIAL_MAX + 64];
    lk_identity id;
    lk_presented presented = {0};
    bool is_cookie = carrier == LK_CARRIER_COOKIE;
    (void)snprintf(value, sizeof(value), "%s%s", is_cookie ? "latchkey=" : "Bearer ", text);
    lk_view field = lk_view_of(value);
    if (is_cookie) {
        presented.cookies = &field;
        presented.cookies_n = 1;
    } else {
        presented.authorization = &field;
        presented.authorization_n = 1;
    }
    lk_guard_check(w->guard, &presented, rule != NULL ? rule : &required, &id);
    return id;
}
