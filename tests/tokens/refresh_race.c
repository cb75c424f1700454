/* SPDX-License-Identifier: Apache-2.0
 *
 * refresh_race URL ROUNDS CLIENTS [--replica URL | --to URL]: CLIENTS threads of three processes refresh one
 * token at the same moment, in each of ROUNDS; all of a round must be given one successor, which is the token
 * of the next. Prints what it counted; exit status 1 when a round gave anything else. Three nodes without
 * HTTP before them: as many at once as a store is ever asked. Says "under way" after ten rounds, for who
 * wants to disturb them.
 *
 *   --replica  the nodes read from that copy of the store
 *   --to       the site moves from URL to that store, and its nodes are a step apart: two write to the old
 * one first, and the third to the new one
 */
#include "shm/table.h"
#include <latchkey/guard.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    NODES = 3,
    CLIENTS_MAX = 300,
    UNDER_WAY = 10,
    OPEN_TRIES = 40,
    TRIES = 1000 /* 20 s at least, with what a try takes */
};

typedef struct answer {
    lk_status status;
    lk_refreshed how;
    char token[LK_REFRESH_MAX + 1];
} answer;

typedef struct stores {
    const char *url, *replica, *to;
} stores;

/* What the processes share. */
typedef struct arena {
    pthread_barrier_t begin, end;
    char token[LK_REFRESH_MAX + 1];
    bool over;
    unsigned clients;
    long retried[CLIENTS_MAX];
    answer answers[CLIENTS_MAX];
} arena;

typedef struct node {
    lk_settings settings;
    lk_keyring *ring;
    lk_table *table;
    lk_store *store;
    lk_guard *guard;
} node;

typedef struct client {
    arena *shared;
    node *on;
    unsigned number;
} client;

static void must(lk_status status, const char *what, const lk_note *note)
{
    if (status == LK_OK)
        return;
    fprintf(stderr, "%s: %s (%s)\n", what, lk_status_name(status), note->text);
    exit(3);
}

/* Node NUMBER sees the stores as the settings of its step say. */
static lk_status open_store(node *n, const stores *at, unsigned number, lk_note *note)
{
    const lk_env *env = lk_env_system();
    bool is_ahead = number == 1;
    const lk_store_move move = {
        .lead = is_ahead ? at->to : at->url, .other = is_ahead ? at->url : at->to, .looks_back = is_ahead};
    if (at->to != NULL)
        return lk_store_open_moving(env, &move, n->table, &n->store, note);
    if (at->replica != NULL)
        return lk_store_open_replicated(env, at->url, at->replica, n->table, &n->store, note);
    return lk_store_open(env, at->url, n->table, &n->store, note);
}

static void open_node(node *n, const stores *at, unsigned number, const char *keys)
{
    const lk_env *env = lk_env_system();
    lk_note note = {""};
    bool joined;
    lk_settings_init(&n->settings);
    snprintf(n->settings.store, sizeof(n->settings.store), "%s", at->url);
    snprintf(n->settings.keys, sizeof(n->settings.keys), "%s", keys);
    must(lk_keyring_open(env, keys, true, &n->ring, &note), "keys", &note);
    must(lk_table_open(env, NULL, 8u << 20, &n->table, &joined, &note), "table", &note);
    lk_status opened = open_store(n, at, number, &note);
    /* A busy machine may take longer for the first connection than the store is given. */
    for (int try = 0; try < OPEN_TRIES && opened == LK_FAULT; try++)
        opened = open_store(n, at, number, &note);
    must(opened, "store", &note);
    lk_guard_parts parts = {
        .env = env, .settings = &n->settings, .ring = n->ring, .table = n->table, .store = n->store};
    must(lk_guard_open(parts, &n->guard, &note), "guard", &note);
}

static void close_node(node *n)
{
    lk_guard_close(n->guard);
    lk_store_close(n->store);
    lk_table_close(n->table);
    lk_keyring_free(n->ring);
}

/* A store that cannot be asked just now is asked again, as a client would: that is told apart in the figures.
 */
static void *work(void *context)
{
    client *c = context;
    arena *a = c->shared;
    lk_issued *out = malloc(sizeof(*out));
    for (;;) {
        (void)pthread_barrier_wait(&a->begin);
        if (a->over)
            break;
        answer *mine = &a->answers[c->number];
        for (int try = 0; try < TRIES; try++) {
            lk_refresh_ask ask = {.text = lk_view_of(a->token)};
            mine->status = lk_guard_refresh(c->on->guard, &ask, out);
            mine->how = ask.how;
            memcpy(mine->token, out->refresh.text, sizeof(mine->token));
            if (mine->status != LK_FAULT)
                break;
            a->retried[c->number]++;
            (void)nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
        }
        (void)pthread_barrier_wait(&a->end);
    }
    free(out);
    return NULL;
}

/* One node: every NODES-th client, beginning with FIRST. */
static int run_node(arena *a, unsigned first, const stores *at, const char *keys)
{
    static node n;
    static client clients[CLIENTS_MAX];
    pthread_t threads[CLIENTS_MAX];
    open_node(&n, at, first, keys);
    for (unsigned i = first; i < a->clients; i += NODES) {
        clients[i] = (client){a, &n, i};
        if (pthread_create(&threads[i], NULL, work, &clients[i]) != 0)
            return 3;
    }
    for (unsigned i = first; i < a->clients; i += NODES)
        (void)pthread_join(threads[i], NULL);
    close_node(&n);
    return 0;
}

static long all_retried(const arena *a)
{
    long n = 0;
    for (unsigned i = 0; i < a->clients; i++)
        n += a->retried[i];
    return n;
}

/* Did all get one successor, that nobody had before, and one of them first? Unless IS_EXACT: then the change
 * of one who had no answer may be found by all, or be lost and made again. */
static bool judge(const arena *a, int round, bool is_exact)
{
    unsigned first = 0;
    for (unsigned i = 0; i < a->clients; i++) {
        const answer *one = &a->answers[i];
        if (one->status != LK_OK || strcmp(one->token, a->answers[0].token) != 0 ||
            strcmp(one->token, a->token) == 0) {
            printf("round %d, client %u: %s %s\n", round, i, lk_status_name(one->status), one->token);
            return false;
        }
        first += one->how == LK_REFRESHED_NEW;
    }
    if (is_exact && first != 1)
        printf("round %d: %u rotated it\n", round, first);
    return first == 1 || !is_exact;
}

static void first_token(arena *a, const stores *at, const char *keys)
{
    static node n;
    static lk_issued issued;
    lk_note note = {""};
    lk_login login = {.user = LK_VIEW("alice"), .name = LK_VIEW("alice"), .refreshes = true};
    must(lk_store_setup(lk_env_system(), at->url, true, &note), "set up", &note);
    if (at->to != NULL)
        must(lk_store_setup(lk_env_system(), at->to, true, &note), "set up", &note);
    open_node(&n, at, 0, keys);
    must(lk_guard_issue(n.guard, LK_KIND_JWT, &login, NULL, NULL, &issued, &note), "login", &note);
    memcpy(a->token, issued.refresh.text, sizeof(a->token));
    close_node(&n);
}

/* The others would wait for it for ever. */
static void node_has_ended(int signal)
{
    static const char said[] = "a node has ended\n";
    (void)signal;
    (void)!write(STDERR_FILENO, said, sizeof(said) - 1);
    _exit(3);
}

static arena *share(unsigned clients)
{
    pthread_barrierattr_t shared;
    arena *a = mmap(NULL, sizeof(*a), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (a == MAP_FAILED)
        exit(3);
    a->clients = clients;
    pthread_barrierattr_init(&shared);
    pthread_barrierattr_setpshared(&shared, PTHREAD_PROCESS_SHARED);
    pthread_barrier_init(&a->begin, &shared, clients + 1);
    pthread_barrier_init(&a->end, &shared, clients + 1);
    return a;
}

static int race(arena *a, int rounds, bool is_exact)
{
    int good = 0;
    for (; good < rounds; good++) {
        long retried = all_retried(a);
        if (good == UNDER_WAY)
            printf("under way\n");
        (void)fflush(stdout);
        (void)pthread_barrier_wait(&a->begin);
        (void)pthread_barrier_wait(&a->end);
        if (!judge(a, good, is_exact && retried == all_retried(a)))
            break;
        memcpy(a->token, a->answers[0].token, sizeof(a->token));
    }
    a->over = true;
    (void)signal(SIGCHLD, SIG_DFL);
    (void)pthread_barrier_wait(&a->begin);
    return good;
}

static bool read_words(int argc, char **argv, stores *at, int *rounds, int *clients)
{
    if (argc != 4 && argc != 6)
        return false;
    at->url = argv[1];
    *rounds = atoi(argv[2]);
    *clients = atoi(argv[3]);
    if (argc == 6 && strcmp(argv[4], "--replica") == 0)
        at->replica = argv[5];
    else if (argc == 6 && strcmp(argv[4], "--to") == 0)
        at->to = argv[5];
    return *rounds >= 1 && *clients >= NODES && *clients <= CLIENTS_MAX &&
           (argc == 4 || at->replica != NULL || at->to != NULL);
}

int main(int argc, char **argv)
{
    char keys[] = "/tmp/latchkey-race-XXXXXX", path[64];
    stores at = {0};
    int rounds = 0, clients = 0, status = 0;
    if (!read_words(argc, argv, &at, &rounds, &clients) || mkdtemp(keys) == NULL) {
        fprintf(stderr, "refresh_race URL ROUNDS CLIENTS [--replica URL | --to URL]\n");
        return 2;
    }
    snprintf(path, sizeof(path), "%s/keys", keys);
    arena *a = share((unsigned)clients);
    pid_t setter = fork(), nodes[NODES];
    if (setter == 0) {
        first_token(a, &at, path);
        exit(0);
    }
    (void)waitpid(setter, &status, 0);
    if (status != 0)
        return 3;
    (void)signal(SIGCHLD, node_has_ended);
    for (unsigned i = 0; i < NODES; i++) {
        nodes[i] = fork();
        if (nodes[i] != 0)
            continue;
        (void)signal(SIGCHLD, SIG_DFL);
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        exit(run_node(a, i, &at, path));
    }
    time_t begun = time(NULL);
    int good = race(a, rounds, at.to == NULL);
    for (unsigned i = 0; i < NODES; i++)
        (void)waitpid(nodes[i], &status, 0);
    snprintf(path, sizeof(path), "rm -rf %s", keys);
    if (system(path) != 0)
        return 3;
    printf("%d of %d rounds, %d clients on %d nodes, %ld answers with one successor each round, %ld asked "
           "again, "
           "%ld s\n",
           good, rounds, clients, NODES, (long)good * clients, all_retried(a), (long)(time(NULL) - begun));
    return good == rounds ? 0 : 1;
}
