/* SPDX-License-Identifier: Apache-2.0
 *
 * moving_write.c - logins and logouts while a site moves: in both stores before they are acknowledged.
 */
#include "store/moving_inner.h"
#include "store/rules.h"
#include <string.h>

#define CHAIN_MAX 16
#define ROUNDS_MAX 4
#define PAGE 64

static const lk_session_key no_session;

static bool is_none(const lk_session_key *key)
{
    return memcmp(key, &no_session, sizeof(no_session)) == 0;
}

static int64_t fence_from_now(const lk__moving *m)
{
    return lk_now_s(m->base.env) + LK_MOVING_FENCE_S;
}

/* ---- what a limit ended in the leading store is ended in the other ---- */

typedef struct page {
    lk_session_key keys[PAGE];
    size_t n;
} page;

static bool collect(void *context, const lk_session *s)
{
    page *p = context;

    if (p->n < PAGE)
        p->keys[p->n++] = s->key;
    return p->n < PAGE;
}

static lk_status end_page(lk__moving *m, const page *p, int64_t fence_s)
{
    uint8_t room[LK_HEAD_MAX];
    lk_status status = LK_OK;

    for (size_t i = 0; i < p->n && status == LK_OK; i++) {
        lk_reason why;

        status = lk__moving_look(m->lead_now, &p->keys[i], room, NULL, &why);
        if (status == LK_STALE && why != LK_REASON_NONE)
            status = lk_store_destroy(m->other, &p->keys[i], why, fence_s);
        else if (status != LK_FAULT)
            status = LK_OK;
    }
    return status;
}

static lk_status end_alike(lk__moving *m, const lk_session *s, int64_t fence_s)
{
    uint64_t cursor = 0;
    lk_status status;

    do {
        page p = {.n = 0};

        status = lk_store_list_by_user(m->other, s->realm, s->user, &cursor, PAGE, collect, &p);
        if (status == LK_OK)
            status = end_page(m, &p, fence_s);
    } while (status == LK_OK && cursor != 0);
    return status;
}

/* ---- create ---- */

/* Make S, which the leading store just made, in the other. A copy that is under way may have been first. */
static lk_status create_too(lk__moving *m, const lk_session *s)
{
    uint8_t room[LK_HEAD_MAX];
    lk_reason why;
    lk_status status = lk_store_create(m->other, s, (lk_limit){0}, NULL);

    if (status != LK_REFUSED)
        return status;
    status = lk__moving_look(m->other, &s->key, room, NULL, &why);
    return status == LK_OK || status == LK_FAULT ? status : LK_REFUSED;
}

/* Take back S, which the other store did not take: for the reason for which it ended there meanwhile, if it
 * did. */
static void take_back(lk__moving *m, const lk_session *s)
{
    uint8_t room[LK_HEAD_MAX];
    lk_reason why = LK_REASON_NONE;

    (void)!lk__moving_look(m->other, &s->key, room, NULL, &why);
    if (why == LK_REASON_NONE)
        why = LK_REASON_REVOKED;
    (void)!lk_store_destroy(m->other, &s->key, why, fence_from_now(m));
    (void)!lk_store_destroy(m->lead_now, &s->key, why, fence_from_now(m));
}

/* A login that is not in both is none: who would hold the id is told that it failed, and if not even the end
 * can be written, the session lies there until it runs out, its id in nobody's hands. */
lk_status lk__moving_create(lk_store *store, const lk_session *s, lk_limit limit, uint32_t *ended)
{
    lk__moving *m = lk__moving_of(store);
    uint32_t ended_here = 0;
    lk_status status = lk_store_create(m->lead_now, s, limit, &ended_here);

    *ended = ended_here;
    if (status != LK_OK)
        return status;
    status = create_too(m, s);
    if (status == LK_OK && ended_here > 0)
        status = end_alike(m, s, limit.fence_s);
    if (status != LK_OK)
        take_back(m, s);
    return status;
}

/* ---- replace ---- */

typedef struct replacing {
    const lk_session_key *old;
    uint32_t generation;
    const lk_session *s;
    int64_t grace_until_s, fence_s;
} replacing;

/* OLD is not in the other store: it comes there as the ending one that it is by now, so that no copy that is
 * on its way can put it there as a living one. LK_REFUSED: such a copy was first. */
static lk_status bring_ending(lk__moving *m, const replacing *r)
{
    lk_status status;

    if (r->grace_until_s == 0)
        return lk_store_destroy(m->other, r->old, LK_REASON_REPLACED, r->fence_s);
    status = lk__moving_bring(m, m->lead_now, m->other, r->old);
    return status == LK_MISS || status == LK_STALE ? LK_OK : status;
}

/* OLD is in the other store, but cannot be replaced there. LK_OK when it is on its way out; LK_STALE when it
 * was ended there by somebody who comes to the leading store after us. */
static lk_status look_at_old(lk__moving *m, const replacing *r)
{
    uint8_t room[LK_HEAD_MAX];
    lk_session old;
    lk_reason why;
    lk_status status = lk__moving_look(m->other, r->old, room, &old, &why);

    if (status == LK_OK)
        return (old.flags & LK_SESSION_ENDING) != 0 ? LK_OK : LK_FAULT;
    if (status == LK_STALE && why == LK_REASON_REPLACED)
        return LK_OK;
    return status;
}

static lk_status replace_once(lk__moving *m, const replacing *r, bool *again)
{
    lk_status status =
        lk_store_replace(m->other, r->old, r->generation, r->s, r->grace_until_s, r->fence_s, (lk_limit){0});

    *again = false;
    switch (status) {
    case LK_MISS:
        status = bring_ending(m, r);
        *again = status == LK_REFUSED;
        break;
    case LK_STALE:
        status = look_at_old(m, r);
        break;
    case LK_REFUSED: /* a copy brought the new one: the old one has to go all the same */
        status = lk_store_destroy(m->other, r->old, LK_REASON_REPLACED, r->fence_s);
        break;
    case LK_OK:
    case LK_FULL:
    case LK_FAULT:
        return status;
    }
    return status == LK_OK ? create_too(m, r->s) : status;
}

static lk_status replace_too(lk__moving *m, const replacing *r)
{
    bool again = true;
    lk_status status = LK_FAULT;

    for (unsigned round = 0; round < ROUNDS_MAX && again; round++)
        status = replace_once(m, r, &again);
    return again ? LK_FAULT : status;
}

lk_status lk__moving_replace(lk_store *store, const lk_session_key *old, uint32_t old_generation,
                             const lk_session *s, int64_t grace_until_s, int64_t fence_s, lk_limit limit)
{
    lk__moving *m = lk__moving_of(store);
    const replacing r = {old, old_generation, s, grace_until_s, fence_s};
    lk_status status = lk_store_replace(m->lead_now, old, old_generation, s, grace_until_s, fence_s, limit),
              brought;

    if (status == LK_MISS && m->looks_back) {
        brought = lk__moving_bring(m, m->other, m->lead_now, old);
        if (brought != LK_OK && brought != LK_REFUSED)
            return brought;
        status = lk_store_replace(m->lead_now, old, old_generation, s, grace_until_s, fence_s, limit);
    }
    if (status != LK_OK)
        return status;
    status = replace_too(m, &r);
    if (status == LK_OK && lk__limit_holds(&limit, s))
        status = end_alike(m, s, limit.fence_s);
    if (status == LK_STALE || status == LK_REFUSED) {
        (void)!lk_store_destroy(m->lead_now, &s->key, LK_REASON_REVOKED, fence_s);
        (void)!lk_store_destroy(m->other, &s->key, LK_REASON_REVOKED, fence_s);
    }
    return status;
}

/* ---- destroy ---- */

/* The session that KEY replaced, where one of the stores knows; *ONE: the other of them does not, so that it
 * cannot end that one by itself. */
static lk_status find_previous(lk__moving *m, const lk_session_key *key, lk_session_key *previous, bool *one)
{
    lk_store *stores[] = {m->lead_now, m->other};
    unsigned known = 0;

    *previous = no_session;
    for (size_t i = 0; i < 2; i++) {
        uint8_t room[LK_HEAD_MAX];
        lk_session head;
        lk_reason why;
        lk_status status = lk__moving_look(stores[i], key, room, &head, &why);

        if (status == LK_FAULT)
            return LK_FAULT;
        if (status == LK_OK)
            *previous = head.previous;
        known += status == LK_OK;
    }
    *one = known == 1 && !is_none(previous);
    return LK_OK;
}

/* In the other store first: a session that is over in the leading one has nobody to end it again, since who
 * comes with it is told that it is over. */
static lk_status end_both(lk__moving *m, const lk_session_key *key, lk_reason reason, int64_t fence_s)
{
    lk_status status = lk_store_destroy(m->other, key, reason, fence_s);

    return status == LK_OK ? lk_store_destroy(m->lead_now, key, reason, fence_s) : status;
}

/* Where one of them does not answer, the caller hears that it is not done. Trying again does no harm. */
lk_status lk__moving_destroy(lk_store *store, const lk_session_key *key, lk_reason reason, int64_t fence_s)
{
    lk__moving *m = lk__moving_of(store);
    lk_session_key at = *key, previous;
    lk_status status = LK_OK;
    bool goes_on = true;

    for (unsigned i = 0; i < CHAIN_MAX && goes_on && status == LK_OK; i++) {
        bool is_known = find_previous(m, &at, &previous, &goes_on) == LK_OK;

        status = end_both(m, &at, reason, fence_s);
        if (status == LK_OK && !is_known)
            status = LK_FAULT;
        at = previous;
    }
    return status;
}
