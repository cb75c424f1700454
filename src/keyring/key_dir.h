/* SPDX-License-Identifier: Apache-2.0
 *
 * key_dir.h - the directory of key files: who may read it, its lock, and writing without half-written files.
 */
#ifndef LATCHKEY_KEYRING_KEY_DIR_H
#define LATCHKEY_KEYRING_KEY_DIR_H

#include "keyring/key_box.h"
#include <latchkey/keys.h>

#define LK__KEY_FILE_MAX 16384 /* bytes; the largest key, RSA of 4096 bits, has about 3,300 */
#define LK__KEYS_MAX 64        /* files in one directory, keys in one set */

typedef struct lk__key_dir {
    const lk_env *env;
    const char *path; /* the caller's, as the secret; outlives this */
    lk_view secret;   /* empty: files are written in clear */
    lk__key_box box;
    int fd;
    int lock_fd; /* -1: not locked */
} lk__key_dir;

/* Open the directory of PLACE; with CREATE, make it first (mode 0700) if need be. LK_OK; LK_MISS when it does
 * not exist; LK_REFUSED when others than its owner may look into it, or the owner is neither we nor root;
 * LK_FAULT. The note names the cure. Of others, one group may read what belongs to root (mode 0750, files
 * 0640): the one that the workers of a gateway run as, which hold the keys anyway. */
LK_CHECKED lk_status lk__key_dir_open(lk__key_dir *dir, const lk_env *env, const lk_key_place *place,
                                      bool create, lk_note *note);
void lk__key_dir_close(lk__key_dir *dir); /* releases the lock too, wipes the key of the seal */

/* A file that root makes in a directory that a group may read can be read by it, too. */
LK_CHECKED lk_status lk__key_dir_share(const lk__key_dir *dir, int fd);

/* A number for what is in the directory now, by the names, sizes and times of its files: it changes when any
 * of them is written, replaced or removed. LK_OK; LK_FAULT with a note. */
LK_CHECKED lk_status lk__key_dir_print(const lk__key_dir *dir, uint64_t *out, lk_note *note);

/* Lock DIR against other processes. Readers share; writers are alone. A reader of a directory that nobody has
 * ever written to through latchkey has no lock to take, and needs none. LK_OK; LK_FAULT, also when another
 * process holds it for ten seconds. */
LK_CHECKED lk_status lk__key_dir_lock(lk__key_dir *dir, bool for_writing, lk_note *note);

void lk__key_dir_unlock(lk__key_dir *dir);

/* Call VISIT with the kid (the file name without ".jwk") and the text of each key file, unsealed. Stops at
 * the first answer that is not LK_OK and gives it. LK_REFUSED for a file that others may read; LK_FAULT;
 * LK_FULL above LK__KEYS_MAX files. The text is wiped after each call. */
typedef lk_status (*lk__key_visit)(void *context, lk_view kid, lk_view text, lk_note *note);
LK_CHECKED lk_status lk__key_dir_each(lk__key_dir *dir, lk__key_visit visit, void *context, lk_note *note);

/* The same for the one file of KID. LK_MISS when there is none. */
LK_CHECKED lk_status lk__key_dir_one(lk__key_dir *dir, const char *kid, lk__key_visit visit, void *context,
                                     lk_note *note);

/* Is the file of KID sealed? */
LK_CHECKED lk_status lk__key_dir_is_sealed(const lk__key_dir *dir, const char *kid, bool *out, lk_note *note);

/* Write the file of KID, replacing one that is there: to a temporary name, synced, renamed, the directory
 * synced. Sealed when DIR has a secret. The caller holds the writing lock. LK_OK; LK_REFUSED for a secret
 * that is too short; LK_FAULT; then the old state is on disk. */
LK_CHECKED lk_status lk__key_dir_write(lk__key_dir *dir, const char *kid, lk_view text, lk_note *note);

/* Remove the file of KID and sync the directory. LK_OK, also when it is not there; LK_FAULT. */
LK_CHECKED lk_status lk__key_dir_remove(const lk__key_dir *dir, const char *kid, lk_note *note);

/* Remove temporary files that a crashed process has left. The caller holds the writing lock. */
void lk__key_dir_sweep(const lk__key_dir *dir);

/* May KID be the name of a key file? Only base64url characters: it can neither leave the directory nor hide.
 */
bool lk__is_own_kid(lk_view kid);

#endif
