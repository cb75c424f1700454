/* SPDX-License-Identifier: Apache-2.0
 *
 * node_taking.c - latchkey node drain: while sessions are on their way, the node that takes them reads the
 * store of the other one too. A line in its settings says so, written and taken out by us, each followed by a
 * reload.
 */
#include "crypto/mac.h"
#include "node_drain.h"
#include "settings/replace.h"
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MARK "# while `latchkey node drain` is at work, which takes this line out again\n"
#define CONF_MAX (256u << 10)
#define WORKERS_MAX 256
#define STEP_MS 50
#define RELOAD_MS 30000
#define LEAVE_MS 60000

/* ---- do the two fit? ---- */

static bool is_own_store(const char *url)
{
    return strncmp(url, "lmdb:/", 6) == 0 || strncmp(url, "sqlite:/", 8) == 0;
}

static int read_settings(const cli *c, const char *file, lk_settings *s)
{
    lk_note note = {{0}};
    lk_status status = lk_settings_read(lk_env_system(), file, s, &note);
    status = status == LK_OK ? lk_guard_settings_check(s, &note) : status;
    return status == LK_OK      ? CLI_YES
           : status == LK_FAULT ? cli_fault(c, "%s", note.text)
                                : cli_wrong(c, "%s: %s", file, note.text);
}

/* What a fixed text hashes to under the keys of SETTINGS. */
static int print_of_keys(const cli *c, const lk_settings *settings, uint8_t out[LK_MAC_LEN])
{
    const char *dir = settings->keys;
    lk_key_place place = lk_settings_key_place(settings);
    lk_keyring *ring = NULL;
    lk_note note = {{0}};
    lk_view text = LK_VIEW("the same keys?");
    int code = cli_become_owner_of(c, dir);
    if (code != CLI_YES) {
        return code;
    }
    lk_status status = lk_keyring_open_at(lk_env_system(), &place, false, &ring, &note);
    cli_become_self();
    const struct lk_mac *mac = status == LK_OK ? lk_keyring_mac(ring, LK_PURPOSE_NODE) : NULL;
    bool done = mac != NULL && lk_mac_run(mac, &text, 1, out) == LK_OK;
    lk_keyring_free(ring);
    return done ? CLI_YES : cli_fault(c, "keys %s: %s", dir, status == LK_OK ? "cannot be used" : note.text);
}

static int check_keys(const cli *c, const lk_settings *one, const lk_settings *other)
{
    uint8_t a[LK_MAC_LEN], b[LK_MAC_LEN];
    int code = print_of_keys(c, one, a);
    code = code == CLI_YES ? print_of_keys(c, other, b) : code;
    return code == CLI_YES && memcmp(a, b, sizeof a) != 0
               ? cli_wrong(c, "the nodes have different keys, so neither knows the sessions of the other")
               : code;
}

static bool is_one_place(const char *one, const char *other)
{
    char a[LK_URL_MAX], b[LK_URL_MAX], real_a[PATH_MAX], real_b[PATH_MAX];
    cli_path_of_url(one, a);
    cli_path_of_url(other, b);
    return strcmp(a, b) == 0 ||
           (realpath(a, real_a) != NULL && realpath(b, real_b) != NULL && strcmp(real_a, real_b) == 0);
}

static int check_pair(node_draining *d, const lk_settings *from, const lk_settings *to)
{
    if (!is_own_store(from->store) || !is_own_store(to->store)) {
        return cli_wrong(
            d->c, "sessions are moved between stores on this machine (lmdb:/PATH, sqlite:/PATH); nodes that "
                  "share a store have none to move: leave --to-conf out");
    }
    if (is_one_place(from->store, to->store)) {
        return cli_wrong(d->c,
                         "both nodes have the same store, so there is nothing to move: leave --to-conf out");
    }
    if (strcmp(to->share, "affinity") != 0) {
        return cli_wrong(d->c, "%s: a node that takes sessions over has latchkey_share affinity", d->to_conf);
    }
    if ((to->move_from[0] != '\0' || to->move_to[0] != '\0') && strcmp(to->move_store, from->store) != 0) {
        return cli_wrong(d->c, "%s: another move is under way there (latchkey_move)", d->to_conf);
    }
    memcpy(d->from_url, from->store, sizeof d->from_url);
    memcpy(d->to_url, to->store, sizeof d->to_url);
    return check_keys(d->c, from, to);
}

int node_check(node_draining *d)
{
    static lk_settings from, to;
    int code = read_settings(d->c, d->c->conf, &from);
    code = code == CLI_YES ? read_settings(d->c, d->to_conf, &to) : code;
    code = code == CLI_YES ? check_pair(d, &from, &to) : code;
    lk_wipe(&from, sizeof from);
    lk_wipe(&to, sizeof to);
    return code;
}

/* ---- the line ---- */

/* Settings without our line, and with it at their end when WANTED. */
static bool rewrite(const node_draining *d, bool wanted, lk_view text, lk_buf *out)
{
    for (size_t at = 0; at < text.len;) {
        lk_view rest = lk_view_part(text, at, text.len);
        lk_view line = lk_view_part(rest, 0, lk_view_find(rest, '\n') + 1);
        at += line.len;
        bool is_ours = line.len > strlen(MARK) &&
                       lk_view_equal(lk_view_part(line, line.len - strlen(MARK), line.len), LK_VIEW(MARK));
        if (!is_ours) {
            lk_buf_add(out, line);
        }
    }
    if (wanted && out->len > 0 && out->p[out->len - 1] != '\n') {
        lk_buf_add_byte(out, '\n');
    }
    if (wanted) {
        lk_buf_add_printf(out, "latchkey_move from=affinity \"store=%s\"; " MARK, d->from_url);
    }
    return !out->full;
}

static int write_line(node_draining *d, bool wanted)
{
    char *old = malloc(CONF_MAX), *fresh = malloc(CONF_MAX);
    FILE *f = fopen(d->to_conf, "rbe");
    int code = CLI_YES;
    if (old == NULL || fresh == NULL || f == NULL) {
        code = cli_fault(d->c, "%s: cannot be read: %s", d->to_conf,
                         f == NULL ? strerror(errno) : "out of memory");
    } else {
        lk_buf out = lk_buf_over(fresh, CONF_MAX);
        size_t len = fread(old, 1, CONF_MAX, f);
        bool is_whole = ferror(f) == 0 && feof(f) != 0;
        if (!is_whole || !rewrite(d, wanted, lk_view_make(old, len), &out)) {
            code = cli_fault(d->c, "%s: cannot be read, or is too long", d->to_conf);
        } else if (!lk_file_replace(d->to_conf, lk_buf_view(&out))) {
            code = cli_fault(d->c, "%s: cannot be written: %s", d->to_conf, strerror(errno));
        }
    }
    if (f != NULL) {
        (void)fclose(f);
    }
    free(old);
    free(fresh);
    return code;
}

/* ---- the reload ---- */

typedef struct workers {
    pid_t all[WORKERS_MAX];
    size_t n;
} workers;

static size_t read_small(const char *path, char *out, size_t cap)
{
    FILE *f = fopen(path, "rbe");
    size_t len = f != NULL ? fread(out, 1, cap - 1, f) : 0;
    if (f != NULL) {
        (void)fclose(f);
    }
    out[len] = '\0';
    return len;
}

static bool is_titled(pid_t pid, const char *words)
{
    char path[64], title[256];
    snprintf(path, sizeof path, "/proc/%d/cmdline", (int)pid);
    return read_small(path, title, sizeof title) > 0 && strstr(title, words) != NULL;
}

static int find_master(const cli *c, const char *file, pid_t *out)
{
    char text[64];
    int64_t pid = 0;
    size_t len = read_small(file, text, sizeof text);
    while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == ' ')) {
        len--;
    }
    if (lk_parse_i64(lk_view_make(text, len), &pid) != LK_OK || pid < 2 || pid > INT_MAX ||
        !is_titled((pid_t)pid, "nginx: master")) {
        return cli_fault(c, "%s names no running nginx", file);
    }
    *out = (pid_t)pid;
    return CLI_YES;
}

static void list_workers(pid_t master, workers *out)
{
    char path[64], text[8192];
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)master, (int)master);
    lk_view rest = lk_view_make(text, read_small(path, text, sizeof text)), word;
    int64_t pid;
    out->n = 0;
    while (out->n < WORKERS_MAX && lk_words_next(&rest, &word)) {
        if (lk_parse_i64(word, &pid) == LK_OK && is_titled((pid_t)pid, "nginx: worker")) {
            out->all[out->n++] = (pid_t)pid;
        }
    }
}

static bool has(const workers *w, pid_t pid)
{
    for (size_t i = 0; i < w->n; i++) {
        if (w->all[i] == pid) {
            return true;
        }
    }
    return false;
}

/* Is somebody new at work, and does no old one take new requests - or, ALL_GONE, is none left? */
static bool is_reloaded(pid_t master, const workers *old, bool all_gone)
{
    workers now;
    size_t fresh = 0, left = 0;
    list_workers(master, &now);
    for (size_t i = 0; i < now.n; i++) {
        bool is_old = has(old, now.all[i]);
        fresh += !is_old;
        left += is_old && (all_gone || !is_titled(now.all[i], "shutting down"));
    }
    return fresh > 0 && left == 0;
}

static int wait_reload(const node_draining *d, pid_t master, const workers *old, bool all_gone,
                       int64_t wait_ms)
{
    for (int64_t waited = 0; !is_reloaded(master, old, all_gone); waited += STEP_MS) {
        if (cli_must_stop(STEP_MS)) {
            return cli_fault(
                d->c, "interrupted; nothing is lost: run the same command again, it goes on from here");
        }
        if (waited >= wait_ms) {
            return all_gone
                       ? cli_no(d->c, LK_REASON_NONE,
                                "all sessions are with %s, where old workers still answer requests; run the "
                                "same "
                                "command again when these are through",
                                d->to)
                       : cli_fault(d->c, "the nginx of %s was not reloaded within %d s: see its error log",
                                   d->to, RELOAD_MS / 1000);
        }
    }
    return CLI_YES;
}

static int reload(node_draining *d, bool all_gone)
{
    pid_t master = 0;
    workers old;
    int code = find_master(d->c, d->pid_file, &master);
    if (code != CLI_YES) {
        return code;
    }
    list_workers(master, &old);
    if (kill(master, SIGHUP) != 0) {
        return cli_fault(d->c, "the nginx of %s cannot be reloaded: %s", d->to, strerror(errno));
    }
    code = wait_reload(d, master, &old, false, RELOAD_MS);
    return code == CLI_YES && all_gone ? wait_reload(d, master, &old, true, LEAVE_MS) : code;
}

int node_read_both(node_draining *d)
{
    pid_t master = 0;
    int code = find_master(d->c, d->pid_file, &master);
    code = code == CLI_YES ? write_line(d, true) : code;
    d->reads_both = code == CLI_YES;
    return code == CLI_YES ? reload(d, false) : code;
}

int node_read_own(node_draining *d)
{
    int code = write_line(d, false);
    d->reads_both = d->reads_both && code != CLI_YES;
    return code == CLI_YES ? reload(d, true) : code;
}
