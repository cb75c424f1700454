/* SPDX-License-Identifier: Apache-2.0
 *
 * trust_sets.c - the key sets of other issuers: when they are fetched, and how long they are good.
 *
 *   never had         nothing can be told of the issuer's tokens: unknown, never refused
 *   fresh             as long as the server says (Cache-Control), at most max_age=, at least every=
 *   due               asked for again, at most once in every=; a key nobody knows asks as well
 *   cannot be had     the one there is stays good for keep= after it was due; then as if it was never had
 *
 * A file is looked at every second, and read when it is another one.
 */
#include "crypto/mac.h"
#include "guard/trust_internal.h"
#include <string.h>
#include <sys/stat.h>
#include <time.h>

enum {
    FILE_MS = 1000,
    CLAIM_MS = LK__FETCH_MS + 2000, /* no fetch takes longer, so whoever has the place then is dead */
    WAIT_STEP_MS = 10,
    WAITERS_MAX = 4 /* threads of one process that wait for one fetch */
};

static int64_t every_ms(const lk_trust *t)
{
    return lk__jwks_path(t) != NULL ? FILE_MS : t->every_s * 1000;
}

/* ---- the set of this process ---- */

static lk__trust_set *set_new(lk_guard *g, lk_keyring *ring, lk_view text, uint64_t seq)
{
    uint8_t hash[LK_MAC_LEN] = {0};
    const lk_view parts[] = {LK_VIEW("key set"), lk_view_make("", 1), text};
    lk__trust_set *set = lk_alloc(g->parts.env, sizeof(*set));
    if (set == NULL ||
        lk_mac_run(lk_keyring_mac(g->parts.ring, LK_PURPOSE_VERIFIED_TOKEN), parts, 3, hash) != LK_OK) {
        lk_free(g->parts.env, set);
        return NULL;
    }
    atomic_init(&set->refs, 1);
    set->ring = ring;
    set->seq = seq;
    memcpy(&set->id, hash, sizeof(set->id));
    set->id |= 1; /* 0 stands for our own keys */
    return set;
}

static void set_drop(const lk_env *env, lk__trust_set *set)
{
    if (set == NULL || atomic_fetch_sub(&set->refs, 1) != 1)
        return;
    lk_keyring_free(set->ring);
    lk_free(env, set);
}

static lk__trust_set *set_take(lk__trusted *t)
{
    (void)pthread_mutex_lock(&t->lock);
    lk__trust_set *set = t->set;
    if (set != NULL)
        (void)atomic_fetch_add(&set->refs, 1);
    (void)pthread_mutex_unlock(&t->lock);
    return set;
}

/* A set that is older than what is there comes too late. */
static void set_put(const lk_env *env, lk__trusted *t, lk__trust_set *set)
{
    (void)pthread_mutex_lock(&t->lock);
    bool newer = t->set == NULL || t->set->seq <= set->seq;
    lk__trust_set *old = newer ? t->set : set;
    if (newer)
        t->set = set;
    (void)pthread_mutex_unlock(&t->lock);
    set_drop(env, old);
}

static uint64_t set_seq(lk__trusted *t)
{
    (void)pthread_mutex_lock(&t->lock);
    uint64_t seq = t->set != NULL ? t->set->seq : 0;
    (void)pthread_mutex_unlock(&t->lock);
    return seq;
}

void lk__trust_release(lk_guard *g, lk__trust_set *set)
{
    set_drop(g->parts.env, set);
}

uint64_t lk__trusts_mark(const lk_guard *g)
{
    return g->trusts != NULL ? atomic_load_explicit(&g->trusts->changes, memory_order_acquire) : 0;
}

/* ---- what may be done now ---- */

static lk__room_facts look(lk_guard *g, uint32_t i)
{
    return lk__room_look(g->trusts->room, i, lk__mono_ms(g));
}

static bool is_usable(const lk_trust *t, const lk__room_facts *f, int64_t now_ms)
{
    return f->seq != 0 && now_ms - f->fresh_ms < t->keep_s * 1000;
}

static bool may_try(const lk_trust *t, const lk__room_facts *f, int64_t now_ms)
{
    return !f->claimed && (f->tried_ms == INT64_MIN || now_ms - f->tried_ms >= every_ms(t));
}

lk__trust_set *lk__trust_hold(lk_guard *g, uint32_t i)
{
    lk__trusted *t = &g->trusts->all[i];
    lk__room_facts f = look(g, i);
    return is_usable(t->conf, &f, lk__mono_ms(g)) ? set_take(t) : NULL;
}

bool lk__trust_may_look(lk_guard *g, uint32_t i)
{
    lk__trusted *t = &g->trusts->all[i];
    lk__room_facts f = look(g, i);
    return f.claimed || f.seq != set_seq(t) || may_try(t->conf, &f, lk__mono_ms(g));
}

bool lk_guard_trust_is_due(lk_guard *g, uint32_t i)
{
    if (g->trusts == NULL || i >= g->trusts->n)
        return false;
    lk__trusted *t = &g->trusts->all[i];
    lk__room_facts f = look(g, i);
    int64_t now_ms = lk__mono_ms(g);
    return f.seq != set_seq(t) || ((f.seq == 0 || now_ms >= f.fresh_ms) && may_try(t->conf, &f, now_ms));
}

bool lk_guard_trust_state(lk_guard *g, uint32_t i, lk_trust_state *out)
{
    if (g->trusts == NULL || i >= g->trusts->n)
        return false;
    const lk_trust *t = g->trusts->all[i].conf;
    lk__room_facts f = look(g, i);
    int64_t now_ms = lk__mono_ms(g);
    *out = (lk_trust_state){.issuer = t->issuer,
                            .known = f.seq != 0,
                            .usable = is_usable(t, &f, now_ms),
                            .age_ms = f.seq != 0 && now_ms > f.known_ms ? now_ms - f.known_ms : 0,
                            .fetches = f.fetches,
                            .failures = f.failures};
    return true;
}

/* ---- reading a set ---- */

lk_alg_set lk_trust_algs(const lk_trust *t)
{
    return (t->algs != 0 ? t->algs : LK_ALGS_PUBLIC) & LK_ALGS_PUBLIC;
}

/* What is wrong with a set is told by rule and member, never by its text. */
static lk_status read_ring(const lk_env *env, const lk_trust *t, lk_view text, lk_keyring **out,
                           lk_note *note)
{
    lk_note inner = {""};
    lk_status status = lk_keyring_from_jwks_public(env, text, lk_trust_algs(t), out, &inner);
    if (status != LK_OK)
        lk_note_set(note, "the key set at %s cannot be used: %s", t->jwks, inner.text);
    return status == LK_OK ? LK_OK : LK_FAULT;
}

/* Make TEXT, number SEQ in the room, the set of this process. */
static lk_status adopt(lk_guard *g, lk__trusted *t, lk_keyring *ring, lk_view text, uint64_t seq,
                       lk_note *note)
{
    lk__trust_set *set = set_new(g, ring, text, seq);
    if (set != NULL) {
        set_put(g->parts.env, t, set);
        (void)atomic_fetch_add(&g->trusts->changes, 1);
        return LK_OK;
    }
    lk_keyring_free(ring);
    lk_note_set(note, "out of memory");
    return LK_FAULT;
}

/* Take over what another process has put into the room. */
static lk_status take_over(lk_guard *g, uint32_t i, lk_buf *text, lk_note *note)
{
    lk__trusted *t = &g->trusts->all[i];
    lk_keyring *ring = NULL;
    uint64_t seq = lk__room_read(g->trusts->room, i, text);
    if (seq == 0 || seq == set_seq(t))
        return LK_MISS;
    lk_status status = read_ring(g->parts.env, t->conf, lk_buf_view(text), &ring, note);
    return status == LK_OK ? adopt(g, t, ring, lk_buf_view(text), seq, note) : status;
}

/* ---- fetching ---- */

/* How long TEXT need not be asked for again. */
static int64_t fresh_ms(const lk_trust *t, int64_t said_s)
{
    if (lk__jwks_path(t) != NULL)
        return FILE_MS;
    int64_t fresh_s = said_s < 0 || said_s > t->max_age_s ? t->max_age_s : said_s;
    return (fresh_s < t->every_s ? t->every_s : fresh_s) * 1000;
}

/* Is the file the one that was read last? Two that are written within one tick of its clock have other
 * lengths or other numbers, if they were renamed into place; who writes in place waits a second. */
static bool is_same_file(lk__trusted *t, const char *path, bool note_it)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return false;
    bool same = t->file_ino == st.st_ino && t->file_len == st.st_size &&
                t->file_at.tv_sec == st.st_mtim.tv_sec && t->file_at.tv_nsec == st.st_mtim.tv_nsec;
    if (note_it) {
        t->file_ino = st.st_ino;
        t->file_len = st.st_size;
        t->file_at = st.st_mtim;
    }
    return same;
}

static lk_status fetch(lk_guard *g, uint32_t i, lk_buf *text, lk_note *note)
{
    lk__trusted *t = &g->trusts->all[i];
    const char *path = lk__jwks_path(t->conf);
    lk_keyring *ring = NULL;
    int64_t said_s = -1;
    uint64_t seq, before = set_seq(t);
    /* Noted before it is read: one that changes meanwhile is read again. */
    if (path != NULL && is_same_file(t, path, true) && before != 0) {
        int64_t now_ms = lk__mono_ms(g);
        lk__room_confirm(g->trusts->room, i, now_ms, now_ms + FILE_MS);
        return LK_MISS;
    }
    lk_status status = lk__jwks_fetch(t->conf, text, &said_s, note);
    if (status == LK_OK)
        status = read_ring(g->parts.env, t->conf, lk_buf_view(text), &ring, note);
    if (status != LK_OK) {
        t->file_ino = 0;
        return status;
    }
    int64_t now_ms = lk__mono_ms(g);
    lk__room_publish(g->trusts->room, i, lk_buf_view(text), now_ms, now_ms + fresh_ms(t->conf, said_s), &seq);
    if (seq == before) {
        lk_keyring_free(ring);
        return LK_MISS;
    }
    return adopt(g, t, ring, lk_buf_view(text), seq, note);
}

/* Another thread, or another process, is asking: wait for what it learns. */
static void wait_for_other(lk_guard *g, uint32_t i)
{
    lk__trusted *t = &g->trusts->all[i];
    const struct timespec step = {0, WAIT_STEP_MS * 1000000L};
    if (atomic_fetch_add(&t->waiters, 1) < WAITERS_MAX)
        for (int n = 0; n < CLAIM_MS / WAIT_STEP_MS && look(g, i).claimed; n++)
            (void)nanosleep(&step, NULL);
    (void)atomic_fetch_sub(&t->waiters, 1);
}

lk_status lk_guard_trust_look(lk_guard *g, uint32_t i, lk_note *note)
{
    if (g->trusts == NULL || i >= g->trusts->n)
        return LK_MISS;
    lk_trust_room *room = g->trusts->room;
    uint8_t *memory = lk_alloc(g->parts.env, LK_JWKS_MAX);
    if (memory == NULL) {
        lk_note_set(note, "out of memory");
        return LK_FAULT;
    }
    lk_buf text = lk_buf_over(memory, LK_JWKS_MAX);
    if (look(g, i).claimed)
        wait_for_other(g, i);
    lk_status status = take_over(g, i, &text, note);
    lk__room_facts f = look(g, i);
    int64_t now_ms = lk__mono_ms(g);
    if (status != LK_OK && may_try(g->trusts->all[i].conf, &f, now_ms) &&
        lk__room_claim(room, i, now_ms, now_ms + CLAIM_MS)) {
        text.len = 0;
        text.full = false;
        status = fetch(g, i, &text, note);
        if (status == LK_FAULT)
            lk__room_failed(room, i);
        lk__room_done(room, i);
    }
    lk_free(g->parts.env, memory);
    return status;
}

lk_status lk_trust_fetch(const lk_env *env, const lk_trust *t, lk_keyring **out, lk_note *note)
{
    int64_t said_s;
    *out = NULL;
    uint8_t *memory = lk_alloc(env, LK_JWKS_MAX);
    if (memory == NULL) {
        lk_note_set(note, "out of memory");
        return LK_FAULT;
    }
    lk_buf text = lk_buf_over(memory, LK_JWKS_MAX);
    lk_status status = lk__jwks_fetch(t, &text, &said_s, note);
    if (status == LK_OK)
        status = read_ring(env, t, lk_buf_view(&text), out, note);
    lk_free(env, memory);
    return status;
}

/* ---- opened and closed with the guard ---- */

lk_status lk__trusts_open(lk_guard *g, lk_note *note)
{
    const lk_settings *s = g->parts.settings;
    if (s->trusts_n == 0)
        return LK_OK;
    g->trusts = lk_alloc(g->parts.env, sizeof(*g->trusts));
    if (g->trusts == NULL)
        goto fault;
    g->trusts->room = g->parts.trust;
    g->trusts->owns_room = g->parts.trust == NULL;
    if (g->trusts->owns_room && lk_trust_room_make(s, NULL, &g->trusts->room) != LK_OK)
        goto fault;
    for (; g->trusts->n < s->trusts_n; g->trusts->n++) {
        lk__trusted *t = &g->trusts->all[g->trusts->n];
        t->conf = &s->trusts[g->trusts->n];
        if (pthread_mutex_init(&t->lock, NULL) != 0)
            goto fault;
    }
    return LK_OK;
fault:
    lk__trusts_close(g);
    lk_note_set(note, "out of memory");
    return LK_FAULT;
}

void lk__trusts_close(lk_guard *g)
{
    if (g->trusts == NULL)
        return;
    for (uint32_t i = 0; i < g->trusts->n; i++) {
        set_drop(g->parts.env, g->trusts->all[i].set);
        (void)pthread_mutex_destroy(&g->trusts->all[i].lock);
    }
    if (g->trusts->owns_room)
        lk_trust_room_free(g->trusts->room);
    lk_free(g->parts.env, g->trusts);
    g->trusts = NULL;
}
