/* SPDX-License-Identifier: Apache-2.0
 *
 * events.c - the ordered stream: cut-offs, and sessions that were ended or replaced.
 *
 * Two Redis streams, both numbered by event: one with every event, trimmed after ten minutes, and one with
 * the cut-offs alone, which stay until their end. Who begins reads the cut-offs up to the newest event there
 * is (the snapshot) and goes on with the events behind that one.
 *
 * Who goes on after event N must find N still there and with the mark it had: a server that lost its tail in
 * a failover, or came back from a backup, hands out the same numbers again for other events. The handle
 * remembers the marks of the last few positions it handed out.
 */
#include "store/redis/redis_inner.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One entry of a stream. */
typedef struct row {
    uint64_t seq;
    char kind; /* 'c' or 's' */
    uint8_t mark[LK__REDIS_MARK_LEN];
    lk_view bytes;
} row;

/* LK_OK, or LK_FAULT for an entry that this program cannot understand: it may revoke something. */
static lk_status read_row(const redisReply *reply, row *out)
{
    lk_view kind, value;

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2 ||
        reply->element[1]->type != REDIS_REPLY_ARRAY || reply->element[1]->elements != 2)
        return LK_FAULT;
    kind = lk__redis_bytes(reply->element[1]->element[0]);
    value = lk__redis_bytes(reply->element[1]->element[1]);
    if (kind.len != 1 || value.len < LK__REDIS_STAMP_LEN || lk__redis_bytes(reply->element[0]).len == 0)
        return LK_FAULT;
    out->seq = strtoull(reply->element[0]->str, NULL, 10);
    out->kind = (char)kind.p[0];
    memcpy(out->mark, value.p, LK__REDIS_MARK_LEN);
    out->bytes = lk_view_part(value, LK__REDIS_STAMP_LEN, value.len);
    return LK_OK;
}

static lk_status read_event(const row *from, lk_event *out)
{
    memset(out, 0, sizeof(*out));
    out->seq = from->seq;
    if (from->kind == 's') {
        out->kind = LK_EVENT_SESSION;
        return lk_public_id_read(from->bytes, &out->key) == LK_OK ? LK_OK : LK_FAULT;
    }
    out->kind = LK_EVENT_CUTOFF;
    if (from->kind != 'c' || lk__cutoff_read(from->bytes, &out->cutoff) != LK_OK)
        return LK_FAULT;
    out->cutoff.seq = from->seq;
    return LK_OK;
}

/* ---- positions ---- */

static bool recall(lk__redis *r, uint64_t after, lk__redis_place *out)
{
    bool is_known = false;

    pthread_mutex_lock(&r->lock);
    for (unsigned i = 0; i < LK__REDIS_PLACES && !is_known; i++) {
        *out = r->places[(r->places_at + LK__REDIS_PLACES - i) % LK__REDIS_PLACES];
        is_known = out->seq == after;
    }
    pthread_mutex_unlock(&r->lock);
    return is_known;
}

static void remember(lk__redis *r, const lk__redis_place *place)
{
    pthread_mutex_lock(&r->lock);
    r->places_at = (r->places_at + 1) % LK__REDIS_PLACES;
    r->places[r->places_at] = *place;
    pthread_mutex_unlock(&r->lock);
}

/* ---- reading ---- */

/* XRANGE key from + COUNT n */
typedef struct range {
    lk__redis_text key, from, count;
    lk_view argv[6];
} range;

static void prepare(lk__redis *r, range *x, const char *which, uint64_t from, size_t count,
                    lk__redis_ask *ask)
{
    x->key = lk__redis_event_key(r, which);
    x->from.len =
        (size_t)snprintf((char *)x->from.bytes, sizeof(x->from.bytes), "%llu-0", (unsigned long long)from);
    x->count = lk__redis_number((int64_t)count);
    x->argv[0] = LK_VIEW("XRANGE");
    x->argv[1] = lk__redis_view(&x->key);
    x->argv[2] = lk__redis_view(&x->from);
    x->argv[3] = LK_VIEW("+");
    x->argv[4] = LK_VIEW("COUNT");
    x->argv[5] = lk__redis_view(&x->count);
    *ask = (lk__redis_ask){.argv = x->argv, .argc = 6};
}

/* Where a reader stands, and what it has got. */
typedef struct reading {
    lk_event *out;
    size_t n, cap;
    int64_t now_s;
    lk__redis_place last; /* of out[n - 1] */
} reading;

static lk_status take_row(reading *w, const row *from)
{
    lk_status status = read_event(from, &w->out[w->n]);

    if (status != LK_OK)
        return status;
    w->n++;
    w->last.seq = from->seq;
    memcpy(w->last.mark, from->mark, sizeof(from->mark));
    return LK_OK;
}

/* Events of REPLY behind event number AFTER, which must be its first row and have MARK (NULL: any). */
static lk_status take_events(reading *w, const redisReply *reply, uint64_t after, const uint8_t *mark)
{
    row one;

    if (reply->type != REDIS_REPLY_ARRAY)
        return LK_FAULT;
    if (reply->elements == 0)
        return LK_STALE;
    if (read_row(reply->element[0], &one) != LK_OK)
        return LK_FAULT;
    if (one.seq != after || (mark != NULL && memcmp(one.mark, mark, sizeof(one.mark)) != 0))
        return LK_STALE;
    for (size_t i = 1; i < reply->elements && w->n < w->cap; i++) {
        if (read_row(reply->element[i], &one) != LK_OK || take_row(w, &one) != LK_OK)
            return LK_FAULT;
        w->last.goes_on = 0; /* past the snapshot, if it was one */
    }
    return LK_OK;
}

/* Cut-offs of REPLY up to number UP_TO, but those past their end. *seen: the last one looked at. *is_end:
 * there is none behind it. */
static lk_status take_cutoffs(reading *w, const redisReply *reply, size_t asked, uint64_t up_to,
                              uint64_t *seen, bool *is_end)
{
    if (reply->type != REDIS_REPLY_ARRAY)
        return LK_FAULT;
    *is_end = reply->elements < asked;
    for (size_t i = 0; i < reply->elements; i++) {
        const lk_event *event = &w->out[w->n];
        lk__redis_place before;
        row one;

        if (read_row(reply->element[i], &one) != LK_OK)
            return LK_FAULT;
        *is_end = *is_end || one.seq > up_to;
        if (one.seq > up_to)
            break;
        before = w->last;
        if (take_row(w, &one) != LK_OK)
            return LK_FAULT;
        *seen = one.seq;
        if (event->cutoff.until_s <= w->now_s) {
            w->n--;
            w->last = before;
        }
    }
    return LK_OK;
}

static lk_status read_on(lk__redis *r, const lk__redis_place *place, bool is_known, reading *w)
{
    range x;
    lk__redis_ask ask;
    lk_status status;

    prepare(r, &x, "", place->seq, w->cap - w->n + 1, &ask);
    status = lk__redis_run(r, &ask, 1, lk__redis_until(r), LK__REDIS_TWICE, NULL);
    if (status == LK_OK)
        status = take_events(w, ask.reply, place->seq, is_known ? place->mark : NULL);
    lk__redis_asks_free(&ask, 1);
    return status;
}

/* Where a snapshot goes on: the newest event there is now. It is looked up before the cut-offs: what comes in
 * between is left for the stream to tell. */
static lk_status begin_snapshot(lk__redis *r, lk__redis_place *place)
{
    lk__redis_text stream = lk__redis_event_key(r, "");
    const lk_view argv[6] = {LK_VIEW("XREVRANGE"), lk__redis_view(&stream), LK_VIEW("+"),
                             LK_VIEW("-"),         LK_VIEW("COUNT"),        LK_VIEW("1")};
    lk__redis_ask ask = {.argv = argv, .argc = 6};
    row newest = {.seq = 0};
    lk_status status = lk__redis_run(r, &ask, 1, lk__redis_until(r), LK__REDIS_TWICE, NULL);

    if (status == LK_OK && ask.reply->type != REDIS_REPLY_ARRAY)
        status = LK_FAULT;
    if (status == LK_OK && ask.reply->elements > 0)
        status = read_row(ask.reply->element[0], &newest);
    lk__redis_asks_free(&ask, 1);
    *place = (lk__redis_place){.goes_on = newest.seq};
    memcpy(place->goes_on_mark, newest.mark, sizeof(newest.mark));
    return status;
}

/* Cut-offs behind *seen, as many as there is room for. */
static lk_status read_cutoffs(lk__redis *r, reading *w, uint64_t up_to, uint64_t *seen, bool *is_end)
{
    range x;
    lk__redis_ask ask;
    size_t left = w->cap - w->n;
    lk_status status;

    prepare(r, &x, ":cutoffs", *seen + 1, left, &ask);
    status = lk__redis_run(r, &ask, 1, lk__redis_until(r), LK__REDIS_TWICE, NULL);
    if (status == LK_OK)
        status = take_cutoffs(w, ask.reply, left, up_to, seen, is_end);
    lk__redis_asks_free(&ask, 1);
    return status;
}

/* A page of a snapshot: cut-offs, and when there are no more of them, the events behind it. */
static lk_status read_snapshot(lk__redis *r, const lk__redis_place *place, reading *w)
{
    uint64_t seen = place->seq, up_to = place->goes_on > 0 ? place->goes_on : UINT64_MAX;
    lk__redis_place behind = {.seq = place->goes_on};
    bool is_end = false;
    lk_status status = LK_OK;

    w->last = *place;
    while (status == LK_OK && !is_end && w->n < w->cap)
        status = read_cutoffs(r, w, up_to, &seen, &is_end);
    if (status != LK_OK || !is_end || w->n == w->cap || place->goes_on == 0)
        return status;
    memcpy(behind.mark, place->goes_on_mark, sizeof(behind.mark));
    return read_on(r, &behind, true, w);
}

lk_status lk__redis_events_since(lk_store *store, uint64_t after, lk_event *out, size_t *n)
{
    lk__redis *r = (lk__redis *)store;
    reading w = {.out = out, .cap = *n, .now_s = lk_now_s(store->env)};
    lk__redis_place place;
    bool is_known = after > 0 && recall(r, after, &place);
    lk_status status;

    *n = 0;
    if (w.cap == 0)
        return LK_OK;
    if (!is_known)
        place = (lk__redis_place){.seq = after};
    status = after == 0 ? begin_snapshot(r, &place) : LK_OK;
    if (status == LK_OK)
        status =
            place.goes_on > 0 || after == 0 ? read_snapshot(r, &place, &w) : read_on(r, &place, is_known, &w);
    if (status != LK_OK)
        return status;
    if (w.n > 0)
        remember(r, &w.last);
    *n = w.n;
    return LK_OK;
}

lk_status lk__redis_event_seq(lk_store *store, uint64_t *seq)
{
    lk__redis *r = (lk__redis *)store;
    lk__redis_text key = lk__redis_event_key(r, ":seq");
    const lk_view argv[2] = {LK_VIEW("GET"), lk__redis_view(&key)};
    lk__redis_ask ask = {.argv = argv, .argc = 2};
    int64_t newest = 0;
    lk_status status = lk__redis_run(r, &ask, 1, lk__redis_until(r), LK__REDIS_TWICE, NULL);

    if (status == LK_OK && ask.reply->type != REDIS_REPLY_NIL &&
        (lk_parse_i64(lk__redis_bytes(ask.reply), &newest) != LK_OK))
        status = LK_FAULT;
    lk__redis_asks_free(&ask, 1);
    if (status == LK_OK)
        *seq = (uint64_t)newest;
    return status;
}

/* ---- appending ---- */

lk_status lk__redis_cutoff_append(lk_store *store, lk_cutoff *c)
{
    lk__redis *r = (lk__redis *)store;
    uint8_t room[LK_CUTOFF_BYTES_MAX];
    lk_buf bytes = lk_buf_over(room, sizeof(room));
    lk__redis_text stream = lk__redis_event_key(r, ""), counter = lk__redis_event_key(r, ":seq"),
                   cutoffs = lk__redis_event_key(r, ":cutoffs"), ends = lk__redis_event_key(r, ":until"),
                   stamp, until = lk__redis_number(c->until_s);
    lk_view argv[8] = {lk__redis_view(&stream), lk__redis_view(&counter), lk__redis_view(&cutoffs),
                       lk__redis_view(&ends)};
    lk__redis_ask ask = {.script = &lk__redis_lua_event, .argv = argv, .argc = 8, .keys_n = 4};
    bool is_kept;
    lk_status status = lk__cutoff_write(c, &bytes);

    c->seq = 0;
    if (status == LK_OK)
        status = lk__redis_stamp(store->env, &stamp);
    if (status != LK_OK)
        return status;
    argv[4] = lk__redis_view(&stamp);
    argv[5] = LK_VIEW("c");
    argv[6] = lk_buf_view(&bytes);
    argv[7] = lk__redis_view(&until);
    /* Sent twice it is in the stream twice, and revokes the same. */
    status = lk__redis_run(r, &ask, 1, lk__redis_until(r), LK__REDIS_TWICE | LK__REDIS_KEPT, &is_kept);
    if (status == LK_OK)
        status = lk__redis_status(ask.reply);
    if (status == LK_OK &&
        (!is_kept || ask.reply->type != REDIS_REPLY_INTEGER)) /* a failover could undo it */
        status = LK_FAULT;
    if (status == LK_OK)
        c->seq = (uint64_t)ask.reply->integer;
    lk__redis_asks_free(&ask, 1);
    return status;
}
