/* SPDX-License-Identifier: Apache-2.0
 *
 * node_drain.c - latchkey node drain: a node loses its visitors, and nobody his login.
 */
#include "node.h"
#include <string.h>

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

int node_drain_run(cli *c)
{
    const char *to = cli_get(c, "to"), *to_conf = cli_get(c, "to-conf");
    if (to_conf == NULL && (cli_has(c, "conf") || cli_has(c, "rate"))) {
        return cli_wrong(c, "--conf and --rate are about sessions that are moved: --to-conf is missing");
    }
    if (to_conf != NULL && to == NULL) {
        return cli_wrong(c, "--to-conf without --to: sessions are moved to one node; name it");
    }
    return drain_visitors(c, c->arguments[0], to);
}
