/* SPDX-License-Identifier: Apache-2.0
 *
 * near.c - near copies: heads of sessions that a remote store keeps, in the table of this node, dropped when
 * the store's stream says that the session was ended or replaced.
 *
 * A value of LK_ENTRY_NEAR (the entry's seen_s is the latest use on this node):
 *
 *   offset  bytes
 *   0       1      '-' last-seen only, 'c' copy, 'e' ended on this node
 *   1       1      'e': the reason
 *   2       6      0
 *   8       8      monotonic ms when the store said so
 *   16      8      the era (see LK_WORD_NEAR_ERA)
 *   24      ..     'c': the head of the record
 *
 * The danger is a copy that was read before the session ended and is put after word of the end came: nothing
 * would ever drop it. So keys are spread over LK_EPOCHS counters. Word of an end raises the counter first and
 * drops the copy then; who puts a copy draws a ticket before he reads, and looks at the counter again after
 * he has put: one of the two sees the other. Counters shared by many keys cost a copy now and then, never
 * more.
 */
#include "guard/guard_internal.h"
#include <string.h>

enum { AT_KNOWN = 8, AT_ERA = 16, ROUNDS = 100 };

/* How long a node remembers that it ended a session itself: longer than any replica is behind. */
enum { ENDED_S = 600 };

static _Atomic uint64_t *epoch_of(const lk_guard *g, const lk_session_key *key)
{
    return lk_table_word(g->parts.table, LK_WORD_EPOCHS + key->bytes[0] % LK_EPOCHS);
}

static _Atomic uint64_t *era_of(const lk_guard *g)
{
    return lk_table_word(g->parts.table, LK_WORD_NEAR_ERA);
}

static void write_fixed(lk__near_kind kind, lk_reason why, int64_t known_ms, uint64_t era,
                        uint8_t out[LK_NEAR_FIXED])
{
    memset(out, 0, LK_NEAR_FIXED);
    out[0] = (uint8_t)kind;
    out[1] = (uint8_t)why;
    memcpy(out + AT_KNOWN, &known_ms, 8);
    memcpy(out + AT_ERA, &era, 8);
}

static lk_status read_copy(const lk_session_key *key, size_t len, lk__near *out)
{
    lk_view head = lk_view_make(out->room + LK_NEAR_FIXED, len - LK_NEAR_FIXED);
    if (lk_record_read(head, &out->session) != LK_OK || memcmp(&out->session.key, key, sizeof(*key)) != 0)
        return LK_MISS;
    return LK_OK;
}

lk_status lk__near_get(lk_guard *g, const lk_session_key *key, int64_t now_s, lk__near *out)
{
    uint8_t name[LK_TABLE_KEY_LEN];
    uint64_t era;
    lk_entry entry;
    lk__table_key_of(key, name);
    out->seen_s = 0;
    if (lk_table_get(g->parts.table, LK_ENTRY_NEAR, name, lk__table_s(g, now_s), out->room, sizeof(out->room),
                     &entry) != LK_OK)
        return LK_MISS;
    out->seen_s = entry.seen_s;
    if (entry.len < LK_NEAR_FIXED)
        return LK_MISS;
    memcpy(&out->known_ms, out->room + AT_KNOWN, 8);
    memcpy(&era, out->room + AT_ERA, 8);
    if (out->room[0] == LK_NEAR_ENDED) { /* in whatever era */
        out->kind = LK_NEAR_ENDED;
        out->why = out->room[1] < LK_REASON_COUNT ? (lk_reason)out->room[1] : LK_REASON_REVOKED;
        return LK_OK;
    }
    if (out->room[0] != LK_NEAR_COPY || era != atomic_load_explicit(era_of(g), memory_order_acquire))
        return LK_MISS;
    out->kind = LK_NEAR_COPY;
    return read_copy(key, entry.len, out);
}

/* Both only ever rise. */
uint64_t lk__near_mark(lk_guard *g, const lk_session_key *key)
{
    return atomic_load(epoch_of(g, key)) + atomic_load(era_of(g));
}

lk__near_ticket lk__near_ask(lk_guard *g, const lk_session_key *key)
{
    return (lk__near_ticket){
        .epoch = atomic_load(epoch_of(g, key)), .era = atomic_load(era_of(g)), .asked_ms = lk__mono_ms(g)};
}

/* Take the copy out of the entry and leave the last-seen time. */
static void take_out(lk_guard *g, const uint8_t name[LK_TABLE_KEY_LEN])
{
    int64_t now_s = lk__table_s(g, lk_now_s(g->parts.env));
    for (unsigned round = 0; round < ROUNDS; round++) {
        uint8_t kind = 0;
        lk_entry entry;
        lk_status status = lk_table_get(g->parts.table, LK_ENTRY_NEAR, name, now_s, &kind, 1, &entry);
        if (status == LK_MISS || kind != LK_NEAR_COPY)
            return;
        status = lk_table_put_if(g->parts.table, LK_ENTRY_NEAR, name, entry.version, entry.expires_s,
                                 LK_VIEW("-"));
        if (status == LK_OK || status == LK_MISS)
            return;
        if (status != LK_STALE) /* no room even for less: then the entry goes as a whole */
            status = lk_table_drop(g->parts.table, LK_ENTRY_NEAR, name);
    }
    /* Somebody writes this entry without end: no copy at all is better than an old one. */
    lk__near_drop_all(g);
}

void lk__near_put(lk_guard *g, const lk_session *s, lk_view head, const lk__near_ticket *ticket)
{
    uint8_t name[LK_TABLE_KEY_LEN], value[LK_NEAR_FIXED + LK_HEAD_MAX];
    _Atomic uint64_t *epoch = epoch_of(g, &s->key);
    int64_t step_s = s->idle_s > 0 ? s->idle_s / 8 : 0;
    if (g->parts.settings->near_life_s == 0 || head.len > LK_HEAD_MAX || atomic_load(epoch) != ticket->epoch)
        return;
    lk__table_key_of(&s->key, name);
    write_fixed(LK_NEAR_COPY, LK_REASON_NONE, ticket->asked_ms, ticket->era, value);
    memcpy(value + LK_NEAR_FIXED, head.p, head.len);
    /* Another in its place, or no room: the store is asked next time, that is all. */
    (void)!lk_table_put(g->parts.table, LK_ENTRY_NEAR, name, 0,
                        lk__table_s(g, lk_session_ends_s(s) + step_s + 60),
                        lk_view_make(value, LK_NEAR_FIXED + head.len));
    if (atomic_load(epoch) != ticket->epoch)
        take_out(g, name);
}

void lk__near_drop(lk_guard *g, const lk_session_key *key)
{
    uint8_t name[LK_TABLE_KEY_LEN];
    lk__table_key_of(key, name);
    (void)atomic_fetch_add(epoch_of(g, key), 1);
    take_out(g, name);
    (void)atomic_fetch_add(epoch_of(g, key), 1); /* for lk__near_mark: now it is gone */
}

void lk__near_ended(lk_guard *g, const lk_session_key *key, lk_reason why)
{
    uint8_t name[LK_TABLE_KEY_LEN], value[LK_NEAR_FIXED];
    if (!g->store_is_remote)
        return;
    lk__table_key_of(key, name);
    (void)atomic_fetch_add(epoch_of(g, key), 1);
    write_fixed(LK_NEAR_ENDED, why, lk__mono_ms(g), atomic_load(era_of(g)), value);
    if (lk_table_put(g->parts.table, LK_ENTRY_NEAR, name, 0, lk__table_s(g, lk_now_s(g->parts.env) + ENDED_S),
                     lk_view_make(value, sizeof(value))) != LK_OK)
        take_out(g, name);
    (void)atomic_fetch_add(epoch_of(g, key), 1);
}

void lk__near_drop_all(lk_guard *g)
{
    (void)atomic_fetch_add(era_of(g), 1);
}
