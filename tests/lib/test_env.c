/* SPDX-License-Identifier: Apache-2.0
 *
 * test_env.c - the environment of tests: clock that stands still, allocations that fail on demand.
 */
#include "test_env.h"
#include <stdatomic.h>
#include <stdlib.h>

#define START_MS 1800000000000

static _Atomic int64_t wall_ms = START_MS;
static _Atomic int64_t steady_ms = 1000;
static _Atomic int allocs_until_failure;
static _Atomic int randoms_until_failure;
static _Atomic int live;
static atomic_bool failed;

static int64_t now_ms(const lk_env *env)
{
    (void)env;
    return wall_ms;
}

static int64_t mono_ms(const lk_env *env)
{
    (void)env;
    return steady_ms;
}

/* Count *UNTIL down; true at the moment it reaches nought. */
static bool is_chosen(_Atomic int *until)
{
    return *until > 0 && atomic_fetch_sub(until, 1) == 1;
}

static lk_status fill_random(const lk_env *env, uint8_t *out, size_t len)
{
    (void)env;
    if (is_chosen(&randoms_until_failure))
        return LK_FAULT;
    return lk_random(lk_env_system(), out, len);
}

static void *alloc(const lk_env *env, size_t len)
{
    void *p;

    (void)env;
    if (is_chosen(&allocs_until_failure)) {
        failed = true;
        return NULL;
    }
    p = calloc(1, len > 0 ? len : 1);
    if (p != NULL)
        atomic_fetch_add(&live, 1);
    return p;
}

static void release(const lk_env *env, void *p)
{
    (void)env;
    if (p != NULL)
        atomic_fetch_sub(&live, 1);
    free(p);
}

const lk_env *test_env(void)
{
    static const lk_env env = {
        .now_ms = now_ms,
        .mono_ms = mono_ms,
        .random = fill_random,
        .alloc = alloc,
        .free = release,
    };

    return &env;
}

void test_clock_set_ms(int64_t ms)
{
    wall_ms = ms;
}

void test_clock_advance_ms(int64_t ms)
{
    atomic_fetch_add(&wall_ms, ms);
    atomic_fetch_add(&steady_ms, ms);
}

void test_alloc_fail_at(int n)
{
    failed = false;
    allocs_until_failure = n;
}

bool test_alloc_failed(void)
{
    return failed;
}

int test_alloc_live(void)
{
    return live;
}

void test_random_fail_at(int n)
{
    randoms_until_failure = n;
}
