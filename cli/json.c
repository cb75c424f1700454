/* SPDX-License-Identifier: Apache-2.0
 *
 * json.c - latchkey json check: is standard input JSON by the rules of the gateway?
 */
#include "input.h"
#include "output.h"
#include <latchkey/json.h>
#include <stdio.h>
#include <string.h>

/* The note of the reader begins with the place in words; here the place is said by its numbers. */
static const char *what_is_wrong(const lk_note *note)
{
    const char *colon = strncmp(note->text, "line ", 5) == 0 ? strstr(note->text, ": ") : NULL;
    return colon != NULL ? colon + 2 : note->text;
}

static int check(cli *c)
{
    cli_input in;
    int code = cli_read_stdin(c, &in);
    if (code != CLI_YES) {
        return code;
    }
    lk_json_place place = {0};
    lk_note note = {{0}};
    lk_status status = lk_json_check(cli_input_view(&in), &place, &note);
    cli_input_free(&in);
    if (status == LK_OK) {
        json_t *answer = json_object();
        cli_set_flag(answer, "valid", true);
        return c->json ? cli_print_record(c, answer, NULL) : (json_decref(answer), CLI_YES);
    }
    if (status == LK_FAULT) {
        return cli_answer(c, status, "standard input", &note);
    }
    fprintf(stderr, "%u:%u: %s\n", place.line, place.column, what_is_wrong(&note));
    if (c->json) {
        json_t *answer = json_object();
        cli_set_flag(answer, "valid", false);
        cli_set_number(answer, "line", place.line);
        cli_set_number(answer, "column", place.column);
        cli_set_number(answer, "offset", (int64_t)place.offset);
        cli_set_text(answer, "error", lk_view_of(what_is_wrong(&note)));
        (void)cli_print_record(c, answer, NULL);
    }
    return CLI_NO;
}

const cli_command cli_json_commands[] = {
    {"json", "check", "", 0, 0, NULL, "Check that standard input is one JSON value the gateway would accept",
     "Strict RFC 8259: valid UTF-8, no member twice in an object, at most 32 levels deep, nothing after the\n"
     "value. What is wrong is told on standard error as line:column: what.",
     "echo '{\"cart\": [1, 2]}' | latchkey json check", check},
    {0},
};
