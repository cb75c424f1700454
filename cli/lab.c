/* SPDX-License-Identifier: Apache-2.0
 *
 * lab.c - latchkey lab: the command, and the order of its parts.
 */
#include "lab.h"
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECONDS_DEFAULT 30
#define USERS_DEFAULT 300
#define RATE_DEFAULT 200
#define USERS_MIN 10
#define REMOVE_DESCRIPTORS 16

void lab_say(lab *l, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(l->doing, sizeof l->doing, format, args);
    va_end(args);
    l->progress.what = l->doing;
    if (l->is_progress) {
        cli_progress_move(&l->progress, (uint64_t)(l->spent_ms / 1000));
    }
}

bool lab_goes_on(lab *l, int64_t load_ms)
{
    l->spent_ms += load_ms;
    if (l->is_progress) {
        cli_progress_move(&l->progress, (uint64_t)(l->spent_ms / 1000));
    }
    return !cli_must_stop(0);
}

/* ---- what was asked for ---- */

static int choose_ways(lab *l)
{
    const char *text = cli_get(l->c, "ways");
    for (const lab_way *way = lab_ways; text == NULL && way->name != NULL; way++) {
        l->ways[l->ways_n++] = way;
    }
    while (text != NULL && *text != '\0') {
        size_t len = strcspn(text, ",");
        const lab_way *way = lab_way_of(text, len);
        if (way == NULL) {
            return cli_wrong(l->c,
                             "--ways: there is no way '%.*s'; there are sealed_cookie, affinity, "
                             "affinity_ip_hash, database, replication, central and token",
                             (int)len, text);
        }
        for (size_t i = 0; i < l->ways_n; i++) {
            if (l->ways[i] == way) {
                return cli_wrong(l->c, "--ways: %s is named twice", way->name);
            }
        }
        l->ways[l->ways_n++] = way;
        text += len + (text[len] == ',');
    }
    return l->ways_n > 0 ? CLI_YES : cli_wrong(l->c, "--ways names none");
}

static int choose_html(lab *l)
{
    char here[LK_PATH_MAX];
    const char *given = cli_get(l->c, "html");
    bool fits = getcwd(here, sizeof here) != NULL;
    if (given == NULL) {
        fits = fits && serve_path(l->html, "%s/lab.html", here);
    } else if (given[0] == '/') {
        fits = serve_path(l->html, "%s", given);
    } else {
        fits = fits && serve_path(l->html, "%s/%s", here, given);
    }
    return fits ? CLI_YES : cli_wrong(l->c, "--html: the path is too long");
}

static int choose(lab *l)
{
    l->seconds = SECONDS_DEFAULT;
    l->users_n = USERS_DEFAULT;
    l->rate = RATE_DEFAULT;
    l->keep = cli_has(l->c, "keep");
    int code = cli_get_number(l->c, "seconds", 2, 3600, &l->seconds);
    code = code == CLI_YES ? cli_get_number(l->c, "users", USERS_MIN, 20000, &l->users_n) : code;
    code = code == CLI_YES ? cli_get_number(l->c, "rate", 10, 20000, &l->rate) : code;
    code = code == CLI_YES ? choose_ways(l) : code;
    code = code == CLI_YES ? choose_html(l) : code;
    code = code == CLI_YES ? serve_find_nginx(l->c, &l->tools) : code;
    code = code == CLI_YES ? serve_find_module(l->c, &l->tools) : code;
    for (size_t i = 0; i < l->ways_n && code == CLI_YES; i++) {
        code = lab_store_look(l, l->ways[i]);
    }
    return code;
}

/* ---- a place of its own ---- */

static int make_secret(lab *l)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t random[LAB_SECRET_LEN / 2];
    if (lk_random(lk_env_system(), random, sizeof random) != LK_OK) {
        return cli_fault(l->c, "no randomness");
    }
    for (size_t i = 0; i < sizeof random; i++) {
        l->secret[2 * i] = digits[random[i] >> 4];
        l->secret[2 * i + 1] = digits[random[i] & 15];
    }
    return CLI_YES;
}

static int make_dirs(lab *l)
{
    const char *temp = getenv("TMPDIR");
    bool fits = serve_path(l->dir, "%s/latchkey-lab-XXXXXX", temp != NULL && temp[0] == '/' ? temp : "/tmp");
    if (!fits || mkdtemp(l->dir) == NULL) {
        l->dir[0] = '\0';
        return cli_fault(l->c, "cannot make a temporary directory: %s", strerror(errno));
    }
    /* PostgreSQL may have to run as another user below it; what is in it is closed to others. */
    if (chmod(l->dir, 0711) != 0 || serve_check_plain(l->c, "TMPDIR", l->dir) != CLI_YES) {
        return CLI_FAULT;
    }
    /* As in earnest, the nodes' tables are in memory. */
    fits = serve_path(l->memory_dir, "/dev/shm/latchkey-lab-XXXXXX");
    if (!fits || mkdtemp(l->memory_dir) == NULL) {
        if (!serve_path(l->memory_dir, "%s/memory", l->dir) || mkdir(l->memory_dir, 0700) != 0) {
            return cli_fault(l->c, "cannot make %s: %s", l->memory_dir, strerror(errno));
        }
    }
    return make_secret(l);
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    (void)st;
    (void)kind;
    (void)at;
    (void)remove(path);
    return 0;
}

static void remove_dirs(lab *l)
{
    char *all[] = {l->memory_dir, l->keep ? NULL : l->dir};
    for (size_t i = 0; i < 2; i++) {
        if (all[i] != NULL && all[i][0] != '\0') {
            (void)nftw(all[i], remove_one, REMOVE_DESCRIPTORS, FTW_DEPTH | FTW_PHYS);
        }
    }
    if (l->keep && l->dir[0] != '\0') {
        cli_remark("everything is kept in %s", l->dir);
    }
}

/* ---- the run ---- */

static int measure_all(lab *l)
{
    int code = lab_users_make(l);
    for (l->way_at = 0; l->way_at < l->ways_n && code == CLI_YES; l->way_at++) {
        l->spent_ms = (int64_t)l->way_at * lab_way_ms(l);
        code = lab_measure(l, l->ways[l->way_at], &l->results[l->way_at]);
    }
    return code;
}

static int report(lab *l)
{
    int code = lab_page(l);
    if (code != CLI_YES) {
        return code;
    }
    if (l->c->json) {
        return cli_print_record(l->c, lab_json(l), NULL);
    }
    lab_table(l);
    printf("\nThe page: %s\n", l->html);
    return fflush(stdout) == 0 ? CLI_YES : CLI_FAULT;
}

static int run_in_place(lab *l)
{
    int code = make_dirs(l);
    cli_progress_begin(&l->progress, "lab", (uint64_t)lab_way_ms(l) / 1000 * l->ways_n);
    l->is_progress = true;
    code = code == CLI_YES ? measure_all(l) : code;
    l->is_progress = false;
    cli_progress_end(&l->progress);
    lab_nodes_end(l);
    lab_store_end(l);
    if (lab_end_rest() > 0 && code == CLI_YES) {
        cli_remark("some processes of servers had to be ended one by one");
    }
    remove_dirs(l);
    if (code != CLI_YES && cli_must_stop(0)) {
        cli_remark("stopped, as asked; nothing was left behind");
    }
    return code == CLI_YES ? report(l) : code;
}

static int run(cli *c)
{
    static lab l;
    l.c = c;
    int code = choose(&l);
    if (code != CLI_YES) {
        return code;
    }
    cli_signals_hold();
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    l.users = calloc((size_t)l.users_n, sizeof *l.users);
    l.results = calloc(l.ways_n, sizeof *l.results);
    code = l.users != NULL && l.results != NULL ? run_in_place(&l) : cli_fault(c, "out of memory");
    if (l.users != NULL) {
        lab_users_forget(&l);
    }
    free(l.users);
    free(l.results);
    lk_wipe(l.secret, sizeof l.secret);
    return code;
}

static const cli_option options[] = {
    {"ways", "A,B", "these ways only (default: all; affinity_ip_hash is a variant of affinity)"},
    {"seconds", "N", "of load for each way, 2 to 3600 (default 30)"},
    {"users", "N", "visitors, each with an account, 10 to 20000 (default 300)"},
    {"rate", "N", "requests a second while times are taken, 10 to 20000 (default 200)"},
    {"html", "FILE", "where the page goes (default: lab.html here)"},
    {"keep", NULL, "leave the temporary directory with its logs"},
    {"nginx", "PROGRAM", "the nginx to run (default: the one installed)"},
    {0},
};

const cli_command cli_lab_commands[] = {
    {"lab", NULL, "", 0, 0, options, "Measure the ways to share a login, side by side, on this machine",
     "Starts three nodes, three applications, a balancer and the store of each way on loopback; logs "
     "visitors "
     "in,\n"
     "sends requests and changes of data, puts users out, kills a node, kills the store. Prints a table and "
     "writes\n"
     "a page with plots. Nothing is left behind. Needs redis-server and PostgreSQL for the ways that use "
     "them.",
     "latchkey lab --ways central,affinity --seconds 10", run},
    {0},
};
