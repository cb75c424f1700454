/* SPDX-License-Identifier: Apache-2.0
 *
 * node.h - what the commands of `latchkey node` share: the state file of the balancers.
 */
#ifndef LATCHKEY_CLI_NODE_H
#define LATCHKEY_CLI_NODE_H

#include "output.h"
#include "settings/nodes.h"

/* Read the file of --state. Without one, CLI_FAULT, unless EMPTY_WILL_DO. CLI_YES, else printed. */
int node_read(const cli *c, bool empty_will_do, lk_nodes *out);
/* The node NAME of NODES. CLI_YES; CLI_NO, printed. */
int node_find(const cli *c, lk_nodes *nodes, const char *name, lk_node **out);
/* Mark NAME as drained, to TO (NULL: to nobody in particular), in the file. CLI_YES, else printed. */
int node_mark(const cli *c, const char *name, const char *to);

/* node_drain.c: the command. */
int node_drain_run(cli *c);

#endif
