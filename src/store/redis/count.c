/* SPDX-License-Identifier: Apache-2.0
 *
 * count.c - how many sessions there are.
 *
 * Nobody counts them: Redis removes sessions by itself and tells no one, and a counter that does not know
 * would drift. So they are looked at, all of them up to EXACT_MAX keys of any kind on a server; beyond that a
 * sample of the keys is, and what it says goes for the rest (off by a few per cent). Bytes are those of
 * sessions, fences and the indexes of users, as MEMORY USAGE gives them: other programs may keep things on
 * the same server.
 */
#include "store/redis/redis_inner.h"
#include <stdlib.h>
#include <string.h>

#define EXACT_MAX 10000
#define SAMPLE 2000
#define STEP 500
#define BATCH 64

/* What was found on one node. */
typedef struct gathered {
    lk_session_key *keys;
    size_t n, cap;
    uint64_t bytes;
    size_t names; /* keys of any kind that were passed */
} gathered;

static int by_key(const void *a, const void *b)
{
    return memcmp(a, b, sizeof(lk_session_key));
}

/* SCAN may give a key twice. */
static void drop_doubles(gathered *g)
{
    size_t n = 0;

    qsort(g->keys, g->n, sizeof(g->keys[0]), by_key);
    for (size_t i = 0; i < g->n; i++) {
        if (n == 0 || memcmp(&g->keys[n - 1], &g->keys[i], sizeof(g->keys[0])) != 0)
            g->keys[n++] = g->keys[i];
    }
    g->n = n;
}

/* Take up NAMES[*at] and on, a batch of them. */
static lk_status weigh_some(lk__redis *r, unsigned node, const redisReply *names, size_t *at, gathered *g)
{
    lk__redis_text prefix = lk__redis_session_prefix(r);
    size_t prefix_len = prefix.len, n = 0;
    lk__redis_ask asks[BATCH];
    lk_view argv[BATCH][3];
    lk_status status;

    for (; *at < names->elements && n < BATCH; ++*at) {
        lk_view name = lk__redis_bytes(names->element[*at]), kind = lk_view_part(name, prefix_len - 2, 2);
        bool is_ours = name.len > prefix_len && memcmp(name.p, prefix.bytes, prefix_len - 2) == 0;

        g->names++;
        if (!is_ours || (!lk_view_equal(kind, LK_VIEW("s:")) && !lk_view_equal(kind, LK_VIEW("u:"))))
            continue;
        if (kind.p[0] == 's' && g->n < g->cap &&
            lk_public_id_read(lk_view_part(name, prefix_len, name.len), &g->keys[g->n]) == LK_OK)
            g->n++;
        argv[n][0] = LK_VIEW("MEMORY");
        argv[n][1] = LK_VIEW("USAGE");
        argv[n][2] = name;
        asks[n] = (lk__redis_ask){.argv = argv[n], .argc = 3, .has_node = true, .node = node};
        n++;
    }
    status = lk__redis_run(r, asks, n, lk__redis_until(r), LK__REDIS_TWICE, NULL);
    for (size_t i = 0; i < n && status == LK_OK; i++) {
        if (asks[i].reply->type == REDIS_REPLY_INTEGER)
            g->bytes += (uint64_t)asks[i].reply->integer;
    }
    lk__redis_asks_free(asks, n);
    return status;
}

static lk_status gather(lk__redis *r, unsigned node, size_t names_max, gathered *g)
{
    uint64_t cursor = 0;
    lk_status status;

    do {
        redisReply *reply;
        size_t at = 0;

        status = lk__redis_scan(r, node, &cursor, STEP, NULL, &reply, lk__redis_until(r));
        if (status != LK_OK)
            return status;
        while (status == LK_OK && at < reply->element[1]->elements)
            status = weigh_some(r, node, reply->element[1], &at, g);
        freeReplyObject(reply);
    } while (status == LK_OK && cursor != 0 && g->names < names_max && g->n < g->cap);
    drop_doubles(g);
    return status;
}

/* How many of KEYS are sessions and not fences? */
static lk_status count_sessions(lk__redis *r, const lk_session_key *keys, size_t n, uint64_t *sessions)
{
    lk_status status = LK_OK;

    for (size_t at = 0; at < n && status == LK_OK; at += BATCH) {
        lk__redis_text names[BATCH];
        lk_view argv[BATCH][4];
        lk__redis_ask asks[BATCH];
        size_t k = 0;

        for (; at + k < n && k < BATCH; k++) {
            names[k] = lk__redis_session_key(r, &keys[at + k]);
            argv[k][0] = LK_VIEW("GETRANGE");
            argv[k][1] = lk__redis_view(&names[k]);
            argv[k][2] = argv[k][3] = LK_VIEW("0");
            asks[k] = (lk__redis_ask){.argv = argv[k], .argc = 4};
        }
        status = lk__redis_run(r, asks, k, lk__redis_until(r), LK__REDIS_TWICE, NULL);
        for (size_t i = 0; i < k && status == LK_OK; i++) {
            lk_view first = lk__redis_bytes(asks[i].reply);

            *sessions += first.len == 1 && first.p[0] != 0;
        }
        lk__redis_asks_free(asks, k);
    }
    return status;
}

static lk_status count_node(lk__redis *r, unsigned node, uint64_t keys_there, lk_store_count *out)
{
    bool is_exact = keys_there <= EXACT_MAX;
    gathered g = {.cap = EXACT_MAX + 4 * STEP};
    uint64_t found = 0;
    double scale = 1;
    lk_status status;

    g.keys = lk_alloc(r->base.env, g.cap * sizeof(g.keys[0]));
    if (g.keys == NULL)
        return LK_FAULT;
    status = gather(r, node, is_exact ? SIZE_MAX : SAMPLE, &g);
    if (status == LK_OK)
        status = count_sessions(r, g.keys, g.n, &found);
    lk_free(r->base.env, g.keys);
    if (!is_exact && g.names > 0)
        scale = (double)keys_there / (double)g.names;
    out->sessions += (uint64_t)((double)found * scale);
    out->bytes += (uint64_t)((double)g.bytes * scale);
    return status;
}

/* Add what the server says of itself. *keys: how many there are, of any kind. */
static lk_status ask_node(lk__redis *r, unsigned node, lk_store_count *out, uint64_t *keys)
{
    const lk_view info[1] = {LK_VIEW("INFO")}, size[1] = {LK_VIEW("DBSIZE")};
    lk__redis_ask asks[2] = {{.argv = info, .argc = 1, .has_node = true, .node = node},
                             {.argv = size, .argc = 1, .has_node = true, .node = node}};
    int64_t evicted = 0;
    lk_status status = lk__redis_run(r, asks, 2, lk__redis_until(r), LK__REDIS_TWICE, NULL);

    if (status == LK_OK && (asks[1].reply->type != REDIS_REPLY_INTEGER ||
                            lk_parse_i64(lk__redis_info(asks[0].reply, "evicted_keys"), &evicted) != LK_OK))
        status = LK_FAULT;
    if (status == LK_OK) {
        out->evicted += (uint64_t)evicted;
        *keys = (uint64_t)asks[1].reply->integer;
    }
    lk__redis_asks_free(asks, 2);
    return status;
}

lk_status lk__redis_counts(lk_store *store, lk_store_count *out)
{
    lk__redis *r = (lk__redis *)store;
    lk_status status = LK_OK;

    memset(out, 0, sizeof(*out));
    for (unsigned node = 0; node < r->nodes_cap && status == LK_OK; node++) {
        uint64_t keys;

        if (!lk__redis_node_is_used(r, node))
            continue;
        status = ask_node(r, node, out, &keys);
        if (status == LK_OK)
            status = count_node(r, node, keys, out);
    }
    return status == LK_OK ? LK_OK : LK_FAULT;
}
