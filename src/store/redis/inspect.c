/* SPDX-License-Identifier: Apache-2.0
 *
 * inspect.c - is the server ready, and how is it set up? Settings that bite are named with their cure.
 */
#include "store/redis/redis_inner.h"
#include <stdio.h>
#include <string.h>

#define CLOCK_BOUND_MS 1000

/* What is asked of one server. */
enum { ASK_INFO, ASK_FSYNC, ASK_MIN_REPLICAS, ASK_PROTECTED, ASK_BIND, ASKS };

typedef struct inspection {
    lk__redis *r;
    lk_finding_each each;
    void *context;
    char where[sizeof(lk__redis_named) + 1]; /* "host:port " in a cluster, else "" */
    lk__redis_ask asks[ASKS];
} inspection;

static void tell(const inspection *x, lk_finding_level level, const char *name, lk_view value,
                 const char *advice)
{
    char text[sizeof(lk__redis_named) + 256];
    lk_finding finding = {.level = level, .name = name, .value = text, .advice = advice};

    if (value.len == 0)
        value = LK_VIEW("not told");
    snprintf(text, sizeof(text), "%s%.*s", x->where, value.len > 200 ? 200 : (int)value.len,
             (const char *)value.p);
    x->each(x->context, &finding);
}

static lk_view info(const inspection *x, const char *name)
{
    return lk__redis_info(x->asks[ASK_INFO].reply, name);
}

static int64_t info_number(const inspection *x, const char *name)
{
    int64_t n = 0;

    return lk_parse_i64(info(x, name), &n) == LK_OK ? n : 0;
}

/* The value of a setting, empty when the server does not tell. */
static lk_view setting(const inspection *x, unsigned which)
{
    const redisReply *reply = x->asks[which].reply;

    if (reply == NULL || reply->type != REDIS_REPLY_ARRAY || reply->elements != 2)
        return (lk_view){0};
    return lk__redis_bytes(reply->element[1]);
}

static bool is(lk_view value, const char *text)
{
    return lk_view_equal(value, lk_view_of(text));
}

static void tell_memory(const inspection *x)
{
    lk_view policy = info(x, "maxmemory_policy");
    bool is_bounded = info_number(x, "maxmemory") > 0;

    tell(x, LK_FINDING_FACT, "memory", info(x, "used_memory_human"), "");
    if (is_bounded)
        tell(x, LK_FINDING_FACT, "maxmemory", info(x, "maxmemory_human"), "");
    else
        tell(
            x, LK_FINDING_WARNING, "maxmemory", LK_VIEW("0"),
            "The server takes memory without bound, until the system ends it. Set maxmemory: then logins are "
            "refused in a full store, and reading and logging out go on.");
    if (is(policy, "noeviction"))
        tell(x, LK_FINDING_FACT, "eviction_policy", policy, "");
    else
        tell(x, is_bounded ? LK_FINDING_PROBLEM : LK_FINDING_WARNING, "eviction_policy", policy,
             "A server that runs out of memory throws out sessions, and fences and cut-offs that keep ended "
             "ones "
             "out. Set maxmemory-policy noeviction.");
}

static void tell_disk(const inspection *x)
{
    bool has_log = is(info(x, "aof_enabled"), "1");
    lk_view fsync = setting(x, ASK_FSYNC);

    if (!has_log)
        tell(x, LK_FINDING_WARNING, "fsync", LK_VIEW("no append-only file"),
             "A restart loses what was written since the last snapshot, logouts too. Set appendonly yes.");
    else if (is(fsync, "no"))
        tell(x, LK_FINDING_WARNING, "fsync", fsync,
             "A power loss loses what the system had not written yet, often half a minute. Set appendfsync "
             "everysec or always.");
    else
        tell(x, LK_FINDING_FACT, "fsync", fsync, "");
    if (is(info(x, "rdb_last_bgsave_status"), "err") || is(info(x, "aof_last_write_status"), "err"))
        tell(x, LK_FINDING_PROBLEM, "last_save", LK_VIEW("failed"),
             "The server could not write to its disk; by default it then refuses to be written to. Make "
             "room, or "
             "see its log.");
}

static void tell_replicas(const inspection *x)
{
    lk_view connected = info(x, "connected_slaves"), least = setting(x, ASK_MIN_REPLICAS);
    bool has_any = info_number(x, "connected_slaves") > 0;

    tell(x, LK_FINDING_FACT, "role", info(x, "role"), "");
    if (!has_any && x->r->config.kind != LK__REDIS_SINGLE)
        tell(x, LK_FINDING_WARNING, "replicas", connected,
             "Nothing can take the place of this primary, and what it acknowledges is nowhere else. Start a "
             "replica.");
    else
        tell(x, LK_FINDING_FACT, "replicas", connected, "");
    if (has_any && is(least, "0"))
        tell(x, LK_FINDING_WARNING, "min_replicas_to_write", least,
             "A primary that was cut off from its replicas goes on acknowledging what a failover undoes. Set "
             "min-replicas-to-write 1 and min-replicas-max-lag 10, or wait=1 in the URL.");
    else
        tell(x, LK_FINDING_FACT, "min_replicas_to_write", least, "");
}

static void tell_reach(const inspection *x)
{
    lk_view protected_mode = setting(x, ASK_PROTECTED), bind = setting(x, ASK_BIND);
    bool is_everywhere =
        bind.len == 0 || lk_words_have(bind, LK_VIEW("*")) || lk_words_have(bind, LK_VIEW("0.0.0.0"));

    if (x->r->config.password[0] == '\0' && is(protected_mode, "no") && is_everywhere)
        tell(x, LK_FINDING_PROBLEM, "reach", LK_VIEW("any address, no password"),
             "Whoever reaches the port can end and read every session. Set a password, or bind to the "
             "addresses "
             "that need it.");
    else
        tell(x, LK_FINDING_FACT, "reach", bind, "");
}

static void tell_clock(const inspection *x, int64_t off_ms)
{
    char text[48];

    snprintf(text, sizeof(text), "%lld ms", (long long)off_ms);
    if (off_ms > CLOCK_BOUND_MS || off_ms < -CLOCK_BOUND_MS)
        tell(x, LK_FINDING_WARNING, "clock_difference", lk_view_of(text),
             "The clocks of this machine and of the server differ. Nodes go by that of the server; let both "
             "be "
             "set by NTP all the same.");
    else
        tell(x, LK_FINDING_FACT, "clock_difference", lk_view_of(text), "");
}

static lk_status ask_server(inspection *x, unsigned node)
{
    static const char *const settings[ASKS] = {
        [ASK_FSYNC] = "appendfsync",
        [ASK_MIN_REPLICAS] = "min-replicas-to-write",
        [ASK_PROTECTED] = "protected-mode",
        [ASK_BIND] = "bind",
    };
    lk_view argv[ASKS][3];

    for (unsigned i = 0; i < ASKS; i++) {
        argv[i][0] = i == ASK_INFO ? LK_VIEW("INFO") : LK_VIEW("CONFIG");
        argv[i][1] = LK_VIEW("GET");
        argv[i][2] = lk_view_of(settings[i]);
        x->asks[i] =
            (lk__redis_ask){.argv = argv[i], .argc = i == ASK_INFO ? 1 : 3, .has_node = true, .node = node};
    }
    return lk__redis_run(x->r, x->asks, ASKS, lk__redis_until(x->r), LK__REDIS_TWICE, NULL);
}

static lk_status inspect_node(inspection *x, unsigned node)
{
    lk_status status = ask_server(x, node);

    if (status == LK_OK && x->asks[ASK_INFO].reply->type != REDIS_REPLY_STRING)
        status = LK_FAULT;
    if (status == LK_OK) {
        tell(x, LK_FINDING_FACT, "version", info(x, "redis_version"), "");
        tell_memory(x);
        tell_disk(x);
        tell_replicas(x);
        tell_reach(x);
    }
    lk__redis_asks_free(x->asks, ASKS);
    return status;
}

static void name_node(lk__redis *r, unsigned node, char *out, size_t cap)
{
    pthread_mutex_lock(&r->lock);
    snprintf(out, cap, "%s ", lk__redis_name(&r->nodes[node].at).text);
    pthread_mutex_unlock(&r->lock);
}

lk_status lk__redis_inspect(lk_store *store, lk_finding_each each, void *context)
{
    inspection x = {.r = (lk__redis *)store, .each = each, .context = context};
    lk_store_count count;
    int64_t now_ms = lk_now_ms(store->env), there_ms;
    char sessions[32];
    lk_status status = lk__redis_time_ms(store, &there_ms);

    if (status == LK_OK)
        tell_clock(&x, now_ms - there_ms);
    for (unsigned node = 0; node < x.r->nodes_cap && status == LK_OK; node++) {
        if (!lk__redis_node_is_used(x.r, node))
            continue;
        if (x.r->slots != NULL)
            name_node(x.r, node, x.where, sizeof(x.where));
        status = inspect_node(&x, node);
    }
    if (status == LK_OK)
        status = lk__redis_counts(store, &count);
    if (status == LK_OK) {
        x.where[0] = '\0';
        snprintf(sessions, sizeof(sessions), "%llu", (unsigned long long)count.sessions);
        tell(&x, LK_FINDING_FACT, "sessions", lk_view_of(sessions), "");
    }
    return status == LK_OK ? LK_OK : LK_FAULT;
}

/* ---- ready ---- */

/* LK_OK, or LK_MISS with what is missing. */
static lk_status judge_ready(const redisReply *reply, lk_note *note)
{
    lk_view state = lk__redis_info(reply, "cluster_state");

    if (is(lk__redis_info(reply, "loading"), "1")) {
        lk_note_set(note, "the server is still loading its data");
        return LK_MISS;
    }
    if (is(lk__redis_info(reply, "master_sync_in_progress"), "1")) {
        lk_note_set(note, "the replica is still taking its first copy from the primary");
        return LK_MISS;
    }
    if (is(lk__redis_info(reply, "role"), "slave") &&
        !is(lk__redis_info(reply, "master_link_status"), "up")) {
        lk_note_set(note, "the replica has no connection to its primary");
        return LK_MISS;
    }
    if (state.len > 0 && !is(state, "ok")) {
        lk_note_set(note, "the cluster says that its state is \"%.*s\": slots are not served", (int)state.len,
                    (const char *)state.p);
        return LK_MISS;
    }
    return LK_OK;
}

lk_status lk__redis_ready(lk_store *store, lk_note *note)
{
    lk__redis *r = (lk__redis *)store;
    const lk_view info_words[1] = {LK_VIEW("INFO")}, cluster_words[2] = {LK_VIEW("CLUSTER"), LK_VIEW("INFO")};
    lk__redis_ask ask = {.argv = info_words, .argc = 1, .has_node = true};
    lk_status status;

    if (r->slots != NULL) {
        ask.argv = cluster_words;
        ask.argc = 2;
        while (ask.node < r->nodes_cap && !lk__redis_node_is_used(r, ask.node))
            ask.node++;
    }
    status = lk__redis_run(r, &ask, 1, lk__redis_until(r), LK__REDIS_TWICE, NULL);
    if (status == LK_OK && ask.reply->type != REDIS_REPLY_STRING)
        status = LK_FAULT;
    if (status == LK_OK)
        status = judge_ready(ask.reply, note);
    else
        lk_note_set(note, "the store does not answer in time");
    lk__redis_asks_free(&ask, 1);
    return status;
}
