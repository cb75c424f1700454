/* SPDX-License-Identifier: Apache-2.0
 *
 * limit.c - latchkey_limit at a login. The store ends whom the limit ends, in the step that creates; a token
 * asks no store, so the tokens of those that were ended are cut off here, before the login is answered. A
 * token that another login makes in between keeps its own short life at most: its session, and with it every
 * renewal by a refresh token, has ended.
 */
#include "guard/guard_internal.h"
#include <string.h>

lk_limit lk__limit_of(const lk_guard *g, const lk_session *s, bool *refused)
{
    const lk_settings *settings = g->parts.settings;
    return (lk_limit){.max = lk_settings_user_limit(settings),
                      .class_max = lk_settings_class_limit(settings, s->device_class),
                      .victim = settings->limit_victim,
                      .fence_s = lk_now_s(g->parts.env) + settings->fence_s,
                      .refused = refused};
}

static bool collect(void *context, const lk_session *s)
{
    lk__tokens *tokens = context;
    if ((s->flags & LK_SESSION_TOKEN) != 0)
        tokens->keys[tokens->n++] = s->key;
    return tokens->n < LK__TOKENS_MAX;
}

lk_status lk__limit_look(lk_guard *g, const lk_session *s, const lk_limit *limit, lk__tokens *tokens)
{
    uint64_t cursor = 0;
    lk_status status = LK_OK;
    tokens->n = 0;
    if ((limit->max == 0 && limit->class_max == 0) || limit->victim == LK_VICTIM_REFUSE)
        return LK_OK;
    do
        status = lk_store_list_by_user(g->parts.store, s->realm, s->user, &cursor, LK__TOKENS_MAX, collect,
                                       tokens);
    while (status == LK_OK && cursor != 0 && tokens->n < LK__TOKENS_MAX);
    return status;
}

/* Was the session KEY ended by a limit? LK_OK: cut its tokens off; LK_MISS; LK_FAULT. */
static lk_status was_ended(lk_guard *g, const lk_session_key *key)
{
    uint8_t record[LK_HEAD_MAX];
    lk_load load = {.key = *key, .head_only = true, .buf = record, .cap = sizeof(record)};
    if (lk_store_load_many(g->parts.store, &load, 1) != LK_OK || load.status == LK_FAULT)
        return LK_FAULT;
    return load.status == LK_STALE && load.why == LK_REASON_REPLACED ? LK_OK : LK_MISS;
}

lk_status lk__limit_carry_out(lk_guard *g, const lk_session *s, const lk__tokens *tokens)
{
    char public_id[LK_PUBLIC_ID_LEN + 1];
    for (size_t i = 0; i < tokens->n; i++) {
        lk_status status = was_ended(g, &tokens->keys[i]);
        if (status == LK_MISS)
            continue;
        lk_public_id_write(&tokens->keys[i], public_id);
        if (status == LK_OK)
            status = lk_guard_cutoff(g, LK_LEVEL_SESSION, s->realm, lk_view_of(public_id), LK_REASON_REPLACED,
                                     NULL, NULL);
        if (status != LK_OK)
            return status;
    }
    return LK_OK;
}
