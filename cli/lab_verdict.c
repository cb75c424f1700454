/* SPDX-License-Identifier: Apache-2.0
 *
 * lab_verdict.c - see lab_verdict.h. Every limit stands in the table below, and the page prints it.
 */
#include "lab_verdict.h"
#include <math.h>

#define NEVER 1e12

/* ---- the figure of each need; the less, the better ---- */

static double of_survive(const lab_result *r)
{
    return r->logins > 0 ? (double)r->logins_lost / (double)r->logins : NEVER;
}

static double of_ban(const lab_result *r)
{
    return r->is_revoked_per_node || r->revocation_ms < 0 ? NEVER : r->revocation_ms;
}

static double of_read(const lab_result *r)
{
    return r->has_store ? 1 - r->down_requests : 0;
}

static double of_write(const lab_result *r)
{
    return r->has_store ? 1 - fmin(r->down_changes, r->down_logins) : 0;
}

static double of_servers(const lab_result *r)
{
    return (double)r->store_servers;
}

static double of_memory(const lab_result *r)
{
    return r->server_bytes_per_user + r->store_bytes_per_user;
}

static double of_bytes(const lab_result *r)
{
    return r->bytes_per_request;
}

static double of_speed(const lab_result *r)
{
    return r->requests_per_s > 0 ? 1 / r->requests_per_s : NEVER;
}

static double of_even(const lab_result *r)
{
    return r->load_spread;
}

static const struct {
    double (*figure)(const lab_result *r);
    double limit;
    bool is_relative; /* the limit is that many times the best of the run */
    const char *words[2];
    const char *limit_words[2]; /* with one %g for the limit */
} needs[LAB_NEEDS] = {
    [LAB_NEED_SURVIVE] = {of_survive,
                          0,
                          false,
                          {"nobody may be logged out when a server dies", "服务器宕机时不允许任何人掉线"},
                          {"%g logins lost", "丢失的登录数为 %g"}},
    [LAB_NEED_BAN] = {of_ban,
                      1000,
                      false,
                      {"a ban must hold at once, on all nodes", "封禁必须立即在所有节点生效"},
                      {"one order, and refused everywhere within %g ms",
                       "下达一次命令，%g 毫秒内各节点均拒绝"}},
    [LAB_NEED_READ] = {of_read,
                       0.05,
                       false,
                       {"logged-in visitors must be served while the store is down",
                        "存储宕机时仍须为已登录用户服务"},
                       {"at most %g of requests unanswered", "未得到应答的请求比例不超过 %g"}},
    [LAB_NEED_WRITE] = {of_write,
                        0.05,
                        false,
                        {"logins and changes of data must go on while the store is down",
                         "存储宕机时仍须能登录和修改数据"},
                        {"at most %g of logins and changes refused", "被拒绝的登录与修改比例不超过 %g"}},
    [LAB_NEED_SERVERS] = {of_servers,
                          1,
                          false,
                          {"there is nobody to look after many servers", "没有人手维护很多服务器"},
                          {"at most %g server beside the nodes", "除节点外最多 %g 台服务器"}},
    [LAB_NEED_MEMORY] = {of_memory,
                         500,
                         false,
                         {"there are many users, and memory costs", "用户很多，内存昂贵"},
                         {"at most %g bytes for a user, nodes and store together",
                          "每用户（节点与存储合计）不超过 %g 字节"}},
    [LAB_NEED_BYTES] = {of_bytes,
                        150,
                        false,
                        {"requests must be small", "请求必须小"},
                        {"at most %g bytes of credentials in a request", "每个请求携带的凭据不超过 %g 字节"}},
    [LAB_NEED_SPEED] = {of_speed,
                        1.25,
                        true,
                        {"every bit of speed counts", "速度至关重要"},
                        {"at most %g times the time the fastest takes for a request",
                         "单个请求耗时不超过最快者的 %g 倍"}},
    [LAB_NEED_EVEN] = {of_even,
                       1.15,
                       false,
                       {"the load must be spread evenly", "负载必须均匀"},
                       {"the busiest node has at most %g times its share", "最忙节点不超过平均份额的 %g 倍"}},
};

const lab_asker lab_askers[] = {
    {{"A small site, with nobody for night shifts", "无人值夜班的小网站"},
     {LAB_NEED_SERVERS, LAB_NEED_BYTES},
     2},
    {{"A shop: a cart and a login must outlive a server", "商店：购物车和登录须比服务器活得久"},
     {LAB_NEED_SURVIVE, LAB_NEED_EVEN, LAB_NEED_BYTES},
     3},
    {{"A bank, a clinic, an administration: who is put out is out", "银行、医院、政府：被封禁者立即出局"},
     {LAB_NEED_SURVIVE, LAB_NEED_BAN},
     2},
    {{"A site that has to stay up when its store does not", "存储宕机也要在线的网站"},
     {LAB_NEED_SURVIVE, LAB_NEED_READ},
     2},
    {{"The same, and people must be able to log in and work", "同上，而且用户仍须能登录和操作"},
     {LAB_NEED_SURVIVE, LAB_NEED_READ, LAB_NEED_WRITE},
     3},
    {{"Millions of users on few machines", "少量机器承载数百万用户"}, {LAB_NEED_SURVIVE, LAB_NEED_MEMORY}, 2},
    {{"Phones on thin lines, many small requests", "弱网络上的手机，大量小请求"},
     {LAB_NEED_BYTES, LAB_NEED_SURVIVE},
     2},
    {{0}, {0}, 0},
};

/* The best of the run, variants included. */
static double best_of(const lab *l, lab_need need)
{
    double best = NEVER;
    for (size_t i = 0; i < l->ways_n; i++) {
        best = fmin(best, needs[need].figure(&l->results[i]));
    }
    return best;
}

bool lab_meets(const lab *l, const lab_result *r, lab_need need)
{
    double limit = needs[need].limit;
    if (needs[need].is_relative) {
        limit *= best_of(l, need);
    }
    return needs[need].figure(r) <= limit;
}

bool lab_suits(const lab *l, const lab_result *r, const lab_asker *asker, lab_need *missing)
{
    for (size_t i = 0; i < asker->needs_n; i++) {
        if (!lab_meets(l, r, asker->needs[i])) {
            *missing = asker->needs[i];
            return false;
        }
    }
    return true;
}

const char *lab_need_words(lab_need need, lab_language language)
{
    return needs[need].words[language];
}

void lab_limit_words(lab_need need, lab_language language, char out[LAB_TOLD_MAX])
{
    snprintf(out, LAB_TOLD_MAX, needs[need].limit_words[language], needs[need].limit);
}

/* ---- in words ---- */

static void tell_ban(const lab_result *r, bool zh, char out[LAB_TOLD_MAX])
{
    if (r->is_revoked_per_node) {
        snprintf(out, LAB_TOLD_MAX, zh ? "须逐个节点封禁" : "each node has to be told");
    } else if (r->revocation_ms < 0) {
        snprintf(out, LAB_TOLD_MAX, zh ? "未在所有节点生效" : "a ban did not reach all nodes");
    } else {
        snprintf(out, LAB_TOLD_MAX, zh ? "封禁 %.1f 毫秒内全部生效" : "a ban holds everywhere after %.1f ms",
                 r->revocation_ms);
    }
}

static void tell_store(const lab_result *r, lab_need need, bool zh, char out[LAB_TOLD_MAX])
{
    if (!r->has_store) {
        snprintf(out, LAB_TOLD_MAX, zh ? "没有可失去的存储" : "no store to lose");
    } else if (need == LAB_NEED_READ) {
        snprintf(out, LAB_TOLD_MAX,
                 zh ? "存储宕机时 %.0f%% 的请求得到应答" : "store down: %.0f %% of requests answered",
                 r->down_requests * 100);
    } else {
        snprintf(out, LAB_TOLD_MAX,
                 zh ? "存储宕机时 %.0f%% 的修改、%.0f%% 的登录成功"
                    : "store down: %.0f %% of changes, %.0f %% of logins done",
                 r->down_changes * 100, r->down_logins * 100);
    }
}

void lab_tell(const lab_result *r, lab_need need, lab_language language, char out[LAB_TOLD_MAX])
{
    bool zh = language == LAB_CHINESE;
    switch (need) {
    case LAB_NEED_SURVIVE:
        snprintf(out, LAB_TOLD_MAX, zh ? "%2$llu 个登录中丢失 %1$llu 个" : "%1$llu of %2$llu logins lost",
                 (unsigned long long)r->logins_lost, (unsigned long long)r->logins);
        return;
    case LAB_NEED_BAN:
        tell_ban(r, zh, out);
        return;
    case LAB_NEED_READ:
    case LAB_NEED_WRITE:
        tell_store(r, need, zh, out);
        return;
    case LAB_NEED_SERVERS:
        snprintf(out, LAB_TOLD_MAX,
                 zh                      ? "除节点外 %zu 个服务器"
                 : r->store_servers == 1 ? "%zu server beside the nodes"
                                         : "%zu servers beside the nodes",
                 r->store_servers);
        return;
    case LAB_NEED_MEMORY:
        snprintf(out, LAB_TOLD_MAX, zh ? "每用户 %.0f 字节" : "%.0f bytes for a user", of_memory(r));
        return;
    case LAB_NEED_BYTES:
        snprintf(out, LAB_TOLD_MAX, zh ? "每请求 %.0f 字节凭据" : "%.0f bytes of credentials in a request",
                 r->bytes_per_request);
        return;
    case LAB_NEED_SPEED:
        snprintf(out, LAB_TOLD_MAX, zh ? "每秒 %.0f 个请求" : "%.0f requests a second", r->requests_per_s);
        return;
    case LAB_NEED_EVEN:
        snprintf(out, LAB_TOLD_MAX,
                 zh ? "最忙节点为平均份额的 %.2f 倍" : "the busiest node had %.2f times its share",
                 r->load_spread);
        return;
    case LAB_NEEDS:
        break;
    }
    out[0] = '\0';
}
