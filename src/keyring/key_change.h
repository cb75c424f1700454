/* SPDX-License-Identifier: Apache-2.0
 *
 * key_change.h - changing the files of a key directory: locked, read, changed, file by file.
 */
#ifndef LATCHKEY_KEYRING_KEY_CHANGE_H
#define LATCHKEY_KEYRING_KEY_CHANGE_H

#include "keyring/ring.h"

/* A directory that is locked for writing, and what is in it. */
typedef struct lk__key_change {
    lk__key_dir dir;
    lk_keyring *ring; /* NULL when it was not begun */
} lk__key_change;

/* Open the directory of PLACE, lock and read it. LEAVE_ROOM: keys that are gone are removed, and LK_FULL is
 * answered when it holds 64 all the same. Call lk__key_change_end in any case. */
LK_CHECKED lk_status lk__key_change_begin(lk__key_change *change, const lk_env *env,
                                          const lk_key_place *place, bool leave_room, lk_note *note);
void lk__key_change_end(lk__key_change *change);

/* Make a key, as lk_key_make. */
LK_CHECKED lk_status lk__key_make_in(lk__key_dir *dir, const lk_keyring *ring, const lk_key_place *place,
                                     lk_alg alg, lk_key_start start, char kid_out[LK_KID_MAX + 1],
                                     lk_note *note);

/* Every key of ALG in RING but KID that signs at FROM_S, or would, retires then. */
LK_CHECKED lk_status lk__keys_retire(lk__key_dir *dir, const lk_keyring *ring, const lk_key_place *place,
                                     lk_alg alg, const char *kid, int64_t from_s, lk_note *note);

#endif
