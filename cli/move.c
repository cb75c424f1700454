/* SPDX-License-Identifier: Apache-2.0
 *
 * move.c - latchkey move: a site changes its mind between the six ways, and nobody is logged out.
 */
#include "move.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

/* What WORD, an argument of ours or of a file, stands for. */
static int read_word(const cli *c, const char *word, char url[LK_URL_MAX])
{
    static lk_settings scratch;
    lk_note note = {{0}};
    lk_view value = lk_view_of(word);
    lk_settings_init(&scratch);
    lk_status status = lk_settings_apply(&scratch, LK_VIEW("latchkey_store"), &value, 1, &note);
    memcpy(url, scratch.store, LK_URL_MAX);
    lk_wipe(&scratch, sizeof scratch);
    if (status == LK_OK) {
        return CLI_YES;
    }
    return status == LK_FAULT ? cli_fault(c, "%s", note.text) : cli_wrong(c, "%s", note.text);
}

/* A URL with a password goes into a file that only the owner of the settings can read, and they name that. */
static int keep_secret(const cli *c, const move_node *node, const char *what, char word[MOVE_WORD_MAX])
{
    char shown[LK_URL_MAX], path[MOVE_WORD_MAX], url[MOVE_WORD_MAX];
    struct stat st;
    lk_store_url_show(word, shown, sizeof shown);
    if (strcmp(shown, word) == 0) {
        return CLI_YES;
    }
    memcpy(url, word, sizeof url);
    if (snprintf(path, sizeof path, "%s/%s-%s.url", node->dir, node->new_side.way, what) >=
        MOVE_WORD_MAX - 8) {
        return cli_wrong(c, "%s: too long a path", node->dir);
    }
    (void)unlink(path);
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    bool is_written = fd >= 0 && stat(node->conf, &st) == 0 &&
                      (geteuid() != 0 || fchown(fd, st.st_uid, st.st_gid) == 0) &&
                      write(fd, url, strlen(url)) == (ssize_t)strlen(url);
    is_written = (fd < 0 || close(fd) == 0) && is_written;
    lk_wipe(url, sizeof url);
    snprintf(word, MOVE_WORD_MAX, "file:%.*s", MOVE_WORD_MAX - 8, path);
    return is_written ? CLI_YES : cli_fault(c, "%s: cannot be written: %s", path, strerror(errno));
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
        code = code == CLI_YES ? read_word(c, node->new_side.store, node->new_url) : code;
        code = code == CLI_YES ? keep_secret(c, node, "store", node->new_side.store) : code;
    }
    if (code == CLI_YES && replica != NULL) {
        code = fill_in(c, node, replica, node->new_side.replica);
        code = code == CLI_YES ? keep_secret(c, node, "replica", node->new_side.replica) : code;
    }
    return code;
}

/* Out of the list of processes, once every node has been told. */
static void hide_words(const cli *c)
{
    const char *const names[] = {"store", "replica"};
    char url[LK_URL_MAX], shown[LK_URL_MAX];
    for (size_t i = 0; i < 2; i++) {
        const char *word = cli_get(c, names[i]);
        lk_store_url_show(word != NULL ? word : "", shown, sizeof shown);
        if (word != NULL && strcmp(shown, word) != 0) {
            (void)!store_read_url(c, names[i], word, url);
            lk_wipe(url, sizeof url);
        }
    }
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
    hide_words(m->c);
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
