/* SPDX-License-Identifier: Apache-2.0
 *
 * node.h - one node of a cluster, at the level of the store or of the guard: people log in on it, log out,
 * use their sessions.
 */
#ifndef LATCHKEY_TESTS_FAULTS_NODE_H
#define LATCHKEY_TESTS_FAULTS_NODE_H

#include "shm/table.h"
#include <latchkey/guard.h>

/* What is the same for all nodes of a run. */
typedef struct cluster {
    bool has_guard;  /* a guard with near copies and a follower, as a gateway has; else the bare store */
    const char *dir; /* with the keys */
    int64_t idle_s;
    int64_t lag_ms;      /* latchkey_revocation_lag, with `ask` */
    bool has_own_clocks; /* each node believes its own clock, as it must not */
    const char *replica; /* a copy that is read from; NULL for none */
} cluster;

/* A session somebody holds: what a cookie would say. */
typedef struct ticket {
    lk_session_key key;
    char text[64]; /* with a guard */
} ticket;

typedef struct node {
    const cluster *of;
    lk_env base; /* the clock of this machine, which may be wrong */
    lk_cluster_clock clock;
    lk_settings settings;
    lk_table *table;
    lk_keyring *ring;
    lk_store *store;
    lk_guard *guard;
    int64_t upkept_ms;
} node;

/* Open a node over URL whose clock is OFFSET_MS off, retrying for some seconds. False, having said why. The
 * struct must stay where it is. */
bool node_open(node *n, const cluster *of, const char *url, int64_t offset_ms);
void node_close(node *n);

lk_status node_login(node *n, ticket *out);
lk_status node_logout(node *n, const ticket *t);
/* Add one to the field that counts. */
lk_status node_change(node *n, const ticket *t);
/* LK_OK: in; LK_STALE or LK_MISS: out; LK_FAULT: could not look. *COUNT (may be NULL) receives the field that
 * counts, -1 when that could not be read. */
lk_status node_check(node *n, const ticket *t, int64_t *count);
/* What a gateway does every second. */
void node_upkeep(node *n);

#endif
