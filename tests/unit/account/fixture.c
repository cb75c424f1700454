/* SPDX-License-Identifier: Apache-2.0
 *
 * fixture.c - an account system of its own for each test: a new SQLite file, or the emptied tables of the
 * server that LATCHKEY_TEST_URL names. With LATCHKEY_TEST_RUN_URL the accounts are opened by another user
 * than the one who owns the tables, after the statements in LATCHKEY_TEST_GRANTS.
 */
#include "fixture.h"
#include <unistd.h>

static char dir[] = "/tmp/latchkey-account-XXXXXX";
static const char *server; /* URL of the owner; NULL: SQLite */
char fixture_path[128];
lk_settings fixture_settings;
lk_keyring *fixture_ring;
lk_accounts *fixture;

bool fixture_is_sqlite(void)
{
    return server == NULL;
}

lk_sql_dialect fixture_dialect(void)
{
    if (server == NULL)
        return LK_SQL_SQLITE;
    return strncmp(server, "mariadb:", 8) == 0 ? LK_SQL_MARIADB : LK_SQL_POSTGRES;
}

static void make_tables(void)
{
    const char *grants = getenv("LATCHKEY_TEST_GRANTS");
    lk_note note = {""};

    fixture_sql("DROP TABLE IF EXISTS latchkey_api_key; DROP TABLE IF EXISTS latchkey_client;"
                "DROP TABLE IF EXISTS latchkey_device;"
                "DROP TABLE IF EXISTS latchkey_user; DROP TABLE IF EXISTS latchkey_throttle;"
                "DROP TABLE IF EXISTS latchkey_known_address; DROP TABLE IF EXISTS latchkey_schema");
    if (lk_accounts_setup(test_env(), server, false, &note) != LK_OK)
        fail_msg("setup: %s", note.text);
    if (grants != NULL)
        fixture_sql(grants);
}

int fixture_begin(void **state)
{
    char keys[128];
    lk_note note = {""};

    (void)state;
    server = getenv("LATCHKEY_TEST_URL");
    if (mkdtemp(dir) == NULL)
        return 1;
    snprintf(keys, sizeof(keys), "%s/keys", dir);
    if (lk_keyring_open(test_env(), keys, true, &fixture_ring, &note) != LK_OK) {
        fprintf(stderr, "%s\n", note.text);
        return 1;
    }
    if (server != NULL)
        make_tables();
    return 0;
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

static void choose_url(void)
{
    const char *other = getenv("LATCHKEY_TEST_RUN_URL");
    static int n;

    snprintf(fixture_path, sizeof(fixture_path), "%s/%d.db", dir, n++);
    if (server == NULL) {
        snprintf(fixture_settings.accounts, sizeof(fixture_settings.accounts), "sqlite:%s", fixture_path);
        return;
    }
    fixture_sql(
        "DELETE FROM latchkey_api_key; DELETE FROM latchkey_client; DELETE FROM latchkey_device;"
        "DELETE FROM latchkey_user; DELETE FROM latchkey_throttle; DELETE FROM latchkey_known_address");
    snprintf(fixture_settings.accounts, sizeof(fixture_settings.accounts), "%s",
             other != NULL ? other : server);
}

int fixture_setup(void **state)
{
    (void)state;
    lk_settings_init(&fixture_settings);
    fixture_settings.password_memory_kib = 7168;
    fixture_settings.password_passes = 5;
    choose_url();
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

/* By the owner, past the accounts, and without the environment that counts allocations. */
static lk_sql *owner_open(lk_sql_link **link)
{
    char url[256];
    lk_note note = {""};
    lk_sql *sql = NULL;

    snprintf(url, sizeof(url), "sqlite:%s", fixture_path);
    if (lk_sql_open(lk_env_system(), server != NULL ? server : url, NULL, &sql, &note) != LK_OK ||
        lk_sql_borrow(sql, link, &note) != LK_OK)
        fail_msg("%s", note.text);
    return sql;
}

void fixture_sql(const char *statements)
{
    lk_sql_link *link = NULL;
    lk_sql *sql = owner_open(&link);
    lk_note note = {""};

    if (lk_sql_script(link, statements) != LK_OK) {
        lk_sql_explain(link, &note);
        fail_msg("%s: %s", statements, note.text);
    }
    lk_sql_give_back(link);
    lk_sql_close(sql);
}

int64_t fixture_number(const char *question)
{
    lk_sql_link *link = NULL;
    lk_sql *sql = owner_open(&link);
    lk_sql_query *q = NULL;
    int64_t n;

    assert_int_equal(lk_sql_prepare(link, question, &q), LK_OK);
    assert_int_equal(lk_sql_step(q), LK_OK);
    n = lk_sql_i64(q, 0);
    lk_sql_give_back(link);
    lk_sql_close(sql);
    return n;
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
