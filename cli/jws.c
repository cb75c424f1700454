/* SPDX-License-Identifier: Apache-2.0
 *
 * jws.c - latchkey jws verify: is this JWS signed by that key? Nothing but the signature rules.
 */
#include "input.h"
#include "jwk.h"
#include "output.h"
#include <latchkey/base64url.h>
#include <latchkey/credential.h>

int cli_jwk_open(const cli *c, const char *path, lk_keyring **out)
{
    lk_alg alg = LK_ALG_COUNT;
    lk_note note = {{0}};
    cli_input in;
    const char *name = cli_get(c, "alg");
    if (name != NULL && lk_alg_of(lk_view_of(name), &alg) != LK_OK) {
        return cli_wrong(c, "--alg %s: choose " CLI_ALGS, name);
    }
    int code = cli_read_file(c, path, &in);
    if (code != CLI_YES) {
        return code;
    }
    lk_status status = lk_keyring_from_text(lk_env_system(), cli_input_view(&in), alg, out, &note);
    cli_input_free(&in);
    return status == LK_OK ? CLI_YES : cli_answer(c, status, path, &note);
}

static int print_json_payload(const cli *c, lk_view payload)
{
    static uint8_t memory[LK_BASE64URL_LEN(LK_CREDENTIAL_MAX) + 1];
    lk_buf text = lk_buf_over(memory, sizeof memory);
    json_t *object = json_object();
    lk_base64url_encode(payload, &text);
    cli_set_flag(object, "valid", true);
    cli_set_text(object, "payload", lk_buf_view(&text));
    return cli_print_record(c, object, NULL);
}

static int check(const cli *c, const lk_keyring *ring, lk_view token)
{
    static uint8_t memory[LK_CREDENTIAL_MAX];
    lk_buf payload = lk_buf_over(memory, sizeof memory);
    lk_reason why = LK_REASON_NONE;
    lk_note note = {{0}};
    lk_status status = lk_jws_check(ring, token, &payload, &why, &note);
    if (status == LK_FAULT) {
        return cli_fault(c, "the signature could not be checked: %s", note.text);
    }
    if (status != LK_OK) {
        return cli_no(c, why, "%s", note.text[0] != '\0' ? note.text : lk_reason_sentence(why));
    }
    return c->json ? print_json_payload(c, lk_buf_view(&payload)) : cli_write(c, lk_buf_view(&payload));
}

static int verify(cli *c)
{
    lk_keyring *ring = NULL;
    cli_input token;
    const char *jwk = cli_get(c, "jwk");
    if (jwk == NULL) {
        return cli_wrong(c, "missing --jwk FILE, a JWK, a JWK Set or a public key in PEM");
    }
    int code = cli_jwk_open(c, jwk, &ring);
    if (code != CLI_YES) {
        return code;
    }
    code = cli_read_token(c, 0, &token);
    if (code == CLI_YES) {
        code = check(c, ring, cli_input_view(&token));
        cli_input_free(&token);
    }
    lk_keyring_free(ring);
    return code;
}

static const cli_option verify_options[] = {
    {"jwk", "FILE", "the key or keys: a JWK or JWK Set (RFC 7517), or a public key in PEM"},
    {"alg", "ALG", "check by this algorithm only; an RSA key in PEM needs it"},
    {0},
};

const cli_command cli_jws_commands[] = {
    {"jws", "verify", "[TOKEN|-]", 0, 1, verify_options,
     "Check the signature of a compact JWS and print its payload",
     "The payload goes to standard output byte for byte; the reason for a no goes to standard error. With "
     "--json the\n"
     "payload is base64url. Claims are not looked at: latchkey token verify does that.\n"
     "The algorithm belongs to the key: the one it names, else the one its type and curve have, else (RSA) "
     "RS256\n"
     "or what --alg says. ALG is one of " CLI_ALGS ".",
     "latchkey jws verify --jwk jwks.json eyJhbGciOiJFZERTQSJ9...", verify},
    {0},
};
