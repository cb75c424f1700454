/* SPDX-License-Identifier: Apache-2.0
 *
 * store_count.c - latchkey store stats and sweep: what a store holds, and the end of what is over.
 */
#include "progress.h"
#include "shm/table.h"
#include "store.h"
#include <string.h>
#include <unistd.h>

#define IDLE_ROUNDS_MAX 20
#define IDLE_WAIT_MS 250

static const cli_column stats_columns[] = {
    {"store", "Store", CLI_TEXT},
    {"sessions", "Sessions", CLI_TEXT},
    {"bytes", "Bytes", CLI_TEXT},
    {"bytes_per_session", "Bytes each", CLI_TEXT},
    {"evicted", "Pushed out for want of room", CLI_TEXT},
    {"events", "Newest event", CLI_TEXT},
    {"near_copies", "Near copies here", CLI_TEXT},
    {0},
};

/* How many near copies the gateway on this machine holds; false when its table is not to be seen from here.
 */
static bool near_copies(const cli *c, const store_at *at, uint64_t *held)
{
    struct lk_table *table = NULL;
    cli_become_self();
    if (!at->from_settings || lk_store_where(at->store) != LK_STORE_REMOTE ||
        strcmp(at->settings.memory_path, "anonymous") == 0 ||
        access(at->settings.memory_path, R_OK | W_OK) != 0 ||
        cli_table_open(c, &at->settings, true, &table) != CLI_YES) {
        return false;
    }
    *held = lk_table_held(table, LK_ENTRY_NEAR);
    lk_table_close(table);
    return true;
}

static int stats_open(const cli *c, const store_at *at)
{
    lk_store_count counts;
    uint64_t events = 0, held = 0;
    if (lk_store_counts(at->store, &counts) != LK_OK || lk_store_event_seq(at->store, &events) != LK_OK) {
        return cli_fault(c, "store %s: it stopped answering while it was asked", at->shown);
    }
    json_t *object = json_object();
    cli_set_text(object, "store", lk_view_of(at->shown));
    cli_set_number(object, "sessions", (int64_t)counts.sessions);
    cli_set_number(object, "bytes", (int64_t)counts.bytes);
    cli_set_number(object, "bytes_per_session",
                   counts.sessions > 0 ? (int64_t)(counts.bytes / counts.sessions) : 0);
    cli_set_number(object, "evicted", (int64_t)counts.evicted);
    cli_set_number(object, "events", (int64_t)events);
    if (near_copies(c, at, &held)) {
        cli_set_number(object, "near_copies", (int64_t)held);
    }
    return cli_print_record(c, object, stats_columns);
}

int store_stats(cli *c)
{
    store_at at;
    int code = store_choose(c, cli_get(c, "store"), &at);
    code = code == CLI_YES ? store_open(c, &at) : code;
    code = code == CLI_YES ? stats_open(c, &at) : code;
    store_close(&at);
    return code;
}

/* ---- sweep ---- */

typedef struct sweeping {
    int64_t max_rows, max_ms;
    bool all;
    uint64_t removed;
    bool more;
} sweeping;

/* A step that removes nothing while more is waiting found another process at it: that one may be slow, and is
 * not waited for without end. */
static int sweep_steps(const cli *c, const store_at *at, sweeping *s)
{
    cli_progress progress;
    unsigned idle = 0;
    cli_progress_begin(&progress, "removing what is over", 0);
    lk_status status;
    do {
        uint32_t removed = 0;
        status = lk_store_sweep(at->store, lk_now_s(lk_env_system()), (uint32_t)s->max_rows,
                                (uint32_t)s->max_ms, &removed);
        s->removed += removed;
        idle = removed > 0 ? 0 : idle + 1;
        cli_progress_move(&progress, s->removed);
    } while (status == LK_FULL && s->all && idle < IDLE_ROUNDS_MAX &&
             !cli_must_stop(idle > 0 ? IDLE_WAIT_MS : 0));
    cli_progress_end(&progress);
    s->more = status == LK_FULL;
    return status == LK_OK || status == LK_FULL
               ? CLI_YES
               : cli_fault(c, "store %s: it stopped answering after %llu were removed", at->shown,
                           (unsigned long long)s->removed);
}

static int sweep_open(const cli *c, const store_at *at, sweeping *s)
{
    char removed[CLI_NUMBER_MAX];
    int code = sweep_steps(c, at, s);
    if (code != CLI_YES) {
        return code;
    }
    json_t *object = json_object();
    cli_set_number(object, "removed", (int64_t)s->removed);
    cli_set_flag(object, "more", s->more);
    return cli_done(c, object, "%s removed%s", cli_number(s->removed, removed),
                    s->more ? ", and more is waiting: --all goes on until nothing is left" : "");
}

int store_sweep(cli *c)
{
    store_at at;
    sweeping s = {.max_rows = 10000, .max_ms = 1000, .all = cli_has(c, "all")};
    int code = cli_get_number(c, "max-rows", 1, 100000000, &s.max_rows);
    code = code == CLI_YES ? cli_get_number(c, "max-ms", 1, 600000, &s.max_ms) : code;
    if (code != CLI_YES) {
        return code;
    }
    cli_signals_hold();
    code = store_choose(c, cli_get(c, "store"), &at);
    code = code == CLI_YES ? store_open(c, &at) : code;
    code = code == CLI_YES ? sweep_open(c, &at, &s) : code;
    store_close(&at);
    return code;
}
