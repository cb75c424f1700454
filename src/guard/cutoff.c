/* SPDX-License-Identifier: Apache-2.0
 *
 * cutoff.c - the view of the cut-offs in shared memory, and how it follows the store's stream.
 *
 * An entry is named by its level and key and holds the latest "issued up to" time:
 *
 *   offset  bytes
 *   0       8      before_ms
 *   8       8      until_s
 *   16      1      reason
 *   17      1      level   } where the sessions live in the table itself, whose store keeps no stream: so
 * that 18      ..     key     } a move to another store can take them along
 */
#include "guard/guard_internal.h"
#include "guard/table_cutoffs.h"
#include <stdatomic.h>
#include <string.h>

enum { VALUE_LEN = 17, VALUE_MAX = VALUE_LEN + 1 + LK_CUTOFF_KEY_MAX, BATCH = 64 };

static void name_of(const lk_guard *g, lk_level level, lk_view key, uint8_t out[LK_TABLE_KEY_LEN])
{
    uint8_t memory[LK_CUTOFF_KEY_MAX + 2];
    lk_buf name = lk_buf_over(memory, sizeof(memory));
    lk_buf_add_byte(&name, (uint8_t)level);
    lk_buf_add(&name, key);
    lk_table_key(g->parts.table, LK_ENTRY_CUTOFF, lk_buf_view(&name), out);
}

static size_t write_value(const lk_guard *g, const lk_cutoff *c, uint8_t out[VALUE_MAX])
{
    size_t key_len = strnlen(c->key, LK_CUTOFF_KEY_MAX);
    memcpy(out, &c->before_ms, 8);
    memcpy(out + 8, &c->until_s, 8);
    out[16] = (uint8_t)c->reason;
    if (!g->store_is_table)
        return VALUE_LEN;
    out[VALUE_LEN] = (uint8_t)c->level;
    memcpy(out + VALUE_LEN + 1, c->key, key_len);
    return VALUE_LEN + 1 + key_len;
}

static lk_reason reason_of(uint8_t number)
{
    return number < LK_REASON_COUNT ? (lk_reason)number : LK_REASON_REVOKED;
}

/* ---- what the table says by itself ---- */

typedef struct listing {
    lk__cutoff_each each;
    void *context;
} listing;

static bool list_one(void *context, const uint8_t key[LK_TABLE_KEY_LEN], const lk_entry *entry, lk_view value)
{
    const listing *l = context;
    lk_cutoff c = {.seq = 0};
    (void)key;
    (void)entry;
    if (value.len <= VALUE_LEN || value.len > VALUE_MAX || value.p[VALUE_LEN] >= LK_LEVEL_COUNT)
        return true;
    memcpy(&c.before_ms, value.p, 8);
    memcpy(&c.until_s, value.p + 8, 8);
    c.reason = reason_of(value.p[16]);
    c.level = (lk_level)value.p[VALUE_LEN];
    memcpy(c.key, value.p + VALUE_LEN + 1, value.len - VALUE_LEN - 1);
    /* What this table forgot at its beginning is nobody else's affair. */
    return (c.level == LK_LEVEL_ALL && c.reason == LK_REASON_EXPIRED) || l->each(l->context, &c);
}

lk_status lk__table_cutoffs(struct lk_table *table, lk__cutoff_each each, void *context)
{
    listing l = {each, context};
    uint64_t cursor = 0;
    lk_status status;
    do
        status = lk_table_list(table, LK_ENTRY_CUTOFF, 0, &cursor, BATCH, list_one, &l);
    while (status == LK_OK && cursor != 0);
    return status == LK_OK ? LK_OK : LK_FAULT;
}

/* The entry of KEY at LEVEL. LK_OK, LK_MISS, or LK_FAULT when it cannot be read. */
static lk_status look_up(lk_guard *g, lk_level level, lk_view key, lk_cutoff *c, lk_entry *entry)
{
    uint8_t name[LK_TABLE_KEY_LEN], value[VALUE_MAX];
    name_of(g, level, key, name);
    lk_status status = lk_table_get(g->parts.table, LK_ENTRY_CUTOFF, name, 0, value, sizeof(value), entry);
    if (status == LK_MISS)
        return LK_MISS;
    if (status != LK_OK || entry->len < VALUE_LEN)
        return LK_FAULT;
    memcpy(&c->before_ms, value, 8);
    memcpy(&c->until_s, value + 8, 8);
    c->reason = reason_of(value[16]);
    return LK_OK;
}

/* A few rounds: another process may be raising the same entry. */
static lk_status raise_entry(lk_guard *g, const lk_cutoff *c)
{
    uint8_t name[LK_TABLE_KEY_LEN], value[VALUE_MAX];
    lk_status status = LK_FAULT;
    name_of(g, c->level, lk_view_of(c->key), name);
    for (unsigned round = 0; round < 1000; round++) {
        lk_cutoff there;
        lk_entry entry;
        lk_cutoff merged = *c;
        status = look_up(g, c->level, lk_view_of(c->key), &there, &entry);
        if (status == LK_FAULT)
            return LK_FAULT;
        if (status == LK_OK && there.before_ms >= c->before_ms && there.until_s >= c->until_s)
            return LK_OK;
        if (status == LK_OK && there.before_ms > c->before_ms) {
            merged.before_ms = there.before_ms;
            merged.reason = there.reason;
        }
        if (status == LK_OK && there.until_s > c->until_s)
            merged.until_s = there.until_s;
        lk_view v = lk_view_make(value, write_value(g, &merged, value));
        status = status == LK_OK ? lk_table_put_if(g->parts.table, LK_ENTRY_CUTOFF, name, entry.version,
                                                   lk__table_s(g, merged.until_s), v)
                                 : lk_table_add(g->parts.table, LK_ENTRY_CUTOFF, name, 0,
                                                lk__table_s(g, merged.until_s), v);
        if (status == LK_OK || status == LK_FULL || status == LK_FAULT)
            return status;
    }
    return status == LK_OK ? LK_OK : LK_FAULT;
}

void lk__cutoff_time_after(lk_guard *g, int64_t at_ms)
{
    _Atomic uint64_t *newest = lk_table_word(g->parts.table, LK_WORD_NEWEST_MS);
    uint64_t there = atomic_load(newest);
    while (there < (uint64_t)at_ms && !atomic_compare_exchange_weak(newest, &there, (uint64_t)at_ms))
        continue;
}

lk_status lk__cutoff_apply(lk_guard *g, const lk_cutoff *c)
{
    if (c->until_s <= lk_now_s(g->parts.env) || c->before_ms < 0)
        return LK_OK;
    lk__cutoff_time_after(g, c->before_ms);
    lk_status status = raise_entry(g, c);
    if (status != LK_OK) {
        atomic_store(lk_table_word(g->parts.table, LK_WORD_INCOMPLETE), 1);
        (void)atomic_fetch_add(lk_table_word(g->parts.table, LK_WORD_CUTOFFS), 1);
        return status;
    }
    /* The level's word is raised after the entry is there; who reads the word first and skips the level asked
     * before the revocation was acknowledged. */
    (void)atomic_fetch_add(lk_table_word(g->parts.table, LK_WORD_LEVELS + (unsigned)c->level), 1);
    (void)atomic_fetch_add(lk_table_word(g->parts.table, LK_WORD_CUTOFFS), 1);
    return LK_OK;
}

lk_status lk_guard_follow(lk_guard *g)
{
    if (g->store_is_remote)
        return lk__view_follow(g);
    _Atomic uint64_t *followed = lk__followed(g);
    _Atomic uint64_t *incomplete = lk_table_word(g->parts.table, LK_WORD_INCOMPLETE);
    uint64_t newest, at = atomic_load(followed);
    if (lk_store_event_seq(g->parts.store, &newest) != LK_OK)
        return LK_FAULT;
    bool holes = atomic_load(incomplete) != 0;
    if (newest == at && !holes)
        return LK_OK;
    /* With holes, or a stream that is shorter than what was followed (another store under the old table), the
     * whole stream is read again: entries only ever rise, so reading twice does no harm. */
    if (holes || newest < at)
        at = 0;
    lk_event batch[BATCH];
    for (;;) {
        size_t n = BATCH;
        lk_status status = lk_store_events_since(g->parts.store, at, batch, &n);
        for (size_t i = 0; i < n && status == LK_OK; i++)
            status = lk__cutoff_apply(g, &batch[i].cutoff); /* inline stores write no other events */
        if (status != LK_OK)
            return LK_FAULT;
        if (n > 0)
            at = batch[n - 1].seq;
        if (n < BATCH)
            break;
    }
    if (holes)
        atomic_store(incomplete, 0);
    atomic_store(followed, at > newest ? at : newest);
    return LK_OK;
}

lk_subject lk__subject_of_session(const lk_session *s)
{
    return (lk_subject){.realm = s->realm,
                        .roles = s->roles,
                        .user = s->user,
                        .device = s->device,
                        .session = &s->key,
                        .issued_ms = s->issued_s * 1000 + s->issued_ms};
}

lk_subject lk__subject_of_claims(const lk_claims *claims)
{
    return (lk_subject){.realm = claims->realm,
                        .roles = claims->roles,
                        .client = claims->client,
                        .user = claims->user,
                        .device = claims->device,
                        .family = claims->client.len > 0 ? claims->id : (lk_view){0},
                        .session = claims->has_session ? &claims->session : NULL,
                        .issued_ms = claims->issued_s * 1000 + claims->issued_ms};
}

/* What the levels of one subject give: the newest cut-off met, and the reason of one that reaches issued_ms.
 */
typedef struct sweep_state {
    lk_guard *g;
    int64_t issued_ms;
    int64_t latest_ms;
    lk_reason why;
    bool cut;
    bool fault;
    lk__cutoff_seen seen; /* NULL: nobody watches */
    void *context;
} sweep_state;

static bool level_is_used(const lk_guard *g, lk_level level)
{
    return atomic_load_explicit(lk_table_word(g->parts.table, LK_WORD_LEVELS + (unsigned)level),
                                memory_order_acquire) != 0;
}

static void ask(sweep_state *s, lk_level level, lk_view realm, lk_view key)
{
    char name[LK_CUTOFF_KEY_MAX + 1];
    lk_cutoff c;
    lk_entry entry;
    if (lk_cutoff_key(level, realm, key, name) != LK_OK) {
        s->fault = true;
        return;
    }
    lk_status status = look_up(s->g, level, lk_view_of(name), &c, &entry);
    if (status == LK_FAULT)
        s->fault = true;
    if (s->seen != NULL)
        s->seen(s->context, level, name, status == LK_OK ? &c : NULL);
    if (status != LK_OK)
        return;
    if (c.before_ms > s->latest_ms)
        s->latest_ms = c.before_ms;
    if (s->issued_ms <= c.before_ms && !s->cut) {
        s->cut = true;
        s->why = c.reason;
    }
}

static void ask_all(sweep_state *s, const lk_subject *subject)
{
    const struct {
        lk_level level;
        lk_view key;
    } single[] = {{LK_LEVEL_CLIENT, subject->client},
                  {LK_LEVEL_USER, subject->user},
                  {LK_LEVEL_DEVICE, subject->device},
                  {LK_LEVEL_FAMILY, subject->family}};
    if (level_is_used(s->g, LK_LEVEL_ALL))
        ask(s, LK_LEVEL_ALL, (lk_view){0}, (lk_view){0});
    if (level_is_used(s->g, LK_LEVEL_REALM))
        ask(s, LK_LEVEL_REALM, subject->realm, (lk_view){0});
    if (level_is_used(s->g, LK_LEVEL_ROLE)) {
        lk_view roles = subject->roles, role;
        while (lk_words_next(&roles, &role))
            ask(s, LK_LEVEL_ROLE, subject->realm, role);
    }
    for (size_t i = 0; i < sizeof(single) / sizeof(single[0]); i++)
        if (single[i].key.len > 0 && level_is_used(s->g, single[i].level))
            ask(s, single[i].level, subject->realm, single[i].key);
    if (subject->session != NULL && level_is_used(s->g, LK_LEVEL_SESSION)) {
        char public_id[LK_PUBLIC_ID_LEN + 1];
        lk_public_id_write(subject->session, public_id);
        ask(s, LK_LEVEL_SESSION, subject->realm, lk_view_make(public_id, LK_PUBLIC_ID_LEN));
    }
}

lk_status lk__cutoffs_check(lk_guard *g, const lk_subject *subject, lk_reason *why)
{
    return lk__cutoffs_watch(g, subject, NULL, NULL, why);
}

lk_status lk__cutoffs_watch(lk_guard *g, const lk_subject *subject, lk__cutoff_seen seen, void *context,
                            lk_reason *why)
{
    sweep_state s = {.g = g, .issued_ms = subject->issued_ms, .seen = seen, .context = context};
    if (atomic_load_explicit(lk_table_word(g->parts.table, LK_WORD_INCOMPLETE), memory_order_acquire) != 0)
        return LK_FAULT;
    ask_all(&s, subject);
    if (s.cut) {
        *why = s.why;
        return LK_STALE;
    }
    return s.fault ? LK_FAULT : LK_OK;
}

lk_status lk__cutoffs_check_key(lk_guard *g, lk_view kid, lk_reason *why)
{
    /* Who holds a stolen key writes any time of issue he likes, so the times are not compared. */
    sweep_state s = {.g = g, .issued_ms = INT64_MIN};
    if (!level_is_used(g, LK_LEVEL_KEY))
        return LK_OK;
    ask(&s, LK_LEVEL_KEY, (lk_view){0}, kid);
    if (s.cut) {
        *why = s.why;
        return LK_STALE;
    }
    return s.fault ? LK_FAULT : LK_OK;
}

int64_t lk__issue_time_ms(lk_guard *g, const lk_subject *subject)
{
    int64_t now_ms = lk_now_ms(g->parts.env);
    sweep_state s = {.g = g, .issued_ms = INT64_MAX};
    ask_all(&s, subject);
    return s.latest_ms >= now_ms ? s.latest_ms + 1 : now_ms;
}

int64_t lk__cutoff_time_ms(lk_guard *g)
{
    _Atomic uint64_t *newest = lk_table_word(g->parts.table, LK_WORD_NEWEST_MS);
    uint64_t before = atomic_load(newest), now_ms = (uint64_t)lk_now_ms(g->parts.env), mine;
    do {
        mine = before >= now_ms ? before + 1 : now_ms;
    } while (!atomic_compare_exchange_weak(newest, &before, mine));
    return (int64_t)mine;
}

/* Devices outlive all else by far, so only what is meant for many, or for them, is kept as long: one word for
 * each logout would fill the table. What a logout ends of a device is in the accounts. */
static bool reaches_devices(lk_level level)
{
    return level == LK_LEVEL_ALL || level == LK_LEVEL_REALM || level == LK_LEVEL_ROLE ||
           level == LK_LEVEL_USER || level == LK_LEVEL_DEVICE;
}

int64_t lk__cutoff_until_s(const lk_settings *s, lk_level level, int64_t now_s)
{
    const int64_t lives[] = {s->absolute_s,  s->remember_s, s->anonymous_s,
                             s->token_ttl_s, s->jwt_ttl_s,  s->refresh_ttl_s};
    int64_t longest = 0;
    for (size_t i = 0; i < sizeof(lives) / sizeof(lives[0]); i++)
        if (lives[i] > longest)
            longest = lives[i];
    if (s->device_on && reaches_devices(level) && s->device_absolute_s > longest)
        longest = s->device_absolute_s;
    /* A day more than anything can live: settings may be lowered while older credentials are still out. */
    return now_s + longest + 86400;
}
