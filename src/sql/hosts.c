/* SPDX-License-Identifier: Apache-2.0
 *
 * hosts.c - the addresses of a database server, looked up within the deadline: what the client libraries do
 * themselves would wait for as long as the resolver likes.
 */
#include "base/resolve.h"
#include "sql/inner.h"
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

bool lk__sql_is_socket(const char *host)
{
    return host[0] == '\0' || host[0] == '/' || host[0] == '@';
}

static void take(const struct addrinfo *one, lk__sql_hosts *out)
{
    if (out->n < LK__SQL_ADDRESSES && getnameinfo(one->ai_addr, one->ai_addrlen, out->addresses[out->n],
                                                  sizeof(out->addresses[0]), NULL, 0, NI_NUMERICHOST) == 0)
        out->n++;
}

lk_status lk__sql_hosts_find(const lk_sql_target *to, const char *host, int64_t until_ms, lk__sql_hosts *out,
                             lk_note *note)
{
    struct addrinfo *found = NULL;
    int error = lk__resolve(host, 0, until_ms, &found);

    out->n = 0;
    for (const struct addrinfo *one = found; error == 0 && one != NULL; one = one->ai_next)
        take(one, out);
    if (found != NULL)
        freeaddrinfo(found);
    if (out->n > 0)
        return LK_OK;
    lk_note_set(note, "Database %s: the name %s could not be looked up: %s.", to->shown, host,
                error == EAI_AGAIN ? "no answer in time" : gai_strerror(error));
    return LK_FAULT;
}
