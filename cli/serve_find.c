/* SPDX-License-Identifier: Apache-2.0
 *
 * serve_find.c - the nginx program, the module, and where data is kept when nobody says.
 */
#include "serve.h"
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MODULE "ngx_http_latchkey_module.so"

bool serve_path(char out[LK_PATH_MAX], const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int len = vsnprintf(out, LK_PATH_MAX, format, args);
    va_end(args);
    return len > 0 && len < LK_PATH_MAX;
}

/* A folder may be entered, which is the same permission: a build directory on the PATH has one by that name.
 */
static bool is_program(const char *path)
{
    struct stat there;
    return stat(path, &there) == 0 && S_ISREG(there.st_mode) && access(path, X_OK) == 0;
}

/* The first folder of the colon-separated FOLDERS that has a program NAME. */
static bool find_in(const char *folders, const char *name, char out[LK_PATH_MAX])
{
    while (folders != NULL && *folders != '\0') {
        size_t len = strcspn(folders, ":");
        if (len > 0 && serve_path(out, "%.*s/%s", (int)len, folders, name) && is_program(out)) {
            return true;
        }
        folders += len + (folders[len] == ':');
    }
    return false;
}

int serve_find_nginx(const cli *c, serve *s)
{
    const char *given = cli_get(c, "nginx");
    if (given != NULL) {
        return serve_path(s->nginx, "%s", given) && access(given, X_OK) == 0
                   ? CLI_YES
                   : cli_wrong(c, "--nginx %s: %s", given, strerror(errno));
    }
    /* Daemons live in sbin, which is not on everybody's PATH. */
    if (find_in(getenv("PATH"), "nginx", s->nginx) ||
        find_in("/usr/sbin:/usr/local/sbin:/usr/local/nginx/sbin", "nginx", s->nginx)) {
        return CLI_YES;
    }
    return cli_fault(c, "there is no nginx on this machine: apt-get install nginx, or name one with --nginx");
}

int serve_find_module(const cli *c, serve *s)
{
    static const char *const folders[] = {LATCHKEY_MODULE_DIR, "/usr/lib/nginx/modules"};
    char self[LK_PATH_MAX] = {0};
    /* Beside the command first: what was built together runs together. */
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    char *slash = len > 0 ? strrchr(self, '/') : NULL;
    if (slash != NULL) {
        *slash = '\0';
        if (serve_path(s->module, "%s/" MODULE, self) && access(s->module, R_OK) == 0) {
            return CLI_YES;
        }
    }
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        if (serve_path(s->module, "%s/" MODULE, folders[i]) && access(s->module, R_OK) == 0) {
            return CLI_YES;
        }
    }
    return cli_fault(c, "there is no " MODULE " beside this command or in %s", LATCHKEY_MODULE_DIR);
}

/* The place for a user's own state, XDG Base Directory Specification. */
static bool state_dir(char out[LK_PATH_MAX])
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    if (state != NULL && state[0] == '/') {
        return serve_path(out, "%s/latchkey", state);
    }
    return home != NULL && home[0] == '/' && serve_path(out, "%s/.local/state/latchkey", home);
}

int serve_choose_dir(const cli *c, serve *s)
{
    char here[LK_PATH_MAX];
    const char *given = cli_get(c, "dir");
    bool ok = false;
    if (given == NULL) {
        ok = state_dir(s->dir);
    } else if (given[0] == '/') {
        ok = serve_path(s->dir, "%s", given);
    } else {
        ok = getcwd(here, sizeof here) != NULL && serve_path(s->dir, "%s/%s", here, given);
    }
    if (!ok) {
        return cli_wrong(c, given != NULL ? "--dir: the path is too long"
                                          : "no HOME to keep data in: give --dir DIR");
    }
    size_t len = strlen(s->dir);
    while (len > 1 && s->dir[len - 1] == '/') {
        s->dir[--len] = '\0';
    }
    return CLI_YES;
}
