/* SPDX-License-Identifier: Apache-2.0
 *
 * memory.c - the memory store: sessions and fences in the shared table. What reads is here, what writes is in
 * memory_write.c.
 *
 * It keeps no stream of events: the cut-offs of a node live in the same table already, put there by the
 * guard, and there is no other node.
 */
#include "store/memory_inner.h"
#include <stdatomic.h>
#include <string.h>

lk__memory_key lk__memory_key_of(const lk_session_key *key)
{
    lk__memory_key out = {{0}};

    memcpy(out.bytes, key->bytes, LK_SESSION_KEY_LEN);
    return out;
}

uint64_t lk__memory_owner(const lk__memory *m, lk_view realm, lk_view user)
{
    uint8_t name[LK_REALM_MAX + 1 + LK_USER_ID_MAX], key[LK_TABLE_KEY_LEN];
    lk_buf text = lk_buf_over(name, sizeof(name));
    uint64_t owner;

    if (user.len == 0)
        return 0;
    lk_buf_add(&text, realm);
    lk_buf_add_byte(&text, '\0'); /* no realm holds one, so no two users have the same name here */
    lk_buf_add(&text, user);
    lk_table_key(m->table, LK_ENTRY_SESSION, lk_buf_view(&text), key);
    memcpy(&owner, key, sizeof(owner));
    return owner != 0 ? owner : 1;
}

lk_status lk__memory_fenced(lk__memory *m, const lk__memory_key *key, lk_reason *why)
{
    uint8_t fence[LK_FENCE_MAX];
    lk_entry entry;
    int64_t until_s;

    if (lk_table_get(m->table, LK_ENTRY_FENCE, key->bytes, 0, fence, sizeof(fence), &entry) == LK_MISS)
        return LK_MISS;
    lk__fence_read(lk_view_make(fence, entry.len < sizeof(fence) ? entry.len : 0), why, &until_s);
    return LK_STALE;
}

/* Decode what lk_table_get left in load->buf. */
static lk_status read_copy(lk_load *load, size_t copied, const lk_entry *entry)
{
    lk_view record = lk_view_make(load->buf, copied);
    lk_status status;

    if (load->head_only)
        record.len = lk_record_head_len(record);
    if (load->head_only && record.len == 0 && copied < entry->len && copied < LK_HEAD_MAX)
        return LK_FULL;
    status = lk__record_of(record, &load->key, &load->session);
    if (status == LK_OK && entry->seen_s > load->session.seen_s)
        load->session.seen_s = entry->seen_s;
    return status;
}

static lk_status load_one(lk__memory *m, lk_load *load)
{
    lk__memory_key key = lk__memory_key_of(&load->key);
    size_t cap = load->head_only && load->cap > LK_HEAD_MAX ? LK_HEAD_MAX : load->cap;
    lk_entry entry;

    switch (lk_table_get(m->table, LK_ENTRY_SESSION, key.bytes, 0, load->buf, cap, &entry)) {
    case LK_OK:
        return read_copy(load, entry.len, &entry);
    case LK_FULL:
        return load->head_only ? read_copy(load, cap, &entry) : LK_FULL;
    case LK_MISS:
        return lk__memory_fenced(m, &key, &load->why);
    case LK_STALE:
    case LK_REFUSED:
    case LK_FAULT:
        break;
    }
    return LK_FAULT;
}

static lk_status load_many(lk_store *store, lk_load *loads, size_t n)
{
    for (size_t i = 0; i < n; i++)
        loads[i].status = load_one((lk__memory *)store, &loads[i]);
    return LK_OK;
}

/* A listing, from lk_table_list to the caller. */
typedef struct listing {
    lk_view realm, user; /* user empty: everybody */
    int64_t now_s;
    lk_session_each each;
    void *context;
} listing;

static bool list_one(void *context, const uint8_t key[LK_TABLE_KEY_LEN], const lk_entry *entry, lk_view value)
{
    const listing *l = context;
    lk_session_key session_key;
    lk_session s;

    memcpy(session_key.bytes, key, sizeof(session_key.bytes));
    value.len = lk_record_head_len(value);
    if (lk__record_of(value, &session_key, &s) != LK_OK)
        return true;
    if (entry->seen_s > s.seen_s)
        s.seen_s = entry->seen_s;
    if (!lk__session_is_listed(&s, l->now_s))
        return true;
    if (l->user.len > 0 && (!lk_view_equal(s.user, l->user) || !lk_view_equal(s.realm, l->realm)))
        return true;
    return l->each(l->context, &s);
}

static lk_status list_by_user(lk_store *store, lk_view realm, lk_view user, uint64_t *cursor, uint32_t page,
                              lk_session_each each, void *context)
{
    lk__memory *m = (lk__memory *)store;
    listing l = {
        .realm = realm, .user = user, .now_s = lk_now_s(m->base.env), .each = each, .context = context};

    return lk_table_list(m->table, LK_ENTRY_SESSION, lk__memory_owner(m, realm, user), cursor, page, list_one,
                         &l);
}

static lk_status list(lk_store *store, uint64_t *cursor, uint32_t page, lk_session_each each, void *context)
{
    lk__memory *m = (lk__memory *)store;
    listing l = {.now_s = lk_now_s(m->base.env), .each = each, .context = context};

    return lk_table_list(m->table, LK_ENTRY_SESSION, 0, cursor, page, list_one, &l);
}

static lk_status counts(lk_store *store, lk_store_count *out)
{
    lk__memory *m = (lk__memory *)store;
    lk_table_stats stats;

    lk_table_stats_read(m->table, &stats);
    out->sessions = lk_table_held(m->table, LK_ENTRY_SESSION);
    out->bytes = stats.used;
    out->evicted = stats.evicted_sessions;
    return LK_OK;
}

static lk_status sweep(lk_store *store, int64_t now_s, uint32_t max_rows, uint32_t max_ms, uint32_t *removed)
{
    return lk_table_sweep(((lk__memory *)store)->table, now_s, max_rows, max_ms, removed);
}

static lk_status cutoff_append(lk_store *store, lk_cutoff *c)
{
    (void)store;
    c->seq = 0;
    return LK_OK;
}

static lk_status mark(lk_store *store, uint64_t *number)
{
    *number = atomic_load_explicit(lk_table_word(((lk__memory *)store)->table, LK__MEMORY_WORD),
                                   memory_order_acquire);
    return LK_OK;
}

static lk_status event_seq(lk_store *store, uint64_t *seq)
{
    (void)store;
    *seq = 0;
    return LK_OK;
}

static lk_status events_since(lk_store *store, uint64_t after, lk_event *out, size_t *n)
{
    (void)store;
    (void)after;
    (void)out;
    *n = 0;
    return LK_OK;
}

static lk_status check(const lk_store_url *url, lk_note *note)
{
    if (url->rest.len > 0) {
        lk_note_set(note, "the memory store is written \"memory:\", nothing after it; "
                          "latchkey_memory says where the memory is");
        return LK_REFUSED;
    }
    return LK_OK;
}

static lk_status open_memory(const lk_env *env, const lk_store_url *url, struct lk_table *table,
                             lk_store **out, lk_note *note)
{
    lk__memory *m;

    (void)url;
    if (table == NULL) {
        lk_note_set(note, "the memory store needs a table to live in");
        return LK_REFUSED;
    }
    m = lk_alloc(env, sizeof(*m));
    if (m == NULL) {
        lk_note_set(note, "out of memory");
        return LK_FAULT;
    }
    m->base = (lk_store){.ops = &lk__store_memory, .env = env};
    m->table = table;
    *out = &m->base;
    return LK_OK;
}

static void close_memory(lk_store *store)
{
    lk_free(store->env, store);
}

const lk_store_ops lk__store_memory = {
    .name = "memory",
    .form = "memory:",
    .options = "",
    .place = LK_STORE_INLINE,
    .is_durable = false,
    .check = check,
    .open = open_memory,
    .close = close_memory,
    .load_many = load_many,
    .create = lk__memory_create,
    .replace = lk__memory_replace,
    .change = lk__memory_change,
    .touch_many = lk__memory_touch_many,
    .destroy = lk__memory_destroy,
    .list_by_user = list_by_user,
    .list = list,
    .counts = counts,
    .sweep = sweep,
    .cutoff_append = cutoff_append,
    .mark = mark,
    .event_seq = event_seq,
    .events_since = events_since,
};
