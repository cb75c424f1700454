/* SPDX-License-Identifier: Apache-2.0
 *
 * lookups.c - batched look-ups through the library beside the raw client of the same store.
 *
 *   lookups URL [HOST PORT USER PASSWORD DATABASE]      (SQLite needs the URL only)
 *
 * One thread, one connection, batches of BATCH heads in random order among SESSIONS; the two take turns for
 * SLICE_MS each. What is compared with is the fastest plain way to the same bytes: hiredis pipelining GETs,
 * libpq with a prepared `= ANY`, libmariadb with a prepared IN, SQLite with a prepared statement a row inside
 * one transaction. Neither judges what it reads; the library decodes and checks every record. Prints JSON.
 */
#include "lab.h"
#include "lookups_raw.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

enum { SESSIONS = 20000, THREADS = 8, ROUNDS = 31, SLICE_MS = 100 };

static lk_store *store;

static void *fill(void *context)
{
    int64_t now_s = lk_now_s(lk_env_system());

    for (unsigned n = *(const unsigned *)context; n < SESSIONS; n += THREADS) {
        made_session made;
        char user[USER_ROOM];

        (void)snprintf(user, sizeof(user), "user-%u", n / 3);
        make_session(&made, n, user, now_s);
        must_ok(lk_store_create(store, &made.s, (lk_limit){0}, NULL), "create", NULL);
    }
    return NULL;
}

static void fill_all(void)
{
    pthread_t threads[THREADS];
    unsigned from[THREADS];

    for (unsigned i = 0; i < THREADS; i++) {
        from[i] = i;
        must(pthread_create(&threads[i], NULL, fill, &from[i]) == 0, "a thread");
    }
    for (unsigned i = 0; i < THREADS; i++)
        must(pthread_join(threads[i], NULL) == 0, "a thread");
}

static void library_batch(const lk_session_key keys[BATCH])
{
    static uint8_t heads[BATCH][LK_HEAD_MAX];
    lk_load loads[BATCH];

    for (unsigned i = 0; i < BATCH; i++)
        loads[i] = (lk_load){.key = keys[i], .head_only = true, .buf = heads[i], .cap = LK_HEAD_MAX};
    must_ok(lk_store_load_many(store, loads, BATCH), "a batch", NULL);
    for (unsigned i = 0; i < BATCH; i++)
        must_ok(loads[i].status, "a look-up", NULL);
}

/* Sessions looked up in a second, over one slice. */
static double measure(void (*batch)(const lk_session_key keys[BATCH]))
{
    static uint64_t state = 88172645463325252u;
    double start = now_ns(), end;
    lk_session_key keys[BATCH];
    unsigned done = 0;

    do {
        for (unsigned i = 0; i < BATCH; i++)
            keys[i] = key_of((unsigned)(next_random(&state) % SESSIONS));
        batch(keys);
        done += BATCH;
        end = now_ns();
    } while (end - start < SLICE_MS * 1e6);
    return done / (end - start) * 1e9;
}

int main(int argc, char **argv)
{
    double ours[ROUNDS], raws[ROUNDS], ratios[ROUNDS];

    must(argc == 2 || argc == 7, "lookups URL [HOST PORT USER PASSWORD DATABASE]");
    store = open_store(argv[1]);
    fill_all();
    const raw_client *raw = raw_open(lk_store_name(store), argv + 1);
    (void)measure(library_batch);
    (void)measure(raw->batch);
    for (unsigned i = 0; i < ROUNDS; i++) {
        ours[i] = measure(library_batch);
        raws[i] = measure(raw->batch);
        ratios[i] = ours[i] / raws[i];
    }
    printf("{\"raw\":\"%s\",\"library_per_s\":%.0f,\"raw_per_s\":%.0f,\"ratio\":%.3f}\n", raw->what,
           part_of(ours, ROUNDS, 0.5), part_of(raws, ROUNDS, 0.5), part_of(ratios, ROUNDS, 0.5));
    raw->close();
    lk_store_close(store);
    return 0;
}
