/* SPDX-License-Identifier: Apache-2.0
 *
 * lmdb_write.c - what writes to the lmdb store. Each is one transaction: what store.h calls one step is one
 * here.
 *
 * Memory that LMDB lends is good until the next write of the transaction, so a record is copied before it is
 * changed.
 */
#include "store/lmdb_inner.h"
#include <string.h>

#define CHAIN_MAX                                                                                            \
    16 /* sessions that replaced each other within the grace time: how far back a logout follows them */

static lk__lmdb_env *env_of(lk_store *store)
{
    return ((lk__lmdb *)store)->db;
}

/* The record of KEY, copied to ROOM, and S read from it. LK_OK, LK_MISS, LK_STALE (fenced, damaged),
 * LK_FAULT. */
static lk_status read_copy(const lk__lmdb_env *db, MDB_txn *txn, const lk_session_key *key,
                           uint8_t room[LK_RECORD_MAX], lk__lmdb_row *row, lk_session *s)
{
    lk_status status = lk__lmdb_row_get(db, txn, key, row);

    if (status == LK_OK && row->record.len > LK_RECORD_MAX)
        return LK_STALE;
    if (status != LK_OK)
        return status;
    memcpy(room, row->record.p, row->record.len);
    row->record.p = room;
    return lk__record_of(row->record, key, s);
}

/* ---- create and replace ---- */

typedef struct creation {
    const lk_session *s;
    lk_view record; /* S, encoded */
    lk_limit limit;
    int64_t now_s;
    uint32_t ended;
    bool refused;
    /* replace only */
    const lk_session_key *old;
    uint32_t old_generation;
    int64_t grace_until_s, fence_s;
} creation;

/* Is the key free, and is there room? */
static lk_status may_create(lk__lmdb_env *db, MDB_txn *txn, const lk_session_key *key)
{
    lk__lmdb_row row;
    lk_status status = lk__lmdb_row_get(db, txn, key, &row);

    if (status == LK_OK || status == LK_STALE)
        return LK_REFUSED;
    return status == LK_MISS ? lk__lmdb_has_room(db) : status;
}

static lk_status add_session(lk__lmdb_env *db, MDB_txn *txn, creation *c)
{
    lk_status status = lk__lmdb_row_put(db, txn, c->s, c->record, LK__LMDB_NEW, lk__session_forget_s(c->s));

    c->ended = 0;
    if (status == LK_OK && c->s->user.len > 0)
        status = lk__lmdb_user_trim(db, txn, c->s, c->now_s);
    if (status == LK_OK && lk__limit_holds(&c->limit, c->s))
        status = lk__lmdb_user_limit(db, txn, c->s, &c->limit, c->now_s, &c->ended, &c->refused);
    return status;
}

/* Run WORK, which creates; what was written is undone when the limit refuses. */
static lk_status write_session(lk_store *store, lk__lmdb_work work, creation *c)
{
    lk_status status = lk__lmdb_write(env_of(store), work, c);

    if (c->limit.refused != NULL)
        *c->limit.refused = status == LK_FULL && c->refused;
    return status;
}

static lk_status create_work(lk__lmdb_env *db, MDB_txn *txn, void *argument)
{
    creation *c = argument;
    lk_status status = may_create(db, txn, &c->s->key);

    c->refused = false; /* of an earlier try */
    return status == LK_OK ? add_session(db, txn, c) : status;
}

lk_status lk__lmdb_create(lk_store *store, const lk_session *s, lk_limit limit, uint32_t *ended)
{
    uint8_t room[LK_RECORD_MAX];
    lk_buf record = lk_buf_over(room, sizeof(room));
    creation c = {.s = s, .limit = limit, .now_s = lk_now_s(store->env)};
    lk_status status = lk_record_write(s, &record);

    *ended = 0;
    if (status != LK_OK)
        return status;
    c.record = lk_buf_view(&record);
    status = write_session(store, create_work, &c);
    if (status == LK_OK)
        *ended = c.ended;
    return status;
}

static lk_status retire(lk__lmdb_env *db, MDB_txn *txn, const creation *c, const lk__lmdb_row *row,
                        lk_session *old)
{
    uint8_t room[LK_RECORD_MAX];
    lk_buf record = lk_buf_over(room, sizeof(room));
    int64_t due_s;
    lk_status status;

    if (c->grace_until_s == 0)
        return lk__lmdb_row_end(db, txn, c->old, LK_REASON_REPLACED, c->fence_s);
    status = lk__record_ending(old, c->grace_until_s, &record);
    due_s = lk__session_forget_s(old);
    if (due_s > row->due_s) /* the entry may come too early, never too late */
        due_s = row->due_s;
    return status == LK_OK ? lk__lmdb_row_put(db, txn, old, lk_buf_view(&record), row->due_s, due_s) : status;
}

static lk_status replace_work(lk__lmdb_env *db, MDB_txn *txn, void *argument)
{
    uint8_t room[LK_RECORD_MAX];
    creation *c = argument;
    lk__lmdb_row row;
    lk_session old;
    lk_status status = read_copy(db, txn, c->old, room, &row, &old);

    c->refused = false;
    if (status == LK_OK)
        status = lk__session_writable(&old, c->old_generation, c->now_s);
    if (status == LK_OK)
        status = may_create(db, txn, &c->s->key);
    if (status == LK_OK)
        status = retire(db, txn, c, &row, &old);
    return status == LK_OK ? add_session(db, txn, c) : status;
}

lk_status lk__lmdb_replace(lk_store *store, const lk_session_key *old, uint32_t old_generation,
                           const lk_session *s, int64_t grace_until_s, int64_t fence_s, lk_limit limit)
{
    uint8_t room[LK_RECORD_MAX];
    lk_buf record = lk_buf_over(room, sizeof(room));
    creation c = {.s = s,
                  .limit = limit,
                  .now_s = lk_now_s(store->env),
                  .old = old,
                  .old_generation = old_generation,
                  .grace_until_s = grace_until_s,
                  .fence_s = fence_s};
    lk_status status = lk_record_write(s, &record);

    if (status != LK_OK)
        return status;
    c.record = lk_buf_view(&record);
    return write_session(store, replace_work, &c);
}

/* ---- change ---- */

typedef struct changing {
    lk__change change;
    uint32_t revision;
    lk_note *note;
} changing;

static lk_status change_work(lk__lmdb_env *db, MDB_txn *txn, void *argument)
{
    uint8_t before[LK_RECORD_MAX], after[LK_RECORD_MAX];
    lk_buf record = lk_buf_over(after, sizeof(after));
    changing *c = argument;
    lk__lmdb_row row;
    lk_session s;
    lk_status status = read_copy(db, txn, c->change.key, before, &row, &s);

    if (status == LK_OK)
        status = lk__record_change(row.record, &c->change, &record, &s, c->note);
    if (status == LK_OK && record.len > row.record.len)
        status = lk__lmdb_has_room(db);
    if (status == LK_OK)
        status = lk__lmdb_row_put(db, txn, &s, lk_buf_view(&record), row.due_s, row.due_s);
    if (status == LK_OK)
        c->revision = s.revision;
    return status;
}

lk_status lk__lmdb_change(lk_store *store, const lk_session_key *key, uint32_t generation,
                          uint32_t if_revision, const lk_op *ops, size_t n, uint32_t *revision, lk_note *note)
{
    changing c = {.change = {.key = key,
                             .generation = generation,
                             .if_revision = if_revision,
                             .ops = ops,
                             .n = n,
                             .now_s = lk_now_s(store->env)},
                  .note = note};
    lk_status status = lk__lmdb_write(env_of(store), change_work, &c);

    if (status == LK_OK)
        *revision = c.revision;
    return status;
}

/* ---- touch ---- */

typedef struct touching {
    const lk_touch *touches;
    size_t n;
} touching;

static lk_status touch_one(lk__lmdb_env *db, MDB_txn *txn, const lk_touch *touch)
{
    uint8_t room[LK_RECORD_MAX];
    lk__lmdb_row row;
    lk_session s;
    lk_status status = read_copy(db, txn, &touch->key, room, &row, &s);

    if (status == LK_MISS || status == LK_STALE)
        return LK_OK;
    if (status != LK_OK || (s.flags & LK_SESSION_ENDING) != 0 || touch->seen_s <= s.seen_s)
        return status;
    if (lk_record_touch(room, row.record.len, touch->seen_s) != LK_OK)
        return LK_OK;
    return lk__lmdb_row_put(db, txn, &s, row.record, row.due_s, row.due_s);
}

static lk_status touch_work(lk__lmdb_env *db, MDB_txn *txn, void *argument)
{
    const touching *t = argument;
    lk_status status = LK_OK;

    for (size_t i = 0; i < t->n && status == LK_OK; i++)
        status = touch_one(db, txn, &t->touches[i]);
    return status;
}

lk_status lk__lmdb_touch_many(lk_store *store, const lk_touch *touches, size_t n)
{
    touching t = {.touches = touches, .n = n};

    return lk__lmdb_write(env_of(store), touch_work, &t);
}

/* ---- destroy ---- */

typedef struct ending {
    const lk_session_key *key;
    lk_reason reason;
    int64_t fence_s;
} ending;

static lk_status destroy_work(lk__lmdb_env *db, MDB_txn *txn, void *argument)
{
    static const lk_session_key none;
    const ending *e = argument;
    lk_session_key next = *e->key;
    lk_status status = LK_OK;

    for (unsigned i = 0; i < CHAIN_MAX && status == LK_OK && memcmp(&next, &none, sizeof(next)) != 0; i++) {
        lk_session_key key = next;
        lk__lmdb_row row;
        lk_session s;

        status = lk__lmdb_row_get(db, txn, &key, &row);
        if (status == LK_FAULT || (i > 0 && (status == LK_MISS || row.is_fence)))
            break;
        next = none;
        if (status == LK_OK && lk__record_of(row.record, &key, &s) == LK_OK)
            next = s.previous;
        status = lk__lmdb_row_end(db, txn, &key, e->reason, e->fence_s);
    }
    return status == LK_MISS || status == LK_STALE ? LK_OK : status;
}

lk_status lk__lmdb_destroy(lk_store *store, const lk_session_key *key, lk_reason reason, int64_t fence_s)
{
    ending e = {.key = key, .reason = reason, .fence_s = fence_s};

    return lk__lmdb_write(env_of(store), destroy_work, &e);
}
