/* SPDX-License-Identifier: Apache-2.0
 *
 * key.c - latchkey key: the table of its verbs; list and export.
 */
#include "key.h"
#include "guard/key_uses.h"
#include "jwk.h"
#include <string.h>
#include <unistd.h>

/* Of key_row, but the counters. */
static const cli_column key_columns[] = {
    {"kid", "KID", CLI_TEXT},
    {"alg", "ALG", CLI_TEXT},
    {"state", "STATE", CLI_TEXT},
    {"created", "CREATED", CLI_TIME},
    {"next", "NEXT", CLI_TEXT},
    {"next_at", "AT", CLI_TIME},
    {0},
};

static const cli_column columns_with_uses[] = {
    {"kid", "KID", CLI_TEXT},         {"alg", "ALG", CLI_TEXT},           {"state", "STATE", CLI_TEXT},
    {"created", "CREATED", CLI_TIME}, {"next", "NEXT", CLI_TEXT},         {"next_at", "AT", CLI_TIME},
    {"signed", "SIGNED", CLI_TEXT},   {"verified", "VERIFIED", CLI_TEXT}, {0},
};

static void set_time(json_t *row, const char *name, int64_t time_s)
{
    if (time_s != LK_KEY_NEVER && time_s > 0) {
        cli_set_number(row, name, time_s);
    }
}

/* What happens to the key next, and when. */
static void set_next(json_t *row, const lk_key_info *info)
{
    const struct {
        const char *word;
        int64_t at_s;
    } steps[] = {{"signs", info->signs_s}, {"retires", info->retires_s}, {"gone", info->gone_s}};
    int64_t now_s = lk_now_s(lk_env_system());
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        if (steps[i].at_s > now_s && steps[i].at_s != LK_KEY_NEVER) {
            cli_set_text(row, "next", lk_view_of(steps[i].word));
            cli_set_number(row, "next_at", steps[i].at_s);
            return;
        }
    }
}

/* What is known of a key. */
static json_t *key_row(const lk_key_info *info)
{
    json_t *row = json_object();
    cli_set_text(row, "kid", lk_view_of(info->kid));
    cli_set_text(row, "alg", lk_view_of(info->is_root ? "root" : lk_alg_name(info->alg)));
    cli_set_text(row, "state", lk_view_of(lk_key_state_word(info->state)));
    cli_set_number(row, "created", info->created_s);
    if (info->is_root) {
        return row;
    }
    set_time(row, "signs", info->signs_s);
    set_time(row, "retires", info->retires_s);
    set_time(row, "gone", info->gone_s);
    set_next(row, info);
    return row;
}

/* {"keys": [...]} of those of PLACE, read anew, whose kid is in KIDS (words); NULL: of all. */
static json_t *key_rows(cli_place *place, const char *kids)
{
    json_t *object = json_object(), *rows = json_array();
    lk_key_info info;
    (void)!lk_keyring_refresh(place->ring, NULL);
    for (size_t i = 0; lk_keyring_info(place->ring, i, &info) == LK_OK; i++) {
        if (kids == NULL || lk_words_have(lk_view_of(kids), lk_view_of(info.kid))) {
            (void)json_array_append_new(rows, key_row(&info));
        }
    }
    (void)json_object_set_new(object, "keys", rows);
    return object;
}

int cli_key_alg(const cli *c, lk_alg *alg)
{
    const char *name = cli_get(c, "alg") != NULL ? cli_get(c, "alg") : c->arguments[0];
    *alg = LK_ALG_COUNT;
    if (name == NULL || lk_alg_of(lk_view_of(name), alg) == LK_OK) {
        return CLI_YES;
    }
    char list[256];
    lk_buf names = lk_buf_over(list, sizeof list);
    for (lk_alg a = 0; a < LK_ALG_COUNT; a++) {
        lk_buf_add_text(&names, a == 0 ? "" : ", ");
        lk_buf_add_text(&names, lk_alg_name(a));
    }
    return cli_wrong(c, "there is no algorithm %s: choose one of %s", name, lk_buf_text(&names));
}

int cli_key_open(const cli *c, unsigned wanted, cli_place *place, lk_key_place *at)
{
    int code = cli_place_open(c, wanted, place);
    if (code != CLI_YES) {
        return code;
    }
    *at = lk_settings_key_place(&place->settings);
    code = cli_become_owner_of(c, place->settings.keys);
    if (code != CLI_YES) {
        cli_place_close(place);
    }
    return code;
}

void cli_key_close(cli_place *place)
{
    cli_become_self();
    cli_place_close(place);
}

int cli_key_answer(const cli *c, cli_place *place, lk_status status, const char *kids, const char *what,
                   const lk_note *note)
{
    if (status != LK_OK) {
        return cli_answer(c, status, what, note);
    }
    return cli_print_table(c, key_rows(place, kids), "keys", key_columns, "");
}

/* ---- list ---- */

/* The counters of a gateway whose table we may open, for the keys in ROWS. */
static bool add_uses(const cli *c, cli_place *place, json_t *rows)
{
    const char *path = place->settings.memory_path;
    size_t i;
    json_t *row;
    if (strcmp(path, "anonymous") == 0 || access(path, R_OK | W_OK) != 0 ||
        cli_table_open(c, &place->settings, true, &place->table) != CLI_YES) {
        return false;
    }
    json_array_foreach(rows, i, row)
    {
        uint64_t signed_n = 0, verified_n = 0;
        const char *kid = json_string_value(json_object_get(row, "kid"));
        if (kid != NULL && strcmp(json_string_value(json_object_get(row, "alg")), "root") != 0) {
            lk__key_uses_read(place->table, lk_view_of(kid), &signed_n, &verified_n);
            cli_set_number(row, "signed", (int64_t)signed_n);
            cli_set_number(row, "verified", (int64_t)verified_n);
        }
    }
    cli_become_self();
    return true;
}

static int list(cli *c)
{
    cli_place place;
    int code = cli_place_open(c, CLI_KEYS, &place);
    if (code != CLI_YES) {
        return code;
    }
    json_t *object = key_rows(&place, NULL);
    bool counted = add_uses(c, &place, json_object_get(object, "keys"));
    code =
        cli_print_table(c, object, "keys", counted ? columns_with_uses : key_columns, "There are no keys.");
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
                      "there is no public key '%s' (HMAC keys and the root are secret and "
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

/* ---- the table ---- */

static const cli_option alg_options[] = {{"alg", "ALG", CLI_ALGS}, {0}};
static const cli_option rotate_options[] = {
    {"alg", "ALG", "only that algorithm"},
    {"all", NULL, "every algorithm that there is a key of (the default)"},
    {"now", NULL, "the new key signs at once, without being shown before"},
    {0}};
static const cli_option import_options[] = {
    {"alg", "ALG", "what an RSA key in PEM is for: RS256 (default), PS256, ..."}, {0}};
static const cli_option burn_options[] = {
    {"yes", NULL, "I know that all this key signed is refused from now on"},
    {"reason", "WORD", "what the client is told: revoked (default), kicked, banned, replaced"},
    {0}};
static const cli_option export_options[] = {
    {"public", NULL, "the public keys (there is nothing else to export)"},
    {"kid", "KID", "only that key, as a JWK"},
    {0}};

const cli_command cli_key_commands[] = {
    {"key", "list", "", 0, 0, NULL, "List the keys: state, age, what happens next, uses",
     "The root secret is the one sessions hang on; it does not rotate. Uses are those of the gateway on "
     "these "
     "settings, where its memory can be opened.",
     "latchkey key list --json", list},
    {"key", "new", "[ALG]", 0, 1, alg_options, "Make a key that is shown, checks, and does not sign yet",
     "It signs from latchkey key activate on. Kept in reserve, it takes the place of a key that is burned, "
     "and "
     "every node knows it already.",
     "latchkey key new EdDSA", cli_key_new},
    {"key", "rotate", "[ALG]", 0, 1, rotate_options, "Put a new key in the place of the one that signs",
     "It is shown for the publish= of latchkey_keys and signs then, on all nodes at the same moment; the old "
     "one "
     "checks for as long as anything it signed can live, and is gone then. Nobody is logged out.",
     "latchkey key rotate", cli_key_rotate},
    {"key", "activate", "KID", 1, 1, NULL, "A pending key signs from now on", NULL,
     "latchkey key activate eddsa-BiV046y1", cli_key_activate},
    {"key", "retire", "KID", 1, 1, NULL, "A key signs no longer",
     "It goes on checking until nothing it signed can be alive.", "latchkey key retire eddsa-BiV046y1",
     cli_key_retire},
    {"key", "burn", "KID", 1, 1, burn_options, "A key is in wrong hands: refuse all it ever signed",
     "It is taken out at once, another signs in its place, and a cut-off in the store tells every node to "
     "refuse "
     "what it proves, whatever time that bears. Whoever holds such a token or sealed session logs in again.",
     "latchkey key burn hs256-LYQVMtmf --yes", cli_key_burn},
    {"key", "import", "FILE", 1, 1, import_options, "Take over a private key as a pending one",
     "A JWK (RFC 7517) or PEM; - is standard input.", "latchkey key import signing-key.pem --alg PS256",
     cli_key_import},
    {"key", "export", "", 0, 0, export_options, "Print the public keys as a JWK Set (RFC 7517)",
     "The same the gateway answers at /.well-known/jwks.json.", "latchkey key export --public > jwks.json",
     export},
    {"key", "thumbprint", "FILE", 1, 1, NULL, "Print the thumbprint of a key (RFC 7638)",
     "FILE is a JWK or a key in PEM, public or private: the thumbprint is that of the public half.",
     "latchkey key thumbprint key.pem", cli_key_thumbprint},
    {"key", "prune", "", 0, 0, NULL, "Remove the files of keys that are gone", NULL, "latchkey key prune",
     cli_key_prune},
    {"key", "encrypt", "", 0, 0, NULL, "Seal the key files under the master secret",
     "That of latchkey_keys secret=. A running gateway reads sealed and clear files alike once it has the "
     "setting.",
     "latchkey key encrypt", cli_key_encrypt},
    {"key", "decrypt", "", 0, 0, NULL, "Put sealed key files in clear again", NULL, "latchkey key decrypt",
     cli_key_decrypt},
    {0},
};
