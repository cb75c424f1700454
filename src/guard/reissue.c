/* SPDX-License-Identifier: Apache-2.0
 *
 * reissue.c - the visitor is handed his credential anew: with a later time in it, or that of another way.
 *
 * While a site moves from one way to another (latchkey_move), what a visitor holds of the other way is good,
 * and turned into what this way hands out when he is seen. The name of the session - its public id - stays
 * what it was wherever that is possible: a sealed session holds its session id, so that it goes into a store
 * and comes out of it without a new name, and whoever was to be put out under one way is put out under the
 * other. Only a token holds no id; its session gets a new one, and remembers the old name (`previous`).
 *
 *   from \ to     session_id                    sealed                        jwt
 *   session_id    -                             the record, sealed            names the record
 *   sealed        the record is made            the time of this use          the record is made, and named
 *   jwt           a new id replaces the record  a new id, sealed              the same claims, a new life
 *
 * Every step can be done twice, at once and on two nodes: the second finds what the first did. What he held
 * before stays good for the grace time at least, so that an answer that is lost costs nothing.
 */
#include "guard/guard_internal.h"
#include "store/fields.h"
#include <string.h>

/* One reissue on its way. */
typedef struct reissue {
    lk_guard *g;
    const lk_presented *presented;
    const lk_identity *id;
    lk_issued *out;
    lk_session s; /* views into record or fields */
    char session_id[LK_SESSION_ID_LEN + 1];
    uint8_t text[LK_SEALED_MAX];
    uint8_t record[LK_SESSION_ROOM], other[LK_SESSION_ROOM];
} reissue;

/* ---- what there is ---- */

/* The session id that was presented. */
static lk_status take_id(reissue *x)
{
    lk_buf room = lk_buf_over(x->text, sizeof(x->text));
    lk_view text;
    lk_status status = lk__presented_find(x->g, x->presented, &room, &text);
    if (status != LK_OK || text.len != LK_SESSION_ID_LEN)
        return status == LK_FAULT ? LK_FAULT : LK_STALE;
    memcpy(x->session_id, text.p, LK_SESSION_ID_LEN);
    x->session_id[LK_SESSION_ID_LEN] = '\0';
    return LK_OK;
}

static lk_status load(reissue *x)
{
    lk_reason why;
    switch (x->id->kind) {
    case LK_KIND_SEALED:
        return lk__sealed_session(x->g, x->presented, x->record, x->session_id, &x->s, &why);
    case LK_KIND_SESSION_ID:
        if (take_id(x) != LK_OK)
            return LK_STALE;
        return lk_guard_record(x->g, &x->id->key, x->record, &x->s, &why);
    case LK_KIND_TOKEN:
    case LK_KIND_JWT:
        return lk_guard_record(x->g, &x->id->key, x->record, &x->s, &why);
    case LK_KIND_API_KEY:
    case LK_KIND_COUNT:
        break;
    }
    return LK_MISS;
}

/* ---- into the store ---- */

/* The record is there from an earlier stay in the store: what the visitor changed since comes along. */
static lk_status bring_up_to_date(reissue *x)
{
    lk_op ops[LK_FIELDS_OPS_MAX];
    lk_session there;
    lk_reason why;
    lk_touch touch = {x->s.key, x->s.seen_s};
    lk_status status = lk_guard_record(x->g, &x->s.key, x->other, &there, &why);
    if (status == LK_STALE && why == LK_REASON_IDLE) {
        /* It was not idle: it was in use elsewhere. */
        status = lk_store_touch_many(x->g->parts.store, &touch, 1);
        if (status == LK_OK)
            status = lk_guard_record(x->g, &x->s.key, x->other, &there, &why);
    }
    if (status != LK_OK || there.revision >= x->s.revision)
        return status;
    return lk_store_change(x->g->parts.store, &x->s.key, there.generation, there.revision, ops,
                           lk__fields_list_ops(x->s.fields, there.fields, ops), NULL, NULL);
}

static lk_status put_into_store(reissue *x)
{
    lk_limit limit = lk__limit_of(x->g, &x->s, NULL);
    /* He is logged in already: nobody is refused what he has. */
    if (limit.victim == LK_VICTIM_REFUSE)
        limit = (lk_limit){0};
    lk_status status = lk_store_create(x->g->parts.store, &x->s, limit, NULL);
    /* There already, or ended: the second is what its loading says. */
    return status == LK_REFUSED ? bring_up_to_date(x) : status;
}

/* ---- a token's session gets an id of its own ---- */

/* Who comes second, or never heard the answer, finds the record replaced: it stays readable for as long as
 * the token is good, and he is given another session beside the one that replaced it. */
static lk_status give_id(reissue *x, bool in_store)
{
    const lk_settings *settings = x->g->parts.settings;
    int64_t now_s = lk_now_s(x->g->parts.env), fence_s = now_s + settings->fence_s;
    lk_session_key old = x->s.key;
    uint32_t generation = x->s.generation;
    bool first = (x->s.flags & LK_SESSION_ENDING) == 0;
    lk_status status =
        lk_session_id_new(x->g->parts.env, x->g->parts.ring, x->session_id, &x->s.key, x->s.proof);
    if (status != LK_OK)
        return LK_FAULT;
    x->s.flags &= ~(uint32_t)(LK_SESSION_TOKEN | LK_SESSION_ENDING);
    x->s.previous = old;
    x->s.generation = generation + 1;
    x->s.idle_s = (x->s.flags & LK_SESSION_REMEMBER) != 0 ? 0 : settings->idle_s;
    x->s.seen_s = now_s;
    if (!first)
        x->s.expires_s = x->id->auth_s + settings->absolute_s;
    if (!in_store)
        return LK_OK;
    status = LK_STALE;
    if (first)
        status = lk_store_replace(x->g->parts.store, &old, generation, &x->s, x->id->ends_s, fence_s,
                                  (lk_limit){0});
    if (status == LK_STALE || status == LK_MISS)
        status = lk_store_create(x->g->parts.store, &x->s, (lk_limit){0}, NULL);
    return status == LK_REFUSED ? LK_FAULT : status;
}

/* ---- what is handed out ---- */

static lk_status hand_out_id(reissue *x)
{
    lk_status status = x->id->kind == LK_KIND_SEALED ? put_into_store(x) : give_id(x, true);
    if (status != LK_OK)
        return status;
    memcpy(x->out->text, x->session_id, sizeof(x->session_id));
    x->out->len = LK_SESSION_ID_LEN;
    lk__issued_fill(LK_KIND_SESSION_ID, &x->s, x->out);
    return LK_OK;
}

static lk_status hand_out_sealed(reissue *x)
{
    lk_status status = x->id->kind == LK_KIND_JWT ? give_id(x, false) : LK_OK;
    x->s.seen_s = lk_now_s(x->g->parts.env);
    x->s.generation++; /* copies.c */
    return status == LK_OK ? lk__sealed_make(x->g, x->session_id, &x->s, x->out, NULL) : status;
}

static lk_status hand_out_token(reissue *x)
{
    lk_status status = x->id->kind == LK_KIND_SEALED ? put_into_store(x) : LK_OK;
    return status == LK_OK ? lk__mint(x->g, LK_KIND_JWT, &x->s, true, x->out) : status;
}

static lk_status hand_out(reissue *x, lk_kind kind)
{
    lk_status status = load(x);
    if (status != LK_OK)
        return status;
    switch (kind) {
    case LK_KIND_SESSION_ID:
        return hand_out_id(x);
    case LK_KIND_SEALED:
        return hand_out_sealed(x);
    case LK_KIND_JWT:
        return hand_out_token(x);
    case LK_KIND_TOKEN:
    case LK_KIND_API_KEY:
    case LK_KIND_COUNT:
        break;
    }
    return LK_MISS;
}

/* The same claims with a new life: what is in them is proven, so that no store is asked. */
static lk_status renew_token(reissue *x)
{
    lk_buf room = lk_buf_over(x->text, sizeof(x->text)), scratch = lk_buf_over(x->record, sizeof(x->record));
    lk_view text;
    lk_claims claims;
    lk_status status = lk__presented_find(x->g, x->presented, &room, &text);
    if (status == LK_OK)
        status = lk__token_prove(x->g, text, &scratch, &claims);
    return status == LK_OK ? lk__mint_again(x->g, &claims, x->out) : status;
}

lk_status lk_guard_reissue(lk_guard *g, const lk_presented *presented, const lk_identity *id, lk_issued *out)
{
    lk_kind kind = lk__converts(g, id) ? g->hands_out : id->kind;
    out->len = 0;
    if (id->reissue == LK_REISSUE_NO)
        return LK_MISS;
    reissue *x = lk_alloc(g->parts.env, sizeof(*x));
    if (x == NULL)
        return LK_FAULT;
    x->g = g;
    x->presented = presented;
    x->id = id;
    x->out = out;
    lk_status status = kind == LK_KIND_JWT && id->kind == LK_KIND_JWT ? renew_token(x) : hand_out(x, kind);
    if (status != LK_OK)
        out->len = 0;
    lk_wipe(x->session_id, sizeof(x->session_id));
    lk_free(g->parts.env, x);
    return status;
}

bool lk__converts(const lk_guard *g, const lk_identity *id)
{
    bool other = id->kind != g->hands_out && (g->takes_over & 1u << id->kind) != 0;
    /* A token says who somebody is, and there is nothing to say of a visitor nobody knows. */
    return other && id->carrier == LK_CARRIER_COOKIE && id->has_session &&
           (id->logged_in || g->hands_out != LK_KIND_JWT);
}
