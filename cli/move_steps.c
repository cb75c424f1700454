/* SPDX-License-Identifier: Apache-2.0
 *
 * move_steps.c - the steps of a move. What holds after each is in docs/decisions/0030-live-move.md: whoever
 * is interrupted has a site that works, and goes on or back from there.
 */
#include "guard/open_store.h"
#include "move.h"
#include <string.h>
#include <sys/stat.h>

bool move_is_between_stores(const move_node *node)
{
    return strcmp(node->old_side.store, node->new_side.store) != 0;
}

/* Are the sessions brought over by their visitors, to the node that each comes to? */
static bool is_fetched_by_visitors(const move_node *node)
{
    return move_is_between_stores(node) && lk__is_own_store(node->new_side.way, node->new_url) &&
           !lk__is_own_store(node->old_side.way, node->old_url);
}

/* Several nodes come with a store each into one. */
static bool is_gathered(const move_node *node)
{
    return lk__is_own_store(node->old_side.way, node->old_url) &&
           !lk__is_own_store(node->new_side.way, node->new_url);
}

static lk_kind kind_of(const move_side *side)
{
    lk_way way = LK_WAY_UNSAID;
    return lk_way_of(lk_view_of(side->way), &way) == LK_OK ? lk_way_credential(way) : LK_KIND_SESSION_ID;
}

static void choose_store(const move_node *node, const char *url, store_at *out)
{
    *out = (store_at){.from_settings = true, .settings = node->settings};
    memcpy(out->url, url, LK_URL_MAX);
    lk_store_url_show(out->url, out->shown, sizeof out->shown);
}

/* memory: is another store for each table. */
static bool is_same_store(const move_node *a, const char *one, const move_node *b, const char *other)
{
    return strcmp(one, other) == 0 &&
           (strncmp(one, "memory:", 7) != 0 || strcmp(a->settings.memory_path, b->settings.memory_path) == 0);
}

/* Are both stores of node I those of an earlier one? */
static bool is_done_before(const move *m, size_t i)
{
    for (size_t k = 0; k < i; k++) {
        const move_node *a = &m->nodes[k], *b = &m->nodes[i];
        if (is_same_store(a, a->old_url, b, b->old_url) && is_same_store(a, a->new_url, b, b->new_url)) {
            return true;
        }
    }
    return false;
}

static void add_counts(copy_counts *all, const copy_counts *one)
{
    const uint64_t *from = (const uint64_t *)one;
    uint64_t *to = (uint64_t *)all;
    for (size_t i = 0; i < sizeof *all / sizeof *to; i++) {
        to[i] += from[i];
    }
}

/* ---- one way between the stores of a node ---- */

static int copy_node(move *m, const move_node *node, bool only_ends)
{
    static copying k;
    k = (copying){.c = m->c,
                  .rate = m->rate,
                  .of_move = true,
                  .only_ends = only_ends,
                  .leaves_unknown = is_gathered(node)};
    choose_store(node, node->old_url, &k.from);
    choose_store(node, node->new_url, &k.to);
    int code = copy_open(&k);
    code = code == CLI_YES ? copy_work(&k) : code;
    add_counts(&m->counts, &k.n);
    copy_close(&k);
    return code;
}

static int copy_all_nodes(move *m, bool only_ends)
{
    int code = CLI_YES;
    m->counts = (copy_counts){0};
    for (size_t i = 0; i < m->n && code == CLI_YES; i++) {
        if (move_is_between_stores(&m->nodes[i]) && !is_done_before(m, i)) {
            code = copy_node(m, &m->nodes[i], only_ends || is_fetched_by_visitors(&m->nodes[i]));
        }
    }
    return code;
}

/* ---- sessions of one store that are in none of others ---- */

typedef struct looking {
    copying k;
    store_at others[MOVE_NODES_MAX];
    size_t others_n;
    uint64_t missing;
} looking;

static int look_at_batch(looking *l)
{
    copying *k = &l->k;
    size_t n = k->items_n;
    bool found[COPY_BATCH] = {false};
    k->items_n = 0;
    for (size_t o = 0; o < l->others_n && n > 0; o++) {
        for (size_t i = 0; i < n; i++) {
            k->loads[i] = (lk_load){.key = k->items[i].key,
                                    .head_only = true,
                                    .buf = k->heads + i * LK_HEAD_MAX,
                                    .cap = LK_HEAD_MAX};
        }
        int code = copy_load(k, &l->others[o], k->loads, n);
        if (code != CLI_YES) {
            return code;
        }
        for (size_t i = 0; i < n; i++) {
            found[i] |= k->loads[i].status == LK_OK;
        }
    }
    for (size_t i = 0; i < n; i++) {
        l->missing += !found[i];
    }
    return copy_step(k, n);
}

static bool look_at_one(void *context, const lk_session *s)
{
    copying *k = context;
    k->items[k->items_n++].key = s->key;
    if (k->items_n == COPY_BATCH) {
        k->code = look_at_batch((looking *)(void *)k);
    }
    return k->code == CLI_YES;
}

/* How many sessions of the store at URL (of the node FOR) are in none of the stores on the other side? */
static int count_missing(move *m, const move_node *node, bool in_new, uint64_t *missing)
{
    static looking l;
    l = (looking){.k = {.c = m->c}};
    choose_store(node, in_new ? node->new_url : node->old_url, &l.k.from);
    choose_store(node, in_new ? node->new_url : node->old_url, &l.k.to);
    int code = copy_open(&l.k);
    for (size_t i = 0; i < m->n && code == CLI_YES; i++) {
        if (is_done_before(m, i)) {
            continue;
        }
        choose_store(&m->nodes[i], in_new ? m->nodes[i].old_url : m->nodes[i].new_url, &l.others[l.others_n]);
        code = store_open(m->c, &l.others[l.others_n]);
        l.others_n += code == CLI_YES;
    }
    code = code == CLI_YES ? copy_walk(&l.k, &l.k.from, look_at_one) : code;
    code = code == CLI_YES ? look_at_batch(&l) : code;
    for (size_t i = 0; i < l.others_n; i++) {
        store_close(&l.others[i]);
    }
    copy_close(&l.k);
    *missing += l.missing;
    return code;
}

/* ---- configurations ---- */

static int enter(move *m, move_node *node, move_phase phase, const move_side *at)
{
    move_phase was = node->phase;
    int code = move_write(m->c, node, phase, at);
    code = code == CLI_YES ? move_reload(m->c, node) : code;
    if (code != CLI_YES && node->phase != was && !cli_must_stop(0) &&
        move_write_back(m->c, node) == CLI_YES) {
        cli_remark("%s is as it was before this step", node->conf);
        node->phase = was;
    }
    return code;
}

/* Node by node: two neighbouring phases get along. */
static int enter_all(move *m, move_phase from, move_phase phase, bool of_new)
{
    int code = CLI_YES;
    for (size_t i = 0; i < m->n && code == CLI_YES; i++) {
        move_node *node = &m->nodes[i];
        if (node->phase == from) {
            code = enter(m, node, phase,
                         phase == MOVE_NONE ? (of_new ? &node->new_side : &node->old_side) : NULL);
        }
    }
    return code;
}

static void say(move *m, const char *step, json_t *what)
{
    (void)json_object_set_new(what, "step", json_string(step));
    (void)json_array_append_new(m->said, what);
}

/* ---- the steps ---- */

static int set_up(move *m, move_node *node)
{
    const char *done;
    static store_at at;
    choose_store(node, node->new_url, &at);
    bool is_memory = strncmp(at.url, "memory:", 7) == 0;
    int code = is_memory ? CLI_YES : store_make(m->c, at.url, false, &done);
    code = code == CLI_YES ? store_open(m->c, &at) : code;
    store_close(&at);
    return code;
}

/* What is in the new store and not in the one that is left has ended there, or is somebody else's. */
static int refuse_strangers(move *m)
{
    uint64_t strangers = 0;
    char number[CLI_NUMBER_MAX];
    int code = CLI_YES;
    for (size_t i = 0; i < m->n && code == CLI_YES; i++) {
        if (move_is_between_stores(&m->nodes[i]) && !is_done_before(m, i)) {
            code = count_missing(m, &m->nodes[i], true, &strangers);
        }
    }
    if (code != CLI_YES || strangers == 0 || cli_has(m->c, "yes")) {
        return code;
    }
    return cli_no(
        m->c, LK_REASON_NONE,
        "the new store holds %s sessions that the present one does not know: left from an earlier use, of "
        "another site, or of other nodes that are moving there; %s; choose an empty store, or give --yes",
        cli_number(strangers, number),
        is_gathered(&m->nodes[0]) ? "they are kept as they are" : "the copy would end them");
}

int move_prepare(move *m)
{
    int code = CLI_YES;
    for (size_t i = 0; i < m->n && code == CLI_YES; i++) {
        if (move_is_between_stores(&m->nodes[i])) {
            code = set_up(m, &m->nodes[i]);
        }
    }
    code = code == CLI_YES ? refuse_strangers(m) : code;
    code = code == CLI_YES ? enter_all(m, MOVE_NONE, MOVE_TO, false) : code;
    if (code == CLI_YES) {
        cli_remark("prepared: all that is written goes to %s too; %s still leads", m->nodes[0].new_side.way,
                   m->nodes[0].old_side.way);
        say(m, "prepare", json_object());
    }
    return code;
}

int move_copy(move *m)
{
    char listed[CLI_NUMBER_MAX], copied[CLI_NUMBER_MAX], ended[CLI_NUMBER_MAX];
    json_t *what = json_object();
    int code = copy_all_nodes(m, false);
    cli_set_number(what, "sessions", (int64_t)m->counts.listed);
    cli_set_number(what, "copied", (int64_t)m->counts.copied);
    cli_set_number(what, "ended", (int64_t)m->counts.ended);
    say(m, "copy", what);
    if (code != CLI_YES) {
        return code;
    }
    if (is_fetched_by_visitors(&m->nodes[0])) {
        cli_remark("copied: nothing; each session is brought over to the node that its visitor comes to");
    } else if (!move_is_between_stores(&m->nodes[0])) {
        cli_remark("copied: nothing; the store stays the same");
    } else {
        cli_remark("copied: %s sessions, %s of them new there; %s that had ended were ended there too",
                   cli_number(m->counts.listed, listed), cli_number(m->counts.copied, copied),
                   cli_number(m->counts.ended, ended));
    }
    return CLI_YES;
}

int move_verify(move *m)
{
    char listed[CLI_NUMBER_MAX], compared[CLI_NUMBER_MAX];
    json_t *what = json_object();
    int code = copy_all_nodes(m, false);
    cli_set_number(what, "sessions", (int64_t)m->counts.listed);
    cli_set_number(what, "copied", (int64_t)m->counts.copied);
    cli_set_number(what, "compared", (int64_t)m->counts.compared);
    cli_set_number(what, "differing", (int64_t)m->counts.differing);
    cli_set_number(what, "unreadable", (int64_t)m->counts.unreadable);
    say(m, "verify", what);
    if (code != CLI_YES) {
        return code;
    }
    if (m->counts.unreadable > 0) {
        return cli_no(
            m->c, LK_REASON_NONE,
            "%llu sessions cannot be read by this version and would be lost: bring the gateways and this "
            "command to one version; the site goes on as it is",
            (unsigned long long)m->counts.unreadable);
    }
    if (m->counts.differing > 0) {
        cli_remark(
            "%llu sessions were changed while they were compared, or differ; run verify again to see which",
            (unsigned long long)m->counts.differing);
    }
    cli_remark("verified: all of %s sessions are in the new store, %s compared in full",
               cli_number(m->counts.listed, listed), cli_number(m->counts.compared, compared));
    return CLI_YES;
}

int move_switch(move *m)
{
    int code = enter_all(m, MOVE_TO, MOVE_FROM, true);
    if (code == CLI_YES) {
        cli_remark(
            "switched: %s leads; all that is written goes to %s too, so that latchkey move --back is open",
            m->nodes[0].new_side.way, m->nodes[0].old_side.way);
        say(m, "switch", json_object());
    }
    return code;
}

/* How long a login of the old way may be out. */
static int64_t longest_life_s(const lk_settings *s)
{
    int64_t life_s = s->absolute_s > s->remember_s ? s->absolute_s : s->remember_s;
    return s->anonymous_s > life_s ? s->anonymous_s : life_s;
}

static int64_t switched_ago_s(const move *m)
{
    int64_t newest_s = 0;
    for (size_t i = 0; i < m->n; i++) {
        struct stat st;
        if (stat(m->nodes[i].conf, &st) == 0 && st.st_mtime > newest_s) {
            newest_s = st.st_mtime;
        }
    }
    return lk_now_s(lk_env_system()) - newest_s;
}

/* Have all visitors been here since the switch? Where it can be counted, it is; else time tells. */
static int wait_for_visitors(move *m)
{
    char number[CLI_NUMBER_MAX];
    const move_node *first = &m->nodes[0];
    bool is_same_kind = kind_of(&first->old_side) == kind_of(&first->new_side);
    bool is_counted = is_fetched_by_visitors(first) && is_same_kind;
    int64_t settle_s = longest_life_s(&first->settings), left_s;
    int code = cli_get_duration(m->c, "settle", &settle_s);
    m->unseen = 0;
    /* All sessions were copied, and what visitors hold is what the new way gives, too. */
    if (is_same_kind && !is_counted) {
        return code;
    }
    for (size_t i = 0; i < m->n && code == CLI_YES && is_counted; i++) {
        if (!is_done_before(m, i) || i == 0) {
            code = i == 0 ? count_missing(m, &m->nodes[i], false, &m->unseen) : code;
        }
    }
    if (code != CLI_YES || cli_has(m->c, "yes") || (is_counted && m->unseen == 0)) {
        return code;
    }
    while ((left_s = settle_s - switched_ago_s(m)) > 0) {
        if (!cli_has(m->c, "settle")) {
            return cli_no(
                m->c, LK_REASON_NONE,
                "switched, and not finished: %s visitors may still hold what %s gave them; run latchkey move "
                "finish when the longest login is over (in %lld h), with --settle TIME to wait less, or "
                "--yes to log them out",
                is_counted ? cli_number(m->unseen, number) : "some", first->old_side.way,
                (long long)(left_s / 3600 + 1));
        }
        if (cli_must_stop(200)) {
            return cli_no(m->c, LK_REASON_NONE,
                          "interrupted: the new way leads; run latchkey move finish to go on");
        }
    }
    return CLI_YES;
}

int move_finish(move *m)
{
    bool is_fetched = is_fetched_by_visitors(&m->nodes[0]);
    int code = wait_for_visitors(m);
    /* What ended on another node is known to the store that all shared alone: also what ends while the nodes
     * are being reloaded. */
    code = code == CLI_YES && is_fetched ? copy_all_nodes(m, true) : code;
    code = code == CLI_YES ? enter_all(m, MOVE_FROM, MOVE_NONE, true) : code;
    code = code == CLI_YES && is_fetched ? copy_all_nodes(m, true) : code;
    if (code == CLI_YES) {
        cli_remark("finished: %s is all there is; what %s held is left where it was",
                   m->nodes[0].new_side.way, m->nodes[0].old_side.way);
        say(m, "finish", json_object());
    }
    return code;
}

int move_back(move *m)
{
    int code = enter_all(m, MOVE_FROM, MOVE_TO, false);
    code = code == CLI_YES ? enter_all(m, MOVE_TO, MOVE_NONE, false) : code;
    if (code == CLI_YES) {
        cli_remark("back: %s is all there is, with everything that was done meanwhile",
                   m->nodes[0].old_side.way);
        say(m, "back", json_object());
    }
    return code;
}
