/* SPDX-License-Identifier: Apache-2.0
 *
 * store_copy.c - latchkey store copy: every session and revocation of one store into another.
 *
 * Cut-offs go first and, for what came meanwhile, last: no session is ever in TO without what revokes it.
 * Then the sessions, in passes until one finds nothing more to do, since FROM may be in use; the last of them
 * is also the proof that every session of FROM is in TO. Then what ended in FROM after it was copied is
 * ended. docs/decisions/0018-copy-goes-on-by-looking.md
 */
#include "store_copy.h"
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#define LANES_DEFAULT 8
#define PASSES_MAX 5
#define TRIES_MAX 20
#define WAIT_FIRST_MS 50
#define WAIT_MAX_MS 1000
#define CLOCKS_APART_MS 2000

/* ---- what the steps share ---- */

bool copy_gives_up(unsigned *tries)
{
    int64_t wait_ms = WAIT_FIRST_MS << (*tries < 5 ? *tries : 5);
    return ++*tries > TRIES_MAX || cli_must_stop(wait_ms < WAIT_MAX_MS ? wait_ms : WAIT_MAX_MS);
}

static int interrupted(const copying *k)
{
    char at[CLI_NUMBER_MAX];
    return cli_fault(
        k->c,
        "interrupted, with %s sessions copied; run the same command again: it goes on from here, since "
        "what is in %s already is only looked at",
        cli_number(k->n.copied, at), k->to.shown);
}

int copy_lost(const copying *k, const store_at *at)
{
    if (cli_must_stop(0)) {
        return interrupted(k);
    }
    return cli_fault(
        k->c,
        "store %s does not answer any more; nothing is lost: run the same command again, it goes on "
        "from here",
        at->shown);
}

static bool has_faults(const lk_load *loads, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (loads[i].status == LK_FAULT) {
            return true;
        }
    }
    return false;
}

int copy_load(const copying *k, const store_at *at, lk_load *loads, size_t n)
{
    unsigned tries = 0;
    while (lk_store_load_many(at->store, loads, n) != LK_OK || has_faults(loads, n)) {
        if (copy_gives_up(&tries)) {
            return copy_lost(k, at);
        }
    }
    return CLI_YES;
}

int copy_step(copying *k, size_t n)
{
    const lk_env *env = lk_env_system();
    int64_t now_ms = env->mono_ms(env), wait_ms = 0;
    k->at += n;
    if (k->rate > 0) {
        int64_t from_ms = k->next_ms > now_ms ? k->next_ms : now_ms;
        k->next_ms = from_ms + (int64_t)n * 1000 / k->rate;
        wait_ms = k->next_ms - now_ms;
    }
    cli_progress_move(&k->progress, k->at);
    return cli_must_stop(wait_ms) ? interrupted(k) : CLI_YES;
}

int copy_walk(copying *k, const store_at *at, lk_session_each each)
{
    uint64_t cursor = 0;
    unsigned tries = 0;
    k->items_n = 0;
    k->code = CLI_YES;
    do {
        lk_status status = lk_store_list(at->store, &cursor, COPY_BATCH, each, k);
        if (k->code != CLI_YES) {
            return k->code;
        }
        if (status == LK_OK) {
            tries = 0;
        } else if (copy_gives_up(&tries)) {
            return copy_lost(k, at);
        }
    } while (cursor != 0 || tries > 0);
    return CLI_YES;
}

/* ---- the steps in their order ---- */

static uint64_t count_of(const store_at *at)
{
    lk_store_count counts;
    return lk_store_counts(at->store, &counts) == LK_OK ? counts.sessions : 0;
}

static int step(copying *k, const char *what, const store_at *over, int (*run)(copying *k))
{
    cli_progress_begin(&k->progress, what, over != NULL ? count_of(over) : 0);
    int code = run(k);
    cli_progress_end(&k->progress);
    return code;
}

/* A store with sync=fast has the last writes on disk when it was swept. */
static int bring_to_disk(copying *k)
{
    unsigned tries = 0;
    while (lk_store_sweep(k->to.store, lk_now_s(lk_env_system()), 1, 1, NULL) == LK_FAULT) {
        if (copy_gives_up(&tries)) {
            return copy_lost(k, &k->to);
        }
    }
    return CLI_YES;
}

static int copy_all(copying *k)
{
    unsigned passes = k->only_ends ? 0 : PASSES_MAX;
    k->is_first = true;
    int code = step(k, "copying cut-offs", NULL, copy_cutoffs);
    for (unsigned pass = 0; code == CLI_YES && pass < passes && (pass == 0 || k->changed > 0); pass++) {
        k->is_first = pass == 0;
        code = step(k, pass == 0 ? "copying" : "looking again", &k->from, copy_sessions);
    }
    k->is_first = false;
    code = code == CLI_YES ? step(k, "looking for what ended", &k->to, copy_endings) : code;
    code = code == CLI_YES ? step(k, "copying cut-offs", NULL, copy_cutoffs) : code;
    code = code == CLI_YES ? copy_marks_leave(k) : code;
    code = code == CLI_YES ? bring_to_disk(k) : code;
    return code == CLI_YES ? step(k, "comparing", NULL, copy_compare) : code;
}

/* ---- the answer ---- */

static json_t *answer_of(const copying *k, int64_t took_ms)
{
    const struct {
        const char *key;
        uint64_t number;
    } members[] = {{"sessions", k->n.listed},
                   {"copied", k->n.copied},
                   {"there_before", k->n.there},
                   {"brought_up_to_date", k->n.updated},
                   {"ended", k->n.ended},
                   {"ended_meanwhile", k->n.gone},
                   {"ended_there", k->n.ended_there},
                   {"unreadable", k->n.unreadable},
                   {"only_there", k->n.only_there},
                   {"unknown", k->n.unknown},
                   {"compared", k->n.compared},
                   {"differing", k->n.differing},
                   {"cutoffs", k->n.cutoffs},
                   {"cutoffs_there_before", k->n.cutoffs_there}};
    json_t *object = json_object();
    cli_set_text(object, "from", lk_view_of(k->from.shown));
    cli_set_text(object, "to", lk_view_of(k->to.shown));
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++) {
        cli_set_number(object, members[i].key, (int64_t)members[i].number);
    }
    cli_set_number(object, "took_ms", took_ms);
    return object;
}

static void remark_on(uint64_t n, const char *what)
{
    char number[CLI_NUMBER_MAX];
    if (n > 0) {
        cli_remark("%s %s", cli_number(n, number), what);
    }
}

static void remarks(const copying *k)
{
    remark_on(k->n.updated, "that were in TO before were brought up to date");
    remark_on(k->n.ended, "were ended in TO, since they ended in FROM");
    remark_on(k->n.gone, "ended while they were being copied");
    remark_on(k->n.ended_there, "had been in TO before and ended there, so they were not made again");
    remark_on(k->n.only_there - k->n.unknown, "are in TO alone");
    remark_on(k->n.unknown, "are in TO alone and older than an hour: made there, or ended in FROM so long "
                            "ago that it has forgotten; "
                            "--end-unknown ends them");
    remark_on(k->n.unreadable, "records of FROM cannot be read by this version and were left out");
    remark_on(k->n.differing,
              "are in both and differ, although FROM did not change them; TO's were left as they are");
    remark_on(k->changed,
              "were new or changed in the last pass: FROM is in use, so copy once more after the gateways "
              "were switched");
}

static int answer(const copying *k)
{
    char listed[CLI_NUMBER_MAX], copied[CLI_NUMBER_MAX], there[CLI_NUMBER_MAX], cutoffs[CLI_NUMBER_MAX];
    int64_t took_ms = lk_env_system()->mono_ms(lk_env_system()) - k->begun_ms;
    bool is_whole = k->n.unreadable == 0 && k->n.differing == 0;
    remarks(k);
    int code = cli_done(
        k->c, answer_of(k, took_ms),
        "%s sessions: %s copied, %s there before; %s cut-offs copied; %.1f s; %llu compared in full\n"
        "Not copied: accounts, keys, counted login failures, and the marks of sessions that have ended.",
        cli_number(k->n.listed, listed), cli_number(k->n.copied, copied), cli_number(k->n.there, there),
        cli_number(k->n.cutoffs, cutoffs), (double)took_ms / 1000, (unsigned long long)k->n.compared);
    return code == CLI_YES && !is_whole ? CLI_NO : code;
}

/* ---- the command ---- */

/* One directory under two names would be one store. */
static int are_two(const copying *k)
{
    char one[LK_URL_MAX], other[LK_URL_MAX], real_one[PATH_MAX], real_other[PATH_MAX];
    cli_path_of_url(k->from.url, one);
    cli_path_of_url(k->to.url, other);
    bool same = strcmp(k->from.url, k->to.url) == 0 ||
                (one[0] != '\0' && other[0] != '\0' && realpath(one, real_one) != NULL &&
                 realpath(other, real_other) != NULL && strcmp(real_one, real_other) == 0);
    return same ? cli_wrong(k->c, "FROM and TO are the same store") : CLI_YES;
}

static void compare_clocks(const copying *k)
{
    int64_t from_ms = 0, to_ms = 0;
    if (lk_store_time_ms(k->from.store, &from_ms) == LK_OK &&
        lk_store_time_ms(k->to.store, &to_ms) == LK_OK &&
        (from_ms - to_ms > CLOCKS_APART_MS || to_ms - from_ms > CLOCKS_APART_MS)) {
        cli_remark(
            "the clocks of the stores are %lld s apart: sessions will end that much sooner or later in TO",
            (long long)((from_ms > to_ms ? from_ms - to_ms : to_ms - from_ms) / 1000));
    }
}

static int make_room(copying *k)
{
    k->items = calloc(COPY_BATCH, sizeof *k->items);
    k->loads = calloc(COPY_BATCH, sizeof *k->loads);
    k->records = calloc(COPY_BATCH, LK_RECORD_MAX);
    k->heads = calloc(COPY_BATCH, LK_HEAD_MAX);
    bool is_there = k->items != NULL && k->loads != NULL && k->records != NULL && k->heads != NULL;
    return is_there ? CLI_YES : cli_fault(k->c, "out of memory");
}

int copy_rate(const cli *c, int64_t *rate)
{
    const char *text = cli_get(c, "rate");
    if (text == NULL) {
        return CLI_YES;
    }
    size_t len = strlen(text);
    len -= len > 2 && strcmp(text + len - 2, "/s") == 0 ? 2 : 0;
    if (lk_parse_i64(lk_view_make(text, len), rate) != LK_OK || *rate < 1 || *rate > 10000000) {
        return cli_wrong(c, "--rate %s: expected sessions a second, such as 500/s", text);
    }
    return CLI_YES;
}

static int choose(const cli *c, copying *k)
{
    int code = copy_rate(c, &k->rate);
    code = code == CLI_YES ? cli_get_number(c, "lanes", 1, COPY_LANES_MAX, &k->lanes_n) : code;
    code = code == CLI_YES ? store_choose(c, c->arguments[0], &k->from) : code;
    code = code == CLI_YES ? store_choose(c, c->arguments[1], &k->to) : code;
    return code == CLI_YES ? are_two(k) : code;
}

int copy_open(copying *k)
{
    k->begun_ms = lk_env_system()->mono_ms(lk_env_system());
    k->lanes_n = k->lanes_n > 0 ? k->lanes_n : LANES_DEFAULT;
    int code = store_open(k->c, &k->from);
    code = code == CLI_YES ? store_open(k->c, &k->to) : code;
    code = code == CLI_YES ? store_lanes_open(k->c, &k->to, (unsigned)k->lanes_n, &k->lanes) : code;
    return code == CLI_YES ? make_room(k) : code;
}

int copy_work(copying *k)
{
    compare_clocks(k);
    return copy_all(k);
}

void copy_close(copying *k)
{
    store_lanes_close(k->lanes);
    free(k->items);
    free(k->loads);
    free(k->records);
    free(k->heads);
    store_close(&k->from);
    store_close(&k->to);
}

int store_copy(cli *c)
{
    static copying k;
    k = (copying){.c = c, .lanes_n = LANES_DEFAULT, .ends_unknown = cli_has(c, "end-unknown")};
    cli_signals_hold();
    int code = choose(c, &k);
    code = code == CLI_YES ? copy_open(&k) : code;
    code = code == CLI_YES ? copy_work(&k) : code;
    code = code == CLI_YES ? answer(&k) : code;
    copy_close(&k);
    return code;
}
