/* SPDX-License-Identifier: Apache-2.0
 *
 * password.c - latchkey password verify: does a password match a PHC string?
 */
#include "crypto/password.h"
#include "input.h"
#include "output.h"
#include <latchkey/account.h>
#include <latchkey/secret.h>
#include <string.h>

/* The bytes to check: as typed with --raw, else normalised as a login does it. */
static int prepare(const cli *c, const cli_input *in, lk_buf *out)
{
    lk_note note = {{0}};
    if (cli_has(c, "raw")) {
        lk_buf_add(out, cli_input_view(in));
        return out->full ? cli_no(c, LK_REASON_NONE, "the password is longer than %d bytes", LK_PASSWORD_MAX)
                         : CLI_YES;
    }
    return cli_answer(c, lk_password_normalize(cli_input_view(in), out, &note), "the password", &note);
}

static int answer(const cli *c, lk_status status)
{
    if (status == LK_FAULT) {
        return cli_fault(c, "the PHC string cannot be read, or memory is short");
    }
    bool matches = status == LK_OK || status == LK_STALE;
    json_t *object = json_object();
    cli_set_flag(object, "matches", matches);
    cli_set_flag(object, "rehash", status == LK_STALE);
    if (status == LK_STALE && !c->json) {
        cli_remark("it matches; the hash costs less than new ones do and is replaced at the next login");
    }
    if (c->json) {
        int code = cli_print_record(c, object, NULL);
        return code != CLI_YES ? code : matches ? CLI_YES : CLI_NO;
    }
    json_decref(object);
    return matches ? CLI_YES : cli_no(c, LK_REASON_NONE, "it is not that password");
}

static int verify(cli *c)
{
    uint8_t memory[LK_PASSWORD_MAX * 2];
    lk_buf password = lk_buf_over(memory, sizeof memory);
    lk_settings settings;
    cli_input in;
    const char *phc = cli_get(c, "phc");
    if (phc == NULL || strncmp(phc, "$argon2", 7) != 0) {
        return cli_wrong(
            c, "missing --phc, a string that begins with $argon2 (quote it: the shell reads the $)");
    }
    int code = cli_has(c, "raw") ? cli_read_stdin(c, &in) : cli_read_password(c, "Password", false, &in);
    if (code != CLI_YES) {
        return code;
    }
    code = prepare(c, &in, &password);
    if (code == CLI_YES) {
        lk_settings_init(&settings);
        lk_password_cost cost = {settings.password_memory_kib, settings.password_passes};
        code = answer(c, lk_password_verify(lk_buf_view(&password), lk_view_of(phc), cost));
    }
    lk_wipe(memory, sizeof memory);
    cli_input_free(&in);
    return code;
}

static const cli_option verify_options[] = {
    {"phc", "STRING", "the stored hash: $argon2id$v=19$m=...,t=...,p=...$salt$hash"},
    {"raw", NULL, "take standard input byte for byte: no newline cut off, not normalised"},
    {0},
};

const cli_command cli_password_commands[] = {
    {"password", "verify", "", 0, 0, verify_options,
     "Check the password on standard input against a PHC string",
     "The password is one line; it is normalised (NFKC) as a login does it.",
     "printf 'correct horse' | latchkey password verify --phc '$argon2id$v=19$m=19456,t=2,p=1$...'", verify},
    {0},
};
