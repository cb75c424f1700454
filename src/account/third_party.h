/* SPDX-License-Identifier: Apache-2.0
 *
 * third_party.h - what the files for API keys and OAuth clients share. Private.
 */
#ifndef LATCHKEY_ACCOUNT_THIRD_PARTY_H
#define LATCHKEY_ACCOUNT_THIRD_PARTY_H

#include "account/internal.h"
#include <latchkey/third_party.h>

/* Append WORDS to OUT with one blank between them, each once: words by the grammar of scopes (RFC 6749
 * section 3.3). LK_OK; LK_REFUSED with RULE, also when OUT has no room. */
LK_CHECKED lk_status lk__words_normalize(lk_view words, const char *rule, lk_buf *out, lk_note *note);

#endif
