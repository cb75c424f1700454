/* SPDX-License-Identifier: Apache-2.0
 *
 * mint.c - make a JSON Web Token.
 */
#include "credential/shape.h"
#include "keyring/keyring_internal.h"
#include <latchkey/base64url.h>
#include <latchkey/json.h>

#define HEADER_MAX 512
#define PAYLOAD_MAX (LK_CREDENTIAL_MAX * 3 / 4)

static void add_name(lk_buf *json, const char *name)
{
    lk_buf_add_byte(json, json->len == 0 ? '{' : ',');
    lk_buf_add_byte(json, '"');
    lk_buf_add_text(json, name);
    lk_buf_add_text(json, "\":");
}

static void add_text(lk_buf *json, const char *name, lk_view value)
{
    if (value.len == 0)
        return;
    add_name(json, name);
    lk_json_add_string(json, value);
}

static void add_number(lk_buf *json, const char *name, int64_t value)
{
    if (value == 0)
        return;
    add_name(json, name);
    lk_buf_add_i64(json, value);
}

/* A list of words as an array; WITH_ONE_PLAIN: a single word as a string, as RFC 7519 section 4.1.3 allows.
 */
static void add_words(lk_buf *json, const char *name, lk_view list, bool with_one_plain)
{
    lk_view rest = list, word;
    bool first = true;

    if (!lk_words_next(&rest, &word))
        return;
    add_name(json, name);
    if (with_one_plain && !lk_words_next(&rest, &(lk_view){0})) {
        lk_json_add_string(json, word);
        return;
    }
    lk_buf_add_byte(json, '[');
    while (lk_words_next(&list, &word)) {
        if (!first)
            lk_buf_add_byte(json, ',');
        first = false;
        lk_json_add_string(json, word);
    }
    lk_buf_add_byte(json, ']');
}

static void add_session(lk_buf *json, const lk_claims *c)
{
    if (!c->has_session)
        return;
    add_name(json, "sid");
    lk_buf_add_byte(json, '"');
    lk_base64url_encode(lk_view_make(c->session.bytes, LK_SESSION_KEY_LEN), json);
    lk_buf_add_byte(json, '"');
}

static void write_claims(lk_buf *json, const lk_claims *c)
{
    add_text(json, "iss", c->issuer);
    add_text(json, "sub", c->user);
    add_words(json, "aud", c->audience, true);
    add_number(json, "exp", c->expires_s);
    add_number(json, "iat", c->issued_s);
    add_number(json, "iat_ms", c->issued_ms);
    add_number(json, "nbf", c->not_before_s);
    add_text(json, "jti", c->id);
    add_session(json, c);
    add_text(json, "realm", c->realm);
    add_words(json, "roles", c->roles, false);
    add_text(json, "scope", c->scope);
    add_number(json, "gen", c->generation);
    add_text(json, "name", c->name);
    add_text(json, "client_id", c->client);
    add_text(json, "device", c->device);
    add_number(json, "auth_time", c->auth_s);
    add_number(json, "sid_exp", c->session_ends_s);
    if (c->bound.len > 0) {
        add_name(json, "cnf");
        lk_buf_add_text(json, "{\"jkt\":");
        lk_json_add_string(json, c->bound);
        lk_buf_add_byte(json, '}');
    }
    if (c->act.len > 0) {
        add_name(json, "act");
        lk_buf_add(json, c->act);
    }
    lk_buf_add_byte(json, '}');
}

/* A token is refused here rather than by whoever is to check it. */
static bool can_be_said(const lk_claims *c, lk_view type)
{
    const lk_view texts[] = {c->issuer, c->user, c->audience, c->id,     c->realm, c->roles,
                             c->scope,  c->name, c->client,   c->device, type};

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        if (!lk__is_clean_text(texts[i]))
            return false;
    }
    if (c->bound.len > 0 && (c->bound.len != LK_THUMBPRINT_LEN || !lk_is_base64url(c->bound)))
        return false;
    if (c->act.len > 0 && (c->act.p[0] != '{' || lk_json_check(c->act, NULL, NULL) != LK_OK))
        return false;
    return c->expires_s > 0; /* a token without an end is never made */
}

static void add_header(const lk_signer *signer, lk_view type, lk_buf *out)
{
    lk_view own = lk__signer_header(signer);
    uint8_t memory[HEADER_MAX];
    lk_buf json = lk_buf_over(memory, sizeof(memory));

    if (own.len > 0 && lk_view_equal(type, LK_VIEW(LK__JOSE_TYPE))) {
        lk_buf_add(out, own);
        return;
    }
    lk__jose_header_write(lk_signer_alg(signer), type, lk_signer_kid(signer), &json);
    out->full = out->full || json.full;
    lk_base64url_encode(lk_buf_view(&json), out);
}

static lk_status sign_and_add(const lk_signer *signer, size_t start, lk_buf *out)
{
    uint8_t memory[LK_SIGNATURE_MAX];
    lk_buf signature = lk_buf_over(memory, sizeof(memory));
    lk_status status = lk_buf_status(out);

    if (status == LK_OK)
        status = lk_sign(signer, lk_view_make(out->p + start, out->len - start), &signature);
    if (status != LK_OK)
        return status;
    lk_buf_add_byte(out, '.');
    lk_base64url_encode(lk_buf_view(&signature), out);
    if (!out->full && out->len - start > LK_CREDENTIAL_MAX)
        return LK_FULL;
    return lk_buf_status(out);
}

lk_status lk_jwt_mint(const lk_keyring *ring, lk_alg alg, const lk_claims *claims, lk_view type, lk_buf *out)
{
    const lk_signer *signer = lk_keyring_signer(ring, alg);
    uint8_t memory[PAYLOAD_MAX];
    lk_buf json = lk_buf_over(memory, sizeof(memory)), before = *out;
    lk_status status;

    if (signer == NULL)
        return LK_FAULT; /* a ring for checking only, or a directory without an active key of this algorithm
                          */
    if (!can_be_said(claims, type))
        return LK_REFUSED;
    write_claims(&json, claims);
    add_header(signer, type, out);
    lk_buf_add_byte(out, '.');
    lk_base64url_encode(lk_buf_view(&json), out);
    status = json.full ? LK_FULL : sign_and_add(signer, before.len, out);
    if (status != LK_OK)
        *out = before;
    else
        lk__signer_count(signer);
    return status;
}
