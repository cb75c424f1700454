/* SPDX-License-Identifier: Apache-2.0
 *
 * revoke.c - how long a revocation takes to hold on every node.
 *
 *   revoke URL KEYS [ROUNDS]
 *
 * NODES processes, each with a table, a guard and a follower of its own, and a copy of the session near it;
 * one more process ends a session (odd rounds) or cuts off a user who holds a token (even rounds). Measured
 * is the time from its acknowledgement until the last of the nodes refuses. A node asks itself every POLL_US,
 * which is part of the figure. Prints JSON.
 */
#include "lab.h"
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { NODES = 3, ROUNDS = 300, ROUNDS_MAX = 100000, POLL_US = 200, PAUSE_US = 50000, PATIENCE_S = 10 };

/* What the processes share. A round is written before its number is raised. */
typedef struct board {
    atomic_uint round;
    lk_kind kind;
    char text[LK_ISSUED_MAX];
    struct {
        atomic_uint opened, allowed, refused; /* the latest round */
        double refused_ns, unknown;
    } nodes[NODES];
} board;

static board *b;

static void rest_us(long us)
{
    struct timespec t = {.tv_nsec = us * 1000};

    (void)nanosleep(&t, NULL);
}

/* ---- a node ---- */

static void wait_verdict(node *n, unsigned me, lk_verdict wanted)
{
    lk_verdict verdict;

    while ((verdict = node_check(n, b->kind, b->text)) != wanted) {
        b->nodes[me].unknown += verdict == LK_VERDICT_UNKNOWN;
        rest_us(POLL_US);
    }
}

static void node_main(unsigned me, const char *url, const char *keys)
{
    unsigned done = 0;
    node n;

    (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* nobody is left behind */
    node_open(&n, url, keys);
    atomic_store(&b->nodes[me].opened, 1);
    for (;;) {
        while (atomic_load(&b->round) == done)
            rest_us(POLL_US);
        done++;
        wait_verdict(&n, me, LK_VERDICT_ALLOW);
        atomic_store(&b->nodes[me].allowed, done);
        wait_verdict(&n, me, LK_VERDICT_REFUSE);
        b->nodes[me].refused_ns = now_ns();
        atomic_store(&b->nodes[me].refused, done);
    }
}

/* ---- the one that ends ---- */

static void wait_for(atomic_uint *what, unsigned round, const char *meant)
{
    double start = now_ns();

    while (atomic_load(what) != round) {
        must(waitpid(-1, NULL, WNOHANG) == 0, "a node");
        must(now_ns() - start < PATIENCE_S * 1e9, meant);
        rest_us(POLL_US);
    }
}

static void end(node *n, const lk_issued *issued, const char *user)
{
    lk_note note = {.text = ""};
    lk_status status;

    if (issued->kind == LK_KIND_SESSION_ID)
        status = lk_guard_end(n->guard, LK_VIEW(""), &issued->key, LK_REASON_REVOKED);
    else
        status = lk_guard_cutoff(n->guard, LK_LEVEL_USER, LK_VIEW(""), lk_view_of(user), LK_REASON_REVOKED,
                                 NULL, &note);
    must_ok(status, "a revocation", &note);
}

/* The milliseconds of one round. */
static double measure(node *n, unsigned round)
{
    static uint64_t state = 88172645463325252u;
    double acknowledged_ns, last_ms = 0;
    lk_issued issued;
    char user[24];

    (void)snprintf(user, sizeof(user), "user-%u", round);
    b->kind = round % 2 != 0 ? LK_KIND_SESSION_ID : LK_KIND_TOKEN;
    node_login(n, b->kind, user, &issued);
    memcpy(b->text, issued.text, issued.len + 1);
    atomic_store(&b->round, round);
    for (unsigned i = 0; i < NODES; i++)
        wait_for(&b->nodes[i].allowed, round, "a check of who is logged in");
    /* The last round ended when a node had polled its store: without a pause this one would always fall into
     * the same moment between two polls. */
    rest_us((long)(next_random(&state) % PAUSE_US));
    end(n, &issued, user);
    acknowledged_ns = now_ns();
    for (unsigned i = 0; i < NODES; i++) {
        double took_ms;

        wait_for(&b->nodes[i].refused, round, "a refusal after the revocation");
        took_ms = (b->nodes[i].refused_ns - acknowledged_ns) / 1e6;
        last_ms = took_ms > last_ms ? took_ms : last_ms;
    }
    lk_issued_wipe(&issued);
    return last_ms;
}

static void print(const char *name, double *ms, size_t n)
{
    printf("\"%s\":{\"rounds\":%zu,\"p50_ms\":%.2f,\"p99_ms\":%.2f,\"max_ms\":%.2f},", name, n,
           part_of(ms, n, 0.5), part_of(ms, n, 0.99), part_of(ms, n, 1));
}

int main(int argc, char **argv)
{
    static double sessions[ROUNDS_MAX], tokens[ROUNDS_MAX], all[ROUNDS_MAX];
    unsigned rounds = argc > 3 ? (unsigned)strtoul(argv[3], NULL, 10) : ROUNDS;
    double unknown = 0;
    pid_t pids[NODES];
    node n;

    must((argc == 3 || argc == 4) && rounds > 1 && rounds < ROUNDS_MAX, "revoke URL KEYS [ROUNDS]");
    b = mmap(NULL, sizeof(*b), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must(b != MAP_FAILED, "memory");
    lk_store_close(open_store(argv[1]));
    for (unsigned i = 0; i < NODES; i++) {
        pids[i] = fork();
        must(pids[i] >= 0, "fork");
        if (pids[i] == 0)
            node_main(i, argv[1], argv[2]);
    }
    node_open(&n, argv[1], argv[2]);
    for (unsigned i = 0; i < NODES; i++)
        wait_for(&b->nodes[i].opened, 1, "the start of a node");
    for (unsigned round = 1; round <= rounds; round++) {
        all[round - 1] = measure(&n, round);
        *(round % 2 != 0 ? &sessions[round / 2] : &tokens[round / 2 - 1]) = all[round - 1];
    }
    for (unsigned i = 0; i < NODES; i++) {
        unknown += b->nodes[i].unknown;
        (void)kill(pids[i], SIGKILL);
        (void)waitpid(pids[i], NULL, 0);
    }
    node_close(&n);
    printf("{");
    print("sessions", sessions, (rounds + 1) / 2);
    print("tokens", tokens, rounds / 2);
    print("all", all, rounds);
    printf("\"unknown\":%.0f}\n", unknown);
    return 0;
}
