/* SPDX-License-Identifier: Apache-2.0
 *
 * serve_address.c - addresses to listen on and applications to pass to, checked to the letter: they are
 * written into nginx.conf.
 */
#include "serve.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static bool read_port(const char *text, unsigned *port)
{
    int64_t number = 0;
    if (lk_parse_i64(lk_view_of(text), &number) != LK_OK || number > 65535) {
        return false;
    }
    *port = (unsigned)number;
    return true;
}

/* Split "host:port", "[v6]:port" or "port". HOST is left empty for the last. */
static bool split(const char *text, char host[SERVE_HOST_MAX], unsigned *port)
{
    const char *colon = strrchr(text, ':');
    size_t len = colon != NULL ? (size_t)(colon - text) : 0;
    if (len >= SERVE_HOST_MAX || (colon != NULL && len == 0)) {
        return false;
    }
    memcpy(host, text, len);
    host[len] = '\0';
    return read_port(colon != NULL ? colon + 1 : text, port);
}

/* An IPv6 address in brackets, as in a URL. */
static bool read_v6(const char *host, struct in6_addr *out)
{
    char bare[INET6_ADDRSTRLEN];
    size_t len = strlen(host);
    if (len < 4 || len - 2 >= sizeof bare || host[0] != '[' || host[len - 1] != ']') {
        return false;
    }
    memcpy(bare, host + 1, len - 2);
    bare[len - 2] = '\0';
    return inet_pton(AF_INET6, bare, out) == 1;
}

static bool is_loopback(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;
    if (inet_pton(AF_INET, host, &v4) == 1) {
        return (ntohl(v4.s_addr) >> 24) == 127;
    }
    return read_v6(host, &v6) && IN6_IS_ADDR_LOOPBACK(&v6);
}

static bool is_address(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;
    return inet_pton(AF_INET, host, &v4) == 1 || read_v6(host, &v6);
}

int serve_listen(const cli *c, const char *text, serve_address *out)
{
    if (!split(text, out->host, &out->port)) {
        return cli_wrong(c, "--listen %s: expected ADDRESS:PORT, such as 127.0.0.1:8080 or [::1]:8080", text);
    }
    if (out->host[0] == '\0' || strcmp(out->host, "localhost") == 0) {
        snprintf(out->host, sizeof out->host, "127.0.0.1");
    } else if (strcmp(out->host, "*") == 0) {
        snprintf(out->host, sizeof out->host, "0.0.0.0");
    }
    if (!is_address(out->host)) {
        return cli_wrong(c, "--listen %s: give an address, not a name (an IPv6 one in brackets)", text);
    }
    out->loopback = is_loopback(out->host);
    return CLI_YES;
}

static bool is_host_name(const char *host)
{
    size_t len = strlen(host);
    return len > 0 && host[0] != '-' && host[0] != '.' &&
           strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-") == len;
}

int serve_app(const cli *c, const char *text, serve_address *out)
{
    char rest[SERVE_HOST_MAX + 8];
    const char *scheme = "http://";
    size_t len = strlen(text);
    bool fits = strncmp(text, scheme, strlen(scheme)) == 0 && len - strlen(scheme) < sizeof rest;
    if (fits) {
        snprintf(rest, sizeof rest, "%s", text + strlen(scheme));
        len = strlen(rest);
        if (len > 0 && rest[len - 1] == '/') {
            rest[len - 1] = '\0';
        }
    }
    if (!fits || !split(rest, out->host, &out->port) || out->port == 0 ||
        !(is_address(out->host) || is_host_name(out->host))) {
        return cli_wrong(c, "--app %s: expected http://HOST:PORT and nothing after it", text);
    }
    return CLI_YES;
}

static socklen_t to_socket_address(const serve_address *address, struct sockaddr_storage *out)
{
    memset(out, 0, sizeof *out);
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
    if (inet_pton(AF_INET, address->host, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)address->port);
        return sizeof *v4;
    }
    (void)read_v6(address->host, &v6->sin6_addr);
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons((uint16_t)address->port);
    return sizeof *v6;
}

int serve_claim(const cli *c, serve_address *address)
{
    struct sockaddr_storage at;
    socklen_t len = to_socket_address(address, &at);
    int one = 1, code = CLI_YES;
    int fd = socket(at.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return cli_fault(c, "no socket: %s", strerror(errno));
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&at, len) != 0 || listen(fd, 1) != 0) {
        code = cli_fault(c, "cannot listen on %s:%u: %s; choose another address with --listen", address->host,
                         address->port, strerror(errno));
    } else if (getsockname(fd, (struct sockaddr *)&at, &len) == 0) {
        address->port = ntohs(at.ss_family == AF_INET ? ((struct sockaddr_in *)&at)->sin_port
                                                      : ((struct sockaddr_in6 *)&at)->sin6_port);
    }
    close(fd);
    return code;
}
