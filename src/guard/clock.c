/* SPDX-License-Identifier: Apache-2.0
 *
 * clock.c - the clock of the cluster: this machine's, moved by what the store's clock differs from it.
 */
#include "guard/guard_internal.h"
#include <stdatomic.h>

static const lk_cluster_clock *clock_of(const lk_env *env)
{
    return env->context;
}

static int64_t cluster_now_ms(const lk_env *env)
{
    const lk_cluster_clock *clock = clock_of(env);
    uint64_t offset_ms =
        atomic_load_explicit(lk_table_word(clock->table, LK_WORD_CLOCK_OFFSET_MS), memory_order_relaxed);
    return lk_now_ms(clock->base) + (int64_t)offset_ms;
}

static int64_t base_mono_ms(const lk_env *env)
{
    return clock_of(env)->base->mono_ms(clock_of(env)->base);
}

static lk_status base_random(const lk_env *env, uint8_t *out, size_t len)
{
    return lk_random(clock_of(env)->base, out, len);
}

static void *base_alloc(const lk_env *env, size_t len)
{
    return lk_alloc(clock_of(env)->base, len);
}

static void base_free(const lk_env *env, void *p)
{
    lk_free(clock_of(env)->base, p);
}

int64_t lk__table_s(const lk_guard *g, int64_t at_s)
{
    return g->store_is_remote ? at_s - lk_guard_clock_offset_ms(g) / 1000 : at_s;
}

const lk_env *lk__clock_base(const lk_env *env)
{
    return env->now_ms == cluster_now_ms ? clock_of(env)->base : env;
}

void lk_cluster_clock_init(lk_cluster_clock *clock, const lk_env *base, struct lk_table *table)
{
    *clock = (lk_cluster_clock){.env = {.now_ms = cluster_now_ms,
                                        .mono_ms = base_mono_ms,
                                        .random = base_random,
                                        .alloc = base_alloc,
                                        .free = base_free,
                                        .context = clock},
                                .base = base,
                                .table = table};
}
