/* SPDX-License-Identifier: Apache-2.0
 *
 * redirect.c - latchkey redirect check: may a login return to this URL?
 */
#include "input.h"
#include "output.h"
#include <latchkey/service.h>

#define SAFE_MAX 8192

static int check(cli *c)
{
    static uint8_t memory[SAFE_MAX];
    lk_buf safe = lk_buf_over(memory, sizeof memory);
    lk_note note = {{0}};
    cli_input in;
    const char *origin = cli_get(c, "origin");
    if (origin == NULL) {
        return cli_wrong(c, "missing --origin, such as --origin https://shop.example");
    }
    int code = cli_read_line(c, &in);
    if (code != CLI_YES) {
        return code;
    }
    lk_status status = lk_redirect_check(lk_view_of(origin), cli_input_view(&in), &safe, &note);
    cli_input_free(&in);
    if (status != LK_OK) {
        return cli_answer(c, status, "not a place to return to", &note);
    }
    if (c->json) {
        json_t *object = json_object();
        cli_set_text(object, "path", lk_buf_view(&safe));
        return cli_print_record(c, object, NULL);
    }
    lk_buf_add_byte(&safe, '\n');
    return cli_write(c, lk_buf_view(&safe));
}

static const cli_option check_options[] = {
    {"origin", "ORIGIN", "the site to stay on, such as https://shop.example"},
    {0},
};

const cli_command cli_redirect_commands[] = {
    {"redirect", "check", "", 0, 0, check_options,
     "Check that a login may return to the URL on standard input",
     "Prints the path to send the browser to, when the URL is a place on ORIGIN by the rules browsers "
     "follow.",
     "echo '/cart?step=2' | latchkey redirect check --origin https://shop.example", check},
    {0},
};
