/* SPDX-License-Identifier: Apache-2.0
 *
 * ring.h - the inside of a keyring; private to src/keyring.
 */
#ifndef LATCHKEY_KEYRING_RING_H
#define LATCHKEY_KEYRING_RING_H

#include "keyring/jwk.h"
#include "keyring/key_dir.h"
#include "keyring/keyring_internal.h"

typedef struct lk__entry {
    lk_key_info info;
    lk_signer *signer; /* NULL in a ring for checking only, and for the root */
    lk_verifier *verifier;
    char *public_jwk; /* for the JWK Set; NULL for a shared secret */
} lk__entry;

struct lk_keyring {
    const lk_env *env;
    bool checks_only; /* from lk_keyring_from_jwk */
    bool has_root;
    size_t n;
    lk__entry entries[LK__KEYS_MAX];
    const lk_signer *active[LK_ALG_COUNT]; /* points into entries */
    lk_mac purposes[LK_PURPOSE_COUNT];
};

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

/* Sort the entries and choose the signer of each algorithm. */
void lk__ring_settle(lk_keyring *ring);

/* Stretch the secret in the root key file TEXT for every purpose. LK_OK; LK_REFUSED; LK_FAULT. */
LK_CHECKED lk_status lk__ring_read_root(lk_keyring *ring, lk_view text, const lk_key_info *info,
                                        lk_note *note);

/* Read all files of DIR into RING, which is empty. LK_OK, also when there are none; LK_REFUSED; LK_FULL;
 * LK_FAULT. The caller holds a lock. */
LK_CHECKED lk_status lk__ring_load(lk_keyring *ring, const lk__key_dir *dir, lk_note *note);

/* Is there a root, and an active key of every algorithm in ALGS? */
bool lk__ring_is_complete(const lk_keyring *ring, lk_alg_set algs);

/* Make what RING, which has just been read from DIR, lacks of a root and of keys for ALGS. The caller holds
 * the writing lock. LK_OK; LK_REFUSED when there are keys but no root; LK_FAULT. */
LK_CHECKED lk_status lk__ring_fill(const lk_keyring *ring, const lk__key_dir *dir, lk_alg_set algs,
                                   lk_note *note);

#endif
