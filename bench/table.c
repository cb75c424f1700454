/* SPDX-License-Identifier: Apache-2.0
 *
 * table.c - the table in shared memory: bytes per session, and nanoseconds per look-up as it grows.
 *
 *   bench_table [--json] [--in DIR]
 *
 * Bytes: size of the whole mapping / sessions of 300 bytes, each of its own user, that it holds before the
 * first one is pushed out. The mapping is 380,000,000 bytes. Look-ups: random keys, value copied out, all of
 * them found; the sizes take turns, so that a busy machine is busy for each of them, and each turn begins
 * with some that are not timed; the median of SAMPLES batches. --in DIR makes the tables as files there, for
 * instance on a tmpfs mounted with huge=always.
 */
#include "shm/table.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { TURNS = 41, WARM_UP = 20000, BATCHES = 10, BATCH = 1000, SAMPLES = TURNS * BATCHES };
enum { VALUE_LEN = 300, SIZES = 3 };

#define MEMORY_SESSIONS 1000000u
#define MEMORY_BYTES 380000000u
#define BYTES_EACH 385u

static const uint64_t sizes[SIZES] = {10000, 1000000, 10000000};

typedef struct subject {
    lk_table *t;
    uint64_t entries;
    double ns[SAMPLES];
} subject;

static const char *directory;
static uint64_t random_state = 88172645463325252ull;

static double now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void must(bool ok, const char *what)
{
    if (!ok) {
        (void)fprintf(stderr, "table: %s failed\n", what);
        exit(1);
    }
}

static uint64_t next_random(void)
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static void key_of(uint64_t n, uint8_t key[LK_TABLE_KEY_LEN])
{
    uint64_t words[2] = {n * 0x9e3779b97f4a7c15ull, n};
    memcpy(key, words, sizeof(words));
}

static lk_table *open_table(uint64_t size)
{
    char path[512];
    lk_table *t = NULL;
    lk_note note;
    if (directory != NULL) {
        (void)snprintf(path, sizeof(path), "%s/latchkey-bench-%ld", directory, (long)getpid());
        (void)unlink(path);
    }
    lk_status status = lk_table_open(lk_env_system(), directory != NULL ? path : NULL, size, &t, NULL, &note);
    if (status != LK_OK) {
        (void)fprintf(stderr, "table: %s\n", note.text);
        exit(1);
    }
    if (directory != NULL) {
        (void)unlink(path);
    }
    return t;
}

static void put(lk_table *t, uint64_t n)
{
    static uint8_t value[VALUE_LEN];
    uint8_t key[LK_TABLE_KEY_LEN];
    key_of(n, key);
    memcpy(value, &n, sizeof(n));
    must(lk_table_put(t, LK_ENTRY_SESSION, key, n + 1, INT64_MAX, lk_view_make(value, sizeof(value))) ==
             LK_OK,
         "put");
}

static uint64_t evicted(lk_table *t)
{
    lk_table_stats stats;
    lk_table_stats_read(t, &stats);
    return stats.evicted_live;
}

/* How many sessions fit; and does a million of them? */
static uint64_t capacity(bool *million_fits)
{
    lk_table *t = open_table(MEMORY_BYTES);
    uint64_t n = 0;
    for (; n < MEMORY_SESSIONS; n++) {
        put(t, n);
    }
    *million_fits = evicted(t) == 0 && lk_table_held(t, LK_ENTRY_SESSION) == MEMORY_SESSIONS;
    for (; evicted(t) == 0; n++) {
        put(t, n);
    }
    lk_table_close(t);
    return n - 1;
}

static uint64_t bytes_available(void)
{
    char line[256];
    unsigned long long kib = 0;
    FILE *f = fopen("/proc/meminfo", "r");
    while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
        if (sscanf(line, "MemAvailable: %llu", &kib) == 1) {
            break;
        }
    }
    if (f != NULL) {
        (void)fclose(f);
    }
    return kib * 1024;
}

/* NULL when memory does not allow it. */
static lk_table *fill(uint64_t entries)
{
    uint64_t size = entries * BYTES_EACH + (1u << 20);
    if (bytes_available() < size + size / 4) {
        return NULL;
    }
    lk_table *t = open_table(size);
    for (uint64_t n = 0; n < entries; n++) {
        put(t, n);
    }
    must(lk_table_held(t, LK_ENTRY_SESSION) == entries, "filling");
    return t;
}

/* Nanoseconds per look-up over one batch. */
static double batch(subject *s, uint32_t lookups)
{
    uint8_t key[LK_TABLE_KEY_LEN], buf[512];
    lk_entry e;
    uint32_t found = 0;
    double start = now_ns();
    for (uint32_t i = 0; i < lookups; i++) {
        uint64_t n = (uint64_t)(((unsigned __int128)next_random() * s->entries) >> 64);
        key_of(n, key);
        found += lk_table_get(s->t, LK_ENTRY_SESSION, key, 1, buf, sizeof(buf), &e) == LK_OK;
    }
    double ns = (now_ns() - start) / lookups;
    must(found == lookups, "look-up");
    return ns;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static double median(double *values)
{
    qsort(values, SAMPLES, sizeof(values[0]), by_value);
    return values[SAMPLES / 2];
}

static void take_turn(subject *s, double *ns)
{
    if (s->t == NULL) {
        return;
    }
    (void)batch(s, WARM_UP);
    for (uint32_t i = 0; i < BATCHES; i++) {
        ns[i] = batch(s, BATCH);
    }
}

/* The last subject is one entry of the smallest table, asked for all the time. */
static void measure(subject subjects[SIZES + 1])
{
    for (uint32_t i = 0; i < SIZES; i++) {
        subjects[i] = (subject){.t = fill(sizes[i]), .entries = sizes[i]};
    }
    subjects[SIZES] = (subject){.t = subjects[0].t, .entries = 1};
    for (uint32_t turn = 0; turn < TURNS; turn++) {
        for (uint32_t i = 0; i <= SIZES; i++) {
            take_turn(&subjects[i], subjects[i].ns + turn * BATCHES);
        }
    }
    for (uint32_t i = 0; i < SIZES; i++) {
        if (subjects[i].t != NULL) {
            lk_table_close(subjects[i].t);
        }
    }
}

static void print_text(double bytes, bool million_fits, subject subjects[SIZES + 1])
{
    double first = median(subjects[0].ns), hot = median(subjects[SIZES].ns);
    (void)printf("bytes per session of %d, indexes and all: %.1f; a million in %u bytes: %s\n", VALUE_LEN,
                 bytes, MEMORY_BYTES, million_fits ? "yes" : "no");
    (void)printf("look-up of one entry again and again: %.0f ns\n", hot);
    for (uint32_t i = 0; i < SIZES; i++) {
        if (subjects[i].t == NULL) {
            (void)printf("look-up among %llu: skipped, as there is not enough memory for it\n",
                         (unsigned long long)sizes[i]);
            continue;
        }
        double ns = i == 0 ? first : median(subjects[i].ns);
        (void)printf("look-up among %llu: %.0f ns, %.2f times that among %llu\n",
                     (unsigned long long)sizes[i], ns, ns / first, (unsigned long long)sizes[0]);
    }
}

static void print_json(double bytes, bool million_fits, subject subjects[SIZES + 1])
{
    (void)printf(
        "{\"bytes_per_session\": %.1f, \"million_in_380_bytes_each\": %s, \"hot_ns\": %.1f, \"lookup_ns\": {",
        bytes, million_fits ? "true" : "false", median(subjects[SIZES].ns));
    for (uint32_t i = 0; i < SIZES; i++) {
        (void)printf("%s\"%llu\": ", i > 0 ? ", " : "", (unsigned long long)sizes[i]);
        if (subjects[i].t == NULL) {
            (void)printf("null");
        } else {
            (void)printf("%.1f", median(subjects[i].ns));
        }
    }
    (void)printf("}}\n");
}

int main(int argc, char **argv)
{
    static subject subjects[SIZES + 1];
    bool json = false, million_fits = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--json") == 0) {
            json = true;
        } else if (strcmp(argv[i], "--in") == 0 && i + 1 < argc) {
            directory = argv[++i];
        } else {
            (void)fprintf(stderr, "usage: bench_table [--json] [--in DIR]\n");
            return 2;
        }
    }
    double bytes = (double)MEMORY_BYTES / (double)capacity(&million_fits);
    measure(subjects);
    if (json) {
        print_json(bytes, million_fits, subjects);
    } else {
        print_text(bytes, million_fits, subjects);
    }
    return 0;
}
