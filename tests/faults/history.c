/* SPDX-License-Identifier: Apache-2.0
 *
 * history.c - see history.h.
 */
#include "history.h"
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *const acts[ACT_COUNT] = {"login", "logout", "change", "check"};
static const lk_status statuses[] = {LK_OK, LK_MISS, LK_STALE, LK_REFUSED, LK_FULL, LK_FAULT};
#define KEY_LEN sizeof(((lk_session_key *)NULL)->bytes)

int64_t steady_ms(void)
{
    struct timespec t;

    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* ---- lines ---- */

static bool is_no_key(const lk_session_key *key)
{
    static const lk_session_key none;

    return memcmp(key, &none, sizeof(none)) == 0;
}

static void key_write(const lk_session_key *key, char out[2 * KEY_LEN + 1])
{
    if (is_no_key(key)) {
        memcpy(out, "-", 2);
        return;
    }
    for (size_t i = 0; i < KEY_LEN; i++)
        snprintf(out + 2 * i, 3, "%02x", key->bytes[i]);
}

static bool key_read(const char *text, lk_session_key *out)
{
    memset(out, 0, sizeof(*out));
    if (strcmp(text, "-") == 0)
        return true;
    for (size_t i = 0; i < KEY_LEN; i++) {
        unsigned byte;

        if (sscanf(text + 2 * i, "%2x", &byte) != 1)
            return false;
        out->bytes[i] = (uint8_t)byte;
    }
    return strlen(text) == 2 * KEY_LEN;
}

bool history_write(int fd, const line *l)
{
    char text[160], key[2 * KEY_LEN + 1];
    int len;

    key_write(&l->key, key);
    len = snprintf(text, sizeof(text), "%lld %lld %u %s %s %s\n", (long long)l->begun_ms,
                   (long long)l->ended_ms, l->node, acts[l->act], key, lk_status_name(l->status));
    return write(fd, text, (size_t)len) == len;
}

static bool line_read(const char *text, line *out)
{
    char what[16], key[2 * KEY_LEN + 2], status[16];
    long long begun_ms, ended_ms;
    bool has_act = false, has_status = false;

    if (sscanf(text, "%lld %lld %u %15s %25s %15s", &begun_ms, &ended_ms, &out->node, what, key, status) != 6)
        return false;
    out->begun_ms = begun_ms;
    out->ended_ms = ended_ms;
    for (unsigned i = 0; i < ACT_COUNT; i++) {
        if (strcmp(what, acts[i]) == 0) {
            out->act = (act)i;
            has_act = true;
        }
    }
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        if (strcmp(status, lk_status_name(statuses[i])) == 0) {
            out->status = statuses[i];
            has_status = true;
        }
    }
    return has_act && has_status && key_read(key, &out->key);
}

static int compare_lines(const void *a, const void *b)
{
    const line *x = a, *y = b;
    int order = memcmp(&x->key, &y->key, sizeof(x->key));

    if (order != 0)
        return order;
    return x->begun_ms < y->begun_ms ? -1 : x->begun_ms > y->begun_ms;
}

bool history_read(const char *file, history *out)
{
    FILE *in = fopen(file, "r");
    char text[256];
    size_t cap = 0;
    bool is_good = in != NULL;

    *out = (history){0};
    while (is_good && fgets(text, sizeof(text), in) != NULL) {
        if (text[0] == '#')
            continue;
        if (out->n == cap) {
            cap = cap > 0 ? 2 * cap : 4096;
            out->lines = realloc(out->lines, cap * sizeof(line));
        }
        is_good = out->lines != NULL && line_read(text, &out->lines[out->n++]);
    }
    if (!is_good)
        fprintf(stderr, "%s is no history: %s\n", file, in != NULL ? text : "cannot be read");
    if (in != NULL)
        fclose(in);
    if (is_good && out->n > 0)
        qsort(out->lines, out->n, sizeof(line), compare_lines);
    return is_good;
}

void history_free(history *h)
{
    free(h->lines);
    *h = (history){0};
}

/* ---- sessions ---- */

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static bool is_unknown(lk_status status)
{
    return status == LK_FAULT || status == LK_FULL;
}

static void fate_add(fate *f, const line *l)
{
    bool is_done = l->status == LK_OK;

    switch (l->act) {
    case ACT_LOGIN:
        f->is_login_known = f->is_login_known || is_done;
        f->login_ms = l->ended_ms;
        break;
    case ACT_LOGOUT:
        f->logout_begun_ms = earlier(f->logout_begun_ms, l->begun_ms);
        if (is_done)
            f->logout_ms = earlier(f->logout_ms, l->ended_ms);
        break;
    case ACT_CHANGE:
        f->changes += is_done;
        f->maybe += is_unknown(l->status);
        break;
    case ACT_CHECK:
    case ACT_COUNT:
        break;
    }
}

void history_each(const history *h, fate_each each, void *context)
{
    for (size_t i = 0, next; i < h->n; i = next) {
        fate f = {.key = h->lines[i].key,
                  .lines = &h->lines[i],
                  .logout_begun_ms = INT64_MAX,
                  .logout_ms = INT64_MAX};

        for (next = i; next < h->n && memcmp(&h->lines[next].key, &f.key, sizeof(f.key)) == 0; next++)
            fate_add(&f, &h->lines[next]);
        f.n = next - i;
        if (!is_no_key(&f.key))
            each(context, &f);
    }
}

/* ---- while it went on ---- */

typedef struct tallying {
    tally *out;
    int64_t bound_ms;
} tallying;

static void tally_checks(void *context, const fate *f)
{
    const tallying *t = context;

    for (size_t i = 0; i < f->n; i++) {
        const line *l = &f->lines[i];
        bool is_out = l->status == LK_MISS || l->status == LK_STALE;

        if (l->act != ACT_CHECK)
            continue;
        if (l->status == LK_OK && f->logout_ms != INT64_MAX && l->begun_ms > f->logout_ms + t->bound_ms)
            t->out->let_in++;
        if (is_out && f->is_login_known && l->begun_ms > f->login_ms && l->ended_ms < f->logout_begun_ms)
            t->out->thrown_out++;
    }
}

static int compare_ends(const void *a, const void *b)
{
    const line *const *x = a, *const *y = b;

    if ((*x)->node != (*y)->node)
        return (*x)->node < (*y)->node ? -1 : 1;
    return (*x)->ended_ms < (*y)->ended_ms ? -1 : (*x)->ended_ms > (*y)->ended_ms;
}

/* The longest time a node had without success: between two of them, before the first, or after the last. */
static int64_t longest_without(const history *h, bool only_writes)
{
    const line **by_node = malloc((h->n + 1) * sizeof(*by_node));
    int64_t longest_ms = 0, since_ms = 0;

    if (by_node == NULL)
        return -1;
    for (size_t i = 0; i < h->n; i++)
        by_node[i] = &h->lines[i];
    qsort((void *)by_node, h->n, sizeof(*by_node), compare_ends);
    for (size_t i = 0; i < h->n; i++) {
        const line *l = by_node[i];
        bool is_first = i == 0 || by_node[i - 1]->node != l->node;
        bool is_last = i + 1 == h->n || by_node[i + 1]->node != l->node;

        if (is_first)
            since_ms = l->begun_ms;
        if ((!is_unknown(l->status) && (!only_writes || l->act == ACT_LOGIN || l->act == ACT_LOGOUT)) ||
            is_last) {
            if (l->ended_ms - since_ms > longest_ms)
                longest_ms = l->ended_ms - since_ms;
            since_ms = l->ended_ms;
        }
    }
    free((void *)by_node);
    return longest_ms;
}

void history_tally(const history *h, int64_t bound_ms, tally *out)
{
    tallying t = {.out = out, .bound_ms = bound_ms};

    *out = (tally){.longest_ms = longest_without(h, false), .longest_write_ms = longest_without(h, true)};
    for (size_t i = 0; i < h->n; i++) {
        const line *l = &h->lines[i];

        if (is_unknown(l->status))
            out->failed++;
        else if (l->act == ACT_CHECK || l->status == LK_OK)
            out->done[l->act]++;
        else if (l->act == ACT_LOGIN || l->act == ACT_LOGOUT)
            out->wrong++;
    }
    history_each(h, tally_checks, &t);
}

/* ---- afterwards ---- */

typedef struct judging {
    verdict *out;
    ask_each ask;
    void *context;
} judging;

static void judge_changes(const fate *f, const found *there, verdict *out)
{
    if (!there->has_count)
        return;
    if (there->changes < (int64_t)f->changes)
        out->lost_changes += f->changes - (unsigned)there->changes;
    if (there->changes > (int64_t)f->changes + f->maybe)
        out->twice += (unsigned)there->changes - f->changes - f->maybe;
}

static void judge(void *context, const fate *f)
{
    const judging *j = context;
    found there = j->ask(j->context, &f->key);
    bool was_ended = f->logout_begun_ms != INT64_MAX;

    j->out->sessions++;
    if (is_unknown(there.status)) {
        j->out->unknown++;
        return;
    }
    if (there.status == LK_OK) {
        j->out->resurrected += f->logout_ms != INT64_MAX;
        judge_changes(f, &there, j->out);
    } else {
        j->out->lost_logins += f->is_login_known && !was_ended;
    }
}

void history_judge(const history *h, ask_each ask, void *context, verdict *out)
{
    judging j = {.out = out, .ask = ask, .context = context};

    *out = (verdict){0};
    history_each(h, judge, &j);
}
