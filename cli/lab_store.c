/* SPDX-License-Identifier: Apache-2.0
 *
 * lab_store.c - the servers behind the nodes: Redis alone, Redis with copies and sentinels, PostgreSQL.
 *
 * Set up as they would be in earnest (an append-only file, synced every second; commits synced), with a
 * password of this run, on loopback.
 */
#include "lab.h"
#include "store.h"
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define READY_MS 20000
#define TURN_MS 20
#define SENTINELS 3

/* ---- what must be installed ---- */

/* Debian keeps the programs of each version apart: the newest is taken. */
static bool find_postgres(const char *name, char out[LK_PATH_MAX])
{
    char pattern[128];
    glob_t found;
    bool is_found = false;
    snprintf(pattern, sizeof pattern, "/usr/lib/postgresql/*/bin/%s", name);
    if (glob(pattern, 0, NULL, &found) == 0) {
        is_found = serve_path(out, "%s", found.gl_pathv[found.gl_pathc - 1]);
        globfree(&found);
    }
    return is_found || lab_find_program(name, out);
}

static int missing(const lab *l, const lab_way *way, const char *program, const char *package)
{
    return cli_fault(l->c,
                     "%s needs %s, which is not on this machine: apt-get install --no-install-recommends %s, "
                     "or leave that way out with --ways",
                     way->name, program, package);
}

int lab_store_look(const lab *l, const lab_way *way)
{
    char path[LK_PATH_MAX];
    switch (way->store) {
    case LAB_STORE_OWN:
        return CLI_YES;
    case LAB_STORE_REDIS:
    case LAB_STORE_REPLICATED:
        return lab_find_program("redis-server", path) ? CLI_YES
                                                      : missing(l, way, "redis-server", "redis-server");
    case LAB_STORE_POSTGRES:
        if (!find_postgres("postgres", path) || !find_postgres("initdb", path)) {
            return missing(l, way, "postgres", "postgresql");
        }
        return geteuid() != 0 || getpwnam("postgres") != NULL
                   ? CLI_YES
                   : cli_fault(l->c,
                               "database: PostgreSQL does not run as root, and there is no user postgres");
    }
    return CLI_FAULT;
}

/* ---- a directory and a file of a server ---- */

static int make_dir(const lab *l, const char *name, char out[LK_PATH_MAX])
{
    bool fits = serve_path(out, "%s/%s-%s", l->dir, l->ways[l->way_at]->name, name);
    if (!fits || (mkdir(out, 0700) != 0 && errno != EEXIST)) {
        return cli_fault(l->c, "cannot make %s: %s", out, strerror(errno));
    }
    return CLI_YES;
}

static FILE *open_file(const lab *l, const char *dir, const char *name, char path[LK_PATH_MAX])
{
    FILE *f = NULL;
    int fd = serve_path(path, "%s/%s", dir, name) ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)
                                                  : -1;
    if (fd < 0 || (f = fdopen(fd, "w")) == NULL) {
        (void)cli_fault(l->c, "cannot write %s: %s", path, strerror(errno));
        if (fd >= 0) {
            close(fd);
        }
    }
    return f;
}

static int close_file(const lab *l, FILE *f, const char *path)
{
    return fclose(f) == 0 ? CLI_YES : cli_fault(l->c, "cannot write %s: %s", path, strerror(errno));
}

/* ---- Redis ---- */

static void write_redis(const lab *l, FILE *f, unsigned port, const char *dir, unsigned primary)
{
    fprintf(f,
            "port %u\nbind 127.0.0.1\ndaemonize no\ndir \"%s\"\nsave \"\"\nappendonly yes\n"
            "appendfsync everysec\nrepl-diskless-sync yes\nrepl-diskless-sync-delay 0\n"
            "repl-ping-replica-period 1\nrequirepass %s\nmasterauth %s\n",
            port, dir, l->secret, l->secret);
    if (primary != 0) {
        fprintf(f, "replicaof 127.0.0.1 %u\n", primary);
    }
}

static void write_sentinel(const lab *l, FILE *f, unsigned port, const char *dir, unsigned primary)
{
    fprintf(f,
            "port %u\nbind 127.0.0.1\ndaemonize no\ndir \"%s\"\n"
            "sentinel monitor lab 127.0.0.1 %u 2\nsentinel auth-pass lab %s\n"
            "sentinel down-after-milliseconds lab 1000\nsentinel failover-timeout lab 4000\n"
            "sentinel parallel-syncs lab 2\n",
            port, dir, primary, l->secret);
}

static int start_redis(lab *l, const char *name, unsigned primary, bool is_sentinel)
{
    char program[LK_PATH_MAX], dir[LK_PATH_MAX], conf[LK_PATH_MAX], log[LK_PATH_MAX];
    const char *argv[] = {program, conf, is_sentinel ? "--sentinel" : NULL, NULL};
    lab_store *s = &l->store;
    unsigned port = lab_free_port();
    if (s->n == LAB_SERVERS_MAX || port == 0 || !lab_find_program("redis-server", program)) {
        return cli_fault(l->c, "there is no free port for %s", name);
    }
    int code = make_dir(l, name, dir);
    FILE *f = code == CLI_YES ? open_file(l, dir, "redis.conf", conf) : NULL;
    if (f == NULL || !serve_path(log, "%s/log", dir)) {
        return CLI_FAULT;
    }
    (is_sentinel ? write_sentinel : write_redis)(l, f, port, dir, primary);
    lab_program redis = {.name = is_sentinel ? "redis-sentinel" : "redis-server", .argv = argv, .log = log};
    code = close_file(l, f, conf);
    s->ports[s->n] = port;
    return code == CLI_YES ? lab_start(l->c, &redis, &s->servers[s->n++]) : code;
}

static int start_replicated(lab *l)
{
    lab_store *s = &l->store;
    char name[32];
    int code = start_redis(l, "primary", 0, false);
    for (unsigned i = 0; i < LAB_NODES && code == CLI_YES; i++) {
        snprintf(name, sizeof name, "copy-%u", i + 1);
        code = start_redis(l, name, s->ports[0], false);
        snprintf(s->replica[i], LK_URL_MAX, "redis://:%s@127.0.0.1:%u/0", l->secret, s->ports[s->n - 1]);
    }
    for (unsigned i = 0; i < SENTINELS && code == CLI_YES; i++) {
        snprintf(name, sizeof name, "sentinel-%u", i + 1);
        code = start_redis(l, name, s->ports[0], true);
    }
    s->copies = 1 + LAB_NODES;
    snprintf(s->url, sizeof s->url, "redis+sentinel://:%s@127.0.0.1:%u,127.0.0.1:%u,127.0.0.1:%u/lab",
             l->secret, s->ports[LAB_NODES + 1], s->ports[LAB_NODES + 2], s->ports[LAB_NODES + 3]);
    return code;
}

/* ---- PostgreSQL ---- */

/* As root we are refused by it: then it runs as the user postgres, who owns its directory. */
static int choose_user(const lab *l, const char *dir, lab_program *program)
{
    if (geteuid() != 0) {
        return CLI_YES;
    }
    const struct passwd *who = getpwnam("postgres");
    if (who == NULL || chown(dir, who->pw_uid, who->pw_gid) != 0) {
        return cli_fault(l->c, "cannot give %s to the user postgres: %s", dir, strerror(errno));
    }
    program->uid = who->pw_uid;
    program->gid = who->pw_gid;
    return CLI_YES;
}

static int write_password(const lab *l, const char *dir, const lab_program *as, char path[LK_PATH_MAX])
{
    FILE *f = open_file(l, dir, "password", path);
    if (f == NULL) {
        return CLI_FAULT;
    }
    fprintf(f, "%s\n", l->secret);
    int code = close_file(l, f, path);
    if (code == CLI_YES && as->gid != 0 && chown(path, as->uid, as->gid) != 0) {
        code = cli_fault(l->c, "cannot give %s away: %s", path, strerror(errno));
    }
    return code;
}

static int make_cluster(lab *l, const char *dir, lab_program *as)
{
    char program[LK_PATH_MAX], password[LK_PATH_MAX];
    const char *argv[] = {program,
                          "-D",
                          l->store.data,
                          "-U",
                          "latchkey",
                          "--pwfile",
                          password,
                          "-E",
                          "UTF8",
                          "--locale=C.UTF-8",
                          "--auth=scram-sha-256",
                          "--no-sync",
                          NULL};
    int code = write_password(l, dir, as, password);
    if (code != CLI_YES || !find_postgres("initdb", program)) {
        return CLI_FAULT;
    }
    as->name = "initdb";
    as->argv = argv;
    code = lab_run(l->c, as);
    (void)unlink(password);
    return code;
}

static int start_postgres(lab *l)
{
    char dir[LK_PATH_MAX], log[LK_PATH_MAX], program[LK_PATH_MAX], port[16], sockets[LK_PATH_MAX + 32];
    const char *argv[] = {program,
                          "-D",
                          l->store.data,
                          "-p",
                          port,
                          "-h",
                          "127.0.0.1",
                          "-c",
                          sockets,
                          "-c",
                          "max_connections=100",
                          "-c",
                          "shared_buffers=64MB",
                          NULL};
    lab_program postgres = {.log = log};
    lab_store *s = &l->store;
    s->ports[0] = lab_free_port();
    int code = make_dir(l, "postgres", dir);
    if (code != CLI_YES || s->ports[0] == 0 || !serve_path(s->data, "%s/data", dir) ||
        !serve_path(log, "%s/postgres.log", l->dir) || !find_postgres("postgres", program)) {
        return CLI_FAULT;
    }
    code = choose_user(l, dir, &postgres);
    code = code == CLI_YES ? make_cluster(l, dir, &postgres) : code;
    snprintf(port, sizeof port, "%u", s->ports[0]);
    snprintf(sockets, sizeof sockets, "unix_socket_directories=%s", dir);
    postgres.name = "postgres";
    postgres.argv = argv;
    s->n = 1;
    snprintf(s->url, sizeof s->url, "postgres://latchkey:%s@127.0.0.1:%u/postgres", l->secret, s->ports[0]);
    return code == CLI_YES ? lab_start(l->c, &postgres, &s->servers[0]) : code;
}

/* ---- all of them ---- */

/* Until the store answers a client, and has its tables. */
static int wait_ready(lab *l)
{
    lab_store *s = &l->store;
    lk_note note = {{0}};
    int64_t until = lab_now_us() + READY_MS * 1000;
    lk_status status;
    do {
        if (!lab_goes_on(l, 0)) {
            return CLI_FAULT;
        }
        lab_wait_ms(TURN_MS);
        status = lk_store_setup(lk_env_system(), s->url, false, &note);
    } while (status == LK_FAULT && lab_is_alive(&s->servers[0]) && lab_now_us() < until);
    return status == LK_OK
               ? CLI_YES
               : cli_fault(l->c, "%s did not start: %s; see %s (--keep keeps it)",
                           s->servers[0].name != NULL ? s->servers[0].name : "the store", note.text, l->dir);
}

int lab_store_start(lab *l, const lab_way *way)
{
    lab_store *s = &l->store;
    memset(s, 0, sizeof *s);
    s->kind = way->store;
    s->copies = 1;
    int code = CLI_YES;
    switch (way->store) {
    case LAB_STORE_OWN:
        snprintf(s->url, sizeof s->url, "memory:");
        s->copies = 0;
        return CLI_YES;
    case LAB_STORE_REDIS:
        code = start_redis(l, "redis", 0, false);
        snprintf(s->url, sizeof s->url, "redis://:%s@127.0.0.1:%u/0", l->secret, s->ports[0]);
        break;
    case LAB_STORE_REPLICATED:
        code = start_replicated(l);
        break;
    case LAB_STORE_POSTGRES:
        code = start_postgres(l);
        break;
    }
    return code == CLI_YES ? wait_ready(l) : code;
}

void lab_store_end(lab *l)
{
    for (size_t i = l->store.n; i-- > 0;) {
        lab_kill(&l->store.servers[i]);
    }
    l->store.n = 0;
}
