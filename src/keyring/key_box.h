/* SPDX-License-Identifier: Apache-2.0
 *
 * key_box.h - a key file sealed under the master secret. docs/formats/keys.md
 */
#ifndef LATCHKEY_KEYRING_KEY_BOX_H
#define LATCHKEY_KEYRING_KEY_BOX_H

#include "crypto/mac.h"
#include "crypto/stretch.h"
#include <latchkey/env.h>

/* What the secret was stretched into last: all files of a directory have one salt as a rule, and stretching
 * takes ten milliseconds. */
typedef struct lk__key_box {
    bool has_key;
    uint8_t salt[LK_STRETCH_SALT_LEN];
    uint32_t memory_kib, passes;
    lk_mac key;
} lk__key_box;

void lk__key_box_wipe(lk__key_box *box);

/* Is the key file TEXT (any bytes) a sealed one? */
bool lk__key_is_sealed(lk_view text);

/* Append the key file of KID that says TEXT, sealed, to OUT. LK_OK; LK_REFUSED for a secret that is too
 * short; LK_FULL; LK_FAULT. */
LK_CHECKED lk_status lk__key_seal(lk__key_box *box, const lk_env *env, lk_view secret, lk_view kid,
                                  lk_view text, lk_buf *out, lk_note *note);

/* Append what the sealed file TEXT of KID says to OUT. LK_OK; LK_REFUSED with a note: no or a wrong secret,
 * or the file was changed; LK_FULL; LK_FAULT. */
LK_CHECKED lk_status lk__key_unseal(lk__key_box *box, lk_view secret, lk_view kid, lk_view text, lk_buf *out,
                                    lk_note *note);

#endif
