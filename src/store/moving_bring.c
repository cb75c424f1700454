/* SPDX-License-Identifier: Apache-2.0
 *
 * moving_bring.c - a session brought from one of the two stores of a move into the other.
 *
 * Nothing that ended is brought back in: an end leaves its mark in both stores, and a store makes no session
 * whose mark it holds. Whichever of two comes first - the session or its mark - the mark stays.
 */
#include "store/fields.h"
#include "store/moving_inner.h"
#include "store/rules.h"
#include <string.h>

#define ROUNDS_MAX 16

lk_status lk__moving_look(lk_store *store, const lk_session_key *key, uint8_t room[LK_HEAD_MAX],
                          lk_session *head, lk_reason *why)
{
    lk_load load = {.key = *key, .head_only = true, .buf = room, .cap = LK_HEAD_MAX};

    if (lk_store_load_many(store, &load, 1) != LK_OK)
        return LK_FAULT;
    if (head != NULL && load.status == LK_OK)
        *head = load.session;
    *why = load.why;
    return load.status == LK_FULL ? LK_FAULT : load.status;
}

lk_status lk__moving_bring(lk__moving *m, lk_store *from, lk_store *to, const lk_session_key *key)
{
    uint8_t *room = lk_alloc(m->base.env, LK_RECORD_MAX);
    lk_load load = {.key = *key, .buf = room, .cap = LK_RECORD_MAX};
    lk_status status = LK_FAULT;

    if (room != NULL && lk_store_load_many(from, &load, 1) == LK_OK)
        status = load.status;
    if (status == LK_OK)
        status = lk_store_create(to, &load.session, (lk_limit){0}, NULL);
    lk_free(m->base.env, room);
    return status;
}

/* ---- fields ---- */

/* A change that changes nothing but the revision. */
static lk_op no_change(lk_view fields)
{
    lk_field field;
    size_t at = 0;

    if (lk_fields_next(fields, &at, &field))
        return (lk_op){.kind = LK_OP_SET, .name = field.name, .value = field.value};
    return (lk_op){.kind = LK_OP_DELETE, .name = LK_VIEW("x")};
}

/* As many changes as FROM saw, each only if nobody else wrote: a client that holds an older revision must not
 * find it valid for newer fields. The fields come with the last of them: with an earlier one, a change that
 * is on its way for that revision would be in them, and be made once more. LK_REFUSED: somebody wrote, look
 * again. */
static lk_status change_as(lk_store *store, const lk_session *from, const lk_session *to)
{
    lk_op ops[LK_FIELDS_OPS_MAX], nothing = no_change(to->fields);
    size_t n = lk__fields_list_ops(from->fields, to->fields, ops);
    uint32_t revision = to->revision;
    lk_status status = LK_OK;

    while (status == LK_OK && revision < from->revision) {
        bool is_last = revision == from->revision - 1;

        status = lk_store_change(store, &to->key, to->generation, revision, is_last ? ops : &nothing,
                                 is_last ? n : 1, &revision, NULL);
    }
    return status;
}

static lk_status catch_up_once(lk_store *from, lk_store *to, const lk_session_key *key, uint8_t *rooms)
{
    lk_load loads[2] = {{.key = *key, .buf = rooms, .cap = LK_RECORD_MAX},
                        {.key = *key, .buf = rooms + LK_RECORD_MAX, .cap = LK_RECORD_MAX}};

    if (lk_store_load_many(from, &loads[0], 1) != LK_OK || lk_store_load_many(to, &loads[1], 1) != LK_OK)
        return LK_FAULT;
    if (loads[0].status != LK_OK || loads[1].status != LK_OK)
        return loads[0].status != LK_OK ? loads[0].status : loads[1].status;
    return change_as(to, &loads[0].session, &loads[1].session);
}

lk_status lk__moving_catch_up(lk__moving *m, lk_store *from, lk_store *to, const lk_session_key *key)
{
    uint8_t *rooms = lk_alloc(m->base.env, 2 * (size_t)LK_RECORD_MAX);
    lk_status status = rooms != NULL ? LK_REFUSED : LK_FAULT;

    for (unsigned round = 0; round < ROUNDS_MAX && status == LK_REFUSED; round++)
        status = catch_up_once(from, to, key, rooms);
    lk_free(m->base.env, rooms);
    return status == LK_REFUSED ? LK_OK : status; /* others bring it on, as long as they are at it */
}
