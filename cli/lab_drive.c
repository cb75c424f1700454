/* SPDX-License-Identifier: Apache-2.0
 *
 * lab_drive.c - the load, from one event loop.
 *
 * At a fixed rate a request is due whether or not earlier ones were answered, and its time counts from when
 * it was due: a system that stops for a second shows that second, and not one slow answer.
 */
#include "lab_drive.h"
#include "lab_wire.h"
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_US 5000000 /* then a request has failed */
#define DUE_US 2000000      /* for so long a request that is due waits for a connection */
#define TURN_MS 5
#define TELL_EVERY_US 50000
#define SAMPLES_MAX 2000000

typedef struct drive {
    lab *l;
    const lab_way *way;
    const lab_load *load;
    lab_tally *tally;
    int epoll;
    lab_wire *wires;
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

static void take_time(drive *d, const lab_wire *w)
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

static void judge(drive *d, lab_wire *w)
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

static void wire_done(lab_wire *w)
{
    if (w->visitor != NULL) {
        w->visitor->is_busy = false;
    }
    w->visitor = NULL;
    w->is_busy = false;
}

static void wire_failed(drive *d, lab_wire *w)
{
    lab_wire_close(w);
    count_failed(d);
    wire_done(w);
}

/* What has happened on W. */
static void go_on(drive *d, lab_wire *w, lk_status status)
{
    switch (status) {
    case LK_MISS:
        return;
    case LK_OK:
        judge(d, w);
        if (w->answer.closes) {
            lab_wire_close(w);
        }
        wire_done(w);
        return;
    case LK_STALE:
    case LK_REFUSED:
    case LK_FULL:
    case LK_FAULT:
        wire_failed(d, w);
        return;
    }
}

static void wire_event(drive *d, lab_wire *w, uint32_t events)
{
    if (w->fd >= 0 && w->is_busy) {
        go_on(d, w, lab_wire_go_on(w));
    } else if (w->fd >= 0 && (events & ~(uint32_t)EPOLLOUT) != 0) {
        lab_wire_close(w); /* nothing was asked, so this is the end of it */
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

/* The next who is not logged in yet. */
static lab_visitor *everybody(drive *d)
{
    while (d->next_user < (size_t)d->l->users_n) {
        lab_visitor *v = &d->l->users[d->next_user++];
        if (v->state == LAB_OUT) {
            return v;
        }
    }
    return NULL;
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

static bool begin(drive *d, lab_wire *w, int64_t due_us)
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
    if (w->request_len == 0 || (w->fd < 0 && !lab_wire_open(w, d->epoll, d->l->balancer_port))) {
        count_failed(d);
        return true;
    }
    d->tally->credential_bytes += bytes;
    v->is_busy = w->is_busy = true;
    w->visitor = v;
    w->due_us = due_us;
    w->sent_us = d->now_us;
    w->written = 0;
    lab_answer_begin(&w->answer);
    go_on(d, w, lab_wire_go_on(w));
    return true;
}

static lab_wire *free_wire(const drive *d)
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
    lab_wire *w;
    while (!d->is_over && (d->load->rate == 0 || due_us(d) <= d->now_us) && (w = free_wire(d)) != NULL) {
        if (!begin(d, w, d->load->rate > 0 ? due_us(d) : d->now_us)) {
            return;
        }
    }
}

static void end_overdue(drive *d)
{
    for (size_t i = 0; i < d->load->connections; i++) {
        lab_wire *w = &d->wires[i];
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

/* Until something happens or the next request is due, to the microsecond: epoll_wait counts in milliseconds,
 * and half of one would stand in every figure. */
static int wait_for_events(const drive *d, struct epoll_event events[LAB_CONNECTIONS_MAX])
{
    struct pollfd any = {.fd = d->epoll, .events = POLLIN};
    int64_t us = TURN_MS * 1000;
    if (d->load->rate > 0 && !d->is_over) {
        int64_t left_us = due_us(d) - lab_now_us();
        us = left_us < 0 ? 0 : left_us < us ? left_us : us;
    }
    us = us == 0 && free_wire(d) == NULL ? 1000 : us; /* due, and there is no connection for it */
    struct timespec time = {.tv_sec = 0, .tv_nsec = (long)us * 1000};
    return ppoll(&any, 1, &time, NULL) > 0 ? epoll_wait(d->epoll, events, LAB_CONNECTIONS_MAX, 0) : 0;
}

static void strike(drive *d)
{
    d->is_blown = true;
    memcpy(d->tally->before, d->tally->kinds, sizeof d->tally->before);
    d->load->blow(d->l);
}

/* Move the bar now and then. False when the user wants it to end. */
static bool tell(drive *d)
{
    int64_t since_us = d->now_us - d->told_us;
    if (since_us < TELL_EVERY_US) {
        return true;
    }
    d->told_us += since_us;
    return lab_goes_on(d->l, d->load->everybody_logs_in ? 0 : since_us / 1000);
}

/* One turn. False: it is over, or has to be. */
static bool turn(drive *d, int *code)
{
    struct epoll_event events[LAB_CONNECTIONS_MAX];
    int n = wait_for_events(d, events);
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
        strike(d);
    }
    if (!tell(d)) {
        *code = CLI_FAULT;
        return false;
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
        lab_wire_close(&d.wires[i]);
        wire_done(&d.wires[i]);
    }
    if (d.epoll >= 0) {
        close(d.epoll);
    }
    free(d.wires);
    return code;
}
