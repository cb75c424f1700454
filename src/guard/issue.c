/* SPDX-License-Identifier: Apache-2.0
 *
 * issue.c - a login becomes a session, and a session id or a token that stands for it.
 */
#include "guard/guard_internal.h"
#include <latchkey/base64url.h>
#include <string.h>

void lk_issued_wipe(lk_issued *issued)
{
    lk_wipe(issued, sizeof(*issued));
}

/* A text of the client that is only shown later (User-Agent): cut at a character, never refused. */
static lk_view cut(lk_view v, size_t max)
{
    if (v.len <= max)
        return v;
    size_t len = max;
    while (len > 0 && (v.p[len] & 0xc0) == 0x80)
        len--;
    return lk_view_part(v, 0, len);
}

static int64_t min_s(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* The new session as the login and the settings make it; key and proof come with the id. */
static void describe(lk_guard *g, lk_kind kind, const lk_login *login, lk_session *s)
{
    const lk_settings *settings = g->parts.settings;
    int64_t now_s = lk_now_s(g->parts.env);
    lk_subject subject = {
        .realm = login->realm, .roles = login->roles, .user = login->user, .device = login->device};
    int64_t issued_ms = login->issued_ms > 0 ? login->issued_ms : lk__issue_time_ms(g, &subject);
    s->user = login->user;
    s->name = login->name;
    s->realm = login->realm;
    s->roles = login->roles;
    s->scope = login->scope;
    s->device = login->device;
    s->device_class = cut(login->device_class, LK_DEVICE_CLASS_MAX);
    s->agent = cut(login->agent, LK_AGENT_MAX);
    s->address = cut(login->address, LK_ADDRESS_MAX);
    s->generation = 1;
    s->revision = 1;
    s->created_s = now_s;
    s->auth_s = login->auth_s > 0 ? login->auth_s : now_s;
    s->seen_s = now_s;
    s->issued_s = issued_ms / 1000;
    s->issued_ms = (uint16_t)(issued_ms % 1000);
    switch (kind) {
    case LK_KIND_TOKEN:
    case LK_KIND_JWT:
        s->flags = LK_SESSION_TOKEN;
        /* Whoever checks a token looks at no record, so that nobody notes its use there: a token that is
         * renewed goes by its own time of issue (reissue.c). */
        if (login->refreshes) {
            s->idle_s = settings->refresh_idle_s;
            s->expires_s = now_s + settings->refresh_ttl_s;
            break;
        }
        if (login->renews && login->remember)
            s->flags |= LK_SESSION_REMEMBER;
        if (login->renews)
            s->expires_s = now_s + (login->remember ? settings->remember_s : settings->absolute_s);
        else
            s->expires_s = now_s + min_s(kind == LK_KIND_JWT ? settings->jwt_ttl_s : settings->token_ttl_s,
                                         settings->absolute_s);
        break;
    case LK_KIND_SESSION_ID:
    case LK_KIND_SEALED:
    case LK_KIND_API_KEY:
    case LK_KIND_COUNT:
        s->flags = login->remember ? LK_SESSION_REMEMBER : 0;
        s->idle_s = login->remember ? 0 : settings->idle_s;
        s->expires_s = now_s + (login->remember ? settings->remember_s : settings->absolute_s);
        break;
    }
}

static lk_claims claims_of(const lk_session *s, lk_kind kind)
{
    return (lk_claims){.kind = kind,
                       .user = s->user,
                       .name = s->name,
                       .realm = s->realm,
                       .roles = s->roles,
                       .scope = s->scope,
                       .device = s->device,
                       .has_session = true,
                       .session = s->key,
                       .generation = s->generation,
                       .issued_s = s->issued_s,
                       .issued_ms = s->issued_ms,
                       .auth_s = s->auth_s,
                       .expires_s = s->expires_s};
}

/* A token in a header lives as long as latchkey_jwt or latchkey_token says. One in a cookie that is renewed
 * stands for a session, and so it ends as one: by the idle time, unless it is used, and with the login. */
static int64_t token_end_s(const lk_guard *g, lk_kind kind, bool renews, bool remember,
                           int64_t session_ends_s)
{
    const lk_settings *settings = g->parts.settings;
    int64_t ttl_s = kind == LK_KIND_JWT ? settings->jwt_ttl_s : settings->token_ttl_s;
    if (renews)
        ttl_s = remember ? settings->remember_s : settings->idle_s;
    return min_s(lk_now_s(g->parts.env) + ttl_s, session_ends_s);
}

/* Sign CLAIMS, under a fresh name (jti). */
static lk_status sign(lk_guard *g, lk_claims *claims, lk_issued *out)
{
    uint8_t random[12];
    char id[LK_BASE64URL_LEN(12)];
    lk_buf id_buf = lk_buf_over(id, sizeof(id));
    lk_buf text = lk_buf_over(out->text, sizeof(out->text) - 1);
    lk_alg alg = claims->kind == LK_KIND_JWT ? g->parts.settings->jwt_alg : LK_ALG_HS256;
    if (lk_random(g->parts.env, random, sizeof(random)) != LK_OK || lk__keys_sign(g, alg) != LK_OK)
        return LK_FAULT;
    lk_base64url_encode(lk_view_make(random, sizeof(random)), &id_buf);
    claims->id = lk_buf_view(&id_buf);
    claims->issuer = lk_view_of(g->parts.settings->jwt_issuer);
    claims->audience = lk_view_of(g->parts.settings->jwt_audience);
    lk_status status = claims->kind == LK_KIND_JWT ? lk_jwt_mint(g->parts.ring, g->parts.settings->jwt_alg,
                                                                 claims, LK_JWT_TYPE, &text)
                                                   : lk_token_mint(g->parts.ring, claims, &text);
    claims->id = (lk_view){0};
    out->len = text.len;
    out->text[text.len] = '\0';
    out->token_ends_s = claims->expires_s;
    return status;
}

lk_status lk__mint_again(lk_guard *g, const lk_claims *claims, lk_issued *out)
{
    lk_claims next = *claims;
    next.expires_s = token_end_s(g, LK_KIND_JWT, true, false, claims->session_ends_s);
    lk_status status = sign(g, &next, out);
    out->kind = LK_KIND_JWT;
    out->key = claims->session;
    out->generation = claims->generation;
    out->flags = LK_SESSION_TOKEN;
    out->created_s = out->issued_s = claims->issued_s;
    out->expires_s = out->ends_s = claims->session_ends_s;
    return status;
}

lk_status lk__mint_bound(lk_guard *g, lk_kind kind, const lk_session *s, lk_view bound, bool renews,
                         lk_issued *out)
{
    lk_claims claims = claims_of(s, kind);
    if (bound.len > 0 && kind != LK_KIND_JWT)
        return LK_REFUSED;
    claims.bound = bound;
    claims.expires_s = token_end_s(g, kind, renews, (s->flags & LK_SESSION_REMEMBER) != 0, s->expires_s);
    /* The time of issue stays that of the login: a renewal that races with a revocation does not get past it.
     */
    if (renews)
        claims.session_ends_s = s->expires_s;
    lk_status status = sign(g, &claims, out);
    if (status == LK_OK)
        lk__issued_fill(kind, s, out);
    out->bound = status == LK_OK && bound.len > 0;
    return status;
}

lk_status lk__mint(lk_guard *g, lk_kind kind, const lk_session *s, bool renews, lk_issued *out)
{
    return lk__mint_bound(g, kind, s, (lk_view){0}, renews, out);
}

/* Fields that may move from an anonymous visit into a login: what a stranger may have planted stays behind
 * unless the operator named it. (SECURITY-RULES 28) */
static bool may_carry(const lk_settings *settings, lk_view name)
{
    lk_view list = lk_view_of(settings->carry);
    return lk_words_have(list, name) || lk_words_have(list, LK_VIEW("*"));
}

static lk_status carry_fields(lk_guard *g, const lk_session *prior, lk_buf *out)
{
    bool same_user = (prior->flags & LK_SESSION_ANONYMOUS) == 0;
    lk_op ops[LK_FIELDS_MAX];
    lk_field field;
    size_t at = 0, n = 0;
    while (n < LK_FIELDS_MAX && lk_fields_next(prior->fields, &at, &field))
        if (!lk_field_is_ours(field.name) && (same_user || may_carry(g->parts.settings, field.name)))
            ops[n++] = (lk_op){.kind = LK_OP_SET, .name = field.name, .value = field.value};
    return lk_fields_apply((lk_view){0}, ops, n, out, NULL);
}

/* What becomes of the session a login came with. */
typedef enum prior_fate {
    PRIOR_NONE,    /* there is none, or it goes on beside the new one */
    PRIOR_REPLACE, /* same visitor: fields move, the old id stays readable for the grace time */
    PRIOR_END      /* another user's: ended, nothing moves */
} prior_fate;

static prior_fate fate_of(const lk_login *login, lk_kind kind, const lk_identity *prior,
                          const lk_session *record)
{
    bool is_anonymous = (record->flags & LK_SESSION_ANONYMOUS) != 0;
    if ((record->flags & (LK_SESSION_ENDING | LK_SESSION_TOKEN)) != 0 ||
        (prior->kind != LK_KIND_SESSION_ID && prior->kind != LK_KIND_SEALED))
        return PRIOR_NONE;
    if (is_anonymous)
        return PRIOR_REPLACE;
    /* A program that asks for a token with a browser's session at hand does not log the browser out. */
    if (kind != LK_KIND_SESSION_ID && kind != LK_KIND_SEALED && !login->renews)
        return PRIOR_NONE;
    bool same = lk_view_equal(record->user, login->user) && lk_view_equal(record->realm, login->realm);
    return same ? PRIOR_REPLACE : PRIOR_END;
}

/* What S takes over of the session it comes after. */
static void come_after(lk_session *s, const lk_session *prior, prior_fate fate)
{
    if (fate == PRIOR_REPLACE) {
        s->created_s = prior->created_s;
        s->previous = prior->key;
        if (s->device_class.len == 0)
            s->device_class = prior->device_class;
    }
    if (fate != PRIOR_NONE)
        s->generation = prior->generation + 1;
}

/* S was made: what is left to do of its limit. If that fails nothing was issued. */
static lk_status keep_limit(lk_guard *g, const lk_session *s, const lk_limit *limit, const lk__tokens *tokens)
{
    lk_status status = lk__limit_carry_out(g, s, tokens);
    if (status != LK_OK) {
        (void)!lk_store_destroy(g->parts.store, &s->key, LK_REASON_REVOKED, limit->fence_s);
        return LK_FAULT;
    }
    if (limit->max > 0 || limit->class_max > 0)
        lk__view_hear(g); /* whom the limit ended */
    return LK_OK;
}

/* One of the two is sealed, so that the store cannot put one in the place of the other. What a visitor nobody
 * knew held opens nothing, and his own older session goes with the new one (`previous`); another user's ends
 * here. */
static lk_status remember_beside(lk_guard *g, lk_kind kind, const lk_session *s, const lk_session *prior,
                                 prior_fate fate, const lk_limit *limit)
{
    lk__tokens tokens;
    lk_status status = LK_OK;
    if (fate == PRIOR_END)
        status = lk_guard_end(g, prior->realm, &prior->key, LK_REASON_REPLACED);
    if (status != LK_OK || kind == LK_KIND_SEALED)
        return status;
    status = lk__limit_look(g, s, limit, &tokens);
    if (status == LK_OK)
        status = lk_store_create(g->parts.store, s, *limit, NULL);
    if (status == LK_OK)
        status = keep_limit(g, s, limit, &tokens);
    return status;
}

static lk_status remember(lk_guard *g, lk_session *s, const lk_session *prior, prior_fate fate,
                          const lk_limit *limit)
{
    const lk_settings *settings = g->parts.settings;
    int64_t now_s = lk_now_s(g->parts.env), fence_s = now_s + settings->fence_s;
    lk__tokens tokens;
    lk_status status = lk__limit_look(g, s, limit, &tokens) == LK_OK ? LK_MISS : LK_FAULT;
    if (status == LK_MISS && fate != PRIOR_NONE) {
        int64_t grace_s = fate == PRIOR_REPLACE && settings->grace_s > 0 ? now_s + settings->grace_s : 0;
        status =
            lk_store_replace(g->parts.store, &prior->key, prior->generation, s, grace_s, fence_s, *limit);
    }
    if (fate != PRIOR_NONE && g->store_is_remote)
        lk__near_drop(g, &prior->key);
    /* The prior session ended between the look and the write: its fields ended with it. */
    if (fate != PRIOR_NONE && (status == LK_MISS || status == LK_STALE)) {
        s->fields = (lk_view){0};
        s->previous = (lk_session_key){{0}};
    }
    if (status == LK_MISS || status == LK_STALE)
        status = lk_store_create(g->parts.store, s, *limit, NULL);
    if (status == LK_OK) /* what is left to do of the limit */
        status = keep_limit(g, s, limit, &tokens);
    return status;
}

static lk_status load_prior(lk_guard *g, const lk_presented *presented, const lk_identity *prior,
                            uint8_t *buf, lk_session *out)
{
    lk_reason why;
    if (prior == NULL || !prior->has_session)
        return LK_MISS;
    return lk_guard_session(g, presented, prior, buf, out, &why);
}

void lk__issued_fill(lk_kind kind, const lk_session *s, lk_issued *out)
{
    out->kind = kind;
    out->key = s->key;
    out->generation = s->generation;
    out->flags = s->flags;
    out->created_s = s->created_s;
    out->issued_s = s->issued_s;
    out->expires_s = s->expires_s;
    out->ends_s = lk_session_ends_s(s);
}

/* Room for the fields of the prior session, twice: its record and what moves. Not on the stack of a worker's
 * thread. */
typedef struct issue_memory {
    uint8_t record[LK_SESSION_ROOM];
    uint8_t fields[LK_FIELDS_BYTES_MAX], all_fields[LK_FIELDS_BYTES_MAX];
} issue_memory;

static lk_status carry_over(lk_guard *g, const lk_session *before, issue_memory *memory, lk_session *s)
{
    lk_buf fields = lk_buf_over(memory->fields, sizeof(memory->fields));
    lk_status status = carry_fields(g, before, &fields);
    if (status == LK_OK)
        s->fields = lk_buf_view(&fields);
    return status;
}

/* The credential itself. What a token or a box says is final with it, so it comes last before the store. */
static lk_status make(lk_guard *g, lk_kind kind, const char *id, const lk_login *login, const lk_session *s,
                      lk_issued *out, lk_note *note)
{
    switch (kind) {
    case LK_KIND_SESSION_ID:
        memcpy(out->text, id, LK_SESSION_ID_LEN + 1);
        out->len = LK_SESSION_ID_LEN;
        return LK_OK;
    case LK_KIND_SEALED:
        return lk__sealed_make(g, id, s, out, note);
    case LK_KIND_TOKEN:
    case LK_KIND_JWT:
        return lk__mint_bound(g, kind, s, login->bound, login->renews, out);
    case LK_KIND_API_KEY: /* made from the accounts, never by a login */
    case LK_KIND_COUNT:
        break;
    }
    return LK_REFUSED;
}

static lk_status name(lk_guard *g, const lk_login *login, char id[LK_SESSION_ID_LEN + 1], lk_session *s)
{
    if (login->session_id == NULL)
        return lk_session_id_new(g->parts.env, g->parts.ring, id, &s->key, s->proof);
    memcpy(id, login->session_id, LK_SESSION_ID_LEN + 1);
    return lk_session_id_read(g->parts.ring, lk_view_make(id, LK_SESSION_ID_LEN), &s->key, s->proof);
}

lk_status lk_guard_issue(lk_guard *g, lk_kind kind, const lk_login *login, const lk_presented *presented,
                         const lk_identity *prior, lk_issued *out, lk_note *note)
{
    char id[LK_SESSION_ID_LEN + 1] = "";
    lk_session s = {0}, before = {0};
    prior_fate fate = PRIOR_NONE;
    bool refused = false;
    lk_limit limit;
    memset(out, 0, sizeof(*out));
    issue_memory *memory = lk_alloc(g->parts.env, sizeof(*memory));
    lk_status status = memory != NULL ? LK_OK : LK_FAULT;
    if (status != LK_OK)
        goto out;
    describe(g, kind, login, &s);
    status = load_prior(g, presented, prior, memory->record, &before);
    if (status == LK_FAULT)
        goto out;
    if (status == LK_OK)
        fate = fate_of(login, kind, prior, &before);
    status = fate == PRIOR_REPLACE ? carry_over(g, &before, memory, &s) : LK_OK;
    if (status == LK_OK)
        status = name(g, login, id, &s);
    come_after(&s, &before, fate);
    if (status == LK_OK && login->refreshes) {
        lk_buf fields = lk_buf_over(memory->all_fields, sizeof(memory->all_fields));
        status = lk__refresh_begin(g, kind, login->bound, &s, &fields, out);
    }
    limit = lk__limit_of(g, &s, &refused);
    if (login->yields)
        limit.victim = LK_VICTIM_REFUSE;
    /* Signed before it is remembered: what fails leaves nothing behind. */
    if (status == LK_OK)
        status = make(g, kind, id, login, &s, out, note);
    if (status == LK_OK && (kind == LK_KIND_SEALED || (prior != NULL && prior->kind == LK_KIND_SEALED)))
        status = remember_beside(g, kind, &s, &before, fate, &limit);
    else if (status == LK_OK)
        status = remember(g, &s, &before, fate, &limit);
    if (status == LK_REFUSED && login->session_id == NULL)
        status = LK_FAULT; /* a fresh random key that exists; try again later */
    if (status == LK_OK)
        lk__issued_fill(kind, &s, out);
    if (login->remember)
        out->flags |= LK_SESSION_REMEMBER;
out:
    if (status != LK_OK) {
        lk_note_set(note, refused             ? "the user has all the sessions that latchkey_limit allows"
                          : status == LK_FULL ? "there is no room for another session"
                                              : "the session could not be written to the store");
        lk_issued_wipe(out);
        if (status == LK_FULL && refused)
            out->why = LK_REASON_SESSION_LIMIT;
    }
    lk_wipe(id, sizeof(id));
    lk_free(g->parts.env, memory);
    return status;
}

lk_status lk_guard_issue_anonymous(lk_guard *g, lk_view agent, lk_view address, lk_issued *out, lk_note *note)
{
    lk_session s = {0};
    lk_login nobody = {.realm = lk_view_of(g->parts.settings->realm), .agent = agent, .address = address};
    lk_kind kind = g->hands_out == LK_KIND_SEALED ? LK_KIND_SEALED : LK_KIND_SESSION_ID;
    char id[LK_SESSION_ID_LEN + 1] = "";
    memset(out, 0, sizeof(*out));
    describe(g, kind, &nobody, &s);
    s.flags = LK_SESSION_ANONYMOUS;
    s.auth_s = 0;
    s.idle_s = 0;
    s.expires_s = s.created_s + g->parts.settings->anonymous_s;
    lk_status status = lk_session_id_new(g->parts.env, g->parts.ring, id, &s.key, s.proof);
    if (status == LK_OK)
        status = make(g, kind, id, &nobody, &s, out, note);
    if (status == LK_OK && kind != LK_KIND_SEALED)
        status = lk_store_create(g->parts.store, &s, (lk_limit){0}, NULL);
    lk_wipe(id, sizeof(id));
    if (status != LK_OK) {
        lk_note_set(note, "the session could not be written to the store");
        lk_issued_wipe(out);
        return status == LK_FULL ? LK_FULL : LK_FAULT;
    }
    lk__issued_fill(kind, &s, out);
    return LK_OK;
}
