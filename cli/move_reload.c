/* SPDX-License-Identifier: Apache-2.0
 *
 * move_reload.c - a gateway takes its new settings: when no worker is left that goes by the former ones, the
 * next step may begin. A worker that went on writing to one store, while the next step relies on both, would
 * lose what it wrote.
 */
#include "move.h"
#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PATIENCE_MS 120000
#define REFUSED_MS 20000 /* nginx tries the stores before it takes new settings */
#define TURN_MS 50
#define WORKERS_MAX 1024
#define MASTERS_MAX 4

typedef struct workers {
    pid_t pids[WORKERS_MAX];
    size_t n;
} workers;

static pid_t read_pid(const char *dir, const char *name)
{
    char path[LK_PATH_MAX + 32];
    long pid = 0;
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *f = fopen(path, "re");
    if (f != NULL) {
        if (fscanf(f, "%ld", &pid) != 1) {
            pid = 0;
        }
        (void)fclose(f);
    }
    return pid > 1 && kill((pid_t)pid, 0) == 0 ? (pid_t)pid : 0;
}

static size_t find_masters(const move_node *node, pid_t masters[MASTERS_MAX])
{
    static const char *const names[] = {"edge.pid", "api.pid", "nginx.pid"};
    size_t n = 0;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        pid_t pid = read_pid(node->dir, names[i]);
        if (pid != 0) {
            masters[n++] = pid;
        }
    }
    return n;
}

/* The parent of process PID, 0 when it is gone or a zombie. */
static pid_t parent_of(pid_t pid)
{
    char path[64], text[512], state = 'Z';
    int parent = 0;
    snprintf(path, sizeof path, "/proc/%ld/stat", (long)pid);
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        return 0;
    }
    size_t len = fread(text, 1, sizeof text - 1, f);
    (void)fclose(f);
    text[len] = '\0';
    const char *after = strrchr(text, ')');
    if (after == NULL || sscanf(after + 1, " %c %d", &state, &parent) != 2 || state == 'Z') {
        return 0;
    }
    return parent;
}

static void find_workers(const pid_t *masters, size_t n, workers *out)
{
    DIR *d = opendir("/proc");
    struct dirent *entry;
    out->n = 0;
    while (d != NULL && (entry = readdir(d)) != NULL && out->n < WORKERS_MAX) {
        int64_t number = 0;
        bool is_process = lk_parse_i64(lk_view_of(entry->d_name), &number) == LK_OK && number > 0;
        pid_t pid = is_process ? (pid_t)number : 0, parent = is_process ? parent_of(pid) : 0;
        for (size_t i = 0; i < n && parent > 0; i++) {
            if (parent == masters[i]) {
                out->pids[out->n++] = pid;
                break;
            }
        }
    }
    if (d != NULL) {
        (void)closedir(d);
    }
}

static size_t count_common(const workers *a, const workers *b)
{
    size_t n = 0;
    for (size_t i = 0; i < a->n; i++) {
        for (size_t k = 0; k < b->n; k++) {
            n += a->pids[i] == b->pids[k];
        }
    }
    return n;
}

static int run_command(const cli *c, const move_node *node, const char *command)
{
    char *const words[] = {(char *)(uintptr_t) "sh", (char *)(uintptr_t) "-c", (char *)(uintptr_t)command,
                           NULL}; /* the operator's own words, for his shell */
    posix_spawnattr_t attributes;
    sigset_t none;
    int status = 1;
    pid_t pid;
    (void)setenv("LATCHKEY_CONF", node->conf, 1);
    (void)sigemptyset(&none); /* ours are held */
    if (posix_spawnattr_init(&attributes) != 0) {
        return cli_fault(c, "out of memory");
    }
    bool is_run = posix_spawnattr_setsigmask(&attributes, &none) == 0 &&
                  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK) == 0 &&
                  posix_spawn(&pid, "/bin/sh", NULL, &attributes, words, environ) == 0 &&
                  waitpid(pid, &status, 0) == pid;
    (void)posix_spawnattr_destroy(&attributes);
    return is_run && status == 0 ? CLI_YES : cli_fault(c, "%s: the reload of %s failed", command, node->conf);
}

/* The former workers are gone, and there are new ones. */
static int wait_for_new(const cli *c, const move_node *node, const pid_t *masters, size_t n,
                        const workers *before)
{
    static workers now;
    const lk_env *env = lk_env_system();
    int64_t begun_ms = env->mono_ms(env);
    for (;;) {
        find_workers(masters, n, &now);
        size_t old = count_common(&now, before);
        int64_t took_ms = env->mono_ms(env) - begun_ms;
        if (old == 0 && now.n > 0) {
            return CLI_YES;
        }
        if (now.n == old && took_ms > REFUSED_MS) {
            return cli_fault(c, "the gateway of %s does not take the new settings; its error log says why",
                             node->conf);
        }
        if (took_ms > PATIENCE_MS) {
            return cli_fault(
                c,
                "%zu workers of %s still serve requests by the former settings; run the same command "
                "again when they are through (worker_shutdown_timeout bounds it)",
                old, node->conf);
        }
        if (cli_must_stop(TURN_MS)) {
            return cli_fault(c, "interrupted while %s was being reloaded", node->conf);
        }
    }
}

int move_reload(const cli *c, const move_node *node)
{
    static workers before;
    const char *command = cli_get(c, "reload");
    pid_t masters[MASTERS_MAX];
    size_t n = find_masters(node, masters);
    find_workers(masters, n, &before);
    if (command == NULL && n == 0) {
        cli_remark("no gateway runs on %s: it will start with the new settings", node->conf);
        return CLI_YES;
    }
    if (command != NULL) {
        int code = run_command(c, node, command);
        return code != CLI_YES || before.n == 0 ? code : wait_for_new(c, node, masters, n, &before);
    }
    for (size_t i = 0; i < n; i++) {
        if (kill(masters[i], SIGHUP) != 0) {
            return cli_fault(c, "the gateway of %s cannot be told to reload: %s", node->conf,
                             strerror(errno));
        }
    }
    return wait_for_new(c, node, masters, n, &before);
}
