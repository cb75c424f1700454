/* SPDX-License-Identifier: Apache-2.0
 *
 * token_verify.c - latchkey token verify: everything the gateway would check of a token, without it.
 */
#include "input.h"
#include "jwk.h"
#include "token.h"
#include <latchkey/trust.h>
#include <string.h>
#include <unistd.h>

const cli_option cli_token_verify_options[] = {
    {"jwk", "FILE", "check with the keys of a JWK, a JWK Set or a public key in PEM instead of --conf"},
    {"alg", "ALG", "with --jwk: check by this algorithm only; an RSA key in PEM needs it"},
    {"now", "SECONDS", "as if it were that time (seconds since 1970)"},
    {"iss", "ISSUER", "refuse any other issuer"},
    {"aud", "AUDIENCE", "refuse a token that is not meant for AUDIENCE"},
    {"leeway", "SECONDS", "forgive clocks that differ, 0 to 60 (default 0)"},
    {"typ", "TYPE", "refuse any other typ (with --conf: at+jwt when not given)"},
    {"allow-no-exp", NULL, "accept a JWT that never expires"},
    {0},
};

static const cli_column columns[] = {
    {"kind", "Kind", CLI_TEXT},
    {"user", "User", CLI_TEXT},
    {"name", "Name", CLI_TEXT},
    {"realm", "Realm", CLI_TEXT},
    {"roles", "Roles", CLI_TEXT},
    {"scope", "Scope", CLI_TEXT},
    {"client", "Client", CLI_TEXT},
    {"issuer", "Issuer", CLI_TEXT},
    {"audience", "Audience", CLI_TEXT},
    {"session", "Session", CLI_TEXT},
    {"issued", "Issued", CLI_TIME},
    {"not_before", "Not before", CLI_TIME},
    {"expires", "Expires", CLI_TIME},
    {"kid", "Key id", CLI_TEXT},
    {"params", "Parameters", CLI_TEXT},
    {"cutoffs", "Cut-offs", CLI_TEXT},
    {0},
};

static int expectation(const cli *c, const lk_settings *settings, lk_expect *expect)
{
    int64_t leeway = settings != NULL ? settings->jwt_leeway_s : 0, now = lk_now_s(lk_env_system());
    const char *typ = cli_get(c, "typ"), *iss = cli_get(c, "iss"), *aud = cli_get(c, "aud");
    int code = cli_get_number(c, "leeway", 0, 60, &leeway);
    code = code == CLI_YES ? cli_get_number(c, "now", 0, INT64_MAX, &now) : code;
    if (settings != NULL) {
        typ = typ != NULL ? typ : "at+jwt";
        iss = iss != NULL ? iss : settings->jwt_issuer;
        aud = aud != NULL ? aud : settings->jwt_audience;
    }
    *expect = (lk_expect){.issuer = lk_view_of(iss),
                          .audience = lk_view_of(aud),
                          .type = lk_view_of(typ),
                          .leeway_s = leeway,
                          .need_expiry = !cli_has(c, "allow-no-exp"),
                          .now_s = now};
    return code;
}

/* A number that is absent stays out of the answer. */
static void set_time(json_t *object, const char *key, int64_t when_s)
{
    if (when_s != 0) {
        cli_set_number(object, key, when_s);
    }
}

static void set_some(json_t *object, const char *key, lk_view text)
{
    if (text.len > 0) {
        cli_set_text(object, key, text);
    }
}

static json_t *claims_object(const lk_claims *claims)
{
    char public_id[LK_PUBLIC_ID_LEN + 1];
    json_t *object = json_object();
    cli_set_flag(object, "valid", true);
    cli_set_text(object, "kind", lk_view_of(claims->kind == LK_KIND_JWT ? "jwt" : "simple"));
    set_some(object, "user", claims->user);
    set_some(object, "name", claims->name);
    set_some(object, "realm", claims->realm);
    cli_set_words(object, "roles", claims->roles);
    cli_set_words(object, "scope", claims->scope);
    set_some(object, "client", claims->client);
    set_some(object, "issuer", claims->issuer);
    cli_set_words(object, "audience", claims->audience);
    set_some(object, "id", claims->id);
    set_some(object, "params", claims->params);
    set_some(object, "kid", claims->kid);
    lk_public_id_write(&claims->session, public_id);
    set_some(object, "session", claims->has_session ? lk_view_of(public_id) : (lk_view){0});
    set_time(object, "issued", claims->issued_s);
    set_time(object, "not_before", claims->not_before_s);
    set_time(object, "expires", claims->expires_s);
    set_time(object, "auth", claims->auth_s);
    return object;
}

/* The payload as it was signed, for claims we have no word for. */
static void set_payload(json_t *object, const lk_keyring *ring, lk_view text)
{
    static uint8_t memory[LK_CREDENTIAL_MAX];
    lk_buf payload = lk_buf_over(memory, sizeof memory);
    lk_reason why;
    if (lk_jws_check(ring, text, &payload, &why, NULL) == LK_OK) {
        json_t *claims = json_loadb((const char *)payload.p, payload.len, JSON_REJECT_DUPLICATES, NULL);
        (void)json_object_set_new(object, "claims", claims);
    }
}

/* ---- cut-offs ---- */

static bool store_is_there(const lk_settings *settings)
{
    char path[LK_URL_MAX];
    cli_path_of_url(settings->store, path);
    return path[0] == '\0' || access(path, F_OK) == 0;
}

/* Is there a cut-off that reaches the token? Looking is all this does: nothing is written, made or joined for
 * good. CLI_YES when none does or none can be seen (*state says which). */
static int check_cutoffs(const cli *c, cli_place *place, const lk_claims *claims, int64_t now_s,
                         const char **state)
{
    cli_cutoffs cutoffs;
    char public_id[LK_PUBLIC_ID_LEN + 1];
    cli quiet = *c;
    quiet.json = false;
    *state = "not looked at";
    if (!store_is_there(&place->settings) || cli_place_add(&quiet, CLI_STORE, place) != CLI_YES ||
        cli_cutoffs_read(&quiet, place->store, &cutoffs) != CLI_YES) {
        cli_remark(
            "the store cannot be opened, so cut-offs were not looked at: the token may have been revoked");
        return CLI_YES;
    }
    lk_public_id_write(&claims->session, public_id);
    cli_subject subject = {.realm = claims->realm,
                           .roles = claims->roles,
                           .client = claims->client,
                           .user = claims->user,
                           .device = claims->device,
                           .kid = claims->kid,
                           .public_id = claims->has_session ? public_id : NULL,
                           .issued_ms = claims->issued_s * 1000 + claims->issued_ms};
    const lk_cutoff *cut = cli_cutoff_hits(&cutoffs, &subject, now_s);
    lk_reason reason = cut != NULL ? cut->reason : LK_REASON_NONE;
    const char *level = cut != NULL ? lk_level_name(cut->level) : "";
    cli_cutoffs_free(&cutoffs);
    *state = "none reaches it";
    return cut != NULL ? cli_no(c, reason, "there is a cut-off at level %s after it was issued", level)
                       : CLI_YES;
}

/* ---- the check ---- */

/* By RING, or by the key set of T (NULL: RING is ours). */
static lk_status check_text(const lk_trust *t, const lk_keyring *ring, lk_view text, const lk_expect *expect,
                            lk_buf *scratch, lk_claims *claims, lk_reason *why, lk_note *note)
{
    if (t == NULL) {
        return cli_token_check(ring, text, expect, scratch, claims, why, note);
    }
    return lk_trust_check(t, ring, text, expect->now_s, scratch, claims, why, note);
}

static int verify_text(const cli *c, cli_place *place, const lk_trust *t, const lk_keyring *ring,
                       lk_view text)
{
    static uint8_t memory[CLI_SCRATCH_MAX];
    lk_buf scratch = lk_buf_over(memory, sizeof memory);
    lk_claims claims = {0};
    lk_expect expect;
    lk_reason why = LK_REASON_NONE;
    lk_note note = {{0}};
    const char *cutoffs = "not known with --jwk";
    int code = expectation(c, place != NULL ? &place->settings : NULL, &expect);
    if (code != CLI_YES) {
        return code;
    }
    lk_status status = check_text(t, ring, text, &expect, &scratch, &claims, &why, &note);
    if (status == LK_FAULT) {
        return cli_fault(c, "the token could not be checked: %s", note.text);
    }
    if (status != LK_OK) {
        return cli_no(c, why, "%s", note.text[0] != '\0' ? note.text : lk_reason_sentence(why));
    }
    code = place != NULL ? check_cutoffs(c, place, &claims, expect.now_s, &cutoffs) : CLI_YES;
    if (code != CLI_YES) {
        return code;
    }
    json_t *object = claims_object(&claims);
    cli_set_text(object, "cutoffs", lk_view_of(cutoffs));
    if (t != NULL) {
        cli_set_text(object, "trusted", lk_view_of(t->issuer));
    }
    if (claims.kind == LK_KIND_JWT) {
        set_payload(object, ring, text);
    }
    return cli_print_record(c, object, columns);
}

static int verify_with_jwk(const cli *c, const char *jwk, lk_view text)
{
    lk_keyring *ring = NULL;
    int code = cli_jwk_open(c, jwk, &ring);
    if (code == CLI_YES) {
        code = verify_text(c, NULL, NULL, ring, text);
        lk_keyring_free(ring);
    }
    return code;
}

/* A token of an issuer that latchkey_trust names: its key set is fetched for this one check. */
static int verify_by_trust(const cli *c, cli_place *place, const lk_trust *t, lk_view text)
{
    lk_keyring *set = NULL;
    lk_note note = {{0}};
    if (lk_trust_fetch(lk_env_system(), t, &set, &note) != LK_OK) {
        return cli_fault(c, "%s", note.text);
    }
    int code = verify_text(c, place, t, set, text);
    lk_keyring_free(set);
    return code;
}

static int verify_with_conf(const cli *c, lk_view text)
{
    cli_place place;
    int code = cli_place_open(c, CLI_KEYS, &place);
    if (code == CLI_YES) {
        const lk_trust *t = lk_trust_of(place.settings.trusts, place.settings.trusts_n, text);
        code =
            t != NULL ? verify_by_trust(c, &place, t, text) : verify_text(c, &place, NULL, place.ring, text);
        cli_place_close(&place);
    }
    return code;
}

int cli_token_verify(cli *c)
{
    cli_input text;
    const char *jwk = cli_get(c, "jwk");
    if (jwk != NULL && cli_has(c, "conf")) {
        return cli_wrong(c, "give --jwk or --conf, not both: the keys come from one of them");
    }
    int code = cli_read_token(c, 0, &text);
    if (code != CLI_YES) {
        return code;
    }
    code = jwk != NULL ? verify_with_jwk(c, jwk, cli_input_view(&text))
                       : verify_with_conf(c, cli_input_view(&text));
    cli_input_free(&text);
    return code;
}
