/* SPDX-License-Identifier: Apache-2.0
 *
 * alg_pair.c - what all algorithms on OpenSSL key pairs share.
 */
#include "keyring/alg_pair.h"

void lk__pair_clear_verifier(lk_verifier *verifier)
{
    lk_public_key_free(verifier->key.pair);
    verifier->key.pair = NULL;
}

void lk__pair_clear_signer(lk_signer *signer)
{
    lk_private_key_free(signer->key.pair);
    signer->key.pair = NULL;
}

lk_status lk__pair_verify(const lk_verifier *verifier, lk_view message, lk_view signature)
{
    return lk_public_key_verify(verifier->key.pair, message, signature);
}

lk_status lk__pair_sign(const lk_signer *signer, lk_view message, lk_buf *out)
{
    return lk_private_key_sign(signer->key.pair, message, out);
}
