/* SPDX-License-Identifier: Apache-2.0
 *
 * sign_prepared.h - an OpenSSL key with its operation set up once; shared by ECDSA, RSA and
 * Ed448, private to src/crypto.
 */
#ifndef LATCHKEY_CRYPTO_SIGN_PREPARED_H
#define LATCHKEY_CRYPTO_SIGN_PREPARED_H

#include "crypto/sign.h"
#include <openssl/evp.h>
#include <stdatomic.h>

#define LK__IDLE_CONTEXTS 8 /* at most so many threads use one key without making a context each time */

/* EVP_PKEY_CTX may be used by one thread at a time. `ready` is never used itself, only copied; copies that
 * are not in use wait in `idle`. */
typedef struct lk__prepared {
    EVP_PKEY *pkey;
    EVP_MD *md; /* NULL, and no `ready`, when the scheme hashes the message itself */
    EVP_PKEY_CTX *ready;
    _Atomic(EVP_PKEY_CTX *) idle[LK__IDLE_CONTEXTS];
} lk__prepared;

/* What differs between the schemes. */
typedef struct lk__scheme {
    const char *md;       /* the hash; NULL: the scheme takes the whole message (Ed448) */
    int rsa_padding;      /* 0: none to be set */
    size_t signature_len; /* 0: that of the modulus */
    /* From OpenSSL's form of a signature to the raw form of JOSE and back; NULL when they are the same.
     * to_library: LK_OK or LK_REFUSED. from_library: LK_OK or LK_FAULT. */
    lk_status (*to_library)(lk_view raw, lk_buf *der);
    lk_status (*from_library)(lk_view der, lk_buf *raw);
} lk__scheme;

struct lk_public_key {
    const lk_env *env;
    const lk__scheme *scheme;
    size_t signature_len;
    lk__prepared *prepared; /* a pointer: taking a context out does not change the key */
};

struct lk_private_key {
    const lk_env *env;
    const lk__scheme *scheme;
    size_t signature_len;
    lk__prepared *prepared;
};

/* Both take PKEY over, also when they fail. LK_OK; LK_FAULT. */
LK_CHECKED lk_status lk__public_key_take(const lk_env *env, EVP_PKEY *pkey, const lk__scheme *scheme,
                                         lk_public_key **out);
LK_CHECKED lk_status lk__private_key_take(const lk_env *env, EVP_PKEY *pkey, const lk__scheme *scheme,
                                          lk_private_key **out);

#endif
