/* SPDX-License-Identifier: Apache-2.0
 *
 * lab_wire.h - one connection of the load: a request on its way, and the answer to it.
 */
#ifndef LATCHKEY_CLI_LAB_WIRE_H
#define LATCHKEY_CLI_LAB_WIRE_H

#include "lab_visit.h"

typedef struct lab_wire {
    int fd;       /* -1: closed */
    bool is_busy; /* an answer is waited for */
    lab_visitor *visitor;
    lab_kind kind;
    int64_t due_us, sent_us;
    char request[LAB_REQUEST_MAX];
    size_t request_len, written;
    lab_answer answer;
} lab_wire;

/* Connect W to PORT of this machine and tell EPOLL of it, with W as the data of its events. */
bool lab_wire_open(lab_wire *w, int epoll, unsigned port);
void lab_wire_close(lab_wire *w);
/* Write and read what can be. LK_OK: the answer is whole; LK_MISS: more is to come; LK_FAULT: the connection
 * is lost, or what came is no HTTP. */
LK_CHECKED lk_status lab_wire_go_on(lab_wire *w);

#endif
