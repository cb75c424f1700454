/* SPDX-License-Identifier: Apache-2.0
 *
 * moving.c - the store of a site that is changing its mind: two stores, one of them leading, and all that is
 * written goes to both. Here is what is read; moving_write.c has logins and logouts, moving_change.c fields,
 * moving_bring.c the way of a session from one to the other.
 *
 * The store that is left knows every session until the move is over. So while it leads, nothing is looked up
 * in the new one, which may hold what ended before the move began; and once the new one leads, what that does
 * not have is looked up in the one that is left, and brought over.
 *
 * What is ended in either is ended. Where both are shared by all nodes, an acknowledged end is in both, and
 * the leading one says so. Where the leading one is this node's own, ends of other nodes reach the shared one
 * alone: then it is asked as well, and its stream is the one that is followed.
 */
#include "store/moving_inner.h"
#include "store/rules.h"
#include <string.h>

enum { CHUNK = 16 };

/* ---- sessions that were read from the leading store ---- */

/* LOAD is not in the leading store, and the other gave THERE for it. */
static void take_back(lk__moving *m, lk_load *load, const lk_load *there)
{
    lk_status status;

    *load = *there;
    if (there->status != LK_OK || (!lk__session_is_listed(&there->session, lk_now_s(m->base.env)) &&
                                   (there->session.flags & LK_SESSION_ENDING) == 0))
        return;
    status = lk__moving_bring(m, m->other, m->lead_now, &load->key);
    if (status == LK_FULL)
        return; /* the leading store has no room: it is read where it is */
    if (status == LK_FAULT || lk_store_load_many(m->lead_now, load, 1) != LK_OK)
        load->status = LK_FAULT;
    else if (status == LK_STALE && load->status == LK_MISS)
        *load = (lk_load){.key = there->key,
                          .head_only = there->head_only,
                          .buf = there->buf,
                          .cap = there->cap,
                          .status = LK_STALE,
                          .why = LK_REASON_REVOKED};
}

/* Ask the other store for up to CHUNK of the loads from *AT on that the leading one does not have. */
static void look_back(lk__moving *m, lk_load *loads, size_t n, size_t *at)
{
    lk_load again[CHUNK];
    size_t whose[CHUNK], asked = 0;

    for (; *at < n && asked < CHUNK; ++*at) {
        if (loads[*at].status != LK_MISS)
            continue;
        whose[asked] = *at;
        again[asked++] = loads[*at];
    }
    if (asked == 0)
        return;
    (void)!lk_store_load_many(m->other, again, asked); /* each says for itself what became of it */
    for (size_t i = 0; i < asked; i++)
        take_back(m, &loads[whose[i]], &again[i]);
}

/* LOAD is in this node's own store; THERE is its head in the one that all nodes share. */
static void judge(lk__moving *m, lk_load *load, const lk_load *there)
{
    bool is_newer = there->status == LK_OK && load->status == LK_OK &&
                    (there->session.revision > load->session.revision ||
                     (there->session.flags & ~load->session.flags & LK_SESSION_ENDING) != 0);

    switch (there->status) {
    case LK_OK:
        break;
    case LK_MISS:
        return; /* not copied yet */
    case LK_STALE:
        if (there->why != LK_REASON_NONE)
            (void)!lk_store_destroy(m->lead_now, &load->key, there->why,
                                    lk_now_s(m->base.env) + LK_MOVING_FENCE_S);
        load->status = LK_STALE;
        load->why = there->why;
        return;
    case LK_REFUSED:
    case LK_FULL:
    case LK_FAULT:
        load->status = LK_FAULT;
        return;
    }
    if (!is_newer)
        return;
    if ((there->session.flags & LK_SESSION_ENDING) != 0) { /* another node gave it a new id */
        (void)!lk_store_load_many(m->other, load, 1);
    } else if (lk__moving_catch_up(m, m->other, m->lead_now, &load->key) == LK_FAULT ||
               lk_store_load_many(m->lead_now, load, 1) != LK_OK) {
        load->status = LK_FAULT;
    }
}

/* Ask the store that all nodes share about up to CHUNK of the loads from *AT on that are here. */
static void ask_shared(lk__moving *m, lk_load *loads, size_t n, size_t *at)
{
    uint8_t heads[CHUNK][LK_HEAD_MAX];
    lk_load there[CHUNK];
    size_t whose[CHUNK], asked = 0;

    for (; *at < n && asked < CHUNK; ++*at) {
        if (loads[*at].status != LK_OK)
            continue;
        whose[asked] = *at;
        there[asked] = (lk_load){
            .key = loads[*at].key, .head_only = true, .buf = heads[asked], .cap = sizeof(heads[asked])};
        asked++;
    }
    if (asked == 0)
        return;
    (void)!lk_store_load_many(m->other, there, asked); /* each says for itself what became of it */
    for (size_t i = 0; i < asked; i++)
        judge(m, &loads[whose[i]], &there[i]);
}

static lk_status load_many(lk_store *store, lk_load *loads, size_t n)
{
    lk__moving *m = lk__moving_of(store);
    bool any = n == 0;

    if (lk_store_load_many(m->lead, loads, n) != LK_OK)
        return LK_FAULT;
    for (size_t at = 0; m->asks_both && at < n;)
        ask_shared(m, loads, n, &at);
    for (size_t at = 0; m->looks_back && at < n;)
        look_back(m, loads, n, &at);
    for (size_t i = 0; i < n; i++)
        any = any || loads[i].status != LK_FAULT;
    return any ? LK_OK : LK_FAULT;
}

/* ---- lists: of the store that knows all of them ---- */

static lk_status list_by_user(lk_store *store, lk_view realm, lk_view user, uint64_t *cursor, uint32_t page,
                              lk_session_each each, void *context)
{
    return lk_store_list_by_user(lk__moving_of(store)->all, realm, user, cursor, page, each, context);
}

static lk_status list(lk_store *store, uint64_t *cursor, uint32_t page, lk_session_each each, void *context)
{
    return lk_store_list(lk__moving_of(store)->all, cursor, page, each, context);
}

static lk_status counts(lk_store *store, lk_store_count *out)
{
    return lk_store_counts(lk__moving_of(store)->all, out);
}

/* ---- what is done to both alike ---- */

/* The worse answer of two. */
static lk_status worse(lk_status a, lk_status b)
{
    if (a == LK_FAULT || b == LK_FAULT)
        return LK_FAULT;
    return a != LK_OK ? a : b;
}

/* A last-seen time that one of them missed would end the session early there: the caller keeps it and comes
 * again. */
static lk_status touch_many(lk_store *store, const lk_touch *touches, size_t n)
{
    lk__moving *m = lk__moving_of(store);
    lk_status status = lk_store_touch_many(m->lead_now, touches, n);

    return worse(status, lk_store_touch_many(m->other, touches, n));
}

/* *removed: sessions, not the rows of both that were theirs. */
static lk_status sweep(lk_store *store, int64_t now_s, uint32_t max_rows, uint32_t max_ms, uint32_t *removed)
{
    lk__moving *m = lk__moving_of(store);
    uint32_t there = 0;
    lk_status status = lk_store_sweep(m->lead_now, now_s, max_rows, max_ms / 2, removed);

    status = worse(status, lk_store_sweep(m->other, now_s, max_rows, max_ms / 2, &there));
    *removed = there > *removed ? there : *removed;
    return status;
}

/* Written to both: nodes that follow either stream hear of it. */
static lk_status cutoff_append(lk_store *store, lk_cutoff *c)
{
    lk__moving *m = lk__moving_of(store);
    lk_cutoff again = *c;
    lk_status status = lk_store_cutoff_append(m->lead_now, c);

    if (status == LK_OK)
        status = lk_store_cutoff_append(m->other, &again);
    if (m->stream == m->other)
        c->seq = again.seq;
    return status;
}

/* ---- the stream ---- */

static lk_status event_seq(lk_store *store, uint64_t *seq)
{
    return lk_store_event_seq(lk__moving_of(store)->stream, seq);
}

static lk_status events_since(lk_store *store, uint64_t after, lk_event *out, size_t *n)
{
    return lk_store_events_since(lk__moving_of(store)->stream, after, out, n);
}

static lk_status events_wait(lk_store *store, uint64_t after, uint32_t wait_ms)
{
    return lk_store_events_wait(lk__moving_of(store)->stream, after, wait_ms);
}

static lk_status time_ms(lk_store *store, int64_t *now_ms)
{
    return lk_store_time_ms(lk__moving_of(store)->stream, now_ms);
}

static lk_store *writes_to(lk_store *store)
{
    lk__moving *m = lk__moving_of(store);

    return m->now != NULL ? &m->now->base : store;
}

static lk_status ready(lk_store *store, lk_note *note)
{
    lk__moving *m = lk__moving_of(store);
    lk_status status = lk_store_ready(m->lead, note);

    return status == LK_OK && (m->looks_back || m->asks_both) ? lk_store_ready(m->other, note) : status;
}

static lk_status inspect(lk_store *store, lk_finding_each each, void *context)
{
    lk__moving *m = lk__moving_of(store);

    return worse(lk_store_inspect(m->lead, each, context), lk_store_inspect(m->other, each, context));
}

lk_store *lk_store_moves_beside(lk_store *store)
{
    lk__moving *m = lk__moving_of(store);

    if (store->ops->load_many != load_many)
        return NULL;
    return m->stream == m->other ? m->lead_now : m->other;
}

/* ---- open and close ---- */

static void close_both(lk_store *store)
{
    lk__moving *m = lk__moving_of(store);

    lk_store_close(m->lead);
    lk_store_close(m->other);
    lk_free(store->env, m->now);
    lk_free(store->env, m);
}

static const lk_store_ops moving_ops = {
    .name = "moving",
    .close = close_both,
    .load_many = load_many,
    .create = lk__moving_create,
    .replace = lk__moving_replace,
    .change = lk__moving_change,
    .touch_many = touch_many,
    .destroy = lk__moving_destroy,
    .list_by_user = list_by_user,
    .list = list,
    .counts = counts,
    .sweep = sweep,
    .cutoff_append = cutoff_append,
    .event_seq = event_seq,
    .events_since = events_since,
    .writes_to = writes_to,
    .events_wait = events_wait,
    .time_ms = time_ms,
    .ready = ready,
    .inspect = inspect,
};

/* Only remote stores write the ends of sessions into their stream, and memory: has none at all. */
static lk_store *stream_of(const lk__moving *m)
{
    if (m->is_apart)
        return m->other;
    if (lk_store_where(m->lead) == LK_STORE_REMOTE)
        return m->lead;
    if (lk_store_where(m->other) == LK_STORE_REMOTE || !lk_store_is_durable(m->lead))
        return m->other;
    return m->lead;
}

/* The same over the store that is written to, for who must read what was written a moment ago. */
static lk_status add_now(lk__moving *m)
{
    lk__moving *now;

    if (m->lead_now == m->lead)
        return LK_OK;
    now = lk_alloc(m->base.env, sizeof(*now));
    if (now == NULL)
        return LK_FAULT;
    *now = *m;
    now->base.ops = &now->ops;
    now->lead = now->lead_now;
    if (now->stream == m->lead)
        now->stream = now->lead;
    if (now->all == m->lead)
        now->all = now->lead;
    m->now = now;
    return LK_OK;
}

static lk_status describe(lk__moving *m, const lk_store_move *move)
{
    bool is_remote =
        lk_store_where(m->lead) == LK_STORE_REMOTE || lk_store_where(m->other) == LK_STORE_REMOTE;

    m->lead_now = lk_store_writes_to(m->lead);
    m->looks_back = move->looks_back;
    m->is_apart = move->is_apart;
    m->stream = stream_of(m);
    m->asks_both = m->is_apart || m->stream == m->other;
    m->all = m->is_apart && m->looks_back ? m->other : m->lead;
    m->ops = moving_ops;
    m->ops.place = is_remote ? LK_STORE_REMOTE : LK_STORE_INLINE;
    m->ops.is_durable = lk_store_is_durable(m->lead) || lk_store_is_durable(m->other);
    m->base.ops = &m->ops;
    return add_now(m);
}

lk_status lk_store_open_moving(const lk_env *env, const lk_store_move *move, struct lk_table *table,
                               lk_store **out, lk_note *note)
{
    lk__moving *m = lk_alloc(env, sizeof(*m));
    bool has_replica = move->lead_replica != NULL && move->lead_replica[0] != '\0';
    lk_status status;

    *out = NULL;
    if (m == NULL) {
        lk_note_set(note, "out of memory");
        return LK_FAULT;
    }
    memset(m, 0, sizeof(*m));
    m->base.env = env;
    status = has_replica
                 ? lk_store_open_replicated(env, move->lead, move->lead_replica, table, &m->lead, note)
                 : lk_store_open(env, move->lead, table, &m->lead, note);
    if (status == LK_OK)
        status = lk_store_open(env, move->other, table, &m->other, note);
    if (status == LK_OK)
        status = describe(m, move);
    if (status == LK_OK) {
        *out = &m->base;
        return LK_OK;
    }
    close_both(&m->base);
    return status;
}
