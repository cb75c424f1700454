/* SPDX-License-Identifier: Apache-2.0
 *
 * node_drain.c - latchkey node drain: a node loses its visitors, and nobody his login.
 *
 * For nodes with a store each the order is what keeps everybody logged in: first the taking node reads the
 * other store too, then the balancer changes its mind, then the sessions are moved, then the taking node
 * stops reading both, and at last what was moved is ended where it was. Whatever interrupts it, the same
 * command goes on.
 */
#include "node_drain.h"
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#define HEAR_STEP_MS 200
#define HEAR_MS 10000
#define SETTLE_MS 3000 /* every worker of every balancer has looked by then */
#define LAST_ROUNDS 3

static json_t *answer_of(const char *name, const char *to)
{
    json_t *object = json_object();
    cli_set_text(object, "node", lk_view_of(name));
    cli_set_text(object, "state", LK_VIEW("drain"));
    cli_set_text(object, "to", lk_view_of(to));
    return object;
}

/* Nodes that share a store: nothing is moved. */
static int drain_visitors(const cli *c, const char *name, const char *to)
{
    int code = node_mark(c, name, to);
    if (code != CLI_YES) {
        return code;
    }
    return cli_done(
        c, answer_of(name, to),
        "%s takes nobody new; within two seconds its visitors go to %s. No session was moved: that is "
        "for nodes with a store each, see --to-conf",
        name, to != NULL ? to : "the others");
}

/* ---- with its sessions ---- */

/* A balancer holds a lock on the state file that it has read. Sessions are not taken from a node that
 * visitors are still sent to, because the file is not the one that the balancer reads. */
static bool is_heard(const char *file)
{
    int fd = open(file, O_RDONLY | O_CLOEXEC);
    bool heard = fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) != 0;
    if (fd >= 0) {
        (void)close(fd);
    }
    return heard;
}

static int wait_heard(const node_draining *d)
{
    const char *file = cli_get(d->c, "state");
    for (int64_t waited = 0; !is_heard(file); waited += HEAR_STEP_MS) {
        if (cli_must_stop(HEAR_STEP_MS)) {
            return cli_fault(d->c, "interrupted; nothing is lost: run the same command again");
        }
        if (waited >= HEAR_MS) {
            return cli_no(
                d->c, LK_REASON_NONE,
                "no balancer on this machine has read %s: is it the file of latchkey_sticky state=, and does "
                "the balancer take it (see its error log)? No session was moved",
                file);
        }
    }
    if (cli_must_stop(SETTLE_MS)) {
        return cli_fault(d->c, "interrupted; nothing is lost: run the same command again");
    }
    return CLI_YES;
}

static int open_stores(const node_draining *d, copying *k)
{
    int code = store_choose(d->c, d->from_url, &k->from);
    code = code == CLI_YES ? store_choose(d->c, d->to_url, &k->to) : code;
    return code == CLI_YES ? copy_open(k) : code;
}

static int answer(const node_draining *d, const copying *k, uint64_t left)
{
    char listed[CLI_NUMBER_MAX], number[CLI_NUMBER_MAX];
    int64_t took_ms = lk_env_system()->mono_ms(lk_env_system()) - k->begun_ms;
    if (left > 0) {
        return cli_no(d->c, LK_REASON_NONE,
                      "%s left: they came while the last were being moved; run the same command again",
                      cli_number(left, number));
    }
    json_t *object = answer_of(d->name, d->to);
    cli_set_number(object, "sessions", (int64_t)k->n.listed);
    cli_set_number(object, "copied", (int64_t)k->n.copied);
    cli_set_number(object, "left", 0);
    cli_set_number(object, "took_ms", took_ms);
    return cli_done(d->c, object, "%s sessions of %s are with %s; 0 left; %.1f s. %s may be stopped",
                    cli_number(k->n.listed, listed), d->name, d->to, (double)took_ms / 1000, d->name);
}

static int move_and_empty(node_draining *d, copying *k)
{
    uint64_t left = 0;
    int code = node_move_sessions(d, k);
    code = code == CLI_YES ? node_read_own(d) : code;
    code = code == CLI_YES ? node_empty(d, k, &left) : code;
    for (unsigned round = 0; round < LAST_ROUNDS && code == CLI_YES && left > 0; round++) {
        code = node_move_sessions(d, k);
        code = code == CLI_YES ? node_empty(d, k, &left) : code;
    }
    return code == CLI_YES ? answer(d, k, left) : code;
}

/* Refuse what cannot be before anything is touched. */
static int check_names(const node_draining *d)
{
    static lk_nodes nodes;
    lk_node *node = NULL, *heir = NULL;
    int code = node_read(d->c, false, &nodes);
    code = code == CLI_YES ? node_find(d->c, &nodes, d->name, &node) : code;
    code = code == CLI_YES ? node_find(d->c, &nodes, d->to, &heir) : code;
    if (code == CLI_YES && (node == heir || heir->drains)) {
        return cli_no(d->c, LK_REASON_NONE, "%s %s", d->to,
                      node == heir ? "is the node that is to be drained" : "is being drained itself");
    }
    return code;
}

static int drain_sessions(node_draining *d)
{
    static copying k;
    k = (copying){.c = d->c, .of_move = true};
    int code = copy_rate(d->c, &k.rate);
    code = code == CLI_YES ? check_names(d) : code;
    code = code == CLI_YES ? node_check(d) : code;
    code = code == CLI_YES ? open_stores(d, &k) : code;
    code = code == CLI_YES ? node_read_both(d) : code;
    code = code == CLI_YES ? node_mark(d->c, d->name, d->to) : code;
    code = code == CLI_YES ? wait_heard(d) : code;
    code = code == CLI_YES ? move_and_empty(d, &k) : code;
    copy_close(&k);
    if (code != CLI_YES && d->reads_both) {
        cli_remark("%s reads the store of %s as well until this command has come to its end", d->to, d->name);
    }
    return code;
}

int node_drain_run(cli *c)
{
    node_draining d = {.c = c,
                       .name = c->arguments[0],
                       .to = cli_get(c, "to"),
                       .to_conf = cli_get(c, "to-conf"),
                       .pid_file = cli_get(c, "to-pid")};
    if (d.to_conf == NULL && (cli_has(c, "conf") || cli_has(c, "to-pid") || cli_has(c, "rate"))) {
        return cli_wrong(
            c, "--conf, --to-pid and --rate are about sessions that are moved: --to-conf is missing");
    }
    if (d.to_conf == NULL) {
        return drain_visitors(c, d.name, d.to);
    }
    if (d.to == NULL || d.pid_file == NULL) {
        return cli_wrong(c, "--to-conf without %s",
                         d.to == NULL ? "--to: sessions are moved to one node; name it"
                                      : "--to-pid: the pid file of that node's nginx, which is "
                                        "reloaded twice");
    }
    cli_signals_hold();
    return drain_sessions(&d);
}
