/* SPDX-License-Identifier: Apache-2.0
 *
 * params.h - the fixed parameters of a simple token: name=value,name=value. Private to src/credential.
 *
 * In a value a comma is written %2C and a percent sign %25, and nothing else is: no value can bring a
 * parameter of its own along, and each value has one spelling. What a claim of lk_claims stands for has a
 * name that is kept for it: gen, ms, name, realm, roles, scope, sid.
 */
#ifndef LATCHKEY_CREDENTIAL_PARAMS_H
#define LATCHKEY_CREDENTIAL_PARAMS_H

#include <latchkey/credential.h>

#define LK__PARAMS_MAX 4096 /* bytes of all parameters */
#define LK__PARAMS_COUNT_MAX 40
#define LK__PARAM_NAME_MAX 32

/* Append the parameters of a token for CLAIMS to OUT, in their one order: those its claims stand for, and
 * those of CLAIMS->params. LK_OK; LK_REFUSED for a bad, repeated or kept name in CLAIMS->params, a value that
 * is not fit to be shown, or too many of them; LK_FULL. */
LK_CHECKED lk_status lk__params_write(const lk_claims *claims, lk_buf *out);

/* Fill the claims that PARAMS, which is fit to be shown, stand for; texts that were escaped go to SCRATCH.
 * LK_OK; LK_REFUSED when PARAMS is not in its one spelling or a value is not of its kind; LK_FULL. */
LK_CHECKED lk_status lk__params_read(lk_view params, lk_buf *scratch, lk_claims *out);

#endif
