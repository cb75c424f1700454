/* SPDX-License-Identifier: Apache-2.0
 *
 * lab_wire.c - see lab_wire.h. Events are edges: all is written and read that can be, or none comes again.
 */
#include "lab_wire.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

void lab_wire_close(lab_wire *w)
{
    if (w->fd >= 0) {
        close(w->fd);
    }
    w->fd = -1;
}

bool lab_wire_open(lab_wire *w, int epoll, unsigned port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET | EPOLLRDHUP, .data.ptr = w};
    int one = 1;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    w->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (w->fd < 0) {
        return false;
    }
    (void)setsockopt(w->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if ((connect(w->fd, (struct sockaddr *)&at, sizeof at) != 0 && errno != EINPROGRESS) ||
        epoll_ctl(epoll, EPOLL_CTL_ADD, w->fd, &event) != 0) {
        lab_wire_close(w);
        return false;
    }
    return true;
}

/* ENOTCONN: still connecting. */
static bool is_for_later(void)
{
    return errno == EAGAIN || errno == EINTR || errno == ENOTCONN;
}

static lk_status write_on(lab_wire *w)
{
    while (w->written < w->request_len) {
        ssize_t n = send(w->fd, w->request + w->written, w->request_len - w->written, MSG_NOSIGNAL);
        if (n < 0 && is_for_later()) {
            return LK_MISS;
        }
        if (n <= 0) {
            return LK_FAULT;
        }
        w->written += (size_t)n;
    }
    return LK_OK;
}

static lk_status read_on(lab_wire *w)
{
    lab_answer *a = &w->answer;
    lk_status status = LK_MISS;
    while (status == LK_MISS) {
        ssize_t n = recv(w->fd, a->text + a->len, LAB_ANSWER_MAX - a->len, 0);
        if (n < 0 && is_for_later()) {
            return LK_MISS;
        }
        status = n > 0 ? lab_answer_more(a, (size_t)n) : LK_FAULT;
    }
    return status == LK_OK ? LK_OK : LK_FAULT;
}

lk_status lab_wire_go_on(lab_wire *w)
{
    lk_status status = write_on(w);
    return status == LK_OK ? read_on(w) : status;
}
