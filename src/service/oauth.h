/* SPDX-License-Identifier: Apache-2.0
 *
 * oauth.h - what the calls under /oauth2/ share: their errors, their parameters, and who is calling.
 */
#ifndef LATCHKEY_SERVICE_OAUTH_H
#define LATCHKEY_SERVICE_OAUTH_H

#include "service/call.h"

#include <latchkey/third_party.h>

/* An error of RFC 6749 section 5.2. DESCRIPTION: characters of that section, in the arena or a literal. */
void lk__oauth_error(lk__call *c, int status, const char *error, const char *description);
/* Could not look: 503, which no caller takes for an answer. */
void lk__oauth_unavailable(lk__call *c);

/* Read the body, which has to be a form. False: the call is answered. */
bool lk__oauth_form(lk__call *c);
/* The parameter NAME, which may be there once (RFC 6749 section 3.2); empty when it is absent. False:
 * answered. */
bool lk__oauth_param(lk__call *c, const char *name, lk_view *out);

/* Who is calling: HTTP Basic or client_id and client_secret in the body, never both. False: answered. */
bool lk__oauth_client(lk__call *c, lk_client *out);
/* The DPoP proof of a call that asks for a token (RFC 9449 section 5), used up in the name of CLIENT: *JKT is
 * the key that the token is to be bound to, empty when no proof came. False: answered. */
bool lk__oauth_proof(lk__call *c, const lk_client *client, lk_view *jkt);
/* May CLIENT do that? False: answered with unauthorized_client. */
bool lk__oauth_may(lk__call *c, const lk_client *client, lk_client_grant grant);

/* What TOKEN is worth, whichever of AUDIENCE (more words beside our own) it is for, and whoever may send it:
 * a bond to a key (id->bound) or to addresses is the caller's to judge. False: could not look, answered. *ID
 * tells whether somebody is logged in by it. */
bool lk__oauth_token(lk__call *c, lk_view token, lk_view audience, lk_identity *id);

#endif
