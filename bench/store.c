/* SPDX-License-Identifier: Apache-2.0
 *
 * store.c - what a session costs in each store: bytes, the time to make it, the time to look it up.
 *
 *   store [--json] [--sessions N]
 *
 * Records of 300 bytes in all. They are made by THREADS threads at once, as logins are; looked up by one,
 * head only, as the check of a request does, in random order. The time of a look-up is the median of SLICES
 * slices.
 */
#include "shm/table.h"
#include <fcntl.h>
#include <latchkey/store.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

enum { RECORD_LEN = 300, FEW = 10000, MANY = 1000000, THREADS = 32, SLICES = 201, SLICE = 1000 };

typedef struct result {
    const char *store;
    unsigned sessions;
    double bytes;   /* of the store's own count, per session */
    double file;    /* of the file on disk, per session; 0 when there is none */
    double durable; /* sessions made in a second on disk, FEW of them; 0 for a store that is not durable */
    double load_s;  /* to make all of them */
    double few_ns;  /* a look-up among FEW */
    double many_ns; /* among all */
} result;

static char dir[64]; /* of the store that is measured, or empty */

static void must(bool ok, const char *what)
{
    if (!ok) {
        (void)fprintf(stderr, "store: %s failed\n", what);
        exit(1);
    }
}

static double now_ns(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* The keys of real sessions are keyed hashes: any spread will do. */
static lk_session_key key_of(unsigned n)
{
    uint64_t x = (n + 1) * UINT64_C(0x9e3779b97f4a7c15), y;
    lk_session_key key;

    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    y = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    memcpy(key.bytes, &y, 8);
    memcpy(key.bytes + 8, &n, 4);
    return key;
}

/* Session N, one of three of its user. *USER has room for the id; the agent fills the record up to its
 * length. */
static lk_session session_of(unsigned n, char user[16], char agent[LK_AGENT_MAX], int64_t now_s)
{
    static const uint8_t fields[] = "\x04\x1b\x00"
                                    "cart"
                                    "[[\"apple\",3],[\"lantern\",1]]"
                                    "\x05\x06\x00"
                                    "theme"
                                    "\"dark\"";
    uint8_t record[LK_RECORD_MAX];
    lk_buf out = lk_buf_over(record, sizeof(record));
    lk_session s = {.key = key_of(n), .generation = 2, .revision = 1};

    s.created_s = s.issued_s = s.auth_s = s.seen_s = now_s;
    s.idle_s = 1800;
    s.expires_s = now_s + 43200;
    s.previous = key_of(~n);
    s.user = lk_view_make(user, (size_t)snprintf(user, 16, "user-%u", n / 3));
    s.name = LK_VIEW("Ada Lovelace");
    s.realm = LK_VIEW("shop");
    s.roles = LK_VIEW("customer");
    s.address = LK_VIEW("203.0.113.194");
    s.fields = lk_view_make(fields, sizeof(fields) - 1);
    must(lk_record_write(&s, &out) == LK_OK && out.len >= RECORD_LEN - LK_AGENT_MAX, "record");
    memset(agent, 'a', LK_AGENT_MAX);
    s.agent = lk_view_make(agent, RECORD_LEN - out.len);
    return s;
}

typedef struct loading {
    lk_store *store;
    unsigned from, to, step;
} loading;

static void *load(void *context)
{
    const loading *l = context;
    int64_t now_s = lk_now_s(lk_env_system());

    for (unsigned n = l->from; n < l->to; n += l->step) {
        char user[16], agent[LK_AGENT_MAX];
        lk_session s = session_of(n, user, agent, now_s);

        must(lk_store_create(l->store, &s, (lk_limit){0}, NULL) == LK_OK, "create");
    }
    return NULL;
}

/* Make the sessions FROM to TO; gives the seconds it took. */
static double load_all(lk_store *store, unsigned from, unsigned to)
{
    pthread_t threads[THREADS];
    loading parts[THREADS];
    double start = now_ns();

    for (unsigned i = 0; i < THREADS; i++) {
        parts[i] = (loading){.store = store, .from = from + i, .to = to, .step = THREADS};
        must(pthread_create(&threads[i], NULL, load, &parts[i]) == 0, "thread");
    }
    for (unsigned i = 0; i < THREADS; i++)
        must(pthread_join(threads[i], NULL) == 0, "thread");
    return (now_ns() - start) / 1e9;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double look_up_ns(lk_store *store, unsigned n)
{
    static double slices[SLICES];
    uint8_t head[LK_HEAD_MAX];
    uint64_t x = 88172645463325252u;

    for (unsigned s = 0; s < SLICES; s++) {
        double start = now_ns();

        for (unsigned i = 0; i < SLICE; i++) {
            lk_load look = {.head_only = true, .buf = head, .cap = sizeof(head)};

            x ^= x << 13;
            x ^= x >> 7;
            x ^= x << 17;
            look.key = key_of((unsigned)(x % n));
            must(lk_store_load_many(store, &look, 1) == LK_OK && look.status == LK_OK, "look-up");
        }
        slices[s] = (now_ns() - start) / SLICE;
    }
    qsort(slices, SLICES, sizeof(slices[0]), by_value);
    return slices[SLICES / 2];
}

static double file_len(void)
{
    char path[96];
    struct stat found;

    (void)snprintf(path, sizeof(path), "%s/data.mdb", dir);
    return stat(path, &found) == 0 ? (double)found.st_size : 0;
}

static result measure(const char *url, lk_table *table, unsigned sessions)
{
    unsigned few = sessions < FEW ? sessions : FEW;
    lk_store *store;
    lk_store_count count;
    lk_note note;
    result r = {.sessions = sessions};

    must(lk_store_open(lk_env_system(), url, table, &store, &note) == LK_OK, url);
    r.store = lk_store_name(store);
    r.load_s = load_all(store, 0, few);
    r.few_ns = look_up_ns(store, few);
    r.load_s += load_all(store, few, sessions);
    r.many_ns = look_up_ns(store, sessions);
    must(lk_store_counts(store, &count) == LK_OK && count.sessions == sessions && count.evicted == 0,
         "count");
    r.bytes = (double)count.bytes / sessions;
    lk_store_close(store);
    r.file = file_len() / sessions;
    return r;
}

static void clean_up(void)
{
    static const char *const files[] = {"data.mdb", "lock.mdb"};
    int d = dir[0] != '\0' ? open(dir, O_RDONLY | O_DIRECTORY) : -1;

    for (size_t i = 0; d >= 0 && i < 2; i++)
        (void)unlinkat(d, files[i], 0);
    if (d >= 0)
        (void)close(d);
    if (d >= 0)
        (void)rmdir(dir);
    dir[0] = '\0';
}

static void make_dir(const char *where, char url[80])
{
    (void)snprintf(dir, sizeof(dir), "%s/latchkey-bench-store-XXXXXX", where);
    must(mkdtemp(dir) != NULL, "temporary directory");
    (void)snprintf(url, 80, "lmdb:%s", dir);
}

/* Sizes and look-ups are the same wherever the file is: in memory if there is room, so that making it takes
 * no minutes. How fast sessions are made durable is measured apart, with a few of them, on disk. */
static result measure_lmdb(unsigned sessions)
{
    struct statvfs room;
    bool in_memory =
        statvfs("/dev/shm", &room) == 0 && (double)room.f_bavail * (double)room.f_bsize > 1200.0 * sessions;
    double durable;
    lk_store *store;
    char url[80];
    result r;

    make_dir("/var/tmp", url);
    must(lk_store_open(lk_env_system(), url, NULL, &store, NULL) == LK_OK, url);
    durable = FEW / load_all(store, 0, FEW);
    lk_store_close(store);
    clean_up();

    make_dir(in_memory ? "/dev/shm" : "/var/tmp", url);
    r = measure(url, NULL, sessions);
    clean_up();
    r.durable = durable;
    return r;
}

static void print_row(const result *r, bool json, bool first)
{
    if (json) {
        printf("%s{\"store\":\"%s\",\"sessions\":%u,\"record\":%d,", first ? "[" : ",", r->store, r->sessions,
               RECORD_LEN);
        printf("\"bytes\":%.1f,\"file_bytes\":%.1f,\"load_s\":%.2f,", r->bytes, r->file, r->load_s);
        printf("\"durable_per_s\":%.0f,\"lookup_few_ns\":%.0f,\"lookup_ns\":%.0f}", r->durable, r->few_ns,
               r->many_ns);
        return;
    }
    printf("%-7s %8u sessions of %d bytes: %6.1f bytes each", r->store, r->sessions, RECORD_LEN, r->bytes);
    if (r->file > 0)
        printf(" (%.1f of the file)", r->file);
    printf(", made in %.1f s by %d at once, look-up %.0f ns among %d, %.0f ns among all\n", r->load_s,
           THREADS, r->few_ns, FEW, r->many_ns);
    if (r->durable > 0)
        printf("%-7s %8.0f sessions a second made durable on disk, by %d at once\n", r->store, r->durable,
               THREADS);
}

int main(int argc, char **argv)
{
    unsigned sessions = MANY;
    bool json = false, joined;
    lk_table *table;
    result r;

    for (int i = 1; i < argc; i++) {
        json = json || strcmp(argv[i], "--json") == 0;
        if (strcmp(argv[i], "--sessions") == 0 && i + 1 < argc)
            sessions = (unsigned)strtoul(argv[++i], NULL, 10);
    }
    must(sessions > 0 && sessions <= 100 * MANY, "--sessions");
    (void)atexit(clean_up);
    must(lk_table_open(lk_env_system(), NULL, (size_t)sessions * 640 + (16u << 20), &table, &joined, NULL) ==
             LK_OK,
         "table");
    r = measure("memory:", table, sessions);
    print_row(&r, json, true);
    lk_table_close(table);
    r = measure_lmdb(sessions);
    print_row(&r, json, false);
    if (json)
        printf("]\n");
    return 0;
}
