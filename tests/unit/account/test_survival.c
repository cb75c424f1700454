/* SPDX-License-Identifier: Apache-2.0
 *
 * test_survival.c - the accounts database on its bad days: killed writers, a full disk, damage, other
 * versions.
 */
#include "fixture.h"
#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#define KILLS 12

/* ---- kill -9 ---- */

/* Add users until killed, and say each name once it was acknowledged. */
static void add_for_ever(int round, int pipe_out)
{
    lk_accounts *a = NULL;
    lk_user user;

    if (lk_accounts_open(test_env(), &fixture_settings, fixture_ring, &a, NULL) != LK_OK)
        _exit(1);
    for (int i = 0;; i++) {
        char name[32];

        snprintf(name, sizeof(name), "user-%03d-%05d\n", round, i);
        if (lk_accounts_add(a, REALM, lk_view_make(name, strlen(name) - 1), PASSWORD, LK_VIEW(""), &user,
                            NULL) != LK_OK ||
            write(pipe_out, name, strlen(name)) != (ssize_t)strlen(name))
            _exit(1);
    }
}

/* Kill a writer WAIT_US after it spoke for the first time, however long it took to that, and look for every
 * user it spoke of. */
static void kill_and_look(int round, unsigned wait_us)
{
    int ends[2], status = 0;
    char name[32];
    lk_user user;
    pid_t pid;

    assert_int_equal(pipe(ends), 0);
    pid = fork();
    if (pid == 0) {
        close(ends[0]);
        add_for_ever(round, ends[1]);
    }
    close(ends[1]);
    if (read(ends[0], name, 15) != 15) /* "user-rrr-nnnnn\n" */
        fail_msg("the writer ended before it added anybody");
    usleep(wait_us);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    fixture = fixture_open();
    do {
        name[14] = 0;
        if (lk_accounts_find(fixture, REALM, lk_view_of(name), &user) != LK_OK)
            fail_msg("%s was acknowledged and is lost", name);
    } while (read(ends[0], name, 15) == 15);
    close(ends[0]);
    assert_int_equal(fixture_login(name, PASSWORD, "192.0.2.1"), LK_OK);
    lk_accounts_close(fixture);
    fixture = NULL;
}

static void users_that_were_acknowledged_survive_kill_9_of_the_writer(void **state)
{
    (void)state;
    lk_accounts_close(fixture);
    for (int round = 0; round < KILLS; round++) {
        unsigned random = 0;

        assert_int_equal(lk_random(lk_env_system(), &random, sizeof(random)), LK_OK);
        kill_and_look(round, random % 150000);
    }
    assert_int_equal(
        fixture_number("SELECT count(*) FROM pragma_integrity_check WHERE integrity_check = 'ok'"), 1);
    fixture = fixture_open();
}

/* ---- no room ---- */

static lk_status fill(int *added, lk_note *note)
{
    lk_status status = LK_OK;
    lk_user user;

    for (*added = 0; status == LK_OK && *added < 2000; (*added)++) {
        char name[32];

        snprintf(name, sizeof(name), "user-%d", *added);
        status = lk_accounts_add(fixture, REALM, lk_view_of(name), PASSWORD, LK_VIEW(""), &user, note);
    }
    return status;
}

static void a_full_disk_refuses_new_users_and_logins_and_keeps_reading(void **state)
{
    char mount_point[] = "/tmp/latchkey-full-XXXXXX";
    lk_note note = {""};
    lk_user alice, found;
    int added = 0;
    FILE *ballast;

    (void)state;
    assert_non_null(mkdtemp(mount_point));
    if (mount("tmpfs", mount_point, "tmpfs", 0, "size=1m") != 0) {
        rmdir(mount_point);
        skip(); /* only root may mount */
    }
    lk_accounts_close(fixture);
    snprintf(fixture_settings.accounts, sizeof(fixture_settings.accounts), "sqlite:%s/a.db", mount_point);
    fixture = fixture_open();
    alice = fixture_user("alice");
    snprintf(fixture_path, sizeof(fixture_path), "%s/ballast", mount_point);
    ballast = fopen(fixture_path, "w");
    assert_non_null(ballast);
    while (fputc('x', ballast) != EOF && fflush(ballast) == 0)
        ;
    assert_int_equal(fill(&added, &note), LK_FAULT); /* not LK_FULL, which says that the name is taken */
    assert_non_null(strstr(note.text, "no room left"));
    assert_int_equal(lk_accounts_find(fixture, REALM, LK_VIEW("alice"), &found), LK_OK);
    assert_memory_equal(&found, &alice, sizeof(alice));
    for (int i = 0; i < 500 && fixture_login("alice", PASSWORD, "192.0.2.1") == LK_OK; i++)
        ; /* the log may have a few free pages left for counters */
    assert_int_equal(fixture_login("alice", PASSWORD, "192.0.2.1"), LK_FAULT);
    assert_int_equal(
        lk_accounts_set_password(fixture, lk_view_of(alice.id), LK_VIEW("thimbles and gravel"), &note),
        LK_FAULT);
    fclose(ballast);
    unlink(fixture_path);
    assert_int_equal(fixture_login("alice", PASSWORD, "192.0.2.1"),
                     LK_OK); /* and goes on once there is room */
    lk_accounts_close(fixture);
    fixture = NULL;
    assert_int_equal(umount(mount_point), 0);
    rmdir(mount_point);
}

/* ---- damage ---- */

static void overwrite(off_t at, size_t len)
{
    int fd = open(fixture_path, O_WRONLY);
    char noise[8192];

    memset(noise, 0xa5, sizeof(noise));
    assert_true(fd >= 0 && len <= sizeof(noise));
    assert_int_equal(pwrite(fd, noise, len, at), (ssize_t)len);
    close(fd);
}

static void assert_opens_as(lk_status expected, const char *said)
{
    lk_accounts *a = NULL;
    lk_note note = {""};
    lk_status status = lk_accounts_open(test_env(), &fixture_settings, fixture_ring, &a, &note);

    if (status != expected || a != NULL || strstr(note.text, said) == NULL)
        fail_msg("%s: %s", lk_status_name(status), note.text);
}

static void a_file_that_is_no_database_is_a_fault_that_says_so(void **state)
{
    (void)state;
    lk_accounts_close(fixture);
    fixture = NULL;
    overwrite(0, 100);
    assert_opens_as(LK_FAULT, "damaged");
    assert_opens_as(LK_FAULT, fixture_path);
}

static void a_damaged_table_is_a_fault_and_nobody_is_unknown_by_it(void **state)
{
    lk_user user;

    (void)state;
    fixture_user("alice");
    lk_accounts_close(fixture);
    for (off_t page = 1; page < 4; page++)
        overwrite(page * 4096, 4096);
    if (lk_accounts_open(test_env(), &fixture_settings, fixture_ring, &fixture, NULL) != LK_OK)
        return; /* seen at once is as good */
    assert_int_equal(lk_accounts_find(fixture, REALM, LK_VIEW("alice"), &user), LK_FAULT);
    assert_int_equal(fixture_login("alice", PASSWORD, "192.0.2.1"), LK_FAULT);
}

static void a_directory_that_is_not_there_is_a_fault_that_names_it(void **state)
{
    (void)state;
    snprintf(fixture_settings.accounts, sizeof(fixture_settings.accounts), "sqlite:/nonexistent/a.db");
    assert_opens_as(LK_FAULT, "/nonexistent/a.db");
}

static void a_url_of_another_form_is_refused(void **state)
{
    (void)state;
    snprintf(fixture_settings.accounts, sizeof(fixture_settings.accounts), "oracle:/a");
    assert_opens_as(LK_REFUSED, "sqlite:");
    assert_int_equal(lk_accounts_url_check("sqlite:/a.db", NULL), LK_OK);
    assert_int_equal(lk_accounts_url_check("sqlite:", NULL), LK_REFUSED);
}

static void keys_that_can_only_check_tokens_open_no_accounts(void **state)
{
    static const char jwk[] = "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"a\",\"x\":"
                              "\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}";
    lk_keyring *real = fixture_ring, *checking = NULL;

    (void)state;
    assert_int_equal(lk_keyring_from_jwk(test_env(), lk_view_of(jwk), &checking, NULL), LK_OK);
    fixture_ring = checking;
    assert_opens_as(LK_REFUSED, "key directory");
    fixture_ring = real;
    lk_keyring_free(checking);
}

/* ---- versions ---- */

static void a_newer_schema_is_stale_and_left_alone(void **state)
{
    (void)state;
    fixture_user("alice");
    lk_accounts_close(fixture);
    fixture = NULL;
    fixture_sql("INSERT INTO latchkey_schema VALUES (99)");
    assert_opens_as(LK_STALE, "newer");
    assert_opens_as(LK_STALE, "99");
    fixture_sql("DELETE FROM latchkey_schema WHERE version = 99");
    fixture = fixture_open();
    assert_int_equal(fixture_login("alice", PASSWORD, "192.0.2.1"), LK_OK);
}

static void an_older_schema_is_brought_up_and_keeps_its_users(void **state)
{
    (void)state;
    fixture_user("alice");
    lk_accounts_close(fixture);
    fixture = NULL;
    /* As version 2 was, before tables had names of their own. */
    fixture_sql("ALTER TABLE latchkey_user RENAME TO users; ALTER TABLE latchkey_throttle RENAME TO throttle;"
                "ALTER TABLE latchkey_known_address RENAME TO known_addresses;"
                "DROP INDEX latchkey_throttle_by_end; CREATE INDEX throttle_by_end ON throttle (ends_s);"
                "DROP INDEX latchkey_known_address_by_end;"
                "CREATE INDEX known_addresses_by_end ON known_addresses (until_s);"
                "DROP TABLE latchkey_device; DROP TABLE latchkey_api_key; DROP TABLE latchkey_client;"
                "DELETE FROM latchkey_schema WHERE version >= 3");
    fixture_reopen();
    assert_int_equal(fixture_login("alice", PASSWORD, "192.0.2.1"), LK_OK);
    assert_int_equal(fixture_number("SELECT max(version) FROM latchkey_schema"), LK_SCHEMA_VERSION);
    lk_accounts_close(fixture);
    fixture = NULL;
    /* As version 1 was, before there was throttling. */
    fixture_sql("ALTER TABLE latchkey_user RENAME TO users; DROP TABLE latchkey_throttle;"
                "DROP TABLE latchkey_device; DROP TABLE latchkey_api_key; DROP TABLE latchkey_client;"
                "DROP TABLE latchkey_known_address; DELETE FROM latchkey_schema WHERE version > 1");
    fixture_reopen();
    assert_int_equal(fixture_login("alice", PASSWORD, "192.0.2.1"), LK_OK);
    assert_int_equal(fixture_number("SELECT max(version) FROM latchkey_schema"), LK_SCHEMA_VERSION);
}

static void a_database_of_another_program_is_a_fault_and_left_alone(void **state)
{
    (void)state;
    lk_accounts_close(fixture);
    fixture = NULL;
    fixture_sql("DROP TABLE latchkey_user; DROP TABLE latchkey_schema; DROP TABLE latchkey_throttle;"
                "DROP TABLE latchkey_known_address; DROP TABLE latchkey_device; DROP TABLE latchkey_api_key;"
                "DROP TABLE latchkey_client;"
                "CREATE TABLE users (theirs TEXT)");
    assert_opens_as(LK_FAULT, fixture_path);
    assert_int_equal(fixture_number("SELECT count(*) FROM sqlite_schema"), 1);
}

static void four_processes_that_open_a_new_database_at_once_migrate_it_once(void **state)
{
    pid_t pids[4];
    int status = 0;

    (void)state;
    snprintf(fixture_settings.accounts, sizeof(fixture_settings.accounts), "sqlite:%s.new", fixture_path);
    for (int i = 0; i < 4; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            lk_accounts *a = NULL;
            lk_note note = {""};
            bool ok = lk_accounts_open(test_env(), &fixture_settings, fixture_ring, &a, &note) == LK_OK;

            if (!ok)
                fprintf(stderr, "%s\n", note.text);
            lk_accounts_close(a);
            _exit(ok ? 0 : 1);
        }
    }
    for (int i = 0; i < 4; i++) {
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(users_that_were_acknowledged_survive_kill_9_of_the_writer),
        TEST(a_full_disk_refuses_new_users_and_logins_and_keeps_reading),
        TEST(a_file_that_is_no_database_is_a_fault_that_says_so),
        TEST(a_damaged_table_is_a_fault_and_nobody_is_unknown_by_it),
        TEST(a_directory_that_is_not_there_is_a_fault_that_names_it),
        TEST(a_url_of_another_form_is_refused),
        TEST(keys_that_can_only_check_tokens_open_no_accounts),
        TEST(a_newer_schema_is_stale_and_left_alone),
        TEST(an_older_schema_is_brought_up_and_keeps_its_users),
        TEST(a_database_of_another_program_is_a_fault_and_left_alone),
        TEST(four_processes_that_open_a_new_database_at_once_migrate_it_once),
    };

    return cmocka_run_group_tests(tests, fixture_begin, fixture_end);
}
