/* SPDX-License-Identifier: Apache-2.0
 *
 * ask.c - the questions of many checks, answered by one batch.
 */
#include "guard/guard_internal.h"
#include <latchkey/trust.h>
#include <string.h>

typedef struct batch {
    lk_load *loads;           /* N of them, as the store wants to have them */
    lk__near_ticket *tickets; /* beside each */
    lk_question **first;      /* whose record it is read into */
    uint16_t *load_of;        /* by question */
    uint16_t *place;          /* load + 1, or 0 */
    size_t places;            /* a power of two, twice the questions or more */
    size_t n;
} batch;

/* Room for N questions in one piece; `loads` begins it. */
static bool make_batch(const lk_env *env, size_t n, batch *b)
{
    size_t places = 2;
    while (places < 2 * n)
        places *= 2;
    uint8_t *room = lk_alloc(env, n * (sizeof(lk_load) + sizeof(lk__near_ticket) + sizeof(lk_question *)) +
                                      (n + places) * sizeof(uint16_t));
    *b = (batch){.places = places};
    if (room == NULL)
        return false;
    b->loads = (lk_load *)(void *)room;
    b->tickets = (lk__near_ticket *)(void *)(b->loads + n);
    b->first = (lk_question **)(void *)(b->tickets + n);
    b->load_of = (uint16_t *)(void *)(b->first + n);
    b->place = b->load_of + n;
    return true;
}

/* Keys are keyed hashes: their own bytes spread them. */
static uint16_t *place_of(batch *b, const lk_session_key *key)
{
    size_t at = (size_t)(key->bytes[0] | key->bytes[1] << 8) & (b->places - 1);
    while (b->place[at] != 0 && memcmp(&b->loads[b->place[at] - 1].key, key, sizeof(*key)) != 0)
        at = (at + 1) & (b->places - 1);
    return &b->place[at];
}

/* Questions for one key become one load. */
static void gather(lk_guard *g, batch *b, lk_question *const *questions, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        lk_question *q = questions[i];
        if (!q->wants_session || q->wants_api_key)
            continue;
        uint16_t *place = place_of(b, &q->key);
        if (*place == 0) {
            b->first[b->n] = q;
            b->tickets[b->n] = lk__near_ask(g, &q->key);
            b->loads[b->n] = (lk_load){.key = q->key,
                                       .head_only = true,
                                       .buf = q->record,
                                       .cap = sizeof(q->record),
                                       .status = LK_FAULT};
            *place = (uint16_t)++b->n;
        }
        b->load_of[i] = (uint16_t)(*place - 1);
    }
}

/* What was loaded, to the question that is read from, and to the table. */
static void settle(lk_guard *g, batch *b, size_t i, bool keep)
{
    lk_load *load = &b->loads[i];
    lk_question *q = b->first[i];
    q->record_len = 0;
    if (load->status == LK_OK) {
        q->record_len = lk_record_head_len(lk_view_make(q->record, sizeof(q->record)));
        if (q->record_len == 0)
            load->status = LK_STALE;
        else if (keep)
            lk__near_put(g, &load->session, lk_view_make(q->record, q->record_len), &b->tickets[i]);
    }
    q->status = load->status;
    q->why = load->why;
}

static void load(lk_guard *g, lk_store *store, lk_question *const *questions, size_t n)
{
    bool keep = store == g->parts.store;
    batch made, *b = &made;
    if (n == 0 || !make_batch(g->parts.env, n, b))
        return;
    gather(g, b, questions, n);
    if (b->n > 0) {
        lk_guard_count(g, LK_COUNT_STORE_BATCH);
        /* Each load says for itself what became of it. */
        (void)!lk_store_load_many(store, b->loads, b->n);
    }
    for (size_t i = 0; i < b->n; i++)
        settle(g, b, i, keep);
    for (size_t i = 0; i < n; i++) {
        lk_question *q = questions[i];
        const lk_question *from = q->wants_session && !q->wants_api_key ? b->first[b->load_of[i]] : q;
        if (from == q)
            continue;
        q->status = from->status;
        q->why = from->why;
        q->record_len = from->record_len;
        memcpy(q->record, from->record, from->record_len);
    }
    lk_free(g->parts.env, b->loads);
}

/* Of questions for one key the first is asked, and answers the rest. */
static void ask_for_keys(lk_guard *g, lk_question *const *questions, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        lk_question *q = questions[i];
        const lk_question *same = NULL;
        if (!q->wants_api_key)
            continue;
        for (size_t k = 0; k < i && same == NULL; k++)
            if (questions[k]->wants_api_key &&
                memcmp(questions[k]->api_key, q->api_key, sizeof(q->api_key)) == 0)
                same = questions[k];
        if (same == NULL) {
            lk__api_key_ask(g, q);
            continue;
        }
        q->key = same->key;
        q->status = same->status;
        q->why = same->why;
        q->record_len = same->record_len;
        memcpy(q->record, same->record, same->record_len);
    }
}

void lk_guard_ask(lk_guard *g, lk_question *const *questions, size_t n)
{
    lk_store *store = g->parts.store;
    bool wants_view = false, wants_keys = false;
    lk_status view = LK_OK;
    if (n > LK_ASK_MAX)
        n = LK_ASK_MAX;
    for (size_t i = 0; i < n; i++) {
        questions[i]->status = LK_FAULT;
        questions[i]->why = LK_REASON_NONE;
        questions[i]->record_len = 0;
        questions[i]->keys = LK_MISS;
        wants_view = wants_view || questions[i]->wants_view;
        wants_keys = wants_keys || questions[i]->wants_own_keys;
    }
    if (wants_keys)
        (void)!lk_guard_keys(g, NULL);
    /* The view first: a session that is read after it cannot have ended before it. */
    if (wants_view)
        view = lk_guard_follow(g);
    /* A copy that is behind is asked for nothing: this batch goes to where is written. */
    if (view != LK_OK && lk__view_of_primary(g) == LK_OK) {
        view = LK_OK;
        store = lk_store_writes_to(store);
    }
    for (size_t i = 0; i < n; i++) {
        questions[i]->view = view;
        if (questions[i]->wants_keys != 0)
            questions[i]->keys = lk_guard_trust_look(g, questions[i]->wants_keys - 1, NULL);
    }
    load(g, store, questions, n);
    ask_for_keys(g, questions, n);
}
