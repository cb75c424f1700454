/* SPDX-License-Identifier: Apache-2.0
 *
 * serve_ready.c - asking the gateway, over its own socket, whether it is ready.
 */
#include "serve.h"
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

static int connect_health(const serve *s)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    struct timeval patience = {.tv_sec = 1};
    char path[LK_PATH_MAX];
    if (!serve_path(path, "%s/health.sock", s->dir) || strlen(path) >= sizeof at.sun_path) {
        return -1;
    }
    memcpy(at.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (connect(fd, (struct sockaddr *)&at, sizeof at) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

bool serve_is_ready(const serve *s)
{
    static const char request[] = "GET /auth/health/ready HTTP/1.0\r\nHost: localhost\r\n\r\n";
    char answer[16] = {0};
    size_t len = 0;
    int fd = connect_health(s);
    if (fd < 0) {
        return false;
    }
    if (send(fd, request, sizeof request - 1, MSG_NOSIGNAL) == (ssize_t)(sizeof request - 1)) {
        ssize_t n = 1;
        while (n > 0 && len < sizeof answer - 1) {
            n = recv(fd, answer + len, sizeof answer - 1 - len, 0);
            len += n > 0 ? (size_t)n : 0;
        }
    }
    close(fd);
    return strncmp(answer, "HTTP/1.1 200 ", 13) == 0;
}
