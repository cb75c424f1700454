/* SPDX-License-Identifier: Apache-2.0
 *
 * nodes.h - the state file of a balancer: which nodes there are, and which of them takes nobody new.
 *
 *   file  = *( line LF )
 *   line  = node / "#" anything / nothing
 *   node  = NAME ADDRESS "up"
 *         / NAME ADDRESS "drain" [ "to" NAME ]
 *
 * NAME is 1 to 63 letters, digits, '.', '-' and '_'; ADDRESS is the server as the upstream has it
 * ("10.0.0.1:3000", "unix:/run/app.socket"). Blanks and tabs part words. `latchkey node` writes it, balancers
 * read it: whoever can write it decides where visitors go, so it belongs to root or the gateway's user.
 */
#ifndef LATCHKEY_SETTINGS_NODES_H
#define LATCHKEY_SETTINGS_NODES_H

#include <latchkey/env.h>

#define LK_NODES_MAX 256
#define LK_NODE_NAME_MAX 64     /* with its NUL */
#define LK_NODE_ADDRESS_MAX 160 /* the path of a unix socket has at most 107 */
#define LK_NODES_FILE_MAX (64u << 10)

typedef struct lk_node {
    char name[LK_NODE_NAME_MAX];
    char address[LK_NODE_ADDRESS_MAX];
    char to[LK_NODE_NAME_MAX]; /* where its visitors go; empty: each where his hash says */
    bool drains;
} lk_node;

typedef struct lk_nodes {
    size_t n;
    lk_node all[LK_NODES_MAX];
} lk_nodes;

/* Read TEXT. LK_OK; LK_REFUSED with the line and the rule in the note, *out is then not to be used. Refused
 * are also: a name or an address twice, a drain to a node that is not there, to itself, or to one that drains
 * too, and nodes that all drain. */
LK_CHECKED lk_status lk_nodes_parse(lk_view text, lk_nodes *out, lk_note *note);

/* Read the file PATH. LK_OK; LK_MISS when there is none; LK_REFUSED as above; LK_FAULT when it cannot be
 * read. */
LK_CHECKED lk_status lk_nodes_read(const lk_env *env, const char *path, lk_nodes *out, lk_note *note);

/* Put NODES in place of the file PATH in one step, with the owner and the rights of the one that was there
 * (0644 for a new one). LK_OK; LK_REFUSED for what lk_nodes_parse would refuse; LK_FAULT. */
LK_CHECKED lk_status lk_nodes_write(const lk_env *env, const char *path, const lk_nodes *nodes,
                                    lk_note *note);

/* The node NAME, or NULL. */
lk_node *lk_nodes_find(lk_nodes *nodes, lk_view name);
/* The node at ADDRESS, or NULL. */
lk_node *lk_nodes_at(lk_nodes *nodes, lk_view address);

#endif
