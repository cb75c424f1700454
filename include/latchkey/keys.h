/* SPDX-License-Identifier: Apache-2.0
 *
 * keys.h - the life of keys: made, shown, signing, retiring, gone; and a keyring that sees it while it is
 * open.
 *
 *   pending  -> in the JWK Set, checks; signs from a time that stands in its file, or when it is told to
 *   active   -> signs and checks
 *   retiring -> checks, for as long as anything it signed can live
 *   gone     -> not loaded; `latchkey key prune` and the next rotation remove the file
 *
 * The times stand in the files, so all nodes that hold the same files change over at the same moment, and no
 * node has to ask another. docs/formats/keys.md
 */
#ifndef LATCHKEY_KEYS_H
#define LATCHKEY_KEYS_H

#include <latchkey/keyring.h>

#ifdef __cplusplus
extern "C" {
#endif

#define LK_KEY_NEVER INT64_MAX /* of a time that is not set */
#define LK_KEY_SECRET_MIN 16   /* bytes of a master secret; what is shorter is refused */
#define LK_KEY_SECRET_MAX 512

/* Where keys are, and by what rules they live. Everything is borrowed. lk_settings_key_place fills it. */
typedef struct lk_key_place {
    const char *dir;
    lk_view secret;    /* master secret: key files are written sealed under it; empty: in clear */
    int64_t publish_s; /* how long a new key is shown before it signs */
    int64_t life_s;    /* the longest life of anything that a key signs */
    lk_alg_set algs;   /* of these lk_keyring_open_at makes keys; 0: LK_ALGS_FIRST */
    uint32_t group;    /* who makes the directory as root gives it to this group to read; 0: to nobody */
} lk_key_place;

/* As lk_keyring_open, for keys that may be sealed. The ring keeps copies of DIR and the secret, for
 * lk_keyring_refresh; its memory is wiped when it is freed. Gives LK_REFUSED, with a sentence, for a wrong
 * secret, too. */
LK_CHECKED lk_status lk_keyring_open_at(const lk_env *env, const lk_key_place *place, bool create,
                                        lk_keyring **out, lk_note *note);

/* Look whether the files RING was read from have changed, or the time has come for one of them to go, and
 * take over what is new. Every function that takes RING answers by the new keys from then on; signers and
 * verifiers that were handed out before are good for another minute, prepared HMACs (lk_keyring_mac) for as
 * long as RING. Blocking: call it every second or so from a thread. Any number of threads may use RING
 * meanwhile. Gives LK_OK when something was taken over; LK_MISS when nothing is new; LK_REFUSED, LK_FULL,
 * LK_FAULT with a note: the keys stay as they were. */
LK_CHECKED lk_status lk_keyring_refresh(lk_keyring *ring, lk_note *note);

/* When does a new key begin to sign? */
typedef enum lk_key_start {
    LK_KEY_ON_DEMAND, /* when lk_key_activate says so */
    LK_KEY_PUBLISHED, /* after publish_s */
    LK_KEY_AT_ONCE    /* now. A node or checker that has not seen it yet refuses what it signs */
} lk_key_start;

/* Another value once lk_keyring_refresh has taken something over (and the old one not for a minute). Only to
 * be compared. */
const void *lk_keyring_edition(const lk_keyring *ring);

/* Make a key of ALG. With a start, the key that signs until then retires at that time, and is gone life_s and
 * publish_s later. KID_OUT receives the kid. A crash at any moment leaves whole files and a key that signs.
 * Files of keys that are gone are removed on the way.
 * Gives LK_OK; LK_STALE when START is LK_KEY_PUBLISHED and a new key is on its way already (KID_OUT says
 * which); LK_MISS when there is no directory; LK_REFUSED when it or a file in it is not in order, as for
 * lk_keyring_open; LK_FULL when it holds 64 keys; LK_FAULT. */
LK_CHECKED lk_status lk_key_make(const lk_env *env, const lk_key_place *place, lk_alg alg, lk_key_start start,
                                 char kid_out[LK_KID_MAX + 1], lk_note *note);

/* A private JWK from elsewhere becomes a pending key of ours (LK_KEY_ON_DEMAND); its own kid is kept when it
 * can be the name of a file. Same answers; LK_REFUSED also for a key that is public, weak, broken or of an
 * algorithm that is not known, or whose kid is taken. */
LK_CHECKED lk_status lk_key_import(const lk_env *env, const lk_key_place *place, lk_view jwk,
                                   char kid_out[LK_KID_MAX + 1], lk_note *note);

/* The pending key KID signs from now on. LK_OK; LK_MISS when there is no such key; LK_REFUSED when it is not
 * pending; the others as above. */
LK_CHECKED lk_status lk_key_activate(const lk_env *env, const lk_key_place *place, lk_view kid,
                                     lk_note *note);

/* The key KID signs no longer, and is gone when nothing it signed can be alive. LK_REFUSED when no other key
 * of its algorithm could sign in its place. */
LK_CHECKED lk_status lk_key_retire(const lk_env *env, const lk_key_place *place, lk_view kid, lk_note *note);

/* The key KID is in wrong hands: it is taken out now, and its file keeps nothing but its name, so that a copy
 * of the directory takes it out elsewhere. When it signed, a key that is pending takes its place at once, or
 * else a new one; REPLACEMENT receives the kid, or "". What it signed must be cut off besides
 * (lk_guard_cutoff at level `key`). LK_OK; LK_MISS; LK_REFUSED for the root secret. */
LK_CHECKED lk_status lk_key_burn(const lk_env *env, const lk_key_place *place, lk_view kid,
                                 char replacement[LK_KID_MAX + 1], lk_note *note);

/* Remove the files of keys that are gone. EACH (may be NULL) is told each kid. */
typedef void (*lk_key_each)(void *context, const char *kid);
LK_CHECKED lk_status lk_key_prune(const lk_env *env, const lk_key_place *place, lk_key_each each,
                                  void *context, lk_note *note);

/* Seal every file of the directory under the secret of PLACE, or put them in clear again. One file after the
 * other, each whole at any moment: after a crash some are sealed and some are not, which reads as well, and a
 * second call does the rest. *changed counts. */
LK_CHECKED lk_status lk_key_convert(const lk_env *env, const lk_key_place *place, bool seal, size_t *changed,
                                    lk_note *note);

/* Make a new key for each algorithm whose signing key is older than AGE_S less publish_s, unless one is on
 * its way. RING is asked first, so that it costs nothing until it is time. EACH is told each new kid. LK_OK
 * when keys were made; LK_MISS when it is not time; the others as for lk_key_make. Several processes may call
 * it. */
LK_CHECKED lk_status lk_key_rotate_due(const lk_keyring *ring, const lk_key_place *place, int64_t age_s,
                                       lk_key_each each, void *context, lk_note *note);

/* What RING's keys were used for since the last call, by this process: EACH is told a kid, how often it
 * signed, how often it proved something. */
typedef void (*lk_key_used)(void *context, const char *kid, uint64_t signed_n, uint64_t verified_n);
void lk_keyring_uses(lk_keyring *ring, lk_key_used each, void *context);

#ifdef __cplusplus
}
#endif
#endif
