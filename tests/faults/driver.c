/* SPDX-License-Identifier: Apache-2.0
 *
 * driver.c - people on several nodes of a cluster while somebody breaks its store, and what is left of what
 * they were told.
 *
 *   driver setup --url URL
 *   driver run --url URL [--url URL]... --history FILE
 *       [--nodes N] [--guard] [--dir DIR] [--replica URL] [--idle S] [--lag MS] [--bound MS]
 *       [--ops N] [--pause US] [--netns NODE=PATH] [--clock NODE=MS] [--own-clocks]
 *   driver replay --url URL --history FILE
 *   driver fields --url URL --times N
 *
 * `run` starts a process per node, the i-th over the i-th URL (the last one for the rest), prints "running"
 * when all are open, and lets people log in, out, and use their sessions on any node, until its standard
 * input ends or N logins and logouts were acknowledged. Each answer is a line of FILE (history.h). Then every
 * node is asked, through the handles it had all the time, and the store through a new one, for all there
 * ought to be; the last line printed is all of it as JSON. `fields` has two nodes write different fields of
 * one session, N times each.
 */
#include "history.h"
#include "node.h"
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define NODES_MAX 8
#define TICKETS_MAX 100000
#define RECENT 400           /* people use a session of the last so many */
#define FIND_OUT_MS 20000    /* how long afterwards a node may need to answer again */
#define ERROR_PAUSE_US 10000 /* before the next person is let try */

typedef struct settings {
    const char *urls[NODES_MAX];
    unsigned urls_n;
    const char *history;
    unsigned nodes;
    cluster cluster;
    unsigned ops;
    int64_t bound_ms;
    const char *netns[NODES_MAX];
    int64_t clock_ms[NODES_MAX];
    useconds_t pause_us;
    unsigned times;
} settings;

enum { TICKET_NONE, TICKET_HELD, TICKET_GIVEN_UP };

/* What the nodes share, as people do who use them all. */
typedef struct place {
    _Atomic unsigned issued, open, over, acknowledged;
    atomic_bool is_stopped;
    verdict verdicts[NODES_MAX + 1]; /* the last one: of the store */
    int64_t known_ms[NODES_MAX + 1]; /* when it could be asked again, after the end */
    _Atomic int states[TICKETS_MAX];
    ticket tickets[TICKETS_MAX];
} place;

static settings set;
static place *there;

/* ---- one node at work ---- */

static uint32_t seed;

static unsigned pick(unsigned n)
{
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % n;
}

static bool pick_ticket(unsigned *out)
{
    unsigned issued = atomic_load(&there->issued), recent;

    if (issued > TICKETS_MAX)
        issued = TICKETS_MAX;
    if (issued == 0)
        return false;
    recent = issued < RECENT ? issued : RECENT;
    *out = issued - 1 - pick(recent);
    return atomic_load(&there->states[*out]) != TICKET_NONE;
}

static void log_in(node *n, line *l)
{
    ticket t;
    unsigned place_of;

    l->act = ACT_LOGIN;
    l->status = node_login(n, &t);
    l->key = t.key;
    if (l->status != LK_OK)
        return;
    place_of = atomic_fetch_add(&there->issued, 1);
    if (place_of >= TICKETS_MAX)
        return;
    there->tickets[place_of] = t;
    atomic_store(&there->states[place_of], TICKET_HELD);
}

/* One person, once. False when nobody was there to do anything. */
static bool act_once(node *n, line *l)
{
    unsigned what = pick(100), which;
    int held = TICKET_HELD;

    if (what < 35) {
        log_in(n, l);
        return true;
    }
    if (!pick_ticket(&which))
        return false;
    l->key = there->tickets[which].key;
    if (what < 65) {
        l->act = ACT_CHECK;
        l->status = node_check(n, &there->tickets[which], NULL);
    } else if (what < 80) {
        l->act = ACT_CHANGE;
        l->status = node_change(n, &there->tickets[which]);
    } else {
        /* One logout each, so that it is known when it was acknowledged. */
        if (!atomic_compare_exchange_strong(&there->states[which], &held, TICKET_GIVEN_UP))
            return false;
        l->act = ACT_LOGOUT;
        l->status = node_logout(n, &there->tickets[which]);
    }
    return true;
}

static void work(node *n, unsigned number, int record)
{
    while (!atomic_load(&there->is_stopped)) {
        line l = {.begun_ms = steady_ms(), .node = number};

        if (!act_once(n, &l))
            continue;
        l.ended_ms = steady_ms();
        if (!history_write(record, &l))
            _exit(3);
        if (l.status == LK_OK && (l.act == ACT_LOGIN || l.act == ACT_LOGOUT) &&
            atomic_fetch_add(&there->acknowledged, 1) + 1 == set.ops)
            atomic_store(&there->is_stopped, true);
        usleep(l.status == LK_FAULT || l.status == LK_FULL ? ERROR_PAUSE_US : set.pause_us);
        node_upkeep(n);
    }
}

/* ---- afterwards ---- */

typedef struct asking {
    node *n;
    int64_t until_ms;
    int64_t known_ms;
} asking;

static const ticket *ticket_of(const lk_session_key *key)
{
    unsigned issued = atomic_load(&there->issued);

    for (unsigned i = 0; i < issued && i < TICKETS_MAX; i++)
        if (memcmp(&there->tickets[i].key, key, sizeof(*key)) == 0)
            return &there->tickets[i];
    return NULL;
}

static found ask_node(void *context, const lk_session_key *key)
{
    asking *a = context;
    ticket bare = {.key = *key};
    const ticket *t = a->n->guard != NULL ? ticket_of(key) : &bare;
    found f = {.status = LK_MISS}; /* whoever has no ticket is out */

    if (t == NULL)
        return f;
    do {
        f.changes = -1;
        f.status = node_check(a->n, t, &f.changes);
        if (f.status == LK_FAULT)
            usleep(ERROR_PAUSE_US);
    } while (f.status == LK_FAULT && steady_ms() < a->until_ms);
    f.has_count = f.status == LK_OK && f.changes >= 0;
    if (f.status != LK_FAULT && a->known_ms == 0)
        a->known_ms = steady_ms();
    return f;
}

static bool judge_by(node *n, unsigned number)
{
    history h;
    asking a = {.n = n, .until_ms = steady_ms() + FIND_OUT_MS};

    if (!history_read(set.history, &h))
        return false;
    history_judge(&h, ask_node, &a, &there->verdicts[number]);
    there->known_ms[number] = a.known_ms;
    history_free(&h);
    return true;
}

static bool enter_netns(const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    bool is_in = fd >= 0 && setns(fd, CLONE_NEWNET) == 0;

    if (!is_in)
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return is_in;
}

static const char *url_of(unsigned number)
{
    return set.urls[number < set.urls_n ? number : set.urls_n - 1];
}

static void be_node(unsigned number)
{
    static node n;
    int record = open(set.history, O_WRONLY | O_APPEND | O_CLOEXEC);
    bool is_well;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    seed = number * 7919u + 1;
    if (record < 0 || (set.netns[number] != NULL && !enter_netns(set.netns[number])) ||
        !node_open(&n, &set.cluster, url_of(number), set.clock_ms[number])) {
        atomic_store(&there->is_stopped, true);
        _exit(2);
    }
    atomic_fetch_add(&there->open, 1);
    while (atomic_load(&there->open) < set.nodes && !atomic_load(&there->is_stopped))
        usleep(1000);
    work(&n, number, record);
    atomic_fetch_add(&there->over, 1);
    while (atomic_load(&there->over) < set.nodes)
        usleep(1000);
    /* What the others ended a moment ago this node may hear of until the bound. */
    usleep((useconds_t)set.bound_ms * 1000);
    is_well = judge_by(&n, number);
    node_close(&n);
    close(record);
    _exit(is_well ? 0 : 3);
}

/* ---- all of them ---- */

static bool start_nodes(pid_t *pids)
{
    bool is_well = true;

    for (unsigned i = 0; i < set.nodes; i++) {
        pids[i] = fork();
        if (pids[i] == 0)
            be_node(i);
        is_well = is_well && pids[i] > 0;
    }
    while (is_well && atomic_load(&there->open) < set.nodes && !atomic_load(&there->is_stopped))
        usleep(1000);
    return is_well && atomic_load(&there->open) == set.nodes;
}

/* Until standard input ends or there were enough of them. */
static void wait_for_the_end(void)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    char text[64];

    while (!atomic_load(&there->is_stopped))
        if (poll(&in, 1, 20) > 0 && read(STDIN_FILENO, text, sizeof(text)) <= 0)
            atomic_store(&there->is_stopped, true);
}

static bool wait_for_nodes(const pid_t *pids)
{
    bool is_well = true;

    for (unsigned i = 0; i < set.nodes; i++) {
        int status = 0;

        is_well = waitpid(pids[i], &status, 0) == pids[i] && WIFEXITED(status) && WEXITSTATUS(status) == 0 &&
                  is_well;
    }
    return is_well;
}

static void print_verdict(const verdict *v)
{
    printf(
        "{\"sessions\": %u, \"unknown\": %u, \"lost_logins\": %u, \"resurrected\": %u, \"lost_changes\": %u,"
        " \"twice\": %u}",
        v->sessions, v->unknown, v->lost_logins, v->resurrected, v->lost_changes, v->twice);
}

static bool print_all(int64_t over_ms)
{
    history h;
    tally t;
    int64_t late_ms = 0;

    if (!history_read(set.history, &h))
        return false;
    history_tally(&h, set.bound_ms, &t);
    history_free(&h);
    for (unsigned i = 0; i < set.nodes; i++)
        if (there->known_ms[i] - over_ms > late_ms)
            late_ms = there->known_ms[i] - over_ms;
    printf("{\"logins\": %u, \"logouts\": %u, \"changes\": %u, \"checks\": %u, \"failed\": %u, \"wrong\": %u,"
           " \"longest_ms\": %lld, \"longest_write_ms\": %lld, \"known_after_ms\": %lld, \"let_in\": %u, "
           "\"thrown_out\": %u, \"store\": ",
           t.done[ACT_LOGIN], t.done[ACT_LOGOUT], t.done[ACT_CHANGE], t.done[ACT_CHECK], t.failed, t.wrong,
           (long long)t.longest_ms, (long long)t.longest_write_ms, (long long)late_ms, t.let_in,
           t.thrown_out);
    print_verdict(&there->verdicts[NODES_MAX]);
    printf(", \"nodes\": [");
    for (unsigned i = 0; i < set.nodes; i++) {
        printf(i > 0 ? ", " : "");
        print_verdict(&there->verdicts[i]);
    }
    printf("]}\n");
    return true;
}

/* The store itself, without near copies, by a handle that knew nothing of it all. */
static bool judge_store(void)
{
    static node fresh;
    cluster bare = {.dir = set.cluster.dir, .idle_s = set.cluster.idle_s};
    bool is_well = node_open(&fresh, &bare, set.urls[0], 0) && judge_by(&fresh, NODES_MAX);

    node_close(&fresh);
    return is_well;
}

static int run(void)
{
    pid_t pids[NODES_MAX];
    int record = open(set.history, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    bool is_well;
    int64_t over_ms;

    if (record < 0) {
        fprintf(stderr, "%s: %s\n", set.history, strerror(errno));
        return 2;
    }
    close(record);
    is_well = start_nodes(pids);
    if (is_well) {
        printf("running\n");
        fflush(stdout);
        wait_for_the_end();
    }
    over_ms = steady_ms();
    is_well = wait_for_nodes(pids) && is_well;
    return is_well && judge_store() && print_all(over_ms) ? 0 : 2;
}

/* ---- the other commands ---- */

static int set_up(void)
{
    lk_note note = {.text = ""};
    lk_status status = lk_store_setup(lk_env_system(), set.urls[0], false, &note);

    if (status != LK_OK)
        fprintf(stderr, "%s (%s)\n", note.text, lk_status_name(status));
    return status == LK_OK ? 0 : 2;
}

static int replay(void)
{
    if (!judge_store())
        return 2;
    print_verdict(&there->verdicts[NODES_MAX]);
    printf("\n");
    return 0;
}

/* In one of two processes: add one to a field of its own, again and again. Gives how often that failed. */
static unsigned write_field(lk_store *store, const lk_session_key *key, unsigned which)
{
    lk_op op = {.kind = LK_OP_ADD, .name = which == 0 ? LK_VIEW("left") : LK_VIEW("right"), .number = 1};
    unsigned failed = 0;

    for (unsigned i = 0; i < set.times; i++)
        failed += lk_store_change(store, key, 1, 0, &op, 1, NULL, NULL) != LK_OK;
    return failed;
}

static int print_fields(lk_store *store, const lk_session_key *key, const int failed[2])
{
    static uint8_t buf[LK_RECORD_MAX];
    lk_load load = {.key = *key, .buf = buf, .cap = sizeof(buf), .status = LK_FAULT};
    lk_view left = {0}, right = {0};

    if (lk_store_load_many(store, &load, 1) != LK_OK || load.status != LK_OK ||
        lk_fields_get(load.session.fields, LK_VIEW("left"), &left) != LK_OK ||
        lk_fields_get(load.session.fields, LK_VIEW("right"), &right) != LK_OK)
        return 2;
    printf("{\"left\": %.*s, \"right\": %.*s, \"revision\": %u, \"failed\": %d}\n", (int)left.len,
           (const char *)left.p, (int)right.len, (const char *)right.p, load.session.revision,
           failed[0] + failed[1]);
    return 0;
}

static int write_fields(void)
{
    static node n;
    ticket t;
    lk_table *table;
    bool joined;
    int failed[2];
    pid_t children[2];
    lk_store *store = NULL;

    /* One table for all, which is what `memory:` is. */
    if (lk_table_open(lk_env_system(), NULL, 16u << 20, &table, &joined, NULL) != LK_OK)
        return 2;
    for (unsigned i = 0; i < 2; i++)
        failed[i] = 0;
    if (lk_store_open(lk_env_system(), set.urls[0], table, &store, NULL) != LK_OK)
        return 2;
    n.of = &set.cluster;
    n.base = *lk_env_system();
    lk_cluster_clock_init(&n.clock, &n.base, table);
    n.store = store;
    if (node_login(&n, &t) != LK_OK)
        return 2;
    for (unsigned i = 0; i < 2; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            lk_store *own = NULL;
            bool is_well = lk_store_open(lk_env_system(), set.urls[0], table, &own, NULL) == LK_OK &&
                           write_field(own, &t.key, i) == 0;

            lk_store_close(own);
            _exit(is_well ? 0 : 1);
        }
    }
    for (unsigned i = 0; i < 2; i++)
        if (waitpid(children[i], &failed[i], 0) != children[i])
            return 2;
    return print_fields(store, &t.key, failed);
}

/* ---- the command line ---- */

/* "NODE=VALUE" */
static const char *value_for(const char *text, unsigned *number)
{
    char *end;

    *number = (unsigned)strtoul(text, &end, 10);
    return *end == '=' && *number < NODES_MAX ? end + 1 : NULL;
}

static bool read_option(int which, const char *text)
{
    const char *value;
    unsigned number;

    switch (which) {
    case 'u':
        if (set.urls_n == NODES_MAX)
            return false;
        set.urls[set.urls_n++] = text;
        return true;
    case 'h':
        set.history = text;
        return true;
    case 'n':
        set.nodes = (unsigned)atoi(text);
        return set.nodes > 0 && set.nodes <= NODES_MAX;
    case 'g':
        set.cluster.has_guard = true;
        return true;
    case 'd':
        set.cluster.dir = text;
        return true;
    case 'o':
        set.ops = (unsigned)atoi(text);
        return true;
    case 'b':
        set.bound_ms = atoi(text);
        return true;
    case 's':
        value = value_for(text, &number);
        if (value != NULL)
            set.netns[number] = value;
        return value != NULL;
    case 'c':
        value = value_for(text, &number);
        if (value != NULL)
            set.clock_ms[number] = atoll(value);
        return value != NULL;
    case 'i':
        set.cluster.idle_s = atoi(text);
        return true;
    case 'p':
        set.pause_us = (useconds_t)atoi(text);
        return true;
    case 'l':
        set.cluster.lag_ms = atoi(text);
        return true;
    case 'r':
        set.cluster.replica = text;
        return true;
    case 'w':
        set.cluster.has_own_clocks = true;
        return true;
    case 't':
        set.times = (unsigned)atoi(text);
        return true;
    default: /* getopt has said what is wrong */
        return false;
    }
}

static bool read_options(int argc, char **argv)
{
    static const struct option options[] = {
        {"url", required_argument, NULL, 'u'},     {"history", required_argument, NULL, 'h'},
        {"nodes", required_argument, NULL, 'n'},   {"guard", no_argument, NULL, 'g'},
        {"dir", required_argument, NULL, 'd'},     {"ops", required_argument, NULL, 'o'},
        {"bound", required_argument, NULL, 'b'},   {"netns", required_argument, NULL, 's'},
        {"clock", required_argument, NULL, 'c'},   {"idle", required_argument, NULL, 'i'},
        {"pause", required_argument, NULL, 'p'},   {"times", required_argument, NULL, 't'},
        {"lag", required_argument, NULL, 'l'},     {"own-clocks", no_argument, NULL, 'w'},
        {"replica", required_argument, NULL, 'r'}, {NULL, 0, NULL, 0}};
    int which;

    set = (settings){.nodes = 3,
                     .pause_us = 1000,
                     .times = 1000,
                     .cluster = {.dir = "/tmp", .idle_s = 1800, .lag_ms = 500}};
    while ((which = getopt_long(argc, argv, "", options, NULL)) != -1)
        if (!read_option(which, optarg))
            return false;
    return set.urls_n > 0 && optind + 1 == argc;
}

int main(int argc, char **argv)
{
    static const struct command {
        const char *name;
        int (*run)(void);
        bool needs_history;
    } commands[] = {{"setup", set_up, false},
                    {"run", run, true},
                    {"replay", replay, true},
                    {"fields", write_fields, false}};

    there = mmap(NULL, sizeof(*there), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (there == MAP_FAILED)
        return 2;
    if (read_options(argc, argv)) {
        for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
            if (strcmp(argv[optind], commands[i].name) == 0 &&
                (set.history != NULL || !commands[i].needs_history))
                return commands[i].run();
    }
    fprintf(stderr, "usage: driver setup|run|replay|fields --url URL ...; driver.c says more\n");
    return 2;
}
