/* SPDX-License-Identifier: Apache-2.0
 *
 * access.c - access tokens for OAuth clients. docs/third-parties.md
 */
#include "guard/guard_internal.h"
#include <latchkey/base64url.h>
#include <string.h>

static int64_t min_s(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static void fill(lk_guard *g, const lk_grant *grant, lk_claims *c)
{
    const lk_identity *parent = grant->parent;
    lk_subject subject = {.realm = grant->realm, .client = grant->client, .user = grant->user};
    int64_t now_s = lk_now_s(g->parts.env), issued_ms = lk__issue_time_ms(g, &subject);

    *c = (lk_claims){.kind = LK_KIND_JWT,
                     .user = grant->user,
                     .name = grant->name,
                     .realm = grant->realm,
                     .roles = grant->roles,
                     .scope = grant->scope,
                     .client = grant->client,
                     .audience = grant->audience,
                     .bound = grant->bound,
                     .act = grant->act,
                     .issuer = lk_view_of(g->parts.settings->jwt_issuer),
                     .issued_s = issued_ms / 1000,
                     .issued_ms = (uint16_t)(issued_ms % 1000),
                     .expires_s = now_s + g->parts.settings->jwt_ttl_s};
    if (grant->ends_s != 0)
        c->expires_s = min_s(c->expires_s, grant->ends_s);
    if (parent == NULL)
        return;
    c->issued_s = parent->issued_s;
    c->issued_ms = 0;
    c->auth_s = parent->auth_s;
    c->generation = parent->generation;
    c->has_session = true;
    c->session = parent->key;
    c->expires_s = min_s(c->expires_s, min_s(parent->ends_s, parent->expires_s));
}

lk_status lk_guard_grant(lk_guard *g, const lk_grant *grant, lk_issued *out)
{
    uint8_t random[12];
    char id[LK_BASE64URL_LEN(12)];
    lk_buf id_buf = lk_buf_over(id, sizeof(id)), text = lk_buf_over(out->text, sizeof(out->text) - 1);
    lk_claims claims;

    memset(out, 0, sizeof(*out));
    fill(g, grant, &claims);
    if (claims.expires_s <= lk_now_s(g->parts.env))
        return LK_STALE;
    if (lk_random(g->parts.env, random, sizeof(random)) != LK_OK)
        return LK_FAULT;
    lk_base64url_encode(lk_view_make(random, sizeof(random)), &id_buf);
    claims.id = lk_buf_view(&id_buf);
    lk_status status = lk_jwt_mint(g->parts.ring, g->parts.settings->jwt_alg, &claims, LK_JWT_TYPE, &text);
    out->len = text.len;
    out->kind = LK_KIND_JWT;
    out->bound = grant->bound.len > 0;
    out->issued_s = claims.issued_s;
    out->ends_s = out->expires_s = claims.expires_s;
    return status;
}

lk_status lk_guard_claims(lk_guard *g, lk_view text, lk_buf *scratch, lk_claims *out)
{
    lk_expect expect = {.issuer = lk_view_of(g->parts.settings->jwt_issuer),
                        .type = LK_JWT_TYPE,
                        .leeway_s = 60,
                        .now_s = lk_now_s(g->parts.env)};
    lk_reason why;
    lk_status status = lk_jwt_check(g->parts.ring, text, &expect, scratch, out, &why, NULL);

    return status == LK_OK || status == LK_FAULT ? status : LK_REFUSED;
}
