/* SPDX-License-Identifier: Apache-2.0
 *
 * alg_pair.h - what all algorithms on OpenSSL key pairs share; private to src/keyring.
 */
#ifndef LATCHKEY_KEYRING_ALG_PAIR_H
#define LATCHKEY_KEYRING_ALG_PAIR_H

#include "keyring/keyring_internal.h"

void lk__pair_clear_verifier(lk_verifier *verifier);
void lk__pair_clear_signer(lk_signer *signer);
LK_CHECKED lk_status lk__pair_verify(const lk_verifier *verifier, lk_view message, lk_view signature);
LK_CHECKED lk_status lk__pair_sign(const lk_signer *signer, lk_view message, lk_buf *out);

#endif
