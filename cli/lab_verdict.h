/* SPDX-License-Identifier: Apache-2.0
 *
 * lab_verdict.h - what the figures of a run say: which way meets which need, and for whom it is.
 */
#ifndef LATCHKEY_CLI_LAB_VERDICT_H
#define LATCHKEY_CLI_LAB_VERDICT_H

#include "lab.h"

#define LAB_TOLD_MAX 128

typedef enum lab_need {
    LAB_NEED_SURVIVE, /* the death of a node logs nobody out */
    LAB_NEED_BAN,     /* putting a user out holds on all nodes at once */
    LAB_NEED_READ,    /* requests are answered while the store is down */
    LAB_NEED_WRITE,   /* changes and logins, too */
    LAB_NEED_SERVERS, /* little to look after */
    LAB_NEED_MEMORY,  /* little memory for each user */
    LAB_NEED_BYTES,   /* small requests */
    LAB_NEED_SPEED,   /* nearly as fast as the fastest */
    LAB_NEED_EVEN,    /* the load is spread evenly */
    LAB_NEEDS
} lab_need;

/* Does R meet NEED, by the limits in lab_verdict.c? L is for the best of the run. */
bool lab_meets(const lab *l, const lab_result *r, lab_need need);
/* The figure behind that: "0 of 300 logins lost". */
void lab_tell(const lab_result *r, lab_need need, lab_language language, char out[LAB_TOLD_MAX]);
/* The need in words, as it goes on after "where ...". */
const char *lab_need_words(lab_need need, lab_language language);
/* What the limit is, for the page. */
void lab_limit_words(lab_need need, lab_language language, char out[LAB_TOLD_MAX]);

/* Somebody who has to choose. */
typedef struct lab_asker {
    const char *who[2];
    lab_need needs[4];
    size_t needs_n;
} lab_asker;
extern const lab_asker lab_askers[]; /* ends with needs_n of 0 */
/* Does R meet all that he needs? Otherwise *MISSING is the first that it does not. */
bool lab_suits(const lab *l, const lab_result *r, const lab_asker *asker, lab_need *missing);

#endif
