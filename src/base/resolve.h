/* SPDX-License-Identifier: Apache-2.0
 *
 * resolve.h - looking a name up within a deadline.
 */
#ifndef LATCHKEY_BASE_RESOLVE_H
#define LATCHKEY_BASE_RESOLVE_H

#include <netdb.h>
#include <stdint.h>

#define LK__RESOLVE_HOST_MAX 256

/* The addresses of HOST, a name or an address, for TCP to PORT, in *out, to be freed with freeaddrinfo.
 * UNTIL_MS is in ms of CLOCK_MONOTONIC. Gives 0 or an error of getaddrinfo: EAI_AGAIN when there was no
 * answer in time. */
int lk__resolve(const char *host, unsigned port, int64_t until_ms, struct addrinfo **out);

#endif
