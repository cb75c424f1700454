/* SPDX-License-Identifier: Apache-2.0
 *
 * link.c - one connection to a Redis server: connecting, sending, receiving, each within a deadline.
 *
 * hiredis is used for reading RESP only. Its own waiting counts time anew for every read, so that a server
 * which sends a byte now and then would hold a thread for ever; here one deadline holds for all of it.
 */
#include "base/resolve.h"
#include "store/redis/redis_inner.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define READ_LEN 65536
#define OUT_FIRST 4096

int64_t lk__redis_now_ms(void)
{
    const lk_env *system = lk_env_system();

    return system->mono_ms(system);
}

/* ---- connecting ---- */

/* Wait for EVENTS. False when the deadline passed. */
static bool wait_for(int fd, short events, int64_t until_ms)
{
    struct pollfd p = {.fd = fd, .events = events};

    for (;;) {
        int64_t left_ms = until_ms - lk__redis_now_ms();
        int ready = poll(&p, 1, left_ms > 0 ? (int)left_ms : 0);

        if (ready > 0)
            return true;
        if (ready == 0 && left_ms <= 0)
            return false;
        if (ready < 0 && errno != EINTR)
            return true; /* what is wrong is told by the read or write that comes next */
    }
}

/* Connect a socket to ADDRESS. Gives the descriptor, or -1 with errno. */
static int dial(const struct sockaddr *address, socklen_t len, int64_t until_ms)
{
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), error = 0, on = 1;
    socklen_t error_len = sizeof(error);

    if (fd < 0)
        return -1;
    if (connect(fd, address, len) != 0) {
        error = errno;
        if (error == EINPROGRESS && !wait_for(fd, POLLOUT, until_ms))
            error = ETIMEDOUT;
        else if (error == EINPROGRESS && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &error_len) != 0)
            error = errno;
    }
    if (error != 0) {
        close(fd);
        errno = error;
        return -1;
    }
    if (address->sa_family != AF_UNIX) {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    }
    return fd;
}

static int dial_path(const char *path, int64_t until_ms)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t len = strlen(path);

    if (len >= sizeof(address.sun_path)) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(address.sun_path, path, len + 1);
    return dial((const struct sockaddr *)(const void *)&address, sizeof(address), until_ms);
}

/* All addresses of a name, in turn, within the deadline. */
static int dial_host(const lk__redis_address *at, int64_t until_ms, const char **why)
{
    struct addrinfo *found;
    int fd = -1, error = lk__resolve(at->host, at->port, until_ms, &found);

    if (error != 0) {
        *why = gai_strerror(error);
        return -1;
    }
    for (const struct addrinfo *one = found; one != NULL && fd < 0; one = one->ai_next)
        fd = dial(one->ai_addr, one->ai_addrlen, until_ms);
    error = errno;
    freeaddrinfo(found);
    errno = error;
    return fd;
}

static int dial_address(const lk__redis_address *at, int64_t until_ms, lk_note *note)
{
    const char *why = NULL;
    int fd = at->port == 0 ? dial_path(at->host, until_ms) : dial_host(at, until_ms, &why);
    char room[64];

    if (fd < 0) {
        if (why == NULL)
            why = strerror_r(errno, room, sizeof(room));
        lk_note_set(note, "%s does not answer: %s", lk__redis_name(at).text, why);
    }
    return fd;
}

/* ---- sending and receiving ---- */

static lk_status ended(lk__redis_link *link, lk__redis_end how)
{
    if (link->end == LK__REDIS_OPEN)
        link->end = how;
    return LK_FAULT;
}

/* Make room for LEN more bytes to send. */
static bool has_room(lk__redis_link *link, size_t len)
{
    size_t cap = link->out_cap > 0 ? link->out_cap : OUT_FIRST;
    uint8_t *more;

    if (link->out_cap - link->out_len >= len)
        return true;
    while (cap - link->out_len < len)
        cap *= 2;
    more = lk_alloc(link->env, cap);
    if (more == NULL)
        return false;
    if (link->out_len > 0)
        memcpy(more, link->out, link->out_len);
    lk_free(link->env, link->out);
    link->out = more;
    link->out_cap = cap;
    return true;
}

/* "*3\r\n" or "$17\r\n" */
static void put_len(lk__redis_link *link, char kind, size_t len)
{
    uint8_t digits[20];
    size_t n = 0;

    do
        digits[n++] = (uint8_t)('0' + len % 10);
    while ((len /= 10) > 0);
    link->out[link->out_len++] = (uint8_t)kind;
    while (n > 0)
        link->out[link->out_len++] = digits[--n];
    link->out[link->out_len++] = '\r';
    link->out[link->out_len++] = '\n';
}

void lk__redis_link_add(lk__redis_link *link, const lk_view *argv, unsigned argc)
{
    size_t len = 24;

    for (unsigned i = 0; i < argc; i++)
        len += argv[i].len + 26;
    if (link->end != LK__REDIS_OPEN)
        return;
    if (!has_room(link, len)) {
        (void)ended(link, LK__REDIS_SHORT);
        return;
    }
    put_len(link, '*', argc);
    for (unsigned i = 0; i < argc; i++) {
        put_len(link, '$', argv[i].len);
        if (argv[i].len > 0)
            memcpy(link->out + link->out_len, argv[i].p, argv[i].len);
        link->out_len += argv[i].len;
        link->out[link->out_len++] = '\r';
        link->out[link->out_len++] = '\n';
    }
    link->awaited++;
}

void lk__redis_link_add_words(lk__redis_link *link, const char *words)
{
    lk_view argv[8], rest = lk_view_of(words);
    unsigned argc = 0;

    while (argc < 8 && lk_words_next(&rest, &argv[argc]))
        argc++;
    lk__redis_link_add(link, argv, argc);
}

lk_status lk__redis_link_flush(lk__redis_link *link, int64_t until_ms)
{
    size_t sent = 0;

    while (sent < link->out_len && link->end == LK__REDIS_OPEN) {
        ssize_t n = send(link->fd, link->out + sent, link->out_len - sent, MSG_NOSIGNAL);

        if (n > 0)
            sent += (size_t)n;
        else if (n < 0 && errno != EAGAIN && errno != EINTR)
            return ended(link, LK__REDIS_LOST);
        else if (n < 0 && errno == EAGAIN && !wait_for(link->fd, POLLOUT, until_ms))
            return ended(link, LK__REDIS_LATE);
    }
    link->out_len = 0;
    return link->end == LK__REDIS_OPEN ? LK_OK : LK_FAULT;
}

/* Hand what has come to the parser. */
static lk_status receive(lk__redis_link *link, int64_t until_ms)
{
    char room[READ_LEN];

    for (;;) {
        ssize_t n = recv(link->fd, room, sizeof(room), 0);

        if (n > 0)
            return redisReaderFeed(link->reader, room, (size_t)n) == REDIS_OK ? LK_OK
                                                                              : ended(link, LK__REDIS_SHORT);
        if (n == 0 || (errno != EAGAIN && errno != EINTR))
            return ended(link, LK__REDIS_LOST);
        if (!wait_for(link->fd, POLLIN, until_ms))
            return ended(link, LK__REDIS_LATE);
    }
}

lk_status lk__redis_link_read(lk__redis_link *link, int64_t until_ms, redisReply **out)
{
    void *reply = NULL;

    *out = NULL;
    while (link->end == LK__REDIS_OPEN) {
        if (redisReaderGetReply(link->reader, &reply) != REDIS_OK)
            return ended(link, LK__REDIS_LOST);
        if (reply != NULL) {
            link->awaited--;
            *out = reply;
            return LK_OK;
        }
        if (receive(link, until_ms) != LK_OK)
            return LK_FAULT;
        /* A slow drip gets here again and again without an answer being whole. */
        if (lk__redis_now_ms() > until_ms + 1)
            return ended(link, LK__REDIS_LATE);
    }
    return LK_FAULT;
}

bool lk__redis_link_is_stale(const lk__redis_link *link)
{
    struct pollfd p = {.fd = link->fd, .events = POLLIN};

    return poll(&p, 1, 0) != 0;
}

void lk__redis_link_close(lk__redis_link *link)
{
    if (link == NULL)
        return;
    close(link->fd);
    redisReaderFree(link->reader);
    lk_free(link->env, link->out);
    lk_free(link->env, link);
}

/* ---- making ready ---- */

static lk__redis_link *link_over(const lk_env *env, int fd)
{
    lk__redis_link *link = lk_alloc(env, sizeof(*link));

    if (link == NULL)
        return NULL;
    link->env = env;
    link->fd = fd;
    link->reader = redisReaderCreate();
    if (link->reader == NULL) {
        lk_free(env, link);
        return NULL;
    }
    link->reader->maxbuf = 0; /* keep the buffer between answers */
    return link;
}

static void add_login(lk__redis_link *link, const lk__redis_config *config)
{
    lk_view argv[3] = {LK_VIEW("AUTH"), lk_view_of(config->user), lk_view_of(config->password)};

    if (config->user[0] == '\0') /* the way of servers before 6.0, which the others know too */
        argv[1] = argv[2];
    lk__redis_link_add(link, argv, config->user[0] == '\0' ? 2 : 3);
}

lk_status lk__redis_judge(const redisReply *error, const char *who, lk_note *note)
{
    /* "ERR invalid password" before 6.0, "ERR AUTH <password> called without any password configured" */
    bool is_login = lk__redis_is_error(error, "WRONGPASS") || lk__redis_is_error(error, "NOAUTH") ||
                    strstr(error->str, "password") != NULL;
    bool is_right = lk__redis_is_error(error, "NOPERM"), is_address = lk__redis_is_error(error, "DENIED");

    lk_note_set(note, "%s says: %.180s%s", who, error->str,
                is_login   ? " - check user and password in the URL"
                : is_right ? " - docs/stores/redis.md names the rights that are needed"
                           : "");
    return is_login || is_right || is_address || strstr(error->str, "DB index") != NULL ? LK_REFUSED
                                                                                        : LK_FAULT;
}

static bool is_primary(const redisReply *role)
{
    return role->type == REDIS_REPLY_ARRAY && role->elements > 0 &&
           lk_view_equal(lk__redis_bytes(role->element[0]), LK_VIEW("master"));
}

/* Read the answers to what make_ready has sent; ROLE's comes last. */
static lk_status read_welcome(lk__redis_link *link, const lk__redis_address *at, unsigned how,
                              int64_t until_ms, lk_note *note)
{
    lk_status status = LK_OK;

    while (link->awaited > 0 && status == LK_OK) {
        redisReply *reply;

        if (lk__redis_link_read(link, until_ms, &reply) != LK_OK) {
            lk_note_set(note, "%s %s", lk__redis_name(at).text,
                        link->end == LK__REDIS_LATE ? "takes the connection but does not answer in time"
                                                    : "closed the connection");
            return LK_FAULT;
        }
        if (reply->type == REDIS_REPLY_ERROR)
            status = lk__redis_judge(reply, lk__redis_name(at).text, note);
        if (status == LK_OK && link->awaited == 0 && (how & LK__REDIS_PRIMARY_ONLY) != 0 &&
            !is_primary(reply)) {
            lk_note_set(note, "%s is not a primary", lk__redis_name(at).text);
            status = LK_STALE;
        }
        freeReplyObject(reply);
    }
    return status;
}

static lk_status make_ready(lk__redis_link *link, const lk__redis_config *config, const lk__redis_address *at,
                            unsigned how, int64_t until_ms, lk_note *note)
{
    char select[32];
    lk_status status;

    if ((how & LK__REDIS_BARE) != 0)
        return LK_OK;
    if (config->password[0] != '\0')
        add_login(link, config);
    if (config->db > 0) {
        snprintf(select, sizeof(select), "SELECT %u", (unsigned)config->db);
        lk__redis_link_add_words(link, select);
    }
    if ((how & LK__REDIS_PRIMARY_ONLY) != 0)
        lk__redis_link_add_words(link, "ROLE");
    status = lk__redis_link_flush(link, until_ms);
    lk_wipe(link->out, link->out_cap); /* the password */
    if (status != LK_OK) {
        lk_note_set(note, "%s closed the connection", lk__redis_name(at).text);
        return LK_FAULT;
    }
    return read_welcome(link, at, how, until_ms, note);
}

lk_status lk__redis_link_open(const lk_env *env, const lk__redis_config *config, const lk__redis_address *at,
                              unsigned how, int64_t until_ms, lk__redis_link **out, lk_note *note)
{
    lk__redis_link *link;
    lk_status status;
    int fd = dial_address(at, until_ms, note);

    *out = NULL;
    if (fd < 0)
        return LK_FAULT;
    link = link_over(env, fd);
    if (link == NULL) {
        close(fd);
        lk_note_set(note, "out of memory");
        return LK_FULL;
    }
    status = make_ready(link, config, at, how, until_ms, note);
    if (status != LK_OK) {
        if (link->end == LK__REDIS_SHORT)
            status = LK_FULL;
        lk__redis_link_close(link);
        return status;
    }
    *out = link;
    return LK_OK;
}
