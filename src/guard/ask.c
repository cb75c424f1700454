/* SPDX-License-Identifier: Apache-2.0
 *
 * ask.c - the questions of many checks, answered by one batch.
 */
#include "guard/guard_internal.h"
#include <string.h>

/* Keys are keyed hashes: their own bytes spread them. Twice as many places as questions. */
enum { PLACES = 2 * LK_ASK_MAX };

typedef struct batch {
    lk_load loads[LK_ASK_MAX];
    lk__near_ticket tickets[LK_ASK_MAX];
    lk_question *first[LK_ASK_MAX]; /* whose record the load is read into */
    uint16_t load_of[LK_ASK_MAX];   /* by question */
    uint16_t place[PLACES];         /* load + 1, or 0 */
    size_t n;
} batch;

static uint16_t *place_of(batch *b, const lk_session_key *key)
{
    uint16_t at = (uint16_t)((key->bytes[0] | key->bytes[1] << 8) % PLACES);
    while (b->place[at] != 0 &&
           memcmp(&b->loads[b->place[at] - 1].key, key, sizeof(*key)) != 0)
        at = (uint16_t)((at + 1) % PLACES);
    return &b->place[at];
}

/* Questions for one key become one load. */
static void gather(lk_guard *g, batch *b, lk_question *const *questions, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        lk_question *q = questions[i];
        if (!q->wants_session)
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
    batch *b = lk_alloc(g->parts.env, sizeof(*b));
    if (b == NULL)
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
        const lk_question *from = q->wants_session ? b->first[b->load_of[i]] : q;
        if (from == q)
            continue;
        q->status = from->status;
        q->why = from->why;
        q->record_len = from->record_len;
        memcpy(q->record, from->record, from->record_len);
    }
    lk_free(g->parts.env, b);
}

void lk_guard_ask(lk_guard *g, lk_question *const *questions, size_t n)
{
    lk_store *store = g->parts.store;
    bool wants_view = false;
    lk_status view = LK_OK;
    if (n > LK_ASK_MAX)
        n = LK_ASK_MAX;
    for (size_t i = 0; i < n; i++) {
        questions[i]->status = LK_FAULT;
        questions[i]->why = LK_REASON_NONE;
        questions[i]->record_len = 0;
        wants_view = wants_view || questions[i]->wants_view;
    }
    /* The view first: a session that is read after it cannot have ended before it. */
    if (wants_view)
        view = lk_guard_follow(g);
    /* A copy that is behind is asked for nothing: this batch goes to where is written. */
    if (view != LK_OK && lk__view_of_primary(g) == LK_OK) {
        view = LK_OK;
        store = lk_store_writes_to(store);
    }
    for (size_t i = 0; i < n; i++)
        questions[i]->view = view;
    load(g, store, questions, n);
}
