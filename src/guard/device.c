/* SPDX-License-Identifier: Apache-2.0
 *
 * device.c - a device whose session ended by time is given the next one. docs/devices.md
 *
 * The id of that session is not random: it is a keyed hash of what the device holds and of the session
 * before, so that everybody who asks for this device at the same time, on whatever node, comes to the same
 * one. The row of the device in the accounts is moved on by compare-and-set before the session is made:
 * whoever forgets the device (a logout) either forgets it first, and nothing is made any more, or is told the
 * name of the session and fences it. The session is as old as the device for cut-offs, so that one which this
 * node hears of late reaches it all the same.
 */
#include "guard/guard_internal.h"
#include <latchkey/base64url.h>
#include <string.h>

/* Who comes this much later than the row was moved finds what the one who moved it was about to make. */
#define MEANWHILE_S 10
#define TRIES_MAX 6

/* ---- who is it? ---- */

static lk_status prove_text(lk_guard *g, lk_accounts *a, lk_view text, lk_device *out)
{
    uint8_t hash[LK_DEVICE_HASH_LEN];
    lk_view id;
    lk_status status = lk_device_read(g->parts.ring, text, &id, hash);
    if (status == LK_OK)
        status = lk_accounts_device_get(a, id, out);
    if (status == LK_OK &&
        (!out->has_secret ||
         !lk_secret_equal(lk_view_make(hash, sizeof(hash)), lk_view_make(out->hash, LK_DEVICE_HASH_LEN))))
        status = LK_REFUSED;
    lk_wipe(hash, sizeof(hash));
    return status;
}

static lk_status prove_key(lk_guard *g, lk_accounts *a, const lk_device_proof *p, lk_device *out)
{
    int64_t made_ms = 0;
    lk_status status = lk_challenge_check(g->parts.env, g->parts.ring, p->id, p->challenge, &made_ms);
    if (status == LK_OK)
        status = lk_accounts_device_get(a, p->id, out);
    if (status == LK_OK && out->key[0] == '\0')
        status = LK_REFUSED;
    if (status == LK_OK)
        status = lk_challenge_signed(g->parts.env, lk_view_of(out->key), p->challenge, p->signature);
    /* Each challenge once, on all nodes together. */
    return status == LK_OK ? lk_accounts_device_proved(a, p->id, made_ms) : status;
}

lk_status lk_device_prove(lk_guard *g, lk_accounts *a, const lk_device_proof *proof, lk_device *out)
{
    lk_status status = proof->text.len > 0 ? prove_text(g, a, proof->text, out) : prove_key(g, a, proof, out);
    if (status != LK_OK)
        memset(out, 0, sizeof(*out));
    return status == LK_OK || status == LK_FAULT ? status : LK_REFUSED;
}

/* ---- may it? ---- */

/* One renewal on its way. */
typedef struct renewal {
    lk_guard *g;
    lk_accounts *a;
    const lk_device_ask *ask;
    lk_device_session *out;
    lk_session last; /* what it was given last, if alive; views into record */
    bool alive, found;
    bool in_the_way; /* of the next one: it has the last place that a limit leaves */
    bool repeated;
    uint8_t record[LK_HEAD_MAX];
    char id[LK_SESSION_ID_LEN + 1]; /* derived */
    lk_session_key key;
} renewal;

static lk_status refuse(renewal *x, lk_reason why, bool over)
{
    x->out->why = why;
    x->out->over = over;
    return LK_REFUSED;
}

/* What was revoked is asked for now: a view that lags must not let a device in. */
static lk_status look_at_cutoffs(renewal *x)
{
    const lk_device *d = &x->out->device;
    lk_session_key key;
    lk_reason why = LK_REASON_REVOKED;
    lk_status status = lk_guard_follow(x->g);
    if (status != LK_OK && (!x->g->store_is_remote || lk__view_of_primary(x->g) != LK_OK))
        return LK_FAULT;
    lk_subject subject = {.realm = lk_view_of(d->realm),
                          .roles = lk_view_of(x->out->user.roles),
                          .user = lk_view_of(d->user),
                          .device = lk_view_of(d->id),
                          .issued_ms = d->issued_ms};
    /* A session in the client, or behind a token, ends by a cut-off of its own. */
    if (lk_public_id_read(lk_view_of(d->session), &key) == LK_OK)
        subject.session = &key;
    status = lk__cutoffs_check(x->g, &subject, &why);
    /* A table that was lost with its cut-offs (memory:) has heard of none: that is no word about this device.
     */
    return status == LK_STALE ? refuse(x, why, why != LK_REASON_EXPIRED) : status;
}

static lk_status look_at_owner(renewal *x)
{
    const lk_device *d = &x->out->device;
    int64_t now_s = lk_now_s(x->g->parts.env);
    if (!lk_view_equal(lk_view_of(d->realm), lk_view_of(x->g->parts.settings->realm)))
        return refuse(x, LK_REASON_WRONG_AUDIENCE, false);
    if (now_s >= d->ends_s)
        return refuse(x, now_s >= d->expires_s ? LK_REASON_EXPIRED : LK_REASON_IDLE, true);
    lk_status status = lk_accounts_get(x->a, lk_view_of(d->user), &x->out->user);
    if (status == LK_MISS)
        return refuse(x, LK_REASON_REVOKED, true);
    if (status == LK_OK && x->out->user.state != LK_USER_ENABLED)
        return refuse(x, LK_REASON_BANNED, false);
    return status == LK_OK ? LK_OK : LK_FAULT;
}

/* A limit ended its session: it is not to put out, in turn, whoever did. Its own cookie stays: the next login
 * on it makes it good again. LK_MISS when it has gone on from that session. */
static lk_status put_out(renewal *x)
{
    lk_status status = lk_accounts_device_put_out(x->a, &x->out->device);
    return status == LK_OK ? refuse(x, LK_REASON_REPLACED, false) : status;
}

/* How its last session ended, or that it has not. Where sessions are written is asked: a copy may be behind a
 * logout. A session somebody ended ends the device. */
static lk_status look_at_last(renewal *x)
{
    lk_load load = {.head_only = true, .buf = x->record, .cap = sizeof(x->record), .status = LK_FAULT};
    lk_reason why;
    x->alive = x->found = false;
    if (lk_public_id_read(lk_view_of(x->out->device.session), &load.key) != LK_OK)
        return LK_OK;
    if (lk_store_load_many(lk_store_writes_to(x->g->parts.store), &load, 1) != LK_OK ||
        load.status == LK_FAULT || load.status == LK_FULL)
        return LK_FAULT;
    if (load.status == LK_STALE && load.why == LK_REASON_REPLACED)
        return put_out(x);
    if (load.status == LK_STALE && load.why != LK_REASON_EXPIRED && load.why != LK_REASON_IDLE &&
        load.why != LK_REASON_NONE)
        return refuse(x, load.why, true);
    if (load.status != LK_OK)
        return LK_OK;
    x->last = load.session;
    x->last.seen_s = lk__seen_s(x->g, &x->last);
    x->found = true;
    x->alive = (x->last.flags & LK_SESSION_ENDING) == 0 &&
               lk_session_alive(&x->last, lk_now_s(x->g->parts.env), &why) == LK_OK;
    return LK_OK;
}

/* ---- the session ---- */

static bool is_token(lk_kind kind)
{
    return kind == LK_KIND_TOKEN || kind == LK_KIND_JWT;
}

static lk_status derive(renewal *x, const char *from)
{
    return lk_device_session_id(x->g->parts.ring, &x->out->device, x->ask->proof->text, lk_view_of(from),
                                x->id, &x->key);
}

static bool is_key_of_row(const renewal *x)
{
    char public_id[LK_PUBLIC_ID_LEN + 1];
    lk_public_id_write(&x->key, public_id);
    return lk_view_equal(lk_view_of(public_id), lk_view_of(x->out->device.session));
}

/* The session it has: whoever lost its id on the way (a browser that was closed) gets that again. */
static lk_status hand_over(renewal *x)
{
    lk_issued *out = &x->out->issued;
    memset(out, 0, sizeof(*out));
    x->repeated = true;
    if (is_token(x->ask->kind))
        return lk__mint(x->g, x->ask->kind, &x->last, x->ask->renews, out);
    memcpy(out->text, x->id, sizeof(x->id));
    out->len = LK_SESSION_ID_LEN;
    lk__issued_fill(LK_KIND_SESSION_ID, &x->last, out);
    return LK_OK;
}

/* Make the session x->id. LK_REFUSED: it is there, or was ended already. */
static lk_status make(renewal *x, bool replaces)
{
    const lk_device *d = &x->out->device;
    const lk_user *user = &x->out->user;
    lk_login login = {.user = lk_view_of(user->id),
                      .name = lk_view_of(user->name),
                      .realm = lk_view_of(user->realm),
                      .roles = lk_view_of(user->roles),
                      .device = lk_view_of(d->id),
                      .device_class = lk_view_of(d->device_class),
                      .agent = x->ask->agent,
                      .address = x->ask->address,
                      .renews = x->ask->renews,
                      .yields = true,
                      .session_id = x->id,
                      .issued_ms = d->issued_ms,
                      .auth_s = d->auth_s};
    lk_identity before = {.has_session = true, .kind = LK_KIND_SESSION_ID};
    const lk_identity *prior = x->ask->prior;
    if ((prior == NULL || !prior->has_session) && replaces) {
        before.key = x->last.key;
        before.generation = x->last.generation;
        prior = &before;
    }
    return lk_guard_issue(x->g, x->ask->kind, &login, x->ask->presented, prior, &x->out->issued, NULL);
}

/* On from the session the row stands at. A place is looked for first: who finds none leaves the row, and the
 * time the device has without use, as they are. */
static lk_status go_on(renewal *x)
{
    lk_device *d = &x->out->device;
    char next[LK_PUBLIC_ID_LEN + 1];
    lk_status status = derive(x, d->session);
    if (status == LK_OK && x->ask->kind != LK_KIND_SEALED) /* those are in no store, and count nowhere */
        status = lk__device_place(x->g, d, x->found ? &x->last.key : NULL, &x->in_the_way);
    if (status == LK_FULL)
        x->out->issued.why = LK_REASON_SESSION_LIMIT;
    if (status != LK_OK)
        return status;
    lk_public_id_write(&x->key, next);
    status = lk_accounts_device_move(x->a, d, lk_view_of(next));
    if (status == LK_OK && x->in_the_way)
        status = lk_guard_end(x->g, lk_view_of(d->realm), &x->last.key, LK_REASON_REPLACED);
    if (status == LK_OK)
        status = make(x, x->alive && !x->in_the_way);
    return status == LK_REFUSED ? LK_MISS : status;
}

/* One look at how things are, and what follows. LK_MISS: they changed meanwhile, look again. */
static lk_status try_once(renewal *x)
{
    lk_device *d = &x->out->device;
    int64_t now_s = lk_now_s(x->g->parts.env);
    if (d->put_out_s > 0)
        return refuse(x, LK_REASON_REPLACED, false);
    lk_status status = look_at_last(x);
    if (status == LK_OK)
        status = derive(x, d->session_from);
    if (status != LK_OK)
        return status;
    bool same_kind = x->found && ((x->last.flags & LK_SESSION_TOKEN) != 0) == is_token(x->ask->kind);
    bool recent = now_s - d->session_s < MEANWHILE_S;
    /* A token that is not renewed has the time its session has left: only what was just made is worth it. */
    if (is_key_of_row(x) && x->alive && same_kind && (!is_token(x->ask->kind) || x->ask->renews || recent))
        return hand_over(x);
    if (is_key_of_row(x) && !x->found && recent) {
        status = make(x, false);
        return status == LK_REFUSED ? LK_MISS : status;
    }
    return go_on(x);
}

/* What the row says now: it was moved on, or forgotten, or belongs to a newer login with another secret. */
static lk_status look_again(renewal *x)
{
    lk_device now;
    lk_status status = lk_accounts_device_get(x->a, lk_view_of(x->out->device.id), &now);
    if (status == LK_MISS)
        return refuse(x, LK_REASON_REVOKED, true);
    if (status != LK_OK)
        return LK_FAULT;
    /* The browser has the new secret, or is about to: nothing is taken from it. */
    if (!lk_secret_equal(lk_view_make(now.hash, sizeof(now.hash)),
                         lk_view_make(x->out->device.hash, sizeof(now.hash))))
        return refuse(x, LK_REASON_REPLACED, false);
    x->out->device = now;
    return LK_OK;
}

static lk_status renew(renewal *x)
{
    lk_status status = lk_device_prove(x->g, x->a, x->ask->proof, &x->out->device);
    /* A text that names no device, or not its secret, never will; a challenge may have been too late. */
    if (status == LK_REFUSED)
        return refuse(x, LK_REASON_BAD_CREDENTIALS, x->ask->proof->text.len > 0);
    if (status == LK_OK)
        status = look_at_owner(x);
    for (unsigned i = 0; status == LK_OK && i < TRIES_MAX; i++) {
        status = look_at_cutoffs(x);
        if (status == LK_OK)
            status = try_once(x);
        if (status != LK_MISS)
            return status;
        status = look_again(x);
    }
    return status == LK_OK ? LK_FAULT : status;
}

static lk_counter counter_of(const renewal *x, lk_status status)
{
    switch (status) {
    case LK_OK:
        return x->repeated ? LK_COUNT_DEVICE_REPEATED : LK_COUNT_DEVICE_RENEWED;
    case LK_REFUSED:
    case LK_FULL:
        return LK_COUNT_DEVICE_REFUSED;
    case LK_MISS:
    case LK_STALE:
    case LK_FAULT:
        break;
    }
    return LK_COUNT_DEVICE_UNKNOWN;
}

lk_status lk_guard_device_session(lk_guard *g, lk_accounts *a, const lk_device_ask *ask,
                                  lk_device_session *out)
{
    renewal x = {.g = g, .a = a, .ask = ask, .out = out};
    memset(out, 0, sizeof(*out));
    lk_status status = renew(&x);
    lk_guard_count(g, counter_of(&x, status));
    if (status != LK_OK) {
        lk_reason why = out->issued.why;
        lk_issued_wipe(&out->issued);
        out->issued.why = why;
    }
    lk_wipe(x.id, sizeof(x.id));
    switch (status) {
    case LK_OK:
    case LK_REFUSED:
    case LK_FULL:
        return status;
    case LK_MISS:
    case LK_STALE:
    case LK_FAULT:
        break;
    }
    return LK_FAULT;
}

int64_t lk_guard_issue_time_ms(lk_guard *g, lk_view realm, lk_view roles, lk_view user, lk_view device)
{
    lk_subject subject = {.realm = realm, .roles = roles, .user = user, .device = device};
    return lk__issue_time_ms(g, &subject);
}
