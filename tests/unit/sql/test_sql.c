/* SPDX-License-Identifier: Apache-2.0
 *
 * test_sql.c - the SQLite dialect through sql.h: values, transactions, threads, processes, and what a bad
 * file or a full disk is called.
 */
#include "test_env.h"
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <sql/sql.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
/* cmocka.h wants setjmp.h, stdarg.h and stddef.h first. */
#include <cmocka.h>

static char dir[] = "/tmp/latchkey-sql-XXXXXX";
static char path[128], url[160];

static int fresh(void **state)
{
    static int n;

    (void)state;
    snprintf(path, sizeof(path), "%s/%d.db", dir, n++);
    snprintf(url, sizeof(url), "sqlite:%s", path);
    return 0;
}

static lk_sql *open_db(void)
{
    lk_note note = {""};
    lk_sql *db = NULL;
    lk_status status = lk_sql_open(lk_env_system(), url, NULL, &db, &note);

    if (status != LK_OK)
        fail_msg("open: %s: %s", lk_status_name(status), note.text);
    return db;
}

static lk_sql_link *borrow(lk_sql *db)
{
    lk_sql_link *link = NULL;

    assert_int_equal(lk_sql_borrow(db, &link, NULL), LK_OK);
    return link;
}

static void run(lk_sql_link *link, const char *statements)
{
    assert_int_equal(lk_sql_script(link, statements), LK_OK);
}

static int64_t number(lk_sql_link *link, const char *literal)
{
    lk_sql_query *q = NULL;
    int64_t n;

    assert_int_equal(lk_sql_prepare(link, literal, &q), LK_OK);
    assert_int_equal(lk_sql_step(q), LK_OK);
    n = lk_sql_i64(q, 0);
    lk_sql_reset(q);
    return n;
}

static void urls_of_other_forms_are_refused_with_the_form_expected(void **state)
{
    static const char *const bad[] = {"",
                                      "sqlite",
                                      "sqlite:",
                                      "sqlite::memory:",
                                      "sqlite:/a\nb",
                                      "sqlite:/a?mode=ro",
                                      "sqlite:/a/",
                                      "mysql://h/d",
                                      "/a.db",
                                      ":/a",
                                      "SQLITE:/a"};
    static char longest[700] = "sqlite:/";
    lk_note note;

    (void)state;
    assert_int_equal(lk_sql_url_check("sqlite:/var/lib/latchkey/accounts.db", NULL), LK_OK);
    assert_int_equal(lk_sql_url_check("sqlite:accounts.db", NULL), LK_OK);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        note.text[0] = 0;
        if (lk_sql_url_check(bad[i], &note) != LK_REFUSED || strstr(note.text, "sqlite:") == NULL)
            fail_msg("\"%s\": %s", bad[i], note.text);
    }
    memset(longest + 8, 'a', sizeof(longest) - 9);
    assert_int_equal(lk_sql_url_check(longest, NULL), LK_REFUSED);
}

static void the_file_and_its_log_are_for_their_owner_alone(void **state)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    mode_t before = umask(0);
    lk_sql *db = open_db();
    lk_sql_link *link = borrow(db);
    struct stat st;
    char name[160];

    (void)state;
    run(link, "CREATE TABLE t (n INTEGER)");
    for (size_t i = 0; i < 3; i++) {
        snprintf(name, sizeof(name), "%s%s", path, suffixes[i]);
        assert_int_equal(stat(name, &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
    }
    lk_sql_give_back(link);
    lk_sql_close(db);
    umask(before);
}

static void a_file_that_everybody_may_read_is_refused_with_the_cure(void **state)
{
    lk_sql *db = open_db();
    lk_note note = {""};

    (void)state;
    lk_sql_close(db);
    assert_int_equal(chmod(path, 0644), 0);
    assert_int_equal(lk_sql_open(lk_env_system(), url, NULL, &db, &note), LK_REFUSED);
    assert_non_null(strstr(note.text, "chmod o-rwx"));
    assert_null(db);
    assert_int_equal(chmod(path, 0640), 0);
    lk_sql_close(open_db());
}

static void bytes_of_any_value_come_back_as_they_were(void **state)
{
    static const lk_view value = {(const uint8_t *)"a\0b'; DROP TABLE t; --\xc3\xa9", 25};
    lk_sql *db = open_db();
    lk_sql_link *link = borrow(db);
    lk_sql_query *q = NULL;

    (void)state;
    run(link, "CREATE TABLE t (n INTEGER, s TEXT, e TEXT NOT NULL)");
    assert_int_equal(lk_sql_prepare(link, "INSERT INTO t (n, s, e) VALUES (?, ?, ?)", &q), LK_OK);
    lk_sql_bind_i64(q, 1, INT64_MIN);
    lk_sql_bind_text(q, 2, value);
    lk_sql_bind_text(q, 3, lk_view_make(NULL, 0));
    assert_int_equal(lk_sql_run(q, NULL), LK_OK);
    assert_int_equal(lk_sql_prepare(link, "SELECT n, s, e FROM t", &q), LK_OK);
    assert_int_equal(lk_sql_step(q), LK_OK);
    assert_true(lk_sql_i64(q, 0) == INT64_MIN);
    assert_true(lk_view_equal(lk_sql_text(q, 1), value));
    assert_int_equal(lk_sql_text(q, 2).len, 0);
    assert_int_equal(lk_sql_step(q), LK_MISS);
    lk_sql_give_back(link);
    lk_sql_close(db);
}

static void a_value_that_cannot_be_bound_fails_the_next_run(void **state)
{
    lk_sql *db = open_db();
    lk_sql_link *link = borrow(db);
    lk_sql_query *q = NULL;

    (void)state;
    run(link, "CREATE TABLE t (n INTEGER)");
    assert_int_equal(lk_sql_prepare(link, "INSERT INTO t VALUES (?)", &q), LK_OK);
    lk_sql_bind_i64(q, 2, 1);
    assert_int_equal(lk_sql_run(q, NULL), LK_FAULT);
    lk_sql_bind_i64(q, 1, 1);
    assert_int_equal(lk_sql_run(q, NULL), LK_OK);
    assert_int_equal(number(link, "SELECT count(*) FROM t"), 1);
    lk_sql_give_back(link);
    lk_sql_close(db);
}

static void a_row_that_a_constraint_forbids_is_refused_and_the_rest_goes_on(void **state)
{
    lk_sql *db = open_db();
    lk_sql_link *link = borrow(db);
    lk_sql_query *q = NULL;
    uint64_t changed = 9;

    (void)state;
    run(link, "CREATE TABLE t (n INTEGER UNIQUE)");
    assert_int_equal(lk_sql_prepare(link, "INSERT INTO t VALUES (?)", &q), LK_OK);
    for (int i = 0; i < 2; i++) {
        lk_sql_bind_i64(q, 1, 7);
        assert_int_equal(lk_sql_run(q, &changed), i == 0 ? LK_OK : LK_REFUSED);
        assert_int_equal(changed, i == 0 ? 1 : 0);
    }
    lk_sql_bind_i64(q, 1, 8);
    assert_int_equal(lk_sql_run(q, NULL), LK_OK);
    lk_sql_give_back(link);
    lk_sql_close(db);
}

static void a_link_given_back_in_a_transaction_has_written_nothing(void **state)
{
    lk_sql *db = open_db();
    lk_sql_link *link = borrow(db);

    (void)state;
    run(link, "CREATE TABLE t (n INTEGER)");
    assert_int_equal(lk_sql_begin(link, LK_SQL_DURABLE), LK_OK);
    run(link, "INSERT INTO t VALUES (1)");
    lk_sql_give_back(link);
    link = borrow(db);
    assert_int_equal(number(link, "SELECT count(*) FROM t"), 0);
    assert_int_equal(lk_sql_begin(link, LK_SQL_DURABLE), LK_OK);
    assert_int_equal(lk_sql_begin(link, LK_SQL_DURABLE), LK_FAULT); /* not twice */
    run(link, "INSERT INTO t VALUES (1)");
    assert_int_equal(lk_sql_commit(link), LK_OK);
    assert_int_equal(lk_sql_commit(link), LK_FAULT);
    assert_int_equal(number(link, "SELECT count(*) FROM t"), 1);
    lk_sql_give_back(link);
    lk_sql_close(db);
}

static void durability_is_chosen_for_each_transaction(void **state)
{
    lk_sql *db = open_db();
    lk_sql_link *link = borrow(db);

    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(lk_sql_begin(link, LK_SQL_RELAXED), LK_OK);
        assert_int_equal(number(link, "PRAGMA synchronous"), 1);
        assert_int_equal(lk_sql_commit(link), LK_OK);
        assert_int_equal(lk_sql_begin(link, LK_SQL_DURABLE), LK_OK);
        assert_int_equal(number(link, "PRAGMA synchronous"), 2);
        lk_sql_rollback(link);
    }
    assert_int_equal(number(link, "PRAGMA foreign_keys"), 1);
    assert_int_equal(number(link, "PRAGMA trusted_schema"), 0);
    assert_int_equal(number(link, "PRAGMA secure_delete"), 1);
    lk_sql_give_back(link);
    lk_sql_close(db);
}

/* ---- many at once ---- */

static void *add_hundred(void *p)
{
    lk_sql *db = p;
    int done = 0;

    for (int i = 0; i < 100; i++) {
        lk_sql_link *link = NULL;
        lk_sql_query *q = NULL;
        int64_t n = -1;

        if (lk_sql_borrow(db, &link, NULL) != LK_OK)
            continue;
        if (lk_sql_begin(link, LK_SQL_RELAXED) == LK_OK &&
            lk_sql_prepare(link, "SELECT n FROM t", &q) == LK_OK && lk_sql_step(q) == LK_OK) {
            n = lk_sql_i64(q, 0);
            lk_sql_reset(q);
        }
        if (n >= 0 && lk_sql_prepare(link, "UPDATE t SET n = ?", &q) == LK_OK) {
            lk_sql_bind_i64(q, 1, n + 1);
            if (lk_sql_run(q, NULL) == LK_OK && lk_sql_commit(link) == LK_OK)
                done++;
        }
        lk_sql_give_back(link);
    }
    return (void *)(intptr_t)done;
}

static void sixteen_threads_on_eight_links_lose_no_write(void **state)
{
    lk_sql *db = open_db();
    lk_sql_link *link = borrow(db);
    pthread_t threads[16];
    intptr_t done = 0;

    (void)state;
    run(link, "CREATE TABLE t (n INTEGER); INSERT INTO t VALUES (0)");
    lk_sql_give_back(link);
    for (int i = 0; i < 16; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, add_hundred, db), 0);
    for (int i = 0; i < 16; i++) {
        void *result = NULL;

        pthread_join(threads[i], &result);
        done += (intptr_t)result;
    }
    assert_int_equal(done, 1600);
    link = borrow(db);
    assert_int_equal(number(link, "SELECT n FROM t"), 1600);
    lk_sql_give_back(link);
    lk_sql_close(db);
}

static void four_processes_that_make_one_file_at_once_all_open_it(void **state)
{
    pid_t pids[4];
    int status = 0;

    (void)state;
    for (int i = 0; i < 4; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            lk_sql *db = NULL;
            int ok = lk_sql_open(lk_env_system(), url, NULL, &db, NULL) == LK_OK;

            lk_sql_close(db);
            _exit(ok ? 0 : 1);
        }
        assert_true(pids[i] > 0);
    }
    for (int i = 0; i < 4; i++) {
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_int_equal(status, 0);
    }
}

/* ---- bad days ---- */

static lk_status fill(lk_sql_link *link)
{
    lk_status status = LK_OK;
    lk_sql_query *q = NULL;

    assert_int_equal(lk_sql_prepare(link, "INSERT INTO t VALUES (1, randomblob(20000))", &q), LK_OK);
    for (int i = 0; i < 200 && status == LK_OK; i++) {
        status = lk_sql_begin(link, LK_SQL_DURABLE);
        if (status == LK_OK)
            status = lk_sql_run(q, NULL);
        if (status == LK_OK)
            status = lk_sql_commit(link);
        lk_sql_rollback(link);
    }
    return status;
}

static void a_file_at_its_bound_is_full_and_keeps_reading(void **state)
{
    lk_sql *db = open_db();
    lk_sql_link *link = borrow(db);
    lk_note note = {""};
    int64_t rows;

    (void)state;
    run(link, "CREATE TABLE t (n INTEGER, b BLOB); PRAGMA max_page_count=60");
    assert_int_equal(fill(link), LK_FULL);
    lk_sql_explain(link, &note);
    assert_non_null(strstr(note.text, "no room left"));
    rows = number(link, "SELECT count(*) FROM t");
    assert_true(rows > 2);
    run(link, "DELETE FROM t");
    assert_int_equal(lk_sql_begin(link, LK_SQL_DURABLE), LK_OK); /* and writes again once there is room */
    run(link, "INSERT INTO t VALUES (2, NULL)");
    assert_int_equal(lk_sql_commit(link), LK_OK);
    lk_sql_give_back(link);
    lk_sql_close(db);
}

static void a_full_disk_is_full_and_keeps_reading(void **state)
{
    char mount_point[] = "/tmp/latchkey-sql-full-XXXXXX";
    lk_sql_link *link;
    lk_sql *db;

    (void)state;
    assert_non_null(mkdtemp(mount_point));
    if (mount("tmpfs", mount_point, "tmpfs", 0, "size=512k") != 0) {
        rmdir(mount_point);
        skip(); /* only root may mount */
    }
    snprintf(url, sizeof(url), "sqlite:%s/a.db", mount_point);
    db = open_db();
    link = borrow(db);
    run(link, "CREATE TABLE t (n INTEGER, b BLOB)");
    assert_int_equal(fill(link), LK_FULL);
    assert_true(number(link, "SELECT count(*) FROM t") > 2);
    lk_sql_give_back(link);
    lk_sql_close(db);
    assert_int_equal(umount(mount_point), 0);
    rmdir(mount_point);
}

static void spoil(off_t at, const char *bytes, size_t len)
{
    int fd = open(path, O_WRONLY | O_CREAT, 0600);

    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, len, at), (ssize_t)len);
    close(fd);
}

static void a_file_that_is_no_database_is_a_fault_that_says_so(void **state)
{
    char noise[4096];
    lk_note note = {""};
    lk_sql *db = NULL;

    (void)state;
    memset(noise, 'x', sizeof(noise));
    spoil(0, noise, sizeof(noise));
    assert_int_equal(lk_sql_open(lk_env_system(), url, NULL, &db, &note), LK_FAULT);
    assert_non_null(strstr(note.text, path));
    assert_non_null(strstr(note.text, "damaged"));
}

static void a_damaged_page_is_a_fault_and_never_a_miss(void **state)
{
    lk_sql *db = open_db();
    lk_sql_link *link = borrow(db);
    lk_sql_query *q = NULL;
    char noise[4096];

    (void)state;
    run(link, "CREATE TABLE t (n INTEGER, b BLOB); INSERT INTO t VALUES (1, NULL)");
    lk_sql_give_back(link);
    lk_sql_close(db);
    memset(noise, 0xff, sizeof(noise));
    spoil(4096, noise, sizeof(noise));
    db = open_db();
    link = borrow(db);
    assert_int_equal(lk_sql_prepare(link, "SELECT n FROM t", &q), LK_OK);
    assert_int_equal(lk_sql_step(q), LK_FAULT);
    lk_sql_give_back(link);
    lk_sql_close(db);
}

static void a_directory_that_is_not_there_is_a_fault_that_names_the_file(void **state)
{
    lk_note note = {""};
    lk_sql *db = NULL;

    (void)state;
    snprintf(url, sizeof(url), "sqlite:%s/missing/a.db", dir);
    assert_int_equal(lk_sql_open(lk_env_system(), url, NULL, &db, &note), LK_FAULT);
    assert_non_null(strstr(note.text, "missing/a.db"));
    snprintf(url, sizeof(url), "sqlite:%s", dir);
    assert_int_equal(lk_sql_open(lk_env_system(), url, NULL, &db, &note), LK_FAULT);
    assert_non_null(strstr(note.text, "no regular file"));
}

static void every_allocation_that_fails_is_a_fault_and_leaks_nothing(void **state)
{
    lk_sql *db = NULL;
    int n = 1;

    (void)state;
    for (;; n++) {
        lk_status status;

        test_alloc_fail_at(n);
        status = lk_sql_open(test_env(), url, NULL, &db, NULL);
        if (!test_alloc_failed())
            break;
        assert_int_equal(status, LK_FAULT);
        assert_null(db);
        assert_int_equal(test_alloc_live(), 0);
    }
    test_alloc_fail_at(0);
    lk_sql_close(db);
    assert_true(n > 1);
    assert_int_equal(test_alloc_live(), 0);
}

static int make_dir(void **state)
{
    (void)state;
    return mkdtemp(dir) == NULL;
}

static int remove_dir(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof(command), "rm -rf '%s'", dir);
    return system(command);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(urls_of_other_forms_are_refused_with_the_form_expected, fresh),
        cmocka_unit_test_setup(the_file_and_its_log_are_for_their_owner_alone, fresh),
        cmocka_unit_test_setup(a_file_that_everybody_may_read_is_refused_with_the_cure, fresh),
        cmocka_unit_test_setup(bytes_of_any_value_come_back_as_they_were, fresh),
        cmocka_unit_test_setup(a_value_that_cannot_be_bound_fails_the_next_run, fresh),
        cmocka_unit_test_setup(a_row_that_a_constraint_forbids_is_refused_and_the_rest_goes_on, fresh),
        cmocka_unit_test_setup(a_link_given_back_in_a_transaction_has_written_nothing, fresh),
        cmocka_unit_test_setup(durability_is_chosen_for_each_transaction, fresh),
        cmocka_unit_test_setup(sixteen_threads_on_eight_links_lose_no_write, fresh),
        cmocka_unit_test_setup(four_processes_that_make_one_file_at_once_all_open_it, fresh),
        cmocka_unit_test_setup(a_file_at_its_bound_is_full_and_keeps_reading, fresh),
        cmocka_unit_test_setup(a_full_disk_is_full_and_keeps_reading, fresh),
        cmocka_unit_test_setup(a_file_that_is_no_database_is_a_fault_that_says_so, fresh),
        cmocka_unit_test_setup(a_damaged_page_is_a_fault_and_never_a_miss, fresh),
        cmocka_unit_test_setup(a_directory_that_is_not_there_is_a_fault_that_names_the_file, fresh),
        cmocka_unit_test_setup(every_allocation_that_fails_is_a_fault_and_leaks_nothing, fresh),
    };

    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
