/* SPDX-License-Identifier: Apache-2.0
 *
 * oauth_token.c - POST /oauth2/token: client_credentials (RFC 6749 section 4.4) and token exchange (RFC
 * 8693), which hands on less than what came in, never more. The password grant is not offered (RFC 9700
 * section 2.4).
 */
#include "service/oauth.h"

#include "service/text.h"

#define EXCHANGE "urn:ietf:params:oauth:grant-type:token-exchange"
#define ACCESS_TOKEN "urn:ietf:params:oauth:token-type:access_token"
#define JWT "urn:ietf:params:oauth:token-type:jwt"

/* Words that are in A and, unless ANY, in B. */
static lk_view common(lk__call *c, lk_view a, lk_view b, bool any)
{
    lk_buf out = lk__arena_buf(c->arena, a.len + 1);
    lk_view word;
    while (lk_words_next(&a, &word)) {
        if (!any && !lk_words_have(b, word))
            continue;
        if (out.len > 0)
            lk_buf_add_byte(&out, ' ');
        lk_buf_add(&out, word);
    }
    return lk_buf_view(&out);
}

static bool has_every(lk_view held, lk_view wanted)
{
    lk_view word;
    while (lk_words_next(&wanted, &word))
        if (!lk_words_have(held, word))
            return false;
    return true;
}

/* The scope that was asked for, or all of ALLOWED when none was. False: answered. */
static bool choose_scope(lk__call *c, lk_view allowed, lk_view *out)
{
    lk_view asked;
    if (!lk__oauth_param(c, "scope", &asked))
        return false;
    if (asked.len > LK_SCOPE_MAX || !has_every(allowed, asked)) {
        lk__oauth_error(c, 400, "invalid_scope", "a scope was asked for that cannot be given");
        return false;
    }
    *out = common(c, asked.len > 0 ? asked : allowed, (lk_view){0}, true);
    return true;
}

/* Whom the token is for: every `audience` and `resource` that was asked for (RFC 8693 section 2.1 allows
 * several), or all the client may. False: answered. */
static bool choose_audience(lk__call *c, const lk_client *client, lk_view *out)
{
    lk_buf asked = lk__arena_buf(c->arena, c->req->body.len + 1);
    lk_view own = lk_view_of(c->s->settings->jwt_audience);
    for (size_t i = 0; i < c->form.n; i++) {
        lk_view name = c->form.fields[i].name, value = c->form.fields[i].value;
        if (!lk_view_equal(name, LK_VIEW("audience")) && !lk_view_equal(name, LK_VIEW("resource")))
            continue;
        if (value.len == 0)
            continue;
        if (!lk_words_have(lk_view_of(client->audience), value) && !lk_words_have(own, value)) {
            lk__oauth_error(c, 400, "invalid_target", "this client may not ask for tokens for that audience");
            return false;
        }
        if (asked.len > 0)
            lk_buf_add_byte(&asked, ' ');
        lk_buf_add(&asked, value);
    }
    lk_view all = client->audience[0] != '\0' ? lk_view_of(client->audience) : own;
    *out = asked.len > 0 ? lk_buf_view(&asked) : all;
    return true;
}

static void answer_token(lk__call *c, const lk_issued *issued, lk_view scope, bool exchanged)
{
    lk_buf body = lk__arena_buf(c->arena, issued->len + 1024);
    lk_buf_add_text(&body, "{\"access_token\":");
    lk__json_add(&body, lk_view_make(issued->text, issued->len));
    if (exchanged)
        lk_buf_add_text(&body, ",\"issued_token_type\":\"" ACCESS_TOKEN "\"");
    lk_buf_add_text(&body, ",\"token_type\":\"Bearer\",\"expires_in\":");
    lk_buf_add_i64(&body, issued->expires_s - c->now_ms / 1000);
    lk_buf_add_text(&body, ",\"scope\":");
    lk__json_add(&body, scope);
    lk_buf_add_byte(&body, '}');
    lk__answer(c, 200, "application/json", &body);
}

static void hand_out(lk__call *c, const lk_client *client, const lk_grant *grant)
{
    lk_issued *issued = lk__arena_take(c->arena, sizeof(*issued));
    lk_status status = issued == NULL ? LK_FAULT : lk_guard_grant(c->s->guard, grant, issued);
    switch (status) {
    case LK_OK:
        lk__audit(c, grant->parent != NULL ? "token_exchanged" : "client_token", LK_REASON_NONE, 200,
                  lk_view_of(client->name), grant->parent);
        answer_token(c, issued, grant->scope, grant->parent != NULL);
        return;
    case LK_STALE:
        lk__oauth_error(c, 400, "invalid_request", "the subject_token is over");
        return;
    case LK_REFUSED:
    case LK_FULL:
        lk__oauth_error(c, 400, "invalid_request", "that does not fit into a token");
        return;
    case LK_MISS:
    case LK_FAULT:
        break;
    }
    lk__oauth_unavailable(c);
}

static void client_credentials(lk__call *c, const lk_client *client)
{
    lk_grant grant = {.client = lk_view_of(client->name), .realm = lk_view_of(client->realm)};
    lk_buf user = lk__arena_buf(c->arena, sizeof(LK_CLIENT_USER) + LK_CLIENT_NAME_MAX);
    if (!lk__oauth_may(c, client, LK_CLIENT_CREDENTIALS) ||
        !choose_scope(c, lk_view_of(client->scope), &grant.scope) ||
        !choose_audience(c, client, &grant.audience))
        return;
    lk_buf_add_text(&user, LK_CLIENT_USER);
    lk_buf_add_text(&user, client->name);
    grant.user = lk_buf_view(&user);
    hand_out(c, client, &grant);
}

/* ---- exchange ---- */

static bool is_token_type(lk_view type)
{
    return lk_view_equal(type, LK_VIEW(ACCESS_TOKEN)) || lk_view_equal(type, LK_VIEW(JWT));
}

/* The token that comes in, and nothing else that could change what goes out. False: answered. */
static bool read_subject(lk__call *c, lk_view *token)
{
    lk_view type, wanted, actor, actor_type;
    if (!lk__oauth_param(c, "subject_token", token) || !lk__oauth_param(c, "subject_token_type", &type) ||
        !lk__oauth_param(c, "requested_token_type", &wanted) || !lk__oauth_param(c, "actor_token", &actor) ||
        !lk__oauth_param(c, "actor_token_type", &actor_type))
        return false;
    const char *wrong = NULL;
    if (token->len == 0)
        wrong = "subject_token is missing";
    else if (!is_token_type(type))
        wrong = "subject_token_type has to be " ACCESS_TOKEN " or " JWT;
    else if (wanted.len > 0 && !is_token_type(wanted))
        wrong = "requested_token_type has to be " ACCESS_TOKEN " or " JWT;
    else if (actor.len > 0 || actor_type.len > 0)
        wrong = "actor_token is not supported: the client that calls is the actor";
    if (wrong != NULL)
        lk__oauth_error(c, 400, "invalid_request", wrong);
    return wrong == NULL;
}

/* A child ends with the session of its parent: so there has to be one, and one that lasts. */
static bool may_be_parent(const lk_identity *id)
{
    return id->logged_in && id->has_session && id->kind != LK_KIND_API_KEY &&
           (id->flags & LK_SESSION_ENDING) == 0;
}

static void exchange(lk__call *c, const lk_client *client)
{
    lk_view token;
    lk_identity *id = lk__arena_take(c->arena, sizeof(*id));
    if (id == NULL) {
        lk__oauth_unavailable(c);
        return;
    }
    if (!lk__oauth_may(c, client, LK_CLIENT_EXCHANGE) || !read_subject(c, &token) ||
        !lk__oauth_token(c, token, lk_view_of(client->audience), id))
        return;
    if (!may_be_parent(id)) {
        lk__oauth_error(c, 400, "invalid_request", "the subject_token is not good, or belongs to no session");
        return;
    }
    lk_view held = id->limited ? lk_view_of(id->scope) : lk_view_of(client->scope);
    lk_grant grant = {.user = lk_view_of(id->user),
                      .name = lk_view_of(id->name),
                      .realm = lk_view_of(id->realm),
                      .roles = common(c, lk_view_of(id->roles), lk_view_of(client->roles), false),
                      .client = lk_view_of(client->name),
                      .parent = id};
    if (choose_scope(c, common(c, held, lk_view_of(client->scope), false), &grant.scope) &&
        choose_audience(c, client, &grant.audience))
        hand_out(c, client, &grant);
}

void lk__oauth_token_make(lk__call *c)
{
    lk_client client;
    lk_view grant;
    if (!lk__oauth_form(c) || !lk__oauth_client(c, &client) || !lk__oauth_param(c, "grant_type", &grant))
        return;
    if (grant.len == 0)
        lk__oauth_error(c, 400, "invalid_request", "grant_type is missing");
    else if (lk_view_equal(grant, LK_VIEW("client_credentials")))
        client_credentials(c, &client);
    else if (lk_view_equal(grant, LK_VIEW(EXCHANGE)))
        exchange(c, &client);
    else
        lk__oauth_error(c, 400, "unsupported_grant_type", "see grant_types_supported of the metadata");
}
