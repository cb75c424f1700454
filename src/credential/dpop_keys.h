/* SPDX-License-Identifier: Apache-2.0
 *
 * dpop_keys.h - keys of proofs, kept open: see dpop_keys.c.
 */
#ifndef LATCHKEY_CREDENTIAL_DPOP_KEYS_H
#define LATCHKEY_CREDENTIAL_DPOP_KEYS_H

#include "crypto/hash.h"
#include <latchkey/proof.h>

typedef struct lk__dpop_key lk__dpop_key;

/* What the key JWK, used with ALG, is kept under. LK_OK; LK_FULL for what is longer than a proof; LK_FAULT.
 */
LK_CHECKED lk_status lk__dpop_key_name(lk_alg alg, lk_view jwk, uint8_t out[LK_SHA256_LEN]);
/* The key NAME, which stays until it is released; NULL when it is not kept. */
lk__dpop_key *lk__dpop_key_hold(lk_dpop_keys *keys, const uint8_t name[LK_SHA256_LEN]);
const lk_keyring *lk__dpop_key_ring(const lk__dpop_key *key);
void lk__dpop_key_release(lk_dpop_keys *keys, lk__dpop_key *key);
/* Keep RING as NAME, in the place of the one that was used longest ago. Takes RING over in any case. */
void lk__dpop_key_keep(lk_dpop_keys *keys, const uint8_t name[LK_SHA256_LEN], lk_keyring *ring);

#endif
