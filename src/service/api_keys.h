/* SPDX-License-Identifier: Apache-2.0
 *
 * api_keys.h - the API keys of the user who asks, for the JSON list and the account page.
 */
#ifndef LATCHKEY_SERVICE_API_KEYS_H
#define LATCHKEY_SERVICE_API_KEYS_H

#include "service/call.h"

#include <latchkey/third_party.h>

/* All of them, in the arena. LK_OK, LK_FAULT. */
LK_CHECKED lk_status lk__api_keys_load(lk__call *c, lk_api_key **keys, size_t *n);
/* What the account page shows of KEY, which must live as long as the response. */
void lk__api_key_scope(lk__call *c, const lk_api_key *key, lk__scope *scope);

#endif
