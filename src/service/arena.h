/* SPDX-License-Identifier: Apache-2.0
 *
 * arena.h - the memory of one response: bounded, freed in one go, wiped first because tokens pass through it.
 */
#ifndef LATCHKEY_SERVICE_ARENA_H
#define LATCHKEY_SERVICE_ARENA_H

#include <latchkey/env.h>

#define LK_ARENA_MAX (1u << 20) /* bytes one response may take in all; no honest one comes near */

typedef struct lk__arena lk__arena;

/* NULL when there is no memory. Keeps ENV. */
lk__arena *lk__arena_new(const lk_env *env);
/* Wipe and free everything taken. NULL is fine. */
void lk__arena_free(lk__arena *a);

/* LEN zeroed bytes, aligned for anything, good until lk__arena_free. NULL past LK_ARENA_MAX or without
 * memory; then `lk__arena_failed` stays true. */
void *lk__arena_take(lk__arena *a, size_t len);

/* A buffer of CAP bytes. Without memory it is a buffer without room, so that the one check of its `full` at
 * the end covers both. */
lk_buf lk__arena_buf(lk__arena *a, size_t cap);

/* A copy of V; the empty view without memory. */
lk_view lk__arena_copy(lk__arena *a, lk_view v);

/* Did a take fail? What was built from then on may be incomplete and must not be sent. */
bool lk__arena_failed(const lk__arena *a);

#endif
