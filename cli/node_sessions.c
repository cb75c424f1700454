/* SPDX-License-Identifier: Apache-2.0
 *
 * node_sessions.c - latchkey node drain: the sessions of one node into the store of another, and then out of
 * the first.
 *
 * It is the copy of `latchkey store copy`, without what that one concludes of sessions that are in one store
 * alone: the taking node has sessions of its own, and the drained one is emptied in the end.
 */
#include "node_drain.h"
#include <string.h>

#define QUIET_MS 2000 /* longer than a request takes between two looks at the two stores */
#define ROUNDS_MAX 600
#define SWEEP_ROWS 10000
#define SWEEP_MS 1000
#define SWEEP_AHEAD_S                                                                                        \
    120 /* the marks of what we ended are over by then, whatever margin a store gives them */

static uint64_t count_of(const store_at *at)
{
    lk_store_count counts;
    return lk_store_counts(at->store, &counts) == LK_OK ? counts.sessions : 0;
}

static int move_once(node_draining *d, copying *k, const char *what)
{
    cli_progress_begin(&k->progress, what, count_of(&k->from));
    int code = copy_cutoffs(k);
    k->marks = (copy_marks){0};
    code = code == CLI_YES ? copy_sessions(k) : code;
    cli_progress_end(&k->progress);
    k->is_first = false;
    d->moved = k->n.copied;
    return code;
}

static int interrupted(const node_draining *d)
{
    return cli_fault(d->c, "interrupted; nothing is lost: run the same command again, it goes on from here");
}

/* Requests that were on their way when the balancer changed its mind may still write to the old store. */
int node_move_sessions(node_draining *d, copying *k)
{
    bool was_quiet = false;
    k->is_first = true;
    for (unsigned round = 0; round < ROUNDS_MAX; round++) {
        int code = move_once(d, k, round == 0 ? "moving" : "looking again");
        if (code != CLI_YES) {
            return code;
        }
        if (was_quiet && k->changed == 0) {
            return CLI_YES;
        }
        was_quiet = k->changed == 0;
        if (cli_must_stop(QUIET_MS)) {
            return interrupted(d);
        }
    }
    return cli_no(d->c, LK_REASON_NONE, "%s is still in use: visitors come to it past the balancer", d->name);
}

/* ---- ending them where they were ---- */

typedef struct emptying {
    copying *k;
    uint64_t left;
} emptying;

static int end_here(emptying *e, const lk_session_key *key)
{
    unsigned tries = 0;
    while (lk_store_destroy(e->k->from.store, key, LK_REASON_REPLACED, lk_now_s(lk_env_system())) != LK_OK) {
        if (copy_gives_up(&tries)) {
            return copy_lost(e->k, &e->k->from);
        }
    }
    return CLI_YES;
}

/* What the other store has, or had until it ended there, is over here. */
static int empty_batch(emptying *e)
{
    copying *k = e->k;
    size_t n = k->items_n;
    k->items_n = 0;
    for (size_t i = 0; i < n; i++) {
        k->loads[i] = (lk_load){
            .key = k->items[i].key, .head_only = true, .buf = k->heads + i * LK_HEAD_MAX, .cap = LK_HEAD_MAX};
    }
    int code = n > 0 ? copy_load(k, &k->to, k->loads, n) : CLI_YES;
    for (size_t i = 0; i < n && code == CLI_YES; i++) {
        bool is_known = k->loads[i].status == LK_OK || k->loads[i].status == LK_STALE;
        e->left += !is_known;
        code = is_known ? end_here(e, &k->loads[i].key) : CLI_YES;
    }
    return code == CLI_YES ? copy_step(k, n) : code;
}

static emptying *now_emptying; /* copy_walk hands over a `copying` */

static bool add(void *context, const lk_session *s)
{
    copying *k = context;
    k->items[k->items_n++].key = s->key;
    if (k->items_n == COPY_BATCH) {
        k->code = empty_batch(now_emptying);
    }
    return k->code == CLI_YES;
}

static int sweep(copying *k)
{
    lk_status status = LK_FULL;
    int64_t now_s = lk_now_s(lk_env_system()) + SWEEP_AHEAD_S;
    while (status == LK_FULL && !cli_must_stop(0)) {
        status = lk_store_sweep(k->from.store, now_s, SWEEP_ROWS, SWEEP_MS, NULL);
    }
    return status == LK_OK ? CLI_YES : copy_lost(k, &k->from);
}

int node_empty(node_draining *d, copying *k, uint64_t *left)
{
    emptying e = {.k = k};
    (void)d;
    now_emptying = &e;
    k->at = 0;
    cli_progress_begin(&k->progress, "ending what was moved", count_of(&k->from));
    int code = copy_walk(k, &k->from, add);
    code = code == CLI_YES ? empty_batch(&e) : code;
    code = code == CLI_YES && e.left == 0 ? sweep(k) : code;
    cli_progress_end(&k->progress);
    *left = e.left;
    return code;
}
