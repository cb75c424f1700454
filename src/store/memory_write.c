/* SPDX-License-Identifier: Apache-2.0
 *
 * memory_write.c - what writes to the memory store.
 *
 * The table publishes one entry at a time, so what must hold over two of them holds by order: a fence is put
 * before its session is dropped, a session is only ever replaced in the version that was read, and who adds a
 * session looks for a fence again after it was added and takes it back. A process killed in between leaves at
 * worst a session whose id was never given out.
 */
#include "store/fields.h"
#include "store/memory_inner.h"
#include <stdatomic.h>
#include <string.h>

/* Rounds of read, change, write-if-unchanged before giving up. Changes of one session queue up behind a lock,
 * so a round is only lost to a touch, an id change or an end that came in between. */
#define ROUNDS_MAX 1000

/* Sessions that replaced each other within the grace time: how far back a logout follows them. */
#define CHAIN_MAX 16

static const lk_session_key no_session;

static bool is_session(const lk_session_key *key)
{
    return memcmp(key, &no_session, sizeof(*key)) != 0;
}

/* Put a fence, or move the end of the one that is there; its first reason stays. */
static lk_status put_fence(lk__memory *m, const lk__memory_key *key, lk_reason reason, int64_t until_s)
{
    uint8_t bytes[LK_FENCE_MAX], there[LK_FENCE_MAX];
    lk_buf fence = lk_buf_over(bytes, sizeof(bytes));
    lk_entry entry;
    int64_t there_until_s;
    lk_status status = lk__fence_write(reason, until_s, &fence);

    if (status == LK_OK)
        status = lk_table_add(m->table, LK_ENTRY_FENCE, key->bytes, 0, until_s, lk_buf_view(&fence));
    if (status != LK_REFUSED)
        return status;
    status = lk_table_get(m->table, LK_ENTRY_FENCE, key->bytes, 0, there, sizeof(there), &entry);
    if (status == LK_OK) {
        lk__fence_read(lk_view_make(there, entry.len), &reason, &there_until_s);
        if (there_until_s >= until_s)
            return LK_OK;
    }
    fence = lk_buf_over(bytes, sizeof(bytes));
    status = lk__fence_write(reason, until_s, &fence);
    if (status == LK_OK)
        status = lk_table_put(m->table, LK_ENTRY_FENCE, key->bytes, 0, until_s, lk_buf_view(&fence));
    return status;
}

/* After the table was changed, before that is said. */
static void raise_mark(lk__memory *m)
{
    (void)atomic_fetch_add(lk_table_word(m->table, LK__MEMORY_WORD), 1);
}

/* Fence and drop one session. It is dropped even when there is no room for the fence: a session that was
 * ended is not served, whatever else goes wrong. */
static lk_status end_one(lk__memory *m, const lk__memory_key *key, lk_reason reason, int64_t fence_s)
{
    lk_status status = put_fence(m, key, reason, fence_s);
    lk_status dropped = lk_table_drop(m->table, LK_ENTRY_SESSION, key->bytes);

    raise_mark(m);
    if (status == LK_OK && dropped == LK_FAULT)
        return LK_FAULT;
    return status;
}

/* Read the record of KEY into ROOM. LK_OK, LK_MISS, LK_STALE (fenced, damaged), LK_FAULT. */
static lk_status read_record(lk__memory *m, const lk_session_key *key, uint8_t room[LK_RECORD_MAX],
                             lk_view *record, lk_session *s, lk_entry *entry)
{
    lk__memory_key k = lk__memory_key_of(key);
    lk_reason why;

    switch (lk_table_get(m->table, LK_ENTRY_SESSION, k.bytes, 0, room, LK_RECORD_MAX, entry)) {
    case LK_OK:
        *record = lk_view_make(room, entry->len);
        return lk__record_of(*record, key, s);
    case LK_MISS:
        return lk__memory_fenced(m, &k, &why);
    case LK_STALE:
    case LK_FULL: /* no record is that long */
        return LK_STALE;
    case LK_REFUSED:
    case LK_FAULT:
        break;
    }
    return LK_FAULT;
}

/* Publish S as a session that was not there. A fence found afterwards was put while we were at it. */
static lk_status add_session(lk__memory *m, const lk_session *s, uint64_t owner)
{
    uint8_t room[LK_RECORD_MAX];
    lk_buf record = lk_buf_over(room, sizeof(room));
    lk__memory_key key = lk__memory_key_of(&s->key);
    lk_reason why;
    lk_status status = lk_record_write(s, &record);

    if (status != LK_OK)
        return status;
    if (lk__memory_fenced(m, &key, &why) != LK_MISS)
        return LK_REFUSED;
    status = lk_table_add(m->table, LK_ENTRY_SESSION, key.bytes, owner, lk__session_forget_s(s),
                          lk_buf_view(&record));
    if (status != LK_OK)
        return status;
    if (lk__memory_fenced(m, &key, &why) == LK_MISS)
        return LK_OK;
    (void)!lk_table_drop(m->table, LK_ENTRY_SESSION, key.bytes);
    return LK_REFUSED;
}

typedef struct gathering {
    lk__candidates found;
    const lk_session_key *leaves; /* the session that the new one replaces, or NULL */
    int64_t now_s;
    lk_status status;
} gathering;

static bool gather_one(void *context, const uint8_t key[LK_TABLE_KEY_LEN], const lk_entry *entry,
                       lk_view value)
{
    gathering *g = context;
    const lk_session *newest = g->found.newest;
    lk_session s;

    (void)key;
    value.len = lk_record_head_len(value);
    if (lk_record_read(value, &s) != LK_OK)
        return true;
    if (entry->seen_s > s.seen_s)
        s.seen_s = entry->seen_s;
    if (!lk__session_is_listed(&s, g->now_s) || memcmp(&s.key, &newest->key, sizeof(s.key)) == 0 ||
        (g->leaves != NULL && memcmp(&s.key, g->leaves, sizeof(s.key)) == 0))
        return true;
    if (!lk_view_equal(s.user, newest->user) || !lk_view_equal(s.realm, newest->realm))
        return true;
    g->status = lk__candidates_add(&g->found, &s);
    return g->status == LK_OK;
}

/* A session on its way in, whose user has a limit. The lock of his name is held over looking and writing, so
 * that fifty creates at once each count the ones before it. */
typedef struct entering {
    lk__memory *m;
    const lk_session *s;
    const lk_session_key *leaves;
    const lk_limit *limit;
    uint64_t owner;
    bool is_limited;
    uint32_t ended;
} entering;

static entering enter(lk__memory *m, const lk_session *s, const lk_session_key *leaves, const lk_limit *limit)
{
    entering e = {.m = m, .s = s, .leaves = leaves, .limit = limit};

    e.owner = lk__memory_owner(m, s->realm, s->user);
    e.is_limited = lk__limit_holds(limit, s) && e.owner != 0;
    if (e.is_limited)
        lk_table_lock(m->table, e.owner);
    return e;
}

static void done_entering(const entering *e)
{
    if (e->is_limited)
        lk_table_unlock(e->m->table, e->owner);
}

/* Gather the others of the user and choose those to be ended. LK_FULL: refused. */
static lk_status choose(const entering *e, gathering *g, size_t *n)
{
    uint64_t cursor = 0;
    lk_status status;

    *n = 0;
    do
        status = lk_table_list(e->m->table, LK_ENTRY_SESSION, e->owner, &cursor, 64, gather_one, g);
    while (status == LK_OK && g->status == LK_OK && cursor != 0);
    if (status == LK_OK)
        status = g->status;
    return status == LK_OK ? lk__candidates_choose(&g->found, e->limit, n) : status;
}

static gathering gathering_of(const entering *e)
{
    return (gathering){.found = {.env = e->m->base.env, .newest = e->s},
                       .leaves = e->leaves,
                       .now_s = lk_now_s(e->m->base.env),
                       .status = LK_OK};
}

/* A limit that refuses is asked before anything is written. LK_OK; LK_REFUSED when the key is taken, which
 * comes first in every store; LK_FULL. */
static lk_status may_enter(const entering *e)
{
    lk__memory_key key = lk__memory_key_of(&e->s->key);
    gathering g = gathering_of(e);
    lk_entry there;
    lk_reason why;
    size_t n;
    lk_status status;

    if (!e->is_limited || e->limit->victim != LK_VICTIM_REFUSE)
        return LK_OK;
    status = lk_table_get(e->m->table, LK_ENTRY_SESSION, key.bytes, 0, NULL, 0, &there);
    if (status != LK_MISS || lk__memory_fenced(e->m, &key, &why) != LK_MISS)
        return status == LK_FAULT ? LK_FAULT : LK_REFUSED;
    status = choose(e, &g, &n);
    lk__candidates_free(&g.found);
    if (status == LK_FULL && e->limit->refused != NULL)
        *e->limit->refused = true;
    return status;
}

/* End the sessions that the limit chooses. */
static lk_status keep_limit(entering *e)
{
    gathering g = gathering_of(e);
    size_t n = 0;
    lk_status status = LK_OK;

    if (e->is_limited && e->limit->victim != LK_VICTIM_REFUSE)
        status = choose(e, &g, &n);
    for (size_t i = 0; i < n && status == LK_OK; i++) {
        lk__memory_key key = lk__memory_key_of(&g.found.at[i].key);

        status = end_one(e->m, &key, LK_REASON_REPLACED, e->limit->fence_s);
        if (status == LK_FULL) /* no room for the fence, but it was dropped */
            status = LK_OK;
        if (status == LK_OK)
            e->ended++;
    }
    lk__candidates_free(&g.found);
    return status;
}

static void take_back(lk__memory *m, const lk_session *s)
{
    lk__memory_key key = lk__memory_key_of(&s->key);

    (void)!lk_table_drop(m->table, LK_ENTRY_SESSION, key.bytes);
}

lk_status lk__memory_create(lk_store *store, const lk_session *s, lk_limit limit, uint32_t *ended)
{
    lk__memory *m = (lk__memory *)store;
    entering e = enter(m, s, NULL, &limit);
    lk_status status = may_enter(&e);

    if (status == LK_OK) {
        status = add_session(m, s, e.owner);
        if (status == LK_OK) {
            status = keep_limit(&e);
            if (status != LK_OK)
                take_back(m, s);
        }
    }
    done_entering(&e);
    *ended = e.ended;
    return status;
}

/* May the session KEY be replaced, as things stand? */
static lk_status may_retire(lk__memory *m, const lk_session_key *key, uint32_t generation)
{
    uint8_t room[LK_RECORD_MAX];
    lk_view record;
    lk_session s;
    lk_entry entry;
    lk_status status = read_record(m, key, room, &record, &s, &entry);

    return status == LK_OK ? lk__session_writable(&s, generation, lk_now_s(m->base.env)) : status;
}

/* Turn OLD, as it was read with ENTRY, into an ending one, or end it at once. LK_STALE: it was written in
 * between. */
static lk_status retire(lk__memory *m, lk_session *old, const lk_entry *entry, int64_t grace_until_s,
                        int64_t fence_s)
{
    uint8_t room[LK_RECORD_MAX];
    lk_buf record = lk_buf_over(room, sizeof(room));
    lk__memory_key key = lk__memory_key_of(&old->key);
    lk_reason why;
    lk_status status;

    if (grace_until_s == 0) {
        status = put_fence(m, &key, LK_REASON_REPLACED, fence_s);
        return status == LK_OK ? lk_table_drop_if(m->table, LK_ENTRY_SESSION, key.bytes, entry->version)
                               : status;
    }
    status = lk__record_ending(old, grace_until_s, &record);
    if (status == LK_OK)
        status = lk_table_put_if(m->table, LK_ENTRY_SESSION, key.bytes, entry->version,
                                 lk__session_forget_s(old), lk_buf_view(&record));
    /* A logout that put its fence while we wrote has the last word, over the successor too. Not LK_STALE,
     * which would mean another round. */
    if (status == LK_OK && lk__memory_fenced(m, &key, &why) != LK_MISS)
        return LK_MISS;
    return status;
}

/* Find OLD in its generation and retire it. LK_OK; LK_MISS, LK_STALE when it is gone. */
static lk_status retire_old(lk__memory *m, const lk_session_key *key, uint32_t generation,
                            int64_t grace_until_s, int64_t fence_s)
{
    uint8_t room[LK_RECORD_MAX];
    lk_status status = LK_STALE;

    for (unsigned round = 0; round < ROUNDS_MAX && status == LK_STALE; round++) {
        lk_view record;
        lk_session old;
        lk_entry entry;

        status = read_record(m, key, room, &record, &old, &entry);
        if (status == LK_OK)
            status = lk__session_writable(&old, generation, lk_now_s(m->base.env));
        if (status != LK_OK)
            return status;
        if (entry.seen_s > old.seen_s)
            old.seen_s = entry.seen_s;
        status = retire(m, &old, &entry, grace_until_s, fence_s);
    }
    return status == LK_STALE ? LK_FAULT : status;
}

lk_status lk__memory_replace(lk_store *store, const lk_session_key *old, uint32_t old_generation,
                             const lk_session *s, int64_t grace_until_s, int64_t fence_s, lk_limit limit)
{
    lk__memory *m = (lk__memory *)store;
    entering e;
    lk_status status = may_retire(m, old, old_generation);

    if (status != LK_OK)
        return status;
    e = enter(m, s, old, &limit);
    status = may_enter(&e);
    if (status == LK_OK)
        status = add_session(m, s, e.owner);
    if (status == LK_OK) {
        status = retire_old(m, old, old_generation, grace_until_s, fence_s);
        raise_mark(m);
        if (status == LK_OK)
            status = keep_limit(&e);
        if (status != LK_OK)
            take_back(m, s);
    }
    done_entering(&e);
    return status;
}

/* One round of a change: LK_STALE with *again when somebody wrote in between. */
static lk_status change_once(lk__memory *m, const lk__change *asked, uint32_t *revision, bool *again,
                             lk_note *note)
{
    uint8_t before[LK_RECORD_MAX], after[LK_RECORD_MAX];
    lk_buf out = lk_buf_over(after, sizeof(after));
    lk__memory_key key = lk__memory_key_of(asked->key);
    lk__change change = *asked;
    lk_session s;
    lk_entry entry;
    lk_view record;
    lk_reason why;
    lk_status status = read_record(m, asked->key, before, &record, &s, &entry);

    *again = false;
    if (status != LK_OK)
        return status;
    change.seen_s = entry.seen_s;
    status = lk__record_change(record, &change, &out, &s, note);
    if (status != LK_OK)
        return status;
    status = lk_table_put_if(m->table, LK_ENTRY_SESSION, key.bytes, entry.version, lk__session_forget_s(&s),
                             lk_buf_view(&out));
    if (status == LK_OK)
        *revision = s.revision;
    *again = status == LK_STALE;
    return status == LK_MISS ? lk__memory_fenced(m, &key, &why) : status;
}

lk_status lk__memory_change(lk_store *store, const lk_session_key *key, uint32_t generation,
                            uint32_t if_revision, const lk_op *ops, size_t n, uint32_t *revision,
                            lk_note *note)
{
    lk__memory *m = (lk__memory *)store;
    lk__change change = {.key = key,
                         .generation = generation,
                         .if_revision = if_revision,
                         .ops = ops,
                         .n = n,
                         .now_s = lk_now_s(m->base.env)};
    uint64_t queue;
    bool again = true;
    lk_status status = LK_FAULT;

    memcpy(&queue, key->bytes, sizeof(queue));
    lk_table_lock(m->table, queue);
    for (unsigned round = 0; round < ROUNDS_MAX && again; round++)
        status = change_once(m, &change, revision, &again, note);
    lk_table_unlock(m->table, queue);
    if (again) {
        lk_note_set(note, "the session was written by others again and again");
        return LK_FAULT;
    }
    return status;
}

lk_status lk__memory_touch_many(lk_store *store, const lk_touch *touches, size_t n)
{
    lk__memory *m = (lk__memory *)store;

    for (size_t i = 0; i < n; i++) {
        uint8_t room[LK_RECORD_MAX];
        lk__memory_key key = lk__memory_key_of(&touches[i].key);
        lk_view record;
        lk_session s;
        lk_entry entry;
        lk_status status = read_record(m, &touches[i].key, room, &record, &s, &entry);

        if (status == LK_FAULT)
            return LK_FAULT;
        if (status != LK_OK || (s.flags & LK_SESSION_ENDING) != 0)
            continue;
        if (touches[i].seen_s <= s.seen_s || touches[i].seen_s > UINT32_MAX)
            continue;
        s.seen_s = touches[i].seen_s;
        status = lk_table_touch(m->table, LK_ENTRY_SESSION, key.bytes, (uint32_t)s.seen_s,
                                lk__session_forget_s(&s), NULL);
        if (status == LK_FAULT)
            return LK_FAULT;
    }
    return LK_OK;
}

lk_status lk__memory_destroy(lk_store *store, const lk_session_key *key, lk_reason reason, int64_t fence_s)
{
    lk__memory *m = (lk__memory *)store;
    lk_session_key next = *key;
    lk_status status = LK_OK;

    for (unsigned i = 0; i < CHAIN_MAX && is_session(&next); i++) {
        uint8_t room[LK_RECORD_MAX];
        lk__memory_key k = lk__memory_key_of(&next);
        lk_view record;
        lk_session s = {.flags = 0};
        lk_entry entry;
        lk_status found = read_record(m, &next, room, &record, &s, &entry), ended;

        if (i > 0 && found != LK_OK)
            break;
        ended = end_one(m, &k, reason, fence_s);
        status = status == LK_OK ? ended : status;
        next = found == LK_OK ? s.previous : no_session;
    }
    return status;
}
