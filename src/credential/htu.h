/* SPDX-License-Identifier: Apache-2.0
 *
 * htu.h - is a URL that of a request? Private to src/credential.
 */
#ifndef LATCHKEY_CREDENTIAL_HTU_H
#define LATCHKEY_CREDENTIAL_HTU_H

#include <latchkey/proof.h>

/* Do URL and ABOUT name the same resource, whatever their queries and fragments are? Compared after the
 * normalisation of RFC 3986 sections 6.2.2 and 6.2.3: case of scheme and host, default port, empty path,
 * escapes that need not be, dot segments. False for what is no http URL, or longer than LK_DPOP_URL_MAX. */
bool lk__htu_is(lk_view url, const lk_about *about);

#endif
