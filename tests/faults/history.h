/* SPDX-License-Identifier: Apache-2.0
 *
 * history.h - what was answered to whom and when, line by line, and what must be so in the store because of
 * it.
 *
 *   BEGUN ENDED NODE OPERATION SESSION STATUS
 *
 * Times are milliseconds of the machine's monotonic clock; OPERATION is login, logout, change or check;
 * SESSION is the key in hexadecimal, or - where none was made; STATUS is a word of lk_status. Of a check: ok
 * is in, miss or stale is out, fault is could not look. Lines that begin with # are remarks. Whoever asks by
 * other means (HTTP) writes the same lines.
 */
#ifndef LATCHKEY_TESTS_FAULTS_HISTORY_H
#define LATCHKEY_TESTS_FAULTS_HISTORY_H

#include <latchkey/session.h>
#include <stdio.h>

typedef enum act { ACT_LOGIN, ACT_LOGOUT, ACT_CHANGE, ACT_CHECK, ACT_COUNT } act;

typedef struct line {
    int64_t begun_ms, ended_ms;
    unsigned node;
    act act;
    lk_session_key key; /* all zero where none was made */
    lk_status status;
} line;

/* Append LINE to the file FD (opened with O_APPEND: several processes write to one). */
bool history_write(int fd, const line *l);

typedef struct history {
    line *lines;
    size_t n;
} history;
/* Read FILE; lines are then ordered by session and time. False, having said why, when it is no history. */
bool history_read(const char *file, history *out);
void history_free(history *h);

/* What became of one session, by its lines. */
typedef struct fate {
    lk_session_key key;
    const line *lines;
    size_t n;
    bool is_login_known;     /* acknowledged */
    int64_t login_ms;        /* when it was */
    int64_t logout_begun_ms; /* of the first logout that was tried; INT64_MAX for none */
    int64_t logout_ms;       /* of the first that was acknowledged; INT64_MAX for none */
    unsigned changes, maybe; /* acknowledged, and those of which it is not known */
} fate;
/* Call EACH for every session of H. */
typedef void (*fate_each)(void *context, const fate *f);
void history_each(const history *h, fate_each each, void *context);

/* What happened while it went on. */
typedef struct tally {
    unsigned done[ACT_COUNT]; /* acknowledged; of checks: answered */
    unsigned failed;          /* full or fault */
    unsigned wrong;           /* any other answer than could be expected of a login or logout */
    int64_t longest_ms;       /* longest time in which a node had no success, of the node that had it worst */
    int64_t longest_write_ms; /* the same of logins and logouts alone */
    unsigned let_in;     /* checks begun BOUND_MS or more after an acknowledged logout that found it in */
    unsigned thrown_out; /* checks of an acknowledged login nobody had tried to end that found it out */
} tally;
void history_tally(const history *h, int64_t bound_ms, tally *out);

/* What is in the store, or in the view of a node, afterwards: asked for each session. */
typedef struct found {
    lk_status status; /* LK_OK: in. LK_FAULT: it could not be found out */
    bool has_count;
    int64_t changes; /* as the session itself counted them */
} found;
typedef found (*ask_each)(void *context, const lk_session_key *key);

typedef struct verdict {
    unsigned sessions;
    unsigned unknown;      /* could not be found out */
    unsigned lost_logins;  /* acknowledged, nobody tried to end it, and it is out */
    unsigned resurrected;  /* its end was acknowledged, and it is in */
    unsigned lost_changes; /* acknowledged changes that are not there */
    unsigned twice;        /* changes that are there more often than they were asked for */
} verdict;
void history_judge(const history *h, ask_each ask, void *context, verdict *out);

int64_t steady_ms(void);

#endif
