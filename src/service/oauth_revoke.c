/* SPDX-License-Identifier: Apache-2.0
 *
 * oauth_revoke.c - POST /oauth2/revoke (RFC 7009).
 *
 * A token that a client was given is revoked alone, by a cut-off of its name (jti) at level family; by that
 * client, or by one with the grant `revoke`. Any other credential of ours goes with its session, and for that
 * the grant is needed; a refresh token ends its login, with all its access tokens. What is not good any more,
 * or never was, is answered with 200 as well.
 */
#include "service/oauth.h"

#include <string.h>

static void done(lk__call *c)
{
    lk__answer_empty(c, 200);
}

static bool is_of(const lk_client *client, const lk_claims *claims)
{
    return claims->client.len > 0 && lk_view_equal(claims->client, lk_view_of(client->name));
}

static lk_status revoke(lk__call *c, const lk_identity *id, const lk_claims *claims)
{
    lk_guard *g = c->s->guard;
    if (claims->client.len > 0 && claims->id.len > 0)
        return lk_guard_cutoff(g, LK_LEVEL_FAMILY, lk_view_of(id->realm), claims->id, LK_REASON_REVOKED, NULL,
                               NULL);
    return lk_guard_end_of(g, id, LK_REASON_REVOKED);
}

/* Is TOKEN a refresh token? Then it is answered: its family ends, of which its text alone does not say
 * whether it is still there. A used one ends it as well, as it would at /auth/refresh. */
static bool revoke_family(lk__call *c, const lk_client *client, lk_view token)
{
    lk_refresh_ask ask = {.text = token, .presented = &c->presented};
    lk_status status = lk_guard_refresh_look(c->s->guard, &ask);
    if (status == LK_REFUSED && !ask.id.has_session)
        return false;
    if (status == LK_FAULT || status == LK_FULL)
        lk__oauth_unavailable(c);
    else if ((client->grants & LK_CLIENT_REVOKE) == 0)
        lk__oauth_error(c, 400, "unauthorized_client", "that token was not given to this client");
    else if (ask.id.has_session && lk_guard_end_of(c->s->guard, &ask.id, LK_REASON_REVOKED) != LK_OK)
        lk__oauth_unavailable(c);
    else {
        lk__audit(c, "token_revoked", LK_REASON_REVOKED, 200, lk_view_of(client->name),
                  ask.id.has_session ? &ask.id : NULL);
        done(c);
    }
    return true;
}

void lk__oauth_revoke(lk__call *c)
{
    lk_client client;
    lk_view token;
    lk_claims claims = {0};
    lk_identity *id = lk__arena_take(c->arena, sizeof(*id));
    uint8_t *memory = lk__arena_take(c->arena, LK_SCRATCH_MAX);
    if (id == NULL || memory == NULL) {
        lk__oauth_unavailable(c);
        return;
    }
    lk_buf scratch = lk_buf_over(memory, LK_SCRATCH_MAX);
    if (!lk__oauth_form(c) || !lk__oauth_client(c, &client) || !lk__oauth_param(c, "token", &token))
        return;
    if (token.len == 0) {
        lk__oauth_error(c, 400, "invalid_request", "token is missing");
        return;
    }
    if (revoke_family(c, &client, token))
        return;
    if (!lk__oauth_token(c, token, lk_view_of(client.audience), id))
        return;
    if (!id->logged_in || id->kind == LK_KIND_API_KEY) {
        done(c);
        return;
    }
    if (id->kind == LK_KIND_JWT && lk_guard_claims(c->s->guard, token, &scratch, &claims) != LK_OK)
        memset(&claims, 0, sizeof(claims));
    if (!is_of(&client, &claims) && (client.grants & LK_CLIENT_REVOKE) == 0) {
        lk__oauth_error(c, 400, "unauthorized_client", "that token was not given to this client");
        return;
    }
    if (revoke(c, id, &claims) != LK_OK) {
        lk__oauth_unavailable(c);
        return;
    }
    lk__audit(c, "token_revoked", LK_REASON_REVOKED, 200, lk_view_of(client.name), id);
    done(c);
}
