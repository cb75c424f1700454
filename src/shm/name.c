/* SPDX-License-Identifier: Apache-2.0
 *
 * name.c - how a process is named in the table, so that what it leaves behind when it is killed is known to
 * be nobody's.
 *
 * A name is (start time in clock ticks since boot << 22 | pid). The pid alone would not do: the kernel gives
 * it out again, and a lock of the dead would then look held for as long as its heir lives. Threads share the
 * name: kill -9 ends all of them at once, so a lock held by another thread of a living process is simply
 * held.
 */
#include "table_inner.h"
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define PID_BITS 22 /* PID_MAX_LIMIT of Linux is 2^22 */
#define START_MASK ((1ull << (63 - PID_BITS)) - 1)

typedef struct proc_stat {
    uint64_t pid, threads, start;
    char state;
} proc_stat;

static _Atomic uint64_t own_name;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void forget_name(void)
{
    atomic_store(&own_name, 0);
}

/* The name is kept, as asking the kernel costs more than a look-up; a forked child must not keep its
 * parent's. */
static void watch_fork(void)
{
    (void)pthread_atfork(NULL, NULL, forget_name);
}

/* Move past COUNT blanks. */
static const char *skip_fields(const char *p, unsigned count)
{
    for (; count > 0 && *p != 0; p++) {
        count -= *p == ' ';
    }
    return p;
}

/* Fields 1 (pid), 3 (state), 20 (threads) and 22 (start) of proc(5) stat. The command in field 2 may hold
 * anything, so counting begins behind its last bracket. */
static bool parse_stat(const char *text, proc_stat *out)
{
    const char *p = strrchr(text, ')');
    if (p == NULL || p[1] != ' ' || p[2] == 0) {
        return false;
    }
    out->pid = strtoull(text, NULL, 10);
    out->state = p[2];
    p = skip_fields(p + 2, 17);
    out->threads = strtoull(p, NULL, 10);
    p = skip_fields(p, 2);
    out->start = strtoull(p, NULL, 10);
    return out->start != 0;
}

static bool read_stat(const char *path, proc_stat *out)
{
    char text[1024];
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    ssize_t n = read(fd, text, sizeof(text) - 1);
    (void)close(fd);
    if (n <= 0) {
        return false;
    }
    text[n] = 0;
    return parse_stat(text, out);
}

/* Without a /proc of this pid namespace the pid has to do, for this name and for judging others. */
static uint64_t make_name(void)
{
    proc_stat stat = {0};
    uint32_t pid = (uint32_t)getpid();
    if (!read_stat("/proc/self/stat", &stat) || stat.pid != pid) {
        stat.start = 0;
    }
    return (stat.start & START_MASK) << PID_BITS | pid;
}

/* The name of this process: start time and pid, so that a pid used again is another name. Never 0. */
static uint64_t name_self(void)
{
    uint64_t name = atomic_load_explicit(&own_name, memory_order_relaxed);
    if (name == 0) {
        (void)pthread_once(&once, watch_fork);
        name = make_name();
        atomic_store_explicit(&own_name, name, memory_order_relaxed);
    }
    return name;
}

bool lk__name_is_dead(uint64_t name)
{
    uint32_t pid = (uint32_t)(name & ((1u << PID_BITS) - 1));
    uint64_t start = name >> PID_BITS & START_MASK;
    char path[32];
    proc_stat stat;
    if (pid == 0 || (kill((pid_t)pid, 0) < 0 && errno == ESRCH)) {
        return true;
    }
    (void)snprintf(path, sizeof(path), "/proc/%u/stat", pid);
    if (start == 0 || name_self() >> PID_BITS == 0 || !read_stat(path, &stat)) {
        return false; /* /proc may hide other users' processes: not seeing one proves nothing */
    }
    if ((stat.start & START_MASK) != start) {
        return true;
    }
    /* A zombie runs no instruction any more, unless it is only the first thread that has ended. */
    return (stat.state == 'Z' || stat.state == 'X' || stat.state == 'x') && stat.threads <= 1;
}

uint64_t lk__name_space(void)
{
    struct stat st;
    return stat("/proc/self/ns/pid", &st) == 0 ? (uint64_t)st.st_ino : 0;
}

static void enter(lk_table *t, uint64_t name)
{
    for (uint32_t i = 0; i < LK__PARTIES; i++) {
        if (atomic_load_explicit(&t->parties[i], memory_order_relaxed) == name) {
            return;
        }
    }
    for (uint32_t i = 0; i < LK__PARTIES; i++) {
        uint64_t none = 0;
        if (atomic_compare_exchange_strong(&t->parties[i], &none, name)) {
            return;
        }
    }
    atomic_store(&t->head->parties_lost, 1);
}

uint64_t lk__self(lk_table *t)
{
    uint64_t name = name_self();
    if (atomic_load_explicit(&t->self, memory_order_relaxed) != name) {
        enter(t, name);
        atomic_store_explicit(&t->self, name, memory_order_relaxed);
    }
    return name;
}
