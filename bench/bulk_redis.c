/* SPDX-License-Identifier: Apache-2.0
 *
 * bulk_redis.c - a pipeline of hiredis.
 */
#include "bulk.h"
#include "store/redis/redis_inner.h"
#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>

#define FILL_AHEAD 1000 /* commands sent before their answers are read */

struct bulk {
    redisContext *link;
    const lk_store *store;
};

static void answered(bulk *b, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        redisReply *reply = NULL;

        must(redisGetReply(b->link, (void **)&reply) == REDIS_OK && reply->type != REDIS_REPLY_ERROR,
             "redis");
        freeReplyObject(reply);
    }
}

static bulk *open_redis(const char *url, const lk_store *store)
{
    bulk_url at = bulk_url_of(url);
    bulk *b = calloc(1, sizeof(*b));

    must(b != NULL, "memory");
    b->store = store;
    b->link = redisConnect(at.host, at.port);
    must(b->link != NULL && b->link->err == 0, "redisConnect");
    redisAppendCommand(b->link, "AUTH %s %s", at.user, at.password);
    answered(b, 1);
    return b;
}

static void append(bulk *b, int n, const lk_view *words)
{
    const char *argv[6];
    size_t lens[6];

    for (int i = 0; i < n; i++) {
        argv[i] = (const char *)words[i].p;
        lens[i] = words[i].len;
    }
    redisAppendCommandArgv(b->link, n, argv, lens);
}

static void put_all(bulk *b, bulk_make make, unsigned from, unsigned to)
{
    const lk__redis *redis = (const lk__redis *)(const void *)b->store;
    int64_t now_s = lk_now_s(b->store->env);
    unsigned sent = 0;

    for (unsigned n = from; n < to; n++) {
        made_session made;
        uint8_t bytes[LK_RECORD_MAX];
        lk_buf record = lk_buf_over(bytes, sizeof(bytes));
        lk__redis_text key, entry, index, px;

        make(&made, n, now_s);
        key = lk__redis_session_key(redis, &made.s.key);
        entry = lk__redis_entry(&made.s);
        index = lk__redis_user_key(redis, made.s.realm, made.s.user);
        px = lk__redis_px(b->store->env, lk__session_forget_s(&made.s));
        must(lk_record_write(&made.s, &record) == LK_OK, "record");
        append(b, 5,
               (const lk_view[]){LK_VIEW("SET"), lk__redis_view(&key), lk_buf_view(&record), LK_VIEW("PX"),
                                 lk__redis_view(&px)});
        append(
            b, 4,
            (const lk_view[]){LK_VIEW("ZADD"), lk__redis_view(&index), LK_VIEW("0"), lk__redis_view(&entry)});
        append(b, 3, (const lk_view[]){LK_VIEW("PEXPIRE"), lk__redis_view(&index), lk__redis_view(&px)});
        sent += 3;
        if (sent >= FILL_AHEAD) {
            answered(b, sent);
            sent = 0;
        }
    }
    answered(b, sent);
}

static void close_redis(bulk *b)
{
    redisFree(b->link);
    free(b);
}

const bulk_writer bulk_redis = {"redis", open_redis, put_all, close_redis};
