/* SPDX-License-Identifier: Apache-2.0
 *
 * lab_visit.h - visitors of the lab: their cookies, the requests they send, the answers they get.
 */
#ifndef LATCHKEY_CLI_LAB_VISIT_H
#define LATCHKEY_CLI_LAB_VISIT_H

#include <latchkey/account.h>

#define LAB_COOKIES_MAX 8
#define LAB_COOKIE_NAME_MAX 64
#define LAB_COOKIE_VALUE_MAX 4200
#define LAB_REQUEST_MAX 24576
#define LAB_ANSWER_MAX 49152

typedef struct lab_cookie {
    char name[LAB_COOKIE_NAME_MAX];
    char *value; /* owned */
} lab_cookie;

typedef enum lab_state {
    LAB_OUT,  /* not logged in, or logged out by the system without having asked for it */
    LAB_IN,   /* logged in, as far as he knows */
    LAB_ENDED /* put out on purpose: sends nothing any more */
} lab_state;

typedef struct lab_visitor {
    char name[LK_USER_NAME_MAX + 1], id[LK_USER_ID_MAX + 1];
    char address[16]; /* where he comes from, as the balancer is told */
    lab_cookie cookies[LAB_COOKIES_MAX];
    size_t cookies_n;
    lab_state state;
    bool is_busy, was_lost;
    uint32_t changes;
} lab_visitor;

typedef enum lab_kind { LAB_GET, LAB_CHANGE, LAB_LOGIN } lab_kind;

/* An answer being read. */
typedef struct lab_answer {
    char text[LAB_ANSWER_MAX + 1];
    size_t len;
    size_t head_len; /* 0: the head is not whole yet */
    size_t body_len; /* SIZE_MAX: until the last chunk */
    unsigned status, app;
    bool closes;
    size_t credential_bytes; /* of the Set-Cookie lines */
} lab_answer;

void lab_visitor_forget(lab_visitor *v);

/* Write a request of V into OUT. *CREDENTIAL_BYTES gets the length of its Cookie and Authorization lines. The
 * length, or 0 when there was no room. BODY_MORE: further members of the body of a login. */
size_t lab_request(lab_visitor *v, lab_kind kind, const char *password, const char *body_more,
                   char out[LAB_REQUEST_MAX], size_t *credential_bytes);

void lab_answer_begin(lab_answer *a);
/* LEN more bytes are in a->text. LK_OK: the answer is whole; LK_MISS: more is to come; LK_REFUSED: no HTTP,
 * or longer than there is room. */
LK_CHECKED lk_status lab_answer_more(lab_answer *a, size_t len);
/* Take the cookies of a whole answer over, as a browser does. */
void lab_visitor_take(lab_visitor *v, lab_answer *a);

/* One request, waiting for its answer: for looking at a single node. A connection is kept from one to the
 * next. */
typedef struct lab_line {
    unsigned port;
    int fd; /* -1: none */
} lab_line;
/* The status of the answer; 0 when there was none in time. */
unsigned lab_ask(lab_line *line, lab_visitor *v, lab_kind kind, lab_answer *a);
unsigned lab_ask_path(lab_line *line, const char *path, lab_answer *a);
void lab_line_close(lab_line *line);

#endif
