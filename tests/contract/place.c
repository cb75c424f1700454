/* SPDX-License-Identifier: Apache-2.0
 *
 * place.c - the store that a test gets: empty, in a directory of its own or on the server of the URL.
 */
#include "contract.h"
#include "place_moving.h"
#include "raw.h"
#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

#define TABLE_LEN (64u << 20)

/* Every store of the registry in src/store/store.c (the words of its name joined by _), and what it is like.
 */
static const struct place {
    const char *name;
    const char *scheme;
    enum { NOWHERE, DIRECTORY, FILE_IN_DIRECTORY, SERVER, MOVING } kind;
    const raw_store *raw;
} places[] = {
    {"memory", "memory:", NOWHERE, &raw_memory},
    {"lmdb", "lmdb:", DIRECTORY, &raw_lmdb},
    {"sqlite", "sqlite:", FILE_IN_DIRECTORY, &raw_sql},
    {"postgres", "postgres:", SERVER, &raw_sql},
    {"mariadb", "mariadb:", SERVER, &raw_sql},
    {"redis", "redis:", SERVER, &raw_redis},
    {"redis_sentinel", "redis+sentinel:", SERVER, &raw_redis},
    {"redis_cluster", "redis+cluster:", SERVER, &raw_redis},
    {"moving", "moving:", MOVING, NULL},
};

lk_store *store;
bool is_memory, is_lmdb, is_sqlite, is_redis, is_cluster, is_server, is_remote, is_moving;

static const struct place *place;
static const char *pattern; /* the URL of the command line: its directory, empty, is filled in */
static char dir[64], url[1024];
static lk_table *table;

bool choose_store(const char *chosen)
{
    for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
        if (strncmp(chosen, places[i].scheme, strlen(places[i].scheme)) == 0)
            place = &places[i];
    }
    if (place == NULL || strlen(chosen) + sizeof(dir) + 64 > sizeof(url))
        return false;
    pattern = chosen;
    is_memory = strcmp(place->name, "memory") == 0;
    is_lmdb = strcmp(place->name, "lmdb") == 0;
    is_sqlite = strcmp(place->name, "sqlite") == 0;
    is_redis = strncmp(place->name, "redis", 5) == 0;
    is_cluster = strcmp(place->name, "redis_cluster") == 0;
    is_server = place->kind == SERVER;
    is_moving = place->kind == MOVING;
    is_remote = !is_memory && !is_lmdb;
    if (is_moving) /* one of the two is enough */
        is_remote = strstr(chosen, "sqlite") != NULL || strstr(chosen, "://") != NULL;
    return true;
}

const char *store_url(void)
{
    return url;
}

const char *store_scheme(void)
{
    return place->scheme;
}

const char *store_dir(void)
{
    return dir;
}

lk_table *store_table(void)
{
    return table;
}

const raw_store *store_raw(void)
{
    return place->raw;
}

static void make_dir(void)
{
    dir[0] = '\0';
    if (place->kind != DIRECTORY && place->kind != FILE_IN_DIRECTORY && place->kind != MOVING)
        return;
    /* In memory where there is such a place: what is tested is not the speed of a disk. */
    snprintf(dir, sizeof(dir), "%s/latchkey-contract-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    assert_non_null(mkdtemp(dir));
}

/* scheme:REST?options -> scheme:REST?options&MORE, with the directory where REST is empty */
static void fill_in(const char *more)
{
    const char *rest = strchr(pattern, ':') + 1;
    int scheme_len = (int)(rest - pattern);

    make_dir();
    if (is_moving) {
        snprintf(url, sizeof(url), "%s", pattern);
        assert_true(moving_choose(pattern, dir));
        return;
    }
    snprintf(url, sizeof(url), "%.*s%s%s%s", scheme_len, pattern, dir,
             place->kind == FILE_IN_DIRECTORY ? "/sessions.db" : "", rest);
    if (more[0] != '\0') {
        strcat(url, strchr(url, '?') != NULL ? "&" : "?");
        strcat(url, more);
    }
}

static bool make_empty(void);

/* The servers among the two stores of a move. */
static bool make_both_empty(void)
{
    const struct place *moving = place;
    char kept[sizeof(url)];
    bool is_done = true;

    snprintf(kept, sizeof(kept), "%s", url);
    for (unsigned i = 0; i < 2 && is_done; i++) {
        if (strstr(moving_url(i), "://") == NULL)
            continue;
        for (size_t k = 0; k < sizeof(places) / sizeof(places[0]); k++) {
            if (strncmp(moving_url(i), places[k].scheme, strlen(places[k].scheme)) == 0)
                place = &places[k];
        }
        snprintf(url, sizeof(url), "%s", moving_url(i));
        is_done = make_empty();
    }
    place = moving;
    snprintf(url, sizeof(url), "%s", kept);
    return is_done;
}

/* Whatever the test before has left there, also when it failed. */
static bool make_empty(void)
{
    lk_note note = {.text = ""};
    char shown[256];

    (void)!lk_store_setup(test_env(), url, false, NULL); /* without tables there is nothing to wipe */
    if (place->raw->wipe() && lk_store_setup(test_env(), url, false, &note) == LK_OK)
        return true;
    lk_store_url_show(url, shown, sizeof(shown));
    fprintf(stderr, "%s: cannot be set up: %s\n", shown, note.text);
    return false;
}

static int open_with(size_t table_len, bool is_small)
{
    lk_note note = {.text = ""};
    bool joined;

    test_clock_set_ms(NOW_S * 1000);
    /* The machine of the tests is busy and its programs are slow: deadlines have tests of their own. */
    fill_in(is_lmdb && is_small ? "map=1m" : is_server ? "deadline=10s" : "");
    if (lk_table_open(test_env(), NULL, table_len, &table, &joined, &note) != LK_OK) {
        fprintf(stderr, "%s\n", note.text);
        return -1;
    }
    if (is_moving && !make_both_empty())
        return -1;
    if (is_server && (!make_empty() || (is_small && !place->raw->make_small())))
        return -1;
    store = open_again();
    return store != NULL ? 0 : -1;
}

int open_store(void **state)
{
    (void)state;
    return open_with(TABLE_LEN, false);
}

int open_small_store(void **state)
{
    (void)state;
    return open_with(LK_TABLE_SIZE_MIN, true);
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
    char shown[256];

    if ((is_moving ? moving_open(table, &other, &note)
                   : lk_store_open(test_env(), url, table, &other, &note)) != LK_OK) {
        lk_store_url_show(url, shown, sizeof(shown));
        fprintf(stderr, "%s: %s\n", shown, note.text);
    }
    return other;
}
