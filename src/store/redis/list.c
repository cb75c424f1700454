/* SPDX-License-Identifier: Apache-2.0
 *
 * list.c - listing, a page at a time.
 *
 * The sessions of a user stand in an index, ordered by their public ids. The cursor is the first 8 characters
 * of the id that comes next, as a number, and a page only ends where those change.
 *
 * All sessions are found by SCAN, which may give one twice when the server resizes its table meanwhile. It
 * gives as many as it likes; what does not fit on a page is scanned again for the next one. So the cursor
 * holds three things: the node (8 bits), where SCAN goes on (40), and in what it gives there, ordered by key,
 * the first 2 bytes of the key that comes next (16).
 */
#include "store/pack.h"
#include "store/redis/redis_inner.h"
#include <stdlib.h>
#include <string.h>

#define CURSOR_CHARS 8
#define STEP 64      /* keys that SCAN is asked for */
#define STEPS_MAX 64 /* of SCAN for one page: on a server full of other things a page may come out empty */
#define SCAN_BITS 40

/* A page on its way to the caller. */
typedef struct page {
    lk__redis *r;
    lk_session_each each;
    void *context;
    bool is_user; /* of REALM, USER; else of all */
    lk_view realm, user;
    bool is_stopped;
} page;

/* An entry of an index may have outlived its session, and the key have gone to somebody else. */
static bool is_asked_for(const page *p, const lk_session *s)
{
    return !p->is_user || (lk_view_equal(s->realm, p->realm) && lk_view_equal(s->user, p->user));
}

/* Hand on what GETS found. *last is the last key that was looked at. */
static lk_status hand_on(page *p, const lk__redis_gets *gets, const lk_session_key *keys, size_t *looked_at)
{
    const lk_env *env = p->r->base.env;

    for (size_t i = 0; i < gets->n && !p->is_stopped; i++) {
        lk_view value;
        lk_reason why;
        lk_session s;
        lk_status status = lk__redis_value(env, gets->asks[i].reply, &value, &why);

        if (status == LK_FAULT)
            return LK_FAULT;
        ++*looked_at;
        value.len = status == LK_OK ? lk_record_head_len(value) : 0;
        if (value.len > 0 && lk__redis_session(env, value, &keys[i], &s) == LK_OK &&
            lk__session_is_listed(&s, lk_now_s(env)) && is_asked_for(p, &s))
            p->is_stopped = !p->each(p->context, &s);
    }
    return LK_OK;
}

/* Look KEYS up and hand them on, until EACH stops it. *looked_at counts. */
static lk_status show(page *p, const lk_session_key *keys, size_t n, size_t *looked_at)
{
    lk_status status = LK_OK;

    *looked_at = 0;
    for (size_t at = 0; at < n && status == LK_OK && !p->is_stopped; at += LK__REDIS_GETS_MAX) {
        lk__redis_gets gets;

        gets.n = 0;
        for (size_t i = at; i < n && gets.n < LK__REDIS_GETS_MAX; i++)
            lk__redis_gets_add(p->r, &gets, &keys[i]);
        status = lk__redis_run(p->r, gets.asks, gets.n, lk__redis_until(p->r), LK__REDIS_TWICE, NULL);
        if (status == LK_OK)
            status = hand_on(p, &gets, keys + at, looked_at);
        lk__redis_gets_free(&gets);
    }
    return status;
}

/* ---- one user ---- */

static uint64_t cursor_of(lk_view id)
{
    return lk__get64_ordered(id.p);
}

/* ZRANGEBYLEX index [from + LIMIT 0 n */
static lk_status read_index(lk__redis *r, lk_view index, uint64_t cursor, size_t n, lk__redis_ask *ask)
{
    uint8_t from[1 + CURSOR_CHARS] = "[";
    lk__redis_text limit = lk__redis_number((int64_t)n);
    const lk_view argv[7] = {LK_VIEW("ZRANGEBYLEX"),
                             index,
                             cursor > 0 ? lk_view_make(from, sizeof(from)) : LK_VIEW("-"),
                             LK_VIEW("+"),
                             LK_VIEW("LIMIT"),
                             LK_VIEW("0"),
                             lk__redis_view(&limit)};
    lk_status status;

    lk__put64_ordered(from + 1, cursor);
    *ask = (lk__redis_ask){.argv = argv, .argc = 7};
    status = lk__redis_run(r, ask, 1, lk__redis_until(r), LK__REDIS_TWICE, NULL);
    ask->argv = NULL;
    return status == LK_OK && ask->reply->type != REDIS_REPLY_ARRAY ? LK_FAULT : status;
}

/* The keys of the first entries of REPLY; at least MIN, and more while their cursors are alike. Entries that
 * are to be ended, or are none, are passed over. *taken: how many entries. */
static size_t take_entries(const redisReply *reply, size_t min, lk_session_key *keys, uint64_t *cursors,
                           size_t *taken)
{
    uint64_t last = 0;
    size_t n = 0, i;

    for (i = 0; i < reply->elements; i++) {
        lk_view entry = lk__redis_bytes(reply->element[i]);
        uint64_t cursor = entry.len >= CURSOR_CHARS ? cursor_of(entry) : 0;

        if (i >= min && cursor != last)
            break;
        last = cursor;
        if (entry.len >= LK__REDIS_ENTRY_LEN &&
            lk_public_id_read(lk_view_part(entry, 0, LK_PUBLIC_ID_LEN), &keys[n]) == LK_OK)
            cursors[n++] = cursor;
    }
    *taken = i;
    return n;
}

#define CHUNK 128    /* entries at a time */
#define ALIKE_MAX 64 /* more with one cursor than that are not found: ids are random */

/* One chunk of a page: at least MIN entries, if there are. *cursor goes on behind them, 0 at the end. */
static lk_status list_chunk(page *p, lk_view index, uint64_t *cursor, size_t min, size_t *visited)
{
    lk_session_key keys[CHUNK + ALIKE_MAX];
    uint64_t cursors[CHUNK + ALIKE_MAX];
    lk__redis_ask ask = {.argc = 0};
    size_t n, taken, looked_at;
    lk_status status = read_index(p->r, index, *cursor, min + ALIKE_MAX, &ask);

    if (status == LK_OK) {
        n = take_entries(ask.reply, min, keys, cursors, &taken);
        *visited += taken;
        *cursor = taken < ask.reply->elements ? cursor_of(lk__redis_bytes(ask.reply->element[taken])) : 0;
        if (taken == ask.reply->elements && taken == min + ALIKE_MAX)
            *cursor = cursors[n - 1] + 1;
        status = show(p, keys, n, &looked_at);
        if (status == LK_OK && p->is_stopped)
            *cursor = cursors[looked_at - 1] + 1;
    }
    lk__redis_asks_free(&ask, 1);
    return status;
}

lk_status lk__redis_list_by_user(lk_store *store, lk_view realm, lk_view user, uint64_t *cursor,
                                 uint32_t page_len, lk_session_each each, void *context)
{
    page p = {.r = (lk__redis *)store,
              .each = each,
              .context = context,
              .is_user = true,
              .realm = realm,
              .user = user};
    lk__redis_text index = lk__redis_user_key(p.r, realm, user);
    size_t visited = 0;
    lk_status status;

    do {
        size_t left = page_len - visited;

        status = list_chunk(&p, lk__redis_view(&index), cursor, left < CHUNK ? left : CHUNK, &visited);
    } while (status == LK_OK && *cursor != 0 && visited < page_len && !p.is_stopped);
    return status;
}

/* ---- everybody ---- */

static unsigned front_of(const lk_session_key *key)
{
    return (unsigned)key->bytes[0] << 8 | key->bytes[1];
}

static int by_key(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(lk_session_key));
}

typedef struct place {
    unsigned node;
    unsigned front;
    uint64_t scan;
} place;

static place place_of(uint64_t cursor)
{
    return (place){.node = (unsigned)(cursor >> 56),
                   .front = (unsigned)(cursor >> SCAN_BITS) & 0xffff,
                   .scan = cursor & ((UINT64_C(1) << SCAN_BITS) - 1)};
}

static uint64_t cursor_at(const place *at)
{
    return (uint64_t)at->node << 56 | (uint64_t)at->front << SCAN_BITS | at->scan;
}

/* The next node that keeps sessions, from AT on. False when there is none. */
static bool find_node(lk__redis *r, place *at)
{
    while (at->node < r->nodes_cap && !lk__redis_node_is_used(r, at->node))
        *at = (place){.node = at->node + 1};
    return at->node < r->nodes_cap;
}

/* Where a page of LEFT ends that starts at BEGIN: not between two keys that begin alike. */
static size_t page_end(const lk__redis_scanned *found, size_t begin, size_t left)
{
    size_t end = begin + left;

    if (found->n - begin <= left)
        return found->n;
    while (end > begin && front_of(&found->keys[end - 1]) == front_of(&found->keys[end]))
        end--;
    if (end > begin)
        return end;
    do /* nothing but such keys: then all of them */
        end++;
    while (end < found->n && front_of(&found->keys[end - 1]) == front_of(&found->keys[end]));
    return end;
}

/* One step of SCAN - always the same size, so that scanning again gives the same keys - and as much of it as
 * fits on the page. */
static lk_status list_step(page *p, place *at, uint32_t page_len, uint32_t *visited, lk__redis_scanned *found)
{
    uint64_t next = at->scan;
    size_t begin = 0, end, looked_at;
    lk_status status = lk__redis_scan_sessions(p->r, at->node, &next, STEP, found, lk__redis_until(p->r));

    if (status != LK_OK || next >> SCAN_BITS != 0) /* a table of more than 2^40 buckets */
        return LK_FAULT;
    qsort(found->keys, found->n, sizeof(found->keys[0]), by_key);
    while (begin < found->n && front_of(&found->keys[begin]) < at->front)
        begin++;
    end = page_end(found, begin, page_len - *visited);
    status = show(p, found->keys + begin, end - begin, &looked_at);
    *visited += (uint32_t)looked_at;
    if (begin + looked_at < found->n)
        at->front = front_of(&found->keys[begin + looked_at]);
    else
        *at = next != 0 ? (place){.node = at->node, .scan = next} : (place){.node = at->node + 1};
    return status;
}

lk_status lk__redis_list(lk_store *store, uint64_t *cursor, uint32_t page_len, lk_session_each each,
                         void *context)
{
    page p = {.r = (lk__redis *)store, .each = each, .context = context};
    place at = place_of(*cursor);
    lk__redis_scanned *found = lk_alloc(store->env, sizeof(*found));
    uint32_t visited = 0;
    bool is_more = found != NULL;
    lk_status status = is_more ? LK_OK : LK_FAULT;

    for (unsigned step = 0; step < STEPS_MAX && visited < page_len && status == LK_OK && !p.is_stopped;
         step++) {
        is_more = find_node(p.r, &at);
        if (!is_more)
            break;
        status = list_step(&p, &at, page_len, &visited, found);
    }
    if (status == LK_OK)
        *cursor = find_node(p.r, &at) ? cursor_at(&at) : 0;
    lk_free(store->env, found);
    return status;
}
