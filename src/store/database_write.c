/* SPDX-License-Identifier: Apache-2.0
 *
 * database_write.c - create, replace, change, touch. Each is one transaction: what store.h calls one step is
 * one here.
 *
 * Locks are taken in one order by everybody - the turn of a user, sessions in the order of their ids, the
 * stream - so that no two writers wait for each other.
 */
#include "store/database.h"
#include <stdlib.h>
#include <string.h>

/* ---- create and replace ---- */

typedef struct creation {
    const lk_session *s;
    lk_view head, fields; /* S, encoded */
    lk_limit limit;
    int64_t now_s;
    uint32_t ended;
    bool refused;
    /* replace only */
    const lk_session_key *old;
    uint32_t old_generation;
    int64_t grace_until_s, fence_s;
} creation;

/* LK_OK; LK_REFUSED when the id is there. */
static lk_status insert(lk__db_tx *tx, const creation *c)
{
    const lk_session *s = c->s;
    lk_sql_value due = lk_sql_of_i64(lk__db_time(lk__session_forget_s(s)));
    lk_sql_value seen = lk_sql_of_i64(lk__db_time(s->seen_s)), id = lk_sql_of_bytes(lk__db_id(&s->key));
    lk_sql_value head = lk_sql_of_bytes(c->head), fields = lk_sql_of_bytes(c->fields);
    uint64_t inserted = 0;
    lk_status status;

    if (s->user.len == 0) {
        status = lk_sql_do(tx->link, tx->db->text->insert_nobodys, LK_SQL_VALUES(due, seen, head, fields, id),
                           &inserted);
    } else {
        int64_t owner = lk__db_owner(tx->db, s->realm, s->user, lk__db_place_of(&s->key));

        status = lk_sql_do(tx->link, tx->db->text->insert,
                           LK_SQL_VALUES(due, seen, lk_sql_of_i64(owner), head, fields, id), &inserted);
    }
    return status == LK_OK && inserted == 0 ? LK_REFUSED : status;
}

/* The new session is there: end those beyond the limit, or have all undone if it refuses. */
static lk_status keep_limit(lk__db_tx *tx, creation *c, const lk__candidates *beyond)
{
    lk_status status = c->refused ? LK_FULL : LK_OK;

    for (size_t i = 0; i < beyond->n && status == LK_OK; i++) {
        status = lk__db_end(tx, &beyond->at[i].key, LK_REASON_REPLACED, c->limit.fence_s);
        c->ended++;
    }
    return status;
}

static lk_status create_work(lk__db_tx *tx, void *argument)
{
    creation *c = argument;
    lk__candidates beyond = {.env = tx->db->base.env, .newest = c->s};
    lk_status status = lk__db_user_hold(tx, NULL, &c->limit, c->now_s, &beyond, &c->refused);

    c->ended = 0;
    if (status == LK_OK)
        status = insert(tx, c);
    if (status == LK_OK)
        status = keep_limit(tx, c, &beyond);
    if (status == LK_OK)
        status = lk__db_user_trim(tx, c->s, c->now_s);
    lk__candidates_free(&beyond);
    return status;
}

static lk_status encode(const lk_session *s, lk_buf *record, creation *c)
{
    lk_status status = lk_record_write(s, record);
    size_t head_len;

    if (status != LK_OK)
        return status;
    head_len = lk_record_head_len(lk_buf_view(record));
    c->head = lk_view_make(record->p, head_len);
    c->fields = lk_view_make(record->p + head_len, record->len - head_len);
    return LK_OK;
}

/* Run WORK, which creates. */
static lk_status write_session(lk_store *store, lk__db_work work, creation *c)
{
    lk_status status = lk__db_write(lk__db_of(store), lk__db_of(store)->durability, work, c, NULL);

    if (c->limit.refused != NULL)
        *c->limit.refused = status == LK_FULL && c->refused;
    return status;
}

lk_status lk__db_create(lk_store *store, const lk_session *s, lk_limit limit, uint32_t *ended)
{
    uint8_t room[LK_RECORD_MAX];
    lk_buf record = lk_buf_over(room, sizeof(room));
    creation c = {.s = s, .limit = limit, .now_s = lk_now_s(store->env)};
    lk_status status = encode(s, &record, &c);

    *ended = 0;
    if (status == LK_OK)
        status = write_session(store, create_work, &c);
    if (status == LK_OK)
        *ended = c.ended;
    return status;
}

/* The session ID, locked, its record in BUF. LK_OK, LK_MISS, LK_STALE (fenced, damaged), LK_FAULT. */
static lk_status lock_one(lk__db_tx *tx, const lk_session_key *id, uint8_t buf[LK_RECORD_MAX],
                          lk_view *record, lk_session *out)
{
    lk__db_row row;
    lk_sql_query *q;
    lk_status status =
        lk_sql_ask(tx->link, tx->db->text->lock_one, LK_SQL_VALUES(lk_sql_of_bytes(lk__db_id(id))), &q);

    if (status == LK_OK)
        status = lk_sql_step(q);
    if (status != LK_OK)
        return status;
    status = lk__db_row_read(q, true, &row);
    if (!row.is_fence)
        status = lk__db_row_session(tx->db, &row, buf, LK_RECORD_MAX, out);
    *record = lk_view_make(buf, row.head.len + row.fields.len);
    lk_sql_reset(q);
    return status == LK_FULL ? LK_STALE : status; /* longer than any record */
}

/* OLD is ending from now on: out of its user's list, not touched any more. */
static lk_status retire(lk__db_tx *tx, const creation *c, lk_session *old)
{
    static const char text[] =
        "UPDATE latchkey_session SET head = ?, due = ?, seen = NULL, owner = NULL WHERE id = ?";
    uint8_t room[LK_RECORD_MAX];
    lk_buf record = lk_buf_over(room, sizeof(room));
    lk_view head;
    lk_status status;

    if (c->grace_until_s == 0)
        return lk__db_end(tx, c->old, LK_REASON_REPLACED, c->fence_s);
    status = lk__record_ending(old, c->grace_until_s, &record);
    if (status != LK_OK)
        return status;
    head = lk_view_make(room, lk_record_head_len(lk_buf_view(&record)));
    status =
        lk_sql_do(tx->link, text,
                  LK_SQL_VALUES(lk_sql_of_bytes(head), lk_sql_of_i64(lk__db_time(lk__session_forget_s(old))),
                                lk_sql_of_bytes(lk__db_id(c->old))),
                  NULL);
    return status == LK_OK ? lk__db_tell(tx, (lk__db_event){.kind = LK__DB_ENDED, .id = *c->old}) : status;
}

static lk_status replace_work(lk__db_tx *tx, void *argument)
{
    uint8_t room[LK_RECORD_MAX];
    creation *c = argument;
    lk__candidates beyond = {.env = tx->db->base.env, .newest = c->s};
    lk_view record;
    lk_session old;
    lk_status status = lk__db_user_hold(tx, c->old, &c->limit, c->now_s, &beyond, &c->refused);

    c->ended = 0;
    if (status == LK_OK)
        status = lock_one(tx, c->old, room, &record, &old);
    if (status == LK_OK)
        status = lk__session_writable(&old, c->old_generation, c->now_s);
    if (status == LK_OK)
        status = insert(tx, c);
    if (status == LK_OK)
        status = retire(tx, c, &old);
    if (status == LK_OK)
        status = keep_limit(tx, c, &beyond);
    if (status == LK_OK)
        status = lk__db_user_trim(tx, c->s, c->now_s);
    lk__candidates_free(&beyond);
    return status;
}

lk_status lk__db_replace(lk_store *store, const lk_session_key *old, uint32_t old_generation,
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
    lk_status status = encode(s, &record, &c);

    if (status != LK_OK)
        return status;
    return write_session(store, replace_work, &c);
}

/* ---- change ---- */

typedef struct changing {
    lk__change change;
    uint32_t revision;
    lk_note *note;
} changing;

static lk_status change_work(lk__db_tx *tx, void *argument)
{
    static const char text[] = "UPDATE latchkey_session SET head = ?, fields = ? WHERE id = ?";
    uint8_t before[LK_RECORD_MAX], after[LK_RECORD_MAX];
    lk_buf out = lk_buf_over(after, sizeof(after));
    changing *c = argument;
    lk_view record, head;
    lk_session s;
    lk_status status = lock_one(tx, c->change.key, before, &record, &s);

    if (status == LK_OK)
        status = lk__record_change(record, &c->change, &out, &s, c->note);
    if (status != LK_OK)
        return status;
    head = lk_view_make(after, lk_record_head_len(lk_buf_view(&out)));
    c->revision = s.revision;
    return lk_sql_do(tx->link, text,
                     LK_SQL_VALUES(lk_sql_of_bytes(head), lk_sql_of_bytes(s.fields),
                                   lk_sql_of_bytes(lk__db_id(c->change.key))),
                     NULL);
}

lk_status lk__db_change(lk_store *store, const lk_session_key *key, uint32_t generation, uint32_t if_revision,
                        const lk_op *ops, size_t n, uint32_t *revision, lk_note *note)
{
    changing c = {.change = {.key = key,
                             .generation = generation,
                             .if_revision = if_revision,
                             .ops = ops,
                             .n = n,
                             .now_s = lk_now_s(store->env)},
                  .note = note};
    lk_status status = lk__db_write(lk__db_of(store), lk__db_of(store)->durability, change_work, &c, NULL);

    if (status == LK_OK)
        *revision = c.revision;
    return status;
}

/* ---- touch ---- */

static int by_id(const void *one, const void *other)
{
    const lk_touch *a = one, *b = other;
    int order = memcmp(&a->key, &b->key, sizeof(a->key));

    return order != 0 ? order : (a->seen_s > b->seen_s) - (a->seen_s < b->seen_s);
}

/* Hold what is to be touched, in the order of the ids. */
static lk_status hold_many(lk__db_tx *tx, const lk__db_pairs *pairs)
{
    lk_sql_query *q;
    lk_status status = lk__db_ask_ids(tx->link, tx->db->text->locks, pairs->ids, pairs->n, &q);

    if (status != LK_OK)
        return status;
    while ((status = lk_sql_step(q)) == LK_OK)
        continue;
    return status == LK_MISS ? LK_OK : status;
}

static lk_status touch_work(lk__db_tx *tx, void *argument)
{
    const lk__db_pairs *pairs = argument;
    lk_status status = lk__db_pairs_are_many(pairs) ? hold_many(tx, pairs) : LK_OK;

    return status == LK_OK ? lk__db_pairs_run(tx, pairs) : status;
}

/* In the order of their ids, a batch in each transaction: a node that flushes thousands holds nobody up. What
 * is lost with the power is a last use, which the next one makes good: so the disk is not waited for. */
lk_status lk__db_touch_many(lk_store *store, const lk_touch *touches, size_t n)
{
    lk__db *db = lk__db_of(store);
    lk_touch *sorted = lk_alloc(store->env, n * sizeof(*sorted));
    lk_status status = sorted != NULL ? LK_OK : LK_FAULT;

    if (status != LK_OK)
        return status;
    memcpy(sorted, touches, n * sizeof(*sorted));
    qsort(sorted, n, sizeof(*sorted), by_id);
    for (size_t at = 0; at < n && status == LK_OK;) {
        lk__db_pairs pairs = {.many = db->text->touch_many, .one = db->text->touch_one};

        for (; at < n && pairs.n < LK__DB_BATCH; at++) {
            bool again =
                at + 1 < n && memcmp(&sorted[at].key, &sorted[at + 1].key, sizeof(sorted[at].key)) == 0;

            if (!again) /* of several times of one session, the last */
                lk__db_pairs_add(&pairs, &sorted[at].key, lk__db_time(sorted[at].seen_s));
        }
        status = lk__db_write(db, LK_SQL_RELAXED, touch_work, &pairs, NULL);
    }
    lk_free(store->env, sorted);
    return status;
}
