/* SPDX-License-Identifier: Apache-2.0
 *
 * thumbprint.c - latchkey key thumbprint: the name a key has by itself (RFC 7638).
 */
#include "input.h"
#include "jwk.h"
#include "output.h"

static int print(const cli *c, lk_view jwk, const char *path)
{
    char memory[LK_THUMBPRINT_LEN + 2];
    lk_buf text = lk_buf_over(memory, sizeof memory);
    lk_note note = {{0}};
    lk_status status = lk_jwk_thumbprint(jwk, &text, &note);
    if (status != LK_OK) {
        return cli_answer(c, status, path, &note);
    }
    if (c->json) {
        json_t *object = json_object();
        cli_set_text(object, "thumbprint", lk_buf_view(&text));
        return cli_print_record(c, object, NULL);
    }
    lk_buf_add_byte(&text, '\n');
    return cli_write(c, lk_buf_view(&text));
}

static int print_pem(const cli *c, lk_view pem, const char *path)
{
    char *jwk = NULL;
    lk_note note = {{0}};
    lk_status status = lk_jwk_from_pem(lk_env_system(), pem, LK_ALG_COUNT, &jwk, &note);
    if (status != LK_OK) {
        return cli_answer(c, status, path, &note);
    }
    int code = print(c, lk_view_of(jwk), path);
    lk_wipe(jwk, lk_view_of(jwk).len);
    lk_free(lk_env_system(), jwk);
    return code;
}

int cli_key_thumbprint(cli *c)
{
    const char *path = c->arguments[0];
    cli_input in;
    int code = cli_read_file(c, path, &in);
    if (code != CLI_YES) {
        return code;
    }
    lk_view text = cli_input_view(&in);
    code = lk_is_pem(text) ? print_pem(c, text, path) : print(c, text, path);
    cli_input_free(&in);
    return code;
}
