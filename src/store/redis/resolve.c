/* SPDX-License-Identifier: Apache-2.0
 *
 * resolve.c - the addresses of a Redis server.
 */
#include "base/resolve.h"
#include "store/redis/redis_inner.h"

int lk__redis_resolve(const lk__redis_address *at, int64_t until_ms, struct addrinfo **out)
{
    return lk__resolve(at->host, at->port, until_ms, out);
}
