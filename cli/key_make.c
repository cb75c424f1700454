/* SPDX-License-Identifier: Apache-2.0
 *
 * key_make.c - latchkey key new, rotate, import.
 */
#include "input.h"
#include "key.h"
#include <string.h>

/* Kids with blanks between them. */
typedef struct kids {
    char memory[LK_ALG_COUNT * (LK_KID_MAX + 1) + 1];
    lk_buf text;
} kids;

static void add_kid(kids *k, const char *kid)
{
    lk_buf_add_text(&k->text, k->text.len > 0 ? " " : "");
    lk_buf_add_text(&k->text, kid);
}

int cli_key_new(cli *c)
{
    cli_place place;
    lk_key_place at;
    lk_alg alg;
    lk_note note = {{0}};
    char kid[LK_KID_MAX + 1];
    int code = cli_key_alg(c, &alg);
    if (code == CLI_YES && alg == LK_ALG_COUNT) {
        code = cli_wrong(c, "which algorithm? For example: latchkey key new EdDSA");
    }
    if (code == CLI_YES) {
        code = cli_key_open(c, CLI_KEYS_NEW, &place, &at);
    }
    if (code != CLI_YES) {
        return code;
    }
    lk_status status = lk_key_make(lk_env_system(), &at, alg, LK_KEY_ON_DEMAND, kid, &note);
    code = cli_key_answer(c, &place, status, kid, "no key was made", &note);
    cli_key_close(&place);
    return code;
}

/* One after the other; what was done stays done when the next one fails. */
static lk_status rotate_all(const cli_place *place, const lk_key_place *at, lk_alg alg, lk_key_start start,
                            kids *made, lk_note *note)
{
    char kid[LK_KID_MAX + 1];
    for (lk_alg a = 0; a < LK_ALG_COUNT; a++) {
        if (alg != LK_ALG_COUNT ? alg != a : lk_keyring_signer(place->ring, a) == NULL) {
            continue;
        }
        lk_status status = lk_key_make(lk_env_system(), at, a, start, kid, note);
        if (status == LK_STALE) {
            cli_remark("%s: the new key %s is on its way already", lk_alg_name(a), kid);
        } else if (status != LK_OK) {
            return status;
        }
        add_kid(made, kid);
    }
    return LK_OK;
}

int cli_key_rotate(cli *c)
{
    cli_place place;
    lk_key_place at;
    lk_alg alg;
    lk_note note = {{0}};
    kids made;
    int code = cli_key_alg(c, &alg);
    if (code == CLI_YES && alg != LK_ALG_COUNT && cli_has(c, "all")) {
        code = cli_wrong(c, "an algorithm, or --all, and not both");
    }
    if (code == CLI_YES) {
        code = cli_key_open(c, CLI_KEYS, &place, &at);
    }
    if (code != CLI_YES) {
        return code;
    }
    memset(&made, 0, sizeof made);
    made.text = lk_buf_over(made.memory, sizeof made.memory);
    lk_status status =
        rotate_all(&place, &at, alg, cli_has(c, "now") ? LK_KEY_AT_ONCE : LK_KEY_PUBLISHED, &made, &note);
    code = cli_key_answer(c, &place, status, lk_buf_text(&made.text), "not every key was made", &note);
    if (code == CLI_YES && !c->json && !cli_has(c, "now")) {
        cli_remark("copy the key directory to every node that has one of its own before the new key signs");
    }
    cli_key_close(&place);
    return code;
}

/* ---- import ---- */

static lk_status import_text(const lk_key_place *at, lk_view text, lk_alg alg, char *kid, lk_note *note)
{
    char *json = NULL;
    lk_status status = LK_OK;
    if (!lk_is_pem(text)) {
        return lk_key_import(lk_env_system(), at, text, kid, note);
    }
    status = lk_jwk_from_pem(lk_env_system(), text, alg, &json, note);
    if (status == LK_OK) {
        status = lk_key_import(lk_env_system(), at, lk_view_of(json), kid, note);
        lk_wipe(json, strlen(json));
    }
    lk_free(lk_env_system(), json);
    return status;
}

int cli_key_import(cli *c)
{
    cli_place place;
    lk_key_place at;
    cli_input in;
    lk_note note = {{0}};
    lk_alg alg = LK_ALG_COUNT;
    char kid[LK_KID_MAX + 1] = "";
    const char *name = cli_get(c, "alg");
    if (name != NULL && lk_alg_of(lk_view_of(name), &alg) != LK_OK) {
        return cli_wrong(c, "there is no algorithm %s: choose RS256, PS256, ES256, EdDSA, ...", name);
    }
    int code = cli_read_file(c, c->arguments[0], &in);
    if (code != CLI_YES) {
        return code;
    }
    code = cli_key_open(c, CLI_KEYS, &place, &at);
    if (code == CLI_YES) {
        lk_status status = import_text(&at, cli_input_view(&in), alg, kid, &note);
        code = cli_key_answer(c, &place, status, kid, "the key was not taken over", &note);
        cli_key_close(&place);
    }
    cli_input_free(&in);
    return code;
}
