/* SPDX-License-Identifier: Apache-2.0
 *
 * input.c - standard input, files, tokens and passwords, bounded and wiped.
 */
#include "input.h"
#include "output.h"
#include <errno.h>
#include <fcntl.h>
#include <latchkey/secret.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#define INPUT_FIRST 16384
#define PASSWORD_LINE_MAX 4096

void cli_input_free(cli_input *in)
{
    if (in->p != NULL) {
        lk_wipe(in->p, in->cap);
        free(in->p);
    }
    *in = (cli_input){0};
}

/* Twice the room. Not realloc: it would leave a copy of a secret behind. */
static bool grow(cli_input *in)
{
    size_t cap = in->cap == 0 ? INPUT_FIRST : in->cap * 2;
    uint8_t *p = malloc(cap);
    if (p == NULL) {
        return false;
    }
    if (in->p != NULL) {
        memcpy(p, in->p, in->len);
        lk_wipe(in->p, in->cap);
        free(in->p);
    }
    in->p = p;
    in->cap = cap;
    return true;
}

static int read_all(const cli *c, int fd, const char *name, cli_input *out)
{
    *out = (cli_input){0};
    for (;;) {
        if (out->len == out->cap && !grow(out)) {
            cli_input_free(out);
            return cli_fault(c, "out of memory");
        }
        ssize_t n = read(fd, out->p + out->len, out->cap - out->len);
        if (n == 0) {
            return CLI_YES;
        }
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            int code = cli_fault(c, "cannot read %s: %s", name, strerror(errno));
            cli_input_free(out);
            return code;
        }
        out->len += (size_t)n;
        if (out->len > CLI_INPUT_MAX) {
            cli_input_free(out);
            return cli_no(c, LK_REASON_NONE, "%s is larger than %u MiB", name, CLI_INPUT_MAX >> 20);
        }
    }
}

int cli_read_stdin(const cli *c, cli_input *out)
{
    return read_all(c, STDIN_FILENO, "standard input", out);
}

int cli_read_file(const cli *c, const char *path, cli_input *out)
{
    if (strcmp(path, "-") == 0) {
        return cli_read_stdin(c, out);
    }
    *out = (cli_input){0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return cli_fault(c, "cannot open %s: %s", path, strerror(errno));
    }
    int code = read_all(c, fd, path, out);
    close(fd);
    return code;
}

int cli_read_line(const cli *c, cli_input *out)
{
    int code = cli_read_stdin(c, out);
    if (code == CLI_YES && out->len > 0 && out->p[out->len - 1] == '\n') {
        out->len--;
    }
    return code;
}

int cli_read_token(const cli *c, size_t index, cli_input *out)
{
    const char *word = index < c->arguments_n ? c->arguments[index] : "-";
    if (strcmp(word, "-") == 0) {
        if (isatty(STDIN_FILENO) && index >= c->arguments_n) {
            return cli_wrong(c, "missing the token: give it as an argument, or on standard input");
        }
        return cli_read_line(c, out);
    }
    *out = (cli_input){0};
    size_t len = strlen(word);
    if (len > CLI_INPUT_MAX || (out->p = malloc(len + 1)) == NULL) {
        return cli_fault(c, "out of memory");
    }
    memcpy(out->p, word, len);
    out->len = len;
    out->cap = len + 1;
    return CLI_YES;
}

/* ---- the terminal ---- */

static struct termios terminal_was;
static volatile sig_atomic_t terminal_fd = -1;

/* An interrupt at the prompt must not leave a terminal that shows nothing. tcsetattr is safe in a handler
 * (POSIX). */
static void restore_and_die(int sig)
{
    if (terminal_fd >= 0) {
        (void)tcsetattr(terminal_fd, TCSAFLUSH, &terminal_was);
    }
    signal(sig, SIG_DFL);
    raise(sig);
}

static bool echo_off(int fd)
{
    if (tcgetattr(fd, &terminal_was) != 0) {
        return false;
    }
    terminal_fd = fd;
    signal(SIGINT, restore_and_die);
    signal(SIGTERM, restore_and_die);
    struct termios quiet = terminal_was;
    quiet.c_lflag &= ~(tcflag_t)ECHO;
    return tcsetattr(fd, TCSAFLUSH, &quiet) == 0;
}

static void echo_on(int fd)
{
    (void)tcsetattr(fd, TCSAFLUSH, &terminal_was);
    terminal_fd = -1;
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    (void)!write(fd, "\n", 1);
}

/* One line from FD without its newline. */
static bool read_one_line(int fd, cli_input *out)
{
    *out = (cli_input){.p = malloc(PASSWORD_LINE_MAX), .len = 0, .cap = PASSWORD_LINE_MAX};
    while (out->p != NULL && out->len < out->cap) {
        ssize_t n = read(fd, out->p + out->len, 1);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0 || out->p[out->len] == '\n') {
            return n > 0 || out->len > 0;
        }
        out->len++;
    }
    return false;
}

static bool ask(int fd, const char *prompt, const char *more, cli_input *out)
{
    dprintf(fd, "%s%s: ", prompt, more);
    if (!echo_off(fd)) {
        return false;
    }
    bool ok = read_one_line(fd, out);
    echo_on(fd);
    return ok;
}

static int ask_terminal(const cli *c, int fd, const char *prompt, bool twice, cli_input *out)
{
    cli_input again = {0};
    int code = CLI_YES;
    if (!ask(fd, prompt, "", out) || (twice && !ask(fd, prompt, " (again)", &again))) {
        code = cli_fault(c, "cannot read the password from the terminal");
    } else if (twice && !lk_secret_equal(cli_input_view(out), cli_input_view(&again))) {
        code = cli_wrong(c, "the two passwords differ; nothing was changed");
    }
    cli_input_free(&again);
    if (code != CLI_YES) {
        cli_input_free(out);
    }
    return code;
}

int cli_read_password(const cli *c, const char *prompt, bool twice, cli_input *out)
{
    *out = (cli_input){0};
    if (isatty(STDIN_FILENO)) {
        int fd = open("/dev/tty", O_RDWR | O_CLOEXEC);
        if (fd < 0) {
            return cli_fault(c, "cannot open the terminal: %s", strerror(errno));
        }
        int code = ask_terminal(c, fd, prompt, twice, out);
        close(fd);
        return code;
    }
    int code = cli_read_line(c, out);
    if (code == CLI_YES && lk_view_find(cli_input_view(out), '\n') < out->len) {
        cli_input_free(out);
        return cli_wrong(c, "standard input has several lines; the password is one line");
    }
    return code;
}
