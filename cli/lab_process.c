/* SPDX-License-Identifier: Apache-2.0
 *
 * lab_process.c - processes of the lab, by the id they were started with, and none left behind.
 *
 * Each has a group of its own, so that Ctrl-C reaches it through us alone. We are the subreaper: what a dead
 * server leaves behind becomes our child, is found below us and ended too. Should we be killed, the kernel
 * tells them.
 */
#include "lab.h"
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PATIENCE_MS 5000
#define TURN_MS 10
#define BELOW_MAX 512
/* Below those that the system gives to outgoing connections: between the choice of a port and its use, none
 * of them may take it. */
#define FIRST_PORT 20000
#define LAST_PORT 32000

int64_t lab_now_us(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000 + t.tv_nsec / 1000;
}

void lab_wait_ms(int64_t ms)
{
    (void)poll(NULL, 0, (int)ms);
}

/* ---- ports ---- */

int lab_listen(unsigned port)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    int one = 1;
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) {
        return -1;
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) != 0 || listen(fd, 256) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

unsigned lab_free_port(void)
{
    static uint8_t given[LAST_PORT - FIRST_PORT];
    for (unsigned tries = 0; tries < 1000; tries++) {
        uint16_t random = 0;
        if (lk_random(lk_env_system(), &random, sizeof random) != LK_OK) {
            return 0;
        }
        unsigned at = random % (LAST_PORT - FIRST_PORT);
        int fd = given[at] ? -1 : lab_listen(FIRST_PORT + at);
        given[at] = 1;
        if (fd >= 0) {
            close(fd);
            return FIRST_PORT + at;
        }
    }
    return 0;
}

/* ---- start ---- */

/* Where people look, and then where daemons live, which is not on everybody's PATH. */
bool lab_find_program(const char *name, char out[LK_PATH_MAX])
{
    const char *lists[] = {getenv("PATH"), "/usr/sbin:/usr/local/sbin"};
    for (size_t i = 0; i < sizeof lists / sizeof lists[0]; i++) {
        for (const char *at = lists[i]; at != NULL && *at != '\0';) {
            size_t len = strcspn(at, ":");
            if (len > 0 && serve_path(out, "%.*s/%s", (int)len, at, name) && access(out, X_OK) == 0) {
                return true;
            }
            at += len + (at[len] == ':');
        }
    }
    return false;
}

static void hear_all_signals(void)
{
    sigset_t none;
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    signal(SIGPIPE, SIG_DFL);
}

static void become(const lab_program *p)
{
    if (p->gid != 0 && (setgroups(0, NULL) != 0 || setgid(p->gid) != 0 || setuid(p->uid) != 0)) {
        _exit(CLI_FAULT);
    }
}

static void put_log(const char *path)
{
    int null = open("/dev/null", O_RDONLY);
    int log = path != NULL ? open(path, O_WRONLY | O_CREAT | O_APPEND, 0600) : open("/dev/null", O_WRONLY);
    if (null < 0 || log < 0 || dup2(null, 0) < 0 || dup2(log, 1) < 0 || dup2(log, 2) < 0) {
        _exit(CLI_FAULT);
    }
    (void)close_range(3, ~0U, 0);
}

static void exec_program(const lab_program *p, pid_t parent)
{
    (void)setpgid(0, 0);
    put_log(p->log); /* as ourselves: the log lies where the other user may not write */
    become(p);
    (void)prctl(PR_SET_PDEATHSIG, SIGTERM); /* after the change of user, which forgets it */
    if (getppid() != parent || (p->gid != 0 && chdir("/") != 0)) {
        _exit(CLI_FAULT);
    }
    hear_all_signals();
    execv(p->argv[0], (char *const *)(uintptr_t)p->argv); /* which writes to none of them */
    fprintf(stderr, "cannot run %s: %s\n", p->argv[0], strerror(errno));
    _exit(CLI_FAULT);
}

int lab_start(const cli *c, const lab_program *program, lab_process *out)
{
    pid_t parent = getpid();
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid < 0) {
        return cli_fault(c, "cannot start %s: %s", program->name, strerror(errno));
    }
    if (pid == 0) {
        exec_program(program, parent);
    }
    (void)setpgid(pid, pid);
    *out = (lab_process){.pid = pid, .name = program->name};
    return CLI_YES;
}

int lab_fork(const cli *c, pid_t leader, int keep, void (*run)(int fd, unsigned number), unsigned number,
             lab_process *out)
{
    pid_t parent = getpid();
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid < 0) {
        return cli_fault(c, "cannot start an application: %s", strerror(errno));
    }
    if (pid == 0) {
        (void)setpgid(0, leader);
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent || dup2(keep, 3) < 0) {
            _exit(CLI_FAULT);
        }
        (void)close_range(4, ~0U, 0);
        hear_all_signals();
        run(3, number);
        _exit(CLI_FAULT);
    }
    (void)setpgid(pid, leader);
    *out = (lab_process){.pid = pid, .name = "application"};
    return CLI_YES;
}

int lab_run(const cli *c, const lab_program *program)
{
    lab_process process = {0};
    int status = 0;
    int code = lab_start(c, program, &process);
    if (code != CLI_YES) {
        return code;
    }
    while (waitpid(process.pid, &status, 0) < 0 && errno == EINTR) {
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0
               ? CLI_YES
               : cli_fault(c, "%s failed: see %s", program->name, program->log);
}

/* ---- end ---- */

bool lab_is_alive(lab_process *process)
{
    if (process->pid > 0 && waitpid(process->pid, NULL, WNOHANG) != 0) {
        process->pid = 0;
    }
    return process->pid > 0;
}

/* The children of PID, from its list in /proc. */
static size_t children_of(pid_t pid, pid_t *out, size_t room)
{
    char path[64];
    size_t n = 0;
    int child;
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)pid, (int)pid);
    FILE *f = fopen(path, "re");
    while (f != NULL && n < room && fscanf(f, "%d", &child) == 1) {
        out[n++] = child;
    }
    if (f != NULL) {
        (void)fclose(f);
    }
    return n;
}

/* Everything below PID, each before its own children. */
static size_t all_below(pid_t pid, pid_t out[BELOW_MAX])
{
    size_t n = children_of(pid, out, BELOW_MAX);
    for (size_t i = 0; i < n; i++) {
        n += children_of(out[i], out + n, BELOW_MAX - n);
    }
    return n;
}

static bool is_gone_within(lab_process *process, int64_t ms)
{
    int64_t until = lab_now_us() + ms * 1000;
    while (lab_is_alive(process)) {
        if (lab_now_us() >= until) {
            return false;
        }
        lab_wait_ms(TURN_MS);
    }
    return true;
}

void lab_kill(lab_process *process)
{
    pid_t below[BELOW_MAX];
    if (process->pid <= 0) {
        return;
    }
    size_t n = all_below(process->pid, below);
    (void)kill(process->pid, SIGKILL);
    (void)kill(-process->pid, SIGKILL); /* an application leads no group: there is none of that name then */
    for (size_t i = 0; i < n; i++) {
        (void)kill(below[i], SIGKILL); /* PostgreSQL's are in groups of their own */
    }
    (void)is_gone_within(process, PATIENCE_MS);
}

void lab_end(lab_process *process, int sig)
{
    if (process->pid <= 0) {
        return;
    }
    (void)kill(process->pid, sig);
    if (!is_gone_within(process, PATIENCE_MS)) {
        lab_kill(process);
    }
}

unsigned lab_end_rest(void)
{
    pid_t below[BELOW_MAX];
    unsigned found = 0;
    int64_t until = lab_now_us() + PATIENCE_MS * 1000;
    for (;;) {
        while (waitpid(-1, NULL, WNOHANG) > 0) {
        }
        size_t n = all_below(getpid(), below);
        if (n == 0 || lab_now_us() > until) {
            return found;
        }
        found = n > found ? (unsigned)n : found;
        for (size_t i = 0; i < n; i++) {
            (void)kill(below[i], SIGKILL);
        }
        lab_wait_ms(TURN_MS);
    }
}
