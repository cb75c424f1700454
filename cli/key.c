/* SPDX-License-Identifier: Apache-2.0
 *
 * key.c - latchkey key: the signing keys, their rotation, and the public ones for others.
 */
#include "jwk.h"
#include "place.h"
#include <string.h>

static const cli_column columns[] = {
    {"kid", "KID", CLI_TEXT},
    {"alg", "ALG", CLI_TEXT},
    {"state", "STATE", CLI_TEXT},
    {"created", "CREATED", CLI_TIME},
    {0},
};

static json_t *key_object(const lk_key_info *info)
{
    json_t *object = json_object();
    cli_set_text(object, "kid", lk_view_of(info->kid));
    cli_set_text(object, "alg", lk_view_of(info->is_root ? "root" : lk_alg_name(info->alg)));
    cli_set_text(object, "state", info->state == LK_KEY_ACTIVE ? LK_VIEW("active") : LK_VIEW("retiring"));
    cli_set_number(object, "created", info->created_s);
    return object;
}

static int list(cli *c)
{
    cli_place place;
    lk_key_info info;
    int code = cli_place_open(c, CLI_KEYS, &place);
    if (code != CLI_YES) {
        return code;
    }
    json_t *object = json_object(), *rows = json_array();
    for (size_t i = 0; lk_keyring_info(place.ring, i, &info) == LK_OK; i++) {
        (void)json_array_append_new(rows, key_object(&info));
    }
    (void)json_object_set_new(object, "keys", rows);
    code = cli_print_table(c, object, "keys", columns, "There are no keys.");
    cli_place_close(&place);
    return code;
}

/* ---- new, rotate ---- */

static int make_one(const cli *c, const cli_place *place, lk_alg alg, bool activate, json_t *rows)
{
    char kid[LK_KID_MAX + 1];
    lk_note note = {{0}};
    lk_status status = lk_key_make(lk_env_system(), place->settings.keys, alg, activate, kid, &note);
    if (status != LK_OK) {
        return cli_answer(c, status, "no key was made", &note);
    }
    json_t *row = json_object();
    cli_set_text(row, "kid", lk_view_of(kid));
    cli_set_text(row, "alg", lk_view_of(lk_alg_name(alg)));
    cli_set_text(row, "state", activate ? LK_VIEW("active") : LK_VIEW("retiring"));
    cli_set_number(row, "created", lk_now_s(lk_env_system()));
    (void)json_array_append_new(rows, row);
    return CLI_YES;
}

static int wanted_alg(const cli *c, lk_alg *alg)
{
    const char *name = cli_get(c, "alg");
    *alg = LK_ALG_COUNT;
    if (name != NULL && lk_alg_of(lk_view_of(name), alg) != LK_OK) {
        return cli_wrong(c, "--alg %s: choose " CLI_ALGS, name);
    }
    return CLI_YES;
}

/* ALG, or every algorithm when it is LK_ALG_COUNT. */
static int make(const cli *c, const cli_place *place, lk_alg alg, bool activate)
{
    int owner = cli_become_owner_of(c, place->settings.keys);
    if (owner != CLI_YES) {
        return owner;
    }
    json_t *object = json_object(), *rows = json_array();
    (void)json_object_set_new(object, "keys", rows);
    for (int i = 0; i < LK_ALG_COUNT; i++) {
        /* "All" are those there is a signing key of. */
        if (alg != LK_ALG_COUNT ? alg != (lk_alg)i : lk_keyring_signer(place->ring, (lk_alg)i) == NULL) {
            continue;
        }
        int code = make_one(c, place, (lk_alg)i, activate, rows);
        if (code != CLI_YES) {
            json_decref(object);
            return code;
        }
    }
    if (!c->json) {
        cli_remark("a running gateway takes the new keys up at its next reload (nginx -s reload)");
    }
    return cli_print_table(c, object, "keys", columns, "");
}

static int make_key(cli *c)
{
    cli_place place;
    lk_alg alg;
    int code = wanted_alg(c, &alg);
    if (code == CLI_YES && alg == LK_ALG_COUNT) {
        code = cli_wrong(c, "missing --alg: " CLI_ALGS);
    }
    if (code == CLI_YES) {
        code = cli_place_open(c, CLI_KEYS_NEW, &place);
    }
    if (code != CLI_YES) {
        return code;
    }
    code = make(c, &place, alg, false);
    cli_place_close(&place);
    return code;
}

static int rotate(cli *c)
{
    cli_place place;
    lk_alg alg;
    int code = wanted_alg(c, &alg);
    if (code == CLI_YES) {
        code = cli_place_open(c, CLI_KEYS, &place);
    }
    if (code != CLI_YES) {
        return code;
    }
    code = make(c, &place, alg, true);
    cli_place_close(&place);
    return code;
}

/* ---- export ---- */

static json_t *with_kid(const json_t *set, const char *kid)
{
    size_t i;
    json_t *key;
    json_array_foreach(json_object_get(set, "keys"), i, key)
    {
        const char *its = json_string_value(json_object_get(key, "kid"));
        if (its != NULL && strcmp(its, kid) == 0) {
            return key;
        }
    }
    return NULL;
}

static int print_set(const cli *c, const char *text)
{
    const char *kid = cli_get(c, "kid");
    json_t *set = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
    json_t *chosen = set != NULL && kid != NULL ? with_kid(set, kid) : set;
    int code;
    if (set == NULL) {
        code = cli_fault(c, "out of memory");
    } else if (chosen == NULL) {
        code = cli_no(c, LK_REASON_UNKNOWN_KEY,
                      "there is no public key '%s' (HS256 keys and the root are secret and "
                      "never leave the machine)",
                      kid);
    } else {
        char *out = json_dumps(chosen, JSON_INDENT(2));
        code = out != NULL ? cli_write(c, lk_view_of(out)) : cli_fault(c, "out of memory");
        code = code == CLI_YES ? cli_write(c, LK_VIEW("\n")) : code;
        lk_free(lk_env_system(), out);
    }
    json_decref(set);
    return code;
}

static int export(cli *c)
{
    cli_place place;
    char *text = NULL;
    int code = cli_place_open(c, CLI_KEYS, &place);
    if (code != CLI_YES) {
        return code;
    }
    lk_status status = lk_keyring_jwks(place.ring, &text);
    code = status == LK_OK ? print_set(c, text) : cli_answer(c, status, "the keys cannot be written", NULL);
    lk_free(lk_env_system(), text);
    cli_place_close(&place);
    return code;
}

static const cli_option alg_options[] = {{"alg", "ALG", CLI_ALGS}, {0}};
static const cli_option rotate_options[] = {
    {"alg", "ALG", "only that algorithm (default: all there is a key of)"}, {0}};
static const cli_option export_options[] = {{"kid", "KID", "only that key, as a JWK"}, {0}};

const cli_command cli_key_commands[] = {
    {"key", "list", "", 0, 0, NULL, "List the keys",
     "The root secret is the one sessions hang on; it does not rotate.", "latchkey key list", list},
    {"key", "new", "", 0, 0, alg_options, "Make a key that verifies but does not sign yet",
     "So that those who verify can learn it before the first signature is made with it.",
     "latchkey key new --alg EdDSA", make_key},
    {"key", "rotate", "", 0, 0, rotate_options, "Make new signing keys; the old ones still verify",
     "Nobody is logged out: tokens signed with the old key are good until they expire.",
     "latchkey key rotate", rotate},
    {"key", "export", "", 0, 0, export_options, "Print the public keys as a JWK Set (RFC 7517)",
     "The same the gateway answers at /.well-known/jwks.json.", "latchkey key export > jwks.json", export},
    {"key", "thumbprint", "FILE", 1, 1, NULL, "Print the thumbprint of a key (RFC 7638)",
     "FILE is a JWK or a key in PEM, public or private: the thumbprint is that of the public half.",
     "latchkey key thumbprint key.pem", cli_key_thumbprint},
    {0},
};
