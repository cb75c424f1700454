/* SPDX-License-Identifier: Apache-2.0
 *
 * main.c - the groups, and the store that the tests of a group get.
 */
#include "contract.h"
#include <dirent.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#define TABLE_LEN (64u << 20)

lk_store *store;
bool is_memory;

static const char *pattern; /* the URL of the command line: its directory, empty, is filled in */
static char dir[64], url[256];
static lk_table *table;

static const struct group {
    const char *name;
    int (*run)(void);
} groups[] = {
    {"life", run_life},   {"replace", run_replace}, {"fields", run_fields}, {"limits", run_limits},
    {"lists", run_lists}, {"sweep", run_sweep},     {"events", run_events}, {"urls", run_urls},
    {"room", run_room},   {"damage", run_damage},   {"races", run_races},   {"kills", run_kills},
    {"model", run_model},
};

const char *store_url(void)
{
    return url;
}

const char *store_dir(void)
{
    return dir;
}

lk_table *store_table(void)
{
    return table;
}

/* scheme:?options -> scheme:DIR?options */
static void fill_in(const char *more)
{
    const char *rest = strchr(pattern, ':') + 1;
    int scheme_len = (int)(rest - pattern);

    dir[0] = '\0';
    if (!is_memory) {
        /* In memory where there is such a place: what is tested is not the speed of a disk. */
        snprintf(dir, sizeof(dir), "%s/latchkey-contract-XXXXXX",
                 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
        assert_non_null(mkdtemp(dir));
    }
    snprintf(url, sizeof(url), "%.*s%s%s%s%s", scheme_len, pattern, dir, rest, more[0] && rest[0] ? "&" : "",
             more[0] && !rest[0] ? "?" : "");
    strncat(url, more, sizeof(url) - strlen(url) - 1);
}

static int open_with(size_t table_len, const char *more)
{
    lk_note note = {.text = ""};
    bool joined;

    test_clock_set_ms(NOW_S * 1000);
    fill_in(is_memory ? "" : more);
    if (lk_table_open(test_env(), NULL, table_len, &table, &joined, &note) != LK_OK) {
        fprintf(stderr, "%s\n", note.text);
        return -1;
    }
    if (lk_store_open(test_env(), url, table, &store, &note) != LK_OK) {
        fprintf(stderr, "%s: %s\n", url, note.text);
        return -1;
    }
    return 0;
}

int open_store(void **state)
{
    (void)state;
    return open_with(TABLE_LEN, "");
}

int open_small_store(void **state)
{
    (void)state;
    return open_with(LK_TABLE_SIZE_MIN, "map=1m");
}

static void remove_dir(void)
{
    DIR *d = dir[0] ? opendir(dir) : NULL;
    struct dirent *entry;

    if (d == NULL)
        return;
    while ((entry = readdir(d)) != NULL)
        (void)unlinkat(dirfd(d), entry->d_name, 0);
    closedir(d);
    rmdir(dir);
}

int close_store(void **state)
{
    (void)state;
    lk_store_close(store);
    lk_table_close(table);
    store = NULL;
    table = NULL;
    remove_dir();
    return 0;
}

lk_store *open_again(void)
{
    lk_store *other = NULL;
    lk_note note = {.text = ""};

    if (lk_store_open(test_env(), url, table, &other, &note) != LK_OK)
        fprintf(stderr, "%s: %s\n", url, note.text);
    return other;
}

void in_children(unsigned n, child_work work, void *context)
{
    pid_t children[64];
    bool all_well = true;

    assert_true(n <= 64);
    for (unsigned i = 0; i < n; i++) {
        children[i] = fork();
        assert_true(children[i] >= 0);
        if (children[i] == 0) {
            lk_store *own = open_again();
            bool is_well = own != NULL && work(own, i, context);

            lk_store_close(own);
            _exit(is_well ? 0 : 1);
        }
    }
    for (unsigned i = 0; i < n; i++) {
        int status = 0;

        assert_int_equal(waitpid(children[i], &status, 0), children[i]);
        all_well = all_well && WIFEXITED(status) && WEXITSTATUS(status) == 0;
    }
    assert_true(all_well);
}

int main(int argc, char **argv)
{
    if (argc != 3 || strchr(argv[1], ':') == NULL) {
        fprintf(stderr, "usage: contract URL GROUP\n");
        return 2;
    }
    pattern = argv[1];
    is_memory = strncmp(pattern, "memory:", 7) == 0;
    for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++) {
        if (strcmp(groups[i].name, argv[2]) == 0)
            return groups[i].run();
    }
    fprintf(stderr, "contract: no group is called %s\n", argv[2]);
    return 2;
}
