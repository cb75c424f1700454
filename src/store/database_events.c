/* SPDX-License-Identifier: Apache-2.0
 *
 * database_events.c - the ordered stream: cut-offs, and word of sessions that ended or were replaced.
 *
 * Numbers are taken from the one row of latchkey_stream as the last step of a transaction. Its lock is held
 * to the commit, so that numbers have the order of the commits and none is left out: who sees an event sees
 * all before it.
 *
 * Each event carries a random mark. A handle remembers the marks of the last events it handed out; if the
 * database has another event under that number, or none, it is not the stream that was read before: a
 * failover lost its tail, or a backup was restored.
 */
#include "store/database.h"
#include "store/pack.h"
#include <string.h>
#include <time.h>

#define LOOK_MS 250 /* a notification may be lost: look by oneself that often */

/* ---- where this handle has been ---- */

static void remember(lk__db *db, uint64_t seq, int64_t mark)
{
    lk__db_place *place = NULL;

    pthread_mutex_lock(&db->places_lock);
    for (unsigned i = 0; i < LK__DB_PLACES; i++)
        if (db->places[i].seq == seq)
            place = &db->places[i];
    if (place == NULL)
        place = &db->places[db->next_place++ % LK__DB_PLACES];
    *place = (lk__db_place){seq, mark};
    pthread_mutex_unlock(&db->places_lock);
}

/* Is the event with that number the one that was handed out? Of one that was not it is believed. */
static bool is_same_stream(lk__db *db, uint64_t seq, int64_t mark)
{
    bool is_same = true;

    pthread_mutex_lock(&db->places_lock);
    for (unsigned i = 0; i < LK__DB_PLACES; i++)
        if (db->places[i].seq == seq && db->places[i].mark != mark)
            is_same = false;
    if (!is_same) /* from now on it is another one */
        memset(db->places, 0, sizeof(db->places));
    pthread_mutex_unlock(&db->places_lock);
    return is_same;
}

lk_status lk__db_newest(lk_sql_link *link, lk__db_place *out)
{
    static const char text[] = "SELECT s.seq, COALESCE(e.mark, 0) FROM latchkey_stream AS s"
                               " LEFT JOIN latchkey_event AS e ON e.seq = s.seq WHERE s.one = 1";
    lk_sql_query *q;
    lk_status status = lk_sql_prepare(link, text, &q);

    *out = (lk__db_place){0};
    if (status == LK_OK)
        status = lk_sql_step(q);
    if (status != LK_OK)
        return LK_FAULT; /* the row was made with the table */
    *out = (lk__db_place){(uint64_t)lk_sql_i64(q, 0), lk_sql_i64(q, 1)};
    lk_sql_reset(q);
    return LK_OK;
}

lk_status lk__db_event_seq(lk_store *store, uint64_t *seq)
{
    lk__db *db = lk__db_of(store);
    lk__db_place newest;
    lk_sql_link *link;
    lk_status status = lk_sql_borrow(db->sql, &link, NULL);

    if (status != LK_OK)
        return LK_FAULT;
    status = lk__db_newest(link, &newest);
    lk_sql_give_back(link);
    if (status != LK_OK)
        return LK_FAULT;
    remember(db, newest.seq, newest.mark);
    *seq = newest.seq;
    return LK_OK;
}

/* ---- writing ---- */

/* EVENT as the bytes of its row, and until when it is kept. */
static lk_status encode(const lk__db_event *event, int64_t now_s, lk_buf *out, int64_t *due_s)
{
    *due_s = now_s + LK__DB_EVENT_S;
    switch (event->kind) {
    case LK__DB_CUTOFF:
        if (event->cutoff->until_s > *due_s)
            *due_s = event->cutoff->until_s;
        return lk__cutoff_write(event->cutoff, out);
    case LK__DB_ENDED:
        lk_buf_add(out, lk__db_id(&event->id));
        return lk_buf_status(out);
    }
    return LK_FAULT;
}

/* Write number BACK from the last: the stream has counted them all by now. */
static lk_status insert(lk__db_tx *tx, const lk__db_event *event, size_t back)
{
    static const char text[] = "INSERT INTO latchkey_event (seq, mark, due, kind, bytes)"
                               " SELECT seq - ?, ?, ?, ?, ? FROM latchkey_stream WHERE one = 1";
    uint8_t room[LK_CUTOFF_BYTES_MAX];
    lk_buf bytes = lk_buf_over(room, sizeof(room));
    const lk_env *env = tx->db->base.env;
    int64_t due_s = 0, mark = 0;
    lk_status status = encode(event, lk_now_s(env), &bytes, &due_s);

    if (status == LK_OK)
        status = lk_random(env, &mark, sizeof(mark));
    if (status != LK_OK)
        return status;
    return lk_sql_do(tx->link, text,
                     LK_SQL_VALUES(lk_sql_of_i64((int64_t)back), lk_sql_of_i64(mark),
                                   lk_sql_of_i64(lk__db_time(due_s)), lk_sql_of_i64(event->kind),
                                   lk_sql_of_bytes(lk_buf_view(&bytes))),
                     NULL);
}

lk_status lk__db_events_write(lk__db_tx *tx)
{
    static const char count[] = "UPDATE latchkey_stream SET seq = seq + ? WHERE one = 1";
    lk__db_place newest;
    uint64_t counted = 0;
    lk_status status;

    if (tx->events_n == 0)
        return LK_OK;
    status = lk_sql_do(tx->link, count, LK_SQL_VALUES(lk_sql_of_i64((int64_t)tx->events_n)), &counted);
    if (status == LK_OK && counted != 1)
        status = LK_FAULT;
    for (size_t i = 0; i < tx->events_n && status == LK_OK; i++)
        status = insert(tx, &tx->events[i], tx->events_n - 1 - i);
    if (status == LK_OK && tx->wants_seq) {
        status = lk__db_newest(tx->link, &newest);
        tx->last_seq = newest.seq;
    }
    return status;
}

static lk_status append_work(lk__db_tx *tx, void *argument)
{
    tx->wants_seq = true;
    return lk__db_tell(tx, (lk__db_event){.kind = LK__DB_CUTOFF, .cutoff = argument});
}

lk_status lk__db_cutoff_append(lk_store *store, lk_cutoff *c)
{
    uint64_t seq = 0;
    lk_status status = lk__db_write(lk__db_of(store), LK_SQL_DURABLE, append_work, c, &seq);

    c->seq = status == LK_OK ? seq : 0;
    return status;
}

/* ---- reading ---- */

/* The event that Q is at. LK_FAULT for one that this program cannot understand: to overlook a revocation
 * would let somebody back in. */
static lk_status read_event(lk_sql_query *q, lk_event *out)
{
    lk_view bytes = lk_sql_bytes(q, 3);

    *out = (lk_event){.seq = (uint64_t)lk_sql_i64(q, 0)};
    switch (lk_sql_i64(q, 2)) {
    case 1:
        out->kind = LK_EVENT_CUTOFF;
        if (lk__cutoff_read(bytes, &out->cutoff) != LK_OK)
            return LK_FAULT;
        out->cutoff.seq = out->seq;
        return LK_OK;
    case 2:
        out->kind = LK_EVENT_SESSION;
        if (bytes.len != sizeof(out->key.bytes))
            return LK_FAULT;
        memcpy(out->key.bytes, bytes.p, bytes.len);
        return LK_OK;
    default: /* numbers of another program, not an enumeration of ours */
        return LK_FAULT;
    }
}

/* Up to CAP cut-offs that are kept, from *AFTER on, those past their end left out. LK_MISS: no more. */
static lk_status read_cutoffs(lk__db *db, lk_sql_link *link, uint64_t *after, lk_event *out, size_t cap,
                              size_t *n)
{
    static const char text[] = "SELECT seq, mark, kind, bytes FROM latchkey_event"
                               " WHERE seq > ? AND kind = 1 AND due > ? ORDER BY seq LIMIT ?";
    int64_t now_s = lk_now_s(db->base.env), mark = 0;
    lk_sql_query *q;
    size_t rows = 0;
    lk_status status =
        lk_sql_ask(link, text,
                   LK_SQL_VALUES(lk_sql_of_i64((int64_t)*after), lk_sql_of_i64(lk__db_time(now_s)),
                                 lk_sql_of_i64((int64_t)cap)),
                   &q);

    *n = 0;
    while (status == LK_OK && (status = lk_sql_step(q)) == LK_OK) {
        rows++;
        mark = lk_sql_i64(q, 1);
        status = read_event(q, &out[*n]);
        *after = out[*n].seq;
        *n += out[*n].cutoff.until_s > now_s;
    }
    if (*n > 0 && out[*n - 1].seq == *after)
        remember(db, *after, mark);
    return status == LK_MISS && rows == cap ? LK_OK : status;
}

/* Every cut-off that is not past its end. */
static lk_status read_snapshot(lk__db *db, lk_sql_link *link, lk_event *out, size_t cap, size_t *n)
{
    uint64_t after = 0;
    lk_status status = LK_OK;

    while (status == LK_OK && *n < cap) {
        size_t more = 0;

        status = read_cutoffs(db, link, &after, out + *n, cap - *n, &more);
        *n += more;
    }
    return status == LK_MISS ? LK_OK : status;
}

/* What comes after AFTER, which must be there itself. */
static lk_status read_on(lk__db *db, lk_sql_link *link, uint64_t after, lk_event *out, size_t cap, size_t *n)
{
    static const char text[] = "SELECT seq, mark, kind, bytes FROM latchkey_event WHERE seq >= ?"
                               " ORDER BY seq LIMIT ?";
    int64_t mark = 0;
    lk_sql_query *q;
    lk_status status = lk_sql_ask(
        link, text, LK_SQL_VALUES(lk_sql_of_i64((int64_t)after), lk_sql_of_i64((int64_t)cap + 1)), &q);

    if (status == LK_OK)
        status = lk_sql_step(q);
    if (status == LK_MISS || (status == LK_OK && ((uint64_t)lk_sql_i64(q, 0) != after ||
                                                  !is_same_stream(db, after, lk_sql_i64(q, 1)))))
        return LK_STALE;
    while (status == LK_OK && *n < cap && (status = lk_sql_step(q)) == LK_OK) {
        mark = lk_sql_i64(q, 1);
        status = read_event(q, &out[*n]);
        *n += status == LK_OK;
    }
    if (*n > 0)
        remember(db, out[*n - 1].seq, mark);
    return status == LK_MISS ? LK_OK : status;
}

lk_status lk__db_events_since(lk_store *store, uint64_t after, lk_event *out, size_t *n)
{
    lk__db *db = lk__db_of(store);
    size_t cap = *n;
    lk_sql_link *link;
    lk_status status;

    *n = 0;
    if (after > INT64_MAX)
        return LK_STALE;
    status = lk_sql_borrow(db->sql, &link, NULL);
    if (status != LK_OK)
        return LK_FAULT;
    status = after == 0 ? read_snapshot(db, link, out, cap, n) : read_on(db, link, after, out, cap, n);
    lk_sql_give_back(link);
    return status == LK_OK || status == LK_STALE ? status : LK_FAULT;
}

/* ---- waiting ---- */

static int64_t clock_ms(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t); /* waiting takes its time, whatever the clock of lk_env is told */
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static lk_status wait_on(lk_sql_link *link, uint64_t after, int64_t until_ms)
{
    for (;;) {
        int64_t left_ms = until_ms - clock_ms();
        lk__db_place newest;
        lk_status status = lk__db_newest(link, &newest);

        if (status != LK_OK || newest.seq > after || left_ms <= 0)
            return status;
        status = lk_sql_wait(link, (uint32_t)(left_ms < LOOK_MS ? left_ms : LOOK_MS));
        if (status != LK_OK && status != LK_MISS)
            return LK_FAULT;
    }
}

lk_status lk__db_events_wait(lk_store *store, uint64_t after, uint32_t wait_ms)
{
    int64_t until_ms = clock_ms() + wait_ms;
    lk_sql_link *link;
    lk_status status = lk_sql_borrow_listener(lk__db_of(store)->sql, "latchkey", &link, NULL);

    if (status != LK_OK)
        return LK_FAULT;
    status = wait_on(link, after, until_ms);
    lk_sql_give_back(link);
    return status;
}
