/* SPDX-License-Identifier: Apache-2.0
 *
 * scan.c - walking over all session keys of a server, a bounded step at a time (SCAN, never KEYS).
 */
#include "store/redis/redis_inner.h"
#include <string.h>

lk_status lk__redis_scan(lk__redis *r, unsigned node, uint64_t *cursor, unsigned count, const char *pattern,
                         redisReply **out, int64_t until_ms)
{
    lk__redis_text n = lk__redis_number(count), at = lk__redis_number((int64_t)*cursor);
    const lk_view argv[6] = {LK_VIEW("SCAN"),    lk__redis_view(&at), LK_VIEW("COUNT"),
                             lk__redis_view(&n), LK_VIEW("MATCH"),    lk_view_of(pattern)};
    lk__redis_ask ask = {.argv = argv, .argc = pattern != NULL ? 6 : 4, .has_node = true, .node = node};
    int64_t next;
    lk_status status = lk__redis_run(r, &ask, 1, until_ms, LK__REDIS_TWICE, NULL);

    *out = NULL;
    if (status == LK_OK && (ask.reply->type != REDIS_REPLY_ARRAY || ask.reply->elements != 2 ||
                            ask.reply->element[1]->type != REDIS_REPLY_ARRAY ||
                            lk_parse_i64(lk__redis_bytes(ask.reply->element[0]), &next) != LK_OK))
        status = LK_FAULT;
    if (status == LK_OK) {
        *cursor = (uint64_t)next;
        *out = ask.reply;
        ask.reply = NULL;
    }
    lk__redis_asks_free(&ask, 1);
    return status;
}

/* The session that the key NAME, found by its prefix, is of. */
static bool read_key(lk_view prefix, lk_view name, lk_session_key *out)
{
    return name.len == prefix.len + LK_PUBLIC_ID_LEN &&
           lk_public_id_read(lk_view_part(name, prefix.len, LK_PUBLIC_ID_LEN), out) == LK_OK;
}

lk_status lk__redis_scan_sessions(lk__redis *r, unsigned node, uint64_t *cursor, unsigned count,
                                  lk__redis_scanned *out, int64_t until_ms)
{
    lk__redis_text prefix = lk__redis_session_prefix(r), pattern = prefix;
    redisReply *reply;
    lk_status status;

    memcpy(pattern.bytes + pattern.len, "*", 2);
    out->n = 0;
    status = lk__redis_scan(r, node, cursor, count, (const char *)pattern.bytes, &reply, until_ms);
    if (status != LK_OK)
        return status;
    for (size_t i = 0; i < reply->element[1]->elements; i++) {
        if (out->n == LK__REDIS_SCAN_MAX)
            status = LK_FAULT; /* many times what was asked for */
        else
            out->n += read_key(lk__redis_view(&prefix), lk__redis_bytes(reply->element[1]->element[i]),
                               &out->keys[out->n]);
    }
    freeReplyObject(reply);
    return status;
}
