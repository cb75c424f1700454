/* SPDX-License-Identifier: Apache-2.0
 *
 * lab_app.c - the application behind a node: who are you, and which node is this? It believes Remote-User, as
 * an application behind the gateway may.
 *
 * Requests have no body: changes of data go to the gateway.
 */
#include "lab.h"
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEAD_MAX 32768
#define CALLS_MAX 512
#define EVENTS_MAX 64

typedef struct call {
    char head[HEAD_MAX + 1];
    size_t len;
    int fd;
} call;

static lk_view user_of(const char *head)
{
    const char *field = strcasestr(head, "\r\nRemote-User:");
    if (field == NULL) {
        return (lk_view){0};
    }
    field += strlen("\r\nRemote-User:");
    return lk_view_trim(lk_view_make(field, strcspn(field, "\r")));
}

static bool answer(const call *k, unsigned number)
{
    char text[512], body[256];
    lk_view user = user_of(k->head);
    int body_len = snprintf(body, sizeof body, "{\"app\":%u,\"user\":\"%.*s\"}\n", number,
                            (int)(user.len < 100 ? user.len : 100), user.len > 0 ? (const char *)user.p : "");
    int len = snprintf(text, sizeof text,
                       "HTTP/1.1 %s\r\nContent-Type: application/json\r\nLab-App: %u\r\n"
                       "Content-Length: %d\r\n\r\n%s",
                       user.len > 0 ? "200 OK" : "401 Unauthorized", number, body_len, body);
    return send(k->fd, text, (size_t)len, MSG_NOSIGNAL) == len;
}

static bool hear(call *k, unsigned number)
{
    ssize_t n = recv(k->fd, k->head + k->len, HEAD_MAX - k->len, MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return true;
    }
    if (n <= 0) {
        return false;
    }
    k->len += (size_t)n;
    k->head[k->len] = '\0';
    char *end;
    while ((end = memmem(k->head, k->len, "\r\n\r\n", 4)) != NULL) {
        size_t used = (size_t)(end - k->head) + 4;
        *end = '\0';
        if (!answer(k, number)) {
            return false;
        }
        k->len -= used;
        memmove(k->head, k->head + used, k->len + 1);
    }
    return k->len < HEAD_MAX;
}

static void welcome(int epoll, int listening, unsigned *open)
{
    int fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
    call *k = fd >= 0 && *open < CALLS_MAX ? calloc(1, sizeof *k) : NULL;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = k};
    if (k == NULL || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
        free(k);
        if (fd >= 0) {
            close(fd);
        }
        return;
    }
    k->fd = fd;
    (*open)++;
}

void lab_app_run(int fd, unsigned number)
{
    struct epoll_event events[EVENTS_MAX], listening = {.events = EPOLLIN, .data.ptr = NULL};
    unsigned open = 0;
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    if (epoll < 0 || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &listening) != 0) {
        return;
    }
    for (;;) {
        int n = epoll_wait(epoll, events, EVENTS_MAX, -1);
        for (int i = 0; i < n; i++) {
            call *k = events[i].data.ptr;
            if (k == NULL) {
                welcome(epoll, fd, &open);
            } else if (!hear(k, number)) {
                close(k->fd);
                free(k);
                open--;
            }
        }
        if (n < 0 && errno != EINTR) {
            return;
        }
    }
}
