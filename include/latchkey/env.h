/* SPDX-License-Identifier: Apache-2.0
 *
 * env.h - clock, randomness and memory, in one place, so that a test can stop time and fail the n-th
 * allocation.
 */
#ifndef LATCHKEY_ENV_H
#define LATCHKEY_ENV_H

#include <latchkey/bytes.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct lk_env lk_env;
struct lk_env {
    int64_t (*now_ms)(const lk_env *env);  /* wall clock, ms since 1970 */
    int64_t (*mono_ms)(const lk_env *env); /* never steps back; may be 10 ms late */
    lk_status (*random)(const lk_env *env, uint8_t *out, size_t len); /* LK_OK or LK_FAULT; from a CSPRNG */
    void *(*alloc)(const lk_env *env, size_t len);                    /* zeroed; NULL when there is none */
    void (*free)(const lk_env *env, void *p);                         /* NULL is fine */
    void *context;                                                    /* the owner's, untouched by latchkey */
};

/* clock_gettime, getrandom, calloc, free. Lives for ever; safe from any thread. */
const lk_env *lk_env_system(void);

static inline int64_t lk_now_ms(const lk_env *env)
{
    return env->now_ms(env);
}
static inline int64_t lk_now_s(const lk_env *env)
{
    return env->now_ms(env) / 1000;
}
static inline void *lk_alloc(const lk_env *env, size_t len)
{
    return env->alloc(env, len);
}
static inline void lk_free(const lk_env *env, void *p)
{
    env->free(env, p);
}
LK_CHECKED static inline lk_status lk_random(const lk_env *env, void *out, size_t len)
{
    return env->random(env, (uint8_t *)out, len);
}
/* A NUL-terminated copy of V, or NULL. Free with lk_free. */
char *lk_copy_text(const lk_env *env, lk_view v);

#ifdef __cplusplus
}
#endif
#endif
