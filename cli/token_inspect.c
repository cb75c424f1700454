/* SPDX-License-Identifier: Apache-2.0
 *
 * token_inspect.c - latchkey token inspect: what a token says, believed by nobody.
 */
#include "input.h"
#include "token.h"
#include <latchkey/base64url.h>
#include <latchkey/json.h>
#include <latchkey/secret.h>
#include <latchkey/trust.h>

#define PARTS_MAX 6

typedef struct parts {
    lk_view part[PARTS_MAX];
    size_t n;
} parts;

static void split(lk_view text, parts *out)
{
    out->n = 0;
    for (;;) {
        size_t dot = lk_view_find(text, '.');
        out->part[out->n++] = lk_view_part(text, 0, dot);
        if (dot == text.len || out->n == PARTS_MAX) {
            return;
        }
        text = lk_view_part(text, dot + 1, text.len);
    }
}

/* A base64url part decoded as JSON, or NULL. The reader of the gateway decides what is JSON; jansson only
 * builds it. */
static json_t *json_part(lk_view part)
{
    static uint8_t memory[LK_CREDENTIAL_MAX];
    lk_buf text = lk_buf_over(memory, sizeof memory);
    if (lk_base64url_decode(part, &text) != LK_OK || lk_json_check(lk_buf_view(&text), NULL, NULL) != LK_OK) {
        return NULL;
    }
    return json_loadb((const char *)text.p, text.len, JSON_DECODE_ANY, NULL);
}

static void set_decoded(json_t *object, const char *key, lk_view part)
{
    static uint8_t memory[LK_CREDENTIAL_MAX];
    lk_buf text = lk_buf_over(memory, sizeof memory);
    if (lk_base64url_decode(part, &text) == LK_OK) {
        cli_set_text(object, key, lk_buf_view(&text));
    }
}

static void set_number(json_t *object, const char *key, lk_view part)
{
    int64_t number = 0;
    if (lk_parse_i64(part, &number) == LK_OK) {
        cli_set_number(object, key, number);
    }
}

static int not_a_token(const cli *c, const char *why)
{
    return cli_no(c, LK_REASON_MALFORMED, "%s", why);
}

/* Is it from an issuer that the settings trust? Where there are none to read, nobody is. */
static void set_trusted(const cli *c, json_t *object, lk_view text)
{
    static lk_settings settings;
    if (lk_settings_read(lk_env_system(), c->conf, &settings, NULL) != LK_OK) {
        return;
    }
    const lk_trust *t = lk_trust_of(settings.trusts, settings.trusts_n, text);
    if (t != NULL) {
        cli_set_text(object, "trusted", lk_view_of(t->issuer));
    }
}

static int inspect_jwt(const cli *c, const parts *p, lk_view text)
{
    json_t *object = json_object();
    json_t *header = json_part(p->part[0]), *payload = json_part(p->part[1]);
    if (header == NULL || payload == NULL) {
        json_decref(object);
        json_decref(header);
        json_decref(payload);
        return not_a_token(c, "three parts as in a JWT, but header or payload is not JSON in base64url");
    }
    cli_set_text(object, "kind", LK_VIEW("jwt"));
    cli_set_flag(object, "verified", false);
    (void)json_object_set_new(object, "header", header);
    (void)json_object_set_new(object, "payload", payload);
    set_trusted(c, object, text);
    return cli_print_record(c, object, NULL);
}

static int inspect_simple(const cli *c, const parts *p)
{
    json_t *object = json_object();
    cli_set_text(object, "kind", LK_VIEW("simple"));
    cli_set_flag(object, "verified", false);
    set_decoded(object, "uid", p->part[0]);
    set_number(object, "time", p->part[1]);
    set_number(object, "expires", p->part[2]);
    if (p->n == PARTS_MAX) {
        set_decoded(object, "params", p->part[3]);
    }
    cli_set_text(object, "kid", p->part[p->n - 2]);
    cli_set_text(object, "sign", p->part[p->n - 1]);
    return cli_print_record(c, object, NULL);
}

/* Everything but what makes it one: who reads this over a shoulder cannot use it. */
static int inspect_refresh(const cli *c, const lk_refresh_token *token)
{
    char family[LK_PUBLIC_ID_LEN + 1];
    json_t *object = json_object();
    lk_public_id_write(&token->family, family);
    cli_set_text(object, "kind", LK_VIEW("refresh"));
    cli_set_flag(object, "verified", false);
    cli_set_text(object, "session", lk_view_of(family));
    cli_set_number(object, "number", token->number);
    cli_set_number(object, "began", token->began_s);
    cli_set_number(object, "age", lk_now_s(lk_env_system()) - token->began_s);
    return cli_print_record(c, object, NULL);
}

static int inspect_text(const cli *c, lk_view text)
{
    lk_refresh_token refresh;
    lk_kind kind = LK_KIND_COUNT;
    parts p;
    cli as_json = *c;
    as_json.json = true; /* nested claims are JSON for people too */
    if (lk_refresh_is_shaped(text, &refresh)) {
        int code = inspect_refresh(&as_json, &refresh);
        lk_wipe(&refresh, sizeof refresh);
        return code;
    }
    if (text.len > LK_CREDENTIAL_MAX || lk_credential_kind(text, &kind) != LK_OK) {
        return not_a_token(c, "neither a JWT nor a simple token nor a refresh token by its shape");
    }
    split(text, &p);
    if (!c->json && (kind == LK_KIND_JWT || kind == LK_KIND_TOKEN)) {
        cli_remark("NOT verified: anybody can write this. latchkey token verify tells whether to believe it");
    }
    switch (kind) {
    case LK_KIND_JWT:
        return inspect_jwt(&as_json, &p, text);
    case LK_KIND_TOKEN:
        return inspect_simple(&as_json, &p);
    case LK_KIND_SEALED:
        return not_a_token(c, "this is a sealed session: encrypted, it says nothing without its key");
    case LK_KIND_API_KEY:
        return not_a_token(c, "this is an API key: random bytes that say nothing");
    case LK_KIND_SESSION_ID:
    case LK_KIND_COUNT:
        break;
    }
    return not_a_token(c, "this is a session id: random bytes that say nothing");
}

int cli_token_inspect(cli *c)
{
    cli_input text;
    int code = cli_read_token(c, 0, &text);
    if (code == CLI_YES) {
        code = inspect_text(c, cli_input_view(&text));
        cli_input_free(&text);
    }
    return code;
}
