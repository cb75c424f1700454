/* SPDX-License-Identifier: Apache-2.0
 *
 * redis.c - the stores redis, redis+sentinel and redis+cluster: opening, closing, and the look-up.
 */
#include "store/redis/redis_inner.h"
#include <latchkey/base64url.h>
#include <string.h>

#define FORMAT 1
#define VERSION_MIN 602 /* 6.2: XTRIM MINID */
#define LOADS_MAX 1024  /* at a time */

static lk__redis_kind kind_of(const lk_store_url *url)
{
    if (lk_view_equal(url->scheme, LK_VIEW("redis+sentinel")))
        return LK__REDIS_SENTINEL;
    return lk_view_equal(url->scheme, LK_VIEW("redis+cluster")) ? LK__REDIS_CLUSTER : LK__REDIS_SINGLE;
}

static const lk_store_ops *ops_of(lk__redis_kind kind)
{
    switch (kind) {
    case LK__REDIS_SINGLE:
        break;
    case LK__REDIS_SENTINEL:
        return &lk__store_redis_sentinel;
    case LK__REDIS_CLUSTER:
        return &lk__store_redis_cluster;
    }
    return &lk__store_redis;
}

static lk_status check(const lk_store_url *url, lk_note *note)
{
    lk__redis_config config;
    lk_status status = lk__redis_config_read(kind_of(url), url, &config, note);

    lk_wipe(config.password, sizeof(config.password));
    return status;
}

/* ---- opening ---- */

static void close_redis(lk_store *store)
{
    lk__redis *r = (lk__redis *)store;
    const lk_env *env = store->env;

    lk__redis_link_close(r->watch);
    lk__redis_nodes_close(r);
    pthread_cond_destroy(&r->given_back);
    pthread_mutex_destroy(&r->sweep_lock);
    pthread_mutex_destroy(&r->lock);
    lk_wipe(r->config.password, sizeof(r->config.password));
    lk_free(env, r->slots);
    lk_free(env, r->nodes);
    lk_free(env, r);
}

static bool init_locks(lk__redis *r)
{
    pthread_condattr_t attributes;

    /* On Linux none of these can fail but for want of memory, of which they need none. */
    if (pthread_mutex_init(&r->lock, NULL) != 0 || pthread_mutex_init(&r->sweep_lock, NULL) != 0 ||
        pthread_condattr_init(&attributes) != 0)
        return false;
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    return pthread_cond_init(&r->given_back, &attributes) == 0;
}

/* A handle without connections, or NULL. */
static lk__redis *make(const lk_env *env, const lk__redis_config *config)
{
    bool is_cluster = config->kind == LK__REDIS_CLUSTER;
    lk__redis *r = lk_alloc(env, sizeof(*r));

    if (r == NULL)
        return NULL;
    r->base = (lk_store){.ops = ops_of(config->kind), .env = env};
    r->config = *config;
    r->nodes_cap = is_cluster ? LK__REDIS_NODES_MAX : 1;
    r->nodes = lk_alloc(env, r->nodes_cap * sizeof(r->nodes[0]));
    r->slots = is_cluster ? lk_alloc(env, LK__REDIS_SLOTS) : NULL;
    if (r->nodes == NULL || (is_cluster && r->slots == NULL) || !init_locks(r)) {
        lk_free(env, r->slots);
        lk_free(env, r->nodes);
        lk_free(env, r);
        return NULL;
    }
    if (is_cluster)
        memset(r->slots, LK__REDIS_NODES_MAX, LK__REDIS_SLOTS);
    if (config->kind == LK__REDIS_SINGLE)
        r->nodes[0].at = config->seeds[0];
    if (!is_cluster)
        r->nodes_n = 1;
    return r;
}

/* "7.0.15" -> 700 */
static int64_t version_of(lk_view text)
{
    size_t dot = lk_view_find(text, '.');
    lk_view rest = lk_view_part(text, dot + 1, text.len);
    int64_t major, minor;

    if (lk_parse_i64(lk_view_part(text, 0, dot), &major) != LK_OK ||
        lk_parse_i64(lk_view_part(rest, 0, lk_view_find(rest, '.')), &minor) != LK_OK)
        return 0;
    return major * 100 + minor;
}

/* Is the server one that this store can use? */
static lk_status check_server(const lk__redis *r, const redisReply *info, lk_note *note)
{
    lk_view version = lk__redis_info(info, "redis_version"), mode = lk__redis_info(info, "redis_mode");

    if (version_of(version) < VERSION_MIN) {
        lk_note_set(note, "the server is Redis %.*s; 6.2 or newer is needed",
                    version.len > 20 ? 20 : (int)version.len, (const char *)version.p);
        return LK_REFUSED;
    }
    if (lk_view_equal(mode, LK_VIEW("sentinel"))) {
        lk_note_set(note, "the server is a sentinel; the store is then written %s",
                    lk__store_redis_sentinel.form);
        return LK_REFUSED;
    }
    if (lk_view_equal(mode, LK_VIEW("cluster")) && r->slots == NULL) {
        lk_note_set(note, "the server is part of a cluster; the store is then written %s",
                    lk__store_redis_cluster.form);
        return LK_REFUSED;
    }
    return LK_OK;
}

static lk_status check_format(const redisReply *format, lk_note *note)
{
    int64_t found;

    if (format->type == REDIS_REPLY_NIL)
        return LK_OK;
    if (lk_parse_i64(lk__redis_bytes(format), &found) != LK_OK || found < 1) {
        lk_note_set(note, "the key with the format of the data holds no number");
        return LK_STALE;
    }
    if (found > FORMAT) {
        lk_note_set(note, "the data are of format %d, which is newer than this program; its own is %d",
                    (int)found, FORMAT);
        return LK_STALE;
    }
    return LK_OK;
}

/* A server that loads its data, or waits for its primary, is the right one and not ready yet. */
static bool is_not_ready(const redisReply *reply)
{
    return lk__redis_is_error(reply, "LOADING") || lk__redis_is_error(reply, "MASTERDOWN") ||
           lk__redis_is_error(reply, "CLUSTERDOWN") || lk__redis_is_error(reply, "BUSY");
}

static lk_status judge_error(const redisReply *error, lk_note *note)
{
    return is_not_ready(error) ? LK_OK : lk__redis_judge(error, "the server", note);
}

static lk_status judge(const lk__redis *r, const redisReply *info, const redisReply *format, lk_note *note)
{
    lk_status status;

    if (info->type == REDIS_REPLY_ERROR)
        return judge_error(info, note);
    status = check_server(r, info, note);
    if (status != LK_OK)
        return status;
    return format->type == REDIS_REPLY_ERROR ? judge_error(format, note) : check_format(format, note);
}

/* Look at the server, and leave word of the format where there is none yet. */
static lk_status greet(lk__redis *r, unsigned node, lk_note *note)
{
    int64_t until_ms = lk__redis_until(r);
    lk__redis_text key = lk__redis_event_key(r, ":format"), number = lk__redis_number(FORMAT);
    const lk_view info[1] = {LK_VIEW("INFO")}, get[2] = {LK_VIEW("GET"), lk__redis_view(&key)},
                  set[4] = {LK_VIEW("SET"), lk__redis_view(&key), lk__redis_view(&number), LK_VIEW("NX")};
    lk__redis_ask asks[2] = {{.argv = get, .argc = 2},
                             {.argv = info, .argc = 1, .has_node = true, .node = node}},
                  leave_word = {.argv = set, .argc = 4};
    lk_status status = lk__redis_run(r, asks, 2, until_ms, LK__REDIS_TWICE, NULL);

    if (status == LK_OK)
        status = judge(r, asks[1].reply, asks[0].reply, note);
    else
        lk_note_set(note, "the server does not answer in time");
    if (status == LK_OK && asks[0].reply->type == REDIS_REPLY_NIL &&
        lk_view_equal(lk__redis_info(asks[1].reply, "role"), LK_VIEW("master"))) {
        /* Nothing depends on it yet: a server that takes no writes now will get it another time. */
        (void)!lk__redis_run(r, &leave_word, 1, until_ms, LK__REDIS_TWICE, NULL);
        lk__redis_asks_free(&leave_word, 1);
    }
    lk__redis_asks_free(asks, 2);
    return status;
}

/* The first connection, which tells what is wrong if something is. */
static lk_status reach(lk__redis *r, lk_note *note)
{
    int64_t until_ms = lk__redis_until(r);
    lk__redis_link *link;
    uint64_t era;
    unsigned node;
    lk_status status = LK_OK;

    if (r->slots != NULL)
        status = lk__redis_map_fetch(r, until_ms, note);
    node = lk__redis_events_node(r, &era);
    if (status == LK_OK && node == LK__REDIS_NODES_MAX) {
        lk_note_set(note, "the cluster does not serve all slots");
        status = LK_FAULT;
    }
    if (status == LK_OK)
        status = lk__redis_lend(r, node, until_ms, &link, note);
    if (status != LK_OK)
        return status == LK_REFUSED ? LK_REFUSED : LK_FAULT;
    lk__redis_give_back(r, node, link);
    status = greet(r, node, note);
    if (status == LK_OK)
        lk__redis_learn_clock(r);
    return status;
}

static lk_status open_redis(const lk_env *env, const lk_store_url *url, struct lk_table *table,
                            lk_store **out, lk_note *note)
{
    lk__redis_config config;
    lk__redis *r = NULL;
    lk_status status = lk__redis_config_read(kind_of(url), url, &config, note);

    (void)table;
    if (status == LK_OK) {
        r = make(env, &config);
        status = r != NULL ? LK_OK : LK_FAULT;
        if (r == NULL)
            lk_note_set(note, "out of memory");
    }
    lk_wipe(config.password, sizeof(config.password));
    if (status == LK_OK)
        status = reach(r, note);
    if (status != LK_OK && r != NULL)
        close_redis(&r->base);
    else if (r != NULL)
        *out = &r->base;
    return status;
}

/* Nothing has to be made; but who asks for it wants to know whether it would work. */
static lk_status setup(const lk_env *env, const lk_store_url *url, bool upgrade, lk_note *note)
{
    lk_store *store = NULL;
    lk_status status = open_redis(env, url, NULL, &store, note);

    (void)upgrade;
    if (status == LK_OK)
        close_redis(store);
    return status;
}

/* ---- looking up ---- */

void lk__redis_gets_add(lk__redis *r, lk__redis_gets *gets, const lk_session_key *key)
{
    size_t n = gets->n++;

    gets->keys[n] = lk__redis_session_key(r, key);
    gets->argv[n][0] = LK_VIEW("GET");
    gets->argv[n][1] = lk__redis_view(&gets->keys[n]);
    gets->asks[n] = (lk__redis_ask){.argv = gets->argv[n], .argc = 2};
}

void lk__redis_gets_free(lk__redis_gets *gets)
{
    lk__redis_asks_free(gets->asks, gets->n);
    gets->n = 0;
}

static lk_status read_load(const lk_env *env, const redisReply *reply, lk_load *load)
{
    lk_view value;
    lk_status status = lk__redis_value(env, reply, &value, &load->why);

    if (status != LK_OK)
        return status;
    if (load->head_only)
        value.len = lk_record_head_len(value);
    if (value.len > load->cap)
        return LK_FULL;
    if (value.len > 0)
        memcpy(load->buf, value.p, value.len);
    return lk__redis_session(env, lk_view_make(load->buf, value.len), &load->key, &load->session);
}

/* GET for each of LOADS, in one run. */
static lk_status load_some(lk__redis *r, lk_load *loads, size_t n)
{
    typedef struct text {
        lk_view argv[2];
        uint8_t key[LK__REDIS_KEY_MAX];
    } text;
    lk__redis_text prefix = lk__redis_session_prefix(r);
    lk__redis_ask *asks = lk_alloc(r->base.env, n * (sizeof(*asks) + sizeof(text)));
    text *texts = (text *)(void *)(asks + n);
    size_t found = 0;

    if (asks == NULL)
        return LK_FAULT;
    for (size_t i = 0; i < n; i++) {
        lk_buf key = lk_buf_over(texts[i].key, sizeof(texts[i].key));

        lk_buf_add(&key, lk__redis_view(&prefix));
        lk_base64url_encode(lk_view_make(loads[i].key.bytes, LK_SESSION_KEY_LEN), &key);
        texts[i].argv[0] = LK_VIEW("GET");
        texts[i].argv[1] = lk_buf_view(&key);
        asks[i].argv = texts[i].argv;
        asks[i].argc = 2;
    }
    (void)!lk__redis_run(r, asks, n, lk__redis_until(r), LK__REDIS_TWICE, NULL);
    for (size_t i = 0; i < n; i++) {
        loads[i].status = read_load(r->base.env, asks[i].reply, &loads[i]);
        found += loads[i].status != LK_FAULT;
    }
    lk__redis_asks_free(asks, n);
    lk_free(r->base.env, asks);
    return found > 0 ? LK_OK : LK_FAULT;
}

static lk_status load_many(lk_store *store, lk_load *loads, size_t n)
{
    lk_status all = n > 0 ? LK_FAULT : LK_OK;

    for (size_t i = 0; i < n; i += LOADS_MAX) {
        lk_status status = load_some((lk__redis *)store, loads + i, n - i < LOADS_MAX ? n - i : LOADS_MAX);

        if (status == LK_OK)
            all = LK_OK;
    }
    return all;
}

/* ---- the tables ---- */

#define OPERATIONS                                                                                           \
    .place = LK_STORE_REMOTE, .is_durable = true, .check = check, .open = open_redis, .close = close_redis,  \
    .load_many = load_many, .create = lk__redis_create, .replace = lk__redis_replace,                        \
    .change = lk__redis_change, .touch_many = lk__redis_touch_many, .destroy = lk__redis_destroy,            \
    .list_by_user = lk__redis_list_by_user, .list = lk__redis_list, .counts = lk__redis_counts,              \
    .sweep = lk__redis_sweep, .cutoff_append = lk__redis_cutoff_append, .event_seq = lk__redis_event_seq,    \
    .setup = setup, .events_since = lk__redis_events_since, .events_wait = lk__redis_events_wait,            \
    .time_ms = lk__redis_time_ms, .ready = lk__redis_ready, .inspect = lk__redis_inspect

const lk_store_ops lk__store_redis = {
    .name = "redis",
    .form = "redis://[user:password@]host[:port][/db]",
    .options = "deadline prefix wait db",
    OPERATIONS,
};

const lk_store_ops lk__store_redis_sentinel = {
    .name = "redis+sentinel",
    .form = "redis+sentinel://[user:password@]host[:port],host.../name-of-primary[/db]",
    .options = "deadline prefix wait",
    OPERATIONS,
};

const lk_store_ops lk__store_redis_cluster = {
    .name = "redis+cluster",
    .form = "redis+cluster://[user:password@]host[:port],host...",
    .options = "deadline prefix wait",
    OPERATIONS,
};
