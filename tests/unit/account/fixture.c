/* SPDX-License-Identifier: Apache-2.0
 *
 * fixture.c - an account system of its own for each test.
 */
#include "fixture.h"
#include <sqlite3.h>
#include <unistd.h>

static char dir[] = "/tmp/latchkey-account-XXXXXX";
char fixture_path[128];
lk_settings fixture_settings;
lk_keyring *fixture_ring;
lk_accounts *fixture;

int fixture_begin(void **state)
{
    char keys[128];
    lk_note note = {""};

    (void)state;
    if (mkdtemp(dir) == NULL)
        return 1;
    snprintf(keys, sizeof(keys), "%s/keys", dir);
    if (lk_keyring_open(test_env(), keys, true, &fixture_ring, &note) == LK_OK)
        return 0;
    fprintf(stderr, "%s\n", note.text);
    return 1;
}

int fixture_end(void **state)
{
    char command[128];

    (void)state;
    lk_keyring_free(fixture_ring);
    snprintf(command, sizeof(command), "rm -rf '%s'", dir);
    return system(command) + (test_alloc_live() != 0);
}

lk_accounts *fixture_open(void)
{
    lk_note note = {""};
    lk_accounts *a = NULL;

    if (lk_accounts_open(test_env(), &fixture_settings, fixture_ring, &a, &note) != LK_OK)
        fail_msg("open: %s", note.text);
    return a;
}

int fixture_setup(void **state)
{
    static int n;

    (void)state;
    lk_settings_init(&fixture_settings);
    fixture_settings.password_memory_kib = 7168;
    fixture_settings.password_passes = 5;
    snprintf(fixture_path, sizeof(fixture_path), "%s/%d.db", dir, n++);
    snprintf(fixture_settings.accounts, sizeof(fixture_settings.accounts), "sqlite:%s", fixture_path);
    snprintf(fixture_settings.realm, sizeof(fixture_settings.realm), "shop");
    fixture = fixture_open();
    return 0;
}

int fixture_teardown(void **state)
{
    (void)state;
    lk_accounts_close(fixture);
    fixture = NULL;
    return 0;
}

void fixture_reopen(void)
{
    lk_accounts_close(fixture);
    fixture = fixture_open();
}

void fixture_sql(const char *statements)
{
    sqlite3 *db = NULL;
    char *why = NULL;

    assert_int_equal(sqlite3_open(fixture_path, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 5000);
    if (sqlite3_exec(db, statements, NULL, NULL, &why) != SQLITE_OK)
        fail_msg("%s: %s", statements, why);
    sqlite3_close(db);
}

lk_user fixture_user(const char *name)
{
    lk_note note = {""};
    lk_user user;

    if (lk_accounts_add(fixture, REALM, lk_view_of(name), PASSWORD, LK_VIEW(""), &user, &note) != LK_OK)
        fail_msg("add %s: %s", name, note.text);
    return user;
}

lk_status fixture_login(const char *name, lk_view password, const char *address)
{
    int64_t retry_after_s = 0;
    lk_user user;

    return lk_accounts_login(fixture, REALM, lk_view_of(name), password, lk_view_of(address), &user,
                             &retry_after_s);
}
