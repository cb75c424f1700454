/* SPDX-License-Identifier: Apache-2.0
 *
 * algorithm.h - a row per signature algorithm: how its keys are read and made, how it signs and verifies.
 *
 * To add one: a member of LK_ALGS, its row in a file alg_*.c, a line in algorithm.c. Nothing else in latchkey
 * asks which algorithm a key is for.
 */
#ifndef LATCHKEY_KEYRING_ALGORITHM_H
#define LATCHKEY_KEYRING_ALGORITHM_H

#include <latchkey/keyring.h>

typedef struct lk__algorithm lk__algorithm;
struct lk__algorithm {
    lk_alg alg;
    const char *name;       /* of ours, one for each row */
    const char *jose;       /* what stands in headers and keys: "EdDSA" for both of its curves */
    const char *kty, *crv;  /* JWK members that say what kind of key it is; crv NULL: has none */
    const char *kid_prefix; /* of the kids we make */
    bool is_shared;         /* one secret signs and verifies: never published, never beside public keys */
    unsigned variant;       /* which of its family, for the functions below */

    /* Names of JWK members, each list ends with NULL. */
    const char *const *public_members;
    const char *const *private_members;

    /* Read the key in JWK (checked JSON, an object). LK_OK; LK_REFUSED with a note that names the rule;
     * LK_FAULT. On anything but LK_OK nothing is held. OUT knows its row already. */
    lk_status (*read_verifier)(const lk_env *env, lk_view jwk, lk_verifier *out, lk_note *note);
    lk_status (*read_signer)(const lk_env *env, lk_view jwk, lk_signer *out, lk_note *note);
    void (*clear_verifier)(lk_verifier *verifier);
    void (*clear_signer)(lk_signer *signer);

    lk_status (*verify)(const lk_verifier *verifier, lk_view message, lk_view signature);
    lk_status (*sign)(const lk_signer *signer, lk_view message, lk_buf *out);

    /* Make a key and append its JWK members (`"kty":"oct","k":"..."`) to OUT. LK_OK, LK_FULL, LK_FAULT. */
    lk_status (*generate)(const lk__algorithm *algorithm, const lk_env *env, lk_buf *out);
};

/* The row of ALG; never NULL. */
const lk__algorithm *lk__algorithm_of(lk_alg alg);

/* "HS256 (oct), ES256 (EC P-256), ...": for sentences that refuse the others. */
void lk__algorithm_list(lk_buf *out);

extern const lk__algorithm lk__hs256, lk__hs384, lk__hs512;
extern const lk__algorithm lk__es256, lk__es384, lk__es512;
extern const lk__algorithm lk__rs256, lk__rs384, lk__rs512, lk__ps256, lk__ps384, lk__ps512;
extern const lk__algorithm lk__eddsa, lk__ed448;

#endif
