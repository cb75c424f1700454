/* SPDX-License-Identifier: Apache-2.0
 *
 * node.c - latchkey node: the state file of the balancers that have `latchkey_sticky state=FILE`.
 */
#include "node.h"
#include <stdlib.h>
#include <string.h>

/* ---- the file ---- */

static int wanted_file(const cli *c, const char **path)
{
    *path = cli_get(c, "state");
    return *path != NULL
               ? CLI_YES
               : cli_wrong(
                     c,
                     "--state FILE is missing: the file that latchkey_sticky state= of the balancer names");
}

static int file_failed(const cli *c, lk_status status, const lk_note *note)
{
    switch (status) {
    case LK_OK:
        return CLI_YES;
    case LK_REFUSED:
    case LK_STALE:
    case LK_FULL:
        return cli_wrong(c, "%s", note->text);
    case LK_MISS:
    case LK_FAULT:
        break;
    }
    return cli_fault(c, "%s", note->text);
}

int node_read(const cli *c, bool empty_will_do, lk_nodes *out)
{
    const char *path;
    lk_note note = {{0}};
    int code = wanted_file(c, &path);
    if (code != CLI_YES) {
        return code;
    }
    lk_status status = lk_nodes_read(lk_env_system(), path, out, &note);
    return status == LK_MISS && empty_will_do ? CLI_YES : file_failed(c, status, &note);
}

/* Put NODES in its place. CLI_YES, else printed. */
static int write_nodes(const cli *c, const lk_nodes *nodes)
{
    lk_note note = {{0}};
    lk_status status = lk_nodes_write(lk_env_system(), cli_get(c, "state"), nodes, &note);
    return status == LK_REFUSED ? cli_no(c, LK_REASON_NONE, "%s", note.text) : file_failed(c, status, &note);
}

int node_find(const cli *c, lk_nodes *nodes, const char *name, lk_node **out)
{
    *out = lk_nodes_find(nodes, lk_view_of(name));
    return *out != NULL ? CLI_YES
                        : cli_no(c, LK_REASON_NONE, "there is no node '%s' in %s", name, cli_get(c, "state"));
}

int node_mark(const cli *c, const char *name, const char *to)
{
    static lk_nodes nodes;
    lk_node *node = NULL, *heir = NULL;
    int code = node_read(c, false, &nodes);
    code = code == CLI_YES ? node_find(c, &nodes, name, &node) : code;
    code = code == CLI_YES && to != NULL ? node_find(c, &nodes, to, &heir) : code;
    if (code != CLI_YES) {
        return code;
    }
    node->drains = true;
    node->to[0] = '\0';
    if (heir != NULL) {
        memcpy(node->to, heir->name, sizeof node->to);
    }
    return write_nodes(c, &nodes);
}

/* ---- list ---- */

static const cli_column list_columns[] = {
    {"name", "Node", CLI_TEXT},
    {"address", "Address", CLI_TEXT},
    {"state", "State", CLI_TEXT},
    {"to", "Visitors go to", CLI_TEXT},
    {0},
};

static int list(cli *c)
{
    static lk_nodes nodes;
    int code = node_read(c, false, &nodes);
    if (code != CLI_YES) {
        return code;
    }
    json_t *object = json_object(), *rows = json_array();
    for (size_t i = 0; i < nodes.n; i++) {
        json_t *row = json_object();
        cli_set_text(row, "name", lk_view_of(nodes.all[i].name));
        cli_set_text(row, "address", lk_view_of(nodes.all[i].address));
        cli_set_text(row, "state", lk_view_of(nodes.all[i].drains ? "drain" : "up"));
        cli_set_text(row, "to", lk_view_of(nodes.all[i].to));
        (void)json_array_append_new(rows, row);
    }
    (void)json_object_set_new(object, "nodes", rows);
    return cli_print_table(c, object, "nodes", list_columns, "no nodes");
}

/* ---- add, remove, undrain ---- */

static json_t *answer_of(const char *name, const char *state)
{
    json_t *object = json_object();
    cli_set_text(object, "node", lk_view_of(name));
    cli_set_text(object, "state", lk_view_of(state));
    return object;
}

static int add(cli *c)
{
    static lk_nodes nodes;
    const char *name = c->arguments[0], *address = c->arguments[1];
    int code = node_read(c, true, &nodes);
    if (code != CLI_YES) {
        return code;
    }
    if (lk_nodes_find(&nodes, lk_view_of(name)) != NULL || lk_nodes_at(&nodes, lk_view_of(address)) != NULL) {
        return cli_no(c, LK_REASON_NONE, "a node of this name or at this address is there already");
    }
    if (nodes.n == LK_NODES_MAX || strlen(name) >= LK_NODE_NAME_MAX ||
        strlen(address) >= LK_NODE_ADDRESS_MAX) {
        return cli_wrong(c, "%s", nodes.n == LK_NODES_MAX ? "there are too many nodes" : "that is too long");
    }
    lk_node *node = &nodes.all[nodes.n++];
    memset(node, 0, sizeof *node);
    memcpy(node->name, name, strlen(name));
    memcpy(node->address, address, strlen(address));
    code = write_nodes(c, &nodes);
    return code == CLI_YES ? cli_done(c, answer_of(name, "up"), "%s is up at %s", name, address) : code;
}

static int remove_one(cli *c)
{
    static lk_nodes nodes;
    lk_node *node = NULL;
    int code = node_read(c, false, &nodes);
    code = code == CLI_YES ? node_find(c, &nodes, c->arguments[0], &node) : code;
    if (code == CLI_YES) {
        size_t at = (size_t)(node - nodes.all);
        memmove(node, node + 1, (nodes.n - at - 1) * sizeof *node);
        nodes.n--;
        code = write_nodes(c, &nodes);
    }
    return code == CLI_YES
               ? cli_done(c, answer_of(c->arguments[0], "removed"),
                          "%s is in the list no more; a server that is in no list is up", c->arguments[0])
               : code;
}

static int undrain(cli *c)
{
    static lk_nodes nodes;
    lk_node *node = NULL;
    int code = node_read(c, false, &nodes);
    code = code == CLI_YES ? node_find(c, &nodes, c->arguments[0], &node) : code;
    if (code == CLI_YES) {
        node->drains = false;
        node->to[0] = '\0';
        code = write_nodes(c, &nodes);
    }
    return code == CLI_YES
               ? cli_done(c, answer_of(c->arguments[0], "up"),
                          "%s is up: it takes new visitors; who left it stays where he is", c->arguments[0])
               : code;
}

/* ---- the table ---- */

#define STATE_OPTION                                                                                         \
    {                                                                                                        \
        "state", "FILE", "the state file that latchkey_sticky state= of the balancer names"                  \
    }

static const cli_option state_options[] = {STATE_OPTION, {0}};
static const cli_option drain_options[] = {
    STATE_OPTION,
    {"to", "NAME", "the node its visitors and its sessions go to"},
    {"to-conf", "FILE", "the settings of that node; --conf are those of the one that is drained"},
    {"to-pid", "FILE", "the pid file of that node's nginx, which is reloaded twice"},
    {"rate", "N/s", "move at most that many sessions a second"},
    {0},
};

const cli_command cli_node_commands[] = {
    {"node", "list", "", 0, 0, state_options, "List the nodes of a balancer and what they do", NULL,
     "latchkey node list --state /var/lib/latchkey/nodes", list},
    {"node", "drain", "NAME", 1, 1, drain_options, "Take a node out of service without logging anybody out",
     "The balancer sends it nobody new, and its visitors to the node --to, or each where his hash says. "
     "With\n"
     "--to-conf its sessions are moved as well, until none is left: for nodes that have a store each. Nodes "
     "that\n"
     "share one store have nothing to move.",
     "latchkey node drain b --to a --conf /etc/latchkey/b.conf --to-conf /etc/latchkey/a.conf --to-pid "
     "/run/nginx-a.pid --state "
     "/var/lib/latchkey/nodes",
     node_drain_run},
    {"node", "undrain", "NAME", 1, 1, state_options, "Let a node take new visitors again",
     "Whoever left it stays where he is.", "latchkey node undrain b --state /var/lib/latchkey/nodes",
     undrain},
    {"node", "add", "NAME ADDRESS", 2, 2, state_options, "Give a server of the upstream a name",
     "ADDRESS as the upstream has it. The file is made when there is none.",
     "latchkey node add b 10.0.0.2:3000 --state /var/lib/latchkey/nodes", add},
    {"node", "remove", "NAME", 1, 1, state_options, "Forget the name of a server",
     "To be done before the server is taken out of the upstream. A server that is in no list is up.",
     "latchkey node remove b --state /var/lib/latchkey/nodes", remove_one},
    {0},
};
