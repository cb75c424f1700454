/* SPDX-License-Identifier: Apache-2.0
 *
 * move.h - what the files of `latchkey move` share; and moving the sessions of one store into another for
 * good.
 */
#ifndef LATCHKEY_CLI_MOVE_H
#define LATCHKEY_CLI_MOVE_H

#include "store_copy.h"

#define MOVE_NODES_MAX 32
#define MOVE_WORD_MAX (LK_URL_MAX + 64)

/* A way with its store, as latchkey.conf says it: words may be file:PATH or env:NAME. */
typedef struct move_side {
    char way[16];
    char store[MOVE_WORD_MAX], replica[MOVE_WORD_MAX]; /* replica "": none */
} move_side;

typedef enum move_phase {
    MOVE_NONE, /* no move is under way */
    MOVE_TO,   /* the way that is left leads, all is written to both */
    MOVE_FROM  /* the new way leads */
} move_phase;
const char *move_phase_name(move_phase phase);

typedef struct move_node {
    char conf[LK_PATH_MAX], dir[LK_PATH_MAX];
    move_phase phase;
    move_side old_side, new_side;                  /* new_side.way "" while no move is under way */
    char old_url[LK_URL_MAX], new_url[LK_URL_MAX]; /* what the words stand for */
    lk_settings settings;
} move_node;

typedef struct move {
    cli *c;
    move_node *nodes;
    size_t n;
    int64_t rate;
    json_t *said;       /* what each step did */
    copy_counts counts; /* of the last copy, over all nodes */
    uint64_t unseen;
} move;

/* ---- move_conf.c ---- */

/* Read the conf file of NODE. CLI_YES, else printed. */
int move_read(const cli *c, const char *conf, move_node *node);
/* Write it for PHASE, in the side of AT where that is MOVE_NONE, after a copy to FILE.before-move was made.
 * Settings that contradict each other are refused, and the file is as before. CLI_YES, else printed. */
int move_write(const cli *c, move_node *node, move_phase phase, const move_side *at);
/* The file as it was before the last move_write. */
int move_write_back(const cli *c, const move_node *node);

/* ---- move_reload.c ---- */

/* Have the gateway of NODE take its settings, and wait until no process works by the former ones. */
int move_reload(const cli *c, const move_node *node);

/* ---- move_steps.c: each is done for all nodes. CLI_YES, else printed. ---- */
int move_prepare(move *m);
int move_copy(move *m);
int move_verify(move *m);
int move_switch(move *m);
int move_finish(move *m);
int move_back(move *m);

bool move_is_between_stores(const move_node *node);

#endif
