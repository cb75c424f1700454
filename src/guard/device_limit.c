/* SPDX-License-Identifier: Apache-2.0
 *
 * device_limit.c - devices under latchkey_limit: a session that a device is given without anybody asking
 * takes a place that is free, and whose session a login ended is given none until the next login on it. Two
 * devices of a user who may have one session would put each other out with every page otherwise.
 */
#include "guard/guard_internal.h"
#include <string.h>

/* Sessions a limit counts: as the store does, those that may have been used since their record was written
 * included (lk_store_list_by_user). */
typedef struct counted {
    lk_view device_class;
    const lk_session_key *own;
    uint32_t all, of_class;
    bool own_counts, own_is_of_class;
} counted;

static bool count_one(void *context, const lk_session *s)
{
    counted *n = context;
    bool same_class = lk_view_equal(s->device_class, n->device_class);
    if ((s->flags & LK_SESSION_API_KEY) != 0)
        return true;
    if (n->own != NULL && memcmp(n->own->bytes, s->key.bytes, LK_SESSION_KEY_LEN) == 0) {
        n->own_counts = true;
        n->own_is_of_class = same_class;
        return true;
    }
    n->all++;
    n->of_class += same_class;
    return true;
}

static bool is_full(const lk_limit *limit, uint32_t all, uint32_t of_class)
{
    return (limit->max > 0 && all >= limit->max) || (limit->class_max > 0 && of_class >= limit->class_max);
}

lk_status lk__device_place(lk_guard *g, const lk_device *d, const lk_session_key *own,
                           bool *own_is_in_the_way)
{
    lk_session s = {.realm = lk_view_of(d->realm),
                    .user = lk_view_of(d->user),
                    .device_class = lk_view_of(d->device_class)};
    lk_limit limit = lk__limit_of(g, &s, NULL);
    counted n = {.device_class = s.device_class, .own = own};
    uint64_t cursor = 0;
    *own_is_in_the_way = false;
    if (limit.max == 0 && limit.class_max == 0)
        return LK_OK;
    do
        if (lk_store_list_by_user(g->parts.store, s.realm, s.user, &cursor, LK__TOKENS_MAX, count_one, &n) !=
            LK_OK)
            return LK_FAULT;
    while (cursor != 0);
    if (is_full(&limit, n.all, n.of_class))
        return LK_FULL;
    *own_is_in_the_way = n.own_counts && is_full(&limit, n.all + 1, n.of_class + (uint32_t)n.own_is_of_class);
    return LK_OK;
}

/* ---- after a login ---- */

/* Heads of the last sessions of the user's devices, looked up as one batch. */
typedef struct heads {
    lk_device devices[LK_DEVICES_MAX];
    lk_load loads[LK_DEVICES_MAX];
    uint8_t records[LK_DEVICES_MAX][LK_HEAD_MAX];
    size_t of[LK_DEVICES_MAX]; /* which device a look-up is for */
    size_t n;
} heads;

static void prepare(heads *h, size_t devices_n)
{
    for (size_t i = 0; i < devices_n; i++) {
        lk_load *load = &h->loads[h->n];
        const lk_device *d = &h->devices[i];
        *load = (lk_load){
            .head_only = true, .buf = h->records[h->n], .cap = sizeof(h->records[0]), .status = LK_FAULT};
        if (d->put_out_s == 0 && lk_public_id_read(lk_view_of(d->session), &load->key) == LK_OK)
            h->of[h->n++] = i;
    }
}

static lk_status mark(lk_guard *g, lk_accounts *a, heads *h)
{
    lk_status status = LK_OK;
    if (h->n > 0 && lk_store_load_many(lk_store_writes_to(g->parts.store), h->loads, h->n) != LK_OK)
        return LK_FAULT;
    for (size_t i = 0; i < h->n && status != LK_FAULT; i++) {
        const lk_load *load = &h->loads[i];
        if (load->status == LK_FAULT || load->status == LK_FULL)
            return LK_FAULT;
        if (load->status == LK_STALE && load->why == LK_REASON_REPLACED)
            status = lk_accounts_device_put_out(a, &h->devices[h->of[i]]);
    }
    /* One that went on from that session, or is gone, is looked at when it asks. */
    return status == LK_FAULT ? LK_FAULT : LK_OK;
}

lk_status lk_guard_devices_put_out(lk_guard *g, lk_accounts *a, lk_view user)
{
    const lk_settings *settings = g->parts.settings;
    bool is_limited = lk_settings_user_limit(settings) > 0 || settings->limit_classes[0] != '\0';
    size_t n = 0;
    if (!settings->device_on || !is_limited || settings->limit_victim == LK_VICTIM_REFUSE)
        return LK_OK;
    heads *h = lk_alloc(g->parts.env, sizeof(*h));
    if (h == NULL)
        return LK_FAULT;
    h->n = 0;
    lk_status status = lk_accounts_device_list(a, user, h->devices, &n);
    if (status == LK_OK) {
        prepare(h, n);
        status = mark(g, a, h);
    }
    lk_free(g->parts.env, h);
    return status == LK_OK ? LK_OK : LK_FAULT;
}
