/* SPDX-License-Identifier: Apache-2.0
 *
 * token_mint.c - latchkey token mint: tokens for robots, tests and other services.
 */
#include "jwk.h"
#include "token.h"
#include <latchkey/base64url.h>
#include <string.h>

#define PARAMS_MAX 2048
#define ID_BYTES 16

const cli_option cli_token_mint_options[] = {
    {"kind", "KIND", "jwt (default) or simple: uid.time.expires.params.kid.sign"},
    {"user", "USER", "whom it is for: put in as it is"},
    {"account", NULL, "USER is the name of an account: its id, name and roles are put in"},
    {"ttl", "TIME", "how long it is good, such as 1h (default: as in the settings)"},
    {"scope", "SCOPES", "what it may do, with spaces between; without it, nothing that asks for a scope"},
    {"roles", "ROLES", "roles, with spaces between"},
    {"realm", "REALM", "the account system (default: the one of the settings)"},
    {"aud", "AUDIENCE", "jwt: who it is meant for (default: as in the settings)"},
    {"iss", "ISSUER", "jwt: who made it (default: as in the settings)"},
    {"alg", "ALG",
     "jwt: any of the algorithms of latchkey key new there is a key of (default: as in the settings)"},
    {"typ", "TYPE", "jwt: its typ (default at+jwt, the one the gateway accepts)"},
    {"param", "NAME=VALUE", "simple: a fixed parameter; may be given more than once"},
    {"no-session", NULL, "name no session: it cannot be revoked alone"},
    {0},
};

/* Everything a token is made of, and the memory behind it. */
typedef struct minting {
    bool simple;
    lk_alg alg;
    lk_claims claims;
    lk_user user;
    char public_id[LK_PUBLIC_ID_LEN + 1];
    char token_id[LK_BASE64URL_LEN(ID_BYTES) + 1];
    uint8_t params_memory[PARAMS_MAX];
    lk_buf params;
} minting;

static lk_view option_or(const cli *c, const char *name, const char *fallback)
{
    const char *value = cli_get(c, name);
    return lk_view_of(value != NULL ? value : fallback);
}

static int choose_kind(const cli *c, minting *m)
{
    const char *kind = cli_get(c, "kind");
    m->simple = kind != NULL && strcmp(kind, "simple") == 0;
    if (kind != NULL && !m->simple && strcmp(kind, "jwt") != 0) {
        return cli_wrong(c, "--kind %s: choose jwt or simple", kind);
    }
    static const char *const of_jwt[] = {"aud", "iss", "alg", "typ"};
    for (size_t i = 0; m->simple && i < sizeof of_jwt / sizeof of_jwt[0]; i++) {
        if (cli_has(c, of_jwt[i])) {
            return cli_wrong(c, "a simple token has no --%s; that is for --kind jwt", of_jwt[i]);
        }
    }
    if (!m->simple && cli_has(c, "param")) {
        return cli_wrong(c, "--param is for --kind simple");
    }
    return cli_get(c, "user") != NULL ? CLI_YES : cli_wrong(c, "missing --user");
}

/* The longest life anything has under these settings. A cut-off is forgotten when nothing it could reach can
 * be alive, so a token that lived longer would rise again. */
static int64_t longest_life(const lk_settings *s)
{
    const int64_t lives[] = {s->absolute_s, s->remember_s, s->anonymous_s, s->token_ttl_s, s->jwt_ttl_s};
    int64_t longest = 0;
    for (size_t i = 0; i < sizeof lives / sizeof lives[0]; i++) {
        longest = lives[i] > longest ? lives[i] : longest;
    }
    return longest;
}

static int choose_times(const cli *c, const cli_place *place, minting *m)
{
    int64_t ttl = m->simple ? place->settings.token_ttl_s : place->settings.jwt_ttl_s;
    int code = cli_get_duration(c, "ttl", &ttl);
    if (code != CLI_YES) {
        return code;
    }
    if (ttl < 1) {
        return cli_wrong(c, "--ttl must be at least a second");
    }
    if (ttl > longest_life(&place->settings)) {
        return cli_wrong(
            c,
            "--ttl is longer than anything lives under these settings (%lld days), so a revocation would be "
            "forgotten before the token is over",
            (long long)(longest_life(&place->settings) / 86400));
    }
    int64_t now_ms = lk_now_ms(lk_env_system());
    m->claims.issued_s = now_ms / 1000;
    m->claims.issued_ms = (uint16_t)(now_ms % 1000);
    m->claims.expires_s = m->claims.issued_s + ttl;
    return CLI_YES;
}

static int choose_user(const cli *c, cli_place *place, minting *m)
{
    m->claims.user = lk_view_of(cli_get(c, "user"));
    m->claims.realm = cli_realm(c, place);
    m->claims.roles = lk_view_of(cli_get(c, "roles"));
    m->claims.scope = lk_view_of(cli_get(c, "scope"));
    if (!cli_has(c, "account")) {
        return CLI_YES;
    }
    int code = cli_place_add(c, CLI_ACCOUNTS, place);
    if (code == CLI_YES) {
        code = cli_user_find(c, place, cli_get(c, "user"), &m->user);
    }
    if (code != CLI_YES) {
        return code;
    }
    if (m->user.state != LK_USER_ENABLED) {
        return cli_no(c, LK_REASON_BANNED, "user %s is disabled", m->user.name);
    }
    m->claims.user = lk_view_of(m->user.id);
    m->claims.name = lk_view_of(m->user.name);
    m->claims.roles = cli_has(c, "roles") ? m->claims.roles : lk_view_of(m->user.roles);
    return CLI_YES;
}

/* A session of its own, that no record stands behind: its name is what a cut-off can hit. */
static int choose_ids(const cli *c, minting *m)
{
    uint8_t id[ID_BYTES];
    lk_buf text = lk_buf_over(m->token_id, sizeof m->token_id);
    if (lk_random(lk_env_system(), m->claims.session.bytes, LK_SESSION_KEY_LEN) != LK_OK ||
        lk_random(lk_env_system(), id, sizeof id) != LK_OK) {
        return cli_fault(c, "no randomness");
    }
    lk_base64url_encode(lk_view_make(id, sizeof id), &text);
    m->claims.id = lk_buf_view(&text);
    m->claims.has_session = !cli_has(c, "no-session");
    lk_public_id_write(&m->claims.session, m->public_id);
    return CLI_YES;
}

static int take_params(const cli *c, minting *m)
{
    const char *text;
    for (size_t at = 0; (text = cli_next(c, "param", &at)) != NULL;) {
        lk_view all = lk_view_of(text);
        size_t equals = lk_view_find(all, '=');
        if (equals == all.len) {
            return cli_wrong(c, "--param %s: expected NAME=VALUE", text);
        }
        lk_status status = lk_token_param_add(lk_view_part(all, 0, equals),
                                              lk_view_part(all, equals + 1, all.len), &m->params);
        if (status == LK_FULL) {
            return cli_wrong(c, "the parameters are too long");
        }
        if (status != LK_OK) {
            return cli_wrong(c,
                             "--param %s: a name is letters, digits, '-', '_' and '.'; gen, ms, name, realm, "
                             "roles, scope and sid are kept for what has its own option or is put in anyway",
                             text);
        }
    }
    m->claims.params = lk_buf_view(&m->params);
    if (!m->claims.has_session) {
        m->claims.issued_ms =
            0; /* they tell sessions of one second apart; without one they only make it longer */
    }
    return CLI_YES;
}

static int choose_jwt(const cli *c, const cli_place *place, minting *m)
{
    const char *alg = cli_get(c, "alg");
    m->alg = place->settings.jwt_alg;
    if (alg != NULL && lk_alg_of(lk_view_of(alg), &m->alg) != LK_OK) {
        return cli_wrong(c, "--alg %s: choose " CLI_ALGS, alg);
    }
    m->claims.issuer = option_or(c, "iss", place->settings.jwt_issuer);
    m->claims.audience = option_or(c, "aud", place->settings.jwt_audience);
    return CLI_YES;
}

static int mint(const cli *c, const cli_place *place, const minting *m)
{
    static uint8_t memory[LK_CREDENTIAL_MAX + 2];
    lk_buf out = lk_buf_over(memory, LK_CREDENTIAL_MAX);
    lk_status status =
        m->simple ? lk_token_mint(place->ring, &m->claims, &out)
                  : lk_jwt_mint(place->ring, m->alg, &m->claims, option_or(c, "typ", "at+jwt"), &out);
    if (status != LK_OK) {
        const lk_note note = {"a text in it is too long, or has characters a token cannot carry"};
        return cli_answer(c, status, "no token was made", status == LK_FAULT ? NULL : &note);
    }
    if (c->json) {
        json_t *object = json_object();
        cli_set_text(object, "token", lk_buf_view(&out));
        cli_set_text(object, "kind", m->simple ? LK_VIEW("simple") : LK_VIEW("jwt"));
        cli_set_number(object, "issued", m->claims.issued_s);
        cli_set_number(object, "expires", m->claims.expires_s);
        cli_set_text(object, "session", m->claims.has_session ? lk_view_of(m->public_id) : (lk_view){0});
        return cli_print_record(c, object, NULL);
    }
    memory[out.len] = '\n';
    return cli_write(c, lk_view_make(memory, out.len + 1));
}

int cli_token_mint(cli *c)
{
    static minting m;
    cli_place place;
    m.params = lk_buf_over(m.params_memory, sizeof m.params_memory);
    int code = choose_kind(c, &m);
    if (code == CLI_YES) {
        code = cli_place_open(c, CLI_KEYS, &place);
    }
    if (code != CLI_YES) {
        return code;
    }
    code = choose_times(c, &place, &m);
    code = code == CLI_YES ? choose_user(c, &place, &m) : code;
    code = code == CLI_YES ? choose_ids(c, &m) : code;
    code = code == CLI_YES && m.simple ? take_params(c, &m) : code;
    code = code == CLI_YES && !m.simple ? choose_jwt(c, &place, &m) : code;
    code = code == CLI_YES ? mint(c, &place, &m) : code;
    cli_place_close(&place);
    return code;
}
