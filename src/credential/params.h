/* SPDX-License-Identifier: Apache-2.0
 *
 * params.h - the fixed parameters of a simple token: name=value,name=value. Private to src/credential.
 */
#ifndef LATCHKEY_CREDENTIAL_PARAMS_H
#define LATCHKEY_CREDENTIAL_PARAMS_H

#include <latchkey/credential.h>

#define LK__PARAMS_MAX 4096 /* bytes of all parameters */
#define LK__PARAMS_COUNT_MAX 32
#define LK__PARAM_NAME_MAX 32

/* Append PARAMS in their one order to OUT. LK_OK; LK_REFUSED for a bad or repeated name, a value that is not
 * clean, more than LK__PARAMS_COUNT_MAX, or a known name with a value it cannot have; LK_FULL. */
LK_CHECKED lk_status lk__params_sort(lk_view params, lk_buf *out);

/* Fill the claims that parameters stand for: realm, roles, scope, name, sid, gen. LK_OK; LK_REFUSED when
 * PARAMS is not in its one spelling or a value is not of its kind. */
LK_CHECKED lk_status lk__params_read(lk_view params, lk_claims *out);

#endif
