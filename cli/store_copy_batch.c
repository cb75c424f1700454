/* SPDX-License-Identifier: Apache-2.0
 *
 * store_copy_batch.c - sessions copied, a batch at a time.
 *
 * TO is asked first which of them it has: these are compared by their heads and cost one look at each side.
 * So a copy that was interrupted goes on by being run again, and one that was finished is checked the same
 * way.
 */
#include "store_copy.h"
#include <string.h>

/* A session that was replaced may be shown by requests on their way, and is in no list: it is found through
 * the one that replaced it. Longer than any latchkey_session grace=. */
#define CHAIN_S 600

/* The head of S as bytes, with SEEN_S and REVISION, which move while it is used. */
static size_t write_head(lk_session s, int64_t seen_s, uint32_t revision, uint8_t out[LK_HEAD_MAX])
{
    lk_buf buf = lk_buf_over(out, LK_HEAD_MAX);
    s.fields = (lk_view){0};
    s.seen_s = seen_s;
    s.revision = revision;
    return lk_record_write(&s, &buf) == LK_OK ? buf.len : 0;
}

/* ---- those that TO has ---- */

static bool is_alike(const lk_session *from, const lk_session *to)
{
    uint8_t one[LK_HEAD_MAX], other[LK_HEAD_MAX];
    size_t len = write_head(*from, from->seen_s, from->revision, one);
    return len > 0 && write_head(*to, from->seen_s, from->revision, other) == len &&
           memcmp(one, other, len) == 0;
}

/* What was used or changed in FROM since it was copied. One that TO goes on with - later uses, another id -
 * is TO's. */
static int compare(copying *k, const copy_item *item, const lk_session *to, lk_touch *touches,
                   size_t *touches_n)
{
    lk_session from;
    k->n.there += k->is_first;
    if (lk_record_read(lk_view_make(item->head, item->head_len), &from) != LK_OK || !is_alike(&from, to)) {
        k->n.differing += (to->flags & LK_SESSION_ENDING) == 0;
        return CLI_YES;
    }
    bool is_newer = from.revision > to->revision, is_later = from.seen_s > to->seen_s;
    if (is_later) {
        touches[(*touches_n)++] = (lk_touch){.key = item->key, .seen_s = from.seen_s};
    }
    k->n.updated += is_newer || is_later;
    k->changed += is_newer || is_later;
    return is_newer ? copy_refresh(k, &item->key) : CLI_YES;
}

/* Was it copied before, so that it has ended in TO since? */
static bool has_been_there(const copying *k, const copy_item *item)
{
    lk_session from;
    return !item->of_chain && lk_record_read(lk_view_make(item->head, item->head_len), &from) == LK_OK &&
           copy_unused_since(&from, k->marks.in_to_ms);
}

/* Ask TO for all of the batch. */
static int look_there(copying *k, lk_touch *touches, size_t *touches_n)
{
    for (size_t i = 0; i < k->items_n; i++) {
        k->loads[i] = (lk_load){
            .key = k->items[i].key, .head_only = true, .buf = k->heads + i * LK_HEAD_MAX, .cap = LK_HEAD_MAX};
    }
    int code = copy_load(k, &k->to, k->loads, k->items_n);
    for (size_t i = 0; i < k->items_n && code == CLI_YES; i++) {
        copy_item *item = &k->items[i];
        bool is_there = k->loads[i].status == LK_OK;
        item->is_wanted = k->loads[i].status == LK_MISS && !has_been_there(k, item);
        if (is_there && !item->of_chain) {
            code = compare(k, item, &k->loads[i].session, touches, touches_n);
        }
        k->n.ended_there += !is_there && !item->is_wanted && !item->of_chain && k->is_first;
    }
    return code;
}

/* ---- those that it has not ---- */

/* What came of reading ITEM in full. */
static void take(copying *k, copy_item *item, const lk_load *load)
{
    bool is_there = load->status == LK_OK;
    item->s = load->session;
    item->created = LK_FAULT;
    item->is_wanted = is_there && (!item->of_chain || (item->s.flags & LK_SESSION_ENDING) != 0);
    if (!is_there && !item->of_chain) {
        bool has_ended = load->status == LK_MISS || load->why != LK_REASON_NONE;
        k->n.gone += has_ended;
        k->n.unreadable += !has_ended;
    }
}

static int fetch(copying *k)
{
    size_t n = 0;
    for (size_t i = 0; i < k->items_n; i++) {
        if (k->items[i].is_wanted) {
            k->loads[n] = (lk_load){
                .key = k->items[i].key, .buf = k->records + n * LK_RECORD_MAX, .cap = LK_RECORD_MAX};
            n++;
        }
    }
    int code = n > 0 ? copy_load(k, &k->from, k->loads, n) : CLI_YES;
    n = 0;
    for (size_t i = 0; i < k->items_n && code == CLI_YES; i++) {
        if (k->items[i].is_wanted) {
            take(k, &k->items[i], &k->loads[n++]);
        }
    }
    return code;
}

static void create_one(void *argument, lk_store *store)
{
    copy_item *item = argument;
    if (item->is_wanted && item->created == LK_FAULT) {
        item->created = lk_store_create(store, &item->s, (lk_limit){0}, NULL);
    }
}

static bool has_unmade(const copying *k)
{
    for (size_t i = 0; i < k->items_n; i++) {
        if (k->items[i].is_wanted && k->items[i].created == LK_FAULT) {
            return true;
        }
    }
    return false;
}

static int count_made(copying *k)
{
    bool is_full = false;
    for (size_t i = 0; i < k->items_n; i++) {
        const copy_item *item = &k->items[i];
        if (!item->is_wanted) {
            continue;
        }
        bool is_made = item->created == LK_OK;
        is_full |= item->created == LK_FULL;
        k->changed += is_made;
        k->n.copied += is_made && !item->of_chain;
        /* A store that stopped answering in the middle may have made it all the same; a list may name one
         * twice. */
        k->n.there += item->created == LK_REFUSED && !item->of_chain && k->is_first;
    }
    return is_full
               ? cli_no(k->c, LK_REASON_NONE,
                        "store %s has no more room; give it more and run the same command again, it goes on "
                        "from here",
                        k->to.shown)
               : CLI_YES;
}

static int create(copying *k)
{
    unsigned tries = 0;
    while (has_unmade(k)) {
        store_lanes_run(k->lanes, create_one, k->items, sizeof *k->items, k->items_n);
        if (has_unmade(k) && copy_gives_up(&tries)) {
            return copy_lost(k, &k->to);
        }
    }
    return count_made(k);
}

static int touch(copying *k, const lk_touch *touches, size_t n)
{
    unsigned tries = 0;
    lk_status status;
    while ((status = n > 0 ? lk_store_touch_many(k->to.store, touches, n) : LK_OK) == LK_FAULT) {
        if (copy_gives_up(&tries)) {
            return copy_lost(k, &k->to);
        }
    }
    return CLI_YES;
}

static int copy_batch(copying *k)
{
    static lk_touch touches[COPY_BATCH];
    size_t touches_n = 0, n = k->items_n;
    int code = n > 0 ? look_there(k, touches, &touches_n) : CLI_YES;
    code = code == CLI_YES ? fetch(k) : code;
    code = code == CLI_YES ? create(k) : code;
    code = code == CLI_YES ? touch(k, touches, touches_n) : code;
    k->items_n = 0;
    return code == CLI_YES ? copy_step(k, n) : code;
}

/* ---- the list ---- */

/* Each session of the store has the same chance to be among the samples. (Vitter 1985, algorithm R) */
static void offer_sample(copying *k, const lk_session_key *key)
{
    uint64_t at = k->offered++;
    if (k->samples_n < COPY_SAMPLES) {
        k->samples[k->samples_n++] = *key;
        return;
    }
    uint64_t random = 0;
    if (lk_random(lk_env_system(), &random, sizeof random) == LK_OK && random % (at + 1) < COPY_SAMPLES) {
        k->samples[random % (at + 1)] = *key;
    }
}

static void add_chain(copying *k, const lk_session *s)
{
    static const lk_session_key none;
    if (memcmp(&s->previous, &none, sizeof none) != 0 && s->issued_s > lk_now_s(lk_env_system()) - CHAIN_S) {
        k->items[k->items_n++] = (copy_item){.key = s->previous, .of_chain = true};
    }
}

static bool add(void *context, const lk_session *s)
{
    copying *k = context;
    copy_item *item = &k->items[k->items_n++];
    *item = (copy_item){.key = s->key};
    item->head_len = write_head(*s, s->seen_s, s->revision, item->head);
    k->n.listed += k->is_first;
    offer_sample(k, &s->key);
    add_chain(k, s);
    if (k->items_n + 2 > COPY_BATCH) {
        k->code = copy_batch(k);
    }
    return k->code == CLI_YES;
}

int copy_sessions(copying *k)
{
    k->n.differing = k->offered = k->changed = k->at = k->samples_n = 0;
    copy_marks_begin(k);
    int code = copy_walk(k, &k->from, add);
    return code == CLI_YES ? copy_batch(k) : code;
}
