/* SPDX-License-Identifier: Apache-2.0
 *
 * lab_ways.c - the ways to share a login: what each is in the lab. A way more is a row more.
 */
#include "lab.h"
#include <string.h>

/* Tokens are good by themselves: when the store of what was revoked is away, they are let in by what was
 * known before. That is what is expected of this way, so it is set for it; the default asks, and is 503. */
#define GOES_ON "latchkey_revocation_lag 2s serve;"

const lab_way lab_ways[] = {
    {"sealed_cookie",
     {"sealed cookie", "密封 cookie"},
     {"sealed", "密封"},
     "sealed_cookie",
     LAB_STORE_REDIS,
     "",
     "",
     GOES_ON,
     0, /* the session is in the visitor's hands */
     false},
    {"affinity",
     {"affinity (sticky cookie)", "亲和（粘性 cookie）"},
     {"affinity", "亲和"},
     "affinity",
     LAB_STORE_OWN,
     "",
     "latchkey_sticky;",
     "",
     2,
     false},
    {"affinity_ip_hash",
     {"affinity (ip_hash)", "亲和（ip_hash）"},
     {"ip_hash", "ip_hash"},
     "affinity",
     LAB_STORE_OWN,
     "",
     "ip_hash;",
     "",
     2,
     true},
    {"database",
     {"database (PostgreSQL)", "数据库（PostgreSQL）"},
     {"database", "数据库"},
     "database",
     LAB_STORE_POSTGRES,
     "",
     "",
     "",
     2,
     false},
    {"replication",
     {"replication (Redis copies)", "复制（每节点一份 Redis）"},
     {"replication", "复制"},
     "replication",
     LAB_STORE_REPLICATED,
     "",
     "",
     "",
     2,
     false},
    {"central",
     {"central (Redis)", "集中（Redis）"},
     {"central", "集中"},
     "central",
     LAB_STORE_REDIS,
     "",
     "",
     "",
     2,
     false},
    {"token",
     {"token (JWT)", "令牌（JWT）"},
     {"token", "令牌"},
     "token",
     LAB_STORE_REDIS,
     "",
     "",
     GOES_ON,
     2,
     false},
    {0},
};

const lab_way *lab_way_of(const char *name, size_t len)
{
    for (const lab_way *way = lab_ways; way->name != NULL; way++) {
        if (strlen(way->name) == len && strncmp(way->name, name, len) == 0) {
            return way;
        }
    }
    return NULL;
}
