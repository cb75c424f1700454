/* SPDX-License-Identifier: Apache-2.0
 *
 * recent.c - a decision holds for the rest of its second, unless something that it stands on changes.
 *
 * A page is one document and dozens of parts of it, asked for at once with one credential. The first of them
 * is checked in full; who comes with the very same credential in the same second is who he was. Nothing is
 * taken on trust: all that could have changed the decision leaves a mark, drawn before the decision was made
 * and compared here - the second, the cut-offs of this node, the keys, and for a session the writes of its
 * store or the word of the store's stream. A logout that was acknowledged has left its mark.
 *
 * What is kept belongs to one process. It is kept for credentials that were found good and need nothing else;
 * what a location asks for, and what a single request has to prove, is judged each time.
 */
#include "guard/trust_internal.h"
#include <latchkey/keys.h>
#include <string.h>

enum { SLOT_BITS = 9, SLOTS = 1 << SLOT_BITS, TEXT_MAX = 1024, TAIL = 8 };

typedef struct slot {
    lk__moment moment;
    lk_carrier carrier;
    size_t len; /* 0: empty */
    lk_identity id;
    uint8_t text[TEXT_MAX];
} slot;

struct lk__recent {
    atomic_flag busy;
    uint16_t used[SLOTS]; /* 1: the slot was written. The slots themselves are not touched before */
    slot slots[SLOTS];
};

lk_status lk__recent_open(lk_guard *g)
{
    g->recent = lk_alloc(g->parts.env, sizeof(*g->recent));
    if (g->recent == NULL)
        return LK_FAULT;
    atomic_flag_clear(&g->recent->busy);
    memset(g->recent->used, 0, sizeof(g->recent->used));
    return LK_OK;
}

void lk__recent_close(lk_guard *g)
{
    if (g->recent == NULL)
        return;
    for (size_t i = 0; i < SLOTS; i++)
        if (g->recent->used[i] != 0)
            lk_wipe(g->recent->slots[i].text, TEXT_MAX);
    lk_free(g->parts.env, g->recent);
}

/* The ends of credentials are random, or the work of a MAC. Who makes up texts that share one meets himself.
 */
static size_t place_of(lk_view text)
{
    uint64_t tail;
    memcpy(&tail, text.p + text.len - TAIL, TAIL);
    return (size_t)((tail * UINT64_C(0x9e3779b97f4a7c15)) >> (64 - SLOT_BITS));
}

/* One thread at a time; who finds it taken checks in full and does not wait. */
static slot *take(lk_guard *g, lk_view text)
{
    if (text.len < TAIL || text.len > TEXT_MAX ||
        atomic_flag_test_and_set_explicit(&g->recent->busy, memory_order_acquire))
        return NULL;
    return &g->recent->slots[place_of(text)];
}

static void give(lk_guard *g)
{
    atomic_flag_clear_explicit(&g->recent->busy, memory_order_release);
}

lk__moment lk__moment_now(lk_guard *g, int64_t now_s)
{
    return (lk__moment){.now_s = now_s,
                        .trusts = lk__trusts_mark(g),
                        .keys = lk_keyring_edition(g->parts.ring),
                        .cutoffs = atomic_load_explicit(lk_table_word(g->parts.table, LK_WORD_CUTOFFS),
                                                        memory_order_acquire)};
}

bool lk__moment_of_session(lk_guard *g, const lk_session_key *key, lk__moment *m)
{
    if (g->store_is_remote) {
        m->sessions = lk__near_mark(g, key);
        return g->parts.settings->near_life_s > 0;
    }
    return lk_store_mark(g->parts.store, &m->sessions) == LK_OK;
}

static bool holds(lk_guard *g, const slot *s, const lk__moment *now)
{
    lk__moment m = *now;
    if (s->moment.now_s != m.now_s || s->moment.cutoffs != m.cutoffs || s->moment.keys != m.keys ||
        s->moment.trusts != m.trusts)
        return false;
    return s->id.kind != LK_KIND_SESSION_ID ||
           (lk__moment_of_session(g, &s->id.key, &m) && m.sessions == s->moment.sessions);
}

bool lk__recent_find(lk_guard *g, lk_view text, const lk__moment *now, lk_identity *out)
{
    lk_carrier carrier = out->carrier;
    unsigned pieces = out->pieces;
    slot *s = take(g, text);
    if (s == NULL)
        return false;
    bool found = g->recent->used[s - g->recent->slots] != 0 && s->len == text.len && s->carrier == carrier &&
                 lk_secret_equal(lk_view_make(s->text, s->len), text) && holds(g, s, now);
    if (found) {
        *out = s->id;
        out->pieces = pieces;
    }
    give(g);
    if (found)
        lk_guard_count(g, LK_COUNT_REPEATED);
    return found;
}

void lk__recent_keep(lk_guard *g, lk_view text, const lk__moment *moment, const lk_identity *id)
{
    slot *s = take(g, text);
    if (s == NULL)
        return;
    g->recent->used[s - g->recent->slots] = 1;
    s->moment = *moment;
    s->carrier = id->carrier;
    s->len = text.len;
    s->id = *id;
    memcpy(s->text, text.p, text.len);
    give(g);
}
