/* SPDX-License-Identifier: Apache-2.0
 *
 * progress.h - how far a long command has come, and being asked to stop.
 *
 * A bar on standard error where that is a terminal; nothing where it is not. SIGUSR1 is answered by a line in
 * either case. Signals are held and looked for at the steps of the work, so that none interrupts a call into
 * a store.
 */
#ifndef LATCHKEY_CLI_PROGRESS_H
#define LATCHKEY_CLI_PROGRESS_H

#include "command.h"

typedef struct cli_progress {
    const char *what;     /* "copying sessions" */
    uint64_t done, total; /* total 0: not known beforehand */
    uint64_t rated;       /* done when the rate was last taken */
    int64_t begun_ms, rated_ms, drawn_ms;
    double per_s; /* a moving mean of the last seconds; 0 at first */
    bool is_terminal, is_drawn;
} cli_progress;

/* Hold SIGINT, SIGTERM, SIGHUP and SIGUSR1 from now on: before any thread is made. */
void cli_signals_hold(void);
/* Wait at most WAIT_MS (0: only look) and hear what was sent. True: stop, as soon as that leaves things in
 * order. */
bool cli_must_stop(int64_t wait_ms);

void cli_progress_begin(cli_progress *p, const char *what, uint64_t total);
/* DONE so far. Draws a few times a second at most. */
void cli_progress_move(cli_progress *p, uint64_t done);
/* Take the bar away. */
void cli_progress_end(cli_progress *p);

/* 1234567 as "1,234,567". */
#define CLI_NUMBER_MAX 32
const char *cli_number(uint64_t number, char out[CLI_NUMBER_MAX]);

#endif
