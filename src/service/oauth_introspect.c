/* SPDX-License-Identifier: Apache-2.0
 *
 * oauth_introspect.c - POST /oauth2/introspect (RFC 7662): what a token is worth at this moment, for those
 * who cannot check it themselves. Whatever is not good is {"active":false} and not a word more.
 */
#include "service/oauth.h"

#include "service/text.h"

static void add_text(lk_buf *out, const char *name, lk_view value)
{
    if (value.len == 0)
        return;
    lk_buf_add_printf(out, ",\"%s\":", name);
    lk__json_add(out, value);
}

static void add_number(lk_buf *out, const char *name, int64_t value)
{
    if (value != 0)
        lk_buf_add_printf(out, ",\"%s\":%lld", name, (long long)value);
}

static void add_array(lk_buf *out, const char *name, lk_view words)
{
    lk_view word;
    bool first = true;
    if (words.len == 0)
        return;
    lk_buf_add_printf(out, ",\"%s\":[", name);
    for (; lk_words_next(&words, &word); first = false) {
        if (!first)
            lk_buf_add_byte(out, ',');
        lk__json_add(out, word);
    }
    lk_buf_add_byte(out, ']');
}

/* One audience as a text, several as an array, as in the token. */
static void add_audience(lk_buf *out, lk_view words)
{
    lk_view rest = words, word;
    if (lk_words_next(&rest, &word) && !lk_words_next(&rest, &(lk_view){0}))
        add_text(out, "aud", word);
    else
        add_array(out, "aud", words);
}

static void answer_inactive(lk__call *c)
{
    lk_buf body = lk__arena_buf(c->arena, 32);
    lk_buf_add_text(&body, "{\"active\":false}");
    lk__answer(c, 200, "application/json", &body);
}

/* What an API key is bound to: `aud`, and `addresses`, a member of ours, as no registered one says it. False:
 * answered. */
static bool add_bounds(lk__call *c, const lk_identity *id, lk_buf *out)
{
    lk_buf addresses = lk__arena_buf(c->arena, LK_AGENT_MAX),
           audience = lk__arena_buf(c->arena, LK_AGENT_MAX);
    switch (lk_guard_api_key_bounds(c->s->guard, &id->key, &addresses, &audience)) {
    case LK_OK:
        add_audience(out, lk_buf_view(&audience));
        add_array(out, "addresses", lk_buf_view(&addresses));
        return true;
    case LK_MISS:
    case LK_STALE:
    case LK_REFUSED: /* it ended just now */
        answer_inactive(c);
        return false;
    case LK_FULL:
    case LK_FAULT:
        break;
    }
    lk__oauth_unavailable(c);
    return false;
}

static void add_claims(lk__call *c, lk_view token, const lk_identity *id, lk_buf *out)
{
    uint8_t *memory = lk__arena_take(c->arena, LK_SCRATCH_MAX);
    lk_claims claims;
    if (memory == NULL || id->kind != LK_KIND_JWT)
        return;
    lk_buf scratch = lk_buf_over(memory, LK_SCRATCH_MAX);
    if (lk_guard_claims(c->s->guard, token, &scratch, &claims) != LK_OK)
        return;
    add_text(out, "client_id", claims.client);
    add_text(out, "jti", claims.id);
    add_text(out, "iss", claims.issuer);
    add_audience(out, claims.audience);
    if (claims.act.len > 0) { /* RFC 8693 section 4.1: of our own making, so it is well formed */
        lk_buf_add_text(out, ",\"act\":");
        lk_buf_add(out, claims.act);
    }
}

static void answer_active(lk__call *c, lk_view token, const lk_identity *id)
{
    lk_buf body = lk__arena_buf(c->arena, 8192);
    bool bound = id->bound[0] != '\0';
    lk_buf_add_printf(&body, "{\"active\":true,\"token_type\":\"%s\"", bound ? "DPoP" : "Bearer");
    add_text(&body, "sub", lk_view_of(id->user));
    add_text(&body, "username", lk_view_of(id->name));
    add_text(&body, "scope", lk_view_of(id->scope));
    add_number(&body, "iat", id->issued_s);
    add_number(&body, "exp", id->ends_s);
    if (id->has_session)
        add_text(&body, "sid", lk_view_of(id->public_id));
    add_claims(c, token, id, &body);
    if (bound) { /* RFC 9449 section 6.2 */
        lk_buf_add_text(&body, ",\"cnf\":{\"jkt\":");
        lk__json_add(&body, lk_view_of(id->bound));
        lk_buf_add_byte(&body, '}');
    }
    if (id->kind == LK_KIND_API_KEY && !add_bounds(c, id, &body))
        return;
    lk_buf_add_byte(&body, '}');
    lk__answer(c, 200, "application/json", &body);
}

void lk__oauth_introspect(lk__call *c)
{
    lk_client client;
    lk_view token;
    lk_identity *id = lk__arena_take(c->arena, sizeof(*id));
    if (id == NULL) {
        lk__oauth_unavailable(c);
        return;
    }
    if (!lk__oauth_form(c) || !lk__oauth_client(c, &client) ||
        !lk__oauth_may(c, &client, LK_CLIENT_INTROSPECT) || !lk__oauth_param(c, "token", &token))
        return;
    if (token.len == 0) {
        lk__oauth_error(c, 400, "invalid_request", "token is missing");
        return;
    }
    if (!lk__oauth_token(c, token, lk_view_of(client.audience), id))
        return;
    if (id->logged_in)
        answer_active(c, token, id);
    else
        answer_inactive(c);
}
