/* SPDX-License-Identifier: Apache-2.0
 *
 * copies.c - a sealed session that somebody copied: whoever falls behind gives both away.
 *
 * A box is handed out anew by tenths of its idle time, each of the next generation, and the browser forgets
 * the one before. Requests that were on their way may still show that, never an older one. So a box that is
 * two generations behind the newest this node was shown comes from somebody who kept one: the browser it was
 * taken from, or who took it. Which of the two cannot be told, and the session ends for both. The newest
 * generation is kept in the table of each node, and forgotten with it; the end is a cut-off, for every node.
 *
 * Two who keep in step, each within a tenth of the idle time of the other, are not seen.
 */
#include "guard/guard_internal.h"
#include <string.h>

enum { BEHIND = 2 };

/* Beside the entry of a session in a store, which has the last four bytes at zero. */
static void key_of(const lk_session_key *key, uint8_t out[LK_TABLE_KEY_LEN])
{
    lk__table_key_of(key, out);
    out[LK_TABLE_KEY_LEN - 1] = 1;
}

/* Remember that GENERATION was shown. Without room for it nothing is noticed, and nobody is kept out. */
static void note(lk_guard *g, const uint8_t key[LK_TABLE_KEY_LEN], const lk_session *s, bool is_there)
{
    lk_session used = *s;
    used.seen_s = lk_now_s(g->parts.env);
    int64_t expires_s = lk__table_s(g, lk_session_ends_s(&used));
    lk_status status = LK_OK;
    if (!is_there)
        status = lk_table_put(g->parts.table, LK_ENTRY_NEAR, key, 0, expires_s, LK_VIEW("g"));
    if (status == LK_OK)
        (void)!lk_table_touch(g->parts.table, LK_ENTRY_NEAR, key, s->generation, expires_s, NULL);
}

/* The cut-off is written by upkeep, which may block; on this node it holds at once. */
static void end_both(lk_guard *g, const lk_session *s)
{
    lk_cutoff c = {
        .level = LK_LEVEL_SESSION, .reason = LK_REASON_REVOKED, .before_ms = lk__cutoff_time_ms(g)};
    char public_id[LK_PUBLIC_ID_LEN + 1];
    lk_public_id_write(&s->key, public_id);
    c.until_s = lk__cutoff_until_s(g->parts.settings, c.level, c.before_ms / 1000);
    if (lk_cutoff_key(c.level, s->realm, lk_view_make(public_id, LK_PUBLIC_ID_LEN), c.key) == LK_OK)
        (void)!lk__cutoff_apply(g, &c); /* without room the view is marked as having holes: nobody gets in */
    if (pthread_mutex_lock(&g->touch_lock) != 0)
        return;
    if (g->copies_n < LK_COPIES_MAX)
        g->copies[g->copies_n++] = c;
    (void)pthread_mutex_unlock(&g->touch_lock);
    lk_guard_count(g, LK_COUNT_COPIES);
}

bool lk__sealed_looks_behind(lk_guard *g, const lk_session *s)
{
    uint8_t key[LK_TABLE_KEY_LEN];
    lk_entry entry;
    key_of(&s->key, key);
    return lk_table_get(g->parts.table, LK_ENTRY_NEAR, key, 0, NULL, 0, &entry) != LK_MISS &&
           (uint64_t)entry.seen_s >= (uint64_t)s->generation + BEHIND;
}

bool lk__sealed_is_behind(lk_guard *g, const lk_session *s)
{
    uint8_t key[LK_TABLE_KEY_LEN];
    lk_entry entry;
    key_of(&s->key, key);
    bool is_there = lk_table_get(g->parts.table, LK_ENTRY_NEAR, key, 0, NULL, 0, &entry) != LK_MISS;
    if (is_there && (uint64_t)entry.seen_s >= (uint64_t)s->generation + BEHIND) {
        end_both(g, s);
        return true;
    }
    if (!is_there || entry.seen_s < s->generation)
        note(g, key, s, is_there);
    return false;
}

lk_status lk__copies_tell(lk_guard *g)
{
    lk_cutoff copies[LK_COPIES_MAX];
    size_t n;
    lk_status status = LK_OK;
    if (pthread_mutex_lock(&g->touch_lock) != 0)
        return LK_FAULT;
    n = g->copies_n;
    memcpy(copies, g->copies, n * sizeof(copies[0]));
    g->copies_n = 0;
    (void)pthread_mutex_unlock(&g->touch_lock);
    for (size_t i = 0; i < n; i++) {
        lk_status one = lk_store_cutoff_append(g->parts.store, &copies[i]);
        if (one == LK_OK)
            continue;
        status = one;
        if (pthread_mutex_lock(&g->touch_lock) != 0)
            continue;
        if (g->copies_n < LK_COPIES_MAX)
            g->copies[g->copies_n++] = copies[i]; /* the next upkeep tries again */
        (void)pthread_mutex_unlock(&g->touch_lock);
    }
    return status;
}
