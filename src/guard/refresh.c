/* SPDX-License-Identifier: Apache-2.0
 *
 * refresh.c - one login, many tokens: each refresh token is used once, and who used it first is not lost.
 *
 * A family is the session record behind a token (LK_SESSION_TOKEN). Its state is one field of that record,
 * which no application sees (lk_field_is_ours):
 *
 *   "1.<kind>.<number>.<rotated ms>.<hash>"
 *
 *   kind     jwt or token: what is handed out beside it
 *   number   of the refresh token that is good now
 *   rotated  when its predecessor was used
 *   hash     of its text, base64url, 43 characters
 *
 * A family that began with a DPoP proof is bound to its key: a second field, latchkey.bound, has the
 * thumbprint, and each of its refresh tokens is good beside a proof by that key alone, as what comes of them
 * is.
 *
 * It is read from the store that is written to, and changed only if it is still what was read
 * (LK_OP_COMPARE_SET): of many who come with one token one changes it, and the others find that they are
 * second. They get what he got, because the successor follows from the token itself (credential/refresh.c),
 * also where two copies of a store were told apart or the last change was lost with a primary: nobody has to
 * have kept it for them. docs/decisions/0043-refresh.md, docs/formats/refresh.md
 */
#include "guard/guard_internal.h"
#include <latchkey/base64url.h>
#include <latchkey/json.h>
#include <string.h>
#include <time.h>

#define FIELD LK_VIEW("latchkey.refresh")
#define BOUND LK_VIEW("latchkey.bound") /* the thumbprint of the key that the whole family is bound to */
#define STATE_MAX 128
#define HASH_LEN LK_BASE64URL_LEN(LK_DIGEST_LEN)
#define TURN_MS 250 /* no thread waits longer for the others */
#define STRIPES 64
#define TRIES 16 /* a try is lost only to one who rotated: two are enough, unless clients race in a chain */

typedef struct family_state {
    lk_view text; /* as it stands in the record */
    lk_kind kind;
    int64_t number, rotated_ms;
    lk_digest hash;
} family_state;

/* One refresh on its way. */
typedef struct rotation {
    lk_guard *g;
    lk_refresh_ask *ask;
    lk_refresh_token now, next; /* presented; its successor */
    lk_session s;               /* views into record */
    int64_t recorded_s;         /* last use, by the record alone */
    family_state state;
    lk_view bound;  /* the thumbprint; empty: the family is not bound */
    bool is_proven; /* the proof of this request is used up */
    uint8_t record[LK_RECORD_MAX];
} rotation;

/* ---- the state ---- */

static void write_state(const family_state *state, lk_buf *out)
{
    lk_buf_add_printf(out, "\"1.%s.", lk_kind_name(state->kind));
    lk_buf_add_i64(out, state->number);
    lk_buf_add_byte(out, '.');
    lk_buf_add_i64(out, state->rotated_ms);
    lk_buf_add_byte(out, '.');
    lk_base64url_encode(lk_digest_view(&state->hash), out);
    lk_buf_add_byte(out, '"');
}

static lk_view next_part(lk_view *rest)
{
    size_t dot = lk_view_find(*rest, '.');
    lk_view part = lk_view_part(*rest, 0, dot);
    *rest = lk_view_part(*rest, dot + 1, rest->len);
    return part;
}

/* False for what is no state, or a newer version of one: it is not guessed. */
static bool read_state(lk_view fields, family_state *out)
{
    lk_buf hash = lk_buf_over(out->hash.bytes, sizeof(out->hash.bytes));
    lk_view rest;
    if (lk_fields_get(fields, FIELD, &out->text) != LK_OK || out->text.len < 2)
        return false;
    rest = lk_view_part(out->text, 1, out->text.len - 2);
    return lk_view_equal(next_part(&rest), LK_VIEW("1")) &&
           lk_kind_of(next_part(&rest), &out->kind) == LK_OK &&
           (out->kind == LK_KIND_JWT || out->kind == LK_KIND_TOKEN) &&
           lk_parse_i64(next_part(&rest), &out->number) == LK_OK &&
           lk_parse_i64(next_part(&rest), &out->rotated_ms) == LK_OK && rest.len == HASH_LEN &&
           lk_base64url_decode(rest, &hash) == LK_OK;
}

/* What the state is when TOKEN is the one that is good. */
static lk_status state_of(lk_guard *g, lk_kind kind, const lk_refresh_token *token, lk_buf *out)
{
    family_state s = {.kind = kind, .number = token->number, .rotated_ms = lk_now_ms(g->parts.env)};
    lk_status status = lk_refresh_hash(g->parts.ring, token, &s.hash);
    if (status == LK_OK)
        write_state(&s, out);
    return status == LK_OK && out->full ? LK_FAULT : status;
}

/* What is bound to a key, as it stands in the record: quoted, and of a length that nothing else has. False
 * when it is there and is not that: then nobody knows whose it is. */
static bool read_bound(lk_view fields, lk_view *out)
{
    lk_view text;
    *out = (lk_view){0};
    if (lk_fields_get(fields, BOUND, &text) != LK_OK)
        return true;
    *out = lk_view_part(text, 1, text.len - 2);
    return text.len == LK_THUMBPRINT_LEN + 2 && lk_is_base64url(*out);
}

bool lk__refresh_facts_of(const lk_session *s, lk__refresh_facts *out)
{
    family_state state;
    *out = (lk__refresh_facts){.number = 0};
    if (!read_state(s->fields, &state) || !read_bound(s->fields, &out->bound))
        return false;
    out->number = state.number;
    out->rotated_ms = state.rotated_ms;
    return true;
}

lk_status lk__refresh_begin(lk_guard *g, lk_kind kind, lk_view bound, lk_session *s, lk_buf *fields,
                            lk_issued *out)
{
    uint8_t memory[STATE_MAX], key[LK_THUMBPRINT_LEN + 2];
    lk_buf text = lk_buf_over(memory, sizeof(memory)), jkt = lk_buf_over(key, sizeof(key));
    lk_status status =
        lk_refresh_first(g->parts.env, g->parts.ring, &s->key, lk_now_s(g->parts.env), &out->refresh);
    if (status == LK_OK)
        status = state_of(g, kind, &out->refresh, &text);
    if (status != LK_OK)
        return LK_FAULT;
    lk_json_add_string(&jkt, bound);
    lk_op ops[] = {{.kind = LK_OP_SET, .name = FIELD, .value = lk_buf_view(&text)},
                   {.kind = LK_OP_SET, .name = BOUND, .value = lk_buf_view(&jkt)}};
    size_t n = bound.len > 0 ? 2 : 1;
    if (jkt.full)
        return LK_FAULT;
    status = lk_fields_apply(s->fields, ops, n, fields, NULL);
    /* What an anonymous visit brought along may fill the record to the brim. The login comes first. */
    if (status == LK_FULL)
        status = lk_fields_apply((lk_view){0}, ops, n, fields, NULL);
    s->fields = lk_buf_view(fields);
    return status == LK_OK ? LK_OK : LK_FAULT;
}

/* ---- whose it is, and whether he may ---- */

/* The record is gone, and its fence too. Why it was ended is still known where that took a cut-off. */
static lk_status forgotten(rotation *r)
{
    lk_subject subject = {.realm = lk_view_of(r->g->parts.settings->realm),
                          .session = &r->now.family,
                          .issued_ms = r->now.began_s * 1000};
    lk_status status = lk__cutoffs_check(r->g, &subject, &r->ask->why);
    if (status == LK_OK)
        r->ask->why = LK_REASON_EXPIRED;
    return status == LK_FAULT ? LK_FAULT : LK_STALE;
}

/* From the store that is written to, and from no other: a copy that is behind would take the token that is
 * good for one that was never made, and the one before it for good. */
static lk_status load(rotation *r)
{
    lk_load load = {.key = r->now.family, .buf = r->record, .cap = sizeof(r->record)};
    if (lk_store_load_many(lk_store_writes_to(r->g->parts.store), &load, 1) != LK_OK ||
        load.status == LK_FAULT || load.status == LK_FULL)
        return LK_FAULT;
    if (load.status == LK_MISS)
        return forgotten(r);
    r->ask->why = load.status == LK_STALE && load.why != LK_REASON_NONE ? load.why : LK_REASON_EXPIRED;
    r->s = load.session;
    r->recorded_s = r->s.seen_s;
    return load.status == LK_OK ? LK_OK : LK_STALE;
}

static bool copy_text(char *out, size_t cap, lk_view v)
{
    lk_buf text = lk_buf_over(out, cap);
    lk_buf_add(&text, v);
    return lk_buf_text(&text) != NULL;
}

/* Whose login it is, for who asks. */
static bool identify(rotation *r)
{
    lk_identity *id = &r->ask->id;
    const lk_session *s = &r->s;
    id->has_session = true;
    id->kind = r->state.kind;
    id->carrier = LK_CARRIER_HEADER;
    id->key = s->key;
    id->generation = s->generation;
    id->flags = s->flags;
    id->auth_s = s->auth_s;
    id->issued_s = s->issued_s;
    id->seen_s = s->seen_s;
    id->ends_s = lk_session_ends_s(s);
    id->expires_s = s->expires_s;
    lk_public_id_write(&s->key, id->public_id);
    return copy_text(id->user, sizeof(id->user), s->user) && copy_text(id->name, sizeof(id->name), s->name) &&
           copy_text(id->realm, sizeof(id->realm), s->realm) &&
           copy_text(id->roles, sizeof(id->roles), s->roles) &&
           copy_text(id->scope, sizeof(id->scope), s->scope);
}

static lk_status judge(rotation *r)
{
    lk_guard *g = r->g;
    lk_session *s = &r->s;
    r->ask->why = LK_REASON_EXPIRED;
    if ((s->flags & LK_SESSION_TOKEN) == 0 || (s->flags & LK_SESSION_ENDING) != 0 ||
        !read_state(s->fields, &r->state) || !read_bound(s->fields, &r->bound))
        return LK_STALE;
    /* A use is noted in the state each time, and in the record when a tenth of the idle time has passed. */
    if (r->state.rotated_ms / 1000 > s->seen_s)
        s->seen_s = r->state.rotated_ms / 1000;
    if (!identify(r))
        return LK_FAULT;
    lk_subject subject = {.realm = s->realm,
                          .roles = s->roles,
                          .user = s->user,
                          .device = s->device,
                          .session = &s->key,
                          .issued_ms = s->issued_s * 1000 + s->issued_ms};
    lk_status status = lk_session_alive(s, lk_now_s(g->parts.env), &r->ask->why);
    return status == LK_OK ? lk__cutoffs_check(g, &subject, &r->ask->why) : status;
}

/* Who it is today, into NOW, which begins as the record has it. */
static lk_status ask_who(rotation *r, lk_login *now)
{
    const lk_session *s = &r->s;
    *now =
        (lk_login){.user = s->user, .name = s->name, .realm = s->realm, .roles = s->roles, .scope = s->scope};
    lk_view asked = r->ask->scope, word;
    while (lk_words_next(&asked, &word))
        if (!lk_words_have(s->scope, word)) {
            r->ask->why = LK_REASON_INSUFFICIENT_SCOPE;
            return LK_REFUSED;
        }
    if (r->ask->scope.len > 0)
        now->scope = r->ask->scope;
    return r->ask->who == NULL ? LK_OK : r->ask->who(r->ask->context, s, now, &r->ask->why);
}

/* ---- which use it is ---- */

/* Clocks that were set back leave the window open: it is measured from a change that was made. Time in which
 * the store did not answer does not count: a change that was on its way is made when a frozen store wakes up,
 * and who asked for it was told to come again. */
static bool in_grace(const rotation *r)
{
    int64_t grace_ms = r->g->parts.settings->refresh_grace_s * 1000;
    int64_t since_ms = lk_now_ms(r->g->parts.env) - r->state.rotated_ms;
    if (since_ms > grace_ms)
        since_ms -= lk__view_away_ms(r->g, since_ms);
    return grace_ms > 0 && since_ms <= grace_ms;
}

/* The one that is good has the number of the state, and its hash. The one before it leads to that. Any other
 * was used, and its successor too. One ahead of the state was made by us as well, all proven ones are: a
 * store that lost its last changes does not know it, and it is taken as the successor it is. */
static lk_status find_use(rotation *r)
{
    lk_digest hash;
    bool is_before = r->now.number == r->state.number - 1, is_ahead = r->now.number > r->state.number;
    r->ask->how = LK_REFRESHED_REUSED;
    if (lk_refresh_next(r->g->parts.ring, &r->now, &r->next) != LK_OK ||
        lk_refresh_hash(r->g->parts.ring, is_before ? &r->next : &r->now, &hash) != LK_OK)
        return LK_FAULT;
    bool is_known = lk_secret_equal(lk_digest_view(&hash), lk_digest_view(&r->state.hash));
    if (is_ahead || (is_known && r->now.number == r->state.number))
        r->ask->how = LK_REFRESHED_NEW;
    else if (is_known && is_before && in_grace(r))
        r->ask->how = LK_REFRESHED_AGAIN;
    return LK_OK;
}

/* Over for good: with the record goes every token that names it. */
static lk_status end(rotation *r, lk_reason why)
{
    r->ask->why = why;
    return lk_guard_end(r->g, r->s.realm, &r->s.key, why) == LK_OK ? LK_STALE : LK_FAULT;
}

/* ---- what is done ---- */

/* Last use is written like that of any session: when it has moved by a tenth of the idle time. */
static lk_status note_use(rotation *r)
{
    lk_touch touch = {r->s.key, lk_now_s(r->g->parts.env)};
    if (touch.seen_s - r->recorded_s < r->s.idle_s / 10)
        return LK_OK;
    return lk_store_touch_many(r->g->parts.store, &touch, 1);
}

/* LK_REFUSED: somebody was faster. */
static lk_status write_next(rotation *r)
{
    uint8_t memory[STATE_MAX];
    lk_buf text = lk_buf_over(memory, sizeof(memory));
    uint32_t revision = 0;
    lk_status status = state_of(r->g, r->state.kind, &r->next, &text);
    lk_op op = {
        .kind = LK_OP_COMPARE_SET, .name = FIELD, .value = lk_buf_view(&text), .expected = r->state.text};
    if (status == LK_OK)
        status = note_use(r);
    if (status == LK_OK)
        status = lk_store_change(r->g->parts.store, &r->s.key, r->s.generation, 0, &op, 1, &revision, NULL);
    return status;
}

/* The token beside it says when the login was, not when it was minted: a refresh that races with a revocation
 * does not get past it. */
static lk_status mint(rotation *r, lk_issued *out)
{
    lk_login now;
    lk_status status = ask_who(r, &now);
    if (status == LK_STALE)
        return end(r, r->ask->why);
    if (status != LK_OK)
        return status;
    lk_session s = r->s;
    s.name = now.name;
    s.roles = now.roles;
    s.scope = now.scope;
    s.seen_s = lk_now_s(r->g->parts.env);
    if (!copy_text(r->ask->id.name, sizeof(r->ask->id.name), now.name) ||
        !copy_text(r->ask->id.roles, sizeof(r->ask->id.roles), now.roles) ||
        !copy_text(r->ask->id.scope, sizeof(r->ask->id.scope), now.scope))
        return LK_FAULT;
    return lk__mint_bound(r->g, r->state.kind, &s, r->bound, false, out);
}

/* What is there now, and which use this would be. */
static lk_status look(rotation *r)
{
    r->ask->how = LK_REFRESHED_NOT;
    lk_status status = load(r);
    if (status == LK_OK)
        status = judge(r);
    return status == LK_OK ? find_use(r) : status;
}

/* Does the one who asks have the key the family is bound to? Whoever has not is refused and nothing else: it
 * is what a thief would be, and the family is not his to end. (RFC 9449 section 5) */
static lk_status prove(rotation *r)
{
    if (r->is_proven)
        return LK_OK;
    lk_status status =
        lk__bound_login(r->g, r->ask->presented, r->bound, r->s.user, &r->ask->id.proof, &r->ask->why);
    r->is_proven = status == LK_OK;
    return status;
}

/* Of one process one at a time changes a family, so that a hundred who come at once do not all fight for one
 * row: the others find what he did. Who waits too long tries all the same. */
static pthread_mutex_t turns[STRIPES] = {[0 ... STRIPES - 1] = PTHREAD_MUTEX_INITIALIZER};

static bool take_turn(const rotation *r)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += TURN_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    return pthread_mutex_timedlock(&turns[r->now.family.bytes[0] % STRIPES], &until) == 0;
}

static void give_turn(const rotation *r)
{
    pthread_mutex_unlock(&turns[r->now.family.bytes[0] % STRIPES]);
}

/* *AGAIN: somebody changed it meanwhile. */
static lk_status attempt(rotation *r, lk_issued *out, bool *again)
{
    lk_status status = look(r);
    *again = false;
    if (status == LK_OK)
        status = prove(r);
    if (status != LK_OK)
        return status;
    if (r->ask->how == LK_REFRESHED_REUSED)
        return end(r, LK_REASON_REVOKED);
    /* Minted before it is written: what fails leaves nothing behind. */
    if (out->len == 0)
        status = mint(r, out);
    if (status == LK_OK && r->ask->how == LK_REFRESHED_NEW) {
        status = write_next(r);
        *again = status == LK_REFUSED || status == LK_MISS || status == LK_STALE;
    }
    return status;
}

static lk_status run(rotation *r, lk_issued *out)
{
    bool has_turn = take_turn(r), again = true;
    lk_status status = LK_FAULT;
    for (int try = 0; try < TRIES && again; try++)
        status = attempt(r, out, &again);
    if (has_turn)
        give_turn(r);
    return again ? LK_FAULT : status;
}

/* The token as far as it can be told without a look-up, and room for the rest. */
static lk_status begin(lk_guard *g, lk_refresh_ask *ask, rotation **out)
{
    lk_refresh_token token;
    *out = NULL;
    ask->how = LK_REFRESHED_NOT;
    memset(&ask->id, 0, sizeof(ask->id));
    lk_status status = lk_refresh_read(g->parts.ring, ask->text, &token, &ask->why);
    /* A store beside us tells its news to who asks; that of a remote one is followed by a thread. */
    if (status == LK_OK && !g->store_is_remote)
        status = lk_guard_follow(g) == LK_OK ? LK_OK : LK_FAULT;
    if (status == LK_OK)
        *out = lk_alloc(g->parts.env, sizeof(**out));
    if (*out != NULL) {
        (*out)->g = g;
        (*out)->ask = ask;
        (*out)->now = token;
    }
    lk_wipe(&token, sizeof(token));
    return status == LK_OK && *out == NULL ? LK_FAULT : status;
}

static void finish(rotation *r)
{
    if (r == NULL)
        return;
    const lk_env *env = r->g->parts.env;
    lk_wipe(r, offsetof(rotation, s));
    lk_free(env, r);
}

static void count(lk_guard *g, lk_status status, lk_refreshed how)
{
    if (status == LK_OK)
        lk_guard_count(g, how == LK_REFRESHED_AGAIN ? LK_COUNT_REFRESHED_AGAIN : LK_COUNT_REFRESHED);
    else if (status == LK_STALE && how == LK_REFRESHED_REUSED)
        lk_guard_count(g, LK_COUNT_REFRESH_REUSED);
    else if (status == LK_STALE || status == LK_REFUSED)
        lk_guard_count(g, LK_COUNT_REFRESH_REFUSED);
}

lk_status lk_guard_refresh(lk_guard *g, lk_refresh_ask *ask, lk_issued *out)
{
    rotation *r;
    memset(out, 0, sizeof(*out));
    lk_status status = begin(g, ask, &r);
    if (status == LK_OK)
        status = run(r, out);
    if (status == LK_OK)
        out->refresh = r->next;
    else
        lk_issued_wipe(out);
    if (status != LK_OK && (status != LK_STALE || ask->how != LK_REFRESHED_REUSED))
        ask->how = LK_REFRESHED_NOT;
    count(g, status, ask->how);
    finish(r);
    return status;
}

lk_status lk_guard_refresh_look(lk_guard *g, lk_refresh_ask *ask)
{
    rotation *r;
    lk_status status = begin(g, ask, &r);
    if (status == LK_OK)
        status = look(r);
    if (status == LK_OK && ask->how == LK_REFRESHED_REUSED) {
        ask->why = LK_REASON_REVOKED;
        status = LK_STALE;
    }
    finish(r);
    return status;
}
