/* SPDX-License-Identifier: Apache-2.0
 *
 * view.c - this node's view of a remote store's stream: who follows it, how old it is, and the clock that the
 * nodes agree on.
 *
 * One process of the node follows: the one whose id is in LK_WORD_FOLLOWER and whose last sign of life is
 * recent. Following twice does no harm - cut-offs only rise and a copy is dropped twice - so a process that
 * was frozen and wakes up believing that it still follows breaks nothing.
 *
 * The view is as old as the beginning of the last look that reached the end of the stream. Every snapshot
 * from the start of the stream begins a new era of near copies, since it does not tell which sessions ended.
 */
#include "guard/guard_internal.h"
#include "guard/open_store.h"
#include <signal.h>
#include <string.h>
#include <time.h>

enum {
    BATCH = 64,
    WAIT_MS = 200,  /* in the store, for events; also how long closing may take */
    IDLE_MS = 50,   /* between looks while somebody else follows, or the store does not answer */
    BEHIND_MS = 3,  /* between looks while the replica is behind */
    DEAD_MS = 1000, /* without a sign of life of the follower, another takes over */
    AWAY_MS = 1000, /* without an answer, the store is away; */
    BACK_MS = 5000, /* and who comes again sooner than that was not back */
    BEAT_MS = 5000, /* a follower that asks a store which is away may take that long from beat to beat */
    AWAY_BITS = 24, /* of LK_WORD_AWAY: how long, in ms; above them when it ended (monotonic) */
    CLOCK_EVERY_MS = 5000,
    CLOCK_TRIES = 3
};

int64_t lk__mono_ms(const lk_guard *g)
{
    return g->parts.env->mono_ms(g->parts.env);
}

static _Atomic uint64_t *word(const lk_guard *g, unsigned index)
{
    return lk_table_word(g->parts.table, index);
}

static void raise_to(_Atomic uint64_t *w, uint64_t to)
{
    uint64_t there = atomic_load(w);
    while (there < to && !atomic_compare_exchange_weak(w, &there, to))
        continue;
}

int64_t lk__view_ms(const lk_guard *g)
{
    return (int64_t)atomic_load_explicit(word(g, LK_WORD_VIEW_MS), memory_order_acquire);
}

int64_t lk_guard_view_age_ms(const lk_guard *g)
{
    if (!g->store_is_remote)
        return 0;
    int64_t age_ms = lk__mono_ms(g) - lk__view_ms(g);
    return age_ms > 0 ? age_ms : 0;
}

int64_t lk_guard_clock_offset_ms(const lk_guard *g)
{
    return (int64_t)atomic_load_explicit(word(g, LK_WORD_CLOCK_OFFSET_MS), memory_order_relaxed);
}

/* ---- when the store was away ---- */

/* Somebody asks all the time, so that an old view means a store that does not answer, and not a node that was
 * not there. */
static bool is_followed(const lk_guard *g)
{
    int64_t silent_ms = lk__mono_ms(g) - (int64_t)atomic_load(word(g, LK_WORD_FOLLOWER_MS));
    return atomic_load(word(g, LK_WORD_FOLLOWER)) != 0 && silent_ms < BEAT_MS && silent_ms > -BEAT_MS;
}

/* The store answers a look that began at BEGUN_MS. Noted before the view is new, so that nobody finds a new
 * view and not what was before it. */
static void note_back(lk_guard *g, int64_t begun_ms)
{
    const uint64_t longest = (UINT64_C(1) << AWAY_BITS) - 1;
    int64_t since_ms = lk__view_ms(g);
    if (since_ms == 0 || begun_ms - since_ms <= AWAY_MS || !is_followed(g))
        return;
    uint64_t before = atomic_load(word(g, LK_WORD_AWAY));
    int64_t back_ms = (int64_t)(before >> AWAY_BITS);
    if (before != 0 && since_ms - back_ms < BACK_MS)
        since_ms = back_ms - (int64_t)(before & longest);
    uint64_t len = (uint64_t)(begun_ms - since_ms);
    atomic_store(word(g, LK_WORD_AWAY), (uint64_t)begun_ms << AWAY_BITS | (len < longest ? len : longest));
}

static int64_t shared_ms(int64_t from_ms, int64_t begin_ms, int64_t end_ms)
{
    int64_t ms = end_ms - (from_ms > begin_ms ? from_ms : begin_ms);
    return ms > 0 ? ms : 0;
}

int64_t lk__view_away_ms(const lk_guard *g, int64_t for_ms)
{
    const uint64_t longest = (UINT64_C(1) << AWAY_BITS) - 1;
    int64_t now_ms = lk__mono_ms(g), begin_ms = now_ms - for_ms, away_ms = 0;
    if (!g->store_is_remote)
        return 0;
    int64_t view_ms = lk__view_ms(g); /* before the word: see note_back */
    if (view_ms > 0 && now_ms - view_ms > AWAY_MS && is_followed(g))
        away_ms = shared_ms(view_ms, begin_ms, now_ms);
    uint64_t before = atomic_load(word(g, LK_WORD_AWAY));
    int64_t back_ms = (int64_t)(before >> AWAY_BITS);
    if (before != 0 && back_ms <= now_ms) /* else it is from before this machine was started */
        away_ms += shared_ms(back_ms - (int64_t)(before & longest), begin_ms, back_ms);
    return away_ms;
}

/* ---- what the stream tells ---- */

static lk_status apply(lk_guard *g, const lk_event *event)
{
    lk_guard_count(g, LK_COUNT_EVENTS);
    switch (event->kind) {
    case LK_EVENT_CUTOFF:
        return lk__cutoff_apply(g, &event->cutoff);
    case LK_EVENT_SESSION:
        lk__near_drop(g, &event->key);
        return LK_OK;
    }
    return LK_FAULT;
}

/* All that comes after *AT, *AT moving along. LK_OK at the end of the stream; LK_STALE; LK_FAULT. */
static lk_status read_on(lk_guard *g, lk_store *store, uint64_t *at)
{
    lk_event batch[BATCH];
    for (;;) {
        size_t n = BATCH;
        lk_status status = lk_store_events_since(store, *at, batch, &n);
        for (size_t i = 0; i < n && status == LK_OK; i++)
            status = apply(g, &batch[i]);
        if (status != LK_OK)
            return status == LK_STALE ? LK_STALE : LK_FAULT;
        if (n > 0)
            *at = batch[n - 1].seq;
        if (n < BATCH)
            return LK_OK;
    }
}

/* The snapshot may leave out sessions that ended: the copies there are go first, and what came while it was
 * read is read again from where the stream ended when the new era began. */
static lk_status read_all(lk_guard *g, uint64_t *at)
{
    uint64_t newest;
    lk_guard_count(g, LK_COUNT_RESYNC);
    lk__near_drop_all(g);
    lk_status status = lk_store_event_seq(g->parts.store, &newest);
    *at = 0;
    if (status == LK_OK)
        status = read_on(g, g->parts.store, at);
    *at = newest;
    return status == LK_STALE ? LK_FAULT : status;
}

/* From where this node stands to the end of the stream. LK_WORD_FOLLOWED holds one more than the number of
 * the last event, 0 when the stream was never read. */
static lk_status read_from(lk_guard *g, uint64_t followed, uint64_t *at)
{
    uint64_t newest;
    *at = followed > 0 ? followed - 1 : 0;
    if (followed == 0 || atomic_load(word(g, LK_WORD_INCOMPLETE)) != 0)
        return read_all(g, at);
    if (*at > 0) {
        lk_status status = read_on(g, g->parts.store, at);
        return status == LK_STALE ? read_all(g, at) : status;
    }
    /* The stream was empty, and AFTER = 0 would be the snapshot, which may leave out what came first. */
    if (lk_store_event_seq(g->parts.store, &newest) != LK_OK)
        return LK_FAULT;
    return newest > 0 ? read_all(g, at) : LK_OK;
}

static lk_status follow(lk_guard *g)
{
    _Atomic uint64_t *followed = lk__followed(g), *incomplete = word(g, LK_WORD_INCOMPLETE);
    uint64_t at, wanted = 0;
    int64_t begun_ms = lk__mono_ms(g);
    bool holes = atomic_load(incomplete) != 0;
    /* The view is of now when what is read from has reached what was written until now. Where the two are
     * one, the end of the stream is that. */
    lk_store *primary = lk_store_writes_to(g->parts.store);
    lk_status known = primary != g->parts.store ? lk_store_event_seq(primary, &wanted) : LK_OK;
    if (read_from(g, atomic_load(followed), &at) != LK_OK)
        return LK_FAULT;
    if (holes)
        atomic_store(incomplete, 0);
    atomic_store(followed, at + 1);
    if (known != LK_OK || at < wanted)
        return known != LK_OK ? LK_FAULT : LK_MISS;
    note_back(g, begun_ms);
    raise_to(word(g, LK_WORD_VIEW_MS), (uint64_t)begun_ms);
    return LK_OK;
}

/* LK_OK: the view is of now; LK_MISS: the replica is behind; LK_FAULT. Whoever waited for the lock while
 * another thread looked has that look. */
static lk_status follow_once(lk_guard *g)
{
    int64_t asked_ms = lk__mono_ms(g);
    lk_status status = LK_OK;
    if (pthread_mutex_lock(&g->follow_lock) != 0)
        return LK_FAULT;
    if ((int64_t)atomic_load(word(g, LK_WORD_VIEW_MS)) <= asked_ms ||
        atomic_load(word(g, LK_WORD_INCOMPLETE)) != 0)
        status = follow(g);
    (void)pthread_mutex_unlock(&g->follow_lock);
    return status;
}

lk_status lk__view_follow(lk_guard *g)
{
    return follow_once(g) == LK_OK ? LK_OK : LK_FAULT;
}

lk_status lk__view_of_primary(lk_guard *g)
{
    lk_store *primary = lk_store_writes_to(g->parts.store);
    uint64_t followed = atomic_load(lk__followed(g)), at = followed > 0 ? followed - 1 : 0;
    if (primary == g->parts.store || pthread_mutex_lock(&g->follow_lock) != 0)
        return LK_FAULT;
    lk_status status = read_on(g, primary, &at);
    at = 0;
    if (status == LK_STALE)
        status = read_on(g, primary, &at);
    (void)pthread_mutex_unlock(&g->follow_lock);
    return status == LK_OK ? LK_OK : LK_FAULT;
}

void lk__view_hear(lk_guard *g)
{
    if (g->store_is_remote && lk__view_follow(g) != LK_OK)
        (void)!lk__view_of_primary(g);
}

/* ---- the clock of the store ---- */

/* The sample with the shortest way there and back errs least. (Cristian 1989) */
static void check_clock(lk_guard *g)
{
    const lk_env *base = lk__clock_base(g->parts.env);
    int64_t best_ms = INT64_MAX, offset_ms = 0;
    for (unsigned i = 0; i < CLOCK_TRIES; i++) {
        int64_t sent_ms = lk_now_ms(base), there_ms;
        if (lk_store_time_ms(g->parts.store, &there_ms) != LK_OK)
            return;
        int64_t took_ms = lk_now_ms(base) - sent_ms;
        if (took_ms < 0 || took_ms >= best_ms) /* below 0: our own clock was set meanwhile */
            continue;
        best_ms = took_ms;
        offset_ms = there_ms - (sent_ms + took_ms / 2);
    }
    if (best_ms == INT64_MAX)
        return;
    /* What is within the error of the measurement is not worth a step of the clock. */
    int64_t change_ms = offset_ms - lk_guard_clock_offset_ms(g);
    if (change_ms > best_ms / 2 + 1 || change_ms < -best_ms / 2 - 1)
        atomic_store(word(g, LK_WORD_CLOCK_OFFSET_MS), (uint64_t)offset_ms);
    g->clock_checked_ms = lk__mono_ms(g);
}

/* ---- the follower ---- */

static bool leads(lk_guard *g)
{
    _Atomic uint64_t *who = word(g, LK_WORD_FOLLOWER), *beat = word(g, LK_WORD_FOLLOWER_MS);
    uint64_t there = atomic_load(who), now_ms = (uint64_t)lk__mono_ms(g), me = g->follower_id;
    if (lk__followed(g) != word(g, LK_WORD_FOLLOWED)) { /* the next configuration follows by now */
        (void)atomic_compare_exchange_strong(who, &me, 0);
        return false;
    }
    bool is_dead = now_ms > atomic_load(beat) + DEAD_MS || now_ms + DEAD_MS < atomic_load(beat);
    if (there != g->follower_id) {
        if (there != 0 && !is_dead)
            return false;
        if (!atomic_compare_exchange_strong(who, &there, g->follower_id))
            return false;
    }
    atomic_store(beat, now_ms);
    return true;
}

static void rest(int64_t wait_ms)
{
    struct timespec t = {.tv_sec = 0, .tv_nsec = wait_ms * 1000000};
    (void)nanosleep(&t, NULL);
}

static void *follower_main(void *argument)
{
    lk_guard *g = argument;
    while (!atomic_load(&g->stopping)) {
        if (!leads(g)) {
            rest(IDLE_MS);
            continue;
        }
        if (lk__mono_ms(g) - g->clock_checked_ms > CLOCK_EVERY_MS)
            check_clock(g);
        lk_status status = follow_once(g);
        if (status == LK_OK)
            status = lk_store_events_wait(g->parts.store, atomic_load(lk__followed(g)) - 1, WAIT_MS);
        if (status != LK_OK)
            rest(status == LK_MISS ? BEHIND_MS : IDLE_MS);
    }
    uint64_t me = g->follower_id;
    (void)atomic_compare_exchange_strong(word(g, LK_WORD_FOLLOWER), &me, 0);
    return NULL;
}

lk_status lk_guard_start_follower(lk_guard *g)
{
    sigset_t all, before;
    if (!g->store_is_remote || g->has_follower)
        return LK_OK;
    if (lk_random(g->parts.env, &g->follower_id, sizeof(g->follower_id)) != LK_OK)
        return LK_FAULT;
    g->follower_id |= 1;
    /* Signals are for the threads of the program. */
    (void)sigfillset(&all);
    if (pthread_sigmask(SIG_SETMASK, &all, &before) != 0)
        return LK_FAULT;
    g->has_follower = pthread_create(&g->follower, NULL, follower_main, g) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    return g->has_follower ? LK_OK : LK_FAULT;
}

/* A name for the store that is followed, so that a table left by another store is read from its start. The
 * two of a move have a name of their own: which of their streams is followed depends on both. */
static uint64_t name_of_store(const lk_guard *g)
{
    const lk_settings *s = g->parts.settings;
    uint8_t key[LK_TABLE_KEY_LEN], room[2 * LK_URL_MAX + 2];
    lk_buf text = lk_buf_over(room, sizeof(room));
    uint64_t name;
    lk_buf_add_text(&text, s->store);
    if (lk__is_between_stores(s)) {
        lk_buf_add_text(&text, s->move_to[0] != '\0' ? ">" : "<");
        lk_buf_add_text(&text, s->move_store);
    }
    lk_table_key(g->parts.table, LK_ENTRY_CUTOFF, lk_buf_view(&text), key);
    memcpy(&name, key, sizeof(name));
    return name;
}

bool lk__followed_claim(lk_guard *g)
{
    g->store_name = name_of_store(g);
    return atomic_exchange(word(g, LK_WORD_STORE), g->store_name) != g->store_name;
}

_Atomic uint64_t *lk__followed(lk_guard *g)
{
    return atomic_load(word(g, LK_WORD_STORE)) == g->store_name ? word(g, LK_WORD_FOLLOWED)
                                                                : &g->followed_apart;
}

lk_status lk__view_open(lk_guard *g)
{
    if (pthread_mutex_init(&g->follow_lock, NULL) != 0)
        return LK_FAULT;
    /* A view from the future is one from before this machine was started: its monotonic clock began again. */
    bool is_old = (int64_t)atomic_load(word(g, LK_WORD_VIEW_MS)) > lk__mono_ms(g);
    if (is_old)
        atomic_store(word(g, LK_WORD_VIEW_MS), 0);
    if (lk__followed_claim(g) || is_old)
        atomic_store(word(g, LK_WORD_FOLLOWED), 0);
    check_clock(g);
    lk_status status = follow_once(g);
    /* A replica that is behind is caught up with by the follower; until then the view has no age to trust. */
    if (status == LK_OK || status == LK_MISS)
        return LK_OK;
    (void)pthread_mutex_destroy(&g->follow_lock);
    return LK_FAULT;
}

void lk__view_stop(lk_guard *g)
{
    atomic_store(&g->stopping, true);
    if (g->has_follower)
        (void)pthread_join(g->follower, NULL);
    g->has_follower = false;
}

void lk__view_close(lk_guard *g)
{
    (void)pthread_mutex_destroy(&g->follow_lock);
}
