/* SPDX-License-Identifier: Apache-2.0
 *
 * sentinel.c - which server is the primary: the sentinels are asked in turn, and what they say is believed
 * once the server itself says so too (ROLE). Asked again whenever the primary is lost, or says that it is
 * none any more (READONLY), and now and then by whoever follows the events: a primary that was cut off goes
 * on taking reads, so somebody has to look.
 */
#include "store/redis/redis_inner.h"
#include <stdio.h>
#include <string.h>

#define ASK_MIN_MS 20

static lk_status read_address(const redisReply *reply, lk__redis_address *out)
{
    lk_view host, port;
    int64_t n;

    if (reply->type != REDIS_REPLY_ARRAY || reply->elements != 2)
        return LK_FAULT;
    host = lk__redis_bytes(reply->element[0]);
    port = lk__redis_bytes(reply->element[1]);
    if (host.len == 0 || host.len >= sizeof(out->host) || lk_parse_i64(port, &n) != LK_OK || n < 1 ||
        n > 65535)
        return LK_FAULT;
    memcpy(out->host, host.p, host.len);
    out->host[host.len] = '\0';
    out->port = (uint16_t)n;
    return LK_OK;
}

/* The question, and its answer. A sentinel with a password is told the one of the servers. */
static lk_status ask_over(const lk__redis *r, lk__redis_link *link, bool with_login, int64_t until_ms,
                          redisReply **out)
{
    const lk__redis_config *c = &r->config;
    lk_view question[3] = {LK_VIEW("SENTINEL"), LK_VIEW("get-master-addr-by-name"), lk_view_of(c->master)};
    lk_view login[3] = {LK_VIEW("AUTH"), lk_view_of(c->user), lk_view_of(c->password)};
    lk_status status;

    if (c->user[0] == '\0')
        login[1] = login[2];
    if (with_login)
        lk__redis_link_add(link, login, c->user[0] == '\0' ? 2 : 3);
    lk__redis_link_add(link, question, 3);
    status = lk__redis_link_flush(link, until_ms);
    lk_wipe(link->out, link->out_cap);
    if (status == LK_OK && with_login) {
        status = lk__redis_link_read(link, until_ms, out);
        freeReplyObject(*out);
    }
    return status == LK_OK ? lk__redis_link_read(link, until_ms, out) : status;
}

/* LK_OK; LK_MISS when this sentinel knows no such primary; LK_REFUSED when it wants another password; LK_FULL
 * when memory is short; LK_FAULT. */
static lk_status ask_one(const lk__redis *r, unsigned number, int64_t until_ms, lk__redis_address *out,
                         lk_note *note)
{
    const lk__redis_address *at = &r->config.seeds[number];
    lk__redis_link *link;
    redisReply *reply = NULL;
    bool is_short;
    lk_status status =
        lk__redis_link_open(r->base.env, &r->config, at, LK__REDIS_BARE, until_ms, &link, note);

    if (status != LK_OK)
        return status == LK_FULL ? LK_FULL : LK_FAULT;
    status = ask_over(r, link, false, until_ms, &reply);
    if (status == LK_OK && lk__redis_is_error(reply, "NOAUTH") && r->config.password[0] != '\0') {
        freeReplyObject(reply);
        reply = NULL;
        status = ask_over(r, link, true, until_ms, &reply);
    }
    is_short = link->end == LK__REDIS_SHORT;
    lk__redis_link_close(link);
    if (is_short)
        return LK_FULL;
    if (status != LK_OK) {
        lk_note_set(note, "the sentinel %s does not answer in time", lk__redis_name(at).text);
        return LK_FAULT;
    }
    if (reply->type == REDIS_REPLY_NIL) {
        lk_note_set(note, "the sentinel %s knows no primary called \"%s\"", lk__redis_name(at).text,
                    r->config.master);
        status = LK_MISS;
    } else if (reply->type == REDIS_REPLY_ERROR) {
        status = lk__redis_judge(reply, lk__redis_name(at).text, note);
        if (strstr(reply->str, "unknown command") != NULL) {
            lk_note_set(note, "%s is no sentinel", lk__redis_name(at).text);
            status = LK_REFUSED;
        }
    } else {
        status = read_address(reply, out);
    }
    freeReplyObject(reply);
    return status;
}

/* Ask the sentinels in turn, beginning with the one that answered last. No one of them may use up the time of
 * all. LK_OK; LK_REFUSED when those that answer know no such primary; LK_FULL; LK_FAULT. */
static lk_status ask_all(lk__redis *r, int64_t until_ms, lk__redis_address *out, lk_note *note)
{
    lk_status worst = LK_FAULT;
    unsigned first;

    pthread_mutex_lock(&r->lock);
    first = r->sentinel;
    pthread_mutex_unlock(&r->lock);
    for (unsigned i = 0; i < r->config.seeds_n; i++) {
        unsigned number = (first + i) % r->config.seeds_n;
        int64_t now_ms = lk__redis_now_ms(), share_ms = (until_ms - now_ms) / 3;
        lk_status status =
            ask_one(r, number, now_ms + (share_ms > ASK_MIN_MS ? share_ms : ASK_MIN_MS), out, note);

        if (status == LK_OK) {
            pthread_mutex_lock(&r->lock);
            r->sentinel = number;
            r->asked_ms = lk__redis_now_ms();
            pthread_mutex_unlock(&r->lock);
            return LK_OK;
        }
        if (status == LK_FULL)
            return LK_FULL;
        if (status != LK_FAULT)
            worst = LK_REFUSED;
    }
    return worst;
}

/* From now on the primary is at AT: what leads elsewhere is closed when it is given back or lent. Gives the
 * era of links to it. */
static uint64_t publish(lk__redis *r, const lk__redis_address *at)
{
    lk__redis_node *node = &r->nodes[0];
    uint64_t era;

    pthread_mutex_lock(&r->lock);
    if (node->at.port != at->port || strcmp(node->at.host, at->host) != 0) {
        node->at = *at;
        node->era++;
        node->failures = 0;
    }
    r->has_primary = true;
    r->wants_primary = false;
    era = node->era;
    pthread_mutex_unlock(&r->lock);
    return era;
}

static lk_status connect_to(lk__redis *r, const lk__redis_address *at, int64_t until_ms, lk__redis_link **out,
                            lk_note *note)
{
    lk_status status =
        lk__redis_link_open(r->base.env, &r->config, at, LK__REDIS_PRIMARY_ONLY, until_ms, out, note);

    if (status == LK_OK)
        (*out)->era = publish(r, at);
    return status;
}

lk_status lk__redis_sentinel_connect(lk__redis *r, int64_t until_ms, lk__redis_link **out, lk_note *note)
{
    lk__redis_address at;
    bool is_known;
    lk_status status;

    pthread_mutex_lock(&r->lock);
    at = r->nodes[0].at;
    is_known = r->has_primary && !r->wants_primary;
    pthread_mutex_unlock(&r->lock);
    *out = NULL;
    if (is_known) {
        int64_t now_ms = lk__redis_now_ms();

        status = connect_to(r, &at, now_ms + (until_ms - now_ms) / 2, out, note);
        if (status == LK_OK || status == LK_REFUSED || status == LK_FULL)
            return status;
    }
    status = ask_all(r, until_ms, &at, note);
    if (status == LK_OK)
        status = connect_to(r, &at, until_ms, out, note);
    return status == LK_STALE ? LK_FAULT : status;
}

void lk__redis_sentinel_verify(lk__redis *r, int64_t until_ms)
{
    lk__redis_address at;
    lk__redis_link *link = NULL;
    bool is_same;

    if (ask_all(r, until_ms, &at, NULL) != LK_OK)
        return;
    pthread_mutex_lock(&r->lock);
    is_same = r->nodes[0].at.port == at.port && strcmp(r->nodes[0].at.host, at.host) == 0;
    pthread_mutex_unlock(&r->lock);
    if (!is_same && connect_to(r, &at, until_ms, &link, NULL) == LK_OK)
        lk__redis_link_close(link);
}
