/* SPDX-License-Identifier: Apache-2.0
 *
 * lab_measure.c - one way from its start to its end: logins, a steady load, full speed, users put out, a node
 * killed, the store killed.
 */
#include "lab_drive.h"
#include "shm/table.h"
#include <stdlib.h>
#include <string.h>

#define LOGINS_AT_ONCE 6 /* two for each node: passwords are hashed one at a time there */
#define LOGIN_ROUNDS 5
#define FULL_CONNECTIONS 32
#define CHANGE_EVERY 10
#define LOGIN_EVERY 25 /* while the store is down: somebody new comes */
#define VICTIMS 5
#define HOLDS_WITHIN_US 10000000
/* The death of a store is watched for so long at least: nodes go on for the two seconds of
 * latchkey_revocation_lag, and sentinels need as many to choose another primary. */
#define STORE_MS_MIN 6000
#define NODE_MS_MIN 2000

/* Parts of the seconds of a way. */
enum { STEADY_PERCENT = 40, FULL_PERCENT = 20, NODE_PERCENT = 20, STORE_PERCENT = 20, BLOW_PERCENT = 20 };

static int64_t at_least(int64_t ms, int64_t min_ms)
{
    return ms > min_ms ? ms : min_ms;
}

static int64_t node_ms(const lab *l)
{
    return at_least(l->seconds * 10 * NODE_PERCENT, NODE_MS_MIN);
}

static int64_t store_ms(const lab *l)
{
    return at_least(l->seconds * 10 * STORE_PERCENT, STORE_MS_MIN);
}

int64_t lab_way_ms(const lab *l)
{
    return l->seconds * 10 * (STEADY_PERCENT + FULL_PERCENT) + node_ms(l) + store_ms(l);
}

/* What the nodes hold, seen through the files they share with the commands. */
typedef struct places {
    cli_place all[LAB_NODES];
    unsigned n;
} places;

static void places_close(places *p)
{
    while (p->n > 0) {
        cli_place_close(&p->all[--p->n]);
    }
}

static int places_open(const lab *l, places *p)
{
    p->n = 0;
    while (p->n < LAB_NODES) {
        cli at = *l->c;
        at.conf = l->nodes[p->n].conf;
        int code = cli_place_open(&at, CLI_REVOKE, &p->all[p->n]);
        if (code != CLI_YES) {
            places_close(p);
            return CLI_FAULT;
        }
        p->n++;
    }
    return CLI_YES;
}

/* Bytes of all nodes' tables that hold something. */
static uint64_t server_bytes(const places *p)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < p->n; i++) {
        lk_table_stats stats;
        lk_table_stats_read(p->all[i].table, &stats);
        sum += stats.used;
    }
    return sum;
}

static uint64_t store_bytes(const lab *l, const places *p)
{
    lk_store_count counts = {0};
    if (l->store.copies == 0 || lk_store_counts(p->all[0].store, &counts) != LK_OK) {
        return 0;
    }
    return counts.bytes * l->store.copies;
}

/* Look-ups in the store and last uses written to it, by all nodes. */
static uint64_t store_ops(const places *p)
{
    static const lk_counter counters[] = {LK_COUNT_LOOKUP_HIT, LK_COUNT_LOOKUP_MISS, LK_COUNT_LOOKUP_STALE,
                                          LK_COUNT_LOOKUP_FAULT, LK_COUNT_TOUCHES};
    uint64_t sum = 0;
    for (unsigned i = 0; i < p->n; i++) {
        for (size_t k = 0; k < sizeof counters / sizeof counters[0]; k++) {
            sum += lk_guard_counted(p->all[i].guard, counters[k]);
        }
    }
    return sum;
}

static double difference(uint64_t after, uint64_t before, double by)
{
    return after > before && by > 0 ? (double)(after - before) / by : 0;
}

/* ---- logins ---- */

static uint64_t logged_in(const lab *l)
{
    uint64_t n = 0;
    for (size_t i = 0; i < (size_t)l->users_n; i++) {
        n += l->users[i].state == LAB_IN;
    }
    return n;
}

/* On a busy machine a login may be told to come back (503): people do. */
static int log_in(lab *l, const lab_way *way, const places *p, lab_result *out)
{
    lab_load load = {.connections = LOGINS_AT_ONCE, .everybody_logs_in = true};
    uint64_t before = store_bytes(l, p);
    int code = CLI_YES;
    lab_say(l, "%s: everybody logs in", way->name);
    for (unsigned i = 0; i < LOGIN_ROUNDS && code == CLI_YES && out->logins < (uint64_t)l->users_n; i++) {
        lab_tally tally;
        code = lab_drive(l, way, &load, &tally);
        lab_tally_free(&tally);
        out->logins = logged_in(l);
    }
    if (code == CLI_YES && out->logins < (uint64_t)l->users_n) {
        return cli_fault(l->c, "%s: only %llu of %lld visitors could log in; see %s (--keep keeps it)",
                         way->name, (unsigned long long)out->logins, (long long)l->users_n, l->dir);
    }
    out->store_bytes_per_user = difference(store_bytes(l, p), before, (double)l->users_n);
    return code;
}

/* ---- load without a blow ---- */

static double spread_of(const lab_tally *tally)
{
    uint64_t most = 0, all = 0;
    for (unsigned i = 1; i <= LAB_NODES; i++) {
        most = tally->by_app[i] > most ? tally->by_app[i] : most;
        all += tally->by_app[i];
    }
    return all > 0 ? (double)most * LAB_NODES / (double)all : 0;
}

static int steady(lab *l, const lab_way *way, const places *p, lab_result *out)
{
    lab_tally tally;
    lab_load load = {.connections = LAB_CONNECTIONS_MAX,
                     .rate = l->rate,
                     .ms = l->seconds * 10 * STEADY_PERCENT,
                     .change_every = CHANGE_EVERY};
    uint64_t ops = store_ops(p);
    lab_say(l, "%s: %lld requests a second", way->name, (long long)l->rate);
    int code = lab_drive(l, way, &load, &tally);
    double asked = (double)lab_tally_asked(&tally);
    ops = store_ops(p) - ops + tally.kinds[LAB_CHANGE].well * way->change_ops;
    out->requests += lab_tally_asked(&tally);
    out->requests_failed += tally.failed;
    out->logins_lost += tally.lost;
    out->rate_kept = asked > 0 ? ((double)tally.us_n) * 1e6 / (double)tally.took_us : 0;
    out->p50_ms = lab_tally_ms(&tally, 0.5);
    out->p99_ms = lab_tally_ms(&tally, 0.99);
    out->bytes_per_request = asked > 0 ? (double)tally.credential_bytes / asked : 0;
    out->store_ops_per_request = asked > 0 ? (double)ops / asked : 0;
    out->load_spread = spread_of(&tally);
    lab_tally_free(&tally);
    return code;
}

static int by_count(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

/* The median over fifths of a second: one moment in which the machine does something else is not in it. */
static double median_rate(const lab_strip *strip)
{
    uint32_t counts[LAB_BUCKETS_MAX];
    size_t n = strip->n > 1 ? strip->n - 1 : strip->n; /* the last one is cut short */
    for (size_t i = 0; i < n; i++) {
        counts[i] = strip->buckets[i].ok;
    }
    qsort(counts, n, sizeof counts[0], by_count);
    return n > 0 ? (double)counts[n / 2] * 1000 / LAB_BUCKET_MS : 0;
}

static int full_speed(lab *l, const lab_way *way, lab_result *out)
{
    lab_tally tally;
    lab_strip strip;
    lab_load load = {.connections = FULL_CONNECTIONS,
                     .ms = l->seconds * 10 * FULL_PERCENT,
                     .change_every = CHANGE_EVERY,
                     .strip = &strip};
    lab_say(l, "%s: as fast as it goes", way->name);
    int code = lab_drive(l, way, &load, &tally);
    out->requests += lab_tally_asked(&tally);
    out->requests_failed += tally.failed;
    out->logins_lost += tally.lost;
    out->requests_per_s = median_rate(&strip);
    lab_tally_free(&tally);
    return code;
}

/* ---- users put out ---- */

static lk_status end_user(const lab_way *way, places *p, const lab_visitor *v)
{
    uint32_t ended = 0;
    unsigned n = way->store == LAB_STORE_OWN ? p->n : 1;
    lk_status status = LK_OK;
    for (unsigned i = 0; i < n && status == LK_OK; i++) {
        status = lk_guard_end_user(p->all[i].guard, (lk_view){0}, lk_view_of(v->id), NULL, LK_REASON_BANNED,
                                   &ended);
    }
    return status;
}

/* Until no node lets him in any more that did before. -1 when that never came. */
static double time_until_refused(lab *l, const lab_way *way, places *p, lab_visitor *v)
{
    static lab_answer a;
    lab_line lines[LAB_NODES];
    bool lets_in[LAB_NODES];
    unsigned left = 0;
    for (unsigned i = 0; i < LAB_NODES; i++) {
        lines[i] = (lab_line){.port = l->nodes[i].port, .fd = -1};
        lets_in[i] = lab_ask(&lines[i], v, LAB_GET, &a) == 200;
        left += lets_in[i];
    }
    int64_t begun_us = lab_now_us(), now_us = begun_us;
    bool is_done = left > 0 && end_user(way, p, v) == LK_OK;
    while (is_done && left > 0 && now_us - begun_us < HOLDS_WITHIN_US) {
        for (unsigned i = 0; i < LAB_NODES; i++) {
            if (lets_in[i] && lab_ask(&lines[i], v, LAB_GET, &a) == 401) {
                lets_in[i] = false;
                left--;
            }
        }
        now_us = lab_now_us();
    }
    for (unsigned i = 0; i < LAB_NODES; i++) {
        lab_line_close(&lines[i]);
    }
    v->state = LAB_ENDED;
    return is_done && left == 0 ? (double)(now_us - begun_us) / 1000 : -1;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int revocations(lab *l, const lab_way *way, places *p, lab_result *out)
{
    double took[VICTIMS];
    size_t n = 0;
    lab_say(l, "%s: users are put out", way->name);
    for (size_t i = 0; i < VICTIMS && i < (size_t)l->users_n; i++) {
        lab_visitor *v = &l->users[(size_t)l->users_n - 1 - i];
        double ms = time_until_refused(l, way, p, v);
        if (!lab_goes_on(l, 0)) {
            return CLI_FAULT;
        }
        if (ms >= 0) {
            took[n++] = ms;
        }
    }
    qsort(took, n, sizeof took[0], by_size);
    out->revocation_ms = n > VICTIMS / 2 ? took[n / 2] : -1;
    out->is_revoked_per_node = way->store == LAB_STORE_OWN;
    return CLI_YES;
}

/* ---- blows ---- */

static void kill_node(lab *l)
{
    lab_node_kill(l, 0);
}

static void kill_store(lab *l)
{
    lab_kill(&l->store.servers[0]);
}

/* Seconds from the blow to the last failure, if requests were answered again after it. */
static double back_s(const lab_load *load, const lab_tally *tally)
{
    int64_t blow_us = load->blow_ms * 1000;
    if (tally->last_failed_us < blow_us) {
        return 0;
    }
    return tally->last_failed_us < load->ms * 1000 - 500000 ? (double)(tally->last_failed_us - blow_us) / 1e6
                                                            : -1;
}

static int node_dies(lab *l, const lab_way *way, lab_result *out)
{
    lab_tally tally;
    int64_t ms = node_ms(l);
    lab_load load = {.connections = LAB_CONNECTIONS_MAX,
                     .rate = l->rate,
                     .ms = ms,
                     .change_every = CHANGE_EVERY,
                     .blow = kill_node,
                     .blow_ms = ms * BLOW_PERCENT / 100,
                     .strip = &out->node_strip};
    lab_say(l, "%s: a node is killed", way->name);
    int code = lab_drive(l, way, &load, &tally);
    out->requests += lab_tally_asked(&tally);
    out->requests_failed += tally.failed;
    out->logins_lost += tally.lost;
    out->node_back_s = back_s(&load, &tally);
    lab_tally_free(&tally);
    return code == CLI_YES ? lab_node_start(l, way, 0, false) : code;
}

static double part_after(const lab_tally *tally, lab_kind kind)
{
    uint64_t asked = tally->kinds[kind].asked - tally->before[kind].asked;
    uint64_t well = tally->kinds[kind].well - tally->before[kind].well;
    return asked > 0 ? (double)well / (double)asked : 0;
}

static int store_dies(lab *l, const lab_way *way, lab_result *out)
{
    lab_tally tally;
    int64_t ms = store_ms(l);
    lab_load load = {.connections = LAB_CONNECTIONS_MAX,
                     .rate = l->rate,
                     .ms = ms,
                     .change_every = CHANGE_EVERY,
                     .login_every = LOGIN_EVERY,
                     .blow = kill_store,
                     .blow_ms = ms * BLOW_PERCENT / 100,
                     .strip = &out->store_strip};
    out->has_store = way->store != LAB_STORE_OWN;
    if (!out->has_store) {
        (void)lab_goes_on(l, ms);
        return CLI_YES;
    }
    lab_say(l, "%s: the store is killed", way->name);
    int code = lab_drive(l, way, &load, &tally);
    out->requests += lab_tally_asked(&tally);
    out->logins_lost_store = tally.lost;
    out->down_requests = part_after(&tally, LAB_GET);
    out->down_changes = part_after(&tally, LAB_CHANGE);
    out->down_logins = part_after(&tally, LAB_LOGIN);
    out->down_back_s = back_s(&load, &tally);
    lab_tally_free(&tally);
    return code;
}

/* ---- all of it ---- */

static int measure_whole(lab *l, const lab_way *way, lab_result *out)
{
    places p;
    int code = places_open(l, &p);
    if (code != CLI_YES) {
        return code;
    }
    uint64_t before = server_bytes(&p);
    code = log_in(l, way, &p, out);
    code = code == CLI_YES ? steady(l, way, &p, out) : code;
    out->server_bytes_per_user = difference(server_bytes(&p), before, (double)l->users_n);
    code = code == CLI_YES ? full_speed(l, way, out) : code;
    code = code == CLI_YES ? revocations(l, way, &p, out) : code;
    places_close(&p);
    return code;
}

int lab_measure(lab *l, const lab_way *way, lab_result *out)
{
    memset(out, 0, sizeof *out);
    out->way = way;
    out->revocation_ms = -1;
    lab_users_forget(l);
    lab_say(l, "%s: servers start", way->name);
    int code = lab_store_start(l, way);
    out->store_servers = l->store.n;
    code = code == CLI_YES ? lab_nodes_start(l, way) : code;
    code = code == CLI_YES ? lab_balancer_start(l, way) : code;
    code = code == CLI_YES ? measure_whole(l, way, out) : code;
    code = code == CLI_YES ? node_dies(l, way, out) : code;
    code = code == CLI_YES ? store_dies(l, way, out) : code;
    lab_down_words(out);
    lab_nodes_end(l);
    lab_store_end(l);
    return code;
}
