/* SPDX-License-Identifier: Apache-2.0
 *
 * jwk.h - keys from a file, for the commands that check tokens of others.
 */
#ifndef LATCHKEY_CLI_JWK_H
#define LATCHKEY_CLI_JWK_H

#include "command.h"
#include <latchkey/keyring.h>

#define CLI_ALGS                                                                                             \
    "EdDSA, Ed448, ES256, ES384, ES512, RS256, RS384, RS512, PS256, PS384, PS512, HS256, HS384 or HS512"

/* The keys in PATH ("-" is standard input): a JWK, a JWK Set or a public key in PEM; for the algorithm of the
 * option --alg when it was given. CLI_YES; CLI_WRONG for an algorithm there is not; CLI_NO when it is no key
 * set that may be used; CLI_FAULT when it cannot be read. Free with lk_keyring_free. */
int cli_jwk_open(const cli *c, const char *path, lk_keyring **out);

/* latchkey key thumbprint FILE: print the RFC 7638 thumbprint of the one key in FILE. */
int cli_key_thumbprint(cli *c);

#endif
