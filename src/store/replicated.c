/* SPDX-License-Identifier: Apache-2.0
 *
 * replicated.c - a store that reads from a full copy near this node and writes to the primary. The copying is
 * the database's own; here is only the choice whom to ask.
 *
 * Reads of sessions and events come from the copy, from one and the same, so that who has seen an event reads
 * what it tells of. What the copy does not have may be on its way: the primary is asked before a session is
 * said not to be there, and for everything while the copy does not answer. Lists and counts are the
 * primary's.
 */
#include "store/store_ops.h"
#include <string.h>

enum { CHUNK = 64 };

typedef struct replicated {
    lk_store base;
    lk_store *primary, *copy;
} replicated;

static replicated *of(lk_store *store)
{
    return (replicated *)store;
}

static bool is_settled(const lk_load *load)
{
    return load->status != LK_MISS && load->status != LK_FAULT;
}

/* Ask the primary for up to CHUNK of the loads from *AT on that are not settled. */
static void ask_primary(replicated *r, lk_load *loads, size_t n, size_t *at)
{
    lk_load again[CHUNK];
    size_t whose[CHUNK], asked = 0;

    for (; *at < n && asked < CHUNK; ++*at) {
        if (is_settled(&loads[*at]))
            continue;
        whose[asked] = *at;
        again[asked++] = loads[*at];
    }
    if (asked == 0)
        return;
    /* A fault of the primary is the answer: the copy has no such session, and nobody can say whether there is
     * one. */
    (void)!lk_store_load_many(r->primary, again, asked);
    for (size_t i = 0; i < asked; i++)
        loads[whose[i]] = again[i];
}

static lk_status load_many(lk_store *store, lk_load *loads, size_t n)
{
    replicated *r = of(store);
    bool any = false;

    (void)!lk_store_load_many(r->copy, loads, n); /* whose faults the primary is asked about */
    for (size_t at = 0; at < n;)
        ask_primary(r, loads, n, &at);
    for (size_t i = 0; i < n; i++)
        any = any || loads[i].status != LK_FAULT;
    return any || n == 0 ? LK_OK : LK_FAULT;
}

static lk_status create(lk_store *store, const lk_session *s, lk_limit limit, uint32_t *ended)
{
    return lk_store_create(of(store)->primary, s, limit, ended);
}

static lk_status replace(lk_store *store, const lk_session_key *old, uint32_t old_generation,
                         const lk_session *s, int64_t grace_until_s, int64_t fence_s, lk_limit limit)
{
    return lk_store_replace(of(store)->primary, old, old_generation, s, grace_until_s, fence_s, limit);
}

static lk_status change(lk_store *store, const lk_session_key *key, uint32_t generation, uint32_t if_revision,
                        const lk_op *ops, size_t n, uint32_t *revision, lk_note *note)
{
    return lk_store_change(of(store)->primary, key, generation, if_revision, ops, n, revision, note);
}

static lk_status touch_many(lk_store *store, const lk_touch *touches, size_t n)
{
    return lk_store_touch_many(of(store)->primary, touches, n);
}

static lk_status destroy(lk_store *store, const lk_session_key *key, lk_reason reason, int64_t fence_s)
{
    return lk_store_destroy(of(store)->primary, key, reason, fence_s);
}

static lk_status list_by_user(lk_store *store, lk_view realm, lk_view user, uint64_t *cursor, uint32_t page,
                              lk_session_each each, void *context)
{
    return lk_store_list_by_user(of(store)->primary, realm, user, cursor, page, each, context);
}

static lk_status list(lk_store *store, uint64_t *cursor, uint32_t page, lk_session_each each, void *context)
{
    return lk_store_list(of(store)->primary, cursor, page, each, context);
}

static lk_status counts(lk_store *store, lk_store_count *out)
{
    return lk_store_counts(of(store)->primary, out);
}

static lk_status sweep(lk_store *store, int64_t now_s, uint32_t max_rows, uint32_t max_ms, uint32_t *removed)
{
    return lk_store_sweep(of(store)->primary, now_s, max_rows, max_ms, removed);
}

static lk_status cutoff_append(lk_store *store, lk_cutoff *c)
{
    return lk_store_cutoff_append(of(store)->primary, c);
}

static lk_status event_seq(lk_store *store, uint64_t *seq)
{
    return lk_store_event_seq(of(store)->copy, seq);
}

static lk_status events_since(lk_store *store, uint64_t after, lk_event *out, size_t *n)
{
    return lk_store_events_since(of(store)->copy, after, out, n);
}

static lk_status events_wait(lk_store *store, uint64_t after, uint32_t wait_ms)
{
    return lk_store_events_wait(of(store)->copy, after, wait_ms);
}

static lk_store *writes_to(lk_store *store)
{
    return of(store)->primary;
}

static lk_status time_ms(lk_store *store, int64_t *now_ms)
{
    lk_status status = lk_store_time_ms(of(store)->primary, now_ms);

    return status == LK_OK ? LK_OK : lk_store_time_ms(of(store)->copy, now_ms);
}

static lk_status ready(lk_store *store, lk_note *note)
{
    return lk_store_ready(of(store)->copy, note);
}

static lk_status inspect(lk_store *store, lk_finding_each each, void *context)
{
    lk_status primary = lk_store_inspect(of(store)->primary, each, context);
    lk_status copy = lk_store_inspect(of(store)->copy, each, context);

    return primary == LK_OK ? copy : primary;
}

static void close_both(lk_store *store)
{
    replicated *r = of(store);

    lk_store_close(r->copy);
    lk_store_close(r->primary);
    lk_free(store->env, r);
}

static const lk_store_ops lk__store_replicated = {
    .name = "replicated",
    .place = LK_STORE_REMOTE,
    .is_durable = true,
    .close = close_both,
    .load_many = load_many,
    .create = create,
    .replace = replace,
    .change = change,
    .touch_many = touch_many,
    .destroy = destroy,
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

lk_status lk_store_open_replicated(const lk_env *env, const char *url, const char *replica_url,
                                   struct lk_table *table, lk_store **out, lk_note *note)
{
    replicated *r = lk_alloc(env, sizeof(*r));
    lk_status status;

    *out = NULL;
    if (r == NULL) {
        lk_note_set(note, "out of memory");
        return LK_FAULT;
    }
    r->base = (lk_store){.ops = &lk__store_replicated, .env = env};
    status = lk_store_open(env, replica_url, table, &r->copy, note);
    if (status == LK_OK)
        status = lk_store_open(env, url, table, &r->primary, note);
    if (status == LK_OK &&
        (r->primary->ops->place != LK_STORE_REMOTE || r->copy->ops->place != LK_STORE_REMOTE)) {
        lk_note_set(note, "a replica is the copy of a server's data: the %s store has none",
                    r->copy->ops->name);
        status = LK_REFUSED;
    }
    if (status == LK_OK) {
        *out = &r->base;
        return LK_OK;
    }
    close_both(&r->base);
    return status;
}
