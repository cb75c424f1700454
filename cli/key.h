/* SPDX-License-Identifier: Apache-2.0
 *
 * key.h - what the files of `latchkey key` share.
 */
#ifndef LATCHKEY_CLI_KEY_H
#define LATCHKEY_CLI_KEY_H

#include "place.h"
#include <latchkey/keys.h>

/* The algorithm that argument number 0 or --alg names, LK_ALG_COUNT for none. CLI_YES or CLI_WRONG. */
int cli_key_alg(const cli *c, lk_alg *alg);

/* Open the keys of the settings, to change them, and become their owner; cli_key_close goes back. */
int cli_key_open(const cli *c, unsigned wanted, cli_place *place, lk_key_place *at);
void cli_key_close(cli_place *place);

/* Print what a change has made of KIDS, or what went wrong with WHAT. */
int cli_key_answer(const cli *c, cli_place *place, lk_status status, const char *kids, const char *what,
                   const lk_note *note);

/* The verbs of key_make.c and key_steps.c. */
int cli_key_new(cli *c);
int cli_key_rotate(cli *c);
int cli_key_import(cli *c);
int cli_key_activate(cli *c);
int cli_key_retire(cli *c);
int cli_key_burn(cli *c);
int cli_key_prune(cli *c);
int cli_key_encrypt(cli *c);
int cli_key_decrypt(cli *c);

#endif
