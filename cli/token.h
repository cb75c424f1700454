/* SPDX-License-Identifier: Apache-2.0
 *
 * token.h - the parts of latchkey token, one file each.
 */
#ifndef LATCHKEY_CLI_TOKEN_H
#define LATCHKEY_CLI_TOKEN_H

#include "place.h"

int cli_token_mint(cli *c);
int cli_token_verify(cli *c);
int cli_token_inspect(cli *c);

#define CLI_SCRATCH_MAX (2 * LK_CREDENTIAL_MAX)

/* Check TEXT, of whatever token kind its shape says. LK_OK, or the reason in *WHY and NOTE. */
LK_CHECKED lk_status cli_token_check(const lk_keyring *ring, lk_view text, const lk_expect *expect,
                                     lk_buf *scratch, lk_claims *out, lk_reason *why, lk_note *note);

extern const cli_option cli_token_mint_options[];
extern const cli_option cli_token_verify_options[];

#endif
