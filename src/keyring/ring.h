/* SPDX-License-Identifier: Apache-2.0
 *
 * ring.h - the inside of a keyring; private to src/keyring.
 */
#ifndef LATCHKEY_KEYRING_RING_H
#define LATCHKEY_KEYRING_RING_H

#include "keyring/jwk.h"
#include "keyring/key_dir.h"
#include "keyring/key_life.h"
#include "keyring/keyring_internal.h"
#include <pthread.h>

typedef struct lk__entry {
    lk_key_info info; /* kid, alg, is_root; the rest is made of `life` when it is asked for */
    lk__key_life life;
    lk_signer *signer; /* NULL in a ring for checking only, for the root, and for keys that are gone */
    lk_verifier *verifier;
    char *public_jwk; /* for the JWK Set; NULL for a shared secret */
} lk__entry;

#define LK__RINGS_WAITING 6

/* What lk_keyring_refresh has to know; of a ring that was opened from a directory. */
typedef struct lk__ring_watch {
    pthread_mutex_t lock; /* one refresh at a time */
    char *dir;
    uint8_t *secret;
    size_t secret_len;
    uint64_t print;     /* of the files that were taken over last */
    uint64_t bad_print; /* of files that could not be, when is_bad */
    bool is_bad;
    int64_t again_ms; /* monotonic: when to try those again, though nothing has changed */

    /* Rings that were in use before. Somebody may still sign with what he took from one. */
    struct {
        lk_keyring *ring;
        int64_t until_ms; /* monotonic */
    } waiting[LK__RINGS_WAITING];
} lk__ring_watch;

struct lk_keyring {
    const lk_env *env;
    bool checks_only; /* from lk_keyring_from_jwk */
    bool has_root;
    size_t n;
    lk__entry entries[LK__KEYS_MAX];
    int64_t changes_s; /* when the first of the keys is gone */
    lk_mac purposes[LK_PURPOSE_COUNT];

    /* Of the ring that was handed out: what was read since, which answers in its place but for the purposes.
     */
    _Atomic(lk_keyring *) newer;
    lk__ring_watch *watch; /* NULL: never refreshed */
};

/* The ring that answers for RING now. */
static inline const lk_keyring *lk__ring_now(const lk_keyring *ring)
{
    const lk_keyring *newer = atomic_load_explicit(&ring->newer, memory_order_acquire);

    return newer != NULL ? newer : ring;
}

/* The key of ALG in RING that signs at NOW_S, or NULL. */
const lk__entry *lk__ring_signer(const lk_keyring *ring, lk_alg alg, int64_t now_s);

/* The entry of KID, or NULL. */
const lk__entry *lk__ring_find(const lk_keyring *ring, lk_view kid);

/* An empty ring, or NULL. */
lk_keyring *lk__ring_new(const lk_env *env);

/* Read the key that JWK describes into a new entry; with SIGNS, its signing half too, and prove that both
 * halves belong together. INFO gives kid, state and time. LK_OK; LK_REFUSED (kid there already, weak or
 * broken key); LK_FULL; LK_FAULT. */
LK_CHECKED lk_status lk__ring_add(lk_keyring *ring, const lk__jwk *jwk, const lk_key_info *info, bool signs,
                                  lk_note *note);

/* The key that JWK describes, which was added last, checks by the algorithm of JWK, too. LK_OK; LK_REFUSED;
 * LK_FAULT. */
LK_CHECKED lk_status lk__ring_add_other(lk_keyring *ring, const lk__jwk *jwk, lk_note *note);

/* Sort the entries, and find when the next of them goes. */
void lk__ring_settle(lk_keyring *ring);

/* Read all files of DIR into RING, which is empty. LK_OK, also when there are none; LK_REFUSED; LK_FULL;
 * LK_FAULT. The caller holds a lock. */
LK_CHECKED lk_status lk__ring_load(lk_keyring *ring, lk__key_dir *dir, lk_note *note);

/* Is TEXT (checked JSON) a key file that would be read without a fault? As lk__ring_load. */
LK_CHECKED lk_status lk__ring_prove(const lk_env *env, lk_view text, lk_note *note);

/* LK_OK; LK_MISS when RING, read from PATH, is empty; LK_REFUSED when it lacks its root. */
LK_CHECKED lk_status lk__ring_check(const lk_keyring *ring, const char *path, lk_note *note);

/* Make what RING, which has just been read from DIR, lacks of a root and of keys for ALGS. The caller holds
 * the writing lock. LK_OK; LK_REFUSED when there are keys but no root; LK_FAULT. */
LK_CHECKED lk_status lk__ring_fill(const lk_keyring *ring, lk__key_dir *dir, lk_alg_set algs, lk_note *note);

/* RING, read from PLACE whose files had PRINT, can be refreshed from now on. LK_OK; LK_FAULT. */
LK_CHECKED lk_status lk__ring_watch_start(lk_keyring *ring, const lk_key_place *place, uint64_t print);
void lk__ring_watch_stop(lk_keyring *ring);

#endif
