/* SPDX-License-Identifier: Apache-2.0
 *
 * seen.c - last-seen times: kept in shared memory to the second, written to the store by tenths of the idle
 * time.
 */
#include "guard/guard_internal.h"
#include <string.h>

void lk__table_key_of(const lk_session_key *key, uint8_t out[LK_TABLE_KEY_LEN])
{
    memset(out, 0, LK_TABLE_KEY_LEN);
    memcpy(out, key->bytes, LK_SESSION_KEY_LEN);
}

int64_t lk__seen_s(lk_guard *g, const lk_session *s)
{
    uint8_t key[LK_TABLE_KEY_LEN];
    lk_entry entry;
    if (g->store_is_table)
        return s->seen_s;
    lk__table_key_of(&s->key, key);
    if (lk_table_get(g->parts.table, LK_ENTRY_NEAR, key, 0, NULL, 0, &entry) == LK_MISS)
        return s->seen_s;
    return (int64_t)entry.seen_s > s->seen_s ? (int64_t)entry.seen_s : s->seen_s;
}

static void queue(lk_guard *g, const lk_touch *touch)
{
    if (pthread_mutex_lock(&g->touch_lock) != 0)
        return;
    if (g->touches_n < LK_TOUCH_QUEUE_MAX)
        g->touches[g->touches_n++] = *touch;
    (void)pthread_mutex_unlock(&g->touch_lock);
}

/* Sessions without an idle limit are written hourly, for the list of "my sessions" only. */
static int64_t flush_step_s(const lk_session *s)
{
    int64_t step = s->idle_s > 0 ? s->idle_s / 10 : 3600;
    return step > 0 ? step : 1;
}

void lk__seen_note(lk_guard *g, const lk_session *s, int64_t seen_s, int64_t now_s)
{
    uint8_t key[LK_TABLE_KEY_LEN];
    lk_touch touch = {s->key, now_s};
    if (now_s <= seen_s || (s->flags & LK_SESSION_ENDING) != 0 || now_s > UINT32_MAX)
        return;
    if (g->store_is_table) {
        /* A session that is gone by now needs no time; the store in the table has no other failure. */
        (void)!lk_store_touch_many(g->parts.store, &touch, 1);
        return;
    }
    lk__table_key_of(&s->key, key);
    lk_session used = *s;
    used.seen_s = now_s;
    int64_t expires_s = lk__table_s(g, lk_session_ends_s(&used) + flush_step_s(s));
    lk_status status = lk_table_touch(g->parts.table, LK_ENTRY_NEAR, key, (uint32_t)now_s, expires_s, NULL);
    if (status == LK_MISS) {
        status = lk_table_put(g->parts.table, LK_ENTRY_NEAR, key, 0, expires_s, LK_VIEW("-"));
        if (status == LK_OK)
            status = lk_table_touch(g->parts.table, LK_ENTRY_NEAR, key, (uint32_t)now_s, expires_s, NULL);
    }
    /* Written when the time crosses a tenth of the idle limit, counted from what the store has: of many
     * requests one crosses. Without a table to keep the time in between, each new second is written. */
    int64_t step = status == LK_OK ? flush_step_s(s) : 1;
    if ((now_s - s->seen_s) / step > (seen_s - s->seen_s) / step)
        queue(g, &touch);
}
