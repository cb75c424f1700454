/* SPDX-License-Identifier: Apache-2.0
 *
 * lab_visit.c - what a browser does, as far as the lab needs it: cookies kept and sent, HTTP/1.1 with
 * Content-Length or chunks. Redirects are not followed.
 */
#include "lab_visit.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATIENCE_MS 5000

/* ---- cookies ---- */

static void drop_cookie(lab_visitor *v, size_t at)
{
    free(v->cookies[at].value);
    v->cookies[at] = v->cookies[--v->cookies_n];
    v->cookies[v->cookies_n].value = NULL;
}

void lab_visitor_forget(lab_visitor *v)
{
    while (v->cookies_n > 0) {
        drop_cookie(v, v->cookies_n - 1);
    }
    v->state = LAB_OUT;
    v->is_busy = v->was_lost = false;
    v->changes = 0;
}

static size_t find_cookie(const lab_visitor *v, lk_view name)
{
    size_t at = 0;
    while (at < v->cookies_n && !lk_view_equal(lk_view_of(v->cookies[at].name), name)) {
        at++;
    }
    return at;
}

static void keep_cookie(lab_visitor *v, lk_view name, lk_view value)
{
    size_t at = find_cookie(v, name);
    if (at == LAB_COOKIES_MAX || name.len >= LAB_COOKIE_NAME_MAX || value.len > LAB_COOKIE_VALUE_MAX) {
        return;
    }
    char *copy = strndup((const char *)value.p, value.len);
    if (copy == NULL) {
        return;
    }
    if (at == v->cookies_n) {
        memcpy(v->cookies[at].name, name.p, name.len);
        v->cookies[at].name[name.len] = '\0';
        v->cookies_n++;
    } else {
        free(v->cookies[at].value);
    }
    v->cookies[at].value = copy;
}

/* "name=value; Path=/; Max-Age=0". */
static void take_cookie(lab_visitor *v, lk_view field)
{
    lk_view pair = lk_view_part(field, 0, lk_view_find(field, ';'));
    size_t equals = lk_view_find(pair, '=');
    lk_view name = lk_view_trim(lk_view_part(pair, 0, equals));
    lk_view value = lk_view_part(pair, equals + 1, pair.len);
    if (equals == pair.len || name.len == 0) {
        return;
    }
    if (memmem(field.p, field.len, "Max-Age=0", 9) != NULL) {
        size_t at = find_cookie(v, name);
        if (at < v->cookies_n) {
            drop_cookie(v, at);
        }
        return;
    }
    keep_cookie(v, name, value);
}

/* ---- requests ---- */

static void add_cookies(const lab_visitor *v, lk_buf *out)
{
    for (size_t i = 0; i < v->cookies_n; i++) {
        lk_buf_add_text(out, i == 0 ? "Cookie: " : "; ");
        lk_buf_add_text(out, v->cookies[i].name);
        lk_buf_add_byte(out, '=');
        lk_buf_add_text(out, v->cookies[i].value);
    }
    if (v->cookies_n > 0) {
        lk_buf_add_text(out, "\r\n");
    }
}

static void write_body(lab_visitor *v, lab_kind kind, const char *password, const char *more, lk_buf *body)
{
    switch (kind) {
    case LAB_GET:
        return;
    case LAB_CHANGE:
        lk_buf_add_printf(body, "{\"cart\":[\"tea\",\"lantern\"],\"visits\":%u}", ++v->changes);
        return;
    case LAB_LOGIN:
        lk_buf_add_printf(body, "{\"username\":\"%s\",\"password\":\"%s\"%s}", v->name, password, more);
        return;
    }
}

size_t lab_request(lab_visitor *v, lab_kind kind, const char *password, const char *body_more,
                   char out[LAB_REQUEST_MAX], size_t *credential_bytes)
{
    static const char *const first[] = {"GET /shop/cart", "PATCH /auth/session/data", "POST /auth/login"};
    char body_room[512];
    lk_buf to = lk_buf_over(out, LAB_REQUEST_MAX), body = lk_buf_over(body_room, sizeof body_room);
    write_body(v, kind, password, body_more, &body);
    lk_buf_add_printf(&to,
                      "%s HTTP/1.1\r\nHost: lab.localhost\r\nAccept: application/json\r\n"
                      "User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0\r\n"
                      "X-Forwarded-For: %s\r\n",
                      first[kind], v->address);
    size_t before = to.len;
    add_cookies(v, &to);
    *credential_bytes = to.len - before;
    if (kind != LAB_GET) {
        lk_buf_add_printf(&to, "Content-Type: application/json\r\nContent-Length: %zu\r\n", body.len);
    }
    lk_buf_add_text(&to, "\r\n");
    lk_buf_add(&to, lk_buf_view(&body));
    lk_wipe(body_room, sizeof body_room);
    return to.full || body.full ? 0 : to.len;
}

/* ---- answers ---- */

void lab_answer_begin(lab_answer *a)
{
    a->len = a->head_len = a->body_len = a->credential_bytes = 0;
    a->status = a->app = 0;
    a->closes = false;
}

/* The next line of the head, without its end. */
static bool next_line(const lab_answer *a, size_t *at, lk_view *line)
{
    if (*at + 2 >= a->head_len) {
        return false;
    }
    const char *begin = a->text + *at;
    const char *end = memmem(begin, a->head_len - *at, "\r\n", 2);
    *line = lk_view_make(begin, (size_t)(end - begin));
    *at += line->len + 2;
    return true;
}

static bool is_field(lk_view line, const char *name, lk_view *value)
{
    size_t len = strlen(name);
    if (line.len <= len || line.p[len] != ':' ||
        !lk_view_equal_nocase(lk_view_part(line, 0, len), lk_view_of(name))) {
        return false;
    }
    *value = lk_view_trim(lk_view_part(line, len + 1, line.len));
    return true;
}

static bool read_field(lab_answer *a, lk_view line)
{
    lk_view value;
    int64_t number = 0;
    if (is_field(line, "Content-Length", &value)) {
        if (lk_parse_i64(value, &number) != LK_OK || number > LAB_ANSWER_MAX) {
            return false;
        }
        a->body_len = (size_t)number;
    } else if (is_field(line, "Transfer-Encoding", &value)) {
        a->body_len = SIZE_MAX;
    } else if (is_field(line, "Connection", &value)) {
        a->closes = lk_view_equal_nocase(value, LK_VIEW("close"));
    } else if (is_field(line, "Lab-App", &value)) {
        a->app = lk_parse_i64(value, &number) == LK_OK && number > 0 && number < 100 ? (unsigned)number : 0;
    } else if (is_field(line, "Set-Cookie", &value)) {
        a->credential_bytes += line.len + 2;
    }
    return true;
}

static bool read_head(lab_answer *a)
{
    lk_view line;
    size_t at = 0;
    int64_t status = 0;
    if (!next_line(a, &at, &line) || line.len < 12 || memcmp(line.p, "HTTP/1.", 7) != 0 ||
        lk_parse_i64(lk_view_part(line, 9, 3), &status) != LK_OK || status < 100 || status > 599) {
        return false;
    }
    a->status = (unsigned)status;
    while (next_line(a, &at, &line)) {
        if (!read_field(a, line)) {
            return false;
        }
    }
    if (status == 204 || status == 304) {
        a->body_len = 0;
    }
    return true;
}

static bool is_body_whole(const lab_answer *a)
{
    static const char last[] = "\r\n0\r\n\r\n";
    size_t len = a->len - a->head_len;
    if (a->body_len != SIZE_MAX) {
        return len >= a->body_len;
    }
    /* A body without any chunk begins with the last one, after the line that ends the head. */
    const char *end = a->text + a->len;
    return len >= 5 && memcmp(end - (sizeof last - 1), last, sizeof last - 1) == 0;
}

lk_status lab_answer_more(lab_answer *a, size_t len)
{
    a->len += len;
    a->text[a->len] = '\0';
    if (a->head_len == 0) {
        const char *end = memmem(a->text, a->len, "\r\n\r\n", 4);
        if (end == NULL) {
            return a->len < LAB_ANSWER_MAX ? LK_MISS : LK_REFUSED;
        }
        a->head_len = (size_t)(end - a->text) + 4;
        if (!read_head(a)) {
            return LK_REFUSED;
        }
    }
    if (is_body_whole(a)) {
        return LK_OK;
    }
    return a->len < LAB_ANSWER_MAX ? LK_MISS : LK_REFUSED;
}

void lab_visitor_take(lab_visitor *v, lab_answer *a)
{
    lk_view line, value;
    for (size_t at = 0; next_line(a, &at, &line);) {
        if (is_field(line, "Set-Cookie", &value)) {
            take_cookie(v, value);
        }
    }
}

/* ---- one at a time ---- */

void lab_line_close(lab_line *line)
{
    if (line->fd >= 0) {
        close(line->fd);
        line->fd = -1;
    }
}

static bool line_open(lab_line *line)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)line->port)};
    struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};
    int one = 1;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    line->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (line->fd < 0) {
        return false;
    }
    (void)setsockopt(line->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    (void)setsockopt(line->fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    (void)setsockopt(line->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(line->fd, (struct sockaddr *)&at, sizeof at) != 0) {
        lab_line_close(line);
        return false;
    }
    return true;
}

static unsigned exchange(lab_line *line, const char *request, size_t len, lab_answer *a)
{
    lk_status status = LK_MISS;
    lab_answer_begin(a);
    if (send(line->fd, request, len, MSG_NOSIGNAL) != (ssize_t)len) {
        return 0;
    }
    while (status == LK_MISS) {
        ssize_t n = recv(line->fd, a->text + a->len, LAB_ANSWER_MAX - a->len, 0);
        if (n <= 0) {
            return 0;
        }
        status = lab_answer_more(a, (size_t)n);
    }
    return status == LK_OK ? a->status : 0;
}

/* A connection that the server closed meanwhile is no answer: once more, on a fresh one. */
static unsigned ask(lab_line *line, const char *request, size_t len, lab_answer *a)
{
    unsigned status = 0;
    bool was_open = line->fd >= 0;
    if (len == 0 || (!was_open && !line_open(line))) {
        return 0;
    }
    status = exchange(line, request, len, a);
    if (status == 0 && was_open) {
        lab_line_close(line);
        status = line_open(line) ? exchange(line, request, len, a) : 0;
    }
    if (status == 0 || a->closes) {
        lab_line_close(line);
    }
    return status;
}

unsigned lab_ask(lab_line *line, lab_visitor *v, lab_kind kind, lab_answer *a)
{
    char request[LAB_REQUEST_MAX];
    size_t bytes;
    return ask(line, request, lab_request(v, kind, "", "", request, &bytes), a);
}

unsigned lab_ask_path(lab_line *line, const char *path, lab_answer *a)
{
    char request[512];
    int len = snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: lab.localhost\r\n\r\n", path);
    return ask(line, request, len > 0 ? (size_t)len : 0, a);
}
