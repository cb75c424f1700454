/* SPDX-License-Identifier: Apache-2.0
 *
 * progress.c - a bar with rate and time left, and signals that wait for their turn.
 */
#include "progress.h"
#include "output.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define DRAW_EVERY_MS 100
#define RATE_EVERY_MS 500
#define BAR_MIN 10
#define BAR_MAX 40
#define LINE_MAX_LEN 256

static bool is_asked_to_stop, is_asked_where;

static void held(sigset_t *set)
{
    sigemptyset(set);
    sigaddset(set, SIGINT);
    sigaddset(set, SIGTERM);
    sigaddset(set, SIGHUP);
    sigaddset(set, SIGUSR1);
}

void cli_signals_hold(void)
{
    sigset_t set;
    held(&set);
    (void)sigprocmask(SIG_BLOCK, &set, NULL);
}

static int64_t now_ms(void)
{
    return lk_env_system()->mono_ms(lk_env_system());
}

bool cli_must_stop(int64_t wait_ms)
{
    sigset_t set;
    held(&set);
    int64_t until_ms = now_ms() + wait_ms;
    for (;;) {
        int64_t left_ms = is_asked_to_stop ? 0 : until_ms - now_ms();
        left_ms = left_ms > 0 ? left_ms : 0;
        struct timespec left = {.tv_sec = left_ms / 1000, .tv_nsec = left_ms % 1000 * 1000000};
        int sig = sigtimedwait(&set, NULL, &left);
        if (sig == SIGUSR1) {
            is_asked_where = true;
        } else if (sig > 0) {
            is_asked_to_stop = true;
        } else if (left_ms == 0) {
            return is_asked_to_stop;
        }
    }
}

const char *cli_number(uint64_t number, char out[CLI_NUMBER_MAX])
{
    char digits[CLI_NUMBER_MAX];
    int len = snprintf(digits, sizeof digits, "%llu", (unsigned long long)number), to = 0;
    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0) {
            out[to++] = ',';
        }
        out[to++] = digits[i];
    }
    out[to] = '\0';
    return out;
}

static void put_left(const cli_progress *p, char *out, size_t cap)
{
    out[0] = '\0';
    if (p->total <= p->done || p->per_s < 0.01) {
        return;
    }
    double left_s = (double)(p->total - p->done) / p->per_s;
    if (left_s < 90) {
        snprintf(out, cap, ", %.0f s left", left_s);
    } else if (left_s < 5400) {
        snprintf(out, cap, ", %.0f min left", left_s / 60);
    } else {
        snprintf(out, cap, ", %.1f h left", left_s / 3600);
    }
}

/* "412,345 of 1,000,000, 18,240/s, 32 s left" */
static void put_figures(const cli_progress *p, char *out, size_t cap)
{
    char done[CLI_NUMBER_MAX], total[CLI_NUMBER_MAX], rate[CLI_NUMBER_MAX], left[48];
    put_left(p, left, sizeof left);
    snprintf(out, cap, "%s%s%s", cli_number(p->done, done), p->total > 0 ? " of " : "",
             p->total > 0 ? cli_number(p->total, total) : "");
    if (p->per_s > 0) {
        size_t len = strlen(out);
        snprintf(out + len, cap - len, ", %s/s%s", cli_number((uint64_t)(p->per_s + 0.5), rate), left);
    }
}

static unsigned percent(const cli_progress *p)
{
    return p->done >= p->total ? 100 : (unsigned)(p->done * 100 / p->total);
}

static int columns(void)
{
    struct winsize size;
    return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

static void draw(cli_progress *p)
{
    char figures[LINE_MAX_LEN], bar[BAR_MAX + 1];
    put_figures(p, figures, sizeof figures);
    int width = columns() - (int)(strlen(p->what) + strlen(figures)) - 10;
    width = width > BAR_MAX ? BAR_MAX : width;
    if (p->total == 0 || width < BAR_MIN) {
        fprintf(stderr, "\r\033[K%.*s  %s", columns() > 40 ? 30 : 8, p->what, figures);
    } else {
        int full = (int)((unsigned)width * percent(p) / 100);
        memset(bar, '.', (size_t)width);
        memset(bar, '#', (size_t)full);
        bar[width] = '\0';
        fprintf(stderr, "\r\033[K%s [%s] %u%%  %s", p->what, bar, percent(p), figures);
    }
    fflush(stderr);
    p->is_drawn = true;
}

static void tell(cli_progress *p)
{
    char figures[LINE_MAX_LEN];
    put_figures(p, figures, sizeof figures);
    if (p->is_drawn) {
        fputs("\r\033[K", stderr);
    }
    cli_remark("%s: %s", p->what, figures);
}

/* The longer a rate was seen, the less one slow moment changes it. */
static void take_rate(cli_progress *p, int64_t at_ms)
{
    int64_t passed_ms = at_ms - p->rated_ms;
    if (passed_ms < RATE_EVERY_MS) {
        return;
    }
    double now_per_s = (double)(p->done - p->rated) * 1000 / (double)passed_ms;
    p->per_s = p->per_s > 0 ? p->per_s * 0.7 + now_per_s * 0.3 : now_per_s;
    p->rated = p->done;
    p->rated_ms = at_ms;
}

void cli_progress_begin(cli_progress *p, const char *what, uint64_t total)
{
    int64_t at_ms = now_ms();
    *p = (cli_progress){.what = what, .total = total, .begun_ms = at_ms, .rated_ms = at_ms};
    p->is_terminal = isatty(STDERR_FILENO) != 0;
}

void cli_progress_move(cli_progress *p, uint64_t done)
{
    int64_t at_ms = now_ms();
    p->done = done;
    take_rate(p, at_ms);
    (void)cli_must_stop(0);
    if (is_asked_where) {
        is_asked_where = false;
        tell(p);
        p->drawn_ms = 0;
    }
    if (p->is_terminal && at_ms - p->drawn_ms >= DRAW_EVERY_MS) {
        p->drawn_ms = at_ms;
        draw(p);
    }
}

void cli_progress_end(cli_progress *p)
{
    if (p->is_drawn) {
        fputs("\r\033[K", stderr);
        fflush(stderr);
        p->is_drawn = false;
    }
}
