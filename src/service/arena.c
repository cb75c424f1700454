/* SPDX-License-Identifier: Apache-2.0
 *
 * arena.c - a chain of blocks, each handed out from its front.
 */
#include "service/arena.h"

#include <latchkey/secret.h>
#include <string.h>

#define BLOCK_LEN 8192

typedef struct block {
    struct block *next;
    size_t cap, used;
    _Alignas(16) uint8_t bytes[];
} block;

struct lk__arena {
    const lk_env *env;
    block *first;
    size_t total;
    bool failed;
};

lk__arena *lk__arena_new(const lk_env *env)
{
    lk__arena *a = lk_alloc(env, sizeof(*a));
    if (a != NULL)
        a->env = env;
    return a;
}

void lk__arena_free(lk__arena *a)
{
    if (a == NULL)
        return;
    block *b = a->first;
    while (b != NULL) {
        block *next = b->next;
        lk_wipe(b->bytes, b->used);
        lk_free(a->env, b);
        b = next;
    }
    lk_free(a->env, a);
}

/* A block with room for LEN bytes at the front of the chain, or NULL. */
static block *block_with_room(lk__arena *a, size_t len)
{
    if (a->first != NULL && a->first->cap - a->first->used >= len)
        return a->first;
    size_t cap = len > BLOCK_LEN ? len : BLOCK_LEN;
    if (cap > LK_ARENA_MAX - a->total)
        return NULL;
    block *b = lk_alloc(a->env, sizeof(*b) + cap);
    if (b == NULL)
        return NULL;
    b->cap = cap;
    b->next = a->first;
    a->first = b;
    a->total += cap;
    return b;
}

void *lk__arena_take(lk__arena *a, size_t len)
{
    if (len > LK_ARENA_MAX) {
        a->failed = true;
        return NULL;
    }
    size_t padded = (len + 15) & ~(size_t)15;
    block *b = block_with_room(a, padded);
    if (b == NULL) {
        a->failed = true;
        return NULL;
    }
    void *p = b->bytes + b->used;
    b->used += padded;
    return p;
}

lk_buf lk__arena_buf(lk__arena *a, size_t cap)
{
    void *p = lk__arena_take(a, cap);
    return lk_buf_over(p, p == NULL ? 0 : cap);
}

lk_view lk__arena_copy(lk__arena *a, lk_view v)
{
    if (v.len == 0)
        return (lk_view){0};
    uint8_t *p = lk__arena_take(a, v.len);
    if (p == NULL)
        return (lk_view){0};
    memcpy(p, v.p, v.len);
    return lk_view_make(p, v.len);
}

bool lk__arena_failed(const lk__arena *a)
{
    return a->failed;
}
