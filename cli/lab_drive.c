/* SPDX-License-Identifier: Apache-2.0
 *
 * lab_drive.c - the load, from one event loop.
 *
 * At a fixed rate a request is due whether or not earlier ones were answered, and its time counts from when
 * it was due: a system that stops for a second shows that second, and not one slow answer.
 */
#include "lab_drive.h"
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define PATIENCE_US 5000000 /* then a request has failed */
#define DUE_US 2000000      /* for so long a request that is due waits for a connection */
#define TURN_MS 5
#define SAMPLES_MAX 2000000

typedef struct wire {
    int fd; /* -1: closed */
    bool is_busy, is_writing;
    lab_visitor *visitor;
    lab_kind kind;
    int64_t due_us, sent_us;
    char request[LAB_REQUEST_MAX];
    size_t request_len, written;
    lab_answer answer;
} wire;

typedef struct drive {
    lab *l;
    const lab_way *way;
    const lab_load *load;
    lab_tally *tally;
    int epoll;
    wire *wires;
    int64_t begun_us, now_us, told_us;
    uint64_t due_n; /* requests that were due so far and were begun, or given up */
    uint64_t random;
    size_t next_user; /* for a load in which everybody logs in */
    bool is_blown, is_over;
} drive;

/* ---- what became of a request ---- */

static void put_bucket(drive *d, bool ok, bool lost)
{
    lab_strip *strip = d->load->strip;
    size_t at = (size_t)((d->now_us - d->begun_us) / 1000 / LAB_BUCKET_MS);
    if (strip == NULL || at >= LAB_BUCKETS_MAX) {
        return;
    }
    strip->n = at + 1 > strip->n ? at + 1 : strip->n;
    if (ok) {
        strip->buckets[at].ok++;
    } else if (lost) {
        strip->buckets[at].lost++;
    } else {
        strip->buckets[at].failed++;
    }
}

static void count_failed(drive *d)
{
    int64_t at_us = d->now_us - d->begun_us;
    d->tally->failed++;
    d->tally->first_failed_us = d->tally->first_failed_us < 0 ? at_us : d->tally->first_failed_us;
    d->tally->last_failed_us = at_us;
    put_bucket(d, false, false);
}

static void take_time(drive *d, const wire *w)
{
    int64_t us = d->now_us - w->due_us;
    if (d->tally->us_n < SAMPLES_MAX) {
        d->tally->us[d->tally->us_n++] = us < 0 ? 0 : us > UINT32_MAX ? UINT32_MAX : (uint32_t)us;
    }
}

/* He is told to log in although he is: what this laboratory is about. */
static void lose(drive *d, lab_visitor *v)
{
    if (v->state == LAB_IN) {
        d->tally->lost++;
        v->was_lost = true;
        v->state = LAB_OUT;
    }
    put_bucket(d, false, true);
}

static void judge(drive *d, wire *w)
{
    lab_answer *a = &w->answer;
    lab_visitor *v = w->visitor;
    d->tally->credential_bytes += a->credential_bytes;
    lab_visitor_take(v, a);
    if (a->status >= 500) {
        count_failed(d);
        return;
    }
    take_time(d, w);
    if (a->status == 401 && w->kind != LAB_LOGIN) {
        lose(d, v);
        return;
    }
    if (a->status >= 300) {
        count_failed(d);
        return;
    }
    d->tally->kinds[w->kind].well++;
    d->tally->by_app[w->kind == LAB_GET && a->app <= LAB_NODES ? a->app : 0]++;
    if (w->kind == LAB_LOGIN) {
        v->state = LAB_IN;
    }
    put_bucket(d, true, false);
}

/* ---- connections ---- */

static void wire_close(wire *w)
{
    if (w->fd >= 0) {
        close(w->fd);
    }
    w->fd = -1;
}

static void wire_done(wire *w)
{
    if (w->visitor != NULL) {
        w->visitor->is_busy = false;
    }
    w->visitor = NULL;
    w->is_busy = w->is_writing = false;
}

static void wire_failed(drive *d, wire *w)
{
    wire_close(w);
    count_failed(d);
    wire_done(w);
}

static bool wire_open(drive *d, wire *w)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)d->l->balancer_port)};
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET | EPOLLRDHUP, .data.ptr = w};
    int one = 1;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    w->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (w->fd < 0) {
        return false;
    }
    (void)setsockopt(w->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if ((connect(w->fd, (struct sockaddr *)&at, sizeof at) != 0 && errno != EINPROGRESS) ||
        epoll_ctl(d->epoll, EPOLL_CTL_ADD, w->fd, &event) != 0) {
        wire_close(w);
        return false;
    }
    return true;
}

static void wire_write(drive *d, wire *w)
{
    while (w->written < w->request_len) {
        ssize_t n = send(w->fd, w->request + w->written, w->request_len - w->written, MSG_NOSIGNAL);
        if (n < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOTCONN)) {
            return;
        }
        if (n <= 0) {
            wire_failed(d, w);
            return;
        }
        w->written += (size_t)n;
    }
    w->is_writing = false;
}

/* The answer is whole. */
static void wire_answered(drive *d, wire *w)
{
    judge(d, w);
    if (w->answer.closes) {
        wire_close(w);
    }
    wire_done(w);
}

static void wire_read(drive *d, wire *w)
{
    for (;;) {
        lab_answer *a = &w->answer;
        ssize_t n = recv(w->fd, a->text + a->len, LAB_ANSWER_MAX - a->len, 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            return;
        }
        lk_status status = n > 0 ? lab_answer_more(a, (size_t)n) : LK_REFUSED;
        if (status == LK_OK) {
            wire_answered(d, w);
            return;
        }
        if (status != LK_MISS) {
            wire_failed(d, w);
            return;
        }
    }
}

static void wire_event(drive *d, wire *w, uint32_t events)
{
    if (w->fd < 0) {
        return;
    }
    if (!w->is_busy) {
        if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR)) {
            wire_close(w); /* nothing was asked, so this is the end of it */
        }
        return;
    }
    if (w->is_writing) {
        wire_write(d, w);
    }
    if (w->is_busy && w->fd >= 0 && (events & ~(uint32_t)EPOLLOUT) != 0) {
        wire_read(d, w);
    }
}

/* ---- requests ---- */

static uint64_t next_random(drive *d)
{
    d->random ^= d->random << 13;
    d->random ^= d->random >> 7;
    d->random ^= d->random << 17;
    return d->random;
}

static lab_visitor *everybody(drive *d)
{
    return d->next_user < (size_t)d->l->users_n ? &d->l->users[d->next_user++] : NULL;
}

/* Anybody who is not waiting for an answer and has not been put out. */
static lab_visitor *somebody(drive *d)
{
    size_t n = (size_t)d->l->users_n, at = (size_t)(next_random(d) % n);
    for (size_t i = 0; i < n; i++) {
        lab_visitor *v = &d->l->users[(at + i) % n];
        if (!v->is_busy && v->state != LAB_ENDED) {
            return v;
        }
    }
    return NULL;
}

static lab_kind choose_kind(const drive *d, const lab_visitor *v)
{
    const lab_load *load = d->load;
    if (v->state == LAB_OUT || (load->login_every > 0 && d->due_n % load->login_every == 0)) {
        return LAB_LOGIN;
    }
    return load->change_every > 0 && d->due_n % load->change_every == 1 ? LAB_CHANGE : LAB_GET;
}

static bool begin(drive *d, wire *w, int64_t due_us)
{
    lab_visitor *v = d->load->everybody_logs_in ? everybody(d) : somebody(d);
    size_t bytes = 0;
    if (v == NULL) {
        d->is_over = d->load->everybody_logs_in;
        return false;
    }
    w->kind = choose_kind(d, v);
    w->request_len = lab_request(v, w->kind, d->l->secret, d->way->login, w->request, &bytes);
    d->due_n++;
    d->tally->kinds[w->kind].asked++;
    if (w->request_len == 0 || (w->fd < 0 && !wire_open(d, w))) {
        count_failed(d);
        return true;
    }
    d->tally->credential_bytes += bytes;
    v->is_busy = w->is_busy = w->is_writing = true;
    w->visitor = v;
    w->due_us = due_us;
    w->sent_us = d->now_us;
    w->written = 0;
    lab_answer_begin(&w->answer);
    wire_write(d, w);
    return true;
}

static wire *free_wire(drive *d)
{
    for (size_t i = 0; i < d->load->connections; i++) {
        if (!d->wires[i].is_busy) {
            return &d->wires[i];
        }
    }
    return NULL;
}

static int64_t due_us(const drive *d)
{
    return d->begun_us + (int64_t)d->due_n * 1000000 / d->load->rate;
}

/* What is due and was not sent: the visitor has gone. */
static void give_up_late(drive *d)
{
    while (d->load->rate > 0 && due_us(d) < d->now_us - DUE_US) {
        d->due_n++;
        d->tally->kinds[LAB_GET].asked++;
        count_failed(d);
    }
}

static void begin_due(drive *d)
{
    wire *w;
    while (!d->is_over && (d->load->rate == 0 || due_us(d) <= d->now_us) && (w = free_wire(d)) != NULL) {
        if (!begin(d, w, d->load->rate > 0 ? due_us(d) : d->now_us)) {
            return;
        }
    }
}

static void end_overdue(drive *d)
{
    for (size_t i = 0; i < d->load->connections; i++) {
        wire *w = &d->wires[i];
        if (w->is_busy && d->now_us - w->sent_us > PATIENCE_US) {
            wire_failed(d, w);
        }
    }
}

static bool is_any_busy(const drive *d)
{
    for (size_t i = 0; i < d->load->connections; i++) {
        if (d->wires[i].is_busy) {
            return true;
        }
    }
    return false;
}

/* ---- the loop ---- */

static int wait_time_ms(const drive *d)
{
    if (d->load->rate == 0 || d->is_over) {
        return TURN_MS;
    }
    int64_t left_us = due_us(d) - d->now_us;
    return left_us <= 0 ? 1 : left_us > TURN_MS * 1000 ? TURN_MS : (int)((left_us + 999) / 1000);
}

/* One turn. False: it is over, or has to be. */
static bool turn(drive *d, int *code)
{
    struct epoll_event events[LAB_CONNECTIONS_MAX];
    int n = epoll_wait(d->epoll, events, LAB_CONNECTIONS_MAX, wait_time_ms(d));
    d->now_us = lab_now_us();
    for (int i = 0; i < n; i++) {
        wire_event(d, events[i].data.ptr, events[i].events);
    }
    int64_t passed_ms = (d->now_us - d->begun_us) / 1000;
    d->is_over |= !d->load->everybody_logs_in && passed_ms >= d->load->ms;
    if (!d->is_over) {
        give_up_late(d);
        begin_due(d);
    }
    end_overdue(d);
    if (d->load->blow != NULL && !d->is_blown && passed_ms >= d->load->blow_ms) {
        d->is_blown = true;
        memcpy(d->tally->before, d->tally->kinds, sizeof d->tally->before);
        d->load->blow(d->l);
    }
    if (d->now_us - d->told_us > 50000) {
        bool goes_on = lab_goes_on(d->l, d->load->everybody_logs_in ? 0 : (d->now_us - d->told_us) / 1000);
        d->told_us = d->now_us;
        if (!goes_on) {
            *code = CLI_FAULT;
            return false;
        }
    }
    return !d->is_over || is_any_busy(d);
}

static int set_up(drive *d)
{
    d->wires = calloc(d->load->connections, sizeof *d->wires);
    d->tally->us = malloc(SAMPLES_MAX * sizeof *d->tally->us);
    d->epoll = epoll_create1(EPOLL_CLOEXEC);
    if (d->wires == NULL || d->tally->us == NULL || d->epoll < 0) {
        return cli_fault(d->l->c, "no memory for the load");
    }
    for (size_t i = 0; i < d->load->connections; i++) {
        d->wires[i].fd = -1;
    }
    d->random = UINT64_C(0x9e3779b97f4a7c15); /* the same visitors in the same order for every way */
    return CLI_YES;
}

int lab_drive(lab *l, const lab_way *way, const lab_load *load, lab_tally *out)
{
    drive d = {.l = l, .way = way, .load = load, .tally = out, .epoll = -1};
    memset(out, 0, sizeof *out);
    out->first_failed_us = out->last_failed_us = -1;
    if (load->strip != NULL) {
        *load->strip = (lab_strip){.blow_ms = load->blow_ms};
    }
    int code = set_up(&d);
    d.begun_us = d.now_us = d.told_us = lab_now_us();
    while (code == CLI_YES && turn(&d, &code)) {
    }
    out->took_us = lab_now_us() - d.begun_us;
    for (size_t i = 0; d.wires != NULL && i < load->connections; i++) {
        wire_close(&d.wires[i]);
        wire_done(&d.wires[i]);
    }
    if (d.epoll >= 0) {
        close(d.epoll);
    }
    free(d.wires);
    return code;
}

void lab_tally_free(lab_tally *tally)
{
    free(tally->us);
    tally->us = NULL;
}

uint64_t lab_tally_asked(const lab_tally *tally)
{
    return tally->kinds[LAB_GET].asked + tally->kinds[LAB_CHANGE].asked + tally->kinds[LAB_LOGIN].asked;
}

static int by_value(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

double lab_tally_ms(lab_tally *tally, double part)
{
    if (tally->us_n == 0) {
        return 0;
    }
    qsort(tally->us, tally->us_n, sizeof *tally->us, by_value);
    size_t at = (size_t)(part * (double)(tally->us_n - 1) + 0.5);
    return (double)tally->us[at] / 1000;
}
