/* SPDX-License-Identifier: Apache-2.0
 *
 * moving_change.c - fields changed while a site moves: in the leading store first, whose answer counts, then
 * in the other.
 *
 * Where both hold the same, the other is one revision behind when its turn comes, and the same operations are
 * applied on exactly that revision. When it is at another one, it has to be found out why:
 *
 *   it is behind               another change is on its way there: it is waited for
 *   it holds the same          whoever brought the session over came after our change
 *   it went on by itself       a node for which that store leads changed the session at the same moment: our
 *                              operations are applied on top, as they would have been had we come second
 */
#include "store/moving_inner.h"
#include "store/rules.h"
#include <string.h>
#include <time.h>

#define ROUNDS_MAX 12
#define LOOKS_MAX 1000
#define WAIT_FIRST_NS 1000000L

typedef struct changing {
    const lk_session_key *key;
    uint32_t generation, revision; /* the revision that our change made in the leading store */
    const lk_op *ops;
    size_t n;
} changing;

static uint32_t before(uint32_t revision)
{
    return revision == 1 ? UINT32_MAX : revision - 1;
}

/* The session is over in the other store: so it is in the leading one. */
static lk_status ended_there(lk__moving *m, const lk_session_key *key)
{
    uint8_t room[LK_HEAD_MAX];
    lk_session head;
    lk_reason why;
    lk_status status = lk__moving_look(m->other, key, room, &head, &why);

    if (status == LK_STALE && why != LK_REASON_NONE &&
        lk_store_destroy(m->lead_now, key, why, lk_now_s(m->base.env) + LK_MOVING_FENCE_S) != LK_OK)
        return LK_FAULT;
    return status == LK_FAULT ? LK_FAULT : LK_STALE;
}

/* What is the other store at? Both are read in full. */
typedef struct pair {
    uint8_t *rooms;
    lk_session lead, other;
} pair;

static lk_status read_pair(lk__moving *m, const lk_session_key *key, pair *p)
{
    lk_load loads[2] = {{.key = *key, .buf = p->rooms, .cap = LK_RECORD_MAX},
                        {.key = *key, .buf = p->rooms + LK_RECORD_MAX, .cap = LK_RECORD_MAX}};

    if (lk_store_load_many(m->other, &loads[1], 1) != LK_OK ||
        lk_store_load_many(m->lead_now, &loads[0], 1) != LK_OK)
        return LK_FAULT;
    p->lead = loads[0].session;
    p->other = loads[1].session;
    return loads[0].status != LK_OK ? loads[0].status : loads[1].status;
}

static bool has_all_of(lk_view fields, lk_view others, size_t *n)
{
    lk_field field;
    lk_view value;

    *n = 0;
    for (size_t at = 0; lk_fields_next(others, &at, &field); ++*n) {
        if (lk_fields_get(fields, field.name, &value) != LK_OK || !lk_view_equal(value, field.value))
            return false;
    }
    return true;
}

/* In whatever order. */
static bool has_same_fields(const pair *p)
{
    size_t here, there;

    return has_all_of(p->lead.fields, p->other.fields, &there) &&
           has_all_of(p->other.fields, p->lead.fields, &here) && here == there;
}

/* The fields that OPS are about get the values that they have in the leading store. */
static lk_status set_alike(lk_store *store, const changing *c, const pair *p)
{
    lk_op ops[LK_FIELDS_MAX];
    size_t n = 0;
    uint32_t revision;

    for (size_t i = 0; i < c->n && n < LK_FIELDS_MAX; i++) {
        lk_view value;
        bool is_there = lk_fields_get(p->lead.fields, c->ops[i].name, &value) == LK_OK;

        ops[n++] = (lk_op){.kind = is_there ? LK_OP_SET : LK_OP_DELETE,
                           .name = c->ops[i].name,
                           .value = is_there ? value : (lk_view){0}};
    }
    return lk_store_change(store, c->key, c->generation, 0, ops, n, &revision, NULL);
}

/* One look and one try. LK_REFUSED: look again. */
static lk_status settle_once(lk__moving *m, const changing *c, pair *p, bool is_last)
{
    uint32_t revision;
    lk_status status = read_pair(m, c->key, p);

    if (status != LK_OK)
        return status;
    if (has_same_fields(p) && p->other.revision >= p->lead.revision)
        return LK_OK;
    /* Both went on and on while we looked: the other has come past our change. */
    if (is_last && p->other.revision >= c->revision && p->other.revision < p->lead.revision)
        return LK_OK;
    if (p->other.revision == before(c->revision) || p->other.revision >= p->lead.revision || is_last)
        status = lk_store_change(m->other, c->key, c->generation, p->other.revision, c->ops, c->n, &revision,
                                 NULL);
    else
        return LK_REFUSED;
    /* What was asked of the value before (compare-and-set) was answered by the leading store. */
    return status == LK_REFUSED && is_last ? set_alike(m->other, c, p) : status;
}

static void rest(unsigned round)
{
    struct timespec t = {.tv_nsec = WAIT_FIRST_NS << (round < 5 ? round : 5)};

    (void)nanosleep(&t, NULL);
}

static lk_status settle(lk__moving *m, const changing *c)
{
    pair p = {.rooms = lk_alloc(m->base.env, 2 * (size_t)LK_RECORD_MAX)};
    lk_status status = p.rooms != NULL ? LK_REFUSED : LK_FAULT;
    bool is_last = false;

    /* Who is waited for may wait for others in turn: it is enough that the other store goes on. Who was
     * killed on the way there is waited for in vain. */
    for (unsigned round = 0, still = 0; round < LOOKS_MAX && status == LK_REFUSED; round++) {
        uint32_t was = p.other.revision;

        is_last = still >= ROUNDS_MAX || round == LOOKS_MAX - 1;
        status = settle_once(m, c, &p, is_last);
        still = p.other.revision != was ? 0 : still + 1;
        if (status == LK_REFUSED)
            rest(still);
    }
    lk_free(m->base.env, p.rooms);
    /* An older revision must not come again with other fields, when the other store leads. */
    if (status == LK_OK && is_last)
        status = lk__moving_catch_up(m, m->lead_now, m->other, c->key);
    return status;
}

static lk_status change_too(lk__moving *m, const changing *c)
{
    uint32_t revision;
    lk_status status =
        lk_store_change(m->other, c->key, c->generation, before(c->revision), c->ops, c->n, &revision, NULL);

    if (status == LK_MISS) {
        status = lk__moving_bring(m, m->lead_now, m->other, c->key);
        if (status == LK_MISS)
            status = LK_STALE;
    }
    if (status == LK_REFUSED)
        status = settle(m, c);
    return status == LK_STALE || status == LK_MISS ? ended_there(m, c->key) : status;
}

lk_status lk__moving_change(lk_store *store, const lk_session_key *key, uint32_t generation,
                            uint32_t if_revision, const lk_op *ops, size_t n, uint32_t *revision,
                            lk_note *note)
{
    lk__moving *m = lk__moving_of(store);
    changing c = {.key = key, .generation = generation, .ops = ops, .n = n};
    lk_status status = lk_store_change(m->lead_now, key, generation, if_revision, ops, n, &c.revision, note),
              brought;

    if (status == LK_MISS && m->looks_back) {
        brought = lk__moving_bring(m, m->other, m->lead_now, key);
        if (brought != LK_OK && brought != LK_REFUSED)
            return brought;
        status = lk_store_change(m->lead_now, key, generation, if_revision, ops, n, &c.revision, note);
    }
    if (status != LK_OK)
        return status;
    *revision = c.revision;
    return change_too(m, &c);
}
