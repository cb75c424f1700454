/* SPDX-License-Identifier: Apache-2.0
 *
 * cookie.c - latchkey cookie parse: the value the gateway would see of a cookie.
 */
#include "carrier/carrier.h"
#include "input.h"
#include "output.h"

#define FIELDS_MAX 64

/* "Cookie: a=b" and "a=b" are the same line: ':' cannot stand in a cookie's name. */
static lk_view field_of(lk_view line)
{
    if (line.len > 0 && line.p[line.len - 1] == '\r') {
        line.len--;
    }
    if (lk_view_equal_nocase(lk_view_part(line, 0, 7), LK_VIEW("Cookie:"))) {
        return lk_view_trim(lk_view_part(line, 7, line.len));
    }
    return line;
}

static int split_lines(const cli *c, lk_view text, lk_view fields[FIELDS_MAX], size_t *n)
{
    *n = 0;
    while (text.len > 0) {
        size_t end = lk_view_find(text, '\n');
        if (*n == FIELDS_MAX) {
            return cli_no(c, LK_REASON_NONE, "more than %d Cookie lines", FIELDS_MAX);
        }
        fields[(*n)++] = field_of(lk_view_part(text, 0, end));
        text = lk_view_part(text, end + 1, text.len);
    }
    return CLI_YES;
}

static int answer(const cli *c, lk_status status, lk_view value)
{
    switch (status) {
    case LK_OK:
        break;
    case LK_MISS:
        return cli_no(c, LK_REASON_NO_CREDENTIAL, "there is no cookie '%s'", c->arguments[0]);
    case LK_REFUSED:
        return cli_no(c, LK_REASON_MALFORMED, "the cookie '%s' is there with values that differ",
                      c->arguments[0]);
    case LK_STALE:
    case LK_FULL:
    case LK_FAULT:
        return cli_answer(c, status, "the Cookie lines", NULL);
    }
    json_t *object = json_object();
    cli_set_text(object, "name", lk_view_of(c->arguments[0]));
    cli_set_text(object, "value", value);
    if (c->json) {
        return cli_print_record(c, object, NULL);
    }
    json_decref(object);
    int code = cli_write(c, value);
    return code == CLI_YES ? cli_write(c, LK_VIEW("\n")) : code;
}

static int parse(cli *c)
{
    cli_input in;
    lk_view fields[FIELDS_MAX], value = {0};
    size_t n = 0;
    int code = cli_read_stdin(c, &in);
    if (code != CLI_YES) {
        return code;
    }
    code = split_lines(c, cli_input_view(&in), fields, &n);
    if (code == CLI_YES) {
        lk_status status = lk_cookie_find(fields, n, lk_view_of(c->arguments[0]), &value);
        code = answer(c, status, value);
    }
    cli_input_free(&in);
    return code;
}

const cli_command cli_cookie_commands[] = {
    {"cookie", "parse", "NAME", 1, 1, NULL, "Print the value of a cookie as the gateway reads it",
     "Standard input holds Cookie header lines, with or without \"Cookie:\" in front; several lines count as "
     "one\n"
     "request. The answer is no when the cookie is not there, or there twice with values that differ.",
     "echo 'a=1; latchkey=xyz' | latchkey cookie parse latchkey", parse},
    {0},
};
