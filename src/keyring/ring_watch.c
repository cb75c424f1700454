/* SPDX-License-Identifier: Apache-2.0
 *
 * ring_watch.c - a keyring that is in use sees new, changed and removed files.
 *
 * The files are read into a ring of its own beside the one in use; when all of it is good, a pointer is
 * exchanged, which every question to the ring reads first. What was in use stays for a minute: a signer or a
 * verifier is held for the length of one call and never across a wait, so a minute is for ever. Where six
 * rings wait already, a change waits for the first of them to go: whoever writes to the directory all the
 * time can fill no memory.
 *
 * The prepared HMACs of the root are those of the first ring for good: others keep pointers to them, and
 * another root is no change of keys but the loss of every session. It is refused.
 */
#include "keyring/ring.h"
#include <string.h>

#define GRACE_MS 60000
#define AGAIN_MS 10000 /* what could not be read may be a matter of rights or of a lock */

lk_status lk__ring_watch_start(lk_keyring *ring, const lk_key_place *place, uint64_t print)
{
    lk__ring_watch *w = lk_alloc(ring->env, sizeof(*w));

    if (w == NULL)
        return LK_FAULT;
    w->print = print;
    w->dir = lk_copy_text(ring->env, lk_view_of(place->dir));
    w->secret = (uint8_t *)lk_copy_text(ring->env, place->secret);
    w->secret_len = place->secret.len;
    if (w->dir == NULL || w->secret == NULL || pthread_mutex_init(&w->lock, NULL) != 0) {
        lk_free(ring->env, w->secret);
        lk_free(ring->env, w->dir);
        lk_free(ring->env, w);
        return LK_FAULT;
    }
    ring->watch = w;
    return LK_OK;
}

void lk__ring_watch_stop(lk_keyring *ring)
{
    lk__ring_watch *w = ring->watch;

    ring->watch = NULL;
    if (w == NULL)
        return;
    lk_keyring_free(atomic_exchange(&ring->newer, NULL));
    for (size_t i = 0; i < LK__RINGS_WAITING; i++)
        lk_keyring_free(w->waiting[i].ring);
    (void)pthread_mutex_destroy(&w->lock);
    lk_wipe(w->secret, w->secret_len);
    lk_free(ring->env, w->secret);
    lk_free(ring->env, w->dir);
    lk_free(ring->env, w);
}

/* Free the rings whose minute is over. A place for one more, or -1. */
static int make_room(lk__ring_watch *w, int64_t mono_ms)
{
    int room = -1;

    for (int i = 0; i < LK__RINGS_WAITING; i++) {
        if (w->waiting[i].ring != NULL && w->waiting[i].until_ms <= mono_ms) {
            lk_keyring_free(w->waiting[i].ring);
            w->waiting[i].ring = NULL;
        }
        if (w->waiting[i].ring == NULL)
            room = i;
    }
    return room;
}

/* Both made the same HMAC of one text: then they came of one root. */
static bool is_same_root(const lk_keyring *a, const lk_keyring *b)
{
    const lk_view text = LK_VIEW("latchkey root");
    uint8_t x[LK_MAC_LEN], y[LK_MAC_LEN];

    return lk_mac_run(&a->purposes[0], &text, 1, x) == LK_OK &&
           lk_mac_run(&b->purposes[0], &text, 1, y) == LK_OK &&
           lk_secret_equal(lk_view_make(x, sizeof(x)), lk_view_make(y, sizeof(y)));
}

/* Read DIR into a fresh ring that could take the place of RING. */
static lk_status read_again(const lk_keyring *ring, lk__key_dir *dir, lk_keyring **out, lk_note *note)
{
    lk_keyring *fresh = lk__ring_new(ring->env);
    lk_status status = fresh == NULL ? LK_FAULT : lk__key_dir_lock(dir, false, note);

    if (status == LK_OK)
        status = lk__ring_load(fresh, dir, note);
    if (status == LK_OK)
        status = lk__ring_check(fresh, dir->path, note);
    if (status == LK_OK && !is_same_root(ring, fresh)) {
        lk_note_set(
            note,
            "the key directory %s has another root secret (root-*.jwk) than before, with which no session "
            "could be found; put the old one back, or restart to begin anew",
            dir->path);
        status = LK_REFUSED;
    }
    if (status == LK_OK)
        *out = fresh;
    else
        lk_keyring_free(fresh);
    return status == LK_MISS ? LK_REFUSED : status;
}

/* A file that somebody is writing over in place may be met half-way: it is a fault only when it is still the
 * same the next time. */
static lk_status remember_bad(lk__ring_watch *w, uint64_t print, int64_t mono_ms, lk_status status)
{
    bool is_first = !w->is_bad || w->bad_print != print;

    w->is_bad = true;
    w->bad_print = print;
    w->again_ms = is_first ? mono_ms : mono_ms + AGAIN_MS;
    return is_first && status != LK_FAULT ? LK_MISS : status;
}

static lk_status look(lk_keyring *ring, lk__ring_watch *w, lk__key_dir *dir, lk_note *note)
{
    int64_t mono_ms = ring->env->mono_ms(ring->env);
    int room = make_room(w, mono_ms);
    lk_keyring *fresh = NULL, *before;
    uint64_t print = 0;
    lk_status status = lk__key_dir_print(dir, &print, note);
    bool is_new = print != w->print || lk_now_s(ring->env) >= lk__ring_now(ring)->changes_s;

    if (status != LK_OK)
        return status;
    if (w->is_bad && w->bad_print == print && mono_ms < w->again_ms)
        return LK_MISS;
    if (!is_new) {
        w->is_bad = false; /* somebody put back what was there */
        return LK_MISS;
    }
    if (room < 0)
        return LK_MISS;
    status = read_again(ring, dir, &fresh, note);
    if (status != LK_OK)
        return remember_bad(w, print, mono_ms, status);
    w->is_bad = false;
    w->print = print;
    before = atomic_exchange(&ring->newer, fresh);
    w->waiting[room].ring = before;
    w->waiting[room].until_ms = mono_ms + GRACE_MS;
    return LK_OK;
}

lk_status lk_keyring_refresh(lk_keyring *ring, lk_note *note)
{
    lk__ring_watch *w = ring->watch;
    lk_key_place place;
    lk__key_dir dir;
    lk_status status;

    if (w == NULL || pthread_mutex_trylock(&w->lock) != 0)
        return LK_MISS; /* another thread is at it */
    place = (lk_key_place){.dir = w->dir, .secret = lk_view_make(w->secret, w->secret_len)};
    status = lk__key_dir_open(&dir, ring->env, &place, false, note);
    if (status == LK_OK) {
        status = look(ring, w, &dir, note);
        lk__key_dir_close(&dir);
    } else if (status == LK_MISS) {
        status = LK_FAULT;
    }
    (void)pthread_mutex_unlock(&w->lock);
    return status;
}

/* --- Uses ------------------------------------------------------------------------------------------------
 */

static void take_uses(lk_keyring *ring, lk_key_used each, void *context)
{
    for (size_t i = 0; ring != NULL && i < ring->n; i++) {
        lk__entry *entry = &ring->entries[i];
        uint64_t signed_n = 0, verified_n = 0;

        if (entry->signer != NULL)
            signed_n = atomic_exchange_explicit(&entry->signer->used_n, 0, memory_order_relaxed);
        if (entry->verifier != NULL)
            verified_n = atomic_exchange_explicit(&entry->verifier->used_n, 0, memory_order_relaxed);
        if (signed_n + verified_n > 0)
            each(context, entry->info.kid, signed_n, verified_n);
    }
}

const void *lk_keyring_edition(const lk_keyring *ring)
{
    return lk__ring_now(ring);
}

void lk_keyring_uses(lk_keyring *ring, lk_key_used each, void *context)
{
    take_uses(ring, each, context);
    if (ring->watch == NULL)
        return;
    (void)pthread_mutex_lock(&ring->watch->lock);
    take_uses(atomic_load(&ring->newer), each, context);
    for (size_t i = 0; i < LK__RINGS_WAITING; i++)
        take_uses(ring->watch->waiting[i].ring, each, context);
    (void)pthread_mutex_unlock(&ring->watch->lock);
}
