/* SPDX-License-Identifier: Apache-2.0
 *
 * store_copy.h - what the steps of `latchkey store copy` share.
 */
#ifndef LATCHKEY_CLI_STORE_COPY_H
#define LATCHKEY_CLI_STORE_COPY_H

#include "progress.h"
#include "store.h"

#define COPY_BATCH 256
#define COPY_SAMPLES 1000
#define COPY_LANES_MAX 64

/* ---- lanes: one call per session into a store, many at once ---- */

typedef struct store_lanes store_lanes;
typedef void (*store_lane_work)(void *item, lk_store *store);

/* N lanes into the store of AT, which stays open until they are closed. CLI_YES, else printed. */
int store_lanes_open(const cli *c, const store_at *at, unsigned n, store_lanes **out);
/* Run WORK for each of the N items of SIZE bytes at ITEMS; back when all are done. */
void store_lanes_run(store_lanes *lanes, store_lane_work work, void *items, size_t size, size_t n);
void store_lanes_close(store_lanes *lanes);

/* ---- the copy ---- */

typedef struct copy_counts {
    uint64_t listed;      /* sessions of FROM looked at, in the first pass */
    uint64_t copied;      /* made in TO */
    uint64_t there;       /* in TO before */
    uint64_t updated;     /* in TO before, and brought up to date */
    uint64_t ended;       /* ended in TO, since they ended in FROM */
    uint64_t gone;        /* ended in FROM between being listed and being read */
    uint64_t ended_there; /* ended in TO already: not made again */
    uint64_t unreadable;  /* records of FROM that this version cannot read */
    uint64_t only_there;  /* in TO and not known to FROM */
    uint64_t unknown;     /* of those, such as may have ended in FROM */
    uint64_t differing;   /* in both, and not the same */
    uint64_t compared;    /* in full, byte by byte */
    uint64_t cutoffs, cutoffs_there;
} copy_counts;

/* One session of a batch. */
typedef struct copy_item {
    lk_session_key key, previous;
    uint8_t head[LK_HEAD_MAX]; /* as FROM has it */
    size_t head_len;
    bool of_chain;  /* not listed: the one that a listed one replaced a moment ago */
    bool is_wanted; /* to be made in TO: */
    lk_session s;   /* read in full from FROM */
    lk_status created;
} copy_item;

/* Times of earlier copies, ms; 0: none. */
typedef struct copy_marks {
    int64_t in_to_ms;   /* all of FROM was in TO, and TO says so */
    int64_t in_from_ms; /* all of TO was in FROM, and FROM says so */
    int64_t begun_ms;   /* when the pass over FROM began that is going on */
} copy_marks;

typedef struct copying {
    const cli *c;
    store_at from, to;
    store_lanes *lanes;
    cli_progress progress;
    copy_counts n;
    copy_marks marks;
    int64_t rate, lanes_n, begun_ms;
    int64_t next_ms;     /* when the next batch may begin */
    bool ends_unknown;   /* --end-unknown */
    bool of_move;        /* of `latchkey move`: FROM knows every session, so there are no marks to go by */
    bool leaves_unknown; /* of_move, and yet sessions of other nodes are in TO */
    bool only_ends;      /* no session is copied: only cut-offs and ends are */
    bool is_first;       /* the pass that counts what was there before */
    uint64_t at;         /* sessions this pass came to */
    uint64_t changed;    /* of them, those made or brought up to date */

    copy_item *items; /* COPY_BATCH of them */
    lk_load *loads;
    uint8_t *records, *heads; /* LK_RECORD_MAX and LK_HEAD_MAX for each item */
    size_t items_n;
    uint64_t offered; /* sessions offered as samples */
    lk_session_key samples[COPY_SAMPLES];
    size_t samples_n;
    int code; /* what a step that is handed sessions ended with */
} copying;

/* ---- store_copy.c ---- */

/* --rate, left alone when it was not given. CLI_YES or CLI_WRONG, printed. */
int copy_rate(const cli *c, int64_t *rate);
/* Open FROM and TO of K, which were chosen, and what the work needs. CLI_YES, else printed. */
int copy_open(copying *k);
/* Copy. CLI_YES, else printed; the counts are in K. */
int copy_work(copying *k);
void copy_close(copying *k);

/* Did a call to the store of AT fail for good? The first failures wait a moment and say no. TRIES starts at
 * 0.
 */
bool copy_gives_up(unsigned *tries);
/* Say that it did. */
int copy_lost(const copying *k, const store_at *at);
/* Read LOADS from the store of AT, again where it does not answer. CLI_YES; CLI_FAULT, printed. */
int copy_load(const copying *k, const store_at *at, lk_load *loads, size_t n);
/* N more were looked at: show it, keep to the rate, and stop when told to. CLI_YES; CLI_FAULT, printed. */
int copy_step(copying *k, size_t n);
/* Hand every live session of AT to EACH, which leaves an error in k->code. */
int copy_walk(copying *k, const store_at *at, lk_session_each each);

/* ---- the steps. CLI_YES, else printed. ---- */

/* store_copy_cutoffs.c: every cut-off of FROM that TO has not. */
int copy_cutoffs(copying *k);
/* CUT into TO. */
int copy_append(const copying *k, const lk_cutoff *cut);
/* store_copy_batch.c: all live sessions of FROM; those that are there are compared by their heads. */
int copy_sessions(copying *k);
/* store_copy_mend.c: what changed since. Bring the fields of KEY up to those of FROM. */
int copy_refresh(copying *k, const lk_session_key *key);
/* What ended in FROM is ended in TO. */
int copy_endings(copying *k);
/* The samples, read in full from both. */
int copy_compare(copying *k);

/* ---- store_copy_marks.c: what earlier copies know of a session that is in one store alone ---- */

bool copy_is_mark(const lk_cutoff *cut);
void copy_marks_read(copying *k, const cli_cutoffs *from, const cli_cutoffs *to);
/* A pass over FROM begins. */
void copy_marks_begin(copying *k);
/* All of FROM is in TO. */
int copy_marks_leave(copying *k);
/* Was S, which is in one store, made before TIME_MS, when it was in both, and not used since? */
bool copy_unused_since(const lk_session *s, int64_t time_ms);

#endif
