/* SPDX-License-Identifier: Apache-2.0
 *
 * raw_redis.c - the inside of the redis stores: docs/stores/redis.md. LATCHKEY_TEST_REDIS names all servers
 * and who may do all on them (tests/lib/servers.py): redis://user:password@host:port,host:port
 */
#include "contract.h"
#include "raw.h"
#include <hiredis/hiredis.h>
#include <stdlib.h>

#define SERVERS_MAX 16
#define ROOM (1u << 20)

static const char *const stream_keys[] = {"lk:{events}", "lk:{events}:seq", "lk:{events}:cutoffs",
                                          "lk:{events}:until"};
#define STREAM_KEYS (sizeof(stream_keys) / sizeof(stream_keys[0]))
static struct {
    char *bytes;
    size_t len;
} kept[STREAM_KEYS];

static redisContext *servers[SERVERS_MAX];
static unsigned servers_n;

static bool log_in(redisContext *c, const char *user, const char *password)
{
    redisReply *reply = redisCommand(c, "AUTH %s %s", user, password);
    bool is_in = reply != NULL && reply->type == REDIS_REPLY_STATUS;

    freeReplyObject(reply);
    return is_in;
}

static bool connect_all(void)
{
    char text[1024], *at, *next;
    const char *names = getenv("LATCHKEY_TEST_REDIS");
    char *user, *password;

    servers_n = 0;
    if (names == NULL || strlen(names) >= sizeof(text) || strncmp(names, "redis://", 8) != 0) {
        fprintf(stderr, "LATCHKEY_TEST_REDIS names the servers; tests/lib/servers.py sets it\n");
        return false;
    }
    memcpy(text, names, strlen(names) + 1);
    user = strtok_r(text + 8, ":", &next);
    password = strtok_r(NULL, "@", &next);
    while ((at = strtok_r(NULL, ",", &next)) != NULL && servers_n < SERVERS_MAX) {
        char *port = strchr(at, ':');

        *port++ = '\0';
        servers[servers_n] = redisConnect(at, atoi(port));
        if (servers[servers_n] == NULL || servers[servers_n]->err != 0 ||
            !log_in(servers[servers_n++], user, password)) {
            fprintf(stderr, "no way into the server at %s:%s\n", at, port);
            return false;
        }
    }
    return servers_n > 0;
}

static bool disconnect(bool is_done)
{
    while (servers_n > 0)
        redisFree(servers[--servers_n]);
    return is_done;
}

static bool is_error(const redisReply *reply, const char *word)
{
    return reply != NULL && reply->type == REDIS_REPLY_ERROR && strncmp(reply->str, word, strlen(word)) == 0;
}

/* Have a command done by the primary whose keys it is about; the caller frees the answer. */
static redisReply *ask(int argc, const char **argv, const size_t *lens)
{
    for (unsigned i = 0; i < servers_n; i++) {
        redisReply *reply = redisCommandArgv(servers[i], argc, argv, lens);

        if (reply != NULL && !is_error(reply, "MOVED") && !is_error(reply, "READONLY") &&
            !is_error(reply, "CLUSTERDOWN")) {
            if (reply->type == REDIS_REPLY_ERROR)
                fprintf(stderr, "%s: %s\n", argv[0], reply->str);
            return reply;
        }
        freeReplyObject(reply);
    }
    fprintf(stderr, "%s: no server would\n", argv[0]);
    return NULL;
}

static bool tell(int argc, const char **argv, const size_t *lens)
{
    redisReply *reply = ask(argc, argv, lens);
    bool is_done = reply != NULL && reply->type != REDIS_REPLY_ERROR;

    freeReplyObject(reply);
    return is_done;
}

#define TELL(...)                                                                                            \
    tell((int)(sizeof((const char *[]){__VA_ARGS__}) / sizeof(char *)), (const char *[]){__VA_ARGS__}, NULL)

/* Have a command done by all primaries. */
static bool tell_all(const char *command)
{
    for (unsigned i = 0; i < servers_n; i++) {
        redisReply *reply = redisCommand(servers[i], command);
        bool is_done = reply != NULL && (reply->type != REDIS_REPLY_ERROR || is_error(reply, "READONLY"));

        if (!is_done)
            fprintf(stderr, "%s: %s\n", command, reply != NULL ? reply->str : "connection lost");
        freeReplyObject(reply);
        if (!is_done)
            return false;
    }
    return true;
}

static bool wipe(void)
{
    return disconnect(connect_all() && tell_all("CONFIG SET maxmemory 0") && tell_all("FLUSHALL"));
}

static bool unmake(void)
{
    return wipe();
}

static bool put_record(const lk_session_key *key, const uint8_t *bytes, size_t len)
{
    char name[5 + LK_PUBLIC_ID_LEN + 1] = "lk:s:";
    const char *argv[] = {"SET", name, (const char *)bytes, "KEEPTTL"};
    size_t lens[] = {3, 5 + LK_PUBLIC_ID_LEN, len, 7};

    lk_public_id_write(key, name + 5);
    return disconnect(connect_all() && tell(4, argv, lens));
}

static bool make_newer(void)
{
    return disconnect(connect_all() && TELL("SET", "lk:{events}:format", "1000"));
}

static bool put_unreadable_cutoff(void)
{
    static const char event[] = "MARKMARK\0\0\0\0\1\x09 newer";
    const char *stream[] = {"XADD", "lk:{events}", "1-0", "c", event},
               *cutoffs[] = {"XADD", "lk:{events}:cutoffs", "1-0", "c", event};
    size_t lens[] = {4, 11, 3, 1, sizeof(event) - 1}, cutoffs_lens[] = {4, 19, 3, 1, sizeof(event) - 1};

    return disconnect(connect_all() && tell(5, stream, lens) && tell(5, cutoffs, cutoffs_lens) &&
                      TELL("SET", "lk:{events}:seq", "1") &&
                      TELL("ZADD", "lk:{events}:until", "9999999999", "1"));
}

static bool keep_stream(void)
{
    bool is_done = connect_all();

    for (size_t i = 0; i < STREAM_KEYS && is_done; i++) {
        redisReply *reply = ask(2, (const char *[]){"DUMP", stream_keys[i]}, NULL);

        free(kept[i].bytes);
        kept[i].bytes = NULL;
        is_done = reply != NULL && reply->type != REDIS_REPLY_ERROR;
        if (is_done && reply->type == REDIS_REPLY_STRING) {
            kept[i].len = reply->len;
            kept[i].bytes = malloc(reply->len);
            memcpy(kept[i].bytes, reply->str, reply->len);
        }
        freeReplyObject(reply);
    }
    return disconnect(is_done);
}

static bool put_stream_back(void)
{
    bool is_done = connect_all();

    for (size_t i = 0; i < STREAM_KEYS && is_done; i++) {
        const char *argv[] = {"RESTORE", stream_keys[i], "0", kept[i].bytes, "REPLACE"};
        size_t lens[] = {7, strlen(stream_keys[i]), 1, kept[i].len, 7};

        is_done = TELL("DEL", stream_keys[i]) && (kept[i].bytes == NULL || tell(5, argv, lens));
        free(kept[i].bytes);
        kept[i].bytes = NULL;
    }
    return disconnect(is_done);
}

/* Every server may use ROOM more than it does now. */
static bool make_small(void)
{
    bool is_done = connect_all();

    for (unsigned i = 0; i < servers_n && is_done; i++) {
        redisReply *reply = redisCommand(servers[i], "INFO memory");
        const char *used =
            reply != NULL && reply->type == REDIS_REPLY_STRING ? strstr(reply->str, "used_memory:") : NULL;
        unsigned long long bytes = used != NULL ? strtoull(used + 12, NULL, 10) + ROOM : 0;

        freeReplyObject(reply);
        reply = redisCommand(servers[i], "CONFIG SET maxmemory %llu maxmemory-policy noeviction", bytes);
        is_done = bytes > 0 && reply != NULL && reply->type == REDIS_REPLY_STATUS;
        freeReplyObject(reply);
    }
    return disconnect(is_done);
}

const raw_store raw_redis = {.wipe = wipe,
                             .put_record = put_record,
                             .make_newer = make_newer,
                             .put_unreadable_cutoff = put_unreadable_cutoff,
                             .keep_stream = keep_stream,
                             .put_stream_back = put_stream_back,
                             .make_small = make_small,
                             .unmake = unmake};
