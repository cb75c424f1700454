/* SPDX-License-Identifier: Apache-2.0
 *
 * run.c - commands to where they belong, and their answers back.
 *
 * A run sends everything to every server that has a part in it before it reads the first answer. Answers of
 * one connection come in the order of its commands. What a server refuses in a way that can be cured - it
 * does not know the script, the slot lies elsewhere, it is a primary no more - is sent again in another
 * round. What may have been done already is only sent again when that does no harm.
 *
 * A server acknowledges before its replicas have it. Where that is not enough (LK__REDIS_KEPT) the same
 * connection asks how many replicas there are and WAITs for them.
 */
#include "store/redis/redis_inner.h"
#include <stdio.h>
#include <string.h>

#define ROUNDS_MAX 8

/* One round: the connections of it, by node. */
typedef struct round_trip {
    lk__redis *r;
    lk__redis_ask *asks;
    size_t n;
    int64_t until_ms;
    unsigned flags;
    bool is_kept;
    bool was_lost; /* a connection was lost, or none could be had */
    bool is_short; /* of memory: trying again is no use */
    unsigned nodes_n;
    lk__redis_link *links[LK__REDIS_NODES_MAX];
    uint32_t texts[LK__REDIS_NODES_MAX]; /* the scripts whose text was sent */
    bool is_wanted[LK__REDIS_NODES_MAX];
    bool is_done[LK__REDIS_NODES_MAX]; /* something was */
} round_trip;

int64_t lk__redis_until(const lk__redis *r)
{
    return lk__redis_now_ms() + r->config.deadline_ms;
}

lk_view lk__redis_bytes(const redisReply *reply)
{
    if (reply == NULL || (reply->type != REDIS_REPLY_STRING && reply->type != REDIS_REPLY_STATUS))
        return (lk_view){0};
    return lk_view_make(reply->str, (size_t)reply->len);
}

bool lk__redis_is_error(const redisReply *reply, const char *word)
{
    size_t len = strlen(word);

    return reply != NULL && reply->type == REDIS_REPLY_ERROR && reply->str != NULL &&
           strncmp(reply->str, word, len) == 0 && (reply->str[len] == ' ' || reply->str[len] == '\0');
}

lk_status lk__redis_status(const redisReply *reply)
{
    if (reply == NULL)
        return LK_FAULT;
    if (reply->type != REDIS_REPLY_ERROR)
        return LK_OK;
    /* Inside a script the word may stand further on: "ERR ... -OOM command not allowed ...". */
    return strstr(reply->str, "OOM command not allowed") != NULL ? LK_FULL : LK_FAULT;
}

lk_view lk__redis_info(const redisReply *reply, const char *name)
{
    lk_view all = lk__redis_bytes(reply);
    size_t len = strlen(name);

    while (all.len > 0) {
        size_t end = lk_view_find(all, '\n');
        lk_view line = lk_view_part(all, 0, end);

        if (line.len > len && line.p[len] == ':' && memcmp(line.p, name, len) == 0) {
            lk_view value = lk_view_part(line, len + 1, line.len);

            return lk_view_part(value, 0, lk_view_find(value, '\r'));
        }
        all = lk_view_part(all, end + 1, all.len);
    }
    return (lk_view){0};
}

void lk__redis_asks_free(lk__redis_ask *asks, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (asks[i].reply != NULL)
            freeReplyObject(asks[i].reply);
        asks[i].reply = NULL;
    }
}

/* ---- sending ---- */

/* Where ASK goes, unless it was told. LK__REDIS_NODES_MAX: nobody knows. */
static unsigned route(const round_trip *t, const lk__redis_ask *ask)
{
    if (ask->has_node || ask->is_asking)
        return ask->node;
    return t->r->slots == NULL ? 0 : t->r->slots[lk__redis_slot_of(ask->argv[ask->script != NULL ? 0 : 1])];
}

static void route_all(round_trip *t)
{
    pthread_mutex_lock(&t->r->lock);
    t->nodes_n = t->r->nodes_n;
    for (size_t i = 0; i < t->n; i++) {
        lk__redis_ask *ask = &t->asks[i];

        ask->is_sent = false;
        if (ask->is_final)
            continue;
        ask->node = route(t, ask);
        if (ask->node < t->nodes_n)
            t->is_wanted[ask->node] = true;
        else
            t->was_lost = true;
    }
    pthread_mutex_unlock(&t->r->lock);
}

/* Always in the order of the nodes: two threads never wait for each other's connections. */
static void lend_all(round_trip *t)
{
    for (unsigned node = 0; node < t->nodes_n; node++) {
        t->links[node] = NULL;
        t->texts[node] = 0;
        if (t->is_wanted[node]) {
            lk_status status = lk__redis_lend(t->r, node, t->until_ms, &t->links[node], NULL);

            t->was_lost = t->was_lost || status != LK_OK;
            t->is_short = t->is_short || status == LK_FULL;
        }
    }
}

#define ARGS_MAX 128

static void add_script(round_trip *t, lk__redis_link *link, const lk__redis_ask *ask)
{
    const lk__redis_script *script = ask->script;
    uint32_t bit = UINT32_C(1) << script->number;
    bool by_text = ask->by_text && (t->texts[ask->node] & bit) == 0;
    lk_view argv[ARGS_MAX + 3];
    char keys_n[12];
    int len = snprintf(keys_n, sizeof(keys_n), "%u", ask->keys_n);

    if (by_text) /* once is enough: those behind it on this connection find it there */
        t->texts[ask->node] |= bit;
    argv[0] = by_text ? LK_VIEW("EVAL") : LK_VIEW("EVALSHA");
    argv[1] = by_text ? lk_view_make(script->text, script->len) : lk_view_make(script->sha, 40);
    argv[2] = lk_view_make(keys_n, (size_t)len);
    memcpy(argv + 3, ask->argv, ask->argc * sizeof(argv[0]));
    lk__redis_link_add(link, argv, ask->argc + 3);
}

static void send_all(round_trip *t)
{
    for (size_t i = 0; i < t->n; i++) {
        lk__redis_ask *ask = &t->asks[i];
        lk__redis_link *link = ask->is_final || ask->node >= t->nodes_n ? NULL : t->links[ask->node];

        if (link == NULL)
            continue;
        if (ask->is_asking)
            lk__redis_link_add_words(link, "ASKING");
        if (ask->script != NULL)
            add_script(t, link, ask);
        else
            lk__redis_link_add(link, ask->argv, ask->argc);
        ask->is_sent = true;
    }
    for (unsigned node = 0; node < t->nodes_n; node++) {
        lk__redis_link *link = t->links[node];

        if (link == NULL)
            continue;
        if ((t->flags & LK__REDIS_KEPT) != 0)
            lk__redis_link_add_words(link, "INFO replication");
        if (lk__redis_link_flush(link, t->until_ms) != LK_OK)
            t->was_lost = true;
    }
}

/* ---- reading ---- */

/* Before 7.0 the word stands inside the answer of a script. */
static bool is_readonly(const redisReply *reply)
{
    return lk__redis_is_error(reply, "READONLY") ||
           (reply->type == REDIS_REPLY_ERROR && strstr(reply->str, "-READONLY ") != NULL);
}

/* Is REPLY the answer to ASK? If it can be cured, it is not: nothing was done, and ASK is made ready for
 * another round. */
static bool settle(round_trip *t, lk__redis_ask *ask, const redisReply *reply)
{
    bool is_moved = lk__redis_is_error(reply, "MOVED");

    ask->is_asking = false;
    if (lk__redis_is_error(reply, "NOSCRIPT") && !ask->by_text) {
        ask->by_text = true;
        ask->is_sent = false;
        return false;
    }
    if (t->r->slots != NULL && !ask->has_node && (is_moved || lk__redis_is_error(reply, "ASK"))) {
        ask->node = lk__redis_moved(t->r, ask->node, reply->str);
        ask->is_asking = !is_moved && ask->node < LK__REDIS_NODES_MAX;
        ask->is_sent = false;
        return false;
    }
    if (t->r->config.kind != LK__REDIS_SINGLE && is_readonly(reply)) {
        t->was_lost = true;
        ask->is_sent = false;
        return false;
    }
    if (lk__redis_is_error(reply, "CLUSTERDOWN"))
        atomic_store(&t->r->wants_map, true);
    return true;
}

static void read_one(round_trip *t, lk__redis_ask *ask)
{
    lk__redis_link *link = t->links[ask->node];
    redisReply *reply;

    if (ask->is_asking) {
        if (lk__redis_link_read(link, t->until_ms, &reply) == LK_OK)
            freeReplyObject(reply);
    }
    if (lk__redis_link_read(link, t->until_ms, &reply) != LK_OK) {
        t->was_lost = true;
        return;
    }
    if (settle(t, ask, reply)) {
        ask->reply = reply;
        ask->is_final = true;
        t->is_done[ask->node] = true;
        return;
    }
    freeReplyObject(reply);
}

/* How many replicas must have what went over LINK? Its next answer is that to INFO replication. */
static uint32_t replicas_wanted(round_trip *t, lk__redis_link *link)
{
    redisReply *reply;
    int64_t connected = 0;

    if (lk__redis_link_read(link, t->until_ms, &reply) != LK_OK)
        return UINT32_MAX;
    if (lk_parse_i64(lk__redis_info(reply, "connected_slaves"), &connected) != LK_OK)
        connected = 0;
    freeReplyObject(reply);
    if (t->r->config.wait_for != LK__REDIS_WAIT_AUTO)
        return t->r->config.wait_for;
    return connected > 0 ? 1 : 0;
}

/* WAIT on the connection to NODE. Gives how many replicas must answer to that, 0 for none. */
static uint32_t send_wait(round_trip *t, unsigned node)
{
    int64_t margin_ms = t->r->config.deadline_ms / 10 + 2, left_ms;
    lk__redis_link *link = t->links[node];
    uint32_t wanted = link != NULL ? replicas_wanted(t, link) : 0;
    char wait[48];

    if (wanted == 0 || wanted == UINT32_MAX || !t->is_done[node])
        return t->is_done[node] ? wanted : 0;
    left_ms = t->until_ms - lk__redis_now_ms() - margin_ms;
    snprintf(wait, sizeof(wait), "WAIT %u %d", (unsigned)wanted, left_ms > 1 ? (int)left_ms : 1);
    lk__redis_link_add_words(link, wait);
    return lk__redis_link_flush(link, t->until_ms) == LK_OK ? wanted : UINT32_MAX;
}

static bool read_wait(round_trip *t, lk__redis_link *link, uint32_t wanted)
{
    redisReply *reply;
    bool is_kept;

    if (wanted == UINT32_MAX || lk__redis_link_read(link, t->until_ms, &reply) != LK_OK)
        return false;
    is_kept = reply->type == REDIS_REPLY_INTEGER && reply->integer >= (long long)wanted;
    freeReplyObject(reply);
    return is_kept;
}

/* On all connections at the same time. */
static void wait_for_replicas(round_trip *t)
{
    uint32_t wanted[LK__REDIS_NODES_MAX];

    for (unsigned node = 0; node < t->nodes_n; node++)
        wanted[node] = send_wait(t, node);
    for (unsigned node = 0; node < t->nodes_n; node++) {
        if (wanted[node] != 0 && !read_wait(t, t->links[node], wanted[node]))
            t->is_kept = false;
    }
}

static void read_all(round_trip *t)
{
    for (size_t i = 0; i < t->n; i++) {
        if (t->asks[i].is_sent)
            read_one(t, &t->asks[i]);
    }
    if ((t->flags & LK__REDIS_KEPT) != 0)
        wait_for_replicas(t);
    for (unsigned node = 0; node < t->nodes_n; node++) {
        if (t->links[node] != NULL)
            lk__redis_give_back(t->r, node, t->links[node]);
    }
}

/* After a loss: find out who serves now. */
static void look_around(round_trip *t)
{
    lk__redis *r = t->r;

    switch (r->config.kind) {
    case LK__REDIS_SINGLE:
        break;
    case LK__REDIS_SENTINEL:
        pthread_mutex_lock(&r->lock);
        r->wants_primary = true;
        r->nodes[0].era++;
        pthread_mutex_unlock(&r->lock);
        break;
    case LK__REDIS_CLUSTER:
        lk__redis_map_refresh(r, t->until_ms);
        break;
    }
}

/* Is there anything to be sent in another round? What may have been done before the connection was lost is
 * given up, unless doing it twice does no harm. */
static bool goes_on(round_trip *t, bool may_lose)
{
    bool is_any = false;

    for (size_t i = 0; i < t->n; i++) {
        lk__redis_ask *ask = &t->asks[i];

        if (ask->is_sent && !ask->is_final && (t->flags & LK__REDIS_TWICE) == 0)
            ask->is_final = true;
        is_any = is_any || !ask->is_final;
    }
    return is_any && (!t->was_lost || may_lose) && !t->is_short;
}

lk_status lk__redis_run(lk__redis *r, lk__redis_ask *asks, size_t n, int64_t until_ms, unsigned flags,
                        bool *is_kept)
{
    round_trip t = {.r = r, .asks = asks, .n = n, .until_ms = until_ms, .flags = flags, .is_kept = true};
    bool may_lose = true;
    lk_status status = LK_OK;

    if (r->config.wait_for == 0)
        t.flags &= ~(unsigned)LK__REDIS_KEPT;
    for (unsigned round = 0; round < ROUNDS_MAX; round++) {
        t.was_lost = false;
        memset(t.is_wanted, 0, sizeof(t.is_wanted));
        memset(t.is_done, 0, sizeof(t.is_done));
        route_all(&t);
        lend_all(&t);
        send_all(&t);
        read_all(&t);
        if (!goes_on(&t, may_lose))
            break;
        if (t.was_lost) {
            may_lose = false;
            look_around(&t);
        } else if (atomic_load(&r->wants_map)) {
            lk__redis_map_refresh(r, until_ms);
        }
        if (lk__redis_now_ms() >= until_ms)
            break;
    }
    for (size_t i = 0; i < n; i++) {
        if (asks[i].reply == NULL)
            status = LK_FAULT;
    }
    if (is_kept != NULL)
        *is_kept = t.is_kept && status == LK_OK;
    return status;
}
