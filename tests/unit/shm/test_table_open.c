/* SPDX-License-Identifier: Apache-2.0
 *
 * Making, joining and replacing the file of a table.
 */
#include "table_check.h"
#include "test_env.h"
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define SIZE (2u << 20)
#define OPENERS 8u

static int64_t end_s(void)
{
    return lk_now_s(test_env()) + 3600;
}

static void put_key(lk_table *t, uint64_t n)
{
    uint8_t key[LK_TABLE_KEY_LEN], buf[CHECK_VALUE_MAX];
    check_key(n, key);
    assert_int_equal(lk_table_put(t, LK_ENTRY_SESSION, key, 1, end_s(), check_value(n, 1, 300, buf)), LK_OK);
}

static bool has_key(lk_table *t, uint64_t n)
{
    uint8_t key[LK_TABLE_KEY_LEN], buf[CHECK_VALUE_MAX];
    lk_entry e;
    check_key(n, key);
    lk_status status = lk_table_get(t, LK_ENTRY_SESSION, key, 0, buf, sizeof(buf), &e);
    assert_true(status == LK_OK || status == LK_MISS);
    return status == LK_OK && check_value_is_whole(n, lk_view_make(buf, e.len), NULL);
}

/* Open PATH again as another process would. */
static lk_table *open_again(const char *path, size_t size, bool expect_joined)
{
    lk_table *t = NULL;
    lk_note note;
    bool joined = !expect_joined;
    assert_int_equal(lk_table_open(test_env(), path, size, &t, &joined, &note), LK_OK);
    assert_int_equal(joined, expect_joined);
    return t;
}

static void sizes_out_of_range_are_refused(void **state)
{
    lk_table *t = (lk_table *)state; /* anything that is not NULL */
    lk_note note;
    assert_int_equal(lk_table_open(test_env(), NULL, LK_TABLE_SIZE_MIN - 1, &t, NULL, &note), LK_REFUSED);
    assert_null(t);
    assert_non_null(strstr(note.text, "bytes"));
    assert_int_equal(lk_table_open(test_env(), NULL, (size_t)1 << 50, &t, NULL, NULL), LK_REFUSED);
    assert_int_equal(test_alloc_live(), 0);
}

static void smallest_table_and_odd_sizes_work(void **state)
{
    (void)state;
    const size_t sizes[] = {LK_TABLE_SIZE_MIN, LK_TABLE_SIZE_MIN + 1, 3333333, 10000000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        lk_table_stats stats;
        lk_table *t = check_open(test_env(), sizes[i]);
        put_key(t, 1);
        assert_true(has_key(t, 1));
        lk_table_stats_read(t, &stats);
        assert_int_equal(stats.size, sizes[i]);
        lk_table_close(t);
    }
}

static void file_is_joined_with_what_is_in_it(void **state)
{
    (void)state;
    char path[64];
    uint8_t a[LK_TABLE_KEY_LEN], b[LK_TABLE_KEY_LEN];
    struct stat st;
    lk_table *t = check_open_file(test_env(), SIZE, path);
    put_key(t, 1);
    atomic_store(lk_table_word(t, 255), 12345);
    lk_table *u = open_again(path, SIZE, true);
    assert_true(has_key(u, 1));
    put_key(u, 2);
    assert_true(has_key(t, 2));
    assert_int_equal(atomic_load(lk_table_word(u, 255)), 12345);
    assert_int_equal(lk_table_made_s(u), lk_now_s(test_env()));
    lk_table_key(t, LK_ENTRY_CUTOFF, LK_VIEW("user:alice"), a);
    lk_table_key(u, LK_ENTRY_CUTOFF, LK_VIEW("user:alice"), b);
    assert_memory_equal(a, b, sizeof(a));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_int_equal(st.st_size, SIZE);
    lk_table_close(t);
    lk_table_close(u);
    t = open_again(path, SIZE, true); /* it outlives those who had it */
    assert_true(has_key(t, 1) && has_key(t, 2));
    lk_table_close(t);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(test_alloc_live(), 0);
}

static void names_of_two_tables_differ(void **state)
{
    (void)state;
    uint8_t a[LK_TABLE_KEY_LEN], b[LK_TABLE_KEY_LEN];
    lk_table *t = check_open(test_env(), SIZE);
    lk_table *u = check_open(test_env(), SIZE);
    lk_table_key(t, LK_ENTRY_COUNTER, LK_VIEW("192.0.2.1"), a);
    lk_table_key(u, LK_ENTRY_COUNTER, LK_VIEW("192.0.2.1"), b);
    assert_memory_not_equal(a, b, sizeof(a));
    lk_table_close(t);
    lk_table_close(u);
}

static void joining_with_another_size_keeps_the_table_and_says_so(void **state)
{
    (void)state;
    char path[64];
    lk_note note;
    bool joined = false;
    lk_table *u = NULL;
    lk_table *t = check_open_file(test_env(), SIZE, path);
    put_key(t, 1);
    assert_int_equal(lk_table_open(test_env(), path, 2 * SIZE, &u, &joined, &note), LK_OK);
    assert_true(joined && has_key(u, 1));
    assert_non_null(strstr(note.text, "2097152"));
    assert_non_null(strstr(note.text, "4194304"));
    lk_table_close(u);
    assert_int_equal(lk_table_open(test_env(), path, SIZE, &u, &joined, &note), LK_OK);
    assert_string_equal(note.text, "");
    lk_table_close(u);
    lk_table_close(t);
    assert_int_equal(unlink(path), 0);
}

/* Write BYTES over PATH at OFFSET. */
static void damage(const char *path, off_t offset, const void *bytes, size_t len)
{
    int fd = open(path, O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, len, offset), len);
    assert_int_equal(close(fd), 0);
}

static void each_damaged_byte_of_the_head_is_found_and_a_new_table_made(void **state)
{
    (void)state;
    char path[64];
    for (off_t offset = 0; offset < 104; offset++) { /* everything that is fixed, and its checksum */
        lk_table *t = check_open_file(test_env(), SIZE, path);
        uint8_t byte;
        int fd = open(path, O_RDONLY);
        assert_int_equal(pread(fd, &byte, 1, offset), 1);
        assert_int_equal(close(fd), 0);
        byte ^= 0x10;
        put_key(t, 1);
        lk_table_close(t);
        damage(path, offset, &byte, 1);
        t = open_again(path, SIZE, false);
        assert_false(has_key(t, 1));
        put_key(t, 2);
        lk_table_close(t);
        t = open_again(path, SIZE, true); /* the new one is sound */
        assert_true(has_key(t, 2));
        lk_table_close(t);
        assert_int_equal(unlink(path), 0);
    }
}

static void those_who_have_a_replaced_table_go_on_with_it(void **state)
{
    (void)state;
    char path[64];
    lk_table *t = check_open_file(test_env(), SIZE, path);
    put_key(t, 1);
    damage(path, 0, "xxxx", 4);
    lk_table *u = open_again(path, SIZE, false);
    put_key(u, 2);
    assert_true(has_key(t, 1) && !has_key(t, 2));
    put_key(t, 3);
    assert_true(has_key(t, 3) && !has_key(u, 3));
    lk_table_close(t);
    lk_table_close(u);
    assert_int_equal(unlink(path), 0);
}

static void cut_grown_and_foreign_files_are_replaced(void **state)
{
    (void)state;
    char path[64];
    const off_t lengths[] = {1, 100, 4096, LK_TABLE_SIZE_MIN - 1, SIZE - 4096, SIZE - 1, SIZE + 1, 4 * SIZE};
    for (size_t i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
        lk_table *t = check_open_file(test_env(), SIZE, path);
        put_key(t, 1);
        lk_table_close(t);
        assert_int_equal(truncate(path, lengths[i]), 0);
        t = open_again(path, SIZE, false);
        assert_false(has_key(t, 1));
        put_key(t, 2);
        assert_true(has_key(t, 2));
        lk_table_close(t);
        assert_int_equal(unlink(path), 0);
    }
}

/* A maker that is killed has set the length but not written the magic number. */
static void half_made_file_is_replaced(void **state)
{
    (void)state;
    char path[64];
    lk_table *t = check_open_file(test_env(), SIZE, path);
    lk_table_close(t);
    assert_int_equal(truncate(path, 0), 0);
    assert_int_equal(truncate(path, SIZE), 0);
    t = open_again(path, SIZE, false);
    put_key(t, 2);
    lk_table_close(t);
    assert_int_equal(unlink(path), 0);
}

static void expect_fault(const char *path, const char *word)
{
    lk_table *t = NULL;
    lk_note note;
    assert_int_equal(lk_table_open(test_env(), path, SIZE, &t, NULL, &note), LK_FAULT);
    assert_null(t);
    assert_non_null(strstr(note.text, word));
    assert_int_equal(test_alloc_live(), 0);
}

static void file_that_others_may_write_is_a_fault(void **state)
{
    (void)state;
    char path[64];
    lk_table *t = check_open_file(test_env(), SIZE, path);
    put_key(t, 1);
    lk_table_close(t);
    assert_int_equal(chmod(path, 0660), 0);
    expect_fault(path, "600");
    assert_int_equal(chmod(path, 0600), 0);
    if (geteuid() == 0) {
        assert_int_equal(chown(path, 12345, 12345), 0);
        /* The kernel itself may refuse this in a sticky directory (fs.protected_regular). */
        expect_fault(path, path);
        assert_int_equal(chown(path, 0, 0), 0);
    }
    t = open_again(path, SIZE, true);
    assert_true(has_key(t, 1)); /* nothing was done to it */
    lk_table_close(t);
    assert_int_equal(unlink(path), 0);
}

static void links_directories_and_places_that_cannot_be_written_are_faults(void **state)
{
    (void)state;
    char path[64], link[80];
    lk_table *t = check_open_file(test_env(), SIZE, path);
    lk_table_close(t);
    (void)snprintf(link, sizeof(link), "%s.link", path);
    assert_int_equal(symlink(path, link), 0);
    expect_fault(link, link);
    assert_int_equal(unlink(link), 0);
    assert_int_equal(unlink(path), 0);
    expect_fault("/dev/shm", "/dev/shm");
    expect_fault("/nowhere/at/all", "/nowhere/at/all");
    expect_fault("/proc/lk-table", "/proc/lk-table"); /* no file can be made there, not even by root */
    expect_fault("/dev/null", "not a regular file");
}

/* Stands for a full file system: the kernel refuses to give the file more than half of what it needs. */
static void file_system_without_room_is_a_fault_and_leaves_no_file(void **state)
{
    (void)state;
    char path[64];
    struct stat st;
    struct rlimit before, less = {SIZE / 2, SIZE / 2};
    (void)snprintf(path, sizeof(path), "/dev/shm/lk-test-%ld", (long)getpid());
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    less.rlim_max = before.rlim_max;
    assert_true(signal(SIGXFSZ, SIG_IGN) != SIG_ERR);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &less), 0);
    expect_fault(path, "no room");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(stat(path, &st), -1);
}

static void failing_memory_and_randomness_are_faults(void **state)
{
    (void)state;
    lk_table *t = NULL;
    char path[64];
    struct stat st;
    (void)snprintf(path, sizeof(path), "/dev/shm/lk-test-%ld", (long)getpid());
    test_alloc_fail_at(1);
    expect_fault(NULL, "memory");
    assert_true(test_alloc_failed());
    test_alloc_fail_at(0);
    test_random_fail_at(1);
    assert_int_equal(lk_table_open(test_env(), NULL, SIZE, &t, NULL, NULL), LK_FAULT);
    test_random_fail_at(1);
    expect_fault(path, "random");
    assert_int_equal(stat(path, &st), -1);
    test_random_fail_at(0);
    t = open_again(path, SIZE, false);
    lk_table_close(t);
    assert_int_equal(unlink(path), 0);
}

/* Each adds to a counter in what it has opened. 0: made, 1: joined. */
static int open_and_count(const char *path)
{
    lk_table *t;
    bool joined;
    uint8_t key[LK_TABLE_KEY_LEN];
    int64_t value;
    check_key(1, key);
    if (lk_table_open(test_env(), path, SIZE, &t, &joined, NULL) != LK_OK ||
        lk_table_count(t, key, 1, 1, end_s(), &value) != LK_OK) {
        return 2;
    }
    return joined ? 1 : 0;
}

static void check_one_maker(const char *path)
{
    pid_t pids[OPENERS];
    uint32_t made = 0;
    uint8_t key[LK_TABLE_KEY_LEN];
    int64_t value;
    for (uint32_t i = 0; i < OPENERS; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            _exit(open_and_count(path));
        }
    }
    for (uint32_t i = 0; i < OPENERS; i++) {
        int status;
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_true(WIFEXITED(status) && WEXITSTATUS(status) <= 1);
        made += WEXITSTATUS(status) == 0;
    }
    assert_int_equal(made, 1);
    lk_table *t = open_again(path, SIZE, true);
    check_key(1, key);
    assert_int_equal(lk_table_count(t, key, 0, 1, end_s(), &value), LK_OK);
    assert_int_equal(value, OPENERS);
    lk_table_close(t);
}

static void of_many_openers_one_makes_the_table_and_the_others_wait(void **state)
{
    (void)state;
    char path[64];
    for (int round = 0; round < 15; round++) {
        lk_table *t = check_open_file(test_env(), SIZE, path);
        lk_table_close(t);
        if (round % 2 == 0) {
            assert_int_equal(unlink(path), 0);
        } else {
            damage(path, 8, "??", 2); /* replaced by one of them */
        }
        check_one_maker(path);
        assert_int_equal(unlink(path), 0);
    }
}

/* Open PATH in a child that lives in a pid namespace of its own. 100: no such namespace to be had here. */
static int open_in_another_pid_space(const char *path)
{
    int status;
    pid_t pid = fork();
    if (pid == 0) {
        if (unshare(CLONE_NEWPID) != 0) {
            _exit(100);
        }
        pid_t inner = fork(); /* the first process of the namespace */
        if (inner == 0) {
            lk_table *t;
            bool joined = false;
            lk_status opened = lk_table_open(test_env(), path, SIZE, &t, &joined, NULL);
            _exit(opened == LK_OK && !joined ? 101 : (int)opened);
        }
        _exit(waitpid(inner, &status, 0) == inner && WIFEXITED(status) ? WEXITSTATUS(status) : 102);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void table_is_not_shared_between_pid_namespaces(void **state)
{
    (void)state;
    char path[64];
    lk_table *t = check_open_file(test_env(), SIZE, path);
    put_key(t, 1);
    int answer = open_in_another_pid_space(path);
    if (answer == 100) {
        lk_table_close(t);
        assert_int_equal(unlink(path), 0);
        skip();
    }
    assert_int_equal(answer, LK_FAULT);
    lk_table_lock(t, 7); /* a lock that stays behind, as of a container that was stopped */
    lk_table_close(t);
    assert_int_equal(open_in_another_pid_space(path), LK_OK); /* nobody has it any more */
    t = open_again(path, SIZE, true);
    assert_true(has_key(t, 1));
    lk_table_lock(t, 7);
    lk_table_unlock(t, 7);
    lk_table_close(t);
    assert_int_equal(unlink(path), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_out_of_range_are_refused),
        cmocka_unit_test(smallest_table_and_odd_sizes_work),
        cmocka_unit_test(file_is_joined_with_what_is_in_it),
        cmocka_unit_test(names_of_two_tables_differ),
        cmocka_unit_test(joining_with_another_size_keeps_the_table_and_says_so),
        cmocka_unit_test(each_damaged_byte_of_the_head_is_found_and_a_new_table_made),
        cmocka_unit_test(those_who_have_a_replaced_table_go_on_with_it),
        cmocka_unit_test(cut_grown_and_foreign_files_are_replaced),
        cmocka_unit_test(half_made_file_is_replaced),
        cmocka_unit_test(file_that_others_may_write_is_a_fault),
        cmocka_unit_test(links_directories_and_places_that_cannot_be_written_are_faults),
        cmocka_unit_test(file_system_without_room_is_a_fault_and_leaves_no_file),
        cmocka_unit_test(failing_memory_and_randomness_are_faults),
        cmocka_unit_test(table_is_not_shared_between_pid_namespaces),
        cmocka_unit_test(of_many_openers_one_makes_the_table_and_the_others_wait),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
