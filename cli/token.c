/* SPDX-License-Identifier: Apache-2.0
 *
 * token.c - latchkey token: the table of its commands, and revoke.
 */
#include "token.h"
#include "input.h"

lk_status cli_token_check(const lk_keyring *ring, lk_view text, const lk_expect *expect, lk_buf *scratch,
                          lk_claims *out, lk_reason *why, lk_note *note)
{
    lk_kind kind = LK_KIND_COUNT;
    *why = LK_REASON_MALFORMED;
    if (lk_credential_kind(text, &kind) != LK_OK) {
        lk_note_set(note, "neither a JWT nor a simple token by its shape");
        return LK_REFUSED;
    }
    switch (kind) {
    case LK_KIND_JWT:
        return lk_jwt_check(ring, text, expect, scratch, out, why, note);
    case LK_KIND_TOKEN:
        return lk_token_check(ring, text, expect, scratch, out, why);
    case LK_KIND_SEALED:
        lk_note_set(note, "this is a sealed session, not a token; only a gateway with its keys opens it");
        return LK_REFUSED;
    case LK_KIND_API_KEY:
        lk_note_set(note,
                    "this is an API key, not a token; latchkey api-key works on those by their public part");
        return LK_REFUSED;
    case LK_KIND_SESSION_ID:
    case LK_KIND_COUNT:
        break;
    }
    lk_note_set(note,
                "this is a session id, not a token; latchkey session works on those by their public id");
    return LK_REFUSED;
}

/* ---- revoke ---- */

static int end_named(const cli *c, const cli_place *place, const lk_claims *claims, lk_reason reason)
{
    char public_id[LK_PUBLIC_ID_LEN + 1];
    if (!claims->has_session) {
        return cli_no(c, LK_REASON_NONE,
                      "the token names no session, so it cannot be revoked alone; latchkey cutoff add "
                      "--level user --key %.*s ends all of its user's",
                      (int)claims->user.len, (const char *)claims->user.p);
    }
    if (lk_guard_end(place->guard, claims->realm, &claims->session, reason) != LK_OK) {
        return cli_fault(c, "the store failed; the token may still be accepted");
    }
    lk_public_id_write(&claims->session, public_id);
    json_t *object = json_object();
    cli_set_text(object, "session", lk_view_of(public_id));
    cli_set_text(object, "user", claims->user);
    return cli_done(c, object, "session %s ended, and every token that names it", public_id);
}

static int revoke_text(const cli *c, const cli_place *place, lk_view text, lk_reason reason)
{
    static uint8_t memory[CLI_SCRATCH_MAX];
    lk_buf scratch = lk_buf_over(memory, sizeof memory);
    lk_expect expect = {.now_s = lk_now_s(lk_env_system())};
    lk_claims claims = {0};
    lk_reason why = LK_REASON_NONE;
    lk_note note = {{0}};
    lk_status status = cli_token_check(place->ring, text, &expect, &scratch, &claims, &why, &note);
    if (status == LK_FAULT) {
        return cli_fault(c, "the token could not be checked: %s", note.text);
    }
    if (status != LK_OK) {
        return cli_no(c, why, "nothing was revoked: %s",
                      note.text[0] != '\0' ? note.text : lk_reason_sentence(why));
    }
    return end_named(c, place, &claims, reason);
}

static int revoke(cli *c)
{
    cli_place place;
    cli_input text;
    lk_reason reason;
    int code = cli_ending_reason(c, LK_REASON_REVOKED, &reason);
    if (code == CLI_YES) {
        code = cli_read_token(c, 0, &text);
    }
    if (code != CLI_YES) {
        return code;
    }
    code = cli_place_open(c, CLI_KEYS | CLI_REVOKE, &place);
    if (code == CLI_YES) {
        code = revoke_text(c, &place, cli_input_view(&text), reason);
        cli_place_close(&place);
    }
    cli_input_free(&text);
    return code;
}

static const cli_option revoke_options[] = {
    {"reason", "WORD", "what the client is told: revoked (default), kicked, banned, replaced"},
    {0},
};

const cli_command cli_token_commands[] = {
    {"token", "mint", "", 0, 0, cli_token_mint_options, "Make a token",
     "It is signed with the active key. It names a session of its own, so that latchkey token revoke can end "
     "it.",
     "latchkey token mint --kind jwt --user robot --ttl 1h --scope orders.read", cli_token_mint},
    {"token", "verify", "[TOKEN|-]", 0, 1, cli_token_verify_options,
     "Check a token: signature, claims, times, cut-offs",
     "With --jwk the keys come from a file and no cut-offs are known; else everything is as the gateway of "
     "--conf\n"
     "would see it, whether or not that is running.",
     "latchkey token verify --aud https://api.example eyJhbGciOiJFZERTQSJ9...", cli_token_verify},
    {"token", "inspect", "[TOKEN|-]", 0, 1, NULL, "Show what a token says, without believing it",
     "No key is needed and nothing is checked: never decide anything by this.",
     "latchkey token inspect eyJhbGciOiJFZERTQSJ9...", cli_token_inspect},
    {"token", "revoke", "[TOKEN|-]", 0, 1, revoke_options,
     "End the session a token names, and with it every token that names it",
     "The token must be genuine. A running gateway on the same settings refuses it at its next request.",
     "latchkey token revoke - < token.txt", revoke},
    {0},
};
