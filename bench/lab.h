/* SPDX-License-Identifier: Apache-2.0
 *
 * lab.h - what the measuring programs of the stores share: clocks, orders, sessions by number, and nodes.
 */
#ifndef LATCHKEY_BENCH_LAB_H
#define LATCHKEY_BENCH_LAB_H

#include "shm/table.h"
#include <latchkey/guard.h>
#include <latchkey/keyring.h>

/* Ends the program, saying WHAT failed, unless OK. */
void must(bool ok, const char *what);
/* The same for a status that has to be LK_OK, with the note (may be NULL) that came with it. */
void must_ok(lk_status status, const char *what, const lk_note *note);

double now_ns(void); /* CLOCK_MONOTONIC: the same in all processes of this machine */

/* Of N values, which are put into order: the one that PART (0 to 1) of them are below. */
double part_of(double *values, size_t n, double part);

uint64_t next_random(uint64_t *state); /* xorshift; *STATE is anything but 0 */

/* Session number N: its key, and a record of about 300 bytes. Keys of real sessions are keyed hashes: any
 * spread will do. */
enum { AGENT_LEN = 90, USER_ROOM = 16 };
typedef struct made_session {
    lk_session s;
    char user[USER_ROOM], agent[AGENT_LEN];
} made_session;
lk_session_key key_of(unsigned n);
/* MADE must not move: the session points into it. */
void make_session(made_session *made, unsigned n, const char *user, int64_t now_s);

/* As `latchkey store init` does, then open. */
lk_store *open_store(const char *url);

/* What one gateway consists of: a table, a store, keys, a guard. */
typedef struct node {
    lk_settings settings;
    lk_cluster_clock clock;
    lk_table *table;
    lk_store *store;
    lk_keyring *ring;
    lk_guard *guard;
} node;
/* KEYS is a directory that all nodes of a cluster share, made if it is not there. */
void node_open(node *n, const char *url, const char *keys);
void node_close(node *n);
/* Log USER in. */
void node_login(node *n, lk_kind kind, const char *user, lk_issued *out);
/* Check the session id or token TEXT, as a gateway does for a request. */
lk_verdict node_check(node *n, lk_kind kind, const char *text);

#endif
