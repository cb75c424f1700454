/* SPDX-License-Identifier: Apache-2.0
 *
 * serve_files.c - the directory `latchkey serve` keeps everything in, and the files it writes there.
 *
 *   nginx.conf latchkey.conf [api.conf]   written at each start, unless --keep
 *   [store.url accounts.url replica.url]  URLs with a password, mode 0600
 *   keys/ accounts.db sessions/           what must not be lost
 *   www/ tmp/ error.log access.log audit.log *.pid *.sock
 */
#include "serve.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <latchkey/guard.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define MEMORY_SIZE (64u << 20)
#define SOCKET_PATH_MAX 107 /* sun_path of sockaddr_un */

/* Directories on the way to PATH, with PATH itself, for this user only. */
static bool make_dirs(const char *path)
{
    char part[LK_PATH_MAX];
    snprintf(part, sizeof part, "%s", path);
    for (char *p = part + 1; *p != '\0'; p++) {
        if (*p == '/') {
            *p = '\0';
            if (mkdir(part, 0700) != 0 && errno != EEXIST) {
                return false;
            }
            *p = '/';
        }
    }
    return mkdir(part, 0700) == 0 || errno == EEXIST;
}

/* Run by root on somebody else's directory, the gateway runs as that somebody: for good, before anything is
 * written. */
static int become_owner(const cli *c, const serve *s)
{
    struct stat st;
    if (stat(s->dir, &st) != 0 || !S_ISDIR(st.st_mode)) {
        return cli_fault(c, "%s is no directory", s->dir);
    }
    if (geteuid() == 0 && st.st_uid != 0 &&
        (setgroups(0, NULL) != 0 || setgid(st.st_gid) != 0 || setuid(st.st_uid) != 0)) {
        return cli_fault(c, "cannot act as the owner of %s: %s", s->dir, strerror(errno));
    }
    if (st.st_uid != geteuid()) {
        return cli_fault(c, "%s belongs to another user", s->dir);
    }
    if ((st.st_mode & 022) != 0) {
        return cli_wrong(c, "%s can be written by others: chmod go-w it", s->dir);
    }
    return CLI_YES;
}

/* One gateway per directory: two would fight over its sockets. The descriptor stays open as long as we live.
 */
static int lock_dir(const cli *c, const serve *s)
{
    char path[LK_PATH_MAX];
    if (!serve_path(path, "%s/lock", s->dir)) {
        return cli_wrong(c, "--dir: the path is too long");
    }
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        return cli_fault(c, "cannot write in %s: %s", s->dir, strerror(errno));
    }
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        close(fd);
        return cli_fault(c, "another latchkey serve is running in %s", s->dir);
    }
    return CLI_YES;
}

/* Left behind by a start that was killed; nginx would call the address in use. */
static void remove_sockets(const serve *s)
{
    static const char *const names[] = {"health.sock", "api.sock"};
    char path[LK_PATH_MAX];
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (serve_path(path, "%s/%s", s->dir, names[i])) {
            (void)unlink(path);
        }
    }
}

/* A name that follows from the directory, so that the commands find the table by reading latchkey.conf and
 * the next start finds it again. FNV-1a: it only has to tell directories apart. */
static int choose_memory(const cli *c, serve *s)
{
    struct statvfs vfs;
    uint64_t hash = 14695981039346656037u;
    for (const char *p = s->dir; *p != '\0'; p++) {
        hash = (hash ^ (uint8_t)*p) * 1099511628211u;
    }
    bool room = statvfs("/dev/shm", &vfs) == 0 &&
                (uint64_t)vfs.f_bavail * vfs.f_frsize > MEMORY_SIZE + (8u << 20) &&
                access("/dev/shm", W_OK) == 0;
    bool fits = room ? serve_path(s->memory, "/dev/shm/latchkey-%u-%016llx", (unsigned)geteuid(),
                                  (unsigned long long)hash)
                     : serve_path(s->memory, "%s/memory", s->dir);
    return fits ? CLI_YES : cli_wrong(c, "--dir: the path is too long");
}

static bool has_room_for_sockets(const char *dir)
{
    return strlen(dir) + strlen("/health.sock") <= SOCKET_PATH_MAX;
}

static int too_long(const cli *c, const char *dir)
{
    return cli_wrong(c, "--dir: %s is too long a path for the sockets in it; choose a shorter one", dir);
}

int serve_make_dir(const cli *c, serve *s)
{
    char real[PATH_MAX];
    static const char *const folders[] = {"www", "tmp", "tmp/edge", "tmp/api"};
    char path[LK_PATH_MAX];
    if (!has_room_for_sockets(s->dir)) {
        return too_long(c, s->dir);
    }
    if (!make_dirs(s->dir)) {
        return cli_fault(c, "cannot make %s: %s", s->dir, strerror(errno));
    }
    int code = become_owner(c, s);
    if (code != CLI_YES) {
        return code;
    }
    if (realpath(s->dir, real) == NULL || !has_room_for_sockets(real) || !serve_path(s->dir, "%s", real)) {
        return too_long(c, real);
    }
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        if (!serve_path(path, "%s/%s", s->dir, folders[i]) || (mkdir(path, 0700) != 0 && errno != EEXIST)) {
            return cli_fault(c, "cannot make %s: %s", path, strerror(errno));
        }
    }
    code = lock_dir(c, s);
    if (code == CLI_YES) {
        remove_sockets(s);
        code = choose_memory(c, s);
    }
    return code;
}

/* ---- the files ---- */

static void write_url(const serve *s, FILE *f, const char *name, const serve_url *url)
{
    if (url->word[0] != '\0') {
        fprintf(f, "latchkey_%-8s \"%s\";\n", name, url->word);
    } else {
        fprintf(f, "latchkey_%-8s \"file:%s/%s.url\";\n", name, s->dir, name);
    }
}

static void write_store_url(const serve *s, FILE *f)
{
    fprintf(f, "%s\n", s->store.url);
}

static void write_accounts_url(const serve *s, FILE *f)
{
    fprintf(f, "%s\n", s->accounts.url);
}

static void write_replica_url(const serve *s, FILE *f)
{
    fprintf(f, "%s\n", s->replica.url);
}

static void write_settings(const serve *s, FILE *f)
{
    bool tls = s->cert[0] != '\0';
    fprintf(
        f,
        "# Written by latchkey serve, again at each start: to keep changes of your own, start with --keep.\n"
        "# latchkey --conf %s/latchkey.conf works on this gateway; latchkey.conf(5) explains the settings.\n",
        s->dir);
    fprintf(f, "latchkey_keys     \"%s\";\n", s->keys);
    write_url(s, f, "accounts", &s->accounts);
    write_url(s, f, "store", &s->store);
    if (s->replica.url[0] != '\0') {
        write_url(s, f, "replica", &s->replica);
    }
    if (s->share != NULL) {
        fprintf(f, "latchkey_share    %s;\n", s->share);
    }
    fprintf(f, "latchkey_memory   \"%s\" size=64m;\n", s->memory);
    fprintf(f, "latchkey_cookie   %s samesite=lax secure=%s;\n", tls ? "__Host-latchkey" : "latchkey",
            tls ? "on" : "off");
    fprintf(f, "latchkey_audit    \"%s/audit.log\";\n", s->dir);
}

static void write_page(const serve *s, FILE *f)
{
    (void)s;
    fputs(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"
        "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>latchkey</title>\n"
        "<h1>latchkey is running</h1>\n"
        "<p>There is no application behind it yet: start it with <code>--app http://127.0.0.1:3000</code>.\n"
        "<ul>\n<li><a href=\"/auth/register\">Register</a>\n<li><a href=\"/auth/login\">Log in</a>\n"
        "<li><a href=\"/auth/account\">My account and sessions</a>\n</ul>\n</html>\n",
        f);
}

/* Write DIR/NAME by way of a new file, so that no half-written one is ever read. */
static int write_file(const cli *c, const serve *s, const char *name, void (*writer)(const serve *, FILE *))
{
    char path[LK_PATH_MAX], fresh[LK_PATH_MAX];
    if (!serve_path(path, "%s/%s", s->dir, name) || !serve_path(fresh, "%s.new", path)) {
        return cli_wrong(c, "--dir: the path is too long");
    }
    if (s->keep && access(path, R_OK) == 0) {
        return CLI_YES;
    }
    (void)unlink(fresh);
    int fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    FILE *f = fd >= 0 ? fdopen(fd, "w") : NULL;
    if (f == NULL) {
        return cli_fault(c, "cannot write %s: %s", fresh, strerror(errno));
    }
    writer(s, f);
    bool failed = ferror(f) != 0;
    failed |= fclose(f) != 0;
    if (failed || rename(fresh, path) != 0) {
        return cli_fault(c, "cannot write %s: %s", path, strerror(errno));
    }
    return CLI_YES;
}

/* What nginx will read is read here first: a wrong --store is told in one sentence, by us. */
static int check_settings(const cli *c, const serve *s)
{
    char path[LK_PATH_MAX];
    lk_settings settings;
    lk_note note = {{0}};
    if (!serve_path(path, "%s/latchkey.conf", s->dir)) {
        return cli_wrong(c, "--dir: the path is too long");
    }
    lk_settings_init(&settings);
    lk_status status = lk_settings_read(lk_env_system(), path, &settings, &note);
    if (status == LK_FAULT) {
        return cli_fault(c, "%s", note.text);
    }
    status = status == LK_OK ? lk_guard_settings_check(&settings, &note) : status;
    return status == LK_OK ? CLI_YES : cli_wrong(c, "%s", note.text);
}

/* The files of URLs that are no longer used held a password. */
static int write_urls(const cli *c, const serve *s)
{
    const struct {
        const char *name;
        const serve_url *url;
        void (*writer)(const serve *s, FILE *f);
    } all[] = {{"store.url", &s->store, write_store_url},
               {"accounts.url", &s->accounts, write_accounts_url},
               {"replica.url", &s->replica, write_replica_url}};
    char path[LK_PATH_MAX];
    int code = CLI_YES;
    for (size_t i = 0; i < sizeof all / sizeof all[0] && code == CLI_YES; i++) {
        bool is_needed = all[i].url->url[0] != '\0' && all[i].url->word[0] == '\0';
        if (is_needed) {
            code = write_file(c, s, all[i].name, all[i].writer);
        } else if (!s->keep && serve_path(path, "%s/%s", s->dir, all[i].name)) {
            (void)unlink(path);
        }
    }
    return code;
}

int serve_write_files(const cli *c, const serve *s)
{
    int code = write_urls(c, s);
    code = code == CLI_YES ? write_file(c, s, "latchkey.conf", write_settings) : code;
    code = code == CLI_YES ? check_settings(c, s) : code;
    code = code == CLI_YES ? write_file(c, s, "nginx.conf", serve_write_edge) : code;
    if (code == CLI_YES && s->split) {
        code = write_file(c, s, "api.conf", serve_write_api);
    }
    return code == CLI_YES ? write_file(c, s, "www/index.html", write_page) : code;
}
