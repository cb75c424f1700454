/* SPDX-License-Identifier: Apache-2.0
 *
 * move.c - latchkey move: a site changes its mind between the six ways, and nobody is logged out.
 */
#include "move.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>

static int say_answer(move *m)
{
    json_t *object = json_object();
    json_t *nodes = json_array();
    for (size_t i = 0; i < m->n; i++) {
        json_t *node = json_object();
        char shown[LK_URL_MAX];
        cli_set_text(node, "conf", lk_view_of(m->nodes[i].conf));
        cli_set_text(node, "move", lk_view_of(move_phase_name(m->nodes[i].phase)));
        cli_set_text(node, "share", lk_view_of(m->nodes[i].settings.share));
        lk_store_url_show(m->nodes[i].settings.store, shown, sizeof shown);
        cli_set_text(node, "store", lk_view_of(shown));
        cli_set_text(node, "other",
                     lk_view_of(m->nodes[i].phase == MOVE_TO     ? m->nodes[i].new_side.way
                                : m->nodes[i].phase == MOVE_FROM ? m->nodes[i].old_side.way
                                                                 : ""));
        (void)json_array_append_new(nodes, node);
    }
    (void)json_object_set_new(object, "nodes", nodes);
    (void)json_object_set_new(object, "steps", json_incref(m->said));
    static const cli_column columns[] = {{"conf", "CONF", CLI_TEXT},   {"share", "LEADS", CLI_TEXT},
                                         {"move", "MOVE", CLI_TEXT},   {"other", "OTHER", CLI_TEXT},
                                         {"store", "STORE", CLI_TEXT}, {0}};
    return cli_print_table(m->c, object, "nodes", columns, "no node");
}

/* ---- what is asked for ---- */

static int read_nodes(move *m)
{
    size_t at = 0;
    const char *conf;
    int code = CLI_YES;
    while (code == CLI_YES &&
           (conf = m->n == 0 && !cli_has(m->c, "conf") ? m->c->conf : cli_next(m->c, "conf", &at)) != NULL) {
        char real[PATH_MAX];
        if (m->n == MOVE_NODES_MAX) {
            return cli_wrong(m->c, "--conf: at most %d nodes at once", MOVE_NODES_MAX);
        }
        if (realpath(conf, real) == NULL || strlen(real) >= LK_PATH_MAX) {
            return cli_fault(m->c, "%s is not there", conf);
        }
        code = move_read(m->c, real, &m->nodes[m->n++]);
        if (!cli_has(m->c, "conf")) {
            break;
        }
    }
    return code;
}

/* {dir} in a URL stands for the directory of the node's latchkey.conf: a store of each node's own. */
static int fill_in(const cli *c, const move_node *node, const char *word, char out[MOVE_WORD_MAX])
{
    const char *place = strstr(word, "{dir}");
    int len = place == NULL
                  ? snprintf(out, MOVE_WORD_MAX, "%s", word)
                  : snprintf(out, MOVE_WORD_MAX, "%.*s%s%s", (int)(place - word), word, node->dir, place + 5);
    return len < MOVE_WORD_MAX ? CLI_YES : cli_wrong(c, "--store: too long");
}

static int choose_store(const cli *c, move_node *node, const char *way)
{
    const char *store = cli_get(c, "store"), *replica = cli_get(c, "replica");
    bool wants_own = strcmp(way, "affinity") == 0 && strncmp(node->settings.store, "lmdb:", 5) != 0 &&
                     strncmp(node->settings.store, "memory:", 7) != 0 &&
                     strncmp(node->settings.store, "sqlite:", 7) != 0;
    int code = CLI_YES;
    if (store == NULL && wants_own) {
        store = "lmdb:{dir}/affinity";
    }
    memcpy(node->new_side.store, node->old_side.store, MOVE_WORD_MAX);
    memcpy(node->new_url, node->old_url, LK_URL_MAX);
    if (store != NULL) {
        code = fill_in(c, node, store, node->new_side.store);
        code = code == CLI_YES ? store_read_url(c, "--store", node->new_side.store, node->new_url) : code;
    }
    if (code == CLI_YES && replica != NULL) {
        snprintf(node->new_side.replica, sizeof node->new_side.replica, "%s", replica);
    }
    return code;
}

static int choose_side(const cli *c, move_node *node)
{
    const char *to = cli_get(c, "to");
    lk_way way;
    if (to == NULL) {
        return cli_wrong(
            c, "--to WAY: which of the six ways: sealed_cookie, affinity, database, replication, central "
               "or token");
    }
    if (lk_way_of(lk_view_of(to), &way) != LK_OK) {
        return cli_wrong(
            c, "--to %s: choose sealed_cookie, affinity, database, replication, central or token", to);
    }
    if (node->old_side.way[0] == '\0') {
        return cli_wrong(c, "%s: a move is between two ways: name the present one with latchkey_share",
                         node->conf);
    }
    snprintf(node->new_side.way, sizeof node->new_side.way, "%s", to);
    int code = choose_store(c, node, to);
    if (code == CLI_YES && strcmp(node->old_side.way, to) == 0 && !move_is_between_stores(node) &&
        strcmp(node->old_side.replica, node->new_side.replica) == 0) {
        code = cli_no(c, LK_REASON_NONE,
                      "%s has latchkey_share %s with that store already: there is nothing to move",
                      node->conf, to);
    }
    return code;
}

/* Nodes that the last run did not come to are given the same target as the others. */
static int choose_sides(move *m)
{
    int code = CLI_YES;
    for (size_t i = 0; i < m->n && code == CLI_YES; i++) {
        move_node *node = &m->nodes[i];
        if (node->phase == MOVE_NONE) {
            code = choose_side(m->c, node);
        } else if (cli_has(m->c, "to") && strcmp(cli_get(m->c, "to"), node->new_side.way) != 0) {
            code = cli_no(m->c, LK_REASON_NONE,
                          "%s is on its way from %s to %s: finish that, or go back with latchkey move --back",
                          node->conf, node->old_side.way, node->new_side.way);
        }
    }
    return code;
}

static bool is_any(const move *m, move_phase phase)
{
    for (size_t i = 0; i < m->n; i++) {
        if (m->nodes[i].phase == phase) {
            return true;
        }
    }
    return false;
}

/* ---- the order of the steps ---- */

static const struct step {
    const char *name;
    int (*run)(move *m);
    bool from_none, from_to, from_from; /* in which phases of its nodes it may begin */
} steps[] = {
    {"prepare", move_prepare, true, true, false}, {"copy", move_copy, false, true, false},
    {"verify", move_verify, false, true, false},  {"switch", move_switch, false, true, true},
    {"finish", move_finish, false, false, true},
};
#define STEPS (sizeof steps / sizeof steps[0])

static int run_one(move *m, const struct step *step)
{
    if ((is_any(m, MOVE_NONE) && !step->from_none) || (is_any(m, MOVE_TO) && !step->from_to) ||
        (is_any(m, MOVE_FROM) && !step->from_from)) {
        return cli_no(m->c, LK_REASON_NONE,
                      "%s: not at this stage of the move; latchkey move --status shows it, and "
                      "latchkey move without a step goes on from there",
                      step->name);
    }
    return step->run(m);
}

static int run_all(move *m)
{
    size_t first = is_any(m, MOVE_NONE) ? 0 : is_any(m, MOVE_TO) ? (is_any(m, MOVE_FROM) ? 3 : 1) : 4;
    int code = CLI_YES;
    for (size_t i = first; i < STEPS && code == CLI_YES; i++) {
        code = run_one(m, &steps[i]);
    }
    return code;
}

static int run_chosen(move *m)
{
    const char *word = m->c->arguments_n > 0 ? m->c->arguments[0] : NULL;
    if (cli_has(m->c, "back")) {
        return is_any(m, MOVE_TO) || is_any(m, MOVE_FROM)
                   ? move_back(m)
                   : cli_no(m->c, LK_REASON_NONE, "no move is under way: there is nothing to go back from");
    }
    int code = choose_sides(m);
    if (code != CLI_YES || word == NULL) {
        return code == CLI_YES ? run_all(m) : code;
    }
    for (size_t i = 0; i < STEPS; i++) {
        if (strcmp(word, steps[i].name) == 0) {
            return run_one(m, &steps[i]);
        }
    }
    return cli_wrong(m->c, "%s: the steps are prepare, copy, verify, switch and finish", word);
}

static void how_to_go_on(const move *m)
{
    if (is_any(m, MOVE_TO) || is_any(m, MOVE_FROM)) {
        cli_remark("the site works as it is, and nobody is logged out; latchkey move goes on from here, "
                   "latchkey move "
                   "--back goes back");
    }
}

static int move_run(cli *c)
{
    move m = {.c = c, .said = json_array(), .nodes = calloc(MOVE_NODES_MAX, sizeof(move_node))};
    cli_signals_hold();
    int code = m.nodes != NULL && m.said != NULL ? cli_get_number(c, "rate", 1, 10000000, &m.rate)
                                                 : cli_fault(c, "out of memory");
    code = code == CLI_YES ? read_nodes(&m) : code;
    if (code == CLI_YES && !cli_has(c, "status")) {
        code = run_chosen(&m);
        if (code != CLI_YES) {
            how_to_go_on(&m);
        }
    }
    code = code == CLI_YES ? say_answer(&m) : code;
    json_decref(m.said);
    if (m.nodes != NULL) {
        lk_wipe(m.nodes, MOVE_NODES_MAX * sizeof(move_node));
    }
    free(m.nodes);
    return code;
}

static const cli_option options[] = {
    {"to", "WAY", "sealed_cookie, affinity, database, replication, central or token"},
    {"store", "URL", "the store of the new way; file:PATH, env:NAME; {dir} is the directory of each --conf"},
    {"replica", "URL", "the copy near this node, for replication"},
    {"reload", "CMD",
     "how the gateway takes new settings (default: SIGHUP to the nginx beside the settings)"},
    {"rate", "N", "copy at most that many sessions a second"},
    {"settle", "TIME", "finish that long after the switch, whoever has not been seen since"},
    {"yes", NULL, "also where sessions would be ended: leftovers in the new store, visitors not seen since"},
    {"back", NULL, "go back to the way that is being left, from any step before finish"},
    {"status", NULL, "only say where the move is"},
    {0},
};

const cli_command cli_move_commands[] = {
    {"move", NULL, "[STEP]", 0, 1, options, "Change between the six ways without logging anyone out",
     "Steps: prepare, copy, verify, switch, finish; without one, all that are left, in that order. Until "
     "finish,\n"
     "--back is open. Interrupted, the site works as it is, and the same command goes on.",
     "latchkey move --to central --store file:/etc/latchkey/redis.url --conf /etc/latchkey/latchkey.conf",
     move_run},
    {0},
};
