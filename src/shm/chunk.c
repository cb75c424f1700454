/* SPDX-License-Identifier: Apache-2.0
 *
 * chunk.c - a key and its value in the arena: written once, read without a lock.
 *
 * A reader may be in the middle of a chunk when it is freed and filled with something else. So it reads the
 * stamp, copies, and reads the stamp again; a stamp is never used twice (the first is random, so that no
 * value can look like one where a page was cut up anew). Writer and reader use release stores and acquire
 * loads for every word: whoever has copied a word of the next value then also sees that the stamp has
 * changed. On x86 these are plain moves.
 */
#include "table_inner.h"

static uint64_t load(const _Atomic uint64_t *w)
{
    return atomic_load_explicit(w, memory_order_acquire);
}

static void store(_Atomic uint64_t *w, uint64_t value)
{
    atomic_store_explicit(w, value, memory_order_release);
}

uint64_t lk__chunk_about(const lk__peek *p)
{
    return (uint64_t)p->flags << 56 | (uint64_t)p->kind << 48 | (uint64_t)p->len << 32 | p->last_s;
}

static void read_head(const lk__chunk *c, lk__peek *p)
{
    uint64_t about = load(&c->about);
    p->key[0] = load(&c->key[0]);
    p->key[1] = load(&c->key[1]);
    p->owner = load(&c->owner);
    p->expires_s = (int64_t)load(&c->expires);
    p->last_s = (uint32_t)about;
    p->len = about >> 32 & 0xffff;
    p->kind = about >> 48 & 0xff;
    p->flags = (uint32_t)(about >> 56);
}

static void copy_words(const _Atomic uint64_t *from, uint8_t *to, size_t len)
{
    size_t whole = len / 8;
    for (size_t i = 0; i < whole; i++) {
        uint64_t w = load(&from[i]);
        memcpy(to + i * 8, &w, 8);
    }
    if (len % 8 > 0) {
        uint64_t w = load(&from[whole]);
        memcpy(to + whole * 8, &w, len % 8);
    }
}

/* Would a value of LEN bytes at C end inside the arena? A stale head may say anything. */
static bool is_inside(const lk_table *t, const lk__chunk *c, size_t len)
{
    size_t at = (size_t)((const uint8_t *)c - t->map);
    return len <= LK_TABLE_VALUE_MAX && at + LK__CHUNK_HEAD + (len + 7) / 8 * 8 <= t->g.arena_end;
}

bool lk__chunk_read(const lk_table *t, const lk__chunk *c, lk__peek *p, void *buf, size_t cap)
{
    p->stamp = load(&c->stamp);
    if ((p->stamp & LK__PUBLISHED) == 0) {
        return false;
    }
    read_head(c, p);
    if (p->kind >= LK_ENTRY_KINDS || !is_inside(t, c, p->len)) {
        return false;
    }
    copy_words(c->value, buf, p->len < cap ? p->len : cap);
    return atomic_load_explicit(&c->stamp, memory_order_relaxed) == p->stamp;
}

void lk__chunk_fill(lk__chunk *c, const lk__id *id, lk_view value)
{
    store(&c->key[0], id->key[0]);
    store(&c->key[1], id->key[1]);
    for (size_t at = 0; at < value.len; at += 8) {
        uint64_t w = 0;
        memcpy(&w, value.p + at, value.len - at < 8 ? value.len - at : 8);
        store(&c->value[at / 8], w);
    }
}

void lk__chunk_publish(lk__chunk *c, const lk__peek *p)
{
    store(&c->owner, p->owner);
    store(&c->expires, (uint64_t)p->expires_s);
    store(&c->about, lk__chunk_about(p));
    store(&c->stamp, p->stamp);
}

void lk__entry_of(const lk__peek *p, lk_entry *out)
{
    *out = (lk_entry){.expires_s = p->expires_s,
                      .owner = p->owner,
                      .version = p->stamp,
                      .len = p->len,
                      .seen_s = (p->flags & LK__TOUCHED) != 0 ? p->last_s : 0};
}
