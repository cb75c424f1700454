/* SPDX-License-Identifier: Apache-2.0
 *
 * store_copy_mend.c - what changed in FROM after it was copied, and whether both are the same in the end.
 */
#include "store/fields.h"
#include "store_copy.h"
#include <string.h>

#define FENCE_S 3600 /* longer than any request that is on its way */

/* ---- fields ---- */

/* As many changes as FROM saw: a client that holds an older ETag must not find it valid for newer fields. */
static int change(copying *k, const lk_session *from, const lk_session *to)
{
    lk_op ops[LK_FIELDS_OPS_MAX];
    unsigned tries = 0;
    uint32_t revision = to->revision;
    size_t n = lk__fields_list_ops(from->fields, to->fields, ops);
    while (revision < from->revision) {
        lk_status status =
            lk_store_change(k->to.store, &to->key, to->generation, revision, ops, n, &revision, NULL);
        if (status == LK_FAULT && copy_gives_up(&tries)) {
            return copy_lost(k, &k->to);
        }
        if (status != LK_OK && status != LK_FAULT) {
            break; /* it ended or was changed in TO meanwhile: the next pass looks again */
        }
    }
    return CLI_YES;
}

/* KEY in full from both; *BOTH: it is alive in each. */
static int load_both(const copying *k, const lk_session_key *key, lk_session *from, lk_session *to,
                     bool *both)
{
    static uint8_t records[2][LK_RECORD_MAX];
    lk_load one = {.key = *key, .buf = records[0], .cap = LK_RECORD_MAX}, other = one;
    other.buf = records[1];
    int code = copy_load(k, &k->from, &one, 1);
    code = code == CLI_YES ? copy_load(k, &k->to, &other, 1) : code;
    *both = code == CLI_YES && one.status == LK_OK && other.status == LK_OK &&
            ((one.session.flags | other.session.flags) & LK_SESSION_ENDING) == 0;
    *from = one.session;
    *to = other.session;
    return code;
}

int copy_refresh(copying *k, const lk_session_key *key)
{
    lk_session from, to;
    bool both;
    int code = load_both(k, key, &from, &to, &both);
    return code == CLI_YES && both ? change(k, &from, &to) : code;
}

/* ---- endings ---- */

static int end_one(copying *k, const lk_session_key *key, lk_reason why)
{
    unsigned tries = 0;
    lk_status status;
    int64_t fence_s = lk_now_s(lk_env_system()) + FENCE_S;
    while ((status = lk_store_destroy(k->to.store, key, why, fence_s)) != LK_OK) {
        if (status != LK_FAULT || copy_gives_up(&tries)) {
            return copy_lost(k, &k->to);
        }
    }
    k->n.ended++;
    return CLI_YES;
}

/* A session that FROM knows nothing of has ended there if it was there at an earlier copy and was not used in
 * TO since. Else it was made in TO, or FROM has forgotten that it ended, which takes as long as the mark of
 * its end stands: it cannot be a young one. */
static int judge_unknown(copying *k, const copy_item *item)
{
    if (k->of_move) {
        k->n.only_there += k->leaves_unknown;
        return k->leaves_unknown ? CLI_YES : end_one(k, &item->key, LK_REASON_REVOKED);
    }
    if (copy_unused_since(&item->s, k->marks.in_from_ms)) {
        return end_one(k, &item->key, LK_REASON_REVOKED);
    }
    k->n.only_there++;
    if (item->s.issued_s > lk_now_s(lk_env_system()) - FENCE_S) {
        return CLI_YES;
    }
    k->n.unknown += !k->ends_unknown;
    return k->ends_unknown ? end_one(k, &item->key, LK_REASON_REVOKED) : CLI_YES;
}

static int end_batch(copying *k)
{
    size_t n = k->items_n;
    k->items_n = 0;
    for (size_t i = 0; i < n; i++) {
        k->loads[i] = (lk_load){
            .key = k->items[i].key, .head_only = true, .buf = k->heads + i * LK_HEAD_MAX, .cap = LK_HEAD_MAX};
    }
    int code = n > 0 ? copy_load(k, &k->from, k->loads, n) : CLI_YES;
    for (size_t i = 0; i < n && code == CLI_YES; i++) {
        const lk_load *load = &k->loads[i];
        if (load->status == LK_STALE && load->why != LK_REASON_NONE) {
            code = end_one(k, &load->key, load->why);
        } else if (load->status == LK_OK && (load->session.flags & LK_SESSION_ENDING) != 0) {
            code = end_one(k, &load->key, LK_REASON_REPLACED);
        } else if (load->status == LK_MISS) {
            code = judge_unknown(k, &k->items[i]);
        }
    }
    return code == CLI_YES ? copy_step(k, n) : code;
}

static bool add(void *context, const lk_session *s)
{
    copying *k = context;
    k->items[k->items_n].key = s->key;
    k->items[k->items_n].s.seen_s = s->seen_s;
    k->items[k->items_n++].s.issued_s = s->issued_s;
    if (k->items_n == COPY_BATCH) {
        k->code = end_batch(k);
    }
    return k->code == CLI_YES;
}

int copy_endings(copying *k)
{
    k->at = 0;
    int code = copy_walk(k, &k->to, add);
    return code == CLI_YES ? end_batch(k) : code;
}

/* ---- samples ---- */

static bool is_same(lk_session from, const lk_session *to)
{
    static uint8_t one[LK_RECORD_MAX], other[LK_RECORD_MAX];
    lk_buf a = lk_buf_over(one, sizeof one), b = lk_buf_over(other, sizeof other);
    from.seen_s = to->seen_s; /* used since */
    return lk_record_write(&from, &a) == LK_OK && lk_record_write(to, &b) == LK_OK && a.len == b.len &&
           memcmp(one, other, a.len) == 0;
}

int copy_compare(copying *k)
{
    lk_session from, to;
    bool both;
    int code = CLI_YES;
    for (size_t i = 0; i < k->samples_n && code == CLI_YES; i++) {
        code = load_both(k, &k->samples[i], &from, &to, &both);
        if (code == CLI_YES && both && from.revision == to.revision) {
            k->n.compared++;
            k->n.differing += !is_same(from, &to);
        }
    }
    return code;
}
