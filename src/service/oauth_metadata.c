/* SPDX-License-Identifier: Apache-2.0
 *
 * oauth_metadata.c - GET /.well-known/oauth-authorization-server (RFC 8414): what there is, and nothing that
 * is to come. No response type exists yet, so that member, which has to be there, is empty.
 */
#include "service/oauth.h"
#include "service/origin.h"

#include "service/text.h"

/* The issuer of latchkey_jwt iss=, where that is a URL; else the origin that was asked. False: there is none.
 */
static bool base_of(lk__call *c, lk_buf *out)
{
    lk_view issuer = lk_view_of(c->s->settings->jwt_issuer);
    lk__origin origin;
    size_t len = 0;
    if (lk__origin_read(issuer, &origin, &len) == LK_OK && len == issuer.len) {
        lk_buf_add(out, issuer);
        return true;
    }
    bool https = lk_view_equal(c->req->scheme, LK_VIEW("https"));
    if (lk__origin_of_host(https, c->req->host, &origin) != LK_OK)
        return false;
    lk_buf_add_text(out, https ? "https://" : "http://");
    lk_buf_add_text(out, origin.host);
    if (origin.port != (https ? 443u : 80u))
        lk_buf_add_printf(out, ":%u", (unsigned)origin.port);
    return true;
}

static void add_url(lk_buf *out, const char *name, const lk_buf *base, const char *path)
{
    lk_buf_add_printf(out, ",\"%s\":\"", name);
    lk_buf_add(out, lk_buf_view(base));
    lk_buf_add_printf(out, "%s\"", path);
}

/* RFC 9449 section 5.1 */
static void add_proof_algs(lk_buf *out)
{
    uint8_t memory[256];
    lk_buf algs = lk_buf_over(memory, sizeof(memory));
    lk_dpop_algs(&algs);
    lk_view rest = lk_buf_view(&algs), word;
    const char *before = ",\"dpop_signing_alg_values_supported\":[";
    for (; lk_words_next(&rest, &word); before = ",") {
        lk_buf_add_text(out, before);
        lk__json_add(out, word);
    }
    lk_buf_add_byte(out, ']');
}

void lk__oauth_metadata(lk__call *c)
{
    static const char methods[] = "[\"client_secret_basic\",\"client_secret_post\"]";
    lk_buf base = lk__arena_buf(c->arena, 512), body = lk__arena_buf(c->arena, 4096);
    if (!base_of(c, &base)) {
        lk__answer_problem(c, LK_PROBLEM_MALFORMED, LK_VIEW("the Host header is no host"));
        return;
    }
    lk_buf_add_text(&body, "{\"issuer\":\"");
    lk_buf_add(&body, lk_buf_view(&base));
    lk_buf_add_byte(&body, '"');
    add_url(&body, "token_endpoint", &base, "/oauth2/token");
    add_url(&body, "introspection_endpoint", &base, "/oauth2/introspect");
    add_url(&body, "revocation_endpoint", &base, "/oauth2/revoke");
    add_url(&body, "jwks_uri", &base, "/.well-known/jwks.json");
    lk_buf_add_printf(&body,
                      ",\"grant_types_supported\":[\"client_credentials\",\"urn:ietf:params:oauth:grant-type:"
                      "token-exchange\"],\"response_types_supported\":[],"
                      "\"token_endpoint_auth_methods_supported\":%s,"
                      "\"introspection_endpoint_auth_methods_supported\":%s,"
                      "\"revocation_endpoint_auth_methods_supported\":%s",
                      methods, methods, methods);
    add_proof_algs(&body);
    lk_buf_add_byte(&body, '}');
    lk__answer(c, 200, "application/json", &body);
    if (c->res->status == 200) {
        lk__answer_header(c, "Cache-Control", LK_VIEW("public, max-age=300"));
        lk__answer_header(c, "Vary", LK_VIEW("Host"));
    }
}
