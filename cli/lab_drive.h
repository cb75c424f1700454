/* SPDX-License-Identifier: Apache-2.0
 *
 * lab_drive.h - load: many visitors at once, at a fixed rate or as fast as answers come.
 */
#ifndef LATCHKEY_CLI_LAB_DRIVE_H
#define LATCHKEY_CLI_LAB_DRIVE_H

#include "lab.h"

#define LAB_CONNECTIONS_MAX 64

typedef struct lab_load {
    unsigned connections;
    int64_t rate; /* requests a second; 0: the next as soon as there is an answer */
    int64_t ms;
    unsigned change_every, login_every; /* every so many requests; 0: none */
    bool everybody_logs_in;             /* each visitor once, and then it is over */
    int64_t blow_ms;                    /* when BLOW is called */
    void (*blow)(lab *l);
    lab_strip *strip; /* may be NULL */
} lab_load;

typedef struct lab_counted {
    uint64_t asked, well; /* well: answered as a visitor wants it */
} lab_counted;

typedef struct lab_tally {
    lab_counted kinds[3];  /* by lab_kind */
    lab_counted before[3]; /* of them, before the blow fell */
    uint64_t lost;         /* visitors who were logged in and were told that they are not */
    uint64_t failed;       /* requests without an answer, or with one that begins with 5 */
    uint64_t credential_bytes;
    uint64_t
        by_app[LAB_NODES + 1]; /* requests that got through, by the node that answered; 0: no word of it */
    uint32_t *us;              /* how long each took from when it was due; owned, unsorted */
    size_t us_n;
    int64_t took_us;
    int64_t first_failed_us, last_failed_us; /* since the beginning; -1: none */
} lab_tally;

/* CLI_YES; CLI_FAULT when it cannot be done at all, or the user wants it to end. Free with lab_tally_free. */
int lab_drive(lab *l, const lab_way *way, const lab_load *load, lab_tally *out);
void lab_tally_free(lab_tally *tally);
uint64_t lab_tally_asked(const lab_tally *tally);
/* The time that PART (0 to 1) of all answers came within, in ms. Puts them into order. */
double lab_tally_ms(lab_tally *tally, double part);

#endif
