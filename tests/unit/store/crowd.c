/* SPDX-License-Identifier: Apache-2.0
 *
 * crowd.c - writers of every kind at once on few users: none is held up by another until its deadline, every
 * limit holds, and the stream has no gap.
 *
 *   crowd URL [SECONDS]
 *
 * What lets two writers wait for each other shows here as an operation that could not be done in time.
 */
#include <latchkey/store.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { PROCESSES = 3, THREADS = 3, USERS = 4, LIMIT = 3, KNOWN = 64, TOUCHED = 40 };

static const int64_t fence_s = INT64_C(3000000000);

/* Of all processes: the keys of sessions that were made lately, for others to stumble over. */
typedef struct shared {
    _Atomic uint64_t made, ended, touched, failed;
    pthread_mutex_t lock; /* of the keys */
    lk_session_key known[KNOWN];
} shared;

static shared *all;
static const char *url;
static unsigned seconds = 3;
static int64_t now_s;

typedef struct writer {
    lk_store *store;
    uint32_t seed;
} writer;

static uint32_t draw(writer *w, uint32_t n)
{
    w->seed = w->seed * 1664525u + 1013904223u;
    return (w->seed >> 8) % n;
}

static lk_session session_of(writer *w, const lk_session_key *previous)
{
    static const char *const users[USERS] = {"ada", "ben", "cleo", "dora"};
    lk_session s = {.generation = 1,
                    .revision = 1,
                    .created_s = now_s,
                    .issued_s = now_s,
                    .auth_s = now_s,
                    .seen_s = now_s,
                    .idle_s = 1800,
                    .expires_s = now_s + 40000,
                    .user = lk_view_of(users[draw(w, USERS)]),
                    .realm = LK_VIEW("shop")};

    if (lk_random(lk_env_system(), s.key.bytes, sizeof(s.key.bytes)) != LK_OK)
        abort();
    if (previous != NULL)
        s.previous = *previous;
    return s;
}

static lk_session_key any_known(writer *w)
{
    lk_session_key key;

    pthread_mutex_lock(&all->lock);
    key = all->known[draw(w, KNOWN)];
    pthread_mutex_unlock(&all->lock);
    return key;
}

static void make_known(writer *w, const lk_session_key *key)
{
    pthread_mutex_lock(&all->lock);
    all->known[draw(w, KNOWN)] = *key;
    pthread_mutex_unlock(&all->lock);
}

static bool is_told(lk_status status, const char *what)
{
    if (status == LK_OK || status == LK_STALE || status == LK_MISS)
        return status == LK_OK;
    if (atomic_fetch_add(&all->failed, 1) < 5)
        printf("%s answered %d\n", what, (int)status);
    return false;
}

static void log_in(writer *w)
{
    lk_session s = session_of(w, NULL);

    if (is_told(lk_store_create(w->store, &s, (lk_limit){.max = LIMIT, .fence_s = fence_s}, NULL),
                "create")) {
        make_known(w, &s.key);
        atomic_fetch_add(&all->made, 1);
    }
}

static void change_id(writer *w)
{
    lk_session_key old = any_known(w);
    lk_session s = session_of(w, &old);
    int64_t grace_s = draw(w, 2) == 0 ? now_s + 100 : 0;

    if (is_told(lk_store_replace(w->store, &old, 1, &s, grace_s, fence_s,
                                 (lk_limit){.max = LIMIT, .fence_s = fence_s}),
                "replace"))
        make_known(w, &s.key);
}

static void log_out(writer *w)
{
    lk_session_key key = any_known(w);

    if (is_told(lk_store_destroy(w->store, &key, LK_REASON_REVOKED, fence_s), "destroy"))
        atomic_fetch_add(&all->ended, 1);
}

static void flush(writer *w)
{
    lk_touch touches[TOUCHED];

    for (unsigned i = 0; i < TOUCHED; i++)
        touches[i] = (lk_touch){any_known(w), now_s + draw(w, 1000)};
    if (is_told(lk_store_touch_many(w->store, touches, TOUCHED), "touch_many"))
        atomic_fetch_add(&all->touched, TOUCHED);
}

static void write_field(writer *w)
{
    lk_session_key key = any_known(w);
    lk_op op = {.kind = LK_OP_ADD, .name = LK_VIEW("n"), .number = 1};

    (void)is_told(lk_store_change(w->store, &key, 1, 0, &op, 1, NULL, NULL), "change");
}

/* Fences of a while ago: the sweep is among those that lock rows. */
static void sweep(writer *w)
{
    lk_status status = lk_store_sweep(w->store, now_s, 50, 20, NULL);

    (void)is_told(status == LK_FULL ? LK_OK : status, "sweep");
}

static void *write_on(void *context)
{
    static void (*const kinds[])(writer *) = {log_in, log_in, change_id, log_out, flush, write_field, sweep};
    writer *w = context;
    time_t until = time(NULL) + (time_t)seconds;

    while (time(NULL) < until)
        kinds[draw(w, sizeof(kinds) / sizeof(kinds[0]))](w);
    return NULL;
}

static int work(unsigned process)
{
    lk_note note = {.text = ""};
    lk_store *store = NULL;
    pthread_t threads[THREADS];
    writer writers[THREADS];

    if (lk_store_open(lk_env_system(), url, NULL, &store, &note) != LK_OK) {
        printf("%s\n", note.text);
        return 1;
    }
    for (unsigned i = 0; i < THREADS; i++) {
        writers[i] = (writer){store, process * 100 + i + 1};
        if (pthread_create(&threads[i], NULL, write_on, &writers[i]) != 0)
            abort();
    }
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    lk_store_close(store);
    return 0;
}

static bool count_one(void *context, const lk_session *s)
{
    (void)s;
    ++*(unsigned *)context;
    return true;
}

static bool limits_hold(lk_store *store)
{
    static const char *const users[USERS] = {"ada", "ben", "cleo", "dora"};

    for (unsigned i = 0; i < USERS; i++) {
        unsigned n = 0;
        uint64_t cursor = 0;

        do {
            if (lk_store_list_by_user(store, LK_VIEW("shop"), lk_view_of(users[i]), &cursor, 50, count_one,
                                      &n) != LK_OK)
                return false;
        } while (cursor != 0);
        printf("%s has %u\n", users[i], n);
        if (n > LIMIT)
            return false;
    }
    return true;
}

/* Every number from the first that is kept to the newest. */
static bool stream_is_whole(lk_store *store)
{
    static lk_event events[1000];
    uint64_t newest = 0, at = 1;
    size_t n;

    if (lk_store_event_seq(store, &newest) != LK_OK)
        return false;
    do {
        n = 1000;
        if (lk_store_events_since(store, at, events, &n) != LK_OK)
            return false;
        for (size_t i = 0; i < n; i++)
            if (events[i].seq != ++at)
                return false;
    } while (n > 0);
    printf("%llu events\n", (unsigned long long)at);
    return at == newest;
}

static int judge(void)
{
    lk_note note = {.text = ""};
    lk_store *store = NULL;
    unsigned passed = 0;

    if (lk_store_open(lk_env_system(), url, NULL, &store, &note) != LK_OK) {
        printf("%s\n", note.text);
        return 1;
    }
    printf("%llu made, %llu ended, %llu touched, %llu failed\n", (unsigned long long)all->made,
           (unsigned long long)all->ended, (unsigned long long)all->touched, (unsigned long long)all->failed);
    passed += all->failed == 0 && all->made > 20 && all->ended > 10 && all->touched > 100;
    passed += limits_hold(store);
    passed += stream_is_whole(store);
    lk_store_close(store);
    printf("[  PASSED  ] %u test(s).\n", passed);
    if (passed < 3)
        printf("[  FAILED  ] %u test(s), listed below:\n", 3 - passed);
    return passed == 3 ? 0 : 1;
}

static void share(void)
{
    pthread_mutexattr_t attr;

    all = mmap(NULL, sizeof(*all), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED)
        abort();
    pthread_mutexattr_init(&attr);
    pthread_mutexattr_setpshared(&attr, PTHREAD_PROCESS_SHARED);
    pthread_mutex_init(&all->lock, &attr);
    pthread_mutexattr_destroy(&attr);
}

int main(int argc, char **argv)
{
    pid_t children[PROCESSES];
    lk_note note = {.text = ""};
    int bad = 0;

    if (argc < 2)
        return 2;
    share();
    url = argv[1];
    if (argc > 2)
        seconds = (unsigned)strtoul(argv[2], NULL, 10);
    now_s = lk_now_s(lk_env_system());
    if (lk_store_setup(lk_env_system(), url, false, &note) != LK_OK) {
        printf("%s\n", note.text);
        return 1;
    }
    (void)fflush(stdout);
    for (unsigned i = 0; i < PROCESSES; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            int code = work(i);

            (void)fflush(stdout);
            _exit(code);
        }
    }
    for (unsigned i = 0; i < PROCESSES; i++) {
        int status = 1;

        bad += waitpid(children[i], &status, 0) != children[i] || status != 0;
    }
    return bad != 0 ? 1 : judge();
}
