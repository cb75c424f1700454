/* SPDX-License-Identifier: Apache-2.0
 *
 * store_check.c - latchkey store check: is it there, and what about it could bite?
 *
 * What the store says of itself comes from lk_store_inspect; clocks, time to answer and the state of the copy
 * near this node are looked at here. Every remark has its cure.
 */
#include "store.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ASK_TIMES 5
#define SLOW_US 50000
#define CLOCK_WARN_MS 2000
#define CLOCK_PROBLEM_MS 30000

static const char *const level_words[] = {"fact", "warning", "problem"};

typedef struct checking {
    json_t *findings;
    bool is_copy;       /* what is looked at is latchkey_replica */
    unsigned counts[3]; /* by lk_finding_level */
} checking;

/* A server that takes no writes is what a copy has to be, and one that does is the mistake. */
static lk_finding role_of_copy(const lk_finding *f)
{
    bool is_primary = strstr(f->value, "primary") != NULL || strstr(f->value, "master") != NULL;
    lk_finding of_copy = {.level = LK_FINDING_FACT, .name = f->name, .value = f->value, .advice = ""};
    if (is_primary) {
        of_copy.level = LK_FINDING_PROBLEM;
        of_copy.advice = "This is no replica: it never hears who logged out. Name a replica of the store in "
                         "latchkey_replica, or leave it out.";
    }
    return of_copy;
}

static void add(void *context, const lk_finding *found)
{
    checking *k = context;
    lk_finding copy = *found, *f = &copy;
    if (k->is_copy && strcmp(found->name, "role") == 0) {
        copy = role_of_copy(found);
    }
    /* Measured here, for every store in the same way. */
    if (strncmp(f->name, "clock_difference", 16) == 0) {
        return;
    }
    json_t *row = json_object();
    cli_set_text(row, "level", lk_view_of(level_words[f->level]));
    cli_set_text(row, "name", lk_view_of(f->name));
    cli_set_text(row, "value", lk_view_of(f->value));
    cli_set_text(row, "advice", lk_view_of(f->advice));
    (void)json_array_append_new(k->findings, row);
    k->counts[f->level]++;
}

/* ---- what every store is asked ---- */

typedef struct sample {
    int64_t took_us, ahead_ms;
} sample;

/* The answer with the shortest way there and back errs least about the clock. */
static bool ask_clock(lk_store *store, sample *best)
{
    const lk_env *env = lk_env_system();
    *best = (sample){.took_us = INT64_MAX};
    for (unsigned i = 0; i < ASK_TIMES; i++) {
        int64_t here_ms = lk_now_ms(env), there_ms = 0;
        struct timespec begun, ended;
        (void)clock_gettime(CLOCK_MONOTONIC, &begun);
        if (lk_store_time_ms(store, &there_ms) != LK_OK) {
            return false;
        }
        (void)clock_gettime(CLOCK_MONOTONIC, &ended);
        int64_t took_us = (ended.tv_sec - begun.tv_sec) * 1000000 + (ended.tv_nsec - begun.tv_nsec) / 1000;
        if (took_us < best->took_us) {
            *best = (sample){.took_us = took_us, .ahead_ms = there_ms - here_ms - took_us / 2000};
        }
    }
    return true;
}

static void add_clock(checking *k, int64_t ahead_ms)
{
    char value[64];
    int64_t apart_ms = ahead_ms < 0 ? -ahead_ms : ahead_ms;
    snprintf(value, sizeof value, "%lld.%03lld s %s", (long long)(apart_ms / 1000),
             (long long)(apart_ms % 1000), ahead_ms < 0 ? "behind this machine" : "ahead of this machine");
    lk_finding f = {.level = LK_FINDING_FACT, .name = "clock", .value = value, .advice = ""};
    if (apart_ms >= CLOCK_WARN_MS) {
        f.level = apart_ms >= CLOCK_PROBLEM_MS ? LK_FINDING_PROBLEM : LK_FINDING_WARNING;
        f.advice =
            "the clocks of the store and this machine differ: gateways go by the store's, but tokens, logs "
            "and TLS do not; set both by the same time server (chrony, systemd-timesyncd)";
    }
    add(k, &f);
}

static void add_way(checking *k, int64_t took_us)
{
    char value[64];
    snprintf(value, sizeof value, "%lld.%03lld ms", (long long)(took_us / 1000), (long long)(took_us % 1000));
    lk_finding f = {.level = LK_FINDING_FACT, .name = "round_trip", .value = value, .advice = ""};
    if (took_us >= SLOW_US) {
        f.level = LK_FINDING_WARNING;
        f.advice =
            "every login and every look-up without a near copy waits that long: put the store nearer, or a "
            "replica of it (latchkey_replica)";
    }
    add(k, &f);
}

/* ---- one store ---- */

/* A store that answers, but not with what a gateway could use: that is a finding. */
static void add_unusable(checking *k, const char *name, const lk_note *note, const char *advice)
{
    lk_finding f = {.level = LK_FINDING_PROBLEM, .name = name, .value = note->text, .advice = advice};
    add(k, &f);
}

/* LK_OK: looked, and the findings are there; LK_REFUSED; LK_FAULT with the note. */
static lk_status look_open(checking *k, const store_at *at, lk_note *note)
{
    lk_store *store = at->store;
    sample clock;
    lk_note missing = {{0}};
    lk_status status = lk_store_inspect(store, add, k);
    if (status == LK_OK && ask_clock(store, &clock)) {
        if (strstr(at->url, "://") != NULL) {
            add_clock(k, clock.ahead_ms);
            add_way(k, clock.took_us);
        }
        status = lk_store_ready(store, &missing);
        if (status == LK_MISS) {
            add_unusable(k, k->is_copy ? "copy" : "ready", &missing,
                         k->is_copy ? "a gateway on this node is not ready before its copy is whole" : "");
            status = LK_OK;
        }
    }
    if (status != LK_OK) {
        lk_note_set(note, "%s",
                    missing.text[0] != '\0' ? missing.text : "it stopped answering while it was asked");
        return LK_FAULT;
    }
    return LK_OK;
}

static lk_status look(const cli *c, checking *k, store_at *at, lk_note *note)
{
    lk_status status = store_try(c, at, note);
    switch (status) {
    case LK_OK:
        return look_open(k, at, note);
    case LK_MISS:
        add_unusable(k, "schema", note, "latchkey store init makes the tables");
        return LK_OK;
    case LK_STALE:
        add_unusable(k, "format", note,
                     "latchkey store upgrade brings an older store up to date; a newer one "
                     "needs the latchkey that wrote it");
        return LK_OK;
    case LK_REFUSED:
        return LK_REFUSED;
    case LK_FULL:
    case LK_FAULT:
        break;
    }
    return LK_FAULT;
}

/* ---- the answer ---- */

static void print_findings(const json_t *findings)
{
    size_t i;
    const json_t *row;
    json_array_foreach(findings, i, row)
    {
        const char *level = json_string_value(json_object_get(row, "level"));
        const char *advice = json_string_value(json_object_get(row, "advice"));
        bool is_fact = strcmp(level, "fact") == 0;
        printf("  %-18s %s\n", json_string_value(json_object_get(row, "name")),
               json_string_value(json_object_get(row, "value")));
        if (!is_fact || advice[0] != '\0') {
            printf("    %s%s%s\n", is_fact ? "" : level, is_fact ? "" : ": ", advice);
        }
    }
}

static json_t *answer_of(const checking *k, const store_at *at)
{
    json_t *object = json_object();
    cli_set_text(object, "url", lk_view_of(at->shown));
    cli_set_flag(object, "reachable", true);
    (void)json_object_set(object, "findings", k->findings);
    cli_set_number(object, "warnings", k->counts[LK_FINDING_WARNING]);
    cli_set_number(object, "problems", k->counts[LK_FINDING_PROBLEM]);
    return object;
}

/* Check one store into ANSWER[KEY], or into ANSWER itself when there is no key. */
static int check_one(const cli *c, store_at *at, const char *key, json_t **answer, unsigned *bad)
{
    checking k = {.findings = json_array(), .is_copy = key != NULL};
    lk_note note;
    lk_status status = look(c, &k, at, &note);
    if (status != LK_OK) {
        json_decref(k.findings);
        return cli_store_failed(c, status, at->url, &note);
    }
    if (!c->json) {
        printf("%s%s answers\n", key != NULL ? "replica " : "", at->shown);
        print_findings(k.findings);
    }
    json_t *object = answer_of(&k, at);
    if (key != NULL) {
        (void)json_object_set_new(*answer, key, object);
    } else {
        *answer = object;
    }
    json_decref(k.findings);
    *bad += k.counts[LK_FINDING_WARNING] + k.counts[LK_FINDING_PROBLEM];
    return CLI_YES;
}

static int check_replica(const cli *c, const char *url, json_t *answer, unsigned *bad)
{
    store_at copy = {0};
    snprintf(copy.url, sizeof copy.url, "%s", url);
    lk_store_url_show(copy.url, copy.shown, sizeof copy.shown);
    int code = check_one(c, &copy, "replica", &answer, bad);
    store_close(&copy);
    return code;
}

int store_check(cli *c)
{
    store_at at;
    json_t *answer = NULL;
    unsigned bad = 0;
    int code = store_choose(c, cli_get(c, "store"), &at);
    code = code == CLI_YES ? check_one(c, &at, NULL, &answer, &bad) : code;
    if (code == CLI_YES && cli_get(c, "store") == NULL && at.settings.replica[0] != '\0') {
        code = check_replica(c, at.settings.replica, answer, &bad);
    }
    store_close(&at);
    if (code != CLI_YES) {
        json_decref(answer);
        return code;
    }
    code = bad == 0 ? cli_done(c, answer, "nothing to worry about")
                    : cli_done(c, answer, "%u thing%s to look at", bad, bad == 1 ? "" : "s");
    return code == CLI_YES && bad > 0 ? CLI_NO : code;
}
