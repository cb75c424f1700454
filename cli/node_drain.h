/* SPDX-License-Identifier: Apache-2.0
 *
 * node_drain.h - what the steps of `latchkey node drain` share.
 */
#ifndef LATCHKEY_CLI_NODE_DRAIN_H
#define LATCHKEY_CLI_NODE_DRAIN_H

#include "node.h"
#include "store_copy.h"
#include <sys/types.h>

typedef struct node_draining {
    const cli *c;
    const char *name, *to, *to_conf, *pid_file;
    char from_url[LK_URL_MAX], to_url[LK_URL_MAX];
    bool reads_both; /* the taking node's settings have our line */
    uint64_t moved;
} node_draining;

/* ---- node_taking.c: the taking node is told to read the drained one's store too, and to stop it ---- */

/* Read both settings and see that they fit. CLI_YES, else printed. */
int node_check(node_draining *d);
/* Write the line into the taking node's settings, or take it out, and reload its nginx. Back when new workers
 * serve; without the line, also when no old one is left. CLI_YES, else printed. */
int node_read_both(node_draining *d);
int node_read_own(node_draining *d);

/* ---- node_sessions.c ---- */

/* Every session of the drained node into the store of the taking one, until a while passes in which nothing
 * is left to do. CLI_YES, else printed. */
int node_move_sessions(node_draining *d, copying *k);
/* End them where they were: what is ended in one place later must not be found alive in the other. *LEFT:
 * those that the taking node does not have. */
int node_empty(node_draining *d, copying *k, uint64_t *left);

#endif
