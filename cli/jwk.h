/* SPDX-License-Identifier: Apache-2.0
 *
 * jwk.h - keys from a JWK file, for the commands that check tokens of others.
 */
#ifndef LATCHKEY_CLI_JWK_H
#define LATCHKEY_CLI_JWK_H

#include "command.h"
#include <latchkey/keyring.h>

/* The keys in PATH ("-" is standard input). CLI_YES; CLI_NO when it is no key set that may be used; CLI_FAULT
 * when it cannot be read. Free with lk_keyring_free. */
int cli_jwk_open(const cli *c, const char *path, lk_keyring **out);

#endif
