/* SPDX-License-Identifier: Apache-2.0
 *
 * test_key_files.c - the directory of key files: who may read it, what is made, rotation, several processes
 * at once, and a crash at every step.
 *
 * This executable has its own openat, renameat and fsync, which the library calls: they count, and can end
 * the process in front of any one of them.
 */
#include "key_fixture.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "test_env.h"

#define CRASHED 77

static int steps_until_crash; /* 0: never */

static void step(void)
{
    if (steps_until_crash > 0 && --steps_until_crash == 0)
        _exit(CRASHED);
}

int openat(int dir, const char *name, int flags, ...)
{
    mode_t mode = 0;

    if ((flags & O_CREAT) != 0) {
        va_list args;

        va_start(args, flags);
        mode = va_arg(args, mode_t);
        va_end(args);
        step();
    }
    return (int)syscall(SYS_openat, dir, name, flags, mode);
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    step();
    return (int)syscall(SYS_renameat2, from_dir, from, to_dir, to, 0);
}

int fsync(int fd)
{
    step();
    return (int)syscall(SYS_fsync, fd);
}

static bool sleeps_are_skipped;

int nanosleep(const struct timespec *wanted, struct timespec *left)
{
    return sleeps_are_skipped ? 0 : (int)syscall(SYS_nanosleep, wanted, left);
}

/* --- Fixtures --------------------------------------------------------------------------------------------
 */

/* Half of the tests start from one directory with all keys in it: making them takes the most time. */
static char full_dir[DIR_SIZE];

static int make_full_dir(void **state)
{
    lk_keyring *ring = NULL;
    lk_note note = {0};

    (void)state;
    key_dir_make(full_dir);
    if (lk_keyring_open(test_env(), full_dir, true, &ring, &note) != LK_OK)
        fail_msg("%s", note.text);
    lk_keyring_free(ring);
    return 0;
}

static int remove_full_dir(void **state)
{
    (void)state;
    key_dir_remove(full_dir);
    return 0;
}

static void copy_file(int from_dir, int to_dir, const char *name)
{
    char text[8192];
    int from = openat(from_dir, name, O_RDONLY), to = openat(to_dir, name, O_WRONLY | O_CREAT | O_EXCL, 0600);
    ssize_t n = read(from, text, sizeof(text));

    assert_true(n >= 0 && n < (ssize_t)sizeof(text));
    assert_int_equal(write(to, text, (size_t)n), n);
    (void)close(from);
    (void)close(to);
}

/* A directory with the same keys as full_dir; only those whose name begins with PREFIX. */
static void copy_keys(char dir[DIR_SIZE], const char *prefix)
{
    DIR *from = opendir(full_dir);
    struct dirent *e;
    int to;

    key_dir_make(dir);
    to = open(dir, O_RDONLY | O_DIRECTORY);
    while ((e = readdir(from)) != NULL) {
        if (strstr(e->d_name, ".jwk") != NULL && strncmp(e->d_name, prefix, strlen(prefix)) == 0)
            copy_file(dirfd(from), to, e->d_name);
    }
    (void)close(to);
    (void)closedir(from);
}

static lk_status open_dir(const char *dir, bool create, lk_keyring **ring, lk_note *note)
{
    *ring = NULL;
    *note = (lk_note){0};
    return lk_keyring_open(test_env(), dir, create, ring, note);
}

static lk_keyring *must_open(const char *dir, bool create)
{
    lk_keyring *ring;
    lk_note note;

    if (open_dir(dir, create, &ring, &note) != LK_OK)
        fail_msg("%s", note.text);
    return ring;
}

/* The path of the first file in DIR whose name begins with PREFIX. */
static void path_of(const char *dir, const char *prefix, char out[384])
{
    DIR *d = opendir(dir);
    struct dirent *e;

    out[0] = '\0';
    while ((e = readdir(d)) != NULL) {
        if (strncmp(e->d_name, prefix, strlen(prefix)) == 0)
            (void)snprintf(out, 384, "%s/%s", dir, e->d_name);
    }
    (void)closedir(d);
    assert_true(out[0] != '\0');
}

static size_t count_files(const char *dir, const char *part)
{
    DIR *d = opendir(dir);
    struct dirent *e;
    size_t n = 0;

    while ((e = readdir(d)) != NULL)
        n += strstr(e->d_name, part) != NULL;
    (void)closedir(d);
    return n;
}

static void expect_refused(const char *dir, const char *words)
{
    lk_keyring *ring;
    lk_note note;

    assert_int_equal(open_dir(dir, false, &ring, &note), LK_REFUSED);
    assert_null(ring);
    if (strstr(note.text, words) == NULL)
        fail_msg("refused with: %s\n   which lacks: %s", note.text, words);
    assert_int_equal(open_dir(dir, true, &ring, &note), LK_REFUSED); /* nor is anything made then */
}

static const char *kid_of(const lk_keyring *ring, lk_alg alg)
{
    static char kid[LK_ALG_COUNT][LK_KID_MAX + 1];
    lk_view v = lk_signer_kid(lk_keyring_signer(ring, alg));

    (void)snprintf(kid[alg], sizeof(kid[alg]), "%.*s", (int)v.len, (const char *)v.p);
    return kid[alg];
}

/* --- What is made ----------------------------------------------------------------------------------------
 */

static void first_start_makes_a_root_and_a_key_of_every_algorithm_for_us_alone(void **state)
{
    lk_keyring *ring = must_open(full_dir, false);
    DIR *d = opendir(full_dir);
    lk_key_info info;
    struct dirent *e;
    struct stat st;
    size_t roots = 0, n;

    (void)state;
    for (n = 0; lk_keyring_info(ring, n, &info) == LK_OK; n++)
        roots += info.is_root;
    assert_int_equal(n, FIRST_ALGS + 1);
    assert_int_equal(roots, 1);
    while ((e = readdir(d)) != NULL) {
        assert_int_equal(fstatat(dirfd(d), e->d_name, &st, 0), 0);
        assert_true(S_ISDIR(st.st_mode) || (st.st_mode & 07777) == 0600);
    }
    (void)closedir(d);
    for (lk_alg a = 0; a < FIRST_ALGS; a++)
        assert_non_null(lk_keyring_signer(ring, a));
    for (lk_purpose p = 0; p < LK_PURPOSE_COUNT; p++)
        assert_non_null(lk_keyring_mac(ring, p));
    lk_keyring_free(ring);
}

static void directory_that_does_not_exist_is_made_only_when_asked(void **state)
{
    char parent[DIR_SIZE], dir[DIR_SIZE + 8];
    lk_keyring *ring;
    struct stat st;
    lk_note note;
    int fd;

    (void)state;
    key_dir_make(parent);
    (void)snprintf(dir, sizeof(dir), "%s/keys", parent);
    assert_int_equal(open_dir(dir, false, &ring, &note), LK_MISS);
    assert_int_equal(access(dir, F_OK), -1);
    /* Stop in front of the first key: the directory is there by then. */
    test_random_fail_at(1);
    assert_int_equal(open_dir(dir, true, &ring, &note), LK_FAULT);
    test_random_fail_at(0);
    assert_int_equal(stat(dir, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(open_dir(dir, false, &ring, &note), LK_MISS);
    (void)snprintf(dir, sizeof(dir), "%s/a/b", parent);
    assert_int_equal(open_dir(dir, true, &ring, &note), LK_FAULT);
    (void)snprintf(dir, sizeof(dir), "%s/file", parent);
    fd = open(dir, O_WRONLY | O_CREAT, 0600);
    (void)close(fd);
    assert_int_equal(open_dir(dir, true, &ring, &note), LK_FAULT);
    (void)snprintf(dir, sizeof(dir), "%s/keys", parent);
    key_dir_remove(dir);
    key_dir_remove(parent);
}

static void opening_again_finds_the_same_keys(void **state)
{
    lk_keyring *a = must_open(full_dir, true), *b = must_open(full_dir, false);
    char *x = NULL, *y = NULL;

    (void)state;
    assert_int_equal(lk_keyring_jwks(a, &x), LK_OK);
    assert_int_equal(lk_keyring_jwks(b, &y), LK_OK);
    assert_string_equal(x, y);
    for (lk_alg alg = 0; alg < FIRST_ALGS; alg++) {
        uint8_t memory[LK_SIGNATURE_MAX];
        lk_buf signature = lk_buf_over(memory, sizeof(memory));

        assert_int_equal(lk_sign(lk_keyring_signer(a, alg), LK_VIEW("m"), &signature), LK_OK);
        assert_int_equal(lk_verify(lk_keyring_verifier(b, lk_signer_kid(lk_keyring_signer(a, alg))),
                                   LK_VIEW("m"), lk_buf_view(&signature)),
                         LK_OK);
    }
    assert_null(lk_keyring_verifier(a, (lk_view){0})); /* no key answers for a token without kid */
    lk_free(test_env(), x);
    lk_free(test_env(), y);
    lk_keyring_free(a);
    lk_keyring_free(b);
}

static void published_keys_have_no_secret_in_them(void **state)
{
    static const char *const secret[] = {"\"k\"",  "\"d\"",  "\"p\"", "\"q\"", "\"dp\"",
                                         "\"dq\"", "\"qi\"", "oct",   "root",  "lk_"};
    lk_keyring *ring = must_open(full_dir, false);
    lk_keyring *read_back;
    char *json = NULL;

    (void)state;
    assert_int_equal(lk_keyring_jwks(ring, &json), LK_OK);
    for (size_t i = 0; i < sizeof(secret) / sizeof(secret[0]); i++)
        assert_null(strstr(json, secret[i]));
    read_back = ring_of(json, NULL);
    assert_non_null(read_back);
    assert_null(lk_keyring_verifier(read_back, lk_signer_kid(lk_keyring_signer(ring, LK_ALG_HS256))));
    assert_non_null(lk_keyring_verifier(read_back, lk_signer_kid(lk_keyring_signer(ring, LK_ALG_RS256))));
    lk_keyring_free(read_back);
    lk_free(test_env(), json);
    lk_keyring_free(ring);
}

/* --- Who may read ----------------------------------------------------------------------------------------
 */

static void key_file_that_others_can_read_is_refused_with_the_cure(void **state)
{
    static const mode_t modes[] = {0640, 0604, 0620, 0602, 0610, 0601, 0644, 0666, 0777};
    char dir[DIR_SIZE], path[384], cure[420];

    (void)state;
    copy_keys(dir, "");
    path_of(dir, "hs256-", path);
    (void)snprintf(cure, sizeof(cure), "chmod 600 %s", path);
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        assert_int_equal(chmod(path, modes[i]), 0);
        expect_refused(dir, cure);
    }
    assert_int_equal(chmod(path, 0600), 0);
    lk_keyring_free(must_open(dir, false));
    assert_int_equal(chmod(path, 0400), 0);
    lk_keyring_free(must_open(dir, false));
    key_dir_remove(dir);
}

static void key_directory_that_others_can_look_into_is_refused_with_the_cure(void **state)
{
    char dir[DIR_SIZE], cure[DIR_SIZE + 16];

    (void)state;
    copy_keys(dir, "");
    (void)snprintf(cure, sizeof(cure), "chmod 700 %s", dir);
    assert_int_equal(chmod(dir, 0750), 0);
    expect_refused(dir, cure);
    assert_int_equal(chmod(dir, 0701), 0);
    expect_refused(dir, cure);
    assert_int_equal(chmod(dir, 0700), 0);
    lk_keyring_free(must_open(dir, false));
    key_dir_remove(dir);
}

static void file_or_directory_of_another_user_is_refused(void **state)
{
    char dir[DIR_SIZE], path[384];

    (void)state;
    if (geteuid() != 0) {
        skip(); /* only root can give a file away */
        return;
    }
    copy_keys(dir, "");
    path_of(dir, "hs256-", path);
    assert_int_equal(chown(path, 65534, 0), 0);
    expect_refused(dir, "chown");
    assert_int_equal(chown(path, 0, 0), 0);
    assert_int_equal(chown(dir, 65534, 0), 0);
    expect_refused(dir, "chown");
    assert_int_equal(chown(dir, 0, 0), 0);
    lk_keyring_free(must_open(dir, false));
    key_dir_remove(dir);
}

static void link_fifo_and_folder_in_place_of_a_key_are_refused(void **state)
{
    char dir[DIR_SIZE], path[384], moved[DIR_SIZE + 16];

    (void)state;
    copy_keys(dir, "");
    path_of(dir, "hs256-", path);
    (void)snprintf(moved, sizeof(moved), "%s/moved", dir);
    assert_int_equal(rename(path, moved), 0);
    assert_int_equal(symlink(moved, path), 0);
    expect_refused(dir, path);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkfifo(path, 0600), 0);
    expect_refused(dir, "plain file");
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mkdir(path, 0700), 0);
    expect_refused(dir, "plain file");
    assert_int_equal(rmdir(path), 0);
    assert_int_equal(rename(moved, path), 0);
    lk_keyring_free(must_open(dir, false));
    key_dir_remove(dir);
}

/* --- What is in the files --------------------------------------------------------------------------------
 */

static void write_file(const char *dir, const char *name, const char *text)
{
    char path[384];
    int fd;

    (void)snprintf(path, sizeof(path), "%s/%s", dir, name);
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    (void)close(fd);
}

#define HS(kid, rest)                                                                                        \
    "{\"kty\":\"oct\",\"k\":\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\",\"kid\":\"" kid "\"" rest "}"
#define LIFE ",\"lk_state\":\"active\",\"lk_created\":5"

static void broken_key_file_is_refused_with_its_name_and_the_rule(void **state)
{
    static const struct {
        const char *name, *text, *words;
    } cases[] = {
        {"x.jwk", HS("y", LIFE), "not the name of the file"},
        {"x.jwk", HS("x", ""), "lk_created"},
        {"x.jwk", HS("x", ",\"lk_created\":5"), "lk_state"},
        {"x.jwk", HS("x", ",\"lk_state\":\"new\",\"lk_created\":5"), "lk_state"},
        {"x.jwk", HS("x", ",\"lk_state\":\"active\",\"lk_created\":-1"), "lk_created"},
        {"x.jwk", HS("x", ",\"lk_state\":\"active\",\"lk_created\":\"5\""), "lk_created"},
        {"x.jwk", HS("x", LIFE ",\"alg\":\"HS512\""), "512"},
        {"x.jwk", HS("x", LIFE ",\"kid\":\"x\""), "twice"},
        {"x.jwk", "", "line 1"},
        {"x.jwk", "{\"kty\":\"oct\",\"k\":\"AAEC\",\"kid\":\"x\"" LIFE "}", "256"},
        {"x.jwk", "{\"kty\":\"oct\",\"k\":\"AAECAwQFBgcICQoLDA0", "line 1"},
        {"x y.jwk", HS("x y", LIFE), "the name of a key file"},
        {"x.jwk",
         "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\",\"kid\":"
         "\"x\"" LIFE "}",
         "\"d\""},
        {"x.jwk",
         "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\",\"d\":"
         "\"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\",\"kid\":\"x\"" LIFE "}",
         "belong together"},
        /* which of the two roots is called the second is up to the order of the directory */
        {"root-b.jwk", HS("root-b", ",\"lk_use\":\"root\",\"lk_created\":5"), "second root"},
    };
    char dir[DIR_SIZE], path[384];

    (void)state;
    copy_keys(dir, "");
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        write_file(dir, cases[i].name, cases[i].text);
        expect_refused(dir, cases[i].words);
        expect_refused(dir, strcmp(cases[i].words, "second root") == 0 ? "/root-" : cases[i].name);
        (void)snprintf(path, sizeof(path), "%s/%s", dir, cases[i].name);
        assert_int_equal(unlink(path), 0);
    }
    write_file(dir, "x.jwk", HS("x", LIFE)); /* the positive control of all the above */
    lk_keyring_free(must_open(dir, false));
    key_dir_remove(dir);
}

/* Change one character of member NAME in the file that begins with PREFIX. */
static void spoil(const char *dir, const char *prefix, const char *name)
{
    char path[384], text[4096], mark[16], *at;
    ssize_t n;
    int fd;

    path_of(dir, prefix, path);
    fd = open(path, O_RDONLY);
    n = read(fd, text, sizeof(text) - 1);
    assert_true(n > 0);
    text[n] = '\0';
    (void)close(fd);
    (void)snprintf(mark, sizeof(mark), "\"%s\":\"", name);
    at = strstr(text, mark) + strlen(mark) + 5;
    *at = *at == 'A' ? 'B' : 'A';
    write_file(dir, strrchr(path, '/') + 1, text);
}

/* A damaged file is found when it is read and not at the next login; and to sign with wrong numbers can give
 * the key away. */
static void halves_of_two_keys_are_refused(void **state)
{
    static const struct {
        const char *prefix, *name, *words;
    } cases[] = {{"es256-", "d", "no key pair"},
                 {"es256-", "x", "no "},
                 {"eddsa-", "d", "belong together"},
                 {"rs256-", "n", "belong together"}};

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char dir[DIR_SIZE];

        copy_keys(dir, "");
        lk_keyring_free(must_open(dir, false));
        spoil(dir, cases[i].prefix, cases[i].name);
        expect_refused(dir, cases[i].words);
        key_dir_remove(dir);
    }
}

static void files_that_are_no_keys_are_passed_over(void **state)
{
    char dir[DIR_SIZE];

    (void)state;
    copy_keys(dir, "");
    write_file(dir, "README", "keys of the gateway");
    write_file(dir, "old.jwk.bak", "{");
    write_file(dir, ".hidden.jwk", "{");
    lk_keyring_free(must_open(dir, false));
    key_dir_remove(dir);
}

static void half_written_file_of_a_crash_is_passed_over_and_swept_by_the_next_writer(void **state)
{
    char dir[DIR_SIZE], kid[LK_KID_MAX + 1];

    (void)state;
    copy_keys(dir, "");
    write_file(dir, ".tmp-abc", "{\"kty\":\"oct\",\"k\":\"AAEC");
    lk_keyring_free(must_open(dir, false));
    assert_int_equal(count_files(dir, ".tmp-"), 1);
    assert_int_equal(key_make(dir, LK_ALG_HS256, false, kid, NULL), LK_OK);
    assert_int_equal(count_files(dir, ".tmp-"), 0);
    key_dir_remove(dir);
}

/* Without the root no session can be found again: a new one is not made in silence. */
static void keys_without_their_root_are_refused_and_no_new_root_is_made(void **state)
{
    char dir[DIR_SIZE], path[384];

    (void)state;
    copy_keys(dir, "");
    path_of(dir, "root-", path);
    assert_int_equal(unlink(path), 0);
    expect_refused(dir, "root secret");
    assert_int_equal(count_files(dir, "root-"), 0);
    key_dir_remove(dir);
}

static void too_many_key_files_are_refused_with_the_bound(void **state)
{
    char dir[DIR_SIZE], name[64], text[256];
    lk_keyring *ring;
    lk_note note;

    (void)state;
    copy_keys(dir, "");
    for (int i = 0; i < 60; i++) {
        (void)snprintf(name, sizeof(name), "k%d.jwk", i);
        (void)snprintf(text, sizeof(text), HS("k%d", LIFE), i);
        write_file(dir, name, text);
    }
    assert_int_equal(open_dir(dir, false, &ring, &note), LK_FULL);
    assert_non_null(strstr(note.text, "64"));
    key_dir_remove(dir);
}

/* --- Rotation --------------------------------------------------------------------------------------------
 */

static void rotation_makes_a_new_signer_and_the_old_key_goes_on_checking(void **state)
{
    char dir[DIR_SIZE], kid[LK_KID_MAX + 1];
    lk_keyring *old, *new;

    (void)state;
    copy_keys(dir, "");
    old = must_open(dir, false);
    for (lk_alg alg = 0; alg < FIRST_ALGS; alg++) {
        uint8_t memory[LK_SIGNATURE_MAX];
        lk_buf signature = lk_buf_over(memory, sizeof(memory));
        const char *old_kid = kid_of(old, alg);
        lk_key_info info;

        assert_int_equal(lk_sign(lk_keyring_signer(old, alg), LK_VIEW("m"), &signature), LK_OK);
        assert_int_equal(key_make(dir, alg, true, kid, NULL), LK_OK);
        assert_string_not_equal(kid, old_kid);
        new = must_open(dir, false);
        assert_string_equal(kid_of(new, alg), kid);
        assert_int_equal(lk_verify(lk_keyring_verifier(new, lk_view_of(kid_of(old, alg))), LK_VIEW("m"),
                                   lk_buf_view(&signature)),
                         LK_OK);
        for (size_t i = 0; lk_keyring_info(new, i, &info) == LK_OK; i++) {
            if (!info.is_root && info.alg == alg)
                assert_int_equal(info.state, strcmp(info.kid, kid) == 0 ? LK_KEY_ACTIVE : LK_KEY_RETIRING);
        }
        lk_keyring_free(new);
    }
    lk_keyring_free(old);
    key_dir_remove(dir);
}

/* Ten in one second, and with the clock set back: the last one made is always the one that signs. */
static void last_rotation_wins_whatever_the_clock_says(void **state)
{
    char dir[DIR_SIZE], kid[LK_KID_MAX + 1];

    (void)state;
    copy_keys(dir, "");
    for (int i = 0; i < 10; i++) {
        lk_keyring *ring;

        if (i == 5)
            test_clock_set_ms(1000000000000);
        assert_int_equal(key_make(dir, LK_ALG_EDDSA, true, kid, NULL), LK_OK);
        ring = must_open(dir, false);
        assert_string_equal(kid_of(ring, LK_ALG_EDDSA), kid);
        lk_keyring_free(ring);
    }
    test_clock_set_ms(1800000000000);
    key_dir_remove(dir);
}

static void new_key_that_is_not_activated_checks_but_does_not_sign(void **state)
{
    char dir[DIR_SIZE], kid[LK_KID_MAX + 1], before[LK_KID_MAX + 1];
    lk_keyring *ring;

    (void)state;
    copy_keys(dir, "");
    ring = must_open(dir, false);
    memcpy(before, kid_of(ring, LK_ALG_ES256), sizeof(before));
    lk_keyring_free(ring);
    assert_int_equal(key_make(dir, LK_ALG_ES256, false, kid, NULL), LK_OK);
    assert_int_equal(strncmp(kid, "es256-", 6), 0);
    assert_int_equal(strlen(kid), 14);
    ring = must_open(dir, false);
    assert_string_equal(kid_of(ring, LK_ALG_ES256), before);
    assert_non_null(lk_keyring_verifier(ring, lk_view_of(kid)));
    lk_keyring_free(ring);
    key_dir_remove(dir);
}

static void ring_that_is_open_does_not_see_a_rotation(void **state)
{
    char dir[DIR_SIZE], kid[LK_KID_MAX + 1];
    lk_keyring *ring;

    (void)state;
    copy_keys(dir, "");
    ring = must_open(dir, false);
    assert_int_equal(key_make(dir, LK_ALG_HS256, true, kid, NULL), LK_OK);
    assert_string_not_equal(kid_of(ring, LK_ALG_HS256), kid);
    assert_null(lk_keyring_verifier(ring, lk_view_of(kid)));
    lk_keyring_free(ring);
    key_dir_remove(dir);
}

static void key_is_not_made_in_a_directory_that_is_not_there_or_not_safe(void **state)
{
    char dir[DIR_SIZE], kid[LK_KID_MAX + 1];

    (void)state;
    copy_keys(dir, "");
    assert_int_equal(chmod(dir, 0755), 0);
    assert_int_equal(key_make(dir, LK_ALG_HS256, true, kid, NULL), LK_REFUSED);
    assert_int_equal(chmod(dir, 0700), 0);
    key_dir_remove(dir);
    assert_int_equal(key_make(dir, LK_ALG_HS256, true, kid, NULL), LK_MISS);
    assert_string_equal(kid, "");
}

/* --- Several processes -----------------------------------------------------------------------------------
 */

#define PROCESSES 8

/* In a child: open DIR, which may be empty, and tell the kids through FD. */
static void open_and_tell(const char *dir, int fd)
{
    lk_keyring *ring = NULL;
    char *json = NULL;

    if (lk_keyring_open(test_env(), dir, true, &ring, NULL) != LK_OK || lk_keyring_jwks(ring, &json) != LK_OK)
        _exit(1);
    dprintf(fd, "%s %s", kid_of(ring, LK_ALG_HS256), json);
    _exit(0);
}

static void processes_that_start_at_once_agree_on_one_set_of_keys(void **state)
{
    char dir[DIR_SIZE], first[4096] = "";
    int pipes[PROCESSES][2];
    pid_t pids[PROCESSES];

    (void)state;
    key_dir_make(dir);
    for (int i = 0; i < PROCESSES; i++) {
        assert_int_equal(pipe(pipes[i]), 0);
        pids[i] = fork();
        assert_true(pids[i] >= 0);
        if (pids[i] == 0)
            open_and_tell(dir, pipes[i][1]);
        (void)close(pipes[i][1]);
    }
    for (int i = 0; i < PROCESSES; i++) {
        char told[4096];
        ssize_t n;
        int how;

        assert_int_equal(waitpid(pids[i], &how, 0), pids[i]);
        assert_true(WIFEXITED(how) && WEXITSTATUS(how) == 0);
        n = read(pipes[i][0], told, sizeof(told) - 1);
        (void)close(pipes[i][0]);
        assert_true(n > 0);
        told[n] = '\0';
        if (i == 0)
            memcpy(first, told, sizeof(first));
        assert_string_equal(told, first);
    }
    assert_int_equal(count_files(dir, ".jwk"), FIRST_ALGS + 1);
    key_dir_remove(dir);
}

/* Readers among rotations: each sees a whole ring with a signer of every algorithm. */
static void reader_never_sees_a_ring_without_an_active_key(void **state)
{
    char dir[DIR_SIZE], kid[LK_KID_MAX + 1];
    pid_t writer;
    int how;

    (void)state;
    copy_keys(dir, "");
    writer = fork();
    assert_true(writer >= 0);
    if (writer == 0) {
        for (int i = 0; i < 40; i++) {
            if (key_make(dir, i % 2 == 0 ? LK_ALG_EDDSA : LK_ALG_HS256, true, kid, NULL) != LK_OK)
                _exit(1);
        }
        _exit(0);
    }
    while (waitpid(writer, &how, WNOHANG) == 0) {
        lk_keyring *ring = must_open(dir, false);

        for (lk_alg a = 0; a < FIRST_ALGS; a++)
            assert_non_null(lk_keyring_signer(ring, a));
        lk_keyring_free(ring);
    }
    assert_true(WIFEXITED(how) && WEXITSTATUS(how) == 0);
    key_dir_remove(dir);
}

/* --- Crashes ---------------------------------------------------------------------------------------------
 */

/* Run WORK on DIR in a process that ends in front of its N-th step. True when it got to its end. */
static bool run_until(int n, void (*work)(const char *dir), const char *dir)
{
    pid_t pid = fork();
    int how;

    assert_true(pid >= 0);
    if (pid == 0) {
        steps_until_crash = n;
        work(dir);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &how, 0), pid);
    assert_true(WIFEXITED(how) && (WEXITSTATUS(how) == 0 || WEXITSTATUS(how) == CRASHED));
    return WEXITSTATUS(how) == 0;
}

static void rotate_twice(const char *dir)
{
    char kid[LK_KID_MAX + 1];

    if (key_make(dir, LK_ALG_EDDSA, true, kid, NULL) != LK_OK ||
        key_make(dir, LK_ALG_EDDSA, true, kid, NULL) != LK_OK)
        _exit(1);
}

/* However many files say "active": one key of ALG is, it is the newest of them, and no two are of one age. */
static void assert_one_active(const lk_keyring *ring, lk_alg alg)
{
    int64_t before_s = -1, active_s = -1;
    lk_key_info info;
    int active = 0;

    for (size_t i = 0; lk_keyring_info(ring, i, &info) == LK_OK; i++) {
        if (info.is_root || info.alg != alg)
            continue;
        assert_true(info.created_s > before_s);
        before_s = info.created_s;
        if (info.state != LK_KEY_ACTIVE)
            continue;
        active++;
        active_s = info.created_s;
        assert_string_equal(info.kid, kid_of(ring, alg));
    }
    assert_int_equal(active, 1);
    assert_int_equal(active_s, before_s);
}

static void crash_at_any_step_of_a_rotation_leaves_a_signer_and_every_old_key(void **state)
{
    bool finished = false;
    int crashes = 0;

    (void)state;
    for (int n = 1; !finished; n++) {
        char dir[DIR_SIZE], kid[LK_KID_MAX + 1];
        uint8_t memory[LK_SIGNATURE_MAX];
        lk_buf signature = lk_buf_over(memory, sizeof(memory));
        lk_keyring *before, *after;

        copy_keys(dir, "");
        before = must_open(dir, false);
        assert_int_equal(lk_sign(lk_keyring_signer(before, LK_ALG_EDDSA), LK_VIEW("m"), &signature), LK_OK);
        finished = run_until(n, rotate_twice, dir);
        crashes += !finished;
        after = must_open(dir, false);
        assert_one_active(after, LK_ALG_EDDSA);
        assert_int_equal(
            lk_verify(lk_keyring_verifier(after, lk_signer_kid(lk_keyring_signer(before, LK_ALG_EDDSA))),
                      LK_VIEW("m"), lk_buf_view(&signature)),
            LK_OK);
        lk_keyring_free(before);
        lk_keyring_free(after);
        /* And the next rotation goes through, with one active key on disk. */
        assert_int_equal(key_make(dir, LK_ALG_EDDSA, true, kid, NULL), LK_OK);
        after = must_open(dir, false);
        assert_string_equal(kid_of(after, LK_ALG_EDDSA), kid);
        assert_int_equal(count_files(dir, ".tmp-"), 0);
        lk_keyring_free(after);
        key_dir_remove(dir);
    }
    assert_true(crashes >= 12); /* two rotations of two files, with four steps for each file */
}

static void first_start(const char *dir)
{
    lk_keyring *ring = NULL;

    if (lk_keyring_open(test_env(), dir, true, &ring, NULL) != LK_OK)
        _exit(1);
}

/* Only what belongs to the small keys is taken out, so that no RSA key has to be made in each round. */
static void crash_at_any_step_of_a_first_start_is_made_good_by_the_next(void **state)
{
    bool finished = false;
    int crashes = 0;

    (void)state;
    for (int n = 1; !finished; n++) {
        char dir[DIR_SIZE], root[384] = "";
        lk_keyring *ring;

        copy_keys(dir, n % 8 == 0 ? "none" : "r"); /* mostly: root and rs256 are there, the others are made */
        finished = run_until(n, first_start, dir);
        crashes += !finished;
        if (count_files(dir, "root-") > 0)
            path_of(dir, "root-", root);
        ring = must_open(dir, true);
        for (lk_alg a = 0; a < FIRST_ALGS; a++)
            assert_non_null(lk_keyring_signer(ring, a));
        assert_int_equal(count_files(dir, ".jwk"), FIRST_ALGS + 1);
        assert_int_equal(count_files(dir, ".tmp-"), 0);
        if (root[0] != '\0')
            assert_int_equal(access(root, R_OK), 0); /* a root that was there is the root */
        lk_keyring_free(ring);
        key_dir_remove(dir);
    }
    assert_true(crashes >= 12);
}

static void lock_held_by_a_stopped_process_does_not_hang_a_reader_for_ever(void **state)
{
    char dir[DIR_SIZE], path[DIR_SIZE + 8];
    lk_keyring *ring;
    lk_note note;
    int fd;

    (void)state;
    copy_keys(dir, "root");
    (void)snprintf(path, sizeof(path), "%s/.lock", dir);
    fd = open(path, O_RDWR | O_CREAT, 0600);
    assert_int_equal(flock(fd, LOCK_EX), 0);
    sleeps_are_skipped = true;
    assert_int_equal(open_dir(dir, false, &ring, &note), LK_FAULT);
    sleeps_are_skipped = false;
    assert_non_null(strstr(note.text, "another process"));
    (void)close(fd);
    lk_keyring_free(must_open(dir, false));
    key_dir_remove(dir);
}

/* --- Faults ----------------------------------------------------------------------------------------------
 */

static void failed_allocation_while_opening_is_a_fault_and_leaks_nothing(void **state)
{
    int before = test_alloc_live();
    bool failed = true;

    (void)state;
    for (int n = 1; failed; n++) {
        lk_keyring *ring;
        lk_status status;
        lk_note note;

        test_alloc_fail_at(n);
        status = open_dir(full_dir, true, &ring, &note);
        failed = test_alloc_failed();
        test_alloc_fail_at(0);
        assert_int_equal(status, failed ? LK_FAULT : LK_OK);
        lk_keyring_free(ring);
        assert_int_equal(test_alloc_live(), before);
    }
}

static void missing_randomness_is_a_fault_and_makes_no_key(void **state)
{
    char dir[DIR_SIZE], kid[LK_KID_MAX + 1];
    size_t before;

    (void)state;
    copy_keys(dir, "");
    before = count_files(dir, ".jwk");
    for (int n = 1; n <= 3; n++) {
        lk_note note = {0};

        test_random_fail_at(n);
        assert_int_equal(key_make(dir, LK_ALG_HS256, true, kid, &note), LK_FAULT);
        test_random_fail_at(0);
        assert_true(note.text[0] != '\0');
        assert_int_equal(count_files(dir, ".jwk"), before);
    }
    key_dir_remove(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_start_makes_a_root_and_a_key_of_every_algorithm_for_us_alone),
        cmocka_unit_test(directory_that_does_not_exist_is_made_only_when_asked),
        cmocka_unit_test(opening_again_finds_the_same_keys),
        cmocka_unit_test(published_keys_have_no_secret_in_them),
        cmocka_unit_test(key_file_that_others_can_read_is_refused_with_the_cure),
        cmocka_unit_test(key_directory_that_others_can_look_into_is_refused_with_the_cure),
        cmocka_unit_test(file_or_directory_of_another_user_is_refused),
        cmocka_unit_test(link_fifo_and_folder_in_place_of_a_key_are_refused),
        cmocka_unit_test(broken_key_file_is_refused_with_its_name_and_the_rule),
        cmocka_unit_test(halves_of_two_keys_are_refused),
        cmocka_unit_test(files_that_are_no_keys_are_passed_over),
        cmocka_unit_test(half_written_file_of_a_crash_is_passed_over_and_swept_by_the_next_writer),
        cmocka_unit_test(keys_without_their_root_are_refused_and_no_new_root_is_made),
        cmocka_unit_test(too_many_key_files_are_refused_with_the_bound),
        cmocka_unit_test(rotation_makes_a_new_signer_and_the_old_key_goes_on_checking),
        cmocka_unit_test(last_rotation_wins_whatever_the_clock_says),
        cmocka_unit_test(new_key_that_is_not_activated_checks_but_does_not_sign),
        cmocka_unit_test(ring_that_is_open_does_not_see_a_rotation),
        cmocka_unit_test(key_is_not_made_in_a_directory_that_is_not_there_or_not_safe),
        cmocka_unit_test(processes_that_start_at_once_agree_on_one_set_of_keys),
        cmocka_unit_test(reader_never_sees_a_ring_without_an_active_key),
        cmocka_unit_test(crash_at_any_step_of_a_rotation_leaves_a_signer_and_every_old_key),
        cmocka_unit_test(crash_at_any_step_of_a_first_start_is_made_good_by_the_next),
        cmocka_unit_test(lock_held_by_a_stopped_process_does_not_hang_a_reader_for_ever),
        cmocka_unit_test(failed_allocation_while_opening_is_a_fault_and_leaks_nothing),
        cmocka_unit_test(missing_randomness_is_a_fault_and_makes_no_key),
    };

    return cmocka_run_group_tests(tests, make_full_dir, remove_full_dir);
}
