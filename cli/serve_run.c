/* SPDX-License-Identifier: Apache-2.0
 *
 * serve_run.c - nginx in the foreground: started, watched, told what we are told, and never left behind.
 *
 * Each nginx gets a process group of its own, so that Ctrl-C reaches it through us alone and its workers can
 * be found when their master was killed. We are their subreaper for the same reason; and should we be killed,
 * the kernel tells nginx.
 */
#include "serve.h"
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#define NGINX_MAX 2
#define STOP_GENTLY_MS 4000 /* a second more than worker_shutdown_timeout */
#define STOP_FIRMLY_MS 5500
#define ASK_AGAIN_MS 200 /* nginx forgets what it was told before its first wait for signals */
#define READY_PATIENCE_MS 30000
#define TURN_MS 50

typedef struct child {
    const char *conf;
    pid_t pid;            /* also its process group; 0 when it was never started */
    bool alive;           /* the master itself */
    bool asked;           /* was told to stop */
    int64_t ask_again_ms; /* on the clock of the stop */
    int status;           /* of waitpid, once it is not alive */
} child;

/* children[0] is the edge. They stop in that order, so that no request finds the door open and nobody behind
 * it. */
typedef struct run {
    const cli *c;
    const serve *s;
    child children[NGINX_MAX];
    size_t n;
    int signals;
    bool ready, complained, stopping;
    bool failed; /* a master ended that nobody had asked to */
    int64_t started_ms, stopping_ms;
    int code;
} run;

static int64_t now_ms(void)
{
    return lk_env_system()->mono_ms(lk_env_system());
}

static void exec_nginx(const serve *s, const char *conf)
{
    char conf_path[LK_PATH_MAX], error_log[LK_PATH_MAX];
    if (serve_path(conf_path, "%s/%s", s->dir, conf) && serve_path(error_log, "%s/error.log", s->dir)) {
        execl(s->nginx, "nginx", "-p", s->dir, "-e", error_log, "-c", conf_path, (char *)NULL);
    }
    fprintf(stderr, "latchkey: cannot run %s: %s\n", s->nginx, strerror(errno));
    _exit(CLI_FAULT);
}

static bool start(run *r, child *nginx, const sigset_t *was)
{
    pid_t parent = getpid();
    nginx->pid = fork();
    if (nginx->pid < 0) {
        nginx->pid = 0;
        return false;
    }
    if (nginx->pid == 0) {
        (void)setpgid(0, 0);
        (void)prctl(PR_SET_PDEATHSIG, SIGTERM);
        if (getppid() != parent) {
            _exit(CLI_FAULT); /* we were killed before the line above */
        }
        (void)sigprocmask(SIG_SETMASK, was, NULL);
        exec_nginx(r->s, nginx->conf);
    }
    (void)setpgid(nginx->pid, nginx->pid);
    nginx->alive = true;
    return true;
}

static void signal_masters(run *r, int sig)
{
    for (size_t i = 0; i < r->n; i++) {
        if (r->children[i].alive) {
            (void)kill(r->children[i].pid, sig);
        }
    }
}

/* Masters and the workers of dead masters alike. */
static void signal_groups(run *r, int sig)
{
    for (size_t i = 0; i < r->n; i++) {
        if (r->children[i].pid > 0) {
            (void)kill(-r->children[i].pid, sig);
        }
    }
}

static bool anything_left(const run *r)
{
    for (size_t i = 0; i < r->n; i++) {
        if (r->children[i].alive || (r->children[i].pid > 0 && kill(-r->children[i].pid, 0) == 0)) {
            return true;
        }
    }
    return false;
}

static void begin_stop(run *r)
{
    if (!r->stopping) {
        r->stopping = true;
        r->stopping_ms = now_ms();
    }
}

/* ---- what happens ---- */

static void ended(run *r, child *nginx, int status)
{
    nginx->alive = false;
    nginx->status = status;
    int code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    if (nginx->asked) {
        /* Asked before it had its handlers, nginx dies of the question itself: that is a stop like any other.
         */
        bool of_asking = WIFSIGNALED(status) && (WTERMSIG(status) == SIGQUIT || WTERMSIG(status) == SIGTERM);
        r->code = r->code == 0 && !of_asking ? code : r->code;
        return;
    }
    if (WIFSIGNALED(status)) {
        cli_remark("nginx was ended by signal %d; see %s/error.log", WTERMSIG(status), r->s->dir);
    } else {
        cli_remark("nginx ended by itself with status %d; see %s/error.log", WEXITSTATUS(status), r->s->dir);
    }
    r->code = code != 0 ? code : CLI_FAULT;
    r->failed = true;
    begin_stop(r);
    (void)kill(-nginx->pid,
               SIGTERM); /* its workers would go on serving, and nobody could reload or stop them */
}

static void reap(run *r)
{
    int status = 0;
    pid_t pid;
    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        for (size_t i = 0; i < r->n; i++) {
            if (r->children[i].pid == pid && r->children[i].alive) {
                ended(r, &r->children[i], status);
            }
        }
    }
}

static void hear(run *r, int sig)
{
    switch (sig) {
    case SIGCHLD:
        reap(r);
        return;
    case SIGHUP:
    case SIGUSR1:
        signal_masters(r, sig);
        return;
    default: /* TERM, INT, QUIT; a second one is impatience */
        if (r->stopping) {
            signal_groups(r, SIGTERM);
        }
        begin_stop(r);
    }
}

/* Ask one after the other with QUIT, which lets requests finish; then all with TERM, then KILL. */
static void go_on_stopping(run *r)
{
    int64_t waited = now_ms() - r->stopping_ms;
    for (size_t i = 0; i < r->n; i++) {
        child *nginx = &r->children[i];
        if (nginx->alive && waited >= nginx->ask_again_ms) {
            nginx->asked = true;
            nginx->ask_again_ms = waited + ASK_AGAIN_MS;
            (void)kill(nginx->pid, SIGQUIT);
        }
        if (nginx->alive && waited < STOP_GENTLY_MS) {
            return;
        }
    }
    if (waited >= STOP_FIRMLY_MS) {
        signal_groups(r, SIGKILL);
    } else if (waited >= STOP_GENTLY_MS || r->failed) {
        signal_groups(r, SIGTERM);
    }
}

static void tell_ready(const run *r)
{
    const serve *s = r->s;
    if (r->c->json) {
        json_t *object = json_object();
        cli_set_flag(object, "ready", true);
        cli_set_text(object, "url", lk_view_of(s->url));
        cli_set_text(object, "dir", lk_view_of(s->dir));
        (void)cli_print_record(r->c, object, NULL);
        return;
    }
    printf("latchkey is ready: %s (register at /auth/register)\n", s->url);
    fflush(stdout);
}

static void look_ready(run *r)
{
    if (serve_is_ready(r->s)) {
        r->ready = true;
        tell_ready(r);
    } else if (!r->complained && now_ms() - r->started_ms > READY_PATIENCE_MS) {
        r->complained = true;
        cli_remark("the gateway is not ready yet; see %s/error.log", r->s->dir);
    }
}

static int turn(run *r)
{
    struct signalfd_siginfo info;
    struct pollfd waiting = {.fd = r->signals, .events = POLLIN};
    int timeout = r->stopping || !r->ready ? TURN_MS : -1;
    if (poll(&waiting, 1, timeout) > 0 && read(r->signals, &info, sizeof info) == sizeof info) {
        hear(r, (int)info.ssi_signo);
    }
    if (r->stopping) {
        go_on_stopping(r);
    } else if (!r->ready) {
        look_ready(r);
    }
    return r->stopping && !anything_left(r);
}

static int watch(run *r)
{
    while (!turn(r)) {
    }
    return r->code;
}

int serve_run(const cli *c, const serve *s)
{
    run r = {
        .c = c, .s = s, .children = {{.conf = "nginx.conf"}, {.conf = "api.conf"}}, .n = s->split ? 2 : 1};
    static const int heard[] = {SIGTERM, SIGINT, SIGQUIT, SIGHUP, SIGUSR1, SIGCHLD};
    sigset_t set, was;
    sigemptyset(&set);
    for (size_t i = 0; i < sizeof heard / sizeof heard[0]; i++) {
        sigaddset(&set, heard[i]);
    }
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1);
    if (sigprocmask(SIG_BLOCK, &set, &was) != 0 || (r.signals = signalfd(-1, &set, SFD_CLOEXEC)) < 0) {
        return cli_fault(c, "cannot wait for signals: %s", strerror(errno));
    }
    r.started_ms = now_ms();
    for (size_t i = r.n; i-- > 0;) { /* the API first: the edge finds it there */
        if (!start(&r, &r.children[i], &was)) {
            cli_remark("cannot start nginx: %s", strerror(errno));
            r.code = CLI_FAULT;
            begin_stop(&r);
            break;
        }
    }
    int code = watch(&r);
    close(r.signals);
    return code;
}
