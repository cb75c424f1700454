/* SPDX-License-Identifier: Apache-2.0
 *
 * make.c - a new table out of zeroed memory, and the check of one that was there.
 */
#include "crypto/shorthash.h"
#include "table_inner.h"
#include <latchkey/secret.h>

static lk__index index_at(uint8_t *at, uint32_t buckets, uint32_t levels)
{
    return (lk__index){(lk__bucket *)(void *)at, buckets, levels < buckets ? levels : buckets};
}

void lk__table_attach(lk_table *t, uint8_t *map, const lk__geometry *g)
{
    t->map = map;
    t->g = *g;
    t->head = (lk__head *)(void *)map;
    t->words = (_Atomic uint64_t *)(void *)(map + g->words);
    t->parties = (_Atomic uint64_t *)(void *)(map + g->parties);
    t->classes = (lk__class *)(void *)(map + g->classes);
    t->stripes = (lk__stripe *)(void *)(map + g->locks);
    t->owner_locks = (lk__line_lock *)(void *)(map + g->owner_locks);
    t->group_locks = (lk__line_lock *)(void *)(map + g->group_locks);
    t->pages = (lk__page *)(void *)(map + g->page_table);
    t->soonest = (_Atomic uint32_t *)(void *)(map + g->soonest);
    t->oldest = (_Atomic uint32_t *)(void *)(map + g->oldest);
    t->bits = (_Atomic uint64_t *)(void *)(map + g->bits);
    t->index = index_at(map + g->index, g->buckets, LK__LEVELS);
    t->owners = index_at(map + g->owners, g->owner_buckets, LK__OWNER_LEVELS);
}

/* Over everything before `check`, with the magic as it will be. Against accidents, not against an enemy:
 * whoever can write the file has the table anyway. */
static uint64_t checksum(const lk__head *h)
{
    uint64_t words[offsetof(lk__head, check) / sizeof(uint64_t)];
    uint64_t key[2] = {LK__TABLE_MAGIC, LK__TABLE_FORMAT};
    memcpy(words, h, sizeof(words));
    words[0] = LK__TABLE_MAGIC;
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        key[0] = lk__sip17(key, words[i], i, 0);
    }
    return key[0];
}

static void keep_index_key(lk_table *t)
{
    memcpy(t->index_key, t->head->index_key, sizeof(t->index_key));
}

lk_status lk__table_make(lk_table *t)
{
    struct {
        uint8_t index_key[16];
        uint8_t name_key[16];
        uint64_t stamp;
    } secret;
    lk_status status = lk_random(t->env, &secret, sizeof(secret));
    if (status == LK_OK) {
        lk__head *h = t->head;
        h->format = LK__TABLE_FORMAT;
        h->page_len = LK__PAGE_LEN;
        h->size = t->g.size;
        h->pages = t->g.pages;
        h->buckets = t->g.buckets;
        h->owner_buckets = t->g.owner_buckets;
        h->stripes = t->g.stripes;
        h->made_s = lk_now_s(t->env);
        memcpy(h->index_key, secret.index_key, sizeof(h->index_key));
        memcpy(h->name_key, secret.name_key, sizeof(h->name_key));
        h->check = checksum(h);
        keep_index_key(t);
        atomic_store(&h->stamp, secret.stamp >> 2); /* far from an overflow into the flag */
        atomic_store(&h->pid_space, lk__name_space());
        for (uint32_t page = 0; page < t->g.pages; page++) {
            lk__bit_set(lk__bits_free(t), page);
        }
        atomic_store_explicit(&h->magic, LK__TABLE_MAGIC, memory_order_release);
    }
    lk_wipe(&secret, sizeof(secret));
    return status;
}

bool lk__table_is_whole(lk_table *t)
{
    const lk__head *h = t->head;
    bool whole = atomic_load_explicit(&h->magic, memory_order_acquire) == LK__TABLE_MAGIC &&
                 h->format == LK__TABLE_FORMAT && h->page_len == LK__PAGE_LEN && h->size == t->g.size &&
                 h->pages == t->g.pages && h->buckets == t->g.buckets &&
                 h->owner_buckets == t->g.owner_buckets && h->stripes == t->g.stripes &&
                 h->check == checksum(h);
    if (whole) {
        keep_index_key(t);
    }
    return whole;
}

static void release(_Atomic uint64_t *lock)
{
    atomic_store(lock, 0);
}

void lk__table_release_all(lk_table *t)
{
    for (uint32_t i = 0; i < t->g.stripes; i++) {
        lk__stripe_settle(t, &t->stripes[i]);
        release(&t->stripes[i].lock);
        release(&t->owner_locks[i].lock);
        release(&t->group_locks[i].lock);
    }
    for (uint32_t i = 0; i < LK__CLASSES; i++) {
        release(&t->classes[i].lock);
    }
    release(&t->head->sweep_lock);
    for (uint32_t i = 0; i < LK__PARTIES; i++) {
        release(&t->parties[i]);
    }
    atomic_fetch_add(&t->head->deaths, 1);
    lk__index_recheck(t);
}

void lk_table_key(const lk_table *t, lk_entry_kind kind, lk_view name, uint8_t key[LK_TABLE_KEY_LEN])
{
    uint8_t secret[LK_SHORTHASH_KEY_LEN];
    _Static_assert(LK_SHORTHASH_LEN == LK_TABLE_KEY_LEN, "a short hash is a key");
    (void)kind; /* is part of the entry's identity already */
    memcpy(secret, t->head->name_key, sizeof(secret));
    lk_shorthash(secret, name, key);
    lk_wipe(secret, sizeof(secret));
}
