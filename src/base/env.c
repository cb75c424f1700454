/* SPDX-License-Identifier: Apache-2.0
 *
 * env.c - the clock, randomness and memory of the system.
 */
#include <errno.h>
#include <latchkey/env.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

static int64_t clock_ms(clockid_t id)
{
    struct timespec t = {0};

    /* These two clocks exist on every Linux; the call cannot fail with a valid pointer. */
    (void)clock_gettime(id, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static int64_t system_now_ms(const lk_env *env)
{
    (void)env;
    return clock_ms(CLOCK_REALTIME);
}

/* The coarse one, which moves every few milliseconds: it is asked on every request, to know how old a view
 * is, and costs a tenth. It is the same for all processes of the machine. */
static int64_t system_mono_ms(const lk_env *env)
{
    (void)env;
    return clock_ms(CLOCK_MONOTONIC_COARSE);
}

static lk_status system_random(const lk_env *env, uint8_t *out, size_t len)
{
    size_t done = 0;

    (void)env;
    /* getrandom may be interrupted and may give less than was asked for above 256 bytes (getrandom(2)). */
    while (done < len) {
        ssize_t got = getrandom(out + done, len - done, 0);

        if (got < 0 && errno != EINTR)
            return LK_FAULT;
        if (got > 0)
            done += (size_t)got;
    }
    return LK_OK;
}

static void *system_alloc(const lk_env *env, size_t len)
{
    (void)env;
    return calloc(1, len > 0 ? len : 1); /* NULL shall mean "no memory" and nothing else */
}

static void system_free(const lk_env *env, void *p)
{
    (void)env;
    free(p);
}

const lk_env *lk_env_system(void)
{
    static const lk_env system = {
        .now_ms = system_now_ms,
        .mono_ms = system_mono_ms,
        .random = system_random,
        .alloc = system_alloc,
        .free = system_free,
    };

    return &system;
}

char *lk_copy_text(const lk_env *env, lk_view v)
{
    char *copy;

    if (v.len == SIZE_MAX)
        return NULL;
    copy = lk_alloc(env, v.len + 1); /* zeroed, so the NUL is there */
    if (copy != NULL && v.len > 0)
        memcpy(copy, v.p, v.len);
    return copy;
}
