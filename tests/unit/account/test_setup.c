/* SPDX-License-Identifier: Apache-2.0
 *
 * test_setup.c - the tables of accounts on a server: who makes them, and what is said when they are missing,
 * older or newer. Needs LATCHKEY_TEST_URL of a server.
 */
#include "fixture.h"
#include <sys/wait.h>
#include <unistd.h>

static const char *owner_url(void)
{
    return getenv("LATCHKEY_TEST_URL");
}

static void drop_all(void)
{
    fixture_sql("DROP TABLE IF EXISTS latchkey_device; DROP TABLE IF EXISTS latchkey_api_key;"
                "DROP TABLE IF EXISTS latchkey_client;"
                "DROP TABLE IF EXISTS latchkey_user; DROP TABLE IF EXISTS latchkey_throttle;"
                "DROP TABLE IF EXISTS latchkey_known_address; DROP TABLE IF EXISTS latchkey_schema");
}

static int begin(void **state)
{
    return getenv("LATCHKEY_TEST_URL") == NULL ? 1 : fixture_begin(state);
}

static void opens_as(lk_status expected, const char *said)
{
    lk_accounts *a = NULL;
    lk_note note = {""};
    lk_status status = lk_accounts_open(test_env(), &fixture_settings, fixture_ring, &a, &note);

    if (status != expected || (a == NULL) != (status != LK_OK) || strstr(note.text, said) == NULL)
        fail_msg("%s: %s", lk_status_name(status), note.text);
    lk_accounts_close(a);
}

static void sets_up_as(bool upgrade, lk_status expected, const char *said)
{
    lk_note note = {""};
    lk_status status = lk_accounts_setup(test_env(), owner_url(), upgrade, &note);

    if (status != expected || strstr(note.text, said) == NULL)
        fail_msg("%s: %s", lk_status_name(status), note.text);
}

static void tables_that_are_missing_are_not_made_by_opening(void **state)
{
    (void)state;
    drop_all();
    opens_as(LK_MISS, "latchkey store init");
    opens_as(LK_MISS, "latchkey store init");
    sets_up_as(false, LK_OK, "");
    opens_as(LK_OK, "");
}

static void setting_up_twice_does_no_harm(void **state)
{
    lk_user user = fixture_user("alice"), found;

    (void)state;
    sets_up_as(false, LK_OK, "");
    sets_up_as(true, LK_OK, "");
    assert_int_equal(lk_accounts_find(fixture, REALM, LK_VIEW("alice"), &found), LK_OK);
    assert_memory_equal(&user, &found, sizeof(user));
    assert_int_equal(fixture_number("SELECT count(*) FROM latchkey_schema"), LK_SCHEMA_VERSION - 2);
}

static void an_older_schema_is_stale_until_it_is_upgraded(void **state)
{
    (void)state;
    drop_all();
    fixture_sql(
        "CREATE TABLE latchkey_schema (version INTEGER NOT NULL); INSERT INTO latchkey_schema VALUES (2)");
    opens_as(LK_STALE, "latchkey store upgrade");
    sets_up_as(false, LK_STALE, "latchkey store upgrade");
    sets_up_as(true, LK_OK, "");
    opens_as(LK_OK, "");
}

static void a_newer_schema_is_stale_and_left_alone(void **state)
{
    (void)state;
    fixture_sql("INSERT INTO latchkey_schema VALUES (99)");
    opens_as(LK_STALE, "newer");
    opens_as(LK_STALE, "99");
    sets_up_as(false, LK_STALE, "newer");
    sets_up_as(true, LK_STALE, "newer");
    fixture_sql("DELETE FROM latchkey_schema WHERE version = 99");
    opens_as(LK_OK, "");
}

/* MariaDB commits each table by itself: half of them are there when it was interrupted. */
static void tables_that_were_half_made_are_completed(void **state)
{
    (void)state;
    if (fixture_dialect() == LK_SQL_MARIADB) {
        fixture_sql("DROP TABLE latchkey_throttle; DELETE FROM latchkey_schema");
        opens_as(LK_MISS, "latchkey store init");
    }
    sets_up_as(false, LK_OK, "");
    opens_as(LK_OK, "");
    assert_int_equal(fixture_login("nobody", WRONG, "192.0.2.1"), LK_REFUSED);
}

static void four_processes_that_set_up_at_once_do_it_once(void **state)
{
    pid_t pids[4];
    int status = 0;

    (void)state;
    lk_accounts_close(fixture);
    fixture = NULL;
    drop_all();
    for (int i = 0; i < 4; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            lk_note note = {""};
            bool ok = lk_accounts_setup(lk_env_system(), owner_url(), true, &note) == LK_OK;

            if (!ok)
                fprintf(stderr, "%s\n", note.text);
            _exit(ok ? 0 : 1);
        }
    }
    for (int i = 0; i < 4; i++) {
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
    assert_int_equal(fixture_number("SELECT count(*) FROM latchkey_schema"), LK_SCHEMA_VERSION - 2);
}

static void a_wrong_password_is_refused_and_not_told(void **state)
{
    const char *at = strchr(owner_url(), '@');

    (void)state;
    assert_non_null(at);
    snprintf(fixture_settings.accounts, sizeof(fixture_settings.accounts), "%.*sx%s", (int)(at - owner_url()),
             owner_url(), at);
    opens_as(LK_REFUSED, "latchkey");
    snprintf(fixture_settings.accounts, sizeof(fixture_settings.accounts), "%s", owner_url());
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(tables_that_are_missing_are_not_made_by_opening), TEST(setting_up_twice_does_no_harm),
        TEST(an_older_schema_is_stale_until_it_is_upgraded),   TEST(a_newer_schema_is_stale_and_left_alone),
        TEST(tables_that_were_half_made_are_completed),        TEST(a_wrong_password_is_refused_and_not_told),
        TEST(four_processes_that_set_up_at_once_do_it_once),
    };

    return cmocka_run_group_tests(tests, begin, fixture_end);
}
