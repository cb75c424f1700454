/* SPDX-License-Identifier: Apache-2.0
 *
 * explain_words.h - one step of an explanation after the other, in words.
 */
#ifndef LATCHKEY_GUARD_EXPLAIN_WORDS_H
#define LATCHKEY_GUARD_EXPLAIN_WORDS_H

#include <latchkey/explain.h>

/* Add a step. Gives whether it goes on: not after NO and UNKNOWN. */
bool lk__step(lk_explanation *e, const char *name, lk_step_answer answer, lk_reason why, const char *format,
              ...) LK_PRINTF(5, 6);
bool lk__step_yes(lk_explanation *e, const char *name, const char *format, ...) LK_PRINTF(3, 4);
bool lk__step_seen(lk_explanation *e, const char *name, const char *format, ...) LK_PRINTF(3, 4);
bool lk__step_no(lk_explanation *e, const char *name, lk_reason why, const char *format, ...) LK_PRINTF(4, 5);

#define LK__WORDS_MAX 96
typedef struct lk__words {
    char text[LK__WORDS_MAX];
} lk__words;
/* "2027-01-15T08:00:00Z, 3m 20s ago"; "never" for 0. */
lk__words lk__words_time(int64_t at_s, int64_t now_s);
/* "3m 20s" */
lk__words lk__words_length(int64_t seconds);
/* What a client wrote, fit to be shown: other than printable ASCII as '?', cut. */
lk__words lk__words_shown(lk_view text);
lk__words lk__words_id(const lk_session_key *key); /* the public id */

#endif
