/* SPDX-License-Identifier: Apache-2.0
 *
 * oauth.c - the ground of /oauth2/: errors, parameters, and clients that log in (RFC 6749
 * sections 2.3, 3.2, 5.2).
 *
 * None of these calls looks at a cookie, so none can be made by a browser on behalf of another site.
 */
#include "service/oauth.h"

#include "service/text.h"

#include <latchkey/base64url.h>
#include <string.h>

#define BASIC_MAX 1024 /* characters behind `Basic ` */

void lk__oauth_error(lk__call *c, int status, const char *error, const char *description)
{
    lk_buf body = lk__arena_buf(c->arena, 512);
    lk_buf_add_printf(&body, "{\"error\":\"%s\",\"error_description\":", error);
    lk__json_add(&body, lk_view_of(description));
    lk_buf_add_byte(&body, '}');
    lk__answer(c, status, "application/json", &body);
}

void lk__oauth_unavailable(lk__call *c)
{
    lk__answer_retry_after(c, 2);
    lk__oauth_error(c, 503, "temporarily_unavailable", "a store or the accounts cannot be asked now");
}

bool lk__oauth_form(lk__call *c)
{
    lk_view type = lk__media_essence(c->req->content_type);
    if (c->req->body_too_large || c->req->body.len > LK_BODY_MAX) {
        lk__oauth_error(c, 413, "invalid_request", "a body has at most 16384 bytes");
        return false;
    }
    if (!lk_view_equal_nocase(type, LK_VIEW("application/x-www-form-urlencoded"))) {
        lk__oauth_error(c, 400, "invalid_request", "send Content-Type: application/x-www-form-urlencoded");
        return false;
    }
    switch (lk__form_read(c->req->body, c->arena, &c->form)) {
    case LK_OK:
        c->body_kind = LK_BODY_FORM;
        return true;
    case LK_FAULT:
        lk__oauth_unavailable(c);
        return false;
    case LK_MISS:
    case LK_STALE:
    case LK_REFUSED:
    case LK_FULL:
        break;
    }
    lk__oauth_error(c, 400, "invalid_request", "the form has too many fields");
    return false;
}

bool lk__oauth_param(lk__call *c, const char *name, lk_view *out)
{
    lk_status status = lk__form_get(&c->form, lk_view_of(name), out);
    if (status == LK_OK)
        return true;
    *out = (lk_view){0};
    if (status == LK_MISS)
        return true;
    lk__oauth_error(c, 400, "invalid_request", "a parameter is there twice");
    return false;
}

/* ---- who is calling ---- */

typedef struct caller {
    lk_view name, secret;
} caller;

/* Base64 of RFC 4648 section 4 by way of its other alphabet. */
static lk_status decode_basic(lk__call *c, lk_view text, lk_view *out)
{
    lk_buf other = lk__arena_buf(c->arena, text.len + 1), bytes = lk__arena_buf(c->arena, text.len + 1);
    size_t len = text.len;
    while (len > 0 && text.len - len < 2 && text.p[len - 1] == '=')
        len--;
    if (text.len > BASIC_MAX || text.len % 4 != 0)
        return LK_REFUSED;
    for (size_t i = 0; i < len; i++) {
        uint8_t b = text.p[i];
        if (b == '-' || b == '_')
            return LK_REFUSED;
        lk_buf_add_byte(&other, b == '+' ? '-' : b == '/' ? '_' : b);
    }
    lk_status status = lk_base64url_decode(lk_buf_view(&other), &bytes);
    *out = lk_buf_view(&bytes);
    return status == LK_OK ? LK_OK : LK_REFUSED;
}

/* Name and secret are urlencoded inside Basic (RFC 6749 section 2.3.1): what a form parser reads of one
 * field. */
static bool decode_part(lk__call *c, lk_view part, lk_view *out)
{
    lk__form form;
    *out = (lk_view){0};
    if (part.len == 0)
        return true;
    if (lk_view_find(part, '&') < part.len || lk_view_find(part, '=') < part.len ||
        lk__form_read(part, c->arena, &form) != LK_OK || form.n != 1)
        return false;
    *out = form.fields[0].name;
    return true;
}

/* LK_OK; LK_MISS when there is no Basic; LK_REFUSED. */
static lk_status by_basic(lk__call *c, caller *out)
{
    const lk_presented *p = &c->req->presented;
    lk_view text = {0}, pair;
    for (size_t i = 0; i < p->authorization_n; i++) {
        lk_view field = lk_view_trim(p->authorization[i]);
        if (!lk_view_equal_nocase(lk_view_part(field, 0, 6), LK_VIEW("Basic ")))
            continue;
        if (text.len > 0 || p->authorization_n > 1)
            return LK_REFUSED;
        text = lk_view_trim(lk_view_part(field, 6, field.len));
        if (text.len == 0)
            return LK_REFUSED;
    }
    if (text.len == 0)
        return LK_MISS;
    if (decode_basic(c, text, &pair) != LK_OK)
        return LK_REFUSED;
    size_t colon = lk_view_find(pair, ':');
    if (colon == pair.len || !decode_part(c, lk_view_part(pair, 0, colon), &out->name) ||
        !decode_part(c, lk_view_part(pair, colon + 1, pair.len), &out->secret))
        return LK_REFUSED;
    return LK_OK;
}

/* RFC 6749 section 5.2: 401, and the scheme that was used, or could have been. */
static void refuse_client(lk__call *c, lk_view name)
{
    lk_buf value = lk__arena_buf(c->arena, 96);
    lk_guard_count(c->s->guard, LK_COUNT_LOGINS_FAILED);
    lk__audit(c, "client_refused", LK_REASON_BAD_CREDENTIALS, 401, lk__audit_name(c, name), NULL);
    lk_buf_add_printf(&value, "Basic realm=\"%s\"",
                      c->s->settings->realm[0] == '\0' ? "latchkey" : c->s->settings->realm);
    lk__answer_header(c, "WWW-Authenticate", lk_buf_view(&value));
    lk__oauth_error(c, 401, "invalid_client", "no such client, or another secret");
}

static bool check(lk__call *c, const caller *who, lk_client *out)
{
    int64_t retry_after_s = 1;
    switch (lk_accounts_client_login(c->s->accounts, lk_view_of(c->s->settings->realm), who->name,
                                     who->secret, c->req->address, out, &retry_after_s)) {
    case LK_OK:
        return true;
    case LK_MISS:
    case LK_STALE:
    case LK_REFUSED:
        refuse_client(c, who->name);
        return false;
    case LK_FULL:
        lk_guard_count(c->s->guard, LK_COUNT_THROTTLED);
        lk__audit(c, "throttled", LK_REASON_THROTTLED, 429, lk__audit_name(c, who->name), NULL);
        lk__answer_retry_after(c, retry_after_s);
        lk__oauth_error(c, 429, "invalid_client", "too many wrong secrets; try again later");
        return false;
    case LK_FAULT:
        break;
    }
    lk__oauth_unavailable(c);
    return false;
}

bool lk__oauth_client(lk__call *c, lk_client *out)
{
    caller who = {{0}, {0}};
    lk_view name, secret;
    lk_status basic = by_basic(c, &who);
    if (!lk__issue_is_safe(c) || !lk__oauth_param(c, "client_id", &name) ||
        !lk__oauth_param(c, "client_secret", &secret))
        return false;
    /* client_id beside Basic is a name, not a second way to log in, if it is the same one. */
    bool both = basic != LK_MISS && (secret.len > 0 || (name.len > 0 && !lk_view_equal(name, who.name)));
    if (basic == LK_REFUSED || both) {
        lk__oauth_error(c, 400, "invalid_request",
                        both ? "a client logs in by HTTP Basic or in the body, not by both"
                             : "the Authorization header cannot be read");
        return false;
    }
    if (basic == LK_MISS)
        who = (caller){name, secret};
    if (who.name.len == 0) {
        refuse_client(c, LK_VIEW(""));
        return false;
    }
    return check(c, &who, out);
}

/* Why, in the characters of RFC 6749 section 5.2. */
static const char *proof_sentence(lk_reason why)
{
    if (why == LK_REASON_REPLAYED)
        return "the DPoP proof was used before";
    if (why == LK_REASON_EXPIRED)
        return "the DPoP proof is too old";
    if (why == LK_REASON_NOT_YET_VALID)
        return "the DPoP proof is of a time to come";
    if (why == LK_REASON_BAD_SIGNATURE)
        return "the DPoP proof does not prove this request: its signature, its algorithm, htm or htu is not "
               "right";
    return "there has to be one DPoP proof, and it is not well formed";
}

/* RFC 9449 section 5: an error of the token endpoint; section 8: with the nonce that was missing. */
static void refuse_proof(lk__call *c)
{
    if (c->id->proof == LK_PROOF_NONCE) {
        lk__answer_nonce(c);
        lk__oauth_error(c, 400, "use_dpop_nonce", "the DPoP proof needs a nonce of this server");
        return;
    }
    lk__oauth_error(c, 400, "invalid_dpop_proof", proof_sentence(c->id->reason));
}

bool lk__oauth_proof(lk__call *c, const lk_client *client, lk_view *jkt)
{
    lk_buf by = lk__arena_buf(c->arena, LK_REALM_MAX + sizeof(LK_CLIENT_USER) + LK_CLIENT_NAME_MAX + 1);
    lk_buf_add_printf(&by, "%s/" LK_CLIENT_USER "%s", client->realm, client->name);
    switch (lk__proof_read(c, lk_buf_view(&by), jkt)) {
    case LK_OK:
    case LK_MISS:
        return true;
    case LK_REFUSED:
    case LK_STALE:
        refuse_proof(c);
        return false;
    case LK_FULL:
    case LK_FAULT:
        break;
    }
    lk__oauth_unavailable(c);
    return false;
}

bool lk__oauth_may(lk__call *c, const lk_client *client, lk_client_grant grant)
{
    if ((client->grants & (unsigned)grant) != 0)
        return true;
    lk__oauth_error(c, 400, "unauthorized_client", "this client was not given that grant");
    return false;
}

/* ---- tokens ---- */

bool lk__oauth_token(lk__call *c, lk_view token, lk_view audience, lk_identity *id)
{
    memset(id, 0, sizeof(*id));
    if (!lk_is_token68(token))
        return true; /* what no header could carry is nothing of ours */
    lk_buf bearer = lk__arena_buf(c->arena, token.len + 8),
           wanted = lk__arena_buf(c->arena, audience.len + 260);
    lk_buf_add_text(&bearer, "Bearer ");
    lk_buf_add(&bearer, token);
    if (audience.len > 0) {
        lk_buf_add(&wanted, audience);
        lk_buf_add_byte(&wanted, ' ');
        lk_buf_add_text(&wanted, c->s->settings->jwt_audience);
    }
    lk_view field = lk_buf_view(&bearer);
    /* It comes from whoever was shown it: neither a proof of its key nor its addresses can be his. */
    lk_presented presented = {.authorization = &field, .authorization_n = 1, .any_sender = true};
    lk_rule rule = {.mode = LK_MODE_OPTIONAL,
                    .audience = lk_buf_view(&wanted),
                    .lag_ms = c->req->lag_ms,
                    .lag = c->req->lag};
    lk_guard_check(c->s->guard, &presented, &rule, id);
    if (id->verdict == LK_VERDICT_ALLOW && !lk__arena_failed(c->arena))
        return true;
    lk__oauth_unavailable(c);
    return false;
}
