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

/* The scope that was asked for, or all of ALLOWED when none was. False: answered. */
static bool choose_scope(lk__call *c, lk_view allowed, lk_view *out)
{
    lk_view asked;
    if (!lk__oauth_param(c, "scope", &asked))
        return false;
    if (asked.len > LK_SCOPE_MAX || !lk_words_have_every(allowed, asked)) {
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

static void answer_token(lk__call *c, const lk_issued *issued, lk_view scope, const char *issued_type)
{
    lk_buf body = lk__arena_buf(c->arena, issued->len + 1024);
    lk_buf_add_text(&body, "{\"access_token\":");
    lk__json_add(&body, lk_view_make(issued->text, issued->len));
    if (issued_type != NULL)
        lk_buf_add_printf(&body, ",\"issued_token_type\":\"%s\"", issued_type);
    lk_buf_add_printf(&body, ",\"token_type\":\"%s\",\"expires_in\":", issued->bound ? "DPoP" : "Bearer");
    lk_buf_add_i64(&body, issued->expires_s - c->now_ms / 1000);
    lk_buf_add_text(&body, ",\"scope\":");
    lk__json_add(&body, scope);
    lk_buf_add_byte(&body, '}');
    lk__answer(c, 200, "application/json", &body);
}

/* ISSUED_TYPE: what an exchange says it made; NULL: it is none. */
static void hand_out(lk__call *c, const lk_client *client, const lk_grant *grant, const char *issued_type)
{
    lk_issued *issued = lk__arena_take(c->arena, sizeof(*issued));
    lk_status status = issued == NULL ? LK_FAULT : lk_guard_grant(c->s->guard, grant, issued);
    switch (status) {
    case LK_OK:
        lk__audit(c, grant->parent != NULL ? "token_exchanged" : "client_token", LK_REASON_NONE, 200,
                  lk_view_of(client->name), grant->parent);
        answer_token(c, issued, grant->scope, issued_type);
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
        !choose_audience(c, client, &grant.audience) || !lk__oauth_proof(c, client, &grant.bound))
        return;
    lk_buf_add_text(&user, LK_CLIENT_USER);
    lk_buf_add_text(&user, client->name);
    grant.user = lk_buf_view(&user);
    hand_out(c, client, &grant, NULL);
}

/* ---- exchange ---- */

#define ACT_MAX 512 /* bytes of the chain of those who act */

/* What came in. */
typedef struct offer {
    lk_view token, actor;    /* subject_token; actor_token, empty: none */
    const char *issued_type; /* what is made of it */
    lk_identity *subject, *who;
} offer;

static bool is_token_type(lk_view type)
{
    return lk_view_equal(type, LK_VIEW(ACCESS_TOKEN)) || lk_view_equal(type, LK_VIEW(JWT));
}

/* The rules of RFC 8693 section 2.1 for what has to stand beside what. */
static const char *wrong_with(const offer *o, lk_view type, lk_view wanted, lk_view actor_type)
{
    if (o->token.len == 0)
        return "subject_token is missing";
    if (!is_token_type(type))
        return "subject_token_type has to be " ACCESS_TOKEN " or " JWT;
    if (wanted.len > 0 && !is_token_type(wanted))
        return "requested_token_type has to be " ACCESS_TOKEN " or " JWT;
    if (o->actor.len == 0 && actor_type.len > 0)
        return "actor_token_type is for an actor_token";
    if (o->actor.len > 0 && !is_token_type(actor_type))
        return "actor_token_type has to be " ACCESS_TOKEN " or " JWT;
    return NULL;
}

/* False: answered. */
static bool read_offer(lk__call *c, offer *o)
{
    lk_view type, wanted, actor_type;
    if (!lk__oauth_param(c, "subject_token", &o->token) || !lk__oauth_param(c, "subject_token_type", &type) ||
        !lk__oauth_param(c, "requested_token_type", &wanted) ||
        !lk__oauth_param(c, "actor_token", &o->actor) || !lk__oauth_param(c, "actor_token_type", &actor_type))
        return false;
    const char *wrong = wrong_with(o, type, wanted, actor_type);
    if (wrong != NULL)
        lk__oauth_error(c, 400, "invalid_request", wrong);
    o->issued_type = lk_view_equal(wanted, LK_VIEW(JWT)) ? JWT : ACCESS_TOKEN;
    return wrong == NULL;
}

/* A child ends with the session of its parent: so there has to be one, and one that lasts. */
static bool may_be_parent(const lk_identity *id)
{
    return id->logged_in && id->has_session && id->kind != LK_KIND_API_KEY &&
           (id->flags & LK_SESSION_ENDING) == 0;
}

/* An API key does some of what its user may, and is not him; of whom another issuer speaks, `sub` alone does
 * not say. */
static bool may_act(const lk_identity *id)
{
    return id->logged_in && id->kind != LK_KIND_API_KEY && !id->foreign;
}

/* Who has been shown a bound token is not whom it is bound to: it is passed on beside a proof of its key, and
 * what comes of it is bound to that as well. */
static bool is_proven(const lk_identity *id, lk_view jkt)
{
    return id->bound[0] == '\0' || lk_view_equal(lk_view_of(id->bound), jkt);
}

/* False: answered. */
static bool look_up(lk__call *c, const lk_client *client, offer *o)
{
    o->subject = lk__arena_take(c->arena, sizeof(*o->subject));
    o->who = lk__arena_take(c->arena, sizeof(*o->who));
    if (o->subject == NULL || o->who == NULL) {
        lk__oauth_unavailable(c);
        return false;
    }
    if (!lk__oauth_token(c, o->token, lk_view_of(client->audience), o->subject) ||
        (o->actor.len > 0 && !lk__oauth_token(c, o->actor, lk_view_of(client->audience), o->who)))
        return false;
    const char *wrong = NULL;
    if (!may_be_parent(o->subject))
        wrong = "the subject_token is not good, or belongs to no session";
    else if (o->actor.len > 0 && !may_act(o->who))
        wrong = "the actor_token is not good, or says of nobody here who acts";
    if (wrong != NULL)
        lk__oauth_error(c, 400, "invalid_request", wrong);
    return wrong == NULL;
}

/* RFC 8693 section 4.1: the one who acts now, and in him those who acted before. Without an actor_token they
 * go on as they were. False: answered. */
static bool add_actors(lk__call *c, const offer *o, lk_grant *grant)
{
    uint8_t *memory = lk__arena_take(c->arena, LK_SCRATCH_MAX);
    lk_buf act = lk__arena_buf(c->arena, ACT_MAX);
    lk_claims before = {0};
    if (memory == NULL) {
        lk__oauth_unavailable(c);
        return false;
    }
    lk_buf scratch = lk_buf_over(memory, LK_SCRATCH_MAX);
    if (o->subject->kind == LK_KIND_JWT && lk_guard_claims(c->s->guard, o->token, &scratch, &before) != LK_OK)
        before = (lk_claims){0};
    grant->act = before.act;
    if (o->actor.len == 0)
        return true;
    lk_buf_add_text(&act, "{\"sub\":");
    lk__json_add(&act, lk_view_of(o->who->user));
    if (before.act.len > 0) {
        lk_buf_add_text(&act, ",\"act\":");
        lk_buf_add(&act, before.act);
    }
    lk_buf_add_byte(&act, '}');
    grant->act = lk_buf_view(&act);
    grant->ends_s = o->who->ends_s;
    if (lk_buf_status(&act) != LK_OK)
        lk__oauth_error(c, 400, "invalid_request", "too many have acted for one another");
    return lk_buf_status(&act) == LK_OK;
}

/* False: answered. */
static bool prove(lk__call *c, const lk_client *client, const offer *o, lk_view *jkt)
{
    if (!lk__oauth_proof(c, client, jkt))
        return false;
    if (is_proven(o->subject, *jkt) && (o->actor.len == 0 || is_proven(o->who, *jkt)))
        return true;
    lk__oauth_error(c, 400, "invalid_request",
                    "a token that is bound to a key is exchanged beside a DPoP proof by that key");
    return false;
}

static void exchange(lk__call *c, const lk_client *client)
{
    offer o;
    if (!lk__oauth_may(c, client, LK_CLIENT_EXCHANGE) || !read_offer(c, &o) || !look_up(c, client, &o))
        return;
    const lk_identity *id = o.subject;
    lk_view held = id->limited ? lk_view_of(id->scope) : lk_view_of(client->scope);
    lk_grant grant = {.user = lk_view_of(id->user),
                      .name = lk_view_of(id->name),
                      .realm = lk_view_of(id->realm),
                      .roles = common(c, lk_view_of(id->roles), lk_view_of(client->roles), false),
                      .client = lk_view_of(client->name),
                      .parent = id};
    if (choose_scope(c, common(c, held, lk_view_of(client->scope), false), &grant.scope) &&
        choose_audience(c, client, &grant.audience) && add_actors(c, &o, &grant) &&
        prove(c, client, &o, &grant.bound))
        hand_out(c, client, &grant, o.issued_type);
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
