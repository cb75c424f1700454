/* SPDX-License-Identifier: Apache-2.0
 *
 * trust_room.c - the texts of key sets, in memory that the processes of a node share: one of them fetches,
 * the others take over.
 *
 * A text is written into the place that is not the present one, and becomes the present one by one atomic
 * store. Its number stands before and after it, so that a reader who was overtaken twice sees that; the words
 * are atomic, so that even then he reads no more than a wrong text. One writer at a time has the claim, which
 * ends by itself when he dies.
 */
#include "guard/trust_internal.h"
#include <string.h>
#include <sys/mman.h>

#define WORDS (LK_JWKS_MAX / 8)

typedef struct text {
    _Atomic uint64_t seq; /* 0 while it is written */
    _Atomic uint64_t len;
    _Atomic uint64_t words[WORDS];
} text;

typedef struct slot {
    char issuer[sizeof(((lk_trust *)0)->issuer)];
    char jwks[sizeof(((lk_trust *)0)->jwks)];
    char ca[sizeof(((lk_trust *)0)->ca)];
    _Atomic uint64_t seq;
    _Atomic int64_t known_ms, fresh_ms, tried_ms, claimed_ms;
    _Atomic uint64_t fetches, failures;
    text texts[2];
} slot;

struct lk_trust_room {
    uint32_t n;
    slot slots[];
};

static size_t size_of(uint32_t n)
{
    return sizeof(lk_trust_room) + n * sizeof(slot);
}

static void write_text(text *t, lk_view v, uint64_t seq)
{
    atomic_store(&t->seq, 0);
    atomic_thread_fence(memory_order_seq_cst);
    for (size_t at = 0; at < v.len; at += 8) {
        uint64_t word = 0;
        memcpy(&word, v.p + at, v.len - at < 8 ? v.len - at : 8);
        atomic_store_explicit(&t->words[at / 8], word, memory_order_relaxed);
    }
    atomic_store_explicit(&t->len, v.len, memory_order_relaxed);
    atomic_store_explicit(&t->seq, seq, memory_order_release);
}

static bool read_text(const text *t, uint64_t seq, lk_buf *out)
{
    if (atomic_load_explicit(&t->seq, memory_order_acquire) != seq)
        return false;
    size_t len = atomic_load_explicit(&t->len, memory_order_relaxed);
    out->len = 0;
    for (size_t at = 0; at < len && len <= LK_JWKS_MAX; at += 8) {
        uint64_t word = atomic_load_explicit(&t->words[at / 8], memory_order_relaxed);
        lk_buf_add(out, lk_view_make(&word, len - at < 8 ? len - at : 8));
    }
    atomic_thread_fence(memory_order_acquire);
    return atomic_load_explicit(&t->seq, memory_order_relaxed) == seq && lk_buf_status(out) == LK_OK;
}

uint64_t lk__room_read(const lk_trust_room *room, uint32_t i, lk_buf *out)
{
    const slot *s = &room->slots[i];
    for (unsigned tries = 0; tries < 8; tries++) {
        uint64_t seq = atomic_load(&s->seq);
        if (seq == 0 || read_text(&s->texts[seq & 1], seq, out))
            return seq;
    }
    return 0;
}

lk__room_facts lk__room_look(const lk_trust_room *room, uint32_t i, int64_t now_ms)
{
    const slot *s = &room->slots[i];
    return (lk__room_facts){.seq = atomic_load_explicit(&s->seq, memory_order_acquire),
                            .known_ms = atomic_load_explicit(&s->known_ms, memory_order_relaxed),
                            .fresh_ms = atomic_load_explicit(&s->fresh_ms, memory_order_relaxed),
                            .tried_ms = atomic_load_explicit(&s->tried_ms, memory_order_relaxed),
                            .claimed = atomic_load_explicit(&s->claimed_ms, memory_order_relaxed) > now_ms,
                            .fetches = atomic_load_explicit(&s->fetches, memory_order_relaxed),
                            .failures = atomic_load_explicit(&s->failures, memory_order_relaxed)};
}

bool lk__room_claim(lk_trust_room *room, uint32_t i, int64_t now_ms, int64_t until_ms)
{
    slot *s = &room->slots[i];
    int64_t there = atomic_load(&s->claimed_ms);
    if (there > now_ms || !atomic_compare_exchange_strong(&s->claimed_ms, &there, until_ms))
        return false;
    atomic_store(&s->tried_ms, now_ms);
    return true;
}

void lk__room_done(lk_trust_room *room, uint32_t i)
{
    atomic_store(&room->slots[i].claimed_ms, INT64_MIN);
}

void lk__room_confirm(lk_trust_room *room, uint32_t i, int64_t now_ms, int64_t fresh_ms)
{
    slot *s = &room->slots[i];
    atomic_store(&s->known_ms, now_ms);
    atomic_store(&s->fresh_ms, fresh_ms);
    (void)atomic_fetch_add(&s->fetches, 1);
}

static bool is_present(const slot *s, lk_view v)
{
    uint64_t seq = atomic_load(&s->seq);
    const text *t = &s->texts[seq & 1];
    if (seq == 0 || atomic_load(&t->len) != v.len)
        return false;
    for (size_t at = 0; at < v.len; at += 8) {
        uint64_t word = 0;
        memcpy(&word, v.p + at, v.len - at < 8 ? v.len - at : 8);
        if (atomic_load_explicit(&t->words[at / 8], memory_order_relaxed) != word)
            return false;
    }
    return true;
}

void lk__room_publish(lk_trust_room *room, uint32_t i, lk_view v, int64_t now_ms, int64_t fresh_ms,
                      uint64_t *seq)
{
    slot *s = &room->slots[i];
    *seq = atomic_load(&s->seq);
    if (!is_present(s, v)) {
        ++*seq;
        write_text(&s->texts[*seq & 1], v, *seq);
    }
    lk__room_confirm(room, i, now_ms, fresh_ms);
    atomic_store(&s->seq, *seq);
}

void lk__room_failed(lk_trust_room *room, uint32_t i)
{
    (void)atomic_fetch_add(&room->slots[i].failures, 1);
}

/* ---- made, and made from another ---- */

static void take_over(slot *s, const lk_trust_room *old, uint32_t i)
{
    const slot *from = &old->slots[i];
    const text *t = &from->texts[atomic_load(&from->seq) & 1];
    uint64_t seq = atomic_load(&from->seq);
    if (seq == 0 || atomic_load(&t->seq) != seq)
        return;
    atomic_store(&s->known_ms, atomic_load(&from->known_ms));
    atomic_store(&s->fresh_ms, atomic_load(&from->fresh_ms));
    atomic_store(&s->tried_ms, atomic_load(&from->tried_ms));
    uint64_t len = atomic_load(&t->len);
    text *to = &s->texts[1];
    for (size_t w = 0; w < (len + 7) / 8 && w < WORDS; w++)
        atomic_store_explicit(&to->words[w], atomic_load_explicit(&t->words[w], memory_order_relaxed),
                              memory_order_relaxed);
    atomic_store(&to->len, len);
    atomic_store(&to->seq, 1);
    atomic_thread_fence(memory_order_acquire);
    /* Overtaken while it was copied: then the set is fetched anew. */
    if (atomic_load(&t->seq) == seq)
        atomic_store(&s->seq, 1);
}

static void begin(slot *s, const lk_trust *t, const lk_trust_room *old)
{
    memcpy(s->issuer, t->issuer, sizeof(s->issuer));
    memcpy(s->jwks, t->jwks, sizeof(s->jwks));
    memcpy(s->ca, t->ca, sizeof(s->ca));
    atomic_init(&s->tried_ms, INT64_MIN);
    atomic_init(&s->claimed_ms, INT64_MIN);
    for (uint32_t i = 0; old != NULL && i < old->n; i++)
        if (strcmp(old->slots[i].issuer, s->issuer) == 0 && strcmp(old->slots[i].jwks, s->jwks) == 0 &&
            strcmp(old->slots[i].ca, s->ca) == 0)
            take_over(s, old, i);
}

lk_status lk_trust_room_make(const lk_settings *s, const lk_trust_room *old, lk_trust_room **out)
{
    *out = NULL;
    if (s->trusts_n == 0)
        return LK_OK;
    lk_trust_room *room = mmap(NULL, size_of(s->trusts_n), PROT_READ | PROT_WRITE,
                               MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (room == MAP_FAILED)
        return LK_FAULT;
    room->n = s->trusts_n;
    for (uint32_t i = 0; i < room->n; i++)
        begin(&room->slots[i], &s->trusts[i], old);
    *out = room;
    return LK_OK;
}

void lk_trust_room_free(lk_trust_room *room)
{
    if (room != NULL)
        (void)munmap(room, size_of(room->n));
}
