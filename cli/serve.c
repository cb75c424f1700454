/* SPDX-License-Identifier: Apache-2.0
 *
 * serve.c - latchkey serve: the whole gateway in one command.
 */
#include "serve.h"
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WORKERS_MAX 4

/* An option's path made absolute, or DIR/NAME when it was not given. */
static int choose_path(const cli *c, const char *option, const serve *s, const char *name,
                       char out[LK_PATH_MAX])
{
    char here[LK_PATH_MAX];
    const char *given = cli_get(c, option);
    bool fits;
    if (given == NULL) {
        fits = serve_path(out, "%s/%s", s->dir, name);
    } else if (given[0] == '/') {
        fits = serve_path(out, "%s", given);
    } else {
        fits = getcwd(here, sizeof here) != NULL && serve_path(out, "%s/%s", here, given);
    }
    return fits ? CLI_YES : cli_wrong(c, "--%s: the path is too long", option);
}

int serve_check_plain(const cli *c, const char *what, const char *path)
{
    static const char bad[] = "\"\\$;{}'#";
    bool plain = strpbrk(path, bad) == NULL;
    for (const char *p = path; *p != '\0'; p++) {
        plain &= (unsigned char)*p >= 0x20 && *p != 0x7f;
    }
    return plain
               ? CLI_YES
               : cli_wrong(c,
                           "%s has one of %s or a control character in it, which nginx would read as its own",
                           what, bad);
}

static int choose_tls(const cli *c, serve *s)
{
    const char *cert = cli_get(c, "tls"), *key = cli_get_second(c, "tls");
    char real[PATH_MAX];
    if (cert == NULL) {
        if (s->listen.loopback) {
            return CLI_YES;
        }
        return cli_wrong(
            c,
            "plain http on %s would send passwords and cookies in clear for all to read: give --tls CERT "
            "KEY, or listen on 127.0.0.1 behind a server that has TLS",
            s->listen.host);
    }
    if (realpath(cert, real) == NULL || !serve_path(s->cert, "%s", real)) {
        return cli_wrong(c, "--tls %s: %s", cert, strerror(errno));
    }
    if (realpath(key, real) == NULL || !serve_path(s->key, "%s", real)) {
        return cli_wrong(c, "--tls %s: %s", key, strerror(errno));
    }
    int code = serve_check_plain(c, "--tls CERT", s->cert);
    return code == CLI_YES ? serve_check_plain(c, "--tls KEY", s->key) : code;
}

static int choose_apps(const cli *c, serve *s)
{
    const char *text;
    for (size_t at = 0; (text = cli_next(c, "app", &at)) != NULL;) {
        if (s->apps_n == SERVE_APPS_MAX) {
            return cli_wrong(c, "more than %d --app", SERVE_APPS_MAX);
        }
        int code = serve_app(c, text, &s->apps[s->apps_n++]);
        if (code != CLI_YES) {
            return code;
        }
    }
    return CLI_YES;
}

/* "cart,step" as nginx wants it: "cart step". What is no name of a field nginx says itself. */
static int choose_data(const cli *c, serve *s)
{
    const char *given = cli_get(c, "data");
    if (given == NULL) {
        return CLI_YES;
    }
    size_t len = strlen(given);
    if (len >= sizeof s->data ||
        strspn(given, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                      "-_.,*") != len) {
        return cli_wrong(c, "--data %s: expected names of fields with commas between them, or *", given);
    }
    for (size_t i = 0; i <= len; i++) {
        s->data[i] = given[i] == ',' ? ' ' : given[i];
    }
    return CLI_YES;
}

static int choose_workers(const cli *c, serve *s)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    s->workers = cpus < 1 ? 1 : cpus > WORKERS_MAX ? WORKERS_MAX : cpus;
    return cli_get_number(c, "workers", 1, 64, &s->workers);
}

static int choose(const cli *c, serve *s)
{
    const char *listen = cli_get(c, "listen");
    s->split = cli_has(c, "split");
    s->keep = cli_has(c, "keep");
    s->init = cli_has(c, "init");
    int code = serve_listen(c, listen != NULL ? listen : "127.0.0.1:8080", &s->listen);
    code = code == CLI_YES ? choose_tls(c, s) : code;
    code = code == CLI_YES ? choose_apps(c, s) : code;
    code = code == CLI_YES ? choose_data(c, s) : code;
    code = code == CLI_YES ? choose_workers(c, s) : code;
    code = code == CLI_YES ? serve_choose_dir(c, s) : code;
    code = code == CLI_YES ? serve_check_plain(c, "--dir", s->dir) : code;
    code = code == CLI_YES ? serve_choose_stores(c, s) : code;
    code = code == CLI_YES ? choose_path(c, "keys", s, "keys", s->keys) : code;
    code = code == CLI_YES ? serve_check_plain(c, "--keys", s->keys) : code;
    code = code == CLI_YES ? serve_find_nginx(c, s) : code;
    return code == CLI_YES ? serve_find_module(c, s) : code;
}

static void remarks(const serve *s)
{
    if (s->cert[0] == '\0') {
        cli_remark("plain http: the cookie is not marked Secure, so this is for this machine only (--tls "
                   "CERT KEY for others)");
    }
    if (geteuid() == 0) {
        cli_remark("running as root, workers included; give %s to another user to run as that one", s->dir);
    }
    if (strstr(s->store.url, "://") != NULL) {
        cli_remark("further nodes on this store need the same keys: copy %s to them", s->keys);
    }
    cli_remark("settings, keys and data are in %s; commands: latchkey ... --conf %s/latchkey.conf", s->dir,
               s->dir);
}

static int run(cli *c)
{
    static serve s;
    int code = choose(c, &s);
    code = code == CLI_YES ? serve_make_dir(c, &s) : code;
    code = code == CLI_YES ? serve_claim(c, &s.listen) : code;
    code = code == CLI_YES ? serve_write_files(c, &s) : code;
    code = code == CLI_YES ? serve_try_stores(c, &s) : code;
    if (code != CLI_YES) {
        return code;
    }
    snprintf(s.url, sizeof s.url, "%s://%s:%u", s.cert[0] != '\0' ? "https" : "http", s.listen.host,
             s.listen.port);
    remarks(&s);
    return serve_run(c, &s);
}

static const cli_option options[] = {
    {"listen", "ADDRESS", "where to listen (default 127.0.0.1:8080; port 0: any free one)"},
    {"app", "URL", "the application to pass requests to, http://HOST:PORT; several are taken in turn"},
    {"data", "FIELDS",
     "session data the application reads and changes, cart,step or * (docs/session-data.md)"},
    {"store", "URL", "who remembers sessions (default: lmdb in DIR); also file:PATH, env:NAME"},
    {"accounts", "URL", "the database of users (default: sqlite in DIR); also file:PATH, env:NAME"},
    {"replica", "URL", "a full copy of the store near this node, to read from"},
    {"share", "WAY", "how nodes share a login, one of the six ways"},
    {"init", NULL, "make the tables that a database server has not yet"},
    {"keys", "DIR", "the key files (default: in DIR)"},
    {"dir", "DIR", "where everything is kept (default: $XDG_STATE_HOME/latchkey or ~/.local/state/latchkey)"},
    {"tls", "CERT KEY", "serve https with this certificate chain and key"},
    {"split", NULL, "run login and pages in an nginx of their own, behind DIR/api.sock"},
    {"workers", "N", "nginx workers (default: one per CPU, at most 4)"},
    {"keep", NULL, "use the nginx.conf and latchkey.conf that are in DIR as they are"},
    {"nginx", "PROGRAM", "the nginx to run (default: the one installed)"},
    {0},
};

const cli_command cli_serve_commands[] = {
    {"serve", NULL, "", 0, 0, options,
     "Run the whole gateway in the foreground: nginx, accounts, sessions, pages",
     "Writes DIR/nginx.conf and DIR/latchkey.conf and runs nginx on them: as any user, without touching the "
     "system's\n"
     "nginx. SIGTERM and SIGINT stop it cleanly, SIGHUP reloads, SIGUSR1 reopens the logs. Its exit status "
     "is nginx's.\n"
     "Plain http is served on loopback addresses only; the cookie is then named latchkey and not marked "
     "Secure.",
     "latchkey serve --app http://127.0.0.1:3000", run},
    {0},
};
