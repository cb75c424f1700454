/* SPDX-License-Identifier: Apache-2.0
 *
 * many.c - a store with very many sessions: bytes of each, the list of one user, the pauses that sweeping
 * makes.
 *
 *   many URL [SESSIONS [hold]]
 *
 * FEW of the SESSIONS are made as logins are, by THREADS threads, the rest in bulk (bulk.h); three to a user,
 * and one user has TWENTY. Sweeping is called as a gateway does, SWEEP_ROWS rows or SWEEP_MS at a time, with
 * a clock so far ahead that everything is over: the most there can be to do. Meanwhile a thread looks
 * sessions up one by one; so it does before, for comparison. Prints JSON. With `hold` it prints a line when
 * all are made and goes on when it is given one, so that somebody can look how large the store is: what the
 * store itself counts is the server's estimate (JSON: counted).
 */
#include "bulk.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    SESSIONS = 1000000,
    FEW = 20000,
    THREADS = 8,
    TWENTY = 20,
    SPREAD = 1024, /* every 1024th is of that user, until there are twenty */
    LISTS = 201,
    SWEEP_ROWS = 2000,
    SWEEP_MS = 20,
    WATCH_S = 5, /* looking up alone, and while sweeping */
    LOOKS_MAX = 4000000,
    AHEAD_S = 4 * 86400
};

static lk_store *store;
static unsigned wanted;
static atomic_uint next_one;
static atomic_bool stopping;

/* ---- making them ---- */

static unsigned spread(void)
{
    return wanted < SPREAD * TWENTY ? wanted / TWENTY : SPREAD;
}

static void make_one(made_session *made, unsigned n, int64_t now_s)
{
    char user[USER_ROOM];

    (void)snprintf(user, sizeof(user), "user-%u", n / 3);
    if (n % spread() == 0 && n / spread() < TWENTY)
        (void)snprintf(user, sizeof(user), "twenty");
    make_session(made, n, user, now_s);
}

static unsigned few(void)
{
    return wanted < FEW ? wanted : FEW;
}

static void *log_in(void *context)
{
    int64_t now_s = lk_now_s(lk_env_system());
    unsigned n;

    (void)context;
    while ((n = atomic_fetch_add(&next_one, 1)) < few()) {
        made_session made;

        make_one(&made, n, now_s);
        must_ok(lk_store_create(store, &made.s, (lk_limit){0}, NULL), "create", NULL);
    }
    return NULL;
}

/* Gives how many were made in a second. */
static double log_few_in(void)
{
    double start = now_ns();
    pthread_t threads[THREADS];

    for (unsigned i = 0; i < THREADS; i++)
        must(pthread_create(&threads[i], NULL, log_in, NULL) == 0, "a thread");
    for (unsigned i = 0; i < THREADS; i++)
        must(pthread_join(threads[i], NULL) == 0, "a thread");
    return few() / ((now_ns() - start) / 1e9);
}

static double bytes_each(void)
{
    lk_store_count count;

    must_ok(lk_store_counts(store, &count), "the count", NULL);
    return (double)count.bytes / wanted;
}

/* ---- the list of one user ---- */

static bool count_one(void *context, const lk_session *s)
{
    unsigned *n = context;

    (void)s;
    (*n)++;
    return true;
}

static unsigned count_of(const char *user)
{
    uint64_t cursor = 0;
    unsigned n = 0;

    do
        must_ok(lk_store_list_by_user(store, LK_VIEW("shop"), lk_view_of(user), &cursor, 100, count_one, &n),
                "the list", NULL);
    while (cursor != 0);
    return n;
}

static double list_us(void)
{
    double took[LISTS];
    char last[USER_ROOM];

    for (unsigned i = 0; i < LISTS; i++) {
        double start = now_ns();
        unsigned n = count_of("twenty");

        took[i] = (now_ns() - start) / 1e3;
        must(n == TWENTY, "twenty sessions in the list");
    }
    (void)snprintf(last, sizeof(last), "user-%u", (wanted - 1) / 3);
    must(count_of(last) == (wanted - 1) % 3 + 1, "the list of one whose sessions were written in bulk");
    return part_of(took, LISTS, 0.5);
}

/* ---- looking up, and sweeping meanwhile ---- */

typedef struct looks {
    double p50_us, p99_us, worst_ms;
} looks;

static void *look_up(void *context)
{
    static double took[LOOKS_MAX];
    uint8_t head[LK_HEAD_MAX];
    uint64_t state = 88172645463325252u;
    looks *out = context;
    size_t n = 0;

    while (!atomic_load(&stopping) && n < LOOKS_MAX) {
        lk_load load = {.head_only = true, .buf = head, .cap = sizeof(head)};
        double start = now_ns();

        load.key = key_of((unsigned)(next_random(&state) % wanted));
        must_ok(lk_store_load_many(store, &load, 1), "a look-up", NULL);
        must(load.status == LK_OK || load.status == LK_MISS, "a look-up"); /* swept by now, maybe */
        took[n++] = (now_ns() - start) / 1e3;
    }
    out->p50_us = part_of(took, n, 0.5);
    out->p99_us = part_of(took, n, 0.99);
    out->worst_ms = part_of(took, n, 1) / 1e3;
    return NULL;
}

static pthread_t start_looking(looks *out)
{
    pthread_t thread;

    atomic_store(&stopping, false);
    must(pthread_create(&thread, NULL, look_up, out) == 0, "a thread");
    return thread;
}

static void stop_looking(pthread_t thread)
{
    atomic_store(&stopping, true);
    must(pthread_join(thread, NULL) == 0, "a thread");
}

typedef struct sweeps {
    double worst_ms, p50_ms, seconds;
    unsigned calls;
    uint64_t removed;
} sweeps;

static sweeps sweep(void)
{
    enum { CALLS_MAX = 100000 };
    static double took[CALLS_MAX];
    int64_t now_s = lk_now_s(lk_env_system()) + AHEAD_S;
    double begun = now_ns(), until_ns = begun + WATCH_S * 1e9;
    lk_status status = LK_FULL;
    sweeps out = {.calls = 0};

    while (status == LK_FULL && out.calls < CALLS_MAX && now_ns() < until_ns) {
        double start = now_ns();
        uint32_t removed = 0;

        status = lk_store_sweep(store, now_s, SWEEP_ROWS, SWEEP_MS, &removed);
        must(status == LK_OK || status == LK_FULL, "a sweep");
        took[out.calls++] = (now_ns() - start) / 1e6;
        out.removed += removed;
    }
    out.seconds = (now_ns() - begun) / 1e9;
    out.p50_ms = part_of(took, out.calls, 0.5);
    out.worst_ms = part_of(took, out.calls, 1);
    return out;
}

/* Let somebody look at the full store. */
static void hold(void)
{
    char line[8];

    (void)puts("filled");
    (void)fflush(stdout);
    must(fgets(line, sizeof(line), stdin) != NULL, "a word to go on");
}

static void print_looks(const char *name, const looks *l)
{
    printf("\"%s\":{\"p50_us\":%.1f,\"p99_us\":%.1f,\"worst_ms\":%.2f},", name, l->p50_us, l->p99_us,
           l->worst_ms);
}

int main(int argc, char **argv)
{
    looks alone = {.p50_us = 0}, meanwhile = {.p50_us = 0};
    double made_per_s, each, listed_us;
    pthread_t thread;
    sweeps swept;

    must(argc >= 2, "many URL [SESSIONS [hold]]");
    wanted = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : SESSIONS;
    must(wanted >= 100 && wanted <= 100 * SESSIONS, "the number of sessions");
    store = open_store(argv[1]);
    made_per_s = log_few_in();
    bulk_write(argv[1], store, make_one, few(), wanted);
    each = bytes_each();
    if (argc > 3)
        hold();
    listed_us = list_us();
    thread = start_looking(&alone);
    (void)sleep(WATCH_S);
    stop_looking(thread);
    thread = start_looking(&meanwhile);
    swept = sweep();
    stop_looking(thread);
    printf("{\"sessions\":%u,\"made_per_s\":%.0f,\"counted\":%.1f,\"list_us\":%.0f,", wanted, made_per_s,
           each, listed_us);
    print_looks("alone", &alone);
    print_looks("meanwhile", &meanwhile);
    printf("\"sweep\":{\"calls\":%u,\"removed\":%llu,\"seconds\":%.3f,\"p50_ms\":%.2f,\"worst_ms\":%.2f}}\n",
           swept.calls, (unsigned long long)swept.removed, swept.seconds, swept.p50_ms, swept.worst_ms);
    lk_store_close(store);
    return 0;
}
